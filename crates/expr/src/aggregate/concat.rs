//! GROUP_CONCAT.

use std::cmp::Ordering;

use arrow::array::{Array, ArrayRef, AsArray};
use tidewater_chunk::{ColumnBuilder, datum_at};
use tidewater_types::{Datum, FieldType};

use super::{AggregateCall, AggregateMode, Aggregator};
use crate::context::EvalContext;
use crate::error::ExprError;

pub(super) fn aggregator(call: &AggregateCall, ctx: &EvalContext) -> Box<dyn Aggregator> {
    Box::new(Concat {
        texts: call.args.len(),
        order: call.order_by.iter().map(|item| (item.expr.field_type(), item.descending)).collect(),
        separator: call.separator.clone().into_bytes(),
        limit: ctx.group_concat_max_len,
        merges: call.mode == AggregateMode::Final,
        ctx: ctx.clone(),
        field_type: call.field_type.clone(),
        groups: Vec::new(),
        bytes: 0,
    })
}

struct Concat {
    /// How many of the argument columns are parts of the text; those of ORDER BY follow.
    texts: usize,
    order: Vec<(FieldType, bool)>,
    separator: Vec<u8>,
    limit: usize,
    merges: bool,
    ctx: EvalContext,
    field_type: FieldType,
    groups: Vec<Vec<(Vec<Datum>, Vec<u8>)>>,
    bytes: usize,
}

impl Aggregator for Concat {
    fn update(&mut self, args: &[ArrayRef], group_ids: &[u32], groups: usize) -> Result<(), ExprError> {
        self.resize(groups);
        let texts = if self.merges { 1 } else { self.texts };
        let keys = &args[texts..];
        for (row, group) in group_ids.iter().enumerate() {
            if args[..texts].iter().any(|arg| arg.is_null(row)) {
                continue;
            }
            let mut text = Vec::new();
            for arg in &args[..texts] {
                if let Some(strings) = arg.as_binary_opt::<i32>() {
                    text.extend_from_slice(strings.value(row));
                }
            }
            let key =
                keys.iter().zip(&self.order).map(|(a, (ft, _))| datum_at(a.as_ref(), row, ft)).collect();
            self.bytes += text.len() + 48;
            self.groups[*group as usize].push((key, text));
        }
        Ok(())
    }

    fn resize(&mut self, groups: usize) {
        if self.groups.len() < groups {
            self.groups.resize(groups, Vec::new());
        }
    }

    fn finish(&mut self) -> Result<ArrayRef, ExprError> {
        let mut builder = ColumnBuilder::new(&self.field_type, self.groups.len());
        for mut rows in std::mem::take(&mut self.groups) {
            if rows.is_empty() {
                builder.append_null();
                continue;
            }
            rows.sort_by(|(a, _), (b, _)| compare_keys(a, b, &self.order));
            let mut text = Vec::new();
            for (i, (_, part)) in rows.iter().enumerate() {
                if i > 0 {
                    text.extend_from_slice(&self.separator);
                }
                text.extend_from_slice(part);
                if text.len() > self.limit {
                    break;
                }
            }
            if text.len() > self.limit {
                // A character is not cut in two.
                let mut end = self.limit;
                while end > 0 && (text[end] as i8) < -0x40 {
                    end -= 1;
                }
                text.truncate(end);
                self.ctx.warn(1260, "Row 1 was cut by GROUP_CONCAT()".to_owned());
            }
            builder.append_bytes(&text);
        }
        Ok(builder.finish())
    }

    fn finish_partial(&mut self) -> Result<Vec<ArrayRef>, ExprError> {
        Ok(vec![self.finish()?])
    }

    fn memory_size(&self) -> usize {
        self.bytes + self.groups.capacity() * 24
    }
}

fn compare_keys(a: &[Datum], b: &[Datum], order: &[(FieldType, bool)]) -> Ordering {
    for ((a, b), (field_type, descending)) in a.iter().zip(b).zip(order) {
        let ordering = compare_datums(a, b, field_type);
        if ordering.is_ne() {
            return if *descending { ordering.reverse() } else { ordering };
        }
    }
    Ordering::Equal
}

/// The order of ORDER BY: NULL first.
pub(super) fn compare_datums(a: &Datum, b: &Datum, field_type: &FieldType) -> Ordering {
    match (a, b) {
        (Datum::Null, Datum::Null) => Ordering::Equal,
        (Datum::Null, _) => Ordering::Less,
        (_, Datum::Null) => Ordering::Greater,
        (Datum::Int(a), Datum::Int(b)) => a.cmp(b),
        (Datum::UInt(a), Datum::UInt(b)) => a.cmp(b),
        (Datum::Float(a), Datum::Float(b)) => a.total_cmp(b),
        (Datum::Double(a), Datum::Double(b)) => a.total_cmp(b),
        (Datum::Decimal(a), Datum::Decimal(b)) => a.cmp(b),
        (Datum::Bytes(a), Datum::Bytes(b)) => field_type.collation.compare(a, b),
        (Datum::Time(a), Datum::Time(b)) => a.cmp(b),
        (Datum::Duration(a), Datum::Duration(b)) => a.cmp(b),
        (Datum::Json(a), Datum::Json(b)) => a.as_ref().compare(b.as_ref()),
        _ => Ordering::Equal,
    }
}
