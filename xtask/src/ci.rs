//! `cargo xtask ci`: everything that must be green, in the order in which it fails fastest.

use clap::Args;

use crate::totals::Totals;
use crate::{command, system, tidy};

/// What to leave out.
#[derive(Args)]
pub struct Options {
    /// Skip the documentation build.
    #[arg(long)]
    no_docs: bool,
}

/// Runs all steps; the first that fails ends the run, but for the tests, which are counted to their end.
pub fn run(options: &Options) -> anyhow::Result<()> {
    system::ensure_build_packages()?;
    command::run(command::cargo().args(["fmt", "--all", "--check"]))?;
    tidy::run()?;
    let workspace = ["--workspace", "--all-targets"];
    command::run(command::cargo().arg("clippy").args(workspace).args(["--", "--deny", "warnings"]))?;
    command::run(command::cargo().args(["build", "--workspace", "--bins"]))?;
    let totals = Totals::of(command::cargo().args(["test", "--workspace", "--no-fail-fast"]))?;
    if !options.no_docs {
        let mut docs = command::cargo();
        docs.args(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "--deny warnings");
        command::run(&mut docs)?;
    }
    println!("{totals}");
    totals.must_be_green()
}
