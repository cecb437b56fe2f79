//! StreamAggregate: GROUP BY over input that arrives ordered by the keys.
//!
//! Groups are runs of rows with equal keys. All runs that end inside a chunk are finished with it; only the last one
//! stays open, so the memory held is that of one chunk and one group.

use arrow::array::{Array, ArrayRef};
use async_trait::async_trait;
use tidewater_chunk::Chunk;
use tidewater_expr::{AggregateCall, Expr};
use tidewater_types::FieldType;

use crate::aggregate_states::{AggregatePlan, AggregateStates};
use crate::context::ExecContext;
use crate::error::ExecError;
use crate::keys::{EncodedRows, KeyKind};
use crate::memory::MemoryReservation;
use crate::operator::{BoxedOperator, Operator};

/// As [`HashAggregate`](crate::HashAggregate), for ordered input.
pub struct StreamAggregate {
    ctx: ExecContext,
    child: BoxedOperator,
    plan: AggregatePlan,
    kinds: Vec<KeyKind>,
    memory: MemoryReservation,
    /// The open group, and its key.
    open: Option<(AggregateStates, Vec<u8>)>,
    done: bool,
}

impl StreamAggregate {
    /// Groups `child`, whose rows with equal keys are neighbours.
    pub fn new(
        ctx: &ExecContext,
        child: BoxedOperator,
        group_by: Vec<Expr>,
        aggregates: Vec<AggregateCall>,
    ) -> Result<StreamAggregate, ExecError> {
        let kinds = group_by.iter().map(|expr| KeyKind::of(expr.field_type_ref())).collect();
        let memory = ctx.memory.child("StreamAgg").reservation();
        let plan = AggregatePlan::new(group_by, aggregates);
        Ok(StreamAggregate { ctx: ctx.clone(), child, plan, kinds, memory, open: None, done: false })
    }

    /// Takes a chunk in; gives the groups that ended in it.
    fn take_in(&mut self, chunk: Chunk) -> Result<Option<Chunk>, ExecError> {
        let rows = chunk.num_rows();
        let columns = self.plan.keys(&self.ctx, &chunk)?;
        let keys = EncodedRows::equality(&self.kinds, &columns, rows);
        let mut starts: Vec<usize> = (1..rows).filter(|row| keys.row(*row) != keys.row(*row - 1)).collect();
        let continues = self.open.as_ref().is_some_and(|(_, open)| open == keys.row(0));
        if !continues {
            starts.insert(0, 0);
        }
        // Rows before the last start complete groups; the rest opens (or continues) one.
        let Some(last_start) = starts.last().copied() else {
            self.feed(&chunk, &columns, 0, rows, &[])?;
            return Ok(None);
        };
        let mut finished = None;
        if last_start > 0 {
            self.feed(&chunk, &columns, 0, last_start, &starts[..starts.len() - 1])?;
        }
        if let Some((states, _)) = self.open.take() {
            finished = Some(states.finish(&self.plan)?);
        }
        self.feed(&chunk, &columns, last_start, rows, &[last_start])?;
        if let Some((_, key)) = &mut self.open {
            *key = keys.row(rows - 1).to_vec();
        }
        Ok(finished)
    }

    /// Feeds rows `start .. end` to the open states; a group begins at each of `starts`.
    fn feed(
        &mut self,
        chunk: &Chunk,
        keys: &[ArrayRef],
        start: usize,
        end: usize,
        starts: &[usize],
    ) -> Result<(), ExecError> {
        let part = chunk.slice(start, end - start);
        let keys: Vec<ArrayRef> = keys.iter().map(|key| key.slice(start, end - start)).collect();
        let inputs = self.plan.inputs(&self.ctx, &part)?;
        let (states, _) = match &mut self.open {
            Some(open) => open,
            None => self.open.insert((AggregateStates::new(&self.ctx, &self.plan)?, Vec::new())),
        };
        let first_rows: Vec<u32> = starts.iter().map(|row| (*row - start) as u32).collect();
        let mut group = states.groups();
        states.add_groups(&keys, &first_rows);
        let mut begins = first_rows.iter().peekable();
        let mut group_ids = Vec::with_capacity(end - start);
        for row in 0..(end - start) as u32 {
            if begins.next_if(|begin| **begin == row).is_some() {
                group += 1;
            }
            group_ids.push(group.saturating_sub(1) as u32);
        }
        states.update(&inputs, &group_ids)?;
        self.memory.resize(states.memory_size())
    }
}

#[async_trait]
impl Operator for StreamAggregate {
    fn schema(&self) -> &[FieldType] {
        &self.plan.schema
    }

    async fn open(&mut self) -> Result<(), ExecError> {
        self.child.open().await?;
        if self.plan.group_by.is_empty() {
            let mut states = AggregateStates::new(&self.ctx, &self.plan)?;
            states.add_only_group();
            self.open = Some((states, Vec::new()));
        }
        Ok(())
    }

    async fn next(&mut self) -> Result<Option<Chunk>, ExecError> {
        while !self.done {
            self.ctx.kill.check()?;
            match self.child.next().await? {
                Some(chunk) => {
                    if let Some(groups) = self.take_in(chunk)? {
                        return Ok(Some(groups));
                    }
                }
                None => {
                    self.done = true;
                    self.memory.free();
                    return self.open.take().map(|(states, _)| states.finish(&self.plan)).transpose();
                }
            }
        }
        Ok(None)
    }

    async fn close(&mut self) {
        self.open = None;
        self.memory.free();
        self.child.close().await;
    }
}
