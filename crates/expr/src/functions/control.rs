//! CASE, IF, IFNULL, NULLIF, COALESCE, GREATEST, LEAST: each branch is evaluated only on the rows that take it.

use arrow::array::{Array, BooleanArray, UInt32Array};
use arrow::buffer::NullBuffer;
use tidewater_chunk::{Chunk, ColumnBuilder, concat_arrays, take_array};
use tidewater_types::{EvalType, FieldType, TypeCode};

use super::compare::{Op, compare_type, compare_values};
use super::logic::cast_condition;
use crate::error::ExprError;
use crate::expr::Expr;
use crate::infer::{build_cast, cast_to, common_type};
use crate::registry::{CallContext, FunctionDef, Inference, Kernel, VARIADIC};
use crate::value::{Value, truth};

pub(crate) const FUNCTIONS: &[FunctionDef] = &[
    // when1, then1, when2, then2, ... [, else]
    FunctionDef::new("case", 2, VARIADIC, infer_case, Kernel::Lazy(case)),
    FunctionDef::new("if", 3, 3, infer_case, Kernel::Lazy(case)),
    FunctionDef::new("ifnull", 2, 2, infer_coalesce, Kernel::Lazy(coalesce)),
    FunctionDef::new("coalesce", 1, VARIADIC, infer_coalesce, Kernel::Lazy(coalesce)),
    FunctionDef::new("nullif", 2, 2, infer_nullif, Kernel::Vector(nullif)),
    FunctionDef::new("greatest", 2, VARIADIC, infer_extreme, Kernel::Vector(|c, a| extreme(c, a, Op::Gt))),
    FunctionDef::new("least", 2, VARIADIC, infer_extreme, Kernel::Vector(|c, a| extreme(c, a, Op::Lt))),
];

/// Which arguments of a CASE are results.
fn is_result(index: usize, count: usize) -> bool {
    index % 2 == 1 || (index + 1 == count && count % 2 == 1)
}

/// Gives these arguments one type.
fn unify(i: &mut Inference<'_>, results: impl Fn(usize) -> bool) -> FieldType {
    let types: Vec<&FieldType> = i
        .args
        .iter()
        .enumerate()
        .filter(|(index, _)| results(*index))
        .map(|(_, arg)| arg.field_type_ref())
        .collect();
    let mut field_type = common_type(&types);
    let claims: Vec<Expr> =
        i.args.iter().enumerate().filter(|(index, _)| results(*index)).map(|(_, arg)| arg.clone()).collect();
    if field_type.is_string()
        && let Ok((collation, coercibility)) = crate::collate::derive(i.name, &claims)
    {
        let text = |ft: &FieldType| ft.is_string() || matches!(ft.code, TypeCode::Enum | TypeCode::Set);
        let collation =
            if claims.iter().any(|c| text(c.field_type_ref())) { collation } else { i.ctx.collation };
        (i.collation, i.coercibility) = (collation, coercibility);
        field_type = field_type.with_collation(collation);
    }
    for index in (0..i.args.len()).filter(|index| results(*index)) {
        let expr = std::mem::replace(&mut i.args[index], Expr::null());
        // Text of any length passes as it is: a cast could only cut it.
        i.args[index] = if expr.field_type_ref().is_string() && field_type.is_string() {
            expr
        } else {
            build_cast(expr, field_type.clone())
        };
    }
    field_type
}

fn infer_case(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    let count = i.args.len();
    let is_result: &dyn Fn(usize) -> bool =
        if i.name == "if" { &|index| index > 0 } else { &|index| is_result(index, count) };
    let mut field_type = unify(i, is_result);
    (0..count).filter(|index| !is_result(*index)).for_each(|index| cast_condition(i, index));
    if i.name == "case" && count.is_multiple_of(2) {
        field_type.flags.remove(tidewater_types::TypeFlags::NOT_NULL);
    }
    Ok(field_type)
}

/// Rows still without a result, and the results found, to be put together at the end.
struct Merge {
    rows: usize,
    /// For each row: which part, and which row of it.
    sources: Vec<(u32, u32)>,
    parts: Vec<arrow::array::ArrayRef>,
}

impl Merge {
    fn new(rows: usize) -> Self {
        Self { rows, sources: vec![(u32::MAX, 0); rows], parts: Vec::new() }
    }

    /// The rows with these numbers have the values of `array`, one each.
    fn add(&mut self, rows: &[u32], array: arrow::array::ArrayRef) {
        let part = self.parts.len() as u32;
        for (position, row) in rows.iter().enumerate() {
            self.sources[*row as usize] = (part, position as u32);
        }
        self.parts.push(array);
    }

    fn finish(self, field_type: &FieldType) -> Value {
        if self.parts.is_empty() {
            return Value::NULL;
        }
        let mut starts = Vec::with_capacity(self.parts.len());
        let mut start = 0u32;
        for part in &self.parts {
            starts.push(start);
            start += part.len() as u32;
        }
        let arrays: Vec<&dyn Array> = self.parts.iter().map(|p| p.as_ref()).collect();
        if arrays
            .iter()
            .any(|a| std::mem::discriminant(a.data_type()) != std::mem::discriminant(arrays[0].data_type()))
            && !matches!(
                arrays[0].data_type(),
                arrow::datatypes::DataType::Decimal128(..) | arrow::datatypes::DataType::Decimal256(..)
            )
        {
            return self.by_value(field_type);
        }
        let all = concat_arrays(&arrays);
        let indices: UInt32Array = self
            .sources
            .iter()
            .map(|(part, row)| starts.get(*part as usize).map(|start| start + row))
            .collect();
        debug_assert_eq!(indices.len(), self.rows);
        Value::Array(take_array(&all, &indices))
    }

    /// Branches whose arrays differ (a bare NULL's column among strings).
    fn by_value(self, field_type: &FieldType) -> Value {
        let mut builder = ColumnBuilder::new(field_type, self.rows);
        for (part, row) in &self.sources {
            match self.parts.get(*part as usize) {
                Some(array)
                    if !array.is_null(*row as usize)
                        && *array.data_type() == tidewater_chunk::arrow_type(field_type) =>
                {
                    builder.append_from(array.as_ref(), *row as usize, field_type);
                }
                _ => builder.append_null(),
            }
        }
        Value::Array(builder.finish())
    }
}

/// The chunk's rows with these numbers; the chunk itself if that is all of them.
fn narrow(chunk: &Chunk, rows: &[u32]) -> Chunk {
    if rows.len() == chunk.num_rows() { chunk.clone() } else { chunk.take(&UInt32Array::from(rows.to_vec())) }
}

fn case(call: &CallContext<'_>, chunk: &Chunk) -> Result<Value, ExprError> {
    let args = &call.call.args;
    let (branches, otherwise) =
        if args.len() % 2 == 1 { args.split_at(args.len() - 1) } else { (&args[..], &[][..]) };
    let mut open: Vec<u32> = (0..call.rows as u32).collect();
    let mut merge = Merge::new(call.rows);
    for branch in branches.chunks_exact(2) {
        if open.is_empty() {
            break;
        }
        let input = narrow(chunk, &open);
        let condition =
            truth(&branch[0].eval_value(call.eval, &input)?, branch[0].field_type_ref(), input.num_rows());
        let taken = |position: usize| condition.is_valid(position) && condition.value(position);
        let rows: Vec<u32> =
            open.iter().enumerate().filter(|(p, _)| taken(*p)).map(|(_, row)| *row).collect();
        if rows.is_empty() {
            continue;
        }
        if rows.len() == call.rows {
            return branch[1].eval_value(call.eval, chunk);
        }
        let array = branch[1].eval(call.eval, &narrow(chunk, &rows))?;
        merge.add(&rows, array);
        open = open.iter().enumerate().filter(|(p, _)| !taken(*p)).map(|(_, row)| *row).collect();
    }
    if let ([otherwise], false) = (otherwise, open.is_empty()) {
        if open.len() == call.rows {
            return otherwise.eval_value(call.eval, chunk);
        }
        let array = otherwise.eval(call.eval, &narrow(chunk, &open))?;
        merge.add(&open, array);
    }
    Ok(merge.finish(call.field_type()))
}

fn infer_coalesce(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    let not_null = i.args.iter().any(|arg| arg.field_type_ref().is_not_null());
    let field_type = unify(i, |_| true);
    Ok(if not_null { field_type.not_null() } else { field_type })
}

fn coalesce(call: &CallContext<'_>, chunk: &Chunk) -> Result<Value, ExprError> {
    let mut open: Vec<u32> = (0..call.rows as u32).collect();
    let mut merge = Merge::new(call.rows);
    for arg in &call.call.args {
        if open.is_empty() {
            break;
        }
        let array = arg.eval(call.eval, &narrow(chunk, &open))?;
        if open.len() == call.rows && array.null_count() == 0 {
            return Ok(Value::Array(array));
        }
        if array.null_count() == array.len() {
            continue;
        }
        let found: Vec<u32> = (0..array.len() as u32).filter(|p| array.is_valid(*p as usize)).collect();
        let rows: Vec<u32> = found.iter().map(|p| open[*p as usize]).collect();
        merge.add(&rows, take_array(&array, &UInt32Array::from(found)));
        open = open.iter().enumerate().filter(|(p, _)| array.is_null(*p)).map(|(_, row)| *row).collect();
    }
    Ok(merge.finish(call.field_type()))
}

/// NULLIF(a, b): its comparison is a third, hidden argument.
fn infer_nullif(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    let equal = crate::infer::build_function("eq", i.args.clone(), i.ctx)?;
    let mut field_type = i.arg(0).clone();
    field_type.flags.remove(tidewater_types::TypeFlags::NOT_NULL);
    i.args[1] = equal;
    Ok(field_type)
}

fn nullif(call: &CallContext<'_>, args: &[Value]) -> Result<Value, ExprError> {
    let equal = truth(&args[1], call.call.args[1].field_type_ref(), call.rows);
    let array = args[0].clone().into_array(call.field_type(), call.rows);
    let mask = match equal.nulls().map(NullBuffer::inner) {
        Some(valid) => BooleanArray::new(equal.values() & valid, None),
        None => equal,
    };
    Ok(Value::Array(arrow::compute::nullif(array.as_ref(), &mask)?))
}

fn infer_extreme(i: &mut Inference<'_>) -> Result<FieldType, ExprError> {
    let mut eval_type = compare_type(&i.args[0], &i.args[1]);
    for pair in i.args.windows(2) {
        let next = compare_type(&pair[0], &pair[1]);
        eval_type = match (eval_type, next) {
            (a, b) if a == b => a,
            (EvalType::Real, _) | (_, EvalType::Real) => EvalType::Real,
            (EvalType::Decimal, EvalType::Int) | (EvalType::Int, EvalType::Decimal) => EvalType::Decimal,
            (EvalType::DateTime, _) | (_, EvalType::DateTime) => EvalType::DateTime,
            _ => EvalType::String,
        };
    }
    // Dates among strings: the texts are compared as dates, the result is text.
    let all_temporal = i.args.iter().all(|arg| !arg.field_type_ref().is_string());
    if matches!(eval_type, EvalType::DateTime | EvalType::Duration) && !all_temporal {
        eval_type = EvalType::String;
    }
    if eval_type == EvalType::Int
        && i.args.iter().any(|a| crate::value::is_unsigned(a.field_type_ref()))
        && i.args.iter().any(|a| !crate::value::is_unsigned(a.field_type_ref()))
    {
        eval_type = EvalType::Decimal;
    }
    if eval_type == EvalType::String {
        i.derive_collation()?;
    }
    let ctx = i.ctx;
    for arg in &mut i.args {
        let expr = std::mem::replace(arg, Expr::null());
        *arg = cast_to(expr, eval_type, ctx);
    }
    let types: Vec<&FieldType> = i.args.iter().map(Expr::field_type_ref).collect();
    let mut field_type = common_type(&types);
    if field_type.is_string() {
        field_type = field_type.with_collation(i.collation);
    } else {
        for arg in &mut i.args {
            let expr = std::mem::replace(arg, Expr::null());
            *arg = build_cast(expr, field_type.clone());
        }
    }
    Ok(field_type)
}

fn extreme(call: &CallContext<'_>, args: &[Value], op: Op) -> Result<Value, ExprError> {
    if args.iter().any(Value::is_null_constant) {
        return Ok(Value::NULL);
    }
    let ft = call.field_type();
    let mut best = args[0].clone().into_array(ft, call.rows);
    for arg in &args[1..] {
        let other = arg.clone().into_array(ft, call.rows);
        let (a, b) = (Value::Array(other.clone()), Value::Array(best.clone()));
        let better = compare_values(&a, ft, &b, ft, call.call.collation, op, call.rows);
        let valid = NullBuffer::union(best.nulls(), other.nulls());
        let both: Vec<&dyn Array> = vec![best.as_ref(), other.as_ref()];
        let all = concat_arrays(&both);
        let rows = call.rows as u32;
        let indices: UInt32Array = (0..rows)
            .map(|row| {
                let is_valid = valid.as_ref().is_none_or(|v| v.is_valid(row as usize));
                is_valid.then(|| {
                    if better.is_valid(row as usize) && better.value(row as usize) { rows + row } else { row }
                })
            })
            .collect();
        best = take_array(&all, &indices);
    }
    Ok(Value::Array(best))
}
