//! SIGKILL of one process of a cluster after the other, under load, while regions split, move and merge: what was acknowledged is there, no
//! transaction is half there, and clients are told nothing but to try again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, Opts, TxOpts};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::cluster_process::ClusterProcess;
use crate::kill::rounds;

const STORES: usize = 3;
const CLIENTS: u64 = 5;
const ACCOUNTS: u64 = 40;
const STAKE: u64 = 100;
/// How long a check may be told to try again. A killed client's locks live twenty seconds.
const CHECK_PATIENCE: Duration = Duration::from_secs(60);
const LOCK_TTL: Duration = Duration::from_secs(20);
/// Deadlock, lock wait, placement driver or store away, lock or region not ready, conflict, safe to retry, schema changed, outcome unknown.
const RETRYABLE: [u16; 10] = [1213, 1205, 9001, 9002, 9004, 9005, 9007, 8022, 8028, 8501];

/// What the clients share.
struct Load {
    options: Opts,
    stop: AtomicBool,
    next_id: AtomicU64,
    acknowledged: Mutex<BTreeSet<u64>>,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_keeps_its_word_while_its_processes_are_killed() {
    let mut cluster = ClusterProcess::start(STORES);
    set_up(&cluster).await;
    let load = Arc::new(Load {
        options: cluster.options(),
        stop: AtomicBool::new(false),
        next_id: AtomicU64::new(1),
        acknowledged: Mutex::default(),
    });
    let clients: Vec<_> = (0..CLIENTS).map(|client| tokio::spawn(work(load.clone(), client))).collect();
    let seed = std::env::var("TIDEWATER_KILL_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    eprintln!("TIDEWATER_KILL_SEED={seed}");
    let mut random = Random(seed);
    for round in 0..rounds() {
        // Not a wait for anything: the load runs this long.
        tokio::time::sleep(Duration::from_millis(700 + random.below(900))).await;
        let victim = match (round, random.below(6)) {
            (1, _) | (3.., 4) => &mut cluster.sql,
            (2, _) | (3.., 5) => &mut cluster.pds[0],
            _ => &mut cluster.stores[random.below(STORES as u64) as usize],
        };
        let acknowledged = load.acknowledged.lock().await.len();
        eprintln!("round {round}: {} is killed, {acknowledged} transactions are through", victim.name);
        victim.kill();
        tokio::time::sleep(Duration::from_millis(random.below(800))).await;
        victim.restart();
        let restarted = Instant::now();
        check(&load).await;
        eprintln!("round {round}: right again after {:?}", restarted.elapsed());
        assert!(clients.iter().all(|client| !client.is_finished()), "a client gave up");
    }
    load.stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.expect("the client ran to its end");
    }
    check(&load).await;
    let acknowledged = load.acknowledged.lock().await.len();
    assert!(acknowledged > 20, "only {acknowledged} transactions were acknowledged");
    let regions = region_count(&cluster.pd_address()).await;
    assert!(regions > 8, "there are {regions} regions: nothing was split");
}

#[tokio::test(flavor = "multi_thread")]
async fn locks_of_a_killed_sql_node_lapse() {
    let mut cluster = ClusterProcess::start(1);
    set_up(&cluster).await;
    let mut holder = Conn::new(cluster.options()).await.expect("a connection");
    holder.query_drop("BEGIN").await.expect("a transaction");
    holder.query_drop("UPDATE kill_test.account SET balance = 0 WHERE id = 7").await.expect("a lock");
    cluster.sql.kill();
    let killed = Instant::now();
    cluster.sql.restart();
    let mut conn = Conn::new(cluster.options()).await.expect("a connection");
    conn.query_drop("UPDATE kill_test.account SET balance = balance + 1 WHERE id = 7")
        .await
        .expect("the wait ends in time");
    let waited = killed.elapsed();
    assert!(waited < LOCK_TTL + Duration::from_secs(5), "the lock was in the way for {waited:?}");
    let balance: Option<u64> =
        conn.query_first("SELECT balance FROM kill_test.account WHERE id = 7").await.expect("a read");
    assert_eq!(balance, Some(STAKE + 1), "what the killed node wrote is gone");
}

async fn set_up(cluster: &ClusterProcess) {
    let mut conn = Conn::new(cluster.options()).await.expect("the server accepts root");
    for statement in [
        "CREATE DATABASE kill_test",
        "CREATE TABLE kill_test.account (id BIGINT PRIMARY KEY, balance BIGINT, KEY by_balance (balance))",
        "CREATE TABLE kill_test.entry (id BIGINT PRIMARY KEY, client INT, filler VARCHAR(50), KEY by_client (client, id))",
    ] {
        conn.query_drop(statement).await.expect("the tables are made");
    }
    let rows: Vec<_> = (0..ACCOUNTS).map(|id| format!("({id}, {STAKE})")).collect();
    let insert = format!("INSERT INTO kill_test.account VALUES {}", rows.join(", "));
    conn.query_drop(insert).await.expect("the accounts are opened");
}

/// Moves money and notes it, until told to stop; reads all accounts now and then.
async fn work(load: Arc<Load>, client: u64) {
    let mut random = Random(client + 1000);
    let mut conn = None;
    while !load.stop.load(Ordering::Relaxed) {
        let Some(open) = &mut conn else {
            match Conn::new(load.options.clone()).await {
                Ok(fresh) => conn = Some(fresh),
                Err(error) => {
                    must_be_harmless(&error);
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
            continue;
        };
        let id = load.next_id.fetch_add(1, Ordering::Relaxed);
        let done = match random.below(5) {
            0 => read_all(open).await,
            _ => transfer(open, client, id, &mut random).await,
        };
        match done {
            Ok(None) => {}
            Ok(Some(id)) => drop(load.acknowledged.lock().await.insert(id)),
            Err(error) => {
                must_be_harmless(&error);
                conn = None;
            }
        }
    }
}

/// Returns the id of the entry that was acknowledged.
async fn transfer(conn: &mut Conn, client: u64, id: u64, random: &mut Random) -> Result<Option<u64>, Error> {
    let (from, to) = (random.below(ACCOUNTS), random.below(ACCOUNTS));
    let mut open = conn.start_transaction(TxOpts::default()).await?;
    open.exec_drop("UPDATE kill_test.account SET balance = balance - 1 WHERE id = ?", (from,)).await?;
    open.exec_drop("INSERT INTO kill_test.entry VALUES (?, ?, REPEAT('x', 50))", (id, client)).await?;
    open.exec_drop("UPDATE kill_test.account SET balance = balance + 1 WHERE id = ?", (to,)).await?;
    open.commit().await?;
    Ok(Some(id))
}

async fn read_all(conn: &mut Conn) -> Result<Option<u64>, Error> {
    let sums = "SELECT COUNT(*), CAST(SUM(balance) AS SIGNED) FROM kill_test.account";
    let by_index = format!("{sums} USE INDEX (by_balance) WHERE balance > -1000000");
    for query in [sums, &by_index] {
        let found: Option<(u64, i64)> = conn.query_first(query).await?;
        assert_eq!(found, Some((ACCOUNTS, (ACCOUNTS * STAKE) as i64)), "half a transaction: {query}");
    }
    Ok(None)
}

fn must_be_harmless(error: &Error) {
    match error {
        Error::Server(server) => assert!(RETRYABLE.contains(&server.code), "{server}"),
        Error::Io(_) | Error::Driver(mysql_async::DriverError::ConnectionClosed) => {}
        error => panic!("{error}"),
    }
}

/// Tries until the cluster answers, and asks for everything that must hold.
async fn check(load: &Load) {
    let acknowledged = load.acknowledged.lock().await.clone();
    let checked = tokio::time::timeout(CHECK_PATIENCE, async {
        while let Err(error) = try_check(load, &acknowledged).await {
            must_be_harmless(&error);
            eprintln!("the check is made again: {error}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    checked.await.expect("the cluster answers again");
}

async fn try_check(load: &Load, acknowledged: &BTreeSet<u64>) -> Result<(), Error> {
    let mut conn = Conn::new(load.options.clone()).await?;
    read_all(&mut conn).await?;
    let present: BTreeSet<u64> = conn.query("SELECT id FROM kill_test.entry").await?.into_iter().collect();
    let lost: Vec<_> = acknowledged.difference(&present).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    conn.query_drop("ADMIN CHECK TABLE kill_test.account, kill_test.entry").await?;
    // A write into every region that has an account.
    conn.query_drop("UPDATE kill_test.account SET balance = balance + 0").await?;
    Ok(())
}

async fn region_count(pd: &str) -> u64 {
    let mut stream = tokio::net::TcpStream::connect(pd).await.expect("the placement driver listens");
    let request = "GET /pd/api/v1/regions HTTP/1.1\r\nHost: pd\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    let count = answer.split("\"count\":").nth(1).unwrap_or_else(|| panic!("no count: {answer}"));
    let digits = count.split(|c: char| !c.is_ascii_digit()).find(|part| !part.is_empty());
    digits.and_then(|digits| digits.parse().ok()).expect("a number")
}

/// Numbers that are the same for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}
