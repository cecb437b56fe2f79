//! Ordered reads of many keys. HOT: no allocation per row, keys and values are borrowed until the next step.
//!
//! Two cursors walk side by side, one over `write`, one over `lock`. Versions of one key are adjacent, the newest first, so the usual
//! step is one `next`; only keys with many versions make the cursor seek.

use std::sync::Arc;

use bytes::Bytes;
use tidewater_codec::{
    Key, StartTs, TimeStamp,
    mvcc::{Lock, WriteType},
    number,
};

use super::{
    DataKey, IsolationLevel, LockVerdict, PassableLocks, check_younger, data_range, judge_lock,
    key::{decode_raw, split_ts},
    lock_error,
    point::{load_long_value, locked_value},
    record::WriteRef,
};
use crate::{Cf, EngineIterator, IteratorOptions, Snapshot, error::CommandError};

/// Versions of one key that are passed one by one before the cursor seeks.
const STEPS_BEFORE_SEEK: usize = 8;

/// Which way a scan goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// Ascending keys.
    #[default]
    Forward,
    /// Descending keys.
    Backward,
}

/// What a scan reads.
#[derive(Debug, Clone, Default)]
pub struct ScannerOptions {
    /// First user key, inclusive.
    pub start: Vec<u8>,
    /// Last user key, exclusive; empty is unbounded.
    pub end: Vec<u8>,
    /// The order.
    pub direction: Direction,
    /// The moment.
    pub read_ts: TimeStamp,
    /// The isolation.
    pub isolation: IsolationLevel,
    /// Locks that are not in the way.
    pub passable: PassableLocks,
    /// Leave values out.
    pub key_only: bool,
    /// Whether blocks read on the way shall displace others from the cache.
    pub fill_cache: bool,
}

/// Where a scan came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScanStep {
    /// On a row: see [`Scanner::key`] and [`Scanner::value`].
    Row,
    /// Past the last row.
    End,
}

/// A scan over one snapshot.
///
/// The caller has noted the read with the concurrency manager and checked the locks in memory before it took the snapshot.
pub struct Scanner {
    snapshot: Arc<dyn Snapshot>,
    writes: Box<dyn EngineIterator>,
    /// Absent when locks do not matter.
    locks: Option<Box<dyn EngineIterator>>,
    options: ScannerOptions,
    lower: Vec<u8>,
    /// The data key at which the current range ends; empty where the cursors' own bound does.
    stop: Vec<u8>,
    state: State,
    /// The data key of the last row, or of the last lock met.
    current: Vec<u8>,
    /// The user key of the last row, if it was asked for.
    raw_key: Option<Vec<u8>>,
    /// A buffer for it.
    spare_key: Vec<u8>,
    value: Value,
    /// A buffer for seeks.
    seek: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    NotStarted,
    /// Versions of `current` may still lie ahead.
    OnKey,
    /// The cursors stand on keys not looked at yet.
    BetweenKeys,
}

/// Where the current value is.
enum Value {
    None,
    /// In the record the cursor stands on.
    Borrowed {
        offset: usize,
        len: usize,
    },
    Short(Vec<u8>),
    Long(Bytes),
}

impl Scanner {
    /// Prepares a scan; nothing is read yet.
    pub fn new(snapshot: &Arc<dyn Snapshot>, options: ScannerOptions) -> Self {
        let (lower, upper) = data_range(&options.start, &options.end);
        let range = || IteratorOptions {
            fill_cache: options.fill_cache,
            ..IteratorOptions::range(lower.clone(), Some(upper.clone().max(lower.clone())))
        };
        let writes = snapshot.iterator(Cf::Write, range());
        let locks = options.isolation.minds_locks().then(|| snapshot.iterator(Cf::Lock, range()));
        Self {
            snapshot: snapshot.clone(),
            writes,
            locks,
            options,
            lower,
            stop: Vec::new(),
            state: State::NotStarted,
            current: Vec::with_capacity(64),
            raw_key: None,
            spare_key: Vec::with_capacity(64),
            value: Value::None,
            seek: Vec::with_capacity(72),
        }
    }

    /// Goes on with a later range inside the bounds the scan was made with, forward only: a seek costs much less than new cursors.
    pub fn restart(&mut self, start: &[u8], end: &[u8]) {
        debug_assert!(
            self.options.direction == Direction::Forward,
            "locks already passed are not looked at again"
        );
        (self.lower, self.stop) = data_range(start, end);
        self.state = State::NotStarted;
        self.value = Value::None;
    }

    /// Goes to the next row. After [`CommandError::Locked`] the scan may go on: the next step is the key after the locked one.
    #[allow(
        clippy::should_implement_trait,
        reason = "rows are borrowed from the scanner, so it cannot be an Iterator"
    )]
    pub fn next(&mut self) -> Result<ScanStep, CommandError> {
        self.value = Value::None;
        self.forget_key();
        match self.options.direction {
            Direction::Forward => self.next_forward(),
            Direction::Backward => self.next_backward(),
        }
    }

    /// The user key of the row. It is decoded when it is first asked for: most scans want values only.
    #[inline]
    pub fn key(&mut self) -> Result<&[u8], CommandError> {
        self.key_and_value().map(|(key, _)| key)
    }

    /// The user key and the value of the row.
    #[inline]
    pub fn key_and_value(&mut self) -> Result<(&[u8], &[u8]), CommandError> {
        self.decode_key()?;
        Ok((self.raw_key.as_deref().unwrap_or_default(), self.value()))
    }

    fn decode_key(&mut self) -> Result<(), CommandError> {
        if self.raw_key.is_none() {
            let mut key = std::mem::take(&mut self.spare_key);
            key.clear();
            decode_raw(&self.current, &mut key)?;
            self.raw_key = Some(key);
        }
        Ok(())
    }

    fn forget_key(&mut self) {
        if let Some(key) = self.raw_key.take() {
            self.spare_key = key;
        }
    }

    /// The value of the row; empty with `key_only`.
    #[inline]
    pub fn value(&self) -> &[u8] {
        match &self.value {
            Value::None => &[],
            Value::Borrowed { offset, len } => &self.writes.value()[*offset..offset + len],
            Value::Short(value) => value,
            Value::Long(value) => value,
        }
    }

    fn next_forward(&mut self) -> Result<ScanStep, CommandError> {
        match self.state {
            State::NotStarted => {
                self.writes.seek(&self.lower)?;
                if let Some(locks) = &mut self.locks
                    && !locks.seek(&self.lower)?
                {
                    self.locks = None;
                }
            }
            State::OnKey => self.skip_versions_forward()?,
            State::BetweenKeys => {}
        }
        self.state = State::BetweenKeys;
        loop {
            if self.locks.is_some()
                && let Some(lock) = self.pass_locks(Direction::Forward)?
            {
                if self.take_locked(lock)? {
                    self.state = State::OnKey;
                    return Ok(ScanStep::Row);
                }
                self.skip_versions_forward()?;
                continue;
            }
            if !self.writes.valid() || self.is_past_stop(self.writes.key()) {
                return Ok(ScanStep::End);
            }
            let (key, _) = split_ts(self.writes.key())?;
            self.current.clear();
            self.current.extend_from_slice(key);
            if self.find_visible()? {
                self.state = State::OnKey;
                return Ok(ScanStep::Row);
            }
        }
    }

    /// From the newest version of `current` to the one to be read. If there is none the cursor stands on the next key afterwards.
    fn find_visible(&mut self) -> Result<bool, CommandError> {
        let read_ts = self.options.read_ts;
        let mut steps = 0;
        loop {
            let (_, commit_ts) = split_ts(self.writes.key())?;
            if commit_ts <= read_ts {
                break;
            }
            self.check_younger(commit_ts)?;
            steps += 1;
            if steps == STEPS_BEFORE_SEEK && self.options.isolation != IsolationLevel::RcCheckTs {
                seek_key(&mut self.seek, &self.current, read_ts);
                self.writes.seek(&self.seek)?;
            } else {
                self.writes.next()?;
            }
            if !self.on_current() {
                return Ok(false);
            }
        }
        loop {
            let record = self.writes.value();
            let write = WriteRef::parse(record)?;
            match write.write_type {
                WriteType::Put => {
                    self.value = match write.short_value {
                        _ if self.options.key_only => Value::None,
                        Some(value) => Value::Borrowed { offset: offset_in(record, value), len: value.len() },
                        None => Value::Long(load_long_value(
                            &*self.snapshot,
                            &DataKey::from_engine(&self.current),
                            write.start_ts,
                        )?),
                    };
                    return Ok(true);
                }
                WriteType::Delete => {
                    self.skip_versions_forward()?;
                    return Ok(false);
                }
                WriteType::Lock | WriteType::Rollback => {
                    self.writes.next()?;
                    if !self.on_current() {
                        return Ok(false);
                    }
                }
            }
        }
    }

    /// Checks the version the cursor stands on, which is younger than the reader's timestamp.
    fn check_younger(&self, commit_ts: TimeStamp) -> Result<(), CommandError> {
        let raw_key = || DataKey::from_engine(&self.current).raw();
        check_younger(self.options.isolation, self.options.read_ts, raw_key, commit_ts, self.writes.value())
    }

    fn skip_versions_forward(&mut self) -> Result<(), CommandError> {
        for _ in 0..STEPS_BEFORE_SEEK {
            if !self.on_current() {
                return Ok(());
            }
            self.writes.next()?;
        }
        if self.on_current() {
            seek_key(&mut self.seek, &self.current, TimeStamp::ZERO);
            self.writes.seek(&self.seek)?;
            while self.on_current() {
                self.writes.next()?;
            }
        }
        Ok(())
    }

    fn next_backward(&mut self) -> Result<ScanStep, CommandError> {
        match self.state {
            State::NotStarted => {
                self.writes.seek_to_last()?;
                if let Some(locks) = &mut self.locks
                    && !locks.seek_to_last()?
                {
                    self.locks = None;
                }
            }
            State::OnKey => self.skip_versions_backward()?,
            State::BetweenKeys => {}
        }
        self.state = State::BetweenKeys;
        loop {
            if self.locks.is_some()
                && let Some(lock) = self.pass_locks(Direction::Backward)?
            {
                if self.take_locked(lock)? {
                    self.state = State::OnKey;
                    return Ok(ScanStep::Row);
                }
                self.skip_versions_backward()?;
                continue;
            }
            if !self.writes.valid() {
                return Ok(ScanStep::End);
            }
            let (key, _) = split_ts(self.writes.key())?;
            self.current.clear();
            self.current.extend_from_slice(key);
            let found = self.find_visible_backward()?;
            self.skip_versions_backward()?;
            if found {
                return Ok(ScanStep::Row);
            }
        }
    }

    /// From the oldest version of `current` up to the one to be read. The cursor stays within the key or leaves it downwards.
    fn find_visible_backward(&mut self) -> Result<bool, CommandError> {
        let read_ts = self.options.read_ts;
        let mut short = Vec::new();
        let mut newest = None;
        if self.options.isolation == IsolationLevel::RcCheckTs {
            self.check_younger_backward()?;
        }
        for _ in 0..STEPS_BEFORE_SEEK {
            if !self.on_current() || split_ts(self.writes.key())?.1 > read_ts {
                return self.take_backward(newest, short);
            }
            let write = WriteRef::parse(self.writes.value())?;
            if matches!(write.write_type, WriteType::Put | WriteType::Delete) {
                newest = Some((write.write_type, write.start_ts, write.short_value.is_some()));
                short.clear();
                short.extend_from_slice(write.short_value.unwrap_or_default());
            }
            self.writes.prev()?;
        }
        // Many versions: ask for the right one directly.
        seek_key(&mut self.seek, &self.current, read_ts);
        self.writes.seek(&self.seek)?;
        newest = None;
        while self.on_current() {
            let write = WriteRef::parse(self.writes.value())?;
            if matches!(write.write_type, WriteType::Put | WriteType::Delete) {
                newest = Some((write.write_type, write.start_ts, write.short_value.is_some()));
                short.clear();
                short.extend_from_slice(write.short_value.unwrap_or_default());
                break;
            }
            self.writes.next()?;
        }
        // A data key without timestamp sorts before all its versions.
        self.writes.seek_for_prev(&self.current)?;
        self.take_backward(newest, short)
    }

    /// Looks at the versions above the reader's timestamp, then goes back to the oldest one.
    fn check_younger_backward(&mut self) -> Result<(), CommandError> {
        seek_key(&mut self.seek, &self.current, TimeStamp::MAX);
        self.writes.seek(&self.seek)?;
        while self.on_current() {
            let (_, commit_ts) = split_ts(self.writes.key())?;
            if commit_ts <= self.options.read_ts {
                break;
            }
            self.check_younger(commit_ts)?;
            self.writes.next()?;
        }
        seek_key(&mut self.seek, &self.current, TimeStamp::ZERO);
        self.writes.seek_for_prev(&self.seek)?;
        Ok(())
    }

    fn take_backward(
        &mut self,
        newest: Option<(WriteType, StartTs, bool)>,
        short: Vec<u8>,
    ) -> Result<bool, CommandError> {
        let Some((WriteType::Put, start_ts, is_short)) = newest else { return Ok(false) };
        self.value = match is_short {
            _ if self.options.key_only => Value::None,
            true => Value::Short(short),
            false => {
                Value::Long(load_long_value(&*self.snapshot, &DataKey::from_engine(&self.current), start_ts)?)
            }
        };
        Ok(true)
    }

    fn skip_versions_backward(&mut self) -> Result<(), CommandError> {
        for _ in 0..STEPS_BEFORE_SEEK {
            if !self.on_current() {
                return Ok(());
            }
            self.writes.prev()?;
        }
        if self.on_current() {
            self.writes.seek_for_prev(&self.current)?;
        }
        Ok(())
    }

    /// Takes the value of a lock that is read as a version of `current`; false if it is a deletion.
    fn take_locked(&mut self, lock: Lock) -> Result<bool, CommandError> {
        let key = DataKey::from_engine(&self.current);
        let Some(value) = locked_value(&*self.snapshot, &key, lock)? else {
            self.forget_key();
            return Ok(false);
        };
        self.value = if self.options.key_only { Value::None } else { Value::Long(value) };
        Ok(true)
    }

    /// Checks the locks the cursor over `write` is about to pass. Stops at one that is read as a version of its key, which is then
    /// `current`.
    fn pass_locks(&mut self, direction: Direction) -> Result<Option<Lock>, CommandError> {
        loop {
            let Some(locks) = &mut self.locks else { return Ok(None) };
            if self.writes.valid() {
                let (key, _) = split_ts(self.writes.key())?;
                let ahead = match direction {
                    Direction::Forward => locks.key() > key,
                    Direction::Backward => locks.key() < key,
                };
                if ahead {
                    return Ok(None);
                }
            }
            if !self.stop.is_empty() && locks.key() >= self.stop.as_slice() {
                return Ok(None);
            }
            let lock = Lock::decode(locks.value())?;
            self.current.clear();
            self.current.extend_from_slice(locks.key());
            let more = match direction {
                Direction::Forward => locks.next()?,
                Direction::Backward => locks.prev()?,
            };
            if !more {
                self.locks = None;
            }
            self.forget_key();
            self.decode_key()?;
            let raw_key = self.raw_key.as_deref().unwrap_or_default();
            let (read_ts, isolation) = (self.options.read_ts, self.options.isolation);
            match judge_lock(&lock, raw_key, read_ts, isolation, &self.options.passable) {
                LockVerdict::Passes => self.forget_key(),
                LockVerdict::IsVersion => return Ok(Some(lock)),
                LockVerdict::Blocks => {
                    self.state = State::OnKey;
                    return Err(lock_error(isolation, read_ts, Key::new(raw_key), Box::new(lock)));
                }
            }
        }
    }

    fn is_past_stop(&self, key: &[u8]) -> bool {
        !self.stop.is_empty() && key >= self.stop.as_slice()
    }

    /// Whether the cursor stands on a version of `current`.
    #[inline]
    fn on_current(&self) -> bool {
        let key = self.writes.key();
        key.len() == self.current.len() + 8 && key[..self.current.len()] == self.current
    }
}

fn seek_key(out: &mut Vec<u8>, key: &[u8], ts: TimeStamp) {
    out.clear();
    out.extend_from_slice(key);
    number::write_u64_desc(ts.into_inner(), out);
}

/// Where a part of a record begins.
fn offset_in(record: &[u8], part: &[u8]) -> usize {
    part.as_ptr() as usize - record.as_ptr() as usize
}
