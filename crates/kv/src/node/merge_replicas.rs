//! Merging two replicated regions, by order of the placement driver, and bringing merges to an end that others began.
//!
//! What the entries mean is in [`crate::replica::merge`]. Whoever leads a prepared source goes on with it, wherever that is after crashes and
//! elections: it follows the target's leader, so that one node leads both, and then either the target takes the source in, or it never will
//! and the source goes on by itself.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures::future::join_all;
use tidewater_proto::{StoreRequest, StoreResponse, metapb, pdpb, regionpb};
use tidewater_raft::GroupError;
use tokio::time::{Instant, sleep};

use super::{Node, open::current_ts, orders::SILENCE_MAX, replicas::Event};
use crate::{
    Durability, WriteBatch, meta,
    region::Region,
    replica::{
        Lead, Replica, encode_abort_merge, encode_commit_merge, encode_prepare_merge, encode_rollback_merge,
        merged_region,
    },
    replication::{WriteError, propose},
};

/// How long the stores have to get ready. The source is not served meanwhile.
const READY_PATIENCE: Duration = Duration::from_secs(2);
const READY_LOOK: Duration = Duration::from_millis(5);
/// Between looks at a merge that cannot go on now: the target is led elsewhere, or nobody knows where.
const STRANDED_LOOK: Duration = Duration::from_millis(200);
/// All members have to be this close before a merge begins.
const LAG_MAX: u64 = 16;

/// Why a merge was not begun.
#[derive(Debug, thiserror::Error)]
pub(super) enum MergeRefusal {
    #[error("the regions are not as the placement driver believes")]
    Outdated,
    #[error("not all members are there and well")]
    Unwell,
    #[error("the target is led elsewhere, and the leader follows it")]
    Follows,
    #[error("the target is about to change")]
    Busy,
    #[error(transparent)]
    Raft(#[from] GroupError),
    #[error("the preparation was not proposed: {0:?}")]
    Write(WriteError),
}

/// What a step towards the end of a merge has led to.
enum Progress {
    Over,
    /// The next look is due after this.
    Again(Duration),
}

fn version_of(region: &metapb::Region) -> u64 {
    region.region_epoch.map_or(0, |epoch| epoch.version)
}

/// Whether two regions have peers of the same kind on the same stores.
fn are_together(one: &metapb::Region, other: &metapb::Region) -> bool {
    let has_twin = |peer: &metapb::Peer| {
        other.peers.iter().any(|twin| twin.store_id == peer.store_id && twin.role == peer.role)
    };
    one.peers.len() == other.peers.len() && one.peers.iter().all(has_twin)
}

fn are_all_well(lead: &Lead) -> bool {
    let members = lead.group.status().membership;
    let is_well = |peer: &u64| *peer == lead.group.peer_id() || lead.group.is_caught_up(*peer, LAG_MAX);
    !members.is_joint()
        && members.members.keys().all(is_well)
        && lead.group.silent_members(SILENCE_MAX).is_empty()
}

impl Node {
    /// Begins to merge a region that is led here into its neighbor; what follows goes on by itself.
    pub(super) async fn prepare_merge(
        &self,
        source_id: u64,
        target: &metapb::Region,
    ) -> Result<(), MergeRefusal> {
        let led = |id| {
            let region = self.regions.get(id).filter(|region| region.is_open())?;
            region.lead.clone().map(|lead| (region, lead))
        };
        let (source, lead) = led(source_id).ok_or(MergeRefusal::Outdated)?;
        let Some((target, target_lead)) = led(target.id) else {
            self.follow_leader(&lead, target.id).await?;
            return Err(MergeRefusal::Follows);
        };
        let fit =
            merged_region(&source.meta, &target.meta).is_some() && are_together(&source.meta, &target.meta);
        if !fit {
            return Err(MergeRefusal::Outdated);
        }
        if !are_all_well(&lead) || !are_all_well(&target_lead) {
            return Err(MergeRefusal::Unwell);
        }
        let busy = self.replicas.as_ref().map(|replicas| &replicas.busy).ok_or(MergeRefusal::Outdated)?;
        if !busy.lock().insert(target.id()) {
            return Err(MergeRefusal::Busy);
        }
        let command = encode_prepare_merge(&source.meta, target.meta.clone());
        let prepared = propose(&lead, source_id, command, Box::new(|_| ())).await;
        busy.lock().remove(&target.id());
        prepared.map_err(MergeRefusal::Write)
    }

    /// Gives the leadership of a region to the store where another one is led.
    async fn follow_leader(&self, lead: &Lead, target_id: u64) -> Result<(), GroupError> {
        let target = self.replicas.as_ref().and_then(|replicas| replicas.get(target_id));
        let Some(target) = target else { return Ok(()) };
        let members = target.group.status().membership.members;
        let store_id = target.group.status().leader.and_then(|leader| members.get(&leader).copied());
        let own = lead.group.status().membership.members;
        let twin = own.iter().find(|(_, at)| Some(**at) == store_id).map(|(peer_id, _)| *peer_id);
        match twin.filter(|peer_id| *peer_id != lead.group.peer_id()) {
            Some(peer_id) => lead.group.transfer_leader(peer_id).await,
            None => Ok(()),
        }
    }

    /// A region is prepared to become a part of another one: as long as that is open, nothing is read or written. Tells whether it is led here.
    pub(super) fn suspend(&self, prepared: &metapb::Region) -> bool {
        let Some(old) = self.regions.get(prepared.id) else { return false };
        old.close();
        if old.meta.region_epoch != prepared.region_epoch {
            match old.reshaped(prepared.clone(), self.store_id) {
                Ok(region) => {
                    region.close();
                    self.regions.install(vec![Arc::new(region)]);
                }
                Err(error) => {
                    tracing::error!(%error, region = prepared.id, "a region cannot be prepared");
                    self.stop_serving(prepared.id);
                    return false;
                }
            }
        }
        // Those who wait for locks have to come again, there or elsewhere.
        self.wake_waiters(&old);
        true
    }

    /// A region has taken another one in: it is served as it is now, if it is led here. Locks in memory stay where they are.
    pub(super) fn join_served(&self, merged: &metapb::Region, source_id: u64) {
        let source = self.regions.get(source_id);
        let Some(target) = self.regions.get(merged.id) else { return self.stop_serving(source_id) };
        if target.meta.region_epoch == merged.region_epoch {
            // It came into the table after this had happened, before anybody told.
            return self.stop_serving(source_id);
        }
        let parts: Vec<_> = source.iter().chain([&target]).collect();
        match Region::join(merged.clone(), self.store_id, &parts) {
            Ok(mut region) => {
                region.lead = target.lead.clone();
                if source.is_none() {
                    region.load.is_measured.store(false, Ordering::SeqCst);
                }
                // What was remembered of the source's keys may be from before another led it.
                self.scheduler.rows.begin_everywhere().finish(true);
                self.regions.replace_merged(source_id, Arc::new(region));
                metrics::counter!("tidewater_kv_region_merge_total").increment(1);
            }
            Err(error) => {
                tracing::error!(%error, region = merged.id, "a merged region cannot be served");
                self.stop_serving(source_id);
                self.stop_serving(merged.id);
            }
        }
    }

    /// Brings the merge of a prepared region to an end, as long as it is led here.
    pub(super) async fn finish_merge(self: Arc<Self>, source_id: u64) {
        let Some(replicas) = &self.replicas else { return };
        if !replicas.merging.lock().insert(source_id) {
            return;
        }
        let deadline = Instant::now() + READY_PATIENCE;
        loop {
            match self.go_on_merging(source_id, deadline).await {
                Progress::Over => break,
                Progress::Again(pause) => sleep(pause).await,
            }
        }
        replicas.merging.lock().remove(&source_id);
        // Leadership may have come back a moment ago, and found this still at work.
        let is_open = replicas.get(source_id).is_some_and(|replica| replica.merging_into().is_some());
        if is_open && self.regions.get(source_id).is_some() {
            let _ = replicas.events.send(Event::Merging(source_id));
        }
    }

    async fn go_on_merging(&self, source_id: u64, deadline: Instant) -> Progress {
        let Some(replica) = self.replicas.as_ref().and_then(|replicas| replicas.get(source_id)) else {
            return Progress::Over;
        };
        let Some(wanted) = replica.merging_into() else { return Progress::Over };
        // The target before the source: they change in the table at once, so a source that is found there after a target that has changed was not
        // taken in by it.
        let served =
            self.regions.get(wanted.id).and_then(|target| target.lead.clone().map(|lead| (target, lead)));
        let Some(source) = self.regions.get(source_id) else { return Progress::Over };
        let Some(lead) = source.lead.clone() else { return Progress::Over };
        let Some((target, target_lead)) = served else {
            if self.is_target_lost(&source, &wanted).await {
                return self.roll_back(&source, &lead).await;
            }
            if let Err(error) = self.follow_leader(&lead, wanted.id).await {
                tracing::info!(%error, region = source_id, "a prepared region does not follow its target");
            }
            return Progress::Again(STRANDED_LOOK);
        };
        if target.meta.region_epoch != wanted.region_epoch {
            // It has changed and the source is here: it will not be taken in.
            return self.roll_back(&source, &lead).await;
        }
        if Instant::now() >= deadline {
            tracing::info!(
                region = source_id,
                into = wanted.id,
                "the merge is given up, a store is not ready"
            );
            let aborted =
                propose(&target_lead, wanted.id, encode_abort_merge(&target.meta), Box::new(|_| ()));
            let _ = aborted.await;
            return Progress::Again(READY_LOOK);
        }
        if !self.is_ready_everywhere(&source).await {
            return Progress::Again(READY_LOOK);
        }
        // Nobody reads the source any more: its readers had timestamps below this.
        match current_ts(&*self.pd).await {
            Ok(now) => self.scheduler.concurrency.note_read(now),
            Err(error) => {
                tracing::info!(%error, region = source_id, "a merge waits for a timestamp");
                return Progress::Again(STRANDED_LOOK);
            }
        }
        let command = encode_commit_merge(&target.meta, source.meta.clone());
        match propose(&target_lead, wanted.id, command, Box::new(|_| ())).await {
            Ok(()) => {
                tracing::info!(region = source_id, into = wanted.id, "the region was merged");
                Progress::Over
            }
            Err(error) => {
                tracing::info!(?error, region = source_id, into = wanted.id, "the region was not merged");
                Progress::Again(READY_LOOK)
            }
        }
    }

    async fn roll_back(&self, source: &Region, lead: &Lead) -> Progress {
        let command = encode_rollback_merge(&source.meta);
        match propose(lead, source.id(), command, Box::new(|_| ())).await {
            Ok(()) => {
                tracing::info!(region = source.id(), "the region goes on by itself");
                Progress::Over
            }
            Err(_) => Progress::Again(READY_LOOK),
        }
    }

    /// Whether this store has no replica of the target any more, and the placement driver, which hears of the target, still knows the source.
    async fn is_target_lost(&self, source: &Region, wanted: &metapb::Region) -> bool {
        if self.replicas.as_ref().is_none_or(|replicas| replicas.get(wanted.id).is_some()) {
            return false;
        }
        self.owner_by_pd(&source.meta).await.is_some_and(|owner| owner.id == source.id())
    }

    /// The region that has the first key of this one by now.
    async fn owner_by_pd(&self, region: &metapb::Region) -> Option<metapb::Region> {
        let region_key = region.start_key.clone();
        let request = pdpb::GetRegionRequest { region_key, ..Default::default() };
        self.pd.get_region(request).await.ok()?.region
    }

    async fn is_ready_everywhere(&self, source: &Region) -> bool {
        let request =
            regionpb::CheckMergeRequest { region_id: source.id(), version: version_of(&source.meta) };
        let asked = source.meta.peers.iter().map(async |peer| {
            if peer.store_id == self.store_id {
                return self.check_merge(&request).await.is_ready;
            }
            let Ok(link) = self.link_to(peer.store_id).await else { return false };
            match link.call(StoreRequest::CheckMerge(request)).await {
                Ok(StoreResponse::CheckMerge(answer)) => answer.is_ready,
                _ => false,
            }
        });
        join_all(asked).await.into_iter().all(|is_ready| is_ready)
    }

    /// Whether this store's replica of a region is prepared to become a part of another one, for good.
    pub(super) async fn check_merge(
        &self,
        request: &regionpb::CheckMergeRequest,
    ) -> regionpb::CheckMergeResponse {
        let is_prepared = |replica: &Replica| {
            // Held while an entry is applied: what is seen in the shape is in the engine, too.
            let _applying = replica.is_absorbed.lock();
            let shape = replica.shape.lock();
            !shape.is_damaged
                && shape.merging_into.is_some()
                && shape.region.as_ref().map(version_of) == Some(request.version)
        };
        let replica = self.replicas.as_ref().and_then(|replicas| replicas.get(request.region_id));
        let is_read = self.regions.get(request.region_id).is_some_and(|region| !region.is_drained());
        if !replica.is_some_and(|replica| is_prepared(&replica)) || is_read {
            return regionpb::CheckMergeResponse::default();
        }
        regionpb::CheckMergeResponse { is_ready: self.sync().await.is_ok() }
    }

    /// Makes everything durable that was written until now.
    pub(super) async fn sync(&self) -> Result<(), WriteError> {
        let mut fence = WriteBatch::new();
        meta::touch(&mut fence);
        self.scheduler.replication.write(fence, Durability::Sync, Box::new(|_| ())).await
    }

    /// Whether a replica's region has become a part of another one, whose content is about to come. One that was prepared for it stays until then;
    /// one that was not is of a peer that had been removed before, without hearing of it, and goes.
    pub(super) async fn is_taken_in(&self, replica: &Replica, by: &metapb::Region) -> bool {
        let is_prepared = match replica.merging_into() {
            Some(target) if target.id != by.id => return false,
            target => target.is_some(),
        };
        self.was_merged(replica).await && (is_prepared || self.forget_merged(replica, None).await)
    }

    /// A replica whose region the placement driver does not know any more may be a part of another one, of which there is no replica here.
    pub(super) async fn ask_about_merge(&self, replica: &Replica) {
        let target = replica.merging_into().map(|target| target.id);
        if self.was_merged(replica).await {
            self.forget_merged(replica, target).await;
        }
    }

    async fn forget_merged(&self, replica: &Replica, unless: Option<u64>) -> bool {
        let (region_id, before) = (replica.group.id(), replica.group.peer_id() + 1);
        let destroyed = self.destroy_replica(region_id, before, unless).await;
        if let Err(error) = &destroyed {
            tracing::error!(%error, region = region_id, "a merged replica is still here");
        }
        destroyed.is_ok()
    }

    /// Whether the placement driver does not know a region any more, and another one has its keys.
    async fn was_merged(&self, replica: &Replica) -> bool {
        let Some(own) = replica.meta() else { return false };
        let request = pdpb::GetRegionByIdRequest { region_id: own.id, ..Default::default() };
        let is_known = self.pd.get_region_by_id(request).await.map(|answer| answer.region.is_some());
        if !matches!(is_known, Ok(false)) {
            return false;
        }
        let owner = self.owner_by_pd(&own).await;
        owner.is_some_and(|owner| owner.id != own.id && version_of(&owner) > version_of(&own))
    }
}
