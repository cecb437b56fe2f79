//! A device that forgets with the process.

use std::collections::BTreeMap;

use parking_lot::RwLock;

use super::{DeviceError, KeyAndValue, KeysAndValues, LogDevice, LogOp, Urgency, Written};

/// Keeps logs in memory: for tests, benchmarks and stores that need not survive.
#[derive(Debug, Default)]
pub struct MemoryDevice {
    map: RwLock<BTreeMap<Vec<u8>, Vec<u8>>>,
}

impl MemoryDevice {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Clone for MemoryDevice {
    /// A device of its own, with the same content.
    fn clone(&self) -> Self {
        Self { map: RwLock::new(self.map.read().clone()) }
    }
}

/// Takes the steps on a map: what every device that is a map in memory does.
pub(crate) fn take_steps(map: &mut BTreeMap<Vec<u8>, Vec<u8>>, ops: Vec<LogOp>) {
    for op in ops {
        match op {
            LogOp::Put(key, value) => {
                map.insert(key, value);
            }
            LogOp::DeleteRange(start, end) => {
                let mut rest = map.split_off(&start);
                map.append(&mut rest.split_off(&end));
            }
        }
    }
}

/// [`LogDevice::scan`] of a map.
pub(crate) fn scan(
    map: &BTreeMap<Vec<u8>, Vec<u8>>,
    start: &[u8],
    end: &[u8],
    bytes_max: usize,
) -> KeysAndValues {
    let mut found = Vec::new();
    let mut bytes = 0;
    for (key, value) in map.range(start.to_vec()..end.to_vec()) {
        bytes += value.len();
        if bytes > bytes_max && !found.is_empty() {
            break;
        }
        found.push((key.clone(), value.clone()));
    }
    found
}

/// [`LogDevice::last`] of a map.
pub(crate) fn last(map: &BTreeMap<Vec<u8>, Vec<u8>>, start: &[u8], end: &[u8]) -> Option<KeyAndValue> {
    let last = map.range(start.to_vec()..end.to_vec()).next_back();
    last.map(|(key, value)| (key.clone(), value.clone()))
}

impl LogDevice for MemoryDevice {
    fn submit(&self, ops: Vec<LogOp>, _: Urgency, written: Written) {
        take_steps(&mut self.map.write(), ops);
        written(Ok(()));
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, DeviceError> {
        Ok(self.map.read().get(key).cloned())
    }

    fn scan(&self, start: &[u8], end: &[u8], bytes_max: usize) -> Result<KeysAndValues, DeviceError> {
        Ok(scan(&self.map.read(), start, end, bytes_max))
    }

    fn last(&self, start: &[u8], end: &[u8]) -> Result<Option<KeyAndValue>, DeviceError> {
        Ok(last(&self.map.read(), start, end))
    }
}
