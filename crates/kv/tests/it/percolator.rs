//! Percolator written down as plainly as possible: maps, no encoding, no iterators.

use std::collections::BTreeMap;

use tidewater_proto::kvrpcpb;

use super::KEYS;
use crate::support::*;

#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    Put(String),
    Delete,
    Lock,
    Pessimistic,
    Rollback,
}

#[derive(Debug, Clone)]
pub struct Lock {
    pub start: u64,
    pub kind: Kind,
    pub primary: String,
    pub ttl: u64,
    pub for_update: u64,
    pub min_commit: u64,
    pub is_async: bool,
    pub rolled_back: Vec<u64>,
}

impl Lock {
    fn new(start: u64, kind: Kind, primary: String) -> Self {
        Self {
            start,
            kind,
            primary,
            ttl: 0,
            for_update: 0,
            min_commit: 0,
            is_async: false,
            rolled_back: Vec::new(),
        }
    }
}

#[derive(Debug, Clone)]
pub struct Record {
    pub start: u64,
    pub kind: Kind,
    /// A protected rollback, or the mark of one in another record.
    pub protected: bool,
}

#[derive(Debug, Default, Clone)]
pub struct KeyState {
    pub lock: Option<Lock>,
    pub records: BTreeMap<u64, Record>,
}

enum Fate {
    Committed(u64),
    RolledBack,
    Unknown,
}

impl KeyState {
    fn fate(&self, start: u64) -> Fate {
        for (ts, record) in self.records.iter().rev() {
            match record {
                Record { start: of, kind: Kind::Rollback, .. } if *of == start => return Fate::RolledBack,
                Record { start: of, .. } if *of == start => return Fate::Committed(*ts),
                Record { protected: true, .. } if *ts == start => return Fate::RolledBack,
                _ => {}
            }
        }
        Fate::Unknown
    }

    fn change_at(&self, ts: u64) -> Option<&Record> {
        self.records
            .range(..=ts)
            .rev()
            .map(|(_, record)| record)
            .find(|record| matches!(record.kind, Kind::Put(_) | Kind::Delete))
    }

    fn value_at(&self, ts: u64) -> Option<&str> {
        match &self.change_at(ts)?.kind {
            Kind::Put(value) => Some(value),
            _ => None,
        }
    }

    fn put_rollback(&mut self, start: u64, protected: bool) {
        match self.records.get_mut(&start) {
            Some(record) => record.protected |= protected,
            None => drop(self.records.insert(start, Record { start, kind: Kind::Rollback, protected })),
        }
    }

    fn collapse(&mut self, start: u64) {
        let previous = self.records.range(..=start).next_back().map(|(ts, record)| (*ts, record.clone()));
        if let Some((ts, Record { kind: Kind::Rollback, protected: false, .. })) = previous
            && ts != start
        {
            self.records.remove(&ts);
        }
    }

    fn mark_on_lock(&mut self, start: u64) {
        if let Some(lock) = &mut self.lock
            && start >= lock.min_commit
            && start >= lock.start
            && !lock.rolled_back.contains(&start)
        {
            lock.rolled_back.push(start);
        }
    }

    fn rollback_lock(&mut self, key: &str, protected: bool) -> Result<(), String> {
        let lock = self.lock.clone().unwrap();
        match self.fate(lock.start) {
            Fate::Unknown => {
                if !protected {
                    self.collapse(lock.start);
                }
                self.put_rollback(lock.start, protected || (lock.for_update != 0 && lock.primary == key));
            }
            Fate::RolledBack => {}
            Fate::Committed(_) if lock.kind != Kind::Pessimistic => return Err("committed".into()),
            Fate::Committed(_) => {}
        }
        self.lock = None;
        Ok(())
    }

    pub fn cleanup(&mut self, key: &str, start: u64) -> Result<(), String> {
        if self.lock.as_ref().is_some_and(|lock| lock.start == start) {
            return self.rollback_lock(key, false);
        }
        match self.fate(start) {
            Fate::Committed(_) => Err("committed".into()),
            Fate::RolledBack => Ok(()),
            Fate::Unknown => {
                self.collapse(start);
                self.put_rollback(start, false);
                Ok(())
            }
        }
    }

    /// `noted` rises to `commit` if the store notes it.
    pub fn commit(&mut self, start: u64, commit: u64, noted: &mut u64) -> Result<(), String> {
        let Some(lock) = self.lock.clone().filter(|lock| lock.start == start) else {
            return match self.fate(start) {
                Fate::Committed(_) => Ok(()),
                _ => Err("no lock".into()),
            };
        };
        if commit < lock.min_commit {
            return Err("expired".into());
        }
        if !lock.is_async {
            *noted = commit.max(*noted);
        }
        if lock.kind != Kind::Pessimistic {
            let protected = lock.rolled_back.contains(&commit);
            self.records.insert(commit, Record { start, kind: lock.kind, protected });
        }
        self.lock = None;
        Ok(())
    }

    fn locked(&self, key: &str) -> String {
        format!("{key} locked by {}", self.lock.as_ref().map_or(0, |lock| lock.start))
    }
}

/// The model of the whole store.
#[derive(Debug, Default)]
pub struct Model {
    pub keys: BTreeMap<String, KeyState>,
    pub now: u64,
    pub max_ts: u64,
    pub safe_point: u64,
    pub txns: [Txn; 5],
    pub next_value: u64,
}

#[derive(Debug, Default, Clone)]
pub struct Txn {
    pub start: u64,
    pub for_update: u64,
    pub primary: String,
}

impl Model {
    pub fn tick(&mut self) -> u64 {
        self.now += 1;
        self.now
    }

    pub fn key(&mut self, key: usize) -> &mut KeyState {
        self.keys.entry(KEYS[key].into()).or_default()
    }

    pub fn begin(&mut self, txn: usize) {
        self.txns[txn] = Txn { start: self.tick(), ..Txn::default() };
    }

    pub fn prewrite(&mut self, request: &kvrpcpb::PrewriteRequest) -> Result<(u64, u64), Vec<String>> {
        let (start, for_update) = (request.start_version, request.for_update_ts);
        let mut locked = Vec::new();
        let mut committed = None::<u64>;
        let mut had_locks = None::<u64>;
        let mut had_plain_locks = false;
        let mut new = Vec::new();
        for (index, mutation) in request.mutations.iter().enumerate() {
            let key = text(&mutation.key);
            let state = self.keys.entry(key.clone()).or_default();
            let held = request.pessimistic_actions.get(index) == Some(&1);
            let kind = match mutation.op() {
                kvrpcpb::Op::Put | kvrpcpb::Op::Insert => Kind::Put(text(&mutation.value)),
                kvrpcpb::Op::Del => Kind::Delete,
                _ => Kind::Lock,
            };
            let primary = text(&request.primary_lock);
            let mut lock = Lock {
                ttl: request.lock_ttl,
                for_update,
                min_commit: request.min_commit_ts,
                ..Lock::new(start, kind, primary)
            };
            match &state.lock {
                Some(other) if other.start != start && held => match state.fate(start) {
                    Fate::Committed(at) => {
                        committed = committed.max(Some(at));
                        continue;
                    }
                    Fate::RolledBack | Fate::Unknown => return Err(vec!["lost".into()]),
                },
                Some(other) if other.start != start => {
                    locked.push(state.locked(&key));
                    continue;
                }
                Some(own) if own.kind == Kind::Pessimistic => {
                    if for_update == 0 {
                        return Err(vec!["lock kind".into()]);
                    }
                    lock.ttl = lock.ttl.max(own.ttl);
                    lock.min_commit = lock.min_commit.max(own.min_commit);
                    lock.rolled_back = own.rolled_back.clone();
                    new.push((key, lock));
                    continue;
                }
                Some(own) => {
                    had_locks = Some(had_locks.unwrap_or(0).max(own.min_commit));
                    had_plain_locks |= !own.is_async;
                    continue;
                }
                None => {}
            }
            let younger = state.records.range(start..).next_back().map(|(ts, record)| (*ts, record.clone()));
            if let Some((ts, record)) = younger {
                let own_mark = ts == start && record.start != start && !record.protected;
                match state.fate(start) {
                    Fate::Committed(at) => {
                        committed = committed.max(Some(at));
                        continue;
                    }
                    _ if held => return Err(vec!["lost".into()]),
                    Fate::RolledBack => return Err(vec!["self rolled back".into()]),
                    Fate::Unknown if ts > start => return Err(vec!["conflict".into()]),
                    Fate::Unknown => assert!(own_mark),
                }
            }
            if mutation.op() == kvrpcpb::Op::Insert && !held && state.value_at(start).is_some() {
                return Err(vec!["exists".into()]);
            }
            new.push((key, lock));
        }
        if let Some(commit) = committed {
            return Ok((commit, if request.try_one_pc { commit } else { 0 }));
        }
        if !locked.is_empty() {
            return Err(locked);
        }
        let two_phase = had_plain_locks
            || !(request.try_one_pc || request.use_async_commit)
            || (request.try_one_pc && had_locks.is_some());
        if two_phase {
            for (key, lock) in new {
                self.keys.get_mut(&key).unwrap().lock = Some(lock);
            }
            return Ok((0, 0));
        }
        if let (Some(min_commit), true) = (had_locks, new.is_empty()) {
            return Ok((min_commit, 0));
        }
        let own = new.iter().map(|(_, lock)| lock.min_commit).max().unwrap_or(0);
        let min_commit =
            (start + 1).max(for_update + 1).max(self.max_ts + 1).max(own).max(request.min_commit_ts);
        for (key, lock) in new {
            let state = self.keys.get_mut(&key).unwrap();
            if request.try_one_pc {
                let protected = lock.rolled_back.contains(&min_commit);
                state.records.insert(min_commit, Record { start, kind: lock.kind, protected });
                state.lock = None;
            } else {
                state.lock = Some(Lock { min_commit, is_async: true, ..lock });
            }
        }
        if request.try_one_pc { Ok((0, min_commit)) } else { Ok((min_commit.max(had_locks.unwrap_or(0)), 0)) }
    }

    pub fn lock(&mut self, request: &kvrpcpb::PessimisticLockRequest) -> Result<Vec<Option<String>>, String> {
        let (start, for_update) = (request.start_version, request.for_update_ts);
        let mut values = Vec::new();
        let mut new = Vec::new();
        for mutation in &request.mutations {
            let key = text(&mutation.key);
            let state = self.keys.entry(key.clone()).or_default();
            let primary = text(&request.primary_lock);
            let mut lock = Lock {
                ttl: request.lock_ttl,
                for_update,
                min_commit: request.min_commit_ts,
                ..Lock::new(start, Kind::Pessimistic, primary)
            };
            match &state.lock {
                Some(other) if other.start != start => return Err(state.locked(&key)),
                Some(own) if own.kind != Kind::Pessimistic => return Err("lock kind".into()),
                Some(own) if own.for_update >= for_update => lock = own.clone(),
                Some(own) => lock = Lock { for_update, ttl: own.ttl.max(lock.ttl), ..own.clone() },
                None => {
                    let newest = state
                        .records
                        .range(for_update + 1..)
                        .rev()
                        .find(|(_, record)| record.kind != Kind::Rollback);
                    if newest.is_some() {
                        return Err("conflict".into());
                    }
                    let own = state.records.get(&start);
                    if own.is_some_and(|record| record.kind == Kind::Rollback || record.protected) {
                        return Err("rolled back".into());
                    }
                }
            }
            let value = state.value_at(for_update).map(str::to_string);
            if mutation.assertion() == kvrpcpb::Assertion::NotExist && value.is_some() {
                return Err("exists".into());
            }
            values.push(value);
            new.push((key, lock));
        }
        for (key, lock) in new {
            self.keys.get_mut(&key).unwrap().lock = Some(lock);
        }
        Ok(values)
    }

    /// All or nothing, as one batch.
    pub fn each(
        &mut self,
        keys: &[String],
        mut step: impl FnMut(&mut KeyState, &str) -> Result<(), String>,
    ) -> Result<(), String> {
        let mut done = Vec::new();
        for key in keys {
            let state = self.keys.entry(key.clone()).or_default();
            let before = KeyState { lock: state.lock.clone(), records: state.records.clone() };
            let result = step(state, key);
            done.push((key.clone(), before));
            if let Err(error) = result {
                self.keys.extend(done);
                return Err(error);
            }
        }
        Ok(())
    }

    pub fn check(&mut self, request: &kvrpcpb::CheckTxnStatusRequest) -> String {
        for ts in [request.lock_ts, request.current_ts, request.caller_start_ts] {
            self.max_ts = self.max_ts.max(ts);
        }
        let key = text(&request.primary_key);
        let start = request.lock_ts;
        let state = self.keys.entry(key.clone()).or_default();
        if let Some(lock) = state.lock.as_mut().filter(|lock| lock.start == start) {
            if lock.is_async {
                return format!("alive until {} min {}", lock.ttl, lock.min_commit);
            }
            if (start >> 18) + lock.ttl < request.current_ts >> 18 {
                if request.resolving_pessimistic_lock && lock.kind == Kind::Pessimistic {
                    state.lock = None;
                    return "expired pessimistic".into();
                }
                return match state.rollback_lock(&key, true) {
                    Ok(()) => "expired".into(),
                    Err(error) => error,
                };
            }
            if lock.min_commit != 0 && request.caller_start_ts >= lock.min_commit {
                lock.min_commit = (request.caller_start_ts + 1).max(request.current_ts);
            }
            return format!("alive until {} min {}", lock.ttl, lock.min_commit);
        }
        match state.fate(start) {
            Fate::Committed(at) => format!("committed at {at}"),
            Fate::RolledBack => "rolled back".into(),
            Fate::Unknown if !request.rollback_if_not_exist => "not found".into(),
            Fate::Unknown if request.resolving_pessimistic_lock => "nothing done".into(),
            Fate::Unknown => {
                if !state.records.contains_key(&start) {
                    state.mark_on_lock(start);
                }
                state.put_rollback(start, true);
                "rolled back now".into()
            }
        }
    }

    pub fn check_secondaries(&mut self, keys: &[String], start: u64) -> String {
        self.max_ts = self.max_ts.max(start);
        let mut locks = 0;
        for key in keys {
            let state = self.keys.entry(key.clone()).or_default();
            match &state.lock {
                Some(lock) if lock.start == start && lock.kind != Kind::Pessimistic => {
                    locks += 1;
                    continue;
                }
                Some(lock) if lock.start == start => state.lock = None,
                _ => {}
            }
            match state.fate(start) {
                Fate::Committed(at) => return format!("committed at {at}"),
                Fate::RolledBack => {}
                Fate::Unknown => {
                    if !state.records.contains_key(&start) {
                        state.mark_on_lock(start);
                    }
                    state.put_rollback(start, true);
                }
            }
            return "rolled back".into();
        }
        format!("{locks} locks")
    }

    pub fn get(&mut self, key: &str, ts: u64) -> Result<Option<String>, String> {
        self.max_ts = if ts == u64::MAX { self.max_ts } else { self.max_ts.max(ts) };
        let state = self.keys.entry(key.into()).or_default();
        let blocks = |lock: &&Lock| {
            lock.start <= ts
                && matches!(lock.kind, Kind::Put(_) | Kind::Delete)
                && lock.min_commit <= ts
                && !(ts == u64::MAX && lock.primary == key && !lock.is_async)
        };
        match state.lock.as_ref().filter(blocks) {
            Some(_) => Err(state.locked(key)),
            None => Ok(state.value_at(ts).map(str::to_string)),
        }
    }

    pub fn gc(&mut self, safe_point: u64) {
        self.safe_point = self.safe_point.max(safe_point);
        for state in self.keys.values_mut() {
            let below = state
                .records
                .range(..=safe_point)
                .map(|(ts, record)| (*ts, record.clone()))
                .collect::<Vec<_>>();
            let newest =
                below.iter().rev().find(|(_, record)| matches!(record.kind, Kind::Put(_) | Kind::Delete));
            let keep = newest.filter(|(_, record)| record.kind != Kind::Delete).map(|(ts, _)| *ts);
            for (ts, _) in &below {
                if Some(*ts) != keep {
                    state.records.remove(ts);
                }
            }
        }
    }
}
