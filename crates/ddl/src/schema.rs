//! The schema this node works with: a snapshot that is swapped when a change commits.

use std::sync::Arc;

use parking_lot::RwLock;
use tidewater_catalog::{InfoSchema, InfoSchemaBuilder};
use tidewater_codec::TableId;
use tidewater_txn::Transaction;

use crate::error::DdlError;
use crate::meta::Meta;

/// Holds the newest snapshot. Readers pay a lock that is held for a pointer's copy.
pub struct SchemaCache {
    current: RwLock<Arc<InfoSchema>>,
}

impl SchemaCache {
    /// Reads the whole stored schema; `extend` adds what is computed and not stored.
    pub async fn load(
        txn: &mut Transaction,
        extend: impl FnOnce(&mut InfoSchemaBuilder),
    ) -> Result<Self, DdlError> {
        let mut builder = InfoSchemaBuilder::new();
        extend(&mut builder);
        let mut meta = Meta::new(txn);
        let version = meta.schema_version().await?;
        for database in meta.databases().await? {
            let id = database.id;
            builder.put_database(database);
            for table in meta.tables(id).await? {
                builder.put_table(id, table);
            }
        }
        Ok(Self { current: RwLock::new(Arc::new(builder.build(version))) })
    }

    /// The newest snapshot.
    pub fn get(&self) -> Arc<InfoSchema> {
        Arc::clone(&self.current.read())
    }

    /// Brings the snapshot up to the version `txn` sees, diff by diff; gives the tables that changed. A snapshot that is
    /// newer already stays.
    pub async fn refresh(&self, txn: &mut Transaction) -> Result<Vec<TableId>, DdlError> {
        let old = self.get();
        let mut meta = Meta::new(txn);
        let version = meta.schema_version().await?;
        let mut changed = Vec::new();
        if version <= old.version() {
            return Ok(changed);
        }
        let mut builder = InfoSchemaBuilder::from_schema(&old);
        for version in old.version() + 1..=version {
            let Some(diff) = meta.diff(version).await? else {
                return Err(DdlError::Corrupt { what: format!("schema version {version} has no diff") });
            };
            for id in diff.databases {
                match meta.database(id).await? {
                    Some(database) => builder.put_database(database),
                    None => builder.drop_database(id),
                };
            }
            for (database, table) in diff.tables {
                match meta.table(database, table).await? {
                    Some(info) => builder.put_table(database, info),
                    None => builder.drop_table(table),
                };
                changed.push(table);
            }
        }
        *self.current.write() = Arc::new(builder.build(version));
        Ok(changed)
    }
}
