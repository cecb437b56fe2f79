//! The placement driver as a server: timestamps, cluster metadata, safe points over gRPC.

use clap::Parser;
use tidewater_pd_server::Options;

/// Small, short-lived allocations on many threads are most of what a server asks for.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The placement driver as a server: timestamps, cluster metadata, safe points over gRPC.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    options: Options,
}

fn main() -> std::process::ExitCode {
    tidewater_daemon::exit("tidewater-pd", tidewater_pd_server::run(Arguments::parse().options))
}
