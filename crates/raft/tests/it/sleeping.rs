//! Groups in which nothing happens cost nothing, and wake when they must.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tidewater_raft::RaftConfig;
use tokio::time::sleep;

use super::cluster::Cluster;

async fn sleeping_cluster() -> Cluster {
    let cluster =
        Cluster::start(3, RaftConfig { sleep_after: Some(Duration::from_secs(1)), ..RaftConfig::default() })
            .await;
    cluster.put("a").await;
    sleep(Duration::from_secs(10)).await;
    cluster
}

fn messages(cluster: &Cluster) -> u64 {
    cluster.network.sent.load(Ordering::Relaxed)
}

#[tokio::test(start_paused = true)]
async fn nothing_is_said_while_nothing_happens_and_a_proposal_wakes_everybody() {
    let cluster = sleeping_cluster().await;
    let before = messages(&cluster);
    sleep(Duration::from_secs(600)).await;
    // Two stores look after the third, twice in the time of an election; the group itself is silent.
    let looks = 2 * 600_000 / (cluster.config.election_timeout_max.as_millis() as u64 / 2);
    let said = messages(&cluster) - before;
    assert!(said <= looks + looks / 20, "they talk in their sleep: {said}");
    let leader = (1..=3).find(|store| cluster.role(*store) == tidewater_raft::Role::Leader).unwrap();
    let group = cluster.group(leader);
    // Nobody was asked for ten minutes: that nobody answered is not silence, nor is it when the group is woken.
    assert_eq!(group.silent_members(Duration::from_secs(3)), []);
    // The lease has run out; asking the others renews it.
    assert!(!group.has_lease());
    assert_eq!(group.read_barrier().await, Ok(()));
    assert_eq!(group.silent_members(Duration::from_secs(3)), []);
    cluster.put("b").await;
    cluster.converge(1..=3, 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_dies_while_all_sleep_is_missed() {
    let cluster = sleeping_cluster().await;
    let leader = (1..=3).find(|store| cluster.role(*store) == tidewater_raft::Role::Leader).unwrap();
    cluster.kill(leader).await;
    let others: Vec<_> = (1..=3).filter(|store| *store != leader).collect();
    let since = tokio::time::Instant::now();
    cluster.leader().await;
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    cluster.put("b").await;
    cluster.converge(others, 2).await;
}
