use tempfile::TempDir;

use super::*;

fn put(name: &str, value: &str) -> (String, Option<Vec<u8>>) {
    (name.to_owned(), Some(value.as_bytes().to_vec()))
}

fn written(directory: &TempDir, batches: &[Batch]) -> PathBuf {
    let storage = FileStorage::open(directory.path()).unwrap();
    for batch in batches {
        storage.write(batch.clone()).unwrap();
    }
    directory.path().join(FILE_NAME)
}

fn show(directory: &TempDir) -> String {
    let records = FileStorage::open(directory.path()).unwrap().load().unwrap();
    records
        .iter()
        .map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(value)))
        .collect::<Vec<_>>()
        .join(" ")
}

fn three_batches() -> Vec<Batch> {
    vec![vec![put("a", "1"), put("b", "2")], vec![put("a", "3"), ("b".to_owned(), None)], vec![put("c", "4")]]
}

#[test]
fn records_survive_reopening() {
    let directory = TempDir::new().unwrap();
    written(&directory, &three_batches());
    assert_eq!(show(&directory), "a=3 c=4");
}

#[test]
fn every_torn_tail_is_cut_off_and_written_over() {
    let whole = TempDir::new().unwrap();
    let bytes = fs::read(written(&whole, &three_batches())).unwrap();
    let two = TempDir::new().unwrap();
    let boundary = fs::read(written(&two, &three_batches()[..2])).unwrap().len();
    for length in boundary..bytes.len() {
        for zeros in [0, 1, 600] {
            let directory = TempDir::new().unwrap();
            let mut torn = bytes[..length].to_vec();
            torn.resize(length + zeros, 0);
            fs::write(directory.path().join(FILE_NAME), torn).unwrap();
            assert_eq!(show(&directory), "a=3", "cut at {length}, {zeros} zeros");
            written(&directory, &[vec![put("d", "5")]]);
            assert_eq!(show(&directory), "a=3 d=5", "cut at {length}, {zeros} zeros");
        }
    }
}

#[test]
fn damage_in_the_middle_is_reported_not_repaired() {
    let whole = TempDir::new().unwrap();
    let path = written(&whole, &three_batches());
    let bytes = fs::read(&path).unwrap();
    let last = RECORD_HEADER + encode(&three_batches()[2]).len();
    for position in FILE_HEADER..bytes.len() - last {
        let mut damaged = bytes.clone();
        damaged[position] ^= 0x10;
        fs::write(&path, &damaged).unwrap();
        let opened = FileStorage::open(whole.path());
        assert!(matches!(opened, Err(StorageError::Corrupt { .. })), "flipped at {position}: {opened:?}");
        assert_eq!(fs::read(&path).unwrap(), damaged, "the evidence is left alone");
    }
}

#[test]
fn strange_and_newer_files_are_refused() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join(FILE_NAME);
    for strange in [&b""[..], b"TW", b"not a log at all"] {
        fs::write(&path, strange).unwrap();
        assert!(matches!(FileStorage::open(directory.path()), Err(StorageError::NotOurs { .. })));
    }
    fs::write(&path, [&MAGIC[..], &7u32.to_le_bytes()].concat()).unwrap();
    let error = FileStorage::open(directory.path()).unwrap_err();
    assert!(matches!(error, StorageError::Newer { found: 7, supported: 1, .. }), "{error}");
}

#[test]
fn one_process_at_a_time() {
    let directory = TempDir::new().unwrap();
    let first = FileStorage::open(directory.path()).unwrap();
    assert!(matches!(FileStorage::open(directory.path()), Err(StorageError::InUse { .. })));
    drop(first);
    FileStorage::open(directory.path()).unwrap();
}

#[test]
fn a_log_of_dead_records_is_rewritten() {
    let directory = TempDir::new().unwrap();
    let path = {
        let storage = FileStorage::open(directory.path()).unwrap();
        let value = "x".repeat(100_000);
        for _ in 0..12 {
            storage.write(vec![put("window", &value)]).unwrap();
        }
        storage.write(vec![put("last", "1")]).unwrap();
        directory.path().join(FILE_NAME)
    };
    let length = fs::metadata(&path).unwrap().len();
    assert!(length < REWRITE_BYTES_MIN, "{length} bytes");
    assert_eq!(FileStorage::open(directory.path()).unwrap().load().unwrap().len(), 2);
}

#[test]
fn an_unfinished_rewrite_is_ignored() {
    let directory = TempDir::new().unwrap();
    written(&directory, &three_batches());
    fs::write(directory.path().join(REWRITE_NAME), b"half a fi").unwrap();
    assert_eq!(show(&directory), "a=3 c=4");
    assert!(!directory.path().join(REWRITE_NAME).exists());
}
