//! To integers, floating-point numbers, decimals and years.

use super::{ConvertError, Source, Stored, ValueKind};
use crate::{Datum, Decimal, DecimalError, FieldType, JsonType, TypeCode, number};

/// A number on its way into a column.
enum Number {
    Int(i64),
    UInt(u64),
    Real(f64),
    Decimal(Decimal),
    /// Text is read as the column's type needs it.
    Text(Vec<u8>),
}

/// The value as a number; a time is 20200102030405, a JSON scalar what it holds, the member of an ENUM its index.
fn number_of(source: &Source<'_>) -> Number {
    match source.value {
        Datum::Null => Number::Int(0),
        Datum::Int(value) => Number::Int(*value),
        Datum::UInt(value) => Number::UInt(*value),
        Datum::Float(value) => Number::Real(f64::from(*value)),
        Datum::Double(value) => Number::Real(*value),
        Datum::Decimal(value) => Number::Decimal(*value),
        Datum::Bytes(bytes) => Number::Text(bytes.clone()),
        Datum::Time(time) if source.is_date() => Number::Int(time.date_to_number()),
        Datum::Time(time) if time.micro() == 0 => Number::Int(time.to_number()),
        Datum::Time(time) => Number::Decimal(with_micros(time.to_number(), time.micro())),
        Datum::Duration(time) if time.micro() == 0 => Number::Int(time.to_number()),
        Datum::Duration(time) => {
            let magnitude = with_micros(time.to_number().abs(), time.micro());
            Number::Decimal(if time.is_negative() { magnitude.negate() } else { magnitude })
        }
        Datum::Json(json) => {
            let json = json.as_ref();
            match json.json_type() {
                JsonType::Integer => Number::Int(json.as_i64().unwrap_or(0)),
                JsonType::UnsignedInteger => Number::UInt(json.as_u64().unwrap_or(0)),
                JsonType::Double => Number::Real(json.as_f64().unwrap_or(0.0)),
                JsonType::Boolean => Number::Int(i64::from(json.as_bool() == Some(true))),
                _ => Number::Text(json.unquote().into_bytes()),
            }
        }
    }
}

/// 20200102030405 and microseconds as one number.
fn with_micros(number: i64, micros: u32) -> Decimal {
    Decimal::from_i128(i128::from(number) * 1_000_000 + i128::from(micros), 6)
}

pub(super) fn to_integer(source: &Source<'_>, to: &FieldType) -> Stored {
    let (value, problem) = match number_of(source) {
        Number::Int(value) => (i128::from(value), None),
        Number::UInt(value) => (i128::from(value), None),
        // Casting saturates; halves go to the even neighbor, as MySQL's rint does.
        Number::Real(value) => (value.round_ties_even() as i128, None),
        Number::Decimal(value) => (integer_part(value), None),
        Number::Text(text) => {
            let prefix = number::parse_decimal(&text);
            let problem = if text.trim_ascii().is_empty() || !starts_with_number(&text) {
                Some(source.incorrect(ValueKind::Integer))
            } else if prefix.truncated {
                Some(ConvertError::Truncated)
            } else {
                None
            };
            (integer_part(prefix.value), problem)
        }
    };
    let (min, max) = (i128::from(to.integer_min()), i128::from(to.integer_max()));
    let clamped = value.clamp(min, max);
    let problem = if clamped == value { problem } else { Some(ConvertError::OutOfRange) };
    let value = if to.is_unsigned() { Datum::UInt(clamped as u64) } else { Datum::Int(clamped as i64) };
    Stored { value, problem, noted: false }
}

/// Rounded half away from zero; what is far out of range stays far out of range.
fn integer_part(value: Decimal) -> i128 {
    let extreme = if value.is_negative() { i128::MIN } else { i128::MAX };
    value.round(0).ok().and_then(Decimal::to_i128).unwrap_or(extreme)
}

fn starts_with_number(text: &[u8]) -> bool {
    let text = text.trim_ascii_start();
    let digits = text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"+")).unwrap_or(text);
    let digits = digits.strip_prefix(b".").unwrap_or(digits);
    digits.first().is_some_and(u8::is_ascii_digit)
}

pub(super) fn to_real(source: &Source<'_>, to: &FieldType) -> Stored {
    let (value, mut problem) = match number_of(source) {
        Number::Int(value) => (value as f64, None),
        Number::UInt(value) => (value as f64, None),
        Number::Real(value) => (value, None),
        Number::Decimal(value) => (value.to_f64(), None),
        Number::Text(text) => {
            let prefix = number::parse_f64(&text);
            let problem = if prefix.overflow {
                Some(ConvertError::OutOfRange)
            } else {
                prefix.truncated.then_some(ConvertError::Truncated)
            };
            (prefix.value, problem)
        }
    };
    let mut best = value;
    if !best.is_finite() {
        best = if best.is_nan() { 0.0 } else { f64::MAX.copysign(best) };
    }
    if to.is_unsigned() && best < 0.0 {
        best = 0.0;
        problem = Some(ConvertError::OutOfRange);
    }
    // FLOAT(M,D): so many digits.
    if to.length >= 0 && (0..=30).contains(&to.decimals) {
        let power = 10f64.powi(to.decimals);
        let rounded = (best * power).round_ties_even() / power;
        best = if rounded.is_finite() { rounded } else { best };
        let limit = 10f64.powi(to.length - to.decimals) - 1.0 / power;
        best = best.clamp(-limit, limit);
    }
    let is_float = to.code == TypeCode::Float;
    if is_float {
        best = best.clamp(f64::from(-f32::MAX), f64::from(f32::MAX));
    }
    let tolerance = if to.decimals >= 0 { 0.5 * 10f64.powi(-to.decimals) } else { 0.0 };
    if problem.is_none() && ((best - value).abs() > tolerance * 1.001 || !value.is_finite()) {
        problem = Some(ConvertError::OutOfRange);
    }
    let value = if is_float { Datum::Float(best as f32) } else { Datum::Double(best) };
    Stored { value, problem, noted: false }
}

pub(super) fn to_decimal(source: &Source<'_>, to: &FieldType) -> Stored {
    let (value, mut problem) = match number_of(source) {
        Number::Int(value) => (Decimal::from_i64(value), None),
        Number::UInt(value) => (Decimal::from_u64(value), None),
        Number::Decimal(value) => (value, None),
        Number::Real(value) => match real_to_decimal(source.value, value) {
            Some(decimal) => (decimal, None),
            None => (extreme(value < 0.0), Some(ConvertError::OutOfRange)),
        },
        Number::Text(text) => {
            let prefix = number::parse_decimal(&text);
            let problem = if prefix.overflow {
                Some(ConvertError::OutOfRange)
            } else if !starts_with_number(&text) {
                Some(source.incorrect(ValueKind::Decimal))
            } else {
                prefix.truncated.then_some(ConvertError::Truncated)
            };
            (prefix.value, problem)
        }
    };
    let precision = u8::try_from(to.length).unwrap_or(crate::MAX_PRECISION).clamp(1, crate::MAX_PRECISION);
    let scale = u8::try_from(to.decimals).unwrap_or(0).min(crate::MAX_SCALE).min(precision);
    if to.is_unsigned() && value.is_negative() {
        let zero = Decimal::ZERO.rescale(precision, scale).unwrap_or(Decimal::ZERO);
        return Stored::wrong(Datum::Decimal(zero), ConvertError::OutOfRange);
    }
    let (best, lost) = match value.rescale(precision, scale) {
        Ok(best) => (best, best != value),
        Err(DecimalError::Overflow | DecimalError::DivisionByZero | DecimalError::Invalid) => {
            problem = Some(ConvertError::OutOfRange);
            let max = Decimal::max_value(precision, scale);
            (if value.is_negative() { max.negate() } else { max }, false)
        }
    };
    // Digits of a floating-point number that do not fit were never exact: only text and decimals lose something.
    let is_exact = !matches!(source.value, Datum::Float(_) | Datum::Double(_));
    Stored { value: Datum::Decimal(best), noted: lost && is_exact && problem.is_none(), problem }
}

fn real_to_decimal(datum: &Datum, value: f64) -> Option<Decimal> {
    match datum {
        Datum::Float(value) => Decimal::from_f32(*value),
        _ => Decimal::from_f64(value),
    }
}

fn extreme(negative: bool) -> Decimal {
    let max = Decimal::max_value(crate::MAX_PRECISION, 0);
    if negative { max.negate() } else { max }
}

/// YEAR: 1901 to 2155 and 0; 1 to 69 are 2001 to 2069, 70 to 99 are 1970 to 1999; the text '0' is 2000.
pub(super) fn to_year(source: &Source<'_>) -> Stored {
    let (number, is_text, mut problem) = match (source.value, number_of(source)) {
        (Datum::Time(time), _) => (i128::from(time.year()), false, None),
        (_, Number::Int(value)) => (i128::from(value), false, None),
        (_, Number::UInt(value)) => (i128::from(value), false, None),
        (_, Number::Real(value)) => (value.round_ties_even() as i128, false, None),
        (_, Number::Decimal(value)) => (integer_part(value), false, None),
        (_, Number::Text(text)) => {
            let prefix = number::parse_i64(&text);
            let problem = if !starts_with_number(&text) {
                Some(source.incorrect(ValueKind::Integer))
            } else {
                prefix.truncated.then_some(ConvertError::Truncated)
            };
            // '0000' is the zero year, '0' and '00' are 2000.
            (i128::from(prefix.value), text.trim_ascii().len() < 4 && problem.is_none(), problem)
        }
    };
    let year = match number {
        0 if is_text => 2000,
        0 => 0,
        1..=69 => number + 2000,
        70..=99 => number + 1900,
        1901..=2155 => number,
        _ => {
            problem = Some(ConvertError::OutOfRange);
            0
        }
    };
    Stored { value: Datum::Int(year as i64), problem, noted: false }
}
