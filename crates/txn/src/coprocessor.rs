//! Plan fragments to the regions.

use std::ops::Range;

use bytes::Bytes;
use tidewater_codec::Key;
use tidewater_proto::coprocessor;

use crate::TxnError;
use crate::client::{RegionTask, TxnClient};
use crate::cluster::Sent;
use crate::snapshot::Snapshot;

/// What is asked of every region of a scan.
#[derive(Debug, Clone)]
pub struct CoprocessorRequest {
    /// What `data` is: 103 for an encoded `tipb.DAGRequest`, 104 analyze, 105 checksum.
    pub kind: i64,
    /// The encoded fragment.
    pub data: Bytes,
    /// Rows after which the store answers with what it has; zero for all of them.
    pub paging_rows: u64,
    /// In which order the fragment reads the keys.
    pub order: ScanOrder,
    /// The store may cut what is left of a long scan into so many tasks, to be asked for side by side; up to one for none.
    pub pieces_max: u32,
    /// Whether the caller keeps answers.
    pub cache: CacheUse,
    /// The version of the schema the fragment was planned for.
    pub schema_version: i64,
}

/// Whether the caller keeps answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CacheUse {
    /// No.
    #[default]
    Never,
    /// Yes, and it has none.
    Keep,
    /// It has one of this version of the region's data.
    Have(u64),
}

/// In which order a fragment reads the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ScanOrder {
    /// From low to high.
    #[default]
    Ascending,
    /// From high to low.
    Descending,
}

/// One answer, and what is left to ask.
#[derive(Debug)]
pub struct CoprocessorPage {
    /// The answer to the first part of the task.
    pub response: coprocessor::Response,
    /// What is left of the task, in the order it is to be asked for. Not empty when the answer was a page, or when the region had been split.
    pub rest: Vec<RegionTask>,
    /// The answer is to the whole task, in the region it named.
    pub is_whole: bool,
}

impl TxnClient {
    /// Sends a fragment to a region, resolving locks on the way. When the region has changed, the task is cut anew and the first part is
    /// answered.
    pub async fn send_coprocessor(
        &self,
        snapshot: &Snapshot,
        task: RegionTask,
        request: &CoprocessorRequest,
    ) -> Result<CoprocessorPage, TxnError> {
        let cluster = self.cluster();
        let mut backoff = snapshot.backoff();
        let mut task = task;
        let mut rest: Vec<RegionTask> = Vec::new();
        let mut cache = request.cache;
        let mut is_whole = true;
        loop {
            let make = || coprocessor::Request {
                context: Some(snapshot.context()),
                tp: request.kind,
                data: request.data.clone(),
                ranges: task.ranges.iter().map(wire_range).collect(),
                start_ts: snapshot.ts().into_inner(),
                schema_ver: request.schema_version,
                paging_size: request.paging_rows,
                pieces_max: request.pieces_max,
                is_cache_enabled: cache != CacheUse::Never,
                cache_if_match_version: if let CacheUse::Have(version) = cache { version } else { 0 },
                ..Default::default()
            };
            let Sent::Answer(response) = cluster.send(&task.region, &mut backoff, make).await? else {
                let mut pieces = cluster.split_ranges(&task.ranges, &mut backoff).await?;
                if request.order == ScanOrder::Descending {
                    pieces.reverse();
                }
                let mut pieces = pieces.into_iter();
                let Some(first) = pieces.next() else {
                    return Err(TxnError::Protocol { reason: "a fragment without ranges".to_owned() });
                };
                task = first;
                // What the caller has is of another region, or of another state of it.
                (cache, is_whole) = (CacheUse::Never, false);
                rest.splice(0..0, pieces);
                continue;
            };
            if let Some(lock) = response.locked {
                snapshot.clear(vec![lock], &mut backoff).await?;
                continue;
            }
            if !response.other_error.is_empty() {
                let first = task.ranges.first().map(|range| range.start.clone());
                return Err(backoff.refused(first, response.other_error));
            }
            if let Some(scanned) = &response.range {
                let left = unscanned(task.ranges, scanned, request.order);
                let pieces = cut_ranges(left, &response.cuts).into_iter();
                let region = task.region;
                rest.splice(0..0, pieces.map(|ranges| RegionTask { region: region.clone(), ranges }));
            }
            let is_whole = is_whole && rest.is_empty();
            return Ok(CoprocessorPage { response, rest, is_whole });
        }
    }
}

fn wire_range(range: &Range<Key>) -> coprocessor::KeyRange {
    coprocessor::KeyRange {
        start: Bytes::copy_from_slice(range.start.as_bytes()),
        end: Bytes::copy_from_slice(range.end.as_bytes()),
    }
}

/// What a page left over.
fn unscanned(ranges: Vec<Range<Key>>, scanned: &coprocessor::KeyRange, order: ScanOrder) -> Vec<Range<Key>> {
    let unbounded = |key: &Key| key.as_bytes().is_empty();
    match order {
        ScanOrder::Ascending if scanned.end.is_empty() => Vec::new(),
        ScanOrder::Ascending => {
            let from = Key::new(&scanned.end[..]);
            let left = ranges.into_iter().filter(|range| unbounded(&range.end) || range.end > from);
            left.map(|range| range.start.max(from.clone())..range.end).collect()
        }
        ScanOrder::Descending => {
            let to = Key::new(&scanned.start[..]);
            let left = ranges.into_iter().filter(|range| range.start < to);
            left.map(|range| {
                let end = if unbounded(&range.end) || range.end > to { to.clone() } else { range.end };
                range.start..end
            })
            .collect()
        }
    }
}

/// Cuts ascending ranges at ascending keys; pieces without a range are left out.
fn cut_ranges(ranges: Vec<Range<Key>>, cuts: &[Bytes]) -> Vec<Vec<Range<Key>>> {
    let mut pieces = Vec::with_capacity(cuts.len() + 1);
    let mut left = std::collections::VecDeque::from(ranges);
    for cut in cuts {
        let mut piece = Vec::new();
        while let Some(mut range) = left.pop_front() {
            if range.start.as_bytes() >= &cut[..] {
                left.push_front(range);
                break;
            }
            if range.end.as_bytes().is_empty() || range.end.as_bytes() > &cut[..] {
                let cut = Key::new(&cut[..]);
                left.push_front(cut.clone()..std::mem::replace(&mut range.end, cut));
                piece.push(range);
                break;
            }
            piece.push(range);
        }
        pieces.push(piece);
    }
    pieces.push(left.into());
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(ranges: &[Range<Key>]) -> String {
        let text = |key: &Key| String::from_utf8_lossy(key.as_bytes()).into_owned();
        ranges
            .iter()
            .map(|range| format!("{}..{}", text(&range.start), text(&range.end)))
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn what_a_page_leaves() {
        let range = |start: &str, end: &str| Key::new(start.as_bytes())..Key::new(end.as_bytes());
        let ranges = vec![range("b", "d"), range("f", "h"), range("k", "")];
        let cases = [
            ("b", "c", ScanOrder::Ascending, "c..d f..h k.."),
            ("b", "d", ScanOrder::Ascending, "f..h k.."),
            ("b", "m", ScanOrder::Ascending, "m.."),
            ("b", "", ScanOrder::Ascending, ""),
            ("m", "", ScanOrder::Descending, "b..d f..h k..m"),
            ("g", "", ScanOrder::Descending, "b..d f..g"),
            ("b", "", ScanOrder::Descending, ""),
        ];
        for (start, end, order, expected) in cases {
            let scanned = coprocessor::KeyRange { start: start.into(), end: end.into() };
            assert_eq!(
                show(&unscanned(ranges.clone(), &scanned, order)),
                expected,
                "{start}..{end} {order:?}"
            );
        }
    }

    #[test]
    fn ranges_are_cut_at_keys() {
        let range = |start: &str, end: &str| Key::new(start.as_bytes())..Key::new(end.as_bytes());
        let ranges = vec![range("b", "d"), range("f", "h"), range("k", "")];
        let cases: [(&[&'static str], &str); 5] = [
            (&[], "b..d f..h k.."),
            (&["c"], "b..c | c..d f..h k.."),
            (&["a", "d", "e", "f"], "b..d | f..h k.."),
            (&["g", "m", "p"], "b..d f..g | g..h k..m | m..p | p.."),
            (&["h", "k"], "b..d f..h | k.."),
        ];
        for (cuts, expected) in cases {
            let cuts = cuts.iter().map(|cut| Bytes::from_static(cut.as_bytes())).collect::<Vec<_>>();
            let pieces = cut_ranges(ranges.clone(), &cuts);
            let pieces = pieces.iter().map(|piece| show(piece)).collect::<Vec<_>>();
            assert_eq!(pieces.join(" | "), expected, "{cuts:?}");
        }
        assert!(cut_ranges(Vec::new(), &[Bytes::from_static(b"m")]).is_empty());
    }
}
