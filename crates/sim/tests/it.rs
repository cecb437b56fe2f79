//! Many seeds of every workload.
//!
//! `TIDEWATER_SIM_SEEDS` is a number of seeds, or a range such as `7..9`; `TIDEWATER_SIM_WORKLOAD` names one workload. `cargo xtask sim` sets both.

use std::io::Write;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use tidewater_sim::{Options, Report, Sabotage, Workload, run};

/// Seeds of each workload in an ordinary test run.
const SEEDS: u64 = 50;
/// Likewise with replicated regions, where a simulated second has many more messages.
const REPLICATED_SEEDS: u64 = 12;
/// A fault of our own must show within so many runs.
const SABOTAGE_SEEDS: u64 = 200;

fn seeds() -> Option<Range<u64>> {
    let text = std::env::var("TIDEWATER_SIM_SEEDS").ok()?;
    let number = |text: &str| text.parse().expect("TIDEWATER_SIM_SEEDS is a number or a range such as 7..9");
    Some(match text.split_once("..") {
        Some((first, end)) => number(first)..number(end),
        None => 0..number(&text),
    })
}

/// Replicated regions, or single copies; both unless `TIDEWATER_SIM_REPLICATED` is 1 or 0.
fn asked_kind() -> Option<bool> {
    std::env::var("TIDEWATER_SIM_REPLICATED").ok().map(|asked| asked == "1")
}

fn workloads() -> Vec<Workload> {
    match std::env::var("TIDEWATER_SIM_WORKLOAD") {
        Ok(name) => vec![Workload::parse(&name).expect("bank, lists, registers or raw")],
        Err(_) => Workload::ALL.to_vec(),
    }
}

fn play(workload: Workload, replicated: bool) {
    if !workloads().contains(&workload) || asked_kind().is_some_and(|asked| asked != replicated) {
        return;
    }
    let asked = seeds();
    let kind = if replicated { "replicated" } else { "single" };
    let tells = asked.is_some();
    let (mut runs, mut acknowledged, mut unknown, mut simulated) = (0u64, 0, 0, Duration::ZERO);
    for seed in asked.unwrap_or(0..if replicated { REPLICATED_SEEDS } else { SEEDS }) {
        let Report { acknowledged: done, unknown: dark, simulated: took, .. } =
            run(&Options { replicated, ..Options::new(seed, workload) })
                .unwrap_or_else(|failure| panic!("{failure}"));
        runs += 1;
        acknowledged += done;
        unknown += dark;
        simulated += took;
        if tells && runs.is_multiple_of(100) {
            // Not captured, so that whoever waits sees it.
            let _ = writeln!(
                std::io::stderr(),
                "{} {kind}: {runs} seeds, {simulated:?} simulated",
                workload.name()
            );
        }
    }
    let _ = writeln!(
        std::io::stderr(),
        "{} {kind}: {runs} seeds, {acknowledged} acknowledged, {unknown} unknown, {simulated:?} simulated",
        workload.name()
    );
    assert!(acknowledged >= runs * 20, "only {acknowledged} operations in {runs} runs");
}

#[test]
fn play_bank_and_keep_the_money() {
    play(Workload::Bank, false);
}

#[test]
fn play_replicated_bank_and_keep_the_money() {
    play(Workload::Bank, true);
}

#[test]
fn play_lists_of_one_order() {
    play(Workload::Lists, false);
}

#[test]
fn play_replicated_lists_of_one_order() {
    play(Workload::Lists, true);
}

#[test]
fn play_registers_that_hold_what_was_written_last() {
    play(Workload::Registers, false);
}

#[test]
fn play_replicated_registers_that_hold_what_was_written_last() {
    play(Workload::Registers, true);
}

#[test]
fn play_raw_keys_that_are_linearizable() {
    play(Workload::Raw, false);
}

#[test]
fn play_replicated_raw_keys_that_are_linearizable() {
    play(Workload::Raw, true);
}

#[test]
fn equal_seeds_give_equal_histories() {
    for workload in Workload::ALL {
        for options in [3, 14].map(|seed| Options::new(seed, workload)) {
            let seed = options.seed;
            for options in [options.clone(), options.replicated()] {
                let [first, second] = [run(&options).expect("fine"), run(&options).expect("fine")];
                assert_eq!(first, second, "seed {seed}, workload {}", workload.name());
            }
        }
        let [one, other] = [1, 2].map(|seed| run(&Options::new(seed, workload)).expect("fine").digest);
        assert_ne!(one, other, "seeds make a difference");
    }
}

/// How many runs it takes to find a fault, and what is found.
fn found(sabotage: Sabotage) -> Option<(u64, String)> {
    (0..SABOTAGE_SEEDS).find_map(|seed| {
        let workload = Workload::ALL[(seed % 3) as usize];
        let replicated = sabotage == Sabotage::ForgetLogSync;
        let options = Options { sabotage: Some(sabotage), replicated, ..Options::new(seed, workload) };
        // A broken store may also fall over its own assertions.
        match catch_unwind(AssertUnwindSafe(|| run(&options))) {
            Ok(Ok(_)) => None,
            Ok(Err(failure)) => Some((seed, failure.finding)),
            Err(_) => Some((seed, "a panic".to_owned())),
        }
    })
}

#[test]
fn faults_of_our_own_are_found() {
    let missed: Vec<_> = Sabotage::ALL
        .into_iter()
        .filter(|sabotage| match found(*sabotage) {
            Some((seed, finding)) => {
                println!("{sabotage:?}: seed {seed}: {finding}");
                false
            }
            None => true,
        })
        .collect();
    assert!(missed.is_empty(), "nobody noticed {missed:?}");
}
