//! Clients of SQL nodes that write down what they do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::SmallRng;
use tidewater_session::Session;
use tidewater_txn::TxnKind;
use tidewater_types::SqlError;

use super::{LOOK, SqlHost, UNDETERMINED, connect, is_wrong, say};
use crate::history::{History, Outcome, Value};
use crate::life::Life;
use crate::workload::{Change, Plan, SqlTable, Workload, id, row};

/// How often a client looks for a node that runs before it lets a step pass.
const LOOKS: usize = 40;
/// Who gives up on a commit does so after at most so long.
const IMPATIENCE_MILLIS_MAX: u64 = 60;
/// No such table, no such database.
const NOT_YET: [u16; 2] = [1146, 1049];
/// How long a transaction waits between its begin and its work that takes its time.
const LINGERING_MILLIS: std::ops::Range<u64> = 100..2_000;

/// One who works through its share, one transaction after the other, at whatever node there is.
pub(crate) struct SqlWorker {
    pub(crate) hosts: Vec<Arc<SqlHost>>,
    pub(crate) history: Arc<History>,
    pub(crate) table: SqlTable,
    pub(crate) rng: SmallRng,
    pub(crate) number: usize,
}

/// A connection to a node for as long as that lives.
struct Connection {
    session: Session,
    life: Life,
}

impl SqlWorker {
    pub(crate) async fn work(mut self, steps: usize) {
        let mut connection = None;
        for _ in 0..steps {
            if connection.as_ref().is_none_or(|known: &Connection| known.life.is_over()) {
                connection = self.connect().await;
            }
            let Some(mut known) = connection.take() else { continue };
            let life = known.life.clone();
            // Who loses a connection drops the session in the middle of what it does.
            let keeps = tokio::select! {
                biased;
                () = life.ended() => false,
                keeps = self.step(&mut known.session) => keeps,
            };
            connection = keeps.then_some(known);
        }
    }

    async fn connect(&mut self) -> Option<Connection> {
        for look in 0..LOOKS {
            let host = &self.hosts[(self.number + look) % self.hosts.len()];
            if let Some((database, life)) = host.running() {
                let mut session = self.history.expect("a connection", connect(&database))?;
                if let Some(set) = settings(self.number) {
                    // Nobody else is asked for that.
                    self.history.expect(set, say(&mut session, set).await)?;
                }
                return Some(Connection { session, life });
            }
            tokio::time::sleep(LOOK).await;
        }
        None
    }

    /// Gives whether the connection is kept.
    async fn step(&mut self, session: &mut Session) -> bool {
        let workload = Workload::Sql(self.table);
        match self.rng.random_range(0..10) {
            0..=2 => {
                let plan = workload.reading(&mut self.rng);
                self.read_all(session, plan.kind).await;
                true
            }
            3 => {
                let is_stale = self.rng.random_bool(0.5);
                self.read_at_once(session, is_stale).await;
                true
            }
            _ => {
                let plan = workload.plan(&mut self.rng);
                self.transact(session, plan).await
            }
        }
    }

    /// Reads everything in as many ways as there are, and the ledger, in one snapshot.
    async fn read_all(&mut self, session: &mut Session, kind: TxnKind) {
        let began = self.history.tick();
        let Some(number) = self.begin(session, kind, began).await else { return };
        self.linger().await;
        let mut ways = vec![self.table.read()];
        ways.extend(self.table.detours());
        // The first one reads all there is before the detours do.
        let first = self.rng.random_range(0..ways.len());
        ways.rotate_left(first);
        for sql in ways {
            match say(session, sql).await {
                Ok(answer) => self.see(number, sql, self.all(&answer.rows)),
                Err(error) => self.complain(sql, &error),
            }
        }
        let sql = "SELECT number FROM done";
        match say(session, sql).await {
            Ok(answer) => {
                let ledger: BTreeSet<usize> =
                    answer.rows.iter().flatten().filter_map(|number| number.parse().ok()).collect();
                self.history.note(number, |txn| txn.ledger = Some(ledger));
            }
            Err(error) => self.complain(sql, &error),
        }
        self.end(session, "COMMIT").await;
    }

    /// Now and then a transaction takes its time, and the schema changes meanwhile.
    async fn linger(&mut self) {
        if self.rng.random_bool(0.2) {
            let pause = self.rng.random_range(LINGERING_MILLIS);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    /// A statement of its own, with a snapshot of its own, or with one that is a second old.
    async fn read_at_once(&mut self, session: &mut Session, is_stale: bool) {
        let began = self.history.tick();
        let sql = self.table.read();
        if is_stale {
            self.end(session, "SET tidb_read_staleness = -1").await;
        }
        match say(session, sql).await {
            // Before there were any, or the table.
            Ok(answer) if is_stale && answer.rows.is_empty() => {}
            Err(error) if is_stale && NOT_YET.contains(&error.code) => {}
            Ok(answer) => {
                let number = self.history.begin(TxnKind::Optimistic, began, 0);
                self.history.note(number, |txn| txn.is_stale = is_stale);
                self.see(number, sql, self.all(&answer.rows));
            }
            Err(error) => self.complain(sql, &error),
        }
        if is_stale {
            self.end(session, "SET tidb_read_staleness = 0").await;
        }
    }

    /// Every row there can be, and what it holds.
    fn all(&self, rows: &[Vec<String>]) -> BTreeMap<String, Value> {
        let keys = Workload::Sql(self.table).keys();
        let mut values: BTreeMap<String, Value> = keys.into_iter().map(|key| (key, None)).collect();
        values.extend(found(rows));
        values
    }

    /// Notes what was read; by whatever way, it is the same in one transaction.
    fn see(&self, number: usize, sql: &str, values: BTreeMap<String, Value>) {
        let differs = self.history.note(number, |txn| {
            let differs =
                values.iter().any(|(key, value)| txn.reads.get(key).is_some_and(|seen| seen != value));
            let before = differs.then(|| txn.reads.clone());
            txn.reads.extend(values.clone());
            before
        });
        if let Some(before) = differs {
            self.history.accuse(format!("transaction {number} saw {before:?}, and by {sql:?} {values:?}"));
        }
    }

    async fn begin(&self, session: &mut Session, kind: TxnKind, began: u64) -> Option<usize> {
        let sql = match kind {
            TxnKind::Optimistic => "BEGIN OPTIMISTIC",
            TxnKind::Pessimistic => "BEGIN PESSIMISTIC",
        };
        for sql in [sql, "SELECT 1 FROM done WHERE number = -1"] {
            if let Err(error) = say(session, sql).await {
                self.complain(sql, &error);
                self.end(session, "ROLLBACK").await;
                return None;
            }
        }
        let start = say(session, "SELECT @@tidb_current_ts").await.ok()?;
        let start_ts = start.rows.first()?.first()?.parse().ok()?;
        Some(self.history.begin(kind, began, start_ts))
    }

    /// Gives whether the connection is kept.
    async fn transact(&mut self, session: &mut Session, plan: Plan) -> bool {
        let began = self.history.tick();
        let Some(number) = self.begin(session, plan.kind, began).await else { return true };
        if let Err((sql, error)) = self.body(session, number, &plan).await {
            self.complain(&sql, &error);
            self.history.note(number, |txn| txn.said = format!("{sql}: {error}"));
            self.end(session, "ROLLBACK").await;
            return true;
        }
        self.commit(session, number).await
    }

    async fn body(
        &mut self,
        session: &mut Session,
        number: usize,
        plan: &Plan,
    ) -> Result<(), (String, SqlError)> {
        if !plan.reads.is_empty() {
            let ids: Vec<&str> = plan.reads.iter().map(|key| id(key)).collect();
            let sql = format!("{} WHERE id IN ({})", self.table.read(), ids.join(", "));
            let answer = said(session, sql).await?;
            let mut values: BTreeMap<String, Value> =
                plan.reads.iter().map(|key| (key.clone(), None)).collect();
            values.extend(found(&answer.rows));
            self.history.note(number, |txn| txn.reads.extend(values));
        }
        self.linger().await;
        let ledger = format!("INSERT INTO done VALUES ({number})");
        let ledger_first = self.rng.random_bool(0.5);
        if ledger_first {
            said(session, ledger.clone()).await?;
        }
        for change in self.table.changes(number, &plan.updates, &mut self.rng) {
            self.change(session, number, plan.kind, change).await?;
        }
        if !ledger_first {
            said(session, ledger).await?;
        }
        Ok(())
    }

    async fn change(
        &mut self,
        session: &mut Session,
        number: usize,
        kind: TxnKind,
        change: Change,
    ) -> Result<(), (String, SqlError)> {
        let Change { row, sql, writes } = change;
        let is_first = !self.history.note(number, |txn| txn.writes.contains_key(&row));
        if kind == TxnKind::Pessimistic && is_first && self.rng.random_bool(0.3) {
            let sql = format!("{} WHERE id = {} FOR UPDATE", self.table.read(), id(&row));
            let answer = said(session, sql).await?;
            let value = found(&answer.rows).remove(&row).flatten();
            self.history.note(number, |txn| txn.locked.insert(row.clone(), value));
        }
        let answer = said(session, sql).await?;
        if answer.affected == 0 {
            return Ok(());
        }
        self.history.note(number, |txn| match txn.writes.get_mut(&row) {
            // One element after the other.
            Some(Some(before)) if self.table == SqlTable::Lists => {
                *before = format!("{before} {}", writes.unwrap_or_default());
            }
            _ => drop(txn.writes.insert(row, writes)),
        });
        Ok(())
    }

    /// Gives whether the connection is kept: who loses patience drops it.
    async fn commit(&mut self, session: &mut Session, number: usize) -> bool {
        self.history.note(number, |txn| txn.outcome = Outcome::Unknown);
        let patience = match self.rng.random_bool(0.04) {
            true => Duration::from_millis(self.rng.random_range(1..IMPATIENCE_MILLIS_MAX)),
            false => Duration::from_secs(3_600),
        };
        let result = tokio::time::timeout(patience, say(session, "COMMIT")).await;
        let ended = self.history.tick();
        let outcome = match &result {
            // The nodes keep its timestamp to themselves.
            Ok(Ok(_)) => Outcome::Committed(0),
            Ok(Err(error)) if error.code != UNDETERMINED => Outcome::Aborted,
            Ok(Err(_)) | Err(_) => Outcome::Unknown,
        };
        if let Ok(Err(error)) = &result {
            self.complain("COMMIT", error);
        }
        self.history.note(number, |txn| {
            txn.outcome = outcome;
            if let Ok(Err(error)) = &result {
                txn.said = error.to_string();
            }
            if matches!(outcome, Outcome::Committed(_)) {
                txn.ended = ended;
            }
        });
        result.is_ok()
    }

    /// Says what changes nothing.
    async fn end(&self, session: &mut Session, sql: &str) {
        if let Err(error) = say(session, sql).await {
            self.complain(sql, &error);
        }
    }

    fn complain(&self, sql: &str, error: &SqlError) {
        if is_wrong(error) {
            self.history.accuse(format!("client {}: {sql}: {error}", self.number));
        }
    }
}

/// Different clients read at different replicas.
const fn settings(number: usize) -> Option<&'static str> {
    match number % 3 {
        1 => Some("SET tidb_replica_read = 'leader-and-follower'"),
        2 => Some("SET tidb_replica_read = 'follower'"),
        _ => None,
    }
}

async fn said(session: &mut Session, sql: String) -> Result<super::Answer, (String, SqlError)> {
    say(session, &sql).await.map_err(|error| (sql, error))
}

/// The rows that are there. A value of several columns is one text.
fn found(rows: &[Vec<String>]) -> BTreeMap<String, Value> {
    let rows = rows.iter().filter_map(|columns| columns.split_first());
    rows.map(|(id, values)| (row(id), Some(values.join(":")))).collect()
}
