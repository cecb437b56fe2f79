//! SQL nodes: the machines they run on, and what their clients say to them.
//!
//! A node is the real one, with all that it keeps going by itself: its lease on the schema, the jobs it carries out if it owns them, its background
//! work. A crash ends it between two messages; another one starts in its place, with another name. Its clients are connected directly, and lose
//! their connection with it.

mod ddl;
mod worker;

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tidewater_proto::StoreConnector;
use tidewater_session::{Database, DatabaseOptions, Session, SessionOptions, StatementResult, TableSplit};
use tidewater_txn::fault::{FaultyConnector, Trace};
use tidewater_txn::{TxnClient, TxnConfig};
use tidewater_types::SqlError;

use crate::clock::SimClock;
use crate::life::{Death, Life};
use crate::network::Place;
use crate::pd::PdLink;
use crate::store::Stores;

pub(crate) use ddl::SchemaChanger;
pub(crate) use worker::SqlWorker;

const SERVER_VERSION: &str = "8.0.11-Tidewater-simulated";
/// How long a machine takes to start its node again.
const START_PAUSE: Duration = Duration::from_millis(200);
/// Between looks for a node that runs.
const LOOK: Duration = Duration::from_millis(50);
/// Of calm work: a statement that fails again and again will fail for ever.
const CALM_TRIES: usize = 60;

/// The machine a SQL node runs on.
pub(crate) struct SqlHost {
    stores: Arc<Stores>,
    pub(crate) place: Place,
    number: u64,
    clock: Arc<SimClock>,
    running: Mutex<Running>,
    pub(crate) traces: Mutex<Vec<Arc<Trace>>>,
}

struct Running {
    database: Option<Arc<Database>>,
    life: Life,
    death: Death,
    runs: u64,
}

impl Running {
    fn new(runs: u64) -> Self {
        let (life, death) = Life::begin();
        Self { database: None, life, death, runs }
    }
}

impl SqlHost {
    pub(crate) fn start(stores: Arc<Stores>, number: u64, clock: SimClock) -> Arc<Self> {
        let place = Place::Sql(number);
        let running = Mutex::new(Running::new(0));
        let host = Self { stores, place, number, clock: Arc::new(clock), running, traces: Mutex::default() };
        let host = Arc::new(host);
        host.boot(Duration::ZERO);
        host
    }

    /// Everything under way is gone; another node starts.
    pub(crate) fn crash(self: &Arc<Self>) {
        let database = {
            let mut running = self.running.lock();
            running.death.strike();
            let runs = running.runs + 1;
            std::mem::replace(&mut *running, Running::new(runs)).database
        };
        if let Some(database) = database {
            // The dead process has nothing to say; this ends its tasks.
            tokio::spawn(async move { database.close().await });
        }
        self.boot(START_PAUSE);
    }

    fn boot(self: &Arc<Self>, pause: Duration) {
        let (life, runs) = {
            let running = self.running.lock();
            (running.life.clone(), running.runs)
        };
        let host = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            loop {
                let opened = tokio::select! {
                    biased;
                    () = life.ended() => return,
                    opened = Database::open(host.options(&life, runs)) => opened,
                };
                match opened {
                    Ok(database) => {
                        let mut running = host.running.lock();
                        match running.runs == runs {
                            true => running.database = Some(database),
                            false => drop(tokio::spawn(async move { database.close().await })),
                        }
                        return;
                    }
                    Err(error) => {
                        host.note(format_args!("{} does not open: {error}", host.place));
                    }
                }
                tokio::time::sleep(START_PAUSE).await;
            }
        });
    }

    fn options(&self, life: &Life, runs: u64) -> DatabaseOptions {
        let seed = self.stores.seed ^ ((self.number + 1) << 18) ^ (runs << 26);
        let pd = PdLink::new(self.stores.pds.clone(), self.place, Some(life.clone()));
        let wire = self.stores.wire(self.place, Some(life.clone()));
        let network = FaultyConnector::new(wire, self.stores.faults.clone(), seed);
        self.traces.lock().push(network.trace());
        let connector: Arc<dyn StoreConnector> = Arc::new(network);
        DatabaseOptions {
            clock: self.clock.clone(),
            ..options(TxnClient::new(pd, connector, txn_config(seed)), seed)
        }
    }

    pub(crate) fn note(&self, event: impl Display) {
        self.stores.network.journal.note(event);
    }

    /// The node, if it runs, and its life.
    pub(crate) fn running(&self) -> Option<(Arc<Database>, Life)> {
        let running = self.running.lock();
        Some((running.database.clone()?, running.life.clone()))
    }
}

fn txn_config(seed: u64) -> TxnConfig {
    TxnConfig {
        seed,
        lock_ttl: Duration::from_millis(1_500),
        heart_beat_interval: Duration::from_millis(500),
        ..TxnConfig::default()
    }
}

/// What every node is opened with.
fn options(txn: TxnClient, seed: u64) -> DatabaseOptions {
    DatabaseOptions {
        txn: Arc::new(txn),
        clock: Arc::new(SimClock::right()),
        compute: None,
        seed,
        server_version: SERVER_VERSION.to_owned(),
        split_tables: TableSplit::Never,
        gc: false,
        protocol: Default::default(),
        result_cache: None,
        several_nodes: true,
        sleeper: None,
    }
}

/// A node that no partition cuts off and no fault hits, to look at the end of it all.
pub(crate) async fn calm_database(txn: TxnClient) -> Result<Arc<Database>, SqlError> {
    Database::open(options(txn, 0)).await
}

/// A connection of the user `root`.
pub(crate) fn connect(database: &Arc<Database>) -> Result<Session, SqlError> {
    database.session(SessionOptions {
        user: "root".to_owned(),
        client_host: "127.0.0.1".to_owned(),
        client_address: "127.0.0.1:1".to_owned(),
        account: Some(("root".to_owned(), "%".to_owned())),
        database: Some("test".to_owned()),
        ..SessionOptions::default()
    })
}

/// What a statement gave.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) affected: u64,
    /// Values as text; NULL is the word.
    pub(crate) rows: Vec<Vec<String>>,
}

/// Says a statement and waits for all of its answer.
pub(crate) async fn say(session: &mut Session, sql: &str) -> Result<Answer, SqlError> {
    match session.execute(sql).await? {
        StatementResult::Ok(ok) => Ok(Answer { affected: ok.affected_rows, rows: Vec::new() }),
        StatementResult::LocalInfile(_) => Ok(Answer { affected: 0, rows: Vec::new() }),
        StatementResult::Rows(mut set) => {
            let fields = set.fields().clone();
            let mut rows = Vec::new();
            while let Some(chunk) = set.next().await? {
                for row in 0..chunk.num_rows() {
                    let values = fields.iter().enumerate();
                    rows.push(
                        values
                            .map(|(column, field)| chunk.datum(row, column, &field.field_type).to_string())
                            .collect(),
                    );
                }
            }
            Ok(Answer { affected: 0, rows })
        }
    }
}

/// Says a statement until it is carried out. For what may be said twice.
pub(crate) async fn insist(session: &mut Session, sql: &str) -> Result<Answer, SqlError> {
    let mut tries = 0;
    loop {
        match say(session, sql).await {
            Err(error) if tries == CALM_TRIES || error.code == INCONSISTENT => return Err(error),
            Err(_) => {
                tries += 1;
                tokio::time::sleep(LOOK).await;
            }
            Ok(answer) => return Ok(answer),
        }
    }
}

/// `ADMIN CHECK TABLE` has found that an index does not have what its table has.
pub(crate) const INCONSISTENT: u16 = 8003;
/// Nobody knows whether a commit has happened.
const UNDETERMINED: u16 = 8501;
/// What a client is told that nothing is wrong with: to try again, or that a schema change was quicker.
const HARMLESS: [u16; 16] = [
    9007, // a write conflict
    1213, // a deadlock
    1205, // a lock was waited for too long
    9004, // a lock could not be resolved
    8022, // a commit that was rolled back by others
    8027, // the lease on the schema has run out
    8028, // the schema was changed under a transaction
    9005, // a region is not served
    9001, // the placement driver does not answer
    UNDETERMINED,
    1317, // killed
    1054, // no such column
    1060, // such a column is there already
    1061, // such an index is there already
    1091, // no such index or column
    1176, // an index that is to be used does not exist
];

/// Whether an error tells that something is wrong with the database, and not only with the weather.
pub(crate) fn is_wrong(error: &SqlError) -> bool {
    // A store whose disk is broken says what is wrong with it, for which there is no number.
    !HARMLESS.contains(&error.code) && !error.message.starts_with("the store refused")
}
