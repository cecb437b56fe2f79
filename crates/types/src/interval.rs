//! `INTERVAL n unit`: a length of time in calendar months and exact days and microseconds.

use crate::Decimal;
use crate::time::MICROS_PER_SECOND;

/// The unit of an `INTERVAL`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are MySQL's")]
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

const MINUTE: i64 = 60 * MICROS_PER_SECOND;
const HOUR: i64 = 60 * MINUTE;

/// What one of something is worth.
#[derive(Clone, Copy)]
enum Worth {
    Months(i64),
    Days(i64),
    Micros(i64),
}

impl IntervalUnit {
    /// All of them.
    pub const ALL: [Self; 20] = [
        Self::Microsecond,
        Self::Second,
        Self::Minute,
        Self::Hour,
        Self::Day,
        Self::Week,
        Self::Month,
        Self::Quarter,
        Self::Year,
        Self::SecondMicrosecond,
        Self::MinuteMicrosecond,
        Self::MinuteSecond,
        Self::HourMicrosecond,
        Self::HourSecond,
        Self::HourMinute,
        Self::DayMicrosecond,
        Self::DaySecond,
        Self::DayMinute,
        Self::DayHour,
        Self::YearMonth,
    ];

    /// `"DAY_SECOND"`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Microsecond => "MICROSECOND",
            Self::Second => "SECOND",
            Self::Minute => "MINUTE",
            Self::Hour => "HOUR",
            Self::Day => "DAY",
            Self::Week => "WEEK",
            Self::Month => "MONTH",
            Self::Quarter => "QUARTER",
            Self::Year => "YEAR",
            Self::SecondMicrosecond => "SECOND_MICROSECOND",
            Self::MinuteMicrosecond => "MINUTE_MICROSECOND",
            Self::MinuteSecond => "MINUTE_SECOND",
            Self::HourMicrosecond => "HOUR_MICROSECOND",
            Self::HourSecond => "HOUR_SECOND",
            Self::HourMinute => "HOUR_MINUTE",
            Self::DayMicrosecond => "DAY_MICROSECOND",
            Self::DaySecond => "DAY_SECOND",
            Self::DayMinute => "DAY_MINUTE",
            Self::DayHour => "DAY_HOUR",
            Self::YearMonth => "YEAR_MONTH",
        }
    }

    /// From its name in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|unit| unit.name().eq_ignore_ascii_case(name))
    }

    /// Whether adding it to a DATE leaves a DATE.
    pub const fn is_date_unit(self) -> bool {
        matches!(self, Self::Day | Self::Week | Self::Month | Self::Quarter | Self::Year | Self::YearMonth)
    }

    /// Whether the result has a fraction of a second.
    pub const fn has_microseconds(self) -> bool {
        matches!(
            self,
            Self::Microsecond
                | Self::SecondMicrosecond
                | Self::MinuteMicrosecond
                | Self::HourMicrosecond
                | Self::DayMicrosecond
        )
    }

    /// What the numbers of a literal count, left to right. One for the simple units.
    const fn parts(self) -> &'static [Worth] {
        const ALL: [Worth; 5] = [
            Worth::Days(1),
            Worth::Micros(HOUR),
            Worth::Micros(MINUTE),
            Worth::Micros(MICROS_PER_SECOND),
            Worth::Micros(1),
        ];
        const YEAR_MONTH: [Worth; 2] = [Worth::Months(12), Worth::Months(1)];
        const fn range(from: usize, to: usize) -> &'static [Worth] {
            ALL.split_at(to).0.split_at(from).1
        }
        match self {
            Self::Microsecond => range(4, 5),
            Self::Second => range(3, 4),
            Self::Minute => range(2, 3),
            Self::Hour => range(1, 2),
            Self::Day => range(0, 1),
            Self::Week => &[Worth::Days(7)],
            Self::Month => &[Worth::Months(1)],
            Self::Quarter => &[Worth::Months(3)],
            Self::Year => &[Worth::Months(12)],
            Self::SecondMicrosecond => range(3, 5),
            Self::MinuteMicrosecond => range(2, 5),
            Self::MinuteSecond => range(2, 4),
            Self::HourMicrosecond => range(1, 5),
            Self::HourSecond => range(1, 4),
            Self::HourMinute => range(1, 3),
            Self::DayMicrosecond => range(0, 5),
            Self::DaySecond => range(0, 4),
            Self::DayMinute => range(0, 3),
            Self::DayHour => range(0, 2),
            Self::YearMonth => &YEAR_MONTH,
        }
    }
}

/// A length of time: calendar months, then exact days and microseconds.
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
    /// Reads the text of an `INTERVAL` as MySQL does: numbers with anything between them, the last number counts the unit's
    /// last part. None if there are more numbers than parts, or if the length is beyond any calendar.
    pub fn parse(text: &str, unit: IntervalUnit) -> Option<Self> {
        let text = text.trim_ascii();
        match unit.parts() {
            [_] if unit == IntervalUnit::Second => {
                Self::from_decimal(crate::number::parse_decimal(text.as_bytes()).value, unit)
            }
            [_] => Self::from_int(crate::number::integer_prefix(text.as_bytes()).value, unit),
            parts => Self::parse_composite(text, unit, parts),
        }
    }

    /// `INTERVAL 3 DAY`. For a unit of several parts the number counts the last one, as the text of the number would.
    pub fn from_int(count: i64, unit: IntervalUnit) -> Option<Self> {
        match unit.parts() {
            [worth] => Self::default().plus(count, *worth),
            _ => Self::parse(&count.to_string(), unit),
        }
    }

    /// `INTERVAL 1.5 SECOND`: seconds keep their fraction, other units are rounded (the composite ones take the number's
    /// text).
    pub fn from_decimal(count: Decimal, unit: IntervalUnit) -> Option<Self> {
        match unit.parts() {
            [_] if unit == IntervalUnit::Second => {
                let micros =
                    count.checked_mul(Decimal::from_i64(MICROS_PER_SECOND)).ok()?.truncate(0).to_i64()?;
                Some(Self { micros, ..Self::default() })
            }
            [worth] => Self::default().plus(count.to_i64()?, *worth),
            _ => Self::parse(&count.to_string(), unit),
        }
    }

    /// The same length backwards.
    pub fn negate(self) -> Option<Self> {
        Some(Self {
            months: self.months.checked_neg()?,
            days: self.days.checked_neg()?,
            micros: self.micros.checked_neg()?,
        })
    }

    fn parse_composite(text: &str, unit: IntervalUnit, parts: &[Worth]) -> Option<Self> {
        let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let mut numbers = [""; 5];
        let mut count = 0;
        for number in
            text.split(|character: char| !character.is_ascii_digit()).filter(|number| !number.is_empty())
        {
            *numbers.get_mut(count)? = number;
            count += 1;
        }
        // Fewer numbers than parts fill from the right.
        let skipped = parts.len().checked_sub(count)?;
        let mut interval = Self::default();
        for (position, (number, worth)) in numbers[..count].iter().zip(&parts[skipped..]).enumerate() {
            let is_fraction = unit.has_microseconds() && position + 1 == count;
            let value = if is_fraction { microseconds(number)? } else { number.parse().ok()? };
            interval = interval.plus(value, *worth)?;
        }
        if negative { interval.negate() } else { Some(interval) }
    }

    fn plus(mut self, count: i64, worth: Worth) -> Option<Self> {
        let (part, each) = match worth {
            Worth::Months(each) => (&mut self.months, each),
            Worth::Days(each) => (&mut self.days, each),
            Worth::Micros(each) => (&mut self.micros, each),
        };
        *part = part.checked_add(count.checked_mul(each)?)?;
        Some(self)
    }
}

/// Digits after a point as microseconds: "5" is 500000.
fn microseconds(digits: &str) -> Option<i64> {
    let value: i64 = digits.parse().ok()?;
    match digits.len() {
        len @ 0..6 => Some(value * 10i64.pow(6 - len as u32)),
        _ => Some(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for unit in IntervalUnit::ALL {
            assert_eq!(IntervalUnit::from_name(&unit.name().to_lowercase()), Some(unit));
        }
        assert_eq!(IntervalUnit::from_name("fortnight"), None);
    }

    #[test]
    fn reads_text() {
        use IntervalUnit as U;
        let micros = |micros| Some(Interval { micros, ..Interval::default() });
        assert_eq!(Interval::parse("1.5", U::Second), micros(1_500_000));
        assert_eq!(Interval::parse("-1.5", U::Second), micros(-1_500_000));
        assert_eq!(Interval::parse("1:10", U::HourSecond), micros(70 * MICROS_PER_SECOND));
        assert_eq!(Interval::parse("1.5", U::SecondMicrosecond), micros(1_500_000));
        assert_eq!(Interval::parse("5", U::SecondMicrosecond), micros(500_000));
        assert_eq!(Interval::parse("1:2:3", U::MinuteSecond), None);
        assert_eq!(Interval::parse("2-3", U::YearMonth), Some(Interval { months: 27, days: 0, micros: 0 }));
        assert_eq!(
            Interval::parse("-1 2", U::DayHour),
            Some(Interval { months: 0, days: -1, micros: -2 * HOUR })
        );
        assert_eq!(Interval::parse("3 apples", U::Week), Some(Interval { months: 0, days: 21, micros: 0 }));
        assert_eq!(Interval::from_int(i64::MAX, U::Hour), None);
        assert_eq!(
            Interval::from_decimal("2.5".parse().unwrap(), U::Day).map(|interval| interval.days),
            Some(3)
        );
        assert_eq!(Interval::from_int(10, U::DaySecond), micros(10 * MICROS_PER_SECOND));
    }
}
