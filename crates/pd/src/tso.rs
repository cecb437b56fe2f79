//! The timestamp oracle.
//!
//! A timestamp is 46 bits of milliseconds and an 18-bit counter. The oracle follows the wall clock while it runs forward, and counts on
//! when it stands still or goes back. What makes timestamps unique over restarts is the *window*: a time, durable in the storage, that no
//! timestamp given out has reached.
//!
//! ```text
//!  given out  | may be given out without the disk | after the next window move
//! ------------+-----------------------------------+---------------------------->  physical time
//!             last                                window (durable)
//! ```
//!
//! A restart begins at the window. **Hot path**: [`Oracle::take`] is a lock, a clock read and two additions.

use std::sync::Arc;

use parking_lot::Mutex;
use tidewater_types::clock::WallClock;

use crate::storage::{Batch, Store};
use crate::{StorageError, TsoConfig, records};

/// Counters stay below this; the physical part steps when they would not.
pub(crate) const LOGICAL_LIMIT: u32 = 1 << 18;

/// What [`Oracle::take`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// The last timestamp of the range, and whether the window should be moved soon.
    Range { physical: i64, logical: i64, refill: Refill },
    /// The window is used up: move it and ask again.
    Exhausted,
}

/// Whether the taker should start a window move in the background.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refill {
    NotNeeded,
    Start,
}

pub(crate) struct Oracle {
    clock: Arc<dyn WallClock>,
    store: Store,
    window_ms: i64,
    refill_below_ms: i64,
    state: Mutex<State>,
    /// The window in the storage. Held while it is written, so that an older move never lands after a newer one.
    durable_window: tokio::sync::Mutex<i64>,
}

struct State {
    physical: i64,
    logical: u32,
    window: i64,
    refilling: bool,
}

impl Oracle {
    /// An oracle above the window found in the storage; it owns none of the time yet.
    pub(crate) fn new(
        config: &TsoConfig,
        clock: Arc<dyn WallClock>,
        store: Store,
        stored_window: u64,
    ) -> Self {
        let stored = i64::try_from(stored_window).unwrap_or(i64::MAX);
        Self {
            clock,
            store,
            window_ms: millis(config.window).max(1),
            refill_below_ms: millis(config.refill_below),
            state: Mutex::new(State { physical: stored, logical: 0, window: stored, refilling: false }),
            durable_window: tokio::sync::Mutex::new(stored),
        }
    }

    /// Reserves `count` timestamps, below [`LOGICAL_LIMIT`].
    pub(crate) fn take(&self, count: u32) -> Taken {
        let now = self.clock.now_micros().div_euclid(1_000);
        let mut state = self.state.lock();
        if now > state.physical {
            state.physical = now;
            state.logical = 0;
        }
        let (physical, logical) = match state.logical + count {
            logical if logical < LOGICAL_LIMIT => (state.physical, logical),
            _ => (state.physical + 1, count),
        };
        if physical >= state.window {
            return Taken::Exhausted;
        }
        state.physical = physical;
        state.logical = logical;
        let refill = if !state.refilling && state.window - physical < self.refill_below_ms {
            state.refilling = true;
            Refill::Start
        } else {
            Refill::NotNeeded
        };
        Taken::Range { physical, logical: i64::from(logical), refill }
    }

    /// The first move of the window, for the storage; [`Self::note_window`] when it is durable.
    pub(crate) fn first_window(&self) -> (i64, Batch) {
        let target = self.target();
        (target, window_batch(target))
    }

    pub(crate) fn note_window(&mut self, window: i64) {
        *self.durable_window.get_mut() = window;
        self.state.lock().window = window;
    }

    /// Moves the window; waits for the storage.
    pub(crate) async fn move_window(&self) -> Result<(), StorageError> {
        let result = self.write_window().await;
        self.state.lock().refilling = false;
        result
    }

    fn target(&self) -> i64 {
        let now = self.clock.now_micros().div_euclid(1_000);
        // One more than the last physical part, or an overflowing counter would find the window used up again.
        now.max(self.state.lock().physical + 1).saturating_add(self.window_ms)
    }

    async fn write_window(&self) -> Result<(), StorageError> {
        let mut durable = self.durable_window.lock().await;
        let target = self.target();
        if target > *durable {
            self.store.write(window_batch(target)).await?;
            *durable = target;
        }
        self.state.lock().window = *durable;
        Ok(())
    }
}

fn window_batch(target: i64) -> Batch {
    let value = records::encode_u64(u64::try_from(target).unwrap_or(0));
    vec![(records::TSO_WINDOW.to_owned(), Some(value))]
}

fn millis(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tidewater_types::clock::ManualClock;

    use super::*;
    use crate::{MemoryStorage, Storage};

    const START_MS: i64 = 1_700_000_000_000;

    fn oracle(clock: &Arc<ManualClock>, storage: &Arc<MemoryStorage>) -> Oracle {
        let stored = storage.load().unwrap();
        let window =
            stored.get(records::TSO_WINDOW).map_or(0, |value| records::decode_u64("", value).unwrap());
        Oracle::new(&TsoConfig::default(), clock.clone(), Store::Local(storage.clone()), window)
    }

    async fn must_take(oracle: &Oracle, count: u32) -> (i64, i64) {
        loop {
            match oracle.take(count) {
                Taken::Range { physical, logical, .. } => return (physical, logical),
                Taken::Exhausted => oracle.move_window().await.unwrap(),
            }
        }
    }

    #[tokio::test]
    async fn grows_over_clock_jumps_and_restarts() {
        let clock = Arc::new(ManualClock::new(START_MS * 1_000));
        let storage = Arc::new(MemoryStorage::new());
        let mut current = oracle(&clock, &storage);
        let mut last = (0, 0);
        let jumps_ms = [0, 1, -5_000, 0, 10_000, 3, -60_000, 0, 2_999, 1, -1];
        for (round, jump) in jumps_ms.into_iter().cycle().take(200).enumerate() {
            clock.advance_micros(jump * 1_000);
            if round % 7 == 0 {
                current = oracle(&clock, &storage);
            }
            for count in [1, 64, 10_000] {
                let (physical, logical) = must_take(&current, count).await;
                let first = (physical, logical - i64::from(count) + 1);
                assert!(first > last, "round {round}: {first:?} is not above {last:?}");
                last = (physical, logical);
            }
        }
    }

    #[tokio::test]
    async fn a_full_counter_steps_the_clock() {
        let clock = Arc::new(ManualClock::new(START_MS * 1_000));
        let storage = Arc::new(MemoryStorage::new());
        let oracle = oracle(&clock, &storage);
        let limit = i64::from(LOGICAL_LIMIT);
        assert_eq!(must_take(&oracle, LOGICAL_LIMIT - 1).await, (START_MS, limit - 1));
        assert_eq!(must_take(&oracle, 2).await, (START_MS + 1, 2));
    }

    #[tokio::test]
    async fn asks_for_a_refill_once_and_before_it_is_late() {
        let clock = Arc::new(ManualClock::new(START_MS * 1_000));
        let storage = Arc::new(MemoryStorage::new());
        let oracle = oracle(&clock, &storage);
        must_take(&oracle, 1).await;
        let advance = Duration::from_millis(1_600);
        clock.advance_micros(i64::try_from(advance.as_micros()).unwrap());
        assert!(matches!(oracle.take(1), Taken::Range { refill: Refill::Start, .. }));
        assert!(matches!(oracle.take(1), Taken::Range { refill: Refill::NotNeeded, .. }));
        oracle.move_window().await.unwrap();
        clock.advance_micros(1_500_000);
        assert!(matches!(oracle.take(1), Taken::Range { .. }), "the window was moved in time");
    }
}
