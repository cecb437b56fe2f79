//! The same histories with a power failure after any of their writes: the node is opened on what survived, and goes on.
//!
//! What survives is the state after some command that was answered: not before the last one that was synced, and without what lived in memory.

use std::collections::BTreeMap;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use parking_lot::Mutex;
use tidewater_kv::{Cf, Durability, EngineError, Snapshot, WriteBatch, WriteCost};

use super::percolator::KeyState;
use super::*;
use crate::call;

/// An engine that keeps what a power failure after one of its writes would leave.
struct Mortal {
    inner: MemoryEngine,
    /// Writes until then.
    left_until: AtomicUsize,
    /// What is left, and whether the last write was synced.
    remains: Mutex<Option<(MemoryEngine, bool)>>,
    /// Writes, and synced writes, of the command under way.
    writes: AtomicUsize,
    synced: AtomicUsize,
}

impl Mortal {
    fn new(crash_at: usize) -> Arc<Self> {
        Arc::new(Self {
            inner: MemoryEngine::with_crashes(),
            left_until: AtomicUsize::new(crash_at),
            remains: Mutex::new(None),
            writes: AtomicUsize::new(0),
            synced: AtomicUsize::new(0),
        })
    }
}

impl Engine for Mortal {
    fn snapshot(&self) -> Arc<dyn Snapshot> {
        self.inner.snapshot()
    }
    fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        self.inner.get(cf, key)
    }
    fn write(&self, batch: WriteBatch, durability: Durability) -> Result<(), EngineError> {
        self.inner.write(batch, durability)?;
        let is_synced = durability == Durability::Sync;
        self.writes.fetch_add(1, Ordering::SeqCst);
        self.synced.fetch_add(usize::from(is_synced), Ordering::SeqCst);
        if self.left_until.fetch_sub(1, Ordering::SeqCst) == 1 {
            *self.remains.lock() = Some((self.inner.crash(), is_synced));
        }
        Ok(())
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
        WriteCost::Memory
    }
}

type Keys = BTreeMap<String, KeyState>;

impl Run {
    /// Opens the node on what survived; the model goes back to the state that fits it.
    async fn after_crash(self, remains: MemoryEngine, states: &[Keys]) -> Self {
        let Self { store, mut model } = self;
        let pd = store.pd.clone();
        drop(store);
        pd.set_ts(model.now);
        let store = Store::open(NodeConfig::default(), Arc::new(remains), pd).await;
        model.now += 1;
        model.max_ts = model.now;
        let mut differences = Vec::new();
        let mut run = Self { store, model };
        // If several states fit, nothing that is stored tells them apart.
        for keys in states.iter().rev() {
            let mut keys = keys.clone();
            for state in keys.values_mut() {
                state.lock = state.lock.take().filter(|lock| lock.kind != Kind::Pessimistic);
            }
            run.model.keys = keys;
            let difference = match run.difference().await {
                None => run.record_difference().await,
                found => found,
            };
            match difference {
                None => return run,
                Some(difference) => differences.push(difference),
            }
        }
        panic!("what survived is no state that could have: {differences:#?}");
    }

    /// Rollbacks are not read, but they decide what may come later.
    async fn record_difference(&self) -> Option<String> {
        for (key, state) in &self.model.keys {
            let context = Some(self.store.context(key.as_bytes()));
            let request = kvrpcpb::MvccGetByKeyRequest { context, key: bytes(key) };
            let answer = call!(self.store, MvccGetByKey, request);
            let info = answer.info.expect("a key of this region");
            let mut real: Vec<_> = info
                .writes
                .iter()
                .map(|write| {
                    let is_rollback = write.r#type() == kvrpcpb::Op::Rollback;
                    (write.commit_ts, write.start_ts, is_rollback, write.has_overlapped_rollback)
                })
                .collect();
            real.sort_unstable();
            let expected = state.records.iter().map(|(ts, record)| {
                let is_rollback = record.kind == Kind::Rollback;
                (*ts, record.start, is_rollback, record.protected && !is_rollback)
            });
            let expected: Vec<_> = expected.collect();
            if real != expected {
                return Some(format!("the records of {key} are {real:?}, not {expected:?}"));
            }
        }
        None
    }
}

fn run_with_crash(ops: &[Op], crash_at: usize) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let engine = Mortal::new(usize::MAX);
        let mut run = Run::begin(engine.clone()).await;
        engine.left_until.store(crash_at, Ordering::SeqCst);
        let mut states = vec![run.model.keys.clone()];
        let mut oldest = 0;
        for op in ops {
            engine.writes.store(0, Ordering::SeqCst);
            engine.synced.store(0, Ordering::SeqCst);
            run.step(op).await;
            states.push(run.model.keys.clone());
            let [writes, synced] = [&engine.writes, &engine.synced].map(|count| count.load(Ordering::SeqCst));
            let remains = engine.remains.lock().take();
            match remains {
                // A command of one synced write is through with it.
                Some((remains, is_synced)) => {
                    let from = if is_synced && writes == 1 { states.len() - 1 } else { oldest };
                    run = run.after_crash(remains, &states[from..]).await;
                }
                None if synced > 0 => oldest = states.len() - 1,
                None => {}
            }
        }
        run.read_all().await;
    });
}

#[test]
fn histories_agree_with_the_model_over_a_crash_after_any_write() {
    check(3_000, (ops(), 1..40usize), |(ops, crash_at)| run_with_crash(&ops, crash_at));
}
