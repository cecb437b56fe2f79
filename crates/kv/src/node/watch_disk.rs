//! Looks at the disk, and what follows from it.

use std::sync::{Arc, Weak};

use tidewater_proto::{errorpb, kvrpcpb};
use tokio::{sync::watch, time::Instant};

use super::Node;
use crate::{
    health::{DiskWatch, LOOK_INTERVAL},
    region::RegionError,
};

/// A score that the placement driver should not wait for.
const ALARMING_SCORE: u64 = 60;

/// Looks at how much room there is until the node is gone.
pub(super) async fn watch_space(node: Weak<Node>, watched: DiskWatch) {
    loop {
        let disk = watched.disk.clone();
        // A look may hang as long as the device does.
        let space = tokio::task::spawn_blocking(move || disk.space()).await.ok().flatten();
        let Some(node) = node.upgrade() else { return };
        if let Some(space) = space
            && node.health.note_space(space, watched.reserve_bytes)
        {
            match node.health.is_full() {
                true => tracing::error!(
                    available = space.available,
                    reserve = watched.reserve_bytes,
                    "the disk is nearly full: nothing is taken in any more that makes the data larger"
                ),
                false => tracing::info!(available = space.available, "the disk has room again"),
            }
        }
        drop(node);
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

/// Measures small synced writes to the Raft log until the node is gone.
pub(super) async fn watch_latency(node: Weak<Node>) {
    // One probe at a time is under way; as long as it is, its age counts.
    let (answers, mut answered) = watch::channel(0_u64);
    let answers = Arc::new(answers);
    for number in 1.. {
        let since = Instant::now();
        {
            let Some(node) = node.upgrade() else { return };
            let Some(replicas) = &node.replicas else { return };
            let answers = answers.clone();
            let node = node.this.clone();
            replicas.probe_log(move |result| match (result, node.upgrade()) {
                (Ok(()), _) => drop(answers.send(number)),
                (Err(error), Some(node)) => node.health.note_failure(error.to_string()),
                (Err(_), None) => {}
            });
        }
        loop {
            let is_over =
                tokio::time::timeout(LOOK_INTERVAL, answered.wait_for(|last| *last >= number)).await.is_ok();
            let latency = since.elapsed();
            let Some(node) = node.upgrade() else { return };
            let before = node.health.slow_score();
            node.health.note_probe(latency);
            if before < ALARMING_SCORE && node.health.slow_score() >= ALARMING_SCORE {
                tracing::warn!(?latency, "the disk is slow: the store should lead nothing");
                node.report_store().await;
            }
            if is_over {
                drop(node);
                tokio::time::sleep(LOOK_INTERVAL.saturating_sub(latency)).await;
                break;
            }
        }
    }
}

impl Node {
    /// Waits until the device of the Raft log has failed, and says how: from then on no region is replicated here, and the process had better end,
    /// for others lead its regions as soon as it does.
    pub async fn log_failed(&self) -> String {
        self.health.failure().await
    }

    /// Refuses what would make the data larger while the disk is nearly full; what makes room, or says that it must be, goes on.
    pub(super) fn check_room(&self, context: Option<&kvrpcpb::Context>) -> Result<(), RegionError> {
        let is_urgent =
            context.is_some_and(|context| context.disk_full_opt() != kvrpcpb::DiskFullOpt::NotAllowedOnFull);
        if !self.health.is_full() || is_urgent {
            return Ok(());
        }
        let available = self.health.space().map_or(0, |space| space.available);
        let reason =
            format!("the disk of store {} is nearly full, {} MiB are left", self.store_id, available >> 20);
        Err(Box::new(errorpb::Error {
            message: reason.clone(),
            disk_full: Some(errorpb::DiskFull { store_id: vec![self.store_id], reason }),
            ..Default::default()
        }))
    }
}
