//! The receiving end of snapshots: pieces that come one after the other, and maybe more than once.
//!
//! A snapshot is known by the number its sender gave it. As long as its pieces come now and then, the answer to any of them says which one is
//! wanted next, so that a sender whose answer was lost goes on where it was. Which piece is wanted after the last says whether the snapshot is
//! installed: the last one, as long as that takes, and one more from then on.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tidewater_proto::raftpb;
use tokio::{sync::OwnedSemaphorePermit, time::Instant};

use crate::{
    spool::{SpoolError, Spooled, Spooling},
    traffic::Traffic,
};

/// A snapshot of which nothing was heard for this long is forgotten. Senders give up before.
const SILENCE_MAX: Duration = Duration::from_secs(120);

/// The snapshot that a member is being sent.
pub(crate) struct Receiver {
    traffic: Arc<Traffic>,
    /// For the names of files: nobody else on this store has it.
    name: String,
    state: Mutex<State>,
}

enum State {
    /// Nobody sends one.
    Idle,
    Coming(Coming),
    /// All of it is here.
    Installing(Whole),
    /// It was installed.
    Installed(Whole),
}

struct Coming {
    snapshot_id: u64,
    spooling: Spooling,
    heard: Instant,
    _place: OwnedSemaphorePermit,
}

/// A snapshot all of which has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Whole {
    snapshot_id: u64,
    /// The number of its last piece.
    last: u32,
}

/// What comes of a piece.
pub(crate) enum Taken {
    /// The piece that is to be sent next.
    Wanted(u32),
    /// It was the last one; the state is to be told when it is installed, or not.
    All(Spooling),
    /// None is wanted now.
    Busy(String),
}

impl Receiver {
    pub(crate) fn new(traffic: Arc<Traffic>, group_id: u64, peer_id: u64) -> Self {
        let name = format!("{group_id}-{peer_id}");
        Self { traffic, name, state: Mutex::new(State::Idle) }
    }

    /// Takes a piece in.
    pub(crate) fn take(&self, piece: &raftpb::SnapshotPiece) -> Taken {
        // Damaged on the way: the same again.
        if crc32fast::hash(&piece.data) != piece.checksum {
            metrics::counter!("tidewater_raft_snapshot_pieces_damaged_total").increment(1);
            return Taken::Wanted(piece.number);
        }
        let mut state = self.state.lock();
        match &*state {
            State::Installing(whole) if whole.snapshot_id == piece.snapshot_id => {
                return Taken::Wanted(whole.last);
            }
            State::Installing(_) => return Taken::Busy("another snapshot is being installed".to_owned()),
            State::Installed(whole) if whole.snapshot_id == piece.snapshot_id => {
                return Taken::Wanted(whole.last + 1);
            }
            State::Coming(coming) if coming.snapshot_id == piece.snapshot_id => {}
            State::Idle | State::Installed(_) | State::Coming(_) if piece.number > 0 => {
                return Taken::Wanted(0);
            }
            State::Idle | State::Installed(_) | State::Coming(_) => {
                // Its place is free before the next one asks for one.
                *state = State::Idle;
                match self.begin(piece.snapshot_id) {
                    Ok(coming) => *state = State::Coming(coming),
                    Err(reason) => return Taken::Busy(reason),
                }
            }
        }
        self.go_on(&mut state, piece)
    }

    fn begin(&self, snapshot_id: u64) -> Result<Coming, String> {
        let place = self.traffic.begin_receiving()?;
        let spooling = self.traffic.spools.begin(format!("{}-{snapshot_id:016x}", self.name));
        let spooling = spooling.map_err(|error| error.to_string())?;
        Ok(Coming { snapshot_id, spooling, heard: Instant::now(), _place: place })
    }

    fn go_on(&self, state: &mut State, piece: &raftpb::SnapshotPiece) -> Taken {
        let State::Coming(coming) = state else { return Taken::Wanted(0) };
        coming.heard = Instant::now();
        let next = coming.spooling.count();
        // One that is here already, or one that comes too early.
        if piece.number != next {
            return Taken::Wanted(next);
        }
        if let Err(error) = coming.spooling.push(&piece.data) {
            *state = State::Idle;
            return Taken::Busy(error.to_string());
        }
        if !piece.is_last {
            return Taken::Wanted(next + 1);
        }
        let whole = Whole { snapshot_id: piece.snapshot_id, last: piece.number };
        match std::mem::replace(state, State::Installing(whole)) {
            State::Coming(coming) => Taken::All(coming.spooling),
            _ => Taken::Wanted(0),
        }
    }

    /// Makes what was taken in last; it waits for the device.
    pub(crate) async fn finish(&self, spooling: Spooling) -> Result<Spooled, SpoolError> {
        if self.traffic.spools.is_in_memory() {
            return spooling.finish();
        }
        match tokio::task::spawn_blocking(move || spooling.finish()).await {
            Ok(finished) => finished,
            // The runtime is going down, and this with it.
            Err(_) => std::future::pending().await,
        }
    }

    /// The snapshot that was being installed is, or is not.
    pub(crate) fn installed(&self, is_installed: bool) {
        let mut state = self.state.lock();
        if let State::Installing(whole) = *state {
            *state = if is_installed { State::Installed(whole) } else { State::Idle };
        }
    }

    /// Forgets a snapshot whose sender has not been heard of for long.
    pub(crate) fn forget_silent(&self) {
        let mut state = self.state.lock();
        if let State::Coming(coming) = &*state
            && coming.heard.elapsed() >= SILENCE_MAX
        {
            tracing::info!(member = self.name, "a snapshot stopped coming and is forgotten");
            *state = State::Idle;
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{spool::Spools, traffic::SnapshotLimits};

    fn piece(snapshot_id: u64, number: u32, data: &'static str) -> raftpb::SnapshotPiece {
        let data = Bytes::from_static(data.as_bytes());
        let checksum = crc32fast::hash(&data);
        raftpb::SnapshotPiece { snapshot_id, number, data, checksum, ..Default::default() }
    }

    fn receivers(limits: SnapshotLimits) -> [Receiver; 2] {
        let traffic = Arc::new(Traffic::new(usize::MAX, limits, Spools::in_memory()));
        [1, 2].map(|group_id| Receiver::new(traffic.clone(), group_id, 7))
    }

    fn wanted(taken: Taken) -> Result<u32, String> {
        match taken {
            Taken::Wanted(number) => Ok(number),
            Taken::All(_) => Err("all".to_owned()),
            Taken::Busy(reason) => Err(reason),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_come_at_once_than_may_and_a_silent_one_gives_its_place_up() {
        let [first, second] = receivers(SnapshotLimits { receiving_max: 1, ..SnapshotLimits::default() });
        assert_eq!(wanted(first.take(&piece(5, 0, "a"))), Ok(1));
        assert_eq!(first.traffic.counts().receiving, 1);
        assert!(matches!(second.take(&piece(6, 0, "a")), Taken::Busy(_)));
        tokio::time::sleep(SILENCE_MAX / 2).await;
        first.forget_silent();
        assert_eq!(wanted(first.take(&piece(5, 1, "b"))), Ok(2), "it is still on its way");
        tokio::time::sleep(SILENCE_MAX).await;
        first.forget_silent();
        assert_eq!(wanted(second.take(&piece(6, 0, "a"))), Ok(1));
        assert_eq!(wanted(first.take(&piece(5, 2, "c"))), Ok(0), "it was forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_begun_while_too_many_bytes_wait() {
        let [first, second] = receivers(SnapshotLimits { kept_bytes_max: 3, ..SnapshotLimits::default() });
        assert_eq!(wanted(first.take(&piece(5, 0, "abc"))), Ok(1));
        assert!(matches!(second.take(&piece(6, 0, "a")), Taken::Busy(_)));
        assert_eq!(wanted(first.take(&piece(5, 1, "abc"))), Ok(2), "what was begun goes on");
        assert_eq!(wanted(first.take(&piece(9, 0, "a"))), Ok(1), "another one takes its place");
        assert_eq!(wanted(second.take(&piece(6, 0, "a"))), Ok(1));
    }

    #[tokio::test(start_paused = true)]
    async fn the_answer_tells_how_far_a_snapshot_is() {
        let [receiver, _] = receivers(SnapshotLimits::default());
        assert_eq!(wanted(receiver.take(&piece(5, 3, "d"))), Ok(0), "nothing is here");
        assert_eq!(wanted(receiver.take(&piece(5, 0, "a"))), Ok(1));
        assert_eq!(wanted(receiver.take(&piece(5, 0, "a"))), Ok(1), "it is here already");
        assert_eq!(wanted(receiver.take(&piece(5, 2, "c"))), Ok(1), "one is missing");
        let damaged = raftpb::SnapshotPiece { checksum: 1, ..piece(5, 1, "b") };
        assert_eq!(wanted(receiver.take(&damaged)), Ok(1));
        let last = raftpb::SnapshotPiece { is_last: true, ..piece(5, 1, "b") };
        let Taken::All(spooling) = receiver.take(&last) else { panic!("it was the last one") };
        assert_eq!(wanted(receiver.take(&last)), Ok(1), "not yet");
        assert!(matches!(receiver.take(&piece(6, 0, "x")), Taken::Busy(_)));
        let whole = receiver.finish(spooling).await.unwrap();
        let pieces: Vec<_> = whole.pieces().unwrap().map(Result::unwrap).collect();
        assert_eq!(pieces, ["a", "b"]);
        receiver.installed(true);
        assert_eq!(wanted(receiver.take(&last)), Ok(2), "it is installed");
        assert_eq!(wanted(receiver.take(&piece(6, 0, "x"))), Ok(1));
    }
}
