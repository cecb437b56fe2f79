//! Schema changes: definitions out of syntax, jobs in a queue in storage, a worker that carries them out online.
//!
//! Sits above `table` and `catalog`, below `session`. The session turns a statement into a [`Job`](tidewater_catalog::Job)
//! with the help of [`define`] and [`plan_alter`], and waits in [`Ddl::run`].
//!
//! # Invariants
//! * **One step, one schema version**: each step of a job commits together with the version it makes and the record of
//!   what it changed ([`SchemaDiff`]).
//! * **No commit goes by two versions**: a transaction's commit and a step shut each other out ([`Ddl::hold_schema`]),
//!   so a backfill that starts after a step sees every row written without its object.
//! * **A job survives its worker**: state and backfill position are in storage with the data they speak of.
//! * **Two versions at most side by side**: where several SQL nodes work on a cluster ([`Membership`]), a step waits until
//!   all work with the step before or are out of lease, and so does who wanted the job: what is acknowledged is visible on
//!   every node.
//! * **One node carries out jobs**: each of its transactions conflicts with a change of owners.
//! * **Dropped data goes later**: ranges are noted and removed once no snapshot needs them ([`DeleteRange`]).
//!
//! # What it does not do yet
//! Atomic multi-action ALTER TABLE, partitions, parallel backfill.

#![recursion_limit = "256"]

mod alter;
mod backfill;
pub mod define;
mod error;
mod members;
mod meta;
mod reorg;
mod schema;
mod steps;
mod worker;

pub use alter::{AlterContext, AlterStep, plan_alter};
pub use error::DdlError;
pub use members::{Membership, NodeInfo};
pub use meta::{DeleteRange, Meta, Notices, SchemaDiff};
pub use schema::SchemaCache;
pub use worker::{Ddl, SchemaGuard};
