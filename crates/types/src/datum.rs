//! One SQL value.

use crate::{Decimal, Duration, Json, Time};

/// One SQL value, without its declared type (see [`crate::FieldType`]).
///
/// ENUM, SET and BIT are `UInt`; YEAR is `Int`; strings of any kind are `Bytes`.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Datum {
    /// SQL NULL.
    #[default]
    Null,
    /// A signed integer, or a YEAR.
    Int(i64),
    /// An unsigned integer, an ENUM's index, a SET's bits, a BIT value.
    UInt(u64),
    /// A FLOAT.
    Float(f32),
    /// A DOUBLE.
    Double(f64),
    /// A DECIMAL.
    Decimal(Decimal),
    /// CHAR, VARCHAR, TEXT, BINARY, VARBINARY, BLOB.
    Bytes(Vec<u8>),
    /// DATE, DATETIME, TIMESTAMP.
    Time(Time),
    /// TIME.
    Duration(Duration),
    /// JSON.
    Json(Json),
}

impl Datum {
    /// Whether this is SQL NULL.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }
}
