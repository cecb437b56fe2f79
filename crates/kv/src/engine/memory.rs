//! The in-memory engine: ordered maps with version numbers, so that a snapshot is a number.
//!
//! Each key keeps the values that some live snapshot can still see, newest first. Iterators fetch a few entries at a time under
//! the read lock and never hold it between calls. With [`MemoryEngine::with_crashes`] it also remembers what a power failure
//! would leave: the state after the last batch written with [`Durability::Sync`].

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use smallvec::SmallVec;

use super::{
    Cf, Durability, Engine, EngineError, EngineIterator, IteratorOptions, Snapshot, WriteBatch, WriteCost,
    WriteOp,
};

/// Entries an iterator fetches at once, at most.
const FETCH_ENTRIES_MAX: usize = 128;
/// Keys with obsolete versions cleaned up per write, at most.
const CLEAN_KEYS_PER_WRITE: usize = 32;

/// An engine without a disk: for tests, simulation and embedding.
///
/// ```
/// use tidewater_kv::{Cf, Durability, Engine, MemoryEngine, Snapshot, WriteBatch};
///
/// let engine = MemoryEngine::new();
/// let mut batch = WriteBatch::new();
/// batch.put(Cf::Default, b"k".to_vec(), b"v".to_vec());
/// engine.write(batch, Durability::Sync)?;
/// assert_eq!(engine.snapshot().get(Cf::Default, b"k")?.as_deref(), Some(&b"v"[..]));
/// # Ok::<(), tidewater_kv::EngineError>(())
/// ```
#[derive(Default)]
pub struct MemoryEngine {
    shared: Arc<Shared>,
    durable: Option<Mutex<Durable>>,
}

impl MemoryEngine {
    /// An empty engine.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty engine that can [crash](Self::crash).
    pub fn with_crashes() -> Self {
        Self { shared: Arc::default(), durable: Some(Mutex::default()) }
    }

    /// Versions kept in all, tombstones included.
    #[cfg(test)]
    pub(crate) fn version_count(&self) -> usize {
        self.shared
            .data
            .read()
            .families
            .iter()
            .flat_map(BTreeMap::values)
            .map(|versions| versions.len())
            .sum()
    }

    /// The engine as a power failure now would leave it. Without [`Self::with_crashes`] nothing survives.
    pub fn crash(&self) -> Self {
        let survivor = Self::with_crashes();
        if let (Some(durable), Some(copy)) = (&self.durable, &survivor.durable) {
            let durable = durable.lock();
            let mut data = survivor.shared.data.write();
            for cf in Cf::ALL {
                for (key, value) in &durable.families[cf as usize] {
                    data.families[cf as usize]
                        .insert(key.clone(), SmallVec::from_buf([(0, Some(value.clone()))]));
                }
            }
            drop(data);
            copy.lock().families = durable.families.clone();
        }
        survivor
    }
}

impl Engine for MemoryEngine {
    fn snapshot(&self) -> Arc<dyn Snapshot> {
        // Registered under the read lock, so that no writer can prune what the snapshot still needs.
        let data = self.shared.data.read();
        let sequence = data.sequence;
        *self.shared.snapshots.lock().entry(sequence).or_insert(0) += 1;
        drop(data);
        Arc::new(MemorySnapshot { state: Arc::new(SnapshotState { shared: self.shared.clone(), sequence }) })
    }

    fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        Ok(self.shared.data.read().get(cf, key, u64::MAX))
    }

    fn write(&self, batch: WriteBatch, durability: Durability) -> Result<(), EngineError> {
        let mut data = self.shared.data.write();
        if let Some(durable) = &self.durable {
            durable.lock().note(&batch, durability);
        }
        data.sequence += 1;
        let snapshots = self.shared.snapshots.lock().keys().copied().collect::<SmallVec<[u64; 8]>>();
        for op in batch.into_ops() {
            match op {
                WriteOp::Put { cf, key, value } => data.set(cf, key.into(), Some(value.into()), &snapshots),
                WriteOp::Delete { cf, key } => data.set(cf, key.into(), None, &snapshots),
            }
        }
        data.clean(&snapshots);
        Ok(())
    }

    fn delete_range(&self, cf: Cf, start: &[u8], end: &[u8]) -> Result<(), EngineError> {
        if start >= end {
            return Ok(());
        }
        let mut data = self.shared.data.write();
        let family = &mut data.families[cf as usize];
        let doomed = range(family, start, Some(end)).map(|(key, _)| key.clone()).collect::<Vec<_>>();
        for key in &doomed {
            family.remove(key);
        }
        if let Some(durable) = &self.durable {
            durable.lock().note_removed(cf, &doomed);
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), EngineError> {
        if let Some(durable) = &self.durable {
            durable.lock().sync();
        }
        Ok(())
    }

    fn approximate_size(&self, cf: Cf, start: &[u8], end: &[u8]) -> u64 {
        let data = self.shared.data.read();
        let end = (!end.is_empty()).then_some(end);
        range(&data.families[cf as usize], start, end)
            .filter_map(|(key, versions)| Some(key.len() + versions.first()?.1.as_ref()?.len()))
            .sum::<usize>() as u64
    }

    fn write_cost(&self) -> WriteCost {
        WriteCost::Memory
    }
}

type Versions = SmallVec<[(u64, Option<Bytes>); 1]>;
type Family = BTreeMap<Bytes, Versions>;

#[derive(Default)]
struct Shared {
    data: RwLock<Data>,
    /// Live snapshots: sequence number and how many hold it.
    snapshots: Mutex<BTreeMap<u64, usize>>,
}

#[derive(Default)]
struct Data {
    families: [Family; 3],
    sequence: u64,
    /// Keys that kept a version for the sake of a snapshot, or a tombstone.
    garbage: Vec<(Cf, Bytes)>,
}

impl Data {
    fn get(&self, cf: Cf, key: &[u8], sequence: u64) -> Option<Bytes> {
        visible(self.families[cf as usize].get(key)?, sequence)
    }

    fn set(&mut self, cf: Cf, key: Bytes, value: Option<Bytes>, snapshots: &[u64]) {
        let sequence = self.sequence;
        let family = &mut self.families[cf as usize];
        if snapshots.is_empty() && value.is_none() {
            family.remove(&key);
            return;
        }
        let versions = family.entry(key.clone()).or_default();
        match versions.first_mut() {
            // Two writes of one batch: the later one wins.
            Some(first) if first.0 == sequence => first.1 = value,
            _ => versions.insert(0, (sequence, value)),
        }
        prune(versions, snapshots);
        if versions.len() > 1 || versions[0].1.is_none() {
            self.garbage.push((cf, key));
        }
    }

    fn clean(&mut self, snapshots: &[u64]) {
        if !snapshots.is_empty() && self.garbage.len() < 1024 {
            return;
        }
        let from = self.garbage.len().saturating_sub(CLEAN_KEYS_PER_WRITE);
        let mut kept = Vec::new();
        for (cf, key) in self.garbage.drain(from..) {
            let family = &mut self.families[cf as usize];
            let Some(versions) = family.get_mut(&key) else { continue };
            prune(versions, snapshots);
            if versions.len() > 1 || (versions[0].1.is_none() && !snapshots.is_empty()) {
                kept.push((cf, key));
            } else if versions[0].1.is_none() {
                family.remove(&key);
            }
        }
        // What is still needed goes to the other end, so that the next write looks at different keys.
        if !kept.is_empty() {
            self.garbage.splice(0..0, kept);
        }
    }
}

/// Keeps the newest version and those that a snapshot sees.
fn prune(versions: &mut Versions, snapshots: &[u64]) {
    if versions.len() == 1 {
        return;
    }
    if snapshots.is_empty() {
        versions.truncate(1);
        return;
    }
    let mut newer = versions[0].0;
    let mut first = true;
    versions.retain(|(sequence, _)| {
        let keep = first || snapshots.iter().any(|snapshot| *sequence <= *snapshot && *snapshot < newer);
        first = false;
        newer = *sequence;
        keep
    });
}

fn visible(versions: &[(u64, Option<Bytes>)], sequence: u64) -> Option<Bytes> {
    versions.iter().find(|(written, _)| *written <= sequence)?.1.clone()
}

fn range<'a>(
    family: &'a Family,
    start: &[u8],
    end: Option<&[u8]>,
) -> impl DoubleEndedIterator<Item = (&'a Bytes, &'a Versions)> {
    let end = end.map(|end| end.max(start));
    family.range::<[u8], _>((Bound::Included(start), end.map_or(Bound::Unbounded, Bound::Excluded)))
}

/// What a power failure leaves, and what it loses.
#[derive(Default)]
struct Durable {
    families: [BTreeMap<Bytes, Bytes>; 3],
    unsynced: Vec<WriteOp>,
}

impl Durable {
    fn note(&mut self, batch: &WriteBatch, durability: Durability) {
        self.unsynced.extend_from_slice(batch.ops());
        if durability == Durability::Sync {
            self.sync();
        }
    }

    fn note_removed(&mut self, cf: Cf, keys: &[Bytes]) {
        self.unsynced.extend(keys.iter().map(|key| WriteOp::Delete { cf, key: key.to_vec() }));
    }

    fn sync(&mut self) {
        for op in self.unsynced.drain(..) {
            match op {
                WriteOp::Put { cf, key, value } => {
                    self.families[cf as usize].insert(key.into(), value.into())
                }
                WriteOp::Delete { cf, key } => self.families[cf as usize].remove(&key[..]),
            };
        }
    }
}

struct SnapshotState {
    shared: Arc<Shared>,
    sequence: u64,
}

impl Drop for SnapshotState {
    fn drop(&mut self) {
        let mut snapshots = self.shared.snapshots.lock();
        if let Some(count) = snapshots.get_mut(&self.sequence) {
            *count -= 1;
            if *count == 0 {
                snapshots.remove(&self.sequence);
            }
        }
    }
}

struct MemorySnapshot {
    state: Arc<SnapshotState>,
}

impl Snapshot for MemorySnapshot {
    fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        Ok(self.state.shared.data.read().get(cf, key, self.state.sequence))
    }

    fn iterator(&self, cf: Cf, options: IteratorOptions) -> Box<dyn EngineIterator> {
        Box::new(MemoryIterator {
            state: self.state.clone(),
            cf,
            options,
            fetched: Vec::new(),
            position: 0,
            direction: Direction::Forward,
            fetch_entries: 4,
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Forward,
    Backward,
}

struct MemoryIterator {
    state: Arc<SnapshotState>,
    cf: Cf,
    options: IteratorOptions,
    /// Entries in the walking direction.
    fetched: Vec<(Bytes, Bytes)>,
    position: usize,
    direction: Direction,
    fetch_entries: usize,
}

impl MemoryIterator {
    fn fetch(&mut self, from: Bound<&[u8]>, direction: Direction) -> bool {
        self.fetched.clear();
        self.position = 0;
        self.direction = direction;
        let data = self.state.shared.data.read();
        let family = &data.families[self.cf as usize];
        let lower = self.options.lower.as_slice();
        let upper = self.options.upper.as_deref();
        let sequence = self.state.sequence;
        let entries =
            |(key, versions): (&Bytes, &Versions)| Some((key.clone(), visible(versions, sequence)?));
        match direction {
            Direction::Forward => {
                let start = match from {
                    Bound::Included(key) if key >= lower => Bound::Included(key),
                    Bound::Excluded(key) if key >= lower => Bound::Excluded(key),
                    _ => Bound::Included(lower),
                };
                if let (Bound::Included(key) | Bound::Excluded(key), Some(upper)) = (start, upper)
                    && key >= upper
                {
                    return false;
                }
                let range = (start, upper.map_or(Bound::Unbounded, Bound::Excluded));
                self.fetched
                    .extend(family.range::<[u8], _>(range).filter_map(entries).take(self.fetch_entries));
            }
            Direction::Backward => {
                let end = match (from, upper) {
                    (Bound::Included(key), Some(upper)) if key >= upper => Bound::Excluded(upper),
                    (Bound::Excluded(key), Some(upper)) if key >= upper => Bound::Excluded(upper),
                    (Bound::Unbounded, Some(upper)) => Bound::Excluded(upper),
                    (from, _) => from,
                };
                match end {
                    Bound::Included(key) if key < lower => return false,
                    Bound::Excluded(key) if key <= lower => return false,
                    _ => {}
                }
                let range = (Bound::Included(lower), end);
                self.fetched.extend(
                    family.range::<[u8], _>(range).rev().filter_map(entries).take(self.fetch_entries),
                );
            }
        }
        self.fetch_entries = (self.fetch_entries * 2).min(FETCH_ENTRIES_MAX);
        !self.fetched.is_empty()
    }

    fn advance(&mut self, direction: Direction) -> bool {
        if self.direction == direction && self.position + 1 < self.fetched.len() {
            self.position += 1;
            return true;
        }
        let Some((key, _)) = self.fetched.get(self.position).cloned() else { return false };
        self.fetch(Bound::Excluded(&key), direction)
    }
}

impl EngineIterator for MemoryIterator {
    fn seek(&mut self, key: &[u8]) -> Result<bool, EngineError> {
        self.fetch_entries = 4;
        Ok(self.fetch(Bound::Included(key), Direction::Forward))
    }

    fn seek_for_prev(&mut self, key: &[u8]) -> Result<bool, EngineError> {
        self.fetch_entries = 4;
        Ok(self.fetch(Bound::Included(key), Direction::Backward))
    }

    fn seek_to_last(&mut self) -> Result<bool, EngineError> {
        self.fetch_entries = 4;
        Ok(self.fetch(Bound::Unbounded, Direction::Backward))
    }

    fn next(&mut self) -> Result<bool, EngineError> {
        Ok(self.advance(Direction::Forward))
    }

    fn prev(&mut self) -> Result<bool, EngineError> {
        Ok(self.advance(Direction::Backward))
    }

    fn valid(&self) -> bool {
        self.position < self.fetched.len()
    }

    fn key(&self) -> &[u8] {
        self.fetched.get(self.position).map_or(&[], |(key, _)| key)
    }

    fn value(&self) -> &[u8] {
        self.fetched.get(self.position).map_or(&[], |(_, value)| value)
    }
}
