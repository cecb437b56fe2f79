//! Start small, grow without a dump: a server of one process becomes the first store of a cluster, with its data.

use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use tidewater_proto::{PdService, metapb, pdpb};
use tidewater_rpc::{ChannelOptions, GrpcPd};

use crate::cluster_process::{Part, free_port};
use crate::server_process::ServerProcess;

/// For all regions to get their replicas, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_server_grows_into_a_cluster_while_it_serves() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let mut alone = ServerProcess::start(&data);
    let mut conn = alone.connect().await;
    conn.query_drop("CREATE DATABASE shop").await.expect("a database");
    conn.query_drop("CREATE TABLE shop.item (id INT PRIMARY KEY, name VARCHAR(20))").await.expect("a table");
    conn.query_drop("INSERT INTO shop.item VALUES (1, 'anchor'), (2, 'buoy')").await.expect("rows");
    drop(conn);
    assert!(alone.stop());

    let (pd, store) = (free_port().to_string(), free_port().to_string());
    let options = ["--cluster", "--pd-port", &pd, "--store-port", &store];
    let mut first = ServerProcess::start_with(&data, &options);
    let pd = format!("127.0.0.1:{pd}");
    let join = |name: &str| {
        let folder = folder.path().join(name);
        let folder = folder.to_str().expect("a plain path");
        Part::start_plain(name, &["join", "--pd", &pd, "--data", folder])
    };
    let (_second, mut third) = (join("second"), join("third"));
    // However full the disk of this machine is.
    let settled = std::process::Command::new(env!("CARGO_BIN_EXE_tidewater"))
        .args(["ctl", "--pd", &pd, "config", "set", "low-space-ratio", "1.0"])
        .status();
    assert!(settled.expect("the program runs").success());
    let mut conn = first.connect().await;
    let client =
        GrpcPd::connect(std::slice::from_ref(&pd), ChannelOptions::default()).await.expect("PD answers");
    let begun = Instant::now();
    for id in 3.. {
        conn.query_drop(format!("INSERT INTO shop.item VALUES ({id}, 'new')")).await.expect("it serves on");
        let regions =
            client.scan_regions(pdpb::ScanRegionsRequest::default()).await.expect("regions").regions;
        let voters = |region: &metapb::Region| {
            region.peers.iter().filter(|peer| peer.role() == metapb::PeerRole::Voter).count()
        };
        if regions.iter().all(|region| region.region.as_ref().is_some_and(|meta| voters(meta) == 3)) {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "there are no three replicas of everything: {regions:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // One of three may go.
    third.kill();
    let found: Option<String> =
        conn.query_first("SELECT name FROM shop.item WHERE id = 2").await.expect("it reads without it");
    assert_eq!(found.as_deref(), Some("buoy"));
    conn.query_drop("INSERT INTO shop.item VALUES (-1, 'without it')").await.expect("it writes without it");
    drop(conn);
    assert!(first.stop());
    let mut back = ServerProcess::start_with(&data, &options);
    let mut conn = back.connect().await;
    let count: Option<i64> = conn
        .query_first("SELECT COUNT(*) FROM shop.item WHERE id <= 2")
        .await
        .expect("it is a cluster still");
    assert_eq!(count, Some(3));
    drop(conn);
    back.kill();
    // Alone it would not know what the others know.
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tidewater"));
    let refused = command.args(["serve", "--port", "0", "--status-port", "0", "--data"]).arg(&data).output();
    let text = String::from_utf8_lossy(&refused.expect("the program runs").stderr).into_owned();
    assert!(text.contains("start it with --cluster"), "{text}");
}
