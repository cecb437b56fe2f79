//! Tables and views.

use serde::{Deserialize, Serialize};
use tidewater_codec::{ColumnId, IndexId, TableId};
use tidewater_types::{Charset, Collation, FieldType, TypeFlags};

use crate::{CheckInfo, CiName, ColumnInfo, IndexInfo, SchemaState};

/// A table or view as stored under `Table:<id>` of its database.
///
/// Columns and indexes stand in the order of creation and include those under online change; ask
/// [`public_columns`](Self::public_columns) and [`public_indices`](Self::public_indices) for what queries may see.
/// Public columns always stand before the others, so that a public column's `offset` is its position among them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TableInfo {
    /// Its id: the prefix of its keys.
    pub id: TableId,
    /// Its name.
    pub name: CiName,
    /// Name of the default character set of its columns.
    #[serde(default)]
    pub charset: String,
    /// Name of the default collation of its columns.
    #[serde(rename = "collate", default)]
    pub collation: String,
    /// Columns.
    #[serde(rename = "cols", deserialize_with = "null_as_empty", default)]
    pub columns: Vec<ColumnInfo>,
    /// Indexes. A clustered integer primary key has no entry here (see [`pk_is_handle`](Self::pk_is_handle)).
    #[serde(rename = "index_info", deserialize_with = "null_as_empty", default)]
    pub indices: Vec<IndexInfo>,
    /// FOREIGN KEY clauses: kept and shown, not enforced.
    #[serde(rename = "fk_info", deserialize_with = "null_as_empty", default)]
    pub foreign_keys: Vec<ForeignKeyInfo>,
    /// CHECK constraints.
    #[serde(rename = "constraint_info", deserialize_with = "null_as_empty", default)]
    pub checks: Vec<CheckInfo>,
    /// State of an online change.
    pub state: SchemaState,
    /// Whether the integer primary key column is the row's handle.
    #[serde(default)]
    pub pk_is_handle: bool,
    /// Whether the encoded primary key (any other type or several columns) is the row's handle.
    #[serde(default)]
    pub is_common_handle: bool,
    /// Layout of common handles; always 1.
    #[serde(default)]
    pub common_handle_version: u16,
    /// Its comment.
    #[serde(default)]
    pub comment: String,
    /// The AUTO_INCREMENT given at creation, 0 when none.
    #[serde(default)]
    pub auto_inc_id: i64,
    /// How many AUTO_INCREMENT values a node takes at once, 0 for the default.
    #[serde(default)]
    pub auto_id_cache: i64,
    /// The largest column id given so far.
    #[serde(rename = "max_col_id", default)]
    pub max_column_id: i64,
    /// The largest index id given so far.
    #[serde(rename = "max_idx_id", default)]
    pub max_index_id: i64,
    /// The largest foreign key id given so far.
    #[serde(rename = "max_fk_id", default)]
    pub max_foreign_key_id: i64,
    /// The timestamp (of the cluster's clock) of the last change.
    #[serde(rename = "update_timestamp", default)]
    pub update_ts: u64,
    /// High bits of the row id that are scattered.
    #[serde(rename = "ShardRowIDBits", default)]
    pub shard_row_id_bits: u64,
    /// The query, if this is a view.
    #[serde(default)]
    pub view: Option<ViewInfo>,
    /// Layout version of this description.
    #[serde(default)]
    pub version: u16,
    /// Whether rows may be read but not written, in the version between the one in which a column and its successor
    /// are both kept and the one in which only the successor is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub writes_wait: bool,
    /// What computes the rows, when they are not stored.
    #[serde(skip)]
    pub virtual_kind: Option<VirtualKind>,
}

/// The provider of a table whose rows are computed on each read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VirtualKind {
    /// A table of `information_schema`.
    InformationSchema,
    /// A table of `performance_schema`.
    PerformanceSchema,
    /// A table of `metrics_schema` or another database of the system.
    System,
}

/// A FOREIGN KEY clause.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ForeignKeyInfo {
    /// Its id, unique in the table.
    pub id: i64,
    /// Its name.
    #[serde(rename = "fk_name")]
    pub name: CiName,
    /// Database of the referenced table.
    #[serde(rename = "ref_schema", default)]
    pub ref_schema: CiName,
    /// Referenced table.
    #[serde(rename = "ref_table")]
    pub ref_table: CiName,
    /// Referenced columns.
    #[serde(rename = "ref_cols")]
    pub ref_columns: Vec<CiName>,
    /// Referencing columns.
    #[serde(rename = "cols")]
    pub columns: Vec<CiName>,
    /// ON DELETE: 0 none, 1 RESTRICT, 2 CASCADE, 3 SET NULL, 4 NO ACTION, 5 SET DEFAULT.
    #[serde(default)]
    pub on_delete: u8,
    /// ON UPDATE, numbered the same way.
    #[serde(default)]
    pub on_update: u8,
    /// State of an online change.
    pub state: SchemaState,
}

/// The words of a foreign key's ON DELETE / ON UPDATE number, empty for none.
pub(crate) fn reference_option(number: u8) -> &'static str {
    match number {
        1 => "RESTRICT",
        2 => "CASCADE",
        3 => "SET NULL",
        4 => "NO ACTION",
        5 => "SET DEFAULT",
        _ => "",
    }
}

/// What makes a table a view.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ViewInfo {
    /// UNDEFINED 0, MERGE 1, TEMPTABLE 2.
    #[serde(rename = "view_algorithm", default)]
    pub algorithm: u8,
    /// Who defined it.
    #[serde(rename = "view_definer", default)]
    pub definer: Definer,
    /// DEFINER 0, INVOKER 1.
    #[serde(rename = "view_security", default)]
    pub security: u8,
    /// Its SELECT as SQL text with all names qualified.
    #[serde(rename = "view_select")]
    pub select: String,
    /// LOCAL 0, CASCADED 1.
    #[serde(rename = "view_checkoption", default)]
    pub check_option: u8,
    /// The output names.
    #[serde(rename = "view_cols", deserialize_with = "null_as_empty", default)]
    pub columns: Vec<CiName>,
}

/// An account as views record it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Definer {
    /// User name.
    #[serde(rename = "Username", default)]
    pub user: String,
    /// Host pattern.
    #[serde(rename = "Hostname", default)]
    pub host: String,
}

/// How a table's rows are addressed.
#[derive(Clone, Debug, PartialEq)]
pub enum HandleKind<'a> {
    /// By an implicit 64-bit row id.
    RowId,
    /// By this integer primary key column.
    IntColumn(&'a ColumnInfo),
    /// By the encoded columns of this primary key.
    Common(&'a IndexInfo),
}

impl TableInfo {
    /// An empty public table with the default character set.
    pub fn new(id: TableId, name: impl Into<CiName>) -> Self {
        let collation = Charset::Utf8mb4.default_collation();
        TableInfo {
            id,
            name: name.into(),
            charset: collation.charset().name().to_owned(),
            collation: collation.name().to_owned(),
            columns: Vec::new(),
            indices: Vec::new(),
            foreign_keys: Vec::new(),
            checks: Vec::new(),
            state: SchemaState::Public,
            pk_is_handle: false,
            is_common_handle: false,
            common_handle_version: 0,
            comment: String::new(),
            auto_inc_id: 0,
            auto_id_cache: 0,
            max_column_id: 0,
            max_index_id: 0,
            max_foreign_key_id: 0,
            update_ts: 0,
            shard_row_id_bits: 0,
            view: None,
            version: 5,
            writes_wait: false,
            virtual_kind: None,
        }
    }

    /// A table whose rows `kind` computes, with the given columns.
    pub fn new_virtual(
        id: TableId,
        name: impl Into<CiName>,
        kind: VirtualKind,
        columns: impl IntoIterator<Item = (&'static str, FieldType)>,
    ) -> Self {
        let mut table = TableInfo::new(id, name);
        for (name, field_type) in columns {
            table.add_column(name, field_type);
        }
        table.virtual_kind = Some(kind);
        table
    }

    /// Appends a public column with the next id and gives it back for further settings.
    pub fn add_column(&mut self, name: impl Into<CiName>, field_type: FieldType) -> &mut ColumnInfo {
        self.max_column_id += 1;
        let offset = self.columns.len();
        self.columns.push(ColumnInfo::new(ColumnId(self.max_column_id), name, offset, field_type));
        &mut self.columns[offset]
    }

    /// Appends a public index on whole columns, given by name, with the next id. Names that are no column are left out.
    pub fn add_index(&mut self, name: impl Into<CiName>, columns: &[&str]) -> &mut IndexInfo {
        self.max_index_id += 1;
        let columns: Vec<(&str, usize)> = columns
            .iter()
            .filter_map(|name| self.column(name).map(|column| (*name, column.offset)))
            .collect();
        self.indices.push(IndexInfo::new(IndexId(self.max_index_id), name, columns));
        self.indices.last_mut().expect("just pushed")
    }

    /// Whether this is a view.
    pub fn is_view(&self) -> bool {
        self.view.is_some()
    }

    /// Whether the rows are computed, not stored.
    pub fn is_virtual(&self) -> bool {
        self.virtual_kind.is_some()
    }

    /// The default collation of the table's columns.
    pub fn default_collation(&self) -> Collation {
        Collation::from_name(&self.collation)
            .or_else(|| Charset::from_name(&self.charset).map(Charset::default_collation))
            .unwrap_or_else(|| Charset::Utf8mb4.default_collation())
    }

    /// The columns queries see, in order.
    pub fn public_columns(&self) -> impl DoubleEndedIterator<Item = &ColumnInfo> + Clone {
        self.columns.iter().filter(|column| column.state.is_public() && !column.hidden)
    }

    /// The columns inserts and updates write (public ones and those under online change).
    pub fn writable_columns(&self) -> impl DoubleEndedIterator<Item = &ColumnInfo> + Clone {
        self.columns.iter().filter(|column| column.state.is_writable())
    }

    /// The indexes queries may use, in order.
    pub fn public_indices(&self) -> impl DoubleEndedIterator<Item = &IndexInfo> + Clone {
        self.indices.iter().filter(|index| index.state.is_public())
    }

    /// The column of this name, in any state.
    pub fn column(&self, name: &str) -> Option<&ColumnInfo> {
        self.columns.iter().find(|column| column.name.matches(name))
    }

    /// The column of this name if queries may see it.
    pub fn public_column(&self, name: &str) -> Option<&ColumnInfo> {
        self.public_columns().find(|column| column.name.matches(name))
    }

    /// The column with this id.
    pub fn column_by_id(&self, id: ColumnId) -> Option<&ColumnInfo> {
        self.columns.iter().find(|column| column.id == id)
    }

    /// The index of this name, in any state.
    pub fn index(&self, name: &str) -> Option<&IndexInfo> {
        self.indices.iter().find(|index| index.name.matches(name))
    }

    /// The index with this id.
    pub fn index_by_id(&self, id: IndexId) -> Option<&IndexInfo> {
        self.indices.iter().find(|index| index.id == id)
    }

    /// The primary key as an index entry; absent for tables with [`pk_is_handle`](Self::pk_is_handle) or without one.
    pub fn primary_index(&self) -> Option<&IndexInfo> {
        self.indices.iter().find(|index| index.primary)
    }

    /// The integer column that is the handle.
    pub fn handle_column(&self) -> Option<&ColumnInfo> {
        if !self.pk_is_handle {
            return None;
        }
        self.columns.iter().find(|column| column.field_type.flags.contains(TypeFlags::PRI_KEY))
    }

    /// How rows are addressed.
    pub fn handle(&self) -> HandleKind<'_> {
        if let Some(column) = self.handle_column() {
            return HandleKind::IntColumn(column);
        }
        match self.primary_index() {
            Some(index) if self.is_common_handle => HandleKind::Common(index),
            _ => HandleKind::RowId,
        }
    }

    /// Whether rows are stored under their primary key.
    pub fn is_clustered(&self) -> bool {
        self.pk_is_handle || self.is_common_handle
    }

    /// The columns of the primary key in key order, empty without one.
    pub fn primary_key_columns(&self) -> Vec<&ColumnInfo> {
        if let Some(column) = self.handle_column() {
            return vec![column];
        }
        self.primary_index().map_or_else(Vec::new, |index| {
            index.columns.iter().filter_map(|column| self.columns.get(column.offset)).collect()
        })
    }

    /// The AUTO_INCREMENT column.
    pub fn auto_increment_column(&self) -> Option<&ColumnInfo> {
        self.columns.iter().find(|column| column.is_auto_increment())
    }

    /// Sets each column's key flags (`PRI_KEY`, `UNIQUE_KEY`, `MULTIPLE_KEY`) from the public indexes, as MySQL sends
    /// them with results and shows them under `Key`: PRI for every column of the primary key, UNI for the column of a
    /// one-column unique index, MUL for the first column of any other. With `pk_is_handle` the primary key has no
    /// index entry, so its column keeps `PRI_KEY`.
    pub fn refresh_key_flags(&mut self) {
        let handle_id = self.handle_column().map(|column| column.id);
        let keys = TypeFlags::PRI_KEY | TypeFlags::UNIQUE_KEY | TypeFlags::MULTIPLE_KEY;
        for column in &mut self.columns {
            column.field_type.flags.remove(keys);
            if Some(column.id) == handle_id {
                column.field_type.flags.insert(TypeFlags::PRI_KEY | TypeFlags::NOT_NULL);
            }
        }
        for index in self.indices.iter().filter(|index| index.state.is_public()) {
            if index.primary {
                for part in &index.columns {
                    if let Some(column) = self.columns.get_mut(part.offset) {
                        column.field_type.flags.insert(TypeFlags::PRI_KEY | TypeFlags::NOT_NULL);
                    }
                }
                continue;
            }
            let Some(column) = index.columns.first().and_then(|part| self.columns.get_mut(part.offset))
            else {
                continue;
            };
            if index.unique && index.columns.len() == 1 {
                column.field_type.flags.insert(TypeFlags::UNIQUE_KEY);
            } else {
                column.field_type.flags.insert(TypeFlags::MULTIPLE_KEY);
            }
        }
    }

    /// The word `SHOW COLUMNS` prints under `Key`.
    pub fn key_word(&self, column: &ColumnInfo) -> &'static str {
        let flags = column.field_type.flags;
        if flags.contains(TypeFlags::PRI_KEY) {
            "PRI"
        } else if flags.contains(TypeFlags::UNIQUE_KEY) {
            "UNI"
        } else if flags.contains(TypeFlags::MULTIPLE_KEY) {
            "MUL"
        } else {
            ""
        }
    }

    /// Makes every column's `offset` its position, and every index column's `offset` that of its column by name.
    pub fn renumber(&mut self) {
        for (offset, column) in self.columns.iter_mut().enumerate() {
            column.offset = offset;
        }
        for index in &mut self.indices {
            for part in &mut index.columns {
                if let Some(column) = self.columns.iter().find(|column| column.name == part.name) {
                    part.offset = column.offset;
                }
            }
        }
    }
}

/// Go writes an empty slice as `null`.
fn null_as_empty<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Ok(Option::<Vec<T>>::deserialize(deserializer)?.unwrap_or_default())
}
