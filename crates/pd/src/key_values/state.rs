//! All keys with their known versions, and the leases.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use bytes::Bytes;
use tidewater_proto::{KeyValueError, etcdserverpb as etcd};

use super::change::{Change, Event};
use super::record;
use crate::OpenError;

/// What a version costs beside its key and value.
const VERSION_BYTES: usize = 96;
/// The revision of an empty space, as in etcd.
const FIRST_REVISION: i64 = 1;

/// One version of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Version {
    /// When it was written: the revision, and the place in it.
    pub(super) revision: i64,
    pub(super) place: u32,
    pub(super) created: i64,
    /// Counts the writes since the key was created; 0 says that it was removed.
    pub(super) count: i64,
    pub(super) value: Bytes,
    pub(super) lease: i64,
}

/// A lease, without the time that is left.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Lease {
    /// In seconds.
    pub(super) ttl: i64,
    /// Keys that go with it.
    pub(super) keys: BTreeSet<Bytes>,
}

/// Which keys; as etcd writes it.
#[derive(Debug, Clone, Copy)]
pub(super) struct KeyRange<'a> {
    start: &'a [u8],
    end: Bound<&'a [u8]>,
}

#[derive(Debug, Default, PartialEq)]
pub(super) struct State {
    revision: i64,
    compacted: i64,
    /// Versions of each key, the oldest first.
    keys: BTreeMap<Bytes, Vec<Version>>,
    /// Which key was changed when.
    log: BTreeMap<(i64, u32), Bytes>,
    leases: BTreeMap<i64, Lease>,
    /// Keys that exist.
    live: usize,
    bytes: usize,
}

impl Version {
    pub(super) fn is_removal(&self) -> bool {
        self.count == 0
    }

    pub(super) fn on_the_wire(&self, key: &Bytes) -> etcd::KeyValue {
        etcd::KeyValue {
            key: key.clone(),
            create_revision: self.created,
            mod_revision: self.revision,
            version: self.count,
            value: self.value.clone(),
            lease: self.lease,
        }
    }
}

impl<'a> KeyRange<'a> {
    /// One key without an end; everything from the key on with the end `\0`.
    pub(super) fn new(key: &'a [u8], range_end: &'a [u8]) -> Self {
        let end = match range_end {
            [] => Bound::Included(key),
            [0] => Bound::Unbounded,
            end => Bound::Excluded(end),
        };
        Self { start: key, end }
    }

    pub(super) fn contains(&self, key: &[u8]) -> bool {
        let is_before_end = match self.end {
            Bound::Included(end) => key <= end,
            Bound::Excluded(end) => key < end,
            Bound::Unbounded => true,
        };
        key >= self.start && is_before_end
    }

    fn is_empty(&self) -> bool {
        matches!(self.end, Bound::Excluded(end) if end <= self.start)
    }
}

impl State {
    pub(super) fn load(stored: &BTreeMap<String, Vec<u8>>) -> Result<Self, OpenError> {
        let mut state = Self { revision: FIRST_REVISION, ..Self::default() };
        for (name, value) in stored.range(record::PREFIX.to_owned()..) {
            if !name.starts_with(record::PREFIX) {
                break;
            }
            match record::read(name, value)? {
                record::Record::Revision(revision) => state.revision = revision,
                record::Record::Compacted(revision) => state.compacted = revision,
                record::Record::Lease { id, ttl } => state.leases.entry(id).or_default().ttl = ttl,
                // They come in the order in which they were written.
                record::Record::Event(event) => state.add(event),
            }
        }
        Ok(state)
    }

    pub(super) fn revision(&self) -> i64 {
        self.revision
    }

    /// What was before this revision is not known in full.
    pub(super) fn compacted(&self) -> i64 {
        self.compacted
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn lease(&self, id: i64) -> Option<&Lease> {
        self.leases.get(&id)
    }

    pub(super) fn leases(&self) -> impl ExactSizeIterator<Item = (i64, &Lease)> {
        self.leases.iter().map(|(id, lease)| (*id, lease))
    }

    /// The version that a key had at a revision; `None` if it did not exist.
    pub(super) fn at(&self, key: &[u8], revision: i64) -> Option<&Version> {
        self.keys.get(key).and_then(|versions| version_at(versions, revision))
    }

    /// The keys of a range with the versions they had at a revision, in order.
    pub(super) fn range_at(
        &self,
        range: KeyRange<'_>,
        revision: i64,
    ) -> impl Iterator<Item = (&Bytes, &Version)> {
        let start = Bound::Included(range.start);
        // A range that ends before it begins would panic.
        let end = if range.is_empty() { Bound::Included(range.start) } else { range.end };
        let found = self.keys.range::<[u8], _>((start, end));
        found
            .filter(move |_| !range.is_empty())
            .filter_map(move |(key, versions)| Some((key, version_at(versions, revision)?)))
    }

    /// Changes after a place in the history, in order, with the version that each replaced if that is known.
    pub(super) fn changes_from(
        &self,
        revision: i64,
    ) -> impl Iterator<Item = (&Bytes, &Version, Option<&Version>)> {
        self.log.range((revision, 0)..).filter_map(|(place, key)| {
            let versions = self.keys.get(key)?;
            let index = versions.partition_point(|version| (version.revision, version.place) < *place);
            let before = index.checked_sub(1).map(|before| &versions[before]);
            Some((key, versions.get(index)?, before.filter(|before| !before.is_removal())))
        })
    }

    pub(super) fn apply(&mut self, change: Change) {
        match change {
            Change::Write { revision, events } => {
                self.revision = revision;
                events.into_iter().for_each(|event| self.add(event));
            }
            Change::Grant { id, ttl } => {
                self.leases.entry(id).or_default().ttl = ttl;
            }
            Change::Revoke { revision, ids, events } => {
                self.revision = revision;
                events.into_iter().for_each(|event| self.add(event));
                for id in ids {
                    self.leases.remove(&id);
                }
            }
            Change::Compact { revision, forgotten } => {
                self.compacted = revision;
                forgotten.into_iter().for_each(|(place, key)| self.forget(place, &key));
            }
        }
    }

    fn add(&mut self, Event { key, version }: Event) {
        self.bytes += size_of(&key, &version);
        self.log.insert((version.revision, version.place), key.clone());
        let versions = self.keys.entry(key.clone()).or_default();
        let before = versions.last().filter(|before| !before.is_removal());
        if let Some(lease) = before.and_then(|before| self.leases.get_mut(&before.lease)) {
            lease.keys.remove(&key);
        }
        match (before.is_some(), version.is_removal()) {
            (false, false) => self.live += 1,
            (true, true) => self.live -= 1,
            _ => {}
        }
        // When the history is loaded, the lease of an old version may have ended.
        if let Some(lease) = self.leases.get_mut(&version.lease).filter(|_| !version.is_removal()) {
            lease.keys.insert(key);
        }
        versions.push(version);
    }

    fn forget(&mut self, place: (i64, u32), key: &Bytes) {
        self.log.remove(&place);
        let Some(versions) = self.keys.get_mut(key) else { return };
        let (bytes, is_it) =
            (&mut self.bytes, |version: &Version| (version.revision, version.place) == place);
        versions.retain(|version| {
            let stays = !is_it(version);
            if !stays {
                *bytes -= size_of(key, version);
            }
            stays
        });
        if versions.is_empty() {
            self.keys.remove(key);
        }
    }

    /// Forgets what nobody needs who reads at this revision or later, or watches from it on.
    pub(super) fn compaction(&self, revision: i64) -> Result<Change, KeyValueError> {
        if revision <= self.compacted {
            return Err(KeyValueError::Compacted { revision: self.compacted });
        }
        if revision > self.revision {
            return Err(KeyValueError::FutureRevision);
        }
        let is_needed = |place: (i64, u32), key: &Bytes| {
            let Some(versions) = self.keys.get(key) else { return false };
            let last = versions.iter().rev().find(|version| version.revision <= revision);
            // Who watches from this very revision on is told of removals in it.
            last.is_some_and(|last| {
                (last.revision, last.place) == place && (!last.is_removal() || last.revision == revision)
            })
        };
        let old = self.log.range(..=(revision, u32::MAX));
        let forgotten = old.filter(|(place, key)| !is_needed(**place, key));
        let forgotten = forgotten.map(|(place, key)| (*place, key.clone())).collect();
        Ok(Change::Compact { revision, forgotten })
    }

    /// A compaction that leaves so many replaced versions, if there are too many.
    pub(super) fn overdue_compaction(&self, keep_min: usize, keep_max: usize) -> Option<Change> {
        if self.log.len() - self.live <= keep_max {
            return None;
        }
        let ((revision, _), _) = self.log.iter().nth_back(keep_min)?;
        self.compaction(*revision).ok()
    }

    /// The end of leases, with their keys.
    pub(super) fn revocation(&self, ids: &[i64]) -> Change {
        let keys: BTreeSet<_> =
            ids.iter().filter_map(|id| self.leases.get(id)).flat_map(|lease| &lease.keys).collect();
        let revision = self.revision + i64::from(!keys.is_empty());
        let event = |(place, key): (usize, &Bytes)| Event::removal(key.clone(), revision, place as u32);
        let events = keys.into_iter().enumerate().map(event).collect();
        Change::Revoke { revision, ids: ids.to_vec(), events }
    }
}

fn version_at(versions: &[Version], revision: i64) -> Option<&Version> {
    let after = versions.partition_point(|version| version.revision <= revision);
    after.checked_sub(1).map(|last| &versions[last]).filter(|version| !version.is_removal())
}

fn size_of(key: &Bytes, version: &Version) -> usize {
    // The key is kept with each version in the records.
    key.len() + version.value.len() + VERSION_BYTES
}
