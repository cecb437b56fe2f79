//! A placement driver and a store behind sockets, and a transaction from outside: `cargo run -p tidewater-rpc --example rpc_cluster`.

use std::sync::Arc;

use tidewater_codec::Key;
use tidewater_kv::{MemoryEngine, Node, NodeConfig};
use tidewater_pd::{MemoryStorage, PdConfig, PlacementDriver};
use tidewater_rpc::{
    ChannelOptions, GrpcConnector, GrpcPd, PdIdentity, RpcServer, Security, pd_routes, store_routes,
};
use tidewater_txn::{Snapshot, TxnClient, TxnConfig, TxnOptions};
use tidewater_types::clock::SystemClock;
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let stop = CancellationToken::new();
    let server = RpcServer::bind("127.0.0.1:0", Security::default()).await?;
    let url = format!("http://{}", server.local_addr()?);
    let driver =
        PlacementDriver::open(PdConfig::default(), Arc::new(MemoryStorage::new()), Arc::new(SystemClock))?;
    let identity = PdIdentity {
        cluster_id: driver.cluster_id(),
        name: "pd".to_owned(),
        member_id: 1,
        client_urls: vec![url.clone()],
        peer_urls: vec![url.clone()],
    };
    tokio::spawn(server.run(pd_routes(driver, identity), stop.clone()));
    println!("placement driver at {url}");

    let pd = GrpcPd::connect(&[url], ChannelOptions::default()).await?;
    let server = RpcServer::bind("127.0.0.1:0", Security::default()).await?;
    let address = server.local_addr()?.to_string();
    println!("store at {address}");
    let config = NodeConfig { address, ..NodeConfig::default() };
    let node = Node::open(config, Arc::new(MemoryEngine::new()), pd.clone()).await?;
    tokio::spawn(server.run(store_routes(node), stop.clone()));

    let connector = Arc::new(GrpcConnector::new(ChannelOptions::default()));
    let client = TxnClient::new(pd, connector, TxnConfig::default());
    let mut txn = client.begin(TxnOptions::default()).await?;
    txn.put(Key::new("greeting"), "hello over gRPC")?;
    let commit = txn.commit().await?;
    let value = client.snapshot(Snapshot::LATEST).get(&Key::new("greeting")).await?;
    println!("{} (committed at {commit})", String::from_utf8_lossy(&value.unwrap_or_default()));
    stop.cancel();
    Ok(())
}
