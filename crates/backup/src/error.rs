//! What can go wrong.

use std::path::PathBuf;

use tidewater_codec::TimeStamp;
use tidewater_proto::PdError;
use tidewater_txn::TxnError;

/// Why a backup or a restore did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file or the directory.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The directory of a new backup has something in it.
    #[error("{0} is not empty: a backup needs a directory of its own")]
    NotEmptyFolder(PathBuf),
    /// There is no manifest.
    #[error("{0} holds no backup, or one that was not finished: it has no manifest")]
    NoManifest(PathBuf),
    /// The manifest cannot be understood.
    #[error("the manifest {path} is damaged: {reason}")]
    Manifest {
        /// Where it is.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Made by a later release.
    #[error("the backup has format {found}, this program reads formats up to {supported}: use a newer one")]
    NewerFormat {
        /// The backup's.
        found: u32,
        /// The latest this program knows.
        supported: u32,
    },
    /// A file is not what was written.
    #[error("{path} is damaged: {reason}")]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Versions as of the timestamp may have been removed already.
    #[error("there is no database as of {at} any more: garbage was collected up to {safe_point}")]
    Collected {
        /// The backup's timestamp.
        at: TimeStamp,
        /// What is collected.
        safe_point: TimeStamp,
    },
    /// There are keys where a backup is to be restored.
    #[error("the cluster is not empty: restore into one that no SQL node has served yet")]
    NotEmptyCluster,
    /// The cluster's clock is behind.
    #[error("the cluster's clock ({now}) is behind the time of the backup ({at}): wait, or set it right")]
    ClockBehind {
        /// The cluster's timestamp.
        now: TimeStamp,
        /// The backup's timestamp.
        at: TimeStamp,
    },
    /// Reading or writing the cluster.
    #[error(transparent)]
    Txn(#[from] TxnError),
    /// The placement driver.
    #[error("the placement driver: {0}")]
    Pd(#[from] PdError),
    /// A task ended before its work did.
    #[error("a task of the backup was stopped")]
    Stopped,
}

impl BackupError {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }

    pub(crate) fn damaged(path: impl Into<PathBuf>, reason: impl ToString) -> Self {
        Self::Damaged { path: path.into(), reason: reason.to_string() }
    }
}
