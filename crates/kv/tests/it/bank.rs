//! Transfers between accounts from many tasks at once, with all ways to commit, and readers who add everything up.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tidewater_kv::{Engine, MemoryEngine, NodeConfig, RocksEngine};
use tidewater_proto::kvrpcpb;

use crate::support::*;

const ACCOUNTS: u64 = 8;
const BALANCE: u64 = 1000;
const WRITERS: u64 = 6;
const TRANSFERS: u64 = 40;
const READS: u64 = 40;

fn account(number: u64) -> String {
    format!("account{number}")
}

/// A generator good enough to choose accounts; the same choices in every run.
struct Choices(u64);

impl Choices {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// Timestamps: never below one that a store has calculated for itself.
#[derive(Clone)]
struct Clock(Arc<AtomicU64>);

impl Clock {
    fn tick(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }
}

/// Reads two balances; `None` when a lock is in the way.
async fn balances(store: &Store, keys: [&str; 2], ts: u64) -> Option<[u64; 2]> {
    let mut values = [0; 2];
    for (value, key) in values.iter_mut().zip(keys) {
        let answer = store.get(key, ts).await;
        if answer.error.is_some() {
            return None;
        }
        *value = text(&answer.value).parse().expect("a number");
    }
    Some(values)
}

/// One attempt; true if the money moved.
async fn transfer(store: &Store, clock: &Clock, choices: &mut Choices) -> bool {
    let from = choices.below(ACCOUNTS);
    let to = (from + 1 + choices.below(ACCOUNTS - 1)) % ACCOUNTS;
    let (from, to) = (account(from), account(to));
    let start_ts = clock.tick();
    let Some([from_balance, to_balance]) = balances(store, [&from, &to], start_ts).await else {
        return false;
    };
    let amount = choices.below(10).min(from_balance);
    let pairs = [
        (from.as_str(), (from_balance - amount).to_string()),
        (to.as_str(), (to_balance + amount).to_string()),
    ];
    let pairs = pairs.iter().map(|(key, value)| (*key, value.as_str())).collect::<Vec<_>>();
    let mut request = prewrite(start_ts, &pairs);
    match choices.below(3) {
        0 => {}
        1 => request.try_one_pc = true,
        _ => {
            request.use_async_commit = true;
            request.secondaries = vec![bytes(&to)];
        }
    }
    let (one_phase, is_async) = (request.try_one_pc, request.use_async_commit);
    let answer = store.prewrite(request).await;
    if !answer.errors.is_empty() {
        assert_eq!(store.rollback(&[&from, &to], start_ts).await, None);
        return false;
    }
    if one_phase {
        assert!(answer.one_pc_commit_ts > start_ts);
        return true;
    }
    let commit_ts = if is_async { answer.min_commit_ts } else { clock.tick() };
    assert!(commit_ts > start_ts);
    assert_eq!(store.commit(&[&from], start_ts, commit_ts).await, None);
    tokio::task::yield_now().await;
    assert_eq!(store.commit(&[&to], start_ts, commit_ts).await, None);
    true
}

/// Everybody's money at one moment; waits for locks to go.
async fn total(store: &Store, ts: u64) -> u64 {
    loop {
        let request = kvrpcpb::ScanRequest { limit: 100, version: ts, ..Default::default() };
        let kvrpcpb::ScanResponse { pairs, error, .. } = store.try_scan(request).await;
        if error.is_none() && pairs.iter().all(|pair| pair.error.is_none()) {
            assert_eq!(pairs.len() as u64, ACCOUNTS);
            return pairs.iter().map(|pair| text(&pair.value).parse::<u64>().expect("a number")).sum();
        }
        tokio::task::yield_now().await;
    }
}

async fn money_is_neither_made_nor_lost(engine: Arc<dyn Engine>) {
    let store = Arc::new(Store::open(NodeConfig::default(), engine, Arc::default()).await);
    let clock = Clock(Arc::new(AtomicU64::new(1000)));
    let opened = (0..ACCOUNTS).map(account).collect::<Vec<_>>();
    let balance = BALANCE.to_string();
    store.write(1, &opened.iter().map(|key| (key.as_str(), balance.as_str())).collect::<Vec<_>>()).await;
    let mut tasks = Vec::new();
    for writer in 0..WRITERS {
        let (store, clock) = (store.clone(), clock.clone());
        tasks.push(tokio::spawn(async move {
            let mut choices = Choices(writer);
            let mut done = 0;
            while done < TRANSFERS {
                done += u64::from(transfer(&store, &clock, &mut choices).await);
                tokio::task::yield_now().await;
            }
        }));
    }
    for _ in 0..2 {
        let (store, clock) = (store.clone(), clock.clone());
        tasks.push(tokio::spawn(async move {
            let mut seen = Vec::new();
            for _ in 0..READS {
                let ts = clock.tick();
                assert_eq!(total(&store, ts).await, ACCOUNTS * BALANCE, "at {ts}");
                seen.push(ts);
                tokio::task::yield_now().await;
            }
            // The past does not change.
            for ts in seen {
                assert_eq!(total(&store, ts).await, ACCOUNTS * BALANCE, "again at {ts}");
            }
        }));
    }
    for task in tasks {
        task.await.expect("no task failed");
    }
    assert_eq!(total(&store, clock.tick()).await, ACCOUNTS * BALANCE);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn money_is_neither_made_nor_lost_in_memory() {
    money_is_neither_made_nor_lost(Arc::new(MemoryEngine::new())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn money_is_neither_made_nor_lost_on_disk() {
    let dir = tempfile::tempdir().expect("a directory");
    money_is_neither_made_nor_lost(Arc::new(RocksEngine::open(dir.path()).expect("an engine"))).await;
}
