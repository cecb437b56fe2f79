//! Scheduling of replicated regions, against the model in [`crate::fake`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use tidewater_pd::{
    BalanceBy, LabelConstraint, LabelOp, OperatorInfo, OperatorKind, OperatorResult, PlacementRule,
    ReplicaRole, ReplicationConfig, ScheduleConfig, SchedulerKind, StoreState,
};
use tidewater_proto::{PdService, metapb, pdpb};

use crate::fake::{Fake, now, schedule};

fn by_zone() -> ReplicationConfig {
    ReplicationConfig { location_labels: vec!["zone".to_owned()], ..ReplicationConfig::default() }
}

/// The driver comes to know everybody before anything happens.
fn plain(stores: usize, regions: u64) -> Fake {
    Fake::new(1, &vec![""; stores], regions, schedule(), ReplicationConfig::default())
}

/// All regions have what they should, on stores that are well.
fn check_whole(fake: &Fake, replicas: usize, label: &str) {
    let up: BTreeMap<_, _> = fake
        .pd
        .stores()
        .into_iter()
        .filter(|store| store.state == StoreState::Up && fake.is_alive(store.id))
        .map(|store| (store.id, store))
        .collect();
    let zones: BTreeSet<_> = up.values().filter_map(|store| store.labels.first()).collect();
    for region in fake.regions.values() {
        let stores = region.stores();
        let voters = region.voters().count();
        assert_eq!(voters, replicas.min(up.len().max(voters)), "{label}: {:?}", region.meta);
        assert_eq!((stores.len(), region.meta.peers.len()), (voters, voters), "{label}: {:?}", region.meta);
        assert!(stores.iter().all(|store_id| up.contains_key(store_id)), "{label}: {:?}", region.meta);
        let own_zones: BTreeSet<_> = stores.iter().filter_map(|id| up[id].labels.first()).collect();
        assert_eq!(own_zones.len(), zones.len().min(voters), "{label}: zones of {:?}", region.meta);
    }
}

/// Stores that can stand for each other have similar numbers of peers.
fn check_even(fake: &Fake, label: &str) {
    let mut counts: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for store in fake.pd.stores() {
        let counts_known = (store.region_count, store.leader_count);
        assert_eq!(
            counts_known,
            (fake.peers_on(store.id), fake.led_by(store.id)),
            "{label}: of {}",
            store.id
        );
        if store.state == StoreState::Up && fake.is_alive(store.id) {
            counts.entry(store.labels).or_default().push(store.region_count);
        }
    }
    for (zone, counts) in counts {
        let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
        assert!(most - least < 3, "{label}: {zone:?} has {counts:?}");
    }
}

#[test]
fn new_stores_get_their_share_of_peers_and_leaders() {
    for (zones, replication) in [
        (vec!["", "", "", "", "", ""], ReplicationConfig::default()),
        (vec!["a", "b", "c", "a", "b", "c"], by_zone()),
        (vec!["a", "a", "b", "b", "c", "c"], by_zone()),
    ] {
        let mut fake = Fake::new(1, &zones, 40, schedule(), replication);
        fake.settle(400);
        check_whole(&fake, 3, "");
        check_even(&fake, "");
        let led: Vec<_> = (1..=6).map(|id| fake.led_by(id)).collect();
        assert!(led.iter().max().unwrap() - led.iter().min().unwrap() < 5, "{led:?}");
    }
}

#[test]
fn many_moves_at_a_time_do_not_overshoot() {
    let config = ScheduleConfig { moves_max: 100, store_adds_max: 100, store_removes_max: 100, ..schedule() };
    let mut fake = Fake::new(1, &[""; 6], 40, config, ReplicationConfig::default());
    fake.settle(100);
    check_even(&fake, "");
    let moves = fake
        .pd
        .finished_operators()
        .iter()
        .filter(|ended| ended.operator.kind == OperatorKind::Region)
        .count();
    assert!((57..=60).contains(&moves), "{moves} moves where 60 of 120 peers have to go");
}

#[test]
fn any_cluster_comes_to_rest_with_all_regions_whole() {
    for seed in 1..=48 {
        let label = format!("seed {seed}");
        let mut fake = random_cluster(seed);
        let replicas = fake.pd.replication_config().max_replicas;
        for _ in 0..60 {
            random_event(&mut fake);
            fake.round();
        }
        let dead: Vec<_> =
            fake.stores.iter().filter(|(_, store)| store.dead.is_some()).map(|(id, _)| *id).collect();
        // Whoever is dead stays so, or all come back.
        if fake.dice.percent(50) {
            dead.into_iter().for_each(|store_id| fake.revive(store_id));
        }
        fake.settle(1_500);
        check_whole(&fake, replicas, &label);
        check_even(&fake, &label);
        assert_eq!(fake.pd.region_count(), fake.regions.len(), "{label}");
        for store in fake.pd.stores() {
            assert_eq!(
                store.state == StoreState::Tombstone,
                store.state != StoreState::Up,
                "{label}: {store:?}"
            );
        }
    }
}

fn random_cluster(seed: u64) -> Fake {
    let zoned = seed.is_multiple_of(2);
    let stores = 5 + seed as usize % 4;
    let zones: Vec<_> =
        (0..stores).map(|index| if zoned { ["a", "b", "c"][index % 3] } else { "" }).collect();
    let replication = if zoned { by_zone() } else { ReplicationConfig::default() };
    let merges_max = if seed.is_multiple_of(3) { 4 } else { 0 };
    let config = ScheduleConfig { merges_max, split_merge_interval: Duration::from_secs(100), ..schedule() };
    let mut fake = Fake::new(seed, &zones, 10 + seed % 20, config, replication);
    for (region, mebibytes) in fake.regions.values_mut().zip([2, 3, 9, 1].into_iter().cycle()) {
        (region.mebibytes, region.keys) = (mebibytes, 100);
    }
    (fake.loss, fake.delay_max) = (seed % 5 * 10, seed % 4);
    fake
}

fn random_event(fake: &mut Fake) {
    let stores: Vec<_> = fake.stores.keys().copied().collect();
    let store_id = stores[fake.dice.below(stores.len() as u64) as usize];
    let regions: Vec<_> = fake.regions.keys().copied().collect();
    let region_id = regions[fake.dice.below(regions.len() as u64) as usize];
    let up = |fake: &Fake| {
        let infos = fake.pd.stores();
        infos.into_iter().filter(|store| store.state == StoreState::Up && fake.is_alive(store.id)).count()
    };
    let is_up = fake.pd.stores().iter().any(|store| store.id == store_id && store.state == StoreState::Up);
    match fake.dice.below(20) {
        0 if fake.is_alive(store_id) && fake.can_lose(store_id) && up(fake) > 3 => fake.kill(store_id),
        1 | 2 if !fake.is_alive(store_id) => fake.revive(store_id),
        3 if fake.is_alive(store_id) && is_up && up(fake) > 4 && fake.dice.percent(50) => {
            fake.offline(store_id)
        }
        4 if fake.regions.len() < 40 => fake.split(region_id),
        5 if stores.len() < 9 => {
            let zone =
                fake.stores[&store_id].labels.first().map_or(String::new(), |label| label.value.clone());
            fake.add_store(stores.len() as u64 + 1, &zone);
        }
        6 if fake.dice.percent(30) => fake.restart_driver(),
        7 => {
            let _ = now(fake.pd.transfer_leader(region_id, store_id));
        }
        8 => {
            let _ = now(fake.pd.add_peer(region_id, store_id, ReplicaRole::Voter));
        }
        9 => {
            let _ = now(fake.pd.remove_peer(region_id, store_id));
        }
        10 => {
            fake.pd.cancel_operator(region_id);
        }
        _ => {}
    }
}

#[test]
fn equal_seeds_give_equal_orders() {
    let trace = || {
        let mut fake = random_cluster(7);
        for _ in 0..80 {
            random_event(&mut fake);
            fake.round();
        }
        fake.trace
    };
    let first = trace();
    assert!(first.len() > 20);
    assert_eq!(first, trace());
}

#[test]
fn a_lost_store_is_replaced_only_after_a_while() {
    let mut fake = plain(4, 6);
    fake.settle(200);
    fake.kill(2);
    fake.restart_driver();
    for _ in 0..5 {
        fake.round();
    }
    let is_repair = |running: &OperatorInfo| running.kind == OperatorKind::Repair;
    let running = fake.pd.operators();
    assert!(!running.iter().any(is_repair), "the driver could not hear of it for 60 seconds: {running:?}");
    fake.settle(200);
    assert_eq!(fake.peers_on(2), 0);
    check_whole(&fake, 3, "");
    // Without a fourth store the peers stay where they are: two of three are better than two of two.
    fake.kill(3);
    fake.settle(200);
    assert_eq!(fake.peers_on(3), 6);
}

#[test]
fn a_damaged_peer_is_replaced_elsewhere_or_else_on_its_own_store() {
    for stores in [4, 3] {
        let mut fake = plain(stores, 6);
        fake.settle(300);
        let (id, damaged) = {
            let region = fake.regions.values().next().unwrap();
            let follower = region.meta.peers.iter().find(|peer| peer.store_id != region.leader).unwrap();
            (region.meta.id, *follower)
        };
        // What the store says goes on being said of that peer, whoever succeeds it.
        fake.stores.get_mut(&damaged.store_id).unwrap().damaged.insert(id, damaged.id);
        fake.settle(300);
        check_whole(&fake, 3, "after the damage");
        let region = &fake.regions[&id];
        assert!(
            region.meta.peers.iter().all(|peer| peer.id != damaged.id),
            "{stores} stores: {:?}",
            region.meta
        );
        let successor = region.meta.peers.iter().map(|peer| peer.id).max().unwrap();
        assert!(successor > damaged.id);
    }
}

#[test]
fn a_damaged_peer_stays_as_long_as_the_others_are_not_well() {
    let mut fake = plain(3, 1);
    fake.settle(300);
    let (id, region) = fake.regions.iter().next().map(|(id, region)| (*id, region.clone())).unwrap();
    let others: Vec<_> = region.meta.peers.iter().filter(|peer| peer.store_id != region.leader).collect();
    fake.stores.get_mut(&others[0].store_id).unwrap().damaged.insert(id, others[0].id);
    fake.kill(others[1].store_id);
    for _ in 0..20 {
        fake.round();
    }
    assert!(fake.regions[&id].has_peer_on(others[0].store_id), "without it there is no majority");
    fake.revive(others[1].store_id);
    fake.settle(300);
    assert!(fake.regions[&id].meta.peers.iter().all(|peer| peer.id != others[0].id));
}

#[test]
fn a_newcomer_that_never_catches_up_makes_way_for_another() {
    let mut fake = plain(5, 1);
    now(fake.pd.remove_scheduler(SchedulerKind::BalanceRegion)).unwrap();
    fake.stores.get_mut(&4).unwrap().stalls = true;
    fake.round();
    fake.kill(2);
    for _ in 0..20 {
        fake.round();
    }
    assert!(fake.regions[&1_000].has_peer_on(4), "it was chosen and hangs");
    fake.settle(200);
    assert_eq!(fake.regions[&1_000].stores(), BTreeSet::from([1, 3, 5]));
}

#[test]
fn a_store_that_is_taken_out_is_emptied_and_buried() {
    let mut fake = plain(5, 12);
    fake.settle(200);
    fake.offline(1);
    fake.revive(1);
    fake.restart_driver();
    fake.settle(300);
    assert_eq!(fake.peers_on(1), 0);
    assert_eq!(fake.pd.stores()[0].state, StoreState::Tombstone);
    assert!(now(fake.pd.set_store_state(1, StoreState::Up)).is_err());
    check_whole(&fake, 3, "");
    // With three stores the third cannot go.
    let mut fake = plain(3, 4);
    fake.offline(1);
    fake.settle(300);
    assert_eq!(fake.pd.stores()[0].state, StoreState::Offline);
    now(fake.pd.set_store_state(1, StoreState::Up)).unwrap();
    fake.settle(300);
    check_whole(&fake, 3, "");
}

#[test]
fn leaders_leave_stores_that_are_to_lead_none() {
    let mut fake = plain(3, 12);
    fake.settle(200);
    assert!(fake.led_by(1) > 0);
    now(fake.pd.evict_leaders(1)).unwrap();
    fake.restart_driver();
    fake.settle(200);
    assert_eq!(fake.led_by(1), 0);
    now(fake.pd.stop_evicting_leaders(1)).unwrap();
    fake.settle(200);
    assert!(fake.led_by(1) >= 2);
}

#[test]
fn a_slow_store_leads_nothing_until_it_is_well() {
    let mut fake = plain(3, 12);
    fake.settle(200);
    for (slow_score, leads) in [(79, true), (80, false), (40, false), (20, true)] {
        fake.stores.get_mut(&2).unwrap().slow_score = slow_score;
        fake.settle(200);
        assert_eq!(fake.led_by(2) > 0, leads, "at {slow_score}");
    }
    // Of two slow stores neither counts as such: the work has to be done somewhere.
    let all = |fake: &mut Fake, score| fake.stores.values_mut().for_each(|store| store.slow_score = score);
    all(&mut fake, 90);
    fake.settle(200);
    assert!((1..=3).all(|id| fake.led_by(id) > 0));
}

#[test]
fn hot_regions_are_led_from_different_stores() {
    let mut fake = plain(3, 9);
    fake.settle(200);
    let busy: Vec<_> =
        fake.regions.values().filter(|region| region.leader == 1).map(|region| region.meta.id).collect();
    for id in &busy {
        fake.regions.get_mut(id).unwrap().bytes_read = 100 << 20;
    }
    assert!(busy.len() >= 2);
    for _ in 0..60 {
        fake.round();
    }
    let leaders: BTreeSet<_> = busy.iter().map(|id| fake.regions[id].leader).collect();
    assert!(leaders.len() >= 2, "{leaders:?}");
    let hot = fake.pd.hot_regions(10);
    assert_eq!(hot.iter().map(|hot| hot.region_id).collect::<BTreeSet<_>>(), busy.iter().copied().collect());
    fake.settle(300);
}

#[test]
fn rules_put_learners_and_voters_where_they_say() {
    let mut fake = Fake::new(1, &["a", "b", "c", "d", "a"], 6, schedule(), by_zone());
    let rule = |id: &str, role, count, op, zone: &str| PlacementRule {
        id: id.to_owned(),
        start_key: Bytes::new(),
        end_key: Bytes::new(),
        role,
        count,
        constraints: vec![LabelConstraint { key: "zone".to_owned(), op, values: vec![zone.to_owned()] }],
    };
    now(fake.pd.set_placement_rule(rule("away", ReplicaRole::Voter, 3, LabelOp::NotIn, "d"))).unwrap();
    now(fake.pd.set_placement_rule(rule("readers", ReplicaRole::Learner, 1, LabelOp::In, "d"))).unwrap();
    assert!(now(fake.pd.set_placement_rule(rule("", ReplicaRole::Voter, 1, LabelOp::In, "d"))).is_err());
    fake.restart_driver();
    assert_eq!(fake.pd.placement_rules().len(), 2);
    fake.settle(300);
    for region in fake.regions.values() {
        let learners: Vec<_> =
            region.meta.peers.iter().filter(|peer| peer.role() == metapb::PeerRole::Learner).collect();
        assert_eq!(learners.iter().map(|peer| peer.store_id).collect::<Vec<_>>(), [4], "{:?}", region.meta);
        assert_eq!(region.voters().count(), 3);
    }
    now(fake.pd.remove_placement_rule("readers")).unwrap();
    fake.settle(300);
    check_voters_avoid(&fake, 4);
    assert_eq!(fake.peers_on(4), 0);
}

#[test]
fn a_voter_in_the_wrong_place_is_better_than_none() {
    let mut fake = Fake::new(1, &["a", "b", "c"], 6, schedule(), by_zone());
    let rule = PlacementRule {
        id: "away".to_owned(),
        start_key: Bytes::new(),
        end_key: Bytes::new(),
        role: ReplicaRole::Voter,
        count: 3,
        constraints: vec![LabelConstraint {
            key: "zone".to_owned(),
            op: LabelOp::NotIn,
            values: vec!["c".to_owned()],
        }],
    };
    now(fake.pd.set_placement_rule(rule)).unwrap();
    fake.settle(100);
    assert_eq!(fake.peers_on(3), 6);
    fake.add_store(4, "b");
    fake.settle(300);
    assert_eq!((fake.peers_on(3), fake.peers_on(4)), (0, 6));
}

fn check_voters_avoid(fake: &Fake, store_id: u64) {
    assert!(fake.regions.values().all(|region| region.voters().all(|peer| peer.store_id != store_id)));
}

#[test]
fn fewer_and_more_replicas_at_run_time() {
    let mut fake = plain(5, 8);
    fake.settle(200);
    for max_replicas in [5, 1, 3] {
        fake.pd.set_replication_config(ReplicationConfig { max_replicas, ..ReplicationConfig::default() });
        fake.settle(400);
        check_whole(&fake, max_replicas, "");
        check_even(&fake, "");
    }
}

#[test]
fn full_stores_get_nothing() {
    let mut fake = plain(3, 8);
    fake.add_store(4, "");
    fake.stores.get_mut(&4).unwrap().free = 19;
    fake.settle(200);
    assert_eq!(fake.peers_on(4), 0);
    fake.stores.get_mut(&4).unwrap().free = 20;
    fake.settle(200);
    check_even(&fake, "");
}

#[test]
fn small_neighbors_are_merged_after_their_peers_have_met() {
    let config = ScheduleConfig { merges_max: 8, split_merge_interval: Duration::ZERO, ..schedule() };
    let mut fake = Fake::new(1, &["", "", "", "", ""], 24, schedule(), ReplicationConfig::default());
    fake.settle(400);
    fake.pd.set_schedule_config(config);
    for region in fake.regions.values_mut() {
        (region.mebibytes, region.keys) = (3, 10);
    }
    (fake.loss, fake.delay_max) = (20, 2);
    fake.settle(800);
    // Six of them make 18 of 20 mebibytes; the first and the last stay as they are.
    assert!((5..=14).contains(&fake.regions.len()), "{} regions are left", fake.regions.len());
    check_whole(&fake, 3, "");
    assert_eq!(fake.pd.region_count(), fake.regions.len());
    assert!(fake.pd.finished_operators().iter().any(|ended| ended.result == OperatorResult::Success));
}

#[test]
fn a_leader_that_was_replaced_is_not_believed() {
    let mut fake = plain(3, 2);
    fake.settle(50);
    let region = &fake.regions[&1_000];
    let report = |term, store_id| pdpb::RegionHeartbeatRequest {
        region: Some(region.meta.clone()),
        leader: region.meta.peers.iter().find(|peer| peer.store_id == store_id).copied(),
        term,
        ..Default::default()
    };
    now(fake.pd.region_heartbeat(report(100, 3))).unwrap();
    assert!(now(fake.pd.region_heartbeat(report(99, 2))).is_err());
    assert_eq!(fake.pd.region(1_000).unwrap().leader_store, Some(3));
}

#[test]
fn the_size_of_regions_can_be_evened_out() {
    let config = ScheduleConfig { balance_by: BalanceBy::Size, ..schedule() };
    let mut fake = Fake::new(1, &[""; 6], 30, config, ReplicationConfig::default());
    for (region, mebibytes) in fake.regions.values_mut().zip([10, 20, 200].into_iter().cycle()) {
        region.mebibytes = mebibytes;
    }
    fake.settle(600);
    let sizes: Vec<_> = fake.pd.stores().iter().map(|store| store.region_mebibytes).collect();
    assert_eq!(sizes.iter().sum::<u64>(), 3 * 10 * 230);
    // Less than three times the smallest region apart, or nothing small is left to move.
    assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() < 600, "{sizes:?}");
    check_whole(&fake, 3, "");
}

#[test]
fn people_can_look_and_interfere() {
    let mut fake = plain(4, 3);
    now(fake.pd.remove_scheduler(SchedulerKind::BalanceRegion)).unwrap();
    assert!(now(fake.pd.pause_scheduler(SchedulerKind::BalanceLeader, Duration::from_secs(600))).unwrap());
    assert!(now(fake.pd.pause_scheduler(SchedulerKind::Repair, Duration::from_secs(600))).unwrap());
    fake.settle(50);
    assert!(fake.trace.is_empty(), "{:?}", fake.trace);
    let pd = fake.pd.clone();
    assert!(now(pd.transfer_leader(1_000, 4)).is_err(), "no peer there");
    now(pd.add_peer(1_000, 4, ReplicaRole::Voter)).unwrap();
    assert!(now(pd.remove_peer(1_000, 2)).is_err(), "it has an operator");
    assert_eq!(pd.operators().len(), 1);
    fake.settle(50);
    now(pd.transfer_leader(1_000, 4)).unwrap();
    fake.settle(50);
    assert_eq!(pd.region(1_000).unwrap().leader_store, Some(4));
    now(pd.remove_peer(1_000, 4)).unwrap();
    fake.settle(50);
    assert_eq!(fake.regions[&1_000].stores(), BTreeSet::from([1, 2, 3]));
    let results: Vec<_> = pd.finished_operators().iter().map(|ended| ended.result).collect();
    assert_eq!(results, [OperatorResult::Success; 3]);
    now(pd.transfer_leader(1_001, 2)).unwrap();
    assert!(pd.cancel_operator(1_001) && !pd.cancel_operator(1_001));
    assert_eq!(pd.finished_operators().last().unwrap().result, OperatorResult::Canceled);
    assert!(now(pd.add_scheduler(SchedulerKind::BalanceRegion)).unwrap());
    assert_eq!(pd.schedulers().iter().filter(|each| each.paused_until_micros.is_some()).count(), 2);
    assert_eq!(SchedulerKind::from_name("merge-checker"), Some(SchedulerKind::Merge));
    assert_eq!(pd.regions(b"", b"", 2).len(), 2);
    // An operator that gets nowhere is given up.
    fake.loss = 100;
    now(pd.transfer_leader(1_002, 3)).unwrap();
    for _ in 0..5 {
        fake.round();
    }
    let results = pd.finished_operators();
    assert!(results.iter().any(|ended| ended.result == OperatorResult::Timeout), "{results:#?}");
}
