//! A condition above an outer join that no NULL-padded row fulfils makes the join an inner one.
//!
//! Galindo-Legaria, Rosenthal: "Outerjoin simplification and reordering for query optimization" (TODS 1997), section 2.2.
//! Called from filter push-down, which knows the conditions above each join.

use std::collections::BTreeSet;

use tidewater_expr::Expr;

use crate::expr_tools::{as_call, truth};

/// Whether the condition is false or NULL when all `columns` are NULL.
pub(crate) fn rejects_nulls(condition: &Expr, columns: &BTreeSet<u64>) -> bool {
    if truth(condition) == Some(false) || is_null_with(condition, columns) {
        return true;
    }
    match as_call(condition) {
        Some(("and", args)) => args.iter().any(|arg| rejects_nulls(arg, columns)),
        Some(("or", args)) => args.iter().all(|arg| rejects_nulls(arg, columns)),
        Some(("not", [inner])) => match as_call(inner) {
            Some(("isnull", [arg])) => is_null_with(arg, columns),
            Some(("or", args)) => args.iter().any(|arg| is_null_with(arg, columns)),
            _ => false,
        },
        Some(("istrue", [arg])) => rejects_nulls(arg, columns),
        _ => false,
    }
}

/// Whether the value is NULL when all `columns` are NULL.
pub(crate) fn is_null_with(expr: &Expr, columns: &BTreeSet<u64>) -> bool {
    match expr {
        Expr::Column(column) => columns.contains(&column.unique_id),
        Expr::Literal { value, .. } => value.is_null(),
        Expr::Function(call) if is_strict(call.function.name) => {
            call.args.iter().any(|arg| is_null_with(arg, columns))
        }
        // IN is NULL when what is looked for is.
        Expr::Function(call) if call.function.name == "in" => is_null_with(&call.args[0], columns),
        _ => false,
    }
}

/// Functions that give NULL as soon as one argument is NULL.
fn is_strict(name: &str) -> bool {
    matches!(
        name,
        "eq" | "ne"
            | "lt"
            | "le"
            | "gt"
            | "ge"
            | "plus"
            | "minus"
            | "mul"
            | "div"
            | "intdiv"
            | "mod"
            | "unaryminus"
            | "not"
            | "like"
            | "regexp"
            | "cast"
            | "year"
            | "month"
            | "day"
            | "date"
            | "extract"
            | "substring"
            | "lower"
            | "upper"
            | "length"
            | "concat"
            | "abs"
            | "date_add"
            | "date_sub"
            | "xor"
            | "bitand"
            | "bitor"
    )
}
