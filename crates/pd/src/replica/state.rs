//! What is replicated, and the commands that change it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;
use prost::Message;
use tidewater_proto::raftpb;
use tidewater_raft::{
    Applied, Committed, Content, MachineError, Membership, Pieces, Position, Spooled, StateMachine,
};

use crate::records;
use crate::storage::{Batch, Storage, apply};

/// Bytes of a piece of a snapshot, about.
const PIECE_BYTES: usize = 1 << 20;

/// A leadership: the term, and a number, since a leader may begin anew in its term.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct SessionId {
    pub(crate) term: u64,
    pub(crate) number: u64,
}

impl SessionId {
    fn encode(self) -> Vec<u8> {
        [self.term.to_be_bytes(), self.number.to_be_bytes()].concat()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (term, number) = bytes.split_first_chunk()?;
        Some(Self { term: u64::from_be_bytes(*term), number: u64::from_be_bytes(number.try_into().ok()?) })
    }
}

/// One entry of the log.
#[derive(Clone, PartialEq, Message)]
struct Command {
    #[prost(uint64, tag = "1")]
    term: u64,
    #[prost(uint64, tag = "2")]
    number: u64,
    /// Begins the session.
    #[prost(bool, tag = "3")]
    opens: bool,
    #[prost(message, repeated, tag = "4")]
    changes: Vec<Change>,
}

#[derive(Clone, PartialEq, Message)]
struct Change {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(bytes = "vec", optional, tag = "2")]
    value: Option<Vec<u8>>,
}

/// A piece of a snapshot.
#[derive(Clone, PartialEq, Message)]
struct Piece {
    #[prost(message, repeated, tag = "1")]
    records: Vec<Change>,
}

/// How far the storage has come.
#[derive(Clone, PartialEq, Message)]
struct StoredApplied {
    #[prost(message, optional, tag = "1")]
    position: Option<raftpb::LogId>,
    #[prost(message, optional, tag = "2")]
    membership: Option<raftpb::StoredMembership>,
}

/// The command that opens a session.
pub(crate) fn opening(session: SessionId) -> Bytes {
    Command { term: session.term, number: session.number, opens: true, changes: Vec::new() }
        .encode_to_vec()
        .into()
}

/// The command that changes records.
pub(crate) fn changing(session: SessionId, batch: Batch) -> Bytes {
    let changes = batch.into_iter().map(|(name, value)| Change { name, value }).collect();
    Command { term: session.term, number: session.number, opens: false, changes }.encode_to_vec().into()
}

/// Whether a command was carried out, by the machine's answer.
pub(crate) fn was_applied(answer: &[u8]) -> bool {
    answer == APPLIED
}

const APPLIED: &[u8] = b"1";
const REFUSED: &[u8] = b"0";

/// The replicated records of a member, as far as it has applied the log.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) records: BTreeMap<String, Vec<u8>>,
    applied: Applied,
    /// Names of records that are not yet in the storage as they are here.
    dirty: BTreeSet<String>,
}

impl State {
    /// What a storage holds.
    pub(crate) fn of_stored(mut stored: BTreeMap<String, Vec<u8>>) -> Result<Self, MachineError> {
        let applied = stored.get(records::APPLIED).map(|bytes| decode_applied(bytes)).transpose()?;
        stored.retain(|name, _| !is_local(name));
        Ok(Self { records: stored, applied: applied.unwrap_or_default(), dirty: BTreeSet::new() })
    }

    fn change(&mut self, command: Command) -> Bytes {
        let session = SessionId { term: command.term, number: command.number };
        let current = self.records.get(records::SESSION).and_then(|bytes| SessionId::decode(bytes));
        let current = current.unwrap_or_default();
        let mut batch: Batch =
            command.changes.into_iter().map(|change| (change.name, change.value)).collect();
        if command.opens && session > current {
            batch.push((records::SESSION.to_owned(), Some(session.encode())));
        } else if command.opens || session != current {
            return Bytes::from_static(REFUSED);
        }
        self.dirty.extend(batch.iter().map(|(name, _)| name.clone()));
        apply(&mut self.records, batch);
        Bytes::from_static(APPLIED)
    }
}

/// Whether a record is a member's own business.
fn is_local(name: &str) -> bool {
    name.starts_with(records::LOCAL_PREFIX)
}

/// The state machine over a [`State`] that others read.
pub(crate) struct Machine {
    pub(crate) state: Arc<RwLock<State>>,
    pub(crate) storage: Arc<dyn Storage>,
}

fn failed(error: impl ToString) -> MachineError {
    MachineError(error.to_string())
}

impl StateMachine for Machine {
    fn applied(&mut self) -> Result<Applied, MachineError> {
        Ok(self.state.read().applied.clone())
    }

    fn apply(&mut self, entries: Vec<Committed>) -> Result<Vec<Bytes>, MachineError> {
        let mut state = self.state.write();
        let mut answers = Vec::with_capacity(entries.len());
        for Committed { position, content } in entries {
            answers.push(match content {
                Content::Blank => Bytes::new(),
                Content::Command(command) => state.change(Command::decode(command).map_err(failed)?),
                Content::Membership(membership) => {
                    state.applied.membership = membership;
                    state.applied.membership_position = Some(position);
                    Bytes::new()
                }
            });
            state.applied.position = Some(position);
        }
        Ok(answers)
    }

    fn durable(&mut self) -> Result<Applied, MachineError> {
        let (applied, batch) = {
            let mut state = self.state.write();
            let mut batch = Batch::new();
            for name in std::mem::take(&mut state.dirty) {
                let value = state.records.get(&name).cloned();
                batch.push((name, value));
            }
            (state.applied.clone(), batch)
        };
        self.write(&applied, batch)?;
        Ok(applied)
    }

    fn snapshot(&mut self) -> Result<(Applied, Pieces), MachineError> {
        let state = self.state.read();
        let (mut pieces, mut piece, mut bytes) = (Vec::new(), Piece::default(), 0);
        for (name, value) in &state.records {
            bytes += name.len() + value.len();
            piece.records.push(Change { name: name.clone(), value: Some(value.clone()) });
            if bytes > PIECE_BYTES {
                pieces.push(std::mem::take(&mut piece));
                bytes = 0;
            }
        }
        pieces.push(piece);
        let encoded = pieces.into_iter().map(|piece| Ok(piece.encode_to_vec().into()));
        Ok((state.applied.clone(), Box::new(encoded)))
    }

    /// Writes to the storage at once: the log that leads here may be removed as soon as this returns.
    fn install(&mut self, applied: &Applied, snapshot: Spooled) -> Result<(), MachineError> {
        let mut fresh = BTreeMap::new();
        for piece in snapshot.pieces().map_err(failed)? {
            let piece = Piece::decode(piece?).map_err(failed)?;
            fresh.extend(piece.records.into_iter().map(|each| (each.name, each.value.unwrap_or_default())));
        }
        let stored = self.storage.load().map_err(failed)?;
        let gone = stored.keys().filter(|name| !is_local(name) && !fresh.contains_key(*name));
        let mut batch: Batch = gone.map(|name| (name.clone(), None)).collect();
        batch.extend(fresh.iter().map(|(name, value)| (name.clone(), Some(value.clone()))));
        self.write(applied, batch)?;
        *self.state.write() = State { records: fresh, applied: applied.clone(), dirty: BTreeSet::new() };
        Ok(())
    }
}

impl Machine {
    /// The records and the position that they belong to, in one.
    fn write(&self, applied: &Applied, mut batch: Batch) -> Result<(), MachineError> {
        batch.push((records::APPLIED.to_owned(), Some(encode_applied(applied))));
        self.storage.write(batch).map_err(failed)
    }
}

pub(crate) fn encode_applied(applied: &Applied) -> Vec<u8> {
    let log_id = |position: Position| raftpb::LogId { term: position.term, index: position.index };
    let Membership { voters, members } = &applied.membership;
    let configs = voters.iter().map(|ids| raftpb::Voters { peer_ids: ids.iter().copied().collect() });
    let members = members.iter();
    let membership = raftpb::Membership {
        configs: configs.collect(),
        members: members.map(|(peer, store)| raftpb::Member { peer_id: *peer, store_id: *store }).collect(),
    };
    StoredApplied {
        position: applied.position.map(log_id),
        membership: Some(raftpb::StoredMembership {
            log_id: applied.membership_position.map(log_id),
            membership: Some(membership),
        }),
    }
    .encode_to_vec()
}

fn decode_applied(bytes: &[u8]) -> Result<Applied, MachineError> {
    let stored = StoredApplied::decode(bytes).map_err(failed)?;
    let position = |id: raftpb::LogId| Position { term: id.term, index: id.index };
    let membership = stored.membership.unwrap_or_default();
    let members = membership.membership.unwrap_or_default();
    Ok(Applied {
        position: stored.position.map(position),
        membership: Membership {
            voters: members.configs.into_iter().map(|ids| ids.peer_ids.into_iter().collect()).collect(),
            members: members.members.into_iter().map(|each| (each.peer_id, each.store_id)).collect(),
        },
        membership_position: membership.log_id.map(position),
    })
}

#[cfg(test)]
mod tests {
    use tidewater_raft::Spools;

    use super::*;
    use crate::MemoryStorage;

    fn machine(storage: &Arc<MemoryStorage>) -> Machine {
        let state = State::of_stored(storage.load().unwrap()).unwrap();
        Machine { state: Arc::new(RwLock::new(state)), storage: storage.clone() }
    }

    fn run(machine: &mut Machine, index: u64, command: Bytes) -> bool {
        let position = Position { term: 1, index };
        let entry = Committed { position, content: Content::Command(command) };
        was_applied(&machine.apply(vec![entry]).unwrap()[0])
    }

    fn put(name: &str, value: &str) -> Batch {
        vec![(name.to_owned(), Some(value.as_bytes().to_vec()))]
    }

    const fn session(term: u64, number: u64) -> SessionId {
        SessionId { term, number }
    }

    #[test]
    fn a_session_ends_when_a_later_one_begins() {
        let mut machine = machine(&Arc::default());
        assert!(!run(&mut machine, 1, changing(session(1, 1), put("a", "1"))), "it was not opened");
        assert!(run(&mut machine, 2, opening(session(1, 1))));
        assert!(run(&mut machine, 3, changing(session(1, 1), put("a", "1"))));
        assert!(run(&mut machine, 4, opening(session(1, 2))));
        assert!(!run(&mut machine, 5, changing(session(1, 1), put("a", "2"))));
        assert!(run(&mut machine, 6, opening(session(3, 1))));
        assert!(!run(&mut machine, 7, opening(session(1, 3))));
        assert!(!run(&mut machine, 8, changing(session(1, 2), put("a", "3"))));
        assert_eq!(machine.state.read().records["a"], b"1");
    }

    #[test]
    fn what_is_durable_is_there_after_a_restart_and_the_log_brings_the_rest() {
        let storage = Arc::default();
        let mut first = machine(&storage);
        run(&mut first, 1, opening(session(1, 1)));
        run(&mut first, 2, changing(session(1, 1), put("a", "1")));
        assert_eq!(first.durable().unwrap().position.unwrap().index, 2);
        run(&mut first, 3, changing(session(1, 1), put("b", "2")));
        let mut second = machine(&storage);
        assert_eq!(second.applied().unwrap().position.unwrap().index, 2);
        run(&mut second, 3, changing(session(1, 1), put("b", "2")));
        assert_eq!(first.state.read().records, second.state.read().records);
    }

    #[test]
    fn a_snapshot_replaces_everything_but_the_members_own_records() {
        let storage = Arc::new(MemoryStorage::new());
        storage.write(put(records::IDENTITY, "me")).unwrap();
        storage.write(put("old", "x")).unwrap();
        let mut source = machine(&Arc::default());
        run(&mut source, 1, opening(session(1, 1)));
        for number in 0..3 {
            let large = "v".repeat(PIECE_BYTES * 2 / 3);
            run(&mut source, 2 + number, changing(session(1, 1), put(&format!("k{number}"), &large)));
        }
        let (applied, pieces) = source.snapshot().unwrap();
        let pieces: Vec<_> = pieces.map(Result::unwrap).collect();
        assert!(pieces.len() > 1);
        let mut target = machine(&storage);
        target.install(&applied, Spools::in_memory().keep("received", pieces).unwrap()).unwrap();
        assert_eq!(target.state.read().records, source.state.read().records);
        let reopened = machine(&storage).state.read().records.clone();
        assert_eq!(reopened, source.state.read().records);
        assert_eq!(storage.load().unwrap()[records::IDENTITY], b"me");
    }
}
