//! A member: it follows, or leads and answers.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::{Mutex, RwLock};
use tidewater_proto::pdpeerpb::{self, change_request::Change, change_response::Outcome};
use tidewater_proto::{PdPeer, PdPeerConnector, TransportError, raftpb};
use tidewater_raft::{Group, GroupError, LogDevice, Observer, RaftNode, Role, Spools, Status};
use tidewater_types::clock::WallClock;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};

use super::found::{self, Identity};
use super::leadership::Leadership;
use super::link::Links;
use super::state::{Machine, SessionId, State};
use super::{MemberConfig, MemberError, roster};
use crate::storage::Storage;
use crate::{OpenError, PlacementDriver, StorageError, records};

/// How often a member looks after its leadership when nobody tells it about changes.
const LEADER_TURN: Duration = Duration::from_millis(50);
/// How often a member looks after everything else.
const HOUSE_TURN: Duration = Duration::from_millis(100);
/// How long another member may take to answer about members.
const PEER_PATIENCE: Duration = Duration::from_secs(3);
/// Without a leader for this long a member asks whether it was removed.
const LEADERLESS_PATIENCE: Duration = Duration::from_secs(5);
/// A member that has reason to think that it was removed asks this often.
const SUSPICION_TURN: Duration = Duration::from_secs(1);
/// A member that has not answered for this long does not count when another one is to be removed.
const SILENCE_MAX: Duration = Duration::from_secs(3);
/// Entries that a newcomer may be behind when it gets its vote.
const CATCH_UP_LAG: u64 = 16;
/// How long a leader that resigns waits for the other one to take over.
const RESIGN_PATIENCE: Duration = Duration::from_secs(1);
/// How often the log is asked whether it still works.
const HEALTH_TURN: Duration = Duration::from_secs(2);

/// One of the members of a placement driver.
///
/// As a [`PdService`](tidewater_proto::PdService) it answers while it leads; as a [`PdPeer`] it answers the other members.
pub struct Member {
    config: MemberConfig,
    identity: Mutex<Identity>,
    id: u64,
    group_id: u64,
    state: Arc<RwLock<State>>,
    storage: Arc<dyn Storage>,
    node: Arc<RaftNode>,
    pub(super) group: Arc<Group>,
    links: Arc<Links>,
    clock: Arc<dyn WallClock>,
    session: RwLock<Option<Arc<Session>>>,
    /// How many sessions this process has begun.
    sessions: AtomicU64,
    watcher: Arc<Watcher>,
    /// One change of members at a time.
    changing: tokio::sync::Mutex<()>,
    failure: watch::Sender<Option<Arc<MemberError>>>,
    stopped: AtomicBool,
}

/// What a member answers with while it leads.
pub(super) struct Session {
    pub(super) leadership: Arc<Leadership>,
    pub(super) driver: Arc<PlacementDriver>,
}

/// Hears from Raft.
struct Watcher {
    changed: Arc<Notify>,
    maybe_removed: AtomicBool,
}

impl Observer for Watcher {
    fn status_changed(&self, _: &Status) {
        self.changed.notify_one();
    }

    fn maybe_removed(&self) {
        self.maybe_removed.store(true, Ordering::Relaxed);
    }
}

impl Member {
    /// Starts a member: over what it has left, or as one of the founders of a new cluster, or as a newcomer to a running one.
    ///
    /// The others must reach it soon after: a newcomer is filled, and the first leader elected, by messages.
    ///
    /// # Errors
    /// See [`MemberError`].
    pub async fn open(
        config: MemberConfig,
        storage: Arc<dyn Storage>,
        device: Arc<dyn LogDevice>,
        connector: Arc<dyn PdPeerConnector>,
        clock: Arc<dyn WallClock>,
    ) -> Result<Arc<Self>, MemberError> {
        let mut identity = found::settle(&config, &*storage, &connector, &*clock).await?;
        let state = State::of_stored(storage.load()?).map_err(|error| stopped(&error))?;
        let state = Arc::new(RwLock::new(state));
        let links =
            Arc::new(Links::new(state.clone(), connector, hints(&config, &identity, &state.read().records)));
        let (id, group_id) = (identity.id, identity.group_id);
        let node =
            Arc::new(RaftNode::new(id, config.raft.clone(), device, Spools::in_memory(), links.clone())?);
        tokio::spawn(RaftNode::watch_snapshots(Arc::downgrade(&node)));
        if identity.ready && node.is_log_empty(group_id)? {
            return Err(MemberError::LogLost { name: config.name });
        }
        if !identity.joined && !identity.ready {
            node.create_origin(group_id).await?;
            identity.ready = true;
            identity.save(&*storage)?;
        }
        let watcher = Arc::new(Watcher { changed: Arc::default(), maybe_removed: AtomicBool::new(false) });
        let machine = Box::new(Machine { state: state.clone(), storage: storage.clone() });
        let group = node.start(group_id, id, machine, watcher.clone()).await?;
        let member = Arc::new(Self {
            config,
            identity: Mutex::new(identity),
            id,
            group_id,
            state,
            storage,
            node,
            group,
            links,
            clock,
            session: RwLock::default(),
            sessions: AtomicU64::new(0),
            watcher,
            changing: tokio::sync::Mutex::default(),
            failure: watch::Sender::default(),
            stopped: AtomicBool::new(false),
        });
        if member.is_alone() {
            // Nobody is there who could be disturbed.
            let _ = member.group.campaign().await;
        }
        tokio::spawn(watch_leadership(Arc::downgrade(&member), member.watcher.changed.clone()));
        tokio::spawn(keep_house(Arc::downgrade(&member)));
        Ok(member)
    }

    /// Its id among the members.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The id of the cluster, once it is known.
    pub fn cluster_id(&self) -> Option<u64> {
        let state = self.state.read();
        let stored = state.records.get(records::CLUSTER_ID)?;
        records::decode_u64(records::CLUSTER_ID, stored).ok()
    }

    /// The driver, while this member leads.
    pub fn driver(&self) -> Option<Arc<PlacementDriver>> {
        self.leading().map(|session| session.driver.clone())
    }

    /// Whether this member leads, and nobody else can.
    pub fn is_leading(&self) -> bool {
        self.leading().is_some()
    }

    /// The members as seen from here.
    pub fn description(&self) -> pdpeerpb::Description {
        let status = self.group.status();
        let leader_id = match status.role {
            // Before it has a session, and after it has lost its lease, it may be mistaken.
            Role::Leader => self.leading().map_or(0, |_| self.id),
            _ => status.leader.filter(|leader| *leader != self.id).unwrap_or(0),
        };
        pdpeerpb::Description {
            group_id: self.group_id,
            cluster_id: self.cluster_id().unwrap_or(0),
            member_id: self.id,
            leader_id,
            members: roster::members(&self.state.read().records),
        }
    }

    /// Waits until this member is of use: it has its vote, and leads if it is the only one.
    ///
    /// # Errors
    /// The member has failed.
    pub async fn ready(&self) -> Result<(), Arc<MemberError>> {
        let is_ready = || {
            let has_vote = self.group.status().membership.is_voter(self.id);
            has_vote && (!self.is_alone() || self.is_leading())
        };
        while !is_ready() {
            if let Some(failure) = self.failure.borrow().clone() {
                return Err(failure);
            }
            sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// Waits until the member can go on no more, which may be never, and tells why.
    pub async fn failed(&self) -> Arc<MemberError> {
        let mut failure = self.failure.subscribe();
        loop {
            if let Some(failure) = failure.borrow_and_update().clone() {
                return failure;
            }
            if failure.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Stops without a word to the others; nothing that was acknowledged is lost.
    pub async fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        if let Some(session) = self.session.write().take() {
            session.leadership.end();
        }
        self.node.stop_all().await;
    }

    /// Hands leadership to another member, if this one leads and another one is ready: clients wait less than for an election.
    pub async fn resign(&self) {
        let status = self.group.status();
        let others = status.membership.members.keys().filter(|id| **id != self.id);
        let ready = others.copied().find(|id| {
            status.membership.is_voter(*id)
                && self.group.is_caught_up(*id, CATCH_UP_LAG)
                && self.group.silent_members(SILENCE_MAX).iter().all(|(silent, _)| silent != id)
        });
        let Some(successor) = ready.filter(|_| status.role == Role::Leader) else { return };
        if let Err(error) = self.group.transfer_leader(successor).await {
            return tracing::debug!(%error, successor, "leadership was not handed over");
        }
        let asked = Instant::now();
        while self.group.status().role == Role::Leader && asked.elapsed() < RESIGN_PATIENCE {
            sleep(Duration::from_millis(5)).await;
        }
    }

    fn is_alone(&self) -> bool {
        let membership = self.group.status().membership;
        !membership.is_joint() && membership.members.keys().eq([&self.id])
    }

    pub(super) fn current(&self) -> Option<Arc<Session>> {
        self.session.read().clone()
    }

    /// The session, if it has the lease.
    pub(super) fn leading(&self) -> Option<Arc<Session>> {
        self.current().filter(|session| session.leadership.has_lease())
    }

    fn fail(&self, error: MemberError) {
        tracing::error!(%error, "the member goes on no more");
        self.failure.send_if_modified(|failure| {
            let is_first = failure.is_none();
            failure.get_or_insert_with(|| Arc::new(error));
            is_first
        });
    }

    fn goes_on(&self) -> bool {
        !self.stopped.load(Ordering::Acquire) && self.failure.borrow().is_none()
    }

    /// Begins or ends a session, as Raft says.
    async fn mind_leadership(&self) {
        let status = self.group.status();
        let is_over = |session: &Arc<Session>| {
            let leadership = &session.leadership;
            !leadership.goes_on() || status.role != Role::Leader || leadership.term() != status.term
        };
        if let Some(session) = self.current().filter(is_over) {
            tracing::info!(member = self.id, term = session.leadership.term(), "does not lead any more");
            session.leadership.end();
            *self.session.write() = None;
        }
        if status.role == Role::Leader && self.session.read().is_none() {
            let since = Instant::now();
            match self.begin(status.term).await {
                Ok(session) => {
                    let took = since.elapsed();
                    tracing::info!(member = self.id, term = status.term, ?took, "leads");
                    let mut current = self.session.write();
                    *current = self.goes_on().then(|| Arc::new(session));
                }
                Err(OpenError::Storage(StorageError::NotLeader | StorageError::LeadershipLost)) => {
                    tracing::info!(member = self.id, term = status.term, "lost leadership at once");
                    // Its end was a notification: without a pause this would go round and round.
                    sleep(LEADER_TURN).await;
                }
                // The records are the same everywhere: another leader would not fare better.
                Err(error) => self.fail(error.into()),
            }
        }
    }

    async fn begin(&self, term: u64) -> Result<Session, OpenError> {
        let number = self.sessions.fetch_add(1, Ordering::Relaxed) + 1;
        let leadership = Arc::new(Leadership::new(
            self.group.clone(),
            SessionId { term, number },
            self.state.clone(),
            self.watcher.changed.clone(),
        ));
        let driver =
            PlacementDriver::lead(self.config.pd.clone(), leadership.clone(), self.clock.clone()).await?;
        Ok(Session { leadership, driver })
    }

    /// Brings Raft's members a step nearer to the records.
    async fn mend_membership(&self) -> Result<(), GroupError> {
        let Some(_session) = self.leading() else { return Ok(()) };
        let membership = self.group.status().membership;
        if membership.is_joint() {
            return Ok(());
        }
        let wanted: Vec<_> =
            roster::members(&self.state.read().records).into_iter().map(|member| member.id).collect();
        if let Some(newcomer) = wanted.iter().find(|id| !membership.members.contains_key(id)) {
            tracing::info!(member = newcomer, "is taken in");
            return self.group.add_learner(*newcomer, *newcomer).await;
        }
        let is_ready = |id: &&u64| !membership.is_voter(**id) && self.group.is_caught_up(**id, CATCH_UP_LAG);
        if let Some(ready) = wanted.iter().find(is_ready) {
            tracing::info!(member = ready, "gets its vote");
            return self.group.change_voters([*ready], []).await;
        }
        match membership.members.keys().find(|id| !wanted.contains(id)) {
            None => Ok(()),
            // The next leader does it.
            Some(leaver) if *leaver == self.id => {
                self.resign().await;
                Ok(())
            }
            Some(leaver) => {
                tracing::info!(member = leaver, "is removed");
                self.group.change_voters([], [*leaver]).await
            }
        }
    }

    /// Tells the cluster where this member is and which data it runs on.
    async fn publish(&self) {
        let me = {
            let identity = self.identity.lock();
            pdpeerpb::Member {
                id: self.id,
                name: identity.name.clone(),
                peer_urls: self.config.peer_urls.clone(),
                client_urls: self.config.client_urls.clone(),
                instance: identity.instance,
            }
        };
        let known = roster::member(&self.state.read().records, self.id);
        if known.as_ref() == Some(&me) || self.group.status().leader.is_none() {
            return;
        }
        let request = pdpeerpb::ChangeRequest {
            group_id: self.group_id,
            forwarded: false,
            change: Some(Change::Publish(me)),
        };
        let answer = self.handle_change(request).await;
        // Whoever lags behind may not know a newcomer yet; removal is found out elsewhere.
        if answer.outcome() == Outcome::Refused && known.is_some_and(|known| known.instance != 0) {
            self.fail(MemberError::Refused { reason: answer.reason });
        }
    }

    /// Asks the leader whether this member is one still.
    async fn ask_whether_removed(&self) {
        let mut ids: Vec<_> =
            roster::members(&self.state.read().records).into_iter().map(|member| member.id).collect();
        ids.extend(self.identity.lock().others.iter().map(|other| other.id));
        ids.sort_unstable();
        ids.dedup();
        for id in ids.into_iter().filter(|id| *id != self.id) {
            let Ok(Ok(told)) = timeout(PEER_PATIENCE, self.links.describe(id)).await else { continue };
            // Others may be behind.
            let is_leader = told.leader_id == told.member_id && told.group_id == self.group_id;
            if is_leader && told.members.iter().all(|member| member.id != self.id) {
                let leader = told.members.iter().find(|member| member.id == told.leader_id);
                let url = leader.and_then(|leader| leader.peer_urls.first().cloned()).unwrap_or_default();
                return self.fail(MemberError::Removed { name: self.config.name.clone(), url });
            }
        }
    }

    /// A newcomer that has its vote makes promises: from here on it needs its log.
    fn note_ready(&self) {
        let mut identity = self.identity.lock();
        if identity.ready || !self.group.status().membership.is_voter(self.id) {
            return;
        }
        identity.ready = true;
        if let Err(error) = identity.save(&*self.storage) {
            tracing::error!(%error, "cannot note that the member has its vote");
            identity.ready = false;
        }
    }

    async fn handle_change(&self, request: pdpeerpb::ChangeRequest) -> pdpeerpb::ChangeResponse {
        if request.group_id != 0 && request.group_id != self.group_id {
            return answer(Outcome::Refused, "this is a member of another cluster");
        }
        if let Some(session) = self.leading() {
            return match request.change {
                Some(change) => self.change_here(&session, change).await,
                None => answer(Outcome::Refused, "the request asks for nothing"),
            };
        }
        let leader = self.description().leader_id;
        if request.forwarded || leader == 0 {
            return answer(Outcome::NotLeader, "no member leads just now");
        }
        let handed_on = pdpeerpb::ChangeRequest { forwarded: true, ..request };
        match timeout(PEER_PATIENCE, self.links.change(leader, handed_on)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => answer(Outcome::NotLeader, error.to_string()),
            Err(_) => answer(Outcome::NotLeader, "the leader does not answer"),
        }
    }

    async fn change_here(&self, session: &Session, change: Change) -> pdpeerpb::ChangeResponse {
        let _changing = self.changing.lock().await;
        let planned = {
            let state = self.state.read();
            match &change {
                Change::Join(join) => roster::join(&state.records, join),
                Change::Publish(member) => {
                    roster::publish(&state.records, member).map(|batch| (member.id, batch))
                }
                Change::Remove(remove) => roster::remove(&state.records, remove),
            }
        };
        let (member_id, batch) = match planned {
            Ok(planned) => planned,
            Err(reason) => return answer(Outcome::Refused, reason),
        };
        if matches!(change, Change::Remove(_))
            && let Err(reason) = self.check_majority_without(member_id)
        {
            return answer(Outcome::Refused, reason);
        }
        if !batch.is_empty()
            && let Err(error) = session.leadership.write(batch).await
        {
            return answer(Outcome::NotLeader, error.to_string());
        }
        pdpeerpb::ChangeResponse { member_id, cluster: Some(self.description()), ..Default::default() }
    }

    /// Whether the others could go on by themselves.
    fn check_majority_without(&self, leaver: u64) -> Result<(), String> {
        let membership = self.group.status().membership;
        let silent = self.group.silent_members(SILENCE_MAX);
        let rest: Vec<_> =
            membership.members.keys().filter(|id| **id != leaver && membership.is_voter(**id)).collect();
        let alive = rest.iter().filter(|id| silent.iter().all(|(silent, _)| silent != **id)).count();
        match membership.is_voter(leaver) && alive * 2 <= rest.len() {
            true => Err(format!(
                "of the {} members that would be left only {alive} can be reached: bring back, or remove, those that cannot first",
                rest.len()
            )),
            false => Ok(()),
        }
    }
}

fn stopped(error: &dyn std::error::Error) -> MemberError {
    MemberError::Stopped { reason: error.to_string() }
}

fn answer(outcome: Outcome, reason: impl Into<String>) -> pdpeerpb::ChangeResponse {
    pdpeerpb::ChangeResponse { outcome: outcome.into(), reason: reason.into(), ..Default::default() }
}

/// Where others may be besides where they say they are.
fn hints(
    config: &MemberConfig,
    identity: &Identity,
    records: &BTreeMap<String, Vec<u8>>,
) -> BTreeMap<u64, Vec<String>> {
    let mut hints: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for member in identity.others.iter().chain(&roster::members(records)) {
        let urls = hints.entry(member.id).or_default();
        urls.extend(config.initial_cluster.get(&member.name).cloned());
        urls.extend(member.peer_urls.iter().cloned());
    }
    hints
}

/// Keeps the session in step with Raft, until the member is dropped or fails.
async fn watch_leadership(member: Weak<Member>, changed: Arc<Notify>) {
    while let Some(member) = member.upgrade() {
        if !member.goes_on() {
            return member.stop().await;
        }
        member.mind_leadership().await;
        drop(member);
        let _ = timeout(LEADER_TURN, changed.notified()).await;
    }
}

/// Everything that nobody waits for.
async fn keep_house(member: Weak<Member>) {
    let mut led = Instant::now();
    let mut asked = Instant::now();
    let mut checked = Instant::now();
    while let Some(member) = member.upgrade() {
        if !member.goes_on() {
            return;
        }
        if let Err(error) = member.mend_membership().await {
            tracing::debug!(%error, "the members could not be changed");
        }
        member.publish().await;
        member.note_ready();
        if member.group.status().leader.is_some() {
            led = Instant::now();
        }
        let is_unlisted = roster::member(&member.state.read().records, member.id).is_none();
        let is_suspicious = is_unlisted || member.watcher.maybe_removed.load(Ordering::Relaxed);
        if (is_suspicious && asked.elapsed() > SUSPICION_TURN) || led.elapsed() > LEADERLESS_PATIENCE {
            member.watcher.maybe_removed.store(false, Ordering::Relaxed);
            (led, asked) = (Instant::now(), Instant::now());
            member.ask_whether_removed().await;
        }
        if checked.elapsed() > HEALTH_TURN {
            checked = Instant::now();
            let health = timeout(PEER_PATIENCE, member.group.read_barrier()).await;
            if let Ok(Err(GroupError::Stopped(reason))) = health
                && member.node.group(member.group_id).is_some()
            {
                member.fail(MemberError::Stopped { reason });
            }
        }
        drop(member);
        sleep(HOUSE_TURN).await;
    }
}

#[async_trait]
impl PdPeer for Member {
    async fn raft(&self, request: raftpb::Request) -> Result<raftpb::Response, TransportError> {
        Ok(self.node.handle(request).await)
    }

    async fn describe(&self) -> Result<pdpeerpb::Description, TransportError> {
        Ok(self.description())
    }

    async fn change(
        &self,
        request: pdpeerpb::ChangeRequest,
    ) -> Result<pdpeerpb::ChangeResponse, TransportError> {
        Ok(self.handle_change(request).await)
    }
}
