//! Raw commands: keys and values without transactions. See [`crate::raw`] for where they lie.
//!
//! Every raw write takes the latches of its keys, whether it is marked for compare-and-swap or not: then a swap is atomic with all
//! of them, and one who forgets the mark loses nothing but the time of a hash. The deletion of a range takes no latches: a swap that
//! goes on at the same time may survive it.

use std::sync::Arc;

use bytes::Bytes;
use tidewater_proto::{errorpb, kvrpcpb};

use super::Node;
use crate::{
    Cf, EngineError, Snapshot, WriteBatch,
    api::{self, ApiError, KeyMode},
    error::undetermined,
    limits::LimitError,
    mvcc::Direction,
    raw::{RawEntry, RawFamily, RawScanner, RawSpace, UnknownFamily, visible},
    region::{KeyForm, Region, RegionError, RegionGuard},
    replication::WriteError,
};

/// The sum of TiKV's raw checksum: of every pair by itself, so that it does not depend on how regions cut the data.
static CHECKSUM: crc::Crc<u64> = crc::Crc::<u64>::new(&crc::CRC_64_XZ);

/// Why a raw command was not executed.
#[derive(Debug, thiserror::Error)]
pub(super) enum RawError {
    #[error("{}", .0.message)]
    Region(RegionError),
    #[error(transparent)]
    Family(#[from] UnknownFamily),
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error(transparent)]
    Limit(#[from] LimitError),
    #[error("{ttls} times to live for {pairs} pairs: there may be one for each, one for all, or none")]
    Ttls { ttls: usize, pairs: usize },
    #[error("unknown checksum algorithm {algorithm}")]
    Algorithm { algorithm: i32 },
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("the outcome is unknown: {0}")]
    Undetermined(EngineError),
}

impl From<RegionError> for RawError {
    fn from(error: RegionError) -> Self {
        Self::Region(error)
    }
}

impl From<WriteError> for RawError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Refused(error) => Self::Engine(error),
            WriteError::Unknown(error) => Self::Undetermined(error),
            WriteError::Region(error) => Self::Region(error),
            // A comparison, say, must not be repeated by somebody who does not know what became of the first.
            WriteError::LeaderLost(error) => {
                Self::Undetermined(WriteError::LeaderLost(error).into_engine_error())
            }
        }
    }
}

/// The response, or one that tells the error.
pub(super) fn answer<R: RawResponse>(result: Result<R, RawError>) -> R {
    match result {
        Ok(response) => response,
        Err(RawError::Region(error)) => R::region(*error),
        Err(RawError::Undetermined(error)) => R::region(*undetermined(&error)),
        Err(error) => R::text(error.to_string()),
    }
}

/// A raw response has a place for a region error, and one for a text.
pub(super) trait RawResponse {
    fn region(error: errorpb::Error) -> Self;
    fn text(error: String) -> Self;
}

/// Responses with `error`, and those where an error takes the place of a pair.
macro_rules! raw_responses {
    (text: $($text:ident)*; pairs: $($pairs:ident $field:ident)*) => {
        $(impl RawResponse for kvrpcpb::$text {
            fn region(error: errorpb::Error) -> Self {
                Self { region_error: Some(error), ..Self::default() }
            }
            fn text(error: String) -> Self {
                Self { error, ..Self::default() }
            }
        })*
        $(impl RawResponse for kvrpcpb::$pairs {
            fn region(error: errorpb::Error) -> Self {
                Self { region_error: Some(error), ..Self::default() }
            }
            fn text(error: String) -> Self {
                let error = kvrpcpb::KeyError { abort: error, ..Default::default() };
                Self { $field: vec![kvrpcpb::KvPair { error: Some(error), ..Default::default() }], ..Self::default() }
            }
        })*
    };
}

raw_responses! {
    text: RawGetResponse RawGetKeyTtlResponse RawPutResponse RawBatchPutResponse RawDeleteResponse RawBatchDeleteResponse
        RawDeleteRangeResponse RawCasResponse RawChecksumResponse;
    pairs: RawBatchGetResponse pairs RawScanResponse kvs RawBatchScanResponse kvs
}

/// Where a request goes.
struct Target {
    region: RegionGuard,
    space: RawSpace,
}

impl Target {
    fn check_keys<'k>(
        &self,
        context: Option<&kvrpcpb::Context>,
        keys: impl IntoIterator<Item = &'k [u8]> + Clone,
    ) -> Result<(), RawError> {
        api::check_keys(context, KeyMode::Raw, keys.clone())?;
        keys.into_iter().try_for_each(|key| self.region.check_key_as(self.space.form, key))?;
        Ok(())
    }

    /// The part of a range inside the region.
    fn clamp<'a>(
        &'a self,
        context: Option<&kvrpcpb::Context>,
        start: &'a [u8],
        end: &'a [u8],
    ) -> Result<(&'a [u8], &'a [u8]), RawError> {
        api::check_range(context, KeyMode::Raw, start, end)?;
        Ok(self.region.clamp_as(self.space.form, start, end))
    }
}

impl Node {
    fn raw_target(&self, context: Option<&kvrpcpb::Context>, cf: &str) -> Result<Target, RawError> {
        let form = match api::is_v2(context)? {
            true => KeyForm::Encoded,
            false => KeyForm::Plain,
        };
        Ok(Target {
            region: self.regions.check(context)?,
            space: RawSpace { form, family: cf.parse::<RawFamily>()? },
        })
    }

    /// Seconds since 1970.
    pub(super) fn raw_now(&self) -> u64 {
        u64::try_from(self.config.clock.now_micros()).unwrap_or(0) / 1_000_000
    }

    /// Reads one key. HOT: one read of the engine, the value is not copied.
    pub(super) fn raw_get(&self, request: &kvrpcpb::RawGetRequest) -> kvrpcpb::RawGetResponse {
        let read = || {
            let stored = self.raw_stored(request.context.as_ref(), &request.cf, &request.key)?;
            Ok(match (visible(stored.as_ref(), self.raw_now())?, &stored) {
                (Some(entry), Some(stored)) => {
                    kvrpcpb::RawGetResponse { value: stored.slice_ref(entry.value), ..Default::default() }
                }
                _ => kvrpcpb::RawGetResponse { not_found: true, ..Default::default() },
            })
        };
        answer(read())
    }

    /// What the engine holds for a key of a request, expired or not.
    fn raw_stored(
        &self,
        context: Option<&kvrpcpb::Context>,
        cf: &str,
        key: &[u8],
    ) -> Result<Option<Bytes>, RawError> {
        let target = self.raw_target(context, cf)?;
        target.check_keys(context, [key])?;
        let stored = self.scheduler.engine.get(Cf::Default, &target.space.engine_key(key))?;
        target.region.load.reads.note_key(key, stored.as_ref().map_or(0, Bytes::len));
        Ok(stored)
    }

    pub(super) fn raw_batch_get(
        &self,
        request: &kvrpcpb::RawBatchGetRequest,
    ) -> Result<kvrpcpb::RawBatchGetResponse, RawError> {
        let target = self.raw_target(request.context.as_ref(), &request.cf)?;
        target.check_keys(request.context.as_ref(), request.keys.iter().map(|key| &key[..]))?;
        let (snapshot, now) = (self.scheduler.engine.snapshot(), self.raw_now());
        let mut pairs = Vec::with_capacity(request.keys.len());
        for key in &request.keys {
            let stored = snapshot.get(Cf::Default, &target.space.engine_key(key))?;
            if let (Some(entry), Some(stored)) = (visible(stored.as_ref(), now)?, &stored) {
                let value = stored.slice_ref(entry.value);
                pairs.push(kvrpcpb::KvPair { error: None, key: key.clone(), value });
            }
        }
        let bytes = pairs.iter().map(|pair| pair.value.len()).sum();
        target.region.load.reads.note_keys(request.keys.iter().map(|key| &key[..]), bytes);
        Ok(kvrpcpb::RawBatchGetResponse { pairs, ..Default::default() })
    }

    pub(super) fn raw_get_key_ttl(
        &self,
        request: &kvrpcpb::RawGetKeyTtlRequest,
    ) -> Result<kvrpcpb::RawGetKeyTtlResponse, RawError> {
        let stored = self.raw_stored(request.context.as_ref(), &request.cf, &request.key)?;
        let now = self.raw_now();
        Ok(match visible(stored.as_ref(), now)? {
            Some(entry) => kvrpcpb::RawGetKeyTtlResponse { ttl: entry.ttl(now), ..Default::default() },
            None => kvrpcpb::RawGetKeyTtlResponse { not_found: true, ..Default::default() },
        })
    }

    pub(super) async fn raw_put(
        &self,
        request: &kvrpcpb::RawPutRequest,
    ) -> Result<kvrpcpb::RawPutResponse, RawError> {
        let target = self.raw_target(request.context.as_ref(), &request.cf)?;
        let pairs = [(&request.key[..], &request.value[..], request.ttl)];
        self.raw_put_pairs(&target, request.context.as_ref(), &pairs).await?;
        Ok(kvrpcpb::RawPutResponse::default())
    }

    pub(super) async fn raw_batch_put(
        &self,
        request: &kvrpcpb::RawBatchPutRequest,
    ) -> Result<kvrpcpb::RawBatchPutResponse, RawError> {
        let target = self.raw_target(request.context.as_ref(), &request.cf)?;
        let ttl_of = |index: usize| match request.ttls[..] {
            [] => request.ttl,
            [ttl] => ttl,
            ref ttls => ttls[index],
        };
        let (ttls, count) = (request.ttls.len(), request.pairs.len());
        if ttls > 1 && ttls != count {
            return Err(RawError::Ttls { ttls, pairs: count });
        }
        let pairs = request.pairs.iter().enumerate();
        let pairs = pairs.map(|(index, pair)| (&pair.key[..], &pair.value[..], ttl_of(index)));
        self.raw_put_pairs(&target, request.context.as_ref(), &pairs.collect::<Vec<_>>()).await?;
        Ok(kvrpcpb::RawBatchPutResponse::default())
    }

    /// Writes keys, values and times to live.
    async fn raw_put_pairs(
        &self,
        target: &Target,
        context: Option<&kvrpcpb::Context>,
        pairs: &[(&[u8], &[u8], u64)],
    ) -> Result<(), RawError> {
        target.check_keys(context, pairs.iter().map(|(key, _, _)| *key))?;
        self.check_room(context)?;
        self.config.limits().check(pairs.iter().map(|(key, value, _)| (*key, *value)))?;
        let now = self.raw_now();
        let mut batch = WriteBatch::new();
        let mut keys = Vec::with_capacity(pairs.len());
        let mut expires_at = 0;
        for (key, value, ttl) in pairs {
            let engine_key = target.space.engine_key(key);
            let entry = RawEntry::new(value, *ttl, now);
            expires_at = [expires_at, entry.expires_at].into_iter().filter(|at| *at != 0).min().unwrap_or(0);
            keys.push(engine_key.clone());
            batch.put(Cf::Default, engine_key, entry.to_bytes());
        }
        self.raw_write(&target.region, &keys, batch, expires_at).await
    }

    pub(super) async fn raw_delete(
        &self,
        request: kvrpcpb::RawDeleteRequest,
    ) -> Result<kvrpcpb::RawDeleteResponse, RawError> {
        self.raw_delete_keys(request.context.as_ref(), &request.cf, &[request.key]).await?;
        Ok(kvrpcpb::RawDeleteResponse::default())
    }

    pub(super) async fn raw_batch_delete(
        &self,
        request: kvrpcpb::RawBatchDeleteRequest,
    ) -> Result<kvrpcpb::RawBatchDeleteResponse, RawError> {
        self.raw_delete_keys(request.context.as_ref(), &request.cf, &request.keys).await?;
        Ok(kvrpcpb::RawBatchDeleteResponse::default())
    }

    async fn raw_delete_keys(
        &self,
        context: Option<&kvrpcpb::Context>,
        cf: &str,
        keys: &[Bytes],
    ) -> Result<(), RawError> {
        let target = self.raw_target(context, cf)?;
        target.check_keys(context, keys.iter().map(|key| &key[..]))?;
        let keys = keys.iter().map(|key| target.space.engine_key(key)).collect::<Vec<_>>();
        let mut batch = WriteBatch::new();
        keys.iter().for_each(|key| batch.delete(Cf::Default, key.clone()));
        self.raw_write(&target.region, &keys, batch, 0).await
    }

    /// Writes under the latches of `keys`.
    async fn raw_write(
        &self,
        region: &Arc<Region>,
        keys: &[Vec<u8>],
        batch: WriteBatch,
        expires_at: u64,
    ) -> Result<(), RawError> {
        let latches = self.scheduler.latches.acquire(keys.iter().map(|key| &key[..])).await;
        let written = self.scheduler.write_raw(region, batch, expires_at, latches).await;
        self.request_split_check(region);
        Ok(written?)
    }

    pub(super) async fn raw_delete_range(
        &self,
        request: kvrpcpb::RawDeleteRangeRequest,
    ) -> Result<kvrpcpb::RawDeleteRangeResponse, RawError> {
        let target = self.raw_target(request.context.as_ref(), &request.cf)?;
        let (start, end) = target.clamp(request.context.as_ref(), &request.start_key, &request.end_key)?;
        let (lower, upper) = target.space.engine_range(start, end);
        self.destroy_engine_range(&[Cf::Default], &lower, &upper).await?;
        Ok(kvrpcpb::RawDeleteRangeResponse::default())
    }

    pub(super) fn raw_scan(
        &self,
        request: &kvrpcpb::RawScanRequest,
    ) -> Result<kvrpcpb::RawScanResponse, RawError> {
        let target = self.raw_target(request.context.as_ref(), &request.cf)?;
        let scan = RangeScan {
            direction: direction(request.reverse),
            limit: request.limit,
            key_only: request.key_only,
            now: self.raw_now(),
        };
        let mut kvs = Vec::new();
        let snapshot = self.scheduler.engine.snapshot();
        let range = (&request.start_key[..], &request.end_key[..]);
        scan.append(&*snapshot, &target, request.context.as_ref(), range, &mut kvs)?;
        let bytes = kvs.iter().map(|pair| pair.key.len() + pair.value.len()).sum();
        // A reverse scan names its upper end first.
        let read = if request.reverse { (range.1, range.0) } else { range };
        target.region.load.reads.note_ranges([read].into_iter(), kvs.len(), bytes);
        Ok(kvrpcpb::RawScanResponse { kvs, ..Default::default() })
    }

    pub(super) fn raw_batch_scan(
        &self,
        request: &kvrpcpb::RawBatchScanRequest,
    ) -> Result<kvrpcpb::RawBatchScanResponse, RawError> {
        let target = self.raw_target(request.context.as_ref(), &request.cf)?;
        let scan = RangeScan {
            direction: direction(request.reverse),
            limit: request.each_limit,
            key_only: request.key_only,
            now: self.raw_now(),
        };
        let snapshot = self.scheduler.engine.snapshot();
        let mut kvs = Vec::new();
        for (index, range) in request.ranges.iter().enumerate() {
            // A range without an end goes on to where the next one begins.
            let next = request.ranges.get(index + 1).filter(|_| range.end_key.is_empty());
            let end = next.map_or(&range.end_key, |next| &next.start_key);
            scan.append(
                &*snapshot,
                &target,
                request.context.as_ref(),
                (&range.start_key[..], &end[..]),
                &mut kvs,
            )?;
        }
        Ok(kvrpcpb::RawBatchScanResponse { kvs, ..Default::default() })
    }

    pub(super) async fn raw_cas(
        &self,
        request: &kvrpcpb::RawCasRequest,
    ) -> Result<kvrpcpb::RawCasResponse, RawError> {
        let target = self.raw_target(request.context.as_ref(), &request.cf)?;
        target.check_keys(request.context.as_ref(), [&request.key[..]])?;
        self.check_room(request.context.as_ref())?;
        self.config.limits().check([(&request.key[..], &request.value[..])])?;
        let key = target.space.engine_key(&request.key);
        let latches = self.scheduler.latches.acquire(std::iter::once(&key[..])).await;
        let now = self.raw_now();
        let stored = self.scheduler.engine.get(Cf::Default, &key)?;
        let previous = match (visible(stored.as_ref(), now)?, &stored) {
            (Some(entry), Some(stored)) => Some(stored.slice_ref(entry.value)),
            _ => None,
        };
        let expected = (!request.previous_not_exist).then_some(&request.previous_value);
        let succeed = previous.as_ref() == expected;
        if succeed {
            let mut batch = WriteBatch::new();
            let entry = RawEntry::new(&request.value, request.ttl, now);
            batch.put(Cf::Default, key, entry.to_bytes());
            let written = self.scheduler.write_raw(&target.region, batch, entry.expires_at, latches).await;
            self.request_split_check(&target.region);
            written?;
        }
        Ok(kvrpcpb::RawCasResponse {
            succeed,
            previous_not_exist: previous.is_none(),
            previous_value: previous.unwrap_or_default(),
            ..Default::default()
        })
    }

    pub(super) fn raw_checksum(
        &self,
        request: &kvrpcpb::RawChecksumRequest,
    ) -> Result<kvrpcpb::RawChecksumResponse, RawError> {
        let algorithm = request.algorithm;
        if kvrpcpb::ChecksumAlgorithm::try_from(algorithm).is_err() {
            return Err(RawError::Algorithm { algorithm });
        }
        let target = self.raw_target(request.context.as_ref(), "")?;
        let (snapshot, now) = (self.scheduler.engine.snapshot(), self.raw_now());
        let mut response = kvrpcpb::RawChecksumResponse::default();
        for range in &request.ranges {
            let range = target.clamp(request.context.as_ref(), &range.start_key, &range.end_key)?;
            let mut scanner = RawScanner::new(&*snapshot, target.space, range, Direction::Forward, now);
            while let Some((key, value)) = scanner.next()? {
                let mut digest = CHECKSUM.digest();
                digest.update(key);
                digest.update(value);
                response.checksum ^= digest.finalize();
                response.total_kvs += 1;
                response.total_bytes += (key.len() + value.len()) as u64;
            }
        }
        Ok(response)
    }
}

fn direction(reverse: bool) -> Direction {
    if reverse { Direction::Backward } else { Direction::Forward }
}

/// How the ranges of one request are scanned.
struct RangeScan {
    direction: Direction,
    limit: u32,
    key_only: bool,
    now: u64,
}

impl RangeScan {
    /// Scans one range; a backward scan names its upper end first.
    fn append(
        &self,
        snapshot: &dyn Snapshot,
        target: &Target,
        context: Option<&kvrpcpb::Context>,
        range: (&[u8], &[u8]),
        kvs: &mut Vec<kvrpcpb::KvPair>,
    ) -> Result<(), RawError> {
        let (start, end) = match self.direction {
            Direction::Forward => range,
            Direction::Backward => (range.1, range.0),
        };
        let range = target.clamp(context, start, end)?;
        let mut scanner = RawScanner::new(snapshot, target.space, range, self.direction, self.now);
        for _ in 0..self.limit {
            let Some((key, value)) = scanner.next()? else { break };
            let value = if self.key_only { Bytes::new() } else { Bytes::copy_from_slice(value) };
            kvs.push(kvrpcpb::KvPair { error: None, key: Bytes::copy_from_slice(key), value });
        }
        Ok(())
    }
}
