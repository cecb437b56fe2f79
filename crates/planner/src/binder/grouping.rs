//! ONLY_FULL_GROUP_BY: what a grouped query may show.
//!
//! A column may be shown if it has one value per group: it is grouped by, or determined by grouped columns. Determination
//! (SQL:2016, 4.19 "Functional dependencies") starts from the group keys and follows: a key of a table determines the
//! table's columns; `a = b` determines either from the other; `a = constant` determines `a`; the keys of a derived table
//! (its own groups) determine its columns. Aggregate results are columns of the grouping itself and always allowed.

use std::collections::BTreeSet;

use tidewater_expr::{ColumnRef, Expr};
use tidewater_types::SqlMode;

use crate::PlanError;
use crate::expr_tools::{as_call, column_ids, covered_by, same};
use crate::logical::Logical;
use crate::physical::JoinKind;

/// What is known of a block's groups.
pub(super) struct Grouping {
    keys: Vec<Expr>,
    /// Keys that are no plain columns, and the columns that hold them.
    shown: Vec<(Expr, ColumnRef)>,
    /// The columns of the input: these need checking.
    input: BTreeSet<u64>,
    /// Columns with one value per group.
    determined: BTreeSet<u64>,
    enabled: bool,
}

impl Grouping {
    /// For groups by `keys` of the aggregation `plan`.
    pub(super) fn new(keys: Vec<Expr>, plan: &Logical, mode: SqlMode) -> Self {
        let enabled = mode.contains(SqlMode::ONLY_FULL_GROUP_BY);
        let Logical::Aggregation(agg) = plan else {
            return Grouping {
                keys,
                shown: Vec::new(),
                input: BTreeSet::new(),
                determined: BTreeSet::new(),
                enabled: false,
            };
        };
        let input = agg.child.column_ids();
        let mut determined: BTreeSet<u64> = BTreeSet::new();
        for key in &keys {
            if let Expr::Column(column) = key {
                determined.insert(column.unique_id);
            }
        }
        if enabled {
            close(&agg.child, &mut determined);
        }
        let shown = agg
            .group_by
            .iter()
            .filter(|(key, _)| matches!(key, Expr::Function(_)) && key.is_deterministic())
            .cloned()
            .collect();
        Grouping { keys, shown, input, determined, enabled }
    }

    /// Whether the column is grouped by.
    pub(super) fn has_key(&self, column: &ColumnRef) -> bool {
        self.keys.iter().any(|key| matches!(key, Expr::Column(own) if own.unique_id == column.unique_id))
    }

    /// Whether the column has one value per group.
    pub(super) fn determines(&self, column: &ColumnRef) -> bool {
        self.determined.contains(&column.unique_id)
    }

    /// Shows grouped expressions by the columns that hold them.
    pub(super) fn show_keys(&self, expr: Expr) -> Expr {
        if let Some((_, column)) = self.shown.iter().find(|(key, _)| same(key, &expr)) {
            return Expr::Column(column.clone());
        }
        expr.transform(&mut |expr| match self.shown.iter().find(|(key, _)| same(key, &expr)) {
            Some((_, column)) => Expr::Column(column.clone()),
            None => expr,
        })
    }

    /// Refuses an expression that has several values per group.
    pub(super) fn check(&self, expr: &Expr, position: usize, clause: &'static str) -> Result<(), PlanError> {
        if !self.enabled || self.keys.iter().any(|key| same(key, expr)) {
            return Ok(());
        }
        match expr {
            Expr::Column(column)
                if self.input.contains(&column.unique_id) && !self.determined.contains(&column.unique_id) =>
            {
                let column = column.name.to_string();
                Err(if self.keys.is_empty() {
                    PlanError::MixedAggregation { position, clause, column }
                } else {
                    PlanError::NotGrouped { position, clause, column }
                })
            }
            Expr::Function(call) => call.args.iter().try_for_each(|arg| self.check(arg, position, clause)),
            _ => Ok(()),
        }
    }
}

/// Adds all that is determined by what is.
fn close(plan: &Logical, determined: &mut BTreeSet<u64>) {
    loop {
        let before = determined.len();
        follow(plan, determined);
        if determined.len() == before {
            return;
        }
    }
}

fn follow(plan: &Logical, determined: &mut BTreeSet<u64>) {
    let is_determined = |key: &BTreeSet<u64>, known: &BTreeSet<u64>| key.is_subset(known);
    match plan {
        Logical::DataSource(_) | Logical::Aggregation(_) | Logical::Dual { .. } => {
            if plan.unique_keys().iter().any(|key| is_determined(key, determined)) {
                determined.extend(plan.column_ids());
            }
        }
        Logical::Selection { child, conditions } => {
            follow(child, determined);
            equate(conditions, determined);
        }
        Logical::Projection { child, exprs, schema } => {
            // Both ways: a column of the list determines the one it shows, and is determined with it.
            for (expr, column) in exprs.iter().zip(schema) {
                if let Expr::Column(source) = expr
                    && determined.contains(&column.unique_id)
                {
                    determined.insert(source.unique_id);
                }
            }
            follow(child, determined);
            for (expr, column) in exprs.iter().zip(schema) {
                if covered_by(expr, determined) {
                    determined.insert(column.unique_id);
                }
            }
        }
        Logical::Join(join) => {
            follow(&join.left, determined);
            follow(&join.right, determined);
            match join.kind {
                JoinKind::Inner => equate(&join.conditions, determined),
                // The right side's row (or its absence) follows from the left's columns, one way only.
                JoinKind::LeftOuter if !join.conditions.is_empty() => {
                    let mut inner = determined.clone();
                    equate(&join.conditions, &mut inner);
                    close(&join.right, &mut inner);
                    let left = join.left.column_ids();
                    determined.extend(inner.difference(&left).copied().collect::<Vec<_>>());
                }
                JoinKind::LeftOuter if join.apply || matches!(join.right, Logical::MaxOneRow { .. }) => {
                    determined.extend(join.right.column_ids());
                }
                _ => {}
            }
            if let Some(mark) = &join.mark
                && join.conditions.iter().all(|condition| {
                    let ids = column_ids(condition);
                    let left = join.left.column_ids();
                    ids.intersection(&left).all(|id| determined.contains(id))
                })
            {
                determined.insert(mark.unique_id);
            }
            let single = join.right.unique_keys().iter().any(BTreeSet::is_empty);
            if single && join.kind == JoinKind::LeftOuter && join.conditions.is_empty() {
                determined.extend(join.right.column_ids());
            }
        }
        _ => {
            for child in plan.children() {
                follow(child, determined);
            }
        }
    }
}

/// `a = b` and `a = constant`.
fn equate(conditions: &[Expr], determined: &mut BTreeSet<u64>) {
    for condition in conditions {
        let Some(("eq", [left, right])) = as_call(condition) else {
            continue;
        };
        for (one, other) in [(left, right), (right, left)] {
            if let Expr::Column(column) = one
                && covered_by(other, determined)
            {
                determined.insert(column.unique_id);
            }
        }
    }
}
