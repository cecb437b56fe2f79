//! What is served of what is led: a member that becomes leader puts its region into the table of those that requests are answered for, and takes it out.
//!
//! Between the two a request may come too early, or while the lease of a leader that slept is being renewed. It waits for that, since clients that
//! are sent to a leader go there at once and have few attempts.

use std::{sync::Arc, time::Duration};

use tidewater_proto::{errorpb, kvrpcpb, metapb};
use tidewater_raft::Role;
use tokio::time::Instant;

use super::{Node, open::current_ts, replicas::Event};
use crate::{
    mvcc::{DataKey, PessimisticChange},
    region::Region,
    replica::{Lead, Replica},
};

/// Between looks at whether a new leader has applied everything.
const READINESS_LOOK: Duration = Duration::from_millis(2);
/// How long a leader that slept may take to hear from the others.
const BARRIER_PATIENCE: Duration = Duration::from_millis(500);
/// Between attempts to get a timestamp for a new leader.
const TIMESTAMP_RETRY: Duration = Duration::from_millis(100);
/// How long a request waits for a region that will be served in a moment. Clients wait for 2 s (`tikv-client`) or longer for an answer.
const SERVICE_PATIENCE: Duration = Duration::from_millis(400);
/// Between looks, at first and at most.
const SERVICE_LOOKS: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(16));

/// Whether a refusal is of the kind that may be over in a moment.
pub(super) fn may_pass(error: Option<&errorpb::Error>) -> bool {
    error.is_some_and(|error| error.not_leader.is_some() || error.stale_command.is_some())
}

/// How it stands with a region that a request is for.
enum Standing {
    /// It is served, or is not going to be: the request gets an answer now.
    Settled,
    /// It is led here, and the lease has lapsed or was given up.
    Unleased(Lead),
    /// It is led here, and not served yet; or it is served, and is about to become a part of its neighbor.
    Between,
}

impl Node {
    /// Waits while a region is led here and cannot be served yet, or at the moment; not for long.
    pub(super) async fn until_served(&self, context: &kvrpcpb::Context) {
        let deadline = Instant::now() + SERVICE_PATIENCE;
        let mut pause = SERVICE_LOOKS.0;
        let mut has_asked = false;
        loop {
            match self.standing(context) {
                Standing::Settled => return,
                Standing::Unleased(lead) if !has_asked => {
                    has_asked = true;
                    let _ = tokio::time::timeout_at(deadline, lead.group.ask_the_others()).await;
                    continue;
                }
                Standing::Unleased(_) | Standing::Between => {}
            }
            if Instant::now() >= deadline {
                return;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(SERVICE_LOOKS.1);
        }
    }

    /// Whether a request for a region gets an answer that a moment's patience will not change.
    pub(super) fn is_settled(&self, context: &kvrpcpb::Context) -> bool {
        matches!(self.standing(context), Standing::Settled)
    }

    fn standing(&self, context: &kvrpcpb::Context) -> Standing {
        let Some(replicas) = &self.replicas else { return Standing::Settled };
        if let Some(region) = self.regions.get(context.region_id) {
            let standing = match &region.lead {
                Some(lead) if lead.may_read() && region.is_open() => return Standing::Settled,
                Some(lead) if lead.may_read() => Standing::Between,
                Some(lead) if lead.group.is_leading() => Standing::Unleased(lead.clone()),
                _ => return Standing::Settled,
            };
            // Who has another region in mind learns that at once.
            return match self.regions.check_identity(&region, context) {
                Ok(()) => standing,
                Err(_) => Standing::Settled,
            };
        }
        let is_coming = replicas.get(context.region_id).is_some_and(|replica| {
            let shape = replica.shape.lock();
            let is_servable = shape.region.is_some() && !shape.is_damaged;
            drop(shape);
            is_servable && replica.group.is_leading()
        });
        if is_coming { Standing::Between } else { Standing::Settled }
    }

    /// The member leads: the region is served here as soon as that is safe.
    pub(super) async fn begin_leading(self: Arc<Self>, region_id: u64, term: u64) {
        let leads = |replica: &Replica| {
            let status = replica.group.status();
            status.role == Role::Leader && status.term == term
        };
        loop {
            let Some(replica) = self.replicas.as_ref().and_then(|replicas| replicas.get(region_id)) else {
                return;
            };
            if !leads(&replica) {
                return;
            }
            if replica.group.leased_term() == Some(term) {
                break;
            }
            if replica.group.is_asleep() {
                // Elected while this task was waited for, and asleep since: nobody renews the lease of a sleeper.
                let _ = tokio::time::timeout(BARRIER_PATIENCE, replica.group.read_barrier()).await;
            }
            tokio::time::sleep(READINESS_LOOK).await;
        }
        // Reads at earlier leaders had timestamps below this, and nothing may commit below them here.
        let now = loop {
            match current_ts(&*self.pd).await {
                Ok(now) => break now,
                Err(error) => {
                    tracing::warn!(%error, region = region_id, "a new leader waits for a timestamp");
                    tokio::time::sleep(TIMESTAMP_RETRY).await;
                }
            }
        };
        self.scheduler.concurrency.note_read(now);
        let replica = self.replicas.as_ref().and_then(|replicas| replicas.get(region_id));
        let Some(replica) = replica.filter(|replica| leads(replica)) else { return };
        if let Some(region) = self.serve(&replica, term) {
            self.report_region(&region).await;
        }
    }

    fn serve(&self, replica: &Replica, term: u64) -> Option<Arc<Region>> {
        // As long as this is held no entry changes the region, so that what is put into the table is not older than what is there.
        let known = replica.shape.lock();
        if known.is_damaged {
            return None;
        }
        let region_meta = known.region.clone()?;
        if self
            .regions
            .get(region_meta.id)
            .is_some_and(|served| served.lead.as_ref().is_some_and(|lead| lead.term == term))
        {
            return None;
        }
        // From an earlier term, if this member lost leadership and got it back before anybody looked.
        self.stop_serving(region_meta.id);
        let mut region = match Region::new(region_meta, self.store_id) {
            Ok(region) => region,
            Err(error) => {
                tracing::error!(%error, "a region that is led here cannot be served");
                return None;
            }
        };
        let is_careless = self.config.flaws.reads_without_lease;
        region.lead = Some(Lead { group: replica.group.clone(), term, is_careless });
        let bytes = super::open::approximate_bytes(&*self.scheduler.engine, &region);
        region.load.bytes.store(bytes, std::sync::atomic::Ordering::Relaxed);
        if known.merging_into.is_some() {
            region.close();
            let _ = self.replicas.as_ref().map(|replicas| replicas.events.send(Event::Merging(region.id())));
        }
        let region = Arc::new(region);
        // What was remembered of keys while another led is old.
        self.scheduler.rows.begin_everywhere().finish(true);
        self.regions.install(vec![region.clone()]);
        Some(region)
    }

    /// The member does not lead: nothing of the region is served, and what only a leader knows is forgotten.
    pub(super) fn stop_serving(&self, region_id: u64) {
        let Some(region) = self.regions.get(region_id) else { return };
        region.close();
        self.regions.remove(region_id);
        let (lower, upper) = region.data_range();
        let (lower, upper) = (DataKey::from_engine(&lower), DataKey::from_engine(&upper));
        let pessimistic = &self.scheduler.pessimistic;
        let locks = pessimistic.range(&lower, Some(&upper), usize::MAX, |_| true);
        let keys: Vec<_> = locks.into_iter().map(|(key, _)| key).collect();
        pessimistic.apply(keys.iter().cloned().map(PessimisticChange::Remove).collect());
        self.wake_waiters(&region);
    }

    /// Those who wait for locks come and see that they have to go elsewhere.
    pub(super) fn wake_waiters(&self, region: &Region) {
        let (lower, upper) = region.data_range();
        self.scheduler.waits.wake_range(&DataKey::from_engine(&lower), &DataKey::from_engine(&upper));
    }

    /// A region that is served has other boundaries or peers.
    pub(super) fn reshape_served(&self, meta: &metapb::Region, parts: usize) {
        let Some(old) = self.regions.get(meta.id) else { return };
        if old.meta.region_epoch == meta.region_epoch {
            return;
        }
        match old.reshaped(meta.clone(), self.store_id) {
            Ok(region) => {
                if parts > 1 {
                    region.load.take_share(&old.load, parts);
                }
                self.regions.install(vec![Arc::new(region)]);
            }
            Err(error) => {
                tracing::error!(%error, region = meta.id, "a region cannot be served as it is now");
                self.stop_serving(meta.id);
            }
        }
    }
}
