//! How the members of a group reach each other.

use std::{future::Future, pin::pin, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::future::{Either, select};
use openraft::{
    AnyError, RaftNetworkFactory, RaftNetworkV2,
    errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable},
    network::{RPCOption, RPCTypes},
    raft::{
        AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
        TransferLeaderResponse, VoteRequest, VoteResponse,
    },
};
use tidewater_proto::raftpb::{self, request::Body, response::Body as Answer};

use crate::{
    machine::{Pieces, Snapshot0},
    runtime,
    types::{Types, Vote},
    wire,
};

/// For entries to be answered, at least.
const APPEND_TIMEOUT: Duration = Duration::from_secs(2);
/// For a heart beat to be answered, at least.
const HEARTBEAT_TIMEOUT: Duration = Duration::from_millis(500);
/// For one piece of a snapshot to be answered.
const PIECE_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a message got no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SendError(pub String);

/// Carries messages to other stores.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Hands a request to its store, and waits for the answer. It need not give up: whoever calls does.
    ///
    /// # Errors
    /// The store cannot be reached, or the answer was lost.
    async fn send(&self, request: raftpb::Request) -> Result<raftpb::Response, SendError>;
}

/// What a member needs to know to write to the others of its group.
#[derive(Clone)]
pub(crate) struct Sender {
    pub(crate) group_id: u64,
    pub(crate) peer_id: u64,
    pub(crate) store_id: u64,
    pub(crate) transport: Arc<dyn Transport>,
    /// Told when the others say that this peer was removed.
    pub(crate) removed: Arc<dyn Fn() + Send + Sync>,
}

impl RaftNetworkFactory<Types> for Sender {
    type Network = Link;

    async fn new_client(&mut self, target: u64, node: &u64) -> Link {
        Link { sender: self.clone(), to_peer: target, to_store: *node, is_for_heartbeats: false }
    }

    async fn new_heartbeat_client(&mut self, target: u64, node: &u64) -> Link {
        Link { is_for_heartbeats: true, ..self.new_client(target, node).await }
    }
}

/// The way to one member.
pub(crate) struct Link {
    sender: Sender,
    to_peer: u64,
    to_store: u64,
    is_for_heartbeats: bool,
}

fn unreachable(reason: impl ToString) -> RPCError<Types> {
    RPCError::Unreachable(Unreachable::new(&AnyError::error(reason.to_string())))
}

fn nonsense(answer: impl ToString) -> RPCError<Types> {
    RPCError::Network(NetworkError::new(&AnyError::error(answer.to_string())))
}

impl Link {
    async fn ask(&self, kind: RPCTypes, body: Body, limit: Duration) -> Result<Answer, RPCError<Types>> {
        let Sender { group_id, peer_id, store_id, transport, removed } = &self.sender;
        let request = raftpb::Request {
            group_id: *group_id,
            from_peer: *peer_id,
            from_store: *store_id,
            to_peer: self.to_peer,
            to_store: self.to_store,
            body: Some(body),
        };
        let answer = match tokio::time::timeout(limit, transport.send(request)).await {
            Ok(answer) => answer.map_err(unreachable)?,
            Err(_) => {
                return Err(RPCError::Timeout(Timeout {
                    action: kind,
                    id: *peer_id,
                    target: self.to_peer,
                    timeout: limit,
                }));
            }
        };
        match answer.body {
            None => Err(nonsense("an empty answer")),
            Some(Answer::Refusal(refusal)) => {
                if refusal.reason() == raftpb::refusal::Reason::SenderRemoved {
                    removed();
                }
                Err(unreachable(refusal.message))
            }
            Some(answer) => Ok(answer),
        }
    }

    async fn ask_vote(
        &self,
        request: &VoteRequest<Types>,
        pre_vote: bool,
        option: &RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        let body = Body::Vote(wire::vote_request(request, pre_vote));
        match self.ask(RPCTypes::Vote, body, option.hard_ttl()).await? {
            Answer::Vote(response) => wire::to_vote_response(&response).map_err(nonsense),
            _ => Err(nonsense("another answer than to a vote")),
        }
    }

    async fn send_pieces(&self, vote: &Vote, snapshot: Snapshot0) -> Result<Vote, RPCError<Types>> {
        let snapshot_id = runtime::random_u64();
        let mut pieces = snapshot.snapshot.peekable();
        for number in 0.. {
            let data = pieces.next().transpose().map_err(unreachable)?.unwrap_or_default();
            let piece = raftpb::SnapshotPiece {
                vote: Some(wire::vote(vote)),
                snapshot_id,
                number,
                checksum: crc32fast::hash(&data),
                data,
                is_last: pieces.peek().is_none(),
                last_log_id: snapshot.meta.last_log_id.as_ref().map(wire::log_id),
                membership: Some(wire::stored(&snapshot.meta.last_membership)),
            };
            let is_last = piece.is_last;
            metrics::counter!("tidewater_raft_snapshot_bytes_sent_total").increment(piece.data.len() as u64);
            match self.ask(RPCTypes::InstallSnapshot, Body::Snapshot(piece), PIECE_TIMEOUT).await? {
                Answer::Snapshot(answer) => {
                    let theirs = wire::to_vote(answer.vote.as_ref()).map_err(nonsense)?;
                    // They follow somebody else: this attempt is void.
                    if is_last || theirs > *vote {
                        return Ok(theirs);
                    }
                    if answer.wanted != number + 1 {
                        return Err(nonsense(format!("piece {} is wanted after {number}", answer.wanted)));
                    }
                }
                _ => return Err(nonsense("another answer than to a snapshot")),
            }
        }
        Err(nonsense("a snapshot without end"))
    }
}

impl RaftNetworkV2<Types> for Link {
    type SnapshotData = Pieces;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        let body = Body::Append(wire::append(&rpc));
        // A loaded follower is slow; to ask it again does not make it faster.
        let limit =
            option.hard_ttl().max(if self.is_for_heartbeats { HEARTBEAT_TIMEOUT } else { APPEND_TIMEOUT });
        match self.ask(RPCTypes::AppendEntries, body, limit).await? {
            Answer::Append(response) => {
                let response = wire::to_append_response(&response).map_err(nonsense)?;
                // Heart beats overtake entries: by the time this is read, what the follower lacked may be there, and the leader would believe
                // that it was lost. What a follower lacks is found out on the other way.
                match response {
                    AppendEntriesResponse::Conflict if self.is_for_heartbeats => {
                        Err(unreachable("the follower is behind"))
                    }
                    response => Ok(response),
                }
            }
            _ => Err(nonsense("another answer than to entries")),
        }
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        self.ask_vote(&rpc, false, &option).await
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        self.ask_vote(&rpc, true, &option).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot0,
        cancel: impl Future<Output = ReplicationClosed> + openraft::OptionalSend + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let sending = pin!(self.send_pieces(&vote, snapshot));
        match select(pin!(cancel), sending).await {
            Either::Left((closed, _)) => Err(StreamingError::Closed(closed)),
            Either::Right((Ok(vote), _)) => Ok(SnapshotResponse::new(vote)),
            Either::Right((Err(error), _)) => Err(error.into()),
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Types>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Types>, RPCError<Types>> {
        let body = Body::Transfer(raftpb::TransferRequest {
            from: Some(wire::vote(request.from_leader())),
            to_peer: *request.to_node_id(),
            last: request.last_log_id().map(wire::log_id),
        });
        match self.ask(RPCTypes::TransferLeader, body, option.hard_ttl()).await? {
            Answer::Transfer(raftpb::TransferResponse { accepted: true }) => Ok(Ok(())),
            Answer::Transfer(_) => Err(unreachable("the transfer was refused")),
            _ => Err(nonsense("another answer than to a transfer")),
        }
    }
}
