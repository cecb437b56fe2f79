//! ANALYZE TABLE: reads the table once and makes its statistics.

use std::sync::Arc;

use rand::SeedableRng;
use tidewater_parser::ast::{self, AnalyzeTable};
use tidewater_stats::{BuildOptions, StatsBuilder};
use tidewater_types::{ErrorCode, SqlError};

use crate::error::sql_error;
use crate::infoschema::text;
use crate::privileges::Rights;
use crate::result::StatementResult;
use crate::session::Session;
use crate::show::Table;
use crate::statements::rows_of;

impl Session {
    pub(crate) async fn run_analyze(&mut self, analyze: &AnalyzeTable) -> Result<StatementResult, SqlError> {
        let schema = self.db.schema();
        let mut rows = Vec::new();
        for name in &analyze.tables {
            let (database, table) = self.known_table(&schema, name)?;
            let privileges = self.privileges();
            privileges.check_table(&database, table.name.lower(), Rights::SELECT, "SELECT")?;
            privileges.check_table(&database, table.name.lower(), Rights::INSERT, "INSERT")?;
            let status = if table.is_view() || table.is_virtual() {
                "The storage engine for the table doesn't support analyze"
            } else {
                self.analyze_one(&database, &table).await?;
                "OK"
            };
            rows.push(vec![
                text(format!("{database}.{}", table.name)),
                text("analyze"),
                text(if status == "OK" { "status" } else { "note" }),
                text(status),
            ]);
        }
        Ok(StatementResult::Rows(rows_of(
            self,
            Table::of_text(&["Table", "Op", "Msg_type", "Msg_text"], rows),
        )))
    }

    async fn analyze_one(
        &mut self,
        database: &str,
        table: &Arc<tidewater_catalog::TableInfo>,
    ) -> Result<(), SqlError> {
        let columns: Vec<_> = table.public_columns().collect();
        let items = columns
            .iter()
            .map(|column| ast::SelectItem::Expr {
                expr: ast::Expr::Column(ast::ColumnName::bare(column.name.as_str())),
                alias: None,
                text: ast::SourceText::default(),
            })
            .collect();
        let factor = ast::TableFactor::new(ast::ObjectName {
            schema: Some(database.into()),
            name: table.name.as_str().into(),
        });
        let query = ast::Query::of(ast::QueryBody::Select(Box::new(ast::Select {
            items,
            from: vec![ast::TableRef::Table(Box::new(factor))],
            ..ast::Select::default()
        })));
        let statement = ast::Statement::Query(Box::new(query));
        let context = self.statement(Vec::new());
        let planned = self.plan_statement(&statement, &context)?;
        let mut rows = self.run_planned(&planned, &context).await?;
        let read: Vec<_> = columns.iter().map(|column| (column.id, column.field_type.clone())).collect();
        let indices = table
            .public_indices()
            .map(|index| {
                let positions = index
                    .columns
                    .iter()
                    .filter_map(|part| columns.iter().position(|column| column.offset == part.offset));
                (index.id, positions.collect())
            })
            .collect();
        let random = rand::rngs::StdRng::seed_from_u64(self.db.next_seed());
        let mut builder = StatsBuilder::new(read, indices, BuildOptions::default(), random);
        while let Some(chunk) = rows.next().await? {
            builder.push(&chunk).map_err(|error| sql_error(ErrorCode::UnknownError, error.to_string()))?;
        }
        let stats = builder.finish();
        let json = stats.to_json();
        let version = self.current_ts().await?.into_inner();
        self.db.stats().put(table.id, stats);
        let mut session = self.db.internal_session()?;
        let quoted = json.replace('\\', "\\\\").replace('\'', "\\'");
        session
            .query(&format!("REPLACE INTO mysql.table_stats VALUES ({}, {version}, '{quoted}')", table.id))
            .await?;
        session.close().await;
        self.db.notify(|notices| notices.statistics += 1).await
    }
}
