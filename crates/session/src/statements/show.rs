//! Running a SHOW: compute, filter, give out.

use std::sync::Arc;

use tidewater_catalog::{DbInfo, InfoSchemaBuilder, TableInfo, VirtualKind};
use tidewater_chunk::{ChunkBuilder, MAX_CHUNK_ROWS};
use tidewater_codec::{DbId, TableId};
use tidewater_parser::ast::{self, DescribeTable, Expr, Show, ShowFilter, ShowKind};
use tidewater_types::{FieldType, SqlError};

use crate::infoschema::Row;
use crate::result::{RecordSet, ResultField, StatementResult};
use crate::session::Session;
use crate::show::{self, Table};

/// Ids of the table a SHOW .. WHERE is planned over.
const SHOW_ID: i64 = (1 << 60) + 1_000_000;

pub(crate) async fn run_show(session: &mut Session, statement: &Show) -> Result<StatementResult, SqlError> {
    let source = session.virtual_source();
    let mut table = match &statement.kind {
        ShowKind::TableRegions { table, partitions, index } => {
            session.table_regions(table, partitions, index.as_ref()).await?
        }
        kind => show::compute(session, &source, kind)?,
    };
    show::filter_like(&mut table, statement.filter.as_ref());
    if let Some(ShowFilter::Where(condition)) = &statement.filter {
        table.rows = filter_where(session, &table, condition).await?;
    }
    Ok(StatementResult::Rows(rows_of(session, table)))
}

impl Session {
    pub(crate) async fn run_describe(
        &mut self,
        describe: &DescribeTable,
    ) -> Result<StatementResult, SqlError> {
        let kind = ShowKind::Columns { full: false, extended: false, table: describe.table.clone() };
        let filter = describe.column.clone().map(ShowFilter::Like);
        run_show(self, &Show { kind, filter }).await
    }
}

/// Gives a computed table out as a result.
pub(crate) fn rows_of(session: &Session, table: Table) -> RecordSet {
    let types: Vec<FieldType> = table.columns.iter().map(|(_, field_type)| field_type.clone()).collect();
    let fields =
        table.columns.into_iter().map(|(name, field_type)| ResultField::computed(name, field_type)).collect();
    let chunks = table
        .rows
        .chunks(MAX_CHUNK_ROWS)
        .map(|rows| {
            let mut builder = ChunkBuilder::new(&types, rows.len());
            for row in rows {
                builder.push_row(row);
            }
            builder.finish()
        })
        .collect();
    RecordSet::from_chunks(fields, chunks, Some(session.statement_end()))
}

/// `SHOW .. WHERE` is a SELECT over the computed table: it is planned over a schema that holds nothing else.
async fn filter_where(session: &mut Session, table: &Table, condition: &Expr) -> Result<Vec<Row>, SqlError> {
    let mut builder = InfoSchemaBuilder::new();
    let mut info = DbInfo::new(DbId(SHOW_ID), "show");
    info.is_virtual = true;
    builder.put_database(info);
    let mut description = TableInfo::new(TableId(SHOW_ID), "result");
    for (name, field_type) in &table.columns {
        description.add_column(name.as_str(), field_type.clone());
    }
    description.virtual_kind = Some(VirtualKind::System);
    builder.put_table(DbId(SHOW_ID), description);
    let schema = Arc::new(builder.build(0));
    let query = ast::Query::of(ast::QueryBody::Select(Box::new(ast::Select {
        items: vec![ast::SelectItem::Wildcard],
        from: vec![ast::TableRef::Table(Box::new(ast::TableFactor::new(ast::ObjectName {
            schema: Some("show".into()),
            name: "result".into(),
        })))],
        selection: Some(condition.clone()),
        ..ast::Select::default()
    })));
    session.query_computed(schema, query, table.rows.clone()).await
}
