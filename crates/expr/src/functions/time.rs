//! Parts of dates and times, and the calendar.
//!
//! Parts of a column are taken from the packed form in one pass (see `types::Time`): `ymd << 41`, with
//! `ymd = (year * 13 + month) << 5 | day`.

use std::sync::Arc;

use arrow::array::{Int64Array, UInt64Array};
use arrow::datatypes::{Int64Type, UInt64Type};
use tidewater_types::{Datum, EvalType, FieldType, IntervalUnit, Time, TypeCode, WeekMode};

use crate::error::ExprError;
use crate::expr::Expr;
use crate::infer::{build_cast, cast_to, fraction_digits};
use crate::kernels;
use crate::registry::{CallContext, FunctionDef, Inference, Kernel};
use crate::value::Value;

pub(crate) const FUNCTIONS: &[FunctionDef] = &[
    FunctionDef::new("year", 1, 1, infer_date_part, Kernel::Vector(|c, a| part(c, a, year))),
    FunctionDef::new("month", 1, 1, infer_date_part, Kernel::Vector(|c, a| part(c, a, month))),
    FunctionDef::new("dayofmonth", 1, 1, infer_date_part, Kernel::Vector(|c, a| part(c, a, day))),
    FunctionDef::new(
        "quarter",
        1,
        1,
        infer_date_part,
        Kernel::Vector(|c, a| part(c, a, |v| (month(v) + 2) / 3)),
    ),
    FunctionDef::new(
        "dayofweek",
        1,
        1,
        infer_date_part,
        Kernel::Vector(|c, a| calendar_part(c, a, |t| i64::from((t.weekday() + 1) % 7 + 1))),
    ),
    FunctionDef::new(
        "weekday",
        1,
        1,
        infer_date_part,
        Kernel::Vector(|c, a| calendar_part(c, a, |t| i64::from(t.weekday()))),
    ),
    FunctionDef::new(
        "dayofyear",
        1,
        1,
        infer_date_part,
        Kernel::Vector(|c, a| calendar_part(c, a, |t| i64::from(t.day_of_year()))),
    ),
    FunctionDef::new(
        "to_days",
        1,
        1,
        infer_date_part,
        Kernel::Vector(|c, a| calendar_part(c, a, Time::day_number)),
    ),
    FunctionDef::new(
        "to_seconds",
        1,
        1,
        infer_date_part,
        Kernel::Vector(|c, a| calendar_part(c, a, to_seconds)),
    ),
    FunctionDef::new("week", 1, 2, infer_week, Kernel::Strict(week)),
    FunctionDef::new(
        "weekofyear",
        1,
        1,
        infer_date_part,
        Kernel::Vector(|c, a| calendar_part(c, a, |t| i64::from(t.week(WeekMode::ISO).1))),
    ),
    FunctionDef::new("yearweek", 1, 2, infer_week, Kernel::Strict(yearweek)),
    FunctionDef::new("dayname", 1, 1, infer_name, Kernel::Strict(dayname)),
    FunctionDef::new("monthname", 1, 1, infer_name, Kernel::Strict(monthname)),
    FunctionDef::new("last_day", 1, 1, infer_last_day, Kernel::Strict(last_day)),
    FunctionDef::new("from_days", 1, 1, infer_from_days, Kernel::Strict(from_days)),
    FunctionDef::new("makedate", 2, 2, infer_makedate, Kernel::Strict(makedate)),
    FunctionDef::new(
        "hour",
        1,
        1,
        infer_time_part,
        Kernel::Vector(|c, a| time_part(c, a, 3_600_000_000, i64::MAX)),
    ),
    FunctionDef::new("minute", 1, 1, infer_time_part, Kernel::Vector(|c, a| time_part(c, a, 60_000_000, 60))),
    FunctionDef::new("second", 1, 1, infer_time_part, Kernel::Vector(|c, a| time_part(c, a, 1_000_000, 60))),
    FunctionDef::new(
        "microsecond",
        1,
        1,
        infer_time_part,
        Kernel::Vector(|c, a| time_part(c, a, 1, 1_000_000)),
    ),
    FunctionDef::new("date", 1, 1, infer_date, Kernel::Vector(date)),
    FunctionDef::new("time", 1, 1, infer_time, Kernel::Vector(|_, a| Ok(a[0].clone()))),
    FunctionDef::new("timestamp", 1, 2, infer_timestamp, Kernel::Strict(timestamp)),
    // The unit comes first, as a literal.
    FunctionDef::new("extract", 2, 2, infer_extract, Kernel::Vector(extract)),
    FunctionDef::new("time_to_sec", 1, 1, infer_time_to_sec, Kernel::Vector(time_to_sec)),
    FunctionDef::new("period_add", 2, 2, infer_ints, Kernel::Strict(period_add)),
    FunctionDef::new("period_diff", 2, 2, infer_ints, Kernel::Strict(period_diff)),
];

const YMD_SHIFT: u32 = 41;

#[inline]
fn day(packed: u64) -> i64 {
    (packed >> YMD_SHIFT & 31) as i64
}

#[inline]
fn month(packed: u64) -> i64 {
    ((packed >> (YMD_SHIFT + 5)) % 13) as i64
}

#[inline]
fn year(packed: u64) -> i64 {
    ((packed >> (YMD_SHIFT + 5)) / 13) as i64
}

/// Microseconds of the day.
#[inline]
pub(super) fn micros_of_day(packed: u64) -> i64 {
    let hms = packed >> 24 & 0x1_ffff;
    let seconds = (hms >> 12) * 3600 + (hms >> 6 & 63) * 60 + (hms & 63);
    seconds as i64 * 1_000_000 + (packed & 0xff_ffff) as i64
}

fn small_int() -> FieldType {
    FieldType { length: 4, ..FieldType::int() }
}

fn infer_date_part(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.cast(0, EvalType::DateTime);
    Ok(if i.name == "to_seconds" { FieldType::int() } else { small_int() })
}

fn part(call: &CallContext<'_>, args: &[Value], of: impl Fn(u64) -> i64) -> Result<Value, ExprError> {
    Ok(kernels::ints(kernels::map1::<u64, Int64Type>(args[0].uints(), call.rows, of)))
}

/// A part that only days of the calendar have: NULL and a warning for '2020-00-00'.
fn calendar_part(
    call: &CallContext<'_>,
    args: &[Value],
    of: impl Fn(Time) -> i64,
) -> Result<Value, ExprError> {
    let packed = args[0].uints();
    let mut builder = Int64Array::builder(call.rows);
    for row in 0..call.rows {
        let time = packed.get(row).and_then(Time::from_packed);
        builder.append_option(match time {
            Some(time) if time.is_calendar_date() => Some(of(time)),
            Some(time) => {
                call.eval.incorrect("datetime", time.format(0).as_bytes())?;
                None
            }
            None => None,
        });
    }
    Ok(kernels::ints(builder.finish()))
}

fn to_seconds(time: Time) -> i64 {
    time.day_number() * 86_400 + micros_of_day(time.packed()) / 1_000_000
}

pub(super) fn time_arg(datum: &Datum) -> Option<Time> {
    match datum {
        Datum::Time(time) => Some(*time),
        _ => None,
    }
}

pub(super) fn int_arg(datum: &Datum) -> i64 {
    match datum {
        Datum::Int(v) => *v,
        Datum::UInt(v) => i64::try_from(*v).unwrap_or(i64::MAX),
        _ => 0,
    }
}

/// A time that is a day of the calendar; otherwise a warning and `None`.
pub(super) fn calendar_arg(call: &CallContext<'_>, datum: &Datum) -> Result<Option<Time>, ExprError> {
    match time_arg(datum) {
        Some(time) if time.is_calendar_date() => Ok(Some(time)),
        Some(time) => {
            call.eval.incorrect("datetime", time.format(0).as_bytes())?;
            Ok(None)
        }
        None => Ok(None),
    }
}

fn infer_week(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.cast_each(&[EvalType::DateTime, EvalType::Int]);
    Ok(small_int())
}

fn week_mode(args: &[Datum], default: u8) -> WeekMode {
    WeekMode::new(args.get(1).map_or(i64::from(default), int_arg))
}

fn week(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let Some(time) = calendar_arg(call, &args[0])? else { return Ok(Datum::Null) };
    Ok(Datum::Int(i64::from(time.week(week_mode(args, call.eval.default_week_format)).1)))
}

/// YEARWEEK counts a week into the year it mostly lies in, so the modes that number from 0 number from 1 here.
fn yearweek(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let Some(time) = calendar_arg(call, &args[0])? else { return Ok(Datum::Null) };
    let mode = week_mode(args, 0).with_year();
    let (year, week) = time.week(mode);
    Ok(Datum::Int(i64::from(year) * 100 + i64::from(week)))
}

const DAY_NAMES: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const MONTH_NAMES: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

pub(super) fn day_name(time: Time) -> &'static str {
    DAY_NAMES[time.weekday() as usize % 7]
}

pub(super) fn month_name(month: u32) -> Option<&'static str> {
    MONTH_NAMES.get((month as usize).checked_sub(1)?).copied()
}

fn infer_name(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.cast(0, EvalType::DateTime);
    i.collation = i.ctx.collation;
    Ok(i.text(9))
}

fn dayname(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    Ok(calendar_arg(call, &args[0])?.map_or(Datum::Null, |t| Datum::Bytes(day_name(t).into())))
}

fn monthname(_: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let name = time_arg(&args[0]).and_then(|t| month_name(t.month()));
    Ok(name.map_or(Datum::Null, |name| Datum::Bytes(name.into())))
}

fn infer_last_day(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.cast(0, EvalType::DateTime);
    Ok(FieldType::date())
}

fn last_day(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let Some(time) = time_arg(&args[0]) else { return Ok(Datum::Null) };
    match time.last_day() {
        Some(last) => Ok(Datum::Time(last.date())),
        None => {
            call.eval.incorrect("datetime", time.format(0).as_bytes())?;
            Ok(Datum::Null)
        }
    }
}

fn infer_from_days(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.cast(0, EvalType::Int);
    Ok(FieldType::date())
}

fn from_days(_: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let days = int_arg(&args[0]);
    // Days before the first of year 0's calendar that MySQL knows give the zero date.
    if days < 366 {
        return Ok(Datum::Time(Time::ZERO));
    }
    Ok(Time::from_day_number(days).map_or(Datum::Null, Datum::Time))
}

fn infer_makedate(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.cast_all(EvalType::Int);
    Ok(FieldType::date())
}

fn makedate(_: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let (mut year, day) = (int_arg(&args[0]), int_arg(&args[1]));
    match year {
        0..=69 => year += 2000,
        70..=99 => year += 1900,
        100..=9999 => {}
        _ => return Ok(Datum::Null),
    }
    if day <= 0 {
        return Ok(Datum::Null);
    }
    let first = Time::from_date(year as u32, 1, 1);
    let date = first.and_then(|first| Time::from_day_number(first.day_number().checked_add(day - 1)?));
    Ok(date.map_or(Datum::Null, Datum::Time))
}

/// Dates and datetimes stay as they are, everything else is read as a TIME.
fn cast_time_of_day(i: &mut Inference<'_>, index: usize) {
    if !i.arg(index).is_time() {
        i.cast(index, EvalType::Duration);
    }
}

fn infer_time_part(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    cast_time_of_day(i, 0);
    Ok(small_int())
}

fn time_part(call: &CallContext<'_>, args: &[Value], unit: i64, modulus: i64) -> Result<Value, ExprError> {
    let of = |micros: i64| micros.abs() / unit % modulus;
    let array = if call.call.args[0].field_type_ref().is_time() {
        kernels::map1::<u64, Int64Type>(args[0].uints(), call.rows, |packed| of(micros_of_day(packed)))
    } else {
        kernels::map1::<i64, Int64Type>(args[0].ints(), call.rows, of)
    };
    Ok(kernels::ints(array))
}

fn infer_date(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.cast(0, EvalType::DateTime);
    Ok(FieldType::date())
}

fn date(call: &CallContext<'_>, args: &[Value]) -> Result<Value, ExprError> {
    let dates: UInt64Array = kernels::map1::<u64, UInt64Type>(args[0].uints(), call.rows, |packed| {
        packed >> YMD_SHIFT << YMD_SHIFT
    });
    Ok(Value::Array(Arc::new(dates)))
}

fn infer_time(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    let fsp = fraction_digits(&i.args[0]);
    i.cast_as(0, FieldType::duration(fsp));
    Ok(FieldType::duration(fsp))
}

fn infer_timestamp(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.cast_each(&[EvalType::DateTime, EvalType::Duration]);
    let fsp = i.args.iter().map(|arg| arg.field_type_ref().fsp()).max().unwrap_or(0);
    Ok(FieldType::datetime(fsp))
}

fn timestamp(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let Some(time) = time_arg(&args[0]) else { return Ok(Datum::Null) };
    Ok(match args.get(1) {
        Some(Datum::Duration(duration)) => {
            let Some(time) = calendar_arg(call, &args[0])? else { return Ok(Datum::Null) };
            time.add_duration(*duration).map_or(Datum::Null, Datum::Time)
        }
        _ => Datum::Time(time),
    })
}

/// The unit of a call that has it as a literal.
pub(super) fn unit_at(args: &[Expr], index: usize) -> Option<IntervalUnit> {
    match args.get(index) {
        Some(Expr::Literal { value: Datum::Bytes(name), .. }) => {
            IntervalUnit::from_name(std::str::from_utf8(name).ok()?)
        }
        _ => None,
    }
}

fn is_date_unit(unit: IntervalUnit) -> bool {
    use IntervalUnit as U;
    matches!(unit, U::Day | U::Week | U::Month | U::Quarter | U::Year | U::YearMonth)
}

fn infer_extract(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    let unit =
        unit_at(&i.args, 0).ok_or_else(|| ExprError::WrongArguments { function: "extract".to_owned() })?;
    if is_date_unit(unit) {
        i.cast(1, EvalType::DateTime);
    } else if i.arg(1).is_string() {
        // A text may be either; as a datetime it also has the time of day.
        let expr = std::mem::replace(&mut i.args[1], Expr::null());
        let looks_like_date = matches!(&expr, Expr::Literal { value: Datum::Bytes(text), .. }
            if text.iter().filter(|b| **b == b'-').count() >= 2);
        i.args[1] = if looks_like_date || starts_with_day(unit) && !matches!(expr, Expr::Literal { .. }) {
            build_cast(expr, FieldType::datetime(6))
        } else {
            cast_to(expr, EvalType::Duration, i.ctx)
        };
    } else {
        cast_time_of_day(i, 1);
    }
    Ok(FieldType::int())
}

fn starts_with_day(unit: IntervalUnit) -> bool {
    use IntervalUnit as U;
    matches!(unit, U::DayHour | U::DayMinute | U::DaySecond | U::DayMicrosecond)
}

/// The value of a unit: composite ones are written one behind the other, as in 20190702 for YEAR_MONTH 201907.
fn extract(call: &CallContext<'_>, args: &[Value]) -> Result<Value, ExprError> {
    use IntervalUnit as U;
    let unit = unit_at(&call.call.args, 0).ok_or(ExprError::Malformed { what: "unit" })?;
    let mode = WeekMode::new(i64::from(call.eval.default_week_format));
    let ft = call.call.args[1].field_type_ref();
    if ft.code == TypeCode::Duration {
        let of = move |micros: i64| {
            let sign = if micros < 0 { -1 } else { 1 };
            sign * clock_part(unit, micros.abs(), 0)
        };
        return Ok(kernels::ints(kernels::map1::<i64, Int64Type>(args[1].ints(), call.rows, of)));
    }
    let of = move |packed: u64| match unit {
        U::Year => year(packed),
        U::Month => month(packed),
        U::Day => day(packed),
        U::Quarter => (month(packed) + 2) / 3,
        U::YearMonth => year(packed) * 100 + month(packed),
        U::Week => Time::from_packed(packed)
            .filter(|t| t.is_calendar_date())
            .map_or(0, |t| i64::from(t.week(mode).1)),
        _ => clock_part(unit, micros_of_day(packed), day(packed)),
    };
    Ok(kernels::ints(kernels::map1::<u64, Int64Type>(args[1].uints(), call.rows, of)))
}

fn clock_part(unit: IntervalUnit, micros: i64, day: i64) -> i64 {
    use IntervalUnit as U;
    let (hour, minute, second, micro) =
        (micros / 3_600_000_000, micros / 60_000_000 % 60, micros / 1_000_000 % 60, micros % 1_000_000);
    let hms = hour * 10_000 + minute * 100 + second;
    match unit {
        U::Microsecond => micro,
        U::Second => second,
        U::Minute => minute,
        U::Hour => hour,
        U::SecondMicrosecond => second * 1_000_000 + micro,
        U::MinuteMicrosecond => (minute * 100 + second) * 1_000_000 + micro,
        U::MinuteSecond => minute * 100 + second,
        U::HourMicrosecond => hms * 1_000_000 + micro,
        U::HourSecond => hms,
        U::HourMinute => hour * 100 + minute,
        U::DayMicrosecond => (day * 1_000_000 + hms) * 1_000_000 + micro,
        U::DaySecond => day * 1_000_000 + hms,
        U::DayMinute => day * 10_000 + hour * 100 + minute,
        U::DayHour => day * 100 + hour,
        // The units of dates have no clock part: a TIME has none of them.
        U::Day | U::Week | U::Month | U::Quarter | U::Year | U::YearMonth => 0,
    }
}

fn infer_time_to_sec(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    cast_time_of_day(i, 0);
    Ok(FieldType::int())
}

fn time_to_sec(call: &CallContext<'_>, args: &[Value]) -> Result<Value, ExprError> {
    let array = if call.call.args[0].field_type_ref().is_time() {
        kernels::map1::<u64, Int64Type>(args[0].uints(), call.rows, |packed| {
            micros_of_day(packed) / 1_000_000
        })
    } else {
        kernels::map1::<i64, Int64Type>(args[0].ints(), call.rows, |micros| micros / 1_000_000)
    };
    Ok(kernels::ints(array))
}

fn infer_ints(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.cast_all(EvalType::Int);
    Ok(FieldType::int())
}

/// Months since year 0 of a period written YYMM or YYYYMM.
fn period_months(call: &CallContext<'_>, period: i64) -> Result<i64, ExprError> {
    let (year, month) = (period / 100, period % 100);
    if period <= 0 || !(1..=12).contains(&month) || year > 9999 {
        return Err(ExprError::WrongArguments { function: call.call.function.name.to_owned() });
    }
    let year = match year {
        0..=69 => year + 2000,
        70..=99 => year + 1900,
        _ => year,
    };
    Ok(year * 12 + month - 1)
}

fn period_add(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    // MySQL counts the months in 32 bits.
    let months = period_months(call, int_arg(&args[0]))? + i64::from(int_arg(&args[1]) as i32);
    Ok(Datum::Int(months / 12 * 100 + months % 12 + 1))
}

fn period_diff(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    Ok(Datum::Int(period_months(call, int_arg(&args[0]))? - period_months(call, int_arg(&args[1]))?))
}
