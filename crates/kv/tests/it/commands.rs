//! Commands one after the other, on both engines.

use std::sync::Arc;

use tidewater_kv::{Engine, MemoryEngine, NodeConfig, RocksEngine};
use tidewater_proto::{StoreRequest, StoreResponse, kvrpcpb};

use crate::support::*;

/// Runs a test on both engines.
macro_rules! on_both_engines {
    ($($name:ident)*) => {
        mod memory {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::Store::memory().await).await;
            })*
        }
        mod rocks {
            $(#[tokio::test]
            async fn $name() {
                let dir = tempfile::tempdir().unwrap();
                super::$name(super::rocks_store(dir.path()).await).await;
            })*
        }
    };
}

on_both_engines! {
    two_phase_commit_is_visible_from_its_commit_timestamp_on
    a_conflict_is_told_with_both_timestamps
    one_phase_commits_above_all_reads
    async_commit_locks_are_met_by_readers_with_their_min_commit_ts
    made_up_commit_timestamps_do_not_pile_up
    a_repeated_async_prewrite_answers_what_the_locks_say
    a_secondary_that_was_judged_missing_stays_missing
    actions_of_an_optimistic_transaction_mean_nothing_unless_it_is_guarded
    insert_of_an_existing_key_fails
    long_values_survive_and_vanish_with_a_rollback
    scans_go_both_ways_and_stop_at_locks
    many_versions_and_deletes
    a_pessimistic_transaction_reads_locks_and_writes
    pessimistic_locks_do_not_stop_readers
    a_lost_pessimistic_lock_is_amended_only_if_nobody_wrote
    a_rolled_back_transaction_cannot_come_back
    an_expired_transaction_is_rolled_back_by_who_meets_it
    a_live_primary_is_pushed
    secondaries_decide_async_commit
    locks_are_listed_and_resolved
    garbage_below_the_safe_point_goes
    destroyed_ranges_are_empty
    assertions_are_checked
    repeated_requests_do_nothing_more
}

async fn rocks_store(path: &std::path::Path) -> Store {
    let engine: Arc<dyn Engine> = Arc::new(RocksEngine::open(path).unwrap());
    Store::open(NodeConfig::default(), engine, Arc::default()).await
}

async fn two_phase_commit_is_visible_from_its_commit_timestamp_on(store: Store) {
    let answer = store.prewrite(prewrite(10, &[("a", "1"), ("b", "2")])).await;
    assert_eq!((answer.errors.len(), answer.min_commit_ts, answer.one_pc_commit_ts), (0, 0, 0));
    assert_eq!(store.value("a", 9).await, None);
    let locked = store.get("b", 11).await.error.unwrap().locked.unwrap();
    assert_eq!(
        (locked.primary_lock, locked.lock_version, locked.key, locked.lock_ttl),
        (bytes("a"), 10, bytes("b"), 3000)
    );
    assert_eq!(store.commit(&["a", "b"], 10, 20).await, None);
    assert_eq!(store.value("a", 19).await, None);
    assert_eq!(store.value("a", 20).await.as_deref(), Some("1"));
    assert_eq!(store.value("b", u64::MAX).await.as_deref(), Some("2"));
    assert_eq!(store.commit(&["a", "b"], 10, 20).await, None, "again");
    assert!(store.commit(&["nothing"], 10, 20).await.unwrap().txn_lock_not_found.is_some());
    assert!(store.commit(&["a"], 30, 30).await.unwrap().abort.contains("commit timestamp"));
}

async fn a_conflict_is_told_with_both_timestamps(store: Store) {
    store.prewrite(prewrite(10, &[("k", "1")])).await;
    store.commit(&["k"], 10, 20).await;
    let conflict = store.prewrite(prewrite(15, &[("k", "2")])).await.errors[0].conflict.clone().unwrap();
    assert_eq!((conflict.start_ts, conflict.conflict_ts, conflict.conflict_commit_ts), (15, 10, 20));
    assert_eq!(conflict.reason(), kvrpcpb::write_conflict::Reason::Optimistic);
    // Two keys, one locked: nothing is written, the lock is told.
    store.prewrite(prewrite(30, &[("k", "3")])).await;
    let answer = store.prewrite(prewrite(31, &[("other", "1"), ("k", "4")])).await;
    assert_eq!(answer.errors.len(), 1);
    assert_eq!(answer.errors[0].locked.as_ref().unwrap().lock_version, 30);
    assert_eq!(store.value("other", 100).await, None);
}

async fn one_phase_commits_above_all_reads(store: Store) {
    assert_eq!(store.value("k", 500).await, None);
    let commit_ts = store.write(10, &[("k", "v"), ("l", "w")]).await;
    assert_eq!(commit_ts, 501);
    assert_eq!(store.value("k", 500).await, None);
    assert_eq!(store.value("k", 501).await.as_deref(), Some("v"));
    assert_eq!(store.value("l", 501).await.as_deref(), Some("w"));
    // Too late for the client: it has to commit in two phases.
    let request =
        kvrpcpb::PrewriteRequest { try_one_pc: true, max_commit_ts: 501, ..prewrite(502, &[("k", "x")]) };
    let answer = store.prewrite(request).await;
    assert_eq!((answer.errors.len(), answer.one_pc_commit_ts), (0, 0));
    assert_eq!(store.commit(&["k"], 502, 510).await, None);
}

async fn async_commit_locks_are_met_by_readers_with_their_min_commit_ts(store: Store) {
    store.value("other", 300).await;
    let request = kvrpcpb::PrewriteRequest {
        use_async_commit: true,
        secondaries: vec![bytes("b")],
        ..prewrite(10, &[("a", "1"), ("b", "2")])
    };
    let answer = store.prewrite(request).await;
    assert_eq!((answer.errors.len(), answer.min_commit_ts), (0, 301));
    assert_eq!(store.value("a", 300).await, None, "it will commit above");
    let locked = store.get("a", 301).await.error.unwrap().locked.unwrap();
    assert_eq!(
        (locked.use_async_commit, locked.min_commit_ts, locked.secondaries),
        (true, 301, vec![bytes("b")])
    );
    assert!(store.get("b", 301).await.error.unwrap().locked.unwrap().secondaries.is_empty());
    let expired = store.commit(&["a"], 10, 300).await.unwrap().commit_ts_expired.unwrap();
    assert_eq!((expired.attempted_commit_ts, expired.min_commit_ts), (300, 301));
    assert_eq!(store.commit(&["a", "b"], 10, 301).await, None);
    assert_eq!(store.value("b", 301).await.as_deref(), Some("2"));
}

async fn made_up_commit_timestamps_do_not_pile_up(store: Store) {
    // The placement driver stands at 300, and whoever begins next gets 301.
    store.value("other", 300).await;
    for (start, key, resolved) in [(10, "a", false), (11, "b", true)] {
        let request = kvrpcpb::PrewriteRequest { use_async_commit: true, ..prewrite(start, &[(key, "1")]) };
        assert_eq!(store.prewrite(request).await.min_commit_ts, 301, "{key}");
        if resolved {
            let request = kvrpcpb::ResolveLockRequest {
                start_version: start,
                commit_version: 301,
                keys: vec![bytes(key)],
                ..Default::default()
            };
            assert_eq!(store.resolve(request).await, None);
        } else {
            assert_eq!(store.commit(&[key], start, 301).await, None);
        }
    }
    assert_eq!(store.write(12, &[("c", "1")]).await, 301);
    // A timestamp of the driver is noted.
    store.prewrite(prewrite(302, &[("a", "2")])).await;
    assert_eq!(store.commit(&["a"], 302, 310).await, None);
    assert_eq!(store.write(303, &[("d", "1")]).await, 311);
}

async fn a_repeated_async_prewrite_answers_what_the_locks_say(store: Store) {
    let request = kvrpcpb::PrewriteRequest { use_async_commit: true, ..prewrite(10, &[("a", "1")]) };
    assert_eq!(store.prewrite(request.clone()).await.min_commit_ts, 11);
    // Whoever settles the transaction finds 11 in the lock; the client must not commit it elsewhere.
    store.value("other", 500).await;
    assert_eq!(store.prewrite(request).await.min_commit_ts, 11);
    // The first copy fell back to two phases, and left a lock that says so.
    let late =
        kvrpcpb::PrewriteRequest { use_async_commit: true, max_commit_ts: 20, ..prewrite(12, &[("b", "1")]) };
    assert_eq!(store.prewrite(late.clone()).await.min_commit_ts, 0);
    assert!(!store.get("b", 600).await.error.unwrap().locked.unwrap().use_async_commit);
    let again = kvrpcpb::PrewriteRequest { max_commit_ts: 1_000, ..late };
    assert_eq!(store.prewrite(again).await.min_commit_ts, 0);
}

async fn a_secondary_that_was_judged_missing_stays_missing(store: Store) {
    let unchecked = kvrpcpb::prewrite_request::PessimisticAction::SkipPessimisticCheck as i32;
    for (start, for_update_ts) in [(10, 0), (12, 12)] {
        let request = kvrpcpb::PrewriteRequest {
            use_async_commit: true,
            for_update_ts,
            pessimistic_actions: vec![unchecked],
            guarded: true,
            primary_lock: bytes("p"),
            ..prewrite(start, &[("s", "1")])
        };
        let answer = check_secondaries(&store, &["s"], start).await;
        assert!(answer.locks.is_empty() && answer.commit_ts == 0);
        let conflict = store.prewrite(request).await.errors[0].conflict.clone().unwrap();
        assert_eq!(conflict.reason(), kvrpcpb::write_conflict::Reason::SelfRolledBack);
    }
}

/// Some clients fill them with zeros, which would be "skip the check" in a pessimistic transaction.
async fn actions_of_an_optimistic_transaction_mean_nothing_unless_it_is_guarded(store: Store) {
    store.write(20, &[("b", "1")]).await;
    let skip = kvrpcpb::prewrite_request::PessimisticAction::SkipPessimisticCheck as i32;
    let stranger = kvrpcpb::PrewriteRequest {
        pessimistic_actions: vec![skip, skip],
        ..prewrite(10, &[("a", "2"), ("b", "2")])
    };
    let guarded = kvrpcpb::PrewriteRequest { guarded: true, ..stranger.clone() };
    assert!(store.prewrite(stranger).await.errors[0].conflict.is_some());
    assert_eq!(store.prewrite(guarded).await.errors, []);
}

async fn insert_of_an_existing_key_fails(store: Store) {
    let insert = |start_ts| kvrpcpb::PrewriteRequest {
        mutations: vec![mutation(kvrpcpb::Op::Insert, "k", "v")],
        try_one_pc: true,
        ..prewrite(start_ts, &[("k", "")])
    };
    assert_eq!(store.prewrite(insert(10)).await.errors, []);
    assert_eq!(store.prewrite(insert(20)).await.errors[0].already_exist.as_ref().unwrap().key, bytes("k"));
    let check = kvrpcpb::PrewriteRequest {
        mutations: vec![mutation(kvrpcpb::Op::CheckNotExists, "k", ""), put("other", "1")],
        ..prewrite(25, &[("other", "1")])
    };
    assert!(store.prewrite(check).await.errors[0].already_exist.is_some());
    let delete = kvrpcpb::PrewriteRequest {
        mutations: vec![mutation(kvrpcpb::Op::Del, "k", "")],
        try_one_pc: true,
        ..prewrite(30, &[("k", "")])
    };
    assert_eq!(store.prewrite(delete).await.errors, []);
    assert_eq!(store.prewrite(insert(40)).await.errors, []);
}

async fn long_values_survive_and_vanish_with_a_rollback(store: Store) {
    let long = "x".repeat(300);
    store.write(10, &[("k", &long)]).await;
    assert_eq!(store.value("k", 100).await.as_deref(), Some(long.as_str()));
    store.prewrite(prewrite(200, &[("k", &"y".repeat(1000))])).await;
    assert_eq!(store.rollback(&["k"], 200).await, None);
    assert_eq!(store.value("k", 300).await.as_deref(), Some(long.as_str()));
    let pairs = store.scan(kvrpcpb::ScanRequest { limit: 10, version: 300, ..Default::default() }).await;
    assert_eq!((pairs.len(), pairs[0].value.len()), (1, 300));
}

fn keys_of(pairs: &[kvrpcpb::KvPair]) -> Vec<String> {
    pairs.iter().map(|pair| text(&pair.key)).collect()
}

async fn scans_go_both_ways_and_stop_at_locks(store: Store) {
    store.write(10, &[("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")]).await;
    let forward = kvrpcpb::ScanRequest {
        start_key: bytes("a"),
        end_key: bytes("d"),
        limit: 100,
        version: 100,
        ..Default::default()
    };
    assert_eq!(keys_of(&store.scan(forward.clone()).await), ["a", "b", "c"]);
    assert_eq!(keys_of(&store.scan(kvrpcpb::ScanRequest { limit: 2, ..forward.clone() }).await), ["a", "b"]);
    let backward =
        kvrpcpb::ScanRequest { reverse: true, start_key: bytes("d"), end_key: bytes("a"), ..forward.clone() };
    let pairs = store.scan(backward.clone()).await;
    assert_eq!(keys_of(&pairs), ["c", "b", "a"]);
    assert_eq!(text(&pairs[0].value), "3");
    let keys = store.scan(kvrpcpb::ScanRequest { key_only: true, ..forward.clone() }).await;
    assert!(keys.iter().all(|pair| pair.value.is_empty()));
    // A lock on an existing key and one on a new key.
    store.prewrite(prewrite(50, &[("b", "x"), ("bb", "y")])).await;
    for scan in [forward.clone(), backward] {
        let pairs = store.scan(scan.clone()).await;
        let mut locked =
            pairs.iter().filter(|pair| pair.error.is_some()).map(|pair| text(&pair.key)).collect::<Vec<_>>();
        locked.sort();
        assert_eq!(locked, ["b", "bb"]);
        assert_eq!(pairs.len(), 4, "a, b locked, bb locked, c");
        let before = store.scan(kvrpcpb::ScanRequest { version: 49, ..scan.clone() }).await;
        assert_eq!(before.len(), 3);
        let mut context = store.context(b"a");
        context.resolved_locks = vec![50];
        let StoreResponse::Scan(passed) =
            store.call(StoreRequest::Scan(kvrpcpb::ScanRequest { context: Some(context), ..scan })).await
        else {
            panic!("another answer")
        };
        assert!(passed.pairs.iter().all(|pair| pair.error.is_none()) && passed.pairs.len() == 3);
    }
    let mut context = store.context(b"a");
    context.set_isolation_level(kvrpcpb::IsolationLevel::Rc);
    let request = kvrpcpb::GetRequest { context: Some(context), key: bytes("b"), version: 100 };
    let StoreResponse::Get(answer) = store.call(StoreRequest::Get(request)).await else {
        panic!("another answer")
    };
    assert_eq!(text(&answer.value), "2", "read committed looks through locks");
}

async fn many_versions_and_deletes(store: Store) {
    // More versions than a cursor steps over one by one.
    let mut commit_ts = Vec::new();
    for round in 0..40u64 {
        let start_ts = 1000 + round * 10;
        commit_ts.push(store.write(start_ts, &[("hot", &format!("v{round}")), ("warm", "w")]).await);
    }
    let delete = kvrpcpb::PrewriteRequest {
        mutations: vec![mutation(kvrpcpb::Op::Del, "warm", "")],
        try_one_pc: true,
        ..prewrite(5000, &[("warm", "")])
    };
    let deleted = store.prewrite(delete).await.one_pc_commit_ts;
    for (round, ts) in commit_ts.iter().enumerate().step_by(7) {
        assert_eq!(store.value("hot", *ts).await, Some(format!("v{round}")));
        for reverse in [false, true] {
            let (start_key, end_key) = if reverse { ("z", "a") } else { ("a", "z") };
            let request = kvrpcpb::ScanRequest {
                start_key: bytes(start_key),
                end_key: bytes(end_key),
                reverse,
                limit: 10,
                version: *ts,
                ..Default::default()
            };
            let mut pairs = store.scan(request).await;
            pairs.sort_by(|a, b| a.key.cmp(&b.key));
            assert_eq!(keys_of(&pairs), ["hot", "warm"]);
            assert_eq!(text(&pairs[0].value), format!("v{round}"));
        }
    }
    let after = store.scan(kvrpcpb::ScanRequest { limit: 10, version: deleted, ..Default::default() }).await;
    assert_eq!(keys_of(&after), ["hot"]);
}

async fn a_pessimistic_transaction_reads_locks_and_writes(store: Store) {
    store.write(10, &[("a", "1")]).await;
    let request = kvrpcpb::PessimisticLockRequest { return_values: true, ..lock(20, 20, &["a", "b"]) };
    let answer = store.lock(request).await;
    assert_eq!(
        (answer.errors.len(), answer.values, answer.not_founds),
        (0, vec![bytes("1"), bytes("")], vec![false, true])
    );
    let other = store.lock(lock(30, 30, &["a"])).await.errors[0].locked.clone().unwrap();
    assert_eq!((other.lock_version, other.lock_type()), (20, kvrpcpb::Op::PessimisticLock));
    assert!(store.prewrite(prewrite(31, &[("a", "2")])).await.errors[0].locked.is_some());
    let prewrite = kvrpcpb::PrewriteRequest {
        pessimistic_actions: vec![1, 1],
        for_update_ts: 20,
        ..prewrite(20, &[("a", "2"), ("b", "3")])
    };
    assert_eq!(store.prewrite(prewrite).await.errors, []);
    assert_eq!(store.commit(&["a", "b"], 20, 40).await, None);
    assert_eq!(store.value("b", 40).await.as_deref(), Some("3"));
    // Somebody committed after `for_update_ts`.
    let conflict = store.lock(lock(35, 35, &["a"])).await.errors[0].conflict.clone().unwrap();
    assert_eq!(
        (conflict.reason(), conflict.conflict_commit_ts),
        (kvrpcpb::write_conflict::Reason::PessimisticRetry, 40)
    );
    assert_eq!(store.lock(lock(35, 41, &["a"])).await.errors, []);
    store.unlock(&["a"], 35, 41).await;
    assert_eq!(store.lock(lock(50, 50, &["a"])).await.errors, []);
    // Only what exists is locked.
    let only = kvrpcpb::PessimisticLockRequest {
        return_values: true,
        lock_only_if_exists: true,
        ..lock(60, 60, &["new"])
    };
    assert_eq!(store.lock(only).await.not_founds, [true]);
    assert_eq!(store.lock(lock(61, 61, &["new"])).await.errors, []);
    let mut insert = lock(70, 70, &["b"]);
    insert.mutations[0].set_assertion(kvrpcpb::Assertion::NotExist);
    assert!(store.lock(insert).await.errors[0].already_exist.is_some());
}

async fn pessimistic_locks_do_not_stop_readers(store: Store) {
    store.write(10, &[("a", "1")]).await;
    store.lock(lock(20, 20, &["a"])).await;
    assert_eq!(store.value("a", 100).await.as_deref(), Some("1"));
    assert_eq!(
        store.scan(kvrpcpb::ScanRequest { limit: 9, version: 100, ..Default::default() }).await.len(),
        1
    );
}

async fn a_lost_pessimistic_lock_is_amended_only_if_nobody_wrote(store: Store) {
    let pessimistic = |start_ts| kvrpcpb::PrewriteRequest {
        pessimistic_actions: vec![1],
        for_update_ts: start_ts,
        ..prewrite(start_ts, &[("k", "v")])
    };
    assert_eq!(
        store.prewrite(pessimistic(10)).await.errors,
        [],
        "no lock, no write: as if the lock were there"
    );
    assert_eq!(store.commit(&["k"], 10, 20).await, None);
    assert!(store.prewrite(pessimistic(15)).await.errors[0].retryable.contains("lost"));
    // The lock of another transaction is no better.
    store.lock(lock(30, 30, &["k"])).await;
    assert!(store.prewrite(pessimistic(25)).await.errors[0].retryable.contains("lost"));
}

async fn a_rolled_back_transaction_cannot_come_back(store: Store) {
    assert_eq!(store.rollback(&["k"], 10).await, None, "nothing to roll back, but the mark stays");
    let conflict = store.prewrite(prewrite(10, &[("k", "v")])).await.errors[0].conflict.clone().unwrap();
    assert_eq!(conflict.reason(), kvrpcpb::write_conflict::Reason::SelfRolledBack);
    assert!(store.lock(lock(10, 15, &["k"])).await.errors[0].abort.contains("rolled back"));
    assert!(store.commit(&["k"], 10, 20).await.unwrap().txn_lock_not_found.is_some());
    // A committed transaction cannot be rolled back.
    store.prewrite(prewrite(30, &[("k", "v")])).await;
    store.commit(&["k"], 30, 31).await;
    assert!(store.rollback(&["k"], 30).await.unwrap().abort.contains("committed"));
    assert_eq!(store.value("k", 40).await.as_deref(), Some("v"));
}

async fn an_expired_transaction_is_rolled_back_by_who_meets_it(store: Store) {
    store.prewrite(prewrite(at_ms(1000), &[("p", "1"), ("s", "2")])).await;
    let check = |ms, rollback| kvrpcpb::CheckTxnStatusRequest {
        primary_key: bytes("p"),
        lock_ts: at_ms(1000),
        current_ts: at_ms(ms),
        caller_start_ts: at_ms(900),
        rollback_if_not_exist: rollback,
        verify_is_primary: true,
        ..Default::default()
    };
    let alive = store.check_txn(check(4000, false)).await;
    assert_eq!((alive.lock_ttl, alive.commit_version, alive.lock_info.is_some()), (3000, 0, true));
    let dead = store.check_txn(check(4001, false)).await;
    assert_eq!(
        (dead.lock_ttl, dead.commit_version, dead.action()),
        (0, 0, kvrpcpb::Action::TtlExpireRollback)
    );
    assert_eq!(dead.lock_info, None);
    let again = store.check_txn(check(4001, false)).await;
    assert_eq!(
        (again.lock_ttl, again.commit_version, again.action(), again.error),
        (0, 0, kvrpcpb::Action::NoAction, None)
    );
    assert!(store.commit(&["p"], at_ms(1000), at_ms(5000)).await.is_some());
    // The secondary knows whom to ask.
    let mismatch = kvrpcpb::CheckTxnStatusRequest { primary_key: bytes("s"), ..check(4001, false) };
    assert!(store.check_txn(mismatch).await.error.unwrap().primary_mismatch.is_some());
    // A transaction nobody has heard of.
    let unknown = |rollback| kvrpcpb::CheckTxnStatusRequest { lock_ts: at_ms(7000), ..check(9000, rollback) };
    assert_eq!(
        store.check_txn(unknown(false)).await.error.unwrap().txn_not_found.unwrap().start_ts,
        at_ms(7000)
    );
    assert_eq!(store.check_txn(unknown(true)).await.action(), kvrpcpb::Action::LockNotExistRollback);
    assert!(store.prewrite(prewrite(at_ms(7000), &[("p", "1")])).await.errors[0].conflict.is_some());
}

async fn a_live_primary_is_pushed(store: Store) {
    let request = kvrpcpb::PrewriteRequest {
        min_commit_ts: at_ms(1000) + 1,
        ..prewrite(at_ms(1000), &[("p", "1"), ("s", "2")])
    };
    store.prewrite(request).await;
    let check = kvrpcpb::CheckTxnStatusRequest {
        primary_key: bytes("p"),
        lock_ts: at_ms(1000),
        current_ts: at_ms(1500),
        caller_start_ts: at_ms(1200),
        ..Default::default()
    };
    let pushed = store.check_txn(check).await;
    assert_eq!((pushed.lock_ttl, pushed.action()), (3000, kvrpcpb::Action::MinCommitTsPushed));
    assert_eq!(pushed.lock_info.unwrap().min_commit_ts, at_ms(1500));
    assert_eq!(store.value("p", at_ms(1200)).await, None, "read past it");
    assert!(store.commit(&["p"], at_ms(1000), at_ms(1300)).await.unwrap().commit_ts_expired.is_some());
    assert_eq!(store.commit(&["p"], at_ms(1000), at_ms(1500)).await, None);
    let done = kvrpcpb::CheckTxnStatusRequest {
        primary_key: bytes("p"),
        lock_ts: at_ms(1000),
        ..Default::default()
    };
    assert_eq!(store.check_txn(done).await.commit_version, at_ms(1500));
    // Heartbeats prolong.
    let beat = |advise| kvrpcpb::TxnHeartBeatRequest {
        context: Some(store.context(b"s")),
        primary_lock: bytes("s"),
        start_version: at_ms(1000),
        advise_lock_ttl: advise,
    };
    for (advise, ttl) in [(9000, 9000), (10, 9000)] {
        let StoreResponse::TxnHeartBeat(answer) = store.call(StoreRequest::TxnHeartBeat(beat(advise))).await
        else {
            panic!("another answer")
        };
        assert_eq!((answer.lock_ttl, answer.error), (ttl, None));
    }
}

async fn check_secondaries(
    store: &Store,
    keys: &[&str],
    start_ts: u64,
) -> kvrpcpb::CheckSecondaryLocksResponse {
    let request = kvrpcpb::CheckSecondaryLocksRequest {
        context: Some(store.context(keys[0].as_bytes())),
        keys: keys.iter().map(|key| bytes(key)).collect(),
        start_version: start_ts,
    };
    let StoreResponse::CheckSecondaryLocks(answer) =
        store.call(StoreRequest::CheckSecondaryLocks(request)).await
    else {
        panic!("another answer")
    };
    assert_eq!((&answer.error, &answer.region_error), (&None, &None));
    answer
}

async fn secondaries_decide_async_commit(store: Store) {
    let request = |start_ts, pairs: &[(&str, &str)]| kvrpcpb::PrewriteRequest {
        use_async_commit: true,
        secondaries: vec![bytes("s1"), bytes("s2")],
        primary_lock: bytes("p"),
        ..prewrite(start_ts, pairs)
    };
    store.prewrite(request(10, &[("p", "1"), ("s1", "1"), ("s2", "1")])).await;
    let all = check_secondaries(&store, &["s1", "s2"], 10).await;
    assert_eq!((all.locks.len(), all.commit_ts), (2, 0));
    let min_commit_ts = all.locks.iter().map(|lock| lock.min_commit_ts).max().unwrap();
    store.commit(&["s1"], 10, min_commit_ts).await;
    assert_eq!(check_secondaries(&store, &["s1", "s2"], 10).await.commit_ts, min_commit_ts);
    store.commit(&["p", "s2"], 10, min_commit_ts).await;
    // One secondary was never locked: the transaction is over, and stays over.
    store.prewrite(request(100, &[("p", "2"), ("s1", "2")])).await;
    let missing = check_secondaries(&store, &["s1", "s2"], 100).await;
    assert_eq!((missing.locks.len(), missing.commit_ts), (0, 0));
    assert!(store.prewrite(request(100, &[("s2", "2")])).await.errors[0].conflict.is_some());
    // An async-commit primary is not touched without asking the secondaries, whatever the time.
    let check = |force_sync_commit| kvrpcpb::CheckTxnStatusRequest {
        primary_key: bytes("p"),
        lock_ts: 100,
        current_ts: at_ms(1_000_000),
        force_sync_commit,
        ..Default::default()
    };
    assert!(store.check_txn(check(false)).await.lock_info.unwrap().use_async_commit);
    assert_eq!(store.check_txn(check(true)).await.action(), kvrpcpb::Action::TtlExpireRollback);
}

async fn scan_locks(store: &Store, max_version: u64) -> Vec<String> {
    let request =
        kvrpcpb::ScanLockRequest { context: Some(store.context(b"")), max_version, ..Default::default() };
    let StoreResponse::ScanLock(answer) = store.call(StoreRequest::ScanLock(request)).await else {
        panic!("another answer")
    };
    assert_eq!((answer.error, answer.region_error), (None, None));
    answer.locks.iter().map(|lock| format!("{}@{}", text(&lock.key), lock.lock_version)).collect()
}

async fn locks_are_listed_and_resolved(store: Store) {
    store.prewrite(prewrite(10, &[("a", "1"), ("d", "1")])).await;
    store.prewrite(prewrite(20, &[("b", "2"), ("e", "2")])).await;
    store.lock(lock(30, 30, &["c"])).await;
    store.prewrite(prewrite(40, &[("f", "4")])).await;
    assert_eq!(scan_locks(&store, 100).await, ["a@10", "b@20", "c@30", "d@10", "e@20", "f@40"]);
    assert_eq!(scan_locks(&store, 20).await, ["a@10", "b@20", "d@10", "e@20"]);
    let lite = kvrpcpb::ResolveLockRequest {
        start_version: 10,
        commit_version: 15,
        keys: vec![bytes("d")],
        ..Default::default()
    };
    assert_eq!(store.resolve(lite).await, None);
    assert_eq!(scan_locks(&store, 100).await, ["a@10", "b@20", "c@30", "e@20", "f@40"]);
    let whole = kvrpcpb::ResolveLockRequest { start_version: 10, commit_version: 15, ..Default::default() };
    assert_eq!(store.resolve(whole).await, None);
    let txn_infos = vec![kvrpcpb::TxnInfo { txn: 20, status: 0 }, kvrpcpb::TxnInfo { txn: 30, status: 0 }];
    assert_eq!(store.resolve(kvrpcpb::ResolveLockRequest { txn_infos, ..Default::default() }).await, None);
    assert_eq!(scan_locks(&store, 100).await, ["f@40"]);
    assert_eq!(store.value("d", 15).await.as_deref(), Some("1"));
    assert_eq!(store.value("e", 35).await, None);
}

async fn garbage_below_the_safe_point_goes(store: Store) {
    let long = "x".repeat(300);
    for start_ts in [10, 20, 30, 40] {
        store.prewrite(prewrite(start_ts, &[("k", &long), ("l", "short")])).await;
        store.commit(&["k", "l"], start_ts, start_ts + 5).await;
    }
    store
        .prewrite(kvrpcpb::PrewriteRequest {
            mutations: vec![mutation(kvrpcpb::Op::Del, "l", "")],
            ..prewrite(50, &[("l", "")])
        })
        .await;
    store.commit(&["l"], 50, 55).await;
    store.rollback(&["m"], 51).await;
    let gc = |safe_point| kvrpcpb::GcRequest { context: Some(store.context(b"")), safe_point };
    let versions = |cf| {
        let snapshot = store.node.engine().snapshot();
        let mut iterator = snapshot.iterator(cf, tidewater_kv::IteratorOptions::range(b"z".to_vec(), None));
        let mut count = 0;
        let mut valid = iterator.seek(b"z").unwrap();
        while valid {
            count += 1;
            valid = iterator.next().unwrap();
        }
        count
    };
    use tidewater_kv::Cf;
    assert_eq!((versions(Cf::Write), versions(Cf::Default)), (10, 4));
    for (safe_point, left) in [(34, (8, 3)), (36, (6, 2)), (60, (1, 1)), (60, (1, 1))] {
        let StoreResponse::Gc(answer) = store.call(StoreRequest::Gc(gc(safe_point))).await else {
            panic!("another answer")
        };
        assert_eq!((answer.error, answer.region_error), (None, None));
        assert_eq!((versions(Cf::Write), versions(Cf::Default)), left, "safe point {safe_point}");
        assert_eq!(store.value("k", 60).await, Some(long.clone()));
        assert_eq!(store.value("l", 60).await, None);
    }
}

async fn destroyed_ranges_are_empty(store: Store) {
    store.write(10, &[("a", "1"), ("b", &"2".repeat(300)), ("c", "3")]).await;
    store.prewrite(prewrite(100, &[("bb", "4")])).await;
    store.lock(lock(101, 101, &["bc"])).await;
    let request =
        kvrpcpb::UnsafeDestroyRangeRequest { context: None, start_key: bytes("b"), end_key: bytes("c") };
    let StoreResponse::UnsafeDestroyRange(answer) =
        store.call(StoreRequest::UnsafeDestroyRange(request)).await
    else {
        panic!("another answer")
    };
    assert_eq!((answer.error.as_str(), answer.region_error), ("", None));
    assert_eq!(
        keys_of(&store.scan(kvrpcpb::ScanRequest { limit: 10, version: 200, ..Default::default() }).await),
        ["a", "c"]
    );
    assert!(scan_locks(&store, 200).await.is_empty());
    assert_eq!(store.value("b", 200).await, None);
}

async fn assertions_are_checked(store: Store) {
    store.write(10, &[("k", "1")]).await;
    let check = |start_ts, key: &str, assertion, level| {
        let mut request = prewrite(start_ts, &[(key, "2")]);
        request.mutations[0].assertion = assertion;
        kvrpcpb::PrewriteRequest { assertion_level: level, ..request }
    };
    let failed = store.prewrite(check(20, "k", 2, 2)).await.errors[0].assertion_failed.clone().unwrap();
    assert_eq!((failed.existing_start_ts, failed.assertion()), (10, kvrpcpb::Assertion::NotExist));
    assert!(store.prewrite(check(20, "none", 1, 1)).await.errors[0].assertion_failed.is_some());
    assert_eq!(store.prewrite(check(20, "none", 1, 0)).await.errors, [], "off");
    assert_eq!(store.prewrite(check(20, "k", 1, 2)).await.errors, []);
}

async fn repeated_requests_do_nothing_more(store: Store) {
    let one_phase = kvrpcpb::PrewriteRequest { try_one_pc: true, ..prewrite(10, &[("k", "v")]) };
    let first = store.prewrite(one_phase.clone()).await;
    let second = store.prewrite(one_phase).await;
    assert_eq!((second.errors.len(), second.one_pc_commit_ts), (0, first.one_pc_commit_ts));
    let two_phase = prewrite(100, &[("k", "w")]);
    store.prewrite(two_phase.clone()).await;
    assert_eq!(store.prewrite(two_phase.clone()).await.errors, []);
    store.commit(&["k"], 100, 110).await;
    assert_eq!(store.prewrite(two_phase).await.errors, [], "it was committed meanwhile");
    assert_eq!(store.value("k", 110).await.as_deref(), Some("w"));
    let pessimistic = lock(200, 200, &["k"]);
    store.lock(pessimistic.clone()).await;
    assert_eq!(
        store.lock(kvrpcpb::PessimisticLockRequest { return_values: true, ..pessimistic }).await.values,
        [bytes("w")]
    );
}

#[tokio::test]
async fn a_store_opens_again_with_its_data_and_regions() {
    let dir = tempfile::tempdir().unwrap();
    let pd = Arc::<TestPd>::default();
    let (id, regions);
    {
        let store =
            Store::open(NodeConfig::default(), Arc::new(RocksEngine::open(dir.path()).unwrap()), pd.clone())
                .await;
        store.write(10, &[("a", "1"), ("m", "2")]).await;
        let split = kvrpcpb::SplitRegionRequest {
            context: Some(store.context(b"a")),
            split_key: bytes("h"),
            ..Default::default()
        };
        store.call(StoreRequest::SplitRegion(split)).await;
        (id, regions) = (store.node.store_id(), pd.regions());
        assert_eq!(regions.len(), 2);
    }
    let store =
        Store::open(NodeConfig::default(), Arc::new(RocksEngine::open(dir.path()).unwrap()), pd.clone())
            .await;
    assert_eq!((store.node.store_id(), pd.store_count(), store.node.region_count()), (id, 1, 2));
    assert_eq!(pd.regions(), regions);
    assert_eq!(store.value("m", 100).await.as_deref(), Some("2"));
}

#[tokio::test]
async fn an_empty_request_is_answered() {
    let store = Store::open(NodeConfig::default(), Arc::new(MemoryEngine::new()), Arc::default()).await;
    let request = tidewater_proto::tikvpb::BatchCommandsEmptyRequest { test_id: 7, delay_time: 0 };
    assert!(
        matches!(store.call(StoreRequest::Empty(request)).await, StoreResponse::Empty(answer) if answer.test_id == 7)
    );
}
