//! Cluster-wide unique ids: the bound is durable before an id below it leaves.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::storage::Storage;
use crate::{StorageError, records};

pub(crate) struct IdAllocator {
    storage: Arc<dyn Storage>,
    step: u64,
    state: Mutex<State>,
}

struct State {
    /// The last id given out.
    last: u64,
    /// Ids up to and including this one may be given out.
    bound: u64,
}

impl IdAllocator {
    pub(crate) fn new(storage: Arc<dyn Storage>, step: u64, stored_bound: u64) -> Self {
        let state = State { last: stored_bound, bound: stored_bound };
        Self { storage, step: step.max(1), state: Mutex::new(state) }
    }

    /// The last of `count` fresh ids, if that needs no write.
    pub(crate) fn try_allocate(&self, count: u32) -> Option<u64> {
        let mut state = self.state.lock();
        let last = state.last.checked_add(u64::from(count))?;
        if last > state.bound {
            return None;
        }
        state.last = last;
        Some(last)
    }

    /// The last of `count` fresh ids; blocks for the storage if the bound must move.
    pub(crate) fn allocate(&self, count: u32) -> Result<u64, StorageError> {
        let mut state = self.state.lock();
        let last = state.last + u64::from(count);
        if last > state.bound {
            let bound = last + self.step;
            self.storage.write(vec![(records::ID_BOUND.to_owned(), Some(records::encode_u64(bound)))])?;
            state.bound = bound;
        }
        state.last = last;
        Ok(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryStorage;

    #[test]
    fn ids_are_fresh_over_restarts() {
        let storage = Arc::new(MemoryStorage::new());
        let mut last = 0;
        for _ in 0..5 {
            let bound = storage
                .load()
                .unwrap()
                .get(records::ID_BOUND)
                .map_or(0, |v| records::decode_u64("", v).unwrap());
            let ids = IdAllocator::new(storage.clone(), 10, bound);
            for count in [1, 3, 25, 1] {
                let next = ids.try_allocate(count).unwrap_or_else(|| ids.allocate(count).unwrap());
                assert!(next >= last + u64::from(count));
                last = next;
            }
        }
    }
}
