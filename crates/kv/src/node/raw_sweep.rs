//! Removes raw data whose time has come. Nobody sees it any more; this gives its space back.

use std::{sync::Weak, time::Duration};

use super::Node;
use crate::{
    Cf, Durability, IteratorOptions, WriteBatch,
    raw::{RawEntry, all_raw, visible},
    replication::WriteError,
};

/// Entries looked at before others get their turn.
const ENTRIES_PER_BATCH: usize = 4096;

/// Sweeps regularly until the node is gone.
pub(super) async fn sweep_regularly(node: Weak<Node>, interval: Duration) {
    loop {
        tokio::time::sleep(interval).await;
        let Some(node) = node.upgrade() else { return };
        if let Err(WriteError::Refused(error) | WriteError::Unknown(error)) = node.sweep_raw().await {
            tracing::warn!(%error, "the sweep of expired raw data failed");
        }
    }
}

impl Node {
    async fn sweep_raw(&self) -> Result<(), WriteError> {
        let (mut lower, upper) = all_raw();
        loop {
            let Batch { expired, resume } = self.find_expired(&lower, &upper).map_err(WriteError::Refused)?;
            if !expired.is_empty() {
                self.delete_expired(&expired).await?;
            }
            match resume {
                Some(resume) => lower = resume,
                None => return Ok(()),
            }
            tokio::task::yield_now().await;
        }
    }

    fn find_expired(&self, lower: &[u8], upper: &[u8]) -> Result<Batch, crate::EngineError> {
        let now = self.raw_now();
        let options = IteratorOptions {
            fill_cache: false,
            ..IteratorOptions::range(lower.to_vec(), Some(upper.to_vec()))
        };
        let mut cursor = self.scheduler.engine.snapshot().iterator(Cf::Default, options);
        let mut expired = Vec::new();
        let mut valid = cursor.seek(lower)?;
        for _ in 0..ENTRIES_PER_BATCH {
            if !valid {
                return Ok(Batch { expired, resume: None });
            }
            if RawEntry::parse(cursor.value())?.is_expired(now) {
                expired.push(cursor.key().to_vec());
            }
            valid = cursor.next()?;
        }
        Ok(Batch { expired, resume: valid.then(|| cursor.key().to_vec()) })
    }

    async fn delete_expired(&self, keys: &[Vec<u8>]) -> Result<(), WriteError> {
        let latches = self.scheduler.latches.acquire(keys.iter().map(|key| &key[..])).await;
        let now = self.raw_now();
        let mut batch = WriteBatch::new();
        for key in keys {
            // Somebody may have written it in the meantime.
            let stored = self.scheduler.engine.get(Cf::Default, key).map_err(WriteError::Refused)?;
            if stored.is_some() && visible(stored.as_ref(), now).map_err(WriteError::Refused)?.is_none() {
                batch.delete(Cf::Default, key.clone());
            }
        }
        metrics::counter!("tidewater_kv_raw_expired_total").increment(batch.ops().len() as u64);
        // What is lost of this with the power is swept again.
        self.scheduler.replication.write(batch, Durability::Buffered, Box::new(move |_| drop(latches))).await
    }
}

/// What one look came to.
struct Batch {
    expired: Vec<Vec<u8>>,
    /// Where to go on.
    resume: Option<Vec<u8>>,
}
