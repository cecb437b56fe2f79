//! The newest committed version of keys that are read one by one, outside of the engine.
//!
//! An LSM engine finds a key by looking into every sorted run; for keys that are asked for again and again that is most of what a
//! point read costs. This cache holds the newest version of such keys, fed by readers that missed and kept right by writers.
//!
//! # Why it is never stale
//! * All writes to data keys go through the scheduler, under the latches of their keys. [`RowCache::begin`] is called before the
//!   engine is written and [`Flight::finish`] after the write is visible and before anybody is told: entries change at that moment.
//! * A reader takes a [`Ticket`] *before* its snapshot and offers what it found *after*. The offer is declined when any write to
//!   the key's stripe was under way or has finished since: its snapshot may be older.
//! * An entry is served only while no lock of a transaction lies on the key. Locks in memory (one-phase and async commit) have
//!   been looked at by the reader before it comes here; a transaction that shows neither commits after the reader's timestamp.
//! * While a write to a key is under way its entry is not served. A reader that has met the write in the engine, before the entry
//!   changed, must not meet the old version here afterwards.
//! * A reader whose timestamp is below the entry's commit goes to the engine.
//!
//! HOT: a hit is one uncontended lock, one hash and one reference count; [`RowCache::begin`] is one lock and one hash per write.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use foldhash::fast::FixedState;
use parking_lot::Mutex;
use quick_cache::{OptionsBuilder, Weighter, unsync};
use smallvec::SmallVec;
use tidewater_codec::{
    CommitTs, StartTs, TimeStamp,
    mvcc::{Lock, WriteType},
};

use crate::{
    Cf, WriteBatch, WriteOp,
    mvcc::{DataKey, WriteRef, split_ts},
};

const STRIPES: usize = 64;
/// Longer values stay in the engine.
const VALUE_LEN_MAX: usize = 4096;
/// What an entry takes besides its key and value.
const ENTRY_BYTES: u64 = 96;
/// For sizing: a row with its key.
const TYPICAL_ENTRY_BYTES: u64 = 256;

/// The newest version of a key.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Newest {
    pub commit_ts: CommitTs,
    pub start_ts: StartTs,
    /// `None`: the key was deleted.
    pub value: Option<Bytes>,
    /// The value lies in the `default` family, not in its record.
    pub is_long: bool,
    /// The key has no younger record of any kind, not even of a rollback.
    pub is_topmost: bool,
}

struct Entry {
    newest: Newest,
    /// A lock of a transaction lies on the key.
    locked: bool,
    /// Changes that were announced and have not been made yet.
    pending: u32,
}

/// What the cache knows of a key.
pub(crate) enum Look {
    Known(Newest),
    /// The engine has to be asked; what it says may be offered with the ticket, if there is one.
    Unknown(Option<Ticket>),
}

/// The right to offer what a snapshot taken from now on says about a key.
#[derive(Debug)]
pub(crate) struct Ticket {
    epoch: u64,
}

/// See the module documentation.
pub(crate) struct RowCache {
    stripes: Box<[Mutex<Stripe>]>,
    hasher: FixedState,
    /// Set after a failed write: nobody knows what is in the engine then.
    is_off: AtomicBool,
}

type Entries = unsync::Cache<Box<[u8]>, Entry, EntryWeight, FixedState>;

struct Stripe {
    entries: Entries,
    /// Writes under way.
    in_flight: u32,
    /// Writes that have finished.
    epoch: u64,
}

#[derive(Clone)]
struct EntryWeight;

impl Weighter<Box<[u8]>, Entry> for EntryWeight {
    fn weight(&self, key: &Box<[u8]>, entry: &Entry) -> u64 {
        ENTRY_BYTES + key.len() as u64 + entry.newest.value.as_ref().map_or(0, |value| value.len() as u64)
    }
}

impl RowCache {
    /// A cache of about so many bytes.
    pub(crate) fn new(bytes: u64) -> Arc<Self> {
        let hasher = FixedState::default();
        let stripe_bytes = bytes / STRIPES as u64;
        let stripe = |_| {
            let options = OptionsBuilder::new()
                .estimated_items_capacity((stripe_bytes / TYPICAL_ENTRY_BYTES) as usize)
                .weight_capacity(stripe_bytes)
                .build()
                .expect("both sizes were given");
            let entries = Entries::with_options(
                options,
                EntryWeight,
                hasher.clone(),
                unsync::DefaultLifecycle::default(),
            );
            Mutex::new(Stripe { entries, in_flight: 0, epoch: 0 })
        };
        Arc::new(Self {
            stripes: (0..STRIPES).map(stripe).collect(),
            hasher,
            is_off: AtomicBool::new(bytes == 0),
        })
    }

    fn stripe_of(&self, key: &[u8]) -> usize {
        // The cache inside uses the low bits.
        (self.hasher.hash_one(key) >> 48) as usize % STRIPES
    }

    fn is_off(&self) -> bool {
        self.is_off.load(Ordering::Relaxed)
    }

    /// What is known of a key. The caller has noted its read and looked at the locks in memory; it takes its snapshot afterwards.
    pub(crate) fn look(&self, key: &DataKey) -> Look {
        if self.is_off() {
            return Look::Unknown(None);
        }
        let key = key.as_bytes();
        let stripe = self.stripes[self.stripe_of(key)].lock();
        match stripe.entries.get(key) {
            Some(entry) if entry.locked || entry.pending > 0 => Look::Unknown(None),
            Some(entry) => Look::Known(entry.newest.clone()),
            None => Look::Unknown((stripe.in_flight == 0).then_some(Ticket { epoch: stripe.epoch })),
        }
    }

    /// Takes what a reader found to be the newest version of a key without lock.
    pub(crate) fn offer(&self, ticket: Ticket, key: DataKey, newest: Newest) {
        if newest.value.as_ref().is_some_and(|value| value.len() > VALUE_LEN_MAX) || self.is_off() {
            return;
        }
        let key = key.into_boxed();
        let mut stripe = self.stripes[self.stripe_of(&key)].lock();
        if stripe.in_flight == 0 && stripe.epoch == ticket.epoch {
            stripe.entries.insert(key, Entry { newest, locked: false, pending: 0 });
        }
    }

    /// A writer that holds the key's latch found that the entry's version is the key's topmost record.
    pub(crate) fn confirm_topmost(&self, key: &DataKey, commit_ts: CommitTs) {
        let mut stripe = self.stripes[self.stripe_of(key.as_bytes())].lock();
        if let Some(mut entry) = stripe.entries.peek_mut(key.as_bytes())
            && entry.newest.commit_ts == commit_ts
        {
            entry.newest.is_topmost = true;
        }
    }

    /// Announces writes; the caller holds the latches of their keys.
    pub(crate) fn begin(self: &Arc<Self>, batch: &WriteBatch) -> Flight {
        let mut flight = Flight { cache: self.clone(), stripes: SmallVec::new(), changes: Vec::new() };
        if self.is_off() {
            return flight;
        }
        for op in batch.ops() {
            let Some((key, change)) = Change::of(op) else { continue };
            let index = self.stripe_of(key);
            let mut stripe = self.stripes[index].lock();
            if !flight.stripes.contains(&(index as u8)) {
                flight.stripes.push(index as u8);
                stripe.in_flight += 1;
            }
            if let Some(mut entry) = stripe.entries.peek_mut(key) {
                entry.pending += 1;
                flight.changes.push((key.into(), change));
            }
        }
        flight
    }

    /// Announces a write to any keys.
    pub(crate) fn begin_everywhere(self: &Arc<Self>) -> Flight {
        for stripe in &self.stripes {
            stripe.lock().in_flight += 1;
        }
        Flight {
            cache: self.clone(),
            stripes: (0..STRIPES as u8).collect(),
            changes: vec![(Box::default(), Change::ForgetAll)],
        }
    }
}

/// Writes under way.
#[must_use = "entries change when the flight is finished"]
pub(crate) struct Flight {
    cache: Arc<RowCache>,
    stripes: SmallVec<[u8; 8]>,
    changes: Vec<(Box<[u8]>, Change)>,
}

impl Flight {
    /// The writes are not visible, and if they ever are then only after everything was forgotten: the region has another leader or other
    /// boundaries.
    pub(crate) fn forget(mut self) {
        self.changes.iter_mut().for_each(|(_, change)| *change = Change::Forget);
        self.finish(true);
    }

    /// The writes are visible, or nobody knows.
    pub(crate) fn finish(self, visible: bool) {
        if !visible {
            self.cache.is_off.store(true, Ordering::Relaxed);
        }
        for (key, change) in self.changes {
            if matches!(change, Change::ForgetAll) {
                self.cache.stripes.iter().for_each(|stripe| stripe.lock().entries.clear());
            } else {
                change.apply(&mut self.cache.stripes[self.cache.stripe_of(&key)].lock().entries, &key);
            }
        }
        for index in self.stripes {
            let mut stripe = self.cache.stripes[usize::from(index)].lock();
            stripe.in_flight -= 1;
            stripe.epoch += 1;
        }
    }
}

/// What a write does to its key's entry.
#[derive(Debug, PartialEq)]
enum Change {
    Lock,
    Unlock,
    /// A new version.
    Version(Newest),
    /// A rollback or a lock record on top.
    Cover,
    Forget,
    ForgetAll,
}

impl Change {
    /// The data key of a write and what happens to it; `None` for writes to other keys, or without effect.
    fn of(op: &WriteOp) -> Option<(&[u8], Self)> {
        Some(match op {
            WriteOp::Put { cf: Cf::Lock, key, value } => {
                // A lock that changes nothing is nobody's obstacle, but it is rare: not worth a case.
                debug_assert!(Lock::decode(value).is_ok());
                (key, Self::Lock)
            }
            WriteOp::Delete { cf: Cf::Lock, key } => (key, Self::Unlock),
            WriteOp::Put { cf: Cf::Write, key, value } => {
                let (key, commit_ts) = split_ts(key).ok()?;
                (key, Self::of_record(commit_ts, value))
            }
            WriteOp::Delete { cf: Cf::Write, key } => (split_ts(key).ok()?.0, Self::Forget),
            WriteOp::Put { cf: Cf::Default, .. } | WriteOp::Delete { cf: Cf::Default, .. } => return None,
        })
    }

    fn of_record(commit_ts: TimeStamp, record: &[u8]) -> Self {
        let Ok(write) = WriteRef::parse(record) else { return Self::Forget };
        let value = match (write.write_type, write.short_value) {
            (WriteType::Put, Some(value)) => Some(Bytes::copy_from_slice(value)),
            (WriteType::Delete, _) => None,
            // Its value is elsewhere: the next reader brings it.
            (WriteType::Put, None) => return Self::Forget,
            (WriteType::Lock | WriteType::Rollback, _) => return Self::Cover,
        };
        let (commit_ts, start_ts) = (CommitTs(commit_ts), write.start_ts);
        Self::Version(Newest { commit_ts, start_ts, value, is_long: false, is_topmost: write.is_plain })
    }

    fn apply(self, entries: &mut Entries, key: &[u8]) {
        // The entry may have been evicted meanwhile.
        let Some(mut entry) = entries.peek_mut(key) else { return };
        entry.pending -= 1;
        match self {
            Self::Lock => entry.locked = true,
            Self::Unlock => entry.locked = false,
            Self::Cover => entry.newest.is_topmost = false,
            Self::Version(newest) if newest.commit_ts > entry.newest.commit_ts => {
                let is_topmost = newest.is_topmost && entry.newest.is_topmost;
                entry.newest = Newest { is_topmost, ..newest };
            }
            Self::Version(_) | Self::Forget | Self::ForgetAll => {
                drop(entry);
                entries.remove(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tidewater_codec::mvcc::{LockType, Write};

    use super::*;

    fn key() -> DataKey {
        DataKey::from_raw(b"k")
    }

    fn version(commit_ts: u64, value: &'static str) -> Newest {
        Newest {
            commit_ts: CommitTs(TimeStamp::new(commit_ts)),
            start_ts: StartTs::new(commit_ts - 1),
            value: Some(Bytes::from_static(value.as_bytes())),
            is_long: false,
            is_topmost: true,
        }
    }

    fn put(commit_ts: u64, value: &str) -> WriteBatch {
        let write = Write::new(WriteType::Put, StartTs::new(commit_ts - 1), Some(value.as_bytes().to_vec()));
        record(commit_ts, &write)
    }

    fn record(commit_ts: u64, write: &Write) -> WriteBatch {
        let mut batch = WriteBatch::new();
        batch.put(Cf::Write, key().with_ts(TimeStamp::new(commit_ts)), write.to_bytes());
        batch
    }

    fn ticket(cache: &RowCache) -> Option<Ticket> {
        match cache.look(&key()) {
            Look::Unknown(ticket) => ticket,
            Look::Known(newest) => panic!("known: {newest:?}"),
        }
    }

    fn known(cache: &RowCache) -> Option<Newest> {
        match cache.look(&key()) {
            Look::Known(newest) => Some(newest),
            Look::Unknown(_) => None,
        }
    }

    fn with(newest: Newest) -> Arc<RowCache> {
        let cache = RowCache::new(1 << 20);
        cache.offer(ticket(&cache).unwrap(), key(), newest);
        cache
    }

    #[test]
    fn what_was_read_before_a_write_finished_is_declined() {
        let cache = RowCache::new(1 << 20);
        let before = ticket(&cache).unwrap();
        let flight = cache.begin(&put(9, "new"));
        assert!(ticket(&cache).is_none(), "a write is under way");
        cache.offer(before, key(), version(5, "old"));
        assert_eq!(known(&cache), None);
        let before = Ticket { epoch: 0 };
        flight.finish(true);
        cache.offer(before, key(), version(5, "old"));
        assert_eq!(known(&cache), None);
        cache.offer(ticket(&cache).unwrap(), key(), version(9, "new"));
        assert_eq!(known(&cache), Some(version(9, "new")));
    }

    #[test]
    fn writers_bring_new_versions_when_they_are_visible() {
        let cache = with(version(5, "old"));
        let flight = cache.begin(&put(9, "new"));
        assert_eq!(known(&cache), None, "the engine may show the new version already");
        assert!(ticket(&cache).is_none());
        flight.finish(true);
        assert_eq!(known(&cache), Some(version(9, "new")));
        cache.begin(&record(12, &Write::new(WriteType::Delete, StartTs::new(11), None))).finish(true);
        assert_eq!(known(&cache).unwrap().value, None);
        // A long value is not in its record.
        cache.begin(&record(15, &Write::new(WriteType::Put, StartTs::new(14), None))).finish(true);
        assert_eq!(known(&cache), None);
    }

    #[test]
    fn a_locked_key_is_asked_of_the_engine() {
        let cache = with(version(5, "old"));
        let lock = Lock::new(LockType::Put, b"k".to_vec(), StartTs::new(7), 3000);
        let mut batch = WriteBatch::new();
        batch.put(Cf::Lock, key().to_vec(), lock.to_bytes());
        cache.begin(&batch).finish(true);
        assert!(ticket(&cache).is_none(), "what lies under a lock is not offered");
        let mut batch = put(9, "new");
        batch.delete(Cf::Lock, key().to_vec());
        cache.begin(&batch).finish(true);
        assert_eq!(known(&cache), Some(version(9, "new")));
    }

    #[test]
    fn a_rollback_on_top_is_known_to_be_there() {
        let cache = with(version(5, "old"));
        cache.begin(&record(8, &Write::rollback(StartTs::new(8), true))).finish(true);
        assert!(!known(&cache).unwrap().is_topmost);
        cache.begin(&put(12, "new")).finish(true);
        assert!(!known(&cache).unwrap().is_topmost, "the rollback may be younger than the commit");
        cache.confirm_topmost(&key(), CommitTs(TimeStamp::new(9)));
        assert!(!known(&cache).unwrap().is_topmost, "that was said of another version");
        cache.confirm_topmost(&key(), CommitTs(TimeStamp::new(12)));
        assert!(known(&cache).unwrap().is_topmost);
        // A record that also tells of a rollback does not stand for itself.
        let both = Write { overlapped_rollback: true, ..Write::new(WriteType::Put, StartTs::new(11), None) };
        let both = Write { short_value: Some(b"x".to_vec()), ..both };
        cache.begin(&record(14, &both)).finish(true);
        assert!(!known(&cache).unwrap().is_topmost);
    }

    #[test]
    fn removed_records_ranges_and_failures_are_forgotten() {
        let cache = with(version(5, "old"));
        let mut batch = WriteBatch::new();
        batch.delete(Cf::Write, key().with_ts(TimeStamp::new(5)));
        cache.begin(&batch).finish(true);
        assert_eq!(known(&cache), None);
        let cache = with(version(5, "old"));
        cache.begin_everywhere().finish(true);
        assert_eq!(known(&cache), None);
        assert!(ticket(&cache).is_some());
        let cache = with(version(5, "old"));
        cache.begin(&put(9, "new")).finish(false);
        assert!(ticket(&cache).is_none(), "nobody knows what the engine has");
    }

    #[test]
    fn memory_is_bounded() {
        let cache = RowCache::new(1 << 16);
        for number in 0..10_000u32 {
            let key = DataKey::from_raw(&number.to_be_bytes());
            let Look::Unknown(Some(ticket)) = cache.look(&key) else { panic!("a new key") };
            cache.offer(ticket, key, version(5, "some value"));
        }
        let weight: u64 = cache.stripes.iter().map(|stripe| stripe.lock().entries.weight()).sum();
        assert!(weight > 1 << 14 && weight <= 1 << 16, "{weight}");
    }
}
