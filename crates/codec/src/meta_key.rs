//! Keys of the schema's metadata.
use crate::{DbId, Key, TableId};
/// A string's key.
pub fn string_key(_name: &[u8]) -> Key { todo!() }
/// A hash field's key.
pub fn hash_key(_name: &[u8], _field: &[u8]) -> Key { todo!() }
/// All fields of a hash.
pub fn hash_prefix(_name: &[u8]) -> Key { todo!() }
/// NextGlobalID.
pub fn next_global_id() -> Key { string_key(b"NextGlobalID") }
/// SchemaVersionKey.
pub fn schema_version() -> Key { string_key(b"SchemaVersionKey") }
/// BootstrapKey.
pub fn bootstrap() -> Key { string_key(b"BootstrapKey") }
/// Diff:<version>.
pub fn schema_diff(version: i64) -> Key { string_key(format!("Diff:{version}").as_bytes()) }
/// DBs/DB:<id>.
pub fn database(id: DbId) -> Key { hash_key(b"DBs", format!("DB:{id}").as_bytes()) }
/// All databases.
pub fn databases() -> Key { hash_prefix(b"DBs") }
/// DB:<id>/Table:<id>.
pub fn table(db: DbId, id: TableId) -> Key { hash_key(format!("DB:{db}").as_bytes(), format!("Table:{id}").as_bytes()) }
/// Everything of a database.
pub fn tables(db: DbId) -> Key { hash_prefix(format!("DB:{db}").as_bytes()) }
/// DB:<id>/IID:<id>: the last AUTO_INCREMENT value handed out.
pub fn auto_increment(db: DbId, id: TableId) -> Key { hash_key(format!("DB:{db}").as_bytes(), format!("IID:{id}").as_bytes()) }
/// DB:<id>/TID:<id>: the last hidden row id handed out.
pub fn row_id(db: DbId, id: TableId) -> Key { hash_key(format!("DB:{db}").as_bytes(), format!("TID:{id}").as_bytes()) }
/// The list of DDL jobs and others: element.
pub fn list_element(_name: &[u8], _index: i64) -> Key { todo!() }
/// The list's meta.
pub fn list_meta(_name: &[u8]) -> Key { todo!() }
