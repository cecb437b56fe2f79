//! HyperLogLog: the number of distinct values in fixed memory.
//!
//! Flajolet, Fusy, Gandouet, Meunier: "HyperLogLog: the analysis of a near-optimal cardinality estimation algorithm"
//! (AofA 2007), with linear counting for small sets. No bias correction in between: the planner does not need it.

use std::hash::Hasher;

use serde::{Deserialize, Serialize};
use twox_hash::XxHash64;

/// 2^12 registers: a standard error of 1.6 %.
const PRECISION: u32 = 12;

/// A sketch of a set. Sketches of parts merge to that of the whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DistinctSketch {
    #[serde(with = "crate::hex_bytes")]
    registers: Vec<u8>,
}

impl Default for DistinctSketch {
    fn default() -> Self {
        DistinctSketch { registers: vec![0; 1 << PRECISION] }
    }
}

impl DistinctSketch {
    /// Adds a value by its bytes.
    pub fn insert(&mut self, value: &[u8]) {
        let mut hasher = XxHash64::with_seed(0);
        hasher.write(value);
        let hash = hasher.finish();
        let register = (hash >> (64 - PRECISION)) as usize;
        let rank = ((hash << PRECISION) | 1 << (PRECISION - 1)).leading_zeros() as u8 + 1;
        self.registers[register] = self.registers[register].max(rank);
    }

    /// Adds all values of another sketch. A sketch of another size (from damaged storage) is left out.
    pub fn merge(&mut self, other: &DistinctSketch) {
        for (own, other) in self.registers.iter_mut().zip(&other.registers) {
            *own = (*own).max(*other);
        }
    }

    /// About how many distinct values were added.
    pub fn estimate(&self) -> f64 {
        let count = self.registers.len().max(1) as f64;
        let sum: f64 = self.registers.iter().map(|rank| (-f64::from(*rank)).exp2()).sum();
        let raw = 0.7213 / (1.0 + 1.079 / count) * count * count / sum.max(f64::MIN_POSITIVE);
        let empty = self.registers.iter().filter(|rank| **rank == 0).count();
        if raw <= 2.5 * count && empty > 0 { count * (count / empty as f64).ln() } else { raw }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_are_within_five_percent() {
        for count in [10u64, 1_000, 20_000, 300_000] {
            let mut sketch = DistinctSketch::default();
            for value in 0..count {
                sketch.insert(&value.to_be_bytes());
                sketch.insert(&value.to_be_bytes());
            }
            let estimate = sketch.estimate();
            assert!((estimate / count as f64 - 1.0).abs() < 0.05, "{count}: {estimate}");
        }
    }

    #[test]
    fn merging_is_the_union() {
        let (mut left, mut right, mut both) = <(DistinctSketch, DistinctSketch, DistinctSketch)>::default();
        for value in 0..5_000u64 {
            left.insert(&value.to_be_bytes());
            right.insert(&(value + 2_500).to_be_bytes());
            both.insert(&value.to_be_bytes());
            both.insert(&(value + 2_500).to_be_bytes());
        }
        left.merge(&right);
        assert_eq!(left, both);
    }
}
