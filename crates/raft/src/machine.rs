//! What a group replicates: the state machine seam, and how `openraft` meets it.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine, Snapshot};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::spool::Spooled;
use crate::types::{Applied, LogId, Membership, Payload, Position, RaftStored, SnapshotMeta, Types};

/// Entries applied in one go, at most.
const APPLY_ENTRIES_MAX: usize = 1024;
/// Bytes of commands applied in one go, at most (one command may be larger).
const APPLY_BYTES_MAX: usize = 4 << 20;

/// Why a state machine cannot go on. The group stops for good.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct MachineError(pub String);

/// An entry that a majority has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// Where it stands.
    pub position: Position,
    /// What it says.
    pub content: Content,
}

/// What an entry says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A new leader has begun its term.
    Blank,
    /// Somebody proposed this.
    Command(Bytes),
    /// The members have changed.
    Membership(Membership),
}

/// The whole state at one moment, in pieces of convenient size.
pub type Pieces = Box<dyn Iterator<Item = Result<Bytes, MachineError>> + Send>;

/// What a group replicates.
///
/// All replicas see the same entries in the same order and must come to the same state. Methods are called one at a time, from within an async
/// runtime: they may write to memory and to files, and must not wait for a device.
pub trait StateMachine: Send + Sync + 'static {
    /// How far it had come when it was last open.
    fn applied(&mut self) -> Result<Applied, MachineError>;

    /// Takes in entries, in order, and notes how far it has come in the same atomic write. Gives an answer for each, which only the proposer
    /// gets; those of blank entries and memberships go nowhere.
    fn apply(&mut self, entries: Vec<Committed>) -> Result<Vec<Bytes>, MachineError>;

    /// The last position that would survive a power failure now: the log before it is not needed any more.
    ///
    /// The only method that may wait for a device: it is called once in many thousand entries.
    fn durable(&mut self) -> Result<Applied, MachineError>;

    /// All state, for a member that is too far behind for the log. Not called before something was applied.
    fn snapshot(&mut self) -> Result<(Applied, Pieces), MachineError>;

    /// Becomes what another replica was when it took a snapshot. Where snapshots are kept on a disk, this is called on a thread that may wait.
    ///
    /// An error stops the member for good. A machine that cannot become it in one atomic write has to find out by itself, when it is opened again,
    /// that it is half of it; [`Spooled::name`] is how it finds the snapshot.
    fn install(&mut self, applied: &Applied, snapshot: Spooled) -> Result<(), MachineError>;
}

/// A snapshot's data, on its way from here or to here.
pub(crate) enum Data {
    Outgoing(Pieces),
    Incoming(Spooled),
    /// Of a snapshot that is nowhere: it only says what is durable.
    Nothing,
}

impl Data {
    pub(crate) fn into_pieces(self) -> Pieces {
        match self {
            Self::Outgoing(pieces) => pieces,
            Self::Incoming(spooled) => match spooled.pieces() {
                Ok(pieces) => pieces,
                Err(error) => Box::new(std::iter::once(Err(MachineError(error.to_string())))),
            },
            Self::Nothing => Box::new(std::iter::empty()),
        }
    }
}

/// How far a group has applied its log, for readers that cannot ask the state machine.
#[derive(Debug, Default)]
pub(crate) struct AppliedMark {
    /// Plus one, so that 0 is nothing.
    index: AtomicU64,
    term: AtomicU64,
    moved: Notify,
}

impl AppliedMark {
    fn note(&self, position: Option<Position>) {
        if let Some(Position { term, index }) = position {
            self.index.store(index + 1, Ordering::Release);
            self.term.store(term, Ordering::Release);
            self.moved.notify_waiters();
        }
    }

    /// Waits until an index is applied.
    pub(crate) async fn wait_for(&self, index: u64) {
        loop {
            // Registered before the look, so that no move is missed.
            let moved = self.moved.notified();
            if self.index().is_some_and(|applied| applied >= index) {
                return;
            }
            moved.await;
        }
    }

    pub(crate) fn term(&self) -> u64 {
        self.term.load(Ordering::Acquire)
    }

    /// The last index, if any.
    pub(crate) fn index(&self) -> Option<u64> {
        self.index.load(Ordering::Acquire).checked_sub(1)
    }
}

/// A state machine as `openraft` sees it.
#[derive(Clone)]
pub(crate) struct Adapter {
    machine: Arc<Mutex<Box<dyn StateMachine>>>,
    mark: Arc<AppliedMark>,
    /// Whether installing a snapshot waits for a device.
    waits: bool,
}

fn io_error(error: MachineError) -> io::Error {
    io::Error::other(error)
}

impl Adapter {
    pub(crate) fn new(machine: Box<dyn StateMachine>, mark: Arc<AppliedMark>, waits: bool) -> Self {
        Self { machine: Arc::new(Mutex::new(machine)), mark, waits }
    }

    fn apply_some(&self, batch: Vec<EntryResponder<Types>>) -> io::Result<()> {
        let mut entries = Vec::with_capacity(batch.len());
        let mut responders = Vec::with_capacity(batch.len());
        for (entry, responder) in batch {
            let content = match entry.payload {
                Payload::Blank => Content::Blank,
                Payload::Normal(command) => Content::Command(command.0),
                Payload::Membership(membership) => Content::Membership(Membership::of(&membership)),
            };
            entries.push(Committed { position: Position::of(&entry.log_id), content });
            responders.push(responder);
        }
        let last = entries.last().map(|entry| entry.position);
        let answers = self.machine.lock().apply(entries).map_err(io_error)?;
        if answers.len() != responders.len() {
            return Err(io::Error::other("the state machine did not answer every entry"));
        }
        self.mark.note(last);
        for (responder, answer) in responders.into_iter().zip(answers) {
            if let Some(responder) = responder {
                responder.send(answer);
            }
        }
        Ok(())
    }
}

impl RaftStateMachine<Types> for Adapter {
    type SnapshotData = Data;
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, RaftStored)> {
        let applied = self.machine.lock().applied().map_err(io_error)?;
        self.mark.note(applied.position);
        Ok((applied.position.map(Position::id), applied.stored().map_err(io::Error::other)?))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> io::Result<()>
    where
        Strm: Stream<Item = Result<EntryResponder<Types>, io::Error>> + Unpin + openraft::OptionalSend,
    {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while let Some(entry) = entries.next().await {
            let entry = entry?;
            bytes += match &entry.0.payload {
                Payload::Normal(command) => command.0.len(),
                _ => 0,
            };
            batch.push(entry);
            if batch.len() >= APPLY_ENTRIES_MAX || bytes >= APPLY_BYTES_MAX {
                self.apply_some(std::mem::take(&mut batch))?;
                bytes = 0;
            }
        }
        match batch.is_empty() {
            true => Ok(()),
            false => self.apply_some(batch),
        }
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: Data) -> io::Result<()> {
        let applied = Applied::of(meta);
        let Data::Incoming(snapshot) = snapshot else {
            return Err(io::Error::other("a snapshot that did not come from anywhere"));
        };
        let (machine, target) = (self.machine.clone(), applied.clone());
        let install = move || machine.lock().install(&target, snapshot);
        let installed = match self.waits {
            true => tokio::task::spawn_blocking(install).await.map_err(io::Error::other)?,
            false => install(),
        };
        installed.map_err(io_error)?;
        self.mark.note(applied.position);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot0>> {
        let mut machine = self.machine.lock();
        // Nothing was applied: there is nothing to send, and the log is whole.
        if machine.applied().map_err(io_error)?.position.is_none() {
            return Ok(None);
        }
        let (applied, pieces) = machine.snapshot().map_err(io_error)?;
        let meta = applied.meta().map_err(io::Error::other)?;
        Ok(Some(Snapshot { meta, snapshot: Data::Outgoing(pieces) }))
    }
}

/// A snapshot with our kind of data.
pub(crate) type Snapshot0 = openraft::type_config::alias::SnapshotOf<Types, Data>;

impl RaftSnapshotBuilder<Types> for Adapter {
    type SnapshotData = Data;

    /// Builds nothing: data is read when it is sent. It only finds out how much of the log is not needed any more.
    async fn build_snapshot(&mut self) -> io::Result<Snapshot0> {
        let applied = self.machine.lock().durable().map_err(io_error)?;
        let meta = applied.meta().map_err(io::Error::other)?;
        Ok(Snapshot { meta, snapshot: Data::Nothing })
    }
}
