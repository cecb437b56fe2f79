//! Faults of our own making: a simulation that does not find these finds nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use tidewater_codec::mvcc::{Write, WriteType};
use tidewater_kv::{
    Cf, Durability, Engine, EngineError, MemoryEngine, Snapshot, WriteBatch, WriteCost, WriteOp,
};

/// What is broken on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    /// Stores answer before their writes are durable.
    ForgetSync,
    /// Stores keep no records of rollbacks.
    DropRollbacks,
    /// The placement driver gives out a timestamp twice, now and then.
    RepeatTimestamps,
    /// Stores that restart do not know what they served before.
    ForgetReads,
    /// Reads go around locks.
    ReadAroundLocks,
    /// Stores acknowledge entries of their Raft logs before these are durable.
    ForgetLogSync,
    /// Stores lose a write to the `write` family, now and then, and say it was made.
    LoseCommits,
}

impl Sabotage {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::ForgetSync,
        Self::DropRollbacks,
        Self::RepeatTimestamps,
        Self::ForgetReads,
        Self::ReadAroundLocks,
        Self::LoseCommits,
        Self::ForgetLogSync,
    ];
}

/// A memory engine that may be broken.
pub(crate) struct SimEngine {
    inner: MemoryEngine,
    sabotage: Option<Sabotage>,
    writes: AtomicU64,
    trap: Mutex<Trap>,
}

/// A crash between two writes.
#[derive(Default)]
struct Trap {
    /// Writes until then.
    left: u64,
    spring: Option<Box<dyn FnOnce() + Send>>,
    /// What was left at that moment: what is written later is not.
    survivor: Option<MemoryEngine>,
}

impl SimEngine {
    pub(crate) fn new(sabotage: Option<Sabotage>) -> Arc<Self> {
        Self::over(MemoryEngine::with_crashes(), sabotage)
    }

    fn over(inner: MemoryEngine, sabotage: Option<Sabotage>) -> Arc<Self> {
        Arc::new(Self { inner, sabotage, writes: AtomicU64::new(0), trap: Mutex::default() })
    }

    /// What a power failure leaves.
    pub(crate) fn crash(&self) -> Arc<Self> {
        let survivor = self.trap.lock().survivor.take();
        Self::over(survivor.unwrap_or_else(|| self.inner.crash()), self.sabotage)
    }

    /// Has something happen right after so many more writes.
    pub(crate) fn set_trap(&self, left: u64, spring: Box<dyn FnOnce() + Send>) {
        *self.trap.lock() = Trap { left, spring: Some(spring), survivor: None };
    }

    fn step_on_trap(&self) {
        let spring = {
            let mut trap = self.trap.lock();
            trap.left = trap.left.saturating_sub(1);
            if trap.left > 0 || trap.spring.is_none() {
                return;
            }
            trap.survivor = Some(self.inner.crash());
            trap.spring.take()
        };
        // Outside of the lock: it will want to crash us.
        if let Some(spring) = spring {
            spring();
        }
    }

    fn keeps(&self, op: &WriteOp, number: u64) -> bool {
        let WriteOp::Put { cf: Cf::Write, value, .. } = op else { return true };
        match self.sabotage {
            Some(Sabotage::DropRollbacks) => {
                !Write::decode(value).is_ok_and(|record| record.write_type == WriteType::Rollback)
            }
            Some(Sabotage::LoseCommits) => !number.is_multiple_of(40),
            _ => true,
        }
    }
}

impl Engine for SimEngine {
    fn snapshot(&self) -> Arc<dyn Snapshot> {
        self.inner.snapshot()
    }

    fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        self.inner.get(cf, key)
    }

    fn write(&self, batch: WriteBatch, durability: Durability) -> Result<(), EngineError> {
        if self.sabotage.is_none() {
            self.inner.write(batch, durability)?;
            self.step_on_trap();
            return Ok(());
        }
        let number = self.writes.fetch_add(1, Ordering::Relaxed);
        let mut kept = WriteBatch::new();
        for op in batch.into_ops().into_iter().filter(|op| self.keeps(op, number)) {
            match op {
                WriteOp::Put { cf, key, value } => kept.put(cf, key, value),
                WriteOp::Delete { cf, key } => kept.delete(cf, key),
            }
        }
        let forgets = self.sabotage == Some(Sabotage::ForgetSync) && !number.is_multiple_of(16);
        self.inner.write(kept, if forgets { Durability::Buffered } else { durability })?;
        self.step_on_trap();
        Ok(())
    }

    fn delete_range(&self, cf: Cf, start: &[u8], end: &[u8]) -> Result<(), EngineError> {
        self.inner.delete_range(cf, start, end)?;
        self.step_on_trap();
        Ok(())
    }

    fn flush(&self) -> Result<(), EngineError> {
        self.inner.flush()
    }

    fn approximate_size(&self, cf: Cf, start: &[u8], end: &[u8]) -> u64 {
        self.inner.approximate_size(cf, start, end)
    }

    fn write_cost(&self) -> WriteCost {
        WriteCost::Memory
    }
}
