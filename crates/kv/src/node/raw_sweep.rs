//! Removes raw data whose time has come. Nobody sees it any more; this gives its space back.
//!
//! A sweep reads all raw data, so it happens only when something has expired, and never takes more than a small part of the time.

use std::{sync::Weak, time::Duration};

use tokio::time::Instant;

use super::Node;
use crate::{
    Cf, Durability, IteratorOptions, WriteBatch,
    raw::{RawEntry, all_raw, visible},
    region::Region,
    replication::WriteError,
};

/// Entries looked at before others get their turn.
const ENTRIES_PER_BATCH: usize = 4096;
/// The pause after a sweep, in times of how long it took, at least.
const PAUSE_PER_SWEEP: u32 = 20;

/// Sweeps regularly until the node is gone.
pub(super) async fn sweep_regularly(node: Weak<Node>, interval: Duration) {
    let mut pause = interval;
    loop {
        tokio::time::sleep(pause).await;
        let Some(node) = node.upgrade() else { return };
        let started = Instant::now();
        if let Err(error) = node.sweep_raw().await {
            let error = error.into_engine_error();
            tracing::warn!(%error, "the sweep of expired raw data failed");
            // What it did not come to is not noted.
            node.scheduler.raw_expiry.note(1);
        }
        pause = interval.max(started.elapsed() * PAUSE_PER_SWEEP);
    }
}

impl Node {
    async fn sweep_raw(&self) -> Result<(), WriteError> {
        if !self.scheduler.raw_expiry.begin_search(self.raw_now()) {
            return Ok(());
        }
        let (mut lower, upper) = all_raw();
        loop {
            let Batch { expired, resume } = self.find_expired(&lower, &upper).map_err(WriteError::Refused)?;
            self.delete_expired(expired).await?;
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
            let entry = RawEntry::parse(cursor.value())?;
            match entry.is_expired(now) {
                true => expired.push(cursor.key().to_vec()),
                false => self.scheduler.raw_expiry.note(entry.expires_at),
            }
            valid = cursor.next()?;
        }
        Ok(Batch { expired, resume: valid.then(|| cursor.key().to_vec()) })
    }

    /// Keys of replicated regions are removed by those who lead them.
    async fn delete_expired(&self, mut keys: Vec<Vec<u8>>) -> Result<(), WriteError> {
        if !self.is_replicated() {
            return self.delete_expired_in(None, &keys).await;
        }
        for region in self.regions.all() {
            let own = keys.extract_if(.., |key| region.owns_engine_key(key)).collect::<Vec<_>>();
            self.delete_expired_in(Some(&region), &own).await?;
        }
        Ok(())
    }

    async fn delete_expired_in(&self, region: Option<&Region>, keys: &[Vec<u8>]) -> Result<(), WriteError> {
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
        let release = Box::new(move |_| drop(latches));
        match region {
            Some(region) => self.scheduler.write(region, batch, Durability::Buffered, release).await,
            None => self.scheduler.replication.write(batch, Durability::Buffered, release).await,
        }
    }
}

/// What one look came to.
struct Batch {
    expired: Vec<Vec<u8>>,
    /// Where to go on.
    resume: Option<Vec<u8>>,
}
