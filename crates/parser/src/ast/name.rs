//! Names of things and pieces of source text.

use std::fmt;
use std::ops::Deref;

/// One identifier, as written (without its quotes).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ident(pub String);

impl Ident {
    /// An identifier with this spelling.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The spelling.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The spelling in lower case: the key under which MySQL finds columns, aliases and (here) tables.
    pub fn lower(&self) -> String {
        self.0.to_lowercase()
    }

    /// Compares without regard to case.
    pub fn eq_ignore_case(&self, other: &str) -> bool {
        self.0.eq_ignore_ascii_case(other) || self.0.to_lowercase() == other.to_lowercase()
    }
}

impl Deref for Ident {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Ident {
    fn from(name: &str) -> Self {
        Self(name.to_owned())
    }
}

impl From<String> for Ident {
    fn from(name: String) -> Self {
        Self(name)
    }
}

/// The name of a table, view, procedure ..: `[schema.]name`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectName {
    /// The database; `None` means the current one.
    pub schema: Option<Ident>,
    /// The object's own name.
    pub name: Ident,
}

impl ObjectName {
    /// A name in the current database.
    pub fn bare(name: impl Into<Ident>) -> Self {
        Self { schema: None, name: name.into() }
    }
}

/// The name of a column: `[[schema.]table.]name`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ColumnName {
    /// The database, if given.
    pub schema: Option<Ident>,
    /// The table or its alias, if given.
    pub table: Option<Ident>,
    /// The column.
    pub name: Ident,
}

impl ColumnName {
    /// A column without qualifiers.
    pub fn bare(name: impl Into<Ident>) -> Self {
        Self { schema: None, table: None, name: name.into() }
    }
}

/// A piece of the statement's text, kept for people to read. Two of them always compare equal.
#[derive(Clone, Default)]
pub struct SourceText(pub String);

impl SourceText {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PartialEq for SourceText {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for SourceText {}

impl fmt::Debug for SourceText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
