//! `SELECT max(a) FROM t`: the aggregate of the first row in order of `a`, when an index has that order.

use tidewater_expr::{AggregateFunction, Expr};

use super::RuleContext;
use crate::PlanError;
use crate::expr_tools::call;
use crate::logical::{DataSource, Logical};
use crate::physical::{ScanColumn, SortItem};

pub(crate) fn apply(mut plan: Logical, cx: &mut RuleContext<'_>) -> Result<Logical, PlanError> {
    for child in plan.children_mut() {
        let inner = apply(child.take(), cx)?;
        *child = inner;
    }
    let Logical::Aggregation(agg) = &mut plan else {
        return Ok(plan);
    };
    let ([(aggregate, _)], true) = (agg.aggregates.as_slice(), agg.group_by.is_empty()) else {
        return Ok(plan);
    };
    let desc = match aggregate.function {
        AggregateFunction::Max => true,
        AggregateFunction::Min => false,
        _ => return Ok(plan),
    };
    let ([Expr::Column(column)], Logical::DataSource(source)) = (aggregate.args.as_slice(), &agg.child)
    else {
        return Ok(plan);
    };
    if !leads_an_index(source, column.unique_id) {
        return Ok(plan);
    }
    let column = Expr::Column(column.clone());
    let is_null = call("isnull", vec![column.clone()], cx.eval)?;
    let not_null = call("not", vec![is_null], cx.eval)?;
    let nullable = !column.field_type().is_not_null();
    agg.child.replace_with(|child| {
        let child = match child {
            Logical::DataSource(mut source) if nullable => {
                source.conditions.push(not_null);
                Logical::DataSource(source)
            }
            other => other,
        };
        let by = vec![SortItem { expr: column, desc }];
        Logical::TopN { child: Box::new(child), by, offset: 0, count: 1 }
    });
    Ok(plan)
}

fn leads_an_index(source: &DataSource, id: u64) -> bool {
    let is = |offset: usize| {
        source.column(&ScanColumn::Column(offset)).is_some_and(|column| column.unique_id == id)
    };
    let info = &source.table.info;
    info.handle_column().is_some_and(|column| is(column.offset))
        || info.public_indices().any(|index| {
            index.columns.first().is_some_and(|part| !part.is_prefix() && is(part.offset)) && !index.invisible
        })
}
