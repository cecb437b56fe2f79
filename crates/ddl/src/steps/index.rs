//! ADD INDEX: none, delete-only, write-only, write-reorganization, public. DROP INDEX: the way back.

use tidewater_catalog::{CiName, IndexInfo, Job, SchemaState, TableInfo};
use tidewater_codec::{IndexId, table_key};
use tidewater_types::{ErrorCode, TypeFlags};

use crate::error::{DdlError, cant_drop, reject};
use crate::meta::Meta;
use crate::worker::{Changes, Outcome, Work};

use super::{finished, job_table, next, put};

pub(super) async fn add(meta: &mut Meta<'_>, job: &mut Job, index: &IndexInfo) -> Result<Changes, DdlError> {
    let mut table = job_table(meta, job).await?;
    let Some(position) = table.indices.iter().position(|other| other.name == index.name) else {
        return start(meta, job, table, index);
    };
    if table.indices[position].state == SchemaState::Public && job.schema_state == SchemaState::None {
        return Err(reject(ErrorCode::DupKeyname, format!("Duplicate key name '{}'", index.name)));
    }
    let id = table.indices[position].id;
    if table.indices[position].state == SchemaState::WriteReorg && !job.backfill_done {
        // The work was interrupted: by a failure, or a restart.
        return Ok(Changes { outcome: Some(Outcome::Work(Work::BackfillIndex(id))), ..Changes::default() });
    }
    let state = match table.indices[position].state {
        SchemaState::DeleteOnly => SchemaState::WriteOnly,
        SchemaState::WriteOnly => SchemaState::WriteReorg,
        _ => SchemaState::Public,
    };
    table.indices[position].state = state;
    job.schema_state = state;
    put(meta, job.schema_id, &mut table)?;
    let mut changes = next(job.schema_id, table.id);
    changes.outcome = Some(match state {
        SchemaState::WriteReorg => Outcome::Work(Work::BackfillIndex(id)),
        SchemaState::Public => Outcome::Finished,
        _ => Outcome::Next,
    });
    Ok(changes)
}

fn start(
    meta: &mut Meta<'_>,
    job: &mut Job,
    mut table: TableInfo,
    index: &IndexInfo,
) -> Result<Changes, DdlError> {
    let mut index = index.clone();
    if index.primary {
        if table.is_clustered() || table.primary_index().is_some() {
            return Err(reject(ErrorCode::MultiplePriKey, "Multiple primary key defined"));
        }
        for part in &index.columns {
            if let Some(column) = table.columns.iter_mut().find(|column| column.name == part.name) {
                column.field_type.flags |= TypeFlags::NOT_NULL;
            }
        }
    }
    for part in &mut index.columns {
        let Some(column) = table.public_column(part.name.lower()) else {
            return Err(reject(
                ErrorCode::KeyColumnDoesNotExist,
                format!("Key column '{}' doesn't exist in table", part.name),
            ));
        };
        part.offset = column.offset;
    }
    table.max_index_id += 1;
    index.id = IndexId(table.max_index_id);
    index.state = SchemaState::DeleteOnly;
    job.schema_state = SchemaState::DeleteOnly;
    table.indices.push(index);
    put(meta, job.schema_id, &mut table)?;
    Ok(next(job.schema_id, table.id))
}

pub(super) async fn drop(meta: &mut Meta<'_>, job: &mut Job, name: &CiName) -> Result<Changes, DdlError> {
    let mut table = job_table(meta, job).await?;
    let Some(position) = table.indices.iter().position(|index| index.name == *name) else {
        return Err(DdlError::Rejected(cant_drop(name)));
    };
    let state = match table.indices[position].state {
        SchemaState::Public => SchemaState::WriteOnly,
        SchemaState::WriteOnly | SchemaState::WriteReorg => SchemaState::DeleteOnly,
        _ => SchemaState::None,
    };
    job.schema_state = state;
    if state == SchemaState::None {
        let index = table.indices.remove(position);
        meta.add_delete_range(table_key::index_range(table.id, index.id)).await?;
        put(meta, job.schema_id, &mut table)?;
        return Ok(finished(job.schema_id, table.id));
    }
    table.indices[position].state = state;
    put(meta, job.schema_id, &mut table)?;
    Ok(next(job.schema_id, table.id))
}

/// Takes an index back that did not become public.
pub(super) async fn remove_unfinished(
    meta: &mut Meta<'_>,
    job: &Job,
    name: &CiName,
) -> Result<Changes, DdlError> {
    let Ok(mut table) = job_table(meta, job).await else { return Ok(Changes::default()) };
    let unfinished =
        table.indices.iter().position(|index| index.name == *name && index.state != SchemaState::Public);
    let Some(position) = unfinished else { return Ok(Changes::default()) };
    let index = table.indices.remove(position);
    meta.add_delete_range(table_key::index_range(table.id, index.id)).await?;
    put(meta, job.schema_id, &mut table)?;
    Ok(next(job.schema_id, table.id))
}
