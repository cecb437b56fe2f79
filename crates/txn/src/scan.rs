use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;
use tidewater_codec::Key;
use tidewater_proto::kvrpcpb;

use crate::TxnError;
use crate::backoff::Backoff;
use crate::cluster::Sent;
use crate::resolver::earlier_end;
use crate::snapshot::Snapshot;

/// The first page is small, for most scans want few rows.
const PAGE_ROWS_FIRST: u32 = 64;
/// Pages double up to this.
const PAGE_ROWS_MAX: u32 = 4_096;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Forward,
    Backward,
}

/// A scan under way: pairs in key order, fetched page by page and region by region.
pub struct Scan {
    snapshot: Snapshot,
    direction: Direction,
    /// What is not fetched yet; an empty end is unbounded.
    start: Bytes,
    end: Bytes,
    exhausted: bool,
    key_only: bool,
    page_rows: u32,
    page: VecDeque<(Key, Bytes)>,
}

impl Scan {
    pub(crate) fn new(snapshot: Snapshot, range: Range<Key>, direction: Direction) -> Self {
        let (start, end) = (Bytes::from(range.start.into_bytes()), Bytes::from(range.end.into_bytes()));
        let exhausted = !end.is_empty() && start >= end;
        let page_rows = PAGE_ROWS_FIRST;
        Self { snapshot, direction, start, end, exhausted, key_only: false, page_rows, page: VecDeque::new() }
    }

    /// Leaves the values on the stores: they come out empty.
    #[must_use]
    pub fn key_only(mut self) -> Self {
        self.key_only = true;
        self
    }

    /// The first page is sized for this many pairs.
    #[must_use]
    pub fn expecting(mut self, rows: u32) -> Self {
        self.page_rows = rows.clamp(1, PAGE_ROWS_MAX);
        self
    }

    /// The next pair.
    pub async fn next(&mut self) -> Result<Option<(Key, Bytes)>, TxnError> {
        if self.page.is_empty() {
            self.fill().await?;
        }
        Ok(self.page.pop_front())
    }

    /// The next pair without taking it.
    pub(crate) async fn peek(&mut self) -> Result<Option<&(Key, Bytes)>, TxnError> {
        if self.page.is_empty() {
            self.fill().await?;
        }
        Ok(self.page.front())
    }

    /// The pairs that are at hand, at least one; `None` at the end.
    pub async fn next_page(&mut self) -> Result<Option<Vec<(Key, Bytes)>>, TxnError> {
        if self.page.is_empty() {
            self.fill().await?;
        }
        Ok((!self.page.is_empty()).then(|| self.page.drain(..).collect()))
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

    async fn fill(&mut self) -> Result<(), TxnError> {
        let mut backoff = self.snapshot.backoff();
        while self.page.is_empty() && !self.exhausted {
            self.fetch(&mut backoff).await?;
        }
        Ok(())
    }

    /// Asks one region for one page.
    async fn fetch(&mut self, backoff: &mut Backoff) -> Result<(), TxnError> {
        let cluster = self.snapshot.cluster();
        let region = match self.direction {
            Direction::Forward => cluster.locate(&self.start, backoff).await?,
            Direction::Backward => cluster.locate_before(&self.end, backoff).await?,
        };
        let start = region.start().max(&self.start).clone();
        let end = Bytes::copy_from_slice(earlier_end(region.end(), &self.end));
        let make = || {
            let (from, to) = match self.direction {
                Direction::Forward => (&start, &end),
                Direction::Backward => (&end, &start),
            };
            kvrpcpb::ScanRequest {
                context: Some(self.snapshot.context()),
                start_key: from.clone(),
                end_key: to.clone(),
                limit: self.page_rows,
                version: self.snapshot.ts().into_inner(),
                key_only: self.key_only,
                reverse: self.direction == Direction::Backward,
                sample_step: 0,
            }
        };
        let Sent::Answer(response) = cluster.send(&region, backoff, make).await? else { return Ok(()) };
        if let Some(error) = response.error {
            let lock = self.snapshot.locked(error)?;
            return self.snapshot.clear(vec![lock], backoff).await;
        }
        let full = response.pairs.len() >= self.page_rows as usize;
        let mut locks = Vec::new();
        for pair in response.pairs {
            match pair.error {
                // Pairs after a lock would overtake it: they are fetched again.
                None if locks.is_empty() => self.page.push_back((Key::new(Vec::from(pair.key)), pair.value)),
                None => {}
                Some(error) => locks.push(self.snapshot.locked(error)?),
            }
        }
        let met_locks = !locks.is_empty();
        if met_locks {
            self.snapshot.clear(locks, backoff).await?;
        }
        self.advance(if full || met_locks { None } else { Some((start, end)) });
        Ok(())
    }

    /// Moves past what was fetched: past the last pair, or past the whole of a finished stretch.
    fn advance(&mut self, finished: Option<(Bytes, Bytes)>) {
        self.page_rows = (self.page_rows * 2).min(PAGE_ROWS_MAX);
        match (finished, self.direction) {
            (Some((_, end)), Direction::Forward) => {
                self.exhausted = end == self.end;
                self.start = end;
            }
            (Some((start, _)), Direction::Backward) => {
                self.exhausted = start == self.start;
                self.end = start;
            }
            (None, direction) => {
                let Some((last, _)) = self.page.back() else { return };
                match direction {
                    Direction::Forward => self.start = Bytes::from(last.next().into_bytes()),
                    Direction::Backward => self.end = Bytes::copy_from_slice(last.as_bytes()),
                }
                // The last pair may have been the last of the range.
                self.exhausted = !self.end.is_empty() && self.start >= self.end;
            }
        }
    }
}
