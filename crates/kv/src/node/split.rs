//! Splitting regions: by size, or because somebody asked, a client or the placement driver. `split_by_load` has its own reasons.
//!
//! The left part keeps the region's id; the others get ids from the placement driver. All parts get the same, higher version. With one
//! replica per region a split is one batch of metadata: no data moves, and requests under way hit the same engine before and after.

use std::{
    collections::BTreeSet,
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};

use tidewater_codec::{DecodeError, EncodedKey, Key};
use tidewater_proto::{PdError, kvrpcpb, metapb, pdpb};
use tokio::sync::mpsc;

use super::{
    Node,
    measure::{Measured, PieceSize, measure},
};
use crate::{
    Durability, EngineError, WriteBatch,
    error::CommandError,
    meta,
    region::Region,
    replica::encode_split,
    replication::{WriteError, propose},
};

/// Pieces one split makes, at most.
const PIECES_MAX: usize = 64;

/// How long after a split its parts report themselves once more.
const SECOND_REPORT: Duration = Duration::from_millis(400);

/// Why a region was not split.
#[derive(Debug, thiserror::Error)]
pub enum SplitError {
    /// The placement driver gave no ids.
    #[error("the placement driver: {0}")]
    Pd(#[from] PdError),
    /// The new regions could not be written.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The placement driver gave too few ids, or too many.
    #[error("the placement driver answered with {given} ids for {wanted} regions")]
    Ids {
        /// How many regions were to be made.
        wanted: usize,
        /// How many ids there are.
        given: usize,
    },
    /// The region does not exist any more.
    #[error("the region is gone")]
    Gone,
    /// Where the middle is could not be found.
    #[error("the region was not measured: {reason}")]
    Unmeasured {
        /// What failed.
        reason: String,
    },
    /// A key to split at is no key.
    #[error("the key to split at is not encoded: {0}")]
    Key(#[from] DecodeError),
}

/// Checks regions that grew, a while after they did, until the node is gone.
pub(super) async fn check_splits(
    node: Weak<Node>,
    mut requested: mpsc::UnboundedReceiver<u64>,
    delay: Duration,
) {
    let mut grown = Vec::new();
    while requested.recv_many(&mut grown, usize::MAX).await > 0 {
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        for region_id in grown.drain(..) {
            let Some(node) = node.upgrade() else { return };
            node.check_split(region_id).await;
        }
    }
}

impl Node {
    /// Queues a region for a split check if it may have grown too large.
    pub(super) fn request_split_check(&self, region: &Region) {
        let load = &region.load;
        if load.replaced.load(Ordering::SeqCst) {
            // The write began before a split: its keys went to some of the parts, which did not count them.
            for part in self.regions.overlapping(&region.raw_start, &region.raw_end) {
                self.queue_split_check(&part);
            }
            return;
        }
        let (bytes_floor, keys_floor) =
            (load.bytes_floor.load(Ordering::Relaxed), load.keys_floor.load(Ordering::Relaxed));
        let is_large = load.bytes.load(Ordering::Relaxed) >= self.config.region_bytes_max.max(bytes_floor)
            || load.keys.load(Ordering::Relaxed) >= self.config.region_keys_max.max(keys_floor);
        if is_large {
            self.queue_split_check(region);
        }
    }

    fn queue_split_check(&self, region: &Region) {
        if !region.load.check_requested.swap(true, Ordering::Relaxed) {
            // The receiver lives as long as the node.
            let _ = self.split_checks.send(region.id());
        }
    }

    async fn check_split(self: Arc<Self>, region_id: u64) {
        let Some(region) = self.regions.get(region_id) else { return };
        // Measuring reads the whole region: work for the compute runtime, not for the one that answers requests.
        let (node, measured) = (self.clone(), region.clone());
        let measuring = self.compute.spawn(async move { node.find_split_keys(&measured) });
        let keys = match measuring.await {
            Ok(Ok(keys)) => keys,
            Ok(Err(error)) => {
                tracing::warn!(%error, region = region_id, "the split check failed");
                Vec::new()
            }
            Err(error) => {
                tracing::warn!(%error, region = region_id, "the split check did not finish");
                Vec::new()
            }
        };
        region.load.check_requested.store(false, Ordering::Relaxed);
        if keys.is_empty() {
            // What was written in the meantime did not ask.
            self.request_split_check(&region);
            return;
        }
        match self.split(region_id, &keys).await {
            Ok(metas) => {
                let count = metas.len();
                let parts: Vec<_> = metas.iter().filter_map(|meta| self.regions.get(meta.id)).collect();
                parts.iter().for_each(|part| self.request_split_check(part));
                if let (Some(rest), PIECES_MAX) = (parts.last(), count) {
                    // One split makes so many pieces and no more: the last one holds all the rest.
                    self.queue_split_check(rest);
                }
            }
            Err(error) => tracing::warn!(%error, region = region_id, "the split failed"),
        }
    }

    /// Measures a region; returns where to cut it if it is too large.
    fn find_split_keys(&self, region: &Region) -> Result<Vec<Key>, CommandError> {
        let load = &region.load;
        let _measuring = load.measuring.lock();
        let before = load.counts();
        let config = &self.config;
        let piece = PieceSize {
            bytes: config.region_bytes_split,
            keys: config.region_keys_split,
            pieces_max: PIECES_MAX,
            region_bytes_max: u64::MAX,
            region_keys_max: u64::MAX,
        };
        let measured = measure(&*self.scheduler.engine.snapshot(), region, piece)?;
        load.note_measured(before, &measured);
        let Measured { bytes, keys, cuts, .. } = measured;
        // A region that cannot be cut (many versions of one key) is not measured again with every write.
        load.bytes_floor.store(bytes + config.region_bytes_split / 8, Ordering::Relaxed);
        load.keys_floor.store(keys + config.region_keys_split / 8 + 1, Ordering::Relaxed);
        let too_large = bytes >= config.region_bytes_max || keys >= config.region_keys_max;
        Ok(if too_large { cuts } else { Vec::new() })
    }

    /// Cuts a region where the placement driver wants it cut. A region that has nothing to cut at stays whole.
    pub(super) async fn split_as_ordered(
        self: &Arc<Self>,
        region: &Arc<Region>,
        order: &pdpb::SplitRegion,
    ) -> Result<(), SplitError> {
        let keys = match order.policy() {
            pdpb::CheckPolicy::Usekey => {
                let decode = |key: &bytes::Bytes| EncodedKey::from_encoded(key.to_vec()).decode();
                order.keys.iter().map(decode).collect::<Result<Vec<_>, _>>()?
            }
            policy => {
                let (node, region) = (self.clone(), region.clone());
                let middle = self.compute.spawn(async move { node.find_middle(&region, policy) });
                let unmeasured = |reason: String| SplitError::Unmeasured { reason };
                let middle = middle.await.map_err(|error| unmeasured(error.to_string()))?;
                middle.map_err(|error| unmeasured(error.to_string()))?.into_iter().collect()
            }
        };
        self.split(region.id(), &keys).await.map(|_| ())
    }

    /// The key that half of a region's data lies before; `None` of a region that cannot be cut.
    fn find_middle(&self, region: &Region, policy: pdpb::CheckPolicy) -> Result<Option<Key>, CommandError> {
        let snapshot = self.scheduler.engine.snapshot();
        let everything = PieceSize {
            bytes: u64::MAX,
            keys: u64::MAX,
            pieces_max: 1,
            region_bytes_max: u64::MAX,
            region_keys_max: u64::MAX,
        };
        let whole = match policy {
            pdpb::CheckPolicy::Approximate => region.load.bytes.load(Ordering::Relaxed),
            pdpb::CheckPolicy::Scan | pdpb::CheckPolicy::Usekey => {
                measure(&*snapshot, region, everything)?.bytes
            }
        };
        // The estimate may be of more than there is: then the cut comes where half of what was counted would be.
        let half = PieceSize { bytes: (whole / 2).max(1), pieces_max: 2, ..everything };
        let cut = measure(&*snapshot, region, half)?.cuts.into_iter().next();
        match (cut, policy) {
            (None, pdpb::CheckPolicy::Approximate) => self.find_middle(region, pdpb::CheckPolicy::Scan),
            (cut, _) => Ok(cut),
        }
    }

    /// Splits at all keys, however many there are.
    pub(super) async fn split_everywhere(&self, keys: &[Key]) -> Result<(), SplitError> {
        let mut keys = keys.to_vec();
        keys.sort();
        for keys in keys.chunks(PIECES_MAX - 1) {
            for region in self.regions.all() {
                self.split(region.id(), keys).await?;
            }
        }
        Ok(())
    }

    /// Cuts a region at user keys; those on its boundaries or outside are ignored. Returns all parts in key order.
    pub(super) async fn split(
        &self,
        region_id: u64,
        keys: &[Key],
    ) -> Result<Vec<metapb::Region>, SplitError> {
        let _gate = self.split_gate.lock().await;
        let region = self.regions.get(region_id).filter(|region| region.is_open()).ok_or(SplitError::Gone)?;
        let inside = |key: &&Key| region.contains(key.as_bytes()) && key.as_bytes() != region.raw_start;
        let cuts = keys.iter().filter(inside).map(Key::encode).collect::<BTreeSet<_>>();
        let cuts = cuts.into_iter().take(PIECES_MAX - 1).collect::<Vec<_>>();
        if cuts.is_empty() {
            return Ok(vec![region.meta.clone()]);
        }
        let request = pdpb::AskBatchSplitRequest {
            region: Some(region.meta.clone()),
            split_count: cuts.len() as u32,
            ..Default::default()
        };
        let ids = self.pd.ask_batch_split(request).await?.ids;
        if ids.len() != cuts.len() {
            return Err(SplitError::Ids { wanted: cuts.len(), given: ids.len() });
        }
        let mut metas = split_metas(&region.meta, &cuts, &ids);
        if self.config.flaws.splits_keep_version {
            metas.iter_mut().for_each(|part| part.region_epoch = region.meta.region_epoch);
        }
        match &region.lead {
            Some(lead) => {
                let command = encode_split(&region.meta, metas.clone());
                let proposed = propose(lead, region.id(), command, Box::new(|_| ())).await;
                proposed.map_err(WriteError::into_engine_error)?;
                // With its parts in the table, as far as they are led here.
                self.report_split(&metas).await;
            }
            None => self.split_alone(&region, &metas).await?,
        }
        metrics::counter!("tidewater_kv_region_split_total").increment(1);
        for part in metas.iter().filter_map(|meta| self.regions.get(meta.id)) {
            self.report_region(&part).await;
        }
        if region.lead.is_some() {
            self.report_parts_later(&metas);
        }
        Ok(metas)
    }

    /// Parts report themselves again a moment after the split: whoever asked for it may want them elsewhere, and they would not hear of it before
    /// their next regular report.
    fn report_parts_later(&self, metas: &[metapb::Region]) {
        let (node, ids) = (self.this.clone(), metas.iter().map(|meta| meta.id).collect::<Vec<_>>());
        tokio::spawn(async move {
            tokio::time::sleep(SECOND_REPORT).await;
            for id in ids {
                let Some(node) = node.upgrade() else { return };
                if let Some(part) = node.regions.get(id) {
                    node.report_region(&part).await;
                }
            }
        });
    }

    /// A split of the only copy.
    async fn split_alone(&self, region: &Arc<Region>, metas: &[metapb::Region]) -> Result<(), EngineError> {
        let mut batch = WriteBatch::new();
        for meta in metas {
            meta::put_region(&mut batch, meta);
        }
        let written = self.scheduler.replication.write(batch, Durability::Sync, Box::new(|_| ())).await;
        written.map_err(WriteError::into_engine_error)?;
        let mut parts = Vec::with_capacity(metas.len());
        for meta in metas {
            let part = Region::descend([region], meta.clone(), self.store_id)
                .map_err(|error| EngineError::Corrupt { what: "region", reason: error.to_string() })?;
            part.load.take_share(&region.load, metas.len());
            parts.push(Arc::new(part));
        }
        // The placement driver hears of it before anybody meets the new boundaries here: keys must never belong to no region there. If it
        // does not hear now, heartbeats will tell.
        self.report_split(metas).await;
        self.regions.install(parts);
        Ok(())
    }

    async fn report_split(&self, metas: &[metapb::Region]) {
        let report = pdpb::ReportBatchSplitRequest { regions: metas.to_vec(), ..Default::default() };
        if let Err(error) = self.pd.report_batch_split(report).await {
            tracing::warn!(%error, region = metas[0].id, "the split was not reported");
        }
    }

    pub(super) async fn split_region(
        &self,
        request: kvrpcpb::SplitRegionRequest,
    ) -> kvrpcpb::SplitRegionResponse {
        let failed = |error: tidewater_proto::errorpb::Error| kvrpcpb::SplitRegionResponse {
            region_error: Some(error),
            ..Default::default()
        };
        let region = match self.regions.check(request.context.as_ref()) {
            Ok(region) => region,
            Err(error) => return failed(*error),
        };
        let mut keys = request.split_keys;
        if keys.is_empty() {
            keys.push(request.split_key);
        }
        for key in &keys {
            if let Err(error) = region.check_key(key) {
                return failed(*error);
            }
        }
        let keys = keys.into_iter().map(|key| Key::new(key.to_vec())).collect::<Vec<_>>();
        match self.split(region.id(), &keys).await {
            Ok(regions) => kvrpcpb::SplitRegionResponse {
                left: regions.first().cloned(),
                right: regions.last().cloned(),
                regions,
                ..Default::default()
            },
            Err(error) => {
                failed(tidewater_proto::errorpb::Error { message: error.to_string(), ..Default::default() })
            }
        }
    }
}

fn split_metas(region: &metapb::Region, cuts: &[EncodedKey], ids: &[pdpb::SplitId]) -> Vec<metapb::Region> {
    let mut epoch = region.region_epoch.unwrap_or_default();
    epoch.version += cuts.len() as u64;
    let boundary = |cut: &EncodedKey| bytes::Bytes::copy_from_slice(cut.as_bytes());
    let end_of = |index: usize| cuts.get(index).map_or_else(|| region.end_key.clone(), boundary);
    let mut metas = vec![metapb::Region { region_epoch: Some(epoch), end_key: end_of(0), ..region.clone() }];
    for (index, (cut, id)) in cuts.iter().zip(ids).enumerate() {
        let mut part = metapb::Region {
            id: id.new_region_id,
            start_key: boundary(cut),
            end_key: end_of(index + 1),
            region_epoch: Some(epoch),
            peers: region.peers.clone(),
        };
        for (peer, id) in part.peers.iter_mut().zip(&id.new_peer_ids) {
            peer.id = *id;
        }
        metas.push(part);
    }
    metas
}
