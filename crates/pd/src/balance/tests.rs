use tidewater_proto::{metapb, pdpb};

use super::*;

const SECOND: i64 = 1_000_000;

fn stores_with_regions(led_by_first: u64) -> Cluster {
    let mut cluster = Cluster::default();
    for id in 1..=3 {
        let store = metapb::Store { id, last_heartbeat: i64::MAX, ..Default::default() };
        cluster
            .stores
            .insert(id, StoreRecord { store, stats: Some(pdpb::StoreStats::default()), heard_micros: 0 });
    }
    for id in 1..=led_by_first {
        let peer = metapb::Peer { id: 100 + id, store_id: 1, ..Default::default() };
        let end_key = if id == led_by_first { vec![] } else { vec![id as u8 + 1] };
        let region = metapb::Region {
            id,
            start_key: vec![id as u8].into(),
            end_key: end_key.into(),
            region_epoch: Some(metapb::RegionEpoch { conf_ver: 1, version: 1 }),
            peers: vec![peer],
        };
        let change = cluster.regions.check(RegionRecord { region, leader: Some(peer) }).unwrap().unwrap();
        cluster.apply(crate::cluster::Update::Region(change));
    }
    cluster
}

/// Moves ordered when all regions report themselves, each carried out at once.
fn moves_at(moves: &mut Moves, config: &ScheduleConfig, cluster: &Cluster, now_micros: i64) -> usize {
    let ordered = (1..=cluster.regions.led_by(1) as u64).filter(|id| {
        let report = cluster.regions.by_id(*id).unwrap();
        let decided = moves.decide(config, cluster, report, now_micros).is_some();
        moves.note_gone(&[*id]);
        decided
    });
    ordered.count()
}

#[test]
fn a_store_gives_and_takes_so_many_regions_a_minute() {
    let config = ScheduleConfig { moves_per_store_minute_max: 6, moves_max: 2, ..ScheduleConfig::default() };
    let cluster = stores_with_regions(30);
    let mut moves = Moves::default();
    let at_once = moves_at(&mut moves, &config, &cluster, 0);
    assert_eq!(at_once, 2, "as many as may be on their way");
    assert_eq!(moves_at(&mut moves, &config, &cluster, 9 * SECOND), 0);
    assert_eq!(moves_at(&mut moves, &config, &cluster, 10 * SECOND), 1);
    let within_a_minute: usize =
        (11..70).map(|second| moves_at(&mut moves, &config, &cluster, second * SECOND)).sum();
    assert_eq!(within_a_minute, 5);
}

#[test]
fn a_limit_of_nothing_moves_nothing() {
    let config = ScheduleConfig { moves_per_store_minute_max: 0, ..ScheduleConfig::default() };
    let cluster = stores_with_regions(9);
    assert_eq!(moves_at(&mut Moves::default(), &config, &cluster, 0), 0);
}
