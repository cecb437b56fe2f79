//! A device on disk for few groups: a map in memory, and one append-only file that is written anew when most of it is dead.
//!
//! ```text
//! raft.log:  header  "TWRL" version:u32le
//!            record  len:u32le crc(len):u32le crc(offset, payload):u32le payload      (fsynced before the next one is begun)
//! payload:   op*     kind:u8 (1 put, 2 delete range) len:u32le bytes len:u32le bytes
//! ```
//!
//! What need not be durable at once waits in memory for the next write that must be, and goes into the same record. So a crash can only damage
//! the last record: a damaged one is *torn*, and is cut off, if no whole record follows it, and is *corruption* otherwise, which is reported and
//! never repaired. Checksums cover the place of a record, so that a copy of one inside of another's payload is not taken for a record.
//!
//! Left out: damage of the last record long after it was written looks like a torn one.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
    thread::JoinHandle,
};

use crossbeam_channel::{Receiver, Sender};
use parking_lot::RwLock;

use super::{
    DeviceError, KeyAndValue, KeysAndValues, LogDevice, LogOp, Urgency, Written, memory::take_steps,
};

const FILE_NAME: &str = "raft.log";
const REWRITE_NAME: &str = "raft.log.tmp";
const LOCK_NAME: &str = "raft.lock";
const MAGIC: &[u8; 4] = b"TWRL";
/// Raised when older releases could not read what is written.
const FORMAT: u32 = 1;
const FILE_HEADER: usize = 8;
const RECORD_HEADER: usize = 12;

/// Writes joined into one, at most.
const JOBS_MAX: usize = 1024;
/// Bytes joined into one record, at most (one job may be larger).
const BYTES_MAX: usize = 4 << 20;
/// Bytes that wait for an urgent write, at most.
const LATER_BYTES_MAX: usize = 1 << 20;
/// The file is written anew when it is longer than this and [`DEAD_FACTOR`] times what was live the last time.
const REWRITE_BYTES_MIN: u64 = 4 << 20;
const DEAD_FACTOR: u64 = 4;

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

/// Keeps logs in one file, and in memory: for a placement driver, whose log is small.
///
/// What was submitted while the last write was on its way becomes one record with one fsync.
pub struct FileDevice {
    map: Arc<RwLock<Map>>,
    queue: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    /// Held for the life of the device, so that no second process writes to the same log.
    _lock: File,
}

struct Job {
    ops: Vec<LogOp>,
    urgency: Urgency,
    written: Written,
}

impl FileDevice {
    /// Opens or creates the log in a directory.
    ///
    /// # Errors
    /// The directory is in use, cannot be read or written, or what it holds is damaged or of a newer release.
    pub fn open(directory: impl AsRef<Path>) -> Result<Self, DeviceError> {
        Self::open_with(directory.as_ref(), REWRITE_BYTES_MIN)
    }

    fn open_with(directory: &Path, rewrite_bytes_min: u64) -> Result<Self, DeviceError> {
        fs::create_dir_all(directory).map_err(failed("create its directory"))?;
        let lock = lock(directory)?;
        let path = directory.join(FILE_NAME);
        match fs::remove_file(directory.join(REWRITE_NAME)) {
            // It was not put in place: the old file is still the whole truth.
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed("remove an unfinished file")(error)),
        }
        if !path.exists() {
            write_whole(directory, &Map::new()).map_err(failed("create its file"))?;
        }
        let mut file =
            OpenOptions::new().read(true).append(true).open(&path).map_err(failed("open its file"))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed("read its file"))?;
        let (map, length) = parse(&bytes)?;
        if length < bytes.len() {
            tracing::info!(file = %path.display(), bytes = bytes.len() - length, "a torn end is cut off");
            file.set_len(length as u64).and_then(|()| file.sync_all()).map_err(failed("cut its torn end"))?;
        }
        let map = Arc::new(RwLock::new(map));
        let mut writer = Writer {
            directory: directory.to_owned(),
            file,
            length: length as u64,
            rewrite_at: 0,
            rewrite_bytes_min,
            map: map.clone(),
            later: Vec::new(),
            failure: None,
        };
        writer.plan_rewrite();
        let (queue, jobs) = crossbeam_channel::unbounded();
        let thread = std::thread::Builder::new()
            .name("raft-log".into())
            .spawn(move || writer.run(&jobs))
            .map_err(failed("start its thread"))?;
        Ok(Self { map, queue: Some(queue), thread: Some(thread), _lock: lock })
    }
}

impl LogDevice for FileDevice {
    fn submit(&self, ops: Vec<LogOp>, urgency: Urgency, written: Written) {
        let job = Job { ops, urgency, written };
        let Some(queue) = &self.queue else { return };
        if let Err(refused) = queue.send(job) {
            let reason = "its thread has ended".to_owned();
            (refused.into_inner().written)(Err(DeviceError::Failed { operation: "write", reason }));
        }
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, DeviceError> {
        Ok(self.map.read().get(key).cloned())
    }

    fn scan(&self, start: &[u8], end: &[u8], bytes_max: usize) -> Result<KeysAndValues, DeviceError> {
        Ok(super::memory::scan(&self.map.read(), start, end, bytes_max))
    }

    fn last(&self, start: &[u8], end: &[u8]) -> Result<Option<KeyAndValue>, DeviceError> {
        Ok(super::memory::last(&self.map.read(), start, end))
    }
}

impl Drop for FileDevice {
    fn drop(&mut self) {
        drop(self.queue.take());
        // What was submitted is written before the directory may be opened again.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The thread that owns the file.
struct Writer {
    directory: PathBuf,
    /// Open for appending: a record always goes to the end.
    file: File,
    length: u64,
    /// The length at which the file is written anew.
    rewrite_at: u64,
    rewrite_bytes_min: u64,
    map: Arc<RwLock<Map>>,
    /// The payload that waits for an urgent write.
    later: Vec<u8>,
    /// After a failure everything fails: nobody knows what is on disk.
    failure: Option<DeviceError>,
}

impl Writer {
    /// Ends when the device is dropped.
    fn run(mut self, jobs: &Receiver<Job>) {
        while let Ok(first) = jobs.recv() {
            let (mut all, mut waiting) = (Vec::new(), Vec::new());
            let mut urgency = Urgency::Later;
            let mut next = Some(first);
            while let Some(job) = next.take() {
                urgency = urgency.max(job.urgency);
                job.ops.iter().for_each(|op| encode(op, &mut self.later));
                all.extend(job.ops);
                waiting.push(job.written);
                if waiting.len() < JOBS_MAX && self.later.len() < BYTES_MAX {
                    next = jobs.try_recv().ok();
                }
            }
            if urgency == Urgency::Now || self.later.len() > LATER_BYTES_MAX {
                self.flush();
            }
            // Visible even if it is not durable: whoever reads it after the failure is told about that.
            take_steps(&mut self.map.write(), all);
            let result = self.failure.clone().map_or(Ok(()), Err);
            waiting.into_iter().for_each(|written| written(result.clone()));
            if self.failure.is_none() && self.length > self.rewrite_at {
                self.rewrite();
            }
        }
        self.flush();
    }

    fn flush(&mut self) {
        let payload = std::mem::take(&mut self.later);
        if self.failure.is_some() || payload.is_empty() {
            return;
        }
        let record = frame(self.length, &payload);
        let appended = self.file.write_all(&record).and_then(|()| self.file.sync_data());
        match appended {
            Ok(()) => self.length += record.len() as u64,
            Err(error) => self.failure = Some(failed("write")(error)),
        }
        metrics::counter!("tidewater_raft_log_writes_total").increment(1);
        metrics::counter!("tidewater_raft_log_syncs_total").increment(1);
    }

    /// Puts a file in place that holds what is live, with what is waiting.
    fn rewrite(&mut self) {
        let written = write_whole(&self.directory, &self.map.read()).and_then(|length| {
            let path = self.directory.join(FILE_NAME);
            Ok((OpenOptions::new().read(true).append(true).open(path)?, length))
        });
        match written {
            Ok((file, length)) => {
                self.file = file;
                self.length = length;
                self.later.clear();
                self.plan_rewrite();
            }
            // The rename may have happened: the open file may not be the one on disk any more.
            Err(error) => self.failure = Some(failed("write its file anew")(error)),
        }
    }

    fn plan_rewrite(&mut self) {
        let map = self.map.read();
        let live: u64 = map.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum();
        self.rewrite_at = self.rewrite_bytes_min.max(live * DEAD_FACTOR);
    }
}

fn failed(operation: &'static str) -> impl Fn(io::Error) -> DeviceError {
    move |error| DeviceError::Failed { operation, reason: error.to_string() }
}

fn lock(directory: &Path) -> Result<File, DeviceError> {
    let path = directory.join(LOCK_NAME);
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path);
    let file = file.map_err(failed("open its lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(DeviceError::Failed {
            operation: "open",
            reason: format!("{} is in use by another process", directory.display()),
        }),
        Err(fs::TryLockError::Error(error)) => Err(failed("take its lock")(error)),
    }
}

/// Writes a file with this content and puts it in place; returns its length.
fn write_whole(directory: &Path, map: &Map) -> io::Result<u64> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(FORMAT.to_le_bytes());
    let mut payload = Vec::new();
    for (key, value) in map {
        encode_pair(PUT, key, value, &mut payload);
        if payload.len() > BYTES_MAX {
            bytes.extend(frame(bytes.len() as u64, &std::mem::take(&mut payload)));
        }
    }
    if !payload.is_empty() {
        bytes.extend(frame(bytes.len() as u64, &payload));
    }
    let path = directory.join(REWRITE_NAME);
    let mut file = File::create(&path)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    fs::rename(&path, directory.join(FILE_NAME))?;
    File::open(directory)?.sync_all()?;
    Ok(bytes.len() as u64)
}

const PUT: u8 = 1;
const DELETE_RANGE: u8 = 2;

fn encode(op: &LogOp, payload: &mut Vec<u8>) {
    match op {
        LogOp::Put(key, value) => encode_pair(PUT, key, value, payload),
        LogOp::DeleteRange(start, end) => encode_pair(DELETE_RANGE, start, end, payload),
    }
}

fn encode_pair(kind: u8, first: &[u8], second: &[u8], payload: &mut Vec<u8>) {
    payload.push(kind);
    for bytes in [first, second] {
        let length = u32::try_from(bytes.len()).expect("entries stay far below 4 GiB");
        payload.extend(length.to_le_bytes());
        payload.extend(bytes);
    }
}

fn frame(offset: u64, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("records stay far below 4 GiB").to_le_bytes();
    let mut record = Vec::with_capacity(RECORD_HEADER + payload.len());
    record.extend(length);
    record.extend(crc32fast::hash(&length).to_le_bytes());
    record.extend(checksum(offset, payload).to_le_bytes());
    record.extend(payload);
    record
}

fn checksum(offset: u64, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&offset.to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}

/// The content of a file, and how many of its bytes are good.
fn parse(bytes: &[u8]) -> Result<(Map, usize), DeviceError> {
    let corrupt = |reason: String| DeviceError::Corrupt { what: "file", reason };
    let Some((header, _)) =
        bytes.split_at_checked(FILE_HEADER).filter(|(header, _)| header.starts_with(MAGIC))
    else {
        return Err(corrupt("it is not a Raft log".to_owned()));
    };
    let found = u32_at(header, 4);
    if found > FORMAT {
        return Err(DeviceError::NewerFormat { found, supported: FORMAT });
    }
    let mut map = Map::new();
    let mut offset = FILE_HEADER;
    while offset < bytes.len() {
        let damage = || {
            corrupt(format!(
                "damaged at offset {offset}; remove this member from its cluster and join it again empty"
            ))
        };
        let Some(payload) = record_at(bytes, offset) else {
            return match (offset + 1..bytes.len()).any(|later| record_at(bytes, later).is_some()) {
                true => Err(damage()),
                false => Ok((map, offset)),
            };
        };
        take_steps(&mut map, decode(payload).ok_or_else(damage)?);
        offset += RECORD_HEADER + payload.len();
    }
    Ok((map, offset))
}

/// The payload of the record that begins here, if a whole one does.
fn record_at(bytes: &[u8], offset: usize) -> Option<&[u8]> {
    let (header, rest) = bytes[offset..].split_at_checked(RECORD_HEADER)?;
    let length = u32_at(header, 0) as usize;
    if length > rest.len() || crc32fast::hash(&header[..4]) != u32_at(header, 4) {
        return None;
    }
    let payload = &rest[..length];
    (checksum(offset as u64, payload) == u32_at(header, 8)).then_some(payload)
}

fn decode(mut payload: &[u8]) -> Option<Vec<LogOp>> {
    let mut ops = Vec::new();
    while let Some((&kind, rest)) = payload.split_first() {
        let (first, rest) = take(rest)?;
        let (second, rest) = take(rest)?;
        ops.push(match kind {
            PUT => LogOp::Put(first.to_vec(), second.to_vec()),
            DELETE_RANGE => LogOp::DeleteRange(first.to_vec(), second.to_vec()),
            _ => return None,
        });
        payload = rest;
    }
    Some(ops)
}

fn take(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_at_checked(4)?;
    rest.split_at_checked(u32_at(length, 0) as usize)
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[offset..offset + 4]);
    u32::from_le_bytes(word)
}

#[cfg(test)]
mod tests;
