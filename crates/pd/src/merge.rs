//! Which regions should become one: neighbors that are small together.
//!
//! A decision is made when a region reports itself. It merges into a neighbor led by the same store; if its neighbor is on another store, the
//! smaller of the two is sent there first, and a later report merges them. Neither is moved by the balance in between.
//!
//! Why this comes to rest: two regions merge only if the result is small itself, well below where it would be split; a region that was split
//! is left alone for a while; and of neighbors on different stores only the smaller one moves, so the largest of a row stays where it is.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use tidewater_codec::EncodedKey;
use tidewater_proto::pdpb;

use crate::ScheduleConfig;
use crate::cluster::Cluster;
use crate::regions::RegionRecord;

/// A table's part of a key: its first byte and its id.
const TABLE_SPACE_LEN: usize = 9;
/// A keyspace's part of a key: its mode and its id.
const KEYSPACE_SPACE_LEN: usize = 4;

/// What should become of a region that reported itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It may stay as it is.
    Keep,
    /// It is to be merged, but not yet: it stays where it is.
    Wait,
    /// It goes into the region of this id, which its store leads too.
    Into(u64),
    /// It goes to the store of the region it is to be merged with.
    Follow { neighbor: u64, store_id: u64 },
}

/// Sizes as last reported, and orders that were given.
#[derive(Debug, Default)]
pub(crate) struct Merges {
    /// By region: of which version, and how much.
    sizes: BTreeMap<u64, (u64, Size)>,
    /// When regions were split, as long as that keeps them from being merged.
    split_micros: BTreeMap<u64, i64>,
    /// By the region that goes.
    ordered: BTreeMap<u64, Ordered>,
    /// Splits before this were seen by nobody.
    opened_micros: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Size {
    keys: u64,
    mebibytes: u64,
}

#[derive(Debug, Clone, Copy)]
struct Ordered {
    neighbor: u64,
    /// Of both when the order was given: any other says that it is carried out, or void.
    epochs: [Epoch; 2],
    expires_micros: i64,
}

/// Version and membership version; `None` is gone.
type Epoch = Option<(u64, u64)>;

impl Merges {
    pub(crate) fn new(opened_micros: i64) -> Self {
        Self { opened_micros, ..Self::default() }
    }

    /// Takes in how large a region says it is.
    pub(crate) fn note_size(&mut self, report: &pdpb::RegionHeartbeatRequest) {
        let Some(region) = &report.region else { return };
        let version = region.region_epoch.map_or(0, |epoch| epoch.version);
        // Zero says that the store does not know, as when the region has just come to it. The same keys are as large as they were elsewhere:
        // without this a region that went to its neighbor would be sent back by the balance before it is measured there.
        if report.approximate_size == 0 {
            if self.sizes.get(&region.id).is_some_and(|(known, _)| *known != version) {
                self.sizes.remove(&region.id);
            }
            return;
        }
        let size = Size { keys: report.approximate_keys, mebibytes: report.approximate_size };
        self.sizes.insert(region.id, (version, size));
    }

    /// Takes in that regions came out of a split.
    pub(crate) fn note_split(
        &mut self,
        config: &ScheduleConfig,
        region_ids: impl IntoIterator<Item = u64>,
        now_micros: i64,
    ) {
        let calm = micros(config.split_merge_interval);
        self.split_micros.retain(|_, split| now_micros.saturating_sub(*split) < calm);
        for id in region_ids {
            self.split_micros.insert(id, now_micros);
            // What was known is of the whole.
            self.sizes.remove(&id);
        }
    }

    /// Forgets regions that are no more.
    pub(crate) fn note_gone(&mut self, region_ids: &[u64]) {
        for id in region_ids {
            self.sizes.remove(id);
            self.split_micros.remove(id);
        }
    }

    /// What should become of the region that reports itself.
    pub(crate) fn decide(
        &mut self,
        config: &ScheduleConfig,
        cluster: &Cluster,
        report: &RegionRecord,
        now_micros: i64,
    ) -> Verdict {
        if config.merges_max == 0 || config.merge_region_bytes_max == 0 || config.merge_region_keys_max == 0 {
            return Verdict::Keep;
        }
        self.ordered.retain(|id, ordered| {
            let epochs = [epoch_of(cluster, *id), epoch_of(cluster, ordered.neighbor)];
            ordered.expires_micros > now_micros && ordered.epochs == epochs
        });
        let id = report.region.id;
        let (Some(leader), true) = (report.leader, self.may_merge(config, report, now_micros)) else {
            return Verdict::Keep;
        };
        let neighbors = self.neighbors(config, cluster, report, now_micros);
        if neighbors.is_empty() {
            return Verdict::Keep;
        }
        let verdict = neighbors
            .iter()
            .filter(|(neighbor, _)| !self.is_busy(id) && !self.is_busy(*neighbor))
            .find_map(|(neighbor, store_id)| match *store_id == leader.store_id {
                true => Some(Verdict::Into(*neighbor)),
                // Of two that are equal, one has to go.
                false if (self.size_of(id), id) < (self.size_of(*neighbor), *neighbor) => {
                    Some(Verdict::Follow { neighbor: *neighbor, store_id: *store_id })
                }
                false => None,
            });
        match verdict {
            Some(verdict) if self.ordered.len() < config.merges_max => verdict,
            _ => Verdict::Wait,
        }
    }

    /// Takes in that a verdict is an order.
    pub(crate) fn note_ordered(
        &mut self,
        config: &ScheduleConfig,
        cluster: &Cluster,
        region_id: u64,
        neighbor: u64,
        now_micros: i64,
    ) {
        let epochs = [epoch_of(cluster, region_id), epoch_of(cluster, neighbor)];
        let expires_micros = now_micros.saturating_add(micros(config.move_patience));
        self.ordered.insert(region_id, Ordered { neighbor, epochs, expires_micros });
    }

    fn size_of(&self, id: u64) -> Option<Size> {
        self.sizes.get(&id).map(|(_, size)| *size)
    }

    fn is_busy(&self, id: u64) -> bool {
        self.ordered.contains_key(&id) || self.ordered.values().any(|ordered| ordered.neighbor == id)
    }

    /// Whether a region is of the kind that is merged, if there is another.
    fn may_merge(&self, config: &ScheduleConfig, record: &RegionRecord, now_micros: i64) -> bool {
        let id = record.region.id;
        let was_split = self.split_micros.get(&id).copied().unwrap_or(self.opened_micros);
        now_micros.saturating_sub(was_split) >= micros(config.split_merge_interval)
            && (config.replicated || record.region.peers.len() == 1)
            // Some clients go on from the first key when a range reaches the last region: it stays small.
            && !record.region.end_key.is_empty()
            && self.size_of(id).is_some_and(|size| is_small(config, size))
    }

    /// The regions beside a small one that it may become a part of, the best first.
    pub(crate) fn partners(
        &self,
        config: &ScheduleConfig,
        cluster: &Cluster,
        record: &RegionRecord,
        now_micros: i64,
    ) -> Vec<u64> {
        if !self.may_merge(config, record, now_micros) {
            return Vec::new();
        }
        self.neighbors(config, cluster, record, now_micros).into_iter().map(|(id, _)| id).collect()
    }

    /// The regions beside this one that it may be merged with, with their stores; those of its own store first, the smallest first.
    fn neighbors(
        &self,
        config: &ScheduleConfig,
        cluster: &Cluster,
        record: &RegionRecord,
        now_micros: i64,
    ) -> Vec<(u64, u64)> {
        let region = &record.region;
        let (Some(space), Some(own)) = (space_of(&region.start_key), self.size_of(region.id)) else {
            return Vec::new();
        };
        let next = cluster.regions.by_key(&region.end_key);
        let mut found = Vec::new();
        for neighbor in [cluster.regions.before(&region.start_key), next].into_iter().flatten() {
            let (Some(leader), Some(size)) = (neighbor.leader, self.size_of(neighbor.region.id)) else {
                continue;
            };
            let both = Size { keys: own.keys + size.keys, mebibytes: own.mebibytes + size.mebibytes };
            let fits = is_small(config, both) || is_nothing(own) || is_nothing(size);
            if fits
                && self.may_merge(config, neighbor, now_micros)
                && space_of(&neighbor.region.start_key).as_ref() == Some(&space)
            {
                found.push((size, neighbor.region.id, leader.store_id));
            }
        }
        let here = record.leader.map(|leader| leader.store_id);
        found.sort_by_key(|(size, id, store_id)| (Reverse(Some(*store_id) == here), *size, *id));
        found.into_iter().map(|(_, id, store_id)| (id, store_id)).collect()
    }
}

fn is_small(config: &ScheduleConfig, size: Size) -> bool {
    size.mebibytes << 20 <= config.merge_region_bytes_max && size.keys <= config.merge_region_keys_max
}

/// The smallest size a store reports is one mebibyte.
fn is_nothing(size: Size) -> bool {
    size.mebibytes <= 1 && size.keys == 0
}

fn epoch_of(cluster: &Cluster, id: u64) -> Epoch {
    let record = cluster.regions.by_id(id)?;
    Some(record.region.region_epoch.map_or((0, 0), |epoch| (epoch.version, epoch.conf_ver)))
}

/// What all keys of a region have in common by our rules: regions of different spaces stay apart.
///
/// That is the table, or the keyspace with its mode, or else the first byte. The first region has no space.
fn space_of(start_key: &[u8]) -> Option<Vec<u8>> {
    let key = EncodedKey::from_encoded(start_key.to_vec()).decode().ok()?.into_bytes();
    let len = match key.first()? {
        b't' => TABLE_SPACE_LEN,
        b'r' | b'x' => KEYSPACE_SPACE_LEN,
        _ => 1,
    };
    Some(key.get(..len).unwrap_or(&key).to_vec())
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
