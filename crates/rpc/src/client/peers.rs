//! From one member of a placement driver to the others.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use tidewater_proto::pdpeerpb::{self, peer_client::PeerClient};
use tidewater_proto::{PdPeer, PdPeerConnector, TransportError, raftpb};
use tonic::transport::Channel;
use tonic::{Request, Response};

use super::{ChannelOptions, lost};
use crate::MESSAGE_BYTES_MAX;

/// Reaches members of a placement driver at their peer URLs; one connection to each.
pub struct GrpcPeerConnector {
    options: ChannelOptions,
    peers: Mutex<BTreeMap<String, Arc<GrpcPeer>>>,
}

impl GrpcPeerConnector {
    /// Without connections yet.
    pub fn new(options: ChannelOptions) -> Self {
        Self { options, peers: Mutex::default() }
    }
}

impl PdPeerConnector for GrpcPeerConnector {
    fn connect(&self, url: &str) -> Result<Arc<dyn PdPeer>, TransportError> {
        let mut peers = self.peers.lock();
        if let Some(peer) = peers.get(url) {
            return Ok(peer.clone());
        }
        let client = PeerClient::new(self.options.lazy(url)?)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let peer = Arc::new(GrpcPeer { url: url.to_owned(), client });
        peers.insert(url.to_owned(), peer.clone());
        Ok(peer)
    }
}

struct GrpcPeer {
    url: String,
    client: PeerClient<Channel>,
}

macro_rules! ask {
    ($self:ident, $method:ident, $request:expr) => {{
        let answered = $self.client.clone().$method(Request::new($request)).await;
        answered.map(Response::into_inner).map_err(|status| lost(&$self.url, &status))
    }};
}

#[async_trait]
impl PdPeer for GrpcPeer {
    async fn raft(&self, request: raftpb::Request) -> Result<raftpb::Response, TransportError> {
        ask!(self, raft, request)
    }

    async fn describe(&self) -> Result<pdpeerpb::Description, TransportError> {
        ask!(self, describe, pdpeerpb::DescribeRequest {})
    }

    async fn change(
        &self,
        request: pdpeerpb::ChangeRequest,
    ) -> Result<pdpeerpb::ChangeResponse, TransportError> {
        ask!(self, change, request)
    }
}
