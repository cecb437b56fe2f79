//! Immutable snapshots of the whole schema.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidewater_codec::{DbId, TableId};

use crate::{CiName, DbInfo, TableInfo};

/// Tables are found by id through this many buckets; a change copies one bucket.
const ID_BUCKETS: usize = 256;

/// Everything that exists at one schema version. Cloning costs two reference counts.
///
/// A statement holds one snapshot from binding to its end. [`InfoSchemaBuilder`] makes the next version out of the
/// last one and shares all that did not change.
#[derive(Clone, Debug)]
pub struct InfoSchema {
    version: i64,
    databases: Arc<BTreeMap<CiName, Arc<Database>>>,
    by_id: Arc<Vec<Arc<Bucket>>>,
}

/// One database of a snapshot: its description and its tables by name.
#[derive(Clone, Debug)]
struct Database {
    info: Arc<DbInfo>,
    tables: BTreeMap<CiName, Arc<TableInfo>>,
}

type Bucket = BTreeMap<TableId, (CiName, Arc<TableInfo>)>;

impl Default for InfoSchema {
    fn default() -> Self {
        InfoSchema {
            version: 0,
            databases: Arc::default(),
            by_id: Arc::new(vec![Arc::default(); ID_BUCKETS]),
        }
    }
}

impl InfoSchema {
    /// The schema version this snapshot shows.
    pub fn version(&self) -> i64 {
        self.version
    }

    /// The database of this name, in any case.
    pub fn database(&self, name: &str) -> Option<&Arc<DbInfo>> {
        self.entry(name).map(|database| &database.info)
    }

    /// The database with this id.
    pub fn database_by_id(&self, id: DbId) -> Option<&Arc<DbInfo>> {
        self.databases.values().map(|database| &database.info).find(|info| info.id == id)
    }

    /// All databases by name.
    pub fn databases(&self) -> impl Iterator<Item = &Arc<DbInfo>> {
        self.databases.values().map(|database| &database.info)
    }

    /// The table or view of this name.
    pub fn table(&self, database: &str, table: &str) -> Option<&Arc<TableInfo>> {
        lookup(&self.entry(database)?.tables, table)
    }

    /// The table with this id.
    pub fn table_by_id(&self, id: TableId) -> Option<&Arc<TableInfo>> {
        self.located_table(id).map(|(_, table)| table)
    }

    /// The table with this id and the name of its database.
    pub fn located_table(&self, id: TableId) -> Option<(&CiName, &Arc<TableInfo>)> {
        self.by_id[bucket_of(id)].get(&id).map(|(database, table)| (database, table))
    }

    /// The tables and views of a database by name; none if there is no such database.
    pub fn tables(&self, database: &str) -> impl Iterator<Item = &Arc<TableInfo>> {
        self.entry(database).into_iter().flat_map(|database| database.tables.values())
    }

    fn entry(&self, name: &str) -> Option<&Arc<Database>> {
        lookup(&self.databases, name)
    }
}

/// Looks a name of any case up without allocating when it is in lower case already, as it nearly always is.
fn lookup<'a, T>(map: &'a BTreeMap<CiName, T>, name: &str) -> Option<&'a T> {
    if name.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
        map.get(name)
    } else {
        map.get(name.to_lowercase().as_str())
    }
}

fn bucket_of(id: TableId) -> usize {
    id.0.rem_euclid(ID_BUCKETS as i64) as usize
}

/// Makes the next [`InfoSchema`] from a previous one.
///
/// Only what is touched is copied: one database's map of names (pointers, not tables) and one bucket of ids.
#[derive(Clone, Debug, Default)]
pub struct InfoSchemaBuilder {
    schema: InfoSchema,
}

impl InfoSchemaBuilder {
    /// Starts from an empty schema.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts from `schema`, which stays as it is.
    pub fn from_schema(schema: &InfoSchema) -> Self {
        InfoSchemaBuilder { schema: schema.clone() }
    }

    /// Adds a database or replaces its description; its tables stay. A database that changed its name moves.
    pub fn put_database(&mut self, info: DbInfo) -> &mut Self {
        let databases = Arc::make_mut(&mut self.schema.databases);
        let old_name = databases.values().find(|old| old.info.id == info.id).map(|old| old.info.name.clone());
        let tables = old_name
            .and_then(|name| databases.remove(&name))
            .map(|old| old.tables.clone())
            .unwrap_or_default();
        databases.insert(info.name.clone(), Arc::new(Database { info: Arc::new(info), tables }));
        self
    }

    /// Removes a database and its tables.
    pub fn drop_database(&mut self, id: DbId) -> &mut Self {
        let databases = Arc::make_mut(&mut self.schema.databases);
        let name = databases
            .values()
            .find(|database| database.info.id == id)
            .map(|database| database.info.name.clone());
        if let Some(database) = name.and_then(|name| databases.remove(&name)) {
            for table in database.tables.values() {
                self.remove_id(table.id);
            }
        }
        self
    }

    /// Adds a table, or replaces the one with the same id wherever and whatever it was called. Does nothing when there is no database
    /// `database`.
    pub fn put_table(&mut self, database: DbId, table: impl Into<Arc<TableInfo>>) -> &mut Self {
        let table = table.into();
        self.drop_table(table.id);
        let databases = Arc::make_mut(&mut self.schema.databases);
        let Some(entry) = databases.values_mut().find(|entry| entry.info.id == database) else {
            return self;
        };
        let entry = Arc::make_mut(entry);
        let name = entry.info.name.clone();
        if let Some(replaced) = entry.tables.insert(table.name.clone(), Arc::clone(&table)) {
            self.remove_id(replaced.id);
        }
        self.bucket_mut(table.id).insert(table.id, (name, table));
        self
    }

    /// Removes a table if it exists.
    pub fn drop_table(&mut self, id: TableId) -> &mut Self {
        let Some((database, table)) = self.remove_id(id) else {
            return self;
        };
        let databases = Arc::make_mut(&mut self.schema.databases);
        if let Some(entry) = databases.get_mut(&database) {
            let entry = Arc::make_mut(entry);
            if entry.tables.get(&table.name).is_some_and(|found| found.id == id) {
                entry.tables.remove(&table.name);
            }
        }
        self
    }

    /// The finished snapshot.
    pub fn build(self, version: i64) -> InfoSchema {
        InfoSchema { version, ..self.schema }
    }

    fn remove_id(&mut self, id: TableId) -> Option<(CiName, Arc<TableInfo>)> {
        self.schema.located_table(id)?;
        self.bucket_mut(id).remove(&id)
    }

    fn bucket_mut(&mut self, id: TableId) -> &mut Bucket {
        Arc::make_mut(&mut Arc::make_mut(&mut self.schema.by_id)[bucket_of(id)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> InfoSchema {
        let mut builder = InfoSchemaBuilder::new();
        builder.put_database(DbInfo::new(DbId(1), "Shop")).put_database(DbInfo::new(DbId(2), "app"));
        builder.put_table(DbId(1), TableInfo::new(TableId(10), "Orders"));
        builder.put_table(DbId(1), TableInfo::new(TableId(11), "items"));
        builder.build(7)
    }

    #[test]
    fn names_are_found_in_any_case_and_listed_in_order() {
        let schema = sample();
        assert_eq!(schema.version(), 7);
        assert_eq!(schema.table("SHOP", "orders").unwrap().id, TableId(10));
        assert_eq!(schema.table_by_id(TableId(11)).unwrap().name.as_str(), "items");
        let names: Vec<_> = schema.databases().map(|database| database.name.to_string()).collect();
        assert_eq!(names, ["app", "Shop"]);
        let names: Vec<_> = schema.tables("shop").map(|table| table.name.to_string()).collect();
        assert_eq!(names, ["items", "Orders"]);
        assert!(schema.table("app", "orders").is_none());
    }

    #[test]
    fn a_change_leaves_the_old_snapshot_alone_and_shares_the_rest() {
        let old = sample();
        let mut builder = InfoSchemaBuilder::from_schema(&old);
        builder.put_table(DbId(2), TableInfo::new(TableId(10), "moved"));
        let new = builder.build(8);
        assert!(old.table("shop", "orders").is_some() && new.table("shop", "orders").is_none());
        assert_eq!(new.located_table(TableId(10)).unwrap().0.as_str(), "app");
        assert!(Arc::ptr_eq(old.table("shop", "items").unwrap(), new.table("shop", "items").unwrap()));
    }

    #[test]
    fn dropping_a_database_drops_its_tables() {
        let mut builder = InfoSchemaBuilder::from_schema(&sample());
        builder.drop_database(DbId(1));
        let schema = builder.build(9);
        assert!(schema.table_by_id(TableId(10)).is_none());
        assert!(schema.database("shop").is_none());
    }

    #[test]
    fn a_renamed_database_keeps_its_tables() {
        let mut builder = InfoSchemaBuilder::from_schema(&sample());
        builder.put_database(DbInfo::new(DbId(1), "store"));
        let schema = builder.build(8);
        assert!(schema.table("store", "orders").is_some() && schema.database("shop").is_none());
    }
}
