//! What the evaluation of an expression over a chunk gives: a column, a mask, or one value for all rows.
//!
//! Kernels look at their arguments through the typed views ([`Operand`], [`Strings`], [`Decimals`]), so that "column
//! against constant" needs no column of equal values.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Decimal128Array, Decimal256Array, Float64Array,
    Int64Array, UInt64Array,
};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::datatypes::{ArrowPrimitiveType, DataType, Float64Type, Int64Type, UInt64Type};
use tidewater_chunk::{ColumnBuilder, datum_at, is_unsigned_column};
use tidewater_types::{Datum, Decimal, FieldType};

/// The result of an expression over a chunk.
#[derive(Debug, Clone)]
pub enum Value {
    /// One value per row.
    Array(ArrayRef),
    /// A truth value per row; as a column it is BIGINT 0 and 1.
    Boolean(BooleanArray),
    /// The same value for every row.
    Constant(Datum),
}

impl Value {
    /// NULL for every row.
    pub const NULL: Self = Self::Constant(Datum::Null);

    /// As a column of `rows` values of this type.
    pub fn into_array(self, field_type: &FieldType, rows: usize) -> ArrayRef {
        match self {
            Self::Array(array) => array,
            Self::Boolean(mask) => Arc::new(mask_to_ints(&mask)),
            Self::Constant(datum) => repeat(&datum, field_type, rows),
        }
    }

    /// One row's value.
    pub fn datum(&self, row: usize, field_type: &FieldType) -> Datum {
        match self {
            Self::Array(array) => datum_at(array.as_ref(), row, field_type),
            Self::Boolean(mask) if mask.is_null(row) => Datum::Null,
            Self::Boolean(mask) => Datum::Int(i64::from(mask.value(row))),
            Self::Constant(datum) => datum.clone(),
        }
    }

    /// Whether this is a NULL constant.
    pub fn is_null_constant(&self) -> bool {
        matches!(self, Self::Constant(Datum::Null))
    }

    /// Masks become integer columns, everything else stays.
    pub(crate) fn without_mask(self) -> Self {
        match self {
            Self::Boolean(mask) => Self::Array(Arc::new(mask_to_ints(&mask))),
            other => other,
        }
    }

    /// As signed integers (of an Int64 column, TIME included).
    pub fn ints(&self) -> Operand<'_, i64> {
        match self {
            Self::Array(array) => match array.as_primitive_opt::<Int64Type>() {
                Some(ints) => Operand::Column(ints.values(), ints.nulls()),
                // The planner may hand us unsigned columns where MySQL would reinterpret: so do we.
                None => match array.as_primitive_opt::<UInt64Type>() {
                    Some(uints) => Operand::Column(reinterpret_u64(uints.values()), uints.nulls()),
                    None => Operand::Constant(None),
                },
            },
            Self::Boolean(_) => Operand::Constant(None),
            Self::Constant(datum) => Operand::Constant(datum_i64(datum)),
        }
    }

    /// As unsigned integers (of a UInt64 column, packed times included).
    pub fn uints(&self) -> Operand<'_, u64> {
        match self {
            Self::Array(array) => match array.as_primitive_opt::<UInt64Type>() {
                Some(uints) => Operand::Column(uints.values(), uints.nulls()),
                None => match array.as_primitive_opt::<Int64Type>() {
                    Some(ints) => Operand::Column(reinterpret_i64(ints.values()), ints.nulls()),
                    None => Operand::Constant(None),
                },
            },
            Self::Boolean(_) => Operand::Constant(None),
            Self::Constant(datum) => Operand::Constant(datum_u64(datum)),
        }
    }

    /// As doubles.
    pub fn doubles(&self) -> Operand<'_, f64> {
        match self {
            Self::Array(array) => match array.as_primitive_opt::<Float64Type>() {
                Some(doubles) => Operand::Column(doubles.values(), doubles.nulls()),
                None => Operand::Constant(None),
            },
            Self::Boolean(_) => Operand::Constant(None),
            Self::Constant(datum) => Operand::Constant(datum_f64(datum)),
        }
    }

    /// As strings (or JSON documents).
    pub fn strings(&self) -> Strings<'_> {
        match self {
            Self::Array(array) => match array.as_any().downcast_ref::<BinaryArray>() {
                Some(strings) => Strings::Column(strings),
                None => Strings::Constant(None),
            },
            Self::Boolean(_) => Strings::Constant(None),
            Self::Constant(Datum::Bytes(bytes)) => Strings::Constant(Some(bytes)),
            Self::Constant(Datum::Json(json)) => Strings::Constant(Some(json.as_bytes())),
            Self::Constant(_) => Strings::Constant(None),
        }
    }

    /// As decimals.
    pub fn decimals(&self) -> Decimals<'_> {
        match self {
            Self::Array(array) => {
                if let Some(narrow) = array.as_any().downcast_ref::<Decimal128Array>() {
                    Decimals::Narrow(narrow)
                } else if let Some(wide) = array.as_any().downcast_ref::<Decimal256Array>() {
                    Decimals::Wide(wide)
                } else {
                    Decimals::Constant(None)
                }
            }
            Self::Boolean(_) => Decimals::Constant(None),
            Self::Constant(datum) => Decimals::Constant(match datum {
                Datum::Decimal(d) => Some(*d),
                Datum::Int(i) => Some(Decimal::from_i64(*i)),
                Datum::UInt(u) => Some(Decimal::from_u64(*u)),
                _ => None,
            }),
        }
    }
}

/// A fixed-width argument.
#[derive(Debug, Clone, Copy)]
pub enum Operand<'a, T: Copy> {
    /// One per row, and which are not NULL.
    Column(&'a [T], Option<&'a NullBuffer>),
    /// The same for all.
    Constant(Option<T>),
}

impl<'a, T: Copy> Operand<'a, T> {
    /// One row's value.
    #[inline]
    pub fn get(&self, row: usize) -> Option<T> {
        match self {
            Self::Column(values, nulls) => match nulls {
                Some(nulls) if nulls.is_null(row) => None,
                _ => Some(values[row]),
            },
            Self::Constant(value) => *value,
        }
    }

    /// Which rows are not NULL, if some are; constants have none here.
    pub fn nulls(&self) -> Option<&'a NullBuffer> {
        match self {
            Self::Column(_, nulls) => *nulls,
            Self::Constant(_) => None,
        }
    }
}

/// A string argument.
#[derive(Debug, Clone, Copy)]
pub enum Strings<'a> {
    /// One per row.
    Column(&'a BinaryArray),
    /// The same for all.
    Constant(Option<&'a [u8]>),
}

impl<'a> Strings<'a> {
    /// One row's value.
    #[inline]
    pub fn get(&self, row: usize) -> Option<&'a [u8]> {
        match self {
            Self::Column(array) if array.is_null(row) => None,
            Self::Column(array) => Some(array.value(row)),
            Self::Constant(value) => *value,
        }
    }

    /// Which rows are not NULL, if some are.
    pub fn nulls(&self) -> Option<&'a NullBuffer> {
        match *self {
            Self::Column(array) => array.nulls(),
            Self::Constant(_) => None,
        }
    }
}

/// A decimal argument.
#[derive(Debug, Clone, Copy)]
pub enum Decimals<'a> {
    /// At most 38 digits each.
    Narrow(&'a Decimal128Array),
    /// Up to 65 digits.
    Wide(&'a Decimal256Array),
    /// The same for all.
    Constant(Option<Decimal>),
}

impl Decimals<'_> {
    /// One row's value.
    #[inline]
    pub fn get(&self, row: usize) -> Option<Decimal> {
        match self {
            Self::Narrow(array) if array.is_null(row) => None,
            Self::Narrow(array) => Some(Decimal::from_i128(array.value(row), array.scale() as u8)),
            Self::Wide(array) if array.is_null(row) => None,
            Self::Wide(array) => Decimal::from_i256(array.value(row), array.scale() as u8),
            Self::Constant(value) => *value,
        }
    }
}

/// A column of one value.
pub fn repeat(datum: &Datum, field_type: &FieldType, rows: usize) -> ArrayRef {
    match (datum, tidewater_chunk::arrow_type(field_type)) {
        (Datum::Int(value), DataType::Int64) => Arc::new(Int64Array::from_value(*value, rows)),
        (Datum::Int(value), DataType::UInt64) => Arc::new(UInt64Array::from_value(*value as u64, rows)),
        (Datum::UInt(value), DataType::UInt64) => Arc::new(UInt64Array::from_value(*value, rows)),
        (Datum::Time(value), DataType::UInt64) => Arc::new(UInt64Array::from_value(value.packed(), rows)),
        (Datum::Double(value), DataType::Float64) => Arc::new(Float64Array::from_value(*value, rows)),
        _ => {
            let mut builder = ColumnBuilder::new(field_type, rows);
            for _ in 0..rows {
                builder.append(datum);
            }
            builder.finish()
        }
    }
}

/// 0 and 1 for a mask.
pub fn mask_to_ints(mask: &BooleanArray) -> Int64Array {
    let values = mask.values();
    let ints: Vec<i64> = (0..mask.len()).map(|i| i64::from(values.value(i))).collect();
    Int64Array::new(ints.into(), mask.nulls().cloned())
}

/// A mask of `rows` bits with one value.
pub fn constant_mask(value: Option<bool>, rows: usize) -> BooleanArray {
    match value {
        Some(true) => BooleanArray::new(BooleanBuffer::new_set(rows), None),
        Some(false) => BooleanArray::new(BooleanBuffer::new_unset(rows), None),
        None => BooleanArray::new_null(rows),
    }
}

/// MySQL's truth of each row: a number other than zero; text counts by its numeric prefix.
pub fn truth(value: &Value, field_type: &FieldType, rows: usize) -> BooleanArray {
    match value {
        Value::Boolean(mask) => mask.clone(),
        Value::Constant(datum) => constant_mask(datum_truth(datum), rows),
        Value::Array(array) => match array.data_type() {
            DataType::Int64 => nonzero::<Int64Type>(array, |v| v != 0),
            DataType::UInt64 => nonzero::<UInt64Type>(array, |v| v != 0),
            DataType::Float64 => nonzero::<Float64Type>(array, |v| v != 0.0),
            DataType::Decimal128(..) => nonzero::<arrow::datatypes::Decimal128Type>(array, |v| v != 0),
            DataType::Boolean => array.as_boolean().clone(),
            _ => {
                (0..array.len()).map(|row| datum_truth(&datum_at(array.as_ref(), row, field_type))).collect()
            }
        },
    }
}

fn nonzero<T: ArrowPrimitiveType>(array: &ArrayRef, test: impl Fn(T::Native) -> bool) -> BooleanArray {
    let array = array.as_primitive::<T>();
    let values = array.values();
    BooleanArray::new(BooleanBuffer::collect_bool(array.len(), |i| test(values[i])), array.nulls().cloned())
}

/// MySQL's truth of one value; `None` for NULL.
pub fn datum_truth(datum: &Datum) -> Option<bool> {
    Some(match datum {
        Datum::Null => return None,
        Datum::Int(v) => *v != 0,
        Datum::UInt(v) => *v != 0,
        Datum::Float(v) => *v != 0.0,
        Datum::Double(v) => *v != 0.0,
        Datum::Decimal(v) => !v.is_zero(),
        Datum::Bytes(v) => tidewater_types::number::parse_f64(v).value != 0.0,
        Datum::Time(v) => !v.is_zero(),
        Datum::Duration(v) => v.micros() != 0,
        Datum::Json(v) => json_truth(v),
    })
}

fn json_truth(json: &tidewater_types::Json) -> bool {
    // A JSON document is true unless it is a number equal to zero.
    let mut text = Vec::new();
    json.as_ref().write_to(&mut text);
    !matches!(text.first(), Some(b'0'..=b'9' | b'-'))
        || tidewater_types::number::parse_f64(&text).value != 0.0
}

fn datum_i64(datum: &Datum) -> Option<i64> {
    match datum {
        Datum::Int(v) => Some(*v),
        Datum::UInt(v) => Some(*v as i64),
        Datum::Duration(v) => Some(v.micros()),
        Datum::Time(v) => Some(v.packed() as i64),
        _ => None,
    }
}

fn datum_u64(datum: &Datum) -> Option<u64> {
    match datum {
        Datum::Int(v) => Some(*v as u64),
        Datum::UInt(v) => Some(*v),
        Datum::Time(v) => Some(v.packed()),
        _ => None,
    }
}

fn datum_f64(datum: &Datum) -> Option<f64> {
    match datum {
        Datum::Double(v) => Some(*v),
        Datum::Float(v) => Some(f64::from(*v)),
        Datum::Int(v) => Some(*v as f64),
        Datum::UInt(v) => Some(*v as f64),
        Datum::Decimal(v) => Some(v.to_f64()),
        _ => None,
    }
}

fn reinterpret_u64(values: &[u64]) -> &[i64] {
    // SAFETY: both are 64-bit integers without invalid patterns, of one alignment.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), values.len()) }
}

fn reinterpret_i64(values: &[i64]) -> &[u64] {
    // SAFETY: both are 64-bit integers without invalid patterns, of one alignment.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), values.len()) }
}

/// Whether a value of this type is held unsigned.
pub fn is_unsigned(field_type: &FieldType) -> bool {
    is_unsigned_column(field_type)
}
