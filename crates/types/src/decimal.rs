//! Exact decimals: up to 65 digits, up to 30 of them after the point, with MySQL's rounding and result scales.
//!
//! A value is an integer (`digits`) and a scale: `digits / 10^scale`. The integer has 224 bits, enough for 65 digits,
//! so that a [`Decimal`] is 32 bytes and `Copy`. Whatever fits 128 bits takes the short way; the long way goes
//! through `i256` (no allocation: comparing, formatting) or `BigInt` (multiplying, dividing).
//!
//! **Hot path**: comparing, adding and formatting do not allocate.

mod binary;
mod parse;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use arrow_buffer::i256;
use num_bigint::BigInt;
use num_traits::{Signed, Zero};

pub(crate) use parse::parse_prefix;

/// Most digits of a DECIMAL.
pub const MAX_PRECISION: u8 = 65;
/// Most digits after the point.
pub const MAX_SCALE: u8 = 30;
/// MySQL's default `div_precision_increment`.
pub const DIV_SCALE_INCREMENT: u8 = 4;

/// The longest text of a decimal: sign, point, a leading zero, 65 digits.
const TEXT_LEN_MAX: usize = 68;

/// An exact decimal of up to 65 digits, up to 30 of them after the point. Equality is numeric: `1.0 == 1.00`.
///
/// ```
/// use tidewater_types::Decimal;
///
/// let price: Decimal = "19.99".parse()?;
/// let total = price.checked_mul(Decimal::from_i64(3))?;
/// assert_eq!(total.to_string(), "59.97");
/// assert_eq!(total.checked_div(Decimal::from_i64(7), 4)?.to_string(), "8.567143");
/// # Ok::<(), tidewater_types::DecimalError>(())
/// ```
#[derive(Clone, Copy, Default)]
pub struct Decimal {
    /// Two's complement, least significant limb first.
    limbs: [u64; 3],
    top: i32,
    scale: u8,
}

/// Why a decimal operation failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    /// More than 65 digits.
    #[error("more than 65 digits")]
    Overflow,
    /// Division by zero.
    #[error("division by zero")]
    DivisionByZero,
    /// Not a number.
    #[error("not a decimal number")]
    Invalid,
}

/// 10^0 to 10^38, all that fit an `i128`.
const POWERS: [i128; 39] = {
    let mut powers = [1i128; 39];
    let mut i = 1;
    while i < 39 {
        powers[i] = powers[i - 1] * 10;
        i += 1;
    }
    powers
};

/// 10^exponent as an `i256`; the exponent is at most 76.
fn power_256(exponent: u32) -> i256 {
    match POWERS.get(exponent as usize) {
        Some(power) => i256::from_i128(*power),
        None => i256::from_i128(POWERS[38]).wrapping_mul(i256::from_i128(POWERS[(exponent - 38) as usize])),
    }
}

impl Decimal {
    /// 0.
    pub const ZERO: Self = Self { limbs: [0; 3], top: 0, scale: 0 };

    /// `value / 10^scale`; a scale above 30 is rounded to 30.
    pub fn from_i128(value: i128, scale: u8) -> Self {
        if scale > MAX_SCALE {
            let drop = usize::from(scale - MAX_SCALE);
            let rounded = POWERS.get(drop).map_or(0, |power| div_round_i128(value, *power));
            return Self::small(rounded, MAX_SCALE);
        }
        Self::small(value, scale)
    }

    /// `value / 10^scale`; None beyond 65 digits or scale 30.
    pub fn from_i256(value: i256, scale: u8) -> Option<Self> {
        let limit = power_256(u32::from(MAX_PRECISION));
        (scale <= MAX_SCALE && value < limit && value > limit.wrapping_neg())
            .then(|| Self::wide(value, scale))
    }

    /// The digits as an integer: `self * 10^scale`.
    pub fn to_i256(self) -> i256 {
        let low = u128::from(self.limbs[0]) | u128::from(self.limbs[1]) << 64;
        let high = i128::from(self.limbs[2]) | i128::from(self.top) << 64;
        i256::from_parts(low, high)
    }

    /// The digits as an integer if they fit.
    pub fn to_i128(self) -> Option<i128> {
        let low = (u128::from(self.limbs[0]) | u128::from(self.limbs[1]) << 64) as i128;
        let sign = (low >> 127) as i64;
        (self.limbs[2] == sign as u64 && self.top == sign as i32).then_some(low)
    }

    /// Digits after the point.
    pub fn scale(self) -> u8 {
        self.scale
    }

    /// Digits in all: at least 1, at least the scale.
    pub fn precision(self) -> u8 {
        let digits = match self.to_i128() {
            Some(value) => value.unsigned_abs().checked_ilog10().map_or(1, |log| log as u8 + 1),
            None => {
                let mut buffer = [0; TEXT_LEN_MAX];
                write_digits(self.magnitude(), &mut buffer).len() as u8
            }
        };
        digits.max(self.scale)
    }

    /// The largest value of DECIMAL(precision, scale).
    pub fn max_value(precision: u8, scale: u8) -> Self {
        let power = power_256(u32::from(precision.min(MAX_PRECISION)));
        Self::wide(power.wrapping_sub(i256::ONE), scale.min(MAX_SCALE))
    }

    /// From an integer.
    pub fn from_i64(value: i64) -> Self {
        Self::small(i128::from(value), 0)
    }

    /// From an integer.
    pub fn from_u64(value: u64) -> Self {
        Self::small(i128::from(value), 0)
    }

    /// The shortest decimal that reads back as `value`, rounded to scale 30; None if not finite or beyond 65 digits.
    pub fn from_f64(value: f64) -> Option<Self> {
        if !value.is_finite() {
            return None;
        }
        format!("{value:e}").parse().ok()
    }

    /// As [`Self::from_f64`]: the shortest decimal that reads back as this FLOAT.
    pub fn from_f32(value: f32) -> Option<Self> {
        if !value.is_finite() {
            return None;
        }
        format!("{value:e}").parse().ok()
    }

    /// Rounded half away from zero; None if it does not fit.
    pub fn to_i64(self) -> Option<i64> {
        self.to_integer().and_then(|value| i64::try_from(value).ok())
    }

    /// Rounded half away from zero; None if it does not fit.
    pub fn to_u64(self) -> Option<u64> {
        self.to_integer().and_then(|value| u64::try_from(value).ok())
    }

    /// The nearest double.
    pub fn to_f64(self) -> f64 {
        // Both operands are exact, so that one division rounds once.
        if self.scale <= 22
            && let Some(value) = self.to_i128()
            && value.unsigned_abs() < 1 << 53
        {
            return value as f64 / POWERS[usize::from(self.scale)] as f64;
        }
        let mut buffer = [0; TEXT_LEN_MAX];
        std::str::from_utf8(self.write_text(&mut buffer))
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(0.0)
    }

    /// Below zero?
    pub fn is_negative(self) -> bool {
        self.top < 0
    }

    /// Zero?
    pub fn is_zero(self) -> bool {
        self.limbs == [0; 3] && self.top == 0
    }

    /// Sum; the scale is the larger one.
    pub fn checked_add(self, other: Self) -> Result<Self, DecimalError> {
        let scale = self.scale.max(other.scale);
        if let (Some(a), Some(b)) = (self.scaled_i128(scale), other.scaled_i128(scale))
            && let Some(sum) = a.checked_add(b)
        {
            return Ok(Self::small(sum, scale));
        }
        Self::finish(self.scaled_big(scale) + other.scaled_big(scale), scale)
    }

    /// Difference; the scale is the larger one.
    pub fn checked_sub(self, other: Self) -> Result<Self, DecimalError> {
        self.checked_add(other.negate())
    }

    /// Product; the scale is the sum of the scales, at most 30 (rounded).
    pub fn checked_mul(self, other: Self) -> Result<Self, DecimalError> {
        let scale = self.scale + other.scale;
        if let (Some(a), Some(b)) = (self.to_i128(), other.to_i128())
            && let Some(product) = a.checked_mul(b)
        {
            return Ok(Self::from_i128(product, scale));
        }
        Self::finish(self.to_big() * other.to_big(), scale)
    }

    /// Quotient with scale `min(self.scale + increment, 30)`, rounded half away from zero.
    pub fn checked_div(self, other: Self, increment: u8) -> Result<Self, DecimalError> {
        self.checked_div_to(other, self.scale.saturating_add(increment).min(MAX_SCALE))
    }

    /// Quotient rounded to exactly `scale` digits.
    pub fn checked_div_to(self, other: Self, scale: u8) -> Result<Self, DecimalError> {
        if other.is_zero() {
            return Err(DecimalError::DivisionByZero);
        }
        let scale = scale.min(MAX_SCALE);
        // a/10^s1 / (b/10^s2) * 10^scale = a * 10^(scale + s2 - s1) / b
        let shift = i32::from(scale) + i32::from(other.scale) - i32::from(self.scale);
        let (up, down) = (shift.max(0) as u32, (-shift).max(0) as u32);
        if let (Some(a), Some(b)) = (self.to_i128(), other.to_i128())
            && let Some(a) = POWERS.get(up as usize).and_then(|power| a.checked_mul(*power))
            && let Some(b) = POWERS.get(down as usize).and_then(|power| b.checked_mul(*power))
        {
            return Ok(Self::small(div_round_i128(a, b), scale));
        }
        let quotient = div_round_big(self.to_big() * power_big(up), &(other.to_big() * power_big(down)));
        Self::exact(quotient.clone(), scale).or_else(|overflow| {
            // Divide again for fewer digits: rounding the rounded quotient would round twice.
            let fewer =
                u8::try_from(excess_digits(&quotient)).ok().and_then(|excess| scale.checked_sub(excess));
            self.checked_div_to(other, fewer.ok_or(overflow)?)
        })
    }

    /// The quotient's integer part (`DIV`).
    pub fn checked_int_div(self, other: Self) -> Result<Self, DecimalError> {
        if other.is_zero() {
            return Err(DecimalError::DivisionByZero);
        }
        let scale = self.scale.max(other.scale);
        if let (Some(a), Some(b)) = (self.scaled_i128(scale), other.scaled_i128(scale))
            && let Some(quotient) = a.checked_div(b)
        {
            return Ok(Self::small(quotient, 0));
        }
        Self::finish(self.scaled_big(scale) / other.scaled_big(scale), 0)
    }

    /// Remainder with the sign of self; the scale is the larger one.
    pub fn checked_rem(self, other: Self) -> Result<Self, DecimalError> {
        if other.is_zero() {
            return Err(DecimalError::DivisionByZero);
        }
        let scale = self.scale.max(other.scale);
        if let (Some(a), Some(b)) = (self.scaled_i128(scale), other.scaled_i128(scale))
            && let Some(remainder) = a.checked_rem(b)
        {
            return Ok(Self::small(remainder, scale));
        }
        Self::finish(self.scaled_big(scale) % other.scaled_big(scale), scale)
    }

    /// `-self`.
    pub fn negate(self) -> Self {
        Self::wide(self.to_i256().wrapping_neg(), self.scale)
    }

    /// `|self|`.
    pub fn abs(self) -> Self {
        if self.is_negative() { self.negate() } else { self }
    }

    /// Rounds half away from zero to `scale` digits after the point (a negative scale: before it). A value that has no
    /// more digits than that stays as it is.
    pub fn round(self, scale: i32) -> Result<Self, DecimalError> {
        self.cut(scale, div_round_i128, |value, power| div_round_big(value, &power))
    }

    /// Cuts to `scale` digits after the point (a negative scale: before it).
    pub fn truncate(self, scale: i32) -> Self {
        // Cutting never adds digits, so that it cannot overflow.
        self.cut(scale, |value, power| value / power, |value, power| value / power).unwrap_or(self)
    }

    /// The smallest integer not below.
    pub fn ceil(self) -> Result<Self, DecimalError> {
        let whole = self.truncate(0);
        if whole < self { whole.checked_add(Self::from_i64(1)) } else { Ok(whole) }
    }

    /// The largest integer not above.
    pub fn floor(self) -> Result<Self, DecimalError> {
        let whole = self.truncate(0);
        if whole > self { whole.checked_sub(Self::from_i64(1)) } else { Ok(whole) }
    }

    /// Exactly `scale` digits after the point, rounding half away from zero; Overflow beyond `precision` digits.
    pub fn rescale(self, precision: u8, scale: u8) -> Result<Self, DecimalError> {
        let rounded = if scale < self.scale { self.round(i32::from(scale))? } else { self };
        let scaled = match rounded.scaled_i128(scale) {
            Some(value) => Self::small(value, scale),
            None => Self::exact(rounded.scaled_big(scale), scale)?,
        };
        if scaled.precision() > precision && !scaled.is_zero() {
            return Err(DecimalError::Overflow);
        }
        Ok(scaled)
    }

    /// Appends the text form, with exactly [`Self::scale`] digits after the point.
    pub fn write_to(self, out: &mut Vec<u8>) {
        let mut buffer = [0; TEXT_LEN_MAX];
        out.extend_from_slice(self.write_text(&mut buffer));
    }

    /// The value rounded to an integer, if it fits 128 bits.
    fn to_integer(self) -> Option<i128> {
        if self.scale == 0 { self.to_i128() } else { self.round(0).ok()?.to_i128() }
    }

    fn cut(
        self,
        scale: i32,
        short: impl Fn(i128, i128) -> i128,
        long: impl Fn(BigInt, BigInt) -> BigInt,
    ) -> Result<Self, DecimalError> {
        let drop = i64::from(self.scale) - i64::from(scale);
        if drop <= 0 {
            return Ok(self);
        }
        if drop > i64::from(MAX_PRECISION) + 1 {
            return Ok(Self::small(0, scale.max(0) as u8));
        }
        let (drop, fill) = (drop as u32, (-scale).max(0) as u32);
        let new_scale = scale.max(0) as u8;
        if let (Some(value), Some(power)) = (self.to_i128(), POWERS.get(drop as usize)) {
            let kept = short(value, *power);
            if let Some(kept) = POWERS.get(fill as usize).and_then(|power| kept.checked_mul(*power)) {
                return Ok(Self::small(kept, new_scale));
            }
        }
        Self::exact(long(self.to_big(), power_big(drop)) * power_big(fill), new_scale)
    }

    fn small(value: i128, scale: u8) -> Self {
        let sign = (value >> 127) as i64;
        Self { limbs: [value as u64, (value >> 64) as u64, sign as u64], top: sign as i32, scale }
    }

    /// Takes a value known to be within 65 digits.
    fn wide(value: i256, scale: u8) -> Self {
        let (low, high) = value.to_parts();
        Self { limbs: [low as u64, (low >> 64) as u64, high as u64], top: (high >> 64) as i32, scale }
    }

    fn to_big(self) -> BigInt {
        match self.to_i128() {
            Some(value) => BigInt::from(value),
            None => BigInt::from_signed_bytes_le(&self.to_i256().to_le_bytes()),
        }
    }

    /// `self * 10^scale` if it fits; `scale` is not below our own.
    fn scaled_i128(self, scale: u8) -> Option<i128> {
        let power = POWERS.get(usize::from(scale - self.scale))?;
        self.to_i128()?.checked_mul(*power)
    }

    fn scaled_big(self, scale: u8) -> BigInt {
        self.to_big() * power_big(u32::from(scale - self.scale))
    }

    /// The value if it has at most 65 digits.
    fn exact(value: BigInt, scale: u8) -> Result<Self, DecimalError> {
        let bytes = value.to_signed_bytes_le();
        let mut padded = [if value.is_negative() { 0xff } else { 0 }; 32];
        padded.get_mut(..bytes.len()).ok_or(DecimalError::Overflow)?.copy_from_slice(&bytes);
        Self::from_i256(i256::from_le_bytes(padded), scale).ok_or(DecimalError::Overflow)
    }

    /// As [`Self::exact`], but gives up digits after the point, as MySQL does, beyond 30 of them and to save those before it.
    fn finish(value: BigInt, scale: u8) -> Result<Self, DecimalError> {
        if scale <= MAX_SCALE
            && let Ok(exact) = Self::exact(value.clone(), scale)
        {
            return Ok(exact);
        }
        let drop = excess_digits(&value).max(usize::from(scale.saturating_sub(MAX_SCALE)));
        if drop > usize::from(scale) {
            return Err(DecimalError::Overflow);
        }
        let (drop, scale) = (drop as u32, scale - drop as u8);
        Self::exact(div_round_big(value.clone(), &power_big(drop)), scale)
            // Rounding 99..99.9 up makes one digit more.
            .or_else(|_| match scale {
                0 => Err(DecimalError::Overflow),
                _ => Self::exact(div_round_big(value, &power_big(drop + 1)), scale - 1),
            })
    }

    fn magnitude(self) -> i256 {
        self.abs().to_i256()
    }

    /// The text form, at the end of the buffer.
    fn write_text(self, buffer: &mut [u8; TEXT_LEN_MAX]) -> &[u8] {
        let mut digits_buffer = [0; TEXT_LEN_MAX];
        let digits = match self.to_i128() {
            Some(value) => write_digits_u128(value.unsigned_abs(), &mut digits_buffer),
            None => write_digits(self.magnitude(), &mut digits_buffer),
        };
        let scale = usize::from(self.scale);
        let mut at = buffer.len();
        let mut put = |bytes: &[u8]| {
            at -= bytes.len();
            buffer[at..at + bytes.len()].copy_from_slice(bytes);
        };
        if scale == 0 {
            put(digits);
        } else {
            let (whole, fraction) = digits.split_at(digits.len().saturating_sub(scale));
            put(fraction);
            put(&[b'0'; MAX_SCALE as usize][..scale - fraction.len()]);
            put(b".");
            put(if whole.is_empty() { b"0" } else { whole });
        }
        if self.is_negative() {
            put(b"-");
        }
        &buffer[at..]
    }
}

/// Digits of a number, at the end of the buffer; at least one.
fn write_digits_u128(value: u128, buffer: &mut [u8]) -> &[u8] {
    // 64-bit divisions are an order of magnitude cheaper than 128-bit ones.
    const CHUNK: u128 = 10_000_000_000_000_000_000;
    let mut at = buffer.len();
    let mut rest = value;
    while rest > u128::from(u64::MAX) {
        let mut low = (rest % CHUNK) as u64;
        rest /= CHUNK;
        for _ in 0..19 {
            at -= 1;
            buffer[at] = b'0' + (low % 10) as u8;
            low /= 10;
        }
    }
    let mut rest = rest as u64;
    loop {
        at -= 1;
        buffer[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            return &buffer[at..];
        }
    }
}

/// As [`write_digits_u128`] for at most 76 digits.
fn write_digits(value: i256, buffer: &mut [u8]) -> &[u8] {
    if let Some(small) = value.to_i128() {
        return write_digits_u128(small.unsigned_abs(), buffer);
    }
    let base = i256::from_i128(POWERS[38]);
    let (Some(high), Some(low)) = (value.checked_div(base), value.checked_rem(base)) else { return b"0" };
    let low = low.to_i128().unwrap_or(0).unsigned_abs();
    let high = high.to_i128().unwrap_or(0).unsigned_abs();
    let end = buffer.len();
    let (front, back) = buffer.split_at_mut(end - 38);
    let written = write_digits_u128(low, back).len();
    back[..38 - written].fill(b'0');
    let front_len = write_digits_u128(high, front).len();
    &buffer[end - 38 - front_len..]
}

/// Divides, rounding half away from zero.
fn div_round_i128(a: i128, b: i128) -> i128 {
    let (quotient, remainder) = (a / b, a % b);
    // |r| >= |b| - |r| is 2|r| >= |b| without its overflow.
    if remainder.unsigned_abs() >= b.unsigned_abs() - remainder.unsigned_abs() {
        quotient + if (a < 0) == (b < 0) { 1 } else { -1 }
    } else {
        quotient
    }
}

fn div_round_big(a: BigInt, b: &BigInt) -> BigInt {
    let quotient = &a / b;
    let remainder = &a - &quotient * b;
    if !remainder.is_zero() && (remainder.magnitude() << 1u8) >= *b.magnitude() {
        quotient + if a.is_negative() == b.is_negative() { 1 } else { -1 }
    } else {
        quotient
    }
}

/// Digits beyond the 65th.
fn excess_digits(value: &BigInt) -> usize {
    value.magnitude().to_string().len().saturating_sub(usize::from(MAX_PRECISION))
}

fn power_big(exponent: u32) -> BigInt {
    BigInt::from(10).pow(exponent)
}

impl FromStr for Decimal {
    type Err = DecimalError;

    fn from_str(text: &str) -> Result<Self, DecimalError> {
        parse::parse(text.trim_ascii().as_bytes())
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut buffer = [0; TEXT_LEN_MAX];
        f.write_str(std::str::from_utf8(self.write_text(&mut buffer)).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Decimal({self})")
    }
}

impl From<i64> for Decimal {
    fn from(value: i64) -> Self {
        Self::from_i64(value)
    }
}

impl From<u64> for Decimal {
    fn from(value: u64) -> Self {
        Self::from_u64(value)
    }
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Decimal {}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        if self.scale == other.scale {
            return self.to_i256().cmp(&other.to_i256());
        }
        let scale = self.scale.max(other.scale);
        if let (Some(a), Some(b)) = (self.scaled_i128(scale), other.scaled_i128(scale)) {
            return a.cmp(&b);
        }
        // Whole parts first, then fractions at scale 30, which are below 10^30.
        let parts = |decimal: &Self| {
            let value = decimal.to_i256();
            let power = power_256(u32::from(decimal.scale));
            let fraction = value.checked_rem(power).and_then(|rest| rest.to_i128()).unwrap_or(0);
            (
                value.checked_div(power).unwrap_or(i256::ZERO),
                fraction * POWERS[usize::from(MAX_SCALE - decimal.scale)],
            )
        };
        parts(self).cmp(&parts(other))
    }
}

impl Hash for Decimal {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Equal values of different scale must hash alike: hash without trailing zeros.
        let (mut value, mut scale) = (*self, self.scale);
        if let Some(mut small) = value.to_i128() {
            while scale > 0 && small % 10 == 0 {
                small /= 10;
                scale -= 1;
            }
            value = Self::small(small, scale);
        } else {
            let ten = i256::from_i128(10);
            let mut wide = value.to_i256();
            while scale > 0 && wide.checked_rem(ten) == Some(i256::ZERO) {
                wide = wide.checked_div(ten).unwrap_or(i256::ZERO);
                scale -= 1;
            }
            value = Self::wide(wide, scale);
        }
        (value.limbs, value.top, scale).hash(state);
    }
}
