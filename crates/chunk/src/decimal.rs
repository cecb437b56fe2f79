//! Decimal columns: 128 bits as long as that is enough.

use std::sync::Arc;

use arrow::array::{ArrayRef, Decimal128Array, Decimal256Array};
use arrow::buffer::NullBuffer;
use arrow_buffer::i256;
use tidewater_types::{Decimal, FieldType};

/// Digits that a `Decimal128Array` holds.
pub const DECIMAL128_DIGITS: u8 = 38;

const DECIMAL128_LIMIT: i128 = 10i128.pow(38);

/// The scale of a `DECIMAL` column's array; an unspecified one is 0.
pub fn decimal_scale(field_type: &FieldType) -> u8 {
    field_type.decimals.clamp(0, 30) as u8
}

/// Whether a scaled value may stand in a `Decimal128Array`.
#[inline]
pub fn fits_decimal128(value: i128) -> bool {
    -DECIMAL128_LIMIT < value && value < DECIMAL128_LIMIT
}

/// The scaled values of a decimal column under construction; widens itself when a value needs it.
#[derive(Debug, Clone)]
pub struct DecimalVec {
    scale: u8,
    narrow: Vec<i128>,
    /// Once there, the whole column lives here.
    wide: Option<Vec<i256>>,
}

impl DecimalVec {
    /// An empty column.
    pub fn new(scale: u8, capacity: usize) -> Self {
        Self { scale, narrow: Vec::with_capacity(capacity), wide: None }
    }

    /// The column's scale.
    pub fn scale(&self) -> u8 {
        self.scale
    }

    /// Values so far.
    pub fn len(&self) -> usize {
        self.wide.as_ref().map_or(self.narrow.len(), Vec::len)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends a scaled value.
    #[inline]
    pub fn push_i128(&mut self, value: i128) {
        if self.wide.is_none() && fits_decimal128(value) {
            self.narrow.push(value);
        } else {
            self.push_i256(i256::from_i128(value));
        }
    }

    /// Appends a scaled value.
    pub fn push_i256(&mut self, value: i256) {
        match (&mut self.wide, value.to_i128()) {
            (None, Some(narrow)) if fits_decimal128(narrow) => self.narrow.push(narrow),
            (None, _) => {
                let mut wide: Vec<i256> = self.narrow.drain(..).map(i256::from_i128).collect();
                wide.push(value);
                self.wide = Some(wide);
            }
            (Some(wide), _) => wide.push(value),
        }
    }

    /// Appends a value of any scale, rounded to the column's.
    pub fn push(&mut self, value: Decimal) {
        if value.scale() == self.scale {
            match value.to_i128() {
                Some(scaled) => self.push_i128(scaled),
                None => self.push_i256(value.to_i256()),
            }
            return;
        }
        match value.rescale(tidewater_types::MAX_PRECISION, self.scale) {
            Ok(rescaled) => self.push_i256(rescaled.to_i256()),
            // Beyond 65 digits: the largest DECIMAL of that sign, as MySQL does.
            Err(_) => {
                let largest = Decimal::max_value(tidewater_types::MAX_PRECISION, self.scale);
                self.push_i256(if value.is_negative() { largest.negate() } else { largest }.to_i256());
            }
        }
    }

    /// The array.
    pub fn finish(self, nulls: Option<NullBuffer>) -> ArrayRef {
        let scale = self.scale as i8;
        match self.wide {
            None => Arc::new(
                Decimal128Array::new(self.narrow.into(), nulls)
                    .with_precision_and_scale(DECIMAL128_DIGITS, scale)
                    .expect("scale is at most 30"),
            ),
            Some(wide) => Arc::new(
                Decimal256Array::new(wide.into(), nulls)
                    .with_precision_and_scale(76, scale)
                    .expect("scale is at most 30"),
            ),
        }
    }
}

/// MySQL's binary decimal of at most 38 digits, straight to its scaled integer. `None` when it is longer or malformed:
/// the caller then takes the general path.
///
/// The layout: groups of nine digits in four bytes big-endian, with a shorter group at each end; the first bit flipped;
/// all bytes inverted for negative values.
#[inline]
pub(crate) fn scaled_from_mysql_bin(bytes: &[u8], precision: u8, scale: u8) -> Option<i128> {
    const GROUP_BYTES: [usize; 10] = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4];
    const POW10: [u64; 10] =
        [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000];
    if precision > DECIMAL128_DIGITS || scale > precision {
        return None;
    }
    let int_digits = usize::from(precision - scale);
    let frac_digits = usize::from(scale);
    let (lead, int_groups) = (int_digits % 9, int_digits / 9);
    let (frac_groups, tail) = (frac_digits / 9, frac_digits % 9);
    let len = GROUP_BYTES[lead] + 4 * (int_groups + frac_groups) + GROUP_BYTES[tail];
    let bytes = bytes.get(..len)?;
    let negative = bytes.first()? & 0x80 == 0;
    let invert: u32 = if negative { u32::MAX } else { 0 };
    let mut at = 0;
    // The sign bit is flipped in the first byte whatever group that belongs to.
    let mut group = |size: usize| -> u64 {
        let mut value = 0u32;
        for (i, byte) in bytes[at..at + size].iter().enumerate() {
            let byte = if at + i == 0 { byte ^ 0x80 } else { *byte };
            value = value << 8 | u32::from(byte);
        }
        at += size;
        let mask = if size == 4 { u32::MAX } else { (1u32 << (8 * size)) - 1 };
        u64::from((value ^ invert) & mask)
    };
    if precision <= 18 {
        // Everything fits 64 bits: the usual money column.
        let mut value = if lead > 0 { group(GROUP_BYTES[lead]) } else { 0 };
        for _ in 0..int_groups + frac_groups {
            value = value * POW10[9] + group(4);
        }
        if tail > 0 {
            value = value * POW10[tail] + group(GROUP_BYTES[tail]);
        }
        let value = i128::from(value);
        return Some(if negative { -value } else { value });
    }
    let mut value = if lead > 0 { i128::from(group(GROUP_BYTES[lead])) } else { 0 };
    for _ in 0..int_groups + frac_groups {
        value = value.checked_mul(1_000_000_000)?.checked_add(i128::from(group(4)))?;
    }
    if tail > 0 {
        value =
            value.checked_mul(i128::from(POW10[tail]))?.checked_add(i128::from(group(GROUP_BYTES[tail])))?;
    }
    Some(if negative { -value } else { value })
}

/// `value * 10^(to - from)` where that is a multiplication and fits 38 digits.
#[inline]
pub(crate) fn upscale(value: i128, from: u8, to: u8) -> Option<i128> {
    let factor = 10i128.checked_pow(u32::from(to.checked_sub(from)?))?;
    value.checked_mul(factor).filter(|v| fits_decimal128(*v))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_binary_form() {
        let bytes = [0x81, 0x0d, 0xfb, 0x38, 0xd2, 0x04, 0xd2];
        assert_eq!(scaled_from_mysql_bin(&bytes, 14, 4), Some(12_345_678_901_234));
        let negative = [0x7e, 0xf2, 0x04, 0xc7, 0x2d, 0xfb, 0x2d];
        assert_eq!(scaled_from_mysql_bin(&negative, 14, 4), Some(-12_345_678_901_234));
        assert_eq!(scaled_from_mysql_bin(&[0x81], 1, 0), Some(1));
        assert_eq!(scaled_from_mysql_bin(&[], 1, 0), None);
        assert_eq!(scaled_from_mysql_bin(&bytes[..6], 14, 4), None);
    }

    #[test]
    fn a_wide_value_widens_the_column() {
        let mut values = DecimalVec::new(0, 2);
        values.push_i128(5);
        values.push_i128(10i128.pow(38));
        values.push_i128(7);
        assert_eq!(values.len(), 3);
        let array = values.finish(None);
        let array = array.as_any().downcast_ref::<Decimal256Array>().expect("wide");
        assert_eq!(array.value(0), i256::from_i128(5));
        assert_eq!(array.value(1), i256::from_i128(10i128.pow(38)));
    }
}
