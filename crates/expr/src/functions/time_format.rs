//! DATE_FORMAT, TIME_FORMAT, STR_TO_DATE, GET_FORMAT.

use tidewater_chunk::ColumnBuilder;
use tidewater_types::{Datum, EvalType, FieldType, SqlMode, Time, TypeCode, WeekMode};

use super::time::{day_name, month_name};
use crate::error::ExprError;
use crate::registry::{CallContext, FunctionDef, Inference, Kernel};
use crate::value::Value;

pub(crate) const FUNCTIONS: &[FunctionDef] = &[
    FunctionDef::new("date_format", 2, 2, infer_date_format, Kernel::Vector(date_format)),
    FunctionDef::new("time_format", 2, 2, infer_time_format, Kernel::Strict(time_format)),
    FunctionDef::new("str_to_date", 2, 2, infer_str_to_date, Kernel::Strict(str_to_date)),
    FunctionDef::new("get_format", 2, 2, infer_get_format, Kernel::Strict(get_format)),
];

fn infer_date_format(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.cast_each(&[EvalType::DateTime, EvalType::String]);
    i.collation = i.ctx.collation;
    Ok(i.text(-1))
}

fn date_format(call: &CallContext<'_>, args: &[Value]) -> Result<Value, ExprError> {
    let (times, formats) = (args[0].uints(), args[1].strings());
    let mut builder = ColumnBuilder::new(call.field_type(), call.rows);
    let mut out = Vec::new();
    for row in 0..call.rows {
        match (times.get(row).and_then(Time::from_packed), formats.get(row)) {
            (Some(time), Some(format)) => {
                out.clear();
                match write_formatted(time, format, &mut out) {
                    Some(()) => builder.append_bytes(&out),
                    None => builder.append_null(),
                }
            }
            _ => builder.append_null(),
        }
    }
    Ok(Value::Array(builder.finish()))
}

fn padded(out: &mut Vec<u8>, value: u32, width: usize) {
    let text = value.to_string();
    out.extend(std::iter::repeat_n(b'0', width.saturating_sub(text.len())));
    out.extend_from_slice(text.as_bytes());
}

fn ordinal_suffix(day: u32) -> &'static str {
    match (day % 10, day % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    }
}

/// `None` where the time has not what the format asks for (the name of month 0).
fn write_formatted(time: Time, format: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut bytes = format.iter();
    while let Some(&byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let Some(&specifier) = bytes.next() else {
            out.push(b'%');
            break;
        };
        let weekday = || time.is_calendar_date().then(|| time.weekday());
        let week = |mode: i64| if time.is_calendar_date() { time.week(WeekMode::new(mode)) } else { (0, 0) };
        match specifier {
            b'Y' => padded(out, time.year(), 4),
            b'y' => padded(out, time.year() % 100, 2),
            b'm' => padded(out, time.month(), 2),
            b'c' => padded(out, time.month(), 1),
            b'M' => out.extend_from_slice(month_name(time.month())?.as_bytes()),
            b'b' => out.extend_from_slice(&month_name(time.month())?.as_bytes()[..3]),
            b'd' => padded(out, time.day(), 2),
            b'e' => padded(out, time.day(), 1),
            b'D' => {
                padded(out, time.day(), 1);
                out.extend_from_slice(ordinal_suffix(time.day()).as_bytes());
            }
            b'j' => padded(out, if time.is_calendar_date() { time.day_of_year() } else { 0 }, 3),
            b'W' => {
                weekday()?;
                out.extend_from_slice(day_name(time).as_bytes());
            }
            b'a' => {
                weekday()?;
                out.extend_from_slice(&day_name(time).as_bytes()[..3]);
            }
            b'w' => padded(out, (weekday()? + 1) % 7, 1),
            b'U' => padded(out, week(0).1, 2),
            b'u' => padded(out, week(1).1, 2),
            b'V' => padded(out, week(2).1, 2),
            b'v' => padded(out, week(3).1, 2),
            b'X' => padded(out, week(2).0, 4),
            b'x' => padded(out, week(3).0, 4),
            other => write_clock(time.hour(), time.minute(), time.second(), time.micro(), other, out),
        }
    }
    Some(())
}

/// The specifiers of the time of day; any other character stands for itself.
fn write_clock(hour: u32, minute: u32, second: u32, micro: u32, specifier: u8, out: &mut Vec<u8>) {
    let hour12 = match hour % 12 {
        0 => 12,
        other => other,
    };
    let half: &[u8] = if hour % 24 < 12 { b"AM" } else { b"PM" };
    match specifier {
        b'H' => padded(out, hour, 2),
        b'k' => padded(out, hour, 1),
        b'h' | b'I' => padded(out, hour12, 2),
        b'l' => padded(out, hour12, 1),
        b'i' => padded(out, minute, 2),
        b's' | b'S' => padded(out, second, 2),
        b'f' => padded(out, micro, 6),
        b'p' => out.extend_from_slice(half),
        b'T' => {
            for (i, part) in [hour, minute, second].into_iter().enumerate() {
                if i > 0 {
                    out.push(b':');
                }
                padded(out, part, 2);
            }
        }
        b'r' => {
            for (i, part) in [hour12, minute, second].into_iter().enumerate() {
                if i > 0 {
                    out.push(b':');
                }
                padded(out, part, 2);
            }
            out.push(b' ');
            out.extend_from_slice(half);
        }
        other => out.push(other),
    }
}

fn infer_time_format(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.cast_each(&[EvalType::Duration, EvalType::String]);
    i.collation = i.ctx.collation;
    Ok(i.text(-1))
}

/// A TIME has no date: its specifiers give zeros or NULL.
fn time_format(_: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let (Datum::Duration(time), Datum::Bytes(format)) = (&args[0], &args[1]) else { return Ok(Datum::Null) };
    let mut out = Vec::new();
    if time.is_negative() {
        out.push(b'-');
    }
    let mut bytes = format.iter();
    while let Some(&byte) = bytes.next() {
        match (byte, if byte == b'%' { bytes.next() } else { None }) {
            (b'%', Some(specifier)) => match specifier {
                b'Y' => padded(&mut out, 0, 4),
                b'y' | b'm' | b'd' => padded(&mut out, 0, 2),
                b'c' | b'e' => padded(&mut out, 0, 1),
                b'M' | b'b' | b'D' | b'j' | b'W' | b'a' | b'w' | b'U' | b'u' | b'V' | b'v' | b'X' | b'x' => {
                    return Ok(Datum::Null);
                }
                other => {
                    write_clock(time.hours(), time.minute(), time.second(), time.micro(), *other, &mut out)
                }
            },
            _ => out.push(byte),
        }
    }
    Ok(Datum::Bytes(out))
}

/// A literal format tells whether a DATE, a TIME or a DATETIME comes out.
fn infer_str_to_date(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.cast_all(EvalType::String);
    let Some(Datum::Bytes(format)) = i.constant(1) else { return Ok(FieldType::datetime(6)) };
    let specifiers: Vec<u8> = format.windows(2).filter(|w| w[0] == b'%').map(|w| w[1]).collect();
    let has = |set: &[u8]| specifiers.iter().any(|s| set.contains(s));
    let dated = has(b"YymcMbdeDjWawUuVvXx");
    let timed = has(b"HkhIlisSfpTr");
    let fsp = if has(b"f") { 6 } else { 0 };
    Ok(match (dated, timed) {
        (true, false) => FieldType::date(),
        (false, true) => FieldType::duration(fsp),
        _ => FieldType::datetime(fsp),
    })
}

/// What a format collects out of a text.
#[derive(Default)]
struct Parts {
    year: u32,
    month: u32,
    day: u32,
    hour: u32,
    minute: u32,
    second: u32,
    micro: u32,
    day_of_year: Option<u32>,
    /// Number, and whether weeks begin on Monday.
    week: Option<(u32, bool)>,
    week_year: Option<u32>,
    /// 0 is Monday.
    weekday: Option<u32>,
    twelve: bool,
    afternoon: Option<bool>,
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn skip_spaces(&mut self) {
        self.0 = self.0.trim_ascii_start();
    }

    fn number(&mut self, digits_max: usize) -> Option<u32> {
        let len = self.0.iter().take(digits_max).take_while(|b| b.is_ascii_digit()).count();
        let (digits, rest) = self.0.split_at(len);
        self.0 = rest;
        std::str::from_utf8(digits).ok()?.parse().ok()
    }

    fn literal(&mut self, text: &[u8]) -> Option<()> {
        let (head, rest) = self.0.split_at_checked(text.len())?;
        if !head.eq_ignore_ascii_case(text) {
            return None;
        }
        self.0 = rest;
        Some(())
    }

    /// The index of the name (or its first three letters) that the text begins with.
    fn name(&mut self, names: impl Iterator<Item = &'static str>, short: bool) -> Option<u32> {
        for (index, name) in names.enumerate() {
            let name = if short { &name[..3] } else { name };
            if self.literal(name.as_bytes()).is_some() {
                return Some(index as u32);
            }
        }
        None
    }
}

fn month_names() -> impl Iterator<Item = &'static str> {
    (1..=12).filter_map(month_name)
}

fn weekday_names() -> impl Iterator<Item = &'static str> {
    // The 3rd of January 2000 was a Monday.
    (3..=9).filter_map(|day| Time::from_date(2000, 1, day)).map(day_name)
}

impl Parts {
    fn read(text: &[u8], format: &[u8]) -> Option<(Parts, bool)> {
        let mut parts = Parts::default();
        let mut reader = Reader(text);
        let mut format = format.iter();
        // A text that ends before its format leaves the other parts zero.
        while let (false, Some(&byte)) = (reader.0.is_empty(), format.next()) {
            if byte.is_ascii_whitespace() {
                reader.skip_spaces();
                continue;
            }
            if byte != b'%' {
                reader.skip_spaces();
                reader.literal(&[byte])?;
                continue;
            }
            reader.skip_spaces();
            parts.read_one(*format.next()?, &mut reader)?;
        }
        reader.skip_spaces();
        Some((parts, reader.0.is_empty()))
    }

    fn read_one(&mut self, specifier: u8, reader: &mut Reader<'_>) -> Option<()> {
        match specifier {
            b'Y' => self.year = four_digits(reader)?,
            b'y' => self.year = two_digit_year(reader.number(2)?),
            b'm' | b'c' => self.month = reader.number(2).filter(|v| *v <= 12)?,
            b'M' => self.month = reader.name(month_names(), false)? + 1,
            b'b' => self.month = reader.name(month_names(), true)? + 1,
            b'd' | b'e' => self.day = reader.number(2).filter(|v| *v <= 31)?,
            b'D' => {
                self.day = reader.number(2).filter(|v| *v <= 31)?;
                reader.0 = reader.0.get(2..)?;
            }
            b'j' => self.day_of_year = Some(reader.number(3).filter(|v| (1..=366).contains(v))?),
            b'H' | b'k' => self.hour = reader.number(2).filter(|v| *v < 24)?,
            b'h' | b'I' | b'l' => {
                self.hour = reader.number(2).filter(|v| (1..=12).contains(v))?;
                self.twelve = true;
            }
            b'i' => self.minute = reader.number(2).filter(|v| *v < 60)?,
            b's' | b'S' => self.second = reader.number(2).filter(|v| *v < 60)?,
            b'f' => {
                let before = reader.0.len();
                let value = reader.number(6)?;
                self.micro = value * 10u32.pow(6 - (before - reader.0.len()) as u32);
            }
            b'p' => {
                self.afternoon = Some(match reader.literal(b"PM") {
                    Some(()) => true,
                    None => {
                        reader.literal(b"AM")?;
                        false
                    }
                });
            }
            b'W' => self.weekday = Some(reader.name(weekday_names(), false)?),
            b'a' => self.weekday = Some(reader.name(weekday_names(), true)?),
            b'w' => self.weekday = Some((reader.number(1).filter(|v| *v < 7)? + 6) % 7),
            b'U' | b'V' => self.week = Some((reader.number(2).filter(|v| *v <= 53)?, false)),
            b'u' | b'v' => self.week = Some((reader.number(2).filter(|v| *v <= 53)?, true)),
            b'X' | b'x' => self.week_year = Some(four_digits(reader)?),
            b'T' => self.read_all(b"H:i:s", reader)?,
            b'r' => self.read_all(b"h:i:s p", reader)?,
            b'%' => reader.literal(b"%")?,
            b'@' => reader.0 = &reader.0[reader.0.iter().take_while(|b| b.is_ascii_alphabetic()).count()..],
            b'#' => reader.0 = &reader.0[reader.0.iter().take_while(|b| b.is_ascii_digit()).count()..],
            b'.' => reader.0 = &reader.0[reader.0.iter().take_while(|b| b.is_ascii_punctuation()).count()..],
            other => reader.literal(&[other])?,
        }
        Some(())
    }

    fn read_all(&mut self, pattern: &[u8], reader: &mut Reader<'_>) -> Option<()> {
        for byte in pattern {
            match byte {
                b' ' => reader.skip_spaces(),
                b':' => reader.literal(b":")?,
                specifier => self.read_one(*specifier, reader)?,
            }
        }
        Some(())
    }

    fn hour24(&self) -> Option<u32> {
        match (self.afternoon, self.twelve) {
            // AM and PM belong to a clock of twelve hours.
            (Some(_), false) => None,
            (Some(true), true) => Some(self.hour % 12 + 12),
            (_, true) => Some(self.hour % 12),
            (None, false) => Some(self.hour),
        }
    }

    fn into_time(self) -> Option<Time> {
        let hour = self.hour24()?;
        let (mut year, mut month, mut day) = (self.year, self.month, self.day);
        if let Some(number) = self.day_of_year {
            let first = Time::from_date(year, 1, 1)?;
            let date = Time::from_day_number(first.day_number() + i64::from(number) - 1)?;
            (year, month, day) = (date.year(), date.month(), date.day());
        } else if let (Some((week, monday_first)), Some(weekday)) = (self.week, self.weekday) {
            let date = week_date(
                self.week_year.unwrap_or(year),
                week,
                monday_first,
                self.week_year.is_some(),
                weekday,
            )?;
            (year, month, day) = (date.year(), date.month(), date.day());
        }
        Time::from_parts(year, month, day, hour, self.minute, self.second, self.micro)
    }
}

fn four_digits(reader: &mut Reader<'_>) -> Option<u32> {
    let before = reader.0.len();
    let value = reader.number(4)?;
    Some(if before - reader.0.len() <= 2 { two_digit_year(value) } else { value })
}

fn two_digit_year(value: u32) -> u32 {
    if value < 70 { 2000 + value } else { 1900 + value }
}

/// The day of a week of a year. Weeks begin on Monday or Sunday; under `strict` (%V, %v with %X, %x) week 1 is the
/// first with a Sunday, or with four days.
fn week_date(year: u32, week: u32, monday_first: bool, strict: bool, weekday: u32) -> Option<Time> {
    let first = Time::from_date(year, 1, 1)?;
    let start = i64::from(first.weekday());
    let (week, weekday) = (i64::from(week), i64::from(weekday));
    let days = if strict && week == 0 {
        return None;
    } else if monday_first {
        let shift = if start <= 3 { 0 } else { 7 };
        shift - start + (week - 1) * 7 + weekday
    } else {
        let sunday_start = (start + 1) % 7;
        let shift = if sunday_start == 0 { 0 } else { 7 };
        shift - sunday_start + (week - 1) * 7 + (weekday + 1) % 7
    };
    Time::from_day_number(first.day_number() + days)
}

fn str_to_date(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let (Datum::Bytes(text), Datum::Bytes(format)) = (&args[0], &args[1]) else { return Ok(Datum::Null) };
    let kind = call.field_type().code;
    let type_name = match kind {
        TypeCode::Date => "date",
        TypeCode::Duration => "time",
        _ => "datetime",
    };
    let refuse = || {
        let text = String::from_utf8_lossy(text);
        call.eval.warn(1411, format!("Incorrect {type_name} value: '{text}' for function str_to_date"));
        Ok(Datum::Null)
    };
    let Some((parts, complete)) = Parts::read(text, format) else {
        return refuse();
    };
    if !complete {
        call.eval.truncated(type_name, text)?;
    }
    let dateless = kind == TypeCode::Duration;
    let Some(time) = parts.into_time() else {
        return refuse();
    };
    if dateless {
        return Ok(Datum::Duration(time.time_of_day()));
    }
    // Zero parts are refused where the mode refuses them, impossible days always.
    let mode = call.eval.sql_mode;
    let zero_forbidden =
        mode.contains(SqlMode::NO_ZERO_IN_DATE) || (time.is_zero() && mode.contains(SqlMode::NO_ZERO_DATE));
    if (time.has_zero_part() && zero_forbidden) || (!time.has_zero_part() && !time.is_calendar_date()) {
        return refuse();
    }
    Ok(Datum::Time(time))
}

fn infer_get_format(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.cast_all(EvalType::String);
    i.collation = i.ctx.collation;
    Ok(i.text(17))
}

fn get_format(_: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let text = |datum: &Datum| match datum {
        Datum::Bytes(bytes) => String::from_utf8_lossy(bytes).to_ascii_uppercase(),
        _ => String::new(),
    };
    let format = match (text(&args[0]).as_str(), text(&args[1]).as_str()) {
        ("DATE", "USA") => "%m.%d.%Y",
        ("DATE", "JIS" | "ISO") => "%Y-%m-%d",
        ("DATE", "EUR") => "%d.%m.%Y",
        ("DATE", "INTERNAL") => "%Y%m%d",
        ("DATETIME" | "TIMESTAMP", "USA" | "EUR") => "%Y-%m-%d %H.%i.%s",
        ("DATETIME" | "TIMESTAMP", "JIS" | "ISO") => "%Y-%m-%d %H:%i:%s",
        ("DATETIME" | "TIMESTAMP", "INTERNAL") => "%Y%m%d%H%i%s",
        ("TIME", "USA") => "%h:%i:%s %p",
        ("TIME", "JIS" | "ISO") => "%H:%i:%s",
        ("TIME", "EUR") => "%H.%i.%s",
        ("TIME", "INTERNAL") => "%H%i%s",
        _ => return Ok(Datum::Null),
    };
    Ok(Datum::Bytes(format.as_bytes().to_vec()))
}
