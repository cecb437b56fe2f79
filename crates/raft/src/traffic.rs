//! How much a store sends and receives at once, and how fast: entries and snapshots.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use crate::spool::Spools;

/// The limits of a store's snapshots; names and defaults are TiKV's.
#[derive(Debug, Clone)]
pub struct SnapshotLimits {
    /// Bytes per second that the store sends, in all; 0 is no limit.
    pub bytes_per_second_max: u64,
    /// Snapshots that are sent at once; more wait.
    pub sending_max: usize,
    /// Snapshots that are received at once; more are refused, and come again.
    pub receiving_max: usize,
    /// Bytes of snapshots that are here and not yet installed, beyond which no other is begun; 0 is no limit.
    pub kept_bytes_max: u64,
}

impl Default for SnapshotLimits {
    fn default() -> Self {
        Self { bytes_per_second_max: 100 << 20, sending_max: 32, receiving_max: 32, kept_bytes_max: 0 }
    }
}

/// How many snapshots are on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SnapshotCounts {
    /// From here.
    pub sending: usize,
    /// To here.
    pub receiving: usize,
    /// All of them is here, and becomes the state of a member.
    pub installing: usize,
}

/// What all groups of a store share in sending and receiving.
pub(crate) struct Traffic {
    limits: SnapshotLimits,
    unanswered_bytes_max: usize,
    /// Bytes of entries that have been sent and not been answered, by the store they were sent to.
    unanswered: Mutex<BTreeMap<u64, usize>>,
    sending: Arc<Semaphore>,
    receiving: Arc<Semaphore>,
    installing: AtomicUsize,
    /// When the way is free for the next piece.
    free_at: Mutex<Option<Instant>>,
    pub(crate) spools: Arc<Spools>,
}

impl Traffic {
    pub(crate) fn new(unanswered_bytes_max: usize, limits: SnapshotLimits, spools: Arc<Spools>) -> Self {
        let places = |count: usize| Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS)));
        Self {
            sending: places(limits.sending_max),
            receiving: places(limits.receiving_max),
            installing: AtomicUsize::new(0),
            free_at: Mutex::default(),
            unanswered_bytes_max,
            unanswered: Mutex::default(),
            limits,
            spools,
        }
    }

    /// Room for so many bytes of entries among those that a store has not answered, if there is some left. The last ones in may take more than
    /// is left: large entries would wait for ever otherwise.
    pub(crate) fn begin_append(self: &Arc<Self>, store: u64, bytes: usize) -> Option<Append> {
        let mut unanswered = self.unanswered.lock();
        let used = unanswered.entry(store).or_default();
        if *used >= self.unanswered_bytes_max {
            return None;
        }
        *used += bytes;
        Some(Append { traffic: self.clone(), store, bytes })
    }

    /// Waits for a place among the snapshots that are sent.
    pub(crate) async fn begin_sending(&self) -> Option<OwnedSemaphorePermit> {
        self.sending.clone().acquire_owned().await.ok()
    }

    /// A place among those that are received, if there is one.
    pub(crate) fn begin_receiving(&self) -> Result<OwnedSemaphorePermit, &'static str> {
        let kept_bytes_max = self.limits.kept_bytes_max;
        if kept_bytes_max > 0 && self.spools.bytes() >= kept_bytes_max {
            return Err("too many bytes of snapshots wait here");
        }
        self.receiving.clone().try_acquire_owned().map_err(|_| "too many snapshots are on their way here")
    }

    /// Counts an installation for as long as this lives.
    pub(crate) fn begin_installing(self: &Arc<Self>) -> Installing {
        self.installing.fetch_add(1, Ordering::Relaxed);
        Installing(self.clone())
    }

    pub(crate) fn counts(&self) -> SnapshotCounts {
        SnapshotCounts {
            sending: self.limits.sending_max.saturating_sub(self.sending.available_permits()),
            receiving: self.limits.receiving_max.saturating_sub(self.receiving.available_permits()),
            installing: self.installing.load(Ordering::Relaxed),
        }
    }

    /// Waits until so many bytes may leave. They are paid for behind them, so that a lone piece does not wait.
    pub(crate) async fn pace(&self, bytes: usize) {
        let rate = self.limits.bytes_per_second_max;
        if rate == 0 {
            return;
        }
        let start = {
            let (mut free_at, now) = (self.free_at.lock(), Instant::now());
            let start = free_at.map_or(now, |free_at| free_at.max(now));
            *free_at = Some(start + Duration::from_secs_f64(bytes as f64 / rate as f64));
            start
        };
        tokio::time::sleep_until(start).await;
    }
}

/// Entries that wait for an answer.
pub(crate) struct Append {
    traffic: Arc<Traffic>,
    store: u64,
    bytes: usize,
}

impl Drop for Append {
    fn drop(&mut self) {
        if let Some(used) = self.traffic.unanswered.lock().get_mut(&self.store) {
            *used = used.saturating_sub(self.bytes);
        }
    }
}

/// An installation under way.
pub(crate) struct Installing(Arc<Traffic>);

impl Drop for Installing {
    fn drop(&mut self) {
        self.0.installing.fetch_sub(1, Ordering::Relaxed);
    }
}
