//! Sort: all rows in order, in memory.
//!
//! Rows are collected column-wise, the ORDER BY columns become byte strings whose order is the wanted one, and only
//! positions are sorted; each output chunk is one gather.

use async_trait::async_trait;
use tidewater_chunk::Chunk;
use tidewater_types::FieldType;

use crate::buffer::{ChunkBuffer, OrderedOutput};
use crate::context::ExecContext;
use crate::error::ExecError;
use crate::operator::{BoxedOperator, Operator};
use crate::sort_key::{SortKey, SortKeys, smallest};

/// ORDER BY; equal rows keep their input order.
pub struct Sort {
    ctx: ExecContext,
    child: BoxedOperator,
    keys: SortKeys,
    buffer: ChunkBuffer,
    output: Option<OrderedOutput>,
    sorted: bool,
}

impl Sort {
    /// The child's rows sorted by `keys`.
    pub fn new(ctx: &ExecContext, child: BoxedOperator, keys: Vec<SortKey>) -> Sort {
        let buffer = ChunkBuffer::new(ctx.memory.child("Sort").reservation());
        Sort { ctx: ctx.clone(), child, keys: SortKeys::new(keys), buffer, output: None, sorted: false }
    }

    async fn sort(&mut self) -> Result<(), ExecError> {
        while let Some(chunk) = self.child.next().await? {
            self.ctx.kill.check()?;
            self.buffer.push(chunk)?;
        }
        let Some(chunk) = self.buffer.take_all()? else {
            return Ok(());
        };
        let keys = self.keys.encode(&self.ctx, &chunk)?;
        self.buffer.charge(keys.memory_size())?;
        self.ctx.kill.check()?;
        let order = smallest(&keys, keys.len());
        self.output = Some(OrderedOutput::new(&self.ctx, chunk, order));
        Ok(())
    }
}

#[async_trait]
impl Operator for Sort {
    fn schema(&self) -> &[FieldType] {
        self.child.schema()
    }

    async fn open(&mut self) -> Result<(), ExecError> {
        self.child.open().await
    }

    async fn next(&mut self) -> Result<Option<Chunk>, ExecError> {
        if !std::mem::replace(&mut self.sorted, true) {
            self.sort().await?;
        }
        self.ctx.kill.check()?;
        Ok(self.output.as_mut().and_then(OrderedOutput::next))
    }

    async fn close(&mut self) {
        self.output = None;
        self.buffer.free();
        self.child.close().await;
    }
}
