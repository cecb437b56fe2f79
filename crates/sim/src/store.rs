//! Stores that crash, and the wires between them and their callers.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tidewater_codec::Key;
use tidewater_kv::{Node, NodeConfig, RaftSettings};
use tidewater_proto::{StoreConnector, StoreRequest, StoreResponse, StoreService, TransportError, kvrpcpb};
use tidewater_raft::RaftConfig;
use tidewater_txn::fault::{Faults, FaultyConnector};

use crate::Options;
use crate::life::{Death, Life};
use crate::log::SimLog;
use crate::pd::{PdHost, PdLink};
use crate::sabotage::{Sabotage, SimEngine};

/// How often stores report, and so get orders to move regions.
const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(250);
const LATE_PIECE_PROBABILITY: f64 = 0.1;
const REOPEN_PAUSE: Duration = Duration::from_millis(50);

/// The machine a store runs on.
pub(crate) struct StoreHost {
    address: String,
    state: Mutex<State>,
}

struct State {
    engine: Arc<SimEngine>,
    log: Arc<SimLog>,
    /// Counts starts and crashes, so that a start that was overtaken by a crash knows.
    generation: u64,
    running: Option<Running>,
}

struct Running {
    node: Option<Arc<Node>>,
    life: Life,
    death: Death,
}

/// What all stores have in common.
pub(crate) struct Stores {
    pub(crate) hosts: Vec<Arc<StoreHost>>,
    pub(crate) pd: Arc<PdHost>,
    pub(crate) faults: Faults,
    pub(crate) seed: u64,
    pub(crate) sabotage: Option<Sabotage>,
    replicated: bool,
    rng: Mutex<SmallRng>,
}

impl Stores {
    pub(crate) fn new(count: usize, pd: Arc<PdHost>, faults: Faults, options: &Options) -> Arc<Self> {
        let Options { seed, sabotage, replicated, .. } = *options;
        let host = |index: usize| {
            let engine = SimEngine::new(sabotage);
            let log = SimLog::new(seed ^ (index as u64 + 1) << 50, sabotage);
            let state = Mutex::new(State { engine, log, generation: 0, running: None });
            Arc::new(StoreHost { address: format!("store-{index}"), state })
        };
        let rng = Mutex::new(SmallRng::seed_from_u64(!seed));
        Arc::new(Self { hosts: (0..count).map(host).collect(), pd, faults, seed, sabotage, replicated, rng })
    }

    /// Starts a store, however often that takes, unless it crashes meanwhile.
    pub(crate) async fn start(self: &Arc<Self>, index: usize, generation: u64) {
        loop {
            let (life, death) = Life::begin();
            let (engine, log) = {
                let mut state = self.hosts[index].state.lock();
                if state.generation != generation {
                    return;
                }
                state.running = Some(Running { node: None, life: life.clone(), death });
                (state.engine.clone(), state.log.clone())
            };
            let raft = RaftSettings { device: log, config: RaftConfig::default() };
            let config = NodeConfig {
                raft: self.replicated.then_some(raft),
                address: self.hosts[index].address.clone(),
                heartbeat_interval: HEARTBEAT_INTERVAL,
                gc_poll_interval: None,
                raw_sweep_interval: None,
                // A few versions fill a region.
                region_keys_max: 40,
                region_keys_split: 20,
                clock: self.pd.clock.clone(),
                bootstrap_split_keys: vec![Key::new(*b"k2"), Key::new(*b"k4")],
                ..NodeConfig::default()
            };
            let pd = Arc::new(PdLink { host: self.pd.clone(), life: Some(life.clone()) });
            let peers = Arc::new(FaultyConnector::new(
                self.wire(Some(life.clone())),
                self.faults.clone(),
                self.seed ^ (generation << 8) ^ index as u64,
            ));
            let opened = tokio::select! {
                biased;
                () = life.ended() => return,
                opened = Node::open_in_cluster(config, engine, pd, peers) => opened,
            };
            if let Ok(node) = opened {
                let mut state = self.hosts[index].state.lock();
                if state.generation == generation
                    && let Some(running) = &mut state.running
                {
                    running.node = Some(node);
                }
                return;
            }
            tokio::time::sleep(REOPEN_PAUSE).await;
        }
    }

    /// Power fails: what was not synced is gone, and so is everything under way. Returns what to start it again with.
    fn crash(&self, index: usize) -> u64 {
        let mut state = self.hosts[index].state.lock();
        state.generation += 1;
        if let Some(running) = state.running.take() {
            running.death.strike();
            if let Some(node) = running.node {
                // The dead process has nothing to say; this ends its tasks.
                tokio::spawn(async move { node.close().await });
            }
        }
        state.log = state.log.crash();
        state.engine = state.engine.crash();
        state.generation
    }

    /// Power fails, and comes back after a while.
    pub(crate) fn crash_for(self: &Arc<Self>, index: usize, pause: Duration) {
        let (stores, generation) = (self.clone(), self.crash(index));
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            stores.start(index, generation).await;
        });
    }

    /// Likewise, right after so many more writes of the store.
    pub(crate) fn crash_after(self: &Arc<Self>, index: usize, writes: u64, pause: Duration) {
        let stores = self.clone();
        self.set_trap(index, writes, Box::new(move || stores.crash_for(index, pause)));
    }

    /// Has something happen right after so many more writes of a store.
    pub(crate) fn set_trap(&self, index: usize, writes: u64, spring: Box<dyn FnOnce() + Send>) {
        let engine = self.hosts[index].state.lock().engine.clone();
        engine.set_trap(writes, spring);
    }

    /// A way to all stores without faults, for the process with that life, or for nobody in particular.
    pub(crate) fn wire(self: &Arc<Self>, life: Option<Life>) -> Arc<dyn StoreConnector> {
        Arc::new(Wire { stores: self.clone(), caller: life })
    }

    /// How much later a piece of a region arrives a second time, if it does: a sender that gives up on an answer does not stop its request.
    fn straggles(&self) -> Option<Duration> {
        let mut rng = self.rng.lock();
        rng.random_bool(LATE_PIECE_PROBABILITY).then(|| Duration::from_millis(rng.random_range(10..6_000)))
    }

    /// The nodes; all run.
    pub(crate) fn nodes(&self) -> Vec<Arc<Node>> {
        self.hosts.iter().filter_map(|host| host.running().map(|(node, _)| node)).collect()
    }
}

impl StoreHost {
    fn running(&self) -> Option<(Arc<Node>, Life)> {
        let state = self.state.lock();
        let running = state.running.as_ref()?;
        Some((running.node.clone()?, running.life.clone()))
    }
}

struct Wire {
    stores: Arc<Stores>,
    caller: Option<Life>,
}

#[async_trait]
impl StoreConnector for Wire {
    async fn connect(&self, address: &str) -> Result<Arc<dyn StoreService>, TransportError> {
        let host = self.stores.hosts.iter().find(|host| host.address == address);
        let host = host.ok_or(TransportError::Closed)?.clone();
        Ok(Arc::new(Line { host, caller: self.caller.clone(), stores: self.stores.clone() }))
    }
}

struct Line {
    host: Arc<StoreHost>,
    caller: Option<Life>,
    stores: Arc<Stores>,
}

#[async_trait]
impl StoreService for Line {
    async fn call(&self, mut request: StoreRequest) -> Result<StoreResponse, TransportError> {
        if let Some(caller) = &self.caller {
            caller.must_live().await;
        }
        if self.stores.sabotage == Some(Sabotage::ReadAroundLocks) {
            read_around_locks(&mut request);
        }
        let (node, life) = self.host.running().ok_or(TransportError::Closed)?;
        if let StoreRequest::InstallRegion(_) = &request
            && let Some(late) = self.stores.straggles()
        {
            let (host, request) = (self.host.clone(), request.clone());
            tokio::spawn(async move {
                tokio::time::sleep(late).await;
                if let Some((node, _)) = host.running() {
                    // Nobody waits for this answer.
                    let _ = node.call(request).await;
                }
            });
        }
        let answer = tokio::select! {
            biased;
            () = life.ended() => Err(TransportError::Closed),
            answer = node.call(request) => answer,
        };
        if let Some(caller) = &self.caller {
            caller.must_live().await;
        }
        answer
    }
}

fn read_around_locks(request: &mut StoreRequest) {
    let context = match request {
        StoreRequest::Get(request) => &mut request.context,
        StoreRequest::BatchGet(request) => &mut request.context,
        StoreRequest::Scan(request) => &mut request.context,
        _ => return,
    };
    if let Some(context) = context {
        context.isolation_level = kvrpcpb::IsolationLevel::Rc as i32;
    }
}
