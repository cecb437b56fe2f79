//! Regions that are read much are cut, so that another store can lead a part of them.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tidewater_codec::Key;
use tokio::time::Instant;

use super::Node;
use crate::read_load::ReadLimits;

/// Between looks at what is read.
const LOOK: Duration = Duration::from_secs(1);

/// Looks at all regions regularly, until the node is gone.
pub(super) async fn watch_reads(node: Weak<Node>, limits: ReadLimits) {
    let mut last = Instant::now();
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(node) = node.upgrade() else { return };
        let since = last.elapsed();
        last = Instant::now();
        for region in node.regions.all() {
            if let Some(key) = region.load.reads.look(limits, since) {
                let node = node.clone();
                tokio::spawn(async move { node.split_busy(region.id(), key).await });
            }
        }
    }
}

impl Node {
    async fn split_busy(self: Arc<Self>, region_id: u64, key: Key) {
        match self.split(region_id, &[key]).await {
            Ok(parts) if parts.len() > 1 => {
                tracing::info!(region = region_id, "the region is read much and was cut");
                metrics::counter!("tidewater_kv_region_split_by_load_total").increment(1);
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, region = region_id, "a busy region was not cut"),
        }
    }
}
