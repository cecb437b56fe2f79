//! What the node remembers about itself, under keys that start with 0x01 (data keys start with `z` or `r`).

use prost::Message;
use tidewater_proto::{metapb, raftpb, regionpb};
use tidewater_raft::{Applied, Membership, Position};

use crate::{Cf, Durability, Engine, EngineError, IteratorOptions, Snapshot, WriteBatch};

/// The layout of everything in the data directory. Raise it when an older release could not read what a newer one writes.
const FORMAT_VERSION: u32 = 1;
const FORMAT_MAGIC: &[u8] = b"tidewater-kv\0";

const FORMAT_KEY: &[u8] = b"\x01format";
const IDENT_KEY: &[u8] = b"\x01ident";
const CLUSTER_KEY: &[u8] = b"\x01cluster";
const FENCE_KEY: &[u8] = b"\x01fence";
const SPLIT_PENDING_KEY: &[u8] = b"\x01split-pending";
const REGION_PREFIX: &[u8] = b"\x01region";
const REGION_PREFIX_END: &[u8] = b"\x01regioo";
const MOVE_PREFIX: &[u8] = b"\x01move";
const MOVE_PREFIX_END: &[u8] = b"\x01movf";
const GONE_PREFIX: &[u8] = b"\x01gone";
const APPLIED_PREFIX: &[u8] = b"\x01applied";
const TOMBSTONE_PREFIX: &[u8] = b"\x01tombstone";
const INSTALLING_PREFIX: &[u8] = b"\x01installing";
const INSTALLING_PREFIX_END: &[u8] = b"\x01installinh";
const DAMAGED_PREFIX: &[u8] = b"\x01damaged";
const MERGING_PREFIX: &[u8] = b"\x01merging";

/// Refuses data this release does not understand, and marks a new directory as its own.
pub(crate) fn check_format(engine: &dyn Engine) -> Result<(), EngineError> {
    let corrupt = |reason: &str| EngineError::Corrupt { what: "format record", reason: reason.into() };
    let Some(record) = engine.get(Cf::Default, FORMAT_KEY)? else {
        for cf in Cf::ALL {
            let mut iterator = engine.snapshot().iterator(cf, IteratorOptions::default());
            if iterator.seek(&[])? {
                return Err(corrupt("there is data, but no format record"));
            }
        }
        let mut batch = WriteBatch::new();
        batch.put(Cf::Default, FORMAT_KEY.to_vec(), [FORMAT_MAGIC, &FORMAT_VERSION.to_be_bytes()].concat());
        return engine.write(batch, Durability::Sync);
    };
    let version =
        record.strip_prefix(FORMAT_MAGIC).ok_or_else(|| corrupt("this is not the data of a store"))?;
    let found = u32::from_be_bytes(version.try_into().map_err(|_| corrupt("its length is wrong"))?);
    if found == 0 {
        return Err(corrupt("version 0 does not exist"));
    }
    if found > FORMAT_VERSION {
        return Err(EngineError::NewerFormat { found, supported: FORMAT_VERSION });
    }
    Ok(())
}

/// The id PD gave this store.
pub(crate) fn load_store_id(engine: &dyn Engine) -> Result<Option<u64>, EngineError> {
    load_number(engine, IDENT_KEY, "store identity")
}

pub(crate) fn put_store_id(batch: &mut WriteBatch, store_id: u64) {
    batch.put(Cf::Default, IDENT_KEY.to_vec(), store_id.to_be_bytes().to_vec());
}

/// The cluster that this store belongs to.
pub(crate) fn load_cluster_id(engine: &dyn Engine) -> Result<Option<u64>, EngineError> {
    load_number(engine, CLUSTER_KEY, "cluster identity")
}

pub(crate) fn put_cluster_id(batch: &mut WriteBatch, cluster_id: u64) {
    batch.put(Cf::Default, CLUSTER_KEY.to_vec(), cluster_id.to_be_bytes().to_vec());
}

pub(crate) fn put_region(batch: &mut WriteBatch, region: &metapb::Region) {
    batch.put(Cf::Default, region_key(region.id), region.encode_to_vec());
}

pub(crate) fn delete_region(batch: &mut WriteBatch, region_id: u64) {
    batch.delete(Cf::Default, region_key(region_id));
}

/// Notes that a region is on its way to another peer.
pub(crate) fn put_move(batch: &mut WriteBatch, region_id: u64, newcomer: &metapb::Peer) {
    batch.put(Cf::Default, move_key(region_id), newcomer.encode_to_vec());
}

pub(crate) fn delete_move(batch: &mut WriteBatch, region_id: u64) {
    batch.delete(Cf::Default, move_key(region_id));
}

/// Moves that were begun, by region.
pub(crate) fn load_moves(snapshot: &dyn Snapshot) -> Result<Vec<(u64, metapb::Peer)>, EngineError> {
    let corrupt = |reason: String| EngineError::Corrupt { what: "move record", reason };
    load(snapshot, MOVE_PREFIX, MOVE_PREFIX_END, |key, value| {
        let id = region_of(key, MOVE_PREFIX).map_err(|reason| corrupt(reason.to_owned()))?;
        let newcomer = metapb::Peer::decode(value).map_err(|error| corrupt(error.to_string()))?;
        Ok((id, newcomer))
    })
}

/// Notes that a region was here, in this generation, and went to another store.
pub(crate) fn put_gone(batch: &mut WriteBatch, region_id: u64, conf_ver: u64) {
    batch.put(Cf::Default, gone_key(region_id), conf_ver.to_be_bytes().to_vec());
}

pub(crate) fn delete_gone(batch: &mut WriteBatch, region_id: u64) {
    batch.delete(Cf::Default, gone_key(region_id));
}

/// In which generation a region went away from here; `None` if it never did.
pub(crate) fn load_gone(engine: &dyn Engine, region_id: u64) -> Result<Option<u64>, EngineError> {
    load_number(engine, &gone_key(region_id), "gone record")
}

/// How far the replica of a region has applied its log.
pub(crate) fn put_applied(batch: &mut WriteBatch, region_id: u64, peer_id: u64, applied: &Applied) {
    let record = encode_applied(peer_id, applied);
    batch.put(Cf::Default, applied_key(region_id), record.encode_to_vec());
}

fn encode_applied(peer_id: u64, applied: &Applied) -> regionpb::Applied {
    let position = |position: Position| raftpb::LogId { term: position.term, index: position.index };
    let members = applied.membership.members.iter();
    let voters = applied.membership.voters.iter();
    let membership = raftpb::Membership {
        configs: voters.map(|ids| raftpb::Voters { peer_ids: ids.iter().copied().collect() }).collect(),
        members: members.map(|(id, store_id)| raftpb::Member { peer_id: *id, store_id: *store_id }).collect(),
    };
    regionpb::Applied {
        position: applied.position.map(position),
        membership: Some(raftpb::StoredMembership {
            log_id: applied.membership_position.map(position),
            membership: Some(membership),
        }),
        peer_id,
    }
}

pub(crate) fn delete_applied(batch: &mut WriteBatch, region_id: u64) {
    batch.delete(Cf::Default, applied_key(region_id));
}

/// The peer whose replica of a region is here, and how far it has come.
pub(crate) fn load_applied(
    engine: &dyn Engine,
    region_id: u64,
) -> Result<Option<(u64, Applied)>, EngineError> {
    let Some(record) = engine.get(Cf::Default, &applied_key(region_id))? else { return Ok(None) };
    let record = regionpb::Applied::decode(record)
        .map_err(|error| EngineError::Corrupt { what: "applied record", reason: error.to_string() })?;
    Ok(Some((record.peer_id, decode_applied(record))))
}

fn decode_applied(record: regionpb::Applied) -> Applied {
    let position = |id: raftpb::LogId| Position { term: id.term, index: id.index };
    let stored = record.membership.unwrap_or_default();
    let membership = stored.membership.unwrap_or_default();
    Applied {
        position: record.position.map(position),
        membership: Membership {
            voters: membership.configs.into_iter().map(|set| set.peer_ids.into_iter().collect()).collect(),
            members: membership.members.iter().map(|member| (member.peer_id, member.store_id)).collect(),
        },
        membership_position: stored.log_id.map(position),
    }
}

/// A snapshot that is being installed, in more than one write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Installation {
    pub region_id: u64,
    pub peer_id: u64,
    /// Once it is.
    pub applied: Applied,
    /// Where it is kept.
    pub snapshot: String,
}

/// Notes that a replica is neither what it was nor what the snapshot makes of it.
pub(crate) fn put_installation(batch: &mut WriteBatch, installation: &Installation) {
    let record = regionpb::Installation {
        applied: Some(encode_applied(installation.peer_id, &installation.applied)),
        snapshot: installation.snapshot.clone(),
    };
    batch.put(Cf::Default, installing_key(installation.region_id), record.encode_to_vec());
}

pub(crate) fn delete_installation(batch: &mut WriteBatch, region_id: u64) {
    batch.delete(Cf::Default, installing_key(region_id));
}

/// Snapshots that were being installed when the store was last open.
pub(crate) fn load_installations(snapshot: &dyn Snapshot) -> Result<Vec<Installation>, EngineError> {
    let corrupt = |reason: String| EngineError::Corrupt { what: "installation record", reason };
    load(snapshot, INSTALLING_PREFIX, INSTALLING_PREFIX_END, |key, value| {
        let record = regionpb::Installation::decode(value).map_err(|error| corrupt(error.to_string()))?;
        let applied = record.applied.ok_or_else(|| corrupt("it leads nowhere".to_owned()))?;
        Ok(Installation {
            region_id: region_of(key, INSTALLING_PREFIX).map_err(|reason| corrupt(reason.to_owned()))?,
            peer_id: applied.peer_id,
            applied: decode_applied(applied),
            snapshot: record.snapshot,
        })
    })
}

/// A replica that is not to be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Damage {
    pub region_id: u64,
    pub peer_id: u64,
    pub reason: String,
}

/// Notes that a replica is not to be used any more.
pub(crate) fn put_damage(batch: &mut WriteBatch, damage: &Damage) {
    let record = regionpb::Damage { peer_id: damage.peer_id, reason: damage.reason.clone() };
    batch.put(Cf::Default, damaged_key(damage.region_id), record.encode_to_vec());
}

pub(crate) fn delete_damage(batch: &mut WriteBatch, region_id: u64) {
    batch.delete(Cf::Default, damaged_key(region_id));
}

/// Whether, and why, a replica of the region is not to be used.
pub(crate) fn load_damage(engine: &dyn Engine, region_id: u64) -> Result<Option<Damage>, EngineError> {
    let Some(record) = engine.get(Cf::Default, &damaged_key(region_id))? else { return Ok(None) };
    let record = regionpb::Damage::decode(record)
        .map_err(|error| EngineError::Corrupt { what: "damage record", reason: error.to_string() })?;
    Ok(Some(Damage { region_id, peer_id: record.peer_id, reason: record.reason }))
}

/// The region that a key of a record names.
fn region_of(key: &[u8], prefix: &[u8]) -> Result<u64, &'static str> {
    let id = key.get(prefix.len()..).and_then(|id| <[u8; 8]>::try_from(id).ok());
    id.map(u64::from_be_bytes).ok_or("the length of its key is wrong")
}

/// Notes that this store had a peer of a region, which was removed.
pub(crate) fn put_tombstone(batch: &mut WriteBatch, region_id: u64, peer_id: u64) {
    batch.put(Cf::Default, tombstone_key(region_id), peer_id.to_be_bytes().to_vec());
}

/// The last peer of a region that was removed from this store.
pub(crate) fn load_tombstone(engine: &dyn Engine, region_id: u64) -> Result<Option<u64>, EngineError> {
    load_number(engine, &tombstone_key(region_id), "tombstone")
}

/// Notes what neighbor a region is prepared to become a part of, or that it is not.
pub(crate) fn set_merging(batch: &mut WriteBatch, region_id: u64, into: Option<&metapb::Region>) {
    match into {
        Some(target) => batch.put(Cf::Default, merging_key(region_id), target.encode_to_vec()),
        None => batch.delete(Cf::Default, merging_key(region_id)),
    }
}

/// The neighbor, as it has to be, that a region is prepared to become a part of.
pub(crate) fn load_merging(
    engine: &dyn Engine,
    region_id: u64,
) -> Result<Option<metapb::Region>, EngineError> {
    let record = engine.get(Cf::Default, &merging_key(region_id))?;
    record.map(|record| decode_region(&record)).transpose()
}

/// Writes something that changes nothing.
pub(crate) fn touch(batch: &mut WriteBatch) {
    batch.delete(Cf::Default, FENCE_KEY.to_vec());
}

/// The store's first region is to be the cluster's, and to be split as the settings say, before it is served.
pub(crate) fn put_split_pending(batch: &mut WriteBatch) {
    batch.put(Cf::Default, SPLIT_PENDING_KEY.to_vec(), Vec::new());
}

pub(crate) fn delete_split_pending(batch: &mut WriteBatch) {
    batch.delete(Cf::Default, SPLIT_PENDING_KEY.to_vec());
}

pub(crate) fn is_split_pending(engine: &dyn Engine) -> Result<bool, EngineError> {
    Ok(engine.get(Cf::Default, SPLIT_PENDING_KEY)?.is_some())
}

pub(crate) fn load_region(
    engine: &dyn Engine,
    region_id: u64,
) -> Result<Option<metapb::Region>, EngineError> {
    let record = engine.get(Cf::Default, &region_key(region_id))?;
    record.map(|record| decode_region(&record)).transpose()
}

fn decode_region(record: &[u8]) -> Result<metapb::Region, EngineError> {
    metapb::Region::decode(record)
        .map_err(|error| EngineError::Corrupt { what: "region record", reason: error.to_string() })
}

pub(crate) fn load_regions(snapshot: &dyn Snapshot) -> Result<Vec<metapb::Region>, EngineError> {
    load(snapshot, REGION_PREFIX, REGION_PREFIX_END, |_, value| decode_region(value))
}

fn load<T>(
    snapshot: &dyn Snapshot,
    prefix: &[u8],
    end: &[u8],
    decode: impl Fn(&[u8], &[u8]) -> Result<T, EngineError>,
) -> Result<Vec<T>, EngineError> {
    let options = IteratorOptions::range(prefix.to_vec(), Some(end.to_vec()));
    let mut iterator = snapshot.iterator(Cf::Default, options);
    let mut records = Vec::new();
    let mut valid = iterator.seek(prefix)?;
    while valid {
        records.push(decode(iterator.key(), iterator.value())?);
        valid = iterator.next()?;
    }
    Ok(records)
}

fn move_key(region_id: u64) -> Vec<u8> {
    [MOVE_PREFIX, &region_id.to_be_bytes()].concat()
}

fn gone_key(region_id: u64) -> Vec<u8> {
    [GONE_PREFIX, &region_id.to_be_bytes()].concat()
}

fn installing_key(region_id: u64) -> Vec<u8> {
    [INSTALLING_PREFIX, &region_id.to_be_bytes()].concat()
}

fn damaged_key(region_id: u64) -> Vec<u8> {
    [DAMAGED_PREFIX, &region_id.to_be_bytes()].concat()
}

fn applied_key(region_id: u64) -> Vec<u8> {
    [APPLIED_PREFIX, &region_id.to_be_bytes()].concat()
}

fn tombstone_key(region_id: u64) -> Vec<u8> {
    [TOMBSTONE_PREFIX, &region_id.to_be_bytes()].concat()
}

fn load_number(engine: &dyn Engine, key: &[u8], what: &'static str) -> Result<Option<u64>, EngineError> {
    let Some(record) = engine.get(Cf::Default, key)? else { return Ok(None) };
    let number = <[u8; 8]>::try_from(&record[..])
        .map_err(|_| EngineError::Corrupt { what, reason: "its length is wrong".into() })?;
    Ok(Some(u64::from_be_bytes(number)))
}

fn merging_key(region_id: u64) -> Vec<u8> {
    [MERGING_PREFIX, &region_id.to_be_bytes()].concat()
}

fn region_key(region_id: u64) -> Vec<u8> {
    [REGION_PREFIX, &region_id.to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryEngine;

    fn with_record(cf: Cf, key: &[u8], value: &[u8]) -> MemoryEngine {
        let engine = MemoryEngine::new();
        let mut batch = WriteBatch::new();
        batch.put(cf, key.to_vec(), value.to_vec());
        engine.write(batch, Durability::Sync).unwrap();
        engine
    }

    #[test]
    fn a_new_directory_is_marked_and_known_again() {
        let engine = MemoryEngine::new();
        check_format(&engine).unwrap();
        check_format(&engine).unwrap();
    }

    #[test]
    fn strange_data_is_refused_and_left_alone() {
        let newer = with_record(Cf::Default, FORMAT_KEY, b"tidewater-kv\0\0\0\0\x09");
        assert_eq!(check_format(&newer), Err(EngineError::NewerFormat { found: 9, supported: 1 }));
        for (cf, key, value) in [
            (Cf::Default, FORMAT_KEY, &b"something else"[..]),
            (Cf::Default, FORMAT_KEY, b"tidewater-kv\0\x01"),
            (Cf::Default, FORMAT_KEY, b"tidewater-kv\0\0\0\0\0"),
            (Cf::Write, b"zkey", b"value"),
        ] {
            let engine = with_record(cf, key, value);
            assert!(matches!(check_format(&engine), Err(EngineError::Corrupt { .. })));
            assert_eq!(engine.get(cf, key).unwrap().as_deref(), Some(value));
        }
    }
}
