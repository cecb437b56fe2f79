//! What the clients do.

pub(crate) mod index;
mod sql;

use std::collections::BTreeMap;

use rand::RngExt;
use rand::rngs::SmallRng;
use tidewater_txn::TxnKind;

use crate::history::Value;

pub use sql::SqlTable;
pub(crate) use sql::{Change, id, row};

/// Kinds of work; each has checks of its own, beside those that hold for all transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workload {
    /// Transfers between accounts: the sum stays.
    Bank,
    /// Transactions append to lists, so that each read shows the order of all writes before.
    Lists,
    /// Transactions write unique values; single keys are read at their latest.
    Registers,
    /// Likewise, while others only read, and leaders are cut off or hand over all the time.
    Readers,
    /// Raw keys with puts and compare-and-swap.
    Raw,
    /// Rows with an entry in an index each, as SQL has them: always the same rows by either way.
    Index,
    /// Money, lists or rows in a table of SQL, whose schema is changed meanwhile.
    Sql(SqlTable),
}

/// The balance every account is opened with.
pub(crate) const OPENING: i64 = 100;

/// What one transaction will do.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) kind: TxnKind,
    pub(crate) reads: Vec<String>,
    /// Read, then written.
    pub(crate) updates: Vec<String>,
    /// Updates are not read before.
    pub(crate) blind: bool,
    /// Reads everything by a scan.
    pub(crate) scans: bool,
}

impl Workload {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Bank,
        Self::Lists,
        Self::Registers,
        Self::Readers,
        Self::Raw,
        Self::Index,
        Self::Sql(SqlTable::Accounts),
        Self::Sql(SqlTable::Lists),
        Self::Sql(SqlTable::Items),
    ];

    /// By its name, in lower case.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|workload| workload.name() == name)
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bank => "bank",
            Self::Lists => "lists",
            Self::Registers => "registers",
            Self::Readers => "readers",
            Self::Raw => "raw",
            Self::Index => "index",
            Self::Sql(SqlTable::Accounts) => "sql-bank",
            Self::Sql(SqlTable::Lists) => "sql-lists",
            Self::Sql(SqlTable::Items) => "sql-index",
        }
    }

    /// Whether clients speak SQL.
    pub const fn is_sql(self) -> bool {
        matches!(self, Self::Sql(_))
    }

    /// All keys there can be.
    pub(crate) fn keys(self) -> Vec<String> {
        match self {
            Self::Index => index::keys(),
            _ => self.rows(),
        }
    }

    /// The keys that are chosen to be read or written; others follow from them.
    fn rows(self) -> Vec<String> {
        let count = match self {
            Self::Lists | Self::Index => 5,
            Self::Readers => 4,
            Self::Bank | Self::Registers | Self::Raw => 7,
            Self::Sql(table) => table.rows(),
        };
        (0..count).map(|index| format!("k{index}")).collect()
    }

    pub(crate) fn opening(self) -> BTreeMap<String, String> {
        match self {
            Self::Bank => self.keys().into_iter().map(|key| (key, format!("{OPENING}:open"))).collect(),
            // Tables are opened by statements.
            _ => BTreeMap::new(),
        }
    }

    pub(crate) fn plan(self, rng: &mut SmallRng) -> Plan {
        let kind = if rng.random_bool(0.5) { TxnKind::Optimistic } else { TxnKind::Pessimistic };
        let mut keys = self.rows();
        let count = keys.len();
        let mut choose = |how_many: usize| -> Vec<String> {
            for index in 0..how_many {
                let other = rng.random_range(index..count);
                keys.swap(index, other);
            }
            keys[..how_many].to_vec()
        };
        match self {
            Self::Bank | Self::Sql(SqlTable::Accounts) => {
                Plan { kind, reads: vec![], updates: choose(2), blind: false, scans: false }
            }
            _ => {
                let chosen = choose(3);
                let (updates, reads) = chosen.split_at(rng.random_range(1..=3));
                let blind = matches!(self, Self::Registers | Self::Readers) && rng.random_bool(0.3);
                Plan { kind, reads: reads.to_vec(), updates: updates.to_vec(), blind, scans: false }
            }
        }
    }

    /// A transaction that only reads.
    pub(crate) fn reading(self, rng: &mut SmallRng) -> Plan {
        Plan {
            kind: TxnKind::Optimistic,
            reads: self.keys(),
            updates: vec![],
            blind: false,
            scans: rng.random_bool(0.5),
        }
    }

    /// What transaction `number` makes of the values it has read. Several values for a key are written one after the other.
    pub(crate) fn change(
        self,
        number: usize,
        old: &[(String, Value)],
        rng: &mut SmallRng,
    ) -> Vec<(String, Value)> {
        let put = |(key, value): (String, String)| (key, Some(value));
        match self {
            Self::Bank => {
                let amount = rng.random_range(1..20);
                let moved = |(key, value): &(String, Value), by: i64| {
                    (key.clone(), format!("{}:{number}", balance(value.as_deref()) + by))
                };
                [moved(&old[0], -amount), moved(&old[1], amount)].map(put).into()
            }
            Self::Lists => old
                .iter()
                .flat_map(|(key, value)| {
                    let before = value.as_deref().map_or(String::new(), |list| format!("{list} "));
                    let first = format!("{before}{number}.0");
                    let second = rng.random_bool(0.2).then(|| (key.clone(), format!("{first} {number}.1")));
                    [Some((key.clone(), first)), second].into_iter().flatten()
                })
                .map(put)
                .collect(),
            Self::Registers | Self::Readers | Self::Raw => {
                // Long values are stored apart from their records.
                let tail = if rng.random_bool(0.1) { "x".repeat(300) } else { String::new() };
                old.iter().map(|(key, _)| put((key.clone(), format!("{number}{tail}")))).collect()
            }
            Self::Index => {
                old.iter().flat_map(|(row, value)| index::change(number, row, value, rng)).collect()
            }
            // Statements say what is to be changed: see `SqlTable::changes`.
            Self::Sql(_) => Vec::new(),
        }
    }
}

/// The money of an account.
pub(crate) fn balance(value: Option<&str>) -> i64 {
    value.and_then(|value| value.split(':').next()?.parse().ok()).unwrap_or(0)
}
