//! Faults of our own making: a simulation that does not find these finds nothing.
//!
//! Most are made at seams: by an engine, a log or a message that is not what it should be. Where that is not possible, the crate in question has
//! a hidden option for it, which no configuration file can set.

mod messages;

use tidewater_kv::Flaws;

pub(crate) use messages::{Meddler, context_mut};

/// What is broken on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    /// Stores answer before their writes are durable.
    ForgetSync,
    /// Stores keep no records of rollbacks.
    DropRollbacks,
    /// The placement driver gives out a timestamp twice, now and then.
    RepeatTimestamps,
    /// Stores that restart do not know what they served before.
    ForgetReads,
    /// Reads go around locks.
    ReadAroundLocks,
    /// Stores acknowledge entries of their Raft logs before these are durable.
    ForgetLogSync,
    /// Stores lose a write to the `write` family, now and then, and say it was made.
    LoseCommits,
    /// Stores carry a write out a second time, a little later.
    ApplyTwice,
    /// Stores do not keep how far they have applied their logs.
    ForgetApplied,
    /// Stores take it for done when the disk under their logs fails.
    SwallowErrors,
    /// The placement driver does not keep how far it has given out timestamps.
    LoseWindow,
    /// Members of the placement driver acknowledge entries of their log before these are durable.
    ForgetPdLogSync,
    /// The last mutation of a prewrite gets lost on the way, now and then.
    LosePrewrites,
    /// Locks of committed transactions are rolled back.
    ResolveAsRollback,
    /// Reads see the latest version, whatever their timestamp.
    ReadLatest,
    /// Clients are told a smaller timestamp for an asynchronous commit than its locks have.
    LowerCommitTs,
    /// Pessimistic transactions do not notice that their locks are gone.
    SkipPessimisticCheck,
    /// Requests are served whatever the version of the region they believe in.
    DropEpochCheck,
    /// Snapshots of regions lack the locks.
    SnapshotWithoutLocks,
    /// A leader serves reads without its lease.
    ReadWithoutLease,
    /// A new leader does not care for what its predecessors have served.
    SkipLeaderFence,
    /// Reads do not look at the in-memory locks of asynchronous commits.
    SkipMemoryLocks,
    /// Regions keep their version when they are split.
    SplitKeepsVersion,
}

/// Where a fault can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Habitat {
    /// With single copies, which are quicker to play.
    Single,
    /// With replicas only.
    Replicated,
}

impl Sabotage {
    /// Those that the suite finds.
    pub const ALL: [Self; 16] = [
        Self::ForgetSync,
        Self::DropRollbacks,
        Self::RepeatTimestamps,
        Self::ForgetReads,
        Self::ReadAroundLocks,
        Self::ForgetLogSync,
        Self::LoseCommits,
        Self::ApplyTwice,
        Self::ForgetApplied,
        Self::LoseWindow,
        Self::LosePrewrites,
        Self::ReadLatest,
        Self::SkipPessimisticCheck,
        Self::SnapshotWithoutLocks,
        Self::SplitKeepsVersion,
        Self::ReadWithoutLease,
    ];

    /// Those that take more luck than the runs of a suite bring, by hand with `cargo xtask sim --sabotage NAME`: they need a crash, a lost answer or a change of
    /// leaders at the right moment.
    pub const ELUSIVE: [Self; 7] = [
        Self::SwallowErrors,
        Self::ForgetPdLogSync,
        Self::ResolveAsRollback,
        Self::LowerCommitTs,
        Self::DropEpochCheck,
        Self::SkipMemoryLocks,
        Self::SkipLeaderFence,
    ];

    /// Where to look for it.
    pub const fn habitat(self) -> Habitat {
        match self {
            Self::ForgetLogSync
            | Self::ApplyTwice
            | Self::ForgetApplied
            | Self::SwallowErrors
            | Self::ForgetPdLogSync
            | Self::SnapshotWithoutLocks
            | Self::ReadWithoutLease
            | Self::SkipLeaderFence
            | Self::SkipMemoryLocks => Habitat::Replicated,
            Self::ForgetSync
            | Self::DropRollbacks
            | Self::RepeatTimestamps
            | Self::ForgetReads
            | Self::ReadAroundLocks
            | Self::LoseCommits
            | Self::LoseWindow
            | Self::LosePrewrites
            | Self::ResolveAsRollback
            | Self::ReadLatest
            | Self::LowerCommitTs
            | Self::SkipPessimisticCheck
            | Self::DropEpochCheck
            | Self::SplitKeepsVersion => Habitat::Single,
        }
    }

    /// By its name.
    pub fn parse(name: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter().chain(Self::ELUSIVE);
        all.find(|sabotage| format!("{sabotage:?}").eq_ignore_ascii_case(name))
    }

    /// What a store does wrong by itself.
    pub(crate) fn flaws(sabotage: Option<Self>) -> Flaws {
        let is = |fault| sabotage == Some(fault);
        Flaws {
            reads_without_lease: is(Self::ReadWithoutLease),
            ignores_memory_locks: is(Self::SkipMemoryLocks),
            splits_keep_version: is(Self::SplitKeepsVersion),
        }
    }
}
