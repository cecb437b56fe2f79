//! Deciding what a request reads and writes: over the state, with what the same request has written before.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use bytes::Bytes;
use tidewater_proto::KeyValueError;
use tidewater_proto::etcdserverpb::{
    self as etcd,
    compare::{CompareResult, CompareTarget, TargetUnion},
    range_request::{SortOrder, SortTarget},
    request_op::Request,
    response_op::Response,
};

use super::change::{Change, Event};
use super::check;
use super::header;
use super::state::{KeyRange, State, Version};

/// What one request does.
pub(super) struct Writer<'s> {
    state: &'s State,
    /// What it has written, with the last version of each key; a removal has none.
    written: BTreeMap<Bytes, Version>,
}

/// Whether a transaction may write, whichever way it goes.
pub(crate) fn writes(request: &etcd::TxnRequest) -> bool {
    request.success.iter().chain(&request.failure).any(|op| match &op.request {
        Some(Request::RequestPut(_) | Request::RequestDeleteRange(_)) => true,
        Some(Request::RequestTxn(inner)) => writes(inner),
        Some(Request::RequestRange(_)) | None => false,
    })
}

impl<'s> Writer<'s> {
    pub(super) fn new(state: &'s State) -> Self {
        Self { state, written: BTreeMap::new() }
    }

    /// Whether anything was put.
    pub(super) fn puts(&self) -> bool {
        self.written.values().any(|version| !version.is_removal())
    }

    /// The change, if there is any, and the revision after it.
    pub(super) fn finish(self) -> (Option<Change>, i64) {
        if self.written.is_empty() {
            return (None, self.state.revision());
        }
        let revision = self.revision();
        let mut events: Vec<_> =
            self.written.into_iter().map(|(key, version)| Event { key, version }).collect();
        events.sort_by_key(|event| event.version.place);
        (Some(Change::Write { revision, events }), revision)
    }

    /// Of what is written.
    fn revision(&self) -> i64 {
        self.state.revision() + 1
    }

    /// The header of an answer within a transaction: with what it has written so far.
    fn header(&self) -> Option<etcd::ResponseHeader> {
        header(if self.written.is_empty() { self.state.revision() } else { self.revision() })
    }

    fn current(&self, key: &[u8]) -> Option<&Version> {
        match self.written.get(key) {
            Some(version) => Some(version).filter(|version| !version.is_removal()),
            None => self.state.at(key, self.state.revision()),
        }
    }

    fn write(&mut self, key: Bytes, version: Version) {
        let place = self.written.len() as u32;
        self.written.insert(key, Version { place, ..version });
    }

    /// Keys with their versions, in order.
    fn find(&self, range: KeyRange<'_>, revision: i64) -> Vec<etcd::KeyValue> {
        if revision > 0 {
            return self.state.range_at(range, revision).map(|(key, found)| found.on_the_wire(key)).collect();
        }
        let known = self.state.range_at(range, self.state.revision());
        let mut found: BTreeMap<&Bytes, &Version> = known.collect();
        for (key, version) in self.written.iter().filter(|(key, _)| range.contains(key)) {
            match version.is_removal() {
                true => found.remove(key),
                false => found.insert(key, version),
            };
        }
        found.into_iter().map(|(key, version)| version.on_the_wire(key)).collect()
    }

    /// The request was checked.
    pub(super) fn range(&self, request: &etcd::RangeRequest) -> etcd::RangeResponse {
        let mut kvs = self.find(KeyRange::new(&request.key, &request.range_end), request.revision);
        let count = kvs.len() as i64;
        if request.count_only {
            return etcd::RangeResponse { count, ..Default::default() };
        }
        let is_between = |revision: i64, min: i64, max: i64| {
            (min == 0 || revision >= min) && (max == 0 || revision <= max)
        };
        kvs.retain(|found| {
            is_between(found.mod_revision, request.min_mod_revision, request.max_mod_revision)
                && is_between(found.create_revision, request.min_create_revision, request.max_create_revision)
        });
        sort(&mut kvs, request.sort_target(), request.sort_order());
        let limit = usize::try_from(request.limit).ok().filter(|limit| *limit > 0).unwrap_or(usize::MAX);
        let more = kvs.len() > limit;
        kvs.truncate(limit);
        if request.keys_only {
            kvs.iter_mut().for_each(|found| found.value = Bytes::new());
        }
        etcd::RangeResponse { header: None, kvs, more, count }
    }

    pub(super) fn put(&mut self, request: &etcd::PutRequest) -> Result<etcd::PutResponse, KeyValueError> {
        let before = self.current(&request.key).cloned();
        if before.is_none() && (request.ignore_value || request.ignore_lease) {
            return Err(KeyValueError::KeyNotFound);
        }
        let revision = self.revision();
        let kept = |keep: bool| before.as_ref().filter(|_| keep);
        let version = Version {
            revision,
            place: 0,
            created: before.as_ref().map_or(revision, |before| before.created),
            count: before.as_ref().map_or(1, |before| before.count + 1),
            value: kept(request.ignore_value).map_or(&request.value, |before| &before.value).clone(),
            lease: kept(request.ignore_lease).map_or(request.lease, |before| before.lease),
        };
        self.write(request.key.clone(), version);
        let prev_kv = before.filter(|_| request.prev_kv).map(|before| before.on_the_wire(&request.key));
        Ok(etcd::PutResponse { header: None, prev_kv })
    }

    pub(super) fn delete(&mut self, request: &etcd::DeleteRangeRequest) -> etcd::DeleteRangeResponse {
        let found = self.find(KeyRange::new(&request.key, &request.range_end), 0);
        let revision = self.revision();
        for known in &found {
            let Event { key, version } = Event::removal(known.key.clone(), revision, 0);
            self.write(key, version);
        }
        etcd::DeleteRangeResponse {
            header: None,
            deleted: found.len() as i64,
            prev_kvs: if request.prev_kv { found } else { Vec::new() },
        }
    }

    /// The request was checked. All comparisons are made before anything is written, also those of transactions within.
    pub(super) fn txn(&mut self, request: &etcd::TxnRequest) -> Result<etcd::TxnResponse, KeyValueError> {
        let plan = self.decide(request)?;
        self.carry_out(&plan)
    }

    fn decide<'r>(&self, request: &'r etcd::TxnRequest) -> Result<Plan<'r>, KeyValueError> {
        let succeeded = request.compare.iter().all(|compare| self.holds(compare));
        let ops = if succeeded { &request.success } else { &request.failure };
        let step = |op: &'r etcd::RequestOp| {
            Ok(match &op.request {
                Some(Request::RequestRange(range)) => {
                    check::range(self.state, range)?;
                    Step::Range(range)
                }
                Some(Request::RequestPut(put)) => {
                    check::put(self.state, put)?;
                    Step::Put(put)
                }
                Some(Request::RequestDeleteRange(removal)) => Step::Delete(removal),
                Some(Request::RequestTxn(inner)) => Step::Txn(self.decide(inner)?),
                None => return Err(KeyValueError::Invalid { reason: "an operation is empty".to_owned() }),
            })
        };
        Ok(Plan { succeeded, steps: ops.iter().map(step).collect::<Result<_, _>>()? })
    }

    fn carry_out(&mut self, plan: &Plan<'_>) -> Result<etcd::TxnResponse, KeyValueError> {
        let mut responses = Vec::with_capacity(plan.steps.len());
        for step in &plan.steps {
            // Clients read the revision in each of the answers.
            let response = match step {
                Step::Range(range) => {
                    let answer = self.range(range);
                    Response::ResponseRange(etcd::RangeResponse { header: self.header(), ..answer })
                }
                Step::Put(put) => {
                    let answer = self.put(put)?;
                    Response::ResponsePut(etcd::PutResponse { header: self.header(), ..answer })
                }
                Step::Delete(removal) => {
                    let answer = self.delete(removal);
                    let header = self.header();
                    Response::ResponseDeleteRange(etcd::DeleteRangeResponse { header, ..answer })
                }
                Step::Txn(inner) => {
                    let answer = self.carry_out(inner)?;
                    Response::ResponseTxn(etcd::TxnResponse { header: self.header(), ..answer })
                }
            };
            responses.push(etcd::ResponseOp { response: Some(response) });
        }
        Ok(etcd::TxnResponse { header: None, succeeded: plan.succeeded, responses })
    }

    /// Of a range it must hold for each key; a key that does not exist has version 0. An empty range holds, but not where values are compared.
    fn holds(&self, compare: &etcd::Compare) -> bool {
        let nothing = etcd::KeyValue { key: compare.key.clone(), ..Default::default() };
        if compare.range_end.is_empty() {
            return match self.current(&compare.key) {
                Some(found) => holds(compare, &found.on_the_wire(&compare.key)),
                None => compare.target() != CompareTarget::Value && holds(compare, &nothing),
            };
        }
        let found = self.find(KeyRange::new(&compare.key, &compare.range_end), 0);
        match found.is_empty() {
            true => compare.target() != CompareTarget::Value && holds(compare, &nothing),
            false => found.iter().all(|found| holds(compare, found)),
        }
    }
}

/// What a transaction will do, once its comparisons are made.
struct Plan<'r> {
    succeeded: bool,
    steps: Vec<Step<'r>>,
}

enum Step<'r> {
    Range(&'r etcd::RangeRequest),
    Put(&'r etcd::PutRequest),
    Delete(&'r etcd::DeleteRangeRequest),
    Txn(Plan<'r>),
}

/// A number that is not given is 0, and a value that is not given is empty, as in etcd.
fn holds(compare: &etcd::Compare, found: &etcd::KeyValue) -> bool {
    let number = match &compare.target_union {
        Some(
            TargetUnion::Version(number)
            | TargetUnion::CreateRevision(number)
            | TargetUnion::ModRevision(number)
            | TargetUnion::Lease(number),
        ) => *number,
        Some(TargetUnion::Value(_)) | None => 0,
    };
    let order = match compare.target() {
        CompareTarget::Version => found.version.cmp(&number),
        CompareTarget::Create => found.create_revision.cmp(&number),
        CompareTarget::Mod => found.mod_revision.cmp(&number),
        CompareTarget::Lease => found.lease.cmp(&number),
        CompareTarget::Value => match &compare.target_union {
            Some(TargetUnion::Value(value)) => found.value.cmp(value),
            _ => found.value.as_ref().cmp(&[]),
        },
    };
    match compare.result() {
        CompareResult::Equal => order == Ordering::Equal,
        CompareResult::NotEqual => order != Ordering::Equal,
        CompareResult::Greater => order == Ordering::Greater,
        CompareResult::Less => order == Ordering::Less,
    }
}

fn sort(kvs: &mut [etcd::KeyValue], target: SortTarget, order: SortOrder) {
    // They come in the order of their keys, in which equal ones stay.
    match target {
        SortTarget::Key => {}
        SortTarget::Version => kvs.sort_by_key(|found| found.version),
        SortTarget::Create => kvs.sort_by_key(|found| found.create_revision),
        SortTarget::Mod => kvs.sort_by_key(|found| found.mod_revision),
        SortTarget::Value => kvs.sort_by(|one, other| one.value.cmp(&other.value)),
    }
    if order == SortOrder::Descend {
        kvs.reverse();
    }
}
