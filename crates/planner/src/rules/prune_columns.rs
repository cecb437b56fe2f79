//! Every operator gives only the columns somebody above reads.

use std::collections::BTreeSet;

use tidewater_expr::{AggregateCall, AggregateFunction, EvalContext, Expr};

use super::RuleContext;
use crate::PlanError;
use crate::expr_tools::{collect_columns, correlated_ids};
use crate::logical::Logical;

pub(crate) fn apply(mut plan: Logical, cx: &mut RuleContext<'_>) -> Result<Logical, PlanError> {
    let required = cx.required.clone();
    prune(&mut plan, &required, cx.eval)?;
    Ok(plan)
}

fn prune(plan: &mut Logical, required: &BTreeSet<u64>, ctx: &EvalContext) -> Result<(), PlanError> {
    match plan {
        Logical::DataSource(source) => {
            let mut used = required.clone();
            for condition in &source.conditions {
                collect_columns(condition, &mut used);
            }
            source.columns.retain(|(_, column)| used.contains(&column.unique_id));
        }
        Logical::Selection { child, conditions } => {
            let mut used = required.clone();
            conditions.iter().for_each(|condition| collect_columns(condition, &mut used));
            prune(child, &used, ctx)?;
        }
        Logical::Projection { child, exprs, schema } => {
            let mut used = BTreeSet::new();
            let kept: Vec<bool> = exprs
                .iter()
                .zip(schema.iter())
                .map(|(expr, column)| required.contains(&column.unique_id) || !expr.is_deterministic())
                .collect();
            retain(exprs, &kept);
            retain(schema, &kept);
            exprs.iter().for_each(|expr| collect_columns(expr, &mut used));
            prune(child, &used, ctx)?;
        }
        Logical::Aggregation(agg) => {
            agg.aggregates.retain(|(_, column)| required.contains(&column.unique_id));
            if agg.aggregates.is_empty() && agg.group_by.is_empty() {
                // One row whatever the input: something has to be counted.
                let call = AggregateCall::new(AggregateFunction::Count, vec![Expr::int(1)], false, ctx)?;
                let name = "Column#0".into();
                let field_type = call.field_type.clone();
                let column = tidewater_expr::ColumnRef { unique_id: 0, index: 0, field_type, name };
                agg.aggregates.push((call, column));
            }
            let mut used = BTreeSet::new();
            agg.group_by.iter().for_each(|(expr, _)| collect_columns(expr, &mut used));
            for (call, _) in &agg.aggregates {
                call.inputs().for_each(|expr| collect_columns(expr, &mut used));
            }
            prune(&mut agg.child, &used, ctx)?;
        }
        Logical::Join(join) => {
            let mut used = required.clone();
            join.conditions.iter().for_each(|condition| collect_columns(condition, &mut used));
            for (left, right) in &join.null_aware {
                collect_columns(left, &mut used);
                collect_columns(right, &mut used);
            }
            if join.apply {
                join.right.for_each(&mut |node| {
                    node.exprs().iter().for_each(|expr| used.extend(correlated_ids(expr)));
                });
            }
            prune(&mut join.left, &used, ctx)?;
            prune(&mut join.right, &used, ctx)?;
        }
        Logical::Union { children, schema } => {
            let kept: Vec<bool> = schema.iter().map(|column| required.contains(&column.unique_id)).collect();
            for child in children {
                let columns = child.schema();
                let used = columns
                    .iter()
                    .zip(&kept)
                    .filter(|(_, kept)| **kept)
                    .map(|(column, _)| column.unique_id)
                    .collect();
                prune(child, &used, ctx)?;
                // By position: the child must give these columns and no others.
                let wanted: Vec<_> = columns
                    .into_iter()
                    .zip(&kept)
                    .filter(|(_, kept)| **kept)
                    .map(|(column, _)| column)
                    .collect();
                let gives: Vec<u64> = child.schema().iter().map(|column| column.unique_id).collect();
                if gives != wanted.iter().map(|column| column.unique_id).collect::<Vec<_>>() {
                    child.replace_with(|child| Logical::Projection {
                        child: Box::new(child),
                        exprs: wanted.iter().cloned().map(Expr::Column).collect(),
                        schema: wanted,
                    });
                }
            }
            retain(schema, &kept);
        }
        Logical::Sort { child, by } | Logical::TopN { child, by, .. } => {
            let mut used = required.clone();
            by.iter().for_each(|item| collect_columns(&item.expr, &mut used));
            prune(child, &used, ctx)?;
        }
        Logical::Limit { child, .. } | Logical::MaxOneRow { child } => prune(child, required, ctx)?,
        Logical::Lock { child, targets, .. } => {
            let mut used = required.clone();
            for target in targets {
                used.extend(target.handle.iter().map(|column| column.unique_id));
            }
            prune(child, &used, ctx)?;
        }
        Logical::Dual { schema, .. } => schema.retain(|column| required.contains(&column.unique_id)),
    }
    Ok(())
}

fn retain<T>(items: &mut Vec<T>, kept: &[bool]) {
    let mut position = 0;
    items.retain(|_| {
        position += 1;
        kept[position - 1]
    });
}
