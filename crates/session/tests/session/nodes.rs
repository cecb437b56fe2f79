//! Several SQL nodes on one cluster, in one paused-clock thread: each has its own network to the store, which loses and
//! delays messages, and can be unplugged; then what was sent arrives when it is plugged in again.
//!
//! `TIDEWATER_SIM_SEEDS=100` runs so many seeds in place of a few.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tidewater_kv::{MemoryEngine, Node, NodeConfig};
use tidewater_pd::{MemoryStorage, PdConfig, PlacementDriver};
use tidewater_proto::{PdService, StoreConnector, StoreRequest, StoreResponse, StoreService, TransportError};
use tidewater_session::{Database, DatabaseOptions, Session, TableSplit};
use tidewater_txn::fault::{Faults, FaultyConnector};
use tidewater_txn::{TxnClient, TxnConfig};
use tidewater_types::SqlError;
use tidewater_types::clock::WallClock;
use tokio::runtime::{Builder, RngSeed};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::harness::{Answer, Direct, SimulatedClock, root, run};

/// How long a caller waits for an answer over an unplugged cable.
const CABLE_TIMEOUT: Duration = Duration::from_secs(1);
/// A killed node holds others up for no longer than this.
const LEASE_MAX: Duration = Duration::from_secs(10);
/// The table does not exist, or the column: what a node says that does not know yet.
const UNKNOWN: [u16; 2] = [1146, 1054];

/// A store, a placement driver, and a clock that follows the paused time.
struct Cluster {
    clock: Arc<dyn WallClock>,
    pd: Arc<PlacementDriver>,
    store: Arc<Node>,
    faults: Faults,
    seed: u64,
}

/// An SQL node and its cable.
struct Sql {
    database: Arc<Database>,
    plugged: watch::Sender<bool>,
}

struct Cable {
    inner: Arc<dyn StoreConnector>,
    plugged: watch::Sender<bool>,
}

struct StoreBehindCable {
    inner: Arc<dyn StoreService>,
    plugged: watch::Sender<bool>,
}

#[async_trait]
impl StoreConnector for Cable {
    async fn connect(&self, address: &str) -> Result<Arc<dyn StoreService>, TransportError> {
        let inner = self.inner.connect(address).await?;
        Ok(Arc::new(StoreBehindCable { inner, plugged: self.plugged.clone() }))
    }
}

#[async_trait]
impl StoreService for StoreBehindCable {
    async fn call(&self, request: StoreRequest) -> Result<StoreResponse, TransportError> {
        if *self.plugged.borrow() {
            return self.inner.call(request).await;
        }
        let (inner, mut plugged) = (Arc::clone(&self.inner), self.plugged.subscribe());
        // What is on the wire arrives, whether or not the sender still waits.
        let delivery = tokio::spawn(async move {
            let _ = plugged.wait_for(|plugged| *plugged).await;
            inner.call(request).await
        });
        match tokio::time::timeout(CABLE_TIMEOUT, delivery).await {
            Ok(answer) => answer.unwrap_or(Err(TransportError::Closed)),
            Err(_) => Err(TransportError::Timeout),
        }
    }
}

impl Cluster {
    async fn new(seed: u64, faults: Faults) -> Self {
        let clock: Arc<dyn WallClock> = Arc::new(SimulatedClock::new());
        let pd = PlacementDriver::open(PdConfig::default(), Arc::new(MemoryStorage::new()), clock.clone())
            .expect("pd");
        let service = pd.clone() as Arc<dyn PdService>;
        let store =
            Node::open(NodeConfig::default(), Arc::new(MemoryEngine::new()), service).await.expect("node");
        Self { clock, pd, store, faults, seed }
    }

    /// Opens one more SQL node.
    async fn sql(&self, number: u64) -> Sql {
        let seed = self.seed * 16 + number;
        loop {
            let direct = Arc::new(Direct(Arc::clone(&self.store)));
            let network = Arc::new(FaultyConnector::new(direct, self.faults.clone(), seed));
            let plugged = watch::Sender::new(true);
            let cable = Arc::new(Cable { inner: network, plugged: plugged.clone() });
            let config = TxnConfig { seed, ..TxnConfig::default() };
            let opened = Database::open(DatabaseOptions {
                txn: Arc::new(TxnClient::new(self.pd.clone(), cable, config)),
                clock: Arc::clone(&self.clock),
                compute: None,
                seed,
                server_version: "8.0.11-Tidewater-test".to_owned(),
                split_tables: TableSplit::Tiny,
                gc: false,
                protocol: Default::default(),
                result_cache: None,
                several_nodes: true,
                sleeper: None,
            })
            .await;
            match opened {
                Ok(database) => return Sql { database, plugged },
                // The network may lose an answer for good, as it may for any statement.
                Err(error) => assert_eq!(error.code, 8501, "{error}"),
            }
        }
    }
}

impl Sql {
    fn session(&self) -> Session {
        root(&self.database)
    }

    fn plug(&self, plugged: bool) {
        self.plugged.send_replace(plugged);
    }

    /// Runs a statement by a session of its own.
    fn spawn(&self, statement: impl Into<String>) -> JoinHandle<Result<Answer, SqlError>> {
        let (mut session, statement) = (self.session(), statement.into());
        tokio::spawn(async move {
            let result = run(&mut session, &statement).await;
            session.close().await;
            result
        })
    }
}

fn calm() -> Faults {
    Faults {
        delay_ms: 0..=3,
        lose_request: 0.0,
        lose_answer: 0.0,
        duplicate: 0.0,
        overtaken: 0.0,
        region_error: 0.0,
        timeout: Duration::from_millis(500),
    }
}

fn bad() -> Faults {
    Faults {
        lose_request: 0.01,
        lose_answer: 0.01,
        duplicate: 0.01,
        overtaken: 0.01,
        region_error: 0.01,
        ..calm()
    }
}

fn simulate<T>(seed: u64, work: impl Future<Output = T>) -> T {
    Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .rng_seed(RngSeed::from_bytes(&seed.to_le_bytes()))
        .build()
        .expect("a runtime")
        .block_on(work)
}

fn seeds(usual: u64) -> u64 {
    std::env::var("TIDEWATER_SIM_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(usual)
}

/// Runs a statement until the network lets it through. What the node should know it must know at once.
async fn must(session: &mut Session, sql: &str) -> Answer {
    let mut tries = 0;
    loop {
        match run(session, sql).await {
            Ok(answer) => return answer,
            Err(error) => {
                tries += 1;
                assert!(tries < 20 && !UNKNOWN.contains(&error.code), "{sql}: {error}");
            }
        }
    }
}

/// Carries out a schema change whose answer may get lost: then it says that it is done already.
async fn change(session: &mut Session, sql: &str, done: u16) {
    let mut tries = 0;
    while let Err(error) = run(session, sql).await {
        tries += 1;
        assert!(tries < 20, "{sql}: {error}");
        if tries > 1 && error.code == done {
            return;
        }
    }
}

async fn fill(session: &mut Session, rows: u32) {
    must(session, "CREATE TABLE t (id INT PRIMARY KEY, a INT, b INT)").await;
    for first in (0..rows).step_by(1000) {
        let rows: Vec<_> = (first..rows.min(first + 1000)).map(|id| format!("({id}, {id}, {id})")).collect();
        must(session, &format!("REPLACE INTO t VALUES {}", rows.join(","))).await;
    }
}

/// Writes all the time, until told to stop; gives how many transactions committed.
async fn write(sql: Arc<Database>, number: u32, rows: u32, done: Arc<AtomicBool>) -> u32 {
    let mut session = root(&sql);
    let (mut step, mut committed) = (number, 0);
    while !done.load(Ordering::SeqCst) {
        step = step.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let id = (step >> 8) % rows;
        let begin = if step & 64 == 0 { "BEGIN" } else { "BEGIN OPTIMISTIC" };
        let statements = match (step >> 16) % 3 {
            0 => vec![format!("UPDATE t SET a = a + {rows}, b = b + 1 WHERE id = {id}")],
            1 => vec![
                begin.to_owned(),
                format!("DELETE FROM t WHERE id = {id}"),
                format!("INSERT INTO t (id, a, b) VALUES ({id}, {id} + {rows} * ({step} >> 12), 0)"),
                "COMMIT".to_owned(),
            ],
            _ => vec![
                begin.to_owned(),
                format!("UPDATE t SET a = a + {rows} WHERE id = {id}"),
                format!("DELETE FROM t WHERE id = ({id} + 1) % {rows}"),
                "COMMIT".to_owned(),
            ],
        };
        let mut failed = false;
        for statement in statements {
            // A statement may meet a schema change or a bad network: then it is as if it was never said.
            if run(&mut session, &statement).await.is_err() {
                let _ = run(&mut session, "ROLLBACK").await;
                failed = true;
                break;
            }
        }
        committed += u32::from(!failed);
        sleep(Duration::from_millis(u64::from(step >> 24) / 8)).await;
    }
    session.close().await;
    committed
}

async fn change_under_writes(seed: u64) {
    const ROWS: u32 = 40;
    let cluster = Cluster::new(seed, bad()).await;
    let (a, b) = tokio::join!(cluster.sql(1), cluster.sql(2));
    let (mut on_a, mut on_b) = (a.session(), b.session());
    let create = "CREATE TABLE t (id INT PRIMARY KEY, a INT, b INT)";
    change(&mut on_a, create, 1050).await;
    must(&mut on_b, "REPLACE INTO t VALUES (0, 0, 0)").await;
    for id in 1..ROWS {
        must(&mut on_a, &format!("REPLACE INTO t VALUES ({id}, {id}, {id})")).await;
    }
    let done = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = [&a, &b, &b]
        .into_iter()
        .zip(1u32..)
        .map(|(sql, number)| {
            let number = number + 100 * u32::try_from(seed).unwrap_or(0);
            tokio::spawn(write(Arc::clone(&sql.database), number, ROWS, Arc::clone(&done)))
        })
        .collect();
    change(&mut on_a, "ALTER TABLE t ADD COLUMN c INT DEFAULT 7", 1060).await;
    must(&mut on_b, "SELECT c FROM t WHERE id = 1").await;
    change(&mut on_a, "CREATE INDEX by_a ON t (a)", 1061).await;
    must(&mut on_b, "ADMIN CHECK TABLE t").await;
    change(&mut on_b, "CREATE UNIQUE INDEX by_a_id ON t (a, id)", 1061).await;
    must(&mut on_a, "ADMIN CHECK TABLE t").await;
    change(&mut on_b, "DROP INDEX by_a ON t", 1091).await;
    change(&mut on_a, "CREATE INDEX by_b ON t (b, a)", 1061).await;
    // Rows and the index are written anew, and back.
    for column in ["b DECIMAL(20, 0)", "b INT"] {
        change(&mut on_b, &format!("ALTER TABLE t MODIFY COLUMN {column}"), 0).await;
        must(&mut on_a, "ADMIN CHECK TABLE t").await;
    }
    done.store(true, Ordering::SeqCst);
    for writer in writers {
        assert!(writer.await.expect("a writer does not panic") > 0, "seed {seed}");
    }
    for session in [&mut on_a, &mut on_b] {
        must(session, "ADMIN CHECK TABLE t").await;
    }
    a.database.close().await;
    b.database.close().await;
}

#[test]
fn a_change_on_one_node_is_seen_on_the_other_and_indexes_agree_with_rows() {
    for seed in 1..=seeds(3) {
        simulate(seed, change_under_writes(seed));
    }
}

/// A node out of touch delays a change by its lease; what it sent before comes too late.
#[test]
fn a_node_that_hangs_is_waited_for_and_then_left_behind() {
    for seed in 1..=seeds(3) {
        simulate(seed, hang(seed));
    }
}

async fn hang(seed: u64) {
    let cluster = Cluster::new(seed, calm()).await;
    let a = cluster.sql(1).await;
    let b = cluster.sql(2).await;
    let (mut on_a, mut on_b) = (a.session(), b.session());
    fill(&mut on_a, 100).await;
    for statement in ["BEGIN OPTIMISTIC", "UPDATE t SET a = 1000 WHERE id = 5", "DELETE FROM t WHERE id = 7"]
    {
        must(&mut on_b, statement).await;
    }
    b.plug(false);
    let late = tokio::spawn(async move { run(&mut on_b, "COMMIT").await });
    let begun = Instant::now();
    must(&mut on_a, "CREATE INDEX by_a ON t (a)").await;
    let waited = begun.elapsed();
    assert!(waited > Duration::from_secs(4) && waited < LEASE_MAX, "{waited:?}");
    // Long out of lease: the node commits nothing, and says so.
    let error = b.spawn("INSERT INTO t VALUES (1000, 1, 1)").await.expect("no panic").expect_err("no lease");
    assert_eq!(error.code, 8027, "{error}");
    // The next change waits for nobody.
    let begun = Instant::now();
    must(&mut on_a, "CREATE INDEX by_b ON t (b)").await;
    assert!(begun.elapsed() < Duration::from_secs(2));
    b.plug(true);
    let error = late.await.expect("no panic").expect_err("the commit is too late");
    assert!([8028, 8501, 9005, 8022].contains(&error.code), "{error}");
    must(&mut on_a, "ADMIN CHECK TABLE t").await;
    // It finds back.
    let mut on_b = b.session();
    must(&mut on_b, "INSERT INTO t VALUES (1001, 1, 1)").await;
    must(&mut on_b, "ADMIN CHECK TABLE t").await;
    must(&mut on_a, "ADMIN CHECK TABLE t").await;
    let rows = must(&mut on_a, "SELECT a FROM t WHERE id IN (5, 7) ORDER BY id").await;
    assert_eq!(rows, Answer::Rows(vec![vec!["5".to_owned()], vec!["7".to_owned()]]));
    a.database.close().await;
    b.database.close().await;
}

/// Waits until a backfill has done some rows and has some to do.
async fn wait_for_backfill(session: &mut Session) {
    loop {
        let Answer::Rows(jobs) = must(session, "ADMIN SHOW DDL JOBS 1").await else { panic!("rows") };
        if jobs.iter().any(|job| job.iter().any(|field| field == "2048")) {
            return;
        }
        sleep(Duration::from_millis(1)).await;
    }
}

#[test]
fn another_node_takes_over_amid_a_backfill() {
    for seed in 1..=seeds(2) {
        simulate(seed, take_over(seed));
    }
}

async fn take_over(seed: u64) {
    let cluster = Cluster::new(seed, calm()).await;
    let a = cluster.sql(1).await;
    let b = cluster.sql(2).await;
    let mut on_b = b.session();
    fill(&mut on_b, 7_000).await;
    let begun = Instant::now();
    let altered = b.spawn("CREATE INDEX by_a ON t (a)");
    wait_for_backfill(&mut on_b).await;
    a.plug(false);
    altered.await.expect("no panic").expect("the other node finishes");
    assert!(begun.elapsed() > Duration::from_secs(5) && begun.elapsed() < Duration::from_secs(30));
    must(&mut on_b, "ADMIN CHECK TABLE t").await;
    // The old owner wakes up in the midst of a batch that is done.
    a.plug(true);
    sleep(Duration::from_secs(5)).await;
    let mut on_a = a.session();
    must(&mut on_a, "CREATE TABLE after (id INT PRIMARY KEY)").await;
    must(&mut on_b, "INSERT INTO after VALUES (1)").await;
    must(&mut on_a, "ADMIN CHECK TABLE t").await;
    a.database.close().await;
    b.database.close().await;
}

#[test]
fn rows_come_and_go_while_their_column_changes_its_type() {
    simulate(1, async {
        let cluster = Cluster::new(1, calm()).await;
        let a = cluster.sql(1).await;
        let b = cluster.sql(2).await;
        let (mut on_a, mut on_b) = (a.session(), b.session());
        must(&mut on_a, "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20), UNIQUE by_v (v))").await;
        for first in (0..7_000).step_by(1000) {
            let rows: Vec<_> = (first..first + 1000).map(|id| format!("({id}, '{id}')")).collect();
            must(&mut on_a, &format!("INSERT INTO t VALUES {}", rows.join(","))).await;
        }
        must(&mut on_a, "UPDATE t SET v = 'ten' WHERE id = 6998").await;
        must(&mut on_a, "UPDATE t SET v = NULL WHERE id = 6999").await;
        let altered = b.spawn("ALTER TABLE t MODIFY COLUMN v INT NOT NULL");
        wait_for_backfill(&mut on_b).await;
        for on in [&mut on_a, &mut on_b] {
            for (value, code) in [("'eleven'", 1265), ("NULL", 1048), ("'007'", 1062)] {
                let error = run(on, &format!("INSERT INTO t VALUES (8000, {value})")).await;
                assert_eq!(error.expect_err("it does not fit").code, code, "{value}");
            }
        }
        // What could not be changed is no hindrance once it is gone.
        must(&mut on_a, "DELETE FROM t WHERE id = 6998").await;
        must(&mut on_b, "UPDATE t SET v = '9000' WHERE id = 6999").await;
        must(&mut on_b, "INSERT INTO t VALUES (8000, '08000')").await;
        altered.await.expect("no panic").expect("all rows can be changed");
        for on in [&mut on_a, &mut on_b] {
            must(on, "ADMIN CHECK TABLE t").await;
            let rows = must(on, "SELECT id FROM t WHERE v IN (6998, 8000, 9000) ORDER BY v").await;
            assert_eq!(rows, Answer::Rows(vec![vec!["8000".to_owned()], vec!["6999".to_owned()]]));
        }
        a.database.close().await;
        b.database.close().await;
    });
}

#[test]
fn reads_of_the_past_go_by_the_schema_of_then() {
    simulate(1, async {
        let cluster = Cluster::new(1, calm()).await;
        let a = cluster.sql(1).await;
        let b = cluster.sql(2).await;
        let (mut on_a, mut on_b) = (a.session(), b.session());
        must(&mut on_a, "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20))").await;
        must(&mut on_a, "INSERT INTO t VALUES (1, '007')").await;
        must(&mut on_a, "BEGIN").await;
        let Answer::Rows(rows) = must(&mut on_a, "SELECT @@tidb_current_ts").await else { panic!("rows") };
        must(&mut on_a, "COMMIT").await;
        let then = rows[0][0].clone();
        sleep(Duration::from_secs(2)).await;
        must(&mut on_a, "ALTER TABLE t MODIFY COLUMN v INT").await;
        must(&mut on_a, "ALTER TABLE t ADD COLUMN w INT DEFAULT 5").await;
        must(&mut on_b, "INSERT INTO t VALUES (2, 8, 9)").await;
        // A node that has come since has to ask the store.
        let c = cluster.sql(3).await;
        let mut on_c = c.session();
        for on in [&mut on_a, &mut on_b, &mut on_c] {
            must(on, &format!("SET tidb_snapshot = '{then}'")).await;
            let rows = must(on, "SELECT * FROM t").await;
            assert_eq!(rows, Answer::Rows(vec![vec!["1".to_owned(), "007".to_owned()]]));
            assert_eq!(run(on, "SELECT w FROM t").await.expect_err("there was none").code, 1054);
            assert_eq!(run(on, "DELETE FROM t").await.expect_err("it is past").code, 1105);
            must(on, "SET tidb_snapshot = ''").await;
            let rows = must(on, "SELECT SUM(v), SUM(w) FROM t").await;
            assert_eq!(rows, Answer::Rows(vec![vec!["15".to_owned(), "14".to_owned()]]));
        }
        for sql in [a, b, c] {
            sql.database.close().await;
        }
    });
}

#[test]
fn a_change_that_another_node_carries_out_can_be_killed() {
    simulate(1, async {
        let cluster = Cluster::new(1, calm()).await;
        let a = cluster.sql(1).await;
        let b = cluster.sql(2).await;
        let mut on_b = b.session();
        fill(&mut on_b, 20_000).await;
        let altered = b.spawn("CREATE INDEX by_a ON t (a)");
        wait_for_backfill(&mut on_b).await;
        for process in b.database.processes().list() {
            process.kill_query();
        }
        let error = altered.await.expect("no panic").expect_err("it was killed");
        assert_eq!(error.code, 1317, "{error}");
        let mut on_a = a.session();
        must(&mut on_a, "ADMIN CHECK TABLE t").await;
        must(&mut on_a, "CREATE INDEX by_a ON t (a)").await;
        a.database.close().await;
        b.database.close().await;
    });
}

#[test]
fn accounts_and_variables_reach_the_other_node() {
    simulate(1, async {
        let cluster = Cluster::new(1, bad()).await;
        let (a, b) = tokio::join!(cluster.sql(1), cluster.sql(2));
        let mut on_a = a.session();
        change(&mut on_a, "CREATE USER ann IDENTIFIED BY 'x'", 1396).await;
        must(&mut on_a, "GRANT SELECT ON test.* TO ann").await;
        must(&mut on_a, "SET GLOBAL max_connections = 77").await;
        sleep(Duration::from_secs(2)).await;
        assert!(b.database.lookup_user("ann", "127.0.0.1").is_some());
        assert_eq!(b.database.global_variable("max_connections").as_deref(), Some("77"));
        a.database.close().await;
        b.database.close().await;
    });
}

#[test]
fn an_empty_cluster_is_set_up_once() {
    for seed in 1..=seeds(3) {
        simulate(seed, async move {
            let cluster = Cluster::new(seed, calm()).await;
            let (a, b) = tokio::join!(cluster.sql(1), cluster.sql(2));
            let mut on_b = b.session();
            let users = must(&mut on_b, "SELECT user FROM mysql.user").await;
            assert_eq!(users, Answer::Rows(vec![vec!["root".to_owned()]]));
            let Answer::Rows(jobs) = must(&mut on_b, "ADMIN SHOW DDL JOBS 100").await else { panic!("rows") };
            assert_eq!(jobs.len(), 6, "{jobs:?}");
            a.database.close().await;
            b.database.close().await;
        });
    }
}

#[test]
fn nobody_waits_for_a_node_that_was_closed() {
    simulate(1, async {
        let cluster = Cluster::new(1, calm()).await;
        let a = cluster.sql(1).await;
        let b = cluster.sql(2).await;
        a.database.close().await;
        let begun = Instant::now();
        must(&mut b.session(), "CREATE TABLE t (id INT PRIMARY KEY)").await;
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
        b.database.close().await;
    });
}

#[test]
fn each_node_knows_where_the_others_are() {
    simulate(7, async {
        let cluster = Cluster::new(7, calm()).await;
        let (one, two) = (cluster.sql(1).await, cluster.sql(2).await);
        one.database.announce("one:4000", "one:10080");
        two.database.announce("two:4000", "two:10080");
        // What a node says of itself is written with its next renewal.
        sleep(Duration::from_secs(2)).await;
        let ask = "SELECT instance, status_address FROM information_schema.cluster_info WHERE type = 'tidb' ORDER BY 1";
        for sql in [&one, &two] {
            let Answer::Rows(rows) = must(&mut sql.session(), ask).await else { panic!("rows") };
            assert_eq!(rows, [["one:4000", "one:10080"], ["two:4000", "two:10080"]]);
        }
        two.database.close().await;
        let Answer::Rows(rows) = must(&mut one.session(), ask).await else { panic!("rows") };
        assert_eq!(rows, [["one:4000", "one:10080"]]);
        one.database.close().await;
    });
}
