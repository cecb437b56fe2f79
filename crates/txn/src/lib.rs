//! The client of a cluster: transactions over snapshots, with a write buffer and three ways to commit; and raw keys.
//!
//! Floor 5, beside `kv` and `pd`, which it reaches only through the seams of [`tidewater_proto`]: [`TxnClient::new`] takes a
//! [`PdService`](tidewater_proto::PdService) and a [`StoreConnector`](tidewater_proto::StoreConnector), and does not know whether a function
//! call, a socket or a simulated network is behind them.
//!
//! # Invariants
//! * **Reads of one [`Snapshot`] see one state**: all that was committed at or before its timestamp, and nothing else.
//! * **A transaction is committed at one moment, whole**: when its one request is executed, when the last of its keys is locked (async
//!   commit), or when its primary key is committed. What cannot be known is called [`TxnError::Undetermined`], never success and never
//!   failure.
//! * **What was acknowledged is seen by whoever begins later**, whoever chose the commit timestamp.
//! * **Every wait is bounded** and every limit has a name ([`TxnConfig`]).
//! * Any future may be dropped at any time: locks left behind are given back by [`Transaction`]'s drop, or lapse.
//! * Wire messages end here: callers see keys, values and [`TxnError`].
//! * No tables, rows or SQL in here.
//!
//! # Tour
//! [`TxnClient`] is the way in. Below it: `oracle` (one call for many timestamps), [`RegionCache`], `cluster` (locate, send, region errors),
//! `grouping` (many keys to many regions, side by side), `resolver` (locks of others), `backoff`. Upon these: [`Snapshot`] and [`Scan`] for
//! reads, [`WriteBuffer`] and [`Transaction`] for writes, and fragments of plans ([`TxnClient::send_coprocessor`]). [`RawClient`] is the
//! way past all of this. `keyspace` and `wire_keys` turn the caller's keys into those of the wire.
//!
//! The short ways: a read of one key at [`Snapshot::LATEST`] is one request and no timestamp; a commit whose writes fit one request of one
//! region is two timestamps and one request, and one of few keys in many regions is two timestamps and one round of requests.
//!
//! ```
//! # use std::sync::Arc;
//! # use tidewater_kv::{MemoryEngine, Node, NodeConfig};
//! # use tidewater_pd::{MemoryStorage, PdConfig, PlacementDriver};
//! # use tidewater_proto::{StoreConnector, StoreService, TransportError};
//! # use tidewater_types::clock::SystemClock;
//! # struct InProcess(Arc<Node>);
//! # #[async_trait::async_trait]
//! # impl StoreConnector for InProcess {
//! #     async fn connect(&self, _: &str) -> Result<Arc<dyn StoreService>, TransportError> { Ok(self.0.clone()) }
//! # }
//! use tidewater_codec::Key;
//! use tidewater_txn::{LockOptions, Snapshot, TxnClient, TxnConfig, TxnOptions};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let pd = PlacementDriver::open(PdConfig::default(), Arc::new(MemoryStorage::new()), Arc::new(SystemClock))?;
//! # let node = Node::open(NodeConfig::default(), Arc::new(MemoryEngine::new()), pd.clone()).await?;
//! # let connector = Arc::new(InProcess(node));
//! let client = TxnClient::new(pd, connector, TxnConfig::default());
//! let key = Key::new(*b"balance");
//!
//! let mut txn = client.begin(TxnOptions::default()).await?;
//! txn.lock_keys([key.clone()], LockOptions::default()).await?;
//! txn.put(key.clone(), "100")?;
//! let statement = txn.savepoint();
//! txn.put(key.clone(), "0")?;
//! txn.rollback_to(statement);
//! assert_eq!(txn.get(&key).await?.as_deref(), Some(&b"100"[..]));
//! txn.commit().await?;
//!
//! assert_eq!(client.snapshot(Snapshot::LATEST).get(&key).await?.as_deref(), Some(&b"100"[..]));
//! # Ok(())
//! # }
//! ```
//!
//! # What it does not do yet
//! Pipelined flushing of very large transactions; choosing the nearest replica; buckets of regions; asking the placement driver for the id of
//! a keyspace by its name.

mod backoff;
mod buffer;
mod client;
mod cluster;
mod command;
mod config;
mod coprocessor;
mod error;
#[cfg(feature = "testing")]
pub mod fault;
mod grouping;
mod key_error;
mod keyspace;
mod oracle;
mod raw;
mod region;
mod region_cache;
mod resolver;
mod scan;
mod snapshot;
mod stores;
mod transaction;
mod wire_keys;

pub use backoff::Pause;
pub use buffer::{Locking, Presumption, Stage, Write, WriteBuffer};
pub use client::{RegionTask, TxnClient};
pub use config::{AsyncCommit, OnePhaseCommit, Patience, TxnConfig};
pub use coprocessor::{CacheUse, CoprocessorPage, CoprocessorRequest, ScanOrder};
pub use error::{ConflictReason, GaveUp, Place, Remedy, TxnError, WaitEdge};
pub use keyspace::Keyspace;
pub use raw::{Checksum, RawClient, Swap, Ttl};
pub use region::Region;
pub use region_cache::RegionCache;
pub use scan::Scan;
pub use snapshot::{Isolation, ReplicaRead, Snapshot};
pub use transaction::{
    CommitGate, CommitPass, LockOptions, LockWait, Locked, Refusal, Transaction, TxnKind, TxnOptions, TxnScan,
};
