//! Rows that are there already: for INSERT IGNORE, REPLACE and ON DUPLICATE KEY UPDATE, which must look.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use tidewater_catalog::IndexInfo;
use tidewater_codec::{Handle, Key, index_value, table_key};
use tidewater_table::{TableError, TableLayout, write};
use tidewater_txn::LockOptions;
use tidewater_types::Datum;

use crate::dml::DmlError;
use crate::processes::Process;
use crate::transaction::OpenTransaction;

/// What is stored under keys, as the transaction sees (and in a pessimistic one: has locked) it.
pub(super) struct Existing {
    known: BTreeMap<Key, Option<Bytes>>,
    /// Whose KILL ends a wait for locks.
    process: Arc<Process>,
}

/// A row that stands in the way of another.
pub(super) struct Conflict {
    pub(super) handle: Handle,
    pub(super) row: Vec<Datum>,
    /// The name of the key, for messages: `None` is the primary key.
    pub(super) index: Option<IndexInfo>,
}

impl Existing {
    pub(super) fn new(process: Arc<Process>) -> Self {
        Self { known: BTreeMap::new(), process }
    }

    /// Looks many keys up at once.
    pub(super) async fn fetch(&mut self, open: &mut OpenTransaction, keys: Vec<Key>) -> Result<(), DmlError> {
        let mut keys: Vec<Key> = keys.into_iter().filter(|key| !self.known.contains_key(key)).collect();
        // Rows of one statement may have the same key.
        keys.sort_unstable();
        keys.dedup();
        if keys.is_empty() {
            return Ok(());
        }
        if open.is_pessimistic() {
            let options = LockOptions { return_values: true, ..LockOptions::default() };
            let locked = self.process.unless_killed(open.txn.lock_keys(keys, options)).await?;
            self.known.extend(locked.values);
            return Ok(());
        }
        let mut found = open.txn.snapshot().batch_get(&keys).await?;
        for key in keys {
            let value = found.remove(&key);
            self.known.insert(key, value);
        }
        Ok(())
    }

    /// The value of a key: what the transaction wrote, or else what is stored.
    async fn get(&mut self, open: &mut OpenTransaction, key: &Key) -> Result<Option<Bytes>, DmlError> {
        if let Some(write) = open.txn.buffer().get(key.as_bytes()) {
            return Ok(write.value.clone());
        }
        if !self.known.contains_key(key) {
            self.fetch(open, vec![key.clone()]).await?;
        }
        Ok(self.known.get(key).cloned().flatten())
    }

    /// The first row whose key equals one of the new row's keys.
    pub(super) async fn conflict(
        &mut self,
        open: &mut OpenTransaction,
        layout: &TableLayout,
        row: &[Datum],
        handle: Option<&Handle>,
    ) -> Result<Option<Conflict>, DmlError> {
        for (key, index) in write::unique_keys(layout, row, handle)? {
            if let Some(owner) = self.owner(open, layout, &key, index).await? {
                return Ok(Some(owner));
            }
        }
        Ok(None)
    }

    /// The first row that has a key which an updated row takes anew.
    pub(super) async fn other_owner(
        &mut self,
        open: &mut OpenTransaction,
        layout: &TableLayout,
        old: (&[Datum], &Handle),
        new: (&[Datum], &Handle),
    ) -> Result<Option<Conflict>, DmlError> {
        let old_keys = write::unique_keys(layout, old.0, Some(old.1))?;
        let mut fresh = write::unique_keys(layout, new.0, Some(new.1))?;
        fresh.retain(|(key, _)| !old_keys.iter().any(|(old, _)| old == key));
        self.fetch(open, fresh.iter().map(|(key, _)| key.clone()).collect()).await?;
        for (key, index) in fresh {
            if let Some(owner) = self.owner(open, layout, &key, index).await? {
                return Ok(Some(owner));
            }
        }
        Ok(None)
    }

    /// The row that has a unique key.
    async fn owner(
        &mut self,
        open: &mut OpenTransaction,
        layout: &TableLayout,
        key: &Key,
        index: Option<&IndexInfo>,
    ) -> Result<Option<Conflict>, DmlError> {
        let Some(value) = self.get(open, key).await? else { return Ok(None) };
        let index = index.cloned();
        let (handle, stored) = match &index {
            None => {
                let (_, handle) = decode(layout, table_key::decode_row_key(key.as_bytes()))?;
                (handle, value)
            }
            Some(_) => {
                let Some(handle) = decode(layout, index_value::decode(&value))?.handle else {
                    return Ok(None);
                };
                let Some(stored) = self.get(open, &layout.row_key(&handle)).await? else { return Ok(None) };
                (handle, stored)
            }
        };
        let row = layout.decode_row(&handle, &stored)?;
        Ok(Some(Conflict { handle, row, index }))
    }
}

fn decode<T>(layout: &TableLayout, result: Result<T, tidewater_codec::DecodeError>) -> Result<T, DmlError> {
    result.map_err(|source| TableError::Corrupt { table: layout.info.name.to_string(), source }.into())
}
