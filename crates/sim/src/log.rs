//! The disk under a Raft log: slow, forgetful when the power fails, and sometimes broken.

use std::sync::Arc;

use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tidewater_raft::{
    DeviceError, KeyAndValue, KeysAndValues, LogDevice, LogOp, MemoryDevice, Urgency, Written,
};

use crate::disk::Disk;

/// A log device that keeps, through a power failure, what was synced, and maybe some of what was not: whole submissions from the front, as a
/// real device does that cuts a torn end off.
pub(crate) struct SimLog {
    /// What reads see.
    written: MemoryDevice,
    state: Arc<Mutex<State>>,
    disk: Arc<Disk>,
    flaw: Option<LogFlaw>,
}

/// What is wrong with a log on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFlaw {
    /// Says that something is durable before it is.
    ForgetsSync,
    /// Says that something was written that the disk has refused.
    SwallowsErrors,
}

struct State {
    /// What survives.
    durable: MemoryDevice,
    /// Not durable yet, in order.
    queue: Vec<(Vec<LogOp>, Written)>,
    syncs: bool,
    /// The power has failed: nobody hears of anything any more.
    is_dead: bool,
    /// After a failure everything fails: nobody knows what is on the disk.
    failure: Option<DeviceError>,
    rng: SmallRng,
}

/// Carries steps out at once.
fn take(device: &MemoryDevice, ops: &[LogOp]) {
    device.submit(ops.to_vec(), Urgency::Now, Box::new(|_| ()));
}

impl SimLog {
    pub(crate) fn new(seed: u64, disk: Arc<Disk>, flaw: Option<LogFlaw>) -> Arc<Self> {
        Self::over(MemoryDevice::new(), seed, disk, flaw)
    }

    fn over(durable: MemoryDevice, seed: u64, disk: Arc<Disk>, flaw: Option<LogFlaw>) -> Arc<Self> {
        let written = durable.clone();
        let state = State {
            durable,
            queue: Vec::new(),
            syncs: false,
            is_dead: false,
            failure: None,
            rng: SmallRng::seed_from_u64(seed),
        };
        Arc::new(Self { written, state: Arc::new(Mutex::new(state)), disk, flaw })
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
        Self::over(durable, seed, self.disk.clone(), self.flaw)
    }
}

async fn sync(state: Arc<Mutex<State>>, disk: Arc<Disk>, flaw: Option<LogFlaw>) {
    loop {
        let count = {
            let mut state = state.lock();
            if state.queue.is_empty() || state.is_dead {
                state.syncs = false;
                return;
            }
            state.queue.len()
        };
        tokio::time::sleep(disk.sync_time()).await;
        let (told, result) = {
            let mut state = state.lock();
            if state.is_dead {
                return;
            }
            match disk.write() {
                Ok(()) => {
                    let done: Vec<_> = state.queue.drain(..count).collect();
                    done.iter().for_each(|(ops, _)| take(&state.durable, ops));
                    (done.into_iter().map(|(_, written)| written).collect::<Vec<_>>(), Ok(()))
                }
                Err(_) if flaw == Some(LogFlaw::SwallowsErrors) => {
                    let lost = state.queue.drain(..count);
                    (lost.map(|(_, written)| written).collect(), Ok(()))
                }
                Err(reason) => {
                    let error = DeviceError::Failed { operation: "sync", reason };
                    state.failure = Some(error.clone());
                    state.syncs = false;
                    // The steps stay: what a failed sync leaves behind may be on the disk or not.
                    let nobody = || -> Written { Box::new(|_| ()) };
                    let told =
                        state.queue.iter_mut().map(|(_, written)| std::mem::replace(written, nobody()));
                    (told.collect(), Err(error))
                }
            }
        };
        told.into_iter().for_each(|written| written(result.clone()));
        if result.is_err() {
            return;
        }
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
        if let Some(failure) = state.failure.clone() {
            drop(state);
            return written(Err(failure));
        }
        if self.flaw == Some(LogFlaw::ForgetsSync) {
            // Says so at once, and keeps it if the power lasts.
            state.queue.push((ops, Box::new(|_| ())));
            drop(state);
            written(Ok(()));
            state = self.state.lock();
        } else {
            state.queue.push((ops, written));
        }
        if !std::mem::replace(&mut state.syncs, true) {
            tokio::spawn(sync(self.state.clone(), self.disk.clone(), self.flaw));
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
