//! Pessimistic lock: keeps other writers off keys while a transaction is still deciding what to write.
//!
//! A key may be locked if nobody else holds it and nobody has written it after `for_update_ts`, the moment the statement read at. The
//! answer can bring the value along, so that the statement needs no extra read.

use bytes::Bytes;
use tidewater_codec::{
    Key, StartTs, TimeStamp,
    mvcc::{Lock, LockType, WriteType},
};

use super::{CommandContext, WriteCommand};
use crate::{
    Durability,
    error::{CommandError, ConflictReason},
    mvcc::{DataKey, MvccReader, MvccTxn},
};

pub(crate) struct PessimisticLock {
    pub keys: Vec<KeyToLock>,
    pub primary: Key,
    pub start_ts: StartTs,
    pub for_update_ts: TimeStamp,
    pub ttl_ms: u64,
    pub min_commit_ts: TimeStamp,
    pub return_values: bool,
    pub check_existence: bool,
    pub lock_only_if_exists: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct KeyToLock {
    pub key: DataKey,
    /// The key is to be inserted: it must not exist.
    pub must_not_exist: bool,
}

/// What was found under a locked key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LockedValue {
    /// Filled if values were asked for.
    pub value: Option<Bytes>,
    /// Filled if values or existence were asked for.
    pub exists: bool,
}

impl WriteCommand for PessimisticLock {
    /// One entry per key.
    type Answer = Vec<LockedValue>;
    const DURABILITY: Durability = Durability::Buffered;

    fn keys(&self) -> impl Iterator<Item = &DataKey> + Send {
        self.keys.iter().map(|key| &key.key)
    }

    fn execute(&self, context: &mut CommandContext<'_>) -> Result<(MvccTxn, Vec<LockedValue>), CommandError> {
        if self.lock_only_if_exists && !self.return_values {
            return Err(CommandError::Invalid { reason: "lock_only_if_exists needs return_values" });
        }
        let mut txn = MvccTxn::default();
        let mut values = Vec::with_capacity(self.keys.len());
        for key in &self.keys {
            values.push(self.lock_key(&mut txn, &mut context.reader, key)?);
        }
        Ok((txn, values))
    }
}

impl PessimisticLock {
    fn lock_key(
        &self,
        txn: &mut MvccTxn,
        reader: &mut MvccReader<'_>,
        to_lock: &KeyToLock,
    ) -> Result<LockedValue, CommandError> {
        let key = &to_lock.key;
        match reader.load_lock(key)? {
            Some(lock) if lock.start_ts != self.start_ts => {
                Err(CommandError::Locked { key: key.raw(), lock: Box::new(lock) })
            }
            Some(lock) if lock.lock_type != LockType::Pessimistic => {
                Err(CommandError::LockTypeNotMatch { key: key.raw(), start_ts: self.start_ts })
            }
            Some(lock) => {
                // Locked by an earlier statement, or by another copy of this request.
                let value = self.read(reader, to_lock)?;
                if self.for_update_ts > lock.for_update_ts {
                    let for_update_ts = self.for_update_ts;
                    let ttl_ms = lock.ttl_ms.max(self.ttl_ms);
                    txn.put_lock(key, Lock { for_update_ts, ttl_ms, ..lock });
                }
                Ok(value)
            }
            None => {
                self.check_newer(reader, key)?;
                let value = self.read(reader, to_lock)?;
                if !self.lock_only_if_exists || value.exists {
                    txn.put_lock(key, self.new_lock());
                }
                Ok(value)
            }
        }
    }

    fn new_lock(&self) -> Lock {
        let mut lock =
            Lock::new(LockType::Pessimistic, self.primary.as_bytes().to_vec(), self.start_ts, self.ttl_ms);
        lock.for_update_ts = self.for_update_ts;
        lock.min_commit_ts = self.min_commit_ts;
        lock
    }

    /// Nobody may have changed the key after `for_update_ts`, and the transaction must not be rolled back on it.
    fn check_newer(&self, reader: &mut MvccReader<'_>, key: &DataKey) -> Result<(), CommandError> {
        let mut at = TimeStamp::MAX;
        while let Some((commit_ts, write)) = reader.seek_write(key, at)? {
            if commit_ts.0 < self.start_ts.0 {
                break;
            }
            let is_rollback = write.write_type == WriteType::Rollback;
            if commit_ts.0 == self.start_ts.0 {
                if is_rollback || write.overlapped_rollback {
                    return Err(CommandError::PessimisticLockRolledBack {
                        key: key.raw(),
                        start_ts: self.start_ts,
                    });
                }
                break;
            }
            if commit_ts.0 > self.for_update_ts && !is_rollback {
                return Err(CommandError::WriteConflict {
                    key: key.raw(),
                    primary: self.primary.clone(),
                    start_ts: self.start_ts,
                    conflict_start_ts: write.start_ts,
                    commit_ts,
                    reason: ConflictReason::PessimisticRetry,
                });
            }
            at = commit_ts.0.prev();
        }
        Ok(())
    }

    /// Reads at `for_update_ts` as far as the client wants to know.
    fn read(&self, reader: &mut MvccReader<'_>, to_lock: &KeyToLock) -> Result<LockedValue, CommandError> {
        if !self.return_values && !self.check_existence && !to_lock.must_not_exist {
            return Ok(LockedValue::default());
        }
        let change = reader.seek_change(&to_lock.key, self.for_update_ts)?;
        let Some((_, write)) = change.filter(|(_, write)| write.write_type == WriteType::Put) else {
            return Ok(LockedValue::default());
        };
        if to_lock.must_not_exist {
            return Err(CommandError::AlreadyExists { key: to_lock.key.raw() });
        }
        let value = if self.return_values { Some(reader.value_of(&to_lock.key, write)?) } else { None };
        Ok(LockedValue { value, exists: true })
    }
}
