//! `tidewater playground`: a cluster of processes on this machine.
//!
//! Every process is this program again, in another role. Each says on standard error where it listens; the rest of what it says is
//! followed here under its name. They end with this process, however it ends: they watch their standard input.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::Args;
use rustix::process::{Pid, Signal, kill_process};

/// How long a process may take to say that it is ready, and to stop.
const START_PATIENCE: Duration = Duration::from_secs(60);
const STOP_PATIENCE: Duration = Duration::from_secs(15);
/// How often the processes are looked after.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// Default ports: those of PD and TiKV.
const PD_PORT: u16 = 2379;
const STORE_PORT: u16 = 20160;
const STORE_STATUS_PORT: u16 = 20180;
const SQL_STATUS_PORT: u16 = 10080;

/// Options of the playground.
#[derive(Debug, Args)]
pub struct Options {
    /// Stores.
    #[arg(long, default_value_t = 1)]
    stores: u16,
    /// Copies of each region; with 1, stores do not replicate, and regions move between them.
    #[arg(long, default_value_t = 3)]
    replicas: u16,
    /// SQL nodes.
    #[arg(long, default_value_t = 1)]
    sqls: u16,
    /// Members of the placement driver; three go on when one dies.
    #[arg(long, default_value_t = 1)]
    pds: u16,
    /// Folder of all data and logs; made when missing, kept afterwards.
    #[arg(long, default_value = "./tidewater-playground")]
    dir: PathBuf,
    /// Port of the first SQL node; 0 takes free ports for everybody.
    #[arg(long, default_value_t = 4000)]
    port: u16,
    /// Settings of the placement driver, in TOML.
    #[arg(long, value_name = "FILE")]
    pd_config: Option<PathBuf>,
    /// Settings of all stores, in TOML.
    #[arg(long, value_name = "FILE")]
    store_config: Option<PathBuf>,
    /// Settings of all SQL nodes, in TOML.
    #[arg(long, value_name = "FILE")]
    sql_config: Option<PathBuf>,
    /// What the processes log.
    #[arg(long, default_value = "info", value_name = "FILTER")]
    log_level: String,
    /// Stop when standard input ends: with the process that started this one.
    #[arg(long, hide = true)]
    stop_with_stdin: bool,
}

/// One process of the cluster.
struct Member {
    name: String,
    child: Child,
    /// Where it is ready, in its own words.
    ready: String,
}

/// Starts the cluster, follows it, stops it at Ctrl-C or when one of its processes ends.
pub fn run(options: &Options) -> anyhow::Result<()> {
    ensure!(options.stores >= 1, "a cluster needs a store");
    ensure!(options.replicas >= 1, "a region needs a copy");
    ensure!(options.pds >= 1, "a cluster needs a member of the placement driver");
    let stop = watch_for_the_end(options)?;
    let mut members = Vec::new();
    let outcome = start_all(options, &mut members).and_then(|()| {
        tell(options, &members);
        follow(&mut members, &stop)
    });
    stop_all(members);
    outcome
}

fn start_all(options: &Options, members: &mut Vec<Member>) -> anyhow::Result<()> {
    let endpoint = start_pds(options, members)?;
    for index in 0..options.stores {
        let address = format!("127.0.0.1:{}", port(options, STORE_PORT, index));
        let status = format!("127.0.0.1:{}", port(options, STORE_STATUS_PORT, index));
        let replicated = (options.replicas > 1).to_string();
        let arguments = [
            ["--pd-endpoints", &endpoint],
            ["--addr", &address],
            ["--status-addr", &status],
            ["--replicated", &replicated],
        ];
        let arguments = arguments.concat();
        let config = options.store_config.as_deref();
        members.push(Member::start(options, "store", format!("store-{index}"), config, &arguments)?);
    }
    for index in 0..options.sqls {
        let sql = port(options, options.port, index).to_string();
        let status = port(options, SQL_STATUS_PORT, index).to_string();
        let arguments = ["--path", &endpoint, "--port", &sql, "--status", &status];
        let config = options.sql_config.as_deref();
        members.push(Member::start(options, "sql", format!("sql-{index}"), config, &arguments)?);
    }
    Ok(())
}

/// Starts the members of the placement driver; returns where they are.
fn start_pds(options: &Options, members: &mut Vec<Member>) -> anyhow::Result<String> {
    let config = options.pd_config.as_deref();
    let replicas = options.replicas.to_string();
    let name = |index: u16| format!("pd-{index}");
    if options.pds == 1 {
        let url = format!("http://127.0.0.1:{}", port(options, PD_PORT, 0));
        let arguments = ["--name", &name(0), "--client-urls", &url, "--max-replicas", &replicas];
        let pd = Member::start(options, "pd", name(0), config, &arguments)?;
        let endpoint = pd.ready.clone();
        members.push(pd);
        return Ok(endpoint);
    }
    // They must know each other's ports before any of them runs. Held until all are chosen, or one might be chosen twice.
    let mut held = Vec::new();
    let mut urls = Vec::new();
    for index in 0..options.pds {
        let listener = TcpListener::bind(("127.0.0.1", port(options, PD_PORT, index)))?;
        urls.push(format!("http://{}", listener.local_addr()?));
        held.push(listener);
    }
    drop(held);
    let cluster: Vec<_> = (0..).zip(&urls).map(|(index, url)| format!("{}={url}", name(index))).collect();
    let cluster = cluster.join(",");
    for (index, url) in (0..).zip(&urls) {
        let name = name(index);
        let arguments = [
            ["--name", &name],
            ["--client-urls", url],
            ["--initial-cluster", &cluster],
            ["--max-replicas", &replicas],
        ];
        let arguments = arguments.concat();
        members.push(Member::start(options, "pd", name.clone(), config, &arguments)?);
    }
    Ok(urls.join(","))
}

/// The usual port if it is free, else any.
fn port(options: &Options, first: u16, index: u16) -> u16 {
    let usual = first.saturating_add(index);
    let is_free = || TcpListener::bind(("127.0.0.1", usual)).is_ok();
    if options.port != 0 && is_free() { usual } else { 0 }
}

fn tell(options: &Options, members: &[Member]) {
    eprintln!("\nThe cluster is ready.");
    for member in members {
        eprintln!("  {:<8} {}", member.name, member.ready);
    }
    eprintln!("  data:    {}", options.dir.display());
    eprintln!("  stop:    Ctrl-C\n");
}

/// Waits for Ctrl-C; an end that nobody asked for is an error.
fn follow(members: &mut [Member], stop: &mpsc::Receiver<()>) -> anyhow::Result<()> {
    loop {
        match stop.recv_timeout(LOOK_INTERVAL) {
            Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(()),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
        }
        for member in &mut *members {
            if let Some(status) = member.child.try_wait()? {
                // Ctrl-C reaches all processes of the terminal at once: ours may be a moment late.
                if stop.recv_timeout(LOOK_INTERVAL).is_ok() {
                    return Ok(());
                }
                bail!("{} ended ({status}); the others are stopped", member.name);
            }
        }
    }
}

/// A message for the first Ctrl-C or SIGTERM, or when whoever started us is gone.
fn watch_for_the_end(options: &Options) -> anyhow::Result<mpsc::Receiver<()>> {
    let (told, stop) = mpsc::channel();
    if options.stop_with_stdin {
        let told = told.clone();
        thread::spawn(move || {
            tidewater_daemon::wait_for_end_of_input();
            let _ = told.send(());
        });
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start a thread")?;
    thread::spawn(move || {
        runtime.block_on(tidewater_daemon::stop_signal());
        let _ = told.send(());
    });
    Ok(stop)
}

/// Stops everybody, the SQL nodes first.
fn stop_all(members: Vec<Member>) {
    for mut member in members.into_iter().rev() {
        if let Err(error) = member.stop() {
            eprintln!("{} did not stop in order: {error:#}", member.name);
            let _ = member.child.kill();
            let _ = member.child.wait();
        }
    }
}

impl Member {
    /// Starts a process and waits until it says where it is ready.
    fn start(
        options: &Options,
        role: &str,
        name: String,
        config: Option<&Path>,
        arguments: &[&str],
    ) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("cannot find this program")?;
        let mut command = Command::new(program);
        command.arg(role).args(arguments).args(["--stop-with-stdin", "--log-level", &options.log_level]);
        if role != "sql" {
            command.arg("--data-dir").arg(options.dir.join(&name));
        }
        if let Some(config) = config {
            command.arg("--config").arg(config);
        }
        // Not of the terminal's group: Ctrl-C reaches this process alone, which stops the others in their order.
        let mut child = command
            .process_group(0)
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let output = child.stderr.take().context("standard error is not piped")?;
        let ready = pass_on(name.clone(), output);
        match ready.recv_timeout(START_PATIENCE) {
            Ok(ready) => Ok(Self { name, child, ready }),
            Err(_) => {
                let _ = child.kill();
                let status = child.wait()?;
                bail!("{name} did not get ready ({status}); see what it said above")
            }
        }
    }

    fn stop(&mut self) -> anyhow::Result<ExitStatus> {
        if self.child.try_wait()?.is_none() {
            kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        }
        let looks = STOP_PATIENCE.as_millis() / LOOK_INTERVAL.as_millis();
        for _ in 0..looks {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            thread::park_timeout(LOOK_INTERVAL);
        }
        bail!("it still ran after {} seconds", STOP_PATIENCE.as_secs())
    }
}

/// Prints what a process says under its name; returns what follows its first `is ready:`.
fn pass_on(name: String, output: ChildStderr) -> mpsc::Receiver<String> {
    let (told, ready) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            eprintln!("[{name}] {line}");
            if let Some((_, address)) = line.split_once(" is ready: ") {
                let _ = told.send(address.to_owned());
            }
        }
    });
    ready
}
