//! `cargo xtask bench`: whole-system benchmarks as ratios against MariaDB in the same run.

use clap::Args;

/// Which benchmark.
#[derive(Args)]
pub struct Options {}

pub fn run(_options: Options) -> anyhow::Result<()> {
    Ok(())
}
