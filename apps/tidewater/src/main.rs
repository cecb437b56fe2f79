//! The all-in-one server: `tidewater serve`.

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
}

fn main() -> std::process::ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Serve(options) => serve::run(options),
    };
    match outcome {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tidewater: {error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}
