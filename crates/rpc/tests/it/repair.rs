//! Replicas that are damaged: they are found, they serve nobody, and they are replaced.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use prost::Message;
use tidewater_codec::Key;
use tidewater_kv::{Cf, Finding, Node, NodeConfig};
use tidewater_proto::{metapb, pdpb, raftpb, regionpb};
use tidewater_raft::{LogDevice, LogOp, Urgency};
use tidewater_txn::{TxnKind, TxnOptions};

use crate::cluster::{put_accounts, total};
use crate::replicated::{ACCOUNTS, Replicated, quick, tellers};

/// Nobody compares replicas but on request.
fn on_request() -> NodeConfig {
    NodeConfig { consistency_check_interval: None, ..quick() }
}

/// The region with the accounts, as its leader reports it.
async fn region(cluster: &Replicated) -> metapb::Region {
    let key = Key::new("account 0000").encode();
    let request = pdpb::GetRegionRequest { region_key: key.as_bytes().to_vec().into(), ..Default::default() };
    use tidewater_proto::PdService;
    cluster.pd.get_region(request).await.unwrap().region.unwrap()
}

fn index_of(cluster: &Replicated, peer: &metapb::Peer) -> usize {
    let is_there = |store: &Arc<Node>| store.store_id() == peer.store_id;
    (0..cluster.stores.len()).find(|index| is_there(cluster.node(*index))).unwrap()
}

/// Where the transactional data of all accounts lies in an engine.
const ACCOUNTS_RANGE: (&[u8], &[u8]) = (b"zaccount", b"zaccounu");

async fn filled(config: NodeConfig) -> Replicated {
    let cluster = Replicated::start(3, config).await;
    put_accounts(&cluster.client(), ACCOUNTS).await;
    cluster.wait_for_replicas(3).await;
    wait_until_equal(&cluster).await;
    cluster
}

/// Waits until a peer is gone and the region has three others.
async fn wait_for_successor(cluster: &Replicated, damaged: u64) {
    for _ in 0..600 {
        let now = region(cluster).await;
        if now.peers.len() == 3 && now.peers.iter().all(|peer| peer.id != damaged) {
            return cluster.wait_for_replicas(3).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("peer {damaged} is still there: {:?}", region(cluster).await);
}

/// Waits until all three replicas have the same, by their own word.
async fn wait_until_equal(cluster: &Replicated) {
    let mut last = None;
    for _ in 0..100 {
        let leader = cluster.leading_store().await;
        let id = region(cluster).await.id;
        if let Ok(report) = cluster.node(leader).check_consistency(id).await {
            let hashes = report.findings.values().filter(|finding| matches!(finding, Finding::Hash(_)));
            if report.agreed.is_some() && hashes.count() == 3 && report.damaged().is_empty() {
                return;
            }
            last = Some(report);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the replicas are not equal: {last:?}");
}

async fn damage_and_repair(of_leader: bool) {
    let cluster = filled(on_request()).await;
    let leader = cluster.leading_store().await;
    let meta = region(&cluster).await;
    let is_leader = |peer: &&metapb::Peer| index_of(&cluster, peer) == leader;
    let victim = *meta.peers.iter().find(|peer| is_leader(peer) == of_leader).unwrap();
    let index = index_of(&cluster, &victim);
    let (family, key) = cluster.stores[index].engine.flip(ACCOUNTS_RANGE.0, ACCOUNTS_RANGE.1);
    assert_eq!(family, Cf::Write);
    let report = cluster.node(leader).check_consistency(meta.id).await.unwrap();
    assert_eq!(report.damaged(), [victim.id], "{report:?} {key:?}");
    wait_for_successor(&cluster, victim.id).await;
    wait_until_equal(&cluster).await;
    assert_eq!(total(&cluster.client(), ACCOUNTS).await, u64::from(ACCOUNTS) * 100);
    for index in 0..3 {
        let node = cluster.node(index).clone();
        for _ in 0..100 {
            if node.damaged_count() == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(node.damaged_count(), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_with_other_bytes_is_found_and_replaced() {
    damage_and_repair(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_with_other_bytes_is_found_and_replaced() {
    damage_and_repair(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_follower_answers_nobody() {
    let cluster = filled(on_request()).await;
    let mut txn = cluster
        .client()
        .begin(TxnOptions { kind: TxnKind::Optimistic, ..TxnOptions::default() })
        .await
        .unwrap();
    let ts = txn.start_ts().into_inner();
    txn.rollback().await.unwrap();
    let leader = cluster.leading_store().await;
    let meta = region(&cluster).await;
    let victim = *meta.peers.iter().find(|peer| index_of(&cluster, peer) != leader).unwrap();
    let victim_node = cluster.node(index_of(&cluster, &victim)).clone();
    cluster.stores[index_of(&cluster, &victim)].engine.flip(ACCOUNTS_RANGE.0, ACCOUNTS_RANGE.1);
    // Before anybody looks it has a wrong answer.
    let wrong = cluster.ask_followers(ts, false).await;
    assert!(wrong.iter().flatten().any(|balance| *balance != 100), "{wrong:?}");
    cluster.node(leader).check_consistency(meta.id).await.unwrap();
    let is_known = async || {
        let is_gone = region(&cluster).await.peers.iter().all(|peer| peer.id != victim.id);
        is_gone || victim_node.damaged_count() > 0
    };
    for _ in 0..200 {
        if is_known().await {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(is_known().await);
    // From then on it has none, until its successor has the right one.
    for _ in 0..600 {
        let answers = cluster.ask_followers(ts, false).await;
        assert!(answers.iter().flatten().all(|balance| *balance == 100), "{answers:?}");
        let now = region(&cluster).await;
        if now.peers.iter().all(|peer| peer.id != victim.id)
            && answers.iter().filter(|a| a.is_ok()).count() == 2
        {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the successor does not answer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_is_found_on_schedule_and_only_damage() {
    let often = NodeConfig {
        consistency_check_interval: Some(Duration::from_millis(100)),
        region_keys_max: 60,
        region_keys_split: 30,
        ..quick()
    };
    let cluster = filled(often).await;
    let stop = Arc::new(AtomicBool::new(false));
    let (tellers, done) = tellers(&cluster, 3, &stop);
    // Regions are written, cut and merged meanwhile.
    for _ in 0..600 {
        if done.load(Ordering::Relaxed) >= 150 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(done.load(Ordering::Relaxed) >= 150);
    let damaged: Vec<_> = (0..3).map(|index| cluster.node(index).damaged_count()).collect();
    assert_eq!(damaged, [0, 0, 0], "equal replicas were found to differ");
    stop.store(true, Ordering::Relaxed);
    for teller in tellers {
        teller.await.unwrap();
    }
    cluster.wait_for_replicas(3).await;
    let leader = cluster.leading_store().await;
    let meta = region(&cluster).await;
    let victim = *meta.peers.iter().find(|peer| index_of(&cluster, peer) != leader).unwrap();
    cluster.stores[index_of(&cluster, &victim)].engine.flip(ACCOUNTS_RANGE.0, ACCOUNTS_RANGE.1);
    for _ in 0..600 {
        let has_victim = |region: &pdpb::Region| {
            region.region.as_ref().is_some_and(|meta| meta.peers.iter().any(|peer| peer.id == victim.id))
        };
        if !cluster.regions().await.iter().any(has_victim) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("nobody has found it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_cannot_be_read_is_replaced() {
    for of_leader in [true, false] {
        let cluster = filled(on_request()).await;
        let leader = cluster.leading_store().await;
        let meta = region(&cluster).await;
        let is_leader = |peer: &&metapb::Peer| index_of(&cluster, peer) == leader;
        let victim = *meta.peers.iter().find(|peer| is_leader(peer) == of_leader).unwrap();
        let engine = &cluster.stores[index_of(&cluster, &victim)].engine;
        let (key, _) = engine.first(ACCOUNTS_RANGE.0, ACCOUNTS_RANGE.1);
        engine.rot(Cf::Write, &key);
        if !of_leader {
            // Nobody reads it there, until somebody looks.
            cluster.node(leader).check_consistency(meta.id).await.unwrap();
        }
        // Clients of the leader are told of the damage, or wait.
        let client = cluster.client();
        let read = async || -> Option<u64> {
            let mut txn =
                client.begin(TxnOptions { kind: TxnKind::Optimistic, ..TxnOptions::default() }).await.ok()?;
            let value = txn.get(&Key::new("account 0000")).await.ok()??;
            let _ = txn.rollback().await;
            Some(u64::from_be_bytes(value[..].try_into().unwrap()))
        };
        let mut found = None;
        for _ in 0..300 {
            found = read().await;
            if found.is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(found, Some(100), "never a wrong answer");
        wait_for_successor(&cluster, victim.id).await;
        wait_until_equal(&cluster).await;
        assert_eq!(total(&cluster.client(), ACCOUNTS).await, u64::from(ACCOUNTS) * 100);
    }
}

/// The region, and a peer that does not lead it.
async fn a_follower(cluster: &Replicated) -> (metapb::Region, metapb::Peer) {
    let leader = cluster.leading_store().await;
    let meta = region(cluster).await;
    let victim = *meta.peers.iter().find(|peer| index_of(cluster, peer) != leader).unwrap();
    (meta, victim)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_whose_log_is_damaged_does_not_start_and_is_replaced() {
    let mut cluster = filled(on_request()).await;
    let (meta, victim) = a_follower(&cluster).await;
    let index = index_of(&cluster, &victim);
    cluster.kill(index);
    // The last entry of the region's log.
    let log = cluster.stores[index].log.clone();
    let [start, end] = [3, 4].map(|kind| [&meta.id.to_be_bytes()[..], &[kind]].concat());
    let (key, _) = log.last(&start, &end).unwrap().expect("the log has entries");
    log.submit(vec![LogOp::Put(key, vec![0xff; 40])], Urgency::Now, Box::new(|_| ()));
    cluster.boot(index).await;
    wait_for_successor(&cluster, victim.id).await;
    wait_until_equal(&cluster).await;
    assert_eq!(total(&cluster.client(), ACCOUNTS).await, u64::from(ACCOUNTS) * 100);
    // And so it stays.
    cluster.kill(index);
    cluster.boot(index).await;
    wait_until_equal(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_is_half_of_a_snapshot_which_is_lost_does_not_start_and_is_replaced() {
    let mut cluster = filled(on_request()).await;
    let (meta, victim) = a_follower(&cluster).await;
    let index = index_of(&cluster, &victim);
    cluster.kill(index);
    // As a store leaves it that stops while it installs a snapshot; what of its data is old and what is new nobody knows.
    let position = Some(raftpb::LogId { term: 1_000, index: 1_000 });
    let applied = regionpb::Applied { position, membership: None, peer_id: victim.id };
    let begun = regionpb::Installation { applied: Some(applied), snapshot: "lost".to_owned() };
    let engine = &cluster.stores[index].engine;
    engine.put_record([&b"\x01installing"[..], &meta.id.to_be_bytes()].concat(), begun.encode_to_vec());
    engine.flip(ACCOUNTS_RANGE.0, ACCOUNTS_RANGE.1);
    cluster.boot(index).await;
    wait_for_successor(&cluster, victim.id).await;
    wait_until_equal(&cluster).await;
    assert_eq!(total(&cluster.client(), ACCOUNTS).await, u64::from(ACCOUNTS) * 100);
}
