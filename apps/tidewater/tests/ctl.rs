//! An operator at a cluster of processes: `tidewater ctl` against the placement driver's pages, and what SQL tells of the same.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::cluster_process::{ClusterProcess, Part, free_port};

const PATIENCE: Duration = Duration::from_secs(60);

/// `tidewater ctl` against these addresses.
struct Ctl(String);

impl Ctl {
    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidewater"));
        command.arg("ctl").args(arguments).env("TIDEWATER_PD", &self.0);
        command.output().expect("the built program starts")
    }

    /// What it prints.
    fn text(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {error}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let text = self.text(&[&["--json"], arguments].concat());
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {text}"))
    }

    /// What it says when it fails.
    fn refusal(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(!output.status.success(), "{arguments:?} did not fail");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    fn region(&self, id: &str) -> Value {
        self.json(&["region", id])
    }
}

fn leader_of(region: &Value) -> u64 {
    region["leader"]["store_id"].as_u64().unwrap_or_default()
}

fn stores_of(region: &Value) -> Vec<u64> {
    let peers = region["peers"].as_array().expect("peers");
    peers.iter().filter_map(|peer| peer["store_id"].as_u64()).collect()
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        sleep(Duration::from_millis(100)).await;
    }
    eprintln!("after {:?}: {what}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_and_changes_a_cluster() {
    let cluster = ClusterProcess::start_with(3, 3);
    // The first address is of nobody; the second may be of a member that does not lead.
    let ctl = Ctl(format!("http://127.0.0.1:1,http://{}", cluster.pd_address_of(1)));

    let members = ctl.text(&["members"]);
    assert!(members.starts_with("NAME") && members.contains("pd-2"), "{members}");
    assert_eq!(members.matches("leader").count(), 1, "{members}");
    let stores = ctl.json(&["stores"]);
    assert_eq!(stores["count"], 3, "{stores}");
    let ids: Vec<u64> = stores["stores"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|store| store["store"]["id"].as_u64())
        .collect();
    assert!(ctl.text(&["stores"]).lines().count() == 4);

    // The balance would move what is moved here.
    ctl.text(&["schedulers", "pause", "all", "600"]);
    assert!(ctl.text(&["schedulers"]).contains("paused"));
    let first = ctl.json(&["region", "--key", "00"])["id"].to_string();
    let all_three = || stores_of(&ctl.region(&first)).len() == 3;
    if !all_three() {
        ctl.text(&["schedulers", "resume", "replica-checker"]);
        until("the first region has three replicas", all_three).await;
        ctl.text(&["schedulers", "pause", "replica-checker", "600"]);
    }
    until("nothing is under way", || ctl.json(&["operators"]) == serde_json::json!([])).await;

    let from = leader_of(&ctl.region(&first));
    let to = *ids.iter().find(|id| **id != from).expect("another store");
    ctl.text(&["operators", "add", "transfer-leader", &first, &to.to_string()]);
    until("the leader has moved", || leader_of(&ctl.region(&first)) == to).await;
    ctl.text(&["operators", "add", "remove-peer", &first, &from.to_string()]);
    until("the peer is gone", || !stores_of(&ctl.region(&first)).contains(&from)).await;
    ctl.text(&["operators", "add", "add-peer", &first, &from.to_string()]);
    until("the peer is back", all_three).await;
    until("its operator is over", || ctl.text(&["operators", "history"]).matches("admin").count() == 3).await;
    cut_and_merge(&ctl, &first).await;

    let checked = ctl.text(&["check", &first]);
    assert_eq!(checked.lines().filter(|line| line.trim_end().ends_with("ok")).count(), 3, "{checked}");
    let report = ctl.json(&["check", &first]);
    assert_eq!(report[0]["findings"].as_object().map(|findings| findings.len()), Some(3), "{report}");

    // Settings are the cluster's, whoever is asked.
    ctl.text(&["config", "set", "leader-schedule-limit", "6"]);
    let other = Ctl(format!("http://{}", cluster.pd_address_of(2)));
    assert_eq!(other.json(&["config"])["schedule"]["leader-schedule-limit"], 6);

    let store = from.to_string();
    ctl.text(&["store", &store, "label", "zone=a"]);
    assert!(ctl.text(&["stores"]).contains("zone=a"));
    ctl.text(&["store", &store, "weight", "2", "0.5"]);
    assert_eq!(ctl.json(&["store", &store])["status"]["leader_weight"], 2.0);
    ctl.text(&["store", &store, "weight", "1", "1"]);
    ctl.text(&["store", &store, "offline"]);
    assert_eq!(ctl.json(&["store", &store])["store"]["state_name"], "Offline");
    ctl.text(&["store", &store, "up"]);
    assert_eq!(ctl.json(&["store", &store])["store"]["state_name"], "Up");

    refusals(&ctl, &first);
    sql_tells_the_same(&cluster, &ctl).await;
}

/// Two regions out of one, and one out of the two.
async fn cut_and_merge(ctl: &Ctl, region: &str) {
    let end = || ctl.region(region)["end_key"].clone();
    let whole = end();
    ctl.text(&["operators", "add", "split-region", region, "--policy", "scan"]);
    until("the region is cut", || end() != whole).await;
    let border = end();
    let border = border.as_str().expect("a key");
    let right = ctl.json(&["region", "--key", border])["id"].to_string();
    ctl.text(&["operators", "add", "scatter-region", &right, "--group", "ctl"]);
    // A part is not well at once.
    let add = ["operators", "add", "merge-region", &right, region];
    until("the parts are well", || ctl.run(&add).status.success()).await;
    until("the region is whole", || end() == whole).await;
}

fn refusals(ctl: &Ctl, region: &str) {
    for (arguments, words) in [
        (&["store", "999"][..], "404 Not Found: store 999 is not known"),
        (&["region", "999999"], "region 999999 is not known"),
        (&["region", "--key", "xyz"], "not of hexadecimal digits"),
        (&["operators", "add", "add-peer", region, "999"], "409 Conflict: store 999 cannot do that"),
        (&["operators", "cancel", region], "has no operator"),
        (&["operators", "add", "merge-region", region, region], "409 Conflict: region"),
        (&["operators", "add", "split-region", region, "--policy", "halves"], "\"halves\" is not a policy"),
        (
            &["operators", "add", "split-region", region, "--policy", "usekey", "--keys", "00"],
            "cannot be cut there",
        ),
        (&["operators", "add", "scatter-region", "999999"], "not known"),
        (&["store", "1", "weight", "1", "5000"], "is not between 0 and 1000"),
        (&["config", "set", "max-replicas", "many"], "400 Bad Request: max-replicas"),
        (&["config", "set", "no/such setting", "1"], "there is no setting"),
        (&["schedulers", "pause", "no such?", "1"], "there is no scheduler"),
        (&["members", "remove", "pd-9"], "no such member"),
    ] {
        let refusal = ctl.refusal(arguments);
        assert!(refusal.contains(words) && !refusal.contains("panicked"), "{arguments:?}: {refusal}");
    }
    let nobody = Ctl("http://127.0.0.1:1,127.0.0.1:2,this is none".to_owned()).refusal(&["stores"]);
    for address in ["http://127.0.0.1:1/", "http://127.0.0.1:2/", "this is none"] {
        assert!(nobody.contains(address), "{nobody}");
    }
}

async fn sql_tells_the_same(cluster: &ClusterProcess, ctl: &Ctl) {
    let mut conn = Conn::new(cluster.options()).await.expect("the server accepts root");
    conn.query_drop("CREATE DATABASE ctl").await.expect("a database");
    conn.query_drop("CREATE TABLE ctl.t (id BIGINT PRIMARY KEY)").await.expect("a table");
    let split: Option<(i64, f64)> =
        conn.query_first("SPLIT TABLE ctl.t BETWEEN (0) AND (1000000) REGIONS 5").await.expect("a split");
    // They were spread, and waited for.
    assert_eq!(split.expect("a row"), (4, 1.0));
    let regions: Vec<Row> = conn.query("SHOW TABLE ctl.t REGIONS").await.expect("regions");
    let starts: Vec<String> = regions.iter().map(|row| row.get("START_KEY").expect("a key")).collect();
    let handles: Vec<_> =
        starts.iter().filter_map(|start| start.rsplit_once("_r_").map(|(_, it)| it)).collect();
    assert_eq!(handles, ["200000", "400000", "600000", "800000"], "{starts:?}");
    for row in &regions {
        let (id, leader): (u64, u64) = (row.get("REGION_ID").unwrap(), row.get("LEADER_STORE_ID").unwrap());
        assert!(stores_of(&ctl.region(&id.to_string())).contains(&leader), "region {id} is led by {leader}");
    }
    let led_from: std::collections::BTreeSet<u64> =
        regions.iter().filter_map(|row| row.get("LEADER_STORE_ID")).collect();
    assert!(led_from.len() > 1, "{led_from:?}");
    let kinds: Vec<(String, i64)> = conn
        .query("SELECT type, COUNT(*) FROM information_schema.cluster_info WHERE instance <> '' GROUP BY type ORDER BY type")
        .await
        .expect("the cluster's processes");
    let expected = [("pd", 3), ("tidb", 1), ("tikv", 3)].map(|(kind, count)| (kind.to_owned(), count));
    assert_eq!(kinds, expected);
    let stores: Vec<(u64, String)> = conn
        .query("SELECT store_id, label FROM information_schema.tikv_store_status WHERE store_state_name = 'Up' AND JSON_LENGTH(label) > 0")
        .await
        .expect("the stores");
    assert_eq!(stores.len(), 1, "{stores:?}");
    assert!(stores[0].1.contains("zone"), "{stores:?}");
    // Neither statement is for everybody.
    conn.query_drop("CREATE USER viewer").await.expect("a user");
    conn.query_drop("GRANT SELECT ON ctl.* TO viewer").await.expect("a grant");
    let options = mysql_async::OptsBuilder::from_opts(cluster.options()).user(Some("viewer"));
    let mut viewer = Conn::new(options).await.expect("the server accepts the viewer");
    viewer.query_drop("SHOW TABLE ctl.t REGIONS").await.expect("SELECT is enough to look");
    for (statement, code) in [
        ("SPLIT TABLE ctl.t BY (5)", 1142),
        ("SELECT * FROM information_schema.tikv_region_status", 1227),
        ("SELECT * FROM information_schema.cluster_info", 1227),
    ] {
        let error = viewer.query_drop(statement).await.expect_err(statement);
        assert!(
            matches!(&error, mysql_async::Error::Server(server) if server.code == code),
            "{statement}: {error}"
        );
    }
}

/// An authority, a certificate of it, and its key, as files.
fn certificates(folder: &Path, name: &str) -> [String; 3] {
    let authority_key = KeyPair::generate().expect("a key");
    let mut authority = CertificateParams::new(Vec::<String>::new()).expect("an authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_pem = authority.self_signed(&authority_key).expect("an authority").pem();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().expect("a key");
    let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a certificate");
    let certificate = certificate.signed_by(&key, &issuer).expect("a certificate");
    [("ca", authority_pem), ("cert", certificate.pem()), ("key", key.serialize_pem())].map(|(part, text)| {
        let path = folder.join(format!("{name}.{part}.pem"));
        std::fs::write(&path, text).expect("the file is written");
        path.to_str().expect("a path of text").to_owned()
    })
}

#[test]
fn a_cluster_with_tls_answers_who_shows_a_certificate() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let ours = certificates(folder.path(), "ours");
    let theirs = certificates(folder.path(), "theirs");
    let settings = folder.path().join("pd.toml");
    let [ca, cert, key] = &ours;
    let text = format!("[security]\nca-path = {ca:?}\ncert-path = {cert:?}\nkey-path = {key:?}\n");
    std::fs::write(&settings, text).expect("the settings are written");
    let (url, data) = (format!("https://127.0.0.1:{}", free_port()), folder.path().join("pd"));
    let (settings, data) = (settings.to_str().unwrap(), data.to_str().unwrap());
    let arguments = ["pd", "--name", "pd", "--client-urls", &url, "--data-dir", data, "-C", settings];
    let _pd = Part::start("pd", &arguments);
    let ctl = Ctl(url);
    let with = |[ca, cert, key]: &[String; 3]| {
        let files = ["--cacert", ca, "--cert", cert, "--cert-key", key, "members"];
        files.map(str::to_owned)
    };
    let run = |files: &[String; 7]| ctl.run(&files.each_ref().map(String::as_str));
    let output = run(&with(&ours));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("leader"));
    for (output, words) in [
        (run(&with(&theirs)), "certificate"),
        (ctl.run(&["members"]), "--cacert"),
        (ctl.run(&["--cacert", &ours[0], "members"]), "--cert"),
        (run(&with(&[ours[0].clone(), ours[1].clone(), theirs[2].clone()])), "do not fit"),
        (
            run(&with(&["none".to_owned(), ours[1].clone(), ours[2].clone()])),
            "cannot read certificates from none",
        ),
    ] {
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && error.contains(words), "{words}: {error}");
    }
}
