//! How many rows a logical plan gives, and how many of them a condition keeps.

use std::collections::BTreeMap;

use tidewater_expr::{EvalContext, Expr};
use tidewater_stats::{DEFAULT_SELECTIVITY, PSEUDO_BETWEEN_RATE, PSEUDO_EQUAL_RATE, PSEUDO_LESS_RATE};
use tidewater_types::Datum;

use crate::expr_tools::{as_call, column_ids, is_deferred};
use crate::logical::{DataSource, Join, Logical};
use crate::physical::{JoinKind, ScanColumn};
use crate::ranges::{RangeColumn, derive};

/// Estimates, with what is known of the columns noted on the way.
pub(crate) struct Estimator<'a> {
    eval: &'a EvalContext,
    /// Distinct values by column id.
    ndv: BTreeMap<u64, f64>,
}

impl<'a> Estimator<'a> {
    pub(crate) fn new(eval: &'a EvalContext) -> Self {
        Estimator { eval, ndv: BTreeMap::new() }
    }

    /// Notes the distinct values of all columns below.
    pub(crate) fn note_columns(&mut self, plan: &Logical) {
        for child in plan.children() {
            self.note_columns(child);
        }
        match plan {
            Logical::DataSource(source) => {
                for (scan, column) in source.all_columns.iter() {
                    let ndv = source_ndv(source, scan);
                    self.ndv.insert(column.unique_id, ndv);
                }
            }
            Logical::Projection { exprs, schema, .. } => {
                for (expr, column) in exprs.iter().zip(schema) {
                    let ndv = self.expr_ndv(expr);
                    if let Some(ndv) = ndv {
                        self.ndv.insert(column.unique_id, ndv);
                    }
                }
            }
            Logical::Aggregation(agg) => {
                for (expr, column) in &agg.group_by {
                    if let Some(ndv) = self.expr_ndv(expr) {
                        self.ndv.insert(column.unique_id, ndv);
                    }
                }
            }
            Logical::Union { children, schema } => {
                for (position, column) in schema.iter().enumerate() {
                    let sum = children
                        .iter()
                        .filter_map(|child| self.ndv.get(&child.schema().get(position)?.unique_id).copied())
                        .sum();
                    self.ndv.insert(column.unique_id, sum);
                }
            }
            _ => {}
        }
    }

    fn expr_ndv(&self, expr: &Expr) -> Option<f64> {
        match expr {
            Expr::Column(column) => self.ndv.get(&column.unique_id).copied(),
            Expr::Literal { .. } => Some(1.0),
            Expr::Function(call) => {
                let known: Vec<f64> =
                    column_ids(expr).iter().filter_map(|id| self.ndv.get(id).copied()).collect();
                let all = known.iter().copied().fold(1.0, f64::max);
                // Parts of a date have few values.
                Some(match call.function.name {
                    "year" => all.min(20.0),
                    "month" => all.min(12.0),
                    "extract" => all.min(20.0),
                    _ => all,
                })
            }
            _ => None,
        }
    }

    /// The rows a plan gives.
    pub(crate) fn rows(&self, plan: &Logical) -> f64 {
        match plan {
            Logical::DataSource(source) => self.source_rows(source),
            Logical::Selection { child, conditions } => {
                self.rows(child) * self.conjunction_selectivity(conditions)
            }
            Logical::Projection { child, .. } | Logical::Sort { child, .. } | Logical::Lock { child, .. } => {
                self.rows(child)
            }
            Logical::Aggregation(agg) => {
                let keys: Vec<&Expr> = agg.group_by.iter().map(|(expr, _)| expr).collect();
                self.group_rows(&keys, self.rows(&agg.child))
            }
            Logical::Join(join) => self.join_rows(join, self.rows(&join.left), self.rows(&join.right)),
            Logical::Union { children, .. } => children.iter().map(|child| self.rows(child)).sum(),
            Logical::TopN { child, offset, count, .. } | Logical::Limit { child, offset, count } => {
                (self.rows(child) - *offset as f64).clamp(0.0, *count as f64)
            }
            Logical::Dual { rows, .. } => *rows as f64,
            Logical::MaxOneRow { .. } => 1.0,
        }
    }

    /// The groups that rows fall into.
    pub(crate) fn group_rows(&self, keys: &[&Expr], rows: f64) -> f64 {
        if keys.is_empty() {
            return 1.0;
        }
        let mut groups = 1.0f64;
        for (position, key) in keys.iter().enumerate() {
            let ndv = self.expr_ndv(key).unwrap_or(rows * DEFAULT_SELECTIVITY).max(1.0);
            // Keys correlate: each further one counts for less (as TiDB and SQL Server do, by square roots).
            groups *= if position == 0 { ndv } else { ndv.powf(1.0 / (position as f64 + 1.0)) };
        }
        let largest = keys.iter().filter_map(|key| self.expr_ndv(key)).fold(1.0, f64::max);
        groups.max(largest).min(rows).max(if rows > 0.0 { 1.0 } else { 0.0 })
    }

    /// The rows of a join of sides with so many.
    pub(crate) fn join_rows(&self, join: &Join, left: f64, right: f64) -> f64 {
        let selectivity = self.join_selectivity(join);
        let pairs = left * right * selectivity;
        match join.kind {
            JoinKind::Inner => pairs,
            JoinKind::LeftOuter => pairs.max(left),
            JoinKind::RightOuter => pairs.max(right),
            JoinKind::Semi | JoinKind::AntiSemi => left * DEFAULT_SELECTIVITY,
            JoinKind::LeftOuterSemi | JoinKind::AntiLeftOuterSemi => left,
        }
    }

    /// The share of pairs that fulfil a join's conditions. Equalities with all columns of a key count as one.
    fn join_selectivity(&self, join: &Join) -> f64 {
        let product = self.conjunction_selectivity(&join.conditions);
        let equalities = join.equalities();
        if equalities.len() < 2 {
            return product;
        }
        let mut least = product;
        for (side, is_left) in [(&join.left, true), (&join.right, false)] {
            let joined = equalities
                .iter()
                .filter_map(|(left, right, _, _)| match if is_left { left } else { right } {
                    Expr::Column(column) => Some(column.unique_id),
                    _ => None,
                })
                .collect();
            if let Logical::DataSource(source) = side
                && side.unique_keys().iter().any(|key| key.is_subset(&joined))
            {
                let others: Vec<Expr> = join
                    .conditions
                    .iter()
                    .enumerate()
                    .filter(|(position, _)| !equalities.iter().any(|(_, _, _, at)| at == position))
                    .map(|(_, condition)| condition.clone())
                    .collect();
                let by_key = self.conjunction_selectivity(&others) / source.stats.row_count.max(1.0);
                least = least.max(by_key);
            }
        }
        least
    }

    fn source_rows(&self, source: &DataSource) -> f64 {
        source_selectivity(source, &source.conditions, self) * source.stats.row_count
    }

    /// The share of rows that fulfil all conditions.
    pub(crate) fn conjunction_selectivity(&self, conditions: &[Expr]) -> f64 {
        conditions.iter().map(|condition| self.selectivity(condition)).product()
    }

    /// The share of rows a condition keeps, without looking at a table's histograms.
    pub(crate) fn selectivity(&self, condition: &Expr) -> f64 {
        match crate::expr_tools::truth(condition) {
            Some(true) => return 1.0,
            Some(false) => return 0.0,
            None => {}
        }
        let Some((name, args)) = as_call(condition) else {
            return DEFAULT_SELECTIVITY;
        };
        match (name, args) {
            ("and", args) => self.conjunction_selectivity(args),
            ("or", args) => {
                let none: f64 = args.iter().map(|arg| 1.0 - self.selectivity(arg)).product();
                1.0 - none
            }
            ("not", [arg]) => 1.0 - self.selectivity(arg),
            ("eq" | "nulleq", [left, right]) => {
                let ndv = |expr: &Expr| if column_ids(expr).is_empty() { None } else { self.expr_ndv(expr) };
                match (ndv(left), ndv(right)) {
                    (Some(left), Some(right)) => 1.0 / left.max(right).max(1.0),
                    (Some(ndv), None) | (None, Some(ndv)) => 1.0 / ndv.clamp(1.0, PSEUDO_EQUAL_RATE * 1000.0),
                    (None, None) => 1.0 / PSEUDO_EQUAL_RATE,
                }
            }
            ("lt" | "le" | "gt" | "ge", _) => 1.0 / PSEUDO_LESS_RATE,
            ("in", [left, list @ ..]) => {
                let each = self.expr_ndv(left).map_or(1.0 / PSEUDO_EQUAL_RATE, |ndv| 1.0 / ndv.max(1.0));
                (each * list.len() as f64).min(1.0)
            }
            ("isnull", _) => 1.0 / PSEUDO_EQUAL_RATE,
            ("like", _) => 0.1,
            _ => DEFAULT_SELECTIVITY,
        }
    }

    pub(crate) fn eval(&self) -> &'a EvalContext {
        self.eval
    }

    /// The distinct values of a column.
    pub(crate) fn column_ndv(&self, id: u64) -> Option<f64> {
        self.ndv.get(&id).copied()
    }
}

fn source_ndv(source: &DataSource, scan: &ScanColumn) -> f64 {
    let rows = source.stats.row_count.max(1.0);
    match scan {
        ScanColumn::RowId => rows,
        ScanColumn::Column(offset) => {
            let info = &source.table.info;
            let unique = info.handle_column().is_some_and(|column| column.offset == *offset)
                || info.public_indices().any(|index| {
                    index.unique && index.columns.len() == 1 && index.columns[0].offset == *offset
                });
            source.stats.ndv(info.columns[*offset].id, unique)
        }
    }
}

/// The share of a table's rows that fulfil conditions: column by column with the histograms, as if columns were
/// independent; what no histogram can tell by rule of thumb.
pub(crate) fn source_selectivity(source: &DataSource, conditions: &[Expr], estimator: &Estimator<'_>) -> f64 {
    let rows = source.stats.row_count;
    if rows <= 0.0 {
        return 0.0;
    }
    let mut used = vec![false; conditions.len()];
    let mut share = 1.0;
    for (scan, column) in source.all_columns.iter() {
        let ScanColumn::Column(offset) = scan else {
            continue;
        };
        let own: Vec<usize> = (0..conditions.len())
            .filter(|position| {
                !used[*position]
                    && !is_deferred(&conditions[*position])
                    && !is_open_like(&conditions[*position])
                    && column_ids(&conditions[*position]).iter().eq([&column.unique_id])
            })
            .collect();
        if own.is_empty() {
            continue;
        }
        let info = &source.table.info;
        let range_column =
            RangeColumn { unique_id: column.unique_id, field_type: column.field_type.clone(), length: -1 };
        let selected: Vec<Expr> = own.iter().map(|position| conditions[*position].clone()).collect();
        let derived = derive(std::slice::from_ref(&range_column), &selected, estimator.eval());
        if !derived.used.contains(&true) {
            continue;
        }
        let unique = info.handle_column().is_some_and(|handle| handle.offset == *offset);
        let found =
            source.stats.column_rows(info.columns[*offset].id, &derived.ranges, &column.field_type, unique);
        share *= (found / rows).clamp(0.0, 1.0);
        for (position, is_used) in own.iter().zip(&derived.used) {
            used[*position] |= is_used;
        }
    }
    for (position, condition) in conditions.iter().enumerate() {
        if used[position] {
            continue;
        }
        share *= match as_call(condition) {
            Some(("not", [inner])) if is_open_like(inner) => 0.9,
            // Equality with a parameter or an outer column.
            Some(("eq", _)) => estimator.selectivity(condition),
            Some(("lt" | "le" | "gt" | "ge", _)) if is_deferred(condition) => {
                (1.0 / PSEUDO_BETWEEN_RATE).sqrt()
            }
            Some(("like", _)) => 0.1,
            _ => alternatives_selectivity(source, condition, estimator),
        };
    }
    share.clamp(0.0, 1.0)
}

/// `LIKE '%..'`: no range says anything of it.
fn is_open_like(condition: &Expr) -> bool {
    match as_call(condition) {
        Some(("like", [_, Expr::Literal { value: Datum::Bytes(pattern), .. }, ..])) => {
            matches!(pattern.first(), Some(b'%' | b'_'))
        }
        _ => false,
    }
}

/// An OR over several columns: each alternative by the histograms.
fn alternatives_selectivity(source: &DataSource, condition: &Expr, estimator: &Estimator<'_>) -> f64 {
    let Some(("or", args)) = as_call(condition) else {
        return estimator.selectivity(condition);
    };
    let none: f64 = args
        .iter()
        .map(|arg| {
            let mut parts = Vec::new();
            crate::expr_tools::split_and(arg.clone(), &mut parts);
            1.0 - source_selectivity(source, &parts, estimator)
        })
        .product();
    1.0 - none
}
