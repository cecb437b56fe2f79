//! The node: every command of the protocol in, one answer out.
//!
//! HOT for reads of single keys: `call` with a `Get` runs to its end without a task switch, a lock shared for writing, or an
//! allocation besides the future itself, the engine key, the iterator and the value.

mod admin;
mod consistency;
mod convert;
mod damage;
mod deadlocks;
mod debug;
mod follower;
mod gc;
mod measure;
mod merge;
mod merge_replicas;
mod metrics;
mod open;
mod orders;
mod raw;
mod raw_sweep;
mod read;
mod remeasure;
mod removal;
mod replicas;
mod safe_ts;
mod serving;
mod snapshots;
mod split;
mod split_by_load;
mod transfer;
mod watch_disk;
mod write;

use std::sync::{Arc, Weak, atomic::AtomicUsize};

use futures::future::BoxFuture;
use parking_lot::Mutex;
use tidewater_codec::TimeStamp;
use tidewater_proto::{
    PdService, StoreConnector, StoreRequest, StoreResponse, StoreService, TransportError, command_index,
    context_of, errorpb, kvrpcpb, metapb, tikvpb,
};
use tokio::{sync::mpsc, task::AbortHandle, time::Instant};

use crate::{
    Engine,
    config::NodeConfig,
    detector::Detector,
    health::{DiskSpace, Health},
    region::RegionTable,
    scheduler::Scheduler,
};

pub use consistency::{ConsistencyError, ConsistencyReport, Finding};
pub(crate) use follower::FollowerView;
pub use open::NodeError;
pub use replicas::ReplicaInfo;
pub use split::SplitError;

/// A storage node.
///
/// ```
/// # use std::sync::Arc;
/// use tidewater_kv::{MemoryEngine, Node, NodeConfig};
/// use tidewater_proto::{PdService, StoreRequest, StoreResponse, StoreService, kvrpcpb};
///
/// # async fn example(pd: Arc<dyn PdService>) -> Result<(), Box<dyn std::error::Error>> {
/// let node = Node::open(NodeConfig::default(), Arc::new(MemoryEngine::new()), pd).await?;
/// let request = kvrpcpb::GetRequest { key: "k".into(), version: 7, ..Default::default() };
/// let StoreResponse::Get(answer) = node.call(StoreRequest::Get(request)).await? else { unreachable!() };
/// assert!(answer.region_error.is_some(), "the request names no region");
/// # Ok(())
/// # }
/// ```
pub struct Node {
    config: NodeConfig,
    store_id: u64,
    pd: Arc<dyn PdService>,
    scheduler: Scheduler,
    regions: RegionTable,
    compute: tokio::runtime::Handle,
    /// Splits and merges go one after the other.
    split_gate: tokio::sync::Mutex<()>,
    /// Regions that grew.
    split_checks: mpsc::UnboundedSender<u64>,
    /// Where the next round of measurements begins.
    measured_rounds: AtomicUsize,
    /// The safe point garbage was last collected for.
    gc_done: Mutex<TimeStamp>,
    safe_ts: safe_ts::SafeTs,
    /// How full and how slow the disk is.
    health: Health,
    tasks: Mutex<Vec<AbortHandle>>,
    /// The way to other stores; `None` if there are none.
    peers: Option<Arc<dyn StoreConnector>>,
    transfers: transfer::Transfers,
    /// This node's copies of regions; `None` if regions have one copy each.
    replicas: Option<replicas::Replicas>,
    /// The waits of all stores, if this one leads their detection.
    detector: Mutex<Detector>,
    /// For tasks that outlive a call.
    this: Weak<Node>,
    metrics: metrics::CommandMetrics,
    consistency: consistency::Consistency,
}

impl Node {
    /// The id the placement driver gave this store.
    pub fn store_id(&self) -> u64 {
        self.store_id
    }

    /// The engine below.
    pub fn engine(&self) -> &Arc<dyn Engine> {
        &self.scheduler.engine
    }

    /// How many pessimistic lock requests are waiting.
    pub fn lock_wait_count(&self) -> usize {
        self.scheduler.waits.count()
    }

    /// How slow the store finds its disk, from 1 (well) to 100; 0 says that nobody has measured.
    pub fn slow_score(&self) -> u64 {
        self.health.slow_score()
    }

    /// How much room there is on the disk; `None` if it is not watched.
    pub fn disk_space(&self) -> Option<DiskSpace> {
        self.health.space()
    }

    /// Whether the disk is so full that nothing is taken in that makes the data larger.
    pub fn is_disk_full(&self) -> bool {
        self.health.is_full()
    }

    /// Whether regions have copies on other stores.
    pub fn is_replicated(&self) -> bool {
        self.replicas.is_some()
    }

    /// The regions the node serves: with replicas, those it leads.
    pub fn served_regions(&self) -> Vec<metapb::Region> {
        self.regions.all().iter().map(|region| region.meta.clone()).collect()
    }

    /// How many regions the node serves: with replicas, those it leads.
    pub fn region_count(&self) -> usize {
        self.regions.all().len()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        for task in self.tasks.get_mut().drain(..) {
            task.abort();
        }
    }
}

impl StoreService for Node {
    // Written out, so that a point get is boxed in a future of its own size and not in that of the largest command.
    fn call<'s, 'f>(&'s self, request: StoreRequest) -> BoxFuture<'f, Result<StoreResponse, TransportError>>
    where
        's: 'f,
        Self: 'f,
    {
        let command = command_index(&request);
        match request {
            StoreRequest::Get(request) if !follower::may_follow(request.context.as_ref()) => {
                Box::pin(async move {
                    let started = Instant::now();
                    let mut response = Some(self.get(&request));
                    // Dropped before anything is waited for: the future stays small.
                    response.take_if(|response| serving::may_pass(response.region_error.as_ref()));
                    if let Some(response) = response {
                        self.metrics.record(command, started.elapsed());
                        return Ok(StoreResponse::Get(response));
                    }
                    self.await_service(request.context.as_ref()).await;
                    let response = self.get(&request);
                    self.metrics.record(command, started.elapsed());
                    Ok(StoreResponse::Get(response))
                })
            }
            StoreRequest::RawGet(request) => Box::pin(async move {
                let started = Instant::now();
                let mut response = Some(self.raw_get(&request));
                response.take_if(|response| serving::may_pass(response.region_error.as_ref()));
                if let Some(response) = response {
                    self.metrics.record(command, started.elapsed());
                    return Ok(StoreResponse::RawGet(response));
                }
                self.await_service(request.context.as_ref()).await;
                let response = self.raw_get(&request);
                self.metrics.record(command, started.elapsed());
                Ok(StoreResponse::RawGet(response))
            }),
            request => Box::pin(async move {
                let started = Instant::now();
                let response = self.execute(request).await;
                self.metrics.record(command, started.elapsed());
                Ok(response)
            }),
        }
    }
}

impl Node {
    /// See [`Self::until_served`]. Boxed, for it is seldom needed, and the futures of reads are to stay small.
    fn await_service<'n>(&'n self, context: Option<&'n kvrpcpb::Context>) -> BoxFuture<'n, ()> {
        match context {
            Some(context) => Box::pin(self.until_served(context)),
            None => Box::pin(std::future::ready(())),
        }
    }

    async fn execute(&self, request: StoreRequest) -> StoreResponse {
        let context = context_of(&request);
        // Who asks for the past at a follower holds others up while the leader is asked, and had better come again.
        let is_hurried = matches!(&request, StoreRequest::ReadIndex(request) if request.start_ts == 0);
        let waits = |context: &kvrpcpb::Context| {
            !is_hurried && !follower::may_follow(Some(context)) && !self.is_settled(context)
        };
        if context.is_some_and(waits) {
            self.await_service(context).await;
        }
        let request = match self.read_as_follower(request).await {
            Ok(response) => return response,
            Err(request) => request,
        };
        if let Some(read_ts) = safe_ts::stale_read_ts(&request) {
            self.refresh_safe_ts(read_ts).await;
        }
        match request {
            StoreRequest::Get(request) => StoreResponse::Get(self.get(&request)),
            StoreRequest::BatchGet(request) => StoreResponse::BatchGet(self.batch_get(&request)),
            StoreRequest::Scan(request) => StoreResponse::Scan(self.scan(&request)),
            StoreRequest::Coprocessor(request) => StoreResponse::Coprocessor(self.coprocessor(request).await),
            StoreRequest::Prewrite(request) => StoreResponse::Prewrite(self.prewrite(request).await),
            StoreRequest::Commit(request) => StoreResponse::Commit(self.commit(request).await),
            StoreRequest::BatchRollback(request) => {
                StoreResponse::BatchRollback(self.batch_rollback(request).await)
            }
            StoreRequest::Cleanup(request) => StoreResponse::Cleanup(self.cleanup(request).await),
            StoreRequest::PessimisticLock(request) => {
                StoreResponse::PessimisticLock(self.pessimistic_lock(request).await)
            }
            StoreRequest::PessimisticRollback(request) => {
                StoreResponse::PessimisticRollback(self.pessimistic_rollback(request).await)
            }
            StoreRequest::TxnHeartBeat(request) => {
                StoreResponse::TxnHeartBeat(self.txn_heart_beat(request).await)
            }
            StoreRequest::CheckTxnStatus(request) => {
                StoreResponse::CheckTxnStatus(self.check_txn_status(request).await)
            }
            StoreRequest::CheckSecondaryLocks(request) => {
                StoreResponse::CheckSecondaryLocks(self.check_secondary_locks(request).await)
            }
            StoreRequest::ScanLock(request) => StoreResponse::ScanLock(self.scan_lock(&request)),
            StoreRequest::ResolveLock(request) => {
                StoreResponse::ResolveLock(self.resolve_lock(request).await)
            }
            StoreRequest::Gc(request) => StoreResponse::Gc(self.gc_region(request).await),
            StoreRequest::DeleteRange(request) => {
                StoreResponse::DeleteRange(self.delete_range(request).await)
            }
            StoreRequest::UnsafeDestroyRange(request) => {
                StoreResponse::UnsafeDestroyRange(self.unsafe_destroy_range(request).await)
            }
            StoreRequest::SplitRegion(request) => {
                StoreResponse::SplitRegion(self.split_region(request).await)
            }
            StoreRequest::RawGet(request) => StoreResponse::RawGet(self.raw_get(&request)),
            StoreRequest::RawBatchGet(request) => {
                StoreResponse::RawBatchGet(raw::answer(self.raw_batch_get(&request)))
            }
            StoreRequest::RawPut(request) => StoreResponse::RawPut(raw::answer(self.raw_put(&request).await)),
            StoreRequest::RawBatchPut(request) => {
                StoreResponse::RawBatchPut(raw::answer(self.raw_batch_put(&request).await))
            }
            StoreRequest::RawDelete(request) => {
                StoreResponse::RawDelete(raw::answer(self.raw_delete(request).await))
            }
            StoreRequest::RawBatchDelete(request) => {
                StoreResponse::RawBatchDelete(raw::answer(self.raw_batch_delete(request).await))
            }
            StoreRequest::RawDeleteRange(request) => {
                StoreResponse::RawDeleteRange(raw::answer(self.raw_delete_range(request).await))
            }
            StoreRequest::RawScan(request) => StoreResponse::RawScan(raw::answer(self.raw_scan(&request))),
            StoreRequest::RawBatchScan(request) => {
                StoreResponse::RawBatchScan(raw::answer(self.raw_batch_scan(&request)))
            }
            StoreRequest::RawGetKeyTtl(request) => {
                StoreResponse::RawGetKeyTtl(raw::answer(self.raw_get_key_ttl(&request)))
            }
            StoreRequest::RawCas(request) => StoreResponse::RawCas(raw::answer(self.raw_cas(&request).await)),
            StoreRequest::RawChecksum(request) => {
                StoreResponse::RawChecksum(raw::answer(self.raw_checksum(&request)))
            }
            StoreRequest::StoreSafeTs(_) => StoreResponse::StoreSafeTs(self.store_safe_ts().await),
            StoreRequest::MvccGetByKey(request) => {
                StoreResponse::MvccGetByKey(self.mvcc_get_by_key(&request))
            }
            StoreRequest::GetLockWaitInfo(_) => StoreResponse::GetLockWaitInfo(self.lock_wait_info()),
            StoreRequest::InstallRegion(request) => {
                StoreResponse::InstallRegion(self.install_region(request).await)
            }
            StoreRequest::ReadIndex(request) => StoreResponse::ReadIndex(self.read_index(request).await),
            StoreRequest::CheckMerge(request) => StoreResponse::CheckMerge(self.check_merge(&request).await),
            StoreRequest::CheckHash(request) => StoreResponse::CheckHash(self.check_hash(&request)),
            StoreRequest::Raft(request) => StoreResponse::Raft(self.raft(request).await),
            StoreRequest::Deadlock(request) => StoreResponse::Deadlock(self.detect(&request)),
            StoreRequest::Empty(request) => {
                StoreResponse::Empty(tikvpb::BatchCommandsEmptyResponse { test_id: request.test_id })
            }
        }
    }
}

/// A response has a place for each kind of error.
trait ErrorSlots: Default {
    fn region(error: errorpb::Error) -> Self;
    fn key(error: kvrpcpb::KeyError) -> Self;

    fn command(error: &crate::error::CommandError) -> Self {
        match error.to_wire() {
            crate::error::WireError::Region(error) => Self::region(*error),
            crate::error::WireError::Key(error) => Self::key(*error),
        }
    }
}

/// Responses with `error`, and those with `errors`.
macro_rules! error_slots {
    (one: $($one:ident)*; many: $($many:ident)*; text: $($text:ident)*) => {
        $(impl ErrorSlots for kvrpcpb::$one {
            fn region(error: errorpb::Error) -> Self {
                Self { region_error: Some(error), ..Self::default() }
            }
            fn key(error: kvrpcpb::KeyError) -> Self {
                Self { error: Some(error), ..Self::default() }
            }
        })*
        $(impl ErrorSlots for kvrpcpb::$many {
            fn region(error: errorpb::Error) -> Self {
                Self { region_error: Some(error), ..Self::default() }
            }
            fn key(error: kvrpcpb::KeyError) -> Self {
                Self { errors: vec![error], ..Self::default() }
            }
        })*
        $(impl ErrorSlots for kvrpcpb::$text {
            fn region(error: errorpb::Error) -> Self {
                Self { region_error: Some(error), ..Self::default() }
            }
            fn key(error: kvrpcpb::KeyError) -> Self {
                Self { error: error.abort, ..Self::default() }
            }
        })*
    };
}

error_slots! {
    one: GetResponse BatchGetResponse ScanResponse CommitResponse BatchRollbackResponse CleanupResponse TxnHeartBeatResponse
        CheckTxnStatusResponse CheckSecondaryLocksResponse ScanLockResponse ResolveLockResponse GcResponse;
    many: PrewriteResponse PessimisticLockResponse PessimisticRollbackResponse;
    text: DeleteRangeResponse UnsafeDestroyRangeResponse
}

/// Unwraps a region check, or answers with its error.
macro_rules! try_region {
    ($check:expr) => {
        match $check {
            Ok(value) => value,
            Err(error) => return super::ErrorSlots::region(*error),
        }
    };
}

/// Unwraps a command's result, or answers with its error.
macro_rules! try_command {
    ($result:expr) => {
        match $result {
            Ok(value) => value,
            Err(error) => return super::ErrorSlots::command(&crate::error::CommandError::from(error)),
        }
    };
}

use {try_command, try_region};
