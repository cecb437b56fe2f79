//! What people and SQL nodes ask for: operators by hand, regions spread in groups, weights of stores, schedulers that rest.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use tidewater_codec::Key;
use tidewater_pd::{
    OperatorError, OperatorKind, OperatorResult, ReplicationConfig, SchedulerKind, SplitPolicy,
};
use tidewater_proto::{PdError, PdService, metapb, pdpb};

use crate::fake::{Fake, now, schedule};

/// Nothing happens by itself.
fn still(stores: usize, regions: u64) -> Fake {
    let fake = Fake::new(1, &vec![""; stores], regions, schedule(), ReplicationConfig::default());
    for kind in SchedulerKind::ALL {
        assert!(now(fake.pd.pause_scheduler(kind, Duration::from_secs(86_400))).unwrap());
    }
    fake
}

fn encoded(text: &str) -> Bytes {
    Bytes::from(Key::new(text).encode().into_bytes())
}

#[test]
fn a_peer_moves_where_somebody_wants_it() {
    let mut fake = still(4, 2);
    fake.settle(50);
    assert!(matches!(now(fake.pd.transfer_peer(1_000, 1, 2)), Err(OperatorError::StoreUnfit { .. })));
    assert!(matches!(now(fake.pd.transfer_peer(1_000, 4, 3)), Err(OperatorError::NoSuchPeer { .. })));
    assert!(matches!(now(fake.pd.transfer_peer(9, 1, 4)), Err(OperatorError::RegionNotFound { .. })));
    // The one that leads, too: it hands over first.
    now(fake.pd.transfer_peer(1_000, 1, 4)).unwrap();
    fake.settle(50);
    assert_eq!(fake.regions[&1_000].stores(), BTreeSet::from([2, 3, 4]));
    assert_eq!(fake.regions[&1_001].stores(), BTreeSet::from([1, 2, 3]));
}

#[test]
fn neighbors_are_merged_by_hand_whatever_their_sizes() {
    let mut fake = still(4, 4);
    fake.settle(50);
    now(fake.pd.transfer_peer(1_001, 2, 4)).unwrap();
    fake.settle(50);
    assert!(matches!(now(fake.pd.merge_regions(1_001, 1_003)), Err(OperatorError::NotNeighbors { .. })));
    assert!(matches!(now(fake.pd.merge_regions(1_001, 7)), Err(OperatorError::RegionNotFound { .. })));
    assert!(matches!(now(fake.pd.merge_regions(1_001, 1_001)), Err(OperatorError::NotNeighbors { .. })));
    // Their peers are on different stores: those of the one that goes move.
    now(fake.pd.merge_regions(1_001, 1_002)).unwrap();
    let busy = now(fake.pd.split_region(1_002, SplitPolicy::Scan, Vec::new()));
    assert!(matches!(busy, Err(OperatorError::Busy { region_id: 1_002 })), "{busy:?}");
    fake.settle(100);
    assert!(!fake.regions.contains_key(&1_001));
    assert_eq!(fake.pd.region_count(), 3);
    assert_eq!(fake.regions[&1_002].stores(), BTreeSet::from([1, 2, 3]));
    // With a store that does not answer a region is not well.
    fake.kill(3);
    fake.round();
    let unwell = now(fake.pd.merge_regions(1_002, 1_003));
    assert!(matches!(unwell, Err(OperatorError::Unsettled { .. })), "{unwell:?}");
}

#[test]
fn regions_are_cut_by_hand() {
    let mut fake = still(3, 2);
    fake.settle(50);
    for (policy, keys) in [
        (SplitPolicy::UseKey, vec![]),
        (SplitPolicy::Scan, vec![encoded("k000000a")]),
        (SplitPolicy::UseKey, vec![encoded("k000001")]),
        (SplitPolicy::UseKey, vec![encoded("z")]),
        (SplitPolicy::UseKey, vec![Bytes::from_static(b"k000000a")]),
    ] {
        let refused = now(fake.pd.split_region(1_000, policy, keys.clone()));
        assert!(matches!(refused, Err(OperatorError::SplitKey { .. })), "{policy:?} {keys:?}: {refused:?}");
    }
    // An order that arrives twice, or gets lost, cuts once.
    (fake.loss, fake.delay_max) = (30, 3);
    now(fake.pd.split_region(1_000, SplitPolicy::Scan, Vec::new())).unwrap();
    fake.settle(100);
    assert_eq!(fake.pd.region_count(), 3);
    let wanted = [encoded("k000001a"), encoded("k000001b")];
    now(fake.pd.split_region(1_001, SplitPolicy::UseKey, wanted.to_vec())).unwrap();
    fake.settle(100);
    let starts: BTreeSet<_> = fake.regions.values().map(|region| region.meta.start_key.clone()).collect();
    assert!(wanted.iter().all(|key| starts.contains(key)), "{starts:?}");
    assert_eq!(fake.pd.region_count(), 5);
    assert!(fake.pd.finished_operators().iter().all(|ended| ended.result == OperatorResult::Success));
}

#[test]
fn whoever_asks_for_cuts_waits_until_they_are_made() {
    let mut fake = still(3, 2);
    fake.settle(50);
    let pd = fake.pd.clone();
    let asked = std::thread::spawn(move || {
        let split_keys = vec![encoded("k000000x"), encoded("k000001x"), encoded("k000001")];
        let request =
            pdpb::SplitAndScatterRegionsRequest { split_keys, retry_limit: 30, ..Default::default() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(pd.split_and_scatter_regions(request)).unwrap()
    });
    while !asked.is_finished() {
        fake.round();
        std::thread::yield_now();
    }
    let answer = asked.join().unwrap();
    assert_eq!((answer.split_finished_percentage, answer.regions_id.len()), (100, 3), "{answer:?}");
    assert_eq!(fake.pd.region_count(), 4);
    let nothing = now(fake.pd.split_regions(pdpb::SplitRegionsRequest::default()));
    assert!(matches!(nothing, Err(PdError::InvalidValue { .. })), "{nothing:?}");
}

/// How many of these regions have a peer on each store, and how many it leads.
fn spread(fake: &Fake, ids: &[u64]) -> BTreeMap<u64, (usize, usize)> {
    let mut found: BTreeMap<u64, (usize, usize)> = fake.stores.keys().map(|id| (*id, (0, 0))).collect();
    for region in ids.iter().map(|id| &fake.regions[id]) {
        region.stores().iter().for_each(|id| found.get_mut(id).unwrap().0 += 1);
        found.get_mut(&region.leader).unwrap().1 += 1;
    }
    found
}

#[test]
fn each_group_of_regions_is_spread_for_itself() {
    let mut fake = still(6, 36);
    fake.settle(50);
    let groups: Vec<Vec<u64>> = vec![(1_000..1_012).collect(), (1_012..1_036).collect()];
    for (index, ids) in groups.iter().enumerate() {
        let request = pdpb::ScatterRegionRequest {
            regions_id: ids.clone(),
            group: format!("table {index}"),
            ..Default::default()
        };
        let answer = now(fake.pd.scatter_region(request)).unwrap();
        assert_eq!((answer.finished_percentage, answer.failed_regions_id.len()), (100, 0));
    }
    // Who waits for the end sees that it has not come, also before the regions have heard of it.
    let operator = |fake: &Fake, region_id| {
        let request = pdpb::GetOperatorRequest { region_id, ..Default::default() };
        let answer = now(fake.pd.get_operator(request)).unwrap();
        (answer.desc, pdpb::OperatorStatus::try_from(answer.status).unwrap())
    };
    let running = (Bytes::from_static(b"scatter-region"), pdpb::OperatorStatus::Running);
    assert_eq!(operator(&fake, 1_035), running);
    fake.round();
    let on_their_way = |fake: &Fake| (1_000..1_036).filter(|id| operator(fake, *id) == running).count();
    assert!(on_their_way(&fake) >= 18, "{}", on_their_way(&fake));
    fake.settle(200);
    assert_eq!(on_their_way(&fake), 0);
    for ids in &groups {
        let found = spread(&fake, ids);
        let share = (ids.len() / 2, ids.len() / 6);
        assert!(found.values().all(|has| *has == share), "{found:?} of {}", ids.len());
    }
}

#[test]
fn unknown_regions_are_not_scattered_and_unwell_ones_wait() {
    let mut fake = still(4, 2);
    fake.round();
    let request = |ids: &[u64]| pdpb::ScatterRegionRequest { regions_id: ids.to_vec(), ..Default::default() };
    let answer = now(fake.pd.scatter_region(request(&[1_000, 77]))).unwrap();
    assert_eq!((answer.finished_percentage, answer.failed_regions_id), (50, vec![77]));
    assert!(now(fake.pd.scatter_region(request(&[]))).is_err());
    fake.settle(100);
    fake.kill(2);
    fake.round();
    now(fake.pd.scatter_region(request(&[1_001]))).unwrap();
    for _ in 0..5 {
        fake.round();
    }
    assert!(fake.pd.operators().is_empty(), "{:?}", fake.pd.operators());
    fake.revive(2);
    fake.settle(100);
    let scattered = fake.pd.finished_operators();
    assert!(scattered.iter().all(|ended| ended.operator.kind == OperatorKind::Admin), "{scattered:?}");
}

#[test]
fn any_cluster_comes_to_rest_after_scattering() {
    for seed in 1..=16 {
        let zones = ["a", "b", "c", "a", "b", "c"];
        let by_zone =
            ReplicationConfig { location_labels: vec!["zone".to_owned()], ..ReplicationConfig::default() };
        let mut fake = Fake::new(seed, &zones, 20, schedule(), by_zone);
        (fake.loss, fake.delay_max) = (seed % 4 * 10, seed % 3);
        for round in 0..20 {
            if round == seed % 20 {
                let ids: Vec<_> = fake.regions.keys().copied().collect();
                assert_eq!(fake.pd.scatter_regions(ids, "all").unwrap(), Vec::<u64>::new());
            }
            fake.round();
        }
        fake.settle(1_000);
        for region in fake.regions.values() {
            let zones: BTreeSet<_> =
                region.stores().iter().map(|id| &fake.stores[id].labels[0].value).collect();
            assert_eq!((zones.len(), region.voters().count()), (3, 3), "seed {seed}: {:?}", region.meta);
        }
    }
}

#[test]
fn stores_get_what_they_weigh() {
    let mut fake = Fake::new(1, &[""; 4], 60, schedule(), ReplicationConfig::default());
    now(fake.pd.set_store_weights(1, 1.0, 1.0)).unwrap();
    now(fake.pd.set_store_weights(2, 3.0, 1.0)).unwrap();
    now(fake.pd.set_store_weights(4, 0.0, 0.5)).unwrap();
    fake.restart_driver();
    fake.settle(1_000);
    // 180 peers for a weight of 3.5 in all; no region has two on one store.
    let peers: Vec<_> = (1..=4).map(|id| fake.peers_on(id)).collect();
    assert!((23..=30).contains(&peers[3]) && (49..=53).contains(&peers[0]), "{peers:?}");
    let led: Vec<_> = (1..=4).map(|id| fake.led_by(id)).collect();
    assert!(led[3] == 0 && (33..=39).contains(&led[1]) && (10..=14).contains(&led[0]), "{led:?}");
    let store = &fake.pd.stores()[1];
    assert_eq!((store.leader_weight, store.region_weight), (3.0, 1.0));
    assert_eq!(store.leader_score, fake.led_by(2) as i64 / 3);
    for odd in [-1.0, f64::NAN, 1e9] {
        assert!(now(fake.pd.set_store_weights(1, odd, 1.0)).is_err());
    }
    assert!(matches!(now(fake.pd.set_store_weights(9, 1.0, 1.0)), Err(PdError::StoreNotFound { .. })));
}

#[test]
fn schedulers_rest_over_restarts() {
    let mut fake = Fake::new(1, &[""; 3], 2, schedule(), ReplicationConfig::default());
    let paused = |fake: &Fake| {
        let paused = fake.pd.schedulers().into_iter().filter(|each| each.paused_until_micros.is_some());
        paused.map(|each| each.kind).collect::<Vec<_>>()
    };
    assert!(now(fake.pd.remove_scheduler(SchedulerKind::Merge)).unwrap());
    assert!(!now(fake.pd.remove_scheduler(SchedulerKind::Merge)).unwrap());
    let minute = Duration::from_secs(60);
    assert!(!now(fake.pd.pause_scheduler(SchedulerKind::Merge, minute)).unwrap(), "it is not there");
    assert!(now(fake.pd.pause_scheduler(SchedulerKind::Repair, minute)).unwrap());
    assert!(now(fake.pd.pause_scheduler(SchedulerKind::BalanceLeader, minute)).unwrap());
    assert!(now(fake.pd.pause_scheduler(SchedulerKind::BalanceLeader, Duration::ZERO)).unwrap());
    fake.restart_driver();
    assert_eq!(paused(&fake), [SchedulerKind::Repair]);
    assert!(fake.pd.schedulers().iter().all(|each| each.kind != SchedulerKind::Merge));
    fake.clock.advance_micros(61_000_000);
    assert_eq!(paused(&fake), []);
    assert!(now(fake.pd.add_scheduler(SchedulerKind::Merge)).unwrap());
    assert!(!now(fake.pd.add_scheduler(SchedulerKind::Merge)).unwrap());
    fake.restart_driver();
    assert_eq!(fake.pd.schedulers().len(), SchedulerKind::ALL.len());
}

/// A region without a leader, and one that nobody has reported, are no reason to panic.
#[test]
fn regions_that_say_little_are_left_alone() {
    let mut fake = still(3, 1);
    fake.round();
    let mut region = fake.regions[&1_000].meta.clone();
    region.region_epoch = Some(metapb::RegionEpoch { conf_ver: 1, version: 2 });
    let beat =
        pdpb::RegionHeartbeatRequest { region: Some(region), leader: None, term: 9, ..Default::default() };
    assert_eq!(fake.pd.scatter_regions([1_000], "").unwrap(), Vec::<u64>::new());
    now(fake.pd.region_heartbeat(beat)).unwrap();
    assert!(fake.pd.operators().is_empty());
    assert!(now(fake.pd.merge_regions(1_000, 1_000)).is_err());
}
