//! Whether what the clients saw can have happened.

mod index;
mod lists;
mod long_fork;
mod points;
mod sql;
mod truth;

use std::collections::BTreeMap;

use crate::history::{History, Value};
use crate::workload::{OPENING, Workload, balance};

pub(crate) use truth::Version;

/// The versions of each key, oldest first.
pub(crate) type Truth = BTreeMap<String, Vec<Version>>;

/// What is wrong, and with which keys.
#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) text: String,
    pub(crate) keys: Vec<String>,
}

impl Finding {
    fn of(key: &str, text: impl Into<String>) -> Self {
        Self { text: text.into(), keys: vec![key.to_owned()] }
    }
}

/// The first violation there is. `last` is what each key holds in the end.
pub(crate) fn check(
    workload: Workload,
    history: &History,
    truth: &Truth,
    last: &BTreeMap<String, String>,
) -> Result<(), Finding> {
    let (txns, points) = (history.txns(), history.points());
    if let Workload::Sql(table) = workload {
        return sql::check(table, &txns);
    }
    if workload == Workload::Raw {
        return points::check_raw(&points, last);
    }
    // What needs no look inside comes first: it speaks the clients' language.
    match workload {
        Workload::Bank => {
            let keys = workload.keys();
            txns.iter().try_for_each(|txn| check_accounts(&keys, &txn.reads))?;
        }
        Workload::Lists => lists::check(&txns)?,
        Workload::Index => index::check(&txns)?,
        Workload::Registers | Workload::Readers | Workload::Raw | Workload::Sql(_) => {}
    }
    long_fork::check(&txns, truth)?;
    truth::check(&txns, truth)?;
    points::check_latest(&txns, &points, truth)
}

/// Who read all accounts saw all of the money.
fn check_accounts(keys: &[String], reads: &BTreeMap<String, Value>) -> Result<(), Finding> {
    if !keys.iter().all(|key| reads.contains_key(key)) {
        return Ok(());
    }
    let sum: i64 = reads.values().map(|value| balance(value.as_deref())).sum();
    if sum == OPENING * keys.len() as i64 {
        return Ok(());
    }
    Err(Finding { text: format!("a snapshot holds {sum} in all: {reads:?}"), keys: keys.to_vec() })
}
