use bytes::Bytes;
use tidewater_codec::Key;
use tidewater_proto::metapb;

use super::*;
use crate::cluster::Update;

const NOW: i64 = 1_000_000_000;

fn config() -> ScheduleConfig {
    ScheduleConfig {
        merge_region_keys_max: 10,
        split_merge_interval: Duration::from_secs(60),
        ..ScheduleConfig::default()
    }
}

/// Regions from boundary to boundary with the stores that lead them; their ids count from 1.
fn cluster(boundaries: &[&[u8]], stores: &[u64]) -> (Cluster, Merges) {
    let encoded = |key: &&[u8]| match key.is_empty() {
        true => Bytes::new(),
        false => Bytes::from(Key::new(*key).encode().into_bytes()),
    };
    let mut cluster = Cluster::default();
    for (index, (pair, store_id)) in boundaries.windows(2).zip(stores).enumerate() {
        let peer = metapb::Peer { id: 100 + index as u64, store_id: *store_id, ..Default::default() };
        let region = metapb::Region {
            id: 1 + index as u64,
            start_key: encoded(&pair[0]),
            end_key: encoded(&pair[1]),
            region_epoch: Some(metapb::RegionEpoch { conf_ver: 1, version: 1 }),
            peers: vec![peer],
        };
        let change = cluster.regions.check(RegionRecord { region, leader: Some(peer) }).unwrap().unwrap();
        cluster.apply(Update::Region(change));
    }
    (cluster, Merges::default())
}

/// A region says how many keys it has; what it is told.
fn report(merges: &mut Merges, cluster: &Cluster, id: u64, keys: u64, now: i64) -> Verdict {
    let record = cluster.regions.by_id(id).unwrap();
    merges.note_size(&pdpb::RegionHeartbeatRequest {
        region: Some(record.region.clone()),
        approximate_size: 1,
        approximate_keys: keys,
        ..Default::default()
    });
    let verdict = merges.decide(&config(), cluster, record, now);
    if let Verdict::Into(neighbor) | Verdict::Follow { neighbor, .. } = verdict {
        merges.note_ordered(&config(), cluster, id, neighbor, now);
    }
    verdict
}

#[test]
fn a_region_that_followed_its_neighbor_stays_there_until_it_is_measured() {
    let unknown = |merges: &mut Merges, cluster: &Cluster, version: u64| {
        let mut region = cluster.regions.by_id(2).unwrap().region.clone();
        region.region_epoch = Some(metapb::RegionEpoch { conf_ver: 3, version });
        merges.note_size(&pdpb::RegionHeartbeatRequest { region: Some(region), ..Default::default() });
    };
    let (cluster, mut merges) = cluster(&[b"k", b"k1", b"k2", b"k9"], &[1, 1, 1]);
    report(&mut merges, &cluster, 1, 4, NOW);
    report(&mut merges, &cluster, 3, 9, NOW);
    merges.note_size(&pdpb::RegionHeartbeatRequest {
        region: Some(cluster.regions.by_id(2).unwrap().region.clone()),
        approximate_size: 1,
        approximate_keys: 3,
        ..Default::default()
    });
    unknown(&mut merges, &cluster, 1);
    let record = cluster.regions.by_id(2).unwrap();
    assert_eq!(merges.decide(&config(), &cluster, record, NOW), Verdict::Into(1));
    // After a split it is another region.
    unknown(&mut merges, &cluster, 2);
    assert_eq!(merges.decide(&config(), &cluster, record, NOW), Verdict::Keep);
}

#[test]
fn small_neighbors_of_one_store_are_merged_once() {
    let (cluster, mut merges) = cluster(&[b"", b"k1", b"k2", b"k3", b"k4", b""], &[1, 1, 1, 1, 1]);
    assert_eq!(report(&mut merges, &cluster, 1, 0, NOW), Verdict::Keep, "the first region has no space");
    assert_eq!(report(&mut merges, &cluster, 2, 4, NOW), Verdict::Keep, "nothing is known of its neighbor");
    assert_eq!(report(&mut merges, &cluster, 5, 0, NOW), Verdict::Keep, "the last region stays");
    assert_eq!(report(&mut merges, &cluster, 3, 9, NOW), Verdict::Keep, "the two are too large together");
    assert_eq!(report(&mut merges, &cluster, 4, 1, NOW), Verdict::Into(3));
    assert_eq!(report(&mut merges, &cluster, 3, 6, NOW), Verdict::Wait, "it is the target of an order");
    let later = NOW + micros(config().move_patience);
    assert_eq!(report(&mut merges, &cluster, 4, 1, later), Verdict::Into(3), "the order was lost");
    let off = ScheduleConfig { merge_region_bytes_max: 0, ..config() };
    assert_eq!(merges.decide(&off, &cluster, cluster.regions.by_id(4).unwrap(), later), Verdict::Keep);
}

#[test]
fn the_smaller_of_two_on_different_stores_moves() {
    let (cluster, mut merges) = cluster(&[b"k1", b"k2", b"k3", b"k4"], &[1, 2, 3]);
    report(&mut merges, &cluster, 1, 5, NOW);
    let follow = Verdict::Follow { neighbor: 1, store_id: 1 };
    assert_eq!(report(&mut merges, &cluster, 2, 3, NOW), follow);
    assert_eq!(report(&mut merges, &cluster, 1, 5, NOW), Verdict::Wait);
    // Its neighbor is about to leave.
    assert_eq!(report(&mut merges, &cluster, 3, 1, NOW), Verdict::Wait);
}

#[test]
fn what_was_split_is_left_alone_for_a_while() {
    let (cluster, mut merges) = cluster(&[b"k1", b"k2", b"k3"], &[1, 1]);
    merges.note_split(&config(), [1, 2], NOW);
    for id in [1, 2] {
        assert_eq!(report(&mut merges, &cluster, id, 0, NOW + 59_000_000), Verdict::Keep);
    }
    assert_eq!(report(&mut merges, &cluster, 2, 0, NOW + 60_000_000), Verdict::Into(1));
    // A driver that has just started does not know of splits.
    let mut merges = Merges::new(NOW);
    for id in [1, 2] {
        assert_eq!(report(&mut merges, &cluster, id, 0, NOW + 59_000_000), Verdict::Keep);
    }
    // An unknown size is not a small one: with another version the region has other keys.
    let mut unknown = cluster.regions.by_id(1).unwrap().region.clone();
    unknown.region_epoch = Some(metapb::RegionEpoch { conf_ver: 1, version: 2 });
    merges.note_size(&pdpb::RegionHeartbeatRequest { region: Some(unknown), ..Default::default() });
    assert_eq!(report(&mut merges, &cluster, 2, 0, NOW + 60_000_000), Verdict::Keep);
}

#[test]
fn spaces_stay_apart() {
    let table = |id: u64, rest: &[u8]| [b"t", &id.to_be_bytes()[..], rest].concat();
    let cases: [(&[u8], &[u8], bool); 8] = [
        (b"a", b"b", false),
        (b"a", b"a1", true),
        (b"r\0\0\0", b"r\0\0\x01", false),
        (b"x\0\0\x01", b"x\0\0\x01key", true),
        (b"x\0\0\0z", b"x\0\0\x01", false),
        (&table(1, b""), &table(1, b"_r5"), true),
        (&table(1, b"_r5"), &table(2, b""), false),
        (b"", b"a", false),
    ];
    for (left, right, is_one) in cases {
        let (cluster, mut merges) = cluster(&[left, right, &[right, b"\xff"].concat()], &[1, 1]);
        report(&mut merges, &cluster, 1, 0, NOW);
        let verdict = report(&mut merges, &cluster, 2, 0, NOW);
        assert_eq!(verdict == Verdict::Into(1), is_one, "{left:?} and {right:?}");
    }
}
