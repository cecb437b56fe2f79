//! Numbers that sort as bytes, and variable-length ones.
//!
//! Every reader takes the front of a slice and moves it on.

use crate::DecodeError;

const SIGN: u64 = 1 << 63;

/// Appends an integer so that bytes order as integers do.
pub fn write_i64(value: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(&((value as u64) ^ SIGN).to_be_bytes());
}

/// Reads what [`write_i64`] wrote.
pub fn read_i64(input: &mut &[u8]) -> Result<i64, DecodeError> {
    Ok((read_u64(input)? ^ SIGN) as i64)
}

/// Appends an unsigned integer so that bytes order as integers do.
pub fn write_u64(value: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// Reads what [`write_u64`] wrote.
pub fn read_u64(input: &mut &[u8]) -> Result<u64, DecodeError> {
    let (head, rest) = input.split_first_chunk::<8>().ok_or(DecodeError::UnexpectedEnd("64-bit integer"))?;
    *input = rest;
    Ok(u64::from_be_bytes(*head))
}

/// Appends an unsigned integer so that bytes order inversely.
pub fn write_u64_desc(value: u64, out: &mut Vec<u8>) {
    write_u64(!value, out);
}

/// Reads what [`write_u64_desc`] wrote.
pub fn read_u64_desc(input: &mut &[u8]) -> Result<u64, DecodeError> {
    Ok(!read_u64(input)?)
}

/// Appends a double so that bytes order as numbers do (-0 before 0, NaN last).
pub fn write_f64(value: f64, out: &mut Vec<u8>) {
    let bits = value.to_bits();
    write_u64(if bits & SIGN == 0 { bits | SIGN } else { !bits }, out);
}

/// Reads what [`write_f64`] wrote.
pub fn read_f64(input: &mut &[u8]) -> Result<f64, DecodeError> {
    let bits = read_u64(input)?;
    Ok(f64::from_bits(if bits & SIGN == 0 { !bits } else { bits & !SIGN }))
}

/// Appends an unsigned LEB128 integer.
pub fn write_var_u64(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Reads what [`write_var_u64`] wrote.
pub fn read_var_u64(input: &mut &[u8]) -> Result<u64, DecodeError> {
    let mut value = 0u64;
    for (position, &byte) in input.iter().enumerate().take(10) {
        let bits = u64::from(byte & 0x7f);
        if position == 9 && bits > 1 {
            break;
        }
        value |= bits << (7 * position);
        if byte < 0x80 {
            *input = &input[position + 1..];
            return Ok(value);
        }
    }
    if input.len() < 10 {
        Err(DecodeError::UnexpectedEnd("variable-length integer"))
    } else {
        Err(DecodeError::Invalid("variable-length integer"))
    }
}

/// Appends a zigzag LEB128 integer.
pub fn write_var_i64(value: i64, out: &mut Vec<u8>) {
    write_var_u64(((value << 1) ^ (value >> 63)) as u64, out);
}

/// Reads what [`write_var_i64`] wrote.
pub fn read_var_i64(input: &mut &[u8]) -> Result<i64, DecodeError> {
    let bits = read_var_u64(input)?;
    Ok((bits >> 1) as i64 ^ -((bits & 1) as i64))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::hex;

    fn written<T>(write: fn(T, &mut Vec<u8>), value: T) -> Vec<u8> {
        let mut out = Vec::new();
        write(value, &mut out);
        out
    }

    #[test]
    fn vectors() {
        assert_eq!(written(write_i64, -1), hex("7fffffffffffffff"));
        assert_eq!(written(write_i64, 0), hex("8000000000000000"));
        assert_eq!(written(write_i64, 1), hex("8000000000000001"));
        assert_eq!(written(write_f64, 5.5), hex("c016000000000000"));
        assert_eq!(written(write_f64, -1.0), hex("400fffffffffffff"));
        assert_eq!(written(write_f64, 0.0), hex("8000000000000000"));
        assert_eq!(written(write_var_u64, 300), hex("ac02"));
        assert_eq!(written(write_var_i64, -1), hex("01"));
    }

    #[test]
    fn overlong_integers_are_refused() {
        assert_eq!(
            read_var_u64(&mut &[0xff; 9][..]),
            Err(DecodeError::UnexpectedEnd("variable-length integer"))
        );
        assert_eq!(read_var_u64(&mut &[0xff; 11][..]), Err(DecodeError::Invalid("variable-length integer")));
        let max = written(write_var_u64, u64::MAX);
        assert_eq!((max.len(), read_var_u64(&mut max.as_slice())), (10, Ok(u64::MAX)));
    }

    proptest! {
        #[test]
        fn integers_order_and_round_trip(a: i64, b: i64) {
            let (x, y) = (written(write_i64, a), written(write_i64, b));
            prop_assert_eq!(x.cmp(&y), a.cmp(&b));
            prop_assert_eq!(read_i64(&mut x.as_slice()), Ok(a));
            let (x, y) = (written(write_u64_desc, a as u64), written(write_u64_desc, b as u64));
            prop_assert_eq!(y.cmp(&x), (a as u64).cmp(&(b as u64)));
            prop_assert_eq!(read_u64_desc(&mut x.as_slice()), Ok(a as u64));
            prop_assert_eq!(read_var_i64(&mut written(write_var_i64, a).as_slice()), Ok(a));
            prop_assert_eq!(read_var_u64(&mut written(write_var_u64, a as u64).as_slice()), Ok(a as u64));
        }

        #[test]
        fn doubles_order_and_round_trip(a: f64, b: f64) {
            let (x, y) = (written(write_f64, a), written(write_f64, b));
            prop_assert_eq!(x.cmp(&y), a.total_cmp(&b));
            prop_assert_eq!(read_f64(&mut x.as_slice()).map(f64::to_bits), Ok(a.to_bits()));
        }

        #[test]
        fn reading_takes_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..12)) {
            let _ = (read_i64(&mut bytes.as_slice()), read_f64(&mut bytes.as_slice()), read_var_i64(&mut bytes.as_slice()));
        }
    }
}
