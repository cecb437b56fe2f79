//! Being written.
use super::{AggregateCall, Aggregator, count};
pub(super) fn aggregator(call: &AggregateCall) -> Box<dyn Aggregator> {
    count::aggregator(call)
}
