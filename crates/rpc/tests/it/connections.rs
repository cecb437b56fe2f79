//! What clients make of stores that come and go.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tidewater_proto::{StoreConnector, StoreRequest, StoreResponse, StoreService, TransportError, kvrpcpb};
use tidewater_rpc::{ChannelOptions, GrpcConnector, RpcServer, Security, store_routes};
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

/// Answers a get with its key, after as many milliseconds as its version says.
struct Echo;

#[async_trait]
impl StoreService for Echo {
    async fn call(&self, request: StoreRequest) -> Result<StoreResponse, TransportError> {
        let StoreRequest::Get(get) = request else { return Err(TransportError::Closed) };
        tokio::time::sleep(Duration::from_millis(get.version)).await;
        Ok(StoreResponse::Get(kvrpcpb::GetResponse { value: get.key, ..Default::default() }))
    }
}

async fn serve(address: &str, stop: &CancellationToken) -> (String, tokio::task::JoinHandle<()>) {
    let server = RpcServer::bind(address, Security::default()).await.unwrap();
    let address = server.local_addr().unwrap().to_string();
    let stop = stop.clone();
    let running = tokio::spawn(async move { server.run(store_routes(Arc::new(Echo)), stop).await.unwrap() });
    (address, running)
}

async fn get(store: &dyn StoreService, key: &str, delay_ms: u64) -> Result<Bytes, TransportError> {
    let get = kvrpcpb::GetRequest { key: key.to_owned().into(), version: delay_ms, ..Default::default() };
    match store.call(StoreRequest::Get(get)).await? {
        StoreResponse::Get(answer) => Ok(answer.value),
        other => panic!("another answer: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_find_their_askers_in_any_order() {
    let stop = CancellationToken::new();
    let (address, _) = serve("127.0.0.1:0", &stop).await;
    let store = GrpcConnector::new(ChannelOptions::default()).connect(&address).await.unwrap();
    let asked = (0..500u64).map(|index| {
        let store = store.clone();
        tokio::spawn(async move {
            let key = format!("key {index}");
            assert_eq!(get(&*store, &key, (index * 7) % 40).await.unwrap(), key);
        })
    });
    for each in asked.collect::<Vec<_>>() {
        each.await.unwrap();
    }
    stop.cancel();
}

/// A server on a runtime of its own, which ends at once and with everything, as a process does.
fn serve_apart(address: &str) -> (String, Runtime) {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (address, _) = runtime.block_on(serve(address, &CancellationToken::new()));
    (address, runtime)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_a_store_that_goes_is_told_and_finds_it_when_it_is_back() {
    let (address, process) = tokio::task::spawn_blocking(|| serve_apart("127.0.0.1:0")).await.unwrap();
    let connector = GrpcConnector::new(ChannelOptions::default());
    let store = connector.connect(&address).await.unwrap();
    assert_eq!(get(&*store, "one", 0).await.unwrap(), "one");
    let waiting = {
        let store = store.clone();
        tokio::spawn(async move { get(&*store, "never", 600_000).await })
    };
    tokio::time::sleep(Duration::from_millis(50)).await;
    process.shutdown_background();
    let lost =
        tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("somebody hangs up").unwrap();
    assert!(lost.is_err());
    assert!(get(&*store, "gone", 0).await.is_err());
    let (_, process) = tokio::task::spawn_blocking(move || serve_apart(&address)).await.unwrap();
    let mut back = Err(TransportError::Closed);
    for _ in 0..100 {
        back = get(&*store, "back", 0).await;
        if back.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(back.unwrap(), "back");
    process.shutdown_background();
}

#[tokio::test]
async fn an_answer_that_takes_too_long_is_given_up() {
    let stop = CancellationToken::new();
    let (address, _) = serve("127.0.0.1:0", &stop).await;
    let options = ChannelOptions { request_timeout: Duration::from_millis(50), ..ChannelOptions::default() };
    let store = GrpcConnector::new(options).connect(&address).await.unwrap();
    assert_eq!(get(&*store, "slow", 10_000).await, Err(TransportError::Timeout));
    assert_eq!(get(&*store, "quick", 0).await.unwrap(), "quick");
    stop.cancel();
}

/// Takes connections and says nothing, as a process that was stopped does.
async fn stay_silent(address: &str) -> (String, tokio::task::JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let silent = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
        }
    });
    (address, silent)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_says_nothing_is_given_up_soon_and_found_when_it_is_back() {
    let (address, silent) = stay_silent("127.0.0.1:0").await;
    let store = GrpcConnector::new(ChannelOptions::default()).connect(&address).await.unwrap();
    let asked = tokio::time::Instant::now();
    let (command, fragment) =
        tokio::join!(get(&*store, "a command", 0), store.call(StoreRequest::Coprocessor(Default::default())));
    assert!(matches!(command, Err(TransportError::Unreachable { .. })), "{command:?}");
    assert!(matches!(fragment, Err(TransportError::Unreachable { .. })), "{fragment:?}");
    assert!(asked.elapsed() < Duration::from_secs(5), "told after {:?}", asked.elapsed());
    // From now on nobody waits.
    let asked = tokio::time::Instant::now();
    assert!(get(&*store, "another", 0).await.is_err());
    assert!(asked.elapsed() < Duration::from_millis(500), "told after {:?}", asked.elapsed());

    silent.abort();
    let _ = silent.await;
    let stop = CancellationToken::new();
    serve(&address, &stop).await;
    let mut back = Err(TransportError::Closed);
    while back.is_err() && asked.elapsed() < Duration::from_secs(10) {
        tokio::time::sleep(Duration::from_millis(20)).await;
        back = get(&*store, "back", 0).await;
    }
    assert_eq!(back.unwrap(), "back");
    stop.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_lives_may_take_its_time() {
    let stop = CancellationToken::new();
    let (address, _) = serve("127.0.0.1:0", &stop).await;
    let store = GrpcConnector::new(ChannelOptions::default()).connect(&address).await.unwrap();
    assert_eq!(get(&*store, "slow", 2_500).await.unwrap(), "slow");
    stop.cancel();
}
