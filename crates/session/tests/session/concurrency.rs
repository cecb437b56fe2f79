//! Sessions that want the same rows at the same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tidewater_session::Database;
use tidewater_types::SqlError;

use crate::harness::{Answer, Regions, open, root, run};

const SESSIONS: usize = 4;
const INCREMENTS: usize = 15;

/// Read-modify-write of one row by many: the next writer must see the last one's value, also when its commit is just
/// under way.
async fn count_up(statements: &'static [&'static str]) {
    let database = open(Regions::One).await;
    let mut session = root(&database);
    run(&mut session, "CREATE TABLE counter (id INT PRIMARY KEY, n INT)").await.expect("a table");
    run(&mut session, "INSERT INTO counter VALUES (1, 0)").await.expect("a row");
    let tasks: Vec<_> = (0..SESSIONS)
        .map(|_| {
            let database = Arc::clone(&database);
            tokio::spawn(async move {
                let mut session = root(&database);
                for _ in 0..INCREMENTS {
                    for statement in statements {
                        run(&mut session, statement).await.expect("nobody else holds what we need for ever");
                    }
                }
                session.close().await;
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("a task does not panic");
    }
    let counted = run(&mut session, "SELECT n FROM counter").await.expect("a number");
    assert_eq!(counted, Answer::Rows(vec![vec![(SESSIONS * INCREMENTS).to_string()]]));
    database.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_update_of_a_transaction_is_lost() {
    count_up(&["BEGIN", "UPDATE counter SET n = n + 1 WHERE id = 1", "COMMIT"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_update_under_autocommit_is_lost() {
    count_up(&["UPDATE counter SET n = n + 1 WHERE id = 1"]).await;
}

/// Indexes are built while rows change under them; afterwards every entry has its row and every row its entry.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_built_under_writes_agrees_with_the_rows() {
    const ROWS: u32 = 5_000;
    let database = open(Regions::Many).await;
    let mut session = root(&database);
    run(&mut session, "CREATE TABLE t (id INT PRIMARY KEY, a INT, b INT)").await.expect("a table");
    for first in (0..ROWS).step_by(1000) {
        let rows: Vec<_> = (first..first + 1000).map(|id| format!("({id}, {id}, {id})")).collect();
        run(&mut session, &format!("INSERT INTO t VALUES {}", rows.join(","))).await.expect("rows");
    }
    let done = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..3u32)
        .map(|writer| {
            let (database, done) = (Arc::clone(&database), Arc::clone(&done));
            tokio::spawn(async move {
                let mut session = root(&database);
                let mut step = writer;
                while !done.load(Ordering::SeqCst) {
                    step = step.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let id = (step >> 8) % ROWS;
                    let statements = match writer {
                        0 => vec![format!("UPDATE t SET a = a + {ROWS}, b = b + {ROWS} WHERE id = {id}")],
                        1 => vec![
                            "BEGIN".to_owned(),
                            format!("DELETE FROM t WHERE id = {id}"),
                            format!("INSERT INTO t VALUES ({id}, {step}, {id} + {ROWS} * ({step} >> 4))"),
                            "COMMIT".to_owned(),
                        ],
                        _ => vec![
                            format!("DELETE FROM t WHERE id = {id}"),
                            format!("INSERT IGNORE INTO t VALUES ({id}, {id}, {id} + {ROWS} * {id})"),
                        ],
                    };
                    for statement in statements {
                        // A statement may meet a schema change or a duplicate: then it is as if it was never said.
                        if run(&mut session, &statement).await.is_err() {
                            let _ = run(&mut session, "ROLLBACK").await;
                            break;
                        }
                    }
                }
                session.close().await;
            })
        })
        .collect();
    for _ in 0..3 {
        run(&mut session, "CREATE INDEX by_a ON t (a)").await.expect("an index");
        run(&mut session, "ADMIN CHECK TABLE t").await.expect("entries agree with rows");
        run(&mut session, "DROP INDEX by_a ON t").await.expect("no index");
    }
    done.store(true, Ordering::SeqCst);
    for writer in writers {
        writer.await.expect("a task does not panic");
    }
    run(&mut session, "CREATE INDEX by_a ON t (a)").await.expect("an index");
    run(&mut session, "ADMIN CHECK TABLE t").await.expect("entries agree with rows");
    database.close().await;
}

/// A commit that waits for somebody's row lock is in nobody else's way, also when a schema change comes between.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_commit_does_not_hold_up_the_server() {
    let database = open(Regions::One).await;
    let mut holder = root(&database);
    for statement in [
        "CREATE TABLE t (id INT PRIMARY KEY, n INT)",
        "CREATE TABLE other (id INT PRIMARY KEY)",
        "INSERT INTO t VALUES (1, 0)",
        "BEGIN",
        "UPDATE t SET n = n + 1 WHERE id = 1",
    ] {
        run(&mut holder, statement).await.expect(statement);
    }
    let waiting = spawn(&database, "UPDATE t SET n = n + 10 WHERE id = 1");
    tokio::time::sleep(Duration::from_millis(200)).await;
    let altered = spawn(&database, "ALTER TABLE other ADD COLUMN x INT");
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut third = root(&database);
    let inserted = run(&mut third, "INSERT INTO other (id) VALUES (1)");
    tokio::time::timeout(Duration::from_secs(5), inserted).await.expect("no wait").expect("a row");
    tokio::time::timeout(Duration::from_secs(5), altered).await.expect("no wait").unwrap().expect("a column");
    assert!(!waiting.is_finished(), "the row is still locked");
    run(&mut holder, "COMMIT").await.expect("a commit");
    waiting.await.unwrap().expect("the lock is free");
    let counted = run(&mut holder, "SELECT n FROM t").await.expect("a number");
    assert_eq!(counted, Answer::Rows(vec![vec!["11".to_owned()]]));
    database.close().await;
}

fn spawn(
    database: &Arc<Database>,
    statement: &'static str,
) -> tokio::task::JoinHandle<Result<Answer, SqlError>> {
    let mut session = root(database);
    tokio::spawn(async move { run(&mut session, statement).await })
}

/// Two transactions that replace the same row by DELETE and INSERT take turns, also when there is no row yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_of_nothing_keeps_others_out() {
    let database = open(Regions::One).await;
    let mut first = root(&database);
    run(&mut first, "CREATE TABLE t (id INT PRIMARY KEY, n INT)").await.expect("a table");
    for statement in ["BEGIN", "DELETE FROM t WHERE id = 1", "INSERT INTO t VALUES (1, 1)"] {
        run(&mut first, statement).await.expect(statement);
    }
    let mut second = root(&database);
    let replacing = tokio::spawn(async move {
        for statement in ["BEGIN", "DELETE FROM t WHERE id = 1", "INSERT INTO t VALUES (1, 2)", "COMMIT"] {
            run(&mut second, statement).await?;
        }
        Ok::<_, SqlError>(())
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!replacing.is_finished(), "the key is locked");
    run(&mut first, "COMMIT").await.expect("a commit");
    replacing.await.unwrap().expect("it deletes what the first inserted");
    let rows = run(&mut first, "SELECT id, n FROM t").await.expect("rows");
    assert_eq!(rows, Answer::Rows(vec![vec!["1".to_owned(), "2".to_owned()]]));
    database.close().await;
}
