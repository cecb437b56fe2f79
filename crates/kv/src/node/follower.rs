//! Reads at replicas that do not lead.
//!
//! A follower that is asked for a snapshot asks its leader first how far the log had come: everything that was committed before is at or below
//! that index, and what is being committed has been told of the read and comes above it (Raft, section 6.4; TiKV's follower read). A stale read does
//! without: the leader told some time ago up to which timestamp nothing can appear any more once a certain index is applied. In both cases
//! whoever refuses answers with a region error, and clients go to the leader.
//!
//! Nothing stops a follower from being removed while it reads. So after the read, and before the answer leaves, the replica has to be what it was
//! before: it stops being that before its data goes.

use std::{ops::Deref, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tidewater_codec::TimeStamp;
use tidewater_proto::{StoreRequest, StoreResponse, coprocessor as wire, errorpb, kvrpcpb};
use tokio::time::{Instant, timeout};

use super::{ErrorSlots, Node};
use crate::{
    commands::read::ReadOptions,
    mvcc::{IsolationLevel, PassableLocks},
    region::{Region, RegionError, RegionGuard, not_leader},
    replica::Replica,
};

/// How long a read waits for the log.
const APPLY_PATIENCE: Duration = Duration::from_millis(500);

/// Where a read reads.
pub(super) enum ReadAt {
    /// At the replica that leads, or at the only one.
    Leader(RegionGuard),
    /// At another one, which has all that the read may see.
    Follower(FollowerRead),
}

/// A follower's region for one read.
#[derive(Clone)]
pub(super) struct FollowerRead {
    region: Arc<Region>,
    replica: Arc<Replica>,
    /// The snapshots that had been installed when it began.
    rebuilds: u64,
    /// Nothing can appear at or below the read's timestamp, whatever locks say.
    is_stale: bool,
}

/// What a replica knows without leading.
#[derive(Default)]
pub(crate) struct FollowerView {
    /// The region as last read.
    region: Mutex<Option<Arc<Region>>>,
    /// One question at a time.
    safe: tokio::sync::Mutex<SafeUntil>,
}

/// Up to where a replica serves stale reads.
#[derive(Debug, Clone, Copy, Default)]
struct SafeUntil {
    /// The region's version when the leader said so.
    version: u64,
    ts: u64,
    /// The index that has to be applied.
    index: u64,
    asked: Option<Instant>,
}

impl Deref for ReadAt {
    type Target = Arc<Region>;

    fn deref(&self) -> &Arc<Region> {
        match self {
            Self::Leader(guard) => guard,
            Self::Follower(read) => &read.region,
        }
    }
}

impl ReadAt {
    /// The options of a read at a follower, which are not those of the leader's.
    pub(super) fn follower_options(&self, options: ReadOptions) -> Option<ReadOptions> {
        let Self::Follower(read) = self else { return None };
        let isolation = if read.is_stale { IsolationLevel::ReadCommitted } else { options.isolation };
        Some(ReadOptions { isolation, is_follower: true, ..options })
    }
}

impl FollowerRead {
    /// Whether the replica is still what it was when the read began.
    fn holds(&self) -> bool {
        let shape = self.replica.shape.lock();
        shape.rebuilds == self.rebuilds
            && !shape.is_damaged
            && shape.region.as_ref().and_then(|region| region.region_epoch) == self.region.meta.region_epoch
    }
}

fn not_ready(region_id: u64, reason: impl ToString) -> RegionError {
    let reason = reason.to_string();
    Box::new(errorpb::Error {
        message: reason.clone(),
        read_index_not_ready: Some(errorpb::ReadIndexNotReady { reason, region_id }),
        ..Default::default()
    })
}

/// What a request that a follower may serve reads: its context, timestamp and ranges.
fn demand(request: &StoreRequest) -> Option<(&kvrpcpb::Context, u64, Vec<kvrpcpb::KeyRange>)> {
    let point = |key: &bytes::Bytes| {
        let end_key = [&key[..], &[0]].concat().into();
        kvrpcpb::KeyRange { start_key: key.clone(), end_key }
    };
    let (context, read_ts, ranges) = match request {
        StoreRequest::Get(request) => (&request.context, request.version, vec![point(&request.key)]),
        StoreRequest::BatchGet(request) => {
            (&request.context, request.version, request.keys.iter().map(point).collect())
        }
        StoreRequest::Scan(request) => {
            let (start, end) = match request.reverse {
                false => (&request.start_key, &request.end_key),
                true => (&request.end_key, &request.start_key),
            };
            let range = kvrpcpb::KeyRange { start_key: start.clone(), end_key: end.clone() };
            (&request.context, request.version, vec![range])
        }
        StoreRequest::Coprocessor(request) => {
            let range = |range: &wire::KeyRange| kvrpcpb::KeyRange {
                start_key: range.start.clone(),
                end_key: range.end.clone(),
            };
            (&request.context, request.start_ts, request.ranges.iter().map(range).collect())
        }
        _ => return None,
    };
    let context = context.as_ref().filter(|context| may_follow(Some(*context)))?;
    Some((context, read_ts, ranges))
}

/// Whether a request may be served by a replica that does not lead.
pub(super) fn may_follow(context: Option<&kvrpcpb::Context>) -> bool {
    context.is_some_and(|context| context.replica_read || context.stale_read)
}

impl Node {
    /// Carries a read out at a replica that does not lead, if that is asked for and there is one; else gives the request back.
    pub(super) async fn read_as_follower(
        &self,
        request: StoreRequest,
    ) -> Result<StoreResponse, StoreRequest> {
        let Some((context, read_ts, ranges)) = demand(&request) else { return Err(request) };
        let replica = self.replicas.as_ref().and_then(|replicas| replicas.get(context.region_id));
        let (Some(replica), None) = (replica, self.regions.get(context.region_id)) else {
            return Err(request);
        };
        let refuse = refusal_of(&request);
        let read = match self.admit(replica, context, read_ts, ranges).await {
            Ok(read) => read,
            Err(error) => return Ok(refuse(*error)),
        };
        metrics::counter!("tidewater_kv_follower_reads_total").increment(1);
        let check = read.clone();
        let at = Ok(ReadAt::Follower(read));
        let response = match request {
            StoreRequest::Get(request) => StoreResponse::Get(self.get_at(&request, at)),
            StoreRequest::BatchGet(request) => StoreResponse::BatchGet(self.batch_get_at(&request, at)),
            StoreRequest::Scan(request) => StoreResponse::Scan(self.scan_at(&request, at)),
            StoreRequest::Coprocessor(request) => {
                StoreResponse::Coprocessor(self.coprocessor_at(request, at).await)
            }
            request => return Err(request),
        };
        match check.holds() {
            true => Ok(response),
            false => Ok(refuse(*not_ready(check.region.id(), "the replica changed during the read"))),
        }
    }

    async fn admit(
        &self,
        replica: Arc<Replica>,
        context: &kvrpcpb::Context,
        read_ts: u64,
        ranges: Vec<kvrpcpb::KeyRange>,
    ) -> Result<FollowerRead, RegionError> {
        self.regions.check_cluster(context)?;
        let rebuilds = replica.shape.lock().rebuilds;
        let region = self.followed_region(&replica)?;
        self.regions.check_identity(&region, context)?;
        match context.stale_read {
            true => self.wait_until_safe(&replica, &region, read_ts).await?,
            false => {
                let asked = self.ask_leader(&replica, &region, read_ts, ranges).await?;
                wait_for_index(&replica, asked.read_index).await?;
            }
        }
        Ok(FollowerRead { region, replica, rebuilds, is_stale: context.stale_read })
    }

    /// The region of a replica, as applied.
    fn followed_region(&self, replica: &Replica) -> Result<Arc<Region>, RegionError> {
        let region_id = replica.group.id();
        let (meta, is_merging) = {
            let shape = replica.shape.lock();
            (shape.region.clone().filter(|_| !shape.is_damaged), shape.merging_into.is_some())
        };
        let meta = meta
            .filter(|_| !is_merging)
            .ok_or_else(|| not_ready(region_id, "the replica has nothing to read"))?;
        let mut known = replica.follower.region.lock();
        match &*known {
            Some(region) if region.meta.region_epoch == meta.region_epoch => Ok(region.clone()),
            _ => {
                let region = Region::new(meta, self.store_id).map_err(|error| not_ready(region_id, error))?;
                Ok(known.insert(Arc::new(region)).clone())
            }
        }
    }

    async fn ask_leader(
        &self,
        replica: &Replica,
        region: &Region,
        start_ts: u64,
        ranges: Vec<kvrpcpb::KeyRange>,
    ) -> Result<kvrpcpb::ReadIndexResponse, RegionError> {
        let leader = replica.group.status().leader;
        let leader = region.meta.peers.iter().find(|peer| Some(peer.id) == leader);
        let leader = leader.ok_or_else(|| not_leader(region.id(), None))?;
        let context = kvrpcpb::Context {
            region_id: region.id(),
            region_epoch: region.meta.region_epoch,
            peer: Some(*leader),
            ..Default::default()
        };
        let request = kvrpcpb::ReadIndexRequest { context: Some(context), start_ts, ranges };
        let link = self.link_to(leader.store_id).await.map_err(|error| not_ready(region.id(), error))?;
        match link.call(StoreRequest::ReadIndex(request)).await {
            Ok(StoreResponse::ReadIndex(answer)) => match (answer.region_error, &answer.locked) {
                (Some(error), _) => Err(Box::new(error)),
                (None, Some(_)) => Err(not_ready(region.id(), "a commit is under way there")),
                (None, None) => Ok(kvrpcpb::ReadIndexResponse { region_error: None, ..answer }),
            },
            Ok(_) => Err(not_ready(region.id(), "the leader answered with something else")),
            Err(error) => Err(not_ready(region.id(), error)),
        }
    }

    /// Waits until this replica can tell everything up to a timestamp, or knows that it cannot for now.
    async fn wait_until_safe(
        &self,
        replica: &Replica,
        region: &Region,
        read_ts: u64,
    ) -> Result<(), RegionError> {
        let version = region.meta.region_epoch.map_or(0, |epoch| epoch.version);
        let mut safe = replica.follower.safe.lock().await;
        let is_safe = |safe: &SafeUntil| safe.version == version && read_ts <= safe.ts;
        let is_due = safe.asked.is_none_or(|asked| asked.elapsed() >= self.config.safe_ts_age_max);
        if !is_safe(&safe) && (is_due || safe.version != version) {
            safe.asked = Some(Instant::now());
            let answer = self.ask_leader(replica, region, 0, Vec::new()).await?;
            *safe = SafeUntil { version, ts: answer.safe_ts, index: answer.read_index, ..*safe };
        }
        if !is_safe(&safe) {
            return Err(Box::new(errorpb::Error {
                message: format!("stale reads are served up to {}, not at {read_ts}", safe.ts),
                data_is_not_ready: Some(errorpb::DataIsNotReady {
                    region_id: region.id(),
                    peer_id: region.peer.id,
                    safe_ts: safe.ts,
                }),
                ..Default::default()
            }));
        }
        let index = safe.index;
        drop(safe);
        wait_for_index(replica, index).await
    }

    /// The leader's side: how far the log has come that a read has to see. With a timestamp the read is announced, without one the answer tells up to
    /// which timestamp nothing can appear any more.
    pub(super) async fn read_index(&self, request: kvrpcpb::ReadIndexRequest) -> kvrpcpb::ReadIndexResponse {
        if request.start_ts == 0 {
            self.refresh_safe_ts(u64::MAX).await;
        }
        let refuse = |error: RegionError| kvrpcpb::ReadIndexResponse {
            region_error: Some(*error),
            ..Default::default()
        };
        let region = match self.regions.check(request.context.as_ref()) {
            Ok(region) => region,
            Err(error) => return refuse(error),
        };
        // It is void if the region came after it was found.
        let safe_ts = self.safe_ts();
        let concurrency = &self.scheduler.concurrency;
        let read_ts = TimeStamp::new(request.start_ts);
        concurrency.note_read(read_ts);
        for range in &request.ranges {
            let (start, end) = region.clamp(&range.start_key, &range.end_key);
            let checked = concurrency.check_range(start, end, read_ts, &PassableLocks::default());
            if checked.is_err() {
                return kvrpcpb::ReadIndexResponse {
                    locked: Some(kvrpcpb::LockInfo::default()),
                    ..Default::default()
                };
            }
        }
        let applied = region.lead.as_ref().and_then(|lead| lead.group.applied_index());
        match applied {
            Some(read_index) => kvrpcpb::ReadIndexResponse { read_index, safe_ts, ..Default::default() },
            None => refuse(not_leader(region.id(), None)),
        }
    }
}

async fn wait_for_index(replica: &Replica, index: u64) -> Result<(), RegionError> {
    match timeout(APPLY_PATIENCE, replica.group.wait_applied(index)).await {
        Ok(()) => Ok(()),
        Err(_) => {
            Err(not_ready(replica.group.id(), format!("the replica has not come to entry {index} in time")))
        }
    }
}

/// Makes answers of the request's kind that refuse it.
fn refusal_of(request: &StoreRequest) -> fn(errorpb::Error) -> StoreResponse {
    match request {
        StoreRequest::Get(_) => |error| StoreResponse::Get(ErrorSlots::region(error)),
        StoreRequest::BatchGet(_) => |error| StoreResponse::BatchGet(ErrorSlots::region(error)),
        StoreRequest::Scan(_) => |error| StoreResponse::Scan(ErrorSlots::region(error)),
        _ => |error| {
            StoreResponse::Coprocessor(wire::Response { region_error: Some(error), ..Default::default() })
        },
    }
}
