//! The calendar: proleptic Gregorian, days numbered from 0000-01-01 = 1 as TO_DAYS does, year 0 without a leap day as in MySQL.

use super::{MICROS_PER_DAY, MICROS_PER_SECOND, Time};
use crate::{Duration, Interval};

/// TO_DAYS('1970-01-01').
const EPOCH_DAY: i64 = 719_528;
/// TO_DAYS('9999-12-31').
const LAST_DAY: i64 = 3_652_424;
/// Days before each month of a common year.
const DAYS_BEFORE_MONTH: [u32; 13] = [0, 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];

/// MySQL's eight ways to number weeks (the second argument of WEEK()).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct WeekMode(u8);

impl WeekMode {
    /// As `%v`, `%x`, WEEKOFYEAR(): Monday first, ISO 8601.
    pub const ISO: Self = Self(3);

    /// Only the lowest three bits count.
    pub const fn new(mode: i64) -> Self {
        Self((mode & 7) as u8)
    }

    /// Weeks begin on Monday (else on Sunday).
    const fn monday_first(self) -> bool {
        self.0 & 1 != 0
    }

    /// Weeks are numbered 1 to 53, days before the first belong to the year before (else to week 0).
    const fn one_based(self) -> bool {
        self.0 & 2 != 0
    }

    /// The first week is the first that begins in the year (else the first with four days in it).
    const fn starts_with_first_weekday(self) -> bool {
        (self.0 & 4 != 0) == self.monday_first()
    }

    /// The same with weeks numbered from 1, as YEARWEEK() does.
    pub const fn with_year(self) -> Self {
        Self(self.0 | 2)
    }
}

impl Time {
    /// MySQL's TO_DAYS: 0000-01-01 is day 1. Parts that are zero count as MySQL counts them: not a day of the calendar.
    pub const fn day_number(self) -> i64 {
        let (year, month) = (self.year(), self.month());
        let leap = month > 2 && is_leap_year(year);
        days_before_year(year) + DAYS_BEFORE_MONTH[month as usize] as i64 + leap as i64 + self.day() as i64
    }

    /// The inverse of [`Self::day_number`]; None outside 0000-01-01 to 9999-12-31.
    pub const fn from_day_number(days: i64) -> Option<Self> {
        if days < 1 || days > LAST_DAY {
            return None;
        }
        // 366 days are never less than a year: the estimate is at most one short for every 1461 days.
        let mut year = ((days - 1) * 400 / 146_097) as u32;
        while year < 9999 && days_before_year(year + 1) < days {
            year += 1;
        }
        while days_before_year(year) >= days {
            year -= 1;
        }
        let mut rest = (days - days_before_year(year)) as u32;
        let mut month = 1;
        while rest > days_in_month(year, month) {
            rest -= days_in_month(year, month);
            month += 1;
        }
        Self::from_date(year, month, rest)
    }

    /// 0 is Monday, 6 is Sunday.
    pub const fn weekday(self) -> u32 {
        ((self.day_number() + 5) % 7) as u32
    }

    /// 1 to 366.
    pub const fn day_of_year(self) -> u32 {
        (self.day_number() - days_before_year(self.year())) as u32
    }

    /// 1 to 4; 0 for month zero.
    pub const fn quarter(self) -> u32 {
        self.month().div_ceil(3)
    }

    /// Year and number of the week.
    pub fn week(self, mode: WeekMode) -> (u32, u32) {
        let mut year = self.year();
        let mut first_day = days_before_year(year) + 1;
        let mut one_based = mode.one_based();
        // The weekday of January 1st, counted from the first day of a week.
        let mut weekday = weekday_from(first_day, mode);
        // Whether January 1st's week is still the old year's.
        let is_old = |weekday: u32| {
            if mode.starts_with_first_weekday() { weekday != 0 } else { weekday >= 4 }
        };
        if self.month() == 1 && self.day() <= 7 - weekday && is_old(weekday) {
            if !one_based || year == 0 {
                return (year, 0);
            }
            one_based = true;
            year -= 1;
            first_day = days_before_year(year) + 1;
            weekday = weekday_from(first_day, mode);
        }
        let start = first_day - i64::from(weekday) + if is_old(weekday) { 7 } else { 0 };
        let days = self.day_number() - start;
        if one_based && days >= 52 * 7 && !is_old(weekday_from(days_before_year(year + 1) + 1, mode)) {
            return (year + 1, 1);
        }
        (year, (days.div_euclid(7) + 1) as u32)
    }

    /// The last day of the month, None when the month is zero.
    pub const fn last_day(self) -> Option<Self> {
        match self.month() {
            0 => None,
            month => Self::from_date(self.year(), month, days_in_month(self.year(), month)),
        }
    }

    /// Adds an interval: months first (a day beyond the month's end becomes its last), then days and microseconds.
    /// None when the result leaves the years 0 to 9999 or when this is no day of the calendar.
    pub fn add_interval(self, interval: &Interval) -> Option<Self> {
        if !self.is_calendar_date() {
            return None;
        }
        let mut day = self;
        if interval.months != 0 {
            let months = i64::from(self.year() * 12 + self.month() - 1).checked_add(interval.months)?;
            if !(0..10_000 * 12).contains(&months) {
                return None;
            }
            let (year, month) = ((months / 12) as u32, (months % 12) as u32 + 1);
            let last = days_in_month(year, month);
            day = Self::from_date(year, month, self.day().min(last))?.with_time_of_day(self.time_of_day())?;
        }
        if interval.days == 0 && interval.micros == 0 {
            return Some(day);
        }
        let total = i128::from(day.micros_since_year_zero()?)
            + i128::from(interval.days) * i128::from(MICROS_PER_DAY)
            + i128::from(interval.micros);
        Self::from_micros_since_year_zero(i64::try_from(total).ok()?)
    }

    /// Adds a TIME.
    pub fn add_duration(self, duration: Duration) -> Option<Self> {
        self.add_interval(&Interval { months: 0, days: 0, micros: duration.micros() })
    }

    /// Microseconds since the day before 0000-01-01, for differences. None for what is no day of the calendar.
    pub fn micros_since_year_zero(self) -> Option<i64> {
        self.is_calendar_date().then(|| self.day_number() * MICROS_PER_DAY + self.micros_of_day())
    }

    /// The inverse of [`Self::micros_since_year_zero`].
    pub fn from_micros_since_year_zero(micros: i64) -> Option<Self> {
        let day = Self::from_day_number(micros.div_euclid(MICROS_PER_DAY))?;
        day.with_time_of_day(Duration::from_micros_clamped(micros.rem_euclid(MICROS_PER_DAY)))
    }

    /// Taking this as UTC: microseconds since 1970. None for what is no day of the calendar.
    pub fn micros_since_epoch(self) -> Option<i64> {
        self.micros_since_year_zero().map(|micros| micros - EPOCH_DAY * MICROS_PER_DAY)
    }

    /// The UTC time at an instant given in microseconds since 1970.
    pub fn from_micros_since_epoch(micros: i64) -> Option<Self> {
        Self::from_micros_since_year_zero(micros.checked_add(EPOCH_DAY * MICROS_PER_DAY)?)
    }

    /// PERIOD arithmetic and TIMESTAMPDIFF: whole months from `earlier` to this, negative if this is the earlier one.
    pub fn months_since(self, earlier: Self) -> i64 {
        if self < earlier {
            return -earlier.months_since(self);
        }
        let months = |time: Self| i64::from(time.year() * 12 + time.month());
        let position = |time: Self| (time.day(), time.micros_of_day());
        months(self) - months(earlier) - i64::from(position(self) < position(earlier))
    }

    /// Whole seconds and microseconds since 1970, as UNIX_TIMESTAMP prints them.
    pub fn unix_seconds(self) -> Option<(i64, u32)> {
        let micros = self.micros_since_epoch()?;
        Some((micros.div_euclid(MICROS_PER_SECOND), micros.rem_euclid(MICROS_PER_SECOND) as u32))
    }
}

pub(super) const fn days_in_month(year: u32, month: u32) -> u32 {
    match month {
        2 => 28 + is_leap_year(year) as u32,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

const fn is_leap_year(year: u32) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || (year.is_multiple_of(400) && year != 0))
}

const fn days_before_year(year: u32) -> i64 {
    if year == 0 {
        return 0;
    }
    let before = year as i64 - 1;
    365 * year as i64 + before / 4 - before / 100 + before / 400
}

/// The weekday of a day number, counted from the first day of a week.
const fn weekday_from(day_number: i64, mode: WeekMode) -> u32 {
    ((day_number + if mode.monday_first() { 5 } else { 6 }) % 7) as u32
}
