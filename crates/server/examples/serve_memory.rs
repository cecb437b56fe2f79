//! A MySQL server on a database in memory: `cargo run --example serve_memory -p tidewater-server [address]`.

use std::sync::Arc;

use tidewater_kv::{MemoryEngine, Node, NodeConfig};
use tidewater_pd::{MemoryStorage, PdConfig, PlacementDriver};
use tidewater_proto::{StoreConnector, StoreService, TransportError};
use tidewater_server::{Server, ServerOptions};
use tidewater_session::{Database, DatabaseOptions, TableSplit};
use tidewater_txn::{TxnClient, TxnConfig};
use tidewater_types::clock::SystemClock;
use tokio_util::sync::CancellationToken;

struct Direct(Arc<Node>);

#[async_trait::async_trait]
impl StoreConnector for Direct {
    async fn connect(&self, _address: &str) -> Result<Arc<dyn StoreService>, TransportError> {
        Ok(self.0.clone())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:4000".to_owned());
    let clock = Arc::new(SystemClock);
    let pd = PlacementDriver::open(PdConfig::default(), Arc::new(MemoryStorage::new()), clock.clone())?;
    let node = Node::open(NodeConfig::default(), Arc::new(MemoryEngine::new()), pd.clone()).await?;
    let txn = TxnClient::new(pd, Arc::new(Direct(node)), TxnConfig::default());
    let database = Database::open(DatabaseOptions {
        txn: Arc::new(txn),
        clock,
        compute: None,
        seed: 1,
        server_version: "8.0.11-Tidewater-example".to_owned(),
        split_tables: TableSplit::Never,
        gc: false,
        protocol: Default::default(),
        result_cache: None,
        several_nodes: false,
        sleeper: None,
    })
    .await?;
    // A real server takes the seed from the operating system's random source.
    let server = Server::bind(&address, ServerOptions::new(database, [7; 32])).await?;
    println!("listening on {}; stop with Ctrl-C", server.local_addr()?);
    server.run(CancellationToken::new()).await;
    Ok(())
}
