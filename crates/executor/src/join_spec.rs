//! What a join is asked to do, in terms of expressions; shared by the join operators.

use arrow::array::ArrayRef;
use arrow_buffer::NullBuffer;
use tidewater_chunk::Chunk;
use tidewater_expr::{ColumnRef, Expr, build_cast};
use tidewater_types::{Collation, EvalType, FieldType};

use crate::context::ExecContext;
use crate::error::ExecError;
use crate::keys::{EncodedRows, KeyBatch, KeyKind};

/// Which rows a join gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinKind {
    /// Matching pairs.
    Inner,
    /// Matching pairs, and left rows without a match, padded with NULL.
    LeftOuter,
    /// Matching pairs, and right rows without a match, padded with NULL.
    RightOuter,
    /// Left rows with a match (EXISTS, IN).
    Semi,
    /// Left rows without a match (NOT EXISTS, NOT IN).
    AntiSemi,
    /// All left rows with a further column: 1 with a match, 0 without, NULL when that is unknown (IN in an expression).
    LeftOuterSemi,
    /// All left rows with the negated column of [`JoinKind::LeftOuterSemi`].
    AntiLeftOuterSemi,
}

impl JoinKind {
    /// True when only the left side's columns come out, and each left row at most once.
    pub fn is_semi(self) -> bool {
        match self {
            JoinKind::Semi | JoinKind::AntiSemi | JoinKind::LeftOuterSemi | JoinKind::AntiLeftOuterSemi => {
                true
            }
            JoinKind::Inner | JoinKind::LeftOuter | JoinKind::RightOuter => false,
        }
    }

    /// True when a mark column is added.
    pub fn has_mark(self) -> bool {
        matches!(self, JoinKind::LeftOuterSemi | JoinKind::AntiLeftOuterSemi)
    }

    /// The columns that come out.
    pub fn schema(self, left: &[FieldType], right: &[FieldType]) -> Vec<FieldType> {
        let mut schema = left.to_vec();
        if self.has_mark() {
            schema.push(FieldType::int());
        } else if !self.is_semi() {
            schema.extend_from_slice(right);
        }
        schema
    }
}

/// Which child is put into the hash table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildSide {
    /// The left child; not for the semi kinds.
    Left,
    /// The right child.
    Right,
}

/// What NULL means in a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyNulls {
    /// `=`: NULL matches nothing.
    Reject,
    /// `<=>`: NULL matches NULL.
    Equal,
}

/// An equality between the sides.
#[derive(Clone, Debug)]
pub struct JoinKey {
    /// Over the left child's columns.
    pub left: Expr,
    /// Over the right child's columns.
    pub right: Expr,
    /// The comparison's collation, for strings.
    pub collation: Collation,
    /// `=` or `<=>`.
    pub nulls: KeyNulls,
}

impl JoinKey {
    /// `left = right`, under the left side's collation.
    pub fn equal(left: Expr, right: Expr) -> JoinKey {
        let collation = left.field_type_ref().collation;
        JoinKey { left, right, collation, nulls: KeyNulls::Reject }
    }
}

/// A join's parameters.
#[derive(Clone, Debug)]
pub struct HashJoinSpec {
    /// Which rows come out.
    pub kind: JoinKind,
    /// Which child is hashed.
    pub build: BuildSide,
    /// Equalities whose NULL result is simply "no match".
    pub keys: Vec<JoinKey>,
    /// Equalities of `NOT IN` and of `IN` as a value, where NULL is "unknown". Only for the anti and mark kinds.
    pub null_aware_keys: Vec<JoinKey>,
    /// Further conditions over the columns of both sides (left, then right).
    pub other_conditions: Vec<Expr>,
}

/// An expression over the right side, over the columns of both.
pub(crate) fn shift_columns(expr: &Expr, left_width: usize) -> Expr {
    expr.clone()
        .map_columns(&mut |column| Expr::Column(ColumnRef { index: column.index + left_width, ..column }))
}

/// One side's compiled keys.
pub(crate) struct SideKeys {
    exprs: Vec<Expr>,
    kinds: Vec<KeyKind>,
    null_equal: Vec<bool>,
}

/// Brings both sides of every key to one comparable type.
pub(crate) fn compile_keys(keys: &[JoinKey]) -> Result<(SideKeys, SideKeys), ExecError> {
    let (mut left, mut right, mut kinds) = (Vec::new(), Vec::new(), Vec::new());
    for key in keys {
        let (left_key, right_key, kind) = align(key)?;
        left.push(left_key);
        right.push(right_key);
        kinds.push(kind);
    }
    let null_equal: Vec<bool> = keys.iter().map(|key| key.nulls == KeyNulls::Equal).collect();
    let side = |exprs| SideKeys { exprs, kinds: kinds.clone(), null_equal: null_equal.clone() };
    Ok((side(left), side(right)))
}

/// The planner casts join keys as MySQL's comparison rules want; what still differs is brought together here.
fn align(key: &JoinKey) -> Result<(Expr, Expr, KeyKind), ExecError> {
    let (left, right) = (key.left.clone(), key.right.clone());
    if let Some(kind) = KeyKind::of_pair(left.field_type_ref(), right.field_type_ref(), key.collation) {
        return Ok((left, right, kind));
    }
    let target = match (left.field_type_ref().eval_type(), right.field_type_ref().eval_type()) {
        (EvalType::Int | EvalType::Decimal, EvalType::Int | EvalType::Decimal) => {
            let scale = left.field_type_ref().decimals.max(right.field_type_ref().decimals).clamp(0, 30);
            FieldType::decimal(65, scale as u8)
        }
        (EvalType::DateTime, EvalType::String) | (EvalType::String, EvalType::DateTime) => {
            FieldType::datetime(6)
        }
        (EvalType::Duration, EvalType::String) | (EvalType::String, EvalType::Duration) => {
            FieldType::duration(6)
        }
        (EvalType::Json, _) | (_, EvalType::Json) => FieldType::json(),
        _ => FieldType::double(),
    };
    let kind = KeyKind::of(&target);
    let cast = |expr: Expr| {
        if expr.field_type_ref().eval_type() == target.eval_type() {
            expr
        } else {
            build_cast(expr, target.clone())
        }
    };
    Ok((cast(left), cast(right), kind))
}

impl SideKeys {
    /// The keys of a chunk of this side.
    pub(crate) fn encode(&self, ctx: &ExecContext, chunk: &Chunk) -> Result<KeyBatch, ExecError> {
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.exprs.len());
        for expr in &self.exprs {
            columns.push(expr.eval(&ctx.eval, chunk)?);
        }
        if !self.null_equal.contains(&true) {
            return Ok(KeyBatch::encode(&self.kinds, &columns, chunk.num_rows()));
        }
        // NULL is a value among the encoded bytes; only the other columns' NULLs keep a row from matching.
        let nulls = columns.iter().zip(&self.null_equal).filter(|(_, null_equal)| !**null_equal).fold(
            None,
            |nulls: Option<NullBuffer>, (column, _)| {
                NullBuffer::union(nulls.as_ref(), column.logical_nulls().as_ref())
            },
        );
        Ok(KeyBatch::General { rows: EncodedRows::equality(&self.kinds, &columns, chunk.num_rows()), nulls })
    }
}
