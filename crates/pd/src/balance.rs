//! Which region should move where: stores lead similar numbers of regions.
//!
//! A decision is made when a region reports itself: only then is it known that the region is well. It moves from its store to the one with the
//! fewest regions if that makes the two more even. A move that was ordered counts as done until it is, or until it has taken too long.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::cluster::Cluster;
use crate::regions::RegionRecord;

/// How regions are placed.
#[derive(Debug, Clone)]
pub struct ScheduleConfig {
    /// Regions that move at the same time; 0 leaves regions where they are.
    pub moves_max: usize,
    /// A store not heard of for this long gets no regions.
    pub store_silence_max: Duration,
    /// After this long an order is taken for lost.
    pub move_patience: Duration,
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        Self {
            moves_max: 4,
            store_silence_max: Duration::from_secs(30),
            move_patience: Duration::from_secs(60),
        }
    }
}

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
        let conf_ver = report.region.region_epoch.map_or(0, |epoch| epoch.conf_ver);
        let from = report.leader.as_ref()?.store_id;
        self.by_region.retain(|_, ordered| ordered.expires_micros > now_micros);
        if let Some(ordered) = self.by_region.get(&report.region.id) {
            if ordered.conf_ver == conf_ver && ordered.from == from {
                return None;
            }
            self.by_region.remove(&report.region.id);
        }
        if self.by_region.len() >= config.moves_max || report.region.peers.len() != 1 {
            return None;
        }
        let (to, lowest) = cluster
            .stores
            .iter()
            .filter(|(id, store)| **id != from && store.takes_regions(now_micros, config.store_silence_max))
            .map(|(id, _)| (*id, self.regions_of(cluster, *id)))
            .min_by_key(|(id, count)| (*count, *id))?;
        if self.regions_of(cluster, from) < lowest + 2 {
            return None;
        }
        let patience = i64::try_from(config.move_patience.as_micros()).unwrap_or(i64::MAX);
        let ordered = Move { from, to, conf_ver, expires_micros: now_micros.saturating_add(patience) };
        self.by_region.insert(report.region.id, ordered);
        Some(ordered)
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
