//! Out of a cluster into a directory.

use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use tidewater_codec::{Key, StartTs, TimeStamp};
use tidewater_proto::{PdError, PdService, pdpb};
use tidewater_txn::{Snapshot, TxnClient};
use tokio::task::spawn_blocking;

use crate::{BackupError, FileEntry, Manifest, Progress, file::FileWriter};

/// How long the placement driver keeps garbage for a backup that gives no sign of life, and how often it does.
const PROTECTION: Duration = Duration::from_secs(600);
const PROTECTION_RENEWAL: Duration = Duration::from_secs(60);

/// What to back up, and where to.
#[derive(Debug, Clone)]
pub struct BackupOptions {
    /// A new or empty directory.
    pub folder: PathBuf,
    /// As of when; `None` is now.
    pub at: Option<StartTs>,
    /// Files get this large, about, in bytes of keys and values.
    pub file_bytes: u64,
    /// How many pieces of the key space are read at the same time.
    pub parallelism: usize,
}

impl BackupOptions {
    /// Everything as of now.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), at: None, file_bytes: 64 << 20, parallelism: 4 }
    }
}

/// Writes all transactional keys with their values, as of one timestamp, into a directory.
///
/// # Errors
/// See [`BackupError`]. What was written stays behind, and is no backup: it has no manifest.
pub async fn backup(
    client: &TxnClient,
    pd: &dyn PdService,
    options: &BackupOptions,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Manifest, BackupError> {
    make_folder(&options.folder)?;
    let at = match options.at {
        Some(at) => at,
        None => StartTs(client.current_timestamp().await?),
    };
    let protection = Protection { pd, at };
    protection.renew().await?;
    let copied = async {
        let mut copying = std::pin::pin!(copy(client, at, options, progress));
        loop {
            tokio::select! {
                copied = &mut copying => return copied,
                () = tokio::time::sleep(PROTECTION_RENEWAL) => protection.renew().await?,
            }
        }
    };
    let copied = copied.await;
    protection.end().await;
    let manifest = Manifest::new(at.into_inner(), copied?);
    manifest.store(&options.folder)?;
    Ok(manifest)
}

fn make_folder(folder: &Path) -> Result<(), BackupError> {
    std::fs::create_dir_all(folder).map_err(BackupError::io(folder))?;
    let mut content = std::fs::read_dir(folder).map_err(BackupError::io(folder))?;
    match content.next() {
        None => Ok(()),
        Some(_) => Err(BackupError::NotEmptyFolder(folder.to_owned())),
    }
}

/// Holds garbage collection back.
struct Protection<'p> {
    pd: &'p dyn PdService,
    at: StartTs,
}

impl Protection<'_> {
    async fn renew(&self) -> Result<(), BackupError> {
        let Err(error) = self.ask(PROTECTION.as_secs() as i64).await else { return Ok(()) };
        let known = self.pd.get_gc_safe_point(pdpb::GetGcSafePointRequest::default()).await;
        match known.map(|known| TimeStamp::new(known.safe_point)) {
            Ok(safe_point) if safe_point > self.at.0 => {
                Err(BackupError::Collected { at: self.at.0, safe_point })
            }
            _ => Err(error.into()),
        }
    }

    async fn end(&self) {
        // It runs out by itself.
        if let Err(error) = self.ask(0).await {
            tracing::info!(%error, "the placement driver keeps garbage for the backup a while longer");
        }
    }

    async fn ask(&self, ttl_secs: i64) -> Result<(), PdError> {
        let request = pdpb::UpdateServiceGcSafePointRequest {
            service_id: format!("backup-{}", self.at.into_inner()).into(),
            ttl: ttl_secs,
            safe_point: self.at.into_inner(),
            ..Default::default()
        };
        self.pd.update_service_gc_safe_point(request).await.map(drop)
    }
}

async fn copy(
    client: &TxnClient,
    at: StartTs,
    options: &BackupOptions,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Vec<FileEntry>, BackupError> {
    let everything = Key::new(Vec::new())..Key::new(Vec::new());
    let ranges: Vec<Range<Key>> =
        client.split_ranges(&[everything]).await?.into_iter().flat_map(|task| task.ranges).collect();
    // Neighbors go into one file, however small they are.
    let together = ranges.len().div_ceil(options.parallelism.max(1) * 8).max(1);
    let pieces: Vec<_> = ranges.chunks(together).map(<[_]>::to_vec).collect();
    let total = pieces.len();
    let names = Arc::new(AtomicUsize::new(1));
    let state = std::sync::Mutex::new(Progress { total, ..Progress::default() });
    let note = |pairs: u64, bytes: u64, done: usize| {
        // Nobody panics while holding it.
        let mut state = state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        (state.pairs, state.bytes, state.done) =
            (state.pairs + pairs, state.bytes + bytes, state.done + done);
        progress(*state);
    };
    let copied = stream::iter(pieces).map(|ranges| {
        let (note, names) = (&note, names.clone());
        async move {
            let snapshot = client.snapshot(at);
            let mut piece = Piece { options, names, writer: None, files: Vec::new() };
            for range in ranges {
                piece.copy_range(&snapshot, range, note).await?;
            }
            piece.end_file().await?;
            note(0, 0, 1);
            Ok::<_, BackupError>(piece.files)
        }
    });
    let files: Vec<Vec<FileEntry>> =
        copied.buffer_unordered(options.parallelism.max(1)).try_collect().await?;
    Ok(files.into_iter().flatten().collect())
}

/// A part of the key space on its way into files.
struct Piece<'o> {
    options: &'o BackupOptions,
    names: Arc<AtomicUsize>,
    writer: Option<FileWriter>,
    files: Vec<FileEntry>,
}

impl Piece<'_> {
    async fn copy_range(
        &mut self,
        snapshot: &Snapshot,
        range: Range<Key>,
        note: &(impl Fn(u64, u64, usize) + Sync),
    ) -> Result<(), BackupError> {
        let mut scan = snapshot.scan(range);
        while let Some(page) = scan.next_page().await? {
            let pairs: Vec<_> =
                page.into_iter().map(|(key, value)| (Bytes::from(key.into_bytes()), value)).collect();
            let bytes = pairs.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum();
            let count = pairs.len() as u64;
            let (folder, writer) = (self.options.folder.clone(), self.writer.take());
            let names = self.names.clone();
            let write = move || {
                let mut writer = match writer {
                    Some(writer) => writer,
                    None => {
                        let number = names.fetch_add(1, Ordering::Relaxed);
                        FileWriter::create(&folder, format!("{number:06}.pairs"))?
                    }
                };
                writer.add(&pairs)?;
                Ok::<_, BackupError>(writer)
            };
            let writer = spawn_blocking(write).await.map_err(|_| BackupError::Stopped)??;
            let is_full = writer.bytes() >= self.options.file_bytes;
            self.writer = Some(writer);
            if is_full {
                self.end_file().await?;
            }
            note(count, bytes, 0);
        }
        Ok(())
    }

    async fn end_file(&mut self) -> Result<(), BackupError> {
        let Some(writer) = self.writer.take() else { return Ok(()) };
        let finished = spawn_blocking(move || writer.finish()).await.map_err(|_| BackupError::Stopped)??;
        self.files.extend(finished);
        Ok(())
    }
}
