//! CREATE, DROP, TRUNCATE and RENAME TABLE, views, and what changes a whole table's description.

use tidewater_catalog::{CheckInfo, InfoSchema, Job, TableInfo, TableRename};
use tidewater_codec::{TableId, table_key};
use tidewater_types::{Collation, ErrorCode};

use crate::error::{DdlError, reject};
use crate::meta::Meta;
use crate::worker::{Changes, Outcome};

use super::{check_names_free, finished, job_table, put};

pub(super) async fn create(
    meta: &mut Meta<'_>,
    schema: &InfoSchema,
    job: &Job,
    table: &TableInfo,
) -> Result<Changes, DdlError> {
    check_free(meta, schema, job, table.name.lower()).await?;
    check_names_free(schema, job, &table.checks)?;
    let mut table = table.clone();
    put(meta, job.schema_id, &mut table)?;
    if table.auto_inc_id > 1 {
        meta.raise_auto_increment(job.schema_id, table.id, table.auto_inc_id as u64 - 1).await?;
    }
    Ok(finished(job.schema_id, table.id))
}

pub(super) async fn create_view(
    meta: &mut Meta<'_>,
    schema: &InfoSchema,
    job: &Job,
    view: &TableInfo,
    replaces: Option<TableId>,
) -> Result<Changes, DdlError> {
    let mut changes = finished(job.schema_id, view.id);
    match replaces {
        Some(old) => {
            meta.drop_table(job.schema_id, old)?;
            changes.diff.tables.insert(0, (job.schema_id, old));
        }
        None => check_free(meta, schema, job, view.name.lower()).await?,
    }
    let mut view = view.clone();
    put(meta, job.schema_id, &mut view)?;
    Ok(changes)
}

async fn check_free(meta: &mut Meta<'_>, schema: &InfoSchema, job: &Job, name: &str) -> Result<(), DdlError> {
    let Some(database) = meta.database(job.schema_id).await? else {
        return Err(reject(ErrorCode::BadDbError, format!("Unknown database '{}'", job.schema_name)));
    };
    if schema.table(database.name.lower(), name).is_some() {
        return Err(exists(name));
    }
    Ok(())
}

fn exists(name: &str) -> DdlError {
    reject(ErrorCode::TableExistsError, format!("Table '{name}' already exists"))
}

pub(super) async fn drop(meta: &mut Meta<'_>, job: &Job) -> Result<Changes, DdlError> {
    let table = job_table(meta, job).await?;
    if !table.is_view() {
        meta.add_delete_range(table_key::table_range(table.id)).await?;
    }
    meta.drop_table(job.schema_id, table.id)?;
    let mut changes = finished(job.schema_id, table.id);
    changes.forget_counters.push(table.id);
    Ok(changes)
}

pub(super) async fn truncate(meta: &mut Meta<'_>, job: &Job, new_id: TableId) -> Result<Changes, DdlError> {
    let mut table = job_table(meta, job).await?;
    let old_id = table.id;
    meta.add_delete_range(table_key::table_range(old_id)).await?;
    meta.drop_table(job.schema_id, old_id)?;
    table.id = new_id;
    table.auto_inc_id = 0;
    put(meta, job.schema_id, &mut table)?;
    let mut changes = Changes { outcome: Some(Outcome::Finished), ..Changes::default() };
    changes.diff.tables = vec![(job.schema_id, old_id), (job.schema_id, new_id)];
    changes.forget_counters.push(old_id);
    Ok(changes)
}

pub(super) async fn rename(
    meta: &mut Meta<'_>,
    schema: &InfoSchema,
    renames: &[TableRename],
) -> Result<Changes, DdlError> {
    let mut changes = Changes { outcome: Some(Outcome::Finished), ..Changes::default() };
    // Names that the statement frees or takes, in order: `a TO tmp, b TO a, tmp TO b` must work.
    let mut taken: Vec<(tidewater_codec::DbId, String, bool)> = Vec::new();
    for rename in renames {
        let new_name = rename.new_name.lower().to_owned();
        let known = taken.iter().rev().find(|(db, name, _)| *db == rename.new_schema_id && *name == new_name);
        let is_taken = match known {
            Some((.., taken)) => *taken,
            None => schema
                .database_by_id(rename.new_schema_id)
                .and_then(|database| schema.table(database.name.lower(), &new_name))
                .is_some_and(|table| table.id != rename.table_id),
        };
        if is_taken {
            return Err(exists(rename.new_name.as_str()));
        }
        let Some(mut table) = meta.table(rename.old_schema_id, rename.table_id).await? else {
            return Err(reject(ErrorCode::NoSuchTable, format!("Table '{}' doesn't exist", rename.old_name)));
        };
        // Constraints that were named after the table still are.
        for check in &mut table.checks {
            if let Some(number) = check.generated_number(rename.old_name.as_str()) {
                check.name = CheckInfo::generated_name(rename.new_name.as_str(), number);
            }
        }
        table.name = rename.new_name.clone();
        if rename.old_schema_id != rename.new_schema_id {
            meta.move_counters(rename.table_id, rename.old_schema_id, rename.new_schema_id).await?;
            meta.drop_table(rename.old_schema_id, rename.table_id)?;
            changes.diff.tables.push((rename.old_schema_id, rename.table_id));
            changes.forget_counters.push(rename.table_id);
        }
        put(meta, rename.new_schema_id, &mut table)?;
        changes.diff.tables.push((rename.new_schema_id, rename.table_id));
        taken.push((rename.old_schema_id, rename.old_name.lower().to_owned(), false));
        taken.push((rename.new_schema_id, new_name, true));
    }
    Ok(changes)
}

pub(super) fn set_charset(
    table: &mut TableInfo,
    charset: String,
    collation: String,
    convert_columns: bool,
) -> Result<(), DdlError> {
    table.charset = charset;
    table.collation.clone_from(&collation);
    let Some(collation) = Collation::from_name(&collation) else { return Ok(()) };
    if !convert_columns {
        return Ok(());
    }
    let indexed: Vec<String> = table
        .indices
        .iter()
        .flat_map(|index| index.columns.iter().map(|part| part.name.lower().to_owned()))
        .collect();
    for column in &mut table.columns {
        if !column.field_type.is_text() || column.field_type.collation == collation {
            continue;
        }
        if indexed.iter().any(|name| column.name.matches(name)) {
            return Err(reject(
                ErrorCode::UnsupportedDdlOperation,
                format!(
                    "Unsupported converting collation of column '{}' because it is part of an index",
                    column.name
                ),
            ));
        }
        column.field_type = column.field_type.clone().with_collation(collation);
    }
    Ok(())
}

pub(super) async fn rebase(meta: &mut Meta<'_>, job: &Job, next: u64) -> Result<Changes, DdlError> {
    let mut table = job_table(meta, job).await?;
    meta.raise_auto_increment(job.schema_id, table.id, next.saturating_sub(1)).await?;
    table.auto_inc_id = i64::try_from(next).unwrap_or(i64::MAX);
    put(meta, job.schema_id, &mut table)?;
    let mut changes = finished(job.schema_id, table.id);
    changes.forget_counters.push(table.id);
    Ok(changes)
}
