//! DISTINCT in an aggregate: passes each group's values on the first time only.

use std::collections::HashSet;

use arrow::array::{Array, ArrayRef, UInt32Array};
use tidewater_chunk::{datum_at, take_array};
use tidewater_types::{Datum, FieldType};

use super::{AggregateCall, Aggregator};
use crate::error::ExprError;
use crate::expr::Expr;

pub(super) fn aggregator(call: &AggregateCall, inner: Box<dyn Aggregator>) -> Box<dyn Aggregator> {
    let types = call.args.iter().map(Expr::field_type).collect();
    Box::new(Distinct { inner, types, seen: HashSet::new(), bytes: 0 })
}

struct Distinct {
    inner: Box<dyn Aggregator>,
    types: Vec<FieldType>,
    /// Group number and the arguments' comparison keys.
    seen: HashSet<Box<[u8]>>,
    bytes: usize,
}

impl Aggregator for Distinct {
    fn update(&mut self, args: &[ArrayRef], group_ids: &[u32], groups: usize) -> Result<(), ExprError> {
        let compared = &args[..self.types.len().min(args.len())];
        let mut fresh: Vec<u32> = Vec::new();
        let mut key = Vec::new();
        for (row, group) in group_ids.iter().enumerate() {
            // Aggregates skip NULL, so it needs no memory here; passing it on does no harm.
            if compared.iter().any(|arg| arg.is_null(row)) {
                continue;
            }
            key.clear();
            key.extend_from_slice(&group.to_le_bytes());
            for (arg, field_type) in compared.iter().zip(&self.types) {
                write_key(&datum_at(arg.as_ref(), row, field_type), field_type, &mut key);
            }
            if !self.seen.contains(key.as_slice()) {
                self.bytes += key.len() + 24;
                self.seen.insert(key.clone().into_boxed_slice());
                fresh.push(row as u32);
            }
        }
        let ids: Vec<u32> = fresh.iter().map(|row| group_ids[*row as usize]).collect();
        let indices = UInt32Array::from(fresh);
        let args: Vec<ArrayRef> = args.iter().map(|arg| take_array(arg, &indices)).collect();
        self.inner.update(&args, &ids, groups)
    }

    fn resize(&mut self, groups: usize) {
        self.inner.resize(groups);
    }

    fn finish(&mut self) -> Result<ArrayRef, ExprError> {
        self.seen.clear();
        self.inner.finish()
    }

    fn finish_partial(&mut self) -> Result<Vec<ArrayRef>, ExprError> {
        self.seen.clear();
        self.inner.finish_partial()
    }

    fn memory_size(&self) -> usize {
        self.bytes + self.inner.memory_size()
    }
}

/// Bytes that are equal exactly when the values are.
fn write_key(value: &Datum, field_type: &FieldType, key: &mut Vec<u8>) {
    let start = key.len();
    key.extend_from_slice(&[0; 4]);
    match value {
        Datum::Null => {}
        Datum::Int(v) => key.extend_from_slice(&v.to_le_bytes()),
        Datum::UInt(v) => key.extend_from_slice(&v.to_le_bytes()),
        Datum::Float(v) => key.extend_from_slice(&(v + 0.0).to_bits().to_le_bytes()),
        Datum::Double(v) => key.extend_from_slice(&(v + 0.0).to_bits().to_le_bytes()),
        // One column has one scale, so equal decimals have equal digits.
        Datum::Decimal(v) => key.extend_from_slice(&v.to_i256().to_le_bytes()),
        Datum::Bytes(v) => field_type.collation.write_sort_key(v, key),
        Datum::Time(v) => key.extend_from_slice(&v.packed().to_le_bytes()),
        Datum::Duration(v) => key.extend_from_slice(&v.micros().to_le_bytes()),
        Datum::Json(v) => v.as_ref().write_to(key),
    }
    let len = u32::try_from(key.len() - start - 4).unwrap_or(u32::MAX);
    key[start..start + 4].copy_from_slice(&len.to_le_bytes());
}
