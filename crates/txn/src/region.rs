use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tidewater_codec::Key;
use tidewater_proto::{kvrpcpb, metapb};

use crate::{ReplicaRead, TxnError};

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

    /// Addresses a request to the leader.
    pub(crate) fn address(&self, context: &mut kvrpcpb::Context) -> u64 {
        self.address_to(self.leader(), context)
    }

    /// Addresses a read to one of the peers that may serve it; `pick` draws lots.
    pub(crate) fn address_read(
        &self,
        replica: ReplicaRead,
        context: &mut kvrpcpb::Context,
        pick: impl FnOnce(usize) -> usize,
    ) -> u64 {
        let leader = self.leader();
        let may_serve = |peer: &&metapb::Peer| {
            peer.role == metapb::PeerRole::Voter as i32
                && !peer.is_witness
                && match replica {
                    ReplicaRead::Leader => peer.id == leader.id,
                    ReplicaRead::Follower => peer.id != leader.id,
                    ReplicaRead::Mixed => true,
                }
        };
        let candidates: Vec<_> = self.peers.iter().filter(may_serve).collect();
        let peer = candidates.get(pick(candidates.len())).copied().unwrap_or(leader);
        // A stale read needs no word of the leader, whoever serves it.
        context.replica_read = peer.id != leader.id && !context.stale_read;
        self.address_to(peer, context)
    }

    fn address_to(&self, peer: &metapb::Peer, context: &mut kvrpcpb::Context) -> u64 {
        context.region_id = self.id;
        context.region_epoch = Some(self.epoch);
        context.peer = Some(*peer);
        peer.store_id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_go_to_the_peers_that_may_serve_them() {
        let peer = |id: u64, role: metapb::PeerRole| metapb::Peer {
            id,
            store_id: id * 10,
            role: role as i32,
            ..Default::default()
        };
        let (voter, learner) = (metapb::PeerRole::Voter, metapb::PeerRole::Learner);
        let peers = vec![peer(1, voter), peer(2, voter), peer(3, learner), peer(4, voter)];
        let leader = peers[1];
        let region = metapb::Region { id: 7, peers, ..Default::default() };
        let region = Region::new(region, Bytes::new(), Bytes::new(), Some(&leader)).unwrap();
        let ask = |replica, stale_read, pick: usize| {
            let mut context = kvrpcpb::Context { stale_read, ..Default::default() };
            let store = region.address_read(replica, &mut context, |count| pick % count.max(1));
            (store, context.replica_read)
        };
        let all = |replica, stale| [0, 1, 2].map(|pick| ask(replica, stale, pick));
        assert_eq!(all(ReplicaRead::Leader, false), [(20, false); 3]);
        assert_eq!(all(ReplicaRead::Follower, false), [(10, true), (40, true), (10, true)]);
        assert_eq!(all(ReplicaRead::Mixed, false), [(10, true), (20, false), (40, true)]);
        assert_eq!(all(ReplicaRead::Mixed, true), [(10, false), (20, false), (40, false)]);
    }
}
