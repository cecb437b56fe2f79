//! HashAggregate: GROUP BY through a hash table of groups.
//!
//! Each chunk's key columns become group numbers (see [`GroupTable`]), the aggregates' states take whole columns with
//! those numbers. Groups come out in order of first appearance.

use async_trait::async_trait;
use tidewater_chunk::Chunk;
use tidewater_expr::{AggregateCall, Expr};
use tidewater_types::FieldType;

use crate::aggregate_states::{AggregatePlan, AggregateStates};
use crate::context::{ChunkSizer, ExecContext};
use crate::error::ExecError;
use crate::group_table::GroupTable;
use crate::keys::KeyKind;
use crate::memory::MemoryReservation;
use crate::operator::{BoxedOperator, Operator};

/// Gives the aggregates' results, then the group-by columns (of each group's first row).
///
/// Without group-by columns there is exactly one row, even for no input. Partial mode gives partial columns.
pub struct HashAggregate {
    ctx: ExecContext,
    child: BoxedOperator,
    plan: AggregatePlan,
    memory: MemoryReservation,
    output: Option<Output>,
    done: bool,
}

struct Output {
    rows: Chunk,
    position: usize,
    sizer: ChunkSizer,
}

impl HashAggregate {
    /// Groups `child` by `group_by`.
    pub fn new(
        ctx: &ExecContext,
        child: BoxedOperator,
        group_by: Vec<Expr>,
        aggregates: Vec<AggregateCall>,
    ) -> Result<HashAggregate, ExecError> {
        let memory = ctx.memory.child("HashAgg").reservation();
        let plan = AggregatePlan::new(group_by, aggregates);
        Ok(HashAggregate { ctx: ctx.clone(), child, plan, memory, output: None, done: false })
    }

    async fn aggregate(&mut self) -> Result<Chunk, ExecError> {
        let mut states = AggregateStates::new(&self.ctx, &self.plan)?;
        if self.plan.group_by.is_empty() {
            states.add_only_group();
            while let Some(chunk) = self.child.next().await? {
                self.ctx.kill.check()?;
                let inputs = self.plan.inputs(&self.ctx, &chunk)?;
                states.update_all(&inputs, chunk.num_rows())?;
                self.memory.resize(states.memory_size())?;
            }
            return states.finish(&self.plan);
        }
        let kinds = self.plan.group_by.iter().map(|expr| KeyKind::of(expr.field_type_ref())).collect();
        let mut table = GroupTable::new(kinds);
        let (mut group_ids, mut first_rows) = (Vec::new(), Vec::new());
        while let Some(chunk) = self.child.next().await? {
            self.ctx.kill.check()?;
            let keys = self.plan.keys(&self.ctx, &chunk)?;
            table.assign(&keys, chunk.num_rows(), &mut group_ids, &mut first_rows);
            states.add_groups(&keys, &first_rows);
            let inputs = self.plan.inputs(&self.ctx, &chunk)?;
            states.update(&inputs, &group_ids)?;
            self.memory.resize(table.memory_size() + states.memory_size())?;
        }
        if table.len() == 0 {
            return Ok(Chunk::empty(&self.plan.schema));
        }
        drop(table);
        let result = states.finish(&self.plan)?;
        self.memory.resize(result.memory_size())?;
        Ok(result)
    }
}

#[async_trait]
impl Operator for HashAggregate {
    fn schema(&self) -> &[FieldType] {
        &self.plan.schema
    }

    async fn open(&mut self) -> Result<(), ExecError> {
        self.child.open().await
    }

    async fn next(&mut self) -> Result<Option<Chunk>, ExecError> {
        if !std::mem::replace(&mut self.done, true) {
            let rows = self.aggregate().await?;
            self.output = Some(Output { rows, position: 0, sizer: self.ctx.chunk_sizer() });
        }
        self.ctx.kill.check()?;
        let Some(output) = &mut self.output else {
            return Ok(None);
        };
        let left = output.rows.num_rows() - output.position;
        if left == 0 {
            return Ok(None);
        }
        let rows = output.sizer.advance().min(left);
        let chunk = output.rows.slice(output.position, rows);
        output.position += rows;
        Ok(Some(chunk))
    }

    async fn close(&mut self) {
        self.output = None;
        self.memory.free();
        self.child.close().await;
    }
}
