//! The region tree: what is known about the regions, ordered by encoded start key.
//!
//! Reports come late and out of order, so the epoch decides. A report is refused when a region it overlaps has a newer version, or when it
//! is older than what is known about the same region; otherwise everything it overlaps is out of date and leaves.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use tidewater_proto::metapb;

/// A region and who leads it, as last reported.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RegionRecord {
    pub(crate) region: metapb::Region,
    pub(crate) leader: Option<metapb::Peer>,
}

/// A report that lost against what is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StaleReport {
    /// The known region that is newer.
    pub(crate) newer_id: u64,
}

/// What a report changes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Change {
    pub(crate) install: Arc<RegionRecord>,
    /// Ids of the regions that leave, without the reported one.
    pub(crate) remove: Vec<u64>,
}

#[derive(Debug, Default)]
pub(crate) struct RegionTree {
    by_start: BTreeMap<Bytes, Arc<RegionRecord>>,
    start_by_id: BTreeMap<u64, Bytes>,
    by_store: BTreeMap<u64, StoreRegions>,
    /// Mebibytes of regions, as last reported.
    sizes: BTreeMap<u64, u64>,
}

/// What one store has; ids are of regions.
#[derive(Debug, Default)]
pub(crate) struct StoreRegions {
    pub(crate) leaders: BTreeSet<u64>,
    /// All roles, leaders too.
    pub(crate) peers: BTreeSet<u64>,
    pub(crate) mebibytes: u64,
}

impl RegionTree {
    pub(crate) fn by_id(&self, id: u64) -> Option<&Arc<RegionRecord>> {
        self.by_start.get(self.start_by_id.get(&id)?)
    }

    /// The region that holds `key`.
    pub(crate) fn by_key(&self, key: &[u8]) -> Option<&Arc<RegionRecord>> {
        let (_, record) =
            self.by_start.range::<[u8], _>((Bound::Unbounded, Bound::Included(key))).next_back()?;
        holds(&record.region, key).then_some(record)
    }

    /// The region just before the one that holds `key`.
    pub(crate) fn before(&self, key: &[u8]) -> Option<&Arc<RegionRecord>> {
        let start = &self.by_key(key)?.region.start_key;
        let (_, record) =
            self.by_start.range::<[u8], _>((Bound::Unbounded, Bound::Excluded(&start[..]))).next_back()?;
        (record.region.end_key == *start).then_some(record)
    }

    /// The regions that intersect `[start, end)`, in key order; an empty `end` is unbounded.
    pub(crate) fn scan(&self, start: &[u8], end: &[u8]) -> impl Iterator<Item = &Arc<RegionRecord>> {
        let first = match self.by_key(start) {
            Some(record) => record.region.start_key.clone(),
            None => Bytes::copy_from_slice(start),
        };
        let end = end.to_vec();
        self.by_start
            .range((Bound::Included(first), Bound::Unbounded))
            .take_while(move |(region_start, _)| end.is_empty() || region_start[..] < end[..])
            .map(|(_, record)| record)
    }

    /// What a report would change: `None` if nothing.
    pub(crate) fn check(&self, report: RegionRecord) -> Result<Option<Change>, StaleReport> {
        let (version, conf_ver) = epoch(&report.region);
        if let Some(known) = self.by_id(report.region.id) {
            if **known == report {
                return Ok(None);
            }
            let (known_version, known_conf_ver) = epoch(&known.region);
            if version < known_version || conf_ver < known_conf_ver {
                return Err(StaleReport { newer_id: report.region.id });
            }
        }
        let overlapping: Vec<_> = self.scan(&report.region.start_key, &report.region.end_key).collect();
        if let Some(newer) = overlapping.iter().find(|known| epoch(&known.region).0 > version) {
            return Err(StaleReport { newer_id: newer.region.id });
        }
        let remove =
            overlapping.iter().map(|known| known.region.id).filter(|&id| id != report.region.id).collect();
        Ok(Some(Change { install: Arc::new(report), remove }))
    }

    pub(crate) fn apply(&mut self, change: &Change) {
        for id in change.remove.iter().chain([&change.install.region.id]) {
            if let Some(start) = self.start_by_id.remove(id)
                && let Some(gone) = self.by_start.remove(&start)
            {
                self.uncount(&gone);
            }
        }
        for id in &change.remove {
            self.sizes.remove(id);
        }
        self.count(&change.install);
        let region = &change.install.region;
        self.start_by_id.insert(region.id, region.start_key.clone());
        self.by_start.insert(region.start_key.clone(), change.install.clone());
    }

    /// Takes in how large a region is.
    pub(crate) fn note_size(&mut self, id: u64, mebibytes: u64) {
        let Some(record) = self.by_id(id).cloned() else { return };
        self.uncount(&record);
        self.sizes.insert(id, mebibytes);
        self.count(&record);
    }

    /// Mebibytes of a region, 0 if not known.
    pub(crate) fn size_of(&self, id: u64) -> u64 {
        self.sizes.get(&id).copied().unwrap_or_default()
    }

    /// What a store has; `None` if nothing ever.
    pub(crate) fn of_store(&self, store_id: u64) -> Option<&StoreRegions> {
        self.by_store.get(&store_id)
    }

    /// How many regions a store leads.
    pub(crate) fn led_by(&self, store_id: u64) -> usize {
        self.of_store(store_id).map_or(0, |store| store.leaders.len())
    }

    /// Mebibytes of the regions a store leads.
    pub(crate) fn mebibytes_led_by(&self, store_id: u64) -> u64 {
        let leaders = self.of_store(store_id).into_iter().flat_map(|store| &store.leaders);
        leaders.map(|id| self.size_of(*id)).sum()
    }

    fn count(&mut self, record: &RegionRecord) {
        let (id, mebibytes) = (record.region.id, self.size_of(record.region.id));
        for peer in &record.region.peers {
            let store = self.by_store.entry(peer.store_id).or_default();
            // Two peers on one store are an error of the report; what is counted once is uncounted once.
            if store.peers.insert(id) {
                store.mebibytes += mebibytes;
            }
        }
        if let Some(leader) = &record.leader {
            self.by_store.entry(leader.store_id).or_default().leaders.insert(id);
        }
    }

    fn uncount(&mut self, record: &RegionRecord) {
        let (id, mebibytes) = (record.region.id, self.size_of(record.region.id));
        for peer in &record.region.peers {
            if let Some(store) = self.by_store.get_mut(&peer.store_id)
                && store.peers.remove(&id)
            {
                store.mebibytes -= mebibytes;
            }
        }
        if let Some(store) = record.leader.and_then(|leader| self.by_store.get_mut(&leader.store_id)) {
            store.leaders.remove(&id);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.by_start.len()
    }
}

fn holds(region: &metapb::Region, key: &[u8]) -> bool {
    region.start_key[..] <= *key && (region.end_key.is_empty() || *key < region.end_key[..])
}

/// `(version, conf_ver)`.
fn epoch(region: &metapb::Region) -> (u64, u64) {
    region.region_epoch.as_ref().map_or((0, 0), |epoch| (epoch.version, epoch.conf_ver))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn region(id: u64, start: &str, end: &str, version: u64) -> RegionRecord {
        RegionRecord {
            region: metapb::Region {
                id,
                start_key: Bytes::copy_from_slice(start.as_bytes()),
                end_key: Bytes::copy_from_slice(end.as_bytes()),
                region_epoch: Some(metapb::RegionEpoch { conf_ver: 1, version }),
                peers: vec![],
            },
            leader: None,
        }
    }

    fn report(tree: &mut RegionTree, record: RegionRecord) -> Result<(), StaleReport> {
        if let Some(change) = tree.check(record)? {
            tree.apply(&change);
        }
        Ok(())
    }

    fn ids(tree: &RegionTree) -> Vec<u64> {
        tree.scan(b"", b"").map(|record| record.region.id).collect()
    }

    #[test]
    fn the_first_half_of_a_split_leaves_a_hole_until_the_second_is_reported() {
        let mut tree = RegionTree::default();
        report(&mut tree, region(1, "", "", 1)).unwrap();
        report(&mut tree, region(2, "", "m", 2)).unwrap();
        assert_eq!(ids(&tree), [2]);
        assert!(tree.by_key(b"z").is_none());
        report(&mut tree, region(1, "m", "", 2)).unwrap();
        assert_eq!(ids(&tree), [2, 1]);
        assert_eq!(report(&mut tree, region(1, "", "", 1)), Err(StaleReport { newer_id: 1 }));
        assert_eq!(tree.before(b"z").unwrap().region.id, 2);
        assert!(tree.before(b"a").is_none());
    }

    #[test]
    fn an_older_neighbour_leaves_and_a_newer_one_wins() {
        let mut tree = RegionTree::default();
        report(&mut tree, region(1, "a", "m", 3)).unwrap();
        report(&mut tree, region(2, "m", "z", 5)).unwrap();
        assert_eq!(report(&mut tree, region(3, "c", "p", 4)), Err(StaleReport { newer_id: 2 }));
        report(&mut tree, region(3, "c", "m", 4)).unwrap();
        assert_eq!(ids(&tree), [3, 2]);
        assert_eq!(tree.scan(b"d", b"m").count(), 1);
        assert_eq!(tree.scan(b"d", b"m\0").count(), 2);
    }

    proptest! {
        #[test]
        fn known_regions_never_overlap(reports in proptest::collection::vec((0u64..12, 0u8..16, 1u8..8, 0u64..6), 1..60)) {
            let mut tree = RegionTree::default();
            for (id, start, width, version) in reports {
                let (start, end) = (format!("{start:02}"), format!("{:02}", start + width));
                let before = tree.by_id(id).map(|known| epoch(&known.region));
                if report(&mut tree, region(id, &start, &end, version)).is_ok() {
                    prop_assert!(before <= tree.by_id(id).map(|known| epoch(&known.region)));
                }
                let known: Vec<_> = tree.scan(b"", b"").map(|r| (r.region.start_key.clone(), r.region.end_key.clone())).collect();
                prop_assert!(known.windows(2).all(|pair| pair[0].1 <= pair[1].0));
                prop_assert_eq!(known.len(), tree.start_by_id.len());
            }
        }
    }
}
