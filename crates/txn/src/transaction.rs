//! A transaction: reads through its own writes, locks, commits.

mod async_commit;
mod commit;
mod heart_beat;
mod lock;
mod prewrite;
mod scan;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tidewater_codec::{CommitTs, Key, StartTs, TimeStamp};
use tokio::time::Instant;

pub use lock::{LockOptions, LockWait, Locked};
pub use scan::TxnScan;

use crate::buffer::{Locking, Stage, WriteBuffer};
use crate::cluster::Cluster;
use crate::resolver::Outcome;
use crate::snapshot::{Isolation, Snapshot};
use crate::{Remedy, TxnError};
use commit::TwoPhase;
use heart_beat::HeartBeat;
use lock::Held;

/// How a transaction meets its rivals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TxnKind {
    /// Conflicts show at commit.
    Optimistic,
    /// Statements lock what they write.
    #[default]
    Pessimistic,
}

/// How to begin a transaction.
#[derive(Debug, Clone, Default)]
pub struct TxnOptions {
    /// Optimistic or pessimistic.
    pub kind: TxnKind,
    /// Where to begin; `None` asks for a timestamp.
    pub start_ts: Option<StartTs>,
    /// What reads see of locks.
    pub isolation: Isolation,
    /// How long locks are waited for; `None` is the client's setting.
    pub lock_wait_timeout: Option<Duration>,
    /// Once this is up, a commit that waits for others in its first phase gives up and rolls back.
    pub interrupt: Option<Arc<AtomicBool>>,
}

/// Decides whether a transaction may become visible, for example against the schema version it was planned for.
///
/// It is asked right before each request that may commit the transaction, and what it gives is held until the answer is there. It is
/// never held while the commit waits for locks of others.
#[async_trait]
pub trait CommitGate: Send + Sync {
    /// `commit` is the timestamp; where the stores choose it (one phase, async commit) the earliest it may get. The error says why not.
    async fn enter(&self, commit: CommitTs) -> Result<CommitPass, Refusal>;
}

/// Why a [`CommitGate`] lets no commit through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The transaction was made for what is no longer so; a new one may pass.
    Changed(String),
    /// The gate does not know what is so; a new transaction would fare no better.
    Unsure(String),
}

/// What a [`CommitGate`] gives; dropped when the commit is through.
pub struct CommitPass {
    /// The latest timestamp for which this holds: the stores choose none behind it.
    pub latest: CommitTs,
    /// Whatever the gate keeps for the commit.
    pub held: Box<dyn Send + Sync>,
}

impl CommitPass {
    /// One that lets every timestamp through.
    pub fn unlimited() -> Self {
        Self { latest: CommitTs(TimeStamp::MAX), held: Box::new(()) }
    }
}

#[async_trait]
impl<F: Fn(CommitTs) -> Result<(), String> + Send + Sync> CommitGate for F {
    async fn enter(&self, commit: CommitTs) -> Result<CommitPass, Refusal> {
        self(commit).map(|()| CommitPass::unlimited()).map_err(Refusal::Changed)
    }
}

/// A transaction under way.
///
/// Writes stay in its buffer until [`commit`](Self::commit). Dropping an unfinished transaction gives its locks back in the background,
/// if a runtime is there; otherwise they lapse.
pub struct Transaction {
    cluster: Arc<Cluster>,
    kind: TxnKind,
    start_ts: StartTs,
    /// Where the current statement of a pessimistic transaction reads and locks.
    for_update_ts: TimeStamp,
    begun: Instant,
    lock_wait_timeout: Duration,
    snapshot: Snapshot,
    buffer: WriteBuffer,
    held: BTreeMap<Bytes, Held>,
    /// The key whose lock decides about the transaction, once one is locked.
    primary: Option<Bytes>,
    heart_beat: Option<HeartBeat>,
    commit_gate: Option<Arc<dyn CommitGate>>,
    two_phases: bool,
    on_full_disk: bool,
    interrupt: Option<Arc<AtomicBool>>,
    state: State,
}

enum State {
    Active,
    /// In the first phase: the transaction can still be rolled back by us.
    Prewriting(Arc<TwoPhase>),
    /// In the first phase of an async commit: it may be committed by now, and only its keys can tell.
    PrewritingAsync(Arc<TwoPhase>),
    /// From here on the stores know better than we do.
    Over,
}

impl Transaction {
    pub(crate) fn new(cluster: Arc<Cluster>, start_ts: StartTs, options: &TxnOptions) -> Self {
        let snapshot = Snapshot::new(cluster.clone(), start_ts, options.isolation);
        Self {
            kind: options.kind,
            start_ts,
            for_update_ts: start_ts.0,
            begun: Instant::now(),
            lock_wait_timeout: options.lock_wait_timeout.unwrap_or(cluster.config.lock_wait_timeout),
            cluster,
            snapshot,
            buffer: WriteBuffer::new(),
            held: BTreeMap::new(),
            primary: None,
            heart_beat: None,
            commit_gate: None,
            two_phases: false,
            on_full_disk: false,
            interrupt: options.interrupt.clone(),
            state: State::Active,
        }
    }

    /// Where the transaction began.
    pub fn start_ts(&self) -> StartTs {
        self.start_ts
    }

    /// Where the current statement of a pessimistic transaction locks, and reads what it is to change.
    pub fn for_update_ts(&self) -> TimeStamp {
        self.for_update_ts
    }

    /// How long locks are waited for from now on.
    pub fn set_lock_wait_timeout(&mut self, timeout: Duration) {
        self.lock_wait_timeout = timeout;
    }

    /// Optimistic or pessimistic.
    pub fn kind(&self) -> TxnKind {
        self.kind
    }

    /// Whether the transaction takes locks as it goes.
    pub fn is_pessimistic(&self) -> bool {
        self.kind == TxnKind::Pessimistic
    }

    /// Whether nothing was written or locked.
    pub fn is_readonly(&self) -> bool {
        self.buffer.is_empty() && self.held.is_empty()
    }

    /// Whether the transaction is committed or rolled back.
    pub fn is_over(&self) -> bool {
        !matches!(self.state, State::Active)
    }

    /// The committed state the transaction reads, without its own writes.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The committed state as of the current statement, for what is locked and then changed.
    pub fn snapshot_for_update(&self) -> Snapshot {
        Snapshot::new(self.cluster.clone(), StartTs(self.for_update_ts), Isolation::ReadCommitted)
    }

    /// The committed state at another time, e.g. for a read-committed statement.
    pub fn snapshot_at(&self, ts: StartTs, isolation: Isolation) -> Snapshot {
        Snapshot::new(self.cluster.clone(), ts, isolation)
    }

    /// The writes so far.
    pub fn buffer(&self) -> &WriteBuffer {
        &self.buffer
    }

    /// Moves the current statement's time to now. Called before a statement that locks, and before it is run again after a
    /// [`WriteConflict`](TxnError::WriteConflict).
    pub async fn refresh_for_update_ts(&mut self) -> Result<TimeStamp, TxnError> {
        self.for_update_ts = self.cluster.timestamp().await?;
        Ok(self.for_update_ts)
    }

    /// Moves the current statement's time to a known timestamp; never back.
    pub fn advance_for_update_ts(&mut self, ts: TimeStamp) {
        self.for_update_ts = self.for_update_ts.max(ts);
    }

    /// The value of a key, as the transaction has it.
    pub async fn get(&self, key: &Key) -> Result<Option<Bytes>, TxnError> {
        match self.buffer.get(key.as_bytes()) {
            Some(write) => Ok(write.value.clone()),
            None => self.snapshot.get(key).await,
        }
    }

    /// Locks a key and returns its latest value, as the transaction has it: nobody changes it until the transaction is over.
    ///
    /// An optimistic transaction reads its snapshot, and fails at commit if the key was changed since.
    pub async fn get_for_update(&mut self, key: &Key) -> Result<Option<Bytes>, TxnError> {
        let deadline = Instant::now() + self.lock_wait_timeout;
        let mut locked = loop {
            let options = LockOptions { return_values: true, ..Default::default() };
            match self.lock_keys([key.clone()], options).await {
                // Somebody committed the key after the statement began: see that, and lock again.
                Err(error) if error.remedy() == Remedy::RetryStatement && Instant::now() < deadline => {
                    self.refresh_for_update_ts().await?;
                }
                result => break result?,
            }
        };
        match self.buffer.get(key.as_bytes()) {
            Some(write) => Ok(write.value.clone()),
            None => Ok(locked.values.remove(key).flatten()),
        }
    }

    /// The values of many keys, as the transaction has them; absent keys are absent from the map.
    pub async fn batch_get(
        &self,
        keys: impl IntoIterator<Item = &Key>,
    ) -> Result<BTreeMap<Key, Bytes>, TxnError> {
        let mut found = BTreeMap::new();
        let mut unwritten = Vec::new();
        for key in keys {
            match self.buffer.get(key.as_bytes()) {
                Some(write) => found.extend(write.value.clone().map(|value| (key.clone(), value))),
                None => unwritten.push(key),
            }
        }
        if !unwritten.is_empty() {
            found.extend(self.snapshot.batch_get(unwritten).await?);
        }
        Ok(found)
    }

    /// The pairs of a range in ascending order, as the transaction has them; an empty end is unbounded.
    pub fn scan(&self, range: Range<Key>) -> TxnScan<'_> {
        TxnScan::forward(self, range)
    }

    /// The pairs of a range in descending order, as the transaction has them; an empty end is unbounded.
    pub fn scan_reverse(&self, range: Range<Key>) -> TxnScan<'_> {
        TxnScan::backward(self, range)
    }

    /// Writes a value.
    pub fn put(&mut self, key: Key, value: impl Into<Bytes>) -> Result<(), TxnError> {
        self.put_with(key, value, Locking::WithStatement)
    }

    /// Writes a value, saying when its key is locked.
    pub fn put_with(&mut self, key: Key, value: impl Into<Bytes>, locking: Locking) -> Result<(), TxnError> {
        let (key, value) = self.fitting(key, value.into())?;
        self.buffer.put(key, value, locking);
        Ok(())
    }

    /// Writes a value to a key that must not exist. The check is made when the key is locked, or else at commit, and fails with
    /// [`TxnError::KeyExists`].
    pub fn insert(&mut self, key: Key, value: impl Into<Bytes>) -> Result<(), TxnError> {
        let (key, value) = self.fitting(key, value.into())?;
        self.buffer.insert(key, value, Locking::WithStatement);
        Ok(())
    }

    /// Deletes a key.
    pub fn delete(&mut self, key: Key) -> Result<(), TxnError> {
        self.delete_with(key, Locking::WithStatement)
    }

    /// Deletes a key, saying when it is locked.
    pub fn delete_with(&mut self, key: Key, locking: Locking) -> Result<(), TxnError> {
        let (key, _) = self.fitting(key, Bytes::new())?;
        self.buffer.delete(key, locking);
        Ok(())
    }

    /// Opens a stage: a point to go back to, for a statement or a savepoint.
    pub fn savepoint(&mut self) -> Stage {
        self.buffer.stage()
    }

    /// Keeps what was written since, and forgets the point.
    pub fn release(&mut self, stage: Stage) {
        self.buffer.release(stage);
    }

    /// Undoes what was written since, and forgets the point. Locks stay, as in MySQL.
    pub fn rollback_to(&mut self, stage: Stage) {
        self.buffer.rollback_to(stage);
    }

    /// Has the transaction commit in two phases, at a timestamp of the placement driver. Where that is noted by a store, nothing commits
    /// below it any more; a commit whose timestamp the stores choose makes no such promise to those who write the same keys unchecked ([`Locking::Guarded`]).
    pub fn commit_in_two_phases(&mut self) {
        self.two_phases = true;
    }

    /// Has stores carry the commit out though their disks are nearly full: for transactions that lead to more room, and for small ones that must be.
    pub fn commit_on_full_disk(&mut self) {
        self.on_full_disk = true;
    }

    /// Has the commit go through a gate.
    pub fn set_commit_gate(&mut self, gate: Arc<dyn CommitGate>) {
        self.commit_gate = Some(gate);
    }

    /// Gives everything back. After a commit that was given up half-way this may find that it was through: that is
    /// [`TxnError::Finished`].
    pub async fn rollback(&mut self) -> Result<(), TxnError> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Over => Err(TxnError::Finished { start: self.start_ts }),
            State::Prewriting(two_phase) => {
                self.heart_beat = None;
                two_phase.rollback().await
            }
            State::PrewritingAsync(two_phase) => {
                self.heart_beat = None;
                match two_phase.settle().await? {
                    Outcome::RolledBack => Ok(()),
                    Outcome::Committed(_) => Err(TxnError::Finished { start: self.start_ts }),
                }
            }
            State::Active => {
                self.heart_beat = None;
                self.release_locks().await
            }
        }
    }

    fn check_active(&self) -> Result<(), TxnError> {
        if self.is_over() {
            return Err(TxnError::Finished { start: self.start_ts });
        }
        match &self.heart_beat {
            Some(heart_beat) if heart_beat.is_lost() => {
                Err(TxnError::RolledBack { start: self.start_ts, reason: "its locks had lapsed".to_owned() })
            }
            _ => Ok(()),
        }
    }

    fn fitting(&self, key: Key, value: Bytes) -> Result<(Bytes, Bytes), TxnError> {
        self.check_active()?;
        let config = &self.cluster.config;
        let bytes = key.as_bytes().len() + value.len();
        if bytes > config.entry_bytes_max {
            return Err(TxnError::EntryTooLarge { key, bytes, limit: config.entry_bytes_max });
        }
        let total = self.buffer.bytes() + bytes;
        if total > config.txn_bytes_max {
            return Err(TxnError::TooLarge { bytes: total, limit: config.txn_bytes_max });
        }
        Ok((Bytes::from(key.into_bytes()), value))
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        self.heart_beat = None;
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        match std::mem::replace(&mut self.state, State::Over) {
            State::Over => {}
            State::Prewriting(two_phase) => drop(runtime.spawn(async move { two_phase.rollback().await })),
            State::PrewritingAsync(two_phase) => {
                drop(runtime.spawn(async move { two_phase.settle().await }));
            }
            State::Active if self.held.is_empty() || self.kind == TxnKind::Optimistic => {}
            State::Active => {
                let keys = std::mem::take(&mut self.held).into_keys().collect();
                let (cluster, start, for_update_ts) =
                    (self.cluster.clone(), self.start_ts, self.for_update_ts);
                drop(
                    runtime.spawn(
                        async move { lock::rollback_locks(&cluster, start, for_update_ts, keys).await },
                    ),
                );
            }
        }
    }
}
