//! TIME values.
/// A TIME value: microseconds, within ±838:59:59.999999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Duration(i64);
/// What [`Duration::parse`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParsedDuration {
    /// The value.
    pub duration: Duration,
    /// Text after the value was ignored.
    pub truncated: bool,
    /// The value was outside the range and was clamped.
    pub clamped: bool,
}
/// Not a TIME.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Not a TIME.
    #[error("not a time")]
    Invalid,
    /// Too long.
    #[error("outside the range of TIME")]
    OutOfRange,
}
impl Duration {
    /// 00:00:00.
    pub const ZERO: Self = Self(0);
    /// 838:59:59.000000.
    pub const MAX: Self = Self(3_020_399_000_000);
    /// -838:59:59.
    pub const MIN: Self = Self(-3_020_399_000_000);
    /// Checked.
    pub fn from_micros(micros: i64) -> Option<Self> { Some(Self(micros)) }
    /// Clamped to the range.
    pub fn from_micros_clamped(micros: i64) -> Self { Self(micros) }
    /// From its parts.
    pub fn from_parts(_negative: bool, _hours: u32, _minutes: u32, _seconds: u32, _micros: u32) -> Option<Self> { todo!() }
    /// Microseconds.
    pub fn micros(self) -> i64 { self.0 }
    /// Hours, 0 to 838.
    pub fn hours(self) -> u32 { todo!() }
    /// 0 to 59.
    pub fn minute(self) -> u32 { todo!() }
    /// 0 to 59.
    pub fn second(self) -> u32 { todo!() }
    /// 0 to 999999.
    pub fn micro(self) -> u32 { todo!() }
    /// Below zero?
    pub fn is_negative(self) -> bool { self.0 < 0 }
    /// Parses all of MySQL's forms and rounds to `fsp` digits.
    pub fn parse(_text: &str, _fsp: u8) -> Result<ParsedDuration, DurationError> { todo!() }
    /// From a number such as 101112 (10:11:12).
    pub fn from_number(_number: i64) -> Result<Self, DurationError> { todo!() }
    /// Rounds half up to `fsp` digits.
    pub fn round(self, _fsp: u8) -> Self { todo!() }
    /// HHMMSS as a number.
    pub fn to_number(self) -> i64 { todo!() }
    /// `-838:59:59.000000` with `fsp` digits.
    pub fn format(self, fsp: u8) -> String { let mut out = Vec::new(); self.write_to(fsp, &mut out); String::from_utf8_lossy(&out).into_owned() }
    /// As [`Self::format`], appended to a buffer.
    pub fn write_to(self, _fsp: u8, _out: &mut Vec<u8>) { todo!() }
    /// Sum, if within the range.
    pub fn checked_add(self, _other: Self) -> Option<Self> { todo!() }
    /// Difference, if within the range.
    pub fn checked_sub(self, _other: Self) -> Option<Self> { todo!() }
}
