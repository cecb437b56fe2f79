//! The SQL type system: field types, decimals, times, JSON, collations, conversions, SQL error codes.

pub mod clock;
pub mod collation;
mod convert;
mod datum;
mod decimal;
mod duration;
mod error;
mod field_type;
mod interval;
mod json;
pub mod number;
mod sql_mode;
mod time;
mod time_zone;

pub use collation::{Charset, Collation};
pub use convert::{ConvertContext, ConvertError, convert};
pub use datum::Datum;
pub use decimal::{DIV_SCALE_INCREMENT, Decimal, DecimalError, MAX_PRECISION, MAX_SCALE};
pub use duration::{Duration, DurationError, ParsedDuration};
pub use error::{ErrorCode, SqlError, Warning, WarningLevel, Warnings};
pub use field_type::{EvalType, FieldType, TypeCode, TypeFlags, UnknownTypeCode};
pub use interval::{Interval, IntervalUnit};
pub use json::{Json, JsonError, JsonPath, JsonRef, JsonType};
pub use sql_mode::SqlMode;
pub use time::{ParsedTime, Time, TimeError, TimeKind, WeekMode};
pub use time_zone::{LocalTimeError, TimeZone, TimeZoneError};
