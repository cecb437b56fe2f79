//! What each layer costs: the same reads and writes on the bare engine, by function call, and over gRPC.
//!
//! ```text
//! cargo bench -p tidewater-rpc --bench ladder                 # two seconds a step
//! cargo bench -p tidewater-rpc --bench ladder -- --seconds 5
//! ```
//! Every write is synced. The sockets are loopback, clients and servers share the machine.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use tidewater_codec::Key;
use tidewater_kv::{Cf, Durability, Engine, Node, NodeConfig, RocksEngine, WriteBatch};
use tidewater_pd::{FileStorage, PdConfig, PlacementDriver};
use tidewater_proto::{
    PdService, StoreConnector, StoreRequest, StoreResponse, StoreService, TransportError, kvrpcpb,
};
use tidewater_rpc::{
    ChannelOptions, GrpcConnector, GrpcPd, PdIdentity, RpcServer, Security, pd_routes, store_routes,
};
use tidewater_txn::{Snapshot, TxnClient, TxnConfig, TxnOptions};
use tidewater_types::clock::SystemClock;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const KEYS: u64 = 10_000;
const VALUE: &[u8] = &[7; 100];
const CALLERS: [usize; 2] = [1, 32];
/// Timestamps in one call of a batching client.
const BATCH: u32 = 1_000;

/// A store in this process.
struct Direct(Arc<Node>);

#[async_trait]
impl StoreConnector for Direct {
    async fn connect(&self, _: &str) -> Result<Arc<dyn StoreService>, TransportError> {
        Ok(self.0.clone())
    }
}

/// One of the ways to do the same.
#[derive(Clone)]
enum Way {
    Engine(Arc<RocksEngine>),
    Raw(Arc<dyn StoreService>, Box<kvrpcpb::Context>),
    Txn(TxnClient),
}

fn key(number: u64) -> String {
    format!("bench{:08}", number.wrapping_mul(2_654_435_761) % KEYS)
}

impl Way {
    async fn put(&self, number: u64) {
        let key = key(number);
        match self {
            Self::Engine(engine) => {
                let engine = engine.clone();
                let write = move || {
                    let mut batch = WriteBatch::new();
                    batch.put(Cf::Write, [b"bare", key.as_bytes()].concat(), VALUE.to_vec());
                    engine.write(batch, Durability::Sync).expect("the engine writes");
                };
                tokio::task::spawn_blocking(write).await.expect("no panic");
            }
            Self::Raw(store, context) => {
                let (key, value) = (key.into(), Bytes::from_static(VALUE));
                let put = kvrpcpb::RawPutRequest {
                    context: Some((**context).clone()),
                    key,
                    value,
                    ..Default::default()
                };
                let StoreResponse::RawPut(answer) =
                    store.call(StoreRequest::RawPut(put)).await.expect("an answer")
                else {
                    panic!("another answer");
                };
                assert!(answer.region_error.is_none() && answer.error.is_empty(), "{answer:?}");
            }
            Self::Txn(client) => loop {
                let mut txn = client.begin(TxnOptions::default()).await.expect("a transaction");
                txn.put(Key::new(key.clone()), Bytes::from_static(VALUE)).expect("it fits");
                // Two callers may have met at one key.
                if txn.commit().await.is_ok() {
                    return;
                }
            },
        }
    }

    async fn get(&self, number: u64) {
        let key = key(number);
        let found = match self {
            Self::Engine(engine) => engine
                .get(Cf::Write, &[b"bare", key.as_bytes()].concat())
                .expect("the engine reads")
                .is_some(),
            Self::Raw(store, context) => {
                let get = kvrpcpb::RawGetRequest {
                    context: Some((**context).clone()),
                    key: key.into(),
                    ..Default::default()
                };
                match store.call(StoreRequest::RawGet(get)).await.expect("an answer") {
                    StoreResponse::RawGet(answer) => !answer.not_found && answer.region_error.is_none(),
                    _ => false,
                }
            }
            Self::Txn(client) => {
                client.snapshot(Snapshot::LATEST).get(&Key::new(key)).await.expect("a read").is_some()
            }
        };
        assert!(found);
    }
}

/// Runs `work` by so many callers for so long; returns how often a second.
async fn rate<W, F>(callers: usize, span: Duration, work: W) -> f64
where
    W: Fn(u64) -> F + Clone + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let begun = Instant::now();
    let callers = (0..callers as u64).map(|caller| {
        let work = work.clone();
        tokio::spawn(async move {
            let mut done = 0;
            while begun.elapsed() < span {
                // Callers walk over the keys from places of their own.
                work(caller * 311 + done).await;
                done += 1;
            }
            done
        })
    });
    let mut done = 0;
    for caller in callers.collect::<Vec<_>>() {
        done += caller.await.expect("no panic");
    }
    done as f64 / begun.elapsed().as_secs_f64()
}

struct Cluster {
    engine: Arc<RocksEngine>,
    pd: Arc<PlacementDriver>,
    node: Arc<Node>,
    remote_pd: Arc<GrpcPd>,
    remote: Arc<GrpcConnector>,
    address: String,
    _folder: tempfile::TempDir,
}

async fn cluster(stop: &CancellationToken) -> Cluster {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = Arc::new(RocksEngine::open(folder.path().join("kv")).expect("an engine"));
    let storage = Arc::new(FileStorage::open(folder.path().join("pd")).expect("a file"));
    let pd = PlacementDriver::open(PdConfig::default(), storage, Arc::new(SystemClock)).expect("a driver");
    let server = RpcServer::bind("127.0.0.1:0", Security::default()).await.expect("a port");
    let address = server.local_addr().expect("an address").to_string();
    let config = NodeConfig { address: address.clone(), ..NodeConfig::default() };
    let node = Node::open(config, engine.clone(), pd.clone() as Arc<dyn PdService>).await.expect("a node");
    tokio::spawn(server.run(store_routes(node.clone()), stop.clone()));
    let server = RpcServer::bind("127.0.0.1:0", Security::default()).await.expect("a port");
    let url = format!("http://{}", server.local_addr().expect("an address"));
    let identity = PdIdentity {
        cluster_id: pd.cluster_id(),
        name: "pd".to_owned(),
        member_id: 1,
        client_urls: vec![url.clone()],
        peer_urls: vec![url.clone()],
    };
    tokio::spawn(server.run(pd_routes(pd.clone(), identity), stop.clone()));
    let remote_pd = GrpcPd::connect(&[url], ChannelOptions::default()).await.expect("the driver answers");
    let remote = Arc::new(GrpcConnector::new(ChannelOptions::default()));
    Cluster { engine, pd, node, remote_pd, remote, address, _folder: folder }
}

async fn context(pd: &dyn PdService) -> kvrpcpb::Context {
    let found = pd.get_region(Default::default()).await.expect("a region");
    let region = found.region.expect("the first region");
    kvrpcpb::Context {
        region_id: region.id,
        region_epoch: region.region_epoch,
        peer: region.peers.first().copied(),
        ..Default::default()
    }
}

fn print_step(name: &str, rates: &[f64], base: &[f64]) {
    print!("{name:<26}");
    for (rate, base) in rates.iter().zip(base) {
        print!("{rate:>12.0} {:>7.2}", rate / base);
    }
    println!();
}

fn seconds() -> Duration {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--seconds").skip(1);
    Duration::from_secs_f64(arguments.next().and_then(|text| text.parse().ok()).unwrap_or(2.0))
}

#[tokio::main(flavor = "multi_thread")]
async fn main() {
    // `cargo test` runs benches, too, to see that they run.
    let span = if std::env::args().any(|argument| argument == "--bench") {
        seconds()
    } else {
        Duration::from_millis(20)
    };
    let range = if span < Duration::from_secs(1) { 50 } else { KEYS };
    let stop = CancellationToken::new();
    let cluster = cluster(&stop).await;
    let context = context(&*cluster.pd).await;
    let far = cluster.remote.connect(&cluster.address).await.expect("a store");
    let near_client =
        TxnClient::new(cluster.pd.clone(), Arc::new(Direct(cluster.node.clone())), TxnConfig::default());
    let far_client = TxnClient::new(cluster.remote_pd.clone(), cluster.remote.clone(), TxnConfig::default());
    let ways = [
        ("bare RocksDB", Way::Engine(cluster.engine.clone())),
        ("raw, function call", Way::Raw(cluster.node.clone(), Box::new(context.clone()))),
        ("raw, gRPC", Way::Raw(far, Box::new(context))),
        ("transaction, function call", Way::Txn(near_client)),
        ("transaction, gRPC", Way::Txn(far_client)),
    ];
    for write in [true, false] {
        let what = if write { "synced puts" } else { "gets" };
        println!("\n{what} per second{:>18} caller   ratio {:>8} callers   ratio", CALLERS[0], CALLERS[1]);
        let mut base = Vec::new();
        for (name, way) in &ways {
            if !write {
                futures::stream::iter(0..range).for_each_concurrent(64, |number| way.put(number)).await;
            }
            let mut rates = Vec::new();
            for callers in CALLERS {
                let way = way.clone();
                let step = move |number: u64| {
                    let way = way.clone();
                    async move { if write { way.put(number).await } else { way.get(number % range).await } }
                };
                rates.push(rate(callers, span, step).await);
            }
            if base.is_empty() {
                base.clone_from(&rates);
            }
            print_step(name, &rates, &base);
        }
    }
    timestamps(&cluster, span).await;
    stop.cancel();
}

async fn timestamps(cluster: &Cluster, span: Duration) {
    println!("\ntimestamps per second, {BATCH} a call, 32 callers");
    let drivers: [(&str, Arc<dyn PdService>); 2] =
        [("function call", cluster.pd.clone()), ("gRPC", cluster.remote_pd.clone())];
    for (name, pd) in drivers {
        let calls = rate(32, span, move |_| {
            let pd = pd.clone();
            async move {
                pd.timestamps(BATCH).await.expect("timestamps");
            }
        });
        println!("{name:<26}{:>12.0}", calls.await * f64::from(BATCH));
    }
}
