//! Whole clusters in one thread: machines that crash, clocks that jump, disks that fail, a bad network; and checkers of what clients saw.
//!
//! Floor 9, above `kv`, `pd`, `txn` and `session`, whose real code runs here; nothing depends on it, and it ships with nothing. One way in:
//! [`run`] plays one seed and says what is wrong, if anything is.
//!
//! # Invariants
//! * **A seed is a history.** Time is tokio's paused clock, one thread runs everything, every choice comes from the seed: equal [`Options`] give
//!   equal [`Report`]s, down to the digest of all messages.
//! * **A crash is a power failure**: what was not synced is gone, and so are locks in memory, latches, and every message under way. What a dead
//!   process would have done next does not happen.
//! * **The checkers do not trust the clients' library**: "aborted" means that nothing of it is ever seen, "acknowledged" that all of it is,
//!   and "unknown" allows either, but never half.
//!
//! # Tour
//! `life` (processes); `clock`, `disk`, `network` (what a machine has), `engine`, `log`, `storage` (what it keeps); `pd` and `store` (the machines and
//! the wires to them), `sql` (the machines of SQL nodes, and their clients), `client` and `reader` (who works with the stores themselves, and writes it
//! down), `world` (all of it), `incident` (what befalls it), `journal` (what did); `workload` (what is done), `history` (what was seen), `check`
//! (whether that can be); `sabotage` (faults of our own, to see the checkers find them); [`shrink`] (a smaller run that fails, too).
//!
//! ```
//! use tidewater_sim::{Options, Workload, run};
//!
//! let report = run(&Options { steps: 3, ..Options::new(1, Workload::Bank) }).expect("the money is kept");
//! assert_eq!(report, run(&Options { steps: 3, ..Options::new(1, Workload::Bank) }).expect("again"));
//! ```

mod check;
mod client;
mod clock;
mod disk;
mod engine;
mod history;
mod incident;
mod journal;
mod life;
mod log;
mod network;
mod panics;
mod pd;
mod reader;
mod sabotage;
mod shrink;
mod sql;
mod storage;
mod store;
mod workload;
mod world;

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use check::Finding;
use history::Outcome;
use world::World;

pub use incident::Incident;
pub use journal::Tracing;
pub use sabotage::{Habitat, Sabotage};
pub use shrink::shrink;
pub use workload::{SqlTable, Workload};

/// A run that takes longer is stuck.
const SIMULATED_MAX: Duration = Duration::from_secs(1_200);

/// What each client does, and how many there are, unless somebody says otherwise.
const STEPS: usize = 16;
const CLIENTS: u64 = 3;

/// What to play.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Decides everything that is not decided here.
    pub seed: u64,
    /// What the clients do.
    pub workload: Workload,
    /// How many things each client does.
    pub steps: usize,
    /// How many client processes there are, of two workers each.
    pub clients: u64,
    /// Whether five stores keep three replicas of each region, and a placement driver of three members looks after them; or three stores keep one
    /// copy of each, which moves, and the driver is alone.
    pub replicated: bool,
    /// Incidents that do not happen.
    pub spared: Vec<Incident>,
    /// What is printed meanwhile; makes no difference else.
    pub tracing: Tracing,
    /// What is broken on purpose.
    pub sabotage: Option<Sabotage>,
}

impl Options {
    /// A run of the usual length.
    pub fn new(seed: u64, workload: Workload) -> Self {
        Self {
            seed,
            workload,
            steps: STEPS,
            clients: CLIENTS,
            replicated: false,
            spared: Vec::new(),
            tracing: Tracing::Off,
            sabotage: None,
        }
    }

    /// The same with replicated regions.
    pub fn replicated(self) -> Self {
        Self { replicated: true, ..self }
    }

    /// The command that plays it again.
    pub fn command(&self) -> String {
        let Self { seed, workload, steps, clients, replicated, spared, sabotage, .. } = self;
        let mut command =
            format!("cargo xtask sim --seeds {seed}..{} --workload {}", seed + 1, workload.name());
        command += if *replicated { " --replicated" } else { " --single" };
        if *steps != STEPS {
            command += &format!(" --steps {steps}");
        }
        if *clients != CLIENTS {
            command += &format!(" --clients {clients}");
        }
        if !spared.is_empty() {
            let names: Vec<_> = spared.iter().map(|incident| incident.name()).collect();
            command += &format!(" --without {}", names.join(","));
        }
        if let Some(sabotage) = sabotage {
            command += &format!(" --sabotage {sabotage:?}");
        }
        command
    }
}

/// How a run went in which nothing was wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Of all messages and all outcomes.
    pub digest: u64,
    /// Transactions, or raw operations, that were acknowledged.
    pub acknowledged: u64,
    /// Those that were refused.
    pub refused: u64,
    /// Those of which nobody knows.
    pub unknown: u64,
    /// Crashes and jumps.
    pub incidents: u64,
    /// Changes of the schema that were acknowledged.
    pub schema_changes: u64,
    /// What took a client longest: a transaction, or a read of a raw key and a write to it. SQL is not measured.
    pub longest: Duration,
    /// How long it took the cluster.
    pub simulated: Duration,
}

/// What is wrong, for people.
#[derive(Debug, Clone)]
pub struct Failure {
    /// How to see it again.
    pub options: Options,
    /// What was found.
    pub finding: String,
    /// What befell the cluster.
    pub incidents: String,
    /// The last operations on the keys in question.
    pub history: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Options { seed, workload, .. } = &self.options;
        writeln!(f, "seed {seed}, workload {}: {}", workload.name(), self.finding)?;
        writeln!(f, "again: {}", self.options.command())?;
        write!(f, "what happened:\n{}what was done:\n{}", self.incidents, self.history)
    }
}

impl std::error::Error for Failure {}

/// Plays one seed. A panic, whoever it is that panics, is a failure.
pub fn run(options: &Options) -> Result<Report, Box<Failure>> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true);
    #[cfg(tokio_unstable)]
    builder.rng_seed(tokio::runtime::RngSeed::from_bytes(&options.seed.to_le_bytes()));
    tidewater_raft::seed_randomness(Some(options.seed));
    let runtime = builder.build().expect("a runtime without sockets needs nothing");
    panics::begin();
    let played = catch_unwind(AssertUnwindSafe(|| runtime.block_on(play(options))));
    let failure = |finding: String| {
        Err(Box::new(Failure {
            options: options.clone(),
            finding,
            incidents: String::new(),
            history: String::new(),
        }))
    };
    match (played, panics::end()) {
        (Ok(Err(mut failure)), Some(said)) => {
            failure.finding = said;
            Err(failure)
        }
        (Ok(played), None) => played,
        (_, Some(said)) => failure(said),
        (Err(_), None) => failure("a panic without words".to_owned()),
    }
}

async fn play(options: &Options) -> Result<Report, Box<Failure>> {
    let begun = Instant::now();
    let mut world = World::new(options);
    let verdict = tokio::time::timeout(SIMULATED_MAX, async {
        world.start().await;
        world.open(options.workload).await;
        world.work(options).await;
        judge(&world, options).await
    });
    let simple = |text: &str| Err(Finding { text: text.to_owned(), keys: Vec::new() });
    let verdict = tokio::select! {
        biased;
        () = panics::wait() => simple("somebody panicked"),
        verdict = verdict => verdict.unwrap_or_else(|_| simple("it does not come to an end")),
    };
    match verdict {
        Ok(()) => Ok(report(&world, begun.elapsed())),
        Err(finding) => Err(Box::new(Failure {
            options: options.clone(),
            finding: finding.text,
            incidents: world.network.journal.tell(),
            history: world.history.tell(&finding.keys),
        })),
    }
}

async fn judge(world: &World, options: &Options) -> Result<(), Finding> {
    world.settle().await?;
    if let Some(text) = world.history.accusation() {
        return Err(Finding { text, keys: Vec::new() });
    }
    let (truth, last) = match options.workload {
        Workload::Raw => (check::Truth::new(), world.raw_values().await),
        Workload::Sql(table) => {
            world.last_read(table).await?;
            (check::Truth::new(), BTreeMap::new())
        }
        _ => (world.truth(options.workload).await?, BTreeMap::new()),
    };
    world.pds.check()?;
    check::check(options.workload, &world.history, &truth, &last)?;
    match options.replicated {
        true => world.compare_replicas().await,
        false => Ok(()),
    }
}

fn report(world: &World, simulated: Duration) -> Report {
    let mut digest = DefaultHasher::new();
    world.network.journal.digest().hash(&mut digest);
    for trace in world.traces() {
        trace.digest().hash(&mut digest);
    }
    let (txns, points) = (world.history.txns(), world.history.points());
    format!("{txns:?} {points:?}").hash(&mut digest);
    let count = |wanted: fn(&Outcome) -> bool| txns.iter().filter(|txn| wanted(&txn.outcome)).count() as u64;
    Report {
        digest: digest.finish(),
        acknowledged: count(|outcome| matches!(outcome, Outcome::Committed(_))) + points.len() as u64,
        refused: count(|outcome| *outcome == Outcome::Aborted),
        unknown: count(|outcome| *outcome == Outcome::Unknown),
        incidents: world.incidents,
        schema_changes: world.schema_changes.load(Ordering::Relaxed) as u64,
        longest: world.history.longest(),
        simulated,
    }
}
