//! Numbers out of text and into text, as MySQL reads and prints them.
//!
//! Reading takes the longest numeric prefix; that something other than white space follows is a truncation, which the
//! caller reports or not. Writing appends to the caller's buffer.

use crate::Decimal;
use crate::decimal::parse_prefix;

/// A number read from the front of a text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prefix<T> {
    /// The number.
    pub value: T,
    /// Something other than white space followed, or there was no number.
    pub truncated: bool,
    /// The number did not fit and was clamped.
    pub overflow: bool,
}

/// The longest prefix that is an integer; a fraction or exponent is taken into account and rounded away
/// (`'1.5'` is 2, `'1e2'` is 100).
pub fn parse_i64(text: &[u8]) -> Prefix<i64> {
    let text = text.trim_ascii_start();
    if let Some((negative, magnitude, rest)) = plain_integer(text) {
        let value =
            if negative { 0i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() };
        let clamped = if negative { i64::MIN } else { i64::MAX };
        return Prefix {
            value: value.unwrap_or(clamped),
            truncated: has_more(rest),
            overflow: value.is_none(),
        };
    }
    let prefix = parse_prefix(text);
    let value = if prefix.overflow { None } else { prefix.value.to_i64() };
    let clamped = if prefix.value.is_negative() { i64::MIN } else { i64::MAX };
    Prefix {
        value: value.unwrap_or(clamped),
        truncated: prefix.len == 0 || has_more(&text[prefix.len..]),
        overflow: value.is_none(),
    }
}

/// The longest prefix of digits as an integer; a fraction or exponent is what is cut off. This is how CAST reads text
/// (`CAST('1.9' AS SIGNED)` is 1), while a column takes [`parse_i64`].
pub fn integer_prefix(text: &[u8]) -> Prefix<i64> {
    let (negative, magnitude, truncated, overflow) = digits_prefix(text);
    let value = if negative { 0i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() };
    let clamped = if negative { i64::MIN } else { i64::MAX };
    Prefix { value: value.unwrap_or(clamped), truncated, overflow: overflow || value.is_none() }
}

/// As [`integer_prefix`] for unsigned integers; a negative number is taken modulo 2^64, as CAST does.
pub fn unsigned_prefix(text: &[u8]) -> Prefix<u64> {
    let (negative, magnitude, truncated, overflow) = digits_prefix(text);
    let too_low = negative && magnitude > 1 << 63;
    let value = match (negative, too_low) {
        (false, _) => magnitude,
        (true, false) => magnitude.wrapping_neg(),
        (true, true) => 1 << 63,
    };
    Prefix { value, truncated, overflow: overflow || too_low }
}

/// As [`parse_i64`] for unsigned integers; a negative number overflows to 0.
pub fn parse_u64(text: &[u8]) -> Prefix<u64> {
    let text = text.trim_ascii_start();
    if let Some((negative, magnitude, rest)) = plain_integer(text) {
        let below = negative && magnitude > 0;
        return Prefix {
            value: if below { 0 } else { magnitude },
            truncated: has_more(rest),
            overflow: below,
        };
    }
    let prefix = parse_prefix(text);
    let value = if prefix.overflow { None } else { prefix.value.to_u64() };
    let clamped = if prefix.value.is_negative() { 0 } else { u64::MAX };
    Prefix {
        value: value.unwrap_or(clamped),
        truncated: prefix.len == 0 || has_more(&text[prefix.len..]),
        overflow: value.is_none(),
    }
}

/// The longest prefix that is a floating-point number.
pub fn parse_f64(text: &[u8]) -> Prefix<f64> {
    let text = text.trim_ascii_start();
    let len = float_len(text);
    let number = std::str::from_utf8(&text[..len]).ok().and_then(|number| number.parse::<f64>().ok());
    let value = number.unwrap_or(0.0);
    let overflow = value.is_infinite();
    Prefix {
        value: if overflow { f64::MAX.copysign(value) } else { value },
        truncated: len == 0 || has_more(&text[len..]),
        overflow,
    }
}

/// The longest prefix that is a decimal number.
pub fn parse_decimal(text: &[u8]) -> Prefix<Decimal> {
    let text = text.trim_ascii_start();
    let prefix = parse_prefix(text);
    Prefix {
        value: prefix.value,
        truncated: prefix.len == 0 || has_more(&text[prefix.len..]),
        overflow: prefix.overflow,
    }
}

/// Appends an integer.
pub fn write_i64(value: i64, out: &mut Vec<u8>) {
    if value < 0 {
        out.push(b'-');
    }
    write_u64(value.unsigned_abs(), out);
}

/// Appends an integer.
pub fn write_u64(value: u64, out: &mut Vec<u8>) {
    const PAIRS: &[u8; 200] = b"0001020304050607080910111213141516171819\
        2021222324252627282930313233343536373839\
        4041424344454647484950515253545556575859\
        6061626364656667686970717273747576777879\
        8081828384858687888990919293949596979899";
    let mut buffer = [0; 20];
    let mut at = buffer.len();
    let mut rest = value;
    while rest >= 100 {
        let pair = (rest % 100) as usize * 2;
        rest /= 100;
        at -= 2;
        buffer[at..at + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
    }
    if rest >= 10 {
        let pair = rest as usize * 2;
        at -= 2;
        buffer[at..at + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
    } else {
        at -= 1;
        buffer[at] = b'0' + rest as u8;
    }
    out.extend_from_slice(&buffer[at..]);
}

/// Appends a number padded with zeros to at least `width` digits.
pub(crate) fn write_padded(value: u32, width: usize, out: &mut Vec<u8>) {
    let mut buffer = [b'0'; 10];
    let mut at = buffer.len();
    let mut rest = value;
    while rest > 0 {
        at -= 1;
        buffer[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.extend_from_slice(&buffer[at.min(buffer.len() - width)..]);
}

/// Appends a DOUBLE as MySQL prints it: the shortest digits that read back, with an exponent from 1e15 on and below 1e-15.
pub fn write_f64(value: f64, out: &mut Vec<u8>) {
    write_float(value, value == 0.0, || format!("{value:e}"), out);
}

/// Appends a FLOAT as MySQL prints it: six digits, as `FLT_DIG` promises.
pub fn write_f32(value: f32, out: &mut Vec<u8>) {
    // MySQL prints a FLOAT with `%.6g` and cuts trailing zeros.
    let scientific = || {
        let text = format!("{value:.5e}");
        match text.split_once('e') {
            Some((mantissa, exponent)) => {
                format!("{}e{exponent}", mantissa.trim_end_matches('0').trim_end_matches('.'))
            }
            None => text,
        }
    };
    write_float(f64::from(value), value == 0.0, scientific, out);
}

fn write_float(value: f64, zero: bool, scientific: impl Fn() -> String, out: &mut Vec<u8>) {
    if zero {
        out.push(b'0');
        return;
    }
    // Whole numbers are the common case and need no search for shortest digits.
    if value.fract() == 0.0 && value.abs() < 1e6 {
        write_i64(value as i64, out);
        return;
    }
    let text = scientific();
    let Some((mantissa, exponent)) = text.split_once('e') else {
        out.extend_from_slice(text.as_bytes());
        return;
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if !(-15..15).contains(&exponent) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    out.extend_from_slice(sign.as_bytes());
    let digits: Vec<u8> = mantissa.bytes().filter(|byte| *byte != b'.').collect();
    if exponent < 0 {
        out.extend_from_slice(b"0.");
        out.resize(out.len() + (-exponent - 1) as usize, b'0');
        out.extend_from_slice(&digits);
        return;
    }
    let whole = exponent as usize + 1;
    if digits.len() <= whole {
        out.extend_from_slice(&digits);
        out.resize(out.len() + whole - digits.len(), b'0');
    } else {
        out.extend_from_slice(&digits[..whole]);
        out.push(b'.');
        out.extend_from_slice(&digits[whole..]);
    }
}

/// Sign, magnitude and the rest if the text starts with an integer of at most 19 digits and no fraction or exponent.
fn plain_integer(text: &[u8]) -> Option<(bool, u64, &[u8])> {
    let negative = text.first() == Some(&b'-');
    let digits = &text[usize::from(matches!(text.first(), Some(b'-' | b'+')))..];
    let len = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if len == 0 || len > 19 || matches!(digits.get(len), Some(b'.' | b'e' | b'E')) {
        return None;
    }
    let magnitude = digits[..len].iter().fold(0u64, |value, digit| value * 10 + u64::from(digit - b'0'));
    Some((negative, magnitude, &digits[len..]))
}

/// Sign, magnitude (clamped), whether anything followed, whether it was clamped.
fn digits_prefix(text: &[u8]) -> (bool, u64, bool, bool) {
    let text = text.trim_ascii_start();
    let negative = text.first() == Some(&b'-');
    let digits = &text[usize::from(matches!(text.first(), Some(b'-' | b'+')))..];
    let len = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let magnitude = digits[..len]
        .iter()
        .try_fold(0u64, |value, digit| value.checked_mul(10)?.checked_add(u64::from(digit - b'0')));
    (negative, magnitude.unwrap_or(u64::MAX), len == 0 || has_more(&digits[len..]), magnitude.is_none())
}

fn float_len(text: &[u8]) -> usize {
    let digits =
        |from: usize| text[from.min(text.len())..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let sign = usize::from(matches!(text.first(), Some(b'-' | b'+')));
    let whole = digits(sign);
    let mut at = sign + whole;
    let mut fraction = 0;
    if text.get(at) == Some(&b'.') {
        fraction = digits(at + 1);
        if whole + fraction > 0 {
            at += 1 + fraction;
        }
    }
    if whole + fraction == 0 {
        return 0;
    }
    if matches!(text.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(text.get(at + 1), Some(b'-' | b'+')));
        let exponent = digits(at + 1 + sign);
        if exponent > 0 {
            at += 1 + sign + exponent;
        }
    }
    at
}

fn has_more(rest: &[u8]) -> bool {
    rest.iter().any(|byte| !byte.is_ascii_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_from_text() {
        let check = |text: &str, value, truncated, overflow| {
            assert_eq!(parse_i64(text.as_bytes()), Prefix { value, truncated, overflow }, "{text:?}");
        };
        check("12", 12, false, false);
        check("  -12  ", -12, false, false);
        check("12abc", 12, true, false);
        check("abc", 0, true, false);
        check("", 0, true, false);
        check("1.5", 2, false, false);
        check("-1.5", -2, false, false);
        check("1e2", 100, false, false);
        check("1e2x", 100, true, false);
        check("9223372036854775807", i64::MAX, false, false);
        check("9223372036854775808", i64::MAX, false, true);
        check("-9223372036854775808", i64::MIN, false, false);
        check("-9223372036854775809", i64::MIN, false, true);
        check("1e400", i64::MAX, false, true);
        check("+", 0, true, false);
    }

    #[test]
    fn casts_cut_what_columns_round() {
        let check = |text: &str, value, truncated, overflow| {
            assert_eq!(integer_prefix(text.as_bytes()), Prefix { value, truncated, overflow }, "{text:?}");
        };
        check("1.9", 1, true, false);
        check(" -12 ", -12, false, false);
        check("99999999999999999999", i64::MAX, false, true);
        check("-9223372036854775809", i64::MIN, false, true);
        assert_eq!(unsigned_prefix(b"-1").value, u64::MAX);
        assert_eq!(
            unsigned_prefix(b"18446744073709551616"),
            Prefix { value: u64::MAX, truncated: false, overflow: true }
        );
    }

    #[test]
    fn unsigned_integers_from_text() {
        let check = |text: &str, value, truncated, overflow| {
            assert_eq!(parse_u64(text.as_bytes()), Prefix { value, truncated, overflow }, "{text:?}");
        };
        check("18446744073709551615", u64::MAX, false, false);
        check("18446744073709551616", u64::MAX, false, true);
        check("-1", 0, false, true);
        check("-0", 0, false, false);
        check("7.4 ", 7, false, false);
    }

    #[test]
    fn floats_from_text() {
        let check = |text: &str, value, truncated, overflow| {
            assert_eq!(parse_f64(text.as_bytes()), Prefix { value, truncated, overflow }, "{text:?}");
        };
        check("1.5", 1.5, false, false);
        check("-.5e1x", -5.0, true, false);
        check("1e", 1.0, true, false);
        check("1e400", f64::MAX, false, true);
        check("-1e400", -f64::MAX, false, true);
        check("inf", 0.0, true, false);
        check("nan", 0.0, true, false);
        check(".", 0.0, true, false);
    }

    #[test]
    fn decimals_from_text() {
        let prefix = parse_decimal(b" 12.340kg");
        assert_eq!(
            (prefix.value.to_string().as_str(), prefix.truncated, prefix.overflow),
            ("12.340", true, false)
        );
        assert!(parse_decimal(b"1e70").overflow);
    }

    #[test]
    fn floats_to_text() {
        let double = |value: f64| {
            let mut out = Vec::new();
            write_f64(value, &mut out);
            String::from_utf8(out).unwrap()
        };
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (0.1, "0.1"),
            (1e15, "1e15"),
            (123_456_789_012_345.0, "123456789012345"),
            (1.5e300, "1.5e300"),
            (1e-15, "0.000000000000001"),
            (1e-16, "1e-16"),
            (2_000_000.0, "2000000"),
            (123456.789, "123456.789"),
        ] {
            assert_eq!(double(value), text);
        }
        let float = |value: f32| {
            let mut out = Vec::new();
            write_f32(value, &mut out);
            String::from_utf8(out).unwrap()
        };
        for (value, text) in
            [(0.1, "0.1"), (3.0, "3"), (1.23457e10, "12345700000"), (1e20, "1e20"), (3.140_002, "3.14")]
        {
            assert_eq!(float(value), text);
        }
    }

    #[test]
    fn integers_to_text() {
        for value in [0, 7, 10, 99, 100, 12345, -1, i64::MIN, i64::MAX] {
            let mut out = Vec::new();
            write_i64(value, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), value.to_string());
        }
    }
}
