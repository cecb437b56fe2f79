//! Whether timestamps are what was promised, whoever gives them out.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use tidewater_proto::pdpb;

use crate::check::Finding;

const LOGICAL_BITS: u32 = 18;

/// All timestamps that were given out. Each is given out once, and lies above all that were given out before it was asked for: over restarts,
/// changes of leaders and jumps of clocks.
#[derive(Default)]
pub(crate) struct Watch(Mutex<State>);

#[derive(Default)]
struct State {
    highest: u64,
    first: u64,
    /// The last timestamp of each range by its first one.
    ranges: BTreeMap<u64, u64>,
    /// The first promise that was broken.
    broken: Option<String>,
}

pub(crate) fn bits(ts: &pdpb::Timestamp) -> u64 {
    (ts.physical.unsigned_abs() << LOGICAL_BITS) + ts.logical.unsigned_abs()
}

pub(crate) fn timestamp(bits: u64) -> pdpb::Timestamp {
    let logical = bits & ((1 << LOGICAL_BITS) - 1);
    pdpb::Timestamp {
        physical: (bits >> LOGICAL_BITS).cast_signed(),
        logical: logical.cast_signed(),
        suffix_bits: 0,
    }
}

impl Watch {
    /// The highest that somebody has.
    pub(crate) fn highest(&self) -> u64 {
        self.0.lock().highest
    }

    /// The first that anybody had, at the beginning of its millisecond.
    pub(crate) fn first(&self) -> u64 {
        self.0.lock().first >> LOGICAL_BITS << LOGICAL_BITS
    }

    /// The physical part of the highest.
    pub(crate) fn latest_millis(&self) -> i64 {
        (self.highest() >> LOGICAL_BITS).cast_signed()
    }

    /// A range is given out to somebody who asked when `known` was the highest.
    pub(crate) fn note(&self, known: u64, last: &pdpb::Timestamp, count: u32) {
        let last = bits(last);
        let first = last + 1 - u64::from(count);
        let mut state = self.0.lock();
        if first <= known {
            state.broken.get_or_insert(format!("the timestamp {first} was given out after {known}"));
        }
        let before = state.ranges.range(..=last).next_back().map(|(_, end)| *end);
        if before.is_some_and(|end| end >= first) {
            state.broken.get_or_insert(format!("a timestamp between {first} and {last} was given out twice"));
        }
        state.ranges.insert(first, last);
        state.highest = state.highest.max(last);
        if state.first == 0 {
            state.first = first;
        }
    }

    pub(crate) fn check(&self) -> Result<(), Finding> {
        let broken = self.0.lock().broken.clone();
        broken.map_or(Ok(()), |text| Err(Finding { text, keys: Vec::new() }))
    }
}
