//! Parsed forms of the variables that every statement asks for.

use std::time::Duration;

use tidewater_txn::ReplicaRead;
use tidewater_types::{Collation, SqlMode, TimeZone};

use super::Values;

/// The isolation levels we tell apart. READ UNCOMMITTED is run as READ COMMITTED, SERIALIZABLE as REPEATABLE READ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Isolation {
    /// Each statement reads a snapshot of its own.
    ReadCommitted,
    /// All statements of a transaction read one snapshot.
    RepeatableRead,
}

/// Whether the regions of new tables are spread over the stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScatterNew {
    /// Balance spreads them by and by.
    No,
    /// Those of each table for themselves.
    ByTable,
    /// Those of all tables together.
    Together,
}

/// Parsed variables.
#[derive(Debug, Clone)]
pub(crate) struct Hot {
    pub(crate) autocommit: bool,
    pub(crate) sql_mode: SqlMode,
    pub(crate) time_zone: TimeZone,
    pub(crate) collation_connection: Collation,
    pub(crate) isolation: Isolation,
    pub(crate) pessimistic: bool,
    pub(crate) read_only: bool,
    pub(crate) max_allowed_packet: u64,
    pub(crate) wait_timeout_secs: u64,
    pub(crate) lock_wait_timeout_ms: u64,
    pub(crate) max_execution_time_ms: u64,
    pub(crate) memory_quota: Option<u64>,
    pub(crate) select_limit: u64,
    pub(crate) group_concat_max_len: u64,
    pub(crate) div_precision_increment: u8,
    pub(crate) auto_increment_increment: u64,
    pub(crate) auto_increment_offset: u64,
    pub(crate) max_chunk_rows: usize,
    pub(crate) init_chunk_rows: usize,
    pub(crate) scan_concurrency: usize,
    /// `SET timestamp = ...`: the time `NOW()` shows, microseconds since the epoch.
    pub(crate) timestamp_micros: Option<i64>,
    pub(crate) foreign_key_checks: bool,
    pub(crate) retry_limit: u32,
    /// Which peers serve statements that only read.
    pub(crate) replica_read: ReplicaRead,
    /// How far back statements that only read may look, outside of transactions.
    pub(crate) read_staleness_secs: u64,
    /// For how long SPLIT waits until its regions have been spread; `None` if it does not.
    pub(crate) split_patience: Option<Duration>,
    pub(crate) scatter_new: ScatterNew,
}

impl Hot {
    pub(super) fn new(values: &Values) -> Self {
        let mut hot = Self {
            autocommit: true,
            sql_mode: SqlMode::DEFAULT,
            time_zone: TimeZone::utc(),
            collation_connection: Collation::default(),
            isolation: Isolation::RepeatableRead,
            pessimistic: true,
            read_only: false,
            max_allowed_packet: 64 << 20,
            wait_timeout_secs: 28800,
            lock_wait_timeout_ms: 50_000,
            max_execution_time_ms: 0,
            memory_quota: None,
            select_limit: u64::MAX,
            group_concat_max_len: 1024,
            div_precision_increment: 4,
            auto_increment_increment: 1,
            auto_increment_offset: 1,
            max_chunk_rows: 1024,
            init_chunk_rows: 32,
            scan_concurrency: 15,
            timestamp_micros: None,
            foreign_key_checks: true,
            retry_limit: 10,
            replica_read: ReplicaRead::Leader,
            read_staleness_secs: 0,
            split_patience: None,
            scatter_new: ScatterNew::No,
        };
        for (_, definition) in super::all() {
            hot.refresh(definition.name, values);
        }
        hot
    }

    /// Parses a variable again after it was set.
    pub(super) fn refresh(&mut self, name: &str, values: &Values) {
        let text = values.by_name(name);
        let on = text == "ON";
        let number = || text.parse::<u64>().unwrap_or(0);
        match name {
            "autocommit" => self.autocommit = on,
            "sql_mode" => self.sql_mode = text.parse().unwrap_or(SqlMode::DEFAULT),
            "time_zone" => self.time_zone = TimeZone::parse(text).unwrap_or_else(|_| TimeZone::utc()),
            "collation_connection" | "character_set_connection" => {
                self.collation_connection =
                    Collation::from_name(values.by_name("collation_connection")).unwrap_or_default();
            }
            "transaction_isolation" | "tx_isolation" => {
                self.isolation = match text {
                    "READ-COMMITTED" | "READ-UNCOMMITTED" => Isolation::ReadCommitted,
                    _ => Isolation::RepeatableRead,
                };
            }
            "transaction_read_only" | "tx_read_only" => self.read_only = on,
            "tidb_txn_mode" => self.pessimistic = text != "optimistic",
            "max_allowed_packet" => self.max_allowed_packet = number(),
            "wait_timeout" => self.wait_timeout_secs = number(),
            "innodb_lock_wait_timeout" => self.lock_wait_timeout_ms = number().saturating_mul(1000),
            "max_execution_time" => self.max_execution_time_ms = number(),
            "tidb_mem_quota_query" => self.memory_quota = text.parse().ok().filter(|quota| *quota > 0),
            "sql_select_limit" => self.select_limit = text.parse().unwrap_or(u64::MAX),
            "group_concat_max_len" => self.group_concat_max_len = number(),
            "div_precision_increment" => self.div_precision_increment = text.parse().unwrap_or(4),
            "auto_increment_increment" => self.auto_increment_increment = number().max(1),
            "auto_increment_offset" => self.auto_increment_offset = number().max(1),
            "tidb_max_chunk_size" => self.max_chunk_rows = text.parse().unwrap_or(1024),
            "tidb_init_chunk_size" => self.init_chunk_rows = text.parse().unwrap_or(32),
            "tidb_distsql_scan_concurrency" => self.scan_concurrency = text.parse().unwrap_or(15),
            "timestamp" => {
                self.timestamp_micros =
                    text.parse::<f64>().ok().filter(|secs| *secs > 0.0).map(|secs| (secs * 1e6) as i64);
            }
            "foreign_key_checks" => self.foreign_key_checks = on,
            "tidb_replica_read" => {
                self.replica_read = match text {
                    "follower" => ReplicaRead::Follower,
                    "leader-and-follower" | "closest-replicas" | "closest-adaptive" => ReplicaRead::Mixed,
                    _ => ReplicaRead::Leader,
                };
            }
            "tidb_read_staleness" => {
                self.read_staleness_secs = text.parse::<i64>().unwrap_or(0).min(0).unsigned_abs();
            }
            "tidb_wait_split_region_finish" | "tidb_wait_split_region_timeout" => {
                let seconds = values.by_name("tidb_wait_split_region_timeout").parse().unwrap_or(300);
                let waits = values.by_name("tidb_wait_split_region_finish") == "ON";
                self.split_patience = waits.then(|| Duration::from_secs(seconds));
            }
            "tidb_scatter_region" => {
                self.scatter_new = match text {
                    "table" => ScatterNew::ByTable,
                    "global" => ScatterNew::Together,
                    _ => ScatterNew::No,
                };
            }
            "tidb_retry_limit" => self.retry_limit = text.parse().unwrap_or(10),
            _ => {}
        }
    }
}
