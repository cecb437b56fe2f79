//! Which array holds which SQL type, and single values out of arrays.

use arrow::array::{
    Array, AsArray, BinaryArray, Decimal128Array, Decimal256Array, Float32Array, Float64Array, Int64Array,
    UInt64Array,
};
use arrow::datatypes::DataType;
use tidewater_types::{Datum, Decimal, Duration, FieldType, Json, JsonRef, Time, TypeCode};

use crate::decimal::decimal_scale;

/// Whether integers of this type are held in a `UInt64Array`: unsigned integers, ENUM, SET and BIT.
pub fn is_unsigned_column(field_type: &FieldType) -> bool {
    match field_type.code {
        TypeCode::Enum | TypeCode::Set | TypeCode::Bit => true,
        TypeCode::Year => false,
        _ => field_type.is_integer() && field_type.is_unsigned(),
    }
}

/// The array type that holds a column of this SQL type (a `DECIMAL` column may turn out wider, see the crate's
/// invariants).
pub fn arrow_type(field_type: &FieldType) -> DataType {
    match field_type.code {
        TypeCode::Tiny | TypeCode::Short | TypeCode::Int24 | TypeCode::Long | TypeCode::LongLong => {
            if field_type.is_unsigned() {
                DataType::UInt64
            } else {
                DataType::Int64
            }
        }
        TypeCode::Null | TypeCode::Year | TypeCode::Duration => DataType::Int64,
        TypeCode::Enum | TypeCode::Set | TypeCode::Bit => DataType::UInt64,
        TypeCode::Date | TypeCode::DateTime | TypeCode::Timestamp => DataType::UInt64,
        TypeCode::Float => DataType::Float32,
        TypeCode::Double => DataType::Float64,
        TypeCode::NewDecimal => DataType::Decimal128(38, decimal_scale(field_type) as i8),
        TypeCode::VarChar
        | TypeCode::VarString
        | TypeCode::String
        | TypeCode::TinyBlob
        | TypeCode::Blob
        | TypeCode::MediumBlob
        | TypeCode::LongBlob
        | TypeCode::Json => DataType::Binary,
    }
}

/// One value of an array, read as this SQL type.
///
/// # Panics
/// When the array is not of the type [`arrow_type`] tells.
pub fn datum_at(array: &dyn Array, row: usize, field_type: &FieldType) -> Datum {
    if array.is_null(row) {
        return Datum::Null;
    }
    match array.data_type() {
        DataType::Int64 => {
            let value = downcast::<Int64Array>(array).value(row);
            match field_type.code {
                TypeCode::Duration => Datum::Duration(Duration::from_micros_clamped(value)),
                TypeCode::Null => Datum::Null,
                _ => Datum::Int(value),
            }
        }
        DataType::UInt64 => {
            let value = downcast::<UInt64Array>(array).value(row);
            if field_type.is_time() {
                Datum::Time(Time::from_packed(value).unwrap_or(Time::ZERO))
            } else {
                Datum::UInt(value)
            }
        }
        DataType::Float32 => Datum::Float(downcast::<Float32Array>(array).value(row)),
        DataType::Float64 => Datum::Double(downcast::<Float64Array>(array).value(row)),
        DataType::Decimal128(_, scale) => {
            Datum::Decimal(Decimal::from_i128(downcast::<Decimal128Array>(array).value(row), *scale as u8))
        }
        DataType::Decimal256(_, scale) => {
            let value = downcast::<Decimal256Array>(array).value(row);
            Datum::Decimal(Decimal::from_i256(value, *scale as u8).unwrap_or_default())
        }
        DataType::Binary => {
            let value = downcast::<BinaryArray>(array).value(row);
            if field_type.code == TypeCode::Json {
                Datum::Json(JsonRef::from_binary(value).map_or_else(|_| Json::null(), JsonRef::to_json))
            } else {
                Datum::Bytes(value.to_vec())
            }
        }
        DataType::Boolean => Datum::Int(i64::from(array.as_boolean().value(row))),
        DataType::Null => Datum::Null,
        other => unreachable!("no column of a chunk is of type {other}"),
    }
}

fn downcast<T: 'static>(array: &dyn Array) -> &T {
    array.as_any().downcast_ref::<T>().expect("the data type names the array type")
}
