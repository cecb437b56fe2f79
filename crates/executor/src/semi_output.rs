//! What the semi kinds of joins give for a chunk of left rows, once each row's outcome is known.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array};
use arrow::datatypes::Int64Type;
use tidewater_chunk::Chunk;
use tidewater_expr::{EvalContext, Expr};

use crate::error::ExecError;
use crate::join_spec::JoinKind;

/// The rows, or the rows with their mark. A row is matched, unknown, or neither.
///
/// # Panics
/// For a kind that is not a semi kind.
pub(crate) fn semi_output(
    kind: JoinKind,
    chunk: &Chunk,
    matched: &[bool],
    unknown: &[bool],
) -> Option<Chunk> {
    let chunk = match kind {
        JoinKind::Semi => chunk.filter(&BooleanArray::from(matched.to_vec())),
        JoinKind::AntiSemi => {
            let kept: Vec<bool> =
                matched.iter().zip(unknown).map(|(matched, unknown)| !matched && !unknown).collect();
            chunk.filter(&BooleanArray::from(kept))
        }
        JoinKind::LeftOuterSemi | JoinKind::AntiLeftOuterSemi => {
            let negated = kind == JoinKind::AntiLeftOuterSemi;
            let marks: Int64Array = matched
                .iter()
                .zip(unknown)
                .map(|(matched, unknown)| (!unknown).then_some(i64::from(*matched != negated)))
                .collect();
            let mut columns = chunk.columns().to_vec();
            columns.push(Arc::new(marks) as ArrayRef);
            Chunk::new(columns, chunk.num_rows())
        }
        JoinKind::Inner | JoinKind::LeftOuter | JoinKind::RightOuter => {
            unreachable!("pairs of these kinds are given out as they are found")
        }
    };
    (chunk.num_rows() > 0).then_some(chunk)
}

/// True when for some row no condition is false (true or NULL all).
pub(crate) fn any_row_not_false(
    conditions: &[Expr],
    eval: &EvalContext,
    chunk: &Chunk,
) -> Result<bool, ExecError> {
    let mut possible = vec![true; chunk.num_rows()];
    for condition in conditions {
        let values = condition.eval(eval, chunk)?;
        let values = values.as_primitive::<Int64Type>();
        for (row, possible) in possible.iter_mut().enumerate() {
            *possible &= values.is_null(row) || values.value(row) != 0;
        }
    }
    Ok(possible.contains(&true))
}
