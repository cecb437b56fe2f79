//! Order-preserving keys and the row and index value formats of the TiDB layout.

pub mod bytes;
pub mod datum;
mod error;
mod ids;
pub mod index_value;
mod key;
pub mod meta_key;
pub mod mvcc;
pub mod number;
pub mod row;
pub mod table_key;
#[cfg(test)]
mod testing;
mod timestamp;

pub use error::DecodeError;
pub use ids::{ColumnId, DbId, Handle, IndexId, TableId};
pub use key::{EncodedKey, Key};
pub use timestamp::{CommitTs, StartTs, TimeStamp};
