//! Transactions against the versions that the stores hold in the end.
//!
//! Timestamps make snapshot isolation easy to check: a read at a timestamp sees the newest version at or below it, whole transactions are
//! there or not, and nobody commits between the snapshot and the commit of a transaction that writes the same key.

use std::collections::BTreeMap;

use tidewater_txn::TxnKind;

use super::{Finding, Truth};
use crate::history::{Outcome, Txn, Value};

/// A committed version of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) commit_ts: u64,
    pub(crate) start_ts: u64,
    /// Nothing is a deletion.
    pub(crate) value: Value,
}

pub(super) fn check(txns: &[Txn], truth: &Truth) -> Result<(), Finding> {
    let mut by_start: BTreeMap<u64, &Txn> = BTreeMap::new();
    // Any number may read the same moment of the past.
    for txn in txns.iter().filter(|txn| !txn.is_stale) {
        if by_start.insert(txn.start_ts, txn).is_some() {
            let text = format!("two transactions began at {}", txn.start_ts);
            return Err(Finding { text, keys: txn.writes.keys().cloned().collect() });
        }
    }
    for (key, versions) in truth {
        for version in versions {
            let writer = by_start.get(&version.start_ts).and_then(|txn| txn.writes.get(key));
            if writer != Some(&version.value) {
                return Err(Finding::of(key, format!("nobody wrote {version:?}")));
            }
        }
    }
    txns.iter().try_for_each(|txn| check_whole(txn, truth))?;
    txns.iter().try_for_each(|txn| check_reads(txn, truth))?;
    check_order(txns)
}

/// All of it is there at one moment, or nothing, as its client was told.
fn check_whole(txn: &Txn, truth: &Truth) -> Result<(), Finding> {
    let fail = |text: String| {
        Err(Finding { text: format!("{text}: {txn:?}"), keys: txn.writes.keys().cloned().collect() })
    };
    let found: Vec<Option<u64>> = txn
        .writes
        .keys()
        .map(|key| version_of(key, txn, truth).map(|(_, version)| version.commit_ts))
        .collect();
    let mut distinct = found.clone();
    distinct.dedup();
    match (txn.outcome, &distinct[..]) {
        (_, []) | (Outcome::Unknown, [_]) => Ok(()),
        (Outcome::Committed(commit), [Some(at)]) if *at == commit && commit > txn.start_ts => Ok(()),
        (Outcome::Aborted, [None]) => Ok(()),
        (Outcome::Aborted, _) => fail(format!("what was refused is there ({found:?})")),
        (Outcome::Committed(_), _) => fail(format!("what was acknowledged is not there ({found:?})")),
        (Outcome::Unknown, _) => fail(format!("half of it is there ({found:?})")),
    }
}

/// The version a transaction wrote, and the one before it.
fn version_of<'t>(key: &str, txn: &Txn, truth: &'t Truth) -> Option<(Option<&'t Version>, &'t Version)> {
    let versions = truth.get(key)?;
    let index = versions.iter().position(|version| version.start_ts == txn.start_ts)?;
    Some((index.checked_sub(1).map(|before| &versions[before]), &versions[index]))
}

fn check_reads(txn: &Txn, truth: &Truth) -> Result<(), Finding> {
    for (key, value) in &txn.reads {
        let versions = truth.get(key).map_or(&[][..], Vec::as_slice);
        let seen = versions.iter().rfind(|version| version.commit_ts <= txn.start_ts);
        if seen.and_then(|version| version.value.as_ref()) != value.as_ref() {
            let text = format!("read {value:?} at {}, where {seen:?} was: {txn:?}", txn.start_ts);
            return Err(Finding::of(key, text));
        }
    }
    for key in txn.writes.keys() {
        let Some((before, _)) = version_of(key, txn, truth) else { continue };
        if txn.kind == TxnKind::Optimistic && before.is_some_and(|before| before.commit_ts > txn.start_ts) {
            return Err(Finding::of(key, format!("{before:?} was committed below a writer: {txn:?}")));
        }
        if let Some(locked) = txn.locked.get(key)
            && before.and_then(|before| before.value.as_ref()) != locked.as_ref()
        {
            return Err(Finding::of(key, format!("{before:?} came after the lock was taken: {txn:?}")));
        }
    }
    Ok(())
}

/// What was acknowledged before a transaction began lies below it.
fn check_order(txns: &[Txn]) -> Result<(), Finding> {
    let mut moments: Vec<(u64, bool, &Txn)> = Vec::new();
    for txn in txns.iter().filter(|txn| !txn.is_stale) {
        moments.push((txn.began, true, txn));
        if txn.ended != u64::MAX && !txn.writes.is_empty() {
            moments.push((txn.ended, false, txn));
        }
    }
    moments.sort_by_key(|(moment, _, _)| *moment);
    let mut highest: Option<(u64, &Txn)> = None;
    for (_, begins, txn) in moments {
        match (begins, txn.outcome) {
            (true, _) => {
                if let Some((commit, before)) = highest
                    && commit > txn.start_ts
                {
                    let keys = before.writes.keys().cloned().collect();
                    return Err(Finding {
                        text: format!("{txn:?} began after {before:?} and below it"),
                        keys,
                    });
                }
            }
            (false, Outcome::Committed(commit)) if highest.is_none_or(|(known, _)| known < commit) => {
                highest = Some((commit, txn));
            }
            (false, _) => {}
        }
    }
    Ok(())
}
