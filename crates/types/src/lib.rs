//! The SQL type system of Tidewater, as MySQL defines it: what a column may be declared as ([`FieldType`]), what a value is
//! ([`Datum`] and the types in it), how text becomes a value and a value text, how values compare, and what is said when they
//! do not fit ([`ErrorCode`]).
//!
//! The lowest floor: no crate of ours is below it, and all that know SQL stand on it.
//!
//! # Invariants
//! * **Nothing here does I/O or reads the time**, except [`clock::SystemClock`], which is there to be handed in.
//! * **No input panics**: text, numbers and bytes from outside give a value or an error.
//! * **Values order as their storage does**: integers compare packed [`Time`]s, bytes compare sort keys and binary decimals.
//! * **Comparing, and formatting into a buffer, do not allocate.**
//! * A [`Datum`] does not know its declared type. What depends on it (ENUM names, digits of a fraction, zero-filling) asks the
//!   [`FieldType`].
//!
//! # What is not here
//! Functions and operators (`expr`), DATE_FORMAT and its kin (`expr`), bytes of keys and rows (`codec`), columns (`chunk`).
//! Character sets other than UTF-8, latin1, ascii and binary; text is UTF-8 in memory always, see [`collation`].
//!
//! # Tour
//! [`FieldType`], then [`Datum`], then the values: [`Decimal`], [`Time`], [`Duration`], [`Json`]. [`Collation`] orders
//! text. [`number`] reads numbers out of text. [`convert()`] is what INSERT does to a value; strict mode is decided there.
//!
//! ```
//! use tidewater_types::{ConvertContext, Datum, FieldType, convert};
//!
//! let price = FieldType::decimal(10, 2);
//! let stored = convert(&Datum::from("19.9"), &price, &ConvertContext::default())?;
//! assert_eq!(stored.to_string(), "19.90");
//! assert_eq!(price.to_sql(), "decimal(10,2)");
//! # Ok::<(), tidewater_types::ConvertError>(())
//! ```

pub mod clock;
pub mod collation;
mod convert;
mod datum;
mod decimal;
mod duration;
mod error;
mod field_type;
mod human;
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
pub use human::{size_text, span_text};
pub use interval::{Interval, IntervalUnit};
pub use json::{
    ArrayIndex, JSON_DEPTH_MAX, Json, JsonError, JsonPath, JsonRef, JsonType, JsonValue, ModifyMode, PathLeg,
};
pub use sql_mode::{SqlMode, UnknownSqlMode};
pub use time::{ParsedTime, Time, TimeError, TimeKind, WeekMode};
pub use time_zone::{LocalTimeError, TimeZone, TimeZoneError};
