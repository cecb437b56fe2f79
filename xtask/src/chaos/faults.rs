//! What is done to the cluster, and how it is undone.

use std::time::Duration;

use anyhow::Context;
use clap::ValueEnum;
use rustix::process::Signal;

use super::members::Members;
use super::process::Role;
use super::random::Random;

/// What can be done to a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// SIGKILL; the process is started again after some seconds.
    Kill,
    /// SIGSTOP, for longer than leases and elections take; then SIGCONT.
    Stop,
    /// Links between processes are cut, in one direction or both.
    Partition,
    /// Every sync of a store's or a placement driver's files takes long.
    SlowDisk,
    /// The calendar of a process is ahead or behind.
    Clock,
    /// Every process is asked to stop and started again, one after the other.
    Restart,
}

/// All kinds.
pub const KINDS: [Kind; 6] =
    [Kind::Kill, Kind::Stop, Kind::Partition, Kind::SlowDisk, Kind::Clock, Kind::Restart];

/// Whom it meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The member of the placement driver that leads.
    PdLeader,
    /// The store that leads most regions.
    BusiestStore,
    /// Anybody.
    Any,
}

/// Something that was done to the cluster.
#[derive(Debug)]
pub struct Fault {
    /// What it is.
    pub kind: Kind,
    /// The process it was done to; none if to all.
    pub victim: Option<usize>,
    /// Whether the victim was leading.
    pub target: Target,
    /// For people.
    pub what: String,
    cut: Vec<(usize, usize)>,
}

/// What will be done: decided by the seed alone. Whom it meets is known when it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// What.
    pub kind: Kind,
    /// To whom.
    pub target: Target,
    /// Decides everything else.
    choice: u64,
}

/// The next one or two faults; a rolling restart comes alone.
pub fn plan(random: &mut Random, kinds: &[Kind]) -> Vec<Plan> {
    let count = if random.below(4) == 0 { 2 } else { 1 };
    let mut plans: Vec<Plan> = Vec::new();
    for _ in 0..count {
        let target =
            *random.pick(&[Target::PdLeader, Target::BusiestStore, Target::BusiestStore, Target::Any]);
        plans.push(Plan { kind: *random.pick(kinds), target, choice: random.below(1 << 30) });
    }
    if let Some(restart) = plans.iter().position(|plan| plan.kind == Kind::Restart) {
        plans = vec![plans[restart]];
    }
    plans
}

/// Does it; not to somebody to whom something is done already (`None`).
pub async fn inject(members: &mut Members, plan: Plan, present: &[Fault]) -> anyhow::Result<Option<Fault>> {
    if plan.kind == Kind::Restart {
        let what = "every process is restarted, one after the other".to_owned();
        let fault = Fault { kind: plan.kind, victim: None, target: Target::Any, what, cut: Vec::new() };
        return Ok(Some(fault));
    }
    let mut random = Random::new(plan.choice);
    let (victim, target) = victim(members, plan, &mut random).await;
    if present.iter().any(|fault| fault.victim == Some(victim)) {
        return Ok(None);
    }
    let name = members.processes[victim].name.clone();
    let role = match target {
        Target::PdLeader => " (leads the placement driver)",
        Target::BusiestStore => " (leads most regions)",
        Target::Any => "",
    };
    let mut fault =
        Fault { kind: plan.kind, victim: Some(victim), target, what: String::new(), cut: Vec::new() };
    let process = &mut members.processes[victim];
    let done = match plan.kind {
        Kind::Kill => {
            process.kill()?;
            "is killed".to_owned()
        }
        Kind::Stop => {
            process.signal(Signal::STOP)?;
            "is halted".to_owned()
        }
        Kind::SlowDisk => {
            let delay = Duration::from_millis(50 + random.below(1000));
            process.control.as_ref().context("no library that slows disks")?.set_sync_delay(delay)?;
            format!("syncs its files {} ms slower", delay.as_millis())
        }
        Kind::Clock => {
            let offset = (2000 + random.below(58_000)) as i64 * random.pick(&[1, -1]);
            process.control.as_ref().context("no library that changes clocks")?.set_clock_offset(offset)?;
            format!("has its calendar {offset} ms off")
        }
        Kind::Partition => {
            let (cut, what) = links(members, victim, &mut random);
            for &(from, to) in &cut {
                members.processes[from].host.cut(&members.processes[to].host)?;
            }
            fault.cut = cut;
            what
        }
        Kind::Restart => String::new(),
    };
    fault.what = format!("{name}{role} {done}");
    Ok(Some(fault))
}

/// Undoes it, or does the rest of it. Who was killed runs again, but may not be ready yet.
pub async fn heal(members: &mut Members, fault: &Fault) -> anyhow::Result<()> {
    for &(from, to) in &fault.cut {
        members.processes[from].host.mend(&members.processes[to].host)?;
    }
    let Some(victim) = fault.victim else { return restart_all(members).await };
    let process = &mut members.processes[victim];
    match fault.kind {
        Kind::Kill => process.start()?,
        Kind::Stop => process.signal(Signal::CONT)?,
        Kind::SlowDisk => {
            process.control.as_ref().context("no control")?.set_sync_delay(Duration::ZERO)?;
        }
        Kind::Clock => process.control.as_ref().context("no control")?.set_clock_offset(0)?,
        Kind::Partition | Kind::Restart => {}
    }
    Ok(())
}

async fn restart_all(members: &mut Members) -> anyhow::Result<()> {
    for process in &mut members.processes {
        process.stop().await?;
        process.start()?;
        process.wait_until_ready().await?;
    }
    Ok(())
}

async fn victim(members: &Members, plan: Plan, random: &mut Random) -> (usize, Target) {
    let found = match plan.target {
        Target::PdLeader => members.pd_leader().await,
        Target::BusiestStore => members.busiest_store().await,
        Target::Any => Err(anyhow::anyhow!("nobody in particular")),
    };
    // SQL nodes have no files of their own.
    let has_files =
        |&index: &usize| plan.kind != Kind::SlowDisk || members.processes[index].role != Role::Sql;
    let anybody: Vec<_> = (0..members.processes.len()).filter(has_files).collect();
    found.map_or_else(|_| (*random.pick(&anybody), Target::Any), |victim| (victim, plan.target))
}

/// Some links of a process to the others, as pairs of sender and receiver.
fn links(members: &Members, victim: usize, random: &mut Random) -> (Vec<(usize, usize)>, String) {
    let others: Vec<_> = (0..members.processes.len()).filter(|&other| other != victim).collect();
    let one = *random.pick(&others);
    let name = &members.processes[one].name;
    let to = |others: &[usize]| others.iter().map(|&other| (victim, other)).collect::<Vec<_>>();
    let from = |others: &[usize]| others.iter().map(|&other| (other, victim)).collect::<Vec<_>>();
    match random.below(5) {
        0 => (to(&others), "reaches nobody, but hears everybody".to_owned()),
        1 => (from(&others), "hears nobody, but reaches everybody".to_owned()),
        2 => ([to(&[one]), from(&[one])].concat(), format!("and {name} are cut off from each other")),
        3 => (to(&[one]), format!("does not reach {name}")),
        _ => ([to(&others), from(&others)].concat(), "is cut off from everybody".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_plan_equal_faults_and_restarts_come_alone() {
        let plans = |seed| {
            let mut random = Random::new(seed);
            (0..200).map(|_| plan(&mut random, &KINDS)).collect::<Vec<_>>()
        };
        assert_eq!(plans(7), plans(7));
        assert_ne!(plans(7), plans(8));
        for plan in plans(7) {
            assert!(!plan.is_empty());
            assert!(plan.len() == 1 || plan.iter().all(|plan| plan.kind != Kind::Restart));
        }
        for kind in KINDS {
            assert!(plans(7).iter().flatten().any(|plan| plan.kind == kind), "{kind:?} never comes");
        }
    }
}
