//! Commands that show what is inside: all there is about a key, and who waits for whom.

use bytes::Bytes;
use tidewater_codec::mvcc::{Lock, Write, WriteType};
use tidewater_proto::{errorpb, kvrpcpb};

use super::Node;
use crate::{
    Cf, IteratorOptions, Snapshot,
    api::{self, KeyMode},
    error::{CommandError, lock_op, wait_for_entry},
    mvcc::{DataKey, split_ts},
};

impl Node {
    pub(super) fn mvcc_get_by_key(
        &self,
        request: &kvrpcpb::MvccGetByKeyRequest,
    ) -> kvrpcpb::MvccGetByKeyResponse {
        let context = request.context.as_ref();
        let region = self.regions.check(context).and_then(|region| region.check_key(&request.key));
        if let Err(error) = region {
            return refused(*error);
        }
        let info = api::check_keys(context, KeyMode::Txn, [&request.key[..]])
            .map_err(CommandError::from)
            .and_then(|()| self.mvcc_info(&DataKey::from_raw(&request.key)));
        match info {
            Ok(info) => kvrpcpb::MvccGetByKeyResponse { info: Some(info), ..Default::default() },
            Err(error) => kvrpcpb::MvccGetByKeyResponse { error: error.to_string(), ..Default::default() },
        }
    }

    fn mvcc_info(&self, key: &DataKey) -> Result<kvrpcpb::MvccInfo, CommandError> {
        let snapshot = self.scheduler.engine.snapshot();
        let lock = match snapshot.get(Cf::Lock, key.as_bytes())? {
            Some(lock) => Some(Lock::decode(&lock)?),
            None => self.scheduler.pessimistic.get(key),
        };
        let mut info = kvrpcpb::MvccInfo { lock: lock.map(wire_lock), ..Default::default() };
        each_version(&*snapshot, Cf::Write, key, |commit_ts, record| {
            info.writes.push(wire_write(commit_ts, Write::decode(record)?));
            Ok(())
        })?;
        each_version(&*snapshot, Cf::Default, key, |start_ts, value| {
            info.values.push(kvrpcpb::MvccValue { start_ts, value: Bytes::copy_from_slice(value) });
            Ok(())
        })?;
        Ok(info)
    }

    pub(super) fn lock_wait_info(&self) -> kvrpcpb::GetLockWaitInfoResponse {
        let waiting = self.scheduler.waits.waiting().into_iter();
        let entries = waiting.map(|(edge, time)| tidewater_proto::deadlock::WaitForEntry {
            wait_time: u64::try_from(time.as_millis()).unwrap_or(u64::MAX),
            ..wait_for_entry(&edge)
        });
        kvrpcpb::GetLockWaitInfoResponse { entries: entries.collect(), ..Default::default() }
    }
}

fn refused(error: errorpb::Error) -> kvrpcpb::MvccGetByKeyResponse {
    kvrpcpb::MvccGetByKeyResponse { region_error: Some(error), ..Default::default() }
}

/// Visits what a family holds for a key, the newest first.
fn each_version(
    snapshot: &dyn Snapshot,
    cf: Cf,
    key: &DataKey,
    mut visit: impl FnMut(u64, &[u8]) -> Result<(), CommandError>,
) -> Result<(), CommandError> {
    let mut upper = key.with_ts(tidewater_codec::TimeStamp::ZERO);
    upper.push(0);
    let mut cursor = snapshot.iterator(cf, IteratorOptions::range(key.to_vec(), Some(upper)));
    let mut valid = cursor.seek(key.as_bytes())?;
    while valid {
        visit(split_ts(cursor.key())?.1.into_inner(), cursor.value())?;
        valid = cursor.next()?;
    }
    Ok(())
}

fn wire_lock(lock: Lock) -> kvrpcpb::MvccLock {
    let secondaries = lock.async_commit_secondaries;
    kvrpcpb::MvccLock {
        r#type: lock_op(lock.lock_type).into(),
        start_ts: lock.start_ts.into_inner(),
        primary: lock.primary.into(),
        short_value: lock.short_value.unwrap_or_default().into(),
        ttl: lock.ttl_ms,
        for_update_ts: lock.for_update_ts.into_inner(),
        txn_size: lock.txn_size,
        use_async_commit: secondaries.is_some(),
        secondaries: secondaries.into_iter().flatten().map(Bytes::from).collect(),
        rollback_ts: lock.rollback_ts.iter().map(|ts| ts.into_inner()).collect(),
    }
}

fn wire_write(commit_ts: u64, write: Write) -> kvrpcpb::MvccWrite {
    let kind = match write.write_type {
        WriteType::Put => kvrpcpb::Op::Put,
        WriteType::Delete => kvrpcpb::Op::Del,
        WriteType::Lock => kvrpcpb::Op::Lock,
        WriteType::Rollback => kvrpcpb::Op::Rollback,
    };
    kvrpcpb::MvccWrite {
        r#type: kind.into(),
        start_ts: write.start_ts.into_inner(),
        commit_ts,
        short_value: write.short_value.unwrap_or_default().into(),
        has_overlapped_rollback: write.overlapped_rollback,
    }
}
