//! The catalog: what databases, tables, columns and indexes exist, as values.
//!
//! Sits above `types` and `codec`, below `planner`, `table`, `ddl` and `session`. Three things live here:
//!
//! * the descriptions ([`DbInfo`], [`TableInfo`], [`ColumnInfo`], [`IndexInfo`]) in the JSON form TiDB stores,
//! * [`InfoSchema`], an immutable snapshot of all of them at one schema version, and [`InfoSchemaBuilder`], which makes
//!   the next snapshot and shares everything that did not change,
//! * the model of schema changes as jobs ([`Job`], [`JobKind`], [`SchemaState`]); carrying them out is `ddl`'s work.
//!
//! [`show_create_table`] and its sisters print definitions in the text MySQL clients reload.
//!
//! # Invariants
//! * **A snapshot never changes**; a statement binds, plans and runs against one.
//! * **Ids are never reused**: rows and index entries of dropped objects may still lie in the store.
//! * **Nothing here reads or writes storage**; `ddl` and `session` move the JSON.
//!
//! # Example
//! ```
//! use tidewater_catalog::{DbInfo, InfoSchemaBuilder, TableInfo};
//! use tidewater_codec::{DbId, TableId};
//! use tidewater_types::FieldType;
//!
//! let mut table = TableInfo::new(TableId(100), "Orders");
//! table.add_column("id", FieldType::int());
//! table.add_column("note", FieldType::varchar(40));
//! table.add_index("by_note", &["note"]);
//!
//! let mut builder = InfoSchemaBuilder::new();
//! builder.put_database(DbInfo::new(DbId(1), "shop")).put_table(DbId(1), table);
//! let schema = builder.build(1);
//! assert_eq!(schema.table("shop", "ORDERS").unwrap().columns.len(), 2);
//! ```

mod check;
mod column;
mod database;
mod index;
mod info_schema;
mod job;
mod name;
mod show_create;
mod state;
mod stored;
mod table;

pub use check::CheckInfo;
pub use column::{ColumnChange, ColumnInfo, DefaultValue, ROW_ID_COLUMN, ROW_ID_NAME};
pub use database::DbInfo;
pub use index::{FULL_LENGTH, IndexColumn, IndexInfo};
pub use info_schema::{InfoSchema, InfoSchemaBuilder};
pub use job::{ColumnPosition, Job, JobError, JobKind, JobState, SubJob, TableRename};
pub use name::CiName;
pub use show_create::{
    ShowCreateOptions, quote_identifier, show_create_database, show_create_table, show_create_view,
};
pub use state::SchemaState;
pub use table::{Definer, ForeignKeyInfo, HandleKind, TableInfo, ViewInfo, VirtualKind};
