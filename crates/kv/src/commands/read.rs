//! Reads: one key, many keys, a range. They take no latches.

use std::sync::Arc;

use bytes::Bytes;
use tidewater_codec::TimeStamp;

use crate::{
    Snapshot,
    error::CommandError,
    mvcc::{IsolationLevel, PassableLocks, PointGetter, ScanStep, Scanner, ScannerOptions},
};

/// How a read reads.
#[derive(Debug, Clone)]
pub(crate) struct ReadOptions {
    pub read_ts: TimeStamp,
    pub isolation: IsolationLevel,
    pub passable: PassableLocks,
    pub fill_cache: bool,
    /// The replica does not lead: what the node keeps outside of the engine about keys it leads does not count.
    pub is_follower: bool,
}

impl ReadOptions {
    pub(crate) fn point_getter<'a>(&'a self, snapshot: &'a Arc<dyn Snapshot>) -> PointGetter<'a> {
        PointGetter::new(snapshot, self.read_ts, self.isolation, &self.passable, self.fill_cache)
    }
}

/// A key with its value, or why it cannot be read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pair {
    pub key: Bytes,
    pub value: Result<Bytes, CommandError>,
}

/// Up to `limit` rows of a range. `sample_step` n > 0 keeps every n-th row.
pub(crate) fn scan(
    snapshot: &Arc<dyn Snapshot>,
    options: ScannerOptions,
    limit: usize,
    sample_step: usize,
) -> Result<Vec<Pair>, CommandError> {
    let mut scanner = Scanner::new(snapshot, options);
    let mut pairs = Vec::new();
    let mut row = 0usize;
    while pairs.len() < limit {
        match scanner.next() {
            Ok(ScanStep::End) => break,
            Ok(ScanStep::Row) => {
                if sample_step == 0 || row.is_multiple_of(sample_step) {
                    let (key, value) = scanner.key_and_value()?;
                    let (key, value) = (Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
                    pairs.push(Pair { key, value: Ok(value) });
                }
                row += 1;
            }
            Err(CommandError::Locked { key, lock }) => {
                let raw = Bytes::copy_from_slice(key.as_bytes());
                pairs.push(Pair { key: raw, value: Err(CommandError::Locked { key, lock }) });
            }
            Err(error) => return Err(error),
        }
    }
    Ok(pairs)
}
