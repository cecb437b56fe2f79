//! From ranges of values to ranges of keys.

use std::ops::Range;

use tidewater_catalog::{HandleKind, IndexInfo, TableInfo};
use tidewater_codec::{Handle, IndexId, Key, TableId, table_key};
use tidewater_planner::KeyRange;
use tidewater_types::{Datum, FieldType, TimeZone, TypeCode};

use crate::error::ReadError;

/// Key ranges in the order in which a forward scan gives their rows.
pub type KeyRanges = Vec<Range<Key>>;

/// The keys of a table's rows whose handles are in `ranges`.
pub fn row_ranges(
    table: &TableInfo,
    ranges: &[KeyRange],
    time_zone: &TimeZone,
) -> Result<KeyRanges, ReadError> {
    match table.handle() {
        HandleKind::RowId => Ok(int_ranges(table.id, ranges, IntOrder::Signed)),
        HandleKind::IntColumn(column) if column.field_type.is_unsigned() => {
            Ok(int_ranges(table.id, ranges, IntOrder::Unsigned))
        }
        HandleKind::IntColumn(_) => Ok(int_ranges(table.id, ranges, IntOrder::Signed)),
        HandleKind::Common(index) => {
            let types = index_types(table, index);
            encoded_ranges(table_key::row_prefix(table.id), ranges, &types, time_zone)
        }
    }
}

/// The keys of an index's entries in `ranges`.
pub fn index_ranges(
    table: &TableInfo,
    index: &IndexInfo,
    ranges: &[KeyRange],
    time_zone: &TimeZone,
) -> Result<KeyRanges, ReadError> {
    let mut types = index_types(table, index);
    // A non-unique entry goes on with the handle, and so may a range.
    types.extend(handle_types(table));
    encoded_ranges(table_key::index_prefix(table.id, index.id), ranges, &types, time_zone)
}

/// The types of an index's columns.
pub fn index_types(table: &TableInfo, index: &IndexInfo) -> Vec<FieldType> {
    index.columns.iter().map(|part| table.columns[part.offset].field_type.clone()).collect()
}

fn handle_types(table: &TableInfo) -> Vec<FieldType> {
    match table.handle() {
        HandleKind::RowId => vec![FieldType::int()],
        HandleKind::IntColumn(column) => vec![column.field_type.clone()],
        HandleKind::Common(index) => index_types(table, index),
    }
}

/// One range per handle; neighbouring integers share one.
pub fn handle_ranges(table: TableId, handles: &[Handle]) -> KeyRanges {
    let mut out = KeyRanges::new();
    let mut last_int = None;
    for handle in handles {
        let key = table_key::row_key(table, handle);
        let end = key.next();
        match (handle, last_int, out.last_mut()) {
            (Handle::Int(value), Some(last), Some(range)) if Some(*value) == i64::checked_add(last, 1) => {
                range.end = end;
            }
            _ => out.push(key..end),
        }
        last_int = if let Handle::Int(value) = handle { Some(*value) } else { None };
    }
    out
}

/// All entries of an index whose values begin with `values` (as encoded).
pub fn index_prefix_range(table: TableId, index: IndexId, values: &[u8]) -> Range<Key> {
    let mut start = table_key::index_prefix(table, index).into_bytes();
    start.extend_from_slice(values);
    let start = Key::new(start);
    let end = start.prefix_next();
    start..end
}

/// A TIMESTAMP is stored in UTC, whatever the session's time zone is.
pub(crate) fn stored(value: &Datum, field_type: &FieldType, time_zone: &TimeZone) -> Datum {
    match value {
        Datum::Time(time) if field_type.code == TypeCode::Timestamp => {
            Datum::Time(time_zone.local_to_timestamp(*time).unwrap_or(*time))
        }
        other => other.clone(),
    }
}

fn encoded_ranges(
    prefix: Key,
    ranges: &[KeyRange],
    types: &[FieldType],
    time_zone: &TimeZone,
) -> Result<KeyRanges, ReadError> {
    let convert = |values: &[Datum]| -> Vec<Datum> {
        values.iter().zip(types).map(|(value, field_type)| stored(value, field_type, time_zone)).collect()
    };
    let mut out = KeyRanges::with_capacity(ranges.len());
    for range in ranges {
        let range = KeyRange { low: convert(&range.low), high: convert(&range.high), ..range.clone() };
        let (low, high) = range.encode(types)?;
        let start = Key::new([prefix.as_bytes(), &low].concat());
        let end = match high {
            Some(high) => Key::new([prefix.as_bytes(), &high].concat()),
            None => prefix.prefix_next(),
        };
        if start < end {
            out.push(start..end);
        }
    }
    Ok(out)
}

/// How integer handles compare as values.
#[derive(Clone, Copy, PartialEq, Eq)]
enum IntOrder {
    Signed,
    /// The bits of large values are negative handles, whose keys come first.
    Unsigned,
}

/// Values as one ordered line: `i128` holds both kinds.
fn int_ranges(table: TableId, ranges: &[KeyRange], order: IntOrder) -> KeyRanges {
    let (min, max) = match order {
        IntOrder::Signed => (i128::from(i64::MIN), i128::from(i64::MAX)),
        IntOrder::Unsigned => (0, i128::from(u64::MAX)),
    };
    let mut out = KeyRanges::new();
    for range in ranges {
        let low = match range.low.first().and_then(integer) {
            // No bound, or one below all values.
            None => min,
            Some(value) if range.low_inclusive => value.max(min),
            Some(value) => value.saturating_add(1).max(min),
        };
        let high = match range.high.first() {
            None => max,
            // Nothing is at or below NULL in a key.
            Some(bound) => match integer(bound) {
                None => continue,
                Some(value) if range.high_inclusive => value.min(max),
                Some(value) => value.saturating_sub(1).min(max),
            },
        };
        if low > high {
            continue;
        }
        let signed_max = i128::from(i64::MAX);
        // Ascending by value: the non-negative handles first, then those whose sign bit is the value's top bit.
        if low <= signed_max {
            out.push(int_range(table, low as i64, high.min(signed_max) as i64));
        }
        if high > signed_max {
            out.push(int_range(table, low.max(signed_max + 1) as u64 as i64, high as u64 as i64));
        }
    }
    out
}

fn int_range(table: TableId, low: i64, high: i64) -> Range<Key> {
    table_key::row_key(table, &Handle::Int(low))..table_key::row_key(table, &Handle::Int(high)).next()
}

fn integer(value: &Datum) -> Option<i128> {
    match value {
        Datum::Int(value) => Some(i128::from(*value)),
        Datum::UInt(value) => Some(i128::from(*value)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handles(ranges: &[KeyRange], order: IntOrder) -> Vec<(i64, i64)> {
        int_ranges(TableId(1), ranges, order)
            .into_iter()
            .map(|range| {
                let start = table_key::decode_row_key(range.start.as_bytes()).unwrap().1;
                let end = range.end.into_bytes();
                let end = table_key::decode_row_key(end.strip_suffix(&[0]).unwrap()).unwrap().1;
                match (start, end) {
                    (Handle::Int(start), Handle::Int(end)) => (start, end),
                    other => panic!("{other:?}"),
                }
            })
            .collect()
    }

    fn range(low: Datum, low_inclusive: bool, high: Datum, high_inclusive: bool) -> KeyRange {
        KeyRange { low: vec![low], low_inclusive, high: vec![high], high_inclusive }
    }

    #[test]
    fn signed_handles() {
        let all = (i64::MIN, i64::MAX);
        assert_eq!(handles(&[KeyRange::full()], IntOrder::Signed), [all]);
        assert_eq!(handles(&[KeyRange::not_null()], IntOrder::Signed), [all]);
        let int = Datum::Int;
        assert_eq!(handles(&[range(int(1), true, int(5), false)], IntOrder::Signed), [(1, 4)]);
        assert_eq!(handles(&[range(int(1), false, int(2), false)], IntOrder::Signed), []);
        assert_eq!(handles(&[range(int(i64::MAX), false, int(i64::MAX), true)], IntOrder::Signed), []);
        assert_eq!(handles(&[KeyRange::point(vec![Datum::Null])], IntOrder::Signed), []);
    }

    #[test]
    fn unsigned_handles_continue_where_the_sign_bit_turns() {
        let uint = Datum::UInt;
        let border = i64::MAX as u64;
        assert_eq!(
            handles(&[range(uint(1), true, uint(u64::MAX), true)], IntOrder::Unsigned),
            [(1, i64::MAX), (i64::MIN, -1)]
        );
        assert_eq!(
            handles(&[range(uint(border), true, uint(border + 1), true)], IntOrder::Unsigned),
            [(i64::MAX, i64::MAX), (i64::MIN, i64::MIN)]
        );
        assert_eq!(
            handles(&[range(uint(border), false, uint(border + 3), false)], IntOrder::Unsigned),
            [(i64::MIN, i64::MIN + 1)]
        );
    }

    #[test]
    fn neighbouring_handles_share_a_range() {
        let ranges = handle_ranges(TableId(1), &[3, 4, 5, 7, 9, 10].map(Handle::Int));
        let expect = [(3, 5), (7, 7), (9, 10)].map(|(low, high)| int_range(TableId(1), low, high));
        assert_eq!(ranges, expect);
        let common = [b"a".as_slice(), b"b"].map(|bytes| Handle::Common(bytes.into()));
        assert_eq!(handle_ranges(TableId(1), &common).len(), 2);
    }
}
