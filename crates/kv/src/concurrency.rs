//! The concurrency manager: what keeps readers and async-commit writers out of each other's way without a timestamp from PD.
//!
//! An async-commit or one-phase writer picks its own commit timestamp, which must be above every timestamp that was read at. So
//! every reader raises `max_ts` *before* it looks for locks, and such a writer publishes its locks in memory *before* it reads
//! `max_ts`. Of two that race, at least one sees the other: either the writer commits above the reader, or the reader meets the lock.
//! (The same argument as in TiKV's async-commit design.) The in-memory locks go when the writes are visible in the engine.

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use parking_lot::RwLock;
use smallvec::SmallVec;
use tidewater_codec::{CommitTs, StartTs, TimeStamp, mvcc::Lock};

use crate::{
    error::CommandError,
    mvcc::{DataKey, PassableLocks, check_memory_lock},
};

/// The locks on a key: one, but for the case above.
type Published = SmallVec<[(u64, Lock); 1]>;

#[derive(Default)]
pub(crate) struct ConcurrencyManager {
    max_ts: AtomicU64,
    /// How many locks `locks` holds: readers look at the map only when there are any.
    lock_count: AtomicUsize,
    /// With the numbers of their guards: where the outcome of a write is unknown its lock stays, and whoever tries the key again has one beside it.
    locks: RwLock<BTreeMap<DataKey, Published>>,
    guards: AtomicU64,
    /// Readers do not look: a fault that simulations make.
    is_blind: bool,
}

impl ConcurrencyManager {
    pub(crate) fn new(max_ts: TimeStamp) -> Arc<Self> {
        Arc::new(Self { max_ts: AtomicU64::new(max_ts.into_inner()), ..Self::default() })
    }

    /// One whose readers do not look at locks, for simulations of that fault.
    pub(crate) fn blind(max_ts: TimeStamp) -> Arc<Self> {
        Arc::new(Self { max_ts: AtomicU64::new(max_ts.into_inner()), is_blind: true, ..Self::default() })
    }

    /// Notes that someone reads at `ts`. `u64::MAX` (read the newest) promises nothing and is not noted.
    pub(crate) fn note_read(&self, ts: TimeStamp) {
        if !ts.is_max() {
            self.max_ts.fetch_max(ts.into_inner(), Ordering::SeqCst);
        }
    }

    /// A transaction commits at `ts`, which the placement driver gave it: what is committed here from now on without a timestamp of its
    /// own commits above.
    ///
    /// So all that is ever noted was given out before, and what this store makes up is at most one tick above that: whoever asks the
    /// driver afterwards gets no less.
    pub(crate) fn note_commit(&self, ts: CommitTs) {
        self.note_read(ts.0);
    }

    pub(crate) fn max_ts(&self) -> TimeStamp {
        TimeStamp::new(self.max_ts.load(Ordering::SeqCst))
    }

    /// Whether a lock in memory is in the way of a reader; call after [`Self::note_read`].
    pub(crate) fn check_key(
        &self,
        key: &DataKey,
        read_ts: TimeStamp,
        passable: &PassableLocks,
    ) -> Result<(), CommandError> {
        if self.is_blind || self.lock_count.load(Ordering::SeqCst) == 0 {
            return Ok(());
        }
        match self.locks.read().get(key) {
            Some(published) => {
                let raw = key.raw();
                published
                    .iter()
                    .try_for_each(|(_, lock)| check_memory_lock(lock, raw.as_bytes(), read_ts, passable))
            }
            None => Ok(()),
        }
    }

    /// [`Self::check_key`] for `start..end`; an empty end is unbounded.
    pub(crate) fn check_range(
        &self,
        start: &[u8],
        end: &[u8],
        read_ts: TimeStamp,
        passable: &PassableLocks,
    ) -> Result<(), CommandError> {
        if self.is_blind || self.lock_count.load(Ordering::SeqCst) == 0 {
            return Ok(());
        }
        let start = DataKey::from_raw(start);
        let end = if end.is_empty() { Bound::Unbounded } else { Bound::Excluded(DataKey::from_raw(end)) };
        if let Bound::Excluded(end) = &end
            && *end <= start
        {
            return Ok(());
        }
        for (key, published) in self.locks.read().range((Bound::Included(start), end)) {
            for (_, lock) in published {
                check_memory_lock(lock, key.raw().as_bytes(), read_ts, passable)?;
            }
        }
        Ok(())
    }

    /// The start of the oldest transaction with a lock in memory.
    pub(crate) fn oldest_lock(&self) -> Option<StartTs> {
        self.locks.read().values().flatten().map(|(_, lock)| lock.start_ts).min()
    }

    /// Publishes locks, then returns `max_ts` as it was when all of them could be seen, and a guard that withdraws them.
    ///
    /// `finish` gives each lock its `min_commit_ts` before readers get at it.
    pub(crate) fn publish(
        self: &Arc<Self>,
        mut locks: Vec<(DataKey, Lock)>,
        finish: impl FnOnce(TimeStamp) -> TimeStamp,
    ) -> (TimeStamp, MemoryLockGuard) {
        let mut table = self.locks.write();
        self.lock_count.fetch_add(locks.len(), Ordering::SeqCst);
        let min_commit_ts = finish(self.max_ts());
        let guard = self.guards.fetch_add(1, Ordering::Relaxed);
        let keys = locks.iter().map(|(key, _)| key.clone()).collect();
        for (key, mut lock) in locks.drain(..) {
            lock.min_commit_ts = min_commit_ts;
            table.entry(key).or_default().push((guard, lock));
        }
        (min_commit_ts, MemoryLockGuard { manager: self.clone(), guard, keys })
    }
}

/// Locks readers see in memory until the writes they stand for are visible.
pub(crate) struct MemoryLockGuard {
    manager: Arc<ConcurrencyManager>,
    guard: u64,
    keys: Vec<DataKey>,
}

impl Drop for MemoryLockGuard {
    fn drop(&mut self) {
        let mut table = self.manager.locks.write();
        for key in &self.keys {
            if let Some(published) = table.get_mut(key) {
                published.retain(|(guard, _)| *guard != self.guard);
                if published.is_empty() {
                    table.remove(key);
                }
            }
        }
        self.manager.lock_count.fetch_sub(self.keys.len(), Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use tidewater_codec::mvcc::LockType;

    use super::*;

    #[test]
    fn published_locks_stop_later_readers_until_they_are_withdrawn() {
        let manager = ConcurrencyManager::new(TimeStamp::new(5));
        let passable = PassableLocks::default();
        let ts = TimeStamp::new;
        manager.note_read(ts(20));
        manager.note_read(TimeStamp::MAX);
        assert_eq!(manager.max_ts(), ts(20));
        let lock = Lock::new(LockType::Put, b"k".to_vec(), StartTs::new(10), 0);
        let locks = vec![(DataKey::from_raw(b"k"), lock)];
        let (min_commit_ts, guard) = manager.publish(locks, |max_ts| max_ts.next());
        assert_eq!(min_commit_ts, ts(21));
        assert!(
            manager.check_key(&DataKey::from_raw(b"k"), ts(20), &passable).is_ok(),
            "it will commit above"
        );
        assert!(manager.check_key(&DataKey::from_raw(b"k"), ts(21), &passable).is_err());
        assert!(manager.check_key(&DataKey::from_raw(b"other"), ts(21), &passable).is_ok());
        for (start, end, stops) in [
            ("a", "z", true),
            ("", "", true),
            ("k", "k\0", true),
            ("l", "", false),
            ("a", "k", false),
            ("z", "a", false),
        ] {
            assert_eq!(
                manager.check_range(start.as_bytes(), end.as_bytes(), ts(30), &passable).is_err(),
                stops,
                "{start}..{end}"
            );
        }
        drop(guard);
        assert!(manager.check_key(&DataKey::from_raw(b"k"), ts(21), &passable).is_ok());
        assert_eq!(manager.lock_count.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn a_lock_stays_when_a_later_one_of_the_same_key_is_withdrawn() {
        let manager = ConcurrencyManager::new(TimeStamp::new(5));
        let publish = || {
            let lock = Lock::new(LockType::Put, b"k".to_vec(), StartTs::new(10), 0);
            manager.publish(vec![(DataKey::from_raw(b"k"), lock)], |max_ts| max_ts.next()).1
        };
        let is_locked = || {
            let passable = PassableLocks::default();
            manager.check_key(&DataKey::from_raw(b"k"), TimeStamp::new(30), &passable).is_err()
        };
        // The outcome of the first write is not known; its client sends it again, and that is refused.
        let (unknown, refused) = (publish(), publish());
        drop(refused);
        assert!(is_locked());
        drop(unknown);
        assert!(!is_locked());
    }
}
