//! Is an acknowledged commit seen by whoever begins later, is every commit whole, and does what failed stay away? For many seeds, in a bad
//! network, while clients give up half-way and regions split.
//!
//! Each commit replaces all cells of a row, which lie in different regions, by `number/writer`, where `number` is the one it read plus one.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tidewater_codec::{Key, StartTs};
use tidewater_txn::fault::{Faults, FaultyConnector};
use tidewater_txn::{
    LockOptions, OnePhaseCommit, Patience, Remedy, Snapshot, TxnClient, TxnConfig, TxnError, TxnKind,
    TxnOptions,
};

use crate::cluster::{StoreKind, TestCluster, key, text};

const SEEDS: u64 = 120;
const CELLS: [&str; 4] = ["cell-a", "cell-h", "cell-n", "cell-u"];

#[derive(Default)]
struct History {
    /// The highest number that was acknowledged.
    acknowledged: u64,
    /// Writers whose commits failed for certain.
    failed: BTreeSet<String>,
    commits: u32,
}

struct World {
    history: Mutex<History>,
    seed: u64,
    kind: StoreKind,
}

fn cells() -> Vec<Key> {
    CELLS.iter().map(|cell| key(cell)).collect()
}

fn number(cell: &str) -> u64 {
    cell.split_once('/').map_or(0, |(number, _)| number.parse().unwrap())
}

impl World {
    /// What a snapshot holds; it must be whole, and nobody's who failed.
    async fn read(&self, snapshot: &Snapshot) -> Result<String, TxnError> {
        let keys = cells();
        let found = snapshot.batch_get(&keys).await?;
        let values: BTreeSet<_> = keys.iter().map(|cell| found.get(cell).map(|value| text(value))).collect();
        assert_eq!(values.len(), 1, "{:?}, seed {}, at {}: torn", self.kind, self.seed, snapshot.ts());
        let value = values.into_iter().flatten().next().unwrap_or_default();
        assert!(
            !self.history.lock().failed.contains(&value),
            "{:?}, seed {}: {value} was said to have failed",
            self.kind,
            self.seed
        );
        Ok(value)
    }

    async fn look(&self, client: &TxnClient) -> Result<(), TxnError> {
        // A read without a timestamp is followed by a transaction that must not see less.
        let latest = client.snapshot(Snapshot::LATEST).get(&cells()[2]).await?;
        let latest = latest.map_or(0, |value| number(&text(&value)));
        let known = latest.max(self.history.lock().acknowledged);
        let txn = client.begin(TxnOptions::default()).await?;
        let seen = number(&self.read(txn.snapshot()).await?);
        assert!(seen >= known, "{:?}, seed {}: {known} was known, {seen} is seen", self.kind, self.seed);
        Ok(())
    }

    async fn write(&self, client: &TxnClient, rng: &mut SmallRng, writer: &str) -> Result<(), TxnError> {
        let kind = if rng.random() { TxnKind::Optimistic } else { TxnKind::Pessimistic };
        let known = self.history.lock().acknowledged;
        let mut txn = client.begin(TxnOptions { kind, ..Default::default() }).await?;
        let keys = cells();
        if kind == TxnKind::Pessimistic {
            let first = keys[..1].to_vec();
            while let Err(error) = txn.lock_keys(first.clone(), LockOptions::default()).await {
                if error.remedy() != Remedy::RetryStatement {
                    return Err(error);
                }
                txn.refresh_for_update_ts().await?;
            }
        }
        let seen =
            number(&self.read(&txn.snapshot_at(StartTs(txn.for_update_ts()), Default::default())).await?);
        assert!(seen >= known, "{:?}, seed {}: {known} was known, {seen} is seen", self.kind, self.seed);
        let value = format!("{}/{writer}", seen + 1);
        for cell in keys {
            txn.put(cell, value.clone())?;
        }
        let patience = if rng.random_bool(0.3) { rng.random_range(0..40) } else { 1_000_000 };
        match tokio::time::timeout(Duration::from_millis(patience), txn.commit()).await {
            Ok(Ok(_)) => {
                let mut history = self.history.lock();
                history.acknowledged = history.acknowledged.max(seen + 1);
                history.commits += 1;
                Ok(())
            }
            Ok(Err(error)) => {
                if error.remedy() != Remedy::ReportUnknownOutcome {
                    self.history.lock().failed.insert(value);
                }
                Err(error)
            }
            // Given up, perhaps committed.
            Err(_) => Ok(()),
        }
    }
}

async fn live(kind: StoreKind, seed: u64) -> u32 {
    let cluster = TestCluster::start(kind, TxnConfig::default()).await;
    cluster.split_at(&["cell-c", "cell-k"]).await;
    let world = Arc::new(World { history: Mutex::default(), seed, kind });
    let tasks: Vec<_> = (0..4)
        .map(|worker| {
            let faults = Faults {
                // Without delays all happens within few ticks of the placement driver.
                delay_ms: 0..=[0, 2, 20][usize::try_from(seed % 3).unwrap()],
                lose_request: 0.03,
                lose_answer: 0.10,
                duplicate: 0.05,
                overtaken: 0.05,
                ..Default::default()
            };
            let network = FaultyConnector::new(cluster.connector.clone(), faults, seed * 10 + worker);
            let one_phase_commit =
                if worker == 3 { OnePhaseCommit::Never } else { OnePhaseCommit::WhenPossible };
            let config = TxnConfig {
                seed: seed * 10 + worker,
                lock_ttl: Duration::from_millis(400),
                heart_beat_interval: Duration::from_millis(150),
                lock_wait_timeout: Duration::from_secs(10),
                one_phase_commit,
                // Short, so that commits fail whose requests arrived.
                patience: Patience {
                    prewrite: Duration::from_millis(100),
                    commit: Duration::from_secs(2),
                    ..Default::default()
                },
                ..Default::default()
            };
            let client = TxnClient::new(cluster.pd.clone(), Arc::new(network), config);
            let world = world.clone();
            tokio::spawn(async move {
                let mut rng = SmallRng::seed_from_u64(seed * 10 + worker);
                for round in 0..6 {
                    // What fails, fails; what must not be is asserted.
                    let _ = world.write(&client, &mut rng, &format!("{worker}.{round}")).await;
                    let _ = world.look(&client).await;
                }
            })
        })
        .collect();
    let splitter = cluster.clone();
    let splits = tokio::spawn(async move {
        for cut in ["cell-h", "cell-m", "cell-u", "cell-b"] {
            tokio::time::sleep(Duration::from_millis(30 + seed % 50)).await;
            splitter.client.split_regions([key(cut)]).await.unwrap();
        }
    });
    for task in tasks.into_iter().chain([splits]) {
        task.await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    world.look(&cluster.client).await.unwrap();
    let history = world.history.lock();
    history.commits
}

#[test]
fn acknowledged_commits_are_whole_and_seen_by_whoever_begins_later() {
    for kind in [StoreKind::Fake, StoreKind::Real] {
        let mut commits = 0;
        for seed in 0..SEEDS {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_time().start_paused(true).build().unwrap();
            commits += runtime.block_on(live(kind, seed));
        }
        assert!(u64::from(commits) > SEEDS * 5, "{kind:?}: only {commits} commits were acknowledged");
    }
}
