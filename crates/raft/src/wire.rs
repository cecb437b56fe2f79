//! `openraft`'s types as messages, and back. The same messages are what the log keeps.

use std::collections::{BTreeMap, BTreeSet};

use openraft::impls::leader_id_std::LeaderId;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, VoteRequest, VoteResponse};
use tidewater_proto::raftpb;

use crate::types::{
    Command, Entry, LogId, Membership, Payload, Position, RaftMembership, RaftStored, Types, Vote,
};

/// Why a message, or a stored record, makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error("unknown {0}")]
    Unknown(&'static str),
    #[error("a membership that cannot be: {0}")]
    Membership(String),
}

pub(crate) fn vote(vote: &Vote) -> raftpb::Vote {
    raftpb::Vote { term: vote.leader_id.term, peer_id: vote.leader_id.voted_for, committed: vote.committed }
}

pub(crate) fn to_vote(vote: Option<&raftpb::Vote>) -> Result<Vote, Malformed> {
    let vote = vote.ok_or(Malformed::Missing("the vote"))?;
    let leader_id = LeaderId { term: vote.term, voted_for: vote.peer_id };
    Ok(Vote { leader_id, committed: vote.committed })
}

pub(crate) fn log_id(id: &LogId) -> raftpb::LogId {
    let Position { term, index } = Position::of(id);
    raftpb::LogId { term, index }
}

pub(crate) fn to_log_id(id: &raftpb::LogId) -> LogId {
    Position { term: id.term, index: id.index }.id()
}

pub(crate) fn membership(membership: &Membership) -> raftpb::Membership {
    let configs = membership.voters.iter();
    let members = membership.members.iter();
    raftpb::Membership {
        configs: configs.map(|ids| raftpb::Voters { peer_ids: ids.iter().copied().collect() }).collect(),
        members: members
            .map(|(peer_id, store_id)| raftpb::Member { peer_id: *peer_id, store_id: *store_id })
            .collect(),
    }
}

fn to_membership(message: &raftpb::Membership) -> Result<RaftMembership, Malformed> {
    let members: BTreeMap<_, _> =
        message.members.iter().map(|member| (member.peer_id, member.store_id)).collect();
    let voters: Vec<BTreeSet<_>> =
        message.configs.iter().map(|voters| voters.peer_ids.iter().copied().collect()).collect();
    Membership { voters, members }.raft().map_err(Malformed::Membership)
}

pub(crate) fn stored(stored: &RaftStored) -> raftpb::StoredMembership {
    raftpb::StoredMembership {
        log_id: stored.log_id().as_ref().map(log_id),
        membership: Some(membership(&Membership::of(stored.membership()))),
    }
}

pub(crate) fn to_stored(message: &raftpb::StoredMembership) -> Result<RaftStored, Malformed> {
    match (&message.log_id, &message.membership) {
        (Some(log_id), Some(membership)) => {
            Ok(RaftStored::new(Some(to_log_id(log_id)), to_membership(membership)?))
        }
        _ => Ok(RaftStored::default()),
    }
}

pub(crate) fn entry(entry: &Entry) -> raftpb::Entry {
    let payload = match &entry.payload {
        Payload::Blank => None,
        Payload::Normal(command) => Some(raftpb::entry::Payload::Command(command.0.clone())),
        Payload::Membership(members) => {
            Some(raftpb::entry::Payload::Membership(membership(&Membership::of(members))))
        }
    };
    raftpb::Entry { log_id: Some(log_id(&entry.log_id)), payload }
}

pub(crate) fn to_entry(message: raftpb::Entry) -> Result<Entry, Malformed> {
    let log_id = message.log_id.as_ref().map(to_log_id).ok_or(Malformed::Missing("an entry's position"))?;
    let payload = match message.payload {
        None => Payload::Blank,
        Some(raftpb::entry::Payload::Command(command)) => Payload::Normal(Command(command)),
        Some(raftpb::entry::Payload::Membership(membership)) => {
            Payload::Membership(to_membership(&membership)?)
        }
    };
    Ok(Entry { log_id, payload })
}

pub(crate) fn append(request: &AppendEntriesRequest<Types>) -> raftpb::AppendRequest {
    raftpb::AppendRequest {
        vote: Some(vote(&request.vote)),
        prev: request.prev_log_id.as_ref().map(log_id),
        entries: request.entries.iter().map(entry).collect(),
        leader_commit: request.leader_commit.as_ref().map(log_id),
    }
}

pub(crate) fn to_append(message: raftpb::AppendRequest) -> Result<AppendEntriesRequest<Types>, Malformed> {
    Ok(AppendEntriesRequest {
        vote: to_vote(message.vote.as_ref())?,
        prev_log_id: message.prev.as_ref().map(to_log_id),
        entries: message.entries.into_iter().map(to_entry).collect::<Result<_, _>>()?,
        leader_commit: message.leader_commit.as_ref().map(to_log_id),
    })
}

pub(crate) fn append_response(response: &AppendEntriesResponse<Types>) -> raftpb::AppendResponse {
    use raftpb::append_response::Outcome;
    let mut message = raftpb::AppendResponse::default();
    let outcome = match response {
        AppendEntriesResponse::Success => Outcome::Success,
        AppendEntriesResponse::PartialSuccess(matched) => {
            message.matched = matched.as_ref().map(log_id);
            Outcome::Partial
        }
        AppendEntriesResponse::Conflict => Outcome::Conflict,
        AppendEntriesResponse::HigherVote(higher) => {
            message.higher = Some(vote(higher));
            Outcome::HigherVote
        }
    };
    message.set_outcome(outcome);
    message
}

pub(crate) fn to_append_response(
    message: &raftpb::AppendResponse,
) -> Result<AppendEntriesResponse<Types>, Malformed> {
    use raftpb::append_response::Outcome;
    let outcome = Outcome::try_from(message.outcome).map_err(|_| Malformed::Unknown("outcome"))?;
    Ok(match outcome {
        Outcome::Success => AppendEntriesResponse::Success,
        Outcome::Partial => AppendEntriesResponse::PartialSuccess(message.matched.as_ref().map(to_log_id)),
        Outcome::Conflict => AppendEntriesResponse::Conflict,
        Outcome::HigherVote => AppendEntriesResponse::HigherVote(to_vote(message.higher.as_ref())?),
    })
}

pub(crate) fn vote_request(request: &VoteRequest<Types>, pre_vote: bool) -> raftpb::VoteRequest {
    raftpb::VoteRequest {
        vote: Some(vote(&request.vote)),
        last: request.last_log_id.as_ref().map(log_id),
        leadership_transfer: request.leadership_transfer,
        pre_vote,
    }
}

pub(crate) fn to_vote_request(message: &raftpb::VoteRequest) -> Result<VoteRequest<Types>, Malformed> {
    let mut request = VoteRequest::new(to_vote(message.vote.as_ref())?, message.last.as_ref().map(to_log_id));
    request.leadership_transfer = message.leadership_transfer;
    Ok(request)
}

pub(crate) fn vote_response(response: &VoteResponse<Types>) -> raftpb::VoteResponse {
    raftpb::VoteResponse {
        vote: Some(vote(&response.vote)),
        granted: response.vote_granted,
        last: response.last_log_id.as_ref().map(log_id),
    }
}

pub(crate) fn to_vote_response(message: &raftpb::VoteResponse) -> Result<VoteResponse<Types>, Malformed> {
    Ok(VoteResponse {
        vote: to_vote(message.vote.as_ref())?,
        vote_granted: message.granted,
        last_log_id: message.last.as_ref().map(to_log_id),
    })
}
