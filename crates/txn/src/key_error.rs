//! What a store says about a key, in our words. Wire structs stop here.

use tidewater_codec::{CommitTs, Key, StartTs};
use tidewater_proto::kvrpcpb;

use crate::error::start;
use crate::{ConflictReason, TxnError, WaitEdge};

/// A key error, by what the client does about it.
#[derive(Debug)]
pub(crate) enum KeyFailure {
    /// Resolve the lock and try again.
    Locked(Box<kvrpcpb::LockInfo>),
    /// Take a later commit timestamp.
    CommitTsExpired,
    /// The primary knows nothing of the transaction.
    TxnNotFound,
    /// The lock's primary is not a primary.
    PrimaryMismatch,
    /// The lock to commit is gone: the transaction was rolled back.
    LockNotFound,
    /// Nothing this floor can do.
    Fatal(TxnError),
}

impl KeyFailure {
    pub(crate) fn new(error: kvrpcpb::KeyError, our_start: StartTs) -> Self {
        if let Some(lock) = error.locked {
            return Self::Locked(Box::new(lock));
        }
        if error.commit_ts_expired.is_some() {
            return Self::CommitTsExpired;
        }
        if error.txn_not_found.is_some() {
            return Self::TxnNotFound;
        }
        if error.primary_mismatch.is_some() {
            return Self::PrimaryMismatch;
        }
        if error.txn_lock_not_found.is_some() {
            return Self::LockNotFound;
        }
        Self::Fatal(fatal(error, our_start))
    }

    /// The error of an operation that cannot do anything about locks either.
    pub(crate) fn into_error(self, our_start: StartTs) -> TxnError {
        match self {
            Self::Fatal(error) => error,
            Self::Locked(lock) => {
                TxnError::LockNotAvailable { key: key(&lock.key), holder: start(lock.lock_version) }
            }
            Self::CommitTsExpired => rolled_back(our_start, "the commit timestamp came too late"),
            Self::TxnNotFound => rolled_back(our_start, "the transaction is not known"),
            Self::LockNotFound => rolled_back(our_start, "its lock is gone"),
            Self::PrimaryMismatch => {
                TxnError::Protocol { reason: "the primary of a lock is not a primary".to_owned() }
            }
        }
    }
}

fn fatal(error: kvrpcpb::KeyError, our_start: StartTs) -> TxnError {
    if let Some(conflict) = error.conflict {
        return write_conflict(&conflict);
    }
    if let Some(exists) = error.already_exist {
        return TxnError::KeyExists { key: key(&exists.key) };
    }
    if let Some(deadlock) = error.deadlock {
        let chain = deadlock.wait_chain.iter().map(|edge| WaitEdge {
            waiter: start(edge.txn),
            holder: start(edge.wait_for_txn),
            key: key(&edge.key),
        });
        return TxnError::Deadlock {
            key: key(&deadlock.lock_key),
            holder: start(deadlock.lock_ts),
            chain: chain.collect(),
        };
    }
    if let Some(failed) = error.assertion_failed {
        let expected_exist = failed.assertion == kvrpcpb::Assertion::Exist as i32;
        return TxnError::AssertionFailed { key: key(&failed.key), expected_exist };
    }
    if let Some(too_large) = error.commit_ts_too_large {
        return TxnError::CommitRefused {
            reason: format!("the store would have committed at {}", too_large.commit_ts),
        };
    }
    // A pessimistic lock went away with its store, say: nothing is committed, and a transaction from the start may succeed.
    if error.abort.is_empty() && !error.retryable.is_empty() {
        return rolled_back(our_start, &error.retryable);
    }
    let reason = error.abort;
    if reason.is_empty() {
        return TxnError::Protocol {
            reason: format!("an empty key error for the transaction of {our_start}"),
        };
    }
    TxnError::Store { place: Box::default(), reason }
}

fn write_conflict(conflict: &kvrpcpb::WriteConflict) -> TxnError {
    use kvrpcpb::write_conflict::Reason;
    let reason = match Reason::try_from(conflict.reason).unwrap_or(Reason::Unknown) {
        Reason::Unknown => ConflictReason::Unknown,
        Reason::Optimistic => ConflictReason::Optimistic,
        Reason::PessimisticRetry => ConflictReason::PessimisticRetry,
        Reason::SelfRolledBack => ConflictReason::SelfRolledBack,
        Reason::RcCheckTs => ConflictReason::ReadCommittedCheck,
        Reason::LazyUniquenessCheck => ConflictReason::LazyUniquenessCheck,
        Reason::NotLockedKeyConflict => ConflictReason::NotLocked,
    };
    TxnError::WriteConflict {
        key: key(&conflict.key),
        start: start(conflict.start_ts),
        conflict_start: start(conflict.conflict_ts),
        conflict_commit: CommitTs::new(conflict.conflict_commit_ts),
        reason,
    }
}

pub(crate) fn rolled_back(start: StartTs, reason: &str) -> TxnError {
    TxnError::RolledBack { start, reason: reason.to_owned() }
}

pub(crate) fn key(bytes: &[u8]) -> Key {
    Key::new(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_tried_again_is_no_unknown_error() {
        let ours = StartTs::new(7);
        let error = |retryable: &str, abort: &str| {
            let error = kvrpcpb::KeyError {
                retryable: retryable.to_owned(),
                abort: abort.to_owned(),
                ..Default::default()
            };
            KeyFailure::new(error, ours).into_error(ours)
        };
        assert!(matches!(error("a lock was lost", ""), TxnError::RolledBack { start, .. } if start == ours));
        assert!(matches!(error("", "no"), TxnError::Store { .. }));
        assert!(matches!(error("", ""), TxnError::Protocol { .. }));
    }
}
