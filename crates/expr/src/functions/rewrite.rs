//! Calls that are other calls in disguise: BETWEEN, comparisons of rows, IN over a list of mixed types.

use tidewater_types::FieldType;

use super::in_list::common_compare_type;
use crate::context::EvalContext;
use crate::error::ExprError;
use crate::expr::Expr;
use crate::infer::build_function;

/// The call as other calls, if it is one of these.
pub(crate) fn rewrite(name: &str, args: &[Expr], ctx: &EvalContext) -> Result<Option<Expr>, ExprError> {
    let rows = args.iter().any(|arg| row(arg).is_some());
    Ok(match name {
        "between" | "not_between" => {
            let [value, low, high] = args else {
                return Err(ExprError::WrongArgumentCount { name: name.to_owned() });
            };
            let above = build_function("ge", vec![value.clone(), low.clone()], ctx)?;
            let below = build_function("le", vec![value.clone(), high.clone()], ctx)?;
            let inside = build_function("and", vec![above, below], ctx)?;
            Some(if name == "between" { inside } else { build_function("not", vec![inside], ctx)? })
        }
        "eq" | "ne" | "lt" | "le" | "gt" | "ge" | "nulleq" if rows => {
            Some(compare_rows(name, &args[0], &args[1], ctx)?)
        }
        "in" if rows || (args.len() >= 2 && common_compare_type(args).is_none()) => {
            let equal = |item: &Expr| build_function("eq", vec![args[0].clone(), item.clone()], ctx);
            let tests = args[1..].iter().map(equal).collect::<Result<Vec<_>, _>>()?;
            join("or", tests, ctx)?
        }
        // timestampadd(unit, count, date) is date + INTERVAL count unit.
        "timestampadd" if args.len() == 3 => {
            Some(build_function("date_add", vec![args[2].clone(), args[1].clone(), args[0].clone()], ctx)?)
        }
        "from_unixtime" if args.len() == 2 => {
            let time = build_function("from_unixtime", vec![args[0].clone()], ctx)?;
            Some(build_function("date_format", vec![time, args[1].clone()], ctx)?)
        }
        "row" => None,
        _ if rows => return Err(ExprError::OperandColumns { columns: 1 }),
        _ => None,
    })
}

/// The members of a row constructor.
fn row(expr: &Expr) -> Option<&[Expr]> {
    expr.as_call("row").map(|call| call.args.as_slice())
}

/// Joins tests as a balanced tree, so that long lists do not nest deeply.
fn join(name: &str, mut tests: Vec<Expr>, ctx: &EvalContext) -> Result<Option<Expr>, ExprError> {
    while tests.len() > 1 {
        let mut next = Vec::with_capacity(tests.len().div_ceil(2));
        let mut pairs = tests.into_iter();
        while let Some(left) = pairs.next() {
            next.push(match pairs.next() {
                Some(right) => build_function(name, vec![left, right], ctx)?,
                None => left,
            });
        }
        tests = next;
    }
    Ok(tests.pop())
}

fn compare_rows(name: &str, a: &Expr, b: &Expr, ctx: &EvalContext) -> Result<Expr, ExprError> {
    let (left, right) = match (row(a), row(b)) {
        (Some(left), Some(right)) if left.len() == right.len() => (left, right),
        (Some(left), _) => return Err(ExprError::OperandColumns { columns: left.len() }),
        (None, _) => return Err(ExprError::OperandColumns { columns: 1 }),
    };
    let pair = |name: &str, i: usize| build_function(name, vec![left[i].clone(), right[i].clone()], ctx);
    let joined = match name {
        "eq" | "nulleq" => {
            let tests = (0..left.len()).map(|i| pair(name, i)).collect::<Result<Vec<_>, _>>()?;
            join("and", tests, ctx)?
        }
        "ne" => {
            let tests = (0..left.len()).map(|i| pair("ne", i)).collect::<Result<Vec<_>, _>>()?;
            join("or", tests, ctx)?
        }
        // (a, b) < (c, d): a < c, or a = c and b < d.
        _ => {
            let strict = if name.starts_with('l') { "lt" } else { "gt" };
            let last = left.len() - 1;
            let mut result = pair(name, last)?;
            for i in (0..last).rev() {
                let tied = build_function("and", vec![pair("eq", i)?, result], ctx)?;
                result = build_function("or", vec![pair(strict, i)?, tied], ctx)?;
            }
            Some(result)
        }
    };
    joined.ok_or(ExprError::OperandColumns { columns: 1 })
}

/// The type of a row constructor: it has no values of its own.
pub(crate) fn row_type() -> FieldType {
    FieldType::null()
}
