//! A follower that takes nothing, and does not say so.

use std::time::Duration;

use bytes::Bytes;
use tidewater_proto::raftpb::request::Body;
use tidewater_raft::RaftConfig;

use super::cluster::{Cluster, Fate, GROUP, peer, restless};

/// Entries to this store hang from now on.
fn hang(cluster: &Cluster, store: u64) {
    *cluster.network.tamper.lock() = Some(Box::new(move |request| match &request.body {
        Some(Body::Append(append)) if request.to_store == store && !append.entries.is_empty() => Fate::Hangs,
        _ => Fate::Arrives,
    }));
}

/// Bytes that hung on one of the ways to a store.
fn most_hanging(cluster: &Cluster, store: u64) -> usize {
    let hanging = cluster.network.hanging.lock();
    hanging.iter().filter(|(way, _)| way.1 == store).map(|(_, (_, most))| *most).max().unwrap_or(0)
}

async fn follower(cluster: &Cluster) -> u64 {
    let leader = cluster.leader().await;
    (1..=3).find(|store| *store != leader).unwrap()
}

#[tokio::test(start_paused = true)]
async fn one_group_keeps_little_for_a_follower_that_does_not_answer() {
    const ENTRY: usize = 200 << 10;
    let cluster = Cluster::start(3, restless()).await;
    let slow = follower(&cluster).await;
    hang(&cluster, slow);
    let command = "x".repeat(ENTRY);
    for _ in 0..200 {
        // The others are a majority.
        cluster.put(&command).await;
    }
    let most = most_hanging(&cluster, slow);
    assert!(most > ENTRY, "nothing hung: {most}");
    assert!(most < (2 << 20) + 2 * ENTRY, "{most} bytes for one follower");
    *cluster.network.tamper.lock() = None;
    cluster.converge(1..=3, 200).await;
}

#[tokio::test(start_paused = true)]
async fn many_groups_together_keep_no_more_than_the_limit() {
    const LIMIT: usize = 3 << 20;
    const GROUPS: u64 = 12;
    let cluster = Cluster::start(3, RaftConfig { unanswered_bytes_max: LIMIT, ..restless() }).await;
    let slow = follower(&cluster).await;
    hang(&cluster, slow);
    let groups = GROUP + 1..GROUP + 1 + GROUPS;
    let command = Bytes::from(vec![b'x'; 100 << 10]);
    for group in groups.clone() {
        cluster.add_group(group).await;
        // To a store that leads nothing would hang.
        let quick = (1..=3).find(|store| *store != slow).unwrap();
        cluster.node(quick).group(group).unwrap().campaign().await.unwrap();
    }
    let mut leads = Vec::new();
    for group in groups {
        let lead = cluster
            .wait("nobody leads", || {
                (1..=3).find_map(|store| cluster.node(store).group(group).filter(|group| group.has_lease()))
            })
            .await;
        for _ in 0..20 {
            lead.propose(command.clone()).await.unwrap();
        }
        leads.push(lead);
    }
    // What hung first were entries without content; they are given up and sent again with all that has come since.
    tokio::time::sleep(Duration::from_secs(10)).await;
    let most = most_hanging(&cluster, slow);
    assert!(most > LIMIT / 2, "the limit was not met: {most}");
    // The last append may go beyond it, by all that a group sends at once.
    assert!(most < LIMIT + (2 << 20) + (64 << 10), "{most} bytes for one store");
    *cluster.network.tamper.lock() = None;
    for lead in leads {
        let is_followed = || (1..=3).all(|store| lead.is_caught_up(peer(store), 0)).then_some(());
        cluster.wait("a group stays behind", is_followed).await;
    }
}
