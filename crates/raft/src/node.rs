//! All groups of one store.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
    time::Duration,
};

use futures::future::join_all;
use openraft::{Config, SnapshotPolicy, async_runtime::watch::WatchReceiver, raft::Raft};
use parking_lot::RwLock;
use tidewater_proto::raftpb::{self, refusal::Reason};
use tokio::sync::oneshot;

use crate::{
    device::{DeviceError, LogDevice, Urgency},
    group::{Group, Observer, Timing, refusal, status_of},
    log::{self, GroupLog},
    machine::{Adapter, AppliedMark, StateMachine},
    network::{Sender, Transport},
    spool::Spools,
    traffic::{SnapshotCounts, SnapshotLimits, Traffic},
};

/// Between looks at whether snapshots that began to come still do.
const SNAPSHOT_LOOK: Duration = Duration::from_secs(10);

/// How the groups of a store behave.
#[derive(Debug, Clone)]
pub struct RaftConfig {
    /// A leader that has nothing to say says so this often.
    pub heartbeat_interval: Duration,
    /// Without a sign of the leader for a random time of at least this, after its lease has run out, a voter asks the others whether to stand.
    pub election_timeout_min: Duration,
    /// And at most this; also the length of a leader's lease.
    pub election_timeout_max: Duration,
    /// Entries after which the front of a log is removed, if all state they made is durable.
    pub log_entries_max: u64,
    /// Entries kept for members that are a little behind.
    pub log_entries_kept: u64,
    /// A group in which nothing happens for this long stops its clocks; `None` keeps them running.
    pub sleep_after: Option<Duration>,
    /// Bytes of entries that one store has been sent without an answer, by all groups together, above which no more are sent: they stay in the
    /// log. A group has at most 2 MiB under way to each of its members, or one entry that is larger.
    pub unanswered_bytes_max: usize,
    /// How many snapshots are sent and received, and how fast.
    pub snapshots: SnapshotLimits,
}

impl Default for RaftConfig {
    fn default() -> Self {
        Self {
            heartbeat_interval: Duration::from_millis(150),
            election_timeout_min: Duration::from_millis(350),
            election_timeout_max: Duration::from_millis(700),
            log_entries_max: 8192,
            log_entries_kept: 1024,
            sleep_after: Some(Duration::from_secs(5)),
            unanswered_bytes_max: 64 << 20,
            snapshots: SnapshotLimits::default(),
        }
    }
}

/// Why a member could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The log is not readable.
    #[error(transparent)]
    Log(#[from] DeviceError),
    /// The configuration makes no sense.
    #[error("the Raft configuration makes no sense: {0}")]
    Config(String),
    /// Log and state machine do not fit together, or are damaged.
    #[error("the member cannot be started: {0}")]
    Member(String),
    /// It is running.
    #[error("group {0} is running on this store already")]
    Running(u64),
}

/// The members of groups that live on one store.
pub struct RaftNode {
    pub(crate) store_id: u64,
    pub(crate) config: RaftConfig,
    raft_config: Arc<Config>,
    device: Arc<dyn LogDevice>,
    pub(crate) transport: Arc<dyn Transport>,
    groups: RwLock<BTreeMap<u64, Arc<Group>>>,
    traffic: Arc<Traffic>,
}

fn millis(span: Duration) -> u64 {
    span.as_millis() as u64
}

impl RaftNode {
    /// A store without groups. Snapshots that come wait in `spools`.
    ///
    /// # Errors
    /// The configuration makes no sense.
    pub fn new(
        store_id: u64,
        config: RaftConfig,
        device: Arc<dyn LogDevice>,
        spools: Arc<Spools>,
        transport: Arc<dyn Transport>,
    ) -> Result<Self, StartError> {
        if config.snapshots.sending_max == 0 || config.snapshots.receiving_max == 0 {
            let reason = "without sending and receiving snapshots no member can be added".to_owned();
            return Err(StartError::Config(reason));
        }
        let raft_config = Config {
            cluster_name: "tidewater".to_owned(),
            heartbeat_interval: millis(config.heartbeat_interval),
            // Entries that were answered a moment ago say the same.
            heartbeat_min_interval: Some(millis(config.heartbeat_interval / 2)),
            election_timeout_min: millis(config.election_timeout_min),
            election_timeout_max: millis(config.election_timeout_max),
            install_snapshot_timeout: 60_000,
            snapshot_policy: SnapshotPolicy::LogsSinceLast(config.log_entries_max),
            max_in_snapshot_log_to_keep: config.log_entries_kept,
            replication_lag_threshold: config.log_entries_max * 4,
            enable_pre_vote: Some(true),
            // A restarted leader has forgotten whom it promised what: it stands for election as everybody else.
            enable_leader_restore: Some(false),
            backoff: "10ms,20ms,40ms,80ms,160ms,320ms,500ms".to_owned(),
            ..Config::default()
        };
        let raft_config = raft_config.validate().map_err(|error| StartError::Config(error.to_string()))?;
        let traffic = Arc::new(Traffic::new(config.unanswered_bytes_max, config.snapshots.clone(), spools));
        Ok(Self {
            store_id,
            config,
            raft_config: Arc::new(raft_config),
            device,
            transport,
            groups: RwLock::default(),
            traffic,
        })
    }

    /// This store.
    pub fn store_id(&self) -> u64 {
        self.store_id
    }

    /// Makes the log of a group that begins with state in place, durably. A log that has begun stays as it is.
    ///
    /// # Errors
    /// The log cannot be read or written.
    pub async fn create_origin(&self, group_id: u64) -> Result<(), DeviceError> {
        match GroupLog::open(self.device.clone(), group_id)?.is_empty() {
            true => self.write(log::origin_ops(group_id)).await,
            false => Ok(()),
        }
    }

    /// Whether there never was an entry of a group here, nor a beginning.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn is_log_empty(&self, group_id: u64) -> Result<bool, DeviceError> {
        Ok(GroupLog::open(self.device.clone(), group_id)?.is_empty())
    }

    /// Whether nothing of any group is on the device.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn is_device_empty(&self) -> Result<bool, DeviceError> {
        Ok(self.device.scan(&[0], &[u8::MAX; 9], 1)?.is_empty())
    }

    /// Writes something to the device that changes nothing, to see how long that takes; `done` is called when it is durable.
    pub fn probe(&self, done: impl FnOnce(Result<(), DeviceError>) + Send + 'static) {
        let nothing = crate::LogOp::DeleteRange(vec![0], vec![0]);
        self.device.submit(vec![nothing], Urgency::Now, Box::new(done));
    }

    async fn write(&self, ops: Vec<crate::LogOp>) -> Result<(), DeviceError> {
        let (done, result) = oneshot::channel();
        self.device.submit(ops, Urgency::Now, Box::new(move |result| drop(done.send(result))));
        match result.await {
            Ok(result) => result,
            Err(_) => std::future::pending().await,
        }
    }

    /// Starts a member. Its state machine says how far it has come. One that has voted before, by its log, gives no votes and does not stand at first,
    /// unless it is alone or leadership is handed over: it may have promised a leader to wait for it. A new one votes at once, so that the parts of a
    /// region that was cut have leaders within milliseconds.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(
        self: &Arc<Self>,
        group_id: u64,
        peer_id: u64,
        machine: Box<dyn StateMachine>,
        observer: Arc<dyn Observer>,
    ) -> Result<Arc<Group>, StartError> {
        if self.group(group_id).is_some() {
            return Err(StartError::Running(group_id));
        }
        let log = GroupLog::open(self.device.clone(), group_id)?;
        // Whom a member follows it has noted before it tells him.
        let has_promised = log.has_vote();
        let mark = Arc::new(AppliedMark::default());
        let removed = observer.clone();
        let sender = Sender {
            group_id,
            peer_id,
            store_id: self.store_id,
            transport: self.transport.clone(),
            removed: Arc::new(move || removed.maybe_removed()),
            traffic: self.traffic.clone(),
        };
        let adapter = Adapter::new(machine, mark.clone(), !self.traffic.spools.is_in_memory());
        let raft = Raft::new(peer_id, self.raft_config.clone(), sender, log, adapter).await;
        let raft = raft.map_err(|error| StartError::Member(error.to_string()))?;
        let status = status_of(&raft);
        let is_alone = status.membership.members.len() == 1;
        let quiet = match has_promised && !is_alone {
            true => self.config.election_timeout_max,
            false => Duration::ZERO,
        };
        let timing = Timing {
            // Less than what followers keep to, for clocks run at different speeds.
            lease: self.config.election_timeout_max * 4 / 5,
        };
        let group = Arc::new(Group::new(group_id, peer_id, raft, mark, timing, quiet, self.traffic.clone()));
        if self.groups.write().insert(group_id, group.clone()).is_some() {
            return Err(StartError::Running(group_id));
        }
        if !quiet.is_zero() {
            group.raft.runtime_config().elect(false);
            let group = Arc::downgrade(&group);
            tokio::spawn(async move {
                tokio::time::sleep(quiet).await;
                if let Some(group) = group.upgrade().filter(|group| !group.is_unfit()) {
                    group.raft.runtime_config().elect(true);
                    // It may have been told meanwhile.
                    if group.is_unfit() {
                        group.raft.runtime_config().elect(false);
                    }
                }
            });
        }
        tokio::spawn(follow_status(group.clone(), observer));
        Ok(group)
    }

    /// How many snapshots are on their way from here and to here.
    pub fn snapshot_counts(&self) -> SnapshotCounts {
        self.traffic.counts()
    }

    /// Forgets snapshots whose senders have not been heard of for long, until the node is dropped. To be spawned once.
    pub async fn watch_snapshots(node: Weak<Self>) {
        loop {
            tokio::time::sleep(SNAPSHOT_LOOK).await;
            let Some(node) = node.upgrade() else { return };
            node.groups().iter().for_each(|group| group.receiver.forget_silent());
        }
    }

    /// A member that runs here.
    pub fn group(&self, group_id: u64) -> Option<Arc<Group>> {
        self.groups.read().get(&group_id).cloned()
    }

    /// All members that run here.
    pub fn groups(&self) -> Vec<Arc<Group>> {
        self.groups.read().values().cloned().collect()
    }

    /// Stops a member; its log stays.
    pub async fn stop(&self, group_id: u64) {
        let group = self.groups.write().remove(&group_id);
        if let Some(group) = group
            && let Err(error) = group.raft.shutdown().await
        {
            tracing::error!(group = group_id, %error, "a member did not stop in order");
        }
    }

    /// Stops all members.
    pub async fn stop_all(&self) {
        let ids: Vec<_> = self.groups.read().keys().copied().collect();
        join_all(ids.into_iter().map(|id| self.stop(id))).await;
    }

    /// Stops a member and forgets its log, durably.
    ///
    /// # Errors
    /// The log cannot be written.
    pub async fn remove(&self, group_id: u64) -> Result<(), DeviceError> {
        self.stop(group_id).await;
        self.write(log::remove_ops(group_id)).await
    }

    /// Answers another store. A request to a group that is not here is refused as not ready; the caller may create the member and ask again.
    pub async fn handle(&self, request: raftpb::Request) -> raftpb::Response {
        if request.to_store != self.store_id {
            return refusal(Reason::Malformed, format!("this is store {}", self.store_id));
        }
        match self.group(request.group_id) {
            Some(group) => group.handle(request).await,
            None => refusal(Reason::NotReady, format!("group {} is not on this store", request.group_id)),
        }
    }
}

/// Tells the observer what changes, until the member stops.
async fn follow_status(group: Arc<Group>, observer: Arc<dyn Observer>) {
    let mut changes = group.raft.server_metrics();
    let mut last = None;
    let group = Arc::downgrade(&group);
    loop {
        let Some(status) = group.upgrade().map(|group| group.status()) else { return };
        if last.as_ref() != Some(&status) {
            observer.status_changed(&status);
            last = Some(status);
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}
