//! Merging two regions without replicas of this store, by order of the placement driver.
//!
//! The source becomes a part of its neighbor, the target, whose id stays. With one replica per region a merge is one batch of metadata, as a
//! split is: no data moves, requests under way hit the same engine before and after, and locks, latches and waits do not know of regions. The
//! result has a version above both, so that whoever still believes in one of the two is told better.

use std::sync::{Arc, atomic::Ordering};

use tidewater_proto::{metapb, pdpb};

use super::Node;
use crate::{
    Durability, EngineError, WriteBatch, meta, region::Region, replica::merged_region,
    replication::WriteError,
};

/// Why two regions were not merged.
#[derive(Debug, thiserror::Error)]
enum MergeError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// One of the two was split, merged or moved since the order was given, or is about to move.
    #[error("the regions are not as the placement driver believes")]
    Outdated,
}

impl Node {
    /// Carries out an order to merge, in the background.
    pub(super) fn obey_merge(&self, source: &Arc<Region>, order: &pdpb::Merge) {
        let (Some(node), Some(target)) = (self.this.upgrade(), order.target.clone()) else { return };
        let source = source.clone();
        tokio::spawn(async move {
            let (from, into) = (source.id(), target.id);
            match node.merge(&source, &target).await {
                Ok(()) => {
                    tracing::info!(region = from, into, "the region was merged");
                    metrics::counter!("tidewater_kv_region_merge_total").increment(1);
                }
                Err(error) => tracing::info!(%error, region = from, into, "the region was not merged"),
            }
        });
    }

    async fn merge(&self, source: &Arc<Region>, target: &metapb::Region) -> Result<(), MergeError> {
        // Neither is split meanwhile, nor closed for a move.
        let _gate = self.split_gate.lock().await;
        let source = self.open_region(&source.meta)?;
        let target = self.open_region(target)?;
        let meta = merged_region(&source.meta, &target.meta).ok_or(MergeError::Outdated)?;
        let mut batch = WriteBatch::new();
        meta::put_region(&mut batch, &meta);
        meta::delete_region(&mut batch, source.id());
        // Whoever gave it to us, and did not hear that we took it, offers it again: it must not come back to life.
        let conf_ver = source.meta.region_epoch.map_or(0, |epoch| epoch.conf_ver);
        meta::put_gone(&mut batch, source.id(), conf_ver);
        let written = self.scheduler.replication.write(batch, Durability::Sync, Box::new(|_| ())).await;
        written.map_err(WriteError::into_engine_error)?;
        let merged = Region::join(meta, self.store_id, &[&source, &target])
            .map_err(|error| EngineError::Corrupt { what: "region", reason: error.to_string() })?;
        let merged = Arc::new(merged);
        // Before anybody meets the result here, as after a split. One report replaces both regions: no key is without one in between.
        let order = self.heartbeat_of(&merged).await;
        self.regions.replace_merged(source.id(), merged.clone());
        if let Some(order) = order {
            self.obey(&merged, &order);
        }
        Ok(())
    }

    /// A region of this store, if it still is as somebody describes it.
    fn open_region(&self, described: &metapb::Region) -> Result<Arc<Region>, MergeError> {
        let region = self
            .regions
            .get(described.id)
            .filter(|region| region.is_open() && region.meta.region_epoch == described.region_epoch);
        region.ok_or(MergeError::Outdated)
    }
}

impl Region {
    /// What two regions of this node become.
    pub(super) fn join(
        meta: metapb::Region,
        store_id: u64,
        parts: &[&Arc<Self>],
    ) -> Result<Self, tidewater_codec::DecodeError> {
        let joined = Self::descend(parts.iter().copied(), meta, store_id)?;
        for part in parts {
            let (load, sum) = (&part.load, &joined.load);
            let pairs = [
                (&load.bytes, &sum.bytes),
                (&load.keys, &sum.keys),
                (&load.keys_removed, &sum.keys_removed),
                (&load.bytes_written, &sum.bytes_written),
                (&load.keys_written, &sum.keys_written),
            ];
            for (from, to) in pairs {
                to.fetch_add(from.load(Ordering::Relaxed), Ordering::Relaxed);
            }
        }
        let are_measured = parts.iter().all(|part| part.load.is_measured.load(Ordering::SeqCst));
        joined.load.is_measured.store(are_measured, Ordering::SeqCst);
        Ok(joined)
    }
}
