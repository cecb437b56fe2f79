//! Trees back to SQL: `Display` for every node.
//!
//! The text parses to the same tree under the default `sql_mode`: names are in backquotes, strings in single quotes with their special
//! characters escaped, and an operand is parenthesised when it binds no tighter than its place asks for.

mod account;
mod admin;
mod ddl;
mod dml;
mod expr;
mod query;
mod statement;

use std::fmt::{self, Display, Formatter, Write};

use crate::ast::{
    BytesLiteral, ColumnName, DataType, Ident, Literal, ObjectName, StringLiteral, TypeName, UserName,
    UserRef,
};

/// Writes a name in backquotes.
pub(crate) fn write_name(f: &mut impl Write, name: &str) -> fmt::Result {
    f.write_char('`')?;
    for part in name.split_inclusive('`') {
        f.write_str(part)?;
        if part.ends_with('`') {
            f.write_char('`')?;
        }
    }
    f.write_char('`')
}

/// A string in quotes.
struct Quoted<'a>(&'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_char('\'')?;
        for char in self.0.chars() {
            match char {
                '\'' => f.write_str("''")?,
                '\\' => f.write_str("\\\\")?,
                '\0' => f.write_str("\\0")?,
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\u{1a}' => f.write_str("\\Z")?,
                char => f.write_char(char)?,
            }
        }
        f.write_char('\'')
    }
}

/// The name of a character set or collation: bare when it can be.
struct CharsetName<'a>(&'a str);

impl Display for CharsetName<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let plain = self.0.starts_with(|first: char| first.is_ascii_alphabetic())
            && self.0.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if plain { f.write_str(self.0) } else { Quoted(self.0).fmt(f) }
    }
}

/// Things separated by commas.
struct List<'a, T>(&'a [T]);

impl<T: Display> Display for List<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (index, item) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            item.fmt(f)?;
        }
        Ok(())
    }
}

/// Writes things separated by commas, each by a function.
fn write_list<T>(
    f: &mut Formatter<'_>,
    items: &[T],
    write: impl Fn(&mut Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            f.write_str(", ")?;
        }
        write(f, item)?;
    }
    Ok(())
}

/// Writes `prefix` and the value, if there is one.
fn write_some<T: Display>(f: &mut Formatter<'_>, prefix: &str, value: Option<&T>) -> fmt::Result {
    match value {
        Some(value) => write!(f, "{prefix}{value}"),
        None => Ok(()),
    }
}

/// Writes the text when the condition holds.
fn write_if(f: &mut Formatter<'_>, condition: bool, text: &str) -> fmt::Result {
    if condition { f.write_str(text) } else { Ok(()) }
}

impl Display for Ident {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_name(f, &self.0)
    }
}

impl Display for ObjectName {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(schema) = &self.schema {
            write!(f, "{schema}.")?;
        }
        self.name.fmt(f)
    }
}

impl Display for ColumnName {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for qualifier in [&self.schema, &self.table].into_iter().flatten() {
            write!(f, "{qualifier}.")?;
        }
        self.name.fmt(f)
    }
}

impl Display for UserName {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", Quoted(&self.user), Quoted(&self.host))
    }
}

impl Display for UserRef {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => name.fmt(f),
            Self::Current => f.write_str("CURRENT_USER()"),
        }
    }
}

fn write_hex(f: &mut Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    f.write_str("x'")?;
    for byte in bytes {
        write!(f, "{byte:02x}")?;
    }
    f.write_char('\'')
}

impl Display for StringLiteral {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(charset) = &self.charset {
            write!(f, "_{charset}")?;
        }
        match std::str::from_utf8(&self.value) {
            Ok(text) => Quoted(text).fmt(f),
            // No text can hold it.
            Err(_) => write_hex(f, &self.value),
        }
    }
}

impl BytesLiteral {
    fn write_introducer(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.charset {
            Some(charset) => write!(f, "_{charset} "),
            None => Ok(()),
        }
    }
}

impl Display for Literal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("NULL"),
            Self::Bool(true) => f.write_str("TRUE"),
            Self::Bool(false) => f.write_str("FALSE"),
            Self::Int(value) => value.fmt(f),
            Self::UInt(value) => value.fmt(f),
            // A lone integer beyond 64 bits stays one: it parses to the same decimal.
            Self::Decimal(text) if text.contains('.') || text.len() > 19 => f.write_str(text),
            Self::Decimal(text) => write!(f, "{text}."),
            Self::Double(value) if value.is_finite() => write!(f, "{value:e}"),
            Self::Double(_) => f.write_str("1e999"),
            Self::String(string) => string.fmt(f),
            Self::Hex(bytes) => {
                bytes.write_introducer(f)?;
                write_hex(f, &bytes.value)
            }
            Self::Bit(bytes) => {
                bytes.write_introducer(f)?;
                f.write_str("b'")?;
                for byte in &bytes.value {
                    write!(f, "{byte:08b}")?;
                }
                f.write_char('\'')
            }
            Self::Date(text) => write!(f, "DATE {}", Quoted(text)),
            Self::Time(text) => write!(f, "TIME {}", Quoted(text)),
            Self::Timestamp(text) => write!(f, "TIMESTAMP {}", Quoted(text)),
        }
    }
}

impl TypeName {
    fn sql(self) -> &'static str {
        match self {
            Self::Bit => "BIT",
            Self::Bool => "BOOL",
            Self::TinyInt => "TINYINT",
            Self::SmallInt => "SMALLINT",
            Self::MediumInt => "MEDIUMINT",
            Self::Int => "INT",
            Self::BigInt => "BIGINT",
            Self::Decimal => "DECIMAL",
            Self::Float => "FLOAT",
            Self::Double => "DOUBLE",
            Self::Date => "DATE",
            Self::Time => "TIME",
            Self::DateTime => "DATETIME",
            Self::Timestamp => "TIMESTAMP",
            Self::Year => "YEAR",
            Self::Char => "CHAR",
            Self::VarChar => "VARCHAR",
            Self::Binary => "BINARY",
            Self::VarBinary => "VARBINARY",
            Self::TinyBlob => "TINYBLOB",
            Self::Blob => "BLOB",
            Self::MediumBlob => "MEDIUMBLOB",
            Self::LongBlob => "LONGBLOB",
            Self::TinyText => "TINYTEXT",
            Self::Text => "TEXT",
            Self::MediumText => "MEDIUMTEXT",
            Self::LongText => "LONGTEXT",
            Self::Enum => "ENUM",
            Self::Set => "SET",
            Self::Json => "JSON",
        }
    }
}

impl Display for DataType {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { name, length, scale, unsigned, zerofill, charset, collation, binary, elements } = self;
        f.write_str(name.sql())?;
        if matches!(name, TypeName::Enum | TypeName::Set) {
            f.write_char('(')?;
            write_list(f, elements, |f, element| Quoted(element).fmt(f))?;
            f.write_char(')')?;
        }
        match (length, scale) {
            (Some(length), Some(scale)) => write!(f, "({length},{scale})")?,
            (Some(length), None) => write!(f, "({length})")?,
            (None, _) => {}
        }
        write_if(f, *unsigned && !zerofill, " UNSIGNED")?;
        write_if(f, *zerofill, " ZEROFILL")?;
        write_if(f, *binary, " BINARY")?;
        write_some(f, " CHARACTER SET ", charset.as_deref().map(CharsetName).as_ref())?;
        write_some(f, " COLLATE ", collation.as_deref().map(CharsetName).as_ref())
    }
}
