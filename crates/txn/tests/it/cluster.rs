//! A cluster in this process, with time that the test owns.

use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tidewater_codec::Key;
use tidewater_kv::{MemoryEngine, Node, NodeConfig};
use tidewater_pd::{MemoryStorage, PdConfig, PlacementDriver};
use tidewater_proto::{PdService, StoreConnector, StoreService, TransportError};
use tidewater_txn::{Transaction, TxnClient, TxnConfig, TxnError, TxnKind, TxnOptions};
use tidewater_types::clock::WallClock;
use tokio::time::Instant;

use crate::fake_store::FakeStore;

const ADDRESS: &str = "store-1";

/// The calendar follows tokio's clock, which tests pause.
pub struct TokioClock(Instant);

impl WallClock for TokioClock {
    fn now_micros(&self) -> i64 {
        1_700_000_000_000_000 + i64::try_from(self.0.elapsed().as_micros()).unwrap()
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum StoreKind {
    Fake,
    Real,
}

#[derive(Clone)]
pub struct TestCluster {
    pub pd: Arc<PlacementDriver>,
    pub connector: Arc<dyn StoreConnector>,
    pub client: TxnClient,
}

struct Direct(Arc<dyn StoreService>);

#[async_trait]
impl StoreConnector for Direct {
    async fn connect(&self, address: &str) -> Result<Arc<dyn StoreService>, TransportError> {
        assert_eq!(address, ADDRESS);
        Ok(self.0.clone())
    }
}

impl TestCluster {
    pub async fn start(kind: StoreKind, config: TxnConfig) -> Self {
        let clock = Arc::new(TokioClock(Instant::now()));
        let pd = PlacementDriver::open(PdConfig::default(), Arc::new(MemoryStorage::new()), clock).unwrap();
        let store: Arc<dyn StoreService> = match kind {
            StoreKind::Fake => FakeStore::open(pd.clone(), ADDRESS).await,
            StoreKind::Real => {
                let node_config =
                    NodeConfig { address: ADDRESS.to_owned(), gc_poll_interval: None, ..Default::default() };
                Node::open(node_config, Arc::new(MemoryEngine::new()), pd.clone() as Arc<dyn PdService>)
                    .await
                    .unwrap()
            }
        };
        let connector: Arc<dyn StoreConnector> = Arc::new(Direct(store));
        let client = TxnClient::new(pd.clone(), connector.clone(), config);
        Self { pd, connector, client }
    }

    /// Another client of the same cluster, which knows nothing yet.
    pub fn another_client(&self, config: TxnConfig) -> TxnClient {
        TxnClient::new(self.pd.clone(), self.connector.clone(), config)
    }

    /// Cuts the key space at these keys.
    pub async fn split_at(&self, keys: &[&str]) {
        self.client.split_regions(keys.iter().map(|text| key(text))).await.unwrap();
    }

    pub async fn optimistic(&self) -> Transaction {
        self.client.begin(TxnOptions { kind: TxnKind::Optimistic, ..Default::default() }).await.unwrap()
    }

    pub async fn pessimistic(&self) -> Transaction {
        self.client.begin(TxnOptions::default()).await.unwrap()
    }

    /// Commits some writes: `a=1 b=2`, `a=-` deletes.
    pub async fn write(&self, writes: &str) {
        let mut txn = self.optimistic().await;
        apply(&mut txn, writes);
        txn.commit().await.unwrap();
    }

    /// The latest committed values of some keys, in the form [`Self::write`] takes.
    pub async fn read(&self, keys: &str) -> String {
        let txn = self.optimistic().await;
        read(&txn, keys).await
    }
}

pub fn apply(txn: &mut Transaction, writes: &str) {
    for write in writes.split_whitespace() {
        match write.split_once('=').unwrap() {
            (name, "-") => txn.delete(key(name)).unwrap(),
            (name, new) => txn.put(key(name), value(new)).unwrap(),
        }
    }
}

pub async fn read(txn: &Transaction, keys: &str) -> String {
    let mut all = Vec::new();
    for name in keys.split_whitespace() {
        let found = txn.get(&key(name)).await.unwrap();
        all.push(format!("{name}={}", found.map_or("-".to_owned(), |value| text(&value))));
    }
    all.join(" ")
}

pub fn key(text: &str) -> Key {
    Key::new(text.as_bytes())
}

pub fn value(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub fn pairs(pairs: Vec<(Key, Bytes)>) -> String {
    pairs
        .iter()
        .map(|(key, value)| format!("{}={}", text(key.as_bytes()), text(value)))
        .collect::<Vec<_>>()
        .join(" ")
}

/// Runs a test on each kind of store, in one region and in many.
pub async fn on_each_store<F: Future<Output = ()>>(test: impl Fn(TestCluster) -> F) {
    for kind in [StoreKind::Fake, StoreKind::Real] {
        for cuts in [&[][..], &["b", "c", "d", "f", "k", "m1", "m2", "z"][..]] {
            let cluster = TestCluster::start(kind, TxnConfig::default()).await;
            cluster.split_at(cuts).await;
            test(cluster).await;
        }
    }
}

/// The short name of an error, for tables of expectations.
pub fn name<T>(result: &Result<T, TxnError>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(TxnError::WriteConflict { .. }) => "write conflict",
        Err(TxnError::KeyExists { .. }) => "key exists",
        Err(TxnError::Deadlock { .. }) => "deadlock",
        Err(TxnError::LockWaitTimeout { .. }) => "lock wait timeout",
        Err(TxnError::LockNotAvailable { .. }) => "lock not available",
        Err(TxnError::RolledBack { .. }) => "rolled back",
        Err(TxnError::Finished { .. }) => "finished",
        Err(TxnError::TooLarge { .. }) => "too large",
        Err(TxnError::EntryTooLarge { .. }) => "entry too large",
        Err(TxnError::CommitRefused { .. }) => "refused",
        Err(TxnError::Undetermined { .. }) => "undetermined",
        Err(TxnError::Unavailable { .. }) => "unavailable",
        Err(other) => panic!("{other}"),
    }
}
