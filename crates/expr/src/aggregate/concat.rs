//! GROUP_CONCAT.
use super::{AggregateCall, Aggregator, count};
use crate::context::EvalContext;
pub(super) fn aggregator(call: &AggregateCall, _ctx: &EvalContext) -> Box<dyn Aggregator> {
    count::aggregator(call)
}
