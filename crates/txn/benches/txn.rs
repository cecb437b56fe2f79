//! What do the short ways cost on the client, and what the buffer?

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use tidewater_codec::Key;
use tidewater_kv::{MemoryEngine, Node, NodeConfig};
use tidewater_pd::{MemoryStorage, PdConfig, PlacementDriver};
use tidewater_proto::{PdService, StoreConnector, StoreService, TransportError};
use tidewater_txn::{AsyncCommit, Locking, Snapshot, TxnClient, TxnConfig, TxnKind, TxnOptions, WriteBuffer};
use tidewater_types::clock::SystemClock;
use tokio::runtime::Runtime;

struct Direct(Arc<dyn StoreService>);

#[async_trait]
impl StoreConnector for Direct {
    async fn connect(&self, _: &str) -> Result<Arc<dyn StoreService>, TransportError> {
        Ok(self.0.clone())
    }
}

fn key(index: u64) -> Key {
    Key::new([b"t\x80\0\0\0\0\0\0\x01_r".as_slice(), &index.to_be_bytes()].concat())
}

fn client(runtime: &Runtime, regions: u64) -> TxnClient {
    configured_client(runtime, regions, TxnConfig::default())
}

fn configured_client(runtime: &Runtime, regions: u64, config: TxnConfig) -> TxnClient {
    runtime.block_on(async {
        let pd =
            PlacementDriver::open(PdConfig::default(), Arc::new(MemoryStorage::new()), Arc::new(SystemClock))
                .expect("a driver");
        let pd: Arc<dyn PdService> = pd;
        let node = Node::open(NodeConfig::default(), Arc::new(MemoryEngine::new()), pd.clone())
            .await
            .expect("a node");
        let client = TxnClient::new(pd, Arc::new(Direct(node)), config);
        client.split_regions((1..regions).map(|index| key(index * 1_000))).await.expect("regions");
        client
    })
}

fn region_of_a_key(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let client = client(&runtime, 1_000);
    let keys: Vec<_> = (0..1_000).map(|index| key(index * 997 % 1_000 * 1_000 + 5)).collect();
    for key in &keys {
        runtime.block_on(client.locate(key)).expect("a region");
    }
    c.bench_function("region_of_1000_keys_among_1000", |b| {
        b.iter(|| {
            runtime.block_on(async {
                for key in &keys {
                    std::hint::black_box(client.locate(key).await.expect("a region"));
                }
            });
        });
    });
}

fn short_ways(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let client = client(&runtime, 1);
    let write = |client: &TxnClient, index: u64| {
        let client = client.clone();
        async move {
            let mut txn = client
                .begin(TxnOptions { kind: TxnKind::Optimistic, ..Default::default() })
                .await
                .expect("a start");
            txn.put(key(index), vec![7; 100]).expect("room");
            txn.commit().await.expect("no rival")
        }
    };
    for index in 0..1_000 {
        runtime.block_on(write(&client, index));
    }
    let mut index = 0;
    c.bench_function("autocommit_point_get", |b| {
        b.iter(|| {
            index = (index + 7) % 1_000;
            runtime.block_on(client.snapshot(Snapshot::LATEST).get(&key(index))).expect("a value")
        });
    });
    c.bench_function("autocommit_point_update", |b| {
        b.iter(|| {
            index = (index + 7) % 1_000;
            runtime.block_on(write(&client, index))
        });
    });
}

/// The same four rows: in one region, in four, and in four by two phases.
fn ways_to_commit(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let two_phases = TxnConfig { async_commit: AsyncCommit::Never, ..Default::default() };
    let mut group = c.benchmark_group("commit_of_4_rows");
    for (name, regions, config) in [
        ("one_phase", 1, TxnConfig::default()),
        ("async", 4, TxnConfig::default()),
        ("two_phases", 4, two_phases),
    ] {
        let client = configured_client(&runtime, regions, config);
        let mut index = 0;
        group.bench_function(name, |b| {
            b.iter(|| {
                index = (index + 1) % 1_000;
                runtime.block_on(async {
                    let options = TxnOptions { kind: TxnKind::Optimistic, ..Default::default() };
                    let mut txn = client.begin(options).await.expect("a start");
                    for region in 0..4 {
                        txn.put(key(region * 1_000 + index), vec![7; 100]).expect("room");
                    }
                    txn.commit().await.expect("no rival")
                })
            });
        });
    }
}

fn buffer(c: &mut Criterion) {
    let keys: Vec<_> =
        (0..10_000u64).map(|index| Bytes::from(key(index * 7_919 % 10_000).into_bytes())).collect();
    let value = Bytes::from(vec![7; 100]);
    let fill = |staged: bool| {
        let mut buffer = WriteBuffer::new();
        let stage = staged.then(|| buffer.stage());
        for key in &keys {
            buffer.put(key.clone(), value.clone(), Locking::WithStatement);
        }
        (buffer, stage)
    };
    let mut group = c.benchmark_group("buffer_10000_keys");
    group.throughput(Throughput::Elements(10_000));
    group.bench_function("put", |b| b.iter(|| fill(false)));
    group.bench_function("put_in_a_statement", |b| b.iter(|| fill(true)));
    group.bench_function("get", |b| {
        let (buffer, _) = fill(false);
        b.iter(|| keys.iter().filter(|key| buffer.get(key).is_some()).count());
    });
    group.bench_function("roll_a_statement_back", |b| {
        b.iter_batched(
            || fill(true),
            |(mut buffer, stage)| stage.map(|stage| buffer.rollback_to(stage)),
            BatchSize::LargeInput,
        );
    });
}

criterion_group!(benches, region_of_a_key, short_ways, ways_to_commit, buffer);
criterion_main!(benches);
