//! What the driver knows of the cluster, loaded from and kept in the storage.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use tidewater_proto::{keyspacepb::KeyspaceMeta, metapb, pdpb};

use crate::keyspaces::Keyspaces;
use crate::regions::{Change, RegionRecord, RegionTree};
use crate::safe_point::{Claim, SafePoints};
use crate::schedule::{PlacementRule, Rest, Rules, SchedulerKind};
use crate::storage::Batch;
use crate::weights::StoreWeights;
use crate::{OpenError, records};

#[derive(Debug, Default)]
pub(crate) struct Cluster {
    pub(crate) bootstrapped: bool,
    pub(crate) stores: BTreeMap<u64, StoreRecord>,
    pub(crate) regions: RegionTree,
    pub(crate) safe_points: SafePoints,
    pub(crate) keyspaces: Keyspaces,
    pub(crate) rules: Rules,
    /// Stores whose leaders go elsewhere because somebody said so.
    pub(crate) evicting: BTreeSet<u64>,
    /// What was set by hand, by name.
    pub(crate) settings: BTreeMap<String, String>,
    /// Stores that are not to have the same as others.
    pub(crate) weights: BTreeMap<u64, StoreWeights>,
    /// Schedulers that were removed or paused by hand.
    pub(crate) resting: BTreeMap<SchedulerKind, Rest>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct StoreRecord {
    pub(crate) store: metapb::Store,
    /// As last reported; not kept over restarts.
    pub(crate) stats: Option<pdpb::StoreStats>,
    /// The last sign of life in this run of the driver, whichever call brought it; 0 if there was none.
    pub(crate) heard_micros: i64,
}

impl StoreRecord {
    /// Whether regions may be put on the store: it is up and was heard of lately.
    pub(crate) fn takes_regions(&self, now_micros: i64, silence_max: Duration) -> bool {
        let silence_max = i64::try_from(silence_max.as_micros()).unwrap_or(i64::MAX);
        let heard = self.store.last_heartbeat / 1_000;
        self.stats.is_some()
            && self.store.state() == metapb::StoreState::Up
            && now_micros.saturating_sub(heard) <= silence_max
    }
}

/// The numbers that live beside the cluster.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) cluster_id: Option<u64>,
    pub(crate) tso_window: u64,
    pub(crate) id_bound: u64,
}

/// A change to the cluster, first made durable and then applied.
#[derive(Debug)]
pub(crate) enum Update {
    Bootstrapped,
    Store(metapb::Store),
    Region(Change),
    GcSafePoint(u64),
    Service { id: Bytes, claim: Option<Claim> },
    Keyspace(KeyspaceMeta),
    Rule { id: String, rule: Option<PlacementRule> },
    Evicting { store_id: u64, on: bool },
    Setting { name: String, value: Option<String> },
    Weights { store_id: u64, weights: StoreWeights },
    Resting { kind: SchedulerKind, rest: Option<Rest> },
}

impl Update {
    /// Ids of the regions that this takes away.
    pub(crate) fn removed_regions(&self) -> &[u64] {
        match self {
            Self::Region(change) => &change.remove,
            _ => &[],
        }
    }

    pub(crate) fn write_to(&self, batch: &mut Batch) {
        match self {
            Self::Bootstrapped => {
                batch.push((records::BOOTSTRAPPED.to_owned(), Some(records::encode_u64(1))))
            }
            Self::Store(store) => batch.push((records::store(store.id), Some(store.encode_to_vec()))),
            Self::Region(change) => {
                batch.extend(change.remove.iter().map(|&id| (records::region(id), None)));
                let RegionRecord { region, leader } = &*change.install;
                batch.push((
                    records::region(region.id),
                    Some(records::encode_region(region, leader.as_ref())),
                ));
            }
            Self::GcSafePoint(safe_point) => {
                batch.push((records::GC_SAFE_POINT.to_owned(), Some(records::encode_u64(*safe_point))));
            }
            Self::Service { id, claim } => {
                let value =
                    claim.map(|claim| records::encode_service(id, claim.safe_point, claim.expires_micros));
                batch.push((records::service(id), value));
            }
            Self::Keyspace(keyspace) => {
                batch.push((records::keyspace(keyspace.id), Some(keyspace.encode_to_vec())));
            }
            Self::Rule { id, rule } => {
                batch.push((records::rule(id), rule.as_ref().map(records::encode_rule)));
            }
            Self::Evicting { store_id, on } => {
                batch.push((records::evicting(*store_id), on.then(|| records::encode_u64(*store_id))));
            }
            Self::Setting { name, value } => {
                batch.push((records::setting(name), value.clone().map(String::into_bytes)));
            }
            Self::Weights { store_id, weights } => {
                let is_usual = *weights == StoreWeights::default();
                let value = (!is_usual).then(|| records::encode_weights(*weights));
                batch.push((records::weights(*store_id), value));
            }
            Self::Resting { kind, rest } => {
                batch.push((records::resting(*kind), rest.map(records::encode_rest)));
            }
        }
    }
}

impl Cluster {
    pub(crate) fn apply(&mut self, update: Update) {
        match update {
            Update::Bootstrapped => self.bootstrapped = true,
            Update::Store(store) => {
                let id = store.id;
                self.stores.entry(id).or_default().store = store;
            }
            Update::Region(change) => self.regions.apply(&change),
            Update::GcSafePoint(safe_point) => self.safe_points.gc = safe_point,
            Update::Service { id, claim: Some(claim) } => {
                self.safe_points.services.insert(id.to_vec(), claim);
            }
            Update::Service { id, claim: None } => {
                self.safe_points.services.remove(&id[..]);
            }
            Update::Keyspace(keyspace) => self.keyspaces.insert(keyspace),
            Update::Rule { rule: Some(rule), .. } => self.rules.insert(rule),
            Update::Rule { id, rule: None } => self.rules.remove(&id),
            Update::Evicting { store_id, on: true } => {
                self.evicting.insert(store_id);
            }
            Update::Evicting { store_id, on: false } => {
                self.evicting.remove(&store_id);
            }
            Update::Setting { name, value: Some(value) } => {
                self.settings.insert(name, value);
            }
            Update::Setting { name, value: None } => {
                self.settings.remove(&name);
            }
            Update::Weights { store_id, weights } => {
                self.weights.insert(store_id, weights);
            }
            Update::Resting { kind, rest: Some(rest) } => {
                self.resting.insert(kind, rest);
            }
            Update::Resting { kind, rest: None } => {
                self.resting.remove(&kind);
            }
        }
    }

    pub(crate) fn weights_of(&self, store_id: u64) -> StoreWeights {
        self.weights.get(&store_id).copied().unwrap_or_default()
    }

    /// Rebuilds the cluster from its records. Records of unknown names are skipped: a later version may add some.
    pub(crate) fn load(stored: &BTreeMap<String, Vec<u8>>) -> Result<(Self, Counters), OpenError> {
        let mut cluster = Self::default();
        let mut counters = Counters::default();
        for (name, value) in stored {
            match name.as_str() {
                records::CLUSTER_ID => counters.cluster_id = Some(records::decode_u64(name, value)?),
                records::TSO_WINDOW => counters.tso_window = records::decode_u64(name, value)?,
                records::ID_BOUND => counters.id_bound = records::decode_u64(name, value)?,
                records::BOOTSTRAPPED => cluster.bootstrapped = true,
                records::GC_SAFE_POINT => cluster.safe_points.gc = records::decode_u64(name, value)?,
                _ if name.starts_with(records::STORE_PREFIX) => {
                    cluster.apply(Update::Store(records::decode_store(name, value)?));
                }
                _ if name.starts_with(records::REGION_PREFIX) => {
                    let (region, leader) = records::decode_region(name, value)?;
                    cluster.load_region(RegionRecord { region, leader });
                }
                _ if name.starts_with(records::KEYSPACE_PREFIX) => {
                    cluster.apply(Update::Keyspace(records::decode_keyspace(name, value)?));
                }
                _ if name.starts_with(records::RULE_PREFIX) => {
                    cluster.rules.insert(records::decode_rule(name, value)?);
                }
                _ if name.starts_with(records::EVICTING_PREFIX) => {
                    cluster.evicting.insert(records::decode_u64(name, value)?);
                }
                _ if name.starts_with(records::SETTING_PREFIX) => {
                    let setting = name.trim_start_matches(records::SETTING_PREFIX).to_owned();
                    cluster.settings.insert(setting, records::decode_text(name, value)?);
                }
                _ if name.starts_with(records::WEIGHTS_PREFIX) => {
                    let (store_id, weights) = records::decode_weights(name, value)?;
                    cluster.weights.insert(store_id, weights);
                }
                _ if name.starts_with(records::RESTING_PREFIX) => match records::decode_rest(name, value)? {
                    Some((kind, rest)) => drop(cluster.resting.insert(kind, rest)),
                    None => tracing::warn!(record = %name, "a stored scheduler is not known"),
                },
                _ if name.starts_with(records::SERVICE_PREFIX) => {
                    let (id, safe_point, expires_micros) = records::decode_service(name, value)?;
                    cluster.safe_points.services.insert(id, Claim { safe_point, expires_micros });
                }
                // They are loaded by their own.
                _ if name.starts_with(crate::key_values::PREFIX) => {}
                _ => tracing::warn!(record = %name, "unknown record of the placement driver skipped"),
            }
        }
        Ok((cluster, counters))
    }

    fn load_region(&mut self, record: RegionRecord) {
        let id = record.region.id;
        match self.regions.check(record) {
            Ok(Some(change)) => self.regions.apply(&change),
            Ok(None) => {}
            Err(stale) => {
                tracing::warn!(region = id, newer = stale.newer_id, "a stored region is out of date")
            }
        }
    }
}
