//! Lock and write records.
use crate::{CommitTs, DecodeError, StartTs, TimeStamp};
/// What a lock will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum LockType { Put, Delete, Lock, Pessimistic, Shared }
/// What a write record did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum WriteType { Put, Delete, Lock, Rollback }
/// Where the last change of a key's data is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct LastChange { pub ts: TimeStamp, pub versions: u64 }
/// A lock record.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Lock {
    pub lock_type: LockType,
    pub primary: Vec<u8>,
    pub start_ts: StartTs,
    pub ttl_ms: u64,
    pub short_value: Option<Vec<u8>>,
    pub for_update_ts: TimeStamp,
    pub txn_size: u64,
    pub min_commit_ts: TimeStamp,
    pub async_commit_secondaries: Option<Vec<Vec<u8>>>,
    pub rollback_ts: Vec<TimeStamp>,
    pub last_change: Option<LastChange>,
    pub txn_source: u64,
    pub locked_with_conflict: bool,
    pub generation: u64,
}
impl Lock {
    /// A new lock.
    pub fn new(lock_type: LockType, primary: Vec<u8>, start_ts: StartTs, ttl_ms: u64) -> Self {
        Self { lock_type, primary, start_ts, ttl_ms, short_value: None, for_update_ts: TimeStamp::ZERO, txn_size: 0, min_commit_ts: TimeStamp::ZERO, async_commit_secondaries: None, rollback_ts: vec![], last_change: None, txn_source: 0, locked_with_conflict: false, generation: 0 }
    }
    /// Appends the record.
    pub fn encode(&self, _out: &mut Vec<u8>) { todo!() }
    /// Reads the record.
    pub fn decode(_bytes: &[u8]) -> Result<Self, DecodeError> { todo!() }
    /// The record as bytes.
    pub fn to_bytes(&self) -> Vec<u8> { let mut out = Vec::new(); self.encode(&mut out); out }
}
/// A write record.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Write {
    pub write_type: WriteType,
    pub start_ts: StartTs,
    pub short_value: Option<Vec<u8>>,
    pub overlapped_rollback: bool,
    pub gc_fence: Option<TimeStamp>,
    pub last_change: Option<LastChange>,
    pub txn_source: u64,
}
impl Write {
    /// A new record.
    pub fn new(write_type: WriteType, start_ts: StartTs, short_value: Option<Vec<u8>>) -> Self {
        Self { write_type, start_ts, short_value, overlapped_rollback: false, gc_fence: None, last_change: None, txn_source: 0 }
    }
    /// A rollback record; a protected one survives being collapsed.
    pub fn rollback(start_ts: StartTs, protected: bool) -> Self {
        Self::new(WriteType::Rollback, start_ts, protected.then(|| b"p".to_vec()))
    }
    /// Appends the record.
    pub fn encode(&self, _out: &mut Vec<u8>) { todo!() }
    /// Reads the record.
    pub fn decode(_bytes: &[u8]) -> Result<Self, DecodeError> { todo!() }
    /// The record as bytes.
    pub fn to_bytes(&self) -> Vec<u8> { let mut out = Vec::new(); self.encode(&mut out); out }
    /// A rollback record that must not be collapsed.
    pub fn is_protected_rollback(&self) -> bool { todo!() }
}
#[allow(unused)]
fn _uses(_: CommitTs) {}
/// Values of at most this many bytes stand inside the lock or write record.
pub const SHORT_VALUE_LEN_MAX: usize = 255;
