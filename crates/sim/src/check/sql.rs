//! Tables against the ledger that is read with them, in which each transaction has noted its number.
//!
//! A snapshot is a place in the order of all commits. So the ledgers of any two are each a beginning of the other; a ledger has the number of
//! everybody who was acknowledged before its reader began, and of nobody who was refused; and a table has the changes of those in the ledger, all of
//! them, and no others.

use std::collections::{BTreeMap, BTreeSet};

use super::{Finding, check_accounts, lists};
use crate::history::{Outcome, Txn, Value};
use crate::workload::{OPENING, SqlTable, Workload, balance};

type Ledger = BTreeSet<usize>;

pub(super) fn check(table: SqlTable, txns: &[Txn]) -> Result<(), Finding> {
    if table == SqlTable::Accounts {
        let keys = Workload::Sql(table).keys();
        txns.iter().try_for_each(|txn| check_accounts(&keys, &txn.reads))?;
    }
    if table == SqlTable::Lists {
        lists::check(txns)?;
    }
    check_prefixes(txns)?;
    for (number, txn) in txns.iter().enumerate() {
        if let Some(ledger) = &txn.ledger {
            check_ledger(number, txn, ledger, txns)?;
            txn.reads
                .iter()
                .try_for_each(|(key, value)| check_row(table, number, key, value, ledger, txns))?;
        }
    }
    Ok(())
}

fn finding(text: String) -> Finding {
    Finding { text, keys: Vec::new() }
}

fn check_prefixes(txns: &[Txn]) -> Result<(), Finding> {
    let mut ledgers: Vec<(usize, &Ledger)> =
        txns.iter().enumerate().filter_map(|(number, txn)| Some((number, txn.ledger.as_ref()?))).collect();
    ledgers.sort_by_key(|(_, ledger)| ledger.len());
    for pair in ledgers.windows(2) {
        let [(one, smaller), (other, larger)] = [pair[0], pair[1]];
        if let Some(missing) = smaller.difference(larger).next() {
            return Err(finding(format!(
                "long fork: transaction {one} saw {missing}, and transaction {other} did not, which saw {:?} beyond it",
                larger.difference(smaller).collect::<Vec<_>>()
            )));
        }
    }
    Ok(())
}

fn check_ledger(number: usize, reader: &Txn, ledger: &Ledger, txns: &[Txn]) -> Result<(), Finding> {
    for other in ledger {
        match txns.get(*other) {
            Some(txn) if txn.outcome == Outcome::Aborted => {
                return Err(finding(format!("transaction {number} saw {other}, which was refused: {txn:?}")));
            }
            Some(_) => {}
            None => return Err(finding(format!("nobody wrote {other}, which transaction {number} saw"))),
        }
    }
    let is_missing = |(other, txn): &(usize, &Txn)| {
        matches!(txn.outcome, Outcome::Committed(_)) && txn.ended < reader.began && !ledger.contains(other)
    };
    match txns.iter().enumerate().filter(|_| !reader.is_stale).find(is_missing) {
        Some((other, txn)) => Err(finding(format!(
            "transaction {other} was acknowledged before transaction {number} began, which did not see it: {txn:?}"
        ))),
        None => Ok(()),
    }
}

/// Whether a row has what those in the ledger made of it.
fn check_row(
    table: SqlTable,
    number: usize,
    key: &str,
    value: &Value,
    ledger: &Ledger,
    txns: &[Txn],
) -> Result<(), Finding> {
    let writes: BTreeMap<usize, &Value> =
        ledger.iter().filter_map(|writer| Some((*writer, txns[*writer].writes.get(key)?))).collect();
    let is_right = match table {
        SqlTable::Accounts => {
            let amounts = writes.values().map(|by| balance(by.as_deref()));
            value.as_deref() == Some(&(OPENING + amounts.sum::<i64>()).to_string())
        }
        SqlTable::Lists => {
            let wanted: BTreeSet<&str> =
                writes.values().flat_map(|elements| elements.as_deref().unwrap_or("").split(' ')).collect();
            let found = value.as_deref().unwrap_or("").split(' ');
            found.filter(|element| !element.is_empty()).collect::<BTreeSet<&str>>() == wanted
        }
        // Each of them may be the last, and who did something to a row may have deleted it; but what is there somebody wrote.
        SqlTable::Items => match value {
            Some(_) => writes.values().any(|write| *write == value),
            None => writes.is_empty() || writes.values().any(|write| write.is_none()),
        },
    };
    if is_right {
        return Ok(());
    }
    let text = format!("transaction {number} saw {value:?} in {key}, of which its ledger makes {writes:?}");
    Err(Finding { text, keys: vec![key.to_owned()] })
}
