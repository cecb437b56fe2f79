//! Running tests and counting them.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::ops::AddAssign;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use crate::command;

/// The sums of the `test result:` lines that cargo's test runners print.
#[derive(Default, Debug, PartialEq, Eq)]
pub struct Totals {
    pub passed: u64,
    pub failed: u64,
    pub ignored: u64,
}

impl Totals {
    /// Runs tests to their end, showing the output as it comes. That some fail is not an error; that they cannot be run is one.
    pub fn of(tests: &mut Command) -> anyhow::Result<Self> {
        eprintln!("$ {}", command::display(tests));
        let mut child = tests.stdout(Stdio::piped()).spawn().context("cannot start the tests")?;
        let stdout = child.stdout.take().context("the tests have no output")?;
        let mut totals = Self::default();
        for line in BufReader::new(stdout).lines() {
            let line = line.context("cannot read the output of the tests")?;
            println!("{line}");
            totals.add(&line);
        }
        let status = child.wait()?;
        if !status.success() && totals.failed == 0 {
            bail!("{} failed: {status}", command::display(tests));
        }
        Ok(totals)
    }

    /// An error unless there were tests and all passed.
    pub fn must_be_green(&self) -> anyhow::Result<()> {
        if self.failed > 0 || self.passed == 0 {
            bail!("the tests are not green");
        }
        Ok(())
    }

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

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.ignored)
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
