//! The transport that is no transport: the store is in this process.

use std::sync::Arc;

use async_trait::async_trait;
use tidewater_kv::Node;
use tidewater_proto::{StoreConnector, StoreService, TransportError};

/// Answers every address with the one store there is.
pub struct DirectConnector(pub Arc<Node>);

#[async_trait]
impl StoreConnector for DirectConnector {
    async fn connect(&self, _address: &str) -> Result<Arc<dyn StoreService>, TransportError> {
        Ok(self.0.clone())
    }
}
