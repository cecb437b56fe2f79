//! What the placement driver has done to regions on real stores: spread, cut, merged, and what busy regions come to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tidewater_codec::Key;
use tidewater_kv::NodeConfig;
use tidewater_pd::ScheduleConfig;
use tidewater_proto::{PdError, PdService, pdpb};
use tidewater_txn::TxnOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::replicated::Replicated;

const PATIENCE: Duration = Duration::from_secs(60);

fn quick() -> NodeConfig {
    NodeConfig { heartbeat_interval: Duration::from_millis(300), ..NodeConfig::default() }
}

/// Nothing is merged, and nothing balanced: stores count as even whatever they have.
fn still() -> ScheduleConfig {
    ScheduleConfig { merges_max: 0, balance_tolerance: 1_000, ..ScheduleConfig::default() }
}

/// Posts to the driver's pages; the status and the answer.
async fn post(cluster: &Replicated, path: &str, body: &str) -> String {
    let address = cluster.pd_url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /pd/api/v1/{path} HTTP/1.1\r\nHost: pd\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn until(cluster: &Replicated, what: &str, holds: impl Fn(&[pdpb::Region]) -> bool) {
    let begun = Instant::now();
    loop {
        let regions = cluster.regions().await;
        if holds(&regions) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{what}: {regions:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn leaders(regions: &[pdpb::Region]) -> BTreeMap<u64, u64> {
    let led = regions.iter().filter_map(|region| Some((region.region.as_ref()?.id, region.leader?.store_id)));
    led.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_regions_are_spread_over_the_stores() {
    let cluster = Replicated::start_with(5, quick(), still()).await;
    cluster.wait_for_replicas(3).await;
    let client = cluster.client();
    let keys: Vec<_> = (0..10).map(|index| Key::new(format!("t{index}"))).collect();
    let new = client.split_regions(keys.clone()).await.unwrap();
    assert_eq!(new.len(), 10);
    let group = "t".to_owned();
    let request = pdpb::ScatterRegionRequest { regions_id: new.clone(), group, ..Default::default() };
    let answer = cluster.pd.scatter_region(request).await.unwrap();
    assert_eq!((answer.finished_percentage, answer.failed_regions_id.len()), (100, 0));
    // As TiDB waits.
    let begun = Instant::now();
    for region_id in &new {
        loop {
            let request = pdpb::GetOperatorRequest { region_id: *region_id, ..Default::default() };
            let operator = cluster.pd.get_operator(request).await.unwrap();
            if operator.desc != "scatter-region" || operator.status() != pdpb::OperatorStatus::Running {
                break;
            }
            assert!(begun.elapsed() < PATIENCE, "{operator:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    eprintln!("spread after {:?}", begun.elapsed());
    let regions = cluster.regions().await;
    let (mut peers, mut led) = (BTreeMap::<u64, usize>::new(), BTreeMap::<u64, usize>::new());
    for region in regions.iter().filter(|region| new.contains(&region.region.as_ref().unwrap().id)) {
        for peer in &region.region.as_ref().unwrap().peers {
            *peers.entry(peer.store_id).or_default() += 1;
        }
        *led.entry(region.leader.unwrap().store_id).or_default() += 1;
    }
    assert_eq!(peers.into_values().collect::<Vec<_>>(), [6; 5]);
    assert_eq!(led.into_values().collect::<Vec<_>>(), [2; 5]);
    // What was cut can be read and written.
    let mut txn = client.begin(TxnOptions::default()).await.unwrap();
    keys.iter().for_each(|key| txn.put(key.clone(), b"v".to_vec()).unwrap());
    txn.commit().await.unwrap();
    let unknown = pdpb::ScatterRegionRequest { region_id: 9_999_999, ..Default::default() };
    assert_eq!(cluster.pd.scatter_region(unknown).await.unwrap().failed_regions_id, [9_999_999]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn regions_are_cut_and_merged_by_hand() {
    let cluster = Replicated::start_with(3, quick(), still()).await;
    cluster.wait_for_replicas(3).await;
    let client = cluster.client();
    let mut txn = client.begin(TxnOptions::default()).await.unwrap();
    for index in 0..100 {
        txn.put(Key::new(format!("k{index:02}")), vec![b'v'; 100]).unwrap();
    }
    txn.commit().await.unwrap();
    let first = *leaders(&cluster.regions().await).keys().next().unwrap();
    for policy in ["scan", "approximate"] {
        let before = cluster.regions().await.len();
        let body = format!(r#"{{"name":"split-region","region_id":{first},"policy":"{policy}"}}"#);
        let answer = post(&cluster, "operators", &body).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        until(&cluster, policy, |regions| regions.len() == before + 1).await;
    }
    let middle = cluster.regions().await[1].region.clone().unwrap();
    let cut = tidewater_codec::EncodedKey::from_encoded(middle.start_key.to_vec()).decode().unwrap();
    let number: u32 = String::from_utf8_lossy(&cut.as_bytes()[1..]).parse().unwrap();
    assert!((15..=35).contains(&number), "the second cut is in the middle of the first half: {number}");
    // Where the caller wants it, and told when it is done.
    let border = Bytes::from(Key::new("k90").encode().into_bytes());
    let request = pdpb::SplitRegionsRequest { split_keys: vec![border], ..Default::default() };
    let answer = cluster.pd.split_regions(request).await.unwrap();
    assert_eq!((answer.finished_percentage, answer.regions_id.len()), (100, 1));
    let odd = pdpb::SplitRegionsRequest { split_keys: vec![Bytes::from_static(b"k")], ..Default::default() };
    assert!(matches!(cluster.pd.split_regions(odd).await, Err(PdError::InvalidValue { .. })));
    // And back, all into the first.
    loop {
        let regions = cluster.regions().await;
        let [_, second, ..] = &regions[..] else { break };
        let second = second.region.as_ref().unwrap().id;
        let body =
            format!(r#"{{"name":"merge-region","source_region_id":{second},"target_region_id":{first}}}"#);
        // A part is not well at once.
        if post(&cluster, "operators", &body).await.starts_with("HTTP/1.1 200") {
            let before = regions.len();
            until(&cluster, "merged", |regions| regions.len() < before).await;
        } else {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    let mut txn = client.begin(TxnOptions::default()).await.unwrap();
    for index in 0..100 {
        assert!(txn.get(&Key::new(format!("k{index:02}"))).await.unwrap().is_some());
    }
    txn.rollback().await.unwrap();
}

/// A region that is read much is cut by its store, and the hot-region scheduler has another store lead one half.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_region_is_cut_and_led_from_two_stores() {
    let config = NodeConfig {
        heartbeat_interval: Duration::from_secs(1),
        split_qps_threshold: 40,
        ..NodeConfig::default()
    };
    let schedule = ScheduleConfig { hot_load_min: 500, ..still() };
    let cluster = Replicated::start_with(3, config, schedule).await;
    cluster.wait_for_replicas(3).await;
    let client = cluster.client();
    let key = |index: u64| Key::new(format!("h{index:03}"));
    let mut txn = client.begin(TxnOptions::default()).await.unwrap();
    (0..200).for_each(|index| txn.put(key(index), vec![b'v'; 64]).unwrap());
    txn.commit().await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let readers = (0..2u64).map(|reader| {
        let (client, stop) = (cluster.client(), stop.clone());
        tokio::spawn(async move {
            let mut number = reader;
            while !stop.load(Ordering::Relaxed) {
                let mut txn = client.begin(TxnOptions::default()).await.unwrap();
                for _ in 0..20 {
                    number = (number * 57 + 31) % 200;
                    assert!(txn.get(&key(number)).await.unwrap().is_some());
                }
                txn.rollback().await.unwrap();
            }
        })
    });
    let readers: Vec<_> = readers.collect();
    assert_eq!(cluster.regions().await.len(), 1);
    until(&cluster, "cut", |regions| regions.len() > 1).await;
    until(&cluster, "led from two stores", |regions| {
        leaders(regions).into_values().collect::<BTreeSet<_>>().len() > 1
    })
    .await;
    stop.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.await.unwrap();
    }
    let border = cluster.regions().await[0].region.clone().unwrap().end_key;
    let cut = tidewater_codec::EncodedKey::from_encoded(border.to_vec()).decode().unwrap();
    assert!(cut > key(0) && cut < key(199), "{cut:?}");
}
