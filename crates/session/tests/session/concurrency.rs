//! Sessions that want the same rows at the same time.

use std::sync::Arc;

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
