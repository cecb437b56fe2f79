//! `cargo xtask chaos`: a cluster of processes under load and under faults, and what its clients saw.
//!
//! A seed decides what is done to whom. Between faults, and at the end, everything is healed and has to be as if nothing had been: money
//! is neither made nor lost, acknowledged rows are there and refused ones are not, indexes equal their rows, every region has its
//! replicas, no process has panicked, and no client was told anything but to try again. Unlike in `cargo xtask sim` the timing is the
//! machine's, so a seed repeats the faults and not the history.

mod disturb;
mod faults;
mod interpose;
mod load;
mod members;
mod network;
mod process;
mod random;
mod record;
mod report;
mod sysbench;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

pub use self::disturb::{Disturbance, Disturbed};
pub use self::members::Settings;

pub use self::faults::Kind;
use self::faults::{Fault, KINDS};
use self::load::Load;
use self::members::{Counts, Members};
use self::process::Common;
use self::random::Random;
use self::record::Record;
use self::report::Episode;
use self::sysbench::Sysbench;
use crate::command;

/// Clients that write the ledger; as many move money.
const WRITERS: u64 = 6;
/// How long the cluster may take to be well again, with processes that come back from the dead.
const RECOVERY_PATIENCE: Duration = Duration::from_secs(60);
const WELL_PATIENCE: Duration = Duration::from_secs(120);
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// What to do to which cluster.
#[derive(Args)]
pub struct Options {
    /// How long faults are made.
    #[arg(long, default_value_t = 120)]
    seconds: u64,
    /// Decides which faults.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Members of the placement driver.
    #[arg(long, default_value_t = 3)]
    pds: u16,
    /// Stores.
    #[arg(long, default_value_t = 3)]
    stores: u16,
    /// SQL nodes.
    #[arg(long, default_value_t = 2)]
    sqls: u16,
    /// Only these faults.
    #[arg(long, value_delimiter = ',', value_enum)]
    faults: Vec<Kind>,
    /// A program to test in place of a fresh release build.
    #[arg(long)]
    program: Option<PathBuf>,
}

/// Runs it.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let program = command::release_program(options.program.as_deref())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminated = signal(SignalKind::terminate())?;
        // Whatever runs is ended, also when this is.
        tokio::select! {
            outcome = disturb(options, program) => outcome,
            _ = tokio::signal::ctrl_c() => bail!("stopped by Ctrl-C"),
            _ = terminated.recv() => bail!("stopped by SIGTERM"),
        }
    })
}

async fn disturb(options: &Options, program: PathBuf) -> anyhow::Result<()> {
    let folder = command::target_dir().join("clusters").join(format!("chaos-{}", options.seed));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder)?;
    let interpose = interpose::build(&folder)?;
    ensure!(options.sqls >= 1, "the load needs a SQL node");
    let counts = Counts { pds: options.pds, stores: options.stores, sqls: options.sqls };
    let mut members =
        Members::start(Common { program, interpose, folder }, counts, Settings::default()).await?;
    let wanted = if options.faults.is_empty() { &KINDS[..] } else { &options.faults };
    let kinds = possible(wanted, &members)?;
    wait_until_well(&members).await.context("the cluster never was well")?;
    let load = Arc::new(Load::set_up(members.sql_nodes.clone(), WRITERS).await?);
    let sysbench = Sysbench::start(&members.sql_nodes, options.seconds, members.folder()).await?;
    eprintln!("the cluster is up, faults begin (seed {})", options.seed);
    let clients = load.start(options.seed);
    let mut run = Run { members: &mut members, load: &load, began: Instant::now() };
    let episodes = run.episodes(options, &kinds).await;
    // After a violation everything stands as it is.
    if let Some(sysbench) = sysbench
        && load.record.violations().is_empty()
    {
        sysbench.finish(&load.record).await?;
    }
    load.stop();
    for client in clients {
        client.await.context("a client panicked")?;
    }
    check(&mut members, &load).await;
    let folder = members.folder().display().to_string();
    let finished = report::finish(options.seed, &episodes, &load.record, &folder);
    for process in members.processes.iter_mut().rev() {
        process.stop().await?;
    }
    if finished.is_ok() {
        let _ = std::fs::remove_dir_all(&folder);
    }
    finished
}

/// The faults that are asked for and can be made here.
fn possible(wanted: &[Kind], members: &Members) -> anyhow::Result<Vec<Kind>> {
    let has_control = members.processes.iter().all(|process| process.control.is_some());
    let is_possible = |kind: &Kind| match kind {
        Kind::Partition => members.has_links,
        Kind::SlowDisk | Kind::Clock => has_control,
        Kind::Kill | Kind::Stop | Kind::Restart => true,
    };
    let (possible, impossible): (Vec<_>, Vec<_>) = wanted.iter().copied().partition(is_possible);
    for kind in impossible {
        eprintln!(
            "{kind:?} cannot be had here (needs the right to make network namespaces, or a C compiler)"
        );
    }
    ensure!(!possible.is_empty(), "none of these faults can be made here");
    Ok(possible)
}

/// The faults of a run.
struct Run<'a> {
    members: &'a mut Members,
    load: &'a Load,
    began: Instant,
}

impl Run<'_> {
    async fn episodes(&mut self, options: &Options, kinds: &[Kind]) -> Vec<Episode> {
        let mut random = Random::new(options.seed);
        let mut episodes = Vec::new();
        while self.began.elapsed() < Duration::from_secs(options.seconds) {
            // Not a wait for anything: the load runs undisturbed for so long, and is disturbed for so long.
            tokio::time::sleep(Duration::from_millis(3000 + random.below(3000))).await;
            let plans = faults::plan(&mut random, kinds);
            let hold = Duration::from_millis(3000 + random.below(5000));
            match self.episode(&plans, hold).await {
                Ok(episode) => {
                    episode.print();
                    episodes.push(episode);
                }
                Err(error) => self.load.record.violate(format!("a fault cannot be made: {error:#}")),
            }
            if !self.load.record.violations().is_empty() {
                break;
            }
        }
        episodes
    }

    async fn episode(&mut self, plans: &[faults::Plan], hold: Duration) -> anyhow::Result<Episode> {
        let began = Instant::now();
        let mut faults: Vec<Fault> = Vec::new();
        for plan in plans {
            if let Some(fault) = faults::inject(self.members, *plan, &faults).await? {
                eprintln!("{:>6.1} s  {}", self.began.elapsed().as_secs_f64(), fault.what);
                faults.push(fault);
            }
        }
        if faults.iter().any(|fault| fault.kind != Kind::Restart) {
            tokio::time::sleep(hold).await;
        }
        for fault in &faults {
            if let Err(error) = faults::heal(self.members, fault).await {
                self.load.record.violate(format!("after {}: {error:#}", fault.what));
            }
        }
        let healed = Instant::now();
        self.wait_for_writes(healed).await;
        notice_deaths(self.members, &self.load.record);
        let (gap_of_one, gap_of_all) = self.load.record.gaps(began, Instant::now());
        Ok(Episode {
            faults: faults.into_iter().map(|fault| (fault.kind, fault.target, fault.what)).collect(),
            at: began - self.began,
            lasted: healed - began,
            recovered: healed.elapsed(),
            gap_of_one,
            gap_of_all,
        })
    }

    /// Until every process is ready and every writer has written.
    async fn wait_for_writes(&mut self, since: Instant) {
        let mut is_ready = Ok(());
        for process in &mut self.members.processes {
            is_ready = is_ready.and(process.wait_until_ready().await);
        }
        if let Err(error) = is_ready {
            self.load.record.violate(format!("{error:#}"));
        }
        while !self.load.record.all_wrote_since(since, self.load.writers) {
            if since.elapsed() > RECOVERY_PATIENCE {
                let seconds = RECOVERY_PATIENCE.as_secs();
                self.load.record.violate(format!("{seconds} s after the last fault not everybody writes"));
                return;
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }
}

/// Everything that must be so when nothing is broken any more.
async fn check(members: &mut Members, load: &Load) {
    if let Err(error) = wait_until_well(members).await {
        load.record.violate(format!("{error:#}"));
    }
    for node in 0..members.sql_nodes.len() {
        let began = Instant::now();
        // Locks of clients that were cut off live on for a while.
        while let Err(trouble) = load.check(node).await {
            if !trouble.may_be_tried_again || began.elapsed() > RECOVERY_PATIENCE {
                load.record.violate(format!("the last check at SQL node {node}: {}", trouble.what));
                break;
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }
    notice_deaths(members, &load.record);
    for process in &members.processes {
        for complaint in process.complaints() {
            load.record.violate(format!("{}: {complaint}", process.name));
        }
    }
}

/// Nobody ends but for us.
fn notice_deaths(members: &mut Members, record: &Record) {
    for process in &mut members.processes {
        if let Some(status) = process.has_ended() {
            record.violate(format!("{} ended by itself ({status})", process.name));
        }
    }
}

/// Until every store is up and every region has its leader and replicas.
async fn wait_until_well(members: &Members) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        let ills = match members.ills().await {
            Ok(ills) if ills.is_empty() => return Ok(()),
            Ok(ills) => ills,
            Err(error) => vec![format!("{error:#}")],
        };
        if began.elapsed() > WELL_PATIENCE {
            bail!("after {} s: {}", WELL_PATIENCE.as_secs(), ills.join("; "));
        }
        tokio::time::sleep(LOOK_INTERVAL * 10).await;
    }
}
