//! CREATE TABLE.

use tidewater_catalog::{CheckInfo, CiName, DbInfo, ForeignKeyInfo, SchemaState, TableInfo};
use tidewater_codec::{ColumnId, TableId};
use tidewater_parser::ast::{
    CreateTable, ForeignKey, IndexDef, IndexKind, IndexOptions, IndexPart, IndexPartKey, ReferenceAction,
    TableConstraint, TableOption,
};
use tidewater_types::{Charset, Collation, ConvertContext, ErrorCode};

use crate::error::{DdlError, reject};

use super::column::{check_identifier, primary_cant_be_null};
use super::{ColumnParts, add_index, build_check, build_column, free_index_name};

/// Most columns of a table.
const COLUMNS_MAX: usize = 1017;

/// What definitions are checked against.
pub struct DefineContext<'a> {
    /// For default values.
    pub convert: ConvertContext,
    /// The table's database.
    pub database: &'a DbInfo,
    /// Whether primary keys are clustered when the statement does not say (`tidb_enable_clustered_index`).
    pub clustered: bool,
}

/// The table a CREATE TABLE describes; its id is the caller's to fill in.
pub fn build_table(ctx: &DefineContext<'_>, create: &CreateTable) -> Result<TableInfo, DdlError> {
    check_identifier(&create.name.name)?;
    if create.partition.is_some() {
        return Err(reject(
            ErrorCode::NotSupportedYet,
            "This version of Tidewater doesn't yet support 'PARTITION BY'".to_owned(),
        ));
    }
    let mut table = TableInfo::new(TableId(0), create.name.name.as_str());
    let collation = table_collation(ctx, &create.options)?;
    table.charset = collation.charset().name().to_owned();
    table.collation = collation.name().to_owned();
    apply_options(&mut table, &create.options);

    let mut all_parts = Vec::with_capacity(create.columns.len());
    for definition in &create.columns {
        let (mut column, parts) = build_column(ctx, definition, collation)?;
        if table.column(definition.name.as_str()).is_some() {
            return Err(reject(
                ErrorCode::DupFieldname,
                format!("Duplicate column name '{}'", definition.name.as_str()),
            ));
        }
        table.max_column_id += 1;
        column.id = ColumnId(table.max_column_id);
        column.offset = table.columns.len();
        table.columns.push(column);
        all_parts.push(parts);
    }
    if table.columns.is_empty() {
        return Err(reject(
            ErrorCode::TableMustHaveColumns,
            "A table must have at least 1 column".to_owned(),
        ));
    }
    if table.columns.len() > COLUMNS_MAX {
        return Err(reject(ErrorCode::TooManyFields, "Too many columns".to_owned()));
    }
    add_keys(ctx, &mut table, create, &all_parts)?;
    check_auto_increment(&table)?;
    add_checks(&mut table, create, &all_parts)?;
    for column in &mut table.columns {
        super::column::note_missing_default(column);
    }
    table.refresh_key_flags();
    Ok(table)
}

/// CREATE TABLE .. LIKE: the same columns and keys, no rows, no foreign keys; constraints
/// have names of its own.
pub fn build_table_like(like: &TableInfo, name: &str) -> TableInfo {
    let mut table = like.clone();
    table.id = TableId(0);
    table.name = CiName::new(name);
    table.foreign_keys.clear();
    table.checks.retain(|check| check.state.is_public());
    for (number, check) in (1..).zip(&mut table.checks) {
        check.name = CheckInfo::generated_name(name, number);
    }
    table.auto_inc_id = 0;
    table.columns.retain(|column| column.state.is_public());
    table.indices.retain(|index| index.state.is_public());
    for index in &mut table.indices {
        index.table = table.name.clone();
    }
    table.renumber();
    table
}

/// The collation that CHARACTER SET and COLLATE clauses name together.
pub fn resolve_charset(
    charset: Option<&str>,
    collation: Option<&str>,
    default: Collation,
) -> Result<Collation, DdlError> {
    let named = collation
        .map(|name| {
            Collation::from_name(name)
                .ok_or_else(|| reject(ErrorCode::UnknownCollation, format!("Unknown collation: '{name}'")))
        })
        .transpose()?;
    let charset = charset
        .map(|name| {
            Charset::from_name(name).ok_or_else(|| {
                reject(ErrorCode::UnknownCharacterSet, format!("Unknown character set: '{name}'"))
            })
        })
        .transpose()?;
    match (charset, named) {
        (Some(charset), Some(collation)) if collation.charset() != charset => Err(reject(
            ErrorCode::CollationCharsetMismatch,
            format!("COLLATION '{}' is not valid for CHARACTER SET '{}'", collation.name(), charset.name()),
        )),
        (_, Some(collation)) => Ok(collation),
        (Some(charset), None) => Ok(charset.default_collation()),
        (None, None) => Ok(default),
    }
}

/// A FOREIGN KEY clause as the catalog keeps it.
pub fn foreign_key_info(
    ctx: &DefineContext<'_>,
    table: &mut TableInfo,
    key: &ForeignKey,
) -> Result<ForeignKeyInfo, DdlError> {
    let names = |parts: &[IndexPart]| -> Vec<CiName> {
        parts
            .iter()
            .filter_map(|part| match &part.key {
                IndexPartKey::Column { name, .. } => Some(CiName::new(name.as_str())),
                IndexPartKey::Expr(_) => None,
            })
            .collect()
    };
    let columns = names(&key.columns);
    for name in &columns {
        if table.column(name.lower()).is_none() {
            return Err(reject(
                ErrorCode::KeyColumnDoesNotExist,
                format!("Key column '{name}' doesn't exist in table"),
            ));
        }
    }
    table.max_foreign_key_id += 1;
    let action = |action: Option<ReferenceAction>| match action {
        None => 0,
        Some(ReferenceAction::Restrict) => 1,
        Some(ReferenceAction::Cascade) => 2,
        Some(ReferenceAction::SetNull) => 3,
        Some(ReferenceAction::NoAction) => 4,
        Some(ReferenceAction::SetDefault) => 5,
    };
    let reference = &key.references;
    Ok(ForeignKeyInfo {
        id: table.max_foreign_key_id,
        name: key.name.as_ref().map_or_else(
            || CiName::new(format!("{}_ibfk_{}", table.name, table.max_foreign_key_id)),
            |name| CiName::new(name.as_str()),
        ),
        ref_schema: reference
            .table
            .schema
            .as_ref()
            .map_or_else(|| ctx.database.name.clone(), |schema| CiName::new(schema.as_str())),
        ref_table: CiName::new(reference.table.name.as_str()),
        ref_columns: names(&reference.columns),
        columns,
        on_delete: action(reference.on_delete),
        on_update: action(reference.on_update),
        state: SchemaState::Public,
    })
}

fn table_collation(ctx: &DefineContext<'_>, options: &[TableOption]) -> Result<Collation, DdlError> {
    let charset = options.iter().rev().find_map(|option| match option {
        TableOption::Charset(name) => Some(name.as_str()),
        _ => None,
    });
    let collation = options.iter().rev().find_map(|option| match option {
        TableOption::Collate(name) => Some(name.as_str()),
        _ => None,
    });
    resolve_charset(charset, collation, ctx.database.default_collation())
}

fn apply_options(table: &mut TableInfo, options: &[TableOption]) {
    for option in options {
        match option {
            TableOption::AutoIncrement(next) => table.auto_inc_id = i64::try_from(*next).unwrap_or(i64::MAX),
            TableOption::AutoIdCache(size) => table.auto_id_cache = i64::try_from(*size).unwrap_or(0),
            TableOption::Comment(comment) => table.comment.clone_from(comment),
            TableOption::Engine(_)
            | TableOption::Charset(_)
            | TableOption::Collate(_)
            | TableOption::AutoRandomBase(_)
            | TableOption::ShardRowIdBits(_)
            | TableOption::PreSplitRegions(_)
            | TableOption::RowFormat(_)
            | TableOption::KeyBlockSize(_)
            | TableOption::PlacementPolicy(_)
            | TableOption::Other { .. } => {}
        }
    }
}

/// Those of columns, then those of the table.
fn add_checks(table: &mut TableInfo, create: &CreateTable, parts: &[ColumnParts]) -> Result<(), DdlError> {
    for (definition, parts) in create.columns.iter().zip(parts) {
        for check in &parts.checks {
            let check = build_check(table, check, Some(definition.name.as_str()))?;
            table.checks.push(check);
        }
    }
    for constraint in &create.constraints {
        if let TableConstraint::Check(check) = constraint {
            let check = build_check(table, check, None)?;
            table.checks.push(check);
        }
    }
    Ok(())
}

/// Primary key first, then the keys in the order MySQL lists them: unique ones of columns, then those of the table.
fn add_keys(
    ctx: &DefineContext<'_>,
    table: &mut TableInfo,
    create: &CreateTable,
    parts: &[ColumnParts],
) -> Result<(), DdlError> {
    let of_column = |kind: IndexKind, name: &str, clustered: Option<bool>| IndexDef {
        kind,
        name: None,
        if_not_exists: false,
        parts: vec![IndexPart {
            key: IndexPartKey::Column { name: name.into(), length: None },
            descending: false,
        }],
        options: IndexOptions { clustered, ..IndexOptions::default() },
    };
    let mut definitions = Vec::new();
    for (definition, parts) in create.columns.iter().zip(parts) {
        if let Some(clustered) = parts.primary {
            definitions.push(of_column(IndexKind::Primary, &definition.name, clustered));
        }
        if parts.unique {
            definitions.push(of_column(IndexKind::Unique, &definition.name, None));
        }
    }
    definitions.extend(create.constraints.iter().filter_map(|constraint| match constraint {
        TableConstraint::Index(definition) => Some(definition.clone()),
        TableConstraint::ForeignKey(_) | TableConstraint::Check(_) => None,
    }));
    definitions.sort_by_key(|definition| match definition.kind {
        IndexKind::Primary => 0,
        IndexKind::Unique => 1,
        _ => 2,
    });
    for definition in &definitions {
        if definition.kind == IndexKind::Primary {
            add_primary_key(ctx, table, definition, create, parts)?;
        } else {
            add_index(table, definition)?;
        }
    }
    for constraint in &create.constraints {
        if let TableConstraint::ForeignKey(key) = constraint {
            let info = foreign_key_info(ctx, table, key)?;
            add_foreign_key_index(table, &info, key)?;
            table.foreign_keys.push(info);
        }
    }
    Ok(())
}

fn add_primary_key(
    ctx: &DefineContext<'_>,
    table: &mut TableInfo,
    definition: &IndexDef,
    create: &CreateTable,
    parts: &[ColumnParts],
) -> Result<(), DdlError> {
    add_index(table, definition)?;
    let index = table.indices.pop().expect("just added");
    for part in &index.columns {
        let explicit_null = create
            .columns
            .iter()
            .position(|column| part.name.matches(&column.name))
            .is_some_and(|position| parts[position].explicit_null);
        if explicit_null {
            return Err(primary_cant_be_null());
        }
    }
    let clustered = definition.options.clustered.unwrap_or(ctx.clustered) && !index.has_prefix_column();
    let single_integer =
        index.columns.len() == 1 && table.columns[index.columns[0].offset].field_type.is_integer();
    if clustered && single_integer {
        // The primary key is the handle: no index entry.
        table.pk_is_handle = true;
        table.max_index_id -= 1;
        let flags = &mut table.columns[index.columns[0].offset].field_type.flags;
        flags.insert(tidewater_types::TypeFlags::PRI_KEY | tidewater_types::TypeFlags::NOT_NULL);
        return Ok(());
    }
    if clustered {
        table.is_common_handle = true;
        table.common_handle_version = 1;
    }
    table.indices.push(index);
    Ok(())
}

/// MySQL makes an index for a foreign key that has none.
fn add_foreign_key_index(
    table: &mut TableInfo,
    info: &ForeignKeyInfo,
    key: &ForeignKey,
) -> Result<(), DdlError> {
    let covered = table.indices.iter().any(|index| {
        index.columns.len() >= info.columns.len()
            && index.columns.iter().zip(&info.columns).all(|(part, name)| part.name == *name)
    }) || (info.columns.len() == 1
        && table.handle_column().is_some_and(|column| column.name == info.columns[0]));
    if covered {
        return Ok(());
    }
    let name = free_index_name(table, info.name.as_str());
    add_index(
        table,
        &IndexDef {
            kind: IndexKind::Plain,
            name: Some(name.as_str().into()),
            if_not_exists: false,
            parts: key.columns.clone(),
            options: IndexOptions::default(),
        },
    )?;
    Ok(())
}

/// 1075: at most one AUTO_INCREMENT column, and it must lead a key.
fn check_auto_increment(table: &TableInfo) -> Result<(), DdlError> {
    let mut columns = table.columns.iter().filter(|column| column.is_auto_increment());
    let Some(column) = columns.next() else { return Ok(()) };
    let is_key = table.handle_column().is_some_and(|handle| handle.id == column.id)
        || table.indices.iter().any(|index| index.columns[0].name == column.name);
    if columns.next().is_some() || !is_key {
        return Err(reject(
            ErrorCode::WrongAutoKey,
            "Incorrect table definition; there can be only one auto column and it must be defined as a key"
                .to_owned(),
        ));
    }
    Ok(())
}
