//! What a backup consists of.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

use serde::{Deserialize, Serialize};

use crate::BackupError;

/// Its name in the backup's directory.
const NAME: &str = "backup.json";
/// Raise it when an older release could not read what a newer one writes.
const FORMAT: u32 = 1;

/// A backup's table of contents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The layout of everything in the directory.
    pub format: u32,
    /// The timestamp that was read at.
    pub backup_ts: u64,
    /// Pairs in all files.
    pub pairs: u64,
    /// Bytes of keys and values in all files.
    pub bytes: u64,
    /// In the order of their first keys.
    pub files: Vec<FileEntry>,
}

/// One file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Its name in the directory.
    pub name: String,
    /// The first key, in hexadecimal digits.
    pub first_key: String,
    /// The last key, in hexadecimal digits.
    pub last_key: String,
    /// How many pairs it has.
    pub pairs: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
    /// Length of the file in bytes.
    pub len: u64,
    /// Of the whole file, in hexadecimal digits.
    pub sha256: String,
}

impl Manifest {
    pub(crate) fn new(backup_ts: u64, mut files: Vec<FileEntry>) -> Self {
        files.sort_by(|a, b| a.first_key.cmp(&b.first_key));
        let sum = |of: fn(&FileEntry) -> u64| files.iter().map(of).sum();
        Self {
            format: FORMAT,
            backup_ts,
            pairs: sum(|file| file.pairs),
            bytes: sum(|file| file.bytes),
            files,
        }
    }

    /// Reads the manifest of a backup.
    ///
    /// # Errors
    /// There is none, it is damaged, or a later release made it.
    pub fn load(folder: &Path) -> Result<Self, BackupError> {
        let path = folder.join(NAME);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(BackupError::NoManifest(folder.to_owned()));
            }
            Err(error) => return Err(BackupError::io(path)(error)),
        };
        let damaged = |reason: String| BackupError::Manifest { path: path.clone(), reason };
        // The format first: what comes with another one need not fit.
        let value: serde_json::Value =
            serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
        let format = value.get("format").and_then(serde_json::Value::as_u64);
        let found = format.and_then(|format| u32::try_from(format).ok());
        match found {
            None | Some(0) => return Err(damaged("it tells no format".to_owned())),
            Some(found) if found > FORMAT => {
                return Err(BackupError::NewerFormat { found, supported: FORMAT });
            }
            Some(_) => {}
        }
        let manifest: Self = serde_json::from_value(value).map_err(|error| damaged(error.to_string()))?;
        let is_plain = |name: &str| !name.is_empty() && Path::new(name).file_name() == Some(name.as_ref());
        match manifest.files.iter().find(|file| !is_plain(&file.name)) {
            Some(file) => Err(damaged(format!("{:?} is not the name of a file in it", file.name))),
            None => Ok(manifest),
        }
    }

    /// Makes the directory a backup: from here on it has a manifest, or has none.
    pub(crate) fn store(&self, folder: &Path) -> Result<(), BackupError> {
        let (path, draft) = (folder.join(NAME), folder.join(format!("{NAME}.draft")));
        let text = serde_json::to_vec_pretty(self)
            .map_err(|error| BackupError::Manifest { path: path.clone(), reason: error.to_string() })?;
        let write = || {
            let mut file = File::create(&draft)?;
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&draft, &path)?;
            File::open(folder)?.sync_all()
        };
        write().map_err(BackupError::io(&path))
    }
}
