//! Numbers out of text, as MySQL reads them: the longest numeric prefix counts, the rest is a truncation to report.
use crate::Decimal;

/// A number read from the front of a text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prefix<T> {
    /// The number.
    pub value: T,
    /// Something other than white space followed (or no number was found).
    pub truncated: bool,
    /// The number did not fit and was clamped.
    pub overflow: bool,
}
/// The longest prefix that is an integer; a fraction or exponent is rounded.
pub fn parse_i64(_text: &[u8]) -> Prefix<i64> { todo!() }
/// As [`parse_i64`] for unsigned.
pub fn parse_u64(_text: &[u8]) -> Prefix<u64> { todo!() }
/// The longest prefix that is a floating-point number.
pub fn parse_f64(_text: &[u8]) -> Prefix<f64> { todo!() }
/// The longest prefix that is a decimal number.
pub fn parse_decimal(_text: &[u8]) -> Prefix<Decimal> { todo!() }
/// A DOUBLE as MySQL prints it.
pub fn write_f64(_value: f64, _out: &mut Vec<u8>) { todo!() }
/// A FLOAT as MySQL prints it.
pub fn write_f32(_value: f32, _out: &mut Vec<u8>) { todo!() }
/// An integer.
pub fn write_i64(_value: i64, _out: &mut Vec<u8>) { todo!() }
/// An integer.
pub fn write_u64(_value: u64, _out: &mut Vec<u8>) { todo!() }
