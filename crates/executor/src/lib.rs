//! Vectorised operators over chunks, memory tracking, run-time statistics.
//!
//! Sits above `chunk` and `expr`; used by the SQL node (`session` builds operator trees with `distsql` readers as leaves)
//! AND by the store's coprocessor, which drives the same operators over a scan.
//!
//! # Invariants
//! * **No network, no storage, no clock** in here: `async` exists only because leaves wait. The single use of time is
//!   `tokio::time::Instant` in [`RuntimeStats`], which simulation can pause.
//! * **Everything is deterministic**: equal input chunks give equal output chunks. Hash seeds are fixed, and a hash
//!   table's order never reaches the output (groups come in order of first appearance, join matches in build order).
//! * **Every buffer is charged** to a [`MemoryReservation`] which gives back on drop; a passed quota is an error, not a
//!   crash. Every loop over chunks asks the [`KillFlag`].
//! * **Chunks are never empty**, and grow from 32 to 1024 rows.
//!
//! # Tour
//! [`Operator`] is the interface. `keys` turns columns into bytes that are equal (or sort) as MySQL says; `group_table`
//! numbers groups, `join_table` chains build rows; the operators stand one per file.
//!
//! # Example
//! ```
//! use tidewater_executor::{ExecContext, Limit, Values, collect};
//! use tidewater_types::{Datum, FieldType};
//!
//! let ctx = ExecContext::default();
//! let rows = (0..10).map(|i| vec![Datum::Int(i)]).collect();
//! let values = Values::from_rows(&ctx, vec![FieldType::int()], rows);
//! let mut limit = Limit::new(&ctx, Box::new(values), 2, 3);
//! let chunks = futures::executor::block_on(collect(&mut limit)).unwrap();
//! assert_eq!(chunks.iter().map(|chunk| chunk.num_rows()).sum::<usize>(), 3);
//! assert_eq!(chunks[0].datum(0, 0, &FieldType::int()), Datum::Int(2));
//! ```

mod aggregate_states;
mod apply;
mod buffer;
mod context;
mod error;
mod group_table;
mod hash_aggregate;
mod hash_join;
mod index_join;
mod join_spec;
mod join_table;
mod keys;
mod kill;
mod limit;
mod max_one_row;
mod memory;
mod merge;
mod operator;
mod projection;
mod runtime_stats;
mod selection;
mod semi_output;
mod sort;
mod sort_key;
mod stream_aggregate;
mod top_n;
mod union_all;
mod values;

pub use apply::{ApplySpec, Correlation, InnerFactory, NestedLoopApply};
pub use context::{ChunkSizer, ExecContext};
pub use error::ExecError;
pub use hash_aggregate::HashAggregate;
pub use hash_join::HashJoin;
pub use index_join::{IndexJoin, IndexJoinSpec, LookupFactory};
pub use join_spec::{BuildSide, HashJoinSpec, JoinKey, JoinKind, KeyNulls};
pub use kill::KillFlag;
pub use limit::Limit;
pub use max_one_row::MaxOneRow;
pub use memory::{MemoryReservation, MemoryTracker};
pub use merge::Merge;
pub use operator::{BoxedOperator, Operator, collect};
pub use projection::Projection;
pub use runtime_stats::{Instrumented, RuntimeStats, instrument};
pub use selection::Selection;
pub use sort::Sort;
pub use sort_key::{SortKey, SortOrder};
pub use stream_aggregate::StreamAggregate;
pub use top_n::TopN;
pub use union_all::UnionAll;
pub use values::Values;
