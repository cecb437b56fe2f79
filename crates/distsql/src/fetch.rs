//! Requests out to the regions, pages of rows back.
//!
//! The key ranges are cut into one task per region, and where the order does not matter a store may propose to cut a long
//! task further, so that one region's rows are read by several cores. Some tasks are under way at the same time; a task whose answer is a
//! page, or whose region has been split, goes on with the rest of its ranges.
//!
//! Pages always come out in the order in which they were asked for, so equal data gives equal streams however fast each
//! store is. An ordered stream asks for the rest of a task before what lies behind it; an unordered one asks for it in
//! turn, so that every region under way has a page under way.
//!
//! Nothing is spawned: the futures live in the stream and stop with it. Memory is bounded by the number of tasks under
//! way times the size of a page.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::FuturesOrdered;
use futures::{FutureExt, StreamExt};
use prost::Message;
use tidewater_chunk::{Chunk, WireError, decode_columns, decode_rows, from_ipc};
use tidewater_executor::{ExecError, MemoryReservation};
use tidewater_proto::tipb;
use tidewater_txn::{CacheUse, CoprocessorRequest, RegionTask, ScanOrder};
use tidewater_types::{ErrorCode, SqlError};
use tokio::time::Instant;

use crate::context::ReadContext;
use crate::dag::Fragment;
use crate::error::ReadError;
use crate::key_ranges::KeyRanges;
use crate::result_cache::Look;

/// Rows of a scan's first page when nothing is known about how many are wanted.
const PAGE_ROWS_FIRST: u64 = 8 * 1024;
/// Pages grow to this; the store also stops at its bound in bytes.
const PAGE_ROWS_MAX: u64 = 64 * 1024;
/// Not less is asked for, whatever the hint: the round trip costs more.
const PAGE_ROWS_MIN: u64 = 64;
/// With fewer rows wanted than this, one region after the other is asked.
const SERIAL_ROWS_MAX: u64 = 1024;

/// A region's scan is cut into so many tasks at most: some per core, so that uneven ones even out.
const PIECES_MAX: u32 = 16;

/// Ranges of one task when the order does not matter.
const TASK_RANGES_MAX: usize = 1024;

const REQUEST_TYPE_DAG: i64 = 103;

/// The order in which pages come out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchOrder {
    /// First the first page of each region in ascending order, then second pages, and so on.
    Any,
    /// Ascending keys (more exactly: the order of the given ranges).
    Ascending,
    /// Descending keys.
    Descending,
}

/// What to fetch.
pub struct FetchPlan {
    /// The request.
    pub dag: Fragment,
    /// In ascending order of the rows.
    pub ranges: KeyRanges,
    /// The order of the result. The DAG's scan must agree with it.
    pub order: FetchOrder,
    /// How many rows will be taken, if that is known.
    pub rows_wanted: Option<u64>,
}

/// Rows of a fetch.
pub struct Fetch {
    shared: Arc<Shared>,
    plan: Option<FetchPlan>,
    waiting: VecDeque<Pending>,
    in_flight: FuturesOrdered<PageFuture>,
    /// Pages that arrived while requests were given their push.
    arrived: VecDeque<Result<Page, ExecError>>,
    parallel_max: usize,
    ready: VecDeque<Chunk>,
    memory: MemoryReservation,
}

struct Shared {
    ctx: ReadContext,
    dag: Fragment,
    order: FetchOrder,
}

/// A task and the size of its next page.
struct Pending {
    task: RegionTask,
    page_rows: u64,
    /// Into how many tasks the store may cut what is left after the first page.
    pieces_max: u32,
}

/// A page, and what is left to do.
struct Page {
    chunks: Vec<Chunk>,
    rest: Vec<Pending>,
}

type PageFuture = BoxFuture<'static, Result<Page, ExecError>>;

impl Fetch {
    /// Nothing is sent before the first [`Fetch::next`].
    pub fn new(ctx: &ReadContext, plan: FetchPlan) -> Fetch {
        let is_short = plan.rows_wanted.is_some_and(|rows| rows <= SERIAL_ROWS_MAX);
        Fetch {
            shared: Arc::new(Shared { ctx: ctx.clone(), dag: plan.dag.clone(), order: plan.order }),
            plan: Some(plan),
            waiting: VecDeque::new(),
            in_flight: FuturesOrdered::new(),
            arrived: VecDeque::new(),
            parallel_max: if is_short { 1 } else { ctx.scan_concurrency.max(1) },
            ready: VecDeque::new(),
            memory: ctx.exec.memory.child("Fetch").reservation(),
        }
    }

    /// Locates the ranges and sends the first requests.
    pub async fn start(&mut self) -> Result<(), ExecError> {
        let Some(plan) = self.plan.take() else {
            return Ok(());
        };
        let page_rows = match plan.rows_wanted {
            Some(rows) => rows.clamp(PAGE_ROWS_MIN, PAGE_ROWS_MAX),
            None => PAGE_ROWS_FIRST,
        };
        let pieces_max = if plan.order == FetchOrder::Any && self.parallel_max > 1 { PIECES_MAX } else { 1 };
        // Ranges of unsigned handles are ascending in two runs; a request needs sorted ones.
        for run in ascending_runs(plan.ranges) {
            let tasks = self.shared.ctx.client.split_ranges(&run).await.map_err(ReadError::from)?;
            let order = plan.order;
            let tasks = tasks.into_iter().flat_map(|task| cut_by_ranges(task, order));
            self.waiting.extend(tasks.map(|task| Pending { task, page_rows, pieces_max }));
        }
        if self.shared.order == FetchOrder::Descending {
            self.waiting.make_contiguous().reverse();
        }
        self.send_waiting();
        Ok(())
    }

    /// The next rows.
    pub async fn next(&mut self) -> Result<Option<Chunk>, ExecError> {
        self.start().await?;
        loop {
            self.shared.ctx.exec.kill.check()?;
            if let Some(chunk) = self.ready.pop_front() {
                if self.ready.is_empty() {
                    self.memory.free();
                }
                return Ok(Some(chunk));
            }
            let page = match self.arrived.pop_front() {
                Some(page) => Some(page),
                None => self.in_flight.next().await,
            };
            match page {
                Some(page) => self.take_in(page?)?,
                None if self.waiting.is_empty() => return Ok(None),
                None => self.send_waiting(),
            }
        }
    }

    /// Stops everything under way.
    pub fn stop(&mut self) {
        self.plan = None;
        self.waiting.clear();
        self.arrived.clear();
        self.ready.clear();
        self.in_flight = FuturesOrdered::new();
        self.memory.free();
    }

    fn take_in(&mut self, page: Page) -> Result<(), ExecError> {
        let max_rows = self.shared.ctx.exec.max_chunk_rows.max(1);
        for chunk in page.chunks {
            self.memory.grow(chunk.memory_size())?;
            let mut offset = 0;
            while offset < chunk.num_rows() {
                let rows = max_rows.min(chunk.num_rows() - offset);
                self.ready.push_back(chunk.slice(offset, rows));
                offset += rows;
            }
        }
        for pending in page.rest.into_iter().rev() {
            match self.shared.order {
                FetchOrder::Any => self.waiting.push_front(pending),
                FetchOrder::Ascending | FetchOrder::Descending => {
                    self.in_flight.push_front(fetch_page(Arc::clone(&self.shared), pending).boxed());
                }
            }
        }
        self.send_waiting();
        Ok(())
    }

    /// Fills up what is under way, and gives each request its first push, so that stores work while we do.
    fn send_waiting(&mut self) {
        while self.in_flight.len() < self.parallel_max
            && let Some(pending) = self.waiting.pop_front()
        {
            self.in_flight.push_back(fetch_page(Arc::clone(&self.shared), pending).boxed());
        }
        // A future does nothing before it is polled. One page may arrive at once: it waits for its turn.
        if self.arrived.is_empty()
            && let Some(Some(page)) = self.in_flight.next().now_or_never()
        {
            self.arrived.push_back(page);
        }
    }
}

/// Sends one request and reads its answer.
async fn fetch_page(shared: Arc<Shared>, pending: Pending) -> Result<Page, ExecError> {
    let Pending { task, page_rows, pieces_max } = pending;
    let request = CoprocessorRequest {
        kind: REQUEST_TYPE_DAG,
        data: shared.dag.data.clone(),
        paging_rows: page_rows,
        order: match shared.order {
            FetchOrder::Any | FetchOrder::Ascending => ScanOrder::Ascending,
            FetchOrder::Descending => ScanOrder::Descending,
        },
        pieces_max,
        cache: CacheUse::Never,
        schema_version: 0,
    };
    let ctx = &shared.ctx;
    let cache = ctx.result_cache.as_ref().filter(|_| shared.dag.is_worth_keeping);
    let look = cache.map(|cache| cache.look(&shared.dag.data, &task, ctx.snapshot.ts()));
    let cache = look.as_ref().map_or(CacheUse::Never, Look::cache_use);
    let request = CoprocessorRequest { cache, ..request };
    let began = Instant::now();
    let page = ctx.client.send_coprocessor(&ctx.snapshot, task, &request).await.map_err(ReadError::from)?;
    let data = match look {
        None => page.response.data,
        Some(look) => look.settle(page.response, page.is_whole, began.elapsed()).ok_or_else(|| {
            ReadError::Answer { reason: "the store means an answer that nobody has".to_owned() }
        })?,
    };
    let chunks = shared.read_answer(data)?;
    let page_rows = (page_rows * 2).min(PAGE_ROWS_MAX);
    Ok(Page {
        chunks,
        rest: page.rest.into_iter().map(|task| Pending { task, page_rows, pieces_max: 1 }).collect(),
    })
}

impl Shared {
    fn read_answer(&self, data: Bytes) -> Result<Vec<Chunk>, ExecError> {
        let response = tipb::SelectResponse::decode(data)
            .map_err(|error| ReadError::Answer { reason: error.to_string() })?;
        if let Some(error) = response.error {
            let code = u16::try_from(error.code).unwrap_or_default();
            let known = ErrorCode::from_number(code).unwrap_or(ErrorCode::UnknownError);
            return Err(ExecError::Sql(SqlError { code, ..SqlError::new(known, error.msg) }));
        }
        for warning in response.warnings {
            self.ctx.exec.eval.warn(u16::try_from(warning.code).unwrap_or_default(), warning.msg);
        }
        if let Some(stats) = &self.ctx.cop_stats {
            for summary in response.execution_summaries {
                if let Ok(plan_id) = summary.executor_id.parse() {
                    let time = Duration::from_nanos(summary.time_processed_ns);
                    stats.add(plan_id, summary.num_produced_rows, summary.num_iterations, time);
                }
            }
        }
        if !response.arrow_batches.is_empty() {
            return from_ipc(response.arrow_batches).map_err(|error| ExecError::Chunk(Box::new(error)));
        }
        self.read_chunks(&response.chunks, response.encode_type)
    }

    /// The public encodings: whichever the store chose.
    fn read_chunks(&self, chunks: &[tipb::Chunk], encode_type: i32) -> Result<Vec<Chunk>, ExecError> {
        let types = &self.dag.types;
        let failed = |error: WireError| ExecError::Chunk(Box::new(error));
        let pieces = chunks.iter().map(|chunk| &chunk.rows_data[..]).filter(|data| !data.is_empty());
        let chunks = match tipb::EncodeType::try_from(encode_type) {
            _ if chunks.is_empty() => Vec::new(),
            Ok(tipb::EncodeType::TypeChunk) => {
                pieces.map(|data| decode_columns(data, types)).collect::<Result<_, _>>().map_err(failed)?
            }
            Ok(tipb::EncodeType::TypeDefault) => {
                vec![decode_rows(pieces, types, &self.ctx.exec.eval.time_zone).map_err(failed)?]
            }
            Ok(tipb::EncodeType::TypeChBlock) | Err(_) => {
                let reason = format!("unknown encoding {encode_type}");
                return Err(ReadError::Answer { reason }.into());
            }
        };
        if !self.dag.rows_only {
            return Ok(chunks);
        }
        Ok(chunks.iter().map(|chunk| Chunk::rows_only(chunk.num_rows())).collect())
    }
}

/// A task of very many ranges, as lookups make them, becomes several.
fn cut_by_ranges(task: RegionTask, order: FetchOrder) -> Vec<RegionTask> {
    if order != FetchOrder::Any || task.ranges.len() <= TASK_RANGES_MAX {
        return vec![task];
    }
    let pieces = task.ranges.chunks(TASK_RANGES_MAX);
    pieces.map(|ranges| RegionTask { region: task.region.clone(), ranges: ranges.to_vec() }).collect()
}

fn ascending_runs(ranges: KeyRanges) -> Vec<KeyRanges> {
    let mut runs: Vec<KeyRanges> = Vec::new();
    for range in ranges {
        match runs.last_mut() {
            Some(run) if run.last().is_some_and(|last| last.end <= range.start) => run.push(range),
            _ => runs.push(vec![range]),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use tidewater_codec::Key;

    use super::*;

    fn range(start: &str, end: &str) -> Range<Key> {
        Key::new(start.as_bytes())..Key::new(end.as_bytes())
    }

    #[test]
    fn runs_are_cut_where_keys_go_back() {
        let ranges = vec![range("m", "n"), range("p", "q"), range("a", "b"), range("c", "d")];
        assert_eq!(ascending_runs(ranges.clone()), [ranges[..2].to_vec(), ranges[2..].to_vec()]);
        assert!(ascending_runs(Vec::new()).is_empty());
    }
}
