//! The settings that can be changed while the driver runs: by PD's names, as text, and kept over restarts.
//!
//! What was set here comes before what the driver was opened with, as in PD: all members of a cluster place regions alike, whoever leads,
//! whatever their files say.

use std::collections::BTreeMap;
use std::time::Duration;

use tidewater_proto::PdError;
use tidewater_types::span_text;

use crate::{ReplicationConfig, ScheduleConfig};

/// Most copies of a region that can be asked for.
const REPLICAS_MAX: usize = 9;
/// Most labels that tell where a store is.
const LOCATION_LABELS_MAX: usize = 8;
/// The longest span that can be set.
const SPAN_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// The part of the settings that one belongs to, as PD divides them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingSection {
    /// How regions are placed.
    Schedule,
    /// How many copies they have.
    Replication,
}

/// The value of a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettingValue {
    /// A count, or a size in the unit that the setting's name implies.
    Number(u64),
    /// Hundredths.
    Ratio(u64),
    /// Yes or no.
    Flag(bool),
    /// Anything else; spans of time as `1h30m0s`.
    Text(String),
}

/// All of them.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) schedule: ScheduleConfig,
    pub(crate) replication: ReplicationConfig,
}

/// One of them.
struct Setting {
    section: SettingSection,
    name: &'static str,
    get: fn(&Settings) -> SettingValue,
    set: fn(&mut Settings, &str) -> Result<(), String>,
}

macro_rules! count {
    ($name:literal, $field:ident) => {
        Setting {
            section: SettingSection::Schedule,
            name: $name,
            get: |settings| SettingValue::Number(settings.schedule.$field as u64),
            set: |settings, text| put(&mut settings.schedule.$field, number(text)),
        }
    };
}

macro_rules! span {
    ($name:literal, $field:ident) => {
        Setting {
            section: SettingSection::Schedule,
            name: $name,
            get: |settings| SettingValue::Text(span_text(settings.schedule.$field)),
            set: |settings, text| put(&mut settings.schedule.$field, parse_span(text)),
        }
    };
}

const SETTINGS: &[Setting] = &[
    count!("leader-schedule-limit", leader_moves_max),
    count!("region-schedule-limit", moves_max),
    count!("replica-schedule-limit", repairs_max),
    count!("hot-region-schedule-limit", hot_moves_max),
    count!("merge-schedule-limit", merges_max),
    Setting {
        section: SettingSection::Schedule,
        name: "max-merge-region-size",
        get: |settings| SettingValue::Number(settings.schedule.merge_region_bytes_max >> 20),
        set: |settings, text| {
            let mebibytes: u64 = number(text)?;
            let bytes = mebibytes.checked_mul(1 << 20).ok_or_else(|| format!("{text} MiB are too many"));
            put(&mut settings.schedule.merge_region_bytes_max, bytes)
        },
    },
    count!("max-merge-region-keys", merge_region_keys_max),
    span!("split-merge-interval", split_merge_interval),
    span!("max-store-down-time", store_down_max),
    count!("max-snapshot-count", store_snapshots_max),
    count!("store-limit", moves_per_store_minute_max),
    Setting {
        section: SettingSection::Schedule,
        name: "low-space-ratio",
        get: |settings| SettingValue::Ratio(100u64.saturating_sub(settings.schedule.free_percent_min)),
        set: |settings, text| {
            put(&mut settings.schedule.free_percent_min, hundredths(text).map(|used| 100 - used))
        },
    },
    Setting {
        section: SettingSection::Replication,
        name: "max-replicas",
        get: |settings| SettingValue::Number(settings.replication.max_replicas as u64),
        set: |settings, text| match number(text)? {
            count @ 1..=REPLICAS_MAX => put(&mut settings.replication.max_replicas, Ok(count)),
            _ => Err(format!("between 1 and {REPLICAS_MAX} copies are kept")),
        },
    },
    Setting {
        section: SettingSection::Replication,
        name: "location-labels",
        get: |settings| SettingValue::Text(settings.replication.location_labels.join(",")),
        set: |settings, text| put(&mut settings.replication.location_labels, parse_labels(text)),
    },
    Setting {
        section: SettingSection::Replication,
        name: "strictly-match-label",
        get: |settings| SettingValue::Flag(settings.replication.strictly_match_labels),
        set: |settings, text| {
            let flag = text.parse().map_err(|_| format!("{text:?} is neither true nor false"));
            put(&mut settings.replication.strictly_match_labels, flag)
        },
    },
];

impl Settings {
    /// All settings by name, in the order in which they are shown.
    pub(crate) fn list(&self) -> Vec<(SettingSection, &'static str, SettingValue)> {
        SETTINGS.iter().map(|setting| (setting.section, setting.name, (setting.get)(self))).collect()
    }

    /// Changes one; the error says what is wrong.
    pub(crate) fn set(&mut self, name: &str, text: &str) -> Result<(), PdError> {
        let refuse = |reason: String| PdError::InvalidValue { reason };
        let setting = SETTINGS.iter().find(|setting| setting.name == name).ok_or_else(|| {
            let names: Vec<_> = SETTINGS.iter().map(|setting| setting.name).collect();
            refuse(format!("there is no setting {name:?}; there are {}", names.join(", ")))
        })?;
        let before = self.clone();
        (setting.set)(self, text.trim()).map_err(|fault| refuse(format!("{name}: {fault}")))?;
        let replicates = self.replication.max_replicas > before.replication.max_replicas;
        if replicates && !self.schedule.replicated {
            return Err(refuse(format!(
                "{name}: the stores of this cluster keep single copies; they and the placement driver must be started for more"
            )));
        }
        Ok(())
    }

    /// These with what was set by hand. What is not known, or of no use any more, is left out: another version may have set it.
    pub(crate) fn with(&self, set: &BTreeMap<String, String>) -> Self {
        let mut settings = self.clone();
        for (name, text) in set {
            let mut changed = settings.clone();
            match changed.set(name, text) {
                Ok(()) => settings = changed,
                Err(error) => tracing::warn!(%name, %text, %error, "a stored setting is not used"),
            }
        }
        settings
    }
}

fn put<T>(place: &mut T, value: Result<T, String>) -> Result<(), String> {
    *place = value?;
    Ok(())
}

fn number<N: std::str::FromStr>(text: &str) -> Result<N, String> {
    text.parse().map_err(|_| format!("{text:?} is not a number that fits"))
}

/// A ratio between 0 and 1, in hundredths.
fn hundredths(text: &str) -> Result<u64, String> {
    let ratio: f64 = text.parse().map_err(|_| format!("{text:?} is not a ratio"))?;
    match (0.0..=1.0).contains(&ratio) {
        true => Ok((ratio * 100.0).round() as u64),
        false => Err(format!("{text} is not between 0 and 1")),
    }
}

fn parse_labels(text: &str) -> Result<Vec<String>, String> {
    let labels = text.split(',').map(str::trim).filter(|label| !label.is_empty());
    let labels: Vec<_> = labels.map(str::to_owned).collect();
    match labels.len() {
        0..=LOCATION_LABELS_MAX => Ok(labels),
        _ => Err(format!("more than {LOCATION_LABELS_MAX} labels")),
    }
}

/// Numbers with the units `h`, `m` and `s`, such as `90s` and `1h30m`.
fn parse_span(text: &str) -> Result<Duration, String> {
    let fault = || format!("{text:?} is not a span of time such as 90s or 1h30m");
    let (mut seconds, mut rest) = (0u64, text);
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit()).ok_or_else(fault)?;
        let count: u64 = rest[..digits].parse().map_err(|_| fault())?;
        let unit = match rest.as_bytes()[digits] {
            b'h' => 3600,
            b'm' => 60,
            b's' => 1,
            _ => return Err(fault()),
        };
        seconds = count.checked_mul(unit).and_then(|part| part.checked_add(seconds)).ok_or_else(fault)?;
        rest = &rest[digits + 1..];
    }
    let span = Duration::from_secs(seconds);
    match !text.is_empty() && span <= SPAN_MAX {
        true => Ok(span),
        false => Err(fault()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(replicated: bool) -> Settings {
        let max_replicas = if replicated { 3 } else { 1 };
        Settings {
            schedule: ScheduleConfig { replicated, merges_max: 0, ..ScheduleConfig::default() },
            replication: ReplicationConfig { max_replicas, ..ReplicationConfig::default() },
        }
    }

    fn text(value: &SettingValue) -> String {
        match value {
            SettingValue::Number(number) => number.to_string(),
            SettingValue::Ratio(hundredths) => format!("{}", *hundredths as f64 / 100.0),
            SettingValue::Flag(flag) => flag.to_string(),
            SettingValue::Text(text) => text.clone(),
        }
    }

    #[test]
    fn each_setting_takes_what_it_shows() {
        let shown = settings(true).list();
        let mut other = settings(true);
        other.schedule.leader_moves_max = 99;
        other.schedule.free_percent_min = 1;
        for (_, name, value) in &shown {
            other.set(name, &text(value)).unwrap();
        }
        assert_eq!(other.list(), shown);
    }

    #[test]
    fn what_cannot_be_is_refused_and_says_why() {
        for (name, value, word) in [
            ("none", "1", "leader-schedule-limit"),
            ("leader-schedule-limit", "-1", "not a number"),
            ("max-replicas", "0", "between 1 and 9"),
            ("low-space-ratio", "1.5", "between 0 and 1"),
            ("max-store-down-time", "1 day", "span of time"),
            ("max-store-down-time", "", "span of time"),
            ("split-merge-interval", "99999999h", "span of time"),
            ("max-merge-region-size", "18446744073709551615", "too many"),
            ("strictly-match-label", "perhaps", "neither"),
        ] {
            let error = settings(true).set(name, value).unwrap_err().to_string();
            assert!(error.contains(word), "{name} = {value}: {error}");
        }
        let error = settings(false).set("max-replicas", "3").unwrap_err().to_string();
        assert!(error.contains("single copies"), "{error}");
    }

    #[test]
    fn spans_are_written_as_in_go() {
        for (text, shown) in [("90s", "1m30s"), ("1h30m", "1h30m0s"), ("59s", "59s"), ("0s", "0s")] {
            assert_eq!(span_text(parse_span(text).unwrap()), shown);
        }
    }
}
