//! Rows and index entries: who reads both sees the same rows by either way.

use std::collections::BTreeMap;

use super::Finding;
use crate::history::{Txn, Value};
use crate::workload::{Workload, index};

pub(super) fn check(txns: &[Txn]) -> Result<(), Finding> {
    let keys = Workload::Index.keys();
    let saw_all = |txn: &&Txn| keys.iter().all(|key| txn.reads.contains_key(key));
    txns.iter().filter(saw_all).try_for_each(|txn| check_snapshot(txn.start_ts, &txn.reads))
}

fn check_snapshot(at: u64, reads: &BTreeMap<String, Value>) -> Result<(), Finding> {
    let present = reads.iter().filter_map(|(key, value)| Some((key, value.as_ref()?)));
    let (rows, entries): (Vec<_>, Vec<_>) = present.partition(|(key, _)| index::is_row(key));
    let wanted: BTreeMap<String, String> =
        rows.into_iter().filter_map(|(row, value)| index::entry_of(row, value)).collect();
    let found: BTreeMap<String, String> =
        entries.into_iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    if wanted == found {
        return Ok(());
    }
    let text = format!("at {at} the rows have the entries {wanted:?}, and the index has {found:?}");
    Err(Finding { text, keys: Workload::Index.keys() })
}
