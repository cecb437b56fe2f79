//! Prepared statements: what the server learns of them.

use std::sync::Arc;

use tidewater_types::{Datum, FieldType, TypeCode};

use crate::result::ResultField;

/// The answer to `COM_STMT_PREPARE`.
#[derive(Debug, Clone)]
pub struct PreparedInfo {
    /// The statement's id within its session.
    pub id: u32,
    /// One per `?`.
    pub params: Vec<ResultField>,
    /// The result's columns; empty for statements without rows.
    pub columns: Arc<[ResultField]>,
    /// How many warnings preparation left.
    pub warnings: u16,
}

/// A value bound to a `?`.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// The value.
    pub value: Datum,
    /// Its type, as the client declared it.
    pub field_type: FieldType,
}

impl From<Datum> for Parameter {
    /// Takes the type from the value. A `Datum::Time` becomes a DATETIME(6); the server, which knows whether the
    /// client sent a DATE, fills `field_type` itself.
    fn from(value: Datum) -> Self {
        let field_type = match &value {
            Datum::Null => FieldType::null(),
            Datum::Int(_) => FieldType::int(),
            Datum::UInt(_) => FieldType::uint(),
            Datum::Float(_) => FieldType::new(TypeCode::Float),
            Datum::Double(_) => FieldType::double(),
            Datum::Decimal(value) => FieldType::decimal(65, i32::from(value.scale())),
            Datum::Bytes(_) => FieldType::string(),
            Datum::Time(_) => FieldType::datetime(6),
            Datum::Duration(_) => FieldType::duration(6),
            Datum::Json(_) => FieldType::json(),
        };
        Self { value, field_type }
    }
}
