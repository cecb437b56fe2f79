//! Small regions become parts of their neighbors: both get peers on the same stores first, then the smaller one goes.
//!
//! Who is small, and which neighbor fits, is judged as for regions without replicas ([`crate::merge`]).

use super::builder::{self, PeerIds, layout_of};
use super::context::Context;
use super::operator::{Operator, OperatorKind, Step, View};
use super::repair;
use crate::merge::Merges;

/// What should become of the region that reports itself, if it is small and whole.
pub(crate) fn check(
    ctx: &Context<'_>,
    view: &View<'_>,
    merges: &Merges,
    ids: &mut PeerIds,
) -> Option<Operator> {
    if ctx.config.merge_region_bytes_max == 0 || ctx.config.merge_region_keys_max == 0 || !view.is_settled() {
        return None;
    }
    // What does much may have been cut for it, and is better led from two stores.
    if ctx.statuses.is_hot(view.region().id) {
        return None;
    }
    let partners = merges.partners(ctx.config, ctx.cluster, view.record, ctx.now_micros);
    if partners.is_empty() || !repair::is_whole(ctx, view) {
        return None;
    }
    partners.into_iter().find_map(|target| {
        let neighbor = ctx.view(target)?;
        let is_free = !ctx.operators.is_busy(target) && !ctx.statuses.is_hot(target);
        let is_ready = is_free && neighbor.is_settled() && repair::is_whole(ctx, &neighbor);
        if !is_ready || !follow_the_same_rules(ctx, view, &neighbor) {
            return None;
        }
        let layout = layout_of(&neighbor);
        // The peers of the one that goes are moved: all places must take one, for the way there has no other end.
        if layout.keys().any(|store_id| view.peer_on(*store_id).is_none() && !ctx.takes_peers(*store_id)) {
            return None;
        }
        let mut steps = builder::steps_to(ctx, view, &layout, ids)?;
        steps.push(Step::Merge { target });
        Some(builder::operator(ctx, view, OperatorKind::Merge, "it is small, and so is its neighbor", steps))
    })
}

/// Where rules differ the border between two regions stays.
pub(super) fn follow_the_same_rules(ctx: &Context<'_>, one: &View<'_>, other: &View<'_>) -> bool {
    let rules = |view: &View<'_>| -> Vec<_> {
        let wanted = ctx.cluster.rules.wanted(&view.region().start_key, ctx.replication.max_replicas);
        wanted.into_iter().map(|rule| (rule.role, rule.count, rule.constraints.to_vec())).collect()
    };
    rules(one) == rules(other)
}
