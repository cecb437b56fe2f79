//! The storage node: engine, multi-version records, transaction commands, regions, coprocessor.
//!
//! Floor 5: above `codec` (keys and records) and `executor` (operators the coprocessor runs), below everything that talks to a store
//! through `proto`. One way in: [`Node`] implements [`StoreService`](tidewater_proto::StoreService), command in, answer out.
//!
//! # Invariants
//! * **Nothing is acknowledged before it is as durable as promised**; after a failed write nothing more is written at all.
//! * **Commands are pure**: a snapshot in, writes and an answer out. They wait for nothing; only the scheduler does.
//! * **Latches travel with the writes**: a caller that hangs up cannot let a rival in before its own writes are visible.
//! * **Whoever reads says so first**: `max_ts`, then the locks in memory, then the snapshot (see `concurrency`).
//! * **The store knows no SQL**: keys and values are bytes; only the coprocessor looks into them, with `executor`'s operators.
//! * **Raw data and transactional data never meet**: prefixes of their own in the engine, `r` and `z`; `row_cache` is for the latter only.
//! * **What is remembered is what is stored**: `row_cache` changes with every write, under the key's latch.
//! * Data of an unknown format is refused and left alone.
//!
//! # Tour
//! [`engine`](Engine) is the seam to RocksDB and memory; `mvcc` reads versions; `commands` holds one file per transaction command;
//! `scheduler` runs them under `latch`es and hands their writes to `replication` (group commit); `lock_wait` and `deadlock` are the
//! waiting room; `row_cache` answers hot point reads without the engine; `raw` lays out data without versions;
//! `replica` keeps copies of regions equal over stores by Raft, where the node is opened with a log for that; whoever leads serves.
//! `data_version` tells whether a fragment's answer still holds; `region` decides whether
//! a request is meant for us, `api` and `limits` whether it may ask for that; `node` speaks the protocol.
//!
//! # What is not here
//! Change data capture, backup. Answers are not cut by bytes: `KvScan` and
//! `RawScan` return as many rows as were asked for, since the protocol cannot go on after a short answer. Raw data of API version 1
//! is not split between keys that share their first eight bytes: region boundaries are always encoded keys. `UnsafeDestroyRange` does
//! not touch raw data of version 1, `RawDeleteRange` does.

mod api;
mod commands;
mod concurrency;
mod config;
mod coprocessor;
mod data_version;
mod deadlock;
mod detector;
mod engine;
mod error;
mod flaws;
mod health;
mod latch;
mod limits;
mod lock_wait;
mod meta;
mod mvcc;
mod node;
mod pessimistic;
mod raw;
mod read_load;
mod region;
mod replica;
mod replication;
mod row_cache;
mod scheduler;

pub use api::ApiError;
pub use config::{NodeConfig, RaftSettings};
pub use coprocessor::CoprocessorConfig;
pub use deadlock::WaitEdge;
pub use engine::{
    Cf, Durability, Engine, EngineError, EngineIterator, IteratorOptions, IteratorUse, MemoryEngine,
    Snapshot, WriteBatch, WriteCost, WriteOp,
};
#[cfg(feature = "rocksdb")]
pub use engine::{RocksConfig, RocksEngine};
pub use error::{Assertion, CommandError, ConflictReason};
#[doc(hidden)]
pub use flaws::Flaws;
pub use health::{Disk, DiskSpace, DiskWatch, FolderDisk};
pub use limits::LimitError;
pub use mvcc::{Direction, IsolationLevel, PassableLocks, PointGetter, ScanStep, Scanner, ScannerOptions};
pub use node::{ConsistencyError, ConsistencyReport, Finding, Node, NodeError, ReplicaInfo, SplitError};
