//! Single keys: is there an order of all operations that agrees with the clock on the wall (linearizability)?
//!
//! The order of the versions is known, so that no search is needed: it must agree with the order in which writes were acknowledged, and every
//! read must lie between the writes that surely came before it and those that surely came after it.

use std::collections::BTreeMap;

use super::{Finding, Truth};
use crate::history::{Point, PointOp, Txn, Value};

/// A write in the order of its key.
struct Place {
    value: Value,
    began: u64,
    /// When it was surely there.
    ended: u64,
}

/// Reads at the latest timestamp, against the order of the commits.
pub(super) fn check_latest(txns: &[Txn], points: &[Point], truth: &Truth) -> Result<(), Finding> {
    let by_start: BTreeMap<u64, &Txn> =
        txns.iter().filter(|txn| !txn.is_stale).map(|txn| (txn.start_ts, txn)).collect();
    let mut keys: Vec<&String> = points.iter().map(|point| &point.key).collect();
    keys.sort();
    keys.dedup();
    for key in keys {
        let versions = truth.get(key).map_or(&[][..], Vec::as_slice);
        let order = versions.iter().map(|version| {
            let txn = by_start[&version.start_ts];
            Place { value: version.value.clone(), began: txn.began, ended: txn.ended }
        });
        check_key(key, order.collect(), points)?;
    }
    Ok(())
}

fn check_key(key: &str, order: Vec<Place>, points: &[Point]) -> Result<(), Finding> {
    let mut places = vec![Place { value: None, began: 0, ended: 0 }];
    places.extend(order);
    // Latest begin of a later write, so that an earlier one that was there before it shows.
    for (index, place) in places.iter().enumerate() {
        if let Some(late) = places[..index].iter().find(|before| before.began > place.ended) {
            let text = format!("{:?} comes before {:?}, but began after its end", late.value, place.value);
            return Err(Finding::of(key, text));
        }
    }
    let mut seen: Vec<(u64, usize)> = Vec::new();
    let reads = points.iter().filter(|point| point.key == key);
    let mut reads: Vec<_> = reads
        .filter_map(|point| match &point.op {
            PointOp::Read(value) => Some((point, value)),
            PointOp::Put { .. } | PointOp::Swap { .. } => None,
        })
        .collect();
    reads.sort_by_key(|(point, _)| point.began);
    for (point, value) in reads {
        // Values are unique, but for deletions: of those it may be the latest that can be meant.
        let mut candidates = places.iter().enumerate().filter(|(_, place)| place.value == *value);
        let Some((first, _)) = candidates.clone().next() else {
            return Err(Finding::of(key, format!("read {value:?}, which nobody wrote: {point:?}")));
        };
        let meant = candidates.rfind(|(_, place)| place.began <= point.ended);
        let Some((index, _)) = meant else {
            return Err(Finding::of(key, format!("read before it was written: {point:?}")));
        };
        let known = places.iter().rposition(|place| place.ended < point.began).unwrap_or(0);
        if index < known {
            let newer = &places[known].value;
            return Err(Finding::of(key, format!("{newer:?} was there already: {point:?}")));
        }
        let before = seen.iter().filter(|(ended, _)| *ended < point.began).map(|(_, index)| *index).max();
        if before.is_some_and(|before| index < before) {
            return Err(Finding::of(key, format!("a newer value had been read: {point:?}")));
        }
        // Later reads are no earlier than what this one has surely seen.
        seen.push((point.ended, first));
    }
    Ok(())
}

/// Raw keys, by the last value of each.
pub(super) fn check_raw(points: &[Point], last: &BTreeMap<String, String>) -> Result<(), Finding> {
    let mut keys: Vec<&String> = points.iter().map(|point| &point.key).collect();
    keys.sort();
    keys.dedup();
    for key in keys {
        let mine: Vec<Point> = points.iter().filter(|point| point.key == *key).cloned().collect();
        match mine.iter().any(|point| matches!(point.op, PointOp::Swap { .. })) {
            true => check_swaps(key, &mine, last.get(key))?,
            false => check_puts(key, &mine)?,
        }
    }
    Ok(())
}

/// Every value is written by one swap that names the value before: from the last one, the order is a chain.
fn check_swaps(key: &str, points: &[Point], last: Option<&String>) -> Result<(), Finding> {
    let mut order = Vec::new();
    let mut next = last.cloned();
    while let Some(value) = next.take() {
        let swap = points.iter().find_map(|point| match &point.op {
            PointOp::Swap { expected, value: new, swapped } if *new == value => {
                Some((point, expected, *swapped))
            }
            _ => None,
        });
        let Some((point, expected, swapped)) = swap else {
            return Err(Finding::of(key, format!("nobody wrote {value:?}")));
        };
        let ended = if swapped { point.ended } else { u64::MAX };
        order.push(Place { value: Some(value), began: point.began, ended });
        next.clone_from(expected);
    }
    order.reverse();
    for point in points {
        if let PointOp::Swap { value, swapped: true, .. } = &point.op
            && !order.iter().any(|place| place.value.as_ref() == Some(value))
        {
            return Err(Finding::of(key, format!("an acknowledged swap is lost: {point:?}")));
        }
    }
    check_key(key, order, points)
}

/// Puts are sent again when an answer is lost, so one may take effect twice, within its time. What was surely overwritten is not read again.
fn check_puts(key: &str, points: &[Point]) -> Result<(), Finding> {
    let put_of = |value: &String| {
        points.iter().find(|point| matches!(&point.op, PointOp::Put { value: new, .. } if new == value))
    };
    let is_acknowledged = |point: &Point| matches!(point.op, PointOp::Put { acknowledged: true, .. });
    for read in points {
        let PointOp::Read(value) = &read.op else { continue };
        let (began, ended) = match value {
            None => (0, 0),
            Some(value) => match put_of(value) {
                Some(put) if is_acknowledged(put) => (put.began, put.ended),
                Some(put) => (put.began, u64::MAX),
                None => return Err(Finding::of(key, format!("nobody wrote it: {read:?}"))),
            },
        };
        if began > read.ended {
            return Err(Finding::of(key, format!("read before it was written: {read:?}")));
        }
        let newer = points
            .iter()
            .find(|other| is_acknowledged(other) && other.began > ended && other.ended < read.began);
        if let Some(newer) = newer {
            return Err(Finding::of(key, format!("{newer:?} was there already: {read:?}")));
        }
    }
    Ok(())
}
