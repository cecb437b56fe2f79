//! Loops that typed kernels share: column against column, column against constant, one pass, no `Datum`.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, PrimitiveArray, UInt64Array};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::datatypes::ArrowPrimitiveType;

use crate::error::ExprError;
use crate::value::{Operand, Value, constant_mask};

/// A mask from two fixed-width arguments; NULL where one of them is.
pub fn compare<A: Copy, B: Copy>(
    a: Operand<'_, A>,
    b: Operand<'_, B>,
    rows: usize,
    test: impl Fn(A, B) -> bool,
) -> BooleanArray {
    match (a, b) {
        (Operand::Column(av, an), Operand::Column(bv, bn)) => {
            let (av, bv) = (&av[..rows], &bv[..rows]);
            BooleanArray::new(
                BooleanBuffer::collect_bool(rows, |i| test(av[i], bv[i])),
                NullBuffer::union(an, bn),
            )
        }
        (Operand::Column(av, an), Operand::Constant(Some(b))) => {
            let av = &av[..rows];
            BooleanArray::new(BooleanBuffer::collect_bool(rows, |i| test(av[i], b)), an.cloned())
        }
        (Operand::Constant(Some(a)), Operand::Column(bv, bn)) => {
            let bv = &bv[..rows];
            BooleanArray::new(BooleanBuffer::collect_bool(rows, |i| test(a, bv[i])), bn.cloned())
        }
        (Operand::Constant(Some(a)), Operand::Constant(Some(b))) => constant_mask(Some(test(a, b)), rows),
        _ => BooleanArray::new_null(rows),
    }
}

/// A column from two fixed-width arguments; NULL where one of them is.
pub fn map2<A: Copy, B: Copy, R: ArrowPrimitiveType>(
    a: Operand<'_, A>,
    b: Operand<'_, B>,
    rows: usize,
    op: impl Fn(A, B) -> R::Native,
) -> PrimitiveArray<R> {
    match (a, b) {
        (Operand::Column(av, an), Operand::Column(bv, bn)) => {
            let values: Vec<R::Native> =
                av[..rows].iter().zip(&bv[..rows]).map(|(a, b)| op(*a, *b)).collect();
            PrimitiveArray::new(values.into(), NullBuffer::union(an, bn))
        }
        (Operand::Column(av, an), Operand::Constant(Some(b))) => {
            let values: Vec<R::Native> = av[..rows].iter().map(|a| op(*a, b)).collect();
            PrimitiveArray::new(values.into(), an.cloned())
        }
        (Operand::Constant(Some(a)), Operand::Column(bv, bn)) => {
            let values: Vec<R::Native> = bv[..rows].iter().map(|b| op(a, *b)).collect();
            PrimitiveArray::new(values.into(), bn.cloned())
        }
        (Operand::Constant(Some(a)), Operand::Constant(Some(b))) => {
            PrimitiveArray::new(vec![op(a, b); rows].into(), None)
        }
        _ => PrimitiveArray::new_null(rows),
    }
}

/// As [`map2`] where the operation may fail; the values under NULLs are never touched.
pub fn try_map2<A: Copy, B: Copy, R: ArrowPrimitiveType>(
    a: Operand<'_, A>,
    b: Operand<'_, B>,
    rows: usize,
    op: impl Fn(A, B) -> Result<Option<R::Native>, ExprError>,
) -> Result<PrimitiveArray<R>, ExprError> {
    if matches!(a, Operand::Constant(None)) || matches!(b, Operand::Constant(None)) {
        return Ok(PrimitiveArray::new_null(rows));
    }
    let mut builder = PrimitiveArray::<R>::builder(rows);
    for row in 0..rows {
        match (a.get(row), b.get(row)) {
            (Some(a), Some(b)) => builder.append_option(op(a, b)?),
            _ => builder.append_null(),
        }
    }
    Ok(builder.finish())
}

/// A column from one fixed-width argument.
pub fn map1<A: Copy, R: ArrowPrimitiveType>(
    a: Operand<'_, A>,
    rows: usize,
    op: impl Fn(A) -> R::Native,
) -> PrimitiveArray<R> {
    match a {
        Operand::Column(values, nulls) => {
            let values: Vec<R::Native> = values[..rows].iter().map(|a| op(*a)).collect();
            PrimitiveArray::new(values.into(), nulls.cloned())
        }
        Operand::Constant(Some(a)) => PrimitiveArray::new(vec![op(a); rows].into(), None),
        Operand::Constant(None) => PrimitiveArray::new_null(rows),
    }
}

/// Integers as a value.
pub fn ints(array: Int64Array) -> Value {
    Value::Array(Arc::new(array) as ArrayRef)
}

/// Unsigned integers as a value.
pub fn uints(array: UInt64Array) -> Value {
    Value::Array(Arc::new(array) as ArrayRef)
}

/// Doubles as a value.
pub fn doubles(array: Float64Array) -> Value {
    Value::Array(Arc::new(array) as ArrayRef)
}
