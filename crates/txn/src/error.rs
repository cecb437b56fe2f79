use std::fmt;
use std::time::Duration;

use tidewater_codec::{CommitTs, Key, StartTs, TimeStamp};
use tidewater_proto::PdError;

use crate::backoff::Pause;

/// Why a read, a lock or a commit did not happen.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TxnError {
    /// Someone committed a write to a key after our snapshot (or after the statement's, under pessimistic locking).
    #[error(
        "write conflict on {key}: started at {start}, but the transaction of {conflict_start} committed it at {conflict_commit} ({reason})"
    )]
    WriteConflict {
        /// The contended key.
        key: Key,
        /// Where we started.
        start: StartTs,
        /// Where the winner started.
        conflict_start: StartTs,
        /// Where the winner committed; zero if the store does not know.
        conflict_commit: CommitTs,
        /// Which check found it.
        reason: ConflictReason,
    },
    /// An inserted key exists.
    #[error("{key} exists already")]
    KeyExists {
        /// The key.
        key: Key,
    },
    /// Waiting for the lock would close a circle of waiting transactions.
    #[error("deadlock: {key} is locked by the transaction of {holder}, which waits for us")]
    Deadlock {
        /// The key we wanted.
        key: Key,
        /// Who holds it.
        holder: StartTs,
        /// The circle.
        chain: Vec<WaitEdge>,
    },
    /// Another transaction kept a lock longer than we were to wait.
    #[error("{key} stayed locked by the transaction of {holder} for {}", Seconds(waited))]
    LockWaitTimeout {
        /// The locked key.
        key: Key,
        /// Who holds it.
        holder: StartTs,
        /// How long we waited.
        waited: Duration,
    },
    /// A lock was to be had at once or not at all, and another transaction holds it.
    #[error("{key} is locked by the transaction of {holder}")]
    LockNotAvailable {
        /// The locked key.
        key: Key,
        /// Who holds it.
        holder: StartTs,
    },
    /// A lock in the way could not be cleared in time.
    #[error("the lock of the transaction of {holder} on {key} did not go away: {gave_up}")]
    LockNotResolved {
        /// The locked key.
        key: Key,
        /// Who holds it.
        holder: StartTs,
        /// What was tried.
        gave_up: Box<GaveUp>,
    },
    /// A check that must hold for a correct caller does not.
    #[error("assertion failed on {key}: it should {}", if *.expected_exist { "exist" } else { "not exist" })]
    AssertionFailed {
        /// The key.
        key: Key,
        /// What was asserted.
        expected_exist: bool,
    },
    /// The transaction cannot commit any more: its locks had lapsed, and others rolled it back, or they were lost with a store.
    #[error("the transaction of {start} was rolled back: {reason}")]
    RolledBack {
        /// Our start.
        start: StartTs,
        /// What showed it.
        reason: String,
    },
    /// No answer says whether the commit happened, and none will: the caller must not assume either.
    #[error("it is unknown whether the transaction of {start} committed: {gave_up}")]
    Undetermined {
        /// Our start.
        start: StartTs,
        /// What was tried.
        gave_up: Box<GaveUp>,
    },
    /// The caller's gate refused the commit (see [`CommitGate`](crate::CommitGate)).
    #[error("the commit was refused: {reason}")]
    CommitRefused {
        /// What the check said.
        reason: String,
    },
    /// The caller's gate could not tell whether the commit may pass.
    #[error("the commit was not let through: {reason}")]
    CommitUnsure {
        /// What the gate said.
        reason: String,
    },
    /// The transaction holds more than [`TxnConfig::txn_bytes_max`](crate::TxnConfig::txn_bytes_max).
    #[error("the transaction has {bytes} bytes, the limit is {limit}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// One write is larger than [`TxnConfig::entry_bytes_max`](crate::TxnConfig::entry_bytes_max), or than a store takes.
    #[error("the entry {key} has {bytes} bytes, the limit is {limit}")]
    EntryTooLarge {
        /// The key.
        key: Key,
        /// Size of key and value.
        bytes: usize,
        /// The limit; zero if only the store knows it.
        limit: usize,
    },
    /// The transaction is committed or rolled back already.
    #[error("the transaction of {start} is over")]
    Finished {
        /// Our start.
        start: StartTs,
    },
    /// The operation was interrupted from outside while it waited (see [`TxnOptions::interrupt`](crate::TxnOptions::interrupt)).
    #[error("the operation was interrupted")]
    Interrupted,
    /// Regions, stores or the placement driver did not answer in time.
    #[error("{gave_up}")]
    Unavailable {
        /// What was tried.
        gave_up: Box<GaveUp>,
    },
    /// The placement driver refused.
    #[error("the placement driver refused: {0}")]
    Pd(#[source] PdError),
    /// The store refused, for a reason that has no form of its own.
    #[error("the store refused: {reason}{place}")]
    Store {
        /// Who refused, and for which key.
        place: Box<Place>,
        /// What it said.
        reason: String,
    },
    /// An answer does not fit its request.
    #[error("protocol violation: {reason}")]
    Protocol {
        /// What is wrong.
        reason: String,
    },
}

/// What may be done about a [`TxnError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Take a new `for_update_ts` (or a new transaction, if optimistic) and run the statement again.
    RetryStatement,
    /// Begin a new transaction and run everything again.
    RestartTransaction,
    /// Tell the user; the transaction lives on.
    ReportStatement,
    /// Tell the user; the transaction is over.
    ReportTransaction,
    /// Tell the user that the outcome is not known, and close the session.
    ReportUnknownOutcome,
    /// Later may be better: a part of the cluster is away.
    RetryLater,
}

impl TxnError {
    /// What the caller may do next. No `_` arm: a new variant has to choose.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::WriteConflict { reason, .. } => match reason {
                ConflictReason::PessimisticRetry | ConflictReason::ReadCommittedCheck => {
                    Remedy::RetryStatement
                }
                ConflictReason::Optimistic
                | ConflictReason::SelfRolledBack
                | ConflictReason::LazyUniquenessCheck
                | ConflictReason::NotLocked
                | ConflictReason::Unknown => Remedy::RestartTransaction,
            },
            Self::RolledBack { .. } | Self::Deadlock { .. } | Self::CommitRefused { .. } => {
                Remedy::RestartTransaction
            }
            Self::KeyExists { .. }
            | Self::LockWaitTimeout { .. }
            | Self::LockNotAvailable { .. }
            | Self::EntryTooLarge { .. }
            | Self::TooLarge { .. } => Remedy::ReportStatement,
            Self::AssertionFailed { .. }
            | Self::CommitUnsure { .. }
            | Self::Finished { .. }
            | Self::Interrupted
            | Self::Store { .. }
            | Self::Protocol { .. } => Remedy::ReportTransaction,
            Self::Undetermined { .. } => Remedy::ReportUnknownOutcome,
            Self::LockNotResolved { .. } | Self::Unavailable { .. } | Self::Pd(_) => Remedy::RetryLater,
        }
    }
}

/// Which check found a write conflict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConflictReason {
    /// The store did not say.
    Unknown,
    /// The first phase of an optimistic commit.
    Optimistic,
    /// A pessimistic lock: the statement may be run again with a new `for_update_ts`.
    PessimisticRetry,
    /// Our own rollback record.
    SelfRolledBack,
    /// A read-committed read.
    ReadCommittedCheck,
    /// A uniqueness check put off to the commit.
    LazyUniquenessCheck,
    /// A key of a pessimistic transaction that was not locked.
    NotLocked,
}

impl fmt::Display for ConflictReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "no reason given",
            Self::Optimistic => "found at commit",
            Self::PessimisticRetry => "found at locking",
            Self::SelfRolledBack => "rolled back before",
            Self::ReadCommittedCheck => "found at reading",
            Self::LazyUniquenessCheck => "found by the late uniqueness check",
            Self::NotLocked => "found on a key that was not locked",
        })
    }
}

/// One transaction waiting for another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitEdge {
    /// Who waits.
    pub waiter: StartTs,
    /// For whom.
    pub holder: StartTs,
    /// For which key.
    pub key: Key,
}

/// The record of an operation that ran out of patience.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GaveUp {
    /// What the operation last waited for.
    pub last_pause: Pause,
    /// How often it paused, for any reason.
    pub pauses: u32,
    /// How long it paused in all.
    pub waited: Duration,
    /// The region it last talked to.
    pub region_id: Option<u64>,
    /// The store it last talked to.
    pub store_id: Option<u64>,
    /// What it last heard.
    pub last_answer: String,
}

impl fmt::Display for GaveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gave up after {} pauses in {}", self.pauses, Seconds(&self.waited))?;
        if let Some(region) = self.region_id {
            write!(f, ", region {region}")?;
        }
        if let Some(store) = self.store_id {
            write!(f, ", store {store}")?;
        }
        write!(f, ": {}", self.last_answer)
    }
}

/// Where something happened, as far as it is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The key, or the first of several.
    pub key: Option<Key>,
    /// Its region.
    pub region_id: Option<u64>,
    /// The store that was asked.
    pub store_id: Option<u64>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(key) = &self.key {
            write!(f, ", key {key}")?;
        }
        if let Some(region) = self.region_id {
            write!(f, ", region {region}")?;
        }
        match self.store_id {
            Some(store) => write!(f, ", store {store}"),
            None => Ok(()),
        }
    }
}

struct Seconds<'a>(&'a Duration);

impl fmt::Display for Seconds<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} s", self.0.as_secs_f64())
    }
}

/// A timestamp of the wire as a start.
pub(crate) fn start(bits: u64) -> StartTs {
    StartTs(TimeStamp::new(bits))
}
