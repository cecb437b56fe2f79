//! Rows with entries that point back to them, as an index has. Entries are guarded by their rows and not checked apart; rows and entries lie
//! in different regions, so that writers commit async. Meanwhile a backfill in two phases writes the entries of rows that were there before.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tidewater_txn::fault::{Faults, FaultyConnector};
use tidewater_txn::{LockOptions, Locking, Patience, TxnClient, TxnConfig, TxnError, TxnKind, TxnOptions};

use crate::cluster::{StoreKind, TestCluster, key, text};
use crate::faults::optimistic;

const ROWS: u64 = 6;
const SEEDS: u64 = 60;

fn row(number: u64) -> tidewater_codec::Key {
    key(&format!("row{number}"))
}

fn entry(value: &str, number: u64) -> tidewater_codec::Key {
    key(&format!("entry{value}-row{number}"))
}

/// Gives a row another value, and moves its entry.
async fn rewrite(client: &TxnClient, rng: &mut SmallRng) -> Result<(), TxnError> {
    let kind = if rng.random() { TxnKind::Optimistic } else { TxnKind::Pessimistic };
    let number = rng.random_range(0..ROWS);
    let mut txn = client.begin(TxnOptions { kind, ..Default::default() }).await?;
    let old = match kind {
        TxnKind::Pessimistic => txn.get_for_update(&row(number)).await?,
        TxnKind::Optimistic => txn.get(&row(number)).await?,
    };
    // Few values, so that entries come and go.
    let new = rng.random_range(0..4).to_string();
    if let Some(old) = old {
        txn.delete_with(entry(&text(&old), number), Locking::Guarded)?;
    }
    txn.put(row(number), new.clone())?;
    txn.put_with(entry(&new, number), "", Locking::Guarded)?;
    txn.commit().await.map(drop)
}

/// Writes the entries of a few rows as they are.
async fn backfill(client: &TxnClient, from: u64) -> Result<(), TxnError> {
    let mut txn = client.begin(optimistic()).await?;
    txn.commit_in_two_phases();
    for (found, value) in txn.scan(row(from)..row(from + 2)).collect(9).await? {
        let number = text(found.as_bytes())[3..].parse().unwrap();
        txn.put(entry(&text(&value), number), "")?;
    }
    txn.commit().await.map(drop)
}

async fn live(kind: StoreKind, seed: u64) {
    let cluster = TestCluster::start(kind, TxnConfig::default()).await;
    let mut txn = cluster.optimistic().await;
    for number in 0..ROWS {
        txn.put(row(number), "0").unwrap();
    }
    txn.commit().await.unwrap();
    cluster.split_at(&["entry1", "entry2", "entry3", "row0", "row3"]).await;
    let connect = |worker: u64| {
        let delay_ms = 0..=[0, 3, 15][usize::try_from(seed % 3).unwrap()];
        let faults = Faults { delay_ms, lose_answer: 0.05, duplicate: 0.05, ..Default::default() };
        let network = FaultyConnector::new(cluster.connector.clone(), faults, seed * 10 + worker);
        let patience = Patience { prewrite: Duration::from_millis(500), ..Default::default() };
        let config = TxnConfig { seed: seed * 10 + worker, patience, ..Default::default() };
        TxnClient::new(cluster.pd.clone(), Arc::new(network), config)
    };
    let mut tasks = Vec::new();
    for worker in 0..4 {
        let client = connect(worker);
        tasks.push(tokio::spawn(async move {
            let mut rng = SmallRng::seed_from_u64(seed * 10 + worker);
            for _ in 0..10 {
                // What fails leaves rows and entries as they were.
                let _ = rewrite(&client, &mut rng).await;
            }
        }));
    }
    let client = connect(9);
    tasks.push(tokio::spawn(async move {
        for from in (0..ROWS).step_by(2) {
            while backfill(&client, from).await.is_err() {}
        }
    }));
    for task in tasks {
        task.await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    // Every row has its entry and no entry is without its row.
    let txn = cluster.client.begin(TxnOptions::default()).await.unwrap();
    let rows = txn.scan(key("row")..key("rox")).collect(99).await.unwrap();
    let expected: BTreeSet<_> =
        rows.iter().map(|(row, value)| format!("entry{}-{}", text(value), text(row.as_bytes()))).collect();
    let found = txn.scan(key("entry")..key("entrz")).collect(99).await.unwrap();
    let found: BTreeSet<_> = found.iter().map(|(entry, _)| text(entry.as_bytes())).collect();
    assert_eq!(found, expected, "{kind:?}, seed {seed}");
    // And nothing is locked.
    let mut txn = cluster.pessimistic().await;
    let options = LockOptions { wait: tidewater_txn::LockWait::NoWait, ..Default::default() };
    txn.lock_keys(rows.into_iter().map(|(row, _)| row), options).await.unwrap();
}

/// The fake store does not note commit timestamps, as a backfill needs it.
#[test]
fn entries_agree_with_their_rows_while_they_are_backfilled() {
    for seed in 0..SEEDS {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(live(StoreKind::Real, seed));
    }
}
