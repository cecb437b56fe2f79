//! Operators that somebody asks for by hand: limits do not hold for them, what is safe does.

use bytes::Bytes;
use tidewater_codec::EncodedKey;
use tidewater_proto::metapb;

use super::builder::{self, PeerIds};
use super::context::Context;
use super::merge::follow_the_same_rules;
use super::operator::{Operator, OperatorKind, SplitPolicy, Step, View, is_voter};
use super::repair;
use super::rules::ReplicaRole;
use crate::OperatorError;

const REASON: &str = "asked for by hand";

/// What somebody asks for by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wish {
    TransferLeader { to_store: u64 },
    AddPeer { store_id: u64, role: ReplicaRole },
    RemovePeer { store_id: u64 },
    TransferPeer { from_store: u64, to_store: u64 },
    Merge { target: u64 },
    Split { policy: SplitPolicy, keys: Vec<Bytes> },
}

/// The operator that brings a region there.
pub(crate) fn plan(
    ctx: &Context<'_>,
    region_id: u64,
    wish: Wish,
    ids: &mut PeerIds,
) -> Result<Operator, OperatorError> {
    let view = free_region(ctx, region_id)?;
    let mut layout = builder::layout_of(&view);
    let no_peer = |store_id| OperatorError::NoSuchPeer { region_id, store_id };
    let unfit = |store_id| OperatorError::StoreUnfit { region_id, store_id };
    match wish {
        Wish::TransferLeader { to_store } => {
            let peer = view.peer_on(to_store).filter(|peer| is_voter(peer)).ok_or(no_peer(to_store))?;
            if !ctx.is_healthy(to_store) || !view.is_caught_up(peer) {
                return Err(unfit(to_store));
            }
            return builder::leader_to(ctx, &view, OperatorKind::Admin, REASON, to_store)
                .ok_or(no_peer(to_store));
        }
        Wish::AddPeer { store_id, role } => {
            if layout.insert(store_id, role).is_some() || !ctx.is_healthy(store_id) {
                return Err(unfit(store_id));
            }
        }
        Wish::RemovePeer { store_id } => {
            layout.remove(&store_id).ok_or(no_peer(store_id))?;
            let peer = view.peer_on(store_id).ok_or(no_peer(store_id))?;
            if is_voter(peer) && !view.survives_without(ctx, peer.id) {
                return Err(OperatorError::Unsafe { region_id });
            }
        }
        Wish::TransferPeer { from_store, to_store } => {
            let role = layout.remove(&from_store).ok_or(no_peer(from_store))?;
            // A region that has a peer there already would lose one in place of moving it.
            if layout.insert(to_store, role).is_some() || from_store == to_store || !ctx.is_healthy(to_store)
            {
                return Err(unfit(to_store));
            }
        }
        Wish::Merge { target } => return merge(ctx, &view, target, ids),
        Wish::Split { policy, keys } => return split(ctx, &view, policy, keys),
    }
    let steps = builder::steps_to(ctx, &view, &layout, ids).ok_or(OperatorError::NoWay { region_id })?;
    Ok(builder::operator(ctx, &view, OperatorKind::Admin, REASON, steps))
}

/// A region that nothing is under way with.
fn free_region<'a>(ctx: &Context<'a>, region_id: u64) -> Result<View<'a>, OperatorError> {
    let view = ctx.view(region_id).ok_or(OperatorError::RegionNotFound { region_id })?;
    match ctx.operators.is_busy(region_id) {
        true => Err(OperatorError::Busy { region_id }),
        false => Ok(view),
    }
}

/// The peers of the one that goes are brought to where those of the other one are. Unlike the driver by itself, people may merge regions of any
/// size and of different tables.
fn merge(
    ctx: &Context<'_>,
    view: &View<'_>,
    target: u64,
    ids: &mut PeerIds,
) -> Result<Operator, OperatorError> {
    let region_id = view.region().id;
    let neighbor = free_region(ctx, target)?;
    let is_before = |one: &metapb::Region, other: &metapb::Region| {
        !one.end_key.is_empty() && one.end_key == other.start_key
    };
    let (source, into) = (view.region(), neighbor.region());
    let are_neighbors = is_before(source, into) || is_before(into, source);
    if !are_neighbors || !follow_the_same_rules(ctx, view, &neighbor) {
        return Err(OperatorError::NotNeighbors { region_id, target });
    }
    for side in [view, &neighbor] {
        if !side.is_settled() || !repair::is_whole(ctx, side) {
            return Err(OperatorError::Unsettled { region_id: side.region().id });
        }
    }
    let layout = builder::layout_of(&neighbor);
    let unfit = layout.keys().find(|id| view.peer_on(**id).is_none() && !ctx.is_healthy(**id));
    if let Some(&store_id) = unfit {
        return Err(OperatorError::StoreUnfit { region_id, store_id });
    }
    let mut steps = builder::steps_to(ctx, view, &layout, ids).ok_or(OperatorError::NoWay { region_id })?;
    steps.push(Step::Merge { target });
    Ok(builder::operator(ctx, view, OperatorKind::Admin, REASON, steps))
}

fn split(
    ctx: &Context<'_>,
    view: &View<'_>,
    policy: SplitPolicy,
    keys: Vec<Bytes>,
) -> Result<Operator, OperatorError> {
    let region = view.region();
    let is_inside = |key: &Bytes| {
        *key > region.start_key
            && (region.end_key.is_empty() || *key < region.end_key)
            && EncodedKey::from_encoded(key.to_vec()).decode().is_ok()
    };
    let needs_keys = policy == SplitPolicy::UseKey;
    if keys.is_empty() == needs_keys || !keys.iter().all(is_inside) {
        return Err(OperatorError::SplitKey { region_id: region.id });
    }
    let step = Step::Split { policy, version: view.epoch().0 };
    let operator = builder::operator(ctx, view, OperatorKind::Admin, REASON, vec![step]);
    Ok(Operator { split_keys: keys, ..operator })
}
