//! For people and their tools: what the cluster looks like to the driver, and changes by hand.

use std::time::Duration;

use bytes::Bytes;
use tidewater_proto::{PdError, metapb, pdpb};

use super::checks::{invalid, is_tombstone};
use super::{PlacementDriver, Plans};
use crate::cluster::Update;
use crate::schedule::{
    self, OperatorKind, OperatorResult, PlacementRule, ReplicaRole, Rest, SchedulerKind, Step,
};
use crate::settings::{SettingSection, SettingValue, Settings};
use crate::weights::{StoreWeights, WEIGHT_MAX, Weight};
use crate::{ReplicationConfig, ScheduleConfig};

/// Most bytes of a label's key, and of its value.
const LABEL_BYTES_MAX: usize = 63;

/// Whether a store is a part of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreState {
    /// It is.
    Up,
    /// It is being emptied.
    Offline,
    /// It was emptied and is no more.
    Tombstone,
}

/// A store as the driver sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoreInfo {
    /// Its id.
    pub id: u64,
    /// Where it is reached.
    pub address: String,
    /// Where its status page is; empty if it has not told.
    pub status_address: String,
    /// Of its program.
    pub version: String,
    /// When it started, in seconds since 1970; 0 if it has not told.
    pub start_seconds: i64,
    /// Whether it is a part of the cluster.
    pub state: StoreState,
    /// Whether it was heard of lately.
    pub is_alive: bool,
    /// Whether it was silent so long that its peers count as lost.
    pub is_lost: bool,
    /// Keys and values.
    pub labels: Vec<(String, String)>,
    /// Peers on it, leaders too.
    pub region_count: usize,
    /// Regions it leads.
    pub leader_count: usize,
    /// Mebibytes of the regions with a peer on it.
    pub region_mebibytes: u64,
    /// Mebibytes of the regions it leads.
    pub leader_mebibytes: u64,
    /// What part of the leaders it is to have beside others, which have 1.
    pub leader_weight: f64,
    /// What part of the regions it is to have beside others, which have 1.
    pub region_weight: f64,
    /// What the balance of regions compares: peers or mebibytes, with the running operators carried out, divided by the weight.
    pub region_score: i64,
    /// What the balance of leaders compares: leaders, with the running operators carried out, divided by the weight.
    pub leader_score: i64,
    /// Bytes per second of the hot regions it leads.
    pub hot_load: u64,
    /// Bytes it can hold, as it reports; 0 if it does not.
    pub capacity: u64,
    /// Bytes it has free, as it reports.
    pub available: u64,
    /// Bytes it holds, as it reports.
    pub used: u64,
    /// How slow it finds itself, 1 to 100; 0 if it does not tell.
    pub slow_score: u64,
    /// Whether leaders are kept off it: by hand, or because it is slow.
    pub evicts_leaders: bool,
    /// Its last sign of life, in microseconds since 1970; 0 if there was none since the driver was opened.
    pub heard_micros: i64,
}

/// A peer of a region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerInfo {
    /// Its id.
    pub id: u64,
    /// Where it is.
    pub store_id: u64,
    /// What it does.
    pub role: ReplicaRole,
    /// Whether it keeps up with the leader, by the leader's word.
    pub is_caught_up: bool,
    /// For how many seconds the leader has not heard of it; 0 if it does.
    pub down_seconds: u64,
}

/// A region as the driver sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegionInfo {
    /// Its id.
    pub id: u64,
    /// Its first key, encoded.
    pub start_key: Bytes,
    /// Its end, encoded, exclusive; empty is unbounded.
    pub end_key: Bytes,
    /// Counts changes of its range.
    pub version: u64,
    /// Counts changes of its members.
    pub conf_ver: u64,
    /// Who is in it.
    pub peers: Vec<PeerInfo>,
    /// The store that leads it.
    pub leader_store: Option<u64>,
    /// Its size; 0 if not known.
    pub mebibytes: u64,
    /// Its keys, as its leader estimates.
    pub keys: u64,
    /// A mean over about a minute of what is read, in bytes per second, with 100 bytes for a key.
    pub read_load: u64,
    /// The same of what is written.
    pub write_load: u64,
    /// Bytes read between its last two reports.
    pub bytes_read: u64,
    /// Bytes written between its last two reports.
    pub bytes_written: u64,
}

/// A running operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorInfo {
    /// Whom it changes.
    pub region_id: u64,
    /// Why it exists.
    pub kind: OperatorKind,
    /// Why, in words.
    pub reason: &'static str,
    /// All its steps.
    pub steps: Vec<Step>,
    /// How many of them are done.
    pub steps_done: usize,
    /// When it began, in microseconds since 1970.
    pub created_micros: i64,
    /// When it is given up, in microseconds since 1970.
    pub deadline_micros: i64,
}

/// An operator that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinishedOperator {
    /// What it was.
    pub operator: OperatorInfo,
    /// What became of it.
    pub result: OperatorResult,
    /// When, in microseconds since 1970.
    pub ended_micros: i64,
}

/// A scheduler that was not removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SchedulerInfo {
    /// Which.
    pub kind: SchedulerKind,
    /// Until when it is paused, in microseconds since 1970; `None` if it runs.
    pub paused_until_micros: Option<i64>,
}

/// A region that does much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HotRegion {
    /// Its id.
    pub region_id: u64,
    /// The store that leads it.
    pub leader_store: u64,
    /// Bytes per second, with 100 bytes for a key, read and written.
    pub load: u64,
}

impl PlacementDriver {
    /// All stores, with tombstones, by id.
    pub fn stores(&self) -> Vec<StoreInfo> {
        let (plans, cluster) = (self.plans.lock(), self.cluster.read());
        let ctx = plans.coordinator.context(&plans.config, &cluster, self.clock.now_micros());
        let info = |(&id, record): (&u64, &crate::cluster::StoreRecord)| {
            let (regions, stats) = (cluster.regions.of_store(id), record.stats.clone().unwrap_or_default());
            StoreInfo {
                id,
                address: record.store.address.clone(),
                status_address: record.store.status_address.clone(),
                version: record.store.version.clone(),
                start_seconds: record.store.start_timestamp,
                state: match record.store.state() {
                    metapb::StoreState::Up => StoreState::Up,
                    metapb::StoreState::Offline => StoreState::Offline,
                    metapb::StoreState::Tombstone => StoreState::Tombstone,
                },
                is_alive: ctx.is_alive(id),
                is_lost: ctx.is_lost(id),
                labels: record
                    .store
                    .labels
                    .iter()
                    .map(|label| (label.key.clone(), label.value.clone()))
                    .collect(),
                region_count: regions.map_or(0, |regions| regions.peers.len()),
                leader_count: cluster.regions.led_by(id),
                region_mebibytes: regions.map_or(0, |regions| regions.mebibytes),
                leader_mebibytes: cluster.regions.mebibytes_led_by(id),
                leader_weight: cluster.weights_of(id).leader.as_f64(),
                region_weight: cluster.weights_of(id).region.as_f64(),
                region_score: ctx.region_score(id),
                leader_score: ctx.leader_score(id),
                hot_load: ctx.statuses.hot_load(id),
                capacity: stats.capacity,
                available: stats.available,
                used: stats.used_size,
                slow_score: stats.slow_score,
                evicts_leaders: cluster.evicting.contains(&id) || ctx.slow_store == Some(id),
                heard_micros: record.heard_micros,
            }
        };
        cluster.stores.iter().map(info).collect()
    }

    /// Regions that intersect a range of encoded keys, in key order, `limit` at most; an empty end is unbounded.
    pub fn regions(&self, start_key: &[u8], end_key: &[u8], limit: usize) -> Vec<RegionInfo> {
        let (plans, cluster) = (self.plans.lock(), self.cluster.read());
        let records = cluster.regions.scan(start_key, end_key).take(limit);
        records.map(|record| region_info(&plans, &cluster, record)).collect()
    }

    /// A region by its id.
    pub fn region(&self, region_id: u64) -> Option<RegionInfo> {
        let (plans, cluster) = (self.plans.lock(), self.cluster.read());
        cluster.regions.by_id(region_id).map(|record| region_info(&plans, &cluster, record))
    }

    /// The region that holds an encoded key.
    pub fn region_of_key(&self, key: &[u8]) -> Option<RegionInfo> {
        let (plans, cluster) = (self.plans.lock(), self.cluster.read());
        cluster.regions.by_key(key).map(|record| region_info(&plans, &cluster, record))
    }

    /// The regions with a peer on a store, by id, `limit` at most.
    pub fn regions_of_store(&self, store_id: u64, limit: usize) -> Vec<RegionInfo> {
        let (plans, cluster) = (self.plans.lock(), self.cluster.read());
        let ids = cluster.regions.of_store(store_id).into_iter().flat_map(|store| &store.peers);
        let records = ids.filter_map(|id| cluster.regions.by_id(*id)).take(limit);
        records.map(|record| region_info(&plans, &cluster, record)).collect()
    }

    /// The running operators, by region.
    pub fn operators(&self) -> Vec<OperatorInfo> {
        self.plans.lock().coordinator.operators().all().map(operator_info).collect()
    }

    /// The operators that ended last, the latest at the end; about a thousand are remembered, and none over restarts.
    pub fn finished_operators(&self) -> Vec<FinishedOperator> {
        let plans = self.plans.lock();
        let finished = plans.coordinator.operators().finished();
        finished
            .map(|finished| FinishedOperator {
                operator: operator_info(&finished.operator),
                result: finished.result,
                ended_micros: finished.ended_micros,
            })
            .collect()
    }

    /// Gives up the operator of a region; steps that were taken stay taken. Tells whether there was one.
    pub fn cancel_operator(&self, region_id: u64) -> bool {
        self.plans.lock().coordinator.cancel(region_id, self.clock.now_micros())
    }

    /// The schedulers that were not removed.
    pub fn schedulers(&self) -> Vec<SchedulerInfo> {
        let now = self.clock.now_micros();
        let mut plans = self.plans.lock();
        let infos = plans
            .coordinator
            .schedulers()
            .all()
            .map(|(kind, until)| SchedulerInfo { kind, paused_until_micros: (until > now).then_some(until) });
        infos.collect()
    }

    /// Brings a removed scheduler back; tells whether it was removed.
    pub async fn add_scheduler(&self, kind: SchedulerKind) -> Result<bool, PdError> {
        self.set_rest(kind, |rest| matches!(rest, Some(Rest::Removed)), None).await
    }

    /// Stops a scheduler until it is added again; tells whether it was there. Its running operators go on. Kept over restarts.
    pub async fn remove_scheduler(&self, kind: SchedulerKind) -> Result<bool, PdError> {
        self.set_rest(kind, |rest| !matches!(rest, Some(Rest::Removed)), Some(Rest::Removed)).await
    }

    /// Stops a scheduler for a while, from this moment; a pause of no length ends one. Tells whether the scheduler is there. Kept over restarts.
    pub async fn pause_scheduler(&self, kind: SchedulerKind, pause: Duration) -> Result<bool, PdError> {
        let until =
            self.clock.now_micros().saturating_add(i64::try_from(pause.as_micros()).unwrap_or(i64::MAX));
        let rest = (!pause.is_zero()).then_some(Rest::Until(until));
        self.set_rest(kind, |rest| !matches!(rest, Some(Rest::Removed)), rest).await
    }

    /// Sets whether a scheduler rests, if its state allows for it.
    async fn set_rest(
        &self,
        kind: SchedulerKind,
        allows: impl Fn(Option<Rest>) -> bool + Send + 'static,
        rest: Option<Rest>,
    ) -> Result<bool, PdError> {
        let is_set = self
            .update(move |cluster| match allows(cluster.resting.get(&kind).copied()) {
                true => Ok((vec![Update::Resting { kind, rest }], true)),
                false => Ok((Vec::new(), false)),
            })
            .await?;
        let (mut plans, cluster) = (self.plans.lock(), self.cluster.read());
        plans.coordinator.schedulers().set(&cluster.resting);
        Ok(is_set)
    }

    /// Sets how much of the leaders and of the regions a store is to have beside others, which have 1; kept over restarts.
    pub async fn set_store_weights(&self, store_id: u64, leader: f64, region: f64) -> Result<(), PdError> {
        let weight = |weight: f64| {
            let refusal = || invalid(format!("the weight {weight} is not between 0 and {WEIGHT_MAX}"));
            Weight::new(weight).ok_or_else(refusal)
        };
        let weights = StoreWeights { leader: weight(leader)?, region: weight(region)? };
        self.update(move |cluster| {
            let known = cluster.stores.get(&store_id).ok_or(PdError::StoreNotFound { store_id })?;
            match is_tombstone(&known.store) {
                true => Err(PdError::StoreTombstone { store_id }),
                false => Ok((vec![Update::Weights { store_id, weights }], ())),
            }
        })
        .await
    }

    /// Has a store emptied (`Offline`), or calls that off (`Up`). When it is empty it becomes a tombstone by itself.
    pub async fn set_store_state(&self, store_id: u64, state: StoreState) -> Result<(), PdError> {
        let state = match state {
            StoreState::Up => metapb::StoreState::Up,
            StoreState::Offline => metapb::StoreState::Offline,
            StoreState::Tombstone => {
                return Err(invalid("a store becomes a tombstone when it is empty, not by hand".to_owned()));
            }
        };
        self.update(move |cluster| {
            let known = cluster.stores.get(&store_id).ok_or(PdError::StoreNotFound { store_id })?;
            if is_tombstone(&known.store) {
                return Err(PdError::StoreTombstone { store_id });
            }
            let store = metapb::Store { state: state.into(), ..known.store.clone() };
            Ok((vec![Update::Store(store)], ()))
        })
        .await
    }

    /// Gives a store labels, beside those it has; a label without a value is taken away. Kept over restarts; what the store says of itself
    /// when it starts comes before.
    pub async fn set_store_labels(
        &self,
        store_id: u64,
        labels: Vec<(String, String)>,
    ) -> Result<(), PdError> {
        if let Some((key, value)) = labels.iter().find(|(key, value)| !is_label(key, value)) {
            return Err(invalid(format!(
                "the label {key:?} = {value:?} is refused: keys and values are of letters, digits, '-', '_', '.' and '/', {LABEL_BYTES_MAX} at most"
            )));
        }
        let changed = labels.into_iter().map(|(key, value)| metapb::StoreLabel { key, value });
        let changed: Vec<_> = changed.collect();
        self.update(move |cluster| {
            let known = cluster.stores.get(&store_id).ok_or(PdError::StoreNotFound { store_id })?;
            if is_tombstone(&known.store) {
                return Err(PdError::StoreTombstone { store_id });
            }
            let labels = merge_labels(&known.store.labels, &changed);
            Ok((vec![Update::Store(metapb::Store { labels, ..known.store.clone() })], ()))
        })
        .await
    }

    /// Moves the leaders off a store and lets none come, until [`Self::stop_evicting_leaders`]; kept over restarts.
    pub async fn evict_leaders(&self, store_id: u64) -> Result<(), PdError> {
        self.update(move |cluster| {
            cluster.stores.get(&store_id).ok_or(PdError::StoreNotFound { store_id })?;
            Ok((vec![Update::Evicting { store_id, on: true }], ()))
        })
        .await
    }

    /// Lets leaders come to a store again.
    pub async fn stop_evicting_leaders(&self, store_id: u64) -> Result<(), PdError> {
        self.update(move |_| Ok((vec![Update::Evicting { store_id, on: false }], ()))).await
    }

    /// The hottest regions of each store, `limit` of each at most, the hottest of all first.
    pub fn hot_regions(&self, limit: usize) -> Vec<HotRegion> {
        let (plans, cluster) = (self.plans.lock(), self.cluster.read());
        let of_store = |leader_store: u64| {
            let hottest = plans.coordinator.statuses().hottest(leader_store).take(limit);
            hottest.map(move |(region_id, load)| HotRegion { region_id, leader_store, load })
        };
        let mut hot: Vec<_> = cluster.stores.keys().copied().flat_map(of_store).collect();
        hot.sort_by_key(|hot| (std::cmp::Reverse(hot.load), hot.region_id));
        hot
    }

    /// How regions are placed.
    pub fn schedule_config(&self) -> ScheduleConfig {
        self.plans.lock().config.clone()
    }

    /// Changes how regions are placed where nothing was set by [`Self::change_settings`], until the driver restarts.
    pub fn set_schedule_config(&self, config: ScheduleConfig) {
        let (mut plans, cluster) = (self.plans.lock(), self.cluster.read());
        plans.given.schedule = config;
        plans.take_settings(&cluster.settings);
    }

    /// How many replicas regions have, and how far apart.
    pub fn replication_config(&self) -> ReplicationConfig {
        self.plans.lock().coordinator.replication.clone()
    }

    /// Changes how many replicas regions have, and how far apart, where nothing was set by [`Self::change_settings`], until the driver
    /// restarts.
    pub fn set_replication_config(&self, config: ReplicationConfig) {
        let (mut plans, cluster) = (self.plans.lock(), self.cluster.read());
        plans.given.replication = config;
        plans.take_settings(&cluster.settings);
    }

    /// The settings in force that can be changed by name, as PD names them.
    pub fn settings(&self) -> Vec<(SettingSection, &'static str, SettingValue)> {
        let plans = self.plans.lock();
        let (schedule, replication) = (plans.config.clone(), plans.coordinator.replication.clone());
        Settings { schedule, replication }.list()
    }

    /// Changes settings by name, all or none; kept over restarts, for all members. Without a value, what the driver was opened with comes
    /// back. The error names the setting that is not known, or the value that cannot be.
    pub async fn change_settings(&self, changes: Vec<(String, Option<String>)>) -> Result<(), PdError> {
        let given = self.plans.lock().given.clone();
        self.update(move |cluster| {
            let mut settings = given.with(&cluster.settings);
            for (name, value) in &changes {
                match value {
                    Some(value) => settings.set(name, value)?,
                    None if cluster.settings.contains_key(name) => {}
                    None => return Err(invalid(format!("{name:?} was not set by hand"))),
                }
            }
            let update = |(name, value)| Update::Setting { name, value };
            Ok((changes.into_iter().map(update).collect(), ()))
        })
        .await?;
        let (mut plans, cluster) = (self.plans.lock(), self.cluster.read());
        plans.take_settings(&cluster.settings);
        Ok(())
    }

    /// The placement rules, by name. What no rule for voters holds follows [`ReplicationConfig`].
    pub fn placement_rules(&self) -> Vec<PlacementRule> {
        self.cluster.read().rules.all().cloned().collect()
    }

    /// Adds a placement rule, or replaces the one of its name; kept over restarts.
    pub async fn set_placement_rule(&self, rule: PlacementRule) -> Result<(), PdError> {
        if let Some(fault) = rule.fault() {
            return Err(invalid(format!("the placement rule {:?} is refused: {fault}", rule.id)));
        }
        self.update(move |cluster| {
            if cluster.rules.all().len() >= schedule::RULES_MAX && !cluster.rules.contains(&rule.id) {
                return Err(invalid(format!("there are {} placement rules already", schedule::RULES_MAX)));
            }
            Ok((vec![Update::Rule { id: rule.id.clone(), rule: Some(rule) }], ()))
        })
        .await
    }

    /// Removes a placement rule; it need not exist.
    pub async fn remove_placement_rule(&self, id: &str) -> Result<(), PdError> {
        let id = id.to_owned();
        self.update(move |_| Ok((vec![Update::Rule { id, rule: None }], ()))).await
    }
}

/// A region as the protocol tells of it, with what its leader has reported beside.
pub(super) fn region_with_statistics(
    plans: &Plans,
    cluster: &crate::cluster::Cluster,
    record: &crate::regions::RegionRecord,
) -> pdpb::Region {
    let region = &record.region;
    let status = plans.coordinator.statuses().get(region.id).cloned().unwrap_or_default();
    let peer = |id: u64| region.peers.iter().find(|peer| peer.id == id).copied();
    let down = status.down.iter().filter_map(|(id, down_seconds)| {
        Some(pdpb::PeerStats { peer: Some(peer(*id)?), down_seconds: *down_seconds })
    });
    pdpb::Region {
        region: Some(region.clone()),
        leader: record.leader,
        down_peers: down.collect(),
        pending_peers: status.pending.iter().filter_map(|(id, _)| peer(*id)).collect(),
        statistics: Some(pdpb::RegionStatistics {
            approximate_size: cluster.regions.size_of(region.id),
            approximate_keys: status.keys,
            bytes_written: status.bytes_written,
            bytes_read: status.bytes_read,
            is_scheduled: plans.coordinator.is_scheduled(region.id),
        }),
    }
}

fn is_label(key: &str, value: &str) -> bool {
    let is_plain = |text: &str| {
        text.len() <= LABEL_BYTES_MAX
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte))
    };
    !key.is_empty() && is_plain(key) && is_plain(value)
}

/// What is counted of a store, as the protocol tells it.
pub(super) fn store_statistics(
    ctx: &schedule::Context<'_>,
    record: &crate::cluster::StoreRecord,
) -> pdpb::StoreStatistics {
    let id = record.store.id;
    let regions = ctx.cluster.regions.of_store(id);
    pdpb::StoreStatistics {
        leader_count: ctx.cluster.regions.led_by(id) as u64,
        region_count: regions.map_or(0, |regions| regions.peers.len() as u64),
        leader_size: ctx.cluster.regions.mebibytes_led_by(id),
        region_size: regions.map_or(0, |regions| regions.mebibytes),
        leader_score: ctx.leader_score(id),
        region_score: ctx.region_score(id),
        heard_micros: record.heard_micros,
        is_alive: ctx.is_alive(id),
        is_lost: ctx.is_lost(id),
        leader_weight: ctx.cluster.weights_of(id).leader.as_f64(),
        region_weight: ctx.cluster.weights_of(id).region.as_f64(),
    }
}

/// Labels with those of the same keys replaced, in the order of the keys. One without a value is taken away.
pub(super) fn merge_labels(
    known: &[metapb::StoreLabel],
    changed: &[metapb::StoreLabel],
) -> Vec<metapb::StoreLabel> {
    let labels = known.iter().chain(changed).map(|label| (label.key.clone(), label.value.clone()));
    let by_key: std::collections::BTreeMap<_, _> = labels.collect();
    let labels = by_key.into_iter().filter(|(_, value)| !value.is_empty());
    labels.map(|(key, value)| metapb::StoreLabel { key, value }).collect()
}

fn region_info(
    plans: &Plans,
    cluster: &crate::cluster::Cluster,
    record: &crate::regions::RegionRecord,
) -> RegionInfo {
    let region = &record.region;
    let status = plans.coordinator.statuses().get(region.id).cloned().unwrap_or_default();
    let peer = |peer: &metapb::Peer| PeerInfo {
        id: peer.id,
        store_id: peer.store_id,
        role: match peer.role() {
            metapb::PeerRole::Learner => ReplicaRole::Learner,
            _ => ReplicaRole::Voter,
        },
        is_caught_up: status.pending_since(peer.id).is_none() && !status.is_down(peer.id),
        down_seconds: status.down.iter().find(|(id, _)| *id == peer.id).map_or(0, |(_, seconds)| *seconds),
    };
    let epoch = region.region_epoch.unwrap_or_default();
    RegionInfo {
        id: region.id,
        start_key: region.start_key.clone(),
        end_key: region.end_key.clone(),
        version: epoch.version,
        conf_ver: epoch.conf_ver,
        peers: region.peers.iter().map(peer).collect(),
        leader_store: record.leader.map(|leader| leader.store_id),
        mebibytes: cluster.regions.size_of(region.id),
        keys: status.keys,
        read_load: status.read_load,
        write_load: status.write_load,
        bytes_read: status.bytes_read,
        bytes_written: status.bytes_written,
    }
}

fn operator_info(operator: &schedule::Operator) -> OperatorInfo {
    OperatorInfo {
        region_id: operator.region_id,
        kind: operator.kind,
        reason: operator.reason,
        steps: operator.steps.clone(),
        steps_done: operator.current,
        created_micros: operator.created_micros,
        deadline_micros: operator.deadline_micros,
    }
}
