//! `cargo xtask ci`: everything that must be green, in the order in which it fails fastest.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use clap::Args;

use crate::{command, system, tidy};

/// What to leave out.
#[derive(Args)]
pub struct Options {
    /// Skip the documentation build.
    #[arg(long)]
    no_docs: bool,
}

/// The sums of the `test result:` lines that cargo's test runners print.
#[derive(Default, Debug, PartialEq, Eq)]
struct Totals {
    passed: u64,
    failed: u64,
    ignored: u64,
}

/// Runs all steps; the first that fails ends the run, but for the tests, which are counted to their end.
pub fn run(options: &Options) -> anyhow::Result<()> {
    system::ensure_build_packages()?;
    command::run(command::cargo().args(["fmt", "--all", "--check"]))?;
    tidy::run()?;
    let workspace = ["--workspace", "--all-targets"];
    command::run(command::cargo().arg("clippy").args(workspace).args(["--", "--deny", "warnings"]))?;
    command::run(command::cargo().args(["build", "--workspace", "--bins"]))?;
    let totals = tests()?;
    if !options.no_docs {
        let mut docs = command::cargo();
        docs.args(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "--deny warnings");
        command::run(&mut docs)?;
    }
    println!("{} passed, {} failed, {} skipped", totals.passed, totals.failed, totals.ignored);
    if totals.failed > 0 || totals.passed == 0 {
        bail!("the tests are not green");
    }
    Ok(())
}

/// Runs every test of the workspace, showing the output as it comes.
fn tests() -> anyhow::Result<Totals> {
    let mut command = command::cargo();
    command.args(["test", "--workspace", "--no-fail-fast"]).stdout(Stdio::piped());
    eprintln!("$ cargo test --workspace --no-fail-fast");
    let mut child = Command::spawn(&mut command).context("cannot start cargo test")?;
    let stdout = child.stdout.take().context("cargo test has no output")?;
    let mut totals = Totals::default();
    for line in BufReader::new(stdout).lines() {
        let line = line.context("cannot read the output of cargo test")?;
        println!("{line}");
        totals.add(&line);
    }
    let status = child.wait()?;
    if !status.success() && totals.failed == 0 {
        bail!("cargo test failed: {status}");
    }
    Ok(totals)
}

impl Totals {
    /// Adds a line such as `test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; ...`; other lines add nothing.
    fn add(&mut self, line: &str) {
        let Some(result) = line.trim_start().strip_prefix("test result:") else { return };
        for part in result.split([';', '.']) {
            let mut words = part.split_whitespace();
            let (Some(count), Some(what)) =
                (words.next().and_then(|word| word.parse::<u64>().ok()), words.next())
            else {
                continue;
            };
            match what {
                "passed" => self.passed += count,
                "failed" => self.failed += count,
                "ignored" => self.ignored += count,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Totals;

    #[test]
    fn result_lines_are_summed_and_others_are_not() {
        let mut totals = Totals::default();
        totals.add("running 3 tests");
        totals.add(
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.01s",
        );
        totals.add("test result: FAILED. 2 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s");
        assert_eq!(totals, Totals { passed: 14, failed: 3, ignored: 1 });
    }
}
