//! What ranges will look like when constants are not known yet.

use tidewater_expr::{Expr, FunctionCall};
use tidewater_types::EvalType;

use super::RangeColumn;
use super::condition::{comparable, is_column};

/// What conditions with parameters or outer columns will say about a key.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    /// For each condition: whether it restricts the key.
    pub(crate) used: Vec<bool>,
    /// For each condition: whether the ranges will say all it says, whatever the value.
    pub(crate) exact: Vec<bool>,
    /// How many leading columns are equal to one value.
    pub(crate) equal_columns: usize,
    /// How many conditions bound the column behind those.
    pub(crate) bounds: usize,
    /// The value of each of the equal columns.
    pub(crate) values: Vec<Expr>,
}

/// The shape of the ranges of a key of `columns`.
pub(crate) fn shape(columns: &[RangeColumn], conditions: &[Expr]) -> Shape {
    let mut shape = Shape {
        used: vec![false; conditions.len()],
        exact: vec![false; conditions.len()],
        equal_columns: 0,
        bounds: 0,
        values: Vec::new(),
    };
    for column in columns {
        let mut equal = None;
        for (position, condition) in conditions.iter().enumerate() {
            match side(condition, column) {
                Some(("eq", value)) if equal.is_none() => {
                    shape.used[position] = true;
                    shape.exact[position] = is_exact(value, column);
                    equal = Some(value.clone());
                }
                Some(("lt" | "le" | "gt" | "ge", value)) if equal.is_none() => {
                    shape.used[position] = true;
                    shape.exact[position] = is_exact(value, column);
                    shape.bounds += 1;
                }
                _ => {}
            }
        }
        let Some(value) = equal else {
            break;
        };
        shape.bounds = 0;
        shape.equal_columns += 1;
        shape.values.push(value);
        if column.length >= 0 {
            break;
        }
    }
    shape
}

/// `column op value`, from either side.
fn side<'e>(condition: &'e Expr, column: &RangeColumn) -> Option<(&'static str, &'e Expr)> {
    let Expr::Function(call) = condition else {
        return None;
    };
    let call: &FunctionCall = call;
    let name = call.function.name;
    if !matches!(name, "eq" | "lt" | "le" | "gt" | "ge") || !comparable(call, column) {
        return None;
    }
    let [left, right] = call.args.as_slice() else {
        return None;
    };
    if is_column(left, column) && right.is_constant() {
        Some((name, right))
    } else if is_column(right, column) && left.is_constant() {
        Some((super::condition::flip(name), left))
    } else {
        None
    }
}

/// Whether every value of the constant's type has an exact place among the column's.
fn is_exact(value: &Expr, column: &RangeColumn) -> bool {
    let (from, to) = (value.field_type(), &column.field_type);
    column.length < 0
        && match (from.eval_type(), to.eval_type()) {
            (EvalType::Int, EvalType::Int) | (EvalType::String, EvalType::String) => true,
            (EvalType::DateTime, EvalType::DateTime) => {
                let date = tidewater_types::TypeCode::Date;
                from.code == date || (to.code != date && from.fsp() <= to.fsp())
            }
            _ => false,
        }
}
