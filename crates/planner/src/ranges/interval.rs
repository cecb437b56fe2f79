//! Sets of values of one column, as sorted disjoint intervals.
//!
//! Bounds are compared by their key bytes, so the order is the index's own (collation, NULL first).

use tidewater_codec::datum::encode_key_datum;
use tidewater_types::{Datum, FieldType};

/// A value and its place in the order.
#[derive(Clone, Debug)]
pub(crate) struct Bound {
    pub(crate) value: Datum,
    pub(crate) key: Vec<u8>,
    pub(crate) inclusive: bool,
}

/// The values between two bounds. `None` is no bound; without a lower bound NULL is inside.
#[derive(Clone, Debug)]
pub(crate) struct Interval {
    pub(crate) low: Option<Bound>,
    pub(crate) high: Option<Bound>,
}

/// A set of values.
pub(crate) type Set = Vec<Interval>;

impl Bound {
    pub(crate) fn new(value: Datum, field_type: &FieldType, inclusive: bool) -> Option<Self> {
        let mut key = Vec::new();
        if value.is_null() {
            // NULL's flag byte, below all others.
            key.push(0);
        } else {
            encode_key_datum(&value, field_type, &mut key).ok()?;
        }
        Some(Bound { value, key, inclusive })
    }
}

impl Interval {
    pub(crate) fn point(bound: Bound) -> Self {
        let bound = Bound { inclusive: true, ..bound };
        Interval { low: Some(bound.clone()), high: Some(bound) }
    }

    /// Everything but NULL.
    pub(crate) fn not_null() -> Self {
        Interval { low: Some(Bound { value: Datum::Null, key: vec![0], inclusive: false }), high: None }
    }

    pub(crate) fn is_point(&self) -> bool {
        match (&self.low, &self.high) {
            (Some(low), Some(high)) => low.inclusive && high.inclusive && low.key == high.key,
            _ => false,
        }
    }

    fn is_empty(&self) -> bool {
        match (&self.low, &self.high) {
            (Some(low), Some(high)) => {
                low.key > high.key || (low.key == high.key && !(low.inclusive && high.inclusive))
            }
            _ => false,
        }
    }
}

/// Values in both sets.
pub(crate) fn intersect(left: &Set, right: &Set) -> Set {
    let mut both = Vec::new();
    for a in left {
        for b in right {
            let low = stricter(a.low.as_ref(), b.low.as_ref(), |x, y| x.key > y.key);
            let high = stricter(a.high.as_ref(), b.high.as_ref(), |x, y| x.key < y.key);
            let interval = Interval { low, high };
            if !interval.is_empty() {
                both.push(interval);
            }
        }
    }
    both
}

fn stricter(a: Option<&Bound>, b: Option<&Bound>, wins: impl Fn(&Bound, &Bound) -> bool) -> Option<Bound> {
    match (a, b) {
        (None, other) | (other, None) => other.cloned(),
        (Some(a), Some(b)) if a.key == b.key => {
            Some(Bound { inclusive: a.inclusive && b.inclusive, ..a.clone() })
        }
        (Some(a), Some(b)) => Some(if wins(a, b) { a.clone() } else { b.clone() }),
    }
}

/// Values in either set.
pub(crate) fn union(left: Set, right: Set) -> Set {
    let mut all: Vec<Interval> = left.into_iter().chain(right).collect();
    all.sort_by(|a, b| {
        let order = |interval: &Interval| interval.low.as_ref().map(|low| (low.key.clone(), !low.inclusive));
        order(a).cmp(&order(b))
    });
    let mut merged: Vec<Interval> = Vec::new();
    for next in all {
        match merged.last_mut() {
            Some(last) if touches(last, &next) => {
                if ends_later(&next, last) {
                    last.high = next.high;
                }
            }
            _ => merged.push(next),
        }
    }
    merged
}

/// Whether the later interval starts inside or right behind the earlier one.
fn touches(earlier: &Interval, later: &Interval) -> bool {
    match (&earlier.high, &later.low) {
        (None, _) | (_, None) => true,
        (Some(high), Some(low)) => {
            low.key < high.key || (low.key == high.key && (low.inclusive || high.inclusive))
        }
    }
}

fn ends_later(a: &Interval, b: &Interval) -> bool {
    match (&a.high, &b.high) {
        (_, None) => false,
        (None, _) => true,
        (Some(a), Some(b)) => (&a.key, a.inclusive) > (&b.key, b.inclusive),
    }
}
