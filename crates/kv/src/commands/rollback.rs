//! Rollback of keys by the transaction's own client.

use tidewater_codec::{
    StartTs, TimeStamp,
    mvcc::{Lock, LockType},
};

use super::{CommandContext, WriteCommand, cleanup::cleanup_key};
use crate::{
    Durability,
    error::CommandError,
    mvcc::{CommitRecord, DataKey, MvccReader, MvccTxn},
};

pub(crate) struct Rollback {
    pub keys: Vec<DataKey>,
    pub start_ts: StartTs,
}

impl WriteCommand for Rollback {
    type Answer = ();
    // A lost rollback is repeated by whoever meets the lock.
    const DURABILITY: Durability = Durability::Buffered;

    fn keys(&self) -> impl Iterator<Item = &DataKey> + Send {
        self.keys.iter()
    }

    fn execute(&self, context: &mut CommandContext<'_>) -> Result<(MvccTxn, ()), CommandError> {
        let mut txn = MvccTxn::default();
        for key in &self.keys {
            cleanup_key(
                &mut txn,
                &mut context.reader,
                key,
                self.start_ts,
                TimeStamp::ZERO,
                Protection::Unprotected,
            )?;
        }
        Ok((txn, ()))
    }
}

/// Whether a rollback record may be collapsed or lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protection {
    /// It only helps against late prewrites.
    Unprotected,
    /// Somebody relies on it: the transaction must never commit.
    Protected,
}

/// Removes a lock of the transaction and leaves a rollback record.
pub(super) fn rollback_lock(
    txn: &mut MvccTxn,
    reader: &mut MvccReader<'_>,
    key: &DataKey,
    lock: &Lock,
    protection: Protection,
) -> Result<(), CommandError> {
    match reader.commit_record(key, lock.start_ts)? {
        CommitRecord::None { overlapped } => {
            if lock.lock_type == LockType::Put && lock.short_value.is_none() {
                txn.delete_value(key, lock.start_ts);
            }
            // The primary of a pessimistic transaction decides for all its keys, which are not checked again when prewritten.
            let is_pessimistic_primary =
                !lock.for_update_ts.is_zero() && lock.primary == key.raw().as_bytes();
            let protected = protection == Protection::Protected || is_pessimistic_primary;
            txn.put_rollback(key, lock.start_ts, protected, overlapped);
            if protection == Protection::Unprotected {
                txn.collapse_rollback(reader, key, lock.start_ts)?;
            }
        }
        CommitRecord::RolledBack => {}
        // A lock and a commit record of one transaction on one key: only a stale pessimistic lock can be left like this.
        CommitRecord::Committed { commit_ts } => {
            if lock.lock_type != LockType::Pessimistic {
                return Err(CommandError::Committed { key: key.raw(), start_ts: lock.start_ts, commit_ts });
            }
        }
    }
    txn.unlock(key, lock);
    Ok(())
}
