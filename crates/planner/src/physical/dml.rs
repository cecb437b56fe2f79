//! Statements that write.

use std::sync::Arc;

use tidewater_expr::Expr;

use super::{HandlePositions, PhysicalPlan, PlanBase, TableSource};

/// `column = expression`.
#[derive(Clone, Debug)]
pub struct Assignment {
    /// The column's offset in [`TableInfo::columns`](tidewater_catalog::TableInfo::columns).
    pub column: usize,
    /// Its value; `None` is the column's default.
    pub value: Option<Expr>,
}

/// A table that is written.
#[derive(Clone, Debug)]
pub struct WriteTable {
    /// The table.
    pub source: TableSource,
    /// Generated columns in order of their offsets. The expressions are over *a row of the table*: index = offset.
    pub generated: Vec<Assignment>,
    /// Columns whose default is an expression, over nothing.
    pub default_exprs: Vec<Assignment>,
    /// The constraints its rows must keep: their names, and conditions over a row of the table.
    pub checks: Vec<(Arc<str>, Expr)>,
}

/// INSERT and REPLACE.
#[derive(Clone, Debug)]
pub struct Insert {
    /// What every node has; no columns.
    pub base: PlanBase,
    /// The table.
    pub table: WriteTable,
    /// The offsets of the columns that get values, in the order of the values.
    pub columns: Vec<usize>,
    /// Where the values come from.
    pub source: InsertSource,
    /// Replace rows with an equal key.
    pub replace: bool,
    /// IGNORE: errors are warnings.
    pub ignore: bool,
    /// ON DUPLICATE KEY UPDATE. Expressions are over the old row of the table (index = offset), followed by the row
    /// that was to be inserted (index = number of columns + offset).
    pub on_duplicate: Vec<Assignment>,
}

/// Where inserted values come from.
#[derive(Clone, Debug)]
pub enum InsertSource {
    /// VALUES: one row of expressions (`None` = DEFAULT) in step with [`Insert::columns`]. A row may be empty: all
    /// defaults. Expressions may refer to columns of the row assigned before them: index = offset.
    Values(Vec<Vec<Option<Expr>>>),
    /// A query whose columns are in step with [`Insert::columns`].
    Query(Arc<PhysicalPlan>),
}

/// Where a written table's columns stand in the child's schema.
#[derive(Clone, Debug)]
pub struct RowPositions {
    /// For each of the table's columns, in order: its position, if it is read.
    pub columns: Vec<Option<usize>>,
    /// Where the handle stands.
    pub handle: HandlePositions,
}

/// One table of an UPDATE.
#[derive(Clone, Debug)]
pub struct UpdateTarget {
    /// The table.
    pub table: WriteTable,
    /// Where its columns stand in the child's schema.
    pub row: RowPositions,
    /// What is set, in order. Expressions are over the child's schema; by MySQL's rule an assignment sees the values
    /// of those before it in a single-table UPDATE, and the old values in a multi-table one.
    pub assignments: Vec<Assignment>,
    /// The table may be the NULL-padded side of an outer join: rows whose handle is NULL are left out.
    pub may_be_absent: bool,
}

/// UPDATE.
#[derive(Clone, Debug)]
pub struct Update {
    /// What every node has; no columns.
    pub base: PlanBase,
    /// The rows to change, with all columns needed.
    pub child: Arc<PhysicalPlan>,
    /// What changes; one entry except for multi-table updates.
    pub targets: Vec<UpdateTarget>,
    /// IGNORE.
    pub ignore: bool,
}

/// One table of a DELETE.
#[derive(Clone, Debug)]
pub struct DeleteTarget {
    /// The table.
    pub table: WriteTable,
    /// Where its columns stand in the child's schema.
    pub row: RowPositions,
    /// The table may be the NULL-padded side of an outer join.
    pub may_be_absent: bool,
}

/// DELETE.
#[derive(Clone, Debug)]
pub struct Delete {
    /// What every node has; no columns.
    pub base: PlanBase,
    /// The rows to remove, with the columns of all indexes.
    pub child: Arc<PhysicalPlan>,
    /// Whose rows go; one entry except for multi-table deletes.
    pub targets: Vec<DeleteTarget>,
    /// IGNORE.
    pub ignore: bool,
}
