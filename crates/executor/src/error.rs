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
    /// A plan that asks for what its operator cannot do.
    #[error("invalid plan: {reason}")]
    InvalidPlan {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// An error that already has its SQL face.
    #[error("{0}")]
    Sql(SqlError),
}

impl ExecError {
    /// Wraps an error of a storage client.
    pub fn storage(source: impl std::error::Error + Send + Sync + 'static) -> ExecError {
        ExecError::Storage(Box::new(source))
    }

    /// MySQL's number of this error; `None` for storage errors, whose source the caller has to look at.
    pub fn code(&self) -> Option<u16> {
        match self {
            ExecError::Expr(error) => Some(error.code()),
            ExecError::QuotaExceeded { .. } => Some(8175),
            ExecError::Killed => Some(1317),
            ExecError::TimedOut => Some(3024),
            ExecError::MoreThanOneRow => Some(1242),
            ExecError::Arrow(_) | ExecError::Chunk(_) | ExecError::InvalidPlan { .. } => Some(1105),
            ExecError::Storage(_) => None,
            ExecError::Sql(error) => Some(error.code),
        }
    }

    /// As the client sees it; `None` for storage errors.
    pub fn to_sql_error(&self) -> Option<SqlError> {
        match self {
            ExecError::Sql(error) => Some(error.clone()),
            ExecError::Expr(error) => Some(error.to_sql_error()),
            _ => self.code().map(|code| {
                let known = ErrorCode::from_number(code).unwrap_or(ErrorCode::UnknownError);
                SqlError { code, ..SqlError::new(known, self.to_string()) }
            }),
        }
    }
}

impl From<SqlError> for ExecError {
    fn from(error: SqlError) -> ExecError {
        ExecError::Sql(error)
    }
}
