//! What is proposed in a region's log, in bytes.

use bytes::Bytes;
use prost::Message;
use tidewater_proto::{
    errorpb, metapb,
    regionpb::{self, command::Command},
};

use crate::{Cf, WriteBatch, WriteOp};

/// A batch of changes, valid at one version of the region.
pub(crate) fn encode_write(version: u64, batch: WriteBatch) -> Bytes {
    let ops = batch.into_ops().into_iter().map(|op| match op {
        WriteOp::Put { cf, key, value } => {
            regionpb::Op { cf: cf as u32, key: key.into(), value: Some(value.into()) }
        }
        WriteOp::Delete { cf, key } => regionpb::Op { cf: cf as u32, key: key.into(), value: None },
    });
    let write = regionpb::Write { version, ops: ops.collect() };
    encode(Command::Write(write))
}

/// A region cut into parts.
pub(crate) fn encode_split(of: &metapb::Region, parts: Vec<metapb::Region>) -> Bytes {
    let metapb::RegionEpoch { version, conf_ver } = of.region_epoch.unwrap_or_default();
    encode(Command::Split(regionpb::Split { version, parts, conf_ver }))
}

/// The region, as it is, is to become a part of a neighbor.
pub(crate) fn encode_prepare_merge(of: &metapb::Region, target: metapb::Region) -> Bytes {
    let metapb::RegionEpoch { version, conf_ver } = of.region_epoch.unwrap_or_default();
    encode(Command::PrepareMerge(regionpb::PrepareMerge { version, conf_ver, target: Some(target) }))
}

/// The region, as it is, takes a prepared neighbor in.
pub(crate) fn encode_commit_merge(of: &metapb::Region, source: metapb::Region) -> Bytes {
    let metapb::RegionEpoch { version, conf_ver } = of.region_epoch.unwrap_or_default();
    encode(Command::CommitMerge(regionpb::CommitMerge { version, conf_ver, source: Some(source) }))
}

/// The region, as it is, takes in nobody who was prepared for it.
pub(crate) fn encode_abort_merge(of: &metapb::Region) -> Bytes {
    encode(Command::AbortMerge(regionpb::AbortMerge { version: version_of(of) }))
}

/// The region that was prepared goes on by itself.
pub(crate) fn encode_rollback_merge(of: &metapb::Region) -> Bytes {
    encode(Command::RollbackMerge(regionpb::RollbackMerge { version: version_of(of) }))
}

/// The replicas are to be compared as they are after this entry.
pub(crate) fn encode_compute_hash(of: &metapb::Region) -> Bytes {
    encode(Command::ComputeHash(regionpb::ComputeHash { version: version_of(of) }))
}

/// A majority of the replicas has found this after that entry.
pub(crate) fn encode_verify_hash(of: &metapb::Region, index: u64, hash: u64) -> Bytes {
    encode(Command::VerifyHash(regionpb::VerifyHash { version: version_of(of), index, hash }))
}

fn version_of(region: &metapb::Region) -> u64 {
    region.region_epoch.map_or(0, |epoch| epoch.version)
}

fn encode(command: Command) -> Bytes {
    regionpb::Command { command: Some(command) }.encode_to_vec().into()
}

/// A step of a stored or sent batch.
pub(super) fn put_op(batch: &mut WriteBatch, op: regionpb::Op) -> Result<(), String> {
    let cf = family(op.cf)?;
    match op.value {
        Some(value) => batch.put(cf, op.key.into(), value.into()),
        None => batch.delete(cf, op.key.into()),
    }
    Ok(())
}

pub(super) fn family(number: u32) -> Result<Cf, String> {
    Cf::ALL.get(number as usize).copied().ok_or_else(|| format!("there is no column family {number}"))
}

/// What the proposer is told.
pub(super) fn encode_answer(refusal: Option<errorpb::Error>) -> Bytes {
    match refusal {
        None => Bytes::new(),
        refusal => regionpb::Answer { refusal, ..Default::default() }.encode_to_vec().into(),
    }
}

/// What the proposer is told of an entry that was carried out, and that it will want to name.
pub(super) fn encode_index(index: u64) -> Bytes {
    regionpb::Answer { refusal: None, index }.encode_to_vec().into()
}

/// Why a proposal was not carried out, if it was not.
pub(crate) fn answer_error(answer: Bytes) -> Option<Box<errorpb::Error>> {
    if answer.is_empty() {
        return None;
    }
    match regionpb::Answer::decode(answer) {
        Ok(answer) => answer.refusal.map(Box::new),
        // It never left this process.
        Err(error) => Some(Box::new(errorpb::Error { message: error.to_string(), ..Default::default() })),
    }
}
