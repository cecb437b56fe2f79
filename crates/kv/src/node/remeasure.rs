//! Finding out how large regions are that nobody has measured, or from which much was removed.
//!
//! The counters of a region are upper bounds only as long as it was measured once, and far too high after deletions. With each heart beat
//! some regions are measured anew, within a budget. What matters is whether a region is small enough to be merged, so the measuring of
//! a large one ends early.

use std::sync::{Arc, atomic::Ordering};

use super::{
    Node,
    measure::{Measured, PieceSize, measure},
    open::approximate_bytes,
};
use crate::{error::CommandError, region::Region};

/// Regions looked at with one heart beat, and entries read in them.
const REGIONS_PER_ROUND: usize = 256;
const ENTRIES_PER_ROUND: u64 = 250_000;
/// A region with more than this is large, and not measured to its end.
const SMALL_BYTES_MAX: u64 = 32 << 20;
const SMALL_KEYS_MAX: u64 = 250_000;

impl Node {
    /// Measures some of the regions that need it.
    pub(super) async fn measure_some(self: &Arc<Self>) {
        let needy: Vec<_> =
            self.regions.all().into_iter().filter(|region| region.load.is_doubtful()).collect();
        if needy.is_empty() {
            return;
        }
        // Another part each time: some may be too large to be ever measured.
        let first = self.measured_rounds.fetch_add(REGIONS_PER_ROUND, Ordering::Relaxed) % needy.len();
        let node = self.clone();
        let measuring = self.compute.spawn(async move {
            let mut entries = 0;
            for region in needy.iter().cycle().skip(first).take(REGIONS_PER_ROUND.min(needy.len())) {
                match node.remeasure(region) {
                    Ok(read) => entries += read,
                    Err(error) => tracing::warn!(%error, region = region.id(), "a region was not measured"),
                }
                if entries >= ENTRIES_PER_ROUND {
                    break;
                }
                tokio::task::yield_now().await;
            }
        });
        if let Err(error) = measuring.await {
            tracing::warn!(%error, "the measuring of regions did not finish");
        }
    }

    /// Returns how many entries were read.
    fn remeasure(&self, region: &Region) -> Result<u64, CommandError> {
        let engine = &self.scheduler.engine;
        let load = &region.load;
        let _measuring = load.measuring.lock();
        if approximate_bytes(&**engine, region) >= self.config.region_bytes_split.max(SMALL_BYTES_MAX) {
            // Deletions show here after a compaction. Until then it is large, measured or not.
            return Ok(0);
        }
        let before = load.counts();
        let piece = PieceSize {
            bytes: u64::MAX,
            keys: u64::MAX,
            pieces_max: 1,
            region_bytes_max: SMALL_BYTES_MAX,
            region_keys_max: SMALL_KEYS_MAX,
        };
        let measured = measure(&*engine.snapshot(), region, piece)?;
        let read = measured.keys;
        if measured.is_complete {
            load.note_measured(before, &measured);
        } else {
            load.bytes.fetch_max(measured.bytes, Ordering::Relaxed);
            load.keys.fetch_max(measured.keys, Ordering::Relaxed);
            load.keys_removed.fetch_sub(before.keys_removed, Ordering::Relaxed);
            load.is_measured.store(true, Ordering::SeqCst);
        }
        Ok(read)
    }
}

/// The counters of a region at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counts {
    bytes: u64,
    keys: u64,
    keys_removed: u64,
}

impl crate::region::RegionLoad {
    pub(super) fn counts(&self) -> Counts {
        Counts {
            bytes: self.bytes.load(Ordering::Relaxed),
            keys: self.keys.load(Ordering::Relaxed),
            keys_removed: self.keys_removed.load(Ordering::Relaxed),
        }
    }

    /// Takes in a measurement of the whole region; what was counted since `before` stays counted.
    pub(super) fn note_measured(&self, before: Counts, measured: &Measured) {
        self.bytes.fetch_add(measured.bytes.wrapping_sub(before.bytes), Ordering::Relaxed);
        self.keys.fetch_add(measured.keys.wrapping_sub(before.keys), Ordering::Relaxed);
        self.keys_removed.fetch_sub(before.keys_removed, Ordering::Relaxed);
        self.is_measured.store(true, Ordering::SeqCst);
    }

    /// All or most of the region was removed at once.
    pub(super) fn note_emptied(&self) {
        self.keys_removed.fetch_add(self.keys.load(Ordering::Relaxed).max(1), Ordering::Relaxed);
    }

    /// Whether the region may be much smaller than its counters say, or larger.
    fn is_doubtful(&self) -> bool {
        let Counts { keys, keys_removed, .. } = self.counts();
        !self.is_measured.load(Ordering::SeqCst) || (keys_removed > 0 && keys_removed >= keys / 4)
    }
}
