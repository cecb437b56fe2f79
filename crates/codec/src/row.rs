//! Row values, format v2: ids and offsets first, then the columns' bytes.
//!
//! ```text
//! 128 | flags | not-null count u16 | null count u16 | not-null ids | null ids | end offsets | values [| checksum]
//! ```
//! Ids are ascending, one byte each, and offsets two, unless the row is big (an id above 255, or values above 64 KiB): then
//! both have four bytes. A column in neither list has its original default value (or NULL). The older format (first byte not
//! 128) is not read; nothing of ours ever wrote it.
//!
//! **Hot path**: encoding reuses the encoder's buffers, looking at a row copies nothing.

use tidewater_types::{Datum, FieldType, TypeCode};

use crate::{ColumnId, DecodeError, datum, number};

/// First byte of a row value.
pub const ROW_VERSION: u8 = 128;
const FLAG_BIG: u8 = 1;
const FLAG_CHECKSUM: u8 = 2;
const HEADER_LEN: usize = 6;

/// Encodes rows, reusing its buffers.
///
/// ```
/// use tidewater_codec::ColumnId;
/// use tidewater_codec::row::{RowEncoder, RowView, decode_value};
/// use tidewater_types::{Datum, FieldType};
///
/// let (int, text) = (FieldType::int(), FieldType::string());
/// let mut value = Vec::new();
/// RowEncoder::new().encode(
///     &[(ColumnId(1), &Datum::Int(7), &int), (ColumnId(2), &Datum::from("sea"), &text), (ColumnId(3), &Datum::Null, &int)],
///     &mut value,
/// )?;
///
/// let row = RowView::parse(&value)?;
/// assert_eq!(row.find(ColumnId(2)), Some(Some(&b"sea"[..])));
/// assert_eq!(row.find(ColumnId(3)), Some(None)); // NULL
/// assert_eq!(row.find(ColumnId(4)), None); // not known to the row
/// # Ok::<(), tidewater_codec::DecodeError>(())
/// ```
#[derive(Debug, Default)]
pub struct RowEncoder {
    /// Id and bytes (as a range of `values`) of the columns that are not NULL.
    columns: Vec<(u32, std::ops::Range<usize>)>,
    nulls: Vec<u32>,
    values: Vec<u8>,
}

impl RowEncoder {
    /// A new encoder.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends the row's value. Columns may come in any order, each once.
    pub fn encode(
        &mut self,
        columns: &[(ColumnId, &Datum, &FieldType)],
        out: &mut Vec<u8>,
    ) -> Result<(), DecodeError> {
        self.clear();
        for (id, value, field_type) in columns {
            self.push(*id, value, field_type)?;
        }
        self.finish(out)
    }

    /// Begins a row, column by column: [`Self::push`], then [`Self::finish`].
    pub fn clear(&mut self) {
        self.columns.clear();
        self.nulls.clear();
        self.values.clear();
    }

    /// Adds a column.
    pub fn push(&mut self, id: ColumnId, value: &Datum, field_type: &FieldType) -> Result<(), DecodeError> {
        let id = u32::try_from(id.0).map_err(|_| DecodeError::Invalid("column id"))?;
        if value.is_null() {
            self.nulls.push(id);
            return Ok(());
        }
        let start = self.values.len();
        encode_value(value, field_type, &mut self.values)?;
        self.columns.push((id, start..self.values.len()));
        Ok(())
    }

    /// Appends the value of the row whose columns were pushed.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), DecodeError> {
        let in_order = self.columns.is_sorted_by(|a, b| a.0 < b.0);
        if !in_order {
            self.columns.sort_unstable_by_key(|(id, _)| *id);
        }
        self.nulls.sort_unstable();
        let is_unique = self.columns.is_sorted_by(|a, b| a.0 < b.0) && self.nulls.is_sorted_by(|a, b| a < b);
        let counts = (u16::try_from(self.columns.len()), u16::try_from(self.nulls.len()));
        let (true, (Ok(count), Ok(null_count))) = (is_unique, counts) else {
            return Err(DecodeError::Invalid("row: too many columns, or one twice"));
        };
        let id_max = self.columns.last().map(|(id, _)| *id).max(self.nulls.last().copied()).unwrap_or(0);
        let is_big = id_max > u32::from(u8::MAX) || self.values.len() > usize::from(u16::MAX);
        out.reserve(HEADER_LEN + 8 * self.columns.len() + 4 * self.nulls.len() + self.values.len());
        out.extend_from_slice(&[ROW_VERSION, if is_big { FLAG_BIG } else { 0 }]);
        out.extend_from_slice(&count.to_le_bytes());
        out.extend_from_slice(&null_count.to_le_bytes());
        let ids = self.columns.iter().map(|(id, _)| *id).chain(self.nulls.iter().copied());
        let mut end = 0u32;
        let ends = self.columns.iter().map(|(_, range)| {
            end += range.len() as u32;
            end
        });
        if is_big {
            ids.for_each(|id| out.extend_from_slice(&id.to_le_bytes()));
            ends.for_each(|end| out.extend_from_slice(&end.to_le_bytes()));
        } else {
            ids.for_each(|id| out.push(id as u8));
            ends.for_each(|end| out.extend_from_slice(&(end as u16).to_le_bytes()));
        }
        if in_order {
            out.extend_from_slice(&self.values);
        } else {
            self.columns.iter().for_each(|(_, range)| out.extend_from_slice(&self.values[range.clone()]));
        }
        Ok(())
    }
}

/// A row value, looked at in place.
#[derive(Debug, Clone, Copy)]
pub struct RowView<'a> {
    is_big: bool,
    count: usize,
    null_count: usize,
    /// Ids of the columns that are not NULL, then of those that are.
    ids: &'a [u8],
    ends: &'a [u8],
    values: &'a [u8],
    checksum: Option<u32>,
}

impl<'a> RowView<'a> {
    /// Checks the header; whether a column's bytes are in bounds is checked when it is looked for.
    pub fn parse(value: &'a [u8]) -> Result<Self, DecodeError> {
        let (header, rest) =
            value.split_first_chunk::<HEADER_LEN>().ok_or(DecodeError::UnexpectedEnd("row"))?;
        if header[0] != ROW_VERSION {
            return Err(DecodeError::UnknownFlag { what: "row", flag: header[0] });
        }
        let is_big = header[1] & FLAG_BIG != 0;
        let count = usize::from(u16::from_le_bytes([header[2], header[3]]));
        let null_count = usize::from(u16::from_le_bytes([header[4], header[5]]));
        let (id_len, end_len) = if is_big { (4, 4) } else { (1, 2) };
        let (ids, rest) =
            rest.split_at_checked((count + null_count) * id_len).ok_or(DecodeError::UnexpectedEnd("row"))?;
        let (ends, rest) = rest.split_at_checked(count * end_len).ok_or(DecodeError::UnexpectedEnd("row"))?;
        let mut row = Self { is_big, count, null_count, ids, ends, values: rest, checksum: None };
        let len = count.checked_sub(1).map_or(0, |last| row.end(last));
        let (values, tail) = rest.split_at_checked(len).ok_or(DecodeError::UnexpectedEnd("row"))?;
        row.values = values;
        if header[1] & FLAG_CHECKSUM != 0 {
            let checksum = tail.get(1..5).and_then(|bytes| bytes.try_into().ok());
            row.checksum =
                Some(u32::from_le_bytes(checksum.ok_or(DecodeError::UnexpectedEnd("row's checksum"))?));
        }
        Ok(row)
    }

    /// None: the row does not know the column; Some(None): NULL; Some(Some(bytes)): its value.
    pub fn find(&self, column: ColumnId) -> Option<Option<&'a [u8]>> {
        let id = u32::try_from(column.0).ok()?;
        if let Some(position) = self.search(id, 0, self.count) {
            return Some(Some(self.value(position)));
        }
        self.search(id, self.count, self.count + self.null_count).map(|_| None)
    }

    /// All columns that the row knows, those that are not NULL first.
    pub fn columns(&self) -> impl Iterator<Item = (ColumnId, Option<&'a [u8]>)> + '_ {
        (0..self.count + self.null_count).map(|position| {
            let value = (position < self.count).then(|| self.value(position));
            (ColumnId(i64::from(self.id(position))), value)
        })
    }

    /// The checksum that the writer appended, if it did; ours never does.
    pub fn checksum(&self) -> Option<u32> {
        self.checksum
    }

    fn search(&self, id: u32, from: usize, to: usize) -> Option<usize> {
        let (mut low, mut high) = (from, to);
        while low < high {
            let middle = low.midpoint(high);
            match self.id(middle).cmp(&id) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Some(middle),
            }
        }
        None
    }

    fn id(&self, position: usize) -> u32 {
        if self.is_big {
            read_u32(self.ids, position * 4)
        } else {
            self.ids.get(position).copied().map_or(0, u32::from)
        }
    }

    fn end(&self, position: usize) -> usize {
        if self.is_big {
            return read_u32(self.ends, position * 4) as usize;
        }
        let bytes = self.ends.get(position * 2..).and_then(<[u8]>::first_chunk);
        bytes.map_or(0, |bytes| usize::from(u16::from_le_bytes(*bytes)))
    }

    /// Offsets out of order give no bytes.
    fn value(&self, position: usize) -> &'a [u8] {
        let start = position.checked_sub(1).map_or(0, |previous| self.end(previous));
        self.values.get(start..self.end(position)).unwrap_or_default()
    }
}

fn read_u32(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

/// Appends one column's bytes (not NULL's: it has none).
pub fn encode_value(value: &Datum, field_type: &FieldType, out: &mut Vec<u8>) -> Result<(), DecodeError> {
    match value {
        Datum::Null => {}
        Datum::Int(value) if field_type.is_integer() && field_type.is_unsigned() => {
            encode_u64(*value as u64, out)
        }
        Datum::Int(value) => encode_i64(*value, out),
        Datum::UInt(value) if is_signed(field_type) => encode_i64(*value as i64, out),
        Datum::UInt(value) => encode_u64(*value, out),
        Datum::Float(value) => number::write_f64(f64::from(*value), out),
        Datum::Double(value) => number::write_f64(*value, out),
        Datum::Decimal(value) => datum::write_decimal(*value, field_type, out)?,
        Datum::Bytes(bytes) => out.extend_from_slice(bytes),
        Datum::Time(value) => encode_u64(value.packed(), out),
        Datum::Duration(value) => encode_i64(datum::duration_nanos(*value), out),
        Datum::Json(value) => out.extend_from_slice(value.as_bytes()),
    }
    Ok(())
}

/// One column's bytes as a datum. A TIMESTAMP comes as it is stored: in UTC.
pub fn decode_value(bytes: &[u8], field_type: &FieldType) -> Result<Datum, DecodeError> {
    use TypeCode as T;
    Ok(match field_type.code {
        T::Null => Datum::Null,
        T::Tiny | T::Short | T::Int24 | T::Long | T::LongLong | T::Year if is_signed(field_type) => {
            Datum::Int(decode_i64(bytes)?)
        }
        T::Tiny | T::Short | T::Int24 | T::Long | T::LongLong | T::Year | T::Enum | T::Set | T::Bit => {
            Datum::UInt(decode_u64(bytes)?)
        }
        T::Float | T::Double => datum::float_datum(decode_f64(bytes)?, field_type),
        T::NewDecimal => Datum::Decimal(datum::read_decimal(&mut &*bytes)?),
        T::Date | T::DateTime | T::Timestamp => datum::uint_datum(decode_u64(bytes)?, field_type)?,
        T::Duration => datum::duration_datum(decode_i64(bytes)?)?,
        T::Json => datum::json_datum(bytes)?,
        T::VarChar | T::VarString | T::String | T::TinyBlob | T::Blob | T::MediumBlob | T::LongBlob => {
            Datum::Bytes(bytes.to_vec())
        }
    })
}

/// A signed integer column's bytes: 1, 2, 4 or 8, little endian.
pub fn decode_i64(bytes: &[u8]) -> Result<i64, DecodeError> {
    match *bytes {
        [a] => Ok(i64::from(a as i8)),
        [a, b] => Ok(i64::from(i16::from_le_bytes([a, b]))),
        [a, b, c, d] => Ok(i64::from(i32::from_le_bytes([a, b, c, d]))),
        _ => bytes.try_into().map(i64::from_le_bytes).map_err(|_| DecodeError::Invalid("integer column")),
    }
}

/// An unsigned integer column's bytes: 1, 2, 4 or 8, little endian.
pub fn decode_u64(bytes: &[u8]) -> Result<u64, DecodeError> {
    match *bytes {
        [a] => Ok(u64::from(a)),
        [a, b] => Ok(u64::from(u16::from_le_bytes([a, b]))),
        [a, b, c, d] => Ok(u64::from(u32::from_le_bytes([a, b, c, d]))),
        _ => bytes.try_into().map(u64::from_le_bytes).map_err(|_| DecodeError::Invalid("integer column")),
    }
}

/// A FLOAT or DOUBLE column's bytes.
pub fn decode_f64(bytes: &[u8]) -> Result<f64, DecodeError> {
    number::read_f64(&mut &*bytes)
}

/// A DECIMAL column's bytes.
pub fn decode_decimal(bytes: &[u8]) -> Result<tidewater_types::Decimal, DecodeError> {
    datum::read_decimal(&mut &*bytes)
}

/// A TIME column's bytes, as microseconds.
pub fn decode_duration_micros(bytes: &[u8]) -> Result<i64, DecodeError> {
    decode_i64(bytes).map(|nanos| nanos / 1_000)
}

fn is_signed(field_type: &FieldType) -> bool {
    field_type.is_integer() && !field_type.is_unsigned() || field_type.code == TypeCode::Year
}

fn encode_i64(value: i64, out: &mut Vec<u8>) {
    if let Ok(value) = i8::try_from(value) {
        out.push(value as u8);
    } else if let Ok(value) = i16::try_from(value) {
        out.extend_from_slice(&value.to_le_bytes());
    } else if let Ok(value) = i32::try_from(value) {
        out.extend_from_slice(&value.to_le_bytes());
    } else {
        out.extend_from_slice(&value.to_le_bytes());
    }
}

fn encode_u64(value: u64, out: &mut Vec<u8>) {
    if let Ok(value) = u8::try_from(value) {
        out.push(value);
    } else if let Ok(value) = u16::try_from(value) {
        out.extend_from_slice(&value.to_le_bytes());
    } else if let Ok(value) = u32::try_from(value) {
        out.extend_from_slice(&value.to_le_bytes());
    } else {
        out.extend_from_slice(&value.to_le_bytes());
    }
}

#[cfg(test)]
mod tests;
