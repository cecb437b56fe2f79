//! Out of a directory into an empty cluster.

use std::{
    ops::Range,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use tidewater_codec::{Key, TimeStamp};
use tidewater_txn::{TxnClient, TxnKind, TxnOptions};
use tokio::task::spawn_blocking;

use crate::{
    BackupError, FileEntry, Manifest, Progress,
    file::{FileReader, Pair},
};

/// What to restore.
#[derive(Debug, Clone)]
pub struct RestoreOptions {
    /// The backup.
    pub folder: PathBuf,
    /// Keys that make sense of the others: they are written when all others are there.
    pub last: Option<Range<Key>>,
    /// Go on after a restore that did not end: there may be keys, but none of `last`.
    pub resume: bool,
    /// How many files are read at the same time.
    pub parallelism: usize,
}

impl RestoreOptions {
    /// All of a backup.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), last: None, resume: false, parallelism: 4 }
    }
}

/// Writes all that a backup holds into an empty cluster. The pairs get new timestamps; the past is not restored.
///
/// # Errors
/// See [`BackupError`]. Nothing of a damaged file is written. What was written before an error stays, and [`RestoreOptions::resume`] goes on.
pub async fn restore(
    client: &TxnClient,
    options: &RestoreOptions,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Manifest, BackupError> {
    let manifest = Manifest::load(&options.folder)?;
    check_cluster(client, options, &manifest).await?;
    let split = manifest.files.iter().filter_map(|file| hex::decode(&file.first_key).ok()).map(Key::new);
    client.split_regions(split.skip(1)).await?;
    let is_late = |file: &&FileEntry| options.last.as_ref().is_some_and(|last| meets(file, last));
    let (late, early): (Vec<_>, Vec<_>) = manifest.files.iter().partition(is_late);
    let total = manifest.files.len() + late.len();
    let state = std::sync::Mutex::new(Progress { total, ..Progress::default() });
    let note = |pairs: u64, bytes: u64, done: usize| {
        // Nobody panics while holding it.
        let mut state = state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        (state.pairs, state.bytes, state.done) =
            (state.pairs + pairs, state.bytes + bytes, state.done + done);
        progress(*state);
    };
    // Of files that hold both, first what is not last.
    for (files, is_last) in [(early, false), (late.clone(), false), (late, true)] {
        let written = stream::iter(files).map(|file| {
            let note = &note;
            async move {
                let wanted =
                    |key: &[u8]| options.last.as_ref().is_some_and(|last| holds(last, key)) == is_last;
                write_file(client, &options.folder, file, wanted, note).await?;
                note(0, 0, 1);
                Ok::<_, BackupError>(())
            }
        });
        written.buffer_unordered(options.parallelism.max(1)).try_collect::<()>().await?;
    }
    Ok(manifest)
}

async fn check_cluster(
    client: &TxnClient,
    options: &RestoreOptions,
    manifest: &Manifest,
) -> Result<(), BackupError> {
    let (now, at) = (client.current_timestamp().await?, TimeStamp::new(manifest.backup_ts));
    if now <= at {
        return Err(BackupError::ClockBehind { now, at });
    }
    let everything = Key::new(Vec::new())..Key::new(Vec::new());
    let range = match (&options.last, options.resume) {
        (Some(last), true) => last.clone(),
        _ => everything,
    };
    match client.snapshot(tidewater_codec::StartTs(now)).scan(range).next().await? {
        None => Ok(()),
        Some(_) => Err(BackupError::NotEmptyCluster),
    }
}

fn holds(range: &Range<Key>, key: &[u8]) -> bool {
    let end = range.end.as_bytes();
    key >= range.start.as_bytes() && (end.is_empty() || key < end)
}

/// Whether a file may have keys of a range.
fn meets(file: &FileEntry, range: &Range<Key>) -> bool {
    // Digits are in the order of the bytes they stand for.
    let (start, end) = (hex::encode(range.start.as_bytes()), hex::encode(range.end.as_bytes()));
    file.last_key >= start && (end.is_empty() || file.first_key < end)
}

async fn write_file(
    client: &TxnClient,
    folder: &Path,
    entry: &FileEntry,
    wanted: impl Fn(&[u8]) -> bool,
    note: &(impl Fn(u64, u64, usize) + Sync),
) -> Result<(), BackupError> {
    let (folder, entry) = (folder.to_owned(), entry.clone());
    let opened = spawn_blocking(move || FileReader::open(&folder, &entry)).await;
    let mut reader = opened.map_err(|_| BackupError::Stopped)??;
    loop {
        let read = spawn_blocking(move || reader.next_block().map(|block| (block, reader))).await;
        let (block, back) = read.map_err(|_| BackupError::Stopped)??;
        reader = back;
        let Some(mut pairs) = block else { return Ok(()) };
        pairs.retain(|(key, _)| wanted(key));
        let bytes = pairs.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum();
        let count = pairs.len() as u64;
        write(client, pairs).await?;
        note(count, bytes, 0);
    }
}

/// A block of pairs is one transaction. To write it twice changes nothing.
async fn write(client: &TxnClient, pairs: Vec<Pair>) -> Result<(), BackupError> {
    if pairs.is_empty() {
        return Ok(());
    }
    let mut txn = client.begin(TxnOptions { kind: TxnKind::Optimistic, ..TxnOptions::default() }).await?;
    for (key, value) in pairs {
        txn.put(Key::new(Vec::from(key)), Bytes::copy_from_slice(&value))?;
    }
    txn.commit().await?;
    Ok(())
}
