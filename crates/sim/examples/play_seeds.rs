//! Plays seeds of the simulation, several at once, and shows how far it is: what `cargo xtask sim` runs.
//!
//! `cargo run -p tidewater-sim --example play_seeds -- --seeds 42..43 --workload bank --trace`
//!
//! The first run that fails ends it: it is made smaller, and printed with the command that plays it again.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::ops::Range;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use clap::{Parser, ValueEnum};
use tidewater_sim::{Failure, Incident, Options, Report, Sabotage, Tracing, Workload, run, shrink};
use tokio::time::Instant;

/// Plays seeds of the simulated cluster, and checks what its clients saw.
#[derive(Parser)]
struct Arguments {
    /// A number of seeds, or a range such as `700..900`.
    #[arg(long, default_value = "100", value_parser = parse_seeds)]
    seeds: Range<u64>,
    /// Only this workload: bank, lists, registers, readers, raw, index, sql-bank, sql-lists or sql-index.
    #[arg(long, value_parser = parse_workload)]
    workload: Option<Workload>,
    /// Only clusters with replicated regions and a replicated placement driver.
    #[arg(long, conflicts_with = "single")]
    replicated: bool,
    /// Only clusters with single copies.
    #[arg(long)]
    single: bool,
    /// How many things each client does.
    #[arg(long)]
    steps: Option<usize>,
    /// How many client processes there are.
    #[arg(long)]
    clients: Option<u64>,
    /// Kinds of incidents that do not happen, with commas: store-crash, pd-crash, client-crash, clock-jump, partition, disk-trouble, split,
    /// operator, bad-network.
    #[arg(long, value_delimiter = ',', value_parser = parse_incident)]
    without: Vec<Incident>,
    /// A fault of our own, by its name.
    #[arg(long, value_parser = parse_sabotage)]
    sabotage: Option<Sabotage>,
    /// Print what befalls the cluster, or also all messages, with simulated times.
    #[arg(long, num_args = 0..=1, default_missing_value = "events")]
    trace: Option<Trace>,
    /// Runs that are played at the same time; as many as there are cores if not given.
    #[arg(long)]
    jobs: Option<usize>,
    /// Leave a run that fails as large as it is.
    #[arg(long)]
    no_shrink: bool,
}

/// What `--trace` prints.
#[derive(Clone, Copy, ValueEnum)]
enum Trace {
    Events,
    Messages,
}

fn parse_seeds(text: &str) -> Result<Range<u64>, String> {
    let number = |text: &str| text.parse().map_err(|_| format!("{text:?} is not a number"));
    match text.split_once("..") {
        Some((first, end)) => Ok(number(first)?..number(end)?),
        None => Ok(0..number(text)?),
    }
}

fn parse_workload(name: &str) -> Result<Workload, String> {
    let known = Workload::ALL.map(Workload::name).join(", ");
    Workload::parse(name).ok_or_else(|| format!("there are {known}"))
}

fn parse_incident(name: &str) -> Result<Incident, String> {
    let known = Incident::ALL.map(Incident::name).join(", ");
    Incident::parse(name).ok_or_else(|| format!("there are {known}"))
}

fn parse_sabotage(name: &str) -> Result<Sabotage, String> {
    Sabotage::parse(name).ok_or_else(|| format!("there are {:?}", Sabotage::ALL))
}

impl Arguments {
    /// All runs, the workloads of a seed one after the other.
    fn runs(&self) -> Vec<Options> {
        let kinds: &[bool] = match (self.single, self.replicated) {
            (true, _) => &[false],
            (_, true) => &[true],
            _ => &[false, true],
        };
        let workloads = self.workload.map_or(Workload::ALL.to_vec(), |workload| vec![workload]);
        let mut runs = Vec::new();
        for seed in self.seeds.clone() {
            for workload in &workloads {
                runs.extend(kinds.iter().map(|replicated| self.options(seed, *workload, *replicated)));
            }
        }
        runs
    }

    fn options(&self, seed: u64, workload: Workload, replicated: bool) -> Options {
        let usual = Options::new(seed, workload);
        Options {
            replicated,
            steps: self.steps.unwrap_or(usual.steps),
            clients: self.clients.unwrap_or(usual.clients),
            spared: self.without.clone(),
            sabotage: self.sabotage,
            tracing: match self.trace {
                None => Tracing::Off,
                Some(Trace::Events) => Tracing::Events,
                Some(Trace::Messages) => Tracing::Messages,
            },
            ..usual
        }
    }
}

/// How far it is.
struct Progress {
    begun: Instant,
    total: usize,
    is_terminal: bool,
    state: Mutex<Done>,
}

#[derive(Default)]
struct Done {
    runs: usize,
    simulated: Duration,
    acknowledged: u64,
    unknown: u64,
    incidents: u64,
    by_kind: BTreeMap<String, usize>,
}

impl Progress {
    fn new(total: usize) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        Self { begun: Instant::now(), total, is_terminal, state: Mutex::default() }
    }

    fn note(&self, options: &Options, report: &Report) {
        const LINES: usize = 20;
        const WIDTH: usize = 30;
        let mut done = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        done.runs += 1;
        done.simulated += report.simulated;
        done.acknowledged += report.acknowledged;
        done.unknown += report.unknown;
        done.incidents += report.incidents;
        let kind = if options.replicated { "replicated" } else { "single" };
        *done.by_kind.entry(format!("{} {kind}", options.workload.name())).or_default() += 1;
        let is_due = done.runs.is_multiple_of(self.total.div_ceil(LINES)) || done.runs == self.total;
        if !self.is_terminal && !is_due {
            return;
        }
        let filled = done.runs * WIDTH / self.total.max(1);
        let bar = "#".repeat(filled) + &"-".repeat(WIDTH - filled);
        let end = if self.is_terminal { "\r" } else { "\n" };
        let (runs, total, figures) = (done.runs, self.total, self.figures(&done));
        // Who does not see it misses nothing.
        let _ = write!(std::io::stderr(), "[{bar}] {runs}/{total}  {figures}{end}");
    }

    fn figures(&self, done: &Done) -> String {
        let rate = done.runs as f64 / self.begun.elapsed().as_secs_f64().max(0.001);
        let hours = done.simulated.as_secs_f64() / 3_600.0;
        format!("{rate:.2} runs/s  {hours:.3} simulated hours")
    }

    fn finish(&self) {
        let done = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let Done { runs, acknowledged, unknown, incidents, .. } = &*done;
        eprintln!();
        println!("{runs} runs: {}", self.figures(&done));
        println!(
            "{acknowledged} operations acknowledged, {unknown} with an unknown outcome, {incidents} incidents"
        );
        for (kind, count) in &done.by_kind {
            println!("{count:>6} {kind}");
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runs = arguments.runs();
    let progress = Progress::new(runs.len());
    let (next, stops) = (AtomicUsize::new(0), AtomicBool::new(false));
    let failure: Mutex<Option<Box<Failure>>> = Mutex::default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..arguments.jobs.unwrap_or(cores).clamp(1, runs.len().max(1)) {
            scope.spawn(|| {
                while !stops.load(Ordering::Relaxed) {
                    let Some(options) = runs.get(next.fetch_add(1, Ordering::Relaxed)) else { return };
                    match run(options) {
                        Ok(report) => progress.note(options, &report),
                        Err(found) => {
                            stops.store(true, Ordering::Relaxed);
                            let mut failure =
                                failure.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                            failure.get_or_insert(found);
                        }
                    }
                }
            });
        }
    });
    progress.finish();
    let failure = failure.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let Some(failure) = failure else { return ExitCode::SUCCESS };
    println!("\nFAILED: {}", failure.options.command());
    println!("{}", failure.finding);
    if arguments.no_shrink {
        println!("{failure}");
    } else {
        let (smallest, count) = shrink(failure);
        println!("\nThe smallest of {count} runs that were tried:\n{smallest}");
    }
    ExitCode::FAILURE
}
