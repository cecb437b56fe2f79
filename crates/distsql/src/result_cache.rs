//! Answers kept on the SQL node, to be given again while a region's data stays the same.
//!
//! The store decides: an answer comes with a version of the region's data, the next request of the same kind names it, and the store
//! says whether it still holds. What is saved is the work on the store and the bytes of the answer, not the round trip.
//!
//! Only whole answers are kept, of fragments that reduce what they read, if they are small and took their time. A key names the
//! store, the region with its epoch, the fragment byte for byte, and the ranges.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use moka::sync::Cache;
use tidewater_codec::{Key, StartTs};
use tidewater_proto::coprocessor::Response;
use tidewater_txn::{CacheUse, RegionTask};
use tokio::time::Duration;

/// Bytes of all answers and keys.
const CACHE_BYTES_MAX: u64 = 64 << 20;
/// Bytes of one answer.
const ANSWER_BYTES_MAX: usize = 256 << 10;
/// Bytes of one key.
const KEY_BYTES_MAX: usize = 16 << 10;
/// What is answered faster is not worth its place.
const ANSWER_TIME_MIN: Duration = Duration::from_millis(5);

/// Answers of stores; shared by the sessions of a SQL node.
pub struct ResultCache {
    answers: Cache<Bytes, Kept>,
    time_min: Duration,
    hits: AtomicU64,
}

#[derive(Clone)]
struct Kept {
    version: u64,
    /// When it was read.
    ts: StartTs,
    data: Bytes,
}

impl Default for ResultCache {
    fn default() -> Self {
        Self::keeping_from(ANSWER_TIME_MIN)
    }
}

impl ResultCache {
    /// A cache of answers that took at least so long.
    pub fn keeping_from(time_min: Duration) -> Self {
        let weight =
            |key: &Bytes, kept: &Kept| u32::try_from(key.len() + kept.data.len()).unwrap_or(u32::MAX);
        Self {
            answers: Cache::builder().max_capacity(CACHE_BYTES_MAX).weigher(weight).build(),
            time_min,
            hits: AtomicU64::new(0),
        }
    }

    /// Answers that were given again so far.
    pub fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    /// What a request may say of an answer that is here.
    pub(crate) fn look(&self, fragment: &Bytes, task: &RegionTask, ts: StartTs) -> Look<'_> {
        let Some(key) = key(fragment, task).filter(|_| ts != tidewater_txn::Snapshot::LATEST) else {
            return Look { cache: self, key: None, kept: None, ts };
        };
        let kept = self.answers.get(&key).filter(|kept| kept.ts <= ts);
        Look { cache: self, key: Some(key), kept, ts }
    }
}

fn key(fragment: &Bytes, task: &RegionTask) -> Option<Bytes> {
    let mut key = Vec::with_capacity(fragment.len() + 64);
    let (version, conf_ver) = task.region.epoch();
    for number in [task.region.leader_store(), task.region.id(), version, conf_ver, fragment.len() as u64] {
        key.extend_from_slice(&number.to_be_bytes());
    }
    key.extend_from_slice(fragment);
    for Range { start, end } in &task.ranges {
        for bound in [start, end] {
            push_key(bound, &mut key);
        }
        if key.len() > KEY_BYTES_MAX {
            return None;
        }
    }
    (key.len() <= KEY_BYTES_MAX).then(|| key.into())
}

fn push_key(key: &Key, out: &mut Vec<u8>) {
    out.extend_from_slice(&(key.as_bytes().len() as u64).to_be_bytes());
    out.extend_from_slice(key.as_bytes());
}

/// A look into the cache, before a request.
pub(crate) struct Look<'a> {
    cache: &'a ResultCache,
    /// `None`: the answer cannot be kept.
    key: Option<Bytes>,
    kept: Option<Kept>,
    ts: StartTs,
}

impl Look<'_> {
    /// For the request.
    pub(crate) fn cache_use(&self) -> CacheUse {
        match (&self.key, &self.kept) {
            (None, _) => CacheUse::Never,
            (Some(_), None) => CacheUse::Keep,
            (Some(_), Some(kept)) => CacheUse::Have(kept.version),
        }
    }

    /// The data of an answer: kept, if it was a hit; to be kept perhaps. `None` if the store means an answer that is not here.
    pub(crate) fn settle(self, response: Response, is_whole: bool, took: Duration) -> Option<Bytes> {
        if response.is_cache_hit {
            metrics::counter!("tidewater_distsql_result_cache_total", "outcome" => "hit").increment(1);
            self.cache.hits.fetch_add(1, Ordering::Relaxed);
            return self.kept.map(|kept| kept.data);
        }
        let Some(key) = self.key else { return Some(response.data) };
        metrics::counter!("tidewater_distsql_result_cache_total", "outcome" => "miss").increment(1);
        let worth = response.data.len() <= ANSWER_BYTES_MAX && took >= self.cache.time_min;
        if worth && is_whole && response.can_be_cached && response.cache_last_version != 0 {
            // A copy: the answer may be a part of a greater buffer.
            let data = Bytes::copy_from_slice(&response.data);
            self.cache.answers.insert(key, Kept { version: response.cache_last_version, ts: self.ts, data });
        }
        Some(response.data)
    }
}
