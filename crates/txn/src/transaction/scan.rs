use std::iter::Peekable;
use std::ops::Range;

use bytes::Bytes;
use tidewater_codec::Key;

use super::Transaction;
use crate::TxnError;
use crate::buffer::Write;
use crate::scan::{Direction, Scan};

type Writes<'a> = Peekable<Box<dyn Iterator<Item = (&'a Bytes, &'a Write)> + Send + 'a>>;

/// A scan through a transaction's own writes: committed pairs and buffered writes merged in key order.
pub struct TxnScan<'a> {
    committed: Scan,
    writes: Writes<'a>,
    direction: Direction,
}

impl<'a> TxnScan<'a> {
    pub(super) fn forward(txn: &'a Transaction, range: Range<Key>) -> Self {
        let writes: Box<dyn Iterator<Item = _> + Send> = Box::new(txn.buffer.range(&range));
        Self { committed: txn.snapshot.scan(range), writes: writes.peekable(), direction: Direction::Forward }
    }

    pub(super) fn backward(txn: &'a Transaction, range: Range<Key>) -> Self {
        let writes: Box<dyn Iterator<Item = _> + Send> = Box::new(txn.buffer.range(&range).rev());
        Self {
            committed: txn.snapshot.scan_reverse(range),
            writes: writes.peekable(),
            direction: Direction::Backward,
        }
    }

    /// The next pair.
    pub async fn next(&mut self) -> Result<Option<(Key, Bytes)>, TxnError> {
        loop {
            let Some((written, write)) = self.writes.peek() else { return self.committed.next().await };
            let committed = self.committed.peek().await?;
            let order = committed.map(|(key, _)| match self.direction {
                Direction::Forward => key.as_bytes().cmp(written),
                Direction::Backward => key.as_bytes().cmp(written).reverse(),
            });
            match order {
                Some(std::cmp::Ordering::Less) => return self.committed.next().await,
                // Overwritten or deleted by us.
                Some(std::cmp::Ordering::Equal) => drop(self.committed.next().await?),
                Some(std::cmp::Ordering::Greater) | None => {}
            }
            let pair = write.value.clone().map(|value| (Key::new(&written[..]), value));
            self.writes.next();
            if pair.is_some() {
                return Ok(pair);
            }
        }
    }

    /// All that is left; at most `limit` pairs.
    pub async fn collect(mut self, limit: usize) -> Result<Vec<(Key, Bytes)>, TxnError> {
        let mut all = Vec::new();
        while all.len() < limit {
            let Some(pair) = self.next().await? else { break };
            all.push(pair);
        }
        Ok(all)
    }
}
