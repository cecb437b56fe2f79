//! CAST, CONVERT ... USING, COLLATE.

use std::sync::Arc;

use arrow::array::{Array, AsArray, Float64Array, Int64Array, PrimitiveArray, UInt64Array, new_null_array};
use arrow::datatypes::{DataType, Decimal128Type, Float32Type, Int64Type, UInt64Type};
use tidewater_chunk::{ColumnBuilder, DecimalVec, arrow_type};
use tidewater_types::{Charset, Collation, Datum, EvalType, FieldType, TypeCode};

use crate::cast::{cast_datum, value_to_json};
use crate::collate::Coercibility;
use crate::error::ExprError;
use crate::registry::{CallContext, FunctionDef, FunctionTraits, Inference, Kernel};
use crate::value::Value;

pub(crate) const FUNCTIONS: &[FunctionDef] = &[
    // Built by `build_cast`, which knows the type wanted.
    FunctionDef::new("cast", 1, 1, infer_identity, Kernel::Vector(cast)),
    FunctionDef::new("convert_json", 1, 1, infer_identity, Kernel::Row(convert_json)),
    FunctionDef::new("collate", 2, 2, infer_collate, Kernel::Vector(first)),
    FunctionDef::new("convert_using", 2, 2, infer_convert_using, Kernel::Row(convert_using)),
    FunctionDef::new("binary", 1, 1, infer_binary, Kernel::Vector(cast)),
    FunctionDef::new("row", 1, crate::registry::VARIADIC, infer_row, Kernel::Row(row))
        .with(FunctionTraits::VOLATILE),
];

fn infer_identity(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    Ok(i.arg(0).clone())
}

fn infer_binary(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.collation = Collation::Binary;
    // As strong as a column: `column = BINARY 'a'` compares bytes.
    i.coercibility = Coercibility::Implicit;
    Ok(FieldType { length: crate::infer::text_length(i.arg(0)), ..FieldType::binary_string() })
}

fn infer_row(_: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    Ok(super::rewrite::row_type())
}

fn row(_: &CallContext<'_>, _: &[Datum]) -> Result<Datum, ExprError> {
    Err(ExprError::OperandColumns { columns: 1 })
}

fn infer_collate(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    let name = text_argument(i)?;
    let unknown = || ExprError::UnknownCollation { name: name.clone() };
    let collation = Collation::from_name(&name).ok_or_else(unknown)?;
    i.cast(0, EvalType::String);
    let field_type = i.arg(0).clone();
    let same = collation.charset() == field_type.charset()
        // utf8mb3 and utf8mb4 share their text here, and literals take any Unicode collation.
        || (is_unicode(collation.charset()) && is_unicode(field_type.charset()));
    if !same && field_type.code != TypeCode::Null {
        return Err(ExprError::CollationCharset {
            collation: collation.name().to_owned(),
            charset: field_type.charset().name().to_owned(),
        });
    }
    i.collation = collation;
    i.coercibility = Coercibility::Explicit;
    let field_type = if field_type.code == TypeCode::Null { FieldType::varchar(0) } else { field_type };
    Ok(field_type.with_collation(collation))
}

fn is_unicode(charset: Charset) -> bool {
    matches!(charset, Charset::Utf8mb4 | Charset::Utf8)
}

fn text_argument(i: &Inference<'_>) -> Result<String, ExprError> {
    match i.literal(1) {
        Some(Datum::Bytes(name)) => Ok(String::from_utf8_lossy(name).into_owned()),
        _ => Err(ExprError::WrongArguments { function: i.name.to_owned() }),
    }
}

fn infer_convert_using(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    let name = text_argument(i)?;
    let unknown = || ExprError::UnknownCharset { name: name.clone() };
    let charset = Charset::from_name(&name).ok_or_else(unknown)?;
    i.cast(0, EvalType::String);
    i.collation = charset.default_collation();
    i.coercibility = Coercibility::Implicit;
    Ok(i.text(i.arg(0).length))
}

fn convert_using(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let Datum::Bytes(bytes) = &args[0] else { return Ok(Datum::Null) };
    Ok(Datum::Bytes(match call.field_type().charset() {
        Charset::Binary => bytes.clone(),
        // What a charset has no character for becomes a question mark.
        Charset::Ascii => replace_chars(bytes, |c| c.is_ascii()),
        Charset::Latin1 => replace_chars(bytes, |c| (c as u32) < 256),
        Charset::Utf8 => replace_chars(bytes, |c| (c as u32) < 0x1_0000),
        Charset::Utf8mb4 => match std::str::from_utf8(bytes) {
            Ok(_) => bytes.clone(),
            Err(_) => {
                call.eval.incorrect("string", bytes)?;
                return Ok(Datum::Null);
            }
        },
    }))
}

fn replace_chars(bytes: &[u8], keep: impl Fn(char) -> bool) -> Vec<u8> {
    String::from_utf8_lossy(bytes)
        .chars()
        .map(|c| if keep(c) { c } else { '?' })
        .collect::<String>()
        .into_bytes()
}

fn first(_: &CallContext<'_>, args: &[Value]) -> Result<Value, ExprError> {
    Ok(args[0].clone())
}

fn convert_json(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    if args[0].is_null() {
        return Ok(Datum::Null);
    }
    Ok(Datum::Json(value_to_json(&args[0], &call.arg_type(0), call.eval)))
}

/// The usual numeric casts column at a time, the others value by value.
fn cast(call: &CallContext<'_>, args: &[Value]) -> Result<Value, ExprError> {
    let from = call.call.args[0].field_type_ref();
    let to = call.field_type();
    let array = match &args[0] {
        Value::Constant(datum) => return cast_datum(datum, from, to, call.eval).map(Value::Constant),
        Value::Array(array) => array,
        Value::Boolean(_) => return Ok(args[0].clone()),
    };
    if from.code == TypeCode::Null {
        return Ok(Value::Array(new_null_array(&arrow_type(to), array.len())));
    }
    let plain = |ft: &FieldType| ft.is_integer() || ft.code == TypeCode::Double;
    match (array.data_type(), arrow_type(to)) {
        (DataType::Int64, DataType::Float64) if plain(from) && to.decimals < 0 => {
            let result: Float64Array = array.as_primitive::<Int64Type>().unary(|v| v as f64);
            return Ok(Value::Array(Arc::new(result)));
        }
        (DataType::UInt64, DataType::Float64) if plain(from) && to.decimals < 0 => {
            let result: Float64Array = array.as_primitive::<UInt64Type>().unary(|v| v as f64);
            return Ok(Value::Array(Arc::new(result)));
        }
        (DataType::Float32, DataType::Float64) if to.decimals < 0 => {
            let result: Float64Array = array.as_primitive::<Float32Type>().unary(f64::from);
            return Ok(Value::Array(Arc::new(result)));
        }
        (DataType::Int64, DataType::UInt64) if plain(from) && to.is_integer() => {
            let result: UInt64Array = array.as_primitive::<Int64Type>().unary(|v| v as u64);
            return Ok(Value::Array(Arc::new(result)));
        }
        (DataType::UInt64, DataType::Int64) if plain(from) && to.is_integer() => {
            let result: Int64Array = array.as_primitive::<UInt64Type>().unary(|v| v as i64);
            return Ok(Value::Array(Arc::new(result)));
        }
        (DataType::Int64, DataType::Int64) | (DataType::UInt64, DataType::UInt64)
            if from.is_integer() && to.is_integer() =>
        {
            return Ok(args[0].clone());
        }
        (DataType::Float64, DataType::Float64) if to.decimals < 0 => return Ok(args[0].clone()),
        (DataType::Int64, DataType::Decimal128(_, scale)) if plain(from) && wide_enough(to, 19) => {
            let factor = 10i128.pow(scale as u32);
            let ints = array.as_primitive::<Int64Type>();
            return Ok(decimals(ints, |v| i128::from(v) * factor, scale));
        }
        (DataType::UInt64, DataType::Decimal128(_, scale)) if plain(from) && wide_enough(to, 20) => {
            let factor = 10i128.pow(scale as u32);
            let ints = array.as_primitive::<UInt64Type>();
            return Ok(decimals(ints, |v| i128::from(v) * factor, scale));
        }
        (DataType::Decimal128(_, from_scale), DataType::Float64) if to.decimals < 0 => {
            let divisor = 10f64.powi(i32::from(*from_scale));
            let narrow = array.as_primitive::<Decimal128Type>();
            // Below 2^53 both operands are exact, so the quotient is the nearest double.
            if *from_scale <= 22 && narrow.values().iter().all(|v| v.unsigned_abs() < 1 << 53) {
                let result: Float64Array = narrow.unary(|v| v as f64 / divisor);
                return Ok(Value::Array(Arc::new(result)));
            }
        }
        (DataType::Decimal128(_, from_scale), DataType::Decimal128(_, scale))
            if *from_scale <= scale
                && to.length - to.decimals >= from.length - from.decimals
                && to.length <= 38 =>
        {
            let factor = 10i128.pow((scale - from_scale) as u32);
            let narrow = array.as_primitive::<Decimal128Type>();
            if narrow
                .values()
                .iter()
                .all(|v| v.checked_mul(factor).is_some_and(tidewater_chunk::fits_decimal128))
            {
                return Ok(decimals(narrow, |v| v * factor, scale));
            }
        }
        (DataType::UInt64, DataType::UInt64)
            if from.is_time() && to.is_time() && to.code != TypeCode::Date && to.fsp() >= from.fsp() =>
        {
            return Ok(args[0].clone());
        }
        (DataType::UInt64, DataType::UInt64) if from.is_time() && to.code == TypeCode::Date => {
            let result: UInt64Array = array.as_primitive::<UInt64Type>().unary(|v| v >> 41 << 41);
            return Ok(Value::Array(Arc::new(result)));
        }
        (DataType::Binary, DataType::Binary)
            if from.is_string() && to.is_string() && (to.length < 0 || to.is_blob()) =>
        {
            return Ok(args[0].clone());
        }
        _ => {}
    }
    let mut builder = ColumnBuilder::new(to, array.len());
    for row in 0..array.len() {
        let value = tidewater_chunk::datum_at(array.as_ref(), row, from);
        match cast_datum(&value, from, to, call.eval)? {
            Datum::Bytes(bytes) => builder.append_bytes(&bytes),
            other => builder.append(&other),
        }
    }
    Ok(Value::Array(builder.finish()))
}

/// Whether every integer of `digits` digits fits the type and 38 digits in all.
fn wide_enough(to: &FieldType, digits: i32) -> bool {
    let int_digits = to.length - to.decimals;
    int_digits >= digits && to.decimals + digits <= 38
}

fn decimals<T: arrow::datatypes::ArrowPrimitiveType>(
    array: &PrimitiveArray<T>,
    scaled: impl Fn(T::Native) -> i128,
    scale: i8,
) -> Value {
    let mut values = DecimalVec::new(scale as u8, array.len());
    for value in array.values() {
        values.push_i128(scaled(*value));
    }
    Value::Array(values.finish(array.nulls().cloned()))
}
