//! TypeChunk: columns one after another, each as it lies in the memory of a TiDB server.
//!
//! ```text
//! column = row count u32, null count u32, [validity bits: set means a value], [offsets (n + 1) x i64], data
//! ```
//! All little-endian. The bits are there if there is a NULL, the offsets if the values differ in length. A NULL takes a place
//! among values of equal length.
//!
//! HOT: a column of the usual kind is one pass over its values; nothing is allocated per value.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, Float32Array, Float64Array, Int64Array, UInt64Array,
};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Decimal128Type, Float32Type, Float64Type, Int64Type, UInt64Type};
use tidewater_types::{Decimal, Duration, FieldType, Time, TypeCode};

use super::WireError;
use super::decimal::{self, DECIMAL_BYTES};
use crate::batch::Chunk;
use crate::builder::ColumnBuilder;
use crate::decimal::{DecimalVec, decimal_scale};
use crate::value::{arrow_type, datum_at};

const NANOS_PER_MICRO: i64 = 1000;
/// Marks a DATE where other times have their fraction's digits.
const DATE_MARK: u64 = 0b1110;

/// How the values of a column lie.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Int,
    UInt,
    Double,
    Float,
    Time,
    Duration,
    Decimal,
    /// A number, then a name.
    Named,
    /// Big-endian bytes.
    Bits,
    Bytes,
    /// Nothing but NULLs.
    Nulls,
}

impl Form {
    fn of(field_type: &FieldType) -> Form {
        match field_type.code {
            TypeCode::Tiny | TypeCode::Short | TypeCode::Int24 | TypeCode::Long | TypeCode::LongLong => {
                if field_type.is_unsigned() {
                    Form::UInt
                } else {
                    Form::Int
                }
            }
            TypeCode::Year => Form::Int,
            TypeCode::Double => Form::Double,
            TypeCode::Float => Form::Float,
            TypeCode::Date | TypeCode::DateTime | TypeCode::Timestamp => Form::Time,
            TypeCode::Duration => Form::Duration,
            TypeCode::NewDecimal => Form::Decimal,
            TypeCode::Enum | TypeCode::Set => Form::Named,
            TypeCode::Bit => Form::Bits,
            TypeCode::Null => Form::Nulls,
            _ => Form::Bytes,
        }
    }

    /// Bytes of a value, if all have as many.
    fn width(self) -> Option<usize> {
        match self {
            Form::Int | Form::UInt | Form::Double | Form::Time | Form::Duration => Some(8),
            Form::Float => Some(4),
            Form::Decimal => Some(DECIMAL_BYTES),
            Form::Named | Form::Bits | Form::Bytes | Form::Nulls => None,
        }
    }
}

/// Whether columns of these types can be written: an ENUM or SET must know the names of its members.
pub fn fits_columns(types: &[FieldType]) -> bool {
    types.iter().all(|field_type| Form::of(field_type) != Form::Named || !field_type.elements.is_empty())
}

/// Appends a chunk.
pub fn encode_columns(chunk: &Chunk, types: &[FieldType], out: &mut Vec<u8>) {
    for (column, field_type) in chunk.columns().iter().zip(types) {
        encode_column(column, field_type, out);
    }
}

fn encode_column(column: &ArrayRef, field_type: &FieldType, out: &mut Vec<u8>) {
    let form = Form::of(field_type);
    let usual = *column.data_type() == arrow_type(field_type);
    // A wide decimal column is usual, too; anything else (a mask, say) is brought into the declared form first.
    if !usual
        && !matches!(
            (form, column.data_type()),
            (Form::Decimal, DataType::Decimal256(..) | DataType::Decimal128(..))
        )
    {
        let mut builder = ColumnBuilder::new(field_type, column.len());
        (0..column.len()).for_each(|row| builder.append(&datum_at(column.as_ref(), row, field_type)));
        return encode_column(&builder.finish(), field_type, out);
    }
    let (rows, nulls) = (column.len(), if form == Form::Nulls { column.len() } else { column.null_count() });
    out.extend_from_slice(&(rows as u32).to_le_bytes());
    out.extend_from_slice(&(nulls as u32).to_le_bytes());
    if nulls > 0 {
        match column.nulls().filter(|_| form != Form::Nulls) {
            Some(valid) => out.extend_from_slice(&valid.inner().sliced()[..rows.div_ceil(8)]),
            None => out.resize(out.len() + rows.div_ceil(8), 0),
        }
    }
    match form.width() {
        Some(width) => {
            out.reserve(rows * width);
            encode_fixed(column, form, field_type, out);
        }
        None => encode_variable(column, form, field_type, out),
    }
}

fn encode_fixed(column: &ArrayRef, form: Form, field_type: &FieldType, out: &mut Vec<u8>) {
    match form {
        Form::Int => put_all(column.as_primitive::<Int64Type>().values(), i64::to_le_bytes, out),
        Form::UInt => put_all(column.as_primitive::<UInt64Type>().values(), u64::to_le_bytes, out),
        Form::Double => put_all(column.as_primitive::<Float64Type>().values(), f64::to_le_bytes, out),
        Form::Float => put_all(column.as_primitive::<Float32Type>().values(), f32::to_le_bytes, out),
        Form::Duration => {
            let nanos = |micros: i64| micros.saturating_mul(NANOS_PER_MICRO).to_le_bytes();
            put_all(column.as_primitive::<Int64Type>().values(), nanos, out);
        }
        Form::Time => {
            let mark = time_mark(field_type);
            let core = |packed: u64| core_time(packed, mark).to_le_bytes();
            put_all(column.as_primitive::<UInt64Type>().values(), core, out);
        }
        _ => encode_decimals(column, field_type, out),
    }
}

fn put_all<T: Copy, const N: usize>(values: &[T], bytes: impl Fn(T) -> [u8; N], out: &mut Vec<u8>) {
    values.iter().for_each(|value| out.extend_from_slice(&bytes(*value)));
}

fn encode_decimals(column: &ArrayRef, field_type: &FieldType, out: &mut Vec<u8>) {
    if let DataType::Decimal128(_, scale) = column.data_type() {
        let scale = *scale as u8;
        let values = column.as_primitive::<Decimal128Type>().values();
        return values.iter().for_each(|value| decimal::write(Decimal::from_i128(*value, scale), out));
    }
    for row in 0..column.len() {
        match datum_at(column.as_ref(), row, field_type) {
            tidewater_types::Datum::Decimal(value) => decimal::write(value, out),
            _ => out.resize(out.len() + DECIMAL_BYTES, 0),
        }
    }
}

/// The low bits of a time: the fraction's digits and whether it is a TIMESTAMP, or that it is a DATE.
fn time_mark(field_type: &FieldType) -> u64 {
    match field_type.code {
        TypeCode::Date => DATE_MARK,
        code => u64::from(field_type.fsp().min(6)) << 1 | u64::from(code == TypeCode::Timestamp),
    }
}

fn core_time(packed: u64, mark: u64) -> u64 {
    let (year_month, below) = (packed >> 46, packed & ((1 << 46) - 1));
    let (day_to_second, micro) = (below >> 24, below & 0xff_ffff);
    (year_month / 13) << 50 | (year_month % 13) << 46 | day_to_second << 24 | (micro & 0xf_ffff) << 4 | mark
}

fn packed_time(core: u64) -> Result<u64, WireError> {
    let (year, month) = (core >> 50, core >> 46 & 15);
    let (day_to_second, micro) = (core >> 24 & ((1 << 22) - 1), core >> 4 & 0xf_ffff);
    let packed = (year * 13 + month) << 46 | day_to_second << 24 | micro;
    match Time::from_packed(packed) {
        Some(_) if month <= 12 => Ok(packed),
        _ => Err(WireError::Malformed("time")),
    }
}

fn encode_variable(column: &ArrayRef, form: Form, field_type: &FieldType, out: &mut Vec<u8>) {
    let rows = column.len();
    let table = out.len();
    let data = table + (rows + 1) * 8;
    out.resize(data, 0);
    for row in 0..rows {
        if form != Form::Nulls && column.is_valid(row) {
            match form {
                Form::Bytes => out.extend_from_slice(column.as_binary::<i32>().value(row)),
                Form::Named => put_named(column.as_primitive::<UInt64Type>().value(row), field_type, out),
                _ => {
                    let bytes = column.as_primitive::<UInt64Type>().value(row).to_be_bytes();
                    out.extend_from_slice(&bytes[8 - bit_bytes(field_type)..]);
                }
            }
        }
        let end = (out.len() - data) as i64;
        out[table + (row + 1) * 8..table + (row + 2) * 8].copy_from_slice(&end.to_le_bytes());
    }
}

fn bit_bytes(field_type: &FieldType) -> usize {
    usize::try_from(field_type.length).unwrap_or(0).div_ceil(8).clamp(1, 8)
}

/// The number of an ENUM or the bits of a SET, then the text.
fn put_named(value: u64, field_type: &FieldType, out: &mut Vec<u8>) {
    out.extend_from_slice(&value.to_le_bytes());
    let names = field_type.elements.iter();
    if field_type.code == TypeCode::Enum {
        if let Some(name) =
            usize::try_from(value).ok().and_then(|at| field_type.elements.get(at.wrapping_sub(1)))
        {
            out.extend_from_slice(name.as_bytes());
        }
        return;
    }
    let mut members = names.enumerate().filter(|(bit, _)| value >> bit & 1 == 1).map(|(_, name)| name);
    if let Some(first) = members.next() {
        out.extend_from_slice(first.as_bytes());
    }
    for name in members {
        out.push(b',');
        out.extend_from_slice(name.as_bytes());
    }
}

/// Reads a chunk of columns of these types.
pub fn decode_columns(bytes: &[u8], types: &[FieldType]) -> Result<Chunk, WireError> {
    let mut input = Input(bytes);
    let mut columns = Vec::with_capacity(types.len());
    let mut rows = None;
    for field_type in types {
        let column = decode_column(&mut input, field_type)?;
        if *rows.get_or_insert(column.len()) != column.len() {
            return Err(WireError::Malformed("row count"));
        }
        columns.push(column);
    }
    if !input.0.is_empty() {
        return Err(WireError::Malformed("end"));
    }
    Ok(Chunk::new(columns, rows.unwrap_or(0)))
}

/// What is left to read.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, len: usize, what: &'static str) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(WireError::Truncated(what))?;
        self.0 = rest;
        Ok(taken)
    }

    fn u32(&mut self) -> Result<usize, WireError> {
        let bytes = self.take(4, "counts")?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize)
    }
}

fn decode_column(input: &mut Input<'_>, field_type: &FieldType) -> Result<ArrayRef, WireError> {
    let form = Form::of(field_type);
    let (rows, null_count) = (input.u32()?, input.u32()?);
    let nulls = if null_count > 0 {
        let bits = input.take(rows.div_ceil(8), "validity bits")?;
        Some(NullBuffer::new(BooleanBuffer::new(Buffer::from_slice_ref(bits), 0, rows)))
    } else {
        None
    };
    match form.width() {
        Some(width) => {
            let len = rows.checked_mul(width).ok_or(WireError::Malformed("row count"))?;
            decode_fixed(input.take(len, "values")?, form, field_type, nulls)
        }
        None => decode_variable(input, rows, form, nulls),
    }
}

fn decode_fixed(
    data: &[u8],
    form: Form,
    field_type: &FieldType,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef, WireError> {
    let valid = |row: usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
    let words = || words::<8>(data);
    Ok(match form {
        Form::Int => Arc::new(Int64Array::new(words().map(i64::from_le_bytes).collect(), nulls)),
        Form::UInt => Arc::new(UInt64Array::new(words().map(u64::from_le_bytes).collect(), nulls)),
        Form::Double => Arc::new(Float64Array::new(words().map(f64::from_le_bytes).collect(), nulls)),
        Form::Float => Arc::new(Float32Array::new(words_of_float(data), nulls)),
        Form::Duration => {
            let micros = words().enumerate().map(|(row, word)| {
                let micros = i64::from_le_bytes(word) / NANOS_PER_MICRO;
                let known = !valid(row) || Duration::from_micros(micros).is_some();
                if known { Ok(micros) } else { Err(WireError::Malformed("duration")) }
            });
            let micros: Vec<i64> = micros.collect::<Result<_, _>>()?;
            Arc::new(Int64Array::new(micros.into(), nulls))
        }
        Form::Time => {
            let packed = words()
                .enumerate()
                .map(|(row, word)| if valid(row) { packed_time(u64::from_le_bytes(word)) } else { Ok(0) });
            let packed: Vec<u64> = packed.collect::<Result<_, _>>()?;
            Arc::new(UInt64Array::new(packed.into(), nulls))
        }
        _ => {
            let mut values = DecimalVec::new(decimal_scale(field_type), data.len() / DECIMAL_BYTES);
            for (row, bytes) in self::words::<DECIMAL_BYTES>(data).enumerate() {
                if valid(row) { values.push(decimal::read(&bytes)?) } else { values.push_i128(0) }
            }
            values.finish(nulls)
        }
    })
}

fn words<const N: usize>(data: &[u8]) -> impl Iterator<Item = [u8; N]> {
    data.chunks_exact(N).map(|chunk| {
        let mut word = [0; N];
        word.copy_from_slice(chunk);
        word
    })
}

fn words_of_float(data: &[u8]) -> ScalarBuffer<f32> {
    words::<4>(data).map(f32::from_le_bytes).collect()
}

fn decode_variable(
    input: &mut Input<'_>,
    rows: usize,
    form: Form,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef, WireError> {
    let table_len =
        rows.checked_add(1).and_then(|n| n.checked_mul(8)).ok_or(WireError::Malformed("row count"))?;
    let table = input.take(table_len, "offsets")?;
    let mut offsets: Vec<i32> = Vec::with_capacity(rows + 1);
    for word in words::<8>(table) {
        // A column of ours stays below 2 GiB.
        let offset = i32::try_from(i64::from_le_bytes(word)).map_err(|_| WireError::Malformed("offset"))?;
        if offset < offsets.last().copied().unwrap_or(0) || (offsets.is_empty() && offset != 0) {
            return Err(WireError::Malformed("offset"));
        }
        offsets.push(offset);
    }
    let len = offsets.last().copied().unwrap_or(0) as usize;
    let data = input.take(len, "values")?;
    let value = |row: usize| &data[offsets[row] as usize..offsets[row + 1] as usize];
    let valid = |row: usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
    Ok(match form {
        Form::Nulls => Arc::new(Int64Array::new_null(rows)),
        Form::Bytes => {
            let values = Buffer::from_slice_ref(data);
            Arc::new(BinaryArray::new(OffsetBuffer::new(ScalarBuffer::from(offsets)), values, nulls))
        }
        _ => {
            let numbers = (0..rows).map(|row| match (valid(row), form) {
                (false, _) => Ok(0),
                (true, Form::Named) => named_number(value(row)),
                (true, _) => bits_number(value(row)),
            });
            let numbers: Vec<u64> = numbers.collect::<Result<_, _>>()?;
            Arc::new(UInt64Array::new(numbers.into(), nulls))
        }
    })
}

fn named_number(value: &[u8]) -> Result<u64, WireError> {
    let (number, _) = value.split_first_chunk::<8>().ok_or(WireError::Malformed("ENUM or SET"))?;
    Ok(u64::from_le_bytes(*number))
}

fn bits_number(value: &[u8]) -> Result<u64, WireError> {
    if value.len() > 8 {
        return Err(WireError::Malformed("BIT"));
    }
    Ok(value.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}
