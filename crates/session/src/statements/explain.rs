//! EXPLAIN and EXPLAIN ANALYZE.

use std::sync::Arc;

use tidewater_distsql::CopStats;
use tidewater_parser::ast::{Explain, ExplainTarget, Statement};
use tidewater_planner::{self as planner, PhysicalPlan};
use tidewater_types::{Datum, SqlError};

use crate::error::{from_exec, unsupported};
use crate::infoschema::text;
use crate::prepared::Parameter;
use crate::result::StatementResult;
use crate::session::Session;
use crate::show::Table;
use crate::statements::rows_of;

impl Session {
    pub(crate) async fn run_explain(
        &mut self,
        explain: &Explain,
        params: Vec<Parameter>,
    ) -> Result<StatementResult, SqlError> {
        let statement = match &explain.target {
            ExplainTarget::Statement(statement) => statement,
            ExplainTarget::Connection(_) => return Err(unsupported("EXPLAIN FOR CONNECTION")),
        };
        let mut context = self.statement(params);
        if !statement.is_plannable() {
            return Err(unsupported("EXPLAIN of this statement"));
        }
        let writes = !matches!(&**statement, Statement::Query(_));
        context.eval.in_dml = writes;
        if !writes {
            self.choose_past().await?;
        }
        if self.locks_reads() {
            self.open_transaction().await?;
        }
        let planned = self.plan_statement(statement, &context)?;
        if explain.analyze {
            return self.explain_analyze(statement, planned, &context, writes).await;
        }
        let rows = planner::explain(&planned.plan.root)
            .into_iter()
            .map(|row| {
                vec![
                    text(row.id),
                    text(format!("{:.2}", row.est_rows)),
                    text(row.task),
                    text(row.access_object),
                    text(row.operator_info),
                ]
            })
            .collect();
        let table = Table::of_text(&["id", "estRows", "task", "access object", "operator info"], rows);
        Ok(StatementResult::Rows(rows_of(self, table)))
    }

    async fn explain_analyze(
        &mut self,
        statement: &Statement,
        planned: crate::query::Planned,
        context: &crate::context::Statement,
        writes: bool,
    ) -> Result<StatementResult, SqlError> {
        let plan: Arc<PhysicalPlan> = Arc::clone(&planned.plan.root);
        let mut stats = std::collections::BTreeMap::new();
        let mut cop = None;
        if writes {
            Box::pin(self.run_dml(statement, Vec::new())).await?;
        } else {
            self.use_up_settings(&plan);
            let snapshot = self.read_snapshot(false).await?;
            self.check_schema(&planned, snapshot.ts()).await?;
            let mut builder = self.builder(&plan, snapshot, &planned.schema, context);
            builder.stats = Some(Arc::default());
            let cop_stats = CopStats::default();
            builder.read.cop_stats = Some(cop_stats.clone());
            let mut operator = builder.build(&plan).map_err(from_exec)?;
            operator.open().await.map_err(from_exec)?;
            while operator.next().await.map_err(from_exec)?.is_some() {}
            operator.close().await;
            if let Some(collected) = &builder.stats {
                stats = collected.lock().clone();
            }
            cop = Some(cop_stats);
        }
        let rows = planner::explain(&plan)
            .into_iter()
            .map(|row| {
                let own = stats.get(&row.plan_id);
                let step = cop.as_ref().and_then(|cop| cop.step(row.plan_id));
                let (actual, info) = match (own, step) {
                    (Some(own), _) => (Datum::UInt(own.rows()), own.to_string()),
                    (None, Some(step)) => (
                        Datum::UInt(step.rows),
                        format!(
                            "tikv_task:{{time:{:?}, loops:{}}}, tasks:{}",
                            step.time, step.loops, step.tasks
                        ),
                    ),
                    (None, None) => (Datum::UInt(0), String::new()),
                };
                vec![
                    text(row.id),
                    text(format!("{:.2}", row.est_rows)),
                    text(self.datum_text(&actual)),
                    text(row.task),
                    text(row.access_object),
                    text(info),
                    text(row.operator_info),
                    text("N/A"),
                    text("N/A"),
                ]
            })
            .collect();
        let names = [
            "id",
            "estRows",
            "actRows",
            "task",
            "access object",
            "execution info",
            "operator info",
            "memory",
            "disk",
        ];
        Ok(StatementResult::Rows(rows_of(self, Table::of_text(&names, rows))))
    }
}
