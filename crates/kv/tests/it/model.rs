//! Random histories of all commands, against Percolator written down as plainly as possible: maps, no encoding, no iterators.

use std::{collections::BTreeMap, sync::Arc};

use proptest::prelude::*;
use tidewater_kv::{Engine, MemoryEngine, NodeConfig, RocksEngine};
use tidewater_proto::{StoreRequest, StoreResponse, kvrpcpb};

use crate::support::*;

const KEYS: [&str; 4] = ["a", "b", "c", "d"];
const TTL: u64 = 3000;

/// What a history is made of. `txn` is a slot, which holds the transaction begun there last.
#[derive(Debug, Clone)]
enum Op {
    Begin { txn: usize },
    Prewrite { txn: usize, keys: Vec<usize>, change: Change, path: Path },
    Lock { txn: usize, keys: Vec<usize>, must_not_exist: bool },
    PrewriteLocked { txn: usize, keys: Vec<usize>, path: Path },
    Commit { txn: usize, keys: Vec<usize> },
    Rollback { txn: usize, keys: Vec<usize> },
    Unlock { txn: usize, keys: Vec<usize> },
    Check { txn: usize, key: usize, expired: bool, pessimistic: bool, rollback: bool },
    CheckSecondaries { txn: usize, keys: Vec<usize> },
    Resolve { txn: usize, commit: bool, key: Option<usize> },
    HeartBeat { txn: usize, key: usize },
    Get { key: usize, back: u64 },
    Gc { back: u64 },
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Change {
    Put,
    Long,
    Delete,
    Insert,
    Lock,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Path {
    Two,
    Async,
    One,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let txn = 0..5usize;
    let keys = proptest::sample::subsequence((0..KEYS.len()).collect::<Vec<_>>(), 1..=3);
    let path = prop_oneof![3 => Just(Path::Two), 1 => Just(Path::Async), 1 => Just(Path::One)];
    let change = prop_oneof![
        4 => Just(Change::Put), 1 => Just(Change::Long), 1 => Just(Change::Delete), 1 => Just(Change::Insert), 1 => Just(Change::Lock)
    ];
    let op = prop_oneof![
        3 => txn.clone().prop_map(|txn| Op::Begin { txn }),
        6 => (txn.clone(), keys.clone(), change, path.clone())
            .prop_map(|(txn, keys, change, path)| Op::Prewrite { txn, keys, change, path }),
        4 => (txn.clone(), keys.clone(), any::<bool>())
            .prop_map(|(txn, keys, must_not_exist)| Op::Lock { txn, keys, must_not_exist: must_not_exist && txn == 0 }),
        4 => (txn.clone(), keys.clone(), path).prop_map(|(txn, keys, path)| Op::PrewriteLocked { txn, keys, path }),
        6 => (txn.clone(), keys.clone()).prop_map(|(txn, keys)| Op::Commit { txn, keys }),
        3 => (txn.clone(), keys.clone()).prop_map(|(txn, keys)| Op::Rollback { txn, keys }),
        1 => (txn.clone(), keys.clone()).prop_map(|(txn, keys)| Op::Unlock { txn, keys }),
        3 => (txn.clone(), 0..KEYS.len(), any::<bool>(), any::<bool>(), any::<bool>())
            .prop_map(|(txn, key, expired, pessimistic, rollback)| Op::Check { txn, key, expired, pessimistic, rollback }),
        1 => (txn.clone(), keys).prop_map(|(txn, keys)| Op::CheckSecondaries { txn, keys }),
        2 => (txn.clone(), any::<bool>(), proptest::option::of(0..KEYS.len()))
            .prop_map(|(txn, commit, key)| Op::Resolve { txn, commit, key }),
        1 => (txn, 0..KEYS.len()).prop_map(|(txn, key)| Op::HeartBeat { txn, key }),
        4 => (0..KEYS.len(), 0..20u64).prop_map(|(key, back)| Op::Get { key, back }),
        1 => (0..30u64).prop_map(|back| Op::Gc { back }),
    ];
    proptest::collection::vec(op, 1..60)
}

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Put(String),
    Delete,
    Lock,
    Pessimistic,
    Rollback,
}

#[derive(Debug, Clone)]
struct Lock {
    start: u64,
    kind: Kind,
    primary: String,
    ttl: u64,
    for_update: u64,
    min_commit: u64,
    is_async: bool,
    rolled_back: Vec<u64>,
}

#[derive(Debug, Clone)]
struct Record {
    start: u64,
    kind: Kind,
    /// A protected rollback, or the mark of one in another record.
    protected: bool,
}

#[derive(Debug, Default)]
struct KeyState {
    lock: Option<Lock>,
    records: BTreeMap<u64, Record>,
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

    fn cleanup(&mut self, key: &str, start: u64) -> Result<(), String> {
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

    fn commit(&mut self, start: u64, commit: u64) -> Result<(), String> {
        let Some(lock) = self.lock.clone().filter(|lock| lock.start == start) else {
            return match self.fate(start) {
                Fate::Committed(_) => Ok(()),
                _ => Err("no lock".into()),
            };
        };
        if commit < lock.min_commit {
            return Err("expired".into());
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
struct Model {
    keys: BTreeMap<String, KeyState>,
    now: u64,
    max_ts: u64,
    safe_point: u64,
    txns: [Txn; 5],
    next_value: u64,
}

#[derive(Debug, Default, Clone)]
struct Txn {
    start: u64,
    for_update: u64,
    primary: String,
}

impl Model {
    fn tick(&mut self) -> u64 {
        self.now += 1;
        self.now
    }

    fn key(&mut self, key: usize) -> &mut KeyState {
        self.keys.entry(KEYS[key].into()).or_default()
    }

    fn begin(&mut self, txn: usize) {
        self.txns[txn] = Txn { start: self.tick(), ..Txn::default() };
    }

    fn prewrite(&mut self, request: &kvrpcpb::PrewriteRequest) -> Result<(u64, u64), Vec<String>> {
        let (start, for_update) = (request.start_version, request.for_update_ts);
        let mut locked = Vec::new();
        let mut committed = None::<u64>;
        let mut had_locks = None::<u64>;
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
            let mut lock = Lock {
                start,
                kind,
                primary: text(&request.primary_lock),
                ttl: request.lock_ttl,
                for_update,
                min_commit: request.min_commit_ts,
                is_async: false,
                rolled_back: Vec::new(),
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
        let two_phase =
            (!request.try_one_pc && !request.use_async_commit) || (request.try_one_pc && had_locks.is_some());
        if two_phase {
            for (key, lock) in new {
                self.keys.get_mut(&key).unwrap().lock = Some(lock);
            }
            return Ok((0, 0));
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

    fn lock(&mut self, request: &kvrpcpb::PessimisticLockRequest) -> Result<Vec<Option<String>>, String> {
        let (start, for_update) = (request.start_version, request.for_update_ts);
        let mut values = Vec::new();
        let mut new = Vec::new();
        for mutation in &request.mutations {
            let key = text(&mutation.key);
            let state = self.keys.entry(key.clone()).or_default();
            let mut lock = Lock {
                start,
                kind: Kind::Pessimistic,
                primary: text(&request.primary_lock),
                ttl: request.lock_ttl,
                for_update,
                min_commit: request.min_commit_ts,
                is_async: false,
                rolled_back: Vec::new(),
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
    fn each(
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

    fn check(&mut self, request: &kvrpcpb::CheckTxnStatusRequest) -> String {
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

    fn check_secondaries(&mut self, keys: &[String], start: u64) -> String {
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

    fn get(&mut self, key: &str, ts: u64) -> Result<Option<String>, String> {
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

    fn gc(&mut self, safe_point: u64) {
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

fn told(error: &kvrpcpb::KeyError) -> String {
    if let Some(lock) = &error.locked {
        return format!("{} locked by {}", text(&lock.key), lock.lock_version);
    }
    let texts = [
        ("lost", "lost"),
        ("another kind", "lock kind"),
        ("committed already", "committed"),
        ("cannot be locked", "rolled back"),
    ];
    let said = format!("{}{}", error.abort, error.retryable);
    match error {
        kvrpcpb::KeyError { conflict: Some(conflict), .. } => match conflict.reason() {
            kvrpcpb::write_conflict::Reason::SelfRolledBack => "self rolled back".into(),
            _ => "conflict".into(),
        },
        kvrpcpb::KeyError { already_exist: Some(_), .. } => "exists".into(),
        kvrpcpb::KeyError { commit_ts_expired: Some(_), .. } => "expired".into(),
        kvrpcpb::KeyError { txn_not_found: Some(_), .. } => "not found".into(),
        kvrpcpb::KeyError { txn_lock_not_found: Some(_), .. } => "no lock".into(),
        _ => texts
            .iter()
            .find(|(part, _)| said.contains(part))
            .map_or(said.clone(), |(_, word)| (*word).to_string()),
    }
}

struct Run {
    store: Store,
    model: Model,
}

impl Run {
    fn names(keys: &[usize]) -> Vec<String> {
        keys.iter().map(|key| KEYS[*key].to_string()).collect()
    }

    async fn step(&mut self, op: &Op) {
        let Self { store, model } = self;
        match op {
            Op::Begin { txn } => model.begin(*txn),
            Op::Prewrite { txn, keys, change, path } => {
                let request = Self::prewrite_request(model, *txn, keys, *change, *path, false);
                Self::prewrite(store, model, request).await;
            }
            Op::PrewriteLocked { txn, keys, path } => {
                let request = Self::prewrite_request(model, *txn, keys, Change::Put, *path, true);
                Self::prewrite(store, model, request).await;
            }
            Op::Lock { txn, keys, must_not_exist } => {
                let for_update = model.tick();
                let txn = &mut model.txns[*txn];
                txn.for_update = for_update;
                if txn.primary.is_empty() {
                    txn.primary = KEYS[keys[0]].into();
                }
                let names = Self::names(keys);
                let mut request =
                    lock(txn.start, for_update, &names.iter().map(String::as_str).collect::<Vec<_>>());
                request.primary_lock = bytes(&txn.primary);
                request.return_values = true;
                for mutation in &mut request.mutations {
                    mutation.assertion = if *must_not_exist { 2 } else { 0 };
                }
                let answer = store.lock(request.clone()).await;
                let values = answer
                    .values
                    .iter()
                    .zip(&answer.not_founds)
                    .map(|(value, missing)| (!missing).then(|| text(value)));
                let real = match answer.errors.first() {
                    Some(error) => Err(told(error)),
                    None => Ok(values.collect::<Vec<_>>()),
                };
                assert_eq!(real, model.lock(&request));
            }
            Op::Commit { txn, keys } => {
                let commit = model.tick();
                let (start, names) = (model.txns[*txn].start, Self::names(keys));
                let refs = names.iter().map(String::as_str).collect::<Vec<_>>();
                let real = store.commit(&refs, start, commit).await.map(|error| told(&error));
                model.max_ts = model.max_ts.max(commit);
                assert_eq!(real, model.each(&names, |state, _| state.commit(start, commit)).err());
            }
            Op::Rollback { txn, keys } => {
                let (start, names) = (model.txns[*txn].start, Self::names(keys));
                let refs = names.iter().map(String::as_str).collect::<Vec<_>>();
                let real = store.rollback(&refs, start).await.map(|error| told(&error));
                assert_eq!(real, model.each(&names, |state, key| state.cleanup(key, start)).err());
            }
            Op::Unlock { txn, keys } => {
                let (start, for_update) = (model.txns[*txn].start, model.txns[*txn].for_update);
                let names = Self::names(keys);
                store.unlock(&names.iter().map(String::as_str).collect::<Vec<_>>(), start, for_update).await;
                for key in keys {
                    let state = model.key(*key);
                    if state.lock.as_ref().is_some_and(|lock| {
                        lock.start == start && lock.kind == Kind::Pessimistic && lock.for_update <= for_update
                    }) {
                        state.lock = None;
                    }
                }
            }
            Op::Check { txn, key, expired, pessimistic, rollback } => {
                let now = model.tick();
                let request = kvrpcpb::CheckTxnStatusRequest {
                    primary_key: bytes(KEYS[*key]),
                    lock_ts: model.txns[*txn].start,
                    caller_start_ts: now,
                    // The clock of the one who asks jumps; the timestamps of the history must not.
                    current_ts: now,
                    rollback_if_not_exist: *rollback,
                    resolving_pessimistic_lock: *pessimistic,
                    ..Default::default()
                };
                if *expired {
                    model.now += (TTL + 1) << 18;
                }
                let request = kvrpcpb::CheckTxnStatusRequest { current_ts: model.now, ..request };
                let answer = store.check_txn(request.clone()).await;
                let real = match (&answer.error, answer.action()) {
                    (Some(error), _) => told(error),
                    (None, kvrpcpb::Action::TtlExpireRollback) => "expired".into(),
                    (None, kvrpcpb::Action::TtlExpirePessimisticRollback) => "expired pessimistic".into(),
                    (None, kvrpcpb::Action::LockNotExistRollback) => "rolled back now".into(),
                    (None, kvrpcpb::Action::LockNotExistDoNothing) => "nothing done".into(),
                    (None, _) if answer.commit_version != 0 => {
                        format!("committed at {}", answer.commit_version)
                    }
                    (None, _) => match &answer.lock_info {
                        Some(lock) => format!("alive until {} min {}", answer.lock_ttl, lock.min_commit_ts),
                        None => "rolled back".into(),
                    },
                };
                assert_eq!(real, model.check(&request));
            }
            Op::CheckSecondaries { txn, keys } => {
                let (start, names) = (model.txns[*txn].start, Self::names(keys));
                let request = kvrpcpb::CheckSecondaryLocksRequest {
                    context: Some(store.context(b"")),
                    keys: names.iter().map(|key| bytes(key)).collect(),
                    start_version: start,
                };
                let StoreResponse::CheckSecondaryLocks(answer) =
                    store.call(StoreRequest::CheckSecondaryLocks(request)).await
                else {
                    panic!("another answer")
                };
                assert_eq!(answer.error, None);
                let real = match (answer.commit_ts, answer.locks.len()) {
                    (0, 0) => "rolled back".into(),
                    (0, locks) => format!("{locks} locks"),
                    (at, _) => format!("committed at {at}"),
                };
                assert_eq!(real, model.check_secondaries(&names, start));
            }
            Op::Resolve { txn, commit, key } => {
                let commit = if *commit { model.tick() } else { 0 };
                let start = model.txns[*txn].start;
                let names = key.map_or_else(|| KEYS.map(String::from).to_vec(), |key| Self::names(&[key]));
                let request = kvrpcpb::ResolveLockRequest {
                    start_version: start,
                    commit_version: commit,
                    keys: key.iter().map(|key| bytes(KEYS[*key])).collect(),
                    ..Default::default()
                };
                let real = store.resolve(request).await.map(|error| told(&error));
                let is_met = |name: &String| {
                    model
                        .keys
                        .get(name)
                        .and_then(|key| key.lock.as_ref())
                        .is_some_and(|lock| lock.start == start)
                };
                if names.iter().any(is_met) {
                    model.max_ts = model.max_ts.max(commit);
                }
                let expected = model.each(&names, |state, key| match &state.lock {
                    Some(lock) if lock.start == start && commit != 0 => state.commit(start, commit),
                    Some(lock) if lock.start == start => state.cleanup(key, start),
                    _ => Ok(()),
                });
                assert_eq!(real, expected.err());
            }
            Op::HeartBeat { txn, key } => {
                let request = kvrpcpb::TxnHeartBeatRequest {
                    context: Some(store.context(b"")),
                    primary_lock: bytes(KEYS[*key]),
                    start_version: model.txns[*txn].start,
                    advise_lock_ttl: TTL * 2,
                };
                let StoreResponse::TxnHeartBeat(answer) =
                    store.call(StoreRequest::TxnHeartBeat(request.clone())).await
                else {
                    panic!("another answer")
                };
                let lock = model.key(*key).lock.as_mut().filter(|lock| lock.start == request.start_version);
                let expected = lock.map(|lock| {
                    lock.ttl = lock.ttl.max(TTL * 2);
                    lock.ttl
                });
                assert_eq!(answer.error.is_none().then_some(answer.lock_ttl), expected);
            }
            Op::Get { key, back } => {
                let ts = if *back == 0 {
                    u64::MAX
                } else {
                    model.now.saturating_sub(*back - 1).max(model.safe_point)
                };
                self.read(KEYS[*key], ts).await;
            }
            Op::Gc { back } => {
                let safe_point = model.now.saturating_sub(*back);
                let request = kvrpcpb::GcRequest { context: Some(store.context(b"")), safe_point };
                let StoreResponse::Gc(answer) = store.call(StoreRequest::Gc(request)).await else {
                    panic!("another answer")
                };
                assert_eq!(answer.error, None);
                model.gc(safe_point);
            }
        }
    }

    fn prewrite_request(
        model: &mut Model,
        txn: usize,
        keys: &[usize],
        change: Change,
        path: Path,
        is_pessimistic: bool,
    ) -> kvrpcpb::PrewriteRequest {
        model.next_value += 1;
        let value = format!("v{}", model.next_value);
        let value = if change == Change::Long { value.repeat(200) } else { value };
        let op = match change {
            Change::Put | Change::Long => kvrpcpb::Op::Put,
            Change::Insert => kvrpcpb::Op::Insert,
            Change::Delete => kvrpcpb::Op::Del,
            Change::Lock => kvrpcpb::Op::Lock,
        };
        let txn = &mut model.txns[txn];
        if txn.primary.is_empty() {
            txn.primary = KEYS[keys[0]].into();
        }
        kvrpcpb::PrewriteRequest {
            mutations: keys.iter().map(|key| mutation(op, KEYS[*key], &value)).collect(),
            primary_lock: bytes(&txn.primary),
            start_version: txn.start,
            lock_ttl: TTL,
            for_update_ts: if is_pessimistic { txn.for_update.max(txn.start) } else { 0 },
            pessimistic_actions: if is_pessimistic { vec![1; keys.len()] } else { Vec::new() },
            min_commit_ts: if path == Path::Two { 0 } else { txn.start + 1 },
            use_async_commit: path == Path::Async,
            try_one_pc: path == Path::One,
            ..Default::default()
        }
    }

    async fn prewrite(store: &Store, model: &mut Model, request: kvrpcpb::PrewriteRequest) {
        let answer = store.prewrite(request.clone()).await;
        let real = match answer.errors.is_empty() {
            true => Ok((answer.min_commit_ts, answer.one_pc_commit_ts)),
            false => Err(answer.errors.iter().map(told).collect()),
        };
        // A commit timestamp that was calculated is in the past of the clock that gives out the others.
        if let Ok((min_commit, one_phase)) = real {
            model.now = model.now.max(min_commit).max(one_phase);
        }
        assert_eq!(real, model.prewrite(&request));
    }

    async fn read(&mut self, key: &str, ts: u64) {
        let answer = self.store.get(key, ts).await;
        let real = match &answer.error {
            Some(error) => Err(told(error)),
            None => Ok((!answer.not_found).then(|| text(&answer.value))),
        };
        assert_eq!(real, self.model.get(key, ts), "{key} at {ts}");
    }

    /// Everything that can be read, in all ways of reading.
    async fn read_all(&mut self) {
        let mut moments = vec![u64::MAX, self.model.now];
        for state in self.model.keys.values() {
            moments.extend(state.records.keys().flat_map(|ts| [*ts, ts.saturating_sub(1)]));
            moments.extend(state.lock.iter().map(|lock| lock.start));
        }
        moments.retain(|ts| *ts >= self.model.safe_point);
        moments.sort_unstable();
        moments.dedup();
        for ts in moments {
            let mut expected = Vec::new();
            for key in KEYS {
                self.read(key, ts).await;
                match self.model.get(key, ts) {
                    Ok(None) => {}
                    Ok(Some(value)) => expected.push((key.to_string(), Ok(value))),
                    Err(error) => expected.push((key.to_string(), Err(error))),
                }
            }
            for reverse in [false, true] {
                let request = kvrpcpb::ScanRequest { limit: 100, version: ts, reverse, ..Default::default() };
                let pairs = self.store.scan(request).await;
                let real = pairs.iter().map(|pair| match &pair.error {
                    Some(error) => (text(&pair.key), Err(told(error))),
                    None => (text(&pair.key), Ok(text(&pair.value))),
                });
                assert_eq!(real.collect::<Vec<_>>(), expected, "at {ts}, reverse {reverse}");
                expected.reverse();
            }
        }
        let request = kvrpcpb::ScanLockRequest {
            context: Some(self.store.context(b"")),
            max_version: self.model.now,
            ..Default::default()
        };
        let StoreResponse::ScanLock(answer) = self.store.call(StoreRequest::ScanLock(request)).await else {
            panic!("another answer")
        };
        let real = answer
            .locks
            .iter()
            .map(|lock| (text(&lock.key), lock.lock_version, lock.min_commit_ts))
            .collect::<Vec<_>>();
        let locks = self.model.keys.iter().filter_map(|(key, state)| {
            let lock = state.lock.as_ref()?;
            Some((key.clone(), lock.start, lock.min_commit))
        });
        assert_eq!(real, locks.collect::<Vec<_>>());
    }
}

fn run(engine: Arc<dyn Engine>, ops: &[Op]) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let store = Store::open(NodeConfig::default(), engine, Arc::default()).await;
        let mut run = Run { store, model: Model::default() };
        // The node has asked for one timestamp.
        run.model.now = 1;
        run.model.max_ts = 1;
        for txn in 0..5 {
            run.model.begin(txn);
        }
        for op in ops {
            run.step(op).await;
        }
        run.read_all().await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn histories_agree_with_the_model_in_memory(ops in ops()) {
        run(Arc::new(MemoryEngine::new()), &ops);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn histories_agree_with_the_model_on_disk(ops in ops()) {
        let dir = tempfile::tempdir().unwrap();
        run(Arc::new(RocksEngine::open(dir.path()).unwrap()), &ops);
    }
}
