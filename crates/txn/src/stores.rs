//! Connections to stores, by store id.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;
use tidewater_proto::{PdError, PdService, StoreConnector, StoreService, TransportError, metapb, pdpb};

pub(crate) struct Stores {
    pd: Arc<dyn PdService>,
    connector: Arc<dyn StoreConnector>,
    open: RwLock<BTreeMap<u64, Arc<dyn StoreService>>>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error(transparent)]
    Pd(#[from] PdError),
    #[error(transparent)]
    Transport(#[from] TransportError),
    #[error("store {0} left the cluster")]
    Gone(u64),
}

impl Stores {
    pub(crate) fn new(pd: Arc<dyn PdService>, connector: Arc<dyn StoreConnector>) -> Self {
        Self { pd, connector, open: RwLock::default() }
    }

    pub(crate) fn opened(&self, store_id: u64) -> Option<Arc<dyn StoreService>> {
        self.open.read().get(&store_id).cloned()
    }

    pub(crate) async fn open(&self, store_id: u64) -> Result<Arc<dyn StoreService>, ConnectError> {
        if let Some(open) = self.opened(store_id) {
            return Ok(open);
        }
        let response = self.pd.get_store(pdpb::GetStoreRequest { store_id, ..Default::default() }).await?;
        let store = response.store.ok_or(ConnectError::Gone(store_id))?;
        if store.state == metapb::StoreState::Tombstone as i32 {
            return Err(ConnectError::Gone(store_id));
        }
        let connection = self.connector.connect(&store.address).await?;
        self.open.write().insert(store_id, connection.clone());
        Ok(connection)
    }

    /// Connects anew next time: the store may have another address by now.
    pub(crate) fn forget(&self, store_id: u64) {
        self.open.write().remove(&store_id);
    }

    /// All stores that are not gone, in the order of their ids.
    pub(crate) async fn all(&self) -> Result<Vec<u64>, PdError> {
        let request = pdpb::GetAllStoresRequest { exclude_tombstone_stores: true, ..Default::default() };
        let mut ids: Vec<u64> =
            self.pd.get_all_stores(request).await?.stores.iter().map(|store| store.id).collect();
        ids.sort_unstable();
        Ok(ids)
    }
}
