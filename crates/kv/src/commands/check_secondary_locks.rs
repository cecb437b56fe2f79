//! Whether an async-commit transaction reached its commit point: are all secondaries locked?
//!
//! A secondary that is not locked (and not committed) is rolled back with a protected record, so the answer "no" stays true.

use tidewater_codec::{
    CommitTs, Key, StartTs,
    mvcc::{Lock, LockType},
};

use super::{CommandContext, WriteCommand};
use crate::{
    Durability,
    error::CommandError,
    mvcc::{CommitRecord, DataKey, MvccTxn},
};

pub(crate) struct CheckSecondaryLocks {
    pub keys: Vec<DataKey>,
    pub start_ts: StartTs,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum SecondaryStatus {
    /// All are locked.
    Locked(Vec<(Key, Lock)>),
    /// One is committed, so all are or will be.
    Committed(CommitTs),
    /// One is not locked: the transaction never commits.
    RolledBack,
}

impl WriteCommand for CheckSecondaryLocks {
    type Answer = SecondaryStatus;
    const DURABILITY: Durability = Durability::Sync;

    fn keys(&self) -> impl Iterator<Item = &DataKey> + Send {
        self.keys.iter()
    }

    fn execute(&self, context: &mut CommandContext<'_>) -> Result<(MvccTxn, SecondaryStatus), CommandError> {
        context.concurrency.note_read(self.start_ts.0);
        let reader = &mut context.reader;
        let mut txn = MvccTxn::default();
        let mut locks = Vec::new();
        for key in &self.keys {
            let other = match reader.load_lock(key)? {
                Some(lock) if lock.start_ts == self.start_ts && lock.lock_type != LockType::Pessimistic => {
                    locks.push((key.raw(), lock));
                    continue;
                }
                Some(lock) if lock.start_ts == self.start_ts => {
                    txn.unlock(key, &lock);
                    None
                }
                other => other,
            };
            match reader.commit_record(key, self.start_ts)? {
                CommitRecord::Committed { commit_ts } => {
                    return Ok((txn, SecondaryStatus::Committed(commit_ts)));
                }
                CommitRecord::RolledBack => {}
                CommitRecord::None { overlapped } => {
                    if let (Some(lock), None) = (other, &overlapped) {
                        txn.mark_rollback_on_lock(key, lock, self.start_ts, true);
                    }
                    txn.put_rollback(key, self.start_ts, true, overlapped);
                }
            }
            return Ok((txn, SecondaryStatus::RolledBack));
        }
        Ok((txn, SecondaryStatus::Locked(locks)))
    }
}
