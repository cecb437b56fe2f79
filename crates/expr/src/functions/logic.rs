//! AND, OR, XOR, NOT, IS TRUE, IS FALSE, IS NULL: logic with three values.

use arrow::array::{Array, BooleanArray};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use tidewater_chunk::Chunk;
use tidewater_types::{EvalType, FieldType};

use crate::error::ExprError;
use crate::expr::Expr;
use crate::infer::boolean_type;
use crate::registry::{CallContext, FunctionDef, FunctionTraits, Inference, Kernel};
use crate::value::{Value, constant_mask, truth};

pub(crate) const FUNCTIONS: &[FunctionDef] = &[
    FunctionDef::new("and", 2, 2, infer_logic, Kernel::Lazy(and)),
    FunctionDef::new("or", 2, 2, infer_logic, Kernel::Lazy(or)),
    FunctionDef::new("xor", 2, 2, infer_logic, Kernel::Vector(xor)).with(FunctionTraits::MASKS),
    FunctionDef::new("not", 1, 1, infer_logic, Kernel::Vector(not)).with(FunctionTraits::MASKS),
    FunctionDef::new("istrue", 1, 1, infer_truth, Kernel::Vector(is_true)).with(FunctionTraits::MASKS),
    FunctionDef::new("isfalse", 1, 1, infer_truth, Kernel::Vector(is_false)).with(FunctionTraits::MASKS),
    FunctionDef::new("isnull", 1, 1, infer_null_test, Kernel::Vector(is_null)).with(FunctionTraits::MASKS),
    FunctionDef::new("is_not_null", 1, 1, infer_null_test, Kernel::Vector(is_not_null))
        .with(FunctionTraits::MASKS),
];

fn infer_logic(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    (0..i.args.len()).for_each(|index| cast_condition(i, index));
    Ok(i.boolean())
}

fn infer_truth(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    cast_condition(i, 0);
    Ok(boolean_type(true))
}

fn infer_null_test(_: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    Ok(boolean_type(true))
}

/// Text is true by its number, and complains if it is none.
pub(super) fn cast_condition(i: &mut Inference<'_>, index: usize) {
    if i.arg(index).is_string() {
        i.cast(index, EvalType::Real);
    }
}

/// True bits and false bits; a row in neither is NULL.
struct Truth {
    yes: BooleanBuffer,
    no: BooleanBuffer,
}

impl Truth {
    fn of(mask: &BooleanArray) -> Self {
        let values = mask.values();
        match mask.nulls().map(NullBuffer::inner) {
            Some(valid) => Self { yes: values & valid, no: &!values & valid },
            None => Self { yes: values.clone(), no: !values },
        }
    }

    fn into_value(self) -> Value {
        let known = &self.yes | &self.no;
        let nulls = if known.count_set_bits() == known.len() { None } else { Some(NullBuffer::new(known)) };
        Value::Boolean(BooleanArray::new(self.yes, nulls))
    }
}

fn argument(call: &CallContext<'_>, index: usize, value: &Value) -> BooleanArray {
    truth(value, call.call.args[index].field_type_ref(), call.rows)
}

/// The right side is evaluated only on rows that the left side does not decide: it may fail on the others.
fn lazy(call: &CallContext<'_>, chunk: &Chunk, decided_by: bool) -> Result<Value, ExprError> {
    let rows = call.rows;
    let [left, right] = &call.call.args[..] else { return Err(ExprError::Malformed { what: "logic" }) };
    let left_mask = truth(&left.eval_value(call.eval, chunk)?, left.field_type_ref(), rows);
    let left = Truth::of(&left_mask);
    let decided = if decided_by { &left.yes } else { &left.no };
    let decided_rows = decided.count_set_bits();
    if decided_rows == rows {
        return Ok(Value::Boolean(constant_mask(Some(decided_by), rows)));
    }
    let right_type = right.field_type_ref();
    let right = if decided_rows == 0 || is_harmless(right) {
        Truth::of(&truth(&right.eval_value(call.eval, chunk)?, right_type, rows))
    } else {
        let undecided = !decided;
        let narrowed = chunk.filter(&BooleanArray::new(undecided.clone(), None));
        let part =
            Truth::of(&truth(&right.eval_value(call.eval, &narrowed)?, right_type, narrowed.num_rows()));
        Truth { yes: scatter(&undecided, &part.yes), no: scatter(&undecided, &part.no) }
    };
    Ok(if decided_by {
        Truth { yes: &left.yes | &right.yes, no: &left.no & &right.no }
    } else {
        Truth { yes: &left.yes & &right.yes, no: &left.no | &right.no }
    }
    .into_value())
}

/// Comparisons of columns and literals neither fail nor warn: evaluating them on all rows is cheaper than narrowing.
pub(crate) fn is_harmless(expr: &Expr) -> bool {
    match expr {
        Expr::Function(call) => HARMLESS.contains(&call.function.name) && call.args.iter().all(is_harmless),
        _ => true,
    }
}

const HARMLESS: &[&str] = &[
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "nulleq",
    "in",
    "like",
    "isnull",
    "is_not_null",
    "and",
    "or",
    "xor",
    "not",
    "istrue",
    "isfalse",
    "year",
    "month",
    "dayofmonth",
    "quarter",
    "extract",
    "bitand",
    "bitor",
];

/// `part` has a bit for every set bit of `whole`.
fn scatter(whole: &BooleanBuffer, part: &BooleanBuffer) -> BooleanBuffer {
    let mut rank = 0;
    BooleanBuffer::collect_bool(whole.len(), |row| {
        if !whole.value(row) {
            return false;
        }
        rank += 1;
        part.value(rank - 1)
    })
}

fn and(call: &CallContext<'_>, chunk: &Chunk) -> Result<Value, ExprError> {
    lazy(call, chunk, false)
}

fn or(call: &CallContext<'_>, chunk: &Chunk) -> Result<Value, ExprError> {
    lazy(call, chunk, true)
}

fn xor(call: &CallContext<'_>, args: &[Value]) -> Result<Value, ExprError> {
    let (a, b) = (argument(call, 0, &args[0]), argument(call, 1, &args[1]));
    let nulls = NullBuffer::union(a.nulls(), b.nulls());
    Ok(Value::Boolean(BooleanArray::new(a.values() ^ b.values(), nulls)))
}

fn not(call: &CallContext<'_>, args: &[Value]) -> Result<Value, ExprError> {
    let mask = argument(call, 0, &args[0]);
    Ok(Value::Boolean(BooleanArray::new(!mask.values(), mask.nulls().cloned())))
}

fn is_true(call: &CallContext<'_>, args: &[Value]) -> Result<Value, ExprError> {
    Ok(Value::Boolean(BooleanArray::new(Truth::of(&argument(call, 0, &args[0])).yes, None)))
}

fn is_false(call: &CallContext<'_>, args: &[Value]) -> Result<Value, ExprError> {
    Ok(Value::Boolean(BooleanArray::new(Truth::of(&argument(call, 0, &args[0])).no, None)))
}

fn valid(call: &CallContext<'_>, value: &Value) -> BooleanBuffer {
    let nulls = match value {
        Value::Array(array) => array.nulls().cloned(),
        Value::Boolean(mask) => mask.nulls().cloned(),
        Value::Constant(datum) if datum.is_null() => return BooleanBuffer::new_unset(call.rows),
        Value::Constant(_) => None,
    };
    nulls.map_or_else(|| BooleanBuffer::new_set(call.rows), NullBuffer::into_inner)
}

fn is_null(call: &CallContext<'_>, args: &[Value]) -> Result<Value, ExprError> {
    Ok(Value::Boolean(BooleanArray::new(!&valid(call, &args[0]), None)))
}

fn is_not_null(call: &CallContext<'_>, args: &[Value]) -> Result<Value, ExprError> {
    Ok(Value::Boolean(BooleanArray::new(valid(call, &args[0]), None)))
}
