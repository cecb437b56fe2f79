//! The readers: plan fragments out to the regions, chunks back.
//!
//! Sits above `txn` (regions, snapshots), `planner` (what to read) and `executor` (whose [`Operator`] every reader is);
//! used by `session`, which builds them as the leaves of its operator trees.
//!
//! # Invariants
//! * **A reader sees one snapshot**, that of its [`ReadContext`], plus (through [`UnionScanReader`] and [`PointReader`])
//!   the writes of its own transaction as they were when the reader opened.
//! * **Memory is bounded** by requests under way times the size of a page: nobody holds a whole scan.
//! * **Nothing is spawned**: dropping a reader stops what it started.
//! * **No plan is decided here.** What the planner pushed down is sent as it is; what cannot be sent is an error.
//!
//! # Tour
//! [`build_reader`] makes the reader of a plan node. `key_ranges` turns value ranges into key ranges, `dag` writes plan
//! fragments for the wire, `fetch` sends them region by region and page by page, `result_cache` keeps answers; `reader`, `lookup`, `point` and
//! `union_scan` are the operators.
//!
//! [`Operator`]: tidewater_executor::Operator

mod build;
mod context;
mod dag;
mod error;
mod fetch;
mod handles;
mod key_ranges;
mod lookup;
mod point;
mod reader;
mod result_cache;
mod rows;
mod union_scan;

pub use build::{build_lookup_reader, build_reader};
pub use context::{
    AnswerEncoding, CopStats, CopStepStats, DirtyCopy, DirtyRows, KeyLocker, ReadContext, StoreProtocol,
};
pub use dag::{DagBuilder, Fragment, Summaries};
pub use error::ReadError;
pub use fetch::{Fetch, FetchOrder, FetchPlan};
pub use handles::HandleReader;
pub use key_ranges::{KeyRanges, handle_ranges, index_prefix_range, index_ranges, row_ranges};
pub use lookup::IndexLookUpReader;
pub use point::PointReader;
pub use reader::CopReader;
pub use result_cache::ResultCache;
pub use rows::RowReader;
pub use union_scan::UnionScanReader;
