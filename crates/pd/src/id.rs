//! Cluster-wide unique ids: the bound is durable before an id below it leaves.

use parking_lot::Mutex;

use crate::storage::Store;
use crate::{StorageError, records};

pub(crate) struct IdAllocator {
    store: Store,
    step: u64,
    state: Mutex<State>,
    /// Held while the bound is moved.
    moving: tokio::sync::Mutex<()>,
}

struct State {
    /// The last id given out.
    last: u64,
    /// Ids up to and including this one may be given out.
    bound: u64,
}

impl IdAllocator {
    pub(crate) fn new(store: Store, step: u64, stored_bound: u64) -> Self {
        let state = State { last: stored_bound, bound: stored_bound };
        Self { store, step: step.max(1), state: Mutex::new(state), moving: tokio::sync::Mutex::default() }
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

    /// The last of `count` fresh ids; waits for the storage if the bound must move.
    pub(crate) async fn allocate(&self, count: u32) -> Result<u64, StorageError> {
        let _moving = self.moving.lock().await;
        loop {
            if let Some(last) = self.try_allocate(count) {
                return Ok(last);
            }
            let bound = self.state.lock().last + u64::from(count) + self.step;
            let value = Some(records::encode_u64(bound));
            self.store.write(vec![(records::ID_BOUND.to_owned(), value)]).await?;
            self.state.lock().bound = bound;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{MemoryStorage, Storage};

    #[tokio::test]
    async fn ids_are_fresh_over_restarts() {
        let storage = Arc::new(MemoryStorage::new());
        let mut last = 0;
        for _ in 0..5 {
            let bound = storage
                .load()
                .unwrap()
                .get(records::ID_BOUND)
                .map_or(0, |v| records::decode_u64("", v).unwrap());
            let ids = IdAllocator::new(Store::Local(storage.clone()), 10, bound);
            for count in [1, 3, 25, 1] {
                let next = match ids.try_allocate(count) {
                    Some(next) => next,
                    None => ids.allocate(count).await.unwrap(),
                };
                assert!(next >= last + u64::from(count));
                last = next;
            }
        }
    }
}
