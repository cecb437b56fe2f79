//! Queries: plan, build operators, stream.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::ready;
use tidewater_catalog::InfoSchema;
use tidewater_chunk::Chunk;
use tidewater_codec::TableId;
use tidewater_distsql::ReadContext;
use tidewater_executor::{BoxedOperator, ExecError};
use tidewater_expr::Expr;
use tidewater_parser::ast::{self, SelectInto};
use tidewater_planner::{self as planner, PhysicalPlan, Plan, TableAccess};
use tidewater_txn::Snapshot;
use tidewater_types::{Datum, ErrorCode, FieldType, SqlError};
use tokio::sync::mpsc;

use crate::build::{Builder, LockList, VirtualRows};
use crate::context::Statement;
use crate::error::{SCHEMA_CHANGED, from_exec, from_plan, sql_error, tidb_error};
use crate::infoschema::{self, Row, Source as VirtualSource};
use crate::prepared::Parameter;
use crate::privileges::Rights;
use crate::result::{RecordSet, ResultField, Source, StatementResult};
use crate::session::Session;
use crate::transaction::NextTransaction;

/// Plans that are expected to touch more rows than this run on the compute runtime.
const INLINE_ROWS_MAX: f64 = 1_000.0;
/// How often a query is planned because tables change under it.
const PLANS_MAX: u32 = 5;
/// Chunks that wait for a slow client.
const CHUNKS_AHEAD: usize = 4;

/// A planned query and what it needs to run.
pub(crate) struct Planned {
    pub(crate) plan: Arc<Plan>,
    pub(crate) fields: Arc<[ResultField]>,
    pub(crate) schema: Arc<InfoSchema>,
}

impl Planned {
    /// Whether the tables that the plan reads are in another schema what they are in its own.
    pub(crate) fn fits(&self, other: &Arc<InfoSchema>) -> bool {
        if Arc::ptr_eq(&self.schema, other) {
            return true;
        }
        let mut is_unchanged = true;
        visit_tables(&self.plan.root, &mut |id, is_virtual| {
            let update_ts = |schema: &InfoSchema| schema.table_by_id(id).map(|table| table.update_ts);
            is_unchanged &= is_virtual || update_ts(&self.schema) == update_ts(other);
        });
        is_unchanged
    }
}

impl Session {
    /// SELECT and its relatives.
    pub(crate) async fn run_query(
        &mut self,
        statement: &ast::Statement,
        params: Vec<Parameter>,
    ) -> Result<StatementResult, SqlError> {
        let context = self.statement(params);
        self.choose_past().await?;
        if self.locks_reads() {
            // The plan must know what the transaction has written.
            self.open_transaction().await?;
        }
        if let ast::Statement::Query(query) = statement
            && counts_found_rows(query)
        {
            return self.run_counted(query, &context).await.map(StatementResult::Rows);
        }
        let rows = self
            .run_by_newest_schema(&context, |session, context| session.plan_statement(statement, context))
            .await?;
        let ast::Statement::Query(query) = statement else { return Ok(StatementResult::Rows(rows)) };
        match &query.into {
            None => Ok(StatementResult::Rows(rows)),
            Some(SelectInto::Variables(names)) => self.select_into(rows, names).await,
            Some(SelectInto::Outfile { .. } | SelectInto::Dumpfile(_)) => {
                Err(crate::error::unsupported("INTO OUTFILE"))
            }
        }
    }

    /// Plans a query and begins to run it; again if a table changed between the plan and the time that it reads at.
    pub(crate) async fn run_by_newest_schema(
        &mut self,
        context: &Statement,
        mut plan: impl FnMut(&mut Self, &Statement) -> Result<Planned, SqlError>,
    ) -> Result<RecordSet, SqlError> {
        // Within a transaction that error may have ended it.
        let mut left = if self.locks_reads() { 0 } else { PLANS_MAX - 1 };
        loop {
            let planned = plan(self, context)?;
            match self.run_planned(&planned, context).await {
                Err(error) if error.code == 8028 && left > 0 => left -= 1,
                result => return result,
            }
        }
    }

    /// SQL_CALC_FOUND_ROWS: the query without its LIMIT, of whose rows the client gets those that LIMIT names.
    async fn run_counted(&mut self, query: &ast::Query, context: &Statement) -> Result<RecordSet, SqlError> {
        let mut unlimited = query.clone();
        let limit = unlimited.limit.take();
        let unlimited = ast::Statement::Query(Box::new(unlimited));
        let mut rows = self
            .run_by_newest_schema(context, |session, context| session.plan_statement(&unlimited, context))
            .await?;
        if let Some(limit) = limit {
            let skip = limit.offset.as_ref().map_or(Ok(0), |offset| limit_number(offset, context))?;
            rows.show(skip, limit_number(&limit.count, context)?);
        }
        Ok(rows)
    }

    pub(crate) fn plan_statement(
        &mut self,
        statement: &ast::Statement,
        context: &Statement,
    ) -> Result<Planned, SqlError> {
        let schema = self.schema();
        let plan = self
            .with_plan_context(&schema, context, false, |cx| match planner::point_plan(statement, cx)? {
                Some(plan) => Ok(plan),
                None => planner::plan(statement, cx),
            })
            .map_err(|error| from_plan(&error))?;
        self.check_access(&plan)?;
        let fields = result_fields(&plan);
        Ok(Planned { plan: Arc::new(plan), fields, schema })
    }

    /// The rights a plan needs.
    pub(crate) fn check_access(&self, plan: &Plan) -> Result<(), SqlError> {
        let privileges = self.privileges();
        if privileges.is_unlimited() {
            return Ok(());
        }
        for table in &plan.tables {
            let (right, verb) = match table.access {
                TableAccess::Select => (Rights::SELECT, "SELECT"),
                TableAccess::Insert => (Rights::INSERT, "INSERT"),
                TableAccess::Update => (Rights::UPDATE, "UPDATE"),
                TableAccess::Delete => (Rights::DELETE, "DELETE"),
            };
            privileges.check_table(&table.database, &table.table, right, verb)?;
        }
        Ok(())
    }

    /// Runs a planned query. Locking reads run to their end here; all others stream.
    pub(crate) async fn run_planned(
        &mut self,
        planned: &Planned,
        context: &Statement,
    ) -> Result<RecordSet, SqlError> {
        let plan = Arc::clone(&planned.plan);
        if self.locks_reads() && takes_locks(&plan.root) {
            self.refuse_writes_to_the_past()?;
            let chunks = self.run_locking(&plan.root, &planned.schema, context).await?;
            return Ok(RecordSet::new(
                Arc::clone(&planned.fields),
                Source::Chunks(chunks.into()),
                Some(self.statement_end()),
            ));
        }
        let single_key = reads_one_key(&plan.root);
        self.use_up_settings(&plan.root);
        let snapshot = self.read_snapshot(single_key).await?;
        self.check_schema(planned, snapshot.ts()).await?;
        let builder = self.builder(&plan.root, snapshot, &planned.schema, context);
        let mut operator = builder.build(&plan.root).map_err(from_exec)?;
        if single_key && self.db.ddl().is_one_of_several() {
            // It may have waited for a leader while others changed the table, and reads what is newest.
            let chunks = tidewater_executor::collect(&mut *operator).await.map_err(from_exec)?;
            if self.past.is_none() && !self.in_transaction() && !planned.fits(&self.db.schema()) {
                return Err(tidb_error(8028, SCHEMA_CHANGED));
            }
            let source = Source::Chunks(chunks.into());
            return Ok(RecordSet::new(Arc::clone(&planned.fields), source, Some(self.statement_end())));
        }
        let heavy = !single_key && is_heavy(&plan.root);
        let source = match (&self.db.options.compute, heavy) {
            (Some(compute), true) => {
                let (sender, receiver) = mpsc::channel(CHUNKS_AHEAD);
                compute.spawn(drive(operator, sender));
                Source::Task(receiver)
            }
            _ => {
                operator.open().await.map_err(from_exec)?;
                Source::Inline(operator)
            }
        };
        let mut rows = RecordSet::new(Arc::clone(&planned.fields), source, Some(self.statement_end()));
        let limit = self.vars.hot.max_execution_time_ms;
        if limit > 0 {
            rows.set_deadline(Duration::from_millis(limit), self.process.kill_query.clone());
        }
        Ok(rows)
    }

    /// A read under autocommit is a transaction of its own: what SET TRANSACTION said was said of it, also where that
    /// changes nothing for a read. Queries without tables open no transaction and leave it to the next statement.
    pub(crate) fn use_up_settings(&mut self, plan: &PhysicalPlan) {
        if self.locks_reads() || !self.next_transaction.is_set() {
            return;
        }
        let mut reads_table = false;
        visit_tables(plan, &mut |_, is_virtual| reads_table |= !is_virtual);
        if reads_table {
            self.next_transaction = NextTransaction::default();
        }
    }

    /// The builder of a statement's operators.
    pub(crate) fn builder(
        &self,
        plan: &PhysicalPlan,
        snapshot: Snapshot,
        schema: &Arc<InfoSchema>,
        context: &Statement,
    ) -> Builder {
        let exec = self.exec_context(context.eval.clone());
        let mut read = ReadContext::new(exec, self.db.client().clone(), snapshot);
        read.protocol = self.db.options.protocol;
        read.result_cache = Some(Arc::clone(&self.db.results));
        read.scan_concurrency = self.vars.hot.scan_concurrency;
        let locks = Arc::new(LockList::default());
        let mut tables = Vec::new();
        let mut has_virtual = false;
        visit_tables(plan, &mut |table, is_virtual| {
            has_virtual |= is_virtual;
            tables.push(table);
        });
        if let Some(open) = &self.txn {
            read.dirty = open.dirty_copy(&tables);
            if self.locks_reads() {
                let locker: Arc<LockList> = Arc::clone(&locks);
                read.locker = Some(locker);
            }
        }
        let virtual_rows = has_virtual.then(|| {
            let source = Arc::new(self.virtual_source_for(Arc::clone(schema)));
            let db = Arc::clone(&self.db);
            let provider: VirtualRows = Arc::new(move |table| {
                let (source, db, table) = (Arc::clone(&source), Arc::clone(&db), Arc::clone(table));
                async move { infoschema::ask_rows(&source, &db, &table).await }.boxed()
            });
            provider
        });
        Builder { read, virtual_rows, locks, stats: None }
    }

    /// What virtual tables are computed from.
    pub(crate) fn virtual_source(&self) -> VirtualSource {
        self.virtual_source_for(self.db.schema())
    }

    fn virtual_source_for(&self, schema: Arc<InfoSchema>) -> VirtualSource {
        let db = Arc::clone(&self.db);
        let counts = Arc::clone(&self.db);
        VirtualSource {
            schema,
            privileges: self.privileges(),
            processes: self.db.processes.list().iter().map(|process| (process.id, process.info())).collect(),
            session: self.vars.values().clone(),
            global: self.db.variables.values(),
            status: self.status_lines(),
            now_micros: self.db.options.clock.now_micros(),
            time_zone: self.vars.hot.time_zone.clone(),
            row_counts: Box::new(move |table| counts.stats().row_count(table)),
            next_auto_increment: Box::new(move |table| db.auto_ids().peek(table)),
        }
    }

    /// The lines of SHOW STATUS, in order.
    fn status_lines(&self) -> Vec<(String, String)> {
        let (version, cipher) = self.options.tls.clone().unwrap_or_default();
        let mut lines = self.db.status_lines();
        lines.extend([("Ssl_cipher".to_owned(), cipher), ("Ssl_version".to_owned(), version)]);
        lines.sort();
        lines
    }

    /// Runs a query over a schema of computed tables (SHOW .. WHERE) whose rows are given.
    pub(crate) async fn query_computed(
        &mut self,
        schema: Arc<InfoSchema>,
        query: ast::Query,
        rows: Vec<Row>,
    ) -> Result<Vec<Row>, SqlError> {
        let context = self.statement(Vec::new());
        let statement = ast::Statement::Query(Box::new(query));
        let plan = self
            .with_plan_context(&schema, &context, false, |cx| planner::plan(&statement, cx))
            .map_err(|error| from_plan(&error))?;
        let snapshot = self.db.client().snapshot(Snapshot::LATEST);
        let mut builder = self.builder(&plan.root, snapshot, &schema, &context);
        let rows = Arc::new(rows);
        builder.virtual_rows = Some(Arc::new(move |_| ready(Ok(rows.as_ref().clone())).boxed()));
        let mut operator = builder.build(&plan.root).map_err(from_exec)?;
        let types = plan.root.field_types();
        let chunks = tidewater_executor::collect(&mut *operator).await.map_err(from_exec)?;
        Ok(chunks.iter().flat_map(|chunk| (0..chunk.num_rows()).map(|row| chunk.row(row, &types))).collect())
    }

    /// The value of an expression, as `SELECT expr` gives it.
    pub(crate) async fn evaluate(&mut self, expr: &ast::Expr) -> Result<(Datum, FieldType), SqlError> {
        let query = ast::Query::of(ast::QueryBody::Select(Box::new(ast::Select {
            items: vec![ast::SelectItem::Expr {
                expr: expr.clone(),
                alias: None,
                text: ast::SourceText::default(),
            }],
            ..ast::Select::default()
        })));
        let statement = ast::Statement::Query(Box::new(query));
        let context = self.statement(Vec::new());
        // A constant is what it is, also where the time that was asked for is gone.
        if !matches!(expr, ast::Expr::Literal(_)) {
            self.choose_past().await?;
        }
        let planned = self.plan_statement(&statement, &context)?;
        let mut rows = Box::pin(self.run_planned(&planned, &context)).await?;
        let field_type =
            planned.fields.first().map_or_else(FieldType::null, |field| field.field_type.clone());
        let types = planned.plan.root.field_types();
        let value = match rows.next().await? {
            Some(chunk) if chunk.num_rows() > 0 => chunk.datum(0, 0, &types[0]),
            _ => Datum::Null,
        };
        Ok((value, field_type))
    }

    async fn select_into(
        &mut self,
        mut rows: RecordSet,
        names: &[String],
    ) -> Result<StatementResult, SqlError> {
        if names.len() != rows.fields().len() {
            return Err(sql_error(
                ErrorCode::WrongNumberOfColumnsInSelect,
                "The used SELECT statements have a different number of columns",
            ));
        }
        let fields = Arc::clone(rows.fields());
        let mut found = 0;
        while let Some(chunk) = rows.next().await? {
            found += chunk.num_rows();
            if found > 1 {
                return Err(sql_error(ErrorCode::TooManyRows, "Result consisted of more than one row"));
            }
            let mut vars = self.user_vars.lock();
            for (column, name) in names.iter().enumerate() {
                let field_type = fields[column].field_type.clone();
                vars.insert(name.to_lowercase(), (chunk.datum(0, column, &field_type), field_type));
            }
        }
        let mut ok = self.ok();
        ok.affected_rows = found as u64;
        if found == 0 {
            self.warnings.push(tidewater_types::Warning {
                level: tidewater_types::WarningLevel::Warning,
                code: ErrorCode::SpFetchNoData.number(),
                message: "No data - zero rows fetched, selected, or processed".to_owned(),
            });
        }
        Ok(StatementResult::Ok(ok))
    }
}

/// Runs operators on the compute runtime and hands the chunks over.
async fn drive(mut operator: BoxedOperator, sender: mpsc::Sender<Result<Chunk, SqlError>>) {
    let run = async {
        operator.open().await?;
        while let Some(chunk) = operator.next().await? {
            if sender.send(Ok(chunk)).await.is_err() {
                // The client has gone, or wants no more.
                break;
            }
        }
        Ok::<(), ExecError>(())
    };
    let result = run.await;
    operator.close().await;
    if let Err(error) = result {
        // Nobody may be listening any more.
        let _ = sender.send(Err(from_exec(error))).await;
    }
}

pub(crate) fn result_fields(plan: &Plan) -> Arc<[ResultField]> {
    plan.output
        .iter()
        .map(|column| ResultField {
            db: column.db.to_string(),
            table: column.table.to_string(),
            org_table: column.org_table.to_string(),
            name: column.name.to_string(),
            org_name: column.org_name.to_string(),
            field_type: column.field_type.clone(),
        })
        .collect()
}

/// Whether the plan reads one key only, so that no timestamp is needed.
fn reads_one_key(plan: &PhysicalPlan) -> bool {
    match plan {
        PhysicalPlan::PointGet(_) => true,
        PhysicalPlan::Projection(node) => reads_one_key(&node.child),
        PhysicalPlan::Selection(node) => reads_one_key(&node.child),
        PhysicalPlan::Limit(node) => reads_one_key(&node.child),
        _ => false,
    }
}

/// Whether running the plan is worth a hop to the compute runtime.
fn is_heavy(plan: &PhysicalPlan) -> bool {
    if plan.rows() > INLINE_ROWS_MAX {
        return true;
    }
    let own = match plan {
        // One row may take for ever, and on the task of a connection nobody would see meanwhile whether the client is there.
        PhysicalPlan::Projection(node) => node.exprs.iter().any(Expr::may_wait),
        PhysicalPlan::Selection(node) => node.conditions.iter().any(Expr::may_wait),
        PhysicalPlan::TableReader(node) => node.scan.base.rows > INLINE_ROWS_MAX,
        PhysicalPlan::IndexReader(node) => node.scan.base.rows > INLINE_ROWS_MAX,
        PhysicalPlan::IndexLookUp(node) => node.index_scan.base.rows > INLINE_ROWS_MAX,
        _ => false,
    };
    own || plan.children().into_iter().any(|child| is_heavy(child))
}

/// Whether a locking read is in the plan.
pub(crate) fn takes_locks(plan: &PhysicalPlan) -> bool {
    let own = match plan {
        PhysicalPlan::SelectLock(_) => true,
        PhysicalPlan::PointGet(node) => node.lock.is_some(),
        PhysicalPlan::BatchPointGet(node) => node.lock.is_some(),
        _ => false,
    };
    own || plan.children().into_iter().any(|child| takes_locks(child))
}

/// Calls `visit` with every table that is read, and whether it is computed.
pub(crate) fn visit_tables(plan: &PhysicalPlan, visit: &mut dyn FnMut(TableId, bool)) {
    match plan {
        PhysicalPlan::PointGet(node) => visit(node.table.info.id, false),
        PhysicalPlan::BatchPointGet(node) => visit(node.table.info.id, false),
        PhysicalPlan::TableReader(node) => visit(node.table.info.id, false),
        PhysicalPlan::IndexReader(node) => visit(node.table.info.id, false),
        PhysicalPlan::IndexLookUp(node) => visit(node.table.info.id, false),
        PhysicalPlan::VirtualTableScan(node) => visit(node.table.info.id, true),
        _ => {}
    }
    for child in plan.children() {
        visit_tables(child, visit);
    }
}

/// Whether FOUND_ROWS() is to tell how many rows there were without LIMIT.
pub(crate) fn counts_found_rows(query: &ast::Query) -> bool {
    query.into.is_none()
        && query.limit.is_some()
        && query.as_select().is_some_and(|select| select.modifiers.sql_calc_found_rows)
}

/// A number of LIMIT.
fn limit_number(expr: &ast::Expr, context: &Statement) -> Result<u64, SqlError> {
    let number = match expr {
        ast::Expr::Literal(ast::Literal::Int(value)) => u64::try_from(*value).ok(),
        ast::Expr::Literal(ast::Literal::UInt(value)) => Some(*value),
        ast::Expr::Parameter(index) => match context.eval.params.get(*index) {
            Some(Datum::Int(value)) => u64::try_from(*value).ok(),
            Some(Datum::UInt(value)) => Some(*value),
            Some(Datum::Bytes(text)) => String::from_utf8_lossy(text).trim().parse().ok(),
            _ => None,
        },
        _ => None,
    };
    number.ok_or_else(|| sql_error(ErrorCode::WrongArguments, "Undeclared variable: LIMIT"))
}
