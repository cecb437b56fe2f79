//! What a region's log does to the engine.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use prost::Message;
use tidewater_proto::{
    errorpb, metapb,
    regionpb::{self, command::Command},
};
use tidewater_raft::{Applied, Committed, Content, MachineError, Membership, Pieces, StateMachine};

use super::{
    command::{encode_answer, put_op},
    snapshot,
};
use crate::{Durability, Engine, EngineError, WriteBatch, meta};

/// What the node does at the moment an entry is applied.
pub(crate) trait Hooks: Send + Sync {
    /// The region was cut; the engine has the parts, and nobody was answered yet.
    fn split(&self, parts: &[metapb::Region]);

    /// The members, and with them the region, have changed.
    fn reshaped(&self, region: &metapb::Region);

    /// This replica's peer was a member and is not any more.
    fn removed(&self);

    /// All of the region came from another replica.
    fn installed(&self, region: &metapb::Region);
}

/// The state machine of one replica.
pub(crate) struct RegionMachine {
    pub region_id: u64,
    pub peer_id: u64,
    pub store_id: u64,
    pub engine: Arc<dyn Engine>,
    /// Shared with the replica's handle.
    pub meta: Arc<Mutex<Option<metapb::Region>>>,
    pub hooks: Arc<dyn Hooks>,
    /// As stored.
    pub applied: Applied,
}

fn failed(error: impl ToString) -> MachineError {
    MachineError(error.to_string())
}

impl From<EngineError> for crate::replica::machine::Failure {
    fn from(error: EngineError) -> Self {
        Self(error.to_string())
    }
}

/// Why an entry cannot be applied: the engine failed, or the entry makes no sense.
pub(super) struct Failure(pub String);

impl From<String> for Failure {
    fn from(reason: String) -> Self {
        Self(reason)
    }
}

impl From<Failure> for MachineError {
    fn from(failure: Failure) -> Self {
        Self(failure.0)
    }
}

/// What becomes known with a batch of entries, once the engine has it.
enum News {
    Split(Vec<metapb::Region>),
    Reshaped,
    Removed,
}

impl RegionMachine {
    fn epoch(&self) -> metapb::RegionEpoch {
        self.meta.lock().as_ref().and_then(|meta| meta.region_epoch).unwrap_or_default()
    }

    fn refusal(&self) -> errorpb::Error {
        let meta = self.meta.lock().clone();
        errorpb::Error {
            message: format!("region {} has another version by now", self.region_id),
            epoch_not_match: Some(errorpb::EpochNotMatch { current_regions: meta.into_iter().collect() }),
            ..Default::default()
        }
    }

    fn apply_command(
        &self,
        command: Bytes,
        batch: &mut WriteBatch,
        news: &mut Vec<News>,
    ) -> Result<Option<errorpb::Error>, Failure> {
        let command = regionpb::Command::decode(command).map_err(|error| error.to_string())?;
        match command.command {
            Some(Command::Write(write)) if write.version == self.epoch().version => {
                write.ops.into_iter().try_for_each(|op| put_op(batch, op))?;
                Ok(None)
            }
            Some(Command::Split(split))
                if (split.version, split.conf_ver) == (self.epoch().version, self.epoch().conf_ver) =>
            {
                let Some(own) = split.parts.first().cloned() else {
                    return Err("a split without parts".to_owned().into());
                };
                meta::put_region(batch, &own);
                for part in &split.parts[1..] {
                    // A part that came by another way, and is further, stays as it is.
                    if meta::load_applied(&*self.engine, part.id)?.is_none() {
                        // A member that was not one yet at that time has no part in the parts.
                        let own = part.peers.iter().find(|peer| peer.store_id == self.store_id);
                        let Some(own) = own.map(|own| own.id) else { continue };
                        meta::put_region(batch, part);
                        meta::put_applied(batch, part.id, own, &Applied::origin(members_of(part)));
                    }
                }
                *self.meta.lock() = Some(own);
                news.push(News::Split(split.parts));
                Ok(None)
            }
            Some(_) => Ok(Some(self.refusal())),
            None => Err("an empty command".to_owned().into()),
        }
    }

    fn apply_membership(&self, membership: &Membership, batch: &mut WriteBatch, news: &mut Vec<News>) {
        // A member that is new may see memberships from before it was one.
        let was_member = self.applied.membership.members.contains_key(&self.peer_id);
        if was_member && !membership.members.contains_key(&self.peer_id) {
            meta::put_tombstone(batch, self.region_id, self.peer_id);
            news.push(News::Removed);
        }
        let mut known = self.meta.lock();
        // A member that has nothing yet learns of the region by the snapshot.
        let Some(region) = known.as_mut() else { return };
        // The change is not over: it counts once, when it is.
        if membership.is_joint() {
            return;
        }
        let is_voter = |peer: u64| membership.is_voter(peer);
        region.peers = membership
            .members
            .iter()
            .map(|(id, store_id)| {
                let role = match is_voter(*id) {
                    true => metapb::PeerRole::Voter,
                    false => metapb::PeerRole::Learner,
                };
                metapb::Peer { id: *id, store_id: *store_id, role: role.into(), ..Default::default() }
            })
            .collect();
        let mut epoch = region.region_epoch.unwrap_or_default();
        epoch.conf_ver += 1;
        region.region_epoch = Some(epoch);
        meta::put_region(batch, region);
        news.push(News::Reshaped);
    }

    fn tell(&self, news: Vec<News>) {
        for each in news {
            match each {
                News::Split(parts) => self.hooks.split(&parts),
                News::Removed => self.hooks.removed(),
                News::Reshaped => {
                    let region = self.meta.lock().clone();
                    region.iter().for_each(|region| self.hooks.reshaped(region));
                }
            }
        }
    }
}

/// The voters of a region as a group's first members.
pub(crate) fn members_of(region: &metapb::Region) -> Membership {
    let peers = region.peers.iter();
    let mut membership = Membership::of_voters(peers.clone().map(|peer| (peer.id, peer.store_id)));
    for learner in peers.filter(|peer| peer.role() == metapb::PeerRole::Learner) {
        membership.voters.iter_mut().for_each(|voters| {
            voters.remove(&learner.id);
        });
    }
    membership
}

impl StateMachine for RegionMachine {
    fn applied(&mut self) -> Result<Applied, MachineError> {
        Ok(self.applied.clone())
    }

    fn apply(&mut self, entries: Vec<Committed>) -> Result<Vec<Bytes>, MachineError> {
        let mut batch = WriteBatch::new();
        let mut answers = Vec::with_capacity(entries.len());
        let mut news = Vec::new();
        for Committed { position, content } in entries {
            self.applied.position = Some(position);
            let refusal = match content {
                Content::Blank => None,
                Content::Command(command) => self.apply_command(command, &mut batch, &mut news)?,
                Content::Membership(membership) => {
                    self.apply_membership(&membership, &mut batch, &mut news);
                    self.applied.membership = membership;
                    self.applied.membership_position = Some(position);
                    None
                }
            };
            answers.push(encode_answer(refusal));
        }
        meta::put_applied(&mut batch, self.region_id, self.peer_id, &self.applied);
        // The log is durable: this need not be.
        self.engine.write(batch, Durability::Buffered).map_err(failed)?;
        self.tell(news);
        Ok(answers)
    }

    fn durable(&mut self) -> Result<Applied, MachineError> {
        let applied = self.applied.clone();
        let mut fence = WriteBatch::new();
        meta::touch(&mut fence);
        self.engine.write(fence, Durability::Sync).map_err(failed)?;
        Ok(applied)
    }

    fn snapshot(&mut self) -> Result<(Applied, Pieces), MachineError> {
        let region = self.meta.lock().clone();
        let region = region.ok_or_else(|| failed("a replica without data has no snapshot"))?;
        let pieces = snapshot::read(self.engine.snapshot(), region).map_err(failed)?;
        Ok((self.applied.clone(), pieces))
    }

    fn install(&mut self, applied: &Applied, pieces: Pieces) -> Result<(), MachineError> {
        let (region, mut batch) = snapshot::changes(&*self.engine, self.region_id, pieces)?;
        meta::put_region(&mut batch, &region);
        meta::put_applied(&mut batch, self.region_id, self.peer_id, applied);
        // The log that led here is given up.
        self.engine.write(batch, Durability::Sync).map_err(failed)?;
        self.applied = applied.clone();
        *self.meta.lock() = Some(region.clone());
        self.hooks.installed(&region);
        Ok(())
    }
}
