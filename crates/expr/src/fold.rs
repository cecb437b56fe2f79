//! Constant folding.

use tidewater_types::Datum;

use crate::context::EvalContext;
use crate::expr::{Expr, Prepared};

/// Evaluates what does not depend on rows, parameters or outer queries.
pub(crate) fn fold(expr: Expr, ctx: &EvalContext) -> Expr {
    let Expr::Function(mut call) = expr else { return expr };
    call.args = call.args.into_iter().map(|arg| fold(arg, ctx)).collect();
    call.prepared = Prepared::default();
    let literal = |arg: &Expr| matches!(arg, Expr::Literal { .. });
    if call.function.is_deterministic() && call.args.iter().all(literal) {
        // Warnings of a folded part are given once, not once per row.
        let expr = Expr::Function(call);
        return match expr.eval_datum(ctx) {
            Ok(value) => Expr::Literal { value, field_type: expr.field_type() },
            Err(_) => expr,
        };
    }
    let truth = |arg: &Expr| match arg {
        Expr::Literal { value, .. } if !value.is_null() => crate::value::datum_truth(value),
        _ => None,
    };
    match call.function.name {
        "and" if call.args.iter().any(|arg| truth(arg) == Some(false)) => boolean(0, &call.field_type),
        "or" if call.args.iter().any(|arg| truth(arg) == Some(true)) => boolean(1, &call.field_type),
        _ => Expr::Function(call),
    }
}

fn boolean(value: i64, field_type: &tidewater_types::FieldType) -> Expr {
    Expr::Literal { value: Datum::Int(value), field_type: field_type.clone() }
}
