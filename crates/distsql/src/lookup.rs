//! IndexLookUp: entries of an index, then the rows they point to.
//!
//! Handles are collected in growing batches; each batch is sorted, becomes row ranges, and is read through the table
//! side's pipeline. Several batches are under way at the same time. When the index's order is to be kept, the rows of a
//! batch are put back into the order of its handles and batches come out in order.

use std::collections::HashMap;

use arrow::array::UInt32Array;
use async_trait::async_trait;
use futures::future::BoxFuture;
use futures::stream::FuturesOrdered;
use futures::{FutureExt, StreamExt};
use tidewater_chunk::Chunk;
use tidewater_codec::Handle;
use tidewater_executor::{ExecError, MemoryReservation, Operator};
use tidewater_planner::{HandlePositions, IndexLookUp, ScanColumn, TableScan};
use tidewater_types::FieldType;

use crate::context::ReadContext;
use crate::dag::{DagBuilder, Fragment, handle_columns};
use crate::fetch::{Fetch, FetchOrder, FetchPlan};
use crate::handles::HandleReader;
use crate::key_ranges::{KeyRanges, handle_ranges, index_ranges};
use crate::reader::{order, resolve, rows_wanted, summaries};

/// Handles of the first batch.
const BATCH_ROWS_FIRST: usize = 512;

/// See the module documentation.
pub struct IndexLookUpReader {
    ctx: ReadContext,
    schema: Vec<FieldType>,
    index: Fetch,
    index_schema: Vec<FieldType>,
    handles: HandleReader,
    table_side: TableSide,
    /// The limit on the index side: rows to skip, rows to take.
    skip: u64,
    take: u64,
    batch_rows: usize,
    pending: Vec<Handle>,
    index_done: bool,
    in_flight: FuturesOrdered<BoxFuture<'static, Result<Batch, ExecError>>>,
    /// A batch that arrived while its request was given its push.
    arrived: Option<Result<Batch, ExecError>>,
    ready: std::collections::VecDeque<Chunk>,
    memory: MemoryReservation,
}

/// How rows are read; shared by all batches.
#[derive(Clone)]
struct TableSide {
    ctx: ReadContext,
    table: tidewater_codec::TableId,
    dag: Fragment,
    /// To keep order the rows carry their handle behind the columns wanted.
    restore: Option<RestoreOrder>,
}

#[derive(Clone)]
struct RestoreOrder {
    handles: HandleReader,
    schema: Vec<FieldType>,
    width: usize,
}

struct Batch {
    chunks: Vec<Chunk>,
}

impl IndexLookUpReader {
    /// A lookup. `ranges` override those of the index scan.
    pub fn new(
        ctx: &ReadContext,
        plan: &IndexLookUp,
        ranges: Option<KeyRanges>,
    ) -> Result<IndexLookUpReader, ExecError> {
        let table = &plan.table.info;
        let time_zone = &ctx.exec.eval.time_zone;
        let ranges = match ranges {
            Some(ranges) => ranges,
            None => {
                let values = resolve(&plan.index_scan.ranges, ctx)?;
                index_ranges(table, &plan.index_scan.index, &values, time_zone)?
            }
        };
        let (skip, take) = plan.limit.unwrap_or((0, u64::MAX));
        let mut dag = DagBuilder::index_scan(ctx, table, &plan.index_scan)?
            .steps(&plan.index_cop)?
            .summaries(summaries(ctx));
        let mut wanted = rows_wanted(&plan.index_cop);
        if plan.limit.is_some() {
            let limit = skip.saturating_add(take);
            dag = dag.limit(limit);
            wanted = Some(wanted.map_or(limit, |wanted| wanted.min(limit)));
        }
        let order = order(plan.index_scan.keep_order || plan.keep_order, plan.index_scan.desc);
        let index_plan = FetchPlan { dag: dag.encode(), ranges, order, rows_wanted: wanted };
        Ok(IndexLookUpReader {
            ctx: ctx.clone(),
            schema: plan.base.field_types(),
            index: Fetch::new(ctx, index_plan),
            index_schema: plan.index_scan.base.field_types(),
            handles: HandleReader::new(table, plan.handle.clone(), time_zone),
            table_side: TableSide::new(ctx, plan)?,
            skip,
            take,
            batch_rows: BATCH_ROWS_FIRST.min(ctx.lookup_batch_rows.max(1)),
            pending: Vec::new(),
            index_done: false,
            in_flight: FuturesOrdered::new(),
            arrived: None,
            ready: std::collections::VecDeque::new(),
            memory: ctx.exec.memory.child("IndexLookUp").reservation(),
        })
    }

    /// Reads handles until a batch is full or the index is at its end, and sends the batch.
    async fn send_batch(&mut self) -> Result<(), ExecError> {
        while self.pending.len() < self.batch_rows && !self.index_done {
            self.ctx.exec.kill.check()?;
            let chunk = if self.take == 0 { None } else { self.index.next().await? };
            let Some(chunk) = chunk else {
                self.index_done = true;
                break;
            };
            let mut handles = self.handles.handles(&chunk, &self.index_schema).map_err(ExecError::from)?;
            let skip = self.skip.min(handles.len() as u64);
            self.skip -= skip;
            handles.drain(..skip as usize);
            handles.truncate(usize::try_from(self.take).unwrap_or(usize::MAX));
            self.take -= handles.len() as u64;
            self.pending.append(&mut handles);
        }
        if self.pending.is_empty() {
            return Ok(());
        }
        let at = self.pending.len().min(self.batch_rows);
        let rest = self.pending.split_off(at);
        let batch = std::mem::replace(&mut self.pending, rest);
        self.batch_rows = (self.batch_rows * 2).min(self.ctx.lookup_batch_rows.max(1));
        self.in_flight.push_back(self.table_side.clone().read(batch).boxed());
        // A future does nothing before it is polled.
        if self.arrived.is_none() {
            self.arrived = self.in_flight.next().now_or_never().flatten();
        }
        Ok(())
    }
}

impl TableSide {
    fn new(ctx: &ReadContext, plan: &IndexLookUp) -> Result<TableSide, ExecError> {
        let table = &plan.table.info;
        let scan = TableScan { keep_order: false, desc: false, ..plan.table_scan.clone() };
        let (scan, restore) = if plan.keep_order { with_handles(ctx, plan, scan) } else { (scan, None) };
        let dag = DagBuilder::table_scan(ctx, table, &scan)?
            .steps(&plan.table_cop)?
            .summaries(summaries(ctx))
            .encode();
        Ok(TableSide { ctx: ctx.clone(), table: table.id, dag, restore })
    }

    async fn read(self, mut handles: Vec<Handle>) -> Result<Batch, ExecError> {
        let order: Option<HashMap<Handle, u32>> = self.restore.as_ref().map(|_| {
            handles.iter().enumerate().map(|(position, handle)| (handle.clone(), position as u32)).collect()
        });
        handles.sort_unstable();
        handles.dedup();
        let plan = FetchPlan {
            dag: self.dag.clone(),
            ranges: handle_ranges(self.table, &handles),
            order: FetchOrder::Any,
            rows_wanted: None,
        };
        let mut fetch = Fetch::new(&self.ctx, plan);
        let mut chunks = Vec::new();
        while let Some(chunk) = fetch.next().await? {
            chunks.push(chunk);
        }
        match (self.restore, order) {
            (Some(restore), Some(order)) => restore.sort(chunks, &order, self.ctx.exec.max_chunk_rows),
            _ => Ok(Batch { chunks }),
        }
    }
}

/// Adds the handle's columns behind those of the scan.
///
/// Only selections run above a scan whose order is kept, so the columns arrive where they were put.
fn with_handles(ctx: &ReadContext, plan: &IndexLookUp, scan: TableScan) -> (TableScan, Option<RestoreOrder>) {
    let table = &plan.table.info;
    let width = scan.columns.len();
    let mut columns = scan.columns.to_vec();
    let mut schema = scan.base.schema.to_vec();
    let mut positions = Vec::new();
    for column in handle_columns(table) {
        positions.push(columns.len());
        let (field_type, name) = match &column {
            ScanColumn::RowId => (FieldType::int(), tidewater_catalog::ROW_ID_NAME.to_owned()),
            ScanColumn::Column(offset) => {
                let info = &table.columns[*offset];
                (info.field_type.clone(), info.name.to_string())
            }
        };
        schema.push(tidewater_expr::ColumnRef {
            unique_id: 0,
            index: columns.len(),
            field_type,
            name: name.into(),
        });
        columns.push(column);
    }
    let positions = match (table.handle(), positions.as_slice()) {
        (tidewater_catalog::HandleKind::Common(_), _) => HandlePositions::Common(positions),
        (_, positions) => HandlePositions::Int(positions[0]),
    };
    let types = schema.iter().map(|column| column.field_type.clone()).collect();
    let restore = RestoreOrder {
        handles: HandleReader::new(table, positions, &ctx.exec.eval.time_zone),
        schema: types,
        width,
    };
    let mut scan = TableScan { columns: columns.into(), ..scan };
    scan.base.schema = schema.into();
    (scan, Some(restore))
}

impl RestoreOrder {
    fn sort(
        self,
        chunks: Vec<Chunk>,
        order: &HashMap<Handle, u32>,
        max_rows: usize,
    ) -> Result<Batch, ExecError> {
        if chunks.is_empty() {
            return Ok(Batch { chunks });
        }
        let rows = Chunk::concat(&chunks);
        let handles = self.handles.handles(&rows, &self.schema).map_err(ExecError::from)?;
        let mut positions: Vec<(u32, u32)> = handles
            .iter()
            .enumerate()
            .map(|(row, handle)| (order.get(handle).copied().unwrap_or(u32::MAX), row as u32))
            .collect();
        positions.sort_unstable();
        let columns: Vec<usize> = (0..self.width).collect();
        let rows = rows.project(&columns);
        let chunks = positions
            .chunks(max_rows.max(1))
            .map(|positions| {
                let positions: Vec<u32> = positions.iter().map(|(_, row)| *row).collect();
                rows.take(&UInt32Array::from(positions))
            })
            .collect();
        Ok(Batch { chunks })
    }
}

#[async_trait]
impl Operator for IndexLookUpReader {
    fn schema(&self) -> &[FieldType] {
        &self.schema
    }

    async fn open(&mut self) -> Result<(), ExecError> {
        self.index.start().await
    }

    async fn next(&mut self) -> Result<Option<Chunk>, ExecError> {
        loop {
            self.ctx.exec.kill.check()?;
            if let Some(chunk) = self.ready.pop_front() {
                if self.ready.is_empty() {
                    self.memory.free();
                }
                return Ok(Some(chunk));
            }
            let finished = self.index_done && self.pending.is_empty();
            if !finished
                && self.arrived.is_none()
                && self.in_flight.len() < self.ctx.lookup_concurrency.max(1)
            {
                self.send_batch().await?;
                continue;
            }
            let batch = match self.arrived.take() {
                Some(batch) => Some(batch),
                None => self.in_flight.next().await,
            };
            match batch {
                Some(batch) => {
                    for chunk in batch?.chunks {
                        self.memory.grow(chunk.memory_size())?;
                        self.ready.push_back(chunk);
                    }
                }
                None => return Ok(None),
            }
        }
    }

    async fn close(&mut self) {
        self.index.stop();
        self.in_flight = FuturesOrdered::new();
        self.arrived = None;
        self.ready.clear();
        self.memory.free();
    }
}
