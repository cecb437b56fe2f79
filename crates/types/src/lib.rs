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

pub use collation::{Charset, Collation, UnknownCollation};
pub use convert::{ConvertContext, ConvertError, ValueKind, convert, convert_from};
pub use datum::Datum;
pub use decimal::{DIV_SCALE_INCREMENT, Decimal, DecimalError, MAX_PRECISION, MAX_SCALE};
pub use duration::{Duration, DurationError, ParsedDuration};
pub use error::{ErrorCode, SqlError, Warning, WarningLevel, Warnings};
pub use field_type::{EvalType, FieldType, TypeCode, TypeFlags, UnknownTypeCode};
pub use interval::{Interval, IntervalUnit};
pub use json::{ArrayIndex, JSON_DEPTH_MAX, Json, JsonError, JsonPath, JsonRef, JsonType, JsonValue, ModifyMode, PathLeg};
pub use sql_mode::{SqlMode, UnknownSqlMode};
pub use time::{ParsedTime, Time, TimeError, TimeKind, WeekMode};
pub use time_zone::{LocalTimeError, TimeZone, TimeZoneError};
