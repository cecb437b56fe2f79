//! The machines of the placement driver: one that is alone, or three members that replicate their records.

mod link;
mod peers;
mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tidewater_pd::{Member, MemberConfig, PdConfig, PlacementDriver, ScheduleConfig};
use tidewater_proto::PdService;

use crate::Options;
use crate::check::Finding;
use crate::clock::SimClock;
use crate::disk::{Disk, Trouble};
use crate::life::{Death, Life};
use crate::log::{LogFlaw, SimLog};
use crate::network::{Network, Place};
use crate::sabotage::Sabotage;
use crate::storage::SimStorage;

pub(crate) use link::PdLink;
use peers::PeerWires;
use watch::Watch;

const MEMBERS: usize = 3;
const LOST_PROBABILITY: f64 = 0.004;
/// Before a member that did not open is started again.
const REOPEN_PAUSE: Duration = Duration::from_millis(100);

/// All machines of the placement driver.
pub(crate) struct Pds {
    hosts: Vec<PdHost>,
    pub(crate) network: Arc<Network>,
    pub(crate) sabotage: Option<Sabotage>,
    replicated: bool,
    seed: u64,
    lost_probability: f64,
    rng: Mutex<SmallRng>,
    watch: Watch,
}

/// The machine one member runs on.
struct PdHost {
    name: String,
    clock: Arc<SimClock>,
    disk: Arc<Disk>,
    state: Mutex<State>,
}

struct State {
    storage: Arc<SimStorage>,
    log: Arc<SimLog>,
    /// Counts crashes, so that a start that was overtaken by one knows.
    generation: u64,
    running: Option<Running>,
}

struct Running {
    process: Option<Process>,
    life: Life,
    death: Death,
}

/// What runs on a machine.
#[derive(Clone)]
enum Process {
    Alone(Arc<PlacementDriver>),
    Member(Arc<Member>),
}

impl Process {
    fn service(&self) -> Arc<dyn PdService> {
        match self {
            Self::Alone(driver) => driver.clone(),
            Self::Member(member) => member.clone(),
        }
    }

    fn driver(&self) -> Option<Arc<PlacementDriver>> {
        match self {
            Self::Alone(driver) => Some(driver.clone()),
            Self::Member(member) => member.driver(),
        }
    }
}

fn log_flaw(sabotage: Option<Sabotage>) -> Option<LogFlaw> {
    match sabotage {
        Some(Sabotage::ForgetPdLogSync) => Some(LogFlaw::ForgetsSync),
        _ => None,
    }
}

fn url(name: &str) -> String {
    format!("http://{name}")
}

impl Pds {
    /// The machines, switched off.
    pub(crate) fn new(options: &Options, network: Arc<Network>, lost: bool) -> Arc<Self> {
        let Options { seed, replicated, sabotage, .. } = *options;
        let count = if replicated { MEMBERS } else { 1 };
        let mut rng = SmallRng::seed_from_u64(seed ^ 0x0bad_c10c);
        let mut host = |index: usize| {
            let disk = Disk::new(seed ^ (index as u64 + 101) << 44);
            let log = SimLog::new(seed ^ (index as u64 + 1) << 46, disk.clone(), log_flaw(sabotage));
            let storage = SimStorage::new(disk.clone(), sabotage);
            PdHost {
                name: Place::Pd(index).to_string(),
                clock: Arc::new(SimClock::new(&mut rng)),
                disk,
                state: Mutex::new(State { storage, log, generation: 0, running: None }),
            }
        };
        Arc::new(Self {
            hosts: (0..count).map(&mut host).collect(),
            network,
            sabotage,
            replicated,
            seed,
            lost_probability: if lost { LOST_PROBABILITY } else { 0.0 },
            rng: Mutex::new(SmallRng::seed_from_u64(seed)),
            watch: Watch::default(),
        })
    }

    pub(crate) fn count(&self) -> usize {
        self.hosts.len()
    }

    /// Switches all machines on.
    pub(crate) fn start(self: &Arc<Self>) {
        (0..self.hosts.len()).for_each(|index| self.boot(index));
    }

    fn config(&self) -> PdConfig {
        let schedule = ScheduleConfig {
            move_patience: Duration::from_secs(5),
            moves_per_store_minute_max: u32::MAX,
            replicated: self.replicated,
            split_merge_interval: Duration::from_secs(2),
            // Membership has to change within the few seconds that a run lasts.
            store_silence_max: Duration::from_secs(2),
            store_down_max: Duration::from_secs(4),
            peer_patience: Duration::from_secs(10),
            leader_patience: Duration::from_secs(4),
            balance_tolerance: 2,
            ..ScheduleConfig::default()
        };
        PdConfig { cluster_id: Some(7), schedule, ..PdConfig::default() }
    }

    /// Starts the process of a machine that has power.
    pub(crate) fn boot(self: &Arc<Self>, index: usize) {
        let host = &self.hosts[index];
        let (life, death) = Life::begin();
        let (storage, log, generation) = {
            let mut state = host.state.lock();
            if state.running.is_some() {
                return;
            }
            state.running = Some(Running { process: None, life: life.clone(), death });
            (state.storage.clone(), state.log.clone(), state.generation)
        };
        if !self.replicated {
            let opened = PlacementDriver::open(self.config(), storage, host.clock.clone());
            match opened {
                Ok(driver) => self.has_started(index, generation, Process::Alone(driver)),
                // Its disk is broken: it comes back with the disk.
                Err(error) => self.network.journal.note(format_args!("{} does not open: {error}", host.name)),
            }
            return;
        }
        let pds = self.clone();
        tokio::spawn(async move {
            let config = pds.member_config(index);
            let wires = Arc::new(PeerWires::new(pds.clone(), index, generation, life.clone()));
            let clock = pds.hosts[index].clock.clone();
            let opened = tokio::select! {
                biased;
                () = life.ended() => return,
                opened = Member::open(config, storage, log, wires, clock) => opened,
            };
            match opened {
                Ok(member) => {
                    pds.has_started(index, generation, Process::Member(member.clone()));
                    tokio::spawn(pds.bury(index, generation, member, life));
                }
                Err(error) => {
                    pds.network
                        .journal
                        .note(format_args!("{} does not open: {error}", pds.hosts[index].name));
                    pds.crash_for(index, generation, REOPEN_PAUSE);
                }
            }
        });
    }

    fn member_config(&self, index: usize) -> MemberConfig {
        let name = self.hosts[index].name.clone();
        let mut config = MemberConfig::alone(name.clone(), url(&name));
        config.initial_cluster =
            self.hosts.iter().map(|host| (host.name.clone(), url(&host.name))).collect::<BTreeMap<_, _>>();
        config.pd = self.config();
        // Members that were away get snapshots.
        (config.raft.log_entries_max, config.raft.log_entries_kept) = (60, 10);
        config
    }

    fn has_started(&self, index: usize, generation: u64, process: Process) {
        let mut state = self.hosts[index].state.lock();
        if state.generation == generation
            && let Some(running) = &mut state.running
        {
            running.process = Some(process);
        }
    }

    /// A member that can go on no more ends its process, and whoever runs it starts it again.
    async fn bury(self: Arc<Self>, index: usize, generation: u64, member: Arc<Member>, life: Life) {
        let failure = tokio::select! {
            biased;
            () = life.ended() => return,
            failure = member.failed() => failure,
        };
        self.network.journal.note(format_args!("{} stops: {failure}", self.hosts[index].name));
        self.crash_for(index, generation, REOPEN_PAUSE);
    }

    /// Power fails: what was not synced is gone, and so is everything under way. Returns what to start it again with.
    pub(crate) fn crash(&self, index: usize) -> u64 {
        let mut state = self.hosts[index].state.lock();
        state.generation += 1;
        if let Some(running) = state.running.take() {
            running.death.strike();
            if let Some(Process::Member(member)) = running.process {
                // The dead process has nothing to say; this ends its tasks.
                tokio::spawn(async move { member.stop().await });
            }
        }
        state.log = state.log.crash();
        state.storage = state.storage.crash();
        state.generation
    }

    /// Ends a process, if it is still the one of that generation, and starts another one after a while.
    fn crash_for(self: &Arc<Self>, index: usize, generation: u64, pause: Duration) {
        if self.hosts[index].state.lock().generation == generation {
            self.restart_after(index, pause);
        }
    }

    /// Power fails, and comes back after a while.
    pub(crate) fn restart_after(self: &Arc<Self>, index: usize, pause: Duration) {
        let (pds, generation) = (self.clone(), self.crash(index));
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            if pds.hosts[index].state.lock().generation == generation {
                pds.boot(index);
            }
        });
    }

    /// Something is wrong with a disk for a while; then it is as good as new, and the process is started again.
    pub(crate) fn trouble_disk(self: &Arc<Self>, index: usize, trouble: Trouble, pause: Duration) {
        let pds = self.clone();
        let disk = self.hosts[index].disk.clone();
        disk.set_trouble(trouble);
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            disk.set_trouble(Trouble::None);
            if trouble != Trouble::Slow {
                pds.restart_after(index, REOPEN_PAUSE);
            }
        });
    }

    /// The clock of one machine.
    pub(crate) fn clock(&self, index: usize) -> &SimClock {
        &self.hosts[index].clock
    }

    /// All clocks agree, on a moment that nobody has seen yet.
    pub(crate) fn repair_clocks(&self) {
        let shown = self.hosts.iter().map(|host| host.clock.furthest_micros()).max().unwrap_or(0);
        let latest = shown.max(self.watch.latest_millis() * 1_000);
        self.hosts.iter().for_each(|host| host.clock.advance_to(latest));
    }

    /// The member that leads hands over, if one does.
    pub(crate) fn resign(&self) {
        let leader = self.hosts.iter().filter_map(PdHost::running).find_map(|(process, _)| match process {
            Process::Member(member) if member.is_leading() => Some(member),
            _ => None,
        });
        if let Some(member) = leader {
            tokio::spawn(async move { member.resign().await });
        }
    }

    /// The driver that answers, if one does.
    pub(crate) fn driver(&self) -> Option<Arc<PlacementDriver>> {
        self.hosts.iter().filter_map(PdHost::running).find_map(|(process, _)| process.driver())
    }

    /// Whether the driver kept its promises.
    pub(crate) fn check(&self) -> Result<(), Finding> {
        self.watch.check()
    }

    fn chance(&self, probability: f64) -> bool {
        self.rng.lock().random_bool(probability)
    }

    /// How long a message takes, and whether it arrives.
    fn draw_travel(&self) -> (Duration, bool) {
        let micros = self.rng.lock().random_range(0..1_500);
        (Duration::from_micros(micros), !self.chance(self.lost_probability))
    }
}

impl PdHost {
    fn running(&self) -> Option<(Process, Life)> {
        let state = self.state.lock();
        let running = state.running.as_ref()?;
        Some((running.process.clone()?, running.life.clone()))
    }
}
