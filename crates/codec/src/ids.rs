//! Ids as types of their own.

use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id! {
    /// A table's id (or a partition's: partitions are tables to the storage).
    TableId
}
id! {
    /// An index's id within its table.
    IndexId
}
id! {
    /// A column's id within its table.
    ColumnId
}
id! {
    /// A database's id.
    DbId
}

/// What identifies a row within its table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Handle {
    /// An integer primary key, or a hidden row id. An unsigned key is the same 64 bits.
    Int(i64),
    /// The key datums of a clustered primary key, concatenated.
    Common(Box<[u8]>),
}

/// A [`Handle`] whose bytes stand elsewhere, as in a row's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandleRef<'a> {
    /// As [`Handle::Int`].
    Int(i64),
    /// As [`Handle::Common`].
    Common(&'a [u8]),
}

impl HandleRef<'_> {
    /// A copy that stands for itself.
    pub fn to_handle(self) -> Handle {
        match self {
            Self::Int(handle) => Handle::Int(handle),
            Self::Common(bytes) => Handle::Common(bytes.into()),
        }
    }
}

impl<'a> From<&'a Handle> for HandleRef<'a> {
    fn from(handle: &'a Handle) -> Self {
        match handle {
            Handle::Int(handle) => Self::Int(*handle),
            Handle::Common(bytes) => Self::Common(bytes),
        }
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(handle) => handle.fmt(f),
            Self::Common(bytes) => bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
        }
    }
}
