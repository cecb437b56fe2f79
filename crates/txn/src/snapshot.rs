use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tidewater_codec::{Key, StartTs, TimeStamp};
use tidewater_proto::kvrpcpb::{self, LockInfo};

use crate::TxnError;
use crate::backoff::Backoff;
use crate::cluster::{Cluster, Sent, context};
use crate::grouping::{Batch, Done};
use crate::key_error::KeyFailure;
use crate::scan::{Direction, Scan};

/// Which committed versions a read sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Isolation {
    /// What was committed at or before the snapshot; locks of earlier transactions are resolved or waited for.
    #[default]
    Snapshot,
    /// Likewise, but locks are read around: a statement of a read-committed transaction.
    ReadCommitted,
}

/// Which peers of a region a read may ask.
///
/// A follower makes sure with its leader that it has all that was committed before the read, so the answers are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReplicaRead {
    /// The leader.
    #[default]
    Leader,
    /// A follower; the leader if there is none, or if it does not answer.
    Follower,
    /// Any peer.
    Mixed,
}

/// The database as of one timestamp.
///
/// Cheap to clone; clones share what they learned about locks.
#[derive(Clone)]
pub struct Snapshot {
    cluster: Arc<Cluster>,
    ts: StartTs,
    isolation: Isolation,
    replica: ReplicaRead,
    stale: bool,
    /// Live transactions whose commit cannot become visible to this snapshot.
    ignored: Arc<Mutex<Vec<u64>>>,
}

impl Snapshot {
    /// The timestamp of a read that sees the latest committed version of a single key, and needs no timestamp of its own.
    /// Two such reads need not see the same state: only for one-key statements.
    pub const LATEST: StartTs = StartTs(TimeStamp::MAX);

    pub(crate) fn new(cluster: Arc<Cluster>, ts: StartTs, isolation: Isolation) -> Self {
        Self { cluster, ts, isolation, replica: ReplicaRead::Leader, stale: false, ignored: Arc::default() }
    }

    /// The timestamp of the snapshot.
    pub fn ts(&self) -> StartTs {
        self.ts
    }

    /// The same timestamp under another isolation.
    #[must_use]
    pub fn with_isolation(mut self, isolation: Isolation) -> Self {
        self.isolation = isolation;
        self
    }

    /// The same snapshot, read from other peers.
    #[must_use]
    pub fn with_replica_read(mut self, replica: ReplicaRead) -> Self {
        self.replica = replica;
        self
    }

    /// The same snapshot, read from whoever has everything up to its timestamp, without asking a leader. For timestamps some seconds in the
    /// past, with [`ReplicaRead::Mixed`]; a peer that is not that far refuses, and the leader is asked as usual.
    #[must_use]
    pub fn with_stale_read(mut self) -> Self {
        self.stale = true;
        self
    }

    /// The value of a key.
    pub async fn get(&self, key: &Key) -> Result<Option<Bytes>, TxnError> {
        self.get_bytes(Bytes::copy_from_slice(key.as_bytes())).await
    }

    pub(crate) async fn get_bytes(&self, key: Bytes) -> Result<Option<Bytes>, TxnError> {
        let mut backoff = self.backoff();
        loop {
            let response = self
                .cluster
                .send_to_key(&key, &mut backoff, || kvrpcpb::GetRequest {
                    context: Some(self.context()),
                    key: key.clone(),
                    version: self.ts.into_inner(),
                })
                .await?;
            match response.error {
                None => return Ok((!response.not_found).then_some(response.value)),
                Some(error) => self.clear(vec![self.locked(error)?], &mut backoff).await?,
            }
        }
    }

    /// The values of many keys; absent keys are absent from the map.
    pub async fn batch_get(
        &self,
        keys: impl IntoIterator<Item = &Key>,
    ) -> Result<BTreeMap<Key, Bytes>, TxnError> {
        let keys = keys.into_iter().map(|key| Bytes::copy_from_slice(key.as_bytes())).collect();
        let found = self.batch_get_bytes(keys).await?;
        Ok(found.into_iter().map(|(key, value)| (Key::new(Vec::from(key)), value)).collect())
    }

    pub(crate) async fn batch_get_bytes(
        &self,
        mut keys: Vec<Bytes>,
    ) -> Result<Vec<(Bytes, Bytes)>, TxnError> {
        keys.sort_unstable();
        keys.dedup();
        let mut backoff = self.backoff();
        let batches = self.cluster.batches(keys, &mut backoff).await?;
        let answers = self
            .cluster
            .for_each_batch(batches, &mut backoff, |batch, patience| self.get_batch(batch, patience))
            .await?;
        Ok(answers.into_iter().flatten().collect())
    }

    async fn get_batch(
        &self,
        batch: Batch<Bytes>,
        mut backoff: Backoff,
    ) -> (Result<Done<Vec<(Bytes, Bytes)>, Bytes>, TxnError>, Backoff) {
        let result = self.try_get_batch(batch, &mut backoff).await;
        (result, backoff)
    }

    async fn try_get_batch(
        &self,
        batch: Batch<Bytes>,
        backoff: &mut Backoff,
    ) -> Result<Done<Vec<(Bytes, Bytes)>, Bytes>, TxnError> {
        loop {
            let make = || kvrpcpb::BatchGetRequest {
                context: Some(self.context()),
                keys: batch.items.to_vec(),
                version: self.ts.into_inner(),
            };
            let Sent::Answer(response) = self.cluster.send(&batch.region, backoff, make).await? else {
                return Ok(Done::Again(batch.items));
            };
            let mut found = Vec::with_capacity(response.pairs.len());
            let mut locks = Vec::new();
            if let Some(error) = response.error {
                locks.push(self.locked(error)?);
            }
            for pair in response.pairs {
                match pair.error {
                    None => found.push((pair.key, pair.value)),
                    Some(error) => locks.push(self.locked(error)?),
                }
            }
            if locks.is_empty() {
                return Ok(Done::Answer(found));
            }
            self.clear(locks, backoff).await?;
        }
    }

    /// The pairs of a range of keys in ascending order; an empty end is unbounded.
    pub fn scan(&self, range: Range<Key>) -> Scan {
        Scan::new(self.clone(), range, Direction::Forward)
    }

    /// The pairs of a range of keys in descending order; an empty end is unbounded.
    pub fn scan_reverse(&self, range: Range<Key>) -> Scan {
        Scan::new(self.clone(), range, Direction::Backward)
    }

    pub(crate) fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    pub(crate) fn backoff(&self) -> Backoff {
        let mut backoff = self.cluster.backoff(self.cluster.config.patience.read);
        backoff.replica = self.replica;
        backoff
    }

    pub(crate) fn context(&self) -> kvrpcpb::Context {
        let mut context = context(match self.isolation {
            Isolation::Snapshot => kvrpcpb::IsolationLevel::Si,
            Isolation::ReadCommitted => kvrpcpb::IsolationLevel::Rc,
        });
        context.stale_read = self.stale;
        context.resolved_locks.clone_from(&self.ignored.lock());
        context
    }

    /// The lock a read met; other key errors fail it.
    pub(crate) fn locked(&self, error: kvrpcpb::KeyError) -> Result<LockInfo, TxnError> {
        match KeyFailure::new(error, self.ts) {
            KeyFailure::Locked(lock) => Ok(*lock),
            failure => Err(failure.into_error(self.ts)),
        }
    }

    /// Clears the way for another attempt.
    pub(crate) async fn clear(&self, locks: Vec<LockInfo>, backoff: &mut Backoff) -> Result<(), TxnError> {
        // Only leaders write.
        let replica = std::mem::take(&mut backoff.replica);
        let ignorable = self.cluster.clear_for_read(locks, self.ts, backoff).await?;
        backoff.replica = replica;
        let mut ignored = self.ignored.lock();
        for start in ignorable {
            if !ignored.contains(&start.into_inner()) {
                ignored.push(start.into_inner());
            }
        }
        Ok(())
    }
}
