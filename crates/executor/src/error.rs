//! What can stop an operator.

use tidewater_expr::ExprError;
use tidewater_types::{ErrorCode, SqlError};

/// Why a statement's execution stopped.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// An expression failed on a value (overflow, bad cast, ...).
    #[error(transparent)]
    Expr(#[from] ExprError),
    /// A memory quota was passed.
    #[error(
        "Your query has been cancelled due to exceeding the allowed memory limit for a single SQL query: \
         {tracker} asked for {consumed} bytes of {quota}"
    )]
    QuotaExceeded {
        /// Label of the tracker that owns the quota.
        tracker: String,
        /// The quota in bytes.
        quota: u64,
        /// What would have been in use.
        consumed: u64,
    },
    /// KILL QUERY or KILL CONNECTION reached the statement.
    #[error("Query execution was interrupted")]
    Killed,
    /// `max_execution_time` passed.
    #[error("Query execution was interrupted, maximum statement execution time exceeded")]
    TimedOut,
    /// A scalar subquery gave a second row.
    #[error("Subquery returns more than 1 row")]
    MoreThanOneRow,
    /// An Arrow kernel refused (for example: more than 2 GiB in one string column).
    #[error(transparent)]
    Arrow(#[from] arrow::error::ArrowError),
    /// A column batch could not be built or read.
    #[error("column batch: {0}")]
    Chunk(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Reading from or writing to the storage failed; the crates above downcast the source.
    #[error("{0}")]
    Storage(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// An error that already has its SQL face.
    #[error("{0}")]
    Sql(SqlError),
}

impl ExecError {
    /// Wraps an error of a storage client.
    pub fn storage(source: impl std::error::Error + Send + Sync + 'static) -> ExecError {
        ExecError::Storage(Box::new(source))
    }

    /// The SQL face of the errors that have one here; `None` for those whose source the caller has to look at.
    pub fn sql_code(&self) -> Option<ErrorCode> {
        match self {
            ExecError::Killed => Some(ErrorCode::QueryInterrupted),
            ExecError::TimedOut => Some(ErrorCode::QueryTimeout),
            ExecError::MoreThanOneRow => Some(ErrorCode::SubqueryNo1Row),
            ExecError::Expr(_)
            | ExecError::QuotaExceeded { .. }
            | ExecError::Arrow(_)
            | ExecError::Chunk(_)
            | ExecError::Storage(_)
            | ExecError::Sql(_) => None,
        }
    }
}

impl From<SqlError> for ExecError {
    fn from(error: SqlError) -> ExecError {
        ExecError::Sql(error)
    }
}
