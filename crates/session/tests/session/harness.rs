//! A whole cluster in the test's process.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tidewater_kv::{Engine, MemoryEngine, Node, NodeConfig};
use tidewater_pd::{MemoryStorage, PdConfig, PlacementDriver};
use tidewater_proto::{PdService, StoreConnector, StoreService, TransportError};
use tidewater_rpc::{
    ChannelOptions, GrpcConnector, GrpcPd, PdIdentity, RpcServer, Security, pd_routes, store_routes,
};
use tidewater_session::{
    Database, DatabaseOptions, ResultCache, Session, SessionOptions, StatementResult, StoreProtocol,
    TableSplit,
};
use tidewater_txn::fault::{Faults, FaultyConnector};
use tidewater_txn::{TxnClient, TxnConfig};
use tidewater_types::clock::{ManualClock, WallClock};
use tidewater_types::{Datum, FieldType, SqlError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// 2025-01-01 00:00:00 UTC.
pub const NOW_MICROS: i64 = 1_735_689_600_000_000;

/// Where the data is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Regions {
    /// One region holds everything.
    One,
    /// Every table is cut into many.
    Many,
    /// Every table is cut into many, the store is behind a network that loses, delays, repeats and reorders; for paused time.
    Faulty,
    /// Every table is cut into many, on three stores that are reached by gRPC, and between which regions move.
    Remote,
}

/// A store in this process.
pub struct Direct(pub Arc<Node>);

#[async_trait]
impl StoreConnector for Direct {
    async fn connect(&self, _address: &str) -> Result<Arc<dyn StoreService>, TransportError> {
        Ok(self.0.clone())
    }
}

/// A calendar that follows the simulated time.
pub struct SimulatedClock {
    begun: Instant,
}

impl SimulatedClock {
    /// Begins now.
    pub fn new() -> Self {
        Self { begun: Instant::now() }
    }
}

impl WallClock for SimulatedClock {
    fn now_micros(&self) -> i64 {
        NOW_MICROS + i64::try_from(self.begun.elapsed().as_micros()).unwrap_or(i64::MAX)
    }
}

/// A fresh database.
pub async fn open(regions: Regions) -> Arc<Database> {
    open_with(regions, StoreProtocol::default(), None).await
}

/// A fresh database that speaks to its store in this way and keeps answers here.
pub async fn open_with(
    regions: Regions,
    protocol: StoreProtocol,
    result_cache: Option<Arc<ResultCache>>,
) -> Arc<Database> {
    let clock: Arc<dyn WallClock> = Arc::new(ManualClock::new(NOW_MICROS));
    let engine: Arc<dyn Engine> = Arc::new(MemoryEngine::new());
    let pd = PlacementDriver::open(PdConfig::default(), Arc::new(MemoryStorage::new()), clock.clone())
        .expect("pd");
    let (pd, connector): (Arc<dyn PdService>, Arc<dyn StoreConnector>) = match regions {
        Regions::Remote => remote_cluster(pd, clock.clone()).await,
        Regions::One | Regions::Many | Regions::Faulty => {
            let node = Node::open(NodeConfig::default(), engine, pd.clone() as Arc<dyn PdService>)
                .await
                .expect("node");
            let direct = Arc::new(Direct(node));
            match regions {
                Regions::Faulty => (pd, Arc::new(FaultyConnector::new(direct, Faults::default(), 1))),
                _ => (pd, direct),
            }
        }
    };
    let txn = TxnClient::new(pd, connector, TxnConfig::default());
    Database::open(DatabaseOptions {
        txn: Arc::new(txn),
        clock,
        compute: None,
        seed: 1,
        server_version: "8.0.11-Tidewater-test".to_owned(),
        split_tables: if regions == Regions::One { TableSplit::Never } else { TableSplit::Tiny },
        gc: false,
        protocol,
        result_cache,
        several_nodes: false,
        sleeper: None,
    })
    .await
    .expect("the database opens")
}

/// Three stores and a placement driver behind sockets. They live as long as the runtime.
async fn remote_cluster(
    pd: Arc<PlacementDriver>,
    clock: Arc<dyn WallClock>,
) -> (Arc<dyn PdService>, Arc<dyn StoreConnector>) {
    let server = RpcServer::bind("127.0.0.1:0", Security::default()).await.expect("a port");
    let url = format!("http://{}", server.local_addr().expect("an address"));
    let identity = PdIdentity {
        cluster_id: pd.cluster_id(),
        name: "pd".to_owned(),
        member_id: 1,
        client_urls: vec![url.clone()],
        peer_urls: vec![url.clone()],
    };
    tokio::spawn(server.run(pd_routes(pd, identity), CancellationToken::new()));
    let pd = GrpcPd::connect(&[url], ChannelOptions::default()).await.expect("the driver answers");
    let connector = Arc::new(GrpcConnector::new(ChannelOptions::default()));
    for _ in 0..3 {
        let server = RpcServer::bind("127.0.0.1:0", Security::default()).await.expect("a port");
        let config = NodeConfig {
            address: server.local_addr().expect("an address").to_string(),
            heartbeat_interval: Duration::from_millis(100),
            clock: clock.clone(),
            ..NodeConfig::default()
        };
        let engine = Arc::new(MemoryEngine::new());
        let node = Node::open_in_cluster(config, engine, pd.clone(), connector.clone()).await.expect("node");
        tokio::spawn(server.run(store_routes(node), CancellationToken::new()));
    }
    (pd, connector)
}

/// A session as root in the database `test`.
pub fn root(database: &Arc<Database>) -> Session {
    let options = SessionOptions {
        user: "root".to_owned(),
        client_host: "127.0.0.1".to_owned(),
        client_address: "127.0.0.1:1".to_owned(),
        account: Some(("root".to_owned(), "%".to_owned())),
        database: Some("test".to_owned()),
        local_files: true,
        ..SessionOptions::default()
    };
    database.session(options).expect("a session")
}

/// What a statement gave, as text.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Affected rows.
    Ok(u64),
    /// Rows of text.
    Rows(Vec<Vec<String>>),
}

/// Runs a statement.
pub async fn run(session: &mut Session, sql: &str) -> Result<Answer, SqlError> {
    match session.execute(sql).await? {
        StatementResult::Ok(ok) => Ok(Answer::Ok(ok.affected_rows)),
        StatementResult::LocalInfile(_) => Ok(Answer::Ok(0)),
        StatementResult::Rows(mut rows) => {
            let types: Vec<FieldType> = rows.fields().iter().map(|field| field.field_type.clone()).collect();
            let mut lines = Vec::new();
            while let Some(chunk) = rows.next().await? {
                for row in 0..chunk.num_rows() {
                    lines.push(
                        types
                            .iter()
                            .enumerate()
                            .map(|(column, field_type)| {
                                text(&chunk.datum(row, column, field_type), field_type)
                            })
                            .collect(),
                    );
                }
            }
            Ok(Answer::Rows(lines))
        }
    }
}

/// A value as MySQL's text protocol shows it, with words for what would be invisible.
pub fn text(value: &Datum, field_type: &FieldType) -> String {
    match value {
        Datum::Null => "NULL".to_owned(),
        value => {
            let text = tidewater_table::datum_text(value, field_type);
            if text.is_empty() { "(empty)".to_owned() } else { text }
        }
    }
}
