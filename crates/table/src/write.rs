//! Rows into a transaction's buffer. Hot path: no name is looked up, nothing waits.

use tidewater_catalog::IndexInfo;
use tidewater_codec::{Handle, Key};
use tidewater_txn::{Locking, Transaction};
use tidewater_types::Datum;

use crate::error::TableError;
use crate::layout::{IndexEntry, TableLayout};

/// Whether a key may stand already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uniqueness {
    /// The transaction checks that unique keys do not exist, when it locks them or at commit.
    Presume,
    /// The caller has looked: there is no row with these keys.
    Checked,
}

/// Adds a row. A duplicate within the transaction is found at once.
pub fn insert(
    txn: &mut Transaction,
    layout: &mut TableLayout,
    row: &[Datum],
    handle: &Handle,
    uniqueness: Uniqueness,
) -> Result<(), TableError> {
    let (completed, _) = layout.complete(row)?;
    let row = completed.as_ref();
    let key = layout.row_key(handle);
    let value = layout.row_value(row)?;
    if layout.needs_row_id() {
        // Nobody else has this id.
        txn.put_with(key, value, Locking::AtCommit)?;
    } else {
        if is_live(txn, &key) {
            return Err(layout.duplicate(None, row));
        }
        put_unique(txn, key, value, uniqueness)?;
    }
    let info = layout.info.clone();
    for index in info.indices.iter().filter(|index| index.state.is_writable() && layout.has_entries(index)) {
        let entry = layout.index_entry(index, row, handle)?;
        put_entry(txn, layout, index, entry, row, uniqueness)?;
    }
    Ok(())
}

/// Removes a row and its entries.
pub fn remove(
    txn: &mut Transaction,
    layout: &TableLayout,
    row: &[Datum],
    handle: &Handle,
) -> Result<(), TableError> {
    let (completed, refused) = layout.complete_stored(row);
    let row = completed.as_ref();
    txn.delete(layout.row_key(handle))?;
    for index in
        layout.info.indices.iter().filter(|index| index.state.is_deletable() && layout.has_entries(index))
    {
        if is_on_any(index, &refused) {
            continue;
        }
        let entry = layout.index_entry(index, row, handle)?;
        delete_entry(txn, entry)?;
    }
    Ok(())
}

/// Replaces a row, whose handle may change with it.
pub fn update(
    txn: &mut Transaction,
    layout: &mut TableLayout,
    old: (&[Datum], &Handle),
    new: (&[Datum], &Handle),
    uniqueness: Uniqueness,
) -> Result<(), TableError> {
    let (old_row, old_handle) = old;
    let (new_row, new_handle) = new;
    let (old_completed, old_refused) = layout.complete_stored(old_row);
    let old_row = old_completed.as_ref();
    let (new_completed, new_refused) = layout.complete(new_row)?;
    let new_row = new_completed.as_ref();
    let moves = old_handle != new_handle;
    let new_key = layout.row_key(new_handle);
    let value = layout.row_value(new_row)?;
    if moves {
        if is_live(txn, &new_key) {
            return Err(layout.duplicate(None, new_row));
        }
        txn.delete(layout.row_key(old_handle))?;
        put_unique(txn, new_key, value, uniqueness)?;
    } else {
        txn.put(new_key, value)?;
    }
    let info = layout.info.clone();
    for index in info.indices.iter().filter(|index| index.state.is_deletable() && layout.has_entries(index)) {
        let stood = !is_on_any(index, &old_refused);
        if !moves && stood && !is_on_any(index, &new_refused) && !touches(index, old_row, new_row) {
            continue;
        }
        let old_entry = stood.then(|| layout.index_entry(index, old_row, old_handle)).transpose()?;
        let is_writable = index.state.is_writable();
        let new_entry = is_writable.then(|| layout.index_entry(index, new_row, new_handle)).transpose()?;
        match (old_entry, new_entry) {
            (Some(old), Some(new)) if old.key == new.key => {
                // The same key for a row that moved, or with other restored values.
                if old.value != new.value {
                    let locking = if new.distinct { Locking::WithStatement } else { Locking::Guarded };
                    txn.put_with(new.key, new.value, locking)?;
                }
            }
            (old, new) => {
                if let Some(old) = old {
                    delete_entry(txn, old)?;
                }
                if let Some(new) = new {
                    put_entry(txn, layout, index, new, new_row, uniqueness)?;
                }
            }
        }
    }
    Ok(())
}

/// The keys that must not exist for a row to be added: its own (unless ids are hidden) and those of unique indexes,
/// each with its index (`None` is the primary key that is the handle).
pub fn unique_keys<'t>(
    layout: &'t TableLayout,
    row: &[Datum],
    handle: Option<&Handle>,
) -> Result<Vec<(Key, Option<&'t IndexInfo>)>, TableError> {
    let mut keys = Vec::new();
    let placeholder = Handle::Int(0);
    if let Some(handle) = handle
        && !layout.needs_row_id()
    {
        keys.push((layout.row_key(handle), None));
    }
    let handle = handle.unwrap_or(&placeholder);
    let (completed, refused) = layout.complete_stored(row);
    for index in &layout.info.indices {
        if !index.unique
            || !index.state.is_writable()
            || !layout.has_entries(index)
            || is_on_any(index, &refused)
        {
            continue;
        }
        let entry = layout.index_entry(index, &completed, handle)?;
        if entry.distinct {
            keys.push((entry.key, Some(index)));
        }
    }
    Ok(keys)
}

fn put_unique(
    txn: &mut Transaction,
    key: Key,
    value: Vec<u8>,
    uniqueness: Uniqueness,
) -> Result<(), TableError> {
    match uniqueness {
        Uniqueness::Presume => txn.insert(key, value)?,
        Uniqueness::Checked => txn.put(key, value)?,
    }
    Ok(())
}

fn put_entry(
    txn: &mut Transaction,
    layout: &TableLayout,
    index: &IndexInfo,
    entry: IndexEntry,
    row: &[Datum],
    uniqueness: Uniqueness,
) -> Result<(), TableError> {
    if !entry.distinct {
        txn.put_with(entry.key, entry.value, Locking::Guarded)?;
        return Ok(());
    }
    if is_live(txn, &entry.key) {
        return Err(layout.duplicate(Some(index), row));
    }
    put_unique(txn, entry.key, entry.value, uniqueness)
}

fn delete_entry(txn: &mut Transaction, entry: IndexEntry) -> Result<(), TableError> {
    let locking = if entry.distinct { Locking::WithStatement } else { Locking::Guarded };
    txn.delete_with(entry.key, locking)?;
    Ok(())
}

/// Whether the transaction itself has put something there.
fn is_live(txn: &Transaction, key: &Key) -> bool {
    txn.buffer().get(key.as_bytes()).is_some_and(|write| write.value.is_some())
}

/// Whether a column of the index changes.
fn touches(index: &IndexInfo, old: &[Datum], new: &[Datum]) -> bool {
    index.columns.iter().any(|part| old[part.offset] != new[part.offset])
}

fn is_on_any(index: &IndexInfo, offsets: &[usize]) -> bool {
    !offsets.is_empty() && index.columns.iter().any(|part| offsets.contains(&part.offset))
}
