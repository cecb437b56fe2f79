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
    Err(if input.len() < 10 { DecodeError::UnexpectedEnd("variable-length integer") } else { DecodeError::Invalid("variable-length integer") })
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
