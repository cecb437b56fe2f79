//! The pages over a socket, with stores and regions that report themselves as real ones do.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use tidewater_pd::{MemoryStorage, PdConfig, PlacementDriver, ScheduleConfig};
use tidewater_proto::{PdService, metapb, pdpb};
use tidewater_types::clock::ManualClock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A driver with three stores and the regions 101 (up to `m`) and 102, both led by store 1.
struct Served {
    pd: Arc<PlacementDriver>,
    storage: Arc<MemoryStorage>,
    clock: Arc<ManualClock>,
    address: String,
}

fn config() -> PdConfig {
    let schedule = ScheduleConfig { replicated: true, merges_max: 0, ..ScheduleConfig::default() };
    PdConfig { schedule, ..PdConfig::default() }
}

impl Served {
    async fn start() -> Self {
        let clock = Arc::new(ManualClock::new(1_700_000_000_000_000));
        let storage = Arc::new(MemoryStorage::new());
        let pd = PlacementDriver::open(config(), storage.clone(), clock.clone()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let pages = {
            let pd = pd.clone();
            tidewater_pd_http::pages(move || Some(pd.clone()))
        };
        tokio::spawn(async move { axum::serve(listener, pages).await.unwrap() });
        let served = Self { pd, storage, clock, address };
        served.report().await;
        served
    }

    /// Everybody reports once.
    async fn report(&self) {
        for id in 1..=3 {
            let store = metapb::Store { id, address: format!("store-{id}:20160"), ..Default::default() };
            self.pd
                .put_store(pdpb::PutStoreRequest { store: Some(store), ..Default::default() })
                .await
                .unwrap();
            let stats = pdpb::StoreStats {
                store_id: id,
                capacity: 200 << 30,
                available: 150 << 30,
                ..Default::default()
            };
            let beat = pdpb::StoreHeartbeatRequest { stats: Some(stats), ..Default::default() };
            self.pd.store_heartbeat(beat).await.unwrap();
        }
        for (id, start, end) in [(101, "", "m"), (102, "m", "")] {
            let peers: Vec<_> = (1..=3)
                .map(|store_id| metapb::Peer { id: id * 10 + store_id, store_id, ..Default::default() })
                .collect();
            let region = metapb::Region {
                id,
                start_key: Bytes::from_static(start.as_bytes()),
                end_key: Bytes::from_static(end.as_bytes()),
                region_epoch: Some(metapb::RegionEpoch { conf_ver: 3, version: 2 }),
                peers: peers.clone(),
            };
            let beat = pdpb::RegionHeartbeatRequest {
                region: Some(region),
                leader: Some(peers[0]),
                term: 5,
                approximate_size: 7,
                approximate_keys: 700,
                bytes_read: 50_000_000,
                bytes_written: 1_000,
                interval: Some(pdpb::TimeInterval { start_timestamp: 0, end_timestamp: 10 }),
                ..Default::default()
            };
            self.pd.region_heartbeat(beat).await.unwrap();
        }
    }

    /// The status and the body.
    async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let body = body.map_or_else(String::new, |body| body.to_string());
        self.ask_raw(method, path, body.as_bytes()).await
    }

    async fn ask_raw(&self, method: &str, path: &str, body: &[u8]) -> (u16, Value) {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        let head = format!(
            "{method} /pd/api/v1/{path} HTTP/1.1\r\nHost: pd\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }

    async fn get(&self, path: &str) -> Value {
        let (status, page) = self.ask("GET", path, None).await;
        assert_eq!(status, 200, "{path}: {page}");
        page
    }

    async fn change(&self, method: &str, path: &str, body: Option<Value>) {
        let (status, page) = self.ask(method, path, body).await;
        assert_eq!(status, 200, "{method} {path}: {page}");
    }
}

#[tokio::test]
async fn stores_and_regions_are_shown_in_the_form_of_pd() {
    let served = Served::start().await;
    let stores = served.get("stores").await;
    assert_eq!(stores["count"], 3);
    let first = &stores["stores"][0];
    assert_eq!(first["store"]["state_name"], "Up");
    assert_eq!((&first["status"]["leader_count"], &first["status"]["leader_size"]), (&json!(2), &json!(14)));
    assert_eq!(first["status"]["capacity"], "200GiB");
    assert_eq!(first["status"]["last_heartbeat_ts"], "2023-11-14T22:13:20Z");
    assert_eq!(served.get("store/2").await["status"]["leader_count"], 0);

    let regions = served.get("regions?limit=1").await;
    assert_eq!((&regions["count"], regions["regions"].as_array().unwrap().len()), (&json!(2), 1));
    let first = &regions["regions"][0];
    assert_eq!((&first["id"], &first["end_key"]), (&json!(101), &json!("6D")));
    assert_eq!(
        first["leader"],
        json!({ "id": 1011, "store_id": 1, "role_name": "Voter", "is_learner": false })
    );
    assert_eq!((&first["approximate_size"], &first["approximate_keys"]), (&json!(7), &json!(700)));
    assert_eq!(served.get("region/key/z").await["id"], 102);
    assert_eq!(served.get("region/key/61?format=hex").await["id"], 101);
    assert_eq!(served.get("region/id/102").await["start_key"], "6D");
    assert_eq!(served.get("regions/key?key=n").await["count"], 1);
    assert_eq!(served.get("regions/store/3").await["count"], 2);
    assert_eq!(served.get("regions/count").await["count"], 2);
    // After a minute without a word a store is not reached, after half an hour it is lost.
    for (seconds, name) in [(60, "Disconnected"), (1800, "Down")] {
        served.clock.advance_micros(seconds * 1_000_000);
        assert_eq!(served.get("store/1").await["store"]["state_name"], name);
    }
}

#[tokio::test]
async fn stores_are_emptied_and_labeled() {
    let served = Served::start().await;
    served.change("DELETE", "store/3", None).await;
    assert_eq!(served.get("store/3").await["store"]["state_name"], "Offline");
    served.change("POST", "store/3/state?state=Up", None).await;
    assert_eq!(served.get("store/3").await["store"]["state_name"], "Up");
    served.change("POST", "store/3/label", Some(json!({ "zone": "a", "host": "h1" }))).await;
    served.change("POST", "store/3/label", Some(json!({ "zone": "b", "host": "" }))).await;
    // The store does not know of them when it says again that it is there.
    served.report().await;
    assert_eq!(served.get("store/3").await["store"]["labels"], json!([{ "key": "zone", "value": "b" }]));
    assert_eq!(served.get("stores?state=Offline").await["count"], 0);
}

#[tokio::test]
async fn operators_are_asked_for_shown_and_given_up() {
    let served = Served::start().await;
    let transfer = json!({ "name": "transfer-leader", "region_id": 101, "to_store_id": 2 });
    served.change("POST", "operators", Some(transfer.clone())).await;
    let shown = served.get("operators?kind=admin").await;
    assert_eq!((&shown[0]["region_id"], &shown[0]["kind"]), (&json!(101), &json!("admin")));
    assert_eq!(shown[0]["steps"], json!(["transfer leader from store 1 to store 2"]));
    let (status, reason) = served.ask("POST", "operators", Some(transfer)).await;
    assert!(status == 409 && reason.as_str().unwrap().contains("has an operator already"), "{reason}");
    served.change("DELETE", "operators/101", None).await;
    assert_eq!(served.get("operators").await, json!([]));
    let ended = served.get("operators/records").await;
    assert_eq!((&ended[0]["region_id"], &ended[0]["status"]), (&json!(101), &json!("CANCEL")));
}

#[tokio::test]
async fn regions_are_cut_merged_and_scattered_by_hand() {
    let served = Served::start().await;
    let split = json!({ "name": "split-region", "region_id": 101, "policy": "approximate" });
    served.change("POST", "operators", Some(split)).await;
    assert_eq!(served.get("operators/101").await["steps"], json!(["split with policy approximate"]));
    served.change("DELETE", "operators/101", None).await;
    let merge = json!({ "name": "merge-region", "source_region_id": 101, "target_region_id": 102 });
    served.change("POST", "operators", Some(merge)).await;
    assert_eq!(served.get("operators/101").await["steps"], json!(["merge into region 102"]));
    served.change("DELETE", "operators/101", None).await;
    let scatter = json!({ "name": "scatter-region", "region_id": 102, "group": "t" });
    served.change("POST", "operators", Some(scatter)).await;
    let scatter = json!({ "name": "scatter-regions", "region_ids": [101, 102] });
    served.change("POST", "operators", Some(scatter)).await;
    served.change("POST", "store/2/weight", Some(json!({ "leader": 2, "region": 0.5 }))).await;
    let store = served.get("store/2").await;
    assert_eq!(
        (&store["status"]["leader_weight"], &store["status"]["region_weight"]),
        (&json!(2.0), &json!(0.5))
    );
}

#[tokio::test]
async fn schedulers_rest_go_and_come_back() {
    let served = Served::start().await;
    let names = served.get("schedulers").await;
    assert!(names.as_array().unwrap().contains(&json!("balance-leader-scheduler")), "{names}");
    served.change("POST", "schedulers/balance-leader-scheduler", Some(json!({ "delay": 60 }))).await;
    assert_eq!(served.get("schedulers?status=paused").await, json!(["balance-leader-scheduler"]));
    let paused = served.get("schedulers?status=paused&timestamp=true").await;
    assert_eq!(paused[0]["resume_at"], "2023-11-14T22:14:20Z");
    served.change("POST", "schedulers/all", Some(json!({ "delay": 0 }))).await;
    assert_eq!(served.get("schedulers?status=paused").await, json!([]));
    served.change("DELETE", "schedulers/balance-hot-region-scheduler", None).await;
    assert_eq!(served.get("schedulers?status=disabled").await, json!(["balance-hot-region-scheduler"]));
    let add = json!({ "name": "balance-hot-region-scheduler" });
    served.change("POST", "schedulers", Some(add.clone())).await;
    assert_eq!(served.ask("POST", "schedulers", Some(add)).await.0, 409);
    let evict = json!({ "name": "evict-leader-scheduler", "store_id": 2 });
    served.change("POST", "schedulers", Some(evict)).await;
    assert_eq!(served.get("store/2").await["status"]["evicting_leaders"], true);
    served.change("DELETE", "schedulers/evict-leader-scheduler-2", None).await;
    assert_eq!(served.get("store/2").await["status"]["evicting_leaders"], false);
}

#[tokio::test]
async fn hot_regions_are_shown_by_their_leaders() {
    let served = Served::start().await;
    assert_eq!(served.get("hotspot/regions/read").await, json!({ "as_leader": {} }));
    for _ in 0..5 {
        served.report().await;
    }
    let read = served.get("hotspot/regions/read").await;
    assert_eq!(read["as_leader"]["1"]["regions_count"], 2, "{read}");
    let flow = |page: &Value| page["as_leader"]["1"]["statistics"][0]["flow_bytes"].as_u64().unwrap();
    assert!(flow(&read) > 1_000_000, "{read}");
    assert!(flow(&served.get("hotspot/regions/write").await) < 1_000);
}

#[tokio::test]
async fn settings_change_all_or_none_and_outlive_the_driver() {
    let served = Served::start().await;
    assert_eq!(served.get("config/replicate").await["max-replicas"], 3);
    let change = json!({ "max-replicas": 5, "schedule.low-space-ratio": 0.9, "max-store-down-time": "10m" });
    served.change("POST", "config", Some(change)).await;
    let (status, reason) =
        served.ask("POST", "config", Some(json!({ "max-replicas": 1, "leader-schedule-limit": -4 }))).await;
    assert!(status == 400 && reason.as_str().unwrap().contains("leader-schedule-limit"), "{reason}");
    let expected = |page: &Value| {
        assert_eq!(page["replication"]["max-replicas"], 5);
        assert_eq!(page["schedule"]["low-space-ratio"], 0.9);
        assert_eq!(page["schedule"]["max-store-down-time"], "10m0s");
    };
    expected(&served.get("config").await);
    assert_eq!(served.get("cluster").await["max_peer_count"], 5);
    let reopened = PlacementDriver::open(config(), served.storage.clone(), served.clock.clone()).unwrap();
    assert_eq!(reopened.replication_config().max_replicas, 5);
    served.change("POST", "config", Some(json!({ "max-replicas": null }))).await;
    assert_eq!(served.get("config/replicate").await["max-replicas"], 3);
}

#[tokio::test]
async fn placement_rules_come_and_go() {
    let served = Served::start().await;
    let rule = json!({
        "group_id": "pd", "id": "far", "start_key": "6D", "end_key": "", "role": "learner", "count": 1,
        "label_constraints": [{ "key": "zone", "op": "in", "values": ["far"] }],
    });
    served.change("POST", "config/rule", Some(rule.clone())).await;
    assert_eq!(served.get("config/rules").await, json!([rule]));
    assert_eq!(served.get("config/rule/pd/far").await["count"], 1);
    served.change("DELETE", "config/rule/pd/far", None).await;
    assert_eq!(served.get("config/rules").await, json!([]));
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_a_reason() {
    let served = Served::start().await;
    for (method, path, body, status) in [
        ("GET", "store/x", "", 400),
        ("GET", "store/99", "", 404),
        ("DELETE", "store/99", "", 404),
        ("POST", "store/1/state?state=Gone", "", 400),
        ("POST", "store/1/state?state=Tombstone", "", 400),
        ("POST", "store/1/state", "", 400),
        ("POST", "store/1/label", r#"{"zone":7}"#, 400),
        ("POST", "store/1/label", r#"{"zo ne":"a"}"#, 400),
        ("POST", "store/1/label", r#"["zone"]"#, 400),
        ("GET", "stores?state=9", "", 400),
        ("GET", "regions?limit=many", "", 400),
        ("GET", "regions/key?key=b&end_key=a", "", 400),
        ("GET", "regions/key?key=zz&format=hex", "", 400),
        ("GET", "regions/store/99", "", 404),
        ("GET", "region/id/99", "", 404),
        ("GET", "region/key/61?format=octal", "", 400),
        ("GET", "operators?kind=odd", "", 400),
        ("GET", "operators/101", "", 404),
        ("DELETE", "operators/101", "", 404),
        ("POST", "operators", "", 400),
        ("POST", "operators", "{", 400),
        ("POST", "operators", r#"{"name":"explode","region_id":101}"#, 400),
        ("POST", "operators", r#"{"name":"transfer-leader","region_id":101}"#, 400),
        ("POST", "operators", r#"{"name":"transfer-leader","region_id":"101","to_store_id":2}"#, 400),
        ("POST", "operators", r#"{"name":"transfer-leader","region_id":999,"to_store_id":2}"#, 404),
        ("POST", "operators", r#"{"name":"transfer-leader","region_id":101,"to_store_id":9}"#, 409),
        ("POST", "operators", r#"{"name":"add-peer","region_id":101,"store_id":2}"#, 409),
        ("POST", "operators", r#"{"name":"remove-peer","region_id":101,"store_id":9}"#, 409),
        ("POST", "operators", r#"{"name":"transfer-peer","region_id":101,"from_store_id":1}"#, 400),
        (
            "POST",
            "operators",
            r#"{"name":"transfer-peer","region_id":101,"from_store_id":1,"to_store_id":2}"#,
            409,
        ),
        ("POST", "operators", r#"{"name":"merge-region","source_region_id":101}"#, 400),
        (
            "POST",
            "operators",
            r#"{"name":"merge-region","source_region_id":101,"target_region_id":101}"#,
            409,
        ),
        ("POST", "operators", r#"{"name":"split-region","region_id":101,"policy":"odd"}"#, 400),
        ("POST", "operators", r#"{"name":"split-region","region_id":101,"policy":"usekey"}"#, 400),
        (
            "POST",
            "operators",
            r#"{"name":"split-region","region_id":101,"policy":"usekey","keys":["zz"]}"#,
            400,
        ),
        (
            "POST",
            "operators",
            r#"{"name":"split-region","region_id":101,"policy":"usekey","keys":"61"}"#,
            400,
        ),
        ("POST", "operators", r#"{"name":"scatter-region","region_id":999}"#, 404),
        ("POST", "operators", r#"{"name":"scatter-regions","region_ids":[]}"#, 400),
        ("POST", "operators", r#"{"name":"scatter-regions","region_ids":["a"]}"#, 400),
        ("POST", "store/1/weight", r#"{"leader":1}"#, 400),
        ("POST", "store/1/weight", r#"{"leader":-1,"region":1}"#, 400),
        ("POST", "store/99/weight", r#"{"leader":1,"region":1}"#, 404),
        ("POST", "schedulers", r#"{"name":"odd"}"#, 404),
        ("POST", "schedulers", r#"{"name":"evict-leader-scheduler"}"#, 400),
        ("POST", "schedulers", r#"{"name":"evict-leader-scheduler","store_id":99}"#, 404),
        ("DELETE", "schedulers/evict-leader-scheduler-x", "", 404),
        ("DELETE", "schedulers/evict-leader-scheduler-99", "", 404),
        ("POST", "schedulers/balance-leader-scheduler", r#"{"delay":-1}"#, 400),
        ("POST", "schedulers/balance-leader-scheduler", r#"{"delay":18446744073709551615}"#, 400),
        ("POST", "config", "{}", 400),
        ("POST", "config", r#"{"odd":1}"#, 400),
        ("POST", "config", r#"{"max-replicas":[3]}"#, 400),
        ("POST", "config", r#"{"max-replicas":null}"#, 400),
        ("POST", "config/rule", r#"{"id":"a","role":"king","count":1}"#, 400),
        ("POST", "config/rule", r#"{"id":"a","role":"voter","count":0}"#, 400),
        ("POST", "config/rule", r#"{"id":"a","role":"voter","count":1,"start_key":"0"}"#, 400),
        (
            "POST",
            "config/rule",
            r#"{"id":"a","role":"voter","count":1,"label_constraints":[{"key":"z"}]}"#,
            400,
        ),
        ("GET", "config/rule/pd/none", "", 404),
        ("DELETE", "config/rule/other/none", "", 404),
    ] {
        let (answered, reason) = served.ask_raw(method, path, body.as_bytes()).await;
        assert_eq!(answered, status, "{method} {path} {body}: {reason}");
        assert!(reason.as_str().is_some_and(|reason| !reason.is_empty()), "{method} {path} {body}: {reason}");
    }
}

#[tokio::test]
async fn a_member_that_does_not_lead_says_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    tokio::spawn(async move { axum::serve(listener, tidewater_pd_http::pages(|| None)).await.unwrap() });
    stream
        .write_all(b"GET /pd/api/v1/stores HTTP/1.1\r\nHost: pd\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("not leader"), "{answer}");
}
