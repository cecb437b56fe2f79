//! Declared types of columns and expressions.

use std::sync::Arc;

use crate::{Charset, Collation, Datum, number};

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
        if field_type.is_string() || matches!(code, T::Enum | T::Set | T::Json) {
            field_type.collation = Collation::default();
        }
        // MySQL sets BINARY for all that is no string, and for strings of a `_bin` collation.
        field_type.flags |= TypeFlags::BINARY;
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
        self.flags.set(TypeFlags::BINARY, collation.is_bin());
        self
    }

    /// How values of this type are evaluated.
    pub fn eval_type(&self) -> EvalType {
        use TypeCode as T;
        match self.code {
            T::Tiny | T::Short | T::Int24 | T::Long | T::LongLong | T::Year | T::Bit | T::Null => {
                EvalType::Int
            }
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

    /// As SHOW CREATE TABLE prints it: name, length, `unsigned`, `zerofill`; not the collation.
    pub fn to_sql(&self) -> String {
        use TypeCode as T;
        let binary = self.collation == Collation::Binary;
        let pick = |text: &'static str, bytes: &'static str| if binary { bytes } else { text };
        let mut sql = match self.code {
            // The display width of an integer is shown where it means something: BOOLEAN's, and ZEROFILL's.
            T::Tiny if self.length == 1 => "tinyint(1)".to_owned(),
            T::Tiny => self.integer_name("tinyint"),
            T::Short => self.integer_name("smallint"),
            T::Int24 => self.integer_name("mediumint"),
            T::Long => self.integer_name("int"),
            T::LongLong => self.integer_name("bigint"),
            T::Float => self.float_name("float"),
            T::Double => self.float_name("double"),
            T::NewDecimal => format!("decimal({},{})", self.length, self.decimals.max(0)),
            T::Null => "null".to_owned(),
            T::Timestamp => self.temporal_name("timestamp"),
            T::DateTime => self.temporal_name("datetime"),
            T::Duration => self.temporal_name("time"),
            T::Date => "date".to_owned(),
            T::Year => "year".to_owned(),
            T::Bit => format!("bit({})", self.length.max(1)),
            T::Json => "json".to_owned(),
            T::Enum => self.member_name("enum"),
            T::Set => self.member_name("set"),
            T::String => format!("{}({})", pick("char", "binary"), self.length.max(0)),
            T::VarChar | T::VarString if self.length < 0 => pick("varchar", "varbinary").to_owned(),
            T::VarChar | T::VarString => format!("{}({})", pick("varchar", "varbinary"), self.length),
            T::TinyBlob => pick("tinytext", "tinyblob").to_owned(),
            T::Blob => pick("text", "blob").to_owned(),
            T::MediumBlob => pick("mediumtext", "mediumblob").to_owned(),
            T::LongBlob => pick("longtext", "longblob").to_owned(),
        };
        if self.is_unsigned() && matches!(self.code, T::Float | T::Double | T::NewDecimal)
            || self.is_integer() && self.is_unsigned()
        {
            sql.push_str(" unsigned");
        }
        if self.flags.contains(TypeFlags::ZEROFILL) && self.code != T::Year {
            sql.push_str(" zerofill");
        }
        sql
    }

    fn integer_name(&self, name: &str) -> String {
        if self.flags.contains(TypeFlags::ZEROFILL) && self.length > 0 {
            format!("{name}({})", self.length)
        } else {
            name.to_owned()
        }
    }

    fn float_name(&self, name: &str) -> String {
        if self.length >= 0 && self.decimals >= 0 {
            format!("{name}({},{})", self.length, self.decimals)
        } else {
            name.to_owned()
        }
    }

    fn temporal_name(&self, name: &str) -> String {
        if self.decimals > 0 { format!("{name}({})", self.decimals) } else { name.to_owned() }
    }

    fn member_name(&self, name: &str) -> String {
        let members: Vec<String> =
            self.elements.iter().map(|member| format!("'{}'", member.replace('\'', "''"))).collect();
        format!("{name}({})", members.join(","))
    }

    /// The largest value of an integer type, as its magnitude.
    pub fn integer_max(&self) -> u64 {
        let bits = match self.code {
            TypeCode::Tiny => 8,
            TypeCode::Short => 16,
            TypeCode::Int24 => 24,
            TypeCode::Long => 32,
            _ => 64,
        };
        u64::MAX >> (64 - bits) >> u32::from(!self.is_unsigned())
    }

    /// The smallest value of an integer type.
    pub fn integer_min(&self) -> i64 {
        if self.is_unsigned() { 0 } else { -(self.integer_max() as i64) - 1 }
    }

    /// Appends a value of this type as a client sees it in a text result: ENUM and SET by their names, BIT as bytes, YEAR
    /// and ZEROFILL with leading zeros, times with the declared digits of the fraction. Nothing for NULL.
    pub fn write_text(&self, value: &Datum, out: &mut Vec<u8>) {
        match (self.code, value) {
            (TypeCode::Enum, Datum::UInt(index)) => {
                if let Some(name) = self.enum_name(*index) {
                    out.extend_from_slice(name.as_bytes());
                }
            }
            (TypeCode::Set, Datum::UInt(bits)) => self.write_set(*bits, out),
            (TypeCode::Bit, Datum::UInt(bits)) => {
                let bytes = bits.to_be_bytes();
                out.extend_from_slice(&bytes[8 - self.bit_bytes()..]);
            }
            (TypeCode::Year, Datum::Int(year)) => number::write_padded((*year).clamp(0, 9999) as u32, 4, out),
            (TypeCode::Date, Datum::Time(time)) => time.write_date_to(out),
            (_, Datum::Time(time)) => time.write_to(self.fsp(), out),
            (_, Datum::Duration(time)) => time.write_to(self.fsp(), out),
            (TypeCode::Float | TypeCode::Double, Datum::Double(value))
                if (0..31).contains(&self.decimals) =>
            {
                out.extend_from_slice(format!("{value:.*}", self.decimals as usize).as_bytes());
            }
            (TypeCode::Float, Datum::Float(value)) if (0..31).contains(&self.decimals) => {
                out.extend_from_slice(format!("{value:.*}", self.decimals as usize).as_bytes());
            }
            (TypeCode::Float, Datum::Double(value)) => number::write_f32(*value as f32, out),
            (_, value) if self.flags.contains(TypeFlags::ZEROFILL) && self.length > 0 => {
                let start = out.len();
                value.write_text(out);
                let missing = (self.length as usize).saturating_sub(out.len() - start);
                out.splice(start..start, std::iter::repeat_n(b'0', missing));
            }
            (_, value) => value.write_text(out),
        }
    }

    /// Bytes that a BIT value takes.
    pub fn bit_bytes(&self) -> usize {
        (self.length.clamp(1, 64) as usize).div_ceil(8)
    }

    /// The name of an ENUM's value; 0 is the empty string of a wrong value.
    pub fn enum_name(&self, index: u64) -> Option<&str> {
        match index {
            0 => Some(""),
            _ => self.elements.get(usize::try_from(index).ok()? - 1).map(String::as_str),
        }
    }

    /// Appends the names of a SET's members, separated by commas.
    pub fn write_set(&self, bits: u64, out: &mut Vec<u8>) {
        let mut first = true;
        for (position, name) in self.elements.iter().enumerate().take(64) {
            if bits >> position & 1 == 1 {
                if !first {
                    out.push(b',');
                }
                first = false;
                out.extend_from_slice(name.as_bytes());
            }
        }
    }

    /// The index of an ENUM's member by its name, compared by the column's collation.
    pub fn enum_index(&self, name: &[u8]) -> Option<u64> {
        let position = self.elements.iter().position(|member| self.collation.eq(member.as_bytes(), name))?;
        Some(position as u64 + 1)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn members(code: TypeCode) -> FieldType {
        FieldType {
            elements: Arc::from(["a".to_owned(), "it's".to_owned(), "c".to_owned()]),
            ..FieldType::new(code)
        }
    }

    #[test]
    fn prints_as_show_create_table() {
        let zerofill = TypeFlags::UNSIGNED | TypeFlags::ZEROFILL;
        let cases = [
            (FieldType::new(TypeCode::Long), "int"),
            (FieldType::uint(), "bigint unsigned"),
            (FieldType { length: 1, ..FieldType::new(TypeCode::Tiny) }, "tinyint(1)"),
            (
                FieldType { length: 5, ..FieldType::new(TypeCode::Long) }.with_flags(zerofill),
                "int(5) unsigned zerofill",
            ),
            (FieldType::decimal(10, 2), "decimal(10,2)"),
            (FieldType::decimal(10, 2).with_flags(TypeFlags::UNSIGNED), "decimal(10,2) unsigned"),
            (FieldType::double(), "double"),
            (FieldType { length: 7, decimals: 3, ..FieldType::float() }, "float(7,3)"),
            (FieldType::varchar(20), "varchar(20)"),
            (FieldType { length: 20, ..FieldType::binary_string() }, "varbinary(20)"),
            (FieldType::new(TypeCode::Blob), "text"),
            (FieldType::new(TypeCode::LongBlob).with_collation(Collation::Binary), "longblob"),
            (FieldType::datetime(0), "datetime"),
            (FieldType::timestamp(3), "timestamp(3)"),
            (FieldType::duration(6), "time(6)"),
            (FieldType::new(TypeCode::Year), "year"),
            (FieldType::new(TypeCode::Bit), "bit(1)"),
            (FieldType::json(), "json"),
            (members(TypeCode::Enum), "enum('a','it''s','c')"),
            (members(TypeCode::Set), "set('a','it''s','c')"),
        ];
        for (field_type, sql) in cases {
            assert_eq!(field_type.to_sql(), sql);
        }
    }

    #[test]
    fn integer_ranges() {
        for (code, max) in [
            (TypeCode::Tiny, 127),
            (TypeCode::Short, 32_767),
            (TypeCode::Int24, 8_388_607),
            (TypeCode::Long, 2_147_483_647),
            (TypeCode::LongLong, i64::MAX as u64),
        ] {
            let signed = FieldType::new(code);
            assert_eq!(signed.integer_max(), max);
            assert_eq!(signed.integer_min(), -(max as i64) - 1);
            let unsigned = FieldType::new(code).with_flags(TypeFlags::UNSIGNED);
            assert_eq!(unsigned.integer_max(), max * 2 + 1);
            assert_eq!(unsigned.integer_min(), 0);
        }
    }

    #[test]
    fn text_depends_on_the_type() {
        let text = |field_type: &FieldType, value: Datum| {
            let mut out = Vec::new();
            field_type.write_text(&value, &mut out);
            out
        };
        let enumeration = members(TypeCode::Enum);
        assert_eq!(text(&enumeration, Datum::UInt(2)), b"it's");
        assert_eq!(text(&enumeration, Datum::UInt(0)), b"");
        assert_eq!(enumeration.enum_index(b"c "), Some(3));
        assert_eq!(enumeration.enum_index(b"C"), None);
        assert_eq!(text(&members(TypeCode::Set), Datum::UInt(5)), b"a,c");
        let bit = FieldType { length: 12, ..FieldType::new(TypeCode::Bit) };
        assert_eq!(text(&bit, Datum::UInt(0x123)), [1, 0x23]);
        assert_eq!(text(&FieldType::new(TypeCode::Year), Datum::Int(0)), b"0000");
        let zerofill = FieldType { length: 5, ..FieldType::uint() }.with_flags(TypeFlags::ZEROFILL);
        assert_eq!(text(&zerofill, Datum::UInt(42)), b"00042");
        let time = Datum::Time(crate::Time::from_date(2020, 1, 2).unwrap());
        assert_eq!(text(&FieldType::date(), time.clone()), b"2020-01-02");
        assert_eq!(text(&FieldType::datetime(2), time), b"2020-01-02 00:00:00.00");
        assert_eq!(text(&FieldType::int(), Datum::Null), b"");
    }

    #[test]
    fn codes_round_trip() {
        let known: Vec<u8> = (0..=255).filter(|code| TypeCode::try_from(*code).is_ok()).collect();
        assert_eq!(known.len(), 25);
        for code in known {
            assert_eq!(TypeCode::try_from(code).map(u8::from), Ok(code));
        }
    }
}
