//! Numbers groups: rows with equal keys get equal ids, in order of first appearance.

use std::hash::BuildHasher;

use arrow::array::ArrayRef;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::keys::{EncodedRows, KeyBatch, KeyKind, KeyLayout, TwoWords, hash_state};

/// The table of all groups met so far.
pub(crate) struct GroupTable {
    kinds: Vec<KeyKind>,
    state: FixedState,
    groups: u32,
    keys: Keys,
}

/// The known keys, by layout. Fixed-width keys live inside the table: one cache miss per lookup.
enum Keys {
    One { table: HashTable<(u64, u32)>, null_group: Option<u32> },
    Two { table: HashTable<(TwoWords, u32)> },
    General { table: HashTable<(u64, u32)>, rows: EncodedRows },
}

impl GroupTable {
    pub(crate) fn new(kinds: Vec<KeyKind>) -> GroupTable {
        let keys = match KeyLayout::of(&kinds) {
            KeyLayout::One => Keys::One { table: HashTable::new(), null_group: None },
            KeyLayout::Two => Keys::Two { table: HashTable::new() },
            KeyLayout::General => Keys::General { table: HashTable::new(), rows: EncodedRows::default() },
        };
        GroupTable { kinds, state: hash_state(), groups: 0, keys }
    }

    /// Number of groups.
    pub(crate) fn len(&self) -> usize {
        self.groups as usize
    }

    /// Gives every row its group id; `first_rows` receives the rows that opened a new group, in order.
    pub(crate) fn assign(
        &mut self,
        columns: &[ArrayRef],
        rows: usize,
        group_ids: &mut Vec<u32>,
        first_rows: &mut Vec<u32>,
    ) {
        group_ids.clear();
        first_rows.clear();
        let batch = KeyBatch::encode(&self.kinds, columns, rows);
        let state = &self.state;
        let groups = &mut self.groups;
        let mut new_group = |row: usize| {
            let id = *groups;
            *groups += 1;
            first_rows.push(row as u32);
            id
        };
        match (&mut self.keys, &batch) {
            (Keys::One { table, null_group }, KeyBatch::One { words, nulls }) => {
                for (row, word) in words.iter().enumerate() {
                    if nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
                        group_ids.push(*null_group.get_or_insert_with(|| new_group(row)));
                        continue;
                    }
                    let entry = table.entry(
                        state.hash_one(*word),
                        |(known, _)| known == word,
                        |(known, _)| state.hash_one(*known),
                    );
                    group_ids.push(match entry {
                        Entry::Occupied(known) => known.get().1,
                        Entry::Vacant(slot) => slot.insert((*word, new_group(row))).get().1,
                    });
                }
            }
            (Keys::Two { table }, KeyBatch::Two { words }) => {
                for (row, words) in words.iter().enumerate() {
                    let entry = table.entry(
                        state.hash_one(*words),
                        |(known, _)| known == words,
                        |(known, _)| state.hash_one(*known),
                    );
                    group_ids.push(match entry {
                        Entry::Occupied(known) => known.get().1,
                        Entry::Vacant(slot) => slot.insert((*words, new_group(row))).get().1,
                    });
                }
            }
            (Keys::General { table, rows: known_rows }, KeyBatch::General { rows: keys, .. }) => {
                for row in 0..rows {
                    let key = keys.row(row);
                    let hash = state.hash_one(key);
                    let entry = table.entry(
                        hash,
                        |(known_hash, id)| *known_hash == hash && known_rows.row(*id as usize) == key,
                        |(known_hash, _)| *known_hash,
                    );
                    let id = match entry {
                        Entry::Occupied(known) => known.get().1,
                        Entry::Vacant(slot) => slot.insert((hash, new_group(row))).get().1,
                    };
                    if id as usize == known_rows.len() {
                        known_rows.push(key);
                    }
                    group_ids.push(id);
                }
            }
            _ => unreachable!("table and batch are laid out by the same kinds"),
        }
    }

    /// Bytes held.
    pub(crate) fn memory_size(&self) -> usize {
        match &self.keys {
            Keys::One { table, .. } => table.allocation_size(),
            Keys::Two { table } => table.allocation_size(),
            Keys::General { table, rows } => table.allocation_size() + rows.memory_size(),
        }
    }
}
