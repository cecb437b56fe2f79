//! The records that the keys are kept in.
//!
//! Each version is a record of its own, named by its place in the history, so that loading meets them in order and a compaction is nothing but
//! deletions.

use bytes::Bytes;
use prost::Message;
use tidewater_proto::etcdserverpb as etcd;

use super::change::{Change, Event};
use super::state::Version;
use crate::OpenError;
use crate::records::{decode_u64, encode_u64};
use crate::storage::Batch;

/// All records of the keys have names with this prefix.
pub(crate) const PREFIX: &str = "kv/";
const REVISION: &str = "kv/revision";
const COMPACTED: &str = "kv/compacted";
const LEASE_PREFIX: &str = "kv/lease/";
const VERSION_PREFIX: &str = "kv/version/";

/// A record's meaning.
#[derive(Debug)]
pub(super) enum Record {
    Revision(i64),
    Compacted(i64),
    Lease { id: i64, ttl: i64 },
    Event(Event),
}

/// Adds a change to a batch.
pub(super) fn write(change: &Change, batch: &mut Batch) {
    match change {
        Change::Write { revision, events } => write_events(*revision, events, batch),
        Change::Grant { id, ttl } => batch.push((lease_name(*id), Some(encode_i64(*ttl)))),
        Change::Revoke { revision, ids, events } => {
            write_events(*revision, events, batch);
            batch.extend(ids.iter().map(|id| (lease_name(*id), None)));
        }
        Change::Compact { revision, forgotten } => {
            batch.push((COMPACTED.to_owned(), Some(encode_i64(*revision))));
            batch.extend(forgotten.iter().map(|(place, _)| (version_name(*place), None)));
        }
    }
}

fn write_events(revision: i64, events: &[Event], batch: &mut Batch) {
    batch.push((REVISION.to_owned(), Some(encode_i64(revision))));
    batch.extend(events.iter().map(|Event { key, version }| {
        let place = (version.revision, version.place);
        (version_name(place), Some(version.on_the_wire(key).encode_to_vec()))
    }));
}

/// What a record says.
pub(super) fn read(name: &str, value: &[u8]) -> Result<Record, OpenError> {
    if let Some(place) = name.strip_prefix(VERSION_PREFIX) {
        return read_version(name, place, value);
    }
    if let Some(id) = name.strip_prefix(LEASE_PREFIX) {
        let id = id.parse().map_err(|_| damaged(name, "its name holds no lease"))?;
        return Ok(Record::Lease { id, ttl: decode_i64(name, value)? });
    }
    match name {
        REVISION => Ok(Record::Revision(decode_i64(name, value)?)),
        COMPACTED => Ok(Record::Compacted(decode_i64(name, value)?)),
        _ => Err(damaged(name, "nothing is known by this name")),
    }
}

fn read_version(name: &str, place: &str, value: &[u8]) -> Result<Record, OpenError> {
    let odd = || damaged(name, "its name holds no revision");
    let (revision, place) = place.split_once('/').ok_or_else(odd)?;
    let (revision, place) = (revision.parse().map_err(|_| odd())?, place.parse().map_err(|_| odd())?);
    let stored = etcd::KeyValue::decode(value).map_err(|error| damaged(name, &error.to_string()))?;
    let version = Version {
        revision,
        place,
        created: stored.create_revision,
        count: stored.version,
        value: Bytes::copy_from_slice(&stored.value),
        lease: stored.lease,
    };
    Ok(Record::Event(Event { key: Bytes::copy_from_slice(&stored.key), version }))
}

fn lease_name(id: i64) -> String {
    format!("{LEASE_PREFIX}{id:020}")
}

fn version_name((revision, place): (i64, u32)) -> String {
    format!("{VERSION_PREFIX}{revision:020}/{place:010}")
}

fn encode_i64(value: i64) -> Vec<u8> {
    encode_u64(value.unsigned_abs())
}

fn decode_i64(name: &str, value: &[u8]) -> Result<i64, OpenError> {
    i64::try_from(decode_u64(name, value)?).map_err(|_| damaged(name, "its number is too large"))
}

fn damaged(name: &str, reason: &str) -> OpenError {
    OpenError::Record { name: name.to_owned(), reason: reason.to_owned() }
}
