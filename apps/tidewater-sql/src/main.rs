//! The SQL layer as a server: MySQL clients in front, a cluster of stores behind.

use clap::Parser;
use tidewater_sql_server::Options;

/// Small, short-lived allocations on many threads are most of what a server asks for.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The SQL layer as a server: MySQL clients in front, a cluster of stores behind.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    options: Options,
}

fn main() -> std::process::ExitCode {
    tidewater_daemon::exit("tidewater-sql", tidewater_sql_server::run(Arguments::parse().options))
}
