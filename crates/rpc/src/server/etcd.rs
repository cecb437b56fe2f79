//! The placement driver's keys with revisions as etcd's clients know them.

use futures::StreamExt;
use futures::stream::BoxStream;
use tidewater_proto::etcdserverpb::cluster_server::Cluster;
use tidewater_proto::etcdserverpb::kv_server::Kv;
use tidewater_proto::etcdserverpb::lease_server::Lease;
use tidewater_proto::etcdserverpb::watch_server::Watch;
use tidewater_proto::{KeyValueError, KeyValues, PdError, etcdserverpb as etcd};
use tonic::{Code, Request, Response, Status, Streaming};

use super::pd::{Answered, PdEndpoint, safe_point};
use super::watching;

/// Where old clients of the garbage collector's safe point look.
const SAVED_SAFE_POINT_KEY: &[u8] = b"/tidb/store/gcworker/saved_safe_point";

/// What clients of etcd hear from a member that does not lead, which has done nothing. In etcd that member would ask the leader; by these words of
/// their own transport clients know that even a write may be sent to another member (`isSafeRetryMutableRPC` of clientv3).
const ASK_ANOTHER: &str = "there is no address available";
/// etcd's words for a request of which nobody knows whether it was done.
const LEADER_CHANGED: &str = "etcdserver: leader changed";

/// As etcd's clients want to be told.
pub(super) fn status(error: &KeyValueError) -> Status {
    let code = match error {
        KeyValueError::EmptyKey
        | KeyValueError::KeyNotFound
        | KeyValueError::ValueProvided
        | KeyValueError::LeaseProvided
        | KeyValueError::TooManyOps
        | KeyValueError::DuplicateKey
        | KeyValueError::TooLarge
        | KeyValueError::Invalid { .. }
        | KeyValueError::Driver(PdError::InvalidValue { .. }) => Code::InvalidArgument,
        KeyValueError::NoSpace => Code::ResourceExhausted,
        KeyValueError::Compacted { .. } | KeyValueError::FutureRevision | KeyValueError::LeaseTooLong => {
            Code::OutOfRange
        }
        KeyValueError::LeaseNotFound => Code::NotFound,
        KeyValueError::LeaseExists => Code::FailedPrecondition,
        KeyValueError::Driver(_) => Code::Unavailable,
    };
    match error {
        KeyValueError::Driver(PdError::NotLeader) => Status::unavailable(ASK_ANOTHER),
        KeyValueError::Driver(PdError::LeadershipLost) => Status::unavailable(LEADER_CHANGED),
        other => Status::new(code, other.to_string()),
    }
}

impl PdEndpoint {
    pub(super) fn key_values(&self) -> Result<&dyn KeyValues, Status> {
        self.0.pd.key_values().ok_or_else(|| Status::unimplemented("this placement driver keeps no keys"))
    }

    /// The header of an answer whose revision is known.
    async fn header(
        &self,
        known: Option<&etcd::ResponseHeader>,
    ) -> Result<Option<etcd::ResponseHeader>, Status> {
        let members = self.members().await?;
        Ok(Some(etcd::ResponseHeader {
            cluster_id: members.cluster_id,
            member_id: members.me.member_id,
            revision: known.map_or(0, |header| header.revision),
            raft_term: 1,
        }))
    }
}

/// Asks for the keys, and completes the header of the answer.
macro_rules! ask {
    ($self:ident, $request:ident, $method:ident) => {{
        let request = $request.into_inner();
        let answered = $self.key_values()?.$method(request).await;
        let mut answer = answered.map_err(|error| status(&error))?;
        answer.header = $self.header(answer.header.as_ref()).await?;
        Ok(Response::new(answer))
    }};
}

#[tonic::async_trait]
impl Kv for PdEndpoint {
    /// The garbage collector's saved safe point is also found under the key where old clients look for it.
    async fn range(&self, request: Request<etcd::RangeRequest>) -> Answered<etcd::RangeResponse> {
        let asks_for_safe_point = request.get_ref().key == SAVED_SAFE_POINT_KEY;
        let answered: Answered<etcd::RangeResponse> = ask!(self, request, range);
        let mut answer = answered?;
        let found = answer.get_mut();
        if asks_for_safe_point && found.count == 0 {
            let saved =
                safe_point(&*self.0.pd).await.map_err(|error| Status::unavailable(error.to_string()))?;
            found.count = 1;
            found.kvs.push(etcd::KeyValue {
                key: SAVED_SAFE_POINT_KEY.into(),
                value: saved.to_string().into(),
                create_revision: 1,
                mod_revision: 1,
                version: 1,
                lease: 0,
            });
        }
        Ok(answer)
    }

    async fn put(&self, request: Request<etcd::PutRequest>) -> Answered<etcd::PutResponse> {
        ask!(self, request, put)
    }

    async fn delete_range(
        &self,
        request: Request<etcd::DeleteRangeRequest>,
    ) -> Answered<etcd::DeleteRangeResponse> {
        ask!(self, request, delete_range)
    }

    async fn txn(&self, request: Request<etcd::TxnRequest>) -> Answered<etcd::TxnResponse> {
        ask!(self, request, txn)
    }

    async fn compact(&self, request: Request<etcd::CompactionRequest>) -> Answered<etcd::CompactionResponse> {
        ask!(self, request, compact)
    }
}

#[tonic::async_trait]
impl Lease for PdEndpoint {
    async fn lease_grant(
        &self,
        request: Request<etcd::LeaseGrantRequest>,
    ) -> Answered<etcd::LeaseGrantResponse> {
        ask!(self, request, lease_grant)
    }

    async fn lease_revoke(
        &self,
        request: Request<etcd::LeaseRevokeRequest>,
    ) -> Answered<etcd::LeaseRevokeResponse> {
        ask!(self, request, lease_revoke)
    }

    type LeaseKeepAliveStream = BoxStream<'static, Result<etcd::LeaseKeepAliveResponse, Status>>;

    async fn lease_keep_alive(
        &self,
        request: Request<Streaming<etcd::LeaseKeepAliveRequest>>,
    ) -> Answered<Self::LeaseKeepAliveStream> {
        let endpoint = self.clone();
        let answers = request.into_inner().then(move |request| {
            let endpoint = endpoint.clone();
            async move {
                let request = Request::new(request?);
                let answered: Answered<etcd::LeaseKeepAliveResponse> =
                    ask!(endpoint, request, lease_keep_alive);
                answered.map(Response::into_inner)
            }
        });
        Ok(Response::new(answers.boxed()))
    }

    async fn lease_time_to_live(
        &self,
        request: Request<etcd::LeaseTimeToLiveRequest>,
    ) -> Answered<etcd::LeaseTimeToLiveResponse> {
        ask!(self, request, lease_time_to_live)
    }

    async fn lease_leases(
        &self,
        request: Request<etcd::LeaseLeasesRequest>,
    ) -> Answered<etcd::LeaseLeasesResponse> {
        ask!(self, request, lease_leases)
    }
}

#[tonic::async_trait]
impl Watch for PdEndpoint {
    type WatchStream = BoxStream<'static, Result<etcd::WatchResponse, Status>>;

    async fn watch(&self, request: Request<Streaming<etcd::WatchRequest>>) -> Answered<Self::WatchStream> {
        let header = self.header(None).await?.unwrap_or_default();
        Ok(Response::new(watching::serve(self.0.pd.clone(), header, request.into_inner())))
    }
}

#[tonic::async_trait]
impl Cluster for PdEndpoint {
    async fn member_list(&self, _: Request<etcd::MemberListRequest>) -> Answered<etcd::MemberListResponse> {
        let members = self.members().await?.members.into_iter().map(|member| etcd::Member {
            id: member.member_id,
            name: member.name,
            peer_urls: member.peer_urls,
            client_urls: member.client_urls,
            is_learner: false,
        });
        let members = members.collect();
        Ok(Response::new(etcd::MemberListResponse { header: self.header(None).await?, members }))
    }
}
