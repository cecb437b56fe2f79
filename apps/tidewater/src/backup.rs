//! `tidewater backup` and `tidewater restore`: a whole cluster, or a stopped one-binary server, into a directory and back.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Args;
use tidewater::{KeyValueStore, OpenOptions};
use tidewater_backup::{BackupOptions, Progress, RestoreOptions, backup, restore};
use tidewater_codec::{Key, StartTs};
use tidewater_daemon::Size;
use tidewater_proto::PdService;
use tidewater_rpc::{ChannelOptions, GrpcConnector, GrpcPd, Security};
use tidewater_txn::{TxnClient, TxnConfig};
use tokio::runtime::Handle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Which database is meant.
#[derive(Args)]
struct Place {
    /// Addresses of a cluster's placement driver, separated by commas.
    #[arg(long, value_delimiter = ',', conflicts_with = "data", required_unless_present = "data")]
    pd: Vec<String>,
    /// Folder of a one-binary server that is stopped.
    #[arg(long)]
    data: Option<PathBuf>,
    /// PEM file with the authority of the cluster's certificates.
    #[arg(long, value_name = "FILE")]
    cacert: Option<PathBuf>,
    /// PEM file with a certificate for this program.
    #[arg(long, value_name = "FILE")]
    cert: Option<PathBuf>,
    /// PEM file with its private key.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// What to log.
    #[arg(long, short = 'L', env = "TIDEWATER_LOG", default_value = "warn")]
    log_level: String,
}

/// Options of `tidewater backup`.
#[derive(Args)]
pub struct Backup {
    #[command(flatten)]
    place: Place,
    /// A new or empty directory for the files.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// The timestamp to read at, as `@@tidb_current_ts` shows it; now if absent.
    #[arg(long, value_name = "TS")]
    at: Option<u64>,
}

/// Options of `tidewater restore`.
#[derive(Args)]
pub struct Restore {
    #[command(flatten)]
    place: Place,
    /// The directory of the backup.
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// Go on after a restore that did not end.
    #[arg(long)]
    resume: bool,
}

/// A database to read or to write, which stays open as long as this lives.
struct Opened {
    client: TxnClient,
    pd: Arc<dyn PdService>,
}

impl Place {
    async fn open(self, compute: Handle, stop: &CancellationToken) -> anyhow::Result<Opened> {
        if let Some(folder) = self.data {
            let options =
                OpenOptions { path: Some(folder.clone()), compute: Some(compute), ..OpenOptions::default() };
            let opened = KeyValueStore::open(options).await;
            let opened = opened
                .with_context(|| format!("cannot open {}; is its server still running?", folder.display()))?;
            return Ok(Opened { client: opened.client, pd: opened.pd });
        }
        let security = Security {
            ca_path: self.cacert.unwrap_or_default(),
            cert_path: self.cert.unwrap_or_default(),
            key_path: self.key.unwrap_or_default(),
        };
        let channels = ChannelOptions { security, ..ChannelOptions::default() };
        let Some(pd) = GrpcPd::wait_for(&self.pd, channels.clone(), stop).await? else {
            bail!("stopped before the placement driver answered")
        };
        let connector = Arc::new(GrpcConnector::new(channels));
        Ok(Opened { client: TxnClient::new(pd.clone(), connector, TxnConfig::default()), pd })
    }
}

/// Keys of schemas: without them the others mean nothing, and no SQL node looks at them.
fn schema_keys() -> std::ops::Range<Key> {
    Key::new("m")..Key::new("n")
}

/// Runs `tidewater backup`.
pub fn run_backup(options: Backup) -> anyhow::Result<()> {
    let log = options.place.log_level.clone();
    tidewater_daemon::serve(&log, |compute, stop| async move {
        if let Some(folder) = options.place.data.as_ref().filter(|folder| !folder.is_dir()) {
            bail!("{} is not there", folder.display());
        }
        let opened = options.place.open(compute, &stop).await?;
        let shown = Shown::new("backed up");
        let wanted = BackupOptions { at: options.at.map(StartTs::new), ..BackupOptions::new(&options.to) };
        let show = |progress| shown.show(progress);
        let manifest = tokio::select! {
            made = backup(&opened.client, &*opened.pd, &wanted, &show) => made?,
            () = stop.cancelled() => bail!("stopped; {} is no backup", options.to.display()),
        };
        shown.end();
        println!(
            "{} pairs, {} as of {} are in {} ({} files).",
            manifest.pairs,
            Size::b(manifest.bytes),
            manifest.backup_ts,
            options.to.display(),
            manifest.files.len()
        );
        Ok(())
    })
}

/// Runs `tidewater restore`.
pub fn run_restore(options: Restore) -> anyhow::Result<()> {
    let log = options.place.log_level.clone();
    tidewater_daemon::serve(&log, |compute, stop| async move {
        // Before anything is made for it.
        tidewater_backup::Manifest::load(&options.from)?;
        let opened = options.place.open(compute, &stop).await?;
        let shown = Shown::new("restored");
        let wanted = RestoreOptions {
            last: Some(schema_keys()),
            resume: options.resume,
            ..RestoreOptions::new(&options.from)
        };
        let show = |progress| shown.show(progress);
        let manifest = tokio::select! {
            done = restore(&opened.client, &wanted, &show) => done?,
            () = stop.cancelled() => bail!("stopped; go on with --resume"),
        };
        shown.end();
        println!(
            "{} pairs, {} of {} are restored.",
            manifest.pairs,
            Size::b(manifest.bytes),
            options.from.display()
        );
        Ok(())
    })
}

/// A line that tells how far it is, where somebody looks.
struct Shown {
    what: &'static str,
    begun: Instant,
    is_seen: bool,
}

impl Shown {
    fn new(what: &'static str) -> Self {
        Self { what, begun: Instant::now(), is_seen: std::io::stderr().is_terminal() }
    }

    fn show(&self, progress: Progress) {
        if self.is_seen {
            let rate = progress.bytes as f64 / self.begun.elapsed().as_secs_f64().max(0.001);
            let (bytes, rate) = (Size::b(progress.bytes), Size::b(rate as u64));
            let Progress { done, total, pairs, .. } = progress;
            eprint!("\r{}: {done} of {total} parts, {pairs} pairs, {bytes}, {rate}/s   ", self.what);
            let _ = std::io::stderr().flush();
        }
    }

    fn end(&self) {
        if self.is_seen {
            eprintln!();
        }
    }
}
