use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use tidewater_codec::{Key, StartTs, TimeStamp};
use tidewater_proto::{PdService, StoreConnector, kvrpcpb, pdpb};

use crate::cluster::{Cluster, Sent};
use crate::keyspace::Mode;
use crate::resolver::earlier_end;
use crate::snapshot::{Isolation, Snapshot};
use crate::transaction::{Transaction, TxnOptions};
use crate::{Region, TxnConfig, TxnError};

/// Keys of one request to cut a region: the placement driver gives ids for four times as many.
const SPLIT_KEYS_MAX: usize = 256;

/// A client of one cluster. Cheap to clone; clones share connections, the region cache and what is known about other transactions.
#[derive(Clone)]
pub struct TxnClient {
    cluster: Arc<Cluster>,
}

impl TxnClient {
    /// A client that finds its cluster through `pd` and reaches the stores through `connector`. Nothing is connected yet.
    pub fn new(pd: Arc<dyn PdService>, connector: Arc<dyn StoreConnector>, config: TxnConfig) -> Self {
        Self { cluster: Arc::new(Cluster::new(pd, connector, config, Mode::Transactions)) }
    }

    /// The placement driver.
    pub fn pd(&self) -> &Arc<dyn PdService> {
        &self.cluster.pd
    }

    /// The settings.
    pub fn config(&self) -> &TxnConfig {
        &self.cluster.config
    }

    /// A timestamp later than all that were given out before the call.
    pub async fn current_timestamp(&self) -> Result<TimeStamp, TxnError> {
        self.cluster.timestamp().await
    }

    /// A timestamp that may be a little old ([`TxnConfig::low_resolution_age_max`]), and usually costs no request. For reads that need not
    /// see what was committed a moment ago; never for writes. A fresh read of one key is cheap with [`Snapshot::LATEST`].
    pub async fn low_resolution_timestamp(&self) -> Result<StartTs, TxnError> {
        Ok(StartTs(self.cluster.low_resolution_timestamp().await?))
    }

    /// The database as of a timestamp; [`Snapshot::LATEST`] for a read of one key.
    pub fn snapshot(&self, ts: StartTs) -> Snapshot {
        Snapshot::new(self.cluster.clone(), ts, Isolation::Snapshot)
    }

    /// Begins a transaction.
    pub async fn begin(&self, options: TxnOptions) -> Result<Transaction, TxnError> {
        let start = match options.start_ts {
            Some(start) => start,
            None => StartTs(self.cluster.timestamp().await?),
        };
        Ok(Transaction::new(self.cluster.clone(), start, &options))
    }

    /// The region that holds a key.
    pub async fn locate(&self, key: &Key) -> Result<Arc<Region>, TxnError> {
        let mut backoff = self.cluster.backoff(self.cluster.config.patience.read);
        self.cluster.locate(key.as_bytes(), &mut backoff).await
    }

    /// How many regions the client knows.
    pub fn regions_known(&self) -> usize {
        self.cluster.regions.len()
    }

    pub(crate) fn cluster(&self) -> &Arc<Cluster> {
        &self.cluster
    }

    /// Has the regions cut at these keys, so that each begins one. Keys that begin a region already are left alone. Gives the ids of the
    /// regions that are new, in the order of their keys.
    ///
    /// All keys of one region go in one request: a part of a replicated region takes no further cut before it has a leader.
    pub async fn split_regions(&self, keys: impl IntoIterator<Item = Key>) -> Result<Vec<u64>, TxnError> {
        let mut left: BTreeSet<Key> = keys.into_iter().collect();
        let mut asked = BTreeSet::new();
        let mut new = Vec::new();
        let mut backoff = self.cluster.backoff(self.cluster.config.patience.commit);
        while let Some(first) = left.first().cloned() {
            let region = self.cluster.locate(first.as_bytes(), &mut backoff).await?;
            if region.start()[..] == *first.as_bytes() {
                // An answer that was lost may have said so.
                if asked.contains(&first) {
                    new.push(region.id());
                }
                left.remove(&first);
                continue;
            }
            let inside = left.iter().take_while(|key| region.contains(key.as_bytes()));
            let inside: Vec<Key> = inside.take(SPLIT_KEYS_MAX).cloned().collect();
            asked.extend(inside.iter().cloned());
            let command = || kvrpcpb::SplitRegionRequest {
                split_keys: inside.iter().map(|key| Bytes::copy_from_slice(key.as_bytes())).collect(),
                // Raw here means "not memcomparable": the store encodes.
                is_raw_key: false,
                ..Default::default()
            };
            let Sent::Answer(response) = self.cluster.send(&region, &mut backoff, command).await? else {
                continue;
            };
            self.cluster.regions.forget(&region);
            let leader = region.leader().store_id;
            for piece in response.regions {
                let peer = piece.peers.iter().find(|peer| peer.store_id == leader).copied();
                self.cluster.install(piece, peer.as_ref())?;
            }
            backoff = self.cluster.backoff(self.cluster.config.patience.commit);
            for key in inside {
                let part = self.cluster.locate(key.as_bytes(), &mut backoff).await?;
                if part.start()[..] == *key.as_bytes() {
                    new.push(part.id());
                }
                left.remove(&key);
            }
        }
        Ok(new)
    }

    /// Removes all keys of a range from all stores at once, whatever transactions may be reading there: for dropped tables, after the
    /// safe point has passed the drop.
    pub async fn destroy_range(&self, range: Range<Key>) -> Result<(), TxnError> {
        let (start, end) =
            (Bytes::copy_from_slice(range.start.as_bytes()), Bytes::from(range.end.into_bytes()));
        for store_id in self.cluster.stores.all().await.map_err(TxnError::Pd)? {
            let mut backoff = self.cluster.backoff(self.cluster.config.patience.commit);
            loop {
                // Any region serves to carry the context; the store ignores it here.
                let region = self.cluster.locate(&start, &mut backoff).await?;
                let command = kvrpcpb::UnsafeDestroyRangeRequest {
                    context: None,
                    start_key: start.clone(),
                    end_key: end.clone(),
                };
                backoff.store_id = Some(store_id);
                let Some(response) = self.cluster.call(store_id, &region, command, &mut backoff).await?
                else {
                    continue;
                };
                if !response.error.is_empty() {
                    return Err(backoff.refused(Some(range.start), response.error));
                }
                break;
            }
        }
        Ok(())
    }

    /// Collects garbage: settles every lock older than `safe_point`, raises the cluster's safe point, and has each region drop the versions
    /// nobody can read any more. Returns the safe point in force, which a service may hold back.
    pub async fn collect_garbage(&self, safe_point: StartTs) -> Result<StartTs, TxnError> {
        self.cluster.settle_old_locks(Bytes::new(), &[], safe_point).await?;
        let request =
            pdpb::UpdateGcSafePointRequest { safe_point: safe_point.into_inner(), ..Default::default() };
        let response = self.cluster.pd.update_gc_safe_point(request).await.map_err(TxnError::Pd)?;
        let in_force = response.new_safe_point.min(safe_point.into_inner());
        self.for_each_region(|| kvrpcpb::GcRequest { safe_point: in_force, ..Default::default() }).await?;
        Ok(StartTs::new(response.new_safe_point))
    }

    async fn for_each_region(&self, make: impl Fn() -> kvrpcpb::GcRequest) -> Result<(), TxnError> {
        let mut from = Bytes::new();
        loop {
            let mut backoff = self.cluster.backoff(self.cluster.config.patience.commit);
            let region = self.cluster.locate(&from, &mut backoff).await?;
            let Sent::Answer(response) = self.cluster.send(&region, &mut backoff, &make).await? else {
                continue;
            };
            if let Some(error) = response.error {
                return Err(crate::key_error::KeyFailure::new(error, StartTs::default())
                    .into_error(StartTs::default()));
            }
            if region.end().is_empty() {
                return Ok(());
            }
            from = region.end().clone();
        }
    }

    /// Cuts ranges of keys along the regions, in ascending order. Ranges must be sorted and disjoint; an empty end is unbounded.
    pub async fn split_ranges(&self, ranges: &[Range<Key>]) -> Result<Vec<RegionTask>, TxnError> {
        let mut backoff = self.cluster.backoff(self.cluster.config.patience.read);
        self.cluster.split_ranges(ranges, &mut backoff).await
    }
}

/// The part of some ranges that one region holds.
#[derive(Debug, Clone)]
pub struct RegionTask {
    /// The region, as known when the ranges were cut.
    pub region: Arc<Region>,
    /// Its ranges, sorted and disjoint.
    pub ranges: Vec<Range<Key>>,
}

impl Cluster {
    pub(crate) async fn split_ranges(
        &self,
        ranges: &[Range<Key>],
        backoff: &mut crate::backoff::Backoff,
    ) -> Result<Vec<RegionTask>, TxnError> {
        let mut tasks: Vec<RegionTask> = Vec::new();
        for range in ranges {
            let end = range.end.as_bytes();
            let mut start = range.start.as_bytes().to_vec();
            while end.is_empty() || start[..] < *end {
                let region = match tasks.last() {
                    Some(task) if task.region.contains(&start) => task.region.clone(),
                    _ => self.locate(&start, backoff).await?,
                };
                let piece_end = earlier_end(region.end(), end).to_vec();
                let piece = Key::new(std::mem::replace(&mut start, piece_end.clone()))..Key::new(piece_end);
                let finished = region.end().is_empty() || piece.end.as_bytes() == end;
                match tasks.last_mut() {
                    Some(task) if Arc::ptr_eq(&task.region, &region) => task.ranges.push(piece),
                    _ => tasks.push(RegionTask { region, ranges: vec![piece] }),
                }
                if finished {
                    break;
                }
            }
        }
        Ok(tasks)
    }
}
