//! Seeds of every workload, and the faults of our own. `cargo xtask sim` plays more.

use std::io::Write;
use std::time::Duration;

use tidewater_sim::{Habitat, Incident, Options, Report, Sabotage, SqlTable, Workload, run, shrink};

/// Seeds of each workload with single copies.
const SEEDS: u64 = 45;
/// Likewise with replicas, where a simulated second has many more messages; clients do a little less each.
const REPLICATED_SEEDS: u64 = 16;
const REPLICATED_STEPS: usize = 10;
/// Clusters with SQL nodes: statements are much more work than keys and values, and a change of the schema waits for every node.
const SQL_SEEDS: u64 = 14;
const SQL_STEPS: usize = 10;
const REPLICATED_SQL_SEEDS: u64 = 2;
const REPLICATED_SQL_STEPS: usize = 6;
/// Leaders that are cut off and hand over while others read.
const READERS_SEEDS: u64 = 4;
/// A fault of our own must show within so many runs.
const SABOTAGE_SEEDS: u64 = 100;

fn replicated(seed: u64, workload: Workload) -> Options {
    Options { steps: REPLICATED_STEPS, ..Options::new(seed, workload).replicated() }
}

fn play(kind: &str, runs: impl Iterator<Item = Options>) {
    let (mut count, mut acknowledged, mut unknown, mut simulated) = (0u64, 0, 0, Duration::ZERO);
    let (mut name, mut schema_changes) = ("", 0);
    for options in runs {
        let report = run(&options).unwrap_or_else(|failure| panic!("{failure}"));
        let Report { acknowledged: done, unknown: dark, simulated: took, .. } = report.clone();
        name = options.workload.name();
        count += 1;
        acknowledged += done;
        unknown += dark;
        simulated += took;
        schema_changes += report.schema_changes;
    }
    // Not captured, so that whoever waits sees it.
    let _ = writeln!(
        std::io::stderr(),
        "{name} {kind}: {count} seeds, {acknowledged} acknowledged, {unknown} unknown, {schema_changes} schema changes, {simulated:?} simulated"
    );
    let wanted = if name.starts_with("sql-") { 4 } else { 20 };
    assert!(acknowledged >= count * wanted, "only {acknowledged} operations in {count} runs");
    assert!(schema_changes > 0 || !name.starts_with("sql-"), "nobody has changed the schema");
}

fn play_single(workload: Workload) {
    play("single", (0..SEEDS).map(|seed| Options::new(seed, workload)));
}

fn play_replicated(workload: Workload) {
    play("replicated", (0..REPLICATED_SEEDS).map(|seed| replicated(seed, workload)));
}

#[test]
fn play_bank_and_keep_the_money() {
    play_single(Workload::Bank);
}

#[test]
fn play_replicated_bank_and_keep_the_money() {
    play_replicated(Workload::Bank);
}

#[test]
fn play_lists_of_one_order() {
    play_single(Workload::Lists);
}

#[test]
fn play_replicated_lists_of_one_order() {
    play_replicated(Workload::Lists);
}

#[test]
fn play_registers_that_hold_what_was_written_last() {
    play_single(Workload::Registers);
}

#[test]
fn play_replicated_registers_that_hold_what_was_written_last() {
    play_replicated(Workload::Registers);
}

#[test]
fn play_raw_keys_that_are_linearizable() {
    play_single(Workload::Raw);
}

#[test]
fn play_replicated_raw_keys_that_are_linearizable() {
    play_replicated(Workload::Raw);
}

#[test]
fn play_rows_that_agree_with_their_index() {
    play_single(Workload::Index);
}

#[test]
fn play_replicated_rows_that_agree_with_their_index() {
    play_replicated(Workload::Index);
}

fn play_sql(table: SqlTable) {
    let workload = Workload::Sql(table);
    play("single", (0..SQL_SEEDS).map(|seed| Options { steps: SQL_STEPS, ..Options::new(seed, workload) }));
    let replicated =
        |seed| Options { steps: REPLICATED_SQL_STEPS, ..Options::new(seed, workload).replicated() };
    play("replicated", (0..REPLICATED_SQL_SEEDS).map(replicated));
}

#[test]
fn play_sql_accounts_while_the_schema_changes() {
    play_sql(SqlTable::Accounts);
}

#[test]
fn play_sql_lists_while_the_schema_changes() {
    play_sql(SqlTable::Lists);
}

#[test]
fn play_sql_rows_that_agree_with_their_indexes_while_these_come_and_go() {
    play_sql(SqlTable::Items);
}

#[test]
fn play_replicated_registers_for_readers_while_leaders_are_cut_off() {
    play("replicated", (0..READERS_SEEDS).map(|seed| replicated(seed, Workload::Readers)));
}

fn play_twice(options: &Options) -> u64 {
    let [first, second] = [run(options).expect("fine"), run(options).expect("fine")];
    assert_eq!(first, second, "{}", options.command());
    first.digest
}

#[test]
fn equal_seeds_give_equal_histories() {
    for (workload, seed) in Workload::ALL.into_iter().filter(|workload| !workload.is_sql()).zip(3..) {
        let one = play_twice(&Options::new(seed, workload));
        play_twice(&replicated(seed, workload));
        let other = run(&Options::new(seed + 1, workload)).expect("fine").digest;
        assert_ne!(one, other, "seeds make a difference");
    }
}

/// Regions split, merge, move and change leaders, and nothing fails: nobody has to wait as long as for an election.
#[test]
fn changes_of_regions_hold_nobody_up() {
    let befalls = |incident| matches!(incident, Incident::Split | Incident::Operator);
    let spared: Vec<_> = Incident::ALL.into_iter().filter(|incident| !befalls(*incident)).collect();
    let mut incidents = 0;
    for seed in 0..3 {
        let options =
            Options { steps: 500, spared: spared.clone(), ..Options::new(seed, Workload::Raw).replicated() };
        let report = run(&options).unwrap_or_else(|failure| panic!("{failure}"));
        incidents += report.incidents;
        assert!(report.longest < Duration::from_millis(350), "{:?}: {}", report.longest, options.command());
    }
    assert!(incidents > 0, "somebody has to split and move regions");
}

#[test]
fn equal_seeds_give_equal_histories_of_sql_nodes() {
    for (workload, seed) in Workload::ALL.into_iter().filter(|workload| workload.is_sql()).zip(3..) {
        let short = |seed| Options { steps: REPLICATED_SQL_STEPS, ..Options::new(seed, workload) };
        let one = play_twice(&short(seed));
        let other = run(&short(seed + 1)).expect("fine").digest;
        assert_ne!(one, other, "seeds make a difference");
    }
    let lists = Options::new(3, Workload::Sql(SqlTable::Lists)).replicated();
    play_twice(&Options { steps: REPLICATED_SQL_STEPS, ..lists });
}

/// Where to begin to look for a fault: the workload that shows it best, and a seed that is known to have shown it, which saves time.
fn beginning(sabotage: Sabotage) -> (Workload, u64) {
    match sabotage {
        Sabotage::ForgetReads => (Workload::Registers, 2),
        Sabotage::SkipMemoryLocks => (Workload::Lists, 0),
        Sabotage::DropRollbacks => (Workload::Index, 3),
        Sabotage::LoseWindow => (Workload::Index, 3),
        Sabotage::ApplyTwice => (Workload::Bank, 0),
        Sabotage::SnapshotWithoutLocks => (Workload::Index, 23),
        Sabotage::SplitKeepsVersion | Sabotage::DropEpochCheck => (Workload::Index, 3),
        Sabotage::LowerCommitTs => (Workload::Index, 4),
        Sabotage::ForgetLogSync => (Workload::Lists, 49),
        Sabotage::ForgetPdLogSync => (Workload::Lists, 13),
        Sabotage::ReadWithoutLease => (Workload::Readers, 2),
        Sabotage::SkipLeaderFence => (Workload::Readers, 0),
        _ => (Workload::Bank, 0),
    }
}

/// Which run finds a fault, and what it finds.
fn found(sabotage: Sabotage) -> Option<(u64, String)> {
    let (workload, first) = beginning(sabotage);
    (first..first + SABOTAGE_SEEDS).find_map(|seed| {
        let options = match sabotage.habitat() {
            // One has to be asked after it was deposed, and before all have noticed.
            Habitat::Replicated if workload == Workload::Readers => replicated(seed, workload),
            Habitat::Single => Options::new(seed, workload),
            Habitat::Replicated => Options::new(seed, workload).replicated(),
        };
        let failure = run(&Options { sabotage: Some(sabotage), ..options.clone() }).err()?;
        // It must be the fault that shows, and nothing else.
        if let Err(other) = run(&options) {
            panic!("{other}");
        }
        Some((seed, failure.finding))
    })
}

/// One of several tests, so that they run side by side.
fn find_faults(part: usize, parts: usize) {
    let all = Sabotage::ALL.into_iter().enumerate().filter(|(index, _)| index % parts == part);
    let missed: Vec<_> = all
        .map(|(_, sabotage)| sabotage)
        .filter(|sabotage| match found(*sabotage) {
            Some((seed, finding)) => {
                let finding: String = finding.chars().take(200).collect();
                let _ = writeln!(std::io::stderr(), "{sabotage:?}: seed {seed}: {finding}");
                false
            }
            None => true,
        })
        .collect();
    assert!(missed.is_empty(), "nobody noticed {missed:?}");
}

#[test]
fn faults_of_our_own_are_found() {
    find_faults(0, 2);
}

#[test]
fn other_faults_of_our_own_are_found() {
    find_faults(1, 2);
}

#[test]
fn a_failure_is_made_smaller() {
    let options = Options { sabotage: Some(Sabotage::RepeatTimestamps), ..Options::new(0, Workload::Bank) };
    let failure = run(&options).expect_err("a timestamp that is given out twice shows at once");
    let (smallest, runs) = shrink(failure);
    let Options { steps, clients, spared, .. } = &smallest.options;
    assert!(runs > 0 && *steps * *clients as usize * 2 < options.steps * options.clients as usize);
    assert!(spared.len() > Incident::ALL.len() / 2, "{spared:?}");
    let again = run(&smallest.options).expect_err("it fails again");
    assert_eq!(again.finding, smallest.finding);
    assert!(again.to_string().contains("--without"), "{again}");
}
