//! Aggregate functions: what a call is, and the states that take whole columns.
//!
//! An executor gives each row a group number and hands over the argument columns; states are vectors indexed by group.
//! A call can be split in two for push-down: the store runs it in [`AggregateMode::Partial`] and sends
//! [`AggregateCall::partial_types`] columns, the SQL node runs it in [`AggregateMode::Final`] on those columns.

mod bits;
mod call;
mod concat;
mod count;
mod distinct;
mod json;
mod min_max;
mod sum;
mod variance;

pub use call::{AggregateCall, AggregateFunction, AggregateMode, SortItem};

use arrow::array::ArrayRef;

use crate::error::ExprError;

/// The states of one aggregate call, one for each group.
///
/// In [`AggregateMode::Final`] the argument columns of the updates are partial results.
pub trait Aggregator: Send {
    /// Row `i` belongs to group `group_ids[i]`; there are `groups` groups by now.
    fn update(&mut self, args: &[ArrayRef], group_ids: &[u32], groups: usize) -> Result<(), ExprError>;

    /// All rows belong to group 0.
    fn update_all(&mut self, args: &[ArrayRef], rows: usize) -> Result<(), ExprError> {
        self.update(args, &vec![0; rows], 1)
    }

    /// Makes states for groups without rows (`SELECT count(*) FROM empty`).
    fn resize(&mut self, groups: usize);

    /// The results, one row per group; the states are gone then.
    fn finish(&mut self) -> Result<ArrayRef, ExprError>;

    /// The partial results, one row per group, of the types [`AggregateCall::partial_types`] tells.
    fn finish_partial(&mut self) -> Result<Vec<ArrayRef>, ExprError>;

    /// Bytes held.
    fn memory_size(&self) -> usize;
}
