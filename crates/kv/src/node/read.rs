//! Reading commands.
//!
//! The order matters: note the read, look at the locks in memory, then take the snapshot (see `concurrency`).

use std::sync::Arc;

use bytes::Bytes;
use tidewater_codec::TimeStamp;
use tidewater_proto::{coprocessor as wire, kvrpcpb};

use super::{Node, convert, follower::ReadAt, try_command, try_region};
use crate::{
    Snapshot,
    api::{self, KeyMode},
    commands::{
        read::{self, Pair, ReadOptions},
        scan_lock::scan_lock,
    },
    coprocessor,
    error::{CommandError, lock_info},
    mvcc::{DataKey, Direction, IsolationLevel, ScannerOptions, lock_error},
    region::{Region, RegionError},
    row_cache::Look,
};

impl Node {
    pub(super) fn get(&self, request: &kvrpcpb::GetRequest) -> kvrpcpb::GetResponse {
        self.get_at(request, self.regions.check(request.context.as_ref()).map(ReadAt::Leader))
    }

    pub(super) fn get_at(
        &self,
        request: &kvrpcpb::GetRequest,
        at: Result<ReadAt, RegionError>,
    ) -> kvrpcpb::GetResponse {
        let region = try_region!(at);
        try_region!(region.check_key(&request.key));
        try_command!(convert::check_txn_keys(request.context.as_ref(), std::slice::from_ref(&request.key)));
        let options = try_region!(self.read_options(&region, request.context.as_ref(), request.version));
        let key = DataKey::from_raw(&request.key);
        try_command!(self.announce_point_reads([&key], &options));
        let value = try_command!(self.get_value(key, &request.key, &options, &mut None));
        region.load.reads.note_key(&request.key, value.as_ref().map_or(0, Bytes::len));
        match value {
            Some(value) => kvrpcpb::GetResponse { value, ..Default::default() },
            None => kvrpcpb::GetResponse { not_found: true, ..Default::default() },
        }
    }

    pub(super) fn batch_get(&self, request: &kvrpcpb::BatchGetRequest) -> kvrpcpb::BatchGetResponse {
        self.batch_get_at(request, self.regions.check(request.context.as_ref()).map(ReadAt::Leader))
    }

    pub(super) fn batch_get_at(
        &self,
        request: &kvrpcpb::BatchGetRequest,
        at: Result<ReadAt, RegionError>,
    ) -> kvrpcpb::BatchGetResponse {
        let region = try_region!(at);
        for key in &request.keys {
            try_region!(region.check_key(key));
        }
        try_command!(convert::check_txn_keys(request.context.as_ref(), &request.keys));
        let options = try_region!(self.read_options(&region, request.context.as_ref(), request.version));
        let keys = request.keys.iter().map(|key| DataKey::from_raw(key)).collect::<Vec<_>>();
        try_command!(self.announce_point_reads(&keys, &options));
        let mut snapshot = None;
        let mut pairs = Vec::with_capacity(keys.len());
        for (key, data_key) in request.keys.iter().zip(keys) {
            match self.get_value(data_key, key, &options, &mut snapshot) {
                Ok(Some(value)) => pairs.push(Pair { key: key.clone(), value: Ok(value) }),
                Ok(None) => {}
                // An entry of its own; other errors end the command.
                Err(error @ CommandError::Locked { .. }) => {
                    pairs.push(Pair { key: key.clone(), value: Err(error) });
                }
                Err(error) => try_command!(Err(error)),
            }
        }
        let bytes = pairs.iter().map(bytes_of).sum();
        region.load.reads.note_keys(request.keys.iter().map(|key| &key[..]), bytes);
        kvrpcpb::BatchGetResponse { pairs: wire_pairs(pairs), ..Default::default() }
    }

    /// The value of one key out of memory, or out of `snapshot`, which is taken when it is needed. The read has been announced.
    fn get_value(
        &self,
        key: DataKey,
        raw_key: &[u8],
        options: &ReadOptions,
        snapshot: &mut Option<Arc<dyn Snapshot>>,
    ) -> Result<Option<Bytes>, CommandError> {
        let rows = &self.scheduler.rows;
        let ticket = match rows.look(&key) {
            _ if options.is_follower => None,
            Look::Known(newest) if newest.commit_ts.0 <= options.read_ts => return Ok(newest.value),
            Look::Known(_) => None,
            // A ticket is good for snapshots younger than itself only.
            Look::Unknown(ticket) => ticket.filter(|_| snapshot.is_none() && options.fill_cache),
        };
        let snapshot = snapshot.get_or_insert_with(|| self.scheduler.engine.snapshot());
        let found = options.point_getter(snapshot).read(&key, raw_key)?;
        if let (Some(ticket), Some(newest)) = (ticket, found.newest) {
            rows.offer(ticket, key, newest);
        }
        Ok(found.value)
    }

    pub(super) fn scan(&self, request: &kvrpcpb::ScanRequest) -> kvrpcpb::ScanResponse {
        self.scan_at(request, self.regions.check(request.context.as_ref()).map(ReadAt::Leader))
    }

    pub(super) fn scan_at(
        &self,
        request: &kvrpcpb::ScanRequest,
        at: Result<ReadAt, RegionError>,
    ) -> kvrpcpb::ScanResponse {
        let region = try_region!(at);
        // A reverse scan names its upper end first.
        let (start, end, direction) = match request.reverse {
            false => (&request.start_key, &request.end_key, Direction::Forward),
            true => (&request.end_key, &request.start_key, Direction::Backward),
        };
        try_command!(api::check_range(request.context.as_ref(), KeyMode::Txn, start, end));
        let (start, end) = region.clamp(start, end);
        let options = try_region!(self.read_options(&region, request.context.as_ref(), request.version));
        let snapshot = try_command!(self.snapshot_for_range(start, end, &options));
        let scanner = ScannerOptions {
            start: start.to_vec(),
            end: end.to_vec(),
            direction,
            read_ts: options.read_ts,
            isolation: options.isolation,
            passable: options.passable,
            key_only: request.key_only,
            fill_cache: options.fill_cache,
        };
        let pairs = try_command!(read::scan(
            &snapshot,
            scanner,
            request.limit as usize,
            request.sample_step as usize
        ));
        let bytes = pairs.iter().map(bytes_of).sum();
        region.load.reads.note_ranges([(start, end)].into_iter(), pairs.len(), bytes);
        kvrpcpb::ScanResponse { pairs: wire_pairs(pairs), ..Default::default() }
    }

    pub(super) async fn coprocessor(&self, request: wire::Request) -> wire::Response {
        let at = self.regions.check(request.context.as_ref()).map(ReadAt::Leader);
        self.coprocessor_at(request, at).await
    }

    pub(super) async fn coprocessor_at(
        &self,
        request: wire::Request,
        at: Result<ReadAt, RegionError>,
    ) -> wire::Response {
        let context = request.context.as_ref();
        let checked = at.and_then(|region| {
            let options = self.read_options(&region, context, request.start_ts)?;
            Ok((region, options))
        });
        let (region, options) = match checked {
            Ok(checked) => checked,
            Err(error) => return wire::Response { region_error: Some(*error), ..Default::default() },
        };
        for range in &request.ranges {
            if let Err(error) = api::check_range(context, KeyMode::Txn, &range.start, &range.end) {
                return wire::Response { other_error: error.to_string(), ..Default::default() };
            }
            let inside = region.check_key(&range.start).and_then(|()| {
                let (_, end) = region.clamp(&range.start, &range.end);
                if end == &range.end[..] { Ok(()) } else { region.check_key(&range.end) }
            });
            if let Err(error) = inside {
                return wire::Response { region_error: Some(*error), ..Default::default() };
            }
        }
        let keeps = request.is_cache_enabled
            && !options.is_follower
            && options.isolation == IsolationLevel::Snapshot
            && self.has_versions(&region);
        self.note_read(&options);
        for range in &request.ranges {
            match self.check_memory_locks(&range.start, &range.end, &options) {
                Ok(()) => {}
                Err(CommandError::Locked { key, lock }) => {
                    return wire::Response { locked: Some(lock_info(&key, &lock)), ..Default::default() };
                }
                Err(error) => return wire::Response { other_error: error.to_string(), ..Default::default() },
            }
        }
        // Before the snapshot is taken: see `data_version`.
        let version =
            region.version.current().filter(|_| keeps && region.version.stands_above(options.read_ts));
        if let Some(version) = version
            && version == request.cache_if_match_version
        {
            metrics::counter!("tidewater_kv_coprocessor_cache_hit_total").increment(1);
            return wire::Response {
                is_cache_hit: true,
                can_be_cached: true,
                cache_last_version: version,
                ..Default::default()
            };
        }
        let version = version.filter(|_| options.passable.resolved.is_empty() && region.version.is_quiet());
        let view = coprocessor::ReadView {
            snapshot: self.scheduler.engine.snapshot(),
            read_ts: options.read_ts,
            isolation: options.isolation,
            passable: options.passable,
            fill_cache: options.fill_cache,
        };
        let config = coprocessor::CoprocessorConfig::default();
        // What is read is not known here but by what comes out of it.
        let ranges = request.ranges.clone();
        let response = coprocessor::execute(request, view, config, &self.compute).await;
        let read = ranges.iter().map(|range| (&range.start[..], &range.end[..]));
        region.load.reads.note_ranges(read, 1, response.data.len());
        wire::Response {
            can_be_cached: response.can_be_cached && version.is_some(),
            cache_last_version: version.unwrap_or_default(),
            ..response
        }
    }

    /// Whether the region's data has versions. They begin soon after the first request that asks for them, which does not wait: a
    /// read needs no placement driver.
    fn has_versions(&self, region: &Arc<Region>) -> bool {
        if region.version.is_settled() {
            return true;
        }
        if region.is_on_its_own() && region.version.may_settle() {
            let (pd, region) = (self.pd.clone(), region.clone());
            tokio::spawn(async move {
                let now = pd.timestamps(1).await.ok();
                let compose = |now: tidewater_proto::pdpb::Timestamp| {
                    TimeStamp::compose(now.physical.unsigned_abs(), now.logical.unsigned_abs())
                };
                region.version.settle(now.map(compose));
            });
        }
        false
    }

    pub(super) fn scan_lock(&self, request: &kvrpcpb::ScanLockRequest) -> kvrpcpb::ScanLockResponse {
        let region = try_region!(self.regions.check(request.context.as_ref()));
        let (start, end) = (&request.start_key, &request.end_key);
        try_command!(api::check_range(request.context.as_ref(), KeyMode::Txn, start, end));
        let (start, end) = region.clamp(start, end);
        let max_ts = TimeStamp::new(request.max_version);
        // Who looks for the locks up to `max_ts` must see those that are just being made.
        self.scheduler.concurrency.note_read(max_ts);
        let all = crate::mvcc::PassableLocks::default();
        try_command!(self.scheduler.concurrency.check_range(start, end, max_ts, &all));
        let limit = if request.limit == 0 { usize::MAX } else { request.limit as usize };
        let snapshot = self.scheduler.engine.snapshot();
        let locks =
            try_command!(scan_lock(&snapshot, &self.scheduler.pessimistic, start, end, limit, max_ts));
        let locks = locks.iter().map(|(key, lock)| lock_info(key, lock)).collect();
        kvrpcpb::ScanLockResponse { locks, ..Default::default() }
    }

    /// Notes a read of single keys and looks at the locks in memory, of all keys before the first is read.
    fn announce_point_reads<'k>(
        &self,
        keys: impl IntoIterator<Item = &'k DataKey>,
        options: &ReadOptions,
    ) -> Result<(), CommandError> {
        self.note_read(options);
        if !options.isolation.minds_locks() {
            return Ok(());
        }
        let check = |key| self.scheduler.concurrency.check_key(key, options.read_ts, &options.passable);
        keys.into_iter().try_for_each(check).map_err(|error| as_told(error, options))
    }

    fn note_read(&self, options: &ReadOptions) {
        if options.isolation.minds_locks() {
            self.scheduler.concurrency.note_read(options.read_ts);
        }
    }

    fn check_memory_locks(
        &self,
        start: &[u8],
        end: &[u8],
        options: &ReadOptions,
    ) -> Result<(), CommandError> {
        if !options.isolation.minds_locks() {
            return Ok(());
        }
        let checked = self.scheduler.concurrency.check_range(start, end, options.read_ts, &options.passable);
        checked.map_err(|error| as_told(error, options))
    }

    fn snapshot_for_range(
        &self,
        start: &[u8],
        end: &[u8],
        options: &ReadOptions,
    ) -> Result<Arc<dyn Snapshot>, CommandError> {
        self.note_read(options);
        self.check_memory_locks(start, end, options)?;
        Ok(self.scheduler.engine.snapshot())
    }
}

/// A lock in memory, as readers of this isolation are told of locks.
fn as_told(error: CommandError, options: &ReadOptions) -> CommandError {
    match error {
        CommandError::Locked { key, lock } => lock_error(options.isolation, options.read_ts, key, lock),
        error => error,
    }
}

fn bytes_of(pair: &Pair) -> usize {
    pair.key.len() + pair.value.as_ref().map_or(0, Bytes::len)
}

fn wire_pairs(pairs: Vec<Pair>) -> Vec<kvrpcpb::KvPair> {
    let wire = |pair: Pair| match pair.value {
        Ok(value) => kvrpcpb::KvPair { error: None, key: pair.key, value },
        Err(error) => {
            kvrpcpb::KvPair { error: Some(error.to_key_error()), key: pair.key, value: Bytes::new() }
        }
    };
    pairs.into_iter().map(wire).collect()
}
