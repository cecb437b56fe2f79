//! The storage seam: a small ordered map of named records, written in atomic batches.

mod file;
mod memory;

use std::collections::BTreeMap;

pub use file::FileStorage;
pub use memory::MemoryStorage;

use crate::StorageError;

/// Changes that become durable together: `None` removes the record.
pub type Batch = Vec<(String, Option<Vec<u8>>)>;

/// Where a storage lives, that is, whether writing to it blocks the thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Residence {
    /// In memory: writes return at once.
    Memory,
    /// On a disk: writes wait for it and belong on a blocking thread.
    Disk,
}

/// What survives a restart of the placement driver.
pub trait Storage: Send + Sync {
    /// All records.
    fn load(&self) -> Result<BTreeMap<String, Vec<u8>>, StorageError>;
    /// Applies a batch; it is durable, as a whole, when this returns.
    fn write(&self, batch: Batch) -> Result<(), StorageError>;
    /// Whether writes block.
    fn residence(&self) -> Residence;
}
