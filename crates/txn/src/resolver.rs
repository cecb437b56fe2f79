//! Locks in the way.
//!
//! A lock names its transaction's *primary* key, and the primary alone decides: if its lock became a write record, the transaction is
//! committed; if that lock lapsed or is gone without a record, whoever asks rolls it back. So a lock of a dead transaction is resolved by
//! asking the primary's region (`CheckTxnStatus`) and then settling the lock we met (`ResolveLock`). Only a live transaction is waited for.
//! (Percolator, Peng and Dabek 2010, §2.2, with TiKV's time-to-live in place of a lock service.)
//!
//! A reader need not wait for a live transaction whose commit timestamp was pushed above the reader's snapshot: it reads around the lock.
//!
//! With async commit no single key decides. The lock of the primary lists the others, and the transaction is committed when all are locked.
//! So if that lock has lapsed, all others are asked side by side (`CheckSecondaryLocks`). One that is not locked is rolled back for good by
//! the question: the transaction is dead. If all are locked it is committed, at the largest `min_commit_ts` of its locks, which no longer
//! change. Everybody who asks comes to the same end, the transaction's own client included. If a key has a plain lock, a store had declined
//! async commit, its client knows it, and the primary decides as ever (`force_sync_commit`).

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use tidewater_codec::{CommitTs, StartTs, TimeStamp};
use tidewater_proto::kvrpcpb::{self, Action, LockInfo, Op};

use crate::TxnError;
use crate::backoff::{Backoff, Pause};
use crate::cluster::{Cluster, Sent};
use crate::error::start;
use crate::key_error::{KeyFailure, key};

mod async_commit;

/// Transactions with more keys than this have all their locks of a region settled at once.
const LIGHT_TXN_KEYS: u64 = 16;
/// Locks settled in one request.
const LOCKS_PER_REQUEST_MAX: usize = 1_024;

/// The end of another transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Committed(CommitTs),
    RolledBack,
}

/// Ends of transactions, remembered: they never change.
#[derive(Debug)]
pub(crate) struct Outcomes {
    limit: usize,
    known: BTreeMap<StartTs, Outcome>,
    order: VecDeque<StartTs>,
}

impl Outcomes {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), known: BTreeMap::new(), order: VecDeque::new() }
    }

    fn get(&self, start: StartTs) -> Option<Outcome> {
        self.known.get(&start).copied()
    }

    fn insert(&mut self, start: StartTs, outcome: Outcome) {
        if self.known.insert(start, outcome).is_none() {
            self.order.push_back(start);
        }
        if self.order.len() > self.limit
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

/// Who met the locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Met {
    /// A read at this snapshot.
    ByRead(StartTs),
    /// A write, or a lock.
    ByWrite,
}

/// What is left of the locks after resolving.
#[derive(Debug, Default)]
pub(crate) struct Left {
    /// Live locks a reader may read around: starts of their transactions.
    pub(crate) ignorable: Vec<StartTs>,
    /// A live lock that must be waited for, and how long it may live if nothing is heard of its transaction.
    pub(crate) wait: Option<(Box<LockInfo>, Duration)>,
}

#[derive(Debug)]
enum Status {
    Ended(Outcome),
    /// Only this pessimistic lock lapsed: nothing was decided about the transaction.
    LockLapsed,
    Live {
        remaining: Duration,
        ignorable: bool,
    },
    /// The primary's lock lapsed, but only all keys together can tell the end of an async commit.
    AskAll(Box<LockInfo>),
}

/// How the primary is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ask {
    /// An async commit is left as it is.
    First,
    /// A key of the async commit has a plain lock: the primary decides.
    AsTwoPhase,
}

impl Cluster {
    /// Settles what can be settled.
    pub(crate) async fn resolve_locks(
        &self,
        locks: Vec<LockInfo>,
        met: Met,
        backoff: &mut Backoff,
    ) -> Result<Left, TxnError> {
        metrics::counter!("tidewater_txn_locks_met_total").increment(locks.len() as u64);
        let mut left = Left::default();
        for lock in locks {
            match self.status(&lock, met, backoff).await? {
                Status::Ended(outcome) => self.settle(&lock, outcome, backoff).await?,
                Status::AskAll(_) => {
                    return Err(TxnError::Protocol { reason: "a lapsed lock was left undecided".to_owned() });
                }
                Status::LockLapsed => self.settle_pessimistic(&lock, backoff).await?,
                Status::Live { ignorable: true, .. } => left.ignorable.push(start(lock.lock_version)),
                Status::Live { remaining, .. } => {
                    if left.wait.as_ref().is_none_or(|(_, longest)| remaining > *longest) {
                        left.wait = Some((Box::new(lock), remaining));
                    }
                }
            }
        }
        Ok(left)
    }

    /// Settles what can be settled, waits once for the rest, and names the locks a reader may read around.
    pub(crate) async fn clear_for_read(
        &self,
        locks: Vec<LockInfo>,
        snapshot: StartTs,
        backoff: &mut Backoff,
    ) -> Result<Vec<StartTs>, TxnError> {
        let left = self.resolve_locks(locks, Met::ByRead(snapshot), backoff).await?;
        if let Some((lock, remaining)) = left.wait {
            self.wait_for_lock(&lock, remaining, Pause::LockOfRead, backoff).await?;
        }
        Ok(left.ignorable)
    }

    /// Settles what can be settled and waits once for the rest.
    pub(crate) async fn clear_for_write(
        &self,
        locks: Vec<LockInfo>,
        backoff: &mut Backoff,
    ) -> Result<(), TxnError> {
        match self.resolve_locks(locks, Met::ByWrite, backoff).await?.wait {
            Some((lock, remaining)) => {
                self.wait_for_lock(&lock, remaining, Pause::LockOfWrite, backoff).await
            }
            None => Ok(()),
        }
    }

    async fn wait_for_lock(
        &self,
        lock: &LockInfo,
        remaining: Duration,
        kind: Pause,
        backoff: &mut Backoff,
    ) -> Result<(), TxnError> {
        let longest = remaining.max(Duration::from_millis(1));
        match backoff.pause_within(kind, longest, "its transaction is alive").await {
            Err(TxnError::Unavailable { gave_up }) => Err(TxnError::LockNotResolved {
                key: key(&lock.key),
                holder: start(lock.lock_version),
                gave_up,
            }),
            other => other,
        }
    }

    async fn status(&self, lock: &LockInfo, met: Met, backoff: &mut Backoff) -> Result<Status, TxnError> {
        let known = self.outcomes.lock().get(start(lock.lock_version));
        if let Some(outcome) = known {
            return Ok(Status::Ended(outcome));
        }
        match self.ask_primary(lock, met, Ask::First, backoff).await? {
            Status::AskAll(primary) => self.status_by_all(lock, &primary, met, backoff).await,
            status => Ok(status),
        }
    }

    async fn ask_primary(
        &self,
        lock: &LockInfo,
        met: Met,
        ask: Ask,
        backoff: &mut Backoff,
    ) -> Result<Status, TxnError> {
        let holder = start(lock.lock_version);
        // A lock without a time to live asks to be settled whatever the clock says.
        let now = if lock.lock_ttl == 0 { TimeStamp::MAX } else { self.timestamp().await? };
        let expires = holder.0.physical_ms().saturating_add(lock.lock_ttl);
        let lapsed = now.is_max() || now.physical_ms() >= expires;
        let request = kvrpcpb::CheckTxnStatusRequest {
            primary_key: lock.primary_lock.clone(),
            lock_ts: lock.lock_version,
            caller_start_ts: match met {
                Met::ByRead(snapshot) => snapshot.into_inner(),
                Met::ByWrite => 0,
            },
            current_ts: now.into_inner(),
            // The primary's lock may be on its way still; only when ours has lapsed may its absence end the transaction.
            rollback_if_not_exist: lapsed,
            resolving_pessimistic_lock: is_pessimistic(lock),
            verify_is_primary: true,
            force_sync_commit: ask == Ask::AsTwoPhase,
            ..Default::default()
        };
        let response = self.send_to_key(&lock.primary_lock, backoff, || request.clone()).await?;
        if let Some(error) = response.error {
            return match KeyFailure::new(error, holder) {
                KeyFailure::TxnNotFound => {
                    let remaining = expires.saturating_sub(now.physical_ms());
                    Ok(Status::Live { remaining: Duration::from_millis(remaining), ignorable: false })
                }
                // The owner moved its primary and forgot this lock.
                KeyFailure::PrimaryMismatch if is_pessimistic(lock) => Ok(Status::LockLapsed),
                failure => Err(failure.into_error(holder)),
            };
        }
        Ok(self.read_status(lock, now, met, ask, response))
    }

    fn read_status(
        &self,
        lock: &LockInfo,
        now: TimeStamp,
        met: Met,
        ask: Ask,
        response: kvrpcpb::CheckTxnStatusResponse,
    ) -> Status {
        let holder = start(lock.lock_version);
        if response.commit_version != 0 {
            let outcome = Outcome::Committed(CommitTs::new(response.commit_version));
            self.outcomes.lock().insert(holder, outcome);
            return Status::Ended(outcome);
        }
        let action = Action::try_from(response.action).unwrap_or(Action::NoAction);
        if response.lock_ttl != 0 {
            let expires = holder.0.physical_ms().saturating_add(response.lock_ttl);
            let lapsed = now.is_max() || now.physical_ms() >= expires;
            if let Some(primary) = response.lock_info
                && primary.use_async_commit
                && lapsed
                && ask == Ask::First
            {
                return Status::AskAll(Box::new(primary));
            }
            // A read of the latest version takes place now, and now the transaction is not committed.
            let reads_latest =
                matches!(met, Met::ByRead(snapshot) if snapshot.0.is_max()) && !lock.use_async_commit;
            return Status::Live {
                remaining: Duration::from_millis(expires.saturating_sub(now.physical_ms())),
                ignorable: reads_latest
                    || (action == Action::MinCommitTsPushed && matches!(met, Met::ByRead(_))),
            };
        }
        if matches!(action, Action::TtlExpirePessimisticRollback | Action::LockNotExistDoNothing) {
            return Status::LockLapsed;
        }
        self.outcomes.lock().insert(holder, Outcome::RolledBack);
        Status::Ended(Outcome::RolledBack)
    }

    /// Writes the outcome where the lock is.
    async fn settle(&self, lock: &LockInfo, outcome: Outcome, backoff: &mut Backoff) -> Result<(), TxnError> {
        if is_pessimistic(lock) {
            return self.settle_pessimistic(lock, backoff).await;
        }
        let heavy = lock.txn_size > LIGHT_TXN_KEYS;
        let request = kvrpcpb::ResolveLockRequest {
            start_version: lock.lock_version,
            commit_version: match outcome {
                Outcome::Committed(commit) => commit.into_inner(),
                Outcome::RolledBack => 0,
            },
            keys: if heavy { Vec::new() } else { vec![lock.key.clone()] },
            ..Default::default()
        };
        let response = self.send_to_key(&lock.key, backoff, || request.clone()).await?;
        refuse(response.error, lock)
    }

    /// Removes a pessimistic lock, which says nothing about the data.
    async fn settle_pessimistic(&self, lock: &LockInfo, backoff: &mut Backoff) -> Result<(), TxnError> {
        let request = kvrpcpb::PessimisticRollbackRequest {
            start_version: lock.lock_version,
            for_update_ts: if lock.lock_for_update_ts == 0 { u64::MAX } else { lock.lock_for_update_ts },
            keys: vec![lock.key.clone()],
            ..Default::default()
        };
        let response = self.send_to_key(&lock.key, backoff, || request.clone()).await?;
        refuse(response.errors.into_iter().next(), lock)
    }

    /// Settles all locks of transactions that started at or before `safe_point` in a range of raw keys, live or not; for GC.
    pub(crate) async fn settle_old_locks(
        &self,
        mut from: Bytes,
        end: &[u8],
        safe_point: StartTs,
    ) -> Result<usize, TxnError> {
        let mut settled = 0;
        loop {
            let mut backoff = self.backoff(self.config.patience.commit);
            let region = self.locate(&from, &mut backoff).await?;
            let request = kvrpcpb::ScanLockRequest {
                max_version: safe_point.into_inner(),
                start_key: from.clone(),
                end_key: Bytes::copy_from_slice(earlier_end(region.end(), end)),
                limit: u32::try_from(LOCKS_PER_REQUEST_MAX).unwrap_or(u32::MAX),
                ..Default::default()
            };
            let Sent::Answer(response) = self.send(&region, &mut backoff, || request.clone()).await? else {
                continue;
            };
            if let Some(error) = response.error {
                return Err(KeyFailure::new(error, safe_point).into_error(safe_point));
            }
            let locks = response.locks;
            let full = locks.len() >= LOCKS_PER_REQUEST_MAX;
            settled += locks.len();
            // Below the safe point nobody may be waited for: a time to live of zero makes the question final.
            let locks = locks.into_iter().map(|lock| LockInfo { lock_ttl: 0, ..lock }).collect();
            let left = self.resolve_locks(locks, Met::ByWrite, &mut backoff).await?;
            if let Some((lock, remaining)) = left.wait {
                self.wait_for_lock(&lock, remaining, Pause::LockOfWrite, &mut backoff).await?;
                continue;
            }
            if full {
                continue;
            }
            if region.end().is_empty() || (!end.is_empty() && region.end()[..] >= *end) {
                return Ok(settled);
            }
            from = region.end().clone();
        }
    }
}

/// The earlier of two ends; empty is unbounded.
pub(crate) fn earlier_end<'a>(a: &'a [u8], b: &'a [u8]) -> &'a [u8] {
    if a.is_empty() || (!b.is_empty() && b < a) { b } else { a }
}

fn refuse(error: Option<kvrpcpb::KeyError>, lock: &LockInfo) -> Result<(), TxnError> {
    let holder = start(lock.lock_version);
    match error.map(|error| KeyFailure::new(error, holder)) {
        // Someone else was faster.
        None | Some(KeyFailure::LockNotFound) => Ok(()),
        Some(failure) => Err(failure.into_error(holder)),
    }
}

fn is_pessimistic(lock: &LockInfo) -> bool {
    lock.lock_type == Op::PessimisticLock as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_forgotten_oldest_first() {
        let mut outcomes = Outcomes::new(2);
        for ts in [1, 2, 2, 3] {
            outcomes.insert(start(ts), Outcome::RolledBack);
        }
        assert_eq!([1, 2, 3].map(|ts| outcomes.get(start(ts)).is_some()), [false, true, true]);
    }

    #[test]
    fn an_empty_end_is_the_latest() {
        assert_eq!(earlier_end(b"", b""), b"");
        assert_eq!(earlier_end(b"a", b""), b"a");
        assert_eq!(earlier_end(b"", b"a"), b"a");
        assert_eq!(earlier_end(b"a", b"b"), b"a");
    }
}
