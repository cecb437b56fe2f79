//! Projections that only hand on what they get, and projections of projections.

use std::collections::{BTreeMap, BTreeSet};

use tidewater_expr::Expr;

use super::RuleContext;
use crate::PlanError;
use crate::expr_tools::{substitute, visit};
use crate::logical::Logical;

pub(crate) fn apply(plan: Logical, _: &mut RuleContext<'_>) -> Result<Logical, PlanError> {
    Ok(without_copies(eliminate(plan)))
}

fn eliminate(mut plan: Logical) -> Logical {
    let under_union = matches!(plan, Logical::Union { .. });
    for child in plan.children_mut() {
        let mut inner = eliminate(child.take());
        // A union reads by position: its children keep exactly their columns.
        if !under_union {
            inner = without_copies(inner);
        }
        *child = inner;
    }
    merge(into_aggregation(plan))
}

/// An aggregation computes its arguments itself: a projection below it is not needed, unless it saves computing
/// something twice. Above a table the store then sees one step less.
fn into_aggregation(plan: Logical) -> Logical {
    let Logical::Aggregation(mut agg) = plan else {
        return plan;
    };
    let Logical::Projection { child, exprs, schema } = agg.child else {
        return Logical::Aggregation(agg);
    };
    let mut uses: BTreeMap<u64, usize> = BTreeMap::new();
    let arguments = agg.aggregates.iter().flat_map(|(call, _)| call.inputs());
    for expr in arguments.chain(agg.group_by.iter().map(|(expr, _)| expr)) {
        visit(expr, &mut |expr| {
            if let Expr::Column(column) = expr {
                *uses.entry(column.unique_id).or_default() += 1;
            }
        });
    }
    let once = exprs.iter().zip(&schema).all(|(expr, column)| {
        is_trivial(expr)
            || (expr.is_deterministic() && uses.get(&column.unique_id).is_none_or(|uses| *uses <= 1))
    });
    if !once {
        agg.child = Logical::Projection { child, exprs, schema };
        return Logical::Aggregation(agg);
    }
    let by: BTreeMap<u64, Expr> = schema.iter().map(|column| column.unique_id).zip(exprs).collect();
    agg.group_by.iter_mut().for_each(|(expr, _)| substitute(expr, &by));
    for (call, _) in &mut agg.aggregates {
        call.args.iter_mut().for_each(|expr| substitute(expr, &by));
        call.order_by.iter_mut().for_each(|item| substitute(&mut item.expr, &by));
    }
    agg.child = *child;
    into_aggregation(Logical::Aggregation(agg))
}

fn is_trivial(expr: &Expr) -> bool {
    matches!(expr, Expr::Column(_) | Expr::Literal { .. } | Expr::Correlated { .. } | Expr::Parameter { .. })
}

/// A projection of plain columns under their own ids adds nothing.
fn without_copies(plan: Logical) -> Logical {
    match plan {
        Logical::Projection { child, exprs, schema } => {
            let copies = exprs.iter().zip(&schema).all(
                |(expr, column)| matches!(expr, Expr::Column(source) if source.unique_id == column.unique_id),
            );
            // Over fewer rows than columns saved it would not matter; over a join it narrows what is kept in memory.
            if copies { *child } else { Logical::Projection { child, exprs, schema } }
        }
        other => other,
    }
}

/// A projection of a projection is one, unless that would compute something twice.
fn merge(plan: Logical) -> Logical {
    let Logical::Projection { child, mut exprs, schema } = plan else {
        return plan;
    };
    match *child {
        Logical::Projection { child: inner, exprs: inner_exprs, schema: inner_schema }
            if inner_exprs.iter().all(is_trivial) || only_picks(&exprs, &inner_exprs) =>
        {
            let by: BTreeMap<u64, Expr> =
                inner_schema.iter().map(|column| column.unique_id).zip(inner_exprs).collect();
            exprs.iter_mut().for_each(|expr| substitute(expr, &by));
            merge(Logical::Projection { child: inner, exprs, schema })
        }
        other => Logical::Projection { child: Box::new(other), exprs, schema },
    }
}

/// Whether the outer projection only chooses among the inner one's columns, each at most once.
fn only_picks(outer: &[Expr], inner: &[Expr]) -> bool {
    let mut seen = BTreeSet::new();
    inner.iter().all(Expr::is_deterministic)
        && outer.iter().all(|expr| match expr {
            Expr::Column(column) => seen.insert(column.unique_id),
            Expr::Literal { .. } => true,
            _ => false,
        })
}
