//! Power failures and failing devices.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use tidewater_kv::{
    Cf, Durability, Engine, EngineError, MemoryEngine, Node, NodeConfig, NodeError, Snapshot, WriteBatch,
    WriteCost,
};
use tidewater_proto::kvrpcpb;

use crate::support::*;

/// An engine whose writes can be made to fail, and that may claim to sit on a device (so that the writer thread is used).
struct Faulty {
    inner: Arc<MemoryEngine>,
    fails: AtomicBool,
    cost: WriteCost,
}

impl Faulty {
    fn new(cost: WriteCost) -> Arc<Self> {
        Arc::new(Self { inner: Arc::new(MemoryEngine::with_crashes()), fails: AtomicBool::new(false), cost })
    }
}

impl Engine for Faulty {
    fn snapshot(&self) -> Arc<dyn Snapshot> {
        self.inner.snapshot()
    }
    fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        self.inner.get(cf, key)
    }
    fn write(&self, batch: WriteBatch, durability: Durability) -> Result<(), EngineError> {
        if self.fails.load(Ordering::SeqCst) {
            return Err(EngineError::Failed { operation: "write", reason: "the disk is gone".into() });
        }
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
        self.cost
    }
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_power_failure() {
    let engine = Arc::new(MemoryEngine::with_crashes());
    let pd = Arc::<TestPd>::default();
    let store = Store::open(NodeConfig::default(), engine.clone(), pd.clone()).await;
    store.write(10, &[("one-phase", "1")]).await;
    store.prewrite(prewrite(20, &[("two-phase", "2")])).await;
    assert_eq!(store.commit(&["two-phase"], 20, 30).await, None);
    store.prewrite(prewrite(40, &[("locked", "3")])).await;
    store.lock(lock(50, 50, &["pessimistic"])).await;
    store.rollback(&["locked", "other"], 40).await;
    // Power fails: the rollback was only buffered, the pessimistic lock was in memory.
    let survivor = Arc::new(engine.crash());
    drop(store);
    let store = Store::open(NodeConfig::default(), survivor, pd).await;
    assert_eq!(store.value("one-phase", 100).await.as_deref(), Some("1"));
    assert_eq!(store.value("two-phase", 100).await.as_deref(), Some("2"));
    assert_eq!(store.get("locked", 100).await.error.unwrap().locked.unwrap().lock_version, 40);
    assert_eq!(store.lock(lock(60, 60, &["pessimistic"])).await.errors, []);
}

#[tokio::test]
async fn reads_before_a_restart_stay_true_after_it() {
    let engine = Arc::new(MemoryEngine::with_crashes());
    let pd = Arc::<TestPd>::default();
    let store = Store::open(NodeConfig::default(), engine.clone(), pd.clone()).await;
    let read_ts = {
        use tidewater_proto::PdService;
        let ts = pd.timestamps(1000).await.unwrap();
        ((ts.physical as u64) << 18) + ts.logical as u64
    };
    assert_eq!(store.value("k", read_ts).await, None);
    let survivor = Arc::new(engine.crash());
    let store = Store::open(NodeConfig::default(), survivor, pd).await;
    assert!(store.write(read_ts - 1, &[("k", "v")]).await > read_ts);
    assert_eq!(store.value("k", read_ts).await, None);
}

async fn after_a_failed_write_the_store_only_reads(cost: WriteCost) {
    let engine = Faulty::new(cost);
    let store = Store::open(NodeConfig::default(), engine.clone(), Arc::default()).await;
    store.write(10, &[("k", "1")]).await;
    engine.fails.store(true, Ordering::SeqCst);
    let request =
        kvrpcpb::PrewriteRequest { context: Some(store.context(b"k")), ..prewrite(2000, &[("k", "2")]) };
    let tidewater_proto::StoreResponse::Prewrite(answer) =
        store.call(tidewater_proto::StoreRequest::Prewrite(request.clone())).await
    else {
        panic!("another answer")
    };
    assert!(answer.region_error.unwrap().undetermined_result.unwrap().message.contains("the disk is gone"));
    // The device is back, but nobody knows what it kept: the store stays closed for writing.
    engine.fails.store(false, Ordering::SeqCst);
    let error = store.prewrite(request).await.errors[0].abort.clone();
    assert!(error.contains("read-only") && error.contains("the disk is gone"), "{error}");
    assert!(store.commit(&["k"], 10, 20).await.unwrap().abort.contains("read-only"));
    assert_eq!(store.value("k", 5000).await.as_deref(), Some("1"));
    // After a restart it writes again.
    let pd = store.pd.clone();
    drop(store);
    let store = Store::open(NodeConfig::default(), engine, pd).await;
    store.write(6000, &[("k", "3")]).await;
}

#[tokio::test]
async fn after_a_failed_write_the_store_only_reads_in_memory() {
    after_a_failed_write_the_store_only_reads(WriteCost::Memory).await;
}

#[tokio::test]
async fn after_a_failed_write_the_store_only_reads_on_a_device() {
    after_a_failed_write_the_store_only_reads(WriteCost::Device).await;
}

/// A caller that hangs up in the middle of a write does not let a rival in before the write is visible.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_of_callers_that_hang_up_are_whole() {
    let store =
        Arc::new(Store::open(NodeConfig::default(), Faulty::new(WriteCost::Device), Arc::default()).await);
    for round in 0..200u64 {
        let start_ts = 1000 + round * 10;
        let task = tokio::spawn({
            let store = store.clone();
            async move { store.prewrite(prewrite(start_ts, &[("a", "1"), ("b", "2")])).await }
        });
        if round % 2 == 0 {
            tokio::task::yield_now().await;
        }
        task.abort();
        let _ = task.await;
        // Under the latches of both keys the transaction is there or not, never in part.
        assert_eq!(store.rollback(&["a", "b"], start_ts).await, None);
        assert_eq!(store.value("a", start_ts + 5).await, None);
        assert_eq!(store.value("b", start_ts + 5).await, None);
    }
}

#[tokio::test]
async fn data_of_a_newer_release_is_refused() {
    let engine = Arc::new(MemoryEngine::new());
    let mut batch = WriteBatch::new();
    batch.put(Cf::Default, b"\x01format".to_vec(), b"tidewater-kv\0\0\0\0\xff".to_vec());
    engine.write(batch, Durability::Sync).unwrap();
    match Node::open(NodeConfig::default(), engine, Arc::<TestPd>::default()).await {
        Err(NodeError::Engine(error @ EngineError::NewerFormat { found: 255, .. })) => {
            assert!(error.to_string().contains("newer release"));
        }
        other => panic!("opened or failed otherwise: {:?}", other.map(|node| node.store_id())),
    }
}
