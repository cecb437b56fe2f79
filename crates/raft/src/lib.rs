//! Many Raft groups in one process, over one log.
//!
//! Floor 1: the stores' regions and the placement drivers replicate their state machines with this crate. It is our one wrapping of
//! `openraft`: no type of that crate shows.
//!
//! # Invariants
//! * **One log device per store.** All groups write to it; what they submit while a write is under way becomes one write with one fsync.
//! * **Ids.** Peer ids are never used twice. A store has at most one member of a group.
//! * **Leases.** [`Group::has_lease`] is true only if all that was ever acknowledged by the group has been applied here and no other member can
//!   lead. A member that is started and has voted before gives no votes for the length of a lease; a leader that hands over gives up its lease first.
//! * **Determinism.** Time comes from `tokio::time`, randomness from [`seed_randomness`]; without a disk device there are no threads.
//!
//! # Tour
//! [`RaftNode`] holds the members of one store and answers other stores' requests; a [`Group`] handle proposes, reads, changes members and hands
//! over leadership. What is replicated is a [`StateMachine`]; messages go through a [`Transport`]; logs are kept on a [`LogDevice`].
//! An [`Observer`] is told who leads. Snapshots that come wait in [`Spools`] until all of them is here.

mod device;
mod group;
mod log;
mod machine;
mod network;
mod node;
mod receive;
mod runtime;
mod send;
mod sleep;
mod spool;
mod traffic;
mod types;
mod wire;

#[cfg(feature = "rocksdb")]
pub use device::RocksDevice;
pub use device::{
    DeviceError, FileDevice, KeyAndValue, KeysAndValues, LogDevice, LogOp, MemoryDevice, Urgency, Written,
};
pub use group::{Group, GroupError, Observer, Role, Status};
pub use machine::{Committed, Content, MachineError, Pieces, StateMachine};
pub use network::{SendError, Transport};
pub use node::{RaftConfig, RaftNode, StartError};
pub use runtime::seed_randomness;
pub use spool::{SpoolError, Spooled, Spools};
pub use traffic::{SnapshotCounts, SnapshotLimits};
pub use types::{Applied, Membership, Position};
