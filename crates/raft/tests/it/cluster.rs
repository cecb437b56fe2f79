//! Stores in memory, and a network between them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use prost::Message;
use tidewater_proto::raftpb;
use tidewater_raft::{
    Applied, Committed, Content, Group, GroupError, MachineError, Membership, MemoryDevice, Observer, Pieces,
    RaftConfig, RaftNode, Role, SendError, Spooled, Spools, StateMachine, Status, Transport,
};

pub const GROUP: u64 = 9;

/// What a replica's machine has on its "disk".
#[derive(Default, Clone)]
pub struct Disk {
    pub applied: Applied,
    pub commands: Vec<Bytes>,
    /// Positions that were applied, to see that none comes twice.
    pub indexes: Vec<u64>,
}

/// A list of all commands; each is answered with its number.
pub struct List(pub Arc<Mutex<Disk>>);

impl StateMachine for List {
    fn applied(&mut self) -> Result<Applied, MachineError> {
        Ok(self.0.lock().applied.clone())
    }

    fn apply(&mut self, entries: Vec<Committed>) -> Result<Vec<Bytes>, MachineError> {
        let mut disk = self.0.lock();
        let mut answers = Vec::new();
        for Committed { position, content } in entries {
            disk.applied.position = Some(position);
            disk.indexes.push(position.index);
            match content {
                Content::Blank => {}
                Content::Command(command) => disk.commands.push(command),
                Content::Membership(membership) => {
                    disk.applied.membership = membership;
                    disk.applied.membership_position = Some(position);
                }
            }
            answers.push(Bytes::from(disk.commands.len().to_string()));
        }
        Ok(answers)
    }

    fn durable(&mut self) -> Result<Applied, MachineError> {
        self.applied()
    }

    fn snapshot(&mut self) -> Result<(Applied, Pieces), MachineError> {
        let Disk { applied, commands, .. } = self.0.lock().clone();
        Ok((applied, Box::new(commands.into_iter().map(Ok))))
    }

    fn install(&mut self, applied: &Applied, snapshot: Spooled) -> Result<(), MachineError> {
        let pieces = snapshot.pieces().map_err(|error| MachineError(error.to_string()))?;
        let commands: Result<Vec<_>, _> =
            pieces.filter(|piece| !matches!(piece, Ok(bytes) if bytes.is_empty())).collect();
        *self.0.lock() = Disk { applied: applied.clone(), commands: commands?, indexes: Vec::new() };
        Ok(())
    }
}

struct Quiet;

impl Observer for Quiet {
    fn status_changed(&self, _: &Status) {}
    fn maybe_removed(&self) {}
}

/// Which stores run, and which cannot reach each other.
#[derive(Default)]
pub struct Network {
    pub nodes: Mutex<BTreeMap<u64, Arc<RaftNode>>>,
    pub cut: Mutex<BTreeSet<(u64, u64)>>,
    pub sent: std::sync::atomic::AtomicU64,
    /// Looks at every message, and may change it.
    pub tamper: Mutex<Option<Tamper>>,
    /// Bytes of messages that hang, by sender and receiver: now, and at most so far.
    pub hanging: Mutex<BTreeMap<(u64, u64), (usize, usize)>>,
}

/// A message that hangs.
struct Flight {
    network: Arc<Network>,
    way: (u64, u64),
    bytes: usize,
}

impl Flight {
    fn begin(network: Arc<Network>, request: &raftpb::Request) -> Self {
        let flight =
            Self { way: (request.from_store, request.to_store), bytes: request.encoded_len(), network };
        let mut hanging = flight.network.hanging.lock();
        let (now, most) = hanging.entry(flight.way).or_default();
        *now += flight.bytes;
        *most = (*most).max(*now);
        drop(hanging);
        flight
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if let Some((now, _)) = self.network.hanging.lock().get_mut(&self.way) {
            *now -= self.bytes;
        }
    }
}

/// Whoever sits in the middle.
pub type Tamper = Box<dyn FnMut(&mut raftpb::Request) -> Fate + Send>;

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Arrives,
    IsLost,
    /// It arrives, and the answer is lost.
    AnswerIsLost,
    /// It is neither answered nor lost, for as long as the sender waits.
    Hangs,
}

pub struct Wire(pub Arc<Network>);

#[async_trait]
impl Transport for Wire {
    async fn send(&self, mut request: raftpb::Request) -> Result<raftpb::Response, SendError> {
        let fate = self.0.tamper.lock().as_mut().map_or(Fate::Arrives, |tamper| tamper(&mut request));
        let way = (request.from_store, request.to_store);
        if fate == Fate::Hangs {
            let _flight = Flight::begin(self.0.clone(), &request);
            return std::future::pending().await;
        }
        let reachable = |way| !self.0.cut.lock().contains(&way);
        self.0.sent.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(1)).await;
        let node = self.0.nodes.lock().get(&way.1).cloned();
        let node =
            node.filter(|_| reachable(way) && fate != Fate::IsLost).ok_or(SendError("no way".to_owned()))?;
        let response = node.handle(request).await;
        match reachable((way.1, way.0)) && fate != Fate::AnswerIsLost {
            true => Ok(response),
            false => Err(SendError("no way back".to_owned())),
        }
    }
}

pub struct Store {
    pub device: Arc<MemoryDevice>,
    pub disk: Arc<Mutex<Disk>>,
    pub spools: Arc<Spools>,
}

pub struct Cluster {
    pub network: Arc<Network>,
    pub stores: BTreeMap<u64, Store>,
    pub config: RaftConfig,
}

/// Peers have the numbers of their stores and a hundred more.
pub fn peer(store: u64) -> u64 {
    store + 100
}

impl Cluster {
    /// One group with a voter on each of the stores 1, 2, ...
    pub async fn start(voters: u64, config: RaftConfig) -> Self {
        let mut cluster = Self { network: Arc::default(), stores: BTreeMap::new(), config };
        let membership = Membership::of_voters((1..=voters).map(|store| (peer(store), store)));
        for store in 1..=voters {
            cluster.add_store(store);
            cluster.stores[&store].disk.lock().applied = Applied::origin(membership.clone());
            let node = cluster.boot(store);
            node.create_origin(GROUP).await.unwrap();
            cluster.open(store).await;
        }
        cluster
    }

    pub fn add_store(&mut self, store: u64) {
        self.add_store_with(store, Spools::in_memory());
    }

    pub fn add_store_with(&mut self, store: u64, spools: Arc<Spools>) {
        self.stores.insert(store, Store { device: Arc::default(), disk: Arc::default(), spools });
    }

    /// A store without running members.
    pub fn boot(&self, store: u64) -> Arc<RaftNode> {
        let transport = Arc::new(Wire(self.network.clone()));
        let device = self.stores[&store].device.clone();
        let spools = self.stores[&store].spools.clone();
        let node = Arc::new(RaftNode::new(store, self.config.clone(), device, spools, transport).unwrap());
        tokio::spawn(RaftNode::watch_snapshots(Arc::downgrade(&node)));
        tokio::spawn(RaftNode::watch_idleness(Arc::downgrade(&node)));
        tokio::spawn(RaftNode::watch_stores(Arc::downgrade(&node)));
        self.network.nodes.lock().insert(store, node.clone());
        node
    }

    /// One more group with voters on all stores.
    pub async fn add_group(&self, group_id: u64) {
        let voters = self.stores.keys().map(|store| (peer(*store), *store));
        let membership = Membership::of_voters(voters);
        for store in self.stores.keys() {
            let disk = Disk { applied: Applied::origin(membership.clone()), ..Disk::default() };
            let machine = Box::new(List(Arc::new(Mutex::new(disk))));
            let node = self.node(*store);
            node.create_origin(group_id).await.unwrap();
            node.start(group_id, peer(*store), machine, Arc::new(Quiet)).await.unwrap();
        }
    }

    pub async fn open(&self, store: u64) -> Arc<Group> {
        let machine = Box::new(List(self.stores[&store].disk.clone()));
        self.node(store).start(GROUP, peer(store), machine, Arc::new(Quiet)).await.unwrap()
    }

    /// A crash: the store is gone without a word.
    pub async fn kill(&self, store: u64) {
        let node = self.network.nodes.lock().remove(&store).unwrap();
        node.stop_all().await;
    }

    pub async fn restart(&self, store: u64) -> Arc<Group> {
        self.boot(store);
        self.open(store).await
    }

    pub fn node(&self, store: u64) -> Arc<RaftNode> {
        self.network.nodes.lock()[&store].clone()
    }

    pub fn group(&self, store: u64) -> Arc<Group> {
        self.node(store).group(GROUP).unwrap()
    }

    pub fn commands(&self, store: u64) -> Vec<Bytes> {
        self.stores[&store].disk.lock().commands.clone()
    }

    /// No message passes between the store and the others any more, or all again.
    pub fn isolate(&self, store: u64, is_cut: bool) {
        for other in self.stores.keys().filter(|other| **other != store) {
            self.cut(store, *other, is_cut);
        }
    }

    pub fn cut(&self, one: u64, other: u64, is_cut: bool) {
        let mut cut = self.network.cut.lock();
        for way in [(one, other), (other, one)] {
            match is_cut {
                true => cut.insert(way),
                false => cut.remove(&way),
            };
        }
    }

    /// The store of the leader that can be read now, among those that run.
    pub async fn leader(&self) -> u64 {
        self.wait("nobody leads", || self.leader_now()).await
    }

    pub fn leader_now(&self) -> Option<u64> {
        let nodes: Vec<_> = self.network.nodes.lock().keys().copied().collect();
        nodes.into_iter().find(|store| self.group(*store).has_lease())
    }

    pub async fn wait<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        for _ in 0..3000 {
            if let Some(found) = look() {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let status: Vec<_> = self.network.nodes.lock().keys().copied().collect();
        let status: Vec<_> = status.into_iter().map(|store| (store, self.group(store).status())).collect();
        panic!("{what}: {status:?}");
    }

    /// Proposes until a leader takes it.
    pub async fn put(&self, command: &str) -> Bytes {
        for _ in 0..1000 {
            let leader = self.leader().await;
            match self.group(leader).propose(Bytes::from(command.to_owned())).await {
                Ok(answer) => return answer,
                Err(GroupError::NotLeader { .. }) => tokio::time::sleep(Duration::from_millis(10)).await,
                Err(error) => panic!("{error}"),
            }
        }
        panic!("nobody takes {command}");
    }

    pub async fn converge(&self, stores: impl IntoIterator<Item = u64> + Clone, count: usize) {
        self.wait("they do not agree", || {
            stores.clone().into_iter().all(|store| self.commands(store).len() == count).then_some(())
        })
        .await;
        let lists: BTreeSet<_> = stores.into_iter().map(|store| self.commands(store)).collect();
        assert_eq!(lists.len(), 1, "{lists:?}");
    }

    pub fn role(&self, store: u64) -> Role {
        self.group(store).status().role
    }
}

/// Short times; nobody sleeps.
pub fn restless() -> RaftConfig {
    RaftConfig { sleep_after: None, ..RaftConfig::default() }
}
