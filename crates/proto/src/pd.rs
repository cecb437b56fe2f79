//! The seam between everyone and the placement driver.

use async_trait::async_trait;

use crate::{KeyValues, TransportError, keyspacepb, pdpb};

/// Why the placement driver did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PdError {
    /// The cluster has no first region yet.
    #[error("the cluster is not bootstrapped")]
    NotBootstrapped,
    /// The cluster has a first region already.
    #[error("the cluster is already bootstrapped")]
    AlreadyBootstrapped,
    /// The store was removed from the cluster.
    #[error("store {store_id} is a tombstone")]
    StoreTombstone {
        /// The store in question.
        store_id: u64,
    },
    /// No such region.
    #[error("region {region_id} is not known")]
    RegionNotFound {
        /// The region in question.
        region_id: u64,
    },
    /// No such store.
    #[error("store {store_id} is not known")]
    StoreNotFound {
        /// The store in question.
        store_id: u64,
    },
    /// No such keyspace.
    #[error("keyspace {name:?} does not exist")]
    KeyspaceNotFound {
        /// Its name.
        name: String,
    },
    /// The request contradicts itself or the cluster's state.
    #[error("{reason}")]
    InvalidValue {
        /// What is wrong.
        reason: String,
    },
    /// The driver's own storage failed.
    #[error("the placement driver's storage failed: {reason}")]
    Storage {
        /// What the storage said.
        reason: String,
    },
    /// The member that was asked does not lead: nothing was done.
    #[error("not leader: this member of the placement driver does not lead")]
    NotLeader,
    /// The member that was asked lost its leadership meanwhile: nobody knows whether it was done.
    #[error("leader changed: the outcome of the request is not known")]
    LeadershipLost,
    /// No answer arrived.
    #[error(transparent)]
    Transport(#[from] TransportError),
}

/// The placement driver: timestamps, ids, metadata of the cluster, safe points.
///
/// Headers of requests and responses may be left empty when the call stays in the process.
#[async_trait]
pub trait PdService: Send + Sync {
    /// Reserves `count` consecutive timestamps and returns the **last** of them.
    async fn timestamps(&self, count: u32) -> Result<pdpb::Timestamp, PdError>;

    /// The region that holds an encoded key; `region` is absent in the answer when no region does.
    async fn get_region(&self, request: pdpb::GetRegionRequest) -> Result<pdpb::GetRegionResponse, PdError>;
    /// The region just before the one that holds an encoded key.
    async fn get_prev_region(
        &self,
        request: pdpb::GetRegionRequest,
    ) -> Result<pdpb::GetRegionResponse, PdError>;
    /// A region by its id; `region` is absent in the answer when it does not exist.
    async fn get_region_by_id(
        &self,
        request: pdpb::GetRegionByIdRequest,
    ) -> Result<pdpb::GetRegionResponse, PdError>;
    /// Regions in key order that intersect a range of encoded keys.
    async fn scan_regions(
        &self,
        request: pdpb::ScanRegionsRequest,
    ) -> Result<pdpb::ScanRegionsResponse, PdError>;

    /// One store.
    async fn get_store(&self, request: pdpb::GetStoreRequest) -> Result<pdpb::GetStoreResponse, PdError>;
    /// All stores.
    async fn get_all_stores(
        &self,
        request: pdpb::GetAllStoresRequest,
    ) -> Result<pdpb::GetAllStoresResponse, PdError>;
    /// Registers a store or updates its address.
    async fn put_store(&self, request: pdpb::PutStoreRequest) -> Result<pdpb::PutStoreResponse, PdError>;
    /// A store reports its load.
    async fn store_heartbeat(
        &self,
        request: pdpb::StoreHeartbeatRequest,
    ) -> Result<pdpb::StoreHeartbeatResponse, PdError>;

    /// Whether the first region exists.
    async fn is_bootstrapped(&self) -> Result<bool, PdError>;
    /// Registers the first store and the first region, once in the life of a cluster.
    async fn bootstrap(&self, request: pdpb::BootstrapRequest) -> Result<pdpb::BootstrapResponse, PdError>;
    /// Reserves `count` cluster-wide unique ids and returns the **last** of them.
    async fn alloc_id(&self, count: u32) -> Result<u64, PdError>;

    /// The leader of a region reports it; the answer may carry an order.
    async fn region_heartbeat(
        &self,
        request: pdpb::RegionHeartbeatRequest,
    ) -> Result<pdpb::RegionHeartbeatResponse, PdError>;
    /// Reserves ids for the regions a split will make.
    async fn ask_batch_split(
        &self,
        request: pdpb::AskBatchSplitRequest,
    ) -> Result<pdpb::AskBatchSplitResponse, PdError>;
    /// Announces the regions a split has made.
    async fn report_batch_split(
        &self,
        request: pdpb::ReportBatchSplitRequest,
    ) -> Result<pdpb::ReportBatchSplitResponse, PdError>;

    /// Has regions spread over the stores, each group for itself. A driver that knows one copy of each region only leaves them where they are.
    async fn scatter_region(
        &self,
        _: pdpb::ScatterRegionRequest,
    ) -> Result<pdpb::ScatterRegionResponse, PdError> {
        Ok(pdpb::ScatterRegionResponse { finished_percentage: 100, ..Default::default() })
    }
    /// What is or was last under way with a region; without a description if nothing.
    async fn get_operator(
        &self,
        request: pdpb::GetOperatorRequest,
    ) -> Result<pdpb::GetOperatorResponse, PdError> {
        Ok(pdpb::GetOperatorResponse { region_id: request.region_id, ..Default::default() })
    }
    /// Has regions cut at encoded keys, and waits for it.
    async fn split_regions(
        &self,
        _: pdpb::SplitRegionsRequest,
    ) -> Result<pdpb::SplitRegionsResponse, PdError> {
        Err(PdError::InvalidValue { reason: "this driver cuts no regions: ask the stores".to_owned() })
    }
    /// Has regions cut at encoded keys, waits for it, and has the new ones spread over the stores.
    async fn split_and_scatter_regions(
        &self,
        _: pdpb::SplitAndScatterRegionsRequest,
    ) -> Result<pdpb::SplitAndScatterRegionsResponse, PdError> {
        Err(PdError::InvalidValue { reason: "this driver cuts no regions: ask the stores".to_owned() })
    }

    /// The timestamp below which old versions may be gone.
    async fn get_gc_safe_point(
        &self,
        request: pdpb::GetGcSafePointRequest,
    ) -> Result<pdpb::GetGcSafePointResponse, PdError>;
    /// Raises the safe point (never lowers it) and returns the one in force.
    async fn update_gc_safe_point(
        &self,
        request: pdpb::UpdateGcSafePointRequest,
    ) -> Result<pdpb::UpdateGcSafePointResponse, PdError>;
    /// Holds the safe point back for a service with a lease.
    async fn update_service_gc_safe_point(
        &self,
        request: pdpb::UpdateServiceGcSafePointRequest,
    ) -> Result<pdpb::UpdateServiceGcSafePointResponse, PdError>;

    /// The members of the driver, each with where its clients find it. A driver inside of the asker's process is one without an address.
    async fn members(&self) -> Result<Vec<pdpb::Member>, PdError> {
        Ok(Vec::new())
    }

    /// The driver's keys with revisions, if it has any.
    fn key_values(&self) -> Option<&dyn KeyValues> {
        None
    }

    /// A keyspace by its name. A driver without keyspaces knows none.
    async fn load_keyspace(&self, name: &str) -> Result<keyspacepb::KeyspaceMeta, PdError> {
        Err(PdError::KeyspaceNotFound { name: name.to_owned() })
    }
    /// All keyspaces, in the order of their ids.
    async fn keyspaces(&self) -> Result<Vec<keyspacepb::KeyspaceMeta>, PdError> {
        Ok(Vec::new())
    }
    /// Makes a keyspace, or returns the one that has the name already.
    async fn create_keyspace(&self, name: &str) -> Result<keyspacepb::KeyspaceMeta, PdError> {
        Err(PdError::InvalidValue { reason: format!("keyspace {name:?} cannot be made here") })
    }
}
