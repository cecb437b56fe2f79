//! The leaves: point reads, scans and what runs on the store above them.

use std::sync::Arc;

use tidewater_catalog::{IndexInfo, TableInfo};
use tidewater_codec::ColumnId;
use tidewater_expr::{AggregateCall, Expr};

use super::{LockWait, PhysicalPlan, PlanBase, Schema, SortItem};
use crate::ranges::Ranges;

/// A table as a reader names it.
#[derive(Clone, Debug)]
pub struct TableSource {
    /// Its database.
    pub database: Arc<str>,
    /// Its alias in the statement, or its name.
    pub alias: Arc<str>,
    /// Its description in the snapshot the plan was made from.
    pub info: Arc<TableInfo>,
}

/// A column that a reader gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScanColumn {
    /// The column at this offset of [`TableInfo::columns`].
    Column(usize),
    /// The implicit row id (`_tidb_rowid`) of a table without a clustered key.
    RowId,
}

impl ScanColumn {
    /// The column's id in rows and in coprocessor requests.
    pub fn id(&self, table: &TableInfo) -> ColumnId {
        match self {
            Self::Column(offset) => table.columns[*offset].id,
            Self::RowId => tidewater_catalog::ROW_ID_COLUMN,
        }
    }
}

/// Reads at most one row, by handle or unique index.
#[derive(Clone, Debug)]
pub struct PointGet {
    /// What every node has.
    pub base: PlanBase,
    /// The table.
    pub table: TableSource,
    /// How the row is found.
    pub access: PointAccess,
    /// One value per key column: literals, or parameters in a cached plan. They are of the columns' types; a value
    /// that cannot be equal to any (such as NULL) finds nothing.
    pub key: Vec<Expr>,
    /// The columns given, in step with the schema.
    pub columns: Arc<[ScanColumn]>,
    /// FOR UPDATE: lock the row (and the index entry) and read its newest version.
    pub lock: Option<LockWait>,
}

/// How a point read finds its row.
#[derive(Clone, Debug)]
pub enum PointAccess {
    /// By the integer primary key.
    Handle,
    /// By the clustered primary key of another type or several columns; its index describes the key.
    CommonHandle(IndexInfo),
    /// By a unique index: the entry gives the handle.
    Index(IndexInfo),
}

/// Reads rows by a list of handles or unique keys.
#[derive(Clone, Debug)]
pub struct BatchPointGet {
    /// What every node has.
    pub base: PlanBase,
    /// The table.
    pub table: TableSource,
    /// How rows are found.
    pub access: PointAccess,
    /// The keys, each as in [`PointGet::key`]; equal ones count once.
    pub keys: Vec<Vec<Expr>>,
    /// The columns given, in step with the schema.
    pub columns: Arc<[ScanColumn]>,
    /// FOR UPDATE.
    pub lock: Option<LockWait>,
    /// Give the rows in order of the key.
    pub keep_order: bool,
    /// In descending order.
    pub desc: bool,
}

/// A scan of a table's rows on the store.
#[derive(Clone, Debug)]
pub struct TableScan {
    /// Number, rows and columns of the scan itself (of what enters the pipeline).
    pub base: PlanBase,
    /// The columns read, in step with the schema.
    pub columns: Arc<[ScanColumn]>,
    /// Ranges of handles: of the integer handle (or row id) as one column, or of the clustered primary key's columns.
    pub ranges: Ranges,
    /// Whether all rows are read.
    pub is_full: bool,
    /// Give rows in handle order.
    pub keep_order: bool,
    /// Scan backwards.
    pub desc: bool,
}

/// A scan of an index's entries on the store.
#[derive(Clone, Debug)]
pub struct IndexScan {
    /// Number, rows and columns of the scan itself.
    pub base: PlanBase,
    /// The index.
    pub index: IndexInfo,
    /// The columns given, in step with the schema: a selection of the index's columns and the handle's, in any order.
    pub columns: Arc<[ScanColumn]>,
    /// Ranges of the index's columns.
    pub ranges: Ranges,
    /// Whether all entries are read.
    pub is_full: bool,
    /// Give entries in index order.
    pub keep_order: bool,
    /// Scan backwards.
    pub desc: bool,
}

/// One step of a coprocessor pipeline.
#[derive(Clone, Debug)]
pub struct CopNode {
    /// Number, rows and columns of the step.
    pub base: PlanBase,
    /// What it does.
    pub op: CopOp,
}

/// What a step of a coprocessor pipeline does.
#[derive(Clone, Debug)]
pub enum CopOp {
    /// Passes rows on that fulfil all conditions.
    Selection(Vec<Expr>),
    /// Computes.
    Projection(Vec<Expr>),
    /// Groups. In partial mode it gives the partial columns of each aggregate in order (AVG: count, sum), then the
    /// group-by columns; in complete mode the results, then the group-by columns.
    Aggregation {
        /// The aggregates.
        aggregates: Vec<AggregateCall>,
        /// The keys.
        group_by: Vec<Expr>,
        /// The input arrives ordered by the keys.
        streamed: bool,
    },
    /// The first rows of an order.
    TopN {
        /// The order.
        by: Vec<SortItem>,
        /// How many.
        limit: u64,
    },
    /// The first rows.
    Limit(u64),
}

/// Rows of a table through the store's pipeline.
#[derive(Clone, Debug)]
pub struct TableReader {
    /// What every node has; the schema is that of the last step.
    pub base: PlanBase,
    /// The table.
    pub table: TableSource,
    /// The scan.
    pub scan: TableScan,
    /// What runs above the scan on the store, in order.
    pub cop: Vec<CopNode>,
}

/// Entries of an index that hold all that is asked for.
#[derive(Clone, Debug)]
pub struct IndexReader {
    /// What every node has; the schema is that of the last step.
    pub base: PlanBase,
    /// The table.
    pub table: TableSource,
    /// The scan.
    pub scan: IndexScan,
    /// What runs above the scan on the store, in order.
    pub cop: Vec<CopNode>,
}

/// Entries of an index, then the rows they point to.
#[derive(Clone, Debug)]
pub struct IndexLookUp {
    /// What every node has; the schema is that of the table side's last step.
    pub base: PlanBase,
    /// The table.
    pub table: TableSource,
    /// The scan of the index. Its handle columns stand at `handle`.
    pub index_scan: IndexScan,
    /// What runs above the index scan (selections and limits).
    pub index_cop: Vec<CopNode>,
    /// Where the handle stands among the index scan's columns.
    pub handle: HandlePositions,
    /// The scan of the rows; its ranges are empty, they come from the handles.
    pub table_scan: TableScan,
    /// What runs above the row scan.
    pub table_cop: Vec<CopNode>,
    /// Give rows in the index's order.
    pub keep_order: bool,
    /// Only so many rows of the index side are wanted: (offset, count).
    pub limit: Option<(u64, u64)>,
}

/// Where a row's handle stands among some columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HandlePositions {
    /// An integer handle or row id.
    Int(usize),
    /// The columns of a clustered primary key, in key order.
    Common(Vec<usize>),
}

/// Merges what the current transaction has written (and not committed) into what its child reads.
#[derive(Clone, Debug)]
pub struct UnionScan {
    /// What every node has; the schema is the child's.
    pub base: PlanBase,
    /// A reader, a point read or an index lookup without aggregation, TopN, limit or projection.
    pub child: Arc<PhysicalPlan>,
    /// The table.
    pub table: TableSource,
    /// Which column of the table each schema column is.
    pub columns: Arc<[ScanColumn]>,
    /// Where the handle stands in the schema.
    pub handle: HandlePositions,
    /// All conditions the child's rows fulfil, over the schema: buffered rows are checked against them.
    pub conditions: Vec<Expr>,
    /// The order to keep, when somebody above relies on it: positions in the schema, all ascending or (with `desc`) all
    /// descending. Empty: any order.
    pub order: Vec<usize>,
    /// The kept order is descending.
    pub desc: bool,
}

/// All rows of a table that is computed on each read.
#[derive(Clone, Debug)]
pub struct VirtualTableScan {
    /// What every node has.
    pub base: PlanBase,
    /// The table.
    pub table: TableSource,
    /// The columns given, in step with the schema.
    pub columns: Arc<[ScanColumn]>,
    /// Conditions over the schema that the provider may use to compute fewer rows; they are checked again above.
    pub hints: Vec<Expr>,
}

impl TableReader {
    /// The columns the scan gives.
    pub fn scan_schema(&self) -> &Schema {
        &self.scan.base.schema
    }
}
