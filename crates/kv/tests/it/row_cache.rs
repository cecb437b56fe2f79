//! Point reads beside writes on the same keys, from many threads: what was acknowledged is seen, and nobody goes back.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use tidewater_kv::{NodeConfig, RocksEngine};
use tidewater_proto::kvrpcpb;

use crate::support::*;

const KEYS: usize = 4;
const WRITES: u64 = 400;

async fn readers_never_go_back(store: Store) {
    let store = Arc::new(store);
    let clock = Arc::new(AtomicU64::new(10));
    let acknowledged: Arc<Vec<AtomicU64>> = Arc::new((0..KEYS).map(|_| AtomicU64::new(0)).collect());
    let done = Arc::new(AtomicBool::new(false));
    let name = |key: usize| format!("key{key}");
    let writers = (0..KEYS).map(|key| {
        let (store, clock, acknowledged) = (store.clone(), clock.clone(), acknowledged.clone());
        tokio::spawn(async move {
            for number in 1..=WRITES {
                let start_ts = clock.fetch_add(2, Ordering::SeqCst);
                let one_phase = !number.is_multiple_of(3);
                let request = kvrpcpb::PrewriteRequest {
                    mutations: vec![put(&name(key), &number.to_string())],
                    primary_lock: bytes(&name(key)),
                    start_version: start_ts,
                    lock_ttl: 3000,
                    try_one_pc: one_phase,
                    ..Default::default()
                };
                let answer = store.prewrite(request).await;
                assert!(answer.errors.is_empty(), "{:?}", answer.errors);
                if !one_phase {
                    let commit_ts = clock.fetch_add(2, Ordering::SeqCst);
                    assert_eq!(store.commit(&[&name(key)], start_ts, commit_ts).await, None);
                }
                acknowledged[key].store(number, Ordering::SeqCst);
            }
        })
    });
    let readers = (0..2 * KEYS).map(|reader| {
        let (store, acknowledged, done) = (store.clone(), acknowledged.clone(), done.clone());
        tokio::spawn(async move {
            let key = reader % KEYS;
            let mut last = 0;
            while !done.load(Ordering::SeqCst) {
                let at_least = acknowledged[key].load(Ordering::SeqCst).max(last);
                let answer = store.get(&name(key), u64::MAX).await;
                // A lock in the way is an answer, too.
                if answer.error.is_none() {
                    let value = if answer.not_found { 0 } else { text(&answer.value).parse().unwrap() };
                    assert!(value >= at_least, "{value} after {at_least}");
                    last = value;
                }
                tokio::task::yield_now().await;
            }
            last
        })
    });
    let (writers, readers): (Vec<_>, Vec<_>) = (writers.collect(), readers.collect());
    for writer in writers {
        writer.await.unwrap();
    }
    for key in 0..KEYS {
        assert_eq!(store.value(&name(key), u64::MAX).await, Some(WRITES.to_string()));
    }
    done.store(true, Ordering::SeqCst);
    for reader in readers {
        reader.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_never_go_back_in_memory() {
    readers_never_go_back(Store::memory().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_never_go_back_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Arc::new(RocksEngine::open(folder.path()).unwrap());
    readers_never_go_back(Store::open(NodeConfig::default(), engine, Arc::default()).await).await;
}
