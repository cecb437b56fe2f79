//! The node's settings.

use std::{fmt, sync::Arc, time::Duration};

use tidewater_codec::Key;
use tidewater_raft::{LogDevice, RaftConfig, Spools};
use tidewater_types::clock::{SystemClock, WallClock};

use crate::{flaws::Flaws, health::DiskWatch, limits::Limits, read_load::ReadLimits};

/// A write of this size takes a disk some ten milliseconds.
const INSTALL_BYTES_MAX: usize = 4 << 20;

/// Settings of a [`Node`](crate::Node).
#[derive(Clone)]
pub struct NodeConfig {
    /// Where clients reach the node; told to the placement driver.
    pub address: String,
    /// Where operators find its status pages; told to the placement driver. Empty if there are none.
    pub status_address: String,
    /// A region larger than this is split.
    pub region_bytes_max: u64,
    /// The size of the pieces.
    pub region_bytes_split: u64,
    /// A region with more versions and raw keys than this is split.
    pub region_keys_max: u64,
    /// The number of versions and raw keys in the pieces.
    pub region_keys_split: u64,
    /// A region with more reads a second than this, for ten seconds in a row, is split; 0 splits none for it. TiKV's `split.qps-threshold`.
    pub split_qps_threshold: u64,
    /// A region of which more bytes are read in a second than this, for ten seconds in a row, is split; 0 splits none for it. TiKV's
    /// `split.byte-threshold`.
    pub split_byte_threshold: u64,
    /// How long after it grew a region is checked, so that one check sees all of a burst of writes.
    pub split_check_delay: Duration,
    /// Memory for the newest versions of keys that are read one by one; zero for none.
    pub row_cache_bytes: u64,
    /// How long a pessimistic lock request waits at most before its client has to look after the lock in the way.
    pub lock_wait_max: Duration,
    /// How often regions and the store report to the placement driver.
    pub heartbeat_interval: Duration,
    /// How often the placement driver is asked for a new safe point; `None` leaves garbage collection to requests.
    pub gc_poll_interval: Option<Duration>,
    /// The largest key a client may write.
    pub key_bytes_max: usize,
    /// The largest key with its value a client may write.
    pub entry_bytes_max: usize,
    /// The most one request may write.
    pub batch_bytes_max: usize,
    /// Where a new cluster is split before it serves anybody; an old one stays as it is.
    pub bootstrap_split_keys: Vec<Key>,
    /// What raw data expires by.
    pub clock: Arc<dyn WallClock>,
    /// How often expired raw data is removed; `None` leaves it where it is, unseen.
    pub raw_sweep_interval: Option<Duration>,
    /// How old the timestamp for stale reads may become before it is found anew.
    pub safe_ts_age_max: Duration,
    /// Regions are replicated by Raft, whose log is kept here; `None`: each region has one copy, this one.
    pub raft: Option<RaftSettings>,
    /// How often a region's replicas are compared by whoever leads it; `None` leaves that to requests.
    pub consistency_check_interval: Option<Duration>,
    /// The disk that the data is on, if it is to be watched.
    pub disk: Option<DiskWatch>,
    /// Where the coprocessor runs long scans; the current runtime if absent.
    pub compute: Option<tokio::runtime::Handle>,
    /// What is broken on purpose: for simulations.
    #[doc(hidden)]
    pub flaws: Flaws,
}

/// How a node replicates its regions.
#[derive(Clone)]
pub struct RaftSettings {
    /// The log of all regions.
    pub device: Arc<dyn LogDevice>,
    /// Times and sizes.
    pub config: RaftConfig,
    /// Where snapshots wait until all of them has come.
    pub spools: Arc<Spools>,
    /// Bytes of one write of a snapshot that is installed, about. A snapshot that needs several is noted first.
    pub install_bytes_max: usize,
}

impl RaftSettings {
    /// With the usual times and sizes, for a store that keeps snapshots on their way in memory.
    pub fn new(device: Arc<dyn LogDevice>) -> Self {
        Self {
            device,
            config: RaftConfig::default(),
            spools: Spools::in_memory(),
            install_bytes_max: INSTALL_BYTES_MAX,
        }
    }
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self {
            address: "127.0.0.1:20160".into(),
            status_address: String::new(),
            region_bytes_max: 144 << 20,
            region_bytes_split: 96 << 20,
            region_keys_max: 1_440_000,
            region_keys_split: 960_000,
            split_qps_threshold: 3_000,
            split_byte_threshold: 30 << 20,
            split_check_delay: Duration::ZERO,
            row_cache_bytes: 64 << 20,
            lock_wait_max: Duration::from_secs(1),
            heartbeat_interval: Duration::from_secs(10),
            gc_poll_interval: Some(Duration::from_secs(60)),
            key_bytes_max: 8 << 10,
            // A little more than the largest entry of our own transactions.
            entry_bytes_max: 128 << 20,
            batch_bytes_max: 256 << 20,
            bootstrap_split_keys: Vec::new(),
            clock: Arc::new(SystemClock),
            raw_sweep_interval: Some(Duration::from_secs(60)),
            safe_ts_age_max: Duration::from_secs(1),
            raft: None,
            consistency_check_interval: Some(Duration::from_secs(24 * 3600)),
            disk: None,
            compute: None,
            flaws: Flaws::default(),
        }
    }
}

impl NodeConfig {
    pub(crate) fn read_limits(&self) -> ReadLimits {
        ReadLimits { requests: self.split_qps_threshold, bytes: self.split_byte_threshold }
    }

    pub(crate) fn limits(&self) -> Limits {
        Limits {
            key_bytes_max: self.key_bytes_max,
            entry_bytes_max: self.entry_bytes_max,
            batch_bytes_max: self.batch_bytes_max,
        }
    }
}

impl fmt::Debug for NodeConfig {
    /// What tells one node from another.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeConfig")
            .field("address", &self.address)
            .field("region_bytes_max", &self.region_bytes_max)
            .field("region_keys_max", &self.region_keys_max)
            .field("row_cache_bytes", &self.row_cache_bytes)
            .field("bootstrap_split_keys", &self.bootstrap_split_keys)
            .finish_non_exhaustive()
    }
}
