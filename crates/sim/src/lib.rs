//! Whole clusters in one thread: stores that crash, clocks that jump, a bad network; and checkers of what clients saw.
//!
//! Floor 6, above `kv`, `pd` and `txn`, whose real code runs here; nothing above it depends on it, and it ships with nothing. One way in:
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
//! `life` (processes), `pd` and `store` (machines and the wires to them), `client` (who works, and writes it down), `world` (all of it, and what
//! befalls it); `workload` (what is done), `history` (what was seen), `check` (whether that can be); `sabotage` (faults of our own, to see
//! the checkers find them).
//!
//! ```
//! use tidewater_sim::{Options, Workload, run};
//!
//! let report = run(&Options { steps: 3, ..Options::new(1, Workload::Bank) }).expect("the money is kept");
//! assert_eq!(report, run(&Options { steps: 3, ..Options::new(1, Workload::Bank) }).expect("again"));
//! ```

mod check;
mod client;
mod history;
mod life;
mod log;
mod pd;
mod sabotage;
mod store;
mod workload;
mod world;

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use tokio::time::Instant;

use check::Finding;
use history::Outcome;
use world::World;

pub use sabotage::Sabotage;
pub use workload::Workload;

/// A run that takes longer is stuck.
const SIMULATED_MAX: Duration = Duration::from_secs(1_200);

/// What to play.
#[derive(Debug, Clone)]
pub struct Options {
    /// Decides everything that is not decided here.
    pub seed: u64,
    /// What the clients do.
    pub workload: Workload,
    /// How many things each client does.
    pub steps: usize,
    /// Whether regions have three replicas each, or one copy that moves.
    pub replicated: bool,
    /// What is broken on purpose.
    pub sabotage: Option<Sabotage>,
}

impl Options {
    /// A run of the usual length.
    pub fn new(seed: u64, workload: Workload) -> Self {
        Self { seed, workload, steps: 16, replicated: false, sabotage: None }
    }

    /// The same with replicated regions.
    pub fn replicated(self) -> Self {
        Self { replicated: true, ..self }
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
    /// The last operations on the keys in question.
    pub history: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Options { seed, workload, .. } = &self.options;
        writeln!(f, "seed {seed}, workload {}: {}", workload.name(), self.finding)?;
        let replicated = if self.options.replicated { " --replicated" } else { "" };
        let (next, name) = (seed + 1, workload.name());
        writeln!(f, "again: cargo xtask sim --seeds {seed}..{next} --workload {name}{replicated}")?;
        write!(f, "{}", self.history)
    }
}

impl std::error::Error for Failure {}

/// Plays one seed.
pub fn run(options: &Options) -> Result<Report, Box<Failure>> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true);
    #[cfg(tokio_unstable)]
    builder.rng_seed(tokio::runtime::RngSeed::from_bytes(&options.seed.to_le_bytes()));
    tidewater_raft::seed_randomness(Some(options.seed));
    let runtime = builder.build().expect("a runtime without sockets needs nothing");
    runtime.block_on(play(options))
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
    let stuck = || Err(Finding { text: "it does not come to an end".to_owned(), keys: Vec::new() });
    match verdict.await.unwrap_or_else(|_| stuck()) {
        Ok(()) => Ok(report(&world, begun.elapsed())),
        Err(finding) => Err(Box::new(Failure {
            options: options.clone(),
            finding: finding.text,
            history: world.history.tell(&finding.keys),
        })),
    }
}

async fn judge(world: &World, options: &Options) -> Result<(), Finding> {
    world.settle().await?;
    let (truth, last) = match options.workload {
        Workload::Raw => (check::Truth::new(), world.raw_values().await),
        _ => (world.truth(options.workload).await?, BTreeMap::new()),
    };
    world.pd.check()?;
    check::check(options.workload, &world.history, &truth, &last)
}

fn report(world: &World, simulated: Duration) -> Report {
    let mut digest = DefaultHasher::new();
    for client in &world.clients {
        for trace in client.traces.lock().iter() {
            trace.digest().hash(&mut digest);
        }
    }
    let (txns, points) = (world.history.txns(), world.history.points());
    format!("{txns:?} {points:?}").hash(&mut digest);
    let count = |wanted: fn(&Outcome) -> bool| txns.iter().filter(|txn| wanted(&txn.outcome)).count() as u64;
    Report {
        digest: digest.finish(),
        acknowledged: count(|outcome| matches!(outcome, Outcome::Committed(_))) + points.len() as u64,
        refused: count(|outcome| *outcome == Outcome::Aborted),
        unknown: count(|outcome| *outcome == Outcome::Unknown),
        incidents: world.crashes,
        simulated,
    }
}
