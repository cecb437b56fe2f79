//! Reports to the placement driver, and commands that work on whole ranges.

use std::{
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use tidewater_codec::TimeStamp;
use tidewater_proto::{StoreRequest, kvrpcpb, pdpb};
use tokio::time::Instant;

use super::{Node, try_command, try_region};
use crate::{
    Cf, EngineError,
    data_version::WriteMark,
    mvcc::{DataKey, PessimisticChange, data_range},
    region::Region,
};

/// Reports regularly until the node is gone.
pub(super) async fn heartbeats(node: Weak<Node>, interval: Duration) {
    loop {
        tokio::time::sleep(interval).await;
        let Some(node) = node.upgrade() else { return };
        node.report().await;
    }
}

impl Node {
    /// Tells the placement driver how the store and its regions are. Failures are left to the next report.
    pub(super) async fn report(&self) {
        let regions = self.regions.all();
        let stats = pdpb::StoreStats {
            store_id: self.store_id,
            region_count: regions.len() as u32,
            used_size: regions.iter().map(|region| region.load.bytes.load(Ordering::Relaxed)).sum(),
            ..Default::default()
        };
        let heartbeat = pdpb::StoreHeartbeatRequest { stats: Some(stats), ..Default::default() };
        if let Err(error) = self.pd.store_heartbeat(heartbeat).await {
            tracing::warn!(%error, "the store heartbeat failed");
            return;
        }
        for region in regions {
            self.report_region(&region).await;
        }
    }

    pub(super) async fn report_region(&self, region: &Arc<Region>) {
        let load = &region.load;
        let heartbeat = pdpb::RegionHeartbeatRequest {
            region: Some(region.meta.clone()),
            leader: Some(region.peer),
            bytes_written: load.bytes_written.swap(0, Ordering::Relaxed),
            keys_written: load.keys_written.swap(0, Ordering::Relaxed),
            approximate_size: load.bytes.load(Ordering::Relaxed) >> 20,
            approximate_keys: load.keys.load(Ordering::Relaxed),
            ..Default::default()
        };
        match self.pd.region_heartbeat(heartbeat).await {
            Ok(order) => self.obey(region, &order),
            Err(error) => tracing::warn!(%error, region = region.id(), "the region heartbeat failed"),
        }
    }

    pub(super) fn delete_range(&self, request: kvrpcpb::DeleteRangeRequest) -> kvrpcpb::DeleteRangeResponse {
        let region = try_region!(self.regions.check(request.context.as_ref()));
        if request.notify_only {
            return kvrpcpb::DeleteRangeResponse::default();
        }
        let (start, end) = region.clamp(&request.start_key, &request.end_key);
        try_command!(self.destroy(start, end));
        kvrpcpb::DeleteRangeResponse::default()
    }

    pub(super) async fn unsafe_destroy_range(
        &self,
        request: kvrpcpb::UnsafeDestroyRangeRequest,
    ) -> kvrpcpb::UnsafeDestroyRangeResponse {
        // By intention without regard to regions: it goes to every store.
        let asked = Instant::now();
        let moved = self.moved_since(asked).await;
        try_command!(self.destroy(&request.start_key, &request.end_key));
        for (region, store) in moved {
            let (start, end) = region.clamp(&request.start_key, &request.end_key);
            if end.is_empty() || start < end {
                let clamped = kvrpcpb::UnsafeDestroyRangeRequest {
                    start_key: Bytes::copy_from_slice(start),
                    end_key: Bytes::copy_from_slice(end),
                    ..request.clone()
                };
                if let Err(error) = store.call(StoreRequest::UnsafeDestroyRange(clamped)).await {
                    tracing::warn!(%error, "a deleted range may leave remains on another store");
                }
            }
        }
        kvrpcpb::UnsafeDestroyRangeResponse::default()
    }

    fn destroy(&self, start: &[u8], end: &[u8]) -> Result<(), EngineError> {
        self.scheduler.replication.check_writable()?;
        let (lower, upper) = data_range(start, end);
        let pessimistic = &self.scheduler.pessimistic;
        let locks = pessimistic.range(
            &DataKey::from_engine(&lower),
            Some(&DataKey::from_engine(&upper)),
            usize::MAX,
            |_| true,
        );
        pessimistic.apply(locks.into_iter().map(|(key, _)| PessimisticChange::Remove(key)).collect());
        let regions = self.regions.all();
        let marks: Vec<_> = regions.iter().map(|region| region.version.begin(TimeStamp::ZERO)).collect();
        let flight = self.scheduler.rows.begin_everywhere();
        let result =
            Cf::ALL.into_iter().try_for_each(|cf| self.scheduler.engine.delete_range(cf, &lower, &upper));
        flight.finish(result.is_ok());
        if result.is_ok() {
            marks.into_iter().for_each(WriteMark::done);
        }
        result
    }
}
