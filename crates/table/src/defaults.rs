//! The values columns have when nobody says anything.

use tidewater_types::{Datum, Decimal, Duration, FieldType, Json, Time, TypeCode};

/// MySQL's implicit default of a NOT NULL column: zero, the empty string, the zero date, an ENUM's first member.
pub fn implicit_default(field_type: &FieldType) -> Datum {
    match field_type.code {
        TypeCode::Tiny | TypeCode::Short | TypeCode::Int24 | TypeCode::Long | TypeCode::LongLong => {
            if field_type.is_unsigned() {
                Datum::UInt(0)
            } else {
                Datum::Int(0)
            }
        }
        TypeCode::Year => Datum::Int(0),
        TypeCode::Float => Datum::Float(0.0),
        TypeCode::Double => Datum::Double(0.0),
        TypeCode::NewDecimal => {
            let zero = Decimal::from_i64(0);
            let precision = u8::try_from(field_type.length).unwrap_or(10);
            let scale = u8::try_from(field_type.decimals).unwrap_or(0);
            Datum::Decimal(zero.rescale(precision, scale).unwrap_or(zero))
        }
        TypeCode::Date | TypeCode::DateTime | TypeCode::Timestamp => {
            Time::from_packed(0).map_or(Datum::Null, Datum::Time)
        }
        TypeCode::Duration => Datum::Duration(Duration::from_micros_clamped(0)),
        TypeCode::Enum => Datum::UInt(1),
        TypeCode::Set | TypeCode::Bit => Datum::UInt(0),
        TypeCode::Json => Datum::Json(Json::null()),
        TypeCode::Null => Datum::Null,
        TypeCode::VarChar
        | TypeCode::VarString
        | TypeCode::String
        | TypeCode::TinyBlob
        | TypeCode::Blob
        | TypeCode::MediumBlob
        | TypeCode::LongBlob => Datum::Bytes(Vec::new()),
    }
}
