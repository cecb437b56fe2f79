//! What a backup costs, against a plain scan of the same keys, which it has to do anyway: `cargo bench -p tidewater-backup`

use std::sync::Arc;

use async_trait::async_trait;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tidewater_backup::{BackupOptions, backup};
use tidewater_codec::{Key, StartTs};
use tidewater_kv::{MemoryEngine, Node, NodeConfig};
use tidewater_pd::{MemoryStorage, PdConfig, PlacementDriver};
use tidewater_proto::{StoreConnector, StoreService, TransportError};
use tidewater_txn::{TxnClient, TxnConfig, TxnOptions};
use tidewater_types::clock::SystemClock;

const ROWS: u64 = 100_000;

struct Direct(Arc<Node>);

#[async_trait]
impl StoreConnector for Direct {
    async fn connect(&self, _: &str) -> Result<Arc<dyn StoreService>, TransportError> {
        Ok(self.0.clone())
    }
}

async fn cluster() -> (TxnClient, Arc<PlacementDriver>) {
    let storage = Arc::new(MemoryStorage::new());
    let pd = PlacementDriver::open(PdConfig::default(), storage, Arc::new(SystemClock)).expect("a driver");
    let engine = Arc::new(MemoryEngine::new());
    let node = Node::open(NodeConfig::default(), engine, pd.clone()).await.expect("a node");
    let client = TxnClient::new(pd.clone(), Arc::new(Direct(node)), TxnConfig::default());
    let mut txn = client.begin(TxnOptions::default()).await.expect("a transaction");
    for index in 0..ROWS {
        txn.put(Key::new(format!("row {index:08}")), vec![index as u8; 100]).expect("it fits");
    }
    txn.commit().await.expect("alone");
    (client, pd)
}

fn files(criterion: &mut Criterion) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads");
    let (client, pd) = runtime.block_on(cluster());
    let mut group = criterion.benchmark_group("100,000 rows");
    group.sample_size(10).throughput(Throughput::Elements(ROWS));
    group.bench_function("scan", |bencher| {
        bencher.iter(|| {
            runtime.block_on(async {
                let at = StartTs(client.current_timestamp().await.expect("now"));
                let everything = Key::new(Vec::new())..Key::new(Vec::new());
                let mut scan = client.snapshot(at).scan(everything).expecting(4096);
                while scan.next_page().await.expect("it reads").is_some() {}
            });
        });
    });
    group.bench_function("backup", |bencher| {
        bencher.iter(|| {
            let folder = tempfile::tempdir().expect("a directory");
            runtime
                .block_on(backup(&client, &*pd, &BackupOptions::new(folder.path()), &|_| ()))
                .expect("a backup");
        });
    });
    group.finish();
}

criterion_group!(benches, files);
criterion_main!(benches);
