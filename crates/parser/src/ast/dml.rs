//! INSERT, REPLACE, UPDATE, DELETE, LOAD DATA.

use super::{ColumnName, Expr, Hint, Ident, ObjectName, OrderItem, Query, TableRef, With};

/// INSERT and REPLACE.
#[derive(Clone, Debug, PartialEq)]
pub struct Insert {
    /// Optimizer hints.
    pub hints: Vec<Hint>,
    /// REPLACE instead of INSERT.
    pub replace: bool,
    /// LOW_PRIORITY, HIGH_PRIORITY, DELAYED.
    pub priority: Option<Priority>,
    /// IGNORE.
    pub ignore: bool,
    /// Into which table.
    pub table: ObjectName,
    /// `PARTITION (..)`.
    pub partitions: Vec<Ident>,
    /// The columns; `None` means all, in the table's order. `INSERT INTO t () ..` has `Some` of an empty list.
    pub columns: Option<Vec<ColumnName>>,
    /// The rows.
    pub source: InsertSource,
    /// `AS new [(a, b)]`.
    pub row_alias: Option<RowAlias>,
    /// ON DUPLICATE KEY UPDATE.
    pub on_duplicate: Vec<Assignment>,
}

/// The rows of an INSERT.
#[derive(Clone, Debug, PartialEq)]
pub enum InsertSource {
    /// VALUES, and SET (one row; the columns are then the SET's). An empty row takes all defaults.
    Values(Vec<Vec<Expr>>),
    /// SELECT, TABLE, VALUES ROW, parenthesised or not.
    Query(Box<Query>),
}

/// The name by which ON DUPLICATE KEY UPDATE calls the new row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowAlias {
    /// The row.
    pub name: Ident,
    /// Its columns; empty when not given.
    pub columns: Vec<Ident>,
}

/// LOW_PRIORITY, HIGH_PRIORITY, DELAYED.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the variants are MySQL's words")]
pub enum Priority {
    Low,
    High,
    Delayed,
}

/// `column = value`.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    /// The column.
    pub column: ColumnName,
    /// Its value; may be [`Expr::Default`].
    pub value: Expr,
}

/// UPDATE.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    /// Common table expressions.
    pub with: Option<With>,
    /// Optimizer hints.
    pub hints: Vec<Hint>,
    /// LOW_PRIORITY.
    pub low_priority: bool,
    /// IGNORE.
    pub ignore: bool,
    /// The tables; one plain table, or a join.
    pub tables: Vec<TableRef>,
    /// SET, in order.
    pub assignments: Vec<Assignment>,
    /// WHERE.
    pub selection: Option<Expr>,
    /// ORDER BY (one table only).
    pub order_by: Vec<OrderItem>,
    /// LIMIT (one table only).
    pub limit: Option<Expr>,
}

/// DELETE.
#[derive(Clone, Debug, PartialEq)]
pub struct Delete {
    /// Common table expressions.
    pub with: Option<With>,
    /// Optimizer hints.
    pub hints: Vec<Hint>,
    /// LOW_PRIORITY.
    pub low_priority: bool,
    /// QUICK.
    pub quick: bool,
    /// IGNORE.
    pub ignore: bool,
    /// The tables whose rows go, by name or alias. Empty for the single-table form: there it is the one table of `from`.
    pub targets: Vec<ObjectName>,
    /// The tables read.
    pub from: Vec<TableRef>,
    /// WHERE.
    pub selection: Option<Expr>,
    /// ORDER BY (single-table form only).
    pub order_by: Vec<OrderItem>,
    /// LIMIT (single-table form only).
    pub limit: Option<Expr>,
}

/// LOAD DATA \[LOCAL] INFILE.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadData {
    /// LOW_PRIORITY (or CONCURRENT, which means nothing here).
    pub low_priority: bool,
    /// LOCAL: the client sends the file.
    pub local: bool,
    /// The file's name.
    pub path: String,
    /// REPLACE or IGNORE.
    pub on_duplicate: LoadConflict,
    /// Into which table.
    pub table: ObjectName,
    /// `PARTITION (..)`.
    pub partitions: Vec<Ident>,
    /// CHARACTER SET, in lower case.
    pub charset: Option<String>,
    /// FIELDS.
    pub fields: FieldsFormat,
    /// LINES.
    pub lines: LinesFormat,
    /// IGNORE n LINES.
    pub skip_lines: u64,
    /// The columns and variables each field goes to; empty means all columns.
    pub columns: Vec<LoadTarget>,
    /// SET.
    pub assignments: Vec<Assignment>,
}

/// What LOAD DATA does with a duplicate key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[allow(missing_docs, reason = "the variants are MySQL's words")]
pub enum LoadConflict {
    #[default]
    Error,
    Ignore,
    Replace,
}

/// Where a field of LOAD DATA goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadTarget {
    /// A column.
    Column(ColumnName),
    /// A user variable, without the sign.
    Variable(String),
}

/// FIELDS TERMINATED BY .. \[OPTIONALLY] ENCLOSED BY .. ESCAPED BY ..; `None` is MySQL's default.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct FieldsFormat {
    /// Default: a tab.
    pub terminated: Option<String>,
    /// Default: nothing.
    pub enclosed: Option<String>,
    /// OPTIONALLY ENCLOSED.
    pub optionally: bool,
    /// Default: a backslash.
    pub escaped: Option<String>,
}

/// LINES STARTING BY .. TERMINATED BY ..; `None` is MySQL's default.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct LinesFormat {
    /// Default: nothing.
    pub starting: Option<String>,
    /// Default: a newline.
    pub terminated: Option<String>,
}
