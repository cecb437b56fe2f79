//! SHOW VARIABLES, STATUS, WARNINGS, ENGINES, CHARACTER SET, COLLATION, PROCESSLIST, PLUGINS, PRIVILEGES.

use tidewater_parser::ast::{Limit, VariableScope};
use tidewater_types::{Datum, ErrorCode, FieldType, SqlError, WarningLevel};

use crate::infoschema::{Source, server_rows, text};
use crate::session::Session;
use crate::variables::{self, Scope};

use super::{Table, literal_u64, text_type};

/// Characters of a statement that SHOW PROCESSLIST without FULL prints.
const PROCESS_INFO_CHARS: usize = 100;

pub(super) fn variables(session: &Session, source: &Source, scope: Option<VariableScope>) -> Table {
    let global = scope == Some(VariableScope::Global);
    let rows = variables::all()
        .filter(|(_, definition)| !(global && definition.scope == Scope::Session))
        .map(|(id, definition)| {
            let value = if global || definition.scope == Scope::Global {
                source.global.get(id).to_string()
            } else {
                session.variable_text(id)
            };
            vec![text(definition.name), text(value)]
        })
        .collect();
    Table::of_text(&["Variable_name", "Value"], rows)
}

pub(super) fn status(source: &Source) -> Table {
    let rows =
        source.status.iter().map(|(name, value)| vec![text(name.as_str()), text(value.as_str())]).collect();
    Table::of_text(&["Variable_name", "Value"], rows)
}

pub(super) fn warnings(
    session: &Session,
    limit: Option<&Limit>,
    errors_only: bool,
) -> Result<Table, SqlError> {
    let eval = session.eval_context();
    let (offset, count) = match limit {
        None => (0, u64::MAX),
        Some(limit) => (
            limit.offset.as_ref().and_then(|offset| literal_u64(offset, &eval)).unwrap_or(0),
            literal_u64(&limit.count, &eval).unwrap_or(u64::MAX),
        ),
    };
    let rows = session
        .warnings
        .list()
        .into_iter()
        .filter(|warning| !errors_only || warning.level == WarningLevel::Error)
        .skip(usize::try_from(offset).unwrap_or(usize::MAX))
        .take(usize::try_from(count).unwrap_or(usize::MAX))
        .map(|warning| {
            let level = match warning.level {
                WarningLevel::Note => "Note",
                WarningLevel::Warning => "Warning",
                WarningLevel::Error => "Error",
            };
            vec![text(level), Datum::UInt(u64::from(warning.code)), text(warning.message)]
        })
        .collect();
    Ok(Table::new(&[("Level", text_type()), ("Code", FieldType::uint()), ("Message", text_type())], rows))
}

pub(super) fn warning_count(session: &Session, name: &str, errors_only: bool) -> Table {
    let count = session
        .warnings
        .list()
        .iter()
        .filter(|warning| !errors_only || warning.level == WarningLevel::Error)
        .count();
    Table::new(&[(name, FieldType::int())], vec![vec![Datum::Int(count as i64)]])
}

pub(super) fn engines() -> Table {
    Table::of_text(
        &["Engine", "Support", "Comment", "Transactions", "XA", "Savepoints"],
        server_rows::engines(),
    )
}

pub(super) fn charsets() -> Table {
    let rows = server_rows::CHARSETS
        .iter()
        .map(|(charset, description)| {
            vec![
                text(charset.name()),
                text(*description),
                text(charset.default_collation().name()),
                Datum::Int(charset.max_bytes() as i64),
            ]
        })
        .collect();
    Table::new(
        &[
            ("Charset", text_type()),
            ("Description", text_type()),
            ("Default collation", text_type()),
            ("Maxlen", FieldType::int()),
        ],
        rows,
    )
}

pub(super) fn collations() -> Table {
    let rows =
        server_rows::COLLATIONS.iter().map(|collation| server_rows::collation_row(*collation)).collect();
    let (t, i) = (text_type, FieldType::uint);
    Table::new(
        &[
            ("Collation", t()),
            ("Charset", t()),
            ("Id", i()),
            ("Default", t()),
            ("Compiled", t()),
            ("Sortlen", i()),
            ("Pad_attribute", t()),
        ],
        rows,
    )
}

pub(super) fn processlist(source: &Source, full: bool) -> Table {
    let mut rows = server_rows::processlist(source);
    if !full {
        for row in &mut rows {
            if let Some(Datum::Bytes(info)) = row.last_mut() {
                let shown: String =
                    String::from_utf8_lossy(&*info).chars().take(PROCESS_INFO_CHARS).collect();
                *info = shown.into_bytes();
            }
        }
    }
    let t = text_type;
    Table::new(
        &[
            ("Id", FieldType::uint()),
            ("User", t()),
            ("Host", t()),
            ("db", t()),
            ("Command", t()),
            ("Time", FieldType::int()),
            ("State", t()),
            ("Info", t()),
        ],
        rows,
    )
}

pub(super) fn plugins() -> Table {
    let rows = server_rows::plugins()
        .into_iter()
        .map(|row| vec![row[0].clone(), row[2].clone(), row[3].clone(), Datum::Null, row[9].clone()])
        .collect();
    Table::of_text(&["Name", "Status", "Type", "Library", "License"], rows)
}

pub(super) fn privileges() -> Table {
    let rows = crate::privileges::PRIVILEGE_HELP
        .iter()
        .map(|(name, on, comment)| vec![text(*name), text(*on), text(*comment)])
        .collect();
    Table::of_text(&["Privilege", "Context", "Comment"], rows)
}

pub(super) fn no_such_routine(kind: &str, name: &str) -> SqlError {
    SqlError::new(ErrorCode::SpDoesNotExist, format!("{kind} {name} does not exist"))
}

pub(super) fn no_such_trigger() -> SqlError {
    SqlError::new(ErrorCode::TrgDoesNotExist, "Trigger does not exist")
}

pub(super) fn no_such_event(name: &str) -> SqlError {
    SqlError::new(ErrorCode::EventDoesNotExist, format!("Unknown event '{name}'"))
}
