//! Constants are folded; NOT moves inwards to where it vanishes into a comparison.

use tidewater_expr::{EvalContext, Expr};

use super::RuleContext;
use crate::PlanError;
use crate::expr_tools::{as_call, call, conjunction, disjunction, rewrite};
use crate::logical::Logical;

pub(crate) fn apply(mut plan: Logical, cx: &mut RuleContext<'_>) -> Result<Logical, PlanError> {
    simplify(&mut plan, cx.eval);
    Ok(plan)
}

fn simplify(plan: &mut Logical, ctx: &EvalContext) {
    for child in plan.children_mut() {
        simplify(child, ctx);
    }
    for expr in plan.exprs_mut() {
        simplify_expr(expr, ctx);
    }
    if let Logical::Selection { conditions, .. } = plan {
        let all = std::mem::take(conditions);
        for condition in all {
            crate::expr_tools::split_and(condition, conditions);
        }
    }
}

/// One expression, in place.
pub(crate) fn simplify_expr(expr: &mut Expr, ctx: &EvalContext) {
    let old = std::mem::replace(expr, Expr::int(0));
    *expr = old.fold(ctx);
    rewrite(expr, &mut |expr| {
        if let Some(simpler) = without_not(expr, ctx) {
            *expr = simpler;
        }
    });
}

/// `not (a < b)` is `a >= b`, with NULL where that is NULL; `not (a and b)` is `not a or not b`.
fn without_not(expr: &Expr, ctx: &EvalContext) -> Option<Expr> {
    let ("not", [inner]) = as_call(expr)? else {
        return None;
    };
    let (name, args) = as_call(inner)?;
    let opposite = match name {
        "eq" => "ne",
        "ne" => "eq",
        "lt" => "ge",
        "le" => "gt",
        "gt" => "le",
        "ge" => "lt",
        "and" | "or" => {
            let mut negated = Vec::new();
            for arg in args {
                let not = call("not", vec![arg.clone()], ctx).ok()?;
                negated.push(without_not(&not, ctx).unwrap_or(not));
            }
            let opposite = if name == "and" { disjunction } else { conjunction };
            return opposite(negated, ctx).ok();
        }
        _ => return None,
    };
    call(opposite, args.to_vec(), ctx).ok()
}
