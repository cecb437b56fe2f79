//! Small questions about expressions, and small changes to them.

use std::collections::{BTreeMap, BTreeSet};

use tidewater_expr::{EvalContext, Expr, build_function};
use tidewater_types::{Datum, FieldType};

use crate::PlanError;

/// Calls `visit` for the expression and all within.
pub(crate) fn visit(expr: &Expr, visitor: &mut dyn FnMut(&Expr)) {
    visitor(expr);
    if let Expr::Function(call) = expr {
        for arg in &call.args {
            visit(arg, visitor);
        }
    }
}

/// Calls `change` for the innermost expressions first, then for those around them.
pub(crate) fn rewrite(expr: &mut Expr, change: &mut dyn FnMut(&mut Expr)) {
    let old = std::mem::replace(expr, Expr::int(0));
    *expr = old.transform(&mut |mut expr| {
        change(&mut expr);
        expr
    });
}

/// The columns an expression reads.
pub(crate) fn column_ids(expr: &Expr) -> BTreeSet<u64> {
    let mut ids = BTreeSet::new();
    collect_columns(expr, &mut ids);
    ids
}

/// Adds the columns an expression reads.
pub(crate) fn collect_columns(expr: &Expr, ids: &mut BTreeSet<u64>) {
    visit(expr, &mut |expr| {
        if let Expr::Column(column) = expr {
            ids.insert(column.unique_id);
        }
    });
}

/// The outer columns an expression reads.
pub(crate) fn correlated_ids(expr: &Expr) -> BTreeSet<u64> {
    let mut ids = BTreeSet::new();
    visit(expr, &mut |expr| {
        if let Expr::Correlated { unique_id, .. } = expr {
            ids.insert(*unique_id);
        }
    });
    ids
}

/// Whether all columns of the expression are among `ids` (true for constants).
pub(crate) fn covered_by(expr: &Expr, ids: &BTreeSet<u64>) -> bool {
    let mut covered = true;
    visit(expr, &mut |expr| {
        if let Expr::Column(column) = expr {
            covered &= ids.contains(&column.unique_id);
        }
    });
    covered
}

/// Whether the expression reads a column.
pub(crate) fn has_columns(expr: &Expr) -> bool {
    !covered_by(expr, &BTreeSet::new())
}

/// Whether the value is known before the statement runs for a row: no column of the input.
pub(crate) fn is_constant(expr: &Expr) -> bool {
    !has_columns(expr)
}

/// Whether the value depends on a parameter or on an outer row.
pub(crate) fn is_deferred(expr: &Expr) -> bool {
    let mut deferred = false;
    visit(expr, &mut |expr| deferred |= matches!(expr, Expr::Parameter { .. } | Expr::Correlated { .. }));
    deferred
}

/// Replaces columns by expressions.
pub(crate) fn substitute(expr: &mut Expr, by: &BTreeMap<u64, Expr>) {
    rewrite(expr, &mut |expr| {
        if let Expr::Column(column) = expr
            && let Some(replacement) = by.get(&column.unique_id)
        {
            *expr = replacement.clone();
        }
    });
}

/// Splits `a and b and c`.
pub(crate) fn split_and(expr: Expr, out: &mut Vec<Expr>) {
    match expr {
        Expr::Function(call) if call.function.name == "and" => {
            for arg in call.args {
                split_and(arg, out);
            }
        }
        other => out.push(other),
    }
}

/// Splits `a or b or c`.
pub(crate) fn split_or(expr: Expr, out: &mut Vec<Expr>) {
    match expr {
        Expr::Function(call) if call.function.name == "or" => {
            for arg in call.args {
                split_or(arg, out);
            }
        }
        other => out.push(other),
    }
}

/// The function's name and arguments.
pub(crate) fn as_call(expr: &Expr) -> Option<(&'static str, &[Expr])> {
    match expr {
        Expr::Function(call) => Some((call.function.name, &call.args)),
        _ => None,
    }
}

/// A call by name.
pub(crate) fn call(name: &str, args: Vec<Expr>, ctx: &EvalContext) -> Result<Expr, PlanError> {
    Ok(build_function(name, args, ctx)?)
}

/// `a and b and ..`; none is true.
pub(crate) fn conjunction(exprs: Vec<Expr>, ctx: &EvalContext) -> Result<Expr, PlanError> {
    if exprs.is_empty() {
        return Ok(int_literal(1));
    }
    balanced("and", exprs, ctx)
}

/// `a or b or ..`; none is false.
pub(crate) fn disjunction(exprs: Vec<Expr>, ctx: &EvalContext) -> Result<Expr, PlanError> {
    if exprs.is_empty() {
        return Ok(int_literal(0));
    }
    balanced("or", exprs, ctx)
}

/// A thousand alternatives make a tree ten levels deep, not a thousand: it is walked recursively.
fn balanced(name: &str, mut exprs: Vec<Expr>, ctx: &EvalContext) -> Result<Expr, PlanError> {
    if exprs.len() == 1 {
        return Ok(exprs.remove(0));
    }
    let right = exprs.split_off(exprs.len() / 2);
    let both = vec![balanced(name, exprs, ctx)?, balanced(name, right, ctx)?];
    call(name, both, ctx)
}

/// An integer constant.
pub(crate) fn int_literal(value: i64) -> Expr {
    Expr::Literal { value: Datum::Int(value), field_type: FieldType::int().not_null() }
}

/// Whether two expressions are the same computation.
pub(crate) fn same(a: &Expr, b: &Expr) -> bool {
    match (a, b) {
        (Expr::Column(a), Expr::Column(b)) => a.unique_id == b.unique_id,
        (Expr::Literal { value: a, field_type: at }, Expr::Literal { value: b, field_type: bt }) => {
            a == b && at.code == bt.code
        }
        (Expr::Parameter { index: a, .. }, Expr::Parameter { index: b, .. }) => a == b,
        (Expr::Correlated { unique_id: a, .. }, Expr::Correlated { unique_id: b, .. }) => a == b,
        (Expr::Function(a), Expr::Function(b)) => {
            a.function.name == b.function.name
                && a.args.len() == b.args.len()
                && a.field_type == b.field_type
                && a.args.iter().zip(&b.args).all(|(a, b)| same(a, b))
        }
        _ => false,
    }
}

/// The constant truth value of a condition: `Some(false)` for NULL too.
pub(crate) fn truth(expr: &Expr) -> Option<bool> {
    match expr {
        Expr::Literal { value: Datum::Null, .. } => Some(false),
        Expr::Literal { value: Datum::Int(value), .. } => Some(*value != 0),
        Expr::Literal { value: Datum::UInt(value), .. } => Some(*value != 0),
        _ => None,
    }
}
