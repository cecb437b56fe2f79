//! Backs a small database up and restores it elsewhere: `cargo run -p tidewater-backup --example there_and_back`

use std::sync::Arc;

use async_trait::async_trait;
use tidewater_backup::{BackupOptions, RestoreOptions, backup, restore};
use tidewater_codec::Key;
use tidewater_kv::{MemoryEngine, Node, NodeConfig};
use tidewater_pd::{MemoryStorage, PdConfig, PlacementDriver};
use tidewater_proto::{StoreConnector, StoreService, TransportError};
use tidewater_txn::{Snapshot, TxnClient, TxnConfig, TxnOptions};
use tidewater_types::clock::SystemClock;

struct Direct(Arc<Node>);

#[async_trait]
impl StoreConnector for Direct {
    async fn connect(&self, _: &str) -> Result<Arc<dyn StoreService>, TransportError> {
        Ok(self.0.clone())
    }
}

async fn cluster() -> Result<(TxnClient, Arc<PlacementDriver>), Box<dyn std::error::Error>> {
    let storage = Arc::new(MemoryStorage::new());
    let pd = PlacementDriver::open(PdConfig::default(), storage, Arc::new(SystemClock))?;
    let node = Node::open(NodeConfig::default(), Arc::new(MemoryEngine::new()), pd.clone()).await?;
    Ok((TxnClient::new(pd.clone(), Arc::new(Direct(node)), TxnConfig::default()), pd))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (client, pd) = cluster().await?;
    let mut txn = client.begin(TxnOptions::default()).await?;
    for index in 0..1000 {
        txn.put(Key::new(format!("row {index:04}")), format!("value {index}"))?;
    }
    txn.commit().await?;
    let folder = tempfile::tempdir()?;
    let manifest = backup(&client, &*pd, &BackupOptions::new(folder.path()), &|_| ()).await?;
    println!("{} pairs as of {} in {} file(s)", manifest.pairs, manifest.backup_ts, manifest.files.len());
    let (other, _) = cluster().await?;
    restore(&other, &RestoreOptions::new(folder.path()), &|_| ()).await?;
    let found = other.snapshot(Snapshot::LATEST).get(&Key::new("row 0042")).await?;
    println!("restored: {:?}", found.as_deref().map(String::from_utf8_lossy));
    Ok(())
}
