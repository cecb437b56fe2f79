//! The transactional client: timestamps, region cache, snapshots, write buffer, two-phase commit.
//!
//! Floor 4, beside `kv` and `pd`, which it reaches only through the seams of [`tidewater_proto`]: [`TxnClient::new`] takes a
//! [`PdService`](tidewater_proto::PdService) and a [`StoreConnector`](tidewater_proto::StoreConnector), and does not know whether a function
//! call, a socket or a simulated network is behind them.
//!
//! # Invariants
//! * **Reads of one [`Snapshot`] see one state**: all that was committed at or before its timestamp, and nothing else.
//! * **A transaction is committed when its primary key is**, and then all of it is. What cannot be known is called
//!   [`TxnError::Undetermined`], never success and never failure.
//! * **Every wait is bounded** and every limit has a name ([`TxnConfig`]).
//! * Any future may be dropped at any time: locks left behind are given back by [`Transaction`]'s drop, or lapse.
//! * Wire messages end here: callers see keys, values and [`TxnError`].
//! * No tables, rows or SQL in here.
//!
//! # Tour
//! [`TxnClient`] is the way in. Below it: `oracle` (one call for many timestamps), [`RegionCache`], `cluster` (locate, send, region errors),
//! `grouping` (many keys to many regions, side by side), `resolver` (locks of others), `backoff`. Upon these: [`Snapshot`] and [`Scan`] for
//! reads, [`WriteBuffer`] and [`Transaction`] for writes, and fragments of plans ([`TxnClient::send_coprocessor`]).
//!
//! The short ways: a read of one key at [`Snapshot::LATEST`] is one request and no timestamp; a commit whose writes fit one request of one
//! region is two timestamps and one request.
//!
//! ```
//! # use std::sync::Arc;
//! use tidewater_codec::Key;
//! use tidewater_txn::{Snapshot, TxnClient, TxnError, TxnOptions};
//!
//! async fn transfer(client: &TxnClient, from: Key, to: Key, amount: u8) -> Result<(), TxnError> {
//!     let mut txn = client.begin(TxnOptions::default()).await?;
//!     let balance = |value: Option<bytes::Bytes>| value.map_or(0, |value| value[0]);
//!     let (a, b) = (balance(txn.get(&from).await?), balance(txn.get(&to).await?));
//!     txn.put(from, vec![a - amount])?;
//!     txn.put(to, vec![b + amount])?;
//!     txn.commit().await?;
//!     Ok(())
//! }
//! ```
//!
//! # What it does not do yet
//! Async commit, reads from followers, pipelined flushing of very large transactions.

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
mod oracle;
mod region;
mod region_cache;
mod resolver;
mod scan;
mod snapshot;
mod stores;
mod transaction;

pub use backoff::Pause;
pub use buffer::{Locking, Presumption, Stage, Write, WriteBuffer};
pub use client::{RegionTask, TxnClient};
pub use config::{OnePhaseCommit, Patience, TxnConfig};
pub use coprocessor::{CoprocessorPage, CoprocessorRequest, ScanOrder};
pub use error::{ConflictReason, GaveUp, Remedy, TxnError, WaitEdge};
pub use region::Region;
pub use region_cache::RegionCache;
pub use scan::Scan;
pub use snapshot::{Isolation, Snapshot};
pub use transaction::{
    CommitCheck, LockOptions, LockWait, Locked, Transaction, TxnKind, TxnOptions, TxnScan,
};
