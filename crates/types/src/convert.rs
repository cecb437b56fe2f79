//! Casts for storing.
use std::sync::Arc;
use crate::{Datum, FieldType, SqlError, SqlMode, TimeZone, Warnings, ErrorCode};
/// What a conversion must know of its statement.
#[derive(Debug, Clone)]
pub struct ConvertContext {
    /// `sql_mode`.
    pub sql_mode: SqlMode,
    /// Whether wrong data is an error (strict mode and no IGNORE) or a warning.
    pub strict: bool,
    /// `time_zone`.
    pub time_zone: TimeZone,
    /// The statement's time, microseconds since the epoch (a TIME stored as DATETIME takes its day).
    pub now_micros: i64,
    /// Where warnings go.
    pub warnings: Warnings,
    /// The column's name, for messages.
    pub column: Arc<str>,
    /// The row's number in the statement, from 1, for messages.
    pub row: u64,
}
/// Why a value cannot be stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum ConvertError {
    #[error("out of range")] OutOfRange,
    #[error("data too long")] DataTooLong,
    #[error("data truncated")] Truncated,
    #[error("Incorrect {kind} value: '{value}'")] IncorrectValue { kind: &'static str, value: String },
    #[error("{0}")] InvalidJson(String),
}
impl ConvertError {
    /// As the client sees it.
    pub fn to_sql_error(&self, _column: &str, _row: u64) -> SqlError { SqlError::new(ErrorCode::UnknownError, self.to_string()) }
}
/// Converts for storing into a column.
pub fn convert(_value: &Datum, _to: &FieldType, _ctx: &ConvertContext) -> Result<Datum, ConvertError> { todo!() }
