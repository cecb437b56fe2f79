//! Chunks held by a blocking operator, and their way out again.

use arrow::array::{Array, BinaryArray, UInt32Array};
use tidewater_chunk::Chunk;

use crate::context::{ChunkSizer, ExecContext};
use crate::error::ExecError;
use crate::memory::MemoryReservation;

/// Buffered input of a sort or a join's build side, charged to the statement.
pub(crate) struct ChunkBuffer {
    chunks: Vec<Chunk>,
    rows: usize,
    memory: MemoryReservation,
}

impl ChunkBuffer {
    pub(crate) fn new(memory: MemoryReservation) -> ChunkBuffer {
        ChunkBuffer { chunks: Vec::new(), rows: 0, memory }
    }

    pub(crate) fn push(&mut self, chunk: Chunk) -> Result<(), ExecError> {
        self.memory.grow(chunk.memory_size())?;
        self.rows += chunk.num_rows();
        // Row positions are 32 bits wide, the all-ones one is "none".
        if self.rows >= u32::MAX as usize {
            return Err(too_large());
        }
        self.chunks.push(chunk);
        Ok(())
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// All rows as one chunk; the buffer is empty afterwards, its charge covers the result.
    pub(crate) fn take_all(&mut self) -> Result<Option<Chunk>, ExecError> {
        let chunks = std::mem::take(&mut self.chunks);
        self.rows = 0;
        if chunks.is_empty() {
            return Ok(None);
        }
        check_binary_offsets(&chunks)?;
        Ok(Some(Chunk::concat(&chunks)))
    }

    /// Puts one chunk in the place of all.
    pub(crate) fn replace(&mut self, chunk: Chunk) -> Result<(), ExecError> {
        self.memory.resize(chunk.memory_size())?;
        self.rows = chunk.num_rows();
        self.chunks = vec![chunk];
        Ok(())
    }

    /// Charges for something beside the chunks.
    pub(crate) fn charge(&mut self, bytes: usize) -> Result<(), ExecError> {
        self.memory.grow(bytes)
    }

    pub(crate) fn free(&mut self) {
        self.chunks = Vec::new();
        self.rows = 0;
        self.memory.free();
    }
}

fn too_large() -> ExecError {
    ExecError::Arrow(arrow::error::ArrowError::OffsetOverflowError(i32::MAX as usize))
}

/// String columns have 32-bit offsets: more than 2 GiB of one column cannot become one chunk.
fn check_binary_offsets(chunks: &[Chunk]) -> Result<(), ExecError> {
    for column in 0..chunks[0].columns().len() {
        let bytes: usize = chunks
            .iter()
            .filter_map(|chunk| chunk.column(column).as_any().downcast_ref::<BinaryArray>())
            .map(|array| (array.value_offsets()[array.len()] - array.value_offsets()[0]) as usize)
            .sum();
        if bytes > i32::MAX as usize {
            return Err(too_large());
        }
    }
    Ok(())
}

/// Gives rows of a large chunk out in order of a permutation.
pub(crate) struct OrderedOutput {
    chunk: Chunk,
    order: UInt32Array,
    position: usize,
    sizer: ChunkSizer,
}

impl OrderedOutput {
    pub(crate) fn new(ctx: &ExecContext, chunk: Chunk, order: Vec<u32>) -> OrderedOutput {
        OrderedOutput { chunk, order: UInt32Array::from(order), position: 0, sizer: ctx.chunk_sizer() }
    }

    pub(crate) fn skip(&mut self, rows: usize) {
        self.position = rows.min(self.order.len());
    }

    pub(crate) fn next(&mut self) -> Option<Chunk> {
        let left = self.order.len() - self.position;
        if left == 0 {
            return None;
        }
        let rows = self.sizer.advance().min(left);
        let chunk = self.chunk.take(&self.order.slice(self.position, rows));
        self.position += rows;
        Some(chunk)
    }
}
