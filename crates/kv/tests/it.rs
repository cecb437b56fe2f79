//! Integration tests: the node through its protocol.

#[path = "it/bank.rs"]
mod bank;
#[path = "it/commands.rs"]
mod commands;
#[path = "it/crash.rs"]
mod crash;
#[path = "it/lock_wait.rs"]
mod lock_wait;
#[path = "it/model.rs"]
mod model;
#[path = "it/regions.rs"]
mod regions;
#[path = "it/row_cache.rs"]
mod row_cache;
#[path = "it/support.rs"]
mod support;
