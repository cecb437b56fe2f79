//! Prepared statements: in the protocol and in SQL; the plans they keep.

use std::sync::Arc;

use tidewater_codec::TableId;
use tidewater_parser::ast::{self, PrepareSource, Statement};
use tidewater_parser::parse_one;
use tidewater_planner as planner;
use tidewater_types::{Datum, ErrorCode, FieldType, SqlError, TypeCode, TypeFlags};

use crate::context::Statement as Context;
use crate::dispatch::from_parse;
use crate::dml::Info;
use crate::error::{from_plan, sql_error};
use crate::prepared::{CachedPlan, Parameter, PreparedInfo};
use crate::query::{Planned, counts_found_rows, result_fields};
use crate::result::{OkResult, ResultField, StatementResult};
use crate::session::Session;
use crate::warnings::WarningList;

/// Most `?` of a statement.
const PARAMETERS_MAX: usize = 65_535;

impl Session {
    pub(crate) async fn prepare_text(&mut self, sql: &str) -> Result<PreparedInfo, SqlError> {
        self.warnings = WarningList::default();
        self.process.kill_query.reset_statement();
        let parsed = parse_one(sql, &self.parser_options()).map_err(|error| from_parse(&error))?;
        if parsed.parameters > PARAMETERS_MAX {
            return Err(sql_error(
                ErrorCode::PsManyParam,
                "Prepared statement contains too many placeholders",
            ));
        }
        if matches!(
            parsed.statement,
            Statement::Prepare(_) | Statement::Execute(_) | Statement::Deallocate(_)
        ) {
            return Err(sql_error(
                ErrorCode::UnsupportedPs,
                "This command is not supported in the prepared statement protocol yet",
            ));
        }
        let columns = self.columns_of(&parsed.statement, parsed.parameters)?;
        let id = self.prepared.add(Arc::from(sql), parsed.statement, parsed.parameters);
        let mut unknown = FieldType::binary_string();
        unknown.length = 0;
        unknown.flags = TypeFlags::BINARY;
        let params = (0..parsed.parameters).map(|_| ResultField::computed("?", unknown.clone())).collect();
        Ok(PreparedInfo { id, params, columns, warnings: self.warnings.count() })
    }

    /// The result's columns before any parameter has a value.
    fn columns_of(
        &mut self,
        statement: &Statement,
        parameters: usize,
    ) -> Result<Arc<[ResultField]>, SqlError> {
        let unbound = (0..parameters)
            .map(|_| Parameter { value: Datum::Null, field_type: FieldType::null() })
            .collect();
        let mut context = self.statement(unbound);
        // Types they have, but no values: LIMIT ? is a number yet to come.
        context.eval.params = Arc::from([]);
        let schema = self.schema();
        if let Statement::Query(_) = statement {
            let plan = self
                .with_plan_context(&schema, &context, true, |cx| planner::plan(statement, cx))
                .map_err(|error| from_plan(&error))?;
            self.check_access(&plan)?;
            return Ok(result_fields(&plan));
        }
        if matches!(statement, Statement::Insert(_) | Statement::Update(_) | Statement::Delete(_)) {
            context.eval.in_dml = true;
            let plan = self
                .with_plan_context(&schema, &context, true, |cx| planner::plan(statement, cx))
                .map_err(|error| from_plan(&error))?;
            self.check_access(&plan)?;
        }
        Ok(Arc::from([]))
    }

    pub(crate) async fn run_prepared(
        &mut self,
        id: u32,
        params: Vec<Parameter>,
    ) -> Result<StatementResult, SqlError> {
        let Some(prepared) = self.prepared.by_id(id) else { return Err(unknown_handler(&id.to_string())) };
        if prepared.parameters != params.len() {
            return Err(sql_error(ErrorCode::WrongArguments, "Incorrect arguments to mysqld_stmt_execute"));
        }
        let (statement, text) = (Arc::clone(&prepared.statement), Arc::clone(&prepared.text));
        if !matches!(
            &*statement,
            Statement::Query(_) | Statement::Insert(_) | Statement::Update(_) | Statement::Delete(_)
        ) {
            return self.run_statement(&statement, &text, params).await;
        }
        self.begin_statement("Execute", Some(&text));
        let result = Box::pin(self.execute_plannable(id, &statement, params)).await;
        match &result {
            Ok(StatementResult::Ok(ok)) => {
                self.row_count = i64::try_from(ok.affected_rows).unwrap_or(i64::MAX);
                self.after_statement(None);
            }
            Ok(_) => {
                self.row_count = -1;
                self.refresh_status();
            }
            Err(error) => {
                self.row_count = -1;
                self.after_statement(Some(error));
            }
        }
        result.map(|result| match result {
            StatementResult::Ok(ok) => StatementResult::Ok(OkResult {
                status: self.status_flags(),
                warnings: self.warnings.count(),
                ..ok
            }),
            other => other,
        })
    }

    async fn execute_plannable(
        &mut self,
        id: u32,
        statement: &Arc<Statement>,
        params: Vec<Parameter>,
    ) -> Result<StatementResult, SqlError> {
        if let Statement::Query(query) = &**statement
            && query.into.is_none()
            && !counts_found_rows(query)
        {
            let context = self.statement(params);
            self.choose_past().await?;
            if self.locks_reads() {
                self.open_transaction().await?;
            }
            let plan =
                |session: &mut Self, context: &Context| match session.cached_plan(id, statement, context)? {
                    Some(planned) => Ok(planned),
                    None => session.plan_statement(statement, context),
                };
            return Ok(StatementResult::Rows(self.run_by_newest_schema(&context, plan).await?));
        }
        if matches!(&**statement, Statement::Query(_)) {
            return self.run_query(statement, params).await;
        }
        let ignore = match &**statement {
            Statement::Insert(insert) => insert.ignore,
            Statement::Update(update) => update.ignore,
            Statement::Delete(delete) => delete.ignore,
            _ => false,
        };
        let mut context = self.statement(params);
        context.eval.in_dml = true;
        context.eval.ignore_errors = ignore;
        let info = match &**statement {
            Statement::Insert(insert) => match &insert.source {
                ast::InsertSource::Values(rows) => Info::Insert { always: rows.len() > 1 },
                ast::InsertSource::Query(_) => Info::Insert { always: true },
            },
            Statement::Update(_) => Info::Update,
            _ => Info::None,
        };
        let counts = self
            .write(&context, |session, context| match session.cached_plan(id, statement, context)? {
                Some(planned) => Ok(planned),
                None => session.plan_statement(statement, context),
            })
            .await?;
        Ok(StatementResult::Ok(self.finish_dml(counts, &info)))
    }

    /// The statement's kept plan, or a new one to keep; `None` when its plan depends on the values.
    fn cached_plan(
        &mut self,
        id: u32,
        statement: &Arc<Statement>,
        context: &Context,
    ) -> Result<Option<Planned>, SqlError> {
        let schema = self.schema();
        let types: Vec<(TypeCode, bool)> = context
            .param_types
            .iter()
            .map(|field_type| (field_type.code, field_type.is_unsigned()))
            .collect();
        let in_transaction = self.locks_reads();
        if let Some(cached) = self.prepared.by_id(id).and_then(|prepared| prepared.plan.as_ref())
            && cached.schema_version == schema.version()
            && cached.types == types
            && cached.in_transaction == in_transaction
            && cached.database == self.current_db
            && cached.sql_mode == self.vars.hot.sql_mode
        {
            if self.has_written(&cached.scanned) {
                return Ok(None);
            }
            let (plan, fields) = (Arc::clone(&cached.plan), Arc::clone(&cached.fields));
            return Ok(Some(Planned { plan, fields, schema }));
        }
        if self.prepared.by_id(id).is_some_and(|prepared| prepared.plans_vary) {
            return Ok(None);
        }
        let plan = self
            .with_plan_context(&schema, context, true, |cx| match planner::point_plan(statement, cx)? {
                Some(plan) => Ok(Some(plan)),
                // Plans of inserts do not depend on what is stored, those of queries only through estimates.
                None if matches!(&**statement, Statement::Insert(_) | Statement::Query(_)) => {
                    planner::plan(statement, cx).map(Some)
                }
                None => Ok(None),
            })
            .map_err(|error| from_plan(&error))?;
        let Some(plan) = plan.filter(|plan| plan.cacheable) else {
            if let Some(prepared) = self.prepared.by_id_mut(id) {
                prepared.plans_vary = true;
            }
            return Ok(None);
        };
        self.check_access(&plan)?;
        let fields = result_fields(&plan);
        let plan = Arc::new(plan);
        let scanned = plan.scanned_tables();
        if self.has_written(&scanned) {
            return Ok(Some(Planned { plan, fields, schema }));
        }
        let cached = CachedPlan {
            plan: Arc::clone(&plan),
            fields: Arc::clone(&fields),
            schema_version: schema.version(),
            types,
            database: self.current_db.clone(),
            sql_mode: self.vars.hot.sql_mode,
            scanned,
            in_transaction,
        };
        if let Some(prepared) = self.prepared.by_id_mut(id) {
            prepared.plan = Some(cached);
        }
        Ok(Some(Planned { plan, fields, schema }))
    }

    /// Whether the open transaction has written to one of these tables.
    fn has_written(&self, tables: &[TableId]) -> bool {
        self.txn.as_ref().is_some_and(|open| tables.iter().any(|table| open.is_dirty(*table)))
    }

    pub(crate) async fn run_prepare(&mut self, prepare: &ast::Prepare) -> Result<OkResult, SqlError> {
        let text = match &prepare.source {
            PrepareSource::Text(text) => text.clone(),
            PrepareSource::Variable(name) => {
                let value = self.user_vars.lock().get(&name.to_lowercase()).cloned();
                match value {
                    Some((value, field_type)) => tidewater_table::datum_text(&value, &field_type),
                    None => "NULL".to_owned(),
                }
            }
        };
        let info = self.prepare_text(&text).await?;
        self.prepared.name(&prepare.name, info.id);
        Ok(self.ok())
    }

    pub(crate) async fn run_execute(&mut self, execute: &ast::Execute) -> Result<StatementResult, SqlError> {
        let id = self.prepared.named(&execute.name).ok_or_else(|| unknown_handler(&execute.name))?;
        let params: Vec<Parameter> = {
            let vars = self.user_vars.lock();
            execute
                .using
                .iter()
                .map(|name| match vars.get(&name.to_lowercase()) {
                    Some((value, field_type)) => {
                        Parameter { value: value.clone(), field_type: field_type.clone() }
                    }
                    None => Parameter { value: Datum::Null, field_type: FieldType::null() },
                })
                .collect()
        };
        if self.prepared_param_count(id) != Some(params.len()) {
            return Err(sql_error(ErrorCode::WrongArguments, "Incorrect arguments to EXECUTE"));
        }
        Box::pin(self.run_prepared(id, params)).await
    }

    pub(crate) fn run_deallocate(&mut self, name: &str) -> Result<OkResult, SqlError> {
        let id = self.prepared.named(name).ok_or_else(|| unknown_handler(name))?;
        self.prepared.close(id);
        Ok(self.ok())
    }
}

fn unknown_handler(name: &str) -> SqlError {
    sql_error(
        ErrorCode::UnknownStmtHandler,
        format!("Unknown prepared statement handler ({name}) given to EXECUTE"),
    )
}
