//! The settings file of the placement driver; names are PD's where the meaning is.

use std::path::PathBuf;
use std::time::Duration;

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
    /// A store not heard of for this long gets no regions.
    pub max_store_down_time: Span,
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
        Self { region_schedule_limit: config.moves_max, max_store_down_time: Span(config.store_silence_max) }
    }
}

impl From<Schedule> for ScheduleConfig {
    fn from(schedule: Schedule) -> Self {
        let Span(store_silence_max): Span = schedule.max_store_down_time;
        let store_silence_max: Duration = store_silence_max;
        Self { moves_max: schedule.region_schedule_limit, store_silence_max, ..Self::default() }
    }
}
