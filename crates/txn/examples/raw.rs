//! A store, a placement driver and a raw client in one process: a counter kept by compare-and-swap, and a scan over what was written.
//! `cargo run -p tidewater-txn --example raw`

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tidewater_codec::Key;
use tidewater_kv::{MemoryEngine, Node, NodeConfig};
use tidewater_pd::{MemoryStorage, PdConfig, PlacementDriver};
use tidewater_proto::{StoreConnector, StoreService, TransportError};
use tidewater_txn::{Keyspace, RawClient, TxnConfig};
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
    let config = TxnConfig { keyspace: Keyspace::new(7), ..Default::default() };
    let client = RawClient::new(pd, Arc::new(InProcess(node)), config).with_atomic_for_cas();

    for (name, price) in [("apple", "3"), ("pear", "4"), ("plum", "2")] {
        client.put(Key::new(name.as_bytes()), price).await?;
    }
    for (key, price) in client.scan(Key::new(*b"p")..Key::new(*b"q"), 10).await? {
        println!("{}: {}", String::from_utf8_lossy(key.as_bytes()), String::from_utf8_lossy(&price));
    }

    let counter = Key::new(*b"counter");
    let mut seen: Option<Bytes> = None;
    for _ in 0..3 {
        let number: u64 = seen.as_deref().map_or(Ok(0), |text| String::from_utf8_lossy(text).parse())?;
        let next = Bytes::from((number + 1).to_string());
        let swap = client.compare_and_swap(counter.clone(), seen.clone(), next.clone()).await?;
        // Another client was faster: go on from what it wrote.
        seen = if swap.swapped { Some(next) } else { swap.previous };
    }
    println!("counted to {}", String::from_utf8_lossy(&seen.unwrap_or_default()));
    Ok(())
}
