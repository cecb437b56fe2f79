//! A placement driver of several members.
//!
//! The records of the driver are replicated by one Raft group. Whoever leads it opens a [`PlacementDriver`](crate::PlacementDriver) over the
//! records and answers; the others say that they do not lead.
//!
//! ```text
//!            member 1 (leads)                     member 2             member 3
//!  calls ──▶ PlacementDriver
//!              │ batches of records
//!            Leadership: session (term, n)
//!              │ propose
//!            Raft log ─────────────────────────▶ Raft log ──────────▶ Raft log        durable before it is answered
//!              │ apply                             │ apply              │ apply
//!            records in memory                   records              records         on disk now and then, with the position
//! ```
//!
//! # What keeps a deposed leader from doing harm
//! * *Writes*: a leadership begins with a command that opens a **session**; every batch names its session, and is applied only while no later
//!   session was opened. What a driver has read when its session was opened therefore changes by its own batches only.
//! * *Answers*: a timestamp, or anything that was read, leaves only if the **lease** held after it was taken: until then no other member can have
//!   answered anybody. A new leader's timestamps begin above the window that it finds, so they would be unique even without.
//!
//! # On disk
//! The Raft log is a device of its own. The records are in the [`Storage`](crate::Storage): from time to time, what has changed is written there
//! together with the position in the log, in one batch; a restart takes them from there and applies the rest of the log again. What a member
//! knows of itself lies beside them (`raft/self`).
//!
//! # Members
//! Who the members are is a record for each (`members/id/`). The leader brings Raft's membership in line with the records, step by step: a
//! newcomer gets the records first and its vote when it has caught up; a member without a record loses its vote. So nothing has to be finished
//! by whoever has begun it.
//!
//! Left out: members that do not vote for good; priorities of leaders; reads from followers.

mod found;
mod keys;
mod leadership;
mod link;
mod member;
mod roster;
mod service;
mod state;

use std::collections::BTreeMap;

use tidewater_raft::{DeviceError, RaftConfig, StartError};

pub(crate) use leadership::Leadership;
pub use member::Member;

use crate::{OpenError, PdConfig, StorageError};

/// Settings of a member.
#[derive(Debug, Clone)]
pub struct MemberConfig {
    /// Its name, unlike any other member's.
    pub name: String,
    /// Where the other members find it; the first is used.
    pub peer_urls: Vec<String>,
    /// Where clients find it.
    pub client_urls: Vec<String>,
    /// The members that a new cluster begins with, this one too: names and peer URLs. Means nothing to a member that has data, but that others
    /// are also looked for there.
    pub initial_cluster: BTreeMap<String, String>,
    /// Tells clusters apart that begin with the same members.
    pub initial_cluster_token: String,
    /// Peer URLs of members of a running cluster that a member without data is to join.
    pub join: Vec<String>,
    /// Settings of the driver, in force while this member leads.
    pub pd: PdConfig,
    /// How soon a leader is missed.
    pub raft: RaftConfig,
}

impl MemberConfig {
    /// A member that is alone in its cluster, with one URL for everything.
    pub fn alone(name: impl Into<String>, url: impl Into<String>) -> Self {
        let (name, url) = (name.into(), url.into());
        Self {
            initial_cluster: BTreeMap::from([(name.clone(), url.clone())]),
            name,
            peer_urls: vec![url.clone()],
            client_urls: vec![url],
            initial_cluster_token: String::new(),
            join: Vec::new(),
            pd: PdConfig::default(),
            raft: Self::default_raft(),
        }
    }

    /// Raft's times for members that are a network's round trip and an fsync apart, and are missed within two seconds.
    pub fn default_raft() -> RaftConfig {
        RaftConfig {
            log_entries_max: 4096,
            log_entries_kept: 512,
            sleep_after: None,
            ..RaftConfig::default()
        }
    }
}

/// Why a member does not run, or does not any more. Each says what may be done about it.
#[derive(Debug, thiserror::Error)]
pub enum MemberError {
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The log failed.
    #[error(transparent)]
    Log(#[from] DeviceError),
    /// Raft did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The records are damaged.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The settings contradict each other.
    #[error("{reason}")]
    Settings {
        /// How.
        reason: String,
    },
    /// The data directory is another member's.
    #[error(
        "the data directory is that of the member {found:?}, not of {name:?}: start it with --name {found}, or name another --data-dir"
    )]
    OtherName {
        /// The name in the settings.
        name: String,
        /// Whose the data are.
        found: String,
    },
    /// The data directory is empty although the member has run.
    #[error(
        "the member {name:?} has run before, but its data directory is empty: what it had promised is lost. Bring the data back; or remove the \
         member from the cluster (DELETE {url}/pd/api/v1/members/name/{name}) and start it with an empty --data-dir and --join {url}"
    )]
    DataLost {
        /// The member.
        name: String,
        /// Where to ask for its removal.
        url: String,
    },
    /// The Raft log is gone, and the rest is there.
    #[error(
        "the Raft log of the member {name:?} is gone from its data directory: bring it back; or remove the member from the cluster and start it \
         with an empty --data-dir and --join"
    )]
    LogLost {
        /// The member.
        name: String,
    },
    /// The others are of another cluster.
    #[error(
        "{url} is a member of another cluster, or was started with another --initial-cluster or --initial-cluster-token: all members of a new \
         cluster need the same ones; to join a running cluster use --join {url}"
    )]
    OtherCluster {
        /// Who says so.
        url: String,
    },
    /// The cluster runs, and does not know this member.
    #[error(
        "the member {name:?} is not in the cluster, or was removed from it: to join it, start it with an empty --data-dir and --join {url}"
    )]
    Removed {
        /// The member.
        name: String,
        /// Who says so.
        url: String,
    },
    /// The cluster that is to be joined refused.
    #[error("the cluster does not take the member in: {reason}")]
    Refused {
        /// Its words.
        reason: String,
    },
    /// Nobody of the cluster that is to be joined answers.
    #[error("no member of the cluster to join answers at {urls:?}: {reason}")]
    Unreachable {
        /// Who was asked.
        urls: Vec<String>,
        /// What became of it.
        reason: String,
    },
    /// The Raft member stopped: its log or its state machine failed.
    #[error("the member has stopped: {reason}")]
    Stopped {
        /// Why.
        reason: String,
    },
}
