//! The keys against a plain model: one map for each revision.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use tidewater_proto::etcdserverpb::{
    self as etcd,
    compare::{CompareResult, CompareTarget, TargetUnion},
    event::EventType,
    request_op::Request,
};
use tidewater_proto::{KeyValueError, KeyValues, KeyWatch};
use tidewater_types::clock::ManualClock;

use super::KeySpace;
use crate::storage::{MemoryStorage, Storage, Store};

fn open(storage: &Arc<MemoryStorage>) -> Arc<KeySpace> {
    let clock = Arc::new(ManualClock::new(1_700_000_000_000_000));
    KeySpace::load(&storage.load().unwrap(), Store::Local(storage.clone()), clock).unwrap()
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn put(key: &str, value: &str) -> etcd::PutRequest {
    etcd::PutRequest { key: bytes(key), value: bytes(value), ..Default::default() }
}

fn put_op(key: &str, value: &str) -> etcd::RequestOp {
    etcd::RequestOp { request: Some(Request::RequestPut(put(key, value))) }
}

fn delete_op(key: &str, end: &str) -> etcd::RequestOp {
    let request = etcd::DeleteRangeRequest { key: bytes(key), range_end: bytes(end), prev_kv: false };
    etcd::RequestOp { request: Some(Request::RequestDeleteRange(request)) }
}

fn get(key: &str, revision: i64) -> etcd::RangeRequest {
    etcd::RangeRequest { key: bytes(key), revision, ..Default::default() }
}

fn all(revision: i64) -> etcd::RangeRequest {
    let everything = Bytes::from_static(&[0]);
    etcd::RangeRequest { key: everything.clone(), range_end: everything, revision, ..Default::default() }
}

fn revision_of(header: &Option<etcd::ResponseHeader>) -> i64 {
    header.as_ref().unwrap().revision
}

/// What the model knows of a key: created, modified, version, value, lease.
type Known = (i64, i64, i64, u8, i64);

#[derive(Debug, Clone)]
enum Op {
    Put {
        key: u8,
        value: u8,
        lease: u8,
    },
    Delete {
        keys: RangeInclusive<u8>,
    },
    /// If the key has this value: puts; else removals.
    Swap {
        key: u8,
        expected: u8,
        value: u8,
        others: RangeInclusive<u8>,
    },
    Grant(u8),
    Revoke(u8),
    /// Of the history since the last one, in hundredths.
    Compact(u8),
    Restart,
}

fn keys() -> impl Strategy<Value = RangeInclusive<u8>> {
    (0..8u8, 0..8u8).prop_map(|(one, other)| one.min(other)..=one.max(other))
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0..8u8, 0..4u8, 0..4u8).prop_map(|(key, value, lease)| Op::Put { key, value, lease }),
        2 => keys().prop_map(|keys| Op::Delete { keys }),
        4 => (0..8u8, 0..4u8, 0..4u8, keys())
            .prop_map(|(key, expected, value, others)| Op::Swap { key, expected, value, others }),
        1 => (1..4u8).prop_map(Op::Grant),
        1 => (1..4u8).prop_map(Op::Revoke),
        1 => (0..101u8).prop_map(Op::Compact),
        1 => Just(Op::Restart),
    ]
}

fn name(key: u8) -> String {
    format!("k{key}")
}

#[derive(Debug, Default)]
struct Model {
    /// The keys at each revision, from the first on.
    history: Vec<BTreeMap<u8, Known>>,
    leases: Vec<i64>,
    compacted: i64,
}

impl Model {
    fn new() -> Self {
        // At revisions 0 and 1 there is nothing.
        Self { history: vec![BTreeMap::new(); 2], ..Self::default() }
    }

    fn revision(&self) -> i64 {
        self.history.len() as i64 - 1
    }

    fn now(&self) -> &BTreeMap<u8, Known> {
        self.history.last().unwrap()
    }

    fn write(&mut self, change: impl FnOnce(&mut BTreeMap<u8, Known>, i64)) {
        let (mut next, revision) = (self.now().clone(), self.revision() + 1);
        change(&mut next, revision);
        if next != *self.now() {
            self.history.push(next);
        }
    }

    fn put(&mut self, key: u8, value: u8, lease: i64) {
        self.write(|keys, revision| {
            let (created, _, version, ..) = keys.get(&key).copied().unwrap_or((revision, 0, 0, 0, 0));
            keys.insert(key, (created, revision, version + 1, value, lease));
        });
    }

    fn events(&self, from: i64) -> Vec<(i64, u8, Option<Known>)> {
        let mut events = Vec::new();
        for revision in from.max(1)..=self.revision() {
            let (before, after) = (&self.history[revision as usize - 1], &self.history[revision as usize]);
            let mut changed: Vec<_> = before
                .keys()
                .chain(after.keys())
                .filter(|key| before.get(key) != after.get(key))
                .map(|key| (revision, *key, after.get(key).copied()))
                .collect();
            changed.sort();
            changed.dedup();
            events.extend(changed);
        }
        events
    }
}

fn known(found: &etcd::KeyValue) -> (u8, Known) {
    let number = |text: &[u8]| text[text.len() - 1] - b'0';
    let value = if found.value.is_empty() { 0 } else { number(&found.value) };
    (number(&found.key), (found.create_revision, found.mod_revision, found.version, value, found.lease))
}

async fn carry_out(space: &KeySpace, model: &mut Model, op: &Op) {
    match op {
        Op::Put { key, value, lease } => {
            let lease = i64::from(*lease);
            let request = etcd::PutRequest { lease, prev_kv: true, ..put(&name(*key), &value.to_string()) };
            let before = model.now().get(key).copied();
            match space.put(request).await {
                Ok(answer) => {
                    assert!(lease == 0 || model.leases.contains(&lease));
                    assert_eq!(answer.prev_kv.as_ref().map(|found| known(found).1), before);
                    model.put(*key, *value, lease);
                    assert_eq!(revision_of(&answer.header), model.revision());
                }
                Err(error) => {
                    assert_eq!(error, KeyValueError::LeaseNotFound);
                    assert!(!model.leases.contains(&lease));
                }
            }
        }
        Op::Delete { keys } => {
            let request = etcd::DeleteRangeRequest {
                key: bytes(&name(*keys.start())),
                range_end: bytes(&name(keys.end() + 1)),
                prev_kv: true,
            };
            let answer = space.delete_range(request).await.unwrap();
            let gone: Vec<_> = model.now().range(keys.clone()).map(|(key, known)| (*key, *known)).collect();
            assert_eq!(answer.prev_kvs.iter().map(known).collect::<Vec<_>>(), gone);
            assert_eq!(answer.deleted, gone.len() as i64);
            model.write(|known, _| known.retain(|key, _| !keys.contains(key)));
            assert_eq!(revision_of(&answer.header), model.revision());
        }
        Op::Swap { key, expected, value, others } => {
            swap(space, model, *key, *expected, *value, others).await
        }
        Op::Grant(id) => {
            let (id, is_new) = (i64::from(*id), !model.leases.contains(&i64::from(*id)));
            let granted = space.lease_grant(etcd::LeaseGrantRequest { ttl: 60, id }).await;
            assert_eq!(granted.is_ok(), is_new, "{granted:?}");
            if is_new {
                model.leases.push(id);
            }
        }
        Op::Revoke(id) => {
            let id = i64::from(*id);
            let revoked = space.lease_revoke(etcd::LeaseRevokeRequest { id }).await;
            assert_eq!(revoked.is_ok(), model.leases.contains(&id), "{revoked:?}");
            model.leases.retain(|known| *known != id);
            model.write(|keys, _| keys.retain(|_, known| known.4 != id));
        }
        Op::Compact(part) => {
            let revision = model.compacted + (model.revision() - model.compacted) * i64::from(*part) / 100;
            let compacted = space.compact(etcd::CompactionRequest { revision, physical: true }).await;
            assert_eq!(compacted.is_ok(), revision > model.compacted, "{compacted:?}");
            model.compacted = model.compacted.max(revision);
        }
        Op::Restart => {}
    }
}

async fn swap(
    space: &KeySpace,
    model: &mut Model,
    key: u8,
    expected: u8,
    value: u8,
    others: &RangeInclusive<u8>,
) {
    let compare = etcd::Compare {
        result: CompareResult::Equal.into(),
        target: CompareTarget::Value.into(),
        key: bytes(&name(key)),
        target_union: Some(TargetUnion::Value(bytes(&expected.to_string()))),
        range_end: Bytes::new(),
    };
    let request = etcd::TxnRequest {
        compare: vec![compare],
        success: others.clone().map(|other| put_op(&name(other), &value.to_string())).collect(),
        failure: vec![delete_op(&name(*others.start()), &name(others.end() + 1))],
    };
    let answer = space.txn(request).await.unwrap();
    let holds = model.now().get(&key).is_some_and(|known| known.3 == expected);
    assert_eq!(answer.succeeded, holds);
    model.write(|keys, revision| {
        for other in others.clone() {
            match holds {
                true => {
                    let (created, _, version, ..) =
                        keys.get(&other).copied().unwrap_or((revision, 0, 0, 0, 0));
                    keys.insert(other, (created, revision, version + 1, value, 0));
                }
                false => drop(keys.remove(&other)),
            }
        }
    });
    assert_eq!(revision_of(&answer.header), model.revision());
}

async fn check_reads(space: &KeySpace, model: &Model) {
    for revision in 1..=model.revision() {
        match space.range(all(revision)).await {
            Ok(found) => {
                assert!(revision >= model.compacted);
                let found: BTreeMap<_, _> = found.kvs.iter().map(known).collect();
                assert_eq!(found, model.history[revision as usize], "at {revision}");
            }
            Err(error) => {
                assert_eq!(error, KeyValueError::Compacted { revision: model.compacted });
                assert!(revision < model.compacted);
            }
        }
    }
    assert_eq!(space.range(all(model.revision() + 1)).await.unwrap_err(), KeyValueError::FutureRevision);
    let leases = space.lease_leases(etcd::LeaseLeasesRequest {}).await.unwrap().leases;
    let mut expected = model.leases.clone();
    expected.sort_unstable();
    assert_eq!(leases.iter().map(|lease| lease.id).collect::<Vec<_>>(), expected);
    for id in expected {
        let request = etcd::LeaseTimeToLiveRequest { id, keys: true };
        let keys = space.lease_time_to_live(request).await.unwrap().keys;
        let held = model.now().iter().filter(|(_, known)| known.4 == id).map(|(key, _)| bytes(&name(*key)));
        assert_eq!(keys, held.collect::<Vec<_>>());
    }
}

async fn watch_from(space: &KeySpace, revision: i64) -> Result<Box<dyn KeyWatch>, KeyValueError> {
    let everything = Bytes::from_static(&[0]);
    let request = etcd::WatchCreateRequest {
        key: everything.clone(),
        range_end: everything,
        start_revision: revision,
        prev_kv: true,
        ..Default::default()
    };
    space.watch(request).await
}

/// What a watch tells until it has nothing more to tell.
async fn told(watch: &mut dyn KeyWatch) -> Vec<(i64, u8, Option<Known>)> {
    let mut events = Vec::new();
    while let Ok(Ok(answer)) = tokio::time::timeout(Duration::from_millis(1), watch.next()).await {
        for event in answer.events {
            let kv = event.kv.as_ref().unwrap();
            let (key, found) = known(kv);
            let found = (event.r#type() == EventType::Put).then_some(found);
            events.push((kv.mod_revision, key, found));
        }
    }
    events.sort();
    events
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn keys_are_as_in_a_map_for_each_revision(ops in prop::collection::vec(op(), 1..60), from in 0..40i64) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let storage = Arc::new(MemoryStorage::new());
            let mut space = open(&storage);
            let mut model = Model::new();
            let mut live = watch_from(&space, 0).await.unwrap();
            let (mut seen, mut lives) = (Vec::new(), true);
            for op in &ops {
                if matches!(op, Op::Restart) {
                    seen.extend(told(&mut *live).await);
                    let reopened = open(&storage);
                    assert_eq!(*space.state.read(), *reopened.state.read());
                    space = reopened;
                    // Its driver is gone: the client asks the next one for what comes after.
                    match watch_from(&space, live.revision() + 1).await {
                        Ok(watch) => live = watch,
                        Err(_) => lives = false,
                    }
                }
                carry_out(&space, &mut model, op).await;
                if lives && model.compacted <= live.revision() + 1 {
                    seen.extend(told(&mut *live).await);
                } else {
                    lives = false;
                }
            }
            check_reads(&space, &model).await;
            if lives {
                assert_eq!(seen, model.events(2));
            }
            // From the past, as far as it is known.
            let from = from.min(model.revision()).max(1);
            match watch_from(&space, from).await {
                Ok(mut watch) => assert_eq!(told(&mut *watch).await, model.events(from)),
                Err(error) => {
                    assert_eq!(error, KeyValueError::Compacted { revision: model.compacted });
                    assert!(from < model.compacted);
                }
            }
        });
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_takes_its_keys_along_unless_it_is_kept_alive() {
    let storage = Arc::new(MemoryStorage::new());
    let space = open(&storage);
    let granted = space.lease_grant(etcd::LeaseGrantRequest { ttl: 10, id: 0 }).await.unwrap();
    let id = granted.id;
    assert!(id > 0 && granted.ttl == 10);
    let request = etcd::PutRequest { lease: id, ..put("owner", "me") };
    space.put(request).await.unwrap();
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_secs(8)).await;
        let kept = space.lease_keep_alive(etcd::LeaseKeepAliveRequest { id }).await.unwrap();
        assert_eq!(kept.ttl, 10);
    }
    // A new leader does not know how long ago that was: the lease has all of its time again.
    tokio::time::sleep(Duration::from_secs(8)).await;
    drop(space);
    let space = open(&storage);
    let mut watch = watch_from(&space, 0).await.unwrap();
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert_eq!(space.range(get("owner", 0)).await.unwrap().count, 1);
    let begun = tokio::time::Instant::now();
    let ended = watch.next().await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    assert_eq!((ended.events.len(), ended.events[0].r#type()), (1, EventType::Delete));
    assert_eq!(ended.events[0].prev_kv.as_ref().unwrap().value, "me");
    assert_eq!(space.lease_keep_alive(etcd::LeaseKeepAliveRequest { id }).await.unwrap().ttl, 0);
    let gone = space.lease_time_to_live(etcd::LeaseTimeToLiveRequest { id, keys: true }).await.unwrap();
    assert_eq!(gone.ttl, -1);
    let late = etcd::PutRequest { lease: id, ..put("owner", "me") };
    assert_eq!(space.put(late).await.unwrap_err(), KeyValueError::LeaseNotFound);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_is_refused() {
    let space = open(&Arc::default());
    let large = Bytes::from(vec![b'v'; KeyValueError::REQUEST_BYTES_MAX]);
    let many = vec![put_op("k", "v"); KeyValueError::OPS_MAX + 1];
    for (request, error) in [
        (put("", "v"), KeyValueError::EmptyKey),
        (etcd::PutRequest { lease: 7, ..put("k", "v") }, KeyValueError::LeaseNotFound),
        (etcd::PutRequest { ignore_value: true, ..put("k", "v") }, KeyValueError::ValueProvided),
        (etcd::PutRequest { ignore_value: true, ..put("k", "") }, KeyValueError::KeyNotFound),
        (etcd::PutRequest { ignore_lease: true, lease: 1, ..put("k", "") }, KeyValueError::LeaseProvided),
        (etcd::PutRequest { value: large, ..put("k", "") }, KeyValueError::TooLarge),
    ] {
        assert_eq!(space.put(request).await.unwrap_err(), error);
    }
    let nested = |ops| {
        let inner = etcd::TxnRequest { success: ops, ..Default::default() };
        etcd::RequestOp { request: Some(Request::RequestTxn(inner)) }
    };
    let mut deep = put_op("k", "v");
    for _ in 0..20 {
        deep = nested(vec![deep]);
    }
    for (success, error) in [
        (many, KeyValueError::TooManyOps),
        (vec![put_op("k", "1"), put_op("k", "2")], KeyValueError::DuplicateKey),
        (vec![put_op("k", "1"), delete_op("a", "z")], KeyValueError::DuplicateKey),
        (vec![delete_op("k", ""), nested(vec![put_op("k", "1")])], KeyValueError::DuplicateKey),
        (vec![delete_op("", "")], KeyValueError::EmptyKey),
        (
            vec![etcd::RequestOp { request: None }],
            KeyValueError::Invalid { reason: "an operation is empty".to_owned() },
        ),
        (vec![deep], KeyValueError::Invalid { reason: "transactions are nested too deep".to_owned() }),
    ] {
        let request = etcd::TxnRequest { success, ..Default::default() };
        assert_eq!(space.txn(request).await.unwrap_err(), error);
    }
    for (request, error) in [
        (etcd::LeaseGrantRequest { ttl: i64::MAX, id: 0 }, KeyValueError::LeaseTooLong),
        (
            etcd::LeaseGrantRequest { ttl: 1, id: -5 },
            KeyValueError::Invalid { reason: "the id of a lease is above zero".to_owned() },
        ),
    ] {
        assert_eq!(space.lease_grant(request).await.unwrap_err(), error);
    }
    assert_eq!(space.range(get("", 0)).await.unwrap_err(), KeyValueError::EmptyKey);
    // None of that has left a trace.
    assert_eq!(revision_of(&space.range(all(0)).await.unwrap().header), 1);
}

#[tokio::test(start_paused = true)]
async fn a_transaction_sees_what_it_writes_and_compares_what_was_before() {
    let space = open(&Arc::default());
    space.put(put("a", "1")).await.unwrap();
    let compare = |target: CompareTarget, union| etcd::Compare {
        result: CompareResult::Equal.into(),
        target: target.into(),
        key: bytes("b"),
        target_union: Some(union),
        range_end: Bytes::new(),
    };
    let absent = compare(CompareTarget::Create, TargetUnion::CreateRevision(0));
    let inner = etcd::TxnRequest {
        compare: vec![absent.clone()],
        success: vec![put_op("c", "inner")],
        failure: vec![put_op("d", "inner")],
    };
    let read = etcd::RequestOp { request: Some(Request::RequestRange(all(0))) };
    let request = etcd::TxnRequest {
        compare: vec![absent],
        success: vec![
            put_op("b", "2"),
            etcd::RequestOp { request: Some(Request::RequestTxn(inner)) },
            delete_op("a", ""),
            read,
        ],
        failure: Vec::new(),
    };
    let answer = space.txn(request).await.unwrap();
    assert!(answer.succeeded);
    let Some(etcd::response_op::Response::ResponseRange(found)) = &answer.responses[3].response else {
        panic!("{answer:?}");
    };
    assert_eq!(revision_of(&found.header), 3);
    let keys: Vec<_> = found.kvs.iter().map(|found| (found.key.clone(), found.mod_revision)).collect();
    assert_eq!(keys, [(bytes("b"), 3), (bytes("c"), 3)]);
    let mut watch = watch_from(&space, 3).await.unwrap();
    let events = watch.next().await.unwrap().events;
    let kinds: Vec<_> = events.iter().map(|event| event.kv.as_ref().unwrap().key.clone()).collect();
    assert_eq!(kinds, [bytes("b"), bytes("c"), bytes("a")], "in the order of the operations");
}

#[tokio::test(start_paused = true)]
async fn a_slow_watch_ends_where_the_history_is_not_known_any_more() {
    let space = open(&Arc::default());
    let mut watch = watch_from(&space, 0).await.unwrap();
    for round in 0..super::HISTORY_MAX + 10 {
        space.put(put("k", &round.to_string())).await.unwrap();
    }
    let Err(KeyValueError::Compacted { revision }) = watch.next().await else { panic!("it is told all") };
    assert!(revision > 5_000, "{revision}");
    let mut watch = watch_from(&space, revision).await.unwrap();
    let mut seen = 0;
    while watch.revision() <= super::HISTORY_MAX as i64 {
        seen += watch.next().await.unwrap().events.len();
    }
    assert!(seen >= super::HISTORY_MIN, "{seen}");
    assert!(space.state.read().overdue_compaction(super::HISTORY_MIN, super::HISTORY_MAX).is_none());
    drop(space);
    assert!(matches!(watch.next().await, Err(KeyValueError::Driver(_))), "its driver is gone");
}
