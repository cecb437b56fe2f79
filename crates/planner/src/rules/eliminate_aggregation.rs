//! Groups that cannot have more than one row need no grouping: DISTINCT or GROUP BY over a key becomes a projection.

use tidewater_expr::{AggregateCall, AggregateFunction, EvalContext, Expr, build_cast};

use super::RuleContext;
use crate::PlanError;
use crate::expr_tools::call;
use crate::logical::{Aggregation, Logical};

pub(crate) fn apply(mut plan: Logical, cx: &mut RuleContext<'_>) -> Result<Logical, PlanError> {
    for child in plan.children_mut() {
        let inner = apply(child.take(), cx)?;
        *child = inner;
    }
    let Logical::Aggregation(agg) = plan else {
        return Ok(plan);
    };
    if agg.group_by.is_empty() || !is_key(&agg) {
        return Ok(Logical::Aggregation(agg));
    }
    let Some(exprs) = single_row_values(&agg, cx.eval)? else {
        return Ok(Logical::Aggregation(agg));
    };
    let schema = Logical::Aggregation(agg.clone()).schema();
    Ok(Logical::Projection { child: Box::new(agg.child), exprs, schema })
}

fn is_key(agg: &Aggregation) -> bool {
    let keys = agg
        .group_by
        .iter()
        .filter_map(|(expr, _)| match expr {
            Expr::Column(column) => Some(column.unique_id),
            _ => None,
        })
        .collect();
    agg.child.unique_keys().iter().any(|key| key.is_subset(&keys))
}

/// What the aggregates are over one row, then the keys; `None` if one of them is not known.
fn single_row_values(agg: &Aggregation, ctx: &EvalContext) -> Result<Option<Vec<Expr>>, PlanError> {
    let mut exprs = Vec::new();
    for (aggregate, _) in &agg.aggregates {
        match single_row_value(aggregate, ctx)? {
            Some(expr) => exprs.push(expr),
            None => return Ok(None),
        }
    }
    exprs.extend(agg.group_by.iter().map(|(expr, _)| expr.clone()));
    Ok(Some(exprs))
}

fn single_row_value(aggregate: &AggregateCall, ctx: &EvalContext) -> Result<Option<Expr>, PlanError> {
    use AggregateFunction as A;
    let [arg] = aggregate.args.as_slice() else {
        return Ok(None);
    };
    Ok(match aggregate.function {
        A::Count if arg.field_type().is_not_null() => Some(Expr::int(1)),
        A::Count => {
            let is_null = call("isnull", vec![arg.clone()], ctx)?;
            Some(call("if", vec![is_null, Expr::int(0), Expr::int(1)], ctx)?)
        }
        A::Sum | A::Avg | A::Min | A::Max => Some(build_cast(arg.clone(), aggregate.field_type.clone())),
        A::FirstRow | A::AnyValue => Some(arg.clone()),
        _ => None,
    })
}
