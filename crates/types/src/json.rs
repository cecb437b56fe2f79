//! JSON documents.
use std::sync::Arc;
use std::cmp::Ordering;

/// A JSON document in TiDB's binary layout: a type byte, then the payload.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Json(Arc<[u8]>);

/// A borrowed JSON document.
#[derive(Clone, Copy, Debug)]
pub struct JsonRef<'a>(&'a [u8]);

/// What a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum JsonType { Object, Array, Null, Boolean, Integer, UnsignedInteger, Double, String, Opaque, Date, DateTime, Timestamp, Time }

/// Why a JSON operation failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum JsonError {
    #[error("Invalid JSON text: {0}")]
    InvalidText(String),
    #[error("Invalid JSON path expression. The error is around character position {0}.")]
    InvalidPath(usize),
    #[error("The JSON binary value contains invalid data.")]
    InvalidBinary,
    #[error("In this situation, path expressions may not contain the * and ** tokens or an array range.")]
    WildcardPath,
    #[error("The path expression '$' is not allowed in this context.")]
    RootPath,
    #[error("A path expression is not a path to a cell in an array.")]
    NotArrayCell,
    #[error("The JSON document exceeds the maximum depth.")]
    TooDeep,
}

/// A parsed path such as `$.a[3]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonPath { legs: Vec<()> }

impl JsonPath {
    /// Parses `$.a[3]`.
    pub fn parse(_text: &str) -> Result<Self, JsonError> { todo!() }
    /// Contains `*` or `**` or a range.
    pub fn is_wildcard(&self) -> bool { !self.legs.is_empty() }
}

impl Json {
    /// Parses text.
    pub fn parse(_text: &str) -> Result<Self, JsonError> { todo!() }
    /// Checks and takes type byte + payload.
    pub fn from_binary(bytes: &[u8]) -> Result<Self, JsonError> { Ok(Self(bytes.into())) }
    /// Type byte + payload.
    pub fn as_bytes(&self) -> &[u8] { &self.0 }
    /// Borrowed.
    pub fn as_ref(&self) -> JsonRef<'_> { JsonRef(&self.0) }
    /// `null`.
    pub fn null() -> Self { todo!() }
    /// A boolean.
    pub fn from_bool(_value: bool) -> Self { todo!() }
    /// A number.
    pub fn from_i64(_value: i64) -> Self { todo!() }
    /// A number.
    pub fn from_u64(_value: u64) -> Self { todo!() }
    /// A number.
    pub fn from_f64(_value: f64) -> Self { todo!() }
    /// A string.
    pub fn from_string(_value: &str) -> Self { todo!() }
    /// An array.
    pub fn array(_elements: &[JsonRef<'_>]) -> Self { todo!() }
    /// An object; later duplicates win.
    pub fn object(_members: &[(&str, JsonRef<'_>)]) -> Self { todo!() }
}

impl<'a> JsonRef<'a> {
    /// Takes type byte + payload as it is; access checks bounds.
    pub fn from_binary(bytes: &'a [u8]) -> Result<Self, JsonError> { Ok(Self(bytes)) }
    /// Type byte + payload.
    pub fn as_bytes(self) -> &'a [u8] { self.0 }
    /// What it is.
    pub fn json_type(self) -> JsonType { todo!() }
    /// Owned.
    pub fn to_owned(self) -> Json { Json(self.0.into()) }
    /// As MySQL prints it.
    pub fn write_to(self, _out: &mut Vec<u8>) { todo!() }
    /// MySQL's order of JSON values.
    pub fn compare(self, _other: JsonRef<'_>) -> Ordering { todo!() }
    /// JSON_EXTRACT.
    pub fn extract(self, _paths: &[JsonPath]) -> Option<Json> { todo!() }
    /// JSON_UNQUOTE.
    pub fn unquote(self) -> String { todo!() }
}
