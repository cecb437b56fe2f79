//! A member's answers to clients: the driver's while it leads, a refusal else.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tidewater_proto::{KeyValues, PdError, PdService, keyspacepb, pdpb};
use tidewater_raft::Role;
use tokio::time::{Instant, sleep};

use super::Member;
use super::member::Session;

/// How long a leader without lease is waited for: it has just been elected, or a majority is slow to answer.
const LEASE_PATIENCE: Duration = Duration::from_secs(1);
const LEASE_LOOK: Duration = Duration::from_millis(2);

impl Member {
    /// The session that may answer.
    pub(super) async fn session(&self) -> Result<Arc<Session>, PdError> {
        let asked = Instant::now();
        loop {
            if let Some(session) = self.leading() {
                return Ok(session);
            }
            if self.group.status().role != Role::Leader || asked.elapsed() > LEASE_PATIENCE {
                return Err(PdError::NotLeader);
            }
            sleep(LEASE_LOOK).await;
        }
    }
}

impl Session {
    /// What was read may leave only if nobody else can have answered anything before it was read.
    pub(super) fn leased<T>(&self, answer: Result<T, PdError>) -> Result<T, PdError> {
        match self.leadership.has_lease() {
            true => answer,
            false => Err(PdError::NotLeader),
        }
    }
}

/// Answers from what is known: nothing is changed, or it may be done again.
macro_rules! read {
    ($self:ident, $method:ident($($argument:expr),*)) => {{
        let session = $self.session().await?;
        let answer = session.driver.$method($($argument),*).await;
        session.leased(answer)
    }};
}

/// What was written stays written, whoever leads by now.
macro_rules! write {
    ($self:ident, $method:ident($($argument:expr),*)) => {{
        let session = $self.session().await?;
        session.driver.$method($($argument),*).await
    }};
}

macro_rules! service {
    ($($how:ident $method:ident($request:path) -> $response:path;)*) => {
        #[async_trait]
        impl PdService for Member {
            /// Timestamps taken without the lease are thrown away: a new leader may have given out later ones.
            async fn timestamps(&self, count: u32) -> Result<pdpb::Timestamp, PdError> {
                read!(self, timestamps(count))
            }

            fn key_values(&self) -> Option<&dyn KeyValues> {
                Some(self)
            }

            async fn is_bootstrapped(&self) -> Result<bool, PdError> {
                read!(self, is_bootstrapped())
            }

            async fn alloc_id(&self, count: u32) -> Result<u64, PdError> {
                write!(self, alloc_id(count))
            }

            async fn load_keyspace(&self, name: &str) -> Result<keyspacepb::KeyspaceMeta, PdError> {
                read!(self, load_keyspace(name))
            }

            async fn keyspaces(&self) -> Result<Vec<keyspacepb::KeyspaceMeta>, PdError> {
                read!(self, keyspaces())
            }

            async fn create_keyspace(&self, name: &str) -> Result<keyspacepb::KeyspaceMeta, PdError> {
                write!(self, create_keyspace(name))
            }

            $(async fn $method(&self, request: $request) -> Result<$response, PdError> {
                $how!(self, $method(request))
            })*
        }
    };
}

service! {
    read get_region(pdpb::GetRegionRequest) -> pdpb::GetRegionResponse;
    read get_prev_region(pdpb::GetRegionRequest) -> pdpb::GetRegionResponse;
    read get_region_by_id(pdpb::GetRegionByIdRequest) -> pdpb::GetRegionResponse;
    read scan_regions(pdpb::ScanRegionsRequest) -> pdpb::ScanRegionsResponse;
    read get_store(pdpb::GetStoreRequest) -> pdpb::GetStoreResponse;
    read get_all_stores(pdpb::GetAllStoresRequest) -> pdpb::GetAllStoresResponse;
    write put_store(pdpb::PutStoreRequest) -> pdpb::PutStoreResponse;
    read store_heartbeat(pdpb::StoreHeartbeatRequest) -> pdpb::StoreHeartbeatResponse;
    write bootstrap(pdpb::BootstrapRequest) -> pdpb::BootstrapResponse;
    read region_heartbeat(pdpb::RegionHeartbeatRequest) -> pdpb::RegionHeartbeatResponse;
    write ask_batch_split(pdpb::AskBatchSplitRequest) -> pdpb::AskBatchSplitResponse;
    write report_batch_split(pdpb::ReportBatchSplitRequest) -> pdpb::ReportBatchSplitResponse;
    write scatter_region(pdpb::ScatterRegionRequest) -> pdpb::ScatterRegionResponse;
    read get_operator(pdpb::GetOperatorRequest) -> pdpb::GetOperatorResponse;
    write split_regions(pdpb::SplitRegionsRequest) -> pdpb::SplitRegionsResponse;
    write split_and_scatter_regions(pdpb::SplitAndScatterRegionsRequest) -> pdpb::SplitAndScatterRegionsResponse;
    read get_gc_safe_point(pdpb::GetGcSafePointRequest) -> pdpb::GetGcSafePointResponse;
    write update_gc_safe_point(pdpb::UpdateGcSafePointRequest) -> pdpb::UpdateGcSafePointResponse;
    write update_service_gc_safe_point(pdpb::UpdateServiceGcSafePointRequest) -> pdpb::UpdateServiceGcSafePointResponse;
}
