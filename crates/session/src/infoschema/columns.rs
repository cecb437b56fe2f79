//! COLUMNS.

use tidewater_catalog::{ColumnInfo, DefaultValue, TableInfo};
use tidewater_types::{Datum, FieldType, TypeCode};

use super::{Row, Source, optional, text, visible_tables};

pub(super) fn columns(source: &Source) -> Vec<Row> {
    let mut rows = Vec::new();
    for (database, table) in visible_tables(source) {
        for column in table.public_columns() {
            rows.push(column_row(database.name.as_str(), table, column));
        }
    }
    rows
}

fn column_row(database: &str, table: &TableInfo, column: &ColumnInfo) -> Row {
    let field_type = &column.field_type;
    let (chars, bytes) = string_lengths(field_type);
    let (precision, scale) = number_sizes(field_type);
    let is_text = field_type.is_text() || matches!(field_type.code, TypeCode::Enum | TypeCode::Set);
    let fsp = matches!(field_type.code, TypeCode::DateTime | TypeCode::Timestamp | TypeCode::Duration)
        .then(|| u64::from(field_type.fsp()));
    let number = |value: Option<u64>| value.map_or(Datum::Null, Datum::UInt);
    vec![
        text("def"),
        text(database),
        text(table.name.as_str()),
        text(column.name.as_str()),
        Datum::UInt(column.offset as u64 + 1),
        optional(default_text(column)),
        text(if field_type.is_not_null() { "NO" } else { "YES" }),
        text(type_word(field_type)),
        number(chars),
        number(bytes),
        number(precision),
        number(scale),
        number(fsp),
        optional(is_text.then(|| field_type.charset().name())),
        optional(is_text.then(|| field_type.collation.name())),
        text(field_type.to_sql()),
        text(table.key_word(column)),
        text(extra(column)),
        text("select,insert,update,references"),
        text(column.comment.as_str()),
        text(column.generated_expr.as_str()),
        Datum::Null,
    ]
}

/// What `SHOW COLUMNS` prints under `Default`.
pub(crate) fn default_text(column: &ColumnInfo) -> Option<String> {
    match column.default() {
        DefaultValue::Missing | DefaultValue::Null | DefaultValue::AutoIncrement => None,
        DefaultValue::CurrentTimestamp | DefaultValue::Expression(_) => column.default_value.clone(),
        DefaultValue::Literal(bytes) if column.field_type.code == TypeCode::Bit => {
            let bits = bytes.iter().fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
            Some(format!("b'{bits:b}'"))
        }
        DefaultValue::Literal(bytes) if column.default_bytes.is_some() => {
            Some(format!("0x{}", hex::encode_upper(bytes)))
        }
        DefaultValue::Literal(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
    }
}

/// What `SHOW COLUMNS` prints under `Extra`.
pub(crate) fn extra(column: &ColumnInfo) -> String {
    let mut words = Vec::new();
    if column.is_auto_increment() {
        words.push("auto_increment".to_owned());
    }
    if matches!(column.default(), DefaultValue::CurrentTimestamp | DefaultValue::Expression(_)) {
        words.push("DEFAULT_GENERATED".to_owned());
    }
    if column.is_on_update_now() {
        words.push(match column.field_type.fsp() {
            0 => "on update CURRENT_TIMESTAMP".to_owned(),
            fsp => format!("on update CURRENT_TIMESTAMP({fsp})"),
        });
    }
    if column.is_generated() {
        words.push(if column.generated_stored { "STORED GENERATED" } else { "VIRTUAL GENERATED" }.to_owned());
    }
    words.join(" ")
}

/// The bare word of a type.
fn type_word(field_type: &FieldType) -> String {
    let sql = field_type.to_sql();
    sql.split(['(', ' ']).next().unwrap_or_default().to_owned()
}

fn string_lengths(field_type: &FieldType) -> (Option<u64>, Option<u64>) {
    let is_list = matches!(field_type.code, TypeCode::Enum | TypeCode::Set);
    if !field_type.is_string() && !is_list {
        return (None, None);
    }
    if field_type.code == TypeCode::LongBlob {
        return (Some(u64::from(u32::MAX)), Some(u64::from(u32::MAX)));
    }
    let length = field_type.length.max(0) as u64;
    if field_type.is_blob() {
        return (Some(length), Some(length));
    }
    (Some(length), Some(length * field_type.charset().max_bytes() as u64))
}

fn number_sizes(field_type: &FieldType) -> (Option<u64>, Option<u64>) {
    match field_type.code {
        TypeCode::Tiny => (Some(3), Some(0)),
        TypeCode::Short => (Some(5), Some(0)),
        TypeCode::Int24 => (Some(7), Some(0)),
        TypeCode::Long => (Some(10), Some(0)),
        TypeCode::LongLong => (Some(if field_type.is_unsigned() { 20 } else { 19 }), Some(0)),
        TypeCode::NewDecimal => {
            (Some(field_type.length.max(0) as u64), Some(field_type.decimals.max(0) as u64))
        }
        TypeCode::Float => (Some(12), u64::try_from(field_type.decimals).ok()),
        TypeCode::Double => (Some(22), u64::try_from(field_type.decimals).ok()),
        TypeCode::Bit => (Some(field_type.length.max(0) as u64), None),
        _ => (None, None),
    }
}
