//! A cluster in the test's process, every part behind a socket of its own; and what only several stores can show.

use std::sync::Arc;
use std::time::Duration;

use tidewater_codec::Key;
use tidewater_kv::{MemoryEngine, Node, NodeConfig};
use tidewater_pd::{MemoryStorage, PdConfig, PlacementDriver, ScheduleConfig};
use tidewater_proto::{PdService, pdpb};
use tidewater_rpc::{
    ChannelOptions, GrpcConnector, GrpcPd, PdIdentity, RpcServer, Security, pd_routes, store_routes,
};
use tidewater_txn::{LockOptions, TxnClient, TxnConfig, TxnError, TxnKind, TxnOptions};
use tidewater_types::clock::SystemClock;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::transport::{Channel, Endpoint};

/// Shows what is logged, as the environment's `RUST_LOG` asks.
pub fn show_logs() {
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    // Only the first test of the process finds nobody there.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
}

/// A placement driver behind a socket until `stop`: a client of it, its address, the cluster's id.
pub async fn start_pd(config: PdConfig, stop: &CancellationToken) -> (Arc<GrpcPd>, String, u64) {
    let server = RpcServer::bind("127.0.0.1:0", Security::default()).await.unwrap();
    let address = server.local_addr().unwrap().to_string();
    let pd = PlacementDriver::open(config, Arc::new(MemoryStorage::new()), Arc::new(SystemClock)).unwrap();
    let cluster_id = pd.cluster_id();
    let url = format!("http://{address}");
    let identity = PdIdentity {
        cluster_id,
        name: "pd".to_owned(),
        member_id: 7,
        client_urls: vec![url.clone()],
        peer_urls: vec![url.clone()],
    };
    let mut routes = pd_routes(pd.clone(), identity);
    let router = routes.axum_router_mut();
    *router = std::mem::take(router).merge(tidewater_pd_http::pages(move || Some(pd.clone())));
    tokio::spawn(server.run(routes, stop.clone()));
    (GrpcPd::connect(&[url], ChannelOptions::default()).await.unwrap(), address, cluster_id)
}

/// A placement driver and stores; they stop when this is dropped.
pub struct Cluster {
    pub pd: Arc<GrpcPd>,
    pub pd_address: String,
    pub cluster_id: u64,
    pub nodes: Vec<Arc<Node>>,
    pub store_addresses: Vec<String>,
    connector: Arc<GrpcConnector>,
    _stop: DropGuard,
}

impl Cluster {
    pub async fn start(stores: usize, config: NodeConfig) -> Self {
        // Tests do not wait for a minute to pass.
        let schedule = ScheduleConfig { moves_per_store_minute_max: 60_000, ..ScheduleConfig::default() };
        Self::start_with(stores, config, PdConfig { schedule, ..PdConfig::default() }).await
    }

    pub async fn start_with(stores: usize, config: NodeConfig, pd_config: PdConfig) -> Self {
        show_logs();
        let stop = CancellationToken::new();
        let (pd, pd_address, cluster_id) = start_pd(pd_config, &stop).await;
        let connector = Arc::new(GrpcConnector::new(ChannelOptions::default()));
        let (mut nodes, mut store_addresses) = (Vec::new(), Vec::new());
        for _ in 0..stores {
            let server = RpcServer::bind("127.0.0.1:0", Security::default()).await.unwrap();
            let address = server.local_addr().unwrap().to_string();
            let config = NodeConfig { address: address.clone(), ..config.clone() };
            let engine = Arc::new(MemoryEngine::new());
            let node = Node::open_in_cluster(config, engine, pd.clone(), connector.clone()).await.unwrap();
            tokio::spawn(server.run(store_routes(node.clone()), stop.clone()));
            nodes.push(node);
            store_addresses.push(address);
        }
        Self { pd, pd_address, cluster_id, nodes, store_addresses, connector, _stop: stop.drop_guard() }
    }

    pub fn client(&self) -> TxnClient {
        TxnClient::new(self.pd.clone(), self.connector.clone(), TxnConfig::default())
    }
}

/// A plain connection, for clients without our manners.
pub async fn channel(address: &str) -> Channel {
    Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap()
}

fn key(index: u32) -> Key {
    Key::new(format!("account {index:04}"))
}

fn balance(value: Option<bytes::Bytes>) -> u64 {
    value.map_or(0, |value| u64::from_be_bytes(value[..].try_into().unwrap()))
}

/// Each account gets a hundred.
pub async fn put_accounts(client: &TxnClient, accounts: u32) {
    let mut txn = client.begin(TxnOptions::default()).await.unwrap();
    for index in 0..accounts {
        txn.put(key(index), 100u64.to_be_bytes().to_vec()).unwrap();
    }
    txn.commit().await.unwrap();
}

/// Whether another transaction was in the way.
pub fn is_rivalry(error: &TxnError) -> bool {
    use TxnError::{Deadlock, LockWaitTimeout, WriteConflict};
    matches!(error, WriteConflict { .. } | Deadlock { .. } | LockWaitTimeout { .. })
}

pub async fn total(client: &TxnClient, accounts: u32) -> u64 {
    let mut txn = client.begin(TxnOptions::default()).await.unwrap();
    let mut total = 0;
    for index in 0..accounts {
        total += balance(txn.get(&key(index)).await.unwrap());
    }
    txn.rollback().await.unwrap();
    total
}

pub async fn transfer(client: &TxnClient, kind: TxnKind, from: u32, to: u32) -> Result<(), TxnError> {
    let mut txn = client.begin(TxnOptions { kind, ..TxnOptions::default() }).await?;
    if kind == TxnKind::Pessimistic {
        txn.lock_keys([key(from), key(to)], LockOptions::default()).await?;
    }
    let source = balance(txn.get(&key(from)).await?);
    let target = balance(txn.get(&key(to)).await?);
    if source > 0 && from != to {
        txn.put(key(from), (source - 1).to_be_bytes().to_vec())?;
        txn.put(key(to), (target + 1).to_be_bytes().to_vec())?;
    }
    txn.commit().await.map(drop)
}

/// Regions are split and moved all the time; whoever reads all accounts finds the same sum.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_is_kept_while_regions_split_and_move() {
    const ACCOUNTS: u32 = 60;
    const ROUNDS: u32 = 40;
    let tiny = NodeConfig {
        region_keys_max: 10,
        region_keys_split: 5,
        heartbeat_interval: Duration::from_millis(20),
        ..NodeConfig::default()
    };
    let cluster = Cluster::start(3, tiny).await;
    let client = cluster.client();
    put_accounts(&client, ACCOUNTS).await;
    let workers = (0..4u32).map(|worker| {
        let client = cluster.client();
        tokio::spawn(async move {
            let mut done = 0;
            for round in 0..ROUNDS {
                let kind = if worker % 2 == 0 { TxnKind::Pessimistic } else { TxnKind::Optimistic };
                let (from, to) =
                    ((worker * 13 + round * 7) % ACCOUNTS, (worker * 5 + round * 11 + 1) % ACCOUNTS);
                match transfer(&client, kind, from, to).await {
                    Ok(()) => done += 1,
                    Err(error) => assert!(is_rivalry(&error), "{error}"),
                }
                if round % 10 == 0 {
                    assert_eq!(total(&client, ACCOUNTS).await, u64::from(ACCOUNTS) * 100);
                }
            }
            done
        })
    });
    let mut done = 0;
    for worker in workers.collect::<Vec<_>>() {
        done += worker.await.unwrap();
    }
    assert!(done > ROUNDS, "only {done} transfers were made");
    assert_eq!(total(&client, ACCOUNTS).await, u64::from(ACCOUNTS) * 100);
    let led: Vec<_> = cluster.nodes.iter().map(|node| node.region_count()).collect();
    assert!(led.iter().all(|count| *count >= 2), "every store has its share: {led:?}");
    let regions = cluster.pd.scan_regions(pdpb::ScanRegionsRequest::default()).await.unwrap().regions;
    assert!(regions.len() >= 6, "{} regions", regions.len());
}

/// Each of two transactions holds a key on one store and waits for the other's on the other store.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadlock_over_two_stores_is_found_before_the_wait_ends() {
    let config = NodeConfig { heartbeat_interval: Duration::from_millis(20), ..NodeConfig::default() };
    let cluster = Cluster::start(2, config).await;
    let client = cluster.client();
    client.split_regions([Key::new("m")]).await.unwrap();
    let (one, two) = (Key::new("a"), Key::new("z"));
    let mut apart = false;
    for _ in 0..200 {
        let client = cluster.client();
        let (low, high) = (client.locate(&one).await.unwrap(), client.locate(&two).await.unwrap());
        apart = low.leader_store() != high.leader_store();
        if apart {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(apart, "the regions were not put on two stores");
    let begin = || client.begin(TxnOptions { kind: TxnKind::Pessimistic, ..TxnOptions::default() });
    let (mut first, mut second) = (begin().await.unwrap(), begin().await.unwrap());
    first.lock_keys([one.clone()], LockOptions::default()).await.unwrap();
    second.lock_keys([two.clone()], LockOptions::default()).await.unwrap();
    let crossing = async {
        tokio::join!(
            async {
                let result = first.lock_keys([two.clone()], LockOptions::default()).await.map(drop);
                first.rollback().await.unwrap();
                result
            },
            async {
                let result = second.lock_keys([one.clone()], LockOptions::default()).await.map(drop);
                second.rollback().await.unwrap();
                result
            },
        )
    };
    let (first, second) =
        tokio::time::timeout(Duration::from_secs(10), crossing).await.expect("nobody was told");
    let results = [first, second];
    let told = results.iter().filter(|result| matches!(result, Err(TxnError::Deadlock { .. }))).count();
    assert_eq!(told, 1, "{results:?}");
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
}
