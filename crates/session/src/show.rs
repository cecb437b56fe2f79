//! SHOW: every kind gives a small table; LIKE and WHERE then filter it.

mod catalog;
mod columns;
mod server;

use tidewater_expr::EvalContext;
use tidewater_parser::ast::{ShowFilter, ShowKind};
use tidewater_types::{Collation, Datum, FieldType, SqlError};

use crate::infoschema::{Row, Source};
use crate::session::Session;

/// The answer of a SHOW before it is filtered.
pub(crate) struct Table {
    pub(crate) columns: Vec<(String, FieldType)>,
    pub(crate) rows: Vec<Row>,
    /// The column LIKE looks at.
    pub(crate) like_column: usize,
}

impl Table {
    pub(crate) fn new(columns: &[(&str, FieldType)], rows: Vec<Row>) -> Self {
        let columns =
            columns.iter().map(|(name, field_type)| ((*name).to_owned(), field_type.clone())).collect();
        Self { columns, rows, like_column: 0 }
    }

    /// A table of text columns.
    pub(crate) fn of_text(columns: &[&str], rows: Vec<Row>) -> Self {
        Self {
            columns: columns.iter().map(|name| ((*name).to_owned(), text_type())).collect(),
            rows,
            like_column: 0,
        }
    }

    /// A table of this shape without rows.
    pub(crate) fn empty(columns: &[&str]) -> Self {
        Self::of_text(columns, Vec::new())
    }
}

/// The type of most columns.
pub(crate) fn text_type() -> FieldType {
    FieldType::varchar(256).with_collation(Collation::Utf8mb4GeneralCi)
}

/// Computes the unfiltered answer.
pub(crate) fn compute(session: &Session, source: &Source, kind: &ShowKind) -> Result<Table, SqlError> {
    match kind {
        ShowKind::Databases => Ok(catalog::databases(source)),
        ShowKind::Tables { full, schema } => catalog::tables(session, source, schema.as_deref(), *full),
        ShowKind::OpenTables { .. } => Ok(Table::empty(&["Database", "Table", "In_use", "Name_locked"])),
        ShowKind::TableStatus { schema } => catalog::table_status(session, source, schema.as_deref()),
        ShowKind::Columns { full, table, .. } => columns::columns(session, source, table, *full),
        ShowKind::Indexes { table, .. } => columns::indexes(session, source, table),
        ShowKind::CreateTable(name) => catalog::create_table(session, source, name),
        ShowKind::CreateView(name) => catalog::create_view(session, source, name),
        ShowKind::CreateDatabase { if_not_exists, name } => {
            catalog::create_database(source, name, *if_not_exists)
        }
        ShowKind::CreateUser(user) => session.show_create_user(user),
        ShowKind::CreateProcedure(name) => Err(server::no_such_routine("PROCEDURE", &name.name)),
        ShowKind::CreateFunction(name) => Err(server::no_such_routine("FUNCTION", &name.name)),
        ShowKind::CreateTrigger(_) => Err(server::no_such_trigger()),
        ShowKind::CreateEvent(name) => Err(server::no_such_event(&name.name)),
        ShowKind::CreateSequence(name) => {
            Err(crate::error::unsupported(&format!("SHOW CREATE SEQUENCE {}", name.name.as_str())))
        }
        ShowKind::CreatePlacementPolicy(name) => {
            Err(crate::error::unsupported(&format!("SHOW CREATE PLACEMENT POLICY {}", name.as_str())))
        }
        ShowKind::Variables { scope } => Ok(server::variables(session, source, *scope)),
        ShowKind::Status { .. } => Ok(server::status(source)),
        ShowKind::Warnings { limit } => server::warnings(session, limit.as_ref(), false),
        ShowKind::Errors { limit } => server::warnings(session, limit.as_ref(), true),
        ShowKind::WarningCount => Ok(server::warning_count(session, "@@session.warning_count", false)),
        ShowKind::ErrorCount => Ok(server::warning_count(session, "@@session.error_count", true)),
        ShowKind::Engines => Ok(server::engines()),
        ShowKind::Engine { name, what } => Ok(Table::of_text(
            &["Type", "Name", "Status"],
            vec![vec![
                crate::infoschema::text(name.as_str()),
                crate::infoschema::text(""),
                crate::infoschema::text(format!("no {what} here")),
            ]],
        )),
        ShowKind::Charset => Ok(server::charsets()),
        ShowKind::Collation => Ok(server::collations()),
        ShowKind::ProcessList { full } => Ok(server::processlist(source, *full)),
        ShowKind::Grants { user, .. } => session.show_grants(user.as_ref()),
        ShowKind::Privileges => Ok(server::privileges()),
        ShowKind::Plugins => Ok(server::plugins()),
        ShowKind::Triggers { .. } => Ok(Table::empty(&[
            "Trigger",
            "Event",
            "Table",
            "Statement",
            "Timing",
            "Created",
            "sql_mode",
            "Definer",
            "character_set_client",
            "collation_connection",
            "Database Collation",
        ])),
        ShowKind::Events { .. } => Ok(Table::empty(&[
            "Db",
            "Name",
            "Definer",
            "Time zone",
            "Type",
            "Execute at",
            "Interval value",
            "Interval field",
            "Starts",
            "Ends",
            "Status",
            "Originator",
            "character_set_client",
            "collation_connection",
            "Database Collation",
        ])),
        ShowKind::ProcedureStatus | ShowKind::FunctionStatus => Ok(Table::empty(&[
            "Db",
            "Name",
            "Type",
            "Definer",
            "Modified",
            "Created",
            "Security_type",
            "Comment",
            "character_set_client",
            "collation_connection",
            "Database Collation",
        ])),
        ShowKind::Profiles => Ok(Table::empty(&["Query_ID", "Duration", "Query"])),
        ShowKind::Profile => Ok(Table::empty(&["Status", "Duration"])),
        ShowKind::MasterStatus => {
            Ok(Table::empty(&["File", "Position", "Binlog_Do_DB", "Binlog_Ignore_DB", "Executed_Gtid_Set"]))
        }
        ShowKind::BinaryLogs => Ok(Table::empty(&["Log_name", "File_size", "Encrypted"])),
        ShowKind::ReplicaStatus => Ok(Table::empty(&["Slave_IO_State", "Master_Host", "Master_User"])),
        ShowKind::Builtins => Ok(Table::empty(&["Supported_builtin_functions"])),
        // The placement driver is to be asked: the statement does it.
        ShowKind::TableRegions { .. } => Err(crate::error::unsupported("SHOW TABLE REGIONS here")),
        ShowKind::Stats(_) => Ok(Table::empty(&["Db_name", "Table_name", "Partition_name", "Update_time"])),
        ShowKind::Config => Ok(Table::empty(&["Type", "Instance", "Name", "Value"])),
        ShowKind::Placement => Ok(Table::empty(&["Target", "Placement", "Scheduling_State"])),
        ShowKind::Bindings { .. } => Ok(Table::empty(&["Original_sql", "Bind_sql", "Default_db", "Status"])),
    }
}

/// Applies LIKE; WHERE is the session's, which can plan expressions.
pub(crate) fn filter_like(table: &mut Table, filter: Option<&ShowFilter>) {
    let Some(ShowFilter::Like(pattern)) = filter else { return };
    let column = table.like_column;
    table.rows.retain(|row| match row.get(column) {
        Some(Datum::Bytes(value)) => like(&String::from_utf8_lossy(value), pattern),
        Some(Datum::Null) | None => false,
        Some(_) => true,
    });
}

/// Case-insensitive LIKE with backslash as the escape.
pub(crate) fn like(text: &str, pattern: &str) -> bool {
    let text: Vec<char> = text.to_lowercase().chars().collect();
    let pattern: Vec<char> = pattern.to_lowercase().chars().collect();
    like_chars(&text, &pattern)
}

fn like_chars(text: &[char], pattern: &[char]) -> bool {
    // Where to go on when the text after the last `%` does not fit.
    let (mut t, mut p) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        let matched = match pattern.get(p) {
            Some('%') => {
                retry = Some((t, p + 1));
                p += 1;
                continue;
            }
            Some('_') => (t < text.len()).then_some(1),
            Some('\\') if p + 1 < pattern.len() => (text.get(t) == Some(&pattern[p + 1])).then_some(2),
            Some(c) => (text.get(t) == Some(c)).then_some(1),
            None if t == text.len() => return true,
            None => None,
        };
        match (matched, retry) {
            (Some(width), _) => {
                p += width;
                t += 1;
            }
            (None, Some((from, after))) if from < text.len() => {
                retry = Some((from + 1, after));
                t = from + 1;
                p = after;
            }
            (None, _) => return false,
        }
    }
}

/// An evaluation context for pieces of SHOW (LIMIT of SHOW WARNINGS).
pub(crate) fn literal_u64(expr: &tidewater_parser::ast::Expr, _eval: &EvalContext) -> Option<u64> {
    match expr {
        tidewater_parser::ast::Expr::Literal(tidewater_parser::ast::Literal::Int(value)) => {
            u64::try_from(*value).ok()
        }
        tidewater_parser::ast::Expr::Literal(tidewater_parser::ast::Literal::UInt(value)) => Some(*value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::like;

    #[test]
    fn patterns_match_as_mysqls() {
        for (text, pattern, expected) in [
            ("orders", "orders", true),
            ("Orders", "ORD%", true),
            ("orders", "%de%", true),
            ("orders", "o_ders", true),
            ("orders", "o_der", false),
            ("a_b", "a\\_b", true),
            ("axb", "a\\_b", false),
            ("", "%", true),
            ("abcabd", "%abd", true),
        ] {
            assert_eq!(like(text, pattern), expected, "{text} LIKE {pattern}");
        }
    }
}
