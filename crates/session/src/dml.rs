//! INSERT, REPLACE, UPDATE and DELETE: stage, write, lock, and run again when another transaction was faster.
//!
//! A statement writes into a stage of the transaction's buffer, so that a failure undoes only itself. Pessimistic
//! transactions lock what was written at the end of the statement; a conflict found there moves the statement's time
//! forward and runs it again. Statements under autocommit are optimistic transactions that are run again whole.

mod changes;
mod delete;
mod existing;
mod insert;
mod row;
mod update;

use std::sync::Arc;

use tidewater_chunk::Chunk;
use tidewater_codec::Handle;
use tidewater_executor::ExecError;
use tidewater_parser::ast;
use tidewater_planner::{LockWait, PhysicalPlan};
use tidewater_table::{TableError, TableLayout};
use tidewater_txn::{LockOptions, Remedy, TxnError};
use tidewater_types::{Datum, ErrorCode, FieldType, SqlError};

use crate::context::Statement;
use crate::error::{from_exec, from_table, from_txn, sql_error};
use crate::prepared::Parameter;
use crate::query::Planned;
use crate::result::OkResult;
use crate::session::Session;
use crate::transaction::OpenTransaction;

pub(crate) use insert::OnDuplicate;
pub(crate) use row::RowMaker;

/// Times a statement of a pessimistic transaction is run again before its conflict is reported.
const STATEMENT_TRIES_MAX: u32 = 256;
/// Optimistic tries of an autocommit statement; later ones lock.
const OPTIMISTIC_TRIES: u32 = 2;

/// What a statement did.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    /// What the OK packet says.
    pub(crate) affected: u64,
    /// Rows a WHERE clause found, or rows of an INSERT.
    pub(crate) found: u64,
    /// Rows changed by UPDATE.
    pub(crate) changed: u64,
    /// Rows whose key was there already.
    pub(crate) duplicates: u64,
    /// The first AUTO_INCREMENT value generated for a row that was added.
    pub(crate) generated_id: Option<u64>,
    /// The AUTO_INCREMENT value of the last row that was added with its own, or that ON DUPLICATE KEY UPDATE changed.
    pub(crate) explicit_id: Option<u64>,
}

/// Why a statement stopped: errors of transactions are kept apart, because some of them mean "again".
#[derive(Debug)]
pub(crate) enum DmlError {
    Sql(SqlError),
    Txn(TxnError),
}

impl From<SqlError> for DmlError {
    fn from(error: SqlError) -> Self {
        Self::Sql(error)
    }
}

impl From<TxnError> for DmlError {
    fn from(error: TxnError) -> Self {
        Self::Txn(error)
    }
}

impl From<TableError> for DmlError {
    fn from(error: TableError) -> Self {
        match error {
            TableError::Txn(error) => Self::Txn(error),
            error => Self::Sql(from_table(error)),
        }
    }
}

impl From<tidewater_expr::ExprError> for DmlError {
    fn from(error: tidewater_expr::ExprError) -> Self {
        Self::Sql(crate::error::from_expr(&error))
    }
}

impl From<ExecError> for DmlError {
    fn from(error: ExecError) -> Self {
        if let ExecError::Storage(source) = &error {
            let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(source.as_ref());
            while let Some(error) = cause {
                if let Some(error) = error.downcast_ref::<TxnError>() {
                    return Self::Txn(error.clone());
                }
                cause = error.source();
            }
        }
        Self::Sql(from_exec(error))
    }
}

impl DmlError {
    /// Whether the statement, or under autocommit the transaction, may be run again.
    fn may_retry(&self, whole: bool) -> bool {
        match self {
            Self::Sql(_) => false,
            Self::Txn(error) => match error.remedy() {
                Remedy::RetryStatement => true,
                Remedy::RestartTransaction => whole,
                Remedy::ReportStatement
                | Remedy::ReportTransaction
                | Remedy::ReportUnknownOutcome
                | Remedy::RetryLater => false,
            },
        }
    }
}

impl Session {
    pub(crate) async fn run_dml(
        &mut self,
        statement: &ast::Statement,
        params: Vec<Parameter>,
    ) -> Result<OkResult, SqlError> {
        let mut context = self.statement(params);
        context.eval.in_dml = true;
        context.eval.ignore_errors = match statement {
            ast::Statement::Insert(insert) => insert.ignore,
            ast::Statement::Update(update) => update.ignore,
            ast::Statement::Delete(delete) => delete.ignore,
            _ => false,
        };
        let shows_info = match statement {
            ast::Statement::Insert(insert) => match &insert.source {
                ast::InsertSource::Values(rows) => Info::Insert { always: rows.len() > 1 },
                ast::InsertSource::Query(_) => Info::Insert { always: true },
            },
            ast::Statement::Update(_) => Info::Update,
            _ => Info::None,
        };
        let counts =
            self.write(&context, |session, context| session.plan_statement(statement, context)).await?;
        Ok(self.finish_dml(counts, &shows_info))
    }

    /// Runs a plan that writes, from the transaction's opening to its commit under autocommit.
    pub(crate) async fn write(
        &mut self,
        context: &Statement,
        plan: impl Fn(&mut Session, &Statement) -> Result<Planned, SqlError>,
    ) -> Result<Counts, SqlError> {
        self.refuse_writes_to_the_past()?;
        let mut tries = 0;
        loop {
            let autocommit = !self.locks_reads();
            if autocommit && tries >= OPTIMISTIC_TRIES {
                self.next_transaction.pessimistic = Some(true);
            }
            self.open_transaction().await?;
            let result = match plan(self, context) {
                Ok(planned) => self.write_in_transaction(&planned, context).await,
                Err(error) => Err(DmlError::Sql(error)),
            };
            if !autocommit {
                return self.end_in_transaction(result).await;
            }
            let error = match result {
                Ok(counts) => {
                    let Some(mut open) = self.txn.take() else { return Ok(counts) };
                    match self.commit(&mut open).await {
                        Ok(()) => return Ok(counts),
                        Err(error @ TxnError::KeyExists { .. }) => {
                            return Err(self.commit_error(&open, error));
                        }
                        Err(error) => DmlError::Txn(error),
                    }
                }
                Err(error) => error,
            };
            let open = self.txn.take();
            let is_changing = matches!(error, DmlError::Txn(TxnError::CommitRefused { .. }));
            let again =
                error.may_retry(true) && tries < self.vars.hot.retry_limit.max(OPTIMISTIC_TRIES + 1) * 4;
            let reported = match (again, error) {
                (true, _) => None,
                (false, DmlError::Sql(error)) => Some(error),
                (false, DmlError::Txn(error)) => Some(match &open {
                    Some(open) => self.commit_error(open, error),
                    None => from_txn(&error),
                }),
            };
            if let Some(mut open) = open {
                if let Err(error) = open.txn.rollback().await {
                    tracing::debug!(%error, "rollback");
                }
                if is_changing && again {
                    self.until_writable(&open).await?;
                }
            }
            match reported {
                Some(error) => return Err(error),
                None => tries += 1,
            }
            self.process.kill_query.check().map_err(from_exec)?;
        }
    }

    /// A deadlock ends the transaction; most other failures have undone only the statement.
    async fn end_in_transaction(&mut self, result: Result<Counts, DmlError>) -> Result<Counts, SqlError> {
        match result {
            Ok(counts) => Ok(counts),
            Err(DmlError::Sql(error)) => Err(error),
            Err(DmlError::Txn(error)) => {
                let reported = match &self.txn {
                    Some(open) => self.commit_error(open, error.clone()),
                    None => from_txn(&error),
                };
                match error.remedy() {
                    // A table has changed. If the transaction has written to it, its commit will be refused; up to there it goes on, so
                    // that nothing is taken for a statement of its own that was meant to be part of it.
                    _ if matches!(error, TxnError::CommitRefused { .. }) => {}
                    Remedy::RestartTransaction | Remedy::ReportTransaction | Remedy::ReportUnknownOutcome => {
                        self.rollback_open().await;
                    }
                    Remedy::RetryStatement | Remedy::ReportStatement | Remedy::RetryLater => {}
                }
                Err(reported)
            }
        }
    }

    async fn write_in_transaction(
        &mut self,
        planned: &Planned,
        context: &Statement,
    ) -> Result<Counts, DmlError> {
        let mut tries = 0;
        loop {
            let Some(open) = &mut self.txn else {
                return Err(DmlError::Sql(sql_error(ErrorCode::UnknownError, "no transaction is open")));
            };
            if open.read_only {
                return Err(DmlError::Sql(sql_error(
                    ErrorCode::CantExecuteInReadOnlyTransaction,
                    "Cannot execute statement in a READ ONLY transaction.",
                )));
            }
            let reads = !matches!(&*planned.plan.root, PhysicalPlan::Insert(_));
            if open.is_pessimistic() && (tries > 0 || (reads && !open.txn.is_readonly())) {
                open.txn.refresh_for_update_ts().await?;
            }
            let stage = open.txn.savepoint();
            let result = self.write_plan(planned, context).await;
            let mut result = self.unless_schema_changed(planned, result);
            let Some(open) = &mut self.txn else { return result };
            if result.is_ok()
                && open.is_pessimistic()
                && let Err(error) = self
                    .process
                    .unless_killed(open.txn.lock_written_since(stage, LockOptions::default()))
                    .await
            {
                // Told in values while the rows are still in the buffer.
                result = Err(match error {
                    DmlError::Txn(error @ TxnError::KeyExists { .. }) => {
                        let open = self.txn.take();
                        let told = match &open {
                            Some(open) => DmlError::Sql(self.commit_error(open, error)),
                            None => DmlError::Txn(error),
                        };
                        self.txn = open;
                        told
                    }
                    error => error,
                });
            }
            let Some(open) = &mut self.txn else { return result };
            match result {
                Ok(counts) => {
                    open.txn.release(stage);
                    return Ok(counts);
                }
                Err(error) => {
                    open.txn.rollback_to(stage);
                    let again =
                        open.is_pessimistic() && error.may_retry(false) && tries < STATEMENT_TRIES_MAX;
                    if !again {
                        return Err(error);
                    }
                }
            }
            tries += 1;
            self.process.kill_query.check()?;
        }
    }

    async fn write_plan(&mut self, planned: &Planned, context: &Statement) -> Result<Counts, DmlError> {
        match &*planned.plan.root {
            PhysicalPlan::Insert(node) => self.insert(node, planned, context).await,
            PhysicalPlan::Update(node) => self.update(node, planned, context).await,
            PhysicalPlan::Delete(node) => self.delete(node, planned, context).await,
            _ => Err(DmlError::Sql(sql_error(ErrorCode::UnknownError, "this plan does not write"))),
        }
    }

    /// Reads all rows of a plan below a writer, as the statement sees them.
    pub(crate) async fn read_rows(
        &mut self,
        plan: &PhysicalPlan,
        planned: &Planned,
        context: &Statement,
    ) -> Result<Vec<Chunk>, DmlError> {
        let Some(open) = &self.txn else { return Ok(Vec::new()) };
        let snapshot = open.writer_snapshot();
        let mut builder = self.builder(plan, snapshot, &planned.schema, context);
        let changes = matches!(&*planned.plan.root, PhysicalPlan::Update(_) | PhysicalPlan::Delete(_));
        builder.read.lock_points = changes.then_some(LockWait::Default);
        let mut operator = builder.build(plan)?;
        let mut memory = builder.read.exec.memory.child("rows to write").reservation();
        operator.open().await?;
        let mut chunks = Vec::new();
        while let Some(chunk) = operator.next().await? {
            memory.grow(chunk.memory_size())?;
            chunks.push(chunk);
        }
        operator.close().await;
        self.lock_noted(builder.locks.take()).await?;
        Ok(chunks)
    }

    /// Locks the keys that locking reads have noted.
    async fn lock_noted(&mut self, noted: Vec<(tidewater_codec::Key, LockWait)>) -> Result<(), DmlError> {
        let Some(open) = &mut self.txn else { return Ok(()) };
        let Some(wait) = noted.first().map(|(_, wait)| *wait) else { return Ok(()) };
        let options = LockOptions { wait: lock_wait(wait), ..LockOptions::default() };
        let keys = noted.into_iter().map(|(key, _)| key);
        self.process.unless_killed(open.txn.lock_keys(keys, options)).await?;
        Ok(())
    }

    /// A SELECT .. FOR UPDATE: its rows, all read and locked.
    pub(crate) async fn run_locking(
        &mut self,
        plan: &PhysicalPlan,
        schema: &Arc<tidewater_catalog::InfoSchema>,
        context: &Statement,
    ) -> Result<Vec<Chunk>, SqlError> {
        let planned = Planned {
            plan: Arc::new(tidewater_planner::Plan {
                root: Arc::new(plan.clone()),
                output: Vec::new(),
                cacheable: false,
                tables: Vec::new(),
            }),
            fields: Arc::from([]),
            schema: Arc::clone(schema),
        };
        let mut tables = Vec::new();
        crate::query::visit_tables(plan, &mut |table, is_virtual| {
            if !is_virtual {
                tables.push(table);
            }
        });
        let mut tries = 0;
        loop {
            let open = self.open_transaction().await?;
            for table in &tables {
                if let Some(info) = schema.table_by_id(*table) {
                    open.touch(info);
                }
            }
            if open.is_pessimistic() {
                open.txn.refresh_for_update_ts().await.map_err(|error| from_txn(&error))?;
            }
            let result = self.read_rows(plan, &planned, context).await;
            match self.unless_schema_changed(&planned, result) {
                Ok(chunks) => return Ok(chunks),
                Err(error) if error.may_retry(false) && tries < STATEMENT_TRIES_MAX => tries += 1,
                Err(error) => {
                    return match self.end_in_transaction(Err(error)).await {
                        Err(error) => Err(error),
                        Ok(_) => Ok(Vec::new()),
                    };
                }
            }
            self.process.kill_query.check().map_err(from_exec)?;
        }
    }

    pub(crate) fn finish_dml(&mut self, counts: Counts, info: &Info) -> OkResult {
        let warnings = self.warnings.count();
        let mut ok = self.ok();
        ok.affected_rows = counts.affected;
        if let Some(id) = counts.generated_id {
            self.last_insert_id = id;
        }
        let told = self.session_info.as_ref().and_then(|info| info.next_last_insert_id.lock().take());
        if let Some(id) = told {
            self.last_insert_id = id;
        }
        ok.last_insert_id = counts.generated_id.or(told).or(counts.explicit_id).unwrap_or(0);
        ok.info = match info {
            Info::Insert { always: true } => {
                format!("Records: {}  Duplicates: {}  Warnings: {warnings}", counts.found, counts.duplicates)
            }
            Info::Update => {
                if self.options.found_rows {
                    ok.affected_rows = counts.found;
                }
                format!("Rows matched: {}  Changed: {}  Warnings: {warnings}", counts.found, counts.changed)
            }
            Info::Insert { always: false } | Info::None => String::new(),
        };
        ok
    }

    /// The error for a key that exists, with the values of the row that wanted it.
    pub(crate) fn duplicate_error(
        &self,
        open: &OpenTransaction,
        key: &tidewater_codec::Key,
    ) -> Option<SqlError> {
        use tidewater_codec::table_key::{self, TableKeyKind};
        let schema = self.schema();
        let (table, kind) = table_key::decode_table_key(key.as_bytes()).ok()?;
        let info = schema.table_by_id(table)?;
        let layout = TableLayout::new(Arc::clone(info), self.vars.hot.time_zone.clone());
        let written = |key: &[u8]| open.txn.buffer().get(key).and_then(|write| write.value.clone());
        let (handle, index) = match kind {
            TableKeyKind::Row { handle } => (table_key::decode_handle(handle).ok()?, info.primary_index()),
            TableKeyKind::Index { index, .. } => {
                let value = written(key.as_bytes())?;
                let handle = tidewater_codec::index_value::decode(&value).ok()?.handle?;
                (handle, info.index_by_id(index))
            }
        };
        let Some(row) = written(layout.row_key(&handle).as_bytes()) else {
            // The row has moved on since; its handle is its key.
            let Handle::Int(handle) = handle else { return None };
            let message = format!("Duplicate entry '{handle}' for key '{}.PRIMARY'", info.name);
            return index.is_none().then(|| sql_error(ErrorCode::DupEntry, message));
        };
        let row = layout.decode_row(&handle, &row).ok()?;
        let (row, _) = layout.complete_stored(&row);
        Some(from_table(layout.duplicate(index, &row)))
    }
}

/// What the info text of the OK packet tells.
pub(crate) enum Info {
    None,
    Insert { always: bool },
    Update,
}

fn lock_wait(wait: LockWait) -> tidewater_txn::LockWait {
    match wait {
        LockWait::Default => tidewater_txn::LockWait::Default,
        LockWait::NoWait => tidewater_txn::LockWait::NoWait,
        LockWait::SkipLocked => tidewater_txn::LockWait::SkipLocked,
        LockWait::Seconds(secs) => tidewater_txn::LockWait::For(std::time::Duration::from_secs(secs)),
    }
}

/// The types of a table's columns, in order.
pub(crate) fn column_types(table: &tidewater_catalog::TableInfo) -> Vec<FieldType> {
    table.columns.iter().map(|column| column.field_type.clone()).collect()
}

/// Whether two rows hold the same values.
pub(crate) fn same(a: &[Datum], b: &[Datum]) -> bool {
    a == b
}
