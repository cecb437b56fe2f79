//! Column types as written in CREATE TABLE and CAST.

/// A column type with its parameters and attributes, exactly as far as the text gives them: defaults are the catalog's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataType {
    /// Which type.
    pub name: TypeName,
    /// `(length)`: display width, characters, bytes, precision, or fractional digits for the time types.
    pub length: Option<u32>,
    /// `(.., scale)` of DECIMAL, FLOAT, DOUBLE.
    pub scale: Option<u32>,
    /// `UNSIGNED` (also implied by ZEROFILL and by SERIAL).
    pub unsigned: bool,
    /// `ZEROFILL`.
    pub zerofill: bool,
    /// `CHARACTER SET x` / `CHARSET x` / `ASCII` / `UNICODE` / `NATIONAL`, in lower case.
    pub charset: Option<String>,
    /// `COLLATE x`, in lower case, wherever it stood among the column's attributes.
    pub collation: Option<String>,
    /// The attribute `BINARY` of a character type: the binary collation of its character set.
    pub binary: bool,
    /// The members of ENUM and SET.
    pub elements: Vec<String>,
}

impl DataType {
    /// The type without parameters.
    pub fn new(name: TypeName) -> Self {
        Self {
            name,
            length: None,
            scale: None,
            unsigned: false,
            zerofill: false,
            charset: None,
            collation: None,
            binary: false,
            elements: Vec::new(),
        }
    }
}

/// The types' own names; synonyms are resolved (INTEGER is `Int`, NUMERIC is `Decimal`, REAL is `Double` ..).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the variants are MySQL's words")]
pub enum TypeName {
    Bit,
    /// BOOL, BOOLEAN: stored as `tinyint(1)`.
    Bool,
    TinyInt,
    SmallInt,
    MediumInt,
    Int,
    BigInt,
    Decimal,
    Float,
    Double,
    Date,
    Time,
    DateTime,
    Timestamp,
    Year,
    Char,
    VarChar,
    Binary,
    VarBinary,
    TinyBlob,
    Blob,
    MediumBlob,
    LongBlob,
    TinyText,
    Text,
    MediumText,
    LongText,
    Enum,
    Set,
    Json,
}
