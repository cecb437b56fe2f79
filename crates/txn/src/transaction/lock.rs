//! Pessimistic locks.
//!
//! A statement locks the keys it is about to change at its `for_update_ts`. The store refuses if a key was committed later than that
//! (the statement must see the newer value first: [`TxnError::WriteConflict`]) and waits, within limits, if another transaction holds the
//! lock. The first key a transaction ever locks is its primary, and is locked before any other, or the others would point to nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidewater_codec::{Key, StartTs, TimeStamp};
use tidewater_proto::kvrpcpb::{self, LockInfo, Op};
use tokio::time::Instant;

use super::heart_beat::HeartBeat;
use super::{Transaction, TxnKind};
use crate::TxnError;
use crate::backoff::{Backoff, Pause};
use crate::buffer::{Locking, Presumption, Stage};
use crate::cluster::{Cluster, Sent};
use crate::error::start;
use crate::grouping::{Batch, Done};
use crate::key_error::{KeyFailure, key};
use crate::resolver::Met;

/// A store that took this long to refuse a lock kept us in its waiting room: we go back to it without a pause, for we lose our turn.
const STORE_WAITED_MIN: Duration = Duration::from_millis(100);

/// How to lock.
#[derive(Debug, Clone, Default)]
pub struct LockOptions {
    /// What to do about locks of others.
    pub wait: LockWait,
    /// Whether to return what is stored under the keys.
    pub return_values: bool,
    /// Whether keys that do not exist stay unlocked.
    pub only_if_exists: bool,
}

/// What to do about locks of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LockWait {
    /// Wait as long as the transaction is set to.
    #[default]
    Default,
    /// Wait this long.
    For(Duration),
    /// `NOWAIT`: fail at once.
    NoWait,
    /// `SKIP LOCKED`: leave locked keys out.
    SkipLocked,
}

/// What locking found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Locked {
    /// The committed values, if asked for; `None` if the key does not exist.
    pub values: BTreeMap<Key, Option<Bytes>>,
    /// Keys left out by [`LockWait::SkipLocked`].
    pub skipped: Vec<Key>,
}

/// A lock of ours.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    /// Whether the key existed when it was locked, if known.
    pub(super) exists: Option<bool>,
    /// `false` while the request is under way, and after it was given up half-way.
    pub(super) sure: bool,
}

/// A key to lock, and what to check with it.
#[derive(Debug, Clone)]
struct Wanted {
    key: Bytes,
    must_not_exist: bool,
}

impl crate::grouping::Keyed for Wanted {
    fn key(&self) -> &[u8] {
        &self.key
    }

    fn bytes(&self) -> usize {
        self.key.len()
    }
}

/// A key that was locked, or skipped.
enum Got {
    Locked { key: Bytes, exists: Option<bool>, value: Option<Bytes> },
    Skipped(Bytes),
}

/// What all lock requests of one call have in common.
struct Request {
    cluster: Arc<Cluster>,
    start: StartTs,
    for_update_ts: TimeStamp,
    primary: Bytes,
    begun: Instant,
    is_first: bool,
    deadline: Option<Instant>,
    called: Instant,
    options: LockOptions,
}

impl Transaction {
    /// Locks keys, in one go. Keys held already are not asked for again.
    ///
    /// In an optimistic transaction nothing is sent: the keys are checked for conflicts at commit.
    ///
    /// After an error the keys of this call that were not held before are unlocked.
    pub async fn lock_keys(
        &mut self,
        keys: impl IntoIterator<Item = Key>,
        options: LockOptions,
    ) -> Result<Locked, TxnError> {
        self.check_active()?;
        let mut keys: Vec<Bytes> = keys.into_iter().map(|key| Bytes::from(key.into_bytes())).collect();
        keys.sort_unstable();
        keys.dedup();
        self.check_held(&keys)?;
        if self.kind == TxnKind::Optimistic {
            return self.lock_at_commit(keys, &options).await;
        }
        let (held, fresh): (Vec<_>, Vec<_>) =
            keys.into_iter().partition(|key| self.held.get(key).is_some_and(|held| held.sure));
        let mut locked = self.lock_fresh(fresh, &options).await?;
        if options.return_values && !held.is_empty() {
            // No one can have changed what we hold.
            let found: BTreeMap<_, _> =
                self.snapshot_for_update().batch_get_bytes(held.clone()).await?.into_iter().collect();
            let values = held.into_iter().map(|key| (Key::new(&key[..]), found.get(&key).cloned()));
            locked.values.extend(values);
        }
        Ok(locked)
    }

    /// Locks what was written since a stage was opened and needs a lock: the end of a statement that writes.
    pub async fn lock_written_since(
        &mut self,
        stage: Stage,
        options: LockOptions,
    ) -> Result<Locked, TxnError> {
        if self.kind == TxnKind::Optimistic {
            return Ok(Locked::default());
        }
        let written = self.buffer.written_since(stage);
        let needs_lock =
            |key: &Bytes| self.buffer.get(key).is_some_and(|write| write.locking == Locking::WithStatement);
        let keys: Vec<_> = written.into_iter().filter(needs_lock).map(|key| Key::new(&key[..])).collect();
        if keys.is_empty() {
            return Ok(Locked::default());
        }
        self.lock_keys(keys, options).await
    }

    /// How many keys are locked.
    pub fn locks_held(&self) -> usize {
        self.held.values().filter(|held| held.sure).count()
    }

    fn check_held(&mut self, keys: &[Bytes]) -> Result<(), TxnError> {
        for key in keys {
            let Some(Held { exists: Some(exists), sure: true }) = self.held.get(key).copied() else {
                continue;
            };
            if self.buffer.get(key).is_some_and(|write| write.presumption == Presumption::NotExists) {
                if exists {
                    return Err(TxnError::KeyExists { key: Key::new(&key[..]) });
                }
                self.buffer.presumption_checked(key);
            }
        }
        Ok(())
    }

    async fn lock_at_commit(&mut self, keys: Vec<Bytes>, options: &LockOptions) -> Result<Locked, TxnError> {
        let mut locked = Locked::default();
        if options.return_values {
            let found: BTreeMap<_, _> =
                self.snapshot.batch_get_bytes(keys.clone()).await?.into_iter().collect();
            locked.values = keys.iter().map(|key| (Key::new(&key[..]), found.get(key).cloned())).collect();
        }
        self.held.extend(keys.into_iter().map(|key| (key, Held { exists: None, sure: true })));
        Ok(locked)
    }

    async fn lock_fresh(&mut self, keys: Vec<Bytes>, options: &LockOptions) -> Result<Locked, TxnError> {
        let Some(first) = keys.first().cloned() else { return Ok(Locked::default()) };
        let wanted: Vec<_> = keys.iter().map(|key| self.wanted(key)).collect();
        // Noted before they are sent for: whoever drops this future half-way still gives them back.
        self.held.extend(keys.iter().map(|key| (key.clone(), Held { exists: None, sure: false })));
        let is_first = self.primary.is_none();
        let primary = self.primary.get_or_insert(first).clone();
        let called = Instant::now();
        let wait = match options.wait {
            LockWait::Default => Some(self.lock_wait_timeout),
            LockWait::For(wait) => Some(wait),
            LockWait::NoWait | LockWait::SkipLocked => None,
        };
        let request = Request {
            cluster: self.cluster.clone(),
            start: self.start_ts,
            for_update_ts: self.for_update_ts,
            primary: primary.clone(),
            begun: self.begun,
            is_first,
            deadline: wait.map(|wait| called + wait),
            called,
            options: options.clone(),
        };
        match self.lock_all(&request, wanted).await {
            Ok(got) => Ok(self.take_in(got, options)),
            Err(error) => {
                self.unlock(keys).await;
                Err(error)
            }
        }
    }

    /// Locks the primary's batch first, and everything else side by side.
    async fn lock_all(&mut self, request: &Request, wanted: Vec<Wanted>) -> Result<Vec<Got>, TxnError> {
        let mut backoff = self.cluster.backoff(self.cluster.config.patience.lock);
        let mut rest = self.cluster.batches(wanted, &mut backoff).await?;
        let mut got = Vec::new();
        if request.is_first {
            // The primary is the first key, so it is in the first batch.
            let others = rest.split_off(1);
            got = self
                .cluster
                .for_each_batch(rest, &mut backoff, |batch, patience| request.lock(batch, patience))
                .await?;
            self.heart_beat = Some(HeartBeat::start(
                self.cluster.clone(),
                self.start_ts,
                request.primary.clone(),
                self.begun,
            ));
            rest = others;
        }
        got.extend(
            self.cluster
                .for_each_batch(rest, &mut backoff, |batch, patience| request.lock(batch, patience))
                .await?,
        );
        Ok(got.into_iter().flatten().collect())
    }

    fn wanted(&self, key: &Bytes) -> Wanted {
        let must_not_exist =
            self.buffer.get(key).is_some_and(|write| write.presumption == Presumption::NotExists);
        Wanted { key: key.clone(), must_not_exist }
    }

    fn take_in(&mut self, got: Vec<Got>, options: &LockOptions) -> Locked {
        let mut locked = Locked::default();
        for got in got {
            match got {
                Got::Locked { key, exists, value } => {
                    if exists != Some(true) {
                        self.buffer.presumption_checked(&key);
                    }
                    if options.return_values {
                        locked.values.insert(Key::new(&key[..]), value);
                    }
                    if options.only_if_exists && exists == Some(false) {
                        self.held.remove(&key);
                    } else {
                        self.held.insert(key, Held { exists, sure: true });
                    }
                }
                Got::Skipped(key) => {
                    locked.skipped.push(Key::new(&key[..]));
                    self.held.remove(&key);
                }
            }
        }
        if self.primary.as_ref().is_some_and(|primary| !self.held.contains_key(primary)) {
            self.forget_primary();
        }
        locked
    }

    /// Gives back keys that were asked for in vain.
    async fn unlock(&mut self, keys: Vec<Bytes>) {
        let rolled_back =
            rollback_locks(&self.cluster, self.start_ts, self.for_update_ts, keys.clone()).await;
        if let Err(error) = rolled_back {
            // They stay noted as held perhaps, and lapse at the latest.
            tracing::warn!(start = %self.start_ts, %error, "locks were not given back");
            return;
        }
        for key in keys {
            self.held.remove(&key);
        }
        if self.primary.as_ref().is_some_and(|primary| !self.held.contains_key(primary)) {
            self.forget_primary();
        }
    }

    /// The primary was not locked after all. If other keys are, they point to it, and it must stay.
    fn forget_primary(&mut self) {
        if self.held.is_empty() {
            self.primary = None;
            self.heart_beat = None;
        }
    }

    /// Gives all locks back.
    pub(super) async fn release_locks(&mut self) -> Result<(), TxnError> {
        let held = std::mem::take(&mut self.held);
        if held.is_empty() || self.kind == TxnKind::Optimistic {
            return Ok(());
        }
        rollback_locks(&self.cluster, self.start_ts, self.for_update_ts, held.into_keys().collect()).await
    }
}

impl Request {
    async fn lock(
        &self,
        batch: Batch<Wanted>,
        mut backoff: Backoff,
    ) -> (Result<Done<Vec<Got>, Wanted>, TxnError>, Backoff) {
        let result = self.try_lock(batch, &mut backoff).await;
        (result, backoff)
    }

    async fn try_lock(
        &self,
        batch: Batch<Wanted>,
        backoff: &mut Backoff,
    ) -> Result<Done<Vec<Got>, Wanted>, TxnError> {
        // Waiting for others has a limit of its own.
        let mut lock_backoff = self.cluster.backoff(Duration::MAX);
        let mut skipped: Vec<Bytes> = Vec::new();
        loop {
            let wanted: Vec<_> = batch.items.iter().filter(|wanted| !skipped.contains(&wanted.key)).collect();
            if wanted.is_empty() {
                return Ok(Done::Answer(skipped.into_iter().map(Got::Skipped).collect()));
            }
            let asked = Instant::now();
            let Sent::Answer(response) =
                self.cluster.send(&batch.region, backoff, || self.command(&wanted)).await?
            else {
                return Ok(Done::Again(batch.items));
            };
            let mut locks = Vec::new();
            for error in response.errors {
                match KeyFailure::new(error, self.start) {
                    KeyFailure::Locked(lock) => locks.push(*lock),
                    failure => return Err(failure.into_error(self.start)),
                }
            }
            if locks.is_empty() {
                let mut got = self.read(&wanted, response.values, response.not_founds)?;
                got.extend(skipped.into_iter().map(Got::Skipped));
                return Ok(Done::Answer(got));
            }
            let left = self.cluster.resolve_locks(locks, Met::ByWrite, backoff).await?;
            if let Some((lock, remaining)) = left.wait {
                match self.options.wait {
                    LockWait::SkipLocked if wanted.iter().any(|wanted| wanted.key == lock.key) => {
                        skipped.push(lock.key.clone())
                    }
                    _ => self.wait(&lock, remaining, asked, &mut lock_backoff).await?,
                }
            }
        }
    }

    /// Stores lock by existence only when they read the value anyway.
    fn returns_values(&self) -> bool {
        self.options.return_values || self.options.only_if_exists
    }

    fn command(&self, wanted: &[&Wanted]) -> kvrpcpb::PessimisticLockRequest {
        let mutation = |wanted: &&Wanted| kvrpcpb::Mutation {
            op: Op::PessimisticLock as i32,
            key: wanted.key.clone(),
            assertion: if wanted.must_not_exist { kvrpcpb::Assertion::NotExist as i32 } else { 0 },
            ..Default::default()
        };
        let now = Instant::now();
        kvrpcpb::PessimisticLockRequest {
            mutations: wanted.iter().map(mutation).collect(),
            primary_lock: self.primary.clone(),
            start_version: self.start.into_inner(),
            lock_ttl: millis(now - self.begun + self.cluster.config.lock_ttl),
            for_update_ts: self.for_update_ts.into_inner(),
            is_first_lock: self.is_first,
            wait_timeout: match self.deadline {
                None => -1,
                // Zero would mean the store's default.
                Some(deadline) => {
                    i64::try_from(millis(deadline.saturating_duration_since(now))).unwrap_or(i64::MAX).max(1)
                }
            },
            return_values: self.returns_values(),
            check_existence: true,
            lock_only_if_exists: self.options.only_if_exists,
            min_commit_ts: self.for_update_ts.next().into_inner(),
            ..Default::default()
        }
    }

    fn read(
        &self,
        wanted: &[&Wanted],
        values: Vec<Bytes>,
        not_founds: Vec<bool>,
    ) -> Result<Vec<Got>, TxnError> {
        let misfit = |what: &str, count: usize| TxnError::Protocol {
            reason: format!("{count} {what} for {} locks", wanted.len()),
        };
        if self.returns_values() && values.len() != wanted.len() {
            return Err(misfit("values", values.len()));
        }
        if !not_founds.is_empty() && not_founds.len() != wanted.len() {
            return Err(misfit("existence flags", not_founds.len()));
        }
        let got = wanted.iter().enumerate().map(|(index, wanted)| {
            let exists = match not_founds.get(index) {
                Some(&not_found) => Some(!not_found),
                // A store that does not say: a value shows that the key exists, no value shows nothing.
                None => values.get(index).filter(|value| !value.is_empty()).map(|_| true),
            };
            let value = if exists == Some(false) { None } else { values.get(index).cloned() };
            Got::Locked { key: wanted.key.clone(), exists, value }
        });
        Ok(got.collect())
    }

    async fn wait(
        &self,
        lock: &LockInfo,
        remaining: Duration,
        asked: Instant,
        backoff: &mut Backoff,
    ) -> Result<(), TxnError> {
        let (locked, holder) = (key(&lock.key), start(lock.lock_version));
        let Some(deadline) = self.deadline else {
            return Err(TxnError::LockNotAvailable { key: locked, holder });
        };
        let now = Instant::now();
        if now >= deadline {
            return Err(TxnError::LockWaitTimeout { key: locked, holder, waited: now - self.called });
        }
        if now - asked >= STORE_WAITED_MIN {
            return Ok(());
        }
        let longest = remaining.min(deadline - now).max(Duration::from_millis(1));
        backoff.pause_within(Pause::LockOfWrite, longest, "its transaction is alive").await
    }
}

/// Removes pessimistic locks of a transaction.
pub(super) async fn rollback_locks(
    cluster: &Arc<Cluster>,
    start: StartTs,
    for_update_ts: TimeStamp,
    mut keys: Vec<Bytes>,
) -> Result<(), TxnError> {
    keys.sort_unstable();
    let mut backoff = cluster.backoff(cluster.config.patience.commit);
    let batches = cluster.batches(keys, &mut backoff).await?;
    let roll_back = |batch: Batch<Bytes>, mut backoff: Backoff| async move {
        let make = || kvrpcpb::PessimisticRollbackRequest {
            start_version: start.into_inner(),
            for_update_ts: for_update_ts.into_inner(),
            keys: batch.items.to_vec(),
            ..Default::default()
        };
        let result = match cluster.send(&batch.region, &mut backoff, make).await {
            Ok(Sent::RegionChanged) => Ok(Done::Again(batch.items)),
            Ok(Sent::Answer(response)) => match response.errors.into_iter().next() {
                None => Ok(Done::Answer(())),
                Some(error) => Err(KeyFailure::new(error, start).into_error(start)),
            },
            Err(error) => Err(error),
        };
        (result, backoff)
    };
    cluster.for_each_batch(batches, &mut backoff, roll_back).await.map(drop)
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
