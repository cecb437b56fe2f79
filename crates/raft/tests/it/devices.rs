//! All devices do the same, and those on disk keep what they have said they keep.

use std::sync::Arc;

use tidewater_raft::{FileDevice, LogDevice, LogOp, MemoryDevice, RocksDevice, Urgency};
use tokio::sync::oneshot;

async fn write(device: &dyn LogDevice, ops: Vec<LogOp>) {
    let (done, result) = oneshot::channel();
    device.submit(ops, Urgency::Now, Box::new(move |result| drop(done.send(result))));
    result.await.unwrap().unwrap();
}

fn put(key: &str, value: &str) -> LogOp {
    LogOp::Put(key.into(), value.into())
}

async fn exercise(device: &dyn LogDevice) {
    write(device, vec![put("a1", "one"), put("a2", "two"), put("b1", "other")]).await;
    assert_eq!(device.get(b"a2").unwrap().as_deref(), Some(&b"two"[..]));
    assert_eq!(device.get(b"a3").unwrap(), None);
    let pairs = device.scan(b"a", b"b", usize::MAX).unwrap();
    assert_eq!(pairs, [(b"a1".to_vec(), b"one".to_vec()), (b"a2".to_vec(), b"two".to_vec())]);
    assert_eq!(device.scan(b"a", b"b", 1).unwrap().len(), 1, "one value at least, and no more than asked");
    assert_eq!(device.last(b"a", b"b").unwrap().map(|(key, _)| key), Some(b"a2".to_vec()));
    assert_eq!(device.last(b"c", b"d").unwrap(), None);
    write(device, vec![LogOp::DeleteRange(b"a2".to_vec(), b"b1".to_vec()), put("a2", "again")]).await;
    assert_eq!(device.get(b"a2").unwrap().as_deref(), Some(&b"again"[..]), "steps are taken in order");
    write(device, vec![put("a9", "x"), LogOp::DeleteRange(b"a1".to_vec(), b"a9".to_vec())]).await;
    assert_eq!(
        device.scan(b"", b"z", usize::MAX).unwrap().iter().filter(|(key, _)| !key.is_empty()).count(),
        2
    );
}

#[tokio::test]
async fn all_devices_do_the_same() {
    exercise(&MemoryDevice::new()).await;
    let folder = tempfile::tempdir().unwrap();
    exercise(&RocksDevice::open(folder.path()).unwrap()).await;
    let reopened = RocksDevice::open(folder.path()).unwrap();
    assert_eq!(reopened.get(b"a9").unwrap().as_deref(), Some(&b"x"[..]));
    assert_eq!(reopened.get(b"a2").unwrap(), None);
    let folder = tempfile::tempdir().unwrap();
    exercise(&FileDevice::open(folder.path()).unwrap()).await;
    let reopened = FileDevice::open(folder.path()).unwrap();
    assert_eq!(reopened.get(b"a9").unwrap().as_deref(), Some(&b"x"[..]));
    assert_eq!(reopened.get(b"a2").unwrap(), None);
}

#[tokio::test]
async fn writes_of_many_are_reported_in_order() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    are_reported_in_order(Arc::new(RocksDevice::open(folders[0].path()).unwrap())).await;
    are_reported_in_order(Arc::new(FileDevice::open(folders[1].path()).unwrap())).await;
}

async fn are_reported_in_order(device: Arc<dyn LogDevice>) {
    let (done, mut reported) = tokio::sync::mpsc::unbounded_channel();
    for number in 0..1000u32 {
        let done = done.clone();
        let urgency = if number % 3 == 0 { Urgency::Later } else { Urgency::Now };
        let ops = vec![LogOp::Put(number.to_be_bytes().to_vec(), vec![7; 100])];
        device.submit(ops, urgency, Box::new(move |result| done.send((number, result)).unwrap()));
    }
    for number in 0..1000 {
        assert_eq!(reported.recv().await.unwrap(), (number, Ok(())));
    }
}

#[tokio::test]
async fn a_log_of_a_newer_release_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    write(&RocksDevice::open(folder.path()).unwrap(), vec![LogOp::Put(Vec::new(), vec![0, 0, 0, 9])]).await;
    let error = RocksDevice::open(folder.path()).err().unwrap().to_string();
    assert!(error.contains("format 9") && error.contains("newer release"), "{error}");
}
