//! Why a read failed.

use tidewater_codec::DecodeError;
use tidewater_executor::ExecError;
use tidewater_txn::TxnError;

/// An error of a reader. Reaches the session inside [`ExecError::Storage`]; see [`ReadError::of`].
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Regions, locks or timestamps.
    #[error(transparent)]
    Txn(#[from] TxnError),
    /// A stored key, row or index entry does not decode.
    #[error("stored data: {0}")]
    Decode(#[from] DecodeError),
    /// A stored row does not fit the table.
    #[error("stored row: {0}")]
    Row(#[from] tidewater_chunk::RowDecodeError),
    /// An answer of a store does not decode.
    #[error("a store's answer: {reason}")]
    Answer {
        /// What is wrong with it.
        reason: String,
    },
    /// An expression of the plan cannot be sent to a store: the planner pushed down what it must not.
    #[error("{expression} cannot be pushed down")]
    NotPushable {
        /// The expression.
        expression: String,
    },
    /// A row is missing that an index entry points to.
    #[error("index {index} of table {table} points to a row that does not exist")]
    DanglingEntry {
        /// The table's name.
        table: String,
        /// The index's name.
        index: String,
    },
}

impl ReadError {
    /// The read error inside an execution error, if that is what stopped the statement.
    pub fn of(error: &ExecError) -> Option<&ReadError> {
        match error {
            ExecError::Storage(source) => source.downcast_ref(),
            _ => None,
        }
    }
}

impl From<ReadError> for ExecError {
    fn from(error: ReadError) -> ExecError {
        ExecError::storage(error)
    }
}
