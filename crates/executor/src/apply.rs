//! NestedLoopApply: runs an inner plan anew for each outer row, with the row's values bound into it.
//!
//! For correlated subqueries that no rule could turn into a join. The inner operators are made by a factory from the
//! plan, because their ranges and conditions depend on the bound values. Neighbouring outer rows with equal values share
//! one run; an uncorrelated inner plan runs once.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::UInt32Array;
use async_trait::async_trait;
use tidewater_chunk::Chunk;
use tidewater_expr::{Expr, build_function, filter_mask};
use tidewater_types::{Datum, FieldType};

use crate::context::ExecContext;
use crate::error::ExecError;
use crate::hash_join::nulls;
use crate::join_spec::{JoinKey, JoinKind, shift_columns};
use crate::memory::MemoryReservation;
use crate::operator::{BoxedOperator, Operator};
use crate::semi_output::{any_row_not_false, semi_output};

/// Makes the inner operators for the bindings in the given context.
pub type InnerFactory = Box<dyn FnMut(&ExecContext) -> Result<BoxedOperator, ExecError> + Send>;

/// An outer column that the inner plan sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Correlation {
    /// The slot of `Expr::Correlated`.
    pub slot: usize,
    /// The outer child's column.
    pub column: usize,
}

/// An apply's parameters.
#[derive(Clone, Debug)]
pub struct ApplySpec {
    /// Which rows come out; not [`JoinKind::RightOuter`].
    pub kind: JoinKind,
    /// The inner plan's columns.
    pub inner_schema: Vec<FieldType>,
    /// Which outer columns the inner plan sees.
    pub correlated: Vec<Correlation>,
    /// Equalities whose NULL is unknown (NOT IN, IN as a value).
    pub null_aware_keys: Vec<JoinKey>,
    /// Conditions over the outer's columns, then the inner's.
    pub conditions: Vec<Expr>,
}

/// See the module documentation.
pub struct NestedLoopApply {
    ctx: ExecContext,
    outer: BoxedOperator,
    outer_schema: Vec<FieldType>,
    factory: InnerFactory,
    spec: ApplySpec,
    /// The null-aware keys as conditions over both sides.
    null_aware: Vec<Expr>,
    schema: Vec<FieldType>,
    last_run: Option<Run>,
    output: VecDeque<Chunk>,
}

/// One execution of the inner plan.
struct Run {
    bound: Vec<Datum>,
    chunks: Arc<Vec<Chunk>>,
    _memory: MemoryReservation,
}

impl NestedLoopApply {
    /// Applies what `factory` makes to each row of `outer`.
    pub fn new(
        ctx: &ExecContext,
        outer: BoxedOperator,
        factory: InnerFactory,
        spec: ApplySpec,
    ) -> Result<NestedLoopApply, ExecError> {
        if spec.kind == JoinKind::RightOuter {
            return Err(ExecError::InvalidPlan { reason: "an apply preserves its outer side only" });
        }
        let outer_schema = outer.schema().to_vec();
        let mut null_aware = Vec::new();
        for key in &spec.null_aware_keys {
            let inner = shift_columns(&key.right, outer_schema.len());
            null_aware.push(build_function("eq", vec![key.left.clone(), inner], &ctx.eval)?);
        }
        let schema = spec.kind.schema(&outer_schema, &spec.inner_schema);
        Ok(NestedLoopApply {
            ctx: ctx.clone(),
            outer,
            outer_schema,
            factory,
            spec,
            null_aware,
            schema,
            last_run: None,
            output: VecDeque::new(),
        })
    }

    async fn apply_to(&mut self, outer: Chunk) -> Result<(), ExecError> {
        let mut joined = Vec::new();
        let (mut matched, mut unknown) = (vec![false; outer.num_rows()], vec![false; outer.num_rows()]);
        for row in 0..outer.num_rows() {
            self.ctx.kill.check()?;
            let inner = self.run_inner(&outer, row).await?;
            for chunk in inner.iter() {
                let pairs = self.pair(&outer, row, chunk);
                let pairs = pairs.filter(&filter_mask(&self.spec.conditions, &self.ctx.eval, &pairs)?);
                let matching = pairs.filter(&filter_mask(&self.null_aware, &self.ctx.eval, &pairs)?);
                matched[row] |= matching.num_rows() > 0;
                if !self.spec.kind.is_semi() {
                    joined.push(matching);
                } else if matched[row] {
                    break;
                } else if !self.null_aware.is_empty() && !unknown[row] && pairs.num_rows() > 0 {
                    unknown[row] = any_row_not_false(&self.null_aware, &self.ctx.eval, &pairs)?;
                }
            }
            // What was unknown is known once a match turned up.
            unknown[row] &= !matched[row];
            if self.spec.kind == JoinKind::LeftOuter && !matched[row] {
                joined.push(side_by_side(outer.slice(row, 1), nulls(&self.spec.inner_schema, 1)));
            }
        }
        if self.spec.kind.is_semi() {
            self.output.extend(semi_output(self.spec.kind, &outer, &matched, &unknown));
        } else {
            joined.retain(|chunk| chunk.num_rows() > 0);
            for batch in gather_small(joined, self.ctx.max_chunk_rows) {
                self.output.push_back(batch);
            }
        }
        Ok(())
    }

    /// The inner plan's rows for one outer row.
    async fn run_inner(&mut self, outer: &Chunk, row: usize) -> Result<Arc<Vec<Chunk>>, ExecError> {
        let bound: Vec<Datum> = self
            .spec
            .correlated
            .iter()
            .map(|correlation| outer.datum(row, correlation.column, &self.outer_schema[correlation.column]))
            .collect();
        if let Some(run) = &self.last_run
            && run.bound == bound
        {
            return Ok(Arc::clone(&run.chunks));
        }
        self.last_run = None;
        let mut ctx = self.ctx.clone();
        ctx.eval.correlated = self.bind(&bound);
        let mut inner = (self.factory)(&ctx)?;
        let mut memory = self.ctx.memory.child("Apply").reservation();
        let mut chunks = Vec::new();
        // EXISTS is answered by the first row.
        let first_is_enough =
            self.spec.kind.is_semi() && self.spec.conditions.is_empty() && self.null_aware.is_empty();
        inner.open().await?;
        while let Some(chunk) = inner.next().await? {
            self.ctx.kill.check()?;
            memory.grow(chunk.memory_size())?;
            chunks.push(chunk);
            if first_is_enough {
                break;
            }
        }
        inner.close().await;
        let chunks = Arc::new(chunks);
        self.last_run = Some(Run { bound, chunks: Arc::clone(&chunks), _memory: memory });
        Ok(chunks)
    }

    /// The slots of enclosing applies, with ours filled in.
    fn bind(&self, bound: &[Datum]) -> Arc<[Datum]> {
        let mut slots = self.ctx.eval.correlated.to_vec();
        for (correlation, value) in self.spec.correlated.iter().zip(bound) {
            if slots.len() <= correlation.slot {
                slots.resize(correlation.slot + 1, Datum::Null);
            }
            slots[correlation.slot] = value.clone();
        }
        slots.into()
    }

    fn pair(&self, outer: &Chunk, row: usize, inner: &Chunk) -> Chunk {
        let rows = UInt32Array::from(vec![row as u32; inner.num_rows()]);
        side_by_side(outer.take(&rows), inner.clone())
    }
}

fn side_by_side(left: Chunk, right: Chunk) -> Chunk {
    let rows = left.num_rows();
    let mut columns = left.into_columns();
    columns.extend(right.into_columns());
    Chunk::new(columns, rows)
}

/// Joins neighbouring small chunks, up to a full chunk's rows.
fn gather_small(chunks: Vec<Chunk>, max_rows: usize) -> Vec<Chunk> {
    let mut out = Vec::new();
    let mut pending: Vec<Chunk> = Vec::new();
    let mut rows = 0;
    for chunk in chunks {
        if rows + chunk.num_rows() > max_rows && !pending.is_empty() {
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

#[async_trait]
impl Operator for NestedLoopApply {
    fn schema(&self) -> &[FieldType] {
        &self.schema
    }

    async fn open(&mut self) -> Result<(), ExecError> {
        self.outer.open().await
    }

    async fn next(&mut self) -> Result<Option<Chunk>, ExecError> {
        loop {
            if let Some(chunk) = self.output.pop_front() {
                return Ok(Some(chunk));
            }
            self.ctx.kill.check()?;
            match self.outer.next().await? {
                Some(outer) => self.apply_to(outer).await?,
                None => return Ok(None),
            }
        }
    }

    async fn close(&mut self) {
        self.last_run = None;
        self.output.clear();
        self.outer.close().await;
    }
}
