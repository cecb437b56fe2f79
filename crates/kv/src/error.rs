//! What a command may answer instead of its result.

use bytes::Bytes;
use tidewater_codec::{
    CommitTs, DecodeError, Key, StartTs, TimeStamp,
    mvcc::{Lock, LockType},
};
use tidewater_proto::{deadlock, errorpb, kvrpcpb};

use crate::{EngineError, api::ApiError, deadlock::WaitEdge, limits::LimitError, replication::WriteError};

/// Why a write conflicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConflictReason {
    /// Someone committed after the transaction's snapshot.
    Optimistic,
    /// Someone committed after `for_update_ts`: read again and lock again.
    PessimisticRetry,
    /// The transaction itself was rolled back.
    SelfRolledBack,
    /// A uniqueness check delayed to the prewrite met a newer version.
    LazyUniquenessCheck,
    /// A read that checks its timestamp met something newer.
    RcCheckTs,
}

/// The error of one key, or of the whole command. Keys are user keys.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[allow(
    missing_docs,
    reason = "the message says what each variant is; fields are named after the protocol's"
)]
pub enum CommandError {
    #[error("{key} is locked by the transaction started at {}", .lock.start_ts)]
    Locked { key: Key, lock: Box<Lock> },
    #[error("{key}: conflict of the transaction started at {start_ts} with the one committed at {commit_ts}")]
    WriteConflict {
        key: Key,
        primary: Key,
        start_ts: StartTs,
        conflict_start_ts: StartTs,
        commit_ts: CommitTs,
        reason: ConflictReason,
    },
    #[error("{key} exists already")]
    AlreadyExists { key: Key },
    #[error("{key}: commit timestamp {attempted} is below the smallest allowed, {min_commit_ts}")]
    CommitTsExpired { key: Key, start_ts: StartTs, attempted: CommitTs, min_commit_ts: TimeStamp },
    #[error("commit timestamp {commit_ts} is not after the start timestamp {start_ts}")]
    CommitTsInvalid { start_ts: StartTs, commit_ts: CommitTs },
    #[error("no trace of the transaction started at {start_ts} on {primary}")]
    TxnNotFound { start_ts: StartTs, primary: Key },
    #[error("{key} holds no lock of the transaction started at {start_ts}")]
    TxnLockNotFound { key: Key, start_ts: StartTs },
    #[error("{key} was committed already by the transaction started at {start_ts}, at {commit_ts}")]
    Committed { key: Key, start_ts: StartTs, commit_ts: CommitTs },
    #[error("the transaction started at {start_ts} was rolled back, {key} cannot be locked")]
    PessimisticLockRolledBack { key: Key, start_ts: StartTs },
    #[error("the pessimistic lock of the transaction started at {start_ts} on {key} is lost")]
    PessimisticLockNotFound { key: Key, start_ts: StartTs },
    #[error("{key} holds a lock of another kind of the transaction started at {start_ts}")]
    LockTypeNotMatch { key: Key, start_ts: StartTs },
    #[error("{key} is not the primary of its transaction")]
    PrimaryMismatch { key: Key, lock: Box<Lock> },
    #[error("assertion on {key} failed")]
    AssertionFailed {
        key: Key,
        start_ts: StartTs,
        assertion: Assertion,
        existing_start_ts: StartTs,
        existing_commit_ts: CommitTs,
    },
    #[error("deadlock: {key} is held by the transaction started at {lock_ts}")]
    Deadlock { key: Key, lock_ts: StartTs, deadlock_key: Key, wait_chain: Vec<WaitEdge> },
    /// A request that contradicts itself.
    #[error("{reason}")]
    Invalid { reason: &'static str },
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error(transparent)]
    Limit(#[from] LimitError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The writes were handed to the engine, which then failed: nobody knows whether they happened.
    #[error("the outcome is unknown: {0}")]
    Undetermined(EngineError),
    /// The region is not what it was: the request may be repeated, here or elsewhere.
    #[error("{}", .0.message)]
    Region(Box<errorpb::Error>),
    #[error("corrupt record: {0}")]
    Decode(#[from] DecodeError),
}

/// What the client believes about a key it writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assertion {
    /// Nothing.
    None,
    /// It exists.
    Exist,
    /// It does not exist.
    NotExist,
}

/// The kind of a lock as clients see it.
pub(crate) fn lock_op(lock_type: LockType) -> kvrpcpb::Op {
    match lock_type {
        LockType::Put => kvrpcpb::Op::Put,
        LockType::Delete => kvrpcpb::Op::Del,
        LockType::Lock | LockType::Shared => kvrpcpb::Op::Lock,
        LockType::Pessimistic => kvrpcpb::Op::PessimisticLock,
    }
}

/// A lock as clients see it.
pub(crate) fn lock_info(key: &Key, lock: &Lock) -> kvrpcpb::LockInfo {
    kvrpcpb::LockInfo {
        primary_lock: Bytes::copy_from_slice(&lock.primary),
        lock_version: lock.start_ts.into_inner(),
        key: bytes_of(key),
        lock_ttl: lock.ttl_ms,
        txn_size: lock.txn_size,
        lock_type: lock_op(lock.lock_type).into(),
        lock_for_update_ts: lock.for_update_ts.into_inner(),
        use_async_commit: lock.async_commit_secondaries.is_some(),
        min_commit_ts: lock.min_commit_ts.into_inner(),
        secondaries: lock
            .async_commit_secondaries
            .iter()
            .flatten()
            .map(|key| Bytes::copy_from_slice(key))
            .collect(),
        duration_to_last_update_ms: 0,
    }
}

/// An edge of the wait graph as clients see it.
pub(crate) fn wait_for_entry(edge: &WaitEdge) -> deadlock::WaitForEntry {
    deadlock::WaitForEntry {
        txn: edge.waiter.into_inner(),
        wait_for_txn: edge.holder.into_inner(),
        key: bytes_of(&edge.key),
        ..Default::default()
    }
}

fn bytes_of(key: &Key) -> Bytes {
    Bytes::copy_from_slice(key.as_bytes())
}

/// Where in a response an error belongs.
pub(crate) enum WireError {
    /// The request may be repeated, here or elsewhere; also: nobody knows what it did.
    Region(Box<errorpb::Error>),
    /// The command was executed and says no.
    Key(Box<kvrpcpb::KeyError>),
}

/// Nobody knows whether a write happened.
pub(crate) fn undetermined(error: &EngineError) -> Box<errorpb::Error> {
    let message = error.to_string();
    Box::new(errorpb::Error {
        message: message.clone(),
        undetermined_result: Some(errorpb::UndeterminedResult { message }),
        ..Default::default()
    })
}

impl From<WriteError> for CommandError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Refused(error) => Self::Engine(error),
            WriteError::Unknown(error) => Self::Undetermined(error),
            // Commands may be repeated: who finds its own doing is content.
            WriteError::Region(error) | WriteError::LeaderLost(error) => Self::Region(error),
        }
    }
}

impl CommandError {
    /// The error in the words of the protocol.
    pub(crate) fn to_wire(&self) -> WireError {
        match self {
            Self::Undetermined(error) => WireError::Region(undetermined(error)),
            Self::Region(error) => WireError::Region(error.clone()),
            // Of a key nobody needs to know the size to split a request better: it stays an error of the key.
            Self::Limit(error @ (LimitError::Entry { bytes, .. } | LimitError::Batch { bytes, .. })) => {
                WireError::Region(Box::new(errorpb::Error {
                    message: error.to_string(),
                    raft_entry_too_large: Some(errorpb::RaftEntryTooLarge {
                        entry_size: *bytes as u64,
                        ..Default::default()
                    }),
                    ..Default::default()
                }))
            }
            _ => WireError::Key(Box::new(self.to_key_error())),
        }
    }

    /// The error as one about a key.
    pub(crate) fn to_key_error(&self) -> kvrpcpb::KeyError {
        let none = kvrpcpb::KeyError::default;
        match self {
            Self::Locked { key, lock } => kvrpcpb::KeyError { locked: Some(lock_info(key, lock)), ..none() },
            Self::WriteConflict { key, primary, start_ts, conflict_start_ts, commit_ts, reason } => {
                kvrpcpb::KeyError {
                    conflict: Some(kvrpcpb::WriteConflict {
                        start_ts: start_ts.into_inner(),
                        conflict_ts: conflict_start_ts.into_inner(),
                        key: bytes_of(key),
                        primary: bytes_of(primary),
                        conflict_commit_ts: commit_ts.into_inner(),
                        reason: reason.to_wire().into(),
                    }),
                    ..none()
                }
            }
            Self::AlreadyExists { key } => kvrpcpb::KeyError {
                already_exist: Some(kvrpcpb::AlreadyExist { key: bytes_of(key) }),
                ..none()
            },
            Self::CommitTsExpired { key, start_ts, attempted, min_commit_ts } => kvrpcpb::KeyError {
                commit_ts_expired: Some(kvrpcpb::CommitTsExpired {
                    start_ts: start_ts.into_inner(),
                    attempted_commit_ts: attempted.into_inner(),
                    key: bytes_of(key),
                    min_commit_ts: min_commit_ts.into_inner(),
                }),
                ..none()
            },
            Self::TxnNotFound { start_ts, primary } => kvrpcpb::KeyError {
                txn_not_found: Some(kvrpcpb::TxnNotFound {
                    start_ts: start_ts.into_inner(),
                    primary_key: bytes_of(primary),
                }),
                ..none()
            },
            Self::TxnLockNotFound { key, .. } => kvrpcpb::KeyError {
                retryable: self.to_string(),
                txn_lock_not_found: Some(kvrpcpb::TxnLockNotFound { key: bytes_of(key) }),
                ..none()
            },
            Self::PessimisticLockNotFound { .. } => {
                kvrpcpb::KeyError { retryable: self.to_string(), ..none() }
            }
            Self::PrimaryMismatch { key, lock } => kvrpcpb::KeyError {
                primary_mismatch: Some(kvrpcpb::PrimaryMismatch { lock_info: Some(lock_info(key, lock)) }),
                ..none()
            },
            Self::AssertionFailed { key, start_ts, assertion, existing_start_ts, existing_commit_ts } => {
                kvrpcpb::KeyError {
                    assertion_failed: Some(kvrpcpb::AssertionFailed {
                        start_ts: start_ts.into_inner(),
                        key: bytes_of(key),
                        assertion: match assertion {
                            Assertion::None => kvrpcpb::Assertion::None,
                            Assertion::Exist => kvrpcpb::Assertion::Exist,
                            Assertion::NotExist => kvrpcpb::Assertion::NotExist,
                        }
                        .into(),
                        existing_start_ts: existing_start_ts.into_inner(),
                        existing_commit_ts: existing_commit_ts.into_inner(),
                    }),
                    ..none()
                }
            }
            Self::Deadlock { key, lock_ts, deadlock_key, wait_chain } => kvrpcpb::KeyError {
                deadlock: Some(kvrpcpb::Deadlock {
                    lock_ts: lock_ts.into_inner(),
                    lock_key: bytes_of(key),
                    deadlock_key_hash: 0,
                    wait_chain: wait_chain.iter().map(wait_for_entry).collect(),
                    deadlock_key: bytes_of(deadlock_key),
                }),
                ..none()
            },
            Self::CommitTsInvalid { .. }
            | Self::Committed { .. }
            | Self::PessimisticLockRolledBack { .. }
            | Self::LockTypeNotMatch { .. }
            | Self::Invalid { .. }
            | Self::Api(_)
            | Self::Limit(_)
            | Self::Engine(_)
            | Self::Undetermined(_)
            | Self::Region(_)
            | Self::Decode(_) => kvrpcpb::KeyError { abort: self.to_string(), ..none() },
        }
    }
}

impl ConflictReason {
    fn to_wire(self) -> kvrpcpb::write_conflict::Reason {
        use kvrpcpb::write_conflict::Reason;
        match self {
            Self::Optimistic => Reason::Optimistic,
            Self::PessimisticRetry => Reason::PessimisticRetry,
            Self::SelfRolledBack => Reason::SelfRolledBack,
            Self::LazyUniquenessCheck => Reason::LazyUniquenessCheck,
            Self::RcCheckTs => Reason::RcCheckTs,
        }
    }
}
