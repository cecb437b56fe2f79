use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tidewater_codec::StartTs;
use tidewater_proto::{
    StoreConnector, StoreRequest, StoreResponse, StoreService, TransportError, errorpb, kvrpcpb,
};
use tidewater_txn::{RegionTask, ReplicaRead, Snapshot, TxnClient, TxnConfig};
use tokio::time::Instant;

use crate::cluster::{StoreKind, TestCluster, key, on_each_store, pairs, text};

#[tokio::test(start_paused = true)]
async fn a_snapshot_does_not_change() {
    on_each_store(|cluster| async move {
        cluster.write("a=1 b=1 m=1").await;
        let snapshot = cluster.client.snapshot(StartTs(cluster.client.current_timestamp().await.unwrap()));
        cluster.write("a=2 b=- n=2").await;
        assert_eq!(snapshot.get(&key("a")).await.unwrap().as_deref(), Some(&b"1"[..]));
        let found = snapshot.batch_get(&["n", "m", "b", "a", "a"].map(key)).await.unwrap();
        let found: Vec<_> = found.iter().map(|(key, value)| text(key.as_bytes()) + &text(value)).collect();
        assert_eq!(found, ["a1", "b1", "m1"]);
        assert_eq!(pairs(snapshot.scan(key("")..key("")).collect(10).await.unwrap()), "a=1 b=1 m=1");
        assert_eq!(cluster.read("a b m n").await, "a=2 b=- m=1 n=2");
        let latest = cluster.client.snapshot(Snapshot::LATEST);
        assert_eq!(latest.get(&key("n")).await.unwrap().as_deref(), Some(&b"2"[..]));
        assert_eq!(latest.get(&key("b")).await.unwrap(), None);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn scans_cross_regions_and_pages_both_ways() {
    on_each_store(|cluster| async move {
        let names: Vec<_> = (0..200).map(|i| format!("{}{i:03}", ["a", "c", "m", "x"][i % 4])).collect();
        cluster.write(&names.iter().map(|name| format!("{name}=v")).collect::<Vec<_>>().join(" ")).await;
        let mut sorted = names.clone();
        sorted.sort();
        let snapshot = cluster.client.snapshot(StartTs(cluster.client.current_timestamp().await.unwrap()));
        let cases = [
            ("", ""),
            ("a", "m"),
            ("c", "c100"),
            ("b", "z"),
            ("m", ""),
            ("", "c"),
            ("x5", "x4"),
            ("a001", "a001"),
            ("zz", ""),
        ];
        for (start, end) in cases {
            let expected: Vec<_> = sorted
                .iter()
                .filter(|n| n.as_str() >= start && (end.is_empty() || n.as_str() < end))
                .collect();
            for page in [1, 7, 64] {
                let forward =
                    snapshot.scan(key(start)..key(end)).expecting(page).collect(1_000).await.unwrap();
                let forward: Vec<_> = forward.into_iter().map(|(key, _)| text(key.as_bytes())).collect();
                assert_eq!(forward.iter().collect::<Vec<_>>(), expected, "{start}..{end} by {page}");
                let backward = snapshot
                    .scan_reverse(key(start)..key(end))
                    .expecting(page)
                    .key_only()
                    .collect(1_000)
                    .await
                    .unwrap();
                assert!(backward.iter().all(|(_, value)| value.is_empty()));
                let backward: Vec<_> =
                    backward.into_iter().rev().map(|(key, _)| text(key.as_bytes())).collect();
                assert_eq!(
                    backward.iter().collect::<Vec<_>>(),
                    expected,
                    "{start}..{end} backward by {page}"
                );
            }
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_client_with_old_regions_finds_its_way() {
    for kind in [StoreKind::Fake, StoreKind::Real] {
        let cluster = TestCluster::start(kind, TxnConfig::default()).await;
        let old = cluster.another_client(TxnConfig::default());
        cluster.write("a=1 c=1 e=1").await;
        let snapshot = old.snapshot(StartTs(old.current_timestamp().await.unwrap()));
        assert!(snapshot.get(&key("a")).await.unwrap().is_some());
        assert_eq!(old.regions_known(), 1);
        cluster.split_at(&["b", "d"]).await;
        cluster.split_at(&["c", "e"]).await;
        assert_eq!(pairs(snapshot.scan(key("")..key("")).collect(10).await.unwrap()), "a=1 c=1 e=1");
        assert_eq!(snapshot.batch_get(&["a", "c", "e"].map(key)).await.unwrap().len(), 3);
        assert!(old.regions_known() >= 3, "{}", old.regions_known());
        let mut txn = old.begin(Default::default()).await.unwrap();
        crate::cluster::apply(&mut txn, "a=2 c=2 e=2");
        txn.commit().await.unwrap();
        assert_eq!(cluster.read("a c e").await, "a=2 c=2 e=2");
    }
}

#[tokio::test(start_paused = true)]
async fn ranges_are_cut_along_regions() {
    let cluster = TestCluster::start(StoreKind::Fake, TxnConfig::default()).await;
    cluster.split_at(&["c", "f", "k"]).await;
    let range = |start: &str, end: &str| key(start)..key(end);
    let show = |tasks: Vec<RegionTask>| {
        let show = |range: &std::ops::Range<_>| {
            format!("{}-{}", text(tidewater_codec::Key::as_bytes(&range.start)), text(range.end.as_bytes()))
        };
        tasks
            .iter()
            .map(|task| task.ranges.iter().map(show).collect::<Vec<_>>().join(","))
            .collect::<Vec<_>>()
            .join(" | ")
    };
    let cases = [
        (vec![range("a", "b")], "a-b"),
        (vec![range("a", "d")], "a-c | c-d"),
        (vec![range("a", "b"), range("b1", "b2"), range("b3", "c")], "a-b,b1-b2,b3-c"),
        (vec![range("a", "b"), range("b1", "g"), range("h", "")], "a-b,b1-c | c-f | f-g,h-k | k-"),
        (vec![range("", "")], "-c | c-f | f-k | k-"),
        (vec![range("d", "d")], ""),
    ];
    for (ranges, expected) in cases {
        assert_eq!(show(cluster.client.split_ranges(&ranges).await.unwrap()), expected);
    }
}

/// A store that has nothing for readers who do not ask its leader, and counts them.
struct NotReady {
    inner: Arc<dyn StoreService>,
    refused: Arc<AtomicUsize>,
}

#[async_trait]
impl StoreService for NotReady {
    async fn call(&self, request: StoreRequest) -> Result<StoreResponse, TransportError> {
        if let StoreRequest::Get(get) = &request
            && get.context.as_ref().is_some_and(|context| context.stale_read)
        {
            self.refused.fetch_add(1, Ordering::SeqCst);
            let not_ready = Some(errorpb::DataIsNotReady::default());
            let region_error = Some(errorpb::Error { data_is_not_ready: not_ready, ..Default::default() });
            return Ok(StoreResponse::Get(kvrpcpb::GetResponse { region_error, ..Default::default() }));
        }
        self.inner.call(request).await
    }
}

struct NotReadyConnector(Arc<NotReady>);

#[async_trait]
impl StoreConnector for NotReadyConnector {
    async fn connect(&self, _: &str) -> Result<Arc<dyn StoreService>, TransportError> {
        Ok(self.0.clone())
    }
}

#[tokio::test(start_paused = true)]
async fn a_stale_read_that_comes_too_early_asks_the_leader() {
    for kind in [StoreKind::Fake, StoreKind::Real] {
        let cluster = TestCluster::start(kind, TxnConfig::default()).await;
        cluster.write("a=1").await;
        let inner = cluster.connector.connect("store-1").await.unwrap();
        let store = Arc::new(NotReady { inner, refused: Arc::default() });
        let connector = Arc::new(NotReadyConnector(store.clone()));
        let client = TxnClient::new(cluster.pd.clone(), connector, TxnConfig::default());
        let now = StartTs(client.current_timestamp().await.unwrap());
        let begun = Instant::now();
        for (replica, refused) in
            [(ReplicaRead::Leader, 1), (ReplicaRead::Mixed, 2), (ReplicaRead::Follower, 3)]
        {
            let snapshot = client.snapshot(now).with_stale_read().with_replica_read(replica);
            assert_eq!(snapshot.get(&key("a")).await.unwrap().as_deref(), Some(&b"1"[..]));
            assert_eq!(store.refused.load(Ordering::SeqCst), refused);
        }
        assert!(begun.elapsed() < Duration::from_millis(1), "no pause is needed");
    }
}

#[tokio::test(start_paused = true)]
async fn a_timestamp_of_low_resolution_is_not_older_than_its_limit() {
    let config = TxnConfig { low_resolution_age_max: Duration::from_secs(1), ..Default::default() };
    let cluster = TestCluster::start(StoreKind::Fake, config).await;
    let first = cluster.client.low_resolution_timestamp().await.unwrap();
    tokio::time::sleep(Duration::from_millis(900)).await;
    assert_eq!(cluster.client.low_resolution_timestamp().await.unwrap(), first);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let second = cluster.client.low_resolution_timestamp().await.unwrap();
    assert!(second > first);
    let fresh = cluster.client.current_timestamp().await.unwrap();
    assert_eq!(cluster.client.low_resolution_timestamp().await.unwrap(), StartTs(fresh), "the newest known");
}
