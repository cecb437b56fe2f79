//! Binary rows: a NULL bitmap, then the values in their own widths.

use bytes::BufMut;
use mysql_common::io::BufMutExt;
use tidewater_types::{Time, TypeCode};

use super::{Column, Values, put_bit, put_decimal, put_enum, put_json, put_set, put_wide_decimal};

/// The NULL bitmap of a result row leaves its first two bits unused.
const NULL_BITMAP_OFFSET: usize = 2;

const MICROS_PER_SECOND: u64 = 1_000_000;

/// The columns of a chunk, to be written as binary rows.
pub struct BinaryRows<'a>(pub &'a [Column<'a>]);

impl BinaryRows<'_> {
    /// Appends one row.
    pub fn write(&self, row: usize, out: &mut Vec<u8>) {
        out.put_u8(0);
        let bitmap = out.len();
        out.resize(bitmap + (self.0.len() + NULL_BITMAP_OFFSET).div_ceil(8), 0);
        for (index, column) in self.0.iter().enumerate() {
            if column.is_null(row) {
                let bit = index + NULL_BITMAP_OFFSET;
                out[bitmap + bit / 8] |= 1 << (bit % 8);
            } else {
                write_value(column, row, out);
            }
        }
    }
}

fn write_value(column: &Column<'_>, row: usize, out: &mut Vec<u8>) {
    let field_type = column.field_type;
    match &column.values {
        Values::Int(array) => put_integer(out, array.value(row) as u64, field_type.code),
        Values::UInt(array) => put_integer(out, array.value(row), field_type.code),
        Values::Float(array) => out.put_f32_le(array.value(row)),
        Values::Double(array) => out.put_f64_le(array.value(row)),
        Values::Decimal(array) => put_decimal(out, array.value(row), array.scale()),
        Values::WideDecimal(array) => put_wide_decimal(out, array.value(row), array.scale()),
        Values::Bytes(array) => out.put_lenenc_str(array.value(row)),
        Values::Json(array) => put_json(out, array.value(row)),
        Values::Date(array) | Values::DateTime(array) => {
            put_time(out, Time::from_packed(array.value(row)).unwrap_or_default())
        }
        Values::Duration(array) => put_duration(out, array.value(row)),
        Values::Bit(array) => put_bit(out, array.value(row), field_type),
        Values::Enum(array) => put_enum(out, array.value(row), field_type),
        Values::Set(array) => put_set(out, array.value(row), field_type),
    }
}

/// The low bytes of a two's complement number are those of its narrower form.
fn put_integer(out: &mut Vec<u8>, value: u64, code: TypeCode) {
    match code {
        TypeCode::Tiny => out.put_u8(value as u8),
        TypeCode::Short | TypeCode::Year => out.put_u16_le(value as u16),
        TypeCode::Int24 | TypeCode::Long => out.put_u32_le(value as u32),
        _ => out.put_u64_le(value),
    }
}

/// Trailing zero parts are left out.
fn put_time(out: &mut Vec<u8>, time: Time) {
    let has_micros = time.micro() != 0;
    let has_clock = has_micros || time.hour() != 0 || time.minute() != 0 || time.second() != 0;
    let len = match (time.is_zero(), has_clock, has_micros) {
        (true, ..) => 0,
        (false, false, _) => 4,
        (false, true, false) => 7,
        (false, true, true) => 11,
    };
    out.put_u8(len);
    if len >= 4 {
        out.put_u16_le(time.year() as u16);
        out.put_u8(time.month() as u8);
        out.put_u8(time.day() as u8);
    }
    if len >= 7 {
        out.put_u8(time.hour() as u8);
        out.put_u8(time.minute() as u8);
        out.put_u8(time.second() as u8);
    }
    if len == 11 {
        out.put_u32_le(time.micro());
    }
}

fn put_duration(out: &mut Vec<u8>, micros: i64) {
    let size = micros.unsigned_abs();
    let (seconds, fraction) = (size / MICROS_PER_SECOND, size % MICROS_PER_SECOND);
    let len = match (size, fraction) {
        (0, _) => 0,
        (_, 0) => 8,
        _ => 12,
    };
    out.put_u8(len);
    if len >= 8 {
        out.put_u8(u8::from(micros < 0));
        out.put_u32_le((seconds / 86_400) as u32);
        out.put_u8((seconds / 3_600 % 24) as u8);
        out.put_u8((seconds / 60 % 60) as u8);
        out.put_u8((seconds % 60) as u8);
    }
    if len == 12 {
        out.put_u32_le(fraction as u32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_split_into_days_and_clock() {
        let mut out = Vec::new();
        put_duration(&mut out, -(86_400 + 3_600 * 2 + 60 * 3 + 4) * 1_000_000 - 5);
        assert_eq!(out, [12, 1, 1, 0, 0, 0, 2, 3, 4, 5, 0, 0, 0]);
        out.clear();
        put_duration(&mut out, 0);
        assert_eq!(out, [0]);
    }

    #[test]
    fn integers_take_the_width_of_their_type() {
        let mut out = Vec::new();
        put_integer(&mut out, -2_i64 as u64, TypeCode::Tiny);
        put_integer(&mut out, 2024, TypeCode::Year);
        put_integer(&mut out, -1_i64 as u64, TypeCode::Long);
        assert_eq!(out, [0xfe, 0xe8, 0x07, 0xff, 0xff, 0xff, 0xff]);
    }
}
