//! `cargo xtask bench`: whole-system benchmarks as ratios against MariaDB on this machine, in the same run, or of our own parts against each other.
//!
//! Where MariaDB is the baseline, both servers are started on temporary directories with the same durability (every commit is on disk before it is
//! answered), get the same data over the same protocol from the same client program, and take turns.

mod ladder;
mod load;
mod oltp;
mod replica;
mod servers;
mod start;
mod tpch_queries;

use std::path::PathBuf;

use clap::{Args, ValueEnum};

pub use oltp::parse as sysbench_figures;
pub use servers::Server;

use crate::{command, system};

/// Which benchmark, and how large.
#[derive(Args)]
pub struct Options {
    /// What to measure.
    what: What,
    /// Seconds for each OLTP workload.
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    /// Numbers of clients: 1 and 32 for the OLTP workloads, 1, 16 and 128 for the ladder if none are given.
    #[arg(long, value_delimiter = ',')]
    clients: Vec<u32>,
    /// Number of OLTP tables.
    #[arg(long, default_value_t = 4)]
    tables: u32,
    /// Rows of each OLTP table.
    #[arg(long, default_value_t = 100_000)]
    rows: u32,
    /// OLTP workloads (names of sysbench scripts).
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "oltp_point_select,oltp_read_only,oltp_read_write,oltp_write_only,oltp_insert,oltp_update_index,oltp_update_non_index,oltp_delete"
    )]
    workloads: Vec<String>,
    /// With `--db-ps-mode=disable`: statements as text.
    #[arg(long)]
    text: bool,
    /// Scale factor of TPC-H.
    #[arg(long, default_value_t = 0.1)]
    scale: f64,
    /// A program to measure in place of a fresh release build.
    #[arg(long)]
    program: Option<PathBuf>,
}

/// The benchmarks.
#[derive(Clone, Copy, ValueEnum)]
enum What {
    /// sysbench workloads, transactions per second.
    Oltp,
    /// Eleven TPC-H queries, seconds; the answers of both servers are compared.
    Tpch,
    /// `LOAD DATA LOCAL INFILE` of lineitem, rows per second.
    Load,
    /// Statements per second on one process, on one store apart, and on three stores with three replicas; syncs of the Raft logs.
    Ladder,
    /// Seconds until a region of 96 MiB has another replica.
    Replica,
    /// Time to the first answer, and memory of an empty server.
    Start,
}

/// Builds what is to be measured, and measures it.
pub fn run(options: Options) -> anyhow::Result<()> {
    system::ensure_build_packages()?;
    if !matches!(options.what, What::Ladder | What::Replica) {
        system::ensure_bench_packages()?;
    }
    let program = match &options.program {
        Some(program) => program.clone(),
        None => {
            command::run(command::cargo().args(["build", "--release", "--package", "tidewater"]))?;
            command::target_dir().join("release/tidewater")
        }
    };
    match options.what {
        What::Oltp => oltp::run(&options, &program),
        What::Tpch => tpch_queries::run(&options, &program),
        What::Load => load::run(&options, &program),
        What::Ladder => ladder::run(&options, &program),
        What::Replica => replica::run(&program),
        What::Start => start::run(&program),
    }
}

/// The geometric mean.
fn geometric_mean(values: &[f64]) -> f64 {
    if values.is_empty() {
        return f64::NAN;
    }
    (values.iter().map(|value| value.ln()).sum::<f64>() / values.len() as f64).exp()
}
