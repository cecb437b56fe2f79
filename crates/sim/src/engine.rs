//! The engine of a store: in memory, on a disk that can fail, and broken on purpose where that is asked for.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use tidewater_codec::mvcc::{Write, WriteType};
use tidewater_kv::{
    Cf, Durability, Engine, EngineError, EngineIterator, IteratorOptions, MemoryEngine, Snapshot, WriteBatch,
    WriteCost, WriteOp,
};

use crate::disk::Disk;
use crate::sabotage::Sabotage;

/// Where a store keeps how far it has applied its logs.
const APPLIED_PREFIX: &[u8] = b"\x01applied";
/// The first byte of transactional data.
const DATA_PREFIX: u8 = b'z';
/// Every so many writes one is carried out again, so many writes later.
const AGAIN_EVERY: u64 = 8;
const AGAIN_AFTER: usize = 3;

/// A memory engine over a disk.
pub(crate) struct SimEngine {
    inner: MemoryEngine,
    disk: Arc<Disk>,
    sabotage: Option<Sabotage>,
    writes: AtomicU64,
    trap: Mutex<Trap>,
    /// Writes that are to be carried out again, after the last of these.
    again: Mutex<VecDeque<Option<WriteBatch>>>,
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
    pub(crate) fn new(disk: Arc<Disk>, sabotage: Option<Sabotage>) -> Arc<Self> {
        Self::over(MemoryEngine::with_crashes(), disk, sabotage)
    }

    fn over(inner: MemoryEngine, disk: Arc<Disk>, sabotage: Option<Sabotage>) -> Arc<Self> {
        let writes = AtomicU64::new(0);
        Arc::new(Self { inner, disk, sabotage, writes, trap: Mutex::default(), again: Mutex::default() })
    }

    /// What a power failure leaves.
    pub(crate) fn crash(&self) -> Arc<Self> {
        let survivor = self.trap.lock().survivor.take();
        Self::over(survivor.unwrap_or_else(|| self.inner.crash()), self.disk.clone(), self.sabotage)
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

    fn ask_disk(&self, operation: &'static str) -> Result<(), EngineError> {
        self.disk.write().map_err(|reason| EngineError::Failed { operation, reason })
    }

    fn keeps(&self, op: &WriteOp, number: u64) -> bool {
        match (self.sabotage, op) {
            (Some(Sabotage::DropRollbacks), WriteOp::Put { cf: Cf::Write, value, .. }) => {
                !Write::decode(value).is_ok_and(|record| record.write_type == WriteType::Rollback)
            }
            (Some(Sabotage::LoseCommits), WriteOp::Put { cf: Cf::Write, .. }) => !number.is_multiple_of(40),
            (Some(Sabotage::ForgetApplied), WriteOp::Put { key, .. }) => !key.starts_with(APPLIED_PREFIX),
            _ => true,
        }
    }

    fn write_broken(&self, batch: WriteBatch, durability: Durability) -> Result<(), EngineError> {
        let number = self.writes.fetch_add(1, Ordering::Relaxed);
        let mut kept = WriteBatch::new();
        for op in batch.into_ops().into_iter().filter(|op| self.keeps(op, number)) {
            push(&mut kept, op);
        }
        let forgets = self.sabotage == Some(Sabotage::ForgetSync) && !number.is_multiple_of(16);
        if self.sabotage == Some(Sabotage::ApplyTwice) {
            self.apply_again(&kept, number)?;
        }
        self.inner.write(kept, if forgets { Durability::Buffered } else { durability })
    }

    /// What a log that is applied twice does to the data.
    fn apply_again(&self, batch: &WriteBatch, number: u64) -> Result<(), EngineError> {
        let mut again = self.again.lock();
        again.push_back(number.is_multiple_of(AGAIN_EVERY).then(|| data_of(batch)));
        if again.len() > AGAIN_AFTER
            && let Some(Some(batch)) = again.pop_front()
        {
            self.inner.write(batch, Durability::Buffered)?;
        }
        Ok(())
    }
}

fn push(batch: &mut WriteBatch, op: WriteOp) {
    match op {
        WriteOp::Put { cf, key, value } => batch.put(cf, key, value),
        WriteOp::Delete { cf, key } => batch.delete(cf, key),
    }
}

fn data_of(batch: &WriteBatch) -> WriteBatch {
    let mut data = WriteBatch::new();
    for op in batch.ops() {
        let (WriteOp::Put { key, .. } | WriteOp::Delete { key, .. }) = op;
        if key.first() == Some(&DATA_PREFIX) {
            push(&mut data, op.clone());
        }
    }
    data
}

impl Engine for SimEngine {
    fn snapshot(&self) -> Arc<dyn Snapshot> {
        let snapshot = self.inner.snapshot();
        match self.sabotage {
            Some(Sabotage::SnapshotWithoutLocks) => Arc::new(Lockless(snapshot)),
            _ => snapshot,
        }
    }

    fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        self.inner.get(cf, key)
    }

    fn write(&self, batch: WriteBatch, durability: Durability) -> Result<(), EngineError> {
        self.ask_disk("write")?;
        match self.sabotage {
            None => self.inner.write(batch, durability)?,
            Some(_) => self.write_broken(batch, durability)?,
        }
        self.step_on_trap();
        Ok(())
    }

    fn delete_range(&self, cf: Cf, start: &[u8], end: &[u8]) -> Result<(), EngineError> {
        self.ask_disk("delete a range")?;
        self.inner.delete_range(cf, start, end)?;
        self.step_on_trap();
        Ok(())
    }

    fn flush(&self) -> Result<(), EngineError> {
        self.ask_disk("flush")?;
        self.inner.flush()
    }

    fn approximate_size(&self, cf: Cf, start: &[u8], end: &[u8]) -> u64 {
        self.inner.approximate_size(cf, start, end)
    }

    fn write_cost(&self) -> WriteCost {
        WriteCost::Memory
    }
}

/// A snapshot that shows no locks to those who read a region as a whole: they are told by leaving the cache alone.
struct Lockless(Arc<dyn Snapshot>);

impl Snapshot for Lockless {
    fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        self.0.get(cf, key)
    }

    fn iterator(&self, cf: Cf, options: IteratorOptions) -> Box<dyn EngineIterator> {
        if cf == Cf::Lock && !options.fill_cache {
            let upper = Some(options.lower.clone());
            return self.0.iterator(cf, IteratorOptions { upper, ..options });
        }
        self.0.iterator(cf, options)
    }
}
