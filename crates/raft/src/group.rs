//! One member of one group.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use openraft::{
    ChangeMembers, Raft, ReadPolicy, ServerState,
    async_runtime::watch::WatchReceiver,
    errors::{ClientWriteError, ForwardToLeader, RaftError},
    raft::TransferLeaderRequest,
};
use parking_lot::Mutex;
use tidewater_proto::raftpb::{self, refusal::Reason, request::Body, response::Body as Answer};
use tokio::time::Instant;

use crate::{
    machine::{Adapter, AppliedMark, Data},
    receive::{Receiver, Taken},
    spool::Spooling,
    traffic::Traffic,
    types::{Applied, Command, CommittedLeader, Membership, Responder, Types, Vote},
    wire,
};

pub(crate) type RaftHandle = Raft<Types, Adapter>;

/// What a member does in its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It takes proposals.
    Leader,
    /// It would like to lead.
    Candidate,
    /// It votes, and follows.
    Follower,
    /// It follows without a vote.
    Learner,
}

/// How a group looks from one of its members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The latest term this member knows of.
    pub term: u64,
    /// What it does itself.
    pub role: Role,
    /// The peer that leads, if one is known.
    pub leader: Option<u64>,
    /// Who takes part, as far as is certain.
    pub membership: Membership,
}

/// Whom a group tells about changes. Called from within an async runtime: must not block.
pub trait Observer: Send + Sync + 'static {
    /// Role, leader, term or members have changed.
    fn status_changed(&self, status: &Status);

    /// Another member says that this one was removed. It may be mistaken: ask who knows before anything is deleted.
    fn maybe_removed(&self);
}

/// Why a proposal, or a read, was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// It certainly did not happen: somebody else leads, or nobody.
    #[error("this member does not lead{}", leader.map_or(String::new(), |(peer, store)| format!(": peer {peer} on store {store} does")))]
    NotLeader {
        /// The peer that leads, and its store, if known.
        leader: Option<(u64, u64)>,
    },
    /// It may have happened, or may still happen.
    #[error("leadership was lost before the entry was committed")]
    Unknown,
    /// Members are being changed already, or cannot be changed so.
    #[error("the members cannot be changed: {0}")]
    Membership(String),
    /// The member has stopped.
    #[error("the member has stopped: {0}")]
    Stopped(String),
}

/// Lengths of time that follow from the configuration.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    /// For so long after a majority has answered, no other leader can be elected.
    pub(crate) lease: Duration,
}

/// A member's handle; the member lives until [`RaftNode::stop`](crate::RaftNode::stop).
pub struct Group {
    pub(crate) id: u64,
    pub(crate) peer_id: u64,
    pub(crate) raft: RaftHandle,
    pub(crate) mark: Arc<AppliedMark>,
    pub(crate) timing: Timing,
    pub(crate) opened: Instant,
    /// Before this a member that has voted before it was started gives no votes: it may have promised a leader not to.
    pub(crate) quiet_until: Instant,
    /// Microseconds after `opened` until which the lease was good when last looked at.
    lease_until: AtomicU64,
    /// The term in which the lease was given up, for leadership was handed over.
    waived_term: AtomicU64,
    /// The last term in which a proposal of this member's was given up without an answer. If that is because log or state machine have failed, entries
    /// may be committed that are not, and never will be, applied here.
    halted_term: Arc<AtomicU64>,
    /// Whether it must not lead, whatever happens.
    is_unfit: AtomicBool,
    /// Whether the others are being asked for the lease.
    is_asking: AtomicBool,
    pub(crate) receiver: Receiver,
    traffic: Arc<Traffic>,
    pub(crate) activity: AtomicU64,
    pub(crate) asleep: AtomicBool,
    /// When it was last woken, in milliseconds after it was opened.
    woken_ms: AtomicU64,
    /// The store that sent it to sleep.
    pub(crate) leader_store: AtomicU64,
}

struct Asking<'g>(&'g AtomicBool);

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

pub(crate) fn refusal(reason: Reason, message: impl Into<String>) -> raftpb::Response {
    let refusal = raftpb::Refusal { reason: reason.into(), message: message.into() };
    raftpb::Response { body: Some(Answer::Refusal(refusal)) }
}

fn leader_of(forward: &ForwardToLeader<Types>) -> Option<(u64, u64)> {
    forward.leader_id.zip(forward.leader_node)
}

fn stopped(error: impl ToString) -> GroupError {
    GroupError::Stopped(error.to_string())
}

impl From<ClientWriteError<Types>> for GroupError {
    fn from(error: ClientWriteError<Types>) -> Self {
        match error {
            ClientWriteError::ForwardToLeader(forward) => Self::NotLeader { leader: leader_of(&forward) },
            ClientWriteError::LogEntryDiscarded(_) => Self::Unknown,
            other => Self::Membership(other.to_string()),
        }
    }
}

impl From<RaftError<Types, ClientWriteError<Types>>> for GroupError {
    fn from(error: RaftError<Types, ClientWriteError<Types>>) -> Self {
        match error {
            RaftError::APIError(error) => error.into(),
            RaftError::Fatal(fatal) => stopped(fatal),
        }
    }
}

impl Group {
    pub(crate) fn new(
        id: u64,
        peer_id: u64,
        raft: RaftHandle,
        mark: Arc<AppliedMark>,
        timing: Timing,
        quiet: Duration,
        traffic: Arc<Traffic>,
    ) -> Self {
        let opened = Instant::now();
        Self {
            id,
            peer_id,
            raft,
            mark,
            timing,
            opened,
            quiet_until: opened + quiet,
            lease_until: AtomicU64::new(0),
            waived_term: AtomicU64::new(0),
            halted_term: Arc::default(),
            is_unfit: AtomicBool::new(false),
            is_asking: AtomicBool::new(false),
            receiver: Receiver::new(traffic.clone(), id, peer_id),
            traffic,
            activity: AtomicU64::new(0),
            asleep: AtomicBool::new(false),
            woken_ms: AtomicU64::new(0),
            leader_store: AtomicU64::new(0),
        }
    }

    /// The group.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// This member of it.
    pub fn peer_id(&self) -> u64 {
        self.peer_id
    }

    /// How the group looks from here.
    pub fn status(&self) -> Status {
        status_of(&self.raft)
    }

    /// Whether its clocks stand still, for nothing happens.
    pub fn is_asleep(&self) -> bool {
        self.asleep.load(Ordering::Acquire)
    }

    /// The last entry this member has applied.
    pub fn applied_index(&self) -> Option<u64> {
        self.mark.index()
    }

    /// Waits until this member has applied an entry; for ever if it stops before.
    pub async fn wait_applied(&self, index: u64) {
        self.mark.wait_for(index).await;
    }

    /// Appends a command, if this member leads, and in `term` if one is given. `done` gets the state machine's answer, on the way of the entries
    /// and before any later one is applied: it must be quick. It is called in any case.
    ///
    /// Whoever has read the state as the leader of a term, and proposes in that term, knows that nobody has changed it in between but by
    /// proposals of this member.
    pub async fn propose_with(
        &self,
        term: Option<u64>,
        command: Bytes,
        done: impl FnOnce(Result<Bytes, GroupError>) + Send + 'static,
    ) {
        self.wake();
        let done = Arc::new(Mutex::new(Some(done)));
        let later = done.clone();
        let halted_term = self.halted_term.clone();
        let proposed_in = term.unwrap_or_else(|| self.status().term);
        let responder = Responder::new(move |result| {
            // Whoever was refused at once has been told already.
            let Some(done) = later.lock().take() else { return };
            // Nobody answers: the member has stopped, or is about to, or does not lead any more. The lease of that term goes before anybody acts on
            // the outcome.
            if result.is_none() {
                halted_term.fetch_max(proposed_in, Ordering::AcqRel);
            }
            let result = match result {
                Some(Ok(response)) => Ok(response),
                Some(Err(error)) => Err(GroupError::from(error)),
                None => Err(GroupError::Unknown),
            };
            done(result.map(|response: openraft::raft::ClientWriteResponse<Types>| response.data));
        });
        // A member that has stopped drops the responder, and that reports an unknown outcome.
        if let Err(fatal) = self.propose_raw(term, command, responder, &done).await {
            tracing::debug!(group = self.id, error = %fatal, "a proposal was not taken");
        }
    }

    async fn propose_raw<F>(
        &self,
        term: Option<u64>,
        command: Bytes,
        responder: Responder,
        done: &Mutex<Option<F>>,
    ) -> Result<(), GroupError>
    where
        F: FnOnce(Result<Bytes, GroupError>) + Send,
    {
        // Known to be hopeless: no way through the queue.
        if !self.raft.is_leader() {
            let status = self.status();
            let store = |peer| status.membership.members.get(&peer).map(|store| (peer, *store));
            let error = GroupError::NotLeader { leader: status.leader.and_then(store) };
            if let Some(done) = done.lock().take() {
                done(Err(error.clone()));
            }
            return Err(error);
        }
        let request = self.raft.write(Command(command)).responder(responder);
        let request = match term {
            Some(term) => request.with_leader(CommittedLeader::new(term)),
            None => request,
        };
        request.await.map_err(stopped)
    }

    /// Appends a command and waits for the state machine's answer.
    ///
    /// # Errors
    /// See [`GroupError`]: only [`GroupError::Unknown`] leaves open whether it happened.
    pub async fn propose(&self, command: Bytes) -> Result<Bytes, GroupError> {
        let (done, answer) = tokio::sync::oneshot::channel();
        self.propose_with(None, command, move |result| drop(done.send(result))).await;
        answer.await.unwrap_or(Err(GroupError::Unknown))
    }

    /// The term in which the state machine can be read here and now, if it can: see [`Self::has_lease`].
    pub fn leased_term(&self) -> Option<u64> {
        self.has_lease().then(|| self.mark.term())
    }

    /// Whether the state machine can be read here and now: this member leads, no other can, and all that was acknowledged is applied.
    ///
    /// Costs a look at the clock. Where it fails, [`Self::read_barrier`] asks the others.
    pub fn has_lease(&self) -> bool {
        let halted_term = self.halted_term.load(Ordering::Acquire);
        if halted_term > 0 && self.mark.term() <= halted_term {
            return false;
        }
        let now = Instant::now();
        let since = now.saturating_duration_since(self.opened).as_micros() as u64;
        if since < self.lease_until.load(Ordering::Acquire) {
            return true;
        }
        self.renew_lease(now)
    }

    /// Looks the lease up in the member itself.
    fn renew_lease(&self, now: Instant) -> bool {
        let (term, is_alone) = {
            let metrics = self.raft.server_metrics();
            let metrics = metrics.borrow_watched();
            if metrics.state != ServerState::Leader {
                return false;
            }
            let membership = metrics.membership_config.membership();
            let is_alone = membership.get_joint_config().iter().all(|voters| voters.len() == 1)
                && membership.voter_ids().eq([self.peer_id]);
            (metrics.vote.leader_id.term, is_alone)
        };
        // What earlier leaders have acknowledged is applied once an entry of this one's term is.
        if self.mark.term() != term || self.waived_term.load(Ordering::Acquire) >= term {
            return false;
        }
        let acked = match is_alone {
            true => Some(now),
            false => self
                .raft
                .data_metrics()
                .borrow_watched()
                .last_quorum_acked
                .map(|acked| now - openraft::Instant::elapsed(&*acked)),
        };
        let Some(until) = acked.map(|acked| acked + self.timing.lease).filter(|until| *until > now) else {
            return false;
        };
        let micros = until.saturating_duration_since(self.opened).as_micros() as u64;
        self.lease_until.fetch_max(micros, Ordering::AcqRel);
        // Leadership may have been handed over between the two looks.
        if self.waived_term.load(Ordering::Acquire) >= term {
            self.lease_until.store(0, Ordering::Release);
            return false;
        }
        true
    }

    /// Whether this member runs, and leads as far as it knows.
    pub fn is_leading(&self) -> bool {
        // The role stays as it was when a member stops.
        self.raft.metrics().borrow_watched().running_state.is_ok() && self.status().role == Role::Leader
    }

    /// Renews the lease by a word with the others, unless somebody is doing so.
    ///
    /// # Errors
    /// See [`Self::read_barrier`].
    pub async fn ask_the_others(&self) -> Result<(), GroupError> {
        if self.is_asking.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        // Also if this is given up.
        let _asking = Asking(&self.is_asking);
        self.read_barrier().await
    }

    /// Waits until this member, as the leader, has applied all that anybody was promised before the call.
    ///
    /// # Errors
    /// This member does not lead, or a majority cannot be reached.
    pub async fn read_barrier(&self) -> Result<(), GroupError> {
        self.wake();
        use openraft::errors::LinearizableReadError as Error;
        match self.raft.ensure_linearizable(ReadPolicy::ReadIndex).await {
            Ok(_) => Ok(()),
            Err(RaftError::APIError(Error::ForwardToLeader(forward))) => {
                Err(GroupError::NotLeader { leader: leader_of(&forward) })
            }
            Err(RaftError::APIError(Error::QuorumNotEnough(_))) => {
                Err(GroupError::NotLeader { leader: None })
            }
            Err(RaftError::Fatal(fatal)) => Err(stopped(fatal)),
        }
    }

    /// Adds a member that does not vote. It is caught up in the background.
    ///
    /// # Errors
    /// See [`GroupError`].
    pub async fn add_learner(&self, peer_id: u64, store_id: u64) -> Result<(), GroupError> {
        self.wake();
        Ok(self.raft.add_learner(peer_id, store_id, false).await.map(drop)?)
    }

    /// Gives votes to learners and takes members away, in one change of the voters.
    ///
    /// # Errors
    /// See [`GroupError`].
    pub async fn change_voters(
        &self,
        promoted: impl IntoIterator<Item = u64>,
        removed: impl IntoIterator<Item = u64>,
    ) -> Result<(), GroupError> {
        self.wake();
        let membership = self.status().membership;
        let (voters, learners): (BTreeSet<_>, BTreeSet<_>) =
            removed.into_iter().partition(|peer| membership.is_voter(*peer));
        let promoted: BTreeSet<_> = promoted.into_iter().collect();
        let steps = [
            (!promoted.is_empty()).then_some(ChangeMembers::AddVoterIds(promoted)),
            // Who loses the vote is no member any more, since nothing is retained.
            (!voters.is_empty()).then_some(ChangeMembers::RemoveVoters(voters)),
            (!learners.is_empty()).then_some(ChangeMembers::RemoveNodes(learners)),
        ];
        let change = ChangeMembers::Batch(steps.into_iter().flatten().collect());
        Ok(self.raft.change_membership(change, false).await.map(drop)?)
    }

    /// Whether a member has, or nearly has, all entries: the leader's view.
    pub fn is_caught_up(&self, peer_id: u64, lag_max: u64) -> bool {
        let metrics = self.raft.data_metrics();
        let metrics = metrics.borrow_watched();
        let Some(last) = metrics.last_log.as_ref().map(|id| id.index) else { return false };
        let matched = metrics.replication.as_ref().and_then(|members| members.get(&peer_id)?.as_ref());
        matched.is_some_and(|matched| matched.index + lag_max >= last)
    }

    /// Members that have not answered the leader for as long as given, at least, and since when. Nobody is asked while the group sleeps:
    /// that is not silence.
    pub fn silent_members(&self, at_least: Duration) -> Vec<(u64, Duration)> {
        if self.is_asleep() {
            return Vec::new();
        }
        let awake = self
            .opened
            .elapsed()
            .saturating_sub(Duration::from_millis(self.woken_ms.load(Ordering::Acquire)));
        let metrics = self.raft.data_metrics();
        let metrics = metrics.borrow_watched();
        let answered = metrics.heartbeat.iter().flatten();
        let silence = answered.filter_map(|(peer, answered)| {
            let silence = openraft::Instant::elapsed(&**answered.as_ref()?).min(awake);
            (*peer != self.peer_id && silence >= at_least).then_some((*peer, silence))
        });
        silence.collect()
    }

    /// Hands leadership to a voter, which should have all entries. Whether it takes it shows in [`Self::status`].
    ///
    /// # Errors
    /// The peer does not vote or is behind: the group would stop for seconds. Or this member does not lead.
    pub async fn transfer_leader(&self, peer_id: u64) -> Result<(), GroupError> {
        self.wake();
        let status = self.status();
        if status.role != Role::Leader {
            return Err(GroupError::NotLeader { leader: None });
        }
        if peer_id == self.peer_id {
            return Ok(());
        }
        if !status.membership.is_voter(peer_id) || !self.is_caught_up(peer_id, 64) {
            return Err(GroupError::Membership(format!("peer {peer_id} is not ready to lead")));
        }
        // From here on the others may elect it at once, whatever they have promised.
        let waived_before = self.waived_term.fetch_max(status.term, Ordering::AcqRel);
        self.lease_until.store(0, Ordering::Release);
        self.raft.trigger().transfer_leader(peer_id).await.map_err(stopped)?;
        // Once in a term, however often it is tried.
        if waived_before < status.term {
            tokio::spawn(step_down_unfollowed(self.raft.clone(), peer_id, status.term, self.timing.lease));
        }
        Ok(())
    }

    /// Asks for votes at once. Only for a group nobody has led yet: elsewhere it disturbs the leader.
    ///
    /// # Errors
    /// The member has stopped.
    pub async fn campaign(&self) -> Result<(), GroupError> {
        if self.is_unfit() {
            return Err(GroupError::Membership("this member is not to lead".to_owned()));
        }
        self.raft.trigger().elect(false).await.map_err(stopped)
    }

    /// Never stands for election any more, as long as it runs, nor takes leadership over. It votes and follows as before. If it leads, it goes on until
    /// it hands over.
    pub fn stand_down(&self) {
        self.is_unfit.store(true, Ordering::Release);
        self.raft.runtime_config().elect(false);
    }

    pub(crate) fn is_unfit(&self) -> bool {
        self.is_unfit.load(Ordering::Acquire)
    }

    /// Notes that something happens: a group that sleeps is woken.
    pub(crate) fn wake(&self) {
        self.activity.fetch_add(1, Ordering::Relaxed);
        if self.asleep.load(Ordering::Acquire) {
            self.woken_ms.store(self.opened.elapsed().as_millis() as u64, Ordering::Release);
        }
        if self.asleep.swap(false, Ordering::AcqRel) {
            self.raft.runtime_config().tick(true);
        }
    }

    pub(crate) async fn handle(self: &Arc<Self>, request: raftpb::Request) -> raftpb::Response {
        if request.to_peer != self.peer_id {
            // Ids only grow: a smaller one was here before and is gone.
            let reason = match request.to_peer < self.peer_id {
                true => Reason::ReceiverRemoved,
                false => Reason::NotReady,
            };
            return refusal(reason, format!("group {} is peer {} here", self.id, self.peer_id));
        }
        match request.body {
            Some(Body::Append(message)) => {
                self.wake();
                self.handle_append(message).await
            }
            Some(Body::Vote(message)) => self.handle_vote(request.from_peer, &message).await,
            Some(Body::Transfer(message)) => self.handle_transfer(&message).await,
            Some(Body::Snapshot(piece)) => self.handle_piece(piece).await,
            Some(Body::Sleep(message)) => self.handle_sleep(request.from_store, &message),
            None => refusal(Reason::Malformed, "an empty request"),
        }
    }

    async fn handle_append(&self, message: raftpb::AppendRequest) -> raftpb::Response {
        let request = match wire::to_append(message) {
            Ok(request) => request,
            Err(error) => return refusal(Reason::Malformed, error.to_string()),
        };
        match self.raft.append_entries(request).await {
            Ok(response) => raftpb::Response { body: Some(Answer::Append(wire::append_response(&response))) },
            Err(error) => refusal(Reason::NotReady, error.to_string()),
        }
    }

    async fn handle_vote(&self, from_peer: u64, message: &raftpb::VoteRequest) -> raftpb::Response {
        let request = match wire::to_vote_request(message) {
            Ok(request) => request,
            Err(error) => return refusal(Reason::Malformed, error.to_string()),
        };
        let status = self.status();
        let is_known =
            status.membership.members.is_empty() || status.membership.members.contains_key(&from_peer);
        if !is_known && status.leader.is_some() {
            return refusal(
                Reason::SenderRemoved,
                format!("peer {from_peer} is no member of group {}", self.id),
            );
        }
        // The member may have promised a leader its loyalty before it was started again, and has forgotten.
        if Instant::now() < self.quiet_until && !request.leadership_transfer {
            return refusal(Reason::NotReady, "started a moment ago");
        }
        self.wake();
        let response = match message.pre_vote {
            true => self.raft.pre_vote(request).await,
            false => self.raft.vote(request).await,
        };
        match response {
            Ok(response) => raftpb::Response { body: Some(Answer::Vote(wire::vote_response(&response))) },
            Err(error) => refusal(Reason::NotReady, error.to_string()),
        }
    }

    async fn handle_transfer(&self, message: &raftpb::TransferRequest) -> raftpb::Response {
        self.wake();
        if self.is_unfit() {
            let answer = raftpb::TransferResponse { accepted: false };
            return raftpb::Response { body: Some(Answer::Transfer(answer)) };
        }
        let from = match wire::to_vote(message.from.as_ref()) {
            Ok(from) => from,
            Err(error) => return refusal(Reason::Malformed, error.to_string()),
        };
        let request =
            TransferLeaderRequest::new(from, message.to_peer, message.last.as_ref().map(wire::to_log_id));
        match self.raft.handle_transfer_leader(request).await {
            Ok(result) => {
                let accepted = result.is_ok();
                raftpb::Response { body: Some(Answer::Transfer(raftpb::TransferResponse { accepted })) }
            }
            Err(error) => refusal(Reason::NotReady, error.to_string()),
        }
    }

    async fn handle_piece(self: &Arc<Self>, piece: raftpb::SnapshotPiece) -> raftpb::Response {
        self.wake();
        let vote = match wire::to_vote(piece.vote.as_ref()) {
            Ok(vote) => vote,
            Err(error) => return refusal(Reason::Malformed, error.to_string()),
        };
        let own = self.raft.server_metrics().borrow_watched().vote;
        if own > vote {
            return self.wanted(Some(wire::vote(&own)), 0);
        }
        match self.receiver.take(&piece) {
            Taken::Wanted(number) => self.wanted(piece.vote, number),
            Taken::Busy(reason) => refusal(Reason::NotReady, reason),
            Taken::All(spooling) => {
                // It goes on if the one who asked goes away.
                let installing = tokio::spawn(self.clone().install(vote, piece, spooling));
                match installing.await {
                    Ok(response) => response,
                    Err(error) => refusal(Reason::NotReady, error.to_string()),
                }
            }
        }
    }

    async fn install(
        self: Arc<Self>,
        vote: Vote,
        last: raftpb::SnapshotPiece,
        spooling: Spooling,
    ) -> raftpb::Response {
        let _counted = self.traffic.begin_installing();
        let membership = last.membership.as_ref().ok_or(wire::Malformed::Missing("the membership"));
        let response = match membership.and_then(wire::to_stored) {
            Ok(last_membership) => {
                let last_log_id = last.last_log_id.as_ref().map(wire::to_log_id);
                let meta = openraft::SnapshotMeta { last_log_id, last_membership };
                tracing::info!(group = self.id, position = ?Applied::of(&meta).position, "a snapshot arrived");
                match self.receiver.finish(spooling).await {
                    Ok(spooled) => {
                        let snapshot = openraft::Snapshot { meta, snapshot: Data::Incoming(spooled) };
                        let installed = self.raft.install_full_snapshot(vote, snapshot).await;
                        installed.map_err(|error| refusal(Reason::NotReady, error.to_string()))
                    }
                    Err(error) => Err(refusal(Reason::NotReady, error.to_string())),
                }
            }
            Err(error) => Err(refusal(Reason::Malformed, error.to_string())),
        };
        self.receiver.installed(response.is_ok());
        match response {
            Ok(response) => self.wanted(Some(wire::vote(&response.vote)), last.number + 1),
            Err(refusal) => refusal,
        }
    }

    fn wanted(&self, vote: Option<raftpb::Vote>, wanted: u32) -> raftpb::Response {
        raftpb::Response { body: Some(Answer::Snapshot(raftpb::SnapshotResponse { vote, wanted })) }
    }

    fn handle_sleep(&self, from_store: u64, message: &raftpb::SleepRequest) -> raftpb::Response {
        let last = self.raft.data_metrics().borrow_watched().last_log.as_ref().map(wire::log_id);
        let vote = wire::vote(&self.raft.server_metrics().borrow_watched().vote);
        let asleep = last == message.last && Some(&vote) == message.vote.as_ref();
        self.leader_store.store(from_store, Ordering::Relaxed);
        if asleep && !self.asleep.swap(true, Ordering::AcqRel) {
            self.raft.runtime_config().tick(false);
        }
        raftpb::Response { body: Some(Answer::Sleep(raftpb::SleepResponse { asleep })) }
    }
}

/// A leader that has handed over and was not followed cannot go on in its term: it has no lease, and takes no proposals, but its heart beats keep
/// everybody else from standing. After a while it votes in the next term, by which it stops leading this one, for the one it had chosen, `heir`; then
/// anybody stands. (By a vote for itself it would lead nothing, and never stand again: openraft takes it for a leader still.)
async fn step_down_unfollowed(raft: RaftHandle, heir: u64, term: u64, patience: Duration) {
    tokio::time::sleep(patience).await;
    let status = status_of(&raft);
    if status.role != Role::Leader || status.term != term {
        return;
    }
    tracing::info!(peer = heir, term, "did not take leadership over");
    let message = raftpb::VoteRequest {
        vote: Some(raftpb::Vote { term: term + 1, peer_id: heir, committed: false }),
        // No log is longer: nobody compares logs with himself.
        last: Some(raftpb::LogId { term: term + 1, index: u64::MAX }),
        leadership_transfer: true,
        pre_vote: false,
    };
    if let Ok(request) = wire::to_vote_request(&message) {
        let _ = raft.vote(request).await;
    }
}

pub(crate) fn status_of(raft: &RaftHandle) -> Status {
    let metrics = raft.server_metrics();
    let metrics = metrics.borrow_watched();
    let role = match metrics.state {
        ServerState::Leader => Role::Leader,
        ServerState::Candidate => Role::Candidate,
        ServerState::Learner => Role::Learner,
        _ => Role::Follower,
    };
    Status {
        term: metrics.vote.leader_id.term,
        role,
        leader: metrics.current_leader,
        membership: Membership::of(metrics.committed_membership_config.membership()),
    }
}
