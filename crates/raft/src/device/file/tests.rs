use super::*;
use std::sync::mpsc;

fn write(device: &FileDevice, ops: Vec<LogOp>, urgency: Urgency) {
    let (done, result) = mpsc::channel();
    device.submit(ops, urgency, Box::new(move |result| done.send(result).unwrap()));
    result.recv().unwrap().unwrap();
}

fn put(key: &str, value: &str) -> LogOp {
    LogOp::Put(key.into(), value.into())
}

fn content(device: &FileDevice) -> Vec<(String, String)> {
    let pairs = device.scan(b"", b"\xff", usize::MAX).unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    pairs.into_iter().map(|(key, value)| (text(key), text(value))).collect()
}

fn read(folder: &Path) -> Vec<u8> {
    fs::read(folder.join(FILE_NAME)).unwrap()
}

/// Three records, and where each ends.
fn three_records(folder: &Path) -> Vec<usize> {
    let device = FileDevice::open(folder).unwrap();
    let mut ends = Vec::new();
    for number in 1..=3 {
        write(&device, vec![put(&format!("k{number}"), &"v".repeat(50))], Urgency::Now);
        ends.push(read(folder).len());
    }
    ends
}

#[test]
fn a_torn_end_is_cut_off_wherever_it_tears() {
    let folder = tempfile::tempdir().unwrap();
    let ends = three_records(folder.path());
    let whole = read(folder.path());
    for torn in FILE_HEADER..=whole.len() {
        fs::write(folder.path().join(FILE_NAME), &whole[..torn]).unwrap();
        let device = FileDevice::open(folder.path()).unwrap();
        let kept = ends.iter().filter(|end| **end <= torn).count();
        assert_eq!(content(&device).len(), kept, "torn at {torn}");
        // It goes on behind what was kept.
        write(&device, vec![put("next", "x")], Urgency::Now);
        drop(device);
        assert_eq!(content(&FileDevice::open(folder.path()).unwrap()).len(), kept + 1, "torn at {torn}");
    }
}

#[test]
fn an_end_whose_first_pages_did_not_reach_the_disk_is_torn_too() {
    let folder = tempfile::tempdir().unwrap();
    let ends = three_records(folder.path());
    let mut bytes = read(folder.path());
    bytes[ends[1]..ends[1] + 30].fill(0);
    fs::write(folder.path().join(FILE_NAME), &bytes).unwrap();
    assert_eq!(content(&FileDevice::open(folder.path()).unwrap()).len(), 2);
}

#[test]
fn damage_before_the_last_record_is_reported_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let ends = three_records(folder.path());
    let whole = read(folder.path());
    for position in FILE_HEADER..ends[1] {
        let mut damaged = whole.clone();
        damaged[position] ^= 0x40;
        fs::write(folder.path().join(FILE_NAME), &damaged).unwrap();
        let error = FileDevice::open(folder.path()).err().unwrap().to_string();
        assert!(error.contains("damaged at offset"), "{position}: {error}");
        assert_eq!(read(folder.path()), damaged, "a damaged file was changed");
    }
}

#[test]
fn foreign_newer_and_used_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE_NAME);
    fs::write(&path, b"something else").unwrap();
    let error = |folder: &Path| FileDevice::open(folder).err().unwrap().to_string();
    assert!(error(folder.path()).contains("not a Raft log"));
    fs::write(&path, [&MAGIC[..], &9u32.to_le_bytes()].concat()).unwrap();
    assert!(error(folder.path()).contains("use a newer release"));
    fs::remove_file(&path).unwrap();
    let _first = FileDevice::open(folder.path()).unwrap();
    assert!(error(folder.path()).contains("in use by another process"));
}

#[test]
fn what_need_not_be_durable_goes_with_the_next_that_must_be_and_is_never_ahead_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let device = FileDevice::open(folder.path()).unwrap();
    write(&device, vec![put("a", "1")], Urgency::Now);
    let before = read(folder.path());
    write(&device, vec![put("b", "2")], Urgency::Later);
    assert_eq!(content(&device).len(), 2, "it is visible");
    assert_eq!(read(folder.path()), before, "and not on disk");
    write(&device, vec![put("c", "3")], Urgency::Now);
    // A crash now: the process does not get to say good-bye.
    let copy = tempfile::tempdir().unwrap();
    fs::copy(folder.path().join(FILE_NAME), copy.path().join(FILE_NAME)).unwrap();
    assert_eq!(content(&FileDevice::open(copy.path()).unwrap()).len(), 3);
    write(&device, vec![put("d", "4")], Urgency::Later);
    drop(device);
    assert_eq!(content(&FileDevice::open(folder.path()).unwrap()).len(), 4, "an orderly end writes the rest");
}

#[test]
fn the_file_is_written_anew_when_most_of_it_is_dead() {
    let folder = tempfile::tempdir().unwrap();
    let device = FileDevice::open_with(folder.path(), 4096).unwrap();
    for number in 0..500u32 {
        let last = number.to_be_bytes().to_vec();
        let ops = vec![LogOp::Put(last.clone(), vec![b'x'; 100]), LogOp::DeleteRange(Vec::new(), last)];
        write(&device, ops, Urgency::Now);
        write(&device, vec![LogOp::Put(b"later".to_vec(), last_digit(number))], Urgency::Later);
        assert!(read(folder.path()).len() < 6000, "{}", read(folder.path()).len());
    }
    drop(device);
    fs::write(folder.path().join(REWRITE_NAME), b"half").unwrap();
    let device = FileDevice::open(folder.path()).unwrap();
    assert_eq!(device.get(&499u32.to_be_bytes()).unwrap(), Some(vec![b'x'; 100]));
    assert_eq!(device.get(b"later").unwrap(), Some(last_digit(499)));
    assert_eq!(device.get(&498u32.to_be_bytes()).unwrap(), None);
    assert!(!folder.path().join(REWRITE_NAME).exists());
}

fn last_digit(number: u32) -> Vec<u8> {
    (number % 10).to_string().into_bytes()
}
