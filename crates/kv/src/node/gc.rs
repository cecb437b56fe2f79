//! Garbage collection: on request for a region, and for all regions when the safe point moves.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tidewater_codec::TimeStamp;
use tidewater_proto::{kvrpcpb, pdpb};

use super::{Node, try_command, try_region};
use crate::{
    commands::gc::{GcKeys, find_garbage},
    error::CommandError,
    region::Region,
};

/// Keys collected under one set of latches.
const KEYS_PER_BATCH: usize = 256;
/// Versions looked at before others get their turn.
const VERSIONS_PER_BATCH: usize = 20_000;

/// Collects garbage whenever the safe point has moved, until the node is gone.
pub(super) async fn follow_safe_point(node: Weak<Node>, interval: Duration) {
    loop {
        tokio::time::sleep(interval).await;
        let Some(node) = node.upgrade() else { return };
        match node.pd.get_gc_safe_point(pdpb::GetGcSafePointRequest::default()).await {
            Ok(answer) => node.collect_all(TimeStamp::new(answer.safe_point)).await,
            Err(error) => tracing::warn!(%error, "the safe point is not known"),
        }
    }
}

impl Node {
    pub(super) async fn gc_region(&self, request: kvrpcpb::GcRequest) -> kvrpcpb::GcResponse {
        let region = try_region!(self.regions.check(request.context.as_ref()));
        try_command!(self.collect(&region, TimeStamp::new(request.safe_point)).await);
        kvrpcpb::GcResponse::default()
    }

    async fn collect_all(&self, safe_point: TimeStamp) {
        if safe_point <= *self.gc_done.lock() {
            return;
        }
        let mut is_done = true;
        for region in self.regions.all() {
            // One that was split or moved meanwhile keeps nobody else from it.
            if let Err(error) = self.collect(&region, safe_point).await {
                tracing::warn!(%error, region = region.id(), "garbage collection failed");
                is_done = false;
            }
        }
        if is_done {
            *self.gc_done.lock() = safe_point;
        }
    }

    async fn collect(&self, region: &Arc<Region>, safe_point: TimeStamp) -> Result<usize, CommandError> {
        let (mut lower, upper) = region.data_range();
        let mut deleted = 0;
        loop {
            // A new snapshot per batch: old ones keep deleted data alive.
            let snapshot = self.scheduler.engine.snapshot();
            let garbage =
                find_garbage(&snapshot, &lower, &upper, safe_point, KEYS_PER_BATCH, VERSIONS_PER_BATCH)?;
            drop(snapshot);
            if !garbage.keys.is_empty() {
                deleted += self.scheduler.run(region, &GcKeys { keys: garbage.keys, safe_point }).await?;
            }
            match garbage.resume {
                Some(resume) => lower = resume,
                None => {
                    metrics::counter!("tidewater_kv_gc_versions_deleted_total").increment(deleted as u64);
                    return Ok(deleted);
                }
            }
            tokio::task::yield_now().await;
        }
    }
}
