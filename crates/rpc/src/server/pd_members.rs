//! Who the members of a placement driver are, for its clients; and the service between the members.

use std::sync::Arc;

use tidewater_proto::pdpeerpb::peer_server::{Peer, PeerServer};
use tidewater_proto::{PdPeer, TransportError, pdpb, pdpeerpb, raftpb};
use tonic::service::Routes;
use tonic::{Request, Response, Status};

use super::pd::PdIdentity;
use crate::MESSAGE_BYTES_MAX;

/// Where a server knows the members from.
#[derive(Clone)]
pub(super) enum Membership {
    /// It is the only one.
    Alone(PdIdentity),
    /// It asks its member.
    Member(Arc<dyn PdPeer>),
}

/// The members, as one of them sees them.
pub(super) struct Known {
    /// 0 while it is not known.
    pub cluster_id: u64,
    pub me: pdpb::Member,
    pub members: Vec<pdpb::Member>,
    pub leader: Option<pdpb::Member>,
}

fn of_identity(identity: &PdIdentity) -> pdpb::Member {
    pdpb::Member {
        name: identity.name.clone(),
        member_id: identity.member_id,
        peer_urls: identity.peer_urls.clone(),
        client_urls: identity.client_urls.clone(),
        binary_version: env!("CARGO_PKG_VERSION").to_owned(),
        ..Default::default()
    }
}

fn of_member(member: pdpeerpb::Member) -> pdpb::Member {
    pdpb::Member {
        name: member.name,
        member_id: member.id,
        peer_urls: member.peer_urls,
        client_urls: member.client_urls,
        binary_version: env!("CARGO_PKG_VERSION").to_owned(),
        ..Default::default()
    }
}

impl Membership {
    pub async fn known(&self) -> Result<Known, TransportError> {
        match self {
            Self::Alone(identity) => {
                let me = of_identity(identity);
                let (members, leader) = (vec![me.clone()], Some(me.clone()));
                Ok(Known { cluster_id: identity.cluster_id, me, members, leader })
            }
            Self::Member(member) => {
                let told = member.describe().await?;
                let members: Vec<_> = told.members.into_iter().map(of_member).collect();
                let find = |id| members.iter().find(|member| member.member_id == id).cloned();
                let me = find(told.member_id).unwrap_or_default();
                let leader = find(told.leader_id);
                Ok(Known { cluster_id: told.cluster_id, me, members, leader })
            }
        }
    }
}

/// The `pdpeerpb.Peer` service of a member, for a port of its own.
pub fn pd_peer_routes(member: Arc<dyn PdPeer>) -> Routes {
    Routes::new(peer_service(member))
}

pub(super) fn peer_service(member: Arc<dyn PdPeer>) -> PeerServer<PeerEndpoint> {
    PeerServer::new(PeerEndpoint(member))
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX)
}

pub(super) struct PeerEndpoint(Arc<dyn PdPeer>);

fn answered<T>(answer: Result<T, TransportError>) -> Result<Response<T>, Status> {
    answer.map(Response::new).map_err(|error| Status::unavailable(error.to_string()))
}

#[tonic::async_trait]
impl Peer for PeerEndpoint {
    async fn raft(&self, request: Request<raftpb::Request>) -> Result<Response<raftpb::Response>, Status> {
        answered(self.0.raft(request.into_inner()).await)
    }

    async fn describe(
        &self,
        _: Request<pdpeerpb::DescribeRequest>,
    ) -> Result<Response<pdpeerpb::Description>, Status> {
        answered(self.0.describe().await)
    }

    async fn change(
        &self,
        request: Request<pdpeerpb::ChangeRequest>,
    ) -> Result<Response<pdpeerpb::ChangeResponse>, Status> {
        answered(self.0.change(request.into_inner()).await)
    }
}
