//! Replicated regions: where their peers and leaders are, and the orders that bring them to where they should be.
//!
//! ```text
//!  heart beat of a region ──▶ has it an operator? ── yes ──▶ step done? next step : the same order again ──▶ answer
//!                                   │ no
//!                                   ▼
//!                             repair ─▶ merge ── an operator for this region ──▶ its first order ──▶ answer
//!  any heart beat, now and then ──▶ balance, evict, hot ── operators for other regions; they hear of it when they report
//! ```
//!
//! An *operator* is a list of steps for one region, and the only thing that gives orders. Its steps are seen in what the region reports, so a lost
//! order is given again, one carried out twice does no harm, and a restart of the driver forgets operators without forgetting where regions
//! stand: what was half done is found and mended by `repair`. The design is PD's (its `schedule` package), with fewer kinds of everything.
//!
//! # Invariants
//! * A voter is removed only if a majority of what is left is known to be well.
//! * Two operators never touch the same region, nor is a region touched while another one is merged into it.
//! * A report costs nothing that grows with the number of regions or operators, except logarithms; one that finds its region well costs no more
//!   than the rules and its few peers.
//! * Equal reports at equal times give equal orders.
//!
//! # What it leaves out
//! Splitting hot regions, moving followers of hot regions, regions that straddle placement rules (the first key decides), joint changes of
//! several members (one at a time is what stores understand), and witnesses. Operators and regions that wait to be scattered are not kept over
//! restarts; what was set by hand is.

mod balance;
mod builder;
mod context;
mod hot;
mod leaders;
mod merge;
mod operator;
mod operators;
mod repair;
mod rules;
mod scatter;
mod schedulers;
mod status;
mod wish;

use tidewater_proto::pdpb;

use builder::PeerIds;
pub(crate) use context::Context;
use scatter::{Plan, Scatterer};
use schedulers::Schedulers;
use status::Statuses;

pub(crate) use builder::IDS_PER_REFILL;
pub(crate) use operator::{Operator, Order, View};
pub(crate) use operators::Operators;
pub(crate) use rules::{RULES_MAX, Rules};
pub(crate) use scatter::REASON as SCATTER;
pub(crate) use schedulers::Rest;
pub(crate) use wish::Wish;

pub use operator::{OperatorKind, OperatorResult, SplitPolicy, Step};
pub use rules::{LabelConstraint, LabelOp, PlacementRule, ReplicaRole};
pub use schedulers::SchedulerKind;

use crate::OperatorError;
use crate::cluster::Cluster;
use crate::config::{ReplicationConfig, ScheduleConfig};
use crate::merge::Merges;
use crate::regions::RegionRecord;

/// All that scheduling knows beside the cluster.
#[derive(Debug)]
pub(crate) struct Coordinator {
    pub(crate) replication: ReplicationConfig,
    operators: Operators,
    statuses: Statuses,
    schedulers: Schedulers,
    scatterer: Scatterer,
    ids: PeerIds,
    /// The store that counts as slow.
    slow_store: Option<u64>,
    opened_micros: i64,
}

impl Coordinator {
    pub(crate) fn new(replication: ReplicationConfig, opened_micros: i64) -> Self {
        Self {
            replication,
            operators: Operators::default(),
            statuses: Statuses::default(),
            schedulers: Schedulers::default(),
            scatterer: Scatterer::default(),
            ids: PeerIds::default(),
            slow_store: None,
            opened_micros,
        }
    }

    pub(crate) fn operators(&self) -> &Operators {
        &self.operators
    }

    pub(crate) fn statuses(&self) -> &Statuses {
        &self.statuses
    }

    pub(crate) fn schedulers(&mut self) -> &mut Schedulers {
        &mut self.schedulers
    }

    /// Whether ids for peers must be brought before the next report.
    pub(crate) fn needs_ids(&self) -> bool {
        self.ids.are_low()
    }

    /// Takes in that somebody else got ids up to this one.
    pub(crate) fn note_ids_elsewhere(&mut self, last: u64) {
        self.ids.note_elsewhere(last);
    }

    /// Takes in [`IDS_PER_REFILL`] fresh ids, of which the last is told.
    pub(crate) fn refill_ids(&mut self, last: u64) {
        self.ids.refill(last);
    }

    /// Whether a report comes from a leader that another one has followed without the region's epoch telling so.
    pub(crate) fn is_from_former_leader(
        &self,
        cluster: &Cluster,
        report: &pdpb::RegionHeartbeatRequest,
    ) -> bool {
        let Some(region) = &report.region else { return false };
        self.statuses.get(region.id).is_some_and(|status| report.term < status.term)
            && cluster
                .regions
                .by_id(region.id)
                .is_some_and(|known| known.region.region_epoch == region.region_epoch)
    }

    /// Takes in what a region reports of itself.
    pub(crate) fn note_report(
        &mut self,
        config: &ScheduleConfig,
        report: &pdpb::RegionHeartbeatRequest,
        now_micros: i64,
    ) {
        self.statuses.note(report, config.hot_load_min, now_micros);
    }

    /// Takes in what a region reports and tells what its leader should do.
    pub(crate) fn on_report(
        &mut self,
        config: &ScheduleConfig,
        cluster: &Cluster,
        merges: &Merges,
        report: (&pdpb::RegionHeartbeatRequest, &RegionRecord),
        now_micros: i64,
    ) -> Option<Order> {
        let (request, record) = report;
        let id = record.region.id;
        self.note_report(config, request, now_micros);
        if let Some(order) = self.go_on(config, cluster, record, now_micros) {
            return order;
        }
        if self.operators.is_busy(id) {
            return None;
        }
        if let Some(order) = self.scatter_one(config, cluster, record, now_micros) {
            return Some(order);
        }
        let (repairs, merging) = (
            self.schedulers.is_active(SchedulerKind::Repair, now_micros),
            self.schedulers.is_active(SchedulerKind::Merge, now_micros),
        );
        let mut ids = std::mem::take(&mut self.ids);
        let ctx = self.context(config, cluster, now_micros);
        let status = self.statuses.get(id)?;
        let view = View { record, status };
        let mut found = None;
        if repairs && operators::has_room(&ctx, OperatorKind::Repair) {
            found = repair::check(&ctx, &view, &mut ids);
        }
        if found.is_none() && merging && operators::has_room(&ctx, OperatorKind::Merge) {
            found = merge::check(&ctx, &view, merges, &mut ids);
        }
        let found = found.filter(|operator| operators::stores_have_room(&ctx, &view, &operator.steps));
        let order = found.as_ref().and_then(|operator| operator.progress(&ctx, &view).order);
        let is_location_checked = repairs && found.is_none() && repair::is_location_due(&ctx, &view);
        self.ids = ids;
        if is_location_checked && let Some(status) = self.statuses.get_mut(id) {
            status.location_checked_micros = now_micros;
        }
        self.operators_insert(found);
        order
    }

    /// Asks the schedulers that are due for work. Tells which stores are empty and may be buried.
    pub(crate) fn tick(&mut self, config: &ScheduleConfig, cluster: &Cluster, now_micros: i64) -> Vec<u64> {
        if !self.schedulers.begin_tick(config, now_micros) {
            return Vec::new();
        }
        self.operators.expire(now_micros);
        self.scatterer.expire(now_micros);
        self.slow_store = match self.schedulers.is_active(SchedulerKind::EvictSlowStore, now_micros) {
            true => leaders::slow_store(config, cluster, self.slow_store),
            false => None,
        };
        for kind in self.schedulers.due(now_micros) {
            let is_idle = self.run(kind, config, cluster, now_micros);
            self.schedulers.end_run(config, kind, is_idle, now_micros);
        }
        let ctx = self.context(config, cluster, now_micros);
        cluster.stores.keys().copied().filter(|id| ctx.is_leaving(*id) && ctx.is_empty(*id)).collect()
    }

    /// Forgets regions that are no more. A region that was to be merged has been.
    pub(crate) fn note_gone(&mut self, region_ids: &[u64], now_micros: i64) {
        for &id in region_ids {
            let is_merging = self
                .operators
                .get(id)
                .is_some_and(|operator| matches!(operator.rest(), [Step::Merge { .. }]));
            let result = if is_merging { OperatorResult::Success } else { OperatorResult::RegionGone };
            self.operators.end(id, result, now_micros);
            self.statuses.forget(id);
            self.scatterer.forget(id);
        }
    }

    /// Makes an operator that somebody asks for by hand; limits do not hold for it, what is safe does.
    pub(crate) fn wish(
        &mut self,
        config: &ScheduleConfig,
        cluster: &Cluster,
        region_id: u64,
        wish: Wish,
        now_micros: i64,
    ) -> Result<(), OperatorError> {
        let mut ids = std::mem::take(&mut self.ids);
        let ctx = self.context(config, cluster, now_micros);
        let planned = wish::plan(&ctx, region_id, wish, &mut ids);
        self.ids = ids;
        self.operators_insert(Some(planned?));
        Ok(())
    }

    /// Has a region spread with others of its group, as soon as it reports itself and is well; `false` if too many wait.
    pub(crate) fn scatter(&mut self, region_id: u64, group: &str, now_micros: i64) -> bool {
        self.scatterer.ask(region_id, group, now_micros)
    }

    /// Whether a region is being changed, or waits to be.
    pub(crate) fn is_scheduled(&self, region_id: u64) -> bool {
        self.operators.is_busy(region_id) || self.scatterer.is_waiting(region_id)
    }

    /// Whether a region waits to be spread with its group.
    pub(crate) fn waits_to_scatter(&self, region_id: u64) -> bool {
        self.scatterer.is_waiting(region_id)
    }

    /// Gives up the operator of a region; `false` if it has none.
    pub(crate) fn cancel(&mut self, region_id: u64, now_micros: i64) -> bool {
        self.operators.end(region_id, OperatorResult::Canceled, now_micros)
    }

    /// What decisions look at.
    pub(crate) fn context<'a>(
        &'a self,
        config: &'a ScheduleConfig,
        cluster: &'a Cluster,
        now_micros: i64,
    ) -> Context<'a> {
        Context {
            cluster,
            config,
            replication: &self.replication,
            operators: &self.operators,
            statuses: &self.statuses,
            slow_store: self.slow_store,
            opened_micros: self.opened_micros,
            now_micros,
        }
    }

    /// Brings the operator of the region further; `None` if it has none, or none any more.
    fn go_on(
        &mut self,
        config: &ScheduleConfig,
        cluster: &Cluster,
        record: &RegionRecord,
        now_micros: i64,
    ) -> Option<Option<Order>> {
        let id = record.region.id;
        let ctx = self.context(config, cluster, now_micros);
        let view = View { record, status: self.statuses.get(id)? };
        let progress = ctx.operators.get(id)?.progress(&ctx, &view);
        self.operators.go_to(id, &progress);
        match progress.end {
            Some(result) => {
                self.operators.end(id, result, now_micros);
                None
            }
            None => Some(progress.order),
        }
    }

    /// Sends a region on its way that waits to be spread with its group, and gives its first order.
    fn scatter_one(
        &mut self,
        config: &ScheduleConfig,
        cluster: &Cluster,
        record: &RegionRecord,
        now_micros: i64,
    ) -> Option<Order> {
        let id = record.region.id;
        if !self.scatterer.is_waiting(id) {
            return None;
        }
        let mut ids = std::mem::take(&mut self.ids);
        let ctx = self.context(config, cluster, now_micros);
        let view = View { record, status: self.statuses.get(id)? };
        let plan = self.scatterer.plan(&ctx, &view, &mut ids);
        let order = match &plan {
            Plan::Go(operator, ..) => operator.progress(&ctx, &view).order,
            Plan::Wait | Plan::Stay(..) => None,
        };
        self.ids = ids;
        match plan {
            Plan::Wait => {}
            Plan::Stay(layout, leader) => self.scatterer.note_planned(id, &layout, leader, now_micros),
            Plan::Go(operator, layout, leader) => {
                self.scatterer.note_planned(id, &layout, leader, now_micros);
                self.operators_insert(Some(operator));
            }
        }
        order
    }

    /// Lets a scheduler make operators as long as it finds any and has room for them; tells whether it found none.
    fn run(
        &mut self,
        kind: SchedulerKind,
        config: &ScheduleConfig,
        cluster: &Cluster,
        now_micros: i64,
    ) -> bool {
        let mut is_idle = true;
        loop {
            let (mut ids, mut cursors) =
                (std::mem::take(&mut self.ids), std::mem::take(self.schedulers.cursors(kind)));
            let ctx = self.context(config, cluster, now_micros);
            let found = schedulers::ask(kind, &ctx, &mut cursors, &mut ids);
            let fits = |operator: &Operator| {
                ctx.view(operator.region_id)
                    .is_some_and(|view| operators::stores_have_room(&ctx, &view, &operator.steps))
            };
            let found = found.filter(fits);
            self.ids = ids;
            *self.schedulers.cursors(kind) = cursors;
            let Some(operator) = found else { return is_idle };
            is_idle = false;
            if kind == SchedulerKind::HotRegion
                && let Some(status) = self.statuses.get_mut(operator.region_id)
            {
                status.hot_moved_micros = now_micros;
            }
            self.operators_insert(Some(operator));
        }
    }

    fn operators_insert(&mut self, operator: Option<Operator>) {
        if let Some(operator) = operator.filter(|operator| !operator.steps.is_empty()) {
            self.operators.insert(operator);
        }
    }
}
