//! What a store does all day: point gets, scans, small transactions, raw gets and puts. Ratios against raw RocksDB iterators come from the same run.

#[path = "../tests/it/support.rs"]
mod support;

use std::{hint::black_box, sync::Arc};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use support::{Store, prewrite, raw_client::RawClient};
use tidewater_codec::TimeStamp;
use tidewater_kv::{
    Cf, Engine, IsolationLevel, NodeConfig, PassableLocks, PointGetter, RocksEngine, ScanStep, Scanner,
    ScannerOptions,
};
use tidewater_proto::{StoreRequest, StoreService, kvrpcpb};
use tokio::runtime::Runtime;

const ROWS: u64 = 200_000;
const READ_TS: u64 = 1 << 40;

struct Fixture {
    runtime: Runtime,
    store: Store,
    engine: Arc<RocksEngine>,
    _dir: tempfile::TempDir,
}

fn key(number: u64) -> String {
    format!("t_bench_r{number:010}")
}

fn fixture() -> Fixture {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let dir = tempfile::tempdir().expect("a directory");
    let engine = Arc::new(RocksEngine::open(dir.path()).expect("an engine"));
    let store = runtime.block_on(Store::open(NodeConfig::default(), engine.clone(), Arc::default()));
    let value = "v".repeat(120);
    runtime.block_on(async {
        for start in (0..ROWS).step_by(1000) {
            let keys = (start..start + 1000).map(key).collect::<Vec<_>>();
            let pairs = keys.iter().map(|key| (key.as_str(), value.as_str())).collect::<Vec<_>>();
            store.write(start + 1, &pairs).await;
        }
    });
    engine.compact();
    Fixture { runtime, store, engine, _dir: dir }
}

fn point_get(c: &mut Criterion) {
    let fixture = fixture();
    let mut group = c.benchmark_group("point_get");
    let mut number = 0u64;
    let mut next = || {
        number = (number + 7919) % ROWS;
        key(number)
    };
    let snapshot = fixture.engine.snapshot();
    let passable = PassableLocks::default();
    let read_ts = TimeStamp::new(READ_TS);
    group.bench_function("mvcc", |b| {
        b.iter(|| {
            let mut getter = PointGetter::new(&snapshot, read_ts, IsolationLevel::Snapshot, &passable, true);
            black_box(getter.get(next().as_bytes()).expect("a value"))
        });
    });
    let context = fixture.store.context(b"");
    group.bench_function("node", |b| {
        b.iter(|| {
            let request =
                kvrpcpb::GetRequest { context: Some(context.clone()), key: next().into(), version: READ_TS };
            black_box(
                fixture
                    .runtime
                    .block_on(fixture.store.node.call(StoreRequest::Get(request)))
                    .expect("an answer"),
            )
        });
    });
    group.finish();
}

fn scan(c: &mut Criterion) {
    let fixture = fixture();
    let mut group = c.benchmark_group("scan");
    group.throughput(Throughput::Elements(ROWS));
    group.sample_size(20);
    group.bench_function("raw_rocksdb_iterator", |b| {
        b.iter(|| black_box(fixture.engine.count_entries(Cf::Write, b"z", b"{").expect("entries")));
    });
    let engine: Arc<dyn Engine> = fixture.engine.clone();
    group.bench_function("mvcc", |b| {
        b.iter(|| {
            let options = ScannerOptions {
                read_ts: TimeStamp::new(READ_TS),
                fill_cache: true,
                ..ScannerOptions::default()
            };
            let mut scanner = Scanner::new(&engine.snapshot(), options);
            let (mut rows, mut bytes) = (0u64, 0usize);
            while scanner.next().expect("a row") == ScanStep::Row {
                rows += 1;
                bytes += scanner.key().expect("a key").len() + scanner.value().len();
            }
            assert_eq!(rows, ROWS);
            black_box(bytes)
        });
    });
    group.finish();
}

fn transactions(c: &mut Criterion) {
    let fixture = fixture();
    let mut group = c.benchmark_group("transaction");
    let ts = std::cell::Cell::new(READ_TS);
    let tick = || {
        ts.set(ts.get() + 10);
        ts.get()
    };
    group.bench_function("prewrite_and_commit_of_one_key", |b| {
        b.iter_batched(
            || (tick(), key(tick() % ROWS)),
            |(start_ts, key)| {
                fixture.runtime.block_on(async {
                    fixture.store.prewrite(prewrite(start_ts, &[(&key, "new value")])).await;
                    fixture.store.commit(&[&key], start_ts, start_ts + 5).await
                })
            },
            BatchSize::SmallInput,
        );
    });
    group.bench_function("one_phase_of_one_key", |b| {
        b.iter_batched(
            || (tick(), key(tick() % ROWS)),
            |(start_ts, key)| fixture.runtime.block_on(fixture.store.write(start_ts, &[(&key, "new value")])),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn raw(c: &mut Criterion) {
    let fixture = fixture();
    let client = RawClient::new(&fixture.store, 2);
    let value = "v".repeat(120);
    let names = (0..10_000).map(key).collect::<Vec<_>>();
    for names in names.chunks(1000) {
        let pairs = names.iter().map(|name| (name.as_str(), value.as_str())).collect::<Vec<_>>();
        assert_eq!(fixture.runtime.block_on(client.batch_put(&pairs, &[])), "");
    }
    fixture.engine.compact();
    let context = Some(client.context(""));
    let keys = names.iter().map(|name| client.key(name)).collect::<Vec<_>>();
    let mut number = 0;
    let mut next = || {
        number = (number + 7919) % keys.len();
        keys[number].clone()
    };
    let mut group = c.benchmark_group("raw");
    let call = |request| fixture.runtime.block_on(fixture.store.node.call(request)).expect("an answer");
    group.bench_function("get", |b| {
        b.iter(|| {
            let request =
                kvrpcpb::RawGetRequest { context: context.clone(), key: next(), ..Default::default() };
            black_box(call(StoreRequest::RawGet(request)))
        });
    });
    group.bench_function("put", |b| {
        b.iter(|| {
            let value = value.clone().into();
            let request =
                kvrpcpb::RawPutRequest { context: context.clone(), key: next(), value, ..Default::default() };
            black_box(call(StoreRequest::RawPut(request)))
        });
    });
    group.finish();
}

criterion_group!(benches, point_get, scan, transactions, raw);
criterion_main!(benches);
