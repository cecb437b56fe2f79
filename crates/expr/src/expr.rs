//! Typed expression trees and their evaluation.

use std::sync::{Arc, OnceLock};

use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use tidewater_chunk::{Chunk, ColumnBuilder};
use tidewater_types::{Collation, Datum, FieldType, TypeCode};

use crate::collate::Coercibility;
use crate::context::EvalContext;
use crate::error::ExprError;
use crate::functions;
use crate::registry::{CallContext, FunctionDef, FunctionTraits, Kernel};
use crate::value::{Value, constant_mask, truth};

/// A typed expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// A constant.
    Literal {
        /// Its value.
        value: Datum,
        /// Its type.
        field_type: FieldType,
    },
    /// A column of the input.
    Column(ColumnRef),
    /// A `?` of a prepared statement.
    Parameter {
        /// From 0.
        index: usize,
        /// Its type, taken from the value it is planned with.
        field_type: FieldType,
    },
    /// A column of an outer query's row.
    Correlated {
        /// The planner's number of the column.
        unique_id: u64,
        /// Where [`EvalContext::correlated`] has the value.
        slot: usize,
        /// Its type.
        field_type: FieldType,
        /// For EXPLAIN.
        name: Arc<str>,
    },
    /// A function of other expressions.
    Function(Box<FunctionCall>),
}

/// A column of the input.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ColumnRef {
    /// The planner's number of the column.
    pub unique_id: u64,
    /// Its position in the input chunk; valid in physical plans.
    pub index: usize,
    /// Its type.
    pub field_type: FieldType,
    /// `database.table.column`, for EXPLAIN.
    pub name: Arc<str>,
}

/// A call of a function.
#[derive(Debug, Clone)]
pub struct FunctionCall {
    /// The function.
    pub function: &'static FunctionDef,
    /// Its arguments, with the casts its kernel needs.
    pub args: Vec<Expr>,
    /// The result's type.
    pub field_type: FieldType,
    /// The collation of comparisons inside the function.
    pub collation: Collation,
    /// How strongly the result claims its collation.
    pub coercibility: Coercibility,
    /// What the kernel prepared from literal arguments (hash set of an IN list, compiled pattern).
    pub(crate) prepared: Prepared,
}

impl PartialEq for FunctionCall {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.function, other.function)
            && self.field_type == other.field_type
            && self.collation == other.collation
            && self.args == other.args
    }
}

/// A kernel's preparation, made at its first use.
#[derive(Clone, Default)]
pub(crate) struct Prepared(OnceLock<Arc<dyn std::any::Any + Send + Sync>>);

impl Prepared {
    /// The preparation; `make` must depend on literal arguments alone.
    pub(crate) fn get_or_make<T: Send + Sync + 'static>(
        &self,
        make: impl FnOnce() -> Result<T, ExprError>,
    ) -> Result<Arc<T>, ExprError> {
        if let Some(made) = self.0.get() {
            return Ok(made.clone().downcast::<T>().expect("one kernel prepares one type"));
        }
        let made = Arc::new(make()?);
        let _ = self.0.set(made.clone());
        Ok(made)
    }
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.get().is_some() { "made" } else { "none" })
    }
}

impl Expr {
    /// A constant of this type.
    pub fn literal(value: Datum, field_type: FieldType) -> Self {
        Self::Literal { value, field_type }
    }

    /// NULL.
    pub fn null() -> Self {
        Self::Literal { value: Datum::Null, field_type: FieldType::null() }
    }

    /// A BIGINT constant.
    pub fn int(value: i64) -> Self {
        Self::Literal { value: Datum::Int(value), field_type: FieldType::int().not_null() }
    }

    /// A string constant with the default collation.
    pub fn string(text: &str) -> Self {
        let length = i32::try_from(text.chars().count()).unwrap_or(i32::MAX);
        Self::Literal {
            value: Datum::Bytes(text.as_bytes().to_vec()),
            field_type: FieldType::varchar(length).not_null(),
        }
    }

    /// The column at this position of the input.
    pub fn column(index: usize, field_type: FieldType, name: &str) -> Self {
        Self::Column(ColumnRef { unique_id: index as u64, index, field_type, name: name.into() })
    }

    /// The type of its values.
    pub fn field_type(&self) -> FieldType {
        self.field_type_ref().clone()
    }

    /// The type of its values, borrowed.
    pub fn field_type_ref(&self) -> &FieldType {
        match self {
            Self::Literal { field_type, .. }
            | Self::Parameter { field_type, .. }
            | Self::Correlated { field_type, .. } => field_type,
            Self::Column(column) => &column.field_type,
            Self::Function(call) => &call.field_type,
        }
    }

    /// Its value for every row of the chunk.
    pub fn eval(&self, ctx: &EvalContext, chunk: &Chunk) -> Result<ArrayRef, ExprError> {
        let rows = chunk.num_rows();
        Ok(self.eval_value(ctx, chunk)?.into_array(self.field_type_ref(), rows))
    }

    /// As [`Expr::eval`], without spreading constants over all rows.
    pub fn eval_value(&self, ctx: &EvalContext, chunk: &Chunk) -> Result<Value, ExprError> {
        match self {
            Self::Literal { value, .. } => Ok(Value::Constant(value.clone())),
            // All of its values are NULL: kernels need not know arrays of that type.
            Self::Column(column) if column.field_type.code == TypeCode::Null => Ok(Value::NULL),
            Self::Column(column) if column.index < chunk.num_columns() => {
                Ok(Value::Array(chunk.column(column.index).clone()))
            }
            Self::Column(column) => Err(ExprError::Unbound { what: "column", index: column.index }),
            Self::Parameter { index, .. } => bound(&ctx.params, *index, "parameter").map(Value::Constant),
            Self::Correlated { slot, .. } => {
                bound(&ctx.correlated, *slot, "correlated value").map(Value::Constant)
            }
            Self::Function(call) => {
                let value = call.eval_value(ctx, chunk)?;
                Ok(if call.field_type.code == TypeCode::Null { Value::NULL } else { value })
            }
        }
    }

    /// The value of an expression without columns.
    pub fn eval_datum(&self, ctx: &EvalContext) -> Result<Datum, ExprError> {
        match self {
            Self::Literal { value, .. } => Ok(value.clone()),
            Self::Parameter { index, .. } => bound(&ctx.params, *index, "parameter"),
            Self::Correlated { slot, .. } => bound(&ctx.correlated, *slot, "correlated value"),
            Self::Column(column) => Err(ExprError::Unbound { what: "column", index: column.index }),
            Self::Function(call) => {
                Ok(call.eval_value(ctx, &Chunk::rows_only(1))?.datum(0, &call.field_type))
            }
        }
    }

    /// The value for one row given as values of these types. For single rows (DML on points), not for loops.
    pub fn eval_row(
        &self,
        ctx: &EvalContext,
        row: &[Datum],
        types: &[FieldType],
    ) -> Result<Datum, ExprError> {
        match self {
            Self::Column(column) => row
                .get(column.index)
                .cloned()
                .ok_or(ExprError::Unbound { what: "column", index: column.index }),
            Self::Function(call) => {
                let columns = row
                    .iter()
                    .zip(types)
                    .map(|(value, field_type)| {
                        let mut builder = ColumnBuilder::new(field_type, 1);
                        builder.append(value);
                        builder.finish()
                    })
                    .collect();
                Ok(call.eval_value(ctx, &Chunk::new(columns, 1))?.datum(0, &call.field_type))
            }
            _ => self.eval_datum(ctx),
        }
    }

    /// Whether the value is the same for all rows of a statement (no columns, nothing volatile).
    pub fn is_constant(&self) -> bool {
        match self {
            Self::Literal { .. } | Self::Parameter { .. } | Self::Correlated { .. } => true,
            Self::Column(_) => false,
            Self::Function(call) => {
                call.function.is_deterministic() && call.args.iter().all(Expr::is_constant)
            }
        }
    }

    /// Whether the value depends on literals alone: it may be computed once and kept.
    pub fn is_literal_only(&self) -> bool {
        match self {
            Self::Literal { .. } => true,
            Self::Parameter { .. } | Self::Correlated { .. } | Self::Column(_) => false,
            Self::Function(call) => {
                call.function.is_pushable() && call.args.iter().all(Expr::is_literal_only)
            }
        }
    }

    /// Whether it sets a user variable: rows must then be evaluated one after the other, because the next row may read it
    /// (`@n := @n + 1`).
    pub fn sets_variable(&self) -> bool {
        match self {
            Self::Function(call) => {
                call.function.name == "setvar" || call.args.iter().any(Expr::sets_variable)
            }
            _ => false,
        }
    }

    /// Whether it calls a function that may take as long as it likes, such as SLEEP().
    pub fn may_wait(&self) -> bool {
        match self {
            Self::Function(call) => {
                call.function.traits.contains(FunctionTraits::WAITS) || call.args.iter().any(Expr::may_wait)
            }
            _ => false,
        }
    }

    /// Whether equal inputs give equal values within a statement.
    pub fn is_deterministic(&self) -> bool {
        match self {
            Self::Function(call) => {
                call.function.is_deterministic() && call.args.iter().all(Expr::is_deterministic)
            }
            _ => true,
        }
    }

    /// Whether an outer query's columns occur.
    pub fn is_correlated(&self) -> bool {
        match self {
            Self::Correlated { .. } => true,
            Self::Function(call) => call.args.iter().any(Expr::is_correlated),
            _ => false,
        }
    }

    /// Calls `visit` for every column, left to right.
    pub fn columns<'a>(&'a self, visit: &mut dyn FnMut(&'a ColumnRef)) {
        match self {
            Self::Column(column) => visit(column),
            Self::Function(call) => call.args.iter().for_each(|arg| arg.columns(visit)),
            _ => {}
        }
    }

    /// The same expression with every column replaced.
    pub fn map_columns(self, map: &mut dyn FnMut(ColumnRef) -> Expr) -> Self {
        match self {
            Self::Column(column) => map(column),
            Self::Function(mut call) => {
                call.args = call.args.into_iter().map(|arg| arg.map_columns(map)).collect();
                call.prepared = Prepared::default();
                Self::Function(call)
            }
            other => other,
        }
    }

    /// The same expression with `map` applied to every node, leaves first.
    pub fn transform(self, map: &mut dyn FnMut(Expr) -> Expr) -> Self {
        let expr = match self {
            Self::Function(mut call) => {
                call.args = call.args.into_iter().map(|arg| arg.transform(map)).collect();
                call.prepared = Prepared::default();
                Self::Function(call)
            }
            leaf => leaf,
        };
        map(expr)
    }

    /// The call, if this is one of the function with this name.
    pub fn as_call(&self, name: &str) -> Option<&FunctionCall> {
        match self {
            Self::Function(call) if call.function.name == name => Some(call),
            _ => None,
        }
    }

    /// The conditions joined by AND at the top of this one.
    pub fn split_conjunction(self) -> Vec<Expr> {
        match self {
            Self::Function(call) if call.function.name == "and" => {
                call.args.into_iter().flat_map(Expr::split_conjunction).collect()
            }
            other => vec![other],
        }
    }

    /// The same expression with constant parts evaluated. Parts that fail stay as they are: they fail at run time, and
    /// only if a row reaches them.
    pub fn fold(self, ctx: &EvalContext) -> Self {
        crate::fold::fold(self, ctx)
    }
}

fn bound(values: &[Datum], index: usize, what: &'static str) -> Result<Datum, ExprError> {
    values.get(index).cloned().ok_or(ExprError::Unbound { what, index })
}

impl FunctionCall {
    fn eval_value(&self, ctx: &EvalContext, chunk: &Chunk) -> Result<Value, ExprError> {
        let rows = chunk.num_rows();
        let call = CallContext { eval: ctx, call: self, rows };
        match self.function.kernel {
            Kernel::Lazy(kernel) => kernel(&call, chunk),
            Kernel::Vector(kernel) => {
                let args = self.eval_args(ctx, chunk)?;
                if !args.is_empty() && rows != 1 && self.folds(&args) {
                    // All arguments are constants: one row's work, one value.
                    let result = kernel(&CallContext { rows: 1, ..call }, &args)?;
                    return Ok(Value::Constant(result.datum(0, &self.field_type)));
                }
                kernel(&call, &args)
            }
            Kernel::Row(kernel) => self.eval_rows(&call, chunk, kernel, false),
            Kernel::Strict(kernel) => self.eval_rows(&call, chunk, kernel, true),
        }
    }

    fn folds(&self, args: &[Value]) -> bool {
        self.function.is_deterministic() && args.iter().all(|arg| matches!(arg, Value::Constant(_)))
    }

    fn eval_args(&self, ctx: &EvalContext, chunk: &Chunk) -> Result<Vec<Value>, ExprError> {
        let masks = self.function.traits.contains(FunctionTraits::MASKS);
        self.args
            .iter()
            .map(|arg| {
                let value = arg.eval_value(ctx, chunk)?;
                Ok(if masks { value } else { value.without_mask() })
            })
            .collect()
    }

    fn eval_rows(
        &self,
        call: &CallContext<'_>,
        chunk: &Chunk,
        kernel: fn(&CallContext<'_>, &[Datum]) -> Result<Datum, ExprError>,
        strict: bool,
    ) -> Result<Value, ExprError> {
        let args = self.eval_args(call.eval, chunk)?;
        let types: Vec<&FieldType> = self.args.iter().map(Expr::field_type_ref).collect();
        let mut row_args = vec![Datum::Null; args.len()];
        let mut one = |row: usize| {
            for ((slot, value), field_type) in row_args.iter_mut().zip(&args).zip(&types) {
                *slot = value.datum(row, field_type);
            }
            if strict && row_args.iter().any(Datum::is_null) {
                Ok(Datum::Null)
            } else {
                kernel(call, &row_args)
            }
        };
        if self.folds(&args) {
            return one(0).map(Value::Constant);
        }
        let mut builder = ColumnBuilder::new(&self.field_type, call.rows);
        for row in 0..call.rows {
            builder.append(&one(row)?);
        }
        Ok(Value::Array(builder.finish()))
    }
}

/// The rows for which all conditions are true (NULL counts as false). A condition that may fail or warn sees only the
/// rows that earlier ones left.
pub fn filter_mask(exprs: &[Expr], ctx: &EvalContext, chunk: &Chunk) -> Result<BooleanArray, ExprError> {
    let rows = chunk.num_rows();
    let mut kept: Option<BooleanBuffer> = None;
    for expr in exprs {
        let Some(so_far) = &kept else {
            kept = Some(eval_mask(expr, ctx, chunk)?);
            continue;
        };
        let count = so_far.count_set_bits();
        if count == 0 {
            break;
        }
        kept = Some(if count == rows || functions::is_harmless(expr) {
            so_far & &eval_mask(expr, ctx, chunk)?
        } else {
            let narrowed = chunk.filter(&BooleanArray::new(so_far.clone(), None));
            spread(so_far, &eval_mask(expr, ctx, &narrowed)?)
        });
    }
    Ok(kept.map_or_else(|| constant_mask(Some(true), rows), |kept| BooleanArray::new(kept, None)))
}

/// One condition as a mask without NULLs.
fn eval_mask(expr: &Expr, ctx: &EvalContext, chunk: &Chunk) -> Result<BooleanBuffer, ExprError> {
    let value = expr.eval_value(ctx, chunk)?;
    let mask = truth(&value, expr.field_type_ref(), chunk.num_rows());
    Ok(match mask.nulls().map(NullBuffer::inner) {
        Some(valid) => mask.values() & valid,
        None => mask.values().clone(),
    })
}

/// `inner` has one bit for every set bit of `outer`: those bits of `outer` that are set in `inner` too.
fn spread(outer: &BooleanBuffer, inner: &BooleanBuffer) -> BooleanBuffer {
    let mut positions =
        outer.set_indices().enumerate().filter(|(rank, _)| inner.value(*rank)).map(|(_, i)| i).peekable();
    BooleanBuffer::collect_bool(outer.len(), |row| positions.next_if_eq(&row).is_some())
}
