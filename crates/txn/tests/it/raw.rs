//! Raw keys, and keyspaces.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use tidewater_codec::Key;
use tidewater_proto::{PdService, StoreRequest, StoreResponse, kvrpcpb, pdpb};
use tidewater_txn::fault::{Faults, FaultyConnector};
use tidewater_txn::{
    Keyspace, LockOptions, LockWait, RawClient, Swap, Ttl, TxnClient, TxnConfig, TxnError, TxnOptions,
};

use crate::cluster::{StoreKind, TestCluster, apply, key, name, pairs, read, value};
use crate::faults::optimistic;

/// Cuts regions where raw clients without a keyspace look for them.
async fn cut_plain(cluster: &TestCluster, cuts: &[&str]) {
    for cut in cuts {
        let region_key = Bytes::copy_from_slice(cut.as_bytes());
        let request = pdpb::GetRegionRequest { region_key: region_key.clone(), ..Default::default() };
        let region = cluster.pd.get_region(request).await.unwrap().region.unwrap();
        let context = kvrpcpb::Context {
            region_id: region.id,
            region_epoch: region.region_epoch,
            peer: region.peers.first().copied(),
            ..Default::default()
        };
        let request = kvrpcpb::SplitRegionRequest {
            context: Some(context),
            split_keys: vec![region_key],
            is_raw_key: true,
            ..Default::default()
        };
        let store = cluster.connector.connect("store-1").await.unwrap();
        let answer = store.call(StoreRequest::SplitRegion(request)).await.unwrap();
        assert!(matches!(answer, StoreResponse::SplitRegion(_)));
    }
}

fn raw(cluster: &TestCluster, config: TxnConfig) -> RawClient {
    RawClient::new(cluster.pd.clone(), cluster.connector.clone(), config)
}

fn in_keyspace(id: u32) -> TxnConfig {
    TxnConfig { keyspace: Keyspace::new(id), ..Default::default() }
}

#[tokio::test(start_paused = true)]
async fn raw_calls_do_what_they_say() {
    for config in [TxnConfig::default(), in_keyspace(5)] {
        let cluster = TestCluster::start(StoreKind::Fake, TxnConfig::default()).await;
        let client = raw(&cluster, config.clone());
        // The old client learns of the cuts as it goes.
        assert_eq!(client.get(&key("a")).await.unwrap(), None);
        match config.keyspace {
            None => cut_plain(&cluster, &["c", "f", "m"]).await,
            Some(_) => cluster.split_at(&["r\0\0\u{5}c", "r\0\0\u{5}m", "r\0\0\u{6}"]).await,
        }
        for (name, text) in [("a", "1"), ("c", "2"), ("d", "3"), ("g", "4"), ("n", "5")] {
            client.put(key(name), text).await.unwrap();
        }
        assert_eq!(client.get(&key("d")).await.unwrap().as_deref(), Some(&b"3"[..]));
        client.batch_put([(key("b"), value("6")), (key("z"), value("7"))], Ttl::Forever).await.unwrap();
        let found = client.batch_get(&["z", "b", "y", "b"].map(key)).await.unwrap();
        assert_eq!(pairs(found.into_iter().collect()), "b=6 z=7");
        for (start, end, limit, expected) in [
            ("", "", 99, "a=1 b=6 c=2 d=3 g=4 n=5 z=7"),
            ("", "", 3, "a=1 b=6 c=2"),
            ("b", "n", 99, "b=6 c=2 d=3 g=4"),
            ("c", "c", 99, ""),
            ("d", "c", 99, ""),
            ("zz", "", 99, ""),
        ] {
            let range = || key(start)..key(end);
            assert_eq!(pairs(client.scan(range(), limit).await.unwrap()), expected, "{start}..{end}");
            let mut backward = client.scan_reverse(range(), 99).await.unwrap();
            backward.reverse();
            assert!(pairs(backward).starts_with(expected), "{start}..{end} backward");
        }
        assert_eq!(pairs(client.scan_reverse(key("")..key(""), 2).await.unwrap()), "z=7 n=5");
        let sum = client.checksum(key("")..key("")).await.unwrap();
        assert_eq!((sum.pairs, sum.bytes > 13), (7, true));

        client.put_with_ttl(key("t"), "soon gone", Ttl::Left(Duration::from_millis(1_500))).await.unwrap();
        let ttls = [("t", Some(Ttl::Left(Duration::from_secs(2)))), ("a", Some(Ttl::Forever)), ("q", None)];
        for (name, expected) in ttls {
            assert_eq!(client.get_key_ttl(&key(name)).await.unwrap(), expected, "{name}");
        }

        let client = client.with_atomic_for_cas();
        let swap = |expected: Option<&'static str>, new: &'static str| {
            client.compare_and_swap(key("s"), expected.map(value), new)
        };
        assert_eq!(swap(None, "1").await.unwrap(), Swap { swapped: true, previous: None });
        let found = Some(value("1"));
        assert_eq!(swap(None, "2").await.unwrap(), Swap { swapped: false, previous: found.clone() });
        assert_eq!(swap(Some("1"), "2").await.unwrap(), Swap { swapped: true, previous: found });

        client.delete(&key("s")).await.unwrap();
        client.batch_delete(&["a", "z"].map(key)).await.unwrap();
        client.delete_range(key("c")..key("h")).await.unwrap();
        assert_eq!(pairs(client.scan(key("")..key(""), 99).await.unwrap()), "b=6 n=5 t=soon gone");

        let error = client.put(key("x"), "forbidden").await.unwrap_err();
        let TxnError::Store { place, reason } = &error else { panic!("{error}") };
        assert_eq!((reason.as_str(), place.key.clone()), ("forbidden", Some(key("x"))));
        assert!(place.region_id.is_some() && place.store_id.is_some(), "{error}");
    }
}

#[derive(Debug, Clone)]
enum RawOp {
    Put(u8, u8),
    Delete(u8),
    DeleteRange(u8, u8),
    Scan(u8, u8, usize),
    ScanReverse(u8, u8, usize),
}

fn raw_op() -> impl Strategy<Value = RawOp> {
    prop_oneof![
        4 => (0u8..40, any::<u8>()).prop_map(|(key, value)| RawOp::Put(key, value)),
        1 => (0u8..40).prop_map(RawOp::Delete),
        1 => (0u8..40, 0u8..41).prop_map(|(start, end)| RawOp::DeleteRange(start, end)),
        2 => (0u8..40, 0u8..41, 1usize..30).prop_map(|(start, end, limit)| RawOp::Scan(start, end, limit)),
        2 => (0u8..40, 0u8..41, 1usize..30)
            .prop_map(|(start, end, limit)| RawOp::ScanReverse(start, end, limit)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Against a sorted map, over a bad network.
    #[test]
    fn raw_calls_agree_with_a_map(ops in proptest::collection::vec(raw_op(), 1..60), seed: u64) {
        // 40 as an end is no end.
        let name = |index: u8| if index >= 40 { Key::default() } else { key(&format!("k{index:02}")) };
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
            let cluster = TestCluster::start(StoreKind::Fake, TxnConfig::default()).await;
            cut_plain(&cluster, &["k07", "k20", "k21", "k33"]).await;
            // Without duplicates: a write that comes late is another write.
            let faults = Faults { duplicate: 0.0, ..Default::default() };
            let network = FaultyConnector::new(cluster.connector.clone(), faults, seed);
            let client = RawClient::new(cluster.pd.clone(), Arc::new(network), TxnConfig::default());
            let mut model: BTreeMap<Key, Bytes> = BTreeMap::new();
            for op in ops {
                let range = |start: u8, end: u8| (name(start), name(end));
                let inside = |model: &BTreeMap<Key, Bytes>, start: &Key, end: &Key| -> Vec<(Key, Bytes)> {
                    let is_inside = |key: &&Key| *key >= start && (end.as_bytes().is_empty() || *key < end);
                    let keys = model.keys().filter(is_inside);
                    keys.map(|key| (key.clone(), model[key].clone())).collect()
                };
                match op {
                    RawOp::Put(index, text) => {
                        client.put(name(index), vec![text]).await.unwrap();
                        model.insert(name(index), vec![text].into());
                    }
                    RawOp::Delete(index) => {
                        client.delete(&name(index)).await.unwrap();
                        model.remove(&name(index));
                    }
                    RawOp::DeleteRange(start, end) => {
                        let (start, end) = range(start, end);
                        client.delete_range(start.clone()..end.clone()).await.unwrap();
                        for (key, _) in inside(&model, &start, &end) {
                            model.remove(&key);
                        }
                    }
                    RawOp::Scan(start, end, limit) => {
                        let (start, end) = range(start, end);
                        let mut expected = inside(&model, &start, &end);
                        expected.truncate(limit);
                        assert_eq!(client.scan(start..end, limit).await.unwrap(), expected);
                    }
                    RawOp::ScanReverse(start, end, limit) => {
                        let (start, end) = range(start, end);
                        let mut expected = inside(&model, &start, &end);
                        expected.reverse();
                        expected.truncate(limit);
                        assert_eq!(client.scan_reverse(start..end, limit).await.unwrap(), expected);
                    }
                }
            }
        });
    }
}

#[tokio::test(start_paused = true)]
async fn keyspaces_do_not_see_each_other() {
    for kind in [StoreKind::Fake, StoreKind::Real] {
        for cuts in [&[][..], &["x\0\0\u{1}", "x\0\0\u{1}m", "x\0\0\u{2}", "x\0\0\u{2}c"][..]] {
            let cluster = TestCluster::start(kind, TxnConfig::default()).await;
            cluster.split_at(cuts).await;
            let clients = [0, 1, 2].map(|id| cluster.another_client(in_keyspace(id)));
            for (id, client) in clients.iter().enumerate() {
                let mut txn = client.begin(optimistic()).await.unwrap();
                apply(&mut txn, &format!("a={id} m={id} z={id}"));
                txn.commit().await.unwrap();
            }
            for (id, client) in clients.iter().enumerate() {
                let txn = client.begin(optimistic()).await.unwrap();
                assert_eq!(read(&txn, "a m z").await, format!("a={id} m={id} z={id}"));
                let all = format!("a={id} m={id} z={id}");
                assert_eq!(pairs(txn.scan(key("")..key("")).collect(99).await.unwrap()), all, "{kind:?}");
                let mut backward = txn.scan_reverse(key("")..key("")).collect(99).await.unwrap();
                backward.reverse();
                assert_eq!(pairs(backward), all, "{kind:?}");
            }
            let seen = cluster.optimistic().await.scan(key("")..key("")).collect(99).await.unwrap();
            assert_eq!(seen.len(), 9, "a client without a keyspace sees all");
            assert_eq!(seen[0].0.as_bytes(), b"x\0\0\0a");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn errors_and_locks_speak_of_the_callers_keys() {
    for kind in [StoreKind::Fake, StoreKind::Real] {
        let cluster = TestCluster::start(kind, TxnConfig::default()).await;
        let client: TxnClient = cluster.another_client(in_keyspace(9));
        client.split_regions([key("f"), key("m")]).await.unwrap();
        let mut holder = client.begin(TxnOptions::default()).await.unwrap();
        holder.lock_keys(["a", "h", "z"].map(key), Default::default()).await.unwrap();
        let mut rival = client.begin(TxnOptions::default()).await.unwrap();
        let nowait = LockOptions { wait: LockWait::NoWait, ..Default::default() };
        let refused = rival.lock_keys([key("h")], nowait).await;
        assert!(
            matches!(&refused, Err(TxnError::LockNotAvailable { key: locked, .. }) if *locked == key("h")),
            "{refused:?}"
        );
        // An async commit over three regions, its locks settled by somebody else once its client is gone.
        apply(&mut holder, "a=1 h=1 z=1");
        holder.commit().await.unwrap();
        let reader = cluster.another_client(in_keyspace(9)).begin(optimistic()).await.unwrap();
        assert_eq!(read(&reader, "a h z").await, "a=1 h=1 z=1");
        let mut again = client.begin(optimistic()).await.unwrap();
        again.insert(key("h"), "2").unwrap();
        let exists = again.commit().await;
        assert_eq!(name(&exists), "key exists");
        assert!(matches!(exists, Err(TxnError::KeyExists { key: found }) if found == key("h")));
        let now = client.current_timestamp().await.unwrap();
        client.collect_garbage(tidewater_codec::StartTs(now)).await.unwrap();
        assert_eq!(client.locate(&key("h")).await.unwrap().range(), key("f")..key("m"));
    }
}
