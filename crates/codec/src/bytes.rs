//! Byte strings: comparable (groups of eight) and compact (length first).

use crate::{DecodeError, number};

const GROUP: usize = 8;

/// Appends bytes so that encodings order as the bytes do and none is a prefix of another.
pub fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    out.reserve(encoded_len(bytes.len()));
    let mut groups = bytes.chunks_exact(GROUP);
    for group in &mut groups {
        out.extend_from_slice(group);
        out.push(0xff);
    }
    let rest = groups.remainder();
    out.extend_from_slice(rest);
    let pad = GROUP - rest.len();
    out.extend_from_slice(&[0; GROUP][..pad]);
    out.push(0xff - pad as u8);
}

/// How many bytes [`write_bytes`] appends.
pub const fn encoded_len(len: usize) -> usize {
    (len / GROUP + 1) * (GROUP + 1)
}

/// Reads what [`write_bytes`] wrote and appends it to `out`.
pub fn read_bytes(input: &mut &[u8], out: &mut Vec<u8>) -> Result<(), DecodeError> {
    loop {
        let (group, rest) = input.split_first_chunk::<{ GROUP + 1 }>().ok_or(DecodeError::UnexpectedEnd("byte string"))?;
        *input = rest;
        let pad = usize::from(0xff - group[GROUP]);
        if pad == 0 {
            out.extend_from_slice(&group[..GROUP]);
            continue;
        }
        if pad > GROUP {
            return Err(DecodeError::Invalid("byte string"));
        }
        let (data, padding) = group[..GROUP].split_at(GROUP - pad);
        if padding.iter().any(|&byte| byte != 0) {
            return Err(DecodeError::Invalid("byte string"));
        }
        out.extend_from_slice(data);
        return Ok(());
    }
}

/// Skips what [`write_bytes`] wrote and returns the encoded form.
pub fn skip_bytes<'a>(input: &mut &'a [u8]) -> Result<&'a [u8], DecodeError> {
    let whole = *input;
    loop {
        let (group, rest) = input.split_first_chunk::<{ GROUP + 1 }>().ok_or(DecodeError::UnexpectedEnd("byte string"))?;
        *input = rest;
        match group[GROUP] {
            0xff => {}
            0xf7..=0xfe => return Ok(&whole[..whole.len() - rest.len()]),
            _ => return Err(DecodeError::Invalid("byte string")),
        }
    }
}

/// Appends length and bytes.
pub fn write_compact_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    number::write_var_i64(bytes.len() as i64, out);
    out.extend_from_slice(bytes);
}

/// Reads what [`write_compact_bytes`] wrote.
pub fn read_compact_bytes<'a>(input: &mut &'a [u8]) -> Result<&'a [u8], DecodeError> {
    let len = usize::try_from(number::read_var_i64(input)?).map_err(|_| DecodeError::Invalid("byte string's length"))?;
    let (bytes, rest) = input.split_at_checked(len).ok_or(DecodeError::UnexpectedEnd("byte string"))?;
    *input = rest;
    Ok(bytes)
}
