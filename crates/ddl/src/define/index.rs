//! Index definitions.

use tidewater_catalog::{CiName, FULL_LENGTH, IndexColumn, IndexInfo, TableInfo};
use tidewater_codec::IndexId;
use tidewater_parser::ast::{IndexDef, IndexKind, IndexPart, IndexPartKey};
use tidewater_types::{ErrorCode, TypeCode, TypeFlags};

use crate::error::{DdlError, reject};

use super::column::check_identifier;

/// Most bytes of an index key.
const KEY_BYTES_MAX: usize = 3072;
/// Most columns of an index.
const KEY_PARTS_MAX: usize = 16;

/// Checks an index definition against its table and appends it; ids come from the table's counter.
pub fn add_index<'t>(table: &'t mut TableInfo, definition: &IndexDef) -> Result<&'t mut IndexInfo, DdlError> {
    let primary = definition.kind == IndexKind::Primary;
    if primary && (table.pk_is_handle || table.primary_index().is_some()) {
        return Err(reject(ErrorCode::MultiplePriKey, "Multiple primary key defined".to_owned()));
    }
    if matches!(definition.kind, IndexKind::FullText | IndexKind::Spatial) {
        return Err(reject(
            ErrorCode::NotSupportedYet,
            "This version of Tidewater doesn't yet support 'FULLTEXT and SPATIAL indexes'".to_owned(),
        ));
    }
    let columns = check_index_columns(table, &definition.parts)?;
    let name = match (&definition.name, primary) {
        (_, true) => CiName::new("PRIMARY"),
        (Some(name), false) => {
            check_identifier(name)?;
            if name.eq_ignore_case("primary") {
                return Err(reject(
                    ErrorCode::WrongNameForIndex,
                    format!("Incorrect index name '{}'", name.as_str()),
                ));
            }
            if table.index(name).is_some() {
                return Err(reject(ErrorCode::DupKeyname, format!("Duplicate key name '{}'", name.as_str())));
            }
            CiName::new(name.as_str())
        }
        (None, false) => free_index_name(table, columns[0].name.as_str()),
    };
    if primary {
        for part in &columns {
            table.columns[part.offset].field_type.flags |= TypeFlags::NOT_NULL;
        }
    }
    table.max_index_id += 1;
    table.indices.push(IndexInfo {
        id: IndexId(table.max_index_id),
        name,
        table: table.name.clone(),
        columns,
        state: tidewater_catalog::SchemaState::Public,
        comment: definition.options.comment.clone().unwrap_or_default(),
        kind: match definition.options.using.as_deref() {
            Some("hash") => 2,
            Some("rtree") => 3,
            _ => 1,
        },
        unique: primary || definition.kind == IndexKind::Unique,
        primary,
        invisible: definition.options.visible == Some(false),
    });
    Ok(table.indices.last_mut().expect("just pushed"))
}

/// The columns of an index, checked.
pub fn check_index_columns(table: &TableInfo, parts: &[IndexPart]) -> Result<Vec<IndexColumn>, DdlError> {
    if parts.len() > KEY_PARTS_MAX {
        return Err(reject(
            ErrorCode::TooManyKeyParts,
            format!("Too many key parts specified; max {KEY_PARTS_MAX} parts allowed"),
        ));
    }
    let mut columns: Vec<IndexColumn> = Vec::with_capacity(parts.len());
    let mut key_bytes = 0;
    for part in parts {
        let (name, length) = match &part.key {
            IndexPartKey::Column { name, length } => (name, *length),
            IndexPartKey::Expr(_) => {
                return Err(reject(
                    ErrorCode::NotSupportedYet,
                    "This version of Tidewater doesn't yet support 'expression indexes'".to_owned(),
                ));
            }
        };
        let Some(column) = table.column(name) else {
            return Err(reject(
                ErrorCode::KeyColumnDoesNotExist,
                format!("Key column '{}' doesn't exist in table", name.as_str()),
            ));
        };
        if columns.iter().any(|other| other.name == column.name) {
            return Err(reject(ErrorCode::DupFieldname, format!("Duplicate column name '{}'", column.name)));
        }
        let field_type = &column.field_type;
        if field_type.code == TypeCode::Json {
            return Err(reject(
                ErrorCode::JsonUsedAsKey,
                format!("JSON column '{}' cannot be used in key specification.", column.name),
            ));
        }
        let length = match length {
            Some(0) => {
                return Err(reject(
                    ErrorCode::KeyPart0,
                    format!("Key part '{}' length cannot be 0", column.name),
                ));
            }
            Some(length) if field_type.is_string() => {
                let length = i32::try_from(length).unwrap_or(i32::MAX);
                if !field_type.is_blob() && length > field_type.length {
                    return Err(wrong_sub_key());
                }
                // A prefix as long as the column is the whole column.
                if !field_type.is_blob() && length == field_type.length { FULL_LENGTH } else { length }
            }
            Some(_) => return Err(wrong_sub_key()),
            None if field_type.is_blob() => {
                return Err(reject(
                    ErrorCode::BlobKeyWithoutLength,
                    format!(
                        "BLOB/TEXT column '{}' used in key specification without a key length",
                        column.name
                    ),
                ));
            }
            None => FULL_LENGTH,
        };
        key_bytes += if field_type.is_string() {
            let chars = if length == FULL_LENGTH { field_type.length } else { length };
            chars.max(0) as usize * field_type.charset().max_bytes()
        } else {
            8
        };
        columns.push(IndexColumn { name: column.name.clone(), offset: column.offset, length });
    }
    if key_bytes > KEY_BYTES_MAX {
        return Err(reject(
            ErrorCode::TooLongKey,
            format!(
                "Specified key was too long ({key_bytes} bytes); max key length is {KEY_BYTES_MAX} bytes"
            ),
        ));
    }
    Ok(columns)
}

/// The name MySQL gives an index without one: that of its first column, with `_2`, `_3`, ... when taken.
pub fn free_index_name(table: &TableInfo, base: &str) -> CiName {
    let base = if base.eq_ignore_ascii_case("primary") { "primary_2" } else { base };
    if table.index(base).is_none() {
        return CiName::new(base);
    }
    let mut number = 2;
    loop {
        let name = format!("{base}_{number}");
        if table.index(&name).is_none() {
            return CiName::new(name);
        }
        number += 1;
    }
}

fn wrong_sub_key() -> DdlError {
    reject(
        ErrorCode::WrongSubKey,
        "Incorrect prefix key; the used key part isn't a string, the used length is longer than the key part, \
         or the storage engine doesn't support unique prefix keys"
            .to_owned(),
    )
}
