//! Records in one append-only file that is rewritten when most of it is dead.
//!
//! ```text
//! pd.log:  header  "TWPD" version:u32le
//!          record  len:u32le crc(len):u32le crc(payload):u32le payload      (one per batch, fsynced before it is answered)
//! payload: entry*  flag:u8 (1 put, 0 delete) name_len:u32le name [value_len:u32le value]
//! ```
//!
//! A crash can only damage the last record, because each is durable before the next begins. So a bad record is *torn*, and is cut off, if
//! nothing but zeros follows it, and is *corruption* otherwise, which is reported and never repaired silently. The length has a checksum
//! of its own, or a flipped bit in it would make a damaged record look like the last one.
//!
//! Rewriting goes to a second file that replaces the first by a rename, with the directory fsynced after it.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use super::{Batch, Residence, Storage, apply};
use crate::StorageError;

const FILE_NAME: &str = "pd.log";
const REWRITE_NAME: &str = "pd.log.tmp";
const LOCK_NAME: &str = "pd.lock";
const MAGIC: &[u8; 4] = b"TWPD";
const VERSION: u32 = 1;
const FILE_HEADER: usize = 8;
const RECORD_HEADER: usize = 12;

/// Rewrite when the file is larger than this and more than [`DEAD_FACTOR`] times what is live.
const REWRITE_BYTES_MIN: u64 = 1 << 20;
const DEAD_FACTOR: u64 = 4;

/// Records in a directory of the local disk. See the source of the module for the format and its crash rules.
#[derive(Debug)]
pub struct FileStorage {
    path: PathBuf,
    state: Mutex<State>,
    /// Held for the life of the storage, so that no second process writes to the same log.
    _lock: File,
}

#[derive(Debug)]
struct State {
    file: File,
    /// Bytes known to be good; the file may be longer after a failed append.
    length: u64,
    records: BTreeMap<String, Vec<u8>>,
    poisoned: bool,
}

impl FileStorage {
    /// Opens the log in `directory`, creating both if needed.
    pub fn open(directory: impl AsRef<Path>) -> Result<Self, StorageError> {
        let directory = directory.as_ref();
        fs::create_dir_all(directory).map_err(failed("create", directory))?;
        let lock = lock(directory)?;
        let path = directory.join(FILE_NAME);
        let rewrite = directory.join(REWRITE_NAME);
        if rewrite.exists() {
            // A rewrite that was not renamed: the old file is still the whole truth.
            fs::remove_file(&rewrite).map_err(failed("remove", &rewrite))?;
        }
        if !path.exists() {
            write_whole(directory, &BTreeMap::new())?;
        }
        let mut file =
            OpenOptions::new().read(true).write(true).open(&path).map_err(failed("open", &path))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed("read", &path))?;
        let (records, length) = parse(&path, &bytes)?;
        if length < bytes.len() {
            file.set_len(length as u64).map_err(failed("truncate", &path))?;
            file.sync_all().map_err(failed("sync", &path))?;
        }
        let state = State { file, length: length as u64, records, poisoned: false };
        Ok(Self { path, state: Mutex::new(state), _lock: lock })
    }

    fn directory(&self) -> &Path {
        self.path.parent().expect("the path was joined from a directory and a name")
    }

    fn append(&self, state: &mut State, payload: &[u8]) -> Result<(), StorageError> {
        let record = frame(payload);
        let appended = (|| {
            state.file.seek(SeekFrom::Start(state.length))?;
            state.file.write_all(&record)
        })();
        if let Err(source) = appended {
            // What reached the file is unknown: cut it off, or refuse everything from here on.
            state.poisoned = state.file.set_len(state.length).is_err();
            return Err(failed("append to", &self.path)(source));
        }
        if let Err(source) = state.file.sync_data() {
            // After a failed fsync the kernel may have dropped the pages: nothing read back proves anything.
            state.poisoned = true;
            return Err(failed("sync", &self.path)(source));
        }
        state.length += record.len() as u64;
        Ok(())
    }

    fn rewrite(&self, state: &mut State) -> Result<(), StorageError> {
        let replaced = write_whole(self.directory(), &state.records).and_then(|length| {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .open(&self.path)
                .map_err(failed("open", &self.path))?;
            Ok((file, length))
        });
        match replaced {
            Ok((file, length)) => {
                state.file = file;
                state.length = length;
                Ok(())
            }
            Err(error) => {
                // The rename may have happened: the open file may not be the one on disk any more.
                state.poisoned = true;
                Err(error)
            }
        }
    }
}

impl Storage for FileStorage {
    fn load(&self) -> Result<BTreeMap<String, Vec<u8>>, StorageError> {
        Ok(self.state.lock().records.clone())
    }

    fn write(&self, batch: Batch) -> Result<(), StorageError> {
        let mut state = self.state.lock();
        if state.poisoned {
            return Err(StorageError::Poisoned { path: self.path.clone() });
        }
        let payload = encode(&batch);
        self.append(&mut state, &payload)?;
        apply(&mut state.records, batch);
        let live: u64 = state.records.iter().map(|(name, value)| (name.len() + value.len()) as u64).sum();
        if state.length > REWRITE_BYTES_MIN && state.length / DEAD_FACTOR > live {
            // The batch is durable already; a failed rewrite shows at the next write.
            if let Err(error) = self.rewrite(&mut state) {
                tracing::error!(%error, "cannot rewrite the placement driver's log");
            }
        }
        Ok(())
    }

    fn residence(&self) -> Residence {
        Residence::Disk
    }
}

fn failed<'a>(action: &'static str, path: &'a Path) -> impl Fn(io::Error) -> StorageError + 'a {
    move |source| StorageError::Io { action, path: path.to_owned(), source }
}

fn lock(directory: &Path) -> Result<File, StorageError> {
    let path = directory.join(LOCK_NAME);
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(failed("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(StorageError::InUse { path: directory.to_owned() }),
        Err(fs::TryLockError::Error(source)) => Err(failed("lock", &path)(source)),
    }
}

/// Writes a fresh log with these records and puts it in place; returns its length.
fn write_whole(directory: &Path, records: &BTreeMap<String, Vec<u8>>) -> Result<u64, StorageError> {
    let path = directory.join(REWRITE_NAME);
    let mut bytes = Vec::new();
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    if !records.is_empty() {
        let batch: Batch = records.iter().map(|(name, value)| (name.clone(), Some(value.clone()))).collect();
        bytes.extend_from_slice(&frame(&encode(&batch)));
    }
    let mut file = File::create(&path).map_err(failed("create", &path))?;
    file.write_all(&bytes).map_err(failed("write", &path))?;
    file.sync_all().map_err(failed("sync", &path))?;
    let target = directory.join(FILE_NAME);
    fs::rename(&path, &target).map_err(failed("rename", &path))?;
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed("sync", directory))?;
    Ok(bytes.len() as u64)
}

fn frame(payload: &[u8]) -> Vec<u8> {
    let length =
        u32::try_from(payload.len()).expect("batches of metadata stay far below 4 GiB").to_le_bytes();
    let mut record = Vec::with_capacity(RECORD_HEADER + payload.len());
    record.extend_from_slice(&length);
    record.extend_from_slice(&crc32fast::hash(&length).to_le_bytes());
    record.extend_from_slice(&crc32fast::hash(payload).to_le_bytes());
    record.extend_from_slice(payload);
    record
}

fn encode(batch: &Batch) -> Vec<u8> {
    let mut payload = Vec::new();
    let put = |bytes: &[u8]| {
        let length = u32::try_from(bytes.len()).expect("records of metadata stay far below 4 GiB");
        [length.to_le_bytes().as_slice(), bytes].concat()
    };
    for (name, value) in batch {
        payload.push(u8::from(value.is_some()));
        payload.extend(put(name.as_bytes()));
        if let Some(value) = value {
            payload.extend(put(value));
        }
    }
    payload
}

/// The records of a log, and how many of its bytes are good.
fn parse(path: &Path, bytes: &[u8]) -> Result<(BTreeMap<String, Vec<u8>>, usize), StorageError> {
    let Some((header, _)) =
        bytes.split_at_checked(FILE_HEADER).filter(|(header, _)| header.starts_with(MAGIC))
    else {
        return Err(StorageError::NotOurs { path: path.to_owned() });
    };
    let found = u32_at(header, 4);
    if found > VERSION {
        return Err(StorageError::Newer { path: path.to_owned(), found, supported: VERSION });
    }
    let mut records = BTreeMap::new();
    let mut offset = FILE_HEADER;
    while offset < bytes.len() {
        let corrupt = || StorageError::Corrupt { path: path.to_owned(), offset: offset as u64 };
        match read_record(&bytes[offset..]) {
            Record::Good { payload, length } => {
                apply(&mut records, decode(payload).ok_or_else(corrupt)?);
                offset += length;
            }
            Record::Torn => break,
            Record::Corrupt => return Err(corrupt()),
        }
    }
    Ok((records, offset))
}

enum Record<'a> {
    Good { payload: &'a [u8], length: usize },
    Torn,
    Corrupt,
}

fn read_record(bytes: &[u8]) -> Record<'_> {
    let Some((header, rest)) = bytes.split_at_checked(RECORD_HEADER) else {
        return Record::Torn;
    };
    if crc32fast::hash(&header[..4]) != u32_at(header, 4) {
        return if all_zero(rest) { Record::Torn } else { Record::Corrupt };
    }
    let length = u32_at(header, 0) as usize;
    let Some((payload, after)) = rest.split_at_checked(length) else {
        return Record::Torn;
    };
    if crc32fast::hash(payload) == u32_at(header, 8) {
        return Record::Good { payload, length: RECORD_HEADER + length };
    }
    if all_zero(after) { Record::Torn } else { Record::Corrupt }
}

fn decode(mut payload: &[u8]) -> Option<Batch> {
    let mut batch = Batch::new();
    while let Some((&flag, rest)) = payload.split_first() {
        let (name, rest) = take(rest)?;
        let name = String::from_utf8(name.to_vec()).ok()?;
        let (value, rest) = match flag {
            0 => (None, rest),
            1 => take(rest).map(|(value, rest)| (Some(value.to_vec()), rest))?,
            _ => return None,
        };
        batch.push((name, value));
        payload = rest;
    }
    Some(batch)
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

fn all_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte == 0)
}

#[cfg(test)]
mod tests;
