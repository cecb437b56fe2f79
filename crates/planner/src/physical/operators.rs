//! Operators of the SQL node.

use std::sync::Arc;

use tidewater_expr::{AggregateCall, ColumnRef, Expr};
use tidewater_types::Collation;

use super::{HandlePositions, PhysicalPlan, PlanBase, TableSource};

/// Passes rows on that fulfil all conditions.
#[derive(Clone, Debug)]
pub struct Selection {
    /// What every node has.
    pub base: PlanBase,
    /// The input.
    pub child: Arc<PhysicalPlan>,
    /// The conditions.
    pub conditions: Vec<Expr>,
}

/// Computes its columns.
#[derive(Clone, Debug)]
pub struct Projection {
    /// What every node has.
    pub base: PlanBase,
    /// The input.
    pub child: Arc<PhysicalPlan>,
    /// One expression per column.
    pub exprs: Vec<Expr>,
}

/// Groups: gives the aggregates' results, then the group-by columns.
///
/// In final mode (see [`AggregateCall`]) the arguments are columns that hold the partial results, in order.
/// Without group-by columns there is exactly one output row, even for no input.
#[derive(Clone, Debug)]
pub struct Aggregation {
    /// What every node has.
    pub base: PlanBase,
    /// The input; for StreamAgg ordered by the keys.
    pub child: Arc<PhysicalPlan>,
    /// The aggregates.
    pub aggregates: Vec<AggregateCall>,
    /// The keys.
    pub group_by: Vec<Expr>,
}

/// A member of an order.
#[derive(Clone, Debug)]
pub struct SortItem {
    /// By what.
    pub expr: Expr,
    /// Descending.
    pub desc: bool,
}

/// Sorts.
#[derive(Clone, Debug)]
pub struct Sort {
    /// What every node has.
    pub base: PlanBase,
    /// The input.
    pub child: Arc<PhysicalPlan>,
    /// The order.
    pub by: Vec<SortItem>,
}

/// The rows `offset .. offset + count` of an order.
#[derive(Clone, Debug)]
pub struct TopN {
    /// What every node has.
    pub base: PlanBase,
    /// The input.
    pub child: Arc<PhysicalPlan>,
    /// The order.
    pub by: Vec<SortItem>,
    /// Rows to skip.
    pub offset: u64,
    /// Rows to give.
    pub count: u64,
}

/// The rows `offset .. offset + count`.
#[derive(Clone, Debug)]
pub struct Limit {
    /// What every node has.
    pub base: PlanBase,
    /// The input.
    pub child: Arc<PhysicalPlan>,
    /// Rows to skip.
    pub offset: u64,
    /// Rows to give.
    pub count: u64,
}

/// Which rows a join gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinKind {
    /// Matching pairs.
    Inner,
    /// Matching pairs, and left rows without a match, padded with NULL.
    LeftOuter,
    /// Matching pairs, and right rows without a match, padded with NULL.
    RightOuter,
    /// Left rows with a match.
    Semi,
    /// Left rows without a match.
    AntiSemi,
    /// All left rows with a further column: 1 with a match, 0 without, NULL when that is unknown.
    LeftOuterSemi,
    /// All left rows with the negated column of `LeftOuterSemi`.
    AntiLeftOuterSemi,
}

impl JoinKind {
    /// The words EXPLAIN prints.
    pub fn name(self) -> &'static str {
        match self {
            Self::Inner => "inner join",
            Self::LeftOuter => "left outer join",
            Self::RightOuter => "right outer join",
            Self::Semi => "semi join",
            Self::AntiSemi => "anti semi join",
            Self::LeftOuterSemi => "left outer semi join",
            Self::AntiLeftOuterSemi => "anti left outer semi join",
        }
    }

    /// Whether only the left side's columns come out (and perhaps a mark).
    pub fn is_semi(self) -> bool {
        matches!(self, Self::Semi | Self::AntiSemi | Self::LeftOuterSemi | Self::AntiLeftOuterSemi)
    }

    /// Whether a mark column is added.
    pub fn has_mark(self) -> bool {
        matches!(self, Self::LeftOuterSemi | Self::AntiLeftOuterSemi)
    }
}

/// Which child is put into the hash table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildSide {
    /// The left child.
    Left,
    /// The right child.
    Right,
}

/// An equality between the sides of a join.
#[derive(Clone, Debug)]
pub struct JoinKey {
    /// Over the left child's columns.
    pub left: Expr,
    /// Over the right child's columns.
    pub right: Expr,
    /// The collation of the comparison, for strings.
    pub collation: Collation,
    /// `<=>` instead of `=`.
    pub null_safe: bool,
}

/// Joins through a hash table. Without keys it is a nested loop over the build side.
#[derive(Clone, Debug)]
pub struct HashJoin {
    /// What every node has; the schema is left's columns, then right's (or the mark).
    pub base: PlanBase,
    /// The left input.
    pub left: Arc<PhysicalPlan>,
    /// The right input.
    pub right: Arc<PhysicalPlan>,
    /// Which rows come out.
    pub kind: JoinKind,
    /// Which child is hashed.
    pub build: BuildSide,
    /// Equalities whose NULL is no match.
    pub keys: Vec<JoinKey>,
    /// Equalities of NOT IN, and of IN as a value, whose NULL is unknown.
    pub null_aware_keys: Vec<JoinKey>,
    /// Further conditions over the columns of both sides (left's, then right's). For outer joins conditions on the
    /// outer side alone are among them.
    pub other_conditions: Vec<Expr>,
}

/// Joins by looking batches of outer rows' keys up in the inner table.
///
/// `inner` is a [`TableReader`](super::TableReader), [`IndexReader`](super::IndexReader) or
/// [`IndexLookUp`](super::IndexLookUp), perhaps under a Selection or Projection, whose scan has
/// [`Ranges::Lookup`](crate::Ranges::Lookup): for each distinct outer key the range is the key (of `lookup_keys`, cast
/// to the index columns' types) as a prefix of the index's columns.
#[derive(Clone, Debug)]
pub struct IndexJoin {
    /// What every node has; the schema is left's columns, then right's, as `outer_is_left` says which is which.
    pub base: PlanBase,
    /// Read once.
    pub outer: Arc<PhysicalPlan>,
    /// Read once per batch, restricted to the batch's keys.
    pub inner: Arc<PhysicalPlan>,
    /// Whether the outer side is the join's left.
    pub outer_is_left: bool,
    /// Inner, LeftOuter (outer left), RightOuter (outer right), Semi, AntiSemi (outer left).
    pub kind: JoinKind,
    /// Values over the outer columns that make the range of the inner scan, of the types of its key columns.
    pub lookup_keys: Vec<Expr>,
    /// All equalities, to match the rows read: `left` and `right` as in [`JoinKey`].
    pub keys: Vec<JoinKey>,
    /// Further conditions over the columns of both sides (left's, then right's).
    pub other_conditions: Vec<Expr>,
}

/// A column of an outer row that an inner plan refers to.
#[derive(Clone, Debug)]
pub struct CorrelatedColumn {
    /// The slot of `Expr::Correlated` that shows it.
    pub slot: usize,
    /// Where it stands in the outer child's schema.
    pub column: ColumnRef,
}

/// Runs its inner child anew for each outer row.
#[derive(Clone, Debug)]
pub struct Apply {
    /// What every node has; the schema as a [`HashJoin`] with outer as left.
    pub base: PlanBase,
    /// The outer input.
    pub outer: Arc<PhysicalPlan>,
    /// The inner plan: a template with `Expr::Correlated` inside.
    pub inner: Arc<PhysicalPlan>,
    /// Inner, LeftOuter or one of the semi kinds.
    pub kind: JoinKind,
    /// Which outer columns the inner plan sees.
    pub correlated: Vec<CorrelatedColumn>,
    /// Equalities whose NULL is unknown (NOT IN and IN as a value).
    pub null_aware_keys: Vec<JoinKey>,
    /// Conditions over the columns of both sides (outer's, then inner's).
    pub conditions: Vec<Expr>,
}

/// The rows of all children, one after the other.
#[derive(Clone, Debug)]
pub struct UnionAll {
    /// What every node has; the children have the same types.
    pub base: PlanBase,
    /// The inputs.
    pub children: Vec<Arc<PhysicalPlan>>,
}

/// No row, or some rows of NULLs (of no columns, mostly).
#[derive(Clone, Debug)]
pub struct TableDual {
    /// What every node has.
    pub base: PlanBase,
    /// How many rows.
    pub count: u64,
}

/// Passes one row on, gives a row of NULLs for none, and refuses a second: error 1242.
#[derive(Clone, Debug)]
pub struct MaxOneRow {
    /// What every node has.
    pub base: PlanBase,
    /// The input.
    pub child: Arc<PhysicalPlan>,
}

/// What a locking read does with rows another transaction holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockWait {
    /// Waits as long as `innodb_lock_wait_timeout` says.
    Default,
    /// Fails at once.
    NoWait,
    /// Leaves them out.
    SkipLocked,
    /// Waits so many seconds.
    Seconds(u64),
}

/// A table whose rows a locking read locks.
#[derive(Clone, Debug)]
pub struct LockTarget {
    /// The table.
    pub table: TableSource,
    /// Where its handle stands in the schema.
    pub handle: HandlePositions,
}

/// Locks the rows that pass.
#[derive(Clone, Debug)]
pub struct SelectLock {
    /// What every node has.
    pub base: PlanBase,
    /// The input.
    pub child: Arc<PhysicalPlan>,
    /// Whose rows are locked.
    pub targets: Vec<LockTarget>,
    /// What to do with rows that are held.
    pub wait: LockWait,
    /// FOR SHARE (rows stay readable by other FOR SHARE).
    pub shared: bool,
}
