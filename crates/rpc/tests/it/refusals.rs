//! Stores that would do harm do not start, and say why.

use std::sync::Arc;

use tidewater_kv::{MemoryEngine, Node, NodeConfig, NodeError};
use tidewater_pd::PdConfig;
use tidewater_proto::PdService;
use tidewater_rpc::{ChannelOptions, GrpcConnector};
use tidewater_types::clock::{ManualClock, SystemClock, WallClock};
use tokio_util::sync::CancellationToken;

use crate::cluster::start_pd;

async fn open(
    engine: &Arc<MemoryEngine>,
    pd: Arc<dyn PdService>,
    clock: Arc<dyn WallClock>,
) -> Result<Arc<Node>, NodeError> {
    let config = NodeConfig { clock, ..NodeConfig::default() };
    let connector = Arc::new(GrpcConnector::new(ChannelOptions::default()));
    Node::open_in_cluster(config, engine.clone(), pd, connector).await
}

#[tokio::test]
async fn a_store_stays_in_its_cluster() {
    let stop = CancellationToken::new();
    let (one, _, own) = start_pd(PdConfig { cluster_id: Some(11), ..PdConfig::default() }, &stop).await;
    let (other, ..) = start_pd(PdConfig { cluster_id: Some(12), ..PdConfig::default() }, &stop).await;
    let (engine, another) = (Arc::new(MemoryEngine::new()), Arc::new(MemoryEngine::new()));
    let clock = || Arc::new(SystemClock);
    let store_id = open(&engine, one.clone(), clock()).await.expect("a first store").store_id();
    open(&another, other.clone(), clock()).await.expect("the first store of another cluster");
    let refused = open(&engine, other, clock()).await.err().expect("it is no store of the other cluster");
    assert!(matches!(refused, NodeError::OtherCluster { own: 11, theirs: 12 }), "{refused}");
    let back = open(&engine, one, clock()).await.expect("its own cluster knows it");
    assert_eq!((back.store_id(), own), (store_id, 11));
    stop.cancel();
}

#[tokio::test]
async fn a_clock_that_is_hours_off_is_refused() {
    let stop = CancellationToken::new();
    let (pd, ..) = start_pd(PdConfig::default(), &stop).await;
    let engine = Arc::new(MemoryEngine::new());
    let now = SystemClock.now_micros();
    for (off_secs, is_refused) in [(-7_200, true), (90_000, true), (-600, false), (0, false)] {
        let clock = Arc::new(ManualClock::new(now + off_secs * 1_000_000));
        let opened = open(&engine, pd.clone(), clock).await;
        let refused =
            matches!(opened, Err(NodeError::ClockOff { seconds }) if (seconds - off_secs).abs() < 60);
        assert_eq!((refused, opened.is_ok()), (is_refused, !is_refused), "{off_secs}");
    }
    stop.cancel();
}
