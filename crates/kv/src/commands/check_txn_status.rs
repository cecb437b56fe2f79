//! What became of a transaction, as its primary key tells; an expired one is rolled back on the way.

use tidewater_codec::{
    CommitTs, StartTs, TimeStamp,
    mvcc::{Lock, LockType},
};

use super::{
    CommandContext, WriteCommand,
    rollback::{Protection, rollback_lock},
};
use crate::{
    Durability,
    error::CommandError,
    mvcc::{CommitRecord, DataKey, MvccTxn},
};

pub(crate) struct CheckTxnStatus {
    pub primary: DataKey,
    pub lock_ts: StartTs,
    /// The reader that met a lock; a live primary's `min_commit_ts` is pushed above it.
    pub caller_start_ts: TimeStamp,
    /// What time it is.
    pub current_ts: TimeStamp,
    pub rollback_if_not_exist: bool,
    pub force_sync_commit: bool,
    pub resolving_pessimistic_lock: bool,
    pub verify_is_primary: bool,
}

/// The fate of a transaction.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum TxnStatus {
    Committed {
        commit_ts: CommitTs,
    },
    /// It was rolled back earlier.
    RolledBack,
    /// Its time was over: rolled back by this command.
    Expired,
    /// A pessimistic lock whose time was over: removed without a record.
    ExpiredPessimistic,
    /// No trace; it is rolled back from now on.
    NotFoundRolledBack,
    /// No trace; nothing was done, the transaction may still prewrite.
    NotFound,
    /// Alive; whether the caller may read past its locks now.
    Alive {
        lock: Box<Lock>,
        min_commit_ts_pushed: bool,
    },
}

impl WriteCommand for CheckTxnStatus {
    type Answer = TxnStatus;
    // Others act on the answer: a rollback told must not be forgotten.
    const DURABILITY: Durability = Durability::Sync;

    fn keys(&self) -> impl Iterator<Item = &DataKey> + Send {
        std::iter::once(&self.primary)
    }

    fn execute(&self, context: &mut CommandContext<'_>) -> Result<(MvccTxn, TxnStatus), CommandError> {
        // A rollback mark at `lock_ts` or a pushed `min_commit_ts` must not be overtaken by a calculated commit timestamp.
        for ts in [self.lock_ts.0, self.current_ts, self.caller_start_ts] {
            context.concurrency.note_read(ts);
        }
        let mut txn = MvccTxn::default();
        let status = match context.reader.load_lock(&self.primary)? {
            Some(lock) if lock.start_ts == self.lock_ts => self.locked(&mut txn, context, lock)?,
            other => self.not_locked(&mut txn, context, other)?,
        };
        Ok((txn, status))
    }
}

impl CheckTxnStatus {
    fn locked(
        &self,
        txn: &mut MvccTxn,
        context: &mut CommandContext<'_>,
        mut lock: Lock,
    ) -> Result<TxnStatus, CommandError> {
        if self.verify_is_primary && lock.primary != self.primary.raw().as_bytes() {
            return Err(CommandError::PrimaryMismatch { key: self.primary.raw(), lock: Box::new(lock) });
        }
        // Async commit: the commit point is "every key is locked", so the secondaries have to be asked before anything is done here.
        if lock.async_commit_secondaries.is_some() && !self.force_sync_commit {
            return Ok(TxnStatus::Alive { lock: Box::new(lock), min_commit_ts_pushed: false });
        }
        if lock.start_ts.0.physical_ms().saturating_add(lock.ttl_ms) < self.current_ts.physical_ms() {
            if self.resolving_pessimistic_lock && lock.lock_type == LockType::Pessimistic {
                txn.unlock(&self.primary, &lock);
                return Ok(TxnStatus::ExpiredPessimistic);
            }
            rollback_lock(txn, &mut context.reader, &self.primary, &lock, Protection::Protected)?;
            return Ok(TxnStatus::Expired);
        }
        // A lock without `min_commit_ts` comes from a client that cannot handle it being pushed.
        if !lock.min_commit_ts.is_zero()
            && !self.caller_start_ts.is_max()
            && self.caller_start_ts >= lock.min_commit_ts
        {
            lock.min_commit_ts = self.caller_start_ts.next().max(self.current_ts);
            txn.put_lock(&self.primary, lock.clone());
        }
        let passed = !self.caller_start_ts.is_zero()
            && !lock.min_commit_ts.is_zero()
            && lock.min_commit_ts > self.caller_start_ts;
        Ok(TxnStatus::Alive {
            lock: Box::new(lock),
            min_commit_ts_pushed: passed || self.caller_start_ts.is_max(),
        })
    }

    fn not_locked(
        &self,
        txn: &mut MvccTxn,
        context: &mut CommandContext<'_>,
        other: Option<Lock>,
    ) -> Result<TxnStatus, CommandError> {
        let overlapped = match context.reader.commit_record(&self.primary, self.lock_ts)? {
            CommitRecord::Committed { commit_ts } => return Ok(TxnStatus::Committed { commit_ts }),
            CommitRecord::RolledBack => return Ok(TxnStatus::RolledBack),
            CommitRecord::None { overlapped } => overlapped,
        };
        if !self.rollback_if_not_exist {
            return Err(CommandError::TxnNotFound { start_ts: self.lock_ts, primary: self.primary.raw() });
        }
        if self.resolving_pessimistic_lock {
            return Ok(TxnStatus::NotFound);
        }
        if let (Some(lock), None) = (other, &overlapped) {
            txn.mark_rollback_on_lock(&self.primary, lock, self.lock_ts, true);
        }
        txn.put_rollback(&self.primary, self.lock_ts, true, overlapped);
        Ok(TxnStatus::NotFoundRolledBack)
    }
}
