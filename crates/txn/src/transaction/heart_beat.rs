//! While a transaction holds locks, its primary lock is kept alive.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use tidewater_codec::StartTs;
use tidewater_proto::kvrpcpb;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::cluster::Cluster;

/// The task that keeps a primary lock alive; dropping it stops the task.
pub(super) struct HeartBeat {
    task: JoinHandle<()>,
    lost: Arc<AtomicBool>,
}

impl HeartBeat {
    pub(super) fn start(cluster: Arc<Cluster>, start: StartTs, primary: Bytes, begun: Instant) -> Self {
        let lost = Arc::new(AtomicBool::new(false));
        let task = tokio::spawn(beat(cluster, start, primary, begun, lost.clone()));
        Self { task, lost }
    }

    /// Whether the primary lock turned out to be gone.
    pub(super) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }
}

impl Drop for HeartBeat {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn beat(cluster: Arc<Cluster>, start: StartTs, primary: Bytes, begun: Instant, lost: Arc<AtomicBool>) {
    let config = &cluster.config;
    loop {
        tokio::time::sleep(config.heart_beat_interval).await;
        let age = begun.elapsed();
        if age > config.lifetime_max {
            return;
        }
        let mut backoff = cluster.backoff(config.lock_ttl);
        let request = kvrpcpb::TxnHeartBeatRequest {
            primary_lock: primary.clone(),
            start_version: start.into_inner(),
            // A time to live counts from the start of the transaction.
            advise_lock_ttl: u64::try_from((age + config.lock_ttl).as_millis()).unwrap_or(u64::MAX),
            ..Default::default()
        };
        match cluster.send_to_key(&primary, &mut backoff, || request.clone()).await {
            Ok(response) if response.error.is_none() => {}
            Ok(_) => {
                lost.store(true, Ordering::Relaxed);
                return;
            }
            // Silence proves nothing: the next beat may come through in time.
            Err(error) => tracing::warn!(%start, %error, "a heart beat did not arrive"),
        }
    }
}
