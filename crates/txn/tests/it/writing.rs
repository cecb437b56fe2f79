use std::sync::Arc;
use std::time::Duration;

use tidewater_codec::{CommitTs, StartTs};
use tidewater_txn::{OnePhaseCommit, TxnConfig, TxnError};

use crate::cluster::{StoreKind, TestCluster, apply, key, name, on_each_store, pairs, read, value};

#[tokio::test(start_paused = true)]
async fn a_transaction_reads_its_own_writes() {
    on_each_store(|cluster| async move {
        cluster.write("a=1 c=1 e=1 g=1").await;
        for mut txn in [cluster.optimistic().await, cluster.pessimistic().await] {
            apply(&mut txn, "b=2 c=2 e=- h=2");
            let stage = txn.savepoint();
            apply(&mut txn, "a=3 g=- i=3");
            assert_eq!(read(&txn, "a b c d e g h i").await, "a=3 b=2 c=2 d=- e=- g=- h=2 i=3");
            txn.rollback_to(stage);
            assert_eq!(read(&txn, "a g i").await, "a=1 g=1 i=-");
            assert_eq!(pairs(txn.scan(key("")..key("")).collect(9).await.unwrap()), "a=1 b=2 c=2 g=1 h=2");
            assert_eq!(pairs(txn.scan_reverse(key("b")..key("h")).collect(9).await.unwrap()), "g=1 c=2 b=2");
            assert_eq!(txn.batch_get(&["a", "b", "e", "g"].map(key)).await.unwrap().len(), 3);
            txn.rollback().await.unwrap();
        }
        assert_eq!(cluster.read("a b c e g").await, "a=1 b=- c=1 e=1 g=1");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn commits_are_seen_from_their_timestamp_on() {
    for one_phase_commit in [OnePhaseCommit::WhenPossible, OnePhaseCommit::Never] {
        for kind in [StoreKind::Fake, StoreKind::Real] {
            let cluster =
                TestCluster::start(kind, TxnConfig { one_phase_commit, ..Default::default() }).await;
            let before = StartTs(cluster.client.current_timestamp().await.unwrap());
            let mut txn = cluster.optimistic().await;
            apply(&mut txn, "a=1 b=1");
            let commit = txn.commit().await.unwrap();
            assert!(commit.0 > txn.start_ts().0);
            assert!(commit.0 <= cluster.client.current_timestamp().await.unwrap());
            assert_eq!(cluster.client.snapshot(before).get(&key("a")).await.unwrap(), None);
            assert!(cluster.client.snapshot(StartTs(commit.0)).get(&key("a")).await.unwrap().is_some());
            assert!(
                cluster.client.snapshot(StartTs(commit.0.prev())).get(&key("a")).await.unwrap().is_none()
            );
            assert_eq!(name(&txn.commit().await), "finished");
            assert_eq!(name(&txn.rollback().await), "finished");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_committer_wins() {
    on_each_store(|cluster| async move {
        cluster.write("a=1 d=1").await;
        let mut first = cluster.optimistic().await;
        let mut second = cluster.optimistic().await;
        apply(&mut first, "a=first");
        apply(&mut second, "a=second d=second y=second");
        first.commit().await.unwrap();
        assert_eq!(name(&second.commit().await), "write conflict");
        assert_eq!(cluster.read("a d y").await, "a=first d=1 y=-");
        // Nothing of the loser is in the way.
        cluster.write("d=2 y=2").await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn inserts_of_existing_keys_fail() {
    on_each_store(|cluster| async move {
        cluster.write("a=1 z=1").await;
        let mut txn = cluster.optimistic().await;
        txn.insert(key("b"), value("2")).unwrap();
        txn.insert(key("a"), value("2")).unwrap();
        let result = txn.commit().await;
        assert!(
            matches!(&result, Err(TxnError::KeyExists { key: found }) if *found == key("a")),
            "{result:?}"
        );
        let mut txn = cluster.optimistic().await;
        txn.delete(key("a")).unwrap();
        txn.insert(key("a"), value("3")).unwrap();
        txn.insert(key("b"), value("3")).unwrap();
        txn.commit().await.unwrap();
        // Inserted and deleted by the same transaction: still a claim that the key did not exist.
        let mut txn = cluster.optimistic().await;
        txn.insert(key("z"), value("4")).unwrap();
        txn.delete(key("z")).unwrap();
        apply(&mut txn, "a=4");
        assert_eq!(name(&txn.commit().await), "key exists");
        assert_eq!(cluster.read("a b z").await, "a=3 b=3 z=1");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn large_transactions_take_many_requests() {
    let config = TxnConfig { request_bytes_max: 200, request_keys_max: 7, ..Default::default() };
    for kind in [StoreKind::Fake, StoreKind::Real] {
        let cluster = TestCluster::start(kind, config.clone()).await;
        cluster.split_at(&["k050", "k051", "k120"]).await;
        let mut txn = cluster.optimistic().await;
        for i in 0..200 {
            txn.put(key(&format!("k{i:03}")), value(&"v".repeat(i))).unwrap();
        }
        txn.commit().await.unwrap();
        let snapshot = cluster.client.snapshot(StartTs(cluster.client.current_timestamp().await.unwrap()));
        let all = snapshot.scan(key("k")..key("l")).collect(1_000).await.unwrap();
        assert_eq!(
            all.iter().map(|(_, value)| value.len()).collect::<Vec<_>>(),
            (0..200).collect::<Vec<_>>()
        );
        let keys: Vec<_> = (0..200).map(|i| key(&format!("k{i:03}"))).collect();
        assert_eq!(snapshot.batch_get(&keys).await.unwrap().len(), 200);
    }
}

#[tokio::test(start_paused = true)]
async fn limits_have_names() {
    let config = TxnConfig { txn_bytes_max: 100, entry_bytes_max: 50, ..Default::default() };
    let cluster = TestCluster::start(StoreKind::Fake, config).await;
    let mut txn = cluster.optimistic().await;
    assert_eq!(name(&txn.put(key("a"), value(&"v".repeat(50)))), "entry too large");
    txn.put(key("a"), value(&"v".repeat(49))).unwrap();
    txn.put(key("b"), value(&"v".repeat(40))).unwrap();
    assert_eq!(name(&txn.put(key("c"), value(&"v".repeat(40)))), "too large");
    txn.commit().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_refused_commit_leaves_nothing() {
    on_each_store(|cluster| async move {
        for writes in ["a=1", "a=1 e=1 z=1"] {
            let mut txn = cluster.pessimistic().await;
            apply(&mut txn, writes);
            txn.lock_keys([key("a")], Default::default()).await.unwrap();
            txn.set_commit_gate(Arc::new(|_: CommitTs| Err("the schema has changed".to_owned())));
            assert_eq!(name(&txn.commit().await), "refused");
            assert_eq!(cluster.read("a e z").await, "a=- e=- z=-");
        }
        let begun = tokio::time::Instant::now();
        cluster.write("a=2 e=2 z=2").await;
        assert!(begun.elapsed() < Duration::from_secs(1), "no lock is left to wait for");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_locks_of_the_dead_are_settled() {
    // A client that stops after its first phase, by a check that never returns an answer in time: its locks lapse.
    for kind in [StoreKind::Fake, StoreKind::Real] {
        let cluster = TestCluster::start(kind, TxnConfig::default()).await;
        cluster.split_at(&["c", "m"]).await;
        cluster.write("a=1 d=1 n=1").await;
        let mut txn = cluster.optimistic().await;
        apply(&mut txn, "a=2 d=2 n=2");
        // The whole runtime of that client ends: nobody is left to clean up.
        let stopped = Arc::new(tokio::sync::Notify::new());
        let told = stopped.clone();
        txn.set_commit_gate(Arc::new(move |_: CommitTs| -> Result<(), String> {
            told.notify_one();
            panic!("the client dies here");
        }));
        let dead = tokio::spawn(async move {
            let result = txn.commit().await;
            drop(result);
        });
        stopped.notified().await;
        assert!(dead.await.unwrap_err().is_panic());
        let begun = tokio::time::Instant::now();
        assert_eq!(cluster.read("n d a").await, "n=1 d=1 a=1");
        cluster.write("a=3 d=3 n=3").await;
        assert_eq!(cluster.read("n d a").await, "n=3 d=3 a=3");
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn old_locks_are_settled_by_garbage_collection() {
    on_each_store(|cluster| async move {
        cluster.write("a=1 e=1").await;
        let mut holder = cluster.pessimistic().await;
        apply(&mut holder, "a=2 e=2");
        holder.lock_keys([key("a"), key("e")], Default::default()).await.unwrap();
        std::mem::forget(holder);
        let now = StartTs(cluster.client.current_timestamp().await.unwrap());
        assert_eq!(cluster.client.collect_garbage(now).await.unwrap(), now);
        let begun = tokio::time::Instant::now();
        cluster.write("a=3 e=3").await;
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    })
    .await;
}
