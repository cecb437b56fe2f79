//! A placement driver in a few lines: ids and timestamps count up, regions are what it was told.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use async_trait::async_trait;
use parking_lot::Mutex;
use tidewater_codec::Key;
use tidewater_proto::{PdError, PdService, TransportError, metapb, pdpb};

pub const CLUSTER_ID: u64 = 4711;

#[derive(Default)]
pub struct TestPd {
    last_id: AtomicU64,
    last_ts: AtomicU64,
    pub safe_point: AtomicU64,
    regions: Mutex<BTreeMap<u64, metapb::Region>>,
    stores: Mutex<BTreeMap<u64, metapb::Store>>,
    pub heartbeats: AtomicU64,
    /// Regions that are told to merge when they report themselves: which, and into which.
    pub merges: Mutex<Vec<(u64, u64)>>,
    /// Keys of regions whose size is known.
    reported_keys: Mutex<BTreeMap<u64, u64>>,
    /// Requests to found the cluster get lost.
    pub loses_bootstrap: AtomicBool,
}

impl TestPd {
    /// The region of a user key.
    pub fn region_of(&self, key: &[u8]) -> metapb::Region {
        let encoded = Key::new(key).encode();
        self.region_of_plain(encoded.as_bytes())
    }

    /// The region of a key that is the same bytes everywhere.
    pub fn region_of_plain(&self, key: &[u8]) -> metapb::Region {
        let regions = self.regions.lock();
        let holds = |region: &&metapb::Region| {
            region.start_key[..] <= *key && (region.end_key.is_empty() || *key < region.end_key[..])
        };
        regions.values().find(holds).cloned().expect("the regions cover everything")
    }

    /// The next timestamps come after this one.
    pub fn set_ts(&self, ts: u64) {
        self.last_ts.store(ts, Ordering::SeqCst);
    }

    pub fn regions(&self) -> Vec<metapb::Region> {
        let mut regions = self.regions.lock().values().cloned().collect::<Vec<_>>();
        regions.sort_by(|a, b| a.start_key.cmp(&b.start_key));
        regions
    }

    pub fn region_by_id(&self, id: u64) -> Option<metapb::Region> {
        self.regions.lock().get(&id).cloned()
    }

    /// How many keys a region has said to have, unless it did not know.
    pub fn reported_keys(&self, id: u64) -> Option<u64> {
        self.reported_keys.lock().get(&id).copied()
    }

    /// Another placement driver that knows what this one knows.
    pub fn copy(&self) -> Self {
        let copy = Self::default();
        copy.last_id.store(self.last_id.load(Ordering::SeqCst), Ordering::SeqCst);
        copy.last_ts.store(self.last_ts.load(Ordering::SeqCst), Ordering::SeqCst);
        *copy.regions.lock() = self.regions.lock().clone();
        *copy.stores.lock() = self.stores.lock().clone();
        copy
    }

    pub fn store_count(&self) -> usize {
        self.stores.lock().len()
    }

    /// Takes in a region unless something newer is known; whether it did.
    fn put_region(&self, region: metapb::Region) -> bool {
        let mut regions = self.regions.lock();
        let version = |region: &metapb::Region| region.region_epoch.map_or(0, |epoch| epoch.version);
        let overlaps = |other: &metapb::Region| {
            (other.end_key.is_empty() || region.start_key < other.end_key)
                && (region.end_key.is_empty() || other.start_key < region.end_key)
        };
        if regions.values().any(|other| overlaps(other) && version(other) > version(&region)) {
            return false;
        }
        regions.retain(|_, other| !overlaps(other) || version(other) == version(&region));
        regions.insert(region.id, region);
        true
    }
}

#[async_trait]
impl PdService for TestPd {
    async fn timestamps(&self, count: u32) -> Result<pdpb::Timestamp, PdError> {
        let last = self.last_ts.fetch_add(u64::from(count), Ordering::SeqCst) + u64::from(count);
        Ok(pdpb::Timestamp {
            physical: (last >> 18) as i64,
            logical: (last & 0x3_ffff) as i64,
            suffix_bits: 0,
        })
    }

    async fn get_region(&self, request: pdpb::GetRegionRequest) -> Result<pdpb::GetRegionResponse, PdError> {
        let regions = self.regions.lock();
        let key = &request.region_key;
        let region = regions
            .values()
            .find(|region| region.start_key <= *key && (region.end_key.is_empty() || *key < region.end_key));
        Ok(pdpb::GetRegionResponse { region: region.cloned(), ..Default::default() })
    }

    async fn get_prev_region(&self, _: pdpb::GetRegionRequest) -> Result<pdpb::GetRegionResponse, PdError> {
        Ok(pdpb::GetRegionResponse::default())
    }

    async fn get_region_by_id(
        &self,
        request: pdpb::GetRegionByIdRequest,
    ) -> Result<pdpb::GetRegionResponse, PdError> {
        Ok(pdpb::GetRegionResponse { region: self.region_by_id(request.region_id), ..Default::default() })
    }

    async fn scan_regions(&self, _: pdpb::ScanRegionsRequest) -> Result<pdpb::ScanRegionsResponse, PdError> {
        Ok(pdpb::ScanRegionsResponse { region_metas: self.regions(), ..Default::default() })
    }

    async fn get_store(&self, request: pdpb::GetStoreRequest) -> Result<pdpb::GetStoreResponse, PdError> {
        Ok(pdpb::GetStoreResponse {
            store: self.stores.lock().get(&request.store_id).cloned(),
            ..Default::default()
        })
    }

    async fn get_all_stores(
        &self,
        _: pdpb::GetAllStoresRequest,
    ) -> Result<pdpb::GetAllStoresResponse, PdError> {
        Ok(pdpb::GetAllStoresResponse {
            stores: self.stores.lock().values().cloned().collect(),
            ..Default::default()
        })
    }

    async fn put_store(&self, request: pdpb::PutStoreRequest) -> Result<pdpb::PutStoreResponse, PdError> {
        let store = request.store.unwrap_or_default();
        self.stores.lock().insert(store.id, store);
        let header = pdpb::ResponseHeader { cluster_id: CLUSTER_ID, error: None };
        Ok(pdpb::PutStoreResponse { header: Some(header) })
    }

    async fn store_heartbeat(
        &self,
        _: pdpb::StoreHeartbeatRequest,
    ) -> Result<pdpb::StoreHeartbeatResponse, PdError> {
        Ok(pdpb::StoreHeartbeatResponse::default())
    }

    async fn is_bootstrapped(&self) -> Result<bool, PdError> {
        Ok(!self.regions.lock().is_empty())
    }

    async fn bootstrap(&self, request: pdpb::BootstrapRequest) -> Result<pdpb::BootstrapResponse, PdError> {
        if self.loses_bootstrap.load(Ordering::SeqCst) {
            return Err(PdError::Transport(TransportError::Timeout));
        }
        if !self.regions.lock().is_empty() {
            return Err(PdError::AlreadyBootstrapped);
        }
        self.put_region(request.region.unwrap_or_default());
        Ok(pdpb::BootstrapResponse::default())
    }

    async fn alloc_id(&self, count: u32) -> Result<u64, PdError> {
        Ok(self.last_id.fetch_add(u64::from(count), Ordering::SeqCst) + u64::from(count))
    }

    async fn region_heartbeat(
        &self,
        request: pdpb::RegionHeartbeatRequest,
    ) -> Result<pdpb::RegionHeartbeatResponse, PdError> {
        self.heartbeats.fetch_add(1, Ordering::SeqCst);
        let region = request.region.unwrap_or_default();
        let id = region.id;
        if !self.put_region(region) {
            return Err(PdError::InvalidValue { reason: "an old report".to_owned() });
        }
        if request.approximate_size > 0 {
            self.reported_keys.lock().insert(id, request.approximate_keys);
        }
        let mut merges = self.merges.lock();
        let ordered = merges.iter().position(|(source, _)| *source == id).map(|index| merges.remove(index));
        let target = ordered.and_then(|(_, target)| self.region_by_id(target));
        let merge = target.map(|target| pdpb::Merge { target: Some(target) });
        Ok(pdpb::RegionHeartbeatResponse { merge, ..Default::default() })
    }

    async fn ask_batch_split(
        &self,
        request: pdpb::AskBatchSplitRequest,
    ) -> Result<pdpb::AskBatchSplitResponse, PdError> {
        let mut ids = Vec::new();
        for _ in 0..request.split_count {
            let last = self.alloc_id(2).await?;
            ids.push(pdpb::SplitId { new_region_id: last - 1, new_peer_ids: vec![last] });
        }
        Ok(pdpb::AskBatchSplitResponse { ids, ..Default::default() })
    }

    async fn report_batch_split(
        &self,
        request: pdpb::ReportBatchSplitRequest,
    ) -> Result<pdpb::ReportBatchSplitResponse, PdError> {
        for region in request.regions {
            self.put_region(region);
        }
        Ok(pdpb::ReportBatchSplitResponse::default())
    }

    async fn get_gc_safe_point(
        &self,
        _: pdpb::GetGcSafePointRequest,
    ) -> Result<pdpb::GetGcSafePointResponse, PdError> {
        Ok(pdpb::GetGcSafePointResponse {
            safe_point: self.safe_point.load(Ordering::SeqCst),
            ..Default::default()
        })
    }

    async fn update_gc_safe_point(
        &self,
        request: pdpb::UpdateGcSafePointRequest,
    ) -> Result<pdpb::UpdateGcSafePointResponse, PdError> {
        let old = self.safe_point.fetch_max(request.safe_point, Ordering::SeqCst);
        Ok(pdpb::UpdateGcSafePointResponse {
            new_safe_point: old.max(request.safe_point),
            ..Default::default()
        })
    }

    async fn update_service_gc_safe_point(
        &self,
        request: pdpb::UpdateServiceGcSafePointRequest,
    ) -> Result<pdpb::UpdateServiceGcSafePointResponse, PdError> {
        Ok(pdpb::UpdateServiceGcSafePointResponse {
            min_safe_point: request.safe_point,
            ..Default::default()
        })
    }
}
