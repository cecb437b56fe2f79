//! Limit: a window of the row stream.

use async_trait::async_trait;
use tidewater_chunk::Chunk;
use tidewater_types::FieldType;

use crate::context::ExecContext;
use crate::error::ExecError;
use crate::operator::{BoxedOperator, Operator};

/// `LIMIT offset, count`.
pub struct Limit {
    ctx: ExecContext,
    child: BoxedOperator,
    skip: u64,
    left: u64,
}

impl Limit {
    /// Skips `offset` rows, then passes `count` rows on.
    pub fn new(ctx: &ExecContext, child: BoxedOperator, offset: u64, count: u64) -> Limit {
        Limit { ctx: ctx.clone(), child, skip: offset, left: count }
    }
}

#[async_trait]
impl Operator for Limit {
    fn schema(&self) -> &[FieldType] {
        self.child.schema()
    }

    async fn open(&mut self) -> Result<(), ExecError> {
        // `LIMIT 0` must not cost a scan.
        if self.left == 0 { Ok(()) } else { self.child.open().await }
    }

    async fn next(&mut self) -> Result<Option<Chunk>, ExecError> {
        while self.left > 0 {
            self.ctx.kill.check()?;
            let Some(chunk) = self.child.next().await? else {
                self.left = 0;
                return Ok(None);
            };
            let rows = chunk.num_rows() as u64;
            if rows <= self.skip {
                self.skip -= rows;
                continue;
            }
            let start = std::mem::take(&mut self.skip);
            let count = (rows - start).min(self.left);
            self.left -= count;
            return Ok(Some(chunk.slice(start as usize, count as usize)));
        }
        Ok(None)
    }

    async fn close(&mut self) {
        self.child.close().await;
    }
}
