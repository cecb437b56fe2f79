//! Functions of numbers.

use tidewater_types::{Datum, Decimal, EvalType, FieldType, MAX_SCALE, TypeCode, TypeFlags};

use super::string::{bytes, double_text, int};
use crate::error::ExprError;
use crate::registry::{CallContext, FunctionDef, FunctionTraits, Inference, Kernel};

pub(crate) const FUNCTIONS: &[FunctionDef] = &[
    FunctionDef::new("abs", 1, 1, infer_number, Kernel::Strict(abs)),
    FunctionDef::new("sign", 1, 1, infer_sign, Kernel::Strict(sign)),
    FunctionDef::new("ceil", 1, 1, infer_whole, Kernel::Strict(ceil)),
    FunctionDef::new("floor", 1, 1, infer_whole, Kernel::Strict(floor)),
    FunctionDef::new("round", 1, 2, infer_round, Kernel::Strict(round)),
    FunctionDef::new("truncate", 2, 2, infer_round, Kernel::Strict(truncate)),
    FunctionDef::new("power", 2, 2, infer_real, Kernel::Strict(power)),
    FunctionDef::new("sqrt", 1, 1, infer_real, Kernel::Strict(sqrt)),
    FunctionDef::new("exp", 1, 1, infer_real, Kernel::Strict(exp)),
    FunctionDef::new("ln", 1, 1, infer_real, Kernel::Strict(ln)),
    FunctionDef::new("log", 1, 2, infer_real, Kernel::Strict(log)),
    FunctionDef::new("log2", 1, 1, infer_real, Kernel::Strict(log2)),
    FunctionDef::new("log10", 1, 1, infer_real, Kernel::Strict(log10)),
    FunctionDef::new("sin", 1, 1, infer_real, Kernel::Strict(sin)),
    FunctionDef::new("cos", 1, 1, infer_real, Kernel::Strict(cos)),
    FunctionDef::new("tan", 1, 1, infer_real, Kernel::Strict(tan)),
    FunctionDef::new("cot", 1, 1, infer_real, Kernel::Strict(cot)),
    FunctionDef::new("asin", 1, 1, infer_real, Kernel::Strict(asin)),
    FunctionDef::new("acos", 1, 1, infer_real, Kernel::Strict(acos)),
    FunctionDef::new("atan", 1, 2, infer_real, Kernel::Strict(atan)),
    FunctionDef::new("atan2", 2, 2, infer_real, Kernel::Strict(atan)),
    FunctionDef::new("degrees", 1, 1, infer_real, Kernel::Strict(degrees)),
    FunctionDef::new("radians", 1, 1, infer_real, Kernel::Strict(radians)),
    FunctionDef::new("pi", 0, 0, infer_pi, Kernel::Strict(pi)),
    FunctionDef::new("rand", 0, 1, infer_real, Kernel::Row(rand)).with(FunctionTraits::VOLATILE),
    FunctionDef::new("conv", 3, 3, infer_conv, Kernel::Strict(conv)),
    FunctionDef::new("bin", 1, 1, infer_digits, Kernel::Strict(bin)),
    FunctionDef::new("oct", 1, 1, infer_digits, Kernel::Strict(oct)),
    FunctionDef::new("format", 2, 3, infer_format, Kernel::Row(format)),
];

// ---- typing

/// Integers and decimals keep their kind, everything else is a double.
fn infer_number(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.hex_as_numbers();
    match i.arg(0).eval_type() {
        EvalType::Int | EvalType::Decimal => {
            let mut field_type = i.arg(0).clone();
            if field_type.eval_type() == EvalType::Int {
                field_type = if field_type.is_unsigned() { FieldType::uint() } else { FieldType::int() };
            }
            field_type.flags.remove(TypeFlags::NOT_NULL);
            Ok(field_type)
        }
        _ => {
            i.cast(0, EvalType::Real);
            Ok(FieldType::double())
        }
    }
}

fn infer_sign(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    infer_number(i)?;
    Ok(FieldType::int())
}

/// A decimal whose integer part fits BIGINT becomes one.
fn infer_whole(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    let field_type = infer_number(i)?;
    if field_type.eval_type() != EvalType::Decimal {
        return Ok(field_type);
    }
    let digits = field_type.length - field_type.decimals.max(0);
    i.widen_quotients();
    Ok(if (0..18).contains(&digits) {
        FieldType::int()
    } else {
        FieldType::decimal(precision(digits + 1), 0)
    })
}

/// The scale of the result is the second argument where that is constant, else the first one's own.
fn infer_round(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    let field_type = infer_number(i)?;
    i.cast(1, EvalType::Int);
    if field_type.eval_type() != EvalType::Decimal {
        return Ok(field_type);
    }
    let own = field_type.decimals.max(0);
    i.widen_quotients();
    let wanted = if i.args.len() == 1 { Some(0) } else { i.constant(1).map(|places| int(&places)) };
    let scale = wanted.map_or(own, |wanted| wanted.clamp(0, i64::from(MAX_SCALE)) as i32);
    // Rounding may carry into one more digit.
    let digits = field_type.length - own + 1;
    Ok(FieldType::decimal(precision(digits + scale), scale as u8))
}

fn precision(digits: i32) -> u8 {
    digits.clamp(1, 65) as u8
}

fn infer_real(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    let wanted = if i.name == "rand" { EvalType::Int } else { EvalType::Real };
    i.cast_all(wanted);
    Ok(FieldType::double())
}

fn infer_pi(_: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    Ok(FieldType { length: 8, decimals: 6, ..FieldType::double().not_null() })
}

fn infer_conv(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.cast_each(&[EvalType::String, EvalType::Int, EvalType::Int]);
    Ok(i.text(64))
}

/// BIN and OCT are CONV from base 10: they read the text of a number, up to its point. Only BIT values and hexadecimal
/// literals, whose text is no number, are taken as numbers.
fn infer_digits(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.hex_as_numbers();
    let arg = i.arg(0);
    let is_number = arg.eval_type() == EvalType::Int || arg.code == TypeCode::Bit;
    i.cast(0, if is_number { EvalType::Int } else { EvalType::String });
    Ok(i.text(64))
}

fn infer_format(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    if i.arg(0).eval_type() != EvalType::Real {
        i.cast(0, EvalType::Decimal);
    }
    i.cast(1, EvalType::Int);
    i.cast(2, EvalType::String);
    Ok(i.text(100))
}

// ---- kernels

fn out_of_range(call: &CallContext<'_>, type_name: &'static str) -> ExprError {
    let arguments: Vec<String> = call.call.args.iter().map(ToString::to_string).collect();
    ExprError::OutOfRange {
        type_name,
        expression: format!("{}({})", call.call.function.name, arguments.join(",")),
    }
}

fn abs(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    Ok(match &args[0] {
        Datum::Int(value) => Datum::Int(value.checked_abs().ok_or_else(|| out_of_range(call, "BIGINT"))?),
        Datum::Decimal(value) => Datum::Decimal(value.abs()),
        Datum::Double(value) => Datum::Double(value.abs()),
        other => other.clone(),
    })
}

fn sign(_: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let sign = |positive: bool, negative: bool| i64::from(positive) - i64::from(negative);
    Ok(Datum::Int(match &args[0] {
        Datum::Int(value) => value.signum(),
        Datum::UInt(value) => i64::from(*value > 0),
        Datum::Decimal(value) => sign(!value.is_negative() && !value.is_zero(), value.is_negative()),
        Datum::Double(value) => sign(*value > 0.0, *value < 0.0),
        _ => 0,
    }))
}

fn ceil(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    whole(call, &args[0], f64::ceil, |value| value.ceil().ok())
}

fn floor(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    whole(call, &args[0], f64::floor, |value| value.floor().ok())
}

fn whole(
    call: &CallContext<'_>,
    value: &Datum,
    of_double: impl Fn(f64) -> f64,
    of_decimal: impl Fn(Decimal) -> Option<Decimal>,
) -> Result<Datum, ExprError> {
    Ok(match value {
        Datum::Double(value) => Datum::Double(of_double(*value)),
        Datum::Decimal(value) => {
            let value = of_decimal(*value).ok_or_else(|| out_of_range(call, "DECIMAL"))?;
            if call.field_type().eval_type() == EvalType::Int {
                Datum::Int(value.to_i64().ok_or_else(|| out_of_range(call, "BIGINT"))?)
            } else {
                Datum::Decimal(value)
            }
        }
        other => other.clone(),
    })
}

fn round(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let places = places(args);
    Ok(match &args[0] {
        Datum::Double(value) => Datum::Double(round_double(*value, places, f64::round_ties_even)),
        Datum::Decimal(value) => {
            let scale = scale_of(call, places);
            let value = value.round(scale).and_then(|value| rescaled(value, call));
            Datum::Decimal(value.map_err(|_| out_of_range(call, "DECIMAL"))?)
        }
        other => cut_integer(call, other, places, Cut::Round)?,
    })
}

fn truncate(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let places = places(args);
    Ok(match &args[0] {
        Datum::Double(value) => Datum::Double(round_double(*value, places, f64::trunc)),
        Datum::Decimal(value) => {
            let value = rescaled(value.truncate(scale_of(call, places)), call);
            Datum::Decimal(value.map_err(|_| out_of_range(call, "DECIMAL"))?)
        }
        other => cut_integer(call, other, places, Cut::Truncate)?,
    })
}

fn places(args: &[Datum]) -> i32 {
    args.get(1).map_or(0, |places| int(places).clamp(-400, 400) as i32)
}

/// Never more digits than the result's type has.
fn scale_of(call: &CallContext<'_>, places: i32) -> i32 {
    places.min(call.field_type().decimals.max(0))
}

/// A value with the scale of the result's type: all values of a column have one scale.
fn rescaled(value: Decimal, call: &CallContext<'_>) -> Result<Decimal, tidewater_types::DecimalError> {
    value.rescale(65, call.field_type().decimals.max(0) as u8)
}

fn round_double(value: f64, places: i32, whole: impl Fn(f64) -> f64) -> f64 {
    let power = 10f64.powi(places.abs());
    if places >= 0 && !(value * power).is_finite() {
        value
    } else if places >= 0 {
        whole(value * power) / power
    } else if power.is_infinite() {
        0.0
    } else {
        whole(value / power) * power
    }
}

/// What happens to the digits that are cut off.
#[derive(Clone, Copy, PartialEq)]
enum Cut {
    Round,
    Truncate,
}

fn cut_integer(call: &CallContext<'_>, value: &Datum, places: i32, cut: Cut) -> Result<Datum, ExprError> {
    if places >= 0 {
        return Ok(value.clone());
    }
    let number = match value {
        Datum::Int(value) => i128::from(*value),
        Datum::UInt(value) => i128::from(*value),
        other => return Ok(other.clone()),
    };
    let power = 10i128.checked_pow(places.unsigned_abs()).unwrap_or(i128::MAX);
    let rest = number % power;
    let mut result = number - rest;
    if cut == Cut::Round && rest.abs() >= power - rest.abs() {
        result += power * rest.signum();
    }
    match value {
        Datum::UInt(_) => {
            u64::try_from(result).map(Datum::UInt).map_err(|_| out_of_range(call, "BIGINT UNSIGNED"))
        }
        _ => i64::try_from(result).map(Datum::Int).map_err(|_| out_of_range(call, "BIGINT")),
    }
}

fn real(datum: &Datum) -> f64 {
    match datum {
        Datum::Double(value) => *value,
        _ => 0.0,
    }
}

/// A result that is no number is NULL (a domain error) or out of range.
fn finite(call: &CallContext<'_>, value: f64) -> Result<Datum, ExprError> {
    if value.is_nan() {
        Ok(Datum::Null)
    } else if value.is_infinite() {
        Err(out_of_range(call, "DOUBLE"))
    } else {
        Ok(Datum::Double(value))
    }
}

/// No number at all (the root of a negative one) is out of range, too.
fn power(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let power = real(&args[0]).powf(real(&args[1]));
    if power.is_finite() { Ok(Datum::Double(power)) } else { Err(out_of_range(call, "DOUBLE")) }
}

fn sqrt(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    finite(call, real(&args[0]).sqrt())
}

fn exp(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    finite(call, real(&args[0]).exp())
}

/// Logarithms of what is not positive are NULL, with MySQL's warning 3020.
fn logarithm(call: &CallContext<'_>, value: f64, logarithm: impl Fn(f64) -> f64) -> Result<Datum, ExprError> {
    if value <= 0.0 {
        call.eval.warn(3020, "Invalid argument for logarithm".to_owned());
        return Ok(Datum::Null);
    }
    finite(call, logarithm(value))
}

fn ln(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    logarithm(call, real(&args[0]), f64::ln)
}

fn log(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let Some(value) = args.get(1) else { return ln(call, args) };
    let base = real(&args[0]);
    if base <= 0.0 || base == 1.0 {
        return logarithm(call, 0.0, f64::ln);
    }
    logarithm(call, real(value), |value| value.ln() / base.ln())
}

fn log2(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    logarithm(call, real(&args[0]), f64::log2)
}

fn log10(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    logarithm(call, real(&args[0]), f64::log10)
}

fn sin(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    finite(call, real(&args[0]).sin())
}

fn cos(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    finite(call, real(&args[0]).cos())
}

fn tan(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    finite(call, real(&args[0]).tan())
}

fn cot(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    finite(call, real(&args[0]).tan().recip())
}

fn asin(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    finite(call, real(&args[0]).asin())
}

fn acos(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    finite(call, real(&args[0]).acos())
}

fn atan(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let y = real(&args[0]);
    finite(call, args.get(1).map_or_else(|| y.atan(), |x| y.atan2(real(x))))
}

fn degrees(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    finite(call, real(&args[0]).to_degrees())
}

fn radians(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    finite(call, real(&args[0]).to_radians())
}

fn pi(_: &CallContext<'_>, _: &[Datum]) -> Result<Datum, ExprError> {
    Ok(Datum::Double(std::f64::consts::PI))
}

/// With a seed, the first number of MySQL's generator for that seed.
fn rand(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    const MODULUS: u64 = 0x3fff_ffff;
    let Some(seed) = args.first() else { return Ok(Datum::Double(call.eval.random.next_f64())) };
    let seed = int(seed) as u32;
    let first = u64::from(seed.wrapping_mul(0x10001).wrapping_add(55_555_555)) % MODULUS;
    let second = u64::from(seed.wrapping_mul(0x1000_0001)) % MODULUS;
    let next = (first * 3 + second) % MODULUS;
    Ok(Datum::Double(next as f64 / MODULUS as f64))
}

/// Bases 2 to 36; a negative base means signed numbers.
fn conv(_: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let (from, to) = (int(&args[1]), int(&args[2]));
    let valid = |base: i64| (2..=36).contains(&base.unsigned_abs());
    if !valid(from) || !valid(to) {
        return Ok(Datum::Null);
    }
    let Some(value) = number_in_base(bytes(&args[0]), from.unsigned_abs()) else { return Ok(Datum::Null) };
    Ok(Datum::Bytes(if to < 0 {
        let signed = value as i64;
        let sign = if signed < 0 { "-" } else { "" };
        format!("{sign}{}", in_base(signed.unsigned_abs(), to.unsigned_abs())).into_bytes()
    } else {
        in_base(value, to.unsigned_abs()).into_bytes()
    }))
}

/// The number a text begins with, negative ones as their two's complement; `None` of no text at all.
fn number_in_base(text: &[u8], base: u64) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    let (negative, digits) = match text.trim_ascii() {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let mut value: u64 = 0;
    for &byte in digits {
        let Some(digit) = char::from(byte).to_digit(base as u32) else { break };
        value =
            value.checked_mul(base).and_then(|value| value.checked_add(u64::from(digit))).unwrap_or(u64::MAX);
    }
    Some(if negative { value.wrapping_neg() } else { value })
}

fn in_base(mut value: u64, base: u64) -> String {
    let mut digits = Vec::new();
    loop {
        let digit = char::from_digit((value % base) as u32, base as u32).unwrap_or('0');
        digits.push(digit.to_ascii_uppercase());
        value /= base;
        if value == 0 {
            return digits.iter().rev().collect();
        }
    }
}

fn bin(_: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    Ok(in_other_base(&args[0], 2))
}

fn oct(_: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    Ok(in_other_base(&args[0], 8))
}

fn in_other_base(number: &Datum, base: u64) -> Datum {
    let value = match number {
        Datum::UInt(value) => Some(*value),
        Datum::Bytes(text) => number_in_base(text, 10),
        other => Some(int(other) as u64),
    };
    value.map_or(Datum::Null, |value| Datum::Bytes(in_base(value, base).into_bytes()))
}

/// A number with commas between thousands. Only the locale `en_US` is known; others warn as MySQL does and fall back.
fn format(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let places = match &args[1] {
        Datum::Null => return Ok(Datum::Null),
        places => int(places).clamp(0, i64::from(MAX_SCALE)) as i32,
    };
    if let Some(Datum::Bytes(locale)) = args.get(2)
        && !locale.eq_ignore_ascii_case(b"en_US")
    {
        call.eval.warn(1649, format!("Unknown locale: '{}'", String::from_utf8_lossy(locale)));
    }
    let text = match &args[0] {
        Datum::Null => return Ok(Datum::Null),
        Datum::Decimal(value) => {
            let rounded = value.round(places).and_then(|value| value.rescale(65, places as u8));
            rounded.map_err(|_| out_of_range(call, "DECIMAL"))?.to_string()
        }
        Datum::Double(value) => format!("{:.*}", places as usize, round_double(*value, places, f64::round)),
        other => String::from_utf8_lossy(&double_text(real(other))).into_owned(),
    };
    Ok(Datum::Bytes(with_commas(&text).into_bytes()))
}

fn with_commas(text: &str) -> String {
    let (sign, text) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
    let (whole, fraction) =
        text.split_once('.').map_or((text, None), |(whole, fraction)| (whole, Some(fraction)));
    let mut out = String::from(sign);
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    if let Some(fraction) = fraction {
        out.push('.');
        out.push_str(fraction);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        assert_eq!(with_commas("-1234567.50"), "-1,234,567.50");
        assert_eq!(with_commas("123"), "123");
    }

    #[test]
    fn bases_are_written_in_capitals() {
        assert_eq!(in_base(255, 16), "FF");
        assert_eq!(in_base(0, 2), "0");
    }
}
