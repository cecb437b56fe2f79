//! The placement driver's process: settings, wiring, start and stop. No logic.

mod settings;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use serde_json::json;
use tidewater_daemon::{CommonOptions, set};
use tidewater_pd::{FileStorage, PdConfig, PlacementDriver};
use tidewater_rpc::{PdIdentity, RpcServer, StatusPages, install_metrics, pd_routes};
use tidewater_types::clock::SystemClock;
use tokio_util::sync::CancellationToken;

pub use settings::{Schedule, Settings};

/// Options of the placement driver; the names are PD's.
#[derive(Debug, Clone, Args)]
pub struct Options {
    #[command(flatten)]
    common: CommonOptions,
    /// This member's name.
    #[arg(long)]
    name: Option<String>,
    /// Folder of the data; made when missing.
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Where to listen, as `http://HOST:PORT`; port 0 takes a free one.
    #[arg(long)]
    client_urls: Option<String>,
    /// Where clients find this member, if not there.
    #[arg(long)]
    advertise_client_urls: Option<String>,
    /// Copies of each region.
    #[arg(long)]
    max_replicas: Option<usize>,
}

/// Runs the placement driver until Ctrl-C or SIGTERM.
pub fn run(options: Options) -> anyhow::Result<()> {
    let common = options.common.clone();
    let change = |settings: &mut Settings| {
        set(&mut settings.name, options.name);
        set(&mut settings.data_dir, options.data_dir);
        set(&mut settings.client_urls, options.client_urls);
        set(&mut settings.advertise_client_urls, options.advertise_client_urls);
        set(&mut settings.replication.max_replicas, options.max_replicas);
    };
    tidewater_daemon::run(
        &common,
        |settings| &mut settings.log,
        change,
        |settings, _, stop| serve(settings, stop),
    )
}

async fn serve(settings: Settings, stop: CancellationToken) -> anyhow::Result<()> {
    let metrics = install_metrics();
    let scheme = if settings.security.is_enabled() { "https" } else { "http" };
    let server = RpcServer::bind(host(&settings.client_urls), settings.security.clone()).await?;
    let url = match settings.advertise_client_urls.is_empty() {
        true => format!("{scheme}://{}", server.local_addr()?),
        false => settings.advertise_client_urls.clone(),
    };
    let folder = settings.data_dir.clone();
    let storage = FileStorage::open(&folder)
        .with_context(|| format!("cannot open the data in {}; it was left as it is", folder.display()))?;
    let config = PdConfig {
        schedule: settings.schedule(),
        replication: settings.replication(),
        ..PdConfig::default()
    };
    let pd = PlacementDriver::open(config, Arc::new(storage), Arc::new(SystemClock))
        .with_context(|| format!("cannot use the data in {}; it was left as it is", folder.display()))?;
    let identity = PdIdentity {
        cluster_id: pd.cluster_id(),
        member_id: pd.cluster_id() ^ 1,
        name: settings.name.clone(),
        client_urls: vec![url.clone()],
        peer_urls: vec![url.clone()],
    };
    let pages = {
        let (pd, name) = (pd.clone(), settings.name.clone());
        let report = move || {
            json!({ "name": name, "cluster_id": pd.cluster_id(), "regions": pd.region_count(),
                    "version": env!("CARGO_PKG_VERSION") })
        };
        StatusPages::new(report, metrics)
    };
    let mut routes = pd_routes(pd, identity);
    let router = routes.axum_router_mut();
    *router = std::mem::take(router).merge(pages.router());
    eprintln!("The placement driver {} is ready: {url}", settings.name);
    tracing::info!(data = %folder.display(), "serving");
    tokio::select! {
        served = server.run(routes, stop) => served?,
        never = pages.upkeep() => match never {},
    }
    eprintln!("The placement driver {} has stopped.", settings.name);
    Ok(())
}

/// `HOST:PORT` of a URL.
fn host(url: &str) -> &str {
    url.trim_start_matches("http://").trim_start_matches("https://").trim_end_matches('/')
}
