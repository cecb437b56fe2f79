use std::collections::BTreeMap;

use parking_lot::Mutex;

use super::{Batch, Residence, Storage};
use crate::StorageError;

/// Records in memory; shared through an `Arc` they outlive the driver, which is what restart tests need.
#[derive(Debug, Default)]
pub struct MemoryStorage {
    records: Mutex<BTreeMap<String, Vec<u8>>>,
}

impl MemoryStorage {
    /// An empty storage.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Storage for MemoryStorage {
    fn load(&self) -> Result<BTreeMap<String, Vec<u8>>, StorageError> {
        Ok(self.records.lock().clone())
    }

    fn write(&self, batch: Batch) -> Result<(), StorageError> {
        apply(&mut self.records.lock(), batch);
        Ok(())
    }

    fn residence(&self) -> Residence {
        Residence::Memory
    }
}

/// Applies a batch to a map.
pub(crate) fn apply(records: &mut BTreeMap<String, Vec<u8>>, batch: Batch) {
    for (name, value) in batch {
        match value {
            Some(value) => records.insert(name, value),
            None => records.remove(&name),
        };
    }
}
