//! What a run has to say: each fault and what it cost, the worst of them, errors, violations.

use std::time::Duration;

use anyhow::bail;

use super::faults::{Kind, Target};
use super::record::Record;

/// How long writes may stand still when a leader of regions dies, and when the leader of the placement driver does.
const LEADER_GOAL: Duration = Duration::from_secs(2);
const PD_LEADER_GOAL: Duration = Duration::from_secs(10);

/// One or two faults at a time, and what they cost.
pub struct Episode {
    /// What was done, to whom.
    pub faults: Vec<(Kind, Target, String)>,
    /// When, since the start of the load.
    pub at: Duration,
    /// How long it lasted.
    pub lasted: Duration,
    /// From its end until every writer had written.
    pub recovered: Duration,
    /// The longest that one writer waited.
    pub gap_of_one: Duration,
    /// The longest in which nobody wrote.
    pub gap_of_all: Duration,
}

impl Episode {
    /// Prints it as one line for each fault.
    pub fn print(&self) {
        for (_, _, what) in &self.faults {
            println!("{:>6.1} s  {what}", self.at.as_secs_f64());
        }
        println!(
            "          lasted {:.1} s; the longest wait of one writer {:.2} s, of all {:.2} s; all wrote {:.2} s after its end",
            self.lasted.as_secs_f64(),
            self.gap_of_one.as_secs_f64(),
            self.gap_of_all.as_secs_f64(),
            self.recovered.as_secs_f64()
        );
    }
}

/// Prints the summary; violations are an error that tells how to play the run again.
pub fn finish(seed: u64, episodes: &[Episode], record: &Record, folder: &str) -> anyhow::Result<()> {
    let totals = record.totals();
    println!("\n{} episodes of faults with seed {seed}", episodes.len());
    println!(
        "acknowledged: {} rows, {} transfers, {} looks at all accounts",
        totals.rows, totals.transfers, totals.reads
    );
    print_worst(episodes, Target::BusiestStore, "the store that led most regions", LEADER_GOAL);
    print_worst(episodes, Target::PdLeader, "the placement driver's leader", PD_LEADER_GOAL);
    for (error, count) in record.errors() {
        println!("  {count:>6} times  {error}");
    }
    let violations = record.violations();
    if violations.is_empty() {
        println!("every invariant held");
        return Ok(());
    }
    for violation in &violations {
        println!("VIOLATION: {violation}");
    }
    bail!("{} violations; play it again with --seed {seed}; data and logs are in {folder}", violations.len())
}

fn print_worst(episodes: &[Episode], target: Target, whose: &str, goal: Duration) {
    let Some((deaths, worst)) = worst_of_deaths(episodes, target) else {
        println!("{whose} was never the only one to be killed");
        return;
    };
    let verdict = if worst <= goal { "within" } else { "OVER" };
    println!(
        "worst wait of a writer after the death of {whose}: {:.2} s in {deaths} deaths ({verdict} the goal of {} s)",
        worst.as_secs_f64(),
        goal.as_secs()
    );
}

/// How often somebody was killed while nothing else was wrong, and the worst that it cost.
fn worst_of_deaths(episodes: &[Episode], target: Target) -> Option<(usize, Duration)> {
    let deaths = episodes
        .iter()
        .filter(|episode| matches!(&episode.faults[..], [(Kind::Kill, whose, _)] if *whose == target));
    let gaps: Vec<_> = deaths.map(|episode| episode.gap_of_one).collect();
    Some((gaps.len(), gaps.iter().copied().max()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn episode(faults: &[(Kind, Target)], seconds: u64) -> Episode {
        Episode {
            faults: faults.iter().map(|&(kind, target)| (kind, target, String::new())).collect(),
            at: Duration::ZERO,
            lasted: Duration::ZERO,
            recovered: Duration::ZERO,
            gap_of_one: Duration::from_secs(seconds),
            gap_of_all: Duration::ZERO,
        }
    }

    #[test]
    fn only_lonely_deaths_are_measured_against_the_goals() {
        let kill = (Kind::Kill, Target::BusiestStore);
        let episodes = [
            episode(&[kill], 1),
            episode(&[kill], 3),
            episode(&[kill, (Kind::Stop, Target::Any)], 9),
            episode(&[(Kind::Stop, Target::BusiestStore)], 8),
        ];
        assert_eq!(worst_of_deaths(&episodes, Target::BusiestStore), Some((2, Duration::from_secs(3))));
        assert_eq!(worst_of_deaths(&episodes, Target::PdLeader), None);
    }

    #[test]
    fn a_violation_fails_the_run_and_names_its_seed() {
        let record = Record::default();
        assert!(finish(5, &[], &record, "x").is_ok());
        record.violate("a row is lost".to_owned());
        let error = finish(5, &[], &record, "x").expect_err("a violation");
        assert!(error.to_string().contains("--seed 5"), "{error}");
    }
}
