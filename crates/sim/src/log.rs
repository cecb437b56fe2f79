//! The disk under a store's Raft log: slow, and forgetful when the power fails.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tidewater_raft::{
    DeviceError, KeyAndValue, KeysAndValues, LogDevice, LogOp, MemoryDevice, Urgency, Written,
};

use crate::sabotage::Sabotage;

/// How long a sync takes, at most.
const SYNC_MAX: Duration = Duration::from_millis(3);

/// A log device that keeps, through a power failure, what was synced, and maybe some of what was not.
pub(crate) struct SimLog {
    /// What reads see.
    written: MemoryDevice,
    state: Arc<Mutex<State>>,
    sabotage: Option<Sabotage>,
}

struct State {
    /// What survives.
    durable: MemoryDevice,
    /// Not durable yet, in order.
    queue: Vec<(Vec<LogOp>, Written)>,
    syncs: bool,
    /// The power has failed: nobody hears of anything any more.
    is_dead: bool,
    rng: SmallRng,
}

/// Carries steps out at once.
fn take(device: &MemoryDevice, ops: &[LogOp]) {
    device.submit(ops.to_vec(), Urgency::Now, Box::new(|_| ()));
}

impl SimLog {
    pub(crate) fn new(seed: u64, sabotage: Option<Sabotage>) -> Arc<Self> {
        Self::over(MemoryDevice::new(), seed, sabotage)
    }

    fn over(durable: MemoryDevice, seed: u64, sabotage: Option<Sabotage>) -> Arc<Self> {
        let written = durable.clone();
        let state = State {
            durable,
            queue: Vec::new(),
            syncs: false,
            is_dead: false,
            rng: SmallRng::seed_from_u64(seed),
        };
        Arc::new(Self { written, state: Arc::new(Mutex::new(state)), sabotage })
    }

    /// What a power failure leaves: some of what was queued may have reached the disk.
    pub(crate) fn crash(&self) -> Arc<Self> {
        let mut state = self.state.lock();
        state.is_dead = true;
        let queue = std::mem::take(&mut state.queue);
        let reached = state.rng.random_range(0..=queue.len());
        let seed = state.rng.random();
        let durable = std::mem::take(&mut state.durable);
        queue.iter().take(reached).for_each(|(ops, _)| take(&durable, ops));
        drop(state);
        // Those who wait for a dead device wait for ever, and not in vain: nobody drops what they hold.
        std::mem::forget(queue);
        Self::over(durable, seed, self.sabotage)
    }
}

async fn sync(state: Arc<Mutex<State>>) {
    loop {
        let pause = {
            let mut state = state.lock();
            if state.queue.is_empty() || state.is_dead {
                state.syncs = false;
                return;
            }
            state.rng.random_range(Duration::ZERO..SYNC_MAX)
        };
        let count = state.lock().queue.len();
        tokio::time::sleep(pause).await;
        let done: Vec<_> = {
            let mut state = state.lock();
            if state.is_dead {
                return;
            }
            let done: Vec<_> = state.queue.drain(..count).collect();
            done.iter().for_each(|(ops, _)| take(&state.durable, ops));
            done
        };
        done.into_iter().for_each(|(_, written)| written(Ok(())));
    }
}

impl LogDevice for SimLog {
    fn submit(&self, ops: Vec<LogOp>, _: Urgency, written: Written) {
        let mut state = self.state.lock();
        if state.is_dead {
            std::mem::forget(written);
            return;
        }
        take(&self.written, &ops);
        if self.sabotage == Some(Sabotage::ForgetLogSync) {
            // Says so at once, and keeps it if the power lasts.
            state.queue.push((ops, Box::new(|_| ())));
            drop(state);
            written(Ok(()));
            state = self.state.lock();
        } else {
            state.queue.push((ops, written));
        }
        if !std::mem::replace(&mut state.syncs, true) {
            tokio::spawn(sync(self.state.clone()));
        }
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, DeviceError> {
        self.written.get(key)
    }

    fn scan(&self, start: &[u8], end: &[u8], bytes_max: usize) -> Result<KeysAndValues, DeviceError> {
        self.written.scan(start, end, bytes_max)
    }

    fn last(&self, start: &[u8], end: &[u8]) -> Result<Option<KeyAndValue>, DeviceError> {
        self.written.last(start, end)
    }
}
