//! Raw commands: all of them, expiry, regions, restarts.

use std::sync::Arc;

use tidewater_kv::{Cf, Engine, IteratorOptions, MemoryEngine, NodeConfig, RocksEngine};
use tidewater_proto::kvrpcpb;
use tidewater_types::clock::ManualClock;

use crate::{
    call,
    support::{raw_client::RawClient, *},
};

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

async fn split_at(store: &Store, keys: &[&[u8]]) {
    let request = kvrpcpb::SplitRegionRequest {
        context: Some(store.context(keys[0])),
        split_keys: keys.iter().map(|key| key.to_vec().into()).collect(),
        ..Default::default()
    };
    assert_eq!(call!(store, SplitRegion, request).region_error, None);
}

fn engine_entries(engine: &dyn Engine) -> usize {
    let mut cursor =
        engine.snapshot().iterator(Cf::Default, IteratorOptions::range(b"r".to_vec(), Some(b"s".to_vec())));
    let (mut count, mut valid) = (0, cursor.seek(b"r").unwrap());
    while valid {
        count += 1;
        valid = cursor.next().unwrap();
    }
    count
}

#[tokio::test]
async fn every_command_in_every_space() {
    let store = Store::memory().await;
    for version in 0..3 {
        for cf in ["", "lock", "write"] {
            let client = RawClient::new(&store, version).in_family(cf);
            // Versions 0 and 1 are one space.
            client.delete_range("", "").await;
            assert_eq!(client.get("a").await, None);
            client.put("a", "1").await;
            client.put("empty", "").await;
            assert_eq!(client.batch_put(&[("b", "2"), ("c", "3"), ("d", "4")], &[]).await, "");
            assert_eq!(client.get("a").await.as_deref(), Some("1"));
            assert_eq!(client.get("empty").await.as_deref(), Some(""));
            assert_eq!(client.batch_get(&["c", "x", "a"]).await, pairs(&[("c", "3"), ("a", "1")]));
            assert_eq!(client.ttl("a").await, Some(0));
            assert_eq!(client.scan("b", "d").await, pairs(&[("b", "2"), ("c", "3")]));
            assert_eq!(
                client.scan_at("", "a", "d", 2, true).await,
                pairs(&[("c", "3"), ("b", "2")]),
                "from the upper end, which is not in it"
            );
            assert_eq!(client.scan_at("", "", "", 2, true).await, pairs(&[("empty", ""), ("d", "4")]));
            assert_eq!(client.scan_at("", "", "", 0, false).await, []);
            assert_eq!(client.cas("a", Some("2"), "9").await, (false, Some("1".into())));
            assert_eq!(client.cas("a", None, "9").await, (false, Some("1".into())));
            assert_eq!(client.cas("a", Some("1"), "9").await, (true, Some("1".into())));
            assert_eq!(client.cas("new", None, "x").await, (true, None));
            assert_eq!(client.cas("newer", Some(""), "x").await, (false, None));
            client.delete("a").await;
            client.batch_delete(&["new", "b", "never"]).await;
            client.delete_range("d", "").await;
            assert_eq!(client.scan("", "").await, pairs(&[("c", "3")]));
        }
    }
}

#[tokio::test]
async fn batch_scans_go_through_their_ranges() {
    let store = Store::memory().await;
    let client = RawClient::new(&store, 2);
    for name in ["a", "b", "c", "d", "e"] {
        client.put(name, name).await;
    }
    let range = |start: &str, end: Option<&str>| kvrpcpb::KeyRange {
        start_key: client.key(start),
        end_key: end.map(|end| client.end(end)).unwrap_or_default(),
    };
    let request = kvrpcpb::RawBatchScanRequest {
        context: Some(client.context("")),
        ranges: vec![range("a", None), range("d", Some(""))],
        each_limit: 10,
        key_only: true,
        ..Default::default()
    };
    let answer = call!(store, RawBatchScan, request.clone());
    let expected = pairs(&[("a", ""), ("b", ""), ("c", ""), ("d", ""), ("e", "")]);
    assert_eq!(client.pairs(answer.kvs), expected, "a range without an end goes on to the next one");
    let backward = kvrpcpb::RawBatchScanRequest {
        ranges: vec![range("c", Some("a")), range("e", Some("c"))],
        each_limit: 1,
        reverse: true,
        key_only: false,
        ..request
    };
    let answer = call!(store, RawBatchScan, backward);
    assert_eq!(client.pairs(answer.kvs), pairs(&[("b", "b"), ("d", "d")]));
}

#[tokio::test]
async fn kinds_of_data_do_not_see_each_other() {
    let store = Store::memory().await;
    let (plain, spaced) = (RawClient::new(&store, 0), RawClient::new(&store, 2));
    // The same bytes three times, and once more in another family.
    let key = "r\0\0\0k";
    plain.put(key, "plain").await;
    spaced.put("k", "with a keyspace").await;
    spaced.in_family("lock").put("k", "another family").await;
    let ts = store.write(10, &[(key, "transaction")]).await;
    assert_eq!(plain.scan("", "").await, pairs(&[(key, "plain")]));
    assert_eq!(spaced.scan("", "").await, pairs(&[("k", "with a keyspace")]));
    assert_eq!(spaced.in_family("lock").scan("", "").await, pairs(&[("k", "another family")]));
    assert_eq!(store.value(key, ts).await.as_deref(), Some("transaction"));
    let request = kvrpcpb::ScanRequest { limit: 10, version: ts, ..Default::default() };
    assert_eq!(store.scan(request).await.len(), 1);
    // Who destroys transactional data leaves raw data alone, and the other way round.
    let destroy =
        |api_version, start: &'static [u8], end: &'static [u8]| kvrpcpb::UnsafeDestroyRangeRequest {
            context: Some(kvrpcpb::Context { api_version, ..Default::default() }),
            start_key: start.into(),
            end_key: end.into(),
        };
    assert_eq!(call!(store, UnsafeDestroyRange, destroy(2, b"r\0\0\0", b"r\0\0\x01")).error, "");
    assert_eq!((spaced.get("k").await, spaced.in_family("lock").get("k").await), (None, None));
    assert_eq!(plain.get(key).await.as_deref(), Some("plain"));
    assert_eq!(store.value(key, ts).await.as_deref(), Some("transaction"));
    assert_eq!(call!(store, UnsafeDestroyRange, destroy(0, b"", b"")).error, "");
    assert_eq!(plain.get(key).await.as_deref(), Some("plain"));
    assert_eq!(store.value(key, ts).await, None);
}

#[tokio::test(start_paused = true)]
async fn what_expires_is_gone_at_once_and_swept_later() {
    let clock = Arc::new(ManualClock::new(1_000_000_000));
    let engine = Arc::new(MemoryEngine::new());
    let config = NodeConfig { clock: clock.clone(), ..NodeConfig::default() };
    let store = Store::open(config, engine.clone(), Arc::default()).await;
    let client = RawClient::new(&store, 2);
    client.put_for("ten", "x", 10).await;
    assert_eq!(client.batch_put(&[("five", "x"), ("twenty", "x"), ("ever", "x")], &[5, 20, 0]).await, "");
    assert_eq!(client.batch_put(&[("all", "x"), ("of them", "x")], &[5]).await, "");
    assert!(
        client.batch_put(&[("a", "x"), ("b", "x")], &[1, 2, 3]).await.contains("3 times to live for 2 pairs")
    );
    assert_eq!(
        (
            client.ttl("ten").await,
            client.ttl("five").await,
            client.ttl("of them").await,
            client.ttl("ever").await
        ),
        (Some(10), Some(5), Some(5), Some(0))
    );
    clock.advance_micros(9_999_999);
    assert_eq!((client.ttl("ten").await, client.get("ten").await.as_deref()), (Some(1), Some("x")));
    assert_eq!((client.ttl("five").await, client.get("five").await), (None, None));
    clock.advance_micros(1);
    assert_eq!(client.get("ten").await, None);
    assert_eq!(client.batch_get(&["ten", "twenty"]).await, pairs(&[("twenty", "x")]));
    assert_eq!(client.scan("", "").await, pairs(&[("ever", "x"), ("twenty", "x")]));
    assert_eq!(client.cas("ten", None, "new").await, (true, None), "nothing is there");
    assert_eq!(client.ttl("ten").await, Some(0));
    // A write after the expiry stays, whoever sweeps.
    client.put_for("five", "again", 100).await;
    assert_eq!(engine_entries(&*engine), 6);
    tokio::time::sleep(std::time::Duration::from_secs(61)).await;
    assert_eq!(engine_entries(&*engine), 4);
    let left = pairs(&[("ever", "x"), ("five", "again"), ("ten", "new"), ("twenty", "x")]);
    assert_eq!(client.scan("", "").await, left);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn swaps_of_many_tasks_all_count() {
    const TASKS: usize = 8;
    const ROUNDS: usize = 50;
    let dir = tempfile::tempdir().unwrap();
    let engine = Arc::new(RocksEngine::open(dir.path()).unwrap());
    let store = Arc::new(Store::open(NodeConfig::default(), engine, Arc::default()).await);
    let mut tasks = Vec::new();
    for _ in 0..TASKS {
        let store = store.clone();
        tasks.push(tokio::spawn(async move {
            let client = RawClient::new(&store, 2);
            for _ in 0..ROUNDS {
                let mut seen = client.get("counter").await;
                loop {
                    let count = seen.as_deref().map_or(0, |seen| seen.parse::<usize>().unwrap());
                    match client.cas("counter", seen.as_deref(), &(count + 1).to_string()).await {
                        (true, _) => break,
                        (false, now) => seen = now,
                    }
                }
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let expected = (TASKS * ROUNDS).to_string();
    assert_eq!(RawClient::new(&store, 2).get("counter").await, Some(expected));
}

#[tokio::test]
async fn scans_are_cut_to_the_region_in_both_directions() {
    for version in [0, 2] {
        let store = Store::memory().await;
        let client = RawClient::new(&store, version);
        for name in ["a", "b", "c", "d", "e", "f"] {
            client.put(name, name).await;
        }
        // A boundary is an encoded key: for plain keys it lies above the key itself.
        split_at(&store, &[&client.key("c"), &client.key("e")]).await;
        let middle = if version == 2 { "c" } else { "d" };
        for (reverse, at, expected) in [
            (false, "a", if version == 2 { "ab" } else { "abc" }),
            (false, middle, if version == 2 { "cd" } else { "de" }),
            (false, "f", if version == 2 { "ef" } else { "f" }),
            (true, "a", if version == 2 { "ba" } else { "cba" }),
            (true, middle, if version == 2 { "dc" } else { "ed" }),
        ] {
            let found = client.scan_at(at, "", "", 10, reverse).await;
            let found = found.into_iter().map(|(key, _)| key).collect::<String>();
            assert_eq!(found, expected, "version {version} at {at}, reverse {reverse}");
        }
        assert_eq!(
            client.scan_at("a", "f", "", 10, false).await,
            [],
            "nothing of the range is in the region"
        );
        let misplaced = kvrpcpb::RawGetRequest {
            context: Some(client.context("a")),
            key: client.key("f"),
            ..Default::default()
        };
        let error = call!(store, RawGet, misplaced).region_error.unwrap();
        let expected = match version {
            2 => tidewater_codec::Key::new(client.key("f").to_vec()).encode().into_bytes(),
            _ => b"f".to_vec(),
        };
        assert_eq!(error.key_not_in_region.unwrap().key, expected);
        client.delete_range("a", "").await;
        assert_eq!(client.get("b").await, None);
        assert!(client.get("f").await.is_some(), "a range is deleted in one region");
    }
}

#[tokio::test]
async fn small_regions_split_promptly() {
    let config = NodeConfig { region_keys_max: 10, region_keys_split: 7, ..NodeConfig::default() };
    let store = Store::open(config, Arc::new(MemoryEngine::new()), Arc::default()).await;
    let name = |number: usize| format!("{number:04}-name");
    for number in 0..200 {
        RawClient::new(&store, 0).put(&name(number), "plain").await;
        RawClient::new(&store, 2).put(&name(number), "spaced").await;
    }
    // One transaction of many keys, in one request to one region: more than one split can cut.
    let names = (0..1000).map(|number| format!("x-{}", name(number))).collect::<Vec<_>>();
    let all = names.iter().map(|name| (name.as_str(), "v")).collect::<Vec<_>>();
    store.write(1 << 30, &all).await;
    // 1400 keys, at most 9 in a region.
    wait_for(&store, |regions| regions > 1400 / 9).await;
    for number in 0..200 {
        assert_eq!(RawClient::new(&store, 0).get(&name(number)).await.as_deref(), Some("plain"));
        assert_eq!(RawClient::new(&store, 2).get(&name(number)).await.as_deref(), Some("spaced"));
    }
    for name in &names {
        assert_eq!(store.value(name, u64::MAX - 1).await.as_deref(), Some("v"), "{name}");
    }
    let regions = store.pd.regions();
    assert!(regions[0].start_key.is_empty() && regions.last().unwrap().end_key.is_empty());
    assert!(regions.windows(2).all(|pair| pair[0].end_key == pair[1].start_key));
}

/// Every boundary is an encoded key, and between keys that share eight bytes there is none: a split there would make empty regions.
#[tokio::test]
async fn plain_keys_that_cannot_be_told_apart_stay_together() {
    let config = NodeConfig { region_keys_max: 10, region_keys_split: 7, ..NodeConfig::default() };
    let store = Store::open(config, Arc::new(MemoryEngine::new()), Arc::default()).await;
    let client = RawClient::new(&store, 0);
    for number in 0..600 {
        client.put(&format!("together{number:04}"), "v").await;
    }
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    assert_eq!(store.node.region_count(), 1);
    for number in 0..20 {
        client.put(&format!("{number:04}-apart"), "v").await;
    }
    wait_for(&store, |regions| regions >= 3).await;
    assert_eq!(client.get("together0599").await.as_deref(), Some("v"));
}

async fn wait_for(store: &Store, enough: impl Fn(usize) -> bool) {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    while !enough(store.node.region_count()) {
        assert!(tokio::time::Instant::now() < deadline, "{} regions", store.node.region_count());
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn each_kind_of_data_splits_its_region() {
    for version in [0, 2] {
        let config =
            NodeConfig { region_bytes_max: 20_000, region_bytes_split: 10_000, ..NodeConfig::default() };
        let store = Store::open(config, Arc::new(MemoryEngine::new()), Arc::default()).await;
        let client = RawClient::new(&store, version);
        for number in 0..60 {
            client.put(&format!("{number:03}"), &"v".repeat(1000)).await;
        }
        wait_for(&store, |regions| regions >= 4).await;
        for number in 0..60 {
            assert!(client.get(&format!("{number:03}")).await.is_some());
        }
    }
}

#[tokio::test]
async fn raw_data_survives_a_restart_and_what_was_deleted_stays_away() {
    let dir = tempfile::tempdir().unwrap();
    let pd = Arc::<TestPd>::default();
    let clock = Arc::new(ManualClock::new(1_000_000_000));
    let config = NodeConfig { clock: clock.clone(), ..NodeConfig::default() };
    {
        let engine = Arc::new(RocksEngine::open(dir.path()).unwrap());
        let store = Store::open(config.clone(), engine.clone(), pd.clone()).await;
        for version in [0, 2] {
            let client = RawClient::new(&store, version);
            for name in ["a", "b", "c", "d"] {
                client.put_for(name, name, 100).await;
            }
            // The last key of a file is the end of the range: it is not in it.
            engine.flush().unwrap();
            client.delete_range("b", "d").await;
        }
    }
    clock.advance_micros(60_000_000);
    let engine = Arc::new(RocksEngine::open(dir.path()).unwrap());
    let store = Store::open(config, engine, pd).await;
    for version in [0, 2] {
        let client = RawClient::new(&store, version);
        assert_eq!(client.scan("", "").await, pairs(&[("a", "a"), ("d", "d")]), "version {version}");
        assert_eq!(client.ttl("a").await, Some(40));
    }
}

#[tokio::test]
async fn raw_data_survives_a_power_failure() {
    let engine = Arc::new(MemoryEngine::with_crashes());
    let pd = Arc::<TestPd>::default();
    let store = Store::open(NodeConfig::default(), engine.clone(), pd.clone()).await;
    let client = RawClient::new(&store, 2);
    client.put("kept", "1").await;
    client.put("deleted", "1").await;
    client.delete_range("d", "e").await;
    assert_eq!(client.cas("swapped", None, "1").await, (true, None));
    let survivor = Arc::new(engine.crash());
    let store = Store::open(NodeConfig::default(), survivor, pd).await;
    let expected = pairs(&[("kept", "1"), ("swapped", "1")]);
    assert_eq!(RawClient::new(&store, 2).scan("", "").await, expected);
}

#[tokio::test]
async fn checksums_are_those_of_crc64_xz() {
    let store = Store::memory().await;
    let client = RawClient::new(&store, 0);
    let sum = async || {
        let request = kvrpcpb::RawChecksumRequest {
            context: Some(client.context("")),
            ranges: vec![kvrpcpb::KeyRange::default()],
            ..Default::default()
        };
        let answer = call!(store, RawChecksum, request);
        (answer.checksum, answer.total_kvs, answer.total_bytes)
    };
    assert_eq!(sum().await, (0, 0, 0));
    client.put("1234", "56789").await;
    // The check value of the catalog of parametrised CRC algorithms.
    assert_eq!(sum().await, (0x995d_c9bb_df19_39fa, 1, 9));
    client.put("12345", "6789").await;
    assert_eq!(sum().await, (0, 2, 18), "the order does not matter, so equal sums cancel");
}

#[tokio::test]
async fn requests_that_break_a_rule_are_told_which() {
    let config =
        NodeConfig { key_bytes_max: 10, entry_bytes_max: 20, batch_bytes_max: 30, ..NodeConfig::default() };
    let store = Store::open(config, Arc::new(MemoryEngine::new()), Arc::default()).await;
    let (plain, spaced) = (RawClient::new(&store, 0), RawClient::new(&store, 2));
    let unprefixed = kvrpcpb::RawPutRequest { key: bytes("k"), ..spaced.put_request("k", "v") };
    let of_the_future = |mut request: kvrpcpb::RawPutRequest| {
        request.context.as_mut().unwrap().api_version = 9;
        request
    };
    for (request, expected) in [
        (plain.in_family("raft").put_request("k", "v"), "unknown column family \"raft\""),
        (unprefixed, "key mode mismatch: 6b is not a key of a raw request of API V2"),
        (of_the_future(plain.put_request("k", "v")), "unknown API version 9"),
        (plain.put_request("a key too long", ""), "a key of 14 bytes is larger than key_bytes_max, 10"),
        (plain.put_request("k", &"v".repeat(20)), "an entry of 21 bytes is larger than entry_bytes_max, 20"),
    ] {
        let answer = call!(store, RawPut, request);
        assert!(answer.error.contains(expected), "{} is not {expected}", answer.error);
        assert_eq!(answer.region_error, None);
    }
    let large = [("a", "0123456789"), ("b", "0123456789"), ("c", "0123456789")];
    assert_eq!(plain.batch_put(&large, &[]).await, "a batch of 33 bytes is larger than batch_bytes_max, 30");
    // Answers without a place for an error tell it in place of a pair.
    let scan = kvrpcpb::RawScanRequest {
        context: Some(plain.context("")),
        cf: "raft".into(),
        limit: 10,
        ..Default::default()
    };
    let answer = call!(store, RawScan, scan);
    assert!(answer.kvs[0].error.as_ref().unwrap().abort.contains("unknown column family"));
    let nowhere = kvrpcpb::RawGetRequest { key: bytes("k"), ..Default::default() };
    assert!(call!(store, RawGet, nowhere).region_error.unwrap().region_not_found.is_some());
}
