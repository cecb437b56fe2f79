//! Versions of keys: how they are laid out, and how they are read.
//!
//! A user key `K` becomes the data key `z` + memcomparable(`K`). The `lock` family holds at most one lock per data key; `write` holds
//! one record per data key and commit timestamp (newest first), with values of up to 255 bytes inside; `default` holds longer values
//! under data key and start timestamp.

mod key;
mod point;
mod reader;
mod record;
mod scanner;
mod txn;

pub use point::PointGetter;
pub use scanner::{Direction, ScanStep, Scanner, ScannerOptions};

pub(crate) use key::{DataKey, data_range, split_ts};
pub(crate) use reader::{CommitRecord, MvccReader};
pub(crate) use record::WriteRef;
pub(crate) use txn::{MvccTxn, PessimisticChange};

use tidewater_codec::{
    CommitTs, DecodeError, Key, StartTs, TimeStamp,
    mvcc::{Lock, LockType, WriteType},
};

use crate::error::{CommandError, ConflictReason};

/// Which versions and locks a read respects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IsolationLevel {
    /// The newest version at or before the read timestamp; locks that may commit before it are in the way.
    #[default]
    Snapshot,
    /// The newest committed version at or before the read timestamp; locks are ignored.
    ReadCommitted,
    /// The newest version, which must not be younger than the read timestamp: a younger one, or a lock that may become one, is a
    /// conflict. With it a client may use an old timestamp for a read of the newest data, and learns when that was too bold.
    RcCheckTs,
}

impl IsolationLevel {
    /// Whether locks are looked at.
    pub(crate) fn minds_locks(self) -> bool {
        match self {
            Self::Snapshot | Self::RcCheckTs => true,
            Self::ReadCommitted => false,
        }
    }
}

/// Locks a reader may pass: their transactions are known to commit later, or not at all, or (`committed`) to be read through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PassableLocks {
    /// Start timestamps of transactions that do not concern this read.
    pub resolved: Vec<u64>,
    /// Start timestamps of transactions that committed before the read timestamp: what they lock is read as if it were committed.
    pub committed: Vec<u64>,
}

/// What a lock is to a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LockVerdict {
    /// Nothing.
    Passes,
    /// The newest version the reader sees, though not committed yet.
    IsVersion,
    /// In the way.
    Blocks,
}

/// Judges `lock` on `key` for a reader.
pub(crate) fn judge_lock(
    lock: &Lock,
    raw_key: &[u8],
    read_ts: TimeStamp,
    isolation: IsolationLevel,
    passable: &PassableLocks,
) -> LockVerdict {
    let start_ts = lock.start_ts.into_inner();
    let is_early = lock.start_ts.0 <= read_ts && lock.min_commit_ts <= read_ts;
    let concerns = match isolation {
        IsolationLevel::Snapshot => is_early,
        // A later commit is a conflict just as well.
        IsolationLevel::RcCheckTs => true,
        IsolationLevel::ReadCommitted => false,
    };
    let changes_data = matches!(lock.lock_type, LockType::Put | LockType::Delete);
    if !concerns || !changes_data || passable.resolved.contains(&start_ts) {
        return LockVerdict::Passes;
    }
    if is_early && passable.committed.contains(&start_ts) {
        return LockVerdict::IsVersion;
    }
    // A read of the newest data may read before a plain two-phase lock on its primary: that commit has not happened yet.
    match read_ts.is_max() && lock.primary == raw_key && lock.async_commit_secondaries.is_none() {
        true => LockVerdict::Passes,
        false => LockVerdict::Blocks,
    }
}

/// Whether a lock in memory stops a reader. One of a committed transaction does, too: it is about to be in the engine.
pub(crate) fn check_memory_lock(
    lock: &Lock,
    raw_key: &[u8],
    read_ts: TimeStamp,
    passable: &PassableLocks,
) -> Result<(), CommandError> {
    match judge_lock(lock, raw_key, read_ts, IsolationLevel::Snapshot, passable) {
        LockVerdict::Passes => Ok(()),
        LockVerdict::IsVersion | LockVerdict::Blocks => {
            Err(CommandError::Locked { key: Key::new(raw_key), lock: Box::new(lock.clone()) })
        }
    }
}

/// What a reader is told of a lock in its way.
pub(crate) fn lock_error(
    isolation: IsolationLevel,
    read_ts: TimeStamp,
    key: Key,
    lock: Box<Lock>,
) -> CommandError {
    match isolation {
        IsolationLevel::Snapshot | IsolationLevel::ReadCommitted => CommandError::Locked { key, lock },
        IsolationLevel::RcCheckTs => CommandError::WriteConflict {
            key,
            primary: Key::new(lock.primary),
            start_ts: StartTs(read_ts),
            conflict_start_ts: lock.start_ts,
            // Nobody knows yet.
            commit_ts: CommitTs::default(),
            reason: ConflictReason::RcCheckTs,
        },
    }
}

/// Checks a version younger than the reader's timestamp, where that matters.
pub(crate) fn check_younger(
    isolation: IsolationLevel,
    read_ts: TimeStamp,
    raw_key: impl FnOnce() -> Key,
    commit_ts: TimeStamp,
    record: &[u8],
) -> Result<(), CommandError> {
    if isolation != IsolationLevel::RcCheckTs {
        return Ok(());
    }
    let write = WriteRef::parse(record)?;
    match write.write_type {
        WriteType::Lock | WriteType::Rollback => Ok(()),
        WriteType::Put | WriteType::Delete => Err(CommandError::WriteConflict {
            key: raw_key(),
            primary: Key::new(Vec::new()),
            start_ts: StartTs(read_ts),
            conflict_start_ts: write.start_ts,
            commit_ts: CommitTs(commit_ts),
            reason: ConflictReason::RcCheckTs,
        }),
    }
}

/// What kind of write record this is.
pub(crate) fn write_head(record: &[u8]) -> Result<WriteType, DecodeError> {
    Ok(record::WriteRef::parse(record)?.write_type)
}
