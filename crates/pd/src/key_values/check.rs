//! What is refused before anything is decided.

use std::collections::BTreeSet;

use bytes::Bytes;
use tidewater_proto::etcdserverpb::{self as etcd, request_op::Request};
use tidewater_proto::{KeyValueError, etcdserverpb::RequestOp};

use super::state::{KeyRange, State};

/// Bytes of all known versions, from which on nothing is put any more. All of them are in the memory of all members.
const SPACE_BYTES_MAX: usize = 256 << 20;
/// Seconds of a lease.
const TTL_MIN: i64 = 1;
const TTL_MAX: i64 = 9_000_000_000;
const LEASES_MAX: usize = 100_000;
/// How deep transactions may be in transactions.
const DEPTH_MAX: usize = 8;

pub(super) fn range(state: &State, request: &etcd::RangeRequest) -> Result<(), KeyValueError> {
    if request.key.is_empty() {
        return Err(KeyValueError::EmptyKey);
    }
    let is_known = etcd::range_request::SortOrder::try_from(request.sort_order).is_ok()
        && etcd::range_request::SortTarget::try_from(request.sort_target).is_ok();
    if !is_known {
        return Err(KeyValueError::Invalid { reason: "invalid sort option".to_owned() });
    }
    if request.revision > state.revision() {
        return Err(KeyValueError::FutureRevision);
    }
    match request.revision > 0 && request.revision < state.compacted() {
        true => Err(KeyValueError::Compacted { revision: state.compacted() }),
        false => Ok(()),
    }
}

pub(super) fn put(state: &State, request: &etcd::PutRequest) -> Result<(), KeyValueError> {
    put_alone(request)?;
    match request.lease != 0 && state.lease(request.lease).is_none() {
        true => Err(KeyValueError::LeaseNotFound),
        false => Ok(()),
    }
}

fn put_alone(request: &etcd::PutRequest) -> Result<(), KeyValueError> {
    if request.key.is_empty() {
        return Err(KeyValueError::EmptyKey);
    }
    if request.ignore_value && !request.value.is_empty() {
        return Err(KeyValueError::ValueProvided);
    }
    match request.ignore_lease && request.lease != 0 {
        true => Err(KeyValueError::LeaseProvided),
        false => Ok(()),
    }
}

pub(super) fn delete(request: &etcd::DeleteRangeRequest) -> Result<(), KeyValueError> {
    if request.key.is_empty() { Err(KeyValueError::EmptyKey) } else { Ok(()) }
}

/// Whether there is room for more.
pub(super) fn space(state: &State) -> Result<(), KeyValueError> {
    if state.bytes() >= SPACE_BYTES_MAX { Err(KeyValueError::NoSpace) } else { Ok(()) }
}

/// The id and the seconds of a new lease; who names no id gets one near the hint.
pub(super) fn lease(
    state: &State,
    request: &etcd::LeaseGrantRequest,
    hint: i64,
) -> Result<(i64, i64), KeyValueError> {
    if request.ttl > TTL_MAX {
        return Err(KeyValueError::LeaseTooLong);
    }
    if state.leases().len() >= LEASES_MAX {
        return Err(KeyValueError::NoSpace);
    }
    let ttl = request.ttl.max(TTL_MIN);
    match request.id {
        0 => {
            let mut id = hint.unsigned_abs().max(1) as i64 & i64::MAX;
            while id == 0 || state.lease(id).is_some() {
                id = id.checked_add(1).unwrap_or(1);
            }
            Ok((id, ttl))
        }
        id if id < 0 => Err(KeyValueError::Invalid { reason: "the id of a lease is above zero".to_owned() }),
        id if state.lease(id).is_some() => Err(KeyValueError::LeaseExists),
        id => Ok((id, ttl)),
    }
}

/// What a list of operations writes.
#[derive(Default)]
struct Writes<'r> {
    puts: BTreeSet<&'r Bytes>,
    removals: Vec<KeyRange<'r>>,
}

/// A transaction writes each key once at most, whichever way it goes.
pub(super) fn txn(request: &etcd::TxnRequest) -> Result<(), KeyValueError> {
    branches(request, 0).map(|_| ())
}

fn branches(request: &etcd::TxnRequest, depth: usize) -> Result<[Writes<'_>; 2], KeyValueError> {
    let lists = [request.compare.len(), request.success.len(), request.failure.len()];
    if lists.into_iter().any(|count| count > KeyValueError::OPS_MAX) {
        return Err(KeyValueError::TooManyOps);
    }
    if depth >= DEPTH_MAX {
        return Err(KeyValueError::Invalid { reason: "transactions are nested too deep".to_owned() });
    }
    if request.compare.iter().any(|compare| compare.key.is_empty()) {
        return Err(KeyValueError::EmptyKey);
    }
    let is_odd = |compare: &etcd::Compare| {
        etcd::compare::CompareResult::try_from(compare.result).is_err()
            || etcd::compare::CompareTarget::try_from(compare.target).is_err()
    };
    if request.compare.iter().any(is_odd) {
        return Err(KeyValueError::Invalid { reason: "unknown comparison".to_owned() });
    }
    Ok([list(&request.success, depth)?, list(&request.failure, depth)?])
}

fn list(ops: &[RequestOp], depth: usize) -> Result<Writes<'_>, KeyValueError> {
    let mut all = Writes::default();
    // First what this list removes: a put may come before or after.
    for op in ops {
        match &op.request {
            Some(Request::RequestRange(range)) if range.key.is_empty() => {
                return Err(KeyValueError::EmptyKey);
            }
            Some(Request::RequestRange(_)) => {}
            Some(Request::RequestDeleteRange(removal)) => {
                delete(removal)?;
                all.removals.push(KeyRange::new(&removal.key, &removal.range_end));
            }
            Some(Request::RequestPut(put)) => {
                put_alone(put)?;
                if !all.puts.insert(&put.key) {
                    return Err(KeyValueError::DuplicateKey);
                }
            }
            Some(Request::RequestTxn(inner)) => {
                // One of the two comes to pass, so they may write the same.
                let [success, failure] = branches(inner, depth + 1)?;
                let inner: BTreeSet<_> = success.puts.union(&failure.puts).copied().collect();
                if !all.puts.is_disjoint(&inner) {
                    return Err(KeyValueError::DuplicateKey);
                }
                all.puts.extend(inner);
                all.removals.extend(success.removals.into_iter().chain(failure.removals));
            }
            None => return Err(KeyValueError::Invalid { reason: "an operation is empty".to_owned() }),
        }
    }
    let is_removed = |key: &&Bytes| all.removals.iter().any(|range| range.contains(key));
    match all.puts.iter().any(is_removed) {
        true => Err(KeyValueError::DuplicateKey),
        false => Ok(all),
    }
}
