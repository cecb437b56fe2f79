//! A node with a placement driver of its own, and short ways to call it.
#![allow(dead_code, reason = "shared with benches and examples, which use parts of it")]

pub mod pd;
#[path = "raw_client.rs"]
pub mod raw_client;

use std::sync::Arc;

use bytes::Bytes;
use tidewater_kv::{Engine, MemoryEngine, Node, NodeConfig};
use tidewater_proto::{StoreRequest, StoreResponse, StoreService, kvrpcpb, metapb};

pub use pd::TestPd;

/// A node under test.
pub struct Store {
    pub node: Arc<Node>,
    pub pd: Arc<TestPd>,
}

impl Store {
    pub async fn memory() -> Self {
        Self::open(NodeConfig::default(), Arc::new(MemoryEngine::new()), Arc::default()).await
    }

    pub async fn open(config: NodeConfig, engine: Arc<dyn Engine>, pd: Arc<TestPd>) -> Self {
        let node = Node::open(config, engine, pd.clone()).await.expect("the node opens");
        Self { node, pd }
    }

    /// What a client with a fresh region cache sends along for `key`.
    pub fn context(&self, key: &[u8]) -> kvrpcpb::Context {
        context_of(&self.pd.region_of(key))
    }

    pub async fn call(&self, request: StoreRequest) -> StoreResponse {
        self.node.call(request).await.expect("a node in the process answers")
    }

    pub async fn get(&self, key: &str, ts: u64) -> kvrpcpb::GetResponse {
        let request =
            kvrpcpb::GetRequest { context: Some(self.context(key.as_bytes())), key: bytes(key), version: ts };
        let StoreResponse::Get(answer) = self.call(StoreRequest::Get(request)).await else {
            panic!("another answer")
        };
        assert_eq!(answer.region_error, None);
        answer
    }

    /// The value of a key that must be readable.
    pub async fn value(&self, key: &str, ts: u64) -> Option<String> {
        let answer = self.get(key, ts).await;
        assert_eq!(answer.error, None, "{key} at {ts}");
        (!answer.not_found).then(|| text(&answer.value))
    }

    /// A scan that meets no lock in memory.
    pub async fn scan(&self, request: kvrpcpb::ScanRequest) -> Vec<kvrpcpb::KvPair> {
        let answer = self.try_scan(request).await;
        assert_eq!(answer.error, None);
        answer.pairs
    }

    pub async fn try_scan(&self, request: kvrpcpb::ScanRequest) -> kvrpcpb::ScanResponse {
        let context = Some(self.context(if request.reverse { &request.end_key } else { &request.start_key }));
        let request = StoreRequest::Scan(kvrpcpb::ScanRequest { context, ..request });
        let StoreResponse::Scan(answer) = self.call(request).await else { panic!("another answer") };
        assert_eq!(answer.region_error, None);
        answer
    }

    pub async fn prewrite(&self, request: kvrpcpb::PrewriteRequest) -> kvrpcpb::PrewriteResponse {
        let context = request.context.clone().unwrap_or_else(|| self.context(&request.mutations[0].key));
        let request = kvrpcpb::PrewriteRequest { context: Some(context), ..request };
        let StoreResponse::Prewrite(answer) = self.call(StoreRequest::Prewrite(request)).await else {
            panic!("another answer")
        };
        assert_eq!(answer.region_error, None);
        answer
    }

    pub async fn commit(&self, keys: &[&str], start_ts: u64, commit_ts: u64) -> Option<kvrpcpb::KeyError> {
        let request = kvrpcpb::CommitRequest {
            context: Some(self.context(keys[0].as_bytes())),
            start_version: start_ts,
            keys: keys.iter().map(|key| bytes(key)).collect(),
            commit_version: commit_ts,
        };
        let StoreResponse::Commit(answer) = self.call(StoreRequest::Commit(request)).await else {
            panic!("another answer")
        };
        assert_eq!(answer.region_error, None);
        answer.error
    }

    pub async fn rollback(&self, keys: &[&str], start_ts: u64) -> Option<kvrpcpb::KeyError> {
        let request = kvrpcpb::BatchRollbackRequest {
            context: Some(self.context(keys[0].as_bytes())),
            start_version: start_ts,
            keys: keys.iter().map(|key| bytes(key)).collect(),
        };
        let StoreResponse::BatchRollback(answer) = self.call(StoreRequest::BatchRollback(request)).await
        else {
            panic!("another answer")
        };
        answer.error
    }

    pub async fn lock(&self, request: kvrpcpb::PessimisticLockRequest) -> kvrpcpb::PessimisticLockResponse {
        let context = Some(self.context(&request.mutations[0].key));
        let request = kvrpcpb::PessimisticLockRequest { context, ..request };
        let StoreResponse::PessimisticLock(answer) = self.call(StoreRequest::PessimisticLock(request)).await
        else {
            panic!("another answer")
        };
        assert_eq!(answer.region_error, None);
        answer
    }

    pub async fn unlock(&self, keys: &[&str], start_ts: u64, for_update_ts: u64) {
        let request = kvrpcpb::PessimisticRollbackRequest {
            context: Some(self.context(keys[0].as_bytes())),
            start_version: start_ts,
            for_update_ts,
            keys: keys.iter().map(|key| bytes(key)).collect(),
        };
        let StoreResponse::PessimisticRollback(answer) =
            self.call(StoreRequest::PessimisticRollback(request)).await
        else {
            panic!("another answer")
        };
        assert!(answer.errors.is_empty());
    }

    pub async fn check_txn(
        &self,
        request: kvrpcpb::CheckTxnStatusRequest,
    ) -> kvrpcpb::CheckTxnStatusResponse {
        let context = Some(self.context(&request.primary_key));
        let request = kvrpcpb::CheckTxnStatusRequest { context, ..request };
        let StoreResponse::CheckTxnStatus(answer) = self.call(StoreRequest::CheckTxnStatus(request)).await
        else {
            panic!("another answer")
        };
        assert_eq!(answer.region_error, None);
        answer
    }

    pub async fn resolve(&self, request: kvrpcpb::ResolveLockRequest) -> Option<kvrpcpb::KeyError> {
        let key = request.keys.first().cloned().unwrap_or_default();
        let request = kvrpcpb::ResolveLockRequest { context: Some(self.context(&key)), ..request };
        let StoreResponse::ResolveLock(answer) = self.call(StoreRequest::ResolveLock(request)).await else {
            panic!("another answer")
        };
        assert_eq!(answer.region_error, None);
        answer.error
    }

    /// Writes keys in one phase; returns the commit timestamp.
    pub async fn write(&self, start_ts: u64, pairs: &[(&str, &str)]) -> u64 {
        let answer =
            self.prewrite(kvrpcpb::PrewriteRequest { try_one_pc: true, ..prewrite(start_ts, pairs) }).await;
        assert_eq!(answer.errors, []);
        assert!(answer.one_pc_commit_ts > start_ts);
        answer.one_pc_commit_ts
    }
}

/// Calls a store; the answer is of the request's kind.
#[macro_export]
macro_rules! call {
    ($store:expr, $variant:ident, $request:expr) => {{
        let request = tidewater_proto::StoreRequest::$variant($request);
        let tidewater_proto::StoreResponse::$variant(answer) = $store.call(request).await else {
            panic!("another answer")
        };
        answer
    }};
}

pub fn context_of(region: &metapb::Region) -> kvrpcpb::Context {
    kvrpcpb::Context {
        region_id: region.id,
        region_epoch: region.region_epoch,
        peer: region.peers.first().cloned(),
        ..Default::default()
    }
}

pub fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub fn put(key: &str, value: &str) -> kvrpcpb::Mutation {
    mutation(kvrpcpb::Op::Put, key, value)
}

pub fn mutation(op: kvrpcpb::Op, key: &str, value: &str) -> kvrpcpb::Mutation {
    kvrpcpb::Mutation { op: op.into(), key: bytes(key), value: bytes(value), assertion: 0 }
}

/// Puts, the first key is the primary, the lock lives three seconds.
pub fn prewrite(start_ts: u64, pairs: &[(&str, &str)]) -> kvrpcpb::PrewriteRequest {
    kvrpcpb::PrewriteRequest {
        mutations: pairs.iter().map(|(key, value)| put(key, value)).collect(),
        primary_lock: bytes(pairs[0].0),
        start_version: start_ts,
        lock_ttl: 3000,
        ..Default::default()
    }
}

/// Pessimistic locks, the first key is the primary.
pub fn lock(start_ts: u64, for_update_ts: u64, keys: &[&str]) -> kvrpcpb::PessimisticLockRequest {
    kvrpcpb::PessimisticLockRequest {
        mutations: keys.iter().map(|key| mutation(kvrpcpb::Op::PessimisticLock, key, "")).collect(),
        primary_lock: bytes(keys[0]),
        start_version: start_ts,
        for_update_ts,
        lock_ttl: 3000,
        wait_timeout: -1,
        ..Default::default()
    }
}

/// A timestamp of `ms` milliseconds.
pub fn at_ms(ms: u64) -> u64 {
    ms << 18
}
