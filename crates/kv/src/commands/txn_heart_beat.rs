//! Heartbeat: a long transaction asks for more time.

use tidewater_codec::StartTs;

use super::{CommandContext, WriteCommand};
use crate::{
    Durability,
    error::CommandError,
    mvcc::{DataKey, MvccTxn},
};

pub(crate) struct TxnHeartBeat {
    pub primary: DataKey,
    pub start_ts: StartTs,
    pub advised_ttl_ms: u64,
}

impl WriteCommand for TxnHeartBeat {
    /// The time to live in force, in milliseconds.
    type Answer = u64;
    const DURABILITY: Durability = Durability::Buffered;

    fn keys(&self) -> impl Iterator<Item = &DataKey> + Send {
        std::iter::once(&self.primary)
    }

    fn execute(&self, context: &mut CommandContext<'_>) -> Result<(MvccTxn, u64), CommandError> {
        let mut txn = MvccTxn::default();
        match context.reader.load_lock(&self.primary)? {
            Some(mut lock) if lock.start_ts == self.start_ts => {
                if lock.ttl_ms < self.advised_ttl_ms {
                    lock.ttl_ms = self.advised_ttl_ms;
                    txn.put_lock(&self.primary, lock.clone());
                }
                Ok((txn, lock.ttl_ms))
            }
            _ => Err(CommandError::TxnNotFound { start_ts: self.start_ts, primary: self.primary.raw() }),
        }
    }
}
