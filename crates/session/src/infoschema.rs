//! `information_schema` and `performance_schema`: tables whose rows are computed from what the node knows.
//!
//! `definitions` lists the tables and their columns; the other files compute the rows of one family of tables each.

mod catalog_tables;
mod cluster_tables;
pub(crate) mod columns;
mod definitions;
mod keys;
pub(crate) mod server_tables;

use std::sync::Arc;

use tidewater_catalog::{DbInfo, InfoSchema, InfoSchemaBuilder, TableInfo, VirtualKind};
use tidewater_codec::{DbId, TableId};
use tidewater_types::{Datum, SqlError, TimeZone};

use crate::database::Database;
use crate::privileges::Privileges;
use crate::processes::ProcessInfo;
use crate::variables::Values;

pub(crate) use catalog_tables::table_time;
pub(crate) use cluster_tables::bound_text;
pub(crate) use columns as columns_of;
pub(crate) use keys::key_parts;
pub(crate) use server_tables as server_rows;

/// A row of a virtual table.
pub(crate) type Row = Vec<Datum>;

/// Ids of virtual databases and tables lie where no stored object's id comes.
const VIRTUAL_ID_BASE: i64 = 1 << 60;

/// What the rows are computed from; a copy, so that the scan holds no lock.
pub(crate) struct Source {
    /// The schema the statement sees.
    pub(crate) schema: Arc<InfoSchema>,
    /// What the asking user may see.
    pub(crate) privileges: Privileges,
    /// The running sessions.
    pub(crate) processes: Vec<(u64, ProcessInfo)>,
    /// Session variables.
    pub(crate) session: Values,
    /// Global variables.
    pub(crate) global: Values,
    /// Status counters.
    pub(crate) status: Vec<(String, String)>,
    /// Now, microseconds since the epoch.
    pub(crate) now_micros: i64,
    /// The session's.
    pub(crate) time_zone: TimeZone,
    /// Rows of tables by statistics, `None` when unknown.
    pub(crate) row_counts: Box<dyn Fn(TableId) -> Option<u64> + Send + Sync>,
    /// The next AUTO_INCREMENT value of tables, as far as this node knows.
    pub(crate) next_auto_increment: Box<dyn Fn(TableId) -> Option<u64> + Send + Sync>,
}

/// Adds the virtual databases to a schema under construction.
pub(crate) fn add_to(builder: &mut InfoSchemaBuilder) {
    let databases = [
        ("information_schema", VirtualKind::InformationSchema, definitions::INFORMATION_SCHEMA),
        ("performance_schema", VirtualKind::PerformanceSchema, definitions::PERFORMANCE_SCHEMA),
    ];
    let mut next_id = VIRTUAL_ID_BASE;
    let mut id = || {
        next_id += 1;
        next_id
    };
    for (name, kind, tables) in databases {
        let mut info = DbInfo::new(DbId(id()), name);
        info.is_virtual = true;
        let database = info.id;
        builder.put_database(info);
        for (table, columns) in tables {
            let columns = columns.iter().map(|(name, column_type)| (*name, column_type.field_type()));
            builder.put_table(database, TableInfo::new_virtual(TableId(id()), *table, kind, columns));
        }
    }
}

/// Whether a database is computed.
pub(crate) fn is_virtual_database(name: &str) -> bool {
    name.eq_ignore_ascii_case("information_schema") || name.eq_ignore_ascii_case("performance_schema")
}

/// The rows of a virtual table, in step with its columns, those included that others must be asked for.
pub(crate) async fn ask_rows(
    source: &Source,
    database: &Database,
    table: &TableInfo,
) -> Result<Vec<Row>, SqlError> {
    match cluster_tables::ClusterTable::from_name(table.name.lower()) {
        Some(of_cluster) => of_cluster.rows(source, database).await,
        None => Ok(rows(source, table)),
    }
}

/// The rows of a virtual table that this node knows, in step with its columns.
pub(crate) fn rows(source: &Source, table: &TableInfo) -> Vec<Row> {
    match table.name.lower() {
        "schemata" => catalog_tables::schemata(source),
        "tables" => catalog_tables::tables(source),
        "views" => catalog_tables::views(source),
        "partitions" => catalog_tables::partitions(source),
        "columns" => columns::columns(source),
        "statistics" => keys::statistics(source),
        "key_column_usage" => keys::key_column_usage(source),
        "check_constraints" => keys::check_constraints(source),
        "table_constraints" => keys::table_constraints(source),
        "referential_constraints" => keys::referential_constraints(source),
        "engines" => server_tables::engines(),
        "character_sets" => server_tables::character_sets(),
        "collations" => server_tables::collations(),
        "collation_character_set_applicability" => server_tables::applicability(),
        "processlist" => server_tables::processlist(source),
        "user_privileges" => source.privileges.user_privilege_rows(),
        "schema_privileges" => source.privileges.schema_privilege_rows(),
        "table_privileges" => source.privileges.table_privilege_rows(),
        "session_variables" => server_tables::variables(&source.session),
        "global_variables" => server_tables::variables(&source.global),
        "session_status" | "global_status" => server_tables::status(source),
        "plugins" => server_tables::plugins(),
        "keywords" => Vec::new(),
        // Known to clients, never filled here.
        _ => Vec::new(),
    }
}

/// Text.
pub(crate) fn text(value: impl Into<String>) -> Datum {
    Datum::Bytes(value.into().into_bytes())
}

/// Text or NULL.
pub(crate) fn optional(value: Option<impl Into<String>>) -> Datum {
    value.map_or(Datum::Null, text)
}

/// The stored databases and tables the user may see, views included.
pub(crate) fn visible_tables(source: &Source) -> impl Iterator<Item = (&Arc<DbInfo>, &Arc<TableInfo>)> {
    source.schema.databases().flat_map(move |database| {
        source
            .schema
            .tables(database.name.lower())
            .filter(move |table| source.privileges.sees_table(database.name.lower(), table.name.lower()))
            .map(move |table| (database, table))
    })
}
