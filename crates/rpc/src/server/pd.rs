//! The placement driver over gRPC, with the neighbors that clients expect on its port: keyspaces here, keys with revisions in `etcd` and
//! `meta_storage`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use tidewater_proto::etcdserverpb::cluster_server::ClusterServer;
use tidewater_proto::etcdserverpb::kv_server::KvServer;
use tidewater_proto::etcdserverpb::lease_server::LeaseServer;
use tidewater_proto::etcdserverpb::watch_server::WatchServer;
use tidewater_proto::keyspacepb::keyspace_server::{Keyspace, KeyspaceServer};
use tidewater_proto::meta_storagepb::meta_storage_server::MetaStorageServer;
use tidewater_proto::pdpb::pd_server::{Pd, PdServer};
use tidewater_proto::{PdError, PdPeer, PdService, TransportError, keyspacepb, pdpb};
use tokio::time::Instant;
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};

use super::pd_http;
use super::pd_members::{Known, Membership, peer_service};
use crate::MESSAGE_BYTES_MAX;
use crate::pd_error::{self, Headed};

/// How long a region is waited for that is not known, or not its leader.
const REGION_PATIENCE: Duration = Duration::from_secs(1);
const REGION_LOOK: Duration = Duration::from_millis(20);

/// Who the placement driver is to its clients.
#[derive(Debug, Clone)]
pub struct PdIdentity {
    /// The cluster's id; requests that name another are refused.
    pub cluster_id: u64,
    /// This member's name.
    pub name: String,
    /// This member's id, not zero.
    pub member_id: u64,
    /// Where clients reach this member, with scheme.
    pub client_urls: Vec<String>,
    /// Where other members reach this member, with scheme.
    pub peer_urls: Vec<String>,
}

/// The `pdpb.PD`, `keyspacepb.Keyspace` and `meta_storagepb.MetaStorage` services of a placement driver that is alone, `KV`, `Watch`, `Lease` and
/// `Cluster` of `etcdserverpb`, and its HTTP pages.
pub fn pd_routes(pd: Arc<dyn PdService>, identity: PdIdentity) -> Routes {
    routes(pd, Membership::Alone(identity))
}

/// [`pd_routes`] of one of several members, with the service between members.
///
/// A member that does not lead refuses calls, names the leader to who asks for the members, and sends browsers there.
pub fn pd_member_routes(pd: Arc<dyn PdService>, member: Arc<dyn PdPeer>) -> Routes {
    routes(pd, Membership::Member(member.clone())).add_service(peer_service(member))
}

fn routes(pd: Arc<dyn PdService>, membership: Membership) -> Routes {
    let server = PdEndpoint(Arc::new(Inner { pd, membership, cluster_id: AtomicU64::new(0) }));
    let service = PdServer::new(server.clone())
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let mut routes = Routes::new(service)
        .add_service(KeyspaceServer::new(server.clone()))
        .add_service(KvServer::new(server.clone()))
        .add_service(WatchServer::new(server.clone()))
        .add_service(LeaseServer::new(server.clone()))
        .add_service(ClusterServer::new(server.clone()))
        .add_service(MetaStorageServer::new(server.clone()));
    let router = routes.axum_router_mut();
    *router = std::mem::take(router).merge(pd_http::router(server.0));
    routes
}

pub(super) struct Inner {
    pub pd: Arc<dyn PdService>,
    pub membership: Membership,
    /// Once it is known; it never changes.
    cluster_id: AtomicU64,
}

#[derive(Clone)]
pub(super) struct PdEndpoint(pub(super) Arc<Inner>);

impl Inner {
    pub async fn known(&self) -> Result<Known, TransportError> {
        self.membership.known().await
    }

    pub async fn cluster_id(&self) -> Result<u64, Status> {
        match self.cluster_id.load(Ordering::Relaxed) {
            0 => {
                let known = self.known().await.map_err(|error| Status::unavailable(error.to_string()))?;
                if known.cluster_id == 0 {
                    return Err(Status::unavailable("not leader: the members have not elected one yet"));
                }
                self.cluster_id.store(known.cluster_id, Ordering::Relaxed);
                Ok(known.cluster_id)
            }
            id => Ok(id),
        }
    }

    async fn check(&self, header: Option<&pdpb::RequestHeader>) -> Result<(), Status> {
        let (named, needed) = (header.map_or(0, |header| header.cluster_id), self.cluster_id().await?);
        if named == needed {
            return Ok(());
        }
        Err(Status::failed_precondition(format!("mismatch cluster id, need {needed} but got {named}")))
    }

    /// After a check.
    fn header(&self, error: Option<pdpb::Error>) -> Option<pdpb::ResponseHeader> {
        Some(pdpb::ResponseHeader { cluster_id: self.cluster_id.load(Ordering::Relaxed), error })
    }
}

/// Errors of the driver travel in the header, as the protocol wants; that somebody else leads is a status.
fn answer<R: Headed + Default>(inner: &Inner, result: Result<R, PdError>) -> Result<R, Status> {
    match result {
        Ok(mut response) => {
            *response.header_mut() = inner.header(None);
            Ok(response)
        }
        Err(error @ (PdError::NotLeader | PdError::LeadershipLost)) => {
            Err(Status::unavailable(error.to_string()))
        }
        Err(error) => {
            let mut response = R::default();
            *response.header_mut() = inner.header(Some(pd_error::to_wire(&error)));
            Ok(response)
        }
    }
}

pub(super) type Answered<R> = Result<Response<R>, Status>;

impl PdEndpoint {
    /// Checks the header, asks, answers.
    async fn serve<R, F>(&self, header: Option<&pdpb::RequestHeader>, ask: F) -> Answered<R>
    where
        R: Headed + Default,
        F: Future<Output = Result<R, PdError>>,
    {
        self.0.check(header).await?;
        Ok(Response::new(answer(&self.0, ask.await)?))
    }

    pub(super) async fn members(&self) -> Result<Known, Status> {
        self.0.cluster_id().await?;
        self.0.known().await.map_err(|error| Status::unavailable(error.to_string()))
    }
}

/// Calls that hand the message on as it is.
macro_rules! pass {
    ($self:ident, $request:ident, $method:ident) => {{
        let request = $request.into_inner();
        let header = request.header.clone();
        $self.serve(header.as_ref(), $self.0.pd.$method(request)).await
    }};
}

#[tonic::async_trait]
impl Pd for PdEndpoint {
    async fn get_cluster_info(
        &self,
        _: Request<pdpb::GetClusterInfoRequest>,
    ) -> Answered<pdpb::GetClusterInfoResponse> {
        self.0.cluster_id().await?;
        Ok(Response::new(pdpb::GetClusterInfoResponse {
            header: self.0.header(None),
            service_modes: vec![pdpb::ServiceMode::PdSvcMode.into()],
            tso_urls: Vec::new(),
        }))
    }

    async fn get_members(&self, _: Request<pdpb::GetMembersRequest>) -> Answered<pdpb::GetMembersResponse> {
        // Clients ask this to learn the cluster's id: they cannot name it yet.
        let known = self.members().await?;
        Ok(Response::new(pdpb::GetMembersResponse {
            header: self.0.header(None),
            members: known.members,
            leader: known.leader.clone(),
            etcd_leader: known.leader,
        }))
    }

    type TsoStream = BoxStream<'static, Result<pdpb::TsoResponse, Status>>;

    async fn tso(&self, request: Request<Streaming<pdpb::TsoRequest>>) -> Answered<Self::TsoStream> {
        let inner = self.0.clone();
        let responses = request.into_inner().then(move |request| {
            let inner = inner.clone();
            async move {
                let request = request?;
                inner.check(request.header.as_ref()).await?;
                let count = request.count;
                // There is no place for an error that the public clients would read: the stream ends with it.
                let last = inner.pd.timestamps(count).await.map_err(|error| match error {
                    PdError::InvalidValue { reason } => Status::invalid_argument(reason),
                    other => Status::unavailable(other.to_string()),
                })?;
                Ok(pdpb::TsoResponse { header: inner.header(None), count, timestamp: Some(last) })
            }
        });
        Ok(Response::new(responses.boxed()))
    }

    async fn bootstrap(&self, request: Request<pdpb::BootstrapRequest>) -> Answered<pdpb::BootstrapResponse> {
        pass!(self, request, bootstrap)
    }

    async fn is_bootstrapped(
        &self,
        request: Request<pdpb::IsBootstrappedRequest>,
    ) -> Answered<pdpb::IsBootstrappedResponse> {
        let ask = async {
            let bootstrapped = self.0.pd.is_bootstrapped().await?;
            Ok(pdpb::IsBootstrappedResponse { bootstrapped, ..Default::default() })
        };
        self.serve(request.get_ref().header.as_ref(), ask).await
    }

    async fn alloc_id(&self, request: Request<pdpb::AllocIdRequest>) -> Answered<pdpb::AllocIdResponse> {
        // Old clients ask for one without saying so.
        let count = request.get_ref().count.max(1);
        let ask = async {
            let id = self.0.pd.alloc_id(count).await?;
            Ok(pdpb::AllocIdResponse { id, count, ..Default::default() })
        };
        self.serve(request.get_ref().header.as_ref(), ask).await
    }

    async fn get_store(&self, request: Request<pdpb::GetStoreRequest>) -> Answered<pdpb::GetStoreResponse> {
        pass!(self, request, get_store)
    }

    async fn put_store(&self, request: Request<pdpb::PutStoreRequest>) -> Answered<pdpb::PutStoreResponse> {
        pass!(self, request, put_store)
    }

    async fn get_all_stores(
        &self,
        request: Request<pdpb::GetAllStoresRequest>,
    ) -> Answered<pdpb::GetAllStoresResponse> {
        pass!(self, request, get_all_stores)
    }

    async fn store_heartbeat(
        &self,
        request: Request<pdpb::StoreHeartbeatRequest>,
    ) -> Answered<pdpb::StoreHeartbeatResponse> {
        pass!(self, request, store_heartbeat)
    }

    type RegionHeartbeatStream = BoxStream<'static, Result<pdpb::RegionHeartbeatResponse, Status>>;

    async fn region_heartbeat(
        &self,
        request: Request<Streaming<pdpb::RegionHeartbeatRequest>>,
    ) -> Answered<Self::RegionHeartbeatStream> {
        let inner = self.0.clone();
        let responses = request.into_inner().then(move |request| {
            let inner = inner.clone();
            async move {
                let request = request?;
                inner.check(request.header.as_ref()).await?;
                answer(&inner, inner.pd.region_heartbeat(request).await)
            }
        });
        Ok(Response::new(responses.boxed()))
    }

    async fn get_region(
        &self,
        request: Request<pdpb::GetRegionRequest>,
    ) -> Answered<pdpb::GetRegionResponse> {
        let request = request.into_inner();
        self.serve(request.header.clone().as_ref(), find_region(&*self.0.pd, request)).await
    }

    async fn get_prev_region(
        &self,
        request: Request<pdpb::GetRegionRequest>,
    ) -> Answered<pdpb::GetRegionResponse> {
        pass!(self, request, get_prev_region)
    }

    async fn get_region_by_id(
        &self,
        request: Request<pdpb::GetRegionByIdRequest>,
    ) -> Answered<pdpb::GetRegionResponse> {
        pass!(self, request, get_region_by_id)
    }

    async fn scan_regions(
        &self,
        request: Request<pdpb::ScanRegionsRequest>,
    ) -> Answered<pdpb::ScanRegionsResponse> {
        pass!(self, request, scan_regions)
    }

    async fn batch_scan_regions(
        &self,
        request: Request<pdpb::BatchScanRegionsRequest>,
    ) -> Answered<pdpb::BatchScanRegionsResponse> {
        let request = request.into_inner();
        self.serve(request.header.as_ref(), scan_ranges(&*self.0.pd, &request)).await
    }

    async fn ask_batch_split(
        &self,
        request: Request<pdpb::AskBatchSplitRequest>,
    ) -> Answered<pdpb::AskBatchSplitResponse> {
        pass!(self, request, ask_batch_split)
    }

    async fn report_batch_split(
        &self,
        request: Request<pdpb::ReportBatchSplitRequest>,
    ) -> Answered<pdpb::ReportBatchSplitResponse> {
        pass!(self, request, report_batch_split)
    }

    async fn scatter_region(
        &self,
        request: Request<pdpb::ScatterRegionRequest>,
    ) -> Answered<pdpb::ScatterRegionResponse> {
        pass!(self, request, scatter_region)
    }

    async fn get_operator(
        &self,
        request: Request<pdpb::GetOperatorRequest>,
    ) -> Answered<pdpb::GetOperatorResponse> {
        pass!(self, request, get_operator)
    }

    async fn split_regions(
        &self,
        request: Request<pdpb::SplitRegionsRequest>,
    ) -> Answered<pdpb::SplitRegionsResponse> {
        pass!(self, request, split_regions)
    }

    async fn split_and_scatter_regions(
        &self,
        request: Request<pdpb::SplitAndScatterRegionsRequest>,
    ) -> Answered<pdpb::SplitAndScatterRegionsResponse> {
        pass!(self, request, split_and_scatter_regions)
    }

    async fn get_gc_safe_point(
        &self,
        request: Request<pdpb::GetGcSafePointRequest>,
    ) -> Answered<pdpb::GetGcSafePointResponse> {
        pass!(self, request, get_gc_safe_point)
    }

    async fn update_gc_safe_point(
        &self,
        request: Request<pdpb::UpdateGcSafePointRequest>,
    ) -> Answered<pdpb::UpdateGcSafePointResponse> {
        pass!(self, request, update_gc_safe_point)
    }

    async fn update_service_gc_safe_point(
        &self,
        request: Request<pdpb::UpdateServiceGcSafePointRequest>,
    ) -> Answered<pdpb::UpdateServiceGcSafePointResponse> {
        pass!(self, request, update_service_gc_safe_point)
    }

    async fn get_gc_state(
        &self,
        request: Request<pdpb::GetGcStateRequest>,
    ) -> Answered<pdpb::GetGcStateResponse> {
        let request = request.into_inner();
        let ask = async {
            let safe_point = safe_point(&*self.0.pd).await?;
            let state = pdpb::GcState {
                keyspace_scope: request.keyspace_scope,
                is_keyspace_level_gc: false,
                txn_safe_point: safe_point,
                gc_safe_point: safe_point,
            };
            Ok(pdpb::GetGcStateResponse { gc_state: Some(state), ..Default::default() })
        };
        self.serve(request.header.as_ref(), ask).await
    }

    async fn get_min_ts(&self, request: Request<pdpb::GetMinTsRequest>) -> Answered<pdpb::GetMinTsResponse> {
        let ask = async {
            let timestamp = Some(self.0.pd.timestamps(1).await?);
            Ok(pdpb::GetMinTsResponse { timestamp, ..Default::default() })
        };
        self.serve(request.get_ref().header.as_ref(), ask).await
    }
}

/// A key belongs to no region only until the region has reported itself: some clients would give up at once.
async fn find_region(
    pd: &dyn PdService,
    request: pdpb::GetRegionRequest,
) -> Result<pdpb::GetRegionResponse, PdError> {
    let asked = Instant::now();
    loop {
        let found = pd.get_region(request.clone()).await?;
        let is_whole = found.region.is_some() && found.leader.is_some();
        if is_whole || asked.elapsed() > REGION_PATIENCE {
            return Ok(found);
        }
        tokio::time::sleep(REGION_LOOK).await;
    }
}

pub(super) async fn safe_point(pd: &dyn PdService) -> Result<u64, PdError> {
    Ok(pd.get_gc_safe_point(pdpb::GetGcSafePointRequest::default()).await?.safe_point)
}

async fn scan_ranges(
    pd: &dyn PdService,
    request: &pdpb::BatchScanRegionsRequest,
) -> Result<pdpb::BatchScanRegionsResponse, PdError> {
    let mut regions: Vec<pdpb::Region> = Vec::new();
    let limit = usize::try_from(request.limit).ok().filter(|&limit| limit > 0).unwrap_or(usize::MAX);
    for range in &request.ranges {
        if regions.len() >= limit {
            break;
        }
        let scan = pdpb::ScanRegionsRequest {
            header: None,
            start_key: range.start_key.clone(),
            end_key: range.end_key.clone(),
            limit: i32::try_from(limit - regions.len()).unwrap_or(i32::MAX),
            ..Default::default()
        };
        let last = regions.last().and_then(|last| last.region.as_ref()).map(|last| last.id);
        let found = pd.scan_regions(scan).await?.regions;
        // Two ranges may meet in one region.
        let again = found.first().and_then(|first| first.region.as_ref()).map(|first| first.id) == last;
        regions.extend(found.into_iter().skip(usize::from(again && last.is_some())));
    }
    Ok(pdpb::BatchScanRegionsResponse { regions, ..Default::default() })
}

#[tonic::async_trait]
impl Keyspace for PdEndpoint {
    async fn load_keyspace(
        &self,
        request: Request<keyspacepb::LoadKeyspaceRequest>,
    ) -> Answered<keyspacepb::LoadKeyspaceResponse> {
        let request = request.into_inner();
        let ask = async {
            let keyspace = Some(self.0.pd.load_keyspace(&request.name).await?);
            Ok(keyspacepb::LoadKeyspaceResponse { keyspace, ..Default::default() })
        };
        self.serve(request.header.as_ref(), ask).await
    }

    async fn get_all_keyspaces(
        &self,
        request: Request<keyspacepb::GetAllKeyspacesRequest>,
    ) -> Answered<keyspacepb::GetAllKeyspacesResponse> {
        let request = request.into_inner();
        let ask = async {
            let limit = if request.limit == 0 { usize::MAX } else { request.limit as usize };
            let mut keyspaces = self.0.pd.keyspaces().await?;
            keyspaces.retain(|keyspace| keyspace.id >= request.start_id);
            keyspaces.truncate(limit);
            Ok(keyspacepb::GetAllKeyspacesResponse { keyspaces, ..Default::default() })
        };
        self.serve(request.header.as_ref(), ask).await
    }
}
