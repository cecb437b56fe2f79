//! Stale reads, and the timestamp up to which they are served.
//!
//! No version at or below `safe_ts` can appear any more, so reads there need neither note themselves nor look at locks. It is found
//! when somebody asks for a later one than the last that was found: a timestamp `T` of the placement driver is taken and noted as a
//! read, then all locks are looked at. Transactions that commit on this store's timestamp from then on commit above `T`; those that
//! commit on the driver's do so, too, unless their locks were there already. So `safe_ts` is `T`, or lies before the oldest lock.

use std::sync::atomic::{AtomicU64, Ordering};

use tidewater_codec::{
    StartTs, TimeStamp,
    mvcc::{Lock, LockType},
};
use tidewater_proto::{StoreRequest, errorpb, kvrpcpb};
use tokio::time::Instant;

use super::{Node, convert, follower::ReadAt, open::current_ts};
use crate::{
    Cf, IteratorOptions,
    commands::read::ReadOptions,
    error::CommandError,
    mvcc::{IsolationLevel, data_range},
    region::RegionError,
};

/// What the node knows about stale reads.
#[derive(Default)]
pub(super) struct SafeTs {
    ts: AtomicU64,
    /// The arrivals of regions until then: later ones may have brought older locks.
    arrivals: AtomicU64,
    /// When it was found; one search at a time.
    found: tokio::sync::Mutex<Option<Instant>>,
}

pub(super) fn is_stale(context: Option<&kvrpcpb::Context>) -> bool {
    context.is_some_and(|context| context.stale_read)
}

/// The timestamp of a stale read.
pub(super) fn stale_read_ts(request: &StoreRequest) -> Option<u64> {
    let (context, read_ts) = match request {
        StoreRequest::Get(request) => (&request.context, request.version),
        StoreRequest::BatchGet(request) => (&request.context, request.version),
        StoreRequest::Scan(request) => (&request.context, request.version),
        StoreRequest::Coprocessor(request) => (&request.context, request.start_ts),
        _ => return None,
    };
    is_stale(context.as_ref()).then_some(read_ts)
}

impl Node {
    pub(super) fn safe_ts(&self) -> u64 {
        // In this order: the timestamp was stored first.
        let arrivals = self.safe_ts.arrivals.load(Ordering::SeqCst);
        match arrivals == self.regions.arrivals() {
            true => self.safe_ts.ts.load(Ordering::SeqCst),
            false => 0,
        }
    }

    /// How a request reads, if it may.
    pub(super) fn read_options(
        &self,
        region: &ReadAt,
        context: Option<&kvrpcpb::Context>,
        version: u64,
    ) -> Result<ReadOptions, RegionError> {
        let options = convert::read_options(context, version);
        if let Some(options) = region.follower_options(options.clone()) {
            return Ok(options);
        }
        if !is_stale(context) {
            return Ok(options);
        }
        let safe_ts = self.safe_ts();
        if version <= safe_ts {
            return Ok(ReadOptions { isolation: IsolationLevel::ReadCommitted, ..options });
        }
        Err(Box::new(errorpb::Error {
            message: format!("stale reads are served up to {safe_ts}, not at {version}"),
            data_is_not_ready: Some(errorpb::DataIsNotReady {
                region_id: region.id(),
                peer_id: region.peer.id,
                safe_ts,
            }),
            ..Default::default()
        }))
    }

    pub(super) async fn store_safe_ts(&self) -> kvrpcpb::StoreSafeTsResponse {
        self.refresh_safe_ts(u64::MAX).await;
        kvrpcpb::StoreSafeTsResponse { safe_ts: self.safe_ts() }
    }

    /// Raises `safe_ts` if a read at `read_ts` needs that and the last time was not a moment ago.
    pub(super) async fn refresh_safe_ts(&self, read_ts: u64) {
        if read_ts <= self.safe_ts() {
            return;
        }
        let mut found = self.safe_ts.found.lock().await;
        let arrivals = self.regions.arrivals();
        let is_outdated = self.safe_ts.arrivals.load(Ordering::SeqCst) != arrivals;
        let is_young = found.is_some_and(|found| found.elapsed() < self.config.safe_ts_age_max);
        if read_ts <= self.safe_ts() || (is_young && !is_outdated) {
            return;
        }
        match current_ts(&*self.pd).await {
            Ok(now) => match self.oldest_lock_after(now) {
                Ok(oldest) => {
                    let safe = oldest.map_or(now, |oldest| oldest.0.prev()).min(now);
                    let known = if is_outdated { 0 } else { self.safe_ts.ts.load(Ordering::SeqCst) };
                    self.safe_ts.ts.store(known.max(safe.into_inner()), Ordering::SeqCst);
                    self.safe_ts.arrivals.store(arrivals, Ordering::SeqCst);
                    *found = Some(Instant::now());
                }
                Err(error) => {
                    tracing::warn!(%error, "the locks are not readable, stale reads do not advance")
                }
            },
            Err(error) => tracing::warn!(%error, "no timestamp, stale reads do not advance"),
        }
    }

    /// The start of the oldest transaction that may still commit at or below `now`.
    fn oldest_lock_after(&self, now: TimeStamp) -> Result<Option<StartTs>, CommandError> {
        // The order matters, see `concurrency`.
        self.scheduler.concurrency.note_read(now);
        let mut oldest = self.scheduler.concurrency.oldest_lock();
        let (lower, upper) = data_range(b"", b"");
        let options = IteratorOptions::range(lower.clone(), Some(upper));
        let mut locks = self.scheduler.engine.snapshot().iterator(Cf::Lock, options);
        let mut valid = locks.seek(&lower)?;
        while valid {
            let lock = Lock::decode(locks.value())?;
            if matches!(lock.lock_type, LockType::Put | LockType::Delete) {
                oldest = Some(oldest.map_or(lock.start_ts, |oldest| oldest.min(lock.start_ts)));
            }
            valid = locks.next()?;
        }
        Ok(oldest)
    }
}
