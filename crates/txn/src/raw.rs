//! Keys and values without transactions.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidewater_codec::Key;
use tidewater_proto::{PdService, StoreConnector, kvrpcpb};

use crate::backoff::{Backoff, Pause};
use crate::cluster::{Cluster, Sent};
use crate::grouping::{Batch, Done, Keyed};
use crate::keyspace::Mode;
use crate::resolver::earlier_end;
use crate::scan::Direction;
use crate::{TxnConfig, TxnError};

/// Pairs fetched in one request.
const SCAN_PAIRS_MAX: u32 = 1_024;

/// A client for keys and values without versions or transactions: each call is atomic per key, and no more.
///
/// Without a [`keyspace`](TxnConfig::keyspace) the cluster must not serve transactions, too: the two disagree about where regions end.
///
/// Writes are sent again when an answer is lost, so a write may take effect after another client's write that came after it was first sent.
/// Cheap to clone.
#[derive(Clone)]
pub struct RawClient {
    cluster: Arc<Cluster>,
    with_swaps: bool,
}

/// How long a value lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ttl {
    /// Until it is deleted.
    Forever,
    /// So much longer, in whole seconds.
    Left(Duration),
}

/// What [`RawClient::compare_and_swap`] found and did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Swap {
    /// Whether the new value was written.
    pub swapped: bool,
    /// What was there before; `None` for no value.
    pub previous: Option<Bytes>,
}

/// A checksum over pairs, the same in whatever order and however they are spread over regions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Checksum {
    /// CRC-64 of each pair, combined by exclusive or.
    pub crc64_xor: u64,
    /// How many pairs.
    pub pairs: u64,
    /// Bytes of keys and values.
    pub bytes: u64,
}

#[derive(Debug, Clone)]
struct Pair {
    key: Bytes,
    value: Bytes,
}

impl Keyed for Pair {
    fn key(&self) -> &[u8] {
        &self.key
    }

    fn bytes(&self) -> usize {
        self.key.len() + self.value.len()
    }
}

impl RawClient {
    /// A client that finds its cluster through `pd` and reaches the stores through `connector`. Nothing is connected yet.
    pub fn new(pd: Arc<dyn PdService>, connector: Arc<dyn StoreConnector>, config: TxnConfig) -> Self {
        Self { cluster: Arc::new(Cluster::new(pd, connector, config, Mode::Raw)), with_swaps: false }
    }

    /// A client whose writes respect [`Self::compare_and_swap`]; those of other clients may come in between.
    #[must_use]
    pub fn with_atomic_for_cas(mut self) -> Self {
        self.with_swaps = true;
        self
    }

    /// The value of a key.
    pub async fn get(&self, key: &Key) -> Result<Option<Bytes>, TxnError> {
        let (key, mut backoff) = (wire(key), self.reading());
        let make = || kvrpcpb::RawGetRequest { key: key.clone(), ..Default::default() };
        let response = self.cluster.send_to_key(&key, &mut backoff, make).await?;
        refuse(response.error, &key, &backoff)?;
        Ok((!response.not_found).then_some(response.value))
    }

    /// The values of many keys; absent keys are absent from the map.
    pub async fn batch_get(
        &self,
        keys: impl IntoIterator<Item = &Key>,
    ) -> Result<BTreeMap<Key, Bytes>, TxnError> {
        let mut keys: Vec<Bytes> = keys.into_iter().map(wire).collect();
        keys.sort_unstable();
        keys.dedup();
        let get = |batch: Batch<Bytes>, mut backoff: Backoff| async move {
            let make = || kvrpcpb::RawBatchGetRequest { keys: batch.items.to_vec(), ..Default::default() };
            let result = match self.cluster.send(&batch.region, &mut backoff, make).await {
                Ok(Sent::RegionChanged) => Ok(Done::Again(batch.items)),
                Ok(Sent::Answer(response)) => read_pairs(response.pairs, &backoff).map(Done::Answer),
                Err(error) => Err(error),
            };
            (result, backoff)
        };
        let mut backoff = self.reading();
        let batches = self.cluster.batches(keys, &mut backoff).await?;
        let found = self.cluster.for_each_batch(batches, &mut backoff, get).await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// Writes a value.
    pub async fn put(&self, key: Key, value: impl Into<Bytes>) -> Result<(), TxnError> {
        self.put_with_ttl(key, value, Ttl::Forever).await
    }

    /// Writes a value that is gone after a time.
    pub async fn put_with_ttl(&self, key: Key, value: impl Into<Bytes>, ttl: Ttl) -> Result<(), TxnError> {
        let (key, value, mut backoff) = (Bytes::from(key.into_bytes()), value.into(), self.writing());
        let make = || kvrpcpb::RawPutRequest {
            key: key.clone(),
            value: value.clone(),
            ttl: ttl.seconds(),
            for_cas: self.with_swaps,
            ..Default::default()
        };
        let response = self.cluster.send_to_key(&key, &mut backoff, make).await?;
        refuse(response.error, &key, &backoff)
    }

    /// Writes many values; after an error some may be written.
    pub async fn batch_put(
        &self,
        pairs: impl IntoIterator<Item = (Key, Bytes)>,
        ttl: Ttl,
    ) -> Result<(), TxnError> {
        // Of two values for one key the later wins.
        let pairs: BTreeMap<Key, Bytes> = pairs.into_iter().collect();
        let pairs = pairs.into_iter().map(|(key, value)| Pair { key: Bytes::from(key.into_bytes()), value });
        let put = |batch: Batch<Pair>, mut backoff: Backoff| async move {
            let make = || kvrpcpb::RawBatchPutRequest {
                pairs: batch.items.iter().map(Pair::to_wire).collect(),
                ttls: vec![ttl.seconds(); batch.items.len()],
                ttl: ttl.seconds(),
                for_cas: self.with_swaps,
                ..Default::default()
            };
            let result = match self.cluster.send(&batch.region, &mut backoff, make).await {
                Ok(Sent::RegionChanged) => Ok(Done::Again(batch.items)),
                Ok(Sent::Answer(response)) => {
                    refuse(response.error, batch.items[0].key(), &backoff).map(Done::Answer)
                }
                Err(error) => Err(error),
            };
            (result, backoff)
        };
        let mut backoff = self.writing();
        let batches = self.cluster.batches(pairs.collect(), &mut backoff).await?;
        self.cluster.for_each_batch(batches, &mut backoff, put).await.map(drop)
    }

    /// Deletes a key.
    pub async fn delete(&self, key: &Key) -> Result<(), TxnError> {
        let (key, mut backoff) = (wire(key), self.writing());
        let make =
            || kvrpcpb::RawDeleteRequest { key: key.clone(), for_cas: self.with_swaps, ..Default::default() };
        let response = self.cluster.send_to_key(&key, &mut backoff, make).await?;
        refuse(response.error, &key, &backoff)
    }

    /// Deletes many keys; after an error some may be deleted.
    pub async fn batch_delete(&self, keys: impl IntoIterator<Item = &Key>) -> Result<(), TxnError> {
        let mut keys: Vec<Bytes> = keys.into_iter().map(wire).collect();
        keys.sort_unstable();
        keys.dedup();
        let delete = |batch: Batch<Bytes>, mut backoff: Backoff| async move {
            let make = || kvrpcpb::RawBatchDeleteRequest {
                keys: batch.items.to_vec(),
                for_cas: self.with_swaps,
                ..Default::default()
            };
            let result = match self.cluster.send(&batch.region, &mut backoff, make).await {
                Ok(Sent::RegionChanged) => Ok(Done::Again(batch.items)),
                Ok(Sent::Answer(response)) => {
                    refuse(response.error, &batch.items[0], &backoff).map(Done::Answer)
                }
                Err(error) => Err(error),
            };
            (result, backoff)
        };
        let mut backoff = self.writing();
        let batches = self.cluster.batches(keys, &mut backoff).await?;
        self.cluster.for_each_batch(batches, &mut backoff, delete).await.map(drop)
    }

    /// Deletes all keys of a range, region by region; an empty end is unbounded.
    pub async fn delete_range(&self, range: Range<Key>) -> Result<(), TxnError> {
        let make =
            |start_key, end_key| kvrpcpb::RawDeleteRangeRequest { start_key, end_key, ..Default::default() };
        self.for_each_region(range, self.writing(), make, |response, start, backoff| {
            refuse(response.error, start, backoff)
        })
        .await
    }

    /// Up to `limit` pairs of a range in ascending order; an empty end is unbounded.
    pub async fn scan(&self, range: Range<Key>, limit: usize) -> Result<Vec<(Key, Bytes)>, TxnError> {
        self.scan_pairs(range, limit, Direction::Forward).await
    }

    /// Up to `limit` pairs of a range in descending order; an empty end is unbounded.
    pub async fn scan_reverse(&self, range: Range<Key>, limit: usize) -> Result<Vec<(Key, Bytes)>, TxnError> {
        self.scan_pairs(range, limit, Direction::Backward).await
    }

    /// How long a key lives on; `None` if it does not exist.
    pub async fn get_key_ttl(&self, key: &Key) -> Result<Option<Ttl>, TxnError> {
        let (key, mut backoff) = (wire(key), self.reading());
        let make = || kvrpcpb::RawGetKeyTtlRequest { key: key.clone(), ..Default::default() };
        let response = self.cluster.send_to_key(&key, &mut backoff, make).await?;
        refuse(response.error, &key, &backoff)?;
        Ok((!response.not_found).then_some(match response.ttl {
            0 => Ttl::Forever,
            seconds => Ttl::Left(Duration::from_secs(seconds)),
        }))
    }

    /// Writes a value if the key has the expected one; `None` expects no value. Use [`Self::with_atomic_for_cas`] for all writers of the key.
    pub async fn compare_and_swap(
        &self,
        key: Key,
        expected: Option<Bytes>,
        value: impl Into<Bytes>,
    ) -> Result<Swap, TxnError> {
        let (key, value, mut backoff) = (Bytes::from(key.into_bytes()), value.into(), self.writing());
        let make = || kvrpcpb::RawCasRequest {
            key: key.clone(),
            value: value.clone(),
            previous_not_exist: expected.is_none(),
            previous_value: expected.clone().unwrap_or_default(),
            ..Default::default()
        };
        let response = self.cluster.send_to_key(&key, &mut backoff, make).await?;
        refuse(response.error, &key, &backoff)?;
        let previous = (!response.previous_not_exist).then_some(response.previous_value);
        if !response.succeed && backoff.lost_answers > 0 && previous.as_ref() == Some(&value) {
            let unknown = "an answer was lost, and the value may be there by this swap or by another";
            return Err(backoff.exhausted(Pause::Transport, unknown));
        }
        Ok(Swap { swapped: response.succeed, previous })
    }

    /// The checksum of all pairs of a range; an empty end is unbounded.
    pub async fn checksum(&self, range: Range<Key>) -> Result<Checksum, TxnError> {
        let make = |start_key, end_key| kvrpcpb::RawChecksumRequest {
            ranges: vec![kvrpcpb::KeyRange { start_key, end_key }],
            ..Default::default()
        };
        let mut sum = Checksum::default();
        self.for_each_region(range, self.reading(), make, |response, start, backoff| {
            refuse(response.error, start, backoff)?;
            sum.crc64_xor ^= response.checksum;
            sum.pairs += response.total_kvs;
            sum.bytes += response.total_bytes;
            Ok(())
        })
        .await?;
        Ok(sum)
    }

    fn reading(&self) -> Backoff {
        self.cluster.backoff(self.cluster.config.patience.read)
    }

    fn writing(&self) -> Backoff {
        self.cluster.backoff(self.cluster.config.patience.commit)
    }

    /// Sends a command to the part of a range that each region holds, one after the other.
    async fn for_each_region<C: crate::command::Command>(
        &self,
        range: Range<Key>,
        mut backoff: Backoff,
        make: impl Fn(Bytes, Bytes) -> C,
        mut take: impl FnMut(C::Response, &Bytes, &Backoff) -> Result<(), TxnError>,
    ) -> Result<(), TxnError> {
        let (mut start, end) = (Bytes::from(range.start.into_bytes()), Bytes::from(range.end.into_bytes()));
        while end.is_empty() || start < end {
            let region = self.cluster.locate(&start, &mut backoff).await?;
            let piece_end = Bytes::copy_from_slice(earlier_end(region.end(), &end));
            let command = || make(start.clone(), piece_end.clone());
            let Sent::Answer(response) = self.cluster.send(&region, &mut backoff, command).await? else {
                continue;
            };
            take(response, &start, &backoff)?;
            if piece_end.is_empty() {
                break;
            }
            start = piece_end;
        }
        Ok(())
    }

    async fn scan_pairs(
        &self,
        range: Range<Key>,
        limit: usize,
        direction: Direction,
    ) -> Result<Vec<(Key, Bytes)>, TxnError> {
        let (mut start, mut end) =
            (Bytes::from(range.start.into_bytes()), Bytes::from(range.end.into_bytes()));
        let mut backoff = self.reading();
        let mut pairs = Vec::new();
        while pairs.len() < limit && (end.is_empty() || start < end) {
            let region = match direction {
                Direction::Forward => self.cluster.locate(&start, &mut backoff).await?,
                Direction::Backward => self.cluster.locate_before(&end, &mut backoff).await?,
            };
            let from = region.start().max(&start).clone();
            let to = Bytes::copy_from_slice(earlier_end(region.end(), &end));
            let wanted = u32::try_from(limit - pairs.len()).unwrap_or(u32::MAX).min(SCAN_PAIRS_MAX);
            let is_backward = direction == Direction::Backward;
            let make = || kvrpcpb::RawScanRequest {
                start_key: if is_backward { to.clone() } else { from.clone() },
                end_key: if is_backward { from.clone() } else { to.clone() },
                limit: wanted,
                reverse: is_backward,
                ..Default::default()
            };
            let Sent::Answer(response) = self.cluster.send(&region, &mut backoff, make).await? else {
                continue;
            };
            let page = read_pairs(response.kvs, &backoff)?;
            let is_full = page.len() >= wanted as usize;
            pairs.extend(page);
            match (is_full, pairs.last(), direction) {
                (true, Some((last, _)), Direction::Forward) => start = Bytes::from(last.next().into_bytes()),
                (true, Some((last, _)), Direction::Backward) => end = wire(last),
                (_, _, Direction::Forward) if to.is_empty() => break,
                (_, _, Direction::Forward) => start = to,
                (_, _, Direction::Backward) if from == start => break,
                (_, _, Direction::Backward) => end = from,
            }
        }
        Ok(pairs)
    }
}

impl Ttl {
    /// As the wire has it: zero is forever, and a part of a second is a second.
    fn seconds(self) -> u64 {
        match self {
            Self::Forever => 0,
            Self::Left(duration) => {
                duration.as_millis().div_ceil(1_000).max(1).try_into().unwrap_or(u64::MAX)
            }
        }
    }
}

impl Pair {
    fn to_wire(&self) -> kvrpcpb::KvPair {
        kvrpcpb::KvPair { key: self.key.clone(), value: self.value.clone(), error: None }
    }
}

fn wire(key: &Key) -> Bytes {
    Bytes::copy_from_slice(key.as_bytes())
}

/// Raw errors are sentences.
fn refuse(error: String, key: &[u8], backoff: &Backoff) -> Result<(), TxnError> {
    if error.is_empty() {
        return Ok(());
    }
    Err(backoff.refused(Some(Key::new(key)), error))
}

fn read_pairs(pairs: Vec<kvrpcpb::KvPair>, backoff: &Backoff) -> Result<Vec<(Key, Bytes)>, TxnError> {
    let mut read = Vec::with_capacity(pairs.len());
    for pair in pairs {
        if let Some(error) = pair.error {
            let reason = if error.abort.is_empty() { error.retryable } else { error.abort };
            return Err(backoff.refused(Some(Key::new(&pair.key[..])), reason));
        }
        read.push((Key::new(Vec::from(pair.key)), pair.value));
    }
    Ok(read)
}
