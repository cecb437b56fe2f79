//! Groups in which nothing happens: they stop their clocks, and wake when they must.
//!
//! A leader whose members have everything, and that has had nothing to do for a while, tells the others to sleep, and sleeps. Any proposal, read or
//! message wakes a member. Nobody in the group would miss a leader that dies meanwhile: so stores look after the stores that lead their sleeping
//! groups.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Weak, atomic::Ordering},
};

use futures::future::join_all;
use openraft::async_runtime::watch::WatchReceiver;
use tidewater_proto::raftpb::{self, request::Body, response::Body as Answer};

use crate::{
    group::{Group, Role},
    node::RaftNode,
    wire,
};

/// Looks in a row that a store leaves unanswered before it counts as lost.
const LOOKS_MISSED: u32 = 2;

impl RaftNode {
    /// A store does not answer: groups that it leads and that sleep are woken, so that they miss their leader.
    pub fn store_lost(&self, store_id: u64) {
        for group in self.groups() {
            if group.asleep.load(Ordering::Acquire) && group.leader_store.load(Ordering::Relaxed) == store_id
            {
                group.wake();
            }
        }
    }

    /// Looks after the stores that lead sleeping groups, until the node is dropped. To be spawned once.
    pub async fn watch_stores(node: Weak<Self>) {
        let mut missed: BTreeMap<u64, u32> = BTreeMap::new();
        loop {
            let Some(interval) = node.upgrade().map(|node| node.config.election_timeout_max / 2) else {
                return;
            };
            tokio::time::sleep(interval).await;
            let Some(node) = node.upgrade() else { return };
            let leaders = node.leaders_of_sleepers();
            missed.retain(|store_id, _| leaders.contains(store_id));
            let looks = leaders.iter().map(|store_id| {
                // To no group: any answer is a sign of life.
                let request =
                    raftpb::Request { from_store: node.store_id, to_store: *store_id, ..Default::default() };
                tokio::time::timeout(interval, node.transport.send(request))
            });
            for (store_id, answer) in leaders.iter().zip(join_all(looks).await) {
                match answer {
                    Ok(Ok(_)) => drop(missed.remove(store_id)),
                    Ok(Err(_)) | Err(_) => {
                        let count = missed.entry(*store_id).or_default();
                        *count += 1;
                        if *count >= LOOKS_MISSED {
                            tracing::info!(
                                store = store_id,
                                "the store is lost, its sleeping groups are woken"
                            );
                            node.store_lost(*store_id);
                        }
                    }
                }
            }
        }
    }

    fn leaders_of_sleepers(&self) -> BTreeSet<u64> {
        let groups = self.groups();
        let sleepers = groups.iter().filter(|group| group.asleep.load(Ordering::Acquire));
        let stores = sleepers.map(|group| group.leader_store.load(Ordering::Relaxed));
        stores.filter(|store_id| *store_id != self.store_id).collect()
    }

    /// Puts groups to sleep in which nothing happens, until the node is dropped. To be spawned once.
    pub async fn watch_idleness(node: Weak<Self>) {
        let mut seen = BTreeMap::new();
        loop {
            let Some(interval) = node.upgrade().and_then(|node| node.config.sleep_after) else { return };
            tokio::time::sleep(interval).await;
            let Some(node) = node.upgrade() else { return };
            let mut now = BTreeMap::new();
            for group in node.groups() {
                let activity = group.activity.load(Ordering::Relaxed);
                if seen.get(&group.id) == Some(&activity) && !group.asleep.load(Ordering::Acquire) {
                    node.put_to_sleep(&group).await;
                }
                now.insert(group.id, group.activity.load(Ordering::Relaxed));
            }
            seen = now;
        }
    }

    async fn put_to_sleep(&self, group: &Arc<Group>) {
        let status = group.status();
        if status.role != Role::Leader || status.membership.is_joint() {
            return;
        }
        let others: Vec<_> =
            status.membership.members.iter().filter(|(peer, _)| **peer != group.peer_id).collect();
        if !others.iter().all(|(peer, _)| group.is_caught_up(**peer, 0)) {
            return;
        }
        let before = group.activity.load(Ordering::Relaxed);
        let message = raftpb::SleepRequest {
            vote: Some(wire::vote(&group.raft.server_metrics().borrow_watched().vote)),
            last: group.raft.data_metrics().borrow_watched().last_log.as_ref().map(wire::log_id),
        };
        let answers = join_all(others.into_iter().map(|(peer, store)| {
            let request = raftpb::Request {
                group_id: group.id,
                from_peer: group.peer_id,
                from_store: self.store_id,
                to_peer: *peer,
                to_store: *store,
                body: Some(Body::Sleep(message)),
            };
            tokio::time::timeout(self.config.election_timeout_max, self.transport.send(request))
        }));
        let asleep = |response: &raftpb::Response| matches!(&response.body, Some(Answer::Sleep(sleep)) if sleep.asleep);
        let all = answers
            .await
            .into_iter()
            .all(|answer| answer.is_ok_and(|answer| answer.is_ok_and(|r| asleep(&r))));
        // Followers that did fall asleep are woken by the next heart beat.
        if all && group.activity.load(Ordering::Relaxed) == before {
            group.leader_store.store(self.store_id, Ordering::Relaxed);
            group.asleep.store(true, Ordering::Release);
            group.raft.runtime_config().tick(false);
            if group.activity.load(Ordering::Relaxed) != before {
                group.wake();
            }
        }
    }
}
