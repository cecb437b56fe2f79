//! Statements that nobody wants any more: KILL, clients that leave, and waits that are over.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error};
use tokio::time::Instant;

use crate::server_process::ServerProcess;

/// Long before any of the statements here would end by itself.
const SOON: Duration = Duration::from_secs(10);

const SLOW: &str = "SELECT SLEEP(60)";

fn code(error: &Error) -> u16 {
    match error {
        Error::Server(error) => error.code,
        other => panic!("not an error of the server: {other}"),
    }
}

async fn running(watcher: &mut Conn, statement: &str) -> bool {
    let count: Option<u64> = watcher
        .exec_first("SELECT COUNT(*) FROM information_schema.processlist WHERE info = ?", (statement,))
        .await
        .expect("the process list");
    count != Some(0)
}

async fn until_running(watcher: &mut Conn, statement: &str, wanted: bool) {
    let started = Instant::now();
    while running(watcher, statement).await != wanted {
        assert!(started.elapsed() < SOON, "{statement}: running is not {wanted}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_query_ends_a_statement_and_leaves_the_connection() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = ServerProcess::start(folder.path());
    let mut watcher = server.connect().await;
    watcher
        .query_drop("CREATE DATABASE k; USE k; CREATE TABLE t (id INT PRIMARY KEY, v INT); INSERT INTO t VALUES (1, 1)")
        .await
        .expect("a table");
    // Rows for many batches of a backfill.
    watcher
        .query_drop("CREATE TABLE big (id INT PRIMARY KEY, v INT); INSERT INTO big VALUES (0, 0)")
        .await
        .expect("a table");
    for bit in 0..15 {
        let double = format!("INSERT INTO big SELECT id + {0}, v + {0} FROM big", 1 << bit);
        watcher.query_drop(double).await.expect("rows");
    }
    let mut holder = server.connect().await;
    holder
        .query_drop("BEGIN; UPDATE k.t SET v = 2 WHERE id = 1; SELECT GET_LOCK('name', 0)")
        .await
        .expect("locks");
    let cases = [
        ("SET autocommit = 1", SLOW),
        ("SET autocommit = 1", "SELECT BENCHMARK(100000000000, MD5('x'))"),
        ("SET autocommit = 1", "UPDATE k.t SET v = v + SLEEP(60)"),
        ("SET autocommit = 1", "UPDATE k.t SET v = 3 WHERE id = 1"),
        ("SET autocommit = 0", "UPDATE k.t SET v = 3 WHERE id = 1"),
        ("SET autocommit = 0", "SELECT * FROM k.t WHERE id = 1 FOR UPDATE"),
        ("SET autocommit = 0", "REPLACE INTO k.t VALUES (1, 4)"),
        ("SET autocommit = 1", "SELECT GET_LOCK('name', 60)"),
        ("SET autocommit = 1", "SELECT * FROM k.t WHERE SLEEP(60)"),
        ("SET autocommit = 1", "ALTER TABLE k.big ADD INDEX by_v (v)"),
    ];
    for (before, statement) in cases {
        let mut victim = server.connect().await;
        victim.query_drop(before).await.expect("a setting");
        let id = victim.id();
        let task = tokio::spawn(async move {
            let outcome = victim.query_drop(statement).await;
            (victim, outcome)
        });
        until_running(&mut watcher, statement, true).await;
        let killed = Instant::now();
        watcher.query_drop(format!("KILL QUERY {id}")).await.expect("KILL");
        let (mut victim, outcome) = task.await.expect("the victim's task");
        assert!(killed.elapsed() < SOON, "{statement} ended late");
        // SLEEP says of itself that it was interrupted, where it gets to say something.
        if let Err(error) = outcome {
            assert_eq!(code(&error), 1317, "{statement}");
        }
        let one: Option<u8> = victim.query_first("SELECT 1").await.expect("the connection goes on");
        assert_eq!(one, Some(1), "{statement}");
    }
    holder.query_drop("ROLLBACK").await.expect("a rollback");
    let value: Option<i32> = watcher.query_first("SELECT v FROM k.t").await.expect("a value");
    assert_eq!(value, Some(1), "no killed statement has changed anything");
    let (_, definition): (String, String) =
        watcher.query_first("SHOW CREATE TABLE k.big").await.expect("the table").expect("a row");
    assert!(!definition.contains("by_v"), "the index was taken back: {definition}");
}

/// More waiting statements than the server has threads for the network.
#[tokio::test(flavor = "multi_thread")]
async fn statements_that_wait_are_in_nobodys_way() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = ServerProcess::start(folder.path());
    let mut watcher = server.connect().await;
    watcher.query_drop("SELECT GET_LOCK('name', 0)").await.expect("the lock");
    let mut waiting = Vec::new();
    for statement in ["SELECT GET_LOCK('name', 60)", SLOW].repeat(8) {
        let mut client = server.connect().await;
        waiting.push(tokio::spawn(async move { client.query_drop(statement).await }));
    }
    let started = Instant::now();
    for _ in 0..20 {
        let one: Option<u8> = watcher.query_first("SELECT 1").await.expect("an answer");
        assert_eq!(one, Some(1));
        server.connect().await.query_drop("SELECT 2").await.expect("an answer for somebody new");
    }
    assert!(started.elapsed() < SOON, "it took {:?}", started.elapsed());
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_statement_of_a_client_that_leaves_is_stopped() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = ServerProcess::start(folder.path());
    let mut watcher = server.connect().await;
    let mut client = server.connect().await;
    let task = tokio::spawn(async move { client.query_drop(SLOW).await });
    until_running(&mut watcher, SLOW, true).await;
    // Drops the connection: the socket closes without a word.
    task.abort();
    until_running(&mut watcher, SLOW, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_wait_timeout_counts_within_an_open_transaction() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = ServerProcess::start(folder.path());
    let mut holder = server.connect().await;
    holder
        .query_drop("CREATE DATABASE k; USE k; CREATE TABLE t (id INT PRIMARY KEY); INSERT INTO t VALUES (1)")
        .await
        .expect("a table");
    holder.query_drop("BEGIN; SELECT * FROM t WHERE id = 1 FOR UPDATE").await.expect("a lock");
    let mut rival = server.connect().await;
    rival
        .query_drop("BEGIN; SELECT * FROM k.t; SET innodb_lock_wait_timeout = 1")
        .await
        .expect("a transaction");
    let started = Instant::now();
    let error = rival.query_drop("DELETE FROM k.t WHERE id = 1").await.expect_err("the row is locked");
    assert_eq!(code(&error), 1205);
    assert!(started.elapsed() < SOON, "it waited for {:?}", started.elapsed());
}
