//! Ranges over several columns from a list of conditions.
//!
//! Column by column: as long as a column is restricted to points, the next one can restrict further; the first that is
//! not ends the key. Conditions that one column cannot express may still give ranges as alternatives: `(a, b) IN ((1, 2),
//! (3, 4))` is two points.

use tidewater_expr::{EvalContext, Expr};
use tidewater_stats::KeyRange;
use tidewater_types::{Datum, FieldType};

use super::RangeColumn;
use super::condition::restrict;
use super::interval::{Interval, Set, intersect};
use crate::expr_tools::{split_and, split_or};

/// More ranges than this are not made from one set of conditions: a further column is left to the filter.
const RANGES_MAX: usize = 4096;

/// What conditions say about a key.
#[derive(Clone, Debug)]
pub(crate) struct Derived {
    /// Sorted and disjoint; none means that nothing can match.
    pub(crate) ranges: Vec<KeyRange>,
    /// For each condition: whether the ranges make use of it.
    pub(crate) used: Vec<bool>,
    /// For each condition: whether the ranges say all it says, so that it need not be checked again.
    pub(crate) exact: Vec<bool>,
    /// How many leading columns are restricted to points.
    pub(crate) point_columns: usize,
}

impl Derived {
    /// Whether every key is inside.
    pub(crate) fn is_full(&self) -> bool {
        self.ranges.len() == 1 && self.ranges[0].is_full()
    }
}

/// The ranges of a key of `columns` that `conditions` leave.
pub(crate) fn derive(columns: &[RangeColumn], conditions: &[Expr], ctx: &EvalContext) -> Derived {
    let derived = derive_conjunction(columns, conditions, ctx);
    if !derived.is_full() {
        return derived;
    }
    for (position, condition) in conditions.iter().enumerate() {
        if let Some(ranges) = derive_alternatives(columns, condition, ctx) {
            let mut used = vec![false; conditions.len()];
            used[position] = true;
            return Derived { ranges, used, exact: vec![false; conditions.len()], point_columns: 0 };
        }
    }
    derived
}

fn derive_conjunction(columns: &[RangeColumn], conditions: &[Expr], ctx: &EvalContext) -> Derived {
    let mut used = vec![false; conditions.len()];
    let mut exact = vec![false; conditions.len()];
    let mut prefixes: Vec<Vec<Datum>> = vec![Vec::new()];
    let mut point_columns = 0;
    for column in columns {
        let mut set: Option<Set> = None;
        let mut restricting = Vec::new();
        for (position, condition) in conditions.iter().enumerate() {
            let Some(restriction) = restrict(condition, column, ctx) else {
                continue;
            };
            set = Some(match set {
                None => restriction.set,
                Some(set) => intersect(&set, &restriction.set),
            });
            restricting.push((position, restriction.exact));
        }
        let Some(set) = set else {
            break;
        };
        if set.len().saturating_mul(prefixes.len()) > RANGES_MAX {
            break;
        }
        for (position, is_exact) in restricting {
            used[position] = true;
            exact[position] = is_exact;
        }
        if set.is_empty() {
            return Derived { ranges: Vec::new(), used, exact, point_columns };
        }
        let all_points = set.iter().all(Interval::is_point);
        if !all_points {
            let ranges =
                prefixes.iter().flat_map(|prefix| set.iter().map(move |interval| range(prefix, interval)));
            let ranges = sorted(ranges.collect(), columns);
            return Derived { ranges, used, exact, point_columns };
        }
        prefixes = prefixes
            .iter()
            .flat_map(|prefix| {
                set.iter().filter_map(move |interval| {
                    let mut longer = prefix.clone();
                    longer.push(interval.low.as_ref()?.value.clone());
                    Some(longer)
                })
            })
            .collect();
        point_columns += 1;
        // Behind a cut value the next column's place is unknown.
        if column.length >= 0 {
            break;
        }
    }
    let ranges = if point_columns == 0 {
        vec![KeyRange::full()]
    } else {
        sorted(prefixes.into_iter().map(KeyRange::point).collect(), columns)
    };
    Derived { ranges, used, exact, point_columns }
}

/// The ranges of each alternative of an OR, together; `None` if one of them has none.
fn derive_alternatives(
    columns: &[RangeColumn],
    condition: &Expr,
    ctx: &EvalContext,
) -> Option<Vec<KeyRange>> {
    let mut alternatives = Vec::new();
    split_or(condition.clone(), &mut alternatives);
    if alternatives.len() < 2 {
        return None;
    }
    let mut ranges = Vec::new();
    for alternative in alternatives {
        let mut conjuncts = Vec::new();
        split_and(alternative, &mut conjuncts);
        let derived = derive_conjunction(columns, &conjuncts, ctx);
        if derived.is_full() || ranges.len() + derived.ranges.len() > RANGES_MAX {
            return None;
        }
        ranges.extend(derived.ranges);
    }
    Some(sorted(ranges, columns))
}

fn range(prefix: &[Datum], interval: &Interval) -> KeyRange {
    let side = |bound: &Option<super::interval::Bound>| {
        let mut values = prefix.to_vec();
        match bound {
            Some(bound) => {
                values.push(bound.value.clone());
                (values, bound.inclusive)
            }
            None => (values, true),
        }
    };
    let (low, low_inclusive) = side(&interval.low);
    let (high, high_inclusive) = side(&interval.high);
    KeyRange { low, low_inclusive, high, high_inclusive }
}

/// Where a range's keys start, and where they end.
type KeyBytes = (Vec<u8>, Option<Vec<u8>>);

/// Sorts ranges by where they start and joins those that overlap.
fn sorted(ranges: Vec<KeyRange>, columns: &[RangeColumn]) -> Vec<KeyRange> {
    if ranges.len() < 2 {
        return ranges;
    }
    let types: Vec<FieldType> = columns.iter().map(|column| column.field_type.clone()).collect();
    let mut keyed = Vec::with_capacity(ranges.len());
    for range in &ranges {
        match range.encode(&types) {
            Ok(bytes) => keyed.push((bytes, range.clone())),
            Err(_) => return vec![KeyRange::full()],
        }
    }
    keyed.sort_by(|a, b| a.0.0.cmp(&b.0.0));
    let mut merged: Vec<(KeyBytes, KeyRange)> = Vec::new();
    for (bytes, range) in keyed {
        if let Some((last_bytes, last)) = merged.last_mut() {
            let overlaps = last_bytes.1.as_ref().is_none_or(|end| bytes.0 < *end);
            if overlaps {
                let later = match (&last_bytes.1, &bytes.1) {
                    (None, _) => false,
                    (_, None) => true,
                    (Some(last), Some(next)) => next > last,
                };
                if later {
                    last_bytes.1 = bytes.1;
                    last.high = range.high;
                    last.high_inclusive = range.high_inclusive;
                }
                continue;
            }
        }
        merged.push((bytes, range));
    }
    merged.into_iter().map(|(_, range)| range).collect()
}
