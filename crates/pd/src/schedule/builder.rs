//! From the peers a region has to the peers it should have, in an order that is safe at every point.
//!
//! A newcomer is added before its predecessor is removed, so a region never has fewer voters than it had or should have; the leader is the last
//! to go, and gives its leadership away just before that.

use std::collections::BTreeMap;

use super::context::Context;
use super::operator::{Operator, OperatorKind, Step, View, is_learner};
use super::rules::ReplicaRole;

/// Ids for peers to come, taken from the allocator ahead of time: a decision cannot wait for the storage.
///
/// A store knows a later peer of a region by its greater id, so these are of use only until somebody else gets ids: a region may have been made
/// with them, and lose a peer, whose successor needs an id above it.
#[derive(Debug, Default)]
pub(crate) struct PeerIds {
    next: u64,
    end: u64,
    /// The greatest id that somebody else got.
    given_elsewhere: u64,
}

/// Ids that one operator may need.
const IDS_PER_OPERATOR_MAX: u64 = 16;
/// Ids taken at once.
pub(crate) const IDS_PER_REFILL: u32 = 64;

impl PeerIds {
    /// Whether an operator could be left without ids.
    pub(crate) fn are_low(&self) -> bool {
        self.end - self.next < IDS_PER_OPERATOR_MAX
    }

    /// Takes in fresh ids, of which the last is told.
    pub(crate) fn refill(&mut self, last: u64) {
        (self.next, self.end) = (last + 1 - u64::from(IDS_PER_REFILL), last + 1);
        self.note_elsewhere(self.given_elsewhere);
    }

    /// Takes in that somebody else got ids up to this one.
    pub(crate) fn note_elsewhere(&mut self, last: u64) {
        self.given_elsewhere = self.given_elsewhere.max(last);
        if self.next <= self.given_elsewhere {
            self.next = self.end;
        }
    }

    fn take(&mut self) -> Option<u64> {
        let id = (self.next < self.end).then_some(self.next)?;
        self.next += 1;
        Some(id)
    }
}

/// Where a region's peers are, by store.
pub(crate) type Layout = BTreeMap<u64, ReplicaRole>;

/// Where a region's peers are.
pub(crate) fn layout_of(view: &View<'_>) -> Layout {
    let role = |peer| if is_learner(peer) { ReplicaRole::Learner } else { ReplicaRole::Voter };
    view.region().peers.iter().map(|peer| (peer.store_id, role(peer))).collect()
}

/// The steps that lead to a layout; `None` if there is no safe way. A voter does not become a learner in one go.
pub(crate) fn steps_to(
    ctx: &Context<'_>,
    view: &View<'_>,
    wanted: &Layout,
    ids: &mut PeerIds,
) -> Option<Vec<Step>> {
    let present = layout_of(view);
    let mut steps = Vec::new();
    for (&store_id, role) in wanted {
        match (present.get(&store_id), role) {
            (Some(ReplicaRole::Learner), ReplicaRole::Voter) => {
                steps.push(Step::Promote { store_id, peer_id: view.peer_on(store_id)?.id });
            }
            (Some(ReplicaRole::Voter), ReplicaRole::Learner) => return None,
            _ => {}
        }
    }
    let leader_store = view.leader_store();
    let mut leavers: Vec<_> =
        view.region().peers.iter().filter(|peer| !wanted.contains_key(&peer.store_id)).collect();
    leavers.sort_by_key(|peer| (Some(peer.store_id) == leader_store, peer.store_id));
    let mut leavers = leavers.into_iter();
    let mut heir = view
        .heir(ctx, |store_id| wanted.get(&store_id) == Some(&ReplicaRole::Voter))
        .map(|peer| peer.store_id);
    let mut leave = |steps: &mut Vec<Step>, heir: Option<u64>| -> Option<()> {
        let Some(peer) = leavers.next() else { return Some(()) };
        if Some(peer.store_id) == leader_store {
            steps.push(Step::TransferLeader { from_store: peer.store_id, to_store: heir? });
        }
        steps.push(Step::RemovePeer { store_id: peer.store_id, peer_id: peer.id });
        Some(())
    };
    let newcomers: Vec<_> = wanted.iter().filter(|(store_id, _)| !present.contains_key(store_id)).collect();
    for (&store_id, role) in newcomers {
        let peer_id = ids.take()?;
        steps.push(Step::AddLearner { store_id, peer_id });
        if *role == ReplicaRole::Voter {
            steps.push(Step::Promote { store_id, peer_id });
            heir.get_or_insert(store_id);
        }
        leave(&mut steps, heir)?;
    }
    for _ in present.keys().filter(|store_id| !wanted.contains_key(store_id)) {
        leave(&mut steps, heir)?;
    }
    Some(steps)
}

/// An operator that begins.
pub(crate) fn operator(
    ctx: &Context<'_>,
    view: &View<'_>,
    kind: OperatorKind,
    reason: &'static str,
    steps: Vec<Step>,
) -> Operator {
    let leads_only = steps.iter().all(|step| matches!(step, Step::TransferLeader { .. }));
    let patience = if leads_only { ctx.config.leader_patience } else { ctx.config.peer_patience };
    Operator {
        region_id: view.region().id,
        kind,
        reason,
        steps,
        split_keys: Vec::new(),
        current: 0,
        has_landed: false,
        epoch: view.epoch(),
        mebibytes: ctx.cluster.regions.size_of(view.region().id),
        created_micros: ctx.now_micros,
        deadline_micros: ctx.now_micros.saturating_add(super::context::micros(patience)),
    }
}

/// An operator that moves the leader of a region to a store.
pub(crate) fn leader_to(
    ctx: &Context<'_>,
    view: &View<'_>,
    kind: OperatorKind,
    reason: &'static str,
    to_store: u64,
) -> Option<Operator> {
    let from_store = view.leader_store()?;
    Some(operator(ctx, view, kind, reason, vec![Step::TransferLeader { from_store, to_store }]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_has_a_greater_id_than_all_that_were_given_before_it() {
        let mut ids = PeerIds::default();
        ids.refill(IDS_PER_REFILL.into());
        assert_eq!(ids.take(), Some(1));
        // A split took some; then others are fetched.
        ids.note_elsewhere(70);
        assert!(ids.are_low());
        assert_eq!(ids.take(), None);
        ids.refill(70 + u64::from(IDS_PER_REFILL));
        assert_eq!(ids.take(), Some(71));
        // Fetched before, but arrived after, somebody else got some.
        ids.note_elsewhere(300);
        ids.refill(200);
        assert_eq!(ids.take(), None);
    }
}
