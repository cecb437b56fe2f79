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
use prost::Message;
use tidewater_proto::raftpb::{self, refusal::Reason, request::Body, response::Body as Answer};

use crate::{
    machine::{Data, Snapshot0},
    traffic::Traffic,
    types::{Types, Vote},
    wire,
};

/// For entries to be answered, at least.
const APPEND_TIMEOUT: Duration = Duration::from_secs(2);
/// For a heart beat to be answered, at least.
const HEARTBEAT_TIMEOUT: Duration = Duration::from_millis(500);

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
    pub(crate) traffic: Arc<Traffic>,
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
    pub(crate) sender: Sender,
    to_peer: u64,
    to_store: u64,
    is_for_heartbeats: bool,
}

pub(crate) fn unreachable(reason: impl ToString) -> RPCError<Types> {
    RPCError::Unreachable(Unreachable::new(&AnyError::error(reason.to_string())))
}

pub(crate) fn nonsense(answer: impl ToString) -> RPCError<Types> {
    RPCError::Network(NetworkError::new(&AnyError::error(answer.to_string())))
}

/// Why a request has no answer.
pub(crate) enum Unanswered {
    /// The same may be answered later.
    Lost(RPCError<Types>),
    /// It never will.
    Final(RPCError<Types>),
}

impl From<Unanswered> for RPCError<Types> {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::Lost(error) | Unanswered::Final(error) => error,
        }
    }
}

impl Link {
    async fn ask(&self, kind: RPCTypes, body: Body, limit: Duration) -> Result<Answer, RPCError<Types>> {
        Ok(self.try_ask(kind, body, limit).await?)
    }

    pub(crate) async fn try_ask(
        &self,
        kind: RPCTypes,
        body: Body,
        limit: Duration,
    ) -> Result<Answer, Unanswered> {
        let Sender { group_id, peer_id, store_id, transport, removed, .. } = &self.sender;
        let request = raftpb::Request {
            group_id: *group_id,
            from_peer: *peer_id,
            from_store: *store_id,
            to_peer: self.to_peer,
            to_store: self.to_store,
            body: Some(body),
        };
        let answer = match tokio::time::timeout(limit, transport.send(request)).await {
            Ok(answer) => answer.map_err(|error| Unanswered::Lost(unreachable(error)))?,
            Err(_) => {
                return Err(Unanswered::Lost(RPCError::Timeout(Timeout {
                    action: kind,
                    id: *peer_id,
                    target: self.to_peer,
                    timeout: limit,
                })));
            }
        };
        match answer.body {
            None => Err(Unanswered::Final(nonsense("an empty answer"))),
            Some(Answer::Refusal(refusal)) => {
                if refusal.reason() == Reason::SenderRemoved {
                    removed();
                }
                let is_passing = refusal.reason() == Reason::NotReady;
                let error = unreachable(refusal.message);
                Err(if is_passing { Unanswered::Lost(error) } else { Unanswered::Final(error) })
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
}

impl RaftNetworkV2<Types> for Link {
    type SnapshotData = Data;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        let append = wire::append(&rpc);
        // Entries that nobody takes are not kept in memory: they are read again after a pause.
        let room = match append.entries.is_empty() {
            true => None,
            false => {
                let room = self.sender.traffic.begin_append(self.to_store, append.encoded_len());
                Some(room.ok_or_else(|| unreachable("the store has too many entries to answer"))?)
            }
        };
        let body = Body::Append(append);
        // A loaded follower is slow; to ask it again does not make it faster.
        let limit =
            option.hard_ttl().max(if self.is_for_heartbeats { HEARTBEAT_TIMEOUT } else { APPEND_TIMEOUT });
        let answer = self.ask(RPCTypes::AppendEntries, body, limit).await;
        drop(room);
        match answer? {
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
        let openraft::Snapshot { meta, snapshot } = snapshot;
        let sending = pin!(self.send_snapshot(&vote, &meta, snapshot));
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
