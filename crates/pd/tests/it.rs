//! The placement driver through its service, over both storages, with restarts in between.

#[path = "it/fake.rs"]
mod fake;
#[path = "it/keys.rs"]
mod keys;
#[path = "it/members.rs"]
mod members;
#[path = "it/replica.rs"]
mod replica;
#[path = "it/schedule.rs"]
mod schedule;
#[path = "it/wishes.rs"]
mod wishes;

use std::sync::Arc;

use bytes::Bytes;
use tidewater_pd::{FileStorage, MemoryStorage, PdConfig, PlacementDriver, Storage};
use tidewater_proto::{PdError, PdService, metapb, pdpb};
use tidewater_types::clock::ManualClock;

const START_MICROS: i64 = 1_700_000_000_000_000;

/// A driver that can be restarted.
struct Host {
    clock: Arc<ManualClock>,
    memory: Arc<MemoryStorage>,
    directory: Option<tempfile::TempDir>,
    pd: Option<Arc<PlacementDriver>>,
}

impl Host {
    fn both() -> [Self; 2] {
        [None, Some(tempfile::TempDir::new().unwrap())].map(|directory| {
            let clock = Arc::new(ManualClock::new(START_MICROS));
            let mut host = Self { clock, memory: Arc::default(), directory, pd: None };
            host.restart();
            host
        })
    }

    fn restart(&mut self) {
        self.pd = None;
        let storage: Arc<dyn Storage> = match &self.directory {
            Some(directory) => Arc::new(FileStorage::open(directory.path()).unwrap()),
            None => self.memory.clone(),
        };
        self.pd = Some(PlacementDriver::open(PdConfig::default(), storage, self.clock.clone()).unwrap());
    }

    fn pd(&self) -> &PlacementDriver {
        self.pd.as_ref().unwrap()
    }
}

fn region(id: u64, start: &str, end: &str, version: u64) -> metapb::Region {
    metapb::Region {
        id,
        start_key: Bytes::copy_from_slice(start.as_bytes()),
        end_key: Bytes::copy_from_slice(end.as_bytes()),
        region_epoch: Some(metapb::RegionEpoch { conf_ver: 1, version }),
        peers: vec![metapb::Peer { id: id + 100, store_id: 1, ..Default::default() }],
    }
}

fn store(id: u64, address: &str) -> metapb::Store {
    metapb::Store { id, address: address.to_owned(), ..Default::default() }
}

async fn bootstrap(pd: &PlacementDriver) -> Result<pdpb::BootstrapResponse, PdError> {
    let (store, region) = (Some(store(1, "one:1")), Some(region(2, "", "", 1)));
    pd.bootstrap(pdpb::BootstrapRequest { store, region, ..Default::default() }).await
}

async fn at(pd: &PlacementDriver, key: &'static str) -> Option<(u64, u64)> {
    let request =
        pdpb::GetRegionRequest { region_key: Bytes::from_static(key.as_bytes()), ..Default::default() };
    let response = pd.get_region(request).await.unwrap();
    Some((response.region?.id, response.leader?.id))
}

async fn heartbeat(
    pd: &PlacementDriver,
    region: metapb::Region,
) -> Result<pdpb::RegionHeartbeatResponse, PdError> {
    let leader = region.peers.first().cloned();
    pd.region_heartbeat(pdpb::RegionHeartbeatRequest { region: Some(region), leader, ..Default::default() })
        .await
}

#[tokio::test]
async fn timestamps_and_ids_grow_over_restarts() {
    for mut host in Host::both() {
        let cluster_id = host.pd().cluster_id();
        let (mut last_ts, mut last_id) = ((0, 0), 0);
        for round in 0..6 {
            // The calendar runs back and forth.
            host.clock.advance_micros([0, -10_000_000, 1_000, 500_000, -1, 9_000_000][round]);
            for count in [1, 64, 4_000] {
                let ts = host.pd().timestamps(count).await.unwrap();
                assert!((ts.physical, ts.logical - i64::from(count) + 1) > last_ts, "round {round}");
                last_ts = (ts.physical, ts.logical);
                let id = host.pd().alloc_id(count).await.unwrap();
                assert!(id >= last_id + u64::from(count));
                last_id = id;
            }
            host.restart();
            assert_eq!(host.pd().cluster_id(), cluster_id);
        }
        for count in [0, 1 << 18] {
            assert!(matches!(host.pd().timestamps(count).await, Err(PdError::InvalidValue { .. })));
        }
    }
}

#[tokio::test]
async fn a_cluster_is_founded_once() {
    for mut host in Host::both() {
        assert!(!host.pd().is_bootstrapped().await.unwrap());
        bootstrap(host.pd()).await.unwrap();
        host.restart();
        assert!(host.pd().is_bootstrapped().await.unwrap());
        assert_eq!(bootstrap(host.pd()).await.unwrap_err(), PdError::AlreadyBootstrapped);
        assert_eq!(at(host.pd(), "anything").await, Some((2, 102)));
        let response =
            host.pd().get_store(pdpb::GetStoreRequest { store_id: 1, ..Default::default() }).await.unwrap();
        assert_eq!(response.store.unwrap().address, "one:1");
        let unknown = host.pd().get_store(pdpb::GetStoreRequest { store_id: 9, ..Default::default() }).await;
        assert_eq!(unknown.unwrap_err(), PdError::StoreNotFound { store_id: 9 });
    }
}

#[tokio::test]
async fn splits_survive_restarts_and_old_news() {
    for mut host in Host::both() {
        bootstrap(host.pd()).await.unwrap();
        let ask = pdpb::AskBatchSplitRequest {
            region: Some(region(2, "", "", 1)),
            split_count: 2,
            ..Default::default()
        };
        let ids = host.pd().ask_batch_split(ask).await.unwrap().ids;
        assert_eq!(ids.iter().map(|id| id.new_peer_ids.len()).collect::<Vec<_>>(), [1, 1]);
        let mut all: Vec<_> = ids.iter().flat_map(|id| [id.new_region_id, id.new_peer_ids[0]]).collect();
        all.dedup();
        assert_eq!(all.len(), 4);
        let mut regions = vec![
            region(ids[0].new_region_id, "", "g", 3),
            region(ids[1].new_region_id, "g", "p", 3),
            region(2, "p", "", 3),
        ];
        for (region, id) in regions.iter_mut().zip(&ids) {
            region.peers[0].id = id.new_peer_ids[0];
        }
        host.pd()
            .report_batch_split(pdpb::ReportBatchSplitRequest {
                regions: regions.clone(),
                ..Default::default()
            })
            .await
            .unwrap();
        assert_eq!(
            at(host.pd(), "a").await,
            Some((ids[0].new_region_id, ids[0].new_peer_ids[0])),
            "led where the old one was"
        );
        host.restart();
        assert_eq!(host.pd().region_count(), 3);
        assert!(matches!(
            heartbeat(host.pd(), region(2, "", "", 1)).await,
            Err(PdError::InvalidValue { .. })
        ));
        for region in regions.clone() {
            heartbeat(host.pd(), region).await.unwrap();
        }
        let scan = |start: &'static str, end: &'static str, limit| pdpb::ScanRegionsRequest {
            start_key: Bytes::from_static(start.as_bytes()),
            end_key: Bytes::from_static(end.as_bytes()),
            limit,
            ..Default::default()
        };
        for (start, end, limit, expected) in
            [("", "", 0, &[0, 1, 2][..]), ("h", "", 0, &[1, 2]), ("a", "g", 0, &[0]), ("", "", 2, &[0, 1])]
        {
            let found = host.pd().scan_regions(scan(start, end, limit)).await.unwrap().regions;
            let expected: Vec<_> = expected.iter().map(|&index| regions[index].clone()).collect();
            assert_eq!(found.into_iter().map(|found| found.region.unwrap()).collect::<Vec<_>>(), expected);
        }
        let before = pdpb::GetRegionRequest { region_key: Bytes::from_static(b"h"), ..Default::default() };
        assert_eq!(host.pd().get_prev_region(before).await.unwrap().region.unwrap().id, regions[0].id);
        let by_id = pdpb::GetRegionByIdRequest { region_id: 2, ..Default::default() };
        assert_eq!(host.pd().get_region_by_id(by_id).await.unwrap().region.unwrap(), regions[2]);
    }
}

#[tokio::test]
async fn stores_keep_their_addresses_apart() {
    for host in Host::both() {
        bootstrap(host.pd()).await.unwrap();
        let put = |store| pdpb::PutStoreRequest { store: Some(store), ..Default::default() };
        host.pd().put_store(put(store(3, "three:1"))).await.unwrap();
        assert!(matches!(
            host.pd().put_store(put(store(4, "three:1"))).await,
            Err(PdError::InvalidValue { .. })
        ));
        let gone = metapb::Store { state: metapb::StoreState::Tombstone as i32, ..store(3, "three:1") };
        host.pd().put_store(put(gone)).await.unwrap();
        assert_eq!(
            host.pd().put_store(put(store(3, "three:1"))).await.unwrap_err(),
            PdError::StoreTombstone { store_id: 3 }
        );
        host.pd().put_store(put(store(4, "three:1"))).await.unwrap();
        let all = |exclude_tombstone_stores| pdpb::GetAllStoresRequest {
            exclude_tombstone_stores,
            ..Default::default()
        };
        let ids = |response: pdpb::GetAllStoresResponse| {
            response.stores.iter().map(|store| store.id).collect::<Vec<_>>()
        };
        assert_eq!(ids(host.pd().get_all_stores(all(false)).await.unwrap()), [1, 3, 4]);
        assert_eq!(ids(host.pd().get_all_stores(all(true)).await.unwrap()), [1, 4]);
    }
}

#[tokio::test]
async fn safe_points_rise_and_are_held_back() {
    for mut host in Host::both() {
        let service = |ttl, safe_point| pdpb::UpdateServiceGcSafePointRequest {
            service_id: Bytes::from_static(b"backup"),
            ttl,
            safe_point,
            ..Default::default()
        };
        let raise = |safe_point| pdpb::UpdateGcSafePointRequest { safe_point, ..Default::default() };
        assert_eq!(host.pd().update_gc_safe_point(raise(100)).await.unwrap().new_safe_point, 100);
        assert!(matches!(
            host.pd().update_service_gc_safe_point(service(60, 50)).await,
            Err(PdError::InvalidValue { .. })
        ));
        let lowest = host.pd().update_service_gc_safe_point(service(60, 200)).await.unwrap();
        assert_eq!((lowest.min_safe_point, lowest.ttl), (200, 60));
        host.restart();
        assert_eq!(host.pd().update_gc_safe_point(raise(500)).await.unwrap().new_safe_point, 200);
        host.clock.advance_micros(61_000_000);
        assert_eq!(host.pd().update_gc_safe_point(raise(500)).await.unwrap().new_safe_point, 500);
        assert_eq!(host.pd().update_gc_safe_point(raise(400)).await.unwrap().new_safe_point, 500);
        host.restart();
        assert_eq!(host.pd().get_gc_safe_point(Default::default()).await.unwrap().safe_point, 500);
    }
}
