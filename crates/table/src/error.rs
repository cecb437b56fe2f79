//! What can go wrong with a row.

use tidewater_codec::DecodeError;
use tidewater_txn::TxnError;
use tidewater_types::ConvertError;

/// Why a row could not be written.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// Another row has the same key.
    #[error("Duplicate entry '{entry}' for key '{key}'")]
    Duplicate {
        /// The values of the key, joined by `-`.
        entry: String,
        /// `table.key`.
        key: String,
    },
    /// AUTO_INCREMENT values are used up.
    #[error("Failed to read auto-increment value from storage engine")]
    AutoIncrementExhausted,
    /// A NULL in a column that allows none.
    #[error("Column '{column}' cannot be null")]
    NullNotAllowed {
        /// The column.
        column: String,
    },
    /// A row is larger than the store takes.
    #[error("entry too large, the max entry size is {max}, the size of data is {size}")]
    EntryTooLarge {
        /// Bytes of the row.
        size: usize,
        /// The limit.
        max: usize,
    },
    /// A stored time does not exist in the session's time zone.
    #[error("Incorrect datetime value: '{value}' for column '{column}'")]
    InvalidLocalTime {
        /// The value.
        value: String,
        /// The column.
        column: String,
    },
    /// A value does not fit the type its column is being changed to.
    #[error("column '{column}': {source}")]
    Conversion {
        /// The column.
        column: String,
        /// Why.
        #[source]
        source: ConvertError,
    },
    /// What is stored cannot be read.
    #[error("corrupt data in table '{table}': {source}")]
    Corrupt {
        /// The table.
        table: String,
        /// Why.
        #[source]
        source: DecodeError,
    },
    /// The transaction failed.
    #[error(transparent)]
    Txn(#[from] TxnError),
}
