//! Members of a placement driver that die, restart, are cut off, come and go.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tidewater_pd::{
    FileStorage, Member, MemberConfig, MemberError, MemoryStorage, OpenError, PdConfig, PlacementDriver,
    Storage,
};
use tidewater_proto::pdpeerpb::change_response::Outcome;
use tidewater_proto::{PdError, PdService, metapb, pdpb};
use tidewater_raft::{FileDevice, seed_randomness};
use tidewater_types::clock::SystemClock;
use tokio::time::{Instant, sleep, timeout};

use super::fake::Dice;
use super::members::Members;

/// Calls whoever leads until somebody answers.
async fn insist<T, F>(members: &Members, call: impl Fn(Arc<Member>) -> F) -> T
where
    F: Future<Output = Result<T, PdError>>,
{
    for _ in 0..3000 {
        for (_, member) in members.running() {
            // Like a client's, this patience ends.
            match timeout(Duration::from_secs(3), call(member)).await {
                Ok(Ok(answer)) => return answer,
                Ok(Err(PdError::NotLeader | PdError::LeadershipLost)) | Err(_) => {}
                Ok(Err(error)) => panic!("{error}"),
            }
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("nobody answers");
}

async fn timestamp(members: &Members) -> (i64, i64) {
    let last = insist(members, |member| async move { member.timestamps(3).await }).await;
    (last.physical, last.logical)
}

async fn put_store(members: &Members, id: u64) {
    let store = metapb::Store { id, address: format!("store-{id}"), ..Default::default() };
    let request = pdpb::PutStoreRequest { store: Some(store), ..Default::default() };
    insist(members, |member| {
        let request = request.clone();
        async move { member.put_store(request).await }
    })
    .await;
}

async fn stores(members: &Members) -> BTreeSet<u64> {
    let all = insist(members, |member| async move { member.get_all_stores(Default::default()).await }).await;
    all.stores.iter().map(|store| store.id).collect()
}

#[tokio::test(start_paused = true)]
async fn a_dead_leader_is_replaced_within_two_seconds() {
    let members = Members::start(3).await;
    let (mut last, mut last_id, mut waits) = ((0, 0), 0, Vec::new());
    for round in 0..12u64 {
        for number in 0..5 {
            put_store(&members, 1 + round * 5 + number).await;
        }
        let next = timestamp(&members).await;
        assert!(next > last);
        last = next;
        let (name, _) = members.leader().await;
        members.kill(&name).await;
        let killed = Instant::now();
        let id = insist(&members, |member| async move { member.alloc_id(1).await }).await;
        let next = timestamp(&members).await;
        waits.push(killed.elapsed());
        assert!(id > last_id && next > last, "{next:?} is not above {last:?}");
        (last, last_id) = (next, id);
        assert_eq!(stores(&members).await.len() as u64, round * 5 + 5);
        members.boot(&name).await.unwrap();
        members.settled(&["pd-1", "pd-2", "pd-3"]).await;
    }
    waits.sort();
    // The two that are left may stand at the same moment, and have to try again.
    assert!(waits[waits.len() * 3 / 4] < Duration::from_secs(2), "{waits:?}");
    assert!(waits[waits.len() - 1] < Duration::from_secs(5), "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_cut_off_falls_silent_before_another_speaks() {
    let members = Members::start(3).await;
    for _ in 0..5 {
        let (name, old) = members.leader().await;
        let mut last = old.timestamps(1).await.unwrap();
        members.isolate(&name, true);
        // It goes on for as long as its lease does.
        let successor = members
            .wait("no successor", || {
                let others = members.running();
                others.into_iter().find(|(other, member)| *other != name && member.is_leading())
            })
            .await;
        assert!(!old.is_leading());
        assert_eq!(old.description().leader_id, 0, "it would send clients to itself");
        let refused = old.timestamps(1).await;
        assert_eq!(refused, Err(PdError::NotLeader));
        let next = successor.1.timestamps(1).await.unwrap();
        assert!((next.physical, next.logical) > (last.physical, last.logical));
        last = next;
        members.isolate(&name, false);
        let again = insist(&members, |member| async move { member.timestamps(1).await }).await;
        assert!((again.physical, again.logical) > (last.physical, last.logical));
    }
}

/// What clients were told, and what must hold for all they are told later.
#[derive(Default)]
struct Told {
    timestamp: Mutex<(i64, i64)>,
    ids: Mutex<BTreeSet<u64>>,
    stores: Mutex<BTreeSet<u64>>,
}

async fn client(members: Arc<Members>, told: Arc<Told>, stop: Arc<AtomicBool>, mut dice: Dice, number: u64) {
    let mut next_store = number * 1_000_000;
    while !stop.load(Ordering::Relaxed) {
        match dice.below(10) {
            0..5 => {
                let floor = *told.timestamp.lock();
                let count = 1 + dice.below(1000) as u32;
                let last = insist(&members, |member| async move { member.timestamps(count).await }).await;
                let first = (last.physical, last.logical - i64::from(count) + 1);
                assert!(first > floor, "{first:?} after {floor:?}");
                let mut highest = told.timestamp.lock();
                *highest = (*highest).max((last.physical, last.logical));
            }
            5 | 6 => {
                let count = 1 + dice.below(50) as u32;
                let last = insist(&members, |member| async move { member.alloc_id(count).await }).await;
                let mut ids = told.ids.lock();
                (last + 1 - u64::from(count)..=last).for_each(|id| assert!(ids.insert(id), "{id} twice"));
            }
            7 | 8 => {
                next_store += 1;
                put_store(&members, next_store).await;
                told.stores.lock().insert(next_store);
            }
            _ => {
                let acknowledged = told.stores.lock().clone();
                let found = stores(&members).await;
                let lost: Vec<_> = acknowledged.difference(&found).collect();
                assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
            }
        }
        sleep(Duration::from_millis(dice.below(40))).await;
    }
}

/// Members die and are cut off at random, and their clocks jump, while clients go on.
async fn chaos(seed: u64, count: usize) {
    seed_randomness(Some(seed));
    let mut members = Members::start(count).await;
    // Logs are cut, so that members that were away get snapshots.
    for machine in members.machines.values_mut() {
        machine.config.raft.log_entries_max = 60;
        machine.config.raft.log_entries_kept = 10;
    }
    let members = Arc::new(members);
    let (told, stop) = (Arc::<Told>::default(), Arc::new(AtomicBool::new(false)));
    let mut dice = Dice::new(seed);
    let clients: Vec<_> = (1..=4)
        .map(|number| {
            let dice = Dice::new(seed * 100 + number);
            tokio::spawn(client(members.clone(), told.clone(), stop.clone(), dice, number))
        })
        .collect();
    let names: Vec<_> = members.machines.keys().cloned().collect();
    let (mut dead, mut cut) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..30 {
        sleep(Duration::from_millis(200 + dice.below(2500))).await;
        let leader = members.running().into_iter().find(|(_, member)| member.is_leading());
        let victim = match leader {
            Some((name, _)) if dice.percent(60) => name,
            _ => names[dice.below(names.len() as u64) as usize].clone(),
        };
        let jump = dice.below(20_000_000) as i64 - 10_000_000;
        members.machines[&victim].clock.offset_micros.fetch_add(jump, Ordering::Relaxed);
        // Now and then even the majority is gone.
        let is_enough = dead.len() + cut.len() < names.len() / 2 + usize::from(dice.percent(20));
        match dice.below(5) {
            0 | 1 if is_enough && !dead.contains(&victim) => {
                members.kill(&victim).await;
                dead.insert(victim);
            }
            2 if is_enough && !cut.contains(&victim) => {
                members.isolate(&victim, true);
                cut.insert(victim);
            }
            _ => {
                if let Some(name) = dead.pop_first() {
                    members.boot(&name).await.unwrap();
                }
                if let Some(name) = cut.pop_first() {
                    members.isolate(&name, false);
                }
            }
        }
        assert!(clients.iter().all(|client| !client.is_finished()), "seed {seed}: a client failed");
    }
    for name in dead {
        members.boot(&name).await.unwrap();
    }
    cut.iter().for_each(|name| members.isolate(name, false));
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    assert!(stores(&members).await.is_superset(&told.stores.lock()), "seed {seed}");
    let (ids, stores) = (told.ids.lock().len(), told.stores.lock().len());
    eprintln!("seed {seed}: {ids} ids, {stores} stores");
    assert!(stores > 50, "only {stores} writes came through");
    for (_, member) in members.running() {
        member.stop().await;
    }
    seed_randomness(None);
}

#[tokio::test(start_paused = true)]
async fn clients_see_one_driver_whatever_happens_to_three_members() {
    for seed in 1..=4 {
        chaos(seed, 3).await;
    }
}

#[tokio::test(start_paused = true)]
async fn clients_see_one_driver_whatever_happens_to_five_members() {
    for seed in 1..=2 {
        chaos(seed, 5).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_cluster_of_one_grows_to_three_and_shrinks_again() {
    let mut members = Members::start(1).await;
    put_store(&members, 1).await;
    let cluster_id = members.leader().await.1.cluster_id();
    for name in ["pd-2", "pd-3"] {
        members.add_newcomer(name, "pd-1");
        let newcomer = members.boot(name).await.unwrap();
        newcomer.ready().await.unwrap();
        assert_eq!(newcomer.cluster_id(), cluster_id);
    }
    members.settled(&["pd-1", "pd-2", "pd-3"]).await;
    // The first one is not needed any more.
    members.kill("pd-1").await;
    put_store(&members, 2).await;
    members.boot("pd-1").await.unwrap();
    members.settled(&["pd-1", "pd-2", "pd-3"]).await;
    // Whoever is asked, the leader does it; the leader itself goes, too.
    let (leader, _) = members.leader().await;
    let follower = ["pd-1", "pd-2", "pd-3"].into_iter().find(|name| *name != leader).unwrap();
    sleep(Duration::from_secs(1)).await;
    let answer = members.remove(follower, &leader).await;
    assert_eq!((answer.outcome(), answer.reason.as_str()), (Outcome::Done, ""));
    let removed = members.member(&leader);
    let failure = timeout(Duration::from_secs(60), removed.failed()).await.expect("it is told");
    assert!(matches!(*failure, MemberError::Removed { .. }), "{failure}");
    assert!(failure.to_string().contains("--join"), "{failure}");
    members.kill(&leader).await;
    put_store(&members, 3).await;
    assert_eq!(stores(&members).await, BTreeSet::from([1, 2, 3]));
    // It cannot come back as it was, and can as a newcomer; its id is a fresh one.
    let again = members.boot(&leader).await.unwrap();
    timeout(Duration::from_secs(60), again.failed()).await.expect("it finds out");
    members.kill(&leader).await;
    members.add_newcomer(&leader, follower);
    let again = members.boot(&leader).await.unwrap();
    again.ready().await.unwrap();
    assert_eq!(again.id(), 4);
    members.settled(&["pd-1", "pd-2", "pd-3"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_to_a_long_history_gets_a_snapshot() {
    let mut members = Members::start(1).await;
    members.kill("pd-1").await;
    let raft = &mut members.machines.get_mut("pd-1").unwrap().config.raft;
    (raft.log_entries_max, raft.log_entries_kept) = (20, 2);
    members.boot("pd-1").await.unwrap();
    for id in 1..=100 {
        put_store(&members, id).await;
    }
    members.add_newcomer("pd-2", "pd-1");
    members.boot("pd-2").await.unwrap().ready().await.unwrap();
    // It has what it got after a restart, too.
    members.kill("pd-2").await;
    members.boot("pd-2").await.unwrap();
    let (leader, _) = members.leader().await;
    members.member(&leader).resign().await;
    assert_eq!(stores(&members).await.len(), 100);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_is_refused_with_advice() {
    let mut members = Members::start(3).await;
    members.settled(&["pd-1", "pd-2", "pd-3"]).await;
    let refusal = async |members: &Members, name: &str| {
        let refused = members.boot(name).await.err().unwrap_or_else(|| panic!("{name} was let in"));
        refused.to_string()
    };
    // A name, or a URL, that is taken.
    let initial = members.machines["pd-1"].config.initial_cluster.clone();
    members.add("twin", |config| {
        config.name = "pd-2".to_owned();
        config.join = vec!["http://pd-1".to_owned()];
    });
    let error = refusal(&members, "twin").await;
    assert!(error.contains("a member named \"pd-2\" is in the cluster already"), "{error}");
    members.add("neighbor", |config| {
        config.peer_urls = vec!["http://pd-2".to_owned()];
        config.join = vec!["http://pd-1".to_owned()];
    });
    let error = refusal(&members, "neighbor").await;
    assert!(error.contains("choose other --peer-urls"), "{error}");
    // A founder that the others do not know.
    members.add("stranger", |config| {
        config.initial_cluster.extend(initial.clone());
    });
    let error = refusal(&members, "stranger").await;
    assert!(error.contains("another cluster") && error.contains("--join"), "{error}");
    // Data that are gone.
    members.kill("pd-2").await;
    let kept = members.machines.remove("pd-2").unwrap();
    members.add("pd-2", |config| config.initial_cluster = initial.clone());
    let error = refusal(&members, "pd-2").await;
    assert!(error.contains("has run before") && error.contains("DELETE"), "{error}");
    // A log that is gone.
    members.machines.get_mut("pd-2").unwrap().storage = kept.storage.clone();
    let error = refusal(&members, "pd-2").await;
    assert!(error.contains("the Raft log of the member \"pd-2\" is gone"), "{error}");
    // Data of somebody else.
    members.machines.get_mut("pd-2").unwrap().config.name = "pd-9".to_owned();
    let error = refusal(&members, "pd-2").await;
    assert!(error.contains("start it with --name pd-2"), "{error}");
    members.machines.insert("pd-2".to_owned(), kept);
    members.boot("pd-2").await.unwrap();
    // Settings that contradict each other.
    members.add("lost", |config| config.initial_cluster = initial.clone());
    let error = refusal(&members, "lost").await;
    assert!(error.contains("does not name this member"), "{error}");
    // Too many would be missing.
    sleep(Duration::from_secs(1)).await;
    let (leader, _) = members.leader().await;
    let others: Vec<_> = ["pd-1", "pd-2", "pd-3"].into_iter().filter(|name| *name != leader).collect();
    members.kill(others[0]).await;
    sleep(Duration::from_secs(5)).await;
    let answer = members.remove(&leader, others[1]).await;
    assert!(answer.reason.contains("only 1 can be reached"), "{}", answer.reason);
    let answer = members.remove(&leader, others[0]).await;
    assert_eq!(answer.outcome(), Outcome::Done, "{}", answer.reason);
    let answer = members.remove(&leader, "nobody").await;
    assert!(answer.reason.contains("no such member"), "{}", answer.reason);
}

#[tokio::test(start_paused = true)]
async fn data_from_before_there_were_members_are_taken_over_and_not_given_back() {
    let mut members = Members::default();
    members.add("pd", |_| {});
    let storage = members.machines["pd"].storage.clone();
    let clock = members.machines["pd"].clock.clone();
    let before = PlacementDriver::open(PdConfig::default(), storage.clone(), clock.clone()).unwrap();
    let first = before.timestamps(1).await.unwrap();
    let id = before.alloc_id(1).await.unwrap();
    let member = members.boot("pd").await.unwrap();
    member.ready().await.unwrap();
    assert_eq!(member.cluster_id(), Some(before.cluster_id()));
    assert!(member.timestamps(1).await.unwrap().physical > first.physical);
    assert!(member.alloc_id(1).await.unwrap() > id);
    members.kill("pd").await;
    let refused = PlacementDriver::open(PdConfig::default(), storage, clock).err();
    assert!(matches!(refused, Some(OpenError::Member)));
    // Nor can it become one of several founders.
    let storage = Arc::new(MemoryStorage::new());
    storage.write(vec![("cluster/id".to_owned(), Some(vec![0, 0, 0, 0, 0, 0, 0, 9]))]).unwrap();
    members.add("other", |config| {
        config.initial_cluster.insert("more".to_owned(), "http://more".to_owned());
    });
    members.machines.get_mut("other").unwrap().storage = storage;
    let error = members.boot("other").await.err().unwrap().to_string();
    assert!(error.contains("let the others join"), "{error}");
}

/// Tasks of a member that has stopped may hold its files for a moment.
async fn once_free<T, E: std::fmt::Display>(open: impl Fn() -> Result<T, E>) -> T {
    for _ in 0..1000 {
        match open() {
            Ok(opened) => return opened,
            Err(error) => assert!(error.to_string().contains("in use by another process"), "{error}"),
        }
        sleep(Duration::from_millis(5)).await;
    }
    panic!("the files stay in use");
}

/// On a real disk: what was acknowledged is there after a restart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_on_disk_restarts_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let mut last = (0, 0);
    for round in 0..3u64 {
        let mut config = MemberConfig::alone("pd", "http://pd");
        config.raft.log_entries_max = 10;
        config.raft.log_entries_kept = 2;
        let storage = Arc::new(once_free(|| FileStorage::open(folder.path())).await);
        let device = Arc::new(once_free(|| FileDevice::open(folder.path().join("raft"))).await);
        let wires = Arc::new(super::members::NoWires);
        let member = Member::open(config, storage, device, wires, Arc::new(SystemClock)).await.unwrap();
        member.ready().await.unwrap();
        let stores = member.get_all_stores(Default::default()).await.unwrap().stores.len();
        assert_eq!(stores as u64, round * 40);
        for id in round * 40 + 1..=round * 40 + 40 {
            let store = metapb::Store { id, address: format!("store-{id}"), ..Default::default() };
            let request = pdpb::PutStoreRequest { store: Some(store), ..Default::default() };
            member.put_store(request).await.unwrap();
        }
        let next = member.timestamps(1).await.unwrap();
        assert!((next.physical, next.logical) > last);
        last = (next.physical, next.logical);
        member.stop().await;
    }
}
