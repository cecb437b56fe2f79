//! The placement driver: timestamps, ids, cluster and region metadata, safe points.
//!
//! Floor 5, beside `kv` and `txn`, which know it only through [`tidewater_proto::PdService`]. One way in:
//! [`PlacementDriver::open`] over a [`Storage`] and a [`WallClock`](tidewater_types::clock::WallClock).
//!
//! # Invariants
//! * **A timestamp is given out at most once in the life of a cluster**, over restarts and whatever the wall clock does: every
//!   timestamp lies below a bound that was durable before the timestamp left ([`TsoConfig`]).
//! * **Timestamps do not wait for the disk** unless the bound must move and the move begun ahead of time is not through yet.
//! * **Answered means durable**: what changed is in the storage before the caller hears of it.
//! * A region with an older epoch never replaces a newer one, and no two known regions overlap.
//! * No user data, no SQL, no network in here; no random numbers (but those of elections) and no clock but the one handed in.
//! * **Of several members at most one answers** at any moment, and none loses what another one has answered.
//!
//! # Tour
//! [`PlacementDriver`] joins the parts: the timestamp oracle (`tso`), the id allocator (`id`), the region tree (`regions`), stores and
//! safe points (`cluster`, `safe_point`), what regions should do (`balance`, `merge`; `schedule` where they are replicated), all kept in a small ordered map of named records behind the [`Storage`] seam with its two
//! implementations, [`MemoryStorage`] and the crash-safe [`FileStorage`].
//!
//! Keys with revisions, watches and leases, for whoever wants a place of its own in the cluster, are in `key_values`
//! ([`KeyValues`](tidewater_proto::KeyValues)).
//!
//! A [`Member`] is one of several: they replicate the records, and the one that leads opens a driver over them (`replica`).
//!
//! ```
//! use std::sync::Arc;
//! use tidewater_pd::{MemoryStorage, PdConfig, PlacementDriver};
//! use tidewater_proto::PdService;
//! use tidewater_types::clock::ManualClock;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let clock = Arc::new(ManualClock::new(1_700_000_000_000_000));
//! let pd = PlacementDriver::open(PdConfig::default(), Arc::new(MemoryStorage::new()), clock)?;
//! let first = pd.timestamps(1).await?;
//! let last_of_ten = pd.timestamps(10).await?;
//! assert_eq!(first.physical, 1_700_000_000_000);
//! assert_eq!((last_of_ten.physical, last_of_ten.logical), (first.physical, first.logical + 10));
//! # Ok(())
//! # }
//! ```

mod balance;
mod cluster;
mod config;
mod driver;
mod error;
mod id;
mod key_values;
mod keyspaces;
mod merge;
mod records;
mod regions;
mod replica;
mod safe_point;
mod schedule;
mod settings;
mod storage;
mod tso;
mod weights;

pub use config::{BalanceBy, PdConfig, ReplicationConfig, ScheduleConfig, TsoConfig};
pub use driver::PlacementDriver;
pub use driver::admin::{
    FinishedOperator, HotRegion, OperatorInfo, PeerInfo, RegionInfo, SchedulerInfo, StoreInfo, StoreState,
};
pub use error::{OpenError, OperatorError, StorageError};
pub use replica::{Member, MemberConfig, MemberError};
pub use schedule::{
    LabelConstraint, LabelOp, OperatorKind, OperatorResult, PlacementRule, ReplicaRole, SchedulerKind,
    SplitPolicy, Step,
};
pub use settings::{SettingSection, SettingValue};
pub use storage::{Batch, FileStorage, MemoryStorage, Residence, Storage};
