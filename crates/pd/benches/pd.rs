//! How fast are timestamps, and what does finding a region cost?

use std::sync::Arc;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tidewater_pd::{MemoryStorage, PdConfig, PlacementDriver};
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

criterion_group!(benches, timestamps, regions);
criterion_main!(benches);
