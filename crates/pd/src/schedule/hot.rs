//! Leaders of hot regions leave stores that have more of the load than others.
//!
//! Only leaders move, not their followers: reads go to leaders, and the work of a write is mostly theirs. A hot region is not split.

use super::builder;
use super::context::{Context, signed};
use super::operator::{Operator, OperatorKind, Step};

/// Hot regions of one store that are looked at in one go.
const CANDIDATES_MAX: usize = 16;
/// A leader that was moved for its heat stays for so long: loads take time to show.
const REST_MICROS: i64 = 60_000_000;

/// A hot region that should be led from elsewhere.
pub(crate) fn leader(ctx: &Context<'_>) -> Option<Operator> {
    let mut loads: Vec<_> = ctx
        .cluster
        .stores
        .keys()
        .filter(|id| ctx.is_healthy(**id))
        .map(|id| (load_of(ctx, *id), *id))
        .collect();
    let mean = loads.iter().map(|(load, _)| *load).sum::<i64>()
        / i64::try_from(loads.len()).ok().filter(|n| *n > 0)?;
    let most = mean.saturating_add(mean.saturating_mul(signed(ctx.config.hot_tolerance_percent)) / 100);
    loads.sort_unstable_by_key(|(load, id)| (std::cmp::Reverse(*load), *id));
    for (load, store_id) in loads.into_iter().take_while(|(load, _)| *load > most) {
        for (region_id, heat) in ctx.statuses.hottest(store_id).take(CANDIDATES_MAX) {
            let (Some(view), heat) = (ctx.view(region_id), signed(heat)) else { continue };
            let rests = view.status.hot_moved_micros != 0
                && ctx.now_micros.saturating_sub(view.status.hot_moved_micros) < REST_MICROS;
            if ctx.operators.is_busy(region_id) || rests {
                continue;
            }
            // It must be better for both, or the same region would go to and fro.
            let coolest = view
                .voters()
                .filter(|peer| {
                    peer.store_id != store_id && view.is_caught_up(peer) && ctx.takes_leaders(peer.store_id)
                })
                .map(|peer| (load_of(ctx, peer.store_id), peer.store_id))
                .filter(|(other, _)| other + heat < load)
                .min();
            if let Some((_, to_store)) = coolest {
                return builder::leader_to(
                    ctx,
                    &view,
                    OperatorKind::Hot,
                    "its store is hotter than others",
                    to_store,
                );
            }
        }
    }
    None
}

/// The hot load that a store leads, once the running operators are through.
fn load_of(ctx: &Context<'_>, store_id: u64) -> i64 {
    let moving = ctx.operators.of_kind(OperatorKind::Hot).filter_map(|operator| {
        let heat = signed(ctx.statuses.get(operator.region_id)?.load());
        match operator.rest().first()? {
            Step::TransferLeader { to_store, .. } if *to_store == store_id => Some(heat),
            Step::TransferLeader { from_store, .. } if *from_store == store_id => Some(-heat),
            _ => None,
        }
    });
    signed(ctx.statuses.hot_load(store_id)) + moving.sum::<i64>()
}
