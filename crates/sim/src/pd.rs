//! The placement driver as the processes of the cluster reach it: it crashes, restarts, and its answers get lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tidewater_pd::{MemoryStorage, PdConfig, PlacementDriver, ScheduleConfig};
use tidewater_proto::{PdError, PdService, TransportError, pdpb};
use tidewater_types::clock::WallClock;
use tokio::time::{Instant, sleep};

use crate::check::Finding;
use crate::life::Life;
use crate::sabotage::Sabotage;

/// Where the calendar of a simulation begins.
const BEGIN_MICROS: i64 = 1_700_000_000_000_000;
const LOST_PROBABILITY: f64 = 0.004;
const TIMEOUT: Duration = Duration::from_millis(100);

/// The simulated time, set wrong by jumps.
pub(crate) struct SimClock {
    begun: Instant,
    wrong_by_micros: AtomicI64,
    furthest_micros: AtomicI64,
}

impl SimClock {
    pub(crate) fn new() -> Self {
        Self { begun: Instant::now(), wrong_by_micros: AtomicI64::new(0), furthest_micros: AtomicI64::new(0) }
    }

    pub(crate) fn jump(&self, millis: i64) {
        let before = self.wrong_by_micros.fetch_add(millis * 1_000, Ordering::Relaxed);
        self.furthest_micros.fetch_max(before + millis * 1_000, Ordering::Relaxed);
    }

    /// Shows no moment again: timestamps stand still while a clock that was set back catches up, and locks do not lapse meanwhile.
    pub(crate) fn repair(&self) {
        self.wrong_by_micros.store(self.furthest_micros.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

impl WallClock for SimClock {
    fn now_micros(&self) -> i64 {
        let passed = i64::try_from(self.begun.elapsed().as_micros()).unwrap_or(i64::MAX);
        BEGIN_MICROS + passed + self.wrong_by_micros.load(Ordering::Relaxed)
    }
}

/// The machine the driver runs on.
pub(crate) struct PdHost {
    pub(crate) clock: Arc<SimClock>,
    storage: Arc<MemoryStorage>,
    running: Mutex<Option<Arc<PlacementDriver>>>,
    replicated: bool,
    rng: Mutex<SmallRng>,
    sabotage: Option<Sabotage>,
    /// The highest timestamp that somebody has.
    given_out: AtomicU64,
    first: AtomicU64,
    /// The first promise that was broken.
    broken: Mutex<Option<String>>,
}

impl PdHost {
    pub(crate) fn start(seed: u64, replicated: bool, sabotage: Option<Sabotage>) -> Arc<Self> {
        let host = Arc::new(Self {
            clock: Arc::new(SimClock::new()),
            storage: Arc::new(MemoryStorage::new()),
            running: Mutex::new(None),
            replicated,
            rng: Mutex::new(SmallRng::seed_from_u64(seed)),
            sabotage,
            given_out: AtomicU64::new(0),
            first: AtomicU64::new(0),
            broken: Mutex::new(None),
        });
        host.restart();
        host
    }

    pub(crate) fn crash(&self) {
        *self.running.lock() = None;
    }

    pub(crate) fn restart(&self) {
        let schedule = ScheduleConfig {
            move_patience: Duration::from_secs(5),
            moves_per_store_minute_max: u32::MAX,
            replicated: self.replicated,
            split_merge_interval: Duration::from_secs(2),
            ..ScheduleConfig::default()
        };
        let config = PdConfig { cluster_id: Some(7), schedule, ..PdConfig::default() };
        let driver = PlacementDriver::open(config, self.storage.clone(), self.clock.clone());
        *self.running.lock() = Some(driver.expect("a driver opens over what it has written"));
    }

    /// The driver itself; it runs.
    pub(crate) fn driver(&self) -> Arc<PlacementDriver> {
        self.running.lock().clone().expect("the driver runs")
    }

    /// Whether the driver kept its promises.
    pub(crate) fn check(&self) -> Result<(), Finding> {
        let broken = self.broken.lock().take();
        broken.map_or(Ok(()), |text| Err(Finding { text, keys: Vec::new() }))
    }

    fn chance(&self, probability: f64) -> bool {
        self.rng.lock().random_bool(probability)
    }

    async fn travel(&self) -> Result<(), PdError> {
        let micros = self.rng.lock().random_range(0..1_500);
        sleep(Duration::from_micros(micros)).await;
        if self.chance(LOST_PROBABILITY) {
            sleep(TIMEOUT).await;
            return Err(PdError::Transport(TransportError::Timeout));
        }
        Ok(())
    }
}

/// The way of one process to the driver. What a process asks for after its death is never answered.
pub(crate) struct PdLink {
    pub(crate) host: Arc<PdHost>,
    pub(crate) life: Option<Life>,
}

impl PdLink {
    async fn reach(&self) -> Result<Arc<PlacementDriver>, PdError> {
        self.travel().await?;
        self.host.running.lock().clone().ok_or(PdError::Transport(TransportError::Closed))
    }

    async fn travel(&self) -> Result<(), PdError> {
        let travelled = self.host.travel().await;
        if let Some(life) = &self.life {
            life.must_live().await;
        }
        travelled
    }

    /// Timestamps never go back: neither for those who ask one after the other, nor over restarts and jumps.
    fn watch(&self, known: u64, last: pdpb::Timestamp, count: u32) -> pdpb::Timestamp {
        let bits = |ts: &pdpb::Timestamp| (ts.physical.unsigned_abs() << 18) + ts.logical.unsigned_abs();
        let host = &self.host;
        let first = bits(&last) + 1 - u64::from(count);
        if host.sabotage == Some(Sabotage::RepeatTimestamps) && known > 0 && host.chance(0.05) {
            let (physical, logical) = ((known >> 18) as i64, (known & ((1 << 18) - 1)) as i64);
            return pdpb::Timestamp { physical, logical, ..last };
        }
        if first <= known {
            let text = format!("the timestamp {first} was given out after {known}");
            host.broken.lock().get_or_insert(text);
        }
        host.given_out.fetch_max(bits(&last), Ordering::Relaxed);
        host.first.compare_exchange(0, first, Ordering::Relaxed, Ordering::Relaxed).ok();
        last
    }
}

macro_rules! forward {
    ($($name:ident($($argument:ident: $type:ty)?) -> $answer:ty;)*) => {
        #[async_trait]
        impl PdService for PdLink {
            async fn timestamps(&self, count: u32) -> Result<pdpb::Timestamp, PdError> {
                let known = self.host.given_out.load(Ordering::Relaxed);
                let driver = self.reach().await?;
                let last = self.watch(known, driver.timestamps(count).await?, count);
                self.travel().await?;
                let first = self.host.first.load(Ordering::Relaxed);
                if self.life.is_some() && self.host.sabotage == Some(Sabotage::ForgetReads) {
                    return Ok(pdpb::Timestamp { physical: (first >> 18) as i64, logical: 0, ..last });
                }
                Ok(last)
            }

            $(async fn $name(&self $(, $argument: $type)?) -> Result<$answer, PdError> {
                let driver = self.reach().await?;
                let answer = driver.$name($($argument)?).await;
                self.travel().await?;
                answer
            })*
        }
    };
}

forward! {
    get_region(request: pdpb::GetRegionRequest) -> pdpb::GetRegionResponse;
    get_prev_region(request: pdpb::GetRegionRequest) -> pdpb::GetRegionResponse;
    get_region_by_id(request: pdpb::GetRegionByIdRequest) -> pdpb::GetRegionResponse;
    scan_regions(request: pdpb::ScanRegionsRequest) -> pdpb::ScanRegionsResponse;
    get_store(request: pdpb::GetStoreRequest) -> pdpb::GetStoreResponse;
    get_all_stores(request: pdpb::GetAllStoresRequest) -> pdpb::GetAllStoresResponse;
    put_store(request: pdpb::PutStoreRequest) -> pdpb::PutStoreResponse;
    store_heartbeat(request: pdpb::StoreHeartbeatRequest) -> pdpb::StoreHeartbeatResponse;
    is_bootstrapped() -> bool;
    bootstrap(request: pdpb::BootstrapRequest) -> pdpb::BootstrapResponse;
    alloc_id(count: u32) -> u64;
    region_heartbeat(request: pdpb::RegionHeartbeatRequest) -> pdpb::RegionHeartbeatResponse;
    ask_batch_split(request: pdpb::AskBatchSplitRequest) -> pdpb::AskBatchSplitResponse;
    report_batch_split(request: pdpb::ReportBatchSplitRequest) -> pdpb::ReportBatchSplitResponse;
    get_gc_safe_point(request: pdpb::GetGcSafePointRequest) -> pdpb::GetGcSafePointResponse;
    update_gc_safe_point(request: pdpb::UpdateGcSafePointRequest) -> pdpb::UpdateGcSafePointResponse;
    update_service_gc_safe_point(request: pdpb::UpdateServiceGcSafePointRequest) -> pdpb::UpdateServiceGcSafePointResponse;
}
