//! The placement driver's process: settings, wiring, start and stop. No logic.

mod settings;

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};
use tidewater_daemon::{CommonOptions, set};
use tidewater_pd::{FileStorage, Member, MemberError};
use tidewater_raft::FileDevice;
use tidewater_rpc::{
    ChannelOptions, GrpcPeerConnector, RpcServer, StatusPages, install_metrics, pd_leader_pages,
    pd_member_routes, pd_peer_routes,
};
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
    /// Where to listen for the other members, as `http://HOST:PORT`; without it, where clients are listened for.
    #[arg(long)]
    peer_urls: Option<String>,
    /// Where the other members find this one, if not there.
    #[arg(long)]
    advertise_peer_urls: Option<String>,
    /// The members a new cluster begins with, the same for all of them: `NAME=PEER-URL,...`. Without it this one is alone. Not looked at when
    /// there are data.
    #[arg(long, value_name = "MEMBERS", conflicts_with = "join")]
    initial_cluster: Option<String>,
    /// Tells clusters apart that begin with the same members.
    #[arg(long)]
    initial_cluster_token: Option<String>,
    /// Peer URLs of a running cluster that a member without data is to join, separated by commas.
    #[arg(long, value_name = "URLS")]
    join: Option<String>,
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
        set(&mut settings.peer_urls, options.peer_urls);
        set(&mut settings.advertise_peer_urls, options.advertise_peer_urls);
        set(&mut settings.initial_cluster, options.initial_cluster);
        set(&mut settings.initial_cluster_token, options.initial_cluster_token);
        set(&mut settings.join, options.join);
    };
    tidewater_daemon::run(
        &common,
        |settings| &mut settings.log,
        change,
        |settings, _, stop| serve(settings, stop),
    )
}

/// Runs the placement driver within a runtime until it is told to stop.
pub async fn serve(settings: Settings, stop: CancellationToken) -> anyhow::Result<()> {
    let metrics = install_metrics();
    let ports = Ports::bind(&settings).await?;
    let folder = settings.data_dir.clone();
    let left = || format!("cannot use the data in {}; it was left as it is", folder.display());
    let storage = Arc::new(FileStorage::open(&folder).with_context(left)?);
    let device = Arc::new(FileDevice::open(folder.join("raft")).with_context(left)?);
    let channels = ChannelOptions { security: settings.security.clone(), ..ChannelOptions::default() };
    let connector = Arc::new(GrpcPeerConnector::new(channels));
    let config = settings.member(&ports.url, &ports.peer_url)?;
    let member = Member::open(config, storage, device, connector, Arc::new(SystemClock))
        .await
        .with_context(|| format!("cannot start the member {} on {}", settings.name, folder.display()))?;
    let pages = StatusPages::new(report(&settings, &member), metrics);
    let mut routes = pd_member_routes(member.clone(), member.clone());
    let router = routes.axum_router_mut();
    let leading = member.clone();
    let placement = tidewater_pd_http::pages(move || leading.driver());
    *router = std::mem::take(router).merge(pages.router()).merge(pd_leader_pages(placement, member.clone()));
    let told = async {
        member.ready().await?;
        eprintln!("The placement driver {} is ready: {}", settings.name, ports.url);
        tracing::info!(data = %folder.display(), "serving");
        stop.cancelled().await;
        // Clients need not wait for the others to miss this one.
        member.resign().await;
        Ok(std::future::pending::<Infallible>().await)
    };
    let peers = async {
        match ports.peers {
            Some(server) => server.run(pd_peer_routes(member.clone()), stop.clone()).await,
            None => {
                stop.cancelled().await;
                Ok(())
            }
        }
    };
    let outcome = tokio::select! {
        served = async { tokio::try_join!(ports.clients.run(routes, stop.clone()), peers) } => {
            served.map(drop).map_err(anyhow::Error::from)
        }
        failure = member.failed() => Err(anyhow::Error::new(failure)),
        told = told => told.map(|never: Infallible| match never {}).map_err(|error: Arc<MemberError>| error.into()),
        never = pages.upkeep() => match never {},
    };
    if outcome.is_ok() {
        member.resign().await;
    }
    member.stop().await;
    outcome?;
    eprintln!("The placement driver {} has stopped.", settings.name);
    Ok(())
}

/// Where the member listens, and is found.
struct Ports {
    clients: RpcServer,
    /// If other members do not come where clients do.
    peers: Option<RpcServer>,
    url: String,
    peer_url: String,
}

impl Ports {
    async fn bind(settings: &Settings) -> anyhow::Result<Self> {
        let scheme = if settings.security.is_enabled() { "https" } else { "http" };
        let clients = RpcServer::bind(host(&settings.client_urls), settings.security.clone()).await?;
        let peers = match host(&settings.peer_urls) {
            "" => None,
            same if same == host(&settings.client_urls) => None,
            other => Some(RpcServer::bind(other, settings.security.clone()).await?),
        };
        let named = |advertised: &str, server: &RpcServer| match advertised.is_empty() {
            true => anyhow::Ok(format!("{scheme}://{}", server.local_addr()?)),
            false => Ok(advertised.trim_end_matches('/').to_owned()),
        };
        let url = named(&settings.advertise_client_urls, &clients)?;
        let peer_url = match (&peers, settings.advertise_peer_urls.is_empty()) {
            (None, true) => url.clone(),
            (peers, _) => named(&settings.advertise_peer_urls, peers.as_ref().unwrap_or(&clients))?,
        };
        Ok(Self { clients, peers, url, peer_url })
    }
}

fn report(settings: &Settings, member: &Arc<Member>) -> impl Fn() -> Value + Send + Sync + 'static {
    let (member, name) = (member.clone(), settings.name.clone());
    move || {
        let known = member.description();
        let leader = known.members.iter().find(|other| other.id == known.leader_id);
        json!({
            "name": name, "cluster_id": known.cluster_id, "version": env!("CARGO_PKG_VERSION"),
            "members": known.members.len(), "leader": leader.map(|leader| leader.name.as_str()),
            "regions": member.driver().map(|driver| driver.region_count()),
        })
    }
}

/// `HOST:PORT` of a URL.
fn host(url: &str) -> &str {
    url.trim_start_matches("http://").trim_start_matches("https://").trim_end_matches('/')
}
