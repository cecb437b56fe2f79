//! The transactional key-value store as a server, in TiKV's protocol.

use clap::Parser;
use tidewater_store_server::Options;

/// Small, short-lived allocations on many threads are most of what a server asks for.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The transactional key-value store as a server, in TiKV's protocol.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    options: Options,
}

fn main() -> std::process::ExitCode {
    tidewater_daemon::exit("tidewater-store", tidewater_store_server::run(Arguments::parse().options))
}
