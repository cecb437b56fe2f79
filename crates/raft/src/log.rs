//! The log of one group on the device that all groups share.

use std::{
    collections::VecDeque,
    fmt::Debug,
    io,
    ops::{Bound, RangeBounds},
    sync::Arc,
};

use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};
use parking_lot::Mutex;
use prost::Message;
use tidewater_proto::raftpb;
use tokio::sync::oneshot;

use crate::{
    device::{DeviceError, LogDevice, LogOp, Urgency},
    types::{Entry, LogId, Payload, Position, Types, Vote},
    wire,
};

/// Bytes of commands handed out at once.
const READ_BYTES_MAX: usize = 2 << 20;
/// Bytes of flushed entries kept in memory for followers that are nearly there.
const TAIL_BYTES_MAX: usize = 256 << 10;

/// What a key of a group is for.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Vote = 0,
    Committed = 1,
    /// The last entry that was removed from the front.
    Purged = 2,
    Entry = 3,
    /// After all of them.
    End = 4,
}

fn key(group_id: u64, kind: Kind) -> Vec<u8> {
    let mut key = Vec::with_capacity(17);
    key.extend(group_id.to_be_bytes());
    key.push(kind as u8);
    key
}

fn entry_key(group_id: u64, index: u64) -> Vec<u8> {
    let mut key = key(group_id, Kind::Entry);
    key.extend(index.to_be_bytes());
    key
}

/// Removes a group's log with all it knows.
pub(crate) fn remove_ops(group_id: u64) -> Vec<LogOp> {
    vec![LogOp::DeleteRange(key(group_id, Kind::Vote), key(group_id, Kind::End))]
}

/// A log that begins at [`Position::ORIGIN`]. A vote stays: it was given.
pub(crate) fn origin_ops(group_id: u64) -> Vec<LogOp> {
    let mut ops = Vec::new();
    let origin = wire::log_id(&Position::ORIGIN.id()).encode_to_vec();
    ops.push(LogOp::Put(key(group_id, Kind::Purged), origin.clone()));
    ops.push(LogOp::Put(key(group_id, Kind::Committed), origin));
    ops
}

/// Handle of a group's log; its clones share the state.
#[derive(Clone)]
pub(crate) struct GroupLog {
    group_id: u64,
    device: Arc<dyn LogDevice>,
    state: Arc<Mutex<State>>,
}

struct State {
    vote: Option<Vote>,
    committed: Option<LogId>,
    purged: Option<LogId>,
    last: Option<LogId>,
    /// The newest entries; all that are not yet on the device are here.
    tail: VecDeque<Entry>,
    tail_bytes: usize,
    /// Entries up to here are on the device.
    flushed: u64,
}

fn size_of(entry: &Entry) -> usize {
    64 + match &entry.payload {
        Payload::Normal(command) => command.0.len(),
        _ => 0,
    }
}

impl State {
    fn trim(&mut self) {
        while self.tail_bytes > TAIL_BYTES_MAX
            && let Some(front) = self.tail.front()
            && front.log_id.index <= self.flushed
        {
            self.tail_bytes -= size_of(front);
            self.tail.pop_front();
        }
    }
}

fn corrupt(what: &'static str) -> impl Fn(String) -> DeviceError {
    move |reason| DeviceError::Corrupt { what, reason }
}

fn decode<M: Message + Default>(what: &'static str, bytes: Vec<u8>) -> Result<M, DeviceError> {
    M::decode(bytes::Bytes::from(bytes)).map_err(|error| corrupt(what)(error.to_string()))
}

fn decode_entry(bytes: Vec<u8>) -> Result<Entry, DeviceError> {
    wire::to_entry(decode("entry", bytes)?).map_err(|error| corrupt("entry")(error.to_string()))
}

pub(crate) fn io_error(error: DeviceError) -> io::Error {
    io::Error::other(error)
}

impl GroupLog {
    pub(crate) fn open(device: Arc<dyn LogDevice>, group_id: u64) -> Result<Self, DeviceError> {
        let log_id = |kind, what| {
            let stored = device.get(&key(group_id, kind))?;
            let decoded = stored.map(|bytes| decode::<raftpb::LogId>(what, bytes)).transpose()?;
            Ok::<_, DeviceError>(decoded.map(|id| wire::to_log_id(&id)))
        };
        let (committed, purged) =
            (log_id(Kind::Committed, "commit position")?, log_id(Kind::Purged, "purge position")?);
        let vote = device.get(&key(group_id, Kind::Vote))?;
        let vote = vote.map(|bytes| decode::<raftpb::Vote>("vote", bytes)).transpose()?;
        let vote = vote.map(|vote| wire::to_vote(Some(&vote))).transpose();
        let last = device.last(&key(group_id, Kind::Entry), &key(group_id, Kind::End))?;
        let last = last.map(|(_, bytes)| decode_entry(bytes)).transpose()?.map(|entry| entry.log_id);
        let state = State {
            vote: vote.map_err(|error| corrupt("vote")(error.to_string()))?,
            committed,
            purged,
            last: last.or(purged),
            tail: VecDeque::new(),
            tail_bytes: 0,
            flushed: last.or(purged).map_or(0, |id| id.index),
        };
        Ok(Self { group_id, device, state: Arc::new(Mutex::new(state)) })
    }

    /// Whether there never was an entry, nor a beginning. There may have been a vote.
    pub(crate) fn is_empty(&self) -> bool {
        self.state.lock().last.is_none()
    }

    /// Whether the member has voted for, or followed, anybody.
    pub(crate) fn has_vote(&self) -> bool {
        self.state.lock().vote.is_some()
    }

    async fn write(&self, ops: Vec<LogOp>, urgency: Urgency) -> io::Result<()> {
        let (done, result) = oneshot::channel();
        let written = Box::new(move |result| drop(done.send(result)));
        self.device.submit(ops, urgency, written);
        match result.await {
            Ok(result) => result.map_err(io_error),
            // The device was given up: to whoever waits this never ends, as in a crash.
            Err(_) => std::future::pending().await,
        }
    }

    fn read(&self, start: u64, end: u64, bytes_max: usize) -> Result<Vec<Entry>, DeviceError> {
        let mut found = Vec::new();
        let mut bytes = 0;
        let mut next = start;
        let in_memory = {
            let state = self.state.lock();
            state.tail.front().map_or(u64::MAX, |entry| entry.log_id.index)
        };
        while next < end.min(in_memory) && bytes < bytes_max {
            let range = (entry_key(self.group_id, next), entry_key(self.group_id, end.min(in_memory)));
            let stored = self.device.scan(&range.0, &range.1, bytes_max - bytes)?;
            if stored.is_empty() {
                break;
            }
            for (_, value) in stored {
                let entry = decode_entry(value)?;
                bytes += size_of(&entry);
                next = entry.log_id.index + 1;
                found.push(entry);
            }
        }
        if next < in_memory && next < end {
            return Ok(found);
        }
        let state = self.state.lock();
        // Entries may have left the memory since the first look: the caller asks again for what is missing.
        if state.tail.front().is_some_and(|entry| entry.log_id.index <= next) {
            let wanted = state.tail.iter().skip_while(|entry| entry.log_id.index < next);
            for entry in wanted.take_while(|entry| entry.log_id.index < end) {
                if bytes >= bytes_max && !found.is_empty() {
                    break;
                }
                bytes += size_of(entry);
                found.push(entry.clone());
            }
        }
        Ok(found)
    }
}

fn bounds(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let start = match range.start_bound() {
        Bound::Included(start) => *start,
        Bound::Excluded(before) => before + 1,
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(last) => last + 1,
        Bound::Excluded(end) => *end,
        Bound::Unbounded => u64::MAX,
    };
    (start, end)
}

impl RaftLogReader<Types> for GroupLog {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + openraft::OptionalSend>(
        &mut self,
        range: RB,
    ) -> io::Result<Vec<Entry>> {
        let (mut start, end) = bounds(&range);
        let mut found: Vec<Entry> = Vec::new();
        loop {
            let part = self.read(start, end, usize::MAX).map_err(io_error)?;
            let Some(last) = part.last() else { return Ok(found) };
            start = last.log_id.index + 1;
            found.extend(part);
            if start >= end {
                return Ok(found);
            }
        }
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.state.lock().vote)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        self.read(start, end, READ_BYTES_MAX).map_err(io_error)
    }
}

impl RaftLogStorage<Types> for GroupLog {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<Types>> {
        let state = self.state.lock();
        Ok(LogState { last_purged_log_id: state.purged, last_log_id: state.last })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let value = wire::vote(vote).encode_to_vec();
        self.write(vec![LogOp::Put(key(self.group_id, Kind::Vote), value)], Urgency::Now).await?;
        self.state.lock().vote = Some(*vote);
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        let Some(committed) = committed else { return Ok(()) };
        let value = wire::log_id(&committed).encode_to_vec();
        let ops = vec![LogOp::Put(key(self.group_id, Kind::Committed), value)];
        // Only a hint that spares a restarted group from waiting for its leader.
        self.device.submit(ops, Urgency::Later, Box::new(|_| ()));
        self.state.lock().committed = Some(committed);
        Ok(())
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        let state = self.state.lock();
        // After a power failure the hint may be there without the entries, for another group's fsync took it along.
        Ok(state.committed.min(state.last))
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + openraft::OptionalSend,
        I::IntoIter: openraft::OptionalSend,
    {
        let mut ops = Vec::new();
        let mut last = None;
        {
            let mut state = self.state.lock();
            for entry in entries {
                let value = wire::entry(&entry).encode_to_vec();
                ops.push(LogOp::Put(entry_key(self.group_id, entry.log_id.index), value));
                last = Some(entry.log_id);
                state.tail_bytes += size_of(&entry);
                state.tail.push_back(entry);
            }
            state.last = last.or(state.last);
            state.trim();
        }
        metrics::counter!("tidewater_raft_entries_appended_total").increment(ops.len() as u64);
        let state = self.state.clone();
        let written = move |result: Result<(), DeviceError>| {
            if let (Ok(()), Some(last)) = (&result, last) {
                let mut state = state.lock();
                // Unless they were cut off meanwhile.
                if state.last.is_some_and(|kept| kept.index >= last.index) {
                    state.flushed = state.flushed.max(last.index);
                }
            }
            callback.io_completed(result.map_err(io_error));
        };
        self.device.submit(ops, Urgency::Now, Box::new(written));
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        let next = last.map_or(0, |id| id.index + 1);
        {
            let mut state = self.state.lock();
            while let Some(back) = state.tail.back()
                && back.log_id.index >= next
            {
                state.tail_bytes -= size_of(back);
                state.tail.pop_back();
            }
            state.last = last.or(state.purged);
            state.flushed = state.flushed.min(next.saturating_sub(1));
        }
        let ops = vec![LogOp::DeleteRange(entry_key(self.group_id, next), key(self.group_id, Kind::End))];
        self.write(ops, Urgency::Now).await
    }

    async fn purge(&mut self, purged: LogId) -> io::Result<()> {
        let mut urgency = Urgency::Later;
        {
            let mut state = self.state.lock();
            while let Some(front) = state.tail.front()
                && front.log_id.index <= purged.index
            {
                state.tail_bytes -= size_of(front);
                state.tail.pop_front();
            }
            state.purged = Some(purged);
            // A snapshot may have taken the place of entries that never came.
            if state.last.is_none_or(|last| last.index < purged.index) {
                state.last = Some(purged);
                state.flushed = purged.index;
                urgency = Urgency::Now;
            }
        }
        let ops = vec![
            LogOp::Put(key(self.group_id, Kind::Purged), wire::log_id(&purged).encode_to_vec()),
            LogOp::DeleteRange(key(self.group_id, Kind::Entry), entry_key(self.group_id, purged.index + 1)),
        ];
        if urgency == Urgency::Now {
            return self.write(ops, urgency).await;
        }
        self.device.submit(ops, urgency, Box::new(|_| ()));
        Ok(())
    }
}
