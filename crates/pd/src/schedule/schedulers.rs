//! Which schedulers there are, which of them run, and when.

use std::collections::BTreeMap;

use super::balance::{self, Cursors};
use super::builder::PeerIds;
use super::context::{Context, micros};
use super::operator::{Operator, OperatorKind};
use super::{hot, leaders, operators};
use crate::ScheduleConfig;

/// How much less often a scheduler is asked that has found nothing to do.
const IDLE_FACTOR: i64 = 10;

/// What looks for regions that should change, in the order in which they are asked: eviction takes its share of a common limit before balance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SchedulerKind {
    /// Gives regions the peers that the rules ask for; asked when a region reports itself.
    Repair,
    /// Merges small neighbors; asked when a region reports itself.
    Merge,
    /// Takes leaders off stores that somebody named.
    EvictLeader,
    /// Takes leaders off a store that has become slow.
    EvictSlowStore,
    /// Evens out how much stores have.
    BalanceRegion,
    /// Evens out how many regions stores lead.
    BalanceLeader,
    /// Evens out the load of hot regions.
    HotRegion,
}

impl SchedulerKind {
    /// All there are.
    pub const ALL: [Self; 7] = [
        Self::Repair,
        Self::Merge,
        Self::EvictLeader,
        Self::EvictSlowStore,
        Self::BalanceRegion,
        Self::BalanceLeader,
        Self::HotRegion,
    ];

    /// PD's name for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Repair => "replica-checker",
            Self::Merge => "merge-checker",
            Self::BalanceRegion => "balance-region-scheduler",
            Self::BalanceLeader => "balance-leader-scheduler",
            Self::HotRegion => "balance-hot-region-scheduler",
            Self::EvictLeader => "evict-leader-scheduler",
            Self::EvictSlowStore => "evict-slow-store-scheduler",
        }
    }

    /// The scheduler of a name of PD's.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// What somebody has set a scheduler to by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rest {
    /// It was removed.
    Removed,
    /// It makes nothing before this time, in microseconds since 1970.
    Until(i64),
}

#[derive(Debug, Default)]
struct Scheduler {
    /// It makes nothing before.
    paused_until_micros: i64,
    next_run_micros: i64,
    cursors: Cursors,
}

/// The schedulers that were not removed.
#[derive(Debug)]
pub(crate) struct Schedulers {
    by_kind: BTreeMap<SchedulerKind, Scheduler>,
    /// Of a removed one: nobody reads it.
    unused: Cursors,
    next_tick_micros: i64,
}

impl Default for Schedulers {
    fn default() -> Self {
        let by_kind = SchedulerKind::ALL.into_iter().map(|kind| (kind, Scheduler::default())).collect();
        Self { by_kind, unused: Cursors::new(), next_tick_micros: i64::MIN }
    }
}

impl Schedulers {
    /// Kinds with the time until which they are paused.
    pub(crate) fn all(&self) -> impl Iterator<Item = (SchedulerKind, i64)> + '_ {
        self.by_kind.iter().map(|(kind, scheduler)| (*kind, scheduler.paused_until_micros))
    }

    /// Takes in what was set by hand, of all of them.
    pub(crate) fn set(&mut self, resting: &BTreeMap<SchedulerKind, Rest>) {
        for kind in SchedulerKind::ALL {
            match resting.get(&kind) {
                Some(Rest::Removed) => drop(self.by_kind.remove(&kind)),
                Some(Rest::Until(until)) => {
                    self.by_kind.entry(kind).or_default().paused_until_micros = *until;
                }
                None => self.by_kind.entry(kind).or_default().paused_until_micros = 0,
            }
        }
    }

    pub(crate) fn is_active(&self, kind: SchedulerKind, now_micros: i64) -> bool {
        self.by_kind.get(&kind).is_some_and(|scheduler| scheduler.paused_until_micros <= now_micros)
    }

    /// Whether it is time to look around.
    pub(crate) fn begin_tick(&mut self, config: &ScheduleConfig, now_micros: i64) -> bool {
        // A clock that was set back must not stop everything until it is where it was.
        let is_due = now_micros >= self.next_tick_micros
            || self.next_tick_micros.saturating_sub(now_micros) > micros(config.tick);
        if is_due {
            self.next_tick_micros = now_micros.saturating_add(micros(config.tick));
        }
        is_due
    }

    pub(crate) fn due(&self, now_micros: i64) -> Vec<SchedulerKind> {
        let kinds = self.by_kind.iter().filter(|(_, scheduler)| scheduler.next_run_micros <= now_micros);
        kinds.map(|(kind, _)| *kind).filter(|kind| self.is_active(*kind, now_micros)).collect()
    }

    pub(crate) fn end_run(
        &mut self,
        config: &ScheduleConfig,
        kind: SchedulerKind,
        is_idle: bool,
        now_micros: i64,
    ) {
        if let Some(scheduler) = self.by_kind.get_mut(&kind) {
            let pause = micros(config.tick).saturating_mul(if is_idle { IDLE_FACTOR } else { 1 });
            scheduler.next_run_micros = now_micros.saturating_add(pause);
        }
    }

    pub(crate) fn cursors(&mut self, kind: SchedulerKind) -> &mut Cursors {
        match self.by_kind.get_mut(&kind) {
            Some(scheduler) => &mut scheduler.cursors,
            None => &mut self.unused,
        }
    }
}

/// The next region that a scheduler wants changed, if its limit lets it want any.
pub(crate) fn ask(
    kind: SchedulerKind,
    ctx: &Context<'_>,
    cursors: &mut Cursors,
    ids: &mut PeerIds,
) -> Option<Operator> {
    let room = |kind| operators::has_room(ctx, kind).then_some(());
    match kind {
        // They are asked when a region reports itself.
        SchedulerKind::Repair | SchedulerKind::Merge => None,
        SchedulerKind::BalanceRegion => {
            room(OperatorKind::Region)?;
            balance::region(ctx, cursors, ids)
        }
        SchedulerKind::BalanceLeader => {
            room(OperatorKind::Leader)?;
            balance::leader(ctx, cursors)
        }
        SchedulerKind::HotRegion => {
            room(OperatorKind::Hot)?;
            hot::leader(ctx)
        }
        SchedulerKind::EvictLeader => {
            room(OperatorKind::Leader)?;
            let stores = ctx.cluster.evicting.iter().copied();
            leaders::evict(ctx, stores, "its store is to lead no regions", cursors)
        }
        SchedulerKind::EvictSlowStore => {
            room(OperatorKind::Leader)?;
            leaders::evict(ctx, ctx.slow_store, "its store is slow", cursors)
        }
    }
}
