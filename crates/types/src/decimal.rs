//! Exact decimals.
use std::cmp::Ordering;
use std::str::FromStr;
use std::fmt;
use arrow_buffer::i256;
/// Most digits of a DECIMAL.
pub const MAX_PRECISION: u8 = 65;
/// Most digits after the point.
pub const MAX_SCALE: u8 = 30;
/// MySQL's default `div_precision_increment`.
pub const DIV_SCALE_INCREMENT: u8 = 4;
/// An exact decimal of up to 65 digits, up to 30 of them after the point. Equality is numeric (1.0 == 1.00).
#[derive(Clone, Copy, Debug, Default)]
pub struct Decimal { limbs: [u64; 3], top: i32, scale: u8 }
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
impl Decimal {
    /// 0.
    pub const ZERO: Self = Self { limbs: [0; 3], top: 0, scale: 0 };
    /// `value / 10^scale`.
    pub fn from_i128(_value: i128, _scale: u8) -> Self { todo!() }
    /// `value / 10^scale`; None beyond 65 digits or scale 30.
    pub fn from_i256(_value: i256, _scale: u8) -> Option<Self> { todo!() }
    /// The digits as an integer: `self * 10^scale`.
    pub fn to_i256(self) -> i256 { let _ = (self.limbs, self.top); todo!() }
    /// The digits as an integer if they fit.
    pub fn to_i128(self) -> Option<i128> { todo!() }
    /// Digits after the point.
    pub fn scale(self) -> u8 { self.scale }
    /// Digits in all (at least 1, at least the scale).
    pub fn precision(self) -> u8 { todo!() }
    /// The largest value of DECIMAL(precision, scale).
    pub fn max_value(_precision: u8, _scale: u8) -> Self { todo!() }
    /// From an integer.
    pub fn from_i64(_value: i64) -> Self { todo!() }
    /// From an integer.
    pub fn from_u64(_value: u64) -> Self { todo!() }
    /// The shortest decimal that reads back as `value`; None if not finite or beyond 65 digits.
    pub fn from_f64(_value: f64) -> Option<Self> { todo!() }
    /// Rounded half away from zero; None if it does not fit.
    pub fn to_i64(self) -> Option<i64> { todo!() }
    /// Rounded half away from zero; None if it does not fit.
    pub fn to_u64(self) -> Option<u64> { todo!() }
    /// Nearest double.
    pub fn to_f64(self) -> f64 { todo!() }
    /// Below zero?
    pub fn is_negative(self) -> bool { self.top < 0 }
    /// Zero?
    pub fn is_zero(self) -> bool { todo!() }
    /// Sum; scale is the larger one.
    pub fn checked_add(self, _other: Self) -> Result<Self, DecimalError> { todo!() }
    /// Difference; scale is the larger one.
    pub fn checked_sub(self, _other: Self) -> Result<Self, DecimalError> { todo!() }
    /// Product; scale is the sum, at most 30.
    pub fn checked_mul(self, _other: Self) -> Result<Self, DecimalError> { todo!() }
    /// Quotient with scale `min(self.scale + increment, 30)`, rounded half away from zero.
    pub fn checked_div(self, _other: Self, _increment: u8) -> Result<Self, DecimalError> { todo!() }
    /// Quotient rounded to exactly `scale` digits.
    pub fn checked_div_to(self, _other: Self, _scale: u8) -> Result<Self, DecimalError> { todo!() }
    /// Quotient's integer part (DIV).
    pub fn checked_int_div(self, _other: Self) -> Result<Self, DecimalError> { todo!() }
    /// Remainder with the sign of self; scale is the larger one.
    pub fn checked_rem(self, _other: Self) -> Result<Self, DecimalError> { todo!() }
    /// -self.
    pub fn negate(self) -> Self { todo!() }
    /// |self|.
    pub fn abs(self) -> Self { todo!() }
    /// Rounds half away from zero to `scale` digits (negative: before the point) and sets the scale to max(scale, 0).
    pub fn round(self, _scale: i32) -> Result<Self, DecimalError> { todo!() }
    /// Cuts to `scale` digits.
    pub fn truncate(self, _scale: i32) -> Self { todo!() }
    /// Smallest integer not below.
    pub fn ceil(self) -> Self { todo!() }
    /// Largest integer not above.
    pub fn floor(self) -> Self { todo!() }
    /// Exactly `scale` digits after the point, rounding; Overflow beyond `precision`.
    pub fn rescale(self, _precision: u8, _scale: u8) -> Result<Self, DecimalError> { todo!() }
    /// Appends the text form.
    pub fn write_to(self, _out: &mut Vec<u8>) { todo!() }
    /// MySQL's binary form of DECIMAL(precision, scale), appended (without a header).
    pub fn write_mysql_bin(self, _precision: u8, _scale: u8, _out: &mut Vec<u8>) -> Result<(), DecimalError> { todo!() }
    /// Length of MySQL's binary form.
    pub fn mysql_bin_len(_precision: u8, _scale: u8) -> usize { todo!() }
    /// Reads MySQL's binary form; also tells how many bytes it took.
    pub fn from_mysql_bin(_bytes: &[u8], _precision: u8, _scale: u8) -> Result<(Self, usize), DecimalError> { todo!() }
}
impl FromStr for Decimal { type Err = DecimalError; fn from_str(_t: &str) -> Result<Self, DecimalError> { todo!() } }
impl fmt::Display for Decimal { fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result { todo!() } }
impl PartialEq for Decimal { fn eq(&self, other: &Self) -> bool { self.cmp(other).is_eq() } }
impl Eq for Decimal {}
impl PartialOrd for Decimal { fn partial_cmp(&self, other: &Self) -> Option<Ordering> { Some(self.cmp(other)) } }
impl Ord for Decimal { fn cmp(&self, _other: &Self) -> Ordering { todo!() } }
impl std::hash::Hash for Decimal { fn hash<H: std::hash::Hasher>(&self, _state: &mut H) { todo!() } }
