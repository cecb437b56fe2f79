//! Random histories of all commands, against a model of them.

mod crash_points;
mod percolator;

use std::sync::Arc;

use proptest::prelude::*;
use tidewater_kv::{Engine, MemoryEngine, NodeConfig, RocksEngine};
use tidewater_proto::{StoreRequest, StoreResponse, kvrpcpb};

use crate::cases::check;
use crate::support::*;
use percolator::{Kind, Model};

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
                let mut noted = model.max_ts;
                assert_eq!(
                    real,
                    model.each(&names, |state, _| state.commit(start, commit, &mut noted)).err()
                );
                model.max_ts = noted;
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
                let mut noted = model.max_ts;
                let expected = model.each(&names, |state, key| match &state.lock {
                    Some(lock) if lock.start == start && commit != 0 => {
                        state.commit(start, commit, &mut noted)
                    }
                    Some(lock) if lock.start == start => state.cleanup(key, start),
                    _ => Ok(()),
                });
                model.max_ts = noted;
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

    async fn begin(engine: Arc<dyn Engine>) -> Self {
        let store = Store::open(NodeConfig::default(), engine, Arc::default()).await;
        // The node has asked for one timestamp.
        let mut model = Model { now: 1, max_ts: 1, ..Model::default() };
        for txn in 0..5 {
            model.begin(txn);
        }
        Self { store, model }
    }

    async fn read(&mut self, key: &str, ts: u64) {
        assert_eq!(self.difference_at(key, ts).await, None);
    }

    async fn difference_at(&mut self, key: &str, ts: u64) -> Option<String> {
        let answer = self.store.get(key, ts).await;
        let real = match &answer.error {
            Some(error) => Err(told(error)),
            None => Ok((!answer.not_found).then(|| text(&answer.value))),
        };
        let expected = self.model.get(key, ts);
        (real != expected).then(|| format!("{key} at {ts}: {real:?} is there, not {expected:?}"))
    }

    /// Everything that can be read, in all ways of reading.
    async fn read_all(&mut self) {
        assert_eq!(self.difference().await, None);
    }

    /// The first thing that reads otherwise than in the model.
    async fn difference(&mut self) -> Option<String> {
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
                if let Some(difference) = self.difference_at(key, ts).await {
                    return Some(difference);
                }
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
                let real = real.collect::<Vec<_>>();
                if real != expected {
                    return Some(format!("a scan at {ts}, reverse {reverse}: {real:?}, not {expected:?}"));
                }
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
        let locks = locks.collect::<Vec<_>>();
        (real != locks).then(|| format!("the locks {real:?}, not {locks:?}"))
    }
}

fn run(engine: Arc<dyn Engine>, ops: &[Op]) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut run = Run::begin(engine).await;
        for op in ops {
            run.step(op).await;
        }
        run.read_all().await;
    });
}

#[test]
fn histories_agree_with_the_model_in_memory() {
    check(2_000, ops(), |ops| run(Arc::new(MemoryEngine::new()), &ops));
}

#[test]
fn histories_agree_with_the_model_on_disk() {
    check(30, ops(), |ops| {
        let dir = tempfile::tempdir().unwrap();
        run(Arc::new(RocksEngine::open(dir.path()).unwrap()), &ops);
    });
}
