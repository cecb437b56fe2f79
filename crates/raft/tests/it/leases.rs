//! When a leader may be read without asking anybody.

use std::time::Duration;

use bytes::Bytes;
use tidewater_raft::Role;
use tokio::time::{Instant, sleep};

use super::cluster::{Cluster, peer, restless};

#[tokio::test(start_paused = true)]
async fn who_is_cut_off_loses_the_lease_before_another_leads() {
    let cluster = Cluster::start(3, restless()).await;
    for _ in 0..5 {
        let old = cluster.leader().await;
        cluster.isolate(old, true);
        let others: Vec<_> = (1..=3).filter(|store| *store != old).collect();
        cluster
            .wait("no new leader", || {
                let old_reads = cluster.group(old).has_lease();
                let new_reads = others.iter().any(|store| cluster.group(*store).has_lease());
                assert!(!(old_reads && new_reads), "two leaders can be read");
                new_reads.then_some(())
            })
            .await;
        cluster.isolate(old, false);
        sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_hands_over_gives_up_the_lease_first() {
    let cluster = Cluster::start(3, restless()).await;
    for _ in 0..5 {
        let old = cluster.leader().await;
        let new = (1..=3).find(|store| *store != old).unwrap();
        let group = cluster.group(old);
        cluster.wait("it stays behind", || group.is_caught_up(peer(new), 0).then_some(())).await;
        let since = Instant::now();
        group.transfer_leader(peer(new)).await.unwrap();
        assert!(!group.has_lease());
        cluster
            .wait("nobody took over", || {
                let reads: Vec<_> = (1..=3).filter(|store| cluster.group(*store).has_lease()).collect();
                assert!(reads.len() < 2 && reads != [old], "{reads:?}");
                (reads == [new]).then_some(())
            })
            .await;
        assert!(since.elapsed() < Duration::from_millis(200), "{:?}", since.elapsed());
        cluster.put("go on").await;
    }
}

/// Neither the old leader, which has given its lease up, nor anybody else, as long as its heart beats come: somebody has to give in.
#[tokio::test(start_paused = true)]
async fn a_hand_over_that_nobody_takes_ends_with_a_new_leader() {
    let cluster = Cluster::start(3, restless()).await;
    for _ in 0..3 {
        let old = cluster.leader().await;
        let new = (1..=3).find(|store| *store != old).unwrap();
        let group = cluster.group(old);
        cluster.wait("it stays behind", || group.is_caught_up(peer(new), 0).then_some(())).await;
        cluster.kill(new).await;
        let since = Instant::now();
        group.transfer_leader(peer(new)).await.unwrap();
        cluster.put("go on").await;
        assert!(since.elapsed() < Duration::from_secs(6), "{:?}", since.elapsed());
        cluster.restart(new).await;
    }
}

/// A follower that restarts has forgotten that it promised the leader not to vote for others.
#[tokio::test(start_paused = true)]
async fn a_restarted_follower_does_not_break_its_promise() {
    let cluster = Cluster::start(3, restless()).await;
    let leader = cluster.leader().await;
    let others: Vec<_> = (1..=3).filter(|store| *store != leader).collect();
    let (restarted, rival) = (others[0], others[1]);
    for _ in 0..3 {
        // The rival hears nothing until it would stand for election.
        cluster.isolate(rival, true);
        sleep(Duration::from_secs(2)).await;
        assert!(cluster.group(leader).has_lease());
        cluster.kill(restarted).await;
        cluster.restart(restarted).await;
        // Now the leader is alone, and the two others can elect one of them.
        cluster.cut(leader, restarted, true);
        cluster.cut(rival, restarted, false);
        let since = Instant::now();
        let mut elected = None;
        while since.elapsed() < Duration::from_secs(10) {
            let old_reads = cluster.group(leader).has_lease();
            let new_reads = [restarted, rival].into_iter().find(|store| cluster.group(*store).has_lease());
            assert!(!(old_reads && new_reads.is_some()), "two leaders after {:?}", since.elapsed());
            elected = elected.or(new_reads);
            sleep(Duration::from_millis(1)).await;
        }
        assert!(elected.is_some(), "the two could have elected one");
        cluster.isolate(leader, false);
        sleep(Duration::from_secs(2)).await;
        // The first leader leads again for the next round.
        let now = cluster.leader().await;
        if now != leader {
            cluster.group(now).transfer_leader(peer(leader)).await.unwrap();
            cluster
                .wait("it did not get it back", || (cluster.role(leader) == Role::Leader).then_some(()))
                .await;
            cluster.leader().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_barrier_needs_a_majority() {
    let cluster = Cluster::start(3, restless()).await;
    cluster.put("a").await;
    let leader = cluster.leader().await;
    let group = cluster.group(leader);
    assert_eq!(group.read_barrier().await, Ok(()));
    cluster.isolate(leader, true);
    let alone = tokio::time::timeout(Duration::from_secs(5), group.read_barrier()).await;
    assert!(!matches!(alone, Ok(Ok(()))), "{alone:?}");
    let follower = (1..=3).find(|store| *store != leader).unwrap();
    assert!(
        cluster.group(follower).propose(Bytes::new()).await.is_err() || follower == cluster.leader().await
    );
}

#[tokio::test(start_paused = true)]
async fn who_stands_down_votes_and_never_leads_again() {
    let cluster = Cluster::start(3, restless()).await;
    let leader = cluster.leader().await;
    cluster.put("first").await;
    let unfit = (1..=3).find(|store| *store != leader).unwrap();
    cluster.group(unfit).stand_down();
    // It is not given leadership.
    cluster.wait("it is behind", || cluster.group(leader).is_caught_up(peer(unfit), 0).then_some(())).await;
    let _ = cluster.group(leader).transfer_leader(peer(unfit)).await;
    sleep(Duration::from_secs(10)).await;
    let leader = cluster.leader().await;
    assert_ne!(leader, unfit);
    // Nor does it take it, while its vote is needed.
    cluster.kill(leader).await;
    cluster.put("second").await;
    let last = cluster.leader().await;
    assert_ne!(last, unfit);
    cluster.kill(last).await;
    sleep(Duration::from_secs(30)).await;
    assert_eq!(cluster.role(unfit), Role::Follower);
}
