//! `tidewater serve`: start, say so, run, stop.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use tidewater::{Database, OpenError, OpenOptions};
use tidewater_kv::NodeError;
use tidewater_rpc::{StatusPages, StatusServer, install_metrics};
use tidewater_server::{Server, ServerOptions, TlsSettings, status_report};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::cluster::{self, ClusterOptions, SqlPlace};

/// Options of the server.
#[derive(Args)]
pub struct Options {
    /// Folder of the data; made when missing.
    #[arg(long, default_value = "./tidewater-data")]
    data: PathBuf,
    /// Keep the data in memory; it is gone when the server stops.
    #[arg(long, conflicts_with = "data")]
    in_memory: bool,
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// Port for MySQL clients; 0 takes a free one.
    #[arg(long, default_value_t = 4000)]
    port: u16,
    /// Port for status and metrics over HTTP; 0 takes a free one.
    #[arg(long, default_value_t = 10080)]
    status_port: u16,
    /// Most clients at the same time.
    #[arg(long, default_value_t = 4096)]
    max_connections: usize,
    /// Certificate chain in PEM; without it the server makes one for itself.
    #[arg(long, requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Private key in PEM.
    #[arg(long, requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    #[command(flatten)]
    cluster: ClusterOptions,
    /// What to log, such as `info` or `tidewater_kv=debug,info`.
    #[arg(long, default_value = "info", env = "TIDEWATER_LOG")]
    log: String,
}

/// Runs the server until Ctrl-C or SIGTERM.
pub fn run(options: Options) -> anyhow::Result<()> {
    let log = options.log.clone();
    tidewater_daemon::serve(&log, |compute, stop| serve(options, compute, stop))
}

async fn serve(options: Options, compute: Handle, stop: CancellationToken) -> anyhow::Result<()> {
    if options.cluster.cluster {
        let sql = SqlPlace {
            host: options.host,
            port: options.port,
            status_port: options.status_port,
            max_connections: options.max_connections,
        };
        return cluster::serve(options.cluster, &options.data, sql, compute, stop).await;
    }
    let metrics = install_metrics();
    let path = (!options.in_memory).then(|| options.data.clone());
    let open = OpenOptions { path, compute: Some(compute), ..OpenOptions::default() };
    let database = match Database::open_with(open).await {
        Ok(database) => database,
        Err(error) if options.in_memory => bail!(error),
        Err(
            error @ (OpenError::Node(NodeError::Replicated) | OpenError::Pd(tidewater_pd::OpenError::Member)),
        ) => {
            bail!("{error}\nIt is a part of a cluster: start it with --cluster, as before.")
        }
        Err(error) => bail!("{error}\nThe data in {} was left as it is.", options.data.display()),
    };
    let tls = match (options.tls_cert, options.tls_key) {
        (Some(certificate), Some(key)) => TlsSettings::Files { certificate, key },
        _ => TlsSettings::SelfSigned,
    };
    let server_options = ServerOptions {
        tls,
        max_connections: options.max_connections,
        ..ServerOptions::new(database.sql().clone(), tidewater_daemon::secret_seed()?)
    };
    let server = Server::bind(&format!("{}:{}", options.host, options.port), server_options).await?;
    let status_address = format!("{}:{}", options.host, options.status_port);
    let pages = StatusPages::new(status_report(database.sql().clone()), metrics);
    let driver = database.placement_driver().clone();
    let placement = tidewater_pd_http::pages(move || Some(driver.clone()));
    let status = StatusServer::bind(&status_address, pages).await?.beside(placement);
    let (sql, http) = (server.local_addr()?, status.local_addr()?);
    database.sql().announce(&sql.to_string(), &http.to_string());
    eprintln!("Tidewater {} is ready.", env!("CARGO_PKG_VERSION"));
    eprintln!("  connect:  mariadb -h {} -P {} -u root", sql.ip(), sql.port());
    eprintln!("  status:   http://{http}/status and http://{http}/metrics");
    if let Some(folder) = (!options.in_memory).then_some(&options.data) {
        eprintln!("  data:     {}", folder.display());
    }
    eprintln!("  stop:     Ctrl-C");

    let status_task = tokio::spawn(status.run(stop.clone()));
    server.run(stop.clone()).await;
    stop.cancel();
    let _ = status_task.await;
    database.close().await;
    eprintln!("Tidewater has stopped.");
    Ok(())
}
