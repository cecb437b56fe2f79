//! One SQL value.

use std::borrow::Cow;
use std::fmt;

use crate::{Decimal, Duration, Json, Time, number};

/// One SQL value, without its declared type (see [`crate::FieldType`]).
///
/// ENUM, SET and BIT are `UInt`; YEAR is `Int`; strings of any kind are `Bytes`.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Datum {
    /// SQL NULL.
    #[default]
    Null,
    /// A signed integer, or a YEAR.
    Int(i64),
    /// An unsigned integer, an ENUM's index, a SET's bits, a BIT value.
    UInt(u64),
    /// A FLOAT.
    Float(f32),
    /// A DOUBLE.
    Double(f64),
    /// A DECIMAL.
    Decimal(Decimal),
    /// CHAR, VARCHAR, TEXT, BINARY, VARBINARY, BLOB.
    Bytes(Vec<u8>),
    /// DATE, DATETIME, TIMESTAMP.
    Time(Time),
    /// TIME.
    Duration(Duration),
    /// JSON.
    Json(Json),
}

impl Datum {
    /// Whether this is SQL NULL.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// A string.
    pub fn string(text: impl Into<String>) -> Self {
        Self::Bytes(text.into().into_bytes())
    }

    /// The bytes of a string.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// A string as text.
    pub fn as_str(&self) -> Option<&str> {
        self.as_bytes().and_then(|bytes| std::str::from_utf8(bytes).ok())
    }

    /// An integer that fits.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(*value),
            Self::UInt(value) => i64::try_from(*value).ok(),
            _ => None,
        }
    }

    /// An integer that fits.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Int(value) => u64::try_from(*value).ok(),
            Self::UInt(value) => Some(*value),
            _ => None,
        }
    }

    /// Appends the value as text, nothing for NULL. Times are printed as DATETIME with the digits of the fraction that are
    /// not all zero; who knows the field type prints better with [`crate::FieldType::write_text`].
    pub fn write_text(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => {}
            Self::Int(value) => number::write_i64(*value, out),
            Self::UInt(value) => number::write_u64(*value, out),
            Self::Float(value) => number::write_f32(*value, out),
            Self::Double(value) => number::write_f64(*value, out),
            Self::Decimal(value) => value.write_to(out),
            Self::Bytes(bytes) => out.extend_from_slice(bytes),
            Self::Time(value) => value.write_to(fraction_digits(value.micro()), out),
            Self::Duration(value) => value.write_to(fraction_digits(value.micro()), out),
            Self::Json(value) => value.as_ref().write_to(out),
        }
    }

    /// The value as text; borrowed if it is a string. For messages too.
    pub fn to_text(&self) -> Cow<'_, [u8]> {
        match self {
            Self::Bytes(bytes) => Cow::Borrowed(bytes),
            other => {
                let mut out = Vec::new();
                other.write_text(&mut out);
                Cow::Owned(out)
            }
        }
    }

    /// Bytes on the heap, for memory accounting.
    pub fn heap_size(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.capacity(),
            Self::Json(json) => json.as_bytes().len(),
            _ => 0,
        }
    }
}

/// Digits that show a fraction of a second: none or all.
fn fraction_digits(micro: u32) -> u8 {
    if micro == 0 { 0 } else { 6 }
}

impl fmt::Display for Datum {
    /// As [`Datum::write_text`]; NULL is `NULL`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("NULL"),
            other => f.write_str(&String::from_utf8_lossy(&other.to_text())),
        }
    }
}

impl From<i64> for Datum {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<i32> for Datum {
    fn from(value: i32) -> Self {
        Self::Int(i64::from(value))
    }
}

impl From<u64> for Datum {
    fn from(value: u64) -> Self {
        Self::UInt(value)
    }
}

impl From<f64> for Datum {
    fn from(value: f64) -> Self {
        Self::Double(value)
    }
}

impl From<bool> for Datum {
    /// MySQL's truth values are integers.
    fn from(value: bool) -> Self {
        Self::Int(i64::from(value))
    }
}

impl From<&str> for Datum {
    fn from(value: &str) -> Self {
        Self::string(value)
    }
}

impl From<String> for Datum {
    fn from(value: String) -> Self {
        Self::string(value)
    }
}

impl From<Vec<u8>> for Datum {
    fn from(value: Vec<u8>) -> Self {
        Self::Bytes(value)
    }
}

impl From<Decimal> for Datum {
    fn from(value: Decimal) -> Self {
        Self::Decimal(value)
    }
}

impl From<Time> for Datum {
    fn from(value: Time) -> Self {
        Self::Time(value)
    }
}

impl From<Duration> for Datum {
    fn from(value: Duration) -> Self {
        Self::Duration(value)
    }
}

impl From<Json> for Datum {
    fn from(value: Json) -> Self {
        Self::Json(value)
    }
}

impl<T: Into<Self>> From<Option<T>> for Datum {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datum_is_small() {
        // Rows are vectors of these: growth here is growth everywhere.
        assert!(size_of::<Datum>() <= 40, "{}", size_of::<Datum>());
    }

    #[test]
    fn prints() {
        for (datum, text) in [
            (Datum::Null, "NULL"),
            (Datum::Int(-1), "-1"),
            (Datum::UInt(u64::MAX), "18446744073709551615"),
            (Datum::Double(1.5), "1.5"),
            (Datum::Decimal("1.50".parse().unwrap()), "1.50"),
            (Datum::from("a"), "a"),
            (Datum::Bytes(vec![0xff]), "\u{fffd}"),
            (Datum::Time(Time::from_date(2020, 1, 2).unwrap()), "2020-01-02 00:00:00"),
            (Datum::Duration(Duration::from_micros(1_500_000).unwrap()), "00:00:01.500000"),
            (Datum::from(None::<i64>), "NULL"),
            (Datum::from(true), "1"),
        ] {
            assert_eq!(datum.to_string(), text);
        }
    }
}
