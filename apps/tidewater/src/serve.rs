//! `tidewater serve`: start, say so, run, stop.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use tidewater::{Database, OpenOptions};
use tidewater_server::{Server, ServerOptions, StatusServer, TlsSettings, install_metrics};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

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
    /// What to log, such as `info` or `tidewater_kv=debug,info`.
    #[arg(long, default_value = "info", env = "TIDEWATER_LOG")]
    log: String,
}

/// Runs the server until Ctrl-C or SIGTERM.
pub fn run(options: Options) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&options.log).with_context(|| format!("--log {}", options.log))?;
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    // Two runtimes: a long scan must never keep a packet waiting.
    let compute =
        Builder::new_multi_thread().thread_name("compute").build().context("cannot start threads")?;
    let network = Builder::new_multi_thread()
        .thread_name("network")
        .enable_all()
        .build()
        .context("cannot start threads")?;
    let outcome = network.block_on(serve(options, &compute));
    network.shutdown_timeout(std::time::Duration::from_secs(1));
    compute.shutdown_background();
    outcome
}

async fn serve(options: Options, compute: &Runtime) -> anyhow::Result<()> {
    let metrics = install_metrics();
    let path = (!options.in_memory).then(|| options.data.clone());
    let open = OpenOptions { path, compute: Some(compute.handle().clone()), ..OpenOptions::default() };
    let database = match Database::open_with(open).await {
        Ok(database) => database,
        Err(error) if options.in_memory => bail!(error),
        Err(error) => bail!("{error}\nThe data in {} was left as it is.", options.data.display()),
    };
    let tls = match (options.tls_cert, options.tls_key) {
        (Some(certificate), Some(key)) => TlsSettings::Files { certificate, key },
        _ => TlsSettings::SelfSigned,
    };
    let server_options = ServerOptions {
        tls,
        max_connections: options.max_connections,
        ..ServerOptions::new(database.sql().clone(), secret_seed()?)
    };
    let server = Server::bind(&format!("{}:{}", options.host, options.port), server_options).await?;
    let status_address = format!("{}:{}", options.host, options.status_port);
    let status = StatusServer::bind(&status_address, database.sql().clone(), metrics).await?;
    let (sql, http) = (server.local_addr()?, status.local_addr()?);
    eprintln!("Tidewater {} is ready.", env!("CARGO_PKG_VERSION"));
    eprintln!("  connect:  mariadb -h {} -P {} -u root", sql.ip(), sql.port());
    eprintln!("  status:   http://{http}/status and http://{http}/metrics");
    if let Some(folder) = (!options.in_memory).then_some(&options.data) {
        eprintln!("  data:     {}", folder.display());
    }
    eprintln!("  stop:     Ctrl-C");

    let stop = CancellationToken::new();
    let status_task = tokio::spawn(status.run(stop.clone()));
    tokio::spawn(cancel_on_signal(stop.clone()));
    server.run(stop.clone()).await;
    stop.cancel();
    let _ = status_task.await;
    database.close().await;
    eprintln!("Tidewater has stopped.");
    Ok(())
}

/// Cancels at Ctrl-C or SIGTERM.
async fn cancel_on_signal(stop: CancellationToken) {
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                biased;
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
        }
        Err(error) => {
            tracing::warn!(%error, "cannot listen for SIGTERM");
            let _ = tokio::signal::ctrl_c().await;
        }
    }
    stop.cancel();
}

/// Randomness of the operating system for the nonces of handshakes.
fn secret_seed() -> anyhow::Result<[u8; 32]> {
    use std::io::Read;
    let mut seed = [0; 32];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut seed))
        .context("cannot read the system's random source")?;
    Ok(seed)
}
