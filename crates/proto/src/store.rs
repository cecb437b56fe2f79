//! The seam between a client and a storage node.

use std::sync::Arc;

use async_trait::async_trait;

use crate::tikvpb;

/// Every command a store understands.
pub type StoreRequest = tikvpb::batch_commands_request::request::Cmd;

/// The answer to a [`StoreRequest`], always of the same variant.
pub type StoreResponse = tikvpb::batch_commands_response::response::Cmd;

/// The request may or may not have been executed: no answer arrived.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// Nobody listens there.
    #[error("store {address} is unreachable: {reason}")]
    Unreachable {
        /// The address that was tried.
        address: String,
        /// What the transport said.
        reason: String,
    },
    /// No answer within the transport's time limit.
    #[error("the store did not answer in time")]
    Timeout,
    /// The connection or the node closed before answering.
    #[error("the connection to the store was closed")]
    Closed,
}

/// A storage node, near or far: the node itself, a gRPC stub, or the simulator's network.
#[async_trait]
pub trait StoreService: Send + Sync {
    /// Executes one command. Errors of the command travel inside the response.
    async fn call(&self, request: StoreRequest) -> Result<StoreResponse, TransportError>;
}

/// Finds the store behind an address.
#[async_trait]
pub trait StoreConnector: Send + Sync {
    /// Returns a (usually cached) connection; connecting may be lazy.
    async fn connect(&self, address: &str) -> Result<Arc<dyn StoreService>, TransportError>;
}
