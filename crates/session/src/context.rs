//! The surroundings of a statement: for expressions, operators and the planner.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tidewater_catalog::InfoSchema;
use tidewater_codec::TableId;
use tidewater_executor::ExecContext;
use tidewater_expr::{EvalContext, SessionInfo};
use tidewater_planner::{PlanContext, PlannerVars, VariableScope};
use tidewater_types::{ConvertContext, Datum, FieldType};

use crate::prepared::Parameter;
use crate::session::Session;
use crate::variables::{self, Scope};

/// What a statement is run with.
#[derive(Clone)]
pub(crate) struct Statement {
    pub(crate) eval: EvalContext,
    pub(crate) param_types: Arc<[FieldType]>,
}

impl Session {
    /// The context of a statement without parameters.
    pub(crate) fn eval_context(&self) -> EvalContext {
        let hot = &self.vars.hot;
        let clock = self.db.options.clock.clone();
        let now_micros = hot.timestamp_micros.unwrap_or_else(|| clock.now_micros());
        EvalContext {
            time_zone: hot.time_zone.clone(),
            sql_mode: hot.sql_mode,
            now_micros,
            clock,
            warnings: self.warnings.shared(),
            in_dml: false,
            ignore_errors: false,
            div_precision_increment: hot.div_precision_increment,
            max_allowed_packet: usize::try_from(hot.max_allowed_packet).unwrap_or(usize::MAX),
            group_concat_max_len: usize::try_from(hot.group_concat_max_len).unwrap_or(usize::MAX),
            collation: hot.collation_connection,
            default_week_format: 0,
            session: self.information(),
            user_vars: Arc::clone(&self.user_vars),
            params: Arc::from([]),
            correlated: Arc::from([]),
            kill: self.process.kill_query.expression_flag(),
            random: self.random.clone(),
            sleeper: self.db.options.sleeper.clone(),
            locks: Arc::clone(&self.db.locks),
        }
    }

    fn information(&self) -> Arc<SessionInfo> {
        let found_rows = self.process.found_rows.load(Ordering::Relaxed);
        if let Some(info) = &self.session_info
            && info.last_insert_id == self.last_insert_id
            && info.row_count == self.row_count
            && info.found_rows == found_rows
            && info.database.as_deref() == self.current_db.as_deref()
        {
            return Arc::clone(info);
        }
        let (user, host) = match &self.options.account {
            Some((user, host)) => (user.as_str(), host.as_str()),
            None => (self.options.user.as_str(), "%"),
        };
        Arc::new(SessionInfo {
            connection_id: self.id(),
            user: format!("{}@{}", self.options.user, self.options.client_host),
            current_user: format!("{user}@{host}"),
            database: self.current_db.as_deref().map(str::to_owned),
            last_insert_id: self.last_insert_id,
            found_rows,
            row_count: self.row_count,
            version: self.db.options.server_version.clone(),
            next_last_insert_id: Arc::default(),
        })
    }

    /// The context of a statement with these parameters.
    pub(crate) fn statement(&mut self, params: Vec<Parameter>) -> Statement {
        let mut eval = self.eval_context();
        self.session_info = Some(Arc::clone(&eval.session));
        let mut values = Vec::with_capacity(params.len());
        let mut types = Vec::with_capacity(params.len());
        for parameter in params {
            values.push(parameter.value);
            types.push(parameter.field_type);
        }
        eval.params = values.into();
        Statement { eval, param_types: types.into() }
    }

    /// The context of a statement's operators.
    pub(crate) fn exec_context(&self, eval: EvalContext) -> ExecContext {
        let hot = &self.vars.hot;
        let memory = match hot.memory_quota {
            Some(quota) => self.db.memory.child_with_quota("statement", quota),
            None => self.db.memory.child("statement"),
        };
        let mut exec = ExecContext::new(eval, memory, self.process.kill_query.clone());
        exec.initial_chunk_rows = hot.init_chunk_rows;
        exec.max_chunk_rows = hot.max_chunk_rows;
        exec
    }

    /// Plans with the session's settings.
    pub(crate) fn with_plan_context<T>(
        &self,
        schema: &InfoSchema,
        statement: &Statement,
        keep_parameters: bool,
        plan: impl FnOnce(&PlanContext<'_>) -> T,
    ) -> T {
        let stats = self.db.stats();
        let dirty = |table: TableId| self.txn.as_ref().is_some_and(|open| open.is_dirty(table));
        let system_variable = |scope: Option<VariableScope>, name: &str| self.system_variable(scope, name);
        plan(&PlanContext {
            info_schema: schema,
            stats: &*stats,
            current_db: self.current_db.as_deref(),
            eval: &statement.eval,
            param_types: &statement.param_types,
            vars: PlannerVars {
                keep_parameters,
                ignore_locks: !self.locks_reads(),
                select_limit: self.vars.hot.select_limit,
                pushdown: self.db.options.protocol.target,
                ..PlannerVars::default()
            },
            dirty_tables: &dirty,
            system_variable: &system_variable,
        })
    }

    /// Whether FOR UPDATE takes locks: in a transaction of several statements.
    pub(crate) fn locks_reads(&self) -> bool {
        self.explicit || !self.vars.hot.autocommit
    }

    /// The value of `@@scope.name` for expressions.
    pub(crate) fn system_variable(
        &self,
        scope: Option<VariableScope>,
        name: &str,
    ) -> Option<(Datum, FieldType)> {
        let id = variables::find(name)?;
        let definition = id.definition();
        let text = match scope {
            Some(VariableScope::Global) if definition.scope != Scope::Session => {
                self.db.variables.values().get(id).to_string()
            }
            _ => self.variable_text(id),
        };
        Some(variables::datum(definition, &text))
    }

    /// For storing values into columns.
    pub(crate) fn convert_context(&self, eval: &EvalContext) -> ConvertContext {
        ConvertContext {
            sql_mode: eval.sql_mode,
            strict: eval.sql_mode.is_strict() && !eval.ignore_errors,
            time_zone: eval.time_zone.clone(),
            now_micros: eval.now_micros,
            warnings: eval.warnings.clone(),
            column: Arc::from(""),
            row: 1,
        }
    }
}
