//! What commands ask about keys: their lock, their versions, the fate of a transaction on them.

use std::sync::Arc;

use bytes::Bytes;
use tidewater_codec::{
    CommitTs, StartTs, TimeStamp,
    mvcc::{Lock, Write, WriteType},
};

use super::{DataKey, key::split_ts, point::load_long_value};
use crate::{
    Cf, EngineIterator, IteratorOptions, IteratorUse, Snapshot,
    error::CommandError,
    pessimistic::PessimisticLocks,
    row_cache::{Look, Newest, RowCache},
};

/// What the `write` family tells about a transaction on a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CommitRecord {
    /// Nothing. Some other transaction may have committed exactly at the start timestamp: a rollback must then be noted in its record.
    None { overlapped: Option<Write> },
    /// It committed.
    Committed { commit_ts: CommitTs },
    /// It was rolled back.
    RolledBack,
}

/// Reads one snapshot together with the pessimistic locks in memory. Callers hold the latches of the keys they ask about.
pub(crate) struct MvccReader<'a> {
    snapshot: &'a Arc<dyn Snapshot>,
    pessimistic: &'a PessimisticLocks,
    rows: &'a RowCache,
    writes: Option<Box<dyn EngineIterator>>,
}

impl<'a> MvccReader<'a> {
    pub(crate) fn new(
        snapshot: &'a Arc<dyn Snapshot>,
        pessimistic: &'a PessimisticLocks,
        rows: &'a RowCache,
    ) -> Self {
        Self { snapshot, pessimistic, rows, writes: None }
    }

    /// The newest version of a key without lock, if it is in memory. It stays what it is while the caller holds the latch.
    fn known(&self, key: &DataKey) -> Option<Newest> {
        match self.rows.look(key) {
            Look::Known(newest) => Some(newest),
            Look::Unknown(_) => None,
        }
    }

    /// The lock on a key, of either kind.
    pub(crate) fn load_lock(&self, key: &DataKey) -> Result<Option<Lock>, CommandError> {
        if self.known(key).is_some() {
            return Ok(self.pessimistic.get(key));
        }
        match self.snapshot.get(Cf::Lock, key.as_bytes())? {
            Some(lock) => Ok(Some(Lock::decode(&lock)?)),
            None => Ok(self.pessimistic.get(key)),
        }
    }

    /// The newest record of a key at or before `ts`.
    pub(crate) fn seek_write(
        &mut self,
        key: &DataKey,
        ts: TimeStamp,
    ) -> Result<Option<(CommitTs, Write)>, CommandError> {
        let known = self.known(key);
        if let Some(newest) = &known
            && newest.is_topmost
            && newest.commit_ts.0 <= ts
        {
            return Ok(Some((newest.commit_ts, write_of(newest))));
        }
        let snapshot = self.snapshot;
        let writes = self.writes.get_or_insert_with(|| {
            let usage = IteratorUse::Versions;
            snapshot.iterator(
                Cf::Write,
                IteratorOptions { usage, fill_cache: true, ..IteratorOptions::default() },
            )
        });
        if !writes.seek(&key.with_ts(ts))? {
            return Ok(None);
        }
        let (found, commit_ts) = split_ts(writes.key())?;
        if found != key.as_bytes() {
            return Ok(None);
        }
        let write = Write::decode(writes.value())?;
        if let Some(newest) = known
            && ts.is_max()
            && newest.commit_ts.0 == commit_ts
            && !write.overlapped_rollback
        {
            self.rows.confirm_topmost(key, newest.commit_ts);
        }
        Ok(Some((CommitTs(commit_ts), write)))
    }

    /// The newest record at or before `ts` that says something about the data: not a rollback, not a lock.
    pub(crate) fn seek_change(
        &mut self,
        key: &DataKey,
        ts: TimeStamp,
    ) -> Result<Option<(CommitTs, Write)>, CommandError> {
        let mut at = ts;
        while let Some((commit_ts, write)) = self.seek_write(key, at)? {
            if matches!(write.write_type, WriteType::Put | WriteType::Delete) {
                return Ok(Some((commit_ts, write)));
            }
            if commit_ts.0.is_zero() {
                break;
            }
            at = commit_ts.0.prev();
        }
        Ok(None)
    }

    /// The value a put record stands for.
    pub(crate) fn value_of(&self, key: &DataKey, write: Write) -> Result<Bytes, CommandError> {
        match write.short_value {
            Some(value) => Ok(value.into()),
            None => load_long_value(&**self.snapshot, key, write.start_ts),
        }
    }

    /// What became of the transaction started at `start_ts` on this key.
    ///
    /// A transaction that began earlier may have committed later, so all records above `start_ts` are looked at.
    pub(crate) fn commit_record(
        &mut self,
        key: &DataKey,
        start_ts: StartTs,
    ) -> Result<CommitRecord, CommandError> {
        let mut at = TimeStamp::MAX;
        while let Some((commit_ts, write)) = self.seek_write(key, at)? {
            if write.start_ts == start_ts {
                return Ok(match write.write_type {
                    WriteType::Rollback => CommitRecord::RolledBack,
                    WriteType::Put | WriteType::Delete | WriteType::Lock => {
                        CommitRecord::Committed { commit_ts }
                    }
                });
            }
            if commit_ts.0 == start_ts.0 {
                return Ok(match write.overlapped_rollback {
                    true => CommitRecord::RolledBack,
                    false => CommitRecord::None { overlapped: Some(write) },
                });
            }
            if commit_ts.0 < start_ts.0 {
                break;
            }
            at = commit_ts.0.prev();
        }
        Ok(CommitRecord::None { overlapped: None })
    }
}

/// The record a version was read from.
fn write_of(newest: &Newest) -> Write {
    match &newest.value {
        None => Write::new(WriteType::Delete, newest.start_ts, None),
        Some(_) if newest.is_long => Write::new(WriteType::Put, newest.start_ts, None),
        Some(value) => Write::new(WriteType::Put, newest.start_ts, Some(value.to_vec())),
    }
}
