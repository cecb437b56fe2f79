//! What a client says, and what it leaves behind, when the network fails it.

use std::sync::Arc;
use std::time::Duration;

use tidewater_txn::fault::{Faults, FaultyConnector};
use tidewater_txn::{AsyncCommit, TxnClient, TxnConfig, TxnKind, TxnOptions};
use tokio::time::Instant;

use crate::cluster::{StoreKind, TestCluster, apply, name};

pub fn behind(cluster: &TestCluster, faults: Faults, config: TxnConfig) -> TxnClient {
    let network = FaultyConnector::new(cluster.connector.clone(), faults, 1);
    TxnClient::new(cluster.pd.clone(), Arc::new(network), config)
}

pub fn no_faults() -> Faults {
    Faults {
        delay_ms: 0..=0,
        lose_request: 0.0,
        lose_answer: 0.0,
        duplicate: 0.0,
        overtaken: 0.0,
        region_error: 0.0,
        ..Default::default()
    }
}

pub fn optimistic() -> TxnOptions {
    TxnOptions { kind: TxnKind::Optimistic, ..Default::default() }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_outcome_is_called_unknown() {
    let (answers, requests) =
        (Faults { lose_answer: 1.0, ..no_faults() }, Faults { lose_request: 1.0, ..no_faults() });
    let (two_phases, any) = (AsyncCommit::Never, AsyncCommit::WhenPossible);
    let cases = [
        // One phase: the lost message may have been the request or the answer, and only the latter committed.
        (&answers, any, "a=1 b=1", "undetermined", "a=1 b=1 z=-"),
        (&requests, any, "a=1 b=1", "undetermined", "a=- b=- z=-"),
        // Async commit: likewise, for every request may be the last that was missing.
        (&answers, any, "a=1 z=1", "undetermined", "a=1 b=- z=1"),
        (&requests, any, "a=1 z=1", "undetermined", "a=- b=- z=-"),
        // Two phases: nothing can be committed before the first has been answered.
        (&answers, two_phases, "a=1 z=1", "unavailable", "a=- b=- z=-"),
        (&requests, two_phases, "a=1 z=1", "unavailable", "a=- b=- z=-"),
    ];
    for kind in [StoreKind::Fake, StoreKind::Real] {
        for (faults, async_commit, writes, expected, left) in cases {
            let cluster = TestCluster::start(kind, TxnConfig::default()).await;
            cluster.split_at(&["m"]).await;
            let config = TxnConfig { async_commit, ..Default::default() };
            let mut txn = behind(&cluster, faults.clone(), config).begin(optimistic()).await.unwrap();
            apply(&mut txn, writes);
            assert_eq!(name(&txn.commit().await), expected, "{kind:?}: {writes} with {faults:?}");
            assert_eq!(cluster.read("a b z").await, left, "{kind:?}: {writes} with {faults:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_is_dropped_half_way_leaves_no_lock() {
    let cases = [
        // Before the primary's commit is sent the transaction is rolled back; afterwards it is what the store makes of it.
        (AsyncCommit::Never, [(10, "a=1 z=1"), (60, "a=1 z=1"), (110, "a=2 z=2")]),
        // Once all requests are on their way, who settles the transaction finds it committed.
        (AsyncCommit::WhenPossible, [(0, "a=1 z=1"), (10, "a=2 z=2"), (60, "a=2 z=2")]),
    ];
    for kind in [StoreKind::Fake, StoreKind::Real] {
        for (async_commit, cuts) in cases {
            let cluster = TestCluster::start(kind, TxnConfig::default()).await;
            cluster.split_at(&["m"]).await;
            cluster.write("a=1 z=1").await;
            let config = TxnConfig { async_commit, ..Default::default() };
            let client = behind(&cluster, Faults { delay_ms: 50..=50, ..no_faults() }, config);
            for (milliseconds, expected) in cuts {
                let mut txn = client.begin(optimistic()).await.unwrap();
                apply(&mut txn, "a=2 z=2");
                let commit = tokio::time::timeout(Duration::from_millis(milliseconds), txn.commit()).await;
                assert!(commit.is_err(), "{async_commit:?} takes longer than {milliseconds} ms");
                drop(txn);
                tokio::time::sleep(Duration::from_millis(500)).await;
                let begun = Instant::now();
                let read = cluster.read("a z").await;
                assert!(
                    read == expected || milliseconds == 0,
                    "{kind:?}, {async_commit:?}, {milliseconds} ms: {read}"
                );
                cluster.write("a=1 z=1").await;
                assert!(
                    begun.elapsed() < Duration::from_secs(1),
                    "{kind:?}, {async_commit:?}, {milliseconds} ms: waited for a lock"
                );
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn locking_that_is_dropped_half_way_leaves_no_lock() {
    for kind in [StoreKind::Fake, StoreKind::Real] {
        let cluster = TestCluster::start(kind, TxnConfig::default()).await;
        cluster.split_at(&["m"]).await;
        let client = behind(&cluster, Faults { delay_ms: 50..=50, ..no_faults() }, TxnConfig::default());
        for milliseconds in [60, 110, 160] {
            let mut txn = client.begin(TxnOptions::default()).await.unwrap();
            let keys = ["a", "b", "z"].map(crate::cluster::key);
            let locking = txn.lock_keys(keys, Default::default());
            assert!(tokio::time::timeout(Duration::from_millis(milliseconds), locking).await.is_err());
            drop(txn);
            tokio::time::sleep(Duration::from_millis(500)).await;
            let begun = Instant::now();
            cluster.write("a=1 b=1 z=1").await;
            assert!(
                begun.elapsed() < Duration::from_secs(1),
                "{kind:?}, {milliseconds} ms: waited for a lock"
            );
        }
    }
}
