//! Run-time statistics for EXPLAIN ANALYZE: a wrapper around any operator.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tidewater_chunk::Chunk;
use tidewater_types::FieldType;
use tokio::time::Instant;

use crate::error::ExecError;
use crate::operator::{BoxedOperator, Operator};

/// What one operator did. Times include the children, as in TiDB.
#[derive(Debug, Default)]
pub struct RuntimeStats {
    rows: AtomicU64,
    loops: AtomicU64,
    open_nanos: AtomicU64,
    next_nanos: AtomicU64,
}

impl RuntimeStats {
    /// Rows produced.
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// Calls of `next`.
    pub fn loops(&self) -> u64 {
        self.loops.load(Ordering::Relaxed)
    }

    /// Time in `open` and `next`.
    pub fn time(&self) -> Duration {
        Duration::from_nanos(
            self.open_nanos.load(Ordering::Relaxed) + self.next_nanos.load(Ordering::Relaxed),
        )
    }

    /// Adds what a remote part reported.
    pub fn add(&self, rows: u64, loops: u64, time: Duration) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
        self.loops.fetch_add(loops, Ordering::Relaxed);
        self.next_nanos.fetch_add(nanos(time), Ordering::Relaxed);
    }
}

impl std::fmt::Display for RuntimeStats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "time:{:?}, loops:{}", self.time(), self.loops())
    }
}

/// Counts what goes through an operator.
pub struct Instrumented {
    inner: BoxedOperator,
    stats: Arc<RuntimeStats>,
}

/// Wraps an operator so that `stats` is filled while it runs.
pub fn instrument(inner: BoxedOperator, stats: Arc<RuntimeStats>) -> BoxedOperator {
    Box::new(Instrumented { inner, stats })
}

#[async_trait]
impl Operator for Instrumented {
    fn schema(&self) -> &[FieldType] {
        self.inner.schema()
    }

    async fn open(&mut self) -> Result<(), ExecError> {
        let start = Instant::now();
        let result = self.inner.open().await;
        self.stats.open_nanos.fetch_add(nanos(start.elapsed()), Ordering::Relaxed);
        result
    }

    async fn next(&mut self) -> Result<Option<Chunk>, ExecError> {
        let start = Instant::now();
        let result = self.inner.next().await;
        let rows = match &result {
            Ok(Some(chunk)) => chunk.num_rows() as u64,
            Ok(None) | Err(_) => 0,
        };
        self.stats.add(rows, 1, start.elapsed());
        result
    }

    async fn close(&mut self) {
        self.inner.close().await;
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
