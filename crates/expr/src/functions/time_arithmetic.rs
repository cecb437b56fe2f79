//! Sums and differences of dates and times, and conversions to and from seconds.

use tidewater_types::{
    Datum, Decimal, Duration, EvalType, FieldType, Interval, IntervalUnit, Time, TimeZone, TypeCode,
};

use super::time::{calendar_arg, int_arg, time_arg, unit_at};
use crate::cast::{text_of, to_duration, to_time};
use crate::error::ExprError;
use crate::infer::fraction_digits;
use crate::registry::{CallContext, FunctionDef, FunctionTraits, Inference, Kernel};

pub(crate) const FUNCTIONS: &[FunctionDef] = &[
    // date, count [, unit]; days without a unit
    FunctionDef::new("date_add", 2, 3, infer_date_add, Kernel::Strict(|c, a| date_add(c, a, false))),
    FunctionDef::new("date_sub", 2, 3, infer_date_add, Kernel::Strict(|c, a| date_add(c, a, true))),
    // unit, count, date: always rewritten to DATE_ADD
    FunctionDef::new("timestampadd", 3, 3, infer_date_add, Kernel::Strict(|c, a| date_add(c, a, false))),
    FunctionDef::new("timestampdiff", 3, 3, infer_timestampdiff, Kernel::Strict(timestampdiff)),
    FunctionDef::new("datediff", 2, 2, infer_datediff, Kernel::Strict(datediff)),
    FunctionDef::new("timediff", 2, 2, infer_timediff, Kernel::Strict(timediff)),
    FunctionDef::new("addtime", 2, 2, infer_addtime, Kernel::Strict(|c, a| addtime(c, a, 1))),
    FunctionDef::new("subtime", 2, 2, infer_addtime, Kernel::Strict(|c, a| addtime(c, a, -1))),
    FunctionDef::new("maketime", 3, 3, infer_maketime, Kernel::Strict(maketime)),
    FunctionDef::new("sec_to_time", 1, 1, infer_sec_to_time, Kernel::Strict(sec_to_time)),
    FunctionDef::new("unix_timestamp", 0, 1, infer_unix_timestamp, Kernel::Strict(unix_timestamp))
        .with(FunctionTraits::SESSION),
    FunctionDef::new("from_unixtime", 1, 1, infer_from_unixtime, Kernel::Strict(from_unixtime)),
    FunctionDef::new("convert_tz", 3, 3, infer_convert_tz, Kernel::Strict(convert_tz)),
    FunctionDef::new("now", 0, 1, infer_now, Kernel::Row(now)).with(FunctionTraits::SESSION),
    FunctionDef::new("utc_timestamp", 0, 1, infer_now, Kernel::Row(utc_timestamp))
        .with(FunctionTraits::SESSION),
    FunctionDef::new("sysdate", 0, 1, infer_now, Kernel::Row(sysdate)).with(FunctionTraits::VOLATILE),
    FunctionDef::new("curdate", 0, 0, infer_curdate, Kernel::Row(curdate)).with(FunctionTraits::SESSION),
    FunctionDef::new("utc_date", 0, 0, infer_curdate, Kernel::Row(utc_date)).with(FunctionTraits::SESSION),
    FunctionDef::new("curtime", 0, 1, infer_curtime, Kernel::Row(curtime)).with(FunctionTraits::SESSION),
    FunctionDef::new("utc_time", 0, 1, infer_curtime, Kernel::Row(utc_time)).with(FunctionTraits::SESSION),
];

/// DATE + a date unit is a DATE, DATE + hours a DATETIME; text stays text.
fn infer_date_add(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    let unit = match i.args.len() {
        2 => IntervalUnit::Day,
        _ => unit_at(&i.args, 2).ok_or_else(|| ExprError::WrongArguments { function: i.name.to_owned() })?,
    };
    let base = i.arg(0).clone();
    let micros = unit.has_microseconds()
        || (unit == IntervalUnit::Second && (i.arg(1).eval_type() != EvalType::Int || i.arg(1).is_string()));
    let fsp = if micros { 6 } else { base.fsp() };
    let result = match base.code {
        TypeCode::Date if unit.is_date_unit() => FieldType::date(),
        TypeCode::Date | TypeCode::DateTime | TypeCode::Timestamp => FieldType::datetime(fsp),
        TypeCode::Duration if !unit.is_date_unit() => FieldType::duration(fsp),
        TypeCode::Duration => FieldType::datetime(fsp),
        _ => {
            i.collation = i.ctx.collation;
            i.text(29)
        }
    };
    if base.code == TypeCode::Duration && result.is_time() {
        i.cast(0, EvalType::DateTime);
    }
    Ok(result)
}

/// The interval of the call's second argument; numbers count, text is read by the unit.
fn interval(
    call: &CallContext<'_>,
    count: &Datum,
    position: usize,
    unit: IntervalUnit,
) -> Result<Option<Interval>, ExprError> {
    let field_type = call.arg_type(position);
    Ok(match count {
        Datum::Int(v) => Interval::from_int(*v, unit),
        Datum::UInt(v) if field_type.is_integer() => {
            i64::try_from(*v).ok().and_then(|v| Interval::from_int(v, unit))
        }
        // Only seconds have a fraction: the other simple units round.
        Datum::Decimal(v) if is_rounded(unit) => v.to_i64().and_then(|v| Interval::from_int(v, unit)),
        Datum::Double(v) if is_rounded(unit) => {
            if v.abs() < 9e18 {
                Interval::from_int(v.round() as i64, unit)
            } else {
                None
            }
        }
        other => {
            let text = text_of(other, &field_type);
            let text = String::from_utf8_lossy(&text).into_owned();
            if is_rounded(unit) && unit != IntervalUnit::Second {
                let read = tidewater_types::number::integer_prefix(text.as_bytes());
                if read.truncated {
                    call.eval.truncated("INTEGER", text.as_bytes())?;
                }
                Interval::from_int(read.value, unit)
            } else {
                Interval::parse(&text, unit)
            }
        }
    })
}

fn is_rounded(unit: IntervalUnit) -> bool {
    use IntervalUnit as U;
    matches!(unit, U::Microsecond | U::Minute | U::Hour | U::Day | U::Week | U::Month | U::Quarter | U::Year)
}

fn overflow(call: &CallContext<'_>) -> Result<Datum, ExprError> {
    call.eval.warn(1441, "Datetime function: datetime field overflow".to_owned());
    Ok(Datum::Null)
}

fn date_add(call: &CallContext<'_>, args: &[Datum], backwards: bool) -> Result<Datum, ExprError> {
    let unit = unit_at(&call.call.args, 2).unwrap_or(IntervalUnit::Day);
    let Some(mut by) = interval(call, &args[1], 1, unit)? else { return overflow(call) };
    if backwards {
        match by.negate() {
            Some(negated) => by = negated,
            None => return overflow(call),
        }
    }
    let from = call.arg_type(0);
    if let (Datum::Duration(duration), TypeCode::Duration) = (&args[0], call.field_type().code) {
        let total = duration
            .micros()
            .checked_add(by.micros)
            .and_then(|v| v.checked_add(by.days.checked_mul(86_400_000_000)?));
        return match total.and_then(Duration::from_micros) {
            Some(sum) => Ok(Datum::Duration(sum)),
            None => overflow(call),
        };
    }
    let base = match &args[0] {
        Datum::Time(time) => Some(*time),
        other => to_time(other, &from, &FieldType::datetime(6), call.eval)?,
    };
    let Some(base) = base else { return Ok(Datum::Null) };
    if !base.is_calendar_date() {
        call.eval.incorrect("datetime", base.format(0).as_bytes())?;
        return Ok(Datum::Null);
    }
    let Some(sum) = base.add_interval(&by) else { return overflow(call) };
    if call.field_type().eval_type() == EvalType::DateTime {
        return Ok(Datum::Time(sum));
    }
    // Text in, text out: a bare date stays one if the interval leaves the time of day alone.
    let text = text_of(&args[0], &from);
    let bare_date = !text.contains(&b':') && text.len() <= 10;
    Ok(Datum::Bytes(if bare_date && unit.is_date_unit() && sum.time_of_day().micros() == 0 {
        sum.format_date().into_bytes()
    } else {
        sum.format(if sum.micro() == 0 { 0 } else { 6 }).into_bytes()
    }))
}

fn infer_timestampdiff(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    unit_at(&i.args, 0).ok_or_else(|| ExprError::WrongArguments { function: i.name.to_owned() })?;
    i.cast(1, EvalType::DateTime);
    i.cast(2, EvalType::DateTime);
    Ok(FieldType::int())
}

/// Whole units from the first to the second.
fn timestampdiff(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    use IntervalUnit as U;
    let unit = unit_at(&call.call.args, 0).unwrap_or(U::Day);
    let (Some(a), Some(b)) = (calendar_arg(call, &args[1])?, calendar_arg(call, &args[2])?) else {
        return Ok(Datum::Null);
    };
    let micros = |t: Time| t.day_number() * 86_400_000_000 + super::time::micros_of_day(t.packed());
    let months = |per: i64| {
        let (low, high, sign) = if a <= b { (a, b, 1) } else { (b, a, -1) };
        let count = |t: Time| i64::from(t.year()) * 12 + i64::from(t.month());
        let rest = |t: Time| (t.day(), super::time::micros_of_day(t.packed()));
        let whole = count(high) - count(low) - i64::from(rest(high) < rest(low));
        sign * (whole / per)
    };
    let difference = micros(b) - micros(a);
    Ok(Datum::Int(match unit {
        U::Microsecond => difference,
        U::Second => difference / 1_000_000,
        U::Minute => difference / 60_000_000,
        U::Hour => difference / 3_600_000_000,
        U::Day => difference / 86_400_000_000,
        U::Week => difference / (7 * 86_400_000_000),
        U::Month => months(1),
        U::Quarter => months(3),
        U::Year => months(12),
        _ => return Err(ExprError::WrongArguments { function: "timestampdiff".to_owned() }),
    }))
}

fn infer_datediff(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.cast_all(EvalType::DateTime);
    Ok(FieldType::int())
}

fn datediff(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let (Some(a), Some(b)) = (calendar_arg(call, &args[0])?, calendar_arg(call, &args[1])?) else {
        return Ok(Datum::Null);
    };
    Ok(Datum::Int(a.day_number() - b.day_number()))
}

fn infer_timediff(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    let fsp = i.args.iter().map(fraction_digits).max().unwrap_or(0);
    Ok(FieldType::duration(fsp))
}

/// A date with time, or a TIME: text is whichever it looks like.
enum Moment {
    Time(Time),
    Duration(Duration),
}

fn moment(call: &CallContext<'_>, datum: &Datum, position: usize) -> Result<Option<Moment>, ExprError> {
    let from = call.arg_type(position);
    Ok(match datum {
        Datum::Time(time) => Some(Moment::Time(*time)),
        Datum::Duration(duration) => Some(Moment::Duration(*duration)),
        other => {
            let text = text_of(other, &from);
            let dated = text.iter().skip(1).filter(|b| **b == b'-').count() >= 2;
            if dated {
                to_time(&Datum::Bytes(text), &FieldType::string(), &FieldType::datetime(6), call.eval)?
                    .map(Moment::Time)
            } else {
                to_duration(other, &from, &FieldType::duration(6), call.eval)?.map(Moment::Duration)
            }
        }
    })
}

fn timediff(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let micros = match (moment(call, &args[0], 0)?, moment(call, &args[1], 1)?) {
        (Some(Moment::Time(a)), Some(Moment::Time(b))) => {
            let micros = |t: Time| t.day_number() * 86_400_000_000 + super::time::micros_of_day(t.packed());
            micros(a) - micros(b)
        }
        (Some(Moment::Duration(a)), Some(Moment::Duration(b))) => a.micros() - b.micros(),
        _ => return Ok(Datum::Null),
    };
    let clamped = Duration::from_micros_clamped(micros);
    if clamped.micros() != micros {
        call.eval.truncated("time", clamped.format(0).as_bytes())?;
    }
    Ok(Datum::Duration(clamped))
}

fn infer_addtime(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    let second_fsp = fraction_digits(&i.args[1]);
    i.cast(1, EvalType::Duration);
    let first = i.arg(0).clone();
    let fsp = first.fsp().max(second_fsp);
    Ok(match first.code {
        TypeCode::Date | TypeCode::DateTime | TypeCode::Timestamp => FieldType::datetime(fsp),
        TypeCode::Duration => FieldType::duration(fsp),
        _ => {
            i.collation = i.ctx.collation;
            i.text(29)
        }
    })
}

fn addtime(call: &CallContext<'_>, args: &[Datum], sign: i64) -> Result<Datum, ExprError> {
    let Datum::Duration(by) = &args[1] else { return Ok(Datum::Null) };
    let by = by.micros() * sign;
    let text = call.field_type().is_string();
    Ok(match moment(call, &args[0], 0)? {
        None => Datum::Null,
        Some(Moment::Time(time)) => {
            let Some(sum) = time.add_duration(Duration::from_micros_clamped(by)) else {
                return overflow(call);
            };
            if text {
                Datum::Bytes(sum.format(if sum.micro() == 0 { 0 } else { 6 }).into_bytes())
            } else {
                Datum::Time(sum)
            }
        }
        Some(Moment::Duration(duration)) => {
            let sum = duration.micros() + by;
            let clamped = Duration::from_micros_clamped(sum);
            if clamped.micros() != sum {
                call.eval.truncated("time", clamped.format(0).as_bytes())?;
            }
            if text {
                Datum::Bytes(clamped.format(if clamped.micro() == 0 { 0 } else { 6 }).into_bytes())
            } else {
                Datum::Duration(clamped)
            }
        }
    })
}

fn infer_maketime(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    let fsp = match i.arg(2).eval_type() {
        EvalType::Int => 0,
        EvalType::Decimal => i.arg(2).decimals.clamp(0, 6) as u8,
        _ => 6,
    };
    i.cast_each(&[EvalType::Int, EvalType::Int, EvalType::Decimal]);
    Ok(FieldType::duration(fsp))
}

fn maketime(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let (hour, minute) = (int_arg(&args[0]), int_arg(&args[1]));
    let Datum::Decimal(second) = &args[2] else { return Ok(Datum::Null) };
    let micros =
        second.checked_mul(Decimal::from_i64(1_000_000)).ok().and_then(Decimal::to_i64).unwrap_or(-1);
    if !(0..60).contains(&minute) || !(0..60_000_000).contains(&micros) {
        return Ok(Datum::Null);
    }
    let magnitude = hour.unsigned_abs().min(900) as i64 * 3_600_000_000 + minute * 60_000_000 + micros;
    let value = if hour < 0 { -magnitude } else { magnitude };
    let clamped = Duration::from_micros_clamped(value);
    if clamped.micros() != value {
        call.eval.truncated("time", format!("{hour}:{minute:02}:{second}").as_bytes())?;
    }
    Ok(Datum::Duration(clamped.round(call.field_type().fsp())))
}

fn infer_sec_to_time(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    let fsp = match i.arg(0).eval_type() {
        EvalType::Int => 0,
        EvalType::Decimal => i.arg(0).decimals.clamp(0, 6) as u8,
        _ => 6,
    };
    i.cast(0, EvalType::Decimal);
    Ok(FieldType::duration(fsp))
}

fn sec_to_time(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let Datum::Decimal(seconds) = &args[0] else { return Ok(Datum::Null) };
    let micros = seconds.checked_mul(Decimal::from_i64(1_000_000)).ok().and_then(Decimal::to_i64);
    let micros = micros.unwrap_or(if seconds.is_negative() { i64::MIN } else { i64::MAX });
    let clamped = Duration::from_micros_clamped(micros);
    if clamped.micros() != micros {
        call.eval.truncated("time", seconds.to_string().as_bytes())?;
    }
    Ok(Datum::Duration(clamped.round(call.field_type().fsp())))
}

fn infer_unix_timestamp(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    if i.args.is_empty() {
        return Ok(FieldType::int().not_null());
    }
    i.cast(0, EvalType::DateTime);
    let fsp = i.arg(0).fsp();
    Ok(if fsp == 0 { FieldType::int() } else { FieldType::decimal(12 + fsp, fsp) })
}

fn unix_timestamp(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let micros = match args.first() {
        None => call.eval.now_micros,
        Some(datum) => {
            let Some(local) = time_arg(datum) else { return Ok(Datum::Null) };
            match call.eval.time_zone.utc_micros(local) {
                Ok(micros) => micros,
                Err(tidewater_types::LocalTimeError::Gap { jump_micros }) => jump_micros,
                Err(_) => 0,
            }
        }
    };
    // Outside of what TIMESTAMP can say, MySQL gives 0.
    let micros = if (0..=32_536_771_199_999_999).contains(&micros) { micros } else { 0 };
    if call.field_type().eval_type() == EvalType::Int {
        return Ok(Datum::Int(micros / 1_000_000));
    }
    let value = Decimal::from_i128(i128::from(micros), 6);
    Ok(Datum::Decimal(value.truncate(call.field_type().decimals)))
}

fn infer_from_unixtime(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    let fsp = match i.arg(0).eval_type() {
        EvalType::Int => 0,
        EvalType::Decimal => i.arg(0).decimals.clamp(0, 6) as u8,
        _ => 6,
    };
    i.cast(0, EvalType::Decimal);
    Ok(FieldType::datetime(fsp))
}

/// FROM_UNIXTIME(n); the form with a format is DATE_FORMAT of this.
fn from_unixtime(call: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let Datum::Decimal(seconds) = &args[0] else { return Ok(Datum::Null) };
    if seconds.is_negative() {
        return Ok(Datum::Null);
    }
    let micros = seconds.checked_mul(Decimal::from_i64(1_000_000)).ok().and_then(Decimal::to_i64);
    let Some(micros) = micros.filter(|m| *m < 32_536_771_200_000_000) else { return Ok(Datum::Null) };
    let local = call.eval.time_zone.local_time(micros);
    Ok(local.round(call.field_type().fsp()).map_or(Datum::Null, Datum::Time))
}

fn infer_convert_tz(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    i.cast_each(&[EvalType::DateTime, EvalType::String, EvalType::String]);
    Ok(FieldType::datetime(i.arg(0).fsp()))
}

fn convert_tz(_: &CallContext<'_>, args: &[Datum]) -> Result<Datum, ExprError> {
    let zone = |datum: &Datum| match datum {
        Datum::Bytes(name) => TimeZone::parse(&String::from_utf8_lossy(name)).ok(),
        _ => None,
    };
    let (Some(time), Some(from), Some(to)) = (time_arg(&args[0]), zone(&args[1]), zone(&args[2])) else {
        return Ok(Datum::Null);
    };
    let micros = match from.utc_micros(time) {
        Ok(micros) => micros,
        Err(tidewater_types::LocalTimeError::Gap { jump_micros }) => jump_micros,
        Err(_) => return Ok(Datum::Null),
    };
    // Times that TIMESTAMP cannot say stay as they are.
    if !(0..=32_536_771_199_999_999).contains(&micros) {
        return Ok(Datum::Time(time));
    }
    Ok(Datum::Time(to.local_time(micros)))
}

/// The digits asked for by NOW(n).
fn fsp_argument(i: &mut Inference<'_>) -> Result<u8, ExprError> {
    match i.literal(0) {
        None if i.args.is_empty() => Ok(0),
        Some(Datum::Int(fsp)) => match u8::try_from(*fsp) {
            Ok(digits @ 0..=6) => Ok(digits),
            _ => Err(ExprError::PrecisionTooBig { precision: *fsp, function: i.name }),
        },
        _ => Err(ExprError::WrongArguments { function: i.name.to_owned() }),
    }
}

fn infer_now(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    Ok(FieldType::datetime(fsp_argument(i)?).not_null())
}

fn infer_curdate(_: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    Ok(FieldType::date().not_null())
}

fn infer_curtime(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    Ok(FieldType::duration(fsp_argument(i)?).not_null())
}

fn local_now(call: &CallContext<'_>) -> Time {
    call.eval.time_zone.local_time(call.eval.now_micros)
}

fn utc_now(call: &CallContext<'_>) -> Time {
    TimeZone::utc().local_time(call.eval.now_micros)
}

fn now(call: &CallContext<'_>, _: &[Datum]) -> Result<Datum, ExprError> {
    Ok(Datum::Time(local_now(call).truncate(call.field_type().fsp())))
}

fn utc_timestamp(call: &CallContext<'_>, _: &[Datum]) -> Result<Datum, ExprError> {
    Ok(Datum::Time(utc_now(call).truncate(call.field_type().fsp())))
}

fn sysdate(call: &CallContext<'_>, _: &[Datum]) -> Result<Datum, ExprError> {
    let now = call.eval.time_zone.local_time(call.eval.clock.now_micros());
    Ok(Datum::Time(now.truncate(call.field_type().fsp())))
}

fn curdate(call: &CallContext<'_>, _: &[Datum]) -> Result<Datum, ExprError> {
    Ok(Datum::Time(local_now(call).date()))
}

fn utc_date(call: &CallContext<'_>, _: &[Datum]) -> Result<Datum, ExprError> {
    Ok(Datum::Time(utc_now(call).date()))
}

fn curtime(call: &CallContext<'_>, _: &[Datum]) -> Result<Datum, ExprError> {
    Ok(Datum::Duration(local_now(call).truncate(call.field_type().fsp()).time_of_day()))
}

fn utc_time(call: &CallContext<'_>, _: &[Datum]) -> Result<Datum, ExprError> {
    Ok(Datum::Duration(utc_now(call).truncate(call.field_type().fsp()).time_of_day()))
}
