//! Regions: which parts of the key space this node serves, and whether a request means what it says.

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use tidewater_codec::{DecodeError, EncodedKey};
use tidewater_proto::{errorpb, kvrpcpb, metapb};

use crate::{
    Cf, WriteBatch, WriteOp,
    concurrency::MemoryLockGuard,
    data_version::DataVersion,
    mvcc::data_range,
    raw::{RawSpace, is_raw},
    read_load::ReadLoad,
    replica::Lead,
};

/// The request is not for this region as it is.
pub(crate) type RegionError = Box<errorpb::Error>;

/// One region at one epoch. Splits and merges make new ones.
pub(crate) struct Region {
    pub meta: metapb::Region,
    /// This node's peer.
    pub peer: metapb::Peer,
    /// The boundaries as user keys; an empty end is unbounded.
    pub raw_start: Vec<u8>,
    pub raw_end: Vec<u8>,
    pub load: RegionLoad,
    /// Which state of its data the region is in.
    pub version: Arc<DataVersion>,
    /// The replica it is served by; `None` if this is the only copy.
    pub lead: Option<Lead>,
    /// In-memory locks of writes whose outcome is unknown, for as long as anybody reads by way of this object.
    limbo: Mutex<Vec<MemoryLockGuard>>,
    flights: Flights,
}

/// Commands under way, for those who have to wait for their end.
#[derive(Default)]
struct Flights {
    count: AtomicUsize,
    /// The region is about to leave: nothing new begins.
    closed: AtomicBool,
    /// What the region was made of: commands may be under way there, too.
    ancestors: Vec<Weak<Region>>,
    /// Their writes may go on after the commands have ended.
    ancestor_versions: Vec<(Weak<Region>, Arc<DataVersion>)>,
}

/// Which boundaries a key is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyForm {
    /// Memcomparable on its way to the placement driver: transactions, and raw keys with a keyspace.
    Encoded,
    /// The same bytes everywhere: raw keys without a keyspace.
    Plain,
}

/// Counters of a region.
#[derive(Default)]
pub(crate) struct RegionLoad {
    /// Bytes and keys when last measured plus what was written since: an upper bound, unless much was deleted.
    pub bytes: AtomicU64,
    pub keys: AtomicU64,
    /// Keys removed for good since `keys` was measured.
    pub keys_removed: AtomicU64,
    /// One measures at a time, or what was counted meanwhile would be counted twice.
    pub measuring: Mutex<()>,
    /// Bytes and keys were measured; otherwise they are guesses.
    pub is_measured: AtomicBool,
    /// What is read of it.
    pub reads: ReadLoad,
    /// Since the last heartbeat.
    pub bytes_written: AtomicU64,
    pub keys_written: AtomicU64,
    /// No split check is worth its while below, whatever the settings say.
    pub bytes_floor: AtomicU64,
    pub keys_floor: AtomicU64,
    /// A split check is on its way.
    pub check_requested: AtomicBool,
    /// A split or a merge made other regions of this one: what is counted here is seen by nobody.
    pub replaced: AtomicBool,
}

impl RegionLoad {
    /// A part of a region that was cut into so many has so much of its load: it is a guess.
    pub(crate) fn take_share(&self, whole: &Self, parts: usize) {
        let share = parts as u64;
        self.bytes.store(whole.bytes.load(Ordering::Relaxed) / share, Ordering::Relaxed);
        self.keys.store(whole.keys.load(Ordering::Relaxed) / share, Ordering::Relaxed);
        // The parts of nothing are nothing.
        let is_known = whole.is_measured.load(Ordering::SeqCst) && whole.bytes.load(Ordering::Relaxed) == 0;
        self.is_measured.store(is_known, Ordering::SeqCst);
    }
}

impl Region {
    pub(crate) fn new(meta: metapb::Region, store_id: u64) -> Result<Self, DecodeError> {
        let raw = |key: &Bytes| match key.is_empty() {
            true => Ok(Vec::new()),
            false => EncodedKey::from_encoded(key.to_vec()).decode().map(tidewater_codec::Key::into_bytes),
        };
        let peer = meta.peers.iter().find(|peer| peer.store_id == store_id).cloned();
        Ok(Self {
            raw_start: raw(&meta.start_key)?,
            raw_end: raw(&meta.end_key)?,
            peer: peer.ok_or(DecodeError::Invalid("region without a peer on this store"))?,
            meta,
            load: RegionLoad::default(),
            version: Arc::default(),
            lead: None,
            limbo: Mutex::default(),
            flights: Flights::default(),
        })
    }

    /// The region with other boundaries or peers, served by the same replica in the same term.
    pub(crate) fn reshaped(
        self: &Arc<Self>,
        meta: metapb::Region,
        store_id: u64,
    ) -> Result<Self, DecodeError> {
        let is_cut = meta.start_key != self.meta.start_key || meta.end_key != self.meta.end_key;
        let mut region = Self::descend([self], meta, store_id)?;
        region.lead = self.lead.clone();
        if !is_cut {
            region.version = self.version.clone();
            let pairs = [
                (&self.load.bytes, &region.load.bytes),
                (&self.load.keys, &region.load.keys),
                (&self.load.keys_removed, &region.load.keys_removed),
            ];
            pairs.iter().for_each(|(from, to)| to.store(from.load(Ordering::Relaxed), Ordering::Relaxed));
            region.load.is_measured.store(self.load.is_measured.load(Ordering::SeqCst), Ordering::SeqCst);
        }
        Ok(region)
    }

    /// A region that was made of others: a part of one, or several in one.
    pub(crate) fn descend<'a>(
        parents: impl IntoIterator<Item = &'a Arc<Self>>,
        meta: metapb::Region,
        store_id: u64,
    ) -> Result<Self, DecodeError> {
        let mut child = Self::new(meta, store_id)?;
        let flights = &mut child.flights;
        for parent in parents {
            let alive = parent.flights.ancestors.iter().filter(|each| each.strong_count() > 0).cloned();
            flights.ancestors.extend(alive.chain([Arc::downgrade(parent)]));
            let may_write = |(region, version): &&(Weak<Self>, Arc<DataVersion>)| {
                region.strong_count() > 0 || !version.is_quiet()
            };
            let versions = parent.flights.ancestor_versions.iter().filter(may_write).cloned();
            let own = (Arc::downgrade(parent), parent.version.clone());
            flights.ancestor_versions.extend(versions.chain([own]));
        }
        Ok(child)
    }

    /// Keeps in-memory locks: what they guard may yet become visible.
    pub(crate) fn keep(&self, locks: Option<MemoryLockGuard>) {
        self.limbo.lock().extend(locks);
    }

    /// Lets no command begin any more.
    pub(crate) fn close(&self) {
        self.flights.closed.store(true, Ordering::SeqCst);
    }

    /// Lets commands begin again.
    pub(crate) fn open(&self) {
        self.flights.closed.store(false, Ordering::SeqCst);
    }

    /// Whether commands may begin.
    pub(crate) fn is_open(&self) -> bool {
        !self.flights.closed.load(Ordering::SeqCst)
    }

    /// Whether all commands that had begun are over.
    pub(crate) fn is_drained(&self) -> bool {
        let is_over = |region: &Self| region.flights.count.load(Ordering::SeqCst) == 0;
        is_over(self) && self.flights.ancestors.iter().filter_map(Weak::upgrade).all(|each| is_over(&each))
    }

    /// Whether nobody writes to the region's keys by way of a region it was cut out of.
    pub(crate) fn is_on_its_own(&self) -> bool {
        let is_over = |region: Arc<Self>| region.flights.count.load(Ordering::SeqCst) == 0;
        self.flights.ancestors.iter().filter_map(Weak::upgrade).all(is_over)
            && self.flights.ancestor_versions.iter().all(|(_, version)| version.is_quiet())
    }

    /// Where the transactional data lies in the engine.
    pub(crate) fn data_range(&self) -> (Vec<u8>, Vec<u8>) {
        data_range(&self.raw_start, &self.raw_end)
    }

    /// Where raw data of one space lies in the engine.
    pub(crate) fn raw_range(&self, space: RawSpace) -> (Vec<u8>, Vec<u8>) {
        let (start, end) = self.boundaries(space.form);
        space.engine_range(start, end)
    }

    /// Where all data lies in the engine.
    pub(crate) fn engine_ranges(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let raw = RawSpace::all().map(|space| self.raw_range(space));
        std::iter::once(self.data_range()).chain(raw).collect()
    }

    /// Whether an engine key lies in the region.
    pub(crate) fn owns_engine_key(&self, key: &[u8]) -> bool {
        self.engine_ranges().iter().any(|(lower, upper)| *key >= lower[..] && *key < upper[..])
    }

    /// Whether the region has engine keys in a range.
    pub(crate) fn meets_engine_range(&self, start: &[u8], end: &[u8]) -> bool {
        self.engine_ranges().iter().any(|(lower, upper)| start < &upper[..] && *end > lower[..])
    }

    pub(crate) fn id(&self) -> u64 {
        self.meta.id
    }

    pub(crate) fn contains(&self, raw_key: &[u8]) -> bool {
        self.contains_as(KeyForm::Encoded, raw_key)
    }

    fn contains_as(&self, form: KeyForm, key: &[u8]) -> bool {
        let (start, end) = self.boundaries(form);
        key >= start && (end.is_empty() || key < end)
    }

    fn boundaries(&self, form: KeyForm) -> (&[u8], &[u8]) {
        match form {
            KeyForm::Encoded => (&self.raw_start, &self.raw_end),
            KeyForm::Plain => (&self.meta.start_key, &self.meta.end_key),
        }
    }

    pub(crate) fn check_key(&self, raw_key: &[u8]) -> Result<(), RegionError> {
        self.check_key_as(KeyForm::Encoded, raw_key)
    }

    pub(crate) fn check_key_as(&self, form: KeyForm, key: &[u8]) -> Result<(), RegionError> {
        if self.contains_as(form, key) {
            return Ok(());
        }
        let key = match form {
            KeyForm::Encoded => tidewater_codec::Key::new(key).encode().into_bytes(),
            KeyForm::Plain => key.to_vec(),
        };
        Err(Box::new(errorpb::Error {
            message: format!("the key is not in region {}", self.id()),
            key_not_in_region: Some(errorpb::KeyNotInRegion {
                key: key.into(),
                region_id: self.id(),
                start_key: self.meta.start_key.clone(),
                end_key: self.meta.end_key.clone(),
            }),
            ..Default::default()
        }))
    }

    /// The part of `start..end` (user keys, an empty end is unbounded) inside the region; some clients send whole ranges.
    pub(crate) fn clamp<'a>(&'a self, start: &'a [u8], end: &'a [u8]) -> (&'a [u8], &'a [u8]) {
        self.clamp_as(KeyForm::Encoded, start, end)
    }

    /// [`Self::clamp`] for keys of either form. Nothing is left where the start is at or above the end.
    pub(crate) fn clamp_as<'a>(
        &'a self,
        form: KeyForm,
        start: &'a [u8],
        end: &'a [u8],
    ) -> (&'a [u8], &'a [u8]) {
        let (lower, upper) = self.boundaries(form);
        let end = match (end.is_empty(), upper.is_empty()) {
            (true, _) => upper,
            (false, true) => end,
            (false, false) => end.min(upper),
        };
        (start.max(lower), end)
    }

    /// Counts what became visible.
    pub(crate) fn note_written(&self, written: Written) {
        if written.bytes > 0 {
            self.load.bytes.fetch_add(written.bytes, Ordering::Relaxed);
            self.load.keys.fetch_add(written.keys, Ordering::Relaxed);
            self.load.bytes_written.fetch_add(written.bytes, Ordering::Relaxed);
            self.load.keys_written.fetch_add(written.keys, Ordering::Relaxed);
        }
        if written.keys_removed > 0 {
            self.load.keys_removed.fetch_add(written.keys_removed, Ordering::Relaxed);
        }
    }
}

/// What a batch adds to its region.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Written {
    bytes: u64,
    keys: u64,
    keys_removed: u64,
}

impl Written {
    pub(crate) fn of(batch: &WriteBatch) -> Self {
        let mut written = Self::default();
        for op in batch.ops() {
            match op {
                WriteOp::Put { cf: cf @ (Cf::Write | Cf::Default), key, value } => {
                    written.bytes += (key.len() + value.len()) as u64;
                    written.keys += u64::from(*cf == Cf::Write || is_raw(key));
                }
                WriteOp::Delete { cf: cf @ (Cf::Write | Cf::Default), key } => {
                    written.keys_removed += u64::from(*cf == Cf::Write || is_raw(key));
                }
                WriteOp::Put { .. } | WriteOp::Delete { .. } => {}
            }
        }
        written
    }
}

/// A region with a command under way in it.
pub(crate) struct RegionGuard(Arc<Region>);

impl RegionGuard {
    fn enter(region: &Arc<Region>) -> Result<Self, RegionError> {
        let guard = Self(region.clone());
        region.flights.count.fetch_add(1, Ordering::SeqCst);
        // Of this look and that of whoever closes the region, at least one sees the other.
        if region.flights.closed.load(Ordering::SeqCst) {
            return Err(Box::new(errorpb::Error {
                message: format!("region {} is on its way to another store", region.id()),
                stale_command: Some(errorpb::StaleCommand {}),
                ..Default::default()
            }));
        }
        if let Some(lead) = &region.lead
            && !lead.may_read()
        {
            lead.ask_the_others();
            return Err(not_leader(region.id(), None));
        }
        Ok(guard)
    }
}

impl std::ops::Deref for RegionGuard {
    type Target = Arc<Region>;

    fn deref(&self) -> &Arc<Region> {
        &self.0
    }
}

impl Drop for RegionGuard {
    fn drop(&mut self) {
        self.0.flights.count.fetch_sub(1, Ordering::SeqCst);
    }
}

/// All regions of the node.
pub(crate) struct RegionTable {
    store_id: u64,
    /// Zero as long as the placement driver does not tell.
    cluster_id: u64,
    /// Regions of which this node has a replica that does not lead.
    followed: OnceLock<Followed>,
    /// How often a region came that was not cut out of one that was here.
    arrivals: AtomicU64,
    regions: RwLock<Regions>,
}

/// Tells whether there is a replica of a region, and who leads it.
type Followed = Box<dyn Fn(u64) -> Option<Option<metapb::Peer>> + Send + Sync>;

#[derive(Default)]
struct Regions {
    by_id: BTreeMap<u64, Arc<Region>>,
    by_start: BTreeMap<Vec<u8>, u64>,
}

impl RegionTable {
    pub(crate) fn new(store_id: u64, cluster_id: u64) -> Self {
        let followed = OnceLock::new();
        Self { store_id, cluster_id, followed, arrivals: AtomicU64::new(0), regions: RwLock::default() }
    }

    /// From now on requests for regions that are followed here are told who leads them.
    pub(crate) fn set_followed(&self, followed: Followed) {
        // The node is opened once.
        let _ = self.followed.set(followed);
    }

    /// Puts regions in, in place of older ones with their ids, all at once.
    pub(crate) fn install(&self, new: Vec<Arc<Region>>) {
        let mut regions = self.regions.write();
        let is_known =
            |region: &Arc<Region>| regions.by_id.values().any(|old| old.contains(&region.raw_start));
        if !new.iter().all(is_known) {
            self.arrivals.fetch_add(1, Ordering::SeqCst);
        }
        for region in new {
            if let Some(old) = regions.by_id.insert(region.id(), region.clone()) {
                old.load.replaced.store(true, Ordering::SeqCst);
                if old.raw_start != region.raw_start {
                    regions.by_start.remove(&old.raw_start);
                }
            }
            regions.by_start.insert(region.raw_start.clone(), region.id());
        }
    }

    /// Puts a region in the place of the two it was made of; it has the id of one, the other is `source_id`.
    pub(crate) fn replace_merged(&self, source_id: u64, merged: Arc<Region>) {
        let mut regions = self.regions.write();
        if !regions.by_id.contains_key(&source_id) {
            // Another store led it.
            self.arrivals.fetch_add(1, Ordering::SeqCst);
        }
        for old in
            [source_id, merged.id()].iter().filter_map(|id| regions.by_id.remove(id)).collect::<Vec<_>>()
        {
            old.load.replaced.store(true, Ordering::SeqCst);
            regions.by_start.remove(&old.raw_start);
        }
        regions.by_start.insert(merged.raw_start.clone(), merged.id());
        regions.by_id.insert(merged.id(), merged);
    }

    pub(crate) fn remove(&self, id: u64) {
        let mut regions = self.regions.write();
        if let Some(old) = regions.by_id.remove(&id) {
            regions.by_start.remove(&old.raw_start);
        }
    }

    /// Whether a region of the table holds keys of another one.
    pub(crate) fn overlaps(&self, other: &Region) -> bool {
        let ends_before = |end: &[u8], start: &[u8]| !end.is_empty() && end <= start;
        self.regions.read().by_id.values().any(|region| {
            !ends_before(&region.raw_end, &other.raw_start) && !ends_before(&other.raw_end, &region.raw_start)
        })
    }

    /// Changes whenever data comes into the node that was another's before: what was found out about all locks holds no more.
    pub(crate) fn arrivals(&self) -> u64 {
        self.arrivals.load(Ordering::SeqCst)
    }

    pub(crate) fn get(&self, id: u64) -> Option<Arc<Region>> {
        self.regions.read().by_id.get(&id).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Region>> {
        self.regions.read().by_id.values().cloned().collect()
    }

    /// The regions that hold keys of `start..end` (user keys, an empty end is unbounded), in key order.
    pub(crate) fn overlapping(&self, start: &[u8], end: &[u8]) -> Vec<Arc<Region>> {
        let regions = self.regions.read();
        let overlaps = |region: &&Arc<Region>| {
            (end.is_empty() || *region.raw_start < *end)
                && (region.raw_end.is_empty() || *start < *region.raw_end)
        };
        regions.by_start.values().filter_map(|id| regions.by_id.get(id)).filter(overlaps).cloned().collect()
    }

    /// Whether the request is for this cluster. A client that does not say is believed.
    pub(crate) fn check_cluster(&self, context: &kvrpcpb::Context) -> Result<(), RegionError> {
        if context.cluster_id == 0 || self.cluster_id == 0 || context.cluster_id == self.cluster_id {
            return Ok(());
        }
        let (requested, actual) = (context.cluster_id, self.cluster_id);
        Err(Box::new(errorpb::Error {
            message: format!(
                "mismatched cluster id: the request is for cluster {requested}, this is {actual}"
            ),
            ..Default::default()
        }))
    }

    /// The region a request is for, if the client's picture of it is right.
    pub(crate) fn check(&self, context: Option<&kvrpcpb::Context>) -> Result<RegionGuard, RegionError> {
        let context = context.ok_or_else(|| region_not_found(0))?;
        self.check_cluster(context)?;
        let regions = self.regions.read();
        self.check_store(context)?;
        let Some(region) = regions.by_id.get(&context.region_id) else {
            // Not under the lock of the table: a replica that begins to lead holds its own while it waits for that one.
            drop(regions);
            let followed = self.followed.get().and_then(|followed| followed(context.region_id));
            return Err(match followed {
                Some(leader) => not_leader(context.region_id, leader),
                None => region_not_found(context.region_id),
            });
        };
        check_peer(region, context)?;
        check_epoch(region, context, || {
            // The next region is what a split most likely took away.
            let next = regions
                .by_start
                .range::<[u8], _>((Bound::Excluded(&region.raw_start[..]), Bound::Unbounded))
                .next();
            next.and_then(|(_, id)| regions.by_id.get(id))
        })?;
        RegionGuard::enter(region)
    }

    /// Whether a request means this region, which is not in the table, as it is.
    pub(crate) fn check_identity(
        &self,
        region: &Arc<Region>,
        context: &kvrpcpb::Context,
    ) -> Result<(), RegionError> {
        self.check_store(context)?;
        check_peer(region, context)?;
        check_epoch(region, context, || None)
    }

    fn check_store(&self, context: &kvrpcpb::Context) -> Result<(), RegionError> {
        let Some(peer) = context.peer.filter(|peer| peer.store_id != self.store_id) else { return Ok(()) };
        Err(Box::new(errorpb::Error {
            message: format!("this is store {}, not {}", self.store_id, peer.store_id),
            store_not_match: Some(errorpb::StoreNotMatch {
                request_store_id: peer.store_id,
                actual_store_id: self.store_id,
            }),
            ..Default::default()
        }))
    }
}

fn check_peer(region: &Region, context: &kvrpcpb::Context) -> Result<(), RegionError> {
    let Some(peer) = context.peer.filter(|peer| peer.id != region.peer.id) else { return Ok(()) };
    Err(Box::new(errorpb::Error {
        message: format!("peer {} of region {} is not here", peer.id, region.id()),
        mismatch_peer_id: Some(errorpb::MismatchPeerId {
            request_peer_id: peer.id,
            store_peer_id: region.peer.id,
        }),
        ..Default::default()
    }))
}

fn check_epoch<'r>(
    region: &'r Arc<Region>,
    context: &kvrpcpb::Context,
    next: impl FnOnce() -> Option<&'r Arc<Region>>,
) -> Result<(), RegionError> {
    let expected = context.region_epoch.as_ref().map_or(0, |epoch| epoch.version);
    let actual = region.meta.region_epoch.as_ref().map_or(0, |epoch| epoch.version);
    if expected == actual {
        return Ok(());
    }
    let current_regions = std::iter::once(region).chain(next()).map(|region| region.meta.clone()).collect();
    Err(Box::new(errorpb::Error {
        message: format!("region {} is at version {actual}, not {expected}", region.id()),
        epoch_not_match: Some(errorpb::EpochNotMatch { current_regions }),
        ..Default::default()
    }))
}

pub(crate) fn not_leader(region_id: u64, leader: Option<metapb::Peer>) -> RegionError {
    Box::new(errorpb::Error {
        message: format!("region {region_id} is not led by this store"),
        not_leader: Some(errorpb::NotLeader { region_id, leader }),
        ..Default::default()
    })
}

fn region_not_found(region_id: u64) -> RegionError {
    Box::new(errorpb::Error {
        message: format!("region {region_id} is not on this store"),
        region_not_found: Some(errorpb::RegionNotFound { region_id }),
        ..Default::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(id: u64, start: &str, end: &str) -> Arc<Region> {
        let encoded = |key: &str| match key.is_empty() {
            true => Bytes::new(),
            false => tidewater_codec::Key::new(key.as_bytes()).encode().into_bytes().into(),
        };
        let meta = metapb::Region {
            id,
            start_key: encoded(start),
            end_key: encoded(end),
            peers: vec![metapb::Peer { id: 100 + id, store_id: 1, ..Default::default() }],
            ..Default::default()
        };
        Arc::new(Region::new(meta, 1).unwrap())
    }

    #[test]
    fn parts_of_a_region_do_not_arrive() {
        let table = RegionTable::new(1, 0);
        table.install(vec![region(1, "", "m")]);
        let first = table.arrivals();
        let whole = table.get(1).unwrap();
        table.install(vec![region(1, "", "f"), region(2, "f", "m")]);
        assert_eq!(table.arrivals(), first);
        assert!(whole.load.replaced.load(Ordering::SeqCst));
        table.install(vec![region(3, "m", "")]);
        assert!(table.arrivals() > first);
        let ids = |start: &str, end: &str| {
            let found = table.overlapping(start.as_bytes(), end.as_bytes());
            found.iter().map(|region| region.id()).collect::<Vec<_>>()
        };
        assert_eq!((ids("", ""), ids("f", "m"), ids("g", "n")), (vec![1, 2, 3], vec![2], vec![2, 3]));
    }

    /// A replica that begins to lead holds what is asked here while it waits for the table.
    #[test]
    fn who_leads_is_not_asked_under_the_lock_of_the_table() {
        let table = Arc::new(RegionTable::new(1, 0));
        let same = Arc::downgrade(&table);
        table.set_followed(Box::new(move |_| {
            let table = same.upgrade()?;
            assert!(table.regions.try_write().is_some(), "the table is locked");
            Some(None)
        }));
        let context = kvrpcpb::Context { region_id: 7, ..Default::default() };
        let error = table.check(Some(&context)).err().expect("it is not served here");
        assert!(error.not_leader.is_some(), "{error:?}");
    }
}
