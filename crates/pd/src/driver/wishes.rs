//! Operators that are asked for: by people through the pages, by SQL nodes and tools through the protocol.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use tidewater_proto::{PdError, pdpb};

use super::checks::invalid;
use super::{PlacementDriver, Plans};
use crate::OperatorError;
use crate::schedule::{OperatorKind, OperatorResult, ReplicaRole, SCATTER, SplitPolicy, Wish};

/// Most regions, or keys, that one call may name.
const NAMED_MAX: usize = 16_384;
/// Most bytes of the name of a group of regions.
const GROUP_BYTES_MAX: usize = 256;
/// Between looks at whether regions were cut.
const SPLIT_LOOK: Duration = Duration::from_millis(100);
/// How often it is looked for each retry that a caller grants.
const LOOKS_PER_RETRY: u64 = 20;
/// Retries of a caller that names no number, and the most that anybody gets.
const RETRIES_USUAL: u64 = 10;
const RETRIES_MAX: u64 = 30;

impl PlacementDriver {
    /// Lets another store lead a region; it must have a voter there that has caught up.
    pub async fn transfer_leader(&self, region_id: u64, to_store: u64) -> Result<(), OperatorError> {
        self.wish(region_id, Wish::TransferLeader { to_store }).await
    }

    /// Gives a region one more peer. Rules that ask for fewer will have it removed.
    pub async fn add_peer(
        &self,
        region_id: u64,
        store_id: u64,
        role: ReplicaRole,
    ) -> Result<(), OperatorError> {
        self.wish(region_id, Wish::AddPeer { store_id, role }).await
    }

    /// Removes a peer, if a majority of the rest is well. Rules that ask for more will have another one added.
    pub async fn remove_peer(&self, region_id: u64, store_id: u64) -> Result<(), OperatorError> {
        self.wish(region_id, Wish::RemovePeer { store_id }).await
    }

    /// Moves a peer to a store that has none of the region.
    pub async fn transfer_peer(
        &self,
        region_id: u64,
        from_store: u64,
        to_store: u64,
    ) -> Result<(), OperatorError> {
        self.wish(region_id, Wish::TransferPeer { from_store, to_store }).await
    }

    /// Makes a region a part of its neighbor, whatever their sizes. Both must be well.
    pub async fn merge_regions(&self, source: u64, target: u64) -> Result<(), OperatorError> {
        self.wish(source, Wish::Merge { target }).await
    }

    /// Has a region cut in the middle, or at encoded keys inside of it ([`SplitPolicy::UseKey`] needs them, the others take none).
    pub async fn split_region(
        &self,
        region_id: u64,
        policy: SplitPolicy,
        keys: Vec<Bytes>,
    ) -> Result<(), OperatorError> {
        self.wish(region_id, Wish::Split { policy, keys }).await
    }

    /// Has regions spread over the stores, each group for itself, when they report themselves next. Gives those that are not known, or for which
    /// there is no room in the queue. Regions with one copy each are left to balance.
    pub fn scatter_regions(
        &self,
        region_ids: impl IntoIterator<Item = u64>,
        group: &str,
    ) -> Result<Vec<u64>, PdError> {
        if group.len() > GROUP_BYTES_MAX {
            return Err(invalid(format!("the name of a group has {GROUP_BYTES_MAX} bytes at most")));
        }
        let (mut plans, cluster) = (self.plans.lock(), self.cluster.read());
        let now = self.clock.now_micros();
        let mut refused = Vec::new();
        for region_id in region_ids {
            let is_known = cluster.regions.by_id(region_id).is_some();
            let is_taken = !plans.config.replicated || plans.coordinator.scatter(region_id, group, now);
            if !is_known || !is_taken {
                refused.push(region_id);
            }
        }
        Ok(refused)
    }

    pub(super) async fn answer_scatter(
        &self,
        request: pdpb::ScatterRegionRequest,
    ) -> Result<pdpb::ScatterRegionResponse, PdError> {
        let ids: BTreeSet<u64> = match request.regions_id.is_empty() {
            true => [request.region_id].into_iter().filter(|id| *id != 0).collect(),
            false => request.regions_id.into_iter().collect(),
        };
        if ids.is_empty() || ids.len() > NAMED_MAX {
            return Err(invalid(format!(
                "{} regions are to be scattered, between 1 and {NAMED_MAX} can be",
                ids.len()
            )));
        }
        let count = ids.len();
        let failed_regions_id = self.scatter_regions(ids, &request.group)?;
        Ok(pdpb::ScatterRegionResponse {
            header: self.header(),
            finished_percentage: percentage(count - failed_regions_id.len(), count),
            failed_regions_id,
        })
    }

    /// What was last under way with a region. Of a region without operators the answer is that all went well.
    pub(super) fn answer_operator(&self, region_id: u64) -> pdpb::GetOperatorResponse {
        let plans = self.plans.lock();
        let operators = plans.coordinator.operators();
        let response = |reason: &'static str, kind: OperatorKind, status: pdpb::OperatorStatus| {
            pdpb::GetOperatorResponse {
                header: self.header(),
                region_id,
                desc: Bytes::from_static(reason.as_bytes()),
                status: status.into(),
                kind: Bytes::from_static(kind.name().as_bytes()),
            }
        };
        if plans.coordinator.waits_to_scatter(region_id) {
            return response(SCATTER, OperatorKind::Admin, pdpb::OperatorStatus::Running);
        }
        if let Some(running) = operators.get(region_id) {
            return response(running.reason, running.kind, pdpb::OperatorStatus::Running);
        }
        match operators.finished().rev().find(|finished| finished.operator.region_id == region_id) {
            Some(finished) => {
                response(finished.operator.reason, finished.operator.kind, status_of(finished.result))
            }
            None => pdpb::GetOperatorResponse { header: self.header(), region_id, ..Default::default() },
        }
    }

    /// Has regions cut so that each of these encoded keys begins one, and waits for it.
    pub(super) async fn answer_split(
        &self,
        request: pdpb::SplitRegionsRequest,
    ) -> Result<pdpb::SplitRegionsResponse, PdError> {
        let (keys, new) = self.split_at(request.split_keys, request.retry_limit).await?;
        Ok(pdpb::SplitRegionsResponse {
            header: self.header(),
            finished_percentage: percentage(new.len(), keys),
            regions_id: new,
        })
    }

    pub(super) async fn answer_split_and_scatter(
        &self,
        request: pdpb::SplitAndScatterRegionsRequest,
    ) -> Result<pdpb::SplitAndScatterRegionsResponse, PdError> {
        let (keys, new) = self.split_at(request.split_keys, request.retry_limit).await?;
        let refused = self.scatter_regions(new.iter().copied(), &request.group)?;
        Ok(pdpb::SplitAndScatterRegionsResponse {
            header: self.header(),
            split_finished_percentage: percentage(new.len(), keys),
            scatter_finished_percentage: percentage(new.len() - refused.len(), new.len()),
            regions_id: new,
        })
    }

    /// Returns how many keys there are, and the regions that begin with them.
    async fn split_at(&self, keys: Vec<Bytes>, retry_limit: u64) -> Result<(usize, Vec<u64>), PdError> {
        let keys: BTreeSet<Bytes> = keys.into_iter().collect();
        if keys.is_empty() || keys.len() > NAMED_MAX {
            return Err(invalid(format!(
                "regions are to be cut at {} keys, between 1 and {NAMED_MAX} are possible",
                keys.len()
            )));
        }
        let retries = if retry_limit == 0 { RETRIES_USUAL } else { retry_limit.min(RETRIES_MAX) };
        for _ in 0..retries * LOOKS_PER_RETRY {
            let left = self.keys_to_cut(&keys);
            if left.is_empty() {
                break;
            }
            for (region_id, keys) in left {
                match self.split_region(region_id, SplitPolicy::UseKey, keys).await {
                    // It will be cut, or is being changed: another look will tell.
                    Ok(()) | Err(OperatorError::Busy { .. } | OperatorError::RegionNotFound { .. }) => {}
                    Err(OperatorError::Driver(error)) => return Err(error),
                    Err(error) => return Err(invalid(error.to_string())),
                }
            }
            tokio::time::sleep(SPLIT_LOOK).await;
        }
        let cluster = self.cluster.read();
        let begins = |key: &Bytes| {
            let record = cluster.regions.by_key(key)?;
            (record.region.start_key == *key).then_some(record.region.id)
        };
        Ok((keys.len(), keys.iter().filter_map(begins).collect()))
    }

    /// The keys that begin no region, by the region that they are in.
    fn keys_to_cut(&self, keys: &BTreeSet<Bytes>) -> BTreeMap<u64, Vec<Bytes>> {
        let cluster = self.cluster.read();
        let mut left: BTreeMap<u64, Vec<Bytes>> = BTreeMap::new();
        for key in keys {
            if let Some(record) = cluster.regions.by_key(key).filter(|record| record.region.start_key != *key)
            {
                left.entry(record.region.id).or_default().push(key.clone());
            }
        }
        left
    }

    async fn wish(&self, region_id: u64, wish: Wish) -> Result<(), OperatorError> {
        let needs_ids = self.plans.lock().coordinator.needs_ids();
        if needs_ids {
            self.refill_peer_ids().await?;
        }
        let mut plans = self.plans.lock();
        let Plans { config, coordinator, .. } = &mut *plans;
        if !config.replicated {
            return Err(OperatorError::NotReplicated);
        }
        coordinator.wish(config, &self.cluster.read(), region_id, wish, self.clock.now_micros())
    }
}

fn status_of(result: OperatorResult) -> pdpb::OperatorStatus {
    match result {
        OperatorResult::Success => pdpb::OperatorStatus::Success,
        OperatorResult::Timeout => pdpb::OperatorStatus::Timeout,
        OperatorResult::Stale => pdpb::OperatorStatus::Replace,
        OperatorResult::StoreLost | OperatorResult::RegionGone | OperatorResult::Canceled => {
            pdpb::OperatorStatus::Cancel
        }
    }
}

fn percentage(part: usize, whole: usize) -> u64 {
    (part * 100).checked_div(whole).unwrap_or(100) as u64
}
