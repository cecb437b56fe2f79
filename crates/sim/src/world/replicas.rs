//! Replicas that have applied the same entries hold the same data: what no client sees until a leader dies.

use std::time::Duration;

use tidewater_kv::{Cf, Engine, IteratorOptions};
use tidewater_pd::RegionInfo;
use tokio::time::{Instant, sleep};

use super::World;
use crate::check::Finding;

/// How long members may take to catch up, once nothing befalls them any more.
const CATCH_UP_MAX: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(100);
/// The first byte of transactional data, and the byte after it.
const DATA_PREFIX: u8 = b'z';

/// One store's copy of a region.
struct Copy {
    store_id: u64,
    applied: Option<u64>,
    version: u64,
    content: Vec<(Cf, Vec<u8>, Vec<u8>)>,
}

impl World {
    /// Waits until most members of each region are level, and compares those.
    pub(crate) async fn compare_replicas(&self) -> Result<(), Finding> {
        let deadline = Instant::now() + CATCH_UP_MAX;
        if let Some(node) = self.stores.nodes().iter().find(|node| node.mismatch_count() > 0) {
            let text = format!("a replica on store {} was found to differ from the others", node.store_id());
            return Err(Finding { text, keys: Vec::new() });
        }
        loop {
            let regions = self.pds.driver().map_or(Vec::new(), |driver| driver.regions(&[], &[], usize::MAX));
            let mut late = None;
            for region in &regions {
                let copies = self.copies(region);
                // The others are on their way, or cannot be made just now.
                let level = most_level(&copies);
                if level.len() * 2 <= copies.len() {
                    let state = |copy: &Copy| (copy.store_id, copy.applied, copy.version);
                    late = Some((region.id, copies.iter().map(state).collect::<Vec<_>>()));
                } else if let Some(other) = level.iter().find(|copy| copy.content != level[0].content) {
                    return Err(differ(region.id, level[0], other));
                }
            }
            if late.is_none() && !regions.is_empty() {
                return Ok(());
            }
            if Instant::now() > deadline {
                let text = format!("replicas (store, applied, version) do not catch up: {late:?}");
                return Err(Finding { text, keys: Vec::new() });
            }
            sleep(LOOK).await;
        }
    }

    /// What each store has that should have a copy; looked at in one moment, for nothing else runs meanwhile.
    fn copies(&self, region: &RegionInfo) -> Vec<Copy> {
        let nodes = self.stores.nodes();
        let mut copies = Vec::new();
        for peer in &region.peers {
            let node = nodes.iter().find(|node| node.store_id() == peer.store_id);
            let info = node.and_then(|node| {
                node.replica_infos()
                    .into_iter()
                    .find(|info| info.region_id == region.id && info.peer_id == peer.id)
            });
            copies.push(Copy {
                store_id: peer.store_id,
                applied: info.as_ref().and_then(|info| info.applied),
                version: info.as_ref().map_or(0, |info| info.version),
                content: node.map_or(Vec::new(), |node| content(&**node.engine(), region)),
            });
        }
        copies
    }
}

/// The largest number of copies that have applied the same.
fn most_level(copies: &[Copy]) -> Vec<&Copy> {
    let with = |copy: &Copy| -> Vec<&Copy> {
        let is_level = |other: &&Copy| (other.applied, other.version) == (copy.applied, copy.version);
        copies.iter().filter(is_level).collect()
    };
    let present = copies.iter().filter(|copy| copy.applied.is_some());
    present.map(with).max_by_key(Vec::len).unwrap_or_default()
}

fn content(engine: &dyn Engine, region: &RegionInfo) -> Vec<(Cf, Vec<u8>, Vec<u8>)> {
    let lower = [&[DATA_PREFIX], &region.start_key[..]].concat();
    let upper = match region.end_key.is_empty() {
        true => vec![DATA_PREFIX + 1],
        false => [&[DATA_PREFIX], &region.end_key[..]].concat(),
    };
    let snapshot = engine.snapshot();
    let mut content = Vec::new();
    for cf in Cf::ALL {
        let mut iterator = snapshot.iterator(cf, IteratorOptions::range(lower.clone(), Some(upper.clone())));
        // Memory does not fail.
        let mut valid = iterator.seek(&lower).unwrap_or(false);
        while valid {
            content.push((cf, iterator.key().to_vec(), iterator.value().to_vec()));
            valid = iterator.next().unwrap_or(false);
        }
    }
    content
}

fn differ(region_id: u64, one: &Copy, other: &Copy) -> Finding {
    let only_one = one.content.iter().find(|entry| !other.content.contains(entry));
    let only_other = other.content.iter().find(|entry| !one.content.contains(entry));
    let show = |entry: Option<&(Cf, Vec<u8>, Vec<u8>)>| {
        entry.map(|(cf, key, value)| format!("{cf:?} {} = {}", key.escape_ascii(), value.escape_ascii()))
    };
    let text = format!(
        "replicas of region {region_id} differ after the same entries (up to {:?}): store {} has {:?}, store {} has {:?}",
        one.applied,
        one.store_id,
        show(only_one),
        other.store_id,
        show(only_other)
    );
    Finding { text, keys: Vec::new() }
}
