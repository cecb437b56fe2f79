//! Rows into the form the client asked for.

use prost::Message;
use tidewater_chunk::{Chunk, to_ipc};
use tidewater_codec::datum;
use tidewater_proto::tipb;

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
}

impl Answer<'_> {
    /// An encoded `SelectResponse`.
    pub(super) fn encode(&self, chunks: Vec<Chunk>) -> Vec<u8> {
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
            output_counts: vec![rows as i64],
            execution_summaries: self.summaries(),
            ..tipb::SelectResponse::default()
        };
        if self.dag.arrow_ipc {
            if rows > 0 {
                response.arrow_batches = to_ipc(&batches(chunks), &self.pipeline.schema).into();
            }
        } else {
            response.set_encode_type(tipb::EncodeType::TypeDefault);
            response.chunks = self.default_chunks(&chunks);
        }
        response.encode_to_vec()
    }

    /// Rows as value-encoded datums, one after the other.
    fn default_chunks(&self, chunks: &[Chunk]) -> Vec<tipb::Chunk> {
        let schema = &self.pipeline.schema;
        let mut out = Vec::new();
        let (mut bytes, mut rows) = (Vec::new(), 0);
        for chunk in chunks {
            for row in 0..chunk.num_rows() {
                for (column, field_type) in schema.iter().enumerate() {
                    let value = chunk.datum(row, column, field_type);
                    // A datum out of a column is of the column's type.
                    let _ = datum::encode_value_datum(&value, field_type, &mut bytes);
                }
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
        out
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
