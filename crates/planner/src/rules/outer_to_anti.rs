//! `t LEFT JOIN u ON .. WHERE u.x IS NULL`, where `x` is never NULL in a row of u: the rows of t without a match.
//!
//! An anti semi join stops at the first match and keeps nothing of u. Only when nothing above reads u's columns.

use std::collections::BTreeSet;

use tidewater_expr::Expr;

use super::RuleContext;
use crate::PlanError;
use crate::expr_tools::{as_call, collect_columns, correlated_ids};
use crate::logical::{Join, Logical};
use crate::physical::JoinKind;

pub(crate) fn apply(mut plan: Logical, cx: &mut RuleContext<'_>) -> Result<Logical, PlanError> {
    let required = cx.required.clone();
    visit(&mut plan, &required);
    Ok(plan)
}

/// Goes down with the columns that are read above.
fn visit(plan: &mut Logical, read: &BTreeSet<u64>) {
    if let Logical::Selection { child, conditions } = plan
        && let Logical::Join(join) = &mut **child
        && let Some(position) = conditions.iter().position(|condition| is_padding_test(condition, join))
    {
        let mut still_read = read.clone();
        for (other, condition) in conditions.iter().enumerate() {
            if other != position {
                collect_columns(condition, &mut still_read);
            }
        }
        if still_read.is_disjoint(&join.right.column_ids()) {
            conditions.remove(position);
            join.kind = JoinKind::AntiSemi;
            if conditions.is_empty() {
                let child = child.take();
                *plan = child;
            }
        }
    }
    // Above projections and groups the names change: what they compute is what is read below.
    let mut below = match plan {
        Logical::Projection { .. } | Logical::Aggregation(_) | Logical::Union { .. } => BTreeSet::new(),
        _ => read.clone(),
    };
    for expr in plan.exprs() {
        collect_columns(expr, &mut below);
    }
    plan.for_each(&mut |node| {
        for expr in node.exprs() {
            below.extend(correlated_ids(expr));
        }
    });
    if let Logical::Lock { targets, .. } = plan {
        below.extend(targets.iter().flat_map(|target| target.handle.iter().map(|column| column.unique_id)));
    }
    if let Logical::Union { children, .. } = plan {
        for child in children {
            let own = child.column_ids();
            visit(child, &own);
        }
        return;
    }
    for child in plan.children_mut() {
        visit(child, &below);
    }
}

/// `isnull(column)` of a column of the right side that only padding makes NULL.
fn is_padding_test(condition: &Expr, join: &Join) -> bool {
    if join.kind != JoinKind::LeftOuter || join.apply || join.conditions.is_empty() {
        return false;
    }
    let Some(("isnull", [Expr::Column(column)])) = as_call(condition) else {
        return false;
    };
    join.right.schema().iter().any(|own| own.unique_id == column.unique_id && own.field_type.is_not_null())
}
