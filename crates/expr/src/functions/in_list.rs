//! IN over a list: a hash set when the list is constant, comparisons joined by OR otherwise.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, BooleanArray};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use tidewater_chunk::Chunk;
use tidewater_types::{Collation, Datum, Decimal, EvalType, FieldType, JsonRef};

use super::compare::{Op, compare_type, compare_values, prepare, significant};
use crate::error::ExprError;
use crate::expr::Expr;
use crate::kernels;
use crate::registry::{CallContext, FunctionDef, Inference, Kernel, VARIADIC};
use crate::value::{Decimals, Operand, Strings, Value, is_unsigned};

pub(crate) const FUNCTIONS: &[FunctionDef] =
    &[FunctionDef::new("in", 2, VARIADIC, infer, Kernel::Lazy(in_list))];

/// What all pairs are compared as; `None` if they differ (the rewrite then makes an OR of comparisons).
pub(crate) fn common_compare_type(args: &[Expr]) -> Option<EvalType> {
    let first = compare_type(&args[0], args.get(1)?);
    let mut seen = first;
    for item in &args[2..] {
        let next = compare_type(&args[0], item);
        seen = match (seen, next) {
            (a, b) if a == b => a,
            // Exact types widen without changing any comparison.
            (EvalType::Int, EvalType::Decimal) | (EvalType::Decimal, EvalType::Int) => EvalType::Decimal,
            _ => return None,
        };
    }
    Some(seen)
}

fn infer(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    let eval_type = common_compare_type(&i.args).unwrap_or(EvalType::Real);
    prepare(i, eval_type)?;
    Ok(i.boolean())
}

/// The constant items of a list, ready for look-ups.
struct Candidates {
    set: CandidateSet,
    has_null: bool,
}

enum CandidateSet {
    Signed(Items<i64>),
    Unsigned(Items<u64>),
    Double(Items<u64>),
    /// Scaled to `scale`.
    Decimal {
        scale: u8,
        scaled: Items<i128>,
        all: Vec<Decimal>,
    },
    /// The deciding bytes, or sort keys.
    Text(HashSet<Box<[u8]>>),
    Json(Vec<tidewater_types::Json>),
}

/// A few items are scanned faster than hashed.
enum Items<T> {
    Few(Vec<T>),
    Many(HashSet<T>),
}

impl<T: Eq + std::hash::Hash + Copy> Items<T> {
    fn new(items: impl Iterator<Item = T>) -> Self {
        let items: Vec<T> = items.collect();
        if items.len() <= 8 { Self::Few(items) } else { Self::Many(items.into_iter().collect()) }
    }

    #[inline]
    fn contains(&self, value: T) -> bool {
        match self {
            Self::Few(items) => items.contains(&value),
            Self::Many(items) => items.contains(&value),
        }
    }
}

fn double_bits(value: f64) -> u64 {
    // Both zeros are equal.
    (value + 0.0).to_bits()
}

impl Candidates {
    fn new(items: &[Datum], probe: &FieldType, collation: Collation) -> Self {
        let has_null = items.iter().any(Datum::is_null);
        let present = items.iter().filter(|item| !item.is_null());
        let set = match probe.eval_type() {
            EvalType::Int | EvalType::Duration if !is_unsigned(probe) => {
                CandidateSet::Signed(Items::new(present.filter_map(|item| match item {
                    Datum::Int(v) => Some(*v),
                    Datum::UInt(v) => i64::try_from(*v).ok(),
                    Datum::Duration(v) => Some(v.micros()),
                    _ => None,
                })))
            }
            EvalType::Int | EvalType::DateTime | EvalType::Duration => {
                CandidateSet::Unsigned(Items::new(present.filter_map(|item| match item {
                    Datum::Int(v) => u64::try_from(*v).ok(),
                    Datum::UInt(v) => Some(*v),
                    Datum::Time(v) => Some(v.packed()),
                    _ => None,
                })))
            }
            EvalType::Real => CandidateSet::Double(Items::new(present.filter_map(|item| match item {
                Datum::Double(v) => Some(double_bits(*v)),
                Datum::Float(v) => Some(double_bits(f64::from(*v))),
                _ => None,
            }))),
            EvalType::Decimal => {
                let scale = probe.decimals.clamp(0, 30) as u8;
                let all: Vec<Decimal> = present
                    .filter_map(|item| match item {
                        Datum::Decimal(v) => Some(*v),
                        Datum::Int(v) => Some(Decimal::from_i64(*v)),
                        Datum::UInt(v) => Some(Decimal::from_u64(*v)),
                        _ => None,
                    })
                    .collect();
                let scaled = all.iter().filter_map(|v| {
                    let exact = v.rescale(tidewater_types::MAX_PRECISION, scale).ok().filter(|r| r == v)?;
                    exact.to_i128()
                });
                CandidateSet::Decimal { scale, scaled: Items::new(scaled), all }
            }
            EvalType::String => CandidateSet::Text(
                present
                    .filter_map(|item| match item {
                        Datum::Bytes(text) => Some(text_key(text, collation).into_boxed_slice()),
                        _ => None,
                    })
                    .collect(),
            ),
            EvalType::Json => CandidateSet::Json(
                present
                    .filter_map(|item| match item {
                        Datum::Json(json) => Some(json.clone()),
                        _ => None,
                    })
                    .collect(),
            ),
        };
        Self { set, has_null }
    }

    fn probe(&self, value: &Value, collation: Collation, rows: usize) -> BooleanArray {
        let found = match &self.set {
            CandidateSet::Signed(items) => mask(value.ints(), rows, |v| items.contains(v)),
            CandidateSet::Unsigned(items) => mask(value.uints(), rows, |v| items.contains(v)),
            CandidateSet::Double(items) => mask(value.doubles(), rows, |v| items.contains(double_bits(v))),
            CandidateSet::Decimal { scale, scaled, all } => match value.decimals() {
                Decimals::Narrow(column) if column.scale() == *scale as i8 => {
                    mask(Operand::Column(column.values(), column.nulls()), rows, |v| scaled.contains(v))
                }
                other => (0..rows).map(|row| other.get(row).map(|v| all.contains(&v))).collect(),
            },
            CandidateSet::Text(keys) => probe_text(value.strings(), keys, collation, rows),
            CandidateSet::Json(items) => (0..rows)
                .map(|row| {
                    let json = JsonRef::from_binary(value.strings().get(row)?).ok()?;
                    Some(items.iter().any(|item| item.as_ref().compare(json).is_eq()))
                })
                .collect(),
        };
        if !self.has_null {
            return found;
        }
        // Not found in a list with NULL is unknown.
        let known = match found.nulls().map(NullBuffer::inner) {
            Some(valid) => found.values() & valid,
            None => found.values().clone(),
        };
        BooleanArray::new(found.values().clone(), Some(NullBuffer::new(known)))
    }
}

fn mask<T: Copy>(operand: Operand<'_, T>, rows: usize, test: impl Fn(T) -> bool) -> BooleanArray {
    kernels::compare(operand, Operand::Constant(Some(())), rows, |v, ()| test(v))
}

fn text_key(text: &[u8], collation: Collation) -> Vec<u8> {
    if collation.is_bin() {
        return significant(collation, text).to_vec();
    }
    let mut key = Vec::new();
    collation.write_sort_key(text, &mut key);
    key
}

fn probe_text(
    strings: Strings<'_>,
    keys: &HashSet<Box<[u8]>>,
    collation: Collation,
    rows: usize,
) -> BooleanArray {
    let mut key = Vec::new();
    let binary = collation.is_bin();
    let bits = BooleanBuffer::collect_bool(rows, |row| match strings.get(row) {
        None => false,
        Some(text) if binary => keys.contains(significant(collation, text)),
        Some(text) => {
            key.clear();
            collation.write_sort_key(text, &mut key);
            keys.contains(key.as_slice())
        }
    });
    match strings {
        Strings::Constant(None) => BooleanArray::new_null(rows),
        _ => BooleanArray::new(bits, strings.nulls().cloned()),
    }
}

fn in_list(call: &CallContext<'_>, chunk: &Chunk) -> Result<Value, ExprError> {
    let (probe, items) = call.call.args.split_first().ok_or(ExprError::Malformed { what: "IN" })?;
    let value = probe.eval_value(call.eval, chunk)?.without_mask();
    if value.is_null_constant() {
        return Ok(Value::NULL);
    }
    let collation = call.call.collation;
    if items.iter().all(Expr::is_constant) {
        let make = || -> Result<Candidates, ExprError> {
            let items: Vec<Datum> =
                items.iter().map(|item| item.eval_datum(call.eval)).collect::<Result<_, _>>()?;
            Ok(Candidates::new(&items, probe.field_type_ref(), collation))
        };
        let candidates = if items.iter().all(Expr::is_literal_only) {
            call.call.prepared.get_or_make(make)?
        } else {
            Arc::new(make()?)
        };
        return Ok(Value::Boolean(candidates.probe(&value, collation, call.rows)));
    }
    let mut yes = BooleanBuffer::new_unset(call.rows);
    let mut unknown = BooleanBuffer::new_unset(call.rows);
    for item in items {
        let other = item.eval_value(call.eval, chunk)?.without_mask();
        let (a, b) = (probe.field_type_ref(), item.field_type_ref());
        let equal = compare_values(&value, a, &other, b, collation, Op::Eq, call.rows);
        match equal.nulls().map(NullBuffer::inner) {
            Some(valid) => {
                yes = &yes | &(equal.values() & valid);
                unknown = &unknown | &!valid;
            }
            None => yes = &yes | equal.values(),
        }
    }
    let known = &yes | &!&unknown;
    let nulls = if known.count_set_bits() == call.rows { None } else { Some(NullBuffer::new(known)) };
    Ok(Value::Boolean(BooleanArray::new(yes, nulls)))
}
