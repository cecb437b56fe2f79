//! The names of the stored records and the form of their values.
//!
//! Numbers are eight bytes, big-endian; messages are protobuf. Ids in names are padded so that they sort.

use prost::Message;
use tidewater_proto::{keyspacepb, metapb, pdpb};

use crate::OpenError;

pub(crate) const CLUSTER_ID: &str = "cluster/id";
pub(crate) const BOOTSTRAPPED: &str = "cluster/bootstrapped";
pub(crate) const TSO_WINDOW: &str = "tso/window";
pub(crate) const ID_BOUND: &str = "id/bound";
pub(crate) const GC_SAFE_POINT: &str = "gc/safe_point";
pub(crate) const STORE_PREFIX: &str = "store/";
pub(crate) const REGION_PREFIX: &str = "region/";
pub(crate) const KEYSPACE_PREFIX: &str = "keyspace/";
pub(crate) const SERVICE_PREFIX: &str = "gc/service/";

pub(crate) fn store(id: u64) -> String {
    format!("{STORE_PREFIX}{id:020}")
}

pub(crate) fn region(id: u64) -> String {
    format!("{REGION_PREFIX}{id:020}")
}

pub(crate) fn keyspace(id: u32) -> String {
    format!("{KEYSPACE_PREFIX}{id:010}")
}

pub(crate) fn service(id: &[u8]) -> String {
    let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{SERVICE_PREFIX}{hex}")
}

pub(crate) fn encode_u64(value: u64) -> Vec<u8> {
    value.to_be_bytes().to_vec()
}

pub(crate) fn decode_u64(name: &str, value: &[u8]) -> Result<u64, OpenError> {
    let bytes = value.try_into().map_err(|_| damaged(name, "a number of eight bytes was expected"))?;
    Ok(u64::from_be_bytes(bytes))
}

pub(crate) fn decode_store(name: &str, value: &[u8]) -> Result<metapb::Store, OpenError> {
    metapb::Store::decode(value).map_err(|error| damaged(name, &error.to_string()))
}

pub(crate) fn decode_keyspace(name: &str, value: &[u8]) -> Result<keyspacepb::KeyspaceMeta, OpenError> {
    keyspacepb::KeyspaceMeta::decode(value).map_err(|error| damaged(name, &error.to_string()))
}

pub(crate) fn decode_region(
    name: &str,
    value: &[u8],
) -> Result<(metapb::Region, Option<metapb::Peer>), OpenError> {
    let stored = pdpb::Region::decode(value).map_err(|error| damaged(name, &error.to_string()))?;
    let region = stored.region.ok_or_else(|| damaged(name, "it holds no region"))?;
    Ok((region, stored.leader))
}

pub(crate) fn encode_region(region: &metapb::Region, leader: Option<&metapb::Peer>) -> Vec<u8> {
    pdpb::Region { region: Some(region.clone()), leader: leader.cloned(), ..Default::default() }
        .encode_to_vec()
}

/// A service's safe point: its id, the safe point, when it lapses.
pub(crate) fn encode_service(id: &[u8], safe_point: u64, expires_micros: i64) -> Vec<u8> {
    [&safe_point.to_be_bytes()[..], &expires_micros.to_be_bytes(), id].concat()
}

pub(crate) fn decode_service(name: &str, value: &[u8]) -> Result<(Vec<u8>, u64, i64), OpenError> {
    let short = || damaged(name, "it is too short");
    let (safe_point, rest) = value.split_first_chunk().ok_or_else(short)?;
    let (expires, id) = rest.split_first_chunk().ok_or_else(short)?;
    Ok((id.to_vec(), u64::from_be_bytes(*safe_point), i64::from_be_bytes(*expires)))
}

fn damaged(name: &str, reason: &str) -> OpenError {
    OpenError::Record { name: name.to_owned(), reason: reason.to_owned() }
}
