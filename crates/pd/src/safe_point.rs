//! The GC safe point, and the services that hold it back.

use std::collections::BTreeMap;

/// A service's claim: nothing at or above `safe_point` may be collected until it lapses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) safe_point: u64,
    pub(crate) expires_micros: i64,
}

#[derive(Debug, Default)]
pub(crate) struct SafePoints {
    pub(crate) gc: u64,
    pub(crate) services: BTreeMap<Vec<u8>, Claim>,
}

impl SafePoints {
    /// The live claim with the lowest safe point.
    pub(crate) fn lowest(&self, now_micros: i64) -> Option<(&[u8], Claim)> {
        self.services
            .iter()
            .filter(|(_, claim)| claim.expires_micros > now_micros)
            .min_by_key(|(_, claim)| claim.safe_point)
            .map(|(id, claim)| (id.as_slice(), *claim))
    }

    /// What the safe point becomes when `wanted` is asked for: never lower than it is, never above a live claim.
    pub(crate) fn raised(&self, wanted: u64, now_micros: i64) -> u64 {
        let allowed = self.lowest(now_micros).map_or(wanted, |(_, claim)| wanted.min(claim.safe_point));
        self.gc.max(allowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rises_only_and_stops_at_live_claims() {
        let mut points = SafePoints { gc: 10, ..Default::default() };
        assert_eq!(points.raised(5, 0), 10);
        assert_eq!(points.raised(50, 0), 50);
        points.services.insert(b"backup".to_vec(), Claim { safe_point: 30, expires_micros: 100 });
        assert_eq!(points.raised(50, 99), 30);
        assert_eq!(points.raised(50, 100), 50);
    }
}
