//! SIGKILL under load: what was acknowledged is there, and no transaction is half there.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, TxOpts};

use crate::server_process::ServerProcess;

const CLIENTS: usize = 4;

/// Rounds of one run; the slow suite sets `TIDEWATER_KILL_ROUNDS=50`.
pub fn rounds() -> usize {
    std::env::var("TIDEWATER_KILL_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(3)
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_transactions_survive_sigkill_whole() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut server = ServerProcess::start(folder.path());
    let mut setup = server.connect().await;
    setup.query_drop("CREATE DATABASE kill_test").await.expect("a database");
    // Two rows per transaction, in two regions' worth of keys: an index too, so that half a transaction would show.
    setup
        .query_drop("CREATE TABLE kill_test.pair (txn BIGINT, part INT, filler VARCHAR(100), PRIMARY KEY (txn, part), KEY by_part (part, txn))")
        .await
        .expect("a table");
    drop(setup);

    let next = Arc::new(AtomicU64::new(1));
    let mut acknowledged = BTreeSet::new();
    for round in 0..rounds() {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let (options, next) = (server.options(), next.clone());
                tokio::spawn(async move { insert_until_cut_off(options, &next).await })
            })
            .collect();
        // Not a wait for anything: the load runs this long, a bit longer each round.
        tokio::time::sleep(Duration::from_millis(300 + 70 * (round as u64 % 7))).await;
        server.kill();
        for client in clients {
            acknowledged.extend(client.await.expect("the client ran"));
        }
        server = ServerProcess::start(folder.path());
        check(&server, &acknowledged).await;
    }
    assert!(!acknowledged.is_empty(), "the load acknowledged nothing, so nothing was tested");
    assert!(server.stop(), "SIGTERM ends the server well");
}

/// Inserts pairs until the server is gone; returns the transactions that were acknowledged.
async fn insert_until_cut_off(options: mysql_async::Opts, next: &AtomicU64) -> Vec<u64> {
    let mut acknowledged = Vec::new();
    let Ok(mut conn) = Conn::new(options).await else { return acknowledged };
    loop {
        let txn = next.fetch_add(1, Ordering::Relaxed);
        let done = async {
            let mut open = conn.start_transaction(TxOpts::default()).await?;
            open.exec_drop("INSERT INTO kill_test.pair VALUES (?, 1, REPEAT('x', 100))", (txn,)).await?;
            open.exec_drop("INSERT INTO kill_test.pair VALUES (?, 2, REPEAT('y', 100))", (txn,)).await?;
            open.commit().await
        };
        match done.await {
            Ok(()) => acknowledged.push(txn),
            Err(_) => return acknowledged,
        }
    }
}

async fn check(server: &ServerProcess, acknowledged: &BTreeSet<u64>) {
    let mut conn = server.connect().await;
    let rows: Vec<(u64, u64)> = conn
        .query("SELECT txn, COUNT(*) FROM kill_test.pair GROUP BY txn")
        .await
        .expect("the rows are readable");
    let by_index: u64 = conn
        .query_first("SELECT COUNT(*) FROM kill_test.pair USE INDEX (by_part) WHERE part IN (1, 2)")
        .await
        .expect("the index is readable")
        .expect("a count");
    assert_eq!(by_index, rows.iter().map(|(_, parts)| parts).sum::<u64>(), "index and rows differ");
    let halves: Vec<_> = rows.iter().filter(|(_, parts)| *parts != 2).collect();
    assert!(halves.is_empty(), "half transactions: {halves:?}");
    let present: BTreeSet<u64> = rows.iter().map(|(txn, _)| *txn).collect();
    let lost: Vec<_> = acknowledged.difference(&present).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
}
