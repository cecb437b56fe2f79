//! Region errors, splits by request and by size, heartbeats.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tidewater_codec::Key;
use tidewater_kv::{MemoryEngine, Node, NodeConfig, NodeError};
use tidewater_proto::{StoreRequest, StoreResponse, errorpb, kvrpcpb, metapb};

use crate::{call, support::*};

async fn get_with(store: &Store, context: Option<kvrpcpb::Context>, key: &str) -> Option<errorpb::Error> {
    let request = kvrpcpb::GetRequest { context, key: bytes(key), version: 10 };
    let StoreResponse::Get(answer) = store.call(StoreRequest::Get(request)).await else {
        panic!("another answer")
    };
    answer.region_error
}

async fn split(store: &Store, keys: &[&str]) -> Vec<metapb::Region> {
    let request = kvrpcpb::SplitRegionRequest {
        context: Some(store.context(keys[0].as_bytes())),
        split_keys: keys.iter().map(|key| bytes(key)).collect(),
        ..Default::default()
    };
    let StoreResponse::SplitRegion(answer) = store.call(StoreRequest::SplitRegion(request)).await else {
        panic!("another answer")
    };
    assert_eq!(answer.region_error, None);
    answer.regions
}

fn boundaries(regions: &[metapb::Region]) -> Vec<String> {
    let raw = |key: &[u8]| match key.is_empty() {
        true => String::new(),
        false => text(tidewater_codec::EncodedKey::from_encoded(key).decode().unwrap().as_bytes()),
    };
    regions.iter().map(|region| format!("{}..{}", raw(&region.start_key), raw(&region.end_key))).collect()
}

#[tokio::test]
async fn a_request_for_another_place_is_told_so() {
    let store = Store::memory().await;
    let good = store.context(b"k");
    assert_eq!(get_with(&store, Some(good.clone()), "k").await, None);
    assert!(get_with(&store, None, "k").await.unwrap().region_not_found.is_some());
    let wrong_region = kvrpcpb::Context { region_id: 999, ..good.clone() };
    assert_eq!(
        get_with(&store, Some(wrong_region), "k").await.unwrap().region_not_found.unwrap().region_id,
        999
    );
    let mut wrong_store = good.clone();
    wrong_store.peer.as_mut().unwrap().store_id = 77;
    assert_eq!(
        get_with(&store, Some(wrong_store), "k").await.unwrap().store_not_match.unwrap().request_store_id,
        77
    );
    let mut wrong_peer = good.clone();
    wrong_peer.peer.as_mut().unwrap().id = 88;
    assert!(get_with(&store, Some(wrong_peer), "k").await.unwrap().mismatch_peer_id.is_some());
}

#[tokio::test]
async fn a_split_makes_old_pictures_stale() {
    let store = Store::memory().await;
    store.write(5, &[("a", "1"), ("h", "2"), ("p", "3")]).await;
    let old = store.context(b"a");
    let regions = split(&store, &["p", "h", "h"]).await;
    assert_eq!(boundaries(&regions), ["..h", "h..p", "p.."]);
    assert_eq!(regions[0].id, old.region_id);
    assert!(regions.iter().all(|region| region.region_epoch.unwrap().version == 3));
    assert_eq!(store.pd.regions(), regions);
    let stale = get_with(&store, Some(old.clone()), "a").await.unwrap().epoch_not_match.unwrap();
    assert_eq!(stale.current_regions, regions[..2]);
    let outside =
        get_with(&store, Some(context_of(&regions[1])), "p").await.unwrap().key_not_in_region.unwrap();
    assert_eq!((outside.key, outside.region_id), (Key::new("p").encode().into_bytes().into(), regions[1].id));
    for key in ["a", "h", "p"] {
        assert!(store.value(key, 100).await.is_some());
    }
    // Scans are cut to the region.
    let request =
        kvrpcpb::ScanRequest { start_key: bytes("h"), limit: 10, version: 100, ..Default::default() };
    assert_eq!(store.scan(request).await.len(), 1);
    // Splitting at a boundary changes nothing.
    assert_eq!(split(&store, &["h"]).await, [regions[1].clone()]);
}

#[tokio::test]
async fn locks_and_waits_survive_a_split() {
    let store = Store::memory().await;
    store.prewrite(prewrite(10, &[("a", "1"), ("p", "2")])).await;
    store.lock(lock(20, 20, &["q"])).await;
    split(&store, &["h"]).await;
    assert!(store.get("p", 30).await.error.unwrap().locked.is_some());
    assert!(store.lock(lock(30, 30, &["q"])).await.errors[0].locked.is_some());
    assert_eq!(store.commit(&["p"], 10, 15).await, None);
    assert_eq!(store.commit(&["a"], 10, 15).await, None);
}

#[tokio::test]
async fn a_region_that_grows_splits_by_itself() {
    let config = NodeConfig { region_keys_max: 100, region_keys_split: 40, ..NodeConfig::default() };
    let store = Store::open(config, Arc::new(MemoryEngine::new()), Arc::default()).await;
    for number in 0..300u64 {
        // Versions of one key stay together.
        let key = format!("k{:03}", number / 2);
        store.write(1000 + number, &[(&key, "v")]).await;
    }
    while store.node.region_count() < 4 {
        tokio::task::yield_now().await;
    }
    let regions = store.pd.regions();
    assert!(regions[0].start_key.is_empty() && regions.last().unwrap().end_key.is_empty());
    assert!(regions.windows(2).all(|pair| pair[0].end_key == pair[1].start_key));
    for number in 0..150u64 {
        assert!(store.value(&format!("k{number:03}"), 1 << 40).await.is_some());
    }
}

#[tokio::test]
async fn a_new_cluster_is_split_before_it_serves() {
    let pd = Arc::<TestPd>::default();
    let engine = Arc::new(MemoryEngine::with_crashes());
    // More than one split can cut.
    let names = (0..100).map(|number| format!("k{number:03}")).collect::<Vec<_>>();
    let config = NodeConfig {
        bootstrap_split_keys: names.iter().rev().map(|name| Key::new(name.as_bytes())).collect(),
        ..NodeConfig::default()
    };
    let store = Store::open(config.clone(), engine.clone(), pd.clone()).await;
    let mut expected = vec![format!("..{}", names[0])];
    expected.extend(names.windows(2).map(|pair| format!("{}..{}", pair[0], pair[1])));
    expected.push(format!("{}..", names[99]));
    assert_eq!(boundaries(&store.pd.regions()), expected);
    drop(store);
    // An old cluster stays as it is, whatever the settings say.
    let other = NodeConfig { bootstrap_split_keys: vec![Key::new("other")], ..config };
    let store = Store::open(other, Arc::new(engine.crash()), pd).await;
    assert_eq!(boundaries(&store.pd.regions()), expected);
    assert_eq!(store.node.region_count(), 101);
}

#[tokio::test]
async fn a_region_splits_by_bytes() {
    let config =
        NodeConfig { region_bytes_max: 100_000, region_bytes_split: 60_000, ..NodeConfig::default() };
    let store = Store::open(config, Arc::new(MemoryEngine::new()), Arc::default()).await;
    let value = "v".repeat(1000);
    for number in 0..150u64 {
        store.write(1000 + number, &[(&format!("k{number:03}"), &value)]).await;
    }
    while store.node.region_count() < 2 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn regions_report_regularly() {
    let store = Store::memory().await;
    let before = store.pd.heartbeats.load(Ordering::SeqCst);
    tokio::time::sleep(std::time::Duration::from_secs(31)).await;
    assert_eq!(store.pd.heartbeats.load(Ordering::SeqCst), before + 3);
}

#[tokio::test(start_paused = true)]
async fn garbage_goes_when_the_safe_point_moves() {
    let store = Store::memory().await;
    for start_ts in [10, 20, 30] {
        store.prewrite(prewrite(start_ts, &[("k", "v")])).await;
        store.commit(&["k"], start_ts, start_ts + 5).await;
    }
    store.pd.safe_point.store(100, Ordering::SeqCst);
    tokio::time::sleep(std::time::Duration::from_secs(61)).await;
    assert_eq!(store.value("k", 26).await, None, "the version at 25 is gone");
    assert_eq!(store.value("k", 35).await.as_deref(), Some("v"));
}

#[tokio::test]
async fn a_store_with_data_is_no_new_cluster() {
    let engine = Arc::new(MemoryEngine::new());
    let store = Store::open(NodeConfig::default(), engine.clone(), Arc::default()).await;
    drop(store);
    // Before the first write a start that was cut short may be begun again.
    let store = Store::open(NodeConfig::default(), engine.clone(), Arc::default()).await;
    store.write(5, &[("a", "1")]).await;
    drop(store);
    let forgetful: Arc<TestPd> = Arc::default();
    let refused = Node::open(NodeConfig::default(), engine, forgetful.clone()).await;
    assert!(matches!(refused.err(), Some(NodeError::ClusterForgotten)));
    assert_eq!(forgetful.regions(), []);
}

#[tokio::test]
async fn the_second_store_of_a_cluster_has_no_region() {
    let first = Store::memory().await;
    let second = Store::open(NodeConfig::default(), Arc::new(MemoryEngine::new()), first.pd.clone()).await;
    assert_ne!(first.node.store_id(), second.node.store_id());
    assert_eq!((first.node.region_count(), second.node.region_count(), first.pd.store_count()), (1, 0, 2));
}

/// Orders a merge and waits until the store has reported it; returns the regions then.
async fn merge(store: &Store, source: u64, target: u64) -> Vec<metapb::Region> {
    store.pd.merges.lock().push((source, target));
    while store.pd.region_by_id(source).is_some() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // The report comes first, the store's own picture a moment later.
    while store.node.region_count() != store.pd.regions().len() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    store.pd.regions()
}

#[tokio::test(start_paused = true)]
async fn regions_merge_amid_transactions() {
    let store = Store::memory().await;
    store.write(5, &[("a", "1"), ("h", "2"), ("p", "3")]).await;
    let parts = split(&store, &["h", "p"]).await;
    store.prewrite(prewrite(10, &[("b", "4"), ("i", "5")][..1])).await;
    let mut secondary = prewrite(10, &[("i", "5")]);
    secondary.primary_lock = bytes("b");
    store.prewrite(secondary).await;
    store.lock(lock(20, 20, &["q"])).await;
    let old = [store.context(b"a"), store.context(b"i")];
    // To the left, then to the right: the target's id stays.
    let regions = merge(&store, parts[1].id, parts[0].id).await;
    assert_eq!(boundaries(&regions), ["..p", "p.."]);
    assert_eq!(regions[0].id, parts[0].id);
    let regions = merge(&store, regions[0].id, regions[1].id).await;
    assert_eq!((boundaries(&regions), regions[0].id), (vec!["..".to_owned()], parts[2].id));
    assert_eq!(regions[0].region_epoch.unwrap().version, 5);
    // Whoever believes in the old regions is refused.
    for (context, key) in old.into_iter().zip(["a", "i"]) {
        assert!(get_with(&store, Some(context), key).await.unwrap().region_not_found.is_some());
    }
    let stale = get_with(&store, Some(context_of(&parts[2])), "q").await.unwrap();
    assert_eq!(stale.epoch_not_match.unwrap().current_regions, regions);
    // Locks are where they were.
    assert!(store.get("i", 30).await.error.unwrap().locked.is_some());
    assert!(store.lock(lock(30, 30, &["q"])).await.errors[0].locked.is_some());
    assert_eq!(store.commit(&["b", "i"], 10, 15).await, None);
    for key in ["a", "b", "h", "i", "p"] {
        assert!(store.value(key, 100).await.is_some(), "{key}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_order_that_came_too_late_merges_nothing() {
    let store = Store::memory().await;
    let parts = split(&store, &["d", "h", "p"]).await;
    // Not neighbors.
    store.pd.merges.lock().push((parts[0].id, parts[2].id));
    // Itself.
    store.pd.merges.lock().push((parts[1].id, parts[1].id));
    while !store.pd.merges.lock().is_empty() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(store.pd.regions(), parts);
    assert_eq!(store.node.region_count(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_merge_survives_a_crash_whole() {
    let engine = Arc::new(MemoryEngine::with_crashes());
    let store = Store::open(NodeConfig::default(), engine.clone(), Arc::default()).await;
    store.write(5, &[("a", "1"), ("p", "3")]).await;
    let parts = split(&store, &["h"]).await;
    let before = engine.crash();
    // A placement driver that has not heard of the merge.
    let deaf = || Arc::new(store.pd.copy());
    let (deaf, other) = (deaf(), deaf());
    let merged = merge(&store, parts[0].id, parts[1].id).await;
    let after = engine.crash();
    drop(store);
    let store = Store::open(NodeConfig::default(), Arc::new(before), other).await;
    assert_eq!(store.pd.regions(), parts, "the merge was not written");
    drop(store);
    let store = Store::open(NodeConfig::default(), Arc::new(after), deaf).await;
    assert_eq!(store.pd.regions(), merged, "the store tells what it did");
    assert_eq!(store.value("p", 100).await.as_deref(), Some("3"));
    store.write(50, &[("a", "2")]).await;
}

#[tokio::test(start_paused = true)]
async fn an_emptied_region_says_so() {
    let store = Store::memory().await;
    let hour = Duration::from_secs(3600);
    for number in 0..50u64 {
        store.write(1000 + number, &[(&format!("k{number:03}"), "v")]).await;
    }
    let id = store.pd.regions()[0].id;
    assert_eq!(store.pd.reported_keys(id), None, "nobody has measured");
    tokio::time::sleep(hour).await;
    assert_eq!(store.pd.reported_keys(id), Some(50));
    let start = bytes("k010");
    let request =
        kvrpcpb::UnsafeDestroyRangeRequest { start_key: start, end_key: bytes("l"), ..Default::default() };
    call!(store, UnsafeDestroyRange, request);
    tokio::time::sleep(hour).await;
    assert_eq!(store.pd.reported_keys(id), Some(10));
}

#[tokio::test]
async fn a_store_that_did_not_found_the_cluster_forgets_its_first_region() {
    let pd = Arc::new(TestPd::default());
    let engine = Arc::new(MemoryEngine::new());
    let config = |address: &str| NodeConfig { address: address.into(), ..NodeConfig::default() };
    pd.loses_bootstrap.store(true, Ordering::SeqCst);
    let lost = Node::open(config("a"), engine.clone(), pd.clone()).await;
    assert!(matches!(lost, Err(NodeError::Pd(_))));
    pd.loses_bootstrap.store(false, Ordering::SeqCst);
    let founder = Store::open(config("b"), Arc::new(MemoryEngine::new()), pd.clone()).await;
    let late = Store::open(config("a"), engine.clone(), pd.clone()).await;
    assert_eq!((founder.node.region_count(), late.node.region_count()), (1, 0));
    // The founder keeps its own, also when its answer was what got lost.
    drop(late);
    assert_eq!(Store::open(config("a"), engine, pd).await.node.region_count(), 0);
}
