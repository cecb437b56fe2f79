use std::time::Duration;

use tidewater_codec::StartTs;
use tidewater_txn::{Isolation, LockOptions, LockWait, Locked, Remedy, Transaction, TxnError};
use tokio::time::Instant;

use crate::cluster::{TestCluster, apply, key, name, on_each_store, read, text, value};

async fn lock(txn: &mut Transaction, names: &str, wait: LockWait) -> Result<Locked, TxnError> {
    let options = LockOptions { wait, return_values: true, ..Default::default() };
    txn.lock_keys(names.split_whitespace().map(key), options).await
}

fn values(locked: &Locked) -> String {
    let show = |value: &Option<bytes::Bytes>| value.as_ref().map_or("-".to_owned(), |value| text(value));
    locked
        .values
        .iter()
        .map(|(key, value)| format!("{}={}", text(key.as_bytes()), show(value)))
        .collect::<Vec<_>>()
        .join(" ")
}

#[tokio::test(start_paused = true)]
async fn locks_return_what_they_guard() {
    on_each_store(|cluster| async move {
        cluster.write("a=1 e=1").await;
        let mut txn = cluster.pessimistic().await;
        let locked = lock(&mut txn, "a c", LockWait::Default).await.unwrap();
        assert_eq!(values(&locked), "a=1 c=-");
        // Held keys are answered, too.
        let locked = lock(&mut txn, "a c e", LockWait::Default).await.unwrap();
        assert_eq!(values(&locked), "a=1 c=- e=1");
        assert_eq!(txn.locks_held(), 3);
        apply(&mut txn, "a=2 f=2");
        txn.commit().await.unwrap();
        assert_eq!(cluster.read("a c e f").await, "a=2 c=- e=1 f=2");
        // Keys locked in vain are free again.
        cluster.write("a=3 c=3 e=3 f=3").await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn only_existing_keys_may_be_locked() {
    on_each_store(|cluster| async move {
        cluster.write("a=1").await;
        let mut txn = cluster.pessimistic().await;
        let options = LockOptions { only_if_exists: true, ..Default::default() };
        txn.lock_keys([key("b"), key("e")], options.clone()).await.unwrap();
        assert_eq!(txn.locks_held(), 0);
        txn.lock_keys([key("a"), key("b")], options).await.unwrap();
        assert_eq!(txn.locks_held(), 1);
        cluster.write("b=1 e=1").await;
        apply(&mut txn, "a=2");
        txn.commit().await.unwrap();
        assert_eq!(cluster.read("a b e").await, "a=2 b=1 e=1");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_lock_is_waited_for() {
    on_each_store(|cluster| async move {
        cluster.write("a=1").await;
        let mut first = cluster.pessimistic().await;
        lock(&mut first, "a", LockWait::Default).await.unwrap();
        let rival = cluster.clone();
        let second = tokio::spawn(async move {
            let mut txn = rival.pessimistic().await;
            let mut retries = 0;
            let locked = loop {
                match lock(&mut txn, "a", LockWait::Default).await {
                    Ok(locked) => break locked,
                    Err(error) => {
                        assert_eq!(error.remedy(), Remedy::RetryStatement, "{error}");
                        txn.refresh_for_update_ts().await.unwrap();
                        retries += 1;
                    }
                }
            };
            assert_eq!(values(&locked), "a=2", "after {retries} retries");
            apply(&mut txn, "a=3");
            txn.commit().await.unwrap();
        });
        tokio::time::sleep(Duration::from_secs(15)).await;
        apply(&mut first, "a=2");
        first.commit().await.unwrap();
        second.await.unwrap();
        assert_eq!(cluster.read("a").await, "a=3");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn waiting_has_limits() {
    on_each_store(|cluster| async move {
        cluster.write("a=1 b=1 e=1").await;
        let mut holder = cluster.pessimistic().await;
        lock(&mut holder, "b e", LockWait::Default).await.unwrap();
        let cases = [
            (LockWait::NoWait, "lock not available", 0..1),
            (LockWait::For(Duration::from_secs(3)), "lock wait timeout", 3..5),
            (LockWait::Default, "lock wait timeout", 50..55),
        ];
        for (wait, expected, seconds) in cases {
            let mut txn = cluster.pessimistic().await;
            let begun = Instant::now();
            assert_eq!(name(&lock(&mut txn, "a b z", wait).await), expected, "{wait:?}");
            assert!(seconds.contains(&begun.elapsed().as_secs()), "{wait:?}: {:?}", begun.elapsed());
            assert_eq!(txn.locks_held(), 0);
            // The key that was free is free again.
            let mut other = cluster.pessimistic().await;
            lock(&mut other, "a z", LockWait::NoWait).await.unwrap();
            other.rollback().await.unwrap();
        }
        let mut txn = cluster.pessimistic().await;
        let locked = lock(&mut txn, "a b c e z", LockWait::SkipLocked).await.unwrap();
        assert_eq!(values(&locked), "a=1 c=- z=-");
        assert_eq!(locked.skipped, [key("b"), key("e")]);
        assert_eq!(txn.locks_held(), 3);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_circle_of_waiters_is_broken() {
    on_each_store(|cluster| async move {
        cluster.write("a=1 e=1").await;
        let work = |first: &'static str, second: &'static str, cluster: TestCluster| async move {
            let mut txn = cluster.pessimistic().await;
            lock(&mut txn, first, LockWait::Default).await.unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
            let result = lock(&mut txn, second, LockWait::Default).await;
            if result.is_err() {
                txn.rollback().await.unwrap();
            } else {
                apply(&mut txn, "a=2 e=2");
                txn.commit().await.unwrap();
            }
            name(&result)
        };
        let begun = Instant::now();
        let one = tokio::spawn(work("a", "e", cluster.clone()));
        let other = tokio::spawn(work("e", "a", cluster.clone()));
        let mut results = [one.await.unwrap(), other.await.unwrap()];
        results.sort_unstable();
        assert_eq!(results, ["deadlock", "ok"]);
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        assert_eq!(cluster.read("a e").await, "a=2 e=2");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_statement_sees_what_it_locks() {
    on_each_store(|cluster| async move {
        cluster.write("a=1").await;
        let mut txn = cluster.pessimistic().await;
        cluster.write("a=2").await;
        let result = lock(&mut txn, "a", LockWait::Default).await;
        assert_eq!(name(&result), "write conflict");
        assert_eq!(result.unwrap_err().remedy(), Remedy::RetryStatement);
        assert_eq!(txn.locks_held(), 0);
        txn.refresh_for_update_ts().await.unwrap();
        assert_eq!(values(&lock(&mut txn, "a", LockWait::Default).await.unwrap()), "a=2");
        assert_eq!(read(&txn, "a").await, "a=1", "plain reads keep the transaction's snapshot");
        assert_eq!(txn.snapshot_for_update().get(&key("a")).await.unwrap().as_deref(), Some(&b"2"[..]));
        apply(&mut txn, "a=3");
        txn.commit().await.unwrap();
        assert_eq!(cluster.read("a").await, "a=3");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn inserts_are_checked_when_locked() {
    on_each_store(|cluster| async move {
        cluster.write("a=1 e=1").await;
        let mut txn = cluster.pessimistic().await;
        let stage = txn.savepoint();
        txn.insert(key("c"), value("2")).unwrap();
        txn.insert(key("e"), value("2")).unwrap();
        assert_eq!(name(&txn.lock_written_since(stage, LockOptions::default()).await), "key exists");
        txn.rollback_to(stage);
        // Locked for another reason first: what the lock saw is remembered.
        lock(&mut txn, "a f", LockWait::Default).await.unwrap();
        let stage = txn.savepoint();
        txn.insert(key("a"), value("2")).unwrap();
        assert_eq!(name(&txn.lock_written_since(stage, LockOptions::default()).await), "key exists");
        txn.rollback_to(stage);
        let stage = txn.savepoint();
        txn.insert(key("f"), value("2")).unwrap();
        txn.insert(key("g"), value("2")).unwrap();
        txn.lock_written_since(stage, LockOptions::default()).await.unwrap();
        txn.release(stage);
        txn.commit().await.unwrap();
        assert_eq!(cluster.read("a c e f g").await, "a=1 c=- e=1 f=2 g=2");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_living_holder_keeps_its_locks_a_dropped_one_does_not() {
    on_each_store(|cluster| async move {
        let mut holder = cluster.pessimistic().await;
        lock(&mut holder, "a e", LockWait::Default).await.unwrap();
        // Far beyond the time to live of a lock.
        tokio::time::sleep(Duration::from_secs(120)).await;
        let mut rival = cluster.pessimistic().await;
        assert_eq!(name(&lock(&mut rival, "e", LockWait::NoWait).await), "lock not available");
        apply(&mut holder, "a=1");
        drop(holder);
        tokio::time::sleep(Duration::from_millis(10)).await;
        lock(&mut rival, "a e", LockWait::NoWait).await.unwrap();
        rival.rollback().await.unwrap();
        assert_eq!(cluster.read("a").await, "a=-");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn abandoned_pessimistic_locks_lapse() {
    on_each_store(|cluster| async move {
        let mut holder = cluster.pessimistic().await;
        lock(&mut holder, "a e", LockWait::Default).await.unwrap();
        // As if its process had died: a forgotten transaction neither beats nor gives back. (The task of its heart is not stopped by this,
        // so the lifetime ends it.)
        std::mem::forget(holder);
        tokio::time::sleep(Duration::from_secs(3_700)).await;
        let mut rival = cluster.pessimistic().await;
        lock(&mut rival, "a e", LockWait::For(Duration::from_secs(1))).await.unwrap();
        rival.rollback().await.unwrap();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn readers_do_not_wait_for_pessimistic_locks_nor_long_for_commits() {
    on_each_store(|cluster| async move {
        cluster.write("a=1 e=1").await;
        let mut holder = cluster.pessimistic().await;
        lock(&mut holder, "a e", LockWait::Default).await.unwrap();
        apply(&mut holder, "a=2 e=2");
        let begun = Instant::now();
        assert_eq!(cluster.read("a e").await, "a=1 e=1");
        let rc = cluster.optimistic().await.snapshot().clone().with_isolation(Isolation::ReadCommitted);
        assert_eq!(rc.get(&key("e")).await.unwrap().as_deref(), Some(&b"1"[..]));
        holder.commit().await.unwrap();
        assert_eq!(cluster.read("a e").await, "a=2 e=2");
        let commit = StartTs(cluster.client.current_timestamp().await.unwrap());
        assert_eq!(cluster.client.snapshot(commit).get(&key("e")).await.unwrap().as_deref(), Some(&b"2"[..]));
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn optimistic_locks_are_checked_at_commit() {
    on_each_store(|cluster| async move {
        cluster.write("a=1 e=1").await;
        let mut txn = cluster.optimistic().await;
        assert_eq!(values(&lock(&mut txn, "a", LockWait::Default).await.unwrap()), "a=1");
        apply(&mut txn, "e=2");
        cluster.write("a=2").await;
        assert_eq!(name(&txn.commit().await), "write conflict");
        assert_eq!(cluster.read("a e").await, "a=2 e=1");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_get_for_update_sees_the_latest_value_and_keeps_it() {
    on_each_store(|cluster| async move {
        cluster.write("a=1 k=1").await;
        let mut txn = cluster.pessimistic().await;
        cluster.write("a=2").await;
        assert_eq!(read(&txn, "a").await, "a=1", "the snapshot is older");
        let found = txn.get_for_update(&key("a")).await.unwrap();
        assert_eq!(found.as_deref(), Some(&b"2"[..]));
        assert_eq!(txn.get_for_update(&key("q")).await.unwrap(), None);
        apply(&mut txn, "k=3");
        assert_eq!(txn.get_for_update(&key("k")).await.unwrap().as_deref(), Some(&b"3"[..]), "its own write");
        let mut rival = cluster.pessimistic().await;
        rival.set_lock_wait_timeout(Duration::from_millis(100));
        assert_eq!(name(&rival.get_for_update(&key("a")).await), "lock wait timeout");
        txn.commit().await.unwrap();

        let mut txn = cluster.optimistic().await;
        assert_eq!(txn.get_for_update(&key("a")).await.unwrap().as_deref(), Some(&b"2"[..]));
        apply(&mut txn, "z=1");
        cluster.write("a=3").await;
        assert_eq!(name(&txn.commit().await), "write conflict");
    })
    .await;
}
