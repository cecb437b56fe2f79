//! Datums one after another: a flag byte, then the value.
//!
//! The **key form** orders as values do; strings hold the collation's sort key, so that the original cannot be read back.
//! The **value form** is short and keeps the original.

use tidewater_types::{Datum, Decimal, Duration, FieldType, Json, JsonRef, MAX_PRECISION, Time, TypeCode};

use crate::{DecodeError, bytes, number};

/// NULL.
pub const NULL_FLAG: u8 = 0;
/// A comparable byte string.
pub const BYTES_FLAG: u8 = 1;
/// A compact byte string.
pub const COMPACT_BYTES_FLAG: u8 = 2;
/// A comparable signed integer.
pub const INT_FLAG: u8 = 3;
/// A comparable unsigned integer.
pub const UINT_FLAG: u8 = 4;
/// A comparable double.
pub const FLOAT_FLAG: u8 = 5;
/// A decimal.
pub const DECIMAL_FLAG: u8 = 6;
/// A TIME as comparable nanoseconds.
pub const DURATION_FLAG: u8 = 7;
/// A variable-length signed integer.
pub const VARINT_FLAG: u8 = 8;
/// A variable-length unsigned integer.
pub const UVARINT_FLAG: u8 = 9;
/// A JSON document.
pub const JSON_FLAG: u8 = 10;
/// Above every datum in key form: ends an open range.
pub const MAX_FLAG: u8 = 250;

const NANOS_PER_MICRO: i64 = 1_000;

/// Appends a datum so that keys order as values do. Strings become their collation's sort key; a DECIMAL takes precision
/// and scale from the column. JSON has no key form.
pub fn encode_key_datum(value: &Datum, field_type: &FieldType, out: &mut Vec<u8>) -> Result<(), DecodeError> {
    match value {
        Datum::Null => out.push(NULL_FLAG),
        Datum::Int(value) if is_unsigned_integer(field_type) => write_uint(*value as u64, out),
        Datum::Int(value) => write_int(*value, out),
        Datum::UInt(value) if is_signed_integer(field_type) => write_int(*value as i64, out),
        Datum::UInt(value) => write_uint(*value, out),
        Datum::Float(value) => write_float(f64::from(*value), out),
        Datum::Double(value) => write_float(*value, out),
        Datum::Decimal(value) => {
            out.push(DECIMAL_FLAG);
            write_decimal(*value, field_type, out)?;
        }
        Datum::Bytes(text) => {
            out.push(BYTES_FLAG);
            write_sort_key(text, field_type, out);
        }
        Datum::Time(value) => write_uint(value.packed(), out),
        Datum::Duration(value) => write_duration(*value, out),
        Datum::Json(_) => return Err(DecodeError::Invalid("key: JSON has no order of bytes")),
    }
    Ok(())
}

/// Reads a key datum (a string comes back as its sort key).
pub fn decode_key_datum(input: &mut &[u8], field_type: &FieldType) -> Result<Datum, DecodeError> {
    decode_value_datum(input, field_type)
}

/// Skips one key datum and returns its bytes, the flag included.
pub fn skip_key_datum<'a>(input: &mut &'a [u8]) -> Result<&'a [u8], DecodeError> {
    let whole = *input;
    match take_flag(input)? {
        NULL_FLAG => {}
        BYTES_FLAG => drop(bytes::skip_bytes(input)?),
        INT_FLAG | UINT_FLAG | FLOAT_FLAG | DURATION_FLAG => drop(number::read_u64(input)?),
        DECIMAL_FLAG => drop(read_decimal(input)?),
        flag => return Err(DecodeError::UnknownFlag { what: "key datum", flag }),
    }
    Ok(&whole[..whole.len() - input.len()])
}

/// Appends a datum in value form.
pub fn encode_value_datum(
    value: &Datum,
    field_type: &FieldType,
    out: &mut Vec<u8>,
) -> Result<(), DecodeError> {
    match value {
        Datum::Null => out.push(NULL_FLAG),
        Datum::Int(value) => {
            out.push(VARINT_FLAG);
            number::write_var_i64(*value, out);
        }
        Datum::UInt(value) => {
            out.push(UVARINT_FLAG);
            number::write_var_u64(*value, out);
        }
        Datum::Float(value) => {
            out.push(FLOAT_FLAG);
            number::write_f64(f64::from(*value), out);
        }
        Datum::Double(value) => {
            out.push(FLOAT_FLAG);
            number::write_f64(*value, out);
        }
        Datum::Decimal(value) => {
            out.push(DECIMAL_FLAG);
            write_decimal(*value, field_type, out)?;
        }
        Datum::Bytes(text) => {
            out.push(COMPACT_BYTES_FLAG);
            bytes::write_compact_bytes(text, out);
        }
        Datum::Time(value) => write_uint(value.packed(), out),
        Datum::Duration(value) => write_duration(*value, out),
        Datum::Json(value) => {
            out.push(JSON_FLAG);
            out.extend_from_slice(value.as_bytes());
        }
    }
    Ok(())
}

/// Reads a datum in either form.
pub fn decode_value_datum(input: &mut &[u8], field_type: &FieldType) -> Result<Datum, DecodeError> {
    match take_flag(input)? {
        NULL_FLAG => Ok(Datum::Null),
        BYTES_FLAG => {
            let mut text = Vec::new();
            bytes::read_bytes(input, &mut text)?;
            Ok(Datum::Bytes(text))
        }
        COMPACT_BYTES_FLAG => Ok(Datum::Bytes(bytes::read_compact_bytes(input)?.to_vec())),
        INT_FLAG => Ok(Datum::Int(number::read_i64(input)?)),
        VARINT_FLAG => Ok(Datum::Int(number::read_var_i64(input)?)),
        UINT_FLAG => uint_datum(number::read_u64(input)?, field_type),
        UVARINT_FLAG => uint_datum(number::read_var_u64(input)?, field_type),
        FLOAT_FLAG => Ok(float_datum(number::read_f64(input)?, field_type)),
        DECIMAL_FLAG => read_decimal(input).map(Datum::Decimal),
        DURATION_FLAG => duration_datum(number::read_i64(input)?),
        JSON_FLAG => {
            let json =
                JsonRef::from_binary(input).map_err(|_| DecodeError::UnexpectedEnd("JSON document"))?;
            json.validate().map_err(|_| DecodeError::Invalid("JSON document"))?;
            let json = json.to_json();
            *input = &input[json.as_bytes().len()..];
            Ok(Datum::Json(json))
        }
        flag => Err(DecodeError::UnknownFlag { what: "datum", flag }),
    }
}

/// Whether a key datum can be turned back into the value: false for strings whose collation loses something.
pub fn key_keeps_value(field_type: &FieldType) -> bool {
    !field_type.is_string() || field_type.collation.is_binary_comparable()
}

pub(crate) fn uint_datum(value: u64, field_type: &FieldType) -> Result<Datum, DecodeError> {
    if field_type.is_time() {
        return Time::from_packed(value).map(Datum::Time).ok_or(DecodeError::Invalid("time"));
    }
    Ok(Datum::UInt(value))
}

pub(crate) fn float_datum(value: f64, field_type: &FieldType) -> Datum {
    if field_type.code == TypeCode::Float { Datum::Float(value as f32) } else { Datum::Double(value) }
}

pub(crate) fn duration_datum(nanos: i64) -> Result<Datum, DecodeError> {
    Duration::from_micros(nanos / NANOS_PER_MICRO).map(Datum::Duration).ok_or(DecodeError::Invalid("TIME"))
}

pub(crate) fn duration_nanos(value: Duration) -> i64 {
    value.micros() * NANOS_PER_MICRO
}

/// Appends precision, scale and MySQL's binary form: the column's precision and scale if it has them, else the value's own.
pub(crate) fn write_decimal(
    value: Decimal,
    field_type: &FieldType,
    out: &mut Vec<u8>,
) -> Result<(), DecodeError> {
    let declared = (u8::try_from(field_type.length), u8::try_from(field_type.decimals));
    let (precision, scale) = match declared {
        (Ok(precision @ 1..=MAX_PRECISION), Ok(scale))
            if field_type.code == TypeCode::NewDecimal && scale <= precision =>
        {
            (precision, scale)
        }
        _ => (value.precision(), value.scale()),
    };
    out.extend_from_slice(&[precision, scale]);
    value.write_mysql_bin(precision, scale, out).map_err(|_| DecodeError::Invalid("decimal of its column"))
}

/// Reads what [`write_decimal`] wrote.
pub(crate) fn read_decimal(input: &mut &[u8]) -> Result<Decimal, DecodeError> {
    let ([precision, scale], rest) =
        input.split_first_chunk::<2>().ok_or(DecodeError::UnexpectedEnd("decimal"))?;
    let (value, len) =
        Decimal::from_mysql_bin(rest, *precision, *scale).map_err(|_| DecodeError::Invalid("decimal"))?;
    *input = &rest[len..];
    Ok(value)
}

/// Appends a string's sort key as a comparable byte string.
fn write_sort_key(text: &[u8], field_type: &FieldType, out: &mut Vec<u8>) {
    let collation = field_type.collation;
    // The sort key of `_bin` collations is the text without padding: no need to build it first.
    if collation.is_bin() {
        return bytes::write_bytes(collation.significant(text), out);
    }
    let mut key = Vec::with_capacity(text.len() * 3);
    collation.write_sort_key(text, &mut key);
    bytes::write_bytes(&key, out);
}

fn is_unsigned_integer(field_type: &FieldType) -> bool {
    field_type.is_integer() && field_type.is_unsigned()
}

fn is_signed_integer(field_type: &FieldType) -> bool {
    field_type.is_integer() && !field_type.is_unsigned() || field_type.code == TypeCode::Year
}

fn take_flag(input: &mut &[u8]) -> Result<u8, DecodeError> {
    let (flag, rest) = input.split_first().ok_or(DecodeError::UnexpectedEnd("datum"))?;
    *input = rest;
    Ok(*flag)
}

fn write_int(value: i64, out: &mut Vec<u8>) {
    out.push(INT_FLAG);
    number::write_i64(value, out);
}

fn write_uint(value: u64, out: &mut Vec<u8>) {
    out.push(UINT_FLAG);
    number::write_u64(value, out);
}

fn write_float(value: f64, out: &mut Vec<u8>) {
    out.push(FLOAT_FLAG);
    // -0 equals 0, so it must have the same key.
    number::write_f64(if value == 0.0 { 0.0 } else { value }, out);
}

fn write_duration(value: Duration, out: &mut Vec<u8>) {
    out.push(DURATION_FLAG);
    number::write_i64(duration_nanos(value), out);
}

/// A JSON document from its bytes.
pub(crate) fn json_datum(bytes: &[u8]) -> Result<Datum, DecodeError> {
    Json::from_binary(bytes).map(Datum::Json).map_err(|_| DecodeError::Invalid("JSON document"))
}

#[cfg(test)]
mod tests;
