//! What is replicated: one decided step from a state to the next.

use bytes::Bytes;

use super::state::Version;

/// A new version of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) key: Bytes,
    pub(super) version: Version,
}

impl Event {
    pub(super) fn removal(key: Bytes, revision: i64, place: u32) -> Self {
        let version = Version { revision, place, created: 0, count: 0, value: Bytes::new(), lease: 0 };
        Self { key, version }
    }
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// Keys are written or removed, all at one revision.
    Write { revision: i64, events: Vec<Event> },
    /// A lease begins, for so many seconds.
    Grant { id: i64, ttl: i64 },
    /// Leases end with their keys; without keys the revision stays.
    Revoke { revision: i64, ids: Vec<i64>, events: Vec<Event> },
    /// These versions are not known any more, by their places.
    Compact { revision: i64, forgotten: Vec<((i64, u32), Bytes)> },
}
