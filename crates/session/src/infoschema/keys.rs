//! STATISTICS, KEY_COLUMN_USAGE, TABLE_CONSTRAINTS, REFERENTIAL_CONSTRAINTS.

use tidewater_catalog::{FULL_LENGTH, ForeignKeyInfo, TableInfo};
use tidewater_types::Datum;

use super::{Row, Source, optional, text, visible_tables};

/// One column of a key as listings show it. The integer primary key that is the handle has no index in the catalog,
/// but clients must see it.
pub(crate) struct KeyPart {
    pub(crate) key: String,
    pub(crate) unique: bool,
    pub(crate) primary: bool,
    /// From 1.
    pub(crate) position: i64,
    pub(crate) column: String,
    pub(crate) sub_part: Option<i64>,
    pub(crate) nullable: bool,
    pub(crate) kind: &'static str,
    pub(crate) comment: String,
    pub(crate) visible: bool,
}

impl KeyPart {
    /// From the key's name to its expression, as STATISTICS and SHOW INDEX list it.
    pub(crate) fn values(self, cardinality: i64) -> [Datum; 13] {
        [
            text(self.key),
            Datum::Int(self.position),
            text(self.column),
            text("A"),
            Datum::Int(cardinality),
            self.sub_part.map_or(Datum::Null, Datum::Int),
            Datum::Null,
            text(if self.nullable { "YES" } else { "" }),
            text(self.kind),
            text(""),
            text(self.comment),
            text(if self.visible { "YES" } else { "NO" }),
            Datum::Null,
        ]
    }
}

/// All keys of a table, column by column, the primary key first.
pub(crate) fn key_parts(table: &TableInfo) -> Vec<KeyPart> {
    let mut parts = Vec::new();
    if let Some(column) = table.handle_column() {
        parts.push(KeyPart {
            key: "PRIMARY".to_owned(),
            unique: true,
            primary: true,
            position: 1,
            column: column.name.to_string(),
            sub_part: None,
            nullable: false,
            kind: "BTREE",
            comment: String::new(),
            visible: true,
        });
    }
    let mut indices: Vec<_> = table.public_indices().collect();
    indices.sort_by_key(|index| !index.primary);
    for index in indices {
        for (position, part) in index.columns.iter().enumerate() {
            let nullable =
                table.columns.get(part.offset).is_some_and(|column| !column.field_type.is_not_null());
            parts.push(KeyPart {
                key: index.name.to_string(),
                unique: index.unique,
                primary: index.primary,
                position: position as i64 + 1,
                column: part.name.to_string(),
                sub_part: (part.length != FULL_LENGTH).then_some(i64::from(part.length)),
                nullable,
                kind: match index.kind {
                    2 => "HASH",
                    3 => "RTREE",
                    _ => "BTREE",
                },
                comment: index.comment.clone(),
                visible: !index.invisible,
            });
        }
    }
    parts
}

pub(super) fn statistics(source: &Source) -> Vec<Row> {
    let mut rows = Vec::new();
    for (database, table) in visible_tables(source) {
        let cardinality = (source.row_counts)(table.id).unwrap_or(0) as i64;
        for part in key_parts(table) {
            let mut row = vec![
                text("def"),
                text(database.name.as_str()),
                text(table.name.as_str()),
                Datum::Int(i64::from(!part.unique)),
                text(database.name.as_str()),
            ];
            row.extend(part.values(cardinality));
            rows.push(row);
        }
    }
    rows
}

pub(super) fn key_column_usage(source: &Source) -> Vec<Row> {
    let mut rows = Vec::new();
    for (database, table) in visible_tables(source) {
        let database = database.name.as_str();
        let row =
            |constraint: &str, column: &str, position: i64, reference: Option<(&ForeignKeyInfo, &str)>| {
                vec![
                    text("def"),
                    text(database),
                    text(constraint),
                    text("def"),
                    text(database),
                    text(table.name.as_str()),
                    text(column),
                    Datum::Int(position),
                    if reference.is_some() { Datum::Int(position) } else { Datum::Null },
                    optional(reference.map(|(key, _)| key.ref_schema.as_str())),
                    optional(reference.map(|(key, _)| key.ref_table.as_str())),
                    optional(reference.map(|(_, column)| column)),
                ]
            };
        for part in key_parts(table).iter().filter(|part| part.unique) {
            rows.push(row(&part.key, &part.column, part.position, None));
        }
        for key in &table.foreign_keys {
            for (position, (column, referenced)) in key.columns.iter().zip(&key.ref_columns).enumerate() {
                rows.push(row(
                    key.name.as_str(),
                    column.as_str(),
                    position as i64 + 1,
                    Some((key, referenced.as_str())),
                ));
            }
        }
    }
    rows
}

pub(super) fn table_constraints(source: &Source) -> Vec<Row> {
    let mut rows = Vec::new();
    for (database, table) in visible_tables(source) {
        let mut push = |name: &str, kind: &str, enforced: bool| {
            rows.push(vec![
                text("def"),
                text(database.name.as_str()),
                text(name),
                text(database.name.as_str()),
                text(table.name.as_str()),
                text(kind),
                text(if enforced { "YES" } else { "NO" }),
            ]);
        };
        for part in key_parts(table).iter().filter(|part| part.unique && part.position == 1) {
            push(&part.key, if part.primary { "PRIMARY KEY" } else { "UNIQUE" }, true);
        }
        for key in &table.foreign_keys {
            push(key.name.as_str(), "FOREIGN KEY", true);
        }
        for check in table.checks.iter().filter(|check| check.state.is_public()) {
            push(check.name.as_str(), "CHECK", check.enforced);
        }
    }
    rows
}

pub(super) fn check_constraints(source: &Source) -> Vec<Row> {
    let mut rows = Vec::new();
    for (database, table) in visible_tables(source) {
        for check in table.checks.iter().filter(|check| check.state.is_public()) {
            rows.push(vec![
                text("def"),
                text(database.name.as_str()),
                text(check.name.as_str()),
                text(check.expr.as_str()),
            ]);
        }
    }
    rows
}

pub(super) fn referential_constraints(source: &Source) -> Vec<Row> {
    let rule = |number: u8| match number {
        1 => "RESTRICT",
        2 => "CASCADE",
        3 => "SET NULL",
        5 => "SET DEFAULT",
        _ => "NO ACTION",
    };
    let mut rows = Vec::new();
    for (database, table) in visible_tables(source) {
        for key in &table.foreign_keys {
            rows.push(vec![
                text("def"),
                text(database.name.as_str()),
                text(key.name.as_str()),
                text("def"),
                text(key.ref_schema.as_str()),
                text("PRIMARY"),
                text("NONE"),
                text(rule(key.on_update)),
                text(rule(key.on_delete)),
                text(table.name.as_str()),
                text(key.ref_table.as_str()),
            ]);
        }
    }
    rows
}
