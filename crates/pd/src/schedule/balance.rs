//! Stores have similar numbers of regions (or as much data), and lead similar numbers of them.
//!
//! Each move makes two stores more even for their weights and leaves the region's peers as far apart as they were, so the sum of the squares of
//! what stores have, each divided by the store's weight, falls with each move: the balance comes to rest.

use super::builder::{self, PeerIds, layout_of};
use super::context::{Context, signed};
use super::operator::{Operator, OperatorKind, View, is_learner};
use super::repair;
use super::rules::{LabelConstraint, ReplicaRole};
use crate::config::BalanceBy;

/// Regions of one store that are looked at in one go.
const CANDIDATES_MAX: usize = 32;

/// Where the last look at a store's regions ended: the next begins there.
pub(crate) type Cursors = std::collections::BTreeMap<u64, u64>;

/// A region that should have a peer elsewhere.
pub(crate) fn region(ctx: &Context<'_>, cursors: &mut Cursors, ids: &mut PeerIds) -> Option<Operator> {
    let mut scores: Vec<_> = ctx.cluster.stores.keys().map(|id| (ctx.region_score(*id), *id)).collect();
    scores.sort_unstable_by_key(|(score, id)| (std::cmp::Reverse(*score), *id));
    let lowest = scores.iter().filter(|(_, id)| ctx.takes_peers(*id)).map(|(score, _)| *score).min()?;
    let tolerance = tolerance(ctx, 1);
    for (score, store_id) in
        scores.into_iter().take_while(|(score, _)| score.saturating_sub(lowest) >= tolerance)
    {
        let Some(regions) = ctx.cluster.regions.of_store(store_id) else { continue };
        if ctx.operators.load(store_id).removing >= ctx.config.store_removes_max {
            continue;
        }
        for region_id in next_of(&regions.peers, cursors.entry(store_id).or_default()) {
            if let Some(view) = movable(ctx, region_id)
                && let Some(operator) = move_peer(ctx, &view, store_id, score, ids)
            {
                return Some(operator);
            }
        }
    }
    None
}

/// A region that should be led from elsewhere.
pub(crate) fn leader(ctx: &Context<'_>, cursors: &mut Cursors) -> Option<Operator> {
    let mut scores: Vec<_> = ctx.cluster.stores.keys().map(|id| (ctx.leader_score(*id), *id)).collect();
    scores.sort_unstable_by_key(|(score, id)| (std::cmp::Reverse(*score), *id));
    let lowest = scores.iter().filter(|(_, id)| ctx.takes_leaders(*id)).map(|(score, _)| *score).min()?;
    let tolerance = signed(ctx.config.balance_tolerance.max(2));
    for (score, store_id) in
        scores.into_iter().take_while(|(score, _)| score.saturating_sub(lowest) >= tolerance)
    {
        let Some(regions) = ctx.cluster.regions.of_store(store_id) else { continue };
        for region_id in next_of(&regions.leaders, cursors.entry(store_id).or_default()) {
            let Some(view) = movable(ctx, region_id) else { continue };
            let after = ctx.leader_score_with(store_id, -1);
            let is_lower = |to: u64| {
                ctx.takes_leaders(to)
                    && score.saturating_sub(ctx.leader_score(to)) >= tolerance
                    && ctx.leader_score_with(to, 1) <= after
            };
            if let Some(heir) = view.heir(ctx, is_lower) {
                let reason = "its store leads more regions than others";
                return builder::leader_to(ctx, &view, OperatorKind::Leader, reason, heir.store_id);
            }
        }
    }
    None
}

/// Goes through the ids from where the last call ended, and around, a bounded number of them.
pub(crate) fn next_of(ids: &std::collections::BTreeSet<u64>, cursor: &mut u64) -> Vec<u64> {
    let after = ids.range(*cursor + 1..);
    let next: Vec<_> = after.chain(ids.range(..=*cursor)).take(CANDIDATES_MAX).copied().collect();
    *cursor = next.last().copied().unwrap_or_default();
    next
}

/// A region that balance may touch: nobody else does, it is well and not hot.
fn movable<'a>(ctx: &Context<'a>, region_id: u64) -> Option<View<'a>> {
    let view = ctx.view(region_id)?;
    let is_free = !ctx.operators.is_busy(region_id) && !ctx.statuses.is_hot(region_id);
    (is_free && view.is_settled()).then_some(view)
}

fn move_peer(
    ctx: &Context<'_>,
    view: &View<'_>,
    from: u64,
    score: i64,
    ids: &mut PeerIds,
) -> Option<Operator> {
    if !repair::is_whole(ctx, view) {
        return None;
    }
    let peer = view.peer_on(from)?;
    let others: Vec<_> =
        view.region().peers.iter().map(|peer| peer.store_id).filter(|store_id| *store_id != from).collect();
    let unit = ctx.region_unit(view.region().id);
    let tolerance = tolerance(ctx, unit);
    let after = ctx.region_score_with(from, -unit);
    let isolation = ctx.isolation(from, &others);
    let role = if is_learner(peer) { ReplicaRole::Learner } else { ReplicaRole::Voter };
    let target = ctx
        .cluster
        .stores
        .keys()
        .filter(|to| view.peer_on(**to).is_none() && ctx.takes_peers(**to))
        .filter(|to| fits_alike(ctx, view, role, from, **to))
        .filter(|to| ctx.isolation(**to, &others) >= isolation)
        .map(|to| (ctx.region_score(*to), *to))
        .filter(|(lower, to)| {
            score.saturating_sub(*lower) >= tolerance && ctx.region_score_with(*to, unit) <= after
        })
        .min()?
        .1;
    let mut layout = layout_of(view);
    layout.remove(&from);
    layout.insert(target, role);
    let steps = builder::steps_to(ctx, view, &layout, ids)?;
    Some(builder::operator(ctx, view, OperatorKind::Region, "its store has more than others", steps))
}

/// Whether a peer may be on one store as well as on the other. It may belong to any rule of its role that its store fits: the other one must
/// fit the same ones.
pub(super) fn fits_alike(ctx: &Context<'_>, view: &View<'_>, role: ReplicaRole, from: u64, to: u64) -> bool {
    let wanted = ctx.cluster.rules.wanted(&view.region().start_key, ctx.replication.max_replicas);
    let accepts = |constraint: &LabelConstraint, store_id: u64| {
        ctx.store(store_id).is_some_and(|record| constraint.accepts(&record.store))
    };
    wanted
        .iter()
        .filter(|rule| rule.role == role)
        .flat_map(|rule| rule.constraints)
        .all(|constraint| !accepts(constraint, from) || accepts(constraint, to))
}

/// By how much stores must differ before something of this weight moves; with less than twice the weight they would change places.
fn tolerance(ctx: &Context<'_>, weight: i64) -> i64 {
    let base = signed(ctx.config.balance_tolerance.max(2));
    match ctx.config.balance_by {
        BalanceBy::Count => base,
        BalanceBy::Size => base.saturating_mul(weight),
    }
}
