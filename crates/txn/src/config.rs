use std::time::Duration;

use crate::Keyspace;

/// Settings of a transactional client. Every limit has a name here.
#[derive(Debug, Clone)]
pub struct TxnConfig {
    /// Seeds the jitter of back-offs: equal seeds and equal answers give equal pauses.
    pub seed: u64,
    /// The part of the key space the client lives in (API V2); `None` is all of it.
    pub keyspace: Option<Keyspace>,
    /// How long a lock lives after its transaction was last heard of.
    pub lock_ttl: Duration,
    /// How often a transaction with locks is heard of. Well below `lock_ttl`.
    pub heart_beat_interval: Duration,
    /// A transaction older than this lets its locks lapse.
    pub lifetime_max: Duration,
    /// How long a pessimistic lock is waited for, if the caller does not say.
    pub lock_wait_timeout: Duration,
    /// Keys and values of one transaction.
    pub txn_bytes_max: usize,
    /// Key and value of one write.
    pub entry_bytes_max: usize,
    /// Keys and values of one request.
    pub request_bytes_max: usize,
    /// Keys of one request.
    pub request_keys_max: usize,
    /// Requests of one operation that are under way at the same time.
    pub requests_parallel_max: usize,
    /// Timestamps fetched in one call for many waiters.
    pub timestamps_per_call_max: u32,
    /// How old a timestamp of [`TxnClient::low_resolution_timestamp`](crate::TxnClient::low_resolution_timestamp) may be.
    pub low_resolution_age_max: Duration,
    /// Outcomes of other transactions remembered, so that a lock of theirs costs no second question.
    pub outcomes_cached_max: usize,
    /// How long operations keep trying.
    pub patience: Patience,
    /// Whether a transaction whose writes fit one request commits in one phase.
    pub one_phase_commit: OnePhaseCommit,
    /// Whether a transaction with few keys is committed as soon as all are locked.
    pub async_commit: AsyncCommit,
    /// Keys of a transaction that commits so: the primary's lock lists them.
    pub async_commit_keys_max: usize,
    /// Bytes of these keys.
    pub async_commit_key_bytes_max: usize,
    /// How far a commit may come after the moment its [`CommitGate`](crate::CommitGate) let it through, where the stores choose its
    /// timestamp. Later ones take two phases, and ask again.
    pub commit_window: Duration,
}

/// How long each family of operations goes on trying while regions move, stores are away and locks are in the way.
#[derive(Debug, Clone)]
pub struct Patience {
    /// A timestamp.
    pub timestamp: Duration,
    /// A read.
    pub read: Duration,
    /// A pessimistic lock, beside the wait for its holder.
    pub lock: Duration,
    /// The first phase of a commit.
    pub prewrite: Duration,
    /// The second phase, and rollback.
    pub commit: Duration,
}

/// Whether small transactions commit in one phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnePhaseCommit {
    /// When all writes go to one region in one request.
    WhenPossible,
    /// Always two phases; for tests and comparisons.
    Never,
}

/// Whether transactions with few keys commit as soon as all are locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AsyncCommit {
    /// Within the limits of [`TxnConfig`].
    WhenPossible,
    /// Always at a timestamp of the placement driver, written to the primary first.
    Never,
}

impl Default for TxnConfig {
    fn default() -> Self {
        Self {
            seed: 0,
            keyspace: None,
            lock_ttl: Duration::from_secs(20),
            heart_beat_interval: Duration::from_secs(10),
            lifetime_max: Duration::from_secs(3_600),
            lock_wait_timeout: Duration::from_secs(50),
            txn_bytes_max: 1 << 30,
            entry_bytes_max: 120 << 20,
            request_bytes_max: 1 << 20,
            request_keys_max: 4_096,
            requests_parallel_max: 16,
            timestamps_per_call_max: 10_000,
            low_resolution_age_max: Duration::from_secs(2),
            outcomes_cached_max: 4_096,
            patience: Patience::default(),
            one_phase_commit: OnePhaseCommit::WhenPossible,
            async_commit: AsyncCommit::WhenPossible,
            async_commit_keys_max: 256,
            async_commit_key_bytes_max: 4_096,
            commit_window: Duration::from_secs(2),
        }
    }
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            timestamp: Duration::from_secs(15),
            read: Duration::from_secs(30),
            lock: Duration::from_secs(30),
            prewrite: Duration::from_secs(40),
            commit: Duration::from_secs(40),
        }
    }
}
