//! Values of index entries.
//!
//! The short form (at most nine bytes) is `0` for an index that is not unique, or the handle of a unique one. Everything
//! else (a clustered table's handle, a partition, columns that the key cannot give back) is in the long form: the length of
//! the tail, tagged parts, and the tail (padding and an integer handle).

use crate::{DecodeError, Handle, TableId, number, row};

const SHORT_LEN_MAX: usize = 9;
const LONG_LEN_MIN: usize = 10;
/// What follows is the version of the layout.
const VERSION_FLAG: u8 = 125;
const PARTITION_FLAG: u8 = 126;
const COMMON_HANDLE_FLAG: u8 = 127;
/// The layout of clustered tables.
const CLUSTERED_VERSION: u8 = 1;

/// What an index entry's value holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IndexValue<'a> {
    /// The row's handle, if it is not in the key (a unique index without NULLs).
    pub handle: Option<Handle>,
    /// The partition, for a global index.
    pub partition: Option<TableId>,
    /// A row value (format v2) of the columns whose keys cannot be turned back.
    pub restored: Option<&'a [u8]>,
}

/// What kind of table the index belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexLayout {
    /// Integer handles.
    IntHandle,
    /// A clustered primary key.
    CommonHandle,
}

/// Appends the value of an entry.
///
/// ```
/// use tidewater_codec::index_value::{IndexLayout, IndexValue, decode, encode};
/// use tidewater_codec::Handle;
///
/// let value = IndexValue { handle: Some(Handle::Int(1)), ..IndexValue::default() };
/// let mut out = Vec::new();
/// encode(&value, IndexLayout::IntHandle, &mut out);
/// assert_eq!(out, [0, 0, 0, 0, 0, 0, 0, 1]);
/// assert_eq!(decode(&out), Ok(value));
/// ```
pub fn encode(value: &IndexValue<'_>, layout: IndexLayout, out: &mut Vec<u8>) {
    let is_short = layout == IndexLayout::IntHandle && value.partition.is_none() && value.restored.is_none();
    match &value.handle {
        None if is_short => out.push(b'0'),
        Some(Handle::Int(handle)) if is_short => out.extend_from_slice(&handle.to_be_bytes()),
        _ => encode_long(value, layout, out),
    }
}

fn encode_long(value: &IndexValue<'_>, layout: IndexLayout, out: &mut Vec<u8>) {
    let start = out.len();
    // The tail's length, known at the end.
    out.push(0);
    if layout == IndexLayout::CommonHandle {
        out.extend_from_slice(&[VERSION_FLAG, CLUSTERED_VERSION]);
    }
    if let Some(Handle::Common(handle)) = &value.handle {
        let len = u16::try_from(handle.len())
            .expect("a handle is part of a key, and keys are limited to 3072 bytes");
        out.push(COMMON_HANDLE_FLAG);
        out.extend_from_slice(&len.to_be_bytes());
        out.extend_from_slice(handle);
    }
    if let Some(partition) = value.partition {
        out.push(PARTITION_FLAG);
        number::write_i64(partition.0, out);
    }
    if let Some(restored) = value.restored {
        out.extend_from_slice(restored);
    }
    let parts_end = out.len();
    // The old layout must be told from the short form by its length.
    if layout == IndexLayout::IntHandle {
        match &value.handle {
            Some(Handle::Int(handle)) => out.extend_from_slice(&handle.to_be_bytes()),
            _ => out.resize((start + LONG_LEN_MIN).max(out.len()), 0),
        }
    }
    out[start] = (out.len() - parts_end) as u8;
}

/// Reads the value of an entry of either layout.
pub fn decode(bytes: &[u8]) -> Result<IndexValue<'_>, DecodeError> {
    if bytes.len() <= SHORT_LEN_MAX {
        let handle = bytes.first_chunk().map(|handle| Handle::Int(i64::from_be_bytes(*handle)));
        return Ok(IndexValue { handle, ..IndexValue::default() });
    }
    let tail_len = usize::from(bytes[0]);
    let mut parts = &bytes[1..];
    let is_clustered = tail_len <= 1 && parts[0] == VERSION_FLAG;
    if is_clustered {
        if parts[1] != CLUSTERED_VERSION {
            return Err(DecodeError::UnknownFlag { what: "index value's version", flag: parts[1] });
        }
        parts = &parts[2..];
    }
    let parts_len = parts.len().checked_sub(tail_len).ok_or(DecodeError::Invalid("index value"))?;
    let (mut parts, tail) = parts.split_at(parts_len);
    let mut value = IndexValue::default();
    if !is_clustered && let Some(handle) = tail.last_chunk() {
        value.handle = Some(Handle::Int(i64::from_be_bytes(*handle)));
    }
    if let [COMMON_HANDLE_FLAG, rest @ ..] = parts {
        let (len, rest) =
            rest.split_first_chunk().ok_or(DecodeError::UnexpectedEnd("index value's handle"))?;
        let (handle, rest) = rest
            .split_at_checked(usize::from(u16::from_be_bytes(*len)))
            .ok_or(DecodeError::UnexpectedEnd("index value's handle"))?;
        value.handle = Some(Handle::Common(handle.into()));
        parts = rest;
    }
    if let [PARTITION_FLAG, rest @ ..] = parts {
        parts = rest;
        value.partition = Some(TableId(number::read_i64(&mut parts)?));
    }
    match parts.first() {
        None => {}
        Some(&row::ROW_VERSION) => value.restored = Some(parts),
        Some(&flag) => return Err(DecodeError::UnknownFlag { what: "index value", flag }),
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::hex;

    fn encoded(value: &IndexValue<'_>, layout: IndexLayout) -> Vec<u8> {
        let mut out = Vec::new();
        encode(value, layout, &mut out);
        out
    }

    #[test]
    fn vectors() {
        let plain = IndexValue::default();
        assert_eq!(encoded(&plain, IndexLayout::IntHandle), hex("30"));
        let unique = IndexValue { handle: Some(Handle::Int(1)), ..plain.clone() };
        assert_eq!(encoded(&unique, IndexLayout::IntHandle), hex("0000000000000001"));
        let restored = hex("800003000000 010203 0100 0900 0a00 02 c008000000000000 04");
        let value = IndexValue { handle: Some(Handle::Int(4)), partition: None, restored: Some(&restored) };
        let expected = hex("08 800003000000 010203 0100 0900 0a00 02 c008000000000000 04 0000000000000004");
        assert_eq!(encoded(&value, IndexLayout::IntHandle), expected);
        assert_eq!(decode(&expected), Ok(value));
        let clustered = IndexValue { handle: Some(Handle::Common([3; 9].into())), ..plain.clone() };
        assert_eq!(encoded(&clustered, IndexLayout::CommonHandle), hex("00 7d01 7f0009 030303030303030303"));
        assert_eq!(encoded(&plain, IndexLayout::CommonHandle), hex("00 7d01"));
    }

    proptest! {
        #[test]
        fn values_round_trip(
            int in any::<Option<i64>>(),
            common in prop::option::of(prop::collection::vec(any::<u8>(), 9..40)),
            partition in any::<Option<i64>>(),
            restored in prop::option::of(prop::collection::vec(any::<u8>(), 6..40)),
        ) {
            let restored = restored.map(|bytes| [vec![row::ROW_VERSION], bytes].concat());
            let value = |handle| IndexValue { handle, partition: partition.map(TableId), restored: restored.as_deref() };
            let with_int = value(int.map(Handle::Int));
            let bytes = encoded(&with_int, IndexLayout::IntHandle);
            prop_assert_eq!(decode(&bytes), Ok(with_int));
            let with_common = value(common.map(|bytes| Handle::Common(bytes.into())));
            let bytes = encoded(&with_common, IndexLayout::CommonHandle);
            prop_assert_eq!(decode(&bytes), Ok(with_common));
        }

        #[test]
        fn decoding_takes_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..40), flag in 120u8..130, tail in 0u8..12) {
            let _ = decode(&bytes);
            let _ = decode(&[vec![tail, flag], bytes].concat());
        }
    }
}
