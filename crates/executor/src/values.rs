//! Values: rows known beforehand (TableDual, VALUES lists, information_schema snapshots).

use std::collections::VecDeque;

use async_trait::async_trait;
use tidewater_chunk::{Chunk, ChunkBuilder};
use tidewater_types::{Datum, FieldType};

use crate::context::{ChunkSizer, ExecContext};
use crate::error::ExecError;
use crate::operator::Operator;

/// Gives rows it was made with.
pub struct Values {
    ctx: ExecContext,
    schema: Vec<FieldType>,
    chunks: VecDeque<Chunk>,
    sizer: ChunkSizer,
}

impl Values {
    /// Gives these chunks, cut to the usual sizes.
    pub fn new(ctx: &ExecContext, schema: Vec<FieldType>, chunks: Vec<Chunk>) -> Values {
        Values { ctx: ctx.clone(), schema, chunks: chunks.into(), sizer: ctx.chunk_sizer() }
    }

    /// Gives these rows.
    pub fn from_rows(ctx: &ExecContext, schema: Vec<FieldType>, rows: Vec<Vec<Datum>>) -> Values {
        let chunks = rows
            .chunks(ctx.max_chunk_rows.max(1))
            .map(|rows| {
                let mut builder = ChunkBuilder::new(&schema, rows.len());
                for row in rows {
                    builder.push_row(row);
                }
                builder.finish()
            })
            .collect();
        Values::new(ctx, schema, chunks)
    }

    /// TableDual: `rows` rows without columns (`SELECT 1`), or none at all (`WHERE FALSE`).
    pub fn dual(ctx: &ExecContext, rows: usize) -> Values {
        Values::new(ctx, Vec::new(), vec![Chunk::new(Vec::new(), rows)])
    }

    /// No rows of this shape.
    pub fn empty(ctx: &ExecContext, schema: Vec<FieldType>) -> Values {
        Values::new(ctx, schema, Vec::new())
    }
}

#[async_trait]
impl Operator for Values {
    fn schema(&self) -> &[FieldType] {
        &self.schema
    }

    async fn open(&mut self) -> Result<(), ExecError> {
        Ok(())
    }

    async fn next(&mut self) -> Result<Option<Chunk>, ExecError> {
        self.ctx.kill.check()?;
        while let Some(chunk) = self.chunks.pop_front() {
            if chunk.num_rows() == 0 {
                continue;
            }
            let rows = self.sizer.advance();
            if chunk.num_rows() <= rows {
                return Ok(Some(chunk));
            }
            self.chunks.push_front(chunk.slice(rows, chunk.num_rows() - rows));
            return Ok(Some(chunk.slice(0, rows)));
        }
        Ok(None)
    }

    async fn close(&mut self) {
        self.chunks.clear();
    }
}
