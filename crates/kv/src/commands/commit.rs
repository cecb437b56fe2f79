//! Commit: locks of a transaction become versions.

use tidewater_codec::{
    CommitTs, StartTs,
    mvcc::{LockType, Write, WriteType},
};

use super::{CommandContext, WriteCommand};
use crate::{
    Durability,
    error::CommandError,
    mvcc::{CommitRecord, DataKey, MvccTxn},
};

pub(crate) struct Commit {
    pub keys: Vec<DataKey>,
    pub start_ts: StartTs,
    pub commit_ts: CommitTs,
}

impl WriteCommand for Commit {
    type Answer = ();
    const DURABILITY: Durability = Durability::Sync;

    fn keys(&self) -> impl Iterator<Item = &DataKey> + Send {
        self.keys.iter()
    }

    fn execute(&self, context: &mut CommandContext<'_>) -> Result<(MvccTxn, ()), CommandError> {
        if self.commit_ts.0 <= self.start_ts.0 {
            return Err(CommandError::CommitTsInvalid { start_ts: self.start_ts, commit_ts: self.commit_ts });
        }
        let mut txn = MvccTxn::default();
        for key in &self.keys {
            commit_key(&mut txn, context, key, self.start_ts, self.commit_ts)?;
        }
        Ok((txn, ()))
    }
}

/// Commits one key. Committing twice is no error, committing what was rolled back (or never locked) is.
pub(super) fn commit_key(
    txn: &mut MvccTxn,
    context: &mut CommandContext<'_>,
    key: &DataKey,
    start_ts: StartTs,
    commit_ts: CommitTs,
) -> Result<(), CommandError> {
    let reader = &mut context.reader;
    let lock = match reader.load_lock(key)? {
        Some(lock) if lock.start_ts == start_ts => lock,
        _ => {
            return match reader.commit_record(key, start_ts)? {
                CommitRecord::Committed { .. } => Ok(()),
                CommitRecord::RolledBack | CommitRecord::None { .. } => {
                    Err(CommandError::TxnLockNotFound { key: key.raw(), start_ts })
                }
            };
        }
    };
    if commit_ts.0 < lock.min_commit_ts {
        return Err(CommandError::CommitTsExpired {
            key: key.raw(),
            start_ts,
            attempted: commit_ts,
            min_commit_ts: lock.min_commit_ts,
        });
    }
    if lock.async_commit_secondaries.is_none() {
        // Commit timestamps that this store makes up itself must not fall below those it was given: a transaction may overwrite keys
        // it did not check. Those that stores made up are not noted. They may be one tick ahead of the placement driver already, and
        // the next commit would be two: whoever begins after it was acknowledged could get a timestamp below it.
        context.concurrency.note_commit(commit_ts);
    }
    let write_type = match lock.lock_type {
        LockType::Put => WriteType::Put,
        LockType::Delete => WriteType::Delete,
        LockType::Lock | LockType::Shared => WriteType::Lock,
        // A pessimistic lock that was left behind: its transaction commits without having written this key.
        LockType::Pessimistic => {
            txn.unlock(key, &lock);
            return Ok(());
        }
    };
    let overlapped_rollback = lock.rollback_ts.contains(&commit_ts.0);
    let write = Write { overlapped_rollback, ..Write::new(write_type, start_ts, lock.short_value.clone()) };
    txn.put_write(key, commit_ts, &write);
    txn.unlock(key, &lock);
    Ok(())
}
