//! Reports to the placement driver, and commands that work on whole ranges.

use std::{
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};

use tidewater_codec::TimeStamp;
use tidewater_proto::{PdError, kvrpcpb, metapb, pdpb};
use tokio::time::Instant;

use super::{Node, try_command, try_region};
use crate::{
    Cf, Durability, IteratorOptions, WriteBatch,
    api::{self, KeyMode},
    data_version::WriteMark,
    error::CommandError,
    meta,
    mvcc::{DataKey, PessimisticChange, data_range},
    raw::RawSpace,
    region::{KeyForm, Region},
    replica::Lead,
    replication::{Outcome, WriteError},
};

/// Reports regularly until the node is gone.
pub(super) async fn heartbeats(node: Weak<Node>, interval: Duration) {
    loop {
        tokio::time::sleep(interval).await;
        let Some(node) = node.upgrade() else { return };
        node.measure_some().await;
        node.report().await;
        node.bury_damaged().await;
    }
}

/// A member that is this many entries behind is not caught up.
const PENDING_LAG: u64 = 128;
/// A member that has been silent for this long is reported.
const DOWN_SILENCE: Duration = Duration::from_secs(3);

fn down_peers(region: &metapb::Region, lead: &Lead) -> Vec<pdpb::PeerStats> {
    let silent = lead.group.silent_members(DOWN_SILENCE);
    let find = |id: u64| region.peers.iter().find(|peer| peer.id == id).copied();
    let down = silent
        .into_iter()
        .map(|(id, silence)| pdpb::PeerStats { peer: find(id), down_seconds: silence.as_secs() });
    down.filter(|stats| stats.peer.is_some()).collect()
}

fn pending_peers(region: &metapb::Region, lead: &Lead) -> Vec<metapb::Peer> {
    let others = region.peers.iter().filter(|peer| peer.id != lead.group.peer_id());
    others.filter(|peer| !lead.group.is_caught_up(peer.id, PENDING_LAG)).copied().collect()
}

impl Node {
    /// Tells the placement driver how the store and its regions are. Failures are left to the next report.
    pub(super) async fn report(&self) {
        if !self.report_store().await {
            return;
        }
        for region in self.regions.all() {
            self.report_region(&region).await;
        }
    }

    /// Tells the placement driver how the store is; `false` if it was not heard.
    pub(super) async fn report_store(&self) -> bool {
        let regions = self.regions.all();
        let space = self.health.space();
        let snapshots = self.replicas.as_ref().map(|replicas| replicas.snapshot_counts()).unwrap_or_default();
        let damaged = self.replicas.as_ref().map(|replicas| replicas.damages.lock().all());
        let (damaged_regions_id, damaged_peers_id) = damaged.into_iter().flatten().unzip();
        let stats = pdpb::StoreStats {
            store_id: self.store_id,
            region_count: self.replicas.as_ref().map_or(regions.len(), |replicas| replicas.count()) as u32,
            used_size: regions.iter().map(|region| region.load.bytes.load(Ordering::Relaxed)).sum(),
            capacity: space.map_or(0, |space| space.total),
            available: space.map_or(0, |space| space.available),
            slow_score: self.health.slow_score(),
            is_busy: self.health.is_full(),
            sending_snap_count: snapshots.sending as u32,
            receiving_snap_count: snapshots.receiving as u32,
            applying_snap_count: snapshots.installing as u32,
            damaged_regions_id,
            damaged_peers_id,
            ..Default::default()
        };
        let heartbeat = pdpb::StoreHeartbeatRequest { stats: Some(stats), ..Default::default() };
        if let Err(error) = self.pd.store_heartbeat(heartbeat).await {
            tracing::warn!(%error, "the store heartbeat failed");
            return false;
        }
        true
    }

    /// Reports a region, and does what it is told to.
    pub(super) async fn report_region(&self, region: &Arc<Region>) {
        if let Some(order) = self.heartbeat_of(region).await {
            self.obey(region, &order);
        }
    }

    /// Reports a region; returns what the placement driver says to it.
    pub(super) async fn heartbeat_of(&self, region: &Region) -> Option<pdpb::RegionHeartbeatResponse> {
        let load = &region.load;
        let (bytes_read, keys_read) = load.reads.news();
        let heartbeat = pdpb::RegionHeartbeatRequest {
            region: Some(region.meta.clone()),
            leader: Some(region.peer),
            bytes_written: load.bytes_written.swap(0, Ordering::Relaxed),
            keys_written: load.keys_written.swap(0, Ordering::Relaxed),
            bytes_read,
            keys_read,
            approximate_size: match load.is_measured.load(Ordering::SeqCst) {
                true => (load.bytes.load(Ordering::Relaxed) >> 20).max(1),
                // Nobody knows, which the placement driver must not take for little.
                false => load.bytes.load(Ordering::Relaxed) >> 20,
            },
            approximate_keys: load.keys.load(Ordering::Relaxed),
            term: region.lead.as_ref().map_or(0, |lead| lead.term),
            down_peers: region.lead.as_ref().map_or_else(Vec::new, |lead| down_peers(&region.meta, lead)),
            pending_peers: region
                .lead
                .as_ref()
                .map_or_else(Vec::new, |lead| pending_peers(&region.meta, lead)),
            ..Default::default()
        };
        match self.pd.region_heartbeat(heartbeat).await {
            Ok(order) => return Some(order),
            // Overtaken by the report of a split or a move.
            Err(PdError::InvalidValue { reason }) => {
                tracing::debug!(reason, region = region.id(), "an old report")
            }
            Err(error) => tracing::warn!(%error, region = region.id(), "the region heartbeat failed"),
        }
        None
    }

    pub(super) async fn delete_range(
        &self,
        request: kvrpcpb::DeleteRangeRequest,
    ) -> kvrpcpb::DeleteRangeResponse {
        let context = request.context.as_ref();
        let region = try_region!(self.regions.check(context));
        try_command!(api::check_range(context, KeyMode::Txn, &request.start_key, &request.end_key));
        if request.notify_only {
            return kvrpcpb::DeleteRangeResponse::default();
        }
        let (start, end) = region.clamp(&request.start_key, &request.end_key);
        match region.lead.is_some() {
            true => try_command!(self.delete_replicated(&region, data_range(start, end)).await),
            false => try_command!(self.destroy_txn(start, end).await),
        }
        kvrpcpb::DeleteRangeResponse::default()
    }

    /// Removes what lies in a range of engine keys of a replicated region, on all its replicas.
    async fn delete_replicated(
        &self,
        region: &Arc<Region>,
        (lower, upper): (Vec<u8>, Vec<u8>),
    ) -> Result<(), CommandError> {
        const KEYS_PER_BATCH: usize = 4096;
        for cf in Cf::ALL {
            loop {
                let mut batch = WriteBatch::new();
                {
                    let options = IteratorOptions::range(lower.clone(), Some(upper.clone()));
                    let mut cursor = self.scheduler.engine.snapshot().iterator(cf, options);
                    let mut valid = cursor.seek(&lower)?;
                    while valid && batch.ops().len() < KEYS_PER_BATCH {
                        batch.delete(cf, cursor.key().to_vec());
                        valid = cursor.next()?;
                    }
                }
                if batch.is_empty() {
                    break;
                }
                let flight = self.scheduler.rows.begin(&batch);
                let mark = region.version.begin(TimeStamp::ZERO);
                let release = Box::new(move |outcome| match outcome {
                    Outcome::Visible => {
                        flight.finish(true);
                        mark.done();
                    }
                    Outcome::Refused | Outcome::Unknown => flight.forget(),
                });
                self.scheduler.write(region, batch, Durability::Sync, release).await?;
            }
        }
        region.load.note_emptied();
        Ok(())
    }

    /// Removes transactional data, or raw data of API version 2 if the range begins with its mode byte.
    ///
    /// Raw data of version 1 has no range of its own that could be told from transactional keys: `RawDeleteRange` removes that.
    pub(super) async fn unsafe_destroy_range(
        &self,
        request: kvrpcpb::UnsafeDestroyRangeRequest,
    ) -> kvrpcpb::UnsafeDestroyRangeResponse {
        // By intention without regard to regions: it goes to every store.
        let (context, start, end) = (request.context.as_ref(), &request.start_key, &request.end_key);
        if let Some(context) = context {
            try_region!(self.regions.check_cluster(context));
        }
        let is_raw = try_command!(api::is_v2(context)) && start.first() == Some(&KeyMode::Raw.byte());
        let mode = if is_raw { KeyMode::Raw } else { KeyMode::Txn };
        try_command!(api::check_range(context, mode, start, end));
        let moved = self.moved_since(Instant::now()).await;
        match mode {
            KeyMode::Txn => try_command!(self.destroy_txn(start, end).await),
            KeyMode::Raw => try_command!(self.destroy_raw(start, end).await),
        }
        self.destroy_elsewhere(&request, moved).await;
        kvrpcpb::UnsafeDestroyRangeResponse::default()
    }

    async fn destroy_txn(&self, start: &[u8], end: &[u8]) -> Result<(), WriteError> {
        let (lower, upper) = data_range(start, end);
        let pessimistic = &self.scheduler.pessimistic;
        let locks = pessimistic.range(
            &DataKey::from_engine(&lower),
            Some(&DataKey::from_engine(&upper)),
            usize::MAX,
            |_| true,
        );
        pessimistic.apply(locks.into_iter().map(|(key, _)| PessimisticChange::Remove(key)).collect());
        let regions = self.regions.all();
        let marks: Vec<_> = regions.iter().map(|region| region.version.begin(TimeStamp::ZERO)).collect();
        let flight = self.scheduler.rows.begin_everywhere();
        let result = self.destroy_engine_range(&Cf::ALL, &lower, &upper).await;
        flight.finish(result.is_ok());
        if result.is_ok() {
            marks.into_iter().for_each(WriteMark::done);
        }
        result
    }

    /// In all of the clients' column families.
    async fn destroy_raw(&self, start: &[u8], end: &[u8]) -> Result<(), WriteError> {
        for space in RawSpace::all().filter(|space| space.form == KeyForm::Encoded) {
            // An empty end is the end of the mode, which is the end of the space.
            let (lower, upper) = space.engine_range(start, end);
            self.destroy_engine_range(&[Cf::Default], &lower, &upper).await?;
        }
        Ok(())
    }

    /// Removes everything in a range of engine keys, for good when this returns.
    pub(super) async fn destroy_engine_range(
        &self,
        families: &[Cf],
        lower: &[u8],
        upper: &[u8],
    ) -> Result<(), WriteError> {
        let replication = &self.scheduler.replication;
        replication.check_writable().map_err(WriteError::Refused)?;
        // Before and after: who looks meanwhile finds it half done.
        self.consistency.note_destroyed(lower, upper);
        for cf in families {
            self.scheduler.engine.delete_range(*cf, lower, upper).map_err(WriteError::Unknown)?;
        }
        for region in self.regions.all().iter().filter(|region| region.meets_engine_range(lower, upper)) {
            region.load.note_emptied();
        }
        // The engine removes ranges without a sync. A synced write behind it makes it last.
        self.consistency.note_destroyed(lower, upper);
        let mut fence = WriteBatch::new();
        meta::touch(&mut fence);
        replication.write(fence, Durability::Sync, Box::new(|_| ())).await
    }
}
