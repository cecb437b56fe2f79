//! Integration tests: the node through its protocol.

#[path = "it/api.rs"]
mod api;
#[path = "it/bank.rs"]
mod bank;
#[path = "it/cases.rs"]
mod cases;
#[path = "it/commands.rs"]
mod commands;
#[path = "it/crash.rs"]
mod crash;
#[path = "it/lock_wait.rs"]
mod lock_wait;
#[path = "it/model.rs"]
mod model;
#[path = "it/raw.rs"]
mod raw;
#[path = "it/raw_model.rs"]
mod raw_model;
#[path = "it/reads.rs"]
mod reads;
#[path = "it/regions.rs"]
mod regions;
#[path = "it/row_cache.rs"]
mod row_cache;
#[path = "it/support.rs"]
mod support;
