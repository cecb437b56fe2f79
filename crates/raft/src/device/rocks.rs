//! A device on disk: a RocksDB database of its own, and one thread that writes for all groups.

use std::{path::Path, sync::Arc, thread::JoinHandle};

use crossbeam_channel::{Receiver, Sender};
use rocksdb::{
    BlockBasedOptions, ColumnFamilyDescriptor, DB, DBCompressionType, DBRecoveryMode, IteratorMode, LogLevel,
    Options, ReadOptions, WriteBatch, WriteOptions,
};

use super::{DeviceError, KeyAndValue, KeysAndValues, LogDevice, LogOp, Urgency, Written};

const FAMILY: &str = "default";
/// Sorts before every group's keys, which have at least nine bytes: the group's id and a kind.
const FORMAT_KEY: &[u8] = b"";
/// Raised when older releases could not read what is written.
const FORMAT: u32 = 1;
/// Writes joined into one, at most.
const JOBS_MAX: usize = 4096;
/// Bytes joined into one write, at most (one job may be larger).
const BYTES_MAX: usize = 8 << 20;

/// Keeps logs on disk.
///
/// Whatever all groups of a store have submitted while the last write was on its way becomes one write with one fsync.
pub struct RocksDevice {
    db: Arc<DB>,
    queue: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

struct Job {
    ops: Vec<LogOp>,
    urgency: Urgency,
    written: Written,
}

impl RocksDevice {
    /// Opens or creates the log in a directory.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, DeviceError> {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.set_log_level(LogLevel::Warn);
        options.set_keep_log_file_num(3);
        options.set_stats_dump_period_sec(0);
        options.set_max_total_wal_size(256 << 20);
        // A torn end was never acknowledged; damage before it is an error, not a shorter log.
        options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
        let family = ColumnFamilyDescriptor::new(FAMILY, family_options());
        let db = DB::open_cf_descriptors(&options, path, [family]).map_err(failed("open"))?;
        check_format(&db)?;
        let db = Arc::new(db);
        let (queue, jobs) = crossbeam_channel::unbounded();
        let writer = db.clone();
        // A thread of its own: an fsync in the middle of an async runtime would stop its other tasks.
        let thread = std::thread::Builder::new()
            .name("raft-log".into())
            .spawn(move || write_jobs(&writer, &jobs))
            .map_err(|error| DeviceError::Failed {
                operation: "start its thread",
                reason: error.to_string(),
            })?;
        Ok(Self { db, queue: Some(queue), thread: Some(thread) })
    }
}

fn family_options() -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_size(64 << 10);
    let mut options = Options::default();
    // Most entries are purged before they leave the memtable.
    options.set_write_buffer_size(64 << 20);
    options.set_max_write_buffer_number(3);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_level_compaction_dynamic_level_bytes(true);
    options.set_block_based_table_factory(&table);
    options
}

fn failed(operation: &'static str) -> impl Fn(rocksdb::Error) -> DeviceError {
    move |error| DeviceError::Failed { operation, reason: error.into_string() }
}

fn check_format(db: &DB) -> Result<(), DeviceError> {
    let Some(stored) = db.get(FORMAT_KEY).map_err(failed("read its format"))? else {
        let mut options = WriteOptions::default();
        options.set_sync(true);
        return db.put_opt(FORMAT_KEY, FORMAT.to_be_bytes(), &options).map_err(failed("write its format"));
    };
    let found = stored.try_into().map(u32::from_be_bytes).map_err(|stored: Vec<u8>| {
        DeviceError::Corrupt { what: "format version", reason: format!("{} bytes", stored.len()) }
    })?;
    match found <= FORMAT {
        true => Ok(()),
        false => Err(DeviceError::NewerFormat { found, supported: FORMAT }),
    }
}

/// Ends when the device is dropped. After a failure everything fails: nobody knows what is on disk.
fn write_jobs(db: &DB, jobs: &Receiver<Job>) {
    let mut failure: Option<DeviceError> = None;
    while let Ok(first) = jobs.recv() {
        let mut batch = WriteBatch::default();
        let mut waiting = Vec::new();
        let mut urgency = Urgency::Later;
        let mut next = Some(first);
        while let Some(job) = next.take() {
            urgency = urgency.max(job.urgency);
            job.ops.iter().for_each(|op| add(db, &mut batch, op));
            waiting.push(job.written);
            if waiting.len() < JOBS_MAX && batch.size_in_bytes() < BYTES_MAX {
                next = jobs.try_recv().ok();
            }
        }
        if failure.is_none() {
            let mut options = WriteOptions::default();
            options.set_sync(urgency == Urgency::Now);
            failure = db.write_opt(batch, &options).map_err(failed("write")).err();
            metrics::counter!("tidewater_raft_log_writes_total").increment(1);
            metrics::counter!("tidewater_raft_log_syncs_total").increment(u64::from(urgency == Urgency::Now));
            metrics::histogram!("tidewater_raft_log_jobs_per_write").record(waiting.len() as f64);
        }
        let result = failure.clone().map_or(Ok(()), Err);
        waiting.into_iter().for_each(|written| written(result.clone()));
    }
}

fn add(db: &DB, batch: &mut WriteBatch, op: &LogOp) {
    match op {
        LogOp::Put(key, value) => batch.put(key, value),
        LogOp::DeleteRange(start, end) => match db.cf_handle(FAMILY) {
            Some(family) => batch.delete_range_cf(family, start, end),
            // It was opened with the database.
            None => unreachable!("the default family is gone"),
        },
    }
}

impl LogDevice for RocksDevice {
    fn submit(&self, ops: Vec<LogOp>, urgency: Urgency, written: Written) {
        let job = Job { ops, urgency, written };
        let Some(queue) = &self.queue else { return };
        if let Err(refused) = queue.send(job) {
            let reason = "its thread has ended".to_owned();
            (refused.into_inner().written)(Err(DeviceError::Failed { operation: "write", reason }));
        }
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, DeviceError> {
        self.db.get(key).map_err(failed("read"))
    }

    fn scan(&self, start: &[u8], end: &[u8], bytes_max: usize) -> Result<KeysAndValues, DeviceError> {
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(end);
        let mut found = Vec::new();
        let mut bytes = 0;
        for entry in self.db.iterator_opt(IteratorMode::From(start, rocksdb::Direction::Forward), options) {
            let (key, value) = entry.map_err(failed("read"))?;
            bytes += value.len();
            if bytes > bytes_max && !found.is_empty() {
                break;
            }
            found.push((key.into_vec(), value.into_vec()));
        }
        Ok(found)
    }

    fn last(&self, start: &[u8], end: &[u8]) -> Result<Option<KeyAndValue>, DeviceError> {
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(start);
        options.set_iterate_upper_bound(end);
        let last = self.db.iterator_opt(IteratorMode::End, options).next().transpose();
        Ok(last.map_err(failed("read"))?.map(|(key, value)| (key.into_vec(), value.into_vec())))
    }
}

impl Drop for RocksDevice {
    fn drop(&mut self) {
        drop(self.queue.take());
        // What was submitted is written before the directory may be opened again.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
