//! The settings file of the store; names are TiKV's where the meaning is.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidewater_codec::Key;
use tidewater_daemon::{LogSettings, Size, Span};
use tidewater_kv::{DiskWatch, FolderDisk, NodeConfig, RaftSettings, RocksConfig};
use tidewater_raft::{LogDevice, RaftConfig, SnapshotLimits, Spools};
use tidewater_rpc::Security;

/// Where a new cluster is split: around the raw and transactional keys of the default keyspace, and above everything else. Some clients go
/// on scanning from the first key when a range reaches the last region, so none of theirs does.
const FIRST_BOUNDARIES: [&[u8]; 5] = [b"r\0\0\0", b"r\0\0\x01", b"x\0\0\0", b"x\0\0\x01", &[0xff; 8]];

/// All settings of the store.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Settings {
    /// Logs.
    pub log: LogSettings,
    /// Where to listen.
    pub server: Server,
    /// Where the data is.
    pub storage: Storage,
    /// The placement driver.
    pub pd: Pd,
    /// How large regions grow.
    pub coprocessor: Coprocessor,
    /// When regions that are read much are split.
    pub split: Split,
    /// How often the store reports.
    pub raftstore: Raftstore,
    /// Waiting for locks.
    pub pessimistic_txn: PessimisticTxn,
    /// Garbage collection.
    pub gc: Gc,
    /// TLS between components.
    pub security: Security,
}

/// Where to listen.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Server {
    /// For clients; port 0 takes a free one.
    pub addr: String,
    /// Where clients find this store; empty: where it listens.
    pub advertise_addr: String,
    /// For operators, over HTTP; port 0 takes a free one.
    pub status_addr: String,
    /// How many snapshots of regions are sent at once; more wait.
    pub concurrent_send_snap_limit: usize,
    /// How many snapshots of regions are received at once; more are refused, and come again.
    pub concurrent_recv_snap_limit: usize,
    /// Bytes of snapshots sent per second, in all; 0 is no limit.
    pub snap_io_max_bytes_per_sec: Size,
    /// Bytes of received snapshots that are not installed yet, beyond which no other is begun; 0 is no limit.
    pub snap_max_total_size: Size,
}

/// Where the data is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Storage {
    /// Folder of the data.
    pub data_dir: PathBuf,
    /// With less room than this on the disk nothing is taken in that makes the data larger.
    pub reserve_space: Size,
    /// Memory for blocks of the engine.
    pub block_cache: Size,
    /// Memory for the newest versions of keys that are read one by one.
    pub row_cache: Size,
}

/// The placement driver.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Pd {
    /// Addresses of its members.
    pub endpoints: Vec<String>,
}

/// How large regions grow.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Coprocessor {
    /// A region larger than this is split.
    pub region_max_size: Size,
    /// The size of the pieces.
    pub region_split_size: Size,
    /// A region with more keys than this is split.
    pub region_max_keys: u64,
    /// The number of keys in the pieces.
    pub region_split_keys: u64,
}

/// When regions that are read much are split, so that another store can lead a part.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Split {
    /// A region with more reads a second than this, for ten seconds in a row, is split; 0 is never.
    pub qps_threshold: u64,
    /// A region of which more is read in a second than this, for ten seconds in a row, is split; 0 is never.
    pub byte_threshold: Size,
}

/// How often the store reports and looks after its regions.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Raftstore {
    /// Whether regions are replicated by Raft. All stores of a cluster, and the placement driver, have to agree. Without it every region has one
    /// copy, which moves between the stores.
    pub replicated: bool,
    /// A leader that has nothing to say says so this often.
    pub raft_heartbeat_interval: Span,
    /// How long a leader's lease lasts after its last sign of life; within as much again, at most, another is elected.
    pub raft_election_timeout: Span,
    /// A region in which nothing happens for this long costs nothing from then on; 0 is never.
    pub hibernate_timeout: Span,
    /// Pause between two reports of the store and its regions.
    pub pd_heartbeat_tick_interval: Span,
    /// How often the replicas of each region are compared; 0 is never.
    pub consistency_check_interval: Span,
    /// How long after it grew a region is checked for a split.
    pub split_region_check_tick_interval: Span,
}

/// Waiting for locks.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct PessimisticTxn {
    /// How long a lock request waits in the store before its client looks after the holder.
    pub wait_for_lock_timeout: Span,
}

/// Garbage collection.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Gc {
    /// How often the placement driver is asked for a new safe point.
    pub poll_safe_point_interval: Span,
}

impl Default for Server {
    fn default() -> Self {
        let snapshots = SnapshotLimits::default();
        Self {
            addr: "127.0.0.1:20160".to_owned(),
            advertise_addr: String::new(),
            status_addr: "127.0.0.1:20180".to_owned(),
            concurrent_send_snap_limit: snapshots.sending_max,
            concurrent_recv_snap_limit: snapshots.receiving_max,
            snap_io_max_bytes_per_sec: Size::b(snapshots.bytes_per_second_max),
            snap_max_total_size: Size::b(snapshots.kept_bytes_max),
        }
    }
}

impl Default for Storage {
    fn default() -> Self {
        let rows = NodeConfig::default().row_cache_bytes;
        let blocks = RocksConfig::default().block_cache_bytes;
        Self {
            data_dir: "./tidewater-store".into(),
            reserve_space: Size::gib(1),
            block_cache: Size::b(blocks as u64),
            row_cache: Size::b(rows),
        }
    }
}

impl Default for Pd {
    fn default() -> Self {
        Self { endpoints: vec!["127.0.0.1:2379".to_owned()] }
    }
}

impl Default for Coprocessor {
    fn default() -> Self {
        let config = NodeConfig::default();
        Self {
            region_max_size: Size::b(config.region_bytes_max),
            region_split_size: Size::b(config.region_bytes_split),
            region_max_keys: config.region_keys_max,
            region_split_keys: config.region_keys_split,
        }
    }
}

impl Default for Split {
    fn default() -> Self {
        let config = NodeConfig::default();
        Self {
            qps_threshold: config.split_qps_threshold,
            byte_threshold: Size::b(config.split_byte_threshold),
        }
    }
}

impl Default for Raftstore {
    fn default() -> Self {
        Self {
            replicated: true,
            raft_heartbeat_interval: Span(RaftConfig::default().heartbeat_interval),
            raft_election_timeout: Span(RaftConfig::default().election_timeout_max),
            hibernate_timeout: Span(RaftConfig::default().sleep_after.unwrap_or_default()),
            pd_heartbeat_tick_interval: Span(NodeConfig::default().heartbeat_interval),
            consistency_check_interval: Span(
                NodeConfig::default().consistency_check_interval.unwrap_or_default(),
            ),
            split_region_check_tick_interval: Span(Duration::from_millis(500)),
        }
    }
}

impl Default for PessimisticTxn {
    fn default() -> Self {
        Self { wait_for_lock_timeout: Span(NodeConfig::default().lock_wait_max) }
    }
}

impl Default for Gc {
    fn default() -> Self {
        Self { poll_safe_point_interval: Span(NodeConfig::default().gc_poll_interval.unwrap_or_default()) }
    }
}

impl Settings {
    /// The node's part.
    pub fn node(
        &self,
        address: String,
        raft: Option<RaftSettings>,
        compute: tokio::runtime::Handle,
    ) -> NodeConfig {
        NodeConfig {
            address,
            disk: Some(DiskWatch {
                disk: Arc::new(FolderDisk(self.storage.data_dir.clone())),
                reserve_bytes: self.storage.reserve_space.as_u64(),
            }),
            raft,
            region_bytes_max: self.coprocessor.region_max_size.as_u64(),
            region_bytes_split: self.coprocessor.region_split_size.as_u64(),
            region_keys_max: self.coprocessor.region_max_keys,
            region_keys_split: self.coprocessor.region_split_keys,
            split_qps_threshold: self.split.qps_threshold,
            split_byte_threshold: self.split.byte_threshold.as_u64(),
            split_check_delay: self.raftstore.split_region_check_tick_interval.0,
            row_cache_bytes: self.storage.row_cache.as_u64(),
            lock_wait_max: self.pessimistic_txn.wait_for_lock_timeout.0,
            consistency_check_interval: Some(self.raftstore.consistency_check_interval.0)
                .filter(|interval| !interval.is_zero()),
            heartbeat_interval: self.raftstore.pd_heartbeat_tick_interval.0,
            gc_poll_interval: Some(self.gc.poll_safe_point_interval.0),
            compute: Some(compute),
            bootstrap_split_keys: FIRST_BOUNDARIES.iter().map(|key| Key::new(*key)).collect(),
            ..NodeConfig::default()
        }
    }

    /// How regions are replicated, with logs and received snapshots kept there.
    pub fn raft(&self, device: Arc<dyn LogDevice>, spools: Arc<Spools>) -> RaftSettings {
        RaftSettings { config: self.raft_config(), spools, ..RaftSettings::new(device) }
    }

    fn raft_config(&self) -> RaftConfig {
        let Raftstore { raft_heartbeat_interval, raft_election_timeout, hibernate_timeout, .. } =
            &self.raftstore;
        RaftConfig {
            heartbeat_interval: raft_heartbeat_interval.0,
            election_timeout_min: raft_election_timeout.0 / 2,
            election_timeout_max: raft_election_timeout.0,
            sleep_after: (!hibernate_timeout.0.is_zero()).then_some(hibernate_timeout.0),
            snapshots: SnapshotLimits {
                bytes_per_second_max: self.server.snap_io_max_bytes_per_sec.as_u64(),
                sending_max: self.server.concurrent_send_snap_limit,
                receiving_max: self.server.concurrent_recv_snap_limit,
                kept_bytes_max: self.server.snap_max_total_size.as_u64(),
            },
            ..RaftConfig::default()
        }
    }

    /// The engine's part.
    pub fn engine(&self) -> RocksConfig {
        RocksConfig {
            block_cache_bytes: usize::try_from(self.storage.block_cache.as_u64()).unwrap_or(usize::MAX),
            ..RocksConfig::default()
        }
    }
}
