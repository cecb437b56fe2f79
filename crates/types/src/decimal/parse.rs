//! Decimals out of text.

use arrow_buffer::i256;

use super::{Decimal, DecimalError, MAX_PRECISION, MAX_SCALE, POWERS};

/// A decimal read from the front of a text.
pub(crate) struct DecimalPrefix {
    /// The value, or the largest of its sign if it overflowed.
    pub value: Decimal,
    /// Bytes read; 0 if there is no number.
    pub len: usize,
    /// More than 65 digits before the point.
    pub overflow: bool,
}

/// Reads a whole text as a decimal.
pub(super) fn parse(text: &[u8]) -> Result<Decimal, DecimalError> {
    let prefix = parse_prefix(text);
    if prefix.len == 0 || prefix.len != text.len() {
        return Err(DecimalError::Invalid);
    }
    if prefix.overflow { Err(DecimalError::Overflow) } else { Ok(prefix.value) }
}

/// Reads `[+-] digits [. digits] [e [+-] digits]` from the front of a text.
pub(crate) fn parse_prefix(text: &[u8]) -> DecimalPrefix {
    let negative = text.first() == Some(&b'-');
    let mut at = usize::from(matches!(text.first(), Some(b'-' | b'+')));
    let whole_len = digits_len(&text[at..]);
    let whole = &text[at..at + whole_len];
    at += whole_len;
    let mut fraction: &[u8] = &[];
    if text.get(at) == Some(&b'.') {
        let len = digits_len(&text[at + 1..]);
        if len > 0 || whole_len > 0 {
            fraction = &text[at + 1..at + 1 + len];
            at += 1 + len;
        }
    }
    if whole.is_empty() && fraction.is_empty() {
        return DecimalPrefix { value: Decimal::ZERO, len: 0, overflow: false };
    }
    let (exponent, exponent_len) = parse_exponent(&text[at..]);
    at += exponent_len;
    let (value, overflow) = build(whole, fraction, exponent);
    DecimalPrefix { value: if negative { value.negate() } else { value }, len: at, overflow }
}

fn digits_len(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// `e-12` as value and length; (0, 0) if there is none.
fn parse_exponent(text: &[u8]) -> (i64, usize) {
    if !matches!(text.first(), Some(b'e' | b'E')) {
        return (0, 0);
    }
    let sign_len = usize::from(matches!(text.get(1), Some(b'+' | b'-')));
    let len = digits_len(&text[1 + sign_len..]);
    if len == 0 {
        return (0, 0);
    }
    // Beyond a million every number is zero or too large, unless it has a million digits itself.
    let magnitude = text[1 + sign_len..][..len]
        .iter()
        .fold(0i64, |value, digit| (value * 10 + i64::from(digit - b'0')).min(1 << 40));
    (if text[1] == b'-' { -magnitude } else { magnitude }, 1 + sign_len + len)
}

/// The magnitude, and whether it overflowed.
fn build(whole: &[u8], fraction: &[u8], exponent: i64) -> (Decimal, bool) {
    // The plain case: no exponent, few digits.
    if exponent == 0 && whole.len() + fraction.len() <= 38 && fraction.len() <= usize::from(MAX_SCALE) {
        let value =
            whole.iter().chain(fraction).fold(0i128, |value, digit| value * 10 + i128::from(digit - b'0'));
        return (Decimal::small(value, fraction.len() as u8), false);
    }
    let digits = || whole.iter().chain(fraction).copied().skip_while(|&digit| digit == b'0');
    let count = digits().count() as i64;
    let scale = fraction.len() as i64 - exponent;
    if count == 0 {
        return (Decimal::small(0, scale.clamp(0, i64::from(MAX_SCALE)) as u8), false);
    }
    let whole_count = count - scale;
    if whole_count > i64::from(MAX_PRECISION) {
        return (Decimal::max_value(MAX_PRECISION, 0), true);
    }
    let scale_kept = scale.clamp(0, i64::from(MAX_SCALE).min(i64::from(MAX_PRECISION) - whole_count.max(0)));
    // Digits beyond the kept scale are dropped; a negative scale appends zeros.
    let kept = (count - (scale - scale_kept).max(0)).max(-1);
    if kept < 0 {
        return (Decimal::small(0, scale_kept as u8), false);
    }
    let mut value = i256::ZERO;
    let mut chunk = (0i128, 0usize);
    let mut push = |digit: i128, chunk: &mut (i128, usize)| {
        chunk.0 = chunk.0 * 10 + digit;
        chunk.1 += 1;
        if chunk.1 == 36 {
            value = value.wrapping_mul(i256::from_i128(POWERS[36])).wrapping_add(i256::from_i128(chunk.0));
            *chunk = (0, 0);
        }
    };
    let mut rest = digits();
    for digit in rest.by_ref().take(kept as usize) {
        push(i128::from(digit - b'0'), &mut chunk);
    }
    for _ in 0..(-scale).max(0) {
        push(0, &mut chunk);
    }
    let mut value =
        value.wrapping_mul(i256::from_i128(POWERS[chunk.1])).wrapping_add(i256::from_i128(chunk.0));
    if rest.next().is_some_and(|digit| digit >= b'5') {
        value = value.wrapping_add(i256::ONE);
    }
    match Decimal::from_i256(value, scale_kept as u8) {
        Some(decimal) => (decimal, false),
        // 65 nines were rounded up.
        None if scale_kept > 0 => {
            let tenth = value.checked_div(i256::from_i128(10)).unwrap_or(i256::ZERO);
            (Decimal::wide(tenth, scale_kept as u8 - 1), false)
        }
        None => (Decimal::max_value(MAX_PRECISION, 0), true),
    }
}
