//! BIT_AND, BIT_OR, BIT_XOR.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, UInt64Array};
use arrow::datatypes::UInt64Type;

use super::{AggregateCall, AggregateFunction, Aggregator};
use crate::error::ExprError;

pub(super) fn aggregator(call: &AggregateCall) -> Box<dyn Aggregator> {
    // Without rows: all ones for BIT_AND, zero for the others.
    let (start, op): (u64, fn(u64, u64) -> u64) = match call.function {
        AggregateFunction::BitAnd => (u64::MAX, |a, b| a & b),
        AggregateFunction::BitOr => (0, |a, b| a | b),
        _ => (0, |a, b| a ^ b),
    };
    Box::new(Bits { start, op, values: Vec::new() })
}

struct Bits {
    start: u64,
    op: fn(u64, u64) -> u64,
    values: Vec<u64>,
}

impl Aggregator for Bits {
    fn update(&mut self, args: &[ArrayRef], group_ids: &[u32], groups: usize) -> Result<(), ExprError> {
        self.resize(groups);
        let Some(array) = args[0].as_primitive_opt::<UInt64Type>() else { return Ok(()) };
        for (row, group) in group_ids.iter().enumerate().filter(|(row, _)| array.is_valid(*row)) {
            let value = &mut self.values[*group as usize];
            *value = (self.op)(*value, array.value(row));
        }
        Ok(())
    }

    fn resize(&mut self, groups: usize) {
        if self.values.len() < groups {
            self.values.resize(groups, self.start);
        }
    }

    fn finish(&mut self) -> Result<ArrayRef, ExprError> {
        Ok(Arc::new(UInt64Array::from(std::mem::take(&mut self.values))))
    }

    fn finish_partial(&mut self) -> Result<Vec<ArrayRef>, ExprError> {
        Ok(vec![self.finish()?])
    }

    fn memory_size(&self) -> usize {
        self.values.capacity() * 8
    }
}
