use std::time::Duration;

/// Settings of a placement driver. The defaults suit production and tests alike.
#[derive(Debug, Clone)]
pub struct PdConfig {
    /// The id of a cluster that does not exist yet; `None` derives one from the clock. An existing cluster keeps its own.
    pub cluster_id: Option<u64>,
    /// How timestamps are given out.
    pub tso: TsoConfig,
    /// Ids are reserved on disk in steps of this many.
    pub id_step: u64,
    /// How regions are placed.
    pub schedule: ScheduleConfig,
    /// How many replicas regions have; means nothing unless [`ScheduleConfig::replicated`].
    pub replication: ReplicationConfig,
}

impl Default for PdConfig {
    fn default() -> Self {
        Self {
            cluster_id: None,
            tso: TsoConfig::default(),
            id_step: 1_000,
            schedule: ScheduleConfig::default(),
            replication: ReplicationConfig::default(),
        }
    }
}

/// How timestamps are given out.
///
/// The oracle keeps a *window*: a time up to which it may give out timestamps, durable before the first of them leaves. After a restart it
/// goes on above the window it finds.
#[derive(Debug, Clone)]
pub struct TsoConfig {
    /// How far ahead of the last timestamp the durable window reaches. A restart may move time forward by this much.
    pub window: Duration,
    /// When less than this is left of the window, it is moved in the background.
    pub refill_below: Duration,
}

impl Default for TsoConfig {
    fn default() -> Self {
        Self { window: Duration::from_secs(3), refill_below: Duration::from_millis(1_500) }
    }
}

/// How regions are placed.
#[derive(Debug, Clone)]
pub struct ScheduleConfig {
    /// Regions that move at the same time; 0 leaves regions where they are.
    pub moves_max: usize,
    /// Unreplicated regions that leave one store, or come to it, within a minute; 0 leaves regions where they are.
    pub moves_per_store_minute_max: u32,
    /// A store not heard of for this long gets no regions.
    pub store_silence_max: Duration,
    /// After this long an order is taken for lost.
    pub move_patience: Duration,
    /// Regions that are merged at the same time; 0 merges none.
    pub merges_max: usize,
    /// Neighbors are merged if they are not larger than this together; 0 merges none. Stores do not tell sizes above 32 MiB from each other
    /// after deletions: such regions are large.
    pub merge_region_bytes_max: u64,
    /// Neighbors are merged if they do not have more keys than this together; 0 merges none.
    pub merge_region_keys_max: u64,
    /// For so long after a split, and after the start of the placement driver, regions are not merged.
    pub split_merge_interval: Duration,
    /// Whether regions have several peers, kept in step by their leader. If not, they move whole and the settings below mean nothing.
    pub replicated: bool,
    /// Regions repaired at the same time: peers added, replaced or removed because a rule asks for it.
    pub repairs_max: usize,
    /// Leaders that change stores at the same time for the sake of balance, or to leave a store.
    pub leader_moves_max: usize,
    /// Leaders of hot regions that change stores at the same time.
    pub hot_moves_max: usize,
    /// Peers that one store gets at the same time.
    pub store_adds_max: usize,
    /// Peers that one store loses at the same time.
    pub store_removes_max: usize,
    /// A store that says it receives and applies this many snapshots gets no peers.
    pub store_snapshots_max: u32,
    /// A store not heard of for this long has lost its peers: they are replaced.
    pub store_down_max: Duration,
    /// An operator that moves peers and has not ended after this long is given up.
    pub peer_patience: Duration,
    /// An operator that moves leaders and has not ended after this long is given up.
    pub leader_patience: Duration,
    /// A store with less of its space free gets no peers, in hundredths of its capacity.
    pub free_percent_min: u64,
    /// What the balance of regions makes even.
    pub balance_by: BalanceBy,
    /// Stores whose regions (or leaders) differ by less than this many are even; at least 2.
    pub balance_tolerance: u64,
    /// A region is hot from this load on: bytes per second, a key counting as 100 bytes.
    pub hot_load_min: u64,
    /// A store may have this many hundredths more than the mean of the hot load before it gives a leader away.
    pub hot_tolerance_percent: u64,
    /// A store that reports this slowness, 1 to 100, loses its leaders.
    pub slow_score_evict: u64,
    /// A slow store is well again at this slowness.
    pub slow_score_recover: u64,
    /// How often schedulers look for something to do, at most; ten times less often while there is nothing.
    pub tick: Duration,
}

/// What the balance of regions makes even between stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BalanceBy {
    /// The number of peers.
    Count,
    /// The size of all peers, as reported by their leaders.
    Size,
}

/// How many replicas regions have, and how far apart, where no placement rule says otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicationConfig {
    /// Voters of a region.
    pub max_replicas: usize,
    /// Keys of the labels that tell where a store is, from the widest (zone) to the narrowest (host): peers go as far apart as they can.
    pub location_labels: Vec<String>,
    /// Whether a store that lacks one of these labels gets no peers.
    pub strictly_match_labels: bool,
}

impl Default for ReplicationConfig {
    fn default() -> Self {
        Self { max_replicas: 3, location_labels: Vec::new(), strictly_match_labels: false }
    }
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        Self {
            moves_max: 4,
            moves_per_store_minute_max: 15,
            store_silence_max: Duration::from_secs(30),
            move_patience: Duration::from_secs(60),
            merges_max: 8,
            merge_region_bytes_max: 20 << 20,
            merge_region_keys_max: 200_000,
            split_merge_interval: Duration::from_secs(3600),
            replicated: false,
            repairs_max: 64,
            leader_moves_max: 8,
            hot_moves_max: 2,
            store_adds_max: 8,
            store_removes_max: 16,
            store_snapshots_max: 64,
            store_down_max: Duration::from_secs(1800),
            peer_patience: Duration::from_secs(600),
            leader_patience: Duration::from_secs(30),
            free_percent_min: 20,
            balance_by: BalanceBy::Count,
            balance_tolerance: 3,
            hot_load_min: 64 << 10,
            hot_tolerance_percent: 20,
            slow_score_evict: 80,
            slow_score_recover: 20,
            tick: Duration::from_millis(100),
        }
    }
}
