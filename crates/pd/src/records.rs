//! The names of the stored records and the form of their values.
//!
//! Numbers are eight bytes, big-endian; messages are protobuf. Ids in names are padded so that they sort.

use bytes::Bytes;
use prost::Message;
use tidewater_proto::{keyspacepb, metapb, pdpb};

use crate::OpenError;
use crate::schedule::{LabelConstraint, LabelOp, PlacementRule, ReplicaRole, Rest, SchedulerKind};
use crate::weights::{StoreWeights, Weight};

pub(crate) const CLUSTER_ID: &str = "cluster/id";
pub(crate) const BOOTSTRAPPED: &str = "cluster/bootstrapped";
pub(crate) const TSO_WINDOW: &str = "tso/window";
pub(crate) const ID_BOUND: &str = "id/bound";
pub(crate) const GC_SAFE_POINT: &str = "gc/safe_point";
pub(crate) const STORE_PREFIX: &str = "store/";
pub(crate) const REGION_PREFIX: &str = "region/";
pub(crate) const KEYSPACE_PREFIX: &str = "keyspace/";
pub(crate) const SERVICE_PREFIX: &str = "gc/service/";
pub(crate) const RULE_PREFIX: &str = "schedule/rule/";
pub(crate) const SETTING_PREFIX: &str = "schedule/setting/";
pub(crate) const EVICTING_PREFIX: &str = "schedule/evict_leaders/";
pub(crate) const WEIGHTS_PREFIX: &str = "schedule/weights/";
pub(crate) const RESTING_PREFIX: &str = "schedule/resting/";

/// Records with this prefix are a member's own; all others are the same for all members.
pub(crate) const LOCAL_PREFIX: &str = "raft/";
/// Up to where a member's storage has come in the log.
pub(crate) const APPLIED: &str = "raft/applied";
/// Who the member is.
pub(crate) const IDENTITY: &str = "raft/self";
/// Records with this prefix are about the members, and no business of the driver.
const MEMBERS_PREFIX: &str = "members/";
pub(crate) const MEMBER_PREFIX: &str = "members/id/";
pub(crate) const NEXT_MEMBER: &str = "members/next_id";
/// The last session that a leader has begun.
pub(crate) const SESSION: &str = "members/session";

/// The stored form of a placement rule.
#[derive(Clone, PartialEq, prost::Message)]
struct StoredRule {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(bytes = "bytes", tag = "2")]
    start_key: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    end_key: Bytes,
    #[prost(bool, tag = "4")]
    is_learner: bool,
    #[prost(uint64, tag = "5")]
    count: u64,
    #[prost(message, repeated, tag = "6")]
    constraints: Vec<StoredConstraint>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct StoredConstraint {
    #[prost(string, tag = "1")]
    key: String,
    /// 0 in, 1 not in, 2 exists, 3 does not exist.
    #[prost(uint32, tag = "2")]
    op: u32,
    #[prost(string, repeated, tag = "3")]
    values: Vec<String>,
}

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

pub(crate) fn rule(id: &str) -> String {
    format!("{RULE_PREFIX}{id}")
}

pub(crate) fn evicting(store_id: u64) -> String {
    format!("{EVICTING_PREFIX}{store_id:020}")
}

pub(crate) fn setting(name: &str) -> String {
    format!("{SETTING_PREFIX}{name}")
}

pub(crate) fn weights(store_id: u64) -> String {
    format!("{WEIGHTS_PREFIX}{store_id:020}")
}

pub(crate) fn resting(kind: SchedulerKind) -> String {
    format!("{RESTING_PREFIX}{}", kind.name())
}

pub(crate) fn member(id: u64) -> String {
    format!("{MEMBER_PREFIX}{id:020}")
}

/// Whether a replicated record is one of the driver's.
pub(crate) fn is_of_driver(name: &str) -> bool {
    !name.starts_with(MEMBERS_PREFIX)
}

pub(crate) fn encode_u64(value: u64) -> Vec<u8> {
    value.to_be_bytes().to_vec()
}

pub(crate) fn decode_u64(name: &str, value: &[u8]) -> Result<u64, OpenError> {
    let bytes = value.try_into().map_err(|_| damaged(name, "a number of eight bytes was expected"))?;
    Ok(u64::from_be_bytes(bytes))
}

pub(crate) fn decode_text(name: &str, value: &[u8]) -> Result<String, OpenError> {
    String::from_utf8(value.to_vec()).map_err(|error| damaged(name, &error.to_string()))
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

/// A store's weights: that for leaders, that for regions.
pub(crate) fn encode_weights(weights: StoreWeights) -> Vec<u8> {
    [weights.leader.parts().to_be_bytes(), weights.region.parts().to_be_bytes()].concat()
}

pub(crate) fn decode_weights(name: &str, value: &[u8]) -> Result<(u64, StoreWeights), OpenError> {
    let odd = || damaged(name, "two weights were expected");
    let store_id = name.trim_start_matches(WEIGHTS_PREFIX).parse().map_err(|_| odd())?;
    let (leader, rest) = value.split_first_chunk().ok_or_else(odd)?;
    let region = rest.try_into().map_err(|_| odd())?;
    let weight = |bytes: [u8; 8]| Weight::from_parts(u64::from_be_bytes(bytes)).ok_or_else(odd);
    Ok((store_id, StoreWeights { leader: weight(*leader)?, region: weight(region)? }))
}

/// Until when a scheduler is paused, in microseconds since 1970; 0 if it was removed.
pub(crate) fn encode_rest(rest: Rest) -> Vec<u8> {
    let until = match rest {
        Rest::Removed => 0,
        Rest::Until(micros) => micros.max(1),
    };
    until.to_be_bytes().to_vec()
}

/// `None` for a scheduler that only another version knows.
pub(crate) fn decode_rest(name: &str, value: &[u8]) -> Result<Option<(SchedulerKind, Rest)>, OpenError> {
    let rest = match decode_u64(name, value)? {
        0 => Rest::Removed,
        until => Rest::Until(i64::try_from(until).unwrap_or(i64::MAX)),
    };
    let kind = SchedulerKind::from_name(name.trim_start_matches(RESTING_PREFIX));
    Ok(kind.map(|kind| (kind, rest)))
}

pub(crate) fn encode_rule(rule: &PlacementRule) -> Vec<u8> {
    let constraints = rule.constraints.iter().map(|constraint| StoredConstraint {
        key: constraint.key.clone(),
        op: constraint.op as u32,
        values: constraint.values.clone(),
    });
    StoredRule {
        id: rule.id.clone(),
        start_key: rule.start_key.clone(),
        end_key: rule.end_key.clone(),
        is_learner: rule.role == ReplicaRole::Learner,
        count: rule.count as u64,
        constraints: constraints.collect(),
    }
    .encode_to_vec()
}

pub(crate) fn decode_rule(name: &str, value: &[u8]) -> Result<PlacementRule, OpenError> {
    let stored = StoredRule::decode(value).map_err(|error| damaged(name, &error.to_string()))?;
    let constraint = |stored: StoredConstraint| {
        let op = match stored.op {
            0 => LabelOp::In,
            1 => LabelOp::NotIn,
            2 => LabelOp::Exists,
            3 => LabelOp::NotExists,
            _ => return Err(damaged(name, "it holds an unknown comparison")),
        };
        Ok(LabelConstraint { key: stored.key, op, values: stored.values })
    };
    Ok(PlacementRule {
        id: stored.id,
        start_key: stored.start_key,
        end_key: stored.end_key,
        role: if stored.is_learner { ReplicaRole::Learner } else { ReplicaRole::Voter },
        count: usize::try_from(stored.count).map_err(|_| damaged(name, "its count is too large"))?,
        constraints: stored.constraints.into_iter().map(constraint).collect::<Result<_, _>>()?,
    })
}

fn damaged(name: &str, reason: &str) -> OpenError {
    OpenError::Record { name: name.to_owned(), reason: reason.to_owned() }
}
