//! The keys of a placement driver of several members: nothing that was answered is lost, and leases outlive their leader.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tidewater_pd::Member;
use tidewater_proto::etcdserverpb::{
    self as etcd,
    compare::{CompareResult, CompareTarget, TargetUnion},
    event::EventType,
    request_op::Request,
};
use tidewater_proto::{KeyValueError, KeyValues, PdError};
use tokio::time::{Instant, sleep};

use crate::members::Members;

fn put(key: &'static str, value: String) -> etcd::PutRequest {
    etcd::PutRequest { key: key.into(), value: value.into(), ..Default::default() }
}

fn get(key: &'static str) -> etcd::RangeRequest {
    etcd::RangeRequest { key: key.into(), ..Default::default() }
}

fn is_away<T>(answer: &Result<T, KeyValueError>) -> bool {
    matches!(answer, Err(KeyValueError::Driver(PdError::NotLeader | PdError::LeadershipLost)))
}

/// The key's value and the revision, from whoever leads by now.
async fn read(members: &Members, key: &'static str) -> (Option<Bytes>, i64) {
    loop {
        let (_, leader) = members.leader().await;
        let answer = leader.range(get(key)).await;
        if !is_away(&answer) {
            let mut answer = answer.unwrap();
            return (answer.kvs.pop().map(|found| found.value), answer.header.unwrap().revision);
        }
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn keys_and_leases_outlive_the_leader() {
    let members = Members::start(3).await;
    let (first, leader) = members.leader().await;
    members.settled(&["pd-1", "pd-2", "pd-3"]).await;
    let id = leader.lease_grant(etcd::LeaseGrantRequest { ttl: 6, id: 0 }).await.unwrap().id;
    let owner = etcd::PutRequest { lease: id, ..put("owner", "me".to_owned()) };
    let revision = leader.put(owner).await.unwrap().header.unwrap().revision;
    let everything = etcd::WatchCreateRequest { key: "owner".into(), prev_kv: true, ..Default::default() };
    let mut watch = leader.watch(everything.clone()).await.unwrap();
    let (_, other) = members.running().into_iter().find(|(name, _)| *name != first).unwrap();
    assert_eq!(other.range(get("owner")).await.unwrap_err(), KeyValueError::Driver(PdError::NotLeader));
    assert!(is_away(&other.watch(everything.clone()).await));
    // Nobody keeps it alive, but with its leader most of its time is forgotten.
    sleep(Duration::from_secs(4)).await;
    drop(leader);
    members.kill(&first).await;
    assert_eq!(watch.next().await.unwrap_err(), KeyValueError::Driver(PdError::NotLeader));
    assert_eq!(read(&members, "owner").await, (Some("me".into()), revision));
    let elected = Instant::now();
    let (_, leader) = members.leader().await;
    let from_then = etcd::WatchCreateRequest { start_revision: revision + 1, ..everything };
    let mut watch = leader.watch(from_then).await.unwrap();
    let ended = watch.next().await.unwrap();
    let after = elected.elapsed();
    assert!((Duration::from_secs(4)..Duration::from_secs(8)).contains(&after), "ended after {after:?}");
    assert_eq!((ended.events.len(), ended.events[0].r#type()), (1, EventType::Delete));
    assert_eq!(ended.events[0].prev_kv.as_ref().unwrap().value, "me");
    // A member that comes back knows all of it.
    members.boot(&first).await.unwrap();
    for (name, _) in members.running() {
        members.isolate(&name, true);
        sleep(Duration::from_secs(10)).await;
        members.isolate(&name, false);
        assert_eq!(read(&members, "owner").await, (None, revision + 1), "without {name}");
    }
}

/// Adds one to a counter if nobody else has; tells whether it did, if anybody knows.
async fn add_one(leader: &Arc<Member>) -> Result<bool, KeyValueError> {
    let found = leader.range(get("counter")).await?.kvs.pop();
    let (value, revision) = match &found {
        Some(found) => (String::from_utf8_lossy(&found.value).parse::<u64>().unwrap(), found.mod_revision),
        None => (0, 0),
    };
    let request = etcd::TxnRequest {
        compare: vec![etcd::Compare {
            result: CompareResult::Equal.into(),
            target: CompareTarget::Mod.into(),
            key: "counter".into(),
            target_union: Some(TargetUnion::ModRevision(revision)),
            range_end: Bytes::new(),
        }],
        success: vec![etcd::RequestOp {
            request: Some(Request::RequestPut(put("counter", (value + 1).to_string()))),
        }],
        failure: Vec::new(),
    };
    Ok(leader.txn(request).await?.succeeded)
}

#[tokio::test(start_paused = true)]
async fn a_counter_counts_what_was_acknowledged() {
    let members = Arc::new(Members::start(3).await);
    members.settled(&["pd-1", "pd-2", "pd-3"]).await;
    let stop = Arc::new(AtomicBool::new(false));
    let clients = (0..4).map(|_| {
        let (members, stop) = (members.clone(), stop.clone());
        tokio::spawn(async move {
            let (mut done, mut unknown) = (0, 0);
            while !stop.load(Ordering::Relaxed) {
                let (_, leader) = members.leader().await;
                match add_one(&leader).await {
                    Ok(succeeded) => done += u64::from(succeeded),
                    Err(KeyValueError::Driver(PdError::NotLeader)) => {}
                    Err(KeyValueError::Driver(_)) => unknown += 1,
                    Err(error) => panic!("{error}"),
                }
                sleep(Duration::from_millis(7)).await;
            }
            (done, unknown)
        })
    });
    let clients: Vec<_> = clients.collect();
    let mut revision = 0;
    for round in 0..12 {
        sleep(Duration::from_secs(2)).await;
        let (name, _) = members.leader().await;
        match round % 3 {
            0 => {
                members.isolate(&name, true);
                sleep(Duration::from_secs(3)).await;
                members.isolate(&name, false);
            }
            1 => {
                members.kill(&name).await;
                sleep(Duration::from_secs(3)).await;
                members.boot(&name).await.unwrap();
            }
            _ => {}
        }
        let (_, now) = read(&members, "counter").await;
        assert!(now > revision, "from {revision} to {now} in round {round}");
        revision = now;
    }
    stop.store(true, Ordering::Relaxed);
    let (mut done, mut unknown) = (0, 0);
    for client in clients {
        let (its_done, its_unknown) = client.await.unwrap();
        (done, unknown) = (done + its_done, unknown + its_unknown);
    }
    let counted =
        String::from_utf8_lossy(&read(&members, "counter").await.0.unwrap()).parse::<u64>().unwrap();
    assert!(
        done > 100 && (done..=done + unknown).contains(&counted),
        "{counted}: {done} and {unknown} unknown"
    );
}
