//! The types this crate shows, and how they become `openraft`'s.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use bytes::Bytes;
use openraft::impls::leader_id_std::LeaderId;
use openraft::type_config::alias::{
    CommittedLeaderIdOf, LogIdOf, SnapshotMetaOf, StoredMembershipOf, WriteResponderOf,
};

use crate::runtime::RaftRuntime;

/// The types `openraft` works with here. Node ids are peer ids, nodes are store ids.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Types;

impl openraft::RaftTypeConfig for Types {
    type D = Command;
    type R = Bytes;
    type NodeId = u64;
    type Node = u64;
    type Term = u64;
    type LeaderId = LeaderId<u64, u64>;
    type Vote = openraft::impls::Vote<Self::LeaderId>;
    type Payload = openraft::EntryPayload<Command, u64, u64>;
    type Entry = openraft::Entry<CommittedLeaderIdOf<Self>, Self::Payload>;
    type AsyncRuntime = RaftRuntime;
    type Responder<T>
        = Callback<T>
    where
        T: openraft::OptionalSend + 'static;
    type Batch<T>
        = openraft::impls::InlineBatch<T>
    where
        T: openraft::OptionalSend + 'static;
    type ErrorSource = openraft::impls::BoxedErrorSource;
}

pub(crate) type LogId = LogIdOf<Types>;
pub(crate) type Vote = openraft::impls::Vote<LeaderId<u64, u64>>;
pub(crate) type Entry = openraft::type_config::alias::EntryOf<Types>;
pub(crate) type Payload = openraft::EntryPayload<Command, u64, u64>;
pub(crate) type RaftMembership = openraft::Membership<u64, u64>;
pub(crate) type RaftStored = StoredMembershipOf<Types>;
pub(crate) type SnapshotMeta = SnapshotMetaOf<Types>;
pub(crate) type Responder = WriteResponderOf<Types>;
pub(crate) type CommittedLeader = CommittedLeaderIdOf<Types>;

/// What is proposed: bytes that only the state machine understands.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Command(pub(crate) Bytes);

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Runs once: with the result, or with `None` if the group is gone before there is one.
pub(crate) struct Callback<T>(Option<Box<dyn FnOnce(Option<T>) + Send>>);

impl<T> Callback<T> {
    pub(crate) fn new(run: impl FnOnce(Option<T>) + Send + 'static) -> Self {
        Self(Some(Box::new(run)))
    }
}

impl<T: openraft::OptionalSend + 'static> openraft::raft::responder::Responder<Types, T> for Callback<T> {
    fn on_complete(mut self, result: T) {
        if let Some(run) = self.0.take() {
            run(Some(result));
        }
    }
}

impl<T> Drop for Callback<T> {
    fn drop(&mut self) {
        if let Some(run) = self.0.take() {
            run(None);
        }
    }
}

/// A place in a group's log. Later entries have greater positions, whoever led.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position {
    /// The term of the leader that appended it.
    pub term: u64,
    /// Counts from 0 without gaps.
    pub index: u64,
}

impl Position {
    /// Where groups begin that are created with state already in place: the entries up to here never existed.
    ///
    /// Term 0 comes before any leader's, so that the first election can only go forward.
    pub const ORIGIN: Self = Self { term: 0, index: 5 };

    pub(crate) fn of(id: &LogId) -> Self {
        Self { term: **id.committed_leader_id(), index: id.index }
    }

    pub(crate) fn id(self) -> LogId {
        LogId::new(CommittedLeader::new(self.term), self.index)
    }
}

/// Who takes part in a group.
///
/// While voters change there are two sets, and every decision needs a majority of each.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Membership {
    /// Peer ids of the voters: one set, or two during a change.
    pub voters: Vec<BTreeSet<u64>>,
    /// Peer ids of all members and the stores they are on. Those that vote in no set are learners.
    pub members: BTreeMap<u64, u64>,
}

impl Membership {
    /// All of them vote.
    pub fn of_voters(members: impl IntoIterator<Item = (u64, u64)>) -> Self {
        let members: BTreeMap<_, _> = members.into_iter().collect();
        Self { voters: vec![members.keys().copied().collect()], members }
    }

    /// Whether a peer votes, in either set.
    pub fn is_voter(&self, peer_id: u64) -> bool {
        self.voters.iter().any(|voters| voters.contains(&peer_id))
    }

    /// Whether voters are being changed.
    pub fn is_joint(&self) -> bool {
        self.voters.len() > 1
    }

    pub(crate) fn of(membership: &RaftMembership) -> Self {
        Self {
            voters: membership.get_joint_config().clone(),
            members: membership.nodes().map(|(peer, store)| (*peer, *store)).collect(),
        }
    }

    /// Fails if a voter is no member.
    pub(crate) fn raft(&self) -> Result<RaftMembership, String> {
        RaftMembership::new(self.voters.clone(), self.members.clone()).map_err(|error| error.to_string())
    }
}

/// How far a state machine has come.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Applied {
    /// The last entry it has seen; `None` before the first.
    pub position: Option<Position>,
    /// The last membership among them, and where it stands in the log.
    pub membership: Membership,
    /// `None` before the first.
    pub membership_position: Option<Position>,
}

impl Applied {
    /// A group that begins with these voters and no history.
    pub fn origin(membership: Membership) -> Self {
        Self { position: Some(Position::ORIGIN), membership, membership_position: Some(Position::ORIGIN) }
    }

    pub(crate) fn stored(&self) -> Result<RaftStored, String> {
        match self.membership_position {
            None => Ok(RaftStored::default()),
            Some(position) => Ok(RaftStored::new(Some(position.id()), self.membership.raft()?)),
        }
    }

    pub(crate) fn of(meta: &SnapshotMeta) -> Self {
        Self {
            position: meta.last_log_id.as_ref().map(Position::of),
            membership: Membership::of(meta.last_membership.membership()),
            membership_position: meta.last_membership.log_id().as_ref().map(Position::of),
        }
    }

    pub(crate) fn meta(&self) -> Result<SnapshotMeta, String> {
        Ok(SnapshotMeta { last_log_id: self.position.map(Position::id), last_membership: self.stored()? })
    }
}
