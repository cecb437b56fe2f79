//! COUNT.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::datatypes::Int64Type;

use super::{AggregateCall, AggregateMode, Aggregator};
use crate::error::ExprError;

pub(super) fn aggregator(call: &AggregateCall) -> Box<dyn Aggregator> {
    Box::new(Count { counts: Vec::new(), merges: call.mode == AggregateMode::Final })
}

/// Counts rows in which no argument is NULL.
struct Count {
    counts: Vec<i64>,
    merges: bool,
}

impl Aggregator for Count {
    fn update(&mut self, args: &[ArrayRef], group_ids: &[u32], groups: usize) -> Result<(), ExprError> {
        self.resize(groups);
        if self.merges {
            let partial = args[0].as_primitive::<Int64Type>();
            for (row, group) in group_ids.iter().enumerate() {
                self.counts[*group as usize] += partial.value(row);
            }
            return Ok(());
        }
        if args.iter().all(|arg| arg.null_count() == 0) {
            for group in group_ids {
                self.counts[*group as usize] += 1;
            }
            return Ok(());
        }
        for (row, group) in group_ids.iter().enumerate() {
            self.counts[*group as usize] += i64::from(args.iter().all(|arg| arg.is_valid(row)));
        }
        Ok(())
    }

    fn update_all(&mut self, args: &[ArrayRef], rows: usize) -> Result<(), ExprError> {
        self.resize(1);
        self.counts[0] += if self.merges {
            args[0].as_primitive::<Int64Type>().values().iter().sum()
        } else {
            match args {
                [one] => (rows - one.null_count()) as i64,
                many => (0..rows).filter(|row| many.iter().all(|arg| arg.is_valid(*row))).count() as i64,
            }
        };
        Ok(())
    }

    fn resize(&mut self, groups: usize) {
        if self.counts.len() < groups {
            self.counts.resize(groups, 0);
        }
    }

    fn finish(&mut self) -> Result<ArrayRef, ExprError> {
        Ok(Arc::new(Int64Array::from(std::mem::take(&mut self.counts))))
    }

    fn finish_partial(&mut self) -> Result<Vec<ArrayRef>, ExprError> {
        Ok(vec![self.finish()?])
    }

    fn memory_size(&self) -> usize {
        self.counts.capacity() * 8
    }
}
