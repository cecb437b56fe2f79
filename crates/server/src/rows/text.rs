//! Text rows: every value as a length-encoded string, NULL as a lone byte.

use bytes::BufMut;
use mysql_common::io::BufMutExt;
use tidewater_types::{Duration, Time, number};

use super::{
    Column, Values, pad_width, put_bit, put_decimal, put_enum, put_json, put_set, put_short, put_wide_decimal,
};

const NULL: u8 = 0xfb;

/// The columns of a chunk, to be written as text rows.
pub struct TextRows<'a>(pub &'a [Column<'a>]);

impl TextRows<'_> {
    /// Appends one row.
    pub fn write(&self, row: usize, out: &mut Vec<u8>) {
        for column in self.0 {
            if column.is_null(row) {
                out.put_u8(NULL);
            } else {
                write_value(column, row, out);
            }
        }
    }
}

fn write_value(column: &Column<'_>, row: usize, out: &mut Vec<u8>) {
    let field_type = column.field_type;
    match &column.values {
        Values::Int(array) => match pad_width(field_type) {
            0 => put_short(out, |out| number::write_i64(array.value(row), out)),
            width => put_padded(out, array.value(row).max(0) as u64, width),
        },
        Values::UInt(array) => match pad_width(field_type) {
            0 => put_short(out, |out| number::write_u64(array.value(row), out)),
            width => put_padded(out, array.value(row), width),
        },
        Values::Float(array) => put_short(out, |out| match fixed_decimals(field_type.decimals) {
            Some(decimals) => write_fixed(f64::from(array.value(row)), decimals, out),
            None => number::write_f32(array.value(row), out),
        }),
        Values::Double(array) => put_short(out, |out| match fixed_decimals(field_type.decimals) {
            Some(decimals) => write_fixed(array.value(row), decimals, out),
            None => number::write_f64(array.value(row), out),
        }),
        Values::Decimal(array) => put_decimal(out, array.value(row), array.scale()),
        Values::WideDecimal(array) => put_wide_decimal(out, array.value(row), array.scale()),
        Values::Bytes(array) => out.put_lenenc_str(array.value(row)),
        Values::Json(array) => put_json(out, array.value(row)),
        Values::Date(array) => put_short(out, |out| packed(array.value(row)).write_date_to(out)),
        Values::DateTime(array) => {
            put_short(out, |out| packed(array.value(row)).write_to(field_type.fsp(), out))
        }
        Values::Duration(array) => {
            put_short(out, |out| {
                Duration::from_micros_clamped(array.value(row)).write_to(field_type.fsp(), out)
            });
        }
        Values::Bit(array) => put_bit(out, array.value(row), field_type),
        Values::Enum(array) => put_enum(out, array.value(row), field_type),
        Values::Set(array) => put_set(out, array.value(row), field_type),
    }
}

/// A bit pattern that is no time can only come from a broken store; it shows as the zero date.
fn packed(value: u64) -> Time {
    Time::from_packed(value).unwrap_or_default()
}

/// DOUBLE(m, d) has a fixed number of decimals; 31 and "unspecified" mean that it has none.
fn fixed_decimals(decimals: i32) -> Option<usize> {
    usize::try_from(decimals).ok().filter(|&decimals| decimals < 31)
}

fn write_fixed(value: f64, decimals: usize, out: &mut Vec<u8>) {
    use std::io::Write;
    // Writing to a Vec cannot fail.
    let _ = write!(out, "{value:.decimals$}");
}

fn put_padded(out: &mut Vec<u8>, value: u64, width: usize) {
    use std::io::Write;
    put_short(out, |out| {
        let _ = write!(out, "{value:0width$}");
    });
}
