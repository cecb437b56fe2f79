//! What the clients do.

pub(crate) mod index;

use std::collections::BTreeMap;

use rand::RngExt;
use rand::rngs::SmallRng;
use tidewater_txn::TxnKind;

use crate::history::Value;

/// Kinds of work; each has checks of its own, beside those that hold for all transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workload {
    /// Transfers between accounts: the sum stays.
    Bank,
    /// Transactions append to lists, so that each read shows the order of all writes before.
    Lists,
    /// Transactions write unique values; single keys are read at their latest.
    Registers,
    /// Raw keys with puts and compare-and-swap.
    Raw,
    /// Rows with an entry in an index each, as SQL has them: always the same rows by either way.
    Index,
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
    pub const ALL: [Self; 5] = [Self::Bank, Self::Lists, Self::Registers, Self::Raw, Self::Index];

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
            Self::Raw => "raw",
            Self::Index => "index",
        }
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
            Self::Bank | Self::Registers | Self::Raw => 7,
        };
        (0..count).map(|index| format!("k{index}")).collect()
    }

    pub(crate) fn opening(self) -> BTreeMap<String, String> {
        match self {
            Self::Bank => self.keys().into_iter().map(|key| (key, format!("{OPENING}:open"))).collect(),
            Self::Lists | Self::Registers | Self::Raw | Self::Index => BTreeMap::new(),
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
            Self::Bank => Plan { kind, reads: vec![], updates: choose(2), blind: false, scans: false },
            Self::Lists | Self::Registers | Self::Raw | Self::Index => {
                let chosen = choose(3);
                let (updates, reads) = chosen.split_at(rng.random_range(1..=3));
                let blind = self == Self::Registers && rng.random_bool(0.3);
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
            Self::Registers | Self::Raw => {
                // Long values are stored apart from their records.
                let tail = if rng.random_bool(0.1) { "x".repeat(300) } else { String::new() };
                old.iter().map(|(key, _)| put((key.clone(), format!("{number}{tail}")))).collect()
            }
            Self::Index => {
                old.iter().flat_map(|(row, value)| index::change(number, row, value, rng)).collect()
            }
        }
    }
}

/// The money of an account.
pub(crate) fn balance(value: Option<&str>) -> i64 {
    value.and_then(|value| value.split(':').next()?.parse().ok()).unwrap_or(0)
}
