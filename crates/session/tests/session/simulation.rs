//! Clients, SQL layer and store in one paused-clock thread, with a network that loses, delays and repeats messages.
//!
//! Clients move money between accounts, by updates or by replacing rows. Whatever the network does, every statement that
//! reads all accounts sees the same sum, so does a transaction that reads them one by one, and in the end the index agrees
//! with the rows; and equal seeds give equal histories, down to the order and time of every message.
//!
//! `TIDEWATER_SIM_SEEDS=300` runs so many seeds in place of a few.

use std::sync::Arc;
use std::time::Duration;

use tidewater_kv::{Engine, MemoryEngine, Node, NodeConfig};
use tidewater_pd::{MemoryStorage, PdConfig, PlacementDriver};
use tidewater_proto::PdService;
use tidewater_session::{Database, DatabaseOptions, TableSplit};
use tidewater_txn::fault::{Faults, FaultyConnector};
use tidewater_txn::{TxnClient, TxnConfig};
use tidewater_types::clock::WallClock;
use tokio::runtime::{Builder, RngSeed};

use crate::harness::{Answer, Direct, SimulatedClock, root, run};

const ACCOUNTS: u64 = 5;
const CLIENTS: u64 = 4;
const TRANSFERS: u64 = 6;
const BALANCE: u64 = 100;

/// What a run is compared by: the hash and number of all messages, and how the clients fared.
#[derive(Debug, PartialEq, Eq)]
struct History {
    messages: (u64, u64),
    committed: u64,
    refused: u64,
}

fn simulate(seed: u64) -> History {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .rng_seed(RngSeed::from_bytes(&seed.to_le_bytes()))
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let clock: Arc<dyn WallClock> = Arc::new(SimulatedClock::new());
        let engine: Arc<dyn Engine> = Arc::new(MemoryEngine::new());
        let pd = PlacementDriver::open(PdConfig::default(), Arc::new(MemoryStorage::new()), clock.clone())
            .expect("pd");
        let node =
            Node::open(NodeConfig::default(), engine, pd.clone() as Arc<dyn PdService>).await.expect("node");
        let faults = Faults {
            delay_ms: 0..=3,
            lose_request: 0.01,
            lose_answer: 0.01,
            duplicate: 0.01,
            overtaken: 0.01,
            region_error: 0.01,
            timeout: Duration::from_millis(500),
        };
        let network = FaultyConnector::new(Arc::new(Direct(node)), faults, seed);
        let trace = network.trace();
        let txn = TxnClient::new(pd, Arc::new(network), TxnConfig { seed, ..TxnConfig::default() });
        let database = Database::open(DatabaseOptions {
            txn: Arc::new(txn),
            clock,
            compute: None,
            seed,
            server_version: "8.0.11-Tidewater-test".to_owned(),
            split_tables: TableSplit::Tiny,
            gc: false,
            protocol: Default::default(),
            result_cache: None,
            several_nodes: false,
            sleeper: None,
        })
        .await
        .expect("the database opens in spite of the network");
        let mut session = root(&database);
        must(
            &mut session,
            "CREATE TABLE account (id INT PRIMARY KEY, balance INT NOT NULL, KEY by_balance (balance))",
        )
        .await;
        for id in 0..ACCOUNTS {
            must(&mut session, &format!("REPLACE INTO account VALUES ({id}, {BALANCE})")).await;
        }
        let clients: Vec<_> =
            (0..CLIENTS).map(|client| tokio::spawn(transfers(Arc::clone(&database), client, seed))).collect();
        let (mut committed, mut refused) = (0, 0);
        for client in clients {
            let (done, failed) = client.await.expect("a client does not panic");
            committed += done;
            refused += failed;
        }
        assert_eq!(sum(&mut session).await, ACCOUNTS * BALANCE, "seed {seed}");
        must(&mut session, "ADMIN CHECK TABLE account").await;
        session.close().await;
        database.close().await;
        History { messages: trace.digest(), committed, refused }
    })
}

/// Moves money about; gives how many transfers committed and how many were refused.
async fn transfers(database: Arc<Database>, client: u64, seed: u64) -> (u64, u64) {
    let mut session = root(&database);
    let (mut committed, mut refused) = (0, 0);
    for transfer in 0..TRANSFERS {
        // A number for each transfer, the same in every run of the seed.
        let pick = (seed + client * 31 + transfer * 7).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let (from, to) = (pick % ACCOUNTS, (pick + 1 + client % (ACCOUNTS - 1)) % ACCOUNTS);
        let amount = 1 + pick % 9;
        let update = |sign: char, id: u64| {
            vec![format!("UPDATE account SET balance = balance {sign} {amount} WHERE id = {id}")]
        };
        let replace = |sign: char, id: u64| {
            vec![
                format!("SELECT balance {sign} {amount} INTO @b FROM account WHERE id = {id} FOR UPDATE"),
                format!("DELETE FROM account WHERE id = {id}"),
                format!("INSERT INTO account VALUES ({id}, @b)"),
            ]
        };
        let change =
            |sign, id| if (pick >> 8).is_multiple_of(3) { replace(sign, id) } else { update(sign, id) };
        let mode = if pick.is_multiple_of(4) { "BEGIN OPTIMISTIC" } else { "BEGIN" };
        let statements =
            [vec![mode.to_owned()], change('-', from), change('+', to), vec!["COMMIT".to_owned()]].concat();
        let mut failed = false;
        for statement in statements {
            if run(&mut session, &statement).await.is_err() {
                failed = true;
                break;
            }
        }
        if failed {
            refused += 1;
            // Nothing is owed to a transaction that failed but to end it.
            let _ = run(&mut session, "ROLLBACK").await;
        } else {
            committed += 1;
        }
        assert_eq!(sum(&mut session).await, ACCOUNTS * BALANCE, "seed {seed}, client {client}");
        if let Some(sum) = sum_one_by_one(&mut session).await {
            assert_eq!(sum, ACCOUNTS * BALANCE, "seed {seed}, client {client}");
        }
    }
    session.close().await;
    (committed, refused)
}

async fn must(session: &mut tidewater_session::Session, sql: &str) {
    let mut tries = 0;
    while let Err(error) = run(session, sql).await {
        tries += 1;
        assert!(tries < 20, "{sql}: {error}");
    }
}

async fn sum(session: &mut tidewater_session::Session) -> u64 {
    let mut tries = 0;
    loop {
        match run(session, "SELECT CAST(SUM(balance) AS SIGNED) FROM account").await {
            Ok(Answer::Rows(rows)) => return rows[0][0].parse().expect("a number"),
            Ok(other) => panic!("{other:?}"),
            Err(error) => {
                tries += 1;
                assert!(tries < 20, "{error}");
            }
        }
    }
}

/// The sum by point reads in one transaction; `None` when the network did not let it end.
async fn sum_one_by_one(session: &mut tidewater_session::Session) -> Option<u64> {
    let mut sum = 0;
    let mut failed = run(session, "BEGIN").await.is_err();
    for id in 0..ACCOUNTS {
        match run(session, &format!("SELECT balance FROM account WHERE id = {id}")).await {
            Ok(Answer::Rows(rows)) => sum += rows[0][0].parse::<u64>().expect("a number"),
            Ok(other) => panic!("{other:?}"),
            Err(_) => failed = true,
        }
    }
    failed |= run(session, "COMMIT").await.is_err();
    (!failed).then_some(sum)
}

#[test]
fn money_is_kept_whatever_the_seed() {
    let seeds = std::env::var("TIDEWATER_SIM_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(6);
    let mut committed = 0;
    for seed in 100..100 + seeds {
        committed += simulate(seed).committed;
    }
    assert!(committed > seeds, "only {committed} transfers in {seeds} runs");
}

#[test]
fn equal_seeds_give_equal_histories_and_money_is_kept() {
    let first = simulate(7);
    assert!(first.committed > 0, "{first:?}");
    assert_eq!(first, simulate(7));
}

#[test]
fn other_seeds_give_other_histories() {
    assert_ne!(simulate(11).messages, simulate(12).messages);
}
