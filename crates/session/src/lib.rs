//! One session's life: statement text in, results out; variables, transaction, privileges and prepared statements
//! in between.
//!
//! Sits above every crate of the SQL layer (`parser`, `planner`, `executor`, `distsql`, `table`, `ddl`, `txn`) and
//! below `server` and the embedding library, which see only this face.
//!
//! # Invariants
//! * **No network protocol here**: the face speaks in [`Chunk`](tidewater_chunk::Chunk)s and [`SqlError`](tidewater_types::SqlError)s.
//! * **MySQL's error numbers are given in one place** (`error`), by exhaustive matches.
//! * **A statement that fails undoes only itself**; the open transaction goes on, but for a deadlock.
//! * **Nothing here reads a clock or a random source of its own**: both come in with [`DatabaseOptions`].
//!
//! # Tour
//! [`Database`] is what sessions share. [`Session`] runs statements: `dispatch` chooses between `statements/*`
//! (utility statements), `query` (plan, build operators, stream) and `dml` (writers). `variables` is the table of
//! system variables, `show` and `infoschema` answer questions about the catalog, `privileges` says who may do what.
//!
//! # Several nodes
//! With [`DatabaseOptions::several_nodes`] a change of schema that was acknowledged by one node is visible on all (`ddl`).
//! Accounts, global variables and statistics are loaded from other nodes within a second (`notices`). Each node's own are
//! connection ids, and so `KILL` and `SHOW PROCESSLIST`; the locks of `GET_LOCK()`; the counters of `SHOW STATUS`.
#![recursion_limit = "256"]

mod auth;
mod batch;
mod bootstrap;
mod build;
mod cluster;
mod context;
mod database;
mod dispatch;
mod dml;
mod error;
mod gc;
mod infile;
mod infoschema;
mod load_data;
mod notices;
pub mod password;
mod past;
mod prepared;
mod privileges;
mod processes;
mod query;
mod result;
mod session;
mod show;
mod statement_end;
mod statements;
mod statistics;
mod transaction;
mod variables;
mod warnings;

pub use auth::AuthInfo;
pub use batch::Batch;
pub use database::{Database, DatabaseOptions, TableSplit};
pub use infile::LocalInfile;
pub use prepared::{Parameter, PreparedInfo};
pub use processes::{KillTarget, Process, ProcessInfo, ProcessList};
pub use result::{OkResult, RecordSet, ResultField, StatementResult, StatusFlags};
pub use session::{Session, SessionOptions};
pub use tidewater_distsql::{AnswerEncoding, ResultCache, StoreProtocol};
pub use tidewater_planner::PushdownTarget;
