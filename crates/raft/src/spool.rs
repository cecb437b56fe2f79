//! Where snapshots wait until all of them has come: outside of memory, where there is a disk.
//!
//! In a folder every snapshot on its way is a file of frames, each with the length and the checksum of one piece, and a last frame that says how many
//! they are. A file without that frame, or one that was changed since, is no snapshot.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{self, BufReader, Read, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::machine::{MachineError, Pieces};

/// The longest piece that is taken in: senders cut at a sixteenth of this.
const PIECE_BYTES_MAX: usize = 64 << 20;
/// In place of a length: the frame that ends a file.
const END: u32 = u32::MAX;
/// The bytes before the data of a frame: its length and its checksum.
const FRAME_HEAD_BYTES: usize = 8;
/// The ending of the names of our files.
const SUFFIX: &str = ".snapshot";

/// Why a snapshot cannot be kept, or read again.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The folder or a file in it cannot be used.
    #[error("cannot {operation} the received snapshot in {}: {source}", .path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is not what was written, or was never written to its end.
    #[error("the received snapshot {name} is damaged: {reason}")]
    Damaged {
        /// Its name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A piece that nobody would send.
    #[error("a piece of {0} bytes is too long")]
    TooLong(usize),
}

fn failed(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SpoolError {
    move |source| SpoolError::Io { operation, path: path.to_owned(), source }
}

enum Place {
    Memory(Mutex<BTreeMap<String, Vec<Bytes>>>),
    Folder(PathBuf),
}

/// The snapshots of one store that are on their way here, or are being installed.
pub struct Spools {
    place: Place,
    bytes: AtomicU64,
}

impl Spools {
    /// In memory: for stores without a disk, and for simulations.
    pub fn in_memory() -> Arc<Self> {
        Arc::new(Self { place: Place::Memory(Mutex::default()), bytes: AtomicU64::new(0) })
    }

    /// In a folder, which is made if it is not there. Nothing else may be in it.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn in_folder(path: impl Into<PathBuf>) -> Result<Arc<Self>, SpoolError> {
        let path = path.into();
        fs::create_dir_all(&path).map_err(failed("make the folder of", &path))?;
        Ok(Arc::new(Self { place: Place::Folder(path), bytes: AtomicU64::new(0) }))
    }

    /// What a crash leaves of snapshots in memory, as if they were on a disk: a copy of its own.
    pub fn survivor(&self) -> Arc<Self> {
        let kept = match &self.place {
            Place::Memory(kept) => kept.lock().clone(),
            Place::Folder(_) => BTreeMap::new(),
        };
        Arc::new(Self { place: Place::Memory(Mutex::new(kept)), bytes: AtomicU64::new(0) })
    }

    /// Bytes of all pieces that are kept now.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whether nothing here waits for a device.
    pub(crate) fn is_in_memory(&self) -> bool {
        matches!(self.place, Place::Memory(_))
    }

    /// Forgets all snapshots but these: for a store that opens, and knows which of them it was installing.
    ///
    /// # Errors
    /// The folder cannot be read, or a file in it not removed.
    pub fn retain(&self, names: &BTreeSet<String>) -> Result<(), SpoolError> {
        let folder = match &self.place {
            Place::Memory(kept) => {
                kept.lock().retain(|name, _| names.contains(name));
                return Ok(());
            }
            Place::Folder(folder) => folder,
        };
        for entry in fs::read_dir(folder).map_err(failed("list", folder))? {
            let entry = entry.map_err(failed("list", folder))?;
            let file_name = entry.file_name();
            let name = file_name.to_str().and_then(|name| name.strip_suffix(SUFFIX));
            if name.is_some_and(|name| !names.contains(name)) {
                fs::remove_file(entry.path()).map_err(failed("remove", &entry.path()))?;
            }
        }
        Ok(())
    }

    /// A snapshot that was kept before this process; `None` if there is none of this name.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub fn open(self: &Arc<Self>, name: &str) -> Result<Option<Spooled>, SpoolError> {
        let (is_there, bytes) = match &self.place {
            Place::Memory(kept) => (kept.lock().contains_key(name), 0),
            Place::Folder(folder) => {
                let path = path_of(folder, name);
                match fs::metadata(&path) {
                    Ok(found) => (true, found.len()),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => (false, 0),
                    Err(error) => return Err(failed("find", &path)(error)),
                }
            }
        };
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(is_there.then(|| Spooled { kept: Kept { spools: self.clone(), name: name.to_owned(), bytes } }))
    }

    /// Keeps a whole snapshot under a name; it survives a power failure when this returns, where there is a disk.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn keep(
        self: &Arc<Self>,
        name: &str,
        pieces: impl IntoIterator<Item = Bytes>,
    ) -> Result<Spooled, SpoolError> {
        let mut spooling = self.begin(name.to_owned())?;
        for piece in pieces {
            spooling.push(&piece)?;
        }
        spooling.finish()
    }

    /// Begins to keep a snapshot.
    pub(crate) fn begin(self: &Arc<Self>, name: String) -> Result<Spooling, SpoolError> {
        let file = match &self.place {
            Place::Memory(kept) => {
                kept.lock().insert(name.clone(), Vec::new());
                None
            }
            Place::Folder(folder) => {
                let path = path_of(folder, &name);
                Some(File::create(&path).map_err(failed("make", &path))?)
            }
        };
        let kept = Kept { spools: self.clone(), name, bytes: 0 };
        Ok(Spooling { kept, file, count: 0 })
    }

    fn remove(&self, name: &str) {
        match &self.place {
            Place::Memory(kept) => drop(kept.lock().remove(name)),
            Place::Folder(folder) => {
                let path = path_of(folder, name);
                if let Err(error) = fs::remove_file(&path)
                    && error.kind() != io::ErrorKind::NotFound
                {
                    // The next start tries again.
                    tracing::warn!(%error, path = %path.display(), "a received snapshot is still here");
                }
            }
        }
    }
}

fn path_of(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}{SUFFIX}"))
}

/// A snapshot's place, which is given back when this is dropped.
struct Kept {
    spools: Arc<Spools>,
    name: String,
    bytes: u64,
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.spools.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.spools.remove(&self.name);
    }
}

/// A snapshot of which some pieces are here.
pub(crate) struct Spooling {
    kept: Kept,
    file: Option<File>,
    count: u32,
}

impl Spooling {
    /// How many pieces are here.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// Keeps the next piece.
    pub(crate) fn push(&mut self, data: &Bytes) -> Result<(), SpoolError> {
        if data.len() > PIECE_BYTES_MAX {
            return Err(SpoolError::TooLong(data.len()));
        }
        match (&self.kept.spools.place, &mut self.file) {
            (Place::Memory(kept), _) => {
                kept.lock().entry(self.kept.name.clone()).or_default().push(data.clone());
            }
            (Place::Folder(folder), Some(file)) => {
                let mut head = [0; FRAME_HEAD_BYTES];
                head[..4].copy_from_slice(&(data.len() as u32).to_le_bytes());
                head[4..].copy_from_slice(&crc32fast::hash(data).to_le_bytes());
                let written = file.write_all(&head).and_then(|()| file.write_all(data));
                written.map_err(failed("write", &path_of(folder, &self.kept.name)))?;
            }
            (Place::Folder(_), None) => {}
        }
        self.count += 1;
        self.kept.bytes += data.len() as u64;
        self.kept.spools.bytes.fetch_add(data.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// All pieces are here; on a disk they survive a power failure when this returns. Waits for the device.
    pub(crate) fn finish(self) -> Result<Spooled, SpoolError> {
        let Self { kept, file, count } = self;
        if let (Place::Folder(folder), Some(mut file)) = (&kept.spools.place, file) {
            let path = path_of(folder, &kept.name);
            let mut end = [0; FRAME_HEAD_BYTES];
            end[..4].copy_from_slice(&END.to_le_bytes());
            end[4..].copy_from_slice(&count.to_le_bytes());
            file.write_all(&end).and_then(|()| file.sync_all()).map_err(failed("sync", &path))?;
            let folder_file = File::open(folder).map_err(failed("open the folder of", folder))?;
            folder_file.sync_all().map_err(failed("sync the folder of", folder))?;
        }
        Ok(Spooled { kept })
    }
}

/// A whole snapshot, as it came. It is removed when this is dropped, unless [`Self::leave`] is called.
pub struct Spooled {
    kept: Kept,
}

impl Spooled {
    /// By which it is found again: see [`Spools::open`].
    pub fn name(&self) -> &str {
        &self.kept.name
    }

    /// Bytes of its pieces.
    pub fn bytes(&self) -> u64 {
        self.kept.bytes
    }

    /// The pieces in order, read one at a time. A damaged one is an error in its place.
    ///
    /// # Errors
    /// The file is not there any more.
    pub fn pieces(&self) -> Result<Pieces, SpoolError> {
        match &self.kept.spools.place {
            Place::Memory(kept) => {
                let pieces = kept.lock().get(&self.kept.name).cloned().unwrap_or_default();
                Ok(Box::new(pieces.into_iter().map(Ok)))
            }
            Place::Folder(folder) => {
                let path = path_of(folder, &self.kept.name);
                let file = File::open(&path).map_err(failed("open", &path))?;
                let name = self.kept.name.clone();
                let mut frames = Frames { file: BufReader::new(file), path, name, count: 0, is_over: false };
                Ok(Box::new(std::iter::from_fn(move || {
                    frames.next().map_err(|error| MachineError(error.to_string())).transpose()
                })))
            }
        }
    }

    /// Lets it be where it is, for whoever opens it by its name.
    pub fn leave(self) {
        let mut kept = self.kept;
        // Nothing is called so.
        let name = std::mem::take(&mut kept.name);
        tracing::debug!(name, "a received snapshot is left for later");
    }
}

/// The frames of a file.
struct Frames {
    file: BufReader<File>,
    path: PathBuf,
    name: String,
    count: u32,
    is_over: bool,
}

impl Frames {
    fn damaged(&self, reason: &'static str) -> SpoolError {
        SpoolError::Damaged { name: self.name.clone(), reason }
    }

    fn next(&mut self) -> Result<Option<Bytes>, SpoolError> {
        if self.is_over {
            return Ok(None);
        }
        let found = self.read();
        // Nothing is to be had behind an error.
        self.is_over = !matches!(found, Ok(Some(_)));
        found
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), SpoolError> {
        match self.file.read_exact(buffer) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(self.damaged("its end is missing"))
            }
            Err(error) => Err(failed("read", &self.path)(error)),
        }
    }

    fn read(&mut self) -> Result<Option<Bytes>, SpoolError> {
        let mut head = [0; FRAME_HEAD_BYTES];
        self.fill(&mut head)?;
        let [a, b, c, d, rest @ ..] = head;
        let (length, check) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes(rest));
        if length == END {
            return if check == self.count { Ok(None) } else { Err(self.damaged("pieces are missing")) };
        }
        if length as usize > PIECE_BYTES_MAX {
            return Err(self.damaged("a length makes no sense"));
        }
        let mut data = vec![0; length as usize];
        self.fill(&mut data)?;
        if crc32fast::hash(&data) != check {
            return Err(self.damaged("a checksum is wrong"));
        }
        self.count += 1;
        Ok(Some(data.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(snapshot: &Spooled) -> Result<Vec<Bytes>, MachineError> {
        snapshot.pieces().map_err(|error| MachineError(error.to_string()))?.collect()
    }

    fn files(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn what_is_kept_is_read_again_and_goes_with_its_handle() {
        let folder = tempfile::tempdir().unwrap();
        for spools in [Spools::in_memory(), Spools::in_folder(folder.path()).unwrap()] {
            let pieces = [Bytes::from_static(b"one"), Bytes::new(), Bytes::from(vec![7; 300_000])];
            let mut spooling = spools.begin("a".to_owned()).unwrap();
            pieces.iter().for_each(|piece| spooling.push(piece).unwrap());
            assert_eq!((spooling.count(), spools.bytes()), (3, 300_003));
            let whole = spooling.finish().unwrap();
            assert_eq!(read_all(&whole).unwrap(), pieces);
            whole.leave();
            let again = spools.open("a").unwrap().unwrap();
            assert_eq!(read_all(&again).unwrap(), pieces);
            drop(again);
            assert!(spools.open("a").unwrap().is_none());
            drop(spools.begin("b".to_owned()).unwrap());
            assert!(spools.open("b").unwrap().is_none());
        }
        assert_eq!(files(folder.path()), 0);
    }

    #[test]
    fn any_changed_or_missing_byte_of_a_file_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let spools = Spools::in_folder(folder.path()).unwrap();
        let mut spooling = spools.begin("a".to_owned()).unwrap();
        ["first", "second"]
            .iter()
            .for_each(|piece| spooling.push(&Bytes::from_static(piece.as_bytes())).unwrap());
        let whole = spooling.finish().unwrap();
        let path = path_of(folder.path(), "a");
        let bytes = fs::read(&path).unwrap();
        for position in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[position] ^= 0x40;
            fs::write(&path, &damaged).unwrap();
            assert!(read_all(&whole).is_err(), "byte {position}");
            fs::write(&path, &bytes[..position]).unwrap();
            assert!(read_all(&whole).is_err(), "{position} bytes");
        }
        fs::write(&path, &bytes).unwrap();
        assert_eq!(read_all(&whole).unwrap().len(), 2);
    }

    #[test]
    fn a_start_clears_what_nobody_waits_for() {
        let folder = tempfile::tempdir().unwrap();
        let spools = Spools::in_folder(folder.path()).unwrap();
        for name in ["a", "b"] {
            spools.begin(name.to_owned()).unwrap().finish().unwrap().leave();
        }
        spools.retain(&BTreeSet::from(["b".to_owned()])).unwrap();
        assert!(spools.open("a").unwrap().is_none());
        assert_eq!(files(folder.path()), 1);
        assert!(spools.open("b").unwrap().is_some());
    }
}
