//! Logical plans: what the binder builds and the rules rewrite.
//!
//! Columns are told apart by [`ColumnRef::unique_id`]; positions mean nothing yet. An operator that hands columns on
//! unchanged (selection, join, sort, a grouped column of an aggregation) keeps their ids, so expressions need no rewriting
//! when operators move.

use std::collections::BTreeSet;
use std::sync::Arc;

use tidewater_expr::{AggregateCall, ColumnRef, Expr};
use tidewater_stats::TableStats;
use tidewater_types::TypeFlags;

use crate::expr_tools::column_ids;
use crate::physical::{JoinKind, LockWait, ScanColumn, SortItem, TableSource};

/// One node.
#[derive(Clone, Debug)]
pub(crate) enum Logical {
    DataSource(Box<DataSource>),
    Selection {
        child: Box<Logical>,
        conditions: Vec<Expr>,
    },
    Projection {
        child: Box<Logical>,
        exprs: Vec<Expr>,
        schema: Vec<ColumnRef>,
    },
    Aggregation(Box<Aggregation>),
    Join(Box<Join>),
    /// UNION ALL: columns by position.
    Union {
        children: Vec<Logical>,
        schema: Vec<ColumnRef>,
    },
    Sort {
        child: Box<Logical>,
        by: Vec<SortItem>,
    },
    TopN {
        child: Box<Logical>,
        by: Vec<SortItem>,
        offset: u64,
        count: u64,
    },
    Limit {
        child: Box<Logical>,
        offset: u64,
        count: u64,
    },
    Dual {
        rows: u64,
        schema: Vec<ColumnRef>,
    },
    MaxOneRow {
        child: Box<Logical>,
    },
    Lock {
        child: Box<Logical>,
        targets: Vec<LockTarget>,
        wait: LockWait,
        shared: bool,
    },
}

/// A table that is read.
#[derive(Clone, Debug)]
pub(crate) struct DataSource {
    pub table: TableSource,
    /// The columns read; rules remove what nobody needs.
    pub columns: Vec<(ScanColumn, ColumnRef)>,
    /// All columns the table has, to recognise those that only conditions use.
    pub all_columns: Arc<[(ScanColumn, ColumnRef)]>,
    /// Conditions on its rows.
    pub conditions: Vec<Expr>,
    /// USE, FORCE and IGNORE INDEX.
    pub hints: AccessHints,
    /// The current transaction wrote to it.
    pub dirty: bool,
    /// Its statistics.
    pub stats: Arc<TableStats>,
    /// A locking read that finds its row by key may lock at once.
    pub lock: Option<LockWait>,
}

/// Which access paths a table's hints allow. Paths are named by index name in lower case; `primary` is the handle too.
#[derive(Clone, Debug, Default)]
pub(crate) struct AccessHints {
    /// USE INDEX: only these (or the table).
    pub only: Option<Vec<String>>,
    /// FORCE INDEX: the table only if none of them can be used.
    pub force: bool,
    /// IGNORE INDEX.
    pub ignore: Vec<String>,
}

/// Grouping. Gives the aggregates, then the keys.
#[derive(Clone, Debug)]
pub(crate) struct Aggregation {
    pub child: Logical,
    /// Keys and the columns that show them. A plain column keeps its id.
    pub group_by: Vec<(Expr, ColumnRef)>,
    pub aggregates: Vec<(AggregateCall, ColumnRef)>,
}

/// A join, or (with `apply`) the repeated evaluation of the right side for each left row.
#[derive(Clone, Debug)]
pub(crate) struct Join {
    pub kind: JoinKind,
    pub left: Logical,
    pub right: Logical,
    /// What pairs must fulfil.
    pub conditions: Vec<Expr>,
    /// Pairs whose equality, when NULL, makes the answer unknown (NOT IN).
    pub null_aware: Vec<(Expr, Expr)>,
    /// The column that says whether there was a match.
    pub mark: Option<ColumnRef>,
    /// The right side refers to columns of the left one.
    pub apply: bool,
    /// STRAIGHT_JOIN: keep the order.
    pub straight: bool,
}

/// A table whose rows a locking read locks.
#[derive(Clone, Debug)]
pub(crate) struct LockTarget {
    pub table: TableSource,
    /// The columns of its handle.
    pub handle: Vec<ColumnRef>,
}

impl Logical {
    /// The columns it gives.
    pub(crate) fn schema(&self) -> Vec<ColumnRef> {
        match self {
            Logical::DataSource(source) => source.columns.iter().map(|(_, column)| column.clone()).collect(),
            Logical::Selection { child, .. }
            | Logical::Sort { child, .. }
            | Logical::TopN { child, .. }
            | Logical::Limit { child, .. }
            | Logical::MaxOneRow { child }
            | Logical::Lock { child, .. } => child.schema(),
            Logical::Projection { schema, .. }
            | Logical::Union { schema, .. }
            | Logical::Dual { schema, .. } => schema.clone(),
            Logical::Aggregation(agg) => {
                let aggregates = agg.aggregates.iter().map(|(_, column)| column.clone());
                aggregates.chain(agg.group_by.iter().map(|(_, column)| column.clone())).collect()
            }
            Logical::Join(join) => {
                let mut schema = join.left.schema();
                if join.kind == JoinKind::RightOuter {
                    make_nullable(&mut schema);
                }
                if join.kind.has_mark() {
                    schema.extend(join.mark.clone());
                } else if !join.kind.is_semi() {
                    let mut right = join.right.schema();
                    if join.kind == JoinKind::LeftOuter {
                        make_nullable(&mut right);
                    }
                    schema.extend(right);
                }
                schema
            }
        }
    }

    /// The ids of the columns it gives.
    pub(crate) fn column_ids(&self) -> BTreeSet<u64> {
        self.schema().iter().map(|column| column.unique_id).collect()
    }

    /// The nodes below.
    pub(crate) fn children_mut(&mut self) -> Vec<&mut Logical> {
        match self {
            Logical::DataSource(_) | Logical::Dual { .. } => Vec::new(),
            Logical::Selection { child, .. }
            | Logical::Projection { child, .. }
            | Logical::Sort { child, .. }
            | Logical::TopN { child, .. }
            | Logical::Limit { child, .. }
            | Logical::MaxOneRow { child }
            | Logical::Lock { child, .. } => vec![child],
            Logical::Aggregation(agg) => vec![&mut agg.child],
            Logical::Join(join) => vec![&mut join.left, &mut join.right],
            Logical::Union { children, .. } => children.iter_mut().collect(),
        }
    }

    /// The nodes below.
    pub(crate) fn children(&self) -> Vec<&Logical> {
        match self {
            Logical::DataSource(_) | Logical::Dual { .. } => Vec::new(),
            Logical::Selection { child, .. }
            | Logical::Projection { child, .. }
            | Logical::Sort { child, .. }
            | Logical::TopN { child, .. }
            | Logical::Limit { child, .. }
            | Logical::MaxOneRow { child }
            | Logical::Lock { child, .. } => vec![child],
            Logical::Aggregation(agg) => vec![&agg.child],
            Logical::Join(join) => vec![&join.left, &join.right],
            Logical::Union { children, .. } => children.iter().collect(),
        }
    }

    /// The node's own expressions, children's not included.
    pub(crate) fn exprs_mut(&mut self) -> Vec<&mut Expr> {
        match self {
            Logical::DataSource(source) => source.conditions.iter_mut().collect(),
            Logical::Selection { conditions, .. } => conditions.iter_mut().collect(),
            Logical::Projection { exprs, .. } => exprs.iter_mut().collect(),
            Logical::Aggregation(agg) => {
                let keys = agg.group_by.iter_mut().map(|(expr, _)| expr);
                keys.chain(agg.aggregates.iter_mut().flat_map(|(call, _)| {
                    call.args.iter_mut().chain(call.order_by.iter_mut().map(|item| &mut item.expr))
                }))
                .collect()
            }
            Logical::Join(join) => join
                .conditions
                .iter_mut()
                .chain(join.null_aware.iter_mut().flat_map(|(left, right)| [left, right]))
                .collect(),
            Logical::Sort { by, .. } | Logical::TopN { by, .. } => {
                by.iter_mut().map(|item| &mut item.expr).collect()
            }
            Logical::Union { .. }
            | Logical::Limit { .. }
            | Logical::Dual { .. }
            | Logical::MaxOneRow { .. }
            | Logical::Lock { .. } => Vec::new(),
        }
    }

    /// The node's own expressions, children's not included.
    pub(crate) fn exprs(&self) -> Vec<&Expr> {
        match self {
            Logical::DataSource(source) => source.conditions.iter().collect(),
            Logical::Selection { conditions, .. } => conditions.iter().collect(),
            Logical::Projection { exprs, .. } => exprs.iter().collect(),
            Logical::Aggregation(agg) => {
                let keys = agg.group_by.iter().map(|(expr, _)| expr);
                keys.chain(agg.aggregates.iter().flat_map(|(call, _)| {
                    call.args.iter().chain(call.order_by.iter().map(|item| &item.expr))
                }))
                .collect()
            }
            Logical::Join(join) => join
                .conditions
                .iter()
                .chain(join.null_aware.iter().flat_map(|(left, right)| [left, right]))
                .collect(),
            Logical::Sort { by, .. } | Logical::TopN { by, .. } => by.iter().map(|item| &item.expr).collect(),
            Logical::Union { .. }
            | Logical::Limit { .. }
            | Logical::Dual { .. }
            | Logical::MaxOneRow { .. }
            | Logical::Lock { .. } => Vec::new(),
        }
    }

    /// Calls `visit` for each node from the root down.
    pub(crate) fn for_each(&self, visit: &mut dyn FnMut(&Logical)) {
        visit(self);
        for child in self.children() {
            child.for_each(visit);
        }
    }

    /// Takes the node out, leaving an empty one.
    pub(crate) fn take(&mut self) -> Logical {
        std::mem::replace(self, Logical::Dual { rows: 0, schema: Vec::new() })
    }

    /// Replaces the node by what `change` makes of it.
    pub(crate) fn replace_with(&mut self, change: impl FnOnce(Logical) -> Logical) {
        *self = change(self.take());
    }

    /// The node below a selection of these conditions, if there are any.
    pub(crate) fn filtered(self, conditions: Vec<Expr>) -> Logical {
        if conditions.is_empty() {
            return self;
        }
        match self {
            Logical::Selection { child, conditions: mut own } => {
                own.extend(conditions);
                Logical::Selection { child, conditions: own }
            }
            other => Logical::Selection { child: Box::new(other), conditions },
        }
    }

    /// The ids of columns that sets of rows below never repeat: each set is a key.
    pub(crate) fn unique_keys(&self) -> Vec<BTreeSet<u64>> {
        match self {
            Logical::DataSource(source) => source.unique_keys(),
            Logical::Selection { child, .. }
            | Logical::Sort { child, .. }
            | Logical::TopN { child, .. }
            | Logical::Limit { child, .. }
            | Logical::Lock { child, .. } => child.unique_keys(),
            Logical::MaxOneRow { .. } => vec![BTreeSet::new()],
            Logical::Projection { child, exprs, schema } => {
                let mut renamed = std::collections::BTreeMap::new();
                for (expr, column) in exprs.iter().zip(schema) {
                    if let Expr::Column(source) = expr {
                        renamed.insert(source.unique_id, column.unique_id);
                    }
                }
                child
                    .unique_keys()
                    .into_iter()
                    .filter_map(|key| key.iter().map(|id| renamed.get(id).copied()).collect())
                    .collect()
            }
            Logical::Aggregation(agg) => {
                vec![agg.group_by.iter().map(|(_, column)| column.unique_id).collect()]
            }
            Logical::Join(join) => join.unique_keys(),
            Logical::Dual { rows, .. } if *rows <= 1 => vec![BTreeSet::new()],
            Logical::Union { .. } | Logical::Dual { .. } => Vec::new(),
        }
    }
}

impl DataSource {
    /// The column that stands for a scan column.
    pub(crate) fn column(&self, wanted: &ScanColumn) -> Option<&ColumnRef> {
        self.all_columns.iter().find(|(column, _)| column == wanted).map(|(_, column)| column)
    }

    /// The columns of the handle, in key order.
    pub(crate) fn handle_columns(&self) -> Vec<(ScanColumn, ColumnRef)> {
        handle_scan_columns(&self.table)
            .into_iter()
            .filter_map(|scan| self.column(&scan).cloned().map(|column| (scan, column)))
            .collect()
    }

    fn unique_keys(&self) -> Vec<BTreeSet<u64>> {
        let info = &self.table.info;
        let mut keys = Vec::new();
        let handle = self.handle_columns();
        if !handle.is_empty() {
            keys.push(handle.iter().map(|(_, column)| column.unique_id).collect());
        }
        for index in info.public_indices().filter(|index| index.unique && !index.has_prefix_column()) {
            let columns: Option<Vec<&ColumnRef>> =
                index.columns.iter().map(|part| self.column(&ScanColumn::Column(part.offset))).collect();
            if let Some(columns) = columns
                && columns.iter().all(|column| column.field_type.is_not_null())
            {
                keys.push(columns.iter().map(|column| column.unique_id).collect());
            }
        }
        keys
    }
}

/// An outer join pads these columns.
pub(crate) fn make_nullable(columns: &mut [ColumnRef]) {
    for column in columns {
        column.field_type.flags.remove(TypeFlags::NOT_NULL);
    }
}

/// The scan columns that make a table's handle, in key order.
pub(crate) fn handle_scan_columns(table: &TableSource) -> Vec<ScanColumn> {
    use tidewater_catalog::HandleKind;
    match table.info.handle() {
        HandleKind::RowId => vec![ScanColumn::RowId],
        HandleKind::IntColumn(column) => vec![ScanColumn::Column(column.offset)],
        HandleKind::Common(index) => {
            index.columns.iter().map(|part| ScanColumn::Column(part.offset)).collect()
        }
    }
}

impl Join {
    /// The sides' equalities among the conditions: (over left, over right, null-safe, position in `conditions`).
    pub(crate) fn equalities(&self) -> Vec<(Expr, Expr, bool, usize)> {
        let (left, right) = (self.left.column_ids(), self.right.column_ids());
        let mut found = Vec::new();
        for (position, condition) in self.conditions.iter().enumerate() {
            let Expr::Function(call) = condition else { continue };
            let null_safe = match call.function.name {
                "eq" => false,
                "nulleq" => true,
                _ => continue,
            };
            let [a, b] = call.args.as_slice() else { continue };
            let (a_ids, b_ids) = (column_ids(a), column_ids(b));
            if a_ids.is_empty() || b_ids.is_empty() {
                continue;
            }
            if a_ids.is_subset(&left) && b_ids.is_subset(&right) {
                found.push((a.clone(), b.clone(), null_safe, position));
            } else if a_ids.is_subset(&right) && b_ids.is_subset(&left) {
                found.push((b.clone(), a.clone(), null_safe, position));
            }
        }
        found
    }

    fn unique_keys(&self) -> Vec<BTreeSet<u64>> {
        let left_keys = self.left.unique_keys();
        if self.kind.is_semi() {
            return left_keys;
        }
        let right_keys = self.right.unique_keys();
        let equalities = self.equalities();
        let side = |left: bool| -> BTreeSet<u64> {
            equalities
                .iter()
                .filter_map(|(l, r, _, _)| match if left { l } else { r } {
                    Expr::Column(column) => Some(column.unique_id),
                    _ => None,
                })
                .collect()
        };
        let (left_joined, right_joined) = (side(true), side(false));
        let mut keys = Vec::new();
        // Each left row meets at most one right row: keys of the left stay keys.
        if right_keys.iter().any(|key| key.is_subset(&right_joined)) && self.kind != JoinKind::RightOuter {
            keys.extend(left_keys.iter().cloned());
        }
        if left_keys.iter().any(|key| key.is_subset(&left_joined)) && self.kind != JoinKind::LeftOuter {
            keys.extend(right_keys.iter().cloned());
        }
        for left in left_keys.iter().take(2) {
            for right in right_keys.iter().take(2) {
                keys.push(left.union(right).copied().collect());
            }
        }
        keys
    }
}
