//! Cleanup: rolls one key back if its lock is over, or at once if no time is given.

use tidewater_codec::{StartTs, TimeStamp};

use super::{
    CommandContext, WriteCommand,
    rollback::{Protection, rollback_lock},
};
use crate::{
    Durability,
    error::CommandError,
    mvcc::{CommitRecord, DataKey, MvccReader, MvccTxn},
};

pub(crate) struct Cleanup {
    pub key: DataKey,
    pub start_ts: StartTs,
    pub current_ts: TimeStamp,
}

impl WriteCommand for Cleanup {
    type Answer = ();
    const DURABILITY: Durability = Durability::Sync;

    fn keys(&self) -> impl Iterator<Item = &DataKey> + Send {
        std::iter::once(&self.key)
    }

    fn execute(&self, context: &mut CommandContext<'_>) -> Result<(MvccTxn, ()), CommandError> {
        let mut txn = MvccTxn::default();
        // The caller will treat the transaction as dead everywhere, so it must stay so.
        cleanup_key(
            &mut txn,
            &mut context.reader,
            &self.key,
            self.start_ts,
            self.current_ts,
            Protection::Protected,
        )?;
        Ok((txn, ()))
    }
}

/// Rolls back what the transaction has on a key; with a `current_ts` only if the lock's time is over.
pub(super) fn cleanup_key(
    txn: &mut MvccTxn,
    reader: &mut MvccReader<'_>,
    key: &DataKey,
    start_ts: StartTs,
    current_ts: TimeStamp,
    protection: Protection,
) -> Result<(), CommandError> {
    let other = match reader.load_lock(key)? {
        Some(lock) if lock.start_ts == start_ts => {
            if !current_ts.is_zero()
                && lock.start_ts.0.physical_ms().saturating_add(lock.ttl_ms) >= current_ts.physical_ms()
            {
                return Err(CommandError::Locked { key: key.raw(), lock: Box::new(lock) });
            }
            return rollback_lock(txn, reader, key, &lock, protection);
        }
        other => other,
    };
    match reader.commit_record(key, start_ts)? {
        CommitRecord::Committed { commit_ts } => {
            Err(CommandError::Committed { key: key.raw(), start_ts, commit_ts })
        }
        CommitRecord::RolledBack => Ok(()),
        CommitRecord::None { overlapped } => {
            let protected = protection == Protection::Protected;
            if !protected {
                txn.collapse_rollback(reader, key, start_ts)?;
            }
            if let (Some(lock), None) = (other, &overlapped) {
                txn.mark_rollback_on_lock(key, lock, start_ts, protected);
            }
            // Keeps out a prewrite of the transaction that arrives late.
            txn.put_rollback(key, start_ts, protected, overlapped);
            Ok(())
        }
    }
}
