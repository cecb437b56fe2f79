//! Reads of single keys. HOT: one lock check, one seek; the only allocations are the engine key, the iterator and the value.

use std::sync::Arc;

use bytes::Bytes;
use tidewater_codec::{
    CommitTs, Key, StartTs, TimeStamp,
    mvcc::{Lock, LockType, WriteType},
    number,
};

use super::{
    DataKey, IsolationLevel, LockVerdict, PassableLocks, check_younger, judge_lock, key::split_ts,
    lock_error, record::WriteRef,
};
use crate::{
    Cf, EngineError, EngineIterator, IteratorOptions, IteratorUse, Snapshot, error::CommandError,
    row_cache::Newest,
};

/// Versions too young for the reader that are passed one by one before the cursor seeks.
const STEPS_BEFORE_SEEK: usize = 4;

/// Reads keys one by one from one snapshot, reusing its iterator.
pub struct PointGetter<'a> {
    snapshot: &'a Arc<dyn Snapshot>,
    read_ts: TimeStamp,
    isolation: IsolationLevel,
    passable: &'a PassableLocks,
    fill_cache: bool,
    writes: Option<Box<dyn EngineIterator>>,
}

impl<'a> PointGetter<'a> {
    /// Reads at `read_ts`.
    pub fn new(
        snapshot: &'a Arc<dyn Snapshot>,
        read_ts: TimeStamp,
        isolation: IsolationLevel,
        passable: &'a PassableLocks,
        fill_cache: bool,
    ) -> Self {
        Self { snapshot, read_ts, isolation, passable, fill_cache, writes: None }
    }

    /// The value of `raw_key`, or the lock in the way.
    pub fn get(&mut self, raw_key: &[u8]) -> Result<Option<Bytes>, CommandError> {
        self.read(&DataKey::from_raw(raw_key), raw_key).map(|found| found.value)
    }

    /// The value of a key with what else was seen on the way.
    pub(crate) fn read(&mut self, key: &DataKey, raw_key: &[u8]) -> Result<Found, CommandError> {
        let mut lock_free = false;
        if self.isolation.minds_locks()
            && let Some(lock) = self.snapshot.get(Cf::Lock, key.as_bytes())?
        {
            let lock = Lock::decode(&lock)?;
            match judge_lock(&lock, raw_key, self.read_ts, self.isolation, self.passable) {
                LockVerdict::Passes => {}
                LockVerdict::IsVersion => {
                    return Ok(Found { value: locked_value(&**self.snapshot, key, lock)?, newest: None });
                }
                LockVerdict::Blocks => {
                    let (key, lock) = (Key::new(raw_key), Box::new(lock));
                    return Err(lock_error(self.isolation, self.read_ts, key, lock));
                }
            }
        } else {
            lock_free = self.isolation.minds_locks();
        }
        let (snapshot, fill_cache) = (self.snapshot, self.fill_cache);
        let writes = self.writes.get_or_insert_with(|| {
            let usage = IteratorUse::Versions;
            snapshot.iterator(Cf::Write, IteratorOptions { usage, fill_cache, ..IteratorOptions::default() })
        });
        let key_len = key.as_bytes().len();
        let mut seek = key.with_ts(TimeStamp::MAX);
        let mut valid = writes.seek(&seek)?;
        let (mut steps, mut is_topmost) = (0, true);
        // The newest version may be remembered: hence this begins at the top, not at the reader's timestamp.
        let mut is_newest = lock_free;
        while valid && writes.key().len() == seek.len() && writes.key()[..key_len] == seek[..key_len] {
            let (_, commit_ts) = split_ts(writes.key())?;
            if commit_ts > self.read_ts {
                (is_newest, steps) = (false, steps + 1);
                let raw = || Key::new(raw_key);
                check_younger(self.isolation, self.read_ts, raw, commit_ts, writes.value())?;
                valid = if steps == STEPS_BEFORE_SEEK && self.isolation != IsolationLevel::RcCheckTs {
                    seek.truncate(key_len);
                    number::write_u64_desc(self.read_ts.into_inner(), &mut seek);
                    writes.seek(&seek)?
                } else {
                    writes.next()?
                };
                continue;
            }
            let write = WriteRef::parse(writes.value())?;
            let (value, is_long) = match (write.write_type, write.short_value) {
                (WriteType::Put, Some(value)) => (Some(Bytes::copy_from_slice(value)), false),
                (WriteType::Put, None) => (Some(load_long_value(&**snapshot, key, write.start_ts)?), true),
                (WriteType::Delete, _) => (None, false),
                (WriteType::Lock | WriteType::Rollback, _) => {
                    is_topmost = false;
                    valid = writes.next()?;
                    continue;
                }
            };
            let newest = is_newest.then(|| Newest {
                commit_ts: CommitTs(commit_ts),
                start_ts: write.start_ts,
                value: value.clone(),
                is_long,
                is_topmost: is_topmost && write.is_plain,
            });
            return Ok(Found { value, newest });
        }
        Ok(Found { value: None, newest: None })
    }
}

/// What a point read found.
pub(crate) struct Found {
    pub value: Option<Bytes>,
    /// The version, if it is the key's newest and no lock lies on the key.
    pub newest: Option<Newest>,
}

/// What a lock makes of its key once it is committed.
pub(super) fn locked_value(
    snapshot: &dyn Snapshot,
    key: &DataKey,
    lock: Lock,
) -> Result<Option<Bytes>, CommandError> {
    match (lock.lock_type, lock.short_value) {
        (LockType::Put, Some(value)) => Ok(Some(value.into())),
        (LockType::Put, None) => load_long_value(snapshot, key, lock.start_ts).map(Some),
        (LockType::Delete | LockType::Lock | LockType::Pessimistic | LockType::Shared, _) => Ok(None),
    }
}

/// A value that is too long for its write record.
pub(super) fn load_long_value(
    snapshot: &dyn Snapshot,
    key: &DataKey,
    start_ts: StartTs,
) -> Result<Bytes, CommandError> {
    let value = snapshot.get(Cf::Default, &key.with_ts(start_ts.0))?;
    value.ok_or_else(|| {
        EngineError::Corrupt {
            what: "value",
            reason: format!("{} written at {start_ts} has no value", key.raw()),
        }
        .into()
    })
}
