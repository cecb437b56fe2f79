//! Rows into the form the client asked for.

use prost::Message;
use tidewater_chunk::{Chunk, encode_columns, encode_row, fits_columns, to_ipc};
use tidewater_executor::ExecError;
use tidewater_proto::tipb;

use super::CoprocessorError;
use super::pipeline::Pipeline;

/// Rows of one batch in the answer: large enough that the batch's own description does not count, small enough to be
/// sliced by the client without waste.
const BATCH_ROWS_MAX: usize = 16 * 1024;
/// Rows of one `TypeDefault` chunk.
const DEFAULT_CHUNK_ROWS: usize = 64;

/// Encodes results.
pub(super) struct Answer<'a> {
    pub(super) dag: &'a tipb::DagRequest,
    pub(super) pipeline: &'a Pipeline,
    /// Rows scanned of each range, if they were counted.
    pub(super) range_counts: Vec<i64>,
}

impl Answer<'_> {
    /// An encoded `SelectResponse`.
    pub(super) fn encode(&self, chunks: Vec<Chunk>) -> Result<Vec<u8>, CoprocessorError> {
        let chunks: Vec<Chunk> = match &self.pipeline.output {
            None => chunks,
            Some(offsets) => chunks.iter().map(|chunk| chunk.project(offsets)).collect(),
        };
        let rows: usize = chunks.iter().map(Chunk::num_rows).sum();
        let warnings = self.pipeline.ctx.eval.warnings.take();
        let max_warnings = usize::try_from(self.dag.max_warning_count).unwrap_or(usize::MAX);
        let mut response = tipb::SelectResponse {
            warning_count: warnings.len() as i64,
            warnings: warnings
                .into_iter()
                .take(if max_warnings == 0 { usize::MAX } else { max_warnings })
                .map(|warning| tipb::Error { code: i32::from(warning.code), msg: warning.message })
                .collect(),
            output_counts: self.range_counts.clone(),
            execution_summaries: self.summaries(),
            ..tipb::SelectResponse::default()
        };
        if self.dag.arrow_ipc {
            if rows > 0 {
                response.arrow_batches = to_ipc(&batches(chunks), &self.pipeline.schema).into();
            }
        } else if self.wants_columns() {
            response.set_encode_type(tipb::EncodeType::TypeChunk);
            response.chunks = self.column_chunks(&chunks);
        } else {
            response.set_encode_type(tipb::EncodeType::TypeDefault);
            response.chunks = self.default_chunks(&chunks)?;
        }
        Ok(response.encode_to_vec())
    }

    /// TypeChunk was asked for, and all columns have a form there.
    fn wants_columns(&self) -> bool {
        let little_endian = self.dag.chunk_memory_layout.as_ref().is_none_or(|layout| layout.endian == 0);
        self.dag.encode_type() == tipb::EncodeType::TypeChunk
            && little_endian
            && fits_columns(&self.pipeline.schema)
    }

    fn column_chunks(&self, chunks: &[Chunk]) -> Vec<tipb::Chunk> {
        let encode = |chunk: &Chunk| {
            let mut bytes = Vec::new();
            encode_columns(chunk, &self.pipeline.schema, &mut bytes);
            tipb::Chunk { rows_data: bytes.into() }
        };
        chunks.iter().filter(|chunk| !chunk.is_empty()).map(encode).collect()
    }

    /// Rows as value-encoded datums, one after the other.
    fn default_chunks(&self, chunks: &[Chunk]) -> Result<Vec<tipb::Chunk>, CoprocessorError> {
        let (schema, time_zone) = (&self.pipeline.schema, &self.pipeline.ctx.eval.time_zone);
        let mut out = Vec::new();
        let (mut bytes, mut rows) = (Vec::new(), 0);
        for chunk in chunks {
            for row in 0..chunk.num_rows() {
                encode_row(chunk, row, schema, time_zone, &mut bytes)
                    .map_err(|error| CoprocessorError::Exec(ExecError::storage(error)))?;
                rows += 1;
                if rows == DEFAULT_CHUNK_ROWS {
                    out.push(tipb::Chunk { rows_data: std::mem::take(&mut bytes).into() });
                    rows = 0;
                }
            }
        }
        if rows > 0 {
            out.push(tipb::Chunk { rows_data: bytes.into() });
        }
        Ok(out)
    }

    fn summaries(&self) -> Vec<tipb::ExecutorExecutionSummary> {
        self.pipeline
            .stats
            .iter()
            .map(|(executor_id, stats)| tipb::ExecutorExecutionSummary {
                time_processed_ns: u64::try_from(stats.time().as_nanos()).unwrap_or(u64::MAX),
                num_produced_rows: stats.rows(),
                num_iterations: stats.loops(),
                executor_id: executor_id.clone(),
            })
            .collect()
    }
}

/// Joins small chunks.
fn batches(chunks: Vec<Chunk>) -> Vec<Chunk> {
    let mut out = Vec::new();
    let mut pending: Vec<Chunk> = Vec::new();
    let mut rows = 0;
    for chunk in chunks {
        if rows + chunk.num_rows() > BATCH_ROWS_MAX && !pending.is_empty() {
            out.push(Chunk::concat(&pending));
            pending.clear();
            rows = 0;
        }
        rows += chunk.num_rows();
        pending.push(chunk);
    }
    if !pending.is_empty() {
        out.push(Chunk::concat(&pending));
    }
    out
}
