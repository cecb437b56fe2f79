//! TIME values: microseconds, within ±838:59:59.
//!
//! (MySQL's manual gives the limit as 838:59:59.000000; a fraction above it is cut off like everything above it.)

use std::fmt;

use crate::number::write_padded;
use crate::time::{
    MICROS_PER_SECOND, fraction_unit, into_string, scan_fraction, write_fraction, write_hours,
};
use crate::{SqlMode, Time};

const MICROS_PER_HOUR: i64 = 3_600 * MICROS_PER_SECOND;

/// A TIME value: microseconds, within ±838:59:59.
///
/// ```
/// use tidewater_types::Duration;
///
/// let time = Duration::parse("1 10:11:12.5", 1)?.duration;
/// assert_eq!(time.format(1), "34:11:12.5");
/// # Ok::<(), tidewater_types::DurationError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Duration(i64);

/// What [`Duration::parse`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParsedDuration {
    /// The value, rounded.
    pub duration: Duration,
    /// Text after the value was ignored.
    pub truncated: bool,
    /// The value was outside the range and was clamped.
    pub clamped: bool,
    /// How many digits of a second's fraction were written (at most 6).
    pub fraction_digits: u8,
}

/// Why something is no TIME.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Not one of the literal forms.
    #[error("not a time")]
    Invalid,
    /// Beyond 838 hours.
    #[error("outside the range of TIME")]
    OutOfRange,
}

impl Duration {
    /// 00:00:00.
    pub const ZERO: Self = Self(0);
    /// 838:59:59.
    pub const MAX: Self = Self(3_020_399 * MICROS_PER_SECOND);
    /// -838:59:59.
    pub const MIN: Self = Self(-3_020_399 * MICROS_PER_SECOND);

    /// From microseconds; None outside the range.
    pub fn from_micros(micros: i64) -> Option<Self> {
        (Self::MIN.0..=Self::MAX.0).contains(&micros).then_some(Self(micros))
    }

    /// From microseconds, clamped to the range.
    pub fn from_micros_clamped(micros: i64) -> Self {
        Self(micros.clamp(Self::MIN.0, Self::MAX.0))
    }

    /// From its parts; None if one of them, or all together, are out of range.
    pub fn from_parts(negative: bool, hours: u32, minutes: u32, seconds: u32, micros: u32) -> Option<Self> {
        if minutes > 59 || seconds > 59 || micros > 999_999 {
            return None;
        }
        let seconds = i64::from(hours) * 3600 + i64::from(minutes * 60 + seconds);
        let magnitude = seconds * MICROS_PER_SECOND + i64::from(micros);
        Self::from_micros(if negative { -magnitude } else { magnitude })
    }

    /// Microseconds.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// 0 to 838, whatever the sign.
    pub const fn hours(self) -> u32 {
        (self.0.unsigned_abs() / MICROS_PER_HOUR as u64) as u32
    }

    /// 0 to 59.
    pub const fn minute(self) -> u32 {
        (self.whole_seconds() / 60 % 60) as u32
    }

    /// 0 to 59.
    pub const fn second(self) -> u32 {
        (self.whole_seconds() % 60) as u32
    }

    /// 0 to 999999.
    pub const fn micro(self) -> u32 {
        (self.0.unsigned_abs() % MICROS_PER_SECOND as u64) as u32
    }

    /// Below zero?
    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }

    const fn whole_seconds(self) -> u64 {
        self.0.unsigned_abs() / MICROS_PER_SECOND as u64
    }

    /// Parses any of MySQL's literal forms and rounds to `fsp` digits of the second's fraction: `[-][D ]HH:MM[:SS][.f]`,
    /// `D HH`, `HHMMSS[.f]`, or the time of day of a whole DATETIME.
    pub fn parse(text: &str, fsp: u8) -> Result<ParsedDuration, DurationError> {
        let text = text.trim_ascii();
        let looks_like_datetime =
            text.contains([' ', 'T']) || text.bytes().take_while(|byte| byte.is_ascii_digit()).count() >= 12;
        if text.len() >= 12
            && looks_like_datetime
            && let Ok(parsed) = Time::parse(text, fsp, SqlMode::empty())
            && parsed.has_time
        {
            return Ok(ParsedDuration {
                duration: parsed.time.time_of_day(),
                truncated: parsed.truncated,
                clamped: false,
                fraction_digits: parsed.fraction_digits,
            });
        }
        let (negative, rest) = match text.as_bytes() {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        let (hours, minutes, seconds, rest) = scan_clock(rest).ok_or(DurationError::Invalid)?;
        let (fraction, len) = scan_fraction(rest);
        if minutes > 59 || seconds > 59 {
            return Err(DurationError::Invalid);
        }
        // Far beyond the range is as good as just beyond it, and cannot overflow.
        let whole = hours.min(1_000_000) as i64 * 3600 + (minutes * 60 + seconds) as i64;
        let unit = i64::from(fraction_unit(fsp));
        let nanos_unit = unit * 1_000;
        let micros = (i64::from(fraction.nanos) + nanos_unit / 2) / nanos_unit * unit;
        let magnitude = whole * MICROS_PER_SECOND + micros;
        let clamped = magnitude > Self::MAX.0;
        let value = magnitude.min(Self::MAX.0);
        Ok(ParsedDuration {
            duration: Self(if negative { -value } else { value }),
            truncated: len < rest.len(),
            clamped,
            fraction_digits: fraction.digits,
        })
    }

    /// From a number such as 101112 (10:11:12); a number that only makes sense as a DATETIME gives its time of day.
    pub fn from_number(number: i64) -> Result<Self, DurationError> {
        let magnitude = number.unsigned_abs();
        if magnitude > 8_385_959 {
            return match Time::from_number(number, SqlMode::empty()) {
                Ok(time) if number >= 10_000_000_000 => Ok(time.time_of_day()),
                _ => Err(DurationError::OutOfRange),
            };
        }
        let (hours, minutes, seconds) = (magnitude / 10_000, magnitude / 100 % 100, magnitude % 100);
        Self::from_parts(number < 0, hours as u32, minutes as u32, seconds as u32, 0)
            .ok_or(DurationError::Invalid)
    }

    /// Rounds half away from zero to `fsp` digits of the second's fraction.
    pub fn round(self, fsp: u8) -> Self {
        let unit = i64::from(fraction_unit(fsp));
        let magnitude = (self.0.abs() + unit / 2) / unit * unit;
        Self::from_micros_clamped(if self.0 < 0 { -magnitude } else { magnitude })
    }

    /// Cuts to `fsp` digits of the second's fraction.
    pub fn truncate(self, fsp: u8) -> Self {
        let unit = i64::from(fraction_unit(fsp));
        Self(self.0 / unit * unit)
    }

    /// HHMMSS as a number, with the sign; the fraction is cut.
    pub fn to_number(self) -> i64 {
        let magnitude = i64::from(self.hours()) * 10_000 + i64::from(self.minute() * 100 + self.second());
        if self.0 < 0 { -magnitude } else { magnitude }
    }

    /// `-838:59:59.000000` with `fsp` digits of the fraction (cut, not rounded).
    pub fn format(self, fsp: u8) -> String {
        let mut out = Vec::with_capacity(17);
        self.write_to(fsp, &mut out);
        into_string(out)
    }

    /// As [`Self::format`], appended to a buffer.
    pub fn write_to(self, fsp: u8, out: &mut Vec<u8>) {
        if self.0 < 0 {
            out.push(b'-');
        }
        write_hours(self.hours(), out);
        out.push(b':');
        write_padded(self.minute(), 2, out);
        out.push(b':');
        write_padded(self.second(), 2, out);
        write_fraction(self.micro(), fsp, out);
    }

    /// Sum, if within the range.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        Self::from_micros(self.0 + other.0)
    }

    /// Difference, if within the range.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        Self::from_micros(self.0 - other.0)
    }
}

impl fmt::Display for Duration {
    /// With all six digits of the fraction if there is one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.format(if self.micro() == 0 { 0 } else { 6 }))
    }
}

impl fmt::Debug for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Duration({self})")
    }
}

/// Hours, minutes, seconds and the rest of the text.
fn scan_clock(text: &[u8]) -> Option<(u64, u64, u64, &[u8])> {
    let (first, rest) = scan_number(text);
    if first.is_none() && !matches!(rest, [b'.', digit, ..] if digit.is_ascii_digit()) {
        return None;
    }
    let first = first.unwrap_or(0);
    // `D HH[:MM[:SS]]`
    let after_spaces = rest.trim_ascii_start();
    if after_spaces.len() < rest.len()
        && let (Some(hours), rest) = scan_number(after_spaces)
    {
        let (minutes, seconds, rest) = scan_minutes(rest);
        return Some((first.saturating_mul(24).saturating_add(hours), minutes, seconds, rest));
    }
    if let [b':', after @ ..] = rest
        && after.first().is_some_and(u8::is_ascii_digit)
    {
        let (minutes, seconds, rest) = scan_minutes(rest);
        return Some((first, minutes, seconds, rest));
    }
    Some((first / 10_000, first / 100 % 100, first % 100, rest))
}

/// `:MM[:SS]`, zeros where there is nothing.
fn scan_minutes(text: &[u8]) -> (u64, u64, &[u8]) {
    fn part(text: &[u8]) -> (u64, &[u8]) {
        let [b':', after @ ..] = text else { return (0, text) };
        match scan_number(after) {
            (Some(value), rest) => (value, rest),
            (None, _) => (0, text),
        }
    }
    let (minutes, rest) = part(text);
    let (seconds, rest) = part(rest);
    (minutes, seconds, rest)
}

fn scan_number(text: &[u8]) -> (Option<u64>, &[u8]) {
    let len = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let value = text[..len]
        .iter()
        .fold(0u64, |value, digit| value.saturating_mul(10).saturating_add(u64::from(digit - b'0')));
    ((len > 0).then_some(value), &text[len..])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn literal_forms() {
        for (text, printed) in [
            ("10:11:12", "10:11:12.000000"),
            ("-10:11:12.5", "-10:11:12.500000"),
            ("10:11", "10:11:00.000000"),
            ("101112", "10:11:12.000000"),
            ("12", "00:00:12.000000"),
            ("1112", "00:11:12.000000"),
            ("1 10", "34:00:00.000000"),
            ("1 10:11", "34:11:00.000000"),
            ("2 1:2:3.4", "49:02:03.400000"),
            (".5", "00:00:00.500000"),
            ("101112.1234567", "10:11:12.123457"),
            ("2020-01-02 03:04:05.6", "03:04:05.600000"),
            ("20200102030405", "03:04:05.000000"),
            ("838:59:59", "838:59:59.000000"),
        ] {
            let parsed = Duration::parse(text, 6).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(parsed.duration.format(6), printed, "{text}");
            assert!(!parsed.truncated && !parsed.clamped, "{text}");
        }
        for text in ["", "x", "-", ":10", "10:60:00", "10:00:60", "99"] {
            assert_eq!(Duration::parse(text, 6), Err(DurationError::Invalid), "{text}");
        }
    }

    #[test]
    fn clamps_and_truncates() {
        let parsed = Duration::parse("-999:00:00", 0).unwrap();
        assert_eq!((parsed.duration, parsed.clamped), (Duration::MIN, true));
        let parsed = Duration::parse("99999999999999999999999 10:00", 0).unwrap();
        assert_eq!((parsed.duration, parsed.clamped), (Duration::MAX, true));
        let parsed = Duration::parse("10:11:12 pm", 0).unwrap();
        assert_eq!((parsed.duration.to_number(), parsed.truncated), (101_112, true));
        assert_eq!(Duration::parse("10:11:12.6", 0).unwrap().duration.format(0), "10:11:13");
    }

    #[test]
    fn numbers() {
        assert_eq!(Duration::from_number(101_112).unwrap().format(0), "10:11:12");
        assert_eq!(Duration::from_number(-8_385_959).unwrap(), Duration::MIN);
        assert_eq!(Duration::from_number(20_200_102_030_405).unwrap().format(0), "03:04:05");
        assert_eq!(Duration::from_number(8_386_000), Err(DurationError::OutOfRange));
        assert_eq!(Duration::from_number(60), Err(DurationError::Invalid));
        assert_eq!(Duration::from_number(i64::MIN), Err(DurationError::OutOfRange));
        assert_eq!(Duration::MIN.to_number(), -8_385_959);
    }

    #[test]
    fn rounds_away_from_zero() {
        let half = |micros| Duration::from_micros(micros).unwrap();
        assert_eq!(half(1_500_000).round(0).micros(), 2_000_000);
        assert_eq!(half(-1_500_000).round(0).micros(), -2_000_000);
        assert_eq!(half(-1_549_999).round(1).micros(), -1_500_000);
        assert_eq!(half(-1_549_999).truncate(2).micros(), -1_540_000);
        assert_eq!(Duration::MAX.checked_add(Duration::MAX), None);
        assert_eq!(Duration::MAX.checked_sub(Duration::MAX), Some(Duration::ZERO));
    }

    proptest! {
        #[test]
        fn printed_values_parse(micros in Duration::MIN.micros()..=Duration::MAX.micros()) {
            let value = Duration::from_micros(micros).unwrap();
            let parsed = Duration::parse(&value.format(6), 6).unwrap();
            prop_assert_eq!(parsed.duration, value);
        }

        #[test]
        fn parsing_takes_any_text(text in "\\PC{0,30}", digits in "[-0-9:. ]{0,40}") {
            let _ = Duration::parse(&text, 6);
            let _ = Duration::parse(&digits, 2);
        }
    }
}
