//! Three members of a placement driver behind sockets: clients do not notice when the leader dies, but for the wait.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tidewater_pd::{Member, MemberConfig, MemoryStorage};
use tidewater_proto::pdpb::pd_client::PdClient;
use tidewater_proto::{PdService, metapb, pdpb};
use tidewater_raft::MemoryDevice;
use tidewater_rpc::{
    ChannelOptions, GrpcPd, GrpcPeerConnector, RpcServer, Security, pd_leader_pages, pd_member_routes,
};
use tidewater_types::clock::SystemClock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request};

use crate::cluster::{channel, show_logs};

/// A member on threads of its own, which end with all its tasks and connections when it is killed.
struct Host {
    address: String,
    config: MemberConfig,
    storage: Arc<MemoryStorage>,
    device: Arc<MemoryDevice>,
    running: Option<(Arc<Member>, Runtime)>,
}

impl Host {
    async fn boot(&mut self) {
        let (config, storage, device) = (self.config.clone(), self.storage.clone(), self.device.clone());
        let address = self.address.clone();
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let opened = runtime.spawn(async move {
            let server = RpcServer::bind(&address, Security::default()).await.unwrap();
            let connector = Arc::new(GrpcPeerConnector::new(ChannelOptions::default()));
            let member =
                Member::open(config, storage, device, connector, Arc::new(SystemClock)).await.unwrap();
            let mut routes = pd_member_routes(member.clone(), member.clone());
            let leading = member.clone();
            let pages = tidewater_pd_http::pages(move || leading.driver());
            let router = routes.axum_router_mut();
            *router = std::mem::take(router).merge(pd_leader_pages(pages, member.clone()));
            tokio::spawn(server.run(routes, CancellationToken::new()));
            member
        });
        self.running = Some((opened.await.unwrap(), runtime));
    }

    fn kill(&mut self) {
        if let Some((_, runtime)) = self.running.take() {
            runtime.shutdown_background();
        }
    }

    fn is_leading(&self) -> bool {
        self.running.as_ref().is_some_and(|(member, _)| member.is_leading())
    }
}

struct Hosts(Vec<Host>);

impl Hosts {
    async fn start(count: usize) -> Self {
        show_logs();
        let free = |_| std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let listeners: Vec<_> = (0..count).map(free).collect();
        let addresses: Vec<_> =
            listeners.iter().map(|listener| listener.local_addr().unwrap().to_string()).collect();
        drop(listeners);
        let initial: BTreeMap<_, _> = (0..)
            .zip(&addresses)
            .map(|(index, at)| (format!("pd-{index}"), format!("http://{at}")))
            .collect();
        let mut hosts = Self(Vec::new());
        for (index, address) in addresses.into_iter().enumerate() {
            let mut config = MemberConfig::alone(format!("pd-{index}"), format!("http://{address}"));
            config.initial_cluster = initial.clone();
            let mut host =
                Host { address, config, storage: Arc::default(), device: Arc::default(), running: None };
            host.boot().await;
            hosts.0.push(host);
        }
        hosts
    }

    fn urls(&self) -> Vec<String> {
        self.0.iter().map(|host| format!("http://{}", host.address)).collect()
    }

    async fn leader(&self) -> usize {
        for _ in 0..2000 {
            if let Some(leader) = self.0.iter().position(Host::is_leading) {
                return leader;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("nobody leads");
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        self.0.iter_mut().for_each(Host::kill);
    }
}

fn region_report(version: u64) -> pdpb::RegionHeartbeatRequest {
    let peer = metapb::Peer { id: 3, store_id: 1, ..Default::default() };
    let region = metapb::Region {
        id: 2,
        region_epoch: Some(metapb::RegionEpoch { conf_ver: 1, version }),
        peers: vec![peer],
        ..Default::default()
    };
    pdpb::RegionHeartbeatRequest { region: Some(region), leader: Some(peer), ..Default::default() }
}

fn put_store(id: u64) -> pdpb::PutStoreRequest {
    let store = metapb::Store { id, address: format!("store-{id}"), ..Default::default() };
    pdpb::PutStoreRequest { store: Some(store), ..Default::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_do_not_notice_that_the_leader_dies() {
    const ROUNDS: u64 = 4;
    let mut hosts = Hosts::start(3).await;
    let pd = GrpcPd::connect(&hosts.urls(), ChannelOptions::default()).await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let slowest = Arc::new(Mutex::new(Duration::ZERO));
    let note = |slowest: &Mutex<Duration>, asked: Instant| {
        let mut slowest = slowest.lock();
        *slowest = (*slowest).max(asked.elapsed());
    };
    let mut clients = Vec::new();
    for number in 0..3u64 {
        let (pd, stop, slowest) = (pd.clone(), stop.clone(), slowest.clone());
        clients.push(tokio::spawn(async move {
            let (mut last, mut last_id, mut calls) = ((0, 0), 0, 0u64);
            while !stop.load(Ordering::Relaxed) {
                let asked = Instant::now();
                let taken = pd.timestamps(2).await.expect("a timestamp");
                assert!((taken.physical, taken.logical - 1) > last);
                last = (taken.physical, taken.logical);
                let id = pd.alloc_id(1).await.expect("an id");
                assert!(id > last_id);
                last_id = id;
                calls += 1;
                let store = 10 + number * 1_000_000 + calls;
                pd.put_store(put_store(store)).await.expect("a write");
                let found =
                    pd.get_store(pdpb::GetStoreRequest { store_id: store, ..Default::default() }).await;
                found.expect("what was written is there");
                if number == 0 {
                    pd.region_heartbeat(region_report(calls)).await.expect("a heart beat");
                }
                note(&slowest, asked);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            calls
        }));
    }
    for _ in 0..ROUNDS {
        let leader = hosts.leader().await;
        // Not a wait for anything: the clients run this long.
        tokio::time::sleep(Duration::from_millis(300)).await;
        hosts.0[leader].kill();
        let killed = Instant::now();
        let successor = hosts.leader().await;
        assert_ne!(successor, leader);
        eprintln!("{successor} leads {:?} after {leader} was killed", killed.elapsed());
        pd.alloc_id(1).await.expect("an id");
        eprintln!("and answers after {:?}", killed.elapsed());
        assert!(killed.elapsed() < Duration::from_secs(10), "{:?}", killed.elapsed());
        hosts.0[leader].boot().await;
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        assert!(client.await.unwrap() > ROUNDS);
    }
    let slowest = *slowest.lock();
    eprintln!("the slowest turn of a client took {slowest:?}");
    assert!(slowest < Duration::from_secs(10), "{slowest:?}");
}

async fn http(address: &str, method: &str, path: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("{method} {path} HTTP/1.1\r\nHost: pd\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn followers_name_the_leader_and_refuse_what_only_it_knows() {
    let hosts = Hosts::start(3).await;
    let leader = hosts.leader().await;
    let pd = GrpcPd::connect(&hosts.urls(), ChannelOptions::default()).await.unwrap();
    let cluster_id = pd.cluster_id().await.unwrap();
    let header = Some(pdpb::RequestHeader { cluster_id, ..Default::default() });
    let follower = (leader + 1) % 3;
    let address = hosts.0[follower].address.clone();
    let mut client = PdClient::new(channel(&address).await);
    let mut members = pdpb::GetMembersResponse::default();
    for _ in 0..500 {
        // Each tells the others where clients find it, soon after it has started.
        members = client.get_members(Request::new(Default::default())).await.unwrap().into_inner();
        if members.members.iter().all(|member| !member.client_urls.is_empty()) && members.leader.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(members.header.unwrap().cluster_id, cluster_id);
    assert_eq!(members.members.len(), 3);
    assert_eq!(members.leader.unwrap().client_urls, [format!("http://{}", hosts.0[leader].address)]);
    // Public clients look for these words, and for the leader after them.
    let refused =
        client.alloc_id(Request::new(pdpb::AllocIdRequest { header: header.clone(), count: 1 })).await;
    let status = refused.unwrap_err();
    assert!(status.code() == Code::Unavailable && status.message().starts_with("not leader"), "{status}");
    let ask = pdpb::TsoRequest { header, count: 1, ..Default::default() };
    let stream = client.tso(Request::new(futures::stream::iter([ask]))).await;
    let status = match stream {
        Ok(stream) => stream.into_inner().message().await.unwrap_err(),
        Err(status) => status,
    };
    assert!(status.code() == Code::Unavailable && status.message().starts_with("not leader"), "{status}");
    // Over HTTP: browsers are sent on, and members are listed by any.
    let sent_on = http(&address, "GET", "/pd/api/v1/stores?x=1").await;
    let there = format!("location: http://{}/pd/api/v1/stores?x=1", hosts.0[leader].address);
    assert!(sent_on.starts_with("HTTP/1.1 307") && sent_on.contains(&there), "{sent_on}");
    let listed = http(&address, "GET", "/pd/api/v1/members").await;
    assert!((0..3).all(|index| listed.contains(&format!("\"name\":\"pd-{index}\""))), "{listed}");
    let refused = http(&address, "DELETE", "/pd/api/v1/members/name/pd-9").await;
    assert!(refused.starts_with("HTTP/1.1 400") && refused.contains("no such member"), "{refused}");
    let third = (leader + 2) % 3;
    let removed = http(&address, "DELETE", &format!("/pd/api/v1/members/name/pd-{third}")).await;
    assert!(removed.starts_with("HTTP/1.1 200"), "{removed}");
    let (member, _) = hosts.0[third].running.as_ref().unwrap();
    let failure = tokio::time::timeout(Duration::from_secs(30), member.failed()).await.unwrap();
    assert!(failure.to_string().contains("was removed"), "{failure}");
    pd.put_store(put_store(5)).await.unwrap();
}
