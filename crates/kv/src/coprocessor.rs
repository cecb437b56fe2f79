//! The coprocessor: plan fragments that run where the data is.
//!
//! A request carries a pipeline (scan, then selection, projection, aggregation, top-N, limit) and key ranges of one
//! region. The pipeline is the executor's operators over a leaf that decodes rows out of the MVCC scanner; the leaf never
//! waits for anything, so driving the pipeline is plain computation. Its first turn, a few hundred rows, runs on the caller's
//! task, since most requests need no more and a hop to other threads would cost more than the work; what is longer goes on
//! on the compute runtime.
//!
//! # Paging
//! With `paging_size` a streaming pipeline stops after so many rows (or bytes) and the answer says which part of the
//! ranges it covers; the client continues with the rest. Nobody ever holds a whole large scan. An aggregation or top-N
//! swallows its input, so it runs to the end of the ranges in one go.
//!
//! # Cutting
//! A client that does not care for the order may say into how many pieces a long scan may be cut (`pieces_max`). Such a
//! scan stops early, also below an aggregation, and the answer says where to cut the rest (see [`cuts`]).
//!
//! # What is left out
//! The encoding `TypeCHBlock`, joins and exchanges, requests to analyze.

mod answer;
mod checksum;
mod columns;
mod cuts;
mod index_entry;
mod pipeline;
mod scan;
mod source;

use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use parking_lot::Mutex;
use prost::Message;
use tidewater_executor::{ExecError, MemoryTracker};
use tidewater_proto::{coprocessor, tipb};

use crate::error::CommandError;
use answer::Answer;
use cuts::{Cutting, Scanned, find_cuts};
use pipeline::Pipeline;
use scan::ScanError;
use source::RangeSource;

pub(crate) use source::ReadView;

/// Request type of plan fragments.
pub(crate) const REQUEST_TYPE_DAG: i64 = 103;
/// Request type of statistics.
const REQUEST_TYPE_ANALYZE: i64 = 104;
/// Request type of checksums.
const REQUEST_TYPE_CHECKSUM: i64 = 105;

/// Bounds of one request.
#[derive(Clone, Debug)]
pub struct CoprocessorConfig {
    /// A page is not continued beyond so many bytes of columns.
    pub page_bytes_max: usize,
    /// A page is not continued after so many scanned rows, however few of them come out.
    pub page_scanned_rows_max: u64,
    /// What sorts and aggregations of one request may hold.
    pub memory_quota: u64,
    /// After so many rows a scan that may be cut stops to tell where.
    pub cut_after_rows: u64,
    /// Pieces with fewer rows are not worth a request.
    pub piece_rows_min: u64,
}

impl Default for CoprocessorConfig {
    fn default() -> CoprocessorConfig {
        CoprocessorConfig {
            page_bytes_max: 3 << 20,
            page_scanned_rows_max: 1 << 20,
            memory_quota: 1 << 30,
            cut_after_rows: 16 * 1024,
            piece_rows_min: 32 * 1024,
        }
    }
}

/// Why a request has no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CoprocessorError {
    /// The request cannot be understood.
    #[error("coprocessor request: {reason}")]
    Invalid { reason: String },
    /// The read met a lock or the engine failed.
    #[error(transparent)]
    Read(CommandError),
    /// An operator failed.
    #[error(transparent)]
    Exec(ExecError),
}

impl CoprocessorError {
    fn invalid(reason: impl Into<String>) -> CoprocessorError {
        CoprocessorError::Invalid { reason: reason.into() }
    }
}

impl From<ExecError> for CoprocessorError {
    fn from(error: ExecError) -> CoprocessorError {
        // What the leaf met comes back through the operators in a box.
        let error = match error {
            ExecError::Storage(source) => match source.downcast::<ScanError>() {
                Ok(scan) => match *scan {
                    ScanError::Read(error) => return CoprocessorError::Read(error),
                    other => ExecError::storage(other),
                },
                Err(source) => ExecError::Storage(source),
            },
            error => error,
        };
        CoprocessorError::Exec(error)
    }
}

/// Executes a request over `view`, whose owner has checked the region and noted the read.
pub(crate) async fn execute(
    request: coprocessor::Request,
    view: ReadView,
    config: CoprocessorConfig,
    compute: &tokio::runtime::Handle,
) -> coprocessor::Response {
    if request.tp == REQUEST_TYPE_CHECKSUM {
        let running = checksum::run(request, view);
        return AbortOnDrop(compute.spawn(running)).join().await.unwrap_or_else(error_response);
    }
    let result = match prepare(request, view, config) {
        Err(error) => Err(error),
        Ok(task) => {
            let mut running = Box::pin(task.run());
            match futures::poll!(&mut running) {
                Poll::Ready(result) => result,
                Poll::Pending => AbortOnDrop(compute.spawn(running)).join().await,
            }
        }
    };
    result.unwrap_or_else(error_response)
}

/// A task whose result nobody waits for is stopped at its next turn.
struct AbortOnDrop(tokio::task::JoinHandle<Result<coprocessor::Response, CoprocessorError>>);

impl AbortOnDrop {
    async fn join(mut self) -> Result<coprocessor::Response, CoprocessorError> {
        match (&mut self.0).await {
            Ok(result) => result,
            Err(error) => Err(CoprocessorError::invalid(format!("the task did not finish: {error}"))),
        }
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn error_response(error: CoprocessorError) -> coprocessor::Response {
    match error {
        CoprocessorError::Read(CommandError::Locked { key, lock }) => coprocessor::Response {
            locked: Some(crate::error::lock_info(&key, &lock)),
            ..coprocessor::Response::default()
        },
        CoprocessorError::Exec(error) => match error.to_sql_error() {
            Some(error) => {
                let error = tipb::Error { code: i32::from(error.code), msg: error.message };
                let select = tipb::SelectResponse { error: Some(error), ..tipb::SelectResponse::default() };
                coprocessor::Response {
                    data: select.encode_to_vec().into(),
                    ..coprocessor::Response::default()
                }
            }
            None => {
                coprocessor::Response { other_error: error.to_string(), ..coprocessor::Response::default() }
            }
        },
        CoprocessorError::Invalid { .. } | CoprocessorError::Read(_) => {
            coprocessor::Response { other_error: error.to_string(), ..coprocessor::Response::default() }
        }
    }
}

/// A request ready to run.
struct Task {
    pipeline: Pipeline,
    dag: tipb::DagRequest,
    source: Arc<Mutex<RangeSource>>,
    ranges: Vec<coprocessor::KeyRange>,
    config: CoprocessorConfig,
    /// Rows after which a streaming pipeline stops.
    page_rows: Option<u64>,
    /// Into how many pieces the rest may be cut.
    pieces_max: u32,
}

fn prepare(
    request: coprocessor::Request,
    mut view: ReadView,
    config: CoprocessorConfig,
) -> Result<Task, CoprocessorError> {
    match request.tp {
        REQUEST_TYPE_DAG => {}
        REQUEST_TYPE_ANALYZE => {
            return Err(CoprocessorError::invalid("type 104 (analyze): statistics are made by SQL here"));
        }
        other => return Err(CoprocessorError::invalid(format!("unknown type {other}"))),
    }
    let dag = tipb::DagRequest::decode(request.data.clone())
        .map_err(|error| CoprocessorError::invalid(format!("malformed DAG request: {error}")))?;
    if let Some(context) = &request.context {
        view.fill_cache = !context.not_fill_cache;
    }
    let memory = MemoryTracker::with_quota("coprocessor", config.memory_quota);
    let ctx = pipeline::context(&dag, view.read_ts, memory)?;
    let layout = pipeline::Layout::parse(&dag)?;
    let mut source = RangeSource::new(view, request.ranges.clone(), layout.direction, layout.int_handles);
    if dag.collect_range_counts {
        source.count_ranges();
    }
    let source = Arc::new(Mutex::new(source));
    let pipeline = layout.build(&ctx, &dag, Arc::clone(&source))?;
    let page_rows = (request.paging_size > 0 && pipeline.is_streaming).then_some(request.paging_size);
    // A limit may be reached early: its rows are not worth a second request.
    let pieces_max = if pipeline.limit.is_some() { 1 } else { request.pieces_max };
    if pieces_max > 1 {
        source.lock().stop_after(config.cut_after_rows);
    }
    Ok(Task { pipeline, dag, source, ranges: request.ranges, config, page_rows, pieces_max })
}

impl Task {
    async fn run(mut self) -> Result<coprocessor::Response, CoprocessorError> {
        let mut chunks = Vec::new();
        let (mut rows, mut bytes, mut drained) = (0_u64, 0, false);
        self.pipeline.root.open().await?;
        loop {
            let Some(chunk) = self.pipeline.root.next().await? else {
                drained = true;
                break;
            };
            rows += chunk.num_rows() as u64;
            bytes += chunk.memory_size();
            chunks.push(chunk);
            if self.page_is_full(rows, bytes) {
                break;
            }
        }
        self.pipeline.root.close().await;
        let scanned = (!drained || self.source.lock().is_stopped()).then(|| self.scanned_part()).flatten();
        let cuts = if scanned.is_some() { self.cuts()? } else { Vec::new() };
        let range_counts = self.source.lock().range_counts().to_vec();
        let answer = Answer { dag: &self.dag, pipeline: &self.pipeline, range_counts };
        Ok(coprocessor::Response {
            data: answer.encode(chunks)?.into(),
            can_be_cached: scanned.is_none(),
            range: scanned,
            cuts,
            ..coprocessor::Response::default()
        })
    }

    /// Where the part that is left may be cut, if the client wants to know.
    fn cuts(&self) -> Result<Vec<Bytes>, CoprocessorError> {
        let source = self.source.lock();
        let Some(last_range) = self.ranges.last() else { return Ok(Vec::new()) };
        if self.pieces_max <= 1 || source.direction() != crate::mvcc::Direction::Forward {
            return Ok(Vec::new());
        }
        let scanned =
            Scanned { first_key: source.first_key(), last_key: source.last_key(), rows: source.given() };
        let cutting = Cutting { pieces_max: self.pieces_max, piece_rows_min: self.config.piece_rows_min };
        find_cuts(source.view(), &scanned, &last_range.end, &cutting).map_err(CoprocessorError::Read)
    }

    fn page_is_full(&self, rows: u64, bytes: usize) -> bool {
        let Some(page_rows) = self.page_rows else {
            return false;
        };
        rows >= page_rows
            || bytes >= self.config.page_bytes_max
            || self.source.lock().given() >= self.config.page_scanned_rows_max
    }

    /// The part of the ranges the page covers; `None` when nothing is left.
    fn scanned_part(&self) -> Option<coprocessor::KeyRange> {
        let source = self.source.lock();
        if source.is_finished() {
            return None;
        }
        let (first, last) = (self.ranges.first()?, self.ranges.last()?);
        let at = source.last_key();
        Some(match source.direction() {
            crate::mvcc::Direction::Forward => {
                let mut end = at.to_vec();
                end.push(0);
                coprocessor::KeyRange { start: first.start.clone(), end: end.into() }
            }
            crate::mvcc::Direction::Backward => {
                coprocessor::KeyRange { start: Bytes::copy_from_slice(at), end: last.end.clone() }
            }
        })
    }
}

#[cfg(test)]
mod tests;
