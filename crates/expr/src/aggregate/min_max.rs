//! MIN, MAX, first row.
use super::{AggregateCall, Aggregator, count};
pub(super) fn aggregator(call: &AggregateCall) -> Box<dyn Aggregator> {
    count::aggregator(call)
}
pub(super) fn first_row(call: &AggregateCall) -> Box<dyn Aggregator> {
    count::aggregator(call)
}
