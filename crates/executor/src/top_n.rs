//! TopN: the first rows of an order without sorting, or holding, the rest.
//!
//! Rows collect in a buffer of a few times N; when it is full only the N smallest stay, and the largest of these becomes
//! the bar a later row must be under to be looked at again. After a few thousand rows nearly all input fails at the bar.

use arrow::array::BooleanArray;
use async_trait::async_trait;
use tidewater_chunk::Chunk;
use tidewater_types::FieldType;

use crate::buffer::{ChunkBuffer, OrderedOutput};
use crate::context::ExecContext;
use crate::error::ExecError;
use crate::operator::{BoxedOperator, Operator};
use crate::sort_key::{SortKey, SortKeys, smallest};

/// Rows the buffer may hold beyond N before it is cut back.
const SLACK_ROWS_MIN: usize = 4096;

/// `ORDER BY .. LIMIT offset, count`.
pub struct TopN {
    ctx: ExecContext,
    child: BoxedOperator,
    keys: SortKeys,
    offset: usize,
    /// Offset + count.
    wanted: usize,
    buffer: ChunkBuffer,
    bar: Option<Vec<u8>>,
    output: Option<OrderedOutput>,
    done: bool,
}

impl TopN {
    /// Rows `offset .. offset + count` of the child's rows in order of `keys`.
    pub fn new(ctx: &ExecContext, child: BoxedOperator, keys: Vec<SortKey>, offset: u64, count: u64) -> TopN {
        let wanted = if count == 0 { 0 } else { offset.saturating_add(count) };
        TopN {
            ctx: ctx.clone(),
            child,
            keys: SortKeys::new(keys),
            offset: usize::try_from(offset).unwrap_or(usize::MAX),
            wanted: usize::try_from(wanted).unwrap_or(usize::MAX),
            buffer: ChunkBuffer::new(ctx.memory.child("TopN").reservation()),
            bar: None,
            output: None,
            done: false,
        }
    }

    async fn collect(&mut self) -> Result<(), ExecError> {
        let capacity = self.wanted.saturating_add(self.wanted.max(SLACK_ROWS_MIN));
        while let Some(chunk) = self.child.next().await? {
            self.ctx.kill.check()?;
            let chunk = self.under_the_bar(chunk)?;
            if chunk.num_rows() > 0 {
                self.buffer.push(chunk)?;
            }
            if self.buffer.rows() > capacity {
                self.cut_back()?;
            }
        }
        let Some(chunk) = self.buffer.take_all()? else {
            return Ok(());
        };
        let keys = self.keys.encode(&self.ctx, &chunk)?;
        let order = smallest(&keys, self.wanted);
        let mut output = OrderedOutput::new(&self.ctx, chunk, order);
        output.skip(self.offset);
        self.output = Some(output);
        Ok(())
    }

    fn under_the_bar(&self, chunk: Chunk) -> Result<Chunk, ExecError> {
        let Some(bar) = &self.bar else {
            return Ok(chunk);
        };
        let keys = self.keys.encode(&self.ctx, &chunk)?;
        // A row equal to the bar comes after the rows that are already here.
        let mask: Vec<bool> = (0..keys.len()).map(|row| keys.row(row) < bar.as_slice()).collect();
        Ok(chunk.filter(&BooleanArray::from(mask)))
    }

    fn cut_back(&mut self) -> Result<(), ExecError> {
        let Some(chunk) = self.buffer.take_all()? else {
            return Ok(());
        };
        let keys = self.keys.encode(&self.ctx, &chunk)?;
        let order = smallest(&keys, self.wanted);
        if self.keys.comparable_across_batches()
            && let Some(last) = order.last()
        {
            self.bar = Some(keys.row(*last as usize).to_vec());
        }
        self.buffer.replace(chunk.take(&order.into()))
    }
}

#[async_trait]
impl Operator for TopN {
    fn schema(&self) -> &[FieldType] {
        self.child.schema()
    }

    async fn open(&mut self) -> Result<(), ExecError> {
        if self.wanted == 0 { Ok(()) } else { self.child.open().await }
    }

    async fn next(&mut self) -> Result<Option<Chunk>, ExecError> {
        if !std::mem::replace(&mut self.done, true) && self.wanted > 0 {
            self.collect().await?;
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
