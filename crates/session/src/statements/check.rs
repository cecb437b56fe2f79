//! Whether the rows of a table keep a CHECK constraint that it is to have.

use tidewater_catalog::{CheckInfo, quote_identifier};
use tidewater_codec::{StartTs, TableId};
use tidewater_parser::{ParserOptions, parse_one};
use tidewater_planner as planner;
use tidewater_types::{ErrorCode, SqlError};

use crate::dispatch::from_parse;
use crate::error::{from_exec, from_plan};
use crate::session::Session;

impl Session {
    /// 3819 if a stored row breaks the constraint. Writers obey it already: rows that are committed later keep it.
    pub(super) async fn verify_check(&mut self, table: TableId, check: &CheckInfo) -> Result<(), SqlError> {
        let schema = self.db.schema();
        // Earlier steps of the statement may have renamed the table; one that is gone has no rows.
        let Some((database, table)) = schema.located_table(table) else { return Ok(()) };
        let [database, table] = [database, &table.name].map(|name| quote_identifier(name.as_str(), '`'));
        let text = format!("SELECT 1 FROM {database}.{table} WHERE NOT {} LIMIT 1", check.expr);
        let parsed = parse_one(&text, &ParserOptions::default()).map_err(|error| from_parse(&error))?;
        let context = self.statement(Vec::new());
        let plan = self
            .with_plan_context(&schema, &context, false, |cx| planner::plan(&parsed.statement, cx))
            .map_err(|error| from_plan(&error))?;
        let snapshot = self.db.client().snapshot(StartTs(self.current_ts().await?));
        let builder = self.builder(&plan.root, snapshot, &schema, &context);
        let mut operator = builder.build(&plan.root).map_err(from_exec)?;
        let found = tidewater_executor::collect(&mut *operator).await.map_err(from_exec)?;
        if found.iter().any(|chunk| chunk.num_rows() > 0) {
            return Err(SqlError::with(ErrorCode::CheckConstraintViolated, &[&check.name]));
        }
        Ok(())
    }
}
