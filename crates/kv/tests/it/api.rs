//! What a request must say of itself, how large it may be, and what it is told if not.

use std::sync::Arc;

use tidewater_kv::{MemoryEngine, NodeConfig};
use tidewater_proto::{errorpb, kvrpcpb};

use crate::{call, support::*};

fn get(context: kvrpcpb::Context, key: &'static [u8]) -> kvrpcpb::GetRequest {
    kvrpcpb::GetRequest { context: Some(context), key: key.into(), version: 10 }
}

#[tokio::test]
async fn a_request_for_another_cluster_is_refused() {
    let store = Store::memory().await;
    let context = |cluster_id| kvrpcpb::Context { cluster_id, ..store.context(b"k") };
    for cluster_id in [0, pd::CLUSTER_ID] {
        assert_eq!(call!(store, Get, get(context(cluster_id), b"k")).region_error, None);
    }
    let error = call!(store, Get, get(context(99), b"k")).region_error.unwrap();
    assert_eq!(error.message, "mismatched cluster id: the request is for cluster 99, this is 4711");
    let destroy = kvrpcpb::UnsafeDestroyRangeRequest { context: Some(context(99)), ..Default::default() };
    assert_eq!(call!(store, UnsafeDestroyRange, destroy).region_error.unwrap(), error);
    // The region of another cluster may have the same id: nothing else is looked at.
    let elsewhere = kvrpcpb::Context { region_id: 12345, ..context(99) };
    assert_eq!(call!(store, Get, get(elsewhere, b"k")).region_error.unwrap(), error);
}

/// One row per command: what it says to a key or range that is none of API version 2.
#[tokio::test]
async fn transactions_of_version_2_have_keys_of_their_own() {
    let store = Store::memory().await;
    let fine = kvrpcpb::Context { api_version: 2, ..store.context(b"k") };
    let context = || Some(fine.clone());
    let key = || bytes("k");
    let told = |error: Option<kvrpcpb::KeyError>| error.map(|error| error.abort).unwrap_or_default();
    let first = |errors: Vec<kvrpcpb::KeyError>| told(errors.into_iter().next());
    let answers = [
        ("get", told(call!(store, Get, get(fine.clone(), b"k")).error)),
        ("batch get", {
            let request = kvrpcpb::BatchGetRequest { context: context(), keys: vec![key()], version: 10 };
            told(call!(store, BatchGet, request).error)
        }),
        ("scan", {
            let request =
                kvrpcpb::ScanRequest { context: context(), start_key: key(), limit: 1, ..Default::default() };
            told(call!(store, Scan, request).error)
        }),
        ("prewrite", {
            let request = kvrpcpb::PrewriteRequest { context: context(), ..prewrite(10, &[("k", "v")]) };
            first(call!(store, Prewrite, request).errors)
        }),
        ("commit", {
            let request = kvrpcpb::CommitRequest {
                context: context(),
                keys: vec![key()],
                start_version: 10,
                commit_version: 11,
            };
            told(call!(store, Commit, request).error)
        }),
        ("rollback", {
            let request =
                kvrpcpb::BatchRollbackRequest { context: context(), keys: vec![key()], start_version: 10 };
            told(call!(store, BatchRollback, request).error)
        }),
        ("lock", {
            let request = kvrpcpb::PessimisticLockRequest { context: context(), ..lock(10, 10, &["k"]) };
            first(call!(store, PessimisticLock, request).errors)
        }),
        ("heart beat", {
            let request = kvrpcpb::TxnHeartBeatRequest {
                context: context(),
                primary_lock: key(),
                ..Default::default()
            };
            told(call!(store, TxnHeartBeat, request).error)
        }),
        ("status", {
            let request = kvrpcpb::CheckTxnStatusRequest {
                context: context(),
                primary_key: key(),
                ..Default::default()
            };
            told(call!(store, CheckTxnStatus, request).error)
        }),
        ("scan locks", {
            let request =
                kvrpcpb::ScanLockRequest { context: context(), start_key: key(), ..Default::default() };
            told(call!(store, ScanLock, request).error)
        }),
        ("delete range", {
            let request =
                kvrpcpb::DeleteRangeRequest { context: context(), start_key: key(), ..Default::default() };
            call!(store, DeleteRange, request).error
        }),
        ("versions", {
            let request = kvrpcpb::MvccGetByKeyRequest { context: context(), key: key() };
            call!(store, MvccGetByKey, request).error
        }),
    ];
    for (command, answer) in answers {
        assert!(answer.starts_with("key mode mismatch: 6b"), "{command}: {answer:?}");
        assert!(answer.contains("transactional request of API V2"), "{command}: {answer:?}");
    }
    let answer = call!(store, Get, get(fine.clone(), b"x\0\0\0k"));
    assert_eq!((answer.error, answer.region_error, answer.not_found), (None, None, true));
    let unknown = kvrpcpb::Context { api_version: 7, ..fine };
    let error = call!(store, Get, get(unknown, b"x\0\0\0k")).error.unwrap();
    assert!(error.abort.starts_with("unknown API version 7"));
}

#[tokio::test]
async fn what_is_too_large_is_refused_by_name() {
    let config =
        NodeConfig { key_bytes_max: 10, entry_bytes_max: 20, batch_bytes_max: 30, ..NodeConfig::default() };
    let store = Store::open(config, Arc::new(MemoryEngine::new()), Arc::default()).await;
    let write = async |pairs: &[(&str, &str)]| {
        let request = prewrite(10, pairs);
        let context = Some(store.context(pairs[0].0.as_bytes()));
        call!(store, Prewrite, kvrpcpb::PrewriteRequest { context, ..request })
    };
    let answer = write(&[("a key too long", "")]).await;
    assert_eq!(answer.errors[0].abort, "a key of 14 bytes is larger than key_bytes_max, 10");
    let entry = write(&[("k", &"v".repeat(20))]).await.region_error.unwrap();
    assert_eq!(entry.message, "an entry of 21 bytes is larger than entry_bytes_max, 20");
    assert_eq!(entry.raft_entry_too_large.unwrap().entry_size, 21);
    let ten = "v".repeat(10);
    let batch = write(&[("a", &ten), ("b", &ten), ("c", &ten)]).await.region_error.unwrap();
    assert_eq!(batch.message, "a batch of 33 bytes is larger than batch_bytes_max, 30");
    assert_eq!(batch.raft_entry_too_large.unwrap().entry_size, 33);
    let locked = store.lock(lock(10, 10, &["a key too long"])).await;
    assert!(locked.errors[0].abort.contains("key_bytes_max"));
    assert_eq!(write(&[("k", &"v".repeat(19))]).await.errors, []);
}

#[tokio::test]
async fn a_commit_comes_after_its_start() {
    let store = Store::memory().await;
    store.prewrite(prewrite(10, &[("k", "v")])).await;
    for commit_ts in [0, 9, 10] {
        let error = store.commit(&["k"], 10, commit_ts).await.unwrap();
        assert!(error.abort.contains("not after the start timestamp"), "{commit_ts}: {error:?}");
    }
    let resolve = kvrpcpb::ResolveLockRequest {
        start_version: 10,
        commit_version: 10,
        keys: vec![bytes("k")],
        ..Default::default()
    };
    assert!(store.resolve(resolve).await.unwrap().abort.contains("not after the start timestamp"));
    assert_eq!(store.commit(&["k"], 10, 11).await, None);
}

/// Which way a prewrite goes, and that a client is never told "at 0" by a store that could do what it asked for.
#[tokio::test]
async fn prewrites_go_the_way_they_are_asked_to() {
    struct Case {
        name: &'static str,
        one_phase: bool,
        is_async: bool,
        secondaries: &'static [&'static str],
        max_commit_ts: u64,
        /// Whether each of the two timestamps is in the answer: `min_commit_ts`, `one_pc_commit_ts`.
        expected: (bool, bool),
    }
    let case = Case {
        name: "two phases",
        one_phase: false,
        is_async: false,
        secondaries: &["b"],
        max_commit_ts: 0,
        expected: (false, false),
    };
    let cases = [
        Case { name: "one phase", one_phase: true, expected: (false, true), ..case },
        Case {
            name: "one phase before async",
            one_phase: true,
            is_async: true,
            expected: (false, true),
            ..case
        },
        Case { name: "async", is_async: true, expected: (true, false), ..case },
        Case { name: "part of one phase", one_phase: true, secondaries: &["b", "elsewhere"], ..case },
        Case {
            name: "part of one phase, or async",
            one_phase: true,
            is_async: true,
            secondaries: &["b", "elsewhere"],
            expected: (true, false),
            ..case
        },
        Case { name: "too late for async", is_async: true, max_commit_ts: 11, ..case },
        Case { name: "too late for one phase", one_phase: true, is_async: true, max_commit_ts: 11, ..case },
        case,
    ];
    for case in cases {
        let store = Store::memory().await;
        // The store picks timestamps above this read.
        store.value("a", 500).await;
        let request = kvrpcpb::PrewriteRequest {
            try_one_pc: case.one_phase,
            use_async_commit: case.is_async,
            secondaries: case.secondaries.iter().map(|key| bytes(key)).collect(),
            max_commit_ts: case.max_commit_ts,
            ..prewrite(10, &[("a", "1"), ("b", "2")])
        };
        for attempt in ["first", "repeated"] {
            let answer = store.prewrite(request.clone()).await;
            assert_eq!(answer.errors, [], "{} {attempt}", case.name);
            let mut told = (answer.min_commit_ts > 0, answer.one_pc_commit_ts > 0);
            // A repeated request is told of its commit in both ways.
            told.0 &= !told.1;
            assert_eq!(told, case.expected, "{} {attempt}", case.name);
        }
    }
}

#[tokio::test]
async fn an_epoch_of_the_future_is_no_better_than_one_of_the_past() {
    let store = Store::memory().await;
    let mut context = store.context(b"k");
    context.region_epoch.as_mut().unwrap().version += 1;
    let errorpb::Error { epoch_not_match, .. } = call!(store, Get, get(context, b"k")).region_error.unwrap();
    assert_eq!(epoch_not_match.unwrap().current_regions, store.pd.regions());
}
