//! DATE, DATETIME and TIMESTAMP values.
use crate::{Interval, SqlMode, Duration};

/// A DATE, DATETIME or TIMESTAMP, packed so that integers order as times do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Time(u64);

/// What kind of [`Time`] is meant; comes from the field type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TimeKind {
    /// DATE
    Date,
    /// DATETIME
    DateTime,
    /// TIMESTAMP
    Timestamp,
}

/// Why something is no time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// Not one of the literal forms.
    #[error("not a date or time")]
    Invalid,
    /// Forbidden by NO_ZERO_DATE or NO_ZERO_IN_DATE.
    #[error("a zero date or a date with a zero part")]
    Zero,
    /// Outside the range.
    #[error("outside the range of the type")]
    OutOfRange,
}

/// What [`Time::parse`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParsedTime {
    /// The value, rounded.
    pub time: Time,
    /// Text after the value was ignored.
    pub truncated: bool,
    /// The literal had a time of day.
    pub has_time: bool,
    /// How many digits of a second's fraction were written (at most 6).
    pub fraction_digits: u8,
    /// `+08:00` after the time: seconds east of UTC.
    pub offset_seconds: Option<i32>,
}

/// MySQL's eight ways to number weeks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WeekMode(pub u8);

impl Time {
    /// '0000-00-00 00:00:00'.
    pub const ZERO: Self = Self(0);
    /// From parts; None when a part is out of its field's range (days beyond the month's end are accepted up to 31).
    pub fn from_parts(_year: u32, _month: u32, _day: u32, _hour: u32, _minute: u32, _second: u32, _micro: u32) -> Option<Self> { todo!() }
    /// A date at midnight.
    pub fn from_date(_year: u32, _month: u32, _day: u32) -> Option<Self> { todo!() }
    /// The packed form.
    pub const fn packed(self) -> u64 { self.0 }
    /// From the packed form, None if a field is out of range.
    pub fn from_packed(packed: u64) -> Option<Self> { Some(Self(packed)) }
    /// 0 to 9999.
    pub fn year(self) -> u32 { todo!() }
    /// 0 to 12.
    pub fn month(self) -> u32 { todo!() }
    /// 0 to 31.
    pub fn day(self) -> u32 { todo!() }
    /// 0 to 23.
    pub fn hour(self) -> u32 { todo!() }
    /// 0 to 59.
    pub fn minute(self) -> u32 { todo!() }
    /// 0 to 59.
    pub fn second(self) -> u32 { todo!() }
    /// 0 to 999999.
    pub fn micro(self) -> u32 { todo!() }
    /// All parts zero?
    pub fn is_zero(self) -> bool { self.0 == 0 }
    /// Month or day zero?
    pub fn has_zero_part(self) -> bool { todo!() }
    /// A real day of the calendar (year 0 included)?
    pub fn is_calendar_date(self) -> bool { todo!() }
    /// Midnight of the day.
    pub fn date(self) -> Self { todo!() }
    /// The time of day.
    pub fn time_of_day(self) -> Duration { todo!() }
    /// Parses any of MySQL's literal forms, and checks zero dates under `mode`.
    pub fn parse(_text: &str, _fsp: u8, _mode: SqlMode) -> Result<ParsedTime, TimeError> { todo!() }
    /// From a number such as 20200102 or 20200102030405 (also with two-digit years).
    pub fn from_number(_number: i64, _mode: SqlMode) -> Result<Self, TimeError> { todo!() }
    /// Checks zero parts and the calendar under `mode`.
    pub fn check(self, _mode: SqlMode) -> Result<Self, TimeError> { todo!() }
    /// Rounds half up to `fsp` digits; None beyond year 9999.
    pub fn round(self, _fsp: u8) -> Option<Self> { todo!() }
    /// Cuts to `fsp` digits.
    pub fn truncate(self, _fsp: u8) -> Self { todo!() }
    /// 'YYYY-MM-DD'.
    pub fn write_date_to(self, _out: &mut Vec<u8>) { todo!() }
    /// 'YYYY-MM-DD HH:MM:SS[.ffffff]' with `fsp` digits.
    pub fn write_to(self, _fsp: u8, _out: &mut Vec<u8>) { todo!() }
    /// As [`Self::write_date_to`].
    pub fn format_date(self) -> String { todo!() }
    /// As [`Self::write_to`].
    pub fn format(self, _fsp: u8) -> String { todo!() }
    /// YYYYMMDD.
    pub fn date_to_number(self) -> i64 { todo!() }
    /// YYYYMMDDHHMMSS.
    pub fn to_number(self) -> i64 { todo!() }
    /// MySQL's TO_DAYS: days since year 0.
    pub fn day_number(self) -> i64 { todo!() }
    /// MySQL's FROM_DAYS.
    pub fn from_day_number(_days: i64) -> Option<Self> { todo!() }
    /// 0 = Monday.
    pub fn weekday(self) -> u32 { todo!() }
    /// 1 to 366.
    pub fn day_of_year(self) -> u32 { todo!() }
    /// (year, week).
    pub fn week(self, _mode: WeekMode) -> (u32, u32) { todo!() }
    /// The last day of the month, None for zero months.
    pub fn last_day(self) -> Option<Self> { todo!() }
    /// Adds an interval; None when out of range or when self is no calendar date.
    pub fn add_interval(self, _interval: &Interval) -> Option<Self> { todo!() }
    /// Adds a TIME.
    pub fn add_duration(self, _duration: Duration) -> Option<Self> { todo!() }
    /// Microseconds since 0000-01-01 (proleptic), for differences. None for zero parts.
    pub fn micros_since_year_zero(self) -> Option<i64> { todo!() }
    /// From [`Self::micros_since_year_zero`].
    pub fn from_micros_since_year_zero(_micros: i64) -> Option<Self> { todo!() }
    /// As if this were UTC: microseconds since 1970. None for zero parts.
    pub fn micros_since_epoch(self) -> Option<i64> { todo!() }
    /// From microseconds since 1970, in UTC.
    pub fn from_micros_since_epoch(_micros: i64) -> Option<Self> { todo!() }
}
