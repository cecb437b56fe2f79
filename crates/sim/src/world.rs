//! A whole cluster, its clients, and what befalls them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tidewater_codec::StartTs;
use tidewater_proto::{
    PdService, StoreConnector, StoreRequest, StoreResponse, StoreService, kvrpcpb, metapb, pdpb,
};
use tidewater_txn::fault::{Faults, Trace};
use tidewater_txn::{RawClient, TxnClient, TxnConfig, TxnKind, TxnOptions};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::Options;
use crate::check::{Finding, Truth, Version};
use crate::client::{ClientHost, Worker, text, wire};
use crate::history::{History, Outcome};
use crate::incident::Incident;
use crate::journal::Journal;
use crate::network::{Network, Place};
use crate::pd::{PdLink, Pds};
use crate::reader::Reader;
use crate::sql::SqlHost;
use crate::store::Stores;
use crate::workload::Workload;

/// With single copies, and with replicas, of which each region has three.
const STORES: usize = 3;
const REPLICATED_STORES: usize = 5;
const WORKERS_PER_CLIENT: usize = 2;
/// After the last fault: locks lapse, moves end.
const CALM: Duration = Duration::from_secs(8);
/// The same where nothing moves as a whole.
const REPLICATED_CALM: Duration = Duration::from_secs(3);
/// Between looks whether everybody has started.
const START_LOOK: Duration = Duration::from_millis(20);
const SETTLE_MAX: Duration = Duration::from_secs(120);

mod replicas;
mod sql;
#[cfg(test)]
mod tests;

pub(crate) struct World {
    pub(crate) stores: Arc<Stores>,
    pub(crate) pds: Arc<Pds>,
    pub(crate) network: Arc<Network>,
    pub(crate) clients: Vec<Arc<ClientHost>>,
    /// In place of clients, where these speak SQL.
    pub(crate) sql_nodes: Vec<Arc<SqlHost>>,
    pub(crate) schema_changes: Arc<AtomicUsize>,
    pub(crate) history: Arc<History>,
    pub(crate) incidents: u64,
}

/// A network that only takes its time.
fn no_faults() -> Faults {
    let never = 0.0;
    Faults {
        delay_ms: 0..=1,
        lose_request: never,
        lose_answer: never,
        duplicate: never,
        overtaken: never,
        region_error: never,
        timeout: Duration::from_millis(200),
    }
}

fn faults(rng: &mut SmallRng, workload: Workload) -> Faults {
    let badness = [0.2, 1.0, 2.0][rng.random_range(0..3)];
    Faults {
        delay_ms: 0..=rng.random_range(1..6),
        lose_request: 0.01 * badness,
        lose_answer: 0.01 * badness,
        // Raw writes are not idempotent; no transport of ours delivers twice.
        duplicate: if workload == Workload::Raw { 0.0 } else { 0.01 * badness },
        overtaken: 0.02 * badness,
        region_error: 0.01 * badness,
        timeout: Duration::from_millis(200),
    }
}

impl World {
    pub(crate) fn new(options: &Options) -> Self {
        let count = if options.replicated { REPLICATED_STORES } else { STORES };
        Self::with_stores(count, options)
    }

    fn with_stores(count: usize, options: &Options) -> Self {
        let mut rng = SmallRng::seed_from_u64(options.seed);
        let is_bad = !options.spared.contains(&Incident::BadNetwork);
        let drawn = faults(&mut rng, options.workload);
        let network = Network::new(Arc::new(Journal::new(options.tracing)));
        let pds = Pds::new(options, network.clone(), is_bad);
        let stores = Stores::new(count, pds.clone(), if is_bad { drawn } else { no_faults() }, options);
        let count = if options.workload.is_sql() { 0 } else { options.clients };
        let clients = (0..count).map(|number| ClientHost::start(stores.clone(), number)).collect();
        let sql_nodes = sql::nodes(&stores, options);
        let history = Arc::new(History::new());
        Self {
            stores,
            pds,
            network,
            clients,
            sql_nodes,
            schema_changes: Arc::default(),
            history,
            incidents: 0,
        }
    }

    /// Starts the stores; returns when all run.
    pub(crate) async fn start(&self) {
        self.pds.start();
        for index in 0..self.stores.hosts.len() {
            let stores = self.stores.clone();
            tokio::spawn(async move { stores.start(index, 0).await });
        }
        while self.stores.nodes().len() < self.stores.hosts.len() {
            sleep(START_LOOK).await;
        }
    }

    /// A client that no partition cuts off and no fault hits.
    pub(crate) fn calm_client(&self) -> TxnClient {
        TxnClient::new(self.calm_pd(), self.calm_wire(), TxnConfig::default())
    }

    fn calm_pd(&self) -> Arc<PdLink> {
        PdLink::new(self.pds.clone(), Place::Outside, None)
    }

    fn calm_wire(&self) -> Arc<dyn StoreConnector> {
        self.stores.wire(Place::Outside, None)
    }

    /// What is there before the work begins.
    pub(crate) async fn open(&self, workload: Workload) {
        if let Workload::Sql(table) = workload {
            return self.create_tables(table).await;
        }
        let opening = workload.opening();
        if opening.is_empty() {
            return;
        }
        let began = self.history.tick();
        let options = TxnOptions { kind: TxnKind::Optimistic, ..TxnOptions::default() };
        let mut txn = self.calm_client().begin(options).await.expect("a calm cluster begins transactions");
        let number = self.history.begin(TxnKind::Optimistic, began, txn.start_ts().into_inner());
        for (key, value) in &opening {
            txn.put(wire(key), value.clone()).expect("it fits");
        }
        let commit = txn.commit().await.expect("a calm cluster commits").into_inner();
        self.history.open(commit);
        let ended = self.history.tick();
        let opening = opening.into_iter().map(|(key, value)| (key, Some(value))).collect();
        self.history.note(number, |record| {
            (record.writes, record.outcome, record.ended) = (opening, Outcome::Committed(commit), ended);
        });
    }

    /// Lets everybody work, with crashes and jumps of the clock, until all are done.
    pub(crate) async fn work(&mut self, options: &Options) {
        let mut workers = match options.workload {
            Workload::Sql(table) => self.sql_workers(options, table),
            _ => self.workers(options),
        };
        let are_done = Arc::new(AtomicBool::new(false));
        let readers = self.readers(options, &are_done);
        let mut rng = SmallRng::seed_from_u64(options.seed ^ 0xbad);
        let calm = rng.random_range(50..600);
        while !workers.is_empty() {
            sleep(Duration::from_millis(rng.random_range(10..calm))).await;
            match options.workload == Workload::Readers && options.replicated {
                true => self.befall_leaders(&mut rng, &options.spared).await,
                false => self.befall(&mut rng, &options.spared).await,
            }
            workers.retain(|worker| !worker.is_finished());
        }
        are_done.store(true, Ordering::Relaxed);
        for reader in readers {
            // A panic is noted elsewhere.
            let _ = reader.await;
        }
        self.network.journal.note("everybody is done");
        self.network.heal_all();
        self.pds.repair_clocks();
        sleep(if options.replicated { REPLICATED_CALM } else { CALM }).await;
    }

    fn workers(&self, options: &Options) -> Vec<JoinHandle<()>> {
        let worker = |number: usize| {
            let host = self.clients[number % self.clients.len()].clone();
            let seed = options.seed ^ ((number as u64 + 1) << 40);
            Worker::new(host, self.history.clone(), options, seed, number)
        };
        let clients = self.clients.len() - usize::from(options.workload == Workload::Readers);
        let count = WORKERS_PER_CLIENT * clients.max(1);
        (0..count).map(|number| tokio::spawn(worker(number).work(options.steps))).collect()
    }

    /// Lets the last of the clients read until all others are done.
    fn readers(&self, options: &Options, are_done: &Arc<AtomicBool>) -> Vec<JoinHandle<()>> {
        let Some(host) = self.clients.last().filter(|_| options.workload == Workload::Readers) else {
            return Vec::new();
        };
        let reader = |number: u64| {
            let seed = !options.seed ^ ((number + 1) << 40);
            Reader::new(host.clone(), self.history.clone(), options, seed, are_done.clone())
        };
        (0..WORKERS_PER_CLIENT as u64).map(|number| tokio::spawn(reader(number).work())).collect()
    }

    /// What each client has sent and got.
    pub(crate) fn traces(&self) -> Vec<Arc<Trace>> {
        let clients = self.clients.iter().map(|client| &client.traces);
        let nodes = self.sql_nodes.iter().map(|node| &node.traces);
        clients.chain(nodes).flat_map(|traces| traces.lock().clone()).collect()
    }

    /// Every region has one owner in the end, and every key a region.
    pub(crate) async fn settle(&self) -> Result<(), Finding> {
        let deadline = Instant::now() + SETTLE_MAX;
        loop {
            let nodes = self.stores.nodes();
            let served: usize = nodes.iter().map(|node| node.region_count()).sum();
            let known = self.pds.driver().map(|driver| driver.region_count());
            if nodes.len() == self.stores.hosts.len() && Some(served) == known {
                return Ok(());
            }
            if Instant::now() > deadline {
                let text = self.tell_regions();
                return Err(Finding { text, keys: Vec::new() });
            }
            sleep(Duration::from_millis(30)).await;
        }
    }

    /// Who serves what, and what the placement driver knows of it.
    fn tell_regions(&self) -> String {
        let mut text = "the stores do not serve the regions that are known".to_owned();
        for node in self.stores.nodes() {
            for region in node.served_regions() {
                let metapb::Region { id, start_key, end_key, region_epoch, peers } = region;
                let _ = write!(
                    text,
                    "\nstore {} serves {id} {start_key:?}..{end_key:?} {region_epoch:?} {peers:?}",
                    node.store_id()
                );
            }
            for replica in node.replica_infos() {
                let _ = write!(text, "\n{replica:?}");
            }
        }
        for region in self.pds.driver().map_or(Vec::new(), |driver| driver.regions(&[], &[], usize::MAX)) {
            let _ = write!(text, "\nknown is {region:?}");
        }
        text
    }

    /// What raw keys hold in the end.
    pub(crate) async fn raw_values(&self) -> BTreeMap<String, String> {
        let raw = RawClient::new(self.calm_pd(), self.calm_wire(), TxnConfig::default());
        let all = raw.scan(wire("k")..wire("l"), 100).await.expect("a calm cluster answers");
        all.into_iter().map(|(key, value)| (text(key.into_bytes().into()), text(value))).collect()
    }

    /// All versions of all keys, after every lock that lapsed is cleared.
    pub(crate) async fn truth(&self, workload: Workload) -> Result<Truth, Finding> {
        let client = self.calm_client();
        let began = self.history.tick();
        let now = client.current_timestamp().await.expect("a calm cluster has timestamps");
        let all = client.snapshot(StartTs(now)).scan(wire("k")..wire("l")).collect(100).await;
        let all: BTreeMap<String, String> = match all {
            Ok(all) => {
                all.into_iter().map(|(key, value)| (text(key.into_bytes().into()), text(value))).collect()
            }
            Err(error) => return Err(Finding { text: format!("no end: {error}"), keys: Vec::new() }),
        };
        let number = self.history.begin(TxnKind::Optimistic, began, now.into_inner());
        self.history.note(number, |record| {
            let reads = workload.keys().into_iter().map(|key| (key.clone(), all.get(&key).cloned()));
            record.reads = reads.collect();
        });
        let mut truth = Truth::new();
        for key in workload.keys() {
            truth.insert(key.clone(), self.versions(&key).await?);
        }
        Ok(truth)
    }

    async fn versions(&self, key: &str) -> Result<Vec<Version>, Finding> {
        let region_key = bytes::Bytes::from(wire(key).encode().into_bytes());
        let deadline = Instant::now() + SETTLE_MAX;
        loop {
            if let Some(info) = self.mvcc(&region_key, key).await {
                return read_versions(key, info);
            }
            if Instant::now() > deadline {
                return Err(Finding { text: format!("nobody serves {key}"), keys: vec![key.to_owned()] });
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    async fn mvcc(&self, region_key: &bytes::Bytes, key: &str) -> Option<kvrpcpb::MvccInfo> {
        let request = pdpb::GetRegionRequest { region_key: region_key.clone(), ..Default::default() };
        let found = self.pds.driver()?.get_region(request).await.ok()?;
        let (region, leader) = (found.region?, found.leader?);
        let context = kvrpcpb::Context {
            region_id: region.id,
            region_epoch: region.region_epoch,
            peer: Some(leader),
            ..Default::default()
        };
        let node = self.stores.nodes().into_iter().find(|node| node.store_id() == leader.store_id)?;
        let request = kvrpcpb::MvccGetByKeyRequest {
            context: Some(context),
            key: bytes::Bytes::copy_from_slice(key.as_bytes()),
        };
        match node.call(StoreRequest::MvccGetByKey(request)).await.ok()? {
            StoreResponse::MvccGetByKey(answer) if answer.region_error.is_none() => answer.info,
            _ => None,
        }
    }
}

fn read_value(key: &str, write: &kvrpcpb::MvccWrite, info: &kvrpcpb::MvccInfo) -> Result<String, Finding> {
    if !write.short_value.is_empty() {
        return Ok(text(write.short_value.clone()));
    }
    let long = info.values.iter().find(|value| value.start_ts == write.start_ts);
    long.map(|value| text(value.value.clone())).ok_or_else(|| Finding {
        text: format!("the value of {} is missing", write.start_ts),
        keys: vec![key.to_owned()],
    })
}

fn read_versions(key: &str, info: kvrpcpb::MvccInfo) -> Result<Vec<Version>, Finding> {
    let mut versions = Vec::new();
    for write in &info.writes {
        let value = match write.r#type() {
            kvrpcpb::Op::Put => Some(read_value(key, write, &info)?),
            kvrpcpb::Op::Del => None,
            _ => continue,
        };
        versions.push(Version { commit_ts: write.commit_ts, start_ts: write.start_ts, value });
    }
    versions.sort_by_key(|version| version.commit_ts);
    Ok(versions)
}
