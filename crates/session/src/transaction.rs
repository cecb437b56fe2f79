//! The session's open transaction: kind, snapshot of each statement, savepoints, and the check at commit that the
//! tables it wrote are still as it saw them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tidewater_catalog::{InfoSchema, TableInfo};
use tidewater_codec::{CommitTs, StartTs, TableId, table_key};
use tidewater_distsql::{DirtyCopy, DirtyRows};
use tidewater_txn::{
    CommitGate, CommitPass, Isolation as ReadIsolation, Refusal, Snapshot, Stage, Transaction, TxnError,
    TxnKind, TxnOptions,
};
use tidewater_types::SqlError;

use crate::database::Database;
use crate::dml::DmlError;
use crate::error::{SCHEMA_CHANGED, SCHEMA_OUT_OF_DATE, from_ddl, from_exec, from_txn, tidb_error};
use crate::query::Planned;
use crate::session::Session;
use crate::variables::Isolation;

/// How long a statement waits for a table that cannot be written to: longer than the lease of a SQL node that has gone
/// without a word, for which the schema change waits.
const WRITABLE_PATIENCE: Duration = Duration::from_secs(15);
/// How often it looks.
const WRITABLE_INTERVAL: Duration = Duration::from_millis(5);

/// Settings of `SET TRANSACTION` and `BEGIN` for one transaction.
#[derive(Debug, Clone, Default)]
pub(crate) struct NextTransaction {
    isolation: Option<Isolation>,
    read_only: Option<bool>,
    pub(crate) pessimistic: Option<bool>,
}

impl NextTransaction {
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        match name {
            "transaction_isolation" => {
                self.isolation = Some(match value {
                    "READ-COMMITTED" | "READ-UNCOMMITTED" => Isolation::ReadCommitted,
                    _ => Isolation::RepeatableRead,
                });
            }
            "transaction_read_only" => self.read_only = Some(value == "ON"),
            _ => {}
        }
    }

    /// Whether the next transaction differs from the session's others.
    pub(crate) fn is_set(&self) -> bool {
        self.isolation.is_some() || self.read_only.is_some() || self.pessimistic.is_some()
    }
}

/// A transaction under way.
pub(crate) struct OpenTransaction {
    pub(crate) txn: Transaction,
    /// The schema when it began.
    schema: Arc<InfoSchema>,
    pub(crate) isolation: Isolation,
    pub(crate) read_only: bool,
    /// The tables written or locked, as they were when that first happened.
    touched: BTreeMap<TableId, Arc<TableInfo>>,
    savepoints: Vec<(String, Stage)>,
}

impl OpenTransaction {
    /// Notes a table that the transaction locks rows of.
    pub(crate) fn touch(&mut self, table: &Arc<TableInfo>) {
        self.touched.entry(table.id).or_insert_with(|| Arc::clone(table));
    }

    /// Notes a table that the transaction writes to.
    ///
    /// # Errors
    /// It cannot be written to until its next version: the transaction has to begin anew (see
    /// [`Session::until_writable`]).
    pub(crate) fn touch_to_write(&mut self, table: &Arc<TableInfo>) -> Result<(), TxnError> {
        self.touch(table);
        if table.writes_wait {
            return Err(TxnError::CommitRefused { reason: SCHEMA_CHANGED.to_owned() });
        }
        Ok(())
    }

    pub(crate) fn is_pessimistic(&self) -> bool {
        self.txn.is_pessimistic()
    }

    /// Where a statement that writes or locks reads. A pessimistic transaction reads at its `for_update_ts`, and stops
    /// at locks of commits under way: reading around them would show a value that is being replaced, at a time from
    /// which the lock would find no conflict, and the other's update would be lost.
    pub(crate) fn writer_snapshot(&self) -> Snapshot {
        if self.is_pessimistic() {
            self.txn.snapshot_at(StartTs(self.txn.for_update_ts()), ReadIsolation::Snapshot)
        } else {
            self.txn.snapshot().clone()
        }
    }

    /// Whether the transaction has written to a table.
    pub(crate) fn is_dirty(&self, table: TableId) -> bool {
        self.touched.contains_key(&table)
            && self.txn.buffer().range(&table_key::table_range(table)).next().is_some()
    }

    /// A copy of what the transaction has written to these tables.
    pub(crate) fn dirty_copy(&self, tables: &[TableId]) -> Option<Arc<dyn DirtyRows>> {
        if self.txn.buffer().is_empty() {
            return None;
        }
        let ranges: Vec<_> = tables.iter().map(|table| table_key::table_range(*table)).collect();
        Some(Arc::new(DirtyCopy::new(self.txn.buffer(), &ranges)))
    }
}

/// Lets a commit through while the tables it writes to are as the transaction saw them, and keeps them so until it is through.
struct SchemaGate {
    db: Arc<Database>,
    touched: BTreeMap<TableId, Arc<TableInfo>>,
}

#[async_trait]
impl CommitGate for SchemaGate {
    async fn enter(&self, commit: CommitTs) -> Result<CommitPass, Refusal> {
        let held = self.db.ddl().hold_schema(commit).await;
        let (guard, latest) = held.map_err(|_| Refusal::Unsure(SCHEMA_OUT_OF_DATE.to_owned()))?;
        if !are_unchanged(&self.touched, &self.db.schema()) {
            return Err(Refusal::Changed(SCHEMA_CHANGED.to_owned()));
        }
        Ok(CommitPass { latest, held: Box::new(guard) })
    }
}

fn are_unchanged(touched: &BTreeMap<TableId, Arc<TableInfo>>, schema: &InfoSchema) -> bool {
    touched.iter().all(|(id, seen)| {
        schema
            .table_by_id(*id)
            .is_some_and(|current| Arc::ptr_eq(current, seen) || current.update_ts == seen.update_ts)
    })
}

impl Session {
    pub(crate) fn in_transaction(&self) -> bool {
        self.txn.is_some() && (self.explicit || !self.vars.hot.autocommit)
    }

    /// The schema that a statement goes by. A transaction that reads one snapshot keeps the schema of that: rows as they were then have no values in
    /// columns, and no entries in indexes, that came later, and whoever changes them so leaves the entries behind that they have. What it writes is
    /// refused at its commit if the table has changed. That holds for the transaction of a single statement, too, which is planned after its start.
    pub(crate) fn schema(&self) -> Arc<InfoSchema> {
        if let Some(past) = &self.past {
            return Arc::clone(past.schema());
        }
        match &self.txn {
            Some(open) if !self.in_transaction() || open.isolation != Isolation::ReadCommitted => {
                Arc::clone(&open.schema)
            }
            _ => self.db.schema(),
        }
    }

    /// What a statement that writes or locks may have come to by reading rows as they are now, later than the schema that it
    /// went by: nothing that counts, if one of its tables has changed since, or one that the transaction has written to, so that its
    /// commit will be refused.
    pub(crate) fn unless_schema_changed<T>(
        &self,
        planned: &Planned,
        result: Result<T, DmlError>,
    ) -> Result<T, DmlError> {
        // Others read their snapshot, by the schema of that.
        let Some(open) = self.txn.as_ref().filter(|open| open.is_pessimistic()) else { return result };
        let current = self.db.schema();
        if are_unchanged(&open.touched, &current) && planned.fits(&current) {
            return result;
        }
        Err(DmlError::Txn(TxnError::CommitRefused { reason: SCHEMA_CHANGED.to_owned() }))
    }

    /// Waits, but not for ever, for the version in which all tables that a transaction has touched can be written to.
    pub(crate) async fn until_writable(&self, open: &OpenTransaction) -> Result<(), SqlError> {
        let deadline = tokio::time::Instant::now() + WRITABLE_PATIENCE;
        loop {
            let schema = self.db.schema();
            let mut current = open.touched.keys().filter_map(|id| schema.table_by_id(*id));
            if !current.any(|table| table.writes_wait) || tokio::time::Instant::now() > deadline {
                return Ok(());
            }
            self.process.kill_query.check().map_err(from_exec)?;
            tokio::time::sleep(WRITABLE_INTERVAL).await;
        }
    }

    /// Begins a transaction, and gives the schema that it goes by. The schema is taken before the timestamp, so that the timestamp sees no
    /// less; and others must not be several steps ahead at that time.
    async fn begin_by_schema(
        &self,
        options: &TxnOptions,
    ) -> Result<(Arc<InfoSchema>, Transaction), SqlError> {
        loop {
            let schema = self.db.schema();
            let mut txn = self.db.client().begin(options.clone()).await.map_err(|error| from_txn(&error))?;
            self.db.ddl().await_schema(txn.start_ts()).await.map_err(from_ddl)?;
            if Arc::ptr_eq(&schema, &self.db.schema()) {
                return Ok((schema, txn));
            }
            txn.rollback().await.map_err(|error| from_txn(&error))?;
            self.process.kill_query.check().map_err(from_exec)?;
        }
    }

    /// Error 8028 if a query cannot be answered as of a time because a table has changed since it was planned.
    pub(crate) async fn check_schema(&self, planned: &Planned, read: StartTs) -> Result<(), SqlError> {
        let goes_by_its_own = self.past.is_some()
            || self.txn.as_ref().is_some_and(|open| open.isolation != Isolation::ReadCommitted);
        if goes_by_its_own || read == Snapshot::LATEST {
            return Ok(());
        }
        self.db.ddl().await_schema(read).await.map_err(from_ddl)?;
        match planned.fits(&self.db.schema()) {
            true => Ok(()),
            false => Err(tidb_error(8028, SCHEMA_CHANGED)),
        }
    }

    /// Opens a transaction unless one is open.
    pub(crate) async fn open_transaction(&mut self) -> Result<&mut OpenTransaction, SqlError> {
        if self.txn.is_none() {
            let multi_statement = self.explicit || !self.vars.hot.autocommit;
            let settings = std::mem::take(&mut self.next_transaction);
            let hot = &self.vars.hot;
            let pessimistic = settings.pessimistic.unwrap_or(multi_statement && hot.pessimistic);
            let options = TxnOptions {
                kind: if pessimistic { TxnKind::Pessimistic } else { TxnKind::Optimistic },
                start_ts: None,
                isolation: ReadIsolation::Snapshot,
                lock_wait_timeout: Some(Duration::from_millis(hot.lock_wait_timeout_ms)),
                interrupt: Some(self.process.kill_query.expression_flag()),
            };
            let isolation = settings.isolation.unwrap_or(hot.isolation);
            let read_only = settings.read_only.unwrap_or(hot.read_only);
            let (schema, txn) = self.begin_by_schema(&options).await?;
            self.txn = Some(OpenTransaction {
                txn,
                schema,
                isolation,
                read_only,
                touched: BTreeMap::new(),
                savepoints: Vec::new(),
            });
        }
        let open = self.txn.as_mut().expect("opened above");
        // SET innodb_lock_wait_timeout counts for a transaction that is open already.
        open.txn.set_lock_wait_timeout(Duration::from_millis(self.vars.hot.lock_wait_timeout_ms));
        Ok(open)
    }

    /// Where a statement that only reads sees the database.
    pub(crate) async fn read_snapshot(&mut self, single_key: bool) -> Result<Snapshot, SqlError> {
        if let Some(past) = &self.past {
            return Ok(past.snapshot(&self.db));
        }
        let replica = self.vars.hot.replica_read;
        Ok(self.read_present(single_key).await?.with_replica_read(replica))
    }

    async fn read_present(&mut self, single_key: bool) -> Result<Snapshot, SqlError> {
        if self.explicit || !self.vars.hot.autocommit {
            let committed = self.open_transaction().await?.isolation == Isolation::ReadCommitted;
            if !committed {
                return Ok(self.open_transaction().await?.txn.snapshot().clone());
            }
            let ts = self.current_ts().await?;
            return Ok(self.open_transaction().await?.txn.snapshot_at(StartTs(ts), ReadIsolation::Snapshot));
        }
        if single_key {
            return Ok(self.db.client().snapshot(Snapshot::LATEST));
        }
        let ts = self.current_ts().await?;
        Ok(self.db.client().snapshot(StartTs(ts)))
    }

    pub(crate) async fn current_ts(&self) -> Result<tidewater_codec::TimeStamp, SqlError> {
        self.db.client().current_timestamp().await.map_err(|error| from_txn(&error))
    }

    /// Commits what is open; the session is then outside of any transaction.
    pub(crate) async fn commit_open(&mut self) -> Result<(), SqlError> {
        self.explicit = false;
        let Some(mut open) = self.txn.take() else {
            self.refresh_status();
            return Ok(());
        };
        let result = self.commit(&mut open).await;
        self.refresh_status();
        result.map_err(|error| self.commit_error(&open, error))
    }

    /// Commits a transaction, unless the schema has changed under it.
    pub(crate) async fn commit(&self, open: &mut OpenTransaction) -> Result<(), TxnError> {
        if open.txn.is_readonly() {
            return open.txn.rollback().await;
        }
        let gate = SchemaGate { db: Arc::clone(&self.db), touched: open.touched.clone() };
        open.txn.set_commit_gate(Arc::new(gate));
        open.txn.commit().await.map(|_| ())
    }

    /// The error of a commit, with duplicates told in values.
    pub(crate) fn commit_error(&self, open: &OpenTransaction, error: TxnError) -> SqlError {
        match &error {
            TxnError::KeyExists { key } => {
                self.duplicate_error(open, key).unwrap_or_else(|| from_txn(&error))
            }
            _ => from_txn(&error),
        }
    }

    /// Rolls back what is open.
    pub(crate) async fn rollback_open(&mut self) {
        self.explicit = false;
        if let Some(mut open) = self.txn.take()
            && let Err(error) = open.txn.rollback().await
        {
            // Locks that cannot be given back lapse.
            tracing::debug!(%error, "rollback");
        }
        self.refresh_status();
    }

    pub(crate) fn set_savepoint(&mut self, name: &str) {
        let Some(open) = &mut self.txn else { return };
        // MySQL: a savepoint of the same name is replaced. Its stage stays open below, which does no harm.
        open.savepoints.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        let stage = open.txn.savepoint();
        open.savepoints.push((name.to_owned(), stage));
    }

    pub(crate) fn rollback_to_savepoint(&mut self, name: &str) -> bool {
        let Some(open) = &mut self.txn else { return false };
        let Some(position) = open.savepoints.iter().position(|(known, _)| known.eq_ignore_ascii_case(name))
        else {
            return false;
        };
        let (name, stage) = open.savepoints[position].clone();
        open.savepoints.truncate(position);
        open.txn.rollback_to(stage);
        // The savepoint itself stays.
        let stage = open.txn.savepoint();
        open.savepoints.push((name, stage));
        true
    }

    pub(crate) fn release_savepoint(&mut self, name: &str) -> bool {
        let Some(open) = &mut self.txn else { return false };
        let Some(position) = open.savepoints.iter().position(|(known, _)| known.eq_ignore_ascii_case(name))
        else {
            return false;
        };
        let (_, stage) = open.savepoints[position].clone();
        open.savepoints.truncate(position);
        open.txn.release(stage);
        true
    }
}
