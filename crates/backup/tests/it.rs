//! Backups of a small cluster, and what becomes of them.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use tidewater_backup::{BackupError, BackupOptions, Manifest, RestoreOptions, backup, restore};
use tidewater_codec::{Key, StartTs};
use tidewater_kv::{MemoryEngine, Node, NodeConfig};
use tidewater_pd::{MemoryStorage, PdConfig, PlacementDriver};
use tidewater_proto::{StoreConnector, StoreService, TransportError};
use tidewater_txn::{TxnClient, TxnConfig, TxnOptions};
use tidewater_types::clock::SystemClock;

struct Direct(Arc<Node>);

#[async_trait]
impl StoreConnector for Direct {
    async fn connect(&self, _: &str) -> Result<Arc<dyn StoreService>, TransportError> {
        Ok(self.0.clone())
    }
}

async fn cluster() -> (TxnClient, Arc<PlacementDriver>) {
    let storage = Arc::new(MemoryStorage::new());
    let pd = PlacementDriver::open(PdConfig::default(), storage, Arc::new(SystemClock)).unwrap();
    let node = Node::open(NodeConfig::default(), Arc::new(MemoryEngine::new()), pd.clone()).await.unwrap();
    (TxnClient::new(pd.clone(), Arc::new(Direct(node)), TxnConfig::default()), pd)
}

fn key(table: char, index: u32) -> Key {
    Key::new(format!("{table}{index:06}"))
}

async fn put(client: &TxnClient, table: char, indexes: std::ops::Range<u32>, fill: u8) {
    let mut txn = client.begin(TxnOptions::default()).await.unwrap();
    for index in indexes {
        txn.put(key(table, index), vec![fill; (index % 300 + 1) as usize]).unwrap();
    }
    txn.commit().await.unwrap();
}

async fn content(client: &TxnClient, at: Option<StartTs>) -> Vec<(Key, Vec<u8>)> {
    let at = match at {
        Some(at) => at,
        None => StartTs(client.current_timestamp().await.unwrap()),
    };
    let everything = Key::new(Vec::new())..Key::new(Vec::new());
    let all = client.snapshot(at).scan(everything).collect(usize::MAX).await.unwrap();
    all.into_iter().map(|(key, value)| (key, value.to_vec())).collect()
}

async fn back_up(client: &TxnClient, pd: &PlacementDriver, folder: &Path) -> Result<Manifest, BackupError> {
    let options = BackupOptions { file_bytes: 20_000, ..BackupOptions::new(folder) };
    backup(client, pd, &options, &|_| ()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_there_comes_back_and_nothing_that_came_later() {
    let (client, pd) = cluster().await;
    client.split_regions([key('t', 200), key('t', 201), key('t', 700)]).await.unwrap();
    put(&client, 'm', 0..30, 1).await;
    put(&client, 't', 0..1000, 2).await;
    let at = StartTs(client.current_timestamp().await.unwrap());
    let expected = content(&client, Some(at)).await;
    put(&client, 't', 500..1500, 3).await;
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("backup");
    let options = BackupOptions { at: Some(at), file_bytes: 20_000, ..BackupOptions::new(&to) };
    let manifest = backup(&client, &*pd, &options, &|_| ()).await.unwrap();
    assert_eq!((manifest.pairs, manifest.backup_ts), (1030, at.into_inner()));
    assert!(manifest.files.len() > 4, "{manifest:?}");

    let (other, _) = cluster().await;
    let meta = Key::new("m")..Key::new("n");
    let options = RestoreOptions { last: Some(meta), ..RestoreOptions::new(&to) };
    let seen = std::sync::Mutex::new(Vec::new());
    restore(&other, &options, &|progress| seen.lock().unwrap().push(progress)).await.unwrap();
    assert_eq!(content(&other, None).await, expected);
    let last = *seen.lock().unwrap().last().unwrap();
    assert_eq!((last.pairs, last.done), (1030, last.total));

    // Neither into a full cluster nor over another backup.
    assert!(matches!(restore(&other, &options, &|_| ()).await, Err(BackupError::NotEmptyCluster)));
    assert!(matches!(back_up(&client, &pd, &to).await, Err(BackupError::NotEmptyFolder(_))));
}

#[tokio::test]
async fn a_restore_that_was_cut_off_goes_on() {
    let (client, pd) = cluster().await;
    put(&client, 'm', 0..3, 1).await;
    put(&client, 't', 0..300, 2).await;
    let folder = tempfile::tempdir().unwrap();
    back_up(&client, &pd, folder.path()).await.unwrap();
    let (other, _) = cluster().await;
    put(&other, 't', 0..100, 2).await;
    let meta = Key::new("m")..Key::new("n");
    let first = RestoreOptions { last: Some(meta), ..RestoreOptions::new(folder.path()) };
    assert!(matches!(restore(&other, &first, &|_| ()).await, Err(BackupError::NotEmptyCluster)));
    let again = RestoreOptions { resume: true, ..first };
    restore(&other, &again, &|_| ()).await.unwrap();
    assert_eq!(content(&other, None).await, content(&client, None).await);
    assert!(matches!(restore(&other, &again, &|_| ()).await, Err(BackupError::NotEmptyCluster)));
}

#[tokio::test]
async fn damage_is_found_before_anything_is_written() {
    let (client, pd) = cluster().await;
    put(&client, 't', 0..300, 2).await;
    let folder = tempfile::tempdir().unwrap();
    let manifest = back_up(&client, &pd, folder.path()).await.unwrap();
    let path = folder.path().join(&manifest.files[0].name);
    let whole = fs::read(&path).unwrap();
    let (other, _) = cluster().await;
    let options = RestoreOptions { parallelism: 1, ..RestoreOptions::new(folder.path()) };
    for position in [3, 17, 21, whole.len() / 2, whole.len() - 1] {
        let mut damaged = whole.clone();
        damaged[position] ^= 0x40;
        fs::write(&path, &damaged).unwrap();
        let result = restore(&other, &options, &|_| ()).await;
        assert!(matches!(result, Err(BackupError::Damaged { .. })), "{position}: {result:?}");
    }
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    assert!(matches!(restore(&other, &options, &|_| ()).await, Err(BackupError::Damaged { .. })));
    fs::remove_file(&path).unwrap();
    assert!(matches!(restore(&other, &options, &|_| ()).await, Err(BackupError::Io { .. })));
    assert_eq!(content(&other, None).await, Vec::new());

    // Nor is every directory a backup.
    let manifest_path = folder.path().join("backup.json");
    let text = fs::read_to_string(&manifest_path).unwrap();
    let outcome = |text: String| {
        fs::write(&manifest_path, text).unwrap();
        Manifest::load(folder.path())
    };
    assert!(matches!(
        outcome(text.replacen("\"format\": 1", "\"format\": 9", 1)),
        Err(BackupError::NewerFormat { .. })
    ));
    assert!(matches!(outcome(text.replacen("000001", "../001", 1)), Err(BackupError::Manifest { .. })));
    assert!(matches!(outcome("{".to_owned()), Err(BackupError::Manifest { .. })));
    fs::remove_file(&manifest_path).unwrap();
    assert!(matches!(Manifest::load(folder.path()), Err(BackupError::NoManifest(_))));
}

#[tokio::test]
async fn the_past_has_to_be_there() {
    let (client, pd) = cluster().await;
    put(&client, 't', 0..10, 2).await;
    let at = StartTs(client.current_timestamp().await.unwrap());
    put(&client, 't', 0..10, 3).await;
    let later = StartTs(client.current_timestamp().await.unwrap());
    client.collect_garbage(later).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let options = BackupOptions { at: Some(at), ..BackupOptions::new(folder.path()) };
    let result = backup(&client, &*pd, &options, &|_| ()).await;
    assert!(matches!(result, Err(BackupError::Collected { .. })), "{result:?}");
    assert!(matches!(Manifest::load(folder.path()), Err(BackupError::NoManifest(_))));
}
