//! MIN, MAX, and the value of a group's first row.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{ArrowPrimitiveType, DataType, Float64Type, Int64Type, UInt64Type};
use tidewater_chunk::{ColumnBuilder, datum_at};
use tidewater_types::{Collation, Datum, FieldType};

use super::{AggregateCall, AggregateFunction, Aggregator};
use crate::error::ExprError;

pub(super) fn aggregator(call: &AggregateCall) -> Box<dyn Aggregator> {
    let max = call.function == AggregateFunction::Max;
    match tidewater_chunk::arrow_type(&call.field_type) {
        DataType::Int64 => Box::new(Extreme::<Int64Type>::new(max)),
        DataType::UInt64 => Box::new(Extreme::<UInt64Type>::new(max)),
        DataType::Float64 => Box::new(Extreme::<Float64Type>::new(max)),
        DataType::Binary if call.field_type.is_string() => {
            Box::new(TextExtreme { max, collation: call.field_type.collation, best: Vec::new(), bytes: 0 })
        }
        _ => Box::new(DatumExtreme { max, field_type: call.field_type.clone(), best: Vec::new() }),
    }
}

pub(super) fn first_row(call: &AggregateCall) -> Box<dyn Aggregator> {
    Box::new(FirstRow { field_type: call.field_type.clone(), values: Vec::new() })
}

/// Fixed-width values, compared as numbers.
struct Extreme<T: ArrowPrimitiveType> {
    max: bool,
    best: Vec<T::Native>,
    seen: Vec<bool>,
}

impl<T: ArrowPrimitiveType> Extreme<T> {
    fn new(max: bool) -> Self {
        Self { max, best: Vec::new(), seen: Vec::new() }
    }

    #[inline]
    fn offer(&mut self, group: usize, value: T::Native) {
        let best = &mut self.best[group];
        if !self.seen[group] || (if self.max { value > *best } else { value < *best }) {
            *best = value;
            self.seen[group] = true;
        }
    }
}

impl<T: ArrowPrimitiveType + Send> Aggregator for Extreme<T> {
    fn update(&mut self, args: &[ArrayRef], group_ids: &[u32], groups: usize) -> Result<(), ExprError> {
        self.resize(groups);
        let Some(array) = args[0].as_primitive_opt::<T>() else {
            return Err(ExprError::Malformed { what: "argument of MIN or MAX" });
        };
        let values = array.values();
        for (row, group) in group_ids.iter().enumerate() {
            if array.is_valid(row) {
                self.offer(*group as usize, values[row]);
            }
        }
        Ok(())
    }

    fn resize(&mut self, groups: usize) {
        if self.best.len() < groups {
            self.best.resize(groups, T::Native::default());
            self.seen.resize(groups, false);
        }
    }

    fn finish(&mut self) -> Result<ArrayRef, ExprError> {
        let seen = std::mem::take(&mut self.seen);
        let nulls = if seen.iter().all(|s| *s) { None } else { Some(NullBuffer::from(seen)) };
        Ok(Arc::new(PrimitiveArray::<T>::new(std::mem::take(&mut self.best).into(), nulls)))
    }

    fn finish_partial(&mut self) -> Result<Vec<ArrayRef>, ExprError> {
        Ok(vec![self.finish()?])
    }

    fn memory_size(&self) -> usize {
        self.best.capacity() * size_of::<T::Native>() + self.seen.capacity()
    }
}

/// Strings, compared by collation.
struct TextExtreme {
    max: bool,
    collation: Collation,
    best: Vec<Option<Vec<u8>>>,
    bytes: usize,
}

impl Aggregator for TextExtreme {
    fn update(&mut self, args: &[ArrayRef], group_ids: &[u32], groups: usize) -> Result<(), ExprError> {
        self.resize(groups);
        let Some(array) = args[0].as_binary_opt::<i32>() else { return Ok(()) };
        let wanted = if self.max { Ordering::Greater } else { Ordering::Less };
        for (row, group) in group_ids.iter().enumerate() {
            if array.is_null(row) {
                continue;
            }
            let value = array.value(row);
            let best = &mut self.best[*group as usize];
            let better = best.as_ref().is_none_or(|best| self.collation.compare(value, best) == wanted);
            if better {
                let kept = best.get_or_insert_default();
                self.bytes = self.bytes + value.len() - kept.len();
                kept.clear();
                kept.extend_from_slice(value);
            }
        }
        Ok(())
    }

    fn resize(&mut self, groups: usize) {
        if self.best.len() < groups {
            self.best.resize(groups, None);
        }
    }

    fn finish(&mut self) -> Result<ArrayRef, ExprError> {
        let best = std::mem::take(&mut self.best);
        Ok(Arc::new(best.iter().map(Option::as_deref).collect::<arrow::array::BinaryArray>()))
    }

    fn finish_partial(&mut self) -> Result<Vec<ArrayRef>, ExprError> {
        Ok(vec![self.finish()?])
    }

    fn memory_size(&self) -> usize {
        self.best.capacity() * 24 + self.bytes
    }
}

/// Everything else (decimals, FLOAT, JSON), value by value.
struct DatumExtreme {
    max: bool,
    field_type: FieldType,
    best: Vec<Datum>,
}

fn compare(a: &Datum, b: &Datum) -> Ordering {
    match (a, b) {
        (Datum::Decimal(a), Datum::Decimal(b)) => a.cmp(b),
        (Datum::Float(a), Datum::Float(b)) => a.total_cmp(b),
        (Datum::Json(a), Datum::Json(b)) => a.as_ref().compare(b.as_ref()),
        _ => Ordering::Equal,
    }
}

impl Aggregator for DatumExtreme {
    fn update(&mut self, args: &[ArrayRef], group_ids: &[u32], groups: usize) -> Result<(), ExprError> {
        self.resize(groups);
        let wanted = if self.max { Ordering::Greater } else { Ordering::Less };
        for (row, group) in group_ids.iter().enumerate() {
            if args[0].is_null(row) {
                continue;
            }
            let value = datum_at(args[0].as_ref(), row, &self.field_type);
            let best = &mut self.best[*group as usize];
            if best.is_null() || compare(&value, best) == wanted {
                *best = value;
            }
        }
        Ok(())
    }

    fn resize(&mut self, groups: usize) {
        if self.best.len() < groups {
            self.best.resize(groups, Datum::Null);
        }
    }

    fn finish(&mut self) -> Result<ArrayRef, ExprError> {
        Ok(column(&self.field_type, std::mem::take(&mut self.best).iter()))
    }

    fn finish_partial(&mut self) -> Result<Vec<ArrayRef>, ExprError> {
        Ok(vec![self.finish()?])
    }

    fn memory_size(&self) -> usize {
        self.best.capacity() * size_of::<Datum>()
    }
}

fn column<'a>(field_type: &FieldType, values: impl ExactSizeIterator<Item = &'a Datum>) -> ArrayRef {
    let mut builder = ColumnBuilder::new(field_type, values.len());
    values.for_each(|value| builder.append(value));
    builder.finish()
}

/// The value of each group's first row, NULL included.
struct FirstRow {
    field_type: FieldType,
    values: Vec<Option<Datum>>,
}

impl Aggregator for FirstRow {
    fn update(&mut self, args: &[ArrayRef], group_ids: &[u32], groups: usize) -> Result<(), ExprError> {
        self.resize(groups);
        for (row, group) in group_ids.iter().enumerate() {
            let slot = &mut self.values[*group as usize];
            if slot.is_none() {
                *slot = Some(datum_at(args[0].as_ref(), row, &self.field_type));
            }
        }
        Ok(())
    }

    fn update_all(&mut self, args: &[ArrayRef], rows: usize) -> Result<(), ExprError> {
        if rows == 0 {
            self.resize(1);
            return Ok(());
        }
        self.update(args, &[0], 1)
    }

    fn resize(&mut self, groups: usize) {
        if self.values.len() < groups {
            self.values.resize(groups, None);
        }
    }

    fn finish(&mut self) -> Result<ArrayRef, ExprError> {
        let values = std::mem::take(&mut self.values);
        Ok(column(&self.field_type, values.iter().map(|v| v.as_ref().unwrap_or(&Datum::Null))))
    }

    fn finish_partial(&mut self) -> Result<Vec<ArrayRef>, ExprError> {
        Ok(vec![self.finish()?])
    }

    fn memory_size(&self) -> usize {
        self.values.capacity() * size_of::<Option<Datum>>()
    }
}
