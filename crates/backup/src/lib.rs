//! A whole cluster at one timestamp, as a directory of checked files, and back.
//!
//! Floor 6, above `txn`, through which everything is read and written: it knows keys and values, and neither tables nor stores.
//!
//! # Invariants
//! * **A backup is the database as of one timestamp.** Garbage collection is held back as long as it is read.
//! * **A directory without a manifest is no backup.** The manifest is written last, and names every file with its length and its SHA-256.
//! * **Nothing is restored that is not what was backed up**: a file is checked as a whole before its first pair is written, and each block again.
//! * **A restore does not mix**: the cluster has to be empty, or left behind by a restore that did not end.
//!
//! # Tour
//! [`backup`](backup()) and [`restore`](restore()); `manifest` and `file` are the format.

mod backup;
mod error;
mod file;
mod manifest;
mod restore;

pub use backup::{BackupOptions, backup};
pub use error::BackupError;
pub use manifest::{FileEntry, Manifest};
pub use restore::{RestoreOptions, restore};

/// How far it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Pairs of keys and values read or written.
    pub pairs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Pieces of the key space, or files, that are done.
    pub done: usize,
    /// Out of so many.
    pub total: usize,
}
