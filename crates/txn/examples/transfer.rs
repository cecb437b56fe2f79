//! A store, a placement driver and a client in one process: two rivals move money, one of them has to start again.
//! `cargo run -p tidewater-txn --example transfer`

use std::sync::Arc;

use async_trait::async_trait;
use tidewater_codec::Key;
use tidewater_kv::{MemoryEngine, Node, NodeConfig};
use tidewater_pd::{MemoryStorage, PdConfig, PlacementDriver};
use tidewater_proto::{StoreConnector, StoreService, TransportError};
use tidewater_txn::{Snapshot, TxnClient, TxnConfig, TxnKind, TxnOptions};
use tidewater_types::clock::SystemClock;

/// The whole network: the one store there is.
struct InProcess(Arc<Node>);

#[async_trait]
impl StoreConnector for InProcess {
    async fn connect(&self, _address: &str) -> Result<Arc<dyn StoreService>, TransportError> {
        Ok(self.0.clone())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pd =
        PlacementDriver::open(PdConfig::default(), Arc::new(MemoryStorage::new()), Arc::new(SystemClock))?;
    let node = Node::open(NodeConfig::default(), Arc::new(MemoryEngine::new()), pd.clone()).await?;
    let client = TxnClient::new(pd, Arc::new(InProcess(node)), TxnConfig::default());

    let [alice, bob] = ["alice", "bob"].map(|name| Key::new(name.as_bytes()));
    let optimistic = || TxnOptions { kind: TxnKind::Optimistic, ..Default::default() };

    let mut opening = client.begin(optimistic()).await?;
    opening.put(alice.clone(), "100")?;
    opening.put(bob.clone(), "0")?;
    println!("opened at {}", opening.commit().await?);

    // Two regions, so that the commit takes two phases.
    client.split_regions([bob.clone()]).await?;

    let mut first = client.begin(optimistic()).await?;
    let mut second = client.begin(optimistic()).await?;
    for (txn, rest, moved) in [(&mut first, "70", "30"), (&mut second, "50", "50")] {
        txn.put(alice.clone(), rest)?;
        txn.put(bob.clone(), moved)?;
    }
    println!("the first commits at {}", first.commit().await?);
    if let Err(error) = second.commit().await {
        println!("the second does not: {error}; what to do: {:?}", error.remedy());
    }

    for key in [&alice, &bob] {
        let value = client.snapshot(Snapshot::LATEST).get(key).await?.unwrap_or_default();
        println!("{}: {}", String::from_utf8_lossy(key.as_bytes()), String::from_utf8_lossy(&value));
    }
    Ok(())
}
