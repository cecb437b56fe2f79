//! Waiting for pessimistic locks, deadlocks, latches. Time is tokio's paused clock.

use std::{sync::Arc, time::Duration};

use tidewater_proto::kvrpcpb;
use tokio::time::Instant;

use crate::support::*;

fn waiting(
    start_ts: u64,
    for_update_ts: u64,
    keys: &[&str],
    wait_timeout: i64,
) -> kvrpcpb::PessimisticLockRequest {
    kvrpcpb::PessimisticLockRequest { wait_timeout, ..lock(start_ts, for_update_ts, keys) }
}

async fn store() -> Arc<Store> {
    Arc::new(Store::memory().await)
}

/// Starts a lock request and lets it run until it waits.
async fn start(
    store: &Arc<Store>,
    request: kvrpcpb::PessimisticLockRequest,
) -> tokio::task::JoinHandle<kvrpcpb::PessimisticLockResponse> {
    let waiting_before = store.node.lock_wait_count();
    let store_of_task = store.clone();
    let task = tokio::spawn(async move { store_of_task.lock(request).await });
    while !task.is_finished() && store.node.lock_wait_count() == waiting_before {
        tokio::task::yield_now().await;
    }
    task
}

#[tokio::test(start_paused = true)]
async fn a_waiter_gets_the_lock_when_it_is_given_up() {
    let store = store().await;
    store.lock(lock(10, 10, &["k"])).await;
    let waiter = start(&store, waiting(20, 20, &["k"], 1000)).await;
    assert_eq!(store.node.lock_wait_count(), 1);
    let before = Instant::now();
    store.unlock(&["k"], 10, 10).await;
    assert_eq!(waiter.await.unwrap().errors, []);
    assert_eq!(before.elapsed(), Duration::ZERO, "woken, not timed out");
    assert_eq!(store.node.lock_wait_count(), 0);
    assert_eq!(store.lock(lock(30, 30, &["k"])).await.errors[0].locked.as_ref().unwrap().lock_version, 20);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_meets_the_conflict_of_a_commit() {
    let store = store().await;
    store.lock(lock(10, 10, &["k"])).await;
    let waiter = start(&store, waiting(20, 20, &["k"], 0)).await;
    let request = kvrpcpb::PrewriteRequest {
        pessimistic_actions: vec![1],
        for_update_ts: 10,
        ..prewrite(10, &[("k", "v")])
    };
    assert_eq!(store.prewrite(request).await.errors, []);
    assert!(!waiter.is_finished(), "the prewritten lock is waited for, too");
    assert_eq!(store.commit(&["k"], 10, 25).await, None);
    let conflict = waiter.await.unwrap().errors[0].conflict.clone().unwrap();
    assert_eq!(
        (conflict.conflict_commit_ts, conflict.reason()),
        (25, kvrpcpb::write_conflict::Reason::PessimisticRetry)
    );
    // The same with a one-phase commit.
    store.lock(lock(30, 30, &["k"])).await;
    let waiter = start(&store, waiting(40, 1 << 40, &["k"], 0)).await;
    let request = kvrpcpb::PrewriteRequest {
        pessimistic_actions: vec![1],
        for_update_ts: 30,
        try_one_pc: true,
        ..prewrite(30, &[("k", "w")])
    };
    assert!(store.prewrite(request).await.one_pc_commit_ts > 30);
    assert_eq!(waiter.await.unwrap().errors, []);
}

#[tokio::test(start_paused = true)]
async fn waiting_ends_in_time() {
    let store = store().await;
    store.lock(lock(10, 10, &["k"])).await;
    for (wait_timeout, expected) in [(-1, 0), (300, 300), (0, 1000), (60_000, 1000)] {
        let before = Instant::now();
        let answer = store.lock(waiting(20, 20, &["k"], wait_timeout)).await;
        assert_eq!(answer.errors[0].locked.as_ref().unwrap().lock_version, 10);
        assert!(
            (expected..expected + 2).contains(&(before.elapsed().as_millis() as u64)),
            "asked for {wait_timeout} ms"
        );
    }
    assert_eq!(store.node.lock_wait_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_oldest_transaction_comes_first_and_all_get_their_turn() {
    let store = store().await;
    store.lock(lock(10, 10, &["k"])).await;
    let mut tasks = Vec::new();
    for start_ts in [50, 30, 40, 20] {
        tasks.push((start_ts, start(&store, waiting(start_ts, 100, &["k"], 0)).await));
    }
    tasks.sort_by_key(|(start_ts, _)| *start_ts);
    let mut holder = 10;
    for (start_ts, task) in tasks {
        store.unlock(&["k"], holder, 100).await;
        assert_eq!(task.await.unwrap().errors, [], "{start_ts}");
        holder = start_ts;
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_hangs_up_leaves_the_queue() {
    let store = store().await;
    store.lock(lock(10, 10, &["k"])).await;
    let first = start(&store, waiting(20, 20, &["k"], 0)).await;
    let second = start(&store, waiting(30, 30, &["k"], 0)).await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    assert_eq!(store.node.lock_wait_count(), 1);
    store.unlock(&["k"], 10, 10).await;
    assert_eq!(second.await.unwrap().errors, []);
}

#[tokio::test(start_paused = true)]
async fn a_circle_of_two_is_a_deadlock() {
    let store = store().await;
    store.lock(lock(10, 10, &["a"])).await;
    store.lock(lock(20, 20, &["b"])).await;
    let waiter = start(&store, waiting(10, 10, &["b"], 0)).await;
    let before = Instant::now();
    let deadlock = store.lock(waiting(20, 20, &["a"], 0)).await.errors[0].deadlock.clone().unwrap();
    assert_eq!(before.elapsed(), Duration::ZERO);
    assert_eq!((deadlock.lock_ts, deadlock.lock_key, deadlock.deadlock_key), (10, bytes("a"), bytes("b")));
    let chain = deadlock
        .wait_chain
        .iter()
        .map(|edge| (edge.txn, edge.wait_for_txn, text(&edge.key)))
        .collect::<Vec<_>>();
    assert_eq!(chain, [(10, 20, "b".to_string()), (20, 10, "a".to_string())]);
    store.unlock(&["b"], 20, 20).await;
    assert_eq!(waiter.await.unwrap().errors, [], "the other one goes on");
}

#[tokio::test(start_paused = true)]
async fn a_circle_of_three_is_a_deadlock() {
    let store = store().await;
    for (start_ts, key) in [(10, "a"), (20, "b"), (30, "c")] {
        store.lock(lock(start_ts, start_ts, &[key])).await;
    }
    let _one = start(&store, waiting(10, 10, &["b"], 0)).await;
    let _two = start(&store, waiting(20, 20, &["c"], 0)).await;
    let deadlock = store.lock(waiting(30, 30, &["a"], 0)).await.errors[0].deadlock.clone().unwrap();
    assert_eq!(deadlock.wait_chain.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_circle_closed_by_a_change_of_hands_is_a_deadlock() {
    let store = store().await;
    store.lock(lock(1, 1, &["k"])).await;
    store.lock(lock(30, 30, &["other"])).await;
    // 30 waits for k behind 20, and 20 will wait for what 30 holds.
    let old = start(&store, waiting(20, 100, &["k"], 0)).await;
    let young = start(&store, waiting(30, 100, &["k"], 0)).await;
    store.unlock(&["k"], 1, 1).await;
    assert_eq!(old.await.unwrap().errors, []);
    let deadlock = store.lock(waiting(20, 100, &["other"], 0)).await.errors[0].deadlock.clone();
    assert!(deadlock.is_some(), "30 waits for 20 since that has the lock");
    store.unlock(&["k"], 20, 100).await;
    assert_eq!(young.await.unwrap().errors, []);
}

/// Increments of one counter from many tasks: every one counts, none waits for ever.
#[tokio::test]
async fn increments_of_a_hot_row_all_count() {
    const TASKS: u64 = 16;
    const ROUNDS: u64 = 20;
    let store = store().await;
    let clock = Arc::new(std::sync::atomic::AtomicU64::new(at_ms(1)));
    let mut tasks = Vec::new();
    for _ in 0..TASKS {
        let (store, clock) = (store.clone(), clock.clone());
        tasks.push(tokio::spawn(async move {
            let tick = || clock.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            for _ in 0..ROUNDS {
                let start_ts = tick();
                let value = loop {
                    let for_update_ts = tick();
                    let request = kvrpcpb::PessimisticLockRequest {
                        return_values: true,
                        ..waiting(start_ts, for_update_ts, &["counter"], 0)
                    };
                    let answer = store.lock(request).await;
                    match answer.errors.first() {
                        None => break (text(&answer.values[0]).parse().unwrap_or(0u64), for_update_ts),
                        Some(error) => assert!(error.conflict.is_some(), "{error:?}"),
                    }
                };
                let text = (value.0 + 1).to_string();
                let request = kvrpcpb::PrewriteRequest {
                    pessimistic_actions: vec![1],
                    for_update_ts: value.1,
                    ..prewrite(start_ts, &[("counter", &text)])
                };
                assert_eq!(store.prewrite(request).await.errors, []);
                assert_eq!(store.commit(&["counter"], start_ts, tick()).await, None);
                tokio::task::yield_now().await;
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(store.value("counter", u64::MAX).await, Some((TASKS * ROUNDS).to_string()));
    assert_eq!(store.node.lock_wait_count(), 0);
}
