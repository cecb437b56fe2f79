//! The placement driver as the processes of the cluster reach it: members lead and follow, and answers get lost.
//!
//! A call goes on like `rpc`'s client: where there are several members it is made again until one of them answers, or patience is over; but for
//! the founding of the cluster, which is made again only if it certainly was not carried out.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tidewater_proto::{PdError, PdService, TransportError, pdpb};
use tokio::time::{Instant, sleep, timeout};

use super::Pds;
use super::watch;
use crate::life::Life;
use crate::network::{Place, TIMEOUT};
use crate::sabotage::Sabotage;

/// How long one member is asked where there are others.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long several members are asked for a leader's answer.
const LEADER_PATIENCE: Duration = Duration::from_secs(12);
const RETRY_PAUSE: Duration = Duration::from_millis(30);

/// The way of one process to the driver. What a process asks for after its death is never answered.
pub(crate) struct PdLink {
    pds: Arc<Pds>,
    place: Place,
    life: Option<Life>,
    /// The member that led when it was last asked.
    leader: AtomicUsize,
    /// How many timestamps it has asked for.
    timestamps: AtomicUsize,
}

/// When a call is made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repeat {
    Always,
    /// Only if it was not carried out before.
    IfUndone,
}

impl PdLink {
    pub(crate) fn new(pds: Arc<Pds>, place: Place, life: Option<Life>) -> Arc<Self> {
        Arc::new(Self { pds, place, life, leader: AtomicUsize::new(0), timestamps: AtomicUsize::new(0) })
    }

    async fn travel(&self, from: Place, to: Place) -> Result<(), PdError> {
        let (pause, arrives) = self.pds.draw_travel();
        sleep(pause).await;
        if !arrives {
            sleep(TIMEOUT).await;
            return Err(PdError::Transport(TransportError::Timeout));
        }
        Ok(self.pds.network.pass(from, to).await?)
    }

    /// Asks one member, and nobody else. The error tells whether the member has carried it out, as far as that is known.
    async fn ask_one<T, F>(
        &self,
        index: usize,
        what: &str,
        ask: impl Fn(Arc<dyn PdService>) -> F,
    ) -> Result<T, (PdError, bool)>
    where
        F: Future<Output = Result<T, PdError>>,
    {
        let there = Place::Pd(index);
        self.travel(self.place, there).await.map_err(|error| (error, true))?;
        self.must_live().await;
        let Some((process, life)) = self.pds.hosts[index].running() else {
            return Err((TransportError::Closed.into(), true));
        };
        self.pds.network.journal.message(self.place, there, what, String::new);
        let answer = tokio::select! {
            biased;
            () = life.ended() => Err(TransportError::Closed.into()),
            answer = ask(process.service()) => answer,
        };
        let back = self.travel(there, self.place).await;
        self.must_live().await;
        let is_undone = answer.as_ref().is_err_and(|error| *error == PdError::NotLeader);
        back.and(answer).map_err(|error| (error, is_undone))
    }

    async fn must_live(&self) {
        if let Some(life) = &self.life {
            life.must_live().await;
        }
    }

    async fn insist<T, F>(
        &self,
        repeat: Repeat,
        what: &str,
        ask: impl Fn(Arc<dyn PdService>) -> F,
    ) -> Result<T, PdError>
    where
        F: Future<Output = Result<T, PdError>>,
    {
        let asked = Instant::now();
        let count = self.pds.count();
        loop {
            let index = self.leader.load(Ordering::Relaxed) % count;
            let answer = timeout(ATTEMPT_TIMEOUT, self.ask_one(index, what, &ask)).await;
            let (error, is_undone) = match answer.unwrap_or(Err((TransportError::Timeout.into(), false))) {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            if !matches!(error, PdError::NotLeader | PdError::LeadershipLost | PdError::Transport(_)) {
                return Err(error);
            }
            self.leader.store((index + 1) % count, Ordering::Relaxed);
            let may_repeat = repeat == Repeat::Always || is_undone;
            if count == 1 || !may_repeat || asked.elapsed() > LEADER_PATIENCE {
                return Err(match error {
                    PdError::Transport(_) => error,
                    _ => TransportError::Timeout.into(),
                });
            }
            sleep(RETRY_PAUSE).await;
        }
    }

    /// A fault of ours: this store believes that it is still as early as in the beginning.
    fn takes_old_timestamps(&self) -> bool {
        let is_first = self.timestamps.fetch_add(1, Ordering::Relaxed) == 0;
        matches!(self.place, Place::Store(_))
            && match self.pds.sabotage {
                Some(Sabotage::ForgetReads) => true,
                // The first is asked for when the store opens, all others by its new leaders.
                Some(Sabotage::SkipLeaderFence) => !is_first,
                _ => false,
            }
    }

    /// A range of timestamps on its way out, as the watch sees it, or as a fault of ours makes it.
    fn give_out(&self, known: u64, last: pdpb::Timestamp, count: u32) -> pdpb::Timestamp {
        let pds = &self.pds;
        if pds.sabotage == Some(Sabotage::RepeatTimestamps) && known > 0 && pds.chance(0.05) {
            return watch::timestamp(known);
        }
        pds.watch.note(known, &last, count);
        last
    }
}

macro_rules! forward {
    ($($name:ident($($argument:ident: $type:ty)?) -> $answer:ty, $repeat:expr;)*) => {
        #[async_trait]
        impl PdService for PdLink {
            async fn timestamps(&self, count: u32) -> Result<pdpb::Timestamp, PdError> {
                let known = self.pds.watch.highest();
                let last = self.insist(Repeat::Always, "timestamps", async |driver: Arc<dyn PdService>| {
                    Ok(self.give_out(known, driver.timestamps(count).await?, count))
                });
                let last = last.await?;
                match self.takes_old_timestamps() {
                    true => Ok(watch::timestamp(self.pds.watch.first())),
                    false => Ok(last),
                }
            }

            $(async fn $name(&self $(, $argument: $type)?) -> Result<$answer, PdError> {
                self.insist($repeat, stringify!($name), async |driver: Arc<dyn PdService>| {
                    driver.$name($($argument.clone())?).await
                }).await
            })*
        }
    };
}

forward! {
    get_region(request: pdpb::GetRegionRequest) -> pdpb::GetRegionResponse, Repeat::Always;
    get_prev_region(request: pdpb::GetRegionRequest) -> pdpb::GetRegionResponse, Repeat::Always;
    get_region_by_id(request: pdpb::GetRegionByIdRequest) -> pdpb::GetRegionResponse, Repeat::Always;
    scan_regions(request: pdpb::ScanRegionsRequest) -> pdpb::ScanRegionsResponse, Repeat::Always;
    get_store(request: pdpb::GetStoreRequest) -> pdpb::GetStoreResponse, Repeat::Always;
    get_all_stores(request: pdpb::GetAllStoresRequest) -> pdpb::GetAllStoresResponse, Repeat::Always;
    put_store(request: pdpb::PutStoreRequest) -> pdpb::PutStoreResponse, Repeat::Always;
    store_heartbeat(request: pdpb::StoreHeartbeatRequest) -> pdpb::StoreHeartbeatResponse, Repeat::Always;
    is_bootstrapped() -> bool, Repeat::Always;
    bootstrap(request: pdpb::BootstrapRequest) -> pdpb::BootstrapResponse, Repeat::IfUndone;
    alloc_id(count: u32) -> u64, Repeat::Always;
    region_heartbeat(request: pdpb::RegionHeartbeatRequest) -> pdpb::RegionHeartbeatResponse, Repeat::Always;
    ask_batch_split(request: pdpb::AskBatchSplitRequest) -> pdpb::AskBatchSplitResponse, Repeat::Always;
    report_batch_split(request: pdpb::ReportBatchSplitRequest) -> pdpb::ReportBatchSplitResponse, Repeat::Always;
    scatter_region(request: pdpb::ScatterRegionRequest) -> pdpb::ScatterRegionResponse, Repeat::Always;
    get_operator(request: pdpb::GetOperatorRequest) -> pdpb::GetOperatorResponse, Repeat::Always;
    get_gc_safe_point(request: pdpb::GetGcSafePointRequest) -> pdpb::GetGcSafePointResponse, Repeat::Always;
    update_gc_safe_point(request: pdpb::UpdateGcSafePointRequest) -> pdpb::UpdateGcSafePointResponse, Repeat::Always;
    update_service_gc_safe_point(request: pdpb::UpdateServiceGcSafePointRequest)
        -> pdpb::UpdateServiceGcSafePointResponse, Repeat::Always;
}
