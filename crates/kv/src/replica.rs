//! Replicas: regions of which several stores have a copy, kept equal by Raft.
//!
//! Every store of a region has a `Replica` of it. The one whose member leads, once it has applied everything and knows a timestamp above all reads of
//! its predecessors, puts the region into the table of the regions this node serves; when it does not lead any more it takes it out. So whatever the
//! rest of the node does with regions it does with those it leads, as if it had the only copy.
//!
//! # Invariants
//! * A write is proposed in the term in which the data was read that it depends on: nobody can have changed it in between.
//! * How far a replica has applied its log is written with what it applied, in one batch. A snapshot too large for one batch is noted first.
//! * A split changes the table of served regions before the entry is answered: nobody reads a part of which another may have become the leader.
//! * Peer ids are not used twice. A store that had a peer of a region, and lost it, remembers its id.

mod command;
mod hash;
mod install;
mod machine;
mod merge;
mod snapshot;

pub(crate) use command::{
    answer_error, encode_abort_merge, encode_commit_merge, encode_compute_hash, encode_prepare_merge,
    encode_rollback_merge, encode_split, encode_verify_hash, encode_write,
};
pub(crate) use hash::{HashState, HashTask, Hashed};
pub(crate) use install::{Unfinished, finish_installations};
pub(crate) use machine::{Hooks, RegionMachine, members_of};
pub(crate) use merge::merged_region;
pub(crate) use snapshot::first_piece_region;

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tidewater_proto::metapb;
use tidewater_raft::Group;

use crate::node::FollowerView;

/// Between looks at whether a replica that is to go is still being changed.
const RETIRE_LOOK: Duration = Duration::from_millis(5);

/// This store's copy of a region.
pub(crate) struct Replica {
    pub group: Arc<Group>,
    pub shape: Arc<Mutex<Shape>>,
    /// Whether another region has taken this one in: from then on nothing is applied. Held by whoever applies.
    pub is_absorbed: Arc<Mutex<bool>>,
    /// For reads while it does not lead.
    pub follower: FollowerView,
    /// What it has found when it was last to be compared with others.
    pub hashed: Mutex<Hashed>,
}

/// What a replica is a replica of, as applied here.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shape {
    /// `None` before the first snapshot has come, and after another region has taken this one in.
    pub region: Option<metapb::Region>,
    /// The neighbor, as it has to be, that the region is prepared to become a part of.
    pub merging_into: Option<metapb::Region>,
    /// Counts the snapshots that were installed in several writes: whoever read meanwhile has read nothing that ever was.
    pub rebuilds: u64,
    /// It must not be read, by anybody. So are its parts, and whatever takes it in.
    pub is_damaged: bool,
}

impl Replica {
    pub(crate) fn meta(&self) -> Option<metapb::Region> {
        self.shape.lock().region.clone()
    }

    /// Has nothing applied or installed any more, and waits for the end of what is. The member has to be stopped. From here on nobody reads it, either:
    /// see `follower`.
    pub(crate) async fn retire(&self) {
        loop {
            if let Some(mut is_absorbed) = self.is_absorbed.try_lock() {
                *is_absorbed = true;
                self.shape.lock().rebuilds += 1;
                return;
            }
            // Installing a large snapshot takes its time.
            tokio::time::sleep(RETIRE_LOOK).await;
        }
    }

    pub(crate) fn merging_into(&self) -> Option<metapb::Region> {
        self.shape.lock().merging_into.clone()
    }
}

/// What a served region knows of its replica: the member, and the term it serves in.
#[derive(Clone)]
pub(crate) struct Lead {
    pub group: Arc<Group>,
    pub term: u64,
    /// Reads need no lease: a fault that simulations make.
    pub is_careless: bool,
}

impl Lead {
    /// Whether what is in the engine may be read as the state of the region.
    pub(crate) fn may_read(&self) -> bool {
        self.is_careless || self.group.leased_term() == Some(self.term)
    }

    /// Renews the lease, if this member leads still; the one who asks comes again.
    pub(crate) fn ask_the_others(&self) {
        let group = self.group.clone();
        tokio::spawn(async move { group.ask_the_others().await });
    }
}
