//! Snapshots on bad ways: what was sent once is not sent again, what was damaged is, and none is faster than it may be.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tidewater_proto::raftpb::{self, request::Body};
use tidewater_raft::{RaftConfig, SnapshotLimits, Spools};
use tokio::time::Instant;

use super::cluster::{Cluster, Fate, peer, restless};

/// More than a log keeps: a newcomer needs a snapshot. It has a piece for each of them.
const COMMANDS: usize = 100;

async fn filled(limits: SnapshotLimits, command: impl Fn(usize) -> String) -> Cluster {
    let config = RaftConfig { log_entries_max: 20, log_entries_kept: 5, snapshots: limits, ..restless() };
    let cluster = Cluster::start(3, config).await;
    for number in 0..COMMANDS {
        cluster.put(&command(number)).await;
    }
    cluster
}

/// Adds a member on store 4.
async fn join(cluster: &mut Cluster, spools: Arc<Spools>) {
    cluster.add_store_with(4, spools);
    cluster.boot(4);
    cluster.open(4).await;
    let leader = cluster.leader().await;
    cluster.group(leader).add_learner(peer(4), 4).await.unwrap();
}

fn piece_of(request: &mut raftpb::Request) -> Option<&mut raftpb::SnapshotPiece> {
    match &mut request.body {
        Some(Body::Snapshot(piece)) => Some(piece),
        _ => None,
    }
}

/// How often each piece was sent, by snapshot.
type Sent = Arc<Mutex<BTreeMap<u64, BTreeMap<u32, u32>>>>;

/// Counts pieces, and lets `fate` say what becomes of one that is sent for the n-th time.
fn watch(
    cluster: &Cluster,
    mut fate: impl FnMut(&mut raftpb::SnapshotPiece, u32) -> Fate + Send + 'static,
) -> Sent {
    let sent = Sent::default();
    let seen = sent.clone();
    *cluster.network.tamper.lock() = Some(Box::new(move |request| {
        let Some(piece) = piece_of(request) else { return Fate::Arrives };
        let times = {
            let mut seen = seen.lock();
            let times = seen.entry(piece.snapshot_id).or_default().entry(piece.number).or_default();
            *times += 1;
            *times
        };
        fate(piece, times)
    }));
    sent
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_goes_on_where_it_was_when_messages_are_lost() {
    let mut cluster = filled(SnapshotLimits::default(), |number| number.to_string()).await;
    let sent = watch(&cluster, |piece, times| match (piece.number, times) {
        (4, 1) => Fate::IsLost,
        (7 | 8, 1..=2) => Fate::AnswerIsLost,
        // All of it is installed by then.
        _ if piece.is_last && times == 1 => Fate::AnswerIsLost,
        _ => Fate::Arrives,
    });
    join(&mut cluster, Spools::in_memory()).await;
    cluster.converge(1..=4, COMMANDS).await;
    let leader = cluster.leader().await;
    cluster
        .wait("it is not caught up", || cluster.group(leader).is_caught_up(peer(4), 0).then_some(()))
        .await;
    let sent = sent.lock();
    assert_eq!(sent.len(), 1, "{sent:?}");
    let pieces = sent.values().next().unwrap();
    let again: BTreeMap<_, _> =
        pieces.iter().filter(|(_, times)| **times > 1).map(|(n, t)| (*n, *t)).collect();
    let last = *pieces.keys().last().unwrap();
    assert!(last > 50, "{pieces:?}");
    assert_eq!(again, BTreeMap::from([(4, 2), (7, 3), (8, 3), (last, 2)]));
}

#[tokio::test(start_paused = true)]
async fn damaged_pieces_are_sent_again_the_last_one_too() {
    let mut cluster = filled(SnapshotLimits::default(), |number| format!("command {number}")).await;
    let sent = watch(&cluster, |piece, times| {
        if times == 1 && (piece.number == 3 || piece.is_last) {
            let mut data = piece.data.to_vec();
            data[0] ^= 1;
            piece.data = data.into();
        }
        Fate::Arrives
    });
    join(&mut cluster, Spools::in_memory()).await;
    cluster.converge(1..=4, COMMANDS).await;
    let sent = sent.lock();
    assert_eq!(sent.len(), 1, "{sent:?}");
    let pieces = sent.values().next().unwrap();
    let again: Vec<_> = pieces.iter().filter(|(_, times)| **times > 1).map(|(number, _)| *number).collect();
    assert_eq!(again, [3, *pieces.keys().last().unwrap()]);
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_lasts_begins_a_new_snapshot_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = filled(SnapshotLimits::default(), |number| number.to_string()).await;
    let cut = Arc::new(Mutex::new(None));
    let since = cut.clone();
    let sent = watch(&cluster, move |piece, _| {
        let mut since = since.lock();
        if piece.number == 10 && since.is_none() {
            *since = Some(Instant::now());
        }
        match *since {
            Some(begun) if begun.elapsed() < Duration::from_secs(200) => Fate::IsLost,
            _ => Fate::Arrives,
        }
    });
    join(&mut cluster, Spools::in_folder(folder.path()).unwrap()).await;
    let files = || std::fs::read_dir(folder.path()).unwrap().count();
    cluster.wait("no piece came", || (cut.lock().is_some() && files() == 1).then_some(())).await;
    // The receiver, too, has forgotten it by now.
    tokio::time::sleep(Duration::from_secs(150)).await;
    assert_eq!(files(), 0);
    tokio::time::sleep(Duration::from_secs(60)).await;
    cluster.converge(1..=4, COMMANDS).await;
    assert!(sent.lock().len() > 1, "{sent:?}");
    cluster.wait("a file is left", || (files() == 0).then_some(())).await;
}

#[tokio::test(start_paused = true)]
async fn pieces_wait_in_a_file_and_not_in_memory() {
    const COMMAND_BYTES: usize = 20_000;
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = filled(SnapshotLimits::default(), |number| format!("{number:0COMMAND_BYTES$}")).await;
    let sizes = Arc::new(Mutex::new(Vec::new()));
    let seen = sizes.clone();
    let path = folder.path().to_owned();
    watch(&cluster, move |piece, _| {
        let files = std::fs::read_dir(&path).unwrap().map(|file| file.unwrap().metadata().unwrap().len());
        seen.lock().push((piece.number, files.sum::<u64>()));
        Fate::Arrives
    });
    let spools = Spools::in_folder(folder.path()).unwrap();
    join(&mut cluster, spools.clone()).await;
    cluster.converge(1..=4, COMMANDS).await;
    // All that came before a piece is in the file when that piece comes.
    for (number, bytes) in sizes.lock().iter() {
        assert!(*bytes >= u64::from(*number) * COMMAND_BYTES as u64, "{bytes} bytes before piece {number}");
    }
    cluster.wait("a file is left", || (spools.bytes() == 0).then_some(())).await;
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test(start_paused = true)]
async fn snapshots_are_no_faster_than_they_may_be() {
    let limits = SnapshotLimits { bytes_per_second_max: 2_000, ..SnapshotLimits::default() };
    let mut cluster = filled(limits, |number| format!("{number:0200}")).await;
    let times = Arc::new(Mutex::new(Vec::new()));
    let seen = times.clone();
    let bytes = Arc::new(Mutex::new(0));
    let sum = bytes.clone();
    watch(&cluster, move |piece, _| {
        seen.lock().push(Instant::now());
        *sum.lock() += piece.data.len();
        Fate::Arrives
    });
    join(&mut cluster, Spools::in_memory()).await;
    cluster.converge(1..=4, COMMANDS).await;
    let (times, bytes) = (times.lock(), *bytes.lock());
    let took = *times.last().unwrap() - *times.first().unwrap();
    // The last piece is paid for behind it.
    assert!(took >= Duration::from_secs_f64((bytes - 200) as f64 / 2_000.0), "{bytes} bytes in {took:?}");
    assert!(took < Duration::from_secs(15), "{bytes} bytes in {took:?}");
}
