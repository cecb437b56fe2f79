//! The text of SHOW CREATE: what clients show, and what dumps reload.

use std::fmt::Write;

use tidewater_types::{Collation, ConvertContext, FieldType, TypeCode, TypeFlags};

use crate::column::is_current_timestamp;
use crate::table::reference_option;
use crate::{CiName, ColumnInfo, DbInfo, IndexInfo, TableInfo};

/// What SHOW CREATE prints around the plain MySQL syntax.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShowCreateOptions {
    /// The next AUTO_INCREMENT value, shown when above 1.
    pub next_auto_increment: u64,
    /// Whether strings in names are quoted with `"` (sql_mode ANSI_QUOTES).
    pub ansi_quotes: bool,
}

/// An identifier in quotes, with quotes inside doubled.
pub fn quote_identifier(name: &str, quote: char) -> String {
    let mut text = String::with_capacity(name.len() + 2);
    text.push(quote);
    for character in name.chars() {
        if character == quote {
            text.push(quote);
        }
        text.push(character);
    }
    text.push(quote);
    text
}

/// The statement that makes `database`. Readers of MySQL dumps understand the version comment.
pub fn show_create_database(database: &DbInfo, if_not_exists: bool) -> String {
    let collation = database.default_collation();
    let charset = collation.charset();
    let mut text = String::from("CREATE DATABASE ");
    if if_not_exists {
        text.push_str("/*!32312 IF NOT EXISTS*/ ");
    }
    text.push_str(&quote_identifier(database.name.as_str(), '`'));
    let _ = write!(text, " /*!40100 DEFAULT CHARACTER SET {}", charset.name());
    if collation != charset.default_collation() {
        let _ = write!(text, " COLLATE {}", collation.name());
    }
    text.push_str(" */");
    text
}

/// The statement that makes `view`.
pub fn show_create_view(view: &TableInfo, options: ShowCreateOptions) -> String {
    let quote = options.quote();
    let Some(info) = &view.view else {
        return String::new();
    };
    let algorithm =
        ["UNDEFINED", "MERGE", "TEMPTABLE"].get(usize::from(info.algorithm)).unwrap_or(&"UNDEFINED");
    let security = if info.security == 1 { "INVOKER" } else { "DEFINER" };
    let names: Vec<_> = info.columns.iter().map(|name| quote_identifier(name.as_str(), quote)).collect();
    format!(
        "CREATE ALGORITHM={algorithm} DEFINER={}@{} SQL SECURITY {security} VIEW {} ({}) AS {}",
        quote_identifier(&info.definer.user, quote),
        quote_identifier(&info.definer.host, quote),
        quote_identifier(view.name.as_str(), quote),
        names.join(", "),
        info.select,
    )
}

/// The statement that makes `table`.
///
/// TIMESTAMP defaults are stored in UTC and shown in the zone of `context`.
pub fn show_create_table(table: &TableInfo, options: ShowCreateOptions, context: &ConvertContext) -> String {
    let printer = Printer { table, options, context };
    printer.print()
}

impl ShowCreateOptions {
    fn quote(self) -> char {
        if self.ansi_quotes { '"' } else { '`' }
    }
}

struct Printer<'a> {
    table: &'a TableInfo,
    options: ShowCreateOptions,
    context: &'a ConvertContext,
}

impl Printer<'_> {
    fn print(&self) -> String {
        let mut lines: Vec<String> = self.table.public_columns().map(|column| self.column(column)).collect();
        if let Some(column) = self.table.handle_column() {
            lines.push(format!(
                "  PRIMARY KEY ({}) /*T![clustered_index] CLUSTERED */",
                self.name(&column.name)
            ));
        }
        // MySQL prints the primary key first, then the others in order of creation.
        lines
            .extend(self.table.public_indices().filter(|index| index.primary).map(|index| self.index(index)));
        lines.extend(
            self.table.public_indices().filter(|index| !index.primary).map(|index| self.index(index)),
        );
        lines.extend(self.table.foreign_keys.iter().filter(|key| key.state.is_public()).map(|key| {
            let names =
                |names: &[CiName]| names.iter().map(|name| self.name(name)).collect::<Vec<_>>().join(",");
            let mut line = format!(
                "  CONSTRAINT {} FOREIGN KEY ({}) REFERENCES {} ({})",
                self.name(&key.name),
                names(&key.columns),
                self.name(&key.ref_table),
                names(&key.ref_columns),
            );
            for (event, action) in [("DELETE", key.on_delete), ("UPDATE", key.on_update)] {
                if !reference_option(action).is_empty() {
                    let _ = write!(line, " ON {event} {}", reference_option(action));
                }
            }
            line
        }));
        lines.extend(self.table.checks.iter().filter(|check| check.state.is_public()).map(|check| {
            let enforced = if check.enforced { "" } else { " /*!80016 NOT ENFORCED */" };
            format!("  CONSTRAINT {} CHECK ({}){enforced}", self.name(&check.name), check.expr)
        }));
        let mut text = format!("CREATE TABLE {} (\n{}\n)", self.name(&self.table.name), lines.join(",\n"));
        self.table_options(&mut text);
        text
    }

    fn table_options(&self, text: &mut String) {
        let collation = self.table.default_collation();
        let _ = write!(
            text,
            " ENGINE=InnoDB DEFAULT CHARSET={} COLLATE={}",
            collation.charset().name(),
            collation.name()
        );
        if self.options.next_auto_increment > 1 && self.table.auto_increment_column().is_some() {
            let _ = write!(text, " AUTO_INCREMENT={}", self.options.next_auto_increment);
        }
        if self.table.auto_id_cache != 0 {
            let _ = write!(text, " /*T![auto_id_cache] AUTO_ID_CACHE={} */", self.table.auto_id_cache);
        }
        if self.table.shard_row_id_bits != 0 {
            let _ = write!(text, " /*T! SHARD_ROW_ID_BITS={} */", self.table.shard_row_id_bits);
        }
        if !self.table.comment.is_empty() {
            let _ = write!(text, " COMMENT='{}'", escape(self.table.comment.as_bytes()));
        }
    }

    fn column(&self, column: &ColumnInfo) -> String {
        let field_type = &column.field_type;
        let mut text = format!("  {} {}", self.name(&column.name), field_type.to_sql());
        self.collation(column, &mut text);
        if column.is_generated() {
            let kind = if column.generated_stored { "STORED" } else { "VIRTUAL" };
            let _ = write!(text, " GENERATED ALWAYS AS ({}) {kind}", column.generated_expr);
        }
        let flags = field_type.flags;
        if column.is_auto_increment() {
            text.push_str(" NOT NULL AUTO_INCREMENT");
        } else {
            if flags.contains(TypeFlags::NOT_NULL) {
                text.push_str(" NOT NULL");
            }
            if !column.is_generated() {
                self.default(column, &mut text);
            }
            if column.is_on_update_now() {
                let _ = write!(text, " ON UPDATE CURRENT_TIMESTAMP{}", fraction(field_type));
            }
        }
        if !column.comment.is_empty() {
            let _ = write!(text, " COMMENT '{}'", escape(column.comment.as_bytes()));
        }
        text
    }

    /// Shown only where it differs from the table's, as MySQL does.
    fn collation(&self, column: &ColumnInfo, text: &mut String) {
        let field_type = &column.field_type;
        let has_text = field_type.is_string() || matches!(field_type.code, TypeCode::Enum | TypeCode::Set);
        let (own, table) = (field_type.collation, self.table.default_collation());
        if !has_text || own == Collation::Binary {
            return;
        }
        if own.charset() != table.charset() {
            let _ = write!(text, " CHARACTER SET {} COLLATE {}", own.charset().name(), own.name());
        } else if own != table {
            let _ = write!(text, " COLLATE {}", own.name());
        }
    }

    fn default(&self, column: &ColumnInfo, text: &mut String) {
        let field_type = &column.field_type;
        if let Some(bytes) = &column.default_bytes {
            if field_type.code == TypeCode::Bit {
                let bits = bytes.iter().fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
                let _ = write!(text, " DEFAULT b'{bits:b}'");
            } else {
                let _ = write!(text, " DEFAULT '{}'", escape(bytes));
            }
            return;
        }
        let Some(value) = &column.default_value else {
            let may_be_null = !field_type.flags.contains(TypeFlags::NOT_NULL);
            if may_be_null && field_type.code == TypeCode::Timestamp {
                text.push_str(" NULL DEFAULT NULL");
            } else if may_be_null && !field_type.is_blob() && field_type.code != TypeCode::Json {
                text.push_str(" DEFAULT NULL");
            }
            return;
        };
        let is_time = matches!(field_type.code, TypeCode::Timestamp | TypeCode::DateTime | TypeCode::Date);
        if column.default_is_expr {
            let _ = write!(text, " DEFAULT ({value})");
        } else if is_time && is_current_timestamp(value) {
            let _ = write!(text, " DEFAULT CURRENT_TIMESTAMP{}", fraction(field_type));
        } else if field_type.code == TypeCode::Timestamp && column.version >= 2 {
            let _ = write!(text, " DEFAULT '{}'", self.local_timestamp(value, field_type));
        } else {
            let _ = write!(text, " DEFAULT '{}'", escape(value.as_bytes()));
        }
    }

    /// A stored UTC timestamp in the session's zone.
    fn local_timestamp(&self, value: &str, field_type: &FieldType) -> String {
        let fsp = field_type.fsp();
        let stored = tidewater_types::Time::parse(value, fsp, tidewater_types::SqlMode::empty());
        stored.map_or_else(
            |_| value.to_owned(),
            |stored| self.context.time_zone.timestamp_to_local(stored.time).format(fsp),
        )
    }

    fn index(&self, index: &IndexInfo) -> String {
        let mut text = String::from("  ");
        if index.primary {
            text.push_str("PRIMARY KEY");
        } else {
            if index.unique {
                text.push_str("UNIQUE ");
            }
            let _ = write!(text, "KEY {}", self.name(&index.name));
        }
        let parts: Vec<_> = index
            .columns
            .iter()
            .map(|part| {
                let hidden = self.table.columns.get(part.offset).filter(|column| column.hidden);
                match hidden {
                    Some(column) => format!("({})", column.generated_expr),
                    None if part.is_prefix() => format!("{}({})", self.name(&part.name), part.length),
                    None => self.name(&part.name),
                }
            })
            .collect();
        let _ = write!(text, " ({})", parts.join(","));
        if !index.comment.is_empty() {
            let _ = write!(text, " COMMENT '{}'", escape(index.comment.as_bytes()));
        }
        if index.invisible {
            text.push_str(" /*!80000 INVISIBLE */");
        }
        if index.primary {
            let word = if self.table.is_clustered() { "CLUSTERED" } else { "NONCLUSTERED" };
            let _ = write!(text, " /*T![clustered_index] {word} */");
        }
        text
    }

    fn name(&self, name: &CiName) -> String {
        quote_identifier(name.as_str(), self.options.quote())
    }
}

fn fraction(field_type: &FieldType) -> String {
    match field_type.fsp() {
        0 => String::new(),
        digits => format!("({digits})"),
    }
}

/// A string for single quotes, as MySQL's SHOW CREATE escapes it.
fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for character in String::from_utf8_lossy(bytes).chars() {
        match character {
            '\'' => text.push_str("''"),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\0' => text.push_str("\\0"),
            other => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests;
