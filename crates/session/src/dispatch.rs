//! From text to statement to the code that runs it.

use std::sync::Arc;

use tidewater_parser::ast::{Statement, VariableScope};
use tidewater_parser::{ParseError, ParserOptions, StatementIter};
use tidewater_types::{ErrorCode, SqlError};

use crate::batch::Batch;
use crate::error::{sql_error, unsupported};
use crate::prepared::Parameter;
use crate::result::{OkResult, StatementResult};
use crate::session::Session;
use crate::statements::run_show;
use crate::warnings::WarningList;

/// 1064 and its kin.
pub(crate) fn from_parse(error: &ParseError) -> SqlError {
    let code = ErrorCode::from_number(error.mysql_code()).unwrap_or(ErrorCode::ParseError);
    sql_error(code, error.to_string())
}

impl Session {
    pub(crate) fn parser_options(&self) -> ParserOptions {
        ParserOptions { sql_mode: self.vars.hot.sql_mode }
    }

    pub(crate) async fn next_of_batch(
        &mut self,
        batch: &mut Batch,
    ) -> Option<Result<StatementResult, SqlError>> {
        if batch.position >= batch.text.len() {
            return None;
        }
        let text = Arc::clone(&batch.text);
        let rest = &text[batch.position..];
        let mut statements = StatementIter::from_bytes(rest);
        let parsed = match statements.next_statement(&self.parser_options()) {
            None => {
                batch.position = text.len();
                return None;
            }
            Some(Err(error)) => {
                batch.position = text.len();
                let error = from_parse(&error);
                self.begin_statement("Query", None);
                self.after_statement(Some(&error));
                return Some(Err(error));
            }
            Some(Ok(parsed)) => parsed,
        };
        let sql: Arc<str> = Arc::from(String::from_utf8_lossy(&rest[parsed.text.clone()]));
        batch.position += statements.position();
        if batch.single && batch.has_more() {
            let near = String::from_utf8_lossy(&text[batch.position..]);
            let near: String = near.trim_start_matches([';', ' ', '\n']).chars().take(80).collect();
            batch.position = text.len();
            let error = sql_error(
                ErrorCode::ParseError,
                format!(
                    "You have an error in your SQL syntax; check the manual that corresponds to your Tidewater version \
                     for the right syntax to use near '{near}' at line 1"
                ),
            );
            self.begin_statement("Query", None);
            self.after_statement(Some(&error));
            return Some(Err(error));
        }
        if parsed.parameters > 0 {
            batch.position = text.len();
            let error = sql_error(
                ErrorCode::ParseError,
                "You have an error in your SQL syntax; check the manual that corresponds to your Tidewater version for \
                 the right syntax to use near '?' at line 1",
            );
            return Some(Err(error));
        }
        let result = self.run_statement(&parsed.statement, &sql, Vec::new()).await;
        if result.is_err() {
            batch.position = text.len();
        }
        Some(result)
    }

    /// Runs a statement with all that surrounds it: diagnostics, the process list, the status flags.
    pub(crate) async fn run_statement(
        &mut self,
        statement: &Statement,
        sql: &Arc<str>,
        params: Vec<Parameter>,
    ) -> Result<StatementResult, SqlError> {
        if keeps_diagnostics(statement) {
            self.process.kill_query.reset_statement();
        } else {
            self.begin_statement("Query", Some(sql));
        }
        // The future of a whole statement is large: it lives on the heap, once.
        let result = Box::pin(self.dispatch(statement, sql, params)).await;
        match &result {
            Ok(StatementResult::Rows(_) | StatementResult::LocalInfile(_)) => {
                self.row_count = -1;
                self.refresh_status();
            }
            Ok(StatementResult::Ok(ok)) => {
                self.row_count = i64::try_from(ok.affected_rows).unwrap_or(i64::MAX);
                self.after_statement(None);
            }
            Err(error) => {
                self.row_count = -1;
                self.after_statement(Some(error));
            }
        }
        result.map(|result| match result {
            StatementResult::Ok(ok) => {
                let (status, warnings) = (self.status_flags(), self.warnings.count());
                StatementResult::Ok(OkResult { status, warnings, ..ok })
            }
            other => other,
        })
    }

    pub(crate) fn begin_statement(&mut self, command: &'static str, sql: Option<&Arc<str>>) {
        self.warnings = WarningList::default();
        self.past = None;
        self.process.kill_query.reset_statement();
        self.db.count_question();
        let now = self.db.options.clock.now_micros();
        let sql = sql.cloned();
        self.process.update(|info| {
            info.command = command;
            info.since_micros = now;
            info.statement = sql;
        });
    }

    pub(crate) fn after_statement(&mut self, error: Option<&SqlError>) {
        if let Some(error) = error {
            self.warnings.push_error(error);
        }
        let now = self.db.options.clock.now_micros();
        self.process.update(|info| {
            info.command = "Sleep";
            info.since_micros = now;
            info.statement = None;
        });
        self.refresh_status();
    }

    async fn dispatch(
        &mut self,
        statement: &Statement,
        sql: &Arc<str>,
        params: Vec<Parameter>,
    ) -> Result<StatementResult, SqlError> {
        if statement.commits_implicitly() {
            self.commit_open().await?;
        }
        let ok = match statement {
            Statement::Query(_) => return self.run_query(statement, params).await,
            Statement::Insert(_) | Statement::Update(_) | Statement::Delete(_) => {
                // On the heap: the statements on accounts write tables, too, one statement within the other.
                Box::pin(self.run_dml(statement, params)).await?
            }
            Statement::LoadData(load) => return self.run_load_data(load).await,
            Statement::Call(call) => {
                return Err(sql_error(
                    ErrorCode::SpDoesNotExist,
                    format!("PROCEDURE {} does not exist", call.name.name.as_str()),
                ));
            }
            Statement::Do(exprs) => {
                for expr in exprs {
                    self.evaluate(expr).await?;
                }
                self.ok()
            }
            Statement::CreateDatabase(create) => Box::pin(self.create_database(create, sql)).await?,
            Statement::AlterDatabase(alter) => Box::pin(self.alter_database(alter, sql)).await?,
            Statement::DropDatabase(drop) => Box::pin(self.drop_database(drop, sql)).await?,
            Statement::CreateTable(create) => Box::pin(self.create_table(create, sql)).await?,
            Statement::AlterTable(alter) => Box::pin(self.alter_table(alter, sql)).await?,
            Statement::DropTable(drop) => Box::pin(self.drop_table(drop, sql)).await?,
            Statement::TruncateTable(name) => Box::pin(self.truncate_table(name, sql)).await?,
            Statement::RenameTable(rename) => Box::pin(self.rename_table(rename, sql)).await?,
            Statement::CreateIndex(create) => Box::pin(self.create_index(create, sql)).await?,
            Statement::DropIndex(drop) => Box::pin(self.drop_index(drop, sql)).await?,
            Statement::CreateView(create) => Box::pin(self.create_view(create, sql)).await?,
            Statement::DropView(drop) => Box::pin(self.drop_view(drop, sql)).await?,
            Statement::CreateUser(create) => Box::pin(self.create_user(create)).await?,
            Statement::AlterUser(alter) => Box::pin(self.alter_user(alter)).await?,
            Statement::DropUser(drop) => Box::pin(self.drop_user(drop)).await?,
            Statement::RenameUser(rename) => Box::pin(self.rename_user(rename)).await?,
            Statement::Grant(grant) => Box::pin(self.grant(grant)).await?,
            Statement::Revoke(revoke) => Box::pin(self.revoke(revoke)).await?,
            Statement::SetPassword(set) => Box::pin(self.set_password(set)).await?,
            Statement::CreateRole(_)
            | Statement::GrantRole(_)
            | Statement::RevokeRole(_)
            | Statement::SetDefaultRole(_) => return Err(unsupported("roles")),
            Statement::SetRole(_) => self.ok(),
            Statement::Set(items) => self.run_set(items).await?,
            Statement::SetTransaction(set) => self.run_set_transaction(set).await?,
            Statement::Show(show) => return run_show(self, show).await,
            Statement::Use(name) => self.run_use(name)?,
            Statement::Explain(explain) => return self.run_explain(explain, params).await,
            Statement::DescribeTable(describe) => return self.run_describe(describe).await,
            Statement::Help(_) => {
                let table = crate::show::Table::empty(&["name", "description", "example"]);
                return Ok(StatementResult::Rows(crate::statements::rows_of(self, table)));
            }
            Statement::Begin(begin) => self.run_begin(begin).await?,
            Statement::Commit(completion) => self.run_commit(*completion).await?,
            Statement::Rollback(completion) => self.run_rollback(*completion).await?,
            Statement::Savepoint(name) => self.run_savepoint(name).await?,
            Statement::RollbackToSavepoint(name) => self.run_rollback_to(name)?,
            Statement::ReleaseSavepoint(name) => self.run_release(name)?,
            Statement::LockTables(lock) => self.run_lock_tables(lock)?,
            Statement::UnlockTables => self.run_unlock_tables().await?,
            Statement::Prepare(prepare) => self.run_prepare(prepare).await?,
            Statement::Execute(execute) => return self.run_execute(execute).await,
            Statement::Deallocate(name) => self.run_deallocate(name)?,
            Statement::Kill(kill) => self.run_kill(kill).await?,
            Statement::Analyze(analyze) => return self.run_analyze(analyze).await,
            Statement::Flush(flush) => self.run_flush(flush).await?,
            Statement::MaintainTable(maintain) => return self.run_maintain(maintain).await,
            Statement::Admin(admin) => return self.run_admin(admin).await,
            Statement::SplitTable(split) => return self.run_split(split).await,
            Statement::Shutdown => {
                self.require_admin("SHUTDOWN")?;
                return Err(unsupported("SHUTDOWN"));
            }
            Statement::Empty => return Err(sql_error(ErrorCode::EmptyQuery, "Query was empty")),
        };
        Ok(StatementResult::Ok(ok))
    }
}

/// Statements that ask about the warnings of the one before, and must not sweep them away.
fn keeps_diagnostics(statement: &Statement) -> bool {
    use tidewater_parser::ast::{Expr, QueryBody, SelectItem, ShowKind};
    match statement {
        Statement::Show(show) => matches!(
            show.kind,
            ShowKind::Warnings { .. }
                | ShowKind::Errors { .. }
                | ShowKind::WarningCount
                | ShowKind::ErrorCount
        ),
        Statement::Query(query) => match &query.body {
            QueryBody::Select(select) if select.from.is_empty() => select.items.iter().any(|item| {
                matches!(item, SelectItem::Expr { expr: Expr::SystemVariable(variable), .. }
                    if matches!(variable.name.as_str(), "warning_count" | "error_count")
                        && variable.scope != Some(VariableScope::Global))
            }),
            _ => false,
        },
        _ => false,
    }
}
