//! Casts between all types, as evaluation does them (storing into columns is `types::convert`): a bad text gives its
//! numeric prefix and a warning, a bad date gives NULL and a warning; when the statement writes in strict mode both are
//! errors.

use tidewater_types::{
    Collation, Datum, Decimal, Duration, EvalType, FieldType, Json, JsonType, MAX_PRECISION, Time, TypeCode,
    number,
};

use crate::context::EvalContext;
use crate::display::{bit_bytes, enum_name, write_datum};
use crate::error::ExprError;

/// One value of type `from` as a value of type `to`.
pub fn cast_datum(
    value: &Datum,
    from: &FieldType,
    to: &FieldType,
    ctx: &EvalContext,
) -> Result<Datum, ExprError> {
    if value.is_null() {
        return Ok(Datum::Null);
    }
    match to.code {
        TypeCode::Null => return Ok(Datum::Null),
        TypeCode::Year => return Ok(Datum::Int(to_i64(value, from, ctx)?)),
        TypeCode::Enum | TypeCode::Set => return to_member(value, from, to, ctx),
        TypeCode::Bit => return Ok(Datum::UInt(to_u64(value, from, ctx)?)),
        _ => {}
    }
    Ok(match to.eval_type() {
        EvalType::Int if to.is_unsigned() => Datum::UInt(to_u64(value, from, ctx)?),
        EvalType::Int => Datum::Int(to_i64(value, from, ctx)?),
        EvalType::Real => to_real(value, from, to, ctx)?,
        EvalType::Decimal => Datum::Decimal(to_decimal_type(value, from, to, ctx)?),
        EvalType::String => to_string(value, from, to, ctx)?,
        EvalType::DateTime => to_time(value, from, to, ctx)?.map_or(Datum::Null, Datum::Time),
        EvalType::Duration => to_duration(value, from, to, ctx)?.map_or(Datum::Null, Datum::Duration),
        EvalType::Json => Datum::Json(parse_json(value, from, ctx)?),
    })
}

/// As a signed integer.
pub fn to_i64(value: &Datum, from: &FieldType, ctx: &EvalContext) -> Result<i64, ExprError> {
    Ok(match value {
        Datum::Null => 0,
        Datum::Int(v) => *v,
        Datum::UInt(v) => *v as i64,
        Datum::Float(v) => f64_to_i64(f64::from(*v), ctx)?,
        Datum::Double(v) => f64_to_i64(*v, ctx)?,
        Datum::Decimal(v) => decimal_to_i64(*v, ctx)?,
        Datum::Bytes(v) => {
            let read = number::integer_prefix(v);
            if read.overflow && read.value > 0 {
                // A positive text beyond BIGINT is read unsigned, and reinterpreted.
                ctx.truncated("INTEGER", v)?;
                return Ok(number::unsigned_prefix(v).value as i64);
            }
            if read.truncated || read.overflow {
                ctx.truncated("INTEGER", v)?;
            }
            read.value
        }
        Datum::Time(v) => {
            let rounded = v.round(0).unwrap_or(*v);
            if from.code == TypeCode::Date { rounded.date_to_number() } else { rounded.to_number() }
        }
        Datum::Duration(v) => v.round(0).to_number(),
        Datum::Json(v) => match json_number(v) {
            Some(Datum::UInt(u)) => u as i64,
            Some(Datum::Int(i)) => i,
            Some(Datum::Double(d)) => f64_to_i64(d, ctx)?,
            _ => to_i64(&json_text(v), &FieldType::string(), ctx)?,
        },
    })
}

/// As an unsigned integer; negative integers wrap, as CAST(-1 AS UNSIGNED) does.
pub fn to_u64(value: &Datum, from: &FieldType, ctx: &EvalContext) -> Result<u64, ExprError> {
    Ok(match value {
        Datum::UInt(v) => *v,
        Datum::Double(v) if *v >= 9.2e18 => f64_to_u64(*v, ctx)?,
        Datum::Decimal(v) if !v.is_negative() => match v.to_u64() {
            Some(u) => u,
            None => {
                ctx.truncated("DECIMAL", v.to_string().as_bytes())?;
                u64::MAX
            }
        },
        Datum::Bytes(v) if !v.trim_ascii_start().starts_with(b"-") => {
            let read = number::unsigned_prefix(v);
            if read.truncated || read.overflow {
                ctx.truncated("INTEGER", v)?;
            }
            read.value
        }
        other => to_i64(other, from, ctx)? as u64,
    })
}

fn f64_to_i64(value: f64, ctx: &EvalContext) -> Result<i64, ExprError> {
    let rounded = value.round_ties_even();
    if !(-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&rounded) {
        let mut text = Vec::new();
        number::write_f64(value, &mut text);
        ctx.truncated("INTEGER", &text)?;
    }
    Ok(rounded as i64)
}

fn f64_to_u64(value: f64, ctx: &EvalContext) -> Result<u64, ExprError> {
    if value >= 18_446_744_073_709_551_616.0 {
        let mut text = Vec::new();
        number::write_f64(value, &mut text);
        ctx.truncated("INTEGER", &text)?;
    }
    Ok(value as u64)
}

fn decimal_to_i64(value: Decimal, ctx: &EvalContext) -> Result<i64, ExprError> {
    match value.to_i64() {
        Some(v) => Ok(v),
        None => {
            ctx.truncated("DECIMAL", value.to_string().as_bytes())?;
            Ok(if value.is_negative() { i64::MIN } else { i64::MAX })
        }
    }
}

/// As a double.
pub fn to_f64(value: &Datum, from: &FieldType, ctx: &EvalContext) -> Result<f64, ExprError> {
    Ok(match value {
        Datum::Null => 0.0,
        Datum::Int(v) => *v as f64,
        Datum::UInt(v) => *v as f64,
        Datum::Float(v) => f64::from(*v),
        Datum::Double(v) => *v,
        Datum::Decimal(v) => v.to_f64(),
        Datum::Bytes(v) => {
            let read = number::parse_f64(v);
            if read.truncated || read.overflow {
                ctx.truncated("DOUBLE", v)?;
            }
            read.value
        }
        Datum::Time(_) | Datum::Duration(_) => to_decimal(value, from, ctx)?.to_f64(),
        Datum::Json(v) => match json_number(v) {
            Some(Datum::UInt(u)) => u as f64,
            Some(Datum::Int(i)) => i as f64,
            Some(Datum::Double(d)) => d,
            _ => to_f64(&json_text(v), &FieldType::string(), ctx)?,
        },
    })
}

fn to_real(value: &Datum, from: &FieldType, to: &FieldType, ctx: &EvalContext) -> Result<Datum, ExprError> {
    let mut real = to_f64(value, from, ctx)?;
    if (0..=30).contains(&to.decimals) && to.length > to.decimals {
        let factor = 10f64.powi(to.decimals);
        let rounded = (real * factor).round_ties_even() / factor;
        if rounded.is_finite() {
            real = rounded;
        }
    }
    Ok(if to.code == TypeCode::Float { Datum::Float(real as f32) } else { Datum::Double(real) })
}

/// As a decimal of its natural scale.
pub fn to_decimal(value: &Datum, from: &FieldType, ctx: &EvalContext) -> Result<Decimal, ExprError> {
    Ok(match value {
        Datum::Null => Decimal::ZERO,
        Datum::Int(v) => Decimal::from_i64(*v),
        Datum::UInt(v) => Decimal::from_u64(*v),
        Datum::Float(v) => f64_to_decimal(f64::from(*v), ctx)?,
        Datum::Double(v) => f64_to_decimal(*v, ctx)?,
        Datum::Decimal(v) => *v,
        Datum::Bytes(v) => {
            let read = number::parse_decimal(v);
            if read.truncated || read.overflow {
                ctx.truncated("DECIMAL", v)?;
            }
            read.value
        }
        Datum::Time(v) => {
            let whole = if from.code == TypeCode::Date { v.date_to_number() } else { v.to_number() };
            with_fraction(whole, v.micro(), from.fsp(), false)
        }
        Datum::Duration(v) => {
            let whole = v.to_number();
            with_fraction(whole.abs(), v.micro(), from.fsp(), v.is_negative())
        }
        Datum::Json(v) => match json_number(v) {
            Some(Datum::UInt(u)) => Decimal::from_u64(u),
            Some(Datum::Int(i)) => Decimal::from_i64(i),
            Some(Datum::Double(d)) => f64_to_decimal(d, ctx)?,
            _ => to_decimal(&json_text(v), &FieldType::string(), ctx)?,
        },
    })
}

fn with_fraction(whole: i64, micro: u32, fsp: u8, negative: bool) -> Decimal {
    let scaled = i128::from(whole) * 1_000_000 + i128::from(micro);
    let value = Decimal::from_i128(if negative { -scaled } else { scaled }, 6);
    value.round(i32::from(fsp)).unwrap_or(value)
}

fn f64_to_decimal(value: f64, ctx: &EvalContext) -> Result<Decimal, ExprError> {
    match Decimal::from_f64(value) {
        Some(decimal) => Ok(decimal),
        None => {
            let mut text = Vec::new();
            number::write_f64(value, &mut text);
            ctx.truncated("DECIMAL", &text)?;
            let largest = Decimal::max_value(MAX_PRECISION, 0);
            Ok(if value < 0.0 { largest.negate() } else { largest })
        }
    }
}

fn to_decimal_type(
    value: &Datum,
    from: &FieldType,
    to: &FieldType,
    ctx: &EvalContext,
) -> Result<Decimal, ExprError> {
    let decimal = to_decimal(value, from, ctx)?;
    fit_decimal(decimal, to, ctx)
}

/// Rounds to the type's scale; beyond its precision: the type's largest value and a warning.
pub fn fit_decimal(value: Decimal, to: &FieldType, ctx: &EvalContext) -> Result<Decimal, ExprError> {
    let scale = to.decimals.clamp(0, 30) as u8;
    let precision = if to.length <= 0 { MAX_PRECISION } else { to.length.clamp(1, 65) as u8 };
    if let Ok(fitted) = value.rescale(precision, scale) {
        return Ok(fitted);
    }
    let largest = Decimal::max_value(precision, scale);
    ctx.report(
        ctx.truncate_severity(),
        ExprError::ClampedValue { column: format!("cast({value} as decimal({precision},{scale}))") },
    )?;
    Ok(if value.is_negative() { largest.negate() } else { largest })
}

/// The text of a value, as CAST(... AS CHAR) gives it.
pub fn text_of(value: &Datum, from: &FieldType) -> Vec<u8> {
    match value {
        Datum::Bytes(bytes) => bytes.clone(),
        Datum::UInt(v) if from.code == TypeCode::Enum => enum_name(*v, from).as_bytes().to_vec(),
        Datum::UInt(v) if from.code == TypeCode::Bit => bit_bytes(*v, from),
        other => {
            let mut out = Vec::new();
            write_datum(other, from, &mut out);
            out
        }
    }
}

fn to_string(value: &Datum, from: &FieldType, to: &FieldType, ctx: &EvalContext) -> Result<Datum, ExprError> {
    let mut text = text_of(value, from);
    if to.length < 0 || to.is_blob() {
        return Ok(Datum::Bytes(text));
    }
    let limit = to.length as usize;
    if to.collation == Collation::Binary {
        if text.len() > limit {
            ctx.truncated(if to.is_binary_string() { "BINARY" } else { "CHAR" }, &text)?;
            text.truncate(limit);
        } else if to.code == TypeCode::String && text.len() < limit {
            // CAST(... AS BINARY(n)) pads with zero bytes.
            text.resize(limit, 0);
        }
        return Ok(Datum::Bytes(text));
    }
    if let Some(end) = char_offset(&text, limit) {
        // Implicit casts know their length; only a CAST in the statement can cut.
        ctx.truncated("CHAR", &text)?;
        text.truncate(end);
    }
    Ok(Datum::Bytes(text))
}

/// Where the character number `count` begins, if the text has one.
pub fn char_offset(text: &[u8], count: usize) -> Option<usize> {
    // Characters are at least a byte.
    if text.len() <= count {
        return None;
    }
    text.iter().enumerate().filter(|(_, byte)| (**byte as i8) >= -0x40).nth(count).map(|(offset, _)| offset)
}

/// As a date or time of day of this type; `None` (with a warning) if it is none.
pub fn to_time(
    value: &Datum,
    from: &FieldType,
    to: &FieldType,
    ctx: &EvalContext,
) -> Result<Option<Time>, ExprError> {
    let fsp = to.fsp();
    let time = match value {
        Datum::Null => return Ok(None),
        Datum::Time(v) => Some(*v),
        Datum::Duration(v) => {
            let today = ctx.time_zone.local_time(ctx.now_micros).date();
            today.add_duration(*v)
        }
        Datum::Int(v) => number_to_time(*v, ctx),
        Datum::UInt(v) if from.is_integer() => i64::try_from(*v).ok().and_then(|v| number_to_time(v, ctx)),
        Datum::Decimal(v) => number_to_time(v.truncate(0).to_i64().unwrap_or(-1), ctx).and_then(|whole| {
            let fraction = v.checked_sub(v.truncate(0)).ok()?;
            let micros = fraction.checked_mul(Decimal::from_i64(1_000_000)).ok()?.to_i64()?;
            whole.add_duration(Duration::from_micros_clamped(micros))
        }),
        Datum::Double(v) if v.abs() < 1e15 => number_to_time(*v as i64, ctx),
        Datum::Json(v) => return to_time(&unquoted(v), &FieldType::string(), to, ctx),
        other => {
            let text = text_of(other, from);
            let parsed = Time::parse(&String::from_utf8_lossy(&text), fsp, lenient(ctx));
            match parsed {
                Ok(parsed) => {
                    if parsed.truncated {
                        ctx.truncated(if to.code == TypeCode::Date { "date" } else { "datetime" }, &text)?;
                    }
                    Some(match parsed.offset_seconds {
                        Some(offset) => shift_offset(parsed.time, offset, ctx).unwrap_or(parsed.time),
                        None => parsed.time,
                    })
                }
                Err(_) => None,
            }
        }
    };
    let Some(time) = time else {
        ctx.incorrect("datetime", &text_of(value, from))?;
        return Ok(None);
    };
    if to.code == TypeCode::Date {
        return Ok(Some(time.date()));
    }
    Ok(time.round(fsp))
}

/// Evaluation takes zero and partial dates; only storing them is forbidden by the mode.
fn lenient(ctx: &EvalContext) -> tidewater_types::SqlMode {
    use tidewater_types::SqlMode;
    ctx.sql_mode.difference(SqlMode::NO_ZERO_DATE | SqlMode::NO_ZERO_IN_DATE)
}

fn number_to_time(value: i64, ctx: &EvalContext) -> Option<Time> {
    Time::from_number(value, lenient(ctx)).ok()
}

/// A literal with an offset (`'2020-01-01 00:00:00+01:00'`) is turned into the session's zone.
fn shift_offset(time: Time, offset_seconds: i32, ctx: &EvalContext) -> Option<Time> {
    let utc = time.micros_since_epoch()? - i64::from(offset_seconds) * 1_000_000;
    Some(ctx.time_zone.local_time(utc))
}

/// As a TIME; `None` (with a warning) if it is none.
pub fn to_duration(
    value: &Datum,
    from: &FieldType,
    to: &FieldType,
    ctx: &EvalContext,
) -> Result<Option<Duration>, ExprError> {
    let fsp = to.fsp();
    let duration = match value {
        Datum::Null => return Ok(None),
        Datum::Duration(v) => Some(v.round(fsp)),
        Datum::Time(v) => Some(v.time_of_day().round(fsp)),
        Datum::Int(v) => Duration::from_number(*v).ok(),
        Datum::UInt(v) if from.is_integer() => {
            i64::try_from(*v).ok().and_then(|v| Duration::from_number(v).ok())
        }
        Datum::Json(v) => return to_duration(&unquoted(v), &FieldType::string(), to, ctx),
        other => {
            let text = text_of(other, from);
            match Duration::parse(&String::from_utf8_lossy(&text), fsp) {
                Ok(parsed) => {
                    if parsed.truncated || parsed.clamped {
                        ctx.truncated("time", &text)?;
                    }
                    Some(parsed.duration)
                }
                Err(_) => None,
            }
        }
    };
    if duration.is_none() {
        ctx.truncated("time", &text_of(value, from))?;
    }
    Ok(duration)
}

/// CAST(... AS JSON): text is parsed.
pub fn parse_json(value: &Datum, from: &FieldType, ctx: &EvalContext) -> Result<Json, ExprError> {
    match value {
        Datum::Bytes(text) => Ok(Json::parse(&String::from_utf8_lossy(text))?),
        other => Ok(value_to_json(other, from, ctx)),
    }
}

/// A value inside a JSON document: text becomes a JSON string.
pub fn value_to_json(value: &Datum, from: &FieldType, _ctx: &EvalContext) -> Json {
    match value {
        // Comparisons and IS TRUE give JSON booleans.
        Datum::Int(v) if from.length == 1 && from.code == TypeCode::LongLong => Json::from_bool(*v != 0),
        other => Json::from_datum(other, from),
    }
}

fn to_member(value: &Datum, from: &FieldType, to: &FieldType, ctx: &EvalContext) -> Result<Datum, ExprError> {
    if from.eval_type() != EvalType::String {
        return Ok(Datum::UInt(to_u64(value, from, ctx)?));
    }
    let text = text_of(value, from);
    let position = |text: &[u8]| to.elements.iter().position(|e| to.collation.eq(e.as_bytes(), text));
    if to.code == TypeCode::Enum {
        return Ok(Datum::UInt(position(&text).map_or(0, |i| i as u64 + 1)));
    }
    let members = text.split(|b| *b == b',').filter_map(position).filter(|i| *i < 64);
    Ok(Datum::UInt(members.fold(0, |bits, i| bits | 1 << i)))
}

/// A JSON number or boolean as a number.
pub fn json_number(json: &Json) -> Option<Datum> {
    let json = json.as_ref();
    match json.json_type() {
        JsonType::Boolean => json.as_bool().map(|v| Datum::Int(i64::from(v))),
        JsonType::Integer => json.as_i64().map(Datum::Int),
        JsonType::UnsignedInteger => json.as_u64().map(Datum::UInt),
        JsonType::Double => json.as_f64().map(Datum::Double),
        _ => None,
    }
}

fn json_text(json: &Json) -> Datum {
    unquoted(json)
}

fn unquoted(json: &Json) -> Datum {
    Datum::Bytes(json.as_ref().unquote().into_bytes())
}
