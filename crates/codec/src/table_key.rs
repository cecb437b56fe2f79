//! Keys of rows and index entries.

use std::ops::Range;

use tidewater_types::{Datum, FieldType};

use crate::{DecodeError, Handle, HandleRef, IndexId, Key, TableId, datum, number};

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
pub fn index_key(
    table: TableId,
    index: IndexId,
    values: &[(&Datum, &FieldType)],
    handle: Option<&Handle>,
) -> Result<Key, DecodeError> {
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
    let (separator, mut rest) =
        input.split_first_chunk::<2>().ok_or(DecodeError::UnexpectedEnd("table key"))?;
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
    decode_row_key_ref(key).map(|(table, handle)| (table, handle.to_handle()))
}

/// Takes apart a row's key without copying.
pub fn decode_row_key_ref(key: &[u8]) -> Result<(TableId, HandleRef<'_>), DecodeError> {
    match decode_table_key(key)? {
        (table, TableKeyKind::Row { handle }) => Ok((table, decode_handle_ref(handle)?)),
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
pub fn decode_handle(bytes: &[u8]) -> Result<Handle, DecodeError> {
    decode_handle_ref(bytes).map(HandleRef::to_handle)
}

fn decode_handle_ref(mut bytes: &[u8]) -> Result<HandleRef<'_>, DecodeError> {
    match bytes.len() {
        8 => Ok(HandleRef::Int(number::read_i64(&mut bytes)?)),
        0..8 => Err(DecodeError::UnexpectedEnd("handle")),
        _ => Ok(HandleRef::Common(bytes)),
    }
}

/// The handle at the end of an index key, after the values were read.
pub fn decode_index_handle(mut bytes: &[u8]) -> Result<Handle, DecodeError> {
    if bytes.len() == 9 && bytes[0] == datum::INT_FLAG {
        bytes = &bytes[1..];
        return Ok(Handle::Int(number::read_i64(&mut bytes)?));
    }
    if bytes.is_empty() {
        Err(DecodeError::UnexpectedEnd("handle"))
    } else {
        Ok(Handle::Common(bytes.into()))
    }
}

fn write_table_prefix(table: TableId, out: &mut Vec<u8>) {
    out.push(TABLE_PREFIX);
    number::write_i64(table.0, out);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::hex;

    #[test]
    fn vectors() {
        let row = row_key(TableId(1), &Handle::Int(2));
        assert_eq!(row.as_bytes(), hex("748000000000000001 5f72 8000000000000002"));
        assert_eq!(
            row.encode().as_bytes(),
            hex("7480000000000000 ff 015f728000000000 ff 0000020000000000 fa")
        );
        let (int, text, double) = (FieldType::int(), FieldType::string(), FieldType::double());
        let values = [(&Datum::Int(1), &int), (&Datum::from("abc"), &text), (&Datum::Double(5.5), &double)];
        let index = index_key(TableId(4), IndexId(5), &values, Some(&Handle::Int(100))).unwrap();
        let expected = "748000000000000004 5f69 8000000000000005 038000000000000001 016162630000000000fa \
                        05c016000000000000 038000000000000064";
        assert_eq!(index.as_bytes(), hex(expected));
        let (table, index, mut rest) = decode_index_key(index.as_bytes()).unwrap();
        assert_eq!((table, index), (TableId(4), IndexId(5)));
        for _ in 0..3 {
            datum::skip_key_datum(&mut rest).unwrap();
        }
        assert_eq!(decode_index_handle(rest), Ok(Handle::Int(100)));
    }

    #[test]
    fn ranges_hold_their_keys() {
        let table = TableId(7);
        let rows = row_range(table);
        for handle in [Handle::Int(i64::MIN), Handle::Int(i64::MAX), Handle::Common([0xff; 20].into())] {
            let key = row_key(table, &handle);
            assert!(rows.contains(&key) && table_range(table).contains(&key));
            assert!(!index_range(table, IndexId(1)).contains(&key));
            assert!(!table_range(TableId(6)).contains(&key) && !table_range(TableId(8)).contains(&key));
        }
        let entry = index_key(table, IndexId(1), &[(&Datum::Null, &FieldType::int())], Some(&Handle::Int(1)))
            .unwrap();
        assert!(index_range(table, IndexId(1)).contains(&entry));
        assert!(!index_range(table, IndexId(2)).contains(&entry));
    }

    #[test]
    fn short_common_handles_are_padded() {
        let key = row_key(TableId(1), &Handle::Common([1, 2].into()));
        let (_, handle) = decode_row_key(key.as_bytes()).unwrap();
        assert_eq!(handle, Handle::Common([1, 2, 0, 0, 0, 0, 0, 0, 0].into()));
    }

    #[test]
    fn other_keys_are_refused() {
        for key in [
            "",
            "6d00",
            "74",
            "748000000000000001",
            "748000000000000001 5f78 00",
            "748000000000000001 5f72 00",
        ] {
            assert!(decode_row_key(&hex(key)).is_err(), "{key}");
        }
        assert!(decode_index_handle(&[]).is_err());
        assert_eq!(table_of(&hex("748000000000000001")), Some(TableId(1)));
        assert_eq!(table_of(b"m"), None);
    }

    proptest! {
        #[test]
        fn row_keys_order_like_handles(t: i64, a: i64, u: i64, b: i64) {
            let (left, right) = (row_key(TableId(t), &Handle::Int(a)), row_key(TableId(u), &Handle::Int(b)));
            prop_assert_eq!(left.cmp(&right), (t, a).cmp(&(u, b)));
            prop_assert_eq!(left.encode().cmp(&right.encode()), left.cmp(&right));
            prop_assert_eq!(decode_row_key(left.as_bytes()), Ok((TableId(t), Handle::Int(a))));
        }

        #[test]
        fn decoding_takes_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = (decode_table_key(&bytes), decode_handle(&bytes), decode_index_handle(&bytes), table_of(&bytes));
            let _ = decode_table_key(&[vec![TABLE_PREFIX; 9], b"_i".to_vec(), bytes].concat());
        }
    }
}
