//! What is known of a table's data.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidewater_codec::{ColumnId, IndexId, TableId};

use crate::Histogram;

/// Rows a table is taken to have when nothing is known.
pub const PSEUDO_ROW_COUNT: f64 = 10_000.0;

/// Statistics of one table, as ANALYZE found them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TableStats {
    /// Rows.
    pub row_count: f64,
    /// Rows changed since ANALYZE.
    #[serde(default)]
    pub modify_count: f64,
    /// When ANALYZE ran (timestamp of the cluster's clock).
    #[serde(default)]
    pub version: u64,
    /// Whether these are guesses.
    #[serde(default)]
    pub pseudo: bool,
    /// By column.
    #[serde(default)]
    pub columns: BTreeMap<ColumnId, ColumnStats>,
    /// By index; the values are whole keys.
    #[serde(default)]
    pub indices: BTreeMap<IndexId, ColumnStats>,
}

/// Statistics of one column, or of an index as if it were one column.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ColumnStats {
    /// Distinct values, NULL not counted.
    pub ndv: f64,
    /// Rows with NULL.
    pub null_count: f64,
    /// The most frequent values; they are not in the histogram.
    pub top_n: Vec<TopValue>,
    /// All other values.
    pub histogram: Histogram,
    /// Average bytes of a value.
    pub avg_size: f64,
    /// For an index: distinct values of each prefix of its columns, the shortest first.
    #[serde(default)]
    pub prefix_ndv: Vec<f64>,
}

/// A frequent value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TopValue {
    /// Its key bytes.
    #[serde(with = "crate::hex_bytes")]
    pub value: Vec<u8>,
    /// Rows that hold it.
    pub count: f64,
}

/// Who knows the statistics of tables.
pub trait StatsProvider {
    /// Those of a table; [`TableStats::pseudo`] when nothing is known.
    fn table_stats(&self, table: TableId) -> Arc<TableStats>;
}

/// Knows nothing: every table has pseudo statistics.
#[derive(Clone, Copy, Debug, Default)]
pub struct PseudoStats;

impl StatsProvider for PseudoStats {
    fn table_stats(&self, _: TableId) -> Arc<TableStats> {
        Arc::new(TableStats::pseudo())
    }
}

impl StatsProvider for BTreeMap<TableId, Arc<TableStats>> {
    fn table_stats(&self, table: TableId) -> Arc<TableStats> {
        self.get(&table).cloned().unwrap_or_else(|| Arc::new(TableStats::pseudo()))
    }
}

impl TableStats {
    /// What is assumed when nothing is known.
    pub fn pseudo() -> Self {
        Self::pseudo_with_rows(PSEUDO_ROW_COUNT)
    }

    /// Only the number of rows is known.
    pub fn pseudo_with_rows(row_count: f64) -> Self {
        TableStats {
            row_count,
            modify_count: 0.0,
            version: 0,
            pseudo: true,
            columns: BTreeMap::new(),
            indices: BTreeMap::new(),
        }
    }

    /// The stored form.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// From the stored form.
    pub fn from_json(text: &str) -> Result<Self, StatsError> {
        serde_json::from_str(text).map_err(|source| StatsError::Json { source: Arc::new(source) })
    }
}

/// Stored statistics that cannot be read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StatsError {
    /// Not the JSON we write.
    #[error("stored statistics are damaged: {source}")]
    Json {
        /// Why.
        source: Arc<serde_json::Error>,
    },
}
