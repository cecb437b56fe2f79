//! Regions with three replicas over sockets: nothing stops and nothing is lost while a store is away.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::time::Duration;

use tidewater_codec::Key;
use tidewater_kv::{Disk, DiskSpace, DiskWatch, Node, NodeConfig, RaftSettings};
use tidewater_pd::{PdConfig, ScheduleConfig};
use tidewater_proto::{PdService, StoreRequest, StoreResponse, StoreService, kvrpcpb, metapb, pdpb};
use tidewater_raft::{
    DeviceError, KeyAndValue, KeysAndValues, LogDevice, LogOp, MemoryDevice, Urgency, Written,
};
use tidewater_rpc::{ChannelOptions, GrpcConnector, GrpcPd, RpcServer, Security, store_routes};
use tidewater_txn::{ReplicaRead, TxnClient, TxnConfig, TxnError, TxnKind, TxnOptions};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::cluster::{is_rivalry, put_accounts, show_logs, start_pd, total, transfer};
use crate::rotten::RottenEngine;

pub const ACCOUNTS: u32 = 20;

/// What is left of a store that is down, and the store.
pub struct Store {
    pub engine: Arc<RottenEngine>,
    pub log: Arc<Sluggish>,
    running: Option<Running>,
}

/// A log device that may become slow, for good.
#[derive(Default)]
pub struct Sluggish {
    inner: Arc<MemoryDevice>,
    slow: OnceLock<mpsc::Sender<(Vec<LogOp>, Written)>>,
}

impl Sluggish {
    /// From now on every write takes this long, one after the other.
    fn slow_down(&self, latency: Duration) {
        let (queue, writes) = mpsc::channel::<(Vec<LogOp>, Written)>();
        let inner = self.inner.clone();
        std::thread::spawn(move || {
            while let Ok(first) = writes.recv() {
                std::thread::park_timeout(latency);
                // As a disk does: what has gathered is written at once.
                let rest: Vec<_> = std::iter::once(first).chain(writes.try_iter()).collect();
                rest.into_iter().for_each(|(ops, written)| inner.submit(ops, Urgency::Now, written));
            }
        });
        self.slow.set(queue).expect("once");
    }
}

impl LogDevice for Sluggish {
    fn submit(&self, ops: Vec<LogOp>, urgency: Urgency, written: Written) {
        match self.slow.get() {
            Some(queue) => queue.send((ops, written)).expect("the disk works"),
            None => self.inner.submit(ops, urgency, written),
        }
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, DeviceError> {
        self.inner.get(key)
    }

    fn scan(&self, start: &[u8], end: &[u8], bytes_max: usize) -> Result<KeysAndValues, DeviceError> {
        self.inner.scan(start, end, bytes_max)
    }

    fn last(&self, start: &[u8], end: &[u8]) -> Result<Option<KeyAndValue>, DeviceError> {
        self.inner.last(start, end)
    }
}

/// A store on threads of its own, which end with all its tasks and connections when it is killed.
pub struct Running {
    node: Arc<Node>,
    runtime: Runtime,
}

pub struct Replicated {
    pub pd: Arc<GrpcPd>,
    pub pd_url: String,
    connector: Arc<GrpcConnector>,
    pub stores: Vec<Store>,
    config: NodeConfig,
    stop: CancellationToken,
}

impl Replicated {
    pub async fn start(stores: usize, config: NodeConfig) -> Self {
        Self::start_with(stores, config, ScheduleConfig::default()).await
    }

    pub async fn start_with(stores: usize, config: NodeConfig, schedule: ScheduleConfig) -> Self {
        show_logs();
        let stop = CancellationToken::new();
        let schedule = ScheduleConfig { replicated: true, ..schedule };
        let (pd, address, _) = start_pd(PdConfig { schedule, ..PdConfig::default() }, &stop).await;
        let connector = Arc::new(GrpcConnector::new(ChannelOptions::default()));
        let pd_url = format!("http://{address}");
        let mut cluster = Self { pd, pd_url, connector, stores: Vec::new(), config, stop };
        for index in 0..stores {
            cluster.stores.push(Store { engine: Arc::default(), log: Arc::default(), running: None });
            cluster.boot(index).await;
        }
        cluster
    }

    pub async fn boot(&mut self, index: usize) {
        let store = &mut self.stores[index];
        let raft = RaftSettings::new(store.log.clone());
        let config = NodeConfig { raft: Some(raft), ..self.config.clone() };
        let (engine, pd) = (store.engine.clone(), self.pd_url.clone());
        let stop = self.stop.clone();
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let opened = runtime.spawn(async move {
            let server = RpcServer::bind("127.0.0.1:0", Security::default()).await.unwrap();
            let config = NodeConfig { address: server.local_addr().unwrap().to_string(), ..config };
            let pd = GrpcPd::connect(&[pd], ChannelOptions::default()).await.unwrap();
            let connector = Arc::new(GrpcConnector::new(ChannelOptions::default()));
            let node = Node::open_in_cluster(config, engine, pd, connector).await.unwrap();
            tokio::spawn(server.run(store_routes(node.clone()), stop));
            node
        });
        let node = opened.await.unwrap();
        store.running = Some(Running { node, runtime });
    }

    /// The store stops without a word to anybody.
    pub fn kill(&mut self, index: usize) {
        if let Some(running) = self.stores[index].running.take() {
            running.runtime.shutdown_background();
        }
    }

    pub fn node(&self, index: usize) -> &Arc<Node> {
        &self.stores[index].running.as_ref().unwrap().node
    }

    pub fn client(&self) -> TxnClient {
        TxnClient::new(self.pd.clone(), self.connector.clone(), TxnConfig::default())
    }

    pub async fn regions(&self) -> Vec<pdpb::Region> {
        self.pd.scan_regions(pdpb::ScanRegionsRequest::default()).await.unwrap().regions
    }

    /// Waits until every region has so many voters, and a leader.
    pub async fn wait_for_replicas(&self, replicas: usize) {
        for _ in 0..600 {
            let regions = self.regions().await;
            let voters = |region: &metapb::Region| {
                region.peers.iter().filter(|peer| peer.role() == metapb::PeerRole::Voter).count()
            };
            let is_whole = |region: &pdpb::Region| {
                region.leader.is_some() && region.region.as_ref().is_some_and(|meta| voters(meta) == replicas)
            };
            if regions.iter().all(is_whole) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("regions lack replicas: {:?}", self.regions().await);
    }

    /// The index of the store that leads the first account.
    pub async fn leading_store(&self) -> usize {
        for _ in 0..600 {
            let located = self.client().locate(&Key::new("account 0000")).await;
            let store_id = located.ok().map(|region| region.leader_store());
            let runs = |store: &Store| {
                store.running.as_ref().is_some_and(|running| Some(running.node.store_id()) == store_id)
            };
            if let Some(index) = self.stores.iter().position(runs) {
                return index;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("nobody leads");
    }
}

impl Drop for Replicated {
    fn drop(&mut self) {
        self.stop.cancel();
        (0..self.stores.len()).for_each(|index| self.kill(index));
    }
}

impl Replicated {
    /// Reads the first account at each store that has a replica and does not lead; tells the balances, or the refusals.
    pub async fn ask_followers(&self, version: u64, stale_read: bool) -> Vec<Result<u64, String>> {
        let first = |region: &pdpb::Region| {
            let meta = region.region.clone().unwrap_or_default();
            let key = Key::new("account 0000").encode();
            let ends_behind = meta.end_key.is_empty() || meta.end_key[..] > key.as_bytes()[..];
            (meta.start_key[..] <= key.as_bytes()[..] && ends_behind).then_some(meta)
        };
        let region = self.regions().await.iter().find_map(first).unwrap();
        let mut answers = Vec::new();
        for index in 0..self.stores.len() {
            let node = self.node(index);
            let leads =
                node.replica_infos().iter().any(|info| info.region_id == region.id && info.served.is_some());
            let Some(peer) = region.peers.iter().find(|peer| peer.store_id == node.store_id() && !leads)
            else {
                continue;
            };
            let context = kvrpcpb::Context {
                region_id: region.id,
                region_epoch: region.region_epoch,
                peer: Some(*peer),
                replica_read: !stale_read,
                stale_read,
                ..Default::default()
            };
            let request = kvrpcpb::GetRequest { context: Some(context), key: "account 0000".into(), version };
            let Ok(StoreResponse::Get(answer)) = node.call(StoreRequest::Get(request)).await else {
                panic!("another answer");
            };
            answers.push(match (answer.region_error, answer.error) {
                (None, None) => Ok(u64::from_be_bytes(answer.value[..].try_into().unwrap())),
                (error, locked) => Err(format!("{error:?} {locked:?}")),
            });
        }
        answers
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn followers_serve_what_their_leader_would() {
    let cluster = Replicated::start(3, quick()).await;
    put_accounts(&cluster.client(), ACCOUNTS).await;
    cluster.wait_for_replicas(3).await;
    let stop = Arc::new(AtomicBool::new(false));
    let (tellers, _) = tellers(&cluster, 3, &stop);
    let client = cluster.client();
    for replica in [ReplicaRead::Follower, ReplicaRead::Mixed] {
        for round in 0..40 {
            let mut txn = client
                .begin(TxnOptions { kind: TxnKind::Optimistic, ..TxnOptions::default() })
                .await
                .unwrap();
            let snapshot = txn.snapshot().clone().with_replica_read(replica);
            let keys: Vec<_> = (0..ACCOUNTS).map(|index| Key::new(format!("account {index:04}"))).collect();
            let found = snapshot.batch_get(&keys).await.unwrap();
            let sum: u64 =
                found.values().map(|value| u64::from_be_bytes(value[..].try_into().unwrap())).sum();
            assert_eq!(sum, u64::from(ACCOUNTS) * 100, "round {round}");
            txn.rollback().await.unwrap();
        }
    }
    stop.store(true, Ordering::Relaxed);
    for teller in tellers {
        teller.await.unwrap();
    }
    // Nobody writes any more: followers answer for themselves, at once and from the past.
    let mut txn =
        client.begin(TxnOptions { kind: TxnKind::Optimistic, ..TxnOptions::default() }).await.unwrap();
    let leaders = txn.get(&Key::new("account 0000")).await.unwrap().unwrap();
    let leaders = Ok(u64::from_be_bytes(leaders[..].try_into().unwrap()));
    let ts = txn.start_ts().into_inner();
    txn.rollback().await.unwrap();
    for stale_read in [false, true] {
        let mut answers = Vec::new();
        for _ in 0..100 {
            answers = cluster.ask_followers(ts, stale_read).await;
            if answers.iter().all(Result::is_ok) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(answers, [leaders.clone(), leaders.clone()], "stale {stale_read}");
    }
    // What is to come cannot be told.
    let far = ts + (1 << 40);
    assert!(cluster.ask_followers(far, true).await.iter().all(Result::is_err));
}

pub fn quick() -> NodeConfig {
    NodeConfig { heartbeat_interval: Duration::from_millis(100), ..NodeConfig::default() }
}

/// Moves money until told to stop; every transfer that is acknowledged counts.
pub fn tellers(
    cluster: &Replicated,
    count: u32,
    stop: &Arc<AtomicBool>,
) -> (Vec<JoinHandle<()>>, Arc<AtomicU64>) {
    let done = Arc::new(AtomicU64::new(0));
    let tellers = (0..count).map(|worker| {
        let (client, stop, done) = (cluster.client(), stop.clone(), done.clone());
        tokio::spawn(async move {
            for round in worker.. {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let kind = if worker % 2 == 0 { TxnKind::Optimistic } else { TxnKind::Pessimistic };
                let (from, to) = (round * 7 % ACCOUNTS, (round * 11 + worker + 1) % ACCOUNTS);
                match transfer(&client, kind, from, to).await {
                    Ok(()) => drop(done.fetch_add(1, Ordering::Relaxed)),
                    // Pessimistic locks are in the leader's memory, and go with it.
                    Err(TxnError::RolledBack { .. }) => {}
                    Err(error) => assert!(is_rivalry(&error), "{error}"),
                }
                if round % 10 == worker {
                    assert_eq!(total(&client, ACCOUNTS).await, u64::from(ACCOUNTS) * 100);
                }
            }
        })
    });
    (tellers.collect(), done)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_may_die_while_money_moves() {
    let mut cluster = Replicated::start(3, quick()).await;
    put_accounts(&cluster.client(), ACCOUNTS).await;
    cluster.wait_for_replicas(3).await;
    let stop = Arc::new(AtomicBool::new(false));
    let (tellers, done) = tellers(&cluster, 3, &stop);
    for _ in 0..3 {
        let before = done.load(Ordering::Relaxed);
        let leader = cluster.leading_store().await;
        cluster.kill(leader);
        for _ in 0..600 {
            if done.load(Ordering::Relaxed) >= before + 20 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(done.load(Ordering::Relaxed) >= before + 20, "nothing goes on without a third of the stores");
        cluster.boot(leader).await;
        cluster.wait_for_replicas(3).await;
    }
    stop.store(true, Ordering::Relaxed);
    for teller in tellers {
        teller.await.unwrap();
    }
    assert_eq!(total(&cluster.client(), ACCOUNTS).await, u64::from(ACCOUNTS) * 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn regions_split_and_get_replicas_while_money_moves() {
    let tiny = NodeConfig { region_keys_max: 60, region_keys_split: 30, ..quick() };
    let cluster = Replicated::start(4, tiny).await;
    put_accounts(&cluster.client(), ACCOUNTS).await;
    let stop = Arc::new(AtomicBool::new(false));
    let (tellers, done) = tellers(&cluster, 3, &stop);
    let client = cluster.client();
    for chunk in (0..400).collect::<Vec<u32>>().chunks(50) {
        let mut txn = client.begin(TxnOptions::default()).await.unwrap();
        for index in chunk {
            txn.put(Key::new(format!("row {index:05}")), vec![7; 20]).unwrap();
        }
        txn.commit().await.unwrap();
    }
    for _ in 0..600 {
        if cluster.regions().await.len() >= 8 && done.load(Ordering::Relaxed) >= 50 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stop.store(true, Ordering::Relaxed);
    for teller in tellers {
        teller.await.unwrap();
    }
    assert!(cluster.regions().await.len() >= 8);
    assert!(done.load(Ordering::Relaxed) >= 50);
    cluster.wait_for_replicas(3).await;
    assert_eq!(total(&client, ACCOUNTS).await, u64::from(ACCOUNTS) * 100);
    let txn = client.begin(TxnOptions { kind: TxnKind::Optimistic, ..TxnOptions::default() }).await.unwrap();
    for index in 0..400 {
        assert!(txn.get(&Key::new(format!("row {index:05}"))).await.unwrap().is_some(), "row {index}");
    }
    // On a busy machine leaders change.
    let mut counts = (Vec::new(), 0);
    for _ in 0..200 {
        counts =
            ((0..4).map(|index| cluster.node(index).region_count()).collect(), cluster.regions().await.len());
        if counts.0.iter().sum::<usize>() == counts.1 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("regions led by the stores, and all: {counts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_slept_answers_the_first_request() {
    let cluster = Replicated::start(3, quick()).await;
    put_accounts(&cluster.client(), ACCOUNTS).await;
    cluster.wait_for_replicas(3).await;
    let region = cluster.regions().await[0].region.clone().unwrap();
    let mut sleeper = None;
    for _ in 0..400 {
        let sleeps = |index: &usize| {
            let infos = cluster.node(*index).replica_infos();
            infos.iter().any(|info| {
                info.region_id == region.id && info.role == "Leader" && info.is_asleep && !info.has_lease
            })
        };
        sleeper = (0..3).find(sleeps);
        if sleeper.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let node = cluster.node(sleeper.expect("idle groups go to sleep"));
    let context = kvrpcpb::Context {
        region_id: region.id,
        region_epoch: region.region_epoch,
        peer: region.peers.iter().find(|peer| peer.store_id == node.store_id()).copied(),
        ..Default::default()
    };
    let (context, key) = (Some(context), "account 0000".into());
    let request = kvrpcpb::GetRequest { context, key, version: u64::MAX };
    let Ok(StoreResponse::Get(answer)) = node.call(StoreRequest::Get(request)).await else {
        panic!("another answer");
    };
    assert!(answer.region_error.is_none() && !answer.value.is_empty(), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn regions_are_merged_while_money_moves_and_a_store_dies() {
    let schedule =
        ScheduleConfig { split_merge_interval: Duration::from_secs(1), ..ScheduleConfig::default() };
    let mut cluster = Replicated::start_with(4, quick(), schedule).await;
    put_accounts(&cluster.client(), ACCOUNTS).await;
    cluster.wait_for_replicas(3).await;
    let stop = Arc::new(AtomicBool::new(false));
    let (tellers, done) = tellers(&cluster, 3, &stop);
    for round in 0..3 {
        // The first region and the last one stay as they are; the four between them have room in one.
        let cuts = (1..6).map(|cut| Key::new(format!("account {:04}", cut * 3)));
        cluster.client().split_regions(cuts).await.unwrap();
        assert!(cluster.regions().await.len() > 3);
        let victim = (round == 2).then_some(cluster.leading_store().await);
        victim.iter().for_each(|index| cluster.kill(*index));
        if let Some(index) = victim {
            tokio::time::sleep(Duration::from_secs(3)).await;
            cluster.boot(index).await;
        }
        let before = done.load(Ordering::Relaxed);
        for _ in 0..1200 {
            if cluster.regions().await.len() <= 3 && done.load(Ordering::Relaxed) >= before + 20 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(cluster.regions().await.len(), 3, "{:?}", cluster.regions().await);
        assert!(done.load(Ordering::Relaxed) >= before + 20, "nothing goes on in round {round}");
    }
    stop.store(true, Ordering::Relaxed);
    for teller in tellers {
        teller.await.unwrap();
    }
    assert_eq!(total(&cluster.client(), ACCOUNTS).await, u64::from(ACCOUNTS) * 100);
    cluster.wait_for_replicas(3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_disk_loses_its_leaders() {
    let cluster = Replicated::start(3, quick()).await;
    put_accounts(&cluster.client(), ACCOUNTS).await;
    cluster.wait_for_replicas(3).await;
    let slow = cluster.leading_store().await;
    cluster.stores[slow].log.slow_down(Duration::from_millis(600));
    let begun = tokio::time::Instant::now();
    while cluster.node(slow).region_count() > 0 {
        assert!(begun.elapsed() < Duration::from_secs(20), "score {}", cluster.node(slow).slow_score());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!("the slow store led nothing after {:?}", begun.elapsed());
    assert!(cluster.node(slow).slow_score() >= 60);
    assert_eq!(total(&cluster.client(), ACCOUNTS).await, u64::from(ACCOUNTS) * 100);
}

/// A disk of which a test says how much room is left.
struct Room(AtomicU64);

impl Disk for Room {
    fn space(&self) -> Option<DiskSpace> {
        Some(DiskSpace { total: 1 << 30, available: self.0.load(Ordering::Relaxed) })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_takes_nothing_in_but_what_makes_room() {
    let room = Arc::new(Room(AtomicU64::new(1 << 29)));
    let watch = DiskWatch { disk: room.clone(), reserve_bytes: 1 << 20 };
    let cluster = Replicated::start(1, NodeConfig { disk: Some(watch), ..quick() }).await;
    let client = cluster.client();
    put_accounts(&client, ACCOUNTS).await;
    room.0.store(1 << 10, Ordering::Relaxed);
    for _ in 0..100 {
        if cluster.node(0).is_disk_full() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(cluster.node(0).is_disk_full());
    let writer = cluster.client();
    let waits = tokio::spawn(async move { put_accounts(&writer, 1).await });
    let mut txn = client.begin(TxnOptions::default()).await.unwrap();
    txn.delete(Key::new("account 0019")).unwrap();
    txn.commit().await.unwrap();
    let mut txn = client.begin(TxnOptions::default()).await.unwrap();
    txn.put(Key::new("a small thing that must be"), vec![1]).unwrap();
    txn.commit_on_full_disk();
    txn.commit().await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!waits.is_finished());
    room.0.store(1 << 29, Ordering::Relaxed);
    waits.await.unwrap();
    assert_eq!(total(&client, ACCOUNTS - 1).await, u64::from(ACCOUNTS - 1) * 100);
}
