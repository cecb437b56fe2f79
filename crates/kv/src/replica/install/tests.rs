//! Power fails after any write of an installation.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use parking_lot::Mutex;
use tidewater_raft::{Membership, Position};

use super::*;
use crate::{Cf, IteratorOptions, MemoryEngine, Snapshot, WriteCost, replica::snapshot};

const REGION_ID: u64 = 7;
const BYTES_MAX: usize = 2_000;
const VALUE_BYTES: usize = 50;

/// An engine of which a copy is made, as a power failure would leave it, after so many writes.
struct Failing {
    inner: MemoryEngine,
    left: AtomicUsize,
    survivor: Mutex<Option<MemoryEngine>>,
    write_bytes_max: AtomicUsize,
}

impl Failing {
    fn new(inner: MemoryEngine, writes: usize) -> Self {
        let left = AtomicUsize::new(writes);
        let failing =
            Self { inner, left, survivor: Mutex::default(), write_bytes_max: AtomicUsize::default() };
        if writes == 0 {
            *failing.survivor.lock() = Some(failing.inner.crash());
        }
        failing
    }
}

impl Engine for Failing {
    fn snapshot(&self) -> Arc<dyn Snapshot> {
        self.inner.snapshot()
    }

    fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        self.inner.get(cf, key)
    }

    fn write(&self, batch: WriteBatch, durability: Durability) -> Result<(), EngineError> {
        self.write_bytes_max.fetch_max(batch.size(), Ordering::Relaxed);
        self.inner.write(batch, durability)?;
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            *self.survivor.lock() = Some(self.inner.crash());
        }
        Ok(())
    }

    fn delete_range(&self, cf: Cf, start: &[u8], end: &[u8]) -> Result<(), EngineError> {
        self.inner.delete_range(cf, start, end)
    }

    fn flush(&self) -> Result<(), EngineError> {
        self.inner.flush()
    }

    fn approximate_size(&self, cf: Cf, start: &[u8], end: &[u8]) -> u64 {
        self.inner.approximate_size(cf, start, end)
    }

    fn write_cost(&self) -> WriteCost {
        WriteCost::Memory
    }
}

fn region() -> metapb::Region {
    let peers = vec![metapb::Peer { id: 70, store_id: 1, ..Default::default() }];
    let region_epoch = Some(metapb::RegionEpoch { conf_ver: 3, version: 9 });
    metapb::Region { id: REGION_ID, region_epoch, peers, ..Default::default() }
}

fn applied() -> Applied {
    let position = Position { term: 4, index: 1234 };
    let membership = Membership::of_voters([(70, 1)]);
    Applied { position: Some(position), membership, membership_position: Some(position) }
}

/// Every `step`-th key of two families, with values that name the owner.
fn filled(owner: &str, step: usize) -> MemoryEngine {
    let engine = MemoryEngine::with_crashes();
    let mut batch = WriteBatch::new();
    for cf in [Cf::Default, Cf::Write] {
        for number in (0..600).step_by(step) {
            let value = format!("{owner:-<VALUE_BYTES$}");
            batch.put(cf, format!("zkey{number:04}").into(), value.into());
        }
    }
    engine.write(batch, Durability::Sync).unwrap();
    engine
}

/// All data, of whatever region.
fn content(engine: &dyn Engine) -> Vec<(Cf, Vec<u8>, Vec<u8>)> {
    let mut found = Vec::new();
    for cf in Cf::ALL {
        let mut cursor = engine.snapshot().iterator(cf, IteratorOptions::range(b"z".to_vec(), None));
        let mut valid = cursor.seek(b"z").unwrap();
        while valid {
            found.push((cf, cursor.key().to_vec(), cursor.value().to_vec()));
            valid = cursor.next().unwrap();
        }
    }
    found
}

/// The source's snapshot, as it was received.
fn received(folder: &Path, source: &MemoryEngine) -> (Arc<Spools>, Spooled) {
    let pieces = snapshot::read(source.snapshot(), region(), None).unwrap();
    let spools = Spools::in_folder(folder).unwrap();
    let spooled = spools.keep("received", pieces.map(Result::unwrap)).unwrap();
    (spools, spooled)
}

fn installer<'e>(engine: &'e dyn Engine, applied: &'e Applied) -> Installer<'e> {
    Installer { engine, region_id: REGION_ID, peer_id: 70, applied, bytes_max: BYTES_MAX }
}

#[test]
fn after_a_crash_at_any_write_the_replica_is_old_or_new() {
    let folder = tempfile::tempdir().unwrap();
    let source = filled("new", 2);
    let (new, old) = (content(&source), content(&filled("old", 3)));
    let applied = applied();
    let mut writes = 0;
    for crash_after in 0.. {
        let (spools, spooled) = received(folder.path(), &source);
        let engine = Failing::new(filled("old", 3), crash_after);
        let mut begun = Vec::new();
        let installer = installer(&engine, &applied);
        installer.install(&spooled, |writes, _, _| begun.push(writes)).unwrap();
        assert_eq!(begun, [Writes::Several]);
        assert_eq!(content(&engine), new);
        assert!(engine.write_bytes_max.load(Ordering::Relaxed) <= BYTES_MAX + VALUE_BYTES + 8);
        let Some(survivor) = engine.survivor.lock().take() else { break };
        writes = crash_after;
        spooled.leave();
        assert_eq!(finish_installations(&survivor, &spools, BYTES_MAX).unwrap(), []);
        assert!(meta::load_installations(&*survivor.snapshot()).unwrap().is_empty());
        let stored = meta::load_applied(&survivor, REGION_ID).unwrap();
        match crash_after {
            // The snapshot was nothing but a file yet.
            0 => assert_eq!((content(&survivor), stored), (old.clone(), None)),
            _ => {
                assert_eq!(content(&survivor), new, "after {crash_after} writes");
                assert_eq!(stored, Some((70, applied.clone())));
                assert_eq!(meta::load_region(&survivor, REGION_ID).unwrap(), Some(region()));
            }
        }
        // And what is durable then stays so.
        assert_eq!(content(&survivor.crash()), content(&survivor));
        assert!(spools.open("received").unwrap().is_none() || crash_after == 0);
    }
    assert!(writes > 10, "{writes} writes");
}

#[test]
fn a_half_installed_replica_whose_snapshot_is_lost_or_damaged_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let source = filled("new", 2);
    let applied = applied();
    for is_lost in [true, false] {
        let (spools, spooled) = received(folder.path(), &source);
        let engine = Failing::new(filled("old", 3), 3);
        installer(&engine, &applied).install(&spooled, |_, _, _| ()).unwrap();
        let survivor = engine.survivor.lock().take().unwrap();
        if is_lost {
            drop(spooled);
        } else {
            spooled.leave();
            let file = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
            let mut bytes = std::fs::read(&file).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            std::fs::write(&file, bytes).unwrap();
        }
        let unfinished = finish_installations(&survivor, &spools, BYTES_MAX).unwrap();
        assert_eq!(
            unfinished.iter().map(|each| (each.region_id, each.peer_id)).collect::<Vec<_>>(),
            [(7, 70)]
        );
        // Nobody takes it for whole the next time, either.
        assert_eq!(finish_installations(&survivor, &spools, BYTES_MAX).unwrap().len(), 1);
        spools.retain(&BTreeSet::new()).unwrap();
    }
}

#[test]
fn a_small_snapshot_is_one_write() {
    let folder = tempfile::tempdir().unwrap();
    let source = filled("new", 2);
    let (_, spooled) = received(folder.path(), &source);
    let engine = Failing::new(filled("old", 3), usize::MAX);
    let applied = applied();
    let installer = Installer { bytes_max: 1 << 20, ..installer(&engine, &applied) };
    let mut begun = Vec::new();
    installer.install(&spooled, |writes, _, _| begun.push(writes)).unwrap();
    assert_eq!(begun, [Writes::One]);
    assert_eq!(usize::MAX - engine.left.load(Ordering::Relaxed), 1);
    assert_eq!(content(&engine), content(&source));
}
