//! SHOW COLUMNS, DESCRIBE, SHOW INDEX.

use tidewater_parser::ast::ObjectName;
use tidewater_types::{Datum, FieldType, SqlError, TypeCode};

use crate::infoschema::{Source, columns_of, key_parts, optional, text};
use crate::session::Session;

use super::{Table, text_type};

pub(super) fn columns(
    session: &Session,
    source: &Source,
    name: &ObjectName,
    full: bool,
) -> Result<Table, SqlError> {
    let (_, table) = session.known_table(&source.schema, name)?;
    let rows = table
        .public_columns()
        .map(|column| {
            let field_type = &column.field_type;
            let has_collation =
                field_type.is_text() || matches!(field_type.code, TypeCode::Enum | TypeCode::Set);
            let mut row = vec![text(column.name.as_str()), text(field_type.to_sql())];
            if full {
                row.push(optional(has_collation.then(|| field_type.collation.name())));
            }
            row.extend([
                text(if field_type.is_not_null() { "NO" } else { "YES" }),
                text(table.key_word(column)),
                optional(columns_of::default_text(column)),
                text(columns_of::extra(column)),
            ]);
            if full {
                row.extend([text("select,insert,update,references"), text(column.comment.as_str())]);
            }
            row
        })
        .collect();
    let names: &[&str] = if full {
        &["Field", "Type", "Collation", "Null", "Key", "Default", "Extra", "Privileges", "Comment"]
    } else {
        &["Field", "Type", "Null", "Key", "Default", "Extra"]
    };
    Ok(Table::of_text(names, rows))
}

pub(super) fn indexes(session: &Session, source: &Source, name: &ObjectName) -> Result<Table, SqlError> {
    let (_, table) = session.known_table(&source.schema, name)?;
    let cardinality = (source.row_counts)(table.id).unwrap_or(0) as i64;
    let rows = key_parts(&table)
        .into_iter()
        .map(|part| {
            let mut row = vec![text(table.name.as_str()), Datum::Int(i64::from(!part.unique))];
            row.extend(part.values(cardinality));
            row
        })
        .collect();
    let (t, i) = (text_type, FieldType::int);
    let mut shown = Table::new(
        &[
            ("Table", t()),
            ("Non_unique", i()),
            ("Key_name", t()),
            ("Seq_in_index", i()),
            ("Column_name", t()),
            ("Collation", t()),
            ("Cardinality", i()),
            ("Sub_part", i()),
            ("Packed", t()),
            ("Null", t()),
            ("Index_type", t()),
            ("Comment", t()),
            ("Index_comment", t()),
            ("Visible", t()),
            ("Expression", t()),
        ],
        rows,
    );
    shown.like_column = 2;
    Ok(shown)
}
