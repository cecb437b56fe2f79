//! From syntax to descriptions: what CREATE and ALTER TABLE say becomes [`TableInfo`](tidewater_catalog::TableInfo)s,
//! columns and indexes, checked as MySQL checks them. Pure functions: no storage, no clock.

mod check;
mod check_text;
mod column;
mod data_type;
mod index;
mod table;

pub use check::build_check;
pub(crate) use check::refuse;
pub use column::{ColumnParts, build_column, set_default};
pub use data_type::build_field_type;
pub use index::{add_index, check_index_columns, free_index_name};
pub use table::{DefineContext, build_table, build_table_like, foreign_key_info, resolve_charset};
