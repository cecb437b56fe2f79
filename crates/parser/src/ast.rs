//! The syntax tree: MySQL's statements and expressions as small enums, and nothing that MySQL does not know.
//!
//! * Every node is a plain value: `Clone`, `Debug`, `PartialEq`.
//! * `Display` restores SQL text that parses to the same tree (names in backquotes, strings escaped).
//! * Names keep the case they were written in; comparing them is the binder's business ([`Ident::eq_ignore_case`]).
//! * A [`SourceText`] never takes part in comparisons: two trees are equal when they mean the same.

mod account;
mod admin;
mod data_type;
mod ddl;
mod dml;
mod expr;
mod name;
mod query;
mod statement;
mod walk;

pub use account::*;
pub use admin::*;
pub use data_type::*;
pub use ddl::*;
pub use dml::*;
pub use expr::*;
pub use name::*;
pub use query::*;
pub use statement::*;
