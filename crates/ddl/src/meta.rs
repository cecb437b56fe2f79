//! The schema in storage: TiDB's meta keys, seen through a transaction.

use serde::{Deserialize, Serialize};
use tidewater_catalog::{DbInfo, Job, TableInfo};
use tidewater_codec::{DbId, Key, TableId, meta_key};
use tidewater_txn::Transaction;

use crate::error::DdlError;
use crate::members::NodeRecord;

/// Jobs that wait or run, by id.
const QUEUE: &[u8] = b"DDLJobQueue";
/// Jobs that are over, by id.
const HISTORY: &[u8] = b"DDLJobHistory";
/// Key ranges whose data is to be removed once no snapshot needs it.
const DELETE_RANGES: &[u8] = b"DDLDeleteRanges";
/// Global variables that were set.
const GLOBAL_VARIABLES: &[u8] = b"GlobalVariables";
/// Jobs whose long work is to end, by id.
const CANCELLATIONS: &[u8] = b"DDLCancellations";
/// Records of SQL nodes, by id.
const NODES: &[u8] = b"SqlNodes";
/// Under the empty field: the node that carries out the jobs.
const OWNER: &[u8] = b"DDLOwner";
/// Under the empty field: the counters of changes.
const NOTICES: &[u8] = b"SqlNotices";

/// What one schema version changed; enough to bring a snapshot of the version before up to it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SchemaDiff {
    /// The version.
    pub version: i64,
    /// Databases made, changed or dropped.
    pub databases: Vec<DbId>,
    /// Tables made, changed or dropped, each with the database to look in.
    pub tables: Vec<(DbId, TableId)>,
}

/// Counters of changes beside the schema that every SQL node keeps a copy of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notices {
    /// Changes of accounts and their rights.
    pub accounts: u64,
    /// Changes of global variables.
    pub variables: u64,
    /// Changes of statistics.
    pub statistics: u64,
}

/// Data of a dropped table or index.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeleteRange {
    /// First key.
    pub start: Vec<u8>,
    /// Behind the last key.
    pub end: Vec<u8>,
    /// Snapshots before this still need the data.
    pub ts: u64,
}

/// The stored schema through a transaction.
pub struct Meta<'t> {
    txn: &'t mut Transaction,
}

impl<'t> Meta<'t> {
    /// Looks through `txn`.
    pub fn new(txn: &'t mut Transaction) -> Self {
        Self { txn }
    }

    /// The transaction's start as the time of a change.
    pub fn now(&self) -> u64 {
        self.txn.start_ts().into_inner()
    }

    /// Takes `count` ids; gives the first.
    pub async fn take_ids(&mut self, count: i64) -> Result<i64, DdlError> {
        let last = self.add(meta_key::next_global_id(), count).await?;
        Ok(last - count + 1)
    }

    /// The version of the stored schema.
    pub async fn schema_version(&mut self) -> Result<i64, DdlError> {
        self.number(&meta_key::schema_version()).await
    }

    /// Counts the schema version up and records what the new one changes.
    pub async fn bump(&mut self, mut diff: SchemaDiff) -> Result<i64, DdlError> {
        diff.version = self.add(meta_key::schema_version(), 1).await?;
        self.put_json(meta_key::schema_diff(diff.version), &diff)?;
        Ok(diff.version)
    }

    /// What a version changed, if that is still recorded.
    pub async fn diff(&mut self, version: i64) -> Result<Option<SchemaDiff>, DdlError> {
        self.get_json(&meta_key::schema_diff(version)).await
    }

    /// A database.
    pub async fn database(&mut self, id: DbId) -> Result<Option<DbInfo>, DdlError> {
        self.get_json(&meta_key::database(id)).await
    }

    /// All databases.
    pub async fn databases(&mut self) -> Result<Vec<DbInfo>, DdlError> {
        self.scan_json(meta_key::databases(), |_| true).await
    }

    /// Writes a database.
    pub fn put_database(&mut self, info: &DbInfo) -> Result<(), DdlError> {
        self.put_json(meta_key::database(info.id), info)
    }

    /// Removes a database and everything below it.
    pub async fn drop_database(&mut self, id: DbId) -> Result<(), DdlError> {
        self.txn.delete(meta_key::database(id))?;
        let prefix = meta_key::tables(id);
        let pairs = self.txn.scan(prefix.clone()..prefix.prefix_next()).collect(usize::MAX).await?;
        for (key, _) in pairs {
            self.txn.delete(key)?;
        }
        Ok(())
    }

    /// A table.
    pub async fn table(&mut self, database: DbId, id: TableId) -> Result<Option<TableInfo>, DdlError> {
        self.get_json(&meta_key::table(database, id)).await
    }

    /// The tables and views of a database.
    pub async fn tables(&mut self, database: DbId) -> Result<Vec<TableInfo>, DdlError> {
        // Counters stand between them: they are no JSON objects.
        self.scan_json(meta_key::tables(database), |value| value.starts_with(b"{")).await
    }

    /// Writes a table.
    pub fn put_table(&mut self, database: DbId, table: &TableInfo) -> Result<(), DdlError> {
        self.put_json(meta_key::table(database, table.id), table)
    }

    /// Removes a table and its counters.
    pub fn drop_table(&mut self, database: DbId, id: TableId) -> Result<(), DdlError> {
        self.txn.delete(meta_key::table(database, id))?;
        self.txn.delete(meta_key::auto_increment(database, id))?;
        self.txn.delete(meta_key::row_id(database, id))?;
        Ok(())
    }

    /// Moves a table's counters to another database.
    pub async fn move_counters(&mut self, table: TableId, from: DbId, to: DbId) -> Result<(), DdlError> {
        for key in [meta_key::auto_increment, meta_key::row_id] {
            if let Some(value) = self.txn.get(&key(from, table)).await? {
                self.txn.put(key(to, table), value)?;
                self.txn.delete(key(from, table))?;
            }
        }
        Ok(())
    }

    /// Lets AUTO_INCREMENT go on behind `last`.
    pub async fn raise_auto_increment(
        &mut self,
        database: DbId,
        table: TableId,
        last: u64,
    ) -> Result<(), DdlError> {
        let key = meta_key::auto_increment(database, table);
        let stored = u64::try_from(self.number(&key).await?).unwrap_or(0);
        if last > stored {
            self.txn.put(key, last.to_string().into_bytes())?;
        }
        Ok(())
    }

    /// Writes a waiting or running job.
    pub fn put_job(&mut self, job: &Job) -> Result<(), DdlError> {
        self.put_json(job_key(QUEUE, job.id), job)
    }

    /// Moves a job to the history.
    pub fn finish_job(&mut self, job: &Job) -> Result<(), DdlError> {
        self.txn.delete(job_key(QUEUE, job.id))?;
        self.txn.delete(job_key(CANCELLATIONS, job.id))?;
        self.put_json(job_key(HISTORY, job.id), job)
    }

    /// A waiting or running job.
    pub async fn job(&mut self, id: i64) -> Result<Option<Job>, DdlError> {
        self.get_json(&job_key(QUEUE, id)).await
    }

    /// A job that is over.
    pub async fn finished_job(&mut self, id: i64) -> Result<Option<Job>, DdlError> {
        self.get_json(&job_key(HISTORY, id)).await
    }

    /// Asks whoever carries out a job to end its long work.
    pub fn put_cancellation(&mut self, id: i64) -> Result<(), DdlError> {
        self.txn.put(job_key(CANCELLATIONS, id), b"1".to_vec())?;
        Ok(())
    }

    /// Whether the end of a job's long work was asked for.
    pub async fn is_cancelled(&mut self, id: i64) -> Result<bool, DdlError> {
        Ok(self.txn.get(&job_key(CANCELLATIONS, id)).await?.is_some())
    }

    /// The waiting and running jobs in order.
    pub async fn jobs(&mut self) -> Result<Vec<Job>, DdlError> {
        self.scan_json(meta_key::hash_prefix(QUEUE), |_| true).await
    }

    /// The last jobs of the history, the newest first.
    pub async fn history(&mut self, count: usize) -> Result<Vec<Job>, DdlError> {
        let prefix = meta_key::hash_prefix(HISTORY);
        let pairs = self.txn.scan_reverse(prefix.clone()..prefix.prefix_next()).collect(count).await?;
        pairs.iter().map(|(_, value)| parse(value)).collect()
    }

    /// Notes data to be removed later.
    pub async fn add_delete_range(&mut self, range: std::ops::Range<Key>) -> Result<(), DdlError> {
        let id = self.take_ids(1).await?;
        let range =
            DeleteRange { start: range.start.into_bytes(), end: range.end.into_bytes(), ts: self.now() };
        self.put_json(meta_key::hash_key(DELETE_RANGES, &id.to_be_bytes()), &range)
    }

    /// The noted ranges with their keys.
    pub async fn delete_ranges(&mut self) -> Result<Vec<(Key, DeleteRange)>, DdlError> {
        let prefix = meta_key::hash_prefix(DELETE_RANGES);
        let pairs = self.txn.scan(prefix.clone()..prefix.prefix_next()).collect(usize::MAX).await?;
        pairs.into_iter().map(|(key, value)| Ok((key, parse(&value)?))).collect()
    }

    /// Forgets a range.
    pub fn forget_delete_range(&mut self, key: Key) -> Result<(), DdlError> {
        self.txn.delete(key)?;
        Ok(())
    }

    /// Keeps a global variable.
    pub fn put_global_variable(&mut self, name: &str, value: &str) -> Result<(), DdlError> {
        self.txn.put(meta_key::hash_key(GLOBAL_VARIABLES, name.as_bytes()), value.as_bytes().to_vec())?;
        Ok(())
    }

    /// The global variables that were set.
    pub async fn global_variables(&mut self) -> Result<Vec<(String, String)>, DdlError> {
        let prefix = meta_key::hash_prefix(GLOBAL_VARIABLES);
        let pairs = self.txn.scan(prefix.clone()..prefix.prefix_next()).collect(usize::MAX).await?;
        // The name is the tail of the key, encoded; the value tells nothing of it, so names are asked one by one.
        Ok(pairs
            .into_iter()
            .filter_map(|(key, value)| {
                let name = String::from_utf8(meta_key_field(&key, &prefix)?).ok()?;
                Some((name, String::from_utf8_lossy(&value).into_owned()))
            })
            .collect())
    }

    /// The record of a node.
    pub(crate) async fn node(&mut self, id: i64) -> Result<Option<NodeRecord>, DdlError> {
        self.get_json(&job_key(NODES, id)).await
    }

    /// The records of all nodes, each with the node's id.
    pub(crate) async fn nodes(&mut self) -> Result<Vec<(i64, NodeRecord)>, DdlError> {
        let prefix = meta_key::hash_prefix(NODES);
        let pairs = self.txn.scan(prefix.clone()..prefix.prefix_next()).collect(usize::MAX).await?;
        let node = |key: &Key| Some(i64::from_be_bytes(meta_key_field(key, &prefix)?.try_into().ok()?));
        pairs
            .iter()
            .filter_map(|(key, value)| Some((node(key)?, value)))
            .map(|(id, value)| Ok((id, parse(value)?)))
            .collect()
    }

    /// Writes the record of a node.
    pub(crate) fn put_node(&mut self, id: i64, record: &NodeRecord) -> Result<(), DdlError> {
        self.put_json(job_key(NODES, id), record)
    }

    /// Removes the record of a node.
    pub(crate) fn remove_node(&mut self, id: i64) -> Result<(), DdlError> {
        self.txn.delete(job_key(NODES, id))?;
        Ok(())
    }

    /// The node that carries out the jobs.
    pub(crate) async fn owner(&mut self) -> Result<Option<i64>, DdlError> {
        Ok(self.get_json(&meta_key::hash_key(OWNER, b"")).await?.flatten())
    }

    /// Names the node that carries out the jobs.
    pub(crate) fn put_owner(&mut self, node: Option<i64>) -> Result<(), DdlError> {
        self.put_json(meta_key::hash_key(OWNER, b""), &node)
    }

    /// What a node looks at all the time: the version of the schema and the notices.
    pub(crate) async fn news(&mut self) -> Result<(i64, Notices), DdlError> {
        let version = self.schema_version().await?;
        Ok((version, self.get_json(&meta_key::hash_key(NOTICES, b"")).await?.unwrap_or_default()))
    }

    /// Counts a notice up.
    pub async fn bump_notice(&mut self, bump: fn(&mut Notices)) -> Result<(), DdlError> {
        let (_, mut notices) = self.news().await?;
        bump(&mut notices);
        self.put_json(meta_key::hash_key(NOTICES, b""), &notices)
    }

    /// The version of the system tables; 0 before the first start.
    pub async fn bootstrap_version(&mut self) -> Result<i64, DdlError> {
        self.number(&meta_key::bootstrap()).await
    }

    /// Notes the version of the system tables.
    pub fn put_bootstrap_version(&mut self, version: i64) -> Result<(), DdlError> {
        self.txn.put(meta_key::bootstrap(), version.to_string().into_bytes())?;
        Ok(())
    }

    async fn add(&mut self, key: Key, by: i64) -> Result<i64, DdlError> {
        let sum = self.number(&key).await? + by;
        self.txn.put(key, sum.to_string().into_bytes())?;
        Ok(sum)
    }

    async fn number(&mut self, key: &Key) -> Result<i64, DdlError> {
        let Some(value) = self.txn.get(key).await? else { return Ok(0) };
        std::str::from_utf8(&value)
            .ok()
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| DdlError::Corrupt { what: format!("the counter at {key}") })
    }

    fn put_json<T: Serialize>(&mut self, key: Key, value: &T) -> Result<(), DdlError> {
        let json =
            serde_json::to_vec(value).map_err(|error| DdlError::Corrupt { what: error.to_string() })?;
        self.txn.put(key, json)?;
        Ok(())
    }

    async fn get_json<T: for<'de> Deserialize<'de>>(&mut self, key: &Key) -> Result<Option<T>, DdlError> {
        self.txn.get(key).await?.map(|value| parse(&value)).transpose()
    }

    async fn scan_json<T: for<'de> Deserialize<'de>>(
        &mut self,
        prefix: Key,
        wanted: impl Fn(&[u8]) -> bool,
    ) -> Result<Vec<T>, DdlError> {
        let pairs = self.txn.scan(prefix.clone()..prefix.prefix_next()).collect(usize::MAX).await?;
        pairs.iter().filter(|(_, value)| wanted(value)).map(|(_, value)| parse(value)).collect()
    }
}

fn job_key(queue: &[u8], id: i64) -> Key {
    meta_key::hash_key(queue, &id.to_be_bytes())
}

/// The field of a hash's key.
fn meta_key_field(key: &Key, prefix: &Key) -> Option<Vec<u8>> {
    let mut tail = key.as_bytes().strip_prefix(prefix.as_bytes())?;
    let mut field = Vec::new();
    tidewater_codec::bytes::read_bytes(&mut tail, &mut field).ok()?;
    Some(field)
}

fn parse<T: for<'de> Deserialize<'de>>(value: &[u8]) -> Result<T, DdlError> {
    serde_json::from_slice(value).map_err(|error| DdlError::Corrupt { what: error.to_string() })
}
