//! DISTINCT.
use super::{AggregateCall, Aggregator};
pub(super) fn aggregator(_call: &AggregateCall, inner: Box<dyn Aggregator>) -> Box<dyn Aggregator> {
    inner
}
