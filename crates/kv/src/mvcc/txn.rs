//! The writes of one command: records in the engine, pessimistic locks in memory, and what to tell waiters.

use tidewater_codec::{
    CommitTs, StartTs, TimeStamp,
    mvcc::{Lock, LockType, Write, WriteType},
};

use super::{DataKey, MvccReader};
use crate::{Cf, WriteBatch, concurrency::MemoryLockGuard, error::CommandError};

/// A change of the pessimistic locks in memory, made when the batch is visible.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum PessimisticChange {
    Put(DataKey, Box<Lock>),
    Remove(DataKey),
}

/// Collects what a command wants done.
#[derive(Default)]
pub(crate) struct MvccTxn {
    pub batch: WriteBatch,
    pub pessimistic: Vec<PessimisticChange>,
    /// Keys whose lock goes away: waiters may try again.
    pub released: Vec<DataKey>,
    /// Keys that get a lock of a transaction: waiters wait for that one now.
    pub acquired: Vec<(DataKey, StartTs)>,
    pub memory_locks: Option<MemoryLockGuard>,
    /// The greatest timestamp of its commits and locks, and of what the locks promise.
    pub newest_ts: TimeStamp,
}

impl MvccTxn {
    /// Nothing to do at all?
    pub(crate) fn is_empty(&self) -> bool {
        self.batch.is_empty() && self.pessimistic.is_empty()
    }

    /// Writes a lock; a pessimistic one goes to memory.
    pub(crate) fn put_lock(&mut self, key: &DataKey, lock: Lock) {
        self.acquired.push((key.clone(), lock.start_ts));
        self.newest_ts = self.newest_ts.max(lock.start_ts.0).max(lock.min_commit_ts);
        if lock.lock_type == LockType::Pessimistic {
            self.pessimistic.push(PessimisticChange::Put(key.clone(), Box::new(lock)));
        } else {
            self.batch.put(Cf::Lock, key.to_vec(), lock.to_bytes());
        }
    }

    /// Turns a pessimistic lock in memory into whatever the batch writes.
    pub(crate) fn forget_pessimistic(&mut self, key: &DataKey) {
        self.pessimistic.push(PessimisticChange::Remove(key.clone()));
    }

    /// Removes a lock.
    pub(crate) fn unlock(&mut self, key: &DataKey, lock: &Lock) {
        self.released.push(key.clone());
        if lock.lock_type == LockType::Pessimistic {
            self.forget_pessimistic(key);
        } else {
            self.batch.delete(Cf::Lock, key.to_vec());
        }
    }

    pub(crate) fn put_write(&mut self, key: &DataKey, commit_ts: CommitTs, write: &Write) {
        self.newest_ts = self.newest_ts.max(commit_ts.0);
        self.batch.put(Cf::Write, key.with_ts(commit_ts.0), write.to_bytes());
    }

    pub(crate) fn delete_write(&mut self, key: &DataKey, commit_ts: CommitTs) {
        self.batch.delete(Cf::Write, key.with_ts(commit_ts.0));
    }

    pub(crate) fn put_value(&mut self, key: &DataKey, start_ts: StartTs, value: Vec<u8>) {
        self.batch.put(Cf::Default, key.with_ts(start_ts.0), value);
    }

    pub(crate) fn delete_value(&mut self, key: &DataKey, start_ts: StartTs) {
        self.batch.delete(Cf::Default, key.with_ts(start_ts.0));
    }

    /// Leaves the mark that the transaction started at `start_ts` must never commit on this key.
    ///
    /// If another transaction committed exactly at `start_ts` there is one slot for two records. A protected rollback is then noted
    /// inside that record; an unprotected one may be lost, as it may be when collapsed.
    pub(crate) fn put_rollback(
        &mut self,
        key: &DataKey,
        start_ts: StartTs,
        protected: bool,
        overlapped: Option<Write>,
    ) {
        match overlapped {
            Some(write) if protected => {
                self.put_write(key, CommitTs(start_ts.0), &Write { overlapped_rollback: true, ..write });
            }
            Some(_) => {}
            None => self.put_write(key, CommitTs(start_ts.0), &Write::rollback(start_ts, protected)),
        }
    }

    /// Removes the newest record before `start_ts` if it is an unprotected rollback: one of a row of them is enough, since only the
    /// newest keeps late prewrites out of what a client may still send.
    pub(crate) fn collapse_rollback(
        &mut self,
        reader: &mut MvccReader<'_>,
        key: &DataKey,
        start_ts: StartTs,
    ) -> Result<(), CommandError> {
        if let Some((commit_ts, write)) = reader.seek_write(key, start_ts.0)?
            && write.write_type == WriteType::Rollback
            && !write.is_protected_rollback()
            && commit_ts.0 != start_ts.0
        {
            self.delete_write(key, commit_ts);
        }
        Ok(())
    }

    /// Tells the lock of another transaction that `start_ts` was rolled back on its key: should it commit exactly there, its record
    /// has to carry the mark.
    pub(crate) fn mark_rollback_on_lock(
        &mut self,
        key: &DataKey,
        mut lock: Lock,
        start_ts: StartTs,
        protected: bool,
    ) {
        assert_ne!(lock.start_ts, start_ts, "the lock belongs to another transaction");
        // The lock cannot commit at `start_ts` if that is below its smallest commit timestamp, and an unprotected mark may be lost.
        if !protected || start_ts.0 < lock.min_commit_ts || start_ts < lock.start_ts {
            return;
        }
        if !lock.rollback_ts.contains(&start_ts.0) {
            lock.rollback_ts.push(start_ts.0);
        }
        if lock.lock_type == LockType::Pessimistic {
            self.pessimistic.push(PessimisticChange::Put(key.clone(), Box::new(lock)));
        } else {
            self.batch.put(Cf::Lock, key.to_vec(), lock.to_bytes());
        }
    }
}
