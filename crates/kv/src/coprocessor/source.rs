//! Key ranges over the MVCC reader: the bytes a scan leaf decodes.
//!
//! HOT: rows are borrowed from the scanner, nothing is copied here.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use tidewater_codec::TimeStamp;
use tidewater_proto::coprocessor::KeyRange;

use crate::Snapshot;
use crate::error::CommandError;
use crate::mvcc::{Direction, IsolationLevel, PassableLocks, PointGetter, ScanStep, Scanner, ScannerOptions};

/// What a request reads: a state of the engine, and which versions of it.
#[derive(Clone)]
pub(crate) struct ReadView {
    pub(crate) snapshot: Arc<dyn Snapshot>,
    pub(crate) read_ts: TimeStamp,
    pub(crate) isolation: IsolationLevel,
    pub(crate) passable: PassableLocks,
    pub(crate) fill_cache: bool,
}

/// Rows of many ranges, in order (or backwards).
pub(super) struct RangeSource {
    view: ReadView,
    direction: Direction,
    /// A range that begins with an integer handle and ends with the next one holds one key.
    int_handles: bool,
    ranges: VecDeque<KeyRange>,
    /// Of the range being read, or of those before it.
    scanner: Option<Scanner>,
    /// A range is being read.
    in_range: bool,
    /// The first key given out.
    first_key: Vec<u8>,
    /// The last key given out.
    last_key: Vec<u8>,
    given: u64,
    /// Whoever takes the rows of ranges does not need their keys.
    without_keys: bool,
    /// Rows after which it gives no more, though there may be some.
    stop_after: u64,
    /// Rows of each range so far, in the order of reading, if they are counted.
    range_counts: Option<Vec<i64>>,
}

impl RangeSource {
    pub(super) fn new(
        view: ReadView,
        ranges: Vec<KeyRange>,
        direction: Direction,
        int_handles: bool,
    ) -> RangeSource {
        let mut ranges: VecDeque<KeyRange> = ranges.into();
        if direction == Direction::Backward {
            ranges.make_contiguous().reverse();
        }
        RangeSource {
            view,
            direction,
            int_handles,
            ranges,
            scanner: None,
            in_range: false,
            first_key: Vec::new(),
            last_key: Vec::new(),
            given: 0,
            without_keys: false,
            stop_after: u64::MAX,
            range_counts: None,
        }
    }

    /// Which way it goes.
    pub(super) fn direction(&self) -> Direction {
        self.direction
    }

    /// Rows given out.
    pub(super) fn given(&self) -> u64 {
        self.given
    }

    /// The last key given out.
    pub(super) fn last_key(&self) -> &[u8] {
        &self.last_key
    }

    /// The first key given out; empty after point reads.
    pub(super) fn first_key(&self) -> &[u8] {
        &self.first_key
    }

    /// What it reads from.
    pub(super) fn view(&self) -> &ReadView {
        &self.view
    }

    /// Rows of ranges come with an empty key from now on.
    pub(super) fn leave_keys_out(&mut self) {
        self.without_keys = true;
    }

    /// Counts the rows of each range from now on.
    pub(super) fn count_ranges(&mut self) {
        self.range_counts = Some(Vec::with_capacity(self.ranges.len()));
    }

    /// Rows of each range that was begun, in the order of reading; empty if they are not counted.
    pub(super) fn range_counts(&self) -> &[i64] {
        self.range_counts.as_deref().unwrap_or_default()
    }

    /// Gives no more after `rows` rows (a chunk's more at most).
    pub(super) fn stop_after(&mut self, rows: u64) {
        self.stop_after = rows;
    }

    /// True when it gives no more, though something is left.
    pub(super) fn is_stopped(&self) -> bool {
        self.given >= self.stop_after && !self.is_finished()
    }

    /// True when nothing is left.
    pub(super) fn is_finished(&self) -> bool {
        !self.in_range && self.ranges.is_empty()
    }

    /// Hands up to `rows` rows to `take`.
    pub(super) fn read<E: From<CommandError>>(
        &mut self,
        rows: usize,
        mut take: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
    ) -> Result<usize, E> {
        let mut count = 0;
        if self.is_stopped() {
            return Ok(count);
        }
        while count < rows {
            if !self.in_range {
                count += self.read_points(rows - count, &mut take)?;
                if count == rows || !self.start_scanner() {
                    break;
                }
            }
            let read = self.read_range(rows - count, &mut take)?;
            if let Some(counted) = self.range_counts.as_mut().and_then(|counts| counts.last_mut()) {
                *counted += read as i64;
            }
            count += read;
        }
        self.given += count as u64;
        Ok(count)
    }

    /// Point ranges at the front, with one reused iterator.
    fn read_points<E: From<CommandError>>(
        &mut self,
        rows: usize,
        take: &mut impl FnMut(&[u8], &[u8]) -> Result<(), E>,
    ) -> Result<usize, E> {
        let mut count = 0;
        if !self.ranges.front().is_some_and(|range| is_point(range, self.int_handles)) {
            return Ok(count);
        }
        let view = &self.view;
        let mut getter =
            PointGetter::new(&view.snapshot, view.read_ts, view.isolation, &view.passable, view.fill_cache);
        while count < rows
            && let Some(range) = self.ranges.front()
            && is_point(range, self.int_handles)
        {
            let found = getter.get(&range.start)?;
            if let Some(value) = &found {
                take(&range.start, value)?;
                count += 1;
            }
            if let Some(counts) = &mut self.range_counts {
                counts.push(i64::from(found.is_some()));
            }
            self.last_key.clear();
            self.last_key.extend_from_slice(&range.start);
            self.ranges.pop_front();
        }
        Ok(count)
    }

    fn start_scanner(&mut self) -> bool {
        let Some(range) = self.ranges.pop_front() else {
            return false;
        };
        self.in_range = true;
        if let Some(counts) = &mut self.range_counts {
            counts.push(0);
        }
        let forward = self.direction == Direction::Forward;
        if let Some(scanner) = &mut self.scanner
            && forward
        {
            scanner.restart(&range.start, &range.end);
            return true;
        }
        // One pair of cursors serves all ranges that follow.
        let last = self.ranges.back().filter(|_| forward).unwrap_or(&range);
        let options = ScannerOptions {
            start: range.start.to_vec(),
            end: last.end.to_vec(),
            direction: self.direction,
            read_ts: self.view.read_ts,
            isolation: self.view.isolation,
            passable: self.view.passable.clone(),
            key_only: false,
            fill_cache: self.view.fill_cache,
        };
        let mut scanner = Scanner::new(&self.view.snapshot, options);
        if forward && !self.ranges.is_empty() {
            scanner.restart(&range.start, &range.end);
        }
        self.scanner = Some(scanner);
        true
    }

    fn read_range<E: From<CommandError>>(
        &mut self,
        rows: usize,
        take: &mut impl FnMut(&[u8], &[u8]) -> Result<(), E>,
    ) -> Result<usize, E> {
        let Some(scanner) = &mut self.scanner else {
            return Ok(0);
        };
        for count in 0..rows {
            if scanner.next()? == ScanStep::End {
                self.in_range = false;
                return Ok(count);
            }
            if self.without_keys {
                take(&[], scanner.value())?;
            } else {
                let (key, value) = scanner.key_and_value()?;
                take(key, value)?;
            }
            if self.first_key.is_empty() {
                self.first_key.extend_from_slice(scanner.key()?);
            }
        }
        self.last_key.clear();
        self.last_key.extend_from_slice(scanner.key()?);
        Ok(rows)
    }
}

/// True for a range that can hold one key only.
pub(super) fn is_point(range: &KeyRange, int_handles: bool) -> bool {
    let (start, end) = (&range.start, &range.end);
    let is_next = end.len() == start.len() + 1 && end.ends_with(&[0]) && end.starts_with(start);
    is_next || (int_handles && start.len() == INT_ROW_KEY_LEN && is_successor(start, end))
}

/// `t`, table id, `_r`, handle.
const INT_ROW_KEY_LEN: usize = 1 + 8 + 2 + 8;

/// True when `end` is `start` plus one, read as a number.
fn is_successor(start: &Bytes, end: &Bytes) -> bool {
    if start.len() != end.len() {
        return false;
    }
    let Some(last) = start.iter().rposition(|byte| *byte != 0xff) else {
        return false;
    };
    start[..last] == end[..last]
        && start[last] + 1 == end[last]
        && end[last + 1..].iter().all(|byte| *byte == 0)
}
