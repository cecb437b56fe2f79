//! What every operator of one statement shares.

use tidewater_chunk::{INITIAL_CHUNK_ROWS, MAX_CHUNK_ROWS};
use tidewater_expr::EvalContext;

use crate::kill::KillFlag;
use crate::memory::MemoryTracker;

/// The statement's surroundings; cheap to clone.
#[derive(Clone)]
pub struct ExecContext {
    /// For expressions.
    pub eval: EvalContext,
    /// The statement's memory tracker; operators hang their own below it.
    pub memory: MemoryTracker,
    /// Asked once per chunk by every loop.
    pub kill: KillFlag,
    /// Rows of the first chunk an operator produces.
    pub initial_chunk_rows: usize,
    /// Rows of a full chunk.
    pub max_chunk_rows: usize,
}

impl ExecContext {
    /// A context with the default chunk sizes; its expressions stop when `kill` says so.
    pub fn new(mut eval: EvalContext, memory: MemoryTracker, kill: KillFlag) -> ExecContext {
        eval.kill = kill.expression_flag();
        ExecContext {
            eval,
            memory,
            kill,
            initial_chunk_rows: INITIAL_CHUNK_ROWS,
            max_chunk_rows: MAX_CHUNK_ROWS,
        }
    }

    /// A sizer that starts small.
    pub fn chunk_sizer(&self) -> ChunkSizer {
        ChunkSizer { next: self.initial_chunk_rows.max(1), max: self.max_chunk_rows.max(1) }
    }
}

impl Default for ExecContext {
    fn default() -> ExecContext {
        ExecContext::new(EvalContext::default(), MemoryTracker::unlimited("statement"), KillFlag::new())
    }
}

/// Chunk sizes of one producer: they double from the initial to the full size, so that `LIMIT 1` stays cheap.
#[derive(Clone, Copy, Debug)]
pub struct ChunkSizer {
    next: usize,
    max: usize,
}

impl ChunkSizer {
    /// Rows of the next chunk.
    pub fn advance(&mut self) -> usize {
        let rows = self.next.min(self.max);
        self.next = rows.saturating_mul(2).min(self.max);
        rows
    }
}
