//! The seam between the members of a replicated placement driver.

use std::sync::Arc;

use async_trait::async_trait;

use crate::{TransportError, pdpeerpb, raftpb};

/// A member of a placement driver, near or far: the member itself, a gRPC stub, or a test's network.
#[async_trait]
pub trait PdPeer: Send + Sync {
    /// Takes in a message of another member's Raft.
    async fn raft(&self, request: raftpb::Request) -> Result<raftpb::Response, TransportError>;
    /// Who the members are, and who leads.
    async fn describe(&self) -> Result<pdpeerpb::Description, TransportError>;
    /// Changes who the members are. A member that does not lead hands the request on.
    async fn change(
        &self,
        request: pdpeerpb::ChangeRequest,
    ) -> Result<pdpeerpb::ChangeResponse, TransportError>;
}

/// Finds the member behind a peer URL.
pub trait PdPeerConnector: Send + Sync {
    /// Returns a (usually cached) connection; connecting is lazy.
    fn connect(&self, url: &str) -> Result<Arc<dyn PdPeer>, TransportError>;
}
