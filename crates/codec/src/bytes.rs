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
        let (group, rest) =
            input.split_first_chunk::<{ GROUP + 1 }>().ok_or(DecodeError::UnexpectedEnd("byte string"))?;
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
        let (group, rest) =
            input.split_first_chunk::<{ GROUP + 1 }>().ok_or(DecodeError::UnexpectedEnd("byte string"))?;
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
    let len = usize::try_from(number::read_var_i64(input)?)
        .map_err(|_| DecodeError::Invalid("byte string's length"))?;
    let (bytes, rest) = input.split_at_checked(len).ok_or(DecodeError::UnexpectedEnd("byte string"))?;
    *input = rest;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::hex;

    fn encoded(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        write_bytes(bytes, &mut out);
        out
    }

    #[test]
    fn vectors() {
        assert_eq!(encoded(b""), hex("0000000000000000 f7"));
        assert_eq!(encoded(&[1, 2, 3]), hex("0102030000000000 fa"));
        assert_eq!(encoded(&[1, 2, 3, 4, 5, 6, 7, 8]), hex("0102030405060708 ff 0000000000000000 f7"));
    }

    #[test]
    fn wrong_padding_is_refused() {
        for bytes in ["", "00", "0102030000000001 fa", "0102030405060708 00", "0102030405060708 ff"] {
            assert!(read_bytes(&mut hex(bytes).as_slice(), &mut Vec::new()).is_err(), "{bytes}");
        }
    }

    proptest! {
        #[test]
        fn order_and_round_trip(a in prop::collection::vec(0u8..3, 0..20), b in prop::collection::vec(0u8..3, 0..20)) {
            let (x, y) = (encoded(&a), encoded(&b));
            prop_assert_eq!(x.cmp(&y), a.cmp(&b));
            prop_assert_eq!(x.len(), encoded_len(a.len()));
            let both = [x.clone(), y].concat();
            let mut input = both.as_slice();
            let mut out = Vec::new();
            read_bytes(&mut input, &mut out).unwrap();
            prop_assert_eq!(&out, &a);
            prop_assert_eq!(skip_bytes(&mut input).unwrap(), encoded(&b));
            prop_assert!(input.is_empty());
        }

        #[test]
        fn compact_round_trip(a in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut out = Vec::new();
            write_compact_bytes(&a, &mut out);
            out.push(7);
            let mut input = out.as_slice();
            prop_assert_eq!(read_compact_bytes(&mut input), Ok(a.as_slice()));
            prop_assert_eq!(input, &[7]);
        }

        #[test]
        fn reading_takes_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = (read_bytes(&mut bytes.as_slice(), &mut Vec::new()), skip_bytes(&mut bytes.as_slice()));
            let _ = read_compact_bytes(&mut bytes.as_slice());
        }
    }
}
