//! An apply becomes a join where its inner side can be computed once for all outer rows.
//!
//! After Galindo-Legaria, Joshi: "Orthogonal optimization of subqueries and aggregation" (SIGMOD 2001). The inner side is
//! taken apart from the top: conditions with outer columns move into the join; a projection moves above it; a scalar
//! aggregation is grouped by the inner columns that the outer ones are equal to. What is left over stays an apply.

use std::collections::{BTreeMap, BTreeSet};

use tidewater_expr::{AggregateFunction, ColumnRef, EvalContext, Expr};
use tidewater_types::TypeFlags;

use super::RuleContext;
use super::outer_to_inner::is_null_with;
use crate::PlanError;
use crate::expr_tools::{call, correlated_ids, covered_by, has_columns, rewrite, substitute};
use crate::logical::{Aggregation, Join, Logical};
use crate::physical::JoinKind;

pub(crate) fn apply(mut plan: Logical, cx: &mut RuleContext<'_>) -> Result<Logical, PlanError> {
    for child in plan.children_mut() {
        let inner = apply(child.take(), cx)?;
        *child = inner;
    }
    match plan {
        Logical::Join(join) if join.apply => decorrelate(*join, cx),
        other => Ok(other),
    }
}

fn decorrelate(mut join: Join, cx: &mut RuleContext<'_>) -> Result<Logical, PlanError> {
    // What cannot be finished is better left as it was: conditions inside let the inner side use an index.
    let original = join.clone();
    // Projections pulled out of the inner side, innermost last: they go above the join.
    let mut above: Vec<(Vec<Expr>, Vec<ColumnRef>)> = Vec::new();
    let visible = join_schema(&join);
    loop {
        let outer = join.left.schema();
        let outer_ids: BTreeSet<u64> = outer.iter().map(|column| column.unique_id).collect();
        if !reads(&join.right, &outer_ids) {
            join.apply = false;
            break;
        }
        match join.right.take() {
            Logical::Selection { child, conditions }
                if join.kind == JoinKind::LeftOuter && gives_one_row(&child) =>
            {
                // A filter above a scalar aggregation: it decides between one row and none.
                join.right = Logical::Selection { child, conditions };
                break;
            }
            Logical::Selection { child, conditions } => {
                let (outside, inside): (Vec<Expr>, Vec<Expr>) = conditions
                    .into_iter()
                    .partition(|condition| !correlated_ids(condition).is_disjoint(&outer_ids));
                if outside.is_empty() {
                    // The outer columns are further down.
                    join.right = child.filtered(inside);
                    if !lift_selection(&mut join.right, &outer_ids) {
                        break;
                    }
                    continue;
                }
                join.conditions.extend(outside.into_iter().map(|condition| uncorrelated(condition, &outer)));
                join.right = child.filtered(inside);
            }
            Logical::Projection { child, exprs, schema } => {
                let inner_ids = child.column_ids();
                let reads_outer = exprs.iter().any(|expr| !correlated_ids(expr).is_disjoint(&outer_ids));
                if reads_outer && !join.null_aware.is_empty() {
                    // A membership test compares with columns of the inner side; an outer one is none.
                    join.right = Logical::Projection { child, exprs, schema };
                    break;
                }
                let original = exprs.clone();
                let exprs: Vec<Expr> = exprs.into_iter().map(|expr| uncorrelated(expr, &outer)).collect();
                if join.kind.is_semi() {
                    let by: BTreeMap<u64, Expr> =
                        schema.iter().map(|column| column.unique_id).zip(exprs).collect();
                    substitute_all(&mut join, &by);
                    join.right = *child;
                    continue;
                }
                let padded_right =
                    exprs.iter().all(|expr| is_null_with(expr, &inner_ids)) || join.kind == JoinKind::Inner;
                if !padded_right && !gives_one_row(&child) {
                    join.right = Logical::Projection { child, exprs: original, schema };
                    break;
                }
                let by: BTreeMap<u64, Expr> =
                    schema.iter().map(|column| column.unique_id).zip(exprs.iter().cloned()).collect();
                substitute_all(&mut join, &by);
                above.push((exprs, schema));
                join.right = *child;
            }
            Logical::Sort { child, .. } if join.kind.is_semi() => join.right = *child,
            Logical::Limit { child, offset: 0, count }
                if join.kind.is_semi() && count > 0 && !has_in(&join) =>
            {
                join.right = *child;
            }
            Logical::MaxOneRow { child } => {
                if !finds_by_key(&child, &outer_ids) {
                    join.right = Logical::MaxOneRow { child };
                    break;
                }
                join.right = *child;
            }
            Logical::Aggregation(agg)
                if agg.group_by.is_empty() && matches!(join.kind, JoinKind::LeftOuter | JoinKind::Inner) =>
            {
                match group_by_outer(*agg, &mut join, &outer, cx)? {
                    Ok(defaults) => above.extend(defaults),
                    Err(agg) => {
                        join.right = Logical::Aggregation(agg);
                        break;
                    }
                }
            }
            other => {
                join.right = other;
                if !lift_selection(&mut join.right, &outer_ids) {
                    break;
                }
            }
        }
    }
    if join.apply {
        return Ok(Logical::Join(Box::new(original)));
    }
    let mut plan = Logical::Join(Box::new(join));
    while let Some((exprs, schema)) = above.pop() {
        let mut all: Vec<ColumnRef> = plan.schema();
        all.retain(|column| !schema.iter().any(|own| own.unique_id == column.unique_id));
        let mut all_exprs: Vec<Expr> = all.iter().cloned().map(Expr::Column).collect();
        all_exprs.extend(exprs);
        all.extend(schema);
        plan = Logical::Projection { child: Box::new(plan), exprs: all_exprs, schema: all };
    }
    debug_assert!(visible.is_subset(&plan.column_ids()) || visible.is_empty());
    Ok(plan)
}

fn join_schema(join: &Join) -> BTreeSet<u64> {
    let mut ids = join.left.column_ids();
    if let Some(mark) = &join.mark {
        ids.insert(mark.unique_id);
    } else if !join.kind.is_semi() {
        ids.extend(join.right.column_ids());
    }
    ids
}

/// Whether the membership test needs the inner side's values, so that cutting rows off matters.
fn has_in(join: &Join) -> bool {
    !join.conditions.is_empty() || !join.null_aware.is_empty()
}

fn reads(plan: &Logical, outer: &BTreeSet<u64>) -> bool {
    let mut reads = false;
    plan.for_each(&mut |node| {
        reads |= node.exprs().iter().any(|expr| !correlated_ids(expr).is_disjoint(outer));
    });
    reads
}

/// Whether the plan always gives exactly one row.
fn gives_one_row(plan: &Logical) -> bool {
    match plan {
        Logical::Aggregation(agg) => agg.group_by.is_empty(),
        Logical::Projection { child, .. } | Logical::Sort { child, .. } => gives_one_row(child),
        Logical::Dual { rows, .. } => *rows == 1,
        _ => false,
    }
}

/// Outer columns as plain columns: the expression now stands where they can be seen.
fn uncorrelated(mut expr: Expr, outer: &[ColumnRef]) -> Expr {
    rewrite(&mut expr, &mut |expr| {
        if let Expr::Correlated { unique_id, .. } = expr
            && let Some(column) = outer.iter().find(|column| column.unique_id == *unique_id)
        {
            *expr = Expr::Column(column.clone());
        }
    });
    expr
}

fn substitute_all(join: &mut Join, by: &BTreeMap<u64, Expr>) {
    join.conditions.iter_mut().for_each(|condition| substitute(condition, by));
    for (left, right) in &mut join.null_aware {
        substitute(left, by);
        substitute(right, by);
    }
}

/// Brings a filter with outer columns to the top of inner joins (and through a left join's preserved side, and through
/// semi joins), where the next round finds it.
fn lift_selection(plan: &mut Logical, outer: &BTreeSet<u64>) -> bool {
    let mut lifted = Vec::new();
    lift(plan, outer, &mut lifted);
    if lifted.is_empty() {
        return false;
    }
    plan.replace_with(|plan| plan.filtered(lifted));
    true
}

fn lift(plan: &mut Logical, outer: &BTreeSet<u64>, lifted: &mut Vec<Expr>) {
    let is_outer = |condition: &Expr| !correlated_ids(condition).is_disjoint(outer);
    match plan {
        Logical::Selection { child, conditions } => {
            let (outside, inside): (Vec<Expr>, Vec<Expr>) =
                std::mem::take(conditions).into_iter().partition(|condition| is_outer(condition));
            *conditions = inside;
            lifted.extend(outside);
            lift(child, outer, lifted);
            if conditions.is_empty() {
                let child = child.take();
                *plan = child;
            }
        }
        Logical::Join(join) if !join.apply => match join.kind {
            JoinKind::Inner => {
                let (outside, inside): (Vec<Expr>, Vec<Expr>) = std::mem::take(&mut join.conditions)
                    .into_iter()
                    .partition(|condition| is_outer(condition));
                join.conditions = inside;
                lifted.extend(outside);
                lift(&mut join.left, outer, lifted);
                lift(&mut join.right, outer, lifted);
            }
            JoinKind::RightOuter => lift(&mut join.right, outer, lifted),
            _ => lift(&mut join.left, outer, lifted),
        },
        _ => {}
    }
}

/// Whether equalities with outer columns (or constants) cover a key of the plan: then one outer row meets one inner row.
fn finds_by_key(plan: &Logical, outer: &BTreeSet<u64>) -> bool {
    let mut bound = BTreeSet::new();
    let mut below = plan;
    loop {
        match below {
            Logical::Selection { child, conditions } => {
                for condition in conditions {
                    let Some(("eq", [left, right])) = crate::expr_tools::as_call(condition) else {
                        continue;
                    };
                    for (one, other) in [(left, right), (right, left)] {
                        let known = !has_columns(other) && correlated_ids(other).is_subset(outer);
                        if let Expr::Column(column) = one
                            && known
                        {
                            bound.insert(column.unique_id);
                        }
                    }
                }
                below = child;
            }
            Logical::Projection { child, exprs, .. }
                if exprs.iter().all(|expr| matches!(expr, Expr::Column(_))) =>
            {
                below = child;
            }
            Logical::Sort { child, .. } => below = child,
            _ => return below.unique_keys().iter().any(|key| key.is_subset(&bound)),
        }
    }
}

type Defaults = Vec<(Vec<Expr>, Vec<ColumnRef>)>;

/// `(SELECT sum(v) FROM t WHERE t.k = outer.k)`: groups t by k once and joins the groups. An outer row without a group is
/// padded with NULL, which is what aggregates of nothing are, but for COUNT: a projection above makes that 0.
fn group_by_outer(
    mut agg: Aggregation,
    join: &mut Join,
    outer: &[ColumnRef],
    cx: &mut RuleContext<'_>,
) -> Result<Result<Defaults, Box<Aggregation>>, PlanError> {
    let outer_ids: BTreeSet<u64> = outer.iter().map(|column| column.unique_id).collect();
    let known = agg.aggregates.iter().all(|(aggregate, _)| {
        matches!(
            aggregate.function,
            AggregateFunction::Count
                | AggregateFunction::Sum
                | AggregateFunction::Avg
                | AggregateFunction::Min
                | AggregateFunction::Max
                | AggregateFunction::FirstRow
                | AggregateFunction::AnyValue
        )
    });
    let arguments_outer = agg
        .aggregates
        .iter()
        .any(|(aggregate, _)| aggregate.inputs().any(|arg| !correlated_ids(arg).is_disjoint(&outer_ids)));
    if !known || arguments_outer {
        return Ok(Err(Box::new(agg)));
    }
    let original = agg.child.clone();
    let mut lifted = Vec::new();
    lift(&mut agg.child, &outer_ids, &mut lifted);
    let inner_ids = agg.child.column_ids();
    let mut keys: Vec<(Expr, Expr)> = Vec::new();
    for condition in &lifted {
        let Some(("eq", [left, right])) = crate::expr_tools::as_call(condition) else {
            agg.child = original;
            return Ok(Err(Box::new(agg)));
        };
        let is_inner = |expr: &Expr| {
            has_columns(expr) && covered_by(expr, &inner_ids) && correlated_ids(expr).is_disjoint(&outer_ids)
        };
        let is_outer = |expr: &Expr| !has_columns(expr) && !correlated_ids(expr).is_disjoint(&outer_ids);
        if is_inner(left) && is_outer(right) {
            keys.push((left.clone(), right.clone()));
        } else if is_inner(right) && is_outer(left) {
            keys.push((right.clone(), left.clone()));
        } else {
            agg.child = original;
            return Ok(Err(Box::new(agg)));
        }
    }
    if keys.is_empty() || reads(&agg.child, &outer_ids) {
        agg.child = original;
        return Ok(Err(Box::new(agg)));
    }
    for (inner, outer_value) in keys {
        // A fresh id: the child's own column may be shown by a first-row aggregate, too.
        let column = cx.new_column(inner.field_type());
        agg.group_by.push((inner, column.clone()));
        let outer_value = uncorrelated(outer_value, outer);
        join.conditions.push(call("eq", vec![outer_value, Expr::Column(column)], cx.eval)?);
    }
    let (mut exprs, mut schema) = (Vec::new(), Vec::new());
    if join.kind == JoinKind::Inner {
        // Every outer row met the one group before; it still must.
        join.kind = JoinKind::LeftOuter;
    }
    for (aggregate, column) in &mut agg.aggregates {
        if aggregate.function == AggregateFunction::Count {
            let shown = column.clone();
            let mut raw = cx.new_column(column.field_type.clone());
            raw.field_type.flags.remove(TypeFlags::NOT_NULL);
            *column = raw.clone();
            exprs.push(zero_if_null(raw, cx.eval)?);
            schema.push(shown);
        }
    }
    join.right = Logical::Aggregation(Box::new(agg));
    Ok(Ok(if exprs.is_empty() { Vec::new() } else { vec![(exprs, schema)] }))
}

fn zero_if_null(column: ColumnRef, ctx: &EvalContext) -> Result<Expr, PlanError> {
    call("ifnull", vec![Expr::Column(column), Expr::int(0)], ctx)
}
