//! Projections that only hand on what they get, and projections of projections.

use std::collections::BTreeMap;

use tidewater_expr::Expr;

use super::RuleContext;
use crate::PlanError;
use crate::expr_tools::substitute;
use crate::logical::Logical;

pub(crate) fn apply(mut plan: Logical, cx: &mut RuleContext<'_>) -> Result<Logical, PlanError> {
    let under_union = matches!(plan, Logical::Union { .. });
    for child in plan.children_mut() {
        let mut inner = apply(child.take(), cx)?;
        // A union reads by position: its children keep exactly their columns.
        if !under_union {
            inner = without_copies(inner);
        }
        *child = inner;
    }
    Ok(merge(plan))
}

/// A projection of plain columns under their own ids adds nothing.
fn without_copies(plan: Logical) -> Logical {
    match plan {
        Logical::Projection { child, exprs, schema } => {
            let copies = exprs.iter().zip(&schema).all(|(expr, column)| {
                matches!(expr, Expr::Column(source) if source.unique_id == column.unique_id)
            });
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
            if inner_exprs.iter().all(|expr| {
                matches!(expr, Expr::Column(_) | Expr::Literal { .. } | Expr::Correlated { .. } | Expr::Parameter { .. })
            }) =>
        {
            let by: BTreeMap<u64, Expr> =
                inner_schema.iter().map(|column| column.unique_id).zip(inner_exprs).collect();
            exprs.iter_mut().for_each(|expr| substitute(expr, &by));
            merge(Logical::Projection { child: inner, exprs, schema })
        }
        other => Logical::Projection { child: Box::new(other), exprs, schema },
    }
}
