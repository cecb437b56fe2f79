//! The store's process: settings, wiring, start and stop. No logic.

mod pages;
mod settings;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Args;
use serde_json::json;
use tidewater_daemon::{CommonOptions, set};
use tidewater_kv::{Node, RocksEngine};
use tidewater_raft::{RocksDevice, Spools};
use tidewater_rpc::{
    ChannelOptions, GrpcConnector, GrpcPd, RpcServer, StatusPages, StatusServer, install_metrics,
    store_routes,
};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

pub use settings::Settings;

/// How long a store that stops waits for others to lead its regions.
const HAND_OVER_PATIENCE: Duration = Duration::from_secs(5);

/// Options of the store; the names are TiKV's.
#[derive(Debug, Clone, Args)]
pub struct Options {
    #[command(flatten)]
    common: CommonOptions,
    /// Where to listen for clients; port 0 takes a free one.
    #[arg(long, short = 'A')]
    addr: Option<String>,
    /// Where clients find this store, if not there.
    #[arg(long)]
    advertise_addr: Option<String>,
    /// Where to listen for operators, over HTTP.
    #[arg(long)]
    status_addr: Option<String>,
    /// Folder of the data; made when missing.
    #[arg(long, short = 's')]
    data_dir: Option<PathBuf>,
    /// Whether regions are replicated by Raft; the same for all stores of a cluster.
    #[arg(long)]
    replicated: Option<bool>,
    /// Addresses of the placement driver's members.
    #[arg(long, visible_alias = "pd", value_delimiter = ',')]
    pd_endpoints: Option<Vec<String>>,
}

/// Runs the store until Ctrl-C or SIGTERM.
pub fn run(options: Options) -> anyhow::Result<()> {
    let common = options.common.clone();
    let change = |settings: &mut Settings| {
        set(&mut settings.server.addr, options.addr);
        set(&mut settings.server.advertise_addr, options.advertise_addr);
        set(&mut settings.server.status_addr, options.status_addr);
        set(&mut settings.storage.data_dir, options.data_dir);
        set(&mut settings.raftstore.replicated, options.replicated);
        set(&mut settings.pd.endpoints, options.pd_endpoints);
    };
    tidewater_daemon::run(&common, |settings| &mut settings.log, change, serve)
}

/// Runs the store within a runtime until it is told to stop.
pub async fn serve(settings: Settings, compute: Handle, stop: CancellationToken) -> anyhow::Result<()> {
    let metrics = install_metrics();
    let server = RpcServer::bind(&settings.server.addr, settings.security.clone()).await?;
    let address = match settings.server.advertise_addr.is_empty() {
        true => server.local_addr()?.to_string(),
        false => settings.server.advertise_addr.clone(),
    };
    let channels = ChannelOptions { security: settings.security.clone(), ..ChannelOptions::default() };
    let Some(pd) = GrpcPd::wait_for(&settings.pd.endpoints, channels.clone(), &stop).await? else {
        return Ok(());
    };
    let folder = settings.storage.data_dir.clone();
    let left = || format!("cannot use the data in {}; it was left as it is", folder.display());
    let engine = RocksEngine::open_with(folder.join("kv"), &settings.engine()).with_context(left)?;
    let raft = match settings.raftstore.replicated {
        true => {
            let log = Arc::new(RocksDevice::open(folder.join("raft")).with_context(left)?);
            Some(settings.raft(log, Spools::in_folder(folder.join("snap")).with_context(left)?))
        }
        false => None,
    };
    // The pages are there before what they tell of: the placement driver is told where they are.
    let opened = Arc::new(OnceLock::<Weak<Node>>::new());
    let pages = {
        let opened = opened.clone();
        let report = move || {
            let node = opened.get().and_then(Weak::upgrade);
            json!({
                "store_id": node.as_ref().map(|node| node.store_id()),
                "regions": node.as_ref().map(|node| node.replica_count()),
                "leaders": node.as_ref().map(|node| node.region_count()),
                "slow_score": node.as_ref().map(|node| node.slow_score()),
                "disk_available": node.as_ref().and_then(|node| node.disk_space()).map(|space| space.available),
                "is_disk_full": node.as_ref().map(|node| node.is_disk_full()),
                "damaged_replicas": node.as_ref().map(|node| node.damaged_count()),
                "replicas": node.as_ref().map(|node| node.replica_infos()),
                "version": env!("CARGO_PKG_VERSION"),
            })
        };
        StatusPages::new(report, metrics)
    };
    let status = StatusServer::bind(&settings.server.status_addr, pages).await?;
    let http = status.local_addr()?;
    let mut config = settings.node(address.clone(), raft, compute);
    config.status_address = advertised(http, &address);
    let connector = Arc::new(GrpcConnector::new(channels));
    let node = Node::open_in_cluster(config, Arc::new(engine), pd, connector).await.with_context(left)?;
    let _ = opened.set(Arc::downgrade(&node));
    let status = status.beside(pages::pages(Arc::downgrade(&node)));
    eprintln!("Store {} is ready: {address} (status: http://{http}/status)", node.store_id());
    tracing::info!(data = %folder.display(), "serving");
    let status = tokio::spawn(status.run(stop.clone()));
    let serving = CancellationToken::new();
    let leaving = tokio::spawn(leave(node.clone(), stop.clone(), serving.clone()));
    let served = tokio::select! {
        served = server.run(store_routes(node.clone()), serving) => served.map_err(anyhow::Error::from),
        // Others lead its regions as soon as it is gone.
        reason = node.log_failed() => Err(anyhow!("the Raft log in {} failed: {reason}", folder.display())),
    };
    stop.cancel();
    let _ = leaving.await;
    node.close().await;
    let _ = status.await;
    eprintln!("Store {} has stopped.", node.store_id());
    served
}

/// Where others find what listens here: on the host that the store is known by, if it listens on all there are.
fn advertised(bound: SocketAddr, store: &str) -> String {
    match store.rsplit_once(':') {
        Some((host, _)) if bound.ip().is_unspecified() => format!("{host}:{}", bound.port()),
        _ => bound.to_string(),
    }
}

/// When the store is to stop, others are to lead its regions before it says no more: clients go on there.
async fn leave(node: Arc<Node>, stop: CancellationToken, serving: CancellationToken) {
    stop.cancelled().await;
    node.hand_over(HAND_OVER_PATIENCE).await;
    serving.cancel();
}
