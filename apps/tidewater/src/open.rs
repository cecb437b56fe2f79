//! Wiring store, placement driver and SQL layer together.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidewater_kv::{
    DiskWatch, Engine, EngineError, FolderDisk, MemoryEngine, Node, NodeConfig, NodeError, RocksEngine,
};
use tidewater_pd::{FileStorage, MemoryStorage, PdConfig, PlacementDriver, Storage, StorageError};
use tidewater_proto::PdService;
use tidewater_server::ThreadSleeper;
use tidewater_session::{DatabaseOptions, Session, SessionOptions, TableSplit};
use tidewater_txn::{TxnClient, TxnConfig};
use tidewater_types::SqlError;
use tidewater_types::clock::{SystemClock, WallClock};
use tokio::runtime::Handle;

use crate::direct::DirectConnector;

/// With less room on the disk than this nothing is taken in that makes the data larger.
const DISK_RESERVE_BYTES: u64 = 1 << 30;

/// What `@@version` answers: clients look for MySQL's version in front.
const SERVER_VERSION: &str = concat!("8.0.11-Tidewater-v", env!("CARGO_PKG_VERSION"));

/// Where the data lies and how the parts run.
#[derive(Default)]
pub struct OpenOptions {
    /// The data directory; `None` keeps everything in memory.
    pub path: Option<PathBuf>,
    /// The runtime for scans, joins and other work that would hold up the network; `None` takes the current one.
    pub compute: Option<Handle>,
    /// Seed of everything random that is no secret; 0 takes one from the clock.
    pub seed: u64,
    /// Settings of the store.
    pub store: NodeConfig,
}

/// Why a database did not open. The data is left as it is.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The storage engine.
    #[error("cannot open the store: {0}")]
    Engine(#[from] EngineError),
    /// The placement driver's file.
    #[error("cannot open the placement driver's data: {0}")]
    PdStorage(#[from] StorageError),
    /// The placement driver's content.
    #[error("cannot open the placement driver: {0}")]
    Pd(#[from] tidewater_pd::OpenError),
    /// The storage node.
    #[error("cannot open the store: {0}")]
    Node(#[from] NodeError),
    /// The SQL layer.
    #[error("cannot open the SQL layer: {0}")]
    Sql(#[from] SqlError),
}

/// An open database without its SQL layer: transactions of keys and values.
pub struct KeyValueStore {
    /// Reads and writes.
    pub client: TxnClient,
    /// The placement driver.
    pub pd: Arc<PlacementDriver>,
    /// The store.
    pub node: Arc<Node>,
}

impl KeyValueStore {
    /// Opens or creates it. Its background tasks run on the current runtime.
    pub async fn open(options: OpenOptions) -> Result<Self, OpenError> {
        let clock: Arc<dyn WallClock> = Arc::new(SystemClock);
        let (engine, storage): (Arc<dyn Engine>, Arc<dyn Storage>) = match &options.path {
            Some(path) => {
                (Arc::new(RocksEngine::open(path.join("kv"))?), Arc::new(FileStorage::open(path.join("pd"))?))
            }
            None => (Arc::new(MemoryEngine::new()), Arc::new(MemoryStorage::new())),
        };
        let pd = PlacementDriver::open(PdConfig::default(), storage, clock)?;
        let watch = |path: &PathBuf| DiskWatch {
            disk: Arc::new(FolderDisk(path.clone())),
            reserve_bytes: DISK_RESERVE_BYTES,
        };
        let store = NodeConfig {
            // Nobody comes by way of the network.
            address: String::new(),
            // There is no other store that could lead a part of a busy region.
            split_qps_threshold: 0,
            split_byte_threshold: 0,
            compute: options.compute.or(options.store.compute),
            disk: options.store.disk.or(options.path.as_ref().map(watch)),
            ..options.store
        };
        let node = Node::open(store, engine, pd.clone() as Arc<dyn PdService>).await?;
        let connector = Arc::new(DirectConnector(node.clone()));
        let config = TxnConfig { seed: options.seed, ..TxnConfig::default() };
        let client = TxnClient::new(pd.clone(), connector, config);
        Ok(Self { client, pd, node })
    }
}

/// An open database.
pub struct Database {
    sql: Arc<tidewater_session::Database>,
    // The SQL layer reaches these through services; they live as long as the database.
    _node: Arc<Node>,
    pd: Arc<PlacementDriver>,
}

impl Database {
    /// Opens or creates the database in a directory.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::open_with(OpenOptions { path: Some(path.as_ref().to_owned()), ..OpenOptions::default() }).await
    }

    /// A database that is gone when it is closed.
    pub async fn open_in_memory() -> Result<Self, OpenError> {
        Self::open_with(OpenOptions::default()).await
    }

    /// Opens a database. Its background tasks run on the current runtime.
    pub async fn open_with(options: OpenOptions) -> Result<Self, OpenError> {
        let clock: Arc<dyn WallClock> = Arc::new(SystemClock);
        let seed = if options.seed == 0 { clock.now_micros().unsigned_abs() } else { options.seed };
        let compute = options.compute.clone();
        let KeyValueStore { client, pd, node } = KeyValueStore::open(OpenOptions { seed, ..options }).await?;
        let sql = tidewater_session::Database::open(DatabaseOptions {
            txn: Arc::new(client),
            clock,
            compute,
            seed,
            server_version: SERVER_VERSION.to_owned(),
            split_tables: TableSplit::Never,
            gc: true,
            protocol: Default::default(),
            result_cache: None,
            several_nodes: false,
            sleeper: Some(Arc::new(ThreadSleeper)),
        })
        .await?;
        Ok(Self { sql, _node: node, pd })
    }

    /// A session that may do everything.
    pub fn session(&self) -> Result<Session, SqlError> {
        self.sql.session(SessionOptions { user: "root".to_owned(), ..SessionOptions::default() })
    }

    /// The SQL layer, for servers.
    pub fn sql(&self) -> &Arc<tidewater_session::Database> {
        &self.sql
    }

    /// The placement driver, for its pages.
    pub fn placement_driver(&self) -> &Arc<PlacementDriver> {
        &self.pd
    }

    /// Ends all sessions and background work.
    pub async fn close(self) {
        self.sql.close().await;
    }
}
