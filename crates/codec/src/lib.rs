//! Keys and values in the published TiDB/TiKV layouts, and the newtypes of ids and timestamps.
//!
//! Sits on `types`, below all that stores or reads rows.
//!
//! # Invariants
//! * **Keys order as values do**: comparing encoded bytes is comparing SQL values under their collation.
//! * **What was encoded decodes to itself**, strings in keys excepted: they are sort keys, see [`datum::key_keeps_value`].
//! * **Decoders take any bytes**: the answer is a value or a [`DecodeError`], never a panic.
//! * **Raw and encoded keys are different types** ([`Key`], [`EncodedKey`]); only this crate turns one into the other.
//! * TIMESTAMPs are stored in UTC; readers and writers convert, the codec does not.
//! * The formats are fixed: a change would make stored data unreadable. Test vectors come from the originals.
//!
//! # Tour
//! [`number`] and [`bytes`] are the letters, [`datum`] the words. [`table_key`] and [`meta_key`] make keys, [`row`] and
//! [`index_value`] values, [`mvcc`] the records that wrap both in a transaction.
//!
//! ```
//! use tidewater_codec::table_key::{decode_row_key, row_key};
//! use tidewater_codec::{Handle, TableId};
//!
//! let key = row_key(TableId(1), &Handle::Int(2));
//! assert_eq!(key.to_string(), "7480000000000000015f728000000000000002");
//! assert_eq!(key.encode().decode()?, key);
//! assert_eq!(decode_row_key(key.as_bytes())?, (TableId(1), Handle::Int(2)));
//! # Ok::<(), tidewater_codec::DecodeError>(())
//! ```

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
pub use ids::{ColumnId, DbId, Handle, HandleRef, IndexId, TableId};
pub use key::{EncodedKey, Key};
pub use timestamp::{CommitTs, StartTs, TimeStamp};
