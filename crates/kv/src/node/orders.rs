//! What the placement driver orders the leaders of replicated regions to do, and handing over before the store stops.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tidewater_proto::pdpb;
use tidewater_raft::{Group, GroupError, Membership, Role};

use super::{Node, replicas::Event};
use crate::{region::Region, replica::Lead};

/// How long a leader looks after a new member, and how often; later, regular reports tell.
const NEWCOMER_PATIENCE: Duration = Duration::from_secs(60);
const NEWCOMER_LOOK: Duration = Duration::from_millis(50);
/// Between looks at whether others lead what was handed over.
const HAND_OVER_LOOK: Duration = Duration::from_millis(100);
/// A member that has been silent for this long does not count when a change needs a majority.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(2);
/// A learner that is this many entries behind, at most, may vote.
const PROMOTION_LAG: u64 = 128;

impl Node {
    /// Hands the regions that are led here to other members, and waits until they have them, or for as long as given.
    pub async fn hand_over(&self, patience: Duration) {
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            let led: Vec<_> =
                self.regions.all().into_iter().filter_map(|region| region.lead.clone()).collect();
            let mut waits_for = 0;
            for Lead { group, .. } in led {
                let silent = group.silent_members(SILENCE_MAX);
                let members = group.status().membership;
                let fit = members.members.keys().find(|peer| {
                    **peer != group.peer_id()
                        && members.is_voter(**peer)
                        && group.is_caught_up(**peer, PROMOTION_LAG)
                        && !silent.iter().any(|(silent, _)| silent == *peer)
                });
                if let Some(peer) = fit {
                    waits_for += 1;
                    if let Err(error) = group.transfer_leader(*peer).await {
                        tracing::info!(region = group.id(), %error, "the region is not handed over");
                    }
                }
            }
            if waits_for == 0 || tokio::time::Instant::now() >= deadline {
                return;
            }
            tokio::time::sleep(HAND_OVER_LOOK).await;
        }
    }

    /// Carries out an order for a region that is led here, in the background.
    pub(super) fn obey_as_leader(
        &self,
        region: &Arc<Region>,
        lead: &Lead,
        order: &pdpb::RegionHeartbeatResponse,
    ) {
        let (group, region_id, order) = (lead.group.clone(), region.id(), order.clone());
        let merges_into = order.merge.as_ref().and_then(|merge| merge.target.clone());
        let changes = order.change_peer.is_some()
            || order.change_peer_v2.is_some()
            || order.transfer_leader.is_some()
            || order.split_region.is_some();
        if !changes && merges_into.is_none() {
            return;
        }
        let Some(node) = self.this.upgrade() else { return };
        if !node.replicas.as_ref().is_some_and(|replicas| replicas.busy.lock().insert(region_id)) {
            return;
        }
        tokio::spawn(async move {
            let current = node.regions.get(region_id).filter(|region| is_about(&order, region));
            let carried_out = match (current, &merges_into, &order.split_region) {
                (None, ..) => Ok(()),
                (Some(_), Some(target), _) => {
                    node.prepare_merge(region_id, target).await.map_err(|error| error.to_string())
                }
                (Some(region), None, Some(split)) => {
                    node.split_as_ordered(&region, split).await.map_err(|error| error.to_string())
                }
                (Some(_), None, None) => carry_out(&group, &order).await.map_err(|error| error.to_string()),
            };
            match carried_out {
                Ok(()) => tracing::debug!(region = region_id, ?order, "an order was carried out"),
                Err(error) => {
                    tracing::info!(region = region_id, ?order, error, "an order was not carried out")
                }
            }
            let is_new =
                |change: &&pdpb::ChangePeer| change.change_type() == pdpb::ConfChangeType::AddLearnerNode;
            let newcomer = order.change_peer.as_ref().filter(is_new).and_then(|change| change.peer);
            if let Some(newcomer) = newcomer {
                wait_for_newcomer(&group, newcomer.id).await;
            }
            if let Some(replicas) = &node.replicas {
                replicas.busy.lock().remove(&region_id);
            }
            // The vote for the new member need not wait for the next regular report.
            if newcomer.is_some() {
                let _ =
                    node.replicas.as_ref().map(|replicas| replicas.events.send(Event::Changed(region_id)));
            }
        });
    }
}

/// Whether an order is about the region as it is: it may be late, or given twice. A region that was cut since is not to be cut again.
fn is_about(order: &pdpb::RegionHeartbeatResponse, region: &Region) -> bool {
    let (ordered, known) =
        (order.region_epoch.unwrap_or_default(), region.meta.region_epoch.unwrap_or_default());
    region.is_open()
        && ordered.conf_ver == known.conf_ver
        && (order.split_region.is_none() || ordered.version == known.version)
}

/// Waits until a new member has what the others have, or for as long as anybody cares.
async fn wait_for_newcomer(group: &Group, peer_id: u64) {
    let deadline = tokio::time::Instant::now() + NEWCOMER_PATIENCE;
    loop {
        tokio::time::sleep(NEWCOMER_LOOK).await;
        let is_over = group.is_caught_up(peer_id, PROMOTION_LAG) || group.status().role != Role::Leader;
        if is_over || tokio::time::Instant::now() >= deadline {
            return;
        }
    }
}

async fn carry_out(group: &Group, order: &pdpb::RegionHeartbeatResponse) -> Result<(), GroupError> {
    if let Some(target) = order.transfer_leader.as_ref().and_then(|transfer| transfer.peer) {
        return group.transfer_leader(target.id).await;
    }
    let single = order.change_peer.iter();
    let several = order.change_peer_v2.iter().flat_map(|change| &change.changes);
    let members = group.status().membership;
    let (mut promoted, mut removed) = (Vec::new(), Vec::new());
    for change in single.chain(several) {
        let Some(peer) = change.peer else { continue };
        match change.change_type() {
            pdpb::ConfChangeType::AddLearnerNode if members.members.contains_key(&peer.id) => {}
            // By whatever misunderstanding: the two would be one to that store.
            pdpb::ConfChangeType::AddLearnerNode
                if members.members.values().any(|id| *id == peer.store_id) =>
            {
                let reason = format!("store {} has a peer of the region", peer.store_id);
                return Err(GroupError::Membership(reason));
            }
            pdpb::ConfChangeType::AddLearnerNode => group.add_learner(peer.id, peer.store_id).await?,
            pdpb::ConfChangeType::AddNode if members.is_voter(peer.id) => {}
            // Without a vote for as long as it could not use it: the others would wait for it.
            pdpb::ConfChangeType::AddNode if !group.is_caught_up(peer.id, PROMOTION_LAG) => {}
            pdpb::ConfChangeType::AddNode => promoted.push(peer.id),
            pdpb::ConfChangeType::RemoveNode if !members.members.contains_key(&peer.id) => {}
            pdpb::ConfChangeType::RemoveNode => removed.push(peer.id),
        }
    }
    if promoted.is_empty() && removed.is_empty() {
        return Ok(());
    }
    if removed.contains(&group.peer_id()) {
        let reason = "the leader hands over before it goes".to_owned();
        return Err(GroupError::Membership(reason));
    }
    check_majority(group, &members, &promoted, &removed)?;
    group.change_voters(promoted, removed).await
}

/// A majority of the voters to be has to be alive and well: else the group would stop with the change, or soon after.
fn check_majority(
    group: &Group,
    members: &Membership,
    promoted: &[u64],
    removed: &[u64],
) -> Result<(), GroupError> {
    let voters: BTreeSet<_> =
        members.members.keys().copied().filter(|peer| members.is_voter(*peer)).collect();
    let after: Vec<_> = voters.iter().chain(promoted).filter(|peer| !removed.contains(peer)).collect();
    let silent = group.silent_members(SILENCE_MAX);
    let is_well = |peer: u64| {
        peer == group.peer_id()
            || (group.is_caught_up(peer, PROMOTION_LAG) && !silent.iter().any(|(silent, _)| *silent == peer))
    };
    let well = after.iter().filter(|peer| is_well(***peer)).count();
    match well * 2 > after.len() {
        true => Ok(()),
        false => {
            let reason = format!("only {well} of {} voters would be caught up and alive", after.len());
            Err(GroupError::Membership(reason))
        }
    }
}
