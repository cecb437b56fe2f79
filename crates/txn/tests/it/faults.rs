//! What a client says, and what it leaves behind, when the network fails it.

use std::sync::Arc;
use std::time::Duration;

use tidewater_txn::fault::{Faults, FaultyConnector};
use tidewater_txn::{TxnClient, TxnConfig, TxnKind, TxnOptions};
use tokio::time::Instant;

use crate::cluster::{StoreKind, TestCluster, apply, name};

fn behind(cluster: &TestCluster, faults: Faults) -> TxnClient {
    let network = FaultyConnector::new(cluster.connector.clone(), faults, 1);
    TxnClient::new(cluster.pd.clone(), Arc::new(network), TxnConfig::default())
}

fn no_faults() -> Faults {
    Faults {
        delay_ms: 0..=0,
        lose_request: 0.0,
        lose_answer: 0.0,
        duplicate: 0.0,
        region_error: 0.0,
        ..Default::default()
    }
}

fn optimistic() -> TxnOptions {
    TxnOptions { kind: TxnKind::Optimistic, ..Default::default() }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_outcome_is_called_unknown() {
    let cases = [
        // One phase: the lost message may have been the request or the answer, and only the latter committed.
        (Faults { lose_answer: 1.0, ..no_faults() }, "a=1 b=1", "undetermined", "a=1 b=1 z=-"),
        (Faults { lose_request: 1.0, ..no_faults() }, "a=1 b=1", "undetermined", "a=- b=- z=-"),
        // Two phases: nothing can be committed before the first has been answered.
        (Faults { lose_answer: 1.0, ..no_faults() }, "a=1 z=1", "unavailable", "a=- b=- z=-"),
        (Faults { lose_request: 1.0, ..no_faults() }, "a=1 z=1", "unavailable", "a=- b=- z=-"),
    ];
    for kind in [StoreKind::Fake, StoreKind::Real] {
        for (faults, writes, expected, left) in &cases {
            let cluster = TestCluster::start(kind, TxnConfig::default()).await;
            cluster.split_at(&["m"]).await;
            let mut txn = behind(&cluster, faults.clone()).begin(optimistic()).await.unwrap();
            apply(&mut txn, writes);
            assert_eq!(name(&txn.commit().await), *expected, "{kind:?}: {writes} with {faults:?}");
            assert_eq!(cluster.read("a b z").await, *left, "{kind:?}: {writes} with {faults:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_is_dropped_half_way_leaves_no_lock() {
    for kind in [StoreKind::Fake, StoreKind::Real] {
        let cluster = TestCluster::start(kind, TxnConfig::default()).await;
        cluster.split_at(&["m"]).await;
        cluster.write("a=1 z=1").await;
        let client = behind(&cluster, Faults { delay_ms: 50..=50, ..no_faults() });
        for milliseconds in [10, 60, 110] {
            let mut txn = client.begin(optimistic()).await.unwrap();
            apply(&mut txn, "a=2 z=2");
            let commit = tokio::time::timeout(Duration::from_millis(milliseconds), txn.commit()).await;
            assert!(commit.is_err(), "the commit takes two round trips");
            drop(txn);
            tokio::time::sleep(Duration::from_millis(500)).await;
            let begun = Instant::now();
            let read = cluster.read("a z").await;
            // Before the primary's commit is sent the transaction is rolled back; afterwards it is what the store makes of it.
            assert!(
                read == "a=1 z=1" || (milliseconds == 110 && read == "a=2 z=2"),
                "{kind:?}, {milliseconds} ms: {read}"
            );
            cluster.write("a=1 z=1").await;
            assert!(
                begun.elapsed() < Duration::from_secs(1),
                "{kind:?}, {milliseconds} ms: waited for a lock"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn locking_that_is_dropped_half_way_leaves_no_lock() {
    for kind in [StoreKind::Fake, StoreKind::Real] {
        let cluster = TestCluster::start(kind, TxnConfig::default()).await;
        cluster.split_at(&["m"]).await;
        let client = behind(&cluster, Faults { delay_ms: 50..=50, ..no_faults() });
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
