//! The schema this node works with: a snapshot that is swapped when a change commits.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use tidewater_catalog::{InfoSchema, InfoSchemaBuilder};
use tidewater_codec::{StartTs, TableId};
use tidewater_txn::Transaction;

use crate::error::DdlError;
use crate::meta::Meta;

/// How many snapshots are kept for reads of the past.
const KEPT_MAX: usize = 32;

/// Holds the newest snapshot, and some of those before. Readers pay a lock that is held for a pointer's copy.
pub struct SchemaCache {
    /// The oldest first, never empty.
    kept: RwLock<VecDeque<Dated>>,
    /// Past snapshots that were loaded from the store, by version.
    past: Mutex<VecDeque<Arc<InfoSchema>>>,
    /// Adds what is computed and not stored.
    extend: fn(&mut InfoSchemaBuilder),
}

struct Dated {
    /// When it was read. The next version may have come before the next snapshot was read, but not the one after it: who makes that one
    /// waits for this node.
    read_at: StartTs,
    schema: Arc<InfoSchema>,
}

impl SchemaCache {
    /// Reads the whole stored schema; `extend` adds what is computed and not stored.
    pub async fn load(txn: &mut Transaction, extend: fn(&mut InfoSchemaBuilder)) -> Result<Self, DdlError> {
        let schema = read_all(txn, extend).await?;
        let kept = VecDeque::from([Dated { read_at: txn.start_ts(), schema }]);
        Ok(Self { kept: RwLock::new(kept), past: Mutex::default(), extend })
    }

    /// The newest snapshot.
    pub fn get(&self) -> Arc<InfoSchema> {
        let kept = self.kept.read();
        Arc::clone(&kept[kept.len() - 1].schema)
    }

    /// The snapshot that was the newest at a time, if it is kept.
    pub fn at(&self, ts: StartTs) -> Option<Arc<InfoSchema>> {
        let kept = self.kept.read();
        kept.iter().rev().find(|dated| dated.read_at <= ts).map(|dated| Arc::clone(&dated.schema))
    }

    /// What `txn`, whose time is past, sees of the schema.
    pub async fn load_past(&self, txn: &mut Transaction) -> Result<Arc<InfoSchema>, DdlError> {
        let version = Meta::new(txn).schema_version().await?;
        let loaded = |schema: &&Arc<InfoSchema>| schema.version() == version;
        if let Some(schema) = self.kept.read().iter().map(|dated| &dated.schema).find(loaded) {
            return Ok(Arc::clone(schema));
        }
        if let Some(schema) = self.past.lock().iter().find(loaded) {
            return Ok(Arc::clone(schema));
        }
        let schema = read_all(txn, self.extend).await?;
        push(&mut self.past.lock(), Arc::clone(&schema));
        Ok(schema)
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
        let schema = Arc::new(builder.build(version));
        let mut kept = self.kept.write();
        if version > old.version() + 1 {
            // This node was out of touch: what counted meanwhile it does not know.
            kept.clear();
        }
        push(&mut kept, Dated { read_at: txn.start_ts(), schema });
        drop(kept);
        Ok(changed)
    }
}

fn push<T>(kept: &mut VecDeque<T>, newest: T) {
    if kept.len() >= KEPT_MAX {
        kept.pop_front();
    }
    kept.push_back(newest);
}

async fn read_all(
    txn: &mut Transaction,
    extend: fn(&mut InfoSchemaBuilder),
) -> Result<Arc<InfoSchema>, DdlError> {
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
    Ok(Arc::new(builder.build(version)))
}
