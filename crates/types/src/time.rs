//! DATE, DATETIME and TIMESTAMP values.
//!
//! A [`Time`] is the packed form of the storage: `((year * 13 + month) << 5 | day)`, then hour, minute, second and
//! microsecond, so that integers order as times do. MySQL's zero date, dates with a zero month or day, and (under
//! `ALLOW_INVALID_DATES`) the 31st of any month all survive. Whether a value is a DATE, a DATETIME or a TIMESTAMP, and how
//! many digits of the second's fraction count, is said by the field type, not by the value.
//!
//! **Hot path**: formatting appends to the caller's buffer; nothing here allocates but the functions that return `String`.

mod calendar;
mod parse;
#[cfg(test)]
mod tests;

use std::fmt;

use crate::number::{write_padded, write_u64};
use crate::{Duration, SqlMode};

pub use calendar::WeekMode;
pub use parse::ParsedTime;
pub(crate) use parse::{scan_fraction, with_fraction};

pub(crate) const MICROS_PER_SECOND: i64 = 1_000_000;
pub(crate) const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;

/// A DATE, DATETIME or TIMESTAMP, packed so that integers order as times do.
///
/// ```
/// use tidewater_types::{SqlMode, Time};
///
/// let time = Time::parse("2024-02-29 23:59:59.9999996", 6, SqlMode::DEFAULT)?.time;
/// assert_eq!(time.format(0), "2024-03-01 00:00:00");
/// assert_eq!(time.weekday(), 4); // Friday
/// # Ok::<(), tidewater_types::TimeError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Time(u64);

/// What kind of [`Time`] is meant; comes from the field type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TimeKind {
    /// A day.
    Date,
    /// A day and a time of day.
    DateTime,
    /// An instant, shown in the session's time zone.
    Timestamp,
}

/// Why something is no time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// Not one of the literal forms, or not a day of the calendar.
    #[error("not a date or time")]
    Invalid,
    /// Forbidden by NO_ZERO_DATE or NO_ZERO_IN_DATE.
    #[error("a zero date or a date with a zero part")]
    Zero,
    /// Outside the range.
    #[error("outside the range of the type")]
    OutOfRange,
}

impl Time {
    /// '0000-00-00 00:00:00'.
    pub const ZERO: Self = Self(0);
    /// '9999-12-31 23:59:59.999999'.
    pub const MAX: Self = Self::pack(9999, 12, 31, 23, 59, 59, 999_999);

    /// From its parts; None when a part is out of its field's range. Any day up to 31 is taken in any month, see
    /// [`Self::check`].
    pub const fn from_parts(
        year: u32,
        month: u32,
        day: u32,
        hour: u32,
        minute: u32,
        second: u32,
        micro: u32,
    ) -> Option<Self> {
        let in_range = year <= 9999
            && month <= 12
            && day <= 31
            && hour <= 23
            && minute <= 59
            && second <= 59
            && micro <= 999_999;
        if in_range { Some(Self::pack(year, month, day, hour, minute, second, micro)) } else { None }
    }

    /// A date at midnight.
    pub const fn from_date(year: u32, month: u32, day: u32) -> Option<Self> {
        Self::from_parts(year, month, day, 0, 0, 0, 0)
    }

    const fn pack(year: u32, month: u32, day: u32, hour: u32, minute: u32, second: u32, micro: u32) -> Self {
        let ymd = ((year as u64 * 13 + month as u64) << 5) | day as u64;
        let hms = ((hour as u64) << 12) | ((minute as u64) << 6) | second as u64;
        Self((((ymd << 17) | hms) << 24) | micro as u64)
    }

    /// The packed form.
    pub const fn packed(self) -> u64 {
        self.0
    }

    /// From the packed form, None if a field is out of range.
    pub const fn from_packed(packed: u64) -> Option<Self> {
        let time = Self(packed);
        let in_range = packed >> 46 < 10_000 * 13
            && time.hour() <= 23
            && time.minute() <= 59
            && time.second() <= 59
            && time.micro() <= 999_999;
        if in_range { Some(time) } else { None }
    }

    /// 0 to 9999.
    pub const fn year(self) -> u32 {
        (self.0 >> 46) as u32 / 13
    }

    /// 0 to 12.
    pub const fn month(self) -> u32 {
        (self.0 >> 46) as u32 % 13
    }

    /// 0 to 31.
    pub const fn day(self) -> u32 {
        (self.0 >> 41) as u32 & 31
    }

    /// 0 to 23.
    pub const fn hour(self) -> u32 {
        (self.0 >> 36) as u32 & 31
    }

    /// 0 to 59.
    pub const fn minute(self) -> u32 {
        (self.0 >> 30) as u32 & 63
    }

    /// 0 to 59.
    pub const fn second(self) -> u32 {
        (self.0 >> 24) as u32 & 63
    }

    /// 0 to 999999.
    pub const fn micro(self) -> u32 {
        self.0 as u32 & 0xff_ffff
    }

    /// All parts zero?
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Month or day zero (the zero date included)?
    pub const fn has_zero_part(self) -> bool {
        self.month() == 0 || self.day() == 0
    }

    /// A day of the calendar (year 0 included)?
    pub const fn is_calendar_date(self) -> bool {
        !self.has_zero_part() && self.day() <= calendar::days_in_month(self.year(), self.month())
    }

    /// Midnight of the day.
    pub const fn date(self) -> Self {
        Self(self.0 >> 41 << 41)
    }

    /// The time of day.
    pub fn time_of_day(self) -> Duration {
        Duration::from_micros_clamped(self.micros_of_day())
    }

    /// The same day at another time of day; None unless within a day.
    pub fn with_time_of_day(self, time: Duration) -> Option<Self> {
        let micros = time.micros();
        if !(0..MICROS_PER_DAY).contains(&micros) {
            return None;
        }
        let seconds = (micros / MICROS_PER_SECOND) as u64;
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        let hms = hour << 12 | minute << 6 | second;
        Some(Self(self.date().0 | hms << 24 | (micros % MICROS_PER_SECOND) as u64))
    }

    pub(crate) fn micros_of_day(self) -> i64 {
        let seconds = self.hour() * 3600 + self.minute() * 60 + self.second();
        i64::from(seconds) * MICROS_PER_SECOND + i64::from(self.micro())
    }

    /// Checks zero parts and the calendar under `mode`.
    pub fn check(self, mode: SqlMode) -> Result<Self, TimeError> {
        if self.date().is_zero() {
            return if mode.contains(SqlMode::NO_ZERO_DATE) { Err(TimeError::Zero) } else { Ok(self) };
        }
        if self.has_zero_part() && mode.contains(SqlMode::NO_ZERO_IN_DATE) {
            return Err(TimeError::Zero);
        }
        let last = match self.month() {
            0 => 31,
            month => calendar::days_in_month(self.year(), month),
        };
        if self.day() > last && !mode.contains(SqlMode::ALLOW_INVALID_DATES) {
            return Err(TimeError::Invalid);
        }
        Ok(self)
    }

    /// Rounds half up to `fsp` digits of the second's fraction; None when a carry leaves the calendar.
    pub fn round(self, fsp: u8) -> Option<Self> {
        let unit = fraction_unit(fsp);
        let micro = (self.micro() + unit / 2) / unit * unit;
        if micro < 1_000_000 {
            return Some(Self(self.0 & !0xff_ffff | u64::from(micro)));
        }
        self.truncate(0).next_second()
    }

    /// Cuts to `fsp` digits of the second's fraction.
    pub fn truncate(self, fsp: u8) -> Self {
        let unit = fraction_unit(fsp);
        Self(self.0 & !0xff_ffff | u64::from(self.micro() / unit * unit))
    }

    /// One second later. A carry into the next day needs a date of the calendar.
    fn next_second(self) -> Option<Self> {
        let micros = self.micros_of_day() + MICROS_PER_SECOND;
        if micros < MICROS_PER_DAY {
            return self.with_time_of_day(Duration::from_micros_clamped(micros));
        }
        self.micros_since_year_zero()
            .and_then(|micros| Self::from_micros_since_year_zero(micros + MICROS_PER_SECOND))
    }

    /// Appends 'YYYY-MM-DD'.
    pub fn write_date_to(self, out: &mut Vec<u8>) {
        write_padded(self.year(), 4, out);
        out.push(b'-');
        write_padded(self.month(), 2, out);
        out.push(b'-');
        write_padded(self.day(), 2, out);
    }

    /// Appends 'YYYY-MM-DD HH:MM:SS[.ffffff]' with `fsp` digits of the fraction (cut, not rounded).
    pub fn write_to(self, fsp: u8, out: &mut Vec<u8>) {
        self.write_date_to(out);
        out.push(b' ');
        write_padded(self.hour(), 2, out);
        out.push(b':');
        write_padded(self.minute(), 2, out);
        out.push(b':');
        write_padded(self.second(), 2, out);
        write_fraction(self.micro(), fsp, out);
    }

    /// As [`Self::write_date_to`].
    pub fn format_date(self) -> String {
        let mut out = Vec::with_capacity(10);
        self.write_date_to(&mut out);
        into_string(out)
    }

    /// As [`Self::write_to`].
    pub fn format(self, fsp: u8) -> String {
        let mut out = Vec::with_capacity(26);
        self.write_to(fsp, &mut out);
        into_string(out)
    }

    /// YYYYMMDD.
    pub fn date_to_number(self) -> i64 {
        i64::from(self.year()) * 10_000 + i64::from(self.month() * 100 + self.day())
    }

    /// YYYYMMDDHHMMSS; the fraction is cut.
    pub fn to_number(self) -> i64 {
        let time = self.hour() * 10_000 + self.minute() * 100 + self.second();
        self.date_to_number() * 1_000_000 + i64::from(time)
    }
}

impl fmt::Display for Time {
    /// With all six digits of the fraction if there is one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.format(if self.micro() == 0 { 0 } else { 6 }))
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Time({self})")
    }
}

/// Microseconds that one unit of the last of `fsp` digits is worth.
pub(crate) const fn fraction_unit(fsp: u8) -> u32 {
    match fsp {
        0 => 1_000_000,
        1 => 100_000,
        2 => 10_000,
        3 => 1_000,
        4 => 100,
        5 => 10,
        _ => 1,
    }
}

/// Appends `.ffffff` with `fsp` digits, nothing if `fsp` is 0.
pub(crate) fn write_fraction(micro: u32, fsp: u8, out: &mut Vec<u8>) {
    if fsp > 0 {
        out.push(b'.');
        write_padded(micro / fraction_unit(fsp), usize::from(fsp.min(6)), out);
    }
}

/// ASCII bytes as text.
pub(crate) fn into_string(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_default()
}

/// Appends a number of hours with at least two digits.
pub(crate) fn write_hours(hours: u32, out: &mut Vec<u8>) {
    if hours < 100 { write_padded(hours, 2, out) } else { write_u64(u64::from(hours), out) }
}
