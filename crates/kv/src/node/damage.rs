//! Replicas that are damaged, and what becomes of them.
//!
//! A replica whose data is not what the others have, or cannot be read, is taken out of service for good: that is noted durably, it leads and serves
//! nothing, and nobody gets a snapshot of it. Its log is whole, so it goes on voting and following. One whose log or half-installed snapshot is
//! unusable does not even start. Heart beats tell the placement driver, which has the peer replaced: elsewhere, or on this store under a new id.
//! With that the replica and the note are removed as those of any peer that is not a member any more.
//!
//! The only replica of a region is not taken out: nobody could replace it. Reads fail where it cannot be read.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
    time::Duration,
};

use tidewater_proto::{metapb, pdpb};
use tidewater_raft::{Group, Role};
use tokio::time::sleep;

use super::{Node, NodeError, orders::SILENCE_MAX};
use crate::{
    Durability, EngineError, WriteBatch,
    meta::{self, Damage},
    replica::{HashTask, Replica},
};

/// Between looks at whether the engine has met damaged data.
const ENGINE_LOOK: Duration = Duration::from_secs(1);
/// Between attempts of a damaged leader to give its leadership away.
const HAND_OVER_PAUSE: Duration = Duration::from_millis(200);
/// A successor may be this many entries behind.
const SUCCESSOR_LAG: u64 = 64;

/// The damaged replicas of a node, by region.
#[derive(Debug, Default)]
pub(super) struct Damages {
    known: BTreeMap<u64, Damaged>,
}

/// A replica that waits for its removal.
#[derive(Debug, Clone)]
struct Damaged {
    peer_id: u64,
    activity: Activity,
}

/// Whether a damaged replica takes part in its group.
#[derive(Debug, Clone)]
enum Activity {
    /// It is in the table of replicas.
    Runs,
    /// It is stored and nothing else; with the region that it holds keys of, if that is known.
    Idle(Option<metapb::Region>),
}

impl Damages {
    /// Region and peer of each.
    pub(super) fn all(&self) -> Vec<(u64, u64)> {
        self.known.iter().map(|(region_id, damaged)| (*region_id, damaged.peer_id)).collect()
    }

    /// The peer of a replica that is damaged and does not run.
    pub(super) fn idle_peer(&self, region_id: u64) -> Option<u64> {
        let damaged = self.known.get(&region_id)?;
        matches!(damaged.activity, Activity::Idle(_)).then_some(damaged.peer_id)
    }

    /// Regions whose replicas here do not run, and hold keys.
    pub(super) fn idle_regions(&self) -> Vec<metapb::Region> {
        let region = |damaged: &Damaged| match &damaged.activity {
            Activity::Runs => None,
            Activity::Idle(region) => region.clone(),
        };
        self.known.values().filter_map(region).collect()
    }

    pub(super) fn forget(&mut self, region_id: u64) {
        self.known.remove(&region_id);
    }
}

/// Whenever the engine has met damaged data, finds out whose it is, until the node is gone.
pub(super) async fn watch_engine(node: Weak<Node>) {
    let mut seen = 0;
    loop {
        sleep(ENGINE_LOOK).await;
        let Some(node) = node.upgrade() else { return };
        if node.scheduler.engine.corruptions() == seen {
            continue;
        }
        tracing::error!(
            "the engine has met damaged data: all replicas are read to find out which are concerned"
        );
        node.read_all_replicas().await;
        // Reading has met it again.
        seen = node.scheduler.engine.corruptions();
    }
}

impl Node {
    /// How many replicas here are damaged and wait to be replaced.
    pub fn damaged_count(&self) -> usize {
        self.replicas.as_ref().map_or(0, |replicas| replicas.damages.lock().known.len())
    }

    /// Takes a replica out of service for good.
    pub(super) async fn take_out(&self, region_id: u64, reason: String) {
        let Some(replicas) = &self.replicas else { return };
        let Some(replica) = replicas.get(region_id) else { return };
        let peer_id = replica.group.peer_id();
        if replica.shape.lock().is_damaged {
            return;
        }
        metrics::counter!("tidewater_kv_damaged_replicas_total").increment(1);
        if replica.group.status().membership.members.len() == 1 {
            tracing::error!(
                region = region_id,
                peer = peer_id,
                reason,
                "the only replica of a region is damaged"
            );
            return;
        }
        tracing::error!(
            region = region_id,
            peer = peer_id,
            reason,
            "a replica is damaged and taken out of service"
        );
        // First of all it serves nobody, even if the note cannot be written.
        replica.shape.lock().is_damaged = true;
        self.stop_serving(region_id);
        replica.group.stand_down();
        if let Err(error) = self.note_damage(Damage { region_id, peer_id, reason }, Activity::Runs) {
            tracing::error!(%error, region = region_id, "the damage is not noted");
        }
        self.give_leadership_away(replica);
        self.report_store().await;
    }

    fn note_damage(&self, damage: Damage, activity: Activity) -> Result<(), EngineError> {
        let Some(replicas) = &self.replicas else { return Ok(()) };
        let damaged = Damaged { peer_id: damage.peer_id, activity };
        replicas.damages.lock().known.insert(damage.region_id, damaged);
        let mut batch = WriteBatch::new();
        meta::put_damage(&mut batch, &damage);
        self.scheduler.engine.write(batch, Durability::Sync)
    }

    /// A replica that runs was found damaged before, or has become so with another one.
    pub(super) fn keep_out(&self, replica: &Arc<Replica>) {
        let Some(replicas) = &self.replicas else { return };
        let (region_id, peer_id) = (replica.group.id(), replica.group.peer_id());
        replica.shape.lock().is_damaged = true;
        self.stop_serving(region_id);
        replica.group.stand_down();
        let damaged = Damaged { peer_id, activity: Activity::Runs };
        replicas.damages.lock().known.insert(region_id, damaged);
        self.give_leadership_away(replica.clone());
    }

    /// A replica that cannot be started stays where it is, and is not started. Tells whether that is all right: there are others.
    pub(super) fn leave_out(
        &self,
        region_id: u64,
        peer_id: u64,
        region: Option<metapb::Region>,
        error: &NodeError,
    ) -> Result<bool, EngineError> {
        if region.as_ref().is_some_and(|region| region.peers.len() <= 1) {
            return Ok(false);
        }
        tracing::error!(%error, region = region_id, peer = peer_id, "a replica is damaged and not started");
        metrics::counter!("tidewater_kv_damaged_replicas_total").increment(1);
        let damage = Damage { region_id, peer_id, reason: error.to_string() };
        self.note_damage(damage, Activity::Idle(region))?;
        Ok(true)
    }

    /// As long as a damaged replica leads nobody is served: another one has to.
    fn give_leadership_away(&self, replica: Arc<Replica>) {
        tokio::spawn(async move {
            while replica.group.status().role == Role::Leader {
                if let Some(peer_id) = successor(&replica.group)
                    && let Err(error) = replica.group.transfer_leader(peer_id).await
                {
                    tracing::info!(region = replica.group.id(), %error, "a damaged replica still leads");
                }
                sleep(HAND_OVER_PAUSE).await;
            }
        });
    }

    /// Removes damaged replicas whose peers are no members any more, as the placement driver says. Those that run hear of it by themselves, unless
    /// their members have stopped.
    pub(super) async fn bury_damaged(&self) {
        let Some(replicas) = &self.replicas else { return };
        let damaged = replicas.damages.lock().all();
        for (region_id, peer_id) in damaged {
            if replicas.get(region_id).is_some() {
                self.ask_about_removal(region_id).await;
                continue;
            }
            let request = pdpb::GetRegionByIdRequest { region_id, ..Default::default() };
            let Ok(answer) = self.pd.get_region_by_id(request).await else { return };
            // A region that is not known at all may be a part of another, or one the driver has not heard of yet.
            let Some(known) = answer.region else { continue };
            if known.peers.iter().any(|peer| peer.id == peer_id) {
                continue;
            }
            if let Err(error) = self.destroy_replica(region_id, peer_id + 1, None).await {
                tracing::error!(%error, region = region_id, "a damaged replica is still here");
            }
        }
    }

    async fn read_all_replicas(self: &Arc<Self>) {
        let Some(replicas) = &self.replicas else { return };
        for replica in replicas.all() {
            let Some(region) = replica.meta() else { continue };
            let region_id = region.id;
            let snapshot = self.scheduler.engine.snapshot();
            let reading =
                self.compute.spawn(async move { HashTask { region, index: 0, snapshot }.run().await });
            match reading.await {
                Ok(Err(error @ EngineError::Corrupt { .. })) => {
                    self.take_out(region_id, error.to_string()).await
                }
                Ok(Err(error)) => tracing::error!(%error, region = region_id, "a replica cannot be read"),
                Ok(Ok(_)) | Err(_) => {}
            }
        }
    }
}

/// A voter that is alive and has nearly everything.
fn successor(group: &Group) -> Option<u64> {
    let members = group.status().membership;
    let silent = group.silent_members(SILENCE_MAX);
    members.members.keys().copied().find(|peer| {
        *peer != group.peer_id()
            && members.is_voter(*peer)
            && group.is_caught_up(*peer, SUCCESSOR_LAG)
            && !silent.iter().any(|(silent, _)| silent == peer)
    })
}
