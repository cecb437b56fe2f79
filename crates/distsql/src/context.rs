//! What the readers of one statement share.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use tidewater_codec::Key;
use tidewater_executor::ExecContext;
use tidewater_planner::{LockWait, PushdownTarget};
use tidewater_txn::{Snapshot, TxnClient, TxnError, WriteBuffer};

use crate::result_cache::ResultCache;

/// What the current transaction has written and not committed.
///
/// Implemented by whoever owns the transaction, and by [`DirtyCopy`].
pub trait DirtyRows: Send + Sync {
    /// The write to a key, if there is one: a value, or `None` for a deletion.
    fn get(&self, key: &[u8]) -> Option<Option<Bytes>>;
    /// The writes to a range, in order of the keys.
    fn range(&self, range: &Range<Key>) -> Vec<(Bytes, Option<Bytes>)>;
}

/// Locks keys for the current transaction (FOR UPDATE point reads).
#[async_trait]
pub trait KeyLocker: Send + Sync {
    /// Locks all of them at the statement's for-update time.
    async fn lock(&self, keys: Vec<Key>, wait: LockWait) -> Result<(), TxnError>;
}

/// Writes copied out of a transaction's buffer.
#[derive(Clone, Debug, Default)]
pub struct DirtyCopy(BTreeMap<Bytes, Option<Bytes>>);

impl DirtyCopy {
    /// The writes to some ranges.
    pub fn new<'a>(buffer: &WriteBuffer, ranges: impl IntoIterator<Item = &'a Range<Key>>) -> DirtyCopy {
        let mut writes = BTreeMap::new();
        for range in ranges {
            for (key, write) in buffer.range(range) {
                writes.insert(key.clone(), write.value.clone());
            }
        }
        DirtyCopy(writes)
    }
}

impl DirtyRows for DirtyCopy {
    fn get(&self, key: &[u8]) -> Option<Option<Bytes>> {
        self.0.get(key).cloned()
    }

    fn range(&self, range: &Range<Key>) -> Vec<(Bytes, Option<Bytes>)> {
        let from = Bytes::copy_from_slice(range.start.as_bytes());
        self.0
            .range(from..)
            .take_while(|(key, _)| range.end.is_empty() || &key[..] < range.end.as_bytes())
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }
}

/// `tidb_distsql_scan_concurrency`.
const SCAN_CONCURRENCY: usize = 15;
/// `tidb_index_lookup_concurrency`.
const LOOKUP_CONCURRENCY: usize = 4;
/// `tidb_index_lookup_size`: handles of one batch.
const LOOKUP_BATCH_ROWS: usize = 20_000;

/// How one speaks to the stores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreProtocol {
    /// What they are. The planner must know the same.
    pub target: PushdownTarget,
    /// What is asked for.
    pub answers: AnswerEncoding,
}

/// The encoding of answers that is asked for. A store may choose another; the answer says which.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AnswerEncoding {
    /// Arrow IPC; TypeChunk of stores that are not ours.
    #[default]
    Arrow,
    /// TypeChunk.
    Chunk,
    /// TypeDefault.
    Datums,
}

/// The statement's snapshot and settings; cheap to clone.
#[derive(Clone)]
pub struct ReadContext {
    /// The executor's context.
    pub exec: ExecContext,
    /// The way to the regions.
    pub client: TxnClient,
    /// Where reads see the database.
    pub snapshot: Snapshot,
    /// How one speaks to the stores.
    pub protocol: StoreProtocol,
    /// Requests of one reader that are under way at the same time.
    pub scan_concurrency: usize,
    /// Batches of an index lookup that are under way at the same time.
    pub lookup_concurrency: usize,
    /// Handles of a full batch of an index lookup.
    pub lookup_batch_rows: usize,
    /// The current transaction's own writes, if it has any.
    pub dirty: Option<Arc<dyn DirtyRows>>,
    /// For point reads that lock.
    pub locker: Option<Arc<dyn KeyLocker>>,
    /// Point reads lock although their plan does not say so: for rows that are about to be changed. Like every locking point read they
    /// lock keys without a row, too, so that whoever deletes and inserts a row in one transaction does not meet another who does.
    pub lock_points: Option<LockWait>,
    /// Where answers are kept; `None`: nowhere.
    pub result_cache: Option<Arc<ResultCache>>,
    /// Set for EXPLAIN ANALYZE: what the stores report about the steps they ran.
    pub cop_stats: Option<CopStats>,
}

impl ReadContext {
    /// A context with the default settings.
    pub fn new(exec: ExecContext, client: TxnClient, snapshot: Snapshot) -> ReadContext {
        ReadContext {
            exec,
            client,
            snapshot,
            protocol: StoreProtocol::default(),
            scan_concurrency: SCAN_CONCURRENCY,
            lookup_concurrency: LOOKUP_CONCURRENCY,
            lookup_batch_rows: LOOKUP_BATCH_ROWS,
            dirty: None,
            locker: None,
            lock_points: None,
            result_cache: None,
            cop_stats: None,
        }
    }

    /// The same with another executor context (an apply binds values into it).
    #[must_use]
    pub fn with_exec(&self, exec: ExecContext) -> ReadContext {
        ReadContext { exec, ..self.clone() }
    }
}

/// What stores did for each step of a plan, by the plan node's id.
#[derive(Clone, Debug, Default)]
pub struct CopStats(Arc<Mutex<BTreeMap<u32, CopStepStats>>>);

/// What stores did for one step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CopStepStats {
    /// Requests in which the step ran.
    pub tasks: u64,
    /// Rows it gave.
    pub rows: u64,
    /// Its chunks.
    pub loops: u64,
    /// Its time, summed over all requests.
    pub time: Duration,
}

impl CopStats {
    /// What is known of a step.
    pub fn step(&self, plan_id: u32) -> Option<CopStepStats> {
        self.0.lock().get(&plan_id).cloned()
    }

    pub(crate) fn add(&self, plan_id: u32, rows: u64, loops: u64, time: Duration) {
        let mut steps = self.0.lock();
        let step = steps.entry(plan_id).or_default();
        step.tasks += 1;
        step.rows += rows;
        step.loops += loops;
        step.time += time;
    }
}
