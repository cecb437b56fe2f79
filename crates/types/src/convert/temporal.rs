//! To DATE, DATETIME, TIMESTAMP and TIME.

use super::{ConvertContext, ConvertError, Source, Stored, ValueKind};
use crate::{
    Datum, Duration, DurationError, FieldType, JsonType, LocalTimeError, SqlMode, Time, TimeError, TypeCode,
    number,
};

/// '1970-01-01 00:00:01' UTC.
const TIMESTAMP_MIN_MICROS: i64 = 1_000_000;
/// '2038-01-19 03:14:07.999999' UTC.
const TIMESTAMP_MAX_MICROS: i64 = i32::MAX as i64 * 1_000_000 + 999_999;

pub(super) fn to_time(source: &Source<'_>, to: &FieldType, ctx: &ConvertContext) -> Stored {
    let kind = if to.code == TypeCode::Date { ValueKind::Date } else { ValueKind::DateTime };
    // A DATE keeps its day whatever the fraction: rounding happens in the type's own digits.
    let fsp = if to.code == TypeCode::Date { 6 } else { to.fsp() };
    let found = match parse_time(source, fsp, ctx) {
        Ok(found) => found,
        Err(problem) => {
            let problem = match problem {
                Problem::Incorrect => source.incorrect(kind),
                Problem::OutOfRange => ConvertError::OutOfRange,
            };
            return Stored::wrong(Datum::Time(Time::ZERO), problem);
        }
    };
    let mut problem = found.truncated.then_some(ConvertError::Truncated);
    let mut time = found.time;
    match to.code {
        TypeCode::Date => {
            let lost = time.date() != time;
            return Stored { value: Datum::Time(time.date()), noted: lost && problem.is_none(), problem };
        }
        TypeCode::Timestamp if !time.is_zero() => match timestamp(time, ctx) {
            Ok(valid) => time = valid,
            Err((best, error)) => {
                time = best;
                problem = Some(error.unwrap_or_else(|| source.incorrect(kind)));
            }
        },
        _ => {}
    }
    Stored { value: Datum::Time(time), problem, noted: false }
}

struct Found {
    time: Time,
    truncated: bool,
}

enum Problem {
    Incorrect,
    OutOfRange,
}

impl From<TimeError> for Problem {
    fn from(error: TimeError) -> Self {
        match error {
            TimeError::Invalid | TimeError::Zero => Self::Incorrect,
            TimeError::OutOfRange => Self::OutOfRange,
        }
    }
}

fn parse_time(source: &Source<'_>, fsp: u8, ctx: &ConvertContext) -> Result<Found, Problem> {
    let mode = ctx.sql_mode;
    let exact = |time: Time| Ok(Found { time, truncated: false });
    let from_text = |text: &[u8]| {
        let text = std::str::from_utf8(text).map_err(|_| Problem::Incorrect)?;
        let parsed = Time::parse(text, fsp, mode)?;
        let time = match parsed.offset_seconds {
            None => parsed.time,
            Some(offset) => {
                let micros = parsed.time.micros_since_epoch().ok_or(Problem::Incorrect)?;
                let local = ctx.time_zone.local_time(micros - i64::from(offset) * 1_000_000);
                if local.is_zero() { Err(Problem::OutOfRange)? } else { local }
            }
        };
        Ok(Found { time, truncated: parsed.truncated })
    };
    match source.value {
        Datum::Null => exact(Time::ZERO),
        Datum::Time(time) => {
            let cut = mode.contains(SqlMode::TIME_TRUNCATE_FRACTIONAL);
            let rounded = if cut { Some(time.truncate(fsp)) } else { time.round(fsp) };
            exact(rounded.ok_or(Problem::OutOfRange)?.check(mode)?)
        }
        // A time of day is one of today.
        Datum::Duration(duration) => {
            let today = ctx.time_zone.local_time(ctx.now_micros).date();
            exact(today.add_duration(duration.round(fsp)).ok_or(Problem::OutOfRange)?)
        }
        Datum::Int(value) => exact(Time::from_number(*value, mode)?),
        Datum::UInt(_) if source.member_name().is_some() => from_text(&source.text()),
        Datum::UInt(value) => {
            exact(Time::from_number(i64::try_from(*value).map_err(|_| Problem::Incorrect)?, mode)?)
        }
        Datum::Float(_) | Datum::Double(_) | Datum::Decimal(_) => {
            let value = number::parse_decimal(&source.value.to_text()).value;
            let whole = value.truncate(0).to_i64().ok_or(Problem::Incorrect)?;
            let time = Time::from_number(whole, mode)?;
            let fraction = value.checked_rem(1i64.into()).map(|rest| rest.to_string()).unwrap_or_default();
            if fraction.starts_with('-') {
                return Err(Problem::Incorrect);
            }
            let (fraction, _) = crate::time::scan_fraction(fraction.trim_start_matches('0').as_bytes());
            exact(crate::time::with_fraction(time, fraction.nanos, fsp, false).ok_or(Problem::OutOfRange)?)
        }
        Datum::Bytes(bytes) => from_text(bytes),
        Datum::Json(json) => match json.as_ref().as_time() {
            Some(time) => exact(time),
            None => from_text(json.as_ref().unquote().as_bytes()),
        },
    }
}

/// Checks a TIMESTAMP; else the best value, and the error unless it is that the value is incorrect.
fn timestamp(time: Time, ctx: &ConvertContext) -> Result<Time, (Time, Option<ConvertError>)> {
    let micros = match ctx.time_zone.utc_micros(time) {
        Ok(micros) => micros,
        Err(LocalTimeError::Gap { jump_micros }) => {
            return Err((ctx.time_zone.local_time(jump_micros), None));
        }
        Err(LocalTimeError::Invalid) => return Err((Time::ZERO, None)),
    };
    if (TIMESTAMP_MIN_MICROS..=TIMESTAMP_MAX_MICROS).contains(&micros) {
        Ok(time)
    } else {
        Err((Time::ZERO, None))
    }
}

pub(super) fn to_duration(source: &Source<'_>, to: &FieldType) -> Stored {
    let fsp = to.fsp();
    let incorrect = || Stored::wrong(Datum::Duration(Duration::ZERO), source.incorrect(ValueKind::Time));
    let from_text = |text: &[u8]| {
        let Ok(parsed) =
            std::str::from_utf8(text).map_err(drop).and_then(|text| Duration::parse(text, fsp).map_err(drop))
        else {
            return incorrect();
        };
        let problem = if parsed.clamped {
            Some(ConvertError::OutOfRange)
        } else {
            parsed.truncated.then_some(ConvertError::Truncated)
        };
        Stored { value: Datum::Duration(parsed.duration), problem, noted: false }
    };
    match source.value {
        Datum::Duration(duration) => Stored::exact(Datum::Duration(duration.round(fsp))),
        Datum::Time(time) => Stored::exact(Datum::Duration(time.time_of_day().round(fsp))),
        Datum::Int(value) => match Duration::from_number(*value) {
            Ok(duration) => Stored::exact(Datum::Duration(duration)),
            Err(DurationError::Invalid) => incorrect(),
            Err(DurationError::OutOfRange) => {
                let best = if *value < 0 { Duration::MIN } else { Duration::MAX };
                Stored::wrong(Datum::Duration(best), ConvertError::OutOfRange)
            }
        },
        Datum::Json(json) => match json.as_ref().json_type() {
            JsonType::Time => {
                Stored::exact(Datum::Duration(json.as_ref().as_duration().unwrap_or_default().round(fsp)))
            }
            _ => from_text(json.as_ref().unquote().as_bytes()),
        },
        _ => from_text(&source.text()),
    }
}
