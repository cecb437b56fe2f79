//! Transactions against stores: a small fake one, and the real one over its memory engine, both cut into tiny regions.

#[path = "it/async_commit.rs"]
mod async_commit;
#[path = "it/bank.rs"]
mod bank;
#[path = "it/cluster.rs"]
mod cluster;
#[path = "it/fake_raw.rs"]
mod fake_raw;
#[path = "it/fake_store.rs"]
mod fake_store;
#[path = "it/faults.rs"]
mod faults;
#[path = "it/guarded.rs"]
mod guarded;
#[path = "it/locking.rs"]
mod locking;
#[path = "it/raw.rs"]
mod raw;
#[path = "it/reading.rs"]
mod reading;
#[path = "it/simulation.rs"]
mod simulation;
#[path = "it/visibility.rs"]
mod visibility;
#[path = "it/writing.rs"]
mod writing;
