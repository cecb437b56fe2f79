//! Indexes.

use serde::{Deserialize, Serialize};
use tidewater_codec::IndexId;

use crate::{CiName, SchemaState};

/// An index as stored in its table's JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IndexInfo {
    /// Its id, unique in the table for ever.
    pub id: IndexId,
    /// Its name; a primary key is called `PRIMARY`.
    #[serde(rename = "idx_name")]
    pub name: CiName,
    /// The name of its table (kept for TiDB's readers; ours do not ask).
    #[serde(rename = "tbl_name", default)]
    pub table: CiName,
    /// Its columns in key order.
    #[serde(rename = "idx_cols")]
    pub columns: Vec<IndexColumn>,
    /// State of an online change.
    pub state: SchemaState,
    /// Its comment.
    #[serde(default)]
    pub comment: String,
    /// Its structure as TiDB numbers them: 0 unspecified, 1 BTREE, 2 HASH, 3 RTREE.
    #[serde(rename = "index_type", default)]
    pub kind: u8,
    /// Whether no two rows may agree in all columns (NULLs never agree).
    #[serde(rename = "is_unique", default)]
    pub unique: bool,
    /// Whether it is the primary key.
    #[serde(rename = "is_primary", default)]
    pub primary: bool,
    /// Whether the planner must ignore it.
    #[serde(rename = "is_invisible", default)]
    pub invisible: bool,
}

/// One column of an index.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IndexColumn {
    /// The column's name.
    pub name: CiName,
    /// Its position in the table's columns.
    pub offset: usize,
    /// How many characters (bytes for binary strings) of the value are in the key, or [`FULL_LENGTH`].
    pub length: i32,
}

/// The whole value is in the key.
pub const FULL_LENGTH: i32 = -1;

impl IndexInfo {
    /// A public BTREE index on whole columns, given as (name, offset).
    pub fn new<'a>(
        id: IndexId,
        name: impl Into<CiName>,
        columns: impl IntoIterator<Item = (&'a str, usize)>,
    ) -> Self {
        IndexInfo {
            id,
            name: name.into(),
            table: CiName::default(),
            columns: columns
                .into_iter()
                .map(|(name, offset)| IndexColumn { name: name.into(), offset, length: FULL_LENGTH })
                .collect(),
            state: SchemaState::Public,
            comment: String::new(),
            kind: 1,
            unique: false,
            primary: false,
            invisible: false,
        }
    }

    /// The same index, unique.
    pub fn unique(mut self) -> Self {
        self.unique = true;
        self
    }

    /// The same index as primary key.
    pub fn primary(mut self) -> Self {
        self.unique = true;
        self.primary = true;
        self
    }

    /// Whether some column is kept as a prefix only.
    pub fn has_prefix_column(&self) -> bool {
        self.columns.iter().any(|column| column.length != FULL_LENGTH)
    }
}

impl IndexColumn {
    /// Whether the key holds only a prefix of the value.
    pub fn is_prefix(&self) -> bool {
        self.length != FULL_LENGTH
    }
}
