//! Transfers between accounts, by many clients at once: the sum stays, whatever happens.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tidewater_codec::{Key, StartTs};
use tidewater_txn::fault::Trace;
use tidewater_txn::{LockOptions, Remedy, Transaction, TxnClient, TxnConfig, TxnError, TxnKind, TxnOptions};

use crate::cluster::{StoreKind, TestCluster, key};

pub const ACCOUNTS: u64 = 12;
const OPENING: i64 = 100;

pub fn account(index: u64) -> Key {
    key(&format!("account{index:02}"))
}

fn balance(value: Option<&Bytes>) -> i64 {
    value.map_or(0, |value| i64::from_be_bytes(value[..].try_into().unwrap()))
}

pub async fn open(client: &TxnClient) {
    let mut txn = client.begin(TxnOptions::default()).await.unwrap();
    for index in 0..ACCOUNTS {
        txn.put(account(index), OPENING.to_be_bytes().to_vec()).unwrap();
    }
    txn.commit().await.unwrap();
}

/// One attempt at a transfer.
pub async fn transfer(
    client: &TxnClient,
    kind: TxnKind,
    from: u64,
    to: u64,
    amount: i64,
) -> Result<(), TxnError> {
    let mut txn = client.begin(TxnOptions { kind, ..Default::default() }).await?;
    let result = try_transfer(&mut txn, from, to, amount).await;
    if result.is_err() && !txn.is_over() {
        txn.rollback().await?;
    }
    result
}

async fn try_transfer(txn: &mut Transaction, from: u64, to: u64, amount: i64) -> Result<(), TxnError> {
    let keys = [account(from), account(to)];
    let values = match txn.kind() {
        TxnKind::Optimistic => txn.batch_get(&keys).await?,
        TxnKind::Pessimistic => {
            let options = LockOptions { return_values: true, ..Default::default() };
            let locked = loop {
                match txn.lock_keys(keys.clone(), options.clone()).await {
                    Err(error) if error.remedy() == Remedy::RetryStatement => {
                        txn.refresh_for_update_ts().await?;
                    }
                    other => break other?,
                }
            };
            locked.values.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
        }
    };
    let (old_from, old_to) = (balance(values.get(&keys[0])), balance(values.get(&keys[1])));
    let [from, to] = keys;
    txn.put(from, (old_from - amount).to_be_bytes().to_vec())?;
    txn.put(to, (old_to + amount).to_be_bytes().to_vec())?;
    txn.commit().await.map(drop)
}

/// Checks the sum in one snapshot, by scan and by batch.
pub async fn check(client: &TxnClient) {
    let snapshot = client.snapshot(StartTs(client.current_timestamp().await.unwrap()));
    let scanned = snapshot.scan(key("account")..key("accounu")).collect(100).await.unwrap();
    let keys: Vec<_> = (0..ACCOUNTS).map(account).collect();
    let fetched = snapshot.batch_get(&keys).await.unwrap();
    assert_eq!(scanned, fetched.clone().into_iter().collect::<Vec<_>>(), "at {}", snapshot.ts());
    let sum: i64 = fetched.values().map(|value| balance(Some(value))).sum();
    assert_eq!(sum, OPENING * i64::try_from(ACCOUNTS).unwrap(), "at {}", snapshot.ts());
}

/// Many transfers by many workers; returns how many succeeded.
pub async fn run(
    client: &TxnClient,
    seed: u64,
    workers: u64,
    transfers: u32,
    trace: Option<Arc<Trace>>,
) -> u32 {
    let done = Arc::new(AtomicU32::new(0));
    let tasks: Vec<_> = (0..workers)
        .map(|worker| {
            let (client, done, trace) = (client.clone(), done.clone(), trace.clone());
            let mut rng = SmallRng::seed_from_u64(seed * 1_000 + worker);
            let kind = if worker % 2 == 0 { TxnKind::Optimistic } else { TxnKind::Pessimistic };
            tokio::spawn(async move {
                for number in 0..transfers {
                    let from = rng.random_range(0..ACCOUNTS);
                    let to = (from + rng.random_range(1..ACCOUNTS)) % ACCOUNTS;
                    let result = transfer(&client, kind, from, to, rng.random_range(1..10)).await;
                    if let Some(trace) = &trace {
                        trace.record(
                            "transfer",
                            &format!("{worker}/{number} {:?}", result.as_ref().map_err(TxnError::remedy)),
                        );
                    }
                    match result {
                        Ok(()) => drop(done.fetch_add(1, Ordering::Relaxed)),
                        Err(error) => match error.remedy() {
                            Remedy::RestartTransaction
                            | Remedy::RetryStatement
                            | Remedy::ReportUnknownOutcome => {}
                            // A lock wait may time out; a bad network may stay bad for longer than anyone's patience.
                            Remedy::ReportStatement | Remedy::RetryLater => {}
                            Remedy::ReportTransaction => panic!("{error}"),
                        },
                    }
                    if number % 8 == worker as u32 % 8 {
                        check(&client).await;
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    check(client).await;
    done.load(Ordering::Relaxed)
}

pub async fn cut(cluster: &TestCluster) {
    cluster.split_at(&["account02", "account03", "account05", "account08", "account09"]).await;
}

#[tokio::test(start_paused = true)]
async fn money_is_neither_made_nor_lost() {
    for kind in [StoreKind::Fake, StoreKind::Real] {
        let cluster = TestCluster::start(kind, TxnConfig::default()).await;
        cut(&cluster).await;
        open(&cluster.client).await;
        let done = run(&cluster.client, 1, 8, 25, None).await;
        assert!(done > 50, "{kind:?}: only {done} of 200 transfers went through");
    }
}

/// The same on threads, where the order of things is the scheduler's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_is_neither_made_nor_lost_on_threads() {
    for kind in [StoreKind::Fake, StoreKind::Real] {
        let cluster = TestCluster::start(kind, TxnConfig::default()).await;
        cut(&cluster).await;
        open(&cluster.client).await;
        let done = run(&cluster.client, 2, 6, 20, None).await;
        assert!(done > 20, "{kind:?}: only {done} of 120 transfers went through");
    }
}

#[tokio::test(start_paused = true)]
async fn no_update_is_lost() {
    for kind in [StoreKind::Fake, StoreKind::Real] {
        let cluster = TestCluster::start(kind, TxnConfig::default()).await;
        let workers: Vec<_> = (0..8)
            .map(|worker| {
                let client = cluster.client.clone();
                tokio::spawn(async move {
                    let mut done = 0;
                    while done < 10 {
                        let txn_kind =
                            if worker % 2 == 0 { TxnKind::Optimistic } else { TxnKind::Pessimistic };
                        let mut txn =
                            client.begin(TxnOptions { kind: txn_kind, ..Default::default() }).await.unwrap();
                        let options = LockOptions { return_values: true, ..Default::default() };
                        let locked = match txn.lock_keys([key("counter")], options).await {
                            Ok(locked) => locked,
                            Err(error) => {
                                assert_eq!(error.remedy(), Remedy::RetryStatement, "{error}");
                                txn.rollback().await.unwrap();
                                continue;
                            }
                        };
                        let old = balance(locked.values[&key("counter")].as_ref());
                        txn.put(key("counter"), (old + 1).to_be_bytes().to_vec()).unwrap();
                        match txn.commit().await {
                            Ok(_) => done += 1,
                            Err(error) => assert_eq!(error.remedy(), Remedy::RestartTransaction, "{error}"),
                        }
                    }
                })
            })
            .collect();
        for worker in workers {
            worker.await.unwrap();
        }
        let txn = cluster.optimistic().await;
        assert_eq!(balance(txn.get(&key("counter")).await.unwrap().as_ref()), 80, "{kind:?}");
    }
}
