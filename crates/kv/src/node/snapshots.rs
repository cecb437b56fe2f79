//! Which snapshots are let in.
//!
//! A snapshot brings a region's keys. If another replica here holds some of them, it has to go first: it is behind, for a split or a merge that it
//! has not heard of. That is looked at before the first piece is taken, so that nothing is sent in vain, and before the last one, with which
//! the snapshot becomes a replica: both may be minutes apart. Two snapshots with keys in common are never installed at the same time.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;
use tidewater_proto::{metapb, raftpb, raftpb::refusal::Reason};

use super::Node;
use crate::replica::first_piece_region;

/// The regions of which snapshots are here, in whole or in part.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    /// By the first piece that came last.
    coming: BTreeMap<u64, metapb::Region>,
    installing: BTreeMap<u64, metapb::Region>,
}

/// The region that a snapshot is installed of, for as long as this lives.
pub(super) struct Landing {
    arrivals: Arc<Mutex<Arrivals>>,
    region_id: u64,
}

impl Drop for Landing {
    fn drop(&mut self) {
        let mut arrivals = self.arrivals.lock();
        arrivals.installing.remove(&self.region_id);
        arrivals.coming.remove(&self.region_id);
    }
}

/// Whether two regions have keys in common.
pub(super) fn have_common_keys(one: &metapb::Region, other: &metapb::Region) -> bool {
    let ends_before = |end: &[u8], start: &[u8]| !end.is_empty() && end <= start;
    !ends_before(&one.end_key, &other.start_key) && !ends_before(&other.end_key, &one.start_key)
}

impl Arrivals {
    /// Notes that a snapshot is about to be installed, unless another one is in its way.
    fn land(this: &Arc<Mutex<Self>>, region: &metapb::Region) -> Result<Option<Landing>, u64> {
        let mut arrivals = this.lock();
        let in_the_way = |other: &&metapb::Region| other.id != region.id && have_common_keys(other, region);
        if let Some(other) = arrivals.installing.values().find(in_the_way) {
            return Err(other.id);
        }
        // The last piece came twice: whoever came first watches over it.
        let is_first = arrivals.installing.insert(region.id, region.clone()).is_none();
        Ok(is_first.then(|| Landing { arrivals: this.clone(), region_id: region.id }))
    }
}

impl Node {
    /// Whether a piece of a snapshot may be taken. With the last one the answer has to be kept until it is installed.
    pub(super) async fn admit_snapshot(
        &self,
        region_id: u64,
        piece: &raftpb::SnapshotPiece,
    ) -> Result<Option<Landing>, (Reason, String)> {
        let Some(replicas) = &self.replicas else { return Ok(None) };
        if piece.number > 0 && !piece.is_last {
            return Ok(None);
        }
        let region = match piece.number {
            0 => {
                // Damaged on the way it is wanted again.
                if crc32fast::hash(&piece.data) != piece.checksum {
                    return Ok(None);
                }
                let region = first_piece_region(&piece.data).filter(|region| region.id == region_id);
                let region =
                    region.ok_or((Reason::Malformed, "the snapshot has no region, or another".to_owned()))?;
                replicas.arrivals.lock().coming.insert(region_id, region.clone());
                region
            }
            _ => match replicas.arrivals.lock().coming.get(&region_id) {
                Some(region) => region.clone(),
                // It is not on its way: the first piece is wanted.
                None => return Ok(None),
            },
        };
        let idle = replicas.damages.lock().idle_regions();
        let in_the_way = |other: &&metapb::Region| other.id != region_id && have_common_keys(other, &region);
        if let Some(other) = idle.iter().find(in_the_way) {
            let reason =
                format!("region {} here holds keys of the region, is damaged, and has to go", other.id);
            return Err((Reason::NotReady, reason));
        }
        for other in replicas.overlapping(&region) {
            if !self.is_taken_in(&other, &region).await {
                let reason = format!(
                    "region {} here holds keys of the region, it has not applied a split or a merge yet",
                    other.group.id()
                );
                return Err((Reason::NotReady, reason));
            }
        }
        if !piece.is_last {
            return Ok(None);
        }
        let landing = Arrivals::land(&replicas.arrivals, &region);
        landing.map_err(|other| (Reason::NotReady, format!("region {other} is being installed here")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(id: u64, start: &'static str, end: &'static str) -> metapb::Region {
        let (start_key, end_key) = (start.as_bytes().into(), end.as_bytes().into());
        metapb::Region { id, start_key, end_key, ..Default::default() }
    }

    #[test]
    fn snapshots_with_common_keys_land_one_after_the_other() {
        let arrivals = Arc::default();
        let first = Arrivals::land(&arrivals, &region(1, "b", "d")).ok().flatten().expect("nobody is there");
        assert!(Arrivals::land(&arrivals, &region(1, "b", "d")).is_ok_and(|again| again.is_none()));
        assert_eq!(Arrivals::land(&arrivals, &region(2, "c", "")).err(), Some(1));
        assert_eq!(Arrivals::land(&arrivals, &region(3, "", "")).err(), Some(1));
        assert!(Arrivals::land(&arrivals, &region(4, "", "b")).is_ok());
        assert!(Arrivals::land(&arrivals, &region(5, "d", "")).is_ok_and(|landing| landing.is_some()));
        drop(first);
        assert!(Arrivals::land(&arrivals, &region(2, "c", "d")).is_ok());
    }
}
