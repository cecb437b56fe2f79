//! The SQL layer over the memory engine: SQL files, and what they cannot say.

#[path = "session/concurrency.rs"]
mod concurrency;
#[path = "session/harness.rs"]
mod harness;
#[path = "session/load_data.rs"]
mod load_data;
#[path = "session/nodes.rs"]
mod nodes;
#[path = "session/pushdown.rs"]
mod pushdown;
#[path = "session/simulation.rs"]
mod simulation;
#[path = "session/slt.rs"]
mod slt;
