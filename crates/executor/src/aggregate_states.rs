//! The aggregates of one GROUP BY: evaluates their inputs, feeds their states, and collects output columns.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, UInt32Array};
use tidewater_chunk::{Chunk, concat_arrays, take_array};
use tidewater_expr::{AggregateCall, AggregateMode, Aggregator, Expr};
use tidewater_types::FieldType;

use crate::context::ExecContext;
use crate::error::ExecError;

/// What an aggregation computes; shared by its hash and stream forms.
pub(crate) struct AggregatePlan {
    pub(crate) group_by: Vec<Expr>,
    pub(crate) aggregates: Vec<AggregateCall>,
    /// The aggregates' results (in partial mode their partial columns), then the group-by columns.
    pub(crate) schema: Vec<FieldType>,
}

impl AggregatePlan {
    pub(crate) fn new(group_by: Vec<Expr>, aggregates: Vec<AggregateCall>) -> AggregatePlan {
        let mut schema = Vec::new();
        for call in &aggregates {
            match call.mode {
                AggregateMode::Partial => schema.extend(call.partial_types()),
                AggregateMode::Complete | AggregateMode::Final => schema.push(call.field_type.clone()),
            }
        }
        schema.extend(group_by.iter().map(Expr::field_type));
        AggregatePlan { group_by, aggregates, schema }
    }

    /// The group-by columns of a chunk.
    pub(crate) fn keys(&self, ctx: &ExecContext, chunk: &Chunk) -> Result<Vec<ArrayRef>, ExecError> {
        let mut keys = Vec::with_capacity(self.group_by.len());
        for expr in &self.group_by {
            keys.push(expr.eval(&ctx.eval, chunk)?);
        }
        Ok(keys)
    }

    /// The aggregates' inputs, evaluated over a chunk.
    pub(crate) fn inputs(&self, ctx: &ExecContext, chunk: &Chunk) -> Result<Vec<Vec<ArrayRef>>, ExecError> {
        let mut inputs = Vec::with_capacity(self.aggregates.len());
        for call in &self.aggregates {
            let mut columns = Vec::with_capacity(call.args.len());
            for expr in call.inputs() {
                columns.push(expr.eval(&ctx.eval, chunk)?);
            }
            inputs.push(columns);
        }
        Ok(inputs)
    }
}

/// The states of some groups.
pub(crate) struct AggregateStates {
    states: Vec<Box<dyn Aggregator>>,
    /// Key columns of the groups' first rows, in pieces.
    keys: Vec<Vec<ArrayRef>>,
    groups: usize,
    key_bytes: usize,
}

impl AggregateStates {
    pub(crate) fn new(ctx: &ExecContext, plan: &AggregatePlan) -> Result<AggregateStates, ExecError> {
        let mut states = Vec::with_capacity(plan.aggregates.len());
        for call in &plan.aggregates {
            states.push(call.aggregator(&ctx.eval)?);
        }
        Ok(AggregateStates { states, keys: vec![Vec::new(); plan.group_by.len()], groups: 0, key_bytes: 0 })
    }

    pub(crate) fn groups(&self) -> usize {
        self.groups
    }

    /// Remembers the keys of new groups: those of `first_rows`.
    pub(crate) fn add_groups(&mut self, keys: &[ArrayRef], first_rows: &[u32]) {
        self.groups += first_rows.len();
        if first_rows.is_empty() {
            return;
        }
        let rows = UInt32Array::from(first_rows.to_vec());
        for (pieces, key) in self.keys.iter_mut().zip(keys) {
            let piece = take_array(key, &rows);
            self.key_bytes += piece.get_buffer_memory_size();
            pieces.push(piece);
        }
    }

    /// Makes the one group of an aggregation without GROUP BY.
    pub(crate) fn add_only_group(&mut self) {
        self.groups = 1;
        for state in &mut self.states {
            state.resize(1);
        }
    }

    /// Feeds rows; row `i` belongs to `group_ids[i]`.
    pub(crate) fn update(&mut self, inputs: &[Vec<ArrayRef>], group_ids: &[u32]) -> Result<(), ExecError> {
        for (state, columns) in self.states.iter_mut().zip(inputs) {
            state.update(columns, group_ids, self.groups)?;
        }
        Ok(())
    }

    /// Feeds rows of the only group.
    pub(crate) fn update_all(&mut self, inputs: &[Vec<ArrayRef>], rows: usize) -> Result<(), ExecError> {
        for (state, columns) in self.states.iter_mut().zip(inputs) {
            state.update_all(columns, rows)?;
        }
        Ok(())
    }

    pub(crate) fn memory_size(&self) -> usize {
        self.key_bytes + self.states.iter().map(|state| state.memory_size()).sum::<usize>()
    }

    /// The results, one row per group.
    pub(crate) fn finish(mut self, plan: &AggregatePlan) -> Result<Chunk, ExecError> {
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(plan.schema.len());
        for (state, call) in self.states.iter_mut().zip(&plan.aggregates) {
            state.resize(self.groups);
            match call.mode {
                AggregateMode::Partial => columns.extend(state.finish_partial()?),
                AggregateMode::Complete | AggregateMode::Final => columns.push(state.finish()?),
            }
        }
        for pieces in &self.keys {
            let pieces: Vec<&dyn Array> = pieces.iter().map(Arc::as_ref).collect();
            columns.push(concat_arrays(&pieces));
        }
        Ok(Chunk::new(columns, self.groups))
    }
}
