//! Comparison: as what two operands are compared, and the typed loops.

use std::cmp::Ordering;

use arrow::array::{Array, BooleanArray};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use tidewater_types::{Collation, Datum, Decimal, EvalType, FieldType, JsonRef, TypeCode};

use crate::cast::cast_datum;
use crate::context::EvalContext;
use crate::error::ExprError;
use crate::expr::Expr;
use crate::infer::cast_to;
use crate::kernels;
use crate::registry::{CallContext, FunctionDef, Inference, Kernel};
use crate::value::{Decimals, Operand, Strings, Value, constant_mask, is_unsigned};

pub(crate) const FUNCTIONS: &[FunctionDef] = &[
    FunctionDef::new("eq", 2, 2, |i| infer(i, Op::Eq), Kernel::Vector(|c, a| compare(c, a, Op::Eq))),
    FunctionDef::new("ne", 2, 2, |i| infer(i, Op::Ne), Kernel::Vector(|c, a| compare(c, a, Op::Ne))),
    FunctionDef::new("lt", 2, 2, |i| infer(i, Op::Lt), Kernel::Vector(|c, a| compare(c, a, Op::Lt))),
    FunctionDef::new("le", 2, 2, |i| infer(i, Op::Le), Kernel::Vector(|c, a| compare(c, a, Op::Le))),
    FunctionDef::new("gt", 2, 2, |i| infer(i, Op::Gt), Kernel::Vector(|c, a| compare(c, a, Op::Gt))),
    FunctionDef::new("ge", 2, 2, |i| infer(i, Op::Ge), Kernel::Vector(|c, a| compare(c, a, Op::Ge))),
    FunctionDef::new("nulleq", 2, 2, |i| infer(i, Op::NullEq), Kernel::Vector(null_eq)),
    FunctionDef::new("strcmp", 2, 2, infer_strcmp, Kernel::Vector(strcmp)),
    FunctionDef::new("interval", 2, crate::registry::VARIADIC, infer_interval, Kernel::Row(interval)),
];

/// A comparison operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    NullEq,
}

impl Op {
    /// The operator with its operands swapped.
    fn flip(self) -> Self {
        match self {
            Self::Lt => Self::Gt,
            Self::Le => Self::Ge,
            Self::Gt => Self::Lt,
            Self::Ge => Self::Le,
            same => same,
        }
    }

    fn holds(self, ordering: Ordering) -> bool {
        match self {
            Self::Eq | Self::NullEq => ordering.is_eq(),
            Self::Ne => ordering.is_ne(),
            Self::Lt => ordering.is_lt(),
            Self::Le => ordering.is_le(),
            Self::Gt => ordering.is_gt(),
            Self::Ge => ordering.is_ge(),
        }
    }
}

/// As what two expressions are compared (MySQL's rules, section "Type Conversion in Expression Evaluation").
pub(crate) fn compare_type(a: &Expr, b: &Expr) -> EvalType {
    let (fa, fb) = (a.field_type_ref(), b.field_type_ref());
    let kind = |ft: &FieldType| match ft.code {
        TypeCode::Enum | TypeCode::Set => EvalType::String,
        _ => ft.eval_type(),
    };
    let (ka, kb) = (kind(fa), kind(fb));
    let int_member = |ft: &FieldType, other: EvalType| {
        matches!(ft.code, TypeCode::Enum | TypeCode::Set)
            && matches!(other, EvalType::Int | EvalType::Decimal | EvalType::Real)
    };
    match (ka, kb) {
        _ if fa.code == TypeCode::Null => kb,
        _ if fb.code == TypeCode::Null => ka,
        (x, y) if x == y => x,
        (EvalType::Json, _) | (_, EvalType::Json) => EvalType::Json,
        (x, y) if int_member(fa, y) || int_member(fb, x) => EvalType::Real,
        (EvalType::Int | EvalType::Decimal, EvalType::Int | EvalType::Decimal) => EvalType::Decimal,
        // A YEAR or a number against a date: MySQL turns a constant into the date's type.
        (EvalType::DateTime, EvalType::String | EvalType::Duration) => EvalType::DateTime,
        (EvalType::String | EvalType::Duration, EvalType::DateTime) => EvalType::DateTime,
        (EvalType::Duration, EvalType::String) | (EvalType::String, EvalType::Duration) => EvalType::Duration,
        (EvalType::DateTime, EvalType::Int | EvalType::Decimal) if b.is_constant() && !a.is_constant() => {
            EvalType::DateTime
        }
        (EvalType::Int | EvalType::Decimal, EvalType::DateTime) if a.is_constant() && !b.is_constant() => {
            EvalType::DateTime
        }
        (EvalType::Duration, EvalType::Int) if b.is_constant() && !a.is_constant() => EvalType::Duration,
        (EvalType::Int, EvalType::Duration) if a.is_constant() && !b.is_constant() => EvalType::Duration,
        _ => EvalType::Real,
    }
}

fn infer(i: &mut Inference<'_>, op: Op) -> Result<FieldType, ExprError> {
    if [0, 1].into_iter().any(|index| is_number(i.arg(index))) {
        i.hex_as_numbers();
    }
    refine_int_constant(i, 0, 1, op);
    refine_int_constant(i, 1, 0, op.flip());
    let eval_type = compare_type(&i.args[0], &i.args[1]);
    prepare(i, eval_type)?;
    let mut field_type = i.boolean();
    if op == Op::NullEq {
        field_type = crate::infer::boolean_type(true);
    }
    Ok(field_type)
}

/// Whether hexadecimal literals are numbers to a value of this type.
fn is_number(ft: &FieldType) -> bool {
    !matches!(ft.code, TypeCode::Null | TypeCode::Enum | TypeCode::Set)
        && matches!(ft.eval_type(), EvalType::Int | EvalType::Real | EvalType::Decimal)
}

/// Casts all arguments to what they are compared as, and settles the collation.
pub(crate) fn prepare(i: &mut Inference<'_>, eval_type: EvalType) -> Result<(), ExprError> {
    if eval_type == EvalType::String {
        i.derive_collation()?;
    } else {
        i.collation = Collation::Binary;
    }
    for index in 0..i.args.len() {
        let arg = std::mem::replace(&mut i.args[index], Expr::null());
        i.args[index] = cast_for_comparison(arg, eval_type, i.ctx);
    }
    Ok(())
}

/// As [`cast_to`]; a literal is turned at once where that goes without a complaint, so that the planner sees the value.
pub(crate) fn cast_for_comparison(arg: Expr, eval_type: EvalType, ctx: &EvalContext) -> Expr {
    let cast = cast_to(arg, eval_type, ctx);
    let Expr::Function(call) = &cast else { return cast };
    if let (true, Some(Expr::Literal { value, field_type })) =
        (call.function.name == "cast", call.args.first())
    {
        let quiet = EvalContext { warnings: Default::default(), ..ctx.clone() };
        if let Ok(converted) = cast_datum(value, field_type, &call.field_type, &quiet)
            && quiet.warnings.count() == 0
        {
            return Expr::Literal { value: converted, field_type: call.field_type.clone() };
        }
    }
    cast
}

/// `int_column < 1.5` is `int_column < 2`: keeps the comparison in integers, and usable for index ranges.
fn refine_int_constant(i: &mut Inference<'_>, column: usize, constant: usize, op: Op) {
    let is_int = i.arg(column).is_integer() && !i.args[column].is_constant();
    let Expr::Literal { value, field_type } = &i.args[constant] else { return };
    if !is_int || !matches!(field_type.eval_type(), EvalType::Decimal | EvalType::Real | EvalType::String) {
        return;
    }
    let exact = match value {
        Datum::Decimal(d) => Some(*d),
        Datum::Double(d) => Decimal::from_f64(*d),
        Datum::Bytes(text) => {
            let read = tidewater_types::number::parse_decimal(text);
            if read.truncated || read.overflow { None } else { Some(read.value) }
        }
        _ => None,
    };
    let Some(exact) = exact else { return };
    let whole = match op {
        _ if exact == exact.truncate(0) => exact,
        Op::Lt | Op::Ge => match exact.ceil() {
            Ok(v) => v,
            Err(_) => return,
        },
        Op::Gt | Op::Le => match exact.floor() {
            Ok(v) => v,
            Err(_) => return,
        },
        Op::Eq | Op::Ne | Op::NullEq => return,
    };
    let literal = if i.arg(column).is_unsigned() && !whole.is_negative() {
        whole.to_u64().map(|v| (Datum::UInt(v), FieldType::uint()))
    } else {
        whole.to_i64().map(|v| (Datum::Int(v), FieldType::int()))
    };
    if let Some((value, field_type)) = literal {
        i.args[constant] = Expr::Literal { value, field_type: field_type.not_null() };
    }
}

fn compare(call: &CallContext<'_>, args: &[Value], op: Op) -> Result<Value, ExprError> {
    let types = (call.call.args[0].field_type_ref(), call.call.args[1].field_type_ref());
    Ok(Value::Boolean(compare_values(
        &args[0],
        types.0,
        &args[1],
        types.1,
        call.call.collation,
        op,
        call.rows,
    )))
}

fn null_eq(call: &CallContext<'_>, args: &[Value]) -> Result<Value, ExprError> {
    let types = (call.call.args[0].field_type_ref(), call.call.args[1].field_type_ref());
    let rows = call.rows;
    let mask = compare_values(&args[0], types.0, &args[1], types.1, call.call.collation, Op::NullEq, rows);
    let (a, b) = (validity(&args[0], rows), validity(&args[1], rows));
    let both_null = !&(&a | &b);
    let equal = match mask.nulls().map(NullBuffer::inner) {
        Some(valid) => mask.values() & valid,
        None => mask.values().clone(),
    };
    Ok(Value::Boolean(BooleanArray::new(&equal | &both_null, None)))
}

fn validity(value: &Value, rows: usize) -> BooleanBuffer {
    let nulls = match value {
        Value::Array(array) => array.nulls().cloned(),
        Value::Boolean(mask) => mask.nulls().cloned(),
        Value::Constant(Datum::Null) => return BooleanBuffer::new_unset(rows),
        Value::Constant(_) => None,
    };
    nulls.map_or_else(|| BooleanBuffer::new_set(rows), NullBuffer::into_inner)
}

/// The mask of a comparison of two values that were cast to what they are compared as.
pub(crate) fn compare_values(
    a: &Value,
    a_type: &FieldType,
    b: &Value,
    b_type: &FieldType,
    collation: Collation,
    op: Op,
    rows: usize,
) -> BooleanArray {
    if a.is_null_constant()
        || b.is_null_constant()
        || a_type.code == TypeCode::Null
        || b_type.code == TypeCode::Null
    {
        return BooleanArray::new_null(rows);
    }
    match a_type.eval_type() {
        EvalType::Int => match (is_unsigned(a_type), is_unsigned(b_type)) {
            (false, false) => ordered(a.ints(), b.ints(), op, rows),
            (true, true) => ordered(a.uints(), b.uints(), op, rows),
            (false, true) => kernels::compare(a.ints(), b.uints(), rows, |x, y| {
                op.holds(i128::from(x).cmp(&i128::from(y)))
            }),
            (true, false) => kernels::compare(a.uints(), b.ints(), rows, |x, y| {
                op.holds(i128::from(x).cmp(&i128::from(y)))
            }),
        },
        EvalType::Real => ordered(a.doubles(), b.doubles(), op, rows),
        EvalType::Decimal => compare_decimals(a.decimals(), b.decimals(), op, rows),
        EvalType::String => compare_strings(a.strings(), b.strings(), collation, op, rows),
        EvalType::DateTime => ordered(a.uints(), b.uints(), op, rows),
        EvalType::Duration => ordered(a.ints(), b.ints(), op, rows),
        EvalType::Json => by_row(rows, |row| {
            let (a, b) = (a.strings().get(row)?, b.strings().get(row)?);
            let (a, b) = (JsonRef::from_binary(a).ok()?, JsonRef::from_binary(b).ok()?);
            Some(op.holds(a.compare(b)))
        }),
    }
}

fn by_row(rows: usize, test: impl Fn(usize) -> Option<bool>) -> BooleanArray {
    (0..rows).map(test).collect()
}

/// One loop per operator, so that the compiler can vectorise each.
fn ordered<T: Copy + PartialOrd>(a: Operand<'_, T>, b: Operand<'_, T>, op: Op, rows: usize) -> BooleanArray {
    match op {
        Op::Eq | Op::NullEq => kernels::compare(a, b, rows, |x, y| x == y),
        Op::Ne => kernels::compare(a, b, rows, |x, y| x != y),
        Op::Lt => kernels::compare(a, b, rows, |x, y| x < y),
        Op::Le => kernels::compare(a, b, rows, |x, y| x <= y),
        Op::Gt => kernels::compare(a, b, rows, |x, y| x > y),
        Op::Ge => kernels::compare(a, b, rows, |x, y| x >= y),
    }
}

fn compare_decimals(a: Decimals<'_>, b: Decimals<'_>, op: Op, rows: usize) -> BooleanArray {
    match (a, b) {
        (Decimals::Narrow(a), Decimals::Narrow(b)) if a.scale() == b.scale() => {
            return ordered(
                Operand::Column(a.values(), a.nulls()),
                Operand::Column(b.values(), b.nulls()),
                op,
                rows,
            );
        }
        (Decimals::Narrow(a), Decimals::Constant(Some(b))) => {
            if let Some((scaled, op)) = scale_bound(b, a.scale() as u8, op) {
                return ordered(
                    Operand::Column(a.values(), a.nulls()),
                    Operand::Constant(Some(scaled)),
                    op,
                    rows,
                );
            }
        }
        (Decimals::Constant(Some(a)), Decimals::Narrow(b)) => {
            if let Some((scaled, op)) = scale_bound(a, b.scale() as u8, op.flip()) {
                return ordered(
                    Operand::Column(b.values(), b.nulls()),
                    Operand::Constant(Some(scaled)),
                    op,
                    rows,
                );
            }
        }
        (Decimals::Constant(Some(a)), Decimals::Constant(Some(b))) => {
            return constant_mask(Some(op.holds(a.cmp(&b))), rows);
        }
        _ => {}
    }
    by_row(rows, |row| Some(op.holds(a.get(row)?.cmp(&b.get(row)?))))
}

/// The constant as a scaled integer of the column's scale. One with more digits is cut down and the operator adjusted:
/// `x < 0.055` is `x <= 0.05` for a column of two digits.
fn scale_bound(constant: Decimal, scale: u8, op: Op) -> Option<(i128, Op)> {
    let floor = if constant.scale() <= scale {
        return Some((constant.rescale(tidewater_types::MAX_PRECISION, scale).ok()?.to_i128()?, op));
    } else {
        let cut = constant.truncate(i32::from(scale));
        if cut == constant {
            return Some((cut.rescale(tidewater_types::MAX_PRECISION, scale).ok()?.to_i128()?, op));
        }
        let cut = cut.rescale(tidewater_types::MAX_PRECISION, scale).ok()?.to_i128()?;
        if constant.is_negative() { cut - 1 } else { cut }
    };
    match op {
        Op::Lt | Op::Le => Some((floor, Op::Le)),
        Op::Gt | Op::Ge => Some((floor, Op::Gt)),
        Op::Eq | Op::Ne | Op::NullEq => None,
    }
}

/// The bytes that decide, under a `_bin` collation.
#[inline]
pub(crate) fn significant(collation: Collation, text: &[u8]) -> &[u8] {
    if text.last() == Some(&b' ') { collation.significant(text) } else { text }
}

fn compare_strings(
    a: Strings<'_>,
    b: Strings<'_>,
    collation: Collation,
    op: Op,
    rows: usize,
) -> BooleanArray {
    let binary = collation.is_bin();
    match (a, b) {
        (Strings::Column(column), Strings::Constant(Some(constant))) if binary => {
            compare_column(column, constant, collation, op)
        }
        (Strings::Constant(Some(constant)), Strings::Column(column)) if binary => {
            compare_column(column, constant, collation, op.flip())
        }
        (Strings::Constant(Some(a)), Strings::Constant(Some(b))) => {
            constant_mask(Some(op.holds(collation.compare(a, b))), rows)
        }
        (Strings::Constant(None), _) | (_, Strings::Constant(None)) => BooleanArray::new_null(rows),
        _ => {
            let nulls = NullBuffer::union(a.nulls(), b.nulls());
            let test = |row: usize| match (a.get(row), b.get(row)) {
                (Some(a), Some(b)) if binary => {
                    op.holds(significant(collation, a).cmp(significant(collation, b)))
                }
                (Some(a), Some(b)) => op.holds(collation.compare(a, b)),
                _ => false,
            };
            BooleanArray::new(BooleanBuffer::collect_bool(rows, test), nulls)
        }
    }
}

fn compare_column(
    column: &arrow::array::BinaryArray,
    constant: &[u8],
    collation: Collation,
    op: Op,
) -> BooleanArray {
    let constant = significant(collation, constant);
    let rows = column.len();
    let bits = match op {
        Op::Eq | Op::NullEq => BooleanBuffer::collect_bool(rows, |i| {
            let value = column.value(i);
            value == constant || (value.len() > constant.len() && significant(collation, value) == constant)
        }),
        Op::Ne => BooleanBuffer::collect_bool(rows, |i| significant(collation, column.value(i)) != constant),
        _ => BooleanBuffer::collect_bool(rows, |i| {
            op.holds(significant(collation, column.value(i)).cmp(constant))
        }),
    };
    BooleanArray::new(bits, column.nulls().cloned())
}

fn infer_strcmp(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.derive_collation()?;
    i.cast_all(EvalType::String);
    Ok(FieldType::int())
}

fn strcmp(call: &CallContext<'_>, args: &[Value]) -> Result<Value, ExprError> {
    let (a, b) = (args[0].strings(), args[1].strings());
    let compared =
        (0..call.rows).map(|row| Some(call.call.collation.compare(a.get(row)?, b.get(row)?) as i64));
    Ok(kernels::ints(compared.collect()))
}

fn infer_interval(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.cast_all(EvalType::Real);
    Ok(FieldType::int().not_null())
}

fn interval(_: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let number = |datum: &Datum| match datum {
        Datum::Double(v) => Some(*v),
        _ => None,
    };
    let Some(value) = number(&args[0]) else { return Ok(Datum::Int(-1)) };
    // NULL bounds count as smaller than anything.
    let below = args[1..].iter().take_while(|bound| number(bound).is_none_or(|bound| bound <= value)).count();
    Ok(Datum::Int(below as i64))
}
