//! An engine some of whose data can be damaged.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use tidewater_kv::{
    Cf, Durability, Engine, EngineError, EngineIterator, IteratorOptions, MemoryEngine, Snapshot, WriteBatch,
    WriteCost,
};

/// Keys that cannot be read, and how often that was met.
#[derive(Default)]
struct Rot {
    keys: Mutex<Vec<(Cf, Vec<u8>)>>,
    met: AtomicU64,
}

impl Rot {
    fn check(&self, cf: Cf, key: &[u8]) -> Result<(), EngineError> {
        if !self.keys.lock().iter().any(|(family, rotten)| *family == cf && rotten == key) {
            return Ok(());
        }
        self.met.fetch_add(1, Ordering::Relaxed);
        Err(EngineError::Corrupt { what: "data", reason: "block checksum mismatch".to_owned() })
    }
}

/// A memory engine. A removed key is whole again when it is put again, as with files.
#[derive(Default)]
pub struct RottenEngine {
    inner: MemoryEngine,
    rot: Arc<Rot>,
}

impl RottenEngine {
    /// From now on the key cannot be read, nor passed by.
    pub fn rot(&self, cf: Cf, key: &[u8]) {
        self.rot.keys.lock().push((cf, key.to_vec()));
    }

    /// Changes a value behind everybody's back. Tells its key.
    pub fn flip(&self, lower: &[u8], upper: &[u8]) -> (Cf, Vec<u8>) {
        let (key, value) = self.first(lower, upper);
        let mut value = value.to_vec();
        *value.last_mut().expect("a value has bytes") ^= 0x20;
        let mut batch = WriteBatch::new();
        batch.put(Cf::Write, key.clone(), value);
        self.inner.write(batch, Durability::Sync).unwrap();
        (Cf::Write, key)
    }

    /// Writes a record of the store's own.
    pub fn put_record(&self, key: Vec<u8>, value: Vec<u8>) {
        let mut batch = WriteBatch::new();
        batch.put(Cf::Default, key, value);
        self.inner.write(batch, Durability::Sync).unwrap();
    }

    /// The first record of a range.
    pub fn first(&self, lower: &[u8], upper: &[u8]) -> (Vec<u8>, Bytes) {
        let options = IteratorOptions::range(lower.to_vec(), Some(upper.to_vec()));
        let mut cursor = self.inner.snapshot().iterator(Cf::Write, options);
        assert!(cursor.seek(lower).unwrap(), "there is data");
        (cursor.key().to_vec(), Bytes::copy_from_slice(cursor.value()))
    }
}

impl Engine for RottenEngine {
    fn snapshot(&self) -> Arc<dyn Snapshot> {
        Arc::new(RottenSnapshot { inner: self.inner.snapshot(), rot: self.rot.clone() })
    }

    fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        self.rot.check(cf, key)?;
        self.inner.get(cf, key)
    }

    fn write(&self, batch: WriteBatch, durability: Durability) -> Result<(), EngineError> {
        self.inner.write(batch, durability)
    }

    fn delete_range(&self, cf: Cf, start: &[u8], end: &[u8]) -> Result<(), EngineError> {
        self.rot.keys.lock().retain(|(family, key)| *family != cf || &key[..] < start || &key[..] >= end);
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

    fn corruptions(&self) -> u64 {
        self.rot.met.load(Ordering::Relaxed)
    }
}

struct RottenSnapshot {
    inner: Arc<dyn Snapshot>,
    rot: Arc<Rot>,
}

impl Snapshot for RottenSnapshot {
    fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        self.rot.check(cf, key)?;
        self.inner.get(cf, key)
    }

    fn iterator(&self, cf: Cf, options: IteratorOptions) -> Box<dyn EngineIterator> {
        Box::new(RottenIterator { inner: self.inner.iterator(cf, options), cf, rot: self.rot.clone() })
    }
}

struct RottenIterator {
    inner: Box<dyn EngineIterator>,
    cf: Cf,
    rot: Arc<Rot>,
}

impl RottenIterator {
    fn landed(&self, is_there: bool) -> Result<bool, EngineError> {
        if is_there {
            self.rot.check(self.cf, self.inner.key())?;
        }
        Ok(is_there)
    }
}

impl EngineIterator for RottenIterator {
    fn seek(&mut self, key: &[u8]) -> Result<bool, EngineError> {
        let is_there = self.inner.seek(key)?;
        self.landed(is_there)
    }

    fn seek_for_prev(&mut self, key: &[u8]) -> Result<bool, EngineError> {
        let is_there = self.inner.seek_for_prev(key)?;
        self.landed(is_there)
    }

    fn seek_to_last(&mut self) -> Result<bool, EngineError> {
        let is_there = self.inner.seek_to_last()?;
        self.landed(is_there)
    }

    fn next(&mut self) -> Result<bool, EngineError> {
        let is_there = self.inner.next()?;
        self.landed(is_there)
    }

    fn prev(&mut self) -> Result<bool, EngineError> {
        let is_there = self.inner.prev()?;
        self.landed(is_there)
    }

    fn valid(&self) -> bool {
        self.inner.valid()
    }

    fn key(&self) -> &[u8] {
        self.inner.key()
    }

    fn value(&self) -> &[u8] {
        self.inner.value()
    }
}
