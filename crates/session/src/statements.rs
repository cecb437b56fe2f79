//! Statements that need no plan, one family per file.

mod admin;
mod analyze;
mod check;
mod explain;
mod kill;
mod locks;
mod prepare;
mod regions;
mod scatter;
mod schema;
mod set;
mod show;
mod transactions;
mod use_database;
mod users;

pub(crate) use show::{rows_of, run_show};
