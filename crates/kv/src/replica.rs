//! Replicas: regions of which several stores have a copy, kept equal by Raft.
//!
//! Every store of a region has a `Replica` of it. The one whose member leads, once it has applied everything and knows a timestamp above all reads of
//! its predecessors, puts the region into the table of the regions this node serves; when it does not lead any more it takes it out. So whatever the
//! rest of the node does with regions it does with those it leads, as if it had the only copy.
//!
//! # Invariants
//! * A write is proposed in the term in which the data was read that it depends on: nobody can have changed it in between.
//! * How far a replica has applied its log is written with what it applied, in one batch.
//! * A split changes the table of served regions before the entry is answered: nobody reads a part of which another may have become the leader.
//! * Peer ids are not used twice. A store that had a peer of a region, and lost it, remembers its id.

mod command;
mod machine;
mod snapshot;

pub(crate) use command::{answer_error, encode_split, encode_write};
pub(crate) use machine::{Hooks, RegionMachine, members_of};
pub(crate) use snapshot::first_piece_region;

use std::sync::Arc;

use parking_lot::Mutex;
use tidewater_proto::metapb;
use tidewater_raft::Group;

/// This store's copy of a region.
pub(crate) struct Replica {
    pub group: Arc<Group>,
    /// As applied here; `None` before the first snapshot has come.
    pub meta: Arc<Mutex<Option<metapb::Region>>>,
}

impl Replica {
    pub(crate) fn meta(&self) -> Option<metapb::Region> {
        self.meta.lock().clone()
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
        tokio::spawn(async move { group.read_barrier().await });
    }
}
