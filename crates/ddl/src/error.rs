//! Why a schema change fails.

use tidewater_catalog::JobError;
use tidewater_table::TableError;
use tidewater_txn::TxnError;
use tidewater_types::{ErrorCode, SqlError};

/// Why a schema change fails.
#[derive(Debug, thiserror::Error)]
pub enum DdlError {
    /// The definition is wrong, or what it names exists or does not: MySQL's own words, which jobs keep in storage.
    #[error("{0}")]
    Rejected(SqlError),
    /// Storage failed; the step may be tried again.
    #[error(transparent)]
    Txn(#[from] TxnError),
    /// A row could not be rewritten.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The stored schema cannot be read.
    #[error("the stored schema is corrupt: {what}")]
    Corrupt {
        /// What was read.
        what: String,
    },
    /// Whoever wanted the change does not want it any more.
    #[error("Query execution was interrupted")]
    Cancelled,
    /// Another node carries out the jobs.
    #[error("another node carries out the schema changes")]
    NotOwner,
    /// Other nodes may have changed the schema without our knowing.
    #[error("the node's lease of the schema was not renewed")]
    OutOfDate,
    /// The worker stopped before the job was done.
    #[error("the DDL worker has stopped")]
    Stopped,
}

/// A rejection with MySQL's number.
pub fn reject(code: ErrorCode, message: impl Into<String>) -> DdlError {
    DdlError::Rejected(SqlError::new(code, message))
}

/// The rejection of a DROP of what is not there.
pub(crate) fn cant_drop(name: impl std::fmt::Display) -> SqlError {
    let message = format!("Can't DROP '{name}'; check that column/key exists");
    SqlError::new(ErrorCode::CantDropFieldOrKey, message)
}

impl DdlError {
    /// What a job keeps of a failure that ends it; `None` when the step should be tried again.
    pub fn final_error(&self) -> Option<JobError> {
        match self {
            Self::Rejected(error) => Some(JobError { code: error.code, message: error.message.clone() }),
            Self::Table(TableError::Duplicate { .. }) => {
                Some(JobError { code: ErrorCode::DupEntry.number(), message: self.to_string() })
            }
            Self::Cancelled => {
                Some(JobError { code: ErrorCode::QueryInterrupted.number(), message: self.to_string() })
            }
            Self::Table(TableError::Txn(_))
            | Self::Txn(_)
            | Self::Stopped
            | Self::NotOwner
            | Self::OutOfDate => None,
            Self::Table(_) | Self::Corrupt { .. } => {
                Some(JobError { code: ErrorCode::UnknownError.number(), message: self.to_string() })
            }
        }
    }
}

/// The error a finished job reports.
pub fn job_failure(error: &JobError) -> DdlError {
    let code = ErrorCode::from_number(error.code).unwrap_or(ErrorCode::UnknownError);
    let mut sql = SqlError::new(code, error.message.clone());
    sql.code = error.code;
    DdlError::Rejected(sql)
}
