//! Every process of a cluster is asked to stop and started again, one after the other, under load: clients that try again what may be tried
//! again are told nothing else, and nothing is lost.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, DriverError, Error, Opts};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::cluster_process::{ClusterProcess, Part};

const STORES: usize = 3;
const PDS: usize = 3;
const CLIENTS: u64 = 4;
const ACCOUNTS: u64 = 30;
const STAKE: u64 = 100;
/// How long a client may be told to try again.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long regions may take to have all of their replicas.
const PLACEMENT_PATIENCE: Duration = Duration::from_secs(60);
/// As in `docs/operations.md`.
const RETRYABLE: [u16; 12] = [1053, 1205, 1213, 8002, 8022, 8028, 8501, 9001, 9002, 9004, 9005, 9007];

struct Load {
    nodes: [Opts; 2],
    stop: AtomicBool,
    next_id: AtomicU64,
    acknowledged: Mutex<BTreeSet<u64>>,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_costs_clients_nothing_but_retries() {
    let mut cluster = ClusterProcess::start_with(STORES, PDS);
    let (mut second, second_options) = cluster.another_sql("sql-2");
    let nodes = [cluster.options(), second_options];
    set_up(&cluster, &nodes[0]).await;
    let load = Arc::new(Load {
        nodes,
        stop: AtomicBool::new(false),
        next_id: AtomicU64::new(0),
        acknowledged: Mutex::default(),
    });
    let clients: Vec<_> = (0..CLIENTS).map(|client| tokio::spawn(work(load.clone(), client))).collect();
    let ClusterProcess { pds, stores, sql, .. } = &mut cluster;
    for part in pds.iter_mut().chain(stores).chain([sql, &mut second]) {
        progress(&load).await;
        restart(part);
    }
    progress(&load).await;
    load.stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.expect("the client was told nothing that it may not try again");
    }
    for node in &load.nodes {
        check(node, &*load.acknowledged.lock().await).await;
    }
}

fn restart(part: &mut Part) {
    let began = Instant::now();
    part.stop();
    let stopped = began.elapsed();
    part.restart();
    eprintln!("{} stopped within {stopped:?}, and was ready again after {:?}", part.name, began.elapsed());
}

/// Until some transactions more are through.
async fn progress(load: &Load) {
    let before = load.acknowledged.lock().await.len();
    let went_on = tokio::time::timeout(PATIENCE, async {
        while load.acknowledged.lock().await.len() < before + 2 * CLIENTS as usize {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    went_on.await.expect("transactions go through");
}

async fn set_up(cluster: &ClusterProcess, node: &Opts) {
    let ctl = |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tidewater"));
        let output = command.args(["ctl", "--json", "--pd", &cluster.pd_address()]).args(arguments).output();
        let output = output.expect("the program runs");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    let mut conn = Conn::new(node.clone()).await.expect("the server accepts root");
    for statement in [
        "CREATE DATABASE rolling",
        "CREATE TABLE rolling.account (id BIGINT PRIMARY KEY, balance BIGINT, KEY by_balance (balance))",
        "CREATE TABLE rolling.entry (id BIGINT PRIMARY KEY, client INT, KEY by_client (client, id))",
    ] {
        conn.query_drop(statement).await.expect("the tables are made");
    }
    let rows: Vec<_> = (0..ACCOUNTS).map(|id| format!("({id}, {STAKE})")).collect();
    let insert = format!("INSERT INTO rolling.account VALUES {}", rows.join(", "));
    conn.query_drop(insert).await.expect("the accounts are opened");
    // A region with one copy would be away while its store restarts.
    let placed = tokio::time::timeout(PLACEMENT_PATIENCE, async {
        loop {
            let page = ctl(&["regions", "--limit", "0"]);
            let page: serde_json::Value = serde_json::from_str(&page).expect("JSON");
            let regions = page["regions"].as_array().expect("regions");
            let voters = |region: &serde_json::Value| {
                let peers = region["peers"].as_array().expect("peers");
                peers.iter().filter(|peer| peer["role_name"] == "Voter").count()
            };
            if !regions.is_empty() && regions.iter().all(|region| voters(region) == STORES) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    placed.await.expect("every region gets its replicas");
}

/// Moves money and notes it, until told to stop; tries again what may be tried again, at the other node if need be.
async fn work(load: Arc<Load>, client: u64) {
    let mut node = client as usize;
    let mut conn = None;
    let mut troubled: Option<Instant> = None;
    while !load.stop.load(Ordering::Relaxed) {
        let id = load.next_id.fetch_add(1, Ordering::Relaxed);
        match transfer(&mut conn, &load.nodes[node % 2], client, id).await {
            Ok(()) => {
                load.acknowledged.lock().await.insert(id);
                troubled = None;
            }
            Err(error) => {
                must_be_retryable(&error);
                let since = *troubled.get_or_insert_with(Instant::now);
                assert!(since.elapsed() < PATIENCE, "tried again for {:?}: {error}", since.elapsed());
                conn = None;
                node += 1;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

async fn transfer(conn: &mut Option<Conn>, node: &Opts, client: u64, id: u64) -> Result<(), Error> {
    let conn = match conn {
        Some(conn) => conn,
        None => conn.insert(Conn::new(node.clone()).await?),
    };
    let (from, to) = (id * 7 % ACCOUNTS, id * 11 % ACCOUNTS);
    conn.query_drop("BEGIN").await?;
    conn.exec_drop("UPDATE rolling.account SET balance = balance - 1 WHERE id = ?", (from,)).await?;
    conn.exec_drop("UPDATE rolling.account SET balance = balance + 1 WHERE id = ?", (to,)).await?;
    conn.exec_drop("INSERT INTO rolling.entry VALUES (?, ?)", (id, client)).await?;
    conn.query_drop("COMMIT").await
}

fn must_be_retryable(error: &Error) {
    match error {
        Error::Server(server) => assert!(RETRYABLE.contains(&server.code), "{server}"),
        Error::Io(_) | Error::Driver(DriverError::ConnectionClosed) => {}
        error => panic!("{error}"),
    }
}

async fn check(node: &Opts, acknowledged: &BTreeSet<u64>) {
    let mut conn = Conn::new(node.clone()).await.expect("the node accepts root");
    let sums = "SELECT COUNT(*), CAST(SUM(balance) AS SIGNED) FROM rolling.account";
    let found: Option<(u64, u64)> = conn.query_first(sums).await.expect("a sum");
    assert_eq!(found, Some((ACCOUNTS, ACCOUNTS * STAKE)));
    let present: Vec<u64> = conn.query("SELECT id FROM rolling.entry").await.expect("the entries");
    let present = present.into_iter().collect();
    let lost: Vec<_> = acknowledged.difference(&present).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    conn.query_drop("ADMIN CHECK TABLE rolling.account, rolling.entry").await.expect("indexes equal rows");
}
