//! Declared types of columns and expressions.

use std::sync::Arc;

use crate::{Charset, Collation};

/// MySQL's type numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "u8", into = "u8")]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are MySQL's")]
pub enum TypeCode {
    Tiny = 1,
    Short = 2,
    Long = 3,
    Float = 4,
    Double = 5,
    Null = 6,
    Timestamp = 7,
    LongLong = 8,
    Int24 = 9,
    Date = 10,
    Duration = 11,
    DateTime = 12,
    Year = 13,
    VarChar = 15,
    Bit = 16,
    Json = 0xf5,
    NewDecimal = 0xf6,
    Enum = 0xf7,
    Set = 0xf8,
    TinyBlob = 0xf9,
    MediumBlob = 0xfa,
    LongBlob = 0xfb,
    Blob = 0xfc,
    VarString = 0xfd,
    String = 0xfe,
}

/// A number that is no type code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown MySQL type code {0}")]
pub struct UnknownTypeCode(pub u8);

impl TryFrom<u8> for TypeCode {
    type Error = UnknownTypeCode;

    fn try_from(code: u8) -> Result<Self, Self::Error> {
        Ok(match code {
            1 => Self::Tiny,
            2 => Self::Short,
            3 => Self::Long,
            4 => Self::Float,
            5 => Self::Double,
            6 => Self::Null,
            7 => Self::Timestamp,
            8 => Self::LongLong,
            9 => Self::Int24,
            10 => Self::Date,
            11 => Self::Duration,
            12 => Self::DateTime,
            13 => Self::Year,
            15 => Self::VarChar,
            16 => Self::Bit,
            0xf5 => Self::Json,
            0xf6 => Self::NewDecimal,
            0xf7 => Self::Enum,
            0xf8 => Self::Set,
            0xf9 => Self::TinyBlob,
            0xfa => Self::MediumBlob,
            0xfb => Self::LongBlob,
            0xfc => Self::Blob,
            0xfd => Self::VarString,
            0xfe => Self::String,
            other => return Err(UnknownTypeCode(other)),
        })
    }
}

impl From<TypeCode> for u8 {
    fn from(code: TypeCode) -> u8 {
        code as u8
    }
}

bitflags::bitflags! {
    /// MySQL's column flags.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize)]
    pub struct TypeFlags: u32 {
        /// NOT NULL.
        const NOT_NULL = 1;
        /// Part of the primary key.
        const PRI_KEY = 2;
        /// Part of a unique key.
        const UNIQUE_KEY = 4;
        /// First column of a non-unique key.
        const MULTIPLE_KEY = 8;
        /// A BLOB or TEXT.
        const BLOB = 16;
        /// UNSIGNED.
        const UNSIGNED = 32;
        /// ZEROFILL.
        const ZEROFILL = 64;
        /// A binary collation.
        const BINARY = 128;
        /// An ENUM.
        const ENUM = 256;
        /// AUTO_INCREMENT.
        const AUTO_INCREMENT = 512;
        /// A TIMESTAMP.
        const TIMESTAMP = 1024;
        /// A SET.
        const SET = 2048;
        /// NOT NULL without a default.
        const NO_DEFAULT_VALUE = 4096;
        /// ON UPDATE CURRENT_TIMESTAMP.
        const ON_UPDATE_NOW = 8192;
        /// A number (or TIMESTAMP) to the client.
        const NUM = 32768;
    }
}

/// How values of a type are evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EvalType {
    /// Integers, YEAR, BIT, ENUM, SET.
    Int,
    /// FLOAT and DOUBLE.
    Real,
    /// DECIMAL.
    Decimal,
    /// Strings.
    String,
    /// DATE, DATETIME, TIMESTAMP.
    DateTime,
    /// TIME.
    Duration,
    /// JSON.
    Json,
}

/// The declared type of a column or expression.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct FieldType {
    /// MySQL's type number.
    pub code: TypeCode,
    /// MySQL's column flags.
    pub flags: TypeFlags,
    /// Display width, characters (bytes for binary strings), precision; -1 if unspecified.
    pub length: i32,
    /// Scale, or digits of a second's fraction; -1 if unspecified.
    pub decimals: i32,
    /// The collation; `Binary` for everything that is no string.
    pub collation: Collation,
    /// ENUM's and SET's members.
    pub elements: Arc<[String]>,
}

/// The length or decimals that were not given.
pub const UNSPECIFIED: i32 = -1;

impl FieldType {
    /// A type with MySQL's default lengths.
    pub fn new(code: TypeCode) -> Self {
        use TypeCode as T;
        let (length, decimals) = match code {
            T::Tiny => (4, 0),
            T::Short => (6, 0),
            T::Int24 => (9, 0),
            T::Long => (11, 0),
            T::LongLong => (20, 0),
            T::Float => (12, UNSPECIFIED),
            T::Double => (22, UNSPECIFIED),
            T::Null => (0, 0),
            T::Timestamp | T::DateTime => (19, 0),
            T::Date => (10, 0),
            T::Duration => (10, 0),
            T::Year => (4, 0),
            T::Bit => (1, 0),
            T::NewDecimal => (10, 0),
            T::String => (1, 0),
            T::VarChar | T::VarString => (UNSPECIFIED, 0),
            T::Json => (UNSPECIFIED, 0),
            T::Enum | T::Set => (UNSPECIFIED, 0),
            T::TinyBlob => (255, 0),
            T::Blob => (65_535, 0),
            T::MediumBlob => (16_777_215, 0),
            T::LongBlob => (i32::MAX, 0),
        };
        let mut field_type = Self {
            code,
            flags: TypeFlags::empty(),
            length,
            decimals,
            collation: Collation::Binary,
            elements: Arc::from([]),
        };
        if field_type.is_string() || matches!(code, T::Enum | T::Set) {
            field_type.collation = Collation::default();
        } else {
            field_type.flags |= TypeFlags::BINARY;
        }
        if matches!(code, T::Json) {
            field_type.collation = Collation::Utf8mb4Bin;
        }
        field_type
    }

    /// BIGINT.
    pub fn int() -> Self {
        Self::new(TypeCode::LongLong)
    }

    /// BIGINT UNSIGNED.
    pub fn uint() -> Self {
        Self::new(TypeCode::LongLong).with_flags(TypeFlags::UNSIGNED)
    }

    /// DOUBLE.
    pub fn double() -> Self {
        Self::new(TypeCode::Double)
    }

    /// FLOAT.
    pub fn float() -> Self {
        Self::new(TypeCode::Float)
    }

    /// DECIMAL(precision, scale).
    pub fn decimal(precision: u8, scale: u8) -> Self {
        Self { length: i32::from(precision), decimals: i32::from(scale), ..Self::new(TypeCode::NewDecimal) }
    }

    /// VARCHAR(length) with the default collation.
    pub fn varchar(length: i32) -> Self {
        Self { length, ..Self::new(TypeCode::VarChar) }
    }

    /// A string expression of unspecified length with the default collation.
    pub fn string() -> Self {
        Self::new(TypeCode::VarString)
    }

    /// A byte string expression of unspecified length.
    pub fn binary_string() -> Self {
        Self { collation: Collation::Binary, ..Self::new(TypeCode::VarString) }.with_flags(TypeFlags::BINARY)
    }

    /// DATETIME(fsp).
    pub fn datetime(fsp: u8) -> Self {
        Self::temporal(TypeCode::DateTime, fsp)
    }

    /// TIMESTAMP(fsp).
    pub fn timestamp(fsp: u8) -> Self {
        Self::temporal(TypeCode::Timestamp, fsp)
    }

    /// DATE.
    pub fn date() -> Self {
        Self::new(TypeCode::Date)
    }

    /// TIME(fsp).
    pub fn duration(fsp: u8) -> Self {
        Self::temporal(TypeCode::Duration, fsp)
    }

    /// JSON.
    pub fn json() -> Self {
        Self::new(TypeCode::Json)
    }

    /// The type of a bare NULL.
    pub fn null() -> Self {
        Self::new(TypeCode::Null)
    }

    /// The same type with these flags set besides its own.
    pub fn with_flags(mut self, flags: TypeFlags) -> Self {
        self.flags |= flags;
        self
    }

    /// The same type NOT NULL.
    pub fn not_null(self) -> Self {
        self.with_flags(TypeFlags::NOT_NULL)
    }

    /// The same type with another collation; keeps the BINARY flag in step.
    pub fn with_collation(mut self, collation: Collation) -> Self {
        self.collation = collation;
        self.flags.set(TypeFlags::BINARY, collation.is_binary_comparable());
        self
    }

    /// How values of this type are evaluated.
    pub fn eval_type(&self) -> EvalType {
        use TypeCode as T;
        match self.code {
            T::Tiny | T::Short | T::Int24 | T::Long | T::LongLong | T::Year | T::Bit | T::Null => EvalType::Int,
            T::Enum | T::Set => EvalType::Int,
            T::Float | T::Double => EvalType::Real,
            T::NewDecimal => EvalType::Decimal,
            T::Timestamp | T::Date | T::DateTime => EvalType::DateTime,
            T::Duration => EvalType::Duration,
            T::Json => EvalType::Json,
            T::VarChar | T::VarString | T::String => EvalType::String,
            T::TinyBlob | T::Blob | T::MediumBlob | T::LongBlob => EvalType::String,
        }
    }

    /// UNSIGNED?
    pub fn is_unsigned(&self) -> bool {
        self.flags.contains(TypeFlags::UNSIGNED)
    }

    /// NOT NULL?
    pub fn is_not_null(&self) -> bool {
        self.flags.contains(TypeFlags::NOT_NULL)
    }

    /// CHAR, VARCHAR, TEXT, BINARY, VARBINARY, BLOB: the value is `Datum::Bytes`.
    pub fn is_string(&self) -> bool {
        self.code.is_string()
    }

    /// A string of bytes: BINARY, VARBINARY, BLOB.
    pub fn is_binary_string(&self) -> bool {
        self.is_string() && self.collation == Collation::Binary
    }

    /// A string of characters.
    pub fn is_text(&self) -> bool {
        self.is_string() && self.collation != Collation::Binary
    }

    /// TINYBLOB to LONGBLOB, TINYTEXT to LONGTEXT.
    pub fn is_blob(&self) -> bool {
        matches!(self.code, TypeCode::TinyBlob | TypeCode::Blob | TypeCode::MediumBlob | TypeCode::LongBlob)
    }

    /// TINYINT to BIGINT.
    pub fn is_integer(&self) -> bool {
        matches!(
            self.code,
            TypeCode::Tiny | TypeCode::Short | TypeCode::Int24 | TypeCode::Long | TypeCode::LongLong
        )
    }

    /// DATE, DATETIME, TIMESTAMP: the value is `Datum::Time`.
    pub fn is_time(&self) -> bool {
        matches!(self.code, TypeCode::Date | TypeCode::DateTime | TypeCode::Timestamp)
    }

    /// Digits of a second's fraction, 0 to 6 (0 if unspecified).
    pub fn fsp(&self) -> u8 {
        self.decimals.clamp(0, 6) as u8
    }

    /// The character set.
    pub fn charset(&self) -> Charset {
        self.collation.charset()
    }

    /// As SHOW CREATE TABLE prints it.
    pub fn to_sql(&self) -> String {
        todo!()
    }

    fn temporal(code: TypeCode, fsp: u8) -> Self {
        let mut field_type = Self::new(code);
        let fsp = i32::from(fsp.min(6));
        field_type.decimals = fsp;
        if fsp > 0 {
            field_type.length += fsp + 1;
        }
        field_type
    }
}

impl TypeCode {
    /// CHAR, VARCHAR, TEXT, BINARY, VARBINARY, BLOB.
    pub fn is_string(self) -> bool {
        matches!(
            self,
            Self::VarChar
                | Self::VarString
                | Self::String
                | Self::TinyBlob
                | Self::Blob
                | Self::MediumBlob
                | Self::LongBlob
        )
    }
}
