//! The engine seam: three ordered maps of bytes, snapshots of them, and atomic write batches over them.
//!
//! Two engines implement it: [`MemoryEngine`] always, `RocksEngine` behind the default feature `rocksdb`. `engine/conformance.rs`
//! runs the same suite on both. The seam knows nothing of transactions, regions or the meaning of keys.

#[cfg(test)]
pub(crate) mod conformance;
mod memory;
#[cfg(feature = "rocksdb")]
mod rocks;

use std::sync::Arc;

use bytes::Bytes;

pub use memory::MemoryEngine;
#[cfg(feature = "rocksdb")]
pub use rocks::{RocksConfig, RocksEngine};

/// A column family: one ordered map of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cf {
    /// Values too long for a record, and the node's own metadata.
    Default,
    /// Locks of transactions on their way.
    Lock,
    /// What was committed or rolled back, and when.
    Write,
}

impl Cf {
    /// All families.
    pub const ALL: [Self; 3] = [Self::Default, Self::Lock, Self::Write];

    /// The name on disk.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Lock => "lock",
            Self::Write => "write",
        }
    }
}

/// What has to be true before a write returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Durability {
    /// It is visible; a power failure may undo it, together with everything written after it.
    Buffered,
    /// It, and everything written before it, survives a power failure.
    Sync,
}

/// Whether [`Engine::write`] waits for a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteCost {
    /// Memory only: callers may write inline.
    Memory,
    /// A device: callers share one writer and its fsync.
    Device,
}

/// Why an engine could not do its work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// The device or the library below failed.
    #[error("the storage engine failed to {operation}: {reason}")]
    Failed {
        /// What was tried.
        operation: &'static str,
        /// What the library said.
        reason: String,
    },
    /// An earlier write failed; nothing more is accepted, so that nothing acknowledged can be contradicted.
    #[error("the store is read-only since a write failed: {reason}")]
    ReadOnly {
        /// The failure that closed the store for writing.
        reason: String,
    },
    /// A stored record does not decode.
    #[error("corrupt {what} in the store: {reason}")]
    Corrupt {
        /// What was read.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The data directory was written by a newer release.
    #[error(
        "the data was written in format {found}, this release understands up to {supported}; use a newer release"
    )]
    NewerFormat {
        /// The version found.
        found: u32,
        /// The newest version known here.
        supported: u32,
    },
}

/// One step of a [`WriteBatch`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriteOp {
    /// Sets a key.
    Put {
        /// Where.
        cf: Cf,
        /// The key.
        key: Vec<u8>,
        /// The value.
        value: Vec<u8>,
    },
    /// Removes a key.
    Delete {
        /// Where.
        cf: Cf,
        /// The key.
        key: Vec<u8>,
    },
}

/// Writes that become visible together or not at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WriteBatch {
    ops: Vec<WriteOp>,
}

impl WriteBatch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a key; later steps win.
    pub fn put(&mut self, cf: Cf, key: Vec<u8>, value: Vec<u8>) {
        self.ops.push(WriteOp::Put { cf, key, value });
    }

    /// Removes a key; no error if it is not there.
    pub fn delete(&mut self, cf: Cf, key: Vec<u8>) {
        self.ops.push(WriteOp::Delete { cf, key });
    }

    /// Adds the steps of another batch after this one's.
    pub fn append(&mut self, other: Self) {
        if self.ops.is_empty() {
            *self = other;
        } else {
            self.ops.extend(other.ops);
        }
    }

    /// No steps?
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// The steps in order.
    pub fn ops(&self) -> &[WriteOp] {
        &self.ops
    }

    /// The steps in order.
    pub fn into_ops(self) -> Vec<WriteOp> {
        self.ops
    }

    /// Bytes of keys and values.
    pub fn size(&self) -> usize {
        self.ops
            .iter()
            .map(|op| match op {
                WriteOp::Put { key, value, .. } => key.len() + value.len(),
                WriteOp::Delete { key, .. } => key.len(),
            })
            .sum()
    }
}

/// How an iterator will be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IteratorUse {
    /// In order, over any part of its bounds.
    #[default]
    Range,
    /// Only versions of the key of the first seek: the engine may use its bloom filters.
    Versions,
}

/// The part of a family an iterator sees.
#[derive(Debug, Clone, Default)]
pub struct IteratorOptions {
    /// First key, inclusive; empty is unbounded.
    pub lower: Vec<u8>,
    /// Last key, exclusive; `None` is unbounded.
    pub upper: Option<Vec<u8>>,
    /// What it is for.
    pub usage: IteratorUse,
    /// Whether blocks read on the way shall displace others from the cache.
    pub fill_cache: bool,
}

impl IteratorOptions {
    /// A scan of `lower..upper` that warms the cache.
    pub fn range(lower: Vec<u8>, upper: Option<Vec<u8>>) -> Self {
        Self { lower, upper, usage: IteratorUse::Range, fill_cache: true }
    }
}

/// An ordered walk. Not positioned until the first seek; every move tells whether it stands on an entry.
pub trait EngineIterator: Send {
    /// To the first entry at or after `key`.
    fn seek(&mut self, key: &[u8]) -> Result<bool, EngineError>;
    /// To the last entry at or before `key`.
    fn seek_for_prev(&mut self, key: &[u8]) -> Result<bool, EngineError>;
    /// To the last entry.
    fn seek_to_last(&mut self) -> Result<bool, EngineError>;
    /// To the next entry; must stand on one.
    fn next(&mut self) -> Result<bool, EngineError>;
    /// To the previous entry; must stand on one.
    fn prev(&mut self) -> Result<bool, EngineError>;
    /// Whether it stands on an entry.
    fn valid(&self) -> bool;
    /// The entry's key, until the next move; empty when it stands on none.
    fn key(&self) -> &[u8];
    /// The entry's value, until the next move; empty when it stands on none.
    fn value(&self) -> &[u8];
}

/// The engine as it was at one moment.
pub trait Snapshot: Send + Sync {
    /// Reads one key.
    fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Bytes>, EngineError>;
    /// Walks a family; the iterator keeps the snapshot alive.
    fn iterator(&self, cf: Cf, options: IteratorOptions) -> Box<dyn EngineIterator>;
}

/// Ordered maps of bytes that survive the process (or not: the memory engine).
pub trait Engine: Send + Sync {
    /// The state now.
    fn snapshot(&self) -> Arc<dyn Snapshot>;
    /// Reads the newest value of one key.
    fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Bytes>, EngineError>;
    /// Applies a batch atomically.
    fn write(&self, batch: WriteBatch, durability: Durability) -> Result<(), EngineError>;
    /// Removes all keys in `start..end` for good, without regard to snapshots of it.
    fn delete_range(&self, cf: Cf, start: &[u8], end: &[u8]) -> Result<(), EngineError>;
    /// Makes everything written so far durable and compact on the device.
    fn flush(&self) -> Result<(), EngineError>;
    /// Roughly how many bytes `start..end` takes.
    fn approximate_size(&self, cf: Cf, start: &[u8], end: &[u8]) -> u64;
    /// Whether writes wait for a device.
    fn write_cost(&self) -> WriteCost;
    /// How often a read has met damaged data since the engine was opened. Such a read fails with [`EngineError::Corrupt`].
    fn corruptions(&self) -> u64 {
        0
    }
}
