//! SHOW DATABASES, TABLES, TABLE STATUS, CREATE ...

use tidewater_catalog::{ShowCreateOptions, show_create_database, show_create_table, show_create_view};
use tidewater_parser::ast::ObjectName;
use tidewater_types::{Datum, FieldType, SqlError};

use crate::infoschema::{Source, text};
use crate::session::Session;

use super::{Table, text_type};

pub(super) fn databases(source: &Source) -> Table {
    let rows = source
        .schema
        .databases()
        .filter(|database| source.privileges.sees_database(database.name.lower()))
        .map(|database| vec![text(database.name.as_str())])
        .collect();
    Table::of_text(&["Database"], rows)
}

pub(super) fn tables(
    session: &Session,
    source: &Source,
    schema: Option<&str>,
    full: bool,
) -> Result<Table, SqlError> {
    let database = session.known_database(&source.schema, schema)?;
    let name = database.name.as_str();
    let rows = source
        .schema
        .tables(name)
        .filter(|table| source.privileges.sees_table(database.name.lower(), table.name.lower()))
        .map(|table| {
            let mut row = vec![text(table.name.as_str())];
            if full {
                row.push(text(match (table.is_view(), table.is_virtual()) {
                    (true, _) => "VIEW",
                    (_, true) => "SYSTEM VIEW",
                    _ => "BASE TABLE",
                }));
            }
            row
        })
        .collect();
    let first = format!("Tables_in_{name}");
    let columns: &[&str] = if full { &[&first, "Table_type"] } else { &[&first] };
    Ok(Table::of_text(columns, rows))
}

pub(super) fn table_status(
    session: &Session,
    source: &Source,
    schema: Option<&str>,
) -> Result<Table, SqlError> {
    let database = session.known_database(&source.schema, schema)?;
    let wanted = database.name.lower().to_owned();
    let tables = source
        .schema
        .database("information_schema")
        .and_then(|_| source.schema.table("information_schema", "tables"));
    let all = tables.map(|table| crate::infoschema::rows(source, table)).unwrap_or_default();
    let rows = all
        .into_iter()
        .filter(|row| matches!(&row[1], Datum::Bytes(name) if String::from_utf8_lossy(name).eq_ignore_ascii_case(&wanted)))
        .map(|row| {
            // Name, Engine, Version .. Checksum, Create_options, Comment: the columns of TABLES from the fifth on.
            let mut out = Vec::with_capacity(18);
            out.push(row[2].clone());
            out.extend(row[4..].iter().cloned());
            out
        })
        .collect();
    let u = FieldType::uint;
    let t = text_type;
    let d = || FieldType::datetime(0);
    Ok(Table::new(
        &[
            ("Name", t()),
            ("Engine", t()),
            ("Version", u()),
            ("Row_format", t()),
            ("Rows", u()),
            ("Avg_row_length", u()),
            ("Data_length", u()),
            ("Max_data_length", u()),
            ("Index_length", u()),
            ("Data_free", u()),
            ("Auto_increment", u()),
            ("Create_time", d()),
            ("Update_time", d()),
            ("Check_time", d()),
            ("Collation", t()),
            ("Checksum", u()),
            ("Create_options", t()),
            ("Comment", t()),
        ],
        rows,
    ))
}

pub(super) fn create_table(session: &Session, source: &Source, name: &ObjectName) -> Result<Table, SqlError> {
    let (database, table) = session.known_table(&source.schema, name)?;
    if table.is_view() {
        return create_view(session, source, name);
    }
    let _ = database;
    let next = (source.next_auto_increment)(table.id).unwrap_or(0);
    let options = ShowCreateOptions { next_auto_increment: next, ..ShowCreateOptions::default() };
    let context = session.convert_context(&session.eval_context());
    Ok(Table::of_text(
        &["Table", "Create Table"],
        vec![vec![text(table.name.as_str()), text(show_create_table(&table, options, &context))]],
    ))
}

pub(super) fn create_view(session: &Session, source: &Source, name: &ObjectName) -> Result<Table, SqlError> {
    let (database, table) = session.known_table(&source.schema, name)?;
    if !table.is_view() {
        return Err(crate::error::wrong_object(format!("'{database}.{}' is not VIEW", table.name)));
    }
    Ok(Table::of_text(
        &["View", "Create View", "character_set_client", "collation_connection"],
        vec![vec![
            text(table.name.as_str()),
            text(show_create_view(&table, ShowCreateOptions::default())),
            text("utf8mb4"),
            text("utf8mb4_bin"),
        ]],
    ))
}

pub(super) fn create_database(source: &Source, name: &str, if_not_exists: bool) -> Result<Table, SqlError> {
    let database = source.schema.database(name).ok_or_else(|| crate::error::unknown_database(name))?;
    let sql = show_create_database(database, if_not_exists);
    Ok(Table::of_text(&["Database", "Create Database"], vec![vec![text(database.name.as_str()), text(sql)]]))
}
