//! The running operators: one for each region at most, within limits, with what they will have changed once they are through.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::context::{Context, signed};
use super::operator::{Operator, OperatorKind, OperatorResult, Progress, Step, View};

/// Ended operators that are remembered.
const FINISHED_MAX: usize = 1_000;

/// An operator that has ended.
#[derive(Debug, Clone)]
pub(crate) struct Finished {
    pub(crate) operator: Operator,
    pub(crate) result: OperatorResult,
    pub(crate) ended_micros: i64,
}

/// What running operators will change at one store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct StoreLoad {
    /// Peers that come.
    pub(crate) adding: usize,
    /// Peers that go.
    pub(crate) removing: usize,
    pub(crate) regions: i64,
    pub(crate) mebibytes: i64,
    pub(crate) leaders: i64,
}

#[derive(Debug, Default)]
pub(crate) struct Operators {
    running: BTreeMap<u64, Operator>,
    /// When which region's operator is given up.
    deadlines: BTreeSet<(i64, u64)>,
    /// Regions that others are merged into, with those: they stay as they are.
    targets: BTreeMap<u64, u64>,
    by_kind: BTreeMap<OperatorKind, BTreeSet<u64>>,
    loads: BTreeMap<u64, StoreLoad>,
    finished: VecDeque<Finished>,
}

impl Operators {
    pub(crate) fn get(&self, region_id: u64) -> Option<&Operator> {
        self.running.get(&region_id)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Operator> {
        self.running.values()
    }

    pub(crate) fn finished(&self) -> impl DoubleEndedIterator<Item = &Finished> {
        self.finished.iter()
    }

    /// Whether a region has an operator or is what another one is merged into.
    pub(crate) fn is_busy(&self, region_id: u64) -> bool {
        self.running.contains_key(&region_id) || self.targets.contains_key(&region_id)
    }

    pub(crate) fn count(&self, kind: OperatorKind) -> usize {
        self.by_kind.get(&kind).map_or(0, BTreeSet::len)
    }

    pub(crate) fn of_kind(&self, kind: OperatorKind) -> impl Iterator<Item = &Operator> {
        self.by_kind.get(&kind).into_iter().flatten().filter_map(|id| self.running.get(id))
    }

    pub(crate) fn load(&self, store_id: u64) -> StoreLoad {
        self.loads.get(&store_id).copied().unwrap_or_default()
    }

    pub(crate) fn insert(&mut self, operator: Operator) {
        let id = operator.region_id;
        assert!(!self.is_busy(id), "region {id} has an operator already");
        tracing::info!(region = id, kind = ?operator.kind, reason = operator.reason, steps = ?operator.steps, "an operator begins");
        self.weigh(&operator, 1);
        self.deadlines.insert((operator.deadline_micros, id));
        self.by_kind.entry(operator.kind).or_default().insert(id);
        if let Some(target) = merge_target(&operator) {
            self.targets.insert(target, id);
        }
        self.running.insert(id, operator);
    }

    /// Ends a region's operator, if it has one.
    pub(crate) fn end(&mut self, region_id: u64, result: OperatorResult, now_micros: i64) -> bool {
        let Some(operator) = self.running.remove(&region_id) else { return false };
        tracing::info!(region = region_id, kind = ?operator.kind, ?result, "an operator has ended");
        self.weigh(&operator, -1);
        self.deadlines.remove(&(operator.deadline_micros, region_id));
        if let Some(regions) = self.by_kind.get_mut(&operator.kind) {
            regions.remove(&region_id);
        }
        if let Some(target) = merge_target(&operator) {
            self.targets.remove(&target);
        }
        self.finished.push_back(Finished { operator, result, ended_micros: now_micros });
        if self.finished.len() > FINISHED_MAX {
            self.finished.pop_front();
        }
        true
    }

    /// Gives up what has taken too long, also of regions that do not report themselves any more.
    pub(crate) fn expire(&mut self, now_micros: i64) {
        while let Some(&(deadline, region_id)) = self.deadlines.first()
            && deadline <= now_micros
        {
            self.end(region_id, OperatorResult::Timeout, now_micros);
        }
    }

    /// Takes in how far a region's report shows its operator to be.
    pub(crate) fn go_to(&mut self, region_id: u64, progress: &Progress) {
        let Some(mut operator) = self.running.remove(&region_id) else { return };
        if (operator.current, operator.has_landed) != (progress.current, progress.has_landed) {
            self.weigh(&operator, -1);
            (operator.current, operator.has_landed) = (progress.current, progress.has_landed);
            self.weigh(&operator, 1);
        }
        self.running.insert(region_id, operator);
    }

    /// Counts what the steps that are left will change; `sign` is -1 to take it back.
    fn weigh(&mut self, operator: &Operator, sign: i64) {
        let mebibytes = signed(operator.mebibytes) * sign;
        let shift = |count: usize| count.wrapping_add_signed(sign as isize);
        for (index, step) in operator.rest().iter().enumerate() {
            match *step {
                Step::AddLearner { store_id, .. } => {
                    let load = self.loads.entry(store_id).or_default();
                    load.adding = shift(load.adding);
                    // A peer that is there and catches up is counted with the store's regions already.
                    if index > 0 || !operator.has_landed {
                        load.regions += sign;
                        load.mebibytes += mebibytes;
                    }
                }
                Step::RemovePeer { store_id, .. } => {
                    let load = self.loads.entry(store_id).or_default();
                    load.removing = shift(load.removing);
                    load.regions -= sign;
                    load.mebibytes -= mebibytes;
                }
                Step::TransferLeader { from_store, to_store } => {
                    self.loads.entry(from_store).or_default().leaders -= sign;
                    self.loads.entry(to_store).or_default().leaders += sign;
                }
                Step::Promote { .. } | Step::Merge { .. } | Step::Split { .. } => {}
            }
        }
    }
}

/// Whether the limits let another operator of the kind begin.
pub(crate) fn has_room(ctx: &Context<'_>, kind: OperatorKind) -> bool {
    let limit = match kind {
        OperatorKind::Repair => ctx.config.repairs_max,
        OperatorKind::Region => ctx.config.moves_max,
        OperatorKind::Leader => ctx.config.leader_moves_max,
        OperatorKind::Hot => ctx.config.hot_moves_max,
        OperatorKind::Merge => ctx.config.merges_max,
        OperatorKind::Admin => usize::MAX,
    };
    ctx.operators.count(kind) < limit
}

/// Whether the stores can bear the steps beside what they are doing.
pub(crate) fn stores_have_room(ctx: &Context<'_>, view: &View<'_>, steps: &[Step]) -> bool {
    steps.iter().all(|step| match *step {
        Step::AddLearner { store_id, .. } => {
            // The leader sends the snapshot.
            let sending = view
                .leader_store()
                .and_then(|store_id| ctx.store(store_id)?.stats.as_ref())
                .map_or(0, |stats| stats.sending_snap_count);
            ctx.operators.load(store_id).adding < ctx.config.store_adds_max
                && sending < ctx.config.store_snapshots_max
        }
        Step::RemovePeer { store_id, .. } => {
            ctx.operators.load(store_id).removing < ctx.config.store_removes_max
        }
        Step::Promote { .. } | Step::TransferLeader { .. } | Step::Merge { .. } | Step::Split { .. } => true,
    })
}

pub(crate) fn merge_target(operator: &Operator) -> Option<u64> {
    match operator.steps.last() {
        Some(Step::Merge { target }) => Some(*target),
        _ => None,
    }
}
