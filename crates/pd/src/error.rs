use std::path::PathBuf;

use tidewater_proto::PdError;

/// Why the storage of a placement driver could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The operating system refused.
    #[error("cannot {action} {}", .path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Another process has the directory open.
    #[error("{} is in use by another process", .path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// The file is not ours.
    #[error("{} is not a placement driver log", .path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
    },
    /// A later version of the program wrote the file.
    #[error("{} has format {found}, this program reads up to {supported}: use a newer program", .path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version found.
        found: u32,
        /// The latest version understood.
        supported: u32,
    },
    /// The bytes are damaged in the middle of the file, where a crash cannot have done it.
    #[error("{} is damaged at offset {offset}: restore it from a backup", .path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where the first damaged record starts.
        offset: u64,
    },
    /// An earlier failure left the state of the file unknown; only a restart can tell.
    #[error("an earlier write to {} failed, restart to recover", .path.display())]
    Poisoned {
        /// The file.
        path: PathBuf,
    },
    /// Another member leads, or nobody: nothing was written.
    #[error("this member of the placement driver does not lead")]
    NotLeader,
    /// The member lost its leadership meanwhile: what was to be written may be, or may come to be, written.
    #[error("leadership was lost before the write was decided")]
    LeadershipLost,
}

/// Why a placement driver did not start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A record is there but does not decode.
    #[error("the stored record {name} is damaged: {reason}")]
    Record {
        /// The name of the record.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The storage is a member's of a replicated driver, and may be behind the others.
    #[error("the data belong to a member of a replicated placement driver; start tidewater-pd on them")]
    Member,
}

pub(crate) fn storage_failed(error: &StorageError) -> PdError {
    match error {
        StorageError::NotLeader => return PdError::NotLeader,
        StorageError::LeadershipLost => return PdError::LeadershipLost,
        _ => {}
    }
    let mut reason = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        reason.push_str(": ");
        reason.push_str(&cause.to_string());
        source = cause.source();
    }
    PdError::Storage { reason }
}
