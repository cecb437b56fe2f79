//! Whether a region has the peers that the rules ask for, and what to do first if not.
//!
//! The peers are dealt out to the rules, the healthy ones first. What then is wrong is mended one thing at a time, by urgency: a missing peer is
//! added, a bad one (its store is lost, silent for long, or leaving, or it is damaged) is replaced, a superfluous one removed, one in a poor place
//! moved. A damaged one that has no other store to go to is removed first: then one is missing, and its store gets it anew. Each repair brings the region nearer to its rules, or its peers further apart, so repairs come to an end.
//!
//! What we leave out: voters that should be learners are replaced, not demoted, so on a cluster without a free store they stay voters.

use tidewater_proto::metapb;

use super::builder::{self, Layout, PeerIds, layout_of};
use super::context::{Context, micros};
use super::operator::{Operator, OperatorKind, View, is_learner, is_voter};
use super::rules::{ReplicaRole, Wanted};

/// How often it is looked at whether the peers of a region could be further apart: the one question that goes through all stores.
const LOCATION_INTERVAL_MICROS: i64 = 10_000_000;

/// What is wrong and what the region should look like next.
struct Repair {
    reason: &'static str,
    layout: Layout,
}

/// One rule with the peers that were dealt to it.
struct Dealt<'a> {
    wanted: Wanted<'a>,
    good: Vec<&'a metapb::Peer>,
    bad: Vec<&'a metapb::Peer>,
}

impl Dealt<'_> {
    fn missing(&self) -> usize {
        self.wanted.count - self.good.len() - self.bad.len()
    }
}

/// The first repair that a region needs and that can be done.
pub(crate) fn check(ctx: &Context<'_>, view: &View<'_>, ids: &mut PeerIds) -> Option<Operator> {
    if view.record.leader.is_none()
        || !view.region().peers.iter().all(|peer| is_voter(peer) || is_learner(peer))
    {
        return None;
    }
    let (dealt, spare) = deal(ctx, view);
    let repair = add_missing(ctx, view, &dealt, &spare)
        .or_else(|| replace_bad(ctx, view, &dealt, &spare))
        .or_else(|| remove_damaged(ctx, view, &dealt))
        .or_else(|| remove_spare(ctx, view, &dealt, &spare))
        .or_else(|| move_apart(ctx, view, &dealt))?;
    let steps = builder::steps_to(ctx, view, &repair.layout, ids)?;
    Some(builder::operator(ctx, view, OperatorKind::Repair, repair.reason, steps))
}

/// Whether the region has exactly the peers that the rules ask for, all of them good.
pub(crate) fn is_whole(ctx: &Context<'_>, view: &View<'_>) -> bool {
    let (dealt, spare) = deal(ctx, view);
    spare.is_empty() && dealt.iter().all(|dealt| dealt.missing() == 0 && dealt.bad.is_empty())
}

/// Whether the region at rest could have its peers further apart and has not been asked about it lately.
pub(crate) fn is_location_due(ctx: &Context<'_>, view: &View<'_>) -> bool {
    !ctx.replication.location_labels.is_empty()
        && ctx.now_micros.saturating_sub(view.status.location_checked_micros) >= LOCATION_INTERVAL_MICROS
}

/// Whether a peer is where it may stay.
fn is_good(ctx: &Context<'_>, view: &View<'_>, peer: &metapb::Peer) -> bool {
    let down_max = ctx.config.store_down_max.as_secs();
    let is_down_long = view.status.down.iter().any(|(id, seconds)| *id == peer.id && *seconds > down_max);
    !is_down_long
        && !ctx.is_lost(peer.store_id)
        && !ctx.is_leaving(peer.store_id)
        && !ctx.is_damaged(view.region().id, peer)
}

/// Whether a newcomer has not caught up for so long that another one elsewhere is the better hope.
fn is_stuck(ctx: &Context<'_>, view: &View<'_>, peer: &metapb::Peer) -> bool {
    let since = view.status.pending_since(peer.id);
    since.is_some_and(|since| ctx.now_micros.saturating_sub(since) > micros(ctx.config.store_down_max))
}

/// Deals the peers to the rules; those that no rule takes are spare.
fn deal<'a>(ctx: &Context<'a>, view: &View<'a>) -> (Vec<Dealt<'a>>, Vec<&'a metapb::Peer>) {
    let mut spare: Vec<_> = view.region().peers.iter().collect();
    // Of two that would do, the one that keeps up stays, and the leader before others.
    spare.sort_by_key(|peer| {
        let is_leader = Some(peer.store_id) == view.leader_store();
        (!is_good(ctx, view, peer), !view.is_caught_up(peer), !is_leader, peer.id)
    });
    let mut dealt = Vec::new();
    for wanted in ctx.cluster.rules.wanted(&view.region().start_key, ctx.replication.max_replicas) {
        let mut taken = Dealt { wanted, good: Vec::new(), bad: Vec::new() };
        spare.retain(|peer| {
            let fits = is_learner(peer) == (wanted.role == ReplicaRole::Learner)
                && ctx.store(peer.store_id).is_none_or(|record| {
                    wanted.constraints.iter().all(|constraint| constraint.accepts(&record.store))
                });
            if !fits || taken.missing() == 0 {
                return true;
            }
            match is_good(ctx, view, peer) {
                true => taken.good.push(peer),
                false => taken.bad.push(peer),
            }
            false
        });
        dealt.push(taken);
    }
    (dealt, spare)
}

fn add_missing(
    ctx: &Context<'_>,
    view: &View<'_>,
    dealt: &[Dealt<'_>],
    spare: &[&metapb::Peer],
) -> Option<Repair> {
    let short = dealt.iter().find(|dealt| dealt.missing() > 0)?;
    let mut layout = layout_of(view);
    place(ctx, view, short, spare, None, &mut layout)?;
    Some(Repair { reason: "a peer is missing", layout })
}

fn replace_bad(
    ctx: &Context<'_>,
    view: &View<'_>,
    dealt: &[Dealt<'_>],
    spare: &[&metapb::Peer],
) -> Option<Repair> {
    dealt.iter().find_map(|dealt| {
        let bad = dealt.bad.first()?;
        let mut layout = layout_of(view);
        place(ctx, view, dealt, spare, Some(bad), &mut layout)?;
        layout.remove(&bad.store_id);
        let reason = if ctx.is_damaged(view.region().id, bad) {
            "a peer is damaged"
        } else if ctx.is_leaving(bad.store_id) {
            "a peer's store is to be emptied"
        } else {
            "a peer's store is lost"
        };
        Some(Repair { reason, layout })
    })
}

/// Where there is no other store for its successor, a damaged peer goes first, if all others are well.
fn remove_damaged(ctx: &Context<'_>, view: &View<'_>, dealt: &[Dealt<'_>]) -> Option<Repair> {
    let bad = dealt.iter().flat_map(|dealt| &dealt.bad);
    let mut damaged = bad.filter(|peer| ctx.is_damaged(view.region().id, peer));
    let worst = damaged.find(|peer| is_learner(peer) || view.survives_without(ctx, peer.id))?;
    let mut layout = layout_of(view);
    layout.remove(&worst.store_id);
    Some(Repair { reason: "a damaged peer makes room for another", layout })
}

/// Puts one more peer of a rule into the layout: a learner that was left over, or a newcomer.
fn place(
    ctx: &Context<'_>,
    view: &View<'_>,
    dealt: &Dealt<'_>,
    spare: &[&metapb::Peer],
    instead_of: Option<&metapb::Peer>,
    layout: &mut Layout,
) -> Option<()> {
    let Wanted { role, constraints, .. } = dealt.wanted;
    let fits = |peer: &metapb::Peer| {
        is_learner(peer)
            && is_good(ctx, view, peer)
            && !is_stuck(ctx, view, peer)
            && ctx.is_healthy(peer.store_id)
            && ctx
                .store(peer.store_id)
                .is_some_and(|record| constraints.iter().all(|constraint| constraint.accepts(&record.store)))
    };
    if role == ReplicaRole::Voter
        && let Some(learner) = spare.iter().find(|peer| fits(peer))
    {
        // While it has not caught up there is nothing better to do than wait: another newcomer would be later still.
        view.is_caught_up(learner).then(|| layout.insert(learner.store_id, role))?;
        return Some(());
    }
    let others: Vec<_> = view
        .region()
        .peers
        .iter()
        .filter(|peer| instead_of.is_none_or(|leaver| leaver.id != peer.id))
        .map(|peer| peer.store_id)
        .collect();
    let target = ctx.best_target(view, &others, constraints, 0)?;
    layout.insert(target, role);
    Some(())
}

fn remove_spare(
    ctx: &Context<'_>,
    view: &View<'_>,
    dealt: &[Dealt<'_>],
    spare: &[&metapb::Peer],
) -> Option<Repair> {
    let is_short = dealt.iter().any(|dealt| dealt.missing() > 0);
    let mut layout = layout_of(view);
    let may_go = |peer: &metapb::Peer| !is_short || !is_good(ctx, view, peer) || is_stuck(ctx, view, peer);
    if let Some(learner) = spare.iter().find(|peer| is_learner(peer) && may_go(peer)) {
        layout.remove(&learner.store_id);
        return Some(Repair { reason: "a learner was left over", layout });
    }
    // Where a rule is short of voters, a voter too many is better than one too few.
    let is_short_of_voters =
        dealt.iter().any(|dealt| dealt.wanted.role == ReplicaRole::Voter && dealt.missing() > 0);
    // Good ones come first, and of those the ones that keep up, so the last one can be spared best.
    let voter = spare.iter().rev().find(|peer| is_voter(peer)).filter(|_| !is_short_of_voters)?;
    let survivors: Vec<_> = view.voters().collect();
    // Of several good ones the one goes that adds least to the distance.
    let worst = match is_good(ctx, view, voter) && view.is_caught_up(voter) {
        true => crowded(ctx, dealt, spare, &survivors).unwrap_or(voter),
        false => voter,
    };
    if !view.survives_without(ctx, worst.id) {
        return None;
    }
    layout.remove(&worst.store_id);
    Some(Repair { reason: "there is a peer too many", layout })
}

/// The voter that is nearest to the others, among the spare ones and those of rules that take any store.
fn crowded<'a>(
    ctx: &Context<'_>,
    dealt: &[Dealt<'a>],
    spare: &[&'a metapb::Peer],
    voters: &[&metapb::Peer],
) -> Option<&'a metapb::Peer> {
    let stores: Vec<_> = voters.iter().map(|peer| peer.store_id).collect();
    let free = dealt.iter().filter(|dealt| dealt.wanted.constraints.is_empty());
    free.flat_map(|dealt| dealt.good.iter())
        .chain(spare)
        .filter(|peer| is_voter(peer))
        .min_by_key(|peer| {
            let score = ctx.region_score(peer.store_id);
            (ctx.isolation(peer.store_id, &stores), std::cmp::Reverse(score), peer.id)
        })
        .copied()
}

/// Whether a peer has a better place elsewhere.
fn move_apart(ctx: &Context<'_>, view: &View<'_>, dealt: &[Dealt<'_>]) -> Option<Repair> {
    if !is_location_due(ctx, view) || !view.is_settled() {
        return None;
    }
    let stores: Vec<_> = view.region().peers.iter().map(|peer| peer.store_id).collect();
    let isolation_max = ctx.distance_max().saturating_mul(stores.len() as u64 - 1);
    for dealt in dealt {
        let mut peers: Vec<_> =
            dealt.good.iter().map(|peer| (ctx.isolation(peer.store_id, &stores), peer.id, *peer)).collect();
        peers.sort_by_key(|(isolation, id, _)| (*isolation, *id));
        for (isolation, _, peer) in peers.into_iter().filter(|(isolation, ..)| *isolation < isolation_max) {
            let others: Vec<_> =
                stores.iter().copied().filter(|store_id| *store_id != peer.store_id).collect();
            if let Some(target) = ctx.best_target(view, &others, dealt.wanted.constraints, isolation + 1) {
                let mut layout = layout_of(view);
                layout.remove(&peer.store_id);
                layout.insert(target, dealt.wanted.role);
                return Some(Repair { reason: "the peers could be further apart", layout });
            }
        }
    }
    None
}
