//! Long forks: two readers who see two writes in different orders.
//!
//! A snapshot is a place in the order of all commits, so of two snapshots one is the later: it shows no key as it was before the other one.

use std::collections::BTreeMap;

use super::{Finding, Truth};
use crate::history::Txn;

/// The place of what was read in the order of each key's versions.
type Places<'t> = BTreeMap<&'t String, usize>;

pub(super) fn check(txns: &[Txn], truth: &Truth) -> Result<(), Finding> {
    let snapshots: Vec<(usize, Places<'_>)> = txns
        .iter()
        .enumerate()
        .filter(|(_, txn)| txn.reads.len() > 1)
        .map(|(number, txn)| (number, places(txn, truth)))
        .collect();
    for (index, (number, places)) in snapshots.iter().enumerate() {
        for (other, others) in &snapshots[..index] {
            let both = || places.iter().filter_map(|(key, at)| Some((*key, *at, *others.get(key)?)));
            let older = both().find(|(_, at, other)| at < other);
            let newer = both().find(|(_, at, other)| at > other);
            if let (Some((first, ..)), Some((second, ..))) = (older, newer) {
                let text = format!(
                    "long fork: transaction {number} saw {first} as it was before, and {second} as it was after, transaction {other} saw it"
                );
                return Err(Finding { text, keys: vec![first.clone(), second.clone()] });
            }
        }
    }
    Ok(())
}

/// Versions are told apart by their values, which are unique but for deletions: keys that were deleted say nothing here.
fn places<'t>(txn: &'t Txn, truth: &Truth) -> Places<'t> {
    let place = |(key, value): (&'t String, &crate::history::Value)| {
        let versions = truth.get(key)?;
        match value {
            Some(_) => Some((key, 1 + versions.iter().position(|version| version.value == *value)?)),
            None if versions.iter().any(|version| version.value.is_none()) => None,
            None => Some((key, 0)),
        }
    };
    txn.reads.iter().filter_map(place).collect()
}
