//! `cargo xtask sim`: many seeds of the simulated cluster, by the program that the simulator comes with.

use clap::Args;

use crate::command;

/// What to play; `cargo xtask sim -- --help` tells all there is.
#[derive(Args)]
pub struct Options {
    /// Compile with optimisation: slower to start, faster for thousands of seeds. Comes first.
    #[arg(long)]
    release: bool,
    /// For the player: `--seeds A..B`, `--workload W`, `--replicated`, `--single`, `--steps N`, `--clients N`, `--without KINDS`,
    /// `--sabotage FAULT`, `--trace [messages]`, `--jobs N`, `--no-shrink`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    player: Vec<String>,
}

/// Plays the seeds; the first history that cannot be ends it.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let mut player = command::cargo();
    player.args(["run", "--quiet", "--package", "tidewater-sim", "--example", "play_seeds"]);
    if options.release {
        player.arg("--release");
    }
    player.arg("--").args(&options.player);
    command::run(&mut player)
}
