//! Regions that belong together are spread over the stores at once: new parts of a table, before rows come to them.
//!
//! Balance makes even what stores have in all, so it may leave all regions of one table where they were cut out. Here each group of regions is
//! counted for itself: the peers of a region go to the stores that have the fewest of its group, and its leader to the one that leads the fewest
//! (PD's `RegionScatterer`). A region waits until it has reported itself and is well; its way is planned when it reports itself, for only then can
//! it hear of it.
//!
//! What is counted is what was planned. A region whose way fails is counted where it should be, and balance looks after it.

use std::collections::{BTreeMap, BTreeSet};

use super::balance::fits_alike;
use super::builder::{self, Layout, PeerIds, layout_of};
use super::context::Context;
use super::operator::{Operator, OperatorKind, Step, View};
use super::repair;
use super::rules::ReplicaRole;

/// PD's name for such an operator; clients that wait for its end look for it.
pub(crate) const REASON: &str = "scatter-region";
/// Regions that wait, at most.
const WAITING_MAX: usize = 16_384;
/// How long a region is waited for that has not reported itself or is not well.
const PATIENCE_MICROS: i64 = 120_000_000;
/// Operators that run at the same time. New regions are small: limits that are made for snapshots would only make clients wait.
const RUNNING_MAX: usize = 256;
/// A group that nobody has named for so long is forgotten.
const GROUP_MICROS: i64 = 180_000_000;
/// Groups that are remembered.
const GROUPS_MAX: usize = 1_024;

/// Groups with what was planned for them, and the regions that wait.
#[derive(Debug, Default)]
pub(crate) struct Scatterer {
    groups: BTreeMap<String, Group>,
    waiting: BTreeMap<u64, Waiting>,
}

#[derive(Debug)]
struct Waiting {
    group: String,
    deadline_micros: i64,
}

/// How many peers and leaders of a group each store was given.
#[derive(Debug, Default)]
struct Group {
    peers: BTreeMap<u64, u64>,
    leaders: BTreeMap<u64, u64>,
    used_micros: i64,
}

/// What becomes of a region that waits.
#[derive(Debug)]
pub(crate) enum Plan {
    /// It is not well yet, or too many others are on their way.
    Wait,
    /// It is where it should be.
    Stay(Layout, u64),
    /// It goes there.
    Go(Operator, Layout, u64),
}

impl Scatterer {
    /// Has a region wait for its turn; `false` if too many do.
    pub(crate) fn ask(&mut self, region_id: u64, group: &str, now_micros: i64) -> bool {
        if self.waiting.len() >= WAITING_MAX && !self.waiting.contains_key(&region_id) {
            return false;
        }
        let deadline_micros = now_micros.saturating_add(PATIENCE_MICROS);
        self.waiting.insert(region_id, Waiting { group: group.to_owned(), deadline_micros });
        true
    }

    pub(crate) fn is_waiting(&self, region_id: u64) -> bool {
        self.waiting.contains_key(&region_id)
    }

    pub(crate) fn forget(&mut self, region_id: u64) {
        self.waiting.remove(&region_id);
    }

    /// Gives up regions that have not come in time, and groups that nobody has named for long.
    pub(crate) fn expire(&mut self, now_micros: i64) {
        self.waiting.retain(|_, waiting| waiting.deadline_micros > now_micros);
        let waiting: BTreeSet<_> = self.waiting.values().map(|waiting| waiting.group.as_str()).collect();
        self.groups.retain(|name, group| {
            waiting.contains(name.as_str()) || now_micros.saturating_sub(group.used_micros) < GROUP_MICROS
        });
    }

    /// Where a region that waits should go.
    pub(crate) fn plan(&self, ctx: &Context<'_>, view: &View<'_>, ids: &mut PeerIds) -> Plan {
        let running = ctx.operators.of_kind(OperatorKind::Admin).filter(|operator| operator.reason == REASON);
        let (Some(waiting), Some(leader)) = (self.waiting.get(&view.region().id), view.leader_store()) else {
            return Plan::Wait;
        };
        if running.count() >= RUNNING_MAX || !view.is_settled() || !repair::is_whole(ctx, view) {
            return Plan::Wait;
        }
        let nothing = Group::default();
        let group = self.groups.get(&waiting.group).unwrap_or(&nothing);
        let layout = group.layout(ctx, view);
        let heir = group.leader(ctx, &layout, leader);
        let Some(mut steps) = builder::steps_to(ctx, view, &layout, ids) else { return Plan::Wait };
        let led_by = steps.iter().fold(leader, |before, step| match step {
            Step::TransferLeader { to_store, .. } => *to_store,
            _ => before,
        });
        if led_by != heir {
            steps.push(Step::TransferLeader { from_store: led_by, to_store: heir });
        }
        match steps.is_empty() {
            true => Plan::Stay(layout, heir),
            false => {
                let operator = builder::operator(ctx, view, OperatorKind::Admin, REASON, steps);
                Plan::Go(operator, layout, heir)
            }
        }
    }

    /// A region has been planned for: it waits no longer, and counts where it will be.
    pub(crate) fn note_planned(&mut self, region_id: u64, layout: &Layout, leader: u64, now_micros: i64) {
        let Some(Waiting { group, .. }) = self.waiting.remove(&region_id) else { return };
        if self.groups.len() >= GROUPS_MAX && !self.groups.contains_key(&group) {
            let oldest = self.groups.iter().min_by_key(|(_, group)| group.used_micros);
            if let Some(oldest) = oldest.map(|(name, _)| name.clone()) {
                self.groups.remove(&oldest);
            }
        }
        let group = self.groups.entry(group).or_default();
        group.used_micros = now_micros;
        for store_id in layout.keys() {
            *group.peers.entry(*store_id).or_default() += 1;
        }
        *group.leaders.entry(leader).or_default() += 1;
    }
}

impl Group {
    fn peers_on(&self, store_id: u64) -> u64 {
        self.peers.get(&store_id).copied().unwrap_or_default()
    }

    /// The stores that the region's peers should be on: as far apart as they can be, then those with the fewest peers of the group.
    fn layout(&self, ctx: &Context<'_>, view: &View<'_>) -> Layout {
        let present = layout_of(view);
        let mut layout = Layout::new();
        for (&from, &role) in &present {
            let chosen: Vec<_> = layout.keys().copied().collect();
            let may_take = |to: u64| match present.get(&to) {
                // A voter does not become a learner, nor the other way round.
                Some(there) => *there == role,
                None => ctx.is_fit(to),
            };
            let best = ctx
                .cluster
                .stores
                .keys()
                .copied()
                .filter(|to| !layout.contains_key(to) && may_take(*to))
                .filter(|to| *to == from || fits_alike(ctx, view, role, from, *to))
                .min_by_key(|to| {
                    let isolation = std::cmp::Reverse(ctx.isolation(*to, &chosen));
                    (isolation, self.peers_on(*to), !present.contains_key(to), ctx.region_score(*to), *to)
                });
            layout.insert(best.unwrap_or(from), role);
        }
        match layout.len() == present.len() {
            true => layout,
            // A peer without a choice wanted the place that another one had taken.
            false => present,
        }
    }

    /// The store of a layout that leads the fewest regions of the group; the one that leads now, if all are alike.
    fn leader(&self, ctx: &Context<'_>, layout: &Layout, current: u64) -> u64 {
        let voters = layout.iter().filter(|(_, role)| **role == ReplicaRole::Voter).map(|(id, _)| *id);
        let best = voters.filter(|id| ctx.takes_leaders(*id)).min_by_key(|id| {
            let leads = self.leaders.get(id).copied().unwrap_or_default();
            (leads, *id != current, ctx.leader_score(*id), *id)
        });
        best.or_else(|| layout.contains_key(&current).then_some(current))
            .or_else(|| layout.keys().next().copied())
            .unwrap_or(current)
    }
}
