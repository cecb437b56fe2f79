//! Lists locks.

use std::sync::Arc;

use tidewater_codec::{Key, TimeStamp, mvcc::Lock};

use crate::{
    Cf, IteratorOptions, Snapshot,
    error::CommandError,
    mvcc::{DataKey, data_range},
    pessimistic::PessimisticLocks,
};

/// Locks of transactions that began at or before `max_ts` on user keys `start..end` and satisfy `wanted`, in key order.
pub(crate) fn scan_locks(
    snapshot: &Arc<dyn Snapshot>,
    pessimistic: &PessimisticLocks,
    start: &[u8],
    end: &[u8],
    limit: usize,
    wanted: impl Fn(&Lock) -> bool,
) -> Result<Vec<(DataKey, Lock)>, CommandError> {
    let (lower, upper) = data_range(start, end);
    let mut locks =
        pessimistic.range(&DataKey::from_engine(&lower), Some(&DataKey::from_engine(&upper)), limit, &wanted);
    let mut iterator = snapshot.iterator(Cf::Lock, IteratorOptions::range(lower.clone(), Some(upper)));
    let mut found = 0;
    let mut valid = iterator.seek(&lower)?;
    while valid && found < limit {
        let lock = Lock::decode(iterator.value())?;
        if wanted(&lock) {
            found += 1;
            locks.push((DataKey::from_engine(iterator.key()), lock));
        }
        valid = iterator.next()?;
    }
    locks.sort_by(|a, b| a.0.cmp(&b.0));
    // A key prewritten a moment ago may stand in both.
    locks.dedup_by(|later, earlier| later.0 == earlier.0);
    locks.truncate(limit);
    Ok(locks)
}

/// The ScanLock command: plain keys, as they are answered.
pub(crate) fn scan_lock(
    snapshot: &Arc<dyn Snapshot>,
    pessimistic: &PessimisticLocks,
    start: &[u8],
    end: &[u8],
    limit: usize,
    max_ts: TimeStamp,
) -> Result<Vec<(Key, Lock)>, CommandError> {
    let locks = scan_locks(snapshot, pessimistic, start, end, limit, |lock| lock.start_ts.0 <= max_ts)?;
    Ok(locks.into_iter().map(|(key, lock)| (key.raw(), lock)).collect())
}
