//! What befalls a cluster while its clients work.

mod leaders;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::SmallRng;
use tidewater_pd::ReplicaRole;
use tidewater_session::Database;
use tokio::time::sleep;

use crate::client::wire;
use crate::disk::Trouble;
use crate::network::{Place, Way};
use crate::sql;
use crate::world::World;

/// Kinds of incidents. Each can be switched off, to find out which of them a failure needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Incident {
    /// The power of a store fails.
    StoreCrash,
    /// The power of a machine of the placement driver fails, or its leader hands over.
    PdCrash,
    /// A client process dies, or a SQL node.
    ClientCrash,
    /// Somebody sets the clock of a machine.
    ClockJump,
    /// Machines do not reach each other: one of them, two, or two halves; in both directions or in one.
    Partition,
    /// A disk is slow, full or fails.
    DiskTrouble,
    /// Somebody splits a region.
    Split,
    /// Somebody has a region change its members or its leader.
    Operator,
    /// Messages get lost, come late, twice, or overtake each other. Not an event: the network is so all the time.
    BadNetwork,
}

impl Incident {
    /// All kinds.
    pub const ALL: [Self; 9] = [
        Self::StoreCrash,
        Self::PdCrash,
        Self::ClientCrash,
        Self::ClockJump,
        Self::Partition,
        Self::DiskTrouble,
        Self::Split,
        Self::Operator,
        Self::BadNetwork,
    ];

    /// Its name, as an argument.
    pub const fn name(self) -> &'static str {
        match self {
            Self::StoreCrash => "store-crash",
            Self::PdCrash => "pd-crash",
            Self::ClientCrash => "client-crash",
            Self::ClockJump => "clock-jump",
            Self::Partition => "partition",
            Self::DiskTrouble => "disk-trouble",
            Self::Split => "split",
            Self::Operator => "operator",
            Self::BadNetwork => "bad-network",
        }
    }

    /// By its name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|incident| incident.name() == name)
    }

    /// How often it happens, beside others and nothing at all, which has 3.
    const fn weight(self) -> u32 {
        match self {
            Self::StoreCrash => 5,
            Self::PdCrash | Self::ClockJump | Self::Partition | Self::Operator => 3,
            Self::ClientCrash | Self::DiskTrouble | Self::Split => 2,
            Self::BadNetwork => 0,
        }
    }

    fn draw(rng: &mut SmallRng) -> Option<Self> {
        const QUIET: u32 = 3;
        let total = Self::ALL.iter().map(|incident| incident.weight()).sum::<u32>() + QUIET;
        let mut dice = rng.random_range(0..total);
        for incident in Self::ALL {
            match dice.checked_sub(incident.weight()) {
                Some(rest) => dice = rest,
                None => return Some(incident),
            }
        }
        None
    }
}

/// How long a machine is without power, at most.
const OUTAGE_MILLIS_MAX: u64 = 400;
/// How long a partition lasts, at most; now and then one lasts much longer than leases and elections do.
const PARTITION_MILLIS_MAX: u64 = 1_500;
const LONG_PARTITION_MILLIS_MAX: u64 = 7_000;
const DISK_TROUBLE_MILLIS_MAX: u64 = 2_000;
/// A disk that fails does so within so many writes.
const DISK_WRITES_MAX: u64 = 40;

fn millis(rng: &mut SmallRng, max: u64) -> Duration {
    Duration::from_millis(rng.random_range(1..max))
}

impl World {
    /// Something happens, or not. What happens is drawn in any case, so that a run without a kind of incident is else like one with it.
    pub(crate) async fn befall(&mut self, rng: &mut SmallRng, spared: &[Incident]) {
        let Some(incident) = Incident::draw(rng) else { return };
        let mut fate: SmallRng = rand::SeedableRng::seed_from_u64(rng.random());
        if spared.contains(&incident) {
            return;
        }
        self.incidents += 1;
        let rng = &mut fate;
        match incident {
            Incident::StoreCrash => self.crash_store(rng),
            Incident::PdCrash => self.crash_pd(rng).await,
            Incident::ClientCrash => {
                let number = rng.random_range(0..self.clients.len() + self.sql_nodes.len());
                match self.clients.get(number) {
                    Some(client) => {
                        self.network.journal.note(format_args!("client-{number} dies"));
                        client.crash();
                    }
                    None => self.crash_sql(number - self.clients.len()),
                }
            }
            Incident::ClockJump => self.set_clock(rng),
            Incident::Partition => self.part(rng),
            Incident::DiskTrouble => self.trouble_disk(rng),
            Incident::Split => self.split(rng),
            Incident::Operator => self.operate(rng),
            Incident::BadNetwork => {}
        }
    }

    fn crash_sql(&self, index: usize) {
        let host = &self.sql_nodes[index];
        self.network.journal.note(format_args!("{} dies", host.place));
        host.crash();
    }

    fn crash_store(&self, rng: &mut SmallRng) {
        let index = rng.random_range(0..self.stores.hosts.len());
        let pause = millis(rng, OUTAGE_MILLIS_MAX);
        match rng.random_bool(0.5) {
            true => self.stores.crash_for(index, pause),
            false => self.stores.crash_after(index, rng.random_range(1..12), pause),
        }
    }

    async fn crash_pd(&self, rng: &mut SmallRng) {
        let (index, pause) = (rng.random_range(0..self.pds.count()), millis(rng, OUTAGE_MILLIS_MAX));
        if self.pds.count() > 1 && rng.random_bool(0.3) {
            self.network.journal.note("the placement driver's leader hands over");
            return self.pds.resign();
        }
        // Now and then the majority is away.
        let others = if self.pds.count() > 1 && rng.random_bool(0.15) { 2 } else { 1 };
        for index in (index..index + others).map(|index| index % self.pds.count()) {
            self.network.journal.note(format_args!("pd-{index} loses power for {pause:?}"));
            self.pds.restart_after(index, pause);
        }
        sleep(pause).await;
    }

    fn set_clock(&self, rng: &mut SmallRng) {
        let far = if rng.random_bool(0.2) { 3_600_000 } else { 3_000 };
        let by = rng.random_range(-far..far);
        let pds = self.pds.count();
        let index = rng.random_range(0..pds + 1);
        match index < pds {
            true => {
                self.network.journal.note(format_args!("the clock of pd-{index} jumps by {by} ms"));
                self.pds.clock(index).jump(by);
            }
            false => {
                let index = rng.random_range(0..self.stores.hosts.len());
                self.network.journal.note(format_args!("the clock of store-{index} jumps by {by} ms"));
                self.stores.clock(index).jump(by);
            }
        }
    }

    fn servers(&self) -> Vec<Place> {
        let stores = (0..self.stores.hosts.len()).map(Place::Store);
        stores.chain((0..self.pds.count()).map(Place::Pd)).collect()
    }

    fn part(&self, rng: &mut SmallRng) {
        let servers = self.servers();
        let clients = (0..self.clients.len() as u64).map(Place::Client);
        let clients = clients.chain(self.sql_nodes.iter().map(|host| host.place));
        let all: Vec<Place> = servers.iter().copied().chain(clients).collect();
        let one = servers[rng.random_range(0..servers.len())];
        let another = all[rng.random_range(0..all.len())];
        let side: BTreeSet<Place> = match rng.random_range(0..4) {
            // Some of all, and the rest.
            0 => all.iter().copied().filter(|_| rng.random_bool(0.5)).collect(),
            // One server, whom clients still reach.
            1 => [one].into(),
            _ => [one].into(),
        };
        let far_side: BTreeSet<Place> = match rng.random_range(0..3) {
            0 => [another].into(),
            1 => servers.iter().copied().filter(|place| !side.contains(place)).collect(),
            _ => all.iter().copied().filter(|place| !side.contains(place)).collect(),
        };
        let there = |from: &BTreeSet<Place>, to: &BTreeSet<Place>| -> BTreeSet<Way> {
            from.iter().flat_map(|from| to.iter().map(move |to| (*from, *to))).collect()
        };
        let (ways, arrow) = match rng.random_range(0..4) {
            0 => (there(&side, &far_side), "->"),
            1 => (there(&far_side, &side), "<-"),
            _ => (&there(&side, &far_side) | &there(&far_side, &side), "<->"),
        };
        let longest = if rng.random_bool(0.25) { LONG_PARTITION_MILLIS_MAX } else { PARTITION_MILLIS_MAX };
        let pause = millis(rng, longest);
        let names = |side: &BTreeSet<Place>| side.iter().map(Place::to_string).collect::<Vec<_>>().join(" ");
        let (side, far_side) = (names(&side), names(&far_side));
        self.network.journal.note(format_args!("partition for {pause:?}: {side} {arrow} {far_side}"));
        self.network.cut(ways, pause);
    }

    fn trouble_disk(&self, rng: &mut SmallRng) {
        let trouble = match rng.random_range(0..4) {
            0 => Trouble::Full,
            1 => Trouble::FailsAfter(rng.random_range(0..DISK_WRITES_MAX)),
            _ => Trouble::Slow,
        };
        let pause = millis(rng, DISK_TROUBLE_MILLIS_MAX);
        let servers = self.servers();
        let place = servers[rng.random_range(0..servers.len())];
        self.network.journal.note(format_args!("the disk of {place} for {pause:?}: {trouble:?}"));
        match place {
            Place::Store(index) => self.stores.trouble_disk(index, trouble, pause),
            Place::Pd(index) => self.pds.trouble_disk(index, trouble, pause),
            Place::Client(_) | Place::Sql(_) | Place::Outside => {}
        }
    }

    fn split(&self, rng: &mut SmallRng) {
        let number = rng.random_range(1..7);
        if let Some(database) = self.sql_nodes.iter().find_map(|host| Some(host.running()?.0)) {
            return self.split_table(database, number);
        }
        let cut = format!("k{number}");
        self.network.journal.note(format_args!("somebody splits at {cut}"));
        let client = self.calm_client();
        // Whether it works out or not is of no interest.
        tokio::spawn(async move { client.split_regions([wire(&cut)]).await });
    }

    fn split_table(&self, database: Arc<Database>, id: i32) {
        let journal = self.network.journal.clone();
        journal.note(format_args!("somebody splits the table at {id}"));
        tokio::spawn(async move {
            let Ok(mut session) = sql::connect(&database) else { return };
            let _ = sql::say(&mut session, &format!("SPLIT TABLE t BY ({id})")).await;
        });
    }

    /// What an operator of the cluster might ask of it, by hand.
    fn operate(&self, rng: &mut SmallRng) {
        let Some(driver) = self.pds.driver() else { return };
        let regions = driver.regions(&[], &[], usize::MAX);
        let stores: Vec<u64> = driver.stores().iter().map(|store| store.id).collect();
        if regions.is_empty() || stores.is_empty() {
            return;
        }
        let region = regions[rng.random_range(0..regions.len())].id;
        let store = stores[rng.random_range(0..stores.len())];
        let wish = rng.random_range(0..4);
        let journal = self.network.journal.clone();
        tokio::spawn(async move {
            let (name, answer) = match wish {
                0 | 1 => ("leads", driver.transfer_leader(region, store).await),
                2 => ("gets a peer of", driver.add_peer(region, store, ReplicaRole::Voter).await),
                _ => ("loses its peer of", driver.remove_peer(region, store).await),
            };
            let answer = answer.map_or_else(|error| format!("refused: {error}"), |()| "ordered".to_owned());
            journal.note(format_args!("store {store} {name} region {region}: {answer}"));
        });
    }
}
