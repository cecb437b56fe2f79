//! IndexJoin: joins by reading, for each batch of outer rows, only the inner rows their keys point to.
//!
//! Each batch is a small hash join of the batch with what the inner factory reads for the batch's distinct keys; the
//! batches grow, so that a LIMIT above stays cheap and long inputs need few round trips.

use async_trait::async_trait;
use tidewater_chunk::Chunk;
use tidewater_expr::Expr;
use tidewater_types::{Datum, FieldType};

use crate::context::ExecContext;
use crate::error::ExecError;
use crate::group_table::GroupTable;
use crate::hash_join::HashJoin;
use crate::join_spec::{BuildSide, HashJoinSpec, JoinKind};
use crate::keys::KeyKind;
use crate::operator::{BoxedOperator, Operator};
use crate::values::Values;

/// Makes the inner operators that read the rows of these distinct keys (no NULL among them).
pub type LookupFactory =
    Box<dyn FnMut(&ExecContext, Vec<Vec<Datum>>) -> Result<BoxedOperator, ExecError> + Send>;

/// Rows of the first and of a full batch.
const BATCH_ROWS_INITIAL: usize = 256;
const BATCH_ROWS_MAX: usize = 16 * 1024;

/// An index join's parameters.
#[derive(Clone, Debug)]
pub struct IndexJoinSpec {
    /// The inner side's columns.
    pub inner_schema: Vec<FieldType>,
    /// Values over the outer columns that find the inner rows.
    pub lookup_keys: Vec<Expr>,
    /// The join itself. `build` names the inner side; what it preserves must be the outer side.
    pub join: HashJoinSpec,
}

/// See the module documentation.
pub struct IndexJoin {
    ctx: ExecContext,
    outer: BoxedOperator,
    outer_schema: Vec<FieldType>,
    factory: LookupFactory,
    spec: IndexJoinSpec,
    schema: Vec<FieldType>,
    batch_rows: usize,
    current: Option<HashJoin>,
    outer_done: bool,
}

impl IndexJoin {
    /// Joins `outer` with what `factory` reads.
    pub fn new(
        ctx: &ExecContext,
        outer: BoxedOperator,
        factory: LookupFactory,
        spec: IndexJoinSpec,
    ) -> IndexJoin {
        let outer_schema = outer.schema().to_vec();
        let schema = match spec.join.build {
            BuildSide::Right => spec.join.kind.schema(&outer_schema, &spec.inner_schema),
            BuildSide::Left => spec.join.kind.schema(&spec.inner_schema, &outer_schema),
        };
        IndexJoin {
            ctx: ctx.clone(),
            outer,
            outer_schema,
            factory,
            spec,
            schema,
            batch_rows: BATCH_ROWS_INITIAL,
            current: None,
            outer_done: false,
        }
    }

    /// The next batch of outer rows.
    async fn next_batch(&mut self) -> Result<Vec<Chunk>, ExecError> {
        let mut chunks = Vec::new();
        let mut rows = 0;
        while rows < self.batch_rows && !self.outer_done {
            self.ctx.kill.check()?;
            match self.outer.next().await? {
                Some(chunk) => {
                    rows += chunk.num_rows();
                    chunks.push(chunk);
                }
                None => self.outer_done = true,
            }
        }
        self.batch_rows = (self.batch_rows * 2).min(BATCH_ROWS_MAX);
        Ok(chunks)
    }

    /// The distinct keys of a batch, in order of first appearance.
    fn lookup_keys(&self, batch: &[Chunk]) -> Result<Vec<Vec<Datum>>, ExecError> {
        let types: Vec<&FieldType> = self.spec.lookup_keys.iter().map(Expr::field_type_ref).collect();
        let mut groups = GroupTable::new(types.iter().map(|field_type| KeyKind::of(field_type)).collect());
        let (mut ids, mut first_rows) = (Vec::new(), Vec::new());
        let mut keys = Vec::new();
        for chunk in batch {
            let mut columns = Vec::with_capacity(types.len());
            for key in &self.spec.lookup_keys {
                columns.push(key.eval(&self.ctx.eval, chunk)?);
            }
            groups.assign(&columns, chunk.num_rows(), &mut ids, &mut first_rows);
            let key_chunk = Chunk::new(columns, chunk.num_rows());
            for row in &first_rows {
                let key: Vec<Datum> = (types.iter().enumerate())
                    .map(|(index, field_type)| key_chunk.datum(*row as usize, index, field_type))
                    .collect();
                if !key.contains(&Datum::Null) {
                    keys.push(key);
                }
            }
        }
        Ok(keys)
    }

    async fn start_batch(&mut self) -> Result<Option<HashJoin>, ExecError> {
        let batch = self.next_batch().await?;
        if batch.is_empty() {
            return Ok(None);
        }
        let keys = self.lookup_keys(&batch)?;
        let inner: BoxedOperator = if keys.is_empty() {
            Box::new(Values::empty(&self.ctx, self.spec.inner_schema.clone()))
        } else {
            (self.factory)(&self.ctx, keys)?
        };
        let outer: BoxedOperator = Box::new(Values::new(&self.ctx, self.outer_schema.clone(), batch));
        let (left, right) = match self.spec.join.build {
            BuildSide::Right => (outer, inner),
            BuildSide::Left => (inner, outer),
        };
        let mut join = HashJoin::new(&self.ctx, left, right, self.spec.join.clone())?;
        join.open().await?;
        Ok(Some(join))
    }
}

impl IndexJoinSpec {
    /// True when the join preserves no inner row: each batch sees only a part of the inner side.
    pub fn is_valid(&self) -> bool {
        match (self.join.kind, self.join.build) {
            (JoinKind::Inner, _)
            | (JoinKind::LeftOuter, BuildSide::Right)
            | (JoinKind::RightOuter, BuildSide::Left) => true,
            (JoinKind::LeftOuter, BuildSide::Left) | (JoinKind::RightOuter, BuildSide::Right) => false,
            (kind, build) => {
                kind.is_semi() && build == BuildSide::Right && self.join.null_aware_keys.is_empty()
            }
        }
    }
}

#[async_trait]
impl Operator for IndexJoin {
    fn schema(&self) -> &[FieldType] {
        &self.schema
    }

    async fn open(&mut self) -> Result<(), ExecError> {
        if !self.spec.is_valid() {
            return Err(ExecError::InvalidPlan { reason: "an index join cannot preserve its inner side" });
        }
        self.outer.open().await
    }

    async fn next(&mut self) -> Result<Option<Chunk>, ExecError> {
        loop {
            if let Some(join) = &mut self.current {
                if let Some(chunk) = join.next().await? {
                    return Ok(Some(chunk));
                }
                join.close().await;
            }
            self.current = self.start_batch().await?;
            if self.current.is_none() {
                return Ok(None);
            }
        }
    }

    async fn close(&mut self) {
        if let Some(join) = &mut self.current {
            join.close().await;
        }
        self.current = None;
        self.outer.close().await;
    }
}
