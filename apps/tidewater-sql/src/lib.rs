//! The SQL node's process: settings, wiring, start and stop. No logic.

mod settings;

use std::sync::Arc;

use clap::Args;
use tidewater_daemon::{CommonOptions, set};
use tidewater_rpc::{ChannelOptions, GrpcConnector, GrpcPd, StatusPages, StatusServer, install_metrics};
use tidewater_server::{Server, ServerOptions, TlsSettings, status_report};
use tidewater_session::{Database, DatabaseOptions, TableSplit};
use tidewater_txn::{TxnClient, TxnConfig};
use tidewater_types::clock::{SystemClock, WallClock};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

pub use settings::Settings;

/// What `@@version` answers: clients look for MySQL's version in front.
const SERVER_VERSION: &str = concat!("8.0.11-Tidewater-v", env!("CARGO_PKG_VERSION"));

/// Options of the SQL node; the names are TiDB's.
#[derive(Debug, Clone, Args)]
pub struct Options {
    #[command(flatten)]
    common: CommonOptions,
    /// Address to listen on.
    #[arg(long)]
    host: Option<String>,
    /// Port for MySQL clients; 0 takes a free one.
    #[arg(long, short = 'P')]
    port: Option<u16>,
    /// Port for status and metrics over HTTP; 0 takes a free one.
    #[arg(long = "status")]
    status_port: Option<u16>,
    /// Addresses of the placement driver's members, separated by commas.
    #[arg(long)]
    path: Option<String>,
}

/// Runs the SQL node until Ctrl-C or SIGTERM.
pub fn run(options: Options) -> anyhow::Result<()> {
    let common = options.common.clone();
    let change = |settings: &mut Settings| {
        set(&mut settings.host, options.host);
        set(&mut settings.port, options.port);
        set(&mut settings.status.status_port, options.status_port);
        set(&mut settings.path, options.path);
    };
    tidewater_daemon::run(&common, |settings| &mut settings.log, change, serve)
}

/// Runs the SQL node within a runtime until it is told to stop.
pub async fn serve(settings: Settings, compute: Handle, stop: CancellationToken) -> anyhow::Result<()> {
    let metrics = install_metrics();
    let channels = ChannelOptions { security: settings.security.cluster(), ..ChannelOptions::default() };
    let endpoints: Vec<String> = settings.path.split(',').map(|each| each.trim().to_owned()).collect();
    let Some(pd) = GrpcPd::wait_for(&endpoints, channels.clone(), &stop).await? else { return Ok(()) };
    let clock: Arc<dyn WallClock> = Arc::new(SystemClock);
    let seed = clock.now_micros().unsigned_abs();
    let connector = Arc::new(GrpcConnector::new(channels));
    let txn = TxnClient::new(pd, connector, TxnConfig { seed, ..TxnConfig::default() });
    let database = Database::open(DatabaseOptions {
        txn: Arc::new(txn),
        clock,
        compute: Some(compute),
        seed,
        server_version: SERVER_VERSION.to_owned(),
        split_tables: if settings.split_table { TableSplit::Apart } else { TableSplit::Never },
        gc: true,
        protocol: Default::default(),
        result_cache: None,
        several_nodes: true,
        sleeper: Some(Arc::new(tidewater_server::ThreadSleeper)),
    })
    .await?;
    let tls = match settings.security.ssl_cert.as_os_str().is_empty() {
        true => TlsSettings::SelfSigned,
        false => TlsSettings::Files {
            certificate: settings.security.ssl_cert.clone(),
            key: settings.security.ssl_key.clone(),
        },
    };
    let options = ServerOptions {
        tls,
        max_connections: settings.max_server_connections,
        ..ServerOptions::new(database.clone(), tidewater_daemon::secret_seed()?)
    };
    let server = Server::bind(&format!("{}:{}", settings.host, settings.port), options).await?;
    let host =
        if settings.status.status_host.is_empty() { &settings.host } else { &settings.status.status_host };
    let pages = StatusPages::new(status_report(database.clone()), metrics);
    let status = StatusServer::bind(&format!("{host}:{}", settings.status.status_port), pages).await?;
    let (sql, http) = (server.local_addr()?, status.local_addr()?);
    database.announce(&sql.to_string(), &http.to_string());
    eprintln!(
        "The SQL node is ready: mariadb -h {} -P {} -u root (status: http://{http}/status)",
        sql.ip(),
        sql.port()
    );
    let status = tokio::spawn(status.run(stop.clone()));
    server.run(stop.clone()).await;
    stop.cancel();
    let _ = status.await;
    database.close().await;
    eprintln!("The SQL node has stopped.");
    Ok(())
}
