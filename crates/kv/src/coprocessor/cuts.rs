//! Where the rest of a long scan may be cut, so that several requests read it side by side.
//!
//! Nobody counts keys: the rest is cut evenly by the *values* of its keys, read as numbers after their common prefix. Handles and
//! most index columns are dense enough for that; where they are not the pieces are uneven, which costs speed and nothing else.

use bytes::Bytes;

use super::source::ReadView;
use crate::error::CommandError;
use crate::mvcc::{DataKey, data_range, split_ts};
use crate::{Cf, IteratorOptions};

/// Bytes of a key that are read as a number.
const NUMBER_BYTES: usize = 16;

/// What a scan has seen of its ranges.
pub(super) struct Scanned<'a> {
    pub(super) first_key: &'a [u8],
    pub(super) last_key: &'a [u8],
    pub(super) rows: u64,
}

/// How finely to cut.
pub(super) struct Cutting {
    pub(super) pieces_max: u32,
    pub(super) piece_rows_min: u64,
}

/// Keys between the last scanned one and `end` that make pieces of about the same size; none if the rest is short.
pub(super) fn find_cuts(
    view: &ReadView,
    scanned: &Scanned<'_>,
    end: &[u8],
    cutting: &Cutting,
) -> Result<Vec<Bytes>, CommandError> {
    if scanned.first_key.is_empty() {
        return Ok(Vec::new());
    }
    let (lower, upper) = data_range(scanned.last_key, end);
    let mut writes = view.snapshot.iterator(Cf::Write, IteratorOptions::range(lower, Some(upper)));
    if !writes.seek_to_last()? {
        return Ok(Vec::new());
    }
    let (last, _) = split_ts(writes.key())?;
    Ok(cut(scanned, DataKey::from_engine(last).raw().as_bytes(), cutting))
}

fn cut(scanned: &Scanned<'_>, last: &[u8], cutting: &Cutting) -> Vec<Bytes> {
    let prefix = scanned.first_key.iter().zip(last).take_while(|(left, right)| left == right).count();
    let number = |key: &[u8]| {
        let mut bytes = [0; NUMBER_BYTES];
        let tail = key.get(prefix..).unwrap_or_default();
        let len = tail.len().min(NUMBER_BYTES);
        bytes[..len].copy_from_slice(&tail[..len]);
        u128::from_be_bytes(bytes)
    };
    let (first, at, last_number) = (number(scanned.first_key), number(scanned.last_key), number(last));
    let (done, left) = (at.saturating_sub(first), last_number.saturating_sub(at));
    if done == 0 || left == 0 {
        return Vec::new();
    }
    let rows_left = scanned.rows as f64 * (left as f64 / done as f64);
    let pieces = ((rows_left / cutting.piece_rows_min as f64) as u32).clamp(1, cutting.pieces_max.max(1));
    let step = left / u128::from(pieces);
    let len = scanned.last_key.len().max(last.len());
    let mut cuts: Vec<Bytes> = Vec::with_capacity(pieces as usize);
    for piece in 1..pieces {
        let mut key = last[..prefix].to_vec();
        key.extend_from_slice(&(at + step * u128::from(piece)).to_be_bytes());
        key.truncate(len);
        if key.as_slice() > cuts.last().map_or(scanned.last_key, |cut| &cut[..]) {
            cuts.push(key.into());
        }
    }
    cuts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(handle: u64) -> Vec<u8> {
        [b"t_r".as_slice(), &(handle | 1 << 63).to_be_bytes()].concat()
    }

    fn cut_handles(first: u64, at: u64, rows: u64, last: u64, pieces_max: u32) -> Vec<u64> {
        let (first_key, last_key) = (key(first), key(at));
        let scanned = Scanned { first_key: &first_key, last_key: &last_key, rows };
        cut(&scanned, &key(last), &Cutting { pieces_max, piece_rows_min: 32 * 1024 })
            .iter()
            .map(|cut| u64::from_be_bytes(cut[3..].try_into().unwrap()) & !(1 << 63))
            .collect()
    }

    #[test]
    fn dense_handles_are_cut_evenly() {
        assert_eq!(cut_handles(1, 16_385, 16_384, 1_016_385, 4), [266_385, 516_385, 766_385]);
    }

    #[test]
    fn a_short_rest_stays_whole() {
        assert!(cut_handles(1, 16_385, 16_384, 60_000, 16).is_empty());
        assert_eq!(cut_handles(1, 16_385, 16_384, 90_000, 16).len(), 1);
        assert!(cut_handles(5, 5, 1, 5, 16).is_empty());
    }

    #[test]
    fn sparse_handles_count_by_their_density() {
        // 16,384 rows took 16 million handles: 64 million more hold about 65,536 rows.
        assert_eq!(cut_handles(0, 1 << 24, 1 << 14, 5 << 24, 16), [3 << 24]);
    }

    #[test]
    fn cuts_of_texts_lie_between_and_ascend() {
        let scanned = Scanned { first_key: b"i_aa", last_key: b"i_ab", rows: 1 << 14 };
        let cuts = cut(&scanned, b"i_zebra", &Cutting { pieces_max: 8, piece_rows_min: 1 });
        assert_eq!(cuts.len(), 7);
        assert!(cuts.is_sorted());
        assert!(cuts.iter().all(|cut| &cut[..] > b"i_ab".as_slice() && &cut[..] < b"i_zebra".as_slice()));
    }
}
