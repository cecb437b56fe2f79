//! Removes pessimistic locks that were not needed after all. The transaction itself goes on, so no record is left.

use tidewater_codec::{StartTs, TimeStamp, mvcc::LockType};

use super::{CommandContext, WriteCommand};
use crate::{
    Durability,
    error::CommandError,
    mvcc::{DataKey, MvccTxn},
};

pub(crate) struct PessimisticRollback {
    pub keys: Vec<DataKey>,
    pub start_ts: StartTs,
    pub for_update_ts: TimeStamp,
}

impl WriteCommand for PessimisticRollback {
    type Answer = ();
    const DURABILITY: Durability = Durability::Buffered;

    fn keys(&self) -> impl Iterator<Item = &DataKey> + Send {
        self.keys.iter()
    }

    fn execute(&self, context: &mut CommandContext<'_>) -> Result<(MvccTxn, ()), CommandError> {
        let mut txn = MvccTxn::default();
        for key in &self.keys {
            if let Some(lock) = context.reader.load_lock(key)?
                && lock.lock_type == LockType::Pessimistic
                && lock.start_ts == self.start_ts
                // A later statement may have locked the key again: that lock stays.
                && lock.for_update_ts <= self.for_update_ts
            {
                txn.unlock(key, &lock);
            }
        }
        Ok((txn, ()))
    }
}
