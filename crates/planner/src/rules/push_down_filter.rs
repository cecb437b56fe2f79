//! Conditions move towards the tables.
//!
//! Through a projection the columns are replaced by what they show; through an aggregation only conditions on the keys
//! pass; below an outer join only those on the preserved side, and ON conditions on the other. On the way down an inner
//! join's conditions give new ones: `a = b and b = 5` also restricts `a`, and `(x and p) or (y and q)`, where `x` and `y`
//! speak of one side, restricts that side to `x or y`.

use std::collections::{BTreeMap, BTreeSet};

use tidewater_expr::{EvalContext, Expr};

use super::outer_to_inner::rejects_nulls;
use super::simplify::simplify_expr;
use super::{RuleContext, empty};
use crate::PlanError;
use crate::expr_tools::{
    as_call, column_ids, conjunction, covered_by, disjunction, is_constant, same, split_and, split_or,
    substitute, truth,
};
use crate::logical::{Join, Logical};
use crate::physical::JoinKind;

pub(crate) fn apply(plan: Logical, cx: &mut RuleContext<'_>) -> Result<Logical, PlanError> {
    push(plan, Vec::new(), cx.eval)
}

/// The plan with the conditions as far down as they go.
fn push(plan: Logical, conditions: Vec<Expr>, ctx: &EvalContext) -> Result<Logical, PlanError> {
    let mut conditions = clean(conditions, ctx);
    if conditions.iter().any(|condition| truth(condition) == Some(false)) {
        return Ok(empty(&plan));
    }
    Ok(match plan {
        Logical::Selection { child, conditions: own } => {
            // What is volatile counts the rows it sees: nothing passes it, and it stays.
            let (fixed, free): (Vec<Expr>, Vec<Expr>) =
                own.into_iter().partition(|own| !own.is_deterministic());
            if fixed.is_empty() {
                conditions.extend(free);
                push(*child, conditions, ctx)?
            } else {
                push(*child, free, ctx)?.filtered(fixed).filtered(conditions)
            }
        }
        Logical::Projection { child, exprs, schema } => {
            let by: BTreeMap<u64, Expr> = schema
                .iter()
                .zip(&exprs)
                .filter(|(_, expr)| expr.is_deterministic())
                .map(|(column, expr)| (column.unique_id, expr.clone()))
                .collect();
            let known: BTreeSet<u64> = by.keys().copied().collect();
            let all_fixed = exprs.iter().all(Expr::is_deterministic);
            let (mut down, stay): (Vec<_>, Vec<_>) =
                conditions.into_iter().partition(|condition| all_fixed && covered_by(condition, &known));
            down.iter_mut().for_each(|condition| substitute(condition, &by));
            let child = Box::new(push(*child, down, ctx)?);
            Logical::Projection { child, exprs, schema }.filtered(stay)
        }
        Logical::Aggregation(mut agg) => {
            let by: BTreeMap<u64, Expr> =
                agg.group_by.iter().map(|(expr, column)| (column.unique_id, expr.clone())).collect();
            let known: BTreeSet<u64> = by.keys().copied().collect();
            // Without keys there is a row even for no input.
            let (mut down, stay): (Vec<_>, Vec<_>) = conditions
                .into_iter()
                .partition(|condition| !known.is_empty() && covered_by(condition, &known));
            down.iter_mut().for_each(|condition| substitute(condition, &by));
            agg.child = push(agg.child, down, ctx)?;
            Logical::Aggregation(agg).filtered(stay)
        }
        Logical::Join(join) => push_join(*join, conditions, ctx)?,
        Logical::Union { children, schema } => {
            let mut pushed = Vec::new();
            for child in children {
                let by: BTreeMap<u64, Expr> = schema
                    .iter()
                    .zip(child.schema())
                    .map(|(column, own)| (column.unique_id, Expr::Column(own)))
                    .collect();
                let mut down = conditions.clone();
                down.iter_mut().for_each(|condition| substitute(condition, &by));
                pushed.push(push(child, down, ctx)?);
            }
            Logical::Union { children: pushed, schema }
        }
        Logical::Sort { child, by } => Logical::Sort { child: Box::new(push(*child, conditions, ctx)?), by },
        Logical::Lock { child, targets, wait, shared } => {
            Logical::Lock { child: Box::new(push(*child, conditions, ctx)?), targets, wait, shared }
        }
        Logical::TopN { child, by, offset, count } => {
            let child = Box::new(push(*child, Vec::new(), ctx)?);
            Logical::TopN { child, by, offset, count }.filtered(conditions)
        }
        Logical::Limit { child, offset, count } => {
            let child = Box::new(push(*child, Vec::new(), ctx)?);
            Logical::Limit { child, offset, count }.filtered(conditions)
        }
        Logical::MaxOneRow { child } => {
            Logical::MaxOneRow { child: Box::new(push(*child, Vec::new(), ctx)?) }.filtered(conditions)
        }
        Logical::DataSource(mut source) => {
            for condition in conditions {
                if !source.conditions.iter().any(|own| same(own, &condition)) {
                    source.conditions.push(condition);
                }
            }
            let mut all = Vec::new();
            for condition in std::mem::take(&mut source.conditions) {
                split_and(condition, &mut all);
            }
            source.conditions = all;
            Logical::DataSource(source)
        }
        Logical::Dual { rows: 0, schema } => Logical::Dual { rows: 0, schema },
        other => other.filtered(conditions),
    })
}

/// Splits, simplifies, and drops what is always true.
fn clean(conditions: Vec<Expr>, ctx: &EvalContext) -> Vec<Expr> {
    let mut all = Vec::new();
    for mut condition in conditions {
        simplify_expr(&mut condition, ctx);
        split_and(condition, &mut all);
    }
    let mut kept: Vec<Expr> = Vec::new();
    for condition in all {
        let again = kept.iter().any(|other| same(other, &condition)) && condition.is_deterministic();
        if truth(&condition) != Some(true) && !again {
            kept.push(condition);
        }
    }
    kept
}

fn push_join(mut join: Join, mut conditions: Vec<Expr>, ctx: &EvalContext) -> Result<Logical, PlanError> {
    let left_ids = join.left.column_ids();
    let right_ids = join.right.column_ids();
    match join.kind {
        JoinKind::LeftOuter if conditions.iter().any(|condition| rejects_nulls(condition, &right_ids)) => {
            join.kind = JoinKind::Inner;
        }
        JoinKind::RightOuter if conditions.iter().any(|condition| rejects_nulls(condition, &left_ids)) => {
            join.kind = JoinKind::Inner;
        }
        _ => {}
    }
    let (mut left, mut right, mut above) = (Vec::new(), Vec::new(), Vec::new());
    match join.kind {
        JoinKind::Inner => {
            let (free, fixed): (Vec<Expr>, Vec<Expr>) =
                conditions.into_iter().partition(Expr::is_deterministic);
            above = fixed;
            conditions = std::mem::take(&mut join.conditions);
            conditions.extend(free);
            let mut conditions = clean(conditions, ctx);
            factor_alternatives(&mut conditions, ctx)?;
            propagate_constants(&mut conditions);
            imply_per_side(&mut conditions, &[&left_ids, &right_ids], ctx)?;
            if conditions.iter().any(|condition| truth(condition) == Some(false)) {
                return Ok(empty(&Logical::Join(Box::new(join))));
            }
            for condition in conditions {
                if covered_by(&condition, &left_ids) && condition.is_deterministic() {
                    left.push(condition);
                } else if covered_by(&condition, &right_ids) && condition.is_deterministic() {
                    right.push(condition);
                } else {
                    join.conditions.push(condition);
                }
            }
        }
        JoinKind::LeftOuter | JoinKind::RightOuter => {
            let preserved_left = join.kind == JoinKind::LeftOuter;
            let (preserved, padded) =
                if preserved_left { (&left_ids, &right_ids) } else { (&right_ids, &left_ids) };
            let mut down_preserved = Vec::new();
            for condition in conditions {
                if covered_by(&condition, preserved)
                    && condition.is_deterministic()
                    && !is_constant(&condition)
                {
                    down_preserved.push(condition);
                } else {
                    above.push(condition);
                }
            }
            let mut on = clean(std::mem::take(&mut join.conditions), ctx);
            // A constant the preserved side is restricted to restricts the padded side through an equality, too.
            let mut known = on.clone();
            known.extend(down_preserved.iter().cloned());
            propagate_constants(&mut known);
            for condition in known {
                let is_new = !on.iter().chain(&down_preserved).any(|other| same(other, &condition));
                if is_new && covered_by(&condition, padded) && !is_constant(&condition) {
                    on.push(condition);
                }
            }
            let mut down_padded = Vec::new();
            for condition in on {
                if covered_by(&condition, padded) && !is_constant(&condition) && condition.is_deterministic()
                {
                    down_padded.push(condition);
                } else {
                    join.conditions.push(condition);
                }
            }
            if preserved_left {
                (left, right) = (down_preserved, down_padded);
            } else {
                (left, right) = (down_padded, down_preserved);
            }
        }
        JoinKind::Semi | JoinKind::AntiSemi | JoinKind::LeftOuterSemi | JoinKind::AntiLeftOuterSemi => {
            for condition in conditions {
                if covered_by(&condition, &left_ids) && condition.is_deterministic() {
                    left.push(condition);
                } else {
                    above.push(condition);
                }
            }
            let mut on = clean(std::mem::take(&mut join.conditions), ctx);
            if join.kind == JoinKind::Semi {
                let mut known = on.clone();
                known.extend(left.iter().cloned());
                propagate_constants(&mut known);
                imply_per_side(&mut known, &[&right_ids], ctx)?;
                for condition in known {
                    let is_new = !on.iter().chain(&left).any(|other| same(other, &condition));
                    if is_new && covered_by(&condition, &right_ids) && !is_constant(&condition) {
                        on.push(condition);
                    }
                }
            }
            for condition in on {
                let fixed = !condition.is_deterministic() || is_constant(&condition);
                if !fixed && covered_by(&condition, &right_ids) {
                    right.push(condition);
                } else if !fixed && covered_by(&condition, &left_ids) && join.kind == JoinKind::Semi {
                    left.push(condition);
                } else {
                    join.conditions.push(condition);
                }
            }
        }
    }
    join.left = push(join.left, left, ctx)?;
    join.right = push(join.right, right, ctx)?;
    if join.kind == JoinKind::Inner && (is_empty(&join.left) || is_empty(&join.right)) {
        return Ok(empty(&Logical::Join(Box::new(join))));
    }
    Ok(Logical::Join(Box::new(join)).filtered(above))
}

fn is_empty(plan: &Logical) -> bool {
    matches!(plan, Logical::Dual { rows: 0, .. })
}

/// `(x and p) or (x and q)` is `x and (p or q)`.
fn factor_alternatives(conditions: &mut Vec<Expr>, ctx: &EvalContext) -> Result<(), PlanError> {
    let mut all = Vec::new();
    for condition in std::mem::take(conditions) {
        let alternatives = alternatives_of(&condition);
        if alternatives.len() < 2 {
            all.push(condition);
            continue;
        }
        let common: Vec<Expr> = alternatives[0]
            .iter()
            .filter(|part| {
                alternatives[1..].iter().all(|other| other.iter().any(|candidate| same(part, candidate)))
            })
            .cloned()
            .collect();
        if common.is_empty() {
            all.push(condition);
            continue;
        }
        let mut rest = Vec::new();
        for alternative in alternatives {
            let own: Vec<Expr> = alternative
                .into_iter()
                .filter(|part| !common.iter().any(|shared| same(shared, part)))
                .collect();
            rest.push(conjunction(own, ctx)?);
        }
        all.extend(common);
        let mut rest = disjunction(rest, ctx)?;
        simplify_expr(&mut rest, ctx);
        if truth(&rest) != Some(true) {
            all.push(rest);
        }
    }
    *conditions = all;
    Ok(())
}

fn alternatives_of(condition: &Expr) -> Vec<Vec<Expr>> {
    if !matches!(as_call(condition), Some(("or", _))) {
        return Vec::new();
    }
    let mut alternatives = Vec::new();
    split_or(condition.clone(), &mut alternatives);
    alternatives
        .into_iter()
        .map(|alternative| {
            let mut parts = Vec::new();
            split_and(alternative, &mut parts);
            parts
        })
        .collect()
}

/// Adds what an OR over both sides says about each side alone. The OR stays: it says more.
fn imply_per_side(
    conditions: &mut Vec<Expr>,
    sides: &[&BTreeSet<u64>],
    ctx: &EvalContext,
) -> Result<(), PlanError> {
    let mut implied = Vec::new();
    for condition in conditions.iter() {
        let alternatives = alternatives_of(condition);
        if alternatives.len() < 2 {
            continue;
        }
        for side in sides {
            if covered_by(condition, side) {
                continue;
            }
            let mut any = Vec::new();
            for alternative in &alternatives {
                let own: Vec<Expr> = alternative
                    .iter()
                    .filter(|part| covered_by(part, side) && !is_constant(part) && part.is_deterministic())
                    .cloned()
                    .collect();
                if own.is_empty() {
                    break;
                }
                any.push(conjunction(own, ctx)?);
            }
            if any.len() == alternatives.len() {
                implied.push(disjunction(any, ctx)?);
            }
        }
    }
    for condition in implied {
        if !conditions.iter().any(|other| same(other, &condition)) {
            conditions.push(condition);
        }
    }
    Ok(())
}

/// From `a = b` and a comparison of `a` with a constant: the same of `b`. Both columns must be of one type and collation,
/// so that equal means equal.
fn propagate_constants(conditions: &mut Vec<Expr>) {
    let mut equal = Vec::new();
    for condition in conditions.iter() {
        if let Some(("eq", [Expr::Column(left), Expr::Column(right)])) = as_call(condition)
            && left.field_type.code == right.field_type.code
            && left.field_type.is_unsigned() == right.field_type.is_unsigned()
            && left.field_type.collation == right.field_type.collation
        {
            equal.push((left.clone(), right.clone()));
        }
    }
    // Each round carries constants one equality further.
    for _ in 0..equal.len() {
        let mut found = Vec::new();
        for condition in conditions.iter() {
            let Some((name, args)) = as_call(condition) else {
                continue;
            };
            let is_comparison = matches!(name, "eq" | "lt" | "le" | "gt" | "ge" | "in");
            let ids = column_ids(condition);
            if !is_comparison || ids.len() != 1 || !args.iter().any(|arg| matches!(arg, Expr::Column(_))) {
                continue;
            }
            if !args.iter().all(|arg| matches!(arg, Expr::Column(_)) || arg.is_constant()) {
                continue;
            }
            for (left, right) in &equal {
                for (from, to) in [(left, right), (right, left)] {
                    if !ids.contains(&from.unique_id) {
                        continue;
                    }
                    let by = BTreeMap::from([(from.unique_id, Expr::Column(to.clone()))]);
                    let mut copy = condition.clone();
                    substitute(&mut copy, &by);
                    if !conditions.iter().chain(&found).any(|other| same(other, &copy)) {
                        found.push(copy);
                    }
                }
            }
        }
        if found.is_empty() {
            break;
        }
        conditions.extend(found);
    }
}
