//! What a decision looks at: the stores with their places, their health and how much they have, running operators included.

use std::time::Duration;

use tidewater_proto::metapb;

use super::operator::View;
use super::operators::Operators;
use super::rules::{LabelConstraint, label_of};
use super::status::Statuses;
use crate::cluster::{Cluster, StoreRecord};
use crate::config::{BalanceBy, ReplicationConfig, ScheduleConfig};

/// Two stores that differ in a wider label are so much further apart than two that differ in the next.
const ISOLATION_BASE: u64 = 100;

/// All of it, unchanged while one decision is made.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) config: &'a ScheduleConfig,
    pub(crate) replication: &'a ReplicationConfig,
    pub(crate) operators: &'a Operators,
    pub(crate) statuses: &'a Statuses,
    /// The store whose leaders go elsewhere because it is slow.
    pub(crate) slow_store: Option<u64>,
    pub(crate) opened_micros: i64,
    pub(crate) now_micros: i64,
}

impl<'a> Context<'a> {
    pub(crate) fn store(&self, store_id: u64) -> Option<&'a StoreRecord> {
        self.cluster.stores.get(&store_id)
    }

    /// A region with its status; `None` before its first report.
    pub(crate) fn view(&self, region_id: u64) -> Option<View<'a>> {
        let record = self.cluster.regions.by_id(region_id)?;
        Some(View { record, status: self.statuses.get(region_id)? })
    }

    /// Heard of lately, and neither removed nor to be.
    pub(crate) fn is_healthy(&self, store_id: u64) -> bool {
        self.is_alive(store_id)
            && self.store(store_id).is_some_and(|store| state(store) == metapb::StoreState::Up)
    }

    /// Heard of lately.
    pub(crate) fn is_alive(&self, store_id: u64) -> bool {
        self.store(store_id).is_some_and(|store| {
            state(store) != metapb::StoreState::Tombstone
                && store.stats.is_some()
                && self.silence(store.heard_micros) <= micros(self.config.store_silence_max)
        })
    }

    /// Not heard of for so long that its peers count as lost.
    pub(crate) fn is_lost(&self, store_id: u64) -> bool {
        self.store(store_id).is_none_or(|store| {
            state(store) == metapb::StoreState::Tombstone
                // Before the driver was opened it could hear of nobody.
                || self.silence(store.heard_micros.max(self.opened_micros)) > micros(self.config.store_down_max)
        })
    }

    /// Whether the peer's store says that its replica is damaged. Stores that do not tell the peer mean the one they have.
    pub(crate) fn is_damaged(&self, region_id: u64, peer: &metapb::Peer) -> bool {
        let Some(stats) = self.store(peer.store_id).and_then(|store| store.stats.as_ref()) else {
            return false;
        };
        let mut damaged = stats.damaged_regions_id.iter().enumerate();
        damaged.any(|(index, id)| {
            *id == region_id && stats.damaged_peers_id.get(index).is_none_or(|id| *id == peer.id)
        })
    }

    pub(crate) fn is_leaving(&self, store_id: u64) -> bool {
        self.store(store_id).is_some_and(|store| state(store) == metapb::StoreState::Offline)
    }

    /// Whether nothing is on the store, by the regions' word and, if it still speaks, its own.
    pub(crate) fn is_empty(&self, store_id: u64) -> bool {
        let says_so = self
            .store(store_id)
            .and_then(|store| store.stats.as_ref())
            .is_some_and(|stats| stats.region_count == 0);
        self.cluster.regions.of_store(store_id).is_none_or(|regions| regions.peers.is_empty())
            && self.operators.load(store_id).adding == 0
            && (says_so || self.is_lost(store_id))
    }

    fn silence(&self, heard_micros: i64) -> i64 {
        self.now_micros.saturating_sub(heard_micros)
    }

    /// Whether the store says so; only one of those that do loses its leaders for it.
    fn is_slow(&self, store_id: u64) -> bool {
        let score =
            self.store(store_id).and_then(|store| store.stats.as_ref()).map_or(0, |stats| stats.slow_score);
        score >= self.config.slow_score_evict
    }

    /// Whether leaders may be put on the store.
    pub(crate) fn takes_leaders(&self, store_id: u64) -> bool {
        self.is_healthy(store_id)
            && self.slow_store != Some(store_id)
            && !self.cluster.evicting.contains(&store_id)
    }

    /// Whether peers may be put on the store now.
    pub(crate) fn takes_peers(&self, store_id: u64) -> bool {
        self.is_fit(store_id) && self.operators.load(store_id).adding < self.config.store_adds_max
    }

    /// Whether peers may be put on the store, however many are on their way to it.
    pub(crate) fn is_fit(&self, store_id: u64) -> bool {
        let Some(StoreRecord { store, stats: Some(stats), .. }) = self.store(store_id) else { return false };
        let labels = &self.replication.location_labels;
        let has_labels = !self.replication.strictly_match_labels
            || labels.iter().all(|key| label_of(store, key).is_some());
        // A store that does not tell its capacity has no limit.
        let has_space = stats.capacity == 0
            || stats.available.saturating_mul(100)
                >= stats.capacity.saturating_mul(self.config.free_percent_min);
        let snapshots = stats.receiving_snap_count.saturating_add(stats.applying_snap_count);
        self.is_healthy(store_id)
            && !self.is_slow(store_id)
            && has_labels
            && has_space
            && !stats.is_busy
            && snapshots < self.config.store_snapshots_max
    }

    /// How far a store is from others, in sum.
    pub(crate) fn isolation(&self, store_id: u64, others: &[u64]) -> u64 {
        others.iter().filter(|other| **other != store_id).map(|other| self.distance(store_id, *other)).sum()
    }

    /// How far two stores can be from each other.
    pub(crate) fn distance_max(&self) -> u64 {
        let labels = u32::try_from(self.replication.location_labels.len()).unwrap_or(u32::MAX);
        labels.checked_sub(1).map_or(0, |narrower| ISOLATION_BASE.saturating_pow(narrower))
    }

    /// A missing label says nothing, so the stores count as together as far as it is concerned.
    fn distance(&self, one: u64, other: u64) -> u64 {
        let (Some(one), Some(other)) = (self.store(one), self.store(other)) else { return 0 };
        let mut distance = self.distance_max();
        for key in &self.replication.location_labels {
            let (one, other) = (label_of(&one.store, key), label_of(&other.store, key));
            if one.is_some() && other.is_some() && one != other {
                return distance;
            }
            distance /= ISOLATION_BASE;
        }
        0
    }

    /// How much a store has for its weight, once the running operators are through, in the unit that is balanced.
    pub(crate) fn region_score(&self, store_id: u64) -> i64 {
        self.region_score_with(store_id, 0)
    }

    /// The same, if it had so much more.
    pub(crate) fn region_score_with(&self, store_id: u64, more: i64) -> i64 {
        let (regions, load) = (self.cluster.regions.of_store(store_id), self.operators.load(store_id));
        let has = match self.config.balance_by {
            BalanceBy::Count => signed(regions.map_or(0, |store| store.peers.len() as u64)) + load.regions,
            BalanceBy::Size => signed(regions.map_or(0, |store| store.mebibytes)) + load.mebibytes,
        };
        self.cluster.weights_of(store_id).region.score_of(has.saturating_add(more))
    }

    /// What a region counts in the unit that is balanced.
    pub(crate) fn region_unit(&self, region_id: u64) -> i64 {
        match self.config.balance_by {
            BalanceBy::Count => 1,
            BalanceBy::Size => signed(self.cluster.regions.size_of(region_id)).max(1),
        }
    }

    /// How many regions a store leads for its weight, once the running operators are through.
    pub(crate) fn leader_score(&self, store_id: u64) -> i64 {
        self.leader_score_with(store_id, 0)
    }

    /// The same, if it led so many more.
    pub(crate) fn leader_score_with(&self, store_id: u64, more: i64) -> i64 {
        let leads = signed(self.cluster.regions.led_by(store_id) as u64);
        let leads = leads + self.operators.load(store_id).leaders;
        self.cluster.weights_of(store_id).leader.score_of(leads.saturating_add(more))
    }

    /// The best store for a peer beside those on `others`: the furthest from them, then the one with the least.
    pub(crate) fn best_target(
        &self,
        view: &View<'_>,
        others: &[u64],
        constraints: &[LabelConstraint],
        isolation_min: u64,
    ) -> Option<u64> {
        let free = self.cluster.stores.iter().filter(|(id, record)| {
            view.peer_on(**id).is_none()
                && constraints.iter().all(|constraint| constraint.accepts(&record.store))
                && self.takes_peers(**id)
        });
        let unit = self.region_unit(view.region().id);
        let rank =
            |id: u64| (std::cmp::Reverse(self.isolation(id, others)), self.region_score_with(id, unit), id);
        free.map(|(id, _)| rank(*id))
            .filter(|(isolation, ..)| isolation.0 >= isolation_min)
            .min()
            .map(|(_, _, id)| id)
    }
}

pub(crate) fn state(store: &StoreRecord) -> metapb::StoreState {
    store.store.state()
}

pub(crate) fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

pub(crate) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
