//! How replicas go: their peers are no members any more, or another region has taken theirs in.

use tidewater_proto::pdpb;

use super::{Node, NodeError};
use crate::{Cf, Durability, WriteBatch, meta, region::Region, replication::WriteError};

impl Node {
    /// Removes a replica with its data: its peer, which has a smaller id than `before`, is not a member any more. Nothing happens while there is a
    /// replica of the region `unless`, which may have taken the data over.
    pub(super) async fn destroy_replica(
        &self,
        region_id: u64,
        before: u64,
        unless: Option<u64>,
    ) -> Result<(), NodeError> {
        let Some(replicas) = &self.replicas else { return Ok(()) };
        let _lives = replicas.lives.lock().await;
        if unless.is_some_and(|other| replicas.get(other).is_some()) {
            return Ok(());
        }
        let replica = replicas.get(region_id);
        let engine = &self.scheduler.engine;
        let stored = meta::load_applied(&**engine, region_id)?.map(|(peer_id, _)| peer_id);
        let own = replica.as_ref().map(|replica| replica.group.peer_id()).or(stored);
        let own = own.or_else(|| replicas.damages.lock().idle_peer(region_id));
        let Some(own) = own.filter(|own| *own < before) else { return Ok(()) };
        self.stop_serving(region_id);
        replicas.raft.stop(region_id).await;
        if let Some(replica) = &replica {
            replica.retire().await;
        }
        let region = match &replica {
            // One that shows no region has none: another one has taken it in, and has its data.
            Some(replica) => replica.shape.lock().region.take(),
            None => meta::load_region(&**engine, region_id)?,
        };
        let mut batch = WriteBatch::new();
        meta::delete_region(&mut batch, region_id);
        meta::delete_applied(&mut batch, region_id);
        meta::delete_installation(&mut batch, region_id);
        meta::delete_damage(&mut batch, region_id);
        meta::set_merging(&mut batch, region_id, None);
        meta::put_tombstone(&mut batch, region_id, own);
        engine.write(batch, Durability::Sync)?;
        if let Some(region) = region {
            let store_id = region.peers.first().map_or(self.store_id, |peer| peer.store_id);
            for (lower, upper) in Region::new(region, store_id)?.engine_ranges() {
                for cf in Cf::ALL {
                    engine.delete_range(cf, &lower, &upper)?;
                }
            }
        }
        replicas.raft.remove(region_id).await?;
        replicas.table.write().remove(&region_id);
        replicas.damages.lock().forget(region_id);
        tracing::info!(region = region_id, "the replica was removed");
        Ok(())
    }

    /// Removes what is left of a replica whose region is a part of another one here.
    pub(super) async fn bury(&self, region_id: u64) -> Result<(), NodeError> {
        let Some(replicas) = &self.replicas else { return Ok(()) };
        let _lives = replicas.lives.lock().await;
        replicas.raft.stop(region_id).await;
        replicas.table.write().remove(&region_id);
        // Its log is what it would be made of again if the merge were not durable.
        self.sync().await.map_err(WriteError::into_engine_error)?;
        Ok(replicas.raft.remove(region_id).await?)
    }

    /// Asks the placement driver whether a replica was removed, as another member says.
    pub(super) async fn ask_about_removal(&self, region_id: u64) {
        let Some(replica) = self.replicas.as_ref().and_then(|replicas| replicas.get(region_id)) else {
            return;
        };
        let request = pdpb::GetRegionByIdRequest { region_id, ..Default::default() };
        let Ok(answer) = self.pd.get_region_by_id(request).await else { return };
        let Some(known) = answer.region else { return self.ask_about_merge(&replica).await };
        let own = replica.meta().and_then(|meta| meta.region_epoch).unwrap_or_default();
        let is_newer = known.region_epoch.is_some_and(|epoch| epoch.conf_ver > own.conf_ver);
        let is_member = known
            .peers
            .iter()
            .any(|peer| peer.id >= replica.group.peer_id() && peer.store_id == self.store_id);
        if is_newer
            && !is_member
            && let Err(error) = self.destroy_replica(region_id, replica.group.peer_id() + 1, None).await
        {
            tracing::error!(%error, region = region_id, "a removed replica is still here");
        }
    }

    /// Whether the placement driver, too, knows a peer of a region on this store.
    pub(super) async fn has_peer_by_pd(&self, region_id: u64, peer_id: u64) -> bool {
        let request = pdpb::GetRegionByIdRequest { region_id, ..Default::default() };
        let known = self.pd.get_region_by_id(request).await.ok().and_then(|answer| answer.region);
        known.is_some_and(|region| {
            region.peers.iter().any(|peer| peer.id == peer_id && peer.store_id == self.store_id)
        })
    }
}
