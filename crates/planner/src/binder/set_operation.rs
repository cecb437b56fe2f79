//! UNION, EXCEPT, INTERSECT.

use tidewater_expr::{AggregateCall, AggregateFunction, Expr, build_cast, common_type};
use tidewater_parser::ast;
use tidewater_types::{Datum, FieldType};

use super::{Binder, Bound, ScopeColumn};
use crate::PlanError;
use crate::logical::{Aggregation, Logical};

impl Binder<'_> {
    pub(super) fn bind_set_operation(&mut self, set: &ast::SetOperation) -> Result<Bound, PlanError> {
        let mut left = self.bind_body(&set.first)?;
        let mut rest = set.rest.iter().peekable();
        // A DISTINCT union makes all unions before it distinct too: only the last one decides.
        while let Some(operand) = rest.next() {
            let right = self.bind_body(&operand.body)?;
            left = match (operand.operator, operand.all) {
                (ast::SetOperator::Union, true) => self.union_all(vec![left, right])?,
                (ast::SetOperator::Union, false) => {
                    let mut operands = vec![left, right];
                    while let Some(next) =
                        rest.next_if(|next| next.operator == ast::SetOperator::Union && !next.all)
                    {
                        operands.push(self.bind_body(&next.body)?);
                    }
                    let union = self.union_all(operands)?;
                    self.distinct(union)
                }
                (_, true) => return Err(PlanError::Unsupported("EXCEPT ALL and INTERSECT ALL".to_owned())),
                (ast::SetOperator::Except, false) => self.by_presence(left, right, Presence::LeftOnly)?,
                (ast::SetOperator::Intersect, false) => self.by_presence(left, right, Presence::Both)?,
            };
        }
        Ok(left)
    }

    /// The rows of all operands, brought to common types. Names are the first one's.
    pub(super) fn union_all(&mut self, mut operands: Vec<Bound>) -> Result<Bound, PlanError> {
        if operands.len() == 1 {
            return Ok(operands.remove(0));
        }
        let width = operands[0].columns.len();
        if operands.iter().any(|operand| operand.columns.len() != width) {
            return Err(PlanError::SetColumnCounts);
        }
        let types: Vec<FieldType> = (0..width)
            .map(|position| {
                let each: Vec<FieldType> = operands
                    .iter()
                    .map(|operand| operand.columns[position].column.field_type.clone())
                    .collect();
                common_type(&each.iter().collect::<Vec<_>>())
            })
            .collect();
        let columns: Vec<ScopeColumn> = operands[0]
            .columns
            .iter()
            .zip(&types)
            .map(|(first, field_type)| {
                ScopeColumn::computed(self.computed_column(field_type.clone()), first.name.clone())
            })
            .collect();
        let children = operands.into_iter().map(|operand| self.operand(operand, &types)).collect();
        let schema = columns.iter().map(|column| column.column.clone()).collect();
        Ok(Bound { plan: Logical::Union { children, schema }, columns })
    }

    /// An operand with exactly its output columns, cast.
    fn operand(&mut self, operand: Bound, types: &[FieldType]) -> Logical {
        let mut schema = Vec::new();
        let mut exprs = Vec::new();
        for (column, field_type) in operand.columns.into_iter().zip(types) {
            let expr = cast_operand(Expr::Column(column.column), field_type);
            schema.push(self.computed_column(expr.field_type()));
            exprs.push(expr);
        }
        // Flat unions: the rows of a union of unions are those of all.
        Logical::Projection { child: Box::new(operand.plan), exprs, schema }
    }

    /// Each different row once.
    pub(super) fn distinct(&mut self, bound: Bound) -> Bound {
        let group_by = bound
            .columns
            .iter()
            .map(|column| (Expr::Column(column.column.clone()), column.column.clone()))
            .collect();
        let plan = Logical::Aggregation(Box::new(Aggregation {
            child: bound.plan,
            group_by,
            aggregates: Vec::new(),
        }));
        Bound { plan, columns: bound.columns }
    }

    /// EXCEPT and INTERSECT: mark each side's rows, group equal ones, and look which marks a group has. Grouping, unlike
    /// a join, takes NULLs as equal.
    fn by_presence(&mut self, left: Bound, right: Bound, wanted: Presence) -> Result<Bound, PlanError> {
        let left = self.marked(left, 0);
        let right = self.marked(right, 1);
        let union = self.union_all(vec![left, right])?;
        let mut columns = union.columns;
        let mark = columns.pop().ok_or(PlanError::SetColumnCounts)?.column;
        let extreme = |binder: &mut Self, function| -> Result<_, PlanError> {
            let call = AggregateCall::new(function, vec![Expr::Column(mark.clone())], false, binder.cx.eval)?;
            let column = binder.computed_column(call.field_type.clone());
            Ok((call, column))
        };
        let least = extreme(self, AggregateFunction::Min)?;
        let greatest = extreme(self, AggregateFunction::Max)?;
        let is = |binder: &Self, column: &tidewater_expr::ColumnRef, value| {
            binder.call("eq", vec![Expr::Column(column.clone()), Expr::int(value)])
        };
        let conditions = vec![
            is(self, &least.1, 0)?,
            is(self, &greatest.1, if wanted == Presence::Both { 1 } else { 0 })?,
        ];
        let group_by = columns
            .iter()
            .map(|column| (Expr::Column(column.column.clone()), column.column.clone()))
            .collect();
        let plan = Logical::Aggregation(Box::new(Aggregation {
            child: union.plan,
            group_by,
            aggregates: vec![least, greatest],
        }));
        Ok(Bound { plan: plan.filtered(conditions), columns })
    }

    /// The same rows with a constant behind them.
    fn marked(&mut self, bound: Bound, mark: i64) -> Bound {
        let field_type = FieldType::int().not_null();
        let column = ScopeColumn::computed(self.computed_column(field_type.clone()), "mark");
        let mut exprs: Vec<Expr> =
            bound.columns.iter().map(|column| Expr::Column(column.column.clone())).collect();
        let mut schema: Vec<_> = bound.columns.iter().map(|column| column.column.clone()).collect();
        exprs.push(Expr::Literal { value: Datum::Int(mark), field_type });
        schema.push(column.column.clone());
        let mut columns = bound.columns;
        columns.push(column);
        Bound { plan: Logical::Projection { child: Box::new(bound.plan), exprs, schema }, columns }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Presence {
    LeftOnly,
    Both,
}

fn cast_operand(expr: Expr, to: &FieldType) -> Expr {
    match expr {
        Expr::Literal { value: Datum::Null, .. } => {
            Expr::Literal { value: Datum::Null, field_type: to.clone() }
        }
        expr => build_cast(expr, to.clone()),
    }
}
