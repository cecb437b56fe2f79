//! Which region holds a key, remembered until a store contradicts.
//!
//! **Hot path**: a lookup is a read lock and one descent, and allocates nothing. For that the map is ordered by the *raw* form of the end
//! key, decoded once when a region is learned; the encoding preserves order, so raw and encoded keys find the same region.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;

use crate::Region;

/// The regions known to this client.
#[derive(Debug, Default)]
pub struct RegionCache {
    map: RwLock<Map>,
}

#[derive(Debug, Default)]
struct Map {
    by_end: BTreeMap<Bytes, Arc<Region>>,
    /// The region whose end is unbounded: its empty end would sort first.
    last: Option<Arc<Region>>,
}

impl RegionCache {
    /// An empty cache.
    pub fn new() -> Self {
        Self::default()
    }

    /// The region that holds a raw key, if it is known.
    pub fn find(&self, key: &[u8]) -> Option<Arc<Region>> {
        let map = self.map.read();
        let region = map.ending_after(key)?;
        (region.start()[..] <= *key).then(|| region.clone())
    }

    /// The region that holds the keys just below `end`, if it is known; an empty `end` is unbounded.
    pub fn find_before(&self, end: &[u8]) -> Option<Arc<Region>> {
        let map = self.map.read();
        let region = if end.is_empty() { map.last.as_ref()? } else { map.ending_at_or_after(end)? };
        (end.is_empty() || region.start()[..] < *end).then(|| region.clone())
    }

    /// Remembers a region, forgetting all it overlaps. Returns the region in force: a newer one stays.
    pub fn insert(&self, region: Arc<Region>) -> Arc<Region> {
        let mut map = self.map.write();
        let overlapping = map.overlapping(&region);
        let (version, conf_ver) = region.epoch();
        let newer = overlapping.iter().find(|known| {
            let (known_version, known_conf_ver) = known.epoch();
            known_version > version
                || (known.id() == region.id() && known_version == version && known_conf_ver > conf_ver)
        });
        if let Some(newer) = newer {
            // Another region's news do not answer for our key range: the caller uses what it asked for, once.
            return if newer.id() == region.id() && newer.range() == region.range() {
                newer.clone()
            } else {
                region
            };
        }
        for old in overlapping {
            map.remove(&old);
        }
        match region.end().is_empty() {
            true => map.last = Some(region.clone()),
            false => drop(map.by_end.insert(region.end().clone(), region.clone())),
        }
        region
    }

    /// Forgets a region, unless a different generation of it took its place.
    pub fn forget(&self, region: &Region) {
        let mut map = self.map.write();
        let same = |known: &&Arc<Region>| known.id() == region.id() && known.epoch() == region.epoch();
        if map.at_end(region.end()).filter(same).is_some() {
            map.remove(region);
        }
    }

    /// How many regions are known.
    pub fn len(&self) -> usize {
        let map = self.map.read();
        map.by_end.len() + usize::from(map.last.is_some())
    }

    /// Whether no region is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Map {
    fn ending_after(&self, key: &[u8]) -> Option<&Arc<Region>> {
        let after = self.by_end.range::<[u8], _>((Bound::Excluded(key), Bound::Unbounded)).next();
        after.map(|(_, region)| region).or(self.last.as_ref())
    }

    fn ending_at_or_after(&self, key: &[u8]) -> Option<&Arc<Region>> {
        let after = self.by_end.range::<[u8], _>((Bound::Included(key), Bound::Unbounded)).next();
        after.map(|(_, region)| region).or(self.last.as_ref())
    }

    fn at_end(&self, end: &Bytes) -> Option<&Arc<Region>> {
        if end.is_empty() { self.last.as_ref() } else { self.by_end.get(end) }
    }

    fn overlapping(&self, region: &Region) -> Vec<Arc<Region>> {
        let (start, end) = (region.start(), region.end());
        self.by_end
            .range::<[u8], _>((Bound::Excluded(&start[..]), Bound::Unbounded))
            .map(|(_, known)| known)
            .chain(&self.last)
            .take_while(|known| end.is_empty() || known.start() < end)
            .cloned()
            .collect()
    }

    fn remove(&mut self, region: &Region) {
        match region.end().is_empty() {
            true => self.last = None,
            false => drop(self.by_end.remove(region.end())),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tidewater_proto::metapb;

    use super::*;

    fn region(id: u64, start: &str, end: &str, version: u64) -> Arc<Region> {
        let region = metapb::Region {
            id,
            region_epoch: Some(metapb::RegionEpoch { conf_ver: 1, version }),
            peers: vec![metapb::Peer { id: id * 10, store_id: 1, ..Default::default() }],
            ..Default::default()
        };
        let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        Arc::new(Region::new(region, bytes(start), bytes(end), None).unwrap())
    }

    fn id(region: Option<Arc<Region>>) -> Option<u64> {
        region.map(|region| region.id())
    }

    #[test]
    fn finds_by_key_and_by_upper_bound() {
        let cache = RegionCache::new();
        cache.insert(region(1, "", "g", 1));
        cache.insert(region(2, "g", "p", 1));
        cache.insert(region(3, "p", "", 1));
        assert_eq!(
            ["", "f", "g", "ozz", "p", "zz"].map(|key| id(cache.find(key.as_bytes())).unwrap()),
            [1, 1, 2, 2, 3, 3]
        );
        assert_eq!(
            ["a", "g", "h", "p", "q", ""].map(|key| id(cache.find_before(key.as_bytes())).unwrap()),
            [1, 1, 2, 2, 3, 3]
        );
        cache.forget(&region(2, "g", "p", 1));
        assert_eq!(id(cache.find(b"h")), None);
        assert_eq!(id(cache.find_before(b"p")), None);
    }

    #[test]
    fn older_news_neither_replace_nor_forget_newer_ones() {
        let cache = RegionCache::new();
        cache.insert(region(1, "", "", 1));
        cache.insert(region(2, "", "m", 2));
        cache.insert(region(1, "m", "", 2));
        cache.insert(region(1, "", "", 1));
        assert_eq!(id(cache.find(b"a")), Some(2));
        cache.forget(&region(1, "", "", 1));
        assert_eq!(id(cache.find(b"z")), Some(1));
    }

    proptest! {
        #[test]
        fn never_answers_with_a_region_that_does_not_hold_the_key(
            news in proptest::collection::vec((1u64..9, 0u8..16, 1u8..8, 0u64..5, any::<bool>()), 1..40),
            probes in proptest::collection::vec(0u8..24, 10),
        ) {
            let cache = RegionCache::new();
            for (id, start, width, version, forget) in news {
                let news = region(id, &format!("{start:02}"), &format!("{:02}", start + width), version);
                if forget { cache.forget(&news) } else { cache.insert(news); }
            }
            for probe in probes {
                let key = format!("{probe:02}");
                if let Some(found) = cache.find(key.as_bytes()) {
                    prop_assert!(found.contains(key.as_bytes()));
                }
                if let Some(found) = cache.find_before(key.as_bytes()) {
                    prop_assert!(found.start()[..] < *key.as_bytes() && found.end()[..] >= *key.as_bytes());
                }
            }
        }
    }
}
