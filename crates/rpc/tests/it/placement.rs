//! The placement driver over the wire.

use std::collections::BTreeSet;
use std::sync::Arc;

use tidewater_kv::NodeConfig;
use tidewater_proto::pdpb::{self, pd_client::PdClient};
use tidewater_proto::{PdError, PdService};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::cluster::{Cluster, channel};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timestamps_of_many_callers_are_all_different_and_rise() {
    let cluster = Cluster::start(1, NodeConfig::default()).await;
    let callers = (0..8).map(|_| {
        let pd = cluster.pd.clone();
        tokio::spawn(async move {
            let mut taken = Vec::new();
            for count in 1..100u32 {
                let last = pd.timestamps(count).await.unwrap();
                let last = (last.physical << 18) + last.logical;
                assert!(taken.last().is_none_or(|previous| *previous < last - i64::from(count) + 1));
                taken.extend((0..i64::from(count)).rev().map(|back| last - back));
            }
            taken
        })
    });
    let mut all = BTreeSet::new();
    let mut count = 0;
    for caller in callers.collect::<Vec<_>>() {
        let taken = caller.await.unwrap();
        count += taken.len();
        all.extend(taken);
    }
    assert_eq!(all.len(), count);
}

#[tokio::test]
async fn errors_keep_their_kind_and_strangers_are_refused() {
    let cluster = Cluster::start(1, NodeConfig::default()).await;
    let pd: &Arc<_> = &cluster.pd;
    let store = pd.get_store(pdpb::GetStoreRequest { store_id: 99, ..Default::default() }).await;
    assert_eq!(store.unwrap_err(), PdError::StoreNotFound { store_id: 99 });
    assert!(matches!(pd.timestamps(0).await, Err(PdError::Transport(_))), "the stream ends");
    assert!(pd.timestamps(1).await.is_ok(), "and is opened anew");
    assert!(matches!(pd.alloc_id(u32::MAX).await, Err(PdError::InvalidValue { .. })));
    assert_eq!(pd.load_keyspace("DEFAULT").await.unwrap().id, 0);
    assert_eq!(
        pd.load_keyspace("none").await.unwrap_err(),
        PdError::KeyspaceNotFound { name: "none".to_owned() }
    );
    let mut stranger = PdClient::new(channel(&cluster.pd_address).await);
    let header = |cluster_id| Some(pdpb::RequestHeader { cluster_id, ..Default::default() });
    for (cluster_id, is_welcome) in [(cluster.cluster_id, true), (cluster.cluster_id + 1, false), (0, false)]
    {
        let request = pdpb::GetAllStoresRequest { header: header(cluster_id), ..Default::default() };
        let answer = stranger.get_all_stores(request).await;
        assert_eq!(answer.is_ok(), is_welcome, "{answer:?}");
    }
    let members = stranger.get_members(pdpb::GetMembersRequest::default()).await.unwrap().into_inner();
    assert_eq!(members.header.unwrap().cluster_id, cluster.cluster_id);
}

async fn http(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn get(address: &str, path: &str) -> String {
    http(address, &format!("GET {path} HTTP/1.1\r\nHost: pd\r\nConnection: close\r\n\r\n")).await
}

#[tokio::test]
async fn pages_stand_beside_grpc_on_the_port() {
    let cluster = Cluster::start(2, NodeConfig::default()).await;
    for (path, part) in [
        ("/pd/api/v1/regions", "\"count\":1"),
        ("/pd/api/v1/stores", "\"count\":2"),
        ("/pd/api/v1/members", "client_urls"),
        ("/pd/api/v1/version", "cluster_id"),
        ("/pd/api/v2/keyspaces/DEFAULT", "\"id\":0"),
    ] {
        let answer = get(&cluster.pd_address, path).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(part), "{path}: {answer}");
    }
    for (path, status) in [
        ("/pd/api/v1/store/99", "404"),
        ("/pd/api/v1/region/id/99", "404"),
        ("/pd/api/v1/store/x", "400"),
        ("/no", "404"),
    ] {
        let answer = get(&cluster.pd_address, path).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {answer}");
    }
    let body = r#"{"name":"ledger"}"#;
    let create = format!(
        "POST /pd/api/v2/keyspaces HTTP/1.1\r\nHost: pd\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = http(&cluster.pd_address, &create).await;
    assert!(answer.contains("\"id\":1"), "{answer}");
    assert_eq!(cluster.pd.load_keyspace("ledger").await.unwrap().id, 1);
    assert_eq!(cluster.pd.keyspaces().await.unwrap().len(), 2);
}
