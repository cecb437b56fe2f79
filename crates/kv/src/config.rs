//! The node's settings.

use std::time::Duration;

/// Settings of a [`Node`](crate::Node).
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// Where clients reach the node; told to the placement driver.
    pub address: String,
    /// A region larger than this is split.
    pub region_bytes_max: u64,
    /// The size of the pieces.
    pub region_bytes_split: u64,
    /// A region with more versions than this is split.
    pub region_keys_max: u64,
    /// The number of versions in the pieces.
    pub region_keys_split: u64,
    /// Memory for the newest versions of keys that are read one by one; zero for none.
    pub row_cache_bytes: u64,
    /// How long a pessimistic lock request waits at most before its client has to look after the lock in the way.
    pub lock_wait_max: Duration,
    /// How often regions and the store report to the placement driver.
    pub heartbeat_interval: Duration,
    /// How often the placement driver is asked for a new safe point; `None` leaves garbage collection to requests.
    pub gc_poll_interval: Option<Duration>,
    /// Where the coprocessor runs long scans; the current runtime if absent.
    pub compute: Option<tokio::runtime::Handle>,
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self {
            address: "127.0.0.1:20160".into(),
            region_bytes_max: 144 << 20,
            region_bytes_split: 96 << 20,
            region_keys_max: 1_440_000,
            region_keys_split: 960_000,
            row_cache_bytes: 64 << 20,
            lock_wait_max: Duration::from_secs(1),
            heartbeat_interval: Duration::from_secs(10),
            gc_poll_interval: Some(Duration::from_secs(60)),
            compute: None,
        }
    }
}
