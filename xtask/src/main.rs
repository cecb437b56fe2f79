//! The chores of the workspace, as `cargo xtask <task>`. One file per task; nothing here ships.

mod bench;
mod chaos;
mod ci;
mod clients;
mod cluster;
mod command;
mod conformance;
mod metrics;
mod run;
mod sim;
mod sources;
mod system;
mod tidy;
mod totals;
mod tpch;

use clap::{Parser, Subcommand};

/// Chores of the Tidewater workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build the release programs and start the one-binary server (installs missing system packages).
    Run(run::Options),
    /// Format check, clippy, tidy, build, all tests and docs: what must be green before a change lands.
    Ci(ci::Options),
    /// Check the floor plan, READMEs, banned calls and links.
    Tidy,
    /// Print the size and test figures of this code base, or of another one.
    Metrics(metrics::Options),
    /// Check drivers of other languages against a server.
    Clients(clients::Options),
    /// Run the test suites of TiKV's own clients against a cluster of ours.
    Conformance(conformance::Options),
    /// Play seeds of the simulated cluster, and check what its clients saw.
    Sim(sim::Options),
    /// Break a cluster of processes under load, heal it, and check what its clients saw.
    Chaos(chaos::Options),
    /// Make the TPC-H tables as text files.
    TpchData(tpch::Options),
    /// Run a whole-system benchmark against MariaDB on this machine.
    Bench(bench::Options),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().task {
        Task::Run(options) => run::run(options),
        Task::Ci(options) => ci::run(&options),
        Task::Tidy => tidy::run(),
        Task::Metrics(options) => metrics::run(&options),
        Task::Clients(options) => clients::run(&options),
        Task::Conformance(options) => conformance::run(&options),
        Task::Sim(options) => sim::run(&options),
        Task::Chaos(options) => chaos::run(&options),
        Task::TpchData(options) => tpch::run(&options),
        Task::Bench(options) => bench::run(options),
    }
}
