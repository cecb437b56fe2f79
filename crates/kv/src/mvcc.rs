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
    DecodeError, Key, TimeStamp,
    mvcc::{Lock, LockType, WriteType},
};

use crate::error::CommandError;

/// Which versions and locks a read respects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IsolationLevel {
    /// The newest version at or before the read timestamp; locks that may commit before it are in the way.
    #[default]
    Snapshot,
    /// The newest committed version at or before the read timestamp; locks are ignored.
    ReadCommitted,
}

/// Locks a reader may pass: their transactions are known to commit later, or not at all, or (`committed`) to be read through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PassableLocks {
    /// Start timestamps of transactions that do not concern this read.
    pub resolved: Vec<u64>,
}

/// Whether `lock` on `key` stops a reader at `read_ts`.
pub(crate) fn lock_blocks_reader(
    lock: &Lock,
    raw_key: &[u8],
    read_ts: TimeStamp,
    passable: &PassableLocks,
) -> bool {
    if lock.start_ts.0 > read_ts
        || !matches!(lock.lock_type, LockType::Put | LockType::Delete)
        || lock.min_commit_ts > read_ts
        || passable.resolved.contains(&lock.start_ts.into_inner())
    {
        return false;
    }
    // A read of the newest data may read before a plain two-phase lock on its primary: that commit has not happened yet.
    !(read_ts.is_max() && lock.primary == raw_key && lock.async_commit_secondaries.is_none())
}

/// [`lock_blocks_reader`] as a check.
pub(crate) fn check_lock(
    lock: Lock,
    raw_key: &[u8],
    read_ts: TimeStamp,
    passable: &PassableLocks,
) -> Result<(), CommandError> {
    if lock_blocks_reader(&lock, raw_key, read_ts, passable) {
        return Err(CommandError::Locked { key: Key::new(raw_key), lock: Box::new(lock) });
    }
    Ok(())
}

/// What kind of write record this is.
pub(crate) fn write_head(record: &[u8]) -> Result<WriteType, DecodeError> {
    Ok(record::WriteRef::parse(record)?.write_type)
}
