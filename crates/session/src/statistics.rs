//! Statistics of tables in memory, and their stored form in `mysql.table_stats`.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;
use tidewater_codec::TableId;
use tidewater_stats::{StatsProvider, TableStats};
use tidewater_types::{Datum, FieldType, SqlError};

use crate::database::Database;

/// What is known of tables. Tables nobody analyzed have pseudo statistics.
#[derive(Default)]
pub(crate) struct StatsCache {
    tables: RwLock<HashMap<TableId, Arc<TableStats>>>,
}

impl StatsCache {
    /// Rows of a table, if it was analyzed.
    pub(crate) fn row_count(&self, table: TableId) -> Option<u64> {
        self.tables.read().get(&table).map(|stats| stats.row_count.max(0.0) as u64)
    }

    pub(crate) fn put(&self, table: TableId, stats: TableStats) {
        self.tables.write().insert(table, Arc::new(stats));
    }
}

impl StatsProvider for StatsCache {
    fn table_stats(&self, table: TableId) -> Arc<TableStats> {
        match self.tables.read().get(&table) {
            Some(stats) => Arc::clone(stats),
            None => Arc::new(TableStats::pseudo()),
        }
    }
}

impl Database {
    /// Reads the stored statistics.
    pub(crate) async fn load_statistics(self: &Arc<Self>) -> Result<(), SqlError> {
        let mut session = self.internal_session()?;
        let (_, chunks) = session.query("SELECT table_id, stats FROM mysql.table_stats").await?;
        for chunk in chunks {
            for row in 0..chunk.num_rows() {
                let Datum::Int(table) = chunk.datum(row, 0, &FieldType::int()) else { continue };
                let Datum::Bytes(json) = chunk.datum(row, 1, &FieldType::string()) else { continue };
                match std::str::from_utf8(&json).ok().and_then(|json| TableStats::from_json(json).ok()) {
                    Some(stats) => self.stats().put(TableId(table), stats),
                    None => tracing::warn!(table, "stored statistics cannot be read and are ignored"),
                }
            }
        }
        session.close().await;
        Ok(())
    }
}
