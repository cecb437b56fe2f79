//! Statistics of tables: how many rows, how many distinct values, which values, and estimates made from them.
//!
//! Sits above `types`, `codec` and `chunk`, below `planner` (which asks) and `session` (which runs ANALYZE and stores the
//! JSON). It never reads storage: [`StatsBuilder`] is fed chunks.
//!
//! # Invariants
//! * **Values are key bytes**: memcomparable, so that one [`Histogram`] serves every type and whole index keys.
//! * **Estimates are never negative and never above the table's row count.**
//! * **Randomness comes from the caller**: the same rows and seed give the same statistics.
//!
//! # Example
//! ```
//! use tidewater_codec::ColumnId;
//! use tidewater_stats::{KeyRange, TableStats};
//! use tidewater_types::{Datum, FieldType};
//!
//! let stats = TableStats::pseudo();
//! let point = KeyRange::point(vec![Datum::Int(7)]);
//! assert_eq!(stats.column_rows(ColumnId(1), &[point], &FieldType::int(), false), 10.0);
//! ```

mod builder;
mod estimate;
mod hex_bytes;
mod histogram;
mod range;
mod sketch;
mod table_stats;

pub use builder::{BuildOptions, StatsBuilder};
pub use estimate::{DEFAULT_SELECTIVITY, PSEUDO_BETWEEN_RATE, PSEUDO_EQUAL_RATE, PSEUDO_LESS_RATE};
pub use histogram::{Bucket, Histogram};
pub use range::{KeyRange, encode_values};
pub use sketch::DistinctSketch;
pub use table_stats::{
    ColumnStats, PSEUDO_ROW_COUNT, PseudoStats, StatsError, StatsProvider, TableStats, TopValue,
};
