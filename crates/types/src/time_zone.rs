//! Time zones: what `time_zone` may be set to, and the way between local time and UTC.

use std::fmt;
use std::sync::Arc;

use jiff::tz::AmbiguousOffset;

use crate::Time;
use crate::time::MICROS_PER_SECOND;

/// A session's time zone: `SYSTEM`, an offset such as `+08:00`, or a name such as `Europe/Berlin`.
///
/// ```
/// use tidewater_types::TimeZone;
///
/// let zone = TimeZone::parse("+08:00")?;
/// assert_eq!(zone.local_time(0).format(0), "1970-01-01 08:00:00");
/// # Ok::<(), tidewater_types::TimeZoneError>(())
/// ```
#[derive(Clone)]
pub struct TimeZone {
    name: Arc<str>,
    rules: Rules,
}

#[derive(Clone)]
enum Rules {
    /// Seconds east of UTC; the common case needs no look-up.
    Fixed(i32),
    Named(jiff::tz::TimeZone),
}

/// Not a time zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Unknown or incorrect time zone: '{0}'")]
pub struct TimeZoneError(pub String);

/// Why a local time is no instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LocalTimeError {
    /// The clock jumped over this time.
    #[error("the local time does not exist: the clock jumped over it")]
    Gap {
        /// The instant of the jump, microseconds since the epoch.
        jump_micros: i64,
    },
    /// A zero or partial or impossible date.
    #[error("not a date of the calendar")]
    Invalid,
}

impl TimeZone {
    /// UTC.
    pub fn utc() -> Self {
        Self { name: "UTC".into(), rules: Rules::Fixed(0) }
    }

    /// A constant offset from UTC, called `+08:00`.
    pub fn fixed(offset_seconds: i32) -> Self {
        let sign = if offset_seconds < 0 { '-' } else { '+' };
        let minutes = offset_seconds.unsigned_abs() / 60;
        let name = format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60);
        Self { name: name.into(), rules: Rules::Fixed(offset_seconds) }
    }

    /// The operating system's time zone, called `SYSTEM`.
    pub fn system() -> Self {
        Self { name: "SYSTEM".into(), rules: Rules::Named(jiff::tz::TimeZone::system()) }
    }

    /// Parses what `SET time_zone = ...` takes: `SYSTEM`, `[+-]H[H]:MM` from -13:59 to +14:00, or a name of the time zone
    /// database in any case.
    pub fn parse(text: &str) -> Result<Self, TimeZoneError> {
        let error = || TimeZoneError(text.to_owned());
        if text.eq_ignore_ascii_case("SYSTEM") {
            return Ok(Self::system());
        }
        if text.eq_ignore_ascii_case("UTC") {
            return Ok(Self::utc());
        }
        if let Some(sign @ ('+' | '-')) = text.chars().next() {
            let (hours, minutes) = text[1..].split_once(':').ok_or_else(error)?;
            let number = |text: &str, len: std::ops::RangeInclusive<usize>| {
                let is_number = len.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
                if is_number { text.parse::<i32>().map_err(|_| error()) } else { Err(error()) }
            };
            let (hours, minutes) = (number(hours, 1..=2)?, number(minutes, 2..=2)?);
            let seconds = hours * 3600 + minutes * 60;
            let limit = if sign == '-' { 14 * 3600 - 60 } else { 14 * 3600 };
            if minutes > 59 || seconds > limit {
                return Err(error());
            }
            return Ok(Self::fixed(if sign == '-' { -seconds } else { seconds }));
        }
        let zone = jiff::tz::TimeZone::get(text).map_err(|_| error())?;
        Ok(Self { name: zone.iana_name().unwrap_or(text).into(), rules: Rules::Named(zone) })
    }

    /// As in `@@time_zone`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Seconds east of UTC at an instant given in microseconds since the epoch.
    pub fn offset_seconds(&self, utc_micros: i64) -> i32 {
        match &self.rules {
            Rules::Fixed(offset) => *offset,
            Rules::Named(zone) => match jiff::Timestamp::from_microsecond(utc_micros) {
                Ok(instant) => zone.to_offset(instant).seconds(),
                Err(_) => 0,
            },
        }
    }

    /// The local time at an instant given in microseconds since the epoch; the zero time beyond the years 0 to 9999.
    pub fn local_time(&self, utc_micros: i64) -> Time {
        let offset = i64::from(self.offset_seconds(utc_micros)) * MICROS_PER_SECOND;
        utc_micros.checked_add(offset).and_then(Time::from_micros_since_epoch).unwrap_or(Time::ZERO)
    }

    /// The instant of a local time, in microseconds since the epoch. Of two instants with the same local time (when clocks
    /// are set back) it is the earlier one.
    pub fn utc_micros(&self, local: Time) -> Result<i64, LocalTimeError> {
        let micros = local.micros_since_epoch().ok_or(LocalTimeError::Invalid)?;
        let offset = match &self.rules {
            Rules::Fixed(offset) => *offset,
            Rules::Named(zone) => named_offset(zone, local, micros)?,
        };
        Ok(micros - i64::from(offset) * MICROS_PER_SECOND)
    }

    /// A stored TIMESTAMP (UTC) as the session sees it. Zero stays zero.
    pub fn timestamp_to_local(&self, stored: Time) -> Time {
        match (&self.rules, stored.micros_since_epoch()) {
            (Rules::Fixed(0), _) | (_, None) => stored,
            (_, Some(micros)) => self.local_time(micros),
        }
    }

    /// A session's TIMESTAMP as it is stored (UTC). Zero stays zero.
    pub fn local_to_timestamp(&self, local: Time) -> Result<Time, LocalTimeError> {
        if local.is_zero() || matches!(self.rules, Rules::Fixed(0)) {
            return Ok(local);
        }
        Time::from_micros_since_epoch(self.utc_micros(local)?).ok_or(LocalTimeError::Invalid)
    }
}

fn named_offset(zone: &jiff::tz::TimeZone, local: Time, micros: i64) -> Result<i32, LocalTimeError> {
    let civil = jiff::civil::DateTime::new(
        local.year() as i16,
        local.month() as i8,
        local.day() as i8,
        local.hour() as i8,
        local.minute() as i8,
        local.second() as i8,
        local.micro() as i32 * 1000,
    )
    .map_err(|_| LocalTimeError::Invalid)?;
    match zone.to_ambiguous_timestamp(civil).offset() {
        AmbiguousOffset::Unambiguous { offset } => Ok(offset.seconds()),
        AmbiguousOffset::Fold { before, .. } => Ok(before.seconds()),
        AmbiguousOffset::Gap { before, .. } => {
            // Read with the offset before the jump, the time lies after it: the jump is the last one before.
            let after_jump = micros - i64::from(before.seconds()) * MICROS_PER_SECOND;
            let jump = jiff::Timestamp::from_microsecond(after_jump + 1)
                .ok()
                .and_then(|instant| zone.preceding(instant).next())
                .map_or(after_jump, |transition| transition.timestamp().as_microsecond());
            Err(LocalTimeError::Gap { jump_micros: jump })
        }
    }
}

impl Default for TimeZone {
    fn default() -> Self {
        Self::utc()
    }
}

impl fmt::Debug for TimeZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TimeZone({})", self.name)
    }
}

impl fmt::Display for TimeZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl PartialEq for TimeZone {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for TimeZone {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::SqlMode;

    fn time(text: &str) -> Time {
        Time::parse(text, 6, SqlMode::empty()).unwrap().time
    }

    #[test]
    fn names_and_offsets() {
        for (text, name) in [
            ("+08:00", "+08:00"),
            ("-3:30", "-03:30"),
            ("utc", "UTC"),
            ("europe/berlin", "Europe/Berlin"),
            ("system", "SYSTEM"),
        ] {
            assert_eq!(TimeZone::parse(text).map(|zone| zone.name().to_owned()), Ok(name.to_owned()));
        }
        for text in ["", "+", "+14:01", "-14:00", "+1:60", "+1:5", "Mars/Olympus", "+08:00x", "+é:00"] {
            assert_eq!(TimeZone::parse(text), Err(TimeZoneError(text.to_owned())));
        }
    }

    #[test]
    fn clocks_are_set_forward_and_back() {
        let berlin = TimeZone::parse("Europe/Berlin").unwrap();
        let stored = |text| berlin.local_to_timestamp(time(text)).map(|time| time.format(0));
        assert_eq!(stored("2024-01-01 00:00:00"), Ok("2023-12-31 23:00:00".into()));
        assert_eq!(stored("2024-07-01 00:00:00"), Ok("2024-06-30 22:00:00".into()));
        // 02:30 came twice; the first was still summer time.
        assert_eq!(stored("2024-10-27 02:30:00"), Ok("2024-10-27 00:30:00".into()));
        let jump = time("2024-03-31 01:00:00").micros_since_epoch().unwrap();
        assert_eq!(stored("2024-03-31 02:30:00"), Err(LocalTimeError::Gap { jump_micros: jump }));
        assert_eq!(stored("2024-03-31 02:00:00"), Err(LocalTimeError::Gap { jump_micros: jump }));
        assert_eq!(stored("0000-00-00"), Ok("0000-00-00 00:00:00".into()));
        assert_eq!(stored("2024-00-10"), Err(LocalTimeError::Invalid));
        assert_eq!(berlin.timestamp_to_local(time("2024-06-30 22:00:00")).format(0), "2024-07-01 00:00:00");
        assert_eq!(berlin.timestamp_to_local(Time::ZERO), Time::ZERO);
        assert_eq!(berlin.offset_seconds(0), 3600);
    }

    proptest! {
        #[test]
        fn there_and_back(micros in 0i64..4_000_000_000_000_000) {
            let zone = TimeZone::parse("America/New_York").unwrap();
            let local = zone.local_time(micros);
            let back = zone.utc_micros(local).unwrap();
            // In the repeated hour the earlier instant is taken.
            prop_assert!(back == micros || back == micros - 3_600_000_000);
            prop_assert_eq!(zone.local_time(back), local);
        }
    }
}
