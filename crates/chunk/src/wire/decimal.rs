//! Decimals in 40 bytes: four counts, then nine words of nine digits each.

use arrow_buffer::i256;
use tidewater_types::Decimal;

use super::WireError;

/// Bytes of a decimal.
pub(crate) const DECIMAL_BYTES: usize = 40;
const WORDS: usize = 9;
const WORD_DIGITS: usize = 9;
const WORD_BASE: i128 = 1_000_000_000;
const SCALE_MAX: usize = 30;

/// Appends a decimal.
pub(crate) fn write(value: Decimal, out: &mut Vec<u8>) {
    let (digits, scale) = digits_of(value);
    // There is always a digit before the point.
    let int_digits = digits.len().saturating_sub(scale).max(1);
    let mut words = [0_u32; WORDS];
    let int_words = int_digits.div_ceil(WORD_DIGITS);
    for (place, digit) in digits.iter().rev().enumerate() {
        // Places count from the last digit: below `scale` they lie behind the point.
        let (word, power) = if place < scale {
            let behind = scale - 1 - place;
            (int_words + behind / WORD_DIGITS, WORD_DIGITS - 1 - behind % WORD_DIGITS)
        } else {
            let before = place - scale;
            (int_words - 1 - before / WORD_DIGITS, before % WORD_DIGITS)
        };
        words[word] += u32::from(*digit) * 10_u32.pow(power as u32);
    }
    out.extend_from_slice(&[int_digits as u8, scale as u8, scale as u8, u8::from(value.is_negative())]);
    words.iter().for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
}

/// The digits, first to last, without leading zeros, and how many of them stand behind the point.
fn digits_of(value: Decimal) -> (Vec<u8>, usize) {
    let digits = match value.to_i128() {
        Some(scaled) => scaled.unsigned_abs().to_string(),
        None => value.abs().to_i256().to_string(),
    };
    (digits.bytes().map(|digit| digit - b'0').collect(), usize::from(value.scale()))
}

/// Reads a decimal.
pub(crate) fn read(bytes: &[u8; DECIMAL_BYTES]) -> Result<Decimal, WireError> {
    let malformed = WireError::Malformed("decimal");
    let (int_digits, frac_digits) = (usize::from(bytes[0]), usize::from(bytes[1]));
    let int_words = int_digits.div_ceil(WORD_DIGITS);
    let frac_words = frac_digits.div_ceil(WORD_DIGITS);
    if int_words + frac_words > WORDS || frac_digits > SCALE_MAX {
        return Err(malformed);
    }
    let word = |index: usize| {
        let at = 4 + index * 4;
        let word = i128::from(u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]));
        if word < WORD_BASE { Ok(word) } else { Err(malformed) }
    };
    // Two halves of at most five words fit 128 bits each: most decimals need no wider arithmetic.
    let mut value = i256::ZERO;
    let (mut narrow, mut narrow_words) = (0_i128, 0);
    for index in 0..int_words + frac_words {
        let mut digits = word(index)?;
        let mut base = WORD_BASE;
        if index + 1 == int_words + frac_words && !frac_digits.is_multiple_of(WORD_DIGITS) {
            let unused = 10_i128.pow((WORD_DIGITS - frac_digits % WORD_DIGITS) as u32);
            (digits, base) = (digits / unused, base / unused);
        }
        if narrow_words < 4 {
            narrow = narrow * base + digits;
            narrow_words += 1;
            value = i256::from_i128(narrow);
        } else {
            let wide = value.checked_mul(i256::from_i128(base));
            value = wide.and_then(|wide| wide.checked_add(i256::from_i128(digits))).ok_or(malformed)?;
        }
    }
    let scale = frac_digits as u8;
    let negative = bytes[3] != 0;
    if narrow_words == int_words + frac_words {
        return Ok(Decimal::from_i128(if negative { -narrow } else { narrow }, scale));
    }
    let value = if negative { value.wrapping_neg() } else { value };
    Decimal::from_i256(value, scale).ok_or(malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(value: &str) -> String {
        let mut out = Vec::new();
        write(value.parse().expect("a decimal"), &mut out);
        out.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn a_known_vector() {
        assert_eq!(hex("123.456"), format!("030303007b00000000022e1b{}", "0".repeat(56)));
    }

    #[test]
    fn what_is_written_is_read() {
        let wide = "9".repeat(65);
        for text in [
            "0",
            "0.5",
            "-0.000000001",
            "1",
            "-1",
            "999999999",
            "1000000000",
            "123456789012345678.90",
            "-123456789012345678901234567890.123456789012345678901234567891",
            "0.123456789012345678901234567891",
            &wide,
        ] {
            let value: Decimal = text.parse().expect("a decimal");
            let mut out = Vec::new();
            write(value, &mut out);
            let bytes: &[u8; DECIMAL_BYTES] = out.as_slice().try_into().expect("40 bytes");
            let back = read(bytes).expect("a decimal");
            assert_eq!((back.to_string(), back.scale()), (value.to_string(), value.scale()), "{text}");
        }
    }

    #[test]
    fn counts_beyond_the_words_are_refused() {
        let mut bytes = [0; DECIMAL_BYTES];
        for (int_digits, frac_digits) in [(82, 0), (0, 31), (81, 9), (255, 255)] {
            (bytes[0], bytes[1]) = (int_digits, frac_digits);
            assert!(read(&bytes).is_err(), "{int_digits} {frac_digits}");
        }
        bytes = [0xff; DECIMAL_BYTES];
        (bytes[0], bytes[1]) = (9, 0);
        assert!(read(&bytes).is_err());
    }
}
