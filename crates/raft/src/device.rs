//! Where logs are kept: an ordered map of bytes, written in order, durable when it says so.

mod file;
mod memory;
#[cfg(feature = "rocksdb")]
mod rocks;

pub use file::FileDevice;
pub use memory::MemoryDevice;
#[cfg(feature = "rocksdb")]
pub use rocks::RocksDevice;

/// Called when what was submitted, and everything before it, is durable, or never will be.
pub type Written = Box<dyn FnOnce(Result<(), DeviceError>) + Send>;

/// Why a device could not do its work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// The device or the library below failed.
    #[error("the Raft log failed to {operation}: {reason}")]
    Failed {
        /// What was tried.
        operation: &'static str,
        /// What the library said.
        reason: String,
    },
    /// A stored record does not decode.
    #[error("corrupt {what} in the Raft log: {reason}")]
    Corrupt {
        /// What was read.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The log was written by a newer release.
    #[error(
        "the Raft log was written in format {found}, this release understands up to {supported}; use a newer release"
    )]
    NewerFormat {
        /// The version found.
        found: u32,
        /// The newest version known here.
        supported: u32,
    },
}

/// One step of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogOp {
    /// Sets a key.
    Put(Vec<u8>, Vec<u8>),
    /// Removes the keys from the first, inclusive, to the second, exclusive.
    DeleteRange(Vec<u8>, Vec<u8>),
}

/// How soon a write has to be durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Whenever the next urgent one is.
    Later,
    /// Before [`Written`] is called.
    Now,
}

/// One log device of a store, shared by all its groups.
///
/// Writes take effect in the order of their submission, each whole or not at all, and are visible to reads no later than when [`Written`] is
/// called. After a crash a prefix of them is there that includes everything that was reported as written with [`Urgency::Now`].
pub trait LogDevice: Send + Sync + 'static {
    /// Queues a write. A device that was given up, as by a simulated crash, may drop `written` without calling it.
    fn submit(&self, ops: Vec<LogOp>, urgency: Urgency, written: Written);

    /// The value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, DeviceError>;

    /// Keys and values from `start`, inclusive, to `end`, exclusive, in order. It ends early when values of `bytes_max` bytes are found, with one
    /// value at least.
    fn scan(&self, start: &[u8], end: &[u8], bytes_max: usize) -> Result<KeysAndValues, DeviceError>;

    /// The last key, and its value, before `end` that is not before `start`.
    fn last(&self, start: &[u8], end: &[u8]) -> Result<Option<KeyAndValue>, DeviceError>;
}

/// A key and its value.
pub type KeyAndValue = (Vec<u8>, Vec<u8>);

/// In the order of the keys.
pub type KeysAndValues = Vec<KeyAndValue>;
