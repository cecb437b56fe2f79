//! One step of a job: metadata in, metadata out. Each kind of change has its function; what takes long is given back
//! as [`Work`](crate::worker::Work).

mod column;
mod database;
mod index;
mod table;

use tidewater_catalog::{CheckInfo, InfoSchema, Job, JobKind, JobState, TableInfo};
use tidewater_codec::{DbId, TableId};
use tidewater_types::ErrorCode;

use crate::define::refuse;
use crate::error::{DdlError, reject};
use crate::meta::Meta;
use crate::worker::{Changes, Outcome};

/// Makes the job's next step.
pub(crate) async fn apply(
    meta: &mut Meta<'_>,
    schema: &InfoSchema,
    job: &mut Job,
) -> Result<Changes, DdlError> {
    let kind = job.kind.clone();
    match kind {
        JobKind::CreateDatabase { database } => database::create(meta, schema, &database).await,
        JobKind::DropDatabase => database::drop(meta, schema, job).await,
        JobKind::AlterDatabase { charset, collation } => database::alter(meta, job, charset, collation).await,
        JobKind::CreateTable { table } => table::create(meta, schema, job, &table).await,
        JobKind::CreateView { view, replaces } => {
            table::create_view(meta, schema, job, &view, replaces).await
        }
        JobKind::DropTable | JobKind::DropView => table::drop(meta, job).await,
        JobKind::TruncateTable { new_id } => table::truncate(meta, job, new_id).await,
        JobKind::RenameTables { renames } => table::rename(meta, schema, &renames).await,
        JobKind::AddColumn { column, position } => column::add(meta, job, &column, &position).await,
        JobKind::DropColumn { name } => column::drop(meta, job, &name).await,
        JobKind::ModifyColumn { old_name, column, position, changing_column } => {
            column::modify(meta, job, &old_name, &column, &position, changing_column).await
        }
        JobKind::AddIndex { index } => index::add(meta, job, &index).await,
        JobKind::DropIndex { name, .. } => index::drop(meta, job, &name).await,
        JobKind::RenameIndex { from, to } => {
            alter(meta, job, |table| {
                if let Some(index) = table.indices.iter_mut().find(|index| index.name == from) {
                    index.name = to;
                }
                Ok(())
            })
            .await
        }
        JobKind::AlterIndexVisibility { name, invisible } => {
            alter(meta, job, |table| {
                if let Some(index) = table.indices.iter_mut().find(|index| index.name == name) {
                    index.invisible = invisible;
                }
                Ok(())
            })
            .await
        }
        JobKind::AlterTableComment { comment } => {
            alter(meta, job, |table| {
                table.comment = comment;
                Ok(())
            })
            .await
        }
        JobKind::AlterTableCharset { charset, collation, convert_columns } => {
            alter(meta, job, |table| table::set_charset(table, charset, collation, convert_columns)).await
        }
        JobKind::RebaseAutoIncrement { next } => table::rebase(meta, job, next).await,
        JobKind::AddForeignKey { foreign_key } => {
            alter(meta, job, |table| {
                table.max_foreign_key_id = table.max_foreign_key_id.max(foreign_key.id);
                table.foreign_keys.push(foreign_key);
                Ok(())
            })
            .await
        }
        JobKind::DropForeignKey { name } => {
            alter(meta, job, |table| {
                table.foreign_keys.retain(|key| key.name != name);
                Ok(())
            })
            .await
        }
        JobKind::PutCheck { check } => {
            check_names_free(schema, job, std::slice::from_ref(&check))?;
            alter(meta, job, |table| {
                match table.checks.iter_mut().find(|other| other.name == check.name) {
                    Some(other) => *other = check,
                    None => table.checks.push(check),
                }
                Ok(())
            })
            .await
        }
        JobKind::DropCheck { name } => {
            alter(meta, job, |table| {
                table.checks.retain(|check| check.name != name);
                Ok(())
            })
            .await
        }
        JobKind::MultiSchemaChange { .. } => Err(reject(
            ErrorCode::NotSupportedYet,
            "This version of Tidewater doesn't yet support 'multi-schema change jobs'",
        )),
    }
}

/// Takes back what a failed job has done so far, and ends it.
pub(crate) async fn roll_back(meta: &mut Meta<'_>, job: &mut Job) -> Result<Changes, DdlError> {
    job.state = JobState::Rollingback;
    let mut changes = match &job.kind {
        JobKind::ModifyColumn { .. } => column::remove_changing(meta, job).await?,
        JobKind::AddIndex { index } => {
            let name = index.name.clone();
            index::remove_unfinished(meta, job, &name).await?
        }
        JobKind::AddColumn { column, .. } => {
            let name = column.name.clone();
            column::remove_unfinished(meta, job, &name).await?
        }
        JobKind::CreateDatabase { .. }
        | JobKind::DropDatabase
        | JobKind::AlterDatabase { .. }
        | JobKind::CreateTable { .. }
        | JobKind::CreateView { .. }
        | JobKind::DropTable
        | JobKind::DropView
        | JobKind::TruncateTable { .. }
        | JobKind::RenameTables { .. }
        | JobKind::DropColumn { .. }
        | JobKind::DropIndex { .. }
        | JobKind::RenameIndex { .. }
        | JobKind::AlterIndexVisibility { .. }
        | JobKind::AlterTableComment { .. }
        | JobKind::AlterTableCharset { .. }
        | JobKind::RebaseAutoIncrement { .. }
        | JobKind::AddForeignKey { .. }
        | JobKind::DropForeignKey { .. }
        | JobKind::PutCheck { .. }
        | JobKind::DropCheck { .. }
        | JobKind::MultiSchemaChange { .. } => Changes::default(),
    };
    changes.outcome = Some(Outcome::Finished);
    Ok(changes)
}

/// Names of CHECK constraints are the database's: no other table of it may have one.
fn check_names_free(schema: &InfoSchema, job: &Job, checks: &[CheckInfo]) -> Result<(), DdlError> {
    let database = job.schema_name.to_lowercase();
    let others = schema.tables(&database).filter(|table| table.id != job.table_id);
    let mut taken = others.flat_map(|table| &table.checks).map(|check| &check.name);
    match taken.find(|name| checks.iter().any(|check| check.name == **name)) {
        Some(name) => Err(refuse(ErrorCode::CheckConstraintDupName, &[name])),
        None => Ok(()),
    }
}

/// A change of one table's description in one step.
async fn alter(
    meta: &mut Meta<'_>,
    job: &Job,
    change: impl FnOnce(&mut TableInfo) -> Result<(), DdlError>,
) -> Result<Changes, DdlError> {
    let mut table = job_table(meta, job).await?;
    change(&mut table)?;
    put(meta, job.schema_id, &mut table)?;
    Ok(finished(job.schema_id, table.id))
}

/// The job's table as it is stored.
async fn job_table(meta: &mut Meta<'_>, job: &Job) -> Result<TableInfo, DdlError> {
    meta.table(job.schema_id, job.table_id).await?.ok_or_else(|| {
        reject(
            ErrorCode::NoSuchTable,
            format!("Table '{}.{}' doesn't exist", job.schema_name, job.table_name),
        )
    })
}

/// Writes a table with the time of the change.
fn put(meta: &mut Meta<'_>, database: DbId, table: &mut TableInfo) -> Result<(), DdlError> {
    table.renumber();
    table.refresh_key_flags();
    table.update_ts = meta.now();
    meta.put_table(database, table)
}

fn finished(database: DbId, table: TableId) -> Changes {
    let mut changes = next(database, table);
    changes.outcome = Some(Outcome::Finished);
    changes
}

fn next(database: DbId, table: TableId) -> Changes {
    let mut changes = Changes::default();
    changes.diff.tables.push((database, table));
    changes
}
