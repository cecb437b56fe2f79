//! Which region should move where: stores lead similar numbers of regions.
//!
//! A decision is made when a region reports itself: only then is it known that the region is well. It moves from its store to the one with the
//! fewest regions if that makes the two more even. A move that was ordered counts as done until it is, or until it has taken too long.
//!
//! Moves are paced, as PD's store limit does it: each costs the clients that know the region an error and a look at the placement driver, and
//! some of them, having met one, ask all regions behind it again. A hundred moves in one second would keep those busy for minutes.

use std::collections::BTreeMap;

use crate::ScheduleConfig;
use crate::cluster::{Cluster, StoreRecord};
use crate::regions::RegionRecord;

const MINUTE_MICROS: i64 = 60_000_000;

/// An order that was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Move {
    pub(crate) from: u64,
    pub(crate) to: u64,
    /// Of the region when the order was given: any other says that it is carried out, or void.
    pub(crate) conf_ver: u64,
    expires_micros: i64,
}

#[derive(Debug, Default)]
pub(crate) struct Moves {
    by_region: BTreeMap<u64, Move>,
    pace: Pace,
}

/// How many moves each store had lately.
#[derive(Debug, Default)]
struct Pace {
    /// When the moves a store had would be over if they had come evenly.
    done_micros: BTreeMap<u64, i64>,
}

impl Moves {
    /// Whether the region that reports itself should go to another store.
    pub(crate) fn decide(
        &mut self,
        config: &ScheduleConfig,
        cluster: &Cluster,
        report: &RegionRecord,
        now_micros: i64,
    ) -> Option<Move> {
        let from = self.ready_from(config, report, now_micros)?;
        let (to, lowest) = cluster
            .stores
            .iter()
            .filter(|(id, store)| **id != from && store.takes_regions(now_micros, config.store_silence_max))
            .map(|(id, _)| (*id, self.regions_of(cluster, *id)))
            .min_by_key(|(id, count)| (*count, *id))?;
        (self.regions_of(cluster, from) >= lowest + 2 && self.pace.allows(config, [from, to], now_micros))
            .then(|| self.order(config, report, from, to, now_micros))
    }

    /// Sends the region that reports itself to a store of somebody's choice, if the limits allow it.
    pub(crate) fn send_to(
        &mut self,
        config: &ScheduleConfig,
        cluster: &Cluster,
        report: &RegionRecord,
        to: u64,
        now_micros: i64,
    ) -> Option<Move> {
        let from = self.ready_from(config, report, now_micros)?;
        let takes = |store: &StoreRecord| store.takes_regions(now_micros, config.store_silence_max);
        let may_go = from != to && cluster.stores.get(&to).is_some_and(takes);
        let may_go = may_go && self.pace.allows(config, [from, to], now_micros);
        may_go.then(|| self.order(config, report, from, to, now_micros))
    }

    /// The store a region may leave: it is not on its way already, and not too many others are.
    fn ready_from(&mut self, config: &ScheduleConfig, report: &RegionRecord, now_micros: i64) -> Option<u64> {
        let from = report.leader.as_ref()?.store_id;
        self.by_region.retain(|_, ordered| ordered.expires_micros > now_micros);
        if let Some(ordered) = self.by_region.get(&report.region.id) {
            if ordered.conf_ver == conf_ver(report) && ordered.from == from {
                return None;
            }
            self.by_region.remove(&report.region.id);
        }
        (self.by_region.len() < config.moves_max && report.region.peers.len() == 1).then_some(from)
    }

    fn order(
        &mut self,
        config: &ScheduleConfig,
        report: &RegionRecord,
        from: u64,
        to: u64,
        now_micros: i64,
    ) -> Move {
        let patience = i64::try_from(config.move_patience.as_micros()).unwrap_or(i64::MAX);
        let expires_micros = now_micros.saturating_add(patience);
        let ordered = Move { from, to, conf_ver: conf_ver(report), expires_micros };
        self.by_region.insert(report.region.id, ordered);
        self.pace.note(config, [from, to], now_micros);
        ordered
    }

    /// Whether a region was told to move and has not.
    pub(crate) fn is_on_its_way(&self, region_id: u64) -> bool {
        self.by_region.contains_key(&region_id)
    }

    /// Forgets regions that are no more.
    pub(crate) fn note_gone(&mut self, region_ids: &[u64]) {
        self.by_region.retain(|id, _| !region_ids.contains(id));
    }

    /// How many regions a store leads, with the orders carried out.
    fn regions_of(&self, cluster: &Cluster, store_id: u64) -> usize {
        let moves = self.by_region.values();
        let (coming, going) = moves.fold((0, 0), |(coming, going), ordered| {
            (coming + usize::from(ordered.to == store_id), going + usize::from(ordered.from == store_id))
        });
        (cluster.regions.led_by(store_id) + coming).saturating_sub(going)
    }
}

impl Pace {
    /// Whether these stores may have a move more. As many as may be on their way at the same time may begin at once.
    fn allows(&self, config: &ScheduleConfig, stores: [u64; 2], now_micros: i64) -> bool {
        let Some(step) = Self::step_micros(config) else { return false };
        let burst = step.saturating_mul(i64::try_from(config.moves_max).unwrap_or(i64::MAX));
        let is_early = |store: &u64| {
            self.done_micros.get(store).is_some_and(|done| done.saturating_sub(now_micros) > burst - step)
        };
        !stores.iter().any(is_early)
    }

    fn note(&mut self, config: &ScheduleConfig, stores: [u64; 2], now_micros: i64) {
        let Some(step) = Self::step_micros(config) else { return };
        self.done_micros.retain(|_, done| *done > now_micros);
        for store in stores {
            let done = self.done_micros.entry(store).or_insert(now_micros);
            *done = done.saturating_add(step);
        }
    }

    fn step_micros(config: &ScheduleConfig) -> Option<i64> {
        MINUTE_MICROS.checked_div(i64::from(config.moves_per_store_minute_max))
    }
}

fn conf_ver(report: &RegionRecord) -> u64 {
    report.region.region_epoch.map_or(0, |epoch| epoch.conf_ver)
}

#[cfg(test)]
mod tests;
