//! The seam to the placement driver's keys with revisions: what etcd is to others.

use async_trait::async_trait;

use crate::PdError;
use crate::etcdserverpb as etcd;

/// Why keys were not read or written. The words are etcd's, by which its clients know them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyValueError {
    /// A request names no key.
    #[error("etcdserver: key is not provided")]
    EmptyKey,
    /// A put that keeps the value (or the lease) of a key that does not exist.
    #[error("etcdserver: key not found")]
    KeyNotFound,
    /// A put that keeps the value gives one.
    #[error("etcdserver: value is provided")]
    ValueProvided,
    /// A put that keeps the lease gives one.
    #[error("etcdserver: lease is provided")]
    LeaseProvided,
    /// More than [`Self::OPS_MAX`] operations or comparisons.
    #[error("etcdserver: too many operations in txn request")]
    TooManyOps,
    /// A transaction writes a key twice.
    #[error("etcdserver: duplicate key given in txn request")]
    DuplicateKey,
    /// More than [`Self::REQUEST_BYTES_MAX`].
    #[error("etcdserver: request is too large")]
    TooLarge,
    /// All keys together take too much room: compact, or delete.
    #[error("etcdserver: mvcc: database space exceeded")]
    NoSpace,
    /// What was then is not known any more.
    #[error("etcdserver: mvcc: required revision has been compacted")]
    Compacted {
        /// The oldest revision that is known.
        revision: i64,
    },
    /// The revision does not exist yet.
    #[error("etcdserver: mvcc: required revision is a future revision")]
    FutureRevision,
    /// No such lease, or it has expired.
    #[error("etcdserver: requested lease not found")]
    LeaseNotFound,
    /// The id is taken.
    #[error("etcdserver: lease already exists")]
    LeaseExists,
    /// More than any lease may have.
    #[error("etcdserver: too large lease TTL")]
    LeaseTooLong,
    /// The request contradicts itself.
    #[error("etcdserver: {reason}")]
    Invalid {
        /// How.
        reason: String,
    },
    /// The driver cannot answer now.
    #[error(transparent)]
    Driver(#[from] PdError),
}

impl KeyValueError {
    /// Most operations, and most comparisons, of one transaction (etcd's).
    pub const OPS_MAX: usize = 128;
    /// Most bytes of one request that writes (etcd's).
    pub const REQUEST_BYTES_MAX: usize = 3 << 19;
}

/// Keys with values and one revision for all of them, which grows with every change; watches from any known revision on; leases that take keys with
/// them when they end. Messages are etcd's; of the headers of answers the revision is filled in only.
#[async_trait]
pub trait KeyValues: Send + Sync {
    /// Keys in order, now or at an earlier revision.
    async fn range(&self, request: etcd::RangeRequest) -> Result<etcd::RangeResponse, KeyValueError>;
    /// Writes one key.
    async fn put(&self, request: etcd::PutRequest) -> Result<etcd::PutResponse, KeyValueError>;
    /// Removes keys.
    async fn delete_range(
        &self,
        request: etcd::DeleteRangeRequest,
    ) -> Result<etcd::DeleteRangeResponse, KeyValueError>;
    /// One list of operations or the other, depending on comparisons; all at one revision.
    async fn txn(&self, request: etcd::TxnRequest) -> Result<etcd::TxnResponse, KeyValueError>;
    /// Forgets what was before a revision.
    async fn compact(
        &self,
        request: etcd::CompactionRequest,
    ) -> Result<etcd::CompactionResponse, KeyValueError>;
    /// Makes a lease.
    async fn lease_grant(
        &self,
        request: etcd::LeaseGrantRequest,
    ) -> Result<etcd::LeaseGrantResponse, KeyValueError>;
    /// Ends a lease, and removes its keys.
    async fn lease_revoke(
        &self,
        request: etcd::LeaseRevokeRequest,
    ) -> Result<etcd::LeaseRevokeResponse, KeyValueError>;
    /// Gives a lease its whole time again; the time is 0 if there is no such lease.
    async fn lease_keep_alive(
        &self,
        request: etcd::LeaseKeepAliveRequest,
    ) -> Result<etcd::LeaseKeepAliveResponse, KeyValueError>;
    /// How long a lease has; -1 if there is no such lease.
    async fn lease_time_to_live(
        &self,
        request: etcd::LeaseTimeToLiveRequest,
    ) -> Result<etcd::LeaseTimeToLiveResponse, KeyValueError>;
    /// All leases.
    async fn lease_leases(
        &self,
        request: etcd::LeaseLeasesRequest,
    ) -> Result<etcd::LeaseLeasesResponse, KeyValueError>;
    /// Changes of keys, from now on or from a known revision on.
    async fn watch(&self, request: etcd::WatchCreateRequest) -> Result<Box<dyn KeyWatch>, KeyValueError>;
}

/// Changes of keys as they come. Nothing is kept for it: it reads what is known of the past, and ends where that is not far enough.
#[async_trait]
pub trait KeyWatch: Send {
    /// The revision up to which everything has been told.
    fn revision(&self) -> i64;
    /// Waits for changes. All changes of one revision come together. May be dropped and called again.
    async fn next(&mut self) -> Result<etcd::WatchResponse, KeyValueError>;
}
