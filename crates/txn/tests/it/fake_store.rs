//! A store of the transaction protocol in a few hundred lines: one map behind one mutex, nothing waits, nothing is durable.
//!
//! It is the second opinion next to the real store: simple enough to be believed by reading it.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use tidewater_codec::Key;
use tidewater_proto::kvrpcpb::prewrite_request::PessimisticAction;
use tidewater_proto::kvrpcpb::{self as kv, Op, write_conflict::Reason};
use tidewater_proto::{
    PdService, StoreRequest, StoreResponse, StoreService, TransportError, errorpb, metapb, pdpb,
};

use crate::fake_raw::{self, RawPairs};

pub struct FakeStore {
    pd: Arc<dyn PdService>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    regions: BTreeMap<u64, metapb::Region>,
    keys: BTreeMap<Bytes, KeyState>,
    max_ts: u64,
    raw: RawPairs,
    /// Who waits for whom.
    waits: BTreeMap<u64, u64>,
}

#[derive(Default)]
struct KeyState {
    lock: Option<Lock>,
    /// By commit timestamp; a rollback is at its start timestamp.
    writes: BTreeMap<u64, Write>,
}

#[derive(Clone)]
struct Lock {
    op: Op,
    primary: Bytes,
    start: u64,
    ttl: u64,
    for_update: u64,
    min_commit: u64,
    size: u64,
    value: Bytes,
    /// The other keys of an async commit, in the lock of its primary.
    secondaries: Option<Vec<Bytes>>,
}

#[derive(Clone)]
struct Write {
    start: u64,
    kind: Kind,
}

#[derive(Clone, PartialEq)]
enum Kind {
    Put(Bytes),
    Delete,
    Lock,
    Rollback,
}

enum Fate {
    Committed(u64),
    RolledBack,
    Unknown,
}

impl KeyState {
    fn read(&self, ts: u64) -> Option<Bytes> {
        let change = self
            .writes
            .range(..=ts)
            .rev()
            .find(|(_, write)| matches!(write.kind, Kind::Put(_) | Kind::Delete))?;
        match &change.1.kind {
            Kind::Put(value) => Some(value.clone()),
            _ => None,
        }
    }

    fn fate(&self, start: u64) -> Fate {
        match self.writes.iter().find(|(_, write)| write.start == start) {
            Some((_, Write { kind: Kind::Rollback, .. })) => Fate::RolledBack,
            Some((commit, _)) => Fate::Committed(*commit),
            None => Fate::Unknown,
        }
    }

    fn newest(&self) -> Option<(u64, &Write)> {
        self.writes
            .iter()
            .rev()
            .find(|(_, write)| write.kind != Kind::Rollback)
            .map(|(commit, write)| (*commit, write))
    }

    fn lock_of(&self, start: u64) -> Option<&Lock> {
        self.lock.as_ref().filter(|lock| lock.start == start)
    }

    fn commit(&mut self, start: u64, commit: u64) {
        let Some(lock) = self.lock.take_if(|lock| lock.start == start) else { return };
        let kind = match lock.op {
            Op::Put | Op::Insert => Kind::Put(lock.value),
            Op::Del => Kind::Delete,
            _ => Kind::Lock,
        };
        self.writes.insert(commit, Write { start, kind });
    }

    fn roll_back(&mut self, start: u64) {
        self.lock.take_if(|lock| lock.start == start);
        self.writes.entry(start).or_insert(Write { start, kind: Kind::Rollback });
    }
}

fn lock_info(key: &Bytes, lock: &Lock) -> kv::LockInfo {
    kv::LockInfo {
        primary_lock: lock.primary.clone(),
        lock_version: lock.start,
        key: key.clone(),
        lock_ttl: lock.ttl,
        txn_size: lock.size,
        lock_type: lock.op as i32,
        lock_for_update_ts: lock.for_update,
        min_commit_ts: lock.min_commit,
        use_async_commit: lock.secondaries.is_some(),
        secondaries: lock.secondaries.clone().unwrap_or_default(),
        ..Default::default()
    }
}

fn locked(key: &Bytes, lock: &Lock) -> kv::KeyError {
    kv::KeyError { locked: Some(lock_info(key, lock)), ..Default::default() }
}

fn conflict(key: &Bytes, start: u64, commit: u64, write: &Write, reason: Reason) -> kv::KeyError {
    let conflict = kv::WriteConflict {
        start_ts: start,
        conflict_ts: write.start,
        key: key.clone(),
        conflict_commit_ts: commit,
        reason: reason as i32,
        ..Default::default()
    };
    kv::KeyError { conflict: Some(conflict), ..Default::default() }
}

fn exists(key: &Bytes) -> kv::KeyError {
    kv::KeyError { already_exist: Some(kv::AlreadyExist { key: key.clone() }), ..Default::default() }
}

fn abort(reason: &str) -> kv::KeyError {
    kv::KeyError { abort: reason.to_owned(), ..Default::default() }
}

impl FakeStore {
    /// A store with the first region of a new cluster.
    pub async fn open(pd: Arc<dyn PdService>, address: &str) -> Arc<Self> {
        let first = pd.alloc_id(3).await.unwrap() - 2;
        let region = metapb::Region {
            id: first + 1,
            region_epoch: Some(metapb::RegionEpoch { conf_ver: 1, version: 1 }),
            peers: vec![metapb::Peer { id: first + 2, store_id: first, ..Default::default() }],
            ..Default::default()
        };
        let store = metapb::Store { id: first, address: address.to_owned(), ..Default::default() };
        let request =
            pdpb::BootstrapRequest { store: Some(store), region: Some(region.clone()), ..Default::default() };
        pd.bootstrap(request).await.unwrap();
        let state = State { regions: BTreeMap::from([(region.id, region)]), ..Default::default() };
        Arc::new(Self { pd, state: Mutex::new(state) })
    }

    async fn split(&self, request: &kv::SplitRegionRequest) -> kv::SplitRegionResponse {
        let mut regions = Vec::new();
        for key in &request.split_keys {
            // Raw clients without a keyspace have plain boundaries.
            let key = match request.is_raw_key {
                true => key.clone(),
                false => Bytes::from(Key::new(&key[..]).encode().into_bytes()),
            };
            let holding = self.state.lock().regions.values().find(|region| holds(region, &key)).cloned();
            let Some(old) = holding.filter(|old| old.start_key != key) else { continue };
            let ask = pdpb::AskBatchSplitRequest {
                region: Some(old.clone()),
                split_count: 1,
                ..Default::default()
            };
            let ids = self.pd.ask_batch_split(ask).await.unwrap().ids.remove(0);
            let mut left = old.clone();
            let mut right = old.clone();
            left.end_key = key.clone();
            right.start_key = key;
            right.id = ids.new_region_id;
            right.peers[0].id = ids.new_peer_ids[0];
            for half in [&mut left, &mut right] {
                half.region_epoch.as_mut().unwrap().version += 1;
            }
            {
                let mut state = self.state.lock();
                state.regions.insert(left.id, left.clone());
                state.regions.insert(right.id, right.clone());
            }
            let report = pdpb::ReportBatchSplitRequest {
                regions: vec![left.clone(), right.clone()],
                ..Default::default()
            };
            self.pd.report_batch_split(report).await.unwrap();
            regions.extend([left, right]);
        }
        kv::SplitRegionResponse { regions, ..Default::default() }
    }
}

fn holds(region: &metapb::Region, encoded: &[u8]) -> bool {
    region.start_key[..] <= *encoded && (region.end_key.is_empty() || *encoded < region.end_key[..])
}

#[async_trait]
impl StoreService for FakeStore {
    async fn call(&self, request: StoreRequest) -> Result<StoreResponse, TransportError> {
        macro_rules! answer {
            ($($variant:ident => $method:ident, $keys:expr;)*) => {
                match request {
                    StoreRequest::SplitRegion(request) => StoreResponse::SplitRegion(self.split(&request).await),
                    $(StoreRequest::$variant(request) => {
                        let mut state = self.state.lock();
                        #[allow(clippy::redundant_closure_call)]
                        let keys: Vec<Bytes> = ($keys)(&request);
                        match state.check(request.context.as_ref(), &keys) {
                            Ok(_) => StoreResponse::$variant(state.$method(request)),
                            Err(error) => {
                                let mut response = StoreResponse::$variant(Default::default());
                                if let StoreResponse::$variant(inner) = &mut response {
                                    inner.region_error = Some(*error);
                                }
                                response
                            }
                        }
                    })*
                    other => panic!("the fake store does not know {other:?}"),
                }
            };
        }
        if let Some((context, keys)) = fake_raw::address(&request) {
            let is_plain = context.api_version == 0;
            let mut state = self.state.lock();
            return Ok(match state.check_form(Some(&context), &keys, is_plain) {
                Ok(()) => state.raw.answer(request),
                Err(error) => fake_raw::refuse(&request, *error),
            });
        }
        Ok(answer! {
            Get => get, |r: &kv::GetRequest| vec![r.key.clone()];
            BatchGet => batch_get, |r: &kv::BatchGetRequest| r.keys.clone();
            Scan => scan, |_: &kv::ScanRequest| vec![];
            Prewrite => prewrite, |r: &kv::PrewriteRequest| r.mutations.iter().map(|m| m.key.clone()).collect();
            Commit => commit, |r: &kv::CommitRequest| r.keys.clone();
            BatchRollback => batch_rollback, |r: &kv::BatchRollbackRequest| r.keys.clone();
            PessimisticLock => pessimistic_lock, |r: &kv::PessimisticLockRequest| r.mutations.iter().map(|m| m.key.clone()).collect();
            PessimisticRollback => pessimistic_rollback, |r: &kv::PessimisticRollbackRequest| r.keys.clone();
            TxnHeartBeat => heart_beat, |r: &kv::TxnHeartBeatRequest| vec![r.primary_lock.clone()];
            CheckTxnStatus => check_txn_status, |r: &kv::CheckTxnStatusRequest| vec![r.primary_key.clone()];
            CheckSecondaryLocks => check_secondary_locks, |r: &kv::CheckSecondaryLocksRequest| r.keys.clone();
            ResolveLock => resolve_lock, |r: &kv::ResolveLockRequest| r.keys.clone();
            ScanLock => scan_lock, |_: &kv::ScanLockRequest| vec![];
            Gc => gc, |_: &kv::GcRequest| vec![];
        })
    }
}

impl State {
    fn check(&self, context: Option<&kv::Context>, keys: &[Bytes]) -> Result<(), Box<errorpb::Error>> {
        self.check_form(context, keys, false)
    }

    fn check_form(
        &self,
        context: Option<&kv::Context>,
        keys: &[Bytes],
        is_plain: bool,
    ) -> Result<(), Box<errorpb::Error>> {
        let context = context.cloned().unwrap_or_default();
        let region_id = context.region_id;
        let Some(region) = self.regions.get(&region_id) else {
            let region_not_found = Some(errorpb::RegionNotFound { region_id });
            return Err(Box::new(errorpb::Error { region_not_found, ..Default::default() }));
        };
        if region.region_epoch != context.region_epoch {
            let version = |region: &metapb::Region| region.region_epoch.map_or(0, |epoch| epoch.version);
            let current_regions =
                self.regions.values().filter(|other| version(other) >= version(region)).cloned().collect();
            let epoch_not_match = Some(errorpb::EpochNotMatch { current_regions });
            return Err(Box::new(errorpb::Error { epoch_not_match, ..Default::default() }));
        }
        for key in keys {
            let is_inside = match is_plain {
                true => holds(region, key),
                false => holds(region, Key::new(&key[..]).encode().as_bytes()),
            };
            if !is_inside {
                let outside = errorpb::KeyNotInRegion { key: key.clone(), region_id, ..Default::default() };
                return Err(Box::new(errorpb::Error {
                    key_not_in_region: Some(outside),
                    ..Default::default()
                }));
            }
        }
        Ok(())
    }

    fn region_range(&self, context: Option<&kv::Context>) -> (Bytes, Bytes) {
        let region = &self.regions[&context.unwrap().region_id];
        let raw = |key: &Bytes| match key.is_empty() {
            true => Bytes::new(),
            false => {
                tidewater_codec::EncodedKey::from_encoded(&key[..]).decode().unwrap().into_bytes().into()
            }
        };
        (raw(&region.start_key), raw(&region.end_key))
    }

    fn key(&mut self, key: &Bytes) -> &mut KeyState {
        self.keys.entry(key.clone()).or_default()
    }

    fn read(
        &self,
        key: &Bytes,
        ts: u64,
        context: Option<&kv::Context>,
    ) -> Result<Option<Bytes>, Box<kv::KeyError>> {
        let Some(state) = self.keys.get(key) else { return Ok(None) };
        let context = context.cloned().unwrap_or_default();
        if let Some(lock) = &state.lock
            && context.isolation_level() == kv::IsolationLevel::Si
            && lock.op != Op::PessimisticLock
            && lock.op != Op::Lock
            && lock.start <= ts
            && lock.min_commit <= ts
            && !context.resolved_locks.contains(&lock.start)
            && !(ts == u64::MAX && lock.primary == *key && lock.secondaries.is_none())
        {
            return Err(Box::new(locked(key, lock)));
        }
        Ok(state.read(ts))
    }

    fn saw(&mut self, ts: u64) {
        if ts != u64::MAX {
            self.max_ts = self.max_ts.max(ts);
        }
    }

    fn get(&mut self, request: kv::GetRequest) -> kv::GetResponse {
        self.saw(request.version);
        match self.read(&request.key, request.version, request.context.as_ref()) {
            Ok(Some(value)) => kv::GetResponse { value, ..Default::default() },
            Ok(None) => kv::GetResponse { not_found: true, ..Default::default() },
            Err(error) => kv::GetResponse { error: Some(*error), ..Default::default() },
        }
    }

    fn pair(&self, key: &Bytes, ts: u64, context: Option<&kv::Context>) -> Option<kv::KvPair> {
        match self.read(key, ts, context) {
            Ok(value) => Some(kv::KvPair { key: key.clone(), value: value?, error: None }),
            Err(error) => Some(kv::KvPair { key: key.clone(), error: Some(*error), ..Default::default() }),
        }
    }

    fn batch_get(&mut self, request: kv::BatchGetRequest) -> kv::BatchGetResponse {
        self.saw(request.version);
        let pairs =
            request.keys.iter().filter_map(|key| self.pair(key, request.version, request.context.as_ref()));
        kv::BatchGetResponse { pairs: pairs.collect(), ..Default::default() }
    }

    fn scan(&mut self, request: kv::ScanRequest) -> kv::ScanResponse {
        self.saw(request.version);
        let (lower, upper) = match request.reverse {
            true => (&request.end_key, &request.start_key),
            false => (&request.start_key, &request.end_key),
        };
        let inside = |key: &&Bytes| *key >= lower && (upper.is_empty() || *key < upper);
        let mut keys: Vec<_> = self.keys.keys().filter(inside).cloned().collect();
        if request.reverse {
            keys.reverse();
        }
        let pairs = keys.iter().filter_map(|key| self.pair(key, request.version, request.context.as_ref()));
        let mut pairs: Vec<_> = pairs.take(request.limit as usize).collect();
        if request.key_only {
            pairs.iter_mut().for_each(|pair| pair.value.clear());
        }
        kv::ScanResponse { pairs, ..Default::default() }
    }

    fn prewrite(&mut self, request: kv::PrewriteRequest) -> kv::PrewriteResponse {
        let start = request.start_version;
        self.waits.remove(&start);
        let mut errors = Vec::new();
        let mut locks = Vec::new();
        for (index, mutation) in request.mutations.iter().enumerate() {
            let action = request
                .pessimistic_actions
                .get(index)
                .copied()
                .and_then(|action| PessimisticAction::try_from(action).ok());
            match self.prewrite_key(&request, mutation, action) {
                Ok(Some(lock)) => locks.push((mutation.key.clone(), lock)),
                Ok(None) => {}
                Err(Refusal::CommittedBefore(commit)) => {
                    return kv::PrewriteResponse {
                        one_pc_commit_ts: commit,
                        min_commit_ts: commit,
                        ..Default::default()
                    };
                }
                Err(Refusal::Error(error)) => errors.push(*error),
            }
        }
        if !errors.is_empty() {
            return kv::PrewriteResponse { errors, ..Default::default() };
        }
        let min_commit = (self.max_ts + 1).max(request.min_commit_ts).max(start + 1);
        let too_late = request.max_commit_ts != 0 && min_commit > request.max_commit_ts;
        let commit = if request.try_one_pc && !too_late { min_commit } else { 0 };
        for (key, mut lock) in locks {
            if request.use_async_commit && !request.try_one_pc && !too_late {
                lock.min_commit = min_commit;
                let listed = if key == request.primary_lock { &request.secondaries[..] } else { &[] };
                lock.secondaries = Some(listed.to_vec());
            }
            let state = self.key(&key);
            state.lock = Some(lock);
            if commit != 0 {
                state.commit(start, commit);
            }
        }
        // What the locks say, those of an earlier copy of this request included; zero if one is plain.
        let mut locks = request.mutations.iter().filter_map(|each| self.keys.get(&each.key)?.lock_of(start));
        let min_commit_ts = match locks.clone().all(|lock| lock.secondaries.is_some()) {
            true => locks.by_ref().map(|lock| lock.min_commit).max().unwrap_or(0),
            false => 0,
        };
        kv::PrewriteResponse { one_pc_commit_ts: commit, min_commit_ts, ..Default::default() }
    }

    fn prewrite_key(
        &mut self,
        request: &kv::PrewriteRequest,
        mutation: &kv::Mutation,
        action: Option<PessimisticAction>,
    ) -> Result<Option<Lock>, Refusal> {
        let start = request.start_version;
        let key = &mutation.key;
        let state = self.key(key);
        if let Fate::Committed(commit) = state.fate(start) {
            return Err(Refusal::CommittedBefore(commit));
        }
        if let Some(lock) = &state.lock
            && lock.start != start
        {
            return Err(Refusal::error(locked(key, lock)));
        }
        let held = state.lock.as_ref().map(|lock| lock.op == Op::PessimisticLock);
        if held == Some(false) {
            return Ok(None);
        }
        if matches!(state.fate(start), Fate::RolledBack) {
            let rollback = Write { start, kind: Kind::Rollback };
            return Err(Refusal::error(conflict(key, start, start, &rollback, Reason::SelfRolledBack)));
        }
        if held.is_none() {
            if action == Some(PessimisticAction::DoPessimisticCheck) {
                return Err(Refusal::error(abort("the pessimistic lock is gone")));
            }
            let checked = request.pessimistic_actions.is_empty()
                || action == Some(PessimisticAction::DoConstraintCheck);
            if checked && let Some((commit, write)) = state.newest().filter(|(commit, _)| *commit > start) {
                return Err(Refusal::error(conflict(key, start, commit, write, Reason::Optimistic)));
            }
            if matches!(mutation.op(), Op::Insert | Op::CheckNotExists) && state.read(u64::MAX).is_some() {
                return Err(Refusal::error(exists(key)));
            }
        }
        if mutation.op() == Op::CheckNotExists {
            return Ok(None);
        }
        Ok(Some(Lock {
            op: if mutation.op() == Op::Insert { Op::Put } else { mutation.op() },
            primary: request.primary_lock.clone(),
            start,
            ttl: request.lock_ttl,
            for_update: 0,
            min_commit: request.min_commit_ts,
            size: request.txn_size,
            value: mutation.value.clone(),
            secondaries: None,
        }))
    }

    fn commit(&mut self, request: kv::CommitRequest) -> kv::CommitResponse {
        let start = request.start_version;
        let refuse = |error| kv::CommitResponse { error: Some(error), ..Default::default() };
        for key in &request.keys {
            let state = self.key(key);
            match (state.lock_of(start).cloned(), state.fate(start)) {
                (_, Fate::Committed(_)) => {}
                (Some(lock), _) if lock.op == Op::PessimisticLock => {
                    return refuse(abort("a pessimistic lock cannot be committed"));
                }
                (Some(lock), _) if request.commit_version < lock.min_commit => {
                    let expired = kv::CommitTsExpired {
                        start_ts: start,
                        key: key.clone(),
                        min_commit_ts: lock.min_commit,
                        ..Default::default()
                    };
                    return refuse(kv::KeyError { commit_ts_expired: Some(expired), ..Default::default() });
                }
                (Some(_), _) => {}
                (None, _) => {
                    let gone = kv::TxnLockNotFound { key: key.clone() };
                    return refuse(kv::KeyError { txn_lock_not_found: Some(gone), ..Default::default() });
                }
            }
        }
        for key in &request.keys {
            self.key(key).commit(start, request.commit_version);
        }
        kv::CommitResponse { commit_version: request.commit_version, ..Default::default() }
    }

    fn batch_rollback(&mut self, request: kv::BatchRollbackRequest) -> kv::BatchRollbackResponse {
        self.waits.remove(&request.start_version);
        for key in &request.keys {
            let state = self.key(key);
            if matches!(state.fate(request.start_version), Fate::Committed(_)) {
                return kv::BatchRollbackResponse {
                    error: Some(abort("committed already")),
                    ..Default::default()
                };
            }
            state.roll_back(request.start_version);
        }
        kv::BatchRollbackResponse::default()
    }

    fn pessimistic_lock(&mut self, request: kv::PessimisticLockRequest) -> kv::PessimisticLockResponse {
        let start = request.start_version;
        let refuse = |error| kv::PessimisticLockResponse { errors: vec![error], ..Default::default() };
        let mut response = kv::PessimisticLockResponse::default();
        self.waits.remove(&start);
        for mutation in &request.mutations {
            let key = &mutation.key;
            if let Some(lock) = self.key(key).lock.clone().filter(|lock| lock.start != start) {
                return refuse(self.wait_for(start, key, &lock, request.wait_timeout));
            }
            let state = self.key(key);
            if !matches!(state.fate(start), Fate::Unknown) {
                return refuse(abort("the transaction is over"));
            }
            // A late copy of a request whose transaction has gone on.
            if state.lock_of(start).is_some_and(|lock| lock.op != Op::PessimisticLock) {
                return refuse(abort("the key is prewritten"));
            }
            if let Some((commit, write)) =
                state.newest().filter(|(commit, _)| *commit > request.for_update_ts)
            {
                return refuse(conflict(key, start, commit, write, Reason::PessimisticRetry));
            }
            let value = state.read(request.for_update_ts);
            if value.is_some() && mutation.assertion() == kv::Assertion::NotExist {
                return refuse(exists(key));
            }
            if request.return_values || request.check_existence {
                response.not_founds.push(value.is_none());
            }
            if request.return_values {
                response.values.push(value.unwrap_or_default());
            }
        }
        for (index, mutation) in request.mutations.iter().enumerate() {
            if request.lock_only_if_exists && response.not_founds[index] {
                continue;
            }
            let held = self.key(&mutation.key).lock_of(start).map_or(0, |lock| lock.for_update);
            self.key(&mutation.key).lock = Some(Lock {
                op: Op::PessimisticLock,
                primary: request.primary_lock.clone(),
                start,
                ttl: request.lock_ttl,
                for_update: request.for_update_ts.max(held),
                min_commit: request.min_commit_ts,
                size: 0,
                value: Bytes::new(),
                secondaries: None,
            });
        }
        response
    }

    fn wait_for(&mut self, waiter: u64, key: &Bytes, lock: &Lock, wait_timeout: i64) -> kv::KeyError {
        if wait_timeout < 0 {
            return locked(key, lock);
        }
        let mut holder = lock.start;
        while let Some(&next) = self.waits.get(&holder) {
            if next == waiter {
                let deadlock =
                    kv::Deadlock { lock_ts: lock.start, lock_key: key.clone(), ..Default::default() };
                return kv::KeyError { deadlock: Some(deadlock), ..Default::default() };
            }
            holder = next;
        }
        self.waits.insert(waiter, lock.start);
        locked(key, lock)
    }

    fn pessimistic_rollback(
        &mut self,
        request: kv::PessimisticRollbackRequest,
    ) -> kv::PessimisticRollbackResponse {
        self.waits.remove(&request.start_version);
        for key in &request.keys {
            self.key(key).lock.take_if(|lock| {
                lock.start == request.start_version
                    && lock.op == Op::PessimisticLock
                    && lock.for_update <= request.for_update_ts
            });
        }
        kv::PessimisticRollbackResponse::default()
    }

    fn heart_beat(&mut self, request: kv::TxnHeartBeatRequest) -> kv::TxnHeartBeatResponse {
        match self.key(&request.primary_lock).lock.as_mut().filter(|lock| lock.start == request.start_version)
        {
            Some(lock) => {
                lock.ttl = lock.ttl.max(request.advise_lock_ttl);
                kv::TxnHeartBeatResponse { lock_ttl: lock.ttl, ..Default::default() }
            }
            None => kv::TxnHeartBeatResponse { error: Some(abort("no lock")), ..Default::default() },
        }
    }

    fn check_txn_status(&mut self, request: kv::CheckTxnStatusRequest) -> kv::CheckTxnStatusResponse {
        self.saw(request.current_ts);
        self.saw(request.caller_start_ts);
        let start = request.lock_ts;
        let primary = &request.primary_key;
        let state = self.key(primary);
        let mut response = kv::CheckTxnStatusResponse::default();
        if let Some(lock) = state.lock.as_mut().filter(|lock| lock.start == start) {
            if lock.primary != *primary {
                let mismatch = kv::PrimaryMismatch { lock_info: Some(lock_info(primary, lock)) };
                response.error =
                    Some(kv::KeyError { primary_mismatch: Some(mismatch), ..Default::default() });
                return response;
            }
            if lock.secondaries.is_some() && !request.force_sync_commit {
                response.lock_ttl = lock.ttl;
                response.lock_info = Some(lock_info(primary, lock));
                return response;
            }
            if (start >> 18) + lock.ttl < request.current_ts >> 18 {
                if request.resolving_pessimistic_lock && lock.op == Op::PessimisticLock {
                    state.lock = None;
                    response.set_action(kv::Action::TtlExpirePessimisticRollback);
                } else {
                    state.roll_back(start);
                    response.set_action(kv::Action::TtlExpireRollback);
                }
                return response;
            }
            if request.caller_start_ts == u64::MAX {
                response.set_action(kv::Action::MinCommitTsPushed);
            } else if request.caller_start_ts >= lock.min_commit {
                lock.min_commit = request.caller_start_ts + 1;
            }
            if request.caller_start_ts != 0 && lock.min_commit > request.caller_start_ts {
                response.set_action(kv::Action::MinCommitTsPushed);
            }
            response.lock_ttl = lock.ttl;
            response.lock_info = Some(lock_info(primary, lock));
            return response;
        }
        match state.fate(start) {
            Fate::Committed(commit) => response.commit_version = commit,
            Fate::RolledBack => {}
            Fate::Unknown if !request.rollback_if_not_exist => {
                let not_found = kv::TxnNotFound { start_ts: start, primary_key: primary.clone() };
                response.error = Some(kv::KeyError { txn_not_found: Some(not_found), ..Default::default() });
            }
            Fate::Unknown if request.resolving_pessimistic_lock => {
                response.set_action(kv::Action::LockNotExistDoNothing)
            }
            Fate::Unknown => {
                state.roll_back(start);
                response.set_action(kv::Action::LockNotExistRollback);
            }
        }
        response
    }

    fn check_secondary_locks(
        &mut self,
        request: kv::CheckSecondaryLocksRequest,
    ) -> kv::CheckSecondaryLocksResponse {
        let start = request.start_version;
        let mut locks = Vec::new();
        for key in &request.keys {
            let state = self.key(key);
            match state.lock_of(start) {
                Some(lock) if lock.op != Op::PessimisticLock => locks.push(lock_info(key, lock)),
                _ => {
                    if let Fate::Committed(commit_ts) = state.fate(start) {
                        return kv::CheckSecondaryLocksResponse { commit_ts, ..Default::default() };
                    }
                    state.roll_back(start);
                    return kv::CheckSecondaryLocksResponse::default();
                }
            }
        }
        kv::CheckSecondaryLocksResponse { locks, ..Default::default() }
    }

    fn resolve_lock(&mut self, request: kv::ResolveLockRequest) -> kv::ResolveLockResponse {
        let mut keys = request.keys.clone();
        if keys.is_empty() {
            let (start, end) = self.region_range(request.context.as_ref());
            let inside = |key: &&Bytes| **key >= start && (end.is_empty() || **key < end);
            keys = self.keys.keys().filter(inside).cloned().collect();
        }
        for key in keys {
            let state = self.key(&key);
            if state.lock_of(request.start_version).is_none() {
                continue;
            }
            match request.commit_version {
                0 => state.roll_back(request.start_version),
                commit => state.commit(request.start_version, commit),
            }
        }
        kv::ResolveLockResponse::default()
    }

    fn scan_lock(&mut self, request: kv::ScanLockRequest) -> kv::ScanLockResponse {
        self.saw(request.max_version);
        let (start, end) = self.region_range(request.context.as_ref());
        let inside =
            |key: &Bytes| *key >= start && *key >= request.start_key && (end.is_empty() || *key < end);
        let old = self.keys.iter().filter(|(key, _)| inside(key)).filter_map(|(key, state)| {
            let lock = state.lock.as_ref().filter(|lock| lock.start <= request.max_version)?;
            Some(lock_info(key, lock))
        });
        kv::ScanLockResponse { locks: old.take(request.limit as usize).collect(), ..Default::default() }
    }

    fn gc(&mut self, _: kv::GcRequest) -> kv::GcResponse {
        kv::GcResponse::default()
    }
}

enum Refusal {
    CommittedBefore(u64),
    Error(Box<kv::KeyError>),
}

impl Refusal {
    fn error(error: kv::KeyError) -> Self {
        Self::Error(Box::new(error))
    }
}
