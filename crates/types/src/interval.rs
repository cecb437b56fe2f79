//! `INTERVAL n unit`.

/// The unit of an `INTERVAL`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum IntervalUnit {
    Microsecond,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
    SecondMicrosecond,
    MinuteMicrosecond,
    MinuteSecond,
    HourMicrosecond,
    HourSecond,
    HourMinute,
    DayMicrosecond,
    DaySecond,
    DayMinute,
    DayHour,
    YearMonth,
}

impl IntervalUnit {
    /// `"DAY_SECOND"`.
    pub fn name(self) -> &'static str { todo!() }
    /// From its name in any case.
    pub fn from_name(_name: &str) -> Option<Self> { todo!() }
}

/// A length of time, in calendar months and exact days and microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Interval {
    /// Calendar months.
    pub months: i64,
    /// Days.
    pub days: i64,
    /// Microseconds.
    pub micros: i64,
}

impl Interval {
    /// `INTERVAL '1 10' DAY_HOUR`: reads the text as MySQL does (any punctuation separates numbers).
    pub fn parse(_text: &str, _unit: IntervalUnit) -> Option<Self> { todo!() }
    /// `INTERVAL 3 DAY`.
    pub fn from_int(_count: i64, _unit: IntervalUnit) -> Option<Self> { todo!() }
    /// Backwards.
    pub fn negate(self) -> Option<Self> { todo!() }
}
