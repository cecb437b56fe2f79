//! Casts for storing: a value becomes what a column of some type holds.
//!
//! Each conversion finds the value that fits best, and what is wrong with it. In strict mode what is wrong is an error; else
//! it is a warning and the best value is stored. Some losses are never errors and only noted (digits of a DECIMAL's
//! fraction, trailing spaces, the time of day in a DATE).

mod member;
mod numeric;
mod string;
mod temporal;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use crate::{
    Datum, ErrorCode, FieldType, Json, JsonError, SqlError, SqlMode, TimeZone, TypeCode, Warning,
    WarningLevel, Warnings,
};

/// What a conversion must know of its statement.
#[derive(Debug, Clone)]
pub struct ConvertContext {
    /// `sql_mode`.
    pub sql_mode: SqlMode,
    /// Whether wrong data is an error (strict mode and no IGNORE) or a warning.
    pub strict: bool,
    /// `time_zone`.
    pub time_zone: TimeZone,
    /// The statement's time, microseconds since the epoch (a TIME stored as DATETIME takes its day).
    pub now_micros: i64,
    /// Where warnings go.
    pub warnings: Warnings,
    /// The column's name, for messages.
    pub column: Arc<str>,
    /// The row's number in the statement, from 1, for messages.
    pub row: u64,
}

impl ConvertContext {
    /// A context of this mode, in UTC, at the epoch; strict if the mode is.
    pub fn new(sql_mode: SqlMode) -> Self {
        Self {
            sql_mode,
            strict: sql_mode.is_strict(),
            time_zone: TimeZone::utc(),
            now_micros: 0,
            warnings: Warnings::default(),
            column: Arc::from(""),
            row: 1,
        }
    }
}

impl Default for ConvertContext {
    fn default() -> Self {
        Self::new(SqlMode::DEFAULT)
    }
}

/// What is wrong with a value that is to be stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// A number, a YEAR or a TIMESTAMP outside its type's range.
    #[error("out of range")]
    OutOfRange,
    /// A string longer than its column.
    #[error("data too long")]
    DataTooLong,
    /// Only a part of the value could be used, or it is no member of an ENUM or SET.
    #[error("data truncated")]
    Truncated,
    /// Nothing of the value could be used.
    #[error("Incorrect {kind} value: '{value}'")]
    IncorrectValue {
        /// What it was to be.
        kind: ValueKind,
        /// The value as text.
        value: String,
    },
    /// Not a JSON text.
    #[error(transparent)]
    InvalidJson(#[from] JsonError),
    /// A binary string cannot become JSON.
    #[error("a binary string is no JSON text")]
    BinaryJson,
}

/// What a value was to be, as messages name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum ValueKind {
    Integer,
    Decimal,
    String,
    Date,
    DateTime,
    Time,
}

impl fmt::Display for ValueKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Integer => "integer",
            Self::Decimal => "decimal",
            Self::String => "string",
            Self::Date => "date",
            Self::DateTime => "datetime",
            Self::Time => "time",
        })
    }
}

impl ConvertError {
    /// MySQL's number for it.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::OutOfRange => ErrorCode::WarnDataOutOfRange,
            Self::DataTooLong => ErrorCode::DataTooLong,
            Self::Truncated => ErrorCode::WarnDataTruncated,
            Self::IncorrectValue {
                kind: ValueKind::Date | ValueKind::DateTime | ValueKind::Time, ..
            } => ErrorCode::TruncatedWrongValue,
            Self::IncorrectValue { .. } => ErrorCode::TruncatedWrongValueForField,
            Self::InvalidJson(JsonError::TooDeep) => ErrorCode::JsonDocumentTooDeep,
            Self::InvalidJson(_) => ErrorCode::InvalidJsonText,
            Self::BinaryJson => ErrorCode::InvalidJsonCharset,
        }
    }

    /// As the client sees it.
    pub fn to_sql_error(&self, column: &str, row: u64) -> SqlError {
        let code = self.code();
        match self {
            Self::OutOfRange | Self::DataTooLong | Self::Truncated => SqlError::with(code, &[&column, &row]),
            Self::IncorrectValue { kind, value } => SqlError::new(
                code,
                format!("Incorrect {kind} value: '{value}' for column '{column}' at row {row}"),
            ),
            Self::InvalidJson(JsonError::InvalidText { reason, position }) => {
                SqlError::with(code, &[reason, position, &column])
            }
            Self::InvalidJson(other) => SqlError::new(code, other.to_string()),
            Self::BinaryJson => SqlError::with(code, &[&"binary"]),
        }
    }
}

/// The best value, and what is wrong with it.
struct Stored {
    value: Datum,
    problem: Option<ConvertError>,
    /// A loss that is never an error.
    noted: bool,
}

impl Stored {
    fn exact(value: Datum) -> Self {
        Self { value, problem: None, noted: false }
    }

    fn wrong(value: Datum, problem: ConvertError) -> Self {
        Self { value, problem: Some(problem), noted: false }
    }
}

/// Converts a value for storing into a column of type `to`. NULL stays NULL: whether that is allowed is the caller's business.
///
/// ```
/// use tidewater_types::{ConvertContext, ConvertError, Datum, FieldType, SqlMode, TypeCode, convert};
///
/// let tiny = FieldType::new(TypeCode::Tiny);
/// let strict = ConvertContext::new(SqlMode::DEFAULT);
/// assert_eq!(convert(&Datum::from("12"), &tiny, &strict), Ok(Datum::Int(12)));
/// assert_eq!(convert(&Datum::from("300"), &tiny, &strict), Err(ConvertError::OutOfRange));
///
/// let lenient = ConvertContext::new(SqlMode::empty());
/// assert_eq!(convert(&Datum::from("300"), &tiny, &lenient), Ok(Datum::Int(127)));
/// assert_eq!(lenient.warnings.count(), 1);
/// ```
pub fn convert(value: &Datum, to: &FieldType, ctx: &ConvertContext) -> Result<Datum, ConvertError> {
    convert_from(value, None, to, ctx)
}

/// As [`convert`], for a value whose own type is known: a DATE becomes the number 20200102, an ENUM its name, and so on.
/// (Without it a time is taken for a DATETIME.)
pub fn convert_from(
    value: &Datum,
    from: Option<&FieldType>,
    to: &FieldType,
    ctx: &ConvertContext,
) -> Result<Datum, ConvertError> {
    if let Some(same) = unchanged(value, to) {
        return Ok(same);
    }
    let source = Source { value, field_type: from };
    let stored = match to.code {
        _ if value.is_null() => return Ok(Datum::Null),
        TypeCode::Null => Stored::exact(Datum::Null),
        TypeCode::Tiny | TypeCode::Short | TypeCode::Int24 | TypeCode::Long | TypeCode::LongLong => {
            numeric::to_integer(&source, to)
        }
        TypeCode::Float | TypeCode::Double => numeric::to_real(&source, to),
        TypeCode::NewDecimal => numeric::to_decimal(&source, to),
        TypeCode::Year => numeric::to_year(&source),
        TypeCode::Bit => member::to_bit(&source, to),
        TypeCode::Enum => member::to_enum(&source, to),
        TypeCode::Set => member::to_set(&source, to),
        TypeCode::Date | TypeCode::DateTime | TypeCode::Timestamp => temporal::to_time(&source, to, ctx),
        TypeCode::Duration => temporal::to_duration(&source, to),
        TypeCode::Json => to_json(&source, to)?,
        TypeCode::VarChar
        | TypeCode::VarString
        | TypeCode::String
        | TypeCode::TinyBlob
        | TypeCode::Blob
        | TypeCode::MediumBlob
        | TypeCode::LongBlob => string::to_string(&source, to),
    };
    if stored.noted {
        let error = ConvertError::Truncated.to_sql_error(&ctx.column, ctx.row);
        ctx.warnings.push(Warning { level: WarningLevel::Note, ..error.into() });
    }
    if let Some(problem) = stored.problem {
        if ctx.strict {
            return Err(problem);
        }
        ctx.warnings.push(as_warning(problem, to).to_sql_error(&ctx.column, ctx.row).into());
    }
    Ok(stored.value)
}

/// What is an error "too long" for a strict statement is a warning "truncated" (or out of range) for others.
fn as_warning(problem: ConvertError, to: &FieldType) -> ConvertError {
    match problem {
        ConvertError::DataTooLong if to.code == TypeCode::Bit => ConvertError::OutOfRange,
        ConvertError::DataTooLong => ConvertError::Truncated,
        other => other,
    }
}

/// The commonest cases, where nothing needs to be done.
fn unchanged(value: &Datum, to: &FieldType) -> Option<Datum> {
    match (value, to.code) {
        (Datum::Int(number), TypeCode::LongLong) if !to.is_unsigned() => Some(Datum::Int(*number)),
        (Datum::UInt(number), TypeCode::LongLong) if to.is_unsigned() => Some(Datum::UInt(*number)),
        (Datum::Bytes(bytes), TypeCode::VarChar)
            if to.is_text() && bytes.is_ascii() && (to.length < 0 || bytes.len() <= to.length as usize) =>
        {
            Some(value.clone())
        }
        _ => None,
    }
}

/// A value and, if known, its type.
struct Source<'a> {
    value: &'a Datum,
    field_type: Option<&'a FieldType>,
}

impl Source<'_> {
    /// The value as text, as its type prints it; a BIT as a number.
    fn text(&self) -> Vec<u8> {
        match self.field_type {
            Some(field_type) if field_type.code != TypeCode::Bit => {
                let mut out = Vec::new();
                field_type.write_text(self.value, &mut out);
                out
            }
            _ => self.value.to_text().into_owned(),
        }
    }

    /// What a string keeps of the value: its text, or a BIT's bytes.
    fn bytes(&self) -> Vec<u8> {
        match self.field_type {
            Some(field_type) if field_type.code == TypeCode::Bit => {
                let mut out = Vec::new();
                field_type.write_text(self.value, &mut out);
                out
            }
            _ => self.text(),
        }
    }

    /// The text for a message.
    fn shown(&self) -> String {
        String::from_utf8_lossy(&self.text()).into_owned()
    }

    fn is_date(&self) -> bool {
        self.field_type.is_some_and(|field_type| field_type.code == TypeCode::Date)
    }

    /// The name, if the value is an ENUM or SET.
    fn member_name(&self) -> Option<Vec<u8>> {
        self.field_type
            .filter(|field_type| matches!(field_type.code, TypeCode::Enum | TypeCode::Set))
            .map(|_| self.text())
    }

    fn incorrect(&self, kind: ValueKind) -> ConvertError {
        ConvertError::IncorrectValue { kind, value: self.shown() }
    }
}

/// JSON has no lenient mode: what is no JSON text is always an error.
fn to_json(source: &Source<'_>, to: &FieldType) -> Result<Stored, ConvertError> {
    let json = match source.value {
        Datum::Json(json) => json.clone(),
        Datum::Bytes(_) if source.field_type.is_some_and(FieldType::is_binary_string) => {
            return Err(ConvertError::BinaryJson);
        }
        Datum::Bytes(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Json::parse(text)?,
            Err(_) => {
                return Err(ConvertError::InvalidJson(JsonError::InvalidText {
                    reason: "Invalid encoding in string.",
                    position: 0,
                }));
            }
        },
        _ => Json::from_datum(source.value, source.field_type.unwrap_or(to)),
    };
    Ok(Stored::exact(Datum::Json(json)))
}
