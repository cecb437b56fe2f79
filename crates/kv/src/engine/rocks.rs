//! The RocksDB engine: one database, three column families, a write-ahead log that is synced per batch on request.
//!
//! Reads of one key are what this store does most. Hence whole-key bloom filters on `default` and `lock`, a filter over the key
//! without its timestamp on `write` (an iterator opened for [`IteratorUse::Versions`] asks it), index and filter blocks of level 0
//! kept in the cache. Scans read in total order and ignore the filters.

use std::{
    mem::ManuallyDrop,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use rocksdb::{
    BlockBasedOptions, BoundColumnFamily, Cache, ColumnFamilyDescriptor, DBCompressionType,
    DBRawIteratorWithThreadMode, DBRecoveryMode, DBWithThreadMode, LogLevel, MultiThreaded, Options, Range,
    ReadOptions, SliceTransform, SnapshotWithThreadMode, WriteOptions,
};

use super::{
    Cf, Durability, Engine, EngineError, EngineIterator, IteratorOptions, IteratorUse, Snapshot, WriteBatch,
    WriteCost, WriteOp,
};

type Db = DBWithThreadMode<MultiThreaded>;

const TS_LEN: usize = 8;

/// Sizes of the RocksDB engine.
#[derive(Debug, Clone)]
pub struct RocksConfig {
    /// Bytes of blocks kept in memory, shared by all families.
    pub block_cache_bytes: usize,
    /// Bytes of one memtable of `default` and `write`; `lock` takes a quarter.
    pub memtable_bytes: usize,
    /// Background flush and compaction threads.
    pub background_jobs: i32,
    /// Bytes of write-ahead log after which the oldest memtables are flushed.
    pub wal_bytes_max: u64,
    /// Open files; -1 is no limit.
    pub open_files_max: i32,
}

impl Default for RocksConfig {
    fn default() -> Self {
        Self {
            block_cache_bytes: 512 << 20,
            memtable_bytes: 64 << 20,
            background_jobs: 2,
            wal_bytes_max: 512 << 20,
            open_files_max: 800,
        }
    }
}

/// The engine on disk.
pub struct RocksEngine {
    db: Arc<OpenDb>,
}

impl RocksEngine {
    /// Opens or creates a database with the default sizes.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, EngineError> {
        Self::open_with(path, &RocksConfig::default())
    }

    /// Opens or creates a database.
    pub fn open_with(path: impl AsRef<Path>, config: &RocksConfig) -> Result<Self, EngineError> {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        options.set_max_background_jobs(config.background_jobs);
        options.set_max_open_files(config.open_files_max);
        options.set_max_total_wal_size(config.wal_bytes_max);
        // A torn end was never acknowledged; damage before it is an error, not a shorter history.
        options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
        options.set_log_level(LogLevel::Warn);
        options.set_keep_log_file_num(5);
        options.set_stats_dump_period_sec(0);
        options.set_bytes_per_sync(1 << 20);
        let cache = Cache::new_lru_cache(config.block_cache_bytes);
        let families =
            Cf::ALL.map(|cf| ColumnFamilyDescriptor::new(cf.name(), family_options(cf, config, &cache)));
        let db = Db::open_cf_descriptors(&options, path, families).map_err(failed("open the database"))?;
        Ok(Self { db: OpenDb::new(db)? })
    }

    /// A plain iterator over a family, for comparisons: what the engine itself can do.
    pub fn count_entries(&self, cf: Cf, start: &[u8], end: &[u8]) -> Result<(u64, u64), EngineError> {
        let options = IteratorOptions::range(start.to_vec(), Some(end.to_vec()));
        let mut iterator = self.snapshot().iterator(cf, options);
        let (mut entries, mut bytes) = (0, 0);
        let mut valid = iterator.seek(start)?;
        while valid {
            entries += 1;
            bytes += (iterator.key().len() + iterator.value().len()) as u64;
            valid = iterator.next()?;
        }
        Ok((entries, bytes))
    }

    /// Compacts everything, so that reads meet one sorted run.
    pub fn compact(&self) {
        for cf in Cf::ALL {
            self.db.db.compact_range_cf(self.db.family(cf), None::<&[u8]>, None::<&[u8]>);
        }
    }
}

fn family_options(cf: Cf, config: &RocksConfig, cache: &Cache) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    table.set_block_size(if cf == Cf::Lock { 16 << 10 } else { 32 << 10 });
    table.set_bloom_filter(10.0, false);
    table.set_optimize_filters_for_memory(true);
    table.set_cache_index_and_filter_blocks(true);
    table.set_cache_index_and_filter_blocks_with_high_priority(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    table.set_format_version(5);
    table.set_whole_key_filtering(cf != Cf::Write);
    let mut options = Options::default();
    let memtable_bytes = if cf == Cf::Lock { config.memtable_bytes / 4 } else { config.memtable_bytes };
    options.set_write_buffer_size(memtable_bytes);
    options.set_max_write_buffer_number(4);
    options.set_level_compaction_dynamic_level_bytes(true);
    options.set_compression_type(if cf == Cf::Lock {
        DBCompressionType::None
    } else {
        DBCompressionType::Lz4
    });
    options.set_memtable_whole_key_filtering(cf != Cf::Write);
    if cf == Cf::Write {
        options.set_prefix_extractor(SliceTransform::create(
            "tidewater.key-without-timestamp",
            without_ts,
            Some(has_ts),
        ));
        options.set_memtable_prefix_bloom_ratio(0.1);
    }
    if cf == Cf::Lock {
        // Locks live for milliseconds: keep their tombstones from piling up under readers.
        options.set_level_zero_file_num_compaction_trigger(1);
    }
    options.set_block_based_table_factory(&table);
    options
}

fn without_ts(key: &[u8]) -> &[u8] {
    &key[..key.len() - TS_LEN]
}

fn has_ts(key: &[u8]) -> bool {
    key.len() >= TS_LEN
}

/// Some key just below a key that is not empty.
fn below(key: &[u8]) -> Vec<u8> {
    let mut below = key.to_vec();
    // A key that ends with a zero follows the one without it; any other, all that begin with a smaller last byte.
    if let Some(last @ 1..) = below.pop() {
        below.push(last - 1);
        below.extend([0xff; 16]);
    }
    below
}

/// A read failed. Where the data is damaged, that is counted: see [`Engine::corruptions`].
fn read_failed<'d>(
    db: &'d OpenDb,
    operation: &'static str,
) -> impl FnOnce(rocksdb::Error) -> EngineError + 'd {
    move |error| match error.kind() {
        rocksdb::ErrorKind::Corruption => {
            db.corruptions.fetch_add(1, Ordering::Relaxed);
            EngineError::Corrupt { what: "data", reason: error.into_string() }
        }
        _ => failed(operation)(error),
    }
}

fn failed(operation: &'static str) -> impl FnOnce(rocksdb::Error) -> EngineError {
    move |error| EngineError::Failed { operation, reason: error.into_string() }
}

impl Engine for RocksEngine {
    fn snapshot(&self) -> Arc<dyn Snapshot> {
        Arc::new(RocksSnapshot { inner: Arc::new(HeldSnapshot::new(self.db.clone())) })
    }

    fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        let value =
            self.db.db.get_pinned_cf(self.db.family(cf), key).map_err(read_failed(&self.db, "read"))?;
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn write(&self, batch: WriteBatch, durability: Durability) -> Result<(), EngineError> {
        let mut writes = rocksdb::WriteBatch::with_capacity_bytes(batch.size() + 16 * batch.ops().len());
        for op in batch.ops() {
            match op {
                WriteOp::Put { cf, key, value } => writes.put_cf(self.db.family(*cf), key, value),
                WriteOp::Delete { cf, key } => writes.delete_cf(self.db.family(*cf), key),
            }
        }
        let mut options = WriteOptions::default();
        options.set_sync(durability == Durability::Sync);
        self.db.db.write_opt(writes, &options).map_err(failed("write"))
    }

    fn delete_range(&self, cf: Cf, start: &[u8], end: &[u8]) -> Result<(), EngineError> {
        if start >= end {
            return Ok(());
        }
        // Whole files first: they give their space back at once. RocksDB counts the last key in here, unlike everywhere else.
        let last = below(end);
        self.db
            .db
            .delete_file_in_range_cf(self.db.family(cf), start, &last)
            .map_err(failed("delete files"))?;
        self.db.db.delete_range_cf(self.db.family(cf), start, end).map_err(failed("delete a range"))
    }

    fn flush(&self) -> Result<(), EngineError> {
        for cf in Cf::ALL {
            self.db.db.flush_cf(self.db.family(cf)).map_err(failed("flush"))?;
        }
        self.db.db.flush_wal(true).map_err(failed("sync the log"))
    }

    fn approximate_size(&self, cf: Cf, start: &[u8], end: &[u8]) -> u64 {
        let unbounded = [0xff; 16];
        let end = if end.is_empty() { &unbounded[..] } else { end };
        self.db.db.get_approximate_sizes_cf(self.db.family(cf), &[Range::new(start, end)])[0]
    }

    fn write_cost(&self) -> WriteCost {
        WriteCost::Device
    }

    fn corruptions(&self) -> u64 {
        self.db.corruptions.load(Ordering::Relaxed)
    }
}

/// The database with its family handles looked up once.
struct OpenDb {
    // Before `db`: handles are closed before the database they belong to.
    families: ManuallyDrop<[Arc<BoundColumnFamily<'static>>; 3]>,
    db: Db,
    /// Reads that have met damaged data.
    corruptions: AtomicU64,
}

impl OpenDb {
    fn new(db: Db) -> Result<Arc<Self>, EngineError> {
        let families = Cf::ALL.map(|cf| {
            let family = db.cf_handle(cf.name())?;
            // SAFETY: the handle borrows the database, whose address inside RocksDB does not depend on where `db` is moved.
            // `Drop` releases the handles before `db` is dropped.
            Some(unsafe {
                std::mem::transmute::<Arc<BoundColumnFamily<'_>>, Arc<BoundColumnFamily<'static>>>(family)
            })
        });
        let [Some(default), Some(lock), Some(write)] = families else {
            return Err(EngineError::Corrupt {
                what: "database",
                reason: "a column family is missing".into(),
            });
        };
        let families = [default, lock, write];
        Ok(Arc::new(Self { families: ManuallyDrop::new(families), db, corruptions: AtomicU64::new(0) }))
    }

    fn family(&self, cf: Cf) -> &Arc<BoundColumnFamily<'static>> {
        &self.families[cf as usize]
    }
}

impl Drop for OpenDb {
    fn drop(&mut self) {
        // SAFETY: dropped here only, and `db` is still open.
        unsafe { ManuallyDrop::drop(&mut self.families) };
    }
}

/// A snapshot that keeps its database open.
struct HeldSnapshot {
    // Fields drop in order: the snapshot is released while `db` still holds the database open.
    snapshot: SnapshotWithThreadMode<'static, Db>,
    db: Arc<OpenDb>,
}

impl HeldSnapshot {
    fn new(db: Arc<OpenDb>) -> Self {
        let snapshot = db.db.snapshot();
        // SAFETY: the snapshot borrows `db.db`, which sits in an `Arc` this struct holds until after the snapshot is dropped.
        let snapshot = unsafe {
            std::mem::transmute::<SnapshotWithThreadMode<'_, Db>, SnapshotWithThreadMode<'static, Db>>(
                snapshot,
            )
        };
        Self { snapshot, db }
    }
}

struct RocksSnapshot {
    inner: Arc<HeldSnapshot>,
}

impl Snapshot for RocksSnapshot {
    fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        let HeldSnapshot { snapshot, db } = &*self.inner;
        let value = snapshot.get_pinned_cf(db.family(cf), key).map_err(read_failed(db, "read"))?;
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn iterator(&self, cf: Cf, options: IteratorOptions) -> Box<dyn EngineIterator> {
        let mut read = ReadOptions::default();
        match options.usage {
            IteratorUse::Range => read.set_total_order_seek(true),
            IteratorUse::Versions => read.set_prefix_same_as_start(true),
        }
        read.fill_cache(options.fill_cache);
        if !options.lower.is_empty() {
            read.set_iterate_lower_bound(options.lower);
        }
        if let Some(upper) = options.upper {
            read.set_iterate_upper_bound(upper);
        }
        let iterator = self.inner.snapshot.raw_iterator_cf_opt(self.inner.db.family(cf), read);
        // SAFETY: the iterator borrows the snapshot, which `_snapshot` holds until after the iterator is dropped.
        let iterator = unsafe {
            std::mem::transmute::<DBRawIteratorWithThreadMode<'_, Db>, DBRawIteratorWithThreadMode<'static, Db>>(
                iterator,
            )
        };
        Box::new(RocksIterator { iterator, entry: None, _snapshot: self.inner.clone() })
    }
}

struct RocksIterator {
    // Before `_snapshot`: see `RocksSnapshot::iterator`.
    iterator: DBRawIteratorWithThreadMode<'static, Db>,
    /// Where the current key and value are, fetched once per move instead of once per question.
    entry: Option<Entry>,
    _snapshot: Arc<HeldSnapshot>,
}

struct Entry {
    key: (*const u8, usize),
    value: (*const u8, usize),
}

// SAFETY: the pointers lead into memory the iterator owns, and the iterator itself is `Send`.
unsafe impl Send for RocksIterator {}

impl RocksIterator {
    #[inline]
    fn landed(&mut self) -> Result<bool, EngineError> {
        self.entry = self.iterator.item().map(|(key, value)| Entry {
            key: (key.as_ptr(), key.len()),
            value: (value.as_ptr(), value.len()),
        });
        if self.entry.is_none() {
            self.iterator.status().map_err(read_failed(&self._snapshot.db, "iterate"))?;
        }
        Ok(self.entry.is_some())
    }
}

impl EngineIterator for RocksIterator {
    fn seek(&mut self, key: &[u8]) -> Result<bool, EngineError> {
        self.iterator.seek(key);
        self.landed()
    }

    fn seek_for_prev(&mut self, key: &[u8]) -> Result<bool, EngineError> {
        self.iterator.seek_for_prev(key);
        self.landed()
    }

    fn seek_to_last(&mut self) -> Result<bool, EngineError> {
        self.iterator.seek_to_last();
        self.landed()
    }

    fn next(&mut self) -> Result<bool, EngineError> {
        if self.entry.is_some() {
            self.iterator.next();
        }
        self.landed()
    }

    fn prev(&mut self) -> Result<bool, EngineError> {
        if self.entry.is_some() {
            self.iterator.prev();
        }
        self.landed()
    }

    fn valid(&self) -> bool {
        self.entry.is_some()
    }

    fn key(&self) -> &[u8] {
        // SAFETY: RocksDB keeps key and value in place until the iterator moves, and every move takes `&mut self`.
        self.entry
            .as_ref()
            .map_or(&[], |entry| unsafe { std::slice::from_raw_parts(entry.key.0, entry.key.1) })
    }

    fn value(&self) -> &[u8] {
        // SAFETY: as in `key`.
        self.entry
            .as_ref()
            .map_or(&[], |entry| unsafe { std::slice::from_raw_parts(entry.value.0, entry.value.1) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_key_lies_just_below() {
        for key in [&b"b"[..], b"\0", b"b\0", b"b\0\0", b"\xff", b"b\x01"] {
            assert!(below(key)[..] < *key, "{key:?}");
        }
    }

    #[test]
    fn damaged_data_is_an_error_and_counted() {
        let dir = tempfile::tempdir().unwrap();
        let engine = RocksEngine::open(dir.path()).unwrap();
        let mut batch = WriteBatch::new();
        (0..2000).for_each(|number| batch.put(Cf::Write, format!("zkey{number:08}").into(), vec![b'v'; 100]));
        engine.write(batch, Durability::Sync).unwrap();
        engine.flush().unwrap();
        drop(engine);
        let files = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
        for file in files.filter(|file| file.extension().is_some_and(|ending| ending == "sst")) {
            let mut bytes = std::fs::read(&file).unwrap();
            bytes[1000] ^= 1;
            std::fs::write(&file, bytes).unwrap();
        }
        let engine = RocksEngine::open(dir.path()).unwrap();
        assert_eq!(engine.corruptions(), 0);
        let read = engine.get(Cf::Write, b"zkey00000003");
        assert!(matches!(read, Err(EngineError::Corrupt { .. })), "{read:?}");
        assert_eq!(engine.corruptions(), 1);
        let mut cursor = engine.snapshot().iterator(Cf::Write, IteratorOptions::range(b"z".to_vec(), None));
        assert!(matches!(cursor.seek(b"z"), Err(EngineError::Corrupt { .. })));
        assert_eq!(engine.corruptions(), 2);
    }

    /// RocksDB would drop a whole file whose last key is the end of the range.
    #[test]
    fn the_end_of_a_range_is_not_deleted_with_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let engine = RocksEngine::open(dir.path()).unwrap();
        for keys in [&["a"][..], &["b", "c", "d"]] {
            let mut batch = WriteBatch::new();
            keys.iter().for_each(|key| batch.put(Cf::Default, key.as_bytes().to_vec(), Vec::new()));
            engine.write(batch, Durability::Buffered).unwrap();
            engine.flush().unwrap();
            // Files of the youngest level stay anyway.
            engine.compact();
        }
        engine.delete_range(Cf::Default, b"b", b"d").unwrap();
        let is_there = |key: &[u8]| engine.get(Cf::Default, key).unwrap().is_some();
        assert_eq!([is_there(b"a"), is_there(b"c"), is_there(b"d")], [true, false, true]);
    }
}
