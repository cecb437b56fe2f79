//! `LOAD DATA`: pieces of a file in, rows in batches out.
//!
//! The statement becomes the plan of an INSERT whose values are parameters: the fields of a line. Under autocommit
//! every batch is a transaction of its own (MySQL would take one for the whole file); within a transaction all rows
//! belong to that.

mod format;

use std::io::Read;
use std::sync::Arc;

use tidewater_parser::ast::{self, Expr, LoadConflict, LoadData, LoadTarget};
use tidewater_planner::{self as planner, InsertSource, PhysicalPlan};
use tidewater_txn::{LockOptions, Remedy};
use tidewater_types::{Datum, ErrorCode, FieldType, SqlError};

use crate::context::Statement;
use crate::dml::{Counts, DmlError, OnDuplicate};
use crate::error::{from_txn, sql_error, unsupported};
use crate::infile::LocalInfile;
use crate::prepared::Parameter;
use crate::privileges::Rights;
use crate::query::Planned;
use crate::result::{OkResult, StatementResult};
use crate::session::Session;

use format::LineFormat;

/// Rows of one batch.
const BATCH_ROWS: usize = 5_000;
/// Bytes read from a file on the server at a time.
const READ_BYTES: usize = 1 << 20;
/// Times a batch that met another transaction is run again.
const TRIES_MAX: u32 = 32;

/// Parses the file's bytes and writes rows.
pub(crate) struct Loader {
    format: LineFormat,
    /// Bytes behind the last complete line.
    rest: Vec<u8>,
    skip_lines: u64,
    rows: Vec<Vec<Datum>>,
    statement: ast::Statement,
    /// How many fields a line should have.
    fields: usize,
    /// Whether values go to columns as they are, without any expression.
    plain: bool,
    on_duplicate: LoadConflict,
    /// A row was met whose key is there already: from now on keys are looked up before rows are written. Until then that work is
    /// saved, and a batch that meets such a key is run again.
    met_duplicate: bool,
    /// Bad data is a warning: IGNORE, or LOCAL, whose server cannot stop the client.
    forgiving: bool,
    records: u64,
    affected: u64,
    duplicates: u64,
    deleted: u64,
    failed: Option<SqlError>,
}

impl Session {
    pub(crate) async fn run_load_data(&mut self, load: &LoadData) -> Result<StatementResult, SqlError> {
        self.refuse_writes_to_the_past()?;
        let mut loader = self.loader(load)?;
        if load.local {
            if self.db.global_variable("local_infile").as_deref() != Some("ON") || !self.options.local_files {
                return Err(sql_error(
                    ErrorCode::NotAllowedCommand,
                    "Loading local data is disabled; this must be enabled on both the client and server sides",
                ));
            }
            let loader = Box::new(loader);
            return Ok(StatementResult::LocalInfile(LocalInfile { file_name: load.path.clone(), loader }));
        }
        self.privileges().check_global(Rights::FILE, "FILE")?;
        let unreadable = |error: std::io::Error| {
            sql_error(ErrorCode::FileNotFound, format!("Can't find file '{}' ({error})", load.path))
        };
        let mut file = std::fs::File::open(&load.path).map_err(unreadable)?;
        let mut piece = vec![0; READ_BYTES];
        loop {
            let read = file.read(&mut piece).map_err(unreadable)?;
            if read == 0 {
                break;
            }
            self.load_feed(&mut loader, &piece[..read]).await?;
        }
        Ok(StatementResult::Ok(self.load_finish(loader).await?))
    }

    fn loader(&mut self, load: &LoadData) -> Result<Loader, SqlError> {
        let format =
            LineFormat::new(&load.fields, &load.lines).ok_or_else(|| unsupported("fixed-size LOAD DATA"))?;
        let schema = self.schema();
        let (_, table) = self.known_table(&schema, &load.table)?;
        let targets: Vec<LoadTarget> = if load.columns.is_empty() {
            table
                .public_columns()
                .filter(|column| !column.is_generated())
                .map(|column| LoadTarget::Column(ast::ColumnName::bare(column.name.as_str())))
                .collect()
        } else {
            load.columns.clone()
        };
        let mut columns = Vec::new();
        let mut values = Vec::new();
        for (position, target) in targets.iter().enumerate() {
            let LoadTarget::Column(column) = target else { continue };
            // A SET of the same column wins.
            if load.assignments.iter().any(|assignment| assignment.column.name.eq_ignore_case(&column.name)) {
                continue;
            }
            columns.push(column.clone());
            values.push(Expr::Parameter(position));
        }
        for assignment in &load.assignments {
            columns.push(assignment.column.clone());
            values.push(with_fields(&assignment.value, &targets));
        }
        let plain = load.assignments.is_empty() && columns.len() == targets.len();
        let statement = ast::Statement::Insert(Box::new(ast::Insert {
            hints: Vec::new(),
            replace: load.on_duplicate == LoadConflict::Replace,
            priority: None,
            ignore: false,
            table: load.table.clone(),
            partitions: load.partitions.clone(),
            columns: Some(columns),
            source: ast::InsertSource::Values(vec![values]),
            row_alias: None,
            on_duplicate: Vec::new(),
        }));
        let mut loader = Loader {
            format,
            rest: Vec::new(),
            skip_lines: load.skip_lines,
            rows: Vec::new(),
            statement,
            fields: targets.len(),
            plain,
            on_duplicate: match load.on_duplicate {
                LoadConflict::Error if load.local => LoadConflict::Ignore,
                other => other,
            },
            met_duplicate: false,
            forgiving: load.local || load.on_duplicate == LoadConflict::Ignore,
            records: 0,
            affected: 0,
            duplicates: 0,
            deleted: 0,
            failed: None,
        };
        // Errors in names are told before the client sends its file.
        let context = self.load_context(&loader);
        let mut shape = context;
        shape.param_types = vec![FieldType::string(); loader.fields].into();
        shape.eval.params = vec![Datum::Null; loader.fields].into();
        let statement = std::mem::replace(&mut loader.statement, ast::Statement::Empty);
        self.plan_insert(&statement, &shape)?;
        loader.statement = statement;
        Ok(loader)
    }

    fn load_context(&mut self, loader: &Loader) -> Statement {
        let params: Vec<Parameter> = (0..loader.fields)
            .map(|_| Parameter { value: Datum::Null, field_type: FieldType::string() })
            .collect();
        let mut context = self.statement(params);
        context.eval.in_dml = true;
        context.eval.ignore_errors = loader.forgiving;
        context
    }

    /// The plan of the statement's INSERT; parameters stay parameters.
    fn plan_insert(&mut self, statement: &ast::Statement, context: &Statement) -> Result<Planned, SqlError> {
        let schema = self.schema();
        let plan = self
            .with_plan_context(&schema, context, true, |cx| planner::plan(statement, cx))
            .map_err(|error| crate::error::from_plan(&error))?;
        self.check_access(&plan)?;
        Ok(Planned { plan: Arc::new(plan), fields: Arc::from([]), schema })
    }

    /// Takes a piece of the file.
    pub(crate) async fn load_feed(&mut self, loader: &mut Loader, data: &[u8]) -> Result<(), SqlError> {
        if loader.failed.is_some() {
            // The rest of the file is read to its end and forgotten.
            return Ok(());
        }
        let result = self.feed(loader, data, false).await;
        if let Err(error) = &result {
            loader.failed = Some(error.clone());
        }
        result
    }

    async fn feed(&mut self, loader: &mut Loader, data: &[u8], at_end: bool) -> Result<(), SqlError> {
        loader.rest.extend_from_slice(data);
        let bytes = std::mem::take(&mut loader.rest);
        let mut position = 0;
        while let Some((fields, used)) = loader.format.next_line(&bytes[position..], at_end) {
            position += used;
            if loader.skip_lines > 0 {
                loader.skip_lines -= 1;
                continue;
            }
            loader.rows.push(fields);
            if loader.rows.len() >= BATCH_ROWS {
                self.flush(loader).await?;
            }
        }
        loader.rest = bytes[position..].to_vec();
        Ok(())
    }

    /// The file has ended.
    pub(crate) async fn load_finish(&mut self, mut loader: Loader) -> Result<OkResult, SqlError> {
        if let Some(error) = loader.failed.take() {
            return Err(error);
        }
        self.feed(&mut loader, &[], true).await?;
        self.flush(&mut loader).await?;
        let mut ok = self.ok();
        ok.affected_rows = loader.affected;
        ok.info = format!(
            "Records: {}  Deleted: {}  Skipped: {}  Warnings: {}",
            loader.records,
            loader.deleted,
            loader.duplicates,
            self.warnings.count()
        );
        Ok(ok)
    }

    /// Writes the rows read so far.
    async fn flush(&mut self, loader: &mut Loader) -> Result<(), SqlError> {
        if loader.rows.is_empty() {
            return Ok(());
        }
        let mut tries = 0;
        let warned = self.warnings.shared().count();
        let counts = loop {
            self.warnings.shared().rewind(warned);
            let autocommit = !self.locks_reads();
            loader.met_duplicate |= !autocommit;
            self.open_transaction().await?;
            let error = match self.write_batch(loader).await {
                Ok(counts) if !autocommit => break counts,
                Ok(counts) => {
                    let Some(mut open) = self.txn.take() else { break counts };
                    match self.commit(&mut open).await {
                        Ok(()) => break counts,
                        Err(error) if error.remedy() == Remedy::RestartTransaction && tries < TRIES_MAX => {
                            tries += 1;
                            continue;
                        }
                        // The key was there, or another transaction brought it meanwhile: look, or look again.
                        Err(tidewater_txn::TxnError::KeyExists { .. })
                            if loader.on_duplicate != LoadConflict::Error && tries < TRIES_MAX =>
                        {
                            loader.met_duplicate = true;
                            tries += 1;
                            continue;
                        }
                        Err(error) => return Err(self.commit_error(&open, error)),
                    }
                }
                Err(error) => error,
            };
            if autocommit {
                let open = self.txn.take();
                if let Some(mut open) = open {
                    if let Err(error) = open.txn.rollback().await {
                        tracing::debug!(%error, "rollback");
                    }
                    let is_changing =
                        matches!(&error, DmlError::Txn(tidewater_txn::TxnError::CommitRefused { .. }));
                    if is_changing && tries < TRIES_MAX {
                        self.until_writable(&open).await?;
                        tries += 1;
                        continue;
                    }
                }
            }
            if let DmlError::Sql(SqlError { code, .. }) = &error
                && *code == ErrorCode::DupEntry.number()
                && loader.presumes_new_keys()
            {
                loader.met_duplicate = true;
                continue;
            }
            return Err(match error {
                DmlError::Sql(error) => error,
                DmlError::Txn(error) => from_txn(&error),
            });
        };
        loader.records += loader.rows.len() as u64;
        loader.affected += counts.affected;
        match loader.on_duplicate {
            LoadConflict::Replace => loader.deleted += counts.duplicates,
            LoadConflict::Ignore | LoadConflict::Error => loader.duplicates += counts.duplicates,
        }
        loader.rows.clear();
        Ok(())
    }

    async fn write_batch(&mut self, loader: &Loader) -> Result<Counts, DmlError> {
        let context = self.load_context(loader);
        let planned = self.plan_insert(&loader.statement, &context)?;
        let PhysicalPlan::Insert(node) = &*planned.plan.root else {
            return Err(sql_error(ErrorCode::UnknownError, "LOAD DATA has no plan").into());
        };
        let InsertSource::Values(exprs) = &node.source else {
            return Err(sql_error(ErrorCode::UnknownError, "LOAD DATA has no values").into());
        };
        let mode = match loader.on_duplicate {
            _ if loader.presumes_new_keys() => OnDuplicate::Fail,
            LoadConflict::Error => OnDuplicate::Fail,
            LoadConflict::Ignore => OnDuplicate::Skip,
            LoadConflict::Replace => OnDuplicate::Replace,
        };
        let mut target = self.insert_target(&node.table, &context, mode)?;
        let mut rows = Vec::with_capacity(loader.rows.len());
        for (index, fields) in loader.rows.iter().enumerate() {
            let line = loader.records + index as u64 + 1;
            self.check_width(loader, fields.len(), line, &context)?;
            let given = fields.len().min(loader.fields);
            let row = if loader.plain {
                // Columns without a field take their defaults.
                let columns = &node.columns[..given.min(node.columns.len())];
                target.row_of_fields(columns, &fields[..given], line)?
            } else {
                let mut values = fields[..given].to_vec();
                values.resize(loader.fields, Datum::Null);
                target.maker.eval.params = values.into();
                target.row_of_exprs(&node.columns, &exprs[0], true)?
            };
            rows.push(row);
        }
        self.process.kill_query.check()?;
        // A batch that fails undoes itself, and nothing before it.
        let Some(stage) = self.txn.as_mut().map(|open| open.txn.savepoint()) else {
            return Ok(target.counts);
        };
        let mut result = self.insert_rows(&mut target, rows).await;
        let Some(open) = &mut self.txn else { return Ok(target.counts) };
        if result.is_ok() {
            let locked = open.txn.lock_written_since(stage, LockOptions::default());
            result = self.process.unless_killed(locked).await.map(drop);
        }
        match result {
            Ok(()) => {
                open.txn.release(stage);
                Ok(target.counts)
            }
            Err(error) => {
                open.txn.rollback_to(stage);
                Err(error)
            }
        }
    }

    fn check_width(
        &self,
        loader: &Loader,
        width: usize,
        line: u64,
        context: &Statement,
    ) -> Result<(), DmlError> {
        let (code, message) = if width < loader.fields {
            (ErrorCode::WarnTooFewRecords, format!("Row {line} doesn't contain data for all columns"))
        } else if width > loader.fields {
            (
                ErrorCode::WarnTooManyRecords,
                format!("Row {line} was truncated; it contained more data than there were input columns"),
            )
        } else {
            return Ok(());
        };
        if !loader.forgiving && context.eval.sql_mode.is_strict() {
            return Err(sql_error(code, message).into());
        }
        context.eval.warn(code.number(), message);
        Ok(())
    }
}

impl Loader {
    /// Whether the next batch is written without a look at what is stored.
    fn presumes_new_keys(&self) -> bool {
        !self.met_duplicate && self.on_duplicate != LoadConflict::Error
    }
}

/// SET's expressions refer to columns and variables of the line: both are its fields.
fn with_fields(expr: &Expr, targets: &[LoadTarget]) -> Expr {
    let field = |matches: &dyn Fn(&LoadTarget) -> bool| targets.iter().position(matches);
    match expr {
        Expr::UserVariable(name) => {
            match field(
                &|target| matches!(target, LoadTarget::Variable(variable) if variable.eq_ignore_ascii_case(name)),
            ) {
                Some(position) => Expr::Parameter(position),
                None => expr.clone(),
            }
        }
        Expr::Column(column) if column.table.is_none() => {
            match field(
                &|target| matches!(target, LoadTarget::Column(other) if other.name.eq_ignore_case(&column.name)),
            ) {
                Some(position) => Expr::Parameter(position),
                None => expr.clone(),
            }
        }
        Expr::Function(call) => {
            let mut call = call.clone();
            for arg in &mut call.args {
                *arg = with_fields(arg, targets);
            }
            Expr::Function(call)
        }
        Expr::Unary { op, expr } => Expr::Unary { op: *op, expr: Box::new(with_fields(expr, targets)) },
        Expr::Binary { left, op, right } => Expr::Binary {
            left: Box::new(with_fields(left, targets)),
            op: *op,
            right: Box::new(with_fields(right, targets)),
        },
        Expr::IsNull { expr, negated } => {
            Expr::IsNull { expr: Box::new(with_fields(expr, targets)), negated: *negated }
        }
        Expr::Cast { expr, to, array } => {
            Expr::Cast { expr: Box::new(with_fields(expr, targets)), to: to.clone(), array: *array }
        }
        Expr::Case(case) => Expr::Case(Box::new(ast::Case {
            operand: case.operand.as_ref().map(|operand| with_fields(operand, targets)),
            branches: case
                .branches
                .iter()
                .map(|(when, then)| (with_fields(when, targets), with_fields(then, targets)))
                .collect(),
            otherwise: case.otherwise.as_ref().map(|otherwise| with_fields(otherwise, targets)),
        })),
        other => other.clone(),
    }
}
