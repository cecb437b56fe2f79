//! What regions report beside their records; not kept over restarts.
//!
//! Loads are decaying means over about [`MEAN_SECONDS`]. They are whole numbers, so that sums per store can be kept by adding and subtracting.

use std::collections::{BTreeMap, BTreeSet};

use tidewater_proto::{metapb, pdpb};

/// How far back the mean of a load looks.
const MEAN_SECONDS: u64 = 60;
/// Work per key, told in bytes.
const BYTES_PER_KEY: u64 = 100;
/// A region is not hot before it has reported this often in a row that it is.
const HOT_REPORTS_MIN: u32 = 3;

/// The latest of one region.
#[derive(Debug, Clone, Default)]
pub(crate) struct RegionStatus {
    /// Of the leader that reported last.
    pub(crate) term: u64,
    /// Ids of peers that have not caught up, and since when.
    pub(crate) pending: Vec<(u64, i64)>,
    /// Ids of peers that the leader does not hear of, and for how many seconds.
    pub(crate) down: Vec<(u64, u64)>,
    /// Bytes and keys per second, in one number of bytes per second.
    pub(crate) read_load: u64,
    pub(crate) write_load: u64,
    pub(crate) keys: u64,
    /// Between the last two reports.
    pub(crate) bytes_read: u64,
    pub(crate) bytes_written: u64,
    /// Reports in a row with a load that is hot.
    pub(crate) hot_reports: u32,
    pub(crate) reported_micros: i64,
    /// When it was last looked at whether its peers could be further apart.
    pub(crate) location_checked_micros: i64,
    /// When its leader was last moved for its heat.
    pub(crate) hot_moved_micros: i64,
}

/// The latest of all regions.
#[derive(Debug, Default)]
pub(crate) struct Statuses {
    by_region: BTreeMap<u64, RegionStatus>,
    /// Where each load is counted: the store that leads, and how much.
    counted: BTreeMap<u64, (u64, u64)>,
    by_store: BTreeMap<u64, StoreHeat>,
}

/// What one store leads that is hot.
#[derive(Debug, Default)]
struct StoreHeat {
    /// The sum of `regions`.
    load: u64,
    /// By load.
    regions: BTreeSet<(u64, u64)>,
}

impl RegionStatus {
    pub(crate) fn is_down(&self, peer_id: u64) -> bool {
        self.down.iter().any(|(id, _)| *id == peer_id)
    }

    /// Since when a peer has not caught up, if it has not.
    pub(crate) fn pending_since(&self, peer_id: u64) -> Option<i64> {
        self.pending.iter().find(|(id, _)| *id == peer_id).map(|(_, since)| *since)
    }

    pub(crate) fn load(&self) -> u64 {
        self.read_load + self.write_load
    }

    fn note(&mut self, report: &pdpb::RegionHeartbeatRequest, now_micros: i64) {
        let id_of = |peer: &metapb::Peer| peer.id;
        self.term = report.term;
        let since = |id: u64| self.pending_since(id).unwrap_or(now_micros);
        let pending = report.pending_peers.iter().map(|peer| (peer.id, since(peer.id))).collect();
        self.pending = pending;
        let down =
            report.down_peers.iter().filter_map(|down| Some((id_of(down.peer.as_ref()?), down.down_seconds)));
        self.down = down.collect();
        self.keys = report.approximate_keys;
        (self.bytes_read, self.bytes_written) = (report.bytes_read, report.bytes_written);
        let seconds = match &report.interval {
            Some(interval) => interval.end_timestamp.saturating_sub(interval.start_timestamp),
            None => u64::try_from((now_micros - self.reported_micros) / 1_000_000).unwrap_or_default(),
        };
        // The first report of an unknown interval would count its work as that of decades.
        let seconds = seconds.clamp(1, MEAN_SECONDS * 10);
        let mean = |old: u64, bytes: u64, keys: u64| {
            let rate = bytes.saturating_add(keys.saturating_mul(BYTES_PER_KEY)) / seconds;
            // Near enough to an exponential decay, and the same on every machine.
            (old.saturating_mul(MEAN_SECONDS).saturating_add(rate.saturating_mul(seconds)))
                / (MEAN_SECONDS + seconds)
        };
        self.read_load = mean(self.read_load, report.bytes_read, report.keys_read);
        self.write_load = mean(self.write_load, report.bytes_written, report.keys_written);
        self.reported_micros = now_micros;
    }
}

impl Statuses {
    pub(crate) fn get(&self, region_id: u64) -> Option<&RegionStatus> {
        self.by_region.get(&region_id)
    }

    pub(crate) fn get_mut(&mut self, region_id: u64) -> Option<&mut RegionStatus> {
        self.by_region.get_mut(&region_id)
    }

    /// Takes in what a region says of itself. From `hot_load_min` on it counts as hot.
    pub(crate) fn note(&mut self, report: &pdpb::RegionHeartbeatRequest, hot_load_min: u64, now_micros: i64) {
        let Some(region) = &report.region else { return };
        let status = self.by_region.entry(region.id).or_default();
        status.note(report, now_micros);
        let is_hot = status.load() >= hot_load_min.max(1);
        status.hot_reports = if is_hot { status.hot_reports.saturating_add(1) } else { 0 };
        let count = report.leader.as_ref().filter(|_| is_hot).map(|leader| (leader.store_id, status.load()));
        self.count(region.id, count);
    }

    /// Forgets a region that is no more.
    pub(crate) fn forget(&mut self, region_id: u64) {
        self.count(region_id, None);
        self.by_region.remove(&region_id);
    }

    /// Whether a region has been hot for a while.
    pub(crate) fn is_hot(&self, region_id: u64) -> bool {
        self.get(region_id).is_some_and(|status| status.hot_reports >= HOT_REPORTS_MIN)
    }

    /// The load of the hot regions that a store leads.
    pub(crate) fn hot_load(&self, store_id: u64) -> u64 {
        self.by_store.get(&store_id).map_or(0, |heat| heat.load)
    }

    /// The hot regions that a store leads with their loads, the hottest first.
    pub(crate) fn hottest(&self, store_id: u64) -> impl Iterator<Item = (u64, u64)> + '_ {
        let regions = self.by_store.get(&store_id).into_iter().flat_map(|heat| heat.regions.iter().rev());
        regions.map(|(load, id)| (*id, *load)).filter(|(id, _)| self.is_hot(*id))
    }

    fn count(&mut self, region_id: u64, at: Option<(u64, u64)>) {
        let before = match at {
            Some(at) => self.counted.insert(region_id, at),
            None => self.counted.remove(&region_id),
        };
        if before == at {
            return;
        }
        if let Some((store_id, load)) = before
            && let Some(heat) = self.by_store.get_mut(&store_id)
        {
            heat.load -= load;
            heat.regions.remove(&(load, region_id));
        }
        if let Some((store_id, load)) = at {
            let heat = self.by_store.entry(store_id).or_default();
            heat.load += load;
            heat.regions.insert((load, region_id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(store_id: u64, bytes_read: u64) -> pdpb::RegionHeartbeatRequest {
        pdpb::RegionHeartbeatRequest {
            region: Some(metapb::Region { id: 7, ..Default::default() }),
            leader: Some(metapb::Peer { id: 1, store_id, ..Default::default() }),
            bytes_read,
            interval: Some(pdpb::TimeInterval { start_timestamp: 0, end_timestamp: 10 }),
            ..Default::default()
        }
    }

    #[test]
    fn loads_follow_the_leader_and_fade() {
        let mut statuses = Statuses::default();
        for _ in 0..60 {
            statuses.note(&report(1, 1_000_000), 1_000, 0);
        }
        let load = statuses.hot_load(1);
        assert!((95_000..=100_000).contains(&load), "{load} of 100 kB per second");
        assert_eq!(statuses.hottest(1).collect::<Vec<_>>(), [(7, load)]);
        statuses.note(&report(2, 1_000_000), 1_000, 0);
        assert_eq!(statuses.hot_load(1), 0);
        assert!(statuses.hot_load(2) > 0);
        for _ in 0..60 {
            statuses.note(&report(2, 0), 1_000, 0);
        }
        assert_eq!((statuses.hot_load(2), statuses.is_hot(7)), (0, false));
        statuses.note(&report(2, 100_000_000), 1_000, 0);
        statuses.forget(7);
        assert_eq!(statuses.hot_load(2), 0);
    }
}
