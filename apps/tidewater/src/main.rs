//! All of Tidewater in one program: the one-binary server, the parts of a cluster, and a cluster to play with.

mod ctl;
mod playground;
mod serve;

use clap::{Parser, Subcommand};

/// Small, short-lived allocations on many threads are most of what a server asks for; RocksDB's go here too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Tidewater, a distributed SQL database that MySQL clients use unchanged.
#[derive(Parser)]
#[command(version, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve MySQL clients from one process: SQL layer, store and placement driver.
    Serve(serve::Options),
    /// Start a cluster of processes on this machine, and stop it with Ctrl-C.
    Playground(playground::Options),
    /// Look at a cluster and change it, through its placement driver.
    Ctl(ctl::Options),
    /// Run a placement driver, as the program tidewater-pd does.
    Pd(tidewater_pd_server::Options),
    /// Run a store, as the program tidewater-store does.
    Store(tidewater_store_server::Options),
    /// Run a SQL node, as the program tidewater-sql does.
    Sql(tidewater_sql_server::Options),
}

fn main() -> std::process::ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Serve(options) => serve::run(options),
        Command::Playground(options) => playground::run(&options),
        Command::Ctl(options) => ctl::run(options),
        Command::Pd(options) => tidewater_pd_server::run(options),
        Command::Store(options) => tidewater_store_server::run(options),
        Command::Sql(options) => tidewater_sql_server::run(options),
    };
    tidewater_daemon::exit("tidewater", outcome)
}
