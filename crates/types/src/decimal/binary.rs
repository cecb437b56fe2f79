//! MySQL's binary form: nine digits in four bytes, the integer part first, the sign bit inverted; bytes order as numbers do.

use arrow_buffer::i256;

use super::{Decimal, DecimalError, MAX_PRECISION, MAX_SCALE, POWERS, TEXT_LEN_MAX, write_digits};

const GROUP_DIGITS: usize = 9;
/// Bytes that 0 to 9 digits take.
const GROUP_BYTES: [usize; GROUP_DIGITS + 1] = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4];

impl Decimal {
    /// Appends MySQL's binary form of DECIMAL(precision, scale), without a header. Rounds to the scale.
    pub fn write_mysql_bin(self, precision: u8, scale: u8, out: &mut Vec<u8>) -> Result<(), DecimalError> {
        check(precision, scale)?;
        let value = self.rescale(precision, scale)?;
        let start = out.len();
        let mut buffer = [b'0'; TEXT_LEN_MAX];
        let written = write_digits(value.magnitude(), &mut buffer).len();
        buffer[..TEXT_LEN_MAX - written].fill(b'0');
        let digits = &buffer[TEXT_LEN_MAX - usize::from(precision)..];
        let (whole, fraction) = digits.split_at(usize::from(precision - scale));
        let (lead, groups) = whole.split_at(whole.len() % GROUP_DIGITS);
        write_group(lead, out);
        groups.chunks_exact(GROUP_DIGITS).for_each(|group| write_group(group, out));
        fraction.chunks(GROUP_DIGITS).for_each(|group| write_group(group, out));
        if value.is_negative() {
            out[start..].iter_mut().for_each(|byte| *byte = !*byte);
        }
        out[start] ^= 0x80;
        Ok(())
    }

    /// MySQL's binary form of DECIMAL(precision, scale), without a header.
    pub fn to_mysql_bin(self, precision: u8, scale: u8) -> Result<Vec<u8>, DecimalError> {
        let mut out = Vec::with_capacity(Self::mysql_bin_len(precision, scale));
        self.write_mysql_bin(precision, scale, &mut out)?;
        Ok(out)
    }

    /// Length of MySQL's binary form.
    pub fn mysql_bin_len(precision: u8, scale: u8) -> usize {
        let part = |digits: u8| {
            let digits = usize::from(digits);
            digits / GROUP_DIGITS * 4 + GROUP_BYTES[digits % GROUP_DIGITS]
        };
        part(precision.saturating_sub(scale)) + part(scale)
    }

    /// Reads MySQL's binary form; also tells how many bytes it took.
    pub fn from_mysql_bin(bytes: &[u8], precision: u8, scale: u8) -> Result<(Self, usize), DecimalError> {
        check(precision, scale)?;
        let len = Self::mysql_bin_len(precision, scale);
        let mut copy = [0; 40];
        let bytes = bytes.get(..len).ok_or(DecimalError::Invalid)?;
        let copy = &mut copy[..len];
        copy.copy_from_slice(bytes);
        let negative = copy[0] & 0x80 == 0;
        copy[0] ^= 0x80;
        if negative {
            copy.iter_mut().for_each(|byte| *byte = !*byte);
        }
        let whole = usize::from(precision - scale);
        let fraction = usize::from(scale);
        let groups = std::iter::once(whole % GROUP_DIGITS)
            .chain(std::iter::repeat_n(GROUP_DIGITS, whole / GROUP_DIGITS + fraction / GROUP_DIGITS))
            .chain(std::iter::once(fraction % GROUP_DIGITS))
            .filter(|&digits| digits > 0);
        let mut rest = &*copy;
        let mut small = 0i128;
        let mut wide = i256::ZERO;
        let is_small = precision <= 38;
        for digits in groups {
            let (group, tail) = rest.split_at(GROUP_BYTES[digits]);
            rest = tail;
            let value = group.iter().fold(0i128, |value, byte| value << 8 | i128::from(*byte));
            if value >= POWERS[digits] {
                return Err(DecimalError::Invalid);
            }
            if is_small {
                small = small * POWERS[digits] + value;
            } else {
                wide =
                    wide.wrapping_mul(i256::from_i128(POWERS[digits])).wrapping_add(i256::from_i128(value));
            }
        }
        let value = if is_small { Self::small(small, scale) } else { Self::wide(wide, scale) };
        Ok((if negative { value.negate() } else { value }, len))
    }
}

fn check(precision: u8, scale: u8) -> Result<(), DecimalError> {
    let fits = (1..=MAX_PRECISION).contains(&precision) && scale <= precision && scale <= MAX_SCALE;
    if fits { Ok(()) } else { Err(DecimalError::Invalid) }
}

fn write_group(digits: &[u8], out: &mut Vec<u8>) {
    let value = digits.iter().fold(0u32, |value, digit| value * 10 + u32::from(digit - b'0'));
    out.extend_from_slice(&value.to_be_bytes()[4 - GROUP_BYTES[digits.len()]..]);
}
