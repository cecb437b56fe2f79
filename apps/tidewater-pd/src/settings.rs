//! The settings file of the placement driver; names are PD's where the meaning is.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tidewater_daemon::{LogSettings, Span};
use tidewater_pd::ScheduleConfig;
use tidewater_rpc::Security;

/// All settings of the placement driver.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Settings {
    /// This member's name.
    pub name: String,
    /// Folder of the data.
    pub data_dir: PathBuf,
    /// Where to listen, as a URL.
    pub client_urls: String,
    /// Where clients find this member; empty: where it listens.
    pub advertise_client_urls: String,
    /// Logs.
    pub log: LogSettings,
    /// TLS between components.
    pub security: Security,
    /// How regions are placed.
    pub schedule: Schedule,
}

/// How regions are placed.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Schedule {
    /// Regions that move at the same time; 0 leaves regions where they are.
    pub region_schedule_limit: usize,
    /// Regions that leave one store, or come to it, within a minute; 0 leaves regions where they are.
    pub store_limit: u32,
    /// A store not heard of for this long gets no regions.
    pub max_store_down_time: Span,
    /// Regions that are merged at the same time; 0 merges none.
    pub merge_schedule_limit: usize,
    /// Neighbors are merged if they are not larger than this together, in MiB; 0 merges none.
    pub max_merge_region_size: u64,
    /// Neighbors are merged if they do not have more keys than this together; 0 merges none.
    pub max_merge_region_keys: u64,
    /// For so long after a split, and after the start of the placement driver, regions are not merged.
    pub split_merge_interval: Span,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: "pd".to_owned(),
            data_dir: "./tidewater-pd".into(),
            client_urls: "http://127.0.0.1:2379".to_owned(),
            advertise_client_urls: String::new(),
            log: LogSettings::default(),
            security: Security::default(),
            schedule: Schedule::default(),
        }
    }
}

impl Default for Schedule {
    fn default() -> Self {
        let config = ScheduleConfig::default();
        Self {
            region_schedule_limit: config.moves_max,
            store_limit: config.moves_per_store_minute_max,
            max_store_down_time: Span(config.store_silence_max),
            merge_schedule_limit: config.merges_max,
            max_merge_region_size: config.merge_region_bytes_max >> 20,
            max_merge_region_keys: config.merge_region_keys_max,
            split_merge_interval: Span(config.split_merge_interval),
        }
    }
}

impl From<Schedule> for ScheduleConfig {
    fn from(schedule: Schedule) -> Self {
        Self {
            moves_max: schedule.region_schedule_limit,
            moves_per_store_minute_max: schedule.store_limit,
            store_silence_max: schedule.max_store_down_time.0,
            merges_max: schedule.merge_schedule_limit,
            merge_region_bytes_max: schedule.max_merge_region_size.saturating_mul(1 << 20),
            merge_region_keys_max: schedule.max_merge_region_keys,
            split_merge_interval: schedule.split_merge_interval.0,
            ..Self::default()
        }
    }
}
