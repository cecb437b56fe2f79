//! Documents as trees.

use std::collections::BTreeMap;

use super::{Json, JsonRef, JsonType, binary};
use crate::{Datum, Duration, FieldType, Time, TypeCode};

/// A document as a tree: for taking it apart and putting it together.
#[derive(Debug, Clone, PartialEq)]
pub enum JsonValue {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// An integer that came as an unsigned one.
    UInt(u64),
    /// A number with a fraction or an exponent.
    Double(f64),
    /// A string.
    String(String),
    /// A value of some other MySQL type, a DECIMAL for one.
    Opaque(TypeCode, Vec<u8>),
    /// A DATE.
    Date(Time),
    /// A DATETIME.
    DateTime(Time),
    /// A TIMESTAMP.
    Timestamp(Time),
    /// A TIME.
    Time(Duration),
    /// An array.
    Array(Vec<JsonValue>),
    /// An object.
    Object(BTreeMap<String, JsonValue>),
}

impl JsonValue {
    /// The document in its binary layout.
    pub fn to_json(&self) -> Json {
        let mut out = Vec::new();
        self.write_binary(&mut out);
        Json(out.into())
    }

    /// Appends type byte and payload.
    pub fn write_binary(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.extend_from_slice(&[binary::LITERAL, binary::LITERAL_NULL]),
            Self::Bool(true) => out.extend_from_slice(&[binary::LITERAL, binary::LITERAL_TRUE]),
            Self::Bool(false) => out.extend_from_slice(&[binary::LITERAL, binary::LITERAL_FALSE]),
            Self::Int(value) => write_fixed(binary::INT, value.to_le_bytes(), out),
            Self::UInt(value) => write_fixed(binary::UINT, value.to_le_bytes(), out),
            Self::Double(value) => write_fixed(binary::DOUBLE, value.to_le_bytes(), out),
            Self::Date(time) => write_fixed(binary::DATE, binary::time_to_core(*time).to_le_bytes(), out),
            Self::DateTime(time) => {
                write_fixed(binary::DATETIME, binary::time_to_core(*time).to_le_bytes(), out)
            }
            Self::Timestamp(time) => {
                write_fixed(binary::TIMESTAMP, binary::time_to_core(*time).to_le_bytes(), out)
            }
            Self::Time(time) => {
                write_fixed(binary::DURATION, (time.micros() * 1_000).to_le_bytes(), out);
                out.extend_from_slice(&6u32.to_le_bytes());
            }
            Self::String(text) => {
                out.push(binary::STRING);
                binary::write_var(text.len(), out);
                out.extend_from_slice(text.as_bytes());
            }
            Self::Opaque(code, bytes) => {
                out.extend_from_slice(&[binary::OPAQUE, u8::from(*code)]);
                binary::write_var(bytes.len(), out);
                out.extend_from_slice(bytes);
            }
            Self::Array(elements) => {
                let elements: Vec<Json> = elements.iter().map(Self::to_json).collect();
                let elements: Vec<JsonRef<'_>> = elements.iter().map(Json::as_ref).collect();
                out.push(binary::ARRAY);
                binary::write_array(&elements, out);
            }
            Self::Object(members) => {
                let values: Vec<Json> = members.values().map(Self::to_json).collect();
                let members: Vec<(&str, JsonRef<'_>)> =
                    members.keys().map(String::as_str).zip(values.iter().map(Json::as_ref)).collect();
                out.push(binary::OBJECT);
                binary::write_object(&members, out);
            }
        }
    }

    /// The tree of a document.
    pub fn from_ref(json: JsonRef<'_>) -> Self {
        Self::from_ref_below(json, 0)
    }

    fn from_ref_below(json: JsonRef<'_>, above: usize) -> Self {
        if above > super::JSON_DEPTH_MAX {
            return Self::Null;
        }
        let scalar = match json.json_type() {
            JsonType::Null => Some(Self::Null),
            JsonType::Boolean => json.as_bool().map(Self::Bool),
            JsonType::Integer => json.as_i64().map(Self::Int),
            JsonType::UnsignedInteger => json.as_u64().map(Self::UInt),
            JsonType::Double => json.as_f64().map(Self::Double),
            JsonType::String => json.as_str().map(|text| Self::String(text.to_owned())),
            JsonType::Opaque | JsonType::Decimal => {
                json.as_opaque().map(|(code, bytes)| Self::Opaque(code, bytes.to_vec()))
            }
            JsonType::Date => json.as_time().map(Self::Date),
            JsonType::DateTime => json.as_time().map(Self::DateTime),
            JsonType::Timestamp => json.as_time().map(Self::Timestamp),
            JsonType::Time => json.as_duration().map(Self::Time),
            JsonType::Array => Some(Self::Array(
                json.elements().map(|child| Self::from_ref_below(child, above + 1)).collect(),
            )),
            JsonType::Object => Some(Self::Object(
                json.members()
                    .map(|(key, child)| (key.to_owned(), Self::from_ref_below(child, above + 1)))
                    .collect(),
            )),
        };
        scalar.unwrap_or(Self::Null)
    }

    /// What an SQL value is as JSON: text becomes a string (it is not parsed), binary strings and decimals stay what they are.
    pub fn from_datum(value: &Datum, field_type: &FieldType) -> Self {
        let text = || {
            let mut out = Vec::new();
            field_type.write_text(value, &mut out);
            Self::String(String::from_utf8_lossy(&out).into_owned())
        };
        match value {
            Datum::Null => Self::Null,
            Datum::Int(value) => Self::Int(*value),
            Datum::UInt(_) if matches!(field_type.code, TypeCode::Enum | TypeCode::Set) => text(),
            Datum::UInt(bits) if field_type.code == TypeCode::Bit => {
                Self::Opaque(TypeCode::Bit, bits.to_be_bytes()[8 - field_type.bit_bytes()..].to_vec())
            }
            Datum::UInt(value) => Self::UInt(*value),
            Datum::Float(value) => Self::Double(f64::from(*value)),
            Datum::Double(value) => Self::Double(*value),
            Datum::Decimal(value) => {
                let (precision, scale) = (value.precision(), value.scale());
                let mut bytes = vec![precision, scale];
                match value.write_mysql_bin(precision, scale, &mut bytes) {
                    Ok(()) => Self::Opaque(TypeCode::NewDecimal, bytes),
                    Err(_) => Self::Double(value.to_f64()),
                }
            }
            Datum::Bytes(bytes) if field_type.is_binary_string() => {
                Self::Opaque(field_type.code, bytes.clone())
            }
            Datum::Bytes(bytes) => Self::String(String::from_utf8_lossy(bytes).into_owned()),
            Datum::Time(time) => match field_type.code {
                TypeCode::Date => Self::Date(*time),
                TypeCode::Timestamp => Self::Timestamp(*time),
                _ => Self::DateTime(*time),
            },
            Datum::Duration(time) => Self::Time(*time),
            Datum::Json(json) => json.as_ref().to_value(),
        }
    }

    /// JSON_DEPTH().
    pub fn depth(&self) -> usize {
        1 + match self {
            Self::Array(elements) => elements.iter().map(Self::depth).max().unwrap_or(0),
            Self::Object(members) => members.values().map(Self::depth).max().unwrap_or(0),
            _ => 0,
        }
    }
}

fn write_fixed(code: u8, bytes: [u8; 8], out: &mut Vec<u8>) {
    out.push(code);
    out.extend_from_slice(&bytes);
}
