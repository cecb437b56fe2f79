//! The settings file of the placement driver; names are PD's where the meaning is.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use tidewater_daemon::{LogSettings, Span};
use tidewater_pd::{MemberConfig, PdConfig, ReplicationConfig, ScheduleConfig};
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
    /// Where to listen for the other members, as a URL; empty: where clients are listened for.
    pub peer_urls: String,
    /// Where the other members find this one; empty: where it listens.
    pub advertise_peer_urls: String,
    /// The members a new cluster begins with, as `name=peer-url,...`; empty: this one alone.
    pub initial_cluster: String,
    /// Tells clusters apart that begin with the same members.
    pub initial_cluster_token: String,
    /// Peer URLs of a running cluster that a member without data is to join, separated by commas.
    pub join: String,
    /// Logs.
    pub log: LogSettings,
    /// TLS between components.
    pub security: Security,
    /// How regions are placed.
    pub schedule: Schedule,
    /// How many copies they have.
    pub replication: Replication,
}

/// How many copies regions have, and how far apart.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Replication {
    /// Copies of each region. With 1 the stores do not replicate (`raftstore.replicated = false`), and regions move whole.
    pub max_replicas: usize,
    /// Labels of stores that tell where they are, from the widest to the narrowest, as `zone`, `host`.
    pub location_labels: Vec<String>,
    /// Whether a store that lacks one of these labels gets no copies.
    pub strictly_match_label: bool,
}

impl Default for Replication {
    fn default() -> Self {
        let config = ReplicationConfig::default();
        Self {
            max_replicas: config.max_replicas,
            location_labels: config.location_labels,
            strictly_match_label: config.strictly_match_labels,
        }
    }
}

/// How regions are placed.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Schedule {
    /// Regions that move at the same time; 0 leaves regions where they are.
    pub region_schedule_limit: usize,
    /// Unreplicated regions that leave one store, or come to it, within a minute; 0 leaves regions where they are.
    pub store_limit: u32,
    /// A store not heard of for this long is given up: its regions get copies elsewhere.
    pub max_store_down_time: Span,
    /// Regions that are merged at the same time; 0 merges none.
    pub merge_schedule_limit: usize,
    /// Neighbors are merged if they are not larger than this together, in MiB; 0 merges none.
    pub max_merge_region_size: u64,
    /// Neighbors are merged if they do not have more keys than this together; 0 merges none.
    pub max_merge_region_keys: u64,
    /// A store whose disk is fuller than this part of it gets no copies, from 0 to 1.
    pub low_space_ratio: f64,
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
            peer_urls: String::new(),
            advertise_peer_urls: String::new(),
            initial_cluster: String::new(),
            initial_cluster_token: "pd-cluster".to_owned(),
            join: String::new(),
            log: LogSettings::default(),
            security: Security::default(),
            schedule: Schedule::default(),
            replication: Replication::default(),
        }
    }
}

impl Settings {
    /// How the driver schedules.
    pub fn schedule(&self) -> ScheduleConfig {
        let replicated = self.replication.max_replicas > 1;
        ScheduleConfig { replicated, ..self.schedule.into() }
    }

    /// How many copies it sees to.
    pub fn replication(&self) -> ReplicationConfig {
        ReplicationConfig {
            max_replicas: self.replication.max_replicas,
            location_labels: self.replication.location_labels.clone(),
            strictly_match_labels: self.replication.strictly_match_label,
        }
    }
}

impl Settings {
    /// What they say about a member that was bound to these URLs.
    pub fn member(&self, client_url: &str, peer_url: &str) -> anyhow::Result<MemberConfig> {
        let mut config = MemberConfig::alone(&self.name, peer_url);
        config.client_urls = vec![client_url.to_owned()];
        if !self.initial_cluster.is_empty() {
            ensure!(self.join.is_empty(), "of initial-cluster and join only one can be given");
            config.initial_cluster = parse_members(&self.initial_cluster)?;
        }
        config.initial_cluster_token.clone_from(&self.initial_cluster_token);
        config.join = urls(&self.join).collect();
        config.pd =
            PdConfig { schedule: self.schedule(), replication: self.replication(), ..PdConfig::default() };
        Ok(config)
    }
}

fn urls(text: &str) -> impl Iterator<Item = String> {
    text.split(',').map(|url| url.trim().trim_end_matches('/').to_owned()).filter(|url| !url.is_empty())
}

fn parse_members(text: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let mut members = BTreeMap::new();
    for member in urls(text) {
        let (name, url) =
            member.split_once('=').with_context(|| format!("initial-cluster: {member:?} is not NAME=URL"))?;
        ensure!(!name.is_empty() && url.contains("://"), "initial-cluster: {member:?} is not NAME=URL");
        let before = members.insert(name.to_owned(), url.to_owned());
        ensure!(
            before.is_none(),
            "initial-cluster: the name {name:?} is there twice; each member needs its own"
        );
    }
    Ok(members)
}

impl Default for Schedule {
    fn default() -> Self {
        let config = ScheduleConfig::default();
        Self {
            region_schedule_limit: config.moves_max,
            store_limit: config.moves_per_store_minute_max,
            max_store_down_time: Span(config.store_down_max),
            merge_schedule_limit: config.merges_max,
            max_merge_region_size: config.merge_region_bytes_max >> 20,
            max_merge_region_keys: config.merge_region_keys_max,
            low_space_ratio: 1.0 - config.free_percent_min as f64 / 100.0,
            split_merge_interval: Span(config.split_merge_interval),
        }
    }
}

impl From<Schedule> for ScheduleConfig {
    fn from(schedule: Schedule) -> Self {
        Self {
            moves_max: schedule.region_schedule_limit,
            moves_per_store_minute_max: schedule.store_limit,
            store_down_max: schedule.max_store_down_time.0,
            merges_max: schedule.merge_schedule_limit,
            merge_region_bytes_max: schedule.max_merge_region_size.saturating_mul(1 << 20),
            merge_region_keys_max: schedule.max_merge_region_keys,
            free_percent_min: ((1.0 - schedule.low_space_ratio.clamp(0.0, 1.0)) * 100.0).round() as u64,
            split_merge_interval: schedule.split_merge_interval.0,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_named_once_and_have_urls() {
        let good = parse_members("a=http://one:1, b=http://two:2/").unwrap();
        assert_eq!(good["a"], "http://one:1");
        assert_eq!(good["b"], "http://two:2");
        for (bad, word) in [
            ("a=http://one,a=http://two", "twice"),
            ("a", "not NAME=URL"),
            ("=http://x", "not NAME=URL"),
            ("a=one:1", "not NAME=URL"),
        ] {
            let error = parse_members(bad).unwrap_err().to_string();
            assert!(error.contains(word), "{bad}: {error}");
        }
    }
}
