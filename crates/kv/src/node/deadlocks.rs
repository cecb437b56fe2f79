//! Reporting waits to the store that leads the detection of deadlocks, and being that store.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tidewater_proto::deadlock::{DeadlockRequest, DeadlockResponse};
use tidewater_proto::{StoreRequest, StoreResponse, StoreService, pdpb};
use tokio::time::Instant;

use super::Node;
use crate::detector::{Reports, edge};

/// How long it is believed that the same store leads.
const LEADER_TRUST: Duration = Duration::from_secs(5);

/// Who leads the detection.
enum Leader {
    Myself,
    Other(Arc<dyn StoreService>),
}

/// Reports waits until the node is gone.
pub(super) async fn report_waits(node: Weak<Node>, mut reports: Reports) {
    let mut leader: Option<(Instant, Leader)> = None;
    while let Some(request) = reports.next().await {
        let Some(node) = node.upgrade() else { return };
        if leader.as_ref().is_none_or(|(since, _)| since.elapsed() > LEADER_TRUST) {
            leader = node.detection_leader().await.map(|found| (Instant::now(), found));
        }
        let answer = match &leader {
            None => continue,
            Some((_, Leader::Myself)) => node.detect(&request),
            Some((_, Leader::Other(store))) => match store.call(StoreRequest::Deadlock(request)).await {
                Ok(StoreResponse::Deadlock(answer)) => answer,
                Ok(_) | Err(_) => {
                    leader = None;
                    continue;
                }
            },
        };
        if let Some(entry) = &answer.entry {
            let chain = answer.wait_chain.iter().map(edge).collect();
            node.scheduler.waits.break_circle(edge(entry), chain);
        }
    }
}

impl Node {
    pub(super) fn detect(&self, request: &DeadlockRequest) -> DeadlockResponse {
        self.detector.lock().handle(request)
    }

    /// The store of the first region.
    async fn detection_leader(&self) -> Option<Leader> {
        let found = self.pd.get_region(pdpb::GetRegionRequest::default()).await.ok()?;
        let store_id = found.leader?.store_id;
        if store_id == self.store_id {
            return Some(Leader::Myself);
        }
        self.store_at(store_id).await.ok().map(Leader::Other)
    }
}
