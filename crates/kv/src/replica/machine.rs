//! What a region's log does to the engine.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use prost::Message;
use tidewater_proto::{
    errorpb, metapb,
    regionpb::{self, command::Command},
};
use tidewater_raft::{Applied, Committed, Content, MachineError, Membership, Pieces, Spooled, StateMachine};

use super::{
    HashTask, Replica, Shape,
    command::{encode_answer, encode_index, put_op},
    install::{Installer, Writes},
    snapshot,
};
use crate::{
    Durability, Engine, EngineError, WriteBatch,
    meta::{self, Damage},
};

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

    /// The region is to become a part of a neighbor: nobody may read or write it.
    fn merge_prepared(&self, region: &metapb::Region);

    /// The region goes on by itself.
    fn merge_rolled_back(&self, region: &metapb::Region);

    /// The region has taken the other one in, of which there is no replica any more.
    fn absorbed(&self, region: &metapb::Region, source_id: u64);

    /// The replica is to be hashed as it is now.
    fn hash(&self, task: HashTask);

    /// The majority of the replicas has found this after that entry.
    fn verify_hash(&self, index: u64, hash: u64);

    /// The replica is half of what it was to become, and cannot become all of it.
    fn damaged(&self, reason: &str);

    /// This store's replica of a region.
    fn replica(&self, region_id: u64) -> Option<Arc<Replica>>;

    /// This store's replicas of other regions that hold keys of this one.
    fn overlapping(&self, region: &metapb::Region) -> Vec<Arc<Replica>>;
}

/// The state machine of one replica.
pub(crate) struct RegionMachine {
    pub region_id: u64,
    pub peer_id: u64,
    pub store_id: u64,
    pub engine: Arc<dyn Engine>,
    /// Shared with the replica's handle.
    pub shape: Arc<Mutex<Shape>>,
    /// Shared with the replica's handle.
    pub is_absorbed: Arc<Mutex<bool>>,
    pub hooks: Arc<dyn Hooks>,
    /// As stored.
    pub applied: Applied,
    /// Bytes of one write of a snapshot that is installed.
    pub install_bytes_max: usize,
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
pub(super) enum News {
    Split(Vec<metapb::Region>),
    Reshaped,
    Removed,
    MergePrepared,
    MergeRolledBack,
    Absorbed(u64),
    /// The region is to be hashed as it is after this entry, and before the next.
    HashWanted,
}

/// What came of a command.
pub(super) type Verdict = Result<Option<errorpb::Error>, Failure>;

impl RegionMachine {
    pub(super) fn epoch(&self) -> metapb::RegionEpoch {
        self.shape.lock().region.as_ref().and_then(|region| region.region_epoch).unwrap_or_default()
    }

    pub(super) fn refusal(&self) -> errorpb::Error {
        let region = self.shape.lock().region.clone();
        errorpb::Error {
            message: format!("region {} has another version by now", self.region_id),
            epoch_not_match: Some(errorpb::EpochNotMatch { current_regions: region.into_iter().collect() }),
            ..Default::default()
        }
    }

    fn apply_command(&self, command: Bytes, batch: &mut WriteBatch, news: &mut Vec<News>) -> Verdict {
        let command = regionpb::Command::decode(command).map_err(|error| error.to_string())?;
        let command = command.command.ok_or_else(|| "an empty command".to_owned())?;
        let metapb::RegionEpoch { version, conf_ver } = self.epoch();
        let is_current = match &command {
            Command::Write(write) => write.version == version,
            Command::Split(split) => (split.version, split.conf_ver) == (version, conf_ver),
            Command::PrepareMerge(prepare) => (prepare.version, prepare.conf_ver) == (version, conf_ver),
            Command::CommitMerge(commit) => (commit.version, commit.conf_ver) == (version, conf_ver),
            Command::AbortMerge(abort) => abort.version == version,
            Command::RollbackMerge(rollback) => rollback.version == version,
            Command::ComputeHash(compute) => compute.version == version,
            Command::VerifyHash(verify) => verify.version == version,
        };
        // A region that is about to become a part of another does nothing but that, or gives it up.
        let is_merging = self.shape.lock().merging_into.is_some();
        if !is_current || is_merging != matches!(command, Command::RollbackMerge(_)) {
            return Ok(Some(self.refusal()));
        }
        match command {
            Command::Write(write) => {
                write.ops.into_iter().try_for_each(|op| put_op(batch, op))?;
                Ok(None)
            }
            Command::Split(split) => self.split(split.parts, batch, news),
            Command::PrepareMerge(prepare) => self.prepare_merge(prepare, batch, news),
            Command::CommitMerge(commit) => self.commit_merge(commit, batch, news),
            Command::AbortMerge(_) => self.abort_merge(batch, news),
            Command::RollbackMerge(_) => self.roll_merge_back(batch, news),
            Command::ComputeHash(_) => {
                news.push(News::HashWanted);
                Ok(None)
            }
            Command::VerifyHash(verify) => {
                self.hooks.verify_hash(verify.index, verify.hash);
                Ok(None)
            }
        }
    }

    fn split(&self, parts: Vec<metapb::Region>, batch: &mut WriteBatch, news: &mut Vec<News>) -> Verdict {
        let own = parts.first().cloned().ok_or_else(|| "a split without parts".to_owned())?;
        meta::put_region(batch, &own);
        for part in &parts[1..] {
            // A part that came by another way, and is further, stays as it is.
            if meta::load_applied(&*self.engine, part.id)?.is_none() {
                // A member that was not one yet at that time has no part in the parts.
                let own = part.peers.iter().find(|peer| peer.store_id == self.store_id);
                let Some(own) = own.map(|own| own.id) else { continue };
                meta::put_region(batch, part);
                meta::put_applied(batch, part.id, own, &Applied::origin(members_of(part)));
                if self.shape.lock().is_damaged {
                    let reason = format!("it was cut out of region {}, which is damaged", self.region_id);
                    meta::put_damage(batch, &Damage { region_id: part.id, peer_id: own, reason });
                }
            }
        }
        self.shape.lock().region = Some(own);
        news.push(News::Split(parts));
        Ok(None)
    }

    fn apply_membership(&self, membership: &Membership, batch: &mut WriteBatch, news: &mut Vec<News>) {
        // A member that is new may see memberships from before it was one.
        let was_member = self.applied.membership.members.contains_key(&self.peer_id);
        if was_member && !membership.members.contains_key(&self.peer_id) {
            meta::put_tombstone(batch, self.region_id, self.peer_id);
            news.push(News::Removed);
        }
        let mut shape = self.shape.lock();
        // A member that has nothing yet learns of the region by the snapshot.
        let Some(region) = shape.region.as_mut() else { return };
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
            // Of several changes in one batch the last one counts.
            let region = self.shape.lock().region.clone();
            match (each, region) {
                (News::Split(parts), _) => self.hooks.split(&parts),
                (News::Removed, _) => self.hooks.removed(),
                (_, None) => {}
                (News::Reshaped, Some(region)) => self.hooks.reshaped(&region),
                (News::MergePrepared, Some(region)) => self.hooks.merge_prepared(&region),
                (News::MergeRolledBack, Some(region)) => self.hooks.merge_rolled_back(&region),
                (News::Absorbed(source_id), Some(region)) => self.hooks.absorbed(&region, source_id),
                (News::HashWanted, Some(region)) => self.begin_hashing(region),
            }
        }
    }

    fn begin_hashing(&self, region: metapb::Region) {
        let Some(position) = self.applied.position else { return };
        self.hooks.hash(HashTask { region, index: position.index, snapshot: self.engine.snapshot() });
    }

    /// Writes what entries have changed, with how far they go, and tells who has to know.
    fn pass_on(&self, batch: &mut WriteBatch, news: &mut Vec<News>) -> Result<(), MachineError> {
        meta::put_applied(batch, self.region_id, self.peer_id, &self.applied);
        // The log is durable: this need not be.
        self.engine.write(std::mem::take(batch), Durability::Buffered).map_err(failed)?;
        self.tell(std::mem::take(news));
        Ok(())
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
        let is_absorbed = self.is_absorbed.clone();
        let is_absorbed = is_absorbed.lock();
        if *is_absorbed {
            // What is here is another region's by now.
            return Ok(entries.iter().map(|_| encode_answer(Some(self.refusal()))).collect());
        }
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
            if matches!(news.last(), Some(News::HashWanted)) && refusal.is_none() {
                // What is hashed has all of this and nothing that follows.
                self.pass_on(&mut batch, &mut news)?;
                answers.push(encode_index(position.index));
            } else {
                answers.push(encode_answer(refusal));
            }
        }
        self.pass_on(&mut batch, &mut news)?;
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
        let Shape { region, merging_into, is_damaged, .. } = self.shape.lock().clone();
        if is_damaged {
            let damaged = Err(failed("this replica is damaged, others have to send theirs"));
            return Ok((self.applied.clone(), Box::new(std::iter::once(damaged))));
        }
        let region = region.ok_or_else(|| failed("a replica without data has no snapshot"))?;
        let pieces = snapshot::read(self.engine.snapshot(), region, merging_into).map_err(failed)?;
        Ok((self.applied.clone(), pieces))
    }

    fn install(&mut self, applied: &Applied, snapshot: Spooled) -> Result<(), MachineError> {
        let is_absorbed = self.is_absorbed.clone();
        let is_absorbed = is_absorbed.lock();
        if *is_absorbed {
            return Err(failed("the region is not here any more"));
        }
        let installer = Installer {
            engine: &*self.engine,
            region_id: self.region_id,
            peer_id: self.peer_id,
            applied,
            bytes_max: self.install_bytes_max,
        };
        let mut sources = Vec::new();
        let mut is_half = false;
        let installed = installer.install(&snapshot, |writes, region, batch| {
            if writes == Writes::Several {
                let mut shape = self.shape.lock();
                shape.region = None;
                shape.rebuilds += 1;
                is_half = true;
            }
            sources = self.end_sources_within(region, batch);
        });
        let shape = match installed {
            Ok(shape) => shape,
            Err(error) => {
                if is_half {
                    // When the store opens it is tried again, if the replica was not replaced until then.
                    snapshot.leave();
                    self.hooks.damaged(&error.0);
                }
                return Err(error);
            }
        };
        let region = shape.region.clone().ok_or_else(|| failed("a snapshot without a region"))?;
        self.applied = applied.clone();
        {
            let mut known = self.shape.lock();
            *known = Shape { rebuilds: known.rebuilds, is_damaged: known.is_damaged, ..shape };
        }
        self.hooks.installed(&region);
        sources.into_iter().for_each(|source_id| self.hooks.absorbed(&region, source_id));
        Ok(())
    }
}
