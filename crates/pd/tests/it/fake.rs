//! A cluster that obeys the driver's orders late, or not at all, and whose stores come and go: the model that scheduling is tested against.
//!
//! Regions here have no data, only members. A change of members needs a majority of live voters, as with Raft.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use tidewater_codec::Key;
use tidewater_pd::{MemoryStorage, PdConfig, PlacementDriver, ReplicationConfig, ScheduleConfig, StoreState};
use tidewater_proto::{PdError, PdService, metapb, pdpb};
use tidewater_types::clock::ManualClock;

pub const ROUND_SECONDS: u64 = 10;
const START_MICROS: i64 = 1_700_000_000_000_000;
/// Rounds without an order and without an operator after which the cluster counts as at rest.
const QUIET_ROUNDS: u32 = 8;

/// Numbers that look random and follow from a seed.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }

    pub fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }
}

pub struct FakeStore {
    /// For how many rounds it has been dead.
    pub dead: Option<u64>,
    pub labels: Vec<metapb::StoreLabel>,
    pub slow_score: u64,
    /// Whether its newcomers never catch up.
    pub stalls: bool,
    /// Hundredths of its space that are free.
    pub free: u64,
    /// Regions with their peers here that are damaged.
    pub damaged: BTreeMap<u64, u64>,
}

#[derive(Clone)]
pub struct FakeRegion {
    pub meta: metapb::Region,
    pub leader: u64,
    pub term: u64,
    pub mebibytes: u64,
    pub keys: u64,
    /// Bytes read in each round.
    pub bytes_read: u64,
    /// Peers that need so many rounds to catch up.
    pending: BTreeMap<u64, u64>,
    /// What it is doing, and when it is done.
    doing: Option<(u64, pdpb::RegionHeartbeatResponse)>,
}

pub struct Fake {
    pub pd: Arc<PlacementDriver>,
    pub storage: Arc<MemoryStorage>,
    pub clock: Arc<ManualClock>,
    pub dice: Dice,
    pub stores: BTreeMap<u64, FakeStore>,
    pub regions: BTreeMap<u64, FakeRegion>,
    /// In hundredths, how many orders get lost.
    pub loss: u64,
    /// Rounds that a change may take.
    pub delay_max: u64,
    /// Every order ever, for people and for comparisons.
    pub trace: Vec<String>,
    config: PdConfig,
    round: u64,
    quiet: u32,
}

pub fn schedule() -> ScheduleConfig {
    ScheduleConfig {
        replicated: true,
        merges_max: 0,
        store_down_max: std::time::Duration::from_secs(60),
        ..ScheduleConfig::default()
    }
}

impl FakeRegion {
    pub fn voters(&self) -> impl Iterator<Item = &metapb::Peer> {
        self.meta.peers.iter().filter(|peer| peer.role() == metapb::PeerRole::Voter)
    }

    pub fn stores(&self) -> BTreeSet<u64> {
        self.meta.peers.iter().map(|peer| peer.store_id).collect()
    }

    pub fn has_peer_on(&self, store_id: u64) -> bool {
        self.meta.peers.iter().any(|peer| peer.store_id == store_id)
    }
}

/// Runs what never waits: the driver's storage is memory.
pub fn now<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn key(text: &str) -> Bytes {
    if text.is_empty() { Bytes::new() } else { Bytes::from(Key::new(text).encode().into_bytes()) }
}

impl Fake {
    /// Stores with ids from 1, each with its zone (or none), and regions that are all on the first stores, one peer each on as many as there are
    /// replicas or stores.
    pub fn new(
        seed: u64,
        zones: &[&str],
        regions: u64,
        config: ScheduleConfig,
        replication: ReplicationConfig,
    ) -> Self {
        let config = PdConfig { schedule: config, replication, ..PdConfig::default() };
        let clock = Arc::new(ManualClock::new(START_MICROS));
        let storage = Arc::new(MemoryStorage::new());
        let pd = PlacementDriver::open(config.clone(), storage.clone(), clock.clone()).unwrap();
        let mut fake = Self {
            pd,
            storage,
            clock,
            dice: Dice::new(seed),
            stores: BTreeMap::new(),
            regions: BTreeMap::new(),
            loss: 0,
            delay_max: 0,
            trace: Vec::new(),
            config,
            round: 0,
            quiet: 0,
        };
        for (index, zone) in zones.iter().enumerate() {
            fake.add_store(index as u64 + 1, zone);
        }
        let replicas = fake.config.replication.max_replicas.min(zones.len()) as u64;
        for index in 0..regions {
            let id = 1_000 + index;
            let peers = (1..=replicas).map(|store_id| metapb::Peer {
                id: 10_000 + index * 10 + store_id,
                store_id,
                ..Default::default()
            });
            let border = |index: u64| format!("k{index:06}");
            let meta = metapb::Region {
                id,
                start_key: if index == 0 { Bytes::new() } else { key(&border(index)) },
                end_key: if index + 1 == regions { Bytes::new() } else { key(&border(index + 1)) },
                region_epoch: Some(metapb::RegionEpoch { conf_ver: 1, version: 1 }),
                peers: peers.collect(),
            };
            let region = FakeRegion {
                meta,
                leader: 1,
                term: 5,
                mebibytes: 50,
                keys: 500_000,
                bytes_read: 0,
                pending: BTreeMap::new(),
                doing: None,
            };
            fake.regions.insert(id, region);
        }
        // Ids of the fake are given out by the fake: the driver's begin behind them.
        now(fake.pd.alloc_id(100_000)).unwrap();
        fake
    }

    pub fn add_store(&mut self, id: u64, zone: &str) {
        let labels = match zone.is_empty() {
            true => Vec::new(),
            false => vec![metapb::StoreLabel { key: "zone".to_owned(), value: zone.to_owned() }],
        };
        self.stores.insert(
            id,
            FakeStore {
                dead: None,
                labels,
                slow_score: 1,
                stalls: false,
                free: 90,
                damaged: BTreeMap::new(),
            },
        );
        self.put_store(id).unwrap();
    }

    fn put_store(&self, id: u64) -> Result<(), PdError> {
        let labels = self.stores[&id].labels.clone();
        let store = metapb::Store { id, address: format!("s{id}:1"), labels, ..Default::default() };
        now(self.pd.put_store(pdpb::PutStoreRequest { store: Some(store), ..Default::default() })).map(|_| ())
    }

    /// The driver starts anew over what it has stored.
    pub fn restart_driver(&mut self) {
        let config = PdConfig {
            schedule: self.pd.schedule_config(),
            replication: self.pd.replication_config(),
            ..self.config.clone()
        };
        self.pd = PlacementDriver::open(config, self.storage.clone(), self.clock.clone()).unwrap();
    }

    pub fn is_alive(&self, store_id: u64) -> bool {
        self.stores.get(&store_id).is_some_and(|store| store.dead.is_none())
    }

    /// Whether every region could go on without the store.
    pub fn can_lose(&self, store_id: u64) -> bool {
        self.regions.values().all(|region| {
            let well = region.voters().filter(|peer| {
                peer.store_id != store_id
                    && self.is_alive(peer.store_id)
                    && !region.pending.contains_key(&peer.id)
            });
            well.count() > region.voters().count() / 2
        })
    }

    pub fn kill(&mut self, store_id: u64) {
        self.stores.get_mut(&store_id).unwrap().dead = Some(0);
    }

    pub fn revive(&mut self, store_id: u64) {
        self.stores.get_mut(&store_id).unwrap().dead = None;
        // A tombstone may not come back.
        let _ = self.put_store(store_id);
    }

    /// Goes on until nothing happens any more.
    pub fn settle(&mut self, rounds_max: u64) {
        self.quiet = 0;
        for _ in 0..rounds_max {
            self.round();
            if self.quiet >= QUIET_ROUNDS {
                return;
            }
        }
        let tail = self.trace.len().saturating_sub(20);
        panic!(
            "no rest after {rounds_max} rounds:\n{}\nrunning: {:#?}",
            self.trace[tail..].join("\n"),
            self.pd.operators()
        );
    }

    pub fn round(&mut self) {
        self.round += 1;
        self.clock.advance_micros(ROUND_SECONDS as i64 * 1_000_000);
        self.stores.values_mut().filter_map(|store| store.dead.as_mut()).for_each(|rounds| *rounds += 1);
        for (&store_id, store) in self.stores.iter().filter(|(_, store)| store.dead.is_none()) {
            let stats = pdpb::StoreStats {
                store_id,
                capacity: 1_000,
                available: store.free * 10,
                slow_score: store.slow_score,
                damaged_regions_id: store.damaged.keys().copied().collect(),
                damaged_peers_id: store.damaged.values().copied().collect(),
                region_count: self.peers_on(store_id) as u32,
                ..Default::default()
            };
            let heartbeat = pdpb::StoreHeartbeatRequest { stats: Some(stats), ..Default::default() };
            match now(self.pd.store_heartbeat(heartbeat)) {
                Ok(_) | Err(PdError::StoreTombstone { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        let orders_before = self.trace.len();
        let ids: Vec<_> = self.regions.keys().copied().collect();
        for id in ids {
            self.step(id);
        }
        let is_quiet = self.trace.len() == orders_before && self.pd.operators().is_empty();
        self.quiet = if is_quiet { self.quiet + 1 } else { 0 };
    }

    /// One round of one region: it catches up, elects, does what is due, and reports itself.
    fn step(&mut self, id: u64) {
        let Some(mut region) = self.regions.remove(&id) else { return };
        let alive: BTreeSet<u64> = self.stores.keys().copied().filter(|id| self.is_alive(*id)).collect();
        let store_of: BTreeMap<_, _> =
            region.meta.peers.iter().map(|peer| (peer.id, peer.store_id)).collect();
        region.pending.retain(|peer_id, rounds| {
            let Some(store_id) = store_of.get(peer_id) else { return false };
            let goes_on = alive.contains(store_id) && !self.stores[store_id].stalls;
            *rounds -= u64::from(goes_on && *rounds > 0);
            *rounds > 0
        });
        let has_quorum = {
            let live = region.voters().filter(|peer| alive.contains(&peer.store_id)).count();
            live > region.voters().count() / 2
        };
        if !has_quorum {
            self.regions.insert(id, region);
            return;
        }
        let may_lead =
            |peer: &metapb::Peer| alive.contains(&peer.store_id) && !region.pending.contains_key(&peer.id);
        if !region.voters().any(|peer| peer.store_id == region.leader && may_lead(peer)) {
            let elected = region.voters().find(|peer| may_lead(peer)).map(|peer| peer.store_id);
            let Some(elected) = elected else {
                self.regions.insert(id, region);
                return;
            };
            (region.leader, region.term, region.doing) = (elected, region.term + 1, None);
        }
        if let Some((due, _)) = region.doing
            && due <= self.round
        {
            let (_, order) = region.doing.take().unwrap();
            if self.carry_out(&mut region, &order, &alive) {
                // It was merged into its neighbor.
                return;
            }
        }
        self.report(&mut region, &alive);
        self.regions.insert(id, region);
    }

    fn report(&mut self, region: &mut FakeRegion, alive: &BTreeSet<u64>) {
        let down = region.meta.peers.iter().filter(|peer| !alive.contains(&peer.store_id));
        let down_peers = down.map(|peer| pdpb::PeerStats {
            peer: Some(*peer),
            down_seconds: self.stores[&peer.store_id].dead.unwrap_or_default() * ROUND_SECONDS,
        });
        let pending = region.meta.peers.iter().filter(|peer| region.pending.contains_key(&peer.id));
        let leader = region.meta.peers.iter().find(|peer| peer.store_id == region.leader).copied();
        let request = pdpb::RegionHeartbeatRequest {
            region: Some(region.meta.clone()),
            leader,
            down_peers: down_peers.collect(),
            pending_peers: pending.copied().collect(),
            approximate_size: region.mebibytes,
            approximate_keys: region.keys,
            bytes_read: region.bytes_read,
            interval: Some(pdpb::TimeInterval { start_timestamp: 0, end_timestamp: ROUND_SECONDS }),
            term: region.term,
            ..Default::default()
        };
        let response = now(self.pd.region_heartbeat(request)).unwrap();
        let is_order =
            response.change_peer.is_some() || response.transfer_leader.is_some() || response.merge.is_some();
        let is_order = is_order || response.split_region.is_some();
        assert!(response.change_peer_v2.is_none(), "stores of replicated regions do not understand it");
        if !is_order {
            return;
        }
        self.trace.push(format!(
            "{}: region {} {:?} {:?} {:?} {:?}",
            self.round,
            region.meta.id,
            response.change_peer,
            response.transfer_leader,
            response.merge.as_ref().and_then(|merge| Some(merge.target.as_ref()?.id)),
            response.split_region
        ));
        self.check_order(region, &response, alive);
        if region.doing.is_none() && !self.dice.percent(self.loss) {
            let due = self.round + 1 + self.dice.below(self.delay_max + 1);
            region.doing = Some((due, response));
        }
    }

    /// What no order may ever ask for.
    fn check_order(&self, region: &FakeRegion, order: &pdpb::RegionHeartbeatResponse, alive: &BTreeSet<u64>) {
        if let Some(target) = order.merge.as_ref().and_then(|merge| merge.target.as_ref()) {
            let is_beside =
                target.end_key == region.meta.start_key || region.meta.end_key == target.start_key;
            assert!(is_beside, "{target:?} is no neighbor of {:?}", region.meta);
            assert_eq!(self.regions[&target.id].stores(), region.stores(), "their peers have not met");
        }
        let Some(change) = &order.change_peer else { return };
        let peer = change.peer.unwrap();
        let on_store = region.meta.peers.iter().find(|known| known.store_id == peer.store_id);
        match change.change_type() {
            pdpb::ConfChangeType::AddLearnerNode => {
                assert!(on_store.is_none_or(|known| known.id == peer.id), "two peers on one store: {peer:?}");
                assert!(alive.contains(&peer.store_id) || self.stores[&peer.store_id].dead <= Some(4));
            }
            pdpb::ConfChangeType::AddNode => {
                assert!(on_store.is_some_and(|known| known.id == peer.id), "only learners get a vote");
            }
            pdpb::ConfChangeType::RemoveNode => {
                assert_ne!(region.leader, peer.store_id, "a leader does not remove itself");
                let known = on_store.unwrap();
                if known.role() == metapb::PeerRole::Voter {
                    let rest: Vec<_> = region.voters().filter(|voter| voter.id != peer.id).collect();
                    let well = rest.iter().filter(|voter| {
                        alive.contains(&voter.store_id) && !region.pending.contains_key(&voter.id)
                    });
                    assert!(
                        well.count() > rest.len() / 2,
                        "no healthy majority is left of {:?}",
                        region.meta
                    );
                }
            }
        }
    }

    /// Does what was ordered, if it still makes sense; `true` if the region is gone then.
    fn carry_out(
        &mut self,
        region: &mut FakeRegion,
        order: &pdpb::RegionHeartbeatResponse,
        alive: &BTreeSet<u64>,
    ) -> bool {
        if let Some(peer) = order.transfer_leader.as_ref().and_then(|transfer| transfer.peer) {
            let may_lead = region.voters().any(|voter| voter.id == peer.id)
                && alive.contains(&peer.store_id)
                && !region.pending.contains_key(&peer.id);
            if may_lead && region.leader != peer.store_id {
                (region.leader, region.term) = (peer.store_id, region.term + 1);
            }
        }
        if let Some(target) = order.merge.as_ref().and_then(|merge| merge.target.as_ref()) {
            return self.merge(region, target);
        }
        if let Some(split) =
            order.split_region.as_ref().filter(|_| order.region_epoch == region.meta.region_epoch)
        {
            let id = region.meta.id;
            self.regions.insert(id, region.clone());
            match split.keys.is_empty() {
                true => self.split(id),
                false => split.keys.iter().for_each(|key| self.split_at(id, key.clone())),
            }
            *region = self.regions.remove(&id).unwrap();
        }
        let Some(change) = &order.change_peer else { return false };
        let (peer, before) = (change.peer.unwrap(), region.meta.peers.clone());
        let members = &mut region.meta.peers;
        let known = members.iter().position(|known| known.store_id == peer.store_id);
        let changed = match (change.change_type(), known) {
            (pdpb::ConfChangeType::AddLearnerNode, None) => {
                members.push(metapb::Peer { role: metapb::PeerRole::Learner.into(), ..peer });
                region.pending.insert(peer.id, 1 + self.dice.below(3));
                true
            }
            (pdpb::ConfChangeType::AddNode, Some(at)) if members[at].role() == metapb::PeerRole::Learner => {
                members[at].role = metapb::PeerRole::Voter.into();
                true
            }
            (pdpb::ConfChangeType::RemoveNode, Some(at)) if region.leader != peer.store_id => {
                members.remove(at);
                true
            }
            _ => false,
        };
        // Stores may have died since the order left: a leader of Raft does not propose what would leave it without a majority.
        let live = region.voters().filter(|peer| alive.contains(&peer.store_id)).count();
        if live <= region.voters().count() / 2 {
            region.meta.peers = before;
            return false;
        }
        region.meta.region_epoch.as_mut().unwrap().conf_ver += u64::from(changed);
        false
    }

    fn merge(&mut self, source: &FakeRegion, ordered: &metapb::Region) -> bool {
        let Some(target) = self.regions.get_mut(&ordered.id) else { return false };
        // A target that was split since the order left need not be a neighbor any more.
        if source.stores() != target.stores() || target.meta.region_epoch != ordered.region_epoch {
            return false;
        }
        let version = |meta: &metapb::Region| meta.region_epoch.map_or(0, |epoch| epoch.version);
        let merged = version(&source.meta).max(version(&target.meta)) + 1;
        if target.meta.end_key == source.meta.start_key {
            target.meta.end_key = source.meta.end_key.clone();
        } else {
            assert_eq!(source.meta.end_key, target.meta.start_key, "they are not neighbors");
            target.meta.start_key = source.meta.start_key.clone();
        }
        target.meta.region_epoch.as_mut().unwrap().version = merged;
        target.mebibytes += source.mebibytes;
        target.keys += source.keys;
        true
    }

    /// Cuts a region in two, if it has a key to cut at.
    pub fn split(&mut self, id: u64) {
        let Some(region) = self.regions.get(&id) else { return };
        let middle = [&region.meta.start_key[..], b"\x01"].concat();
        self.split_at(id, Bytes::from(middle));
    }

    fn split_at(&mut self, id: u64, middle: Bytes) {
        let Some(mut right) = self.regions.get(&id).cloned() else { return };
        if right.doing.is_some() || (!right.meta.end_key.is_empty() && middle >= right.meta.end_key) {
            return;
        }
        let ask = pdpb::AskBatchSplitRequest {
            region: Some(right.meta.clone()),
            split_count: 1,
            ..Default::default()
        };
        let ids = match now(self.pd.ask_batch_split(ask)) {
            Ok(mut response) => response.ids.remove(0),
            // It has not reported itself yet.
            Err(PdError::RegionNotFound { .. }) => return,
            Err(error) => panic!("{error}"),
        };
        right.meta.region_epoch.as_mut().unwrap().version += 1;
        let mut left = right.clone();
        left.meta.id = ids.new_region_id;
        left.meta.end_key = middle.clone();
        right.meta.start_key = middle;
        left.pending.clear();
        for (peer, id) in left.meta.peers.iter_mut().zip(ids.new_peer_ids) {
            if let Some(rounds) = right.pending.get(&peer.id) {
                left.pending.insert(id, *rounds);
            }
            peer.id = id;
        }
        let regions = vec![left.meta.clone(), right.meta.clone()];
        now(self.pd.report_batch_split(pdpb::ReportBatchSplitRequest { regions, ..Default::default() }))
            .unwrap();
        self.regions.insert(left.meta.id, left);
        self.regions.insert(right.meta.id, right);
    }

    pub fn offline(&mut self, store_id: u64) {
        now(self.pd.set_store_state(store_id, StoreState::Offline)).unwrap();
    }

    pub fn peers_on(&self, store_id: u64) -> usize {
        self.regions.values().filter(|region| region.has_peer_on(store_id)).count()
    }

    pub fn led_by(&self, store_id: u64) -> usize {
        self.regions.values().filter(|region| region.leader == store_id).count()
    }
}
