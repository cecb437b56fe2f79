//! Reads of single keys. HOT: one lock check, one seek; the only allocations are the engine key, the iterator and the value.

use std::sync::Arc;

use bytes::Bytes;
use tidewater_codec::{
    StartTs, TimeStamp,
    mvcc::{Lock, WriteType},
    number,
};

use super::{DataKey, IsolationLevel, PassableLocks, check_lock, record::WriteRef};
use crate::{Cf, EngineError, EngineIterator, IteratorOptions, IteratorUse, Snapshot, error::CommandError};

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
        let key = DataKey::from_raw(raw_key);
        if self.isolation == IsolationLevel::Snapshot
            && let Some(lock) = self.snapshot.get(Cf::Lock, key.as_bytes())?
        {
            check_lock(Lock::decode(&lock)?, raw_key, self.read_ts, self.passable)?;
        }
        let (snapshot, fill_cache) = (self.snapshot, self.fill_cache);
        let writes = self.writes.get_or_insert_with(|| {
            let usage = IteratorUse::Versions;
            snapshot.iterator(Cf::Write, IteratorOptions { usage, fill_cache, ..IteratorOptions::default() })
        });
        let mut seek = key.to_vec();
        let key_len = seek.len();
        number::write_u64_desc(self.read_ts.into_inner(), &mut seek);
        let mut valid = writes.seek(&seek)?;
        while valid && writes.key().len() == seek.len() && writes.key()[..key_len] == seek[..key_len] {
            let write = WriteRef::parse(writes.value())?;
            match (write.write_type, write.short_value) {
                (WriteType::Put, Some(value)) => return Ok(Some(Bytes::copy_from_slice(value))),
                (WriteType::Put, None) => {
                    return load_long_value(&**snapshot, &key, write.start_ts).map(Some);
                }
                (WriteType::Delete, _) => return Ok(None),
                (WriteType::Lock | WriteType::Rollback, _) => valid = writes.next()?,
            }
        }
        Ok(None)
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
