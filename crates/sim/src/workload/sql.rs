//! Work by SQL: one table `t` of one of three kinds, and the ledger `done`, in which each transaction that changes something notes its number.
//!
//! The ledger is what makes these checks simple: who reads table and ledger in one snapshot knows exactly whose changes it has to see.

use rand::RngExt;
use rand::rngs::SmallRng;

use super::OPENING;
use crate::history::Value;

/// What the table is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SqlTable {
    /// Accounts, between which money is moved.
    Accounts,
    /// Lists as long texts that are appended to.
    Lists,
    /// Rows with several columns and indexes, which come, change and go.
    Items,
}

/// A statement that changes something.
pub(crate) struct Change {
    pub(crate) row: String,
    pub(crate) sql: String,
    /// What is noted if it changes a row. For accounts the amount, for lists what is appended, else the row's new columns.
    pub(crate) writes: Value,
}

const COLORS: usize = 3;

impl SqlTable {
    /// How many rows there can be.
    pub(super) const fn rows(self) -> usize {
        match self {
            Self::Accounts => 7,
            Self::Lists => 5,
            Self::Items => 8,
        }
    }

    /// The statements that make the table and its first rows; each may be said twice.
    pub(crate) fn create(self) -> Vec<String> {
        let (columns, row) = match self {
            Self::Accounts => ("v INT NOT NULL, KEY by_v (v)", Some(OPENING.to_string())),
            Self::Lists => ("v VARCHAR(3000) NOT NULL", Some("''".to_owned())),
            Self::Items => {
                ("v INT NOT NULL, number INT NOT NULL, size INT NOT NULL, KEY by_v (v, number, size)", None)
            }
        };
        let table = format!("CREATE TABLE IF NOT EXISTS t (id INT PRIMARY KEY, {columns})");
        let ledger = "CREATE TABLE IF NOT EXISTS done (number INT PRIMARY KEY)".to_owned();
        let rows = row.map(|value| {
            let rows: Vec<_> = (0..self.rows()).map(|id| format!("({id}, {value})")).collect();
            format!("REPLACE INTO t VALUES {}", rows.join(", "))
        });
        [table, ledger].into_iter().chain(rows).collect()
    }

    /// Reads id and value of all rows.
    pub(crate) const fn read(self) -> &'static str {
        match self {
            Self::Accounts | Self::Lists => "SELECT id, v FROM t",
            Self::Items => "SELECT id, v, number, size FROM t",
        }
    }

    /// Other ways to read the same, which need an index that may not be there.
    pub(crate) const fn detours(self) -> &'static [&'static str] {
        match self {
            Self::Accounts => &["SELECT id, v FROM t FORCE INDEX (by_v) WHERE v > -1000000"],
            Self::Lists => &[],
            Self::Items => &[
                "SELECT id, v, number, size FROM t FORCE INDEX (by_v) WHERE v >= 0",
                "SELECT id, v, number, size FROM t FORCE INDEX (by_size) WHERE size >= 0",
                "SELECT id, v, number, size FROM t FORCE INDEX (by_number) WHERE number >= 0",
            ],
        }
    }

    /// What transaction `number` does to these rows.
    pub(crate) fn changes(self, number: usize, rows: &[String], rng: &mut SmallRng) -> Vec<Change> {
        match self {
            Self::Accounts => {
                let amount: i64 = rng.random_range(1..20);
                let signs = [-amount, amount];
                rows.iter().zip(signs).map(|(row, by)| transfer(row, by)).collect()
            }
            Self::Lists => rows.iter().flat_map(|row| appends(number, row, rng)).collect(),
            Self::Items => rows.iter().map(|row| item_change(number, row, rng)).collect(),
        }
    }

    /// What somebody may do to the schema meanwhile, in any order. Among it are changes of a column's type that write all rows anew.
    pub(crate) const fn schema_changes(self) -> &'static [&'static str] {
        match self {
            Self::Accounts => &[
                "CREATE INDEX by_v ON t (v)",
                "DROP INDEX by_v ON t",
                "ALTER TABLE t ADD COLUMN extra INT NOT NULL DEFAULT 7",
                "ALTER TABLE t DROP COLUMN extra",
                "ALTER TABLE t MODIFY COLUMN v BIGINT NOT NULL",
                "ALTER TABLE t MODIFY COLUMN v INT NOT NULL",
                "ALTER TABLE t MODIFY COLUMN v DECIMAL(20, 0) NOT NULL",
            ],
            Self::Lists => &[
                "CREATE INDEX by_v ON t (v(20))",
                "DROP INDEX by_v ON t",
                "ALTER TABLE t ADD COLUMN extra INT NOT NULL DEFAULT 7",
                "ALTER TABLE t DROP COLUMN extra",
                "ALTER TABLE t MODIFY COLUMN v VARCHAR(3100) NOT NULL",
                "ALTER TABLE t MODIFY COLUMN v VARCHAR(3000) NOT NULL",
                "ALTER TABLE t MODIFY COLUMN v TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci NOT NULL",
            ],
            Self::Items => &[
                "CREATE INDEX by_v ON t (v, number, size)",
                "DROP INDEX by_v ON t",
                "CREATE UNIQUE INDEX by_number ON t (number, id)",
                "DROP INDEX by_number ON t",
                "CREATE INDEX by_size ON t (size)",
                "DROP INDEX by_size ON t",
                "ALTER TABLE t ADD COLUMN extra INT NOT NULL DEFAULT 7",
                "ALTER TABLE t DROP COLUMN extra",
                "ALTER TABLE t MODIFY COLUMN size BIGINT NOT NULL",
                "ALTER TABLE t MODIFY COLUMN size INT NOT NULL",
                "ALTER TABLE t MODIFY COLUMN number DECIMAL(20, 0) NOT NULL",
                "ALTER TABLE t MODIFY COLUMN number INT NOT NULL",
            ],
        }
    }
}

fn transfer(row: &str, by: i64) -> Change {
    let sql = format!("UPDATE t SET v = v + ({by}) WHERE id = {}", id(row));
    Change { row: row.to_owned(), sql, writes: Some(by.to_string()) }
}

/// Now and then a transaction appends to a list twice.
fn appends(number: usize, row: &str, rng: &mut SmallRng) -> Vec<Change> {
    let count = if rng.random_bool(0.2) { 2 } else { 1 };
    let append = |part| {
        let element = format!("{number}.{part}");
        let sql =
            format!("UPDATE t SET v = CONCAT(v, IF(v = '', '', ' '), '{element}') WHERE id = {}", id(row));
        Change { row: row.to_owned(), sql, writes: Some(element) }
    };
    (0..count).map(append).collect()
}

fn item_change(number: usize, row: &str, rng: &mut SmallRng) -> Change {
    let (id, color) = (id(row), rng.random_range(0..COLORS));
    let writes = Some(format!("{color}:{number}:{number}"));
    let change = |sql, writes| Change { row: row.to_owned(), sql, writes };
    let row = format!("({id}, {color}, {number}, {number})");
    match rng.random_range(0..10) {
        0..=1 => change(format!("DELETE FROM t WHERE id = {id}"), None),
        2..=4 => change(
            format!("UPDATE t SET v = {color}, number = {number}, size = {number} WHERE id = {id}"),
            writes,
        ),
        5..=6 => change(format!("REPLACE INTO t (id, v, number, size) VALUES {row}"), writes),
        _ => change(
            format!(
                "INSERT INTO t (id, v, number, size) VALUES {row} \
                 ON DUPLICATE KEY UPDATE v = {color}, number = {number}, size = {number}"
            ),
            writes,
        ),
    }
}

/// The id of a row by its name.
pub(crate) fn id(row: &str) -> &str {
    row.trim_start_matches('k')
}

/// The name of a row by its id.
pub(crate) fn row(id: &str) -> String {
    format!("k{id}")
}
