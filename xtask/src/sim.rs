//! `cargo xtask sim`: many seeds of the simulation, by its own test binary, so that a failure found here is a test to run again.

use anyhow::{Context, bail};
use clap::Args;

use crate::command;

/// Which seeds to play.
#[derive(Args)]
pub struct Options {
    /// A number of seeds, or a range such as `700..900`.
    #[arg(long, default_value = "1000")]
    seeds: String,
    /// Only this workload: bank, lists, registers or raw.
    #[arg(long)]
    workload: Option<String>,
    /// Only clusters with replicated regions.
    #[arg(long)]
    replicated: bool,
    /// Compile with optimisation: slower to start, faster for thousands of seeds.
    #[arg(long)]
    release: bool,
}

/// Plays the seeds; the first history that cannot be ends a workload.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let parts =
        options.seeds.split_once("..").map_or(vec![&options.seeds[..]], |(first, end)| vec![first, end]);
    for part in parts {
        let _: u64 = part.parse().with_context(|| format!("{part:?} is not a seed"))?;
    }
    let known = ["bank", "lists", "registers", "raw"];
    if let Some(workload) = &options.workload
        && !known.contains(&&workload[..])
    {
        bail!("there is no workload {workload:?}, only {}", known.join(", "));
    }
    let mut test = command::cargo();
    test.args(["test", "--package", "tidewater-sim", "--test", "it", "--no-fail-fast"]);
    if options.release {
        test.arg("--release");
    }
    test.args(["--", "--nocapture", "play_"]).env("TIDEWATER_SIM_SEEDS", &options.seeds);
    if let Some(workload) = &options.workload {
        test.env("TIDEWATER_SIM_WORKLOAD", workload);
    }
    if options.replicated {
        test.env("TIDEWATER_SIM_REPLICATED", "1");
    }
    command::run(&mut test)
}
