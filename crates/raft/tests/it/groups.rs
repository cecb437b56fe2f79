//! What a group promises: entries, failures, restarts, members.

use std::time::Duration;

use bytes::Bytes;
use tidewater_raft::{GroupError, RaftConfig, Role};
use tokio::time::Instant;

use super::cluster::{Cluster, peer, restless};

#[tokio::test(start_paused = true)]
async fn what_is_acknowledged_is_everywhere_and_in_one_order() {
    let cluster = Cluster::start(3, restless()).await;
    assert_eq!(cluster.put("a").await, "1");
    assert_eq!(cluster.put("b").await, "2");
    let leader = cluster.leader().await;
    let group = cluster.group(leader);
    let many = (0..200).map(|number| group.propose(Bytes::from(format!("{number}"))));
    let answers = futures::future::join_all(many).await;
    assert!(answers.iter().all(Result::is_ok));
    cluster.converge(1..=3, 202).await;
    let follower = (1..=3).find(|store| *store != leader).unwrap();
    let refused = cluster.group(follower).propose(Bytes::from_static(b"x")).await;
    assert_eq!(refused, Err(GroupError::NotLeader { leader: Some((peer(leader), leader)) }));
    assert!(!cluster.group(follower).has_lease());
}

#[tokio::test(start_paused = true)]
async fn a_dead_leader_is_replaced_within_seconds_and_nothing_acknowledged_is_lost() {
    let cluster = Cluster::start(3, restless()).await;
    for round in 0..6 {
        let leader = cluster.leader().await;
        cluster.put(&format!("before {round}")).await;
        cluster.kill(leader).await;
        let since = tokio::time::Instant::now();
        cluster.put(&format!("after {round}")).await;
        // The lease, and at most as long again; and once more where two stand at the same time.
        assert!(since.elapsed() < Duration::from_millis(2200), "{:?}", since.elapsed());
        cluster.restart(leader).await;
        cluster.converge(1..=3, 2 * round + 2).await;
    }
    for store in 1..=3 {
        let indexes = cluster.stores[&store].disk.lock().indexes.clone();
        assert!(indexes.windows(2).all(|pair| pair[0] < pair[1]), "an entry was applied twice: {indexes:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_minority_acknowledges_nothing_and_forgets_what_it_could_not_commit() {
    let cluster = Cluster::start(3, restless()).await;
    cluster.put("kept").await;
    let old = cluster.leader().await;
    cluster.isolate(old, true);
    let lost = cluster.group(old);
    let hanging = tokio::spawn(async move { lost.propose(Bytes::from_static(b"lost")).await });
    let others: Vec<_> = (1..=3).filter(|store| *store != old).collect();
    let new = cluster
        .wait("no new leader", || others.iter().copied().find(|s| cluster.group(*s).has_lease()))
        .await;
    assert_eq!(cluster.group(new).propose(Bytes::from_static(b"new")).await, Ok(Bytes::from_static(b"2")));
    cluster.isolate(old, false);
    cluster.converge(1..=3, 2).await;
    let outcome = hanging.await.unwrap();
    assert!(matches!(outcome, Err(GroupError::Unknown | GroupError::NotLeader { .. })), "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn a_new_store_is_filled_by_snapshot_and_takes_the_place_of_another() {
    let config = RaftConfig { log_entries_max: 20, log_entries_kept: 5, ..restless() };
    let mut cluster = Cluster::start(3, config).await;
    for number in 0..100 {
        cluster.put(&number.to_string()).await;
    }
    cluster.add_store(4);
    cluster.boot(4);
    cluster.open(4).await;
    let leader = cluster.leader().await;
    cluster.group(leader).add_learner(peer(4), 4).await.unwrap();
    cluster
        .wait("the learner stays behind", || cluster.group(leader).is_caught_up(peer(4), 0).then_some(()))
        .await;
    assert_eq!(cluster.role(4), Role::Learner);
    let leaver = (1..=3).find(|store| *store != leader).unwrap();
    cluster.group(leader).change_voters([peer(4)], [peer(leaver)]).await.unwrap();
    let status = cluster.group(leader).status();
    assert!(status.membership.is_voter(peer(4)) && !status.membership.members.contains_key(&peer(leaver)));
    cluster.kill(leaver).await;
    // Both others are needed now.
    cluster.put("with the newcomer").await;
    cluster.converge((1..=4).filter(|store| *store != leaver), 101).await;
    assert!(cluster.stores[&4].disk.lock().indexes.len() < 50, "it got a snapshot, not all entries");
}

#[tokio::test(start_paused = true)]
async fn logs_are_cut_and_a_member_that_was_away_is_caught_up() {
    let config = RaftConfig { log_entries_max: 50, log_entries_kept: 10, ..restless() };
    let cluster = Cluster::start(3, config).await;
    let away = (1..=3).find(|store| Some(*store) != cluster.leader_now()).unwrap();
    cluster.leader().await;
    cluster.kill(away).await;
    for number in 0..300 {
        cluster.put(&number.to_string()).await;
    }
    cluster.restart(away).await;
    cluster.converge(1..=3, 300).await;
    // Everybody starts again from what is left of the logs.
    for store in 1..=3 {
        cluster.kill(store).await;
    }
    for store in 1..=3 {
        cluster.restart(store).await;
    }
    assert_eq!(cluster.put("last").await, "301");
    cluster.converge(1..=3, 301).await;
}

#[tokio::test(start_paused = true)]
async fn new_members_vote_at_once_and_restarted_ones_after_a_while() {
    let config = RaftConfig::default();
    let patience = config.election_timeout_max;
    let cluster = Cluster::start(3, config).await;
    let began = Instant::now();
    cluster.group(1).campaign().await.unwrap();
    assert_eq!(cluster.leader().await, 1);
    assert!(began.elapsed() < Duration::from_millis(100), "nobody had promised anything");
    for store in [2, 3] {
        cluster.kill(store).await;
        cluster.restart(store).await;
    }
    cluster.kill(1).await;
    let began = Instant::now();
    cluster.group(2).campaign().await.unwrap();
    cluster.leader().await;
    assert!(began.elapsed() >= patience / 2, "they may have promised the first leader to wait");
}

#[tokio::test(start_paused = true)]
async fn a_member_of_its_own_needs_nobody() {
    let cluster = Cluster::start(1, restless()).await;
    assert_eq!(cluster.put("a").await, "1");
    cluster.kill(1).await;
    cluster.restart(1).await;
    assert_eq!(cluster.put("b").await, "2");
    assert!(cluster.group(1).has_lease());
}

#[tokio::test(start_paused = true)]
async fn requests_that_are_for_somebody_else_are_refused() {
    use tidewater_proto::raftpb::{Request, refusal::Reason, request::Body, response::Body as Answer};
    let cluster = Cluster::start(3, restless()).await;
    let ask = async |request: Request| match cluster.node(1).handle(request).await.body {
        Some(Answer::Refusal(refusal)) => refusal.reason(),
        other => panic!("{other:?}"),
    };
    let good = Request {
        group_id: super::cluster::GROUP,
        from_peer: peer(2),
        from_store: 2,
        to_peer: peer(1),
        to_store: 1,
        body: Some(Body::Append(Default::default())),
    };
    assert_eq!(ask(good.clone()).await, Reason::Malformed);
    assert_eq!(ask(Request { body: None, ..good.clone() }).await, Reason::Malformed);
    assert_eq!(ask(Request { to_store: 2, ..good.clone() }).await, Reason::Malformed);
    assert_eq!(ask(Request { group_id: 77, ..good.clone() }).await, Reason::NotReady);
    assert_eq!(ask(Request { to_peer: 1, ..good.clone() }).await, Reason::ReceiverRemoved);
    assert_eq!(ask(Request { to_peer: 999, ..good }).await, Reason::NotReady);
}
