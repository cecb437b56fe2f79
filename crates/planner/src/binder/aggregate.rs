//! Aggregates of a query block: found by their syntax before the block is grouped, bound once, read by column.

use tidewater_expr::{AggregateCall, AggregateFunction, Expr, SortItem};
use tidewater_parser::ast;

use super::{Binder, BoundAggregate, Env};
use crate::PlanError;

impl Binder<'_> {
    /// An aggregate where its result is used.
    pub(super) fn bind_aggregate_use(
        &mut self,
        env: &Env<'_>,
        call: &ast::AggregateCall,
    ) -> Result<Expr, PlanError> {
        let Some(aggregates) = env.aggregates else {
            return Err(PlanError::InvalidGroupFunction);
        };
        let found = aggregates.iter().find(|bound| bound.ast == *call);
        found.map(|bound| Expr::Column(bound.column.clone())).ok_or(PlanError::InvalidGroupFunction)
    }

    /// An aggregate over the rows of `env`, where aggregates are not allowed again.
    pub(super) fn bind_aggregate(
        &mut self,
        env: &mut Env<'_>,
        call: &ast::AggregateCall,
    ) -> Result<AggregateCall, PlanError> {
        let mut args = Vec::new();
        for arg in &call.args {
            args.push(self.bind_expr(env, arg)?);
        }
        if call.args.is_empty() {
            args.push(Expr::int(1));
        }
        let function = aggregate_function(call.function)?;
        let mut bound = AggregateCall::new(function, args, call.distinct, self.cx.eval)?;
        for item in &call.order_by {
            let expr = self.bind_expr(env, &item.expr)?;
            bound.order_by.push(SortItem { expr, descending: item.descending });
        }
        if let Some(separator) = &call.separator {
            bound.separator.clone_from(separator);
        }
        Ok(bound)
    }

    /// Binds the aggregates that `found` lists, each once.
    pub(super) fn bind_aggregates(
        &mut self,
        env: &mut Env<'_>,
        found: Vec<&ast::AggregateCall>,
    ) -> Result<(Vec<BoundAggregate>, Vec<AggregateCall>), PlanError> {
        let (mut uses, mut calls): (Vec<BoundAggregate>, Vec<AggregateCall>) = (Vec::new(), Vec::new());
        for call in found {
            if uses.iter().any(|bound| bound.ast == *call) {
                continue;
            }
            let bound = self.bind_aggregate(env, call)?;
            let column = self.computed_column(bound.field_type.clone());
            uses.push(BoundAggregate { ast: call.clone(), column });
            calls.push(bound);
        }
        Ok((uses, calls))
    }
}

fn aggregate_function(function: ast::AggregateFunction) -> Result<AggregateFunction, PlanError> {
    use ast::AggregateFunction as A;
    Ok(match function {
        A::Count => AggregateFunction::Count,
        A::Sum => AggregateFunction::Sum,
        A::Avg => AggregateFunction::Avg,
        A::Min => AggregateFunction::Min,
        A::Max => AggregateFunction::Max,
        A::GroupConcat => AggregateFunction::GroupConcat,
        A::BitAnd => AggregateFunction::BitAnd,
        A::BitOr => AggregateFunction::BitOr,
        A::BitXor => AggregateFunction::BitXor,
        A::StddevPop => AggregateFunction::StddevPop,
        A::StddevSamp => AggregateFunction::StddevSamp,
        A::VarPop => AggregateFunction::VarPop,
        A::VarSamp => AggregateFunction::VarSamp,
        A::AnyValue => AggregateFunction::AnyValue,
        A::JsonArrayAgg => AggregateFunction::JsonArrayAgg,
        A::JsonObjectAgg => AggregateFunction::JsonObjectAgg,
        A::ApproxCountDistinct => AggregateFunction::ApproxCountDistinct,
        A::ApproxPercentile => return Err(PlanError::Unsupported("APPROX_PERCENTILE".to_owned())),
    })
}

/// Adds the aggregates of an expression, those in subqueries not included: they are the subqueries' own.
pub(super) fn find_aggregates<'e>(expr: &'e ast::Expr, found: &mut Vec<&'e ast::AggregateCall>) {
    if let ast::Expr::Aggregate(call) = expr {
        found.push(call);
        return;
    }
    for child in expr.children() {
        find_aggregates(child, found);
    }
}
