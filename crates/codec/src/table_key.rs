//! Keys of rows and index entries.

use std::ops::Range;

use tidewater_types::{Datum, FieldType};

use crate::{DecodeError, Handle, IndexId, Key, TableId, bytes, datum, number};

/// First byte of all keys of tables.
pub const TABLE_PREFIX: u8 = b't';
const ROW_SEPARATOR: &[u8; 2] = b"_r";
const INDEX_SEPARATOR: &[u8; 2] = b"_i";
/// A common handle is padded with zeros to this length, so that it never looks like an integer handle.
const COMMON_HANDLE_LEN_MIN: usize = 9;

/// `t{table}`: before everything of the table.
pub fn table_prefix(table: TableId) -> Key {
    let mut out = Vec::with_capacity(9);
    write_table_prefix(table, &mut out);
    Key::new(out)
}

/// All keys of a table.
pub fn table_range(table: TableId) -> Range<Key> {
    let start = table_prefix(table);
    let end = start.prefix_next();
    start..end
}

/// `t{table}_r`.
pub fn row_prefix(table: TableId) -> Key {
    let mut out = Vec::with_capacity(11);
    write_table_prefix(table, &mut out);
    out.extend_from_slice(ROW_SEPARATOR);
    Key::new(out)
}

/// All rows of a table.
pub fn row_range(table: TableId) -> Range<Key> {
    let start = row_prefix(table);
    let end = start.prefix_next();
    start..end
}

/// `t{table}_r{handle}`.
pub fn row_key(table: TableId, handle: &Handle) -> Key {
    let mut out = Vec::with_capacity(19);
    write_row_key(table, handle, &mut out);
    Key::new(out)
}

/// As [`row_key`], appended to a buffer.
pub fn write_row_key(table: TableId, handle: &Handle, out: &mut Vec<u8>) {
    write_table_prefix(table, out);
    out.extend_from_slice(ROW_SEPARATOR);
    write_handle(handle, out);
}

/// The handle as it stands in a row key.
pub fn write_handle(handle: &Handle, out: &mut Vec<u8>) {
    match handle {
        Handle::Int(handle) => number::write_i64(*handle, out),
        Handle::Common(bytes) => {
            out.extend_from_slice(bytes);
            let pad = COMMON_HANDLE_LEN_MIN.saturating_sub(bytes.len());
            out.extend_from_slice(&[0; COMMON_HANDLE_LEN_MIN][..pad]);
        }
    }
}

/// `t{table}_i{index}`.
pub fn index_prefix(table: TableId, index: IndexId) -> Key {
    let mut out = Vec::with_capacity(19);
    write_index_prefix(table, index, &mut out);
    Key::new(out)
}

/// As [`index_prefix`], appended to a buffer.
pub fn write_index_prefix(table: TableId, index: IndexId, out: &mut Vec<u8>) {
    write_table_prefix(table, out);
    out.extend_from_slice(INDEX_SEPARATOR);
    number::write_i64(index.0, out);
}

/// All entries of an index.
pub fn index_range(table: TableId, index: IndexId) -> Range<Key> {
    let start = index_prefix(table, index);
    let end = start.prefix_next();
    start..end
}

/// An index entry's key. The handle belongs in the key unless the index is unique and no value is NULL.
pub fn index_key(table: TableId, index: IndexId, values: &[(&Datum, &FieldType)], handle: Option<&Handle>) -> Result<Key, DecodeError> {
    let mut out = Vec::with_capacity(19 + 10 * values.len() + 9);
    write_index_prefix(table, index, &mut out);
    for (value, field_type) in values {
        datum::encode_key_datum(value, field_type, &mut out)?;
    }
    if let Some(handle) = handle {
        write_index_handle(handle, &mut out);
    }
    Ok(Key::new(out))
}

/// The handle as it stands at the end of an index key.
pub fn write_index_handle(handle: &Handle, out: &mut Vec<u8>) {
    match handle {
        Handle::Int(handle) => {
            out.push(datum::INT_FLAG);
            number::write_i64(*handle, out);
        }
        Handle::Common(bytes) => out.extend_from_slice(bytes),
    }
}

/// What a key of a table belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableKeyKind<'a> {
    /// A row; the handle's bytes follow.
    Row {
        /// The encoded handle, see [`decode_handle`].
        handle: &'a [u8],
    },
    /// An index entry; the values' bytes follow.
    Index {
        /// The index.
        index: IndexId,
        /// Encoded values and handle.
        values: &'a [u8],
    },
}

/// Takes apart a key of a table.
pub fn decode_table_key(key: &[u8]) -> Result<(TableId, TableKeyKind<'_>), DecodeError> {
    let mut input = key.strip_prefix(&[TABLE_PREFIX]).ok_or(DecodeError::Invalid("table key"))?;
    let table = TableId(number::read_i64(&mut input)?);
    let (separator, mut rest) = input.split_first_chunk::<2>().ok_or(DecodeError::UnexpectedEnd("table key"))?;
    match separator {
        ROW_SEPARATOR => Ok((table, TableKeyKind::Row { handle: rest })),
        INDEX_SEPARATOR => {
            let index = IndexId(number::read_i64(&mut rest)?);
            Ok((table, TableKeyKind::Index { index, values: rest }))
        }
        _ => Err(DecodeError::Invalid("table key")),
    }
}

/// The table a key belongs to, if any.
pub fn table_of(key: &[u8]) -> Option<TableId> {
    let mut input = key.strip_prefix(&[TABLE_PREFIX])?;
    number::read_i64(&mut input).ok().map(TableId)
}

/// Takes apart a row's key.
pub fn decode_row_key(key: &[u8]) -> Result<(TableId, Handle), DecodeError> {
    match decode_table_key(key)? {
        (table, TableKeyKind::Row { handle }) => Ok((table, decode_handle(handle)?)),
        _ => Err(DecodeError::Invalid("row key")),
    }
}

/// Takes apart an index entry's key: table, index, encoded values (and handle).
pub fn decode_index_key(key: &[u8]) -> Result<(TableId, IndexId, &[u8]), DecodeError> {
    match decode_table_key(key)? {
        (table, TableKeyKind::Index { index, values }) => Ok((table, index, values)),
        _ => Err(DecodeError::Invalid("index key")),
    }
}

/// The handle of a row key. Eight bytes are an integer, more a clustered key.
pub fn decode_handle(mut bytes: &[u8]) -> Result<Handle, DecodeError> {
    match bytes.len() {
        8 => Ok(Handle::Int(number::read_i64(&mut bytes)?)),
        0..8 => Err(DecodeError::UnexpectedEnd("handle")),
        _ => Ok(Handle::Common(bytes.into())),
    }
}

/// The handle at the end of an index key, after the values were read.
pub fn decode_index_handle(mut bytes: &[u8]) -> Result<Handle, DecodeError> {
    if bytes.len() == 9 && bytes[0] == datum::INT_FLAG {
        bytes = &bytes[1..];
        return Ok(Handle::Int(number::read_i64(&mut bytes)?));
    }
    if bytes.is_empty() { Err(DecodeError::UnexpectedEnd("handle")) } else { Ok(Handle::Common(bytes.into())) }
}

fn write_table_prefix(table: TableId, out: &mut Vec<u8>) {
    out.push(TABLE_PREFIX);
    number::write_i64(table.0, out);
}

#[allow(unused_imports)]
use bytes as _;
