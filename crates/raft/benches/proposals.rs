//! What a proposal costs: three members in one process, logs in memory and on disk, one proposer and many, who share syncs.
//!
//! `cargo bench -p tidewater-raft`

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use futures::future::join_all;
use tidewater_raft::{
    Applied, Group, LogDevice, Membership, MemoryDevice, RaftConfig, RaftNode, RocksDevice, Spools,
};
use tokio::time::Instant;

#[path = "common.rs"]
mod common;

use common::{Null, Silent, Stores};

const GROUP: u64 = 1;
const COMMAND: &[u8] = &[7; 128];

async fn cluster(device: impl Fn(u64) -> Arc<dyn LogDevice>) -> (Stores, Arc<Group>) {
    let stores = Stores::default();
    let membership = Membership::of_voters([(11, 1), (12, 2), (13, 3)]);
    let config = RaftConfig { sleep_after: None, ..RaftConfig::default() };
    for (peer_id, store_id) in membership.members.clone() {
        let transport = Arc::new(stores.clone());
        let node = Arc::new(
            RaftNode::new(store_id, config.clone(), device(store_id), Spools::in_memory(), transport)
                .unwrap(),
        );
        node.create_origin(GROUP).await.unwrap();
        stores.0.write().insert(store_id, node.clone());
        let machine = Box::new(Null(Applied::origin(membership.clone())));
        node.start(GROUP, peer_id, machine, Arc::new(Silent)).await.unwrap();
    }
    loop {
        let nodes: Vec<_> = stores.0.read().values().cloned().collect();
        let groups = nodes.iter().filter_map(|node| node.group(GROUP));
        if let Some(leader) = groups.into_iter().find(|group| group.has_lease()) {
            return (stores, leader);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn propose(group: &Arc<Group>, rounds: u64, at_once: u64) -> Duration {
    let since = Instant::now();
    let proposers = (0..at_once).map(|_| {
        let group = group.clone();
        tokio::spawn(async move {
            for _ in 0..rounds {
                black_box(group.propose(Bytes::from_static(COMMAND)).await.unwrap());
            }
        })
    });
    join_all(proposers.collect::<Vec<_>>()).await.into_iter().for_each(|done| done.unwrap());
    since.elapsed()
}

fn proposals(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let on_disk = |store_id: u64| {
        Arc::new(RocksDevice::open(folder.path().join(store_id.to_string())).unwrap()) as Arc<dyn LogDevice>
    };
    let memory = runtime.block_on(cluster(|_| Arc::new(MemoryDevice::new())));
    let disk = runtime.block_on(cluster(on_disk));
    for (name, (_stores, group)) in [("memory", &memory), ("disk", &disk)] {
        let mut benches = criterion.benchmark_group(name);
        for at_once in [1, 16, 128] {
            benches.throughput(Throughput::Elements(at_once));
            benches.bench_function(format!("{at_once} at once"), |bencher| {
                bencher.iter_custom(|rounds| runtime.block_on(propose(group, rounds, at_once)));
            });
        }
        benches.bench_function("lease check", |bencher| bencher.iter(|| black_box(group.has_lease())));
        benches.finish();
    }
    let stop = async |(stores, _): &(Stores, Arc<Group>)| {
        let nodes: Vec<_> = stores.0.read().values().cloned().collect();
        join_all(nodes.iter().map(|node| node.stop_all())).await;
    };
    runtime.block_on(async {
        stop(&memory).await;
        stop(&disk).await;
    });
}

criterion_group!(benches, proposals);
criterion_main!(benches);
