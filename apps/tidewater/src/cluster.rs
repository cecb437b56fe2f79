//! The parts of a cluster in one process: `tidewater serve --cluster` and `tidewater join`.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use futures::future::{BoxFuture, FutureExt};
use tidewater_pd_server::Settings as PdSettings;
use tidewater_sql_server::Settings as SqlSettings;
use tidewater_store_server::Settings as StoreSettings;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

/// Where the parts of the first process of a cluster listen for others.
#[derive(Args)]
pub struct ClusterOptions {
    /// Let other processes join, and replicate the data to them. Needed from then on whenever this server is started.
    #[arg(long, conflicts_with = "in_memory")]
    pub cluster: bool,
    /// Port for the placement driver.
    #[arg(long, default_value_t = 2379, requires = "cluster")]
    pub pd_port: u16,
    /// Port for the store.
    #[arg(long, default_value_t = 20160, requires = "cluster")]
    pub store_port: u16,
    /// Copies of each region, as soon as there are enough stores.
    #[arg(long, default_value_t = 3, requires = "cluster")]
    pub replicas: usize,
}

/// Options of `tidewater join`.
#[derive(Args)]
pub struct Join {
    /// Addresses of the cluster's placement driver, separated by commas.
    #[arg(long, value_delimiter = ',', required = true)]
    pd: Vec<String>,
    /// Folder of this store's data; made when missing.
    #[arg(long, default_value = "./tidewater-store")]
    data: PathBuf,
    /// Where this store listens; the others have to reach it there. Port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    addr: String,
    /// Where the store listens for operators, over HTTP; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    status_addr: String,
    /// Serve MySQL clients, too, on this port of the same address; 0 takes a free one.
    #[arg(long)]
    sql_port: Option<u16>,
    /// What to log, such as `info` or `tidewater_kv=debug,info`.
    #[arg(long, default_value = "warn", env = "TIDEWATER_LOG")]
    log: String,
}

/// Settings of a server's SQL node.
pub struct SqlPlace {
    /// Address to listen on.
    pub host: String,
    /// Port for MySQL clients.
    pub port: u16,
    /// Port for status over HTTP.
    pub status_port: u16,
    /// Most clients at the same time.
    pub max_connections: usize,
}

/// Runs `tidewater join` until Ctrl-C or SIGTERM.
pub fn run_join(options: Join) -> anyhow::Result<()> {
    let log = options.log.clone();
    tidewater_daemon::serve(&log, |compute, stop| async move {
        let mut store = StoreSettings::default();
        store.server.addr.clone_from(&options.addr);
        store.server.status_addr = options.status_addr;
        store.storage.data_dir = options.data;
        store.pd.endpoints.clone_from(&options.pd);
        let sql = options.sql_port.map(|port| {
            let host = options.addr.rsplit_once(':').map_or("127.0.0.1", |(host, _)| host).to_owned();
            sql_settings(SqlPlace { host, port, status_port: 0, max_connections: 4096 }, &options.pd)
        });
        let mut parts = Parts::new(stop);
        parts.add("store", |stop| tidewater_store_server::serve(store, compute.clone(), stop).boxed());
        if let Some(sql) = sql {
            parts.add("SQL node", |stop| tidewater_sql_server::serve(sql, compute, stop).boxed());
        }
        parts.run().await
    })
}

/// Runs a server that others can join, on the folder of a one-binary server or a new one.
pub async fn serve(
    options: ClusterOptions,
    data: &Path,
    sql: SqlPlace,
    compute: Handle,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let host = &sql.host;
    if host.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified()) {
        bail!("--cluster needs an address that others can reach, not {host}: give --host");
    }
    let pd_address = format!("{host}:{}", options.pd_port);
    let mut pd = PdSettings {
        data_dir: data.join("pd"),
        client_urls: format!("http://{pd_address}"),
        ..PdSettings::default()
    };
    pd.replication.max_replicas = options.replicas;
    let mut store = StoreSettings::default();
    store.server.addr = format!("{host}:{}", options.store_port);
    store.server.status_addr = format!("{host}:0");
    data.clone_into(&mut store.storage.data_dir);
    store.pd.endpoints = vec![pd_address.clone()];
    eprintln!("Others join with:  tidewater join --pd {pd_address} --addr <their address>:20160");
    let sql = sql_settings(sql, &store.pd.endpoints);
    // In the order in which they are stopped, from the last to the first.
    let mut parts = Parts::new(stop);
    parts.add("placement driver", |stop| tidewater_pd_server::serve(pd, stop).boxed());
    parts.add("store", |stop| tidewater_store_server::serve(store, compute.clone(), stop).boxed());
    parts.add("SQL node", |stop| tidewater_sql_server::serve(sql, compute, stop).boxed());
    parts.run().await
}

fn sql_settings(place: SqlPlace, pd: &[String]) -> SqlSettings {
    let mut settings = SqlSettings {
        host: place.host,
        port: place.port,
        path: pd.join(","),
        max_server_connections: place.max_connections,
        ..SqlSettings::default()
    };
    settings.status.status_port = place.status_port;
    settings
}

/// Parts of a cluster in this process. If one of them ends, all do.
struct Parts {
    stop: CancellationToken,
    running: Vec<(&'static str, CancellationToken, tokio::task::JoinHandle<anyhow::Result<()>>)>,
}

impl Parts {
    fn new(stop: CancellationToken) -> Self {
        Self { stop, running: Vec::new() }
    }

    fn add(
        &mut self,
        name: &'static str,
        start: impl FnOnce(CancellationToken) -> BoxFuture<'static, anyhow::Result<()>>,
    ) {
        let own = CancellationToken::new();
        let (part, all) = (start(own.clone()), self.stop.clone());
        let task = tokio::spawn(async move {
            let ended = part.await;
            all.cancel();
            ended
        });
        self.running.push((name, own, task));
    }

    /// Runs until all are to stop; the last one that was added stops first.
    async fn run(self) -> anyhow::Result<()> {
        self.stop.cancelled().await;
        let mut outcome = Ok(());
        for (name, stop, task) in self.running.into_iter().rev() {
            stop.cancel();
            let ended = task.await.context("a part of the server panicked").and_then(|ended| ended);
            outcome = outcome.and(ended.with_context(|| format!("the {name}")));
        }
        outcome
    }
}
