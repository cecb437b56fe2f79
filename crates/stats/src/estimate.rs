//! How many rows a range holds.

use tidewater_codec::{ColumnId, IndexId};
use tidewater_types::FieldType;

use crate::range::encode_values;
use crate::{ColumnStats, KeyRange, TableStats};

/// Without statistics: one row in so many has a given value.
pub const PSEUDO_EQUAL_RATE: f64 = 1000.0;
/// Without statistics: one row in so many is below (or above) a bound.
pub const PSEUDO_LESS_RATE: f64 = 3.0;
/// Without statistics: one row in so many is between two bounds.
pub const PSEUDO_BETWEEN_RATE: f64 = 40.0;
/// A condition nobody can estimate keeps this share of the rows.
pub const DEFAULT_SELECTIVITY: f64 = 0.8;

impl ColumnStats {
    /// Rows whose value is in the range; `types` are those of the column, or of the index's columns.
    pub fn range_rows(&self, range: &KeyRange, types: &[FieldType]) -> f64 {
        if range.is_full() {
            return self.total();
        }
        if range.is_point()
            && let Ok(value) = encode_values(&range.low, types)
        {
            if range.low.len() == 1 && range.low[0].is_null() && types.len() == 1 {
                return self.null_count;
            }
            return self.prefix_rows(&value, range.low.len() == types.len(), range.low.len());
        }
        let Ok((start, end)) = range.encode(types) else {
            return self.total();
        };
        let below = |bound: &[u8]| {
            let top: f64 =
                self.top_n.iter().filter(|top| top.value.as_slice() < bound).map(|top| top.count).sum();
            top + self.histogram.rows_below(bound)
        };
        let all = self.top_n.iter().map(|top| top.count).sum::<f64>() + self.histogram.total();
        let low = if start.is_empty() { 0.0 } else { below(&start) };
        let high = end.map_or(all, |end| below(&end));
        let nulls = if range.low.is_empty() && types.len() == 1 { self.null_count } else { 0.0 };
        (high - low).max(0.0) + nulls
    }

    /// Rows, NULL included.
    pub fn total(&self) -> f64 {
        self.null_count + self.top_n.iter().map(|top| top.count).sum::<f64>() + self.histogram.total()
    }

    /// Average rows per distinct value.
    pub fn rows_per_value(&self) -> f64 {
        (self.total() - self.null_count) / self.ndv.max(1.0)
    }

    fn prefix_rows(&self, prefix: &[u8], is_whole: bool, columns: usize) -> f64 {
        if !is_whole {
            // All keys with this prefix: when no bucket boundary knows it, an average group.
            let top: f64 =
                self.top_n.iter().filter(|top| top.value.starts_with(prefix)).map(|top| top.count).sum();
            let average = match columns.checked_sub(1).and_then(|at| self.prefix_ndv.get(at)) {
                Some(ndv) => self.total() / ndv.max(1.0),
                None => self.total() / self.ndv.max(1.0).sqrt(),
            };
            let mut after = prefix.to_vec();
            after.push(0xff);
            let in_histogram = self.histogram.rows_below(&after) - self.histogram.rows_below(prefix);
            let known = top + in_histogram;
            return if known >= 1.0 { known } else { average.min(self.total()) };
        }
        if let Some(top) = self.top_n.iter().find(|top| top.value == prefix) {
            return top.count;
        }
        let exact = self.histogram.rows_equal(prefix);
        if exact > 0.0 {
            return exact;
        }
        // Unknown to the sample: fewer than an average value, but not none.
        let others = (self.ndv - self.top_n.len() as f64).max(1.0);
        (self.histogram.total() / others).min(1.0)
    }
}

impl TableStats {
    /// Rows whose column is in one of the (disjoint) ranges.
    pub fn column_rows(
        &self,
        column: ColumnId,
        ranges: &[KeyRange],
        field_type: &FieldType,
        unique: bool,
    ) -> f64 {
        let types = std::slice::from_ref(field_type);
        self.rows(self.columns.get(&column), ranges, types, unique)
    }

    /// Entries of the index in one of the (disjoint) ranges.
    pub fn index_rows(&self, index: IndexId, ranges: &[KeyRange], types: &[FieldType], unique: bool) -> f64 {
        self.rows(self.indices.get(&index), ranges, types, unique)
    }

    /// Distinct values of a column.
    pub fn ndv(&self, column: ColumnId, unique: bool) -> f64 {
        match self.columns.get(&column) {
            _ if unique => self.row_count.max(1.0),
            Some(stats) if stats.ndv > 0.0 => stats.ndv.min(self.row_count.max(1.0)),
            // As TiDB guesses: 0.8 of the rows are distinct values.
            _ => (self.row_count * DEFAULT_SELECTIVITY).max(1.0),
        }
    }

    fn rows(
        &self,
        stats: Option<&ColumnStats>,
        ranges: &[KeyRange],
        types: &[FieldType],
        unique: bool,
    ) -> f64 {
        let rows: f64 = ranges
            .iter()
            .map(|range| {
                if unique
                    && range.is_point()
                    && range.low.len() == types.len()
                    && range.low.iter().all(|value| !value.is_null())
                {
                    return 1.0;
                }
                match stats {
                    Some(stats) if stats.total() > 0.0 => stats.range_rows(range, types) * self.scale(stats),
                    // Only the number of values is known.
                    Some(stats) if stats.ndv > 0.0 && range.is_point() && range.low.len() == types.len() => {
                        self.row_count / stats.ndv
                    }
                    _ => self.pseudo_rows(range),
                }
            })
            .sum();
        rows.clamp(0.0, self.row_count)
    }

    /// Rows may have come or gone since ANALYZE.
    fn scale(&self, stats: &ColumnStats) -> f64 {
        if stats.total() > 0.0 { self.row_count / stats.total() } else { 1.0 }
    }

    fn pseudo_rows(&self, range: &KeyRange) -> f64 {
        // Each value both bounds agree in is an equality.
        let common = range.low.iter().zip(&range.high).take_while(|(low, high)| low == high).count();
        let equal =
            (1..common).fold(if common > 0 { PSEUDO_EQUAL_RATE } else { 1.0 }, |rate, _| rate * 100.0);
        let rows = self.row_count / equal;
        // A lower bound of NULL, exclusive, only says "not NULL".
        let has_low = range.low.get(common).is_some_and(|value| !value.is_null());
        let has_high = range.high.len() > common;
        match (has_low, has_high) {
            (true, true) => rows / PSEUDO_BETWEEN_RATE,
            (true, false) | (false, true) => rows / PSEUDO_LESS_RATE,
            (false, false) => rows,
        }
    }
}

#[cfg(test)]
mod tests {
    use tidewater_types::Datum;

    use super::*;

    #[test]
    fn pseudo_estimates_follow_the_shape_of_the_range() {
        let stats = TableStats::pseudo();
        let rows = |range: KeyRange| stats.column_rows(ColumnId(1), &[range], &FieldType::int(), false);
        assert_eq!(rows(KeyRange::full()), 10_000.0);
        assert_eq!(rows(KeyRange::point(vec![Datum::Int(1)])), 10.0);
        let between = KeyRange {
            low: vec![Datum::Int(1)],
            low_inclusive: true,
            high: vec![Datum::Int(9)],
            high_inclusive: true,
        };
        assert_eq!(rows(between), 250.0);
        let below = KeyRange {
            low: vec![Datum::Null],
            low_inclusive: false,
            high: vec![Datum::Int(9)],
            high_inclusive: false,
        };
        assert!((rows(below) - 3333.3).abs() < 1.0);
    }

    #[test]
    fn a_unique_key_finds_one_row() {
        let stats = TableStats::pseudo();
        let point = KeyRange::point(vec![Datum::Int(1)]);
        assert_eq!(stats.column_rows(ColumnId(1), &[point], &FieldType::int(), true), 1.0);
    }
}
