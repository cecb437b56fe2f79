//! The SQL nodes of a cluster: the tables before the work begins, and what they hold in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rand::SeedableRng;
use rand::rngs::SmallRng;
use tidewater_session::Database;
use tidewater_txn::TxnKind;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::{START_LOOK, WORKERS_PER_CLIENT, World};
use crate::Options;
use crate::check::Finding;
use crate::clock::SimClock;
use crate::history::Value;
use crate::sql::{SchemaChanger, SqlHost, SqlWorker, calm_database, connect, insist};
use crate::store::Stores;
use crate::workload::{SqlTable, Workload, row};

/// The machines of the SQL nodes, switched on.
pub(super) fn nodes(stores: &Arc<Stores>, options: &Options) -> Vec<Arc<SqlHost>> {
    let mut clocks = SmallRng::seed_from_u64(options.seed ^ 0x5c1_c10c);
    let count = if options.workload.is_sql() { options.clients } else { 0 };
    (0..count).map(|number| SqlHost::start(stores.clone(), number, SimClock::new(&mut clocks))).collect()
}

impl World {
    /// Makes the tables, once a node runs that can.
    pub(super) async fn create_tables(&self, table: SqlTable) {
        let database = loop {
            if let Some((database, _)) = self.sql_nodes.iter().find_map(|host| host.running()) {
                break database;
            }
            sleep(START_LOOK).await;
        };
        let mut session = connect(&database).expect("nobody forbids it");
        for statement in table.create() {
            insist(&mut session, &statement)
                .await
                .expect("a cluster to which nothing has happened yet makes tables");
        }
        while self.sql_nodes.iter().any(|host| host.running().is_none()) {
            sleep(START_LOOK).await;
        }
    }

    /// Lets clients of the SQL nodes begin to work, and somebody change the schema.
    pub(super) fn sql_workers(&self, options: &Options, table: SqlTable) -> Vec<JoinHandle<()>> {
        let rng = |number: u64| SmallRng::seed_from_u64(options.seed ^ (number << 40));
        let count = WORKERS_PER_CLIENT * self.sql_nodes.len();
        let worker = |number: usize| SqlWorker {
            hosts: self.sql_nodes.clone(),
            history: self.history.clone(),
            table,
            rng: rng(number as u64 + 1),
            number,
        };
        let changer = SchemaChanger {
            hosts: self.sql_nodes.clone(),
            history: self.history.clone(),
            table,
            rng: rng(count as u64 + 1),
            changed: self.schema_changes.clone(),
        };
        let workers = (0..count).map(|number| tokio::spawn(worker(number).work(options.steps)));
        let mut all: Vec<_> = workers.collect();
        all.push(tokio::spawn(changer.work()));
        all
    }

    /// Reads table and ledger in the end, as one more transaction of the history, at a node that came late; and has it compare indexes and table.
    pub(crate) async fn last_read(&self, table: SqlTable) -> Result<(), Finding> {
        let database = self.late_node().await?;
        let mut session = connect(&database).map_err(wrong)?;
        let began = self.history.tick();
        insist(&mut session, "ADMIN CHECK TABLE t").await.map_err(wrong)?;
        let found = insist(&mut session, table.read()).await.map_err(wrong)?.rows;
        let ledger = insist(&mut session, "SELECT number FROM done").await.map_err(wrong)?.rows;
        let mut reads: BTreeMap<String, Value> =
            Workload::Sql(table).keys().into_iter().map(|key| (key, None)).collect();
        reads.extend(found.iter().filter_map(|columns| {
            let (id, values) = columns.split_first()?;
            Some((row(id), Some(values.join(":"))))
        }));
        let ledger: BTreeSet<usize> =
            ledger.iter().flatten().filter_map(|number| number.parse().ok()).collect();
        let number = self.history.begin(TxnKind::Optimistic, began, 0);
        self.history.note(number, |txn| (txn.reads, txn.ledger) = (reads, Some(ledger)));
        session.close().await;
        database.close().await;
        Ok(())
    }

    async fn late_node(&self) -> Result<Arc<Database>, Finding> {
        calm_database(self.calm_client()).await.map_err(wrong)
    }
}

fn wrong(error: tidewater_types::SqlError) -> Finding {
    Finding { text: format!("in the end: {error}"), keys: Vec::new() }
}
