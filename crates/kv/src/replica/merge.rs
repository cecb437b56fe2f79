//! Two regions become one, as entries of both their logs.
//!
//! ```text
//!  source   PrepareMerge ── nothing is read or written any more ── all stores have applied this, for good ──┐
//!  target                                                         CommitMerge: takes the source in ◄────────┘
//!                                                            or   AbortMerge: takes nobody in who was prepared until now
//!  source                                                         RollbackMerge: goes on by itself
//! ```
//!
//! The regions have peers on the same stores. What is in the target's log decides: the source is prepared for the target at one epoch, and both a
//! commit and an abort give the target another one. So a rollback is safe as soon as the target has another epoch and the source is still there, and
//! nobody has to remember who wanted what.
//!
//! TiKV's commit carries the source's last entries, for stores that have not got them. Here the commit waits until all stores have applied the
//! preparation and made it durable; if one of them is away for long, the merge is given up. The price: no merge while a member is down.

use tidewater_proto::{metapb, regionpb};

use super::{
    Replica,
    machine::{News, RegionMachine, Verdict},
};
use crate::{
    WriteBatch,
    meta::{self, Damage},
};

impl RegionMachine {
    /// The region with the next version.
    fn aged(&self, batch: &mut WriteBatch) -> Option<metapb::Region> {
        let mut region = self.shape.lock().region.clone()?;
        let mut epoch = region.region_epoch.unwrap_or_default();
        epoch.version += 1;
        region.region_epoch = Some(epoch);
        meta::put_region(batch, &region);
        Some(region)
    }

    pub(super) fn prepare_merge(
        &self,
        prepare: regionpb::PrepareMerge,
        batch: &mut WriteBatch,
        news: &mut Vec<News>,
    ) -> Verdict {
        let target = prepare.target.ok_or_else(|| "a merge into nothing".to_owned())?;
        // A change of members that is under way would go on.
        if self.applied.membership.is_joint() {
            return Ok(Some(self.refusal()));
        }
        let Some(region) = self.aged(batch) else { return Ok(Some(self.refusal())) };
        meta::set_merging(batch, self.region_id, Some(&target));
        let mut shape = self.shape.lock();
        (shape.region, shape.merging_into) = (Some(region), Some(target));
        news.push(News::MergePrepared);
        Ok(None)
    }

    pub(super) fn roll_merge_back(&self, batch: &mut WriteBatch, news: &mut Vec<News>) -> Verdict {
        let Some(region) = self.aged(batch) else { return Ok(Some(self.refusal())) };
        meta::set_merging(batch, self.region_id, None);
        let mut shape = self.shape.lock();
        (shape.region, shape.merging_into) = (Some(region), None);
        news.push(News::MergeRolledBack);
        Ok(None)
    }

    pub(super) fn abort_merge(&self, batch: &mut WriteBatch, news: &mut Vec<News>) -> Verdict {
        let Some(region) = self.aged(batch) else { return Ok(Some(self.refusal())) };
        self.shape.lock().region = Some(region);
        news.push(News::Reshaped);
        Ok(None)
    }

    pub(super) fn commit_merge(
        &self,
        commit: regionpb::CommitMerge,
        batch: &mut WriteBatch,
        news: &mut Vec<News>,
    ) -> Verdict {
        let source = commit.source.ok_or_else(|| "a merge of nothing".to_owned())?;
        let own = self.shape.lock().region.clone().unwrap_or_default();
        let merged = merged_region(&source, &own);
        let merged = merged.ok_or_else(|| format!("region {} is not beside region {}", source.id, own.id))?;
        let lost = || format!("region {} is not here as it was prepared for region {}", source.id, own.id);
        let replica = self.hooks.replica(source.id).ok_or_else(lost)?;
        if replica.shape.lock().is_damaged {
            let reason = format!("it has taken in region {}, which is damaged", source.id);
            let damage = Damage { region_id: self.region_id, peer_id: self.peer_id, reason };
            meta::put_damage(batch, &damage);
            self.shape.lock().is_damaged = true;
        }
        let version = |region: &metapb::Region| region.region_epoch.map_or(0, |epoch| epoch.version);
        // The one who proposed this made sure of it on all stores: where it is not so, the store lost what it had promised to keep, and this replica
        // must not go on.
        if !self.end_source(&replica, batch, |region| version(region) == version(&source)) {
            return Err(lost().into());
        }
        meta::put_region(batch, &merged);
        self.shape.lock().region = Some(merged);
        news.push(News::Absorbed(source.id));
        Ok(None)
    }

    /// Lets a replica that is prepared to become a part of this region apply nothing any more; `false` if it is not like that.
    fn end_source(
        &self,
        replica: &Replica,
        batch: &mut WriteBatch,
        is_expected: impl Fn(&metapb::Region) -> bool,
    ) -> bool {
        let mut is_absorbed = replica.is_absorbed.lock();
        let mut shape = replica.shape.lock();
        let is_prepared = shape.merging_into.as_ref().is_some_and(|target| target.id == self.region_id);
        if !is_prepared || !shape.region.as_ref().is_some_and(is_expected) {
            return false;
        }
        meta::delete_damage(batch, replica.group.id());
        *is_absorbed = true;
        shape.region = None;
        let region_id = replica.group.id();
        meta::delete_region(batch, region_id);
        meta::delete_applied(batch, region_id);
        meta::set_merging(batch, region_id, None);
        meta::put_tombstone(batch, region_id, replica.group.peer_id());
        true
    }

    /// The same for all replicas whose keys came with a snapshot of this region; tells their regions. Whoever let the snapshot in knows that they
    /// have become parts of it.
    pub(super) fn end_sources_within(&self, region: &metapb::Region, batch: &mut WriteBatch) -> Vec<u64> {
        let mut overlapping = self.hooks.overlapping(region);
        overlapping.retain(|replica| self.end_source(replica, batch, |_| true));
        overlapping.iter().map(|replica| replica.group.id()).collect()
    }
}

/// The union of two neighbors, as the target's region; `None` if they are none.
pub(crate) fn merged_region(source: &metapb::Region, target: &metapb::Region) -> Option<metapb::Region> {
    let (start_key, end_key) = if !source.end_key.is_empty() && source.end_key == target.start_key {
        (&source.start_key, &target.end_key)
    } else if !target.end_key.is_empty() && target.end_key == source.start_key {
        (&target.start_key, &source.end_key)
    } else {
        return None;
    };
    let (one, other) = (source.region_epoch?, target.region_epoch?);
    let epoch = metapb::RegionEpoch {
        version: one.version.max(other.version) + 1,
        conf_ver: one.conf_ver.max(other.conf_ver),
    };
    Some(metapb::Region {
        start_key: start_key.clone(),
        end_key: end_key.clone(),
        region_epoch: Some(epoch),
        ..target.clone()
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn region(id: u64, start: &'static str, end: &'static str, version: u64) -> metapb::Region {
        metapb::Region {
            id,
            start_key: Bytes::from_static(start.as_bytes()),
            end_key: Bytes::from_static(end.as_bytes()),
            region_epoch: Some(metapb::RegionEpoch { conf_ver: id, version }),
            peers: Vec::new(),
        }
    }

    #[test]
    fn only_neighbors_are_merged_and_the_result_is_newer_than_both() {
        let (low, high, far) = (region(1, "a", "f", 7), region(2, "f", "", 3), region(3, "", "a", 9));
        assert_eq!(
            merged_region(&low, &high),
            Some(metapb::Region { region_epoch: epoch(8, 2), ..region(2, "a", "", 0) })
        );
        assert_eq!(
            merged_region(&high, &low),
            Some(metapb::Region { region_epoch: epoch(8, 2), ..region(1, "a", "", 0) })
        );
        assert_eq!(
            merged_region(&low, &far),
            Some(metapb::Region { region_epoch: epoch(10, 3), ..region(3, "", "f", 0) })
        );
        // The end of all keys is not the beginning of all keys.
        assert_eq!(merged_region(&high, &far), None);
        assert_eq!(merged_region(&low, &low), None);
    }

    fn epoch(version: u64, conf_ver: u64) -> Option<metapb::RegionEpoch> {
        Some(metapb::RegionEpoch { conf_ver, version })
    }
}
