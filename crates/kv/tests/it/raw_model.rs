//! Random raw commands against a plain map.

use std::{collections::BTreeMap, sync::Arc};

use proptest::prelude::*;
use tidewater_kv::{MemoryEngine, NodeConfig};
use tidewater_types::clock::ManualClock;

use crate::cases::check;
use crate::support::{raw_client::RawClient, *};

const KEYS: [&str; 6] = ["a", "ab", "b", "c", "ca", "d"];
const SPACES: [(i32, &str); 4] = [(0, ""), (0, "write"), (2, ""), (2, "lock")];

#[derive(Debug, Clone)]
enum Op {
    Put {
        key: usize,
        value: u8,
        ttl: u64,
    },
    BatchPut {
        keys: Vec<usize>,
        value: u8,
        ttl: u64,
    },
    Delete {
        key: usize,
    },
    BatchDelete {
        keys: Vec<usize>,
    },
    DeleteRange {
        from: usize,
        to: usize,
    },
    Cas {
        key: usize,
        expected: Option<u8>,
        value: u8,
    },
    Get {
        key: usize,
    },
    BatchGet {
        keys: Vec<usize>,
    },
    Ttl {
        key: usize,
    },
    Scan {
        from: usize,
        to: usize,
        limit: u32,
        reverse: bool,
    },
    Pass {
        seconds: u64,
    },
    /// Power fails.
    Crash,
}

fn ops() -> impl Strategy<Value = Vec<(usize, Op)>> {
    let key = 0..KEYS.len();
    let keys = proptest::sample::subsequence((0..KEYS.len()).collect::<Vec<_>>(), 1..=3);
    let (value, ttl) = (0..4u8, prop_oneof![3 => Just(0u64), 1 => 1..5u64]);
    let op = prop_oneof![
        4 => (key.clone(), value.clone(), ttl.clone()).prop_map(|(key, value, ttl)| Op::Put { key, value, ttl }),
        2 => (keys.clone(), value.clone(), ttl).prop_map(|(keys, value, ttl)| Op::BatchPut { keys, value, ttl }),
        2 => key.clone().prop_map(|key| Op::Delete { key }),
        1 => keys.clone().prop_map(|keys| Op::BatchDelete { keys }),
        1 => (key.clone(), key.clone()).prop_map(|(from, to)| Op::DeleteRange { from, to }),
        3 => (key.clone(), proptest::option::of(value.clone()), value)
            .prop_map(|(key, expected, value)| Op::Cas { key, expected, value }),
        3 => key.clone().prop_map(|key| Op::Get { key }),
        1 => keys.prop_map(|keys| Op::BatchGet { keys }),
        1 => key.clone().prop_map(|key| Op::Ttl { key }),
        3 => (key.clone(), key, 0..5u32, any::<bool>())
            .prop_map(|(from, to, limit, reverse)| Op::Scan { from, to, limit, reverse }),
        2 => (1..4u64).prop_map(|seconds| Op::Pass { seconds }),
        2 => Just(Op::Crash),
    ];
    proptest::collection::vec((0..SPACES.len(), op), 1..60)
}

/// Values with the second in which they expire.
#[derive(Default)]
struct Model {
    now: u64,
    spaces: [BTreeMap<String, (String, Option<u64>)>; SPACES.len()],
}

impl Model {
    fn put(&mut self, space: usize, key: &str, value: &str, ttl: u64) {
        let expiry = (ttl > 0).then(|| self.now + ttl);
        self.spaces[space].insert(key.into(), (value.into(), expiry));
    }

    fn expire(&mut self) {
        for space in &mut self.spaces {
            space.retain(|_, (_, expiry)| expiry.is_none_or(|expiry| expiry > self.now));
        }
    }

    fn get(&self, space: usize, key: &str) -> Option<String> {
        self.spaces[space].get(key).map(|(value, _)| value.clone())
    }
}

async fn step(client: RawClient<'_>, clock: &ManualClock, model: &mut Model, space: usize, op: &Op) {
    let names = |keys: &[usize]| keys.iter().map(|key| KEYS[*key]).collect::<Vec<_>>();
    match op {
        Op::Put { key, value, ttl } => {
            client.put_for(KEYS[*key], &value.to_string(), *ttl).await;
            model.put(space, KEYS[*key], &value.to_string(), *ttl);
        }
        Op::BatchPut { keys, value, ttl } => {
            let value = value.to_string();
            let pairs = names(keys).into_iter().map(|key| (key, value.as_str())).collect::<Vec<_>>();
            assert_eq!(client.batch_put(&pairs, &[*ttl]).await, "");
            names(keys).into_iter().for_each(|key| model.put(space, key, &value, *ttl));
        }
        Op::Delete { key } => {
            client.delete(KEYS[*key]).await;
            model.spaces[space].remove(KEYS[*key]);
        }
        Op::BatchDelete { keys } => {
            client.batch_delete(&names(keys)).await;
            names(keys).into_iter().for_each(|key| drop(model.spaces[space].remove(key)));
        }
        Op::DeleteRange { from, to } => {
            client.delete_range(KEYS[*from], KEYS[*to]).await;
            model.spaces[space].retain(|key, _| !(KEYS[*from]..KEYS[*to]).contains(&key.as_str()));
        }
        Op::Cas { key, expected, value } => {
            let (key, expected) = (KEYS[*key], expected.map(|expected| expected.to_string()));
            let before = model.get(space, key);
            let succeeds = before == expected;
            let answer = client.cas(key, expected.as_deref(), &value.to_string()).await;
            assert_eq!(answer, (succeeds, before));
            if succeeds {
                model.put(space, key, &value.to_string(), 0);
            }
        }
        Op::Get { key } => assert_eq!(client.get(KEYS[*key]).await, model.get(space, KEYS[*key])),
        Op::BatchGet { keys } => {
            let expected =
                names(keys).into_iter().filter_map(|key| Some((key.into(), model.get(space, key)?)));
            assert_eq!(client.batch_get(&names(keys)).await, expected.collect::<Vec<_>>());
        }
        Op::Ttl { key } => {
            let entry = model.spaces[space].get(KEYS[*key]);
            let expected = entry.map(|(_, expiry)| expiry.map_or(0, |expiry| expiry - model.now));
            assert_eq!(client.ttl(KEYS[*key]).await, expected);
        }
        Op::Scan { from, to, limit, reverse } => {
            let range = KEYS[*from]..KEYS[*to];
            let inside = model.spaces[space].iter().filter(|(key, _)| range.contains(&key.as_str()));
            let mut expected =
                inside.map(|(key, (value, _))| (key.clone(), value.clone())).collect::<Vec<_>>();
            if *reverse {
                expected.reverse();
            }
            expected.truncate(*limit as usize);
            assert_eq!(client.scan_at("", KEYS[*from], KEYS[*to], *limit, *reverse).await, expected);
        }
        Op::Pass { seconds } => {
            clock.advance_micros(*seconds as i64 * 1_000_000);
            model.now += seconds;
            model.expire();
        }
        Op::Crash => unreachable!("the caller has the engine"),
    }
}

#[test]
fn raw_commands_agree_with_a_map_over_crashes() {
    check(2_000, ops(), |ops| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let clock = Arc::new(ManualClock::new(0));
            let config = NodeConfig { clock: clock.clone(), ..NodeConfig::default() };
            let mut engine = Arc::new(MemoryEngine::with_crashes());
            let mut store = Store::open(config.clone(), engine.clone(), Arc::default()).await;
            let mut model = Model::default();
            for (space, op) in &ops {
                if let Op::Crash = op {
                    let pd = store.pd.clone();
                    drop(store);
                    // What was acknowledged was synced.
                    engine = Arc::new(engine.crash());
                    store = Store::open(config.clone(), engine.clone(), pd).await;
                    continue;
                }
                let (version, cf) = SPACES[*space];
                let client = RawClient::new(&store, version).in_family(cf);
                step(client, &clock, &mut model, *space, op).await;
            }
        });
    });
}
