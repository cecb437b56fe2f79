//! All of Tidewater in one program: the one-binary server, the parts of a cluster, and a cluster to play with.

mod backup;
mod cluster;
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
    /// Add a store to a cluster, or to a server that was started with --cluster.
    Join(cluster::Join),
    /// Write a whole database, as of one timestamp, into a directory.
    Backup(backup::Backup),
    /// Restore a backup into an empty database.
    Restore(backup::Restore),
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
        Command::Join(options) => cluster::run_join(options),
        Command::Backup(options) => backup::run_backup(options),
        Command::Restore(options) => backup::run_restore(options),
        Command::Ctl(options) => ctl::run(options),
        Command::Pd(options) => tidewater_pd_server::run(options),
        Command::Store(options) => tidewater_store_server::run(options),
        Command::Sql(options) => tidewater_sql_server::run(options),
    };
    tidewater_daemon::exit("tidewater", outcome)
}
