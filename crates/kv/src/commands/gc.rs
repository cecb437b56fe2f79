//! Garbage collection of versions: below the safe point nobody reads, so of each key only the newest value there has to stay.
//!
//! Two steps: [`find_garbage`] walks a range of a snapshot and lists keys that look wasteful; [`GcKeys`] looks at each of them again
//! under its latch and deletes. The latch keeps a rollback from rewriting a record that is being deleted.

use std::sync::Arc;

use tidewater_codec::{TimeStamp, mvcc::WriteType};

use super::{CommandContext, WriteCommand};
use crate::{
    Cf, Durability, IteratorOptions, Snapshot,
    error::CommandError,
    mvcc::{DataKey, MvccTxn, split_ts, write_head},
};

pub(crate) struct GcKeys {
    pub keys: Vec<DataKey>,
    pub safe_point: TimeStamp,
}

impl WriteCommand for GcKeys {
    /// Versions deleted.
    type Answer = usize;
    const DURABILITY: Durability = Durability::Buffered;

    fn keys(&self) -> impl Iterator<Item = &DataKey> + Send {
        self.keys.iter()
    }

    fn execute(&self, context: &mut CommandContext<'_>) -> Result<(MvccTxn, usize), CommandError> {
        let mut txn = MvccTxn::default();
        let mut deleted = 0;
        for key in &self.keys {
            // Whether the value readers at the safe point see was passed.
            let mut seen = false;
            let mut at = self.safe_point;
            while let Some((commit_ts, write)) = context.reader.seek_write(key, at)? {
                let keep = match write.write_type {
                    WriteType::Put => !std::mem::replace(&mut seen, true),
                    WriteType::Delete => {
                        seen = true;
                        false
                    }
                    WriteType::Lock | WriteType::Rollback => false,
                };
                if !keep {
                    deleted += 1;
                    txn.delete_write(key, commit_ts);
                    if write.write_type == WriteType::Put && write.short_value.is_none() {
                        txn.delete_value(key, write.start_ts);
                    }
                }
                if commit_ts.0.is_zero() {
                    break;
                }
                at = commit_ts.0.prev();
            }
        }
        Ok((txn, deleted))
    }
}

/// Keys with something to delete, and where to go on: absent at the end of the range.
pub(crate) struct Garbage {
    pub keys: Vec<DataKey>,
    pub resume: Option<Vec<u8>>,
}

/// Looks at up to `versions_max` versions of the engine range `lower..upper` for at most `keys_max` wasteful keys.
pub(crate) fn find_garbage(
    snapshot: &Arc<dyn Snapshot>,
    lower: &[u8],
    upper: &[u8],
    safe_point: TimeStamp,
    keys_max: usize,
    versions_max: usize,
) -> Result<Garbage, CommandError> {
    let options =
        IteratorOptions { fill_cache: false, ..IteratorOptions::range(lower.to_vec(), Some(upper.to_vec())) };
    let mut writes = snapshot.iterator(Cf::Write, options);
    let mut keys = Vec::new();
    let mut current = Vec::new();
    let (mut seen, mut listed) = (false, false);
    let mut valid = writes.seek(lower)?;
    let mut versions = 0;
    while valid {
        let (key, commit_ts) = split_ts(writes.key())?;
        if key != current {
            if keys.len() >= keys_max || versions >= versions_max {
                return Ok(Garbage { keys, resume: Some(key.to_vec()) });
            }
            current.clear();
            current.extend_from_slice(key);
            (seen, listed) = (false, false);
        }
        versions += 1;
        if commit_ts <= safe_point && !listed {
            let is_put = write_head(writes.value())? == WriteType::Put;
            if is_put && !seen {
                seen = true;
            } else {
                keys.push(DataKey::from_engine(&current));
                listed = true;
            }
        }
        valid = writes.next()?;
    }
    Ok(Garbage { keys, resume: None })
}
