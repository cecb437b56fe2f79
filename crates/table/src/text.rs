//! Values as messages show them.

use tidewater_types::{Datum, FieldType, TypeCode};

/// The text of a value.
pub fn datum_text(value: &Datum, field_type: &FieldType) -> String {
    match value {
        Datum::Null => "NULL".to_owned(),
        Datum::Int(value) => value.to_string(),
        Datum::UInt(value) => match field_type.code {
            TypeCode::Enum => value
                .checked_sub(1)
                .and_then(|index| field_type.elements.get(index as usize))
                .cloned()
                .unwrap_or_default(),
            TypeCode::Set => field_type
                .elements
                .iter()
                .enumerate()
                .filter(|(bit, _)| value >> bit & 1 == 1)
                .map(|(_, element)| element.as_str())
                .collect::<Vec<_>>()
                .join(","),
            _ => value.to_string(),
        },
        Datum::Float(value) => value.to_string(),
        Datum::Double(value) => value.to_string(),
        Datum::Decimal(value) => value.to_string(),
        Datum::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Datum::Time(time) if field_type.code == TypeCode::Date => time.format_date(),
        Datum::Time(time) => time.format(field_type.fsp()),
        Datum::Duration(duration) => duration.format(field_type.fsp()),
        Datum::Json(json) => {
            let mut text = Vec::new();
            json.as_ref().write_to(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        }
    }
}
