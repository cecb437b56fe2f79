//! Two SQL nodes on one cluster: each sees the other's schema changes, and goes on with its own when the other is killed.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error};
use tokio::time::Instant;

use crate::cluster_process::ClusterProcess;

/// A schema change waits for a killed node until its lease has run out.
const LEASE: Duration = Duration::from_secs(8);
/// For everything else that a change does, on a busy machine.
const SLACK: Duration = Duration::from_secs(7);

#[tokio::test(flavor = "multi_thread")]
async fn schema_changes_of_both_nodes_are_seen_by_both_and_survive_the_death_of_one() {
    let cluster = ClusterProcess::start(1);
    let (mut second, second_options) = cluster.another_sql("sql-2");
    let mut one = Conn::new(cluster.options()).await.expect("the first node accepts root");
    let mut two = Conn::new(second_options).await.expect("the second node accepts root");

    run(&mut one, "CREATE DATABASE shared").await;
    run(&mut one, "CREATE TABLE shared.t (id BIGINT PRIMARY KEY, a INT)").await;
    run(&mut two, "INSERT INTO shared.t VALUES (1, 10)").await;
    // What one node was told is done, the other knows: nothing is waited for in between.
    run(&mut two, "ALTER TABLE shared.t ADD COLUMN b INT DEFAULT 7").await;
    run(&mut one, "INSERT INTO shared.t (id, a, b) VALUES (2, 20, 21)").await;
    run(&mut one, "ALTER TABLE shared.t ADD INDEX by_b (b)").await;
    assert_eq!(found(&mut two, "SELECT id FROM shared.t USE INDEX (by_b) WHERE b = 7").await, [1]);
    // Both at once: one is carried out after the other.
    let (first, other) = tokio::join!(
        one.query_drop("ALTER TABLE shared.t ADD COLUMN c INT DEFAULT 1"),
        two.query_drop("ALTER TABLE shared.t ADD COLUMN d INT DEFAULT 2"),
    );
    first.expect("the first node's change is made");
    other.expect("the second node's change is made");
    for conn in [&mut one, &mut two] {
        assert_eq!(found(conn, "SELECT a + b + c + d FROM shared.t ORDER BY id").await, [20, 44]);
    }

    second.kill();
    let killed = Instant::now();
    run(&mut one, "ALTER TABLE shared.t DROP COLUMN c").await;
    let waited = killed.elapsed();
    assert!(waited < LEASE + SLACK, "the dead node was in the way for {waited:?}");
    run(&mut one, "ALTER TABLE shared.t ADD INDEX by_d (d)").await;
    run(&mut one, "ADMIN CHECK TABLE shared.t").await;

    // It comes back to the schema as it is, and may change it again.
    second.restart();
    let mut two = Conn::new(two.opts().clone()).await.expect("the second node accepts root again");
    let error = two.query_drop("SELECT c FROM shared.t").await.expect_err("the column is gone");
    assert!(matches!(&error, Error::Server(server) if server.code == 1054), "{error}");
    run(&mut two, "ALTER TABLE shared.t DROP INDEX by_d").await;
    let left = "SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema = 'shared' AND index_name = 'by_d'";
    assert_eq!(found(&mut one, left).await, [0]);
}

async fn run(conn: &mut Conn, statement: &str) {
    conn.query_drop(statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
}

async fn found(conn: &mut Conn, query: &str) -> Vec<i64> {
    conn.query(query).await.unwrap_or_else(|error| panic!("{query}: {error}"))
}
