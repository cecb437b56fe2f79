//! Time zones.
use crate::Time;

/// A session's time zone: `SYSTEM`, an offset such as `+08:00`, or a name such as `Europe/Berlin`.
#[derive(Debug, Clone)]
pub struct TimeZone { name: std::sync::Arc<str>, zone: jiff::tz::TimeZone }

/// Not a time zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Unknown or incorrect time zone: '{0}'")]
pub struct TimeZoneError(pub String);

/// Why a local time is no instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LocalTimeError {
    /// The clock jumped over this time; the instant of the jump is given.
    #[error("the local time does not exist: the clock jumped over it")]
    Gap {
        /// The instant of the jump, microseconds since the epoch.
        jump_micros: i64
    },
    /// A zero or partial or impossible date.
    #[error("not a date of the calendar")]
    Invalid,
}

impl TimeZone {
    /// UTC.
    pub fn utc() -> Self { Self { name: "UTC".into(), zone: jiff::tz::TimeZone::UTC } }
    /// The operating system's time zone, called `SYSTEM`.
    pub fn system() -> Self { todo!() }
    /// Parses what `SET time_zone = ...` takes.
    pub fn parse(_text: &str) -> Result<Self, TimeZoneError> { todo!() }
    /// As in `@@time_zone`.
    pub fn name(&self) -> &str { &self.name }
    /// The local time at an instant, given in microseconds since the epoch.
    pub fn local_time(&self, _utc_micros: i64) -> Time { let _ = &self.zone; todo!() }
    /// The instant of a local time.
    pub fn utc_micros(&self, _local: Time) -> Result<i64, LocalTimeError> { todo!() }
    /// Offset from UTC in seconds at an instant.
    pub fn offset_seconds(&self, _utc_micros: i64) -> i32 { todo!() }
    /// A stored TIMESTAMP (UTC) as the session sees it. Zero stays zero.
    pub fn timestamp_to_local(&self, _stored: Time) -> Time { todo!() }
    /// A session's TIMESTAMP as it is stored (UTC). Zero stays zero.
    pub fn local_to_timestamp(&self, _local: Time) -> Result<Time, LocalTimeError> { todo!() }
}
