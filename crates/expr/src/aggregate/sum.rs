//! SUM and AVG: 128-bit sums for integers and decimals, doubles for the rest.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Decimal128Type, Decimal256Type, Float64Type, Int64Type, UInt64Type};
use tidewater_chunk::DecimalVec;
use tidewater_types::{Decimal, EvalType, FieldType, MAX_PRECISION};

use super::{AggregateCall, AggregateFunction, AggregateMode, Aggregator};
use crate::context::EvalContext;
use crate::error::ExprError;

/// SUM's type: integers and decimals give DECIMAL with 22 more digits, everything else DOUBLE.
pub(super) fn sum_type(arg: &FieldType) -> FieldType {
    match arg.eval_type() {
        EvalType::Int => {
            FieldType::decimal(if arg.length > 0 { (arg.length + 22).min(65) as u8 } else { 42 }, 0)
        }
        EvalType::Decimal => {
            let precision = if arg.length > 0 { (arg.length + 22).min(65) as u8 } else { 65 };
            FieldType::decimal(precision, arg.decimals.clamp(0, 30) as u8)
        }
        _ => FieldType::double(),
    }
}

/// AVG's type: the argument's with `div_precision_increment` more digits after the point.
pub(super) fn avg_type(arg: &FieldType, ctx: &EvalContext) -> FieldType {
    let increment = i32::from(ctx.div_precision_increment);
    match arg.eval_type() {
        EvalType::Int => {
            let digits = if arg.length > 0 { arg.length } else { 20 };
            FieldType::decimal((digits + increment).min(65) as u8, increment.min(30) as u8)
        }
        EvalType::Decimal => {
            let scale = arg.decimals.clamp(0, 30);
            let precision = if arg.length > 0 { arg.length } else { 65 };
            FieldType::decimal((precision + increment).min(65) as u8, (scale + increment).min(30) as u8)
        }
        _ => FieldType::double(),
    }
}

pub(super) fn aggregator(call: &AggregateCall, _ctx: &EvalContext) -> Box<dyn Aggregator> {
    let average = call.function == AggregateFunction::Avg;
    let merges = call.mode == AggregateMode::Final;
    let result_scale = call.field_type.decimals.clamp(0, 30) as u8;
    if call.field_type.eval_type() == EvalType::Decimal {
        let arg = call.args.last().map_or(&call.field_type, |arg| arg.field_type_ref());
        let scale = if arg.eval_type() == EvalType::Decimal { arg.decimals.clamp(0, 30) as u8 } else { 0 };
        Box::new(DecimalSum {
            scale,
            result_scale,
            average,
            merges,
            sums: Vec::new(),
            counts: Vec::new(),
            wide: HashMap::new(),
        })
    } else {
        Box::new(DoubleSum { average, merges, sums: Vec::new(), counts: Vec::new() })
    }
}

/// Sums of exact numbers, as integers of the argument's scale.
struct DecimalSum {
    scale: u8,
    result_scale: u8,
    average: bool,
    merges: bool,
    sums: Vec<i128>,
    /// Rows that were not NULL.
    counts: Vec<i64>,
    /// What no longer fitted into `sums`, by group; looked up by group only.
    wide: HashMap<u32, Decimal>,
}

impl DecimalSum {
    #[inline]
    fn add(&mut self, group: u32, value: i128) -> Result<(), ExprError> {
        let sum = &mut self.sums[group as usize];
        match sum.checked_add(value) {
            Some(total) => *sum = total,
            None => {
                let carried = std::mem::replace(sum, value);
                self.add_wide(group, Decimal::from_i128(carried, self.scale))?;
            }
        }
        Ok(())
    }

    fn add_wide(&mut self, group: u32, value: Decimal) -> Result<(), ExprError> {
        let total = self.wide.entry(group).or_default();
        *total = total.checked_add(value).map_err(|_| too_large())?;
        Ok(())
    }

    /// Adds a column, one group per row.
    fn add_column(
        &mut self,
        array: &ArrayRef,
        group: impl Fn(usize) -> u32,
        rows: usize,
        count: bool,
    ) -> Result<(), ExprError> {
        let nulls = array.nulls();
        let valid = |row: usize| nulls.is_none_or(|n| n.is_valid(row));
        match array.data_type() {
            DataType::Int64 => {
                let values = array.as_primitive::<Int64Type>().values();
                for row in (0..rows).filter(|row| valid(*row)) {
                    self.add(group(row), i128::from(values[row]))?;
                    self.counts[group(row) as usize] += i64::from(count);
                }
            }
            DataType::UInt64 => {
                let values = array.as_primitive::<UInt64Type>().values();
                for row in (0..rows).filter(|row| valid(*row)) {
                    self.add(group(row), i128::from(values[row]))?;
                    self.counts[group(row) as usize] += i64::from(count);
                }
            }
            DataType::Decimal128(_, scale) if *scale as u8 == self.scale => {
                let values = array.as_primitive::<Decimal128Type>().values();
                for row in (0..rows).filter(|row| valid(*row)) {
                    self.add(group(row), values[row])?;
                    self.counts[group(row) as usize] += i64::from(count);
                }
            }
            DataType::Decimal128(_, scale) => {
                let (values, scale) = (array.as_primitive::<Decimal128Type>().values(), *scale as u8);
                for row in (0..rows).filter(|row| valid(*row)) {
                    self.add_wide(group(row), Decimal::from_i128(values[row], scale))?;
                    self.counts[group(row) as usize] += i64::from(count);
                }
            }
            DataType::Decimal256(_, scale) => {
                let (values, scale) = (array.as_primitive::<Decimal256Type>().values(), *scale as u8);
                for row in (0..rows).filter(|row| valid(*row)) {
                    let value = Decimal::from_i256(values[row], scale).ok_or_else(too_large)?;
                    self.add_wide(group(row), value)?;
                    self.counts[group(row) as usize] += i64::from(count);
                }
            }
            _ => return Err(ExprError::Malformed { what: "argument of SUM" }),
        }
        Ok(())
    }

    /// A whole column into one group: sums without a group look-up.
    fn add_all(&mut self, array: &ArrayRef, rows: usize) -> Result<bool, ExprError> {
        let total = match array.data_type() {
            DataType::Int64 if array.null_count() == 0 => {
                array.as_primitive::<Int64Type>().values().iter().map(|v| i128::from(*v)).sum::<i128>()
            }
            DataType::Decimal128(_, scale) if *scale as u8 == self.scale && array.null_count() == 0 => {
                let values = array.as_primitive::<Decimal128Type>().values();
                // 2^64 values below 10^18 cannot overflow 128 bits.
                if !values.iter().all(|v| v.unsigned_abs() < 10u128.pow(18)) {
                    return Ok(false);
                }
                values.iter().sum::<i128>()
            }
            _ => return Ok(false),
        };
        self.add(0, total)?;
        self.counts[0] += rows as i64;
        Ok(true)
    }

    fn total(&self, group: usize) -> Result<Decimal, ExprError> {
        let narrow = Decimal::from_i128(self.sums[group], self.scale);
        match self.wide.get(&(group as u32)) {
            Some(wide) => wide.checked_add(narrow).map_err(|_| too_large()),
            None => Ok(narrow),
        }
    }

    fn sums_column(&self) -> Result<ArrayRef, ExprError> {
        let mut values = DecimalVec::new(self.scale, self.sums.len());
        for group in 0..self.sums.len() {
            if self.wide.is_empty() {
                values.push_i128(self.sums[group]);
            } else {
                values.push(self.total(group)?);
            }
        }
        Ok(values.finish(seen(&self.counts)))
    }
}

fn too_large() -> ExprError {
    ExprError::OutOfRange { type_name: "DECIMAL", expression: "sum".to_owned() }
}

/// Groups without a value are NULL.
fn seen(counts: &[i64]) -> Option<NullBuffer> {
    if counts.iter().all(|count| *count > 0) {
        None
    } else {
        Some(counts.iter().map(|count| *count > 0).collect())
    }
}

impl Aggregator for DecimalSum {
    fn update(&mut self, args: &[ArrayRef], group_ids: &[u32], groups: usize) -> Result<(), ExprError> {
        self.resize(groups);
        let rows = group_ids.len();
        if self.merges && self.average {
            add_counts(&mut self.counts, &args[0], group_ids);
            return self.add_column(&args[1], |row| group_ids[row], rows, false);
        }
        self.add_column(&args[0], |row| group_ids[row], rows, true)
    }

    fn update_all(&mut self, args: &[ArrayRef], rows: usize) -> Result<(), ExprError> {
        self.resize(1);
        if !(self.merges && self.average) && self.add_all(&args[0], rows)? {
            return Ok(());
        }
        self.update(args, &vec![0; rows], 1)
    }

    fn resize(&mut self, groups: usize) {
        if self.sums.len() < groups {
            self.sums.resize(groups, 0);
            self.counts.resize(groups, 0);
        }
    }

    fn finish(&mut self) -> Result<ArrayRef, ExprError> {
        if !self.average {
            let result = self.sums_column()?;
            let same = match result.data_type() {
                DataType::Decimal128(_, scale) | DataType::Decimal256(_, scale) => {
                    *scale as u8 == self.result_scale
                }
                _ => true,
            };
            if same {
                return Ok(result);
            }
        }
        let mut values = DecimalVec::new(self.result_scale, self.sums.len());
        for group in 0..self.sums.len() {
            let total = self.total(group)?;
            let count = self.counts[group];
            values.push(match (self.average, count) {
                (true, 0) => Decimal::ZERO,
                (true, _) => total
                    .checked_div_to(Decimal::from_i64(count), self.result_scale)
                    .map_err(|_| too_large())?,
                (false, _) => total.rescale(MAX_PRECISION, self.result_scale).map_err(|_| too_large())?,
            });
        }
        Ok(values.finish(seen(&self.counts)))
    }

    fn finish_partial(&mut self) -> Result<Vec<ArrayRef>, ExprError> {
        let sums = self.sums_column()?;
        if !self.average {
            return Ok(vec![sums]);
        }
        Ok(vec![Arc::new(Int64Array::from(std::mem::take(&mut self.counts))), sums])
    }

    fn memory_size(&self) -> usize {
        self.sums.capacity() * 16 + self.counts.capacity() * 8 + self.wide.len() * 64
    }
}

fn add_counts(counts: &mut [i64], partial: &ArrayRef, group_ids: &[u32]) {
    let partial = partial.as_primitive::<Int64Type>();
    for (row, group) in group_ids.iter().enumerate() {
        if partial.is_valid(row) {
            counts[*group as usize] += partial.value(row);
        }
    }
}

/// Sums of doubles.
struct DoubleSum {
    average: bool,
    merges: bool,
    sums: Vec<f64>,
    counts: Vec<i64>,
}

impl Aggregator for DoubleSum {
    fn update(&mut self, args: &[ArrayRef], group_ids: &[u32], groups: usize) -> Result<(), ExprError> {
        self.resize(groups);
        let merging = self.merges && self.average;
        let array = if merging { &args[1] } else { &args[0] };
        let Some(values) = array.as_primitive_opt::<Float64Type>() else { return Ok(()) };
        for (row, group) in group_ids.iter().enumerate().filter(|(row, _)| values.is_valid(*row)) {
            self.sums[*group as usize] += values.value(row);
            self.counts[*group as usize] += i64::from(!merging);
        }
        if merging {
            add_counts(&mut self.counts, &args[0], group_ids);
        }
        Ok(())
    }

    fn resize(&mut self, groups: usize) {
        if self.sums.len() < groups {
            self.sums.resize(groups, 0.0);
            self.counts.resize(groups, 0);
        }
    }

    fn finish(&mut self) -> Result<ArrayRef, ExprError> {
        let nulls = seen(&self.counts);
        let sums = std::mem::take(&mut self.sums);
        let counts = std::mem::take(&mut self.counts);
        let average = self.average;
        let values: Vec<f64> = sums
            .into_iter()
            .zip(counts)
            .map(|(sum, count)| if average { sum / count.max(1) as f64 } else { sum })
            .collect();
        Ok(Arc::new(Float64Array::new(values.into(), nulls)))
    }

    fn finish_partial(&mut self) -> Result<Vec<ArrayRef>, ExprError> {
        let nulls = seen(&self.counts);
        let sums: ArrayRef = Arc::new(Float64Array::new(std::mem::take(&mut self.sums).into(), nulls));
        if !self.average {
            return Ok(vec![sums]);
        }
        Ok(vec![Arc::new(Int64Array::from(std::mem::take(&mut self.counts))), sums])
    }

    fn memory_size(&self) -> usize {
        (self.sums.capacity() + self.counts.capacity()) * 8
    }
}
