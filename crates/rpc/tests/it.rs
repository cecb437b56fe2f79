//! Servers and clients over real sockets of this machine.

#[path = "it/bad_input.rs"]
mod bad_input;
#[path = "it/cluster.rs"]
mod cluster;
#[path = "it/connections.rs"]
mod connections;
#[path = "it/key_values.rs"]
mod key_values;
#[path = "it/merging.rs"]
mod merging;
#[path = "it/operators.rs"]
mod operators;
#[path = "it/pd_members.rs"]
mod pd_members;
#[path = "it/placement.rs"]
mod placement;
#[path = "it/refusals.rs"]
mod refusals;
#[path = "it/repair.rs"]
mod repair;
#[path = "it/replicated.rs"]
mod replicated;
#[path = "it/rotten.rs"]
mod rotten;
#[path = "it/tls.rs"]
mod tls;
