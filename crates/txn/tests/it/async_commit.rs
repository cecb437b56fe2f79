//! Async commit: one round, whole or not at all, and to be told by anybody from the locks alone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tidewater_codec::{CommitTs, StartTs};
use tidewater_proto::{
    PdService, StoreConnector, StoreRequest, StoreResponse, StoreService, TransportError, kvrpcpb, pdpb,
};
use tidewater_txn::fault::Faults;
use tidewater_txn::{
    AsyncCommit, CommitGate, CommitPass, OnePhaseCommit, Refusal, TxnClient, TxnConfig, TxnError, TxnOptions,
};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::cluster::{StoreKind, TestCluster, apply, key, name, value};
use crate::faults::{behind, no_faults, optimistic};

const KINDS: [StoreKind; 2] = [StoreKind::Fake, StoreKind::Real];

async fn cut_cluster(kind: StoreKind) -> TestCluster {
    let cluster = TestCluster::start(kind, TxnConfig::default()).await;
    cluster.split_at(&["f", "m", "t"]).await;
    cluster
}

#[tokio::test(start_paused = true)]
async fn one_round_of_requests_is_enough() {
    for kind in KINDS {
        let cluster = cut_cluster(kind).await;
        let never = TxnConfig { async_commit: AsyncCommit::Never, ..Default::default() };
        let few_keys = TxnConfig { async_commit_keys_max: 2, ..Default::default() };
        let few_bytes = TxnConfig { async_commit_key_bytes_max: 2, ..Default::default() };
        let always = TxnConfig::default();
        let cases = [(&always, false, 1), (&never, false, 2), (&few_keys, false, 2), (&few_bytes, false, 2)];
        for (config, two_phases, rounds) in cases.into_iter().chain([(&always, true, 2)]) {
            let faults = Faults { delay_ms: 50..=50, ..no_faults() };
            for options in [optimistic(), TxnOptions::default()] {
                let mut txn = behind(&cluster, faults.clone(), config.clone()).begin(options).await.unwrap();
                apply(&mut txn, "a=1 n=1 z=1");
                if txn.is_pessimistic() {
                    txn.lock_keys(["a", "n", "z"].map(key), Default::default()).await.unwrap();
                }
                if two_phases {
                    txn.commit_in_two_phases();
                }
                let begun = Instant::now();
                let commit = txn.commit().await.unwrap();
                assert_eq!(begun.elapsed().as_millis(), rounds * 100, "{kind:?}, {config:?}");
                let next = cluster.client.current_timestamp().await.unwrap();
                assert!(commit.0 <= next, "{kind:?}: committed at {commit}, the next begins at {next}");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

/// Counts what comes through, and forbids some of it.
struct CountingGate {
    entered: AtomicUsize,
    refuse_from: usize,
}

#[async_trait]
impl CommitGate for CountingGate {
    async fn enter(&self, _: CommitTs) -> Result<CommitPass, Refusal> {
        match self.entered.fetch_add(1, Ordering::SeqCst) < self.refuse_from {
            true => Ok(CommitPass::unlimited()),
            false => Err(Refusal::Changed("the schema has changed".to_owned())),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_request_goes_through_the_gate() {
    for kind in KINDS {
        for (refuse_from, expected, read) in
            [(0, "refused", "a=- n=- z=-"), (2, "refused", "a=- n=- z=-"), (3, "ok", "a=1 n=1 z=1")]
        {
            let cluster = cut_cluster(kind).await;
            let gate = Arc::new(CountingGate { entered: AtomicUsize::new(0), refuse_from });
            let mut txn = cluster.optimistic().await;
            txn.set_commit_gate(gate.clone());
            apply(&mut txn, "a=1 n=1 z=1");
            assert_eq!(name(&txn.commit().await), expected, "{kind:?}");
            let begun = Instant::now();
            assert_eq!(cluster.read("a n z").await, read, "{kind:?}");
            cluster.write("a=2 n=2 z=2").await;
            assert!(begun.elapsed() < Duration::from_secs(1), "{kind:?}: no lock is left to wait for");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_comes_too_late_for_the_gate_takes_two_phases() {
    for kind in KINDS {
        for writes in ["a=1 n=1 z=1", "a=1 b=1"] {
            let cluster = cut_cluster(kind).await;
            let config = TxnConfig { commit_window: Duration::ZERO, ..Default::default() };
            let client = cluster.another_client(config);
            let gate = Arc::new(CountingGate { entered: AtomicUsize::new(0), refuse_from: usize::MAX });
            let mut txn = client.begin(optimistic()).await.unwrap();
            txn.set_commit_gate(gate.clone());
            apply(&mut txn, writes);
            let regions = if writes.len() > 8 { 3 } else { 1 };
            let before = client.current_timestamp().await.unwrap();
            let commit = txn.commit().await.unwrap();
            // A timestamp of the driver: after the lower bound.
            assert!(commit.0 > before.next(), "{kind:?}: {commit} after {before}");
            assert_eq!(gate.entered.load(Ordering::SeqCst), regions + 1, "{kind:?}, {writes}");
            assert_eq!(cluster.read("a").await, "a=1");
        }
    }
}

/// Holds a commit back after its lower bound was fetched.
struct Held(Arc<Semaphore>);

#[async_trait]
impl CommitGate for Held {
    async fn enter(&self, _: CommitTs) -> Result<CommitPass, Refusal> {
        self.0.acquire().await.unwrap().forget();
        Ok(CommitPass::unlimited())
    }
}

/// Time stands still, so the placement driver's next timestamp is the next tick. Commits that bring old lower bounds and follow one another
/// must all be at most one tick ahead of it, in one phase or async, committed by their clients or by others.
#[tokio::test(start_paused = true)]
async fn commits_never_run_ahead_of_the_next_timestamp() {
    for kind in KINDS {
        let cluster = cut_cluster(kind).await;
        let mut commits = Vec::new();
        for number in 0..12 {
            let writes = match number % 3 {
                0 => format!("a{number}=1 b{number}=1"),
                _ => format!("a{number}=1 n{number}=1 z{number}=1"),
            };
            let permits = Arc::new(Semaphore::new(0));
            let mut txn = cluster.optimistic().await;
            apply(&mut txn, &writes);
            txn.set_commit_gate(Arc::new(Held(permits.clone())));
            let commit = tokio::spawn(async move { txn.commit().await.unwrap() });
            commits.push((permits, commit));
        }
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let newest = StartTs(cluster.client.current_timestamp().await.unwrap());
        let reader = cluster.client.snapshot(newest);
        for name in ["a", "n", "z"] {
            reader.get(&key(name)).await.unwrap();
        }
        let mut last = CommitTs::default();
        for (permits, commit) in commits {
            permits.add_permits(9);
            last = last.max(commit.await.unwrap());
            // Its locks become versions.
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
        }
        assert!(last.0 > newest.0, "{kind:?}: above the reader");
        let next = cluster.client.current_timestamp().await.unwrap();
        assert_eq!(next, newest.0.next(), "{kind:?}: time stands still");
        assert!(last.0 <= next, "{kind:?}: committed at {last}, and the next begins at {next}");
    }
}

/// Sends prewrites as a client would that is never heard of again.
struct Abandoned<'a> {
    cluster: &'a TestCluster,
    start: u64,
    min_commit: u64,
}

impl Abandoned<'_> {
    async fn new(cluster: &TestCluster) -> Abandoned<'_> {
        // Whatever is being committed in the background is through after this.
        cluster.read("a n z").await;
        let start = cluster.client.current_timestamp().await.unwrap().into_inner();
        let min_commit = cluster.client.current_timestamp().await.unwrap().into_inner();
        Abandoned { cluster, start, min_commit }
    }

    async fn context(&self, name: &str) -> kvrpcpb::Context {
        let region_key = key(name).encode().into_bytes().into();
        let request = pdpb::GetRegionRequest { region_key, ..Default::default() };
        let region = self.cluster.pd.get_region(request).await.unwrap().region.unwrap();
        kvrpcpb::Context {
            region_id: region.id,
            region_epoch: region.region_epoch,
            peer: region.peers.first().copied(),
            ..Default::default()
        }
    }

    /// Locks `name`; the primary is `a`. Returns the answer's `min_commit_ts`.
    async fn lock(&self, name: &str, others: &[&str], max_commit_ts: u64) -> Result<u64, String> {
        let request = kvrpcpb::PrewriteRequest {
            context: Some(self.context(name).await),
            mutations: vec![kvrpcpb::Mutation {
                op: kvrpcpb::Op::Put as i32,
                key: name.to_owned().into(),
                value: "new".into(),
                assertion: 0,
            }],
            primary_lock: "a".into(),
            start_version: self.start,
            lock_ttl: 3_000,
            txn_size: 3,
            use_async_commit: true,
            secondaries: others.iter().map(|name| value(name)).collect(),
            min_commit_ts: self.min_commit,
            max_commit_ts,
            ..Default::default()
        };
        let store = self.cluster.connector.connect("store-1").await.unwrap();
        match store.call(StoreRequest::Prewrite(request)).await.unwrap() {
            StoreResponse::Prewrite(answer) if answer.errors.is_empty() => Ok(answer.min_commit_ts),
            StoreResponse::Prewrite(answer) => Err(format!("{:?}", answer.errors)),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn anybody_can_tell_the_end_of_an_abandoned_commit() {
    let all = ["a", "n", "z"];
    // What was locked, and what is read afterwards.
    let cases: [(&[&str], &str); 7] = [
        (&["a", "n", "z"], "new"),
        (&["a", "n"], "old"),
        (&["a", "z"], "old"),
        (&["n", "z"], "old"),
        (&["a"], "old"),
        (&["z"], "old"),
        (&[], "old"),
    ];
    for kind in KINDS {
        for (locked, expected) in cases {
            for first_met in all {
                let cluster = cut_cluster(kind).await;
                cluster.write("a=old n=old z=old").await;
                let dead = Abandoned::new(&cluster).await;
                let mut commits = Vec::new();
                for name in locked {
                    let others: &[&str] = if *name == "a" { &["n", "z"] } else { &[] };
                    commits.push(dead.lock(name, others, 0).await.unwrap());
                }
                let begun = Instant::now();
                let client = cluster.another_client(TxnConfig::default());
                let mut order = vec![first_met];
                order.extend(all.iter().filter(|name| **name != first_met));
                for name in order {
                    let txn = client.begin(optimistic()).await.unwrap();
                    let read = txn.get(&key(name)).await.unwrap().unwrap();
                    assert_eq!(read, expected, "{kind:?}: {name} of {locked:?}, {first_met} first");
                }
                // The living are waited for; the dead are not waited for twice.
                let waited = begun.elapsed();
                assert!(locked.contains(&first_met) <= (waited >= Duration::from_secs(3)), "{waited:?}");
                assert!(waited < Duration::from_secs(5), "{waited:?}");
                if let (Some(commit), "new") = (commits.iter().max(), expected) {
                    for name in all {
                        let below = client.snapshot(StartTs::new(*commit - 1));
                        assert_eq!(below.get(&key(name)).await.unwrap().unwrap(), "old");
                        let there = client.snapshot(StartTs::new(*commit));
                        assert_eq!(there.get(&key(name)).await.unwrap().unwrap(), "new");
                    }
                } else if !locked.is_empty() {
                    // What was missing stays missing.
                    let late = all.iter().find(|name| !locked.contains(name)).unwrap();
                    let others: &[&str] = if *late == "a" { &["n", "z"] } else { &[] };
                    assert!(dead.lock(late, others, 0).await.is_err(), "{kind:?}: {late} came too late");
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_plain_lock_says_that_the_primary_decides() {
    for kind in KINDS {
        let cluster = cut_cluster(kind).await;
        cluster.write("a=old n=old").await;
        let dead = Abandoned::new(&cluster).await;
        assert_ne!(dead.lock("a", &["n"], 0).await.unwrap(), 0);
        assert_eq!(dead.lock("n", &[], 1).await.unwrap(), 0, "too late for its limit");
        assert_eq!(dead.lock("n", &[], 0).await.unwrap(), 0, "and when it is asked again");
        assert_eq!(cluster.read("n a").await, "n=old a=old", "{kind:?}");
        cluster.write("a=newer n=newer").await;
    }
}

#[tokio::test(start_paused = true)]
async fn garbage_collection_settles_async_commits() {
    for kind in KINDS {
        for complete in [true, false] {
            let cluster = cut_cluster(kind).await;
            cluster.write("a=old n=old").await;
            let dead = Abandoned::new(&cluster).await;
            dead.lock("a", &["n"], 0).await.unwrap();
            if complete {
                dead.lock("n", &[], 0).await.unwrap();
            }
            let now = cluster.client.current_timestamp().await.unwrap();
            cluster.client.collect_garbage(StartTs(now)).await.unwrap();
            let begun = Instant::now();
            assert_eq!(cluster.read("a n").await, if complete { "a=new n=new" } else { "a=old n=old" });
            assert!(begun.elapsed() < Duration::from_secs(1), "{kind:?}");
        }
    }
}

/// Lets so many requests through; what comes later is lost, and nobody is told.
struct Severed {
    inner: Arc<dyn StoreConnector>,
    left: Arc<AtomicUsize>,
    /// Whether the first lost message was a request; else an answer.
    loses_request: bool,
}

struct SeveredStore {
    inner: Arc<dyn StoreService>,
    left: Arc<AtomicUsize>,
    loses_request: bool,
}

#[async_trait]
impl StoreConnector for Severed {
    async fn connect(&self, address: &str) -> Result<Arc<dyn StoreService>, TransportError> {
        let inner = self.inner.connect(address).await?;
        let (left, loses_request) = (self.left.clone(), self.loses_request);
        Ok(Arc::new(SeveredStore { inner, left, loses_request }))
    }
}

#[async_trait]
impl StoreService for SeveredStore {
    async fn call(&self, request: StoreRequest) -> Result<StoreResponse, TransportError> {
        let before =
            self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| Some(left.saturating_sub(1)));
        match before.unwrap() {
            0 => std::future::pending().await,
            1 if self.loses_request => std::future::pending().await,
            1 => {
                let _ = self.inner.call(request).await;
                std::future::pending().await
            }
            _ => self.inner.call(request).await,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_may_die_between_any_two_messages() {
    let mut seen = BTreeMap::new();
    for kind in KINDS {
        for pessimistic in [false, true] {
            for (messages, loses_request) in (1..=12).flat_map(|count| [(count, true), (count, false)]) {
                let cluster = cut_cluster(kind).await;
                cluster.write("a=old n=old z=old").await;
                let left = Arc::new(AtomicUsize::new(messages));
                let inner = cluster.connector.clone();
                let network = Arc::new(Severed { inner, left, loses_request });
                let client = TxnClient::new(cluster.pd.clone(), network, TxnConfig::default());
                let options = if pessimistic { TxnOptions::default() } else { optimistic() };
                let mut txn = client.begin(options).await.unwrap();
                apply(&mut txn, "a=new n=new z=new");
                let work = async {
                    txn.lock_keys(["a", "n", "z"].map(key), Default::default()).await?;
                    txn.commit().await
                };
                let acknowledged = tokio::time::timeout(Duration::from_secs(1), work).await.is_ok();
                // What the dying client still tries is lost, too.
                drop(txn);
                let read = cluster.read("a n z").await;
                assert!(
                    read == "a=new n=new z=new" || (read == "a=old n=old z=old" && !acknowledged),
                    "{kind:?}, after {messages} messages: {read}, acknowledged: {acknowledged}"
                );
                *seen.entry((acknowledged, read == "a=new n=new z=new")).or_insert(0) += 1;
                cluster.write("a=newer n=newer z=newer").await;
            }
        }
    }
    assert_eq!(seen.len(), 3, "acknowledged, committed without that, and neither: {seen:?}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_lost_once_is_made_up_for() {
    for kind in KINDS {
        for seed in 0..60 {
            let cluster = cut_cluster(kind).await;
            let faults = Faults { lose_answer: 0.4, delay_ms: 0..=20, ..no_faults() };
            let network = tidewater_txn::fault::FaultyConnector::new(cluster.connector.clone(), faults, seed);
            let config = TxnConfig { one_phase_commit: OnePhaseCommit::Never, seed, ..Default::default() };
            let client = TxnClient::new(cluster.pd.clone(), Arc::new(network), config);
            let mut rival = cluster.optimistic().await;
            let mut txn = client.begin(optimistic()).await.unwrap();
            apply(&mut txn, "a=1 n=1 z=1");
            if seed % 2 == 0 {
                apply(&mut rival, "z=2");
                rival.commit().await.unwrap();
            }
            let (result, read) = (txn.commit().await, cluster.read("a n z").await);
            match &result {
                Ok(_) => assert_eq!(read, "a=1 n=1 z=1", "{kind:?}, seed {seed}"),
                Err(TxnError::WriteConflict { .. }) => {
                    assert!(seed % 2 == 0);
                    assert_eq!(read, "a=- n=- z=2", "{kind:?}, seed {seed}");
                }
                Err(error) => panic!("{kind:?}, seed {seed}: {error}"),
            }
        }
    }
}
