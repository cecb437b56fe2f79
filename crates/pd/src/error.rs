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

/// Why an operator that was asked for by hand was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OperatorError {
    /// No such region, or it has not reported itself yet.
    #[error("region {region_id} is not known, or has not reported itself yet")]
    RegionNotFound {
        /// Its id.
        region_id: u64,
    },
    /// Regions of this cluster have one copy each and move whole.
    #[error("regions are not replicated: start the placement driver with max-replicas above 1")]
    NotReplicated,
    /// Something is under way with the region.
    #[error("region {region_id} has an operator already: wait for its end, or cancel it")]
    Busy {
        /// The region.
        region_id: u64,
    },
    /// The region has no peer there, or one that does not vote.
    #[error("region {region_id} has no such peer on store {store_id}")]
    NoSuchPeer {
        /// The region.
        region_id: u64,
        /// The store.
        store_id: u64,
    },
    /// The store is not known, not up, not heard of, or has a peer already; or its peer has not caught up.
    #[error(
        "store {store_id} cannot do that for region {region_id}: it is not up, or has a peer already, or its peer has not caught up"
    )]
    StoreUnfit {
        /// The region.
        region_id: u64,
        /// The store.
        store_id: u64,
    },
    /// Too few healthy voters would be left.
    #[error("region {region_id} would be left without a healthy majority")]
    Unsafe {
        /// The region.
        region_id: u64,
    },
    /// No order of steps leads there.
    #[error("there is no safe way for region {region_id}")]
    NoWay {
        /// The region.
        region_id: u64,
    },
    /// It takes two regions with a common border, where the same placement rules hold.
    #[error("region {target} is no neighbor of region {region_id} under the same placement rules")]
    NotNeighbors {
        /// The region that was to be merged.
        region_id: u64,
        /// The region it was to be merged into.
        target: u64,
    },
    /// A peer is missing, down, superfluous or behind.
    #[error("region {region_id} is not well: a peer is missing, down, superfluous or behind")]
    Unsettled {
        /// The region.
        region_id: u64,
    },
    /// The keys to split at are missing or superfluous, not inside of the region, or no keys.
    #[error(
        "region {region_id} cannot be cut there: usekey needs encoded keys inside of it, other policies none"
    )]
    SplitKey {
        /// The region.
        region_id: u64,
    },
    /// The driver could not reserve the ids of the new peers.
    #[error(transparent)]
    Driver(#[from] PdError),
}
