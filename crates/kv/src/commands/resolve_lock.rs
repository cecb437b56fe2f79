//! Resolve: locks of finished transactions are committed or rolled back, as their primaries decided.

use tidewater_codec::{CommitTs, StartTs, TimeStamp};

use super::{CommandContext, WriteCommand, cleanup::cleanup_key, commit::commit_key, rollback::Protection};
use crate::{
    Durability,
    error::CommandError,
    mvcc::{DataKey, MvccTxn},
};

/// One key of one finished transaction.
#[derive(Debug, Clone)]
pub(crate) struct LockToResolve {
    pub key: DataKey,
    pub start_ts: StartTs,
    /// Absent: rolled back.
    pub commit_ts: Option<CommitTs>,
}

pub(crate) struct ResolveLocks {
    pub locks: Vec<LockToResolve>,
}

impl WriteCommand for ResolveLocks {
    type Answer = ();
    // The primary decides; a lost resolution is repeated by the next who meets the lock.
    const DURABILITY: Durability = Durability::Buffered;

    fn keys(&self) -> impl Iterator<Item = &DataKey> + Send {
        self.locks.iter().map(|lock| &lock.key)
    }

    fn execute(&self, context: &mut CommandContext<'_>) -> Result<(MvccTxn, ()), CommandError> {
        let mut txn = MvccTxn::default();
        for LockToResolve { key, start_ts, commit_ts } in &self.locks {
            // Somebody else may have resolved it in the meantime: what is not locked needs nothing.
            if context.reader.load_lock(key)?.is_none_or(|lock| lock.start_ts != *start_ts) {
                continue;
            }
            match commit_ts {
                Some(commit_ts) if commit_ts.0 <= start_ts.0 => {
                    return Err(CommandError::CommitTsInvalid { start_ts: *start_ts, commit_ts: *commit_ts });
                }
                Some(commit_ts) => commit_key(&mut txn, context, key, *start_ts, *commit_ts)?,
                None => cleanup_key(
                    &mut txn,
                    &mut context.reader,
                    key,
                    *start_ts,
                    TimeStamp::ZERO,
                    Protection::Unprotected,
                )?,
            }
        }
        Ok((txn, ()))
    }
}
