//! How a batch becomes durable: the local way, one copy, group-committed.
//!
//! On a device all batches go through one writer thread. It takes whatever is queued, writes it as one engine batch with one fsync, and
//! answers everyone: a hundred small transactions cost one device round trip. In memory a write is a few microseconds and happens
//! inline, without threads, so that simulations are single-threaded.
//!
//! A write that fails leaves the engine in an unknown state. The callers are told so, and from then on nothing is written: what was
//! acknowledged stays true, and reads go on.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender};
use tidewater_raft::GroupError;
use tokio::sync::oneshot;

use crate::{
    Durability, Engine, EngineError, WriteBatch, WriteCost,
    region::{Region, RegionError, not_leader},
    replica::{Lead, answer_error, encode_write},
};

/// Batches joined into one engine write, at most.
const GROUP_BATCHES_MAX: usize = 1024;
/// Bytes joined into one engine write, at most (one batch may be larger).
const GROUP_BYTES_MAX: usize = 4 << 20;

/// Runs when it is known what became of the batch, or that this will not be known: releases latches and in-memory locks.
pub(crate) type Release = Box<dyn FnOnce(Outcome) + Send>;

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It can be read.
    Visible,
    /// It never will.
    Refused,
    /// It may be, now or later.
    Unknown,
}

impl Outcome {
    fn of(result: &Result<(), WriteError>) -> Self {
        match result {
            Ok(()) => Self::Visible,
            Err(WriteError::Refused(_) | WriteError::Region(_)) => Self::Refused,
            Err(WriteError::Unknown(_) | WriteError::LeaderLost(_)) => Self::Unknown,
        }
    }
}

pub(crate) struct LocalReplication {
    engine: Arc<dyn Engine>,
    failure: Arc<Failure>,
    /// Present when writes wait for a device.
    writer: Option<Writer>,
}

/// The first failure, which closes the store for writing.
#[derive(Default)]
struct Failure {
    happened: AtomicBool,
    reason: OnceLock<String>,
}

impl Failure {
    fn check(&self) -> Result<(), EngineError> {
        if !self.happened.load(Ordering::Acquire) {
            return Ok(());
        }
        Err(EngineError::ReadOnly { reason: self.reason.get().cloned().unwrap_or_default() })
    }

    fn note(&self, error: &EngineError) {
        tracing::error!(%error, "a write failed, the store is read-only from now on");
        let _ = self.reason.set(error.to_string());
        self.happened.store(true, Ordering::Release);
    }
}

struct Writer {
    queue: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

struct Job {
    batch: WriteBatch,
    durability: Durability,
    release: Release,
    done: oneshot::Sender<Result<(), WriteError>>,
}

/// How a write can fail.
#[derive(Debug, Clone)]
pub(crate) enum WriteError {
    /// It was not attempted.
    Refused(EngineError),
    /// It was attempted and may have happened.
    Unknown(EngineError),
    /// It did not happen: the region is not what it was, or this node does not lead it any more.
    Region(RegionError),
    /// It may have happened or may still happen: the region got another leader meanwhile.
    LeaderLost(RegionError),
}

impl WriteError {
    /// For those who write to the store and not to a region.
    pub(crate) fn into_engine_error(self) -> EngineError {
        match self {
            Self::Refused(error) | Self::Unknown(error) => error,
            Self::Region(error) | Self::LeaderLost(error) => {
                EngineError::Failed { operation: "write to the region", reason: error.message }
            }
        }
    }
}

/// Makes a batch visible on a majority of a region's replicas, and here, where `release` runs before anything later is visible.
pub(crate) async fn replicate(
    lead: &Lead,
    region: &Region,
    batch: WriteBatch,
    release: Release,
) -> Result<(), WriteError> {
    if batch.is_empty() {
        // What is changed in memory counts as long as this node leads.
        let leads = lead.may_read();
        let result = if leads { Ok(()) } else { Err(WriteError::Region(not_leader(region.id(), None))) };
        release(Outcome::of(&result));
        return result;
    }
    let version = region.meta.region_epoch.map_or(0, |epoch| epoch.version);
    propose(lead, region.id(), encode_write(version, batch), release).await
}

/// Appends a command to the log of a region.
pub(crate) async fn propose(
    lead: &Lead,
    region_id: u64,
    command: Bytes,
    release: Release,
) -> Result<(), WriteError> {
    let (done, result) = oneshot::channel();
    let answer = move |answer: Result<Bytes, GroupError>| {
        let result = match answer.map(answer_error) {
            Ok(None) => Ok(()),
            Ok(Some(refusal)) => Err(WriteError::Region(refusal)),
            Err(GroupError::Unknown) => Err(WriteError::LeaderLost(not_leader(region_id, None))),
            Err(_) => Err(WriteError::Region(not_leader(region_id, None))),
        };
        release(Outcome::of(&result));
        let _ = done.send(result);
    };
    lead.group.propose_with(Some(lead.term), command, answer).await;
    // Whoever holds the other end calls it in any case.
    result.await.unwrap_or_else(|_| Err(WriteError::LeaderLost(not_leader(region_id, None))))
}

impl LocalReplication {
    pub(crate) fn new(engine: Arc<dyn Engine>) -> Result<Self, EngineError> {
        let failure = Arc::new(Failure::default());
        let writer = match engine.write_cost() {
            WriteCost::Memory => None,
            WriteCost::Device => Some(Writer::start(engine.clone(), failure.clone())?),
        };
        Ok(Self { engine, failure, writer })
    }

    /// Whether writes are still accepted.
    pub(crate) fn check_writable(&self) -> Result<(), EngineError> {
        self.failure.check()
    }

    /// Makes a batch visible (and durable, as asked). `release` runs in any case, also when the caller goes away.
    pub(crate) async fn write(
        &self,
        batch: WriteBatch,
        durability: Durability,
        release: Release,
    ) -> Result<(), WriteError> {
        if let Err(error) = self.failure.check() {
            release(Outcome::Refused);
            return Err(WriteError::Refused(error));
        }
        if batch.is_empty() {
            release(Outcome::Visible);
            return Ok(());
        }
        let Some(queue) = self.writer.as_ref().and_then(|writer| writer.queue.as_ref()) else {
            let result = self.engine.write(batch, durability).map_err(|error| {
                self.failure.note(&error);
                WriteError::Unknown(error)
            });
            release(Outcome::of(&result));
            return result;
        };
        let (done, result) = oneshot::channel();
        if let Err(error) = queue.send(Job { batch, durability, release, done }) {
            (error.0.release)(Outcome::Refused);
            return Err(WriteError::Refused(stopped()));
        }
        result.await.unwrap_or_else(|_| Err(WriteError::Unknown(stopped())))
    }
}

fn stopped() -> EngineError {
    EngineError::ReadOnly { reason: "the store is shutting down".into() }
}

impl Writer {
    fn start(engine: Arc<dyn Engine>, failure: Arc<Failure>) -> Result<Self, EngineError> {
        let (queue, jobs) = crossbeam_channel::unbounded();
        // The one thread this crate starts by itself: a blocking fsync in the middle of an async runtime would stop its other tasks.
        // Memory engines, and with them simulations, never come here.
        let thread = std::thread::Builder::new()
            .name("kv-writer".into())
            .spawn(move || write_groups(&*engine, &failure, &jobs))
            .map_err(|error| EngineError::Failed {
                operation: "start the writer thread",
                reason: error.to_string(),
            })?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take()
            // A job's `release` may hold the last handle to the node: then this runs on the writer thread itself.
            && thread.thread().id() != std::thread::current().id()
        {
            let _ = thread.join();
        }
    }
}

fn write_groups(engine: &dyn Engine, failure: &Failure, jobs: &Receiver<Job>) {
    let mut group = Vec::new();
    while let Ok(first) = jobs.recv() {
        let mut batch = WriteBatch::new();
        let mut durability = Durability::Buffered;
        let mut bytes = 0;
        let mut next = Some(first);
        while let Some(mut job) = next {
            bytes += job.batch.size();
            durability = durability.max(job.durability);
            batch.append(std::mem::take(&mut job.batch));
            group.push(job);
            next = if group.len() < GROUP_BATCHES_MAX && bytes < GROUP_BYTES_MAX {
                jobs.try_recv().ok()
            } else {
                None
            };
        }
        metrics::histogram!("tidewater_kv_write_group_batches").record(group.len() as f64);
        let result = match failure.check() {
            Err(error) => Err(WriteError::Refused(error)),
            Ok(()) => engine.write(batch, durability).map_err(|error| {
                failure.note(&error);
                WriteError::Unknown(error)
            }),
        };
        for job in group.drain(..) {
            (job.release)(Outcome::of(&result));
            let _ = job.done.send(result.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use bytes::Bytes;
    use futures::FutureExt;
    use parking_lot::Mutex;

    use super::*;
    use crate::{Cf, MemoryEngine, Snapshot};

    /// An engine "on a device" whose writes wait for a gate.
    #[derive(Default)]
    struct Gated {
        inner: MemoryEngine,
        gate: Mutex<()>,
        begun: AtomicUsize,
        synced: AtomicUsize,
    }

    impl Engine for Gated {
        fn snapshot(&self) -> Arc<dyn Snapshot> {
            self.inner.snapshot()
        }
        fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
            self.inner.get(cf, key)
        }
        fn write(&self, batch: WriteBatch, durability: Durability) -> Result<(), EngineError> {
            self.begun.fetch_add(1, Ordering::SeqCst);
            self.synced.fetch_add(usize::from(durability == Durability::Sync), Ordering::SeqCst);
            drop(self.gate.lock());
            self.inner.write(batch, durability)
        }
        fn delete_range(&self, cf: Cf, start: &[u8], end: &[u8]) -> Result<(), EngineError> {
            self.inner.delete_range(cf, start, end)
        }
        fn flush(&self) -> Result<(), EngineError> {
            self.inner.flush()
        }
        fn approximate_size(&self, cf: Cf, start: &[u8], end: &[u8]) -> u64 {
            self.inner.approximate_size(cf, start, end)
        }
        fn write_cost(&self) -> WriteCost {
            WriteCost::Device
        }
    }

    fn batch(number: usize) -> WriteBatch {
        let mut batch = WriteBatch::new();
        batch.put(Cf::Default, number.to_be_bytes().to_vec(), Vec::new());
        batch
    }

    #[tokio::test]
    async fn what_is_queued_shares_one_write() {
        let engine = Arc::new(Gated::default());
        let replication = LocalReplication::new(engine.clone()).unwrap();
        let released = Arc::new(AtomicUsize::new(0));
        let write = |number: usize, durability| {
            let released = released.clone();
            let release = Box::new(move |outcome| {
                released.fetch_add(usize::from(outcome == Outcome::Visible), Ordering::SeqCst);
            });
            Box::pin(replication.write(batch(number), durability, release))
        };
        let gate = engine.gate.lock();
        let mut first = write(0, Durability::Buffered);
        assert!(first.as_mut().now_or_never().is_none());
        while engine.begun.load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
        let mut rest = Vec::new();
        for number in 1..=50 {
            let mut queued =
                write(number, if number == 25 { Durability::Sync } else { Durability::Buffered });
            assert!(queued.as_mut().now_or_never().is_none());
            rest.push(queued);
        }
        // One caller hangs up: its batch is written all the same.
        drop(rest.pop());
        drop(gate);
        first.await.unwrap();
        for queued in rest {
            queued.await.unwrap();
        }
        // Nobody waits for the batch of the caller who left: only the writer's end tells that it is through.
        drop(replication);
        assert_eq!((engine.begun.load(Ordering::SeqCst), engine.synced.load(Ordering::SeqCst)), (2, 1));
        assert_eq!(released.load(Ordering::SeqCst), 51);
        assert!(engine.get(Cf::Default, &50usize.to_be_bytes()).unwrap().is_some());
    }
}
