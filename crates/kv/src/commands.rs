//! The transaction commands, one per file.
//!
//! A command is a pure function: a snapshot (and the pessimistic locks in memory) in, writes and an answer out. It waits for nothing
//! and touches no shared state; the scheduler holds its latches, hands it a snapshot and carries its writes away.
//!
//! The rules are Percolator's with TiKV's additions: pessimistic locks, one-phase and async commit, protected and collapsed
//! rollbacks. `tests/model.rs` checks them against a plain model.

pub(crate) mod check_secondary_locks;
pub(crate) mod check_txn_status;
pub(crate) mod cleanup;
pub(crate) mod commit;
pub(crate) mod gc;
pub(crate) mod pessimistic_lock;
pub(crate) mod pessimistic_rollback;
pub(crate) mod prewrite;
pub(crate) mod read;
pub(crate) mod resolve_lock;
pub(crate) mod rollback;
pub(crate) mod scan_lock;
pub(crate) mod txn_heart_beat;

use std::sync::Arc;

use crate::{
    Durability, Snapshot,
    concurrency::ConcurrencyManager,
    error::CommandError,
    mvcc::{DataKey, MvccReader, MvccTxn},
    pessimistic::PessimisticLocks,
    row_cache::RowCache,
};

/// What a command may look at.
pub(crate) struct CommandContext<'a> {
    pub reader: MvccReader<'a>,
    pub concurrency: &'a Arc<ConcurrencyManager>,
}

impl<'a> CommandContext<'a> {
    pub(crate) fn new(
        snapshot: &'a Arc<dyn Snapshot>,
        pessimistic: &'a PessimisticLocks,
        rows: &'a RowCache,
        concurrency: &'a Arc<ConcurrencyManager>,
    ) -> Self {
        Self { reader: MvccReader::new(snapshot, pessimistic, rows), concurrency }
    }
}

/// A command that may write.
pub(crate) trait WriteCommand: Send {
    /// What it answers when it succeeds.
    type Answer: Send;

    /// Whether the answer may be given before the writes survive a power failure.
    const DURABILITY: Durability;

    /// The keys it reads and writes.
    fn keys(&self) -> impl Iterator<Item = &DataKey> + Send;

    /// Decides.
    fn execute(&self, context: &mut CommandContext<'_>) -> Result<(MvccTxn, Self::Answer), CommandError>;
}
