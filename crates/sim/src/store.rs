//! Stores that crash, and the wires between them and their callers.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tidewater_codec::Key;
use tidewater_kv::{Node, NodeConfig, RaftSettings};
use tidewater_proto::{
    COMMAND_NAMES, StoreConnector, StoreRequest, StoreResponse, StoreService, TransportError, command_index,
    metapb,
};
use tidewater_raft::Spools;
use tidewater_txn::fault::{Faults, FaultyConnector};

use crate::Options;
use crate::clock::SimClock;
use crate::disk::{Disk, Trouble};
use crate::engine::SimEngine;
use crate::life::{Death, Life};
use crate::log::{LogFlaw, SimLog};
use crate::network::{Network, Place};
use crate::pd::{PdLink, Pds};
use crate::sabotage::{Meddler, Sabotage, context_mut};

/// How often stores report, and so get orders to move regions.
const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(250);
/// Replicas that are equal must never be found to differ, whatever happens meanwhile.
const CONSISTENCY_INTERVAL: Duration = Duration::from_secs(2);
const LATE_PIECE_PROBABILITY: f64 = 0.1;
/// How long clients wait for an answer: a leader that is cut off has none for a write.
const CALL_TIMEOUT: Duration = Duration::from_millis(1_500);
const REGION_KEYS_MAX: u64 = 40;
const SQL_REGION_KEYS_MAX: u64 = 400;
const REOPEN_PAUSE: Duration = Duration::from_millis(50);

/// The machine a store runs on.
pub(crate) struct StoreHost {
    place: Place,
    address: String,
    clock: Arc<SimClock>,
    disk: Arc<Disk>,
    state: Mutex<State>,
}

struct State {
    engine: Arc<SimEngine>,
    log: Arc<SimLog>,
    /// Snapshots that were received. Their pieces are synced one by one, as it were.
    spools: Arc<Spools>,
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
    pub(crate) pds: Arc<Pds>,
    pub(crate) network: Arc<Network>,
    pub(crate) faults: Faults,
    pub(crate) seed: u64,
    sabotage: Option<Sabotage>,
    meddler: Meddler,
    replicated: bool,
    is_sql: bool,
    rng: Mutex<SmallRng>,
}

fn log_flaw(sabotage: Option<Sabotage>) -> Option<LogFlaw> {
    match sabotage {
        Some(Sabotage::ForgetLogSync) => Some(LogFlaw::ForgetsSync),
        Some(Sabotage::SwallowErrors) => Some(LogFlaw::SwallowsErrors),
        _ => None,
    }
}

impl Stores {
    pub(crate) fn new(count: usize, pds: Arc<Pds>, faults: Faults, options: &Options) -> Arc<Self> {
        let Options { seed, sabotage, replicated, .. } = *options;
        let mut clocks = SmallRng::seed_from_u64(seed ^ 0xc10c);
        let mut host = |index: usize| {
            let disk = Disk::new(seed ^ (index as u64 + 1) << 44);
            let engine = SimEngine::new(disk.clone(), sabotage);
            let log = SimLog::new(seed ^ (index as u64 + 1) << 50, disk.clone(), log_flaw(sabotage));
            let place = Place::Store(index);
            let state =
                Mutex::new(State { engine, log, spools: Spools::in_memory(), generation: 0, running: None });
            let clock = Arc::new(SimClock::new(&mut clocks));
            Arc::new(StoreHost { place, address: place.to_string(), clock, disk, state })
        };
        Arc::new(Self {
            hosts: (0..count).map(&mut host).collect(),
            network: pds.network.clone(),
            pds,
            faults,
            seed,
            sabotage,
            meddler: Meddler::new(sabotage),
            replicated,
            is_sql: options.workload.is_sql(),
            rng: Mutex::new(SmallRng::seed_from_u64(!seed)),
        })
    }

    fn node_config(&self, index: usize, log: Arc<SimLog>, spools: Arc<Spools>) -> NodeConfig {
        // A few versions fill a region; what SQL nodes keep of themselves fills more than one.
        let (region_keys_max, bootstrap_split_keys) = match self.is_sql {
            true => (SQL_REGION_KEYS_MAX, Vec::new()),
            false => (REGION_KEYS_MAX, vec![Key::new(*b"k2"), Key::new(*b"k4")]),
        };
        // Tiny, so that most snapshots need several writes.
        let raft = RaftSettings { spools, install_bytes_max: 300, ..RaftSettings::new(log) };
        NodeConfig {
            raft: self.replicated.then_some(raft),
            address: self.hosts[index].address.clone(),
            heartbeat_interval: HEARTBEAT_INTERVAL,
            gc_poll_interval: None,
            raw_sweep_interval: None,
            region_keys_max,
            region_keys_split: region_keys_max / 2,
            clock: self.hosts[index].clock.clone(),
            bootstrap_split_keys,
            // Where something is broken on purpose, mending it would keep it from being found. Every other seed lets groups sleep.
            consistency_check_interval: (self.sabotage.is_none() && self.seed.is_multiple_of(2))
                .then_some(CONSISTENCY_INTERVAL),
            flaws: Sabotage::flaws(self.sabotage),
            ..NodeConfig::default()
        }
    }

    /// Starts a store, however often that takes, unless it crashes meanwhile.
    pub(crate) async fn start(self: &Arc<Self>, index: usize, generation: u64) {
        let place = self.hosts[index].place;
        loop {
            let (life, death) = Life::begin();
            let (engine, log, spools) = {
                let mut state = self.hosts[index].state.lock();
                if state.generation != generation {
                    return;
                }
                state.running = Some(Running { node: None, life: life.clone(), death });
                (state.engine.clone(), state.log.clone(), state.spools.clone())
            };
            let config = self.node_config(index, log, spools);
            let pd = PdLink::new(self.pds.clone(), place, Some(life.clone()));
            let peers = Arc::new(FaultyConnector::new(
                self.wire(place, Some(life.clone())),
                self.faults.clone(),
                self.seed ^ (generation << 8) ^ index as u64,
            ));
            let opened = tokio::select! {
                biased;
                () = life.ended() => return,
                opened = Node::open_in_cluster(config, engine, pd, peers) => opened,
            };
            match opened {
                Ok(node) => {
                    let mut state = self.hosts[index].state.lock();
                    if state.generation == generation
                        && let Some(running) = &mut state.running
                    {
                        running.node = Some(node);
                    }
                    return;
                }
                Err(error) => self.network.journal.note(format_args!("{place} does not open: {error}")),
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
        state.spools = state.spools.survivor();
        state.engine = state.engine.crash();
        state.generation
    }

    /// Power fails, and comes back after a while.
    pub(crate) fn crash_for(self: &Arc<Self>, index: usize, pause: Duration) {
        self.network.journal.note(format_args!("{} loses power for {pause:?}", self.hosts[index].place));
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

    /// Something is wrong with a disk for a while; then it is as good as new, and the store is started again: a store goes on no more once a
    /// write has failed.
    pub(crate) fn trouble_disk(self: &Arc<Self>, index: usize, trouble: Trouble, pause: Duration) {
        let stores = self.clone();
        let disk = self.hosts[index].disk.clone();
        disk.set_trouble(trouble);
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            disk.set_trouble(Trouble::None);
            if trouble != Trouble::Slow {
                stores.crash_for(index, REOPEN_PAUSE);
            }
        });
    }

    /// The clock of one machine.
    pub(crate) fn clock(&self, index: usize) -> &SimClock {
        &self.hosts[index].clock
    }

    /// A way to all stores, cut only by partitions, for the process with that life, or for nobody in particular.
    pub(crate) fn wire(self: &Arc<Self>, from: Place, life: Option<Life>) -> Arc<dyn StoreConnector> {
        Arc::new(Wire { stores: self.clone(), from, caller: life })
    }

    /// How much later a piece of a region arrives a second time, if it does: a sender that gives up on an answer does not stop its request.
    fn straggles(&self) -> Option<Duration> {
        let mut rng = self.rng.lock();
        rng.random_bool(LATE_PIECE_PROBABILITY).then(|| Duration::from_millis(rng.random_range(10..6_000)))
    }

    /// The node of a machine, if it runs.
    pub(crate) fn node(&self, index: usize) -> Option<Arc<Node>> {
        self.hosts[index].running().map(|(node, _)| node)
    }

    /// The nodes that run.
    pub(crate) fn nodes(&self) -> Vec<Arc<Node>> {
        self.hosts.iter().filter_map(|host| host.running().map(|(node, _)| node)).collect()
    }

    /// The version that requests to a region should have.
    fn make_current(&self, request: &mut StoreRequest) {
        let Some(driver) = self.pds.driver() else { return };
        if let Some(context) = context_mut(request)
            && let Some(known) = driver.region(context.region_id)
        {
            context.region_epoch =
                Some(metapb::RegionEpoch { conf_ver: known.conf_ver, version: known.version });
        }
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
    from: Place,
    caller: Option<Life>,
}

#[async_trait]
impl StoreConnector for Wire {
    async fn connect(&self, address: &str) -> Result<Arc<dyn StoreService>, TransportError> {
        let host = self.stores.hosts.iter().find(|host| host.address == address);
        let host = host.ok_or(TransportError::Closed)?.clone();
        Ok(Arc::new(Line { host, from: self.from, caller: self.caller.clone(), stores: self.stores.clone() }))
    }
}

struct Line {
    host: Arc<StoreHost>,
    from: Place,
    caller: Option<Life>,
    stores: Arc<Stores>,
}

impl Line {
    async fn out_of_patience(&self) {
        match self.from {
            Place::Client(_) | Place::Sql(_) => tokio::time::sleep(CALL_TIMEOUT).await,
            Place::Store(_) | Place::Pd(_) | Place::Outside => std::future::pending().await,
        }
    }

    async fn must_live(&self) {
        if let Some(caller) = &self.caller {
            caller.must_live().await;
        }
    }

    /// A piece of a region that was taken may come again, much later. (One that was refused for a broken disk, and comes again when the disk is
    /// whole, gives the region two owners: docs/simulation.md.)
    fn maybe_straggle(&self, request: Option<StoreRequest>, answer: &Result<StoreResponse, TransportError>) {
        let is_refused =
            matches!(answer, Ok(StoreResponse::InstallRegion(answer)) if !answer.error.is_empty());
        if let Some(request) = request.filter(|_| !is_refused)
            && let Some(late) = self.stores.straggles()
        {
            let host = self.host.clone();
            tokio::spawn(async move {
                tokio::time::sleep(late).await;
                if let Some((node, _)) = host.running() {
                    // Nobody waits for this answer.
                    let _ = node.call(request).await;
                }
            });
        }
    }
}

#[async_trait]
impl StoreService for Line {
    async fn call(&self, mut request: StoreRequest) -> Result<StoreResponse, TransportError> {
        self.must_live().await;
        let Stores { network, meddler, .. } = &*self.stores;
        network.pass(self.from, self.host.place).await?;
        meddler.request(&mut request);
        if meddler.drops_epochs() {
            self.stores.make_current(&mut request);
        }
        let (node, life) = self.host.running().ok_or(TransportError::Closed)?;
        let what = COMMAND_NAMES[command_index(&request)];
        network.journal.message(self.from, self.host.place, what, || brief(&request));
        let piece = matches!(request, StoreRequest::InstallRegion(_)).then(|| request.clone());
        let mut answer = tokio::select! {
            biased;
            () = life.ended() => Err(TransportError::Closed),
            answer = node.call(request) => answer,
            () = self.out_of_patience() => Err(TransportError::Timeout),
        };
        self.maybe_straggle(piece, &answer);
        network.pass(self.host.place, self.from).await?;
        self.must_live().await;
        if let Ok(answer) = &mut answer {
            meddler.answer(answer);
        }
        answer
    }
}

/// As much of a request as one wants to read.
fn brief(request: &StoreRequest) -> String {
    const SHOWN: usize = 300;
    let text = format!("{request:?}");
    // What all requests begin with says little.
    let text = text.split_once("cluster_id: 0 }), ").map_or(&text[..], |(_, rest)| rest);
    format!(" {}", text.chars().take(SHOWN).collect::<String>())
}
