//! Rows of a chunk as packets, in the text and the binary form.
//!
//! This is a hot path: columns are resolved once per chunk, values are written straight from the arrays into one reused
//! buffer, and nothing is allocated per row.

mod binary;
mod text;

use arrow::array::{
    Array, BinaryArray, Decimal128Array, Decimal256Array, Float32Array, Float64Array, Int64Array, UInt64Array,
};
use mysql_common::io::BufMutExt;
use tidewater_chunk::Chunk;
use tidewater_session::ResultField;
use tidewater_types::{Decimal, FieldType, JsonRef, SqlError, TypeCode, TypeFlags};

use crate::packet::{PacketError, PacketStream};

pub use binary::BinaryRows;
pub use text::TextRows;

/// The form of rows a client expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowFormat {
    /// Answers to `COM_QUERY`.
    Text,
    /// Answers to `COM_STMT_EXECUTE` and `COM_STMT_FETCH`.
    Binary,
}

/// Why rows could not be sent.
#[derive(Debug, thiserror::Error)]
pub enum RowError {
    /// The connection failed.
    #[error(transparent)]
    Packet(#[from] PacketError),
    /// A column has not the array its SQL type asks for: a defect of ours, told to the client.
    #[error("column {column} of type {type_name} came as {array}")]
    WrongArray {
        /// Position of the column.
        column: usize,
        /// Its SQL type.
        type_name: String,
        /// The Arrow type found.
        array: String,
    },
}

impl RowError {
    /// What the client is told.
    pub fn to_sql(&self) -> SqlError {
        SqlError::new(tidewater_types::ErrorCode::UnknownError, self.to_string())
    }
}

/// Writes the rows of a chunk, sending whenever enough has gathered.
pub async fn send_chunk(
    stream: &mut PacketStream,
    format: RowFormat,
    fields: &[ResultField],
    chunk: &Chunk,
    buffer: &mut Vec<u8>,
) -> Result<(), RowError> {
    let columns = resolve(fields, chunk)?;
    for row in 0..chunk.num_rows() {
        buffer.clear();
        match format {
            RowFormat::Text => TextRows(&columns).write(row, buffer),
            RowFormat::Binary => BinaryRows(&columns).write(row, buffer),
        }
        stream.queue(buffer)?;
        if stream.is_full() {
            stream.flush().await?;
        }
    }
    Ok(())
}

/// Writes the rows of a chunk one behind the other, without framing: what encoding alone costs, for benchmarks.
pub fn encode_chunk(
    format: RowFormat,
    fields: &[ResultField],
    chunk: &Chunk,
    out: &mut Vec<u8>,
) -> Result<(), RowError> {
    let columns = resolve(fields, chunk)?;
    for row in 0..chunk.num_rows() {
        match format {
            RowFormat::Text => TextRows(&columns).write(row, out),
            RowFormat::Binary => BinaryRows(&columns).write(row, out),
        }
    }
    Ok(())
}

/// A column with its array's real type.
pub struct Column<'a> {
    field_type: &'a FieldType,
    values: Values<'a>,
}

enum Values<'a> {
    Int(&'a Int64Array),
    UInt(&'a UInt64Array),
    Float(&'a Float32Array),
    Double(&'a Float64Array),
    Decimal(&'a Decimal128Array),
    WideDecimal(&'a Decimal256Array),
    Bytes(&'a BinaryArray),
    Json(&'a BinaryArray),
    Date(&'a UInt64Array),
    DateTime(&'a UInt64Array),
    Duration(&'a Int64Array),
    Bit(&'a UInt64Array),
    Enum(&'a UInt64Array),
    Set(&'a UInt64Array),
}

fn resolve<'a>(fields: &'a [ResultField], chunk: &'a Chunk) -> Result<Vec<Column<'a>>, RowError> {
    fields
        .iter()
        .enumerate()
        .map(|(index, field)| {
            let field_type = &field.field_type;
            let array = chunk.column(index).as_ref();
            let values = values(field_type, array).ok_or_else(|| RowError::WrongArray {
                column: index,
                type_name: field_type.to_sql(),
                array: array.data_type().to_string(),
            })?;
            Ok(Column { field_type, values })
        })
        .collect()
}

fn values<'a>(field_type: &FieldType, array: &'a dyn Array) -> Option<Values<'a>> {
    let any = array.as_any();
    Some(match field_type.code {
        TypeCode::Date => Values::Date(any.downcast_ref()?),
        TypeCode::DateTime | TypeCode::Timestamp => Values::DateTime(any.downcast_ref()?),
        TypeCode::Duration => Values::Duration(any.downcast_ref()?),
        TypeCode::Bit => Values::Bit(any.downcast_ref()?),
        TypeCode::Enum => Values::Enum(any.downcast_ref()?),
        TypeCode::Set => Values::Set(any.downcast_ref()?),
        TypeCode::Json => Values::Json(any.downcast_ref()?),
        _ => {
            if let Some(array) = any.downcast_ref() {
                Values::Int(array)
            } else if let Some(array) = any.downcast_ref() {
                Values::UInt(array)
            } else if let Some(array) = any.downcast_ref() {
                Values::Bytes(array)
            } else if let Some(array) = any.downcast_ref() {
                Values::Decimal(array)
            } else if let Some(array) = any.downcast_ref() {
                Values::Double(array)
            } else if let Some(array) = any.downcast_ref() {
                Values::Float(array)
            } else {
                Values::WideDecimal(any.downcast_ref()?)
            }
        }
    })
}

impl Column<'_> {
    fn is_null(&self, row: usize) -> bool {
        match &self.values {
            Values::Int(array) | Values::Duration(array) => array.is_null(row),
            Values::UInt(array)
            | Values::Date(array)
            | Values::DateTime(array)
            | Values::Bit(array)
            | Values::Enum(array)
            | Values::Set(array) => array.is_null(row),
            Values::Float(array) => array.is_null(row),
            Values::Double(array) => array.is_null(row),
            Values::Decimal(array) => array.is_null(row),
            Values::WideDecimal(array) => array.is_null(row),
            Values::Bytes(array) | Values::Json(array) => array.is_null(row),
        }
    }
}

/// Writes a value whose text is not known before it is written: the length goes into a byte kept free for it.
fn put_short(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.push(0);
    write(out);
    let len = out.len() - at - 1;
    if len <= 250 {
        out[at] = len as u8;
    } else {
        // Long for once (a DOUBLE with 300 digits, a JSON document): move it behind a longer length.
        let text = out.split_off(at + 1);
        out.truncate(at);
        out.put_lenenc_str(&text);
    }
}

fn put_decimal(out: &mut Vec<u8>, value: i128, scale: i8) {
    put_short(out, |out| Decimal::from_i128(value, scale.unsigned_abs()).write_to(out));
}

fn put_wide_decimal(out: &mut Vec<u8>, value: arrow::datatypes::i256, scale: i8) {
    put_short(out, |out| {
        if let Some(value) = Decimal::from_i256(value, scale.unsigned_abs()) {
            value.write_to(out);
        }
    });
}

fn put_json(out: &mut Vec<u8>, document: &[u8]) {
    put_short(out, |out| {
        if let Ok(document) = JsonRef::from_binary(document) {
            document.write_to(out);
        }
    });
}

/// BIT(n) as its bytes, most significant first.
fn put_bit(out: &mut Vec<u8>, value: u64, field_type: &FieldType) {
    let bytes = usize::try_from(field_type.length).unwrap_or(64).clamp(1, 64).div_ceil(8);
    out.put_lenenc_str(&value.to_be_bytes()[8 - bytes..]);
}

/// An ENUM's name; 0 is the empty string that stands for a wrong value.
fn put_enum(out: &mut Vec<u8>, value: u64, field_type: &FieldType) {
    let name = usize::try_from(value).ok().and_then(|value| field_type.elements.get(value.wrapping_sub(1)));
    out.put_lenenc_str(name.map_or(&[], |name| name.as_bytes()));
}

/// A SET's names with commas between.
fn put_set(out: &mut Vec<u8>, value: u64, field_type: &FieldType) {
    put_short(out, |out| {
        let mut separator: &[u8] = b"";
        for (bit, name) in field_type.elements.iter().enumerate().take(64) {
            if value >> bit & 1 == 1 {
                out.extend_from_slice(separator);
                out.extend_from_slice(name.as_bytes());
                separator = b",";
            }
        }
    });
}

/// An integer in the text protocol: years have four digits, ZEROFILL pads to the display width.
fn pad_width(field_type: &FieldType) -> usize {
    if field_type.code == TypeCode::Year {
        4
    } else if field_type.flags.contains(TypeFlags::ZEROFILL) {
        usize::try_from(field_type.length).unwrap_or(0).min(255)
    } else {
        0
    }
}
