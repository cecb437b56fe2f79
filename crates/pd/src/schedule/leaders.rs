//! Stores that are to lead no regions: somebody said so, or they are slow.

use super::balance::{Cursors, next_of};
use super::builder;
use super::context::Context;
use super::operator::{Operator, OperatorKind};
use crate::ScheduleConfig;
use crate::cluster::Cluster;

/// A region led from one of these stores that can be led from elsewhere.
pub(crate) fn evict(
    ctx: &Context<'_>,
    stores: impl IntoIterator<Item = u64>,
    reason: &'static str,
    cursors: &mut Cursors,
) -> Option<Operator> {
    for store_id in stores {
        let Some(regions) = ctx.cluster.regions.of_store(store_id) else { continue };
        for region_id in next_of(&regions.leaders, cursors.entry(store_id).or_default()) {
            if ctx.operators.is_busy(region_id) {
                continue;
            }
            let Some(view) = ctx.view(region_id) else { continue };
            if let Some(heir) = view.heir(ctx, |to| ctx.takes_leaders(to)) {
                return builder::leader_to(ctx, &view, OperatorKind::Leader, reason, heir.store_id);
            }
        }
    }
    None
}

/// The store that counts as slow, given the one that did.
///
/// One at most: where many are slow, moving leaders between them would only add to their work.
pub(crate) fn slow_store(config: &ScheduleConfig, cluster: &Cluster, before: Option<u64>) -> Option<u64> {
    let score = |store_id: u64| {
        let stats = cluster.stores.get(&store_id)?.stats.as_ref()?;
        Some(stats.slow_score)
    };
    let is_slow = |id: u64, from: u64| score(id).is_some_and(|score| score >= from);
    let mut slow = cluster.stores.keys().copied().filter(|id| {
        // Once slow, a store has to become much better to count as well again.
        is_slow(*id, config.slow_score_evict)
            || before == Some(*id) && is_slow(*id, config.slow_score_recover.saturating_add(1))
    });
    let first = slow.next();
    first.filter(|_| slow.next().is_none())
}
