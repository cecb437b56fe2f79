//! One file of pairs in key order.
//!
//! A magic number, then blocks: length and CRC-32 of what follows, then pairs compressed by LZ4; a pair is the two lengths, the key, the value. All numbers
//! have four bytes, the least significant first.

use std::{
    fs::File,
    io::{BufWriter, Read, Write},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::{BackupError, FileEntry};

const MAGIC: &[u8; 16] = b"tidewater-backup";
/// Bytes of pairs in a block before it is compressed.
const BLOCK_BYTES: usize = 1 << 20;
/// A block that claims to be larger is damaged: no pair is.
const BLOCK_BYTES_MAX: usize = 1 << 30;

/// A pair of a key and its value.
pub(crate) type Pair = (Bytes, Bytes);

/// Writes a file; its calls wait for the device.
pub(crate) struct FileWriter {
    path: PathBuf,
    name: String,
    file: BufWriter<File>,
    hash: Sha256,
    block: Vec<u8>,
    first_key: Option<Bytes>,
    last_key: Bytes,
    pairs: u64,
    bytes: u64,
    len: u64,
}

impl FileWriter {
    pub(crate) fn create(folder: &Path, name: String) -> Result<Self, BackupError> {
        let path = folder.join(&name);
        let file = File::create_new(&path).map_err(BackupError::io(&path))?;
        let mut writer = Self {
            path,
            name,
            file: BufWriter::new(file),
            hash: Sha256::new(),
            block: Vec::with_capacity(BLOCK_BYTES + BLOCK_BYTES / 8),
            first_key: None,
            last_key: Bytes::new(),
            pairs: 0,
            bytes: 0,
            len: 0,
        };
        writer.append(MAGIC)?;
        Ok(writer)
    }

    /// Bytes of keys and values so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn add(&mut self, pairs: &[Pair]) -> Result<(), BackupError> {
        for (key, value) in pairs {
            self.block.extend_from_slice(&(key.len() as u32).to_le_bytes());
            self.block.extend_from_slice(&(value.len() as u32).to_le_bytes());
            self.block.extend_from_slice(key);
            self.block.extend_from_slice(value);
            self.first_key.get_or_insert_with(|| key.clone());
            self.pairs += 1;
            self.bytes += (key.len() + value.len()) as u64;
            if self.block.len() >= BLOCK_BYTES {
                self.end_block()?;
            }
        }
        if let Some((key, _)) = pairs.last() {
            self.last_key = key.clone();
        }
        Ok(())
    }

    /// Makes the file durable; `None` if there is nothing in it, and then it is gone.
    pub(crate) fn finish(mut self) -> Result<Option<FileEntry>, BackupError> {
        let Some(first_key) = self.first_key.take() else {
            drop(self.file);
            return std::fs::remove_file(&self.path).map(|()| None).map_err(BackupError::io(&self.path));
        };
        self.end_block()?;
        let file = self.file.into_inner().map_err(|error| BackupError::io(&self.path)(error.into_error()))?;
        file.sync_all().map_err(BackupError::io(&self.path))?;
        Ok(Some(FileEntry {
            name: self.name,
            first_key: hex::encode(first_key),
            last_key: hex::encode(self.last_key),
            pairs: self.pairs,
            bytes: self.bytes,
            len: self.len,
            sha256: hex::encode(self.hash.finalize()),
        }))
    }

    fn end_block(&mut self) -> Result<(), BackupError> {
        if self.block.is_empty() {
            return Ok(());
        }
        let packed = lz4_flex::compress_prepend_size(&self.block);
        self.block.clear();
        self.append(&(packed.len() as u32).to_le_bytes())?;
        self.append(&crc32fast::hash(&packed).to_le_bytes())?;
        self.append(&packed)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), BackupError> {
        self.hash.update(bytes);
        self.len += bytes.len() as u64;
        self.file.write_all(bytes).map_err(BackupError::io(&self.path))
    }
}

/// Reads a file that was checked as a whole, block by block; its calls wait for the device.
pub(crate) struct FileReader {
    path: PathBuf,
    file: std::io::BufReader<File>,
}

impl FileReader {
    /// Opens a file after it was found to be what the manifest says.
    pub(crate) fn open(folder: &Path, entry: &FileEntry) -> Result<Self, BackupError> {
        let path = folder.join(&entry.name);
        check(&path, entry)?;
        let file = File::open(&path).map_err(BackupError::io(&path))?;
        let mut reader = Self { file: std::io::BufReader::new(file), path };
        let mut magic = [0; MAGIC.len()];
        reader.fill(&mut magic)?;
        match magic == *MAGIC {
            true => Ok(reader),
            false => Err(BackupError::damaged(&reader.path, "it does not begin as a file of a backup")),
        }
    }

    /// The pairs of the next block; `None` at the end.
    pub(crate) fn next_block(&mut self) -> Result<Option<Vec<Pair>>, BackupError> {
        let mut len = [0; 4];
        match self.file.read(&mut len[..1]).map_err(BackupError::io(&self.path))? {
            0 => return Ok(None),
            _ => self.fill(&mut len[1..])?,
        }
        let len = u32::from_le_bytes(len) as usize;
        let mut crc = [0; 4];
        self.fill(&mut crc)?;
        if len > BLOCK_BYTES_MAX {
            return Err(BackupError::damaged(&self.path, format!("a block claims to have {len} bytes")));
        }
        let mut packed = vec![0; len];
        self.fill(&mut packed)?;
        if crc32fast::hash(&packed) != u32::from_le_bytes(crc) {
            return Err(BackupError::damaged(&self.path, "the checksum of a block is wrong"));
        }
        let claimed = packed.first_chunk::<4>().map_or(0, |size| u32::from_le_bytes(*size) as usize);
        if claimed > BLOCK_BYTES_MAX {
            return Err(BackupError::damaged(&self.path, format!("a block claims to hold {claimed} bytes")));
        }
        let block = lz4_flex::decompress_size_prepended(&packed)
            .map_err(|error| BackupError::damaged(&self.path, error))?;
        match cut(Bytes::from(block)) {
            Some(pairs) => Ok(Some(pairs)),
            None => Err(BackupError::damaged(&self.path, "a block ends within a pair")),
        }
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), BackupError> {
        self.file.read_exact(buffer).map_err(BackupError::io(&self.path))
    }
}

/// The pairs of a block, which share its memory.
fn cut(mut block: Bytes) -> Option<Vec<Pair>> {
    let mut pairs = Vec::new();
    while !block.is_empty() {
        let number = |at: usize| {
            let bytes = block.get(at..at + 4)?;
            Some(u32::from_le_bytes(bytes.try_into().ok()?) as usize)
        };
        let (key_len, value_len) = (number(0)?, number(4)?);
        let end = 8_usize.checked_add(key_len)?.checked_add(value_len)?;
        if end > block.len() {
            return None;
        }
        pairs.push((block.slice(8..8 + key_len), block.slice(8 + key_len..end)));
        block = block.slice(end..);
    }
    Some(pairs)
}

fn check(path: &Path, entry: &FileEntry) -> Result<(), BackupError> {
    let mut file = File::open(path).map_err(BackupError::io(path))?;
    let len = file.metadata().map_err(BackupError::io(path))?.len();
    if len != entry.len {
        return Err(BackupError::damaged(path, format!("it has {len} bytes, not {}", entry.len)));
    }
    let mut hash = Sha256::new();
    std::io::copy(&mut file, &mut hash).map_err(BackupError::io(path))?;
    match hex::encode(hash.finalize()) == entry.sha256 {
        true => Ok(()),
        false => Err(BackupError::damaged(path, "its SHA-256 is another")),
    }
}
