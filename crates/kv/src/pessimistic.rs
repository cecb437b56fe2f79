//! Pessimistic locks, in memory only.
//!
//! A pessimistic lock keeps other writers off a key until its transaction prewrites it. Losing it (with the process) costs at most a
//! retry: the prewrite then finds no lock and succeeds only if nobody has written the key since the transaction began. So it need not
//! be written to the engine, which saves a batch and an fsync per locked row (as TiKV's in-memory pessimistic locks).

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::atomic::{AtomicUsize, Ordering},
};

use parking_lot::RwLock;
use tidewater_codec::mvcc::Lock;

use crate::mvcc::{DataKey, PessimisticChange};

#[derive(Default)]
pub(crate) struct PessimisticLocks {
    count: AtomicUsize,
    locks: RwLock<BTreeMap<DataKey, Lock>>,
}

impl PessimisticLocks {
    pub(crate) fn get(&self, key: &DataKey) -> Option<Lock> {
        // Relaxed is enough: whoever writes this key holds its latch, as the caller does.
        if self.count.load(Ordering::Relaxed) == 0 {
            return None;
        }
        self.locks.read().get(key).cloned()
    }

    pub(crate) fn apply(&self, changes: Vec<PessimisticChange>) {
        if changes.is_empty() {
            return;
        }
        let mut locks = self.locks.write();
        for change in changes {
            match change {
                PessimisticChange::Put(key, lock) => drop(locks.insert(key, *lock)),
                PessimisticChange::Remove(key) => drop(locks.remove(&key)),
            }
        }
        self.count.store(locks.len(), Ordering::Relaxed);
    }

    /// Locks on data keys `lower..upper` that satisfy `wanted`, in key order, at most `limit`.
    pub(crate) fn range(
        &self,
        lower: &DataKey,
        upper: Option<&DataKey>,
        limit: usize,
        wanted: impl Fn(&Lock) -> bool,
    ) -> Vec<(DataKey, Lock)> {
        if upper.is_some_and(|upper| upper <= lower) {
            return Vec::new();
        }
        let range = (Bound::Included(lower), upper.map_or(Bound::Unbounded, Bound::Excluded));
        let locks = self.locks.read();
        locks
            .range::<DataKey, _>(range)
            .filter(|(_, lock)| wanted(lock))
            .take(limit)
            .map(|(key, lock)| (key.clone(), lock.clone()))
            .collect()
    }
}
