//! AUTO_INCREMENT values and hidden row ids, from ranges that a node takes ahead.
//!
//! The counter in storage holds the last value of the last range taken. A node that stops loses the rest of its
//! range: values are unique and grow on each node, but have gaps, as in MySQL after a crash.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tidewater_codec::{DbId, Key, TableId, meta_key};
use tidewater_txn::{Remedy, TxnClient, TxnError, TxnKind, TxnOptions};

use crate::error::TableError;

/// Values of the first range a node takes; small, so that a restart leaves a small gap.
const RANGE_FIRST: u64 = 1_000;
/// Ranges double up to this.
const RANGE_MAX: u64 = 256_000;
/// Tries to move the counter against others who move it too.
const TRIES_MAX: usize = 64;

/// Which counter of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AutoIdKind {
    /// AUTO_INCREMENT.
    AutoIncrement,
    /// Hidden row ids.
    RowId,
}

/// The counters of all tables, as one node knows them.
pub struct AutoIds {
    client: Arc<TxnClient>,
    tables: Mutex<HashMap<(TableId, AutoIdKind), Arc<AutoId>>>,
}

/// One counter of one table.
pub struct AutoId {
    client: Arc<TxnClient>,
    key: Key,
    range: Mutex<Range>,
    /// Held while a range is fetched, so that it is fetched once.
    refill: tokio::sync::Mutex<()>,
}

/// Values `next ..= last` are ours to give.
#[derive(Debug, Clone, Copy)]
struct Range {
    next: u64,
    last: u64,
    step: u64,
    /// Whether the counter was ever read.
    known: bool,
}

impl AutoIds {
    /// No range taken yet.
    pub fn new(client: Arc<TxnClient>) -> Self {
        Self { client, tables: Mutex::default() }
    }

    /// The counter of a table. A statement asks once, not once per row.
    pub fn counter(&self, database: DbId, table: TableId, kind: AutoIdKind) -> Arc<AutoId> {
        let mut tables = self.tables.lock();
        let counter = tables.entry((table, kind)).or_insert_with(|| {
            let key = match kind {
                AutoIdKind::AutoIncrement => meta_key::auto_increment(database, table),
                AutoIdKind::RowId => meta_key::row_id(database, table),
            };
            Arc::new(AutoId {
                client: self.client.clone(),
                key,
                range: Mutex::new(Range { next: 1, last: 0, step: RANGE_FIRST, known: false }),
                refill: tokio::sync::Mutex::new(()),
            })
        });
        Arc::clone(counter)
    }

    /// Forgets the counters of a table that was dropped, emptied or given new numbers.
    pub fn forget(&self, table: TableId) {
        let mut tables = self.tables.lock();
        for kind in [AutoIdKind::AutoIncrement, AutoIdKind::RowId] {
            tables.remove(&(table, kind));
        }
    }

    /// The next AUTO_INCREMENT value of a table, as far as this node knows.
    pub fn peek(&self, table: TableId) -> Option<u64> {
        let counter = self.tables.lock().get(&(table, AutoIdKind::AutoIncrement)).cloned()?;
        let range = counter.range.lock();
        range.known.then_some(range.next)
    }

    /// Gives the unused rests of all ranges back, where nobody took a later range: the next start has no gap.
    pub async fn give_back(&self) {
        let mut counters: Vec<_> = self.tables.lock().values().cloned().collect();
        counters.sort_by(|a, b| a.key.cmp(&b.key));
        for counter in counters {
            let range = *counter.range.lock();
            if range.known && range.next <= range.last {
                // A failure costs a gap, nothing more.
                let _ = counter.give_back(range).await;
            }
        }
    }
}

impl AutoId {
    /// The first of `count` values of the sequence `offset + n * increment`; the others follow in steps of
    /// `increment`. `max` is the largest value the column takes.
    pub async fn next(&self, count: u64, increment: u64, offset: u64, max: u64) -> Result<u64, TableError> {
        let increment = increment.max(1);
        // MySQL ignores an offset larger than the increment.
        let offset = if offset > increment { 1 } else { offset.max(1) };
        loop {
            {
                let mut range = self.range.lock();
                let first = align(range.next, increment, offset);
                let last = first.checked_add((count - 1).saturating_mul(increment));
                if let (Some(first), Some(last)) = (Some(first), last)
                    && range.known
                    && last <= range.last
                {
                    if last > max {
                        return Err(TableError::AutoIncrementExhausted);
                    }
                    range.next = last + 1;
                    return Ok(first);
                }
                if range.known && (last.is_none() || range.next > max) {
                    return Err(TableError::AutoIncrementExhausted);
                }
            }
            self.fetch(count.saturating_mul(increment).saturating_add(increment)).await?;
        }
    }

    /// A row was written with an explicit value: later values are larger.
    pub async fn rebase(&self, value: u64) -> Result<(), TableError> {
        {
            let mut range = self.range.lock();
            if range.known && value < range.next {
                return Ok(());
            }
            if range.known && value <= range.last {
                range.next = value.saturating_add(1);
                return Ok(());
            }
        }
        let _guard = self.refill.lock().await;
        let step = {
            let range = self.range.lock();
            if range.known && value < range.next {
                return Ok(());
            }
            range.step
        };
        let (last, stored) = self
            .move_counter(|stored| {
                if stored > value { stored.saturating_add(step) } else { value.saturating_add(step) }
            })
            .await?;
        let mut range = self.range.lock();
        range.next = stored.max(value).saturating_add(1);
        range.last = last;
        range.known = true;
        Ok(())
    }

    async fn fetch(&self, wanted: u64) -> Result<(), TableError> {
        let before = self.range.lock().last;
        let _guard = self.refill.lock().await;
        let step = {
            let range = self.range.lock();
            if range.known && range.last != before {
                // Somebody fetched while we waited.
                return Ok(());
            }
            range.step.max(wanted)
        };
        let (last, stored) = self.move_counter(|stored| stored.saturating_add(step)).await?;
        let mut range = self.range.lock();
        if !range.known || stored != range.last {
            // Another node took what lies between: what was left of our range stays a gap.
            range.next = range.next.max(stored.saturating_add(1));
        }
        range.last = last;
        range.step = (range.step * 2).min(RANGE_MAX);
        range.known = true;
        Ok(())
    }

    /// Moves the counter in a transaction of its own; gives the new and the old value.
    async fn move_counter(&self, next: impl Fn(u64) -> u64) -> Result<(u64, u64), TableError> {
        let mut tries = 0;
        loop {
            match self.try_move(&next).await {
                Ok(moved) => return Ok(moved),
                Err(error) if error.remedy() == Remedy::RestartTransaction && tries < TRIES_MAX => tries += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn try_move(&self, next: &impl Fn(u64) -> u64) -> Result<(u64, u64), TxnError> {
        let mut txn =
            self.client.begin(TxnOptions { kind: TxnKind::Optimistic, ..TxnOptions::default() }).await?;
        let stored = txn
            .get(&self.key)
            .await?
            .and_then(|value| std::str::from_utf8(&value).ok()?.parse().ok())
            .unwrap_or(0);
        let moved = next(stored);
        txn.put(self.key.clone(), moved.to_string().into_bytes())?;
        txn.commit().await?;
        Ok((moved, stored))
    }

    async fn give_back(&self, range: Range) -> Result<(), TxnError> {
        let mut txn =
            self.client.begin(TxnOptions { kind: TxnKind::Optimistic, ..TxnOptions::default() }).await?;
        let stored: u64 = txn
            .get(&self.key)
            .await?
            .and_then(|value| std::str::from_utf8(&value).ok()?.parse().ok())
            .unwrap_or(0);
        if stored != range.last {
            return txn.rollback().await;
        }
        txn.put(self.key.clone(), (range.next - 1).to_string().into_bytes())?;
        txn.commit().await?;
        let mut current = self.range.lock();
        current.known = false;
        current.next = 1;
        current.last = 0;
        Ok(())
    }
}

/// The first value of `offset + n * increment` at or after `from`.
fn align(from: u64, increment: u64, offset: u64) -> u64 {
    if from <= offset {
        return offset;
    }
    let past = (from - offset) % increment;
    if past == 0 { from } else { from.saturating_add(increment - past) }
}

#[cfg(test)]
mod tests {
    use super::align;

    #[test]
    fn sequences_step_as_mysqls() {
        assert_eq!(align(1, 1, 1), 1);
        assert_eq!(align(1, 10, 5), 5);
        assert_eq!(align(6, 10, 5), 15);
        assert_eq!(align(15, 10, 5), 15);
        assert_eq!(align(16, 10, 5), 25);
    }
}
