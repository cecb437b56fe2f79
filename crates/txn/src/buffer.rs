//! The writes of a transaction before its commit: an ordered map with nested stages.
//!
//! A *stage* is a point to go back to: the session opens one per statement and one per `SAVEPOINT`. While a stage is open, the first change
//! of a key within it puts the key's previous state on an undo log; going back replays the log backwards, keeping the changes only forgets
//! where the stage began. So a transaction without savepoints pays one log entry per key and statement, and nothing is copied.
//!
//! Keys and values are shared with the requests that will carry them.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::{Bound, Range};

use bytes::Bytes;
use tidewater_codec::Key;

/// What a transaction does to a key, and how it is to be checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The new value; `None` deletes the key.
    pub value: Option<Bytes>,
    /// What is assumed about the key before the transaction.
    pub presumption: Presumption,
    /// Whether the write needs a lock of its own while the statement runs.
    pub locking: Locking,
}

/// What a transaction assumes about a key it writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Presumption {
    /// Nothing.
    #[default]
    None,
    /// The key does not exist; checked when it is locked, or at commit.
    NotExists,
}

/// What keeps others from a key until the commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Locking {
    /// A pessimistic transaction locks the key when the statement that writes it ends.
    #[default]
    WithStatement,
    /// The key is locked at commit only: nobody else knows of it (a row with a new hidden id).
    AtCommit,
    /// Another key of the same transaction guards it (an entry of a non-unique index, and its row): whoever writes the one writes the
    /// other. It is locked at commit only, and nobody looks for newer versions of it.
    Guarded,
}

/// A point to go back to. Stages nest: the last opened is the first released or rolled back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[must_use = "a stage that is neither released nor rolled back stays open"]
pub struct Stage {
    depth: usize,
    id: u64,
}

/// An ordered buffer of writes with nested stages.
#[derive(Debug, Default)]
pub struct WriteBuffer {
    entries: BTreeMap<Bytes, Tracked>,
    /// Sizes of all keys and values.
    bytes: usize,
    undo: Vec<Undo>,
    stages: Vec<OpenStage>,
    stages_opened: u64,
}

#[derive(Debug, Clone)]
struct Tracked {
    write: Write,
    /// The stage whose undo log has this key's previous state; zero if none.
    logged_in: u64,
}

#[derive(Debug)]
struct Undo {
    key: Bytes,
    previous: Option<Tracked>,
}

#[derive(Debug)]
struct OpenStage {
    id: u64,
    undo_start: usize,
}

impl WriteBuffer {
    /// An empty buffer.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many keys are written.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is written.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Sizes of all keys and values.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The write of a key.
    pub fn get(&self, key: &[u8]) -> Option<&Write> {
        self.entries.get(key).map(|tracked| &tracked.write)
    }

    /// Writes a value.
    pub fn put(&mut self, key: Bytes, value: Bytes, locking: Locking) {
        // What was presumed of the key before the transaction holds on: an insert may be overwritten and is still an insert.
        let presumption = self.presumption(&key);
        self.set(key, Write { value: Some(value), presumption, locking });
    }

    /// Writes a value to a key that must not exist before the transaction, or that the transaction itself deleted.
    pub fn insert(&mut self, key: Bytes, value: Bytes, locking: Locking) {
        // A key that the transaction deleted is known not to exist from here on, whatever it was before.
        let presumption = match self.get(&key) {
            Some(known) => known.presumption,
            None => Presumption::NotExists,
        };
        self.set(key, Write { value: Some(value), presumption, locking });
    }

    /// Deletes a key.
    pub fn delete(&mut self, key: Bytes, locking: Locking) {
        let presumption = self.presumption(&key);
        self.set(key, Write { value: None, presumption, locking });
    }

    /// The presumption about a key was checked: it need not be checked again. Survives going back to a stage only if the write does.
    pub fn presumption_checked(&mut self, key: &[u8]) {
        if let Some(tracked) = self.entries.get_mut(key) {
            tracked.write.presumption = Presumption::None;
        }
    }

    /// Opens a stage.
    pub fn stage(&mut self) -> Stage {
        self.stages_opened += 1;
        let id = self.stages_opened;
        self.stages.push(OpenStage { id, undo_start: self.undo.len() });
        Stage { depth: self.stages.len() - 1, id }
    }

    /// Closes a stage and those within it, keeping their writes.
    pub fn release(&mut self, stage: Stage) {
        if self.is_open(stage) {
            self.stages.truncate(stage.depth);
            if self.stages.is_empty() {
                self.undo.clear();
            }
        }
    }

    /// Undoes all writes since a stage was opened, and closes it and those within it.
    pub fn rollback_to(&mut self, stage: Stage) {
        if !self.is_open(stage) {
            return;
        }
        let undo_start = self.stages[stage.depth].undo_start;
        while self.undo.len() > undo_start {
            if let Some(Undo { key, previous }) = self.undo.pop() {
                self.replace(key, previous);
            }
        }
        self.stages.truncate(stage.depth);
    }

    /// Whether a stage may still be released or rolled back.
    pub fn is_open(&self, stage: Stage) -> bool {
        self.stages.get(stage.depth).is_some_and(|open| open.id == stage.id)
    }

    /// The keys written since a stage was opened, in order.
    pub fn written_since(&self, stage: Stage) -> Vec<Bytes> {
        if !self.is_open(stage) {
            return Vec::new();
        }
        let mut keys: Vec<_> =
            self.undo[self.stages[stage.depth].undo_start..].iter().map(|undo| undo.key.clone()).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// All writes in the order of their keys.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&Bytes, &Write)> {
        self.entries.iter().map(|(key, tracked)| (key, &tracked.write))
    }

    /// The writes to a range of keys, in order; an empty end is unbounded.
    pub fn range<'a>(
        &'a self,
        range: &Range<Key>,
    ) -> impl DoubleEndedIterator<Item = (&'a Bytes, &'a Write)> + use<'a> {
        self.range_bytes(range.start.as_bytes(), range.end.as_bytes())
    }

    pub(crate) fn range_bytes<'a>(
        &'a self,
        start: &[u8],
        end: &[u8],
    ) -> impl DoubleEndedIterator<Item = (&'a Bytes, &'a Write)> + use<'a> {
        // A map panics on a range that ends before it starts.
        let upper = match end {
            [] => Bound::Unbounded,
            end if end < start => Bound::Excluded(start),
            end => Bound::Excluded(end),
        };
        self.entries
            .range::<[u8], _>((Bound::Included(start), upper))
            .map(|(key, tracked)| (key, &tracked.write))
    }

    fn presumption(&self, key: &[u8]) -> Presumption {
        self.get(key).map_or(Presumption::None, |write| write.presumption)
    }

    fn set(&mut self, key: Bytes, write: Write) {
        let current = self.stages.last().map_or(0, |stage| stage.id);
        let added = write_bytes(&key, &write);
        let tracked = Tracked { write, logged_in: current };
        match self.entries.entry(key) {
            Entry::Occupied(mut entry) => {
                self.bytes -= write_bytes(entry.key(), &entry.get().write);
                let key = entry.key().clone();
                let previous = entry.insert(tracked);
                if current != 0 && previous.logged_in != current {
                    self.undo.push(Undo { key, previous: Some(previous) });
                }
            }
            Entry::Vacant(entry) => {
                if current != 0 {
                    self.undo.push(Undo { key: entry.key().clone(), previous: None });
                }
                entry.insert(tracked);
            }
        }
        self.bytes += added;
    }

    fn replace(&mut self, key: Bytes, tracked: Option<Tracked>) {
        if let Some(old) = self.entries.get(&key) {
            self.bytes -= write_bytes(&key, &old.write);
        }
        match tracked {
            Some(tracked) => {
                self.bytes += write_bytes(&key, &tracked.write);
                self.entries.insert(key, tracked);
            }
            None => drop(self.entries.remove(&key)),
        }
    }
}

fn write_bytes(key: &Bytes, write: &Write) -> usize {
    key.len() + write.value.as_ref().map_or(0, Bytes::len)
}

#[cfg(test)]
mod tests;
