//! Unusual reads: stale ones, through locks, with a check of the timestamp; and what the store tells about itself.

use std::{sync::Arc, time::Duration};

use tidewater_kv::{MemoryEngine, NodeConfig};
use tidewater_proto::{errorpb, kvrpcpb};

use crate::{call, support::*};

/// Reads in every way: one key, some keys, a range from either end. Returns the pairs, or the first error.
async fn read_all(
    store: &Store,
    context: kvrpcpb::Context,
    version: u64,
) -> Vec<Result<Vec<(String, String)>, Box<kvrpcpb::KeyError>>> {
    let keys = ["a", "b", "c", "d"];
    let context = Some(context);
    let mut gets = Vec::new();
    let mut failed = None;
    for key in keys {
        let request = kvrpcpb::GetRequest { context: context.clone(), key: bytes(key), version };
        let answer = call!(store, Get, request);
        assert_eq!(answer.region_error, None);
        match answer.error {
            Some(error) => failed = failed.or(Some(error)),
            None if !answer.not_found => gets.push((key.to_string(), text(&answer.value))),
            None => {}
        }
    }
    let mut results = vec![failed.map_or(Ok(gets), |error| Err(Box::new(error)))];
    let pairs = |pairs: Vec<kvrpcpb::KvPair>, error: Option<kvrpcpb::KeyError>| match error
        .or_else(|| pairs.iter().find_map(|pair| pair.error.clone()))
    {
        Some(error) => Err(Box::new(error)),
        None => Ok(pairs.iter().map(|pair| (text(&pair.key), text(&pair.value))).collect::<Vec<_>>()),
    };
    let keys = keys.iter().map(|key| bytes(key)).collect();
    let answer = call!(store, BatchGet, kvrpcpb::BatchGetRequest { context: context.clone(), keys, version });
    results.push(pairs(answer.pairs, answer.error));
    for reverse in [false, true] {
        let request = kvrpcpb::ScanRequest {
            context: context.clone(),
            limit: 100,
            version,
            reverse,
            ..Default::default()
        };
        let answer = call!(store, Scan, request);
        results.push(pairs(answer.pairs, answer.error).map(|mut pairs| {
            pairs.sort();
            pairs
        }));
    }
    results
}

#[tokio::test]
async fn locks_of_committed_transactions_are_read_through() {
    let store = Store::memory().await;
    let long = "x".repeat(300);
    store.write(10, &[("a", "old"), ("b", "old"), ("c", "old")]).await;
    let mut request = prewrite(20, &[("a", "new"), ("b", ""), ("d", &long)]);
    request.mutations[1] = mutation(kvrpcpb::Op::Del, "b", "");
    assert_eq!(store.prewrite(request).await.errors, []);
    let expect = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect::<Vec<_>>()
    };
    let plain = store.context(b"a");
    for result in read_all(&store, plain.clone(), 100).await {
        assert_eq!(result.unwrap_err().locked.unwrap().lock_version, 20);
    }
    let through = kvrpcpb::Context { committed_locks: vec![20], ..plain.clone() };
    for result in read_all(&store, through.clone(), 100).await {
        assert_eq!(result.unwrap(), expect(&[("a", "new"), ("c", "old"), ("d", &long)]));
    }
    // Before the transaction began it had committed nothing.
    for result in read_all(&store, through, 19).await {
        assert_eq!(result.unwrap(), expect(&[("a", "old"), ("b", "old"), ("c", "old")]));
    }
    let past = kvrpcpb::Context { resolved_locks: vec![20], ..plain };
    for result in read_all(&store, past, 100).await {
        assert_eq!(result.unwrap(), expect(&[("a", "old"), ("b", "old"), ("c", "old")]));
    }
}

#[tokio::test]
async fn a_read_that_checks_its_timestamp_meets_what_is_newer() {
    let store = Store::memory().await;
    store.write(10, &[("a", "1"), ("b", "2")]).await;
    // Many versions, so that cursors would seek past the newer ones.
    for start_ts in (1000..1020).step_by(2) {
        store.write(start_ts, &[("c", "hot")]).await;
    }
    let mut context = store.context(b"a");
    context.set_isolation_level(kvrpcpb::IsolationLevel::RcCheckTs);
    for result in read_all(&store, context.clone(), 1 << 30).await {
        assert_eq!(result.unwrap().len(), 3);
    }
    for version in [500, 1010] {
        for result in read_all(&store, context.clone(), version).await {
            let conflict = result.unwrap_err().conflict.unwrap();
            assert_eq!(conflict.reason(), kvrpcpb::write_conflict::Reason::RcCheckTs);
            assert_eq!((text(&conflict.key).as_str(), conflict.start_ts), ("c", version));
            assert!(conflict.conflict_commit_ts > version);
        }
    }
    // A lock may become a newer version.
    store.prewrite(prewrite(1 << 31, &[("d", "x")])).await;
    for result in read_all(&store, context, 1 << 30).await {
        let conflict = result.unwrap_err().conflict.unwrap();
        assert_eq!((conflict.conflict_ts, conflict.conflict_commit_ts), (1 << 31, 0));
    }
}

fn stale(store: &Store) -> kvrpcpb::Context {
    kvrpcpb::Context { stale_read: true, ..store.context(b"a") }
}

async fn stale_get(store: &Store, version: u64) -> Result<Option<String>, errorpb::Error> {
    let request = kvrpcpb::GetRequest { context: Some(stale(store)), key: bytes("a"), version };
    let answer = call!(store, Get, request);
    assert_eq!(answer.error, None);
    match answer.region_error {
        Some(error) => Err(error),
        None => Ok((!answer.not_found).then(|| text(&answer.value))),
    }
}

#[tokio::test(start_paused = true)]
async fn stale_reads_are_served_below_the_oldest_lock() {
    let store = Store::open(NodeConfig::default(), Arc::new(MemoryEngine::new()), Arc::default()).await;
    store.pd.set_ts(at_ms(100));
    let commit_ts = store.write(at_ms(10), &[("a", "old")]).await;
    store.prewrite(prewrite(at_ms(50), &[("a", "new")])).await;
    assert_eq!(stale_get(&store, commit_ts).await, Ok(Some("old".into())));
    let oldest = at_ms(50);
    assert_eq!(stale_get(&store, oldest - 1).await, Ok(Some("old".into())));
    let error = stale_get(&store, oldest).await.unwrap_err().data_is_not_ready.unwrap();
    assert_eq!((error.safe_ts, error.region_id), (oldest - 1, store.context(b"a").region_id));
    for result in read_all(&store, stale(&store), oldest - 1).await {
        assert_eq!(result.unwrap(), [("a".to_string(), "old".to_string())]);
    }
    // The lock goes; some time later the timestamp follows.
    assert_eq!(store.commit(&["a"], at_ms(50), at_ms(60)).await, None);
    assert!(stale_get(&store, at_ms(60)).await.is_err(), "that would be asked again in a moment");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(stale_get(&store, at_ms(60)).await, Ok(Some("new".into())));
    assert!(stale_get(&store, at_ms(1000)).await.is_err(), "the future is not known");
    let safe_ts = call!(store, StoreSafeTs, kvrpcpb::StoreSafeTsRequest::default()).safe_ts;
    assert!((at_ms(100)..at_ms(101)).contains(&safe_ts), "{safe_ts}");
    // What commits from now on at this store's own timestamp commits above.
    assert!(store.write(at_ms(70), &[("a", "newest")]).await > safe_ts);
    assert_eq!(stale_get(&store, safe_ts).await, Ok(Some("new".into())));
}

#[tokio::test]
async fn the_history_of_a_key_is_told() {
    let store = Store::memory().await;
    let long = "x".repeat(300);
    store.prewrite(prewrite(10, &[("k", &long)])).await;
    store.commit(&["k"], 10, 15).await;
    store.prewrite(prewrite(20, &[("k", "short")])).await;
    store.commit(&["k"], 20, 25).await;
    store.rollback(&["k"], 30).await;
    let asynchronous = kvrpcpb::PrewriteRequest {
        use_async_commit: true,
        secondaries: vec![bytes("other")],
        ..prewrite(40, &[("k", "next")])
    };
    store.prewrite(asynchronous).await;
    store.write(50, &[("kk", "a neighbor")]).await;
    let request = kvrpcpb::MvccGetByKeyRequest { context: Some(store.context(b"k")), key: bytes("k") };
    let info = call!(store, MvccGetByKey, request).info.unwrap();
    let writes = info.writes.iter().map(|write| (write.r#type(), write.start_ts, write.commit_ts));
    assert_eq!(
        writes.collect::<Vec<_>>(),
        [(kvrpcpb::Op::Rollback, 30, 30), (kvrpcpb::Op::Put, 20, 25), (kvrpcpb::Op::Put, 10, 15)]
    );
    assert_eq!(info.writes[1].short_value, bytes("short"));
    assert_eq!(info.values, [kvrpcpb::MvccValue { start_ts: 10, value: bytes(&long) }]);
    let lock = info.lock.unwrap();
    assert_eq!((lock.r#type(), lock.start_ts, lock.ttl), (kvrpcpb::Op::Put, 40, 3000));
    assert_eq!((lock.use_async_commit, lock.secondaries), (true, vec![bytes("other")]));
    store.lock(lock_of("p")).await;
    let request = kvrpcpb::MvccGetByKeyRequest { context: Some(store.context(b"p")), key: bytes("p") };
    let lock = call!(store, MvccGetByKey, request).info.unwrap().lock.unwrap();
    assert_eq!(lock.r#type(), kvrpcpb::Op::PessimisticLock, "those in memory count, too");
}

fn lock_of(key: &str) -> kvrpcpb::PessimisticLockRequest {
    lock(60, 60, &[key])
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_whom_is_told() {
    let store = Arc::new(Store::memory().await);
    store.lock(lock(10, 10, &["k"])).await;
    let waiting = store.clone();
    let waiter = tokio::spawn(async move {
        let request = kvrpcpb::PessimisticLockRequest { wait_timeout: 900, ..lock(20, 20, &["k"]) };
        waiting.lock(request).await
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let entries = call!(store, GetLockWaitInfo, kvrpcpb::GetLockWaitInfoRequest::default()).entries;
    let entries =
        entries.iter().map(|entry| (entry.txn, entry.wait_for_txn, text(&entry.key), entry.wait_time));
    assert_eq!(entries.collect::<Vec<_>>(), [(20, 10, "k".to_string(), 300)]);
    waiter.await.unwrap();
    assert_eq!(call!(store, GetLockWaitInfo, kvrpcpb::GetLockWaitInfoRequest::default()).entries, []);
}
