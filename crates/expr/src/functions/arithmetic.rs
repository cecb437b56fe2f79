//! `+ - * / DIV %` and unary minus.
//!
//! Integers overflow into error 1690, decimals widen from 128 to 256 bits and then fail, doubles fail when they become
//! infinite. Division by zero gives NULL and what the SQL mode says.

use arrow::array::{Array, Float64Array, Int64Array, UInt64Array};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{Float64Type, Int64Type, UInt64Type};
use arrow_buffer::NullBufferBuilder;
use tidewater_chunk::{DecimalVec, fits_decimal128};
use tidewater_types::{Datum, Decimal, DecimalError, EvalType, FieldType, SqlMode};

use crate::display::sql_text;
use crate::error::ExprError;
use crate::expr::Expr;
use crate::infer::{decimal_type_of, numeric_context};
use crate::kernels;
use crate::registry::{CallContext, FunctionDef, Inference, Kernel};
use crate::value::{Decimals, Operand, Value, is_unsigned};

pub(crate) const FUNCTIONS: &[FunctionDef] = &[
    FunctionDef::new("plus", 2, 2, infer_additive, Kernel::Vector(plus)),
    FunctionDef::new("minus", 2, 2, infer_additive, Kernel::Vector(minus)),
    FunctionDef::new("mul", 2, 2, infer_mul, Kernel::Vector(mul)),
    FunctionDef::new("div", 2, 2, infer_div, Kernel::Vector(div)),
    FunctionDef::new("intdiv", 2, 2, infer_intdiv, Kernel::Vector(intdiv)),
    FunctionDef::new("mod", 2, 2, infer_mod, Kernel::Vector(modulo)),
    FunctionDef::new("unaryminus", 1, 1, infer_negate, Kernel::Vector(negate)),
];

/// What both operands are taken as.
fn operand_type(i: &Inference<'_>) -> EvalType {
    let (a, b) = (numeric_context(i.arg(0)), numeric_context(i.arg(1)));
    if a == EvalType::Real || b == EvalType::Real {
        EvalType::Real
    } else if a == EvalType::Decimal || b == EvalType::Decimal {
        EvalType::Decimal
    } else {
        EvalType::Int
    }
}

/// Precision and scale of both operands, once they are decimals.
fn decimal_shapes(i: &Inference<'_>) -> [(i32, i32); 2] {
    [0, 1].map(|index| {
        let ft = decimal_type_of(&i.args[index]);
        (ft.length, ft.decimals)
    })
}

fn decimal(precision: i32, scale: i32) -> FieldType {
    let scale = scale.clamp(0, 30);
    FieldType::decimal(precision.clamp(scale.max(1), 65) as u8, scale as u8)
}

fn keep_not_null(i: &Inference<'_>, field_type: FieldType) -> FieldType {
    if i.args.iter().all(|arg| arg.field_type_ref().is_not_null()) {
        field_type.not_null()
    } else {
        field_type
    }
}

fn int_result(i: &Inference<'_>, unsigned: bool) -> FieldType {
    keep_not_null(i, if unsigned { FieldType::uint() } else { FieldType::int() })
}

fn any_unsigned(i: &Inference<'_>) -> bool {
    i.args.iter().any(|arg| is_unsigned(arg.field_type_ref()))
}

fn real_result(i: &Inference<'_>) -> FieldType {
    // The digits of columns like DOUBLE(10,2) survive additions.
    keep_not_null(i, FieldType::double())
}

fn infer_additive(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.hex_as_numbers();
    let eval_type = operand_type(i);
    Ok(match eval_type {
        EvalType::Int => {
            i.cast_all(EvalType::Int);
            let unsigned = any_unsigned(i)
                && !(i.name == "minus" && i.ctx.sql_mode.contains(SqlMode::NO_UNSIGNED_SUBTRACTION));
            int_result(i, unsigned)
        }
        EvalType::Decimal => {
            let [(p1, s1), (p2, s2)] = decimal_shapes(i);
            i.cast_all(EvalType::Decimal);
            i.widen_quotients();
            let scale = s1.max(s2);
            keep_not_null(i, decimal((p1 - s1).max(p2 - s2) + scale + 1, scale))
        }
        _ => {
            i.cast_all(EvalType::Real);
            real_result(i)
        }
    })
}

fn infer_mul(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.hex_as_numbers();
    Ok(match operand_type(i) {
        EvalType::Int => {
            i.cast_all(EvalType::Int);
            int_result(i, any_unsigned(i))
        }
        EvalType::Decimal => {
            let [(p1, s1), (p2, s2)] = decimal_shapes(i);
            i.cast_all(EvalType::Decimal);
            i.widen_quotients();
            keep_not_null(i, decimal(p1 + p2, s1 + s2))
        }
        _ => {
            i.cast_all(EvalType::Real);
            real_result(i)
        }
    })
}

fn infer_div(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.hex_as_numbers();
    if operand_type(i) == EvalType::Real {
        i.cast_all(EvalType::Real);
        return Ok(FieldType::double());
    }
    let [(p1, s1), (_, s2)] = decimal_shapes(i);
    i.cast_all(EvalType::Decimal);
    i.widen_quotients();
    let increment = i32::from(i.ctx.div_precision_increment);
    let scale = (s1 + increment).min(30);
    Ok(decimal(p1 - s1 + s2 + scale, scale))
}

fn infer_intdiv(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.hex_as_numbers();
    let unsigned = any_unsigned(i);
    if operand_type(i) == EvalType::Int {
        i.cast_all(EvalType::Int);
    } else {
        i.cast_all(EvalType::Decimal);
    }
    Ok(if unsigned { FieldType::uint() } else { FieldType::int() })
}

fn infer_mod(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.hex_as_numbers();
    Ok(match operand_type(i) {
        EvalType::Int => {
            i.cast_all(EvalType::Int);
            if is_unsigned(i.arg(0)) { FieldType::uint() } else { FieldType::int() }
        }
        EvalType::Decimal => {
            let [(p1, s1), (p2, s2)] = decimal_shapes(i);
            i.cast_all(EvalType::Decimal);
            i.widen_quotients();
            let scale = s1.max(s2);
            decimal((p1 - s1).max(p2 - s2) + scale, scale)
        }
        _ => {
            i.cast_all(EvalType::Real);
            FieldType::double()
        }
    })
}

fn infer_negate(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.hex_as_numbers();
    let eval_type = numeric_context(i.arg(0));
    // -9223372036854775808 is a BIGINT though 9223372036854775808 is none. What no BIGINT holds becomes DECIMAL.
    let exceeds = match i.literal(0) {
        Some(Datum::UInt(value)) => *value > 1 << 63,
        Some(Datum::Int(value)) => *value == i64::MIN,
        _ => false,
    };
    if exceeds {
        let digits = decimal_type_of(&i.args[0]);
        i.cast(0, EvalType::Decimal);
        return Ok(keep_not_null(i, digits));
    }
    i.cast(0, eval_type);
    Ok(match eval_type {
        EvalType::Int => int_result(i, false),
        EvalType::Decimal => {
            let own = decimal_type_of(&i.args[0]);
            keep_not_null(i, own)
        }
        _ => real_result(i),
    })
}

fn out_of_range(call: &CallContext<'_>) -> ExprError {
    let ft = call.field_type();
    let type_name = match ft.eval_type() {
        EvalType::Int if ft.is_unsigned() => "BIGINT UNSIGNED",
        EvalType::Int => "BIGINT",
        EvalType::Decimal => "DECIMAL",
        _ => "DOUBLE",
    };
    ExprError::OutOfRange { type_name, expression: sql_text(&Expr::Function(Box::new(call.call.clone()))) }
}

/// A checked integer operation of one signedness: one wrapping pass that also says whether anything overflowed.
fn checked<T: Copy, R: arrow::datatypes::ArrowPrimitiveType>(
    call: &CallContext<'_>,
    a: Operand<'_, T>,
    b: Operand<'_, T>,
    op: impl Fn(T, T) -> (R::Native, bool),
) -> Result<Value, ExprError>
where
    R::Native: Default,
{
    let rows = call.rows;
    let (values, nulls, overflowed) = match (a, b) {
        (Operand::Column(av, an), Operand::Column(bv, bn)) => {
            let (values, overflowed) = collect(av[..rows].iter().zip(&bv[..rows]).map(|(a, b)| op(*a, *b)));
            (values, NullBuffer::union(an, bn), overflowed)
        }
        (Operand::Column(av, an), Operand::Constant(Some(b))) => {
            let (values, overflowed) = collect(av[..rows].iter().map(|a| op(*a, b)));
            (values, an.cloned(), overflowed)
        }
        (Operand::Constant(Some(a)), Operand::Column(bv, bn)) => {
            let (values, overflowed) = collect(bv[..rows].iter().map(|b| op(a, *b)));
            (values, bn.cloned(), overflowed)
        }
        (Operand::Constant(Some(a)), Operand::Constant(Some(b))) => {
            let (values, overflowed) = collect(std::iter::repeat_n(op(a, b), rows));
            (values, None, overflowed)
        }
        _ => return Ok(Value::NULL),
    };
    // What stands under a NULL may overflow without harm.
    if overflowed {
        let real = |row| match (a.get(row), b.get(row)) {
            (Some(a), Some(b)) => op(a, b).1,
            _ => false,
        };
        if (0..rows).any(real) {
            return Err(out_of_range(call));
        }
    }
    Ok(Value::Array(std::sync::Arc::new(arrow::array::PrimitiveArray::<R>::new(values.into(), nulls))))
}

fn collect<N: Copy>(items: impl Iterator<Item = (N, bool)>) -> (Vec<N>, bool) {
    let mut overflowed = false;
    let values = items
        .map(|(value, over)| {
            overflowed |= over;
            value
        })
        .collect();
    (values, overflowed)
}

/// Operands of mixed signedness, exactly.
fn mixed(
    call: &CallContext<'_>,
    args: &[Value],
    op: impl Fn(i128, i128) -> Option<i128>,
) -> Result<Value, ExprError> {
    let wide = |index: usize, row: usize| -> Option<i128> {
        if is_unsigned(call.call.args[index].field_type_ref()) {
            args[index].uints().get(row).map(i128::from)
        } else {
            args[index].ints().get(row).map(i128::from)
        }
    };
    let result = |row: usize| -> Result<Option<i128>, ExprError> {
        let (Some(a), Some(b)) = (wide(0, row), wide(1, row)) else { return Ok(None) };
        match op(a, b) {
            Some(v) => Ok(Some(v)),
            None => {
                call.eval.division_by_zero()?;
                Ok(None)
            }
        }
    };
    if call.field_type().is_unsigned() {
        let mut builder = UInt64Array::builder(call.rows);
        for row in 0..call.rows {
            match result(row)? {
                Some(v) => builder.append_value(u64::try_from(v).map_err(|_| out_of_range(call))?),
                None => builder.append_null(),
            }
        }
        Ok(kernels::uints(builder.finish()))
    } else {
        let mut builder = Int64Array::builder(call.rows);
        for row in 0..call.rows {
            match result(row)? {
                Some(v) => builder.append_value(i64::try_from(v).map_err(|_| out_of_range(call))?),
                None => builder.append_null(),
            }
        }
        Ok(kernels::ints(builder.finish()))
    }
}

/// Whether both operands and the result are signed (`Some(false)`), unsigned (`Some(true)`), or mixed.
fn signedness(call: &CallContext<'_>) -> Option<bool> {
    let result = is_unsigned(call.field_type());
    let same = call.call.args.iter().all(|arg| is_unsigned(arg.field_type_ref()) == result);
    same.then_some(result)
}

fn plus(call: &CallContext<'_>, args: &[Value]) -> Result<Value, ExprError> {
    match call.field_type().eval_type() {
        EvalType::Int => match signedness(call) {
            Some(false) => {
                checked::<i64, Int64Type>(call, args[0].ints(), args[1].ints(), i64::overflowing_add)
            }
            Some(true) => {
                checked::<u64, UInt64Type>(call, args[0].uints(), args[1].uints(), u64::overflowing_add)
            }
            None => mixed(call, args, |a, b| Some(a + b)),
        },
        EvalType::Decimal => additive(call, args, |a, b| a.checked_add(b), Decimal::checked_add),
        _ => real(call, args, |a, b| a + b),
    }
}

fn minus(call: &CallContext<'_>, args: &[Value]) -> Result<Value, ExprError> {
    match call.field_type().eval_type() {
        EvalType::Int => match signedness(call) {
            Some(false) => {
                checked::<i64, Int64Type>(call, args[0].ints(), args[1].ints(), i64::overflowing_sub)
            }
            Some(true) => {
                checked::<u64, UInt64Type>(call, args[0].uints(), args[1].uints(), u64::overflowing_sub)
            }
            None => mixed(call, args, |a, b| Some(a - b)),
        },
        EvalType::Decimal => additive(call, args, |a, b| a.checked_sub(b), Decimal::checked_sub),
        _ => real(call, args, |a, b| a - b),
    }
}

fn mul(call: &CallContext<'_>, args: &[Value]) -> Result<Value, ExprError> {
    match call.field_type().eval_type() {
        EvalType::Int => match signedness(call) {
            Some(false) => {
                checked::<i64, Int64Type>(call, args[0].ints(), args[1].ints(), i64::overflowing_mul)
            }
            Some(true) => {
                checked::<u64, UInt64Type>(call, args[0].uints(), args[1].uints(), u64::overflowing_mul)
            }
            None => mixed(call, args, |a, b| Some(a * b)),
        },
        EvalType::Decimal => {
            let scale = call.field_type().decimals as u8;
            let exact = |a: u8, b: u8| if a + b == scale { Some((1, 1)) } else { None };
            decimal2(call, args, exact, |a, b| a.checked_mul(b), Decimal::checked_mul)
        }
        _ => real(call, args, |a, b| a * b),
    }
}

fn additive(
    call: &CallContext<'_>,
    args: &[Value],
    narrow: impl Fn(i128, i128) -> Option<i128>,
    general: impl Fn(Decimal, Decimal) -> Result<Decimal, DecimalError>,
) -> Result<Value, ExprError> {
    let scale = call.field_type().decimals as u8;
    let factors = |a: u8, b: u8| {
        Some((
            10i128.checked_pow(u32::from(scale.checked_sub(a)?))?,
            10i128.checked_pow(u32::from(scale.checked_sub(b)?))?,
        ))
    };
    decimal2(call, args, factors, narrow, general)
}

/// A result in the call's scale. One that has not room for all its digits in 65 fails: MySQL would drop digits of the
/// fraction, which a column of one scale cannot.
fn exactly(call: &CallContext<'_>, result: Result<Decimal, DecimalError>) -> Result<Decimal, ExprError> {
    let scale = call.field_type().decimals.clamp(0, 30) as u8;
    result.and_then(|v| v.rescale(tidewater_types::MAX_PRECISION, scale)).map_err(|_| out_of_range(call))
}

/// A scaled view of a decimal argument of at most 38 digits.
enum Scaled<'a> {
    Column(&'a [i128], Option<&'a NullBuffer>),
    Constant(i128),
}

impl Scaled<'_> {
    fn of<'a>(value: &Decimals<'a>) -> Option<(Scaled<'a>, u8)> {
        match *value {
            Decimals::Narrow(array) => {
                Some((Scaled::Column(array.values(), array.nulls()), array.scale() as u8))
            }
            Decimals::Constant(Some(d)) => {
                Some((Scaled::Constant(d.to_i128().filter(|v| fits_decimal128(*v))?), d.scale()))
            }
            Decimals::Wide(_) | Decimals::Constant(None) => None,
        }
    }
}

/// Decimal arithmetic: a 128-bit loop with checks, and value by value where a row does not fit.
///
/// `factors` tells what the scaled operands are to be multiplied with, given their scales, so that `narrow` gives the
/// result in the call's scale; `None`: take the general way.
fn decimal2(
    call: &CallContext<'_>,
    args: &[Value],
    factors: impl Fn(u8, u8) -> Option<(i128, i128)>,
    narrow: impl Fn(i128, i128) -> Option<i128>,
    general: impl Fn(Decimal, Decimal) -> Result<Decimal, DecimalError>,
) -> Result<Value, ExprError> {
    let (a, b) = (args[0].decimals(), args[1].decimals());
    if args.iter().any(Value::is_null_constant) {
        return Ok(Value::NULL);
    }
    if let (Some((sa, scale_a)), Some((sb, scale_b))) = (Scaled::of(&a), Scaled::of(&b))
        && let Some((fa, fb)) = factors(scale_a, scale_b)
        && let Some(value) = narrow_loop(call, sa, sb, fa, fb, &narrow)
    {
        return Ok(value);
    }
    let mut values = DecimalVec::new(call.field_type().decimals as u8, call.rows);
    let mut nulls = NullBufferBuilder::new(call.rows);
    for row in 0..call.rows {
        match (a.get(row), b.get(row)) {
            (Some(a), Some(b)) => {
                values.push(exactly(call, general(a, b))?);
                nulls.append_non_null();
            }
            _ => {
                values.push_i128(0);
                nulls.append_null();
            }
        }
    }
    Ok(Value::Array(values.finish(nulls.finish())))
}

/// `None` when a row overflows (be it under a NULL): the general way then decides.
fn narrow_loop(
    call: &CallContext<'_>,
    a: Scaled<'_>,
    b: Scaled<'_>,
    fa: i128,
    fb: i128,
    op: &impl Fn(i128, i128) -> Option<i128>,
) -> Option<Value> {
    let rows = call.rows;
    let mut values = Vec::with_capacity(rows);
    let mut fits = true;
    let mut one = |a: i128, b: i128| {
        let a = if fa == 1 { Some(a) } else { a.checked_mul(fa) };
        let b = if fb == 1 { Some(b) } else { b.checked_mul(fb) };
        let result = a.zip(b).and_then(|(a, b)| op(a, b)).filter(|v| fits_decimal128(*v));
        fits &= result.is_some();
        values.push(result.unwrap_or(0));
    };
    let nulls = match (&a, &b) {
        (Scaled::Column(av, an), Scaled::Column(bv, bn)) => {
            av[..rows].iter().zip(&bv[..rows]).for_each(|(a, b)| one(*a, *b));
            NullBuffer::union(*an, *bn)
        }
        (Scaled::Column(av, an), Scaled::Constant(b)) => {
            av[..rows].iter().for_each(|a| one(*a, *b));
            an.cloned()
        }
        (Scaled::Constant(a), Scaled::Column(bv, bn)) => {
            bv[..rows].iter().for_each(|b| one(*a, *b));
            bn.cloned()
        }
        (Scaled::Constant(a), Scaled::Constant(b)) => {
            (0..rows).for_each(|_| one(*a, *b));
            None
        }
    };
    if !fits {
        return None;
    }
    let array = arrow::array::Decimal128Array::new(values.into(), nulls);
    let array = array.with_precision_and_scale(38, call.field_type().decimals as i8).ok()?;
    Some(Value::Array(std::sync::Arc::new(array)))
}

fn real(call: &CallContext<'_>, args: &[Value], op: impl Fn(f64, f64) -> f64) -> Result<Value, ExprError> {
    let result = kernels::map2::<f64, f64, Float64Type>(args[0].doubles(), args[1].doubles(), call.rows, op);
    finite(call, result)
}

fn finite(call: &CallContext<'_>, result: Float64Array) -> Result<Value, ExprError> {
    if result.values().iter().all(|v| v.is_finite()) || result.iter().flatten().all(f64::is_finite) {
        return Ok(kernels::doubles(result));
    }
    Err(out_of_range(call))
}

fn div(call: &CallContext<'_>, args: &[Value]) -> Result<Value, ExprError> {
    if call.field_type().eval_type() == EvalType::Real {
        let (a, b) = (args[0].doubles(), args[1].doubles());
        let result = kernels::try_map2::<f64, f64, Float64Type>(a, b, call.rows, |a, b| {
            if b == 0.0 {
                call.eval.division_by_zero()?;
                return Ok(None);
            }
            let quotient = a / b;
            if quotient.is_finite() { Ok(Some(quotient)) } else { Err(out_of_range(call)) }
        })?;
        return Ok(kernels::doubles(result));
    }
    let (a, b) = (args[0].decimals(), args[1].decimals());
    let scale = call.field_type().decimals as u8;
    if let Decimals::Constant(Some(divisor)) = b
        && let Some(value) = divide_by_constant(call, &a, divisor, scale)
    {
        return Ok(value);
    }
    decimal_division(call, a, b, |a, b| divide(a, b, scale))
}

/// The quotient in exactly `scale` digits.
fn divide(a: Decimal, b: Decimal, scale: u8) -> Result<Decimal, DecimalError> {
    let shift = i32::from(scale) - i32::from(a.scale()) + i32::from(b.scale());
    if let (Some(x), Some(y), Ok(shift)) = (a.to_i128(), b.to_i128(), u32::try_from(shift)) {
        let scaled = 10i128.checked_pow(shift).and_then(|factor| x.checked_mul(factor));
        if let (Some(x), false) = (scaled, y == 0) {
            return Ok(Decimal::from_i128(divide_rounded(x, y), scale));
        }
    }
    a.checked_div_to(b, scale)
}

/// Rounded half away from zero.
fn divide_rounded(a: i128, b: i128) -> i128 {
    let (quotient, rest) = (a / b, a % b);
    if rest.unsigned_abs() >= b.unsigned_abs() - rest.unsigned_abs() {
        quotient + if (a < 0) == (b < 0) { 1 } else { -1 }
    } else {
        quotient
    }
}

/// `column / 12`: one multiplication and one division per row.
fn divide_by_constant(
    call: &CallContext<'_>,
    a: &Decimals<'_>,
    divisor: Decimal,
    scale: u8,
) -> Option<Value> {
    let Decimals::Narrow(column) = a else { return None };
    let shift = i32::from(scale) - i32::from(column.scale()) + i32::from(divisor.scale());
    let factor = 10i128.checked_pow(u32::try_from(shift).ok()?)?;
    let divisor = divisor.to_i128().filter(|d| *d != 0)?;
    let mut values = DecimalVec::new(scale, call.rows);
    for value in column.values() {
        values.push_i128(divide_rounded(value.checked_mul(factor)?, divisor));
    }
    Some(Value::Array(values.finish(column.nulls().cloned())))
}

/// Value by value; a zero divisor gives NULL.
fn decimal_division(
    call: &CallContext<'_>,
    a: Decimals<'_>,
    b: Decimals<'_>,
    op: impl Fn(Decimal, Decimal) -> Result<Decimal, DecimalError>,
) -> Result<Value, ExprError> {
    let mut values = DecimalVec::new(call.field_type().decimals as u8, call.rows);
    let mut nulls = NullBufferBuilder::new(call.rows);
    for row in 0..call.rows {
        let result = match (a.get(row), b.get(row)) {
            (Some(_), Some(b)) if b.is_zero() => {
                call.eval.division_by_zero()?;
                None
            }
            (Some(a), Some(b)) => Some(exactly(call, op(a, b))?),
            _ => None,
        };
        nulls.append(result.is_some());
        values.push(result.unwrap_or_default());
    }
    Ok(Value::Array(values.finish(nulls.finish())))
}

fn intdiv(call: &CallContext<'_>, args: &[Value]) -> Result<Value, ExprError> {
    if call.call.args.iter().all(|arg| arg.field_type_ref().eval_type() == EvalType::Int) {
        return mixed(call, args, |a, b| a.checked_div(b));
    }
    let (a, b) = (args[0].decimals(), args[1].decimals());
    let quotient = |row: usize| -> Result<Option<Decimal>, ExprError> {
        let (Some(a), Some(b)) = (a.get(row), b.get(row)) else { return Ok(None) };
        if b.is_zero() {
            call.eval.division_by_zero()?;
            return Ok(None);
        }
        a.checked_int_div(b).map(Some).map_err(|_| out_of_range(call))
    };
    if call.field_type().is_unsigned() {
        let mut builder = UInt64Array::builder(call.rows);
        for row in 0..call.rows {
            builder.append_option(match quotient(row)? {
                Some(q) => Some(q.to_u64().ok_or_else(|| out_of_range(call))?),
                None => None,
            });
        }
        return Ok(kernels::uints(builder.finish()));
    }
    let mut builder = Int64Array::builder(call.rows);
    for row in 0..call.rows {
        builder.append_option(match quotient(row)? {
            Some(q) => Some(q.to_i64().ok_or_else(|| out_of_range(call))?),
            None => None,
        });
    }
    Ok(kernels::ints(builder.finish()))
}

fn modulo(call: &CallContext<'_>, args: &[Value]) -> Result<Value, ExprError> {
    match call.field_type().eval_type() {
        EvalType::Int => mixed(call, args, |a, b| a.checked_rem(b)),
        EvalType::Decimal => {
            decimal_division(call, args[0].decimals(), args[1].decimals(), Decimal::checked_rem)
        }
        _ => {
            let (a, b) = (args[0].doubles(), args[1].doubles());
            let result = kernels::try_map2::<f64, f64, Float64Type>(a, b, call.rows, |a, b| {
                if b == 0.0 {
                    call.eval.division_by_zero()?;
                    return Ok(None);
                }
                Ok(Some(a % b))
            })?;
            Ok(kernels::doubles(result))
        }
    }
}

fn negate(call: &CallContext<'_>, args: &[Value]) -> Result<Value, ExprError> {
    match call.field_type().eval_type() {
        EvalType::Int if is_unsigned(call.call.args[0].field_type_ref()) => {
            let result = kernels::try_map2::<u64, u64, Int64Type>(
                args[0].uints(),
                Operand::Constant(Some(0)),
                call.rows,
                |v, _| match v {
                    0..=0x8000_0000_0000_0000 => Ok(Some((v as i64).wrapping_neg())),
                    _ => Err(out_of_range(call)),
                },
            )?;
            Ok(kernels::ints(result))
        }
        EvalType::Int => {
            checked::<i64, Int64Type>(call, Operand::Constant(Some(0)), args[0].ints(), i64::overflowing_sub)
        }
        EvalType::Decimal => {
            let mut values = DecimalVec::new(call.field_type().decimals as u8, call.rows);
            let mut nulls = NullBufferBuilder::new(call.rows);
            let operand = args[0].decimals();
            for row in 0..call.rows {
                let value = operand.get(row);
                nulls.append(value.is_some());
                values.push(value.unwrap_or_default().negate());
            }
            Ok(Value::Array(values.finish(nulls.finish())))
        }
        _ => real(call, &[Value::Constant(Datum::Double(0.0)), args[0].clone()], |_, b| -b),
    }
}
