//! JSON documents in TiDB's binary layout.
//!
//! [`Json`] owns a document: a type byte and its payload. [`JsonRef`] is a document (or a part of one) looked at in place:
//! reading, comparing, printing and following paths copy nothing. [`JsonValue`] is a tree, for taking documents apart and
//! putting them together.
//!
//! ```text
//! object   count u32, size u32, count * (key offset u32, key length u16), count * (type u8, offset u32), keys, values
//! array    count u32, size u32, count * (type u8, offset u32), values
//! literal  0 null, 1 true, 2 false (inside a container: in place of the offset)
//! number   8 bytes, little endian         string   varint length, UTF-8         opaque   MySQL type u8, varint length, bytes
//! time     8 bytes                        duration nanoseconds i64, digits u32
//! ```
//! Offsets count from the start of the container's payload. Keys are stored in the order of their bytes (TiDB) and shown
//! shorter first (MySQL).

mod binary;
mod compare;
mod modify;
mod parse;
mod path;
mod print;
#[cfg(test)]
mod tests;
mod value;

use std::fmt;
use std::sync::Arc;

use crate::{Datum, Decimal, Duration, FieldType, Time, TypeCode};

pub use modify::ModifyMode;
pub use path::{ArrayIndex, JsonPath, PathLeg};
pub use value::JsonValue;

/// Documents may be nested this deep, as in MySQL.
pub const JSON_DEPTH_MAX: usize = 100;

/// A JSON document in TiDB's binary layout: a type byte, then the payload.
///
/// ```
/// use tidewater_types::{Json, JsonPath};
///
/// let document = Json::parse(r#"{"name": "Ada", "born": [1815, 12, 10]}"#)?;
/// let year = document.as_ref().extract(&[JsonPath::parse("$.born[0]")?]);
/// assert_eq!(year.map(|year| year.to_string()).as_deref(), Some("1815"));
/// # Ok::<(), tidewater_types::JsonError>(())
/// ```
#[derive(Clone)]
pub struct Json(Arc<[u8]>);

/// A JSON document, or a part of one, looked at in place.
#[derive(Clone, Copy)]
pub struct JsonRef<'a> {
    code: u8,
    /// Begins with the value; may go on beyond it.
    payload: &'a [u8],
}

/// What a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are MySQL's")]
pub enum JsonType {
    Object,
    Array,
    Null,
    Boolean,
    Integer,
    UnsignedInteger,
    Double,
    Decimal,
    String,
    Opaque,
    Date,
    DateTime,
    Timestamp,
    Time,
}

impl JsonType {
    /// As JSON_TYPE() names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Object => "OBJECT",
            Self::Array => "ARRAY",
            Self::Null => "NULL",
            Self::Boolean => "BOOLEAN",
            Self::Integer => "INTEGER",
            Self::UnsignedInteger => "UNSIGNED INTEGER",
            Self::Double => "DOUBLE",
            Self::Decimal => "DECIMAL",
            Self::String => "STRING",
            Self::Opaque => "OPAQUE",
            Self::Date => "DATE",
            Self::DateTime => "DATETIME",
            Self::Timestamp => "TIMESTAMP",
            Self::Time => "TIME",
        }
    }
}

/// Why a JSON operation failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Not a JSON text.
    #[error("Invalid JSON text: \"{reason}\" at position {position}.")]
    InvalidText {
        /// What is wrong.
        reason: &'static str,
        /// Byte at which it is wrong.
        position: usize,
    },
    /// Not a path.
    #[error("Invalid JSON path expression. The error is around character position {0}.")]
    InvalidPath(usize),
    /// Bytes that are no document.
    #[error("The JSON binary value contains invalid data.")]
    InvalidBinary,
    /// A wildcard where one place is meant.
    #[error("In this situation, path expressions may not contain the * and ** tokens or an array range.")]
    WildcardPath,
    /// `$` where a part is meant.
    #[error("The path expression '$' is not allowed in this context.")]
    RootPath,
    /// No `[n]` at the end.
    #[error("A path expression is not a path to a cell in an array.")]
    NotArrayCell,
    /// Nested too deep.
    #[error("The JSON document exceeds the maximum depth.")]
    TooDeep,
}

impl Json {
    /// Parses a JSON text.
    pub fn parse(text: &str) -> Result<Self, JsonError> {
        Ok(JsonValue::parse(text)?.to_json())
    }

    /// Takes type byte and payload, after checking all of them.
    pub fn from_binary(bytes: &[u8]) -> Result<Self, JsonError> {
        JsonRef::from_binary(bytes)?.validate()?;
        Ok(Self(bytes.into()))
    }

    /// Type byte and payload.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The document, to look at.
    pub fn as_ref(&self) -> JsonRef<'_> {
        match self.0.split_first() {
            Some((code, payload)) => JsonRef { code: *code, payload },
            None => JsonRef::NULL,
        }
    }

    /// `null`.
    pub fn null() -> Self {
        JsonRef::NULL.to_json()
    }

    /// A boolean.
    pub fn from_bool(value: bool) -> Self {
        JsonValue::Bool(value).to_json()
    }

    /// A number.
    pub fn from_i64(value: i64) -> Self {
        JsonValue::Int(value).to_json()
    }

    /// A number.
    pub fn from_u64(value: u64) -> Self {
        JsonValue::UInt(value).to_json()
    }

    /// A number.
    pub fn from_f64(value: f64) -> Self {
        JsonValue::Double(value).to_json()
    }

    /// A string.
    pub fn from_string(value: &str) -> Self {
        JsonValue::String(value.to_owned()).to_json()
    }

    /// An array.
    pub fn array(elements: &[JsonRef<'_>]) -> Self {
        let mut out = vec![binary::ARRAY];
        binary::write_array(elements, &mut out);
        Self(out.into())
    }

    /// An object; of members with the same key the last one counts.
    pub fn object(members: &[(&str, JsonRef<'_>)]) -> Self {
        let sorted: std::collections::BTreeMap<&str, JsonRef<'_>> = members.iter().copied().collect();
        let sorted: Vec<(&str, JsonRef<'_>)> = sorted.into_iter().collect();
        let mut out = vec![binary::OBJECT];
        binary::write_object(&sorted, &mut out);
        Self(out.into())
    }

    /// What an SQL value is as JSON, as in CAST(... AS JSON): text becomes a string (it is not parsed).
    pub fn from_datum(value: &Datum, field_type: &FieldType) -> Self {
        JsonValue::from_datum(value, field_type).to_json()
    }
}

impl<'a> JsonRef<'a> {
    /// `null`.
    pub const NULL: JsonRef<'static> = JsonRef { code: binary::LITERAL, payload: &[binary::LITERAL_NULL] };

    /// Takes type byte and payload as they are. Reading never panics, but what is read from invalid bytes is arbitrary; see
    /// [`Self::validate`].
    pub fn from_binary(bytes: &'a [u8]) -> Result<Self, JsonError> {
        let (code, payload) = bytes.split_first().ok_or(JsonError::InvalidBinary)?;
        Ok(Self { code: *code, payload })
    }

    /// A copy of its own.
    pub fn to_json(self) -> Json {
        let mut out = Vec::with_capacity(1 + self.payload_len().unwrap_or(0));
        self.write_binary(&mut out);
        Json(out.into())
    }

    /// Appends type byte and payload.
    pub fn write_binary(self, out: &mut Vec<u8>) {
        match self.payload_len().and_then(|len| self.payload.get(..len)) {
            Some(payload) => {
                out.push(self.code);
                out.extend_from_slice(payload);
            }
            None => out.extend_from_slice(&[binary::LITERAL, binary::LITERAL_NULL]),
        }
    }

    /// What it is.
    pub fn json_type(self) -> JsonType {
        match self.code {
            binary::OBJECT => JsonType::Object,
            binary::ARRAY => JsonType::Array,
            binary::INT => JsonType::Integer,
            binary::UINT => JsonType::UnsignedInteger,
            binary::DOUBLE => JsonType::Double,
            binary::STRING => JsonType::String,
            binary::DATE => JsonType::Date,
            binary::DATETIME => JsonType::DateTime,
            binary::TIMESTAMP => JsonType::Timestamp,
            binary::DURATION => JsonType::Time,
            binary::OPAQUE => match self.payload.first() {
                Some(code) if *code == u8::from(TypeCode::NewDecimal) => JsonType::Decimal,
                _ => JsonType::Opaque,
            },
            _ => match self.payload.first() {
                Some(&(binary::LITERAL_TRUE | binary::LITERAL_FALSE)) => JsonType::Boolean,
                _ => JsonType::Null,
            },
        }
    }

    /// An object or an array?
    pub fn is_container(self) -> bool {
        matches!(self.code, binary::OBJECT | binary::ARRAY)
    }

    /// A boolean.
    pub fn as_bool(self) -> Option<bool> {
        match (self.json_type(), self.payload.first()) {
            (JsonType::Boolean, Some(literal)) => Some(*literal == binary::LITERAL_TRUE),
            _ => None,
        }
    }

    /// An integer that fits.
    pub fn as_i64(self) -> Option<i64> {
        match self.code {
            binary::INT => self.fixed().map(i64::from_le_bytes),
            binary::UINT => self.fixed().map(u64::from_le_bytes).and_then(|value| i64::try_from(value).ok()),
            _ => None,
        }
    }

    /// An integer that fits.
    pub fn as_u64(self) -> Option<u64> {
        match self.code {
            binary::INT => self.as_i64().and_then(|value| u64::try_from(value).ok()),
            binary::UINT => self.fixed().map(u64::from_le_bytes),
            _ => None,
        }
    }

    /// Any number.
    pub fn as_f64(self) -> Option<f64> {
        match self.json_type() {
            JsonType::Integer => self.as_i64().map(|value| value as f64),
            JsonType::UnsignedInteger => self.as_u64().map(|value| value as f64),
            JsonType::Double => self.fixed().map(f64::from_le_bytes),
            JsonType::Decimal => self.as_decimal().map(Decimal::to_f64),
            _ => None,
        }
    }

    /// A DECIMAL.
    pub fn as_decimal(self) -> Option<Decimal> {
        match self.as_opaque()? {
            (TypeCode::NewDecimal, [precision, scale, bytes @ ..]) => {
                Decimal::from_mysql_bin(bytes, *precision, *scale).ok().map(|(value, _)| value)
            }
            _ => None,
        }
    }

    /// A string.
    pub fn as_str(self) -> Option<&'a str> {
        if self.code != binary::STRING {
            return None;
        }
        let (len, rest) = binary::read_var(self.payload)?;
        std::str::from_utf8(rest.get(..len)?).ok()
    }

    /// A value of some other MySQL type.
    pub fn as_opaque(self) -> Option<(TypeCode, &'a [u8])> {
        if self.code != binary::OPAQUE {
            return None;
        }
        let (code, rest) = self.payload.split_first()?;
        let (len, rest) = binary::read_var(rest)?;
        Some((TypeCode::try_from(*code).ok()?, rest.get(..len)?))
    }

    /// A DATE, DATETIME or TIMESTAMP.
    pub fn as_time(self) -> Option<Time> {
        match self.code {
            binary::DATE | binary::DATETIME | binary::TIMESTAMP => {
                self.fixed().and_then(|bytes| binary::time_from_core(u64::from_le_bytes(bytes)))
            }
            _ => None,
        }
    }

    /// A TIME.
    pub fn as_duration(self) -> Option<Duration> {
        match self.code {
            binary::DURATION => {
                self.fixed().and_then(|bytes| Duration::from_micros(i64::from_le_bytes(bytes) / 1_000))
            }
            _ => None,
        }
    }

    /// Members of an object, elements of an array; 1 for anything else.
    pub fn length(self) -> usize {
        if self.is_container() { self.count() } else { 1 }
    }

    /// JSON_DEPTH(): 1 for scalars and empty containers.
    pub fn depth(self) -> usize {
        self.depth_below(0)
    }

    fn depth_below(self, above: usize) -> usize {
        if above > JSON_DEPTH_MAX {
            return 1;
        }
        1 + self.children().map(|child| child.depth_below(above + 1)).max().unwrap_or(0)
    }

    /// The element of an array at a position.
    pub fn element(self, position: usize) -> Option<JsonRef<'a>> {
        if self.code == binary::ARRAY { self.entry(position) } else { None }
    }

    /// The elements of an array.
    pub fn elements(self) -> impl Iterator<Item = JsonRef<'a>> {
        let count = if self.code == binary::ARRAY { self.count() } else { 0 };
        (0..count).filter_map(move |position| self.entry(position))
    }

    /// The value of an object's member.
    pub fn get(self, key: &str) -> Option<JsonRef<'a>> {
        if self.code != binary::OBJECT {
            return None;
        }
        let (mut low, mut high) = (0, self.count());
        while low < high {
            let middle = low.midpoint(high);
            match self.key(middle)?.cmp(key.as_bytes()) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return self.entry(middle),
            }
        }
        None
    }

    /// The members of an object, in the order in which MySQL shows them: shorter keys first.
    pub fn members(self) -> impl Iterator<Item = (&'a str, JsonRef<'a>)> {
        let count = if self.code == binary::OBJECT { self.count() } else { 0 };
        let mut members: Vec<(&str, JsonRef<'a>)> = (0..count)
            .filter_map(|position| {
                Some((std::str::from_utf8(self.key(position)?).ok()?, self.entry(position)?))
            })
            .collect();
        // The sort is stable and the keys are in order of their bytes already.
        members.sort_by_key(|(key, _)| key.len());
        members.into_iter()
    }

    /// Elements or members' values, in order of storage.
    fn children(self) -> impl Iterator<Item = JsonRef<'a>> {
        let count = if self.is_container() { self.count() } else { 0 };
        (0..count).filter_map(move |position| self.entry(position))
    }

    /// The document as a tree.
    pub fn to_value(self) -> JsonValue {
        JsonValue::from_ref(self)
    }

    /// What JSON_EXTRACT() finds: the one value if there is one path without wildcards, else an array of all; None if nothing.
    pub fn extract(self, paths: &[JsonPath]) -> Option<Json> {
        if let [path] = paths
            && !path.is_wildcard()
        {
            return self.find(path).map(JsonRef::to_json);
        }
        let mut found = Vec::new();
        for path in paths {
            path.walk(self, &mut |value| found.push(value));
        }
        (!found.is_empty()).then(|| Json::array(&found))
    }

    /// The value at a path; with wildcards the first one.
    pub fn find(self, path: &JsonPath) -> Option<JsonRef<'a>> {
        let mut found = None;
        path.walk(self, &mut |value| {
            found.get_or_insert(value);
        });
        found
    }

    /// A string without quotes and escapes; anything else as it prints.
    pub fn unquote(self) -> String {
        match self.as_str() {
            Some(text) => text.to_owned(),
            None => match self.json_type() {
                JsonType::Date | JsonType::DateTime | JsonType::Timestamp | JsonType::Time => {
                    self.to_string().trim_matches('"').to_owned()
                }
                _ => self.to_string(),
            },
        }
    }
}

impl PartialEq for Json {
    /// Numeric: `1` is `1.0`.
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0 || self.as_ref().compare(other.as_ref()).is_eq()
    }
}

impl Eq for Json {}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_ref().fmt(f)
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Json({self})")
    }
}

impl fmt::Debug for JsonRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JsonRef({self})")
    }
}

impl std::str::FromStr for Json {
    type Err = JsonError;

    fn from_str(text: &str) -> Result<Self, JsonError> {
        Self::parse(text)
    }
}
