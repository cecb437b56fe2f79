//! A cluster is backed up while money moves, and restored into a server of one process.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use crate::cluster_process::ClusterProcess;
use crate::server_process::ServerProcess;

const ACCOUNTS: i64 = 40;

fn tidewater(arguments: &[&str], folder: &Path) -> Result<String, String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidewater"));
    let output = command.args(arguments).arg(folder).output().expect("the program runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match output.status.success() {
        true => Ok(text(&output.stdout)),
        false => Err(text(&output.stderr)),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_under_load_becomes_a_directory_and_then_a_server() {
    let cluster = ClusterProcess::start(1);
    let mut conn = Conn::new(cluster.options()).await.expect("root is let in");
    for statement in [
        "CREATE DATABASE bank",
        "CREATE TABLE bank.account (id INT PRIMARY KEY, name VARCHAR(20), balance INT, KEY by_name (name))",
        "CREATE USER teller IDENTIFIED BY 'secret'",
    ] {
        conn.query_drop(statement).await.expect(statement);
    }
    let rows: Vec<_> = (0..ACCOUNTS).map(|id| format!("({id}, 'name {id}', 100)")).collect();
    conn.query_drop(format!("INSERT INTO bank.account VALUES {}", rows.join(", "))).await.expect("rows");
    let stop = Arc::new(AtomicBool::new(false));
    let mover = {
        let stop = stop.clone();
        tokio::spawn(async move {
            for round in 0.. {
                if stop.load(Ordering::Relaxed) {
                    return round;
                }
                let (from, to) = (round * 7 % ACCOUNTS, (round * 11 + 1) % ACCOUNTS);
                let change = format!(
                    "UPDATE bank.account SET balance = balance + IF(id = {from}, -1, 1) WHERE id IN ({from}, {to})"
                );
                if from != to {
                    conn.query_drop(change).await.expect("money moves");
                }
            }
            0
        })
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (to, data) = (folder.path().join("backup"), folder.path().join("data"));
    let pd = cluster.pd_address();
    let made = tidewater(&["backup", "--pd", &pd, "--to"], &to).expect("a backup is made");
    assert!(made.contains("pairs"), "{made}");
    stop.store(true, Ordering::Relaxed);
    assert!(mover.await.expect("the mover is well") > 0);
    let refused = tidewater(&["restore", "--pd", &pd, "--from"], &to).expect_err("the cluster is not empty");
    assert!(refused.contains("not empty"), "{refused}");

    let data_text = data.to_str().expect("a plain path");
    tidewater(&["restore", "--data", data_text, "--from"], &to).expect("it is restored");
    let server = ServerProcess::start(&data);
    let mut conn = server.connect().await;
    let sum: Option<i64> = conn.query_first("SELECT SUM(balance) FROM bank.account").await.expect("a sum");
    assert_eq!(sum, Some(ACCOUNTS * 100));
    let named: Option<i64> = conn
        .query_first("SELECT id FROM bank.account USE INDEX (by_name) WHERE name = 'name 17'")
        .await
        .expect("a row by its name");
    assert_eq!(named, Some(17));
    conn.query_drop("ADMIN CHECK TABLE bank.account").await.expect("index and rows agree");
    conn.query_drop("INSERT INTO bank.account VALUES (1000, 'new', 0)").await.expect("it goes on");
    let users: Option<i64> =
        conn.query_first("SELECT COUNT(*) FROM mysql.user WHERE user = 'teller'").await.expect("users");
    assert_eq!(users, Some(1));
    let busy = tidewater(&["backup", "--data", data_text, "--to"], &folder.path().join("other"));
    assert!(busy.expect_err("its server runs").contains("is its server still running?"));
}
