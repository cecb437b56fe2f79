//! The clients: some move money between accounts and look at all of it, others write rows into a ledger that only grows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, Opts, TxOpts};
use tokio::task::JoinHandle;

use super::random::Random;
use super::record::{Meaning, Record};

/// Accounts, and what is in each at first.
const ACCOUNTS: u64 = 60;
const STAKE: i64 = 1000;
/// Rows of the ledger are spread over so many ranges of ids, each of which begins as a region.
const RANGES: u64 = 8;
const RANGE_IDS: u64 = 1_000_000_000;
/// A client that has no answer after this long gives its connection up.
const STATEMENT_PATIENCE: Duration = Duration::from_secs(20);
/// How long all that is asked at the end may take.
const CHECK_PATIENCE: Duration = Duration::from_secs(120);
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
const RETRY_PAUSE: Duration = Duration::from_millis(30);

/// The clients, and what they were told.
pub struct Load {
    /// What they were told.
    pub record: Arc<Record>,
    /// How many of them write the ledger.
    pub writers: u64,
    nodes: Vec<Opts>,
    stop: AtomicBool,
    next_row: AtomicU64,
}

/// Why a check has no result.
pub struct Trouble {
    /// For people.
    pub what: String,
    /// Whether it may be over in a moment.
    pub may_be_tried_again: bool,
}

/// Why a client's work was not done.
enum Failure {
    Told(Error),
    Patience,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Told(error)
    }
}

impl Load {
    /// Makes the tables.
    pub async fn set_up(nodes: Vec<Opts>, writers: u64) -> Result<Self, Error> {
        let mut conn = Conn::new(nodes[0].clone()).await?;
        for statement in [
            "CREATE DATABASE chaos",
            "CREATE TABLE chaos.account (id BIGINT PRIMARY KEY, balance BIGINT, KEY by_balance (balance))",
            "CREATE TABLE chaos.ledger (id BIGINT PRIMARY KEY, writer INT, note VARCHAR(60), KEY by_writer (writer, id))",
        ] {
            conn.query_drop(statement).await?;
        }
        let end = RANGES * RANGE_IDS;
        conn.query_drop(format!("SPLIT TABLE chaos.ledger BETWEEN (0) AND ({end}) REGIONS {RANGES}")).await?;
        let (third, two_thirds) = (ACCOUNTS / 3, ACCOUNTS * 2 / 3);
        conn.query_drop(format!("SPLIT TABLE chaos.account BY ({third}), ({two_thirds})")).await?;
        let rows: Vec<_> = (0..ACCOUNTS).map(|id| format!("({id}, {STAKE})")).collect();
        conn.query_drop(format!("INSERT INTO chaos.account VALUES {}", rows.join(", "))).await?;
        conn.disconnect().await?;
        Ok(Self {
            record: Arc::default(),
            writers,
            nodes,
            stop: AtomicBool::new(false),
            next_row: AtomicU64::new(0),
        })
    }

    /// Starts all clients: as many that move money as write the ledger.
    pub fn start(self: &Arc<Self>, seed: u64) -> Vec<JoinHandle<()>> {
        let mut clients = Vec::new();
        for client in 0..self.writers {
            clients.push(tokio::spawn(self.clone().work(client, Random::new(seed * 1000 + client), true)));
            clients.push(tokio::spawn(self.clone().work(client, Random::new(seed * 2000 + client), false)));
        }
        clients
    }

    /// Tells all clients to stop.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    async fn work(self: Arc<Self>, client: u64, mut random: Random, writes: bool) {
        let mut conn: Option<Conn> = None;
        let mut node = client as usize;
        while !self.stop.load(Ordering::Relaxed) {
            let done = match &mut conn {
                None => {
                    node += 1;
                    match connect(&self.nodes[node % self.nodes.len()]).await {
                        Ok(open) => {
                            conn = Some(open);
                            continue;
                        }
                        Err(failure) => Err(failure),
                    }
                }
                Some(open) if writes => self.append(open, client).await,
                Some(open) => self.bank(open, &mut random).await,
            };
            match done {
                Ok(()) => continue,
                Err(Failure::Patience) => {
                    self.record.count_timeout();
                    conn = None;
                }
                // The connection of a refused statement is as good as before.
                Err(Failure::Told(error)) if self.record.count(&error) == Meaning::Refused => {
                    if let Some(open) = &mut conn
                        && patiently(open.query_drop("ROLLBACK")).await.is_err()
                    {
                        conn = None;
                    }
                }
                Err(Failure::Told(_)) => conn = None,
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    /// One row more.
    async fn append(&self, conn: &mut Conn, writer: u64) -> Result<(), Failure> {
        let number = self.next_row.fetch_add(1, Ordering::Relaxed);
        let row = number % RANGES * RANGE_IDS + number;
        let insert = "INSERT INTO chaos.ledger VALUES (?, ?, REPEAT('x', 40))";
        let done = patiently(conn.exec_drop(insert, (row, writer))).await;
        match &done {
            Ok(()) => self.record.acknowledge(writer, row),
            Err(Failure::Told(error)) if super::record::meaning(error) == Meaning::Refused => {
                self.record.refuse(row);
            }
            Err(_) => {}
        }
        done
    }

    async fn bank(&self, conn: &mut Conn, random: &mut Random) -> Result<(), Failure> {
        match random.below(8) {
            0 => patiently(self.look(conn)).await,
            1 => patiently(self.look_one_by_one(conn)).await,
            _ => {
                let (from, to) = (random.below(ACCOUNTS), random.below(ACCOUNTS));
                let mode = random.pick(&["PESSIMISTIC", "OPTIMISTIC"]);
                patiently(transfer(conn, mode, from, to)).await?;
                self.record.transferred();
                Ok(())
            }
        }
    }

    /// All money in one statement, by the table and by its index.
    async fn look(&self, conn: &mut Conn) -> Result<(), Error> {
        let sums = "SELECT COUNT(*), CAST(SUM(balance) AS SIGNED) FROM chaos.account";
        let by_index = format!("{sums} USE INDEX (by_balance) WHERE balance > -1000000000");
        for query in [sums, &by_index] {
            let found: Option<(u64, i64)> = conn.query_first(query).await?;
            if found != Some((ACCOUNTS, ACCOUNTS as i64 * STAKE)) {
                self.record.violate(format!("half a transfer is seen: {query} gives {found:?}"));
            }
        }
        self.record.looked();
        Ok(())
    }

    /// All money, each account by a statement of its own, in one transaction.
    async fn look_one_by_one(&self, conn: &mut Conn) -> Result<(), Error> {
        let mut open = conn.start_transaction(TxOpts::default()).await?;
        let mut sum = 0;
        for id in 0..ACCOUNTS {
            let query = "SELECT balance FROM chaos.account WHERE id = ?";
            let balance: Option<i64> = open.exec_first(query, (id,)).await?;
            sum += balance.unwrap_or_default();
        }
        open.commit().await?;
        if sum != ACCOUNTS as i64 * STAKE {
            self.record.violate(format!("a transaction that read all accounts one by one found {sum}"));
        }
        self.record.looked();
        Ok(())
    }

    /// What must be so at the end, asked of one SQL node.
    pub async fn check(&self, node: usize) -> Result<(), Trouble> {
        match tokio::time::timeout(CHECK_PATIENCE, self.check_all(node)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                let may_be_tried_again = self.record.count(&error) != Meaning::Forbidden;
                Err(Trouble { what: error.to_string(), may_be_tried_again })
            }
            Err(_) => Err(Trouble { what: "no answer in time".to_owned(), may_be_tried_again: false }),
        }
    }

    async fn check_all(&self, node: usize) -> Result<(), Error> {
        let mut conn = Conn::new(self.nodes[node].clone()).await?;
        self.look(&mut conn).await?;
        self.look_one_by_one(&mut conn).await?;
        let present: Vec<u64> = conn.query("SELECT id FROM chaos.ledger").await?;
        let by_index = "SELECT id FROM chaos.ledger USE INDEX (by_writer) WHERE writer >= 0";
        let indexed: Vec<u64> = conn.query(by_index).await?;
        for (place, found) in [("table", present), ("index", indexed)] {
            let found = found.into_iter().collect();
            let lost: Vec<_> = self.record.rows().difference(&found).copied().collect();
            if !lost.is_empty() {
                self.record
                    .violate(format!("{} acknowledged rows are not in the {place}: {lost:?}", lost.len()));
            }
            let undead: Vec<_> = self.record.refused().intersection(&found).copied().collect();
            if !undead.is_empty() {
                self.record.violate(format!("{} refused rows are in the {place}: {undead:?}", undead.len()));
            }
        }
        conn.query_drop("ADMIN CHECK TABLE chaos.account, chaos.ledger").await?;
        // A write to every account: nobody's locks are left.
        conn.query_drop("UPDATE chaos.account SET balance = balance + 1").await?;
        conn.query_drop("UPDATE chaos.account SET balance = balance - 1").await?;
        conn.disconnect().await
    }
}

async fn connect(node: &Opts) -> Result<Conn, Failure> {
    match tokio::time::timeout(CONNECT_PATIENCE, Conn::new(node.clone())).await {
        Ok(conn) => Ok(conn?),
        Err(_) => Err(Failure::Patience),
    }
}

async fn patiently<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Failure> {
    match tokio::time::timeout(STATEMENT_PATIENCE, work).await {
        Ok(done) => Ok(done?),
        Err(_) => Err(Failure::Patience),
    }
}

async fn transfer(conn: &mut Conn, mode: &str, from: u64, to: u64) -> Result<(), Error> {
    conn.query_drop(format!("BEGIN {mode}")).await?;
    conn.exec_drop("UPDATE chaos.account SET balance = balance - 1 WHERE id = ?", (from,)).await?;
    conn.exec_drop("UPDATE chaos.account SET balance = balance + 1 WHERE id = ?", (to,)).await?;
    conn.query_drop("COMMIT").await
}
