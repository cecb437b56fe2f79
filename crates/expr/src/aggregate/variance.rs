//! STDDEV_POP, STDDEV_SAMP, VAR_POP, VAR_SAMP by Welford's method; partial results are joined by Chan's formula.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array};
use arrow::datatypes::{Float64Type, Int64Type};

use super::{AggregateCall, AggregateFunction, AggregateMode, Aggregator};
use crate::error::ExprError;

pub(super) fn aggregator(call: &AggregateCall) -> Box<dyn Aggregator> {
    Box::new(Variance {
        function: call.function,
        merges: call.mode == AggregateMode::Final,
        states: Vec::new(),
    })
}

#[derive(Clone, Copy, Default)]
struct State {
    count: i64,
    mean: f64,
    /// Sum of squared deviations from the mean.
    squares: f64,
}

impl State {
    fn add(&mut self, value: f64) {
        self.count += 1;
        let delta = value - self.mean;
        self.mean += delta / self.count as f64;
        self.squares += delta * (value - self.mean);
    }

    fn merge(&mut self, other: State) {
        if other.count == 0 {
            return;
        }
        let count = self.count + other.count;
        let delta = other.mean - self.mean;
        self.squares += other.squares + delta * delta * self.count as f64 * other.count as f64 / count as f64;
        self.mean += delta * other.count as f64 / count as f64;
        self.count = count;
    }

    fn result(self, function: AggregateFunction) -> Option<f64> {
        let sample = matches!(function, AggregateFunction::StddevSamp | AggregateFunction::VarSamp);
        let divisor = self.count - i64::from(sample);
        if divisor <= 0 {
            return None;
        }
        let variance = self.squares / divisor as f64;
        let root = matches!(function, AggregateFunction::StddevPop | AggregateFunction::StddevSamp);
        Some(if root { variance.sqrt() } else { variance })
    }
}

struct Variance {
    function: AggregateFunction,
    merges: bool,
    states: Vec<State>,
}

impl Aggregator for Variance {
    fn update(&mut self, args: &[ArrayRef], group_ids: &[u32], groups: usize) -> Result<(), ExprError> {
        self.resize(groups);
        let malformed = || ExprError::Malformed { what: "argument of a variance" };
        if self.merges {
            let counts = args[0].as_primitive_opt::<Int64Type>().ok_or_else(malformed)?;
            let sums = args[1].as_primitive_opt::<Float64Type>().ok_or_else(malformed)?;
            let squares = args[2].as_primitive_opt::<Float64Type>().ok_or_else(malformed)?;
            for (row, group) in group_ids.iter().enumerate() {
                let count = counts.value(row);
                let mean = if count == 0 { 0.0 } else { sums.value(row) / count as f64 };
                self.states[*group as usize].merge(State { count, mean, squares: squares.value(row) });
            }
            return Ok(());
        }
        let Some(values) = args[0].as_primitive_opt::<Float64Type>() else { return Ok(()) };
        for (row, group) in group_ids.iter().enumerate().filter(|(row, _)| values.is_valid(*row)) {
            self.states[*group as usize].add(values.value(row));
        }
        Ok(())
    }

    fn resize(&mut self, groups: usize) {
        if self.states.len() < groups {
            self.states.resize(groups, State::default());
        }
    }

    fn finish(&mut self) -> Result<ArrayRef, ExprError> {
        let states = std::mem::take(&mut self.states);
        Ok(Arc::new(states.iter().map(|s| s.result(self.function)).collect::<Float64Array>()))
    }

    fn finish_partial(&mut self) -> Result<Vec<ArrayRef>, ExprError> {
        let states = std::mem::take(&mut self.states);
        Ok(vec![
            Arc::new(
                states
                    .iter()
                    .map(|s| s.count)
                    .collect::<Vec<_>>()
                    .into_iter()
                    .map(Some)
                    .collect::<Int64Array>(),
            ),
            Arc::new(states.iter().map(|s| Some(s.mean * s.count as f64)).collect::<Float64Array>()),
            Arc::new(states.iter().map(|s| Some(s.squares)).collect::<Float64Array>()),
        ])
    }

    fn memory_size(&self) -> usize {
        self.states.capacity() * size_of::<State>()
    }
}
