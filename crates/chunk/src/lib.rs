//! Columnar batches on Arrow arrays, and the ways between rows and columns.
//!
//! Sits on `types` and `codec`, below `expr` and everything that evaluates. The SQL type of a column travels beside
//! the array as a [`FieldType`](tidewater_types::FieldType); [`arrow_type`] is THE table from the one to the other.
//!
//! # Invariants
//! * **A [`Chunk`] is a value**: immutable, cheap to clone, without a selection vector. Filters materialise.
//! * **Every column is as long as the chunk**; a chunk without columns may still have rows (`SELECT 1 FROM t`).
//! * **Nothing is allocated per row**: [`RowDecoder`] writes row-v2 bytes straight into the builders' buffers.
//! * **A `DECIMAL` column is a `Decimal128Array`** of the column's scale, and a `Decimal256Array` of the same scale only
//!   if one of its values does not fit 38 digits. Consumers accept both.
//!
//! # Tour
//! [`Chunk`], then [`ColumnBuilder`] and [`ChunkBuilder`] (values in), [`datum_at`] (values out), [`RowDecoder`] (stored
//! rows in), [`to_ipc`] and [`from_ipc`] (the form chunks travel in between nodes and to spill files), [`encode_columns`] and
//! [`encode_row`] with their opposites (the forms of TiKV's answers, for nodes that do not speak Arrow).
//!
//! # Example
//! ```
//! use tidewater_chunk::ChunkBuilder;
//! use tidewater_types::{Datum, FieldType};
//!
//! let types = [FieldType::int(), FieldType::varchar(20)];
//! let mut builder = ChunkBuilder::new(&types, 2);
//! builder.push_row(&[Datum::Int(1), Datum::Bytes(b"one".to_vec())]);
//! builder.push_row(&[Datum::Int(2), Datum::Null]);
//! let chunk = builder.finish();
//! assert_eq!(chunk.num_rows(), 2);
//! assert_eq!(chunk.datum(0, 1, &types[1]), Datum::Bytes(b"one".to_vec()));
//! assert_eq!(chunk.datum(1, 1, &types[1]), Datum::Null);
//! ```

mod batch;
mod builder;
mod decimal;
mod ipc;
mod row_decoder;
mod value;
mod wire;

pub use batch::{Chunk, INITIAL_CHUNK_ROWS, MAX_CHUNK_ROWS, concat_arrays, filter_array, take_array};
pub use builder::{ChunkBuilder, ColumnBuilder};
pub use decimal::{DECIMAL128_DIGITS, DecimalVec, decimal_scale, fits_decimal128};
pub use ipc::{IpcError, from_ipc, to_ipc};
pub use row_decoder::{ColumnToDecode, RowDecodeError, RowDecoder};
pub use value::{arrow_type, datum_at, is_unsigned_column};
pub use wire::WireError;
pub use wire::columns::{decode_columns, encode_columns, fits_columns};
pub use wire::rows::{decode_rows, encode_row};
