use std::time::Duration;

pub use crate::balance::ScheduleConfig;

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
}

impl Default for PdConfig {
    fn default() -> Self {
        Self {
            cluster_id: None,
            tso: TsoConfig::default(),
            id_step: 1_000,
            schedule: ScheduleConfig::default(),
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
