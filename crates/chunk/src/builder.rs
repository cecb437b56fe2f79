//! Values into columns.

use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, Float32Array, Float64Array, Int64Array, UInt64Array};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow_buffer::NullBufferBuilder;
use tidewater_types::{Datum, Decimal, Duration, FieldType, Time, TimeZone, TypeCode};

use crate::batch::Chunk;
use crate::decimal::{DecimalVec, decimal_scale, scaled_from_mysql_bin, upscale};
use crate::row_decoder::RowDecodeError;
use crate::value::{arrow_type, datum_at};

/// A column under construction.
#[derive(Debug)]
pub struct ColumnBuilder {
    values: Values,
    nulls: NullBufferBuilder,
    code: TypeCode,
}

#[derive(Debug)]
enum Values {
    Int(Vec<i64>),
    UInt(Vec<u64>),
    /// Packed times; TIMESTAMPs among them are turned from UTC into the session's zone when decoded.
    Time(Vec<u64>),
    Duration(Vec<i64>),
    Float(Vec<f32>),
    Double(Vec<f64>),
    Decimal(DecimalVec),
    Bytes {
        offsets: Vec<i32>,
        data: Vec<u8>,
    },
}

impl ColumnBuilder {
    /// A builder of a column of this type, with room for `capacity` rows.
    pub fn new(field_type: &FieldType, capacity: usize) -> Self {
        let values = match field_type.code {
            TypeCode::Duration => Values::Duration(Vec::with_capacity(capacity)),
            TypeCode::Date | TypeCode::DateTime | TypeCode::Timestamp => {
                Values::Time(Vec::with_capacity(capacity))
            }
            TypeCode::NewDecimal => Values::Decimal(DecimalVec::new(decimal_scale(field_type), capacity)),
            _ => match arrow_type(field_type) {
                arrow::datatypes::DataType::Int64 => Values::Int(Vec::with_capacity(capacity)),
                arrow::datatypes::DataType::UInt64 => Values::UInt(Vec::with_capacity(capacity)),
                arrow::datatypes::DataType::Float32 => Values::Float(Vec::with_capacity(capacity)),
                arrow::datatypes::DataType::Float64 => Values::Double(Vec::with_capacity(capacity)),
                _ => {
                    let mut offsets = Vec::with_capacity(capacity + 1);
                    offsets.push(0);
                    Values::Bytes { offsets, data: Vec::with_capacity(capacity.saturating_mul(16)) }
                }
            },
        };
        Self { values, nulls: NullBufferBuilder::new(capacity), code: field_type.code }
    }

    /// Rows so far.
    pub fn len(&self) -> usize {
        self.nulls.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends NULL.
    #[inline]
    pub fn append_null(&mut self) {
        self.nulls.append_null();
        match &mut self.values {
            Values::Int(v) | Values::Duration(v) => v.push(0),
            Values::UInt(v) | Values::Time(v) => v.push(0),
            Values::Float(v) => v.push(0.0),
            Values::Double(v) => v.push(0.0),
            Values::Decimal(v) => v.push_i128(0),
            Values::Bytes { offsets, data } => offsets.push(data.len() as i32),
        }
    }

    /// Appends an integer to an integer (or YEAR) column, TIME as its microseconds.
    #[inline]
    pub fn append_i64(&mut self, value: i64) {
        self.nulls.append_non_null();
        match &mut self.values {
            Values::Int(v) | Values::Duration(v) => v.push(value),
            Values::UInt(v) | Values::Time(v) => v.push(value as u64),
            Values::Float(v) => v.push(value as f32),
            Values::Double(v) => v.push(value as f64),
            Values::Decimal(v) => v.push(Decimal::from_i64(value)),
            Values::Bytes { .. } => {
                push_text(&mut self.values, |out| tidewater_types::number::write_i64(value, out))
            }
        }
    }

    /// Appends an integer to an unsigned, ENUM, SET or BIT column, or a packed time.
    #[inline]
    pub fn append_u64(&mut self, value: u64) {
        self.nulls.append_non_null();
        match &mut self.values {
            Values::Int(v) | Values::Duration(v) => v.push(value as i64),
            Values::UInt(v) | Values::Time(v) => v.push(value),
            Values::Float(v) => v.push(value as f32),
            Values::Double(v) => v.push(value as f64),
            Values::Decimal(v) => v.push(Decimal::from_u64(value)),
            Values::Bytes { .. } => {
                push_text(&mut self.values, |out| tidewater_types::number::write_u64(value, out))
            }
        }
    }

    /// Appends a number to a FLOAT or DOUBLE column.
    #[inline]
    pub fn append_f64(&mut self, value: f64) {
        match &mut self.values {
            Values::Double(v) => {
                v.push(value);
                self.nulls.append_non_null();
            }
            Values::Float(v) => {
                v.push(value as f32);
                self.nulls.append_non_null();
            }
            _ => self.append(&Datum::Double(value)),
        }
    }

    /// Appends a decimal, rounded to the column's scale.
    pub fn append_decimal(&mut self, value: Decimal) {
        match &mut self.values {
            Values::Decimal(v) => {
                v.push(value);
                self.nulls.append_non_null();
            }
            _ => self.append(&Datum::Decimal(value)),
        }
    }

    /// Appends a string, or a JSON document in its binary form.
    #[inline]
    pub fn append_bytes(&mut self, value: &[u8]) {
        match &mut self.values {
            Values::Bytes { offsets, data } => {
                data.extend_from_slice(value);
                offsets.push(i32::try_from(data.len()).expect("a column of a chunk stays below 2 GiB"));
                self.nulls.append_non_null();
            }
            _ => self.append(&Datum::Bytes(value.to_vec())),
        }
    }

    /// Appends a time.
    pub fn append_time(&mut self, value: Time) {
        self.append_u64(value.packed());
    }

    /// Appends a TIME.
    pub fn append_duration(&mut self, value: Duration) {
        self.append_i64(value.micros());
    }

    /// Appends a value of the column's type. A value of another type is brought over in the plainest way (numbers by
    /// value, anything into strings by its text, text into numbers by its numeric prefix); conversion by SQL's rules
    /// is the caller's business.
    pub fn append(&mut self, value: &Datum) {
        match (&mut self.values, value) {
            (_, Datum::Null) => self.append_null(),
            (Values::Decimal(v), Datum::Decimal(d)) => {
                v.push(*d);
                self.nulls.append_non_null();
            }
            (Values::Decimal(v), Datum::Double(d)) => {
                v.push(Decimal::from_f64(*d).unwrap_or_default());
                self.nulls.append_non_null();
            }
            (Values::Decimal(v), Datum::Float(d)) => {
                v.push(Decimal::from_f64(f64::from(*d)).unwrap_or_default());
                self.nulls.append_non_null();
            }
            (Values::Bytes { .. }, Datum::Bytes(b)) => self.append_bytes(b),
            (Values::Bytes { .. }, Datum::Json(j)) => {
                if self.code == TypeCode::Json {
                    self.append_bytes(j.as_bytes());
                } else {
                    self.nulls.append_non_null();
                    push_text(&mut self.values, |out| j.as_ref().write_to(out));
                }
            }
            (_, Datum::Int(i)) => self.append_i64(*i),
            (_, Datum::UInt(u)) => self.append_u64(*u),
            (Values::Float(v), Datum::Float(f)) => {
                v.push(*f);
                self.nulls.append_non_null();
            }
            (Values::Double(v), other) => {
                v.push(plain_f64(other));
                self.nulls.append_non_null();
            }
            (Values::Float(v), other) => {
                v.push(plain_f64(other) as f32);
                self.nulls.append_non_null();
            }
            (Values::Time(_), Datum::Time(t)) => self.append_u64(t.packed()),
            (Values::Duration(_), Datum::Duration(d)) => self.append_i64(d.micros()),
            (Values::Bytes { .. }, other) => {
                self.nulls.append_non_null();
                push_text(&mut self.values, |out| plain_text(other, out));
            }
            (Values::Int(v), other) => {
                v.push(plain_f64(other).round() as i64);
                self.nulls.append_non_null();
            }
            (Values::UInt(v), other) => {
                v.push(plain_f64(other).round() as u64);
                self.nulls.append_non_null();
            }
            (Values::Decimal(v), other) => {
                v.push(Decimal::from_f64(plain_f64(other)).unwrap_or_default());
                self.nulls.append_non_null();
            }
            (Values::Time(_) | Values::Duration(_), _) => self.append_null(),
        }
    }

    /// Appends a value in the form of row format v2.
    #[inline]
    pub fn append_encoded(
        &mut self,
        bytes: &[u8],
        field_type: &FieldType,
        time_zone: &TimeZone,
    ) -> Result<(), RowDecodeError> {
        match &mut self.values {
            Values::Int(v) => v.push(signed(bytes)?),
            Values::UInt(v) => v.push(unsigned(bytes)?),
            Values::Time(v) => {
                let packed = unsigned(bytes)?;
                v.push(if field_type.code == TypeCode::Timestamp && packed != 0 {
                    let stored = Time::from_packed(packed).ok_or(RowDecodeError::Malformed("time"))?;
                    time_zone.timestamp_to_local(stored).packed()
                } else {
                    packed
                });
            }
            // Stored in nanoseconds, as TiDB does.
            Values::Duration(v) => v.push(signed(bytes)? / 1000),
            Values::Double(v) => v.push(comparable_f64(bytes)?),
            Values::Float(v) => v.push(comparable_f64(bytes)? as f32),
            Values::Decimal(v) => append_decimal_bytes(v, bytes)?,
            Values::Bytes { offsets, data } => {
                data.extend_from_slice(bytes);
                offsets.push(i32::try_from(data.len()).map_err(|_| RowDecodeError::TooLong)?);
            }
        }
        self.nulls.append_non_null();
        Ok(())
    }

    /// Appends one value of an array of the column's type.
    pub fn append_from(&mut self, array: &dyn arrow::array::Array, row: usize, field_type: &FieldType) {
        self.append(&datum_at(array, row, field_type));
    }

    /// Bytes held so far.
    pub fn memory_size(&self) -> usize {
        self.nulls.allocated_size()
            + match &self.values {
                Values::Int(v) | Values::Duration(v) => v.capacity() * 8,
                Values::UInt(v) | Values::Time(v) => v.capacity() * 8,
                Values::Float(v) => v.capacity() * 4,
                Values::Double(v) => v.capacity() * 8,
                Values::Decimal(v) => v.len() * 16,
                Values::Bytes { offsets, data } => offsets.capacity() * 4 + data.capacity(),
            }
    }

    /// The column.
    pub fn finish(mut self) -> ArrayRef {
        let nulls = self.nulls.finish();
        match self.values {
            Values::Int(v) | Values::Duration(v) => Arc::new(Int64Array::new(v.into(), nulls)),
            Values::UInt(v) | Values::Time(v) => Arc::new(UInt64Array::new(v.into(), nulls)),
            Values::Float(v) => Arc::new(Float32Array::new(v.into(), nulls)),
            Values::Double(v) => Arc::new(Float64Array::new(v.into(), nulls)),
            Values::Decimal(v) => v.finish(nulls),
            Values::Bytes { offsets, data } => {
                let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
                Arc::new(BinaryArray::new(offsets, data.into(), nulls))
            }
        }
    }
}

fn push_text(values: &mut Values, write: impl FnOnce(&mut Vec<u8>)) {
    if let Values::Bytes { offsets, data } = values {
        write(data);
        offsets.push(i32::try_from(data.len()).expect("a column of a chunk stays below 2 GiB"));
    }
}

fn plain_text(value: &Datum, out: &mut Vec<u8>) {
    use tidewater_types::number;
    match value {
        Datum::Null => {}
        Datum::Int(v) => number::write_i64(*v, out),
        Datum::UInt(v) => number::write_u64(*v, out),
        Datum::Float(v) => number::write_f32(*v, out),
        Datum::Double(v) => number::write_f64(*v, out),
        Datum::Decimal(v) => v.write_to(out),
        Datum::Bytes(v) => out.extend_from_slice(v),
        Datum::Time(v) => v.write_to(if v.micro() == 0 { 0 } else { 6 }, out),
        Datum::Duration(v) => v.write_to(if v.micro() == 0 { 0 } else { 6 }, out),
        Datum::Json(v) => v.as_ref().write_to(out),
    }
}

fn plain_f64(value: &Datum) -> f64 {
    match value {
        Datum::Null | Datum::Json(_) => 0.0,
        Datum::Int(v) => *v as f64,
        Datum::UInt(v) => *v as f64,
        Datum::Float(v) => f64::from(*v),
        Datum::Double(v) => *v,
        Datum::Decimal(v) => v.to_f64(),
        Datum::Bytes(v) => tidewater_types::number::parse_f64(v).value,
        Datum::Time(v) => v.to_number() as f64,
        Datum::Duration(v) => v.micros() as f64 / 1e6,
    }
}

/// A minimal-width little-endian signed integer.
#[inline]
fn signed(bytes: &[u8]) -> Result<i64, RowDecodeError> {
    Ok(match *bytes {
        [a] => i64::from(a as i8),
        [a, b] => i64::from(i16::from_le_bytes([a, b])),
        [a, b, c, d] => i64::from(i32::from_le_bytes([a, b, c, d])),
        [a, b, c, d, e, f, g, h] => i64::from_le_bytes([a, b, c, d, e, f, g, h]),
        _ => return Err(RowDecodeError::Malformed("integer")),
    })
}

/// A minimal-width little-endian unsigned integer.
#[inline]
fn unsigned(bytes: &[u8]) -> Result<u64, RowDecodeError> {
    Ok(match *bytes {
        [a] => u64::from(a),
        [a, b] => u64::from(u16::from_le_bytes([a, b])),
        [a, b, c, d] => u64::from(u32::from_le_bytes([a, b, c, d])),
        [a, b, c, d, e, f, g, h] => u64::from_le_bytes([a, b, c, d, e, f, g, h]),
        _ => return Err(RowDecodeError::Malformed("unsigned integer")),
    })
}

#[inline]
fn comparable_f64(bytes: &[u8]) -> Result<f64, RowDecodeError> {
    let bits = u64::from_be_bytes(bytes.try_into().map_err(|_| RowDecodeError::Malformed("double"))?);
    Ok(f64::from_bits(if bits >> 63 == 1 { bits & !(1 << 63) } else { !bits }))
}

/// Precision, scale, MySQL's binary form.
#[inline]
fn append_decimal_bytes(values: &mut DecimalVec, bytes: &[u8]) -> Result<(), RowDecodeError> {
    let [precision, scale, digits @ ..] = bytes else { return Err(RowDecodeError::Malformed("decimal")) };
    if let Some(scaled) = scaled_from_mysql_bin(digits, *precision, *scale) {
        if *scale == values.scale() {
            values.push_i128(scaled);
            return Ok(());
        }
        if let Some(upscaled) = upscale(scaled, *scale, values.scale()) {
            values.push_i128(upscaled);
            return Ok(());
        }
    }
    let (value, _) = Decimal::from_mysql_bin(digits, *precision, *scale)
        .map_err(|_| RowDecodeError::Malformed("decimal"))?;
    values.push(value);
    Ok(())
}

/// Rows into a chunk. For edges and small results; scans use [`RowDecoder`](crate::RowDecoder).
#[derive(Debug)]
pub struct ChunkBuilder {
    columns: Vec<ColumnBuilder>,
    rows: usize,
}

impl ChunkBuilder {
    /// A builder of rows of these types, with room for `capacity` of them.
    pub fn new(types: &[FieldType], capacity: usize) -> Self {
        Self { columns: types.iter().map(|ft| ColumnBuilder::new(ft, capacity)).collect(), rows: 0 }
    }

    /// Appends a row.
    ///
    /// # Panics
    /// When the row has another number of values.
    pub fn push_row(&mut self, row: &[Datum]) {
        assert_eq!(row.len(), self.columns.len(), "a row has a value for every column");
        for (column, value) in self.columns.iter_mut().zip(row) {
            column.append(value);
        }
        self.rows += 1;
    }

    /// The columns' builders, for a [`RowDecoder`](crate::RowDecoder); tell the rows appended to
    /// [`ChunkBuilder::add_rows`].
    pub fn columns_mut(&mut self) -> &mut [ColumnBuilder] {
        &mut self.columns
    }

    /// Counts rows appended through [`ChunkBuilder::columns_mut`].
    pub fn add_rows(&mut self, rows: usize) {
        self.rows += rows;
    }

    /// Rows so far.
    pub fn num_rows(&self) -> usize {
        self.rows
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Bytes held so far.
    pub fn memory_size(&self) -> usize {
        self.columns.iter().map(ColumnBuilder::memory_size).sum()
    }

    /// The chunk.
    pub fn finish(self) -> Chunk {
        Chunk::new(self.columns.into_iter().map(ColumnBuilder::finish).collect(), self.rows)
    }
}
