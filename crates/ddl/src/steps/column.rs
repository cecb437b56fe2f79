//! ADD, DROP and MODIFY COLUMN.
//!
//! A column whose values must change their stored form is *changed over* to a hidden column with the new type (and hidden
//! copies of the indexes on the old one), which all writers keep from the old one's values:
//!
//! ```text
//!  version   readers   writers                    the hidden column and copies
//!  1         old       old, entries removed       delete-only
//!  2         old       old and new                write-reorganization; then every row is rewritten
//!  3         new       wait                       have taken the old ones' places
//!  4         new       new                        public
//! ```
//!
//! Neighbors agree: what version 2 writes can be read by 3, and nobody who still reads the old column is there when
//! version 4 ceases to write it. The other way to get there, writing the old column from the new one for a version, would
//! have to find values of the old type for those that only the new type has.

use tidewater_catalog::{CiName, ColumnInfo, ColumnPosition, Job, JobKind, SchemaState, TableInfo};
use tidewater_codec::{ColumnId, IndexId, table_key};
use tidewater_types::{ErrorCode, TypeFlags};

use crate::alter::position_offset;
use crate::error::{DdlError, cant_drop, reject};
use crate::meta::Meta;
use crate::reorg::{CHANGING_PREFIX, is_copy, needs_reorganization};
use crate::worker::{Changes, Outcome, Work};

use super::{finished, job_table, next, put};

pub(super) async fn add(
    meta: &mut Meta<'_>,
    job: &mut Job,
    column: &ColumnInfo,
    position: &ColumnPosition,
) -> Result<Changes, DdlError> {
    let mut table = job_table(meta, job).await?;
    let Some(at) = table.columns.iter().position(|other| other.name == column.name) else {
        table.max_column_id += 1;
        let mut column = column.clone();
        column.id = ColumnId(table.max_column_id);
        column.state = SchemaState::DeleteOnly;
        job.schema_state = SchemaState::DeleteOnly;
        table.columns.push(column);
        put(meta, job.schema_id, &mut table)?;
        return Ok(next(job.schema_id, table.id));
    };
    match table.columns[at].state {
        SchemaState::Public => {
            Err(reject(ErrorCode::DupFieldname, format!("Duplicate column name '{}'", column.name)))
        }
        SchemaState::DeleteOnly => {
            table.columns[at].state = SchemaState::WriteOnly;
            job.schema_state = SchemaState::WriteOnly;
            put(meta, job.schema_id, &mut table)?;
            Ok(next(job.schema_id, table.id))
        }
        _ => {
            let mut added = table.columns.remove(at);
            added.state = SchemaState::Public;
            job.schema_state = SchemaState::Public;
            let public = table.columns.iter().filter(|other| other.state.is_public()).count();
            let to = position_offset(&table, position).unwrap_or(public).min(public);
            table.columns.insert(to, added);
            put(meta, job.schema_id, &mut table)?;
            Ok(finished(job.schema_id, table.id))
        }
    }
}

pub(super) async fn drop(meta: &mut Meta<'_>, job: &mut Job, name: &CiName) -> Result<Changes, DdlError> {
    let mut table = job_table(meta, job).await?;
    let Some(at) = table.columns.iter().position(|column| column.name == *name) else {
        return Err(DdlError::Rejected(cant_drop(name)));
    };
    match table.columns[at].state {
        SchemaState::Public => {
            // Public columns stand first.
            let mut dropped = table.columns.remove(at);
            dropped.state = SchemaState::WriteOnly;
            // Writers of the next version do not know a value for it.
            dropped.field_type.flags.remove(TypeFlags::NOT_NULL | TypeFlags::NO_DEFAULT_VALUE);
            table.columns.push(dropped);
            job.schema_state = SchemaState::WriteOnly;
        }
        SchemaState::WriteOnly => {
            table.columns[at].state = SchemaState::DeleteOnly;
            job.schema_state = SchemaState::DeleteOnly;
        }
        _ => {
            table.columns.remove(at);
            job.schema_state = SchemaState::None;
            put(meta, job.schema_id, &mut table)?;
            return Ok(finished(job.schema_id, table.id));
        }
    }
    put(meta, job.schema_id, &mut table)?;
    Ok(next(job.schema_id, table.id))
}

/// Takes a column back that did not become public.
pub(super) async fn remove_unfinished(
    meta: &mut Meta<'_>,
    job: &Job,
    name: &CiName,
) -> Result<Changes, DdlError> {
    let Ok(mut table) = job_table(meta, job).await else { return Ok(Changes::default()) };
    let before = table.columns.len();
    table.columns.retain(|column| column.name != *name || column.state.is_public());
    if table.columns.len() == before {
        return Ok(Changes::default());
    }
    put(meta, job.schema_id, &mut table)?;
    Ok(next(job.schema_id, table.id))
}

pub(super) async fn modify(
    meta: &mut Meta<'_>,
    job: &mut Job,
    old_name: &CiName,
    column: &ColumnInfo,
    position: &ColumnPosition,
    changing: Option<ColumnId>,
) -> Result<Changes, DdlError> {
    let mut table = job_table(meta, job).await?;
    // In the last step it has its new name.
    let name = if table.writes_wait { &column.name } else { old_name };
    let Some(at) = table.columns.iter().position(|other| other.name == *name && !other.hidden) else {
        return Err(reject(
            ErrorCode::BadFieldError,
            format!("Unknown column '{old_name}' in '{}'", table.name),
        ));
    };
    if table.writes_wait {
        return let_write(meta, job, table);
    }
    if let Some(changing) = changing {
        return change_over(meta, job, table, at, column, position, changing).await;
    }
    if needs_reorganization(&table.columns[at].field_type, &column.field_type) {
        return start_change(meta, job, table, at, column).await;
    }
    let old = table.columns[at].clone();
    let mut new = column.clone();
    new.id = old.id;
    new.state = SchemaState::Public;
    new.origin_default = old.origin_default;
    new.origin_default_bytes = old.origin_default_bytes;
    replace(&mut table, at, new, position);
    put(meta, job.schema_id, &mut table)?;
    Ok(finished(job.schema_id, table.id))
}

/// Puts the new description in the old one's place, or where the statement wants it, and renames it in all indexes.
fn replace(table: &mut TableInfo, at: usize, mut new: ColumnInfo, position: &ColumnPosition) {
    new.change = None;
    let old_name = table.columns[at].name.clone();
    for index in &mut table.indices {
        for part in &mut index.columns {
            if part.name == old_name {
                part.name = new.name.clone();
            }
        }
    }
    table.columns.remove(at);
    table.renumber();
    let to = position_offset(table, position).unwrap_or(at).min(table.columns.len());
    table.columns.insert(to, new);
}

async fn start_change(
    meta: &mut Meta<'_>,
    job: &mut Job,
    mut table: TableInfo,
    at: usize,
    column: &ColumnInfo,
) -> Result<Changes, DdlError> {
    let old_name = table.columns[at].name.clone();
    let mut hidden = column.clone();
    table.max_column_id += 1;
    hidden.id = ColumnId(table.max_column_id);
    hidden.name = CiName::new(format!("{CHANGING_PREFIX}{old_name}"));
    hidden.hidden = true;
    hidden.state = SchemaState::DeleteOnly;
    hidden.origin_default = None;
    hidden.origin_default_bytes = None;
    let mut source = std::collections::BTreeMap::new();
    source.insert(old_name.lower().to_owned(), serde_json::Value::Object(serde_json::Map::new()));
    hidden.dependencies = Some(source);
    let id = hidden.id;
    let hidden_name = hidden.name.clone();
    table.columns.push(hidden);
    let affected: Vec<_> = table
        .indices
        .iter()
        .filter(|index| index.columns.iter().any(|part| part.name == old_name))
        .cloned()
        .collect();
    for mut index in affected {
        table.max_index_id += 1;
        index.id = IndexId(table.max_index_id);
        index.name = CiName::new(format!("{CHANGING_PREFIX}{}", index.name));
        index.state = SchemaState::DeleteOnly;
        index.primary = false;
        for part in &mut index.columns {
            if part.name == old_name {
                part.name = hidden_name.clone();
            }
        }
        table.indices.push(index);
    }
    put(meta, job.schema_id, &mut table)?;
    if let JobKind::ModifyColumn { changing_column, .. } = &mut job.kind {
        *changing_column = Some(id);
    }
    job.schema_state = SchemaState::DeleteOnly;
    Ok(next(job.schema_id, table.id))
}

/// Lets writers keep the hidden objects, and then rewrites the rows.
fn start_writing(
    meta: &mut Meta<'_>,
    job: &mut Job,
    mut table: TableInfo,
    changing: ColumnId,
) -> Result<Changes, DdlError> {
    for column in table.columns.iter_mut().filter(|column| column.id == changing) {
        column.state = SchemaState::WriteReorg;
    }
    for index in table.indices.iter_mut().filter(|index| is_copy(index)) {
        index.state = SchemaState::WriteReorg;
    }
    put(meta, job.schema_id, &mut table)?;
    job.schema_state = SchemaState::WriteReorg;
    let mut changes = next(job.schema_id, table.id);
    changes.outcome = Some(Outcome::Work(Work::RewriteRows));
    Ok(changes)
}

async fn change_over(
    meta: &mut Meta<'_>,
    job: &mut Job,
    mut table: TableInfo,
    at: usize,
    column: &ColumnInfo,
    position: &ColumnPosition,
    changing: ColumnId,
) -> Result<Changes, DdlError> {
    if job.schema_state == SchemaState::DeleteOnly {
        return start_writing(meta, job, table, changing);
    }
    if !job.backfill_done {
        // The work was interrupted: by a failure, or a restart.
        return Ok(Changes { outcome: Some(Outcome::Work(Work::RewriteRows)), ..Changes::default() });
    }
    table.columns.retain(|other| other.id != changing);
    let mut new = column.clone();
    new.id = changing;
    new.state = SchemaState::Public;
    new.origin_default = None;
    new.origin_default_bytes = None;
    // The copies of the indexes take the names and places of the old ones.
    let (copies, others) = table.indices.drain(..).partition::<Vec<_>, _>(is_copy);
    table.indices = others;
    let old_name = table.columns[at].name.clone();
    for copy in copies {
        let original = &copy.name.as_str()[CHANGING_PREFIX.len()..];
        let Some(index) = table.indices.iter_mut().find(|index| index.name.matches(original)) else {
            continue;
        };
        let dropped = table_key::index_range(table.id, index.id);
        index.id = copy.id;
        meta.add_delete_range(dropped).await?;
    }
    debug_assert_eq!(table.columns[at].name, old_name);
    replace(&mut table, at, new, position);
    table.writes_wait = true;
    put(meta, job.schema_id, &mut table)?;
    job.schema_state = SchemaState::WriteOnly;
    Ok(next(job.schema_id, table.id))
}

/// Nobody reads the old column any more.
fn let_write(meta: &mut Meta<'_>, job: &mut Job, mut table: TableInfo) -> Result<Changes, DdlError> {
    table.writes_wait = false;
    put(meta, job.schema_id, &mut table)?;
    job.schema_state = SchemaState::Public;
    Ok(finished(job.schema_id, table.id))
}

/// Takes the hidden objects of a failed change back.
pub(super) async fn remove_changing(meta: &mut Meta<'_>, job: &mut Job) -> Result<Changes, DdlError> {
    let Ok(mut table) = job_table(meta, job).await else { return Ok(Changes::default()) };
    for index in table.indices.iter().filter(|index| is_copy(index)) {
        meta.add_delete_range(table_key::index_range(table.id, index.id)).await?;
    }
    let before = table.columns.len();
    table.indices.retain(|index| !is_copy(index));
    table.columns.retain(|column| !(column.hidden && column.name.lower().starts_with(CHANGING_PREFIX)));
    // A change that has come so far is done, should the store have failed too often in its last step.
    let waited = std::mem::take(&mut table.writes_wait);
    if waited {
        job.error = None;
    }
    if table.columns.len() == before && !waited {
        return Ok(Changes::default());
    }
    put(meta, job.schema_id, &mut table)?;
    Ok(next(job.schema_id, table.id))
}
