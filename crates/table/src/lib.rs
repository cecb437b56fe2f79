//! Rows and indexes of a table as key-value mutations.
//!
//! Sits above `catalog`, `codec` and `txn`, below `ddl` and `session`. A row goes in as datums, one per column; what
//! comes out are writes in a transaction's buffer, in the layout TiDB stores.
//!
//! # Invariants
//! * **Nothing here reads by scanning**, and writing a row reads nothing at all: unique keys are written under the
//!   presumption that they do not exist, which the transaction checks when it locks them, or at commit.
//! * **Every index in every online state is kept**: entries are removed from deletable indexes and written to writable
//!   ones (F1's rules), so that a backfill beside concurrent writes ends complete.
//! * **Keys of unique entries are locked with the statement, keys of the others at commit only**: their row's lock
//!   guards them.
//!
//! # Tour
//! [`TableLayout`] turns rows into keys and values and back; [`mod@write`] changes a transaction's buffer; [`AutoIds`] hands out
//! AUTO_INCREMENT values and hidden row ids from ranges taken ahead.
//!
//! # Example
//! ```
//! use std::sync::Arc;
//! use tidewater_catalog::TableInfo;
//! use tidewater_codec::{Handle, TableId};
//! use tidewater_table::TableLayout;
//! use tidewater_types::{Datum, FieldType, TimeZone};
//!
//! let mut info = TableInfo::new(TableId(100), "orders");
//! info.add_column("id", FieldType::int());
//! info.add_column("note", FieldType::varchar(40));
//! info.add_index("by_note", &["note"]);
//! let mut layout = TableLayout::new(Arc::new(info), TimeZone::utc());
//!
//! let row = [Datum::Int(1), Datum::Bytes(b"tea".to_vec())];
//! let value = layout.row_value(&row)?;
//! assert_eq!(layout.decode_row(&Handle::Int(7), &value)?, row);
//! # Ok::<(), tidewater_table::TableError>(())
//! ```

mod auto_id;
mod defaults;
mod error;
mod layout;
mod text;
pub mod write;

pub use auto_id::{AutoId, AutoIdKind, AutoIds};
pub use defaults::implicit_default;
pub use error::TableError;
pub use layout::{CHANGING_PREFIX, IndexEntry, ROW_BYTES_MAX, TableLayout};
pub use text::datum_text;
