//! Equal-depth histograms over encoded values.
//!
//! Bounds are key bytes (memcomparable), so one histogram serves columns of every type and indexes of several columns.
//! Inside a bucket values are taken as evenly spread between the bounds' bytes.

use serde::{Deserialize, Serialize};

/// Values in order, cut into buckets of about equally many rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// The buckets in order.
    pub buckets: Vec<Bucket>,
}

/// A bucket: the rows with a value from `lower` to `upper`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bucket {
    /// The smallest value.
    #[serde(with = "crate::hex_bytes")]
    pub lower: Vec<u8>,
    /// The largest value.
    #[serde(with = "crate::hex_bytes")]
    pub upper: Vec<u8>,
    /// Rows in this bucket and all before it.
    pub cumulative: f64,
    /// Rows that hold `upper`.
    pub repeats: f64,
    /// Distinct values in this bucket.
    pub ndv: f64,
}

impl Histogram {
    /// From (value, rows) in order of values: at most `bucket_count_max` buckets; a value never spans two.
    pub fn build(
        values: impl IntoIterator<Item = (Vec<u8>, f64)>,
        total: f64,
        bucket_count_max: usize,
    ) -> Self {
        let depth = (total / bucket_count_max.max(1) as f64).max(1.0);
        let mut buckets: Vec<Bucket> = Vec::new();
        let mut cumulative = 0.0;
        let mut filled = 0.0;
        for (value, rows) in values {
            cumulative += rows;
            match buckets.last_mut() {
                Some(bucket) if filled + rows <= depth => {
                    bucket.upper = value;
                    bucket.cumulative = cumulative;
                    bucket.repeats = rows;
                    bucket.ndv += 1.0;
                    filled += rows;
                }
                _ => {
                    buckets.push(Bucket {
                        lower: value.clone(),
                        upper: value,
                        cumulative,
                        repeats: rows,
                        ndv: 1.0,
                    });
                    filled = rows;
                }
            }
        }
        Histogram { buckets }
    }

    /// The rows it describes.
    pub fn total(&self) -> f64 {
        self.buckets.last().map_or(0.0, |bucket| bucket.cumulative)
    }

    /// Distinct values.
    pub fn ndv(&self) -> f64 {
        self.buckets.iter().map(|bucket| bucket.ndv).sum()
    }

    /// Rows with a value below `bound`.
    pub fn rows_below(&self, bound: &[u8]) -> f64 {
        let position = self.buckets.partition_point(|bucket| bucket.upper.as_slice() < bound);
        let before = if position == 0 { 0.0 } else { self.buckets[position - 1].cumulative };
        let Some(bucket) = self.buckets.get(position) else {
            return before;
        };
        if bound <= bucket.lower.as_slice() {
            return before;
        }
        let inside = bucket.cumulative - before - bucket.repeats;
        before + inside * fraction(&bucket.lower, &bucket.upper, bound)
    }

    /// Rows that hold exactly `value`, if a bucket has it inside.
    pub fn rows_equal(&self, value: &[u8]) -> f64 {
        let position = self.buckets.partition_point(|bucket| bucket.upper.as_slice() < value);
        let Some(bucket) = self.buckets.get(position) else {
            return 0.0;
        };
        if bucket.upper == value {
            return bucket.repeats;
        }
        if value < bucket.lower.as_slice() {
            return 0.0;
        }
        let before = if position == 0 { 0.0 } else { self.buckets[position - 1].cumulative };
        let others = (bucket.cumulative - before - bucket.repeats).max(0.0);
        others / (bucket.ndv - 1.0).max(1.0)
    }
}

/// How far `value` is on the way from `lower` to `upper`, by their first bytes that differ.
fn fraction(lower: &[u8], upper: &[u8], value: &[u8]) -> f64 {
    let common = lower.iter().zip(upper).take_while(|(low, high)| low == high).count();
    let scalar = |bytes: &[u8]| {
        (0..8).fold(0.0, |sum, position| {
            sum * 256.0 + f64::from(bytes.get(common + position).copied().unwrap_or(0))
        })
    };
    let (low, high, at) = (scalar(lower), scalar(upper), scalar(value));
    if high <= low { 0.5 } else { ((at - low) / (high - low)).clamp(0.0, 1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uniform(count: u64) -> Histogram {
        Histogram::build((0..count).map(|value| (value.to_be_bytes().to_vec(), 1.0)), count as f64, 64)
    }

    #[test]
    fn a_uniform_column_is_estimated_within_a_bucket() {
        let histogram = uniform(10_000);
        assert!(histogram.buckets.len() <= 65);
        for bound in [0u64, 1, 77, 5_000, 9_999] {
            let estimate = histogram.rows_below(&bound.to_be_bytes());
            assert!((estimate - bound as f64).abs() < 2.0, "{bound}: {estimate}");
        }
        assert_eq!(histogram.rows_below(&20_000u64.to_be_bytes()), 10_000.0);
        assert!((histogram.rows_equal(&1234u64.to_be_bytes()) - 1.0).abs() < 0.1);
        assert_eq!(histogram.rows_equal(&20_000u64.to_be_bytes()), 0.0);
    }

    #[test]
    fn a_heavy_value_fills_a_bucket_alone() {
        let values = (0u8..10).map(|value| (vec![value], if value == 5 { 1000.0 } else { 1.0 }));
        let histogram = Histogram::build(values, 1009.0, 10);
        assert_eq!(histogram.rows_equal(&[5]), 1000.0);
        assert!(histogram.rows_below(&[5]) <= 5.0);
        assert_eq!(histogram.total(), 1009.0);
        assert_eq!(histogram.ndv(), 10.0);
    }
}
