//! What every engine must do, run on each of them.

use std::{collections::BTreeMap, sync::Arc};

use proptest::prelude::*;

use super::*;

/// A key of a family, and its value or nothing.
type Set<'a> = (Cf, &'a [u8], Option<&'a [u8]>);

fn batch(ops: &[Set<'_>]) -> WriteBatch {
    let mut batch = WriteBatch::new();
    for (cf, key, value) in ops {
        match value {
            Some(value) => batch.put(*cf, key.to_vec(), value.to_vec()),
            None => batch.delete(*cf, key.to_vec()),
        }
    }
    batch
}

fn put(engine: &dyn Engine, key: &[u8], value: &[u8]) {
    engine.write(batch(&[(Cf::Default, key, Some(value))]), Durability::Buffered).unwrap();
}

fn forward(snapshot: &dyn Snapshot, cf: Cf, options: IteratorOptions) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut iterator = snapshot.iterator(cf, options);
    let mut entries = Vec::new();
    let mut valid = iterator.seek(b"").unwrap();
    while valid {
        entries.push((iterator.key().to_vec(), iterator.value().to_vec()));
        valid = iterator.next().unwrap();
    }
    assert!(!iterator.valid() && iterator.key().is_empty() && iterator.value().is_empty());
    entries
}

fn backward(snapshot: &dyn Snapshot, cf: Cf, options: IteratorOptions) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut iterator = snapshot.iterator(cf, options);
    let mut entries = Vec::new();
    let mut valid = iterator.seek_to_last().unwrap();
    while valid {
        entries.push((iterator.key().to_vec(), iterator.value().to_vec()));
        valid = iterator.prev().unwrap();
    }
    entries
}

fn families_are_apart_and_batches_are_whole(engine: &dyn Engine) {
    engine
        .write(
            batch(&[
                (Cf::Default, b"k", Some(b"first")),
                (Cf::Lock, b"k", Some(b"lock")),
                (Cf::Default, b"k", Some(b"second")),
                (Cf::Write, b"gone-long", Some(b"x")),
                (Cf::Write, b"gone-long", None),
                (Cf::Write, b"never-there", None),
            ]),
            Durability::Sync,
        )
        .unwrap();
    assert_eq!(engine.get(Cf::Default, b"k").unwrap().as_deref(), Some(&b"second"[..]));
    assert_eq!(engine.get(Cf::Lock, b"k").unwrap().as_deref(), Some(&b"lock"[..]));
    assert_eq!(engine.get(Cf::Write, b"k").unwrap(), None);
    assert_eq!(engine.get(Cf::Write, b"gone-long").unwrap(), None);
    put(engine, b"empty", b"");
    assert_eq!(engine.get(Cf::Default, b"empty").unwrap().as_deref(), Some(&b""[..]));
}

fn snapshots_do_not_change(engine: &dyn Engine) {
    put(engine, b"a", b"1");
    put(engine, b"b", b"1");
    let old = engine.snapshot();
    let mut iterator = old.iterator(Cf::Default, IteratorOptions::default());
    assert!(iterator.seek(b"a").unwrap());
    put(engine, b"a", b"2");
    put(engine, b"aa", b"2");
    engine.write(batch(&[(Cf::Default, b"b", None)]), Durability::Sync).unwrap();
    assert_eq!(old.get(Cf::Default, b"a").unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(old.get(Cf::Default, b"aa").unwrap(), None);
    assert_eq!(iterator.value(), b"1");
    assert!(iterator.next().unwrap());
    assert_eq!((iterator.key(), iterator.value()), (&b"b"[..], &b"1"[..]));
    // The iterator keeps its snapshot alive.
    let mut iterator = old.iterator(Cf::Default, IteratorOptions::default());
    drop(old);
    put(engine, b"a", b"3");
    assert!(iterator.seek(b"a").unwrap());
    assert_eq!(iterator.value(), b"1");
    let new = engine.snapshot();
    assert_eq!(new.get(Cf::Default, b"b").unwrap(), None);
    assert_eq!(new.get(Cf::Default, b"a").unwrap().as_deref(), Some(&b"3"[..]));
}

fn iterators_keep_their_bounds_and_turn(engine: &dyn Engine) {
    for key in [&b"b"[..], b"d", b"f", b"h"] {
        put(engine, key, key);
    }
    let snapshot = engine.snapshot();
    let options = || IteratorOptions::range(b"c".to_vec(), Some(b"h".to_vec()));
    let keys = |entries: Vec<(Vec<u8>, Vec<u8>)>| entries.into_iter().map(|(key, _)| key).collect::<Vec<_>>();
    assert_eq!(keys(forward(&*snapshot, Cf::Default, options())), [b"d", b"f"]);
    assert_eq!(keys(backward(&*snapshot, Cf::Default, options())), [b"f", b"d"]);
    let mut iterator = snapshot.iterator(Cf::Default, options());
    assert!(iterator.seek(b"e").unwrap() && iterator.key() == b"f");
    assert!(iterator.prev().unwrap() && iterator.key() == b"d");
    assert!(iterator.next().unwrap() && iterator.key() == b"f");
    assert!(!iterator.next().unwrap() && !iterator.valid());
    assert!(iterator.seek_for_prev(b"e").unwrap() && iterator.key() == b"d");
    assert!(iterator.seek_for_prev(b"d").unwrap() && iterator.key() == b"d");
    assert!(!iterator.prev().unwrap());
    assert!(iterator.seek_for_prev(b"z").unwrap() && iterator.key() == b"f");
    assert!(!iterator.seek_for_prev(b"b").unwrap());
    assert!(!iterator.seek(b"h").unwrap());
    let mut empty =
        snapshot.iterator(Cf::Default, IteratorOptions::range(b"d".to_vec(), Some(b"d".to_vec())));
    assert!(!empty.seek(b"").unwrap() && !empty.seek_to_last().unwrap());
}

fn version_iterators_find_all_versions_of_a_key(engine: &dyn Engine) {
    let key = |name: &str, version: u8| [name.as_bytes(), &[0, 0, 0, 0, 0, 0, 0, version]].concat();
    let mut writes = WriteBatch::new();
    for name in ["one", "two", "three"] {
        for version in 1..=3 {
            writes.put(Cf::Write, key(name, version), vec![version]);
        }
    }
    engine.write(writes, Durability::Sync).unwrap();
    engine.flush().unwrap();
    let options =
        || IteratorOptions { usage: IteratorUse::Versions, fill_cache: true, ..IteratorOptions::default() };
    let snapshot = engine.snapshot();
    let mut iterator = snapshot.iterator(Cf::Write, options());
    for name in ["two", "one", "three"] {
        assert!(iterator.seek(&key(name, 2)).unwrap());
        assert_eq!(iterator.value(), [2]);
        assert!(iterator.next().unwrap());
        assert_eq!((iterator.key(), iterator.value()), (&key(name, 3)[..], &[3][..]));
    }
    assert!(!iterator.seek(&key("absent", 1)).unwrap() || !iterator.key().starts_with(b"absent"));
}

fn ranges_are_deleted_and_measured(engine: &dyn Engine) {
    for number in 0..200u32 {
        put(engine, format!("k{number:03}").as_bytes(), &[7; 100]);
    }
    engine.flush().unwrap();
    assert!(engine.approximate_size(Cf::Default, b"k", b"l") > 1000);
    assert!(engine.approximate_size(Cf::Default, b"k", b"") > 1000);
    assert_eq!(engine.approximate_size(Cf::Default, b"x", b"y"), 0);
    engine.delete_range(Cf::Default, b"k050", b"k150").unwrap();
    engine.delete_range(Cf::Default, b"k2", b"k1").unwrap();
    let left = forward(&*engine.snapshot(), Cf::Default, IteratorOptions::default());
    assert_eq!(left.len(), 100);
    assert_eq!(left[50].0, b"k150");
}

fn conforms(open: impl Fn() -> Arc<dyn Engine>) {
    for check in [
        families_are_apart_and_batches_are_whole,
        snapshots_do_not_change,
        iterators_keep_their_bounds_and_turn,
        version_iterators_find_all_versions_of_a_key,
        ranges_are_deleted_and_measured,
    ] {
        check(&*open());
    }
}

#[test]
fn the_memory_engine_conforms() {
    conforms(|| Arc::new(MemoryEngine::new()));
}

#[test]
fn the_memory_engine_loses_what_was_not_synced() {
    let engine = MemoryEngine::with_crashes();
    put(&engine, b"a", b"1");
    engine.write(batch(&[(Cf::Lock, b"b", Some(b"1"))]), Durability::Sync).unwrap();
    put(&engine, b"a", b"2");
    put(&engine, b"c", b"2");
    let survivor = engine.crash();
    assert_eq!(survivor.get(Cf::Default, b"a").unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(survivor.get(Cf::Lock, b"b").unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(survivor.get(Cf::Default, b"c").unwrap(), None);
    put(&survivor, b"c", b"3");
    survivor.flush().unwrap();
    assert_eq!(survivor.crash().get(Cf::Default, b"c").unwrap().as_deref(), Some(&b"3"[..]));
}

#[test]
fn old_versions_do_not_pile_up_in_memory() {
    let engine = MemoryEngine::new();
    let snapshot = engine.snapshot();
    for round in 0..100u8 {
        put(&engine, b"k", &[round]);
        engine.write(batch(&[(Cf::Default, b"gone", Some(b"x"))]), Durability::Buffered).unwrap();
        engine.write(batch(&[(Cf::Default, b"gone", None)]), Durability::Buffered).unwrap();
    }
    assert_eq!(snapshot.get(Cf::Default, b"k").unwrap(), None);
    drop(snapshot);
    for round in 0..20u8 {
        put(&engine, b"other", &[round]);
    }
    assert_eq!(engine.version_count(), 2, "one of k, one of other");
}

#[cfg(feature = "rocksdb")]
#[test]
fn the_rocksdb_engine_conforms() {
    let dir = tempfile::tempdir().unwrap();
    let count = std::cell::Cell::new(0);
    conforms(|| {
        count.set(count.get() + 1);
        Arc::new(RocksEngine::open(dir.path().join(count.get().to_string())).unwrap())
    });
}

#[cfg(feature = "rocksdb")]
#[test]
fn the_rocksdb_engine_keeps_its_data() {
    let dir = tempfile::tempdir().unwrap();
    {
        let engine = RocksEngine::open(dir.path()).unwrap();
        engine.write(batch(&[(Cf::Write, b"k-12345678", Some(b"v"))]), Durability::Sync).unwrap();
        assert!(RocksEngine::open(dir.path()).is_err(), "it is open already");
    }
    let engine = RocksEngine::open(dir.path()).unwrap();
    assert_eq!(engine.get(Cf::Write, b"k-12345678").unwrap().as_deref(), Some(&b"v"[..]));
}

#[derive(Debug, Clone)]
enum Step {
    Write(Vec<(u8, u8, Option<u8>)>),
    DeleteRange(u8, u8, u8),
    Flush,
    Seek(u8, u8, Vec<bool>),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => proptest::collection::vec((0..3u8, 0..32u8, proptest::option::weighted(0.7, any::<u8>())), 1..8).prop_map(Step::Write),
        1 => (0..3u8, 0..32u8, 0..32u8).prop_map(|(cf, from, to)| Step::DeleteRange(cf, from, to)),
        1 => Just(Step::Flush),
        4 => (0..3u8, 0..32u8, proptest::collection::vec(any::<bool>(), 0..6)).prop_map(|(cf, key, moves)| Step::Seek(cf, key, moves)),
    ];
    proptest::collection::vec(step, 1..40)
}

/// Runs the steps on an engine and on ordered maps side by side.
fn mirror(engine: &dyn Engine, steps: &[Step]) {
    // Twelve bytes, so that the timestamp of a versioned key could be cut off.
    let name = |key: u8| format!("key-{key:08}").into_bytes();
    let mut model: [BTreeMap<Vec<u8>, Vec<u8>>; 3] = Default::default();
    for step in steps {
        match step {
            Step::Write(ops) => {
                let mut writes = WriteBatch::new();
                for (cf, key, value) in ops {
                    let (cf, key) = (usize::from(*cf), name(*key));
                    match value {
                        Some(value) => {
                            writes.put(Cf::ALL[cf], key.clone(), vec![*value; 20]);
                            model[cf].insert(key, vec![*value; 20]);
                        }
                        None => {
                            writes.delete(Cf::ALL[cf], key.clone());
                            model[cf].remove(&key);
                        }
                    }
                }
                engine.write(writes, Durability::Buffered).unwrap();
            }
            Step::DeleteRange(cf, from, to) => {
                engine.delete_range(Cf::ALL[usize::from(*cf)], &name(*from), &name(*to)).unwrap();
                model[usize::from(*cf)].retain(|key, _| *key < name(*from) || *key >= name(*to));
            }
            Step::Flush => engine.flush().unwrap(),
            Step::Seek(cf, key, moves) => {
                let model = &model[usize::from(*cf)];
                let snapshot = engine.snapshot();
                let mut iterator = snapshot.iterator(Cf::ALL[usize::from(*cf)], IteratorOptions::default());
                let mut at = model.range(name(*key)..).next();
                iterator.seek(&name(*key)).unwrap();
                for forward in moves {
                    assert_eq!(
                        iterator.valid().then(|| iterator.key().to_vec()),
                        at.map(|(key, _)| key.clone())
                    );
                    let Some((key, value)) = at else { break };
                    assert_eq!(iterator.value(), value);
                    if *forward {
                        iterator.next().unwrap();
                        at = model
                            .range::<Vec<u8>, _>((std::ops::Bound::Excluded(key), std::ops::Bound::Unbounded))
                            .next();
                    } else {
                        iterator.prev().unwrap();
                        at = model.range::<Vec<u8>, _>(..key).next_back();
                    }
                }
            }
        }
    }
    let snapshot = engine.snapshot();
    for cf in Cf::ALL {
        let expected = model[cf as usize].clone().into_iter().collect::<Vec<_>>();
        assert_eq!(forward(&*snapshot, cf, IteratorOptions::default()), expected);
        let reversed = expected.into_iter().rev().collect::<Vec<_>>();
        assert_eq!(backward(&*snapshot, cf, IteratorOptions::default()), reversed);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_memory_engine_mirrors_ordered_maps(steps in steps()) {
        mirror(&MemoryEngine::new(), &steps);
    }
}

#[cfg(feature = "rocksdb")]
proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_rocksdb_engine_mirrors_ordered_maps(steps in steps()) {
        let dir = tempfile::tempdir().unwrap();
        mirror(&RocksEngine::open(dir.path()).unwrap(), &steps);
    }
}
