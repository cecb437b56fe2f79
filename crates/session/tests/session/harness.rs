//! A whole cluster in the test's process.

use std::sync::Arc;

use async_trait::async_trait;
use tidewater_kv::{Engine, MemoryEngine, Node, NodeConfig};
use tidewater_pd::{MemoryStorage, PdConfig, PlacementDriver};
use tidewater_proto::{PdService, StoreConnector, StoreService, TransportError};
use tidewater_session::{
    Database, DatabaseOptions, ResultCache, Session, SessionOptions, StatementResult, StoreProtocol,
};
use tidewater_txn::{TxnClient, TxnConfig};
use tidewater_types::clock::{ManualClock, WallClock};
use tidewater_types::{Datum, FieldType, SqlError};

/// 2025-01-01 00:00:00 UTC.
pub const NOW_MICROS: i64 = 1_735_689_600_000_000;

/// How tables are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Regions {
    /// One region holds everything.
    One,
    /// Every table is cut into many.
    Many,
}

struct Direct(Arc<Node>);

#[async_trait]
impl StoreConnector for Direct {
    async fn connect(&self, _address: &str) -> Result<Arc<dyn StoreService>, TransportError> {
        Ok(self.0.clone())
    }
}

/// A fresh database.
pub async fn open(regions: Regions) -> Arc<Database> {
    open_with(regions, StoreProtocol::default(), None).await
}

/// A fresh database that speaks to its store in this way and keeps answers here.
pub async fn open_with(
    regions: Regions,
    protocol: StoreProtocol,
    result_cache: Option<Arc<ResultCache>>,
) -> Arc<Database> {
    let clock: Arc<dyn WallClock> = Arc::new(ManualClock::new(NOW_MICROS));
    let engine: Arc<dyn Engine> = Arc::new(MemoryEngine::new());
    let pd = PlacementDriver::open(PdConfig::default(), Arc::new(MemoryStorage::new()), clock.clone())
        .expect("pd");
    let node =
        Node::open(NodeConfig::default(), engine, pd.clone() as Arc<dyn PdService>).await.expect("node");
    let txn = TxnClient::new(pd, Arc::new(Direct(node)), TxnConfig::default());
    Database::open(DatabaseOptions {
        txn: Arc::new(txn),
        clock,
        compute: None,
        seed: 1,
        server_version: "8.0.11-Tidewater-test".to_owned(),
        split_tables: regions == Regions::Many,
        gc: false,
        protocol,
        result_cache,
        sleeper: None,
    })
    .await
    .expect("the database opens")
}

/// A session as root in the database `test`.
pub fn root(database: &Arc<Database>) -> Session {
    let options = SessionOptions {
        user: "root".to_owned(),
        client_host: "127.0.0.1".to_owned(),
        client_address: "127.0.0.1:1".to_owned(),
        account: Some(("root".to_owned(), "%".to_owned())),
        database: Some("test".to_owned()),
        local_files: true,
        ..SessionOptions::default()
    };
    database.session(options).expect("a session")
}

/// What a statement gave, as text.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Affected rows.
    Ok(u64),
    /// Rows of text.
    Rows(Vec<Vec<String>>),
}

/// Runs a statement.
pub async fn run(session: &mut Session, sql: &str) -> Result<Answer, SqlError> {
    match session.execute(sql).await? {
        StatementResult::Ok(ok) => Ok(Answer::Ok(ok.affected_rows)),
        StatementResult::LocalInfile(_) => Ok(Answer::Ok(0)),
        StatementResult::Rows(mut rows) => {
            let types: Vec<FieldType> = rows.fields().iter().map(|field| field.field_type.clone()).collect();
            let mut lines = Vec::new();
            while let Some(chunk) = rows.next().await? {
                for row in 0..chunk.num_rows() {
                    lines.push(
                        types
                            .iter()
                            .enumerate()
                            .map(|(column, field_type)| {
                                text(&chunk.datum(row, column, field_type), field_type)
                            })
                            .collect(),
                    );
                }
            }
            Ok(Answer::Rows(lines))
        }
    }
}

/// A value as MySQL's text protocol shows it, with words for what would be invisible.
pub fn text(value: &Datum, field_type: &FieldType) -> String {
    match value {
        Datum::Null => "NULL".to_owned(),
        value => {
            let text = tidewater_table::datum_text(value, field_type);
            if text.is_empty() { "(empty)".to_owned() } else { text }
        }
    }
}
