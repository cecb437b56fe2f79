//! The storage seam: a small ordered map of named records, written in atomic batches.

mod file;
mod memory;

use std::collections::BTreeMap;
use std::sync::Arc;

use tidewater_proto::PdError;

pub use file::FileStorage;
pub use memory::MemoryStorage;

use crate::StorageError;
use crate::replica::Leadership;
pub(crate) use memory::apply;

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

/// What a driver writes to.
#[derive(Clone)]
pub(crate) enum Store {
    /// A storage of its own.
    Local(Arc<dyn Storage>),
    /// What the members have in common, for as long as this one leads.
    Replicated(Arc<Leadership>),
}

impl Store {
    /// Applies a batch; it is durable, as a whole, when this is through.
    pub(crate) async fn write(&self, batch: Batch) -> Result<(), StorageError> {
        match self {
            Self::Local(storage) => match storage.residence() {
                Residence::Memory => storage.write(batch),
                Residence::Disk => {
                    let storage = storage.clone();
                    match tokio::task::spawn_blocking(move || storage.write(batch)).await {
                        Ok(written) => written,
                        Err(error) => std::panic::resume_unwind(error.into_panic()),
                    }
                }
            },
            Self::Replicated(leadership) => leadership.write(batch).await,
        }
    }

    /// Whether nothing is ever waited for.
    pub(crate) fn is_memory(&self) -> bool {
        matches!(self, Self::Local(storage) if storage.residence() == Residence::Memory)
    }

    /// Runs work that writes to its end, even if the caller goes away meanwhile: what is in the storage and what is known must not part.
    pub(crate) async fn run<T, F>(&self, work: F) -> Result<T, PdError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, PdError>> + Send + 'static,
    {
        if self.is_memory() {
            return work.await;
        }
        match tokio::spawn(work).await {
            Ok(result) => result,
            Err(error) => Err(PdError::Storage { reason: error.to_string() }),
        }
    }
}
