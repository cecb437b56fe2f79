//! What the placement driver and the other SQL nodes tell of the cluster.

use std::ops::Range;

use tidewater_codec::Key;
use tidewater_ddl::NodeInfo;
use tidewater_proto::pdpb;
use tidewater_txn::TxnError;
use tidewater_types::SqlError;

use crate::database::Database;
use crate::error::{from_ddl, from_txn};

/// Regions that are asked for in one message.
const REGIONS_PER_CALL: i32 = 1024;

impl Database {
    /// The regions that intersect a range of keys, in key order, with their statistics; an empty end is unbounded.
    pub(crate) async fn cluster_regions(&self, range: &Range<Key>) -> Result<Vec<pdpb::Region>, SqlError> {
        let end_key = match range.end.is_empty() {
            true => Vec::new(),
            false => range.end.encode().into_bytes(),
        };
        let mut start_key = match range.start.is_empty() {
            true => Vec::new(),
            false => range.start.encode().into_bytes(),
        };
        let mut regions = Vec::new();
        loop {
            let request = pdpb::ScanRegionsRequest {
                start_key: start_key.into(),
                end_key: end_key.clone().into(),
                limit: REGIONS_PER_CALL,
                with_statistics: true,
                ..Default::default()
            };
            let found = self.client().pd().scan_regions(request).await.map_err(TxnError::Pd);
            let found = found.map_err(|error| from_txn(&error))?.regions;
            let next = found.last().and_then(|last| last.region.as_ref()).map(|last| last.end_key.to_vec());
            regions.extend(found);
            match next {
                Some(next) if !next.is_empty() && (end_key.is_empty() || next < end_key) => start_key = next,
                _ => return Ok(regions),
            }
        }
    }

    /// The stores that were not removed, by id.
    pub(crate) async fn cluster_stores(&self) -> Result<Vec<pdpb::GetStoreResponse>, SqlError> {
        let pd = self.client().pd();
        let ask = async {
            let request = pdpb::GetAllStoresRequest { exclude_tombstone_stores: true, ..Default::default() };
            let mut stores = Vec::new();
            for store in pd.get_all_stores(request).await?.stores {
                let request = pdpb::GetStoreRequest { store_id: store.id, ..Default::default() };
                stores.push(pd.get_store(request).await?);
            }
            Ok(stores)
        };
        ask.await.map_err(TxnError::Pd).map_err(|error| from_txn(&error))
    }

    /// The members of the placement driver.
    pub(crate) async fn cluster_members(&self) -> Result<Vec<pdpb::Member>, SqlError> {
        let members = self.client().pd().members().await.map_err(TxnError::Pd);
        members.map_err(|error| from_txn(&error))
    }

    /// The SQL nodes, with their ids.
    pub(crate) async fn cluster_nodes(&self) -> Result<Vec<(i64, NodeInfo)>, SqlError> {
        self.ddl().nodes().await.map_err(from_ddl)
    }

    /// Tells where this node is reached: `information_schema.cluster_info` shows it on all nodes.
    pub fn announce(&self, address: &str, status_address: &str) {
        self.ddl().announce(NodeInfo {
            address: address.to_owned(),
            status_address: status_address.to_owned(),
            version: self.server_version().to_owned(),
            started_micros: self.started_micros(),
        });
    }
}
