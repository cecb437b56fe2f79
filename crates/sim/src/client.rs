//! Clients that write down what they do. A client process crashes, too: its locks stay, its background work ends.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tidewater_codec::{Key, StartTs, TimeStamp};
use tidewater_proto::StoreConnector;
use tidewater_txn::fault::{FaultyConnector, Trace};
use tidewater_txn::{
    AsyncCommit, LockOptions, OnePhaseCommit, RawClient, Remedy, ReplicaRead, Snapshot, Transaction,
    TxnClient, TxnConfig, TxnError, TxnKind, TxnOptions,
};
use tokio::time::Instant;

use crate::Options;
use crate::history::{History, Outcome, PointOp, Value};
use crate::life::{Death, Life};
use crate::network::Place;
use crate::pd::PdLink;
use crate::store::Stores;
use crate::workload::{Plan, Workload};

/// How often a statement that meets newer values is run again.
const STATEMENT_TRIES: usize = 5;
/// How far back somebody reads who reads the past.
const PAST_MILLIS: std::ops::Range<u64> = 100..3_000;

/// The machine some workers run on.
pub(crate) struct ClientHost {
    stores: Arc<Stores>,
    number: u64,
    running: Mutex<Running>,
    pub(crate) traces: Mutex<Vec<Arc<Trace>>>,
}

struct Running {
    client: TxnClient,
    raw: RawClient,
    life: Life,
    death: Death,
    runs: u64,
}

impl ClientHost {
    pub(crate) fn start(stores: Arc<Stores>, number: u64) -> Arc<Self> {
        let mut traces = Vec::new();
        let running = Mutex::new(Running::start(&stores, number, 0, &mut traces));
        Arc::new(Self { stores, number, running, traces: Mutex::new(traces) })
    }

    /// Everything under way is gone; another process starts.
    pub(crate) fn crash(&self) {
        let mut running = self.running.lock();
        running.death.strike();
        *running = Running::start(&self.stores, self.number, running.runs + 1, &mut self.traces.lock());
    }

    /// The process that runs now.
    pub(crate) fn process(&self) -> (TxnClient, RawClient, Life) {
        let running = self.running.lock();
        (running.client.clone(), running.raw.clone(), running.life.clone())
    }
}

impl Running {
    fn start(stores: &Arc<Stores>, number: u64, runs: u64, traces: &mut Vec<Arc<Trace>>) -> Self {
        let (life, death) = Life::begin();
        let seed = stores.seed ^ ((number + 1) << 16) ^ (runs << 24);
        let place = Place::Client(number);
        let pd = PdLink::new(stores.pds.clone(), place, Some(life.clone()));
        let wire = stores.wire(place, Some(life.clone()));
        let network = FaultyConnector::new(wire, stores.faults.clone(), seed);
        traces.push(network.trace());
        let connector: Arc<dyn StoreConnector> = Arc::new(network);
        let config = TxnConfig {
            seed,
            lock_ttl: Duration::from_millis(1_500),
            heart_beat_interval: Duration::from_millis(500),
            lock_wait_timeout: Duration::from_secs(4),
            // Different clients commit in different ways.
            one_phase_commit: match (number + runs) % 4 {
                3 => OnePhaseCommit::Never,
                _ => OnePhaseCommit::WhenPossible,
            },
            async_commit: match (number + runs) % 4 {
                2 | 3 => AsyncCommit::Never,
                _ => AsyncCommit::WhenPossible,
            },
            ..TxnConfig::default()
        };
        let client = TxnClient::new(pd.clone(), connector.clone(), config.clone());
        Self { client, raw: RawClient::new(pd, connector, config).with_atomic_for_cas(), life, death, runs }
    }
}

/// One who works through its share, one thing after the other.
pub(crate) struct Worker {
    pub(crate) host: Arc<ClientHost>,
    pub(crate) history: Arc<History>,
    pub(crate) workload: Workload,
    pub(crate) rng: SmallRng,
    pub(crate) number: usize,
    /// Chooses who is asked for what is read; apart, so that the same is done whoever answers.
    addressees: SmallRng,
    /// There are followers to ask.
    replicated: bool,
}

impl Worker {
    pub(crate) fn new(
        host: Arc<ClientHost>,
        history: Arc<History>,
        options: &Options,
        seed: u64,
        number: usize,
    ) -> Self {
        Self {
            host,
            history,
            workload: options.workload,
            rng: SmallRng::seed_from_u64(seed),
            number,
            addressees: SmallRng::seed_from_u64(!seed),
            replicated: options.replicated,
        }
    }

    pub(crate) async fn work(mut self, steps: usize) {
        for step in 0..steps {
            let (client, raw, life) = self.host.process();
            tokio::select! {
                biased;
                () = life.ended() => {}
                () = self.timed_step(&client, &raw, step) => {}
            }
        }
    }

    async fn timed_step(&mut self, client: &TxnClient, raw: &RawClient, step: usize) {
        let began = Instant::now();
        self.step(client, raw, step).await;
        self.history.took(began.elapsed());
    }

    async fn step(&mut self, client: &TxnClient, raw: &RawClient, step: usize) {
        if self.workload == Workload::Raw {
            return self.raw_step(raw, step).await;
        }
        match self.rng.random_range(0..10) {
            0..=1 if self.replicated && self.addressees.random_bool(0.3) => self.read_past(client).await,
            0..=1 => {
                let plan = self.workload.reading(&mut self.rng);
                self.transact(client, plan).await;
            }
            2..=3 => self.read_latest(client).await,
            _ => {
                let plan = self.workload.plan(&mut self.rng);
                self.transact(client, plan).await;
            }
        }
    }

    pub(crate) async fn read_latest(&mut self, client: &TxnClient) {
        let keys = self.workload.keys();
        let key = &keys[self.rng.random_range(0..keys.len())];
        let began = self.history.tick();
        let snapshot = client.snapshot(Snapshot::LATEST).with_replica_read(self.draw_replica());
        if let Ok(value) = snapshot.get(&wire(key)).await {
            self.history.read(key, began, value.map(text));
        }
    }

    /// Mostly the leader is asked, and sometimes its followers.
    fn draw_replica(&mut self) -> ReplicaRead {
        match self.addressees.random_range(0..6) {
            0 if self.replicated => ReplicaRead::Follower,
            1 if self.replicated => ReplicaRead::Mixed,
            _ => ReplicaRead::Leader,
        }
    }

    /// Reads everything as it was a while ago, at whoever knows.
    pub(crate) async fn read_past(&mut self, client: &TxnClient) {
        let began = self.history.tick();
        let Ok(now) = client.current_timestamp().await else { return };
        let ago = self.addressees.random_range(PAST_MILLIS);
        let then = TimeStamp::compose(now.physical_ms().saturating_sub(ago), 0);
        let then = StartTs(then.max(TimeStamp::new(self.history.opened())));
        let snapshot = client.snapshot(then).with_replica_read(ReplicaRead::Mixed).with_stale_read();
        let keys = self.workload.keys();
        let all: Vec<Key> = keys.iter().map(|key| wire(key)).collect();
        let found = match self.addressees.random_bool(0.5) {
            true => snapshot.batch_get(&all).await,
            false => {
                snapshot.scan(wire("k")..wire("l")).collect(100).await.map(|all| all.into_iter().collect())
            }
        };
        let Ok(found) = found else { return };
        let number = self.history.begin(TxnKind::Optimistic, began, then.into_inner());
        self.history.note(number, |record| {
            record.is_stale = true;
            let value = |key: &String| found.get(&wire(key)).cloned().map(text);
            record.reads = keys.iter().map(|key| (key.clone(), value(key))).collect();
        });
    }

    pub(crate) async fn transact(&mut self, client: &TxnClient, plan: Plan) {
        let began = self.history.tick();
        let options = TxnOptions { kind: plan.kind, ..TxnOptions::default() };
        let Ok(mut txn) = client.begin(options).await else { return };
        let number = self.history.begin(plan.kind, began, txn.start_ts().into_inner());
        if let Err(error) = self.body(&mut txn, number, &plan).await {
            self.history.note(number, |record| record.said = error.to_string());
            // A rollback that fails leaves locks, which lapse.
            let _ = txn.rollback().await;
            return;
        }
        self.commit(txn, number).await;
    }

    async fn body(&mut self, txn: &mut Transaction, number: usize, plan: &Plan) -> Result<(), TxnError> {
        let mut found = BTreeMap::new();
        let mut reads = plan.reads.clone();
        if plan.kind == TxnKind::Optimistic && !plan.blind {
            reads.extend_from_slice(&plan.updates);
        }
        // Nothing is written yet, so that the snapshot is all there is to be read.
        let snapshot = txn.snapshot().clone().with_replica_read(self.draw_replica());
        if plan.scans {
            let all = snapshot.scan(wire("k")..wire("l")).collect(100).await?;
            found.extend(all.into_iter().map(|(key, value)| (text(key.into_bytes().into()), text(value))));
        } else if self.rng.random_bool(0.5) {
            let keys: Vec<Key> = reads.iter().map(|key| wire(key)).collect();
            let all = snapshot.batch_get(&keys).await?;
            found.extend(all.into_iter().map(|(key, value)| (text(key.into_bytes().into()), text(value))));
        } else {
            for key in &reads {
                if let Some(value) = snapshot.get(&wire(key)).await? {
                    found.insert(key.clone(), text(value));
                }
            }
        }
        let seen: BTreeMap<String, Value> =
            reads.iter().map(|key| (key.clone(), found.get(key).cloned())).collect();
        self.history.note(number, |record| record.reads.clone_from(&seen));
        let locked = match plan.kind {
            TxnKind::Pessimistic if !plan.updates.is_empty() => lock(txn, &plan.updates).await?,
            _ => BTreeMap::new(),
        };
        self.history.note(number, |record| record.locked.clone_from(&locked));
        let old: Vec<(String, Value)> = plan
            .updates
            .iter()
            .map(|key| {
                let value = locked.get(key).or_else(|| seen.get(key)).cloned().flatten();
                (key.clone(), value)
            })
            .collect();
        if old.is_empty() {
            return Ok(());
        }
        for (key, value) in self.workload.change(number, &old, &mut self.rng) {
            match &value {
                Some(value) => txn.put(wire(&key), value.clone())?,
                None => txn.delete(wire(&key))?,
            }
            self.history.note(number, |record| record.writes.insert(key, value));
        }
        Ok(())
    }

    async fn commit(&mut self, mut txn: Transaction, number: usize) {
        let history = &self.history;
        history.note(number, |record| record.outcome = Outcome::Unknown);
        let patience = match self.rng.random_bool(0.04) {
            true => Duration::from_millis(self.rng.random_range(1..40)),
            false => Duration::from_secs(3_600),
        };
        // Who loses patience drops the future.
        let result = tokio::time::timeout(patience, txn.commit()).await;
        let outcome = match &result {
            Ok(Ok(commit)) => Outcome::Committed(commit.into_inner()),
            Ok(Err(error)) if error.remedy() != Remedy::ReportUnknownOutcome => Outcome::Aborted,
            Ok(Err(_)) | Err(_) => Outcome::Unknown,
        };
        let ended = history.tick();
        history.note(number, |record| {
            record.outcome = outcome;
            if let Ok(Err(error)) = &result {
                record.said = error.to_string();
            }
            if matches!(outcome, Outcome::Committed(_)) {
                record.ended = ended;
            }
        });
    }

    /// The first keys are only swapped, the others only put.
    async fn raw_step(&mut self, raw: &RawClient, step: usize) {
        let keys = self.workload.keys();
        let index = self.rng.random_range(0..keys.len());
        let (key, swaps) = (&keys[index], index < 4);
        let began = self.history.tick();
        let Ok(found) = raw.get(&wire(key)).await else { return };
        let found = found.map(text);
        self.history.read(key, began, found.clone());
        if self.rng.random_bool(0.4) {
            return;
        }
        let value = format!("{}.{step}", self.number);
        let began = self.history.tick();
        if swaps {
            let op = PointOp::Swap { expected: found.clone(), value: value.clone(), swapped: false };
            let number = self.history.intend(key, began, op);
            let swap = raw.compare_and_swap(wire(key), found.map(bytes::Bytes::from), value);
            if let Some(Ok(swap)) = abandon(&mut self.rng, swap).await
                && swap.swapped
            {
                self.history.done(number, |op| {
                    if let PointOp::Swap { swapped, .. } = op {
                        *swapped = true;
                    }
                });
            }
        } else {
            let op = PointOp::Put { value: value.clone(), acknowledged: false };
            let number = self.history.intend(key, began, op);
            if let Some(Ok(())) = abandon(&mut self.rng, raw.put(wire(key), value)).await {
                self.history.done(number, |op| {
                    if let PointOp::Put { acknowledged, .. } = op {
                        *acknowledged = true;
                    }
                });
            }
        }
    }
}

/// Runs something, or loses patience with it.
async fn abandon<T>(rng: &mut SmallRng, work: impl Future<Output = T>) -> Option<T> {
    let patience = match rng.random_bool(0.03) {
        true => Duration::from_millis(rng.random_range(1..10)),
        false => Duration::from_secs(3_600),
    };
    tokio::time::timeout(patience, work).await.ok()
}

async fn lock(txn: &mut Transaction, keys: &[String]) -> Result<BTreeMap<String, Value>, TxnError> {
    let mut tries = 0;
    loop {
        let options = LockOptions { return_values: true, ..LockOptions::default() };
        match txn.lock_keys(keys.iter().map(|key| wire(key)), options).await {
            Ok(locked) => {
                let values = locked.values.into_iter();
                return Ok(values
                    .map(|(key, value)| (text(key.into_bytes().into()), value.map(text)))
                    .collect());
            }
            Err(error) if error.remedy() == Remedy::RetryStatement && tries < STATEMENT_TRIES => {
                tries += 1;
                txn.refresh_for_update_ts().await?;
            }
            Err(error) => return Err(error),
        }
    }
}

pub(crate) fn wire(key: &str) -> Key {
    Key::new(key.as_bytes())
}

pub(crate) fn text(value: bytes::Bytes) -> String {
    String::from_utf8_lossy(&value).into_owned()
}
