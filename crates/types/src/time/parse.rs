//! Times out of text and numbers, in all forms that MySQL takes.

use super::{Time, TimeError, fraction_unit};
use crate::SqlMode;

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

impl Time {
    /// Parses any of MySQL's literal forms, rounds to `fsp` digits of the second's fraction, and checks the date under
    /// `mode`.
    ///
    /// Delimited (`2020-01-02 03:04:05.6`, any punctuation, `T` or spaces before the time, years of two digits) or not
    /// (`20200102030405.6`, `200102`).
    pub fn parse(text: &str, fsp: u8, mode: SqlMode) -> Result<ParsedTime, TimeError> {
        let mut scanner = Scanner { rest: text.trim_ascii().as_bytes() };
        let fields = scanner.fields().ok_or(TimeError::Invalid)?;
        let fraction = scanner.fraction(&fields);
        let offset_seconds = if fields.count > 3 { scanner.offset()? } else { None };
        let [mut year, month, day, hour, minute, second] = fields.values;
        let all_zero = fields.values == [0; 6] && fraction.nanos == 0;
        if fields.year_digits == 2 && !all_zero {
            year += if year < 70 { 2000 } else { 1900 };
        }
        let time = Self::from_parts(year, month, day, hour, minute, second, 0).ok_or(TimeError::Invalid)?;
        let time = time.check(mode)?;
        let truncate = mode.contains(SqlMode::TIME_TRUNCATE_FRACTIONAL);
        let time = with_fraction(time, fraction.nanos, fsp, truncate).ok_or(TimeError::OutOfRange)?;
        Ok(ParsedTime {
            time,
            truncated: !scanner.rest.is_empty(),
            has_time: fields.count > 3,
            fraction_digits: fraction.digits,
            offset_seconds,
        })
    }

    /// From a number such as 20200102, 20200102030405 or 200102.
    pub fn from_number(number: i64, mode: SqlMode) -> Result<Self, TimeError> {
        const DAY: i64 = 1_000_000;
        let full = match number {
            0 => 0,
            101..=691_231 => (number + 20_000_000) * DAY,
            700_101..=991_231 => (number + 19_000_000) * DAY,
            10_000_101..=99_991_231 => number * DAY,
            101_000_000..=691_231_235_959 => number + 20_000_000 * DAY,
            700_101_000_000..=991_231_235_959 => number + 19_000_000 * DAY,
            10_000_101_000_000..=99_991_231_235_959 => number,
            _ => return Err(TimeError::Invalid),
        };
        let (date, time) = ((full / DAY) as u32, (full % DAY) as u32);
        Self::from_parts(
            date / 10_000,
            date / 100 % 100,
            date % 100,
            time / 10_000,
            time / 100 % 100,
            time % 100,
            0,
        )
        .ok_or(TimeError::Invalid)?
        .check(mode)
    }
}

/// Adds a fraction of a second, rounded half up (or cut) to `fsp` digits.
pub(crate) fn with_fraction(time: Time, nanos: u32, fsp: u8, truncate: bool) -> Option<Time> {
    let unit = fraction_unit(fsp) * 1_000;
    let rounded = if truncate { nanos / unit } else { (nanos + unit / 2) / unit };
    let micro = rounded * fraction_unit(fsp);
    if micro < 1_000_000 { Some(Time(time.0 | u64::from(micro))) } else { time.next_second() }
}

struct Fields {
    /// Year, month, day, hour, minute, second.
    values: [u32; 6],
    count: usize,
    year_digits: usize,
}

/// A fraction of a second as written.
#[derive(Clone, Copy, Default)]
pub(crate) struct Fraction {
    /// Rounded half up to nine digits, below 10^9: what falls away is beyond rounding.
    pub nanos: u32,
    /// At most 6.
    pub digits: u8,
}

struct Scanner<'a> {
    rest: &'a [u8],
}

impl Scanner<'_> {
    fn fields(&mut self) -> Option<Fields> {
        let run = digit_run(self.rest);
        match self.rest.get(run) {
            _ if run == 0 => None,
            // Digits only, perhaps with a fraction or a time after 'T'.
            None | Some(b'.') if run > 4 => Some(self.undelimited(run)),
            Some(b'T') if run == 6 || run >= 8 => Some(self.undelimited(run)),
            _ => self.delimited(),
        }
        .filter(|fields| fields.count >= 3)
    }

    /// `20200102030405`, `200102`, `20200102T030405`: two digits a field, the year has four if there are 8 or 14.
    fn undelimited(&mut self, run: usize) -> Fields {
        let year_digits = if run == 8 || run >= 14 { 4 } else { 2 };
        let mut fields = Fields { values: [0; 6], count: 0, year_digits };
        while fields.count < 6 {
            if fields.count == 3 && self.rest.first() == Some(&b'T') && digit_run(&self.rest[1..]) > 0 {
                self.rest = &self.rest[1..];
            }
            let width = if fields.count == 0 { year_digits } else { 2 };
            let Some((value, _)) = self.number(width) else { break };
            fields.values[fields.count] = value;
            fields.count += 1;
        }
        fields
    }

    fn delimited(&mut self) -> Option<Fields> {
        let (year, year_digits) = self.number(4)?;
        let mut fields = Fields { values: [year, 0, 0, 0, 0, 0], count: 1, year_digits };
        while fields.count < 6 {
            let before = self.rest;
            let found = match fields.count {
                // An offset such as +08:00 is no further field.
                3 => self.skip_date_time_separator(),
                4.. if matches!(self.rest, [b'+' | b'-', _, _, b':', ..]) => false,
                _ => self.skip_punctuation(),
            };
            let number = if found { self.number(2) } else { None };
            let Some((value, _)) = number else {
                self.rest = before;
                break;
            };
            fields.values[fields.count] = value;
            fields.count += 1;
        }
        Some(fields)
    }

    /// A number of at most `width` digits, and how many it has.
    fn number(&mut self, width: usize) -> Option<(u32, usize)> {
        let len = digit_run(self.rest).min(width);
        if len == 0 {
            return None;
        }
        let (digits, rest) = self.rest.split_at(len);
        self.rest = rest;
        Some((digits.iter().fold(0, |value, digit| value * 10 + u32::from(digit - b'0')), len))
    }

    fn skip_punctuation(&mut self) -> bool {
        let len = self.rest.iter().take_while(|byte| byte.is_ascii_punctuation()).count();
        self.rest = &self.rest[len..];
        len > 0
    }

    /// `T`, or spaces and punctuation.
    fn skip_date_time_separator(&mut self) -> bool {
        if let [b'T', rest @ ..] = self.rest {
            self.rest = rest;
            return true;
        }
        let is_separator = |byte: &u8| byte.is_ascii_punctuation() || byte.is_ascii_whitespace();
        let len = self.rest.iter().take_while(|byte| is_separator(byte)).count();
        self.rest = &self.rest[len..];
        len > 0
    }

    /// The fraction after the seconds (or after an undelimited date without a time, where it says nothing).
    fn fraction(&mut self, fields: &Fields) -> Fraction {
        if fields.count < 6 {
            return Fraction::default();
        }
        let (fraction, len) = scan_fraction(self.rest);
        self.rest = &self.rest[len..];
        fraction
    }

    /// `+08:00` at the end of the text.
    fn offset(&mut self) -> Result<Option<i32>, TimeError> {
        let [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] = self.rest else { return Ok(None) };
        if ![h1, h2, m1, m2].into_iter().all(u8::is_ascii_digit) {
            return Ok(None);
        }
        let two = |a: &u8, b: &u8| i32::from(a - b'0') * 10 + i32::from(b - b'0');
        let (hours, minutes) = (two(h1, h2), two(m1, m2));
        let seconds = hours * 3600 + minutes * 60;
        let in_range = minutes < 60 && seconds <= if *sign == b'-' { 14 * 3600 - 60 } else { 14 * 3600 };
        if !in_range || (*sign == b'-' && seconds == 0) {
            return Err(TimeError::Invalid);
        }
        self.rest = &[];
        Ok(Some(if *sign == b'-' { -seconds } else { seconds }))
    }
}

fn digit_run(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// Reads `.ffffff` from the front of a text; also tells how many bytes it took.
pub(crate) fn scan_fraction(text: &[u8]) -> (Fraction, usize) {
    let [b'.', rest @ ..] = text else { return (Fraction::default(), 0) };
    let len = digit_run(rest);
    let nanos = (0..9)
        .fold(0, |value, at| value * 10 + rest[..len].get(at).map_or(0, |digit| u32::from(digit - b'0')));
    (Fraction { nanos, digits: len.min(6) as u8 }, 1 + len)
}
