//! Opening a node: its format, its identity, its regions, its background tasks.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use parking_lot::Mutex;
use tidewater_codec::{DecodeError, TimeStamp};
use tidewater_proto::{PdError, PdService, StoreConnector, metapb, pdpb};
use tidewater_raft::{DeviceError, StartError};
use tokio::sync::mpsc;

use super::{Node, replicas::Replicas, split::SplitError};
use crate::{
    Cf, Durability, Engine, EngineError, IteratorOptions, WriteBatch,
    concurrency::ConcurrencyManager,
    config::NodeConfig,
    detector::Reports,
    health::Health,
    meta,
    mvcc::data_range,
    raw::all_raw,
    region::{Region, RegionTable},
    replica::finish_installations,
    scheduler::Scheduler,
};

/// A clock that is further off the placement driver's timestamps is wrong, and one that is a little off is worth a word. The timestamps never go back:
/// where the driver's clock was hours ahead once, they stay ahead, which must not keep out stores whose clocks are right.
const CLOCK_DISTANCE_MAX: std::time::Duration = std::time::Duration::from_secs(24 * 3600);
const CLOCK_DISTANCE_FINE: std::time::Duration = std::time::Duration::from_secs(5);
/// Between looks at whether the first region has elected itself.
const ELECTION_LOOK: std::time::Duration = std::time::Duration::from_millis(5);

/// Why a node does not open.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The data is not usable, see the message; it is left as it is.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The placement driver did not do its part.
    #[error("the placement driver: {0}")]
    Pd(#[from] PdError),
    /// The first region of a new cluster was not split as the settings say.
    #[error("the first split: {0}")]
    Split(#[from] SplitError),
    /// A stored region makes no sense.
    #[error("a stored region is corrupt: {0}")]
    Region(#[from] DecodeError),
    /// The placement driver knows no cluster, but the store holds data of one: what the driver had stored is missing.
    #[error(
        "this store holds data of a cluster of which the placement driver knows nothing: the placement driver's own \
         data is missing or belongs to another cluster; the data is left as it is"
    )]
    ClusterForgotten,
    /// The store and the placement driver are of different clusters.
    #[error(
        "this store belongs to cluster {own}, the placement driver to cluster {theirs}: give it the addresses of its own placement \
         driver, or another data directory"
    )]
    OtherCluster {
        /// The store's.
        own: u64,
        /// The placement driver's.
        theirs: u64,
    },
    /// Leases, lifetimes and safe points would mean something else here than elsewhere.
    #[error(
        "this machine's clock is {seconds} seconds off the placement driver's: set it right (with NTP), then start the store again"
    )]
    ClockOff {
        /// By how much it is ahead; negative if it is behind.
        seconds: i64,
    },
    /// The Raft log does not open, or a replica does not start.
    #[error("replication: {0}")]
    Raft(#[from] StartError),
    /// The Raft log cannot be read or written.
    #[error(transparent)]
    RaftLog(#[from] DeviceError),
    /// The data is there, the log is not: nobody knows what these replicas have promised.
    #[error(
        "the Raft log is missing, but the data of its regions is here: restore the log's directory, or remove this store's data and let it \
         join the cluster as a new one"
    )]
    LogMissing,
    /// A replica was being replaced by a snapshot, of which not all is there any more.
    #[error("the replica of region {region_id} is half of a snapshot: {reason}")]
    HalfInstalled {
        /// The region.
        region_id: u64,
        /// What is wrong with the snapshot.
        reason: String,
    },
    /// The regions have copies on other stores, and this store was opened as if it had the only ones.
    #[error("the regions of this store are replicated: open it with a Raft log")]
    Replicated,
}

impl Node {
    /// Opens a node over an engine and joins the cluster of `pd`; the first node of a cluster makes its first region.
    ///
    /// Runs its background tasks on the current tokio runtime until it is dropped.
    pub async fn open(
        config: NodeConfig,
        engine: Arc<dyn Engine>,
        pd: Arc<dyn PdService>,
    ) -> Result<Arc<Self>, NodeError> {
        Self::open_with(config, engine, pd, None).await
    }

    async fn open_with(
        config: NodeConfig,
        engine: Arc<dyn Engine>,
        pd: Arc<dyn PdService>,
        peers: Option<Arc<dyn StoreConnector>>,
    ) -> Result<Arc<Self>, NodeError> {
        meta::check_format(&*engine)?;
        check_cluster(&*engine, &*pd).await?;
        if peers.is_some() {
            check_clock(&config, &*pd).await?;
        }
        let (store_id, cluster_id) = join_cluster(&config, &*engine, &*pd).await?;
        note_cluster(&*engine, cluster_id)?;
        let regions = RegionTable::new(store_id, cluster_id);
        let moves = meta::load_moves(&*engine.snapshot())?;
        let mut loaded = Vec::new();
        let mut replicated = Vec::new();
        let mut unfinished = Vec::new();
        if let Some(raft) = &config.raft {
            unfinished = finish_installations(&*engine, &raft.spools, raft.install_bytes_max)?;
        }
        for meta in meta::load_regions(&*engine.snapshot())? {
            if config.raft.is_some() {
                replicated.push(meta);
                continue;
            }
            if meta::load_applied(&*engine, meta.id)?.is_some() {
                return Err(NodeError::Replicated);
            }
            let region = Region::new(meta, store_id)?;
            region.load.bytes.store(approximate_bytes(&*engine, &region), Ordering::Relaxed);
            if moves.iter().any(|(id, _)| *id == region.id()) {
                region.close();
            }
            loaded.push(Arc::new(region));
        }
        regions.install(loaded);
        // Reads served before a restart are forgotten, but none was at a timestamp that did not exist yet.
        let now = current_ts(&*pd).await?;
        let (split_checks, requested) = mpsc::unbounded_channel();
        let compute = config.compute.clone().unwrap_or_else(tokio::runtime::Handle::current);
        let concurrency = match config.flaws.ignores_memory_locks {
            true => ConcurrencyManager::blind(now),
            false => ConcurrencyManager::new(now),
        };
        let scheduler = Scheduler::new(engine, concurrency, config.row_cache_bytes)?;
        let mut events = None;
        let mut failure = None;
        let raft = config.raft.clone();
        let mut replicas_of = |this: &std::sync::Weak<Self>| {
            let opened = raft.as_ref().map(|settings| Replicas::new(store_id, settings, this.clone()));
            match opened.transpose() {
                Ok(opened) => opened.map(|(replicas, received)| {
                    events = Some(received);
                    replicas
                }),
                Err(error) => {
                    failure = Some(error);
                    None
                }
            }
        };
        let node = Arc::new_cyclic(|this| Self {
            replicas: replicas_of(this),
            scheduler,
            config,
            store_id,
            pd,
            regions,
            compute,
            split_gate: tokio::sync::Mutex::new(()),
            split_checks,
            measured_rounds: AtomicUsize::new(0),
            gc_done: Mutex::new(TimeStamp::ZERO),
            health: Health::default(),
            safe_ts: super::safe_ts::SafeTs::default(),
            tasks: Mutex::default(),
            peers,
            transfers: super::transfer::Transfers::default(),
            detector: Mutex::default(),
            this: this.clone(),
            metrics: super::metrics::CommandMetrics::new(),
            consistency: super::consistency::Consistency::default(),
        });
        if let Some(error) = failure {
            return Err(error);
        }
        if let Some(events) = events {
            node.start_replicas(replicated, unfinished, events).await?;
        }
        node.split_at_bootstrap().await?;
        node.start_tasks(requested);
        node.resume_moves(moves);
        node.report().await;
        Ok(node)
    }

    /// [`Self::open`], for a cluster of several stores, which `peers` reaches.
    pub async fn open_in_cluster(
        config: NodeConfig,
        engine: Arc<dyn Engine>,
        pd: Arc<dyn PdService>,
        peers: Arc<dyn StoreConnector>,
    ) -> Result<Arc<Self>, NodeError> {
        Self::open_with(config, engine, pd, Some(peers)).await
    }

    /// Splits the first region of a new cluster as the settings say; after a crash in between, when the node opens again.
    async fn split_at_bootstrap(&self) -> Result<(), NodeError> {
        let engine = &self.scheduler.engine;
        if !meta::is_split_pending(&**engine)? {
            return Ok(());
        }
        if !self.config.bootstrap_split_keys.is_empty() {
            // The first region has one member, which elects itself.
            while self.regions.all().is_empty() {
                tokio::time::sleep(ELECTION_LOOK).await;
            }
            self.split_everywhere(&self.config.bootstrap_split_keys).await?;
        }
        let mut batch = WriteBatch::new();
        meta::delete_split_pending(&mut batch);
        Ok(engine.write(batch, Durability::Sync)?)
    }

    fn start_tasks(self: &Arc<Self>, split_checks: mpsc::UnboundedReceiver<u64>) {
        // Tasks hold the node weakly: it closes when its owner drops it.
        let mut tasks = vec![
            tokio::spawn(super::split::check_splits(
                Arc::downgrade(self),
                split_checks,
                self.config.split_check_delay,
            ))
            .abort_handle(),
            tokio::spawn(super::admin::heartbeats(Arc::downgrade(self), self.config.heartbeat_interval))
                .abort_handle(),
        ];
        let limits = self.config.read_limits();
        if limits.requests > 0 || limits.bytes > 0 {
            let watching = super::split_by_load::watch_reads(Arc::downgrade(self), limits);
            tasks.push(tokio::spawn(watching).abort_handle());
        }
        if let Some(interval) = self.config.gc_poll_interval {
            tasks.push(
                tokio::spawn(super::gc::follow_safe_point(Arc::downgrade(self), interval)).abort_handle(),
            );
        }
        if self.peers.is_some() {
            let (listener, events) = mpsc::unbounded_channel();
            self.scheduler.waits.listen(listener);
            let reports = super::deadlocks::report_waits(Arc::downgrade(self), Reports::new(events));
            tasks.push(tokio::spawn(reports).abort_handle());
        }
        if let Some(watched) = self.config.disk.clone() {
            let watching = super::watch_disk::watch_space(Arc::downgrade(self), watched);
            tasks.push(tokio::spawn(watching).abort_handle());
        }
        if self.replicas.is_some() {
            let watching = super::watch_disk::watch_latency(Arc::downgrade(self));
            tasks.push(tokio::spawn(watching).abort_handle());
            tasks.push(tokio::spawn(super::damage::watch_engine(Arc::downgrade(self))).abort_handle());
        }
        if let (true, Some(interval)) = (self.replicas.is_some(), self.config.consistency_check_interval) {
            let checks = super::consistency::check_regularly(Arc::downgrade(self), interval);
            tasks.push(tokio::spawn(checks).abort_handle());
        }
        if let Some(interval) = self.config.raw_sweep_interval {
            let sweep = super::raw_sweep::sweep_regularly(Arc::downgrade(self), interval);
            tasks.push(tokio::spawn(sweep).abort_handle());
        }
        self.tasks.lock().extend(tasks);
    }
}

/// A timestamp of this moment.
pub(super) async fn current_ts(pd: &dyn PdService) -> Result<TimeStamp, PdError> {
    let now = pd.timestamps(1).await?;
    Ok(TimeStamp::compose(now.physical.unsigned_abs(), now.logical.unsigned_abs()))
}

pub(super) fn approximate_bytes(engine: &dyn Engine, region: &Region) -> u64 {
    let size = |(lower, upper): &(Vec<u8>, Vec<u8>)| {
        [Cf::Write, Cf::Default].map(|cf| engine.approximate_size(cf, lower, upper)).iter().sum::<u64>()
    };
    region.engine_ranges().iter().map(size).sum()
}

/// The placement driver's cluster has to be the store's, as far as they know.
async fn check_cluster(engine: &dyn Engine, pd: &dyn PdService) -> Result<(), NodeError> {
    let answer = pd.get_gc_safe_point(pdpb::GetGcSafePointRequest::default()).await?;
    let theirs = answer.header.map_or(0, |header| header.cluster_id);
    match meta::load_cluster_id(engine)? {
        Some(own) if theirs != 0 && own != theirs => Err(NodeError::OtherCluster { own, theirs }),
        _ => Ok(()),
    }
}

fn note_cluster(engine: &dyn Engine, cluster_id: u64) -> Result<(), EngineError> {
    if cluster_id == 0 || meta::load_cluster_id(engine)?.is_some() {
        return Ok(());
    }
    let mut batch = WriteBatch::new();
    meta::put_cluster_id(&mut batch, cluster_id);
    engine.write(batch, Durability::Sync)
}

/// Whether this machine's clock is anywhere near the placement driver's.
async fn check_clock(config: &NodeConfig, pd: &dyn PdService) -> Result<(), NodeError> {
    let theirs = i64::try_from(current_ts(pd).await?.physical_ms()).unwrap_or(i64::MAX);
    let seconds = (config.clock.now_micros() / 1000).saturating_sub(theirs) / 1000;
    if seconds.unsigned_abs() > CLOCK_DISTANCE_MAX.as_secs() {
        return Err(NodeError::ClockOff { seconds });
    }
    if seconds.unsigned_abs() > CLOCK_DISTANCE_FINE.as_secs() {
        tracing::warn!(seconds, "this machine's clock is off the placement driver's");
    }
    Ok(())
}

/// Finds out who this store is and in which cluster; gets an id, and the first region if the cluster is new.
///
/// Returns the store's id and the cluster's, which is zero if the placement driver does not tell.
async fn join_cluster(
    config: &NodeConfig,
    engine: &dyn Engine,
    pd: &dyn PdService,
) -> Result<(u64, u64), NodeError> {
    let known = meta::load_store_id(engine)?;
    let store_id = match known {
        Some(store_id) => store_id,
        None => pd.alloc_id(1).await?,
    };
    let store = metapb::Store {
        id: store_id,
        address: config.address.clone(),
        status_address: config.status_address.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
        node_state: metapb::NodeState::Serving.into(),
        ..Default::default()
    };
    if known.is_none() {
        let mut batch = WriteBatch::new();
        meta::put_store_id(&mut batch, store_id);
        engine.write(batch, Durability::Sync)?;
    }
    if pd.is_bootstrapped().await? {
        forget_unfounded(engine, pd).await?;
    } else {
        // Timestamps and ids would begin anew, below those in the data.
        if has_data(engine)? {
            return Err(NodeError::ClusterForgotten);
        }
        bootstrap(engine, pd, &store).await?;
    }
    let answer = pd.put_store(pdpb::PutStoreRequest { store: Some(store), ..Default::default() }).await?;
    Ok((store_id, answer.header.map_or(0, |header| header.cluster_id)))
}

/// A first region that never became the cluster's goes: the store stopped before it heard that another had founded the cluster.
async fn forget_unfounded(engine: &dyn Engine, pd: &dyn PdService) -> Result<(), NodeError> {
    if !meta::is_split_pending(engine)? {
        return Ok(());
    }
    // More than one are the parts of a region that was founded, and whose split the driver may not have heard of.
    let [region] = &meta::load_regions(&*engine.snapshot())?[..] else { return Ok(()) };
    let request = pdpb::GetRegionByIdRequest { region_id: region.id, ..Default::default() };
    if pd.get_region_by_id(request).await?.region.is_some() {
        return Ok(());
    }
    forget_first_region(engine, region.id)
}

fn forget_first_region(engine: &dyn Engine, region_id: u64) -> Result<(), NodeError> {
    let mut batch = WriteBatch::new();
    meta::delete_region(&mut batch, region_id);
    meta::delete_split_pending(&mut batch);
    Ok(engine.write(batch, Durability::Sync)?)
}

/// Whether anything was ever written for a client.
fn has_data(engine: &dyn Engine) -> Result<bool, EngineError> {
    let (lower, upper) = data_range(&[], &[]);
    for (cf, (lower, upper)) in [(Cf::Write, (lower, upper)), (Cf::Default, all_raw())] {
        let mut cursor = engine.snapshot().iterator(cf, IteratorOptions::range(lower.clone(), Some(upper)));
        if cursor.seek(&lower)? {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn bootstrap(engine: &dyn Engine, pd: &dyn PdService, store: &metapb::Store) -> Result<(), NodeError> {
    // A region may be there from an attempt that did not reach the placement driver.
    let region = match meta::load_regions(&*engine.snapshot())?.into_iter().next() {
        Some(region) => region,
        None => {
            let region = metapb::Region {
                id: pd.alloc_id(1).await?,
                region_epoch: Some(metapb::RegionEpoch { conf_ver: 1, version: 1 }),
                peers: vec![metapb::Peer {
                    id: pd.alloc_id(1).await?,
                    store_id: store.id,
                    ..Default::default()
                }],
                ..Default::default()
            };
            // Local first: the placement driver must not point to a region that does not exist.
            let mut batch = WriteBatch::new();
            meta::put_region(&mut batch, &region);
            meta::put_split_pending(&mut batch);
            engine.write(batch, Durability::Sync)?;
            region
        }
    };
    let region_id = region.id;
    let request =
        pdpb::BootstrapRequest { store: Some(store.clone()), region: Some(region), ..Default::default() };
    match pd.bootstrap(request).await {
        Ok(_) => Ok(()),
        Err(PdError::AlreadyBootstrapped) => {
            // Another store was faster; its region is the cluster's.
            forget_first_region(engine, region_id)
        }
        Err(error) => Err(error.into()),
    }
}
