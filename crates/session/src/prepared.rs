//! Prepared statements: what the server learns of them.

use std::collections::HashMap;
use std::sync::Arc;

use tidewater_codec::TableId;
use tidewater_parser::ast::Statement;
use tidewater_planner::Plan;
use tidewater_types::{Datum, FieldType, SqlMode, TypeCode};

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
            Datum::Decimal(value) => FieldType::decimal(65, value.scale()),
            Datum::Bytes(_) => FieldType::string(),
            Datum::Time(_) => FieldType::datetime(6),
            Datum::Duration(_) => FieldType::duration(6),
            Datum::Json(_) => FieldType::json(),
        };
        Self { value, field_type }
    }
}

/// A prepared statement of a session.
pub(crate) struct Prepared {
    pub(crate) text: Arc<str>,
    pub(crate) statement: Arc<Statement>,
    /// Number of `?`.
    pub(crate) parameters: usize,
    /// A plan that fits all parameter values, and the schema it was made for.
    pub(crate) plan: Option<CachedPlan>,
    /// Its plans depend on the values: there is nothing to keep.
    pub(crate) plans_vary: bool,
}

/// A plan that may be run again.
#[derive(Clone)]
pub(crate) struct CachedPlan {
    pub(crate) plan: Arc<Plan>,
    pub(crate) fields: Arc<[ResultField]>,
    pub(crate) schema_version: i64,
    /// The parameter types it was planned with.
    pub(crate) types: Vec<(TypeCode, bool)>,
    pub(crate) database: Option<Arc<str>>,
    pub(crate) sql_mode: SqlMode,
    /// Tables the plan scans: it does not see a transaction's own writes to them.
    pub(crate) scanned: Vec<TableId>,
    /// Planned for a transaction (locks) or for autocommit (none).
    pub(crate) in_transaction: bool,
}

/// The prepared statements of a session: by id for the protocol, by name for SQL.
#[derive(Default)]
pub(crate) struct PreparedStatements {
    by_id: HashMap<u32, Prepared>,
    names: HashMap<String, u32>,
    last_id: u32,
}

impl PreparedStatements {
    pub(crate) fn add(&mut self, text: Arc<str>, statement: Statement, parameters: usize) -> u32 {
        self.last_id = self.last_id.wrapping_add(1).max(1);
        let id = self.last_id;
        self.by_id.insert(
            id,
            Prepared { text, statement: Arc::new(statement), parameters, plan: None, plans_vary: false },
        );
        id
    }

    pub(crate) fn by_id(&self, id: u32) -> Option<&Prepared> {
        self.by_id.get(&id)
    }

    pub(crate) fn by_id_mut(&mut self, id: u32) -> Option<&mut Prepared> {
        self.by_id.get_mut(&id)
    }

    pub(crate) fn close(&mut self, id: u32) {
        self.by_id.remove(&id);
        self.names.retain(|_, named| *named != id);
    }

    /// Gives a statement a name; one that had it before is forgotten.
    pub(crate) fn name(&mut self, name: &str, id: u32) {
        if let Some(old) = self.names.insert(name.to_lowercase(), id) {
            self.by_id.remove(&old);
        }
    }

    pub(crate) fn named(&self, name: &str) -> Option<u32> {
        self.names.get(&name.to_lowercase()).copied()
    }
}
