//! How much of the regions and of their leaders a store is to have, beside others.

/// Weights are kept in so many parts, so that scores are whole numbers and the same on every machine.
const PARTS: u64 = 1_000_000;
/// The greatest weight that can be set.
pub(crate) const WEIGHT_MAX: f64 = 1_000.0;

/// One weight: a store with twice the weight of another gets twice as much; one without weight gets what no other can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Weight(u64);

/// The weights of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct StoreWeights {
    pub(crate) leader: Weight,
    pub(crate) region: Weight,
}

impl Default for Weight {
    fn default() -> Self {
        Self(PARTS)
    }
}

impl Weight {
    /// `None` of what is no weight: less than nothing, more than [`WEIGHT_MAX`], no number.
    pub(crate) fn new(weight: f64) -> Option<Self> {
        (0.0..=WEIGHT_MAX).contains(&weight).then(|| Self((weight * PARTS as f64).round() as u64))
    }

    pub(crate) fn from_parts(parts: u64) -> Option<Self> {
        Self::new(parts as f64 / PARTS as f64)
    }

    pub(crate) fn parts(self) -> u64 {
        self.0
    }

    pub(crate) fn as_f64(self) -> f64 {
        self.0 as f64 / PARTS as f64
    }

    /// What a store with this weight counts for that has so much.
    pub(crate) fn score_of(self, has: i64) -> i64 {
        let score = i128::from(has) * i128::from(PARTS) / i128::from(self.0.max(1));
        // Half of what fits: scores are compared by their differences.
        score.clamp(i128::from(i64::MIN / 2), i128::from(i64::MAX / 2)) as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_divides_what_a_store_has() {
        assert_eq!(Weight::default().score_of(7), 7);
        assert_eq!(Weight::new(2.0).map(|weight| weight.score_of(7)), Some(3));
        assert_eq!(Weight::new(0.5).map(|weight| weight.score_of(7)), Some(14));
        let none = Weight::new(0.0).unwrap();
        assert_eq!((none.score_of(0), none.score_of(1)), (0, 1_000_000));
        assert!(none.score_of(i64::MAX) > 0);
        for odd in [-1.0, 1_000.1, f64::NAN, f64::INFINITY] {
            assert_eq!(Weight::new(odd), None);
        }
        let weight = Weight::new(1.25).unwrap();
        assert_eq!((Weight::from_parts(weight.parts()), weight.as_f64()), (Some(weight), 1.25));
    }
}
