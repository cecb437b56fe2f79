use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tidewater_codec::Key;
use tidewater_proto::{kvrpcpb, metapb};

use crate::TxnError;

/// A region as the client knows it: which raw keys it holds, its epoch, who leads it.
#[derive(Debug)]
pub struct Region {
    id: u64,
    epoch: metapb::RegionEpoch,
    start: Bytes,
    end: Bytes,
    peers: Vec<metapb::Peer>,
    /// Index into `peers`.
    leader: AtomicUsize,
}

impl Region {
    /// A region that holds the caller's keys from `start` to `end`.
    pub(crate) fn new(
        region: metapb::Region,
        start: Bytes,
        end: Bytes,
        leader: Option<&metapb::Peer>,
    ) -> Result<Self, TxnError> {
        let id = region.id;
        let epoch = region.region_epoch.unwrap_or_default();
        if region.peers.is_empty() {
            return Err(TxnError::Protocol { reason: format!("region {id} has no peers") });
        }
        let leader =
            leader.and_then(|leader| region.peers.iter().position(|peer| peer.id == leader.id)).unwrap_or(0);
        Ok(Self { id, epoch, start, end, peers: region.peers, leader: AtomicUsize::new(leader) })
    }

    /// The region's id.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// `(version, conf_ver)`: the version counts changes of the range, `conf_ver` changes of the members.
    pub fn epoch(&self) -> (u64, u64) {
        (self.epoch.version, self.epoch.conf_ver)
    }

    /// The store that leads the region, as far as the client knows.
    pub fn leader_store(&self) -> u64 {
        self.leader().store_id
    }

    /// The raw keys of the region; an empty end is unbounded.
    pub fn range(&self) -> Range<Key> {
        Key::new(&self.start[..])..Key::new(&self.end[..])
    }

    pub(crate) fn start(&self) -> &Bytes {
        &self.start
    }

    pub(crate) fn end(&self) -> &Bytes {
        &self.end
    }

    /// Whether the region holds a raw key.
    pub fn contains(&self, key: &[u8]) -> bool {
        self.start[..] <= *key && (self.end.is_empty() || *key < self.end[..])
    }

    pub(crate) fn leader(&self) -> &metapb::Peer {
        let index = self.leader.load(Ordering::Relaxed);
        self.peers.get(index).unwrap_or(&self.peers[0])
    }

    /// Follows a leader to another peer; `false` if the peer is not known.
    pub(crate) fn follow(&self, leader: &metapb::Peer) -> bool {
        match self.peers.iter().position(|peer| peer.id == leader.id) {
            Some(index) => {
                self.leader.store(index, Ordering::Relaxed);
                true
            }
            None => false,
        }
    }

    /// Whether another epoch is newer than this one in any part.
    pub(crate) fn is_older_than(&self, epoch: &metapb::RegionEpoch) -> bool {
        self.epoch.version < epoch.version || self.epoch.conf_ver < epoch.conf_ver
    }

    pub(crate) fn address(&self, context: &mut kvrpcpb::Context) -> u64 {
        let peer = self.leader();
        context.region_id = self.id;
        context.region_epoch = Some(self.epoch);
        context.peer = Some(*peer);
        peer.store_id
    }
}
