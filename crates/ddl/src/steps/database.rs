//! CREATE, ALTER and DROP DATABASE.

use tidewater_catalog::{DbInfo, InfoSchema, Job};
use tidewater_codec::table_key;
use tidewater_types::ErrorCode;

use crate::error::{DdlError, reject};
use crate::meta::Meta;
use crate::worker::{Changes, Outcome};

pub(super) async fn create(
    meta: &mut Meta<'_>,
    schema: &InfoSchema,
    database: &DbInfo,
) -> Result<Changes, DdlError> {
    if schema.database(database.name.lower()).is_some() {
        return Err(reject(
            ErrorCode::DbCreateExists,
            format!("Can't create database '{}'; database exists", database.name),
        ));
    }
    meta.put_database(database)?;
    Ok(changed(database.id))
}

pub(super) async fn alter(
    meta: &mut Meta<'_>,
    job: &Job,
    charset: String,
    collation: String,
) -> Result<Changes, DdlError> {
    let mut database = stored(meta, job).await?;
    database.charset = charset;
    database.collation = collation;
    meta.put_database(&database)?;
    Ok(changed(job.schema_id))
}

pub(super) async fn drop(meta: &mut Meta<'_>, schema: &InfoSchema, job: &Job) -> Result<Changes, DdlError> {
    stored(meta, job).await?;
    let mut changes = changed(job.schema_id);
    for table in schema.tables(&job.schema_name) {
        if !table.is_view() {
            meta.add_delete_range(table_key::table_range(table.id)).await?;
        }
        changes.forget_counters.push(table.id);
    }
    meta.drop_database(job.schema_id).await?;
    Ok(changes)
}

async fn stored(meta: &mut Meta<'_>, job: &Job) -> Result<DbInfo, DdlError> {
    meta.database(job.schema_id).await?.ok_or_else(|| {
        reject(
            ErrorCode::DbDropExists,
            format!("Can't drop database '{}'; database doesn't exist", job.schema_name),
        )
    })
}

fn changed(database: tidewater_codec::DbId) -> Changes {
    let mut changes = Changes { outcome: Some(Outcome::Finished), ..Changes::default() };
    changes.diff.databases.push(database);
    changes
}
