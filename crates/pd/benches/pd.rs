//! How fast are timestamps, what does finding a region cost, and how many regions can report themselves?

use std::sync::Arc;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tidewater_pd::{MemoryStorage, PdConfig, PlacementDriver, ReplicationConfig, ScheduleConfig};
use tidewater_proto::{PdService, metapb, pdpb};
use tidewater_types::clock::SystemClock;

fn driver() -> Arc<PlacementDriver> {
    PlacementDriver::open(PdConfig::default(), Arc::new(MemoryStorage::new()), Arc::new(SystemClock))
        .expect("an empty storage opens")
}

fn timestamps(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let pd = driver();
    let mut group = c.benchmark_group("timestamps_per_call");
    for count in [1, 64, 1_000] {
        group.throughput(Throughput::Elements(u64::from(count)));
        group.bench_function(count.to_string(), |b| b.iter(|| runtime.block_on(pd.timestamps(count))));
    }
}

fn regions(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let pd = driver();
    let key = |index: u64| Bytes::copy_from_slice(&index.to_be_bytes());
    for index in 0..10_000 {
        let region = metapb::Region {
            id: index + 1,
            start_key: key(index),
            end_key: key(index + 1),
            region_epoch: Some(metapb::RegionEpoch { conf_ver: 1, version: 1 }),
            peers: vec![metapb::Peer { id: index + 1, store_id: 1, ..Default::default() }],
        };
        let heartbeat = pdpb::RegionHeartbeatRequest { region: Some(region), ..Default::default() };
        runtime.block_on(pd.region_heartbeat(heartbeat)).expect("the region is news");
    }
    let mut index = 0;
    c.bench_function("region_of_a_key_among_10000", |b| {
        b.iter(|| {
            index = (index + 7_919) % 10_000;
            runtime.block_on(
                pd.get_region(pdpb::GetRegionRequest { region_key: key(index), ..Default::default() }),
            )
        });
    });
}

const HEARTBEAT_REGIONS: u64 = 100_000;
const HEARTBEAT_STORES: u64 = 12;

/// Regions with three peers each, one in each zone, spread evenly.
fn heartbeat(index: u64) -> pdpb::RegionHeartbeatRequest {
    let key = |index: u64| Bytes::copy_from_slice(&index.to_be_bytes());
    let peers: Vec<_> = (0..3)
        .map(|nth| metapb::Peer {
            id: 1_000_000 + index * 3 + nth,
            store_id: (index + nth) % HEARTBEAT_STORES + 1,
            ..Default::default()
        })
        .collect();
    pdpb::RegionHeartbeatRequest {
        leader: Some(peers[0]),
        region: Some(metapb::Region {
            id: index + 1,
            start_key: key(index),
            end_key: key(index + 1),
            region_epoch: Some(metapb::RegionEpoch { conf_ver: 1, version: 1 }),
            peers,
        }),
        approximate_size: 96,
        approximate_keys: 1_000_000,
        bytes_written: (index % 64) << 16,
        keys_written: 100,
        interval: Some(pdpb::TimeInterval { start_timestamp: 0, end_timestamp: 10 }),
        term: 6,
        ..Default::default()
    }
}

async fn store_heartbeats(pd: &PlacementDriver) {
    for store_id in 1..=HEARTBEAT_STORES {
        let stats = pdpb::StoreStats { store_id, capacity: 100, available: 90, ..Default::default() };
        let heartbeat = pdpb::StoreHeartbeatRequest { stats: Some(stats), ..Default::default() };
        pd.store_heartbeat(heartbeat).await.expect("the store is known");
    }
}

/// A driver that knows twelve stores and 100,000 regions.
async fn loaded(schedule: ScheduleConfig) -> Arc<PlacementDriver> {
    let replication = ReplicationConfig { location_labels: vec!["zone".to_owned()], ..Default::default() };
    let config = PdConfig { schedule, replication, ..PdConfig::default() };
    let pd = PlacementDriver::open(config, Arc::new(MemoryStorage::new()), Arc::new(SystemClock))
        .expect("an empty storage opens");
    for id in 1..=HEARTBEAT_STORES {
        let zone = metapb::StoreLabel { key: "zone".to_owned(), value: (id % 3).to_string() };
        let store =
            metapb::Store { id, address: format!("{id}:1"), labels: vec![zone], ..Default::default() };
        let put = pdpb::PutStoreRequest { store: Some(store), ..Default::default() };
        pd.put_store(put).await.expect("the store is news");
    }
    store_heartbeats(&pd).await;
    for index in 0..HEARTBEAT_REGIONS {
        pd.region_heartbeat(heartbeat(index)).await.expect("the region is news");
    }
    pd
}

/// One round of reports of all regions, none of which says anything new: what the driver does all day.
fn heartbeats(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let mut group = c.benchmark_group("heartbeats_of_100000_regions");
    group.sample_size(10).throughput(Throughput::Elements(HEARTBEAT_REGIONS));
    for (name, replicated) in [("moved_whole", false), ("replicated", true)] {
        let pd = runtime.block_on(loaded(ScheduleConfig { replicated, ..ScheduleConfig::default() }));
        group.bench_function(name, |b| {
            b.iter(|| {
                runtime.block_on(async {
                    store_heartbeats(&pd).await;
                    for index in 0..HEARTBEAT_REGIONS {
                        pd.region_heartbeat(heartbeat(index)).await.expect("the region is known");
                    }
                });
            });
        });
    }
}

criterion_group!(benches, timestamps, regions, heartbeats);
criterion_main!(benches);
