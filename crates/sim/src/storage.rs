//! What a placement driver keeps on its disk, beside its Raft log.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidewater_pd::{Batch, MemoryStorage, Residence, Storage, StorageError};

use crate::disk::Disk;
use crate::sabotage::Sabotage;

/// The record of how far timestamps may have been given out.
const TSO_WINDOW: &str = "tso/window";

/// Records that are durable when a write of theirs returns, if it does.
pub(crate) struct SimStorage {
    records: MemoryStorage,
    disk: Arc<Disk>,
    sabotage: Option<Sabotage>,
}

impl SimStorage {
    pub(crate) fn new(disk: Arc<Disk>, sabotage: Option<Sabotage>) -> Arc<Self> {
        Arc::new(Self { records: MemoryStorage::new(), disk, sabotage })
    }

    /// The same records, of which the process that used them until now has no share any more.
    pub(crate) fn crash(&self) -> Arc<Self> {
        let copy = Self::new(self.disk.clone(), self.sabotage);
        let records = self.records.load().unwrap_or_default();
        let batch = records.into_iter().map(|(name, value)| (name, Some(value))).collect();
        // Memory takes everything.
        let _ = copy.records.write(batch);
        copy
    }
}

impl Storage for SimStorage {
    fn load(&self) -> Result<BTreeMap<String, Vec<u8>>, StorageError> {
        self.records.load()
    }

    fn write(&self, mut batch: Batch) -> Result<(), StorageError> {
        if let Err(reason) = self.disk.write() {
            let (action, path) = ("write", "records".into());
            return Err(StorageError::Io { action, path, source: std::io::Error::other(reason) });
        }
        if self.sabotage == Some(Sabotage::LoseWindow) {
            batch.retain(|(name, _)| name != TSO_WINDOW);
        }
        self.records.write(batch)
    }

    fn residence(&self) -> Residence {
        Residence::Memory
    }
}
