//! What regions without replicas should do, and the settings that decide on it.

use std::collections::BTreeMap;

use tidewater_proto::metapb;

use crate::ScheduleConfig;
use crate::balance::{Move, Moves};
use crate::cluster::Cluster;
use crate::merge::{Merges, Verdict};
use crate::regions::RegionRecord;
use crate::schedule::Coordinator;
use crate::settings::Settings;

/// Orders that were given, and what they follow from.
pub(super) struct Plans {
    /// What the driver was opened with.
    pub(super) given: Settings,
    /// In force: with what was set by hand.
    pub(super) config: ScheduleConfig,
    pub(super) moves: Moves,
    pub(super) merges: Merges,
    /// For replicated regions, in the place of `moves`.
    pub(super) coordinator: Coordinator,
}

/// What a region is to do.
pub(super) enum Order {
    None,
    Move(Move),
    Merge(metapb::Region),
}

impl Plans {
    /// Puts in force what was given with what was set by hand.
    pub(super) fn take_settings(&mut self, set: &BTreeMap<String, String>) {
        let Settings { schedule, replication } = self.given.with(set);
        self.config = schedule;
        self.coordinator.replication = replication;
    }

    pub(super) fn decide(&mut self, cluster: &Cluster, report: &RegionRecord, now_micros: i64) -> Order {
        let config = &self.config;
        let id = report.region.id;
        let (moved, neighbor) = match self.merges.decide(config, cluster, report, now_micros) {
            Verdict::Wait => return Order::None,
            Verdict::Keep => (self.moves.decide(config, cluster, report, now_micros), None),
            Verdict::Follow { neighbor, .. } | Verdict::Into(neighbor)
                if self.moves.is_on_its_way(neighbor) =>
            {
                return Order::None;
            }
            Verdict::Follow { neighbor, store_id } => {
                (self.moves.send_to(config, cluster, report, store_id, now_micros), Some(neighbor))
            }
            Verdict::Into(target) => {
                let Some(record) = cluster.regions.by_id(target) else { return Order::None };
                self.merges.note_ordered(config, cluster, id, target, now_micros);
                return Order::Merge(record.region.clone());
            }
        };
        let Some(moved) = moved else { return Order::None };
        if let Some(neighbor) = neighbor {
            self.merges.note_ordered(config, cluster, id, neighbor, now_micros);
        }
        Order::Move(moved)
    }

    pub(super) fn note_gone(&mut self, region_ids: &[u64], now_micros: i64) {
        self.moves.note_gone(region_ids);
        self.merges.note_gone(region_ids);
        self.coordinator.note_gone(region_ids, now_micros);
    }
}
