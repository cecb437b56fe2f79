//! The disk under a store's Raft log: slow, and forgetful when the power fails.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tidewater_raft::{DeviceError, KeyAndValue, KeysAndValues, LogDevice, LogOp, Urgency, Written};

use crate::sabotage::Sabotage;

/// How long a sync takes, at most.
const SYNC_MAX: Duration = Duration::from_millis(3);

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

/// A log device that keeps, through a power failure, what was synced, and maybe some of what was not.
pub(crate) struct SimLog {
    state: Arc<Mutex<State>>,
    sabotage: Option<Sabotage>,
}

struct State {
    /// What reads see.
    written: Map,
    /// What survives.
    durable: Map,
    /// Not durable yet, in order.
    queue: Vec<(Vec<LogOp>, Written)>,
    syncs: bool,
    /// The power has failed: nobody hears of anything any more.
    is_dead: bool,
    rng: SmallRng,
}

fn take(map: &mut Map, ops: &[LogOp]) {
    for op in ops {
        match op {
            LogOp::Put(key, value) => drop(map.insert(key.clone(), value.clone())),
            LogOp::DeleteRange(start, end) => {
                let mut rest = map.split_off(start);
                map.append(&mut rest.split_off(end));
            }
        }
    }
}

impl SimLog {
    pub(crate) fn new(seed: u64, sabotage: Option<Sabotage>) -> Arc<Self> {
        Self::over(Map::new(), seed, sabotage)
    }

    fn over(map: Map, seed: u64, sabotage: Option<Sabotage>) -> Arc<Self> {
        let state = State {
            written: map.clone(),
            durable: map,
            queue: Vec::new(),
            syncs: false,
            is_dead: false,
            rng: SmallRng::seed_from_u64(seed),
        };
        Arc::new(Self { state: Arc::new(Mutex::new(state)), sabotage })
    }

    /// What a power failure leaves: some of what was queued may have reached the disk.
    pub(crate) fn crash(&self) -> Arc<Self> {
        let mut state = self.state.lock();
        state.is_dead = true;
        let queue = std::mem::take(&mut state.queue);
        let reached = state.rng.random_range(0..=queue.len());
        let seed = state.rng.random();
        let mut durable = std::mem::take(&mut state.durable);
        queue.iter().take(reached).for_each(|(ops, _)| take(&mut durable, ops));
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
            done.iter().for_each(|(ops, _)| take(&mut state.durable, ops));
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
        take(&mut state.written, &ops);
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
        Ok(self.state.lock().written.get(key).cloned())
    }

    fn scan(&self, start: &[u8], end: &[u8], bytes_max: usize) -> Result<KeysAndValues, DeviceError> {
        let state = self.state.lock();
        let mut bytes = 0;
        let range = state.written.range(start.to_vec()..end.to_vec());
        let fits = |(_, value): &(&Vec<u8>, &Vec<u8>)| {
            bytes += value.len();
            bytes <= bytes_max || bytes == value.len()
        };
        Ok(range.take_while(fits).map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    fn last(&self, start: &[u8], end: &[u8]) -> Result<Option<KeyAndValue>, DeviceError> {
        let state = self.state.lock();
        let last = state.written.range(start.to_vec()..end.to_vec()).next_back();
        Ok(last.map(|(key, value)| (key.clone(), value.clone())))
    }
}
