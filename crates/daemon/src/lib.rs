//! What every server process does: settings from a file under the command line, logs, runtimes, stopping in order.
//!
//! Floor 1, for the programs of the top floor. No component logic, no network.
//!
//! # Invariants
//! * **A setting that is not known is an error**, with the file and the line: a typing error must not become a default.
//! * **Two runtimes**: work that takes long must never keep a packet waiting.
//! * Ctrl-C and SIGTERM stop in order; nothing else ends a process on purpose.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

pub use bytesize::ByteSize as Size;

/// How long tasks may go on after the stop.
const NETWORK_PATIENCE: Duration = Duration::from_secs(1);

/// Options every server has.
#[derive(Debug, Clone, Args)]
pub struct CommonOptions {
    /// Settings in TOML; the command line comes before them.
    #[arg(long, short = 'C', value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print the settings in force and leave.
    #[arg(long)]
    pub print_config: bool,
    /// What to log, such as `info` or `tidewater_kv=debug,info`.
    #[arg(long, short = 'L', env = "TIDEWATER_LOG", value_name = "FILTER")]
    pub log_level: Option<String>,
    /// Stop when standard input ends: with the process that started this one.
    #[arg(long, hide = true)]
    pub stop_with_stdin: bool,
}

/// The `[log]` section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct LogSettings {
    /// What to log, such as `info` or `tidewater_kv=debug,info`.
    pub level: String,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { level: "info".to_owned() }
    }
}

/// A span of time written as `10s`, `500ms` or `5m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Span(#[serde(with = "humantime_serde")] pub Duration);

/// Lets an option of the command line come before a setting.
pub fn set<T>(setting: &mut T, option: Option<T>) {
    if let Some(option) = option {
        *setting = option;
    }
}

/// The end of a program: an error is told on standard error under the program's name.
pub fn exit(program: &str, outcome: anyhow::Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{program}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Reads settings from TOML text.
pub fn parse_settings<T: DeserializeOwned>(text: &str) -> anyhow::Result<T> {
    Ok(toml::from_str(text)?)
}

/// Reads the settings of a file, or takes the defaults without one.
pub fn load_settings<T: DeserializeOwned + Default>(path: Option<&Path>) -> anyhow::Result<T> {
    let Some(path) = path else { return Ok(T::default()) };
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    parse_settings(&text).with_context(|| format!("the settings in {} are wrong", path.display()))
}

/// Runs a server that has [`CommonOptions`]: reads its settings, lets the command line change them, and serves ([`serve`]).
pub fn run<T, F>(
    common: &CommonOptions,
    log: impl FnOnce(&mut T) -> &mut LogSettings,
    change: impl FnOnce(&mut T),
    work: impl FnOnce(T, Handle, CancellationToken) -> F,
) -> anyhow::Result<()>
where
    T: DeserializeOwned + Serialize + Default,
    F: Future<Output = anyhow::Result<()>>,
{
    let mut settings: T = load_settings(common.config.as_deref())?;
    change(&mut settings);
    let log = log(&mut settings);
    if let Some(level) = &common.log_level {
        log.level.clone_from(level);
    }
    let level = log.level.clone();
    if common.print_config {
        print!("{}", toml::to_string_pretty(&settings)?);
        return Ok(());
    }
    let with_parent = common.stop_with_stdin;
    serve(&level, |compute, stop| {
        if with_parent {
            std::thread::spawn({
                let stop = stop.clone();
                move || {
                    wait_for_end_of_input();
                    stop.cancel();
                }
            });
        }
        work(settings, compute, stop)
    })
}

/// Starts logs and runtimes and does the work of a server, which gets the compute runtime and the token that is cancelled at Ctrl-C or
/// SIGTERM.
pub fn serve<F>(log_level: &str, work: impl FnOnce(Handle, CancellationToken) -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>>,
{
    // It warns of every message to a member that is away, many times a second; what comes of it is logged by its users.
    let filter = EnvFilter::try_new(format!("openraft=error,{log_level}"))
        .with_context(|| format!("the log level {log_level:?}"))?;
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let compute = runtime("compute", false)?;
    let network = runtime("network", true)?;
    let outcome = network.block_on(async {
        let stop = CancellationToken::new();
        tokio::spawn(cancel_on_signal(stop.clone()));
        work(compute.handle().clone(), stop).await
    });
    network.shutdown_timeout(NETWORK_PATIENCE);
    compute.shutdown_background();
    outcome
}

/// Waits for whoever holds the other end of standard input to go away.
pub fn wait_for_end_of_input() {
    let mut input = std::io::stdin().lock();
    let mut buffer = [0; 256];
    while matches!(input.read(&mut buffer), Ok(1..)) {}
}

fn runtime(name: &str, with_io: bool) -> anyhow::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    if with_io {
        builder.enable_all();
    } else {
        // Work waits: for locks, for regions that move.
        builder.enable_time();
    }
    builder.thread_name(name).build().context("cannot start threads")
}

async fn cancel_on_signal(stop: CancellationToken) {
    stop_signal().await;
    stop.cancel();
}

/// Waits for Ctrl-C or SIGTERM.
pub async fn stop_signal() {
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
}

/// Randomness of the operating system, for secrets.
pub fn secret_seed() -> anyhow::Result<[u8; 32]> {
    let mut seed = [0; 32];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut seed))
        .context("cannot read the system's random source")?;
    Ok(seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
    struct Settings {
        log: LogSettings,
        pause: Option<Span>,
        region_max_size: Size,
    }

    #[test]
    fn sizes_and_times_have_units_and_strangers_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("settings.toml");
        std::fs::write(&path, "pause = '1500ms'\nregion-max-size = '96MiB'\n[log]\nlevel = 'debug'\n")
            .unwrap();
        let settings: Settings = load_settings(Some(&path)).unwrap();
        assert_eq!(settings.pause, Some(Span(Duration::from_millis(1500))));
        assert_eq!(settings.region_max_size.as_u64(), 96 << 20);
        assert_eq!(settings.log.level, "debug");
        let back: Settings = parse_settings(&toml::to_string_pretty(&settings).unwrap()).unwrap();
        assert_eq!(back, settings);
        std::fs::write(&path, "pause = '1s'\nregoin-max-size = '1MiB'\n").unwrap();
        let error = format!("{:#}", load_settings::<Settings>(Some(&path)).unwrap_err());
        assert!(error.contains("settings.toml") && error.contains("regoin-max-size"), "{error}");
        assert!(load_settings::<Settings>(Some(&folder.path().join("none"))).is_err());
    }
}
